/**
 * Answers "why was this message not delivered?": joins what was decided (`Decisions`) with the broker as it is now.
 *
 * `GET /api/v1/why` calls it. What was recorded since the last publish of the topic comes first, then what holds now, then
 * what was recorded before. Invariant: nothing changes by a question.
 */
import type { Broker, ClientInfo, RecipientView, Verdict } from '@recado/broker'
import { parseShare, reasonCodeName, topicMatches } from '@recado/protocol'
import type { Dropped, Publication, SubscriptionNote } from './decisions.ts'
import { type Inquiry, isNear, messageOf, type Parts, type Question } from './inquiry.ts'
import { type NearMiss, nearMiss } from './near-miss.ts'
import { absenceText, servedText } from './presence.ts'
import { hasExpiredInQueue, limitText, waitingText } from './queues.ts'
import { kept } from './ring.ts'
import { joined, type Saying, type SayingValue, say, textOf } from './saying.ts'
import { counted, publisherReason, subscriberReason, timeText } from './sentences.ts'

/** Reasons that are handed out. */
const REASONS_MAX = 20
/** Clients of which a question about all says why they get nothing. */
const NAMED_MAX = 5
/** Subscriptions of a client that are compared with the topic. */
const COMPARED_MAX = 1_000
/** A decision belongs to a publish that was noted up to this long after it: both are in one turn. */
const SAME_MS = 50

/** One reason. */
export interface Reason {
  /** Word for programs: a `DropReason`, a `Verdict`, or one of `explain.ts`. */
  readonly code: string
  readonly sentence: string
  /** Sentence as a template with values, for other languages. */
  readonly said: Saying
  /** Client that did not get it, or whose message it was; null for nobody in particular. */
  readonly clientId: string | null
  /** When it was decided; null: it holds now. */
  readonly atMs: number | null
}

/** Answer. */
export interface Explanation {
  readonly topic: string
  readonly clientId: string | null
  readonly sentence: string
  /** Sentence as a template with values, for other languages. */
  readonly said: Saying
  readonly reasons: readonly Reason[]
  readonly lastPublished: Readonly<Publication> | null
}

/** Makes a reason of what is to be said. */
const reasonOf = (code: string, said: Saying, clientId: string | null, atMs: number | null): Reason => ({
  ...{ code, sentence: textOf(said), said, clientId, atMs },
})

export async function explain(question: Question, parts: Parts): Promise<Explanation> {
  const { topic, clientId, atMs } = question
  const { broker, decisions, nowMs = Date.now } = parts
  const last = decisions.lastOf(topic) ?? null
  const matching = broker.inspect.recipients(topic, {
    ...(last === null || clientId === undefined ? {} : { qos: last.qos as 0 | 1 | 2 }),
    ...(last === null || last.clientId === null ? {} : { clientId: last.clientId }),
  })
  const inquiry: Inquiry = { ...question, ...parts, askedAtMs: nowMs(), last, matching }
  const recorded = await recordedFor(inquiry)
  const from = atMs === undefined ? (last?.atMs ?? 0) - SAME_MS : 0
  const isRecent = (reason: Reason): boolean => reason.atMs! >= from
  const recent = recorded.filter(isRecent)
  const now = clientId === undefined ? await nowForAll(inquiry) : await nowFor(clientId, inquiry, recent.length > 0)
  const reasons = [...recent, ...now, ...recorded.filter((each) => !isRecent(each))]
  const isForgotten = atMs !== undefined && recorded.length === 0 && messageOf(inquiry) === null
  const said = joined([isForgotten ? forgotten(inquiry) : '', reasons[0]?.said ?? arrives(inquiry)])
  return {
    ...{ topic, clientId: clientId ?? null, sentence: textOf(said), said, lastPublished: last },
    reasons: reasons.slice(0, REASONS_MAX),
  }
}

const forgotten = ({ topic, atMs, askedAtMs }: Inquiry): Saying =>
  say`Nothing is remembered of ${topic} at about ${timeText(atMs!, askedAtMs)}; what follows is how it is now.`

/** Finds decisions about the topic, and the client if one is asked for; latest first. */
async function recordedFor(inquiry: Inquiry): Promise<Reason[]> {
  const { topic, clientId, decisions, askedAtMs } = inquiry
  const name = kept(topic)
  const id = clientId === undefined ? undefined : kept(clientId)
  const reasons: Reason[] = []
  const rules = new Map<string, Promise<SayingValue>>()
  /** The rule that keeps a client from it, asked for once. */
  const ruleText = (of: string, action: 'publish' | 'receive'): Promise<SayingValue> => {
    const key = `${action} ${of}`
    const known = rules.get(key)
    if (known !== undefined) return known
    const text = ruleOf(of, action, inquiry)
    rules.set(key, text)
    return text
  }
  for (const drop of decisions.drops.latest()) {
    if (drop.topic !== name || !isNear(drop.atMs, inquiry)) continue
    // What its publisher was refused, nobody got.
    if (drop.isForSubscriber && id !== undefined && drop.clientId !== id) continue
    const { clientId: of, reason, isForSubscriber, atMs } = drop
    const at = timeText(atMs, askedAtMs)
    const isRule = reason === 'not-authorized' && of !== '' && reasons.length < REASONS_MAX
    const rule = isRule ? await ruleText(of, isForSubscriber ? 'receive' : 'publish') : ''
    const said = isForSubscriber
      ? say`${of} was not sent it: ${subscriberReason(reason, () => limitText(of, inquiry))}${rule}, ${at}${sinceText(drop, inquiry)}.`
      : say`Nobody was sent it: ${publisherReason(reason, of || say`its publisher`)}${rule}, ${at}.`
    reasons.push(reasonOf(isForSubscriber ? reason : `publish-${reason}`, said, of || null, atMs))
  }
  for (const { clientId: of, topic: on, topicFilter, atMs } of decisions.withheld.latest()) {
    if (on !== name || !isNear(atMs, inquiry) || (id !== undefined && of !== id)) continue
    const said = say`${of} was not sent it: ${verdictWords['no-local'](topicFilter)}, ${timeText(atMs, askedAtMs)}.`
    reasons.push(reasonOf('no-local', said, of, atMs))
  }
  if (id !== undefined) {
    for (const note of decisions.subscriptions.latest()) {
      if (note.clientId !== id || !isNear(note.atMs, inquiry) || !matches(note.topicFilter, topic)) continue
      const reason = aboutSubscription(note, inquiry)
      if (reason !== null) reasons.push(reason)
    }
    reasons.push(...choices(id, inquiry))
  }
  return reasons.sort((a, b) => b.atMs! - a.atMs!)
}

function sinceText({ clientId, reason, atMs }: Dropped, { decisions, askedAtMs }: Inquiry): SayingValue {
  const run = decisions.runOf(clientId, reason)
  if (run === undefined || run.messages < 2 || atMs < run.sinceMs) return ''
  return say`; so it has been for ${run.messages} messages since ${timeText(run.sinceMs, askedAtMs)}`
}

function aboutSubscription(
  { clientId, topicFilter, reasonCode, retained, atMs }: SubscriptionNote,
  { topic, broker, last, matching, askedAtMs }: Inquiry,
): Reason | null {
  const at = timeText(atMs, askedAtMs)
  if (retained === 'refused') {
    // A subscription that was made since is what counts.
    const isThere = matching.recipients.some((each) => each.clientId === clientId && each.topicFilter === topicFilter)
    if (isThere) return null
    const code = `0x${reasonCode.toString(16).toUpperCase()} ${reasonCodeName(reasonCode)}`
    const said = say`${clientId} was not sent it: its subscription to ${topicFilter} was refused (${code}), ${at}.`
    return reasonOf('subscription-refused', said, clientId, atMs)
  }
  // A message that came later than the subscription was no retained one for it.
  if (last !== null && last.atMs > atMs) return null
  if (broker.inspect.retainedMessage(topic, { payloadBytesMax: 0 }) === null) return null
  const why =
    retained === 'shared'
      ? say`${topicFilter} is a Shared Subscription, which gets no retained messages`
      : retained === 'not-new'
        ? say`it had the subscription ${topicFilter} already, and asked for retained messages of new ones only (Retain Handling 1)`
        : say`its subscription ${topicFilter} asked for no retained messages (Retain Handling 2)`
  const said = say`${clientId} was not sent the retained message: ${why}, ${at}.`
  return reasonOf('retain-handling', said, clientId, atMs)
}

/** Choices of the Shared Subscriptions of a client that fell on another member. */
function choices(clientId: string, inquiry: Inquiry): Reason[] {
  const { topic, decisions, matching, askedAtMs } = inquiry
  const name = kept(topic)
  const own = matching.recipients.filter((each) => each.clientId === clientId && each.shareName !== null)
  return own.flatMap(({ topicFilter }) => {
    for (const choice of decisions.choicesOf(topicFilter)) {
      if (choice.topic !== name || !isNear(choice.atMs, inquiry)) continue
      if (choice.clientId === clientId) return []
      const at = timeText(choice.atMs, askedAtMs)
      const said = say`${clientId} was not sent it: ${topicFilter} is a Shared Subscription, and it was the turn of ${choice.clientId}, ${at}.`
      return [reasonOf('not-chosen', said, clientId, choice.atMs)]
    }
    return []
  })
}

/** Finds what keeps messages of the topic from the client now. */
async function nowFor(clientId: string, inquiry: Inquiry, isDropped: boolean): Promise<Reason[]> {
  const { topic, broker, decisions, matching } = inquiry
  const now = (code: string, said: Saying): Reason => reasonOf(code, said, clientId, null)
  const session = broker.inspect.session(clientId)
  if (session === null) return [now('no-session', absenceText(clientId, inquiry, isDropped))]
  const { recipients, total } = matching
  const name = kept(topic)
  // Whose turn it was is known: whose it is now has nothing to do with the message.
  const isKnown = ({ topicFilter }: RecipientView): boolean =>
    [...decisions.choicesOf(topicFilter)].some((choice) => choice.topic === name)
  const own = recipients.filter((each) => each.clientId === clientId)
  if (own.length === 0) {
    if (total > recipients.length) return []
    return [now('not-subscribed', await notSubscribed(topic, clientId, broker))]
  }
  // One subscription that gets it is enough.
  if (own.some(({ verdict }) => verdict === 'gets')) return []
  if (own.some(({ verdict }) => verdict === 'waits')) {
    if (!hasExpiredInQueue(session, inquiry)) return []
    const text = say`it has waited in its queue, and its Message Expiry Interval is over`
    return [now('expired', say`${clientId} will not be sent it: ${text}.`)]
  }
  return Promise.all(
    own
      .filter((each) => each.verdict !== 'not-chosen' || !isKnown(each))
      .map(async (each) => now(each.verdict, say`${clientId} is not sent it: ${await verdictText(each, inquiry)}.`)),
  )
}

async function notSubscribed(topic: string, clientId: string, broker: Broker): Promise<Saying> {
  let [nearest, count]: [NearMiss | null, number] = [null, 0]
  for await (const { topicFilter } of broker.inspect.subscriptions({ clientId })) {
    if (++count > COMPARED_MAX) break
    const near = nearMiss(parseShare(topicFilter)?.topicFilter ?? topicFilter, topic)
    if (near !== null && (nearest === null || near.distance < nearest.distance)) nearest = near
  }
  const why =
    count === 0 ? say`it has no subscriptions` : say`none of its ${counted(count, 'subscription')} matches the topic`
  const near = nearest === null ? '' : say`; ${nearest.text}`
  return say`${clientId} is not sent it: ${why}${near}.`
}

/** The verdict in words, with the rule where rights decide it, and the limit where a queue does. */
async function verdictText({ verdict, topicFilter, clientId }: RecipientView, inquiry: Inquiry): Promise<Saying> {
  const text = verdictWords[verdict](topicFilter)
  if (verdict === 'queue-full') return say`${text} (${limitText(clientId, inquiry)})`
  return verdict === 'not-authorized' ? say`${text}${await ruleOf(clientId, 'receive', inquiry)}` : text
}

/** The rule that keeps a client, also one that has left, from the topic now, in brackets; '' when there is none, or it is not known. */
async function ruleOf(clientId: string, action: 'publish' | 'receive', inquiry: Inquiry): Promise<SayingValue> {
  const { topic, broker, host, decisions } = inquiry
  if (host.checkRights === undefined) return ''
  const left = decisions.leftClient(clientId)
  const client: ClientInfo | undefined =
    broker.clients().find((each) => each.clientId === clientId) ??
    (left && { ...left, clientId, isBridge: false, peer: null, grants: null, memo: null })
  const answer = client === undefined ? undefined : await host.checkRights(client, action, topic)
  return answer === undefined || answer.isAllowed ? '' : say` (${answer.by})`
}

/** Verdicts in words, as the second half of "ada is not sent it: …". */
const verdictWords: Readonly<Record<Verdict, (filter: string) => Saying>> = {
  gets: () => say`nothing keeps it from it`,
  waits: () => say`it waits in its queue`,
  'not-chosen': (filter) => say`${filter} is a Shared Subscription, and it is the turn of another member`,
  'offline-qos0': () => say`the message has QoS 0, or its subscription has, and the client is not connected`,
  'slow-reader': () => say`the message has QoS 0, and the client does not read fast enough`,
  'queue-full': () => say`the queue of its session is full`,
  'no-local': (filter) => say`it published the message itself, and its subscription ${filter} has No Local`,
  'not-authorized': () => say`it may not receive messages of this topic`,
}

/** Finds clients that do not get messages of the topic now. */
async function nowForAll(inquiry: Inquiry): Promise<Reason[]> {
  const { topic, matching } = inquiry
  const { recipients, total, programSubscriptions } = matching
  if (total === 0 && programSubscriptions === 0) {
    return [reasonOf('no-subscribers', say`Nobody subscribes to ${topic}.`, null, null)]
  }
  const without = recipients.filter(
    ({ verdict }) => verdict !== 'gets' && verdict !== 'waits' && verdict !== 'not-chosen',
  )
  return Promise.all(
    without.slice(0, NAMED_MAX).map(async (each) => {
      const { clientId, verdict } = each
      return reasonOf(verdict, say`${clientId} is not sent it: ${await verdictText(each, inquiry)}.`, clientId, null)
    }),
  )
}

/** The sentence where nothing was found that keeps a message. */
function arrives(inquiry: Inquiry): Saying {
  const { topic, clientId, broker, last, matching, askedAtMs } = inquiry
  const when =
    last === null
      ? say`No message on this topic is remembered.`
      : say`The last message was published ${timeText(last.atMs, askedAtMs)} by ${last.clientId ?? say`the broker`}.`
  if (clientId === undefined) {
    return say`${when} Nothing keeps messages on ${topic} from its ${counted(matching.total, 'subscription')}.`
  }
  const session = broker.inspect.session(clientId)
  const more =
    session === null
      ? []
      : [servedText(session, inquiry), waitingText(session, inquiry), unacknowledgedText(session.inflight)]
  return joined([when, say`Nothing keeps messages on ${topic} from ${clientId}.`, ...more])
}

function unacknowledgedText(inflight: number): SayingValue {
  if (inflight === 0) return ''
  const messages = counted(inflight, 'message')
  return inflight === 1
    ? say`${messages} was sent and not acknowledged yet.`
    : say`${messages} were sent and not acknowledged yet.`
}

const matches = (topicFilter: string, topic: string): boolean =>
  topicMatches(parseShare(topicFilter)?.topicFilter ?? topicFilter, topic)
