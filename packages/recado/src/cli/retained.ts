/**
 * `recado retained`: lists, shows, sets and deletes retained messages of a running broker. It asks the broker's HTTP API.
 *
 * Called by `main.ts`. Invariant: a filter with wildcards deletes nothing unless `--yes` says so.
 */
import { isTopicFilter, isTopicName } from '@recado/protocol'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiRows, changeNotes } from './api-client.ts'
import { messageFrom, messageRows, refusalText } from './api-message.ts'
import { counted } from './progress.ts'
import { jsonRow, printsJson, report, runTool } from './store-folder.ts'
import { isTerminal, safeLine } from './terminal.ts'
import { tableText } from './text-table.ts'
import { wholeNumber } from './whole-number.ts'

const LIMIT_DEFAULT = 100
const LIMIT_MAX = 1_000
const SHOWN_BYTES = 60
const PAYLOAD_BYTES_MAX = 1_048_576
const actions = ['list', 'get', 'set', 'delete'] as const

export const command: Command = {
  name: 'retained',
  summary: 'lists, shows, sets and deletes retained messages of a running broker.',
  usage: [
    'list [FILTER] [--limit N]',
    'get TOPIC',
    'set TOPIC {-m TEXT | -f FILE} [options]',
    'delete FILTER [--dry-run | --yes]',
  ],
  introduction: `list     topics with their retained messages, by topic
get      prints a payload as it is, or with --json all of the message
set      publishes with RETAIN
delete   deletes them: of one topic, or with --yes of all that a filter matches`,
  operands: [
    { name: actions.join(', '), completes: [...actions] },
    {
      name: 'TOPIC or FILTER',
      help: 'Topic Name, or Topic Filter with + and #; default of list: #, all but those that begin with $',
      isOptional: true,
    },
  ],
  groups: [
    {
      options: [
        ...messageRows,
        { names: ['--limit'], value: 'N', help: `list: most messages, up to ${LIMIT_MAX} (default: ${LIMIT_DEFAULT})` },
        { names: ['--dry-run'], help: 'delete: only count' },
        { names: ['--yes'], help: 'delete: do it for a filter with wildcards, too' },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: changeNotes('operator'),
}

interface Shown {
  readonly topic: string
  readonly qos: number
  readonly payload: {
    readonly text: string | null
    readonly base64: string
    readonly bytes: number
    readonly isWhole: boolean
  }
}

export function runRetained(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const [action, topic] = parsed.operands
    switch (action) {
      case 'list':
        return list(topic, parsed, io)
      case 'get':
        return get(mustBeTopic(topic, action), parsed, io)
      case 'set':
        return set(mustBeTopic(topic, action), parsed, io)
      case 'delete':
        return remove(mustBeFilter(topic), parsed, io)
      default:
        throw new ToolError(`"${action}" is none of ${actions.join(', ')}`)
    }
  })
}

/** @throws ToolError */
function mustBeTopic(topic: string | undefined, action: string): string {
  if (topic === undefined) throw new ToolError(`TOPIC missing: recado retained ${action} TOPIC`)
  if (!isTopicName(topic)) throw new ToolError(`${safeLine(topic)}: a message has a topic without wildcards`)
  return topic
}

/** @throws ToolError */
function mustBeFilter(filter: string | undefined): string {
  if (filter === undefined) throw new ToolError('FILTER missing: recado retained delete FILTER')
  if (!isTopicFilter(filter)) throw new ToolError(`${safeLine(filter)}: not a Topic Filter`)
  return filter
}

async function list(filter: string | undefined, parsed: ParsedCommand, io: Io): Promise<number> {
  if (filter !== undefined) mustBeFilter(filter)
  const limit = String(wholeNumber(parsed, '--limit', LIMIT_DEFAULT, 1, LIMIT_MAX))
  const page = await new ApiClient(parsed, process.env).get<{ items: readonly Shown[]; next: string | null }>(
    '/api/v1/retained',
    { topicFilter: filter ?? '#', limit, payloadBytes: isGiven(parsed, '--json') ? undefined : String(SHOWN_BYTES) },
  )
  if (printsJson(parsed, io, page)) return 0
  const rows = page.items.map(({ topic, qos, payload }) => [
    safeLine(topic),
    String(qos),
    String(payload.bytes),
    `${payload.text === null ? Buffer.from(payload.base64, 'base64').toString('hex') : safeLine(payload.text)}${payload.isWhole ? '' : '...'}`,
  ])
  if (rows.length === 0) io.stderr.write('There are no such retained messages.\n')
  io.stdout.write(tableText(['TOPIC', 'QOS', 'BYTES', 'PAYLOAD'], rows, [1, 2]))
  if (page.next !== null) io.stderr.write('There are more: give --limit, or a narrower filter.\n')
  return 0
}

async function get(topic: string, parsed: ParsedCommand, io: Io): Promise<number> {
  const parameters = { topic, payloadBytes: String(PAYLOAD_BYTES_MAX) }
  const message = await new ApiClient(parsed, process.env).get<Shown>('/api/v1/retained/message', parameters)
  if (printsJson(parsed, io, message)) return 0
  const { payload } = message
  if (isTerminal(io.stdout))
    io.stdout.write(`${safeLine(payload.text ?? `${payload.bytes} bytes, in base64: ${payload.base64}`)}\n`)
  else io.stdout.write(Buffer.from(payload.base64, 'base64'))
  if (payload.isWhole) return 0
  io.stderr.write(
    `recado retained: only the first ${PAYLOAD_BYTES_MAX} of ${payload.bytes} bytes: recado sub has them all\n`,
  )
  return 1
}

async function set(topic: string, parsed: ParsedCommand, io: Io): Promise<number> {
  const body = await messageFrom(parsed, io)
  const { reasonCode } = await new ApiClient(parsed, process.env).send<{ reasonCode: number }>(
    'PUT',
    '/api/v1/retained/message',
    { parameters: { topic }, body },
  )
  const refusal = refusalText(reasonCode)
  report(parsed, io, { topic, reasonCode }, refusal ?? 'set')
  return refusal === null ? 0 : 1
}

async function remove(topicFilter: string, parsed: ParsedCommand, io: Io): Promise<number> {
  const isDry = isGiven(parsed, '--dry-run')
  if (!isTopicName(topicFilter) && !isDry && !isGiven(parsed, '--yes')) {
    throw new ToolError(
      `${safeLine(topicFilter)} may match many topics: --dry-run counts the messages, --yes deletes them`,
    )
  }
  const { messages } = await new ApiClient(parsed, process.env).send<{ messages: number }>(
    'DELETE',
    '/api/v1/retained',
    {
      parameters: { topicFilter, dryRun: String(isDry) },
    },
  )
  const text = `${counted(messages, 'retained message')} ${isDry ? 'would be deleted' : 'deleted'}`
  report(parsed, io, { topicFilter, messages, isDryRun: isDry }, text)
  return 0
}
