/**
 * The first 24 bytes of a payload of `recado bench`: run, publisher, number and time of the message.
 *
 *     0  magic "rcdo"      4  run      8  publisher      12  number (from 0)      16  time, microseconds since the epoch (float64)
 *
 * Big-endian, as everything in MQTT. Written by publishers, read by subscribers, in the same process or another: so the
 * time is wall-clock time, and between machines latency is as accurate as their clocks.
 */

export const PAYLOAD_HEADER_BYTES = 24
const MAGIC = 0x7263_646f

export interface PayloadHeader {
  run: number
  publisher: number
  sequence: number
  sentUs: number
}

const scratch = new DataView(new ArrayBuffer(8))

/**
 * Microseconds since the Unix epoch; they never go back within a process, and are nearly the same in all processes of a
 * machine.
 */
export function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1_000
}

export function writePayloadHeader(
  payload: Uint8Array,
  run: number,
  publisher: number,
  sequence: number,
  sentUs: number,
): void {
  writeUint32(payload, 0, MAGIC)
  writeUint32(payload, 4, run)
  writeUint32(payload, 8, publisher)
  writeUint32(payload, 12, sequence)
  scratch.setFloat64(0, sentUs)
  writeUint32(payload, 16, scratch.getUint32(0))
  writeUint32(payload, 20, scratch.getUint32(4))
}

/** Fills in `header`; returns false for a payload of another program. */
export function readPayloadHeader(bytes: Uint8Array, start: number, end: number, header: PayloadHeader): boolean {
  if (end - start < PAYLOAD_HEADER_BYTES || readUint32(bytes, start) !== MAGIC) return false
  header.run = readUint32(bytes, start + 4)
  header.publisher = readUint32(bytes, start + 8)
  header.sequence = readUint32(bytes, start + 12)
  scratch.setUint32(0, readUint32(bytes, start + 16))
  scratch.setUint32(4, readUint32(bytes, start + 20))
  header.sentUs = scratch.getFloat64(0)
  return true
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
