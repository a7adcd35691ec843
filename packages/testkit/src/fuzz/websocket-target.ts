/**
 * WebSocket framing and the upgrade request: bytes of an unknown peer before and around MQTT.
 *
 * Frames: a stream, whole and split in any way, must give the same payload, Pings, Close or error, and the same as a
 * reader that is written to be read and not to be fast (`reference`). Upgrade: any head gets an answer that is one HTTP
 * response, which the head cannot split in two. `targets.ts` lists both.
 */
import { answerTo, clientFrame, FrameReader, upgradeRequest, WebSocketError } from '@recado/broker/testing'
import { sameBytes } from './decoder-target.ts'
import { mutateBytes } from './mutate.ts'
import { mutateLines, seedsOf, textOf } from './mutate-lines.ts'
import { Finding, FuzzRandom, type FuzzTarget } from './target.ts'

interface Outcome {
  payload: number[]
  /** Pings, then the end: `close CODE`, `error CODE`, or nothing. */
  events: string[]
}

function read(chunks: Iterable<Uint8Array>): Outcome {
  const outcome: Outcome = { payload: [], events: [] }
  const reader = new FrameReader({
    handlePayload: (bytes) => {
      for (const byte of bytes) outcome.payload.push(byte)
    },
    handlePing: (bytes) => outcome.events.push(`ping ${Buffer.from(bytes).toString('hex')}`),
    handleCloseFrame: (code) => outcome.events.push(`close ${code}`),
  })
  try {
    for (const chunk of chunks) {
      reader.push(chunk)
      chunk.fill(0xaa)
    }
  } catch (error) {
    if (!(error instanceof WebSocketError)) throw error
    outcome.events.push(`error ${error.closeCode}`)
  }
  return outcome
}

/** RFC 6455 section 5 word by word, over the whole stream. */
function reference(stream: Uint8Array): { payload: number[]; pings: number; hasEnded: boolean } {
  const payload: number[] = []
  let pings = 0
  let isInMessage = false
  for (let at = 0; at + 2 <= stream.length; ) {
    const isFinal = stream[at]! >= 0x80
    const opcode = stream[at]! & 0x0f
    const short = stream[at + 1]! & 0x7f
    const isControl = opcode >= 8
    const isWrong =
      (stream[at]! & 0x70) !== 0 ||
      stream[at + 1]! < 0x80 ||
      (opcode === 0 && !isInMessage) ||
      (opcode === 2 && isInMessage) ||
      (isControl && (!isFinal || short > 125)) ||
      ![0, 2, 8, 9, 10].includes(opcode)
    if (isWrong) return { payload, pings, hasEnded: true }
    if (!isControl) isInMessage = !isFinal
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
    const maskAt = at + 2 + lengthBytes
    if (maskAt + 4 > stream.length) return { payload, pings, hasEnded: false }
    let length = 0
    for (let i = at + 2; i < maskAt; i++) length = length * 256 + stream[i]!
    if (lengthBytes === 0) length = short
    if (length > Number.MAX_SAFE_INTEGER) return { payload, pings, hasEnded: true }
    // In more bytes than it needs (RFC 6455, 5.2).
    if (length < { 0: 0, 2: 126, 8: 65_536 }[lengthBytes]!) return { payload, pings, hasEnded: true }
    const start = maskAt + 4
    const end = Math.min(stream.length, start + length)
    if (!isControl) for (let i = start; i < end; i++) payload.push(stream[i]! ^ stream[maskAt + ((i - start) & 3)]!)
    if (start + length > stream.length) return { payload, pings, hasEnded: false }
    if (opcode === 9) pings++
    if (opcode === 8) return { payload, pings, hasEnded: true }
    at = start + length
  }
  return { payload, pings, hasEnded: false }
}

function* split(stream: Uint8Array): Generator<Uint8Array> {
  const random = new FuzzRandom(stream.length * 31 + (stream[0] ?? 0) + (stream.at(-1) ?? 0))
  const longest = random.pick([1, 2, 5, 30, 400])
  for (let at = 0; at < stream.length; ) {
    const size = 1 + random.below(longest)
    yield stream.slice(at, at + size)
    at += size
  }
}

function runFrames(input: Uint8Array): void {
  const whole = read([input.slice()])
  const parts = read(split(input))
  if (!sameBytes(Uint8Array.from(whole.payload), Uint8Array.from(parts.payload)))
    throw new Finding('the payload depends on how the stream is split')
  if (whole.events.join() !== parts.events.join())
    throw new Finding(`"${whole.events.join()}" in one chunk, "${parts.events.join()}" split`)
  const { payload, pings, hasEnded } = reference(input)
  if (!sameBytes(Uint8Array.from(whole.payload), Uint8Array.from(payload))) {
    throw new Finding(`${whole.payload.length} bytes of payload, and ${payload.length} by the reference`)
  }
  const last = whole.events.at(-1) ?? ''
  if (whole.events.filter((event) => event.startsWith('ping')).length !== pings)
    throw new Finding('not all Pings are told')
  if (/^(?:close|error)/.test(last) !== hasEnded)
    throw new Finding(`ended with "${last}", by the reference ${hasEnded}`)
  if (last.startsWith('error') && !/^error 10(?:02|03|07|09)$/.test(last)) throw new Finding(last)
}

const MASK = Uint8Array.of(1, 2, 3, 4)
const framesTarget: FuzzTarget = {
  name: 'websocket',
  doc: 'WebSocket frames, in any split',
  seeds: () => {
    const frame = (opcode: number, length: number, isFinal = true): Uint8Array =>
      clientFrame(opcode, new Uint8Array(length).fill(0x61), isFinal, MASK)
    const of = (...frames: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(frames))
    return [
      of(frame(2, 5), frame(2, 0), frame(9, 3), frame(10, 0), frame(8, 0)),
      of(frame(2, 300, false), frame(9, 1), frame(0, 10, false), frame(0, 1), frame(2, 2)),
      of(frame(2, 70_000)).subarray(0, 3_000),
      of(frame(2, 125), frame(2, 126), frame(2, 127), frame(1, 3)),
      of(frame(8, 2)),
      of(clientFrame(8, Uint8Array.of(0x03, 0xe8, 0x62, 0x79, 0x65), true, MASK)),
      of(clientFrame(8, Uint8Array.of(0x03), true, MASK)),
      of(Uint8Array.of(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4)),
      of(Uint8Array.of(0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4)),
    ]
  },
  mutate: mutateBytes,
  run: runFrames,
  covers: ['/broker/dist/adapters/websocket-frames.js'],
  inputBytesMax: 5_000,
  inputMsMax: 5_000,
}

function runUpgrade(input: Uint8Array): void {
  const { response } = answerTo(textOf(input), { path: '/mqtt', origins: [] })
  const lines = response.split('\r\n')
  if (!/^HTTP\/1\.1 \d{3} [\x20-\x7e]*$/.test(lines[0]!)) throw new Finding(`not a status line: ${lines[0]}`)
  const end = lines.indexOf('')
  if (end < 0) throw new Finding('the answer has no end')
  for (const line of lines.slice(1, end)) {
    if (!/^[\w-]+: [\x20-\x7e]*$/.test(line)) throw new Finding(`a header that a client has made: ${line}`)
  }
}

const upgradeTarget: FuzzTarget = {
  name: 'upgrade',
  doc: 'the HTTP request that asks for a WebSocket',
  isText: true,
  seeds: () =>
    seedsOf(
      upgradeRequest(),
      upgradeRequest(['Origin: https://example.org', 'Sec-WebSocket-Extensions: permessage-deflate', 'Cookie: a=b']),
      upgradeRequest([], '/mqtt?x=1'),
      upgradeRequest([], 'http://localhost/mqtt'),
      'GET / HTTP/1.0\r\n\r\n',
      'POST /mqtt HTTP/1.1\r\nContent-Length: 5\r\n\r\n',
    ),
  mutate: mutateLines,
  run: runUpgrade,
  covers: ['/broker/dist/adapters/websocket-upgrade.js'],
  inputBytesMax: 5_000,
  inputMsMax: 5_000,
}

export const webSocketTargets: readonly FuzzTarget[] = [framesTarget, upgradeTarget]
