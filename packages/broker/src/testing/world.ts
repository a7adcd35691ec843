/**
 * A whole broker core in a test: simulated time, randomness and transports, all synchronous.
 *
 *     const world = new World({ limits: { queueMessagesMax: 2 } })
 *     const a = world.client('a')
 *     a.connected({ cleanStart: false })
 *     a.subscribe('t/#', { qos: 1 })
 *     world.advance(30_000)
 *
 * After each thing that a client does a turn runs, so the answers are there when the call returns; `together` makes one
 * turn of several. Hooks are given as ports (callbacks), not as promises: a late decision is a callback that the test kept.
 */
import type { Properties, QoS, ReasonCode } from '@recado/protocol'
import { NO_PROPERTIES } from '@recado/protocol'
import { DEFAULT_OPTIONS } from '../broker-options.ts'
import type { PooledBuffer } from '../core/base/buffer-pool.ts'
import type { CorePorts } from '../core/base/context.ts'
import { type Limits, resolveLimits } from '../core/base/limits.ts'
import { Message, Taking } from '../core/base/message.ts'
import type { CoreOptions } from '../core/base/options.ts'
import { type ListenerSettings, resolveSettings } from '../core/connection/listener-settings.ts'
import { Core } from '../core/core.ts'
import { type Authorizer, type BrokerEvents, type Observer, PENDING } from '../ports.ts'
import { SimClock } from './sim-clock.ts'
import { SimRandom } from './sim-random.ts'
import type { SimTransport } from './sim-transport.ts'
import { TestClient, type TestClientOptions } from './test-client.ts'

export interface WorldOptions extends Partial<CoreOptions>, Partial<Omit<CorePorts, 'observer' | 'clock' | 'random'>> {
  limits?: Partial<Limits>
  /** When the world begins. */
  nowMs?: number
  /** Keep all events in `events`; default true. */
  observe?: boolean
  /** Keep `packet.received` and `packet.sent` too; default false. */
  trace?: boolean
}

export type RecordedEvent = {
  [Name in keyof BrokerEvents]: { name: Name; event: BrokerEvents[Name] }
}[keyof BrokerEvents]

/** Overwrites a buffer that has come back to its pool: who still uses it is found out. */
function overwrite({ bytes }: PooledBuffer): void {
  bytes.fill(0xdb)
}

export class World {
  readonly clock: SimClock
  readonly core: Core
  readonly events: RecordedEvent[] = []
  /** null: none, or one that completes its batches by itself. */
  readonly #disk: { step(): boolean } | null
  #depth = 0
  readonly #isTracing: boolean

  constructor(options: WorldOptions = {}) {
    const { limits, nowMs, observe = true, trace = false, ...rest } = options
    this.#isTracing = trace
    this.clock = new SimClock(nowMs)
    const coreOptions: Record<string, unknown> = { ...DEFAULT_OPTIONS }
    const ports: Record<string, unknown> = {
      authenticator: null,
      enhancedAuthenticator: null,
      authorizer: null,
      transformer: null,
      store: null,
      processMemory: null,
    }
    for (const [name, value] of Object.entries(rest)) {
      if (name in DEFAULT_OPTIONS) coreOptions[name] = value
      else ports[name] = value
    }
    const { store } = options as { store?: { step?(): boolean } }
    this.#disk = store?.step === undefined ? null : (store as { step(): boolean })
    this.core = new Core(resolveLimits(limits), coreOptions as unknown as CoreOptions, {
      ...(ports as unknown as CorePorts),
      clock: this.clock,
      random: new SimRandom(),
      observer: observe ? this.#observer() : null,
    })
    this.core.context.buffers.onFree = overwrite
  }

  client(clientId: string, options: TestClientOptions = {}): TestClient {
    return new TestClient(this, clientId, options)
  }

  /** A transport has been opened. */
  accept(transport: SimTransport, settings?: ListenerSettings): void {
    const { limits, options } = this.core
    const own = settings === undefined ? undefined : resolveSettings(limits, options, settings)
    const connection = this.core.connect(transport, own)
    if (connection === null) transport.destroy()
    else transport.start(connection)
  }

  /** Batches get to a simulated disk, one after the other, until it is so or none is on its way. */
  commitUntil(isSo: () => boolean): void {
    while (!isSo() && this.#disk?.step()) this.run()
  }

  /** The turn ends, and all that follow from it. Within `together` nothing happens yet. */
  run(): void {
    if (this.#depth === 0) this.clock.runTurns()
  }

  /** Everything that `action` does happens in one turn. */
  together(action: () => void): void {
    this.#depth++
    try {
      action()
    } finally {
      this.#depth--
    }
    this.run()
  }

  advance(ms: number): void {
    this.clock.advance(ms)
  }

  /** Publishes as the broker itself. */
  publish(o: {
    topic: string
    payload?: string | Uint8Array
    qos?: QoS
    retain?: boolean
    properties?: Properties
    /** News of the broker itself. */
    isNews?: boolean
  }): ReasonCode {
    this.core.turn.begin()
    const payload = typeof o.payload === 'string' ? new TextEncoder().encode(o.payload) : o.payload
    const message = Message.of(
      {
        topic: o.topic,
        payload: payload ?? new Uint8Array(0),
        qos: o.qos ?? 0,
        retain: o.retain ?? false,
        properties: o.properties ?? NO_PROPERTIES,
      },
      null,
      this.core.turn.nowMs,
    )
    const { reasonCode } = this.core.intake.accept(message, o.isNews === true ? Taking.News : Taking.Untold)
    this.run()
    return reasonCode
  }

  /** One counter or gauge, by its name in `core.snapshot()`. */
  metric(name: string): number {
    const value = this.core.snapshot()[name]
    if (value === undefined) throw new Error(`there is no metric ${name}`)
    return value
  }

  /** Returns all events of one name so far. */
  eventsOf<Name extends keyof BrokerEvents>(name: Name): BrokerEvents[Name][] {
    return this.events.filter((recorded) => recorded.name === name).map(({ event }) => event as BrokerEvents[Name])
  }

  #observer(): Observer {
    return new Proxy<Observer>(
      {},
      {
        get: (_, name) => {
          // Each packet is a matter of its own: `trace`.
          if (String(name).startsWith('packet.') && !this.#isTracing) return undefined
          return (event: never) => {
            this.events.push({ name: name as keyof BrokerEvents, event } as RecordedEvent)
          }
        },
      },
    )
  }
}

/** An authorizer that lets everybody subscribe and decides on no PUBLISH by itself: each waits for its call in `decisions`. */
export function decideLater(): { authorizer: Authorizer; decisions: ((reasonCode: ReasonCode) => void)[] } {
  const decisions: ((reasonCode: ReasonCode) => void)[] = []
  const authorizer: Authorizer = {
    publish: (_client, _topic, _qos, _retain, decide) => {
      decisions.push(decide)
      return PENDING
    },
    subscribe: () => 0,
  }
  return { authorizer, decisions }
}
