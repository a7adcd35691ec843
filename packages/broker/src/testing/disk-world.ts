/**
 * A `World` on a simulated disk that takes its time: nothing is safe before `settle`, and `crash` makes the world of the next process
 * from what was.
 */
import type { Connack as ConnackPacket, ConnectOptions, Subscription } from '@recado/protocol'
import { Connack, Suback, Subscribe } from '@recado/protocol'
import { type AtCrash, SimStore } from './sim-store.ts'
import { subscriptionTo, type TestClient } from './test-client.ts'
import { World, type WorldOptions } from './world.ts'

/** CONNECT of a durable session. */
export const DURABLE: Partial<ConnectOptions> = {
  cleanStart: false,
  properties: { sessionExpiryIntervalSeconds: 3600 },
}

export class DiskWorld extends World {
  readonly disk: SimStore
  readonly #options: WorldOptions

  constructor(options: WorldOptions = {}, disk: SimStore = new SimStore()) {
    super({ ...options, store: disk })
    this.disk = disk
    this.#options = options
  }

  /** Finishes all writes that are on their way to the disk, and their consequences. */
  settle(): this {
    for (let i = 0; i < 5; i++) {
      this.advance(60)
      this.together(() => this.disk.flush())
    }
    return this
  }

  /** Connects, and waits for whatever the CONNACK waits for. */
  connected(client: TestClient, options: Partial<ConnectOptions> = DURABLE): ConnackPacket {
    client.connect(options)
    this.settle()
    return client.take(Connack)
  }

  subscribed(client: TestClient, topicFilter: string, options: Partial<Subscription> = {}): number {
    client.send(new Subscribe(client.packetId(), [subscriptionTo(topicFilter, options)]))
    this.settle()
    return client.take(Suback).reasonCodes[0]!
  }

  /** Returns a client with a durable session and these subscriptions. */
  durable(clientId: string, ...topicFilters: string[]): TestClient {
    const client = this.client(clientId)
    this.connected(client)
    for (const topicFilter of topicFilters) this.subscribed(client, topicFilter)
    return client
  }

  /** The power goes; the broker starts again, `laterMs` later, with other options if they are given. */
  crash(laterMs = 0, options: WorldOptions = this.#options, inFlight: AtCrash = 'lost'): DiskWorld {
    return new DiskWorld({ ...options, nowMs: this.clock.nowMs() + laterMs }, this.disk.crash(inFlight))
  }
}
