/**
 * Sessions, waiting messages and retained messages of ours from a `mosquitto.db`.
 *
 * `take-over.ts` writes them into a data folder. Invariant: each client gets its messages in the order in which Mosquitto would have sent
 * them, and a QoS 2 message that a client has handed over, and not yet released, is delivered once.
 *
 * Mosquitto passes a QoS 2 message on when its PUBREL comes, and this broker when the message comes. So such a message is passed on here,
 * to the sessions whose subscriptions match, and its Packet Identifier is kept, so that the PUBREL completes it.
 */
import type { MessageProperties, StoredMessage, StoredRecipient, StoredRecord, StoredSession } from '@recado/broker'
import { FilterTree, isTopicFilter, isTopicName, type Properties, type QoS } from '@recado/protocol'
import { Direction, NEVER, State } from './layout.ts'
import type { DatabaseClient, DatabaseDelivery, DatabaseMessage, DatabaseSubscription, Snapshot } from './snapshot.ts'

/** Counts of what came along and what did not. */
export interface TakenOver {
  sessions: number
  subscriptions: number
  /** Deliveries that wait in queues. */
  waiting: number
  /** Deliveries that were sent and not acknowledged. */
  inFlight: number
  retained: number
  /** QoS 2 messages of clients that had not released them, passed on to those who subscribe. */
  unreleased: number
  /** Sessions that had ended meanwhile. */
  expiredSessions: number
  /** Deliveries and retained messages whose message had expired. Mosquitto's own file lacks one that has. */
  expiredMessages: number
  /** Deliveries and retained messages whose message is damaged. */
  missingMessages: number
  /** Subscriptions with a filter that is not valid here. */
  refusedSubscriptions: number
}

/** Deliveries of one message at one place in the order of all. */
interface Entry {
  readonly messageId: bigint
  /** The place is `order`, and `step` among those with the same. */
  readonly order: bigint
  readonly step: number
  readonly recipients: StoredRecipient[]
  /** The client whose PUBLISH this is, not yet released; null: it has been passed on. */
  readonly publisher: string | null
}

interface Subscriber {
  readonly clientId: string
  readonly subscription: DatabaseSubscription
}

/** Returns the records in the order that `writeContents` asks for. `totals` is complete when the last one has been taken. */
export function* recordsOf(database: Snapshot, nowMs: number, totals: TakenOver): Generator<StoredRecord> {
  const sessions = livingClients(database, nowMs, totals)
  const subscriptions = subscriptionsOf(database, sessions, totals)
  const received = receivedPacketIds(database, sessions)
  for (const client of sessions.values()) {
    totals.sessions++
    yield sessionOf(client, subscriptions.get(client.clientId) ?? [], received.get(client.clientId) ?? [], database)
  }
  const filters = filterTree(subscriptions)
  const kept = new Map<string, { readonly id: bigint | null; readonly message: DatabaseMessage }>()
  for (const entry of inOrder(entriesOf(database, sessions))) {
    const message = usable(database, entry.messageId, nowMs)
    if (message === null) {
      countLoss(database, entry.messageId, Math.max(1, entry.recipients.length), nowMs, totals)
      continue
    }
    if (entry.publisher !== null) {
      totals.unreleased++
      if (message.retain) kept.set(message.topic, { id: null, message })
      entry.recipients.push(...matching(filters, message, entry.publisher))
      if (entry.recipients.length === 0) continue
    }
    for (const { awaits } of entry.recipients) {
      if (awaits === null) totals.waiting++
      else totals.inFlight++
    }
    yield {
      kind: 'message',
      ...applicationMessage(message, false),
      recipients: entry.recipients,
    } satisfies StoredMessage
  }
  for (const id of database.retained) {
    const message = usable(database, id, nowMs)
    if (message === null) countLoss(database, id, 1, nowMs, totals)
    // A retained message that was not released yet is newer.
    else if (!kept.has(message.topic)) kept.set(message.topic, { id, message: { ...message, payload: NO_BYTES } })
  }
  for (const { id, message } of kept.values()) {
    // Payloads are read again, so that they are not all in memory at once.
    const whole = id === null ? message : usable(database, id, nowMs)
    if (whole === null || whole.payload.length === 0) continue
    totals.retained++
    yield { kind: 'retained', ...applicationMessage(whole, true) }
  }
}

export function nothingTakenOver(): TakenOver {
  return {
    sessions: 0,
    subscriptions: 0,
    waiting: 0,
    inFlight: 0,
    retained: 0,
    unreleased: 0,
    expiredSessions: 0,
    expiredMessages: 0,
    missingMessages: 0,
    refusedSubscriptions: 0,
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0)

function livingClients(database: Snapshot, nowMs: number, totals: TakenOver): Map<string, DatabaseClient> {
  const living = new Map<string, DatabaseClient>()
  for (const client of database.clients.values()) {
    const { expirySeconds, expiresAtSeconds, clientId } = client
    const endsAtMs = expiresAtSeconds === 0 ? database.writtenAtMs + expirySeconds * 1000 : expiresAtSeconds * 1000
    if (expirySeconds !== NEVER && endsAtMs <= nowMs) totals.expiredSessions++
    else living.set(clientId, client)
  }
  return living
}

function subscriptionsOf(
  database: Snapshot,
  sessions: ReadonlyMap<string, DatabaseClient>,
  totals: TakenOver,
): Map<string, DatabaseSubscription[]> {
  const byClient = new Map<string, Map<string, DatabaseSubscription>>()
  for (const subscription of database.subscriptions) {
    const { clientId, topicFilter } = subscription
    if (!sessions.has(clientId)) continue
    if (!isTopicFilter(topicFilter)) {
      totals.refusedSubscriptions++
      continue
    }
    const own = byClient.get(clientId) ?? new Map<string, DatabaseSubscription>()
    own.set(topicFilter, subscription)
    byClient.set(clientId, own)
  }
  const result = new Map<string, DatabaseSubscription[]>()
  for (const [clientId, own] of byClient) {
    totals.subscriptions += own.size
    result.set(clientId, [...own.values()])
  }
  return result
}

/** Whether the client has sent the message, and its PUBREL has not come. */
function isUnreleased({ direction, state }: DatabaseDelivery): boolean {
  return direction === Direction.In && (state === State.WaitForPubrel || state === State.SendPubrec)
}

function receivedPacketIds(database: Snapshot, sessions: ReadonlyMap<string, DatabaseClient>): Map<string, number[]> {
  const received = new Map<string, number[]>()
  for (const delivery of database.deliveries) {
    const { clientId, packetId } = delivery
    if (!isUnreleased(delivery) || packetId === 0 || !sessions.has(clientId)) continue
    const own = received.get(clientId) ?? []
    if (!own.includes(packetId)) own.push(packetId)
    received.set(clientId, own)
  }
  return received
}

function sessionOf(
  { clientId, username, expirySeconds, expiresAtSeconds }: DatabaseClient,
  subscriptions: readonly DatabaseSubscription[],
  receivedPacketIds: readonly number[],
  { writtenAtMs }: Snapshot,
): StoredSession {
  const isTimed = expiresAtSeconds !== 0 && expirySeconds !== NEVER
  return {
    kind: 'session',
    clientId,
    expirySeconds,
    disconnectedAtMs: isTimed ? Math.max(1, (expiresAtSeconds - expirySeconds) * 1000) : writtenAtMs,
    subscriptions: subscriptions.map(({ clientId: _, ...subscription }) => subscription),
    receivedPacketIds,
    will: null,
    owner: username,
  }
}

/** Returns messages that were being sent, or are to be sent, and those that are to be passed on. */
function entriesOf(database: Snapshot, sessions: ReadonlyMap<string, DatabaseClient>): Entry[] {
  const entries: Entry[] = []
  const shared = new Map<bigint, Entry>()
  const last = new Map<string, { order: bigint; step: number }>()
  const packetIds = new Map<string, Set<number>>()
  const add = (messageId: bigint, order: bigint, step: number, publisher: string | null): Entry => {
    const entry: Entry = { messageId, order, step, recipients: [], publisher }
    entries.push(entry)
    return entry
  }
  for (const delivery of database.deliveries) {
    const { clientId, messageId, direction } = delivery
    if (!sessions.has(clientId)) continue
    if (isUnreleased(delivery)) {
      add(messageId, messageId, 0, clientId)
      continue
    }
    if (direction !== Direction.Out) continue
    const before = last.get(clientId)
    let entry: Entry
    if (before === undefined || messageId > before.order) {
      entry = shared.get(messageId) ?? add(messageId, messageId, 0, null)
      shared.set(messageId, entry)
    } else {
      // An older message that was queued later, as a retained one is, or a second copy: it has a place of its own.
      entry = add(messageId, before.order, before.step + 1, null)
    }
    last.set(clientId, entry)
    const used = packetIds.get(clientId) ?? new Set()
    packetIds.set(clientId, used)
    entry.recipients.push(recipientOf(delivery, used))
  }
  return entries
}

/** `used` has the client's Packet Identifiers so far: one that stands twice, in a damaged file, makes a message wait again. */
function recipientOf(delivery: DatabaseDelivery, used: Set<number>): StoredRecipient {
  const { clientId, qos, retain, subscriptionIdentifiers, packetId } = delivery
  let awaits = awaitedIn(delivery)
  if (awaits !== null && (packetId === 0 || qos === 0 || used.has(packetId))) awaits = null
  if (awaits !== null) used.add(packetId)
  return { clientId, qos, retain, subscriptionIdentifiers, packetId: awaits === null ? 0 : packetId, awaits }
}

function awaitedIn({ state, qos }: DatabaseDelivery): StoredRecipient['awaits'] {
  if (state === State.WaitForPuback) return qos === 1 ? 'PUBACK' : null
  if (qos !== 2) return null
  if (state === State.WaitForPubrec) return 'PUBREC'
  return state === State.WaitForPubcomp || state === State.ResendPubrel ? 'PUBCOMP' : null
}

function inOrder(entries: Entry[]): Entry[] {
  return entries.sort((one, other) => {
    if (one.order !== other.order) return one.order < other.order ? -1 : 1
    return one.step - other.step
  })
}

/** Returns null for a message that is missing, damaged, expired, or has a topic that is not valid. */
function usable(database: Snapshot, id: bigint, nowMs: number): DatabaseMessage | null {
  const message = database.message(id)
  if (message === null || !isTopicName(message.topic)) return null
  return message.expiresAtSeconds !== 0 && message.expiresAtSeconds * 1000 <= nowMs ? null : message
}

function countLoss(database: Snapshot, id: bigint, count: number, nowMs: number, totals: TakenOver): void {
  const message = database.message(id)
  const isExpired = message !== null && message.expiresAtSeconds !== 0 && message.expiresAtSeconds * 1000 <= nowMs
  if (isExpired || !database.hasMessage(id)) totals.expiredMessages += count
  else totals.missingMessages += count
}

function filterTree(subscriptions: ReadonlyMap<string, DatabaseSubscription[]>): FilterTree<Subscriber[]> {
  const tree = new FilterTree<Subscriber[]>()
  for (const [clientId, own] of subscriptions) {
    for (const subscription of own) {
      const subscribers = tree.get(subscription.topicFilter) ?? []
      subscribers.push({ clientId, subscription })
      tree.set(subscription.topicFilter, subscribers)
    }
  }
  return tree
}

/**
 * Returns the sessions that get a message, each once: with its best QoS and the identifiers of all its subscriptions.
 */
function matching(
  filters: FilterTree<Subscriber[]>,
  { topic, qos, retain }: DatabaseMessage,
  publisher: string,
): StoredRecipient[] {
  const found: Subscriber[][] = []
  filters.match(topic, found)
  const byClient = new Map<string, DatabaseSubscription[]>()
  for (const { clientId, subscription } of found.flat()) {
    if (subscription.noLocal && clientId === publisher) continue
    const own = byClient.get(clientId) ?? []
    own.push(subscription)
    byClient.set(clientId, own)
  }
  const recipients: StoredRecipient[] = []
  for (const [clientId, own] of byClient) {
    const granted = Math.min(qos, Math.max(...own.map((subscription) => subscription.qos))) as QoS
    // QoS 0 is not kept for those who are away.
    if (granted === 0) continue
    const subscriptionIdentifiers = own.map(({ subscriptionIdentifier: each }) => each).filter((each) => each !== 0)
    const isRetain = retain && own.some(({ retainAsPublished }) => retainAsPublished)
    recipients.push({ clientId, qos: granted, retain: isRetain, subscriptionIdentifiers, packetId: 0, awaits: null })
  }
  return recipients
}

function applicationMessage(
  { topic, qos, payload, properties, expiresAtSeconds, retain }: DatabaseMessage,
  isRetained: boolean,
): Omit<StoredMessage, 'kind' | 'recipients'> {
  return {
    topic,
    qos,
    retain: isRetained || retain,
    payload,
    properties: messageProperties(properties),
    expiresAtMs: expiresAtSeconds === 0 ? null : expiresAtSeconds * 1000,
  }
}

function messageProperties({
  payloadFormatIndicator,
  contentType,
  responseTopic,
  correlationData,
  userProperties,
}: Properties): MessageProperties {
  return {
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(userProperties === undefined ? {} : { userProperties }),
  }
}
