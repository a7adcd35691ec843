/**
 * The tables and charts of docs/network-lab.md and docs/es/network-lab.md, from a results file.
 *
 * `main.ts` writes them with `--write`, between two marks of each page; what stands around them is written by people.
 * Invariant: every figure comes from the results; a cell without a result is a dash.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { CellResult } from './cell.ts'
import { type Find, latencyChart, recoveryChart } from './charts.ts'
import { type Condition, conditions } from './conditions.ts'
import { type DeviceName, deviceNames } from './devices.ts'
import { type Cell, keyOf } from './plan.ts'
import { type ServerName, serverNames } from './servers.ts'
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
  const find: Find = (condition, change = {}) =>
    results.get(keyOf({ condition, server: 'recado', device: 'recado', qos: 1, tls: false, ...change }))
  const text = words[language]
  const steady = conditions.filter(({ events }) => events.length === 0)
  const faults = conditions.filter(({ events }) => events.length > 0)
  const title = (condition: Condition): string => condition.title[language]
  const parts = [
    ['steady', steadyTable(steady, find, text, title)],
    ['devices', deviceTable(steady, find, text, title)],
    ['servers', serverTable(steady, find, text, title)],
    ['faults', faultTable(faults, find, text, title)],
    ['faultServers', faultServerTable(faults, find, text, title)],
    ['qos', qosTable(conditions, find, text, title)],
    ['tls', tlsTable(conditions, find, text, title)],
  ] as const
  return {
    tables: parts.map(([name, table]) => `### ${text.headings[name]}\n\n${text.leads[name]}\n\n${table}`).join('\n\n'),
    charts: {
      latency: latencyChart(steady, find, text, title),
      recovery: recoveryChart(
        faults.filter(({ clock }) => clock === undefined),
        find,
        text,
        title,
      ),
    },
  }
}

type Title = (condition: Condition) => string
type Rows = readonly (readonly string[])[]

function table(head: readonly string[], rows: Rows): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), `|---|${'---:|'.repeat(head.length - 1)}`, ...rows.map(line)].join('\n')
}

type Show = (result: CellResult | undefined, show: (result: CellResult) => string) => string

/** Returns what fills a cell of a table: the result if there is one, and words for a device that never connected. */
const showIn =
  (text: Words): Show =>
  (result, show) => {
    if (result === undefined) return NONE
    return result.isConnected ? show(result) : text.never
  }

const sum = ({ up, down }: CellResult, of: 'sent' | 'lost' | 'duplicated' | 'disordered'): number => up[of] + down[of]
const worst = ({ up, down }: CellResult, of: 'p50Ms' | 'p95Ms' | 'maxMs'): string => {
  const both = [up[of], down[of]].filter((ms) => ms !== null)
  return both.length === 0 ? NONE : String(Math.round(Math.max(...both)))
}
const seconds = (ms: number | null): string => (ms === null ? NONE : (ms / 1_000).toFixed(1))

function steadyTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  const shown = showIn(text)
  const columns = [text.line, text.lost, text.twice, text.late, 'p50', 'p95', 'max', text.packets, text.bytes]
  const rows = list.map((condition) => {
    const result = find(condition)
    return [
      title(condition),
      shown(result, (r) => `${sum(r, 'lost')} / ${sum(r, 'sent')}`),
      ...(['duplicated', 'disordered'] as const).map((of) => shown(result, (r) => String(sum(r, of)))),
      ...(['p50Ms', 'p95Ms', 'maxMs'] as const).map((of) => shown(result, (r) => worst(r, of))),
      shown(result, (r) => r.packetsPerMessage.toFixed(1)),
      shown(result, (r) => String(Math.round(r.bytesPerMessage))),
    ]
  })
  return table(columns, rows)
}

const lostMark = (result: CellResult): string => {
  const lost = sum(result, 'lost')
  return lost === 0 ? '' : ` (−${lost})`
}
const latency = (result: CellResult): string =>
  `${worst(result, 'p50Ms')} / ${worst(result, 'p95Ms')}${lostMark(result)}`

function deviceTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  const shown = showIn(text)
  return table(
    [text.line, ...deviceNames.map((name) => deviceTitles[name])],
    list.map((condition) => [
      title(condition),
      ...deviceNames.map((device) => shown(find(condition, { device }), latency)),
    ]),
  )
}

function serverTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  const shown = showIn(text)
  return table(
    [text.line, ...serverNames.map((name) => serverTitles[name])],
    list.map((condition) => [
      title(condition),
      ...serverNames.map((server) => shown(find(condition, { server }), latency)),
    ]),
  )
}

/** Device noticed / server noticed / recovered, in seconds; and what was lost or came twice. */
function fault(result: CellResult): string {
  const twice = sum(result, 'duplicated')
  const times = [result.deviceNoticedMs, result.serverNoticedMs, result.recoveredMs].map(seconds).join(' / ')
  return `${times}${lostMark(result)}${twice === 0 ? '' : ` (+${twice})`}`
}

function faultTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  return faultColumns(list, find, text, title, deviceNames, deviceTitles, (device: DeviceName) => ({ device }))
}

function faultServerTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  return faultColumns(list, find, text, title, serverNames, serverTitles, (server: ServerName) => ({ server }))
}

function faultColumns<Name extends string>(
  list: readonly Condition[],
  find: Find,
  text: Words,
  title: Title,
  names: readonly Name[],
  titles: Readonly<Record<Name, string>>,
  change: (name: Name) => Partial<Cell>,
): string {
  const shown = showIn(text)
  return table(
    [text.fault, ...names.map((name) => titles[name])],
    list.map((condition) => [title(condition), ...names.map((name) => shown(find(condition, change(name)), fault))]),
  )
}

function qosTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  const shown = showIn(text)
  const cell = (result: CellResult): string =>
    `${sum(result, 'lost')} / ${sum(result, 'duplicated')} / ${sum(result, 'disordered')}; ${worst(result, 'p95Ms')}; ${Math.round(result.bytesPerMessage)}`
  return table(
    [text.line, 'QoS 0', 'QoS 1', 'QoS 2'],
    list.map((condition) => [
      title(condition),
      ...([0, 1, 2] as const).map((qos) => shown(find(condition, { qos }), cell)),
    ]),
  )
}

function tlsTable(list: readonly Condition[], find: Find, text: Words, title: Title): string {
  const shown = showIn(text)
  const cell = (result: CellResult): string =>
    `${worst(result, 'p95Ms')}; ${Math.round(result.bytesPerMessage)}; ${seconds(result.recoveredMs)}`
  return table(
    [text.line, 'TCP', 'TLS 1.3'],
    list.map((condition) => [title(condition), ...[false, true].map((tls) => shown(find(condition, { tls }), cell))]),
  )
}
