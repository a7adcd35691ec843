/**
 * The `Dial` of Node: picks the transport by the scheme of the URL. Those with TLS are loaded when they are asked for:
 * `node:tls` takes longer to load than the rest of the client.
 */
import { ownStream } from './own-stream.ts'
import { SocketTransport } from './socket.ts'
import { dialTcp } from './tcp.ts'
import type { Dial } from './transport.ts'
import { dialUnix } from './unix.ts'

export const dialNode: Dial = async (address, options, signal) => {
  const stream = options.dial === undefined ? null : await ownStream(options.dial, address, signal)
  switch (address.scheme) {
    case 'mqtt':
    case 'mqtt+unix':
      if (stream !== null) return new SocketTransport(stream)
      return await (address.scheme === 'mqtt' ? dialTcp : dialUnix)(address, options, signal)
    case 'mqtts':
      return await (await import('./tls.ts')).dialTls(address, options, signal, stream)
    default:
      return await (await import('./websocket-node.ts')).dialNodeWebSocket(address, options, signal, stream)
  }
}
