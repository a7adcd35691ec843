/**
 * Listeners of the configuration: of `port` and `bind_address`, of each `listener` block, or of the command line.
 *
 * Called by `loadConfig`. Invariants: without a configured listener only this machine can connect; an option that guards
 * something and has no effect yet keeps it closed; listener options that belong to no listener end the start when they
 * were meant to keep clients out.
 */
import type { ListenerSettings, UsernameSource } from '@recado/broker'
import { type AccessConfig, accessFrom } from './access.ts'
import { given, settingsOf, valueOrDefault } from './block-values.ts'
import type { CommandLine } from './config.ts'
import { protectiveListenerLimits } from './limit-options.ts'
import { type Block, ConfigError, type ListenerValue, type ParsedFile, type Setting } from './parse.ts'
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

/** Port of a listener for which none is given. */
export const DEFAULT_PORT = 1883
/** Port of the HTTP API where no listener is configured, Mosquitto's. */
const API_PORT = 9883

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
  /**
   * Thing that may be missing, so that it is not opened: its address on this machine, as [::1] where IPv6 is off; or its port,
   * which another program may have. null: nothing.
   */
  readonly optional: 'address' | 'port' | null
  /** Lines that define the listener. */
  readonly block: Block
}

/** Whether the listener serves the HTTP API. */
export const servesApi = ({ transport }: ListenerConfig): boolean => transport.http?.isApi === true

/** Makes the listeners; adds to `warnings`. @throws ConfigError */
export function listenersFrom(
  parsed: ParsedFile,
  commandLine: Pick<CommandLine, 'configFile' | 'ports' | 'asMosquitto'>,
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
    const local = (each: number, host: string): ListenerConfig => {
      const optional = host === '::1' ? 'address' : null
      return listenerFrom(global, defaultListener, { port: each, address: host }, true, optional, warnings)
    }
    const listeners = ports.flatMap((each) => [local(each, '127.0.0.1'), local(each, '::1')])
    // Mosquitto has it since 2.1. Brokers with -p are several on a machine, and the first would have it.
    const hasApi = commandLine.ports.length === 0 && commandLine.asMosquitto !== '2.0'
    return { listeners: hasApi ? [...listeners, defaultApi(global, defaultListener)] : listeners, localOnly: true }
  }
  if (commandLine.ports.length > 0) {
    warnings.push(`-p ${commandLine.ports.join(' -p ')} has no effect: ${commandLine.configFile} configures listeners`)
  }
  return { listeners: openListeners(global, blocks, warnings), localOnly: false }
}

/** The HTTP API where no listener is configured: for this machine, with the logins of the other listeners. */
function defaultApi(global: Block, block: Block): ListenerConfig {
  // What is to be said about the options has been said.
  const api = listenerFrom(global, block, { port: API_PORT, address: '127.0.0.1' }, true, 'port', [])
  const { transport } = api
  return {
    ...api,
    transport: { ...transport, webSocket: null, http: { isApi: true, folder: last(block, 'http_dir') } },
  }
}

const last = (block: Block, name: string): Setting | null => settingsOf(block, name).at(-1) ?? null

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
      listeners.push(listenerFrom(global, block, address, false, null, warnings))
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
  optional: ListenerConfig['optional'],
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
