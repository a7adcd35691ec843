/**
 * A WebSocket client that looks like a socket, for the suite of transports: what is written goes out as masked binary frames,
 * what comes in binary frames is read, a Close is the end.
 *
 * It is strict about what a server sends: a masked frame, a text frame or a part of one fails the test.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** A frame as a client sends it. */
export function clientFrame(
  opcode: number,
  payload: Uint8Array,
  isFinal = true,
  mask: Uint8Array = randomBytes(4),
): Uint8Array {
  const { length } = payload
  const size =
    length < 126
      ? [length]
      : length < 65_536
        ? [126, length >> 8, length & 0xff]
        : [127, 0, 0, 0, 0, ...bigEndian(length)]
  const head = [(isFinal ? 0x80 : 0) | opcode, 0x80 | size[0]!, ...size.slice(1), ...mask]
  const frame = new Uint8Array(head.length + length)
  frame.set(head)
  for (let i = 0; i < length; i++) frame[head.length + i] = payload[i]! ^ mask[i & 3]!
  return frame
}

const bigEndian = (length: number): number[] => [
  length >>> 24,
  (length >>> 16) & 0xff,
  (length >>> 8) & 0xff,
  length & 0xff,
]

export const upgradeRequest = (headers: readonly string[] = [], path = '/mqtt'): string =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol: mqtt',
    ...headers,
    '\r\n',
  ].join('\r\n')

const CLOSE_NORMAL: Uint8Array = Uint8Array.of(0x03, 0xe8)

export class WebSocketPeer extends Duplex {
  readonly socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #isOpen = false
  #hasSentClose = false
  /** The code of the server's Close. */
  closeCode: number | null = null

  /** Takes a socket that is connecting. Emits 'connect' when it is a WebSocket. */
  constructor(socket: Socket) {
    super({ allowHalfOpen: false })
    this.socket = socket
    socket.write(upgradeRequest())
    socket.on('data', (chunk) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
      this.#parse()
    })
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  get localPort(): number | undefined {
    return this.socket.localPort
  }

  resetAndDestroy(): void {
    this.socket.resetAndDestroy()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    const send = (): void => {
      this.socket.write(clientFrame(2, chunk), done)
    }
    if (this.#isOpen) send()
    else this.once('connect', send)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sendClose()
    done()
  }

  override _read(): void {
    this.socket.resume()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.socket.destroy()
    done(error)
  }

  #sendClose(): void {
    if (this.#hasSentClose) return
    this.#hasSentClose = true
    this.socket.write(clientFrame(8, CLOSE_NORMAL))
  }

  #parse(): void {
    const payloads: Buffer[] = []
    const hasEnded = this.#parseFrames(payloads)
    // As a stream would: what came together is read together.
    if (payloads.length > 0 && !this.push(Buffer.concat(payloads)) && !hasEnded) this.socket.pause()
    if (!hasEnded) return
    this.push(null)
    this.socket.end()
  }

  /** Returns true when a Close has come. */
  #parseFrames(payloads: Buffer[]): boolean {
    if (!this.#isOpen) {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end < 0) return false
      const head = this.#bytes.toString('latin1', 0, end)
      assert.match(head, /^HTTP\/1\.1 101 [\s\S]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/)
      this.#bytes = this.#bytes.subarray(end + 4)
      this.#isOpen = true
      this.emit('connect')
    }
    for (;;) {
      const bytes = this.#bytes
      if (bytes.length < 2) return false
      const [first, second] = bytes as unknown as [number, number]
      assert.ok(first === 0x82 || first === 0x88 || first === 0x8a, `a frame that begins with ${first.toString(16)}`)
      assert.ok(second < 0x80, 'a server does not mask')
      const start = second < 126 ? 2 : second === 126 ? 4 : 10
      if (bytes.length < start) return false
      const length = second < 126 ? second : second === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
      if (bytes.length < start + length) return false
      const payload = bytes.subarray(start, start + length)
      this.#bytes = bytes.subarray(start + length)
      if (first === 0x88) {
        this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : null
        this.#sendClose()
        return true
      }
      if (first === 0x82) payloads.push(payload)
    }
  }
}
