/** mqtt:// on Node: plain TCP. */
import { connect, type LookupFunction } from 'node:net'
import { opened, unreachable } from './socket.ts'
import type { DialOptions, ServerAddress, Transport } from './transport.ts'

export function dialTcp(address: ServerAddress, options: DialOptions, signal: AbortSignal): Promise<Transport> {
  const socket = connect({
    host: address.host,
    port: address.port,
    noDelay: options.noDelay ?? true,
    // Off by default in Node 18, on in 20: a name with a dead IPv6 address must not make the server unreachable.
    autoSelectFamily: true,
    ...(options.lookup === undefined ? {} : { lookup: options.lookup as LookupFunction }),
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
  })
  if (options.keepAliveIdleMs !== undefined) socket.setKeepAlive(true, options.keepAliveIdleMs)
  return opened(socket, 'connect', signal, (error) => unreachable(address.href, error))
}
