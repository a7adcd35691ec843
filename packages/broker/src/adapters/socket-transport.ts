/**
 * A `net.Socket` (TCP, unix socket; TLS sockets are ones too) as a Transport, by its public API.
 *
 * `writableLength` is 0 right after a write exactly when the kernel has taken all of it: the buffer may then be reused.
 * Otherwise the socket keeps it until the write's callback, which becomes `onDrain`. On TLS packets are written one by
 * one where that matters (`socket-records.ts`).
 */
import type { Socket } from 'node:net'
import type { Peer, Transport, TransportHandler } from '../ports.ts'
import { Records, type UnitEnd } from './socket-records.ts'

/** Number of bytes that are read and discarded after our end: enough time for the peer to read our last packet. */
export const DISCARDED_BYTES_MAX: number = 4 * 1024 * 1024

/** Facts that the layers below have found out, in place of those of the socket itself. */
export interface KnownOfSocket {
  remoteAddress?: string
  peer?: Peer | null
  /** Function that finds the packets in written bytes; set for a TLS socket. */
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
    // Without it each write is a record of its own. With it waiting writes would be joined to one, and one record.
    if (this.#records !== null) Object.assign(socket, { _writev: null })
    this.listener = listener
    this.peer = known.peer ?? null
    this.remoteAddress = known.remoteAddress ?? formatAddress(socket.remoteAddress, socket.remotePort)
    this.#onWritten = (error) => {
      // A failed write has not been written: the end follows, sometimes before the socket reports that it is destroyed.
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
      // After our end bytes are only read to see the peer's end.
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
    // TLS would join them as well.
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

  /** Discards bytes that arrive after our end. A peer that goes on sending is not read for ever. */
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

/**
 * Formats `address:port`, an IPv6 address in brackets, an IPv4 address that is mapped into IPv6 as IPv4; '' when
 * unknown.
 */
export function formatAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return ''
  if (address.startsWith('::ffff:')) return `${address.slice(7)}:${port}`
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
