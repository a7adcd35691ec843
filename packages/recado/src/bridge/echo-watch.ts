/**
 * A watch for loops before MQTT 5.0, where nothing in a message says where it has been: it looks for messages that come
 * back over the bridge that they have left by.
 *
 * `BridgeLink` tells it of each message of a topic that goes both ways. A message that comes in and is the one that has
 * gone out on that topic last, within a second, is an echo. More than `ECHOES_MAX` of them in a second stop the topic
 * for `STOP_MS`. Invariants: what it remembers is bounded; time comes in as an argument; a topic that is published on
 * one side only is never stopped.
 */

/** Echoes of one topic within a second that are taken for chance. */
const ECHOES_MAX = 20
const WINDOW_MS = 1_000
/** Milliseconds that a topic stays stopped. */
export const STOP_MS = 60_000
/** Topics that are remembered. */
const TOPICS_MAX = 10_000
/** Bytes of a payload that its hash is made of, from either end. */
const HASHED_BYTES = 64

interface Trail {
  /** Hash of the message that has gone out last, and when. */
  hash: number
  sentMs: number
  /** Echoes since `windowMs`. */
  echoes: number
  windowMs: number
  stoppedUntilMs: number
}

/** State of a topic after a message: it goes on, it has just been stopped, or it was stopped before. */
export type EchoVerdict = 'fine' | 'stopped-now' | 'stopped'

export class EchoWatch {
  readonly #trails: Map<string, Trail> = new Map()

  /** Notes a message that goes out. Topics are those of this broker. Returns false when the topic is stopped. */
  sent(topic: string, payload: Uint8Array, nowMs: number): boolean {
    const trail = this.#trails.get(topic)
    if (trail !== undefined) {
      if (nowMs < trail.stoppedUntilMs) return false
      trail.hash = hashOf(payload)
      trail.sentMs = nowMs
      return true
    }
    if (this.#trails.size >= TOPICS_MAX) this.#trails.clear()
    this.#trails.set(topic, { hash: hashOf(payload), sentMs: nowMs, echoes: 0, windowMs: nowMs, stoppedUntilMs: 0 })
    return true
  }

  /** Notes a message that has come in. */
  received(topic: string, payload: Uint8Array, nowMs: number): EchoVerdict {
    const trail = this.#trails.get(topic)
    if (trail === undefined) return 'fine'
    if (nowMs < trail.stoppedUntilMs) return 'stopped'
    if (nowMs - trail.sentMs > WINDOW_MS || trail.hash !== hashOf(payload)) return 'fine'
    if (nowMs - trail.windowMs > WINDOW_MS) {
      trail.windowMs = nowMs
      trail.echoes = 0
    }
    trail.echoes++
    if (trail.echoes <= ECHOES_MAX) return 'fine'
    trail.stoppedUntilMs = nowMs + STOP_MS
    trail.echoes = 0
    return 'stopped-now'
  }
}

/** FNV-1a of the length, the first and the last bytes. */
function hashOf(payload: Uint8Array): number {
  const { length } = payload
  let hash = 0x811c9dc5 ^ length
  const head = Math.min(length, HASHED_BYTES)
  for (let i = 0; i < head; i++) hash = Math.imul(hash ^ payload[i]!, 0x01000193)
  for (let i = Math.max(head, length - HASHED_BYTES); i < length; i++) hash = Math.imul(hash ^ payload[i]!, 0x01000193)
  return hash
}
