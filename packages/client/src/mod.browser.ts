/** `@recado/client` for browsers and workers: ws:// and wss://. */
import { Client } from './client.ts'
import { realEnvironment } from './environment.ts'
import { type ConnectOptions, resolveOptions } from './options.ts'
import { dialBrowser } from './transports/browser.ts'

export * from './exports.ts'

/**
 * Makes a client that is not connected yet: subscribe, then call its `connect()`. For sessions that the server has
 * kept: no message of the session comes before its subscription is there. Throws `OptionError`.
 */
export function createClient(target: string | URL | ConnectOptions, options?: ConnectOptions): Client {
  return new Client(realEnvironment(dialBrowser), resolveOptions(target, options))
}

/**
 * Connects to an MQTT server: 5.0, or 3.1.1 if it does not know that. `await using client = await connect('mqtt://host')`
 * closes it at the end of the block. Rejects with `UnreachableError`, `TlsError`, `ConnectTimeoutError`,
 * `ConnectionRefusedError`, `ConnectionLostError`, `ProtocolError`, `OptionError` or the reason of `signal`.
 */
export async function connect(target: string | URL | ConnectOptions, options?: ConnectOptions): Promise<Client> {
  const client = createClient(target, options)
  const signal = options?.signal ?? (typeof target === 'object' && !(target instanceof URL) ? target.signal : undefined)
  return await client.connect(signal)
}
