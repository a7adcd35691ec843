/**
 * Evaluation of the runs: medians, ratios to the baseline, tables. Called by run.mjs and chart.mjs; no I/O.
 *
 * A run is { scenario, contestant, round, at, rate, cpuUs, ... } or { failed }. `rate` is messages (connections) per
 * second as the scenario counts them; `cpuUs` CPU microseconds of the broker, all its threads, per message delivered
 * (accepted in `pubonly`, stored in `offline`, per connection in `connect`): the steadier figure on a noisy machine.
 *
 * A ratio is taken per run, to the run of the baseline nearest to it in time, and then the median: a shared machine
 * drifts by a factor of two within minutes, and the ratio hardly does.
 */

const METRICS = ['rate', 'cpuUs', 'p50', 'p99', 'rssPerConnection', 'receiveRate', 'receiveCpuUs', 'ackP50', 'ackP99']

/** CPU in percent that others may take: above it rates and latencies are theirs as much as the broker's. */
const QUIET_PERCENT = 20

export function median(values) {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Fields of mqload's JSON line under the names that all generators share here. */
export function fromMqload(kind, json) {
  if (json.failed !== undefined) return { failed: json.failed }
  const rates = { connect: json.connects_per_s, offline: json.acked_per_s }
  return clean({
    rate: rates[kind] ?? (json.scenario === 'pubonly' ? json.pub_per_s : json.recv_per_s),
    cpuUs: json.broker_us_per_msg,
    // In a saturating run latency only measures the queue of the window.
    p50: kind === 'paced' ? json.lat_p50_us : undefined,
    p99: kind === 'paced' ? json.lat_p99_us : undefined,
    ackP50: json.ack_p50_us,
    ackP99: json.ack_p99_us,
    receiveRate: kind === 'offline' ? json.recv_per_s : undefined,
    receiveCpuUs: json.recv_broker_us_per_msg,
    rssPerConnection: json.rss_per_conn_bytes,
    brokerCpu: json.broker_cpu_pct,
    generatorCpu: json.self_cpu_pct,
    noise: (json.other_cpu_pct ?? 0) + (json.steal_pct ?? 0),
    lost: json.lost,
    duplicated: json.dup,
    outOfOrder: json.out_of_order,
    troubles: troublesOf(json, ['stalls', 'disconnects', 'errors', 'foreign', 'connect_failures']),
  })
}

/**
 * Fields of `recado bench --json` under the shared names; `watched` is the broker's usage from outside
 * (`watchProcesses`).
 */
export function fromRecado(kind, json, watched) {
  if (json.failed !== undefined) return { failed: json.failed }
  const isConnect = kind === 'connect'
  const all = watched.between()
  // The part with messages: without the opening of connections before, and without the warm-up.
  const part = isConnect ? all : watched.between(json.measuredFromMs, json.measuredToMs)
  if (part === null) return { failed: 'too short to be watched' }
  const count = isConnect ? json.connections : json.receivedPerSecond * part.seconds
  if (!(count > 0)) return { failed: Object.keys(json.failures ?? {})[0] ?? 'nothing arrived' }
  return clean({
    rate: isConnect ? json.connectsPerSecond : json.receivedPerSecond,
    cpuUs: part.brokerUs / count,
    p50: json.latencyUs?.p50,
    p99: json.latencyUs?.p99,
    rssPerConnection: isConnect ? all.rssBytes / count : undefined,
    brokerCpu: part.brokerCpu,
    generatorCpu: part.generatorCpu,
    noise: part.noise,
    lost: json.lost,
    duplicated: json.duplicated,
    outOfOrder: json.outOfOrder,
    troubles: troublesOf(json, ['connectFailures', 'disconnects']),
  })
}

function troublesOf(json, names) {
  const troubles = names.filter((name) => json[name] > 0).map((name) => `${name} ${json[name]}`)
  return troubles.length > 0 ? troubles.join(' ') : undefined
}

function clean(record) {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined && !Number.isNaN(value)))
}

/** Summarizes one scenario's runs to one row per contestant, in the order in which they first ran. */
export function summarize(runs, baseline) {
  const base = runs.filter((run) => run.contestant === baseline && run.failed === undefined)
  const names = [...new Set(runs.map((run) => run.contestant))]
  return names.map((contestant) => {
    const mine = runs.filter((run) => run.contestant === contestant)
    const good = mine.filter((run) => run.failed === undefined)
    const row = { contestant, runs: good.length, ratios: {}, medians: {} }
    for (const metric of METRICS) {
      const value = median(good.map((run) => run[metric]).filter((each) => each !== undefined))
      if (value !== null) row.medians[metric] = value
      const ratios = good.map((run) => ratioToNearest(run, base, metric)).filter((each) => each !== null)
      if (ratios.length > 0) row.ratios[metric] = median(ratios)
    }
    const rates = good.map((run) => run.rate)
    if (rates.length > 1) row.spread = (Math.max(...rates) - Math.min(...rates)) / row.medians.rate
    row.noise = median(good.map((run) => run.noise ?? 0)) ?? 0
    row.generatorCpu = median(good.map((run) => run.generatorCpu ?? 0)) ?? 0
    row.brokerCpu = median(good.map((run) => run.brokerCpu ?? 0)) ?? 0
    for (const name of ['lost', 'duplicated', 'outOfOrder'])
      row[name] = good.reduce((sum, run) => sum + (run[name] ?? 0), 0)
    const failed = mine.find((run) => run.failed !== undefined)
    const troubles = good.find((run) => run.troubles !== undefined)?.troubles
    // The window and the pace of the generator bound the rate: it is then a lower bound, and CPU per message says more.
    const isIdle = good.length > 0 && mine[0].kind === 'rate' && row.brokerCpu > 0 && row.brokerCpu < 90
    const isBounded = isIdle && row.noise < QUIET_PERCENT
    row.notes = [
      ...(isBounded ? [`broker only ${Math.round(row.brokerCpu)}% busy: rate is a lower bound`] : []),
      ...(row.noise >= QUIET_PERCENT ? [`noisy: others took ${Math.round(row.noise)}% of a CPU`] : []),
      ...(failed === undefined ? [] : [`${mine.length - good.length} failed: ${failed.failed}`]),
      ...(troubles === undefined ? [] : [troubles]),
    ]
    return row
  })
}

function ratioToNearest(run, base, metric) {
  let nearest = null
  for (const each of base) {
    if (!(each[metric] > 0)) continue
    if (nearest === null || Math.abs(each.at - run.at) < Math.abs(nearest.at - run.at)) nearest = each
  }
  return nearest === null || !(run[metric] > 0) ? null : run[metric] / nearest[metric]
}

export function formatNumber(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '-'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  if (Number.isInteger(value)) return String(value)
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2)
}

const COLUMNS = {
  rate: [
    ['msg/s', 'rate'],
    ['CPU us/msg', 'cpuUs'],
  ],
  paced: [
    ['msg/s', 'rate'],
    ['CPU us/msg', 'cpuUs'],
    ['p50 us', 'p50'],
    ['p99 us', 'p99'],
  ],
  connect: [
    ['conn/s', 'rate'],
    ['CPU us/conn', 'cpuUs'],
    ['RSS B/conn', 'rssPerConnection'],
  ],
  offline: [
    ['acked/s', 'rate'],
    ['CPU us/msg', 'cpuUs'],
    ['received/s', 'receiveRate'],
    ['CPU us/recv', 'receiveCpuUs'],
    ['ack p99 us', 'ackP99'],
  ],
}

/** Formats one scenario's table as lines of text. */
export function tableOf(name, kind, rows, markdown = false) {
  const head = ['broker', 'runs']
  for (const [title] of COLUMNS[kind]) head.push(title, 'x')
  head.push('spread', 'generator', 'noise', 'lost/dup/order', 'notes')
  const lines = rows.map((row) => [
    row.contestant,
    String(row.runs),
    ...COLUMNS[kind].flatMap(([, metric]) => [formatNumber(row.medians[metric]), formatRatio(row.ratios[metric])]),
    row.spread === undefined ? '-' : `${Math.round(row.spread * 100)}%`,
    `${Math.round(row.generatorCpu)}%`,
    `${Math.round(row.noise)}%`,
    `${row.lost}/${row.duplicated}/${row.outOfOrder}`,
    row.notes.join('; ').slice(0, 160),
  ])
  if (markdown) {
    const cells = [head, head.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`)
    return [`### ${name}`, '', ...cells, '']
  }
  return ['', name, ...aligned([head, ...lines])]
}

export function formatRatio(value) {
  return value === undefined ? '-' : `${value.toFixed(value >= 10 ? 1 : 2)}x`
}

/** Aligns the first and last column left, the others right. */
export function aligned(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 || column === row.length - 1 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
      )
      .join('  ')
      .trimEnd(),
  )
}

/** Goals: how each is computed, and whether it is a minimum or a maximum. */
const GOALS = {
  rate: { of: (row) => row.ratios.rate, isAtLeast: true },
  cpu: { of: (row) => row.ratios.cpuUs },
  p50: { of: (row) => row.ratios.p50 },
  p99: { of: (row) => row.ratios.p99 },
  rssBytes: { of: (row) => row.medians.rssPerConnection },
  rateToAedes: { of: (row, rows) => rateTo(row, rows, 'aedes'), isAtLeast: true },
  // Only for the oldest supported Node.
  rateToNode24: {
    of: (row, rows) => (row.contestant === 'recado' ? rateTo(row, rows, 'recado@24') : undefined),
    isAtLeast: true,
  },
}

function rateTo(row, rows, contestant) {
  const other = rows.find((each) => each.contestant === contestant)
  return other?.ratios.rate > 0 && row.ratios.rate > 0 ? row.ratios.rate / other.ratios.rate : undefined
}

/**
 * Judges a goal of Recado in a scenario for one of its rows: { scenario, metric, goal, reached, isAtLeast, isMet,
 * isNoisy }. A goal that cannot be judged, because the other broker did not run, is left out.
 */
export function judge(scenario, goal, row, rows) {
  return Object.entries(goal ?? {}).flatMap(([metric, wanted]) => {
    const { of, isAtLeast = false } = GOALS[metric]
    const reached = of(row, rows)
    if (reached === undefined) return []
    const isMet = isAtLeast ? reached >= wanted : reached <= wanted
    return [{ scenario, metric, goal: wanted, reached, isAtLeast, isMet, isNoisy: row.noise >= QUIET_PERCENT }]
  })
}
