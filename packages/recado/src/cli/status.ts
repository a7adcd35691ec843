/**
 * `recado status`: says whether a running broker can be used, and how it is. It asks the broker's HTTP API.
 *
 * Called by `main.ts`; health checks call it with `--ready`, which needs no login.
 */
import { type Command, helpRow, isGiven } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiNotes, apiRows } from './api-client.ts'
import { byteText, grouped } from './progress.ts'
import { jsonRow, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'

export const command: Command = {
  name: 'status',
  summary: 'says whether a running broker can be used, and how it is.',
  usage: ['[--ready] [options]'],
  introduction: `  {program}
  {program} --ready --url http://127.0.0.1:9883   # for health checks`,
  groups: [
    {
      options: [
        { names: ['--ready'], help: 'ask only whether it can be used; this needs no login' },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `${apiNotes}

Exit code: 0 when the broker can be used; 1 when it cannot, or could not be asked.`,
}

interface Readiness {
  readonly status: string
  readonly problems: readonly string[]
}

interface Server {
  readonly version: string
  readonly host: string
  readonly pid: number
  readonly uptimeSeconds: number
  readonly memory: { readonly residentBytes: number }
}

interface Metric {
  readonly name: string
  readonly unit: string
  readonly value: number
}

/** Metrics that are shown, with their words. */
const shown: readonly (readonly [name: string, label: string])[] = [
  ['clients', 'clients connected'],
  ['sessions', 'sessions'],
  ['subscriptions', 'subscriptions'],
  ['retainedMessages', 'retained messages'],
  ['queuedMessages', 'messages queued'],
  ['inflight', 'messages in flight'],
  ['slowReaders', 'slow readers'],
  ['storedBytes', 'in the store'],
]

export function runStatus(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const api = new ApiClient(parsed, process.env)
    const isJson = isGiven(parsed, '--json')
    const readiness = await api.get<Readiness>('/readyz', {}, [503])
    const isReady = readiness.status === 'ok'
    const print = (text: string): void => void io.stdout.write(`${text}\n`)
    if (isGiven(parsed, '--ready')) {
      if (isJson) print(JSON.stringify(readiness))
      else for (const line of readinessLines(readiness)) print(line)
      return isReady ? 0 : 1
    }
    const [server, { metrics }] = [
      await api.get<Server>('/api/v1/server'),
      await api.get<{ metrics: readonly Metric[] }>('/api/v1/metrics'),
    ]
    if (isJson) {
      const values = Object.fromEntries(metrics.map(({ name, value }) => [name, value]))
      print(JSON.stringify({ ...readiness, server, metrics: values }))
      return isReady ? 0 : 1
    }
    for (const line of readinessLines(readiness)) print(line)
    print(`recado ${safeLine(server.version)} on ${safeLine(server.host)}, process ${server.pid}`)
    print(`running for ${durationText(server.uptimeSeconds)}, ${byteText(server.memory.residentBytes)} of memory`)
    const byName = new Map(metrics.map((metric) => [metric.name, metric]))
    for (const [name, label] of shown) {
      const metric = byName.get(name)
      if (metric === undefined) continue
      const value = metric.unit === 'bytes' ? byteText(metric.value) : grouped(metric.value)
      print(`${value.padStart(12)}  ${label}`)
    }
    for (const { name, value } of metrics)
      if (name.startsWith('dropped.') && value > 0)
        print(`${grouped(value).padStart(12)}  messages dropped: ${name.slice('dropped.'.length)}`)
    return isReady ? 0 : 1
  })
}

function readinessLines({ status, problems }: Readiness): string[] {
  return status === 'ok' ? ['ready'] : ['NOT READY', ...problems.map((problem) => `  ${safeLine(problem)}`)]
}

/** Seconds as the two largest units that matter: `3 d 4 h`. */
export function durationText(seconds: number): string {
  const whole = Math.floor(seconds)
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([value]) => value > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ')
}
