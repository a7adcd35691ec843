/**
 * The address of a client whose WebSocket comes through an HTTP proxy, by the header that the proxy writes.
 *
 * `websocket-transport.ts` asks when the request has been read, the listener's pipeline before: the connections of a
 * proxy do not count as those of one client. Invariants: a header is believed only from an address that has been named
 * as a proxy, and only the one header that has been chosen, because a proxy passes on headers that it does not write
 * itself; of several addresses the right-most one that is no proxy counts, because the client can send anything left of
 * it; a value that is no address is not believed, and the proxy stands for the client.
 *
 * Source: RFC 7239 (Forwarded); X-Forwarded-For and X-Real-IP as nginx, HAProxy and Envoy write them.
 */
import { BlockList, isIP, isIPv6 } from 'node:net'
import { canonicalAddress } from '../ports.ts'

/** HTTP proxies that are believed about the address of a client. */
export interface ForwardedOptions {
  /**
   * Addresses of the proxies: `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`, or `unix` for all connections through a unix
   * socket.
   */
  proxies: readonly string[]
  /** Header that the proxies write, and the only one that is read. Default: `x-forwarded-for`. */
  header?: 'x-forwarded-for' | 'x-real-ip' | 'forwarded'
}

export class Forwarded {
  readonly #proxies: BlockList = new BlockList()
  #hasUnix = false
  readonly #header: NonNullable<ForwardedOptions['header']>

  /** @throws RangeError for a value that is no address of a proxy */
  constructor({ proxies, header = 'x-forwarded-for' }: ForwardedOptions) {
    this.#header = header
    for (const each of proxies) {
      if (each === 'unix') this.#hasUnix = true
      else this.#add(each)
    }
  }

  #add(text: string): void {
    const [address = '', bits] = text.split('/')
    const version = isIP(address)
    const most = version === 6 ? 128 : 32
    const isRight =
      version !== 0 &&
      !address.includes('%') &&
      (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))
    if (!isRight || text.split('/').length > 2) {
      throw new RangeError(
        `"${text}" is not the address of a proxy: write one like 10.0.0.5, 10.0.0.0/8, fd00::/8 or unix`,
      )
    }
    this.#proxies.addSubnet(address, bits === undefined ? most : Number(bits), version === 6 ? 'ipv6' : 'ipv4')
  }

  /** Whether the address is a proxy. `remoteAddress` is as in `192.0.2.1:50000`, '' for a unix socket. */
  isProxy(remoteAddress: string): boolean {
    if (remoteAddress === '') return this.#hasUnix
    const address = addressIn(remoteAddress)
    return address !== null && this.#isProxyAddress(address)
  }

  #isProxyAddress(address: string): boolean {
    return this.#proxies.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  }

  /**
   * Address of the client in a request that has come from a proxy, as in `192.0.2.1`, `[2001:db8::1]`, with the port
   * where the proxy names it; null when the header does not say. `headers` are by lower-case name, repeated ones joined
   * by commas.
   */
  clientIn(headers: ReadonlyMap<string, string>): string | null {
    const value = headers.get(this.#header)
    if (value === undefined) return null
    const hops = this.#header === 'forwarded' ? forIn(value) : value.split(',').map((each) => each.trim())
    // This header names one address. A second one before it is the client's own.
    if (this.#header === 'x-real-ip') hops.splice(0, hops.length - 1)
    let found: string | null = null
    for (let i = hops.length - 1; i >= 0; i--) {
      const address = addressIn(hops[i]!)
      if (address === null) return found
      found = withPortOf(hops[i]!, address)
      if (!this.#isProxyAddress(address)) return found
    }
    // All are proxies: take the first of them.
    return found
  }
}

/** Checks the options as a listener does. @throws RangeError */
export function checkForwarded(options: ForwardedOptions): void {
  new Forwarded(options)
}

/**
 * `for` of each element; '' where there is none. A comma or semicolon in quotes is no separator: a proxy quotes text
 * that the client has sent.
 */
function forIn(value: string): string[] {
  return (value.match(/(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g) ?? []).map((element) => {
    for (const pair of element.match(/(?:[^;"]|"(?:[^"\\]|\\.)*"?)+/g) ?? []) {
      const [name = '', text = ''] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]
      if (name.trim().toLowerCase() === 'for') return unquoted(text.trim())
    }
    return ''
  })
}

const unquoted = (text: string): string => (/^".*"$/.test(text) ? text.slice(1, -1).replace(/\\(.)/g, '$1') : text)

/** Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; null for anything else. */
function addressIn(text: string): string | null {
  const match = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text) ?? /^([\d.]+)(?::\d{1,5})?$/.exec(text)
  const address = match?.[1] ?? text
  if (isIP(address) === 0 || address.includes('%')) return null
  return canonicalAddress(address)
}

function withPortOf(text: string, address: string): string {
  const port = /^(?:\[.*\]|[\d.]+):(\d{1,5})$/.exec(text)?.[1]
  const host = isIPv6(address) ? `[${address}]` : address
  return port === undefined || Number(port) === 0 || Number(port) > 65_535 ? host : `${host}:${Number(port)}`
}
