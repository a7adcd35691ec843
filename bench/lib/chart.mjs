/**
 * Draws results.json as an SVG for the README: for each scenario one bar per broker, as a ratio to the baseline on a
 * logarithmic scale.
 *
 *     node bench/lib/chart.mjs [results.json [results.svg]]
 *
 * Called by run.mjs. Two panels: messages per second where the broker is saturated (longer is better), CPU per message
 * where the rate is given (shorter is better). No dependency; text and colours follow the reader's light or dark mode.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { formatNumber } from './results.mjs'

const WIDTH = 860
const LABEL = 170
const RIGHT = 110
const BAR = 11
const GAP = 12
const COLORS = [
  '#d9480f',
  '#f08c00',
  '#1971c2',
  '#2f9e44',
  '#9c36b5',
  '#0c8599',
  '#868e96',
  '#e64980',
  '#74b816',
  '#fab005',
]

const escapeXml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

const panels = [
  {
    title: 'Messages (connections) per second, saturated: longer is better',
    metric: 'rate',
    unit: '/s',
    kinds: ['rate', 'connect', 'offline'],
  },
  { title: 'CPU per message at a fixed rate: shorter is better', metric: 'cpuUs', unit: ' µs', kinds: ['paced'] },
]

/** Label of a contestant: `recado@24-disk` becomes `Recado on disk, Node 24`; others have names of their own. */
function labelOf(name, contestants = []) {
  const version = contestants.find((each) => each.name === name)?.version ?? ''
  if (!/^recado(@\d+)?(-disk)?$/.test(name)) return name.replace(/-disk$/, ' on disk')
  const node = /Node v(\d+)/.exec(version)?.[1]
  return `Recado${name.endsWith('-disk') ? ' on disk' : ''}${node === undefined ? '' : `, Node ${node}`}`
}

/** Draws the chart. @param results the contents of results.json */
export function drawChart(results) {
  const names = [...new Set(results.scenarios.flatMap(({ rows }) => rows.map((row) => row.contestant)))]
  const color = (name) => COLORS[names.indexOf(name) % COLORS.length]
  const parts = []
  let y = 30
  let x = LABEL
  for (const name of names) {
    const label = labelOf(name, results.contestants)
    const width = 30 + label.length * 6.5
    if (x + width > WIDTH) {
      x = LABEL
      y += 18
    }
    parts.push(`<rect x="${x}" y="${y - 10}" width="11" height="11" rx="2" fill="${color(name)}"/>`)
    parts.push(`<text x="${x + 16}" y="${y}">${escapeXml(label)}</text>`)
    x += width
  }
  y += 24
  for (const { title, metric, unit, kinds } of panels) {
    const drawn = results.scenarios
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ name, rows }) => ({ name, rows: rows.filter((row) => row.ratios[metric] !== undefined) }))
      .filter(({ rows }) => rows.length > 1)
    if (drawn.length === 0) continue
    const ratios = drawn.flatMap(({ rows }) => rows.map((row) => row.ratios[metric]))
    const low = Math.min(0.5, ...ratios) * 0.9
    const high = Math.max(2, ...ratios)
    const scale = (value) =>
      LABEL + ((Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (WIDTH - LABEL - RIGHT)
    parts.push(`<text class="title" x="12" y="${y}">${escapeXml(title)}</text>`)
    y += 18
    const top = y
    for (const { name, rows } of drawn) {
      const middle = y + (rows.length * BAR) / 2 + 4
      parts.push(`<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escapeXml(name)}</text>`)
      for (const row of rows) {
        const ratio = row.ratios[metric]
        const end = scale(ratio)
        const label = `${ratio.toFixed(ratio >= 10 ? 0 : 2)}x, ${formatNumber(row.medians[metric])}${unit}`
        parts.push(
          `<rect x="${LABEL}" y="${y}" width="${Math.max(1, end - LABEL).toFixed(1)}" height="${BAR - 2}" fill="${color(row.contestant)}"/>`,
          `<text class="small" x="${(end + 5).toFixed(1)}" y="${y + BAR - 3}">${escapeXml(label)}</text>`,
        )
        y += BAR
      }
      y += GAP
    }
    for (const tick of [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].filter((value) => value >= low && value <= high)) {
      const at = scale(tick).toFixed(1)
      parts.push(`<line class="${tick === 1 ? 'one' : 'tick'}" x1="${at}" x2="${at}" y1="${top - 4}" y2="${y - 6}"/>`)
      parts.push(`<text class="small" x="${at}" y="${y + 5}" text-anchor="middle">${tick}x</text>`)
    }
    y += 36
  }
  parts.push(
    `<text class="small" x="12" y="${y}">${escapeXml(`Ratios to ${results.baseline}, medians of interleaved rounds, one core each. ${results.machine.cpu}, ${results.date.slice(0, 10)}.`)}</text>`,
  )
  const height = y + 14
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>Recado beside other MQTT brokers</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.small { font-size: 9.5px; fill: #57606a }
.tick { stroke: #8883; stroke-dasharray: 2 3 }
.one { stroke: #57606a }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } .one { stroke: #9198a1 } }
</style>
${parts.join('\n')}
</svg>
`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = process.argv[2] ?? new URL('../results.json', import.meta.url)
  const target = process.argv[3] ?? new URL('../results.svg', import.meta.url)
  writeFileSync(target, drawChart(JSON.parse(readFileSync(file, 'utf8'))))
}
