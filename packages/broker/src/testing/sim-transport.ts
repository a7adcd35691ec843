/**
 * A Transport without a socket. It is strict where a real one is forgiving, so that a broken promise shows at once:
 *
 * - a chunk handed in is overwritten when `onData` returns (it was only borrowed), unless the broker gave the memory for it;
 * - bytes held by a blocked transport are read when it drains, not when they were written (they may not be touched);
 * - a write while it holds one, and a write after `end`, fail the test;
 * - `onClose` comes later, in a turn of its own, and once.
 */
import assert from 'node:assert/strict'
import type { Clock, Peer, Transport, TransportHandler } from '../ports.ts'

const OVERWRITTEN = 0xaa

export interface SimTransportOptions {
  remoteAddress?: string
  listener?: string
  peer?: Peer
}

export class SimTransport implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: Peer | null
  readonly #clock: Clock
  readonly #onBytes: (bytes: Uint8Array) => void
  #handler: TransportHandler | null = null
  /** Chunks that wait while the broker does not read. */
  #input: Uint8Array[] = []
  /** Bytes that the broker wrote while the peer does not read. */
  #held: Uint8Array[] = []
  /** Memory of the broker that the next chunk is read into; null: none. */
  #target: Uint8Array | null = null
  isPaused = false
  isBlocked = false
  /** The broker has called `end`. */
  isEnded = false
  isClosed = false
  /** The peer does not answer the end of the stream: only `destroy` closes. */
  lingers = false
  bytesWritten = 0
  writes = 0

  /** `onBytes` is the peer: it gets a copy of all that arrives there. */
  constructor(clock: Clock, onBytes: (bytes: Uint8Array) => void, options: SimTransportOptions = {}) {
    this.#clock = clock
    this.#onBytes = onBytes
    this.remoteAddress = options.remoteAddress ?? '192.0.2.1:50000'
    this.listener = options.listener ?? 'sim'
    this.peer = options.peer ?? null
  }

  start(handler: TransportHandler): void {
    this.#handler = handler
  }

  // --- the broker's side --------------------------------------------------------------------------------------------

  get bufferedBytes(): number {
    let bytes = 0
    for (const piece of this.#held) bytes += piece.length
    return bytes
  }

  write(bytes: Uint8Array): boolean {
    return this.writeAll([bytes])
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    assert.ok(!this.isEnded, 'the broker writes after end()')
    assert.equal(this.#held.length, 0, 'the broker writes while the transport holds a write')
    if (this.isClosed) return true
    this.writes++
    for (const piece of pieces) this.bytesWritten += piece.length
    if (this.isBlocked) {
      this.#held.push(...pieces)
      return false
    }
    for (const piece of pieces) this.#onBytes(new Uint8Array(piece))
    return true
  }

  end(): void {
    assert.ok(!this.isEnded, 'the broker calls end() twice')
    this.isEnded = true
    if (this.#held.length === 0) this.#endSoon()
  }

  destroy(): void {
    this.isEnded = true
    this.#held = []
    this.#clock.defer(() => this.#close(null))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    if (this.#input.length > 0) this.#clock.defer(() => this.#deliver())
  }

  // --- the peer's side ----------------------------------------------------------------------------------------------

  /** Bytes arrive: as one chunk, or cut into chunks of these sizes, the last size over and over. */
  receive(bytes: Uint8Array, chunkSizes: readonly number[] = []): void {
    let at = 0
    for (let i = 0; at < bytes.length; i++) {
      const size = chunkSizes[Math.min(i, chunkSizes.length - 1)] ?? bytes.length
      // A Buffer, as from a socket: its `slice` is a view, and whoever means a copy finds out.
      this.#input.push(Buffer.from(bytes.subarray(at, at + size)))
      at += size
    }
    this.#deliver()
  }

  /** The peer stops reading: writes are held. */
  block(): void {
    this.isBlocked = true
  }

  /** The peer reads what is held; it goes on reading unless `once`. */
  drain(once = false): void {
    this.isBlocked = once
    const held = this.#held
    this.#held = []
    for (const piece of held) this.#onBytes(new Uint8Array(piece))
    if (this.isClosed || held.length === 0) return
    if (this.isEnded) this.#endSoon()
    this.#handler!.onDrain()
  }

  /** The connection is lost. */
  drop(error: Error | null = null): void {
    this.#held = []
    this.#close(error)
  }

  #deliver(): void {
    while (this.#input.length > 0 && !this.isPaused && !this.isClosed) {
      const chunk = this.#input.shift()!
      const target = this.#target
      if (target === null) {
        this.#handler!.onData(chunk)
        chunk.fill(OVERWRITTEN)
      } else {
        const count = Math.min(target.length, chunk.length)
        target.set(chunk.subarray(0, count))
        if (count < chunk.length) this.#input.unshift(chunk.subarray(count))
        this.#handler!.onData(target.subarray(0, count))
      }
      this.#target = this.#handler!.nextRead ?? null
    }
  }

  #endSoon(): void {
    if (!this.lingers) this.#clock.defer(() => this.#close(null))
  }

  #close(error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#input = []
    this.#handler?.onClose(error)
  }
}
