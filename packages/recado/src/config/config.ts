/**
 * The configuration that the program starts from: typed, complete, in the words of the specification.
 *
 * `loadConfig` makes it from a parsed mosquitto.conf and the command line, its listeners in `listeners.ts` and its log in
 * `log.ts`; `broker-options.ts` converts it to options of `@recado/broker`. Invariant: defaults are in the schema and
 * nowhere else.
 */

import type { AutoSubscription, Limits, TopicRewrite } from '@recado/broker'
import { given, settingsOf, valueOrDefault } from './block-values.ts'
import { type BridgeConfig, bridgesFrom } from './bridges.ts'
import { type HttpApiConfig, httpApiFrom } from './http-api.ts'
import { protectiveLimits } from './limit-options.ts'
import { DEFAULT_PORT, type ListenerConfig, listenersFrom } from './listeners.ts'
import { type LogConfig, logFrom, type MosquittoVersion } from './log.ts'
import { withMosquittoDefaults } from './mosquitto-defaults.ts'
import { type Block, ConfigError, type Files, type ParsedFile, parseConfigFile } from './parse.ts'
import { findOption } from './schema.ts'
import { autoSubscriptionsFrom, topicRewritesFrom } from './topic-rules.ts'

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
  readonly topicRewrites: readonly TopicRewrite[]
  readonly autoSubscriptions: readonly AutoSubscription[]
  readonly sparkplugAware: boolean
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
  /** Roles and tokens of the HTTP API. */
  readonly httpApi: HttpApiConfig
  /** User that a broker started by root becomes; `null` when none is given. */
  readonly user: string | null
  readonly log: LogConfig
  /** Bridges. */
  readonly bridges: readonly BridgeConfig[]
  /** Faults of sections that are no bridges therefore. */
  readonly bridgeFaults: readonly ConfigError[]
  /** Names of those sections. */
  readonly faultyBridges: readonly string[]
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
    topicRewrites: topicRewritesFrom(settingsOf(global, 'topic_rewrite'), warnings),
    autoSubscriptions: autoSubscriptionsFrom(settingsOf(global, 'auto_subscribe')),
    sparkplugAware: truth('sparkplug_aware') || ofAccess.some(({ sparkplugAware }) => sparkplugAware),
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
    httpApi: httpApiFrom(global),
    user: text('user'),
    log: logFrom(global, commandLine),
    bridges: bridges.bridges,
    bridgeFaults: bridges.faults,
    faultyBridges: bridges.faulty,
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
