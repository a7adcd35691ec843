/**
 * Words of `why` about the queue of a session: what waits in it, what has expired there, and which limit holds for it.
 *
 * `explain.ts` calls it. Invariant: no more than `LOOKED_MAX` messages are looked at, for they may be on the disk.
 */
import type { QueuedView, SessionView } from '@recado/broker'
import type { Inquiry } from './inquiry.ts'
import { type Saying, type SayingValue, say, textOf } from './saying.ts'
import { counted, type Noun } from './sentences.ts'

/** Messages of a queue that are looked at, from the oldest. */
const LOOKED_MAX = 100

/** Number of messages or bytes that wait, with the verb: "1 message waits", "2 messages wait". */
const waitText = (count: number, noun: Noun): Saying =>
  count === 1 ? say`${counted(count, noun)} waits` : say`${counted(count, noun)} wait`

function oldestOf({ clientId }: SessionView, { broker }: Inquiry): readonly QueuedView[] {
  return broker.inspect.queue(clientId, { first: LOOKED_MAX, payloadBytesMax: 0 }) ?? []
}

const isOver = ({ message }: QueuedView, { askedAtMs }: Inquiry): boolean =>
  message !== null && message.expiresAtMs !== null && message.expiresAtMs <= askedAtMs

/** Whether all messages of the topic that wait for a session have expired, and there are such. */
export function hasExpiredInQueue(session: SessionView, inquiry: Inquiry): boolean {
  if (session.queuedMessages === 0 || session.queuedMessages > LOOKED_MAX) return false
  const ofTopic = oldestOf(session, inquiry).filter(({ message }) => message?.topic === inquiry.topic)
  return ofTopic.length > 0 && ofTopic.every((each) => isOver(each, inquiry))
}

/** Numbers of messages that wait for a session, and of those that have waited too long, in words; empty for none. */
export function waitingText(session: SessionView, inquiry: Inquiry): SayingValue {
  const { queuedMessages } = session
  if (queuedMessages === 0) return ''
  const expired = oldestOf(session, inquiry).filter((each) => isOver(each, inquiry)).length
  const waiting = queuedMessages - expired
  const waits = say`${waitText(waiting, 'message')} for it.`
  if (expired === 0) return waits
  const among = queuedMessages > LOOKED_MAX ? say` (the oldest ${LOOKED_MAX} were looked at)` : ''
  const messages = counted(expired, 'message')
  const over =
    expired === 1
      ? say`${messages} in its queue has expired and will not be sent${among}.`
      : say`${messages} in its queue have expired and will not be sent${among}.`
  return waiting === 0 ? over : say`${waits} ${over}`
}

/** Whether a client has no User Name; null: that is not known of one that is away. */
function isAnonymous(clientId: string, { broker, decisions }: Inquiry): boolean | null {
  const client = broker.inspect.client(clientId)
  if (client !== null) return client.username === null
  // Where sessions have no owners, the session of one that is away does not tell.
  if (broker.inspect.session(clientId)?.username) return false
  const left = decisions.leftClient(clientId)
  return left === undefined ? null : left.username === undefined
}

/** A limit of a queue and its option. */
interface Bound {
  readonly max: number
  readonly noun: Noun
  readonly option: string
}

/** The limits of a queue. */
interface Bounds {
  readonly messages: Bound
  readonly bytes: Bound
}

/** The limits that hold for the queue of a session: the lower ones only for a client without User Name. */
function boundsOf(anonymous: boolean, { broker }: Inquiry): Bounds {
  const { queueMessagesMax, queueBytesMax, anonymousQueueMessagesMax, anonymousQueueBytesMax } = broker.limits
  const lower = (noun: Noun, all: number, own: number, option: string): Bound =>
    anonymous && own < all
      ? { max: own, noun, option: `max_anonymous_${option}` }
      : { max: all, noun, option: `max_${option}` }
  return {
    messages: lower('message', queueMessagesMax, anonymousQueueMessagesMax, 'queued_messages'),
    bytes: lower('byte', queueBytesMax, anonymousQueueBytesMax, 'queued_bytes'),
  }
}

/** The limit that a full queue has reached, or the limits that it has where it is not full any more. */
export function limitText(clientId: string, inquiry: Inquiry): Saying {
  const anonymous = isAnonymous(clientId, inquiry)
  const bounds = boundsOf(anonymous === true, inquiry)
  const { messages, bytes } = bounds
  const session = inquiry.broker.inspect.session(clientId)
  if (anonymous !== null && session !== null) {
    const { queuedMessages, queuedBytes } = session
    if (queuedMessages >= messages.max) {
      return say`${waitText(queuedMessages, 'message')} in it, and ${messages.option} allows no more`
    }
    // Fewer messages than may wait, and little room for bytes: it is the bytes.
    if (queuedBytes * 2 >= bytes.max) {
      return say`${waitText(queuedBytes, 'byte')} in it, and ${bytes.option} allows ${bytes.max}`
    }
  }
  const list = boundsText(bounds)
  const text = say`at most ${list} may wait`
  if (anonymous !== null) return text
  const lower = boundsText(boundsOf(true, inquiry))
  return textOf(lower) === textOf(list) ? text : say`${text}; for a client without User Name, at most ${lower}`
}

/** Limits of a queue, without those that are none. */
const boundsText = ({ messages, bytes }: Bounds): SayingValue =>
  [messages, bytes]
    .filter(({ max }) => max < Number.MAX_SAFE_INTEGER)
    .map(({ max, noun, option }): SayingValue => say`${counted(max, noun)} (${option})`)
    .reduce((before, each) => (before === '' ? each : say`${before} and ${each}`), '')
