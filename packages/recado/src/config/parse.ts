/**
 * Reads a mosquitto.conf: lines become settings, each checked against the schema, in the blocks that they belong to.
 *
 * `config.ts` calls `parseConfigFile` and makes the configuration from the blocks. Invariant: every line either becomes
 * a setting or throws a `ConfigError` that names file and line, or is a fault of its bridge (`Block.faults`); nothing is
 * skipped silently. An option without effect is a setting too, and a warning.
 *
 * The format is mosquitto.conf(5): NAME VALUE with blanks between them, `#` at the beginning of a line for a comment. A
 * file that both Mosquitto 2.0 and 2.1 accept is accepted, and one that both refuse is refused;
 * `mosquitto-cases.test-support.ts` has each difference with its reason.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MqttError } from '@recado/protocol'
import { findOption, type Option, optionNames } from './schema.ts'
import { didYouMean } from './suggest.ts'

/** Kind of a fault that Mosquitto has words for (`mosquitto-errors.ts`). */
export type FaultKind =
  | 'unknown'
  | 'empty'
  | 'invalid'
  | 'duplicate'
  | 'not-a-number'
  | 'out-of-range'
  | 'too-long'
  | 'duration'
  | 'needs-listener'
  | 'needs-bridge'
  | 'needs-plugin'
  | 'too-late'
  | 'no-socket-path'
  | 'has-wildcard'
  | 'no-closing-quote'
  | 'no-address'
  | 'no-topic'
  | 'no-identity'
  | 'no-psk'
  /** Files and settings of TLS, which Mosquitto looks at when it opens the listener. */
  | 'tls'

export interface OptionFault {
  readonly kind: FaultKind
  /** Option as it was written. */
  readonly name: string
  /** Value, or the wrong part of it; '' for none. */
  readonly value: string
}

/** Fault with its place. `message` is one line: `file:line: what`. */
export class ConfigError extends MqttError {
  override name: string = 'ConfigError'
  readonly file: string
  /** Line number, from 1; 0 when the file as a whole is meant. */
  readonly line: number
  /** Kind of the fault; null for one that Mosquitto has no words for. */
  readonly fault: OptionFault | null
  constructor(file: string, line: number, what: string, fault: OptionFault | null = null) {
    super('ERR_RECADO_CONFIG', line > 0 ? `${file}:${line}: ${what}` : `${file}: ${what}`)
    this.file = file
    this.line = line
    this.fault = fault
  }
}

/** `listener` line: port 0 means that `address` is the path of a unix socket. */
export interface ListenerValue {
  readonly port: number
  readonly address: string | null
}

export type Value = boolean | number | string | readonly string[] | ListenerValue

export interface Setting {
  readonly option: Option
  /** Name as written: the option's name or an alias. */
  readonly name: string
  readonly value: Value
  /** Words after the value, which have no meaning; '' for none. */
  readonly ignored: string
  /** Number as written where the least one is taken instead; absent otherwise. */
  readonly raisedFrom?: string
  readonly file: string
  readonly line: number
}

/** Settings that belong together: the broker's, or those below one `listener` or `connection` line. */
export interface Block {
  readonly kind: 'global' | 'default-listener' | 'listener' | 'bridge'
  /** Line that began it; null for `global` and `default-listener`. */
  readonly head: Setting | null
  readonly settings: Setting[]
  /** Faults of lines that belong to a bridge, which is not run then. */
  readonly faults?: ConfigError[]
}

export interface ParsedFile {
  readonly global: Block
  /** Listener options before any `listener` line. */
  readonly defaultListener: Block
  readonly listeners: readonly Block[]
  readonly bridges: readonly Block[]
  /** Warnings, one line each, `file:line: what`. */
  readonly warnings: readonly string[]
  /** All files that were read, the main one first. */
  readonly files: readonly string[]
}

/** Functions that read files; tests bring their own. */
export interface Files {
  /** Reads a file. @throws Error with a Node error code */
  read(path: string): string
  /** Names in a folder. @throws Error with a Node error code */
  list(folder: string): string[]
}

const realFiles: Files = {
  read: (path) => readFileSync(path, 'utf8'),
  list: (folder) => readdirSync(folder),
}

const whyUnreadable: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'it is not a directory',
}

/** Text for an error of node:fs: `cannot be read: permission denied`. */
export function unreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return `cannot be read: ${whyUnreadable[code] ?? (error as Error).message}`
}

/**
 * Reads a configuration file and those that it includes. @throws ConfigError at the first wrong line, or for a file
 * that cannot be read.
 */
export function parseConfigFile(path: string, files: Files = realFiles): ParsedFile {
  const parser = new Parser(files)
  parser.readFile(path, true)
  return parser
}

class Parser implements ParsedFile {
  readonly global: Block = { kind: 'global', head: null, settings: [] }
  readonly defaultListener: Block = { kind: 'default-listener', head: null, settings: [] }
  readonly listeners: Block[] = []
  readonly bridges: Block[] = []
  readonly warnings: string[] = []
  readonly files: string[] = []
  readonly #io: Files
  #perListenerSettings = false
  #securitySeen = false
  /** Block of the last plugin. */
  #pluginBlock: Block | null = null

  constructor(io: Files) {
    this.#io = io
  }

  readFile(path: string, isMain: boolean): void {
    let text: string
    try {
      text = this.#io.read(path)
    } catch (error) {
      throw new ConfigError(path, 0, unreadable(error))
    }
    this.files.push(path)
    // As in Mosquitto, a file starts outside of any listener or bridge, also when it is included below one.
    let listener = this.defaultListener
    let bridge: Block | null = null
    const lines = text.split('\n')
    for (let index = 0; index < lines.length; index++) {
      const line = contentOf(lines[index]!, path, index + 1)
      if (line === null) continue
      const name = line.split(' ', 1)[0]!
      if (name === 'connection' || (bridge !== null && isOfBridge(name))) {
        bridge = this.#readOfBridge(line, path, index + 1, bridge, listener)
        continue
      }
      const setting = parseLine(line, path, index + 1, bridge !== null)
      this.#noteIgnoredWords(setting)
      const { option } = setting
      if (option.name === 'include_dir') {
        if (!isMain)
          throw new ConfigError(path, index + 1, 'include_dir may stand in the main file only: move this line there')
        this.#include(setting)
      } else if (option.name === 'listener') {
        listener = { kind: 'listener', head: setting, settings: [] }
        this.listeners.push(listener)
      } else {
        this.#add(setting, listener, bridge)
      }
    }
  }

  /** Reads a line of a bridge: what is wrong with it is no fault of the others. Returns its block. */
  #readOfBridge(line: string, file: string, number: number, bridge: Block | null, listener: Block): Block {
    let block = bridge
    try {
      const setting = parseLine(line, file, number, bridge !== null)
      this.#noteIgnoredWords(setting)
      if (setting.option.name !== 'connection') this.#add(setting, listener, bridge)
      else {
        block = { kind: 'bridge', head: setting, settings: [], faults: [] }
        this.bridges.push(block)
      }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      if (line.startsWith('connection')) {
        const option = findOption('connection')!
        const head = { option, name: option.name, value: [''], ignored: '', file, line: number }
        block = { kind: 'bridge', head, settings: [], faults: [] }
        this.bridges.push(block)
      }
      block!.faults!.push(error)
    }
    return block!
  }

  #include(setting: Setting): void {
    const folder = setting.value as string
    let names: string[]
    try {
      names = this.#io.list(folder)
    } catch (error) {
      throw new ConfigError(setting.file, setting.line, `include_dir "${folder}" ${unreadable(error)}`)
    }
    for (const name of names.filter(isIncluded).sort(asMosquitto)) this.readFile(join(folder, name), false)
  }

  #add(setting: Setting, listener: Block, bridge: Block | null): void {
    const { option, file, line } = setting
    if (option.belowListener === true && listener.kind !== 'listener') {
      throw new ConfigError(
        file,
        line,
        `${setting.name} belongs below a "listener" line`,
        faultOf('needs-listener', setting.name),
      )
    }
    if (option.refused !== undefined && String(setting.value) !== option.default) {
      throw new ConfigError(file, line, `${setting.name}: ${option.refused}`)
    }
    const block = this.#blockOf(setting, listener, bridge)
    const before = option.repeatable ? undefined : block.settings.find((each) => each.option === option)
    if (before !== undefined) {
      if (option.once === true || (option.type === 'text' && option.lastHolds !== true)) {
        throw new ConfigError(
          file,
          line,
          `${option.name} stands already at ${before.file}:${before.line}: remove one of them`,
          faultOf('duplicate', setting.name),
        )
      }
      this.warnings.push(
        `${file}:${line}: ${option.name} stands already at ${before.file}:${before.line}; this one holds`,
      )
      block.settings.splice(block.settings.indexOf(before), 1)
    }
    block.settings.push(setting)
    this.#warnWithoutEffect(setting)
  }

  #blockOf(setting: Setting, listener: Block, bridge: Block | null): Block {
    const { option, name, file, line } = setting
    switch (option.scope) {
      case 'listener':
        return listener
      case 'bridge':
        return bridge!
      case 'plugin':
        if (option.name === 'plugin') this.#pluginBlock = this.#blockOfPlugin(name, listener)
        if (this.#pluginBlock === null) {
          const what = `${name} belongs below a "plugin" line`
          throw new ConfigError(file, line, what, faultOf('needs-plugin', name))
        }
        return this.#pluginBlock
      case 'security':
        if (name.startsWith('listener_')) return listener
        this.#securitySeen = true
        return this.#perListenerSettings ? listener : this.global
      default:
        if (option.name === 'per_listener_settings') {
          if (this.#securitySeen && setting.value === true) {
            const what = 'per_listener_settings must stand before all options that it is about'
            throw new ConfigError(file, line, what, faultOf('too-late', name))
          }
          this.#perListenerSettings = setting.value === true
        }
        return this.global
    }
  }

  /** A plugin is the listener's where security options are, unless it says that it is for all. */
  #blockOfPlugin(name: string, listener: Block): Block {
    const isForAll = name === 'global_plugin' || name === 'plugin_load'
    return this.#perListenerSettings && !isForAll ? listener : this.global
  }

  #noteIgnoredWords({ option, name, file, line, ignored }: Setting): void {
    // Tutorials have these: they are not worth a warning.
    if (ignored === '' || option.name === 'log_type') return
    this.warnings.push(`${file}:${line}: ${name} takes one value: "${shown(ignored)}" after it is ignored`)
  }

  /** Warns about an option without effect, unless it asks for what happens anyway. */
  #warnWithoutEffect(setting: Setting): void {
    const { option, name, file, line, raisedFrom } = setting
    if (raisedFrom !== undefined && option.scope === 'bridge')
      this.warnings.push(`${file}:${line}: ${name} ${raisedFrom} is too small: ${String(setting.value)} is taken`)
    if (option.instead === undefined || String(setting.value) === option.default) return
    this.warnings.push(`${file}:${line}: ${name} has no effect: ${option.instead}`)
  }
}

/** Whether an option below a "connection" line belongs to the bridge, also where its name is not quite right. */
const isOfBridge = (name: string): boolean => {
  const option = findOption(name)
  return option === undefined ? /^(?:bridge|remote|local)_/.test(name) : option.scope === 'bridge'
}

/** Whether a file is included: a name before `.conf`. */
const isIncluded = (name: string): boolean => name.length > 5 && name.endsWith('.conf')

/** Compares names without regard to case (ASCII, as strcasecmp in the C locale); capitals first among equals. */
function asMosquitto(a: string, b: string): number {
  const [lowerA, lowerB] = [a, b].map((name) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()))
  if (lowerA !== lowerB) return lowerA! < lowerB! ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Content of a line, without blanks around it; null for none. A line ends at a NUL byte, as it does for C. @throws
 * ConfigError for a character that both Mosquittos take for part of the name
 */
function contentOf(text: string, file: string, number: number): string | null {
  const nul = text.indexOf('\0')
  const whole = nul === -1 ? text : text.slice(0, nul)
  const line = whole.trim()
  if (whole.startsWith('#') || (line === '' && !whole.includes('\t'))) return null
  if (whole.startsWith('\ufeff')) {
    throw new ConfigError(file, number, 'the file begins with a byte order mark: save it as UTF-8 without one')
  }
  if (line.startsWith('#')) throw new ConfigError(file, number, 'a comment begins at the beginning of a line')
  if (/^ *\t/.test(whole))
    throw new ConfigError(file, number, 'a tab stands before the name of the option: only blanks may')
  return line
}

const faultOf = (kind: FaultKind, name: string, value: string = ''): OptionFault => ({
  kind,
  name,
  value: shown(value),
})

/** Function that throws the error about the option of a line. */
type Fail = (what: string, kind?: FaultKind, value?: string) => never

/** Parses one line that is neither empty nor a comment. `isBelowBridge`: options of a bridge have a place here. */
function parseLine(line: string, file: string, number: number, isBelowBridge: boolean): Setting {
  const end = line.search(/[ \t]/)
  const name = end === -1 ? line : line.slice(0, end)
  const text = end === -1 ? '' : line.slice(end).trim()
  if (line[end] === '\t') throw new ConfigError(file, number, `a tab stands after ${shown(name)}: only blanks may`)
  const option = findOption(name)
  if (option === undefined) {
    const what = `unknown option "${shown(name)}"${didYouMean(name, optionNames)}`
    throw new ConfigError(file, number, what, faultOf('unknown', shown(name)))
  }
  const fail: Fail = (what, kind, value) => {
    throw new ConfigError(file, number, `${name} ${what}`, kind === undefined ? null : faultOf(kind, name, value))
  }
  if (option.scope === 'bridge' && option.name !== 'connection' && !isBelowBridge) {
    fail('belongs below a "connection" line', 'needs-bridge')
  }
  if (text === '') fail('needs a value', 'empty')
  const value = parseValue(option, text, fail)
  const ignored = takesOneWord(option)
    ? withoutComment(text.split(/[ \t]+/)).slice(option.type === 'listener' ? 2 : 1)
    : []
  const raised = option.raise && Number(word(text)) < (value as number) ? { raisedFrom: word(text) } : {}
  return { option, name, value, ignored: ignored.join(' '), file, line: number, ...raised }
}

const word = (text: string): string => text.split(/[ \t]/, 1)[0]!

/** Words before the first one that begins with `#`. */
function withoutComment(words: readonly string[]): readonly string[] {
  const comment = words.findIndex((word) => word.startsWith('#'))
  return comment === -1 ? words : words.slice(0, comment)
}

const takesOneWord = ({ type }: Option): boolean => type !== 'text' && type !== 'words' && type !== 'destination'

/** Quotes text of a file in a message: without control characters, and shortened. */
function shown(text: string): string {
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')
  return clean.length > 60 ? `${clean.slice(0, 60)}…` : clean
}

const secondsPerUnit: Record<string, number> = {
  s: 1,
  h: 3600,
  d: 86_400,
  w: 7 * 86_400,
  m: 30 * 86_400,
  y: 365 * 86_400,
}

function parseValue(option: Option, text: string, fail: Fail): Value {
  if (option.type === 'text') {
    const { bytesMax = Number.POSITIVE_INFINITY } = option
    const bytes = Buffer.byteLength(text)
    return bytes <= bytesMax ? text : fail(`may have ${bytesMax} bytes, not ${bytes}`, 'too-long', text)
  }
  // A Topic Filter may begin with #; everywhere else a # begins a comment.
  if (TOPIC_LINES.has(option.name)) return topicWords(text, fail)
  const words = withoutComment(text.split(/[ \t]+/))
  const word = words[0]
  if (word === undefined) return fail('needs a value', 'empty')
  switch (option.type) {
    case 'boolean':
      if (word === 'true' || word === '1') return true
      if (word === 'false' || word === '0') return false
      return fail(`must be true or false, not "${shown(word)}"`, 'invalid', word)
    case 'integer':
      return parseInteger(option, word, fail)
    case 'choice':
      if (option.choices!.includes(word)) return word
      return fail(`must be one of ${option.choices!.join(', ')}, not "${shown(word)}"`, 'invalid', word)
    case 'duration': {
      const seconds = secondsOf(word)
      if (seconds > 0) return seconds
      return fail(`must be a number and one of s h d w m y, as in 14d, not "${shown(word)}"`, 'duration', word)
    }
    case 'listener':
      return parseListener(words, fail)
    case 'destination':
      return parseDestination(words, fail)
    case 'words': {
      if (option.choices === undefined) return words
      const list = words.flatMap((each) => each.split(',')).filter((each) => each !== '')
      const wrong = list.find((each) => !option.choices!.includes(each))
      if (wrong === undefined && list.length > 0) return list
      return fail(`must be of ${option.choices.join(', ')}, not "${shown(wrong ?? text)}"`, 'invalid', wrong ?? text)
    }
    default:
      return option.type satisfies never
  }
}

/** Seconds of a duration such as `14d`; 0 when it is none. */
export function secondsOf(text: string): number {
  const match = /^(\d{1,9})([shdwmy])$/.exec(text)
  return match === null ? 0 : Number(match[1]) * secondsPerUnit[match[2]!]!
}

function parseInteger(option: Option, word: string, fail: Fail): number {
  const { min = Number.MIN_SAFE_INTEGER, max = 2_147_483_647, unit } = option
  // Hexadecimal as in Mosquitto 2.1.
  const value = /^(?:[-+]?\d{1,16}|0[xX][\da-fA-F]{1,13})$/.test(word) ? Number(word) : Number.NaN
  if (Number.isNaN(value)) {
    return fail(`must be a whole number${unit ? ` of ${unit}` : ''}, not "${shown(word)}"`, 'not-a-number', word)
  }
  if (value < min && option.raise) return min
  if (value < min || value > max) {
    return fail(
      option.min === undefined ? `must be at most ${max}, not ${value}` : `must be from ${min} to ${max}, not ${value}`,
      'out-of-range',
      String(value),
    )
  }
  return value
}

/** Length of `sun_path` of Linux, without its last zero. */
const SOCKET_PATH_BYTES_MAX = 107

function parseListener(words: readonly string[], fail: Fail): ListenerValue {
  const [portWord = '', address = null] = words
  const port = /^\d{1,5}$/.test(portWord) ? Number(portWord) : -1
  if (port < 0 || port > 65_535) {
    const kind = /^\d+$/.test(portWord) ? 'out-of-range' : 'not-a-number'
    return fail(`needs a port from 0 to 65535, not "${shown(portWord)}"`, kind, portWord)
  }
  if (port === 0 && address === null) return fail('0 needs the path of a unix socket', 'no-socket-path')
  if (port === 0 && Buffer.byteLength(address!) > SOCKET_PATH_BYTES_MAX) {
    return fail(
      `0: the path of a unix socket has at most ${SOCKET_PATH_BYTES_MAX} bytes, this one ${Buffer.byteLength(address!)}`,
    )
  }
  if (port > 0 && /^\[.*\]$/.test(address ?? ''))
    return fail(`takes an address without brackets: ${address!.slice(1, -1)}`)
  return { port, address }
}

/** Options with a Topic Filter, which may begin with #. */
const TOPIC_LINES: ReadonlySet<string> = new Set(['topic', 'topic_rewrite', 'auto_subscribe'])

/**
 * Words of a bridge's `topic`. The pattern may stand in quotes, with blanks in it, as in Mosquitto 2.1; `""` is the
 * empty one.
 */
function topicWords(text: string, fail: Fail): readonly string[] {
  const end = text.startsWith('"') ? text.indexOf('"', 1) : -1
  if (text.startsWith('"') && end === -1) {
    return fail('has no quote at the end of the topic: add one', 'no-closing-quote', text.split(/[ \t]+/).at(-1))
  }
  const isQuoted = end !== -1 && ['', ' ', '\t'].includes(text.charAt(end + 1))
  const rest = isQuoted ? text.slice(end + 1).trim() : text
  const words = rest === '' ? [] : rest.split(/[ \t]+/)
  return isQuoted ? [text.slice(1, end), ...words] : words
}

function parseDestination(words: readonly string[], fail: Fail): readonly string[] {
  const [kind = '', ...rest] = words
  if (kind === 'file') return rest.length > 0 ? ['file', rest.join(' ')] : fail('file needs a path')
  if (!['stdout', 'stderr', 'none', 'syslog', 'topic', 'dlt'].includes(kind)) {
    return fail(`must be one of stdout, stderr, file, none, syslog, topic, dlt, not "${shown(kind)}"`, 'invalid', kind)
  }
  // Further words are ignored, as in Mosquitto: a tutorial has `log_dest topic $SYS/broker/log`.
  return [kind]
}
