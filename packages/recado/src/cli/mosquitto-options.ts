/**
 * Parses the command lines of `recado pub`, `sub` and `rr` with the arguments of mosquitto_pub, mosquitto_sub and
 * mosquitto_rr, and with Mosquitto's own error messages, so that scripts and people get the texts that they know.
 *
 * The tables are in `connection-options.ts` and `message-options.ts`. Also read, before the arguments, as Mosquitto
 * does: `$XDG_CONFIG_HOME/mosquitto_pub`, else `~/.config/mosquitto_pub` (one option a line), or the file of `-o`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { invalidByteOf, textOf } from '../argument-bytes.ts'
import * as connectionOptions from './connection-options.ts'
import { type Manner, mannerOf } from './manner.ts'
import * as messageOptions from './message-options.ts'
import { parseProperty } from './mosquitto-properties.ts'
import type { ToolOption, ToolOptionGroup } from './option-spec.ts'
import { defaultOptions, type Tool, type ToolOptions } from './tool-options.ts'

/** Parsed arguments; `error` is the text for stderr. */
export type ParsedArguments = { readonly manner: Manner } & (
  | { readonly kind: 'options'; readonly options: ToolOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'error'; readonly error: string }
)

const { connection, identity, will, tls, other } = connectionOptions
const { messages, subscription, output, end } = messageOptions
const everywhere: readonly ToolOptionGroup[] = [connection, identity, will, tls, other]

/** Groups of options of a tool, in the order of its help. */
export function optionGroupsOf(tool: Tool): readonly ToolOptionGroup[] {
  const own =
    tool === 'pub' ? [messages] : tool === 'sub' ? [subscription, output, end] : [messages, subscription, output]
  return [...own, ...everywhere]
    .map(({ title, options }) => ({
      title,
      options: options.filter(({ tools }) => tools === undefined || tools.includes(tool)),
    }))
    .filter(({ options }) => options.length > 0)
}

const tables = new Map<Tool, ReadonlyMap<string, ToolOption>>()

function tableOf(tool: Tool): ReadonlyMap<string, ToolOption> {
  let table = tables.get(tool)
  if (table === undefined) {
    const rows = optionGroupsOf(tool).flatMap(({ options }) => options)
    table = new Map(rows.flatMap((row) => row.names.map((name) => [name, row] as const)))
    tables.set(tool, table)
  }
  return table
}

/** Parses the whole command line, options file included. */
export function parseArguments(
  tool: Tool,
  argv: readonly string[],
  env: Record<string, string | undefined>,
  invokedAs?: string,
): ParsedArguments {
  const asked = mannerOf(tool, argv, invokedAs)
  if (typeof asked === 'string')
    return { kind: 'error', error: asked, manner: { program: `recado ${tool}`, mosquitto: null } }
  return { ...parse(tool, asked.rest, env, asked.manner), manner: asked.manner }
}

type Parsed = ParsedArguments extends infer Each ? (Each extends unknown ? Omit<Each, 'manner'> : never) : never

function parse(tool: Tool, argv: readonly string[], env: Record<string, string | undefined>, manner: Manner): Parsed {
  const options = defaultOptions(tool)
  const wrong = (error: string): Parsed => ({ kind: 'error', error: withUsage(manner, error) })
  const fileProblem = readOptionsFile(options, argv, env, manner)
  if (fileProblem !== null) return wrong(fileProblem)
  const result = applyAll(options, argv, manner)
  if (result === 'help' || result === 'version') return { kind: result }
  if (result !== null) return wrong(result)
  if (options.noRetained && options.retainedOnly) {
    return { kind: 'error', error: "\nError: Combining '-R' and '--retained-only' makes no sense.\n" }
  }
  // Our own variable: neither in a shell's history nor in the process list.
  const secret = env['RECADO_PASSWORD']
  if (secret !== undefined && options.username !== undefined) options.password ??= secret
  const problem = check(options, manner)
  return problem === null ? { kind: 'options', options } : wrong(problem)
}

const withUsage = ({ program }: Manner, error: string): string => `${error}\n\nUse '${program} --help' to see usage.\n`

function applyAll(options: ToolOptions, argv: readonly string[], manner: Manner): string | null {
  const table = tableOf(options.tool)
  for (let i = 0; i < argv.length; i++) {
    const given = argv[i]!
    if (given === '--help' || given === '--version') return given.slice(2)
    if (given === '-o') {
      i++
      continue
    }
    if (given === '-D' || given === '--property') {
      const taken = parseProperty(argv, i + 1, options.properties, manner)
      if (typeof taken === 'string') return taken
      options.protocolVersion = 5
      i += taken
      continue
    }
    const row = table.get(given)
    if (row === undefined) return `Error: Unknown option '${given}'.`
    let value = ''
    if (row.value !== undefined) {
      if (i === argv.length - 1)
        return row.missing ?? `Error: ${row.names[0]} argument given but no ${row.what} specified.\n`
      value = argv[++i]!
      const invalid = row.isBytes ? null : invalidByteOf(value)
      if (invalid !== null) return `Error: The ${row.what ?? 'value'} of ${given} is not UTF-8 (${invalid}).\n`
    }
    const problem = row.apply(options, value, manner)
    if (problem !== undefined) return problem
  }
  return null
}

function readOptionsFile(
  options: ToolOptions,
  argv: readonly string[],
  env: Record<string, string | undefined>,
  manner: Manner,
): string | null {
  const at = argv.indexOf('-o')
  if (at >= 0 && argv.indexOf('-o', at + 2) >= 0) return 'Error: Duplicate -o argument given.\n'
  if (at >= 0 && at === argv.length - 1) return 'Error: -o argument given but no options file specified.\n'
  const named = at >= 0 ? argv[at + 1] : undefined
  const folder = env['XDG_CONFIG_HOME'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.config'))
  const file = named ?? (folder === undefined ? undefined : join(folder, `mosquitto_${options.tool}`))
  if (file === undefined) return null
  let lines: string[]
  try {
    lines = textOf(readFileSync(file)).split(/\r?\n/)
  } catch (error) {
    // The default file need not exist; one that was asked for must.
    return named === undefined ? null : `Error: Unable to open options file "${file}": ${(error as Error).message}.\n`
  }
  for (const line of lines) {
    if (line === '' || line.startsWith('#')) continue
    const space = line.indexOf(' ')
    const words = space < 0 ? [line] : [line.slice(0, space), line.slice(space + 1)]
    const isProperty = words[0] === '-D' || words[0] === '--property'
    const problem = applyAll(options, isProperty ? line.split(' ').filter((word) => word !== '') : words, manner)
    if (problem !== null) return `${problem} (in ${file})`
  }
  return null
}

/** Returns the error in a combination of options; `null` when it is allowed. */
function check(options: ToolOptions, { mosquitto }: Manner): string | null {
  const { tool, tls } = options
  if (options.willPayload !== undefined && options.willTopic === undefined) {
    return 'Error: Will payload given, but no will topic given.'
  }
  if (options.willRetain && options.willTopic === undefined) return 'Error: Will retain given, but no will topic given.'
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    return 'Error: Both certfile and keyfile must be provided if one of them is set.'
  }
  if (tls.keyForm !== undefined && tls.keyFile === undefined) {
    return 'Error: If keyform is set, keyfile must be also specified.'
  }
  if (tls.keyForm !== undefined && tls.keyForm !== 'pem') {
    return 'Error: Problem setting TLS options, check the options are valid.'
  }
  if (tls.psk !== undefined && (tls.caFile !== undefined || tls.caPath !== undefined)) {
    return 'Error: Only one of --psk or --cafile/--capath may be used at once.'
  }
  if (tls.psk !== undefined && tls.pskIdentity === undefined) return 'Error: --psk-identity required if --psk used.'
  if (tls.psk !== undefined && !/^(?:[0-9a-fA-F]{2})+$/.test(tls.psk)) {
    return 'Error: Problem setting TLS-PSK options: the key is not hexadecimal.'
  }
  const hasOwnId = options.id !== undefined && options.idPrefix === undefined
  if (options.protocolVersion === 5) {
    if (!options.cleanSession) options.sessionExpirySeconds ??= 0xffff_ffff
    if (options.sessionExpirySeconds === 0xffff_ffff && !hasOwnId) {
      return 'Error: You must provide a client id if you are using an infinite session expiry interval.'
    }
  } else if (!options.cleanSession && !hasOwnId) {
    return 'Error: You must provide a client id if you are using the -c option.'
  }
  if (tool === 'sub') {
    // Ending subscriptions without making any came with 2.1.
    if (mosquitto === '2.0' && options.topics.length === 0) return 'Error: You must specify a topic to subscribe to.'
    if (options.topics.length === 0 && options.unsubscribe.length === 0) {
      return 'Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).'
    }
  } else if (tool === 'rr') {
    if (options.topics.length === 0 || options.message === undefined || options.responseTopic === undefined) {
      return 'Error: All of topic, message, and response topic must be supplied.'
    }
  } else if (options.topics.length === 0 || options.message === undefined) {
    return 'Error: Both topic and message must be supplied.'
  }
  return null
}
