/**
 * Changes byte strings: blindly, and with knowledge of how MQTT packets follow each other.
 *
 * Called by `fuzz.ts` through a target. `mutateBytes` flips, sets, inserts, removes, repeats and splices.
 * `mutatePackets` does that within one packet of a stream and mostly corrects the Remaining Length afterwards, so that
 * the change is reached and not refused with the header; and moves whole packets about. Inserting bytes behind a byte
 * that is raised by as many is how strings and properties grow with a correct length in front of them.
 */
import type { FuzzRandom } from './target.ts'

const INTERESTING = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x1f, 0x20, 0x23, 0x24, 0x2b, 0x2f, 0x7f, 0x80, 0x81,
] as const
const MORE_INTERESTING = [
  0xc0, 0xc1, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xfe, 0xff, 0x82, 0xa2, 0x32, 0x34, 0x62,
] as const

/** Pieces that mean something where they fall right: properties whole, UTF-8 at its edges, lengths at theirs. */
const TOKENS: readonly Uint8Array[] = [
  '0101',
  '0201000000',
  '020000000a',
  '030001 61',
  '080001 62',
  '09000163',
  '0b01',
  '0b8001',
  '0bffffff7f',
  '0b00',
  '1100000000',
  '11ffffffff',
  '12000161',
  '13003c',
  '15000161',
  '16000162',
  '1701',
  '1800000001',
  '1901',
  '1a000161',
  '1c000161',
  '1f000161',
  '210001',
  '21ffff',
  '220001',
  '22ffff',
  '23 0001',
  '230000',
  '2400',
  '2401',
  '2501',
  '2600016b000176',
  '2600000000',
  '2700000080',
  '2800',
  '2901',
  '2a00',
  '0000',
  'ffff',
  '00ff',
  '0100',
  '7f',
  '8000',
  '80808001',
  'ffffff7f',
  'ffffffff',
  '8080808001',
  'c3a4',
  'e282ac',
  'f09f9880',
  'eda080',
  'c080',
  'efbbbf',
  'efbfbf',
  'f48fbfbf',
  'f4908080',
  '00 04 4d515454 05',
  '00044d51545404',
  '00064d51497364 7003',
  '2b',
  '23',
  '2f',
  '24',
  '2473686172652f 612f62',
  '2b2f2b',
  '612f23',
].map((digits) => Uint8Array.from(Buffer.from(digits.replaceAll(' ', ''), 'hex')))

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length - remove + insert.length)
  result.set(bytes.subarray(0, at))
  result.set(insert, at)
  result.set(bytes.subarray(at + remove), at + insert.length)
  return result
}

function randomBytes(length: number, random: FuzzRandom): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = random.oneIn(3) ? random.pick(INTERESTING) : random.below(256)
  return bytes
}

/** Makes one change, in a copy. */
export function mutateBytes(input: Uint8Array, other: Uint8Array, random: FuzzRandom): Uint8Array {
  const length = input.length
  if (length === 0) return other.length > 0 ? other.slice() : randomBytes(1 + random.below(8), random)
  const at = random.below(length)
  switch (random.below(13)) {
    case 0: {
      const bytes = input.slice()
      bytes[at]! ^= 1 << random.below(8)
      return bytes
    }
    case 1: {
      const bytes = input.slice()
      bytes[at] = random.pick(INTERESTING)
      return bytes
    }
    case 2: {
      const bytes = input.slice()
      bytes[at] = random.pick(MORE_INTERESTING)
      return bytes
    }
    case 3: {
      const bytes = input.slice()
      bytes[at] = random.below(256)
      return bytes
    }
    case 4: {
      const bytes = input.slice()
      bytes[at] = bytes[at]! + random.below(9) - 4
      return bytes
    }
    case 5:
      return splice(input, at, 0, randomBytes(1 + random.below(random.oneIn(8) ? 300 : 4), random))
    case 6:
      return splice(input, at, 1 + random.below(Math.min(random.oneIn(4) ? 64 : 4, length - at)), new Uint8Array(0))
    case 7: {
      // A piece once more, somewhere else
      const piece = input.subarray(at, at + 1 + random.below(Math.min(32, length - at)))
      return splice(input, random.below(length + 1), 0, piece)
    }
    case 8: {
      if (other.length === 0) return input.slice(0, at)
      const from = random.below(other.length)
      const piece = other.subarray(from, from + 1 + random.below(Math.min(48, other.length - from)))
      return splice(input, at, random.below(Math.min(piece.length, length - at) + 1), piece)
    }
    case 9:
      return splice(input, at, 0, random.pick(TOKENS))
    case 10: {
      const token = random.pick(TOKENS)
      return splice(input, at, Math.min(token.length, length - at), token)
    }
    case 11: {
      // Behind a length, and the length is right again
      const token = random.oneIn(2) ? random.pick(TOKENS) : randomBytes(1 + random.below(5), random)
      const bytes = splice(input, at + 1, 0, token)
      bytes[at] = (bytes[at]! + token.length) & 0xff
      return bytes
    }
    default:
      return input.slice(0, at)
  }
}

/** Positions of the packets of a stream, by its fixed headers; the last one may be cut short. */
export function packetsOf(stream: Uint8Array, from = 0): [start: number, bodyStart: number, end: number][] {
  const packets: [number, number, number][] = []
  let start = from
  while (start < stream.length) {
    let length = 0
    let p = start + 1
    for (let shift = 0; p < stream.length && shift <= 21; shift += 7) {
      const b = stream[p++]!
      length |= (b & 0x7f) << shift
      if (b < 0x80) break
    }
    const end = Math.min(stream.length, p + length)
    packets.push([start, p, end])
    start = end
  }
  return packets
}

export function variableByteInteger(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return bytes
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    result.set(part, at)
    at += part.length
  }
  return result
}

/** Makes one change of a stream of packets behind `head` bytes that mean something else. */
export function mutatePackets(input: Uint8Array, other: Uint8Array, random: FuzzRandom, head = 0): Uint8Array {
  if (head > 0 && random.oneIn(16)) {
    const bytes = input.slice()
    bytes[random.below(Math.min(head, bytes.length))] = random.below(256)
    return bytes
  }
  const packets = packetsOf(input, head)
  if (packets.length === 0 || random.oneIn(12)) {
    const tail = mutateBytes(input.subarray(head), other.subarray(Math.min(head, other.length)), random)
    return concat(input.subarray(0, head), tail)
  }
  const [start, bodyStart, end] = random.pick(packets)
  switch (random.below(12)) {
    case 0:
      // Remove it
      return concat(input.subarray(0, start), input.subarray(end))
    case 1:
      // Once more, somewhere
      return splice(input, random.pick(packets)[0], 0, input.subarray(start, end))
    case 2: {
      // One of another input
      const others = packetsOf(other, Math.min(head, other.length))
      if (others.length === 0) return input.slice()
      const [from, , to] = random.pick(others)
      return splice(input, random.oneIn(3) ? input.length : start, 0, other.subarray(from, to))
    }
    case 3: {
      // Its fixed header
      const bytes = input.slice()
      bytes[start] = random.oneIn(2) ? (bytes[start]! & 0xf0) | random.below(16) : random.below(256)
      return bytes
    }
    default: {
      let body: Uint8Array = input.slice(bodyStart, end)
      for (let changes = 1 + random.below(3); changes > 0; changes--) body = mutateBytes(body, other, random)
      // A wrong Remaining Length, now and then
      if (random.oneIn(8)) return concat(input.subarray(0, bodyStart), body, input.subarray(end))
      const length = variableByteInteger(body.length)
      if (random.oneIn(64)) {
        // More bytes than it needs
        length[length.length - 1]! |= 0x80
        length.push(0)
      }
      return concat(input.subarray(0, start + 1), Uint8Array.from(length), body, input.subarray(end))
    }
  }
}
