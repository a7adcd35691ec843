/**
 * All connections of a broker, and the parts that they share: buffers, common limits, rates of listeners.
 *
 * `Core` has one. A transport comes in by `connect`; a listener whose layers (TLS, WebSocket, …) stand before MQTT
 * calls `waitMs` and `countAddress` before they do their work. Invariants: a connection is in the set from `connect`
 * until its transport has closed; each counted address is either that of a connection, or uncounted again.
 */
import { ReasonCode, TopicCache } from '@recado/protocol'
import type { ClientInfo, Controller, Transport, TransportHandler } from '../../ports.ts'
import { AddressCounts } from '../base/address-counts.ts'
import type { Context } from '../base/context.ts'
import type { Limits } from '../base/limits.ts'
import type { Journal } from '../journal/journal.ts'
import type { DelayedMessages } from '../routing/delayed.ts'
import type { Intake } from '../routing/intake.ts'
import type { RetainedMessages } from '../routing/retained.ts'
import type { Sessions } from '../session/sessions.ts'
import type { WillRoom } from '../session/will-room.ts'
import { AliasRoom } from './alias-room.ts'
import { Connection, type ConnectionParts, State } from './connection.ts'
import { GuardedConnection } from './guarded-connection.ts'
import { ListenerCounts } from './listener-counts.ts'
import type { ConnectionSettings } from './listener-settings.ts'
import { SlabPool } from './outbox.ts'
import { hasListenerRate, ListenerThrottle } from './throttle.ts'
import { Unfinished } from './unfinished.ts'

/** Open connections beyond `connectionsMax` that may wait for their refusal. */
const CONNECTIONS_TO_REFUSE = 1_000
/** A connection with fewer bytes waiting is not closed to save memory. */
const SHED_BYTES_MIN = 64 * 1024
/** Connections that are closed for that at a time: each is looked for among all. */
const SHED_MAX = 10

/** Parts of the broker, of the floors below, that connections use. */
export type LowerParts = Pick<
  ConnectionParts,
  'context' | 'journal' | 'intake' | 'retained' | 'sessions' | 'delayed' | 'willRoom'
>

export class Connections implements ConnectionParts {
  readonly context: Context
  readonly journal: Journal | null
  readonly intake: Intake
  readonly retained: RetainedMessages
  readonly sessions: Sessions
  readonly delayed: DelayedMessages
  readonly willRoom: WillRoom
  readonly topicCache: TopicCache = new TopicCache()
  readonly slabs: SlabPool = new SlabPool()
  readonly unfinished: Unfinished
  readonly aliasRoom: AliasRoom
  readonly controllers: Map<string, Controller> = new Map()
  readonly listenerCounts: ListenerCounts = new ListenerCounts()
  /** Called when the last connection has gone. */
  onEmpty: (() => void) | null = null
  readonly #all: Set<Connection> = new Set()
  /** Connections without CONNECT, or with one that is not decided yet; oldest first. */
  readonly #pending: Set<Connection> = new Set()
  readonly #addresses: AddressCounts
  /** Rate limits of listeners that have some for all their clients together, by name. */
  readonly #throttles: Map<string, ListenerThrottle> = new Map()

  constructor({ context, journal, intake, retained, sessions, delayed, willRoom }: LowerParts) {
    this.context = context
    this.journal = journal
    this.intake = intake
    this.retained = retained
    this.sessions = sessions
    this.delayed = delayed
    this.willRoom = willRoom
    this.unfinished = new Unfinished(context.limits)
    this.aliasRoom = new AliasRoom(context.limits)
    this.#addresses = new AddressCounts(context.limits.connectionsPerAddressMax)
  }

  get size(): number {
    return this.#all.size
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#all.values()
  }

  /** Limits have changed. */
  reconfigure(): void {
    this.#addresses.max = this.context.limits.connectionsPerAddressMax
    this.#throttles.clear()
  }

  // --- on the way in ------------------------------------------------------------------------------------------------

  /**
   * Admits a connection: returns the milliseconds that it has to wait before it is read; null refuses it: destroy it.
   */
  waitMs(remoteAddress: string, listener: string, { limits }: ConnectionSettings): number | null {
    const { context } = this
    context.turn.begin()
    const { connectionsMax } = context.limits
    if (this.#all.size >= connectionsMax + CONNECTIONS_TO_REFUSE) {
      return this.#refuse(
        remoteAddress,
        listener,
        `${connectionsMax} connections are open, the most that are allowed (connectionsMax)`,
      )
    }
    const throttle = this.throttleOf(listener, limits)
    const waitMs = throttle?.countConnection() ?? 0
    if (waitMs > limits.connectTimeoutMs / 2) {
      throttle!.uncountConnection()
      context.metrics.connectionsRefusedByRate++
      const why = `more than ${limits.listenerConnectionsPerSecondMax} new connections came in a second (listenerConnectionsPerSecondMax)`
      return this.#refuse(remoteAddress, listener, why)
    }
    return waitMs
  }

  /** Counts one more connection from this address. False: as many are open from there as may be. */
  countAddress(remoteAddress: string, listener: string): boolean {
    if (this.#addresses.add(remoteAddress)) return true
    const { context } = this
    context.turn.begin()
    context.metrics.connectionsRefusedByAddress++
    this.#refuse(
      remoteAddress,
      listener,
      `${context.limits.connectionsPerAddressMax} connections from this address are open, the most that are allowed (connectionsPerAddressMax)`,
    )
    return false
  }

  /** Whether `countAddress` would return false. */
  isAddressFull(remoteAddress: string): boolean {
    return this.#addresses.isFull(remoteAddress)
  }

  uncountAddress(remoteAddress: string): void {
    this.#addresses.remove(remoteAddress)
  }

  /**
   * Takes an opened transport. `ageMs`: it came through layers, has been counted and has waited, and has used so many
   * milliseconds of the time for its CONNECT. Returns `null` when it is refused: destroy it.
   */
  connect(transport: Transport, settings: ConnectionSettings, ageMs: number | null): TransportHandler | null {
    let connection: Connection | null = null
    try {
      connection = this.#open(transport, settings, ageMs)
      if (connection === null) return null
      this.#welcome(connection)
      return new GuardedConnection(connection)
    } catch (error) {
      this.context.faults.note('new connection', error)
      if (connection !== null) this.forget(connection, null, State.Closing)
      return null
    }
  }

  #open(transport: Transport, settings: ConnectionSettings, ageMs: number | null): Connection | null {
    const { metrics, turn } = this.context
    turn.begin()
    let waitMs = 0
    if (ageMs === null) {
      const { remoteAddress, listener } = transport
      const wait = this.waitMs(remoteAddress, listener, settings)
      if (wait === null || !this.countAddress(remoteAddress, listener)) return null
      waitMs = wait
    }
    const connection = new Connection(this, transport, settings, ageMs ?? 0)
    this.#all.add(connection)
    metrics.connectionsOpened++
    metrics.connections++
    if (waitMs > 0) connection.delay(waitMs)
    return connection
  }

  #welcome(connection: Connection): void {
    const { remoteAddress, listener } = connection
    const { limits, memoryGuard, observer } = this.context
    observer?.['connection.opened']?.({ remoteAddress, listener })
    memoryGuard?.watch()
    this.#pending.add(connection)
    if (this.#pending.size > limits.pendingConnectionsMax) this.#evictPending()
  }

  /** A connection has ended before it could speak MQTT: in a TLS handshake, say. */
  failedToConnect(remoteAddress: string, listener: string, why: string): void {
    const { metrics, observer, turn } = this.context
    turn.begin()
    metrics.connectionsRefused++
    this.listenerCounts.refused(listener)
    const reasonCode = ReasonCode.UnspecifiedError
    // As in Mosquitto: it was opened, though nobody could speak MQTT on it.
    observer?.['connection.opened']?.({ remoteAddress, listener })
    observer?.['connection.failed']?.({ remoteAddress, listener, clientId: '', reasonCode, why })
  }

  #refuse(remoteAddress: string, listener: string, why: string): null {
    const { metrics, observer } = this.context
    metrics.connectionsRefused++
    this.listenerCounts.refused(listener)
    const reasonCode = ReasonCode.ServerBusy
    observer?.['connection.refused']?.({ remoteAddress, listener, clientId: '', reasonCode, why })
    return null
  }

  /** Rate limits shared by the clients of a listener; null when it has none. */
  throttleOf(listener: string, limits: Limits): ListenerThrottle | null {
    if (!hasListenerRate(limits)) return null
    let throttle = this.#throttles.get(listener)
    if (throttle === undefined) {
      throttle = new ListenerThrottle(limits, this.context.turn, this.context.wheel)
      this.#throttles.set(listener, throttle)
    }
    return throttle
  }

  // --- on the way out -----------------------------------------------------------------------------------------------

  /** Evicts the oldest connection without CONNECT: an honest client sends it at once. */
  #evictPending(): void {
    for (const connection of this.#pending) {
      if (connection.state !== State.AwaitingConnect) continue
      this.#pending.delete(connection)
      this.context.metrics.connectionsEvicted++
      connection.evict('the client has not sent CONNECT, and newer connections need its place')
      return
    }
  }

  /** A connection has had its CONNACK. */
  activated(connection: Connection): void {
    this.#pending.delete(connection)
    connection.traffic.connectedAtMs = this.context.turn.nowMs
  }

  /** The transport of a connection has closed, which was in this state: one that goes before CONNACK is told of nowhere else. */
  forget(connection: Connection, error: Error | null, state: number): void {
    if (!this.#all.delete(connection)) return
    this.#pending.delete(connection)
    this.uncountAddress(connection.remoteAddress)
    this.listenerCounts.closed(connection)
    const { metrics, observer } = this.context
    metrics.connectionsClosed++
    metrics.connections--
    if (state < State.Active || (error !== null && state !== State.Closing)) {
      const { remoteAddress, listener, clientId } = connection
      const reasonCode = ReasonCode.UnspecifiedError
      const why = error?.message ?? 'the connection was closed'
      observer?.['connection.failed']?.({ remoteAddress, listener, clientId, reasonCode, why })
    }
    if (this.#all.size === 0) this.onEmpty?.()
  }

  /** Closes the connections that have most bytes waiting, if that is anything to speak of, until so many bytes are free. */
  shed(bytes: number): void {
    for (let left = bytes, shed = 0; left > 0 && shed < SHED_MAX; shed++) {
      const freed = this.#shedOne()
      if (freed === 0) return
      left -= freed
    }
  }

  /** Closes the connection with the most waiting bytes. Returns their number; 0 when there is none. */
  #shedOne(): number {
    let most: Connection | null = null
    let mostBytes = SHED_BYTES_MIN
    for (const connection of this.#all) {
      const { waitingBytes } = connection
      if (waitingBytes <= mostBytes || connection.state === State.Closing) continue
      most = connection
      mostBytes = waitingBytes
    }
    if (most === null) return 0
    this.context.metrics.connectionsShed++
    most.closeWith(
      ReasonCode.QuotaExceeded,
      `memory is short, and ${mostBytes} bytes wait for this client or come from it`,
    )
    most.destroy()
    return mostBytes
  }

  /** The store has begun to fail. */
  storeFailed(): void {
    for (const connection of [...this.#all]) {
      // A bridge drops what is refused; what is not answered it sends again, in order.
      if (connection.bringsPaths && connection.acknowledgements.isOwing)
        connection.closeWith(ReasonCode.QuotaExceeded, 'a message of a bridge cannot be stored: it has to come again')
      else connection.acknowledgements.storeFailed()
    }
  }

  /** Rights may have changed: asks about every client that has logged in. */
  recheck(): void {
    for (const connection of this.#all) {
      try {
        connection.recheck()
      } catch (error) {
        // A client that cannot be checked must not stay.
        connection.fault('recheck', error)
      }
    }
  }

  /** Ends the connections of clients for which `isMeant` says so, with 0x98. Returns how many they were. */
  disconnect(isMeant: (client: ClientInfo) => boolean, why: string): number {
    let count = 0
    for (const connection of this.#all) {
      const end = (): void => {
        if (!connection.isActive || !isMeant(connection)) return
        count++
        connection.closeWith(ReasonCode.AdministrativeAction, why)
      }
      this.context.faults.attempt('disconnect', end, connection.clientId)
    }
    return count
  }

  /** Ends every connection. First the Wills are published, while their subscribers are still there. [MQTT-3.1.2-8] */
  shutDown(reasonCode: ReasonCode, why: string, serverReference?: string): void {
    for (const connection of this.#all) connection.loseWill()
    for (const connection of this.#all) {
      try {
        connection.closeWith(reasonCode, why, serverReference === undefined ? {} : { serverReference })
      } catch (error) {
        connection.fault('shut down', error)
      }
    }
  }
}
