/**
 * The deterministic broker: protocol, sessions, routing; no sockets, no clock, no files of its own.
 *
 * `broker.ts` makes one and hands it transports with `connect`; everything else happens by the ports. One `Core` is one
 * broker: there is no state outside of it, so several live in one process and the simulation can run whole fleets.
 *
 * It stands on top of five floors (docs/ARCHITECTURE.md) and makes the one object of each that holds the rest. Its own
 * work concerns all of them: the end of a turn, a change of configuration, the figures, the end.
 */
import type { ReasonCode } from '@recado/protocol'
import type { ClientInfo, Controller, Observer, ProcessMemory, Transport, TransportHandler } from '../ports.ts'
import { Context, type CorePorts } from './base/context.ts'
import type { Limits } from './base/limits.ts'
import { MemoryGuard, MemoryLevel } from './base/memory-guard.ts'
import type { MessageCountdown } from './base/message-countdown.ts'
import { type MetricValues, readMetrics } from './base/metric-table.ts'
import type { Metrics } from './base/metrics.ts'
import type { CoreOptions } from './base/options.ts'
import type { TimerWheel } from './base/timer-wheel.ts'
import type { Turn } from './base/turn.ts'

import { Connections } from './connection/connections.ts'
import { type ConnectionSettings, resolveSettings } from './connection/listener-settings.ts'
import { Journal } from './journal/journal.ts'
import { MeasuredStore } from './journal/measured-store.ts'
import { DelayedMessages } from './routing/delayed.ts'
import { Intake } from './routing/intake.ts'
import { RetainedMessages } from './routing/retained.ts'
import { Router, routeObserverOf } from './routing/router.ts'
import { recover } from './session/recovery.ts'
import { Sessions } from './session/sessions.ts'
import { WillRoom } from './session/will-room.ts'
import { Wills } from './session/wills.ts'

/** Changes while a broker runs; what is absent stays. */
export interface CoreChanges
  extends Partial<
    Pick<CorePorts, 'authenticator' | 'enhancedAuthenticator' | 'authorizer' | 'transformer' | 'observer'>
  > {
  readonly limits?: Limits
  readonly options?: CoreOptions
}

export class Core {
  readonly context: Context
  /** Journal; null when nothing is kept beyond this process. */
  readonly journal: Journal | null
  readonly router: Router
  readonly retained: RetainedMessages
  readonly intake: Intake
  readonly wills: Wills
  readonly delayed: DelayedMessages
  readonly sessions: Sessions
  readonly connections: Connections
  /** Settings of listeners that have none of their own. */
  readonly settings: ConnectionSettings
  /** Store; null when nothing is kept. */
  readonly store: MeasuredStore | null
  readonly #processMemory: ProcessMemory | null

  constructor(limits: Limits, options: CoreOptions, ports: CorePorts) {
    const context = new Context(limits, options, ports, () => this.endTurn())
    this.context = context
    this.settings = resolveSettings(limits, options)
    this.store = ports.store?.isPersistent ? new MeasuredStore(ports.store, context) : null
    this.journal = this.store === null ? null : new Journal(this.store, context)
    const { journal } = this
    this.router = new Router(limits, context.metrics, context.authorizer?.mayReceive !== undefined)
    this.router.observer = routeObserverOf(context.observer)
    this.retained = new RetainedMessages(context, journal)
    this.intake = new Intake(context, journal, this.router, this.retained)
    const willRoom = new WillRoom(limits)
    this.wills = new Wills(context, journal, this.intake, willRoom)
    this.sessions = new Sessions(context, journal, this.router, this.wills)
    this.delayed = new DelayedMessages(context, journal, this.intake)
    const { intake, retained, sessions, delayed } = this
    delayed.publisherOf = (clientId) => sessions.get(clientId) ?? null
    this.connections = new Connections({ context, journal, intake, retained, sessions, delayed, willRoom })
    this.#processMemory = ports.processMemory
    context.memoryGuard = this.#guardMemory()
    if (journal === null) return
    journal.onFailing = () => this.connections.storeFailed()
    recover({ context, journal, sessions, retained, wills: this.wills, delayed }, ports.store!)
  }

  get limits(): Limits {
    return this.context.limits
  }

  get options(): CoreOptions {
    return this.context.options
  }

  get metrics(): Metrics {
    return this.context.metrics
  }

  get turn(): Turn {
    return this.context.turn
  }

  get wheel(): TimerWheel {
    return this.context.wheel
  }

  // --- the end of a turn --------------------------------------------------------------------------------------------

  /**
   * Ends every turn, whatever began it. The order matters:
   *
   * 1. The journal drops rows that all recipients have acknowledged, lets publishers go on, and starts its next batch.
   * Before the writes, because the disk then works while the sockets are written to, and because an acknowledgement
   * that becomes free here leaves with the writes of this turn instead of the next one.
   * 2. Every connection with packets to send is written to, once. After the journal, or a batch would wait for system
   * calls; before any connection reads on, or answers would pile up.
   * 3. Connections in line learn their share, when all that this turn has added to the line is there.
   *
   * An error in one of them does not keep the others from their work.
   */
  endTurn(): void {
    const { faults, turn } = this.context
    try {
      this.journal?.turnEnded()
    } catch (error) {
      faults.note('end of a turn', error)
    }
    turn.flush()
    turn.measureLine()
  }

  // --- connections --------------------------------------------------------------------------------------------------

  /** Takes an opened transport: see `Connections.connect`. Returns `null` when it is refused: destroy it. */
  connect(
    transport: Transport,
    settings: ConnectionSettings = this.settings,
    ageMs: number | null = null,
  ): TransportHandler | null {
    return this.connections.connect(transport, settings, ageMs)
  }

  // --- memory -------------------------------------------------------------------------------------------------------

  #guardMemory(): MemoryGuard | null {
    const { limits, turn, wheel } = this.context
    if (this.#processMemory === null || limits.memoryBytesMax === Number.MAX_SAFE_INTEGER) return null
    return new MemoryGuard(limits.memoryBytesMax, {
      memory: this.#processMemory,
      wheel,
      nowMs: () => turn.nowMs,
      isBusy: () => this.connections.size > 0,
      onLevel: (level, usedBytes) => {
        const { metrics, observer } = this.context
        metrics.memoryLevel = level
        if (level > MemoryLevel.Normal) this.context.buffers.clear()
        observer?.['memory.level']?.({ level, usedBytes, limitBytes: this.context.limits.memoryBytesMax })
      },
      shed: (bytes) => this.connections.shed(bytes),
    })
  }

  #guardMemoryAnew(): void {
    const { context } = this
    context.memoryGuard?.stop()
    context.memoryGuard = this.#guardMemory()
    context.metrics.memoryLevel = 0
    if (this.connections.size > 0) context.memoryGuard?.watch()
  }

  // --- administration -----------------------------------------------------------------------------------------------

  /**
   * Changes limits, options and ports while connections are open, and checks again which clients may be here and
   * receive what (`recheck`). Values that a client was told in CONNACK (Maximum Packet Size, Receive Maximum, …) and
   * its own rates hold until it connects again; limits of stored data apply to new data: nothing that was acknowledged
   * is dropped.
   */
  reconfigure({ limits, options, ...ports }: CoreChanges): void {
    const { context } = this
    context.turn.begin()
    const { memoryBytesMax } = context.limits
    Object.assign(context.limits, limits)
    Object.assign(context.options, options)
    Object.assign(this.settings.options, options)
    Object.assign(context, ports)
    context.optionsChanged()
    this.connections.reconfigure()
    this.observe(context.observer)
    this.router.isFiltering = context.authorizer?.mayReceive !== undefined
    if (context.limits.memoryBytesMax !== memoryBytesMax) this.#guardMemoryAnew()
    this.recheck()
  }

  /** Sets the observer; null for none. */
  observe(observer: Observer | null): void {
    this.context.observe(observer)
    this.router.observer = routeObserverOf(observer)
  }

  /** Sets who follows messages; null for nobody. */
  watch(watching: MessageCountdown | null): void {
    this.context.watching = watching
  }

  /** Controllers of `$CONTROL/…` by Topic Name: messages to it are commands. */
  get controllers(): Map<string, Controller> {
    return this.connections.controllers
  }

  /** Ends the connections of clients for which `isMeant` says so, with 0x98. Returns how many they were. */
  disconnect(isMeant: (client: ClientInfo) => boolean, why: string): number {
    this.context.turn.begin()
    return this.connections.disconnect(isMeant, why)
  }

  /**
   * Rights have changed: clients that would not be let in any more are disconnected (0x98), and every delivery
   * is asked about again, or each subscription where the authorizer decides about those.
   */
  recheck(): void {
    const { context } = this
    context.turn.begin()
    context.rechecks++
    this.router.rightsChanged()
    this.connections.recheck()
  }

  /** Removes a session and ends its connection, as an administrator asks. Returns false when there is none. */
  removeSession(clientId: string): boolean {
    this.context.turn.begin()
    return this.sessions.remove(clientId)
  }

  /** Drops what waits for a session, as an administrator asks. Returns the number of messages; null without a session. */
  drain(clientId: string): number | null {
    this.context.turn.begin()
    return this.sessions.drain(clientId)
  }

  /** Numbers of all counters and gauges, by the names of `metricTable`. Costs the same however many clients there are. */
  snapshot(): MetricValues {
    const { unfinished, aliasRoom, willRoom } = this.connections
    return readMetrics(this.context.metrics, {
      storedBytes: this.journal?.messageBytes ?? 0,
      memoryBytes: this.context.holdings.bytes,
      unfinishedBytes: unfinished.bytes,
      aliasBytes: aliasRoom.bytes,
      willBytes: willRoom.heldBytes,
      storeLagMs: this.store?.lagMs ?? 0,
    })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Publishes the Wills and ends every connection. */
  shutDown(reasonCode: ReasonCode, why: string, serverReference?: string): void {
    const { turn } = this.context
    turn.begin()
    this.connections.shutDown(reasonCode, why, serverReference)
    turn.end()
  }

  /** Writes the remaining changes, then calls back. */
  finish(done: () => void): void {
    this.context.turn.begin()
    if (this.journal === null) done()
    else this.journal.close(done)
  }

  /** Nothing happens any more: the alarm is taken away. */
  stop(): void {
    this.context.clock.alarm(Number.POSITIVE_INFINITY, () => {})
  }
}
