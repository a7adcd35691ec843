/**
 * The decoder: any bytes, split in any way.
 *
 * An input is one byte for the setup (role, version, after CONNECT or at the beginning, how to split) and a stream.
 * Invariants: only `ProtocolError` is thrown; the split changes nothing, neither the packets nor the error; nothing
 * outside of the chunk is read (the bytes around it differ from run to run, and a chunk is overwritten as soon as it
 * may be); a packet that was accepted encodes to bytes that decode to the same packet, and those encode to themselves.
 */
import {
  Decoder,
  encode,
  encodedSize,
  type Packet,
  PacketType,
  ProtocolError,
  type ProtocolVersion,
  type Publish,
  TopicCache,
} from '@recado/protocol'
import { connectBytes, wireCases } from '@recado/protocol/wire-cases'
import { mutatePackets } from './mutate.ts'
import { Finding, FuzzRandom, type FuzzTarget } from './target.ts'

const VERSIONS: readonly ProtocolVersion[] = [5, 4, 3, 5]
const ROLE_CLIENT = 0x01
const CONNECTED = 0x02
const VERSION_SHIFT = 2
const WITH_CACHE = 0x10
const SMALL_MAXIMUM = 0x20

interface Outcome {
  readonly packets: Packet[]
  /** Reason Code and message; '' when nothing was thrown. */
  readonly error: string
  readonly version: ProtocolVersion
}

const topicCache = new TopicCache(64)

function decoderFor(flags: number): Decoder {
  return new Decoder({
    role: flags & ROLE_CLIENT ? 'client' : 'server',
    protocolVersion: VERSIONS[(flags >> VERSION_SHIFT) & 3]!,
    isConnected: (flags & CONNECTED) !== 0,
    ...(flags & SMALL_MAXIMUM ? { maximumPacketSize: 100 } : {}),
    ...(flags & WITH_CACHE ? { topicCache } : {}),
  })
}

/** Reads all packets; those of a chunk are copied before the chunk is overwritten. */
function feed(decoder: Decoder, chunks: Iterable<Uint8Array>, keepsAt: number): Outcome {
  const packets: Packet[] = []
  let error = ''
  let index = 0
  try {
    for (const chunk of chunks) {
      decoder.push(chunk)
      if (index++ === keepsAt) {
        // Like a connection that waits for a decision
        decoder.keep()
        chunk.fill(0x55)
      }
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) packets.push(owned(packet))
      chunk.fill(0xaa)
    }
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw new Finding(`the decoder throws ${describe(thrown)}`)
    error = `${thrown.reasonCode} ${thrown.message}`
    let again: unknown = null
    try {
      decoder.push(Uint8Array.of(0xc0, 0))
      decoder.read()
    } catch (second) {
      again = second
    }
    if (again !== thrown) throw new Finding('after an error the decoder does not throw the same error again')
  }
  return { packets, error, version: decoder.protocolVersion }
}

/** Returns a PUBLISH with its payload copied; the other packets own their bytes. */
function owned(packet: Packet): Packet {
  if (packet.type !== PacketType.PUBLISH) return packet
  const { payloadStart, payloadEnd, buffer } = packet
  if (payloadStart < 0 || payloadStart > payloadEnd || payloadEnd > buffer.length)
    throw new Finding(`a payload from ${payloadStart} to ${payloadEnd} of a buffer of ${buffer.length} bytes`)
  packet.buffer = Uint8Array.prototype.slice.call(buffer, payloadStart, payloadEnd)
  packet.payloadEnd -= payloadStart
  packet.payloadStart = 0
  if (packet.topicField !== null) packet.topicField = packet.topicField.slice()
  return packet
}

const MARGIN = 16
const around: Uint8Array = new Uint8Array(64 * 1024)

/**
 * Copies the bytes into the middle of a larger buffer, with these bytes around them. The result is valid until the next
 * call.
 */
function whole(bytes: Uint8Array, margin: number): Uint8Array {
  const end = MARGIN + bytes.length
  around.fill(margin, 0, MARGIN)
  around.fill(margin, end, end + MARGIN)
  around.set(bytes, MARGIN)
  return around.subarray(MARGIN, end)
}

function* split(bytes: Uint8Array, random: FuzzRandom): Generator<Uint8Array> {
  const longest = random.pick([1, 2, 3, 7, 20, 100, 5000])
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(longest)
    yield whole(bytes.subarray(at, at + size), at & 0xff)
    at += size
  }
}

function run(input: Uint8Array): void {
  if (input.length === 0) return
  const flags = input[0]!
  const stream = input.subarray(1)
  const one = feed(decoderFor(flags), [whole(stream, 0x00)], -1)
  // The split follows from the input, so that a case can be replayed.
  const random = new FuzzRandom(hashOf(input))
  const many = feed(decoderFor(flags), split(stream, random), random.below(8))
  compare(one, many, 'in one chunk', 'split')
  const other = feed(decoderFor(flags ^ WITH_CACHE), [whole(stream, 0xff)], 0)
  compare(one, other, 'in one chunk', 'kept, with another surrounding and the other choice of topic cache')
  let { version } = one
  for (const packet of one.packets) {
    if (packet.type === PacketType.CONNECT) version = packet.protocolVersion
    roundTrip(packet, version, flags)
  }
}

function compare(a: Outcome, b: Outcome, how: string, otherwise: string): void {
  if (a.error !== b.error) throw new Finding(`${how}: "${a.error}", ${otherwise}: "${b.error}"`)
  if (a.packets.length !== b.packets.length)
    throw new Finding(`${a.packets.length} packets ${how}, ${b.packets.length} ${otherwise}`)
  for (let i = 0; i < a.packets.length; i++) {
    if (!samePacket(a.packets[i]!, b.packets[i]!)) throw new Finding(`packet ${i} differs ${how} and ${otherwise}`)
  }
}

/** Checks that decode -> encode -> decode gives the same packet, and from there on the same bytes. */
function roundTrip(packet: Packet, version: ProtocolVersion, flags: number): void {
  const bytes = encode(packet, version)
  if (bytes.length !== encodedSize(packet, version)) {
    throw new Finding(`encodedSize says ${encodedSize(packet, version)} and encode makes ${bytes.length} bytes`)
  }
  const opens = packet.type === PacketType.CONNECT || packet.type === PacketType.CONNACK
  const decoder = new Decoder({
    role: flags & ROLE_CLIENT ? 'client' : 'server',
    protocolVersion: version,
    isConnected: !opens,
  })
  decoder.push(bytes)
  let again: Packet | null
  try {
    again = decoder.read()
  } catch (error) {
    throw new Finding(`a ${packet.constructor.name} that was accepted encodes to what is refused: ${describe(error)}`)
  }
  if (again === null) throw new Finding(`a ${packet.constructor.name} encodes to half a packet`)
  if (!samePacket(packet, again)) throw new Finding(`a ${packet.constructor.name} is another one after encoding`)
  if (!sameBytes(encode(again, version), bytes))
    throw new Finding(`a ${packet.constructor.name} does not encode stably`)
}

export function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}

function hashOf(bytes: Uint8Array): number {
  let hash = bytes.length
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash >>> 0
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Returns true when two packets mean the same, wherever their bytes lie. */
export function samePacket(a: Packet, b: Packet): boolean {
  if (a.type !== b.type) return false
  if (a.type !== PacketType.PUBLISH) return sameValue(a, b)
  const p = a
  const q = b as Publish
  return (
    p.topic === q.topic &&
    p.qos === q.qos &&
    p.retain === q.retain &&
    p.dup === q.dup &&
    p.packetId === q.packetId &&
    sameBytes(p.payload, q.payload) &&
    sameValue(p.properties, q.properties)
  )
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Uint8Array) return b instanceof Uint8Array && sameBytes(a, b)
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  let count = 0
  for (const key in left) {
    count++
    if (!sameValue(left[key], right[key])) return false
  }
  for (const _ in right) count--
  return count === 0
}

function seeds(): Uint8Array[] {
  return wireCases
    .filter(({ bytes }) => bytes.length < 5_000)
    .map(({ version, from, after, bytes, maximumPacketSize }) => {
      const flags =
        (from === 'server' ? ROLE_CLIENT : 0) |
        (after === 'connect' ? CONNECTED : 0) |
        (VERSIONS.indexOf(version) << VERSION_SHIFT) |
        (maximumPacketSize === undefined ? 0 : SMALL_MAXIMUM)
      return Uint8Array.of(flags, ...bytes)
    })
    .concat([3, 4, 5].map((version) => Uint8Array.of(0, ...connectBytes(version as ProtocolVersion))))
}

export const decoderTarget: FuzzTarget = {
  name: 'decoder',
  doc: 'packets from bytes, in any split, and back',
  seeds,
  mutate: (input, other, random) => mutatePackets(input, other, random, 1),
  run,
  covers: [
    'decoder.js',
    'packet-bodies.js',
    'cursor.js',
    'fixed-headers.js',
    'bytes.js',
    'encoder.js',
    'topic-cache.js',
  ].map((file) => `/protocol/dist/${file}`),
  inputBytesMax: 20_000,
  inputMsMax: 2_000,
}
