/**
 * The option `store`, as `Client`, `Publisher` and `Inbox` see it: the part of a session that must outlive the process.
 * Types only, so that a client without a store carries no code of it; `stored-session.ts` has the one implementation,
 * over any `RowStore`.
 *
 * The store keeps: the Client Identifier; each QoS 1 and 2 message from `publish` to the end of its flow, with its
 * Packet Identifier and the state of its flow; the identifiers of received QoS 2 messages that the application has
 * finished, until PUBREL. Source: MQTT 5.0 section 4.1 (Session State).
 *
 * Invariant: changes become safe in the order in which they are made, so a `whenSafe` callback means that all changes
 * so far are safe.
 */
import type { InFlight, Properties, Publish, QoS } from '@recado/protocol'
import type { Environment } from '../environment.ts'
import type { SessionStoreError } from '../errors.ts'

/** Fields of an outgoing message that a store needs. `sequence`, `storedIn` and `hasFlightRow` belong to the store. */
export interface Storable extends InFlight {
  /** Place in the outbox; 0 when the message is not stored. */
  sequence: number
  /** Number of the batch in which its row was written first. */
  storedIn: number
  /** Whether Packet Identifier and flow have a row of their own, which is newer than the message's row. */
  hasFlightRow: boolean
  readonly qos: QoS
  readonly retain: boolean
  readonly topicField: Uint8Array
  readonly propertyField: Uint8Array
  /** Time at which the message expires, on the clock of `Environment.now`; Infinity for never. */
  readonly expiresAt: number
  /** Number of connections that ended right after it was sent, 0 to 7. */
  readonly losses: number
  payload: Uint8Array
}

export interface RestoredMessage {
  readonly sequence: number
  readonly hasFlightRow: boolean
  readonly packetId: number
  readonly flow: number
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
  /** Time at which the message expires, on the clock of `Environment.now`; Infinity for never. */
  readonly expiresAt: number
  readonly losses: number
  readonly payload: Uint8Array
}

export interface RestoredSession {
  readonly clientId: string | null
  /** Messages in the order of `publish`. */
  readonly messages: readonly RestoredMessage[]
  /** Packet Identifiers of received QoS 2 messages that the application has finished, each with its `fingerprint`. */
  readonly received: ReadonlyMap<number, number>
  /** Error when the store was damaged and has been set aside; else `null`. */
  readonly problem: SessionStoreError | null
}

export interface SessionStoreOwner {
  /** Called when more changes have become safe. */
  handleSafe(): void
  /** Called when writing failed (it will be tried again), or closing failed. */
  handleStoreError(error: SessionStoreError): void
}

/** Store for one session, made by `memory()`, `lmdb()` or `indexedDb()`; one client at a time can use it. */
export interface SessionStore {
  readonly name: string
  /** Error while writing fails, else `null`: new QoS 1 and 2 messages are refused with it. */
  readonly failure: SessionStoreError | null
  /** Takes the lock and reads the stored session. Rejects with `SessionStoreError`. */
  open(environment: Environment, owner: SessionStoreOwner): Promise<RestoredSession>
  saveClientId(clientId: string): void
  /**
   * Saves a new message (also before `open` has finished), or one whose `packetId`, `flow` or `losses` have changed.
   */
  save(message: Storable): void
  /** Removes a message whose flow has ended, or that is given up. */
  remove(message: Storable): void
  /** Returns a number that two different messages hardly share. */
  fingerprint(publish: Publish): number
  saveReceived(packetId: number, fingerprint: number): void
  removeReceived(packetId: number): void
  /** Calls back when all changes made until now are safe, at once if they are. Callbacks come in order. */
  whenSafe(callback: () => void): void
  /** Number for `isSafe` that stands for all changes made until now. */
  readonly position: number
  isSafe(position: number): boolean
  /** Writes the remaining changes and releases the lock. Waiting callbacks are dropped. Never rejects. */
  close(): Promise<void>
}
