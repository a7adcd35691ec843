/**
 * The broker under test: the real core on a simulated machine, with the model beside it. `model-feed.ts` tells the model
 * what the broker takes in and what it says, `hooks.ts` answers what it asks, and `checkers/` judges what no packet shows.
 */
import { Core, DEFAULT_OPTIONS, resolveLimits, resolveSettings, SimRandom, SimStore } from '@recado/broker/testing'
import { BrokerClock } from './broker-clock.ts'
import {
  type BrokerConfig,
  type Denial,
  larger,
  type Maxima,
  maximaOf,
  type Reconfiguration,
  settingsOf,
} from './broker-config.ts'
import { observerOf } from './broker-observer.ts'
import type { BrokerEnd, BrokerSocket, Cable, SocketHandler } from './cable.ts'
import type { Chance } from './chance.ts'
import { ExceptionChecker } from './checkers/exceptions.ts'
import { RestartChecker } from './checkers/restart.ts'
import { Disk } from './disk.ts'
import { authenticator, authorizer, enhancedAuthenticator, type HookHost, type Policy, transformer } from './hooks.ts'
import type { Loop } from './loop.ts'
import { handOver, type IsDead, Machine } from './machine.ts'
import { checkAddress } from './model/addresses.ts'
import { checkOverdue, crash, loseAll, restart } from './model/crash.ts'
import type { Model } from './model/model.ts'
import { Rates } from './model/rates.ts'
import { rightsChanged } from './model/rights.ts'
import { ModelFeed, type ObservedConnection } from './model-feed.ts'
import { PairNotes } from './pair-notes.ts'
import type { Change } from './pairs.ts'
import { Program } from './program.ts'

/**
 * Grace in milliseconds: a client that has more to send when it comes back than its rates allow within a short time
 * would be disconnected for ever.
 */
const CALM_GRACE_MS = 60_000

export class BrokerHost implements BrokerEnd {
  readonly #loop: Loop
  readonly #chance: Chance
  readonly #model: Model
  config: BrokerConfig
  /** Maxima of all configurations so far. */
  maxima: Maxima
  /** Configuration of the next start. */
  #nextConfig: BrokerConfig
  readonly #policy: Policy
  readonly #trace: ((line: string) => void) | null
  readonly #modelFeed: ModelFeed
  readonly program: Program
  #store: SimStore = new SimStore()
  #disk: Disk | null = null
  /** Random numbers of all processes: none repeats those of an earlier one. */
  readonly #random: SimRandom = new SimRandom()
  core: Core | null = null
  readonly #exceptions: ExceptionChecker
  readonly #machine: Machine
  readonly #restarts: RestartChecker
  readonly #pairs: PairNotes
  #isReconfigured = false
  /** Whether it refuses all new connections. */
  #isClosing = false
  /** No more faults. */
  #isCalm = false
  #touchesOfRecovery = 0
  /** Pieces that have been cut already, and could not be handed on. */
  readonly #putBack: WeakSet<Uint8Array> = new WeakSet()
  #downMs = 0
  /** null: no limits. */
  #rates: Rates | null = null
  #graceMs = 0
  diskLatencyMs: readonly [number, number] = [0, 3]
  #cables: Cable[] = []
  isLastBatchDurable = false
  readonly #clock: BrokerClock

  constructor(
    loop: Loop,
    chance: Chance,
    model: Model,
    config: BrokerConfig,
    policy: Policy,
    programChance: Chance,
    trace: ((line: string) => void) | null,
  ) {
    this.#loop = loop
    this.#chance = chance
    this.#clock = new BrokerClock(loop)
    this.#model = model
    this.#exceptions = new ExceptionChecker((text) => model.fail('internal', text))
    this.#machine = new Machine(loop, this.#exceptions, (isOrderly) => this.#kill(isOrderly))
    this.#restarts = new RestartChecker(model)
    this.#pairs = new PairNotes(this, model)
    this.config = config
    this.#nextConfig = config
    this.maxima = maximaOf(config)
    this.#policy = policy
    this.#trace = trace
    this.#modelFeed = new ModelFeed(this, model, policy, trace)
    this.program = new Program(this, loop, programChance, model, trace)
    this.#graceMs = config.rates?.graceMs ?? 0
  }

  /** The time of the broker. */
  get nowMs(): number {
    return this.#clock.nowMs
  }

  get isUp(): boolean {
    return this.core !== null
  }

  get hasDisk(): boolean {
    return this.config.isPersistent
  }

  get store(): SimStore {
    return this.#store
  }

  // --- life of the process ------------------------------------------------------------------------------------------

  start(): void {
    const machine = this.#machine
    const isDead = machine.begin()
    const model = this.#model
    this.#trace?.('broker starts')
    this.#modelFeed.start()
    model.memory.restart(this.nowMs)
    const isMemoryLimited = this.config.limits.memoryBytesMax !== undefined
    this.#rates = this.config.rates === null ? null : new Rates(model, this.config.rates)
    const { isPersistent, limits, options, hasAuthenticator, hasAuthorizer } = this.config
    this.#disk = isPersistent ? new Disk(this.#loop, this.#diskOwner(isDead), this.#store) : null
    const hookHost: HookHost = {
      modelFeed: this.#modelFeed,
      model,
      policy: this.#policy,
      config: this.config,
      chance: this.#chance,
      credentialsMs: () =>
        this.config.hasShortCredentials && !this.#isCalm && this.#chance.of(0.2)
          ? this.#chance.between(100, 5_000)
          : Number.POSITIVE_INFINITY,
      machineMs: () => this.#clock.machineMs,
      isCalm: () => this.#isCalm,
      rechecks: () => this.core?.context.rechecks ?? 0,
      later: (name, decide) => this.#later(isDead, name, decide),
      laterWhileRead: (name, decide) => this.#laterWhileRead(isDead, name, decide),
    }
    let core: Core | null = null
    machine.guard(isDead, () => {
      core = new Core(
        resolveLimits(limits),
        { ...DEFAULT_OPTIONS, ...options },
        {
          clock: this.#clock.ofProcess((callback) => machine.guard(isDead, callback)),
          random: this.#random,
          processMemory: isMemoryLimited
            ? {
                usedBytes: () => Math.round(model.memory.share * limits.memoryBytesMax!),
                collect: () => {
                  model.memory.collected(this.nowMs)
                  return 0
                },
              }
            : null,
          store: this.#disk,
          authenticator: hasAuthenticator ? authenticator(hookHost) : null,
          enhancedAuthenticator: enhancedAuthenticator(hookHost),
          authorizer: hasAuthorizer ? authorizer(hookHost) : null,
          transformer: this.config.hasTransformer === true ? transformer(hookHost) : null,
          observer: observerOf({
            model,
            modelFeed: this.#modelFeed,
            exceptions: this.#exceptions,
            trace: this.#trace,
            nowMs: () => this.nowMs,
            isDead,
          }),
        },
      )
      // Who uses a buffer that has gone back to its pool is found out.
      core.context.buffers.onFree = ({ bytes }) => bytes.fill(0xdb)
    })
    if (isDead()) return
    this.core = core
    this.#model.isReviewed = (clientId) => {
      const session = this.core?.sessions.get(clientId)
      return session !== undefined && (session.isHeld || session.keepsQoS0)
    }
    checkOverdue(this.#model)
    if (core !== null) machine.look(() => this.#restarts.starts(core!, this.config, this.#isReconfigured))
    this.program.started()
  }

  beforeSaying(): void {
    this.#modelFeed.beforeSaying()
  }

  /** All is on the disk, and nobody is connected: what the next process must know. */
  #keepState(core: Core): void {
    if (!this.config.isPersistent || this.#model.isFailing) return
    this.#machine.look(() => this.#restarts.ends(core))
  }

  /** Crashes after so many more steps that touch disk or network, and comes back later. */
  crashAfter(touches: number, downMs: number, touchesOfRecovery: number): void {
    if (!this.isUp) return
    this.#touchesOfRecovery = touchesOfRecovery
    this.#downMs = downMs
    this.#model.cover('fault.crash-armed')
    this.#machine.crashAfter(touches)
  }

  #kill(isOrderly: boolean): void {
    const wasRecovering = this.core === null
    if (!isOrderly) this.#noteEnd('restart.crash')
    this.#model.cover(isOrderly ? 'fault.restart' : wasRecovering ? 'fault.crash-in-recovery' : 'fault.crash')
    this.#trace?.(isOrderly ? 'broker stops' : 'broker crashes')
    this.#machine.disarm()
    this.#isClosing = false
    if (!isOrderly) this.#restarts.forget()
    if (this.#disk !== null) {
      if (this.#disk.isFilling) this.#model.cover('fault.crash-in-batch')
      if (this.#store.isWriting)
        this.#model.cover(this.isLastBatchDurable ? 'fault.crash-batch-durable' : 'fault.crash-batch-lost')
      this.#store = this.#disk.crash(this.isLastBatchDurable)
    }
    this.#disk = null
    this.core = null
    this.#machine.end()
    this.#model.nowMs = this.nowMs
    crash(this.#model)
    for (const cable of this.#cables) cable.brokerGone()
    this.#cables = []
    this.#modelFeed.start()
    this.#loop.after(this.#downMs, () => this.#restart())
  }

  #restart(): void {
    if (this.isUp) return
    this.#reconfigured()
    if (this.#clock.restart(this.hasDisk)) this.#model.cover('clock.goes-on')
    this.#model.nowMs = this.nowMs
    restart(this.#model)
    if (this.#touchesOfRecovery > 0) this.#machine.arm(this.#touchesOfRecovery)
    this.#touchesOfRecovery = 0
    this.start()
  }

  /** The broker is set up otherwise when it starts the next time. */
  reconfigure({ limits, options, listeners, isPersistent, hasPolicy }: Reconfiguration): void {
    const next = this.#nextConfig
    this.#nextConfig = {
      ...next,
      limits: limits === undefined ? next.limits : { ...next.limits, ...limits },
      options: options === undefined ? next.options : { ...next.options, ...options },
      listeners: listeners ?? next.listeners,
      isPersistent: isPersistent ?? next.isPersistent,
      hasAuthorizer: hasPolicy ?? next.hasAuthorizer,
    }
  }

  #reconfigured(): void {
    const before = this.config
    const next = this.#nextConfig
    this.#isReconfigured = before !== next
    if (before === next) return
    this.config = next
    this.maxima = larger(this.maxima, maximaOf(next))
    this.#model.reconfigure(settingsOf(next, this.#policy))
    this.#model.rights.enforce(next.hasAuthorizer, this.nowMs)
    this.#model.sources.enforce(next.hasAuthorizer, this.nowMs)
    if (before.isPersistent === next.isPersistent) return
    this.#store = new SimStore()
    this.#clock.forgetNoted()
    this.#restarts.forget()
    loseAll(this.#model)
  }

  #noteEnd(how: Change): void {
    this.#pairs.noteEnd(how, this.config, this.#nextConfig, this.#clock.nextChangeMs)
  }

  /** Sets the clock of the machine: the broker finds out when it starts again. */
  setClock(byMs: number): void {
    this.#clock.nextChangeMs += byMs
    this.#model.cover(byMs < 0 ? 'fault.clock-set-back' : 'fault.clock-set-forward')
  }

  /** Stops in good order, and starts again. */
  shutDown(downMs: number): void {
    const { core } = this
    if (core === null || this.#isClosing) return
    this.#downMs = downMs
    this.#noteEnd('restart.orderly')
    for (const connection of this.#model.connections) connection.mayEnd.add('shutting down')
    this.#isClosing = true
    this.#machine.run(() => core.shutDown(0x8b, 'shutting down'))
    this.program.shutDown()
    this.#machine.finish(core, () => {
      if (!this.#model.isFailing) this.#model.flushed(this.#model.seq, this.nowMs)
      this.#keepState(core)
    })
  }

  /** Shares of the limit that are used. */
  setMemory(live: number, garbage: number): void {
    this.#model.memory.used(live, garbage, this.nowMs)
  }

  /** Changes rights to receive, as when an ACL file is read again. */
  changeRights({ clientId, topic }: Denial, isDenied: boolean, isSource: boolean): void {
    const { core } = this
    const model = this.#model
    if ((isSource ? this.config.withdrawals : this.config.denials) === null) return
    model.nowMs = this.nowMs
    if (isSource) model.sources.set(clientId, topic, isDenied, model.nowMs)
    else model.rights.set(clientId, topic, isDenied, model.nowMs)
    rightsChanged(model)
    this.#pairs.note(clientId, ['rights'])
    if (core !== null) this.#machine.run(() => core.recheck())
  }

  failDisk(error: Error | null): void {
    this.#model.cover(error === null ? 'fault.disk-heals' : `fault.disk-${(error as { code?: string }).code}`)
    this.#store.failure = error
  }

  /** No more faults. */
  calm(diskMs: readonly [number, number]): void {
    this.#isCalm = true
    this.#machine.disarm()
    this.#touchesOfRecovery = 0
    this.#store.failure = null
    this.setMemory(0.1, 0)
    this.#graceMs = Math.max(this.#graceMs, CALM_GRACE_MS)
    this.diskLatencyMs = diskMs
  }

  #diskOwner(isDead: IsDead): ConstructorParameters<typeof Disk>[1] {
    const model = this.#model
    return {
      isDead,
      onTouch: () => this.#machine.touch(),
      onWrite: () => {
        this.#clock.noteWritten()
        return model.seq
      },
      onDurable: (seq) => {
        model.flushed(seq, this.#clock.noteSafe())
      },
      onDone: (error) => {
        this.#trace?.(error === null ? `  batch safe to ${model.flushedSeq}` : `  batch failed: ${error.message}`)
        if (model.isFailing && error === null) model.recoveredMs = this.nowMs
        model.isFailing = error !== null
      },
      latencyMs: () => this.#chance.between(...this.diskLatencyMs),
    }
  }

  // --- connections --------------------------------------------------------------------------------------------------

  accept(cable: Cable): boolean {
    if (this.#isClosing) return false
    this.#cables.push(cable)
    return cable.open()
  }

  onOpen(socket: BrokerSocket): SocketHandler | null {
    const { core } = this
    if (core === null) return null
    const cable = this.#cables[this.#cables.length - 1]!
    this.#model.nowMs = this.nowMs
    const observed = this.#modelFeed.open(socket, cable)
    this.#rates?.opened(observed.connection, this.#graceMs)
    const isDead = this.#machine.present()
    let handler: SocketHandler | null = null
    this.#machine.guard(isDead, () => {
      const { limits: own, mountPoint } = this.config.listeners[cable.listener]!
      const limits = this.#rates === null ? own : { ...own, rateGraceMs: this.#graceMs }
      handler = core.connect(socket, resolveSettings(core.limits, core.options, { limits, mountPoint }))
    })
    if (isDead()) return null
    checkAddress(this.#model, observed.connection, handler !== null)
    if (handler === null) {
      this.#cables = this.#cables.filter((each) => each !== cable)
      this.#modelFeed.close(socket, observed)
      return null
    }
    return this.#machine.guarded(isDead, handler)
  }

  onChunk(socket: BrokerSocket, chunk: Uint8Array): void {
    const observed = this.#modelFeed.of(socket)!
    const isWhole = !this.config.isOneByOne || this.#putBack.delete(chunk)
    const pieces = isWhole ? [chunk] : observed.framer.split(chunk)
    for (const [i, piece] of pieces.entries()) {
      if (socket.isEnded || socket.isClosed || this.core === null) return
      if (socket.isPaused) {
        for (const rest of pieces.slice(i).reverse()) {
          this.#putBack.add(rest)
          socket.putBack(rest)
        }
        return
      }
      this.#handOver(socket, observed, piece)
    }
  }

  #handOver(socket: BrokerSocket, observed: ObservedConnection, bytes: Uint8Array): void {
    const isDead = this.#machine.present()
    this.#model.nowMs = this.nowMs
    observed.connection.lastReceivedMs = this.nowMs
    const before = observed.inbox.length
    this.#modelFeed.read(observed, bytes)
    if (observed.inbox.length > before) observed.connection.lastPacketMs = this.nowMs
    this.#rates?.read(observed.connection, bytes.length, observed.inbox.slice(before))
    this.#modelFeed.tellUnasked(observed)
    this.#work(isDead, observed, () => handOver(socket.handler!, bytes))
    if (!isDead()) this.#rates?.wasRead(observed.connection)
  }

  onWrite(socket: BrokerSocket, pieces: readonly Uint8Array[]): void {
    this.#machine.touch()
    this.#modelFeed.beforeSaying()
    const observed = this.#modelFeed.of(socket)
    if (observed === undefined) return
    this.#modelFeed.said(observed, pieces)
    const { connection } = observed
    if (observed.cable.isFull && connection.blockedSinceMs < 0) {
      connection.blockedSinceMs = this.nowMs
      connection.wasBlocked = true
      this.#model.cover('fault.slow-reader')
    }
  }

  onPaused(socket: BrokerSocket): void {
    const connection = this.#modelFeed.of(socket)?.connection
    if (connection !== undefined) this.#rates?.paused(connection)
  }

  onResumed(socket: BrokerSocket): void {
    const connection = this.#modelFeed.of(socket)?.connection
    if (this.#rates === null || connection === undefined) return
    connection.isHeld = false
    // Its silence was ours.
    connection.heldUntilMs = Math.max(connection.heldUntilMs, this.nowMs)
  }

  onDrained(socket: BrokerSocket): void {
    const observed = this.#modelFeed.of(socket)
    if (observed === undefined) return
    observed.connection.blockedSinceMs = socket.isBlocked ? this.nowMs : -1
    if (!socket.isPaused) this.#modelFeed.tellAll(observed)
  }

  onEnd(socket: BrokerSocket): void {
    const observed = this.#modelFeed.of(socket)
    if (observed === undefined) return
    this.#trace?.(`${observed.connection.name} is ended by the broker`)
    this.#modelFeed.ended(observed)
  }

  onClosed(socket: BrokerSocket): void {
    const observed = this.#modelFeed.of(socket)
    if (observed === undefined) return
    this.#trace?.(`${observed.connection.name} is closed`)
    this.#model.nowMs = this.nowMs
    this.#cables = this.#cables.filter((cable) => cable !== observed.cable)
    this.#modelFeed.close(socket, observed)
  }

  isDead(): boolean {
    return this.core === null
  }

  failed(text: string): void {
    this.#model.fail('internal', text)
  }

  // --- hooks --------------------------------------------------------------------------------------------------------

  #later(isDead: IsDead, name: string, decide: () => void): void {
    const connection = this.#modelFeed.named(name)?.connection
    if (connection !== undefined) connection.isWaiting = true
    this.#model.cover('hook.late')
    this.#loop.after(this.#chance.between(0, 30), () => {
      const observed = this.#modelFeed.named(name)
      if (isDead() || observed === undefined) return
      observed.connection.isWaiting = false
      // Its silence was ours.
      observed.connection.lastReceivedMs = this.nowMs
      observed.connection.lastPacketMs = this.nowMs
      this.#model.nowMs = this.nowMs
      this.#work(isDead, observed, () => this.#machine.guard(isDead, decide))
    })
  }

  /** A decision that the broker awaits without ceasing to read the connection: its silence stays the client's. */
  #laterWhileRead(isDead: IsDead, name: string, decide: () => void): void {
    this.#model.cover('hook.late')
    this.#loop.after(this.#chance.between(0, 30), () => {
      const observed = this.#modelFeed.named(name)
      if (isDead() || observed === undefined) return
      this.#model.nowMs = this.nowMs
      this.#work(isDead, observed, () => this.#machine.guard(isDead, decide))
    })
  }

  /** The broker works on what has come on a connection. */
  #work(isDead: IsDead, observed: ObservedConnection, work: () => void): void {
    this.#modelFeed.begin(observed)
    work()
    // Over its rate it has been taken in before it was held back.
    const isTakenIn = !observed.cable.socket.isPaused || (this.#rates !== null && !observed.connection.isWaiting)
    this.#modelFeed.finish(isDead() ? null : isTakenIn)
  }
}
