/**
 * The tables and charts of docs/network-lab.md and docs/es/network-lab.md, from a results file.
 *
 * `main.ts` writes them with `--write`, between two marks of each page; what stands around them is written by people.
 * Invariant: every figure comes from the results; a cell without a result is a dash.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { CellResult } from './cell.ts'
import { latencyChart, type Material, recoveryChart } from './charts.ts'
import { type Condition, conditions } from './conditions.ts'
import { deviceNames } from './devices.ts'
import { type Cell, keyOf } from './plan.ts'
import { serverNames } from './servers.ts'
import { deviceTitles, type Language, serverTitles, type Words, words } from './words.ts'

export type Results = ReadonlyMap<string, CellResult>

const BEGIN = '<!-- lab: begin -->'
const END = '<!-- lab: end -->'
const NONE = '–'
const docs = new URL('../../../../docs/', import.meta.url)

export function writeReport(results: Results): void {
  for (const [language, folder] of [
    ['en', ''],
    ['es', 'es/'],
  ] as const) {
    const { tables, charts } = reportOf(results, language)
    const page = fileURLToPath(new URL(`${folder}network-lab.md`, docs))
    const text = readFileSync(page, 'utf8')
    const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
    if (begin < 0 || end < begin) throw new Error(`${page}: the marks ${BEGIN} and ${END} are not there`)
    writeFileSync(page, `${text.slice(0, begin + BEGIN.length)}\n\n${tables}\n\n${text.slice(end)}`)
    for (const [name, svg] of Object.entries(charts))
      writeFileSync(fileURLToPath(new URL(`${folder}network-lab-${name}.svg`, docs)), svg)
  }
}

export function reportOf(
  results: Results,
  language: Language,
): { tables: string; charts: { latency: string; recovery: string } } {
  const text = words[language]
  const material: Material = {
    text,
    title: (condition) => condition.title[language],
    find: (condition, change = {}) =>
      results.get(keyOf({ condition, server: 'recado', device: 'recado', qos: 1, tls: false, ...change })),
  }
  const steady = conditions.filter(({ events }) => events.length === 0)
  const faults = conditions.filter(({ events }) => events.length > 0)
  const parts = [
    ['steady', steadyTable(steady, material)],
    ['devices', comparison(material, text.line, steady, devices, latency)],
    ['servers', comparison(material, text.line, steady, servers, latency)],
    ['faults', comparison(material, text.fault, faults, devices, fault)],
    ['faultServers', comparison(material, text.fault, faults, servers, fault)],
    ['qos', comparison(material, text.line, conditions, qosLevels, byQoS)],
    ['tls', comparison(material, text.line, conditions, transports, byTransport)],
  ] as const
  const withoutClocks = faults.filter(({ clock }) => clock === undefined)
  return {
    tables: parts.map(([name, table]) => `### ${text.headings[name]}\n\n${text.leads[name]}\n\n${table}`).join('\n\n'),
    charts: { latency: latencyChart(steady, material), recovery: recoveryChart(withoutClocks, material) },
  }
}

/** Columns of a table: what differs from the usual cell in each, with its title. */
type Columns = readonly { readonly title: string; readonly change: Partial<Cell> }[]

const devices: Columns = deviceNames.map((device) => ({ title: deviceTitles[device], change: { device } }))
const servers: Columns = serverNames.map((server) => ({ title: serverTitles[server], change: { server } }))
const qosLevels: Columns = ([0, 1, 2] as const).map((qos) => ({ title: `QoS ${qos}`, change: { qos } }))
const transports: Columns = [
  { title: 'TCP', change: { tls: false } },
  { title: 'TLS 1.3', change: { tls: true } },
]

type Rows = readonly (readonly string[])[]

function table(head: readonly string[], rows: Rows): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), `|---|${'---:|'.repeat(head.length - 1)}`, ...rows.map(line)].join('\n')
}

type Show = (result: CellResult) => string

/** Returns what fills a cell of a table: the result if there is one, and words for a device that never connected. */
function shown(result: CellResult | undefined, text: Words, show: Show): string {
  if (result === undefined) return NONE
  return result.isConnected ? show(result) : text.never
}

/** Table with a row for each condition. */
function comparison(
  { find, text, title }: Material,
  head: string,
  list: readonly Condition[],
  columns: Columns,
  show: Show,
): string {
  return table(
    [head, ...columns.map((column) => column.title)],
    list.map((condition) => [
      title(condition),
      ...columns.map(({ change }) => shown(find(condition, change), text, show)),
    ]),
  )
}

const sum = ({ up, down }: CellResult, of: 'sent' | 'lost' | 'duplicated' | 'disordered'): number => up[of] + down[of]
const worst = ({ up, down }: CellResult, of: 'p50Ms' | 'p95Ms' | 'maxMs'): string => {
  const both = [up[of], down[of]].filter((ms) => ms !== null)
  return both.length === 0 ? NONE : String(Math.round(Math.max(...both)))
}
const seconds = (ms: number | null): string => (ms === null ? NONE : (ms / 1_000).toFixed(1))

function steadyTable(list: readonly Condition[], { find, text, title }: Material): string {
  const columns = [text.line, text.lost, text.twice, text.late, 'p50', 'p95', 'max', text.packets, text.bytes]
  const rows = list.map((condition) => {
    const result = find(condition)
    const cell = (show: Show): string => shown(result, text, show)
    return [
      title(condition),
      cell((r) => `${sum(r, 'lost')} / ${sum(r, 'sent')}`),
      ...(['duplicated', 'disordered'] as const).map((of) => cell((r) => String(sum(r, of)))),
      ...(['p50Ms', 'p95Ms', 'maxMs'] as const).map((of) => cell((r) => worst(r, of))),
      cell((r) => r.packetsPerMessage.toFixed(1)),
      cell((r) => String(Math.round(r.bytesPerMessage))),
    ]
  })
  return table(columns, rows)
}

const lostMark = (result: CellResult): string => {
  const lost = sum(result, 'lost')
  return lost === 0 ? '' : ` (−${lost})`
}
/** Median and 95th percentile of the latency, and what was lost. */
const latency: Show = (result) => `${worst(result, 'p50Ms')} / ${worst(result, 'p95Ms')}${lostMark(result)}`

/** Device noticed / server noticed / recovered, in seconds; and what was lost or came twice. */
const fault: Show = (result) => {
  const twice = sum(result, 'duplicated')
  const times = [result.deviceNoticedMs, result.serverNoticedMs, result.recoveredMs].map(seconds).join(' / ')
  return `${times}${lostMark(result)}${twice === 0 ? '' : ` (+${twice})`}`
}

const byQoS: Show = (result) =>
  `${sum(result, 'lost')} / ${sum(result, 'duplicated')} / ${sum(result, 'disordered')}; ${worst(result, 'p95Ms')}; ${Math.round(result.bytesPerMessage)}`

const byTransport: Show = (result) =>
  `${worst(result, 'p95Ms')}; ${Math.round(result.bytesPerMessage)}; ${seconds(result.recoveredMs)}`
