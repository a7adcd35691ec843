/**
 * The data that a Mosquitto has kept, as its files have it: clients, subscriptions, deliveries, and messages by their
 * number.
 *
 * `database.ts` reads it from `mosquitto.db`, `sqlite-database.ts` from Mosquitto 2.1's SQLite file; `records.ts` makes
 * our sessions and messages from it. Invariant: data that cannot be read is a sentence in `damage`, and the rest is
 * there.
 */
import type { Properties, QoS } from '@recado/protocol'
import { NEVER } from './layout.ts'

export interface DatabaseClient {
  readonly clientId: string
  /** null: the file does not say. */
  readonly username: string | null
  /** Unix time at which the session ends; 0: the client was connected, or the session never ends. */
  readonly expiresAtSeconds: number
  /** Session Expiry Interval in seconds; 4,294,967,295: never. */
  readonly expirySeconds: number
}

export interface DatabaseSubscription {
  readonly clientId: string
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly subscriptionIdentifier: number
}

/** A message that a client was to get, or had sent and not completed. */
export interface DatabaseDelivery {
  readonly clientId: string
  readonly messageId: bigint
  readonly packetId: number
  readonly qos: QoS
  /** One of `State`. */
  readonly state: number
  readonly retain: boolean
  /** One of `Direction`. */
  readonly direction: number
  readonly subscriptionIdentifiers: readonly number[]
}

export interface DatabaseMessage {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly payload: Buffer
  /** Without the Message Expiry Interval. */
  readonly properties: Properties
  /** Unix time; 0: never. */
  readonly expiresAtSeconds: number
}

export interface Snapshot {
  readonly path: string
  /** Time of the file's last change, in milliseconds since 1970. */
  readonly writtenAtMs: number
  readonly clients: ReadonlyMap<string, DatabaseClient>
  readonly subscriptions: readonly DatabaseSubscription[]
  /** In the order of sending for each client. */
  readonly deliveries: readonly DatabaseDelivery[]
  /** Numbers of the retained messages. */
  readonly retained: readonly bigint[]
  /** Sentences about what could not be read, the first of them. */
  readonly damage: readonly string[]
  /** Number of damaged places. */
  readonly damageCount: number
  /** Returns true for a message that is in the file, damaged or not. */
  hasMessage(id: bigint): boolean
  /** Returns null for a message that is not in the file or is damaged. */
  message(id: bigint): DatabaseMessage | null
  close(): void
}

/** Sentences kept in `damage`; the rest is counted. */
const DAMAGE_SHOWN = 20

/** Collections of a snapshot that is read at once, and notes of what could not be read. */
export abstract class SnapshotContents implements Snapshot {
  readonly path: string
  readonly writtenAtMs: number
  readonly clients: Map<string, DatabaseClient> = new Map()
  readonly subscriptions: DatabaseSubscription[] = []
  readonly deliveries: DatabaseDelivery[] = []
  readonly retained: bigint[] = []
  readonly damage: string[] = []
  damageCount = 0

  protected constructor(path: string, writtenAtMs: number) {
    this.path = path
    this.writtenAtMs = writtenAtMs
  }

  abstract hasMessage(id: bigint): boolean
  abstract message(id: bigint): DatabaseMessage | null
  abstract close(): void

  /** Adds a sentence to `damage`, or counts it when there are many. */
  protected noteDamage(sentence: string): void {
    if (this.damageCount++ < DAMAGE_SHOWN) this.damage.push(sentence)
  }

  /** Adds a client that is named by a subscription or delivery, unless it is there: its own row may be damaged. */
  protected addUnknownClient(clientId: string): void {
    if (this.clients.has(clientId)) return
    this.clients.set(clientId, { clientId, username: null, expiresAtSeconds: 0, expirySeconds: NEVER })
  }
}
