/**
 * `recado trace`: prints every step of the messages of a topic, a client or a user as they happen, by the HTTP API of the broker.
 *
 * Called by `main.ts`. The invariant: it ends by itself, when its seconds are over, with the broker, or by a signal.
 */
import { isTopicFilter } from '@recado/protocol'
import { type Command, helpRow, isGiven, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiNotes, apiRows } from './api-client.ts'
import { jsonRow, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'

const SECONDS_DEFAULT = '60'
const SECONDS_MAX = 3_600

export const command: Command = {
  name: 'trace',
  summary: 'prints every step of messages in the broker, as it happens.',
  usage: ['{-t FILTER | --client CLIENT | --user USER} [options]'],
  introduction: `  {program} -t 'sensors/#'
  {program} --client ada --payload --seconds 600`,
  groups: [
    {
      options: [
        { names: ['-t', '--topic'], value: 'FILTER', help: 'messages whose topic matches this Topic Filter' },
        { names: ['--client'], value: 'CLIENT', help: 'messages from or to this Client Identifier' },
        { names: ['--user'], value: 'USER', help: 'messages from or to this user' },
        { names: ['--payload'], help: 'print payloads too, at most 1,024 bytes of each' },
        {
          names: ['--seconds'],
          value: 'N',
          help: `end after so many seconds, at most ${SECONDS_MAX} (default: ${SECONDS_DEFAULT})`,
        },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `Steps: received, refused, authorized, matched, withheld, chosen (of a shared group), queued, sent, acknowledged, dropped.
It needs a token with the role operator. --json prints a line for each step.

${apiNotes}

Exit code: 0; 1 when the broker could not be asked.`,
}

interface Step {
  readonly atMs: number
  readonly step: string
  readonly clientId: string | null
  readonly topic: string
  readonly [detail: string]: unknown
}

export function runTrace(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const topicFilter = valueIn(parsed, '--topic')
    const [client, username] = [valueIn(parsed, '--client'), valueIn(parsed, '--user')]
    if (topicFilter === undefined && client === undefined && username === undefined)
      throw new ToolError('which messages? Give -t FILTER, --client CLIENT or --user USER')
    if (topicFilter !== undefined && !isTopicFilter(topicFilter))
      throw new ToolError(`-t ${safeLine(topicFilter)}: not a Topic Filter`)
    const seconds = valueIn(parsed, '--seconds') ?? SECONDS_DEFAULT
    if (!/^\d{1,4}$/.test(seconds) || Number(seconds) < 1 || Number(seconds) > SECONDS_MAX)
      throw new ToolError(`--seconds ${seconds}: give a whole number from 1 to ${SECONDS_MAX}`)
    const api = new ApiClient(parsed, process.env)
    const isJson = isGiven(parsed, '--json')
    const payload = isGiven(parsed, '--payload') ? 'true' : undefined
    const ending = new AbortController()
    const end = (): void => ending.abort()
    for (const name of ['SIGINT', 'SIGTERM'] as const) io.signals.on(name, end)
    try {
      const parameters = { topicFilter, client, username, payload, seconds }
      for await (const { name, data } of api.events<Step>(
        '/api/v1/trace',
        parameters,
        Number(seconds),
        ending.signal,
      )) {
        if (isJson) io.stdout.write(`${JSON.stringify(name === 'step' ? data : { [name]: data })}\n`)
        else if (name === 'step') io.stdout.write(`${lineOf(data)}\n`)
        else io.stderr.write(`recado trace: ${name} ${safeLine(JSON.stringify(data))}\n`)
      }
    } finally {
      for (const name of ['SIGINT', 'SIGTERM'] as const) io.signals.off(name, end)
    }
    return 0
  })
}

/** One step in one line: time, step, client, topic, and details as NAME=VALUE. */
export function lineOf({ atMs, step, clientId, topic, ...details }: Step): string {
  const time = new Date(atMs).toISOString().slice(11, 23)
  const rest = Object.entries(details)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('')
  return safeLine(`${time} ${step.padEnd(12)} ${clientId ?? '-'} ${topic}${rest}`)
}
