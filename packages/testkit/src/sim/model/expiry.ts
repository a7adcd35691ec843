/**
 * Message Expiry Interval: whether a message comes too late, and whether the interval that is passed on is right.
 *
 * Source: MQTT 5.0 section 3.3.2.3.3. [MQTT-3.3.2-5] [MQTT-3.3.2-6]
 */
import type { Model } from './model.ts'
import type { Expectation, ModelConnection, Publication, ToldExpiry } from './state.ts'
import type { PublishPacket } from './types.ts'

/**
 * [MQTT-3.3.2-5]; not before its own turn is over, nor when onward delivery has begun: it was sent before, or its packet id had to
 * be on the disk first.
 */
export function isTooLate(
  { nowMs }: Model,
  { blockedSinceMs }: ModelConnection,
  { publication, qos, session, wasSent }: Expectation,
): boolean {
  const { expiresAtMs, atMs, wasPublishedAgain } = publication
  if (wasSent || wasPublishedAgain || (qos === 2 && session.isDurable)) return false
  // What the transport holds may have been said since then, but not before it was published.
  const saidMs = blockedSinceMs >= 0 ? Math.max(blockedSinceMs, atMs) : nowMs
  return expiresAtMs <= saidMs && saidMs > atMs
}

/** Returns what a PUBLISH tells its client of its expiry; `null` before MQTT 5.0, where no client sees it. */
export function toldExpiry(
  { nowMs }: Model,
  { isV5, blockedSinceMs }: ModelConnection,
  { expirySeconds }: PublishPacket,
): ToldExpiry | null {
  return isV5 ? { seconds: expirySeconds, nowMs, sinceMs: blockedSinceMs >= 0 ? blockedSinceMs : nowMs } : null
}

/**
 * Whether a PUBLISH may be this message, by the remaining Message Expiry Interval: in seconds, counted when the broker
 * sent it, which may be some time ago if the client does not read.
 */
export function isExpiryRight({ expiresAtMs, wasPublishedAgain }: Publication, told: ToldExpiry | null): boolean {
  // When it was published again its time began anew, perhaps.
  if (told === null || wasPublishedAgain) return true
  const { seconds, nowMs, sinceMs } = told
  if (expiresAtMs === Number.POSITIVE_INFINITY || seconds === null)
    return expiresAtMs === Number.POSITIVE_INFINITY && seconds === null
  const left = (atMs: number): number => Math.max(0, Math.ceil((expiresAtMs - atMs) / 1000))
  return seconds >= left(nowMs) && seconds <= left(sinceMs)
}
