/**
 * The configuration that the program starts from: typed, complete, in the words of the specification.
 *
 * `loadConfig` makes it from a parsed mosquitto.conf and the command line; `broker-options.ts` converts it to options
 * of `@recado/broker`. Invariants: defaults are in the schema and nowhere else; without a configured listener only this
 * machine can connect; an option that guards something and has no effect yet keeps it closed.
 */

import type { Limits, ListenerSettings, UsernameSource } from '@recado/broker'
import { type AccessConfig, accessFrom } from './access.ts'
import { type BridgeConfig, bridgesFrom } from './bridges.ts'
import { protectiveLimits, protectiveListenerLimits } from './limit-options.ts'
import { withMosquittoDefaults } from './mosquitto-defaults.ts'
import {
  type Block,
  ConfigError,
  type Files,
  type ListenerValue,
  type ParsedFile,
  parseConfigFile,
  type Setting,
  secondsOf,
} from './parse.ts'
import { pluginAccessFrom } from './plugins.ts'
import { findOption } from './schema.ts'
import { type TlsConfig, tlsFrom, usernameSourceOf } from './tls.ts'
import {
  addressesOf,
  type TransportConfig,
  transportFrom,
  type UnixSocketConfig,
  unixSocketFrom,
} from './transports.ts'

const DEFAULT_PORT = 1883

export interface ListenerConfig {
  /** Name in logs and policy, different for each listener: `*:1883`, `10.0.0.1:1883`, or the path of a unix socket. */
  readonly name: string
  readonly port: number
  /** Host; null for all addresses. */
  readonly host: string | null
  /** Path of a unix socket; null for TCP. */
  readonly path: string | null
  readonly unixSocket: UnixSocketConfig
  readonly socketDomain: 'ipv4' | 'ipv6' | null
  /** Number of connections; -1 and 0 for no limit. */
  readonly maxConnections: number
  readonly maximumQoS: number
  readonly topicAliasMaximum: number
  readonly topicAliasSendMax: number
  readonly tcpKeepAliveSeconds: number
  /** Rates and times. */
  readonly protectiveLimits: NonNullable<ListenerSettings['limits']>
  /** Protocol levels that are accepted. */
  readonly protocolVersions: readonly number[]
  readonly allowAnonymous: boolean
  readonly allowZeroLengthClientId: boolean
  readonly assignedClientIdPrefix: string
  readonly access: AccessConfig
  /** Password file; null for none. */
  readonly tls: TlsConfig | null
  readonly transport: TransportConfig
  readonly usernameFrom: UsernameSource
  /**
   * Whether clients with a user name are refused, because an option that guards user names is configured and has no
   * effect.
   */
  readonly refusesUsers: boolean
  /** Whether publishing and subscribing are refused, because a plugin is configured and has no effect. */
  readonly refusesTopics: boolean
  /** Whether it may be missing on this machine, as [::1] is where IPv6 is off. */
  readonly optional: boolean
  /** Lines that define the listener. */
  readonly block: Block
}

/** `mosquitto`: its words; `recado`: ours, which say more; `json`: ours, with the fields of each event. */
export type LogStyle = 'mosquitto' | 'recado' | 'json'
export type MosquittoVersion = '2.0' | '2.1'
/** In the words of 2.0. */
const OLD_STYLE = 'mosquitto-2.0'
export type SyslogFormat = 'rfc3164' | 'rfc5424'

export interface LogConfig {
  readonly destinations: readonly (readonly string[])[]
  readonly types: ReadonlySet<string>
  readonly style: LogStyle
  /** Version of Mosquitto whose words the style `mosquitto` uses. */
  readonly mosquittoVersion: MosquittoVersion
  /** local0 to local7 of syslog; null: daemon. */
  readonly facility: number | null
  readonly syslogFormat: SyslogFormat
  readonly timestamp: boolean
  /** Format as in strftime(3); `null` for seconds since 1970. */
  readonly timestampFormat: string | null
  readonly connectionMessages: boolean
}

/** Bans: of a file, and of those who connect more often in a minute than these numbers say (0: no limit). */
export interface BanConfig {
  /** null: none. */
  readonly file: string | null
  readonly seconds: number
  readonly address: number
  readonly clientid: number
  readonly username: number
}

export interface Config {
  /** Main configuration file; null when there is none. */
  readonly file: string | null
  /** Version of Mosquitto whose defaults, words and answers are taken; null: our own. */
  readonly asMosquitto: MosquittoVersion | null
  readonly listeners: readonly ListenerConfig[]
  /** Whether no listener is configured: those above are on this machine's own addresses. */
  readonly localOnly: boolean
  readonly clientIdPrefix: string
  /** Number of connections of all listeners; -1 for no limit. */
  readonly globalMaxConnections: number
  readonly globalMaxSessions: number
  readonly maxPacketBytes: number
  /** Largest packet in bytes; 0 for no limit. */
  readonly maxPayloadBytes: number
  readonly maxInflightMessages: number
  readonly maxQueuedMessages: number
  readonly maxQueuedBytes: number
  /** Memory, connections per address and the like. */
  readonly protectiveLimits: Partial<Limits>
  readonly maxKeepAliveSeconds: number
  readonly sessionExpirySecondsMax: number
  readonly retainAvailable: boolean
  readonly checkRetainSource: boolean
  readonly allowControlCharacters: boolean
  readonly queueQoS0Messages: boolean
  readonly upgradeQoS: boolean
  /** Messages to `$delayed/…` wait for their time. */
  readonly delayedPublish: boolean
  readonly maxDelaySeconds: number
  /** TCP_NODELAY on client sockets. */
  readonly noDelay: boolean
  readonly queueOverflow: 'reject' | 'drop-oldest' | 'drop-newest'
  /** Policy for sessions of other users; null when it follows from whether logins are required. */
  readonly sessionOwner: 'refuse' | 'takeover' | 'off' | null
  readonly willGraceSeconds: number
  /** Durability; with `memory` nothing is kept in the data folder, which is not even opened. */
  readonly durability: 'fsync' | 'os' | 'memory'
  readonly dataFolder: string
  /** True when the operator named the data folder; false when it is the default. */
  readonly isDataFolderGiven: boolean
  /** File name of Mosquitto's snapshot in the data folder. */
  readonly persistenceFile: string
  readonly sysIntervalSeconds: number
  /** Commands at `$CONTROL/broker/v1`. */
  readonly enableControlApi: boolean
  readonly pidFile: string | null
  /** 0: files of listeners are read again on SIGHUP only. */
  readonly certificateCheckSeconds: number
  readonly bans: BanConfig
  /** User that a broker started by root becomes; `null` when none is given. */
  readonly user: string | null
  readonly log: LogConfig
  /** Bridges, which are checked and not run yet. */
  readonly bridges: readonly BridgeConfig[]
  /** Faults of sections that are no bridges therefore, one line each. */
  readonly bridgeFaults: readonly string[]
  /** Lines of the configuration files. */
  readonly source: ParsedFile
  /** Notes for the operator about options that were replaced by others, one line each. */
  readonly notes: readonly string[]
  /** Warnings, one line each: options without effect, listeners that are not opened. */
  readonly warnings: readonly string[]
}

/** Options that the command line adds to the configuration. */
export interface CommandLine {
  readonly configFile: string | null
  /** Data folder, which takes precedence over `persistence_location`. */
  readonly dataFolder: string | null
  readonly ports: readonly number[]
  readonly verbose: boolean
  readonly quiet: boolean
  /** Version of Mosquitto whose defaults, words and answers are taken; absent or null: our own. */
  readonly asMosquitto?: MosquittoVersion | null
}

/**
 * Reads the configuration file, if one is given, and applies the command line. @throws ConfigError for the first fault
 * in a file, and when every listener had to stay closed.
 */
export function loadConfig(commandLine: CommandLine, files?: Files): Config {
  const file = commandLine.configFile
  const asMosquitto = commandLine.asMosquitto ?? null
  const ofFile: ParsedFile = file === null ? emptyFile : parseConfigFile(file, files)
  const parsed =
    asMosquitto === null ? ofFile : withMosquittoDefaults(ofFile, asMosquitto, commandLine.dataFolder !== null)
  const warnings = [...parsed.warnings]
  const { global } = parsed
  const text = (name: string): string | null => given<string>(global, name) ?? null
  const truth = (name: string): boolean => valueOrDefault(global, name) as boolean
  const number = (name: string): number => valueOrDefault(global, name) as number

  const listening = listenersFrom(parsed, commandLine, warnings)
  const bridges = bridgesFrom(parsed.bridges, warnings)
  const ofAccess = listening.listeners.map(({ access }) => access)
  return {
    file,
    asMosquitto,
    ...listening,
    clientIdPrefix: text('clientid_prefixes') ?? '',
    globalMaxConnections: number('global_max_connections'),
    globalMaxSessions: number('global_max_clients'),
    maxPacketBytes: number('max_packet_size'),
    maxPayloadBytes: number('message_size_limit'),
    maxInflightMessages: number('max_inflight_messages'),
    maxQueuedMessages: number('max_queued_messages'),
    maxQueuedBytes: number('max_queued_bytes'),
    protectiveLimits: protectiveLimits(number, (name) => settingsOf(global, name).length > 0),
    maxKeepAliveSeconds: number('max_keepalive'),
    sessionExpirySecondsMax: number('persistent_client_expiration'),
    retainAvailable: truth('retain_available'),
    checkRetainSource: truth('check_retain_source'),
    allowControlCharacters: truth('allow_control_characters'),
    queueQoS0Messages: truth('queue_qos0_messages'),
    upgradeQoS: truth('upgrade_outgoing_qos'),
    delayedPublish: truth('delayed_publish'),
    maxDelaySeconds: number('max_delay'),
    noDelay: truth('set_tcp_nodelay'),
    queueOverflow: valueOrDefault(global, 'queue_overflow') as Config['queueOverflow'],
    sessionOwner: (valueOrDefault(global, 'session_owner') || null) as Config['sessionOwner'],
    willGraceSeconds: number('will_grace_period'),
    durability: durabilityFrom(global),
    isDataFolderGiven: (commandLine.dataFolder ?? text('persistence_location')) !== null,
    dataFolder: commandLine.dataFolder ?? text('persistence_location') ?? defaultDataFolder(listening.listeners),
    persistenceFile: valueOrDefault(global, 'persistence_file') as string,
    sysIntervalSeconds: number('sys_interval'),
    enableControlApi: truth('enable_control_api'),
    pidFile: text('pid_file'),
    certificateCheckSeconds: number('certificate_check_interval'),
    bans: {
      file: text('ban_file'),
      seconds: number('ban_duration'),
      address: number('max_connects_per_minute_address'),
      clientid: number('max_connects_per_minute_clientid'),
      username: number('max_connects_per_minute_username'),
    },
    user: text('user'),
    log: logFrom(global, commandLine),
    bridges: bridges.bridges,
    bridgeFaults: bridges.faults,
    source: parsed,
    notes: unique(ofAccess.flatMap(({ notes }) => notes)),
    warnings: [...warnings, ...unique(ofAccess.flatMap((access) => access.warnings))],
  }
}

/** Removes repeated lines: a note that holds for several listeners is given once. */
const unique = (lines: readonly string[]): string[] => [...new Set(lines)]

const emptyBlock = (kind: Block['kind']): Block => ({ kind, head: null, settings: [] })
const emptyFile: ParsedFile = {
  global: emptyBlock('global'),
  defaultListener: emptyBlock('default-listener'),
  listeners: [],
  bridges: [],
  warnings: [],
  files: [],
}

const settingsOf = (block: Block, name: string): Setting[] =>
  block.settings.filter((setting) => setting.option.name === name)

/** Last value given, or undefined. */
function given<T>(block: Block, name: string): T | undefined {
  return settingsOf(block, name).at(-1)?.value as T | undefined
}

/** Last value given, or the schema's default in the option's own type. */
function valueOrDefault(block: Block, name: string): unknown {
  const value = given<unknown>(block, name)
  if (value !== undefined) return value
  const option = findOption(name)!
  switch (option.type) {
    case 'boolean':
      return option.default === 'true'
    case 'integer':
      return Number(option.default)
    case 'words':
      return option.default.split(' ')
    case 'duration':
      return option.default === '' ? '' : secondsOf(option.default)
    default:
      return option.default
  }
}

/**
 * Default data folder. Brokers that are started in one folder do not share their data: those on another port add it to
 * the name.
 */
function defaultDataFolder(listeners: readonly ListenerConfig[]): string {
  const name = findOption('persistence_location')!.default
  const port = listeners.find((listener) => listener.port > 0)?.port ?? DEFAULT_PORT
  return port === DEFAULT_PORT ? name : `${name}-${port}`
}

/** Reads the durability. @throws ConfigError when `persistence` and `durability` contradict each other */
function durabilityFrom(global: Block): Config['durability'] {
  const persistence = settingsOf(global, 'persistence').at(-1)
  const durability = settingsOf(global, 'durability').at(-1)
  if (persistence !== undefined && durability !== undefined) {
    if ((durability.value !== 'memory') !== persistence.value) {
      const { file, line, value } = durability
      const before = `${persistence.file}:${persistence.line}`
      throw new ConfigError(file, line, `durability ${value} contradicts persistence ${persistence.value} at ${before}`)
    }
  }
  return persistence?.value === false ? 'memory' : (valueOrDefault(global, 'durability') as Config['durability'])
}

function listenersFrom(
  parsed: ParsedFile,
  commandLine: CommandLine,
  warnings: string[],
): { listeners: ListenerConfig[]; localOnly: boolean } {
  const { global, defaultListener } = parsed
  const port = settingsOf(global, 'port').at(-1)
  const address = settingsOf(global, 'bind_address').at(-1)
  if (address !== undefined && /\s/.test(address.value as string)) {
    throw new ConfigError(address.file, address.line, `bind_address takes one address, not "${String(address.value)}"`)
  }
  const blocks = parsed.listeners.map((block) => ({
    block,
    at: block.head!.value as ListenerValue,
    setting: block.head!,
  }))
  if (port !== undefined || address !== undefined) {
    const at = { port: (port?.value as number) ?? DEFAULT_PORT, address: (address?.value as string) ?? null }
    blocks.unshift({ block: defaultListener, at, setting: (port ?? address)! })
  } else if (blocks.length > 0) {
    belongToNone(defaultListener, warnings)
  }
  if (blocks.length === 0) {
    const ports = commandLine.ports.length > 0 ? commandLine.ports : [DEFAULT_PORT]
    const local = (each: number, host: string): ListenerConfig =>
      listenerFrom(global, defaultListener, { port: each, address: host }, true, host === '::1', warnings)
    return { listeners: ports.flatMap((each) => [local(each, '127.0.0.1'), local(each, '::1')]), localOnly: true }
  }
  if (commandLine.ports.length > 0) {
    warnings.push(`-p ${commandLine.ports.join(' -p ')} has no effect: ${commandLine.configFile} configures listeners`)
  }
  return { listeners: openListeners(global, blocks, warnings), localOnly: false }
}

/** Options that keep no client out: without effect they leave a listener no more open than it was meant to be. */
const HARMLESS = new Set([
  'protocol',
  'socket_domain',
  'http_dir',
  'websockets_log_level',
  'websockets_headers_size',
  'websockets_proxy',
  'websockets_proxy_header',
  'auto_id_prefix',
  'max_topic_alias',
  'max_topic_alias_broker',
  'tcp_keepalive',
  'connect_timeout',
  'rate_limit_grace',
])

const keepsOut = ({ option, value }: Setting): boolean =>
  !HARMLESS.has(option.name) &&
  String(value) !== option.default &&
  !(option.name.startsWith('allow_') && value === true)

/**
 * Reports listener options above the first listener, where no `port` or `bind_address` makes a listener of them.
 * @throws ConfigError that names all that were meant to keep clients out
 */
function belongToNone({ settings }: Block, warnings: string[]): void {
  const guards = settings.filter(keepsOut)
  for (const { name, file, line } of settings) {
    warnings.push(`${file}:${line}: ${name} stands above the first listener and belongs to none`)
  }
  const [first] = guards
  if (first === undefined) return
  const { file } = first
  const names = guards.map(
    (each) => `${each.name}${each === first ? '' : ` (${each.file === file ? 'line ' : `${each.file}:`}${each.line})`}`,
  )
  const text =
    guards.length === 1
      ? 'stands above the first listener and guards none: move it below the listener line that it is for, or the listener is open to those whom it was to keep out'
      : 'stand above the first listener and guard none: move them below the listener line that they are for, or the listener is open to those whom they were to keep out'
  throw new ConfigError(file, first.line, `${names.join(', ')} ${text}`)
}

interface ListenerBlock {
  readonly block: Block
  readonly at: ListenerValue
  readonly setting: Setting
}

/** @throws ConfigError for one that stands twice */
function openListeners(global: Block, blocks: readonly ListenerBlock[], warnings: string[]): ListenerConfig[] {
  const listeners: ListenerConfig[] = []
  const seen = new Map<string, Setting>()
  for (const { block, at, setting } of blocks) {
    const { file, line } = setting
    const key = `${at.port} ${at.address ?? ''} ${given(block, 'socket_domain') ?? ''}`
    const before = seen.get(key)
    if (before !== undefined) {
      throw new ConfigError(
        file,
        line,
        `this listener stands already at ${before.file}:${before.line}: remove one of them`,
      )
    }
    seen.set(key, setting)
    for (const address of addressesOf(block, at)) {
      listeners.push(listenerFrom(global, block, address, false, false, warnings))
    }
  }
  return listeners
}

function guarding(blocks: readonly Block[], what: 'users' | 'topics'): Setting | null {
  for (const { settings } of blocks) {
    for (const setting of settings) {
      if (setting.option.guards === what && String(setting.value) !== setting.option.default) return setting
    }
  }
  return null
}

function nameOf(address: string | null, socketDomain: 'ipv4' | 'ipv6' | null): string {
  if (address === null) return socketDomain === null ? '*' : `*(${socketDomain})`
  return address.includes(':') ? `[${address}]` : address
}

function listenerFrom(
  global: Block,
  block: Block,
  { port, address }: ListenerValue,
  localOnly: boolean,
  optional: boolean,
  warnings: string[],
): ListenerConfig {
  const isUnix = port === 0
  const socketDomain = given<'ipv4' | 'ipv6'>(block, 'socket_domain') ?? null
  // A listener's own setting, which per_listener_settings or a `listener_` name has put there, before the broker's.
  const security = (name: string): unknown =>
    given(block, `listener_${name}`) ?? given(block, name) ?? given(global, name)
  const protocolVersions = (valueOrDefault(block, 'accept_protocol_versions') as string[]).map(Number)
  return {
    name: isUnix ? address! : `${nameOf(address, socketDomain)}:${port}`,
    port,
    host: isUnix ? null : address,
    path: isUnix ? address : null,
    unixSocket: unixSocketFrom(block, isUnix),
    socketDomain,
    maxConnections: valueOrDefault(block, 'max_connections') as number,
    maximumQoS: valueOrDefault(block, 'max_qos') as number,
    topicAliasMaximum: valueOrDefault(block, 'max_topic_alias') as number,
    topicAliasSendMax: valueOrDefault(block, 'max_topic_alias_broker') as number,
    tcpKeepAliveSeconds: valueOrDefault(block, 'tcp_keepalive') as number,
    protectiveLimits: protectiveListenerLimits((name) => valueOrDefault(block, name) as number),
    protocolVersions,
    allowAnonymous: (security('allow_anonymous') as boolean | undefined) ?? localOnly,
    allowZeroLengthClientId: (security('allow_zero_length_clientid') as boolean | undefined) ?? true,
    assignedClientIdPrefix: (security('auto_id_prefix') as string | undefined) ?? findOption('auto_id_prefix')!.default,
    access: accessFrom(
      security,
      (name, what) => {
        const { file, line } = (settingsOf(block, name).at(-1) ?? settingsOf(global, name).at(-1))!
        throw new ConfigError(file, line, `${name} ${what}`)
      },
      pluginAccessFrom(global, block),
    ),
    transport: transportFrom(block, global, warnings),
    usernameFrom: usernameSourceOf(block),
    tls: tlsFrom(block, settingsOf(block, 'psk_file').at(-1) ?? settingsOf(global, 'psk_file').at(-1), warnings),
    refusesUsers: guarding([block, global], 'users') !== null,
    refusesTopics: guarding([block, global], 'topics') !== null,
    optional,
    block,
  }
}

/** Log types of `debug` and the others, the default ones, and those of `all` and `-v`. */
function logFrom(global: Block, { verbose, quiet, asMosquitto }: CommandLine): LogConfig {
  const destinations: string[][] = []
  for (const { value, file, line } of settingsOf(global, 'log_dest')) {
    const [kind = '', path] = value as string[]
    if (kind === 'none') destinations.length = 0
    else if (kind === 'dlt') {
      throw new ConfigError(file, line, 'log_dest dlt: there is no interface to DLT here; use syslog, stderr or a file')
    } else if (kind === 'file' && destinations.some((each) => each[0] === 'file')) {
      throw new ConfigError(file, line, 'log_dest file may stand once: remove one of the two lines')
    }
    destinations.push(path === undefined ? [kind] : [kind, path])
  }
  const types = new Set<string>()
  for (const { value } of settingsOf(global, 'log_type')) {
    if (value === 'none') types.clear()
    else if (value === 'all') for (const each of findOption('log_type')!.choices!) types.add(each)
    else types.add(value as string)
  }
  if (settingsOf(global, 'log_type').length === 0 || verbose || quiet) {
    types.clear()
    const words = findOption('log_type')!
    for (const each of quiet ? [] : verbose ? words.choices! : words.default.split(' ')) types.add(each)
  }
  const style = valueOrDefault(global, 'log_style') as string
  return {
    destinations: (destinations.length > 0 ? destinations : [['stderr']]).filter((each) => each[0] !== 'none'),
    types,
    style: style === OLD_STYLE ? 'mosquitto' : (style as LogStyle),
    mosquittoVersion: style === OLD_STYLE ? '2.0' : (asMosquitto ?? '2.1'),
    syslogFormat: valueOrDefault(global, 'log_syslog_format') as SyslogFormat,
    facility: given<number>(global, 'log_facility') ?? null,
    timestamp: valueOrDefault(global, 'log_timestamp') as boolean,
    timestampFormat: given<string>(global, 'log_timestamp_format') ?? null,
    connectionMessages: valueOrDefault(global, 'connection_messages') as boolean,
  }
}
