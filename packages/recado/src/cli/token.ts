/**
 * `recado token`: makes, lists and revokes bearer tokens of the HTTP API, in the broker's file of tokens.
 *
 * Called by `main.ts`. A running broker sees the change within a second; it need not run.
 */
import {
  type Role,
  roles,
  TOKEN_DAYS,
  TOKEN_DAYS_MAX,
  type Token,
  TokenFile,
  TokenFileError,
} from '@recado/admin/tokens'
import { tokenFileOf } from '../admin/token-file.ts'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import { loadConfig } from '../config/config.ts'
import type { Io } from '../io.ts'
import { folderRows, jsonRow, printsJson, report, runTool } from './store-folder.ts'

const DAY_MS = 86_400_000

export const command: Command = {
  name: 'token',
  summary: 'tokens for the HTTP API (protocol http_api).',
  usage: ['create NAME [--role ROLE] [--days DAYS | --for-ever]', 'list [--json]', 'revoke ID'],
  introduction: `create   makes a token and prints it on stdout, once: it is never to be had again
list     shows name, role and end of each token
revoke   ends a token at once`,
  operands: [
    { name: 'create, list or revoke', completes: ['create', 'list', 'revoke'] },
    { name: 'NAME or ID', help: 'create: what uses it, such as grafana; revoke: as list shows it', isOptional: true },
  ],
  groups: [
    {
      options: [
        {
          names: ['--role'],
          value: 'ROLE',
          help: 'viewer looks, operator also publishes and disconnects, admin also changes the broker (default viewer)',
          completes: roles,
        },
        { names: ['--days'], value: 'DAYS', help: `end of the token, from now (default ${TOKEN_DAYS})` },
        { names: ['--for-ever'], help: 'the token does not expire' },
        {
          names: ['--file'],
          value: 'FILE',
          help: 'file of tokens (default: that of the configuration)',
          completes: 'file',
        },
        ...folderRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `Use it as in: curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:9883/api/v1/server

Exit code: 0, or 1 when the file cannot be read or written, or there is no such token.`,
}

export function runToken(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const [action, operand] = parsed.operands
    try {
      const file = new TokenFile(pathOf(parsed))
      if (file.fault !== null) throw new ToolError(file.fault)
      switch (action) {
        case 'create':
          return create(file, needed(operand, 'NAME'), parsed, io)
        case 'list':
          return list(file, parsed, io)
        case 'revoke':
          return revoke(file, needed(operand, 'ID'), parsed, io)
        default:
          throw new ToolError(`"${action}" is none of create, list and revoke`)
      }
    } catch (error) {
      if (error instanceof TokenFileError) throw new ToolError(error.message)
      throw error
    }
  })
}

function needed(operand: string | undefined, name: string): string {
  if (operand === undefined) throw new ToolError(`${name} missing, see recado token --help`)
  return operand
}

function pathOf(parsed: ParsedCommand): string {
  const given = valueIn(parsed, '--file')
  if (given !== undefined) return given
  const configFile = valueIn(parsed, '--config-file') ?? null
  const dataFolder = valueIn(parsed, '--data') ?? null
  const config = loadConfig({ configFile, dataFolder, ports: [], verbose: false, quiet: false })
  const path = tokenFileOf(config)
  if (path === null) {
    throw new ToolError('nothing is kept, so there is no file of tokens: set http_api_token_file, or give --file')
  }
  return path
}

function create(file: TokenFile, name: string, parsed: ParsedCommand, io: Io): number {
  const role = (valueIn(parsed, '--role') ?? 'viewer') as Role
  if (isGiven(parsed, '--for-ever') && isGiven(parsed, '--days'))
    throw new ToolError('give --days or --for-ever, not both')
  const text = valueIn(parsed, '--days') ?? String(TOKEN_DAYS)
  const days = Number(text)
  if (!/^\d{1,4}$/.test(text) || days < 1 || days > TOKEN_DAYS_MAX) {
    throw new ToolError(`--days ${text}: give a whole number from 1 to ${TOKEN_DAYS_MAX}, or --for-ever`)
  }
  const expiresAtMs = isGiven(parsed, '--for-ever') ? null : Date.now() + days * DAY_MS
  const made = file.create({ name, role, expiresAtMs, createdBy: 'recado token' })
  if (printsJson(parsed, io, { ...made.token, text: made.text })) return 0
  io.stdout.write(`${made.text}\n`)
  io.stderr.write(`${endOf(made.token)}, role ${role}, in ${file.path}. Keep it: it is not shown again.\n`)
  return 0
}

function list(file: TokenFile, parsed: ParsedCommand, io: Io): number {
  const tokens = file.list()
  if (printsJson(parsed, io, tokens)) return 0
  if (tokens.length === 0) io.stderr.write(`There are no tokens in ${file.path}.\n`)
  for (const token of tokens) {
    io.stdout.write(`${token.id}  ${token.role.padEnd(8)}  ${endOf(token).padEnd(32)}  ${token.name}\n`)
  }
  return 0
}

function revoke(file: TokenFile, id: string, parsed: ParsedCommand, io: Io): number {
  const revoked = file.revoke(id)
  if (revoked === null) throw new ToolError(`there is no token ${id} in ${file.path}: "recado token list" shows them`)
  report(parsed, io, revoked, `The token ${id} (${revoked.name}) is revoked.`)
  return 0
}

function endOf({ expiresAtMs }: Token): string {
  if (expiresAtMs === null) return 'does not expire'
  const date = new Date(expiresAtMs).toISOString().slice(0, 10)
  return expiresAtMs <= Date.now() ? `expired on ${date}` : `ends on ${date}`
}
