/**
 * The contents of a store in the words of MQTT instead of tables and keys: sessions, Wills, messages with their
 * recipients, retained messages. `StoreContents` reads them; `writeContents` of `store-contents-writer.ts` is the inverse.
 *
 * For tools (`recado inspect`, `export`, `import`) and embedders; the broker itself recovers from the rows
 * (`core/session/recovery.ts`). Both directions stream: messages and retained messages pass one by one, only data that
 * grows with the number of sessions is held.
 *
 * Invariant: records that `StoreContents` yields, written by `writeContents` into an empty store, are yielded again the
 * same.
 */
import { Flow, type QoS } from '@recado/protocol'
import type { Message } from './core/base/message.ts'
import {
  bytesOfKey,
  decodeFlight,
  decodeMessageRow,
  decodeRecipients,
  decodeRetained,
  IN_FLIGHT_BIT,
} from './core/journal/message-records.ts'
import {
  decodeDelayed,
  decodeSession,
  decodeSubscription,
  decodeWill,
  type SubscriptionRecord,
  type Who,
  WILL_NUMBERS,
  type WillRecord,
  whoOf,
} from './core/journal/session-records.ts'
import { type MessageProperties, type Store, Table } from './ports.ts'

/** A session in a store. */
export interface StoredSession {
  readonly kind: 'session'
  readonly clientId: string
  /** Session Expiry Interval in seconds; 4,294,967,295 means never. */
  readonly expirySeconds: number
  /** Time of the disconnection; null when the client is connected, or was when the broker ended. */
  readonly disconnectedAtMs: number | null
  readonly subscriptions: readonly SubscriptionRecord[]
  /** Packet Identifiers of the client's QoS 2 messages that it has not released yet. */
  readonly receivedPacketIds: readonly number[]
  readonly will: StoredWill | null
  /** User who owns the session; '' for a client without a user name; null when not known. */
  readonly owner: string | null
}

/** An Application Message in a store. */
export interface StoredApplicationMessage {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly payload: Uint8Array
  readonly properties: MessageProperties
}

/** Client that left a Will, for the question whether it may still be published. */
export type StoredClient = Omit<Who, 'clientId'>

/** Client that published a delayed message. */
export interface StoredPublisher extends StoredClient {
  readonly clientId: string
}

/** A Will in a store. */
export interface StoredWill extends StoredApplicationMessage {
  readonly delaySeconds: number
  /** Client that left it; null when not known. */
  readonly leftBy: StoredClient | null
  /** Time at which it is due; null when the client is connected, or was when the broker ended. */
  readonly dueAtMs: number | null
}

/** Will of a client whose session ends with its connection. */
export interface StoredSessionlessWill extends StoredWill {
  readonly kind: 'will'
  readonly clientId: string
}

/** A session that waits for a stored message. */
export interface StoredRecipient {
  readonly clientId: string
  /** QoS of the delivery. */
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[]
  /** Packet Identifier; 0 when the message waits in the queue. */
  readonly packetId: number
  /** Packet that is awaited from the client; null when none is. */
  readonly awaits: 'PUBACK' | 'PUBREC' | 'PUBCOMP' | null
}

/** Message that sessions wait for. */
export interface StoredMessage extends StoredApplicationMessage {
  readonly kind: 'message'
  /** Time at which it expires; null for never. */
  readonly expiresAtMs: number | null
  readonly recipients: readonly StoredRecipient[]
}

/** A retained message in a store. */
export interface StoredRetainedMessage extends StoredApplicationMessage {
  readonly kind: 'retained'
  /** Time at which it expires; null for never. */
  readonly expiresAtMs: number | null
}

/** Message to `$delayed/SECONDS/topic` in a store, which waits for its time. */
export interface StoredDelayedMessage extends StoredApplicationMessage {
  readonly kind: 'delayed'
  /** Time at which it is published. */
  readonly dueAtMs: number
  /** Time at which it expires, which is not before `dueAtMs`; null for never. */
  readonly expiresAtMs: number | null
  /** Client that published it; null for the embedding program. */
  readonly leftBy: StoredPublisher | null
}

/** One record of a store, of any kind. */
export type StoredRecord =
  | StoredSession
  | StoredSessionlessWill
  | StoredMessage
  | StoredRetainedMessage
  | StoredDelayedMessage

/** Amount that waits for a session. */
export interface QueueTotals {
  messages: number
  /** Bytes of topics and payloads of `messages`. */
  bytes: number
  /** Number of `messages` that were sent and are not acknowledged. */
  inflight: number
}

interface Key {
  readonly a: number
  readonly b: number
  readonly c: number
}

/** Part of a store that is needed here: a `StoreReader` has it. */
export interface RowSource extends Pick<Store, 'get'> {
  rows(table: number): Iterable<Key & { readonly value: Uint8Array }>
  keys(table: number): Iterable<Key>
}

const awaited = {
  [Flow.AwaitPuback]: 'PUBACK',
  [Flow.AwaitPubrec]: 'PUBREC',
  [Flow.AwaitPubcomp]: 'PUBCOMP',
} as const

/** Everything that a store has, in the words of MQTT. */
export class StoreContents {
  /** Number of damaged rows so far; they are skipped, as by the broker. */
  damagedRows: number = 0
  readonly #source: RowSource
  #clientIds: Map<number, string> | null = null

  constructor(source: RowSource) {
    this.#source = source
  }

  /** Yields sessions in the order in which they were made. */
  *sessions(): Iterable<StoredSession> {
    const subscriptions = new Join(this.#source.rows(Table.Subscriptions))
    const received = new Join(this.#source.keys(Table.Received))
    const wills = new Join(this.#source.rows(Table.Wills))
    for (const { a: number, value } of this.#source.rows(Table.Sessions)) {
      const record = this.#understand(() => decodeSession(value))
      if (record === null) continue
      let will: StoredWill | null = null
      for (const row of wills.of(number)) will = this.#understand(() => storedWillOf(decodeWill(row.value)))
      const own: SubscriptionRecord[] = []
      for (const row of subscriptions.of(number)) {
        const subscription = this.#understand(() => decodeSubscription(row.value))
        if (subscription !== null) own.push(subscription)
      }
      yield {
        kind: 'session',
        clientId: record.clientId,
        expirySeconds: record.expirySeconds,
        disconnectedAtMs: record.disconnectedAtMs === 0 ? null : record.disconnectedAtMs,
        subscriptions: own,
        receivedPacketIds: [...received.of(number)].map(({ b }) => b),
        will,
        owner: record.owner ?? null,
      }
    }
  }

  /** Yields Wills of clients whose sessions end with their connections, in the order in which they connected. */
  *wills(): Iterable<StoredSessionlessWill> {
    for (const { a: number, value } of this.#source.rows(Table.Wills)) {
      if (number < WILL_NUMBERS) continue
      const record = this.#understand(() => decodeWill(value))
      if (record?.client == null) continue
      yield { kind: 'will', clientId: record.client.clientId, ...storedWillOf(record) }
    }
  }

  /** Yields messages in the order in which they were published. */
  *messages(): Iterable<StoredMessage> {
    const clientIds = this.#sessionNames()
    const flights = new Join(this.#source.rows(Table.Flights))
    for (const { a: position, value } of this.#source.rows(Table.Messages)) {
      const row = this.#understand(() => decodeMessageRow(value))
      if (row === null) continue
      const own = flightsOf(flights, position)
      const recipients: StoredRecipient[] = []
      for (const recipient of row.recipients) {
        const clientId = clientIds.get(recipient.sessionNumber)
        const flight = own?.get(recipient.sessionNumber)
        if (clientId === undefined || flight?.isDone) continue
        const { packetId, flow } = flight ?? recipient
        const { qos, retain, subscriptionIdentifiers } = recipient
        recipients.push({
          clientId,
          qos,
          retain,
          subscriptionIdentifiers: subscriptionIdentifiers ?? [],
          packetId: flow === Flow.Idle ? 0 : packetId,
          awaits: awaited[flow as keyof typeof awaited] ?? null,
        })
      }
      if (recipients.length > 0) yield { kind: 'message', ...applicationMessage(row.message), recipients }
    }
  }

  /** Yields retained messages in the order in which they were published. */
  *retained(): Iterable<StoredRetainedMessage> {
    for (const { value } of this.#source.rows(Table.Retained)) {
      const message = this.#understand(() => decodeRetained(value))
      if (message !== null) yield { kind: 'retained', ...applicationMessage(message) }
    }
  }

  /** Yields messages that wait for their time, in the order in which they were published. */
  *delayed(): Iterable<StoredDelayedMessage> {
    for (const { value } of this.#source.rows(Table.Delayed)) {
      const record = this.#understand(() => decodeDelayed(value))
      if (record === null) continue
      const { message, dueAtMs, client } = record
      const leftBy = client === null ? null : whoOf(client)
      yield { kind: 'delayed', ...applicationMessage(message), dueAtMs, leftBy }
    }
  }

  /** Yields everything, sessions first, as `writeContents` needs it. */
  *all(): Iterable<StoredRecord> {
    yield* this.sessions()
    yield* this.wills()
    yield* this.messages()
    yield* this.retained()
    yield* this.delayed()
  }

  /**
   * Totals of each session's queue, by Client Identifier, without reading the messages themselves. `onMessage` is
   * called for each message.
   */
  queues(onMessage?: () => void): Map<string, QueueTotals> {
    const clientIds = this.#sessionNames()
    const queues = new Map<string, QueueTotals>()
    for (const clientId of clientIds.values()) queues.set(clientId, { messages: 0, bytes: 0, inflight: 0 })
    const add = (sessionNumber: number, bytes: number, isInFlight: boolean): void => {
      const clientId = clientIds.get(sessionNumber)
      if (clientId === undefined) return
      const queue = queues.get(clientId)!
      queue.messages++
      queue.bytes += bytes
      if (isInFlight) queue.inflight++
    }
    const flights = new Join(this.#source.rows(Table.Flights))
    for (const { a: position, b: sessionNumber, c: key } of this.#source.keys(Table.Messages)) {
      onMessage?.()
      const own = flightsOf(flights, position)
      if (sessionNumber !== 0) {
        const flight = own?.get(sessionNumber)
        add(sessionNumber, bytesOfKey(key), key >= IN_FLIGHT_BIT || flight !== undefined)
        continue
      }
      const bytes = this.#source.get(Table.Messages, position, 0, key)
      const recipients = bytes && this.#understand(() => decodeRecipients(bytes).recipients)
      for (const recipient of recipients ?? []) {
        const flight = own?.get(recipient.sessionNumber)
        if (flight?.isDone) continue
        add(recipient.sessionNumber, bytesOfKey(key), (flight ?? recipient).flow !== Flow.Idle)
      }
    }
    return queues
  }

  #sessionNames(): Map<number, string> {
    if (this.#clientIds !== null) return this.#clientIds
    const names = new Map<number, string>()
    for (const { a: number, value } of this.#source.rows(Table.Sessions)) {
      const session = this.#understand(() => decodeSession(value))
      if (session !== null) names.set(number, session.clientId)
    }
    this.#clientIds = names
    return names
  }

  #understand<T>(decode: () => T): T | null {
    try {
      return decode()
    } catch {
      this.damagedRows++
      return null
    }
  }
}

/** Rows of a table by their first number, which must be asked for in growing order. */
class Join<Row extends Key> {
  readonly #rows: Iterator<Row>
  #next: IteratorResult<Row>

  constructor(rows: Iterable<Row>) {
    this.#rows = rows[Symbol.iterator]()
    this.#next = this.#rows.next()
  }

  /** Yields rows, each valid until the next one is read. */
  *of(a: number): Iterable<Row> {
    while (!this.#next.done && this.#next.value.a < a) this.#next = this.#rows.next()
    while (!this.#next.done && this.#next.value.a === a) {
      yield this.#next.value
      this.#next = this.#rows.next()
    }
  }
}

type Flight = ReturnType<typeof decodeFlight>

/** Flights by session number; null when there are none. */
function flightsOf(flights: Join<Key & { readonly value: Uint8Array }>, position: number): Map<number, Flight> | null {
  let own: Map<number, Flight> | null = null
  for (const { b: sessionNumber, value } of flights.of(position)) {
    own ??= new Map()
    own.set(sessionNumber, decodeFlight(value))
  }
  return own
}

function applicationMessage(message: Message): StoredApplicationMessage & { readonly expiresAtMs: number | null } {
  const { topic, qos, retain, payload, properties } = message
  const expiresAtMs = message.expiresAtMs === Number.POSITIVE_INFINITY ? null : message.expiresAtMs
  return { topic, qos, retain, payload, properties, expiresAtMs }
}

function storedWillOf({ will, dueAtMs, client }: WillRecord): StoredWill {
  const { willDelayIntervalSeconds = 0, ...properties } = will.properties
  let leftBy: StoredClient | null = null
  if (client !== null) {
    const { clientId: _, ...rest } = whoOf(client)
    leftBy = rest
  }
  return {
    topic: will.topic,
    qos: will.qos,
    retain: will.retain,
    payload: will.payload,
    properties,
    delaySeconds: willDelayIntervalSeconds,
    dueAtMs: dueAtMs === Number.POSITIVE_INFINITY ? null : dueAtMs,
    leftBy,
  }
}
