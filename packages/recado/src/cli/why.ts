/**
 * `recado why`: says why a message did not reach a client. It asks the HTTP API of the broker, which remembers what it dropped.
 *
 * Called by `main.ts`.
 */
import { isTopicName } from '@recado/protocol'
import { type Command, helpRow, isGiven, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiNotes, apiRows } from './api-client.ts'
import { jsonRow, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'

export const command: Command = {
  name: 'why',
  summary: 'says why a message did not arrive.',
  usage: ['-t TOPIC [--client CLIENT] [--at TIME] [options]'],
  introduction: `  {program} -t sensors/1/temperature --client ada
  {program} -t sensors/1/temperature --at 14:03:07`,
  groups: [
    {
      options: [
        { names: ['-t', '--topic'], value: 'TOPIC', help: 'topic of the message' },
        { names: ['--client'], value: 'CLIENT', help: 'who should have got it (default: anybody)' },
        {
          names: ['--at'],
          value: 'TIME',
          help: 'when: 14:03:07 of today, or ISO 8601 as in 2026-11-29T14:03:07Z (default: the last one)',
        },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `${apiNotes}

Exit code: 0 with an answer; 1 when the broker could not be asked.`,
}

interface Answer {
  readonly sentence: string
}

export function runWhy(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const topic = valueIn(parsed, '--topic')
    if (topic === undefined) throw new ToolError('-t TOPIC missing: which message did not arrive?')
    if (!isTopicName(topic)) throw new ToolError(`-t ${safeLine(topic)}: a message has a topic without wildcards`)
    const api = new ApiClient(parsed, process.env)
    const at = timeOf(valueIn(parsed, '--at'), new Date())
    const answer = await api.get<Answer>('/api/v1/why', { topic, client: valueIn(parsed, '--client'), at })
    io.stdout.write(`${isGiven(parsed, '--json') ? JSON.stringify(answer) : safeLine(answer.sentence)}\n`)
    return 0
  })
}

/** Time as the API takes it, in milliseconds since the Unix epoch. @throws ToolError */
export function timeOf(text: string | undefined, now: Date): string | undefined {
  if (text === undefined) return undefined
  const clock = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(text)
  if (clock !== null) {
    const time = new Date(now)
    time.setHours(Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0), 0)
    // In the small hours 23:58 is yesterday's.
    if (time.getTime() > now.getTime() + 60_000) time.setDate(time.getDate() - 1)
    return String(time.getTime())
  }
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms)) throw new ToolError(`--at ${text}: expected a time such as 14:03:07 or 2026-11-29T14:03:07Z`)
  return String(ms)
}
