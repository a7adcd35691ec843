/**
 * A tunnel: the bytes of a connection that one Core has accepted and another one serves, the home of its client. The
 * bytes are those of MQTT: TLS and WebSocket end where it was accepted.
 *
 * `TunnelEntrance` is the handler of the accepted transport. `TunnelExit` is a transport to the Core at home, which knows
 * no difference. `Tunnels` makes both and hands them what the other end has sent.
 *
 * Invariants: bytes arrive in order and once, or the connection ends at both ends; no more than `WINDOW_BYTES` and one
 * write are on their way in each direction; the end of a connection comes behind its bytes.
 */

import type { Context } from '../core/base/context.ts'
import type { Peer as PeerInfo, Transport, TransportHandler } from '../ports.ts'
import { RecordType } from './frame.ts'
import type { Link } from './link.ts'
import { tunnelCredit, tunnelData, tunnelEnd } from './tunnel-records.ts'

/** Bytes on their way after which the sender waits. */
const WINDOW_BYTES = 256 * 1024
/** Bytes after which the other end is told that there is room again. */
const CREDIT_BYTES = WINDOW_BYTES / 4

/** Ends of a tunnel, or of its connection. */
export const TunnelEnd = { Closed: 0, Failed: 1, Destroyed: 2 } as const

/** Accepted end of a tunnel. */
export class TunnelEntrance implements TransportHandler {
  readonly link: Link
  readonly number: number
  readonly #transport: Transport
  readonly #forget: (entrance: TunnelEntrance) => void
  /** Bytes for home that it has not taken. */
  #outstanding = 0
  #isPaused = false
  /** Bytes for the client that wait behind a write that is held; null while none is. */
  #waiting: Uint8Array[] | null = null
  /** Bytes that the client has taken, and home has not been told. */
  #taken = 0
  #held = 0
  #isEndDue = false
  #isOver = false

  constructor(link: Link, number: number, transport: Transport, forget: (entrance: TunnelEntrance) => void) {
    this.link = link
    this.number = number
    this.#transport = transport
    this.#forget = forget
  }

  // --- from the client ----------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.#isOver) return
    this.link.push(tunnelData(RecordType.TunnelIn, this.number, chunk))
    this.#outstanding += chunk.length
    if (this.#outstanding <= WINDOW_BYTES || this.#isPaused) return
    this.#isPaused = true
    this.#transport.pause()
  }

  onDrain(): void {
    const waiting = this.#waiting
    if (waiting === null) return
    this.#waiting = null
    this.#take(this.#held)
    for (const [i, bytes] of waiting.entries()) {
      if (this.#write(bytes)) continue
      this.#waiting = waiting.slice(i + 1)
      return
    }
    if (this.#isEndDue) this.#transport.end()
  }

  onClose(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.link.push(tunnelEnd(RecordType.TunnelInEnd, this.number, error === null ? TunnelEnd.Closed : TunnelEnd.Failed))
    this.#forget(this)
  }

  // --- from home ----------------------------------------------------------------------------------------------------

  /** Home sends bytes to the client. */
  write(bytes: Uint8Array): void {
    if (this.#isOver) return
    if (this.#waiting !== null) this.#waiting.push(bytes)
    else if (!this.#write(bytes)) this.#waiting = []
  }

  #write(bytes: Uint8Array): boolean {
    if (this.#transport.write(bytes)) {
      this.#take(bytes.length)
      return true
    }
    this.#held = bytes.length
    return false
  }

  #take(bytes: number): void {
    this.#taken += bytes
    if (this.#taken < CREDIT_BYTES) return
    this.link.push(tunnelCredit(RecordType.TunnelOutCredit, this.number, this.#taken))
    this.#taken = 0
  }

  /** Home has taken so many bytes. */
  credit(bytes: number): void {
    this.#outstanding -= bytes
    if (!this.#isPaused || this.#outstanding > WINDOW_BYTES / 2) return
    this.#isPaused = false
    this.#transport.resume()
  }

  /** Home has ended the connection: behind its bytes, or at once. */
  end(how: number): void {
    if (this.#isOver) return
    if (how === TunnelEnd.Destroyed) this.#transport.destroy()
    else if (this.#waiting === null) this.#transport.end()
    else this.#isEndDue = true
  }

  /** Home is another process now, which does not know the connection. */
  break(): void {
    this.#isOver = true
    this.#forget(this)
    this.#transport.destroy()
  }
}

/** End of a tunnel at home: the transport of a connection. */
export class TunnelExit implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: PeerInfo | null
  readonly link: Link
  readonly number: number
  /** Connection; null until the Core has taken it. */
  #handler: TransportHandler | null = null
  readonly #context: Context
  readonly #forget: (exit: TunnelExit) => void
  /** Bytes for the client that it has not taken. */
  #outstanding = 0
  #isBlocked = false
  /** Until the Core has taken it nothing is read. */
  #isPaused = true
  /** Chunks that wait while the connection is not read. */
  readonly #chunks: Uint8Array[] = []
  #isDeferred = false
  /** Bytes that the connection has taken, and the other end has not been told. */
  #taken = 0
  /** End that the client has made, behind what waits; undefined while it has not. */
  #closing: Error | null | undefined
  #isEnded = false
  #isOver = false

  constructor(
    link: Link,
    number: number,
    origin: { readonly remoteAddress: string; readonly listener: string; readonly peer: PeerInfo | null },
    context: Context,
    forget: (exit: TunnelExit) => void,
  ) {
    this.link = link
    this.number = number
    this.remoteAddress = origin.remoteAddress
    this.listener = origin.listener
    this.peer = origin.peer
    this.#context = context
    this.#forget = forget
  }

  /** The Core has taken the connection, and reads it. */
  start(handler: TransportHandler): void {
    this.#handler = handler
    this.resume()
  }

  // --- from the connection ------------------------------------------------------------------------------------------

  get bufferedBytes(): number {
    return this.#outstanding
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver || this.#isEnded) return true
    this.link.push(tunnelData(RecordType.TunnelOut, this.number, bytes))
    this.#outstanding += bytes.length
    this.#isBlocked = this.#outstanding > WINDOW_BYTES
    return !this.#isBlocked
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    for (const piece of pieces) this.write(piece)
    return !this.#isBlocked
  }

  end(): void {
    if (this.#isOver || this.#isEnded) return
    this.#isEnded = true
    this.link.push(tunnelEnd(RecordType.TunnelOutEnd, this.number, TunnelEnd.Closed))
  }

  destroy(): void {
    if (this.#isOver) return
    this.#isEnded = true
    this.link.push(tunnelEnd(RecordType.TunnelOutEnd, this.number, TunnelEnd.Destroyed))
    this.#over(null)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    if (this.#chunks.length > 0 || this.#closing !== undefined) this.#later()
  }

  // --- from the other end -------------------------------------------------------------------------------------------

  /** The client sends bytes. */
  data(chunk: Uint8Array): void {
    if (this.#isOver || this.#isEnded) return
    if (this.#isPaused || this.#chunks.length > 0) this.#chunks.push(chunk)
    else this.#handOver(chunk)
  }

  #handOver(chunk: Uint8Array): void {
    this.#handler?.onData(chunk)
    this.#taken += chunk.length
    if (this.#taken < CREDIT_BYTES || this.#isOver) return
    this.link.push(tunnelCredit(RecordType.TunnelInCredit, this.number, this.#taken))
    this.#taken = 0
  }

  /** The client has taken so many bytes. */
  credit(bytes: number): void {
    this.#outstanding -= bytes
    if (!this.#isBlocked || this.#outstanding > WINDOW_BYTES / 2 || this.#isOver) return
    this.#isBlocked = false
    this.#handler?.onDrain()
  }

  /** The client has closed the connection, or it was lost. */
  closed(how: number): void {
    this.#closing = how === TunnelEnd.Closed ? null : new Error('the connection was reset')
    if (this.#chunks.length === 0 || this.#isEnded) this.#over(this.#closing)
  }

  /** The Core that has accepted the connection is another process now. */
  break(): void {
    this.#over(new Error('the Core that has accepted the connection is gone'))
  }

  /** Reads on, in a turn of its own: the connection is in the middle of its work. */
  #later(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    this.#context.clock.defer(() => {
      this.#isDeferred = false
      this.#context.turn.begin()
      while (this.#chunks.length > 0 && !this.#isPaused && !this.#isOver) this.#handOver(this.#chunks.shift()!)
      if (this.#chunks.length === 0 && this.#closing !== undefined) this.#over(this.#closing)
    })
  }

  /** Tells the connection, as the last call, and not from within one of its own. */
  #over(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#forget(this)
    const handler = this.#handler
    if (handler !== null) this.#context.clock.defer(() => handler.onClose(error))
  }
}
