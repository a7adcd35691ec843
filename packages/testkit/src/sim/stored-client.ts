/**
 * The client library with a session store in the simulation: its real code on a simulated disk, in processes that die at any
 * touch of disk or network. The next process goes on with what the disk has; `SessionWatch` says whether it does so rightly.
 *
 * A crash is not an exception: at a touch the process is declared dead, and what it does until it returns goes nowhere. Each
 * new `Client` counts as a process, also after a `close()`.
 */
import { Client, type Environment, type Message, type MqttError, type Timer, type Transport } from '@recado/client'
import { sessionStore } from '@recado/client/store'
import { resolveOptions } from '@recado/client/testing'
import { Decoder, type Properties, type Subscription } from '@recado/protocol'
import type { Cable } from './cable.ts'
import type { Chance } from './chance.ts'
import { ClientDisk, type DiskUser } from './client-disk.ts'
import { CableTransport, type LibraryWorld } from './library-client.ts'
import type { Handle, Loop } from './loop.ts'
import type { Checker } from './model/types.ts'
import type { ClientStep, PublishStep } from './plans/step.ts'
import { type IncomingPublish, SessionWatch } from './session-watch.ts'
import type { ClientProfile } from './wire-client.ts'

export interface StoredWorld extends LibraryWorld {
  fail(checker: Checker, text: string): void
  trace(line: string): void
  silence(cable: Cable): void
  stopReading(cable: Cable | null, ms: number): void
  /** The process died: what it had sent at QoS 1, or with its store at all, it need not know. */
  clientForgets(clientId: string, isAll: boolean): void
  /** Session that the server has for the client: another one for each session. */
  serverSession(clientId: string): unknown
}

/** A process that nobody ends takes so long to come to the touch at which it dies, at most. */
const CRASH_MS = 2_000
/** First key that belongs to a message and not to the Client Identifier. */
const FIRST_MESSAGE_KEY = 2 ** 44
const FIRST_RECEIVED_KEY = 3 * 2 ** 44

/** Process that dies at once. */
class Process implements DiskUser, Environment {
  isDead = false
  touchesLeft: number = Number.POSITIVE_INFINITY
  /** Messages that have come in for it: a closed client still hands out its buffered messages. */
  readonly arrivals: IncomingPublish[]
  readonly #number: number
  readonly #watch: SessionWatch
  readonly #owner: StoredClient
  readonly #loop: Loop
  readonly #chance: Chance

  constructor(owner: StoredClient, loop: Loop, chance: Chance, watch: SessionWatch) {
    this.arrivals = watch.processStarts()
    this.#number = watch.process
    this.#watch = watch
    this.#owner = owner
    this.#loop = loop
    this.#chance = chance
  }

  touch(): void {
    if (!this.isDead && --this.touchesLeft <= 0) this.#owner.die(this)
  }

  opened(): void {
    this.#watch.storeIsOpen(this.#number)
  }

  guard(callback: () => void): () => void {
    return () => {
      if (!this.isDead) callback()
    }
  }

  readonly dial: Environment['dial'] = async (_address, _options, signal) => {
    this.touch()
    // The network takes its time, and to the dead it never answers.
    await new Promise<void>((resolve) => this.#loop.after(1, this.guard(resolve)))
    signal.throwIfAborted()
    return this.#owner.dial(this)
  }

  now(): number {
    return this.#loop.nowMs
  }

  date(): number {
    return this.#loop.nowMs
  }

  setTimer(callback: () => void, ms: number): Timer {
    return this.#loop.after(ms, this.guard(callback)) as Timer
  }

  clearTimer(timer: Timer): void {
    this.#loop.cancel(timer as Handle)
  }

  defer(callback: () => void): void {
    this.#loop.defer(this.guard(callback))
  }

  random(): number {
    return this.#chance.next()
  }
}

/** The wire at the client's end, where the watch reads along. */
class WatchedTransport extends CableTransport {
  readonly #process: Process
  readonly #watch: SessionWatch
  readonly #out: Decoder
  readonly #in: Decoder

  constructor(process: Process, watch: SessionWatch, profile: ClientProfile) {
    super()
    this.#process = process
    this.#watch = watch
    const protocolVersion = profile.version
    this.#out = new Decoder({ role: 'server', protocolVersion })
    this.#in = new Decoder({ role: 'client', protocolVersion })
  }

  override write(bytes: Uint8Array): boolean {
    this.#process.touch()
    if (this.#process.isDead) return true
    this.#out.push(new Uint8Array(bytes))
    for (let packet = this.#out.read(); packet !== null; packet = this.#out.read()) this.#watch.sends(packet)
    this.#out.keep()
    return super.write(bytes)
  }

  override onData(bytes: Uint8Array): void {
    if (this.#process.isDead || this.isDestroyed) return
    this.#in.push(new Uint8Array(bytes))
    for (let packet = this.#in.read(); packet !== null; packet = this.#in.read()) this.#watch.gets(packet)
    this.#in.keep()
    super.onData(bytes)
  }

  override onClose(error: Error | null): void {
    if (!this.#process.isDead) super.onClose(error)
  }

  override onDrain(): void {
    if (!this.#process.isDead) super.onDrain()
  }

  override end(): void {
    if (!this.#process.isDead) super.end()
  }

  override destroy(): void {
    if (!this.#process.isDead) super.destroy()
  }
}

interface Crash {
  readonly downMs: number
  readonly isLastBatchDurable: boolean
  readonly isStoreLost: boolean
  readonly touchesOfRecovery: number
}

export class StoredClient {
  readonly profile: ClientProfile
  readonly disk: ClientDisk
  readonly #world: StoredWorld
  readonly #chance: Chance
  readonly #watch: SessionWatch
  #process: Process | null = null
  #client: Client | null = null
  #connections = 0
  cable: Cable | null = null
  readonly #unsettled: Map<number, { what: string; process: Process }> = new Map()
  #calls = 0
  #isNewSession = true
  #subscriptions = 0
  /** Subscriptions that the application makes again when it starts. */
  readonly #wanted: Map<string, Subscription> = new Map()
  /** Rows of received messages when the server had lost the session, and how many batches there had been. */
  #toForget: { readonly keys: readonly number[]; readonly batches: number } = { keys: [], batches: 0 }
  /** Rows that were left by a process that died before it could forget them, or that no process was told to forget. */
  readonly #stale: Set<number> = new Set()
  /** Whether it comes back by itself. */
  #isWanted = false
  #crash: Crash = { downMs: 0, isLastBatchDurable: false, isStoreLost: false, touchesOfRecovery: 0 }
  /** What a batch takes on a disk that is not slow just now. */
  readonly #usualDiskMs: readonly [number, number]
  #diskMs: readonly [number, number]

  constructor(profile: ClientProfile, world: StoredWorld, chance: Chance) {
    this.profile = profile
    this.#world = world
    this.#chance = chance
    this.#usualDiskMs = chance.pick([[0, 0] as const, [0, 5] as const, [2, 30] as const])
    this.#diskMs = this.#usualDiskMs
    const fail = (checker: Checker, text: string): void => world.fail(checker, `${profile.clientId}: ${text}`)
    this.#watch = new SessionWatch(
      fail,
      world.cover,
      () => world.loop.nowMs,
      () => world.serverSession(profile.clientId),
    )
    this.disk = new ClientDisk(
      (delayMs, run) => void world.loop.after(delayMs, run),
      () => chance.between(...this.#diskMs),
    )
  }

  get isConnected(): boolean {
    return this.#client?.connected === true
  }

  get inflight(): number {
    return this.#client?.pending.inflight ?? 0
  }

  get unsettled(): string[] {
    return [...this.#unsettled.values()].filter(({ process }) => !process.isDead).map(({ what }) => what)
  }

  // --- life of the process ------------------------------------------------------------------------------------------

  connect(touchesOfRecovery = 0): void {
    this.#isWanted = true
    const name = this.#client?.state.name
    if (name !== undefined && name !== 'closed') return
    const { profile } = this
    const { clientId, version, expirySeconds, maximumPacketSize, will } = profile
    const { loop, cover } = this.#world
    const process = new Process(this, loop, this.#chance, this.#watch)
    if (touchesOfRecovery > 0) process.touchesLeft = touchesOfRecovery
    this.#process = process
    // One batch was on its way, perhaps, and the next one would have done it.
    if (this.disk.batches < this.#toForget.batches + 2) for (const key of this.#toForget.keys) this.#stale.add(key)
    this.#toForget = { keys: [], batches: 0 }
    this.#world.clientForgets(clientId, false)
    this.#world.trace(`${clientId} starts with ${this.disk.rows.size} rows`)
    cover('store.client')
    if (this.disk.rows.size > 1) cover('store.restored')
    const client = new Client(
      process,
      resolveOptions({
        url: 'mqtt://sim',
        clientId,
        protocolVersion: version,
        ...(version === 5 ? { sessionExpiryIntervalSeconds: expirySeconds } : {}),
        keepAliveSeconds: profile.keepAliveSeconds,
        receiveMaximum: profile.receiveMaximum,
        topicAliasMaximum: profile.topicAliasMaximum,
        topicAliases: profile.usesAliases,
        ...(maximumPacketSize > 0 ? { maximumPacketSize } : {}),
        ...(will === null ? {} : { will: { ...will } }),
        connectTimeoutMs: 5_000,
        retryFirst: true,
        reconnect: { minMs: 20, maxMs: 1_000, retry: ({ code }) => !code.startsWith('ERR_MQTT_SESSION_STORE') },
        store: sessionStore(this.disk.rowsFor(process)),
      }),
    )
    this.#client = client
    client.onMessage = (message) => this.#received(process, message, 0, false)
    client.onUndelivered = ({ payload }, error) => {
      if (process.isDead) return
      this.#world.trace(`  ${clientId}: undelivered: ${error.code}`)
      this.#watch.undelivered(new TextDecoder().decode(payload), error.code === 'ERR_MQTT_MESSAGE_EXPIRED')
    }
    client.onStoreError = ({ code }) => {
      if (process.isDead) return
      cover('store.error')
      if (code === 'ERR_MQTT_SESSION_STORE_CORRUPT') this.#world.failed(`${clientId}: its store is damaged`)
    }
    client.onHandlerError = (error) => this.#world.failed(`${clientId}: a handler threw ${String(error)}`)
    client.onState((state) => {
      if (process.isDead) return
      if (state.name === 'connected') {
        cover('store.connected')
        const keys = [...this.disk.keys].filter((key) => key >= FIRST_RECEIVED_KEY)
        if (state.session.sessionPresent) cover('store.session-present')
        else {
          this.#isNewSession = true
          this.#toForget = { keys, batches: this.disk.batches }
        }
        if (this.#watch.isUnheardOf) for (const key of keys) this.#stale.add(key)
      }
      if (state.name === 'closed' && this.#client === client) this.#comeBack()
    })
    for (const subscription of this.#wanted.values()) if (this.#chance.of(0.8)) this.#subscribe(subscription)
    this.#settles(process, 'connect', client.connect())
  }

  #comeBack(): void {
    this.#world.loop.after(this.#chance.between(1, 300), () => {
      if (this.#isWanted) this.connect()
    })
  }

  dial(process: Process): Transport {
    const transport = new WatchedTransport(process, this.#watch, this.profile)
    const cable = this.#world.dial(`${this.profile.clientId}#${++this.#connections}`, transport)
    if (cable === null) throw Object.assign(new Error('nobody listens'), { code: 'ERR_MQTT_UNREACHABLE' }) as MqttError
    this.#watch.connectionStarts()
    transport.cable = cable
    this.cable = cable
    return transport
  }

  #crashAfter(touches: number, crash: Crash): void {
    const process = this.#process
    if (process === null || process.isDead) return
    this.#crash = crash
    if (touches === 0) {
      this.die(process)
      return
    }
    process.touchesLeft = touches
    this.#world.loop.after(CRASH_MS, () => {
      if (process.touchesLeft !== Number.POSITIVE_INFINITY && !process.isDead) this.die(process)
    })
  }

  die(process: Process): void {
    const { downMs, isLastBatchDurable, isStoreLost, touchesOfRecovery } = this.#crash
    const { loop, cover, trace } = this.#world
    const { clientId } = this.profile
    process.isDead = true
    const isInBatch = this.disk.isWriting
    this.disk.crash(process, isLastBatchDurable)
    // One that was closed and still closes its store dies alone.
    if (this.#process !== process) return
    trace(`${clientId} dies${isStoreLost ? ', and its store is lost' : ''}`)
    cover('store.crash')
    if (this.#client?.connected === false) cover('store.crash-offline')
    if (isInBatch) cover(isLastBatchDurable ? 'store.crash-batch-durable' : 'store.crash-batch-lost')
    if (isStoreLost) {
      cover('store.lost')
      this.disk.lose()
      this.#watch.storeIsLost()
    }
    this.#world.clientForgets(clientId, isStoreLost)
    this.#client = null
    this.#process = null
    this.cable?.cut()
    this.#crash = { ...this.#crash, isStoreLost: false, touchesOfRecovery: 0 }
    loop.after(downMs, () => {
      if (this.#isWanted) this.connect(touchesOfRecovery)
    })
  }

  // --- the application ----------------------------------------------------------------------------------------------

  carryOut(step: ClientStep): void {
    const { loop, cover, silence, stopReading } = this.#world
    switch (step.kind) {
      case 'connect':
        this.connect()
        return
      case 'publish':
        this.#publish(step)
        return
      case 'subscribe':
        for (const subscription of step.subscriptions) {
          this.#wanted.set(subscription.topicFilter, subscription)
          this.#subscribe(subscription)
        }
        return
      case 'unsubscribe':
        for (const topicFilter of step.topicFilters) this.#wanted.delete(topicFilter)
        if (this.#client !== null) this.#settlesNow('unsubscribe', this.#client.unsubscribe(step.topicFilters))
        return
      case 'disconnect':
        this.close(step.reasonCode, step.comesBack)
        return
      case 'client-crash':
        this.#crashAfter(step.touches, step)
        return
      case 'cut':
        this.cable?.cut()
        return
      case 'fall-silent':
        if (this.cable !== null) silence(this.cable)
        return
      case 'stop-reading':
        stopReading(this.cable, step.ms)
        return
      case 'store-fails':
        cover('store.fails')
        this.disk.failure = new Error(`${step.code}: the disk fails`)
        loop.after(step.ms, () => {
          this.disk.failure = null
        })
        return
      case 'store-slow': {
        cover('store.slow')
        this.#diskMs = [step.latencyMs / 2, step.latencyMs]
        loop.after(step.ms, () => {
          this.#diskMs = this.#usualDiskMs
        })
        return
      }
    }
  }

  #publish({ topic, payload, qos, retain, properties, untilStored }: PublishStep): void {
    const client = this.#client
    const process = this.#process
    if (client === null || process === null) return
    const given: { properties?: Properties } = this.profile.version === 5 ? { properties } : {}
    if (qos === 0) {
      this.#settlesNow(`publish ${topic} at QoS 0`, client.publish(topic, payload, { qos, retain, ...given }))
      return
    }
    const sent = this.#watch.published(payload, qos, given.properties?.messageExpiryIntervalSeconds ?? null)
    const until = untilStored ? 'stored' : 'delivered'
    const published = client.publish(topic, payload, { qos, retain, until, ...given })
    this.#settlesNow(`publish ${topic} at QoS ${qos} until ${until}`, published)
    published.then(
      process.guard(() => this.#watch.resolved(sent, untilStored)),
      ({ code }: MqttError) => {
        if (!process.isDead) this.#watch.rejected(sent, code === 'ERR_MQTT_MESSAGE_EXPIRED')
      },
    )
  }

  #subscribe({ topicFilter, qos, noLocal, retainAsPublished, retainHandling }: Subscription): void {
    const client = this.#client
    const process = this.#process
    const name = client?.state.name
    if (client === null || process === null || name === 'closing' || name === 'closed') return
    const options = this.profile.version === 5 ? { noLocal, retainAsPublished, retainHandling } : {}
    const by = ++this.#subscriptions
    const isManual = by % 3 === 0
    const all = { qos, ...options, identifier: by % 2 === 0, ack: isManual ? ('manual' as const) : ('auto' as const) }
    const subscription = client.subscribe(topicFilter, all, (message) => {
      const done = this.#received(process, message, by, isManual || by % 3 === 1)
      if (done === null) return undefined
      // It takes its time: the others wait for it, or it says itself when it is done.
      const delayMs = this.#chance.between(0, 40)
      const finished = new Promise<void>((resolve) => {
        const finish = (): void => {
          const isRefused = isManual && this.profile.version === 5 && this.#chance.of(0.05)
          done(isRefused)
          if (isManual) message.ack(isRefused ? 0x83 : 0)
          resolve()
        }
        this.#world.loop.after(delayMs, process.guard(finish))
      })
      return isManual ? undefined : finished
    })
    this.#settlesNow(`subscribe ${topicFilter}`, subscription.ready)
    subscription.ready.catch(process.guard(() => this.#watch.subscriptionIsRefused(process.arrivals)))
    // One that was granted may be refused when its session is gone, by a server with other limits than before.
    const onEnd = process.guard(() => {
      const { name: now } = client.state
      if (now === 'closing' || now === 'closed' || !this.#wanted.has(topicFilter)) return
      this.#watch.subscriptionIsRefused(process.arrivals)
    })
    // The client has no public word for it.
    Object.assign(subscription, { onEnd })
  }

  /** `by`: which subscription; a message is handed to every one that it matches. Null: the application is done with it. */
  #received(process: Process, message: Message, by: number, isLater: boolean): ((isRefused: boolean) => void) | null {
    if (process.isDead) return null
    const { topic, qos } = message
    this.#world.cover('store.received')
    const { done, isFirst } = this.#watch.handedOut(process.arrivals, by, message, message.text())
    const isNewSession = this.#isNewSession
    if (process === this.#process) this.#isNewSession = false
    else this.#world.cover('store.received-after-close')
    if (isFirst) this.#world.received(this.profile.clientId, topic, message.text(), qos, isNewSession, by)
    if (isLater) return (isRefused) => done(by % 3 === 0, isRefused)
    done(false, false)
    return null
  }

  close(reasonCode: number, isPatient: boolean): void {
    this.#isWanted = false
    if (this.#client !== null)
      this.#settlesNow('close', this.#client.close({ drainMs: isPatient ? 1_000 : 0, reasonCode }))
  }

  #settlesNow(what: string, promise: PromiseLike<unknown>): void {
    if (this.#process !== null) this.#settles(this.#process, what, promise)
  }

  /** Checks that a promise settles, whatever the outcome, unless the process dies. */
  #settles(process: Process, what: string, promise: PromiseLike<unknown>): void {
    const number = this.#calls++
    this.#unsettled.set(number, { what, process })
    const done = (): void => {
      this.#unsettled.delete(number)
    }
    promise.then(done, done)
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** No more faults; everything goes on. */
  calm(): void {
    const { loop } = this.#world
    if (this.#process !== null) this.#process.touchesLeft = Number.POSITIVE_INFINITY
    this.#crash = { downMs: 0, isLastBatchDurable: false, isStoreLost: false, touchesOfRecovery: 0 }
    this.disk.failure = null
    this.#diskMs = this.#usualDiskMs
    this.connect()
    // Before 5.0 what the server could not store is not acknowledged before the client has connected again.
    if (this.profile.version < 5) loop.after(3_000, () => this.cable?.cut())
  }

  /** Nothing waits to be sent, acknowledged or handled. */
  get isAtRest(): boolean {
    if (this.#client === null || !this.isConnected) return true
    const { queued, inflight, unacknowledged } = this.#client.pending
    return queued + inflight + unacknowledged === 0
  }

  /** All has come to rest: what was promised is there, and nothing is left in the store. */
  checkSettled(): void {
    if (!this.isConnected) return
    this.#watch.checkEnd()
    const { queued, inflight, unacknowledged } = this.#client!.pending
    const { clientId } = this.profile
    if (!this.isAtRest) {
      this.#world.fail('end to end', `${clientId}: ${queued} queued, ${inflight} in flight, ${unacknowledged} not done`)
      return
    }
    const left = [...this.disk.rows.keys()].filter((key) => key >= FIRST_MESSAGE_KEY && !this.#stale.has(key))
    if (left.length > 0) this.#world.fail('no dangling state', `${clientId}: rows ${left} are left in its store`)
  }
}
