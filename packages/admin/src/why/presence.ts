/**
 * Words of `why` about a client that was there when a message was published: one that has left since, and one that was served.
 *
 * `explain.ts` calls it. Invariant: nothing is said that the memory of decisions does not show.
 */
import type { RecipientView, SessionView } from '@recado/broker'
import type { ClientNote, Publication } from './decisions.ts'
import { type Inquiry, messageOf } from './inquiry.ts'
import { isKeptWhole, kept } from './ring.ts'
import { type Saying, type SayingValue, say } from './saying.ts'
import { timeText } from './sentences.ts'

/** Messages in flight that are looked at. */
const IN_FLIGHT_MAX = 1_000

const GONE = say`it is not connected and has no session, so nothing waits for it`

/**
 * Says what is known of a client without a session. `isDropped`: it is recorded why it did not get the message, so nothing is
 * to be guessed.
 */
export function absenceText(clientId: string, inquiry: Inquiry, isDropped: boolean): Saying {
  const { topic, decisions, askedAtMs } = inquiry
  const id = kept(clientId)
  const notes = [...decisions.clients.latest()].filter((note) => note.clientId === id)
  const seen = notes.length === 0 ? '' : say` (${lastSeen(notes[0]!, askedAtMs)})`
  const message = messageOf(inquiry)
  const order = decisions.orderOf(topic)
  if (message === null || order === undefined || isDropped) return say`${clientId} is not sent it: ${GONE}${seen}.`
  for (const note of notes) {
    const text = note.order < order ? null : mayHaveGot(note, message, order, askedAtMs)
    if (text !== null) return say`${clientId} may have been sent it ${text}`
  }
  // Ends of connections since the message have been forgotten: one may have been its.
  const { oldestLeft } = decisions.clients
  if (oldestLeft !== undefined && oldestLeft.order > order) {
    return say`${clientId} is not sent it now: ${GONE}${seen}. Whether it was connected when the last message was published, ${timeText(message.atMs, askedAtMs)}, is not remembered any more.`
  }
  return say`${clientId} was not sent it: ${GONE}${seen}.`
}

function lastSeen({ what, why, atMs }: ClientNote, askedAtMs: number): Saying {
  const at = timeText(atMs, askedAtMs)
  if (what === 'disconnected') return say`it disconnected: ${why}, ${at}`
  return what === 'refused' ? say`it was refused: ${why}, ${at}` : say`its session ended: ${why}, ${at}`
}

/** Grounds for a client whose connection ended after the message having got it; null: there are none. */
function mayHaveGot(note: ClientNote, message: Readonly<Publication>, order: number, askedAtMs: number): Saying | null {
  if (note.what !== 'disconnected') return null
  const { connected } = note
  const left = say`before it left at ${timeText(note.atMs, askedAtMs)} (${note.why})`
  const published = timeText(message.atMs, askedAtMs)
  const rest = say`It is not connected now, and which subscriptions it had is not remembered: they ended with its session.`
  const no = say`nothing that is remembered says that it was dropped, withheld or refused`
  if (connected === null) {
    return say`${left}: that was after the last message was published, ${published}, and ${no}. Since when it had been connected is not remembered. ${rest}`
  }
  if (connected.order < order) {
    return say`${left}: it was connected when the last message was published, ${published}, and ${no}. ${rest}`
  }
  const since = say`it connected at ${timeText(connected.atMs, askedAtMs)}, after the last message was published, ${published}`
  if (connected.sessionPresent) return say`${left}: ${since}, but its session was there before, and ${no}. ${rest}`
  return message.retain ? say`${left}: ${since}, but that was to be retained, and ${no}. ${rest}` : null
}

/** Says whether the last message went to a connected client that nothing is kept from; '' when nothing is known. */
export function servedText(session: SessionView, inquiry: Inquiry): SayingValue {
  const { topic, broker, decisions, matching, askedAtMs } = inquiry
  const { clientId } = session
  const client = broker.inspect.client(clientId)
  const message = messageOf(inquiry)
  const order = decisions.orderOf(topic)
  if (client === null || message === null || order === undefined || session.queuedMessages > 0) return ''
  const connected = decisions.connectedOf(clientId)
  if (connected === undefined ? client.connectedAtMs >= message.atMs : connected.order > order) {
    return say`It connected at ${timeText(client.connectedAtMs, askedAtMs)}, after that message: whether the message went to it is not known.`
  }
  const own = matching.recipients.filter((each) => each.clientId === clientId && wasMeant(each, inquiry))
  if (own.length === 0) return ''
  const older = own.filter(({ topicFilter }) => isOlder(clientId, topicFilter, order, inquiry))
  if (older.length === 0) {
    return say`Its subscription ${own[0]!.topicFilter} was made or renewed after that message, or when is not remembered: whether the message went to it is not known.`
  }
  const qos = Math.max(...older.map(({ deliveredQoS }) => deliveredQoS))
  return say`The last message went to it as far as the broker knows: it was written to its connection, and ${acknowledgement(qos, session, inquiry)}.`
}

/** Whether a subscription gets the messages of the topic, and of a Shared Subscription its member was chosen. */
function wasMeant(
  { verdict, shareName, topicFilter, clientId }: RecipientView,
  { topic, decisions }: Inquiry,
): boolean {
  if (shareName === null) return verdict === 'gets'
  const name = kept(topic)
  for (const choice of decisions.choicesOf(topicFilter)) {
    if (choice.topic === name) return choice.clientId === kept(clientId)
  }
  return false
}

/** Whether it is known that a subscription was there before a message. */
function isOlder(clientId: string, topicFilter: string, order: number, { decisions: { made } }: Inquiry): boolean {
  const { oldestLeft } = made
  if (!isKeptWhole(clientId) || !isKeptWhole(topicFilter)) return false
  if (oldestLeft !== undefined && oldestLeft.order > order) return false
  for (const note of made.latest()) {
    if (note.order < order) return true
    if (note.clientId === clientId && note.topicFilter === topicFilter) return false
  }
  return true
}

function acknowledgement(qos: number, { clientId, inflight }: SessionView, { topic, broker }: Inquiry): Saying {
  if (qos === 0) return say`whether the client has got it is not known: QoS 0 is not acknowledged`
  const looked = broker.inspect.inFlight(clientId, { first: IN_FLIGHT_MAX, payloadBytesMax: 0 }) ?? []
  const open = looked.find(({ message }) => message?.topic === topic)
  if (open !== undefined) {
    return say`the client has not acknowledged all messages on this topic yet (QoS ${open.qos}: ${open.waitsFor} is awaited)`
  }
  // Of what need not be sent again the topic is not kept. After PUBREC the client has it.
  const isUnknown = looked.some(({ message, waitsFor }) => message === null && waitsFor !== 'PUBCOMP')
  if (isUnknown || inflight > looked.length) return say`whether the client has acknowledged it is not known`
  return say`the client has acknowledged it (QoS ${qos})`
}
