/**
 * The wire format of Protocol Buffers: fields of a message, one after the other.
 *
 * Called by `sparkplug.ts`. Reading ends for any bytes: a field that reaches beyond them is a `ProtobufError`.
 */

export class ProtobufError extends Error {}

export interface Field {
  readonly number: number
  /** Value of wire types 0 and 1; 0 for others. */
  readonly integer: bigint
  /** Bytes of the value for wire types 1, 2 and 5. */
  readonly bytes: Uint8Array
}

const EMPTY = new Uint8Array(0)

/** Yields the fields. @throws ProtobufError */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new Reader(message)
  while (!reader.isAtEnd()) {
    const key = reader.varint()
    const number = Number(key >> 3n)
    if (number < 1 || number > 0x1fff_ffff) throw new ProtobufError('a field has an impossible number')
    switch (Number(key & 7n)) {
      case 0:
        yield { number, integer: reader.varint(), bytes: EMPTY }
        break
      case 1: {
        const bytes = reader.take(8)
        yield { number, integer: viewOf(bytes).getBigUint64(0, true), bytes }
        break
      }
      case 2:
        yield { number, integer: 0n, bytes: reader.take(Number(reader.varint())) }
        break
      case 5:
        yield { number, integer: 0n, bytes: reader.take(4) }
        break
      default:
        throw new ProtobufError('a field has a type that there is not')
    }
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/** Decodes a float. @throws ProtobufError where it is not of 4 bytes */
export function floatOf(bytes: Uint8Array): number {
  if (bytes.length !== 4) throw new ProtobufError('a float is not of four bytes')
  return viewOf(bytes).getFloat32(0, true)
}

/** Decodes a double. @throws ProtobufError where it is not of 8 bytes */
export function doubleOf(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw new ProtobufError('a double is not of eight bytes')
  return viewOf(bytes).getFloat64(0, true)
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new ProtobufError('a number reaches beyond the end')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new ProtobufError('a number has more than ten bytes')
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new ProtobufError('a field reaches beyond the end')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}
