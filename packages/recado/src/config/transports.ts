/**
 * The options about the layers between TCP and MQTT on one listener, besides TLS (`tls.ts`): WebSocket, the PROXY
 * protocol, network interfaces, mount points.
 *
 * `config.ts` calls it for each listener; `broker-options.ts` passes it on. Invariant: options that ask for a check
 * which would never be made are an error.
 */
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { checkForwarded, type ForwardedOptions, type ProxyOptions, type WebSocketOptions } from '@recado/broker'
import { type Block, ConfigError, type ListenerValue, type Setting } from './parse.ts'
import { findOption } from './schema.ts'

export interface TransportConfig {
  /** Options of WebSocket; null for plain MQTT. */
  readonly webSocket: WebSocketOptions | null
  /** Options of the PROXY protocol; null when no header is expected. */
  readonly proxyProtocol: ProxyOptions | null
  /** Mount point; '' for none. */
  readonly mountPoint: string
  /** null: no HTTP but what asks for a WebSocket. */
  readonly http: HttpConfig | null
  readonly clientIdFromUsername: boolean
}

export interface HttpConfig {
  /** The API, without MQTT; otherwise files beside MQTT over WebSocket. */
  readonly isApi: boolean
  /** `http_dir`; null: no files. */
  readonly folder: Setting | null
}

export interface UnixSocketConfig {
  /** Mode of the socket's file. */
  readonly mode: number
  /** Name of the owner; null for the user who starts the broker. */
  readonly owner: string | null
  readonly group: string | null
}

const last = (block: Block, name: string): Setting | undefined =>
  block.settings.filter((setting) => setting.option.name === name).at(-1)

/** Reads the options. @throws ConfigError */
export function transportFrom(block: Block, global: Block, warnings: string[] = []): TransportConfig {
  return {
    webSocket: webSocketFrom(block, global, warnings),
    proxyProtocol: proxyFrom(block),
    mountPoint: mountPointFrom(block),
    http: httpFrom(block, warnings),
    clientIdFromUsername: last(block, 'use_username_as_clientid')?.value === true,
  }
}

function webSocketFrom(block: Block, global: Block, warnings: string[]): WebSocketOptions | null {
  const all = (name: string): Setting[] => block.settings.filter((setting) => setting.option.name === name)
  const [origins, proxies] = [all('websockets_origin'), all('websockets_proxy')]
  const header = last(block, 'websockets_proxy_header')
  if (last(block, 'protocol')?.value !== 'websockets') {
    const [orphan] = [...proxies, ...(header === undefined ? [] : [header])]
    if (orphan !== undefined)
      throw new ConfigError(orphan.file, orphan.line, `${orphan.name} needs protocol websockets`)
    // No page can connect there, whatever its origin.
    for (const { file, line, name } of origins) {
      warnings.push(`${file}:${line}: ${name} has no effect without protocol websockets`)
    }
    return null
  }
  const options: WebSocketOptions = { origins: origins.map(({ value }) => value as string) }
  if (header !== undefined && proxies.length === 0) {
    throw new ConfigError(
      header.file,
      header.line,
      'websockets_proxy_header needs websockets_proxy: whose header is it?',
    )
  }
  for (const { file, line, value } of proxies) {
    try {
      checkForwarded({ proxies: [value as string] })
    } catch (error) {
      throw new ConfigError(file, line, `websockets_proxy: ${(error as Error).message}`)
    }
  }
  if (proxies.length > 0) {
    options.forwarded = { proxies: proxies.map(({ value }) => value as string) }
    if (header !== undefined) options.forwarded.header = header.value as NonNullable<ForwardedOptions['header']>
  }
  const headersSize = last(global, 'websockets_headers_size')?.value as number | undefined
  if (headersSize !== undefined && headersSize > 0) options.headerBytesMax = headersSize
  return options
}

function httpFrom(block: Block, warnings: string[]): HttpConfig | null {
  const folder = last(block, 'http_dir') ?? null
  switch (last(block, 'protocol')?.value) {
    case 'http_api':
      return { isApi: true, folder }
    case 'websockets':
      return folder === null ? null : { isApi: false, folder }
    default:
      if (folder !== null) {
        warnings.push(`${folder.file}:${folder.line}: http_dir has no effect without protocol http_api or websockets`)
      }
      return null
  }
}

function proxyFrom(block: Block): ProxyOptions | null {
  const version = last(block, 'enable_proxy_protocol')
  const requireTls = last(block, 'proxy_protocol_v2_require_tls')
  if (requireTls?.value === true && version?.value !== 2) {
    throw new ConfigError(requireTls.file, requireTls.line, `${requireTls.name} needs enable_proxy_protocol 2`)
  }
  if (version === undefined) return null
  const hasOwnTls = last(block, 'certfile') !== undefined || last(block, 'psk_hint') !== undefined
  return {
    version: version.value as 1 | 2,
    requireTls: requireTls?.value === true,
    requireCertificate: !hasOwnTls && last(block, 'require_certificate')?.value === true,
  }
}

/** Reads the options of a unix socket. @throws ConfigError */
export function unixSocketFrom(block: Block, isUnix: boolean): UnixSocketConfig {
  const [mode, owner, group] = ['unix_socket_mode', 'unix_socket_owner', 'unix_socket_group'].map((name) =>
    last(block, name),
  )
  const [given] = [mode, owner, group].filter((each) => each !== undefined)
  if (given !== undefined && !isUnix) {
    throw new ConfigError(given.file, given.line, `${given.name} is for unix sockets: listener 0 PATH`)
  }
  const digits = (mode?.value as string | undefined) ?? findOption('unix_socket_mode')!.default
  if (!/^0?[0-7]{3}$/.test(digits)) {
    throw new ConfigError(
      mode!.file,
      mode!.line,
      `unix_socket_mode must be three octal digits, as in 0660, not "${digits}"`,
    )
  }
  return {
    mode: Number.parseInt(digits, 8),
    owner: (owner?.value as string | undefined) ?? null,
    group: (group?.value as string | undefined) ?? null,
  }
}

function mountPointFrom(block: Block): string {
  const setting = last(block, 'mount_point')
  if (setting === undefined) return ''
  const value = setting.value as string
  if (/[+#\0]/.test(value)) {
    const fault = { kind: 'has-wildcard', name: setting.name, value } as const
    throw new ConfigError(setting.file, setting.line, 'mount_point may not have + or #', fault)
  }
  return value
}

/** Function that returns the network interfaces; tests bring their own. */
export type Interfaces = () => NodeJS.Dict<
  readonly { readonly address: string; readonly family: string; readonly scopeid?: number }[]
>

/**
 * Addresses of a listener: its own address, or all of its network interface, IPv4 and IPv6 as `socket_domain` says.
 * @throws ConfigError for an interface that this machine does not have
 */
export function addressesOf(
  block: Block,
  at: ListenerValue,
  interfaces: Interfaces = networkInterfaces,
): ListenerValue[] {
  const domain = last(block, 'socket_domain')
  const version = isIP(at.address ?? '')
  if (at.port === 0 && domain !== undefined) {
    throw new ConfigError(domain.file, domain.line, 'socket_domain is not for unix sockets: remove this line')
  }
  if (domain !== undefined && version !== 0 && domain.value !== `ipv${version}`) {
    throw new ConfigError(
      domain.file,
      domain.line,
      `socket_domain ${domain.value} does not fit the address ${at.address}`,
    )
  }
  const setting = last(block, 'bind_interface')
  if (setting === undefined) return [at]
  const fail = (what: string): never => {
    throw new ConfigError(setting.file, setting.line, `bind_interface ${what}`)
  }
  if (at.port === 0) return fail('is not for unix sockets')
  const all = interfaces()
  const name = setting.value as string
  const family = { ipv4: 'IPv4', ipv6: 'IPv6' }[String(last(block, 'socket_domain')?.value)]
  const own = Object.hasOwn(all, name) ? all[name] : undefined
  const known = own ?? fail(`${name}: there is no such interface, but ${Object.keys(all).join(', ')}`)
  const found = known.filter((each) => family === undefined || each.family === family)
  if (at.address !== null) {
    return found.some(({ address }) => address === at.address)
      ? [at]
      : fail(`${name}: it does not have the address ${at.address}`)
  }
  if (found.length === 0) return fail(`${name}: it has no address`)
  return found.map(({ address, scopeid }) => ({ port: at.port, address: scopeid ? `${address}%${name}` : address }))
}
