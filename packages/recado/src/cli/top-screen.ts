/**
 * The lines of `recado top`: the broker above, its clients below.
 *
 * `top.ts` asks the broker and calls this. Text that clients have chosen is escaped; no line is wider than the screen.
 */
import type { ClientRow } from './clients.ts'
import { byteText, grouped } from './progress.ts'
import { durationText } from './status.ts'
import { safeLine } from './terminal.ts'
import { tableText } from './text-table.ts'
import { rateText } from './topic-tree.ts'

/** State of the broker at one moment. */
export interface Overview {
  readonly status: string
  readonly problems: readonly string[]
  readonly version: string
  readonly host: string
  readonly uptimeSeconds: number
  readonly residentBytes: number
  /** Rates per second, by the names of time series. */
  readonly rates: Readonly<Record<string, number>>
  /** Counters and gauges, by name. */
  readonly values: Readonly<Record<string, number>>
  /** Messages that were dropped since the start, by reason. */
  readonly dropped: Readonly<Record<string, number>>
  readonly clients: readonly ClientRow[]
}

/** Column of the table of clients. */
export interface Column {
  /** Name on the command line. */
  readonly name: string
  readonly key: string
  readonly head: string
  /** Column of the API by which it sorts. */
  readonly sort: string
  /** Whether the largest value comes first. */
  readonly isLargestFirst: boolean
  readonly isNumber: boolean
  text(client: ClientRow): string
}

const column = (
  [name, key, head, sort]: readonly [string, string, string, string],
  text: (client: ClientRow) => string,
): Column => ({ name, key, head, sort, isLargestFirst: true, isNumber: true, text })
const textColumn = (names: readonly [string, string, string, string], text: (client: ClientRow) => string): Column => ({
  ...column(names, text),
  isLargestFirst: false,
  isNumber: false,
})

export const columns: readonly Column[] = [
  textColumn(['client', 'c', 'CLIENT', 'clientId'], ({ clientId }) => cut(safeLine(clientId), 32)),
  textColumn(['user', 'n', 'USER', 'username'], ({ username }) =>
    username === null ? '-' : cut(safeLine(username), 16),
  ),
  column(['in', 'i', 'IN/S', 'rateReceived'], ({ rates }) => rateNumber(rates.messagesReceived)),
  column(['out', 'o', 'OUT/S', 'rateSent'], ({ rates }) => rateNumber(rates.messagesSent)),
  column(['queue', 'u', 'QUEUE', 'queuedMessages'], ({ session }) => grouped(session.queuedMessages)),
  column(['flight', 'f', 'FLIGHT', 'inflight'], ({ session }) => grouped(session.inflight)),
  column(['drops', 'd', 'DROPS', 'droppedMessages'], ({ session }) => grouped(session.droppedMessages)),
  column(['waiting', 'w', 'WAITING', 'waitingBytes'], ({ waitingBytes }) => byteText(waitingBytes)),
  column(['subs', 's', 'SUBS', 'subscriptions'], ({ session }) => grouped(session.subscriptions)),
  textColumn(['address', 'a', 'ADDRESS', 'remoteAddress'], ({ remoteAddress }) => cut(safeLine(remoteAddress), 24)),
]

/** Column that a key sorts by; null for none. */
export const columnOfKey = (pressed: string): Column | null => columns.find(({ key }) => key === pressed) ?? null

const rateNumber = (rate: number): string => rateText(rate).slice(0, -'/s'.length)

/** Text of at most `width` characters. */
function cut(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`
}

/** Lines about the broker as a whole. */
function headLines(overview: Overview): string[] {
  const { status, problems, version, host, uptimeSeconds, residentBytes, rates, values, dropped } = overview
  const value = (name: string): string => grouped(values[name] ?? 0)
  const rate = (name: string): string => rateText(rates[name] ?? 0)
  const bytes = (name: string): string => `${byteText(rates[name] ?? 0)}/s`
  const reasons = Object.entries(dropped)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one)
    .map(([reason, count]) => `${reason} ${grouped(count)}`)
  return [
    `recado ${safeLine(version)} on ${safeLine(host)}, up ${durationText(uptimeSeconds)}, ${byteText(residentBytes)} of memory: ${
      status === 'ok' ? 'ready' : `NOT READY: ${problems.map(safeLine).join(' ')}`
    }`,
    `clients ${value('clients')}  sessions ${value('sessions')}  subscriptions ${value('subscriptions')}  retained ${value('retainedMessages')}  slow readers ${value('slowReaders')}`,
    `in ${rate('messagesReceived')} (${bytes('bytesReceived')})  out ${rate('messagesSent')} (${bytes('bytesSent')})  queued ${value('queuedMessages')}  in flight ${value('inflight')}  store lag ${Math.round(values['storeLagMs'] ?? 0)} ms`,
    `dropped ${rate('dropped')}${reasons.length === 0 ? ', none since the start' : `: ${reasons.join(', ')}`}`,
  ]
}

const right = columns.flatMap(({ isNumber }, index) => (isNumber ? [index] : []))

function clientLines({ clients }: Overview, sorted: Column | null): string[] {
  const head = columns.map((each) => (each === sorted ? `*${each.head}` : each.head))
  const rows = clients.map((client) => columns.map((each) => each.text(client)))
  return rows.length === 0 ? ['no clients are connected'] : tableText(head, rows, right).trimEnd().split('\n')
}

/** Lines for a file, a pipe or `--once`. */
export function plainLines(overview: Overview): string[] {
  return [...headLines(overview), '', ...clientLines(overview, null)]
}

export interface ScreenOptions {
  readonly width: number
  readonly height: number
  readonly column: Column
  readonly isStopped: boolean
  /** Reason why these are old figures; null when they are not. */
  readonly fault: string | null
}

/** Lines of a whole screen, `height` at most. */
export function screenLines(
  overview: Overview,
  { width, height, column: by, isStopped, fault }: ScreenOptions,
): string[] {
  const keys = columns.map(({ key, name }) => `${key} ${name}`).join('  ')
  const last = fault !== null ? `! ${safeLine(fault)}` : isStopped ? 'stopped: space goes on' : `q end  r turn  ${keys}`
  const above = [...headLines(overview), ...clientLines(overview, by)].slice(0, Math.max(0, height - 1))
  return [...above, last].map((line) => cut(line, width))
}
