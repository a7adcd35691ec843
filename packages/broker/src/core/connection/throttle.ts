/**
 * Rate limits: how many messages and bytes a second may come from a client and over a listener, and how many
 * connections.
 *
 * Back-pressure first: a client over a rate is not read until it is within it again, so that TCP slows the sender down
 * and nothing is lost. A client that a limit of its own has held back without a rest for `rateGraceMs` is disconnected
 * with 0x96 Message rate too high. Clients that a listener's limit holds back wait in line: none overtakes.
 *
 * A `Connection` has a `Throttle` only where its listener has such a limit; otherwise it is null and costs a
 * comparison. The `Connections` make one `ListenerThrottle` for each listener that has limits for all of its clients
 * together.
 *
 * A bucket gains `perSecond` tokens each second, up to as many. A packet is always accepted and may leave a debt, so
 * that one larger than the bucket passes and is paid for afterwards. Time is the turn's; one timer of the wheel for
 * each connection that waits, nothing per message.
 */
import { PacketType } from '@recado/protocol'
import type { Limits } from '../base/limits.ts'
import { Timer, type TimerWheel } from '../base/timer-wheel.ts'
import type { Turn } from '../base/turn.ts'

/** A client that has not been held back for so long is within its rate. */
const REST_MS = 1_000
const NO_LIMIT = Number.MAX_SAFE_INTEGER

/** Packet types that count as messages; acknowledgements do not, because the broker asked for them. */
const COUNTED_TYPES: number =
  (1 << PacketType.PUBLISH) |
  (1 << PacketType.SUBSCRIBE) |
  (1 << PacketType.UNSUBSCRIBE) |
  (1 << PacketType.PINGREQ) |
  (1 << PacketType.AUTH)

/** Debt in tokens that comes of the arithmetic alone: nobody is over a rate by it. */
const ROUNDING = 1e-6

export class TokenBucket {
  readonly #perSecond: number
  #tokens: number
  #filledMs: number

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond
    this.#filledMs = nowMs
  }

  take(count: number): void {
    this.#tokens -= count
  }

  /** Milliseconds until there is no debt; 0: there is none. */
  waitMs(nowMs: number): number {
    if (this.#tokens >= -ROUNDING) return 0
    const gained = ((nowMs - this.#filledMs) * this.#perSecond) / 1000
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained)
    this.#filledMs = nowMs
    return this.#tokens >= -ROUNDING ? 0 : Math.max(1, Math.ceil((-this.#tokens * 1000) / this.#perSecond))
  }

  /** Adds the tokens that have been gained meanwhile. */
  refill(nowMs: number): void {
    const gained = ((nowMs - this.#filledMs) * this.#perSecond) / 1000
    if (gained < 1) return
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained)
    this.#filledMs = nowMs
  }
}

function bucketOf(perSecond: number, nowMs: number): TokenBucket | null {
  return perSecond >= NO_LIMIT ? null : new TokenBucket(perSecond, nowMs)
}

/** A connection that is held back and let go on. */
export interface Throttled {
  readonly listener: string
  /** Stops reading. */
  holdForRate(): void
  /** Goes on with bytes that have arrived. */
  goOnAfterRate(): void
  /** Over its rate for too long. */
  endForRate(): void
}

/** Rate limits shared by the clients of a listener. */
export class ListenerThrottle {
  readonly messages: TokenBucket | null
  readonly bytes: TokenBucket | null
  readonly #connections: TokenBucket | null
  readonly #turn: Turn
  readonly #wheel: TimerWheel
  readonly #timer: Timer
  #line: Throttle[] = []
  #isLettingGoOn = false

  constructor(limits: Limits, turn: Turn, wheel: TimerWheel) {
    this.messages = bucketOf(limits.listenerMessagesPerSecondMax, turn.nowMs)
    this.bytes = bucketOf(limits.listenerBytesPerSecondMax, turn.nowMs)
    this.#connections = bucketOf(limits.listenerConnectionsPerSecondMax, turn.nowMs)
    this.#turn = turn
    this.#wheel = wheel
    this.#timer = new Timer(() => this.#letGoOn())
  }

  /** A connection has come in: milliseconds that it has to wait before it is read. */
  countConnection(): number {
    const bucket = this.#connections
    if (bucket === null) return 0
    const { nowMs } = this.#turn
    bucket.refill(nowMs)
    bucket.take(1)
    return bucket.waitMs(nowMs)
  }

  /** Takes back a count: the connection has been refused. */
  uncountConnection(): void {
    this.#connections?.take(-1)
  }

  /** Milliseconds until a connection may go on, behind those that wait already; 0: at once. */
  waitMs(nowMs: number): number {
    const waitMs = Math.max(this.messages?.waitMs(nowMs) ?? 0, this.bytes?.waitMs(nowMs) ?? 0)
    return waitMs === 0 && this.#line.length > 0 && !this.#isLettingGoOn ? 1 : waitMs
  }

  queue(throttle: Throttle, waitMs: number): void {
    this.#line.push(throttle)
    if (!this.#timer.isSet) this.#wheel.set(this.#timer, this.#turn.nowMs + waitMs)
  }

  #letGoOn(): void {
    this.#turn.begin()
    const { nowMs } = this.#turn
    const line = this.#line
    this.#line = []
    this.#isLettingGoOn = true
    let next = 0
    // Each goes on until it or the listener is over its rate again, and then stands behind the others.
    for (; next < line.length && this.waitMs(nowMs) === 0; next++) line[next]!.goOn()
    this.#isLettingGoOn = false
    this.#line = line.slice(next).concat(this.#line)
    if (this.#line.length > 0) this.#wheel.set(this.#timer, nowMs + Math.max(1, this.waitMs(nowMs)))
  }
}

export class Throttle {
  readonly #connection: Throttled
  readonly #messages: TokenBucket | null
  readonly #bytes: TokenBucket | null
  readonly #listener: ListenerThrottle | null
  readonly #graceMs: number
  readonly #turn: Turn
  readonly #wheel: TimerWheel
  readonly #timer: Timer
  #isHeld = false
  /** Held back by its own limits since then, without a rest. */
  #overSinceMs = Number.POSITIVE_INFINITY
  /** Time when its own limits last let it go on: what its listener's hold back is within its rate. */
  #wentOnMs = Number.NEGATIVE_INFINITY

  constructor(connection: Throttled, limits: Limits, listener: ListenerThrottle | null, turn: Turn, wheel: TimerWheel) {
    this.#connection = connection
    this.#messages = bucketOf(limits.messagesPerSecondMax, turn.nowMs)
    this.#bytes = bucketOf(limits.bytesPerSecondMax, turn.nowMs)
    this.#listener = listener
    this.#graceMs = limits.rateGraceMs
    this.#turn = turn
    this.#wheel = wheel
    this.#timer = new Timer(() => {
      turn.begin()
      this.#wentOnMs = turn.nowMs
      this.goOn()
    })
  }

  /** Bytes have arrived. */
  noteBytes(count: number): void {
    const { nowMs } = this.#turn
    // Refilled once per chunk: a bucket gains next to nothing within a turn.
    this.#messages?.refill(nowMs)
    this.#bytes?.refill(nowMs)
    this.#bytes?.take(count)
    const listener = this.#listener
    if (listener === null) return
    listener.messages?.refill(nowMs)
    listener.bytes?.refill(nowMs)
    listener.bytes?.take(count)
  }

  /** A packet has been handled. */
  notePacket(packetType: number): void {
    if (((COUNTED_TYPES >> packetType) & 1) === 0) return
    this.spend(1)
  }

  /** Work of so many messages has been done. */
  spend(messages: number): void {
    this.#messages?.take(messages)
    this.#listener?.messages?.take(messages)
  }

  /**
   * Holds the connection back if it, or its listener, is over a rate. Returns true when it is held back, or has been
   * ended.
   */
  check(): boolean {
    if (this.#isHeld) return true
    const { nowMs } = this.#turn
    const ownMs = Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0)
    if (ownMs > 0) {
      const isFresh = this.#overSinceMs === Number.POSITIVE_INFINITY || nowMs - this.#wentOnMs >= REST_MS
      if (isFresh) this.#overSinceMs = nowMs
      if (nowMs - this.#overSinceMs >= this.#graceMs) {
        this.#connection.endForRate()
        return true
      }
      this.wait(ownMs)
      return true
    }
    const listenerMs = this.#listener?.waitMs(nowMs) ?? 0
    if (listenerMs === 0) return false
    this.#hold()
    this.#listener!.queue(this, listenerMs)
    return true
  }

  /** Stops reading for so many milliseconds. */
  wait(ms: number): void {
    this.#hold()
    this.#wheel.set(this.#timer, this.#turn.nowMs + ms)
  }

  #hold(): void {
    this.#isHeld = true
    this.#connection.holdForRate()
  }

  /** The wait is over. */
  goOn(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#connection.goOnAfterRate()
  }

  /** The connection has ended. */
  stop(): void {
    this.#isHeld = false
    this.#wheel.clear(this.#timer)
  }
}

/** Rate limits shared by the clients of each listener. */
export interface ListenerThrottles {
  /** Returns the throttle of the listener; null when it has none. */
  throttleOf(listener: string, limits: Limits): ListenerThrottle | null
}

/** Makes a throttle; null when there is no limit for this connection. */
export function throttleFor(
  connection: Throttled,
  limits: Limits,
  { turn, wheel }: { turn: Turn; wheel: TimerWheel },
  throttles: ListenerThrottles,
): Throttle | null {
  const listener = throttles.throttleOf(connection.listener, limits)
  const isLimited = limits.messagesPerSecondMax < NO_LIMIT || limits.bytesPerSecondMax < NO_LIMIT
  return isLimited || listener !== null ? new Throttle(connection, limits, listener, turn, wheel) : null
}

export function hasListenerRate(limits: Limits): boolean {
  return (
    limits.listenerMessagesPerSecondMax < NO_LIMIT ||
    limits.listenerBytesPerSecondMax < NO_LIMIT ||
    limits.listenerConnectionsPerSecondMax < NO_LIMIT
  )
}
