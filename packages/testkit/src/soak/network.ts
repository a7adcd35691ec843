/**
 * A network that can fail: a TCP proxy whose connections are cut, torn in the middle of a packet, or stalled.
 *
 * The clients of a soak run reach the broker through it (`soak-broker.ts`), so that a fault is the same for every
 * library. It knows nothing of MQTT. It passes bytes on in order and whole, up to the moment of a fault.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../random.ts'

interface Link {
  readonly ends: readonly [client: Socket, broker: Socket]
  /** Whether only the first half of the next chunk goes on, and the connection ends. */
  isTorn: boolean
  /** Whether neither end is read from. */
  isStalled: boolean
}

export class Network {
  readonly #server: Server
  readonly #links: Set<Link> = new Set()
  readonly #random: Random
  cuts = 0
  tears = 0
  stalls = 0

  private constructor(brokerPort: number, random: Random) {
    this.#random = random
    this.#server = createServer({ noDelay: true }, (client) => {
      const broker = connect({ port: brokerPort, host: '127.0.0.1', noDelay: true })
      const link: Link = { ends: [client, broker], isTorn: false, isStalled: false }
      this.#links.add(link)
      this.#pass(link, client, broker)
      this.#pass(link, broker, client)
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
    const link = this.#any()
    if (link === null) return
    this.cuts++
    this.#end(link)
  }

  /** Ends one connection in the middle of the next chunk. */
  tear(): void {
    const link = this.#any()
    if (link === null) return
    this.tears++
    link.isTorn = true
  }

  /** Stalls one connection for a while; neither side learns of it. */
  stall(ms: number): void {
    const link = this.#any()
    if (link === null || link.isStalled) return
    this.stalls++
    link.isStalled = true
    for (const end of link.ends) end.pause()
    setTimeout(() => {
      link.isStalled = false
      for (const end of link.ends) end.resume()
    }, ms)
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const link of this.#links) this.#end(link)
    await closed
  }

  #any(): Link | null {
    const links = [...this.#links]
    return links[this.#random.between(0, links.length - 1)] ?? null
  }

  #end(link: Link): void {
    this.#links.delete(link)
    for (const end of link.ends) end.destroy()
  }

  #pass(link: Link, from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (link.isTorn) {
        to.end(chunk.subarray(0, chunk.length >> 1))
        from.destroy()
        return
      }
      if (to.write(chunk)) return
      from.pause()
      to.once('drain', () => {
        if (!link.isStalled) from.resume()
      })
    })
    from.on('end', () => to.end())
    from.on('error', () => this.#end(link)) // either side may reset: that is the purpose
    from.on('close', () => {
      // Not end(): an end that is not read from, because its own reader is stalled, would stay for ever.
      to.destroySoon()
      this.#links.delete(link)
    })
  }
}
