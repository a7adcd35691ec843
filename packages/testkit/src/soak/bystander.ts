/**
 * The client that has nothing to do with all the trouble: it publishes ten times a second at QoS 1 and measures how long its
 * message takes to come back. Used by `side.ts`; connects without the failing network.
 */
import { type Client, createClient } from '@recado/client'

const PERIOD_MS = 100
const TOPIC = 'bystander'

export class Bystander {
  readonly #client: Client
  readonly #subscription: { readonly ready: Promise<unknown> }
  #latencies: number[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(port: number) {
    this.#client = createClient(`mqtt://127.0.0.1:${port}`, {
      clientId: 'bystander',
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 500 },
    })
    this.#subscription = this.#client.subscribe(TOPIC, { qos: 1 }, (message) => {
      this.#latencies.push(performance.now() - Number(message.text()))
    })
  }

  async start(): Promise<void> {
    await this.#client.connect()
    await this.#subscription.ready
    this.#timer = setInterval(() => {
      if (!this.#client.connected) return
      // A broker that is being killed is no measurement: what is lost with it counts nowhere.
      this.#client.publish(TOPIC, String(performance.now()), { qos: 1 }).catch(() => undefined)
    }, PERIOD_MS)
  }

  /** Milliseconds, since the last call. */
  take(): number[] {
    const latencies = this.#latencies
    this.#latencies = []
    return latencies
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#client.close({ drainMs: 0 })
  }
}
