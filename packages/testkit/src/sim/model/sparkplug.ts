/**
 * Sparkplug in the model (Sparkplug 3.0, chapter 10, and docs/topics.md): births are kept as certificates, which no
 * client publishes itself, and the Will of an edge node has the time of its publication.
 *
 * A certificate is a publication of the broker: PUBACK of the birth does not promise it, so a crash may take it until it
 * is on the disk. A Will is the same, and the model treats it so.
 */
import type { Model } from './model.ts'
import { textOf } from './payload.ts'
import type { Publication } from './state.ts'

const CERTIFICATES = '$sparkplug/certificates/'
/** First character of the field with the timestamp. */
const TIMESTAMP = '\x08'

/** Whether only the broker publishes to a topic. */
export function isCertificate(topic: string): boolean {
  return topic.startsWith(CERTIFICATES)
}

/** Keeps a message as a certificate, if it is a birth that may be one. */
export function keepBirth(model: Model, birth: Publication): void {
  const [namespace, , type, node, device, ...rest] = birth.topic.split('/')
  const isBirth =
    namespace === 'spBv1.0' &&
    rest.length === 0 &&
    !!node &&
    (type === 'NBIRTH' ? device === undefined : type === 'DBIRTH' && !!device)
  if (!isBirth || birth.payload === '') return
  model.cover('sparkplug.birth')
  const { payload, qos, passedOn, expiresAtMs } = birth
  const leftSeconds = expiresAtMs === Number.POSITIVE_INFINITY ? null : (expiresAtMs - model.nowMs) / 1000
  const topic = CERTIFICATES + birth.topic
  const certificate = model.newPublication(topic, payload, qos, true, passedOn, leftSeconds, null, '')
  certificate.isWill = true
  // When the birth is published once more, after a crash, it is kept once more.
  if (birth.certificate !== null) for (const each of birth.certificate.expectations) each.isOptional = true
  birth.certificate = certificate
  model.accept(certificate, topic, null)
  certificate.isAcknowledged = true
  model.current = birth
}

/**
 * Payload of a message that a client has left behind: an NDEATH that is a protocol buffer has the time, as its first
 * field, in the place of the timestamp that it came with.
 */
export function stampedPayload(topic: string, payload: string, nowMs: number): string {
  // An empty one stays empty: it would no longer clear what is retained.
  if (payload === '' || !/^spBv1\.0\/[^/]+\/NDEATH\/[^/]+$/.test(topic)) return payload
  const fields = fieldsOf(payload)
  if (fields === null) return payload
  const rest = fields.filter((field) => !field.startsWith(TIMESTAMP)).join('')
  const stamp: number[] = []
  let left = Math.floor(nowMs)
  for (; left >= 0x80; left = Math.floor(left / 0x80)) stamp.push((left % 0x80) + 0x80)
  stamp.push(left)
  return textOf(Uint8Array.from([0x08, ...stamp, ...Array.from(rest, (character) => character.charCodeAt(0))]))
}

/** Fields of a protocol buffer; `null` when it is none. Payloads of plans are ASCII, so each number in it is one byte. */
function fieldsOf(payload: string): string[] | null {
  const fields: string[] = []
  for (let at = 0; at < payload.length; ) {
    const tag = payload.charCodeAt(at)
    const lengths: Readonly<Record<number, number>> = { 0: 2, 1: 9, 2: 2 + payload.charCodeAt(at + 1), 5: 5 }
    const length = tag < 8 ? undefined : lengths[tag % 8]
    // A length that is missing is not a number: nothing is as long as that.
    if (length === undefined || !(at + length <= payload.length)) return null
    fields.push(payload.slice(at, at + length))
    at += length
  }
  return fields
}
