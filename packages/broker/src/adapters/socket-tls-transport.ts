/**
 * A TLS connection as a Transport, straight on the handle of Node's TLS socket (`TLSWrap`), without its streams.
 *
 * Made by the listener's pipeline when the handshake is over. From then on the socket is only there to be closed: what
 * is decrypted goes from the handle into one buffer for all connections, or into memory of the handler, and what is
 * written goes to the handle, one write at a time. With the streams every record that is read costs an array of 64 KiB,
 * and V8's collector marks the whole heap for them.
 *
 * These are internals of Node, as in `socket-handle-transport.ts`, whose self-test decides about both. Invariants: a
 * write is begun only when the one before it has completed (another one would abort the process); the streams of the
 * socket are neither written nor read; the bytes of a write are encrypted when the call returns, and not referred to
 * any more.
 */
import type { TLSSocket } from 'node:tls'
import type { Peer, Transport, TransportHandler } from '../ports.ts'
import type { HandleInternals, StreamHandle } from './socket-handle-transport.ts'
import { Records, type UnitEnd } from './socket-records.ts'
import { DISCARDED_BYTES_MAX } from './socket-transport.ts'

const METHODS = ['useUserBuffer', 'readStart', 'readStop', 'writeBuffer'] as const
/** Sizes in bytes of the arrays that pieces are joined in are powers of two times this. More than the largest gets an array of its own. */
const JOINED_BYTES = 64 * 1024
const JOINED_SIZES = 6
/** Bytes of all such arrays that are kept for reuse. */
const JOINED_KEPT_BYTES = 8 * 1024 * 1024

/** Facts that the layers below have found out. */
export interface KnownOfTlsSocket {
  readonly listener: string
  readonly remoteAddress: string
  readonly peer: Peer | null
  /** Function that finds the packets in written bytes. */
  readonly unitEnd: UnitEnd
}

interface HandleOwner {
  readonly _handle?: StreamHandle | null
}

/** Free arrays for joining pieces, by size. */
const joinedFree: Uint8Array[][] = Array.from({ length: JOINED_SIZES }, () => [])
let joinedFreeBytes = 0

function takeJoined(length: number): Uint8Array {
  const size = Math.max(0, Math.ceil(Math.log2(length / JOINED_BYTES)))
  const free = joinedFree[size]
  const joined = free?.pop()
  if (joined === undefined) return Buffer.allocUnsafeSlow(free === undefined ? length : JOINED_BYTES << size)
  joinedFreeBytes -= joined.length
  return joined
}

function giveJoined(joined: Uint8Array): void {
  const free = joinedFree[Math.log2(joined.length / JOINED_BYTES)]
  if (free === undefined || joinedFreeBytes + joined.length > JOINED_KEPT_BYTES) return
  free.push(joined)
  joinedFreeBytes += joined.length
}

export class TlsHandleTransport implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: Peer | null
  readonly #socket: TLSSocket
  readonly #internals: HandleInternals
  readonly #records: Records
  #handler: TransportHandler | null = null
  /** Memory of the handler that the handle reads into; null: the buffer of all. */
  #target: Uint8Array | null = null
  /** Copies of chunks that were decrypted before `start`, or while it is paused. */
  #early: Uint8Array[] = []
  #isDeliveryDue = false
  /** Number of bytes of the write that has not completed; 0: none. */
  #writingBytes = 0
  /** Records that wait for it. */
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  /** Array that those records lie in, which was joined from pieces; null: in bytes of the owner. */
  #joined: Uint8Array | null = null
  #isPaused = false
  /** Whether `end` was called: nothing more is written, and bytes that are read are discarded. */
  #isEnding = false
  #discardedBytes = 0
  /** Whether all has been sent, and the end of the stream too. */
  #isShut = false
  #hasPeerEnded = false
  #error: Error | null = null

  /** Returns whether the handle of this socket has all that is used. */
  static canUse(socket: TLSSocket): boolean {
    const handle = (socket as HandleOwner)._handle
    return handle != null && METHODS.every((name) => typeof handle[name] === 'function') && 'onread' in handle
  }

  /** `socket` has done its handshake, and its streams have not been used. */
  constructor(socket: TLSSocket, internals: HandleInternals, known: KnownOfTlsSocket) {
    this.#socket = socket
    this.#internals = internals
    this.#records = new Records(known.unitEnd)
    this.listener = known.listener
    this.remoteAddress = known.remoteAddress
    this.peer = known.peer
  }

  /** Starts reading. */
  start(handler: TransportHandler): void {
    const socket = this.#socket
    this.#handler = handler
    socket.on('error', (error: Error) => {
      this.#error = error
    })
    socket.on('close', () => handler.onClose(this.#error))
    socket.on('finish', () => {
      this.#isShut = true
      if (this.#hasPeerEnded) socket.destroy()
    })
    // What came with the end of the handshake lies in the stream already.
    for (let chunk = socket.read() as Uint8Array | null; chunk !== null; chunk = socket.read()) this.#early.push(chunk)
    const hasPeerEnded =
      socket.readableEnded || (socket as { _readableState?: { ended?: boolean } })._readableState?.ended
    const handle = this.#handle
    if (handle === null) return
    handle.transport = this
    handle.onread = onRead
    handle.useUserBuffer(this.#internals.readBuffer)
    if (this.#early.length > 0) this.#deliverSoon()
    if (hasPeerEnded) process.nextTick(() => this.#ended())
    else if (!this.#isPaused || this.#isEnding) handle.readStart()
    else handle.readStop()
  }

  get #handle(): StreamHandle | null {
    return this.#socket.destroyed ? null : ((this.#socket as HandleOwner)._handle ?? null)
  }

  get bufferedBytes(): number {
    return this.#handle === null ? 0 : this.#writingBytes + this.#waitingBytes
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnding || bytes.length === 0 || this.#handle === null) return true
    let at = 0
    for (let left = this.#records.countFor(bytes); left > 1; left--) {
      const end = this.#records.unitEnd(bytes, at)
      this.#send(bytes.subarray(at, end))
      at = end
    }
    this.#send(at === 0 ? bytes : bytes.subarray(at))
    return this.bufferedBytes === 0
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (pieces.length === 1) return this.write(pieces[0]!)
    let length = 0
    for (const piece of pieces) length += piece.length
    // A second write while one waits has an array that is not used again.
    const isReused = this.#waiting.length === 0
    const joined = takeJoined(length)
    let at = 0
    for (const piece of pieces) {
      joined.set(piece, at)
      at += piece.length
    }
    const isTaken = this.write(joined.subarray(0, length))
    // Encrypted already, unless some of it waits.
    if (isReused && this.#waiting.length === 0) giveJoined(joined)
    else if (isReused) this.#joined = joined
    return isTaken
  }

  #send(bytes: Uint8Array): void {
    const handle = this.#handle
    if (handle === null) return
    if (this.#writingBytes > 0) {
      this.#waiting.push(bytes)
      this.#waitingBytes += bytes.length
      return
    }
    const { request } = this.#internals
    // Before the call, from within which a failure may be reported.
    this.#internals.takeRequest(this, null)
    this.#writingBytes = bytes.length
    const error = handle.writeBuffer(request, bytes)
    if (error === 0 && this.#internals.isAsync) return
    this.#writingBytes = 0
    if (error !== 0) this.#fail(error, 'write')
  }

  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    if (this.#writingBytes === 0) this.#shut()
    // A paused connection would not see the other side's end.
    if (this.#isPaused && this.#handler !== null && !this.#hasPeerEnded) this.#handle?.readStart()
  }

  #shut(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    if (!this.#isEnding) this.#handle?.readStop()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#handler === null || this.#isEnding) return
    if (this.#early.length > 0) this.#deliverSoon()
    if (!this.#hasPeerEnded) this.#handle?.readStart()
  }

  // --- from the handle ----------------------------------------------------------------------------------------------

  /**
   * Handles what has been decrypted, and returns the buffer for the next when it is another.
   *
   * @internal
   */
  handleRead(): Uint8Array | undefined {
    const read = this.#internals.read
    if (read === 0 || this.#handle === null) return undefined
    if (read < 0) {
      if (read === this.#internals.eof) this.#ended()
      else this.#fail(read, 'read')
      return undefined
    }
    const target = this.#target
    if (this.#isEnding) {
      this.#discardedBytes += read
      if (this.#discardedBytes > DISCARDED_BYTES_MAX) this.#socket.destroy()
    } else {
      const chunk = target === null ? this.#internals.chunk(read) : target.subarray(0, read)
      // One read of the socket may bring several records, whatever is called meanwhile.
      if (this.#isPaused || this.#early.length > 0) {
        this.#early.push(Uint8Array.prototype.slice.call(chunk))
      } else {
        this.#handler!.onData(chunk)
        const next = this.#handler!.nextRead
        if (next != null) {
          this.#target = next
          return next
        }
      }
    }
    if (target === null) return undefined
    this.#target = null
    return this.#internals.readBuffer
  }

  /** @internal */
  handleWritten(status: number): void {
    this.#writingBytes = 0
    if (this.#handle === null) return
    if (status < 0) {
      this.#fail(status, 'write')
      return
    }
    while (this.#writingBytes === 0 && this.#waiting.length > 0) {
      const next = this.#waiting.shift()!
      this.#waitingBytes -= next.length
      this.#send(next)
    }
    if (this.#joined !== null && this.#waiting.length === 0) {
      giveJoined(this.#joined)
      this.#joined = null
    }
    if (this.#writingBytes > 0) return
    if (this.#isEnding) this.#shut()
    else this.#handler?.onDrain()
  }

  #deliverSoon(): void {
    if (this.#isDeliveryDue) return
    this.#isDeliveryDue = true
    process.nextTick(() => {
      this.#isDeliveryDue = false
      while (this.#early.length > 0 && !this.#isPaused && !this.#isEnding && this.#handle !== null) {
        this.#handler!.onData(this.#early[0]!)
        this.#early.shift()
      }
      if (this.#early.length === 0 && this.#hasPeerEnded) this.#ended()
    })
  }

  /** The peer has sent the end of its stream. */
  #ended(): void {
    this.#hasPeerEnded = true
    // What came before it comes first.
    if (this.#early.length > 0 && !this.#isEnding) return
    if (this.#isShut) this.#socket.destroy()
    else this.end()
  }

  #fail(errno: number, syscall: string): void {
    this.#socket.destroy(this.#internals.errorOf(errno, syscall))
  }
}

function onRead(this: StreamHandle): Uint8Array | undefined {
  return this.transport.handleRead()
}
