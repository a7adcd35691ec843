/**
 * The end of a packet, found by its fixed header alone.
 *
 * Transports that send packets one by one (a WebSocket frame or a TLS record each) call it for bytes that `encode` has
 * made. Bytes that are no packet, or that end within the length, count as one packet that reaches to their end.
 *
 * Source: MQTT 5.0 section 2.1.
 */

/**
 * Returns the end of the packet that begins at `at`, which may be past the end of `bytes`; the end of `bytes` when the
 * length is incomplete.
 */
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
