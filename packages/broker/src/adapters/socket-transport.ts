/**
 * A `net.Socket` (TCP, unix socket; TLS sockets are ones too) as a Transport, by its public API.
 *
 * `writableLength` is 0 right after a write exactly when the kernel has taken all of it: then the buffer may be reused.
 * Otherwise the socket holds on to it until the write's callback, which becomes `onDrain`. On TLS packets are written one by one
 * where that matters (`socket-records.ts`).
 */
import type { Socket } from 'node:net'
import type { Peer, Transport, TransportHandler } from '../ports.ts'
import { Records, type UnitEnd } from './socket-records.ts'

/** What is read and thrown away after our end: time enough to hear our last words. */
export const DISCARDED_BYTES_MAX: number = 4 * 1024 * 1024

/** What the layers below have found out, in place of what the socket itself says. */
export interface KnownOfSocket {
  remoteAddress?: string
  peer?: Peer | null
  /** It is a TLS socket, and this finds the packets in what is written. */
  unitEnd?: UnitEnd
}

export class SocketTransport implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: Peer | null
  readonly #socket: Socket
  readonly #records: Records | null
  #handler: TransportHandler | null = null
  #isHolding = false
  #isPaused = false
  #discardedBytes = 0
  #error: Error | null = null
  readonly #onWritten: (error?: Error | null) => void

  constructor(socket: Socket, listener: string, known: KnownOfSocket = {}) {
    this.#socket = socket
    this.#records = known.unitEnd === undefined ? null : new Records(known.unitEnd)
    // Without it each write is one by itself. With it those that wait would become one, and one record.
    if (this.#records !== null) Object.assign(socket, { _writev: null })
    this.listener = listener
    this.peer = known.peer ?? null
    this.remoteAddress = known.remoteAddress ?? formatAddress(socket.remoteAddress, socket.remotePort)
    this.#onWritten = (error) => {
      // One that failed is not written: the end follows, on some ways before the socket says that it is destroyed.
      if (error || !this.#isHolding || this.#socket.writableLength > 0) return
      this.#isHolding = false
      if (!this.#socket.destroyed) this.#handler?.onDrain()
    }
  }

  /** Starts reading. */
  start(handler: TransportHandler): void {
    const socket = this.#socket
    this.#handler = handler
    socket.on('data', (chunk: Uint8Array) => {
      // After our end what still comes is only read to see the peer's.
      if (!socket.writableEnded) handler.onData(chunk)
      else this.#discard(chunk.length)
    })
    socket.on('error', (error: Error) => {
      this.#error = error
    })
    socket.on('close', () => handler.onClose(this.#error))
    // A layer below may have paused it.
    if (!this.#isPaused) socket.resume()
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket
    if (!socket.writable) return true
    if (this.#records === null) socket.write(bytes, this.#onWritten)
    else this.#writeRecords(bytes, this.#records)
    return this.#isTaken()
  }

  #writeRecords(bytes: Uint8Array, records: Records): void {
    let at = 0
    for (let left = records.countFor(bytes); left > 1; left--) {
      const end = records.unitEnd(bytes, at)
      this.#socket.write(bytes.subarray(at, end), this.#onWritten)
      at = end
    }
    this.#socket.write(bytes.subarray(at), this.#onWritten)
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    const socket = this.#socket
    if (!socket.writable || pieces.length === 0) return true
    // TLS would make one of them as well.
    if (this.#records !== null) return this.write(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces))
    socket.cork()
    for (const piece of pieces) socket.write(piece, this.#onWritten)
    socket.uncork()
    return this.#isTaken()
  }

  #isTaken(): boolean {
    if (this.#socket.writableLength === 0) return true
    this.#isHolding = true
    return false
  }

  /** Whoever has been told that it is over, and sends on, is not read for ever to find out when it ends. */
  #discard(bytes: number): void {
    this.#discardedBytes += bytes
    if (this.#discardedBytes > DISCARDED_BYTES_MAX) this.#socket.destroy()
  }

  end(): void {
    this.#socket.end()
    // A paused socket would not see the other side's end.
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#socket.resume()
  }
}

/** `address:port`, an IPv6 address in brackets, an IPv4 address that came mapped into IPv6 as IPv4; '' for none. */
export function formatAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return ''
  if (address.startsWith('::ffff:')) return `${address.slice(7)}:${port}`
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
