/**
 * The words of `why`: a sentence for each reason, that a person understands who does not know the broker's code.
 */
import type { DropReason } from '@recado/broker'
import { type Saying, type SayingValue, say } from './saying.ts'

/** Time of day, with the date when it is not today's, in the time zone of the broker. */
export function timeText(atMs: number, nowMs: number): string {
  const at = new Date(atMs)
  const two = (value: number): string => String(value).padStart(2, '0')
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  const isToday = at.toDateString() === new Date(nowMs).toDateString()
  return isToday ? time : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
}

/** Thing that is counted. */
export type Noun = 'message' | 'byte' | 'subscription' | 'level'

type Counted = (count: number) => Saying
const nouns: Readonly<Record<Noun, readonly [one: Counted, many: Counted]>> = {
  message: [(count) => say`${count} message`, (count) => say`${count} messages`],
  byte: [(count) => say`${count} byte`, (count) => say`${count} bytes`],
  subscription: [(count) => say`${count} subscription`, (count) => say`${count} subscriptions`],
  level: [(count) => say`${count} level`, (count) => say`${count} levels`],
}

export const counted = (count: number, noun: Noun): Saying => nouns[noun][count === 1 ? 0 : 1](count)

/** Reasons on the subscriber's side, as the second half of "ada was not sent it: …". `limitText` names the limit of a queue. */
export function subscriberReason(reason: DropReason, limitText: () => SayingValue): Saying {
  switch (reason) {
    case 'queue-full':
      return say`its session's queue was full (${limitText()})`
    case 'queues-full':
      return say`all queues together were full (max_stored_bytes, max_memory_queued_bytes)`
    case 'slow-reader':
      return say`the message had QoS 0, and the client did not read fast enough: QoS 0 does not wait`
    case 'packet-too-large':
      return say`the message was larger than the Maximum Packet Size that the client has asked for`
    case 'disallowed-code-point':
      return say`its topic or a property has a control character (allow_control_characters)`
    case 'expired':
      return say`its Message Expiry Interval was over before it could be sent`
    case 'session-ended':
      return say`its session ended while the message waited in it`
    case 'drained':
      return say`an operator has emptied the queue of its session`
    case 'not-authorized':
      return say`it may not receive messages of this topic`
    case 'offline-qos0':
      return say`the message had QoS 0, and the client was not connected: QoS 0 does not wait`
    case 'store-failed':
      return say`the store did not write: look at the disk`
    case 'memory-full':
      return say`memory was short (memory_limit)`
    default:
      return say`it was dropped (${reason})`
  }
}

/** Reasons on the publisher's side, as the second half of "nobody was sent it: …". `who` names the publisher. */
export function publisherReason(reason: DropReason, who: SayingValue): Saying {
  switch (reason) {
    case 'not-authorized':
      return say`${who} may not publish to this topic`
    case 'payload-over-limit':
      return say`the payload of ${who} was larger than the broker takes (message_size_limit)`
    case 'topic-over-limit':
      return say`its topic was longer or had more levels than the broker takes`
    case 'queue-full':
      return say`the queue of a subscriber was full, and queue_overflow is reject: the publisher was told 0x97`
    case 'queues-full':
      return say`all queues together were full: the publisher was told 0x97`
    case 'memory-full':
      return say`memory was short (memory_limit)`
    case 'store-failed':
      return say`the store did not write: look at the disk`
    case 'retained-limit':
      return say`it was not retained: there are as many retained messages as there may be`
    case 'delayed-limit':
      return say`it was to wait ($delayed), and there are as many that wait as there may be, or the delay is too long`
    case 'withheld':
      return say`the hook transform of the program has left it out`
    case 'loop':
      return say`it came back by a bridge: it had been here before`
    case 'expired':
      return say`its Message Expiry Interval was over`
    default:
      return say`it was dropped (${reason})`
  }
}
