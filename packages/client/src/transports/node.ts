/** The `Dial` of Node: picks the transport by the scheme of the URL. */
import { dialTcp } from './tcp.ts'
import { dialTls } from './tls.ts'
import type { Dial } from './transport.ts'
import { dialUnix } from './unix.ts'
import { dialNodeWebSocket } from './websocket-node.ts'

export const dialNode: Dial = (address, options, signal) => {
  switch (address.scheme) {
    case 'mqtt':
      return dialTcp(address, options, signal)
    case 'mqtts':
      return dialTls(address, options, signal)
    case 'mqtt+unix':
      return dialUnix(address, options, signal)
    default:
      return dialNodeWebSocket(address, options, signal)
  }
}
