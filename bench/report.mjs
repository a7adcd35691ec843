/**
 * `npm run bench:report`: writes the measured figures into docs/performance.md and README.md.
 *
 * Reads bench/results.json, growth.json and micro.json and replaces the text between `<!-- bench: NAME -->` and
 * `<!-- bench: end -->`; a table without figures stays as it is. No figure is copied by hand.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { formatNumber, formatRatio, judge } from './lib/results.mjs'
import { scenarios } from './lib/scenarios.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const readJson = (name) => (existsSync(path(name)) ? JSON.parse(readFileSync(path(name), 'utf8')) : null)
const results = readJson('results.json')
const growth = readJson('growth.json')
const micro = readJson('micro.json')

const NODE = 'recado@24'
/** Scenarios in the README: a few that say the most. */
const SHORT = ['pairs-q0', 'pairs-q1', 'pairs-q2', 'fanin-q0', 'fanout-q0', 'pairs-q0-w1', 'sparse-q0', 'conn-19k']
const METRIC_TEXT = {
  rate: 'rate',
  cpu: 'CPU per message',
  p50: 'latency, median',
  p99: 'latency, 99th percentile',
  rssBytes: 'memory of an idle connection, bytes',
  rateToAedes: 'rate to aedes',
  rateToNode24: 'rate of Node 20 to Node 24',
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

function wantedText({ metric, goal, isAtLeast }) {
  return `${isAtLeast ? '≥' : '≤'} ${metric === 'rssBytes' ? formatNumber(goal) : formatRatio(goal)}`
}

/** Every goal, reached or not, on Node 24 and on the Node that ran the benchmark. */
function goals() {
  const rows = []
  for (const { name, rows: measured } of results.scenarios) {
    const verdictsOf = (contestant) => {
      const row = measured.find((each) => each.contestant === contestant)
      return row === undefined ? [] : judge(name, scenarios[name]?.goal, row, measured)
    }
    const [on24, on20] = [verdictsOf(NODE), verdictsOf('recado')]
    for (const metric of Object.keys(scenarios[name]?.goal ?? {})) {
      const [a, b] = [on24, on20].map((verdicts) => verdicts.find((each) => each.metric === metric))
      const either = a ?? b
      if (either === undefined) continue
      const cell = (verdict) => {
        if (verdict === undefined) return ''
        const value = metric === 'rssBytes' ? formatNumber(verdict.reached) : formatRatio(verdict.reached)
        return `${verdict.isMet ? value : `**${value}**`}${verdict.isNoisy ? ' ~' : ''}`
      }
      rows.push([`\`${name}\``, METRIC_TEXT[metric], wantedText(either), cell(a), cell(b)])
    }
  }
  return table(['scenario', 'what', 'goal', 'Node 24', 'Node 20'], [...rows, ...microGoals()])
}

/** Goals of codec and trees: the worst case of each. `encode()` also makes the array; it is in the table below. */
const MICRO_GOALS = [
  ['`bench:micro codec`', 'decode, slowest case to mqtt-packet', /^codec: decode/, 'ratio', 5],
  ['`bench:micro codec`', 'encode, slowest case to mqtt-packet', /^codec: encode(?!\(\))/, 'ratio', 5],
  [
    '`bench:micro match`',
    'match among 1,000,000 mixed filters, ns',
    /^match: FilterTree, mixed: topics that match/,
    'ns',
    2_000,
  ],
  [
    '`bench:micro match`',
    'wildcard look-up among 1,000,000 topics, slowest, ns per hit',
    /^match: TopicTree: /,
    'ns',
    1_000,
  ],
]

function microGoals() {
  if (micro === null) return []
  const versionOf = (major) => Object.keys(micro).find((version) => version.startsWith(`v${major}.`))
  return MICRO_GOALS.map(([command, what, pattern, unit, goal]) => {
    const cell = (version) => {
      const found = (micro[version]?.cases ?? []).filter(({ name }) => pattern.test(name))
      const values = found.flatMap(({ ns, peerNs }) =>
        unit === 'ns' ? [ns] : peerNs === undefined ? [] : [peerNs / ns],
      )
      if (values.length === 0) return ''
      const worst = unit === 'ns' ? Math.max(...values) : Math.min(...values)
      const isMet = unit === 'ns' ? worst <= goal : worst >= goal
      const text = unit === 'ns' ? formatNumber(worst) : formatRatio(worst)
      return isMet ? text : `**${text}**`
    }
    const wanted = unit === 'ns' ? `≤ ${formatNumber(goal)}` : `≥ ${formatRatio(goal)}`
    return [command, what, wanted, cell(versionOf(24)), cell(versionOf(20))]
  })
}

const rowOf = (scenario, contestant) => scenario.rows.find((each) => each.contestant === contestant)

/** All scenarios with all brokers: rate and CPU, and the other figures of their kind. */
function all() {
  const names = [...new Set(results.scenarios.flatMap(({ rows }) => rows.map(({ contestant }) => contestant)))]
  const rows = results.scenarios.flatMap((scenario) =>
    names.flatMap((name) => {
      const row = rowOf(scenario, name)
      if (row === undefined || row.runs === 0) return []
      const { medians, ratios } = row
      const more = []
      if (medians.p50 !== undefined) more.push(`p50 ${formatNumber(medians.p50)} p99 ${formatNumber(medians.p99)} µs`)
      if (medians.rssPerConnection !== undefined) more.push(`${formatNumber(medians.rssPerConnection)} bytes each`)
      if (medians.receiveRate !== undefined)
        more.push(`drained ${formatNumber(medians.receiveRate)}/s at ${formatNumber(medians.receiveCpuUs)} µs`)
      if (row.lost > 0) more.push(`lost ${row.lost}`)
      const isIdle = row.notes.some((note) => /lower bound/.test(note))
      return [
        [
          `\`${scenario.name}\``,
          name,
          `${isIdle ? '> ' : ''}${formatNumber(medians.rate)}`,
          formatRatio(ratios.rate),
          formatNumber(medians.cpuUs),
          formatRatio(ratios.cpuUs),
          more.join('; '),
        ],
      ]
    }),
  )
  return table(['scenario', 'broker', 'per second', 'to Mosquitto', 'CPU µs each', 'to Mosquitto', ''], rows)
}

/** Short table for the README. */
function short() {
  const rows = SHORT.flatMap((name) => {
    const scenario = results.scenarios.find((each) => each.name === name)
    if (scenario === undefined) return []
    const [ours, aedes] = [rowOf(scenario, NODE), rowOf(scenario, 'aedes')]
    const mosquitto = rowOf(scenario, 'mosquitto')
    if (ours === undefined || mosquitto === undefined) return []
    const cpu = (row) => (row === undefined ? '' : formatNumber(row.medians.cpuUs))
    return [[`\`${name}\``, cpu(ours), cpu(mosquitto), cpu(aedes), formatRatio(ours.ratios.cpuUs)]]
  })
  return table(['CPU µs per message (connection)', 'Recado', 'Mosquitto 2.0.11', 'aedes', 'Recado to Mosquitto'], rows)
}

function brokers() {
  const { machine, contestants, date } = results
  const list = contestants
    .filter(({ name }) => !name.endsWith('-disk'))
    .map(({ name, version }) => `${name}: ${version}`)
  return `Measured ${date.slice(0, 10)} on ${machine.cores} cores of ${machine.cpu}, Linux ${machine.kernel}. ${list.join('; ')}.`
}

function growthTables() {
  return Object.entries(growth)
    .map(([kind, { node, steps }]) => {
      const names = Object.keys(steps[0]).filter((name) => name !== 'count')
      const rows = steps.map((step) => [
        formatNumber(step.count),
        ...names.map((name) => `${formatNumber(step[name])} (${(step[name] / steps[0][name]).toFixed(2)}x)`),
      ])
      return `\`npm run bench:growth -- ${kind}\`, Node ${node}\n\n${table([kind, ...names], rows)}`
    })
    .join('\n\n')
}

function microTable() {
  const versions = Object.keys(micro).sort().reverse()
  const names = [
    ...new Set(versions.flatMap((version) => micro[version].cases.map(({ name, per }) => `${name}\n${per}`))),
  ]
  const rows = names.map((key) => {
    const [name, per] = key.split('\n')
    const cells = versions.flatMap((version) => {
      const found = micro[version].cases.find((each) => each.name === name && each.per === per)
      if (found === undefined) return ['', '']
      return [String(found.ns), found.peerNs === undefined ? '' : `${(found.peerNs / found.ns).toFixed(1)}x`]
    })
    return [name.replaceAll('|', '\\|'), per, ...cells]
  })
  const head = ['case', 'per', ...versions.flatMap((version) => [`ns, ${version}`, 'peer takes'])]
  return table(head, rows)
}

const parts = {
  ...(results === null ? {} : { goals, all, short, brokers }),
  ...(growth === null ? {} : { growth: growthTables }),
  ...(micro === null ? {} : { micro: microTable }),
}

for (const page of ['../docs/performance.md', '../README.md']) {
  const before = readFileSync(path(page), 'utf8')
  const after = before.replace(
    /(<!-- bench: (?!end)(\w+) -->\n)[\s\S]*?(\n<!-- bench: end -->)/g,
    (whole, begin, name, end) => (parts[name] === undefined ? whole : `${begin}\n${parts[name]()}\n${end}`),
  )
  if (after === before) continue
  writeFileSync(path(page), after)
  console.log(`wrote ${page.slice(3)}`)
}
