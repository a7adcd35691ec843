/**
 * A doorway: the handler of an accepted transport until it is known where its client is at home. Then the connection is
 * this Core's, or a tunnel to another one.
 *
 * `Mesh.accept` makes one for each transport. Most often the first chunk decides. Invariant: a CONNECT with a Client
 * Identifier that has its home elsewhere is never read by this Core.
 */

import type { Context } from '../core/base/context.ts'
import { Timer } from '../core/base/timer-wheel.ts'
import type { ConnectionSettings } from '../core/connection/listener-settings.ts'
import type { Transport, TransportHandler } from '../ports.ts'
import { peekClientId } from './peek.ts'

/** The Core beside a doorway, and the ways that lead from it. */
export interface DoorwayParts {
  readonly context: Context
  /** Doorways that have not decided, the oldest first. */
  readonly waiting: Set<Doorway>
  /** Whether the session of this Client Identifier is here. */
  isHome(clientId: string): boolean
  /** Takes a connection of this Core; null when it is refused. */
  connect(transport: Transport, settings: ConnectionSettings): TransportHandler | null
  /** Makes a tunnel to the home of a client. */
  tunnel(clientId: string, transport: Transport, bytes: Uint8Array): TransportHandler
}

export class Doorway implements TransportHandler {
  readonly #parts: DoorwayParts
  readonly #transport: Transport
  readonly #settings: ConnectionSettings
  readonly #timer: Timer
  #bytes: Uint8Array = new Uint8Array(0)
  /** Connection or tunnel; null until it is decided. */
  #inner: TransportHandler | null = null
  #isOver = false

  constructor(parts: DoorwayParts, transport: Transport, settings: ConnectionSettings) {
    const { context, waiting } = parts
    this.#parts = parts
    this.#transport = transport
    this.#settings = settings
    // The Core ends the connection, with what that says, when the client goes on to be silent.
    this.#timer = new Timer(() => this.stay())
    context.wheel.set(this.#timer, context.turn.nowMs + settings.limits.connectTimeoutMs)
    waiting.add(this)
    if (waiting.size > settings.limits.pendingConnectionsMax) waiting.values().next().value!.stay()
  }

  onData(chunk: Uint8Array): void {
    if (this.#inner !== null) {
      this.#inner.onData(chunk)
      return
    }
    if (this.#isOver) return
    this.#parts.context.turn.begin()
    const bytes = new Uint8Array(this.#bytes.length + chunk.length)
    bytes.set(this.#bytes)
    bytes.set(chunk, this.#bytes.length)
    this.#bytes = bytes
    const clientId = peekClientId(bytes)
    if (clientId === undefined && bytes.length <= this.#settings.limits.connectBytesMax) return
    // One without a Client Identifier gets one that is at home here.
    if (!clientId || this.#parts.isHome(clientId)) this.stay()
    else this.#decide(this.#parts.tunnel(clientId, this.#transport, bytes))
  }

  onDrain(): void {
    this.#inner?.onDrain()
  }

  onClose(error: Error | null): void {
    this.#leave()
    this.#inner?.onClose(error)
  }

  /** Makes it a connection of this Core. */
  stay(): void {
    if (this.#inner !== null || this.#isOver) return
    const bytes = this.#bytes
    const handler = this.#parts.connect(this.#transport, this.#settings)
    if (handler === null) {
      this.#leave()
      this.#transport.destroy()
      return
    }
    this.#decide(handler)
    if (bytes.length > 0) handler.onData(bytes)
  }

  #decide(inner: TransportHandler): void {
    this.#leave()
    this.#isOver = false
    this.#inner = inner
    this.#bytes = NO_BYTES
  }

  #leave(): void {
    this.#isOver = true
    this.#parts.waiting.delete(this)
    this.#parts.context.wheel.clear(this.#timer)
  }
}

const NO_BYTES = new Uint8Array(0)
