/** The `Dial` of browsers and workers, which have only WebSocket. */
import { NotSupportedError } from '../errors.ts'
import type { Dial } from './transport.ts'
import { dialWebSocket } from './websocket.ts'

export const dialBrowser: Dial = (address, options, signal) => {
  if (options.dial !== undefined) {
    return Promise.reject(new NotSupportedError('the option dial needs streams, which a browser does not have'))
  }
  if (address.scheme === 'ws' || address.scheme === 'wss') return dialWebSocket(address, options, signal)
  return Promise.reject(
    new NotSupportedError(`${address.scheme}: needs sockets, which a browser does not have; use ws:// or wss://`),
  )
}
