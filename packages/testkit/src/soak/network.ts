/**
 * A network that can fail: a TCP proxy whose connections are cut, torn in the middle of a packet, or stalled.
 *
 * The clients of a soak run reach the broker through it (`soak-broker.ts`), so that a fault is the same for every
 * library. It knows nothing of MQTT. It passes bytes on in order and whole, up to the moment of a fault.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../random.ts'

interface ProxiedConnection {
  readonly ends: readonly [client: Socket, broker: Socket]
  /** Whether only the first half of the next chunk goes on, and the connection ends. */
  isTorn: boolean
  /** Whether neither end is read from. */
  isStalled: boolean
}

export class Network {
  readonly #server: Server
  readonly #connections: Set<ProxiedConnection> = new Set()
  readonly #random: Random
  cuts = 0
  tears = 0
  stalls = 0

  private constructor(brokerPort: number, random: Random) {
    this.#random = random
    this.#server = createServer({ noDelay: true }, (client) => {
      const broker = connect({ port: brokerPort, host: '127.0.0.1', noDelay: true })
      const proxied: ProxiedConnection = { ends: [client, broker], isTorn: false, isStalled: false }
      this.#connections.add(proxied)
      this.#pass(proxied, client, broker)
      this.#pass(proxied, broker, client)
    })
  }

  static async open(brokerPort: number, random: Random): Promise<Network> {
    const network = new Network(brokerPort, random)
    await new Promise<void>((resolve, reject) => {
      network.#server.once('error', reject)
      network.#server.listen(0, '127.0.0.1', resolve)
    })
    return network
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Cuts one connection, for both sides. */
  cut(): void {
    const proxied = this.#any()
    if (proxied === null) return
    this.cuts++
    this.#end(proxied)
  }

  /** Ends one connection in the middle of the next chunk. */
  tear(): void {
    const proxied = this.#any()
    if (proxied === null) return
    this.tears++
    proxied.isTorn = true
  }

  /** Stalls one connection for a while; neither side learns of it. */
  stall(ms: number): void {
    const proxied = this.#any()
    if (proxied === null || proxied.isStalled) return
    this.stalls++
    proxied.isStalled = true
    for (const end of proxied.ends) end.pause()
    setTimeout(() => {
      proxied.isStalled = false
      for (const end of proxied.ends) end.resume()
    }, ms)
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const proxied of this.#connections) this.#end(proxied)
    await closed
  }

  #any(): ProxiedConnection | null {
    const all = [...this.#connections]
    return all[this.#random.between(0, all.length - 1)] ?? null
  }

  #end(proxied: ProxiedConnection): void {
    this.#connections.delete(proxied)
    for (const end of proxied.ends) end.destroy()
  }

  #pass(proxied: ProxiedConnection, from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (proxied.isTorn) {
        to.end(chunk.subarray(0, chunk.length >> 1))
        from.destroy()
        return
      }
      if (to.write(chunk)) return
      from.pause()
      to.once('drain', () => {
        if (!proxied.isStalled) from.resume()
      })
    })
    from.on('end', () => to.end())
    from.on('error', () => this.#end(proxied)) // either side may reset: that is the purpose
    from.on('close', () => {
      // Not end(): an end that is not read from, because its own reader is stalled, would stay for ever.
      to.destroySoon()
      this.#connections.delete(proxied)
    })
  }
}
