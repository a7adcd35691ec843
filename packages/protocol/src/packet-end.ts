/**
 * Where a packet ends, by its fixed header alone.
 *
 * Transports that hand packets over one by one (a WebSocket frame or a TLS record each) ask it about bytes that `encode` has made.
 * What is no packet, or lacks the end of its length, is taken to reach to the end of what is there.
 *
 * Source: MQTT 5.0 section 2.1.
 */

/** Where the packet that begins at `at` ends, which may be behind the last of `bytes`; for one without a whole length: their end. */
export function packetEnd(bytes: Uint8Array, at: number): number {
  const { length } = bytes
  let remaining = 0
  for (let i = at + 1, shift = 0; i < length && shift <= 21; i++, shift += 7) {
    const byte = bytes[i]!
    remaining += (byte & 0x7f) << shift
    if (byte < 0x80) return i + 1 + remaining
  }
  return length
}
