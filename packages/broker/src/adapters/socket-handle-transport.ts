/**
 * TCP and unix sockets as a Transport, straight on Node's own handle (`TCPWrap`, `PipeWrap`), without `net.Socket`.
 *
 * A connection whose every message is its own read and write spends a third of its time in the streams of `net.Socket`.
 * Here all connections read into one buffer, a chunk is handed over in place, and a write that the kernel takes at once
 * costs one call and no object.
 *
 * These are internals of Node. `socket-handle-support.ts` finds out at start whether they are there and behave as this
 * file expects; only then may a `HandleTransport` be made. docs/adr/0005-transport-on-the-handle.md lists the internals
 * that are used, and how they differ from version to version.
 *
 * Invariants: `#handle` is null from the moment it is closed; `handle.close` is called exactly once, and everything
 * ends in its callback; a buffer that the kernel has not taken is referenced by its request until that completes (libuv
 * does not keep it alive); `onread` returns the next read buffer when that changes, else undefined, and `#target` keeps
 * alive what the handle reads into.
 */
import { getSystemErrorMap, getSystemErrorName } from 'node:util'
import type { Transport, TransportHandler } from '../ports.ts'
import { DISCARDED_BYTES_MAX, formatAddress } from './socket-transport.ts'

/** Size in bytes of the buffer that all connections of this thread read into; libuv suggests the same for a read. */
const READ_BYTES = 64 * 1024

/** Methods of `LibuvStreamWrap`, and the optional ones of `TCPWrap`. Errors are `-errno`. */
export interface StreamHandle {
  /** Returns the buffer for the next read of this handle; undefined: the same as for this one. */
  onread: (this: StreamHandle) => Uint8Array | undefined
  /** Number of bytes that wait in libuv. */
  readonly writeQueueSize: number
  useUserBuffer(buffer: Uint8Array): void
  readStart(): number
  readStop(): number
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
  writev(request: WriteRequest, pieces: readonly Uint8Array[], allBuffers: true): number
  shutdown(request: ShutdownRequest): number
  close(closed: () => void): void
  setNoDelay?(isOn: boolean): number
  setKeepAlive?(isOn: boolean, delaySeconds: number): number
  getpeername?(out: { address?: string; port?: number }): number
  /** Property that we add to the handle. */
  transport: HandleUser
}

/** Transport that works on a handle. */
export interface HandleUser {
  handleRead(): Uint8Array | undefined
  handleWritten(status: number): void
}

/** `WriteWrap` of Node. One that completed at once was not touched and serves the next write. */
export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void
  transport: HandleUser | null
  /** Bytes that the kernel has yet to take, kept referenced. */
  held: Uint8Array | readonly Uint8Array[] | null
}

/** `ShutdownWrap` of Node. */
export interface ShutdownRequest {
  oncomplete: (this: ShutdownRequest, status: number) => void
  transport: HandleTransport
}

/** Part of `process.binding('stream_wrap')` that is used. */
export interface StreamWrap {
  readonly WriteWrap: new () => object
  readonly ShutdownWrap: new () => object
  /** Array in which the last call, or the reported read, leaves its numbers. */
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

/** Internals of Node, shared by all transports of a thread. */
export class HandleInternals {
  readonly #wrap: StreamWrap
  readonly #state: Int32Array
  readonly #readBytesOrError: number
  readonly #lastWriteWasAsync: number
  readonly #readBuffer: Uint8Array = new Uint8Array(READ_BYTES)
  readonly eof: number
  readonly notConnected: number
  /** Request for the next write. */
  request: WriteRequest

  constructor(wrap: StreamWrap) {
    this.#wrap = wrap
    this.#state = wrap.streamBaseState
    this.#readBytesOrError = wrap.kReadBytesOrError
    this.#lastWriteWasAsync = wrap.kLastWriteWasAsync
    this.eof = errnoOf('EOF')
    this.notConnected = errnoOf('ENOTCONN')
    this.request = this.#newRequest()
  }

  /** Result of a read, in `onread`: number of bytes, 0 for nothing, or the error. */
  get read(): number {
    return this.#state[this.#readBytesOrError]!
  }

  /** Whether the kernel has not taken all of a write, so that `request` is in use until it completes. */
  get isAsync(): boolean {
    return this.#state[this.#lastWriteWasAsync] !== 0
  }

  /** Buffer that all connections read into unless they have memory of their own. */
  get readBuffer(): Uint8Array {
    return this.#readBuffer
  }

  chunk(length: number): Uint8Array {
    return this.#readBuffer.subarray(0, length)
  }

  /** Hands the request out for a write that goes on. */
  takeRequest(transport: HandleUser, held: Uint8Array | readonly Uint8Array[] | null): void {
    this.request.transport = transport
    this.request.held = held
    this.request = this.#newRequest()
  }

  errorOf(errno: number, syscall: string): NodeJS.ErrnoException {
    const code = getSystemErrorName(errno)
    return Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall })
  }

  newShutdown(transport: HandleTransport): ShutdownRequest {
    return Object.assign(new this.#wrap.ShutdownWrap(), { oncomplete: onShutdown, transport })
  }

  #newRequest(): WriteRequest {
    return Object.assign(new this.#wrap.WriteWrap(), { oncomplete: onWritten, transport: null, held: null })
  }
}

export class HandleTransport implements Transport, HandleUser {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: null = null
  readonly #internals: HandleInternals
  readonly #onClosed: (() => void) | null
  #handle: StreamHandle | null
  #handler: TransportHandler | null = null
  #error: Error | null = null
  /** Memory of the handler that the handle reads into (`TransportHandler.nextRead`); null: the buffer of all. */
  #target: Uint8Array | null = null
  /** Number of writes that the kernel has not taken yet. */
  #writes = 0
  #isPaused = false
  /** Whether `end` was called: nothing more is written, and bytes that are read are discarded. */
  #isEnding = false
  #discardedBytes = 0
  /** Whether all has been sent, and the end of the stream too. */
  #isShut = false
  /** Whether the peer has sent the end of its stream. */
  #hasPeerEnded = false

  /**
   * Takes the handle over. `onClosed` is for the listener, which counts connections; `remoteAddress` is that of `peerOf`
   * for a caller that has asked before.
   */
  constructor(
    handle: StreamHandle,
    listener: string,
    internals: HandleInternals,
    onClosed: (() => void) | null = null,
    remoteAddress: string = peerOf(handle),
  ) {
    this.#handle = handle
    this.#internals = internals
    this.#onClosed = onClosed
    this.listener = listener
    this.remoteAddress = remoteAddress
    handle.transport = this
  }

  /** Starts reading. */
  start(handler: TransportHandler): void {
    this.#handler = handler
    const handle = this.#handle
    if (handle === null) return
    handle.onread = onRead
    handle.useUserBuffer(this.#internals.readBuffer)
    if (!this.#isPaused || this.#isEnding) this.#read(handle)
  }

  get bufferedBytes(): number {
    return this.#handle === null || this.#writes === 0 ? 0 : this.#handle.writeQueueSize
  }

  write(bytes: Uint8Array): boolean {
    const handle = this.#handle
    if (handle === null || this.#isEnding || bytes.length === 0) return true
    return this.#written(handle.writeBuffer(this.#internals.request, bytes), bytes)
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    const handle = this.#handle
    if (handle === null || this.#isEnding || pieces.length === 0) return true
    if (pieces.length === 1) return this.write(pieces[0]!)
    return this.#written(handle.writev(this.#internals.request, pieces, true), pieces)
  }

  #written(error: number, held: Uint8Array | readonly Uint8Array[]): boolean {
    if (error !== 0) {
      this.#fail(error, 'write')
      return true
    }
    if (!this.#internals.isAsync) return true
    this.#internals.takeRequest(this, held)
    this.#writes++
    return false
  }

  end(): void {
    const handle = this.#handle
    if (handle === null || this.#isEnding) return
    this.#isEnding = true
    // libuv sends waiting bytes first.
    const error = handle.shutdown(this.#internals.newShutdown(this))
    if (error === 0) {
      // A paused connection would not see the other side's end.
      if (this.#isPaused && this.#handler !== null && !this.#hasPeerEnded) this.#read(handle)
    } else if (error === this.#internals.notConnected) {
      this.#close()
    } else {
      this.#fail(error, 'shutdown')
    }
  }

  destroy(): void {
    this.#close()
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    if (this.#handle !== null && !this.#isEnding) this.#handle.readStop()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    const handle = this.#handle
    if (handle !== null && this.#handler !== null && !this.#isEnding && !this.#hasPeerEnded) this.#read(handle)
  }

  // --- from the handle ----------------------------------------------------------------------------------------------

  /**
   * Handles a read, and returns the buffer for the next one when it is another.
   *
   * @internal
   */
  handleRead(): Uint8Array | undefined {
    const read = this.#internals.read
    if (read === 0 || this.#handle === null) return undefined
    if (read > 0) {
      const target = this.#target
      if (this.#isEnding) {
        this.#discard(read)
      } else {
        const handler = this.#handler!
        handler.onData(target === null ? this.#internals.chunk(read) : target.subarray(0, read))
        const next = handler.nextRead
        if (next != null) {
          this.#target = next
          return next
        }
      }
      if (target === null) return undefined
      this.#target = null
      return this.#internals.readBuffer
    }
    if (read === this.#internals.eof) {
      this.#hasPeerEnded = true
      if (this.#isShut) this.#close()
      else this.end()
    } else {
      this.#fail(read, 'read')
    }
    return undefined
  }

  /** @internal */
  handleWritten(status: number): void {
    this.#writes--
    if (this.#handle === null) return
    if (status < 0) this.#fail(status, 'write')
    else if (this.#writes === 0) this.#handler?.onDrain()
  }

  /** @internal */
  handleShutdown(status: number): void {
    if (this.#handle === null) return
    this.#isShut = true
    if (status < 0 && status !== this.#internals.notConnected) this.#fail(status, 'shutdown')
    else if (status < 0 || this.#hasPeerEnded) this.#close()
  }

  /** Discards bytes that arrive after our end. A peer that goes on sending is not read for ever. */
  #discard(bytes: number): void {
    this.#discardedBytes += bytes
    if (this.#discardedBytes > DISCARDED_BYTES_MAX) this.#close()
  }

  #read(handle: StreamHandle): void {
    const error = handle.readStart()
    if (error !== 0) this.#fail(error, 'read')
  }

  #fail(errno: number, syscall: string): void {
    if (this.#handle === null) return
    this.#error = this.#internals.errorOf(errno, syscall)
    this.#close()
  }

  /**
   * Closes the handle. `onClose` follows later, never from within a call of ours. Waiting writes complete as cancelled
   * before it.
   */
  #close(): void {
    const handle = this.#handle
    if (handle === null) return
    this.#handle = null
    handle.close(() => {
      this.#onClosed?.()
      this.#handler?.onClose(this.#error)
    })
  }
}

function onRead(this: StreamHandle): Uint8Array | undefined {
  return this.transport.handleRead()
}

function onWritten(this: WriteRequest, status: number): void {
  this.held = null
  // null only in a self-test that fails because of it.
  this.transport?.handleWritten(status)
}

function onShutdown(this: ShutdownRequest, status: number): void {
  this.transport.handleShutdown(status)
}

/** `address:port` of the other end; '' when unknown. */
export function peerOf(handle: StreamHandle): string {
  if (handle.getpeername === undefined) return ''
  const out: { address?: string; port?: number } = {}
  return handle.getpeername(out) === 0 ? formatAddress(out.address, out.port) : ''
}

function errnoOf(name: string): number {
  for (const [errno, [code]] of getSystemErrorMap()) if (code === name) return errno
  throw new Error(`this platform has no ${name}`)
}
