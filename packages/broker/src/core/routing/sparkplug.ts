/**
 * Sparkplug Aware: the broker keeps birth certificates for those who come later, and tells when a node was lost.
 *
 * `Intake` has NBIRTH and DBIRTH copied to `$sparkplug/certificates/…`, retained
 * [tck-id-conformance-mqtt-aware-store] [tck-id-conformance-mqtt-aware-nbirth-mqtt-topic]
 * [tck-id-conformance-mqtt-aware-nbirth-mqtt-retain] [tck-id-conformance-mqtt-aware-dbirth-mqtt-topic]
 * [tck-id-conformance-mqtt-aware-dbirth-mqtt-retain]; the Will of an edge node, NDEATH, gets the time when it is
 * published [tck-id-conformance-mqtt-aware-ndeath-timestamp]. Only the broker publishes below
 * `$sparkplug/certificates/`.
 *
 * Source: Sparkplug 3.0, chapter 10, "Sparkplug Aware MQTT Server"; the payload is a protocol buffer whose field 1 is the
 * timestamp.
 */
import { Message } from '../base/message.ts'
import { copyOf } from '../base/payload-blocks.ts'

const CERTIFICATES = '$sparkplug/certificates/'
const NAMESPACE = 'spBv1.0/'
const BIRTH = /^spBv1\.0\/[^/]+\/(?:NBIRTH\/[^/]+|DBIRTH\/[^/]+\/[^/]+)$/
const NDEATH = /^spBv1\.0\/[^/]+\/NDEATH\/[^/]+$/
/** Tag of field 1 of the payload, a varint: the timestamp. */
const TIMESTAMP_TAG = 0x08

/** Whether the topic is one of those that only the broker publishes to. */
export function isCertificate(topic: string): boolean {
  return topic.startsWith(CERTIFICATES)
}

/** The certificate that a message is kept as; null when it is none. */
export function certificateOf(message: Message): Message | null {
  const { topic, payloadLength } = message
  // An empty payload would remove the certificate.
  if (!topic.startsWith(NAMESPACE) || payloadLength === 0 || !BIRTH.test(topic)) return null
  const { qos, properties, expiresAtMs, buffer, payloadStart, payloadEnd } = message
  const payload = copyOf(buffer, payloadStart, payloadEnd)
  return Message.expiring({ topic: CERTIFICATES + topic, payload, qos, retain: true, properties }, null, expiresAtMs)
}

/** An NDEATH with the time of its publication; any other message, and one whose payload is empty or not Sparkplug's, as it is. */
export function stamped(message: Message, nowMs: number): Message {
  if (!NDEATH.test(message.topic) || message.payloadLength === 0) return message
  const payload = withTimestamp(message.payload, nowMs)
  return payload === null ? message : message.changed({ payload })
}

/** The payload with another timestamp, which comes first; null when it is no protocol buffer. */
export function withTimestamp(payload: Uint8Array, timestampMs: number): Uint8Array | null {
  const kept: Uint8Array[] = []
  for (let at = 0; at < payload.length; ) {
    const end = endOfField(payload, at)
    if (end < 0) return null
    if (payload[at] !== TIMESTAMP_TAG) kept.push(payload.subarray(at, end))
    at = end
  }
  const stamp = [TIMESTAMP_TAG, ...varintOf(Math.floor(timestampMs))]
  const length = kept.reduce((sum, field) => sum + field.length, stamp.length)
  const result = new Uint8Array(length)
  result.set(stamp)
  let at = stamp.length
  for (const field of kept) {
    result.set(field, at)
    at += field.length
  }
  return result
}

function varintOf(value: number): number[] {
  const bytes: number[] = []
  let left = value
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) + 0x80)
  bytes.push(left)
  return bytes
}

/** Position behind the field that begins at `at`; -1 when it is cut short or of no known kind. */
function endOfField(bytes: Uint8Array, at: number): number {
  const tag = varintAt(bytes, at)
  if (tag === null || tag.value < 8) return -1
  const end = endOfValue(bytes, tag.end, tag.value % 8)
  return end > bytes.length ? -1 : end
}

function endOfValue(bytes: Uint8Array, at: number, wireType: number): number {
  switch (wireType) {
    case 0:
      return varintAt(bytes, at)?.end ?? -1
    case 1:
      return at + 8
    case 2: {
      const length = varintAt(bytes, at)
      return length === null ? -1 : length.end + length.value
    }
    case 5:
      return at + 4
    default:
      return -1
  }
}

/** A number of at most ten bytes, and the position behind it; null when it is cut short. */
function varintAt(bytes: Uint8Array, at: number): { value: number; end: number } | null {
  let value = 0
  let factor = 1
  for (let end = at; end < bytes.length && end < at + 10; end++) {
    const byte = bytes[end]!
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return { value, end: end + 1 }
    factor *= 0x80
  }
  return null
}
