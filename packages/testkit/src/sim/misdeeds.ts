/** Bytes of clients that misbehave: `misdeedOf` has one kind for each number of a step. */
import { Connect, encode } from '@recado/protocol'

/** Bytes that no client may send, and one packet that it may. */
export function misdeedOf(kind: number, version: 3 | 4 | 5, clientId: string): Uint8Array {
  const none = version === 5 ? [0] : []
  const packet = (first: number, body: readonly number[]): Uint8Array => Uint8Array.from([first, body.length, ...body])
  switch (kind) {
    case 0:
      return Uint8Array.of(0, 0)
    case 1:
      return encode(new Connect({ protocolVersion: version, clientId, cleanStart: true, keepAliveSeconds: 0 }), version)
    case 2:
      return packet(0x36, [0, 1, 0x61, 0, 1, ...none])
    case 3:
      return packet(0x30, [0, 3, 0x61, 0x2f, 0x2b, ...none])
    case 4:
      return version === 5 ? packet(0x30, [0, 1, 0x61, 3, 0x23, 0xff, 0xff]) : packet(0x90, [0])
    case 5:
      return packet(0x32, [0, 1, 0x61, 0, 0, ...none])
    case 6:
      return packet(0x82, [0, 5, ...none])
    case 7:
      return packet(0x60, [0, 1])
    case 8:
      return Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0xff, 0xff)
    default:
      return packet(0x40, [3, 231])
  }
}
