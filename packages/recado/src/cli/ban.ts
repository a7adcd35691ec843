/**
 * `recado ban`: keeps a client, a user or an address away from a running broker for a time. It asks the broker's HTTP
 * API.
 *
 * Called by `main.ts`. Bans that a configuration or too many connections have made are not listed here.
 */
import { type Command, helpRow, type ParsedCommand, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiRows, changeNotes, segment } from './api-client.ts'
import { counted } from './progress.ts'
import { durationText } from './status.ts'
import { jsonRow, printsJson, report, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'
import { tableText } from './text-table.ts'
import { wholeNumber } from './whole-number.ts'

const SECONDS_DEFAULT = 3_600
const SECONDS_MAX = 31_536_000
const kinds = ['clientid', 'username', 'address'] as const

export const command: Command = {
  name: 'ban',
  summary: 'keeps clients away from a running broker for a time.',
  usage: [
    '{clientid | username | address} NAME [--for SECONDS]',
    'list [--json]',
    'end {clientid | username | address} NAME',
  ],
  introduction: `  {program} clientid noisy --for 600
  {program} list
  {program} end clientid noisy`,
  operands: [
    {
      name: 'clientid, username, address, list or end',
      help: 'what NAME is, or what to do with bans',
      completes: [...kinds, 'list', 'end'],
    },
    { name: 'NAME', help: 'Client Identifier, user name, or address without port', isOptional: true, repeats: true },
  ],
  groups: [
    {
      options: [
        { names: ['--for'], value: 'SECONDS', help: `length of the ban (default: ${SECONDS_DEFAULT})` },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `Clients that it concerns are disconnected at once. A ban ends with its time, and with the broker.

${changeNotes('operator')}`,
}

interface Ban {
  readonly kind: string
  readonly name: string
  readonly untilMs: number
  readonly by: string
}

export function runBan(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const [action, ...rest] = parsed.operands
    if (action === 'list') {
      if (rest.length > 0) throw new ToolError(`"${rest[0]}" is one argument too many, see recado ban --help`)
      return list(parsed, io)
    }
    const [kind, name] = action === 'end' ? mustBeBan(rest) : mustBeBan(parsed.operands)
    const api = new ApiClient(parsed, process.env)
    if (action === 'end') {
      await api.send('DELETE', `/api/v1/bans/${kind}/${segment(name)}`)
      report(parsed, io, { kind, name, isDone: true }, `The ban of the ${kind} ${safeLine(name)} has ended.`)
      return 0
    }
    const seconds = wholeNumber(parsed, '--for', SECONDS_DEFAULT, 1, SECONDS_MAX)
    const { disconnected } = await api.send<{ disconnected: number }>('POST', '/api/v1/bans', {
      body: { kind, name, seconds },
    })
    const text = `The ${kind} ${safeLine(name)} is banned for ${durationText(seconds)}; ${counted(disconnected, 'client')} disconnected.`
    report(parsed, io, { kind, name, seconds, disconnected }, text)
    return 0
  })
}

/** @throws ToolError */
function mustBeBan([kind, name, surplus]: readonly string[]): [kind: string, name: string] {
  if (!kinds.some((each) => each === kind)) {
    const said = kind === undefined ? 'what to ban is missing' : `"${kind}" is nothing to ban`
    throw new ToolError(`${said}: give ${kinds.join(', ')} and a name, see recado ban --help`)
  }
  if (name === undefined || name === '') throw new ToolError(`the ${kind} is missing, see recado ban --help`)
  if (surplus !== undefined) throw new ToolError(`"${surplus}" is one argument too many, see recado ban --help`)
  return [kind!, name]
}

async function list(parsed: ParsedCommand, io: Io): Promise<number> {
  const { items } = await new ApiClient(parsed, process.env).get<{ items: readonly Ban[] }>('/api/v1/bans')
  if (printsJson(parsed, io, items)) return 0
  if (items.length === 0) io.stderr.write('There are no bans.\n')
  const nowMs = Date.now()
  const rows = items.map(({ kind, name, untilMs, by }) => [
    kind,
    safeLine(name),
    durationText(Math.max(0, untilMs - nowMs) / 1_000),
    safeLine(by),
  ])
  io.stdout.write(tableText(['KIND', 'NAME', 'LEFT', 'BY'], rows))
  return 0
}
