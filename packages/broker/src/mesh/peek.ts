/**
 * A look at the beginning of a connection: the Client Identifier of its CONNECT, before the packet is read by the Core
 * that it is for.
 *
 * `Doorway` asks it. It reads no further than the Client Identifier and judges nothing: what is not a CONNECT of a known
 * form is for any Core to refuse.
 *
 * Sources: MQTT 5.0 and 3.1.1, section 3.1.
 */

const CONNECT = 0x10
/** Bit 7 of the protocol level: a bridge of Mosquitto's kind. */
const LEVEL = 0x7f

/**
 * Returns the Client Identifier; '' when it is empty, null when there is none or it cannot be told, undefined when more
 * bytes are needed.
 */
export function peekClientId(bytes: Uint8Array): string | null | undefined {
  if (bytes.length === 0) return undefined
  if (bytes[0] !== CONNECT) return null
  const remaining = variableByteInteger(bytes, 1)
  if (typeof remaining !== 'object' || remaining === null) return remaining
  const end = remaining.end + remaining.value
  const name = fieldEnd(bytes, remaining.end, end)
  if (typeof name !== 'number') return name
  // Level, flags, Keep Alive.
  let at = name + 4
  if (at > end) return null
  if (at > bytes.length) return undefined
  if ((bytes[name]! & LEVEL) === 5) {
    const properties = variableByteInteger(bytes, at)
    if (typeof properties !== 'object' || properties === null) return properties
    at = properties.end + properties.value
  }
  const idEnd = fieldEnd(bytes, at, end)
  if (typeof idEnd !== 'number') return idEnd
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(at + 2, idEnd))
  } catch {
    return null
  }
}

/** Returns the place where a field with two bytes of length ends; null when the packet ends before, undefined when the bytes do. */
function fieldEnd(bytes: Uint8Array, at: number, packetEnd: number): number | null | undefined {
  if (at + 2 > packetEnd) return null
  if (at + 2 > bytes.length) return undefined
  const end = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!)
  if (end > packetEnd) return null
  return end > bytes.length ? undefined : end
}

function variableByteInteger(bytes: Uint8Array, from: number): { value: number; end: number } | null | undefined {
  let value = 0
  for (let i = 0; i < 4; i++) {
    const byte = bytes[from + i]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 128 ** i
    if (byte < 0x80) return { value, end: from + i + 1 }
  }
  return null
}
