/**
 * Limits in bytes (docs/configuration.md): of payloads, of what waits for a session or is in flight to it, and of what is retained. The broker
 * counts topic, payload and properties; here only topic and payload are certain, so that what it may refuse and what it must are two numbers.
 */
import type { Model } from './model.ts'
import { payloadSize } from './payload.ts'
import { largestSizeOf } from './sizes.ts'
import type { Expectation, ModelConnection, ModelSession, Publication } from './state.ts'
import type { WillMessage } from './types.ts'

/** Bytes of a retained message besides its own. */
const RETAINED_BYTES = 512

/** Least number of bytes that it takes. */
function leastOf({ topic, payload }: Publication): number {
  return new TextEncoder().encode(topic).length + payloadSize(payload)
}

/** Goes to nobody, and its publisher is told 0x97 where it can be. */
export function isPayloadTooLarge({ settings }: Model, { payload }: { payload: string }): boolean {
  return payloadSize(payload) > settings.payloadBytesMax
}

export function isWillTooLarge(model: Model, will: WillMessage): boolean {
  return isPayloadTooLarge(model, will)
}

/**
 * One always goes; another one only while those in flight have less than the limit. What has come with PUBREC counts no more. At QoS 2 they may
 * leave later than those that began after them: one of all was the last.
 */
export function checkInflightBytes(
  model: Model,
  session: ModelSession,
  connection: ModelConnection,
  next: Expectation,
): void {
  const { inflightBytesMax } = model.settings
  // Of a session that ends with its connection nothing is kept.
  if (inflightBytesMax === Number.POSITIVE_INFINITY || !session.isDurable) return
  let bytes = leastOf(next.publication)
  let largest = bytes
  for (const packetId of connection.outstanding) {
    const each = session.flight.get(packetId)
    if (each === undefined || each === next || each.progress !== 'sent') continue
    bytes += leastOf(each.publication)
    largest = Math.max(largest, leastOf(each.publication))
  }
  bytes -= largest
  if (bytes >= inflightBytesMax) model.cover('out.inflight-bytes-reached')
  if (bytes >= inflightBytesMax)
    model.fail('bounds', `${connection.name}: ${bytes} bytes are in flight, and one more is sent`)
}

/** Whether these may be more than a queue takes. */
export function mayFillQueue({ settings }: Model, waiting: readonly Expectation[]): boolean {
  const { queueBytesMax, queueMessagesMax } = settings
  if (waiting.length > queueMessagesMax) return true
  if (queueBytesMax === Number.POSITIVE_INFINITY) return false
  return waiting.reduce((sum, { publication }) => sum + largestSizeOf(publication), 0) > queueBytesMax
}

/** Whether what is retained may be more than is allowed. */
export function mayFillRetained({ settings, retained }: Model): boolean {
  if (retained.size > settings.retainedMessagesMax) return true
  let bytes = 0
  for (const states of retained.values())
    for (const { publication } of states.slice(-2))
      if (publication !== null) bytes += largestSizeOf(publication) + RETAINED_BYTES
  return bytes > settings.retainedBytesMax
}

/** No more is retained than is allowed. */
export function checkRetainedBytes(model: Model): void {
  const { settings, retained, nowMs } = model
  if (settings.retainedBytesMax === Number.POSITIVE_INFINITY) return
  let bytes = 0
  for (const states of retained.values()) {
    const publication = states.at(-1)?.publication ?? null
    if (publication !== null && publication.expiresAtMs > nowMs) bytes += leastOf(publication) + RETAINED_BYTES
  }
  if (bytes > settings.retainedBytesMax) model.fail('bounds', `${bytes} bytes are retained`)
}
