/**
 * The option `store`, as `Client`, `Publisher` and `Inbox` see it: what of a session must outlive the process. Types only, so
 * that a client without a store carries none of it; `stored-session.ts` has the one implementation, over any `RowStore`.
 *
 * What it keeps: the Client Identifier; each QoS 1 and 2 message from `publish` to the end of its flow, with its Packet
 * Identifier and how far the flow is; the identifiers of received QoS 2 messages that the application is done with, until
 * PUBREL. Source: MQTT 5.0 section 4.1 (Session State).
 *
 * Invariant: changes become safe in the order in which they are made, so a `whenSafe` callback means: all until here.
 */
import type { InFlight, Properties, Publish, QoS } from '@recado/protocol'
import type { Environment } from '../environment.ts'
import type { SessionStoreError } from '../errors.ts'

/** What a store needs of an outgoing message. `sequence`, `storedIn` and `hasFlightRow` belong to the store. */
export interface Storable extends InFlight {
  /** Place in the outbox; 0: not stored. */
  sequence: number
  /** Number of the batch that its row was first part of. */
  storedIn: number
  /** Its Packet Identifier and flow have a row of their own, which wins over what the message's row says. */
  hasFlightRow: boolean
  readonly qos: QoS
  readonly retain: boolean
  readonly topicField: Uint8Array
  readonly propertyField: Uint8Array
  /** In the time of `Environment.now`; Infinity: never. */
  readonly expiresAt: number
  /** Connections that ended right after it was sent: 0 to 7. */
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
  /** In the time of `Environment.now`; Infinity: never. */
  readonly expiresAt: number
  readonly losses: number
  readonly payload: Uint8Array
}

export interface RestoredSession {
  readonly clientId: string | null
  /** In the order of `publish`. */
  readonly messages: readonly RestoredMessage[]
  /** Packet Identifiers of received QoS 2 messages that the application is done with, and what `fingerprint` said of them. */
  readonly received: ReadonlyMap<number, number>
  /** Something was damaged and has been set aside. */
  readonly problem: SessionStoreError | null
}

export interface SessionStoreOwner {
  /** More is safe than before. */
  handleSafe(): void
  /** Writing failed, and will be tried again; or closing failed. */
  handleStoreError(error: SessionStoreError): void
}

/** Made by `memory()`, `lmdb()` or `indexedDb()`; one client at a time can use it. */
export interface SessionStore {
  readonly name: string
  /** Not `null` while writing fails: new QoS 1 and 2 messages are refused with it. */
  readonly failure: SessionStoreError | null
  /** Reads what is there, and takes the lock. Rejects with `SessionStoreError`. */
  open(environment: Environment, owner: SessionStoreOwner): Promise<RestoredSession>
  saveClientId(clientId: string): void
  /** A new message (also before `open` is through), or one whose `packetId`, `flow` or `losses` have changed. */
  save(message: Storable): void
  /** Its flow has ended, or it is given up. */
  remove(message: Storable): void
  /** A number that two different messages hardly share. */
  fingerprint(publish: Publish): number
  saveReceived(packetId: number, fingerprint: number): void
  removeReceived(packetId: number): void
  /** Calls back when all changes made until now are safe: at once if they are. Callbacks come in order. */
  whenSafe(callback: () => void): void
  /** Number to be given to `isSafe`: stands for all changes made until now. */
  readonly position: number
  isSafe(position: number): boolean
  /** Writes what is left and gives the lock back. Callbacks that still wait are dropped. Never rejects. */
  close(): Promise<void>
}
