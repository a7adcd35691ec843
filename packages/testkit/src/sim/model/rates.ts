/**
 * Rate limits, as docs/configuration.md and ADR 0009 promise them: a second's worth at once, what comes is always taken and
 * may leave a debt, and nobody is read while he has one. Who has been held back for the grace period without a second's
 * rest is disconnected, nobody earlier.
 */
import type { Model } from './model.ts'
import type { ModelConnection } from './state.ts'
import type { InPacket } from './types.ts'

export interface RateLimits {
  /** Infinity: no limit; so are the others. */
  readonly messagesPerSecond: number
  readonly bytesPerSecond: number
  readonly graceMs: number
  readonly listenerMessagesPerSecond: number
  readonly listenerBytesPerSecond: number
}

const REST_MS = 1_000
/** A part of a message or byte may be gained before it is taken or after. */
const SLACK = 1

class Bucket {
  readonly perSecond: number
  #level: number
  #atMs: number

  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond
    this.#level = perSecond
    this.#atMs = nowMs
  }

  at(nowMs: number): number {
    if (this.perSecond === Number.POSITIVE_INFINITY) return 0
    this.#level = Math.min(this.perSecond, this.#level + ((nowMs - this.#atMs) * this.perSecond) / 1000)
    this.#atMs = nowMs
    return this.#level
  }

  take(count: number): void {
    if (this.perSecond !== Number.POSITIVE_INFINITY) this.#level -= count
  }

  /** Milliseconds until there is no debt. */
  waitMs(nowMs: number): number {
    return Math.max(0, (-this.at(nowMs) * 1000) / this.perSecond)
  }
}

class Client {
  readonly messages: Bucket
  readonly bytes: Bucket
  readonly graceMs: number
  /** Held back without a rest since then: the earliest that can be, and the latest. */
  earliestMs = Number.NEGATIVE_INFINITY
  latestMs = Number.NEGATIVE_INFINITY
  isHeld = false
  /** When it was read again: the latest that can be, and the earliest. */
  readMs = Number.NEGATIVE_INFINITY
  releasedMs = Number.NEGATIVE_INFINITY
  /** The listener was over its rate when it was read last, and had been within it so often. */
  freeTimes = -1

  constructor({ messagesPerSecond, bytesPerSecond }: RateLimits, graceMs: number, nowMs: number) {
    this.graceMs = graceMs
    this.messages = new Bucket(messagesPerSecond, nowMs)
    this.bytes = new Bucket(bytesPerSecond, nowMs)
  }

  level(nowMs: number): number {
    return Math.min(this.messages.at(nowMs), this.bytes.at(nowMs))
  }
}

class Listener {
  readonly messages: Bucket
  readonly bytes: Bucket
  /** Number of times that it has been found within its rate. */
  freeTimes = 0

  constructor({ listenerMessagesPerSecond, listenerBytesPerSecond }: RateLimits, nowMs: number) {
    this.messages = new Bucket(listenerMessagesPerSecond, nowMs)
    this.bytes = new Bucket(listenerBytesPerSecond, nowMs)
  }

  level(nowMs: number): number {
    return Math.min(this.messages.at(nowMs), this.bytes.at(nowMs))
  }
}

export class Rates {
  readonly #model: Model
  readonly #limits: RateLimits
  readonly #startMs: number
  readonly #clients: Map<ModelConnection, Client> = new Map()
  /** State of each listener, its clients together. */
  readonly #listeners: Map<number, Listener> = new Map()

  /**
   * @param model the model
   * @param limits limits of one process of the broker
   */
  constructor(model: Model, limits: RateLimits) {
    this.#model = model
    this.#limits = limits
    this.#startMs = model.nowMs
  }

  #listenerOf({ listener: number }: ModelConnection): Listener {
    let listener = this.#listeners.get(number)
    if (listener === undefined) {
      listener = new Listener(this.#limits, this.#startMs)
      this.#listeners.set(number, listener)
    }
    return listener
  }

  /** Begins a new connection; `graceMs` holds for it until its end. */
  opened(connection: ModelConnection, graceMs: number): void {
    this.#clients.set(connection, new Client(this.#limits, graceMs, this.#model.nowMs))
  }

  /** The broker reads bytes, in which these packets end. `mayEnd` of the connection says for the moment whether it may be the last. */
  read(connection: ModelConnection, bytes: number, packets: readonly InPacket[]): void {
    const { nowMs } = this.#model
    // What comes when it has been ended is thrown away.
    if (connection.state === 'closed') return
    const client = this.#clients.get(connection)!
    const debt = -client.level(nowMs) - SLACK
    if (debt > 0) this.#model.fail('bounds', `${connection.name} is read, and is ${debt.toFixed(1)} over its rate`)
    const listener = this.#listenerOf(connection)
    if (listener.level(nowMs) >= -SLACK) listener.freeTimes++
    else if (client.freeTimes === listener.freeTimes)
      this.#model.fail('bounds', `${connection.name} is read, and its listener is over its rate`)
    if (client.isHeld) client.readMs = nowMs
    client.isHeld = false
    connection.isHeld = false
    // One that ends the connection is nothing that the broker has done.
    const done = packets.filter((packet) => this.#model.violationOf(connection, packet) === null)
    const messages = done.reduce((sum, packet) => sum + costOf(packet), 0)
    for (const bucket of [client.messages, listener.messages]) bucket.take(messages)
    for (const bucket of [client.bytes, listener.bytes]) bucket.take(bytes)
    this.#hold(connection, client, nowMs)
    const isListenerOver = listener.level(nowMs) < -SLACK
    client.freeTimes = isListenerOver ? listener.freeTimes : -1
    connection.isHeld = isListenerOver || client.level(nowMs) < -SLACK
    if (isListenerOver) this.#model.cover('rate.listener')
  }

  #hold(connection: ModelConnection, client: Client, nowMs: number): void {
    const level = client.level(nowMs)
    if (level >= 0) return
    this.#model.cover('rate.held')
    client.isHeld = true
    if (nowMs - client.readMs >= REST_MS) client.earliestMs = nowMs
    if (level < -SLACK) {
      if (nowMs - client.releasedMs >= REST_MS) client.latestMs = nowMs
      client.releasedMs = nowMs + Math.max(client.messages.waitMs(nowMs), client.bytes.waitMs(nowMs))
    } else {
      // Perhaps it is not held back.
      client.releasedMs = Number.NEGATIVE_INFINITY
    }
    connection.heldUntilMs = nowMs + Math.max(client.messages.waitMs(nowMs), client.bytes.waitMs(nowMs))
    if (nowMs - client.earliestMs >= client.graceMs) connection.mayEnd.add(RATE)
  }

  /** Notes that it is not read for now: its own time may be over, and its listener's not. */
  paused(connection: ModelConnection): void {
    const { nowMs } = this.#model
    if (this.#listenerOf(connection).level(nowMs) < 0) connection.isHeld = true
  }

  /** Notes that it has been read. */
  wasRead(connection: ModelConnection): void {
    const client = this.#clients.get(connection)
    if (client === undefined) return
    if (connection.state === 'closed' || connection.state === 'refused') return
    connection.mayEnd.delete(RATE)
    const { nowMs } = this.#model
    const isOver = client.isHeld && client.level(nowMs) < -SLACK
    if (isOver && nowMs - client.latestMs >= client.graceMs)
      this.#model.fail(
        'closing',
        `${connection.name}: over its rate for ${nowMs - client.latestMs} ms, and still connected`,
      )
  }
}

export const RATE = 'over its rate'

/** Acknowledgements do not count; each Topic Filter does. */
function costOf(packet: InPacket): number {
  switch (packet.type) {
    case 'PUBLISH':
    case 'PINGREQ':
    case 'AUTH':
      return 1
    case 'SUBSCRIBE':
    case 'UNSUBSCRIBE':
      return packet.filters.length
    default:
      return 0
  }
}
