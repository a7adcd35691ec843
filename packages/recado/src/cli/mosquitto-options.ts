/**
 * The arguments of mosquitto_pub, mosquitto_sub and mosquitto_rr (Mosquitto 2.0, and what 2.1 added and we have): one
 * table of options, with Mosquitto's own messages for what is wrong, so that scripts and people find what they know.
 *
 * Also read, before the arguments, as Mosquitto does: `$XDG_CONFIG_HOME/mosquitto_pub`, else `~/.config/mosquitto_pub` (one
 * option a line), or the file of `-o`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isTopicFilter, isTopicName } from '@recado/protocol'
import { invalidByteOf, textOf } from '../argument-bytes.ts'
import { type CommandProperties, parseProperty } from './mosquitto-properties.ts'
import { parseFormat } from './output-format.ts'

export type Tool = 'pub' | 'sub' | 'rr'

export interface TlsArguments {
  caFile?: string
  caPath?: string
  certFile?: string
  keyFile?: string
  ciphers?: string
  version?: string
  alpn?: string
  insecure?: boolean
  useOsCerts?: boolean
  psk?: string
  pskIdentity?: string
  off?: boolean
  keyForm?: 'pem'
  /** The pass phrase of `keyFile`, on its first line. */
  keyPassFile?: string
  /** Read from there, or asked for. */
  passphrase?: string
}

export interface ProxyArguments {
  host: string
  port: number
  username?: string
  password?: string
}

export interface ToolOptions {
  tool: Tool
  host?: string
  port?: number
  unixPath?: string
  bindAddress?: string
  id?: string
  idPrefix?: string
  username?: string
  password?: string
  keepAliveSeconds: number
  cleanSession: boolean
  protocolVersion: 3 | 4 | 5
  /** 0xFFFFFFFF: for ever. */
  sessionExpirySeconds?: number
  inflightMax: number
  noDelay: boolean
  topics: string[]
  responseTopic?: string
  unsubscribe: string[]
  filterOut: string[]
  qos: 0 | 1 | 2
  /** What to publish. */
  message?: { kind: 'text' | 'file'; value: string } | { kind: 'lines' | 'stdin' | 'null' }
  retain: boolean
  repeat: number
  repeatDelayMs: number
  debug: boolean
  quiet: boolean
  verbose: boolean
  eol: boolean
  pretty: boolean
  format?: string
  /** Exit after so many messages; 0: never. */
  count: number
  timeoutSeconds: number
  exitAfterSubscribe: boolean
  noRetained: boolean
  retainedOnly: boolean
  removeRetained: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  /** Of 1,000 messages, how many are printed. */
  perMille: number
  willTopic?: string
  willPayload?: string
  willQoS: 0 | 1 | 2
  willRetain: boolean
  tls: TlsArguments
  proxy?: ProxyArguments
  properties: CommandProperties
  optionsFile?: string
}

/** `error` is the text for stderr. */
export type ParsedArguments =
  | { kind: 'options'; options: ToolOptions }
  | { kind: 'help' }
  | { kind: 'version' }
  | { kind: 'error'; error: string }

/** What is wrong with the value, as text for stderr; nothing: it was good. */
type Apply = (options: ToolOptions, value: string) => string | void

interface OptionSpec {
  readonly tools?: readonly Tool[]
  /** What the value is, for "no … specified"; missing: the option takes none. */
  readonly value?: string
  /** The value is bytes (`argument-bytes.ts`); others must be UTF-8. */
  readonly isBytes?: true
  readonly apply: Apply
}

/** As atoi() of C: the whole number at the beginning, else 0. */
function atoi(text: string): number {
  return Number.parseInt(text, 10) || 0
}

function atof(text: string): number {
  return Number.parseFloat(text) || 0
}

const set = <Key extends keyof ToolOptions>(key: Key, value: ToolOptions[Key]): OptionSpec => ({
  apply: (options) => {
    options[key] = value
  },
})

const text = (what: string, key: KeysOf<string>): OptionSpec => ({
  value: what,
  apply: (options, value) => {
    options[key] = value
  },
})

type KeysOf<Type> = { [Key in keyof ToolOptions]-?: Type extends ToolOptions[Key] ? Key : never }[keyof ToolOptions]

const tlsText = (
  what: string,
  key: Exclude<keyof TlsArguments, 'insecure' | 'useOsCerts' | 'off' | 'keyForm' | 'passphrase'>,
): OptionSpec => ({
  value: what,
  apply: (options, value) => {
    options.tls[key] = value
  },
})

const tlsFlag = (key: 'insecure' | 'useOsCerts' | 'off'): OptionSpec => ({
  apply: (options) => {
    options.tls[key] = true
  },
})

const cannot = (option: string, why: string, value?: string): OptionSpec => ({
  ...(value === undefined ? {} : { value }),
  apply: () => `Error: ${option} is not supported: ${why}.\n`,
})

const only = (tools: readonly Tool[], spec: OptionSpec): OptionSpec => ({ ...spec, tools })

const message = (make: (value: string) => NonNullable<ToolOptions['message']>, value?: string): OptionSpec => ({
  ...(value === undefined ? {} : { value, isBytes: true }),
  apply: (options, given) => {
    if (options.message !== undefined) return 'Error: Only one type of message can be sent at once.\n'
    options.message = make(given)
    return undefined
  },
})

function qosOf(value: string): 0 | 1 | 2 | null {
  const qos = atoi(value)
  return qos === 0 || qos === 1 || qos === 2 ? qos : null
}

function addTopic(options: ToolOptions, topic: string): string | void {
  if (options.tool === 'sub') {
    if (!isTopicFilter(topic)) {
      return `Error: Invalid subscription topic '${topic}', are all '+' and '#' wildcards correct?`
    }
    options.topics.push(topic)
    return undefined
  }
  if (!isTopicName(topic)) return `Error: Invalid publish topic '${topic}', does it contain '+' or '#'?`
  options.topics = [topic]
  return undefined
}

function parseUrl(options: ToolOptions, given: string): string | void {
  const scheme = /^(mqtts?):\/\//i.exec(given)
  if (scheme === null) return 'Error: unsupported URL scheme.\n'
  const isTls = scheme[1]!.toLowerCase() === 'mqtts'
  options.port = isTls ? 8883 : 1883
  if (isTls) options.tls.useOsCerts = true
  const rest = given.slice(scheme[0].length)
  const slash = rest.indexOf('/')
  if (slash < 0) return 'Error: Invalid URL for -L argument specified - topic missing.'
  const problem = addTopic(options, rest.slice(slash + 1))
  if (problem !== undefined) return problem
  let authority = rest.slice(0, slash)
  const at = authority.indexOf('@')
  if (at >= 0) {
    const user = authority.slice(0, at)
    const colon = user.indexOf(':')
    options.username = colon < 0 ? user : user.slice(0, colon)
    if (colon >= 0) options.password = user.slice(colon + 1)
    authority = authority.slice(at + 1)
  }
  // An IPv6 address in brackets has colons of its own.
  const hostAndPort = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(authority)
  options.host = hostAndPort?.[1]?.replace(/^\[|\]$/g, '') ?? authority
  if (hostAndPort?.[2] !== undefined) return parsePort(options, hostAndPort[2])
  return undefined
}

/** `socks5h://[username[:password]@]host[:port]`, as mosquitto_pub has it. */
function parseProxy(options: ToolOptions, given: string): string | void {
  const [, user, host, port] = /^socks5h:\/\/(?:([^@]*)@)?(\[[^\]]+\]|[^:@/]+)(?::(\d+))?$/.exec(given) ?? []
  if (host === undefined) return `Error: Unsupported proxy protocol: ${given.slice(0, 40)}`
  const [username, password] = (user ?? '').split(/:(.*)/s)
  options.proxy = { host: host.replace(/^\[|\]$/g, ''), port: port === undefined ? 1080 : Number(port) }
  if (options.proxy.port < 1 || options.proxy.port > 65_535) return `Error: Invalid port given: ${port}`
  if (username) options.proxy.username = decodeURIComponent(username)
  if (password) options.proxy.password = decodeURIComponent(password)
  return undefined
}

function parsePort(options: ToolOptions, value: string): string | void {
  options.port = atoi(value)
  if (options.port < 0 || options.port > 65_535) return `Error: Invalid port given: ${options.port}`
  return undefined
}

const sub: readonly Tool[] = ['sub']
const pub: readonly Tool[] = ['pub']
const reading: readonly Tool[] = ['sub', 'rr']
const writing: readonly Tool[] = ['pub', 'rr']
const noEngine = 'OpenSSL engines cannot be used from here'

const specs: Readonly<Record<string, OptionSpec>> = {
  '-A': text('address', 'bindAddress'),
  '--cafile': tlsText('file', 'caFile'),
  '--capath': tlsText('directory', 'caPath'),
  '--cert': tlsText('file', 'certFile'),
  '--ciphers': tlsText('ciphers', 'ciphers'),
  '-C': only(sub, {
    value: 'count',
    apply: (options, value) => {
      options.count = atoi(value)
      if (options.count < 1) return `Error: Invalid message count "${options.count}".\n`
      return undefined
    },
  }),
  '--disable-clean-session': set('cleanSession', false),
  '--debug': set('debug', true),
  '-e': only(['rr'], {
    value: 'response topic',
    apply: (options, value) => {
      if (!isTopicName(value)) return `Error: Invalid response topic '${value}', does it contain '+' or '#'?`
      options.responseTopic = value
      return undefined
    },
  }),
  '-E': only(sub, set('exitAfterSubscribe', true)),
  '--file': only(
    writing,
    message((value) => ({ kind: 'file', value }), 'file'),
  ),
  '-F': only(reading, {
    value: 'format',
    apply: (options, value) => {
      const parsed = parseFormat(value)
      if (typeof parsed === 'string') return parsed
      options.format = value
      return undefined
    },
  }),
  '--host': text('host', 'host'),
  '--insecure': tlsFlag('insecure'),
  '--id': {
    value: 'id',
    apply: (options, value) => {
      if (options.idPrefix !== undefined) return 'Error: -i and -I argument cannot be used together.\n'
      options.id = value
      return undefined
    },
  },
  '--id-prefix': {
    value: 'id prefix',
    apply: (options, value) => {
      if (options.id !== undefined) return 'Error: -i and -I argument cannot be used together.\n'
      options.idPrefix = value
      return undefined
    },
  },
  '--keepalive': {
    value: 'keepalive',
    apply: (options, value) => {
      options.keepAliveSeconds = atoi(value)
      if (options.keepAliveSeconds < 5 || options.keepAliveSeconds > 65_535) {
        return 'Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n'
      }
      return undefined
    },
  },
  '--key': tlsText('file', 'keyFile'),
  '--keyform': {
    value: 'keyform',
    apply: (options, value) => {
      if (value !== 'pem' && value !== 'engine')
        return 'Error: Problem setting TLS options, check the options are valid.\n'
      if (value === 'engine') return `Error: --keyform engine is not supported: ${noEngine}.\n`
      options.tls.keyForm = value
      return undefined
    },
  },
  // Our own.
  '--keypass-file': tlsText('file', 'keyPassFile'),
  '--url': { value: 'URL', apply: parseUrl },
  '--stdin-line': only(
    pub,
    message(() => ({ kind: 'lines' })),
  ),
  '--message': only(
    writing,
    message((value) => ({ kind: 'text', value }), 'message'),
  ),
  '-M': {
    value: 'max_inflight',
    apply: (options, value) => {
      options.inflightMax = Math.min(atoi(value), 65_535)
      if (options.inflightMax < 1) return 'Error: Maximum inflight messages must be greater than 0.\n'
      return undefined
    },
  },
  '--nodelay': set('noDelay', true),
  '--no-tls': tlsFlag('off'),
  '--null-message': only(
    writing,
    message(() => ({ kind: 'null' })),
  ),
  '-N': only(reading, set('eol', false)),
  '--port': { value: 'port', apply: parsePort },
  '--pretty': only(reading, set('pretty', true)),
  '--pw': { ...text('password', 'password'), isBytes: true },
  '--proxy': { value: 'proxy url', apply: parseProxy },
  '--psk': tlsText('key', 'psk'),
  '--psk-identity': tlsText('identity', 'pskIdentity'),
  '--qos': {
    value: 'QoS',
    apply: (options, value) => {
      const qos = qosOf(value)
      if (qos === null) return `Error: Invalid QoS given: ${atoi(value)}`
      options.qos = qos
      return undefined
    },
  },
  '--quiet': set('quiet', true),
  '--retain': only(pub, set('retain', true)),
  '-R': only(reading, {
    apply: (options) => {
      options.noRetained = true
      options.retainHandling = 2
    },
  }),
  '--random-filter': only(sub, {
    value: 'chance',
    apply: (options, value) => {
      options.perMille = Math.trunc(10 * atof(value))
      if (options.perMille > 1_000 || options.perMille < 1) {
        return 'Error: --random-filter chance must be between 0.1-100.0\n'
      }
      return undefined
    },
  }),
  '--remove-retained': only(sub, set('removeRetained', true)),
  '--repeat': only(pub, {
    value: 'count',
    apply: (options, value) => {
      options.repeat = atoi(value)
      if (options.repeat < 1) return 'Error: --repeat argument must be >0.\n'
      return undefined
    },
  }),
  '--repeat-delay': only(pub, {
    value: 'time',
    apply: (options, value) => {
      options.repeatDelayMs = atof(value) * 1000
      if (options.repeatDelayMs < 0) return 'Error: --repeat-delay argument must be >=0.0.\n'
      return undefined
    },
  }),
  '--retain-as-published': only(reading, set('retainAsPublished', true)),
  '--retain-handling': only(reading, {
    value: 'option',
    apply: (options, value) => {
      const handling = ['always', 'new', 'never'].indexOf(value)
      if (handling < 0) return `Error: Unknown value '${value}' for --retain-handling.\n`
      options.retainHandling = handling as 0 | 1 | 2
      return undefined
    },
  }),
  '--retained-only': only(sub, set('retainedOnly', true)),
  '--stdin-file': only(
    writing,
    message(() => ({ kind: 'stdin' })),
  ),
  '-S': cannot('-S', 'SRV records are not looked up; give the host and port with -h and -p'),
  '--topic': { value: 'topic', apply: addTopic },
  '--filter-out': only(sub, {
    value: 'topic filter',
    apply: (options, value) => {
      if (!isTopicFilter(value)) {
        return `Error: Invalid filter topic '${value}', are all '+' and '#' wildcards correct?`
      }
      options.filterOut.push(value)
      return undefined
    },
  }),
  '--tls-alpn': tlsText('protocol', 'alpn'),
  '--tls-engine': cannot('--tls-engine', noEngine, 'engine_id'),
  '--tls-engine-kpass-sha1': cannot('--tls-engine-kpass-sha1', noEngine, 'kpass sha1'),
  '--tls-keylog': cannot('--tls-keylog', 'run node with --tls-keylog=FILE instead', 'file'),
  '--tls-use-os-certs': tlsFlag('useOsCerts'),
  '--tls-version': tlsText('version', 'version'),
  '--unsubscribe': only(sub, {
    value: 'unsubscribe topic',
    apply: (options, value) => {
      if (!isTopicFilter(value)) {
        return `Error: Invalid unsubscribe topic '${value}', are all '+' and '#' wildcards correct?`
      }
      options.unsubscribe.push(value)
      return undefined
    },
  }),
  '--username': text('username', 'username'),
  '--unix': text('socket path', 'unixPath'),
  '--protocol-version': {
    value: 'version',
    apply: (options, value) => {
      const version = { mqttv31: 3, 31: 3, mqttv311: 4, 311: 4, mqttv5: 5, 5: 5 }[value] as 3 | 4 | 5 | undefined
      if (version === undefined) return 'Error: Invalid protocol version argument given.\n'
      options.protocolVersion = version
      return undefined
    },
  },
  '--verbose': only(reading, set('verbose', true)),
  '-W': only(reading, {
    value: 'timeout',
    apply: (options, value) => {
      options.timeoutSeconds = atoi(value)
      if (options.timeoutSeconds < 1) return `Error: Invalid timeout "${options.timeoutSeconds}".\n`
      return undefined
    },
  }),
  '--will-payload': { ...text('will payload', 'willPayload'), isBytes: true },
  '--will-qos': {
    value: 'will QoS',
    apply: (options, value) => {
      const qos = qosOf(value)
      if (qos === null) return `Error: Invalid will QoS ${atoi(value)}.\n`
      options.willQoS = qos
      return undefined
    },
  },
  '--will-retain': set('willRetain', true),
  '--will-topic': {
    value: 'will topic',
    apply: (options, value) => {
      if (!isTopicName(value)) return `Error: Invalid will topic '${value}', does it contain '+' or '#'?`
      options.willTopic = value
      return undefined
    },
  },
  '-x': {
    value: 'session expiry interval',
    apply: (options, value) => {
      const seconds = value === '∞' ? -1 : Number(value.trim() === '' ? Number.NaN : value)
      if (!Number.isInteger(seconds)) return 'Error: session-expiry-interval not a number.\n'
      if (seconds > 0xffff_ffff || seconds < -1) return 'Error: session-expiry-interval out of range.\n'
      options.sessionExpirySeconds = seconds === -1 ? 0xffff_ffff : seconds
      options.protocolVersion = 5
      return undefined
    },
  },
}

const short: Readonly<Record<string, string>> = {
  '-c': '--disable-clean-session',
  '-d': '--debug',
  '-f': '--file',
  '-h': '--host',
  '-i': '--id',
  '-I': '--id-prefix',
  '-k': '--keepalive',
  '-L': '--url',
  '-l': '--stdin-line',
  '-m': '--message',
  '-n': '--null-message',
  '-p': '--port',
  '-P': '--pw',
  '-q': '--qos',
  '-r': '--retain',
  '-s': '--stdin-file',
  '-t': '--topic',
  '-T': '--filter-out',
  '-u': '--username',
  '-U': '--unsubscribe',
  '-v': '--verbose',
  '-V': '--protocol-version',
}

export function defaultOptions(tool: Tool): ToolOptions {
  return {
    tool,
    keepAliveSeconds: 60,
    cleanSession: true,
    protocolVersion: tool === 'rr' ? 5 : 4,
    inflightMax: 20,
    noDelay: false,
    topics: [],
    unsubscribe: [],
    filterOut: [],
    qos: 0,
    retain: false,
    repeat: 1,
    repeatDelayMs: 0,
    debug: false,
    quiet: false,
    verbose: false,
    eol: true,
    pretty: false,
    count: tool === 'rr' ? 1 : 0,
    timeoutSeconds: 0,
    exitAfterSubscribe: false,
    noRetained: false,
    retainedOnly: false,
    removeRetained: false,
    retainAsPublished: false,
    retainHandling: 0,
    perMille: 1_000,
    willQoS: 0,
    willRetain: false,
    tls: {},
    properties: { connect: {}, publish: {}, subscribe: {}, unsubscribe: {}, disconnect: {}, will: {} },
  }
}

/** The whole command line, options file included. */
export function parseArguments(
  tool: Tool,
  argv: readonly string[],
  env: Record<string, string | undefined>,
): ParsedArguments {
  const options = defaultOptions(tool)
  const fileProblem = readOptionsFile(options, argv, env)
  if (fileProblem !== null) return withUsage(tool, fileProblem)
  const result = applyAll(options, argv)
  if (result === 'help' || result === 'version') return { kind: result }
  if (result !== null) return withUsage(tool, result)
  if (options.noRetained && options.retainedOnly) {
    return { kind: 'error', error: "\nError: Combining '-R' and '--retained-only' makes no sense.\n" }
  }
  // Our own: neither in a shell's history nor in the process list.
  const secret = env['RECADO_PASSWORD']
  if (secret !== undefined && options.username !== undefined) options.password ??= secret
  const problem = check(options)
  return problem === null ? { kind: 'options', options } : withUsage(tool, problem)
}

function withUsage(tool: Tool, error: string): ParsedArguments {
  return { kind: 'error', error: `${error}\n\nUse 'recado ${tool} --help' to see usage.\n` }
}

function applyAll(options: ToolOptions, argv: readonly string[]): string | null {
  for (let i = 0; i < argv.length; i++) {
    const given = argv[i]!
    if (given === '--help' || given === '--version') return given.slice(2)
    if (given === '-o') {
      i++
      continue
    }
    if (given === '-D' || given === '--property') {
      const taken = parseProperty(argv, i + 1, options.properties)
      if (typeof taken === 'string') return taken
      options.protocolVersion = 5
      i += taken
      continue
    }
    const name = Object.hasOwn(short, given) ? short[given]! : given
    const spec = Object.hasOwn(specs, name) ? specs[name]! : undefined
    if (spec === undefined || (spec.tools !== undefined && !spec.tools.includes(options.tool))) {
      return `Error: Unknown option '${given}'.`
    }
    let value = ''
    if (spec.value !== undefined) {
      if (i === argv.length - 1) return `Error: ${given} argument given but no ${spec.value} specified.\n`
      value = argv[++i]!
      const invalid = spec.isBytes ? null : invalidByteOf(value)
      if (invalid !== null) return `Error: The ${spec.value} of ${given} is not UTF-8 (${invalid}).\n`
    }
    const problem = spec.apply(options, value)
    if (problem !== undefined) return problem
  }
  return null
}

function readOptionsFile(
  options: ToolOptions,
  argv: readonly string[],
  env: Record<string, string | undefined>,
): string | null {
  const at = argv.indexOf('-o')
  if (at >= 0 && at === argv.length - 1) return 'Error: -o argument given but no options file specified.\n'
  const named = at >= 0 ? argv[at + 1] : undefined
  const folder = env['XDG_CONFIG_HOME'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.config'))
  const file = named ?? (folder === undefined ? undefined : join(folder, `mosquitto_${options.tool}`))
  if (file === undefined) return null
  let lines: string[]
  try {
    lines = textOf(readFileSync(file)).split(/\r?\n/)
  } catch (error) {
    // Nobody need have the default file; the one that was asked for must be there.
    return named === undefined ? null : `Error: Unable to open options file "${file}": ${(error as Error).message}.\n`
  }
  for (const line of lines) {
    if (line === '' || line.startsWith('#')) continue
    const space = line.indexOf(' ')
    const words = space < 0 ? [line] : [line.slice(0, space), line.slice(space + 1)]
    const isProperty = words[0] === '-D' || words[0] === '--property'
    const problem = applyAll(options, isProperty ? line.split(' ').filter((word) => word !== '') : words)
    if (problem !== null) return `${problem} (in ${file})`
  }
  return null
}

/** What is wrong with the options together. */
function check(options: ToolOptions): string | null {
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
    if (options.topics.length === 0) return 'Error: You must specify a topic to subscribe to.'
  } else if (tool === 'rr') {
    if (options.topics.length === 0 || options.message === undefined || options.responseTopic === undefined) {
      return 'Error: All of topic, message, and response topic must be supplied.'
    }
  } else if (options.topics.length === 0 || options.message === undefined) {
    return 'Error: Both topic and message must be supplied.'
  }
  return null
}
