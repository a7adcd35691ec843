/**
 * MQTT over WebSocket, on top of any other transport: TCP, a unix socket, TLS.
 *
 * The listener's pipeline hands the handler of a raw transport to `WebSocketUpgrade`, which reads the HTTP request and
 * then passes everything on to a `WebSocketTransport`, as the core sees it. The bytes of a turn go out in one write,
 * each packet in a frame of its own (`websocket-frame-writer.ts`).
 *
 * Compression is not offered: an MQTT payload is small or compressed already, and a few kilobytes of it may claim to be
 * gigabytes.
 *
 * Invariants: after `end`, a Close of either side or a mistake of the client nothing more goes to the core but
 * `onClose`; a client that does not close its connection after that is cut off after CLOSING_MS; of all pings of a
 * chunk, and of those that come while the client does not read, the last one is answered: a megabyte of them would be a
 * hundred thousand writes.
 *
 * Source: RFC 6455; MQTT 5.0 section 6.
 */
import type { Peer, Transport, TransportHandler } from '../ports.ts'
import type { Forwarded, ForwardedOptions } from './websocket-forwarded.ts'
import { writeFrames } from './websocket-frame-writer.ts'
import {
  CloseCode,
  closeFrame,
  controlFrame,
  type FrameHandler,
  FrameReader,
  Opcode,
  WebSocketError,
} from './websocket-frames.ts'
import { answerTo, headersOf, tooLong, type UpgradeRules } from './websocket-upgrade.ts'

/** Options of MQTT over WebSocket. */
export interface WebSocketOptions {
  /** Only path that is served, as in `/mqtt`. Default: any. */
  path?: string
  /** Origins of the pages that may connect, as in `https://example.com`; others are refused. Default: all. */
  origins?: readonly string[]
  /** Longest HTTP request, in bytes. Default 8192. */
  headerBytesMax?: number
  /** Proxies that name the client in a header. Default: none is believed. */
  forwarded?: ForwardedOptions
  /**
   * `mosquitto`: the answer to a request is Mosquitto's, byte for byte, and a page of another origin gets none. Default: `recado`.
   */
  answers?: 'recado' | 'mosquitto'
}

const HEADER_BYTES_MAX = 8_192
const CLOSING_MS = 5_000
/**
 * Largest number of frames without payload in a chunk, which has room for ten thousand. No rate limit counts them: they
 * are neither messages nor bytes of a client.
 */
const IDLE_FRAMES_MAX = 100
const NOTHING: Uint8Array = new Uint8Array(0)
const NOBODY: Peer = {
  tlsVersion: null,
  commonName: null,
  certificate: null,
  pskIdentity: null,
  serverName: null,
  proxyAddress: null,
}
/** List for the pieces of a write that has only one. */
const only: Uint8Array[] = [NOTHING]

/** Callbacks of a connection that asks to become a WebSocket. */
export interface UpgradeHandler {
  /**
   * Called when a proxy has named the client, or with null when it has not. Not called where no proxy is believed.
   * Returns false when the connection is not wanted.
   */
  identified(remoteAddress: string | null): boolean
  /** Called when it is a WebSocket; returning null refuses it. */
  upgraded(transport: Transport): TransportHandler | null
  /** Called when it is none; it gets its answer and is closed, which may take time. */
  failed(why: string): void
  /** Called when a failed connection has closed. */
  closed(): void
}

/** Handler that reads the request; from then on everything goes to the WebSocket. */
export class WebSocketUpgrade implements TransportHandler {
  readonly #raw: Transport
  readonly #handler: UpgradeHandler
  readonly #rules: UpgradeRules
  readonly #headerBytesMax: number
  readonly #forwarded: Forwarded | null
  #head: Uint8Array = NOTHING
  #webSocket: WebSocketTransport | null = null
  #isRefused = false
  #closing: NodeJS.Timeout | null = null

  /** @param forwarded header of the proxy at the other end; null when it is no proxy that is believed */
  constructor(raw: Transport, options: WebSocketOptions, handler: UpgradeHandler, forwarded: Forwarded | null = null) {
    this.#forwarded = forwarded
    this.#raw = raw
    this.#handler = handler
    const { path = null, origins = [], answers } = options
    this.#rules = { path, origins, isMosquitto: answers === 'mosquitto' }
    this.#headerBytesMax = options.headerBytesMax ?? HEADER_BYTES_MAX
  }

  onData(chunk: Uint8Array): void {
    if (this.#webSocket !== null) this.#webSocket.onData(chunk)
    else if (!this.#isRefused) this.#read(chunk)
  }

  onDrain(): void {
    this.#webSocket?.onDrain()
  }

  onClose(error: Error | null): void {
    if (this.#closing !== null) clearTimeout(this.#closing)
    if (this.#webSocket !== null) {
      this.#webSocket.onClose(error)
      return
    }
    if (!this.#isRefused)
      this.#handler.failed(error === null ? 'the connection was closed before the WebSocket upgrade' : error.message)
    this.#handler.closed()
  }

  #read(chunk: Uint8Array): void {
    const before = this.#head
    const bytes = new Uint8Array(before.length + chunk.length)
    bytes.set(before)
    bytes.set(chunk, before.length)
    const text = Buffer.from(bytes.buffer)
    // The empty line may have begun in the chunk before.
    const end = text.indexOf('\r\n\r\n', Math.max(0, before.length - 3), 'latin1')
    if (end < 0 && bytes.length <= this.#headerBytesMax) {
      this.#head = bytes
      return
    }
    this.#head = NOTHING
    const isTooLong = end < 0 || end > this.#headerBytesMax
    let remoteAddress: string | null = null
    if (this.#forwarded !== null) {
      const headers = isTooLong ? null : headersOf(text.toString('latin1', 0, end))
      remoteAddress = headers === null ? null : this.#forwarded.clientIn(headers)
      if (!this.#handler.identified(remoteAddress)) {
        this.#isRefused = true
        this.#raw.destroy()
        return
      }
    }
    const { response, refusal } = isTooLong
      ? tooLong(this.#headerBytesMax)
      : answerTo(text.toString('latin1', 0, end), this.#rules)
    if (response !== '') this.#raw.write(Buffer.from(response, 'latin1'))
    if (refusal !== null) {
      this.#isRefused = true
      this.#raw.end()
      this.#closing = setTimeout(() => this.#raw.destroy(), CLOSING_MS)
      this.#handler.failed(refusal)
      return
    }
    const webSocket = new WebSocketTransport(this.#raw, remoteAddress)
    const handler = this.#handler.upgraded(webSocket)
    if (handler === null) {
      this.#isRefused = true
      this.#raw.destroy()
      return
    }
    this.#webSocket = webSocket
    webSocket.start(handler)
    if (end + 4 < bytes.length) webSocket.onData(bytes.subarray(end + 4))
  }
}

export class WebSocketTransport implements Transport, TransportHandler, FrameHandler {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: Peer | null
  readonly #raw: Transport
  readonly #reader: FrameReader
  #handler: TransportHandler | null = null
  /** Whether the core waits for `onDrain`. */
  #isHeld = false
  /** Whether some write waits, ours or the core's. */
  #isBlocked = false
  #isPaused = false
  /** Whether we have sent our Close. */
  #isEnding = false
  /** Bytes that came while the core did not read. */
  #waiting: Uint8Array | null = null
  /** Close that came while the core did not read: it first gets the bytes before it. */
  #peerClose: { readonly code: number | null } | null = null
  #pong: Uint8Array | null = null
  #error: Error | null = null
  #closing: NodeJS.Timeout | null = null

  /** @param forwardedFor the client's address, when the other end is its proxy */
  constructor(raw: Transport, forwardedFor: string | null = null) {
    this.#raw = raw
    this.remoteAddress = forwardedFor ?? raw.remoteAddress
    this.listener = raw.listener
    this.peer = forwardedFor === null ? raw.peer : { ...(raw.peer ?? NOBODY), proxyAddress: raw.remoteAddress }
    this.#reader = new FrameReader(this)
  }

  start(handler: TransportHandler): void {
    this.#handler = handler
  }

  // --- the core's side ----------------------------------------------------------------------------------------------

  get bufferedBytes(): number {
    return this.#raw.bufferedBytes
  }

  write(bytes: Uint8Array): boolean {
    only[0] = bytes
    return this.writeAll(only)
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.#isEnding) return true
    const isTaken = writeFrames(this.#raw, pieces)
    if (!isTaken) {
      this.#isBlocked = true
      this.#isHeld = true
    }
    return isTaken
  }

  end(): void {
    this.#close(CloseCode.Normal)
  }

  destroy(): void {
    this.#raw.destroy()
  }

  pause(): void {
    this.#isPaused = true
    this.#raw.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    // Later, as bytes from a socket would come.
    if (this.#waiting !== null || this.#peerClose !== null) setImmediate(() => this.#goOn())
    else this.#raw.resume()
  }

  #goOn(): void {
    if (this.#isPaused || this.#isEnding) return
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting !== null) this.onData(waiting)
    if (this.#isPaused) return
    if (this.#peerClose !== null) this.#close(this.#peerClose.code)
    this.#raw.resume()
  }

  /** Sends our Close, and then the end of the stream. */
  #close(code: number | null): void {
    if (this.#isEnding) return
    if (!this.#isBlocked) this.#sendPong()
    this.#isEnding = true
    this.#raw.write(closeFrame(code))
    this.#raw.end()
    this.#closing = setTimeout(() => this.#raw.destroy(), CLOSING_MS)
  }

  // --- the raw transport's side -------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.#isEnding) return
    if (this.#isPaused) {
      // The bytes that came with the request, to a core that does not read yet.
      this.#waiting = new Uint8Array(chunk)
      return
    }
    try {
      this.#reader.idleFrames = 0
      this.#reader.push(chunk)
      if (this.#reader.idleFrames > IDLE_FRAMES_MAX) {
        throw new WebSocketError(
          CloseCode.PolicyViolation,
          'the client sent hundreds of frames without payload at once',
        )
      }
      if (!this.#isBlocked) this.#sendPong()
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error
      this.#error = error
      this.#close(error.closeCode)
    }
  }

  onDrain(): void {
    this.#isBlocked = false
    this.#sendPong()
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#handler?.onDrain()
  }

  onClose(error: Error | null): void {
    if (this.#closing !== null) clearTimeout(this.#closing)
    this.#isEnding = true
    this.#handler?.onClose(this.#error ?? error)
  }

  // --- frames -------------------------------------------------------------------------------------------------------

  handlePayload(bytes: Uint8Array): void {
    this.#handler!.onData(bytes)
  }

  handlePing(payload: Uint8Array): void {
    // RFC 6455 section 5.5.3: of several unanswered ones the last may be answered alone.
    this.#pong = controlFrame(Opcode.Pong, payload)
  }

  #sendPong(): void {
    const pong = this.#pong
    this.#pong = null
    if (pong !== null && !this.#isEnding && !this.#raw.write(pong)) this.#isBlocked = true
  }

  handleCloseFrame(code: number | null): void {
    if (this.#isPaused) this.#peerClose = { code }
    else this.#close(code)
  }
}
