/**
 * `recado ctrl dynsec|broker`: mosquitto_ctrl for the dynamic security of a broker, ours or Mosquitto's, and for what it says of
 * itself.
 *
 * Called by `main.ts`; the commands are in `dynsec-commands.ts`. One difference, on purpose: a command that the broker refuses is exit code 1 in our own manner,
 * where mosquitto_ctrl says 0.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { type HashKind, passwordHash } from '@recado/broker'
import { type Client, MqttError, PublishError, SubscribeError } from '@recado/client'
import { bytesOf } from '../argument-bytes.ts'
import {
  type Command,
  helpText,
  isGiven,
  longHelpRow,
  type ParsedCommand,
  parseCommand,
  ToolError,
  valueIn,
} from '../command-table.ts'
import { didYouMean } from '../config/suggest.ts'
import type { Io } from '../io.ts'
import { brokerCommands } from './broker-commands.ts'
import { asMosquitto, connection, identity, tls } from './connection-options.ts'
import { type DynsecCommand, dynsecCommands, type Request } from './dynsec-commands.ts'
import { helpExitCode, type Manner, mannerOf } from './manner.ts'
import { connectFailure, reasonText, systemErrorText } from './mosquitto-messages.ts'
import type { ToolOption } from './option-spec.ts'
import { readSecret } from './secret.ts'
import { isForeseen } from './store-folder.ts'
import { safeLine, safeText } from './terminal.ts'
import { ArgumentError, makeClient, prepare } from './tool-client.ts'
import { defaultOptions, type ToolOptions } from './tool-options.ts'

/** Options that the connection of a tool has, without topics. */
const without = ['-L', '-c', '-x']
const rows = (group: { readonly options: readonly ToolOption[] }): ToolOption[] =>
  group.options.filter(({ names, isHidden }) => isHidden !== true && !names.some((name) => without.includes(name)))

const connectionRows = [...rows(connection), ...rows(identity), ...rows(tls)]

const width = Math.max(...dynsecCommands.map(({ name, takes }) => `${name} ${takes}`.length))

export const command: Command = {
  name: 'ctrl',
  summary: "administers a broker's dynamic security, like mosquitto_ctrl.",
  usage: [
    '[options] dynsec COMMAND ...',
    '[options] broker COMMAND',
    'dynsec init FILE USER [PASSWORD]     makes the file of a broker, with an administrator',
  ],
  introduction: `  {program} -u admin dynsec createRole reader
  {program} -u admin dynsec addRoleACL reader subscribePattern 'home/#' allow
  {program} -u admin dynsec createClient ada
  {program} -u admin dynsec addClientRole ada reader`,
  operands: [
    { name: 'MODULE', completes: ['dynsec', 'broker'] },
    {
      name: 'COMMAND',
      completes: ['init', 'help', ...[...dynsecCommands, ...brokerCommands].map(({ name }) => name)],
    },
    { name: 'ARGUMENT', isOptional: true, repeats: true },
  ],
  groups: [
    { title: 'Connection', options: rows(connection) },
    { title: 'Identity of the client', options: rows(identity) },
    { title: 'TLS', options: rows(tls) },
    {
      title: 'Other',
      options: [{ names: ['--json'], help: 'prints the data of the answer as JSON' }, asMosquitto, longHelpRow],
    },
  ],
  notes: `Commands:
${dynsecCommands.map(({ name, takes, help }) => `  ${`${name} ${takes}`.padEnd(width)}  ${help}`).join('\n')}

Commands of broker, where enable_control_api is true:
${brokerCommands.map(({ name, help }) => `  ${name.padEnd(width)}  ${help}`).join('\n')}

ACLTYPE is publishClientSend, publishClientReceive, subscribeLiteral, subscribePattern, unsubscribeLiteral or unsubscribePattern; for
setDefaultACLAccess publishClientSend, publishClientReceive, subscribe or unsubscribe. Roles, groups and rules of a higher PRIORITY come first.

Exit code: 0; 1 for wrong arguments, unreachable servers and commands that are refused.`,
}

/** Exit codes of libmosquitto: wrong arguments, an unknown command, an error of the system. */
const [INVALID, UNKNOWN, SYSTEM] = [3, 13, 14]

/** A part of the broker that takes commands. */
interface Module {
  readonly commands: readonly DynsecCommand[]
  /** Topic of its requests; answers come to `/response` below it. */
  readonly topic: string
  /** Question about a broker that does not answer. */
  readonly lacks: string
}

const modules: Readonly<Record<string, Module>> = {
  dynsec: {
    commands: dynsecCommands,
    topic: '$CONTROL/dynamic-security/v1',
    lacks: 'has the broker dynamic security?',
  },
  broker: { commands: brokerCommands, topic: '$CONTROL/broker/v1', lacks: 'has the broker enable_control_api?' },
}

const ANSWER_MS = 10_000

/** @param invokedAs the name of Mosquitto's tool by which the program was started */
export async function runCtrl(argv: readonly string[], io: Io, invokedAs?: string): Promise<number> {
  const told = mannerOf('ctrl', argv, invokedAs)
  if (typeof told === 'string') {
    io.stderr.write(told)
    return 1
  }
  const { manner, rest } = told
  try {
    const parsed = parseCommand(command, rest, true)
    const [module, name = '', ...given] = parsed.operands
    if (parsed.isHelp || name.toLowerCase() === 'help') {
      io.stdout.write(helpText(command, manner.program))
      return parsed.isHelp ? helpExitCode(manner) : 0
    }
    const asked = Object.hasOwn(modules, module ?? '') ? modules[module!] : undefined
    if (asked === undefined) throw new ToolError(`unknown module "${module}": there are dynsec and broker`)
    if (module === 'dynsec' && name.toLowerCase() === 'init') return await init(given, io, manner)
    const { commands } = asked
    const found = commands.find((each) => each.name.toLowerCase() === name.toLowerCase())
    if (found === undefined) {
      const known = commands.map((each) => each.name)
      io.stderr.write(`Command '${name}' not recognised.${didYouMean(name, known).replace(', d', ' D')}\n`)
      return manner.mosquitto === null ? 1 : UNKNOWN
    }
    const request = await requestOf(found, given, io)
    return await new Control(parsed, io, manner, asked).run(found, request)
  } catch (error) {
    if (error instanceof ToolError && manner.mosquitto !== null) {
      io.stderr.write('Error: Invalid function arguments provided.\n')
      return INVALID
    }
    if (error instanceof ArgumentError) io.stderr.write(error.message)
    else if (isForeseen(error)) io.stderr.write(`${manner.program}: ${error.message}\n`)
    else throw error
    return 1
  }
}

/** Reads the question from the arguments. @throws ToolError */
async function requestOf(found: DynsecCommand, given: readonly string[], io: Io): Promise<Request> {
  const { name, takes, fields, required, hasRest, complete, asksPassword } = found
  if (given.length < required || (given.length > fields.length && hasRest !== true)) {
    throw new ToolError(`${name} takes ${takes === '' ? 'nothing' : takes}`)
  }
  let request: Request = Object.fromEntries(
    fields.map((field, index) => [field, given[index]]).filter(([, value]) => value !== undefined),
  )
  if (complete !== undefined) request = complete(request, given.slice(fields.length))
  if (asksPassword === true && request['password'] === undefined) {
    request['password'] = await readSecret(
      io,
      `New password for ${request['username']}: `,
      `Reenter password for ${request['username']}: `,
    )
  }
  return request
}

class Control {
  readonly #parsed: ParsedCommand
  readonly #io: Io
  readonly #manner: Manner
  readonly #module: Module
  readonly #options: ToolOptions

  constructor(parsed: ParsedCommand, io: Io, manner: Manner, module: Module) {
    this.#parsed = parsed
    this.#io = io
    this.#manner = manner
    this.#module = module
    this.#options = { ...defaultOptions('pub'), protocolVersion: 5 }
    for (const row of connectionRows) {
      const name = row.names.at(-1)!
      if (!isGiven(parsed, name)) continue
      const problem = row.apply(this.#options, valueIn(parsed, name) ?? '', manner)
      if (problem !== undefined) throw new ToolError(problem.replace(/^Error: /, '').trim())
    }
    const secret = process.env['RECADO_PASSWORD']
    if (this.#options.username !== undefined && secret !== undefined) this.#options.password ??= secret
  }

  async run(found: DynsecCommand, request: Request): Promise<number> {
    await prepare(this.#options, this.#io)
    const client = makeClient(this.#options, this.#manner, { reconnect: false })
    try {
      await client.connect()
    } catch (error) {
      const { text, exitCode } = connectFailure(error, false)
      this.#io.stderr.write(text)
      return exitCode === 1 && this.#manner.mosquitto !== null ? SYSTEM : exitCode
    }
    try {
      return await this.#ask(client, found, request)
    } catch (error) {
      if (error instanceof SubscribeError) this.#io.stderr.write(`Subscribe error: ${reasonText(error.reasonCode)}\n`)
      else if (error instanceof PublishError) this.#io.stderr.write(`Publish error: ${reasonText(error.reasonCode)}\n`)
      else if (error instanceof MqttError) this.#io.stderr.write(`Error: ${safeLine(error.message)}\n`)
      else throw error
      return 1
    } finally {
      await client.close({ drainMs: 0 })
    }
  }

  async #ask(client: Client, found: DynsecCommand, request: Request): Promise<number> {
    let answer: (text: string) => void = () => {}
    const answered = new Promise<string>((resolve) => {
      answer = resolve
    })
    const { topic, lacks } = this.#module
    await client.subscribe(`${topic}/response`, { qos: 1, literal: true }, (message) => answer(message.text())).ready
    await client.publish(topic, JSON.stringify({ commands: [{ command: found.name, ...request }] }), { qos: 1 })
    const timer = setTimeout(() => answer(''), ANSWER_MS)
    const text = await answered
    clearTimeout(timer)
    if (text === '') {
      this.#io.stderr.write(`Error: No answer within ${ANSWER_MS / 1_000} s: ${lacks}\n`)
      return 1
    }
    return this.#print(found, responseIn(text))
  }

  #print({ name, print }: DynsecCommand, response: Request | null): number {
    if (response === null) {
      this.#io.stderr.write('Error: Invalid response from server.\n')
      return 1
    }
    const { error } = response
    if (typeof error === 'string') {
      this.#io.stderr.write(`${name}: Error: ${safeLine(error)}${this.#manner.mosquitto === '2.0' ? '' : '.'}\n`)
      return this.#manner.mosquitto === null ? 1 : 0
    }
    const data = (response['data'] ?? {}) as Request
    if (isGiven(this.#parsed, '--json')) this.#io.stdout.write(`${JSON.stringify(data)}\n`)
    else if (print !== undefined)
      for (const line of print(data, this.#manner.mosquitto === '2.0'))
        this.#io.stdout.write(`${safeText(line).replaceAll('\n', '\\x0a')}\n`)
    return 0
  }
}

/** Returns the first response of an answer; null: it is none. */
function responseIn(text: string): Request | null {
  try {
    const { responses } = JSON.parse(text) as { responses?: unknown }
    return Array.isArray(responses) && typeof responses[0] === 'object' ? (responses[0] as Request) : null
  } catch {
    return null
  }
}

const everything = ['$CONTROL/dynamic-security/#', '$SYS/#', '#']

/** Makes the file of a new broker, with one client that may administer it. The form is that of 2.0, which 2.1 reads too. */
async function init(given: readonly string[], io: Io, { program }: Manner): Promise<number> {
  const [file, username, password] = given
  if (file === undefined || username === undefined) throw new ToolError('init takes FILE USER [PASSWORD]')
  if (given.length > 3) throw new ToolError('init takes no more than FILE USER PASSWORD')
  const kind: HashKind = 'sha512-pbkdf2'
  const secret =
    password ?? (await readSecret(io, `New password for ${username}: `, `Reenter password for ${username}: `))
  const [, , iterations, salt, hash] = (await passwordHash(kind, bytesOf(secret))).split('$')
  const acl = (acltype: string, topic: string): object => ({ acltype, topic, allow: true })
  const acls = [
    acl('publishClientSend', everything[0]!),
    ...everything.flatMap((topic) => [acl('publishClientReceive', topic), acl('subscribePattern', topic)]),
    acl('unsubscribePattern', '#'),
  ]
  const contents = {
    defaultACLAccess: { publishClientSend: false, publishClientReceive: true, subscribe: false, unsubscribe: true },
    clients: [
      {
        ...{ username, textName: 'Dynsec admin user', password: hash, salt, iterations: Number(iterations) },
        roles: [{ rolename: 'admin' }],
      },
    ],
    roles: [{ rolename: 'admin', acls }],
  }
  let fd: number
  try {
    fd = openSync(file, 'wx', 0o640)
  } catch (error) {
    io.stderr.write(
      `dynsec init: Unable to open '${file}' for writing (${systemErrorText(error as NodeJS.ErrnoException)}).\n`,
    )
    return 1
  }
  writeFileSync(fd, `${JSON.stringify(contents, null, 2)}\n`)
  closeSync(fd)
  io.stdout.write(
    `The client '${username}' has been created in the file '${file}'. It may administer clients, groups and roles, and publish to no other topics.\n` +
      `Next: ${program} -u ${username} dynsec createClient USER\n`,
  )
  return 0
}
