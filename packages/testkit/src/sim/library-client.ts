/**
 * The client library in the simulation: its real code on a simulated `Environment`, and an application that keeps what it
 * promises: a publish that has resolved was acknowledged, every promise settles, QoS 2 arrives once.
 */
import {
  Client,
  type Environment,
  type Message,
  type MqttError,
  type Timer,
  type Transport,
  type TransportHandler,
} from '@recado/client'
import { resolveOptions } from '@recado/client/testing'
import type { Properties, QoS, Subscription } from '@recado/protocol'
import type { Cable, ClientEnd } from './cable.ts'
import type { Chance } from './chance.ts'
import type { Handle, Loop } from './loop.ts'
import type { ClientProfile } from './wire-client.ts'

export interface LibraryWorld {
  readonly loop: Loop
  dial(name: string, end: ClientEnd): Cable | null
  cover(name: string): void
  received(clientId: string, topic: string, payload: string, qos: QoS, isNewSession: boolean, by: number): void
  failed(text: string): void
}

/** One connection: a `Transport` of the client library on a cable. */
export class CableTransport implements Transport, ClientEnd {
  cable: Cable | null = null
  #handler: TransportHandler | null = null
  #early: (() => void)[] = []
  isDestroyed = false

  start(handler: TransportHandler): void {
    this.#handler = handler
    const early = this.#early
    this.#early = []
    for (const call of early) call()
  }

  #tell(call: (handler: TransportHandler) => void): void {
    if (this.#handler === null) this.#early.push(() => call(this.#handler!))
    else call(this.#handler)
  }

  onData(bytes: Uint8Array): void {
    // What arrives after `destroy` nobody reads.
    if (!this.isDestroyed) this.#tell((handler) => handler.onData(bytes))
  }

  onClose(error: Error | null): void {
    this.#tell((handler) => handler.onClose(error))
  }

  onDrain(): void {
    this.#tell((handler) => handler.onDrain())
  }

  write(bytes: Uint8Array): boolean {
    return this.cable!.write(new Uint8Array(bytes))
  }

  pause(): void {
    this.cable!.pauseReading()
  }

  resume(): void {
    this.cable!.resumeReading()
  }

  end(): void {
    this.cable!.endFromClient()
  }

  destroy(): void {
    this.isDestroyed = true
    this.cable!.cut()
  }
}

export class LibraryClient {
  readonly profile: ClientProfile
  readonly #world: LibraryWorld
  readonly #chance: Chance
  readonly #environment: Environment
  #client: Client | null = null
  #connections = 0
  cable: Cable | null = null
  readonly #unsettled: Map<number, string> = new Map()
  #calls = 0
  #isNewSession = true
  #subscriptions = 0

  constructor(profile: ClientProfile, world: LibraryWorld, chance: Chance) {
    this.profile = profile
    this.#world = world
    this.#chance = chance
    const { loop } = world
    this.#environment = {
      dial: async (_address, _options, signal) => {
        // The network takes its time.
        await new Promise<void>((resolve) => loop.after(1, resolve))
        signal.throwIfAborted()
        return this.#dial()
      },
      now: () => loop.nowMs,
      setTimer: (callback, ms) => loop.after(ms, callback) as Timer,
      clearTimer: (timer) => loop.cancel(timer as Handle),
      defer: (callback) => loop.defer(callback),
      random: () => chance.next(),
    }
  }

  #dial(): Transport {
    const transport = new CableTransport()
    const cable = this.#world.dial(`${this.profile.clientId}#${++this.#connections}`, transport)
    if (cable === null) throw Object.assign(new Error('nobody listens'), { code: 'ERR_MQTT_UNREACHABLE' }) as MqttError
    transport.cable = cable
    this.cable = cable
    return transport
  }

  get isConnected(): boolean {
    return this.#client?.connected === true
  }

  /** Messages that it has sent and that have not been acknowledged. */
  get inflight(): number {
    return this.#client?.pending.inflight ?? 0
  }

  /** Calls whose promise has not settled. */
  get unsettled(): string[] {
    return [...this.#unsettled.values()]
  }

  /** Before 5.0 a client cannot begin anew and keep its session afterwards: then it has to live on. */
  get mustLive(): boolean {
    return this.profile.version < 5 && this.profile.expirySeconds > 0
  }

  /** Always with a new session: what an earlier client knew of it is gone. */
  connect(): void {
    const name = this.#client?.state.name
    if (name !== undefined && name !== 'closed') return
    const { clientId, version, expirySeconds, keepAliveSeconds, receiveMaximum, topicAliasMaximum, will } = this.profile
    const { maximumPacketSize, usesAliases } = this.profile
    this.#world.cover('library.client')
    const client = new Client(
      this.#environment,
      resolveOptions({
        url: 'mqtt://sim',
        clientId,
        protocolVersion: version,
        cleanStart: version === 5 || expirySeconds === 0,
        ...(version === 5 ? { sessionExpiryIntervalSeconds: expirySeconds } : {}),
        keepAliveSeconds,
        receiveMaximum,
        topicAliasMaximum,
        topicAliases: usesAliases,
        ...(maximumPacketSize > 0 ? { maximumPacketSize } : {}),
        ...(will === null ? {} : { will: { ...will } }),
        connectTimeoutMs: 5_000,
        retryFirst: true,
        reconnect: { minMs: 20, maxMs: 1_000, retry: () => true },
      }),
    )
    this.#client = client
    client.onMessage = (message) => this.#received(message, 0)
    client.onHandlerError = (error) => this.#world.failed(`${clientId}: a handler threw ${String(error)}`)
    client.onState((state) => {
      if (state.name !== 'connected') return
      this.#world.cover('library.connected')
      if (!state.session.sessionPresent) this.#isNewSession = true
    })
    this.#settles('connect', client.connect())
  }

  /** `by`: which subscription; a message is handed to every one that it matches. */
  #received(message: Message, by: number): void {
    const isNewSession = this.#isNewSession
    this.#isNewSession = false
    this.#world.cover('library.received')
    this.#world.received(this.profile.clientId, message.topic, message.text(), message.qos, isNewSession, by)
  }

  /** Checks that a promise settles, whatever the outcome. */
  #settles(what: string, promise: PromiseLike<unknown>): void {
    const number = this.#calls++
    this.#unsettled.set(number, what)
    const done = (): void => {
      this.#unsettled.delete(number)
    }
    promise.then(done, done)
  }

  publish(topic: string, payload: string, qos: QoS, retain: boolean, properties: Properties): void {
    const client = this.#client
    if (client === null) return
    const given = this.profile.version === 5 ? { properties } : {}
    this.#settles(`publish ${topic} at QoS ${qos}`, client.publish(topic, payload, { qos, retain, ...given }))
  }

  subscribe(subscriptions: readonly Subscription[]): void {
    const client = this.#client
    const name = client?.state.name
    if (client === null || name === 'closing' || name === 'closed') return
    for (const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } of subscriptions) {
      const options = this.profile.version === 5 ? { noLocal, retainAsPublished, retainHandling } : {}
      const by = ++this.#subscriptions
      const all = { qos, ...options, identifier: by % 2 === 0 }
      const subscription = client.subscribe(topicFilter, all, (message) => this.#received(message, by))
      this.#settles(`subscribe ${topicFilter}`, subscription.ready)
    }
  }

  unsubscribe(topicFilters: readonly string[]): void {
    if (this.#client !== null) this.#settles(`unsubscribe ${topicFilters}`, this.#client.unsubscribe(topicFilters))
  }

  close(reasonCode: number, isPatient: boolean): void {
    if (this.#client !== null)
      this.#settles('close', this.#client.close({ drainMs: isPatient ? 1_000 : 0, reasonCode }))
  }

  crash(): void {
    this.#client?.destroy()
    this.cable?.cut()
    this.#client = null
    this.#world.loop.after(this.#chance.between(10, 500), () => this.connect())
  }
}
