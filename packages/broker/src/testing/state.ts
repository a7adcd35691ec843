/**
 * The whole state of a broker that must survive its end, to be compared before an end and after the next start.
 *
 *     core.shutDown(ReasonCode.ServerShuttingDown, 'the end')   // or each connection is dropped, and the journal comes to rest
 *     const before = stateOf(core)
 *     …                                                        // `core.finish`, or a crash; then a new Core on the same store
 *     assert.deepEqual(differences(before, stateOf(again)), [])
 *
 * Call it when no connection is left and all is on its way to the disk: a session that is connected still has what its loss
 * changes (its Will, its expiry). `stateOf` changes nothing. Both must see about the same time: whatever ends in between
 * (a session, a delay, an expired retained message) is not in the second, and `differences` knows that of sessions and
 * retained messages only, not of what follows from it.
 *
 * What may differ, and is therefore not in it:
 * - sessions that end with their connection, and subscriptions of the embedding program;
 * - counters (`droppedMessages` of a session too), and which Packet Identifier is given out next;
 * - the order of PUBRELs among each other, and between them and PUBLISHes;
 * - Packet Identifiers of received QoS 2 messages that no durable session waited for: whoever got them is gone as well, and nobody
 *   gets one twice that is published again;
 * - whose turn it is in a Shared Subscription, and the order of its members;
 * - retained messages that a new subscription had not been given yet when the broker ended: they stay retained, and come with the
 *   next SUBSCRIBE;
 * - who a session's client is, for policy (`Session.client`): asked about again when it logs in;
 * - how a queue is divided between memory and disk.
 */
import type { Will } from '@recado/protocol'
import { Flow } from '@recado/protocol'
import type { Message } from '../core/base/message.ts'
import type { Core } from '../core/core.ts'
import { Delivery } from '../core/journal/delivery.ts'
import { whoOf } from '../core/journal/session-records.ts'
import type { Session } from '../core/session/session.ts'

/** Any value of JSON, so that it can be kept, shown and compared. */
export type StateValue =
  | string
  | number
  | boolean
  | null
  | readonly StateValue[]
  | { readonly [name: string]: StateValue }

export interface BrokerState {
  readonly nowMs: number
  /** Sessions by Client Identifier. */
  readonly sessions: Readonly<Record<string, SessionState>>
  /** Retained messages by topic. */
  readonly retained: Readonly<Record<string, MessageState>>
  /** Wills of sessions that ended with an earlier process, by Client Identifier. */
  readonly wills: Readonly<Record<string, StateValue>>
  /** Delayed messages by number. */
  readonly delayed: Readonly<Record<string, StateValue>>
  readonly router: Readonly<Record<string, StateValue>>
  readonly gauges: Readonly<Record<string, StateValue>>
}

interface SessionState {
  readonly [name: string]: StateValue
  /** When it ends; null: never, or not before its connection does. */
  readonly expiresAtMs: number | null
}

interface MessageState {
  readonly [name: string]: StateValue
  /** null: never. */
  readonly expiresAtMs: number | null
}

/** Gauges of the state, by the names of the metrics. */
const GAUGES = [
  'sessions',
  'subscriptions',
  'retainedMessages',
  'retainedBytes',
  'queuedMessages',
  'queuedBytes',
  'inflight',
]

export function stateOf(core: Core): BrokerState {
  core.turn.begin()
  const sessions: Record<string, SessionState> = {}
  for (const session of core.sessions.values()) {
    if (session.expirySeconds > 0) sessions[session.clientId] = sessionState(core, session)
  }
  const retained: Record<string, MessageState> = {}
  for (const message of core.retained.values()) {
    const { source } = message
    const by = source === null ? null : { clientId: source.clientId, username: source.username ?? null }
    retained[message.topic] = { ...messageState(message), source: by }
  }
  const snapshot = core.snapshot()
  return {
    nowMs: core.turn.nowMs,
    sessions,
    retained,
    wills: Object.fromEntries(
      [...core.wills.orphans].map(([clientId, { will, timer }]) => [
        clientId,
        { will: { ...willState(will), dueAtMs: Math.floor(timer.atMs) } },
      ]),
    ),
    delayed: Object.fromEntries(
      [...core.delayed.values()].map(({ number, dueAtMs, message, client }) => [
        number,
        { ...messageState(message), dueAtMs, by: client === null ? null : { ...whoOf(client), grants: null } },
      ]),
    ),
    router: { filters: core.router.filterCount, fullSubscribers: core.router.fullSubscribers },
    gauges: Object.fromEntries(GAUGES.map((name) => [name, snapshot[name] ?? null])),
  }
}

function sessionState(core: Core, session: Session): SessionState {
  const inFlight = session.sender.inOrder()
  const isPubrel = ({ flow }: Delivery): boolean => flow === Flow.AwaitPubcomp
  const { pendingWill, expiryTimer } = session
  return {
    expirySeconds: session.expirySeconds,
    expiresAtMs: expiryTimer.isSet ? Math.floor(expiryTimer.atMs) : null,
    isDurable: session.isDurable,
    isConnected: session.connection !== null,
    subscriptions: Object.fromEntries(
      [...session.subscriptions.values()]
        .sort((a, b) => (a.topicFilter < b.topicFilter ? -1 : 1))
        .map(({ topicFilter, qos, noLocal, retainAsPublished, subscriptionIdentifiers }) => [
          topicFilter,
          { qos, noLocal, retainAsPublished, subscriptionIdentifiers },
        ]),
    ),
    publishes: inFlight.filter((delivery) => !isPubrel(delivery)).map(deliveryState),
    pubrels: inFlight
      .filter(isPubrel)
      .map(({ packetId }) => packetId)
      .sort((a, b) => a - b),
    received: [...(session.receivedIds?.stored ?? session.receiver.ids())].sort((a, b) => a - b),
    queue: {
      length: session.queue.length,
      bytes: session.queue.bytes,
      isFull: session.backlog.isFull,
      messages: session.queue.entries().map((entry) => {
        const delivery = entry instanceof Delivery ? entry : core.journal!.load(session, entry)
        return delivery === null ? null : deliveryState(delivery)
      }),
    },
    owner: session.owner,
    will: pendingWill === null ? null : { ...willState(pendingWill.will), dueAtMs: Math.floor(pendingWill.timer.atMs) },
  }
}

function deliveryState(delivery: Delivery): StateValue {
  const { message, qos, retain, packetId, flow, subscriptionIdentifiers } = delivery
  return {
    packetId: flow === Flow.Idle ? 0 : packetId,
    flow,
    qos,
    retain,
    subscriptionIdentifiers,
    message: message === null ? null : messageState(message),
  }
}

function messageState(message: Message): MessageState {
  const { topic, qos, retain, expiresAtMs, sizeBytes } = message
  return {
    topic,
    payload: Buffer.from(message.payload).toString('latin1'),
    properties: Buffer.from(message.storedPropertyField).toString('latin1'),
    qos,
    retain,
    expiresAtMs: expiresAtMs === Number.POSITIVE_INFINITY ? null : Math.floor(expiresAtMs),
    sizeBytes,
  }
}

function willState({ topic, qos, retain, payload, properties }: Will): Record<string, StateValue> {
  const { userProperties, correlationData, ...rest } = properties
  return {
    topic,
    qos,
    retain,
    payload: Buffer.from(payload).toString('latin1'),
    properties: JSON.parse(JSON.stringify({ ...rest, userProperties })) as StateValue,
    correlationData: correlationData === undefined ? null : Buffer.from(correlationData).toString('latin1'),
  }
}

/** Returns each difference as a line that says where it is and what was there; of long lists the first that matter. */
export function differences(before: BrokerState, after: BrokerState): string[] {
  const lines: string[] = []
  const isOver = ({ expiresAtMs }: { expiresAtMs: number | null }): boolean =>
    expiresAtMs !== null && expiresAtMs <= after.nowMs
  const left = <T extends { expiresAtMs: number | null }>(all: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(all).filter(([, one]) => !isOver(one)))
  compare('sessions', left(before.sessions), left(after.sessions), lines)
  compare('retained', left(before.retained), left(after.retained), lines)
  const isAnyOver = [...Object.values(before.sessions), ...Object.values(before.retained)].some(isOver)
  if (isAnyOver) return lines
  compare('router', before.router, after.router, lines)
  compare('gauges', before.gauges, after.gauges, lines)
  return lines
}

const LINES_MAX = 100

function compare(where: string, before: StateValue | undefined, after: StateValue | undefined, lines: string[]): void {
  if (lines.length >= LINES_MAX) return
  if (typeof before === 'object' && before !== null && typeof after === 'object' && after !== null) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const at = (value: StateValue): StateValue | undefined => (value as Record<string, StateValue>)[name]
      compare(`${where}.${name}`, at(before), at(after), lines)
    }
  } else if (before !== after) {
    lines.push(`${where}: ${shown(before)} before, ${shown(after)} after`)
  }
}

function shown(value: StateValue | undefined): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
