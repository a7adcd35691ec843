/**
 * `Transport` over a WebSocket with the browser's API (section 6 of MQTT 5.0): binary frames [MQTT-6.0.0-1], the
 * subprotocol `mqtt` [MQTT-6.0.0-3]; packets may be split over frames and frames may hold several packets
 * [MQTT-6.0.0-2].
 *
 * A browser gives no event when its send buffer empties and cannot stop the other side from sending. So
 * `bufferedAmount` is polled while it is high, and `pause` keeps the chunks that still come.
 */
import { reasonOf } from '../abort.ts'
import { NotSupportedError, UnreachableError } from '../errors.ts'
import type {
  DialOptions,
  ServerAddress,
  Transport,
  TransportHandler,
  WebSocketConstructor,
  WebSocketLike,
} from './transport.ts'

const OPEN = 1
/** Number of buffered bytes above which `write` returns `false`. */
const HIGH_WATER_BYTES = 256 * 1024
const DRAIN_CHECK_MS = 10

export class WebSocketTransport implements Transport {
  readonly #socket: WebSocketLike
  #handler: TransportHandler | null = null
  #held: Uint8Array[] = []
  #paused = true
  #closed = false
  #failed = false
  #drainTimer: ReturnType<typeof setTimeout> | null = null

  constructor(socket: WebSocketLike) {
    this.#socket = socket
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('message', this.#onMessage)
    socket.addEventListener('close', this.#onClose)
    socket.addEventListener('error', this.#onError)
  }

  start(handler: TransportHandler): void {
    this.#handler = handler
    if (this.#closed) queueMicrotask(() => handler.onClose(null))
    else this.resume()
  }

  write(bytes: Uint8Array): boolean {
    if (this.#socket.readyState !== OPEN) return true
    this.#socket.send(bytes)
    if (this.#socket.bufferedAmount < HIGH_WATER_BYTES) return true
    this.#drainTimer ??= setTimeout(this.#checkDrain, DRAIN_CHECK_MS)
    return false
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    while (this.#held.length > 0 && !this.#paused) {
      const held = this.#held
      this.#held = []
      for (let i = 0; i < held.length; i++) {
        if (this.#paused) this.#held.push(held[i]!)
        else this.#handler?.onData(held[i]!)
      }
    }
  }

  end(): void {
    this.#socket.close(1000)
  }

  destroy(): void {
    this.#socket.close()
    // The closing handshake with a dead server may take long: do not wait for it.
    this.#finish(null)
  }

  readonly #onMessage = (event: { data: unknown }): void => {
    if (!(event.data instanceof ArrayBuffer)) {
      // [MQTT-6.0.0-1]
      this.#socket.close(1003)
      this.#finish(new Error('the server sent a WebSocket frame that is not binary'))
      return
    }
    const chunk = new Uint8Array(event.data)
    if (this.#paused || this.#handler === null) this.#held.push(chunk)
    else this.#handler.onData(chunk)
  }

  readonly #onClose = (event: { code?: number; reason?: string }): void => {
    const clean = !this.#failed && (event.code === 1000 || event.code === 1001 || event.code === 1005)
    const reason = event.reason ? `: ${event.reason}` : ''
    this.#finish(clean ? null : new Error(`WebSocket closed with code ${event.code ?? 'unknown'}${reason}`))
  }

  /** Browsers put no reason into the error event; 'close' follows with the code. */
  readonly #onError = (): void => {
    this.#failed = true
  }

  readonly #checkDrain = (): void => {
    this.#drainTimer = null
    if (this.#closed) return
    if (this.#socket.bufferedAmount < HIGH_WATER_BYTES) this.#handler?.onDrain()
    else this.#drainTimer = setTimeout(this.#checkDrain, DRAIN_CHECK_MS)
  }

  #finish(error: Error | null): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#drainTimer !== null) clearTimeout(this.#drainTimer)
    this.#drainTimer = null
    this.#socket.removeEventListener('message', this.#onMessage)
    this.#socket.removeEventListener('close', this.#onClose)
    // The 'error' listener stays: the `ws` package emits one after close() during the handshake.
    const handler = this.#handler
    if (handler !== null) queueMicrotask(() => handler.onClose(error))
  }
}

/**
 * Opens a WebSocket. `explain` converts the `error` of an error event (`ws` has one, a browser does not) to a typed
 * error.
 */
export function dialWebSocket(
  address: ServerAddress,
  options: DialOptions,
  signal: AbortSignal,
  explain: (error: unknown) => Error | null = () => null,
): Promise<Transport> {
  const WebSocketClass = options.webSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
  if (WebSocketClass === undefined) {
    return Promise.reject(
      new NotSupportedError(
        'this platform has no WebSocket class: give one as the option webSocket, such as that of the package ws',
      ),
    )
  }
  return new Promise((resolve, reject) => {
    let socket: WebSocketLike
    try {
      socket = new WebSocketClass(address.href, ['mqtt'])
    } catch (error) {
      // A page of https may only use wss.
      reject(new UnreachableError(`cannot connect to ${address.href}: ${(error as Error).message}`, { cause: error }))
      return
    }
    const onOpen = (): void => {
      cleanUp()
      resolve(new WebSocketTransport(socket))
    }
    const onFailure = (event: { message?: string; code?: number; error?: unknown }): void => {
      cleanUp()
      socket.addEventListener('error', ignore)
      socket.close()
      const why = event.message || (event.code === undefined ? 'the WebSocket handshake failed' : `code ${event.code}`)
      const cause = event.error === undefined ? {} : { cause: event.error }
      reject(explain(event.error) ?? new UnreachableError(`cannot connect to ${address.href}: ${why}`, cause))
    }
    const onAbort = (): void => {
      cleanUp()
      socket.addEventListener('error', ignore)
      socket.close()
      reject(reasonOf(signal))
    }
    const cleanUp = (): void => {
      socket.removeEventListener('open', onOpen)
      socket.removeEventListener('error', onFailure)
      socket.removeEventListener('close', onFailure)
      signal.removeEventListener('abort', onAbort)
    }
    socket.addEventListener('open', onOpen)
    socket.addEventListener('error', onFailure)
    socket.addEventListener('close', onFailure)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

function ignore(): void {}
