/**
 * An honest pair of clients beside the attack: one publishes at QoS 1 at a steady pace, one subscribes. Their losses
 * and delays measure the attack.
 *
 * Used by `run.ts`. Every message has a number and the time at which it was sent; it must arrive once and in order, and
 * violations are counted. A connection that ends is reopened after a moment, and counted.
 */
import { setTimeout as after } from 'node:timers/promises'
import { type Packet, PacketType, Puback } from '@recado/protocol'
import { bytesOf, connectBytes, publishBytes, type Route, subscribeBytes, Wire } from './wire.ts'

const EVERY_MS = 5

export interface PairReport {
  readonly sent: number
  readonly lost: number
  readonly disordered: number
  readonly disconnects: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly worstMs: number
}

export class Bystander {
  readonly #way: number | Route
  /** Prefix of its Client Identifiers and its topic. */
  readonly #name: string
  readonly #topic: string
  #publisher: Wire | null = null
  #subscriber: Wire | null = null
  readonly #sentAt: Map<number, number> = new Map()
  #latencies: number[] = []
  #next = 0
  #last = -1
  #sent = 0
  #disordered = 0
  #disconnects = 0
  #isClosing = false

  /** @param way how to reach the broker; a port alone means plain TCP */
  constructor(way: number | Route) {
    this.#way = way
    this.#name = typeof way === 'number' ? `${process.pid}` : `${way.layer}-${process.pid}`
    this.#topic = `bystander/${this.#name}`
  }

  /** Resolves when both are connected and subscribed. */
  async start(): Promise<void> {
    const subscribed = new Promise<void>((resolve) => {
      this.#openSubscriber(resolve)
    })
    await subscribed
    await new Promise<void>((resolve) => {
      this.#openPublisher(resolve)
    })
  }

  #openSubscriber(ready: () => void): void {
    const wire: Wire = new Wire(this.#way, (packet) => this.#received(wire, packet, ready))
    wire.write(
      connectBytes(`bystander-s-${this.#name}`, {
        cleanStart: false,
        properties: { sessionExpiryIntervalSeconds: 300 },
      }),
    )
    this.#subscriber = wire
    wire.socket.once('close', () => {
      if (this.#isClosing || this.#subscriber !== wire) return
      this.#disconnects++
      setTimeout(() => this.#openSubscriber(() => {}), 100)
    })
  }

  #openPublisher(ready: () => void): void {
    const wire = new Wire(this.#way, (packet) => {
      if (packet.type === PacketType.CONNACK) ready()
    })
    wire.write(connectBytes(`bystander-p-${this.#name}`))
    this.#publisher = wire
    wire.socket.once('close', () => {
      if (this.#isClosing || this.#publisher !== wire) return
      this.#disconnects++
      setTimeout(() => this.#openPublisher(() => {}), 100)
    })
  }

  #received(wire: Wire, packet: Packet, ready: () => void): void {
    if (packet.type === PacketType.CONNACK) wire.write(subscribeBytes(1, [this.#topic], 0, 1))
    else if (packet.type === PacketType.SUBACK) ready()
    else if (packet.type === PacketType.PUBLISH) {
      const now = performance.now()
      if (packet.qos > 0) wire.write(bytesOf(5, new Puback(packet.packetId)))
      const number = new DataView(packet.payload.buffer, packet.payload.byteOffset).getUint32(0)
      const sentAt = this.#sentAt.get(number)
      if (sentAt === undefined) return
      this.#sentAt.delete(number)
      if (number < this.#last) this.#disordered++
      this.#last = number
      this.#latencies.push(now - sentAt)
    }
  }

  /** Publishes for a given time, waits for late messages, and returns the measurements. */
  async watch(ms: number, lateMs: number): Promise<PairReport> {
    this.#latencies = []
    this.#sentAt.clear()
    this.#sent = 0
    this.#disordered = 0
    this.#disconnects = 0
    const start = performance.now()
    for (let due = start; due < start + ms; due += EVERY_MS) {
      const wait = due - performance.now()
      if (wait > 0) await after(wait)
      this.#publish()
    }
    const until = performance.now() + lateMs
    while (this.#sentAt.size > 0 && performance.now() < until) await after(20)
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
    return {
      sent: this.#sent,
      lost: this.#sentAt.size,
      disordered: this.#disordered,
      disconnects: this.#disconnects,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      worstMs: sorted.at(-1) ?? Number.NaN,
    }
  }

  #publish(): void {
    const payload = new Uint8Array(32)
    const number = this.#next++
    new DataView(payload.buffer).setUint32(0, number)
    this.#sent++
    this.#sentAt.set(number, performance.now())
    this.#publisher!.write(publishBytes(this.#topic, payload, 1, 1 + (number % 60_000)))
  }

  close(): void {
    this.#isClosing = true
    this.#publisher?.destroy()
    this.#subscriber?.destroy()
  }
}
