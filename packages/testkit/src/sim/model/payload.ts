/** Payloads as text: how the model and its feed write them. */

const decoder = new TextDecoder()

/** Payload as text; what is no UTF-8 has a character for each byte, so that none is lost. */
export function textOf(bytes: Uint8Array): string {
  const text = decoder.decode(bytes)
  return text.includes('\ufffd') ? Array.from(bytes, (byte) => String.fromCharCode(byte)).join('') : text
}
