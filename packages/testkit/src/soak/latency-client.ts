/**
 * The client of a soak run that measures latency and takes no part in the load: it publishes ten times a second at QoS
 * 1 and measures how long its message takes to come back. Beside it a few bytes go to an echo server and back, which
 * shows the machine's share. Used by `soak-broker.ts`; connects without the failing network.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Client, createClient } from '@recado/client'
import { Child } from '../peers/child.ts'

const PERIOD_MS = 100
const TOPIC = 'latency'

/** Latencies in milliseconds. */
export interface Latencies {
  broker: number[]
  echo: number[]
}

export class LatencyClient {
  readonly #client: Client
  readonly #subscription: { readonly ready: Promise<unknown> }
  #latencies: Latencies = { broker: [], echo: [] }
  #timer: NodeJS.Timeout | undefined
  #echo: Child | null = null
  #socket: Socket | null = null

  constructor(port: number) {
    this.#client = createClient(`mqtt://127.0.0.1:${port}`, {
      clientId: 'latency',
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 500 },
    })
    this.#subscription = this.#client.subscribe(TOPIC, { qos: 1 }, (message) => {
      this.#latencies.broker.push(performance.now() - Number(message.text()))
    })
  }

  async start(): Promise<void> {
    await this.#client.connect()
    await this.#subscription.ready
    await this.#startEcho()
    this.#timer = setInterval(() => {
      this.#socket?.write(`${performance.now()}\n`)
      if (!this.#client.connected) return
      // While the broker is being killed nothing is measured: lost messages count nowhere.
      this.#client.publish(TOPIC, String(performance.now()), { qos: 1 }).catch(() => undefined)
    }, PERIOD_MS)
  }

  async #startEcho(): Promise<void> {
    const port = await new Promise<number>((resolve, reject) => {
      this.#echo = new Child(process.execPath, [fileURLToPath(new URL('./echo.js', import.meta.url))], {
        onLine: (line) => resolve(Number(line)),
      })
      this.#echo.exited.then(() => reject(new Error(`the echo server ended\n${this.#echo?.describe()}`)), reject)
    })
    const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    let unread = ''
    socket.on('data', (chunk: Buffer) => {
      const lines = (unread + chunk.toString()).split('\n')
      unread = lines.pop() ?? ''
      for (const line of lines) this.#latencies.echo.push(performance.now() - Number(line))
    })
    socket.on('error', () => socket.destroy()) // it ends with the run
  }

  /** Returns the latencies since the last call. */
  take(): Latencies {
    const latencies = this.#latencies
    this.#latencies = { broker: [], echo: [] }
    return latencies
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#socket?.destroy()
    this.#echo?.endInput()
    await Promise.allSettled([this.#echo?.wait(), this.#client.close({ drainMs: 0 })])
  }
}
