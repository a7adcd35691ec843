/** Payloads as text: how the model and its feed write them. */

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Payload as text; what is no UTF-8 has a character for each byte, so that none is lost. */
export function textOf(bytes: Uint8Array): string {
  const text = decoder.decode(bytes)
  return text.includes('\ufffd') ? Array.from(bytes, (byte) => String.fromCharCode(byte)).join('') : text
}

/**
 * Number of bytes of a payload that `textOf` wrote. A text of which no character is above 0xFF and some are above 0x7F
 * is taken for bytes: plans make no such payload that is UTF-8.
 */
export function payloadSize(text: string): number {
  const isOfBytes = Array.from(text).every((character) => character.charCodeAt(0) <= 0xff)
  return isOfBytes ? text.length : encoder.encode(text).length
}
