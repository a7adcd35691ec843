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
  readonly reasons: readonly Reason[]
  readonly lastPublished: Readonly<Publication> | null
}

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
  const sentence = `${isForgotten ? forgotten(inquiry) : ''}${reasons[0]?.sentence ?? arrives(inquiry)}`
  return {
    ...{ topic, clientId: clientId ?? null, sentence, lastPublished: last },
    reasons: reasons.slice(0, REASONS_MAX),
  }
}

const forgotten = ({ topic, atMs, askedAtMs }: Inquiry): string =>
  `Nothing is remembered of ${topic} at about ${timeText(atMs!, askedAtMs)}; what follows is how it is now. `

/** Finds decisions about the topic, and the client if one is asked for; latest first. */
async function recordedFor(inquiry: Inquiry): Promise<Reason[]> {
  const { topic, clientId, decisions, askedAtMs } = inquiry
  const name = kept(topic)
  const id = clientId === undefined ? undefined : kept(clientId)
  const reasons: Reason[] = []
  const rules = new Map<string, Promise<string>>()
  /** The rule that keeps a client from it, asked for once. */
  const ruleText = (of: string, action: 'publish' | 'receive'): Promise<string> => {
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
    const sentence = isForSubscriber
      ? `${of} was not sent it: ${subscriberReason(reason, () => limitText(of, inquiry))}${rule}, ${at}${sinceText(drop, inquiry)}.`
      : `Nobody was sent it: ${publisherReason(reason, of || 'its publisher')}${rule}, ${at}.`
    reasons.push({ code: isForSubscriber ? reason : `publish-${reason}`, sentence, clientId: of || null, atMs })
  }
  for (const { clientId: of, topic: on, topicFilter, atMs } of decisions.withheld.latest()) {
    if (on !== name || !isNear(atMs, inquiry) || (id !== undefined && of !== id)) continue
    const sentence = `${of} was not sent it: ${verdictWords['no-local'](topicFilter)}, ${timeText(atMs, askedAtMs)}.`
    reasons.push({ code: 'no-local', sentence, clientId: of, atMs })
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

function sinceText({ clientId, reason, atMs }: Dropped, { decisions, askedAtMs }: Inquiry): string {
  const run = decisions.runOf(clientId, reason)
  if (run === undefined || run.messages < 2 || atMs < run.sinceMs) return ''
  return `; so it has been for ${run.messages.toLocaleString('en')} messages since ${timeText(run.sinceMs, askedAtMs)}`
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
    const sentence = `${clientId} was not sent it: its subscription to ${topicFilter} was refused (${code}), ${at}.`
    return { code: 'subscription-refused', sentence, clientId, atMs }
  }
  // A message that came later than the subscription was no retained one for it.
  if (last !== null && last.atMs > atMs) return null
  if (broker.inspect.retainedMessage(topic, { payloadBytesMax: 0 }) === null) return null
  const why =
    retained === 'shared'
      ? `${topicFilter} is a Shared Subscription, which gets no retained messages`
      : retained === 'not-new'
        ? `it had the subscription ${topicFilter} already, and asked for retained messages of new ones only (Retain Handling 1)`
        : `its subscription ${topicFilter} asked for no retained messages (Retain Handling 2)`
  return {
    code: 'retain-handling',
    sentence: `${clientId} was not sent the retained message: ${why}, ${at}.`,
    clientId,
    atMs,
  }
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
      const sentence = `${clientId} was not sent it: ${topicFilter} is a Shared Subscription, and it was the turn of ${choice.clientId}, ${timeText(choice.atMs, askedAtMs)}.`
      return [{ code: 'not-chosen', sentence, clientId, atMs: choice.atMs }]
    }
    return []
  })
}

/** Finds what keeps messages of the topic from the client now. */
async function nowFor(clientId: string, inquiry: Inquiry, isDropped: boolean): Promise<Reason[]> {
  const { topic, broker, decisions, matching } = inquiry
  const say = (code: string, sentence: string): Reason => ({ code, sentence, clientId, atMs: null })
  const session = broker.inspect.session(clientId)
  if (session === null) return [say('no-session', absenceText(clientId, inquiry, isDropped))]
  const { recipients, total } = matching
  const name = kept(topic)
  // Whose turn it was is known: whose it is now has nothing to do with the message.
  const isKnown = ({ topicFilter }: RecipientView): boolean =>
    [...decisions.choicesOf(topicFilter)].some((choice) => choice.topic === name)
  const own = recipients.filter((each) => each.clientId === clientId)
  if (own.length === 0) {
    if (total > recipients.length) return []
    return [say('not-subscribed', await notSubscribed(topic, clientId, broker))]
  }
  // One subscription that gets it is enough.
  if (own.some(({ verdict }) => verdict === 'gets')) return []
  if (own.some(({ verdict }) => verdict === 'waits')) {
    if (!hasExpiredInQueue(session, inquiry)) return []
    const text = 'it has waited in its queue, and its Message Expiry Interval is over'
    return [say('expired', `${clientId} will not be sent it: ${text}.`)]
  }
  return Promise.all(
    own
      .filter((each) => each.verdict !== 'not-chosen' || !isKnown(each))
      .map(async (each) => say(each.verdict, `${clientId} is not sent it: ${await verdictText(each, inquiry)}.`)),
  )
}

async function notSubscribed(topic: string, clientId: string, broker: Broker): Promise<string> {
  let [nearest, count]: [NearMiss | null, number] = [null, 0]
  for await (const { topicFilter } of broker.inspect.subscriptions({ clientId })) {
    if (++count > COMPARED_MAX) break
    const near = nearMiss(parseShare(topicFilter)?.topicFilter ?? topicFilter, topic)
    if (near !== null && (nearest === null || near.distance < nearest.distance)) nearest = near
  }
  const why =
    count === 0
      ? 'it has no subscriptions'
      : `none of its ${count} subscription${count === 1 ? '' : 's'} matches the topic`
  return `${clientId} is not sent it: ${why}${nearest === null ? '' : `; ${nearest.text}`}.`
}

/** The verdict in words, with the rule where rights decide it, and the limit where a queue does. */
async function verdictText({ verdict, topicFilter, clientId }: RecipientView, inquiry: Inquiry): Promise<string> {
  const text = verdictWords[verdict](topicFilter)
  if (verdict === 'queue-full') return `${text} (${limitText(clientId, inquiry)})`
  return verdict === 'not-authorized' ? `${text}${await ruleOf(clientId, 'receive', inquiry)}` : text
}

/** The rule that keeps a client, also one that has left, from the topic now, in brackets; '' when there is none, or it is not known. */
async function ruleOf(clientId: string, action: 'publish' | 'receive', inquiry: Inquiry): Promise<string> {
  const { topic, broker, host, decisions } = inquiry
  if (host.checkRights === undefined) return ''
  const left = decisions.leftClient(clientId)
  const client: ClientInfo | undefined =
    broker.clients().find((each) => each.clientId === clientId) ??
    (left && { ...left, clientId, isBridge: false, peer: null, grants: null, memo: null })
  const answer = client === undefined ? undefined : await host.checkRights(client, action, topic)
  return answer === undefined || answer.isAllowed ? '' : ` (${answer.by})`
}

/** Verdicts in words, as the second half of "ada is not sent it: …". */
const verdictWords: Readonly<Record<Verdict, (filter: string) => string>> = {
  gets: () => 'nothing keeps it from it',
  waits: () => 'it waits in its queue',
  'not-chosen': (filter) => `${filter} is a Shared Subscription, and it is the turn of another member`,
  'offline-qos0': () => 'the message has QoS 0, or its subscription has, and the client is not connected',
  'slow-reader': () => 'the message has QoS 0, and the client does not read fast enough',
  'queue-full': () => 'the queue of its session is full',
  'no-local': (filter) => `it published the message itself, and its subscription ${filter} has No Local`,
  'not-authorized': () => 'it may not receive messages of this topic',
}

/** Finds clients that do not get messages of the topic now. */
async function nowForAll(inquiry: Inquiry): Promise<Reason[]> {
  const { topic, matching } = inquiry
  const { recipients, total, programSubscriptions } = matching
  if (total === 0 && programSubscriptions === 0) {
    return [{ code: 'no-subscribers', sentence: `Nobody subscribes to ${topic}.`, clientId: null, atMs: null }]
  }
  const without = recipients.filter(
    ({ verdict }) => verdict !== 'gets' && verdict !== 'waits' && verdict !== 'not-chosen',
  )
  return Promise.all(
    without.slice(0, NAMED_MAX).map(async (each) => {
      const { clientId, verdict } = each
      const sentence = `${clientId} is not sent it: ${await verdictText(each, inquiry)}.`
      return { code: verdict, sentence, clientId, atMs: null }
    }),
  )
}

/** The sentence where nothing was found that keeps a message. */
function arrives(inquiry: Inquiry): string {
  const { topic, clientId, broker, last, matching, askedAtMs } = inquiry
  const when =
    last === null
      ? 'No message on this topic is remembered'
      : `The last message was published ${timeText(last.atMs, askedAtMs)} by ${last.clientId ?? 'the broker'}`
  if (clientId === undefined) {
    return `${when}. Nothing keeps messages on ${topic} from its ${counted(matching.total, 'subscription')}.`
  }
  const session = broker.inspect.session(clientId)
  const more =
    session === null
      ? []
      : [servedText(session, inquiry), waitingText(session, inquiry), unacknowledgedText(session.inflight)]
  return [`${when}.`, `Nothing keeps messages on ${topic} from ${clientId}.`, ...more].filter(Boolean).join(' ')
}

const unacknowledgedText = (inflight: number): string =>
  inflight === 0
    ? ''
    : `${counted(inflight, 'message')} ${inflight === 1 ? 'was' : 'were'} sent and not acknowledged yet.`

const matches = (topicFilter: string, topic: string): boolean =>
  topicMatches(parseShare(topicFilter)?.topicFilter ?? topicFilter, topic)
