/**
 * Choice of the next server. Owns the list of addresses, parses URLs and Server References (5.0 section 4.11), and
 * remembers redirects: `Use another server` (0x9C) for once, `Server moved` (0x9D) for good.
 */
import { OptionError, ReasonCode } from '@recado/protocol'
import type { Scheme, ServerAddress } from './transports/transport.ts'

const DEFAULT_PORTS: Record<Scheme, number> = { mqtt: 1883, mqtts: 8883, 'mqtt+unix': 0, ws: 80, wss: 443 }

/** Other names in use for the same scheme. */
const SCHEMES: Record<string, Scheme> = {
  'mqtt:': 'mqtt',
  'tcp:': 'mqtt',
  'mqtts:': 'mqtts',
  'ssl:': 'mqtts',
  'tls:': 'mqtts',
  'ws:': 'ws',
  'wss:': 'wss',
  'mqtt+unix:': 'mqtt+unix',
  'unix:': 'mqtt+unix',
}

/**
 * Parses mqtt://host:port, mqtts://, ws://host:port/path, wss://, mqtt+unix:/path/of/socket. Throws `OptionError`,
 * whose message never contains the URL, as that may hold a password.
 */
export function parseServerUrl(url: string | URL): ServerAddress {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw new OptionError('not a URL; give one like mqtt://host:1883, mqtts://host, ws://host/mqtt or mqtt+unix:/path')
  }
  const scheme = SCHEMES[parsed.protocol]
  if (scheme === undefined) {
    throw new OptionError(`${parsed.protocol} is not a protocol for MQTT; use mqtt:, mqtts:, ws:, wss: or mqtt+unix:`)
  }
  const username = parsed.username === '' ? undefined : decodeURIComponent(parsed.username)
  const password = parsed.password === '' ? undefined : decodeURIComponent(parsed.password)
  if (scheme === 'mqtt+unix') {
    const path = decodeURIComponent(parsed.pathname)
    if (path === '') throw new OptionError('mqtt+unix: needs the path of the socket, as in mqtt+unix:/run/mqtt.sock')
    return { scheme, host: '', port: 0, path, username, password, href: `mqtt+unix:${path}` }
  }
  // `new URL` knows only the special schemes: an empty host of mqtt: is no error to it.
  if (parsed.hostname === '') throw new OptionError(`${parsed.protocol}// needs a host`)
  const host = parsed.hostname.startsWith('[') ? parsed.hostname.slice(1, -1) : parsed.hostname
  const port = parsed.port === '' ? DEFAULT_PORTS[scheme] : Number(parsed.port)
  return serverAddress(scheme, host, port, `${parsed.pathname}${parsed.search}`, username, password)
}

export function serverAddress(
  scheme: Scheme,
  host: string,
  port: number,
  path = '',
  username?: string,
  password?: string,
): ServerAddress {
  const bracketed = host.includes(':') ? `[${host}]` : host
  const isWebSocket = scheme === 'ws' || scheme === 'wss'
  const href = `${scheme}://${bracketed}:${port}${isWebSocket ? path || '/' : ''}`
  return { scheme, host, port, path, username, password, href }
}

/**
 * Parses `host:port` entries separated by spaces (4.11); the port may be missing. Returns `null` when no entry is
 * usable.
 */
export function parseServerReference(serverReference: string, like: ServerAddress): ServerAddress | null {
  for (const entry of serverReference.split(' ')) {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/@]+))(?::(\d{1,5}))?$/.exec(entry)
    if (match === null || like.scheme === 'mqtt+unix') continue
    const port = match[3] === undefined ? like.port : Number(match[3])
    if (port < 1 || port > 65_535) continue
    return serverAddress(like.scheme, match[1] ?? match[2]!, port, like.path, like.username, like.password)
  }
  return null
}

export class Servers {
  #addresses: ServerAddress[]
  #index = 0
  #once: ServerAddress | null = null

  constructor(addresses: ServerAddress[]) {
    if (addresses.length === 0) throw new OptionError('no server: give a URL')
    this.#addresses = addresses
  }

  get count(): number {
    return this.#addresses.length
  }

  /** Returns the server to try now. */
  current(): ServerAddress {
    return this.#once ?? this.#addresses[this.#index]!
  }

  /** Moves on to the next server, because the current one failed. */
  advance(): void {
    if (this.#once !== null) this.#once = null
    else this.#index = (this.#index + 1) % this.#addresses.length
  }

  /** Forgets a redirect that was meant for once. */
  forgetRedirect(): void {
    this.#once = null
  }

  /** Follows a 0x9C or 0x9D of a server. Returns `true` when the next attempt goes to the server that it named. */
  redirect(reasonCode: number, serverReference: string | undefined): boolean {
    if (serverReference === undefined) return false
    const address = parseServerReference(serverReference, this.current())
    if (address === null) return false
    if (reasonCode === ReasonCode.ServerMoved) {
      this.#addresses = this.#addresses.with(this.#index, address)
      this.#once = null
    } else this.#once = address
    return true
  }
}
