/**
 * A simulated world for tests: a clock that moves when told, a network in memory, and `FakeServer`, the other end of a
 * connection, which the test scripts packet by packet. Nothing here waits for real time.
 */
import assert from 'node:assert/strict'
import {
  Connack,
  type Connect,
  Decoder,
  encode,
  type Packet,
  type Properties,
  type ProtocolVersion,
} from '@recado/protocol'
import { Client } from '../client.ts'
import type { Environment, Timer } from '../environment.ts'
import { type ConnectOptions, resolveOptions } from '../options.ts'
import type { ServerAddress, Transport, TransportHandler } from '../transports/transport.ts'

/** Lets everything that is ready to run, run. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}

interface SimulatedTimer {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

export class SimulatedTransport implements Transport {
  readonly server: FakeServer
  paused = false
  /** Answers `write` with `false` while true. */
  full = false
  closed = false
  #handler: TransportHandler | null = null

  constructor(server: FakeServer) {
    this.server = server
  }

  start(handler: TransportHandler): void {
    this.#handler = handler
  }

  write(bytes: Uint8Array): boolean {
    if (!this.closed) this.server.receive(bytes)
    return !this.full
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  end(): void {
    this.close(null)
  }

  destroy(): void {
    this.close(null)
  }

  // ---- the server's side

  deliver(bytes: Uint8Array): void {
    if (!this.closed) this.#handler?.onData(bytes)
  }

  drain(): void {
    this.full = false
    this.#handler?.onDrain()
  }

  close(error: Error | null): void {
    if (this.closed) return
    this.closed = true
    const handler = this.#handler
    if (handler !== null) queueMicrotask(() => handler.onClose(error))
  }
}

/** The server's end of one connection. */
export class FakeServer {
  readonly transport: SimulatedTransport = new SimulatedTransport(this)
  readonly address: ServerAddress
  /** Not taken by `next` or `expect`. */
  readonly received: Packet[] = []
  version: ProtocolVersion = 5
  readonly #decoder = new Decoder({ role: 'server' })
  #waiting: ((packet: Packet) => void) | null = null

  constructor(address: ServerAddress) {
    this.address = address
  }

  receive(bytes: Uint8Array): void {
    this.#decoder.push(bytes.slice())
    for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) {
      if (packet.type === 1) this.version = packet.protocolVersion
      const waiting = this.#waiting
      this.#waiting = null
      if (waiting !== null) waiting(packet)
      else this.received.push(packet)
    }
  }

  /** Returns the next packet that the client sends. */
  async next(): Promise<Packet> {
    const packet = this.received.shift()
    if (packet !== undefined) return packet
    return await new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** Returns the next packet, which must be of this type. */
  async expect<Type extends Packet['type']>(type: Type): Promise<Extract<Packet, { type: Type }>> {
    const packet = await this.next()
    if (packet.type !== type) assert.fail(`expected packet type ${type}, got ${JSON.stringify(packet)}`)
    return packet as Extract<Packet, { type: Type }>
  }

  /** Several packets go in one chunk. */
  send(...packets: Packet[]): void {
    const encoded = packets.map((packet) => encode(packet, this.version))
    const bytes = new Uint8Array(encoded.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of encoded) {
      bytes.set(part, at)
      at += part.length
    }
    this.transport.deliver(bytes)
  }

  /** Takes CONNECT and accepts it. */
  async accept(properties: Properties = {}, sessionPresent = false): Promise<Connect> {
    const connect = await this.expect(1)
    this.send(new Connack(sessionPresent, 0, this.version === 5 ? properties : {}))
    return connect
  }

  /** The connection breaks. */
  break(error: Error | null = new Error('broken')): void {
    this.transport.close(error)
  }
}

export class SimulatedWorld implements Environment {
  readonly servers: FakeServer[] = []
  /** Number that `random()` returns. */
  chance = 0.5
  /** Dialling fails with this while it is set. */
  unreachable: Error | null = null
  /** The date at which the clock of this world is 0. */
  epoch = 1_000_000_000_000
  /** Dialling answers never while true. */
  silent = false
  #now = 0
  #order = 0
  readonly #timers = new Set<SimulatedTimer>()
  readonly #wakers = new Set<() => void>()
  #waiting: ((server: FakeServer) => void) | null = null

  get timers(): number {
    return this.#timers.size
  }

  readonly dial: Environment['dial'] = async (address, _options, signal) => {
    if (this.unreachable !== null) throw this.unreachable
    if (this.silent) {
      return await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    }
    const server = new FakeServer(address)
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting !== null) waiting(server)
    else this.servers.push(server)
    return server.transport
  }

  /** Returns the next connection that a client opens. */
  async connection(): Promise<FakeServer> {
    const server = this.servers.shift()
    if (server !== undefined) return server
    return await new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  now(): number {
    return this.#now
  }

  date(): number {
    return this.epoch + this.#now
  }

  setTimer(callback: () => void, ms: number): Timer {
    const timer: SimulatedTimer = { at: this.#now + ms, order: this.#order++, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as SimulatedTimer)
  }

  defer(callback: () => void): void {
    queueMicrotask(callback)
  }

  random(): number {
    return this.chance
  }

  onWake(callback: () => void): () => void {
    this.#wakers.add(callback)
    return () => this.#wakers.delete(callback)
  }

  /** Number of listeners that wait for `wake`. */
  get wakers(): number {
    return this.#wakers.size
  }

  /** Time passes, and no timer goes off: the machine sleeps. */
  sleep(ms: number): void {
    this.#now += ms
  }

  /** The tab is shown again. */
  wake(): void {
    for (const waker of [...this.#wakers]) waker()
  }

  /** Time passes; what becomes due runs in order, with everything that follows from it. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      await turn()
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (due === undefined) break
      this.#now = Math.max(this.#now, due.at)
      this.#timers.delete(due)
      due.callback()
    }
    this.#now = until
    await turn()
  }

  client(options: ConnectOptions = {}): Client {
    return new Client(this, resolveOptions({ url: 'mqtt://server', ...options }))
  }

  /** Returns a client that is connected, and its server. */
  async connected(
    options: ConnectOptions = {},
    properties: Properties = {},
  ): Promise<{ client: Client; server: FakeServer; connect: Connect }> {
    const client = this.client(options)
    const connecting = client.connect()
    const server = await this.connection()
    const connect = await server.accept(properties)
    await connecting
    return { client, server, connect }
  }
}
