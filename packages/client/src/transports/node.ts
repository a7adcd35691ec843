/** The `Dial` of Node: picks the transport by the scheme of the URL. */
import { ownStream } from './own-stream.ts'
import { SocketTransport } from './socket.ts'
import { dialTcp } from './tcp.ts'
import { dialTls } from './tls.ts'
import type { Dial } from './transport.ts'
import { dialUnix } from './unix.ts'
import { dialNodeWebSocket } from './websocket-node.ts'

export const dialNode: Dial = async (address, options, signal) => {
  const stream = options.dial === undefined ? null : await ownStream(options.dial, address, signal)
  switch (address.scheme) {
    case 'mqtt':
    case 'mqtt+unix':
      if (stream !== null) return new SocketTransport(stream)
      return await (address.scheme === 'mqtt' ? dialTcp : dialUnix)(address, options, signal)
    case 'mqtts':
      return await dialTls(address, options, signal, stream)
    default:
      return await dialNodeWebSocket(address, options, signal, stream)
  }
}
