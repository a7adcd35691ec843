/** mqtt+unix: on Node: a unix-domain socket (or a named pipe on Windows). */
import { connect } from 'node:net'
import { opened, unreachable } from './socket.ts'
import type { DialOptions, ServerAddress, Transport } from './transport.ts'

export function dialUnix(address: ServerAddress, _options: DialOptions, signal: AbortSignal): Promise<Transport> {
  const socket = connect({ path: address.path })
  return opened(socket, 'connect', signal, (error) => unreachable(address.path, error))
}
