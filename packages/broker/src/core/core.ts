/**
 * The deterministic broker: protocol, sessions, routing; no sockets, no clock, no files of its own.
 *
 * `broker.ts` makes one, hands it transports with `accept…`, and everything else happens by the ports. One `Core` is one
 * broker: there is no state outside of it, so several live in one process and the simulation can run whole fleets.
 *
 * `accept` is the way of every Application Message, whoever published it: retain, then route.
 */
import { parseShare, type QoS, ReasonCode, TopicCache } from '@recado/protocol'
import {
  type Authenticator,
  type Authorizer,
  type BrokerEvents,
  type ClientInfo,
  type Clock,
  type Controller,
  type DropReason,
  type EnhancedAuthenticator,
  type Memory,
  type Observer,
  type Random,
  type Store,
  Table,
  type Transport,
  type TransportHandler,
} from '../ports.ts'
import { AddressCounts } from './base/address-counts.ts'
import { AliasRoom } from './base/alias-room.ts'
import { clientInfoOf } from './base/client-info.ts'
import { Faults, GuardedConnection } from './base/faults.ts'
import { Holdings } from './base/holdings.ts'
import type { Limits } from './base/limits.ts'
import { MemoryGuard } from './base/memory-guard.ts'
import { type Message, Taking } from './base/message.ts'
import type { MetricValues } from './base/metric-table.ts'
import { Metrics } from './base/metrics.ts'
import { Arena } from './base/payload-blocks.ts'
import { SteadyClock } from './base/steady-clock.ts'
import { Timer, TimerWheel } from './base/timer-wheel.ts'
import { Turn } from './base/turn.ts'
import { Unfinished } from './base/unfinished.ts'
import { WillRoom } from './base/will-room.ts'
import { Connection, State } from './connection/connection.ts'
import { type ConnectionSettings, resolveSettings } from './connection/listener-settings.ts'
import { SlabPool } from './connection/outbox.ts'
import { isTracedBy } from './connection/packet-trace.ts'
import { hasListenerRate, ListenerThrottle } from './connection/throttle.ts'
import { Journal } from './journal/journal.ts'
import { MeasuredStore } from './journal/measured-store.ts'
import { noteEveryMs, TimeNotes } from './journal/time-notes.ts'
import { RetainedMessages } from './routing/retained.ts'
import { Router, type Subscriber, type SubscriptionEntry } from './routing/router.ts'
import { recover } from './session/recovery.ts'
import type { Session } from './session/session.ts'
import { Sessions } from './session/sessions.ts'
import { ReviewLine } from './session/subscription-review.ts'
import { Wills } from './session/wills.ts'

/** What a full queue does with the next message. */
export type Overflow = 'reject' | 'drop-oldest' | 'drop-newest'

/** What becomes of a CONNECT whose user is not the one that has the session with this Client Identifier. */
export type SessionOwner = 'refuse' | 'takeover' | 'off'

export interface CoreOptions {
  /**
   * A session belongs to the user who made it. `refuse`: another user, or none, is refused with 0x87. `takeover`: the other user gets the Client
   * Identifier and a new session; the old one ends, and what waited for its owner is dropped. `off`: sessions belong to nobody, and who
   * comes with the Client Identifier has it all.
   */
  readonly sessionOwner: SessionOwner
  /**
   * `reject`: an MQTT 5.0 publisher at QoS 1 and 2 is told 0x97 and nobody gets the message; for others the newest is
   * dropped. `drop-oldest`, `drop-newest`: as they say.
   */
  readonly overflow: Overflow
  /** Also QoS 0 waits for sessions that are away. */
  readonly queueQoS0: boolean
  readonly allowEmptyClientId: boolean
  readonly assignedClientIdPrefix: string
  readonly wildcardSubscriptions: boolean
  readonly sharedSubscriptions: boolean
  readonly subscriptionIdentifiers: boolean
  /** Asks `Authorizer.mayPublish` about the publisher before a retained message is sent. */
  readonly checkRetainSource: boolean
  /**
   * Takes strings with control characters (U+0001 to U+001F, U+007F to U+009F) and non-characters, which a receiver may call malformed (1.5.4):
   * libmosquitto does, and comes back for the same message for ever.
   */
  readonly allowControlCharacters: boolean
}

export interface CorePorts {
  readonly clock: Clock
  readonly random: Random
  readonly authenticator: Authenticator | null
  readonly enhancedAuthenticator: EnhancedAuthenticator | null
  readonly authorizer: Authorizer | null
  readonly observer: Observer | null
  readonly store: Store | null
  /** null: the memory ceiling is not kept. */
  readonly memory: Memory | null
}

/** What may be changed while a broker runs; what is absent stays. */
export interface CoreChanges
  extends Partial<Pick<CorePorts, 'authenticator' | 'enhancedAuthenticator' | 'authorizer' | 'observer'>> {
  readonly limits?: Limits
  readonly options?: CoreOptions
}

/** Open connections beyond `connectionsMax` that may wait for their refusal. */
const CONNECTIONS_TO_REFUSE = 1_000
/** A connection with less than this waiting is not closed to save memory. */
const SHED_BYTES_MIN = 64 * 1024
/** Connections that are closed for that at a time: each is looked for among all. */
const SHED_MAX = 10
/** How often expired retained messages are looked for. */
const SWEEP_MS = 60_000
const ALARM_RETRY_MS = 1_000

export class Core {
  readonly limits: Limits
  readonly options: CoreOptions
  /** Of listeners that have none of their own. */
  readonly settings: ConnectionSettings
  readonly random: Random
  authenticator: Authenticator | null
  enhancedAuthenticator: EnhancedAuthenticator | null
  authorizer: Authorizer | null
  observer: Observer | null
  /** Somebody wants to be told of each packet. */
  isTracing: boolean
  readonly metrics: Metrics = new Metrics()
  readonly faults: Faults
  readonly topicCache: TopicCache = new TopicCache()
  readonly slabs: SlabPool = new SlabPool()
  readonly arena: Arena = new Arena()
  readonly holdings: Holdings
  readonly unfinished: Unfinished
  readonly aliasRoom: AliasRoom
  readonly willRoom: WillRoom
  /** How far the clock of the machine is behind the broker's time (`SteadyClock`). */
  readonly clockBehindMs: number
  readonly turn: Turn
  readonly wheel: TimerWheel
  readonly router: Router
  readonly retained: RetainedMessages
  readonly sessions: Sessions
  readonly wills: Wills
  readonly reviews: ReviewLine
  /** null: no limit. */
  memory: MemoryGuard | null
  /** null: nothing is kept beyond this process. */
  readonly journal: Journal | null
  /** null: nothing is kept. */
  readonly timeNotes: TimeNotes | null
  /** Called when the last connection has gone. */
  onEmpty: (() => void) | null = null
  /** Who takes what is published to `$CONTROL/…` for commands, by Topic Name. */
  readonly controllers: Map<string, Controller> = new Map()
  /** How often who may connect has changed: logins that were under way then are asked about again. */
  rechecks = 0
  readonly #connections: Set<Connection> = new Set()
  /** Without CONNECT, or with one that is not decided yet; oldest first. */
  readonly #pending: Set<Connection> = new Set()
  readonly #addresses: AddressCounts
  /** By name, of listeners that have limits for all their clients together. */
  readonly #listeners: Map<string, ListenerThrottle> = new Map()
  readonly #sweepTimer: Timer
  /** The time that the broker before this one has noted last. */
  readonly #notedMs: number
  readonly #clock: Clock
  /** null: nothing is kept. */
  readonly #store: MeasuredStore | null
  readonly #memoryPort: Memory | null

  constructor(limits: Limits, options: CoreOptions, ports: CorePorts) {
    this.limits = limits
    this.unfinished = new Unfinished(limits)
    this.aliasRoom = new AliasRoom(limits)
    this.holdings = new Holdings(limits)
    this.options = options
    this.settings = resolveSettings(limits, options)
    this.random = ports.random
    const steady = ports.store?.isPersistent ? new SteadyClock(ports.clock, ports.store) : null
    const clock = steady ?? ports.clock
    this.clockBehindMs = steady?.behindMs ?? 0
    this.#notedMs = steady?.notedMs ?? Number.NEGATIVE_INFINITY
    this.#clock = clock
    this.#addresses = new AddressCounts(limits.connectionsPerAddressMax)
    this.authenticator = ports.authenticator
    this.enhancedAuthenticator = ports.enhancedAuthenticator
    this.authorizer = ports.authorizer
    this.observer = ports.observer
    this.isTracing = isTracedBy(ports.observer)
    this.faults = new Faults(this.metrics, ports.observer)
    this.turn = new Turn(clock, this.faults)
    const onAlarm = (): void => {
      const isDone = this.faults.attempt('timers', () => {
        this.turn.begin()
        this.wheel.advance(this.turn.nowMs)
      })
      // Or no timer would ever come again.
      if (!isDone) clock.alarm(clock.nowMs() + ALARM_RETRY_MS, onAlarm)
    }
    this.wheel = new TimerWheel(clock, onAlarm, this.faults)
    this.#store = ports.store?.isPersistent ? new MeasuredStore(ports.store, clock, this.metrics) : null
    this.journal = this.#store !== null ? new Journal(this.#store, this.turn, clock, ports.observer, this.faults) : null
    if (this.journal !== null) {
      this.turn.onEnd = () => this.journal!.turnEnded()
      this.journal.onFailing = () => {
        for (const connection of this.#connections) connection.acknowledgements.storeFailed()
      }
    }
    this.timeNotes = this.journal === null ? null : new TimeNotes(this.journal, this.wheel)
    this.router = new Router(limits, this.metrics, this.authorizer?.mayReceive !== undefined)
    this.#memoryPort = ports.memory
    this.memory = this.#guardMemory()
    this.retained = new RetainedMessages(limits, this.metrics, this.journal)
    this.sessions = new Sessions(this)
    this.wills = new Wills(this)
    this.reviews = new ReviewLine(this.turn)
    this.willRoom = new WillRoom(limits)
    this.#sweepTimer = new Timer((nowMs) => {
      this.retained.sweep(nowMs)
      this.#sweepLater()
    })
    if (this.journal !== null) recover(this, ports.store!)
  }

  /**
   * Recovery: when a client was lost that was connected as the broker before this one ended, of a session that lasts so much longer:
   * never before it was, and at most twice `noteEveryMs` after it. One whose session never expires counts as lost now.
   */
  lostAtMs(expirySeconds: number): number {
    const { nowMs } = this.turn
    const lostAtMs = this.#notedMs + 2 * noteEveryMs(expirySeconds)
    return Number.isFinite(lostAtMs) ? Math.min(nowMs, lostAtMs) : nowMs
  }

  #guardMemory(): MemoryGuard | null {
    const { memoryBytesMax } = this.limits
    if (this.#memoryPort === null || memoryBytesMax === Number.MAX_SAFE_INTEGER) return null
    return new MemoryGuard(memoryBytesMax, {
      memory: this.#memoryPort,
      wheel: this.wheel,
      nowMs: () => this.turn.nowMs,
      isBusy: () => this.#connections.size > 0,
      onLevel: (level, usedBytes) => this.#onMemoryLevel(level, usedBytes),
      shed: (bytes) => this.#shed(bytes),
    })
  }

  /**
   * Takes other limits, options and ports while connections are open, and asks again who may be here and receive what (`recheck`). What a client was
   * told when it connected (Maximum Packet Size, Receive Maximum, …) and its own rates hold until it connects again; limits of what is kept hold for what
   * comes next: nothing that was acknowledged is dropped.
   */
  reconfigure({ limits, options, ...ports }: CoreChanges): void {
    this.turn.begin()
    const memoryBytesMax = this.limits.memoryBytesMax
    Object.assign(this.limits, limits)
    Object.assign(this.options, options)
    Object.assign(this.settings.options, options)
    Object.assign(this, ports)
    this.#addresses.max = this.limits.connectionsPerAddressMax
    this.#listeners.clear()
    this.observe(this.observer)
    this.router.isFiltering = this.authorizer?.mayReceive !== undefined
    if (this.limits.memoryBytesMax !== memoryBytesMax) this.#guardMemoryAnew()
    this.recheck()
  }

  /** Tells this observer what happens from now on; null: nobody. */
  observe(observer: Observer | null): void {
    this.observer = observer
    this.isTracing = isTracedBy(observer)
    this.faults.observer = observer
    if (this.journal !== null) this.journal.observer = observer
  }

  #guardMemoryAnew(): void {
    this.memory?.stop()
    this.memory = this.#guardMemory()
    this.metrics.memoryLevel = 0
    this.router.isMemoryShort = false
    if (this.#connections.size > 0) this.memory?.watch()
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections
  }

  /** A connection has come in: how long it has to wait before it is read; null: it is not wanted, destroy it. */
  admit(remoteAddress: string, listener: string, { limits }: ConnectionSettings): number | null {
    this.turn.begin()
    if (this.#connections.size >= this.limits.connectionsMax + CONNECTIONS_TO_REFUSE) {
      const why = `${this.limits.connectionsMax} connections are open, the most that are allowed`
      return this.#refuse(remoteAddress, listener, why)
    }
    const throttle = this.throttleOf(listener, limits)
    const waitMs = throttle?.admit() ?? 0
    if (waitMs > limits.connectTimeoutMs / 2) {
      throttle!.giveBack()
      this.metrics.connectionsRefusedByRate++
      const why = `more than ${limits.listenerConnectionsPerSecondMax} new connections a second`
      return this.#refuse(remoteAddress, listener, why)
    }
    return waitMs
  }

  /** False: as many are open from there as may be. Each that is counted is either connected, or uncounted again. */
  countAddress(remoteAddress: string, listener: string): boolean {
    if (this.#addresses.add(remoteAddress)) return true
    this.turn.begin()
    this.metrics.connectionsRefusedByAddress++
    this.#refuse(remoteAddress, listener, `${this.limits.connectionsPerAddressMax} connections from there are open`)
    return false
  }

  /** `countAddress` would say false. */
  isAddressFull(remoteAddress: string): boolean {
    return this.#addresses.isFull(remoteAddress)
  }

  uncountAddress(remoteAddress: string): void {
    this.#addresses.remove(remoteAddress)
  }

  /**
   * A transport has been opened. `ageMs`: it came through layers, has been admitted and counted, and has used so much of the time for
   * its CONNECT. `null`: it is not wanted, destroy it.
   */
  connect(
    transport: Transport,
    settings: ConnectionSettings = this.settings,
    ageMs: number | null = null,
  ): TransportHandler | null {
    let connection: Connection | null = null
    try {
      connection = this.#open(transport, settings, ageMs)
      if (connection === null) return null
      this.#welcome(connection)
      return new GuardedConnection(connection)
    } catch (error) {
      this.faults.note('new connection', error)
      if (connection !== null) this.forget(connection, null)
      return null
    }
  }

  #open(transport: Transport, settings: ConnectionSettings, ageMs: number | null): Connection | null {
    this.turn.begin()
    let waitMs = 0
    if (ageMs === null) {
      const { remoteAddress, listener } = transport
      const admitted = this.admit(remoteAddress, listener, settings)
      if (admitted === null || !this.countAddress(remoteAddress, listener)) return null
      waitMs = admitted
    }
    const connection = new Connection(this, transport, settings, ageMs ?? 0)
    this.#connections.add(connection)
    this.metrics.connectionsOpened++
    this.metrics.connections++
    if (waitMs > 0) connection.delay(waitMs)
    return connection
  }

  #welcome(connection: Connection): void {
    const { remoteAddress, listener } = connection
    this.observer?.['connection.opened']?.({ remoteAddress, listener })
    this.memory?.watch()
    this.#pending.add(connection)
    if (this.#pending.size > this.limits.pendingConnectionsMax) this.#evictPending()
  }

  #refuse(remoteAddress: string, listener: string, why: string): null {
    this.metrics.connectionsRefused++
    const reasonCode = ReasonCode.ServerBusy
    this.observer?.['connection.refused']?.({ remoteAddress, listener, clientId: '', reasonCode, why })
    return null
  }

  #onMemoryLevel(level: number, usedBytes: number): void {
    this.metrics.memoryLevel = level
    this.router.isMemoryShort = this.memory!.refusesToKeep
    this.observer?.['memory.level']?.({ level, usedBytes, limitBytes: this.limits.memoryBytesMax })
  }

  /** Closes connections that have most bytes waiting, if that is anything to speak of, until so many are free. */
  #shed(bytes: number): void {
    for (let left = bytes, shed = 0; left > 0 && shed < SHED_MAX; shed++) {
      const freed = this.#shedOne()
      if (freed === 0) return
      left -= freed
    }
  }

  /** Returns how many bytes it had. */
  #shedOne(): number {
    let most: Connection | null = null
    let mostBytes = SHED_BYTES_MIN
    for (const connection of this.#connections) {
      const { waitingBytes } = connection
      if (waitingBytes <= mostBytes || connection.state === State.Closing) continue
      most = connection
      mostBytes = waitingBytes
    }
    if (most === null) return 0
    this.metrics.connectionsShed++
    most.closeWith(ReasonCode.QuotaExceeded, `memory is short, and ${mostBytes} bytes wait for this client or from it`)
    most.transport.destroy()
    return mostBytes
  }

  /** What the clients of a listener may together; null: no limit. */
  throttleOf(listener: string, limits: Limits): ListenerThrottle | null {
    if (!hasListenerRate(limits)) return null
    let throttle = this.#listeners.get(listener)
    if (throttle === undefined) {
      throttle = new ListenerThrottle(limits, this.turn, this.wheel)
      this.#listeners.set(listener, throttle)
    }
    return throttle
  }

  /** The oldest that has not sent its CONNECT goes: whoever is honest is quick. */
  #evictPending(): void {
    for (const connection of this.#pending) {
      if (connection.state !== State.AwaitingConnect) continue
      this.#pending.delete(connection)
      this.metrics.connectionsEvicted++
      connection.evict('no CONNECT yet, and newer connections need the room')
      return
    }
  }

  /** It has had its CONNACK. */
  activated(connection: Connection): void {
    this.#pending.delete(connection)
    connection.traffic.connectedAtMs = this.turn.nowMs
  }

  /** A connection has ended before it could speak MQTT: in a TLS handshake, say. */
  failedToConnect(remoteAddress: string, listener: string, why: string): void {
    this.turn.begin()
    this.metrics.connectionsRefused++
    const reasonCode = ReasonCode.UnspecifiedError
    this.observer?.['connection.failed']?.({ remoteAddress, listener, clientId: '', reasonCode, why })
  }

  /** The transport of a connection has closed. `state`: in which it was; who goes before CONNACK is told of nowhere else. */
  forget(connection: Connection, error: Error | null, state: number = State.Closing): void {
    if (!this.#connections.delete(connection)) return
    this.#pending.delete(connection)
    this.uncountAddress(connection.remoteAddress)
    this.metrics.connectionsClosed++
    this.metrics.connections--
    if (state < State.Active || (error !== null && state !== State.Closing)) {
      const { remoteAddress, listener, clientId } = connection
      const reasonCode = ReasonCode.UnspecifiedError
      const why = error?.message ?? 'the connection was closed'
      this.observer?.['connection.failed']?.({ remoteAddress, listener, clientId, reasonCode, why })
    }
    if (this.#connections.size === 0) this.onEmpty?.()
  }

  /**
   * Takes responsibility for a message: retains it and delivers it to all who match. Returns 0x00, 0x10 when nobody
   * matches, or the failure to tell the publisher.
   */
  accept(message: Message, taking: number = Taking.Untold): ReasonCode {
    const mayRefuse = taking === Taking.Told
    const isNews = taking === Taking.News
    const isFailing = taking !== Taking.Will && !isNews && this.journal?.isFailing === true
    if (!this.router.isWithinLimits(message.topic)) {
      this.dropped('', message.topic, message.qos, 'topic-over-limit')
      return ReasonCode.TopicNameInvalid
    }
    if (mayRefuse) this.router.isSpaceShort = this.#isSpaceShort()
    if (mayRefuse && this.router.isRefused(message)) {
      const { isMemoryShort, isSpaceShort } = this.router
      const reason = isMemoryShort ? 'memory-full' : isSpaceShort ? 'queues-full' : 'queue-full'
      this.dropped('', message.topic, message.qos, reason)
      return ReasonCode.QuotaExceeded
    }
    message.isAdmitted = mayRefuse
    if (isFailing && message.qos > 0 && (message.retain || this.router.hasDurableSubscriber(message.topic))) {
      this.dropped('', message.topic, message.qos, 'store-failed')
      return ReasonCode.QuotaExceeded
    }
    let reasonCode: ReasonCode = ReasonCode.Success
    // Without RETAIN what is retained stays as it is. [MQTT-3.3.1-8] [MQTT-3.1.1:3.3.1-12]
    if (message.retain && isFailing) {
      this.dropped('', message.topic, message.qos, 'store-failed')
    } else if (message.retain) {
      const isMemoryShort = !isNews && this.memory !== null && !this.#mayRetain(message)
      if (isMemoryShort || !this.retained.set(message, isNews)) {
        this.dropped('', message.topic, message.qos, isMemoryShort ? 'memory-full' : 'retained-limit')
        // A PUBREC that says so frees the packet id: had anybody got the message, it could come to them twice.
        if (mayRefuse && message.qos === 2) return ReasonCode.QuotaExceeded
        reasonCode = ReasonCode.QuotaExceeded
      } else {
        this.retainsUntil(message.expiresAtMs)
      }
    }
    const count = this.router.route(message)
    // Somebody who was to get it has not: nobody may say that it is safe.
    if (count < 0) return ReasonCode.ImplementationSpecificError
    if (count === 0 && reasonCode === ReasonCode.Success) return ReasonCode.NoMatchingSubscribers
    return reasonCode
  }

  /** There is a retained message that expires then: it is looked for, also when nobody meets it. */
  retainsUntil(expiresAtMs: number): void {
    if (expiresAtMs !== Number.POSITIVE_INFINITY && !this.#sweepTimer.isSet) this.#sweepLater()
  }

  /** All queues together hold so much that some may have no share left. */
  #isSpaceShort(): boolean {
    return this.holdings.isShort || (this.journal?.messageBytes ?? 0) > this.limits.storedBytesMax / 2
  }

  #mayRetain(message: Message): boolean {
    const memory = this.memory!
    if (message.payloadLength === 0 || !memory.refusesNew) return true
    return !memory.refusesToKeep && this.retained.get(message.topic) !== undefined
  }

  /** Puts a session's subscription into the router. */
  routeTo(entry: SubscriptionEntry): void {
    const share = parseShare(entry.topicFilter)
    this.router.subscribe(entry, share?.topicFilter ?? entry.topicFilter, share?.shareName ?? null)
  }

  /** Takes a subscription out of the router, and out of the store. */
  unroute(subscriber: Subscriber, entry: SubscriptionEntry): void {
    const { topicFilter } = entry
    if (entry.number !== 0)
      this.journal!.change(Table.Subscriptions, (subscriber as Session).number, entry.number, 0, null)
    const share = parseShare(topicFilter)
    this.router.unsubscribe(subscriber, share?.topicFilter ?? topicFilter, share?.shareName ?? null)
  }

  dropped(clientId: string, topic: string, qos: QoS, reason: DropReason): void {
    this.metrics.dropped[reason]++
    this.observer?.['message.dropped']?.({ clientId, topic, qos, reason })
  }

  /** Numbers of all counters and gauges, by the names of `metricTable`. Costs the same however many clients there are. */
  snapshot(): MetricValues {
    return this.metrics.read({
      storedBytes: this.journal?.messageBytes ?? 0,
      memoryBytes: this.holdings.bytes,
      unfinishedBytes: this.unfinished.bytes,
      aliasBytes: this.aliasRoom.bytes,
      willBytes: this.willRoom.heldBytes,
      storeLagMs: this.#store?.lagMs ?? 0,
    })
  }

  /** Ends every connection. First the Wills, while those who wait for them are still there. [MQTT-3.1.2-8] */
  shutDown(reasonCode: ReasonCode, why: string, serverReference?: string): void {
    this.turn.begin()
    for (const connection of this.#connections) {
      const { session, will } = connection
      connection.will = null
      if (session === null || will === null) continue
      const lost = (): void => this.wills.lost(session, will, clientInfoOf(connection))
      this.faults.attempt('Will', lost, connection.clientId)
    }
    for (const connection of this.#connections) {
      try {
        connection.closeWith(reasonCode, why, serverReference === undefined ? {} : { serverReference })
      } catch (error) {
        connection.fault('shut down', error)
      }
    }
    this.turn.end()
  }

  /** Writes what is still to be written, then calls back. */
  finish(done: () => void): void {
    this.turn.begin()
    if (this.journal === null) done()
    else this.journal.close(done)
  }

  /** Nothing happens any more: the alarm is taken away. */
  stop(): void {
    this.#clock.alarm(Number.POSITIVE_INFINITY, () => {})
  }

  /** Removes a session and ends its connection, as an administrator asks. */
  removeSession(clientId: string): boolean {
    this.turn.begin()
    const session = this.sessions.get(clientId)
    if (session === undefined) return false
    const connection = session.connection ?? session.opening?.connection
    const remove = (): void => {
      connection?.closeWith(ReasonCode.AdministrativeAction, 'ended by an administrator')
      if (this.sessions.get(clientId) === session)
        this.sessions.end(session, 'removed' satisfies BrokerEvents['session.ended']['why'])
    }
    if (!this.faults.attempt('removal of a session', remove, clientId)) connection?.transport.destroy()
    return true
  }

  /** Ends the connections of clients for which `isMeant` says so, with 0x98. Returns how many they were. */
  disconnect(isMeant: (client: ClientInfo) => boolean, why: string): number {
    this.turn.begin()
    let count = 0
    for (const connection of this.#connections) {
      const end = (): void => {
        if (!connection.isActive || !isMeant(connection)) return
        count++
        connection.closeWith(ReasonCode.AdministrativeAction, why)
      }
      this.faults.attempt('disconnect', end, connection.clientId)
    }
    return count
  }

  /**
   * Who may connect and do what has changed: clients that would not be let in any more are disconnected (0x98), and every delivery
   * is asked about again, or each subscription where the authorizer decides about those.
   */
  recheck(): void {
    this.turn.begin()
    this.rechecks++
    this.router.rightsChanged()
    for (const connection of this.#connections) {
      try {
        this.#recheck(connection)
      } catch (error) {
        // Who cannot be asked about is not let in.
        connection.fault('recheck', error)
      }
    }
  }

  #recheck(connection: Connection): void {
    connection.allowedTopic = null
    const isLoggedIn = connection.isActive || connection.opening !== null
    if (!isLoggedIn) return
    if (this.isStillValid(connection)) {
      connection.session?.askAgain(connection, false)
      return
    }
    const code = connection.isActive ? ReasonCode.AdministrativeAction : ReasonCode.NotAuthorized
    connection.closeWith(code, 'what the client has logged in with is not valid any more')
  }

  /** Would this client be let in again with what it has logged in with? */
  isStillValid(connection: Connection): boolean {
    const { authenticator, enhancedAuthenticator } = this
    const { credential } = connection
    if (authenticator?.isStillValid?.(connection, credential) === false) return false
    return connection.authentication === null || enhancedAuthenticator?.isStillValid?.(connection, credential) !== false
  }

  #sweepLater(): void {
    if (this.metrics.retainedMessages > 0) this.wheel.set(this.#sweepTimer, this.turn.nowMs + SWEEP_MS)
  }
}
