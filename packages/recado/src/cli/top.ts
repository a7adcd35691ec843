/**
 * `recado top`: a running broker at a glance, again and again: rates, queues, drops, and its busiest clients. It asks the
 * broker's HTTP API. On a terminal it is a screen of its own that keys sort; elsewhere, and with `--once`, a plain table.
 *
 * Called by `main.ts`; `top-screen.ts` makes the lines. Invariants: the terminal is as it was afterwards, however it
 * ends; a broker that does not answer is said, and asked again.
 */
import type { Readable } from 'node:stream'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiNotes, apiRows } from './api-client.ts'
import type { ClientRow } from './clients.ts'
import { jsonRow, runTool } from './store-folder.ts'
import { isTerminal } from './terminal.ts'
import { type Column, columnOfKey, columns, type Overview, plainLines, screenLines } from './top-screen.ts'
import { wholeNumber } from './whole-number.ts'

const SECONDS_DEFAULT = 2
const SECONDS_MAX = 3_600
const CLIENTS_MAX = 1_000
/** Clients that a plain table has where `--limit` does not say. */
const CLIENTS_DEFAULT = 20

export const command: Command = {
  name: 'top',
  summary: 'shows rates, queues, drops and the busiest clients of a running broker.',
  usage: ['[--every SECONDS] [--sort COLUMN] [options]', '--once [--json] [options]'],
  introduction: `  {program}
  {program} --once --sort queue --limit 5`,
  groups: [
    {
      options: [
        { names: ['--every'], value: 'SECONDS', help: `ask again after so many seconds (default: ${SECONDS_DEFAULT})` },
        {
          names: ['--sort'],
          value: 'COLUMN',
          help: `column by which clients are sorted, the largest first (default: in):\n${columns.map(({ name }) => name).join(', ')}`,
          completes: columns.map(({ name }) => name),
        },
        {
          names: ['--limit'],
          value: 'N',
          help: `clients that are shown (default: ${CLIENTS_DEFAULT}, on a terminal what fits)`,
        },
        { names: ['--once'], help: 'print a plain table and end, also on a terminal' },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `Keys: ${columns.map(({ key, name }) => `${key} ${name}`).join(', ')} sort; r turns the order round; space
stops and goes on; q or Ctrl-C ends.

${apiNotes}

Exit code: 0; 1 when the broker could not be asked the first time.`,
}

export function runTop(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const api = new ApiClient(parsed, process.env)
    const top = new Top(api, parsed, io)
    const isOnce = isGiven(parsed, '--once') || isGiven(parsed, '--json') || !isTerminal(io.stdout)
    return isOnce ? top.once(isGiven(parsed, '--json')) : top.live()
  })
}

/** Keyboard of a terminal. */
type Keyboard = Readable & { readonly isRaw?: boolean; setRawMode?(isRaw: boolean): unknown }

class Top {
  readonly #api: ApiClient
  readonly #io: Io
  readonly #seconds: number
  readonly #limit: number | null
  #column: Column
  #isReversed = false
  #isStopped = false
  #overview: Overview | null = null
  #fault: string | null = null

  constructor(api: ApiClient, parsed: ParsedCommand, io: Io) {
    this.#api = api
    this.#io = io
    this.#seconds = wholeNumber(parsed, '--every', SECONDS_DEFAULT, 1, SECONDS_MAX)
    this.#limit = isGiven(parsed, '--limit') ? wholeNumber(parsed, '--limit', 0, 1, CLIENTS_MAX) : null
    const wanted = valueIn(parsed, '--sort') ?? 'in'
    this.#column = columns.find(({ name }) => name === wanted)!
  }

  async once(isJson: boolean): Promise<number> {
    const overview = await this.#ask(this.#limit ?? CLIENTS_DEFAULT)
    const { stdout } = this.#io
    if (isJson) stdout.write(`${JSON.stringify(overview)}\n`)
    else
      stdout.write(
        plainLines(overview)
          .map((line) => `${line}\n`)
          .join(''),
      )
    return 0
  }

  async live(): Promise<number> {
    // What is wrong from the beginning is an error, not a screen.
    this.#overview = await this.#ask(this.#shown())
    const { stdout, signals } = this.#io
    const stdin = this.#io.stdin as Keyboard
    const ended = new AbortController()
    const end = (): void => ended.abort()
    let timer: NodeJS.Timeout | undefined
    let isAsking = false
    let isWantedAgain = false
    let failure: unknown = null
    // An error of ours: the terminal comes first.
    const fail = (error: unknown): void => {
      failure = error
      end()
    }
    const draw = (): void => {
      if (!ended.signal.aborted) this.#draw()
    }
    const askAgain = (): void => {
      clearTimeout(timer)
      // What is under way may be in another order.
      isWantedAgain = isAsking
      if (isAsking) return
      isAsking = true
      void this.#refresh().then(() => {
        isAsking = false
        draw()
        if (ended.signal.aborted) return
        if (isWantedAgain) askAgain()
        else timer = setTimeout(askAgain, this.#seconds * 1_000)
      }, fail)
    }
    const onKeys = (keys: Buffer | string): void => {
      for (const key of String(keys)) {
        if (key === 'q' || key === '\x03' || key === '\x04') end()
        else if (this.#takeKey(key)) askAgain()
      }
      draw()
    }
    const wasRaw = stdin.isRaw === true
    signals.on('SIGINT', end)
    signals.on('SIGTERM', end)
    stdout.on('resize', askAgain)
    stdout.on('error', end)
    stdin.on('data', onKeys)
    // Without a keyboard, or when it has gone, signals end it.
    stdin.on('error', () => undefined)
    stdout.write(ENTER)
    try {
      stdin.setRawMode?.(true)
      stdin.resume()
      draw()
      timer = setTimeout(askAgain, this.#seconds * 1_000)
      if (!ended.signal.aborted) await new Promise((resolve) => ended.signal.addEventListener('abort', resolve))
    } finally {
      clearTimeout(timer)
      stdin.off('data', onKeys)
      if (stdin.setRawMode !== undefined && !wasRaw) stdin.setRawMode(false)
      stdin.pause()
      signals.off('SIGINT', end)
      signals.off('SIGTERM', end)
      stdout.off('resize', askAgain)
      stdout.write(LEAVE)
      stdout.off('error', end)
    }
    if (failure !== null) throw failure
    return 0
  }

  /** Takes a key; true when the broker is to be asked at once. */
  #takeKey(key: string): boolean {
    if (key === 'r') this.#isReversed = !this.#isReversed
    else if (key === ' ') this.#isStopped = !this.#isStopped
    else {
      const column = columnOfKey(key)
      if (column === null) return false
      this.#column = column
      this.#isReversed = false
    }
    return !this.#isStopped
  }

  /** Clients that fit the screen. */
  #shown(): number {
    const { rows = 24 } = this.#io.stdout as { rows?: number }
    return Math.max(1, Math.min(this.#limit ?? CLIENTS_MAX, CLIENTS_MAX, rows))
  }

  async #refresh(): Promise<void> {
    if (this.#isStopped) return
    try {
      this.#overview = await this.#ask(this.#shown())
      this.#fault = null
    } catch (error) {
      if (!(error instanceof ToolError)) throw error
      this.#fault = error.message
    }
  }

  #draw(): void {
    const { columns: width = 80, rows: height = 24 } = this.#io.stdout as { columns?: number; rows?: number }
    const lines = screenLines(this.#overview!, {
      width,
      height,
      column: this.#column,
      isStopped: this.#isStopped,
      fault: this.#fault,
    })
    this.#io.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\r\n')}\x1b[J`)
  }

  async #ask(limit: number): Promise<Overview> {
    const api = this.#api
    const isDescending = this.#column.isLargestFirst !== this.#isReversed
    const sort = `${isDescending ? '-' : ''}${this.#column.sort}`
    const [readiness, server, metrics, history, drops, clients] = await Promise.all([
      api.get<{ status: string; problems: string[] }>('/readyz', {}, [503]),
      api.get<{ version: string; host: string; uptimeSeconds: number; memory: { residentBytes: number } }>(
        '/api/v1/server',
      ),
      api.get<{ metrics: { name: string; value: number }[] }>('/api/v1/metrics'),
      api.get<{ series: Record<string, number[]> }>('/api/v1/history', {
        step: '1',
        series: 'messagesReceived,messagesSent,bytesReceived,bytesSent,dropped',
      }),
      api.get<{ byReason: Record<string, number> }>('/api/v1/drops', { limit: '0' }),
      api.get<{ items: ClientRow[] }>('/api/v1/clients', { sort, limit: String(limit) }),
    ])
    const values = Object.fromEntries(metrics.metrics.map(({ name, value }) => [name, value]))
    const rates = Object.fromEntries(Object.entries(history.series).map(([name, list]) => [name, list.at(-1) ?? 0]))
    return {
      ...{ status: readiness.status, problems: readiness.problems },
      ...{ version: server.version, host: server.host, uptimeSeconds: server.uptimeSeconds },
      residentBytes: server.memory.residentBytes,
      ...{ rates, values, dropped: drops.byReason, clients: clients.items },
    }
  }
}

/** Another screen without a cursor, and back. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[H\x1b[J'
const LEAVE = '\x1b[?25h\x1b[?1049l'
