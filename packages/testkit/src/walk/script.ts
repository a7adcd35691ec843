/**
 * Operations of the random walk as a script: one operation a line, in JSON, to be printed, kept as a case and played
 * again.
 *
 * `Chooser` makes operations from a seed alone and never looks at the broker, so that the same seed gives the same
 * script against any broker. An operation that does not apply when it is played (a slot that is not connected) is
 * skipped.
 */
import type { Random } from '../random.ts'
import { type Properties, Property, type Version } from './codec.ts'

/** Number of connections of a lane at a time, and of Client Identifiers that they share: so sessions are taken over. */
export const SLOTS = 6
export const CLIENTS = 4
/** Number that stands for the empty Client Identifier in place of a client. */
export const NAMELESS: number = CLIENTS
export const NEVER = 0xffff_ffff

/** Topics below the lane's own first level. The last one is long, so that it does not fit into small packets. */
export const TOPICS: readonly string[] = ['a', 'a/b', 'a/c', 'b/c', 'x', `a/${'long'.repeat(30)}`]
export const FILTERS: readonly string[] = [
  '#',
  'a/#',
  'a/+',
  '+/c',
  'a/b',
  'a/c',
  'x',
  '+',
  // Few topics: messages that groups pass on among each other cannot be judged as closely
  '$share/g/x',
  '$share/g/+/c',
  '$share/h/x',
]

/** Topic Filter below the first level of a lane. */
export function filterOf(lane: number, number: number): string {
  const filter = FILTERS[number]!
  const share = /^\$share\/[^/]+\//.exec(filter)?.[0] ?? ''
  return `${share}L${lane}/${filter.slice(share.length)}`
}

export interface WillAsked {
  readonly topic: number
  readonly qos: number
  readonly retain: boolean
  readonly delay: number
}

export type Op =
  | {
      readonly do: 'connect'
      readonly slot: number
      readonly client: number
      readonly version: Version
      readonly clean: boolean
      /** Session Expiry Interval of 5.0; null when the property is absent. */
      readonly expiry: number | null
      readonly receiveMaximum: number
      readonly packetMax: number
      readonly aliases: number
      readonly will: WillAsked | null
      /** Whether to wait until the broker has closed the connection before. */
      readonly after: boolean
    }
  | { readonly do: 'disconnect'; readonly slot: number; readonly code: number; readonly expiry: number | null }
  | { readonly do: 'drop'; readonly slot: number; readonly reset: boolean }
  | {
      readonly do: 'publish'
      readonly slot: number
      readonly topic: number
      readonly qos: number
      readonly retain: boolean
      /** Bytes of payload; 0 clears the retained message. */
      readonly size: number
      readonly expiry: number
      readonly alias: number
      readonly properties: number
      readonly how: 'whole' | 'split' | 'torn'
    }
  | { readonly do: 'repeat'; readonly slot: number }
  | {
      readonly do: 'subscribe'
      readonly slot: number
      readonly identifier: number
      readonly filters: readonly {
        readonly filter: number
        readonly qos: number
        readonly noLocal: boolean
        readonly retainAsPublished: boolean
        readonly retainHandling: number
      }[]
    }
  | { readonly do: 'unsubscribe'; readonly slot: number; readonly filters: readonly number[] }
  | { readonly do: 'acks'; readonly slot: number; readonly how: Acks }
  | { readonly do: 'release'; readonly slot: number; readonly count: number }
  | { readonly do: 'pubrels'; readonly slot: number; readonly held: boolean }
  | { readonly do: 'deaf'; readonly slot: number; readonly on: boolean }
  | { readonly do: 'ping'; readonly slot: number }
  | { readonly do: 'pause'; readonly ms: number }
  | { readonly do: 'sync' }
  | { readonly do: 'settle'; readonly afterwards: 'stay' | 'drop' | 'leave' }
  | { readonly do: 'restart'; readonly how: 'term' | 'kill' }

/** Acknowledgement of received messages by a slot: at once, when it is told to, or with errors (5.0). */
export type Acks = 'auto' | 'hold' | 'refuse'

const EXPIRIES: readonly (number | null)[] = [null, 0, 1, 2, 1000, 1000, 1000, NEVER]

const times = <T>(count: number, what: T): T[] => new Array<T>(count).fill(what)

const KINDS: readonly Op['do'][] = [
  ...times(42, 'publish' as const),
  ...times(9, 'subscribe' as const),
  ...times(4, 'unsubscribe' as const),
  ...times(8, 'connect' as const),
  ...times(3, 'disconnect' as const),
  ...times(4, 'drop' as const),
  ...times(5, 'acks' as const),
  ...times(8, 'release' as const),
  ...times(2, 'pubrels' as const),
  ...times(2, 'deaf' as const),
  ...times(2, 'ping' as const),
  ...times(2, 'repeat' as const),
  ...times(6, 'pause' as const),
  ...times(5, 'sync' as const),
]

const SETTLE_EVERY = 250

export class Chooser {
  readonly #random: Random
  readonly #slots: (number | null)[] = new Array<number | null>(SLOTS).fill(null)
  #untilSettle = SETTLE_EVERY

  constructor(random: Random) {
    this.#random = random
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.between(0, from.length - 1)]!
  }

  next(): Op {
    const random = this.#random
    if (--this.#untilSettle <= 0) {
      this.#untilSettle = random.between(SETTLE_EVERY / 2, (SETTLE_EVERY * 3) / 2)
      this.#slots.fill(null)
      return { do: 'settle', afterwards: this.#pick(['stay', 'drop', 'leave'] as const) }
    }
    const kind = this.#pick(KINDS)
    if (kind === 'pause') return { do: 'pause', ms: random.chance(0.003) ? 2_600 : random.between(0, 4) }
    if (kind === 'sync') return { do: 'sync' }
    const used = this.#slots.flatMap((client, slot) => (client === null ? [] : [slot]))
    if (kind === 'connect' || used.length === 0) return this.#connect()
    const slot = this.#pick(used)
    switch (kind) {
      case 'publish':
        return this.#publish(slot)
      case 'subscribe':
        return {
          do: 'subscribe',
          slot,
          identifier: random.chance(0.4) ? random.between(1, 300) : 0,
          filters: Array.from({ length: random.chance(0.7) ? 1 : random.between(2, 4) }, () => ({
            filter: random.between(0, FILTERS.length - 1),
            qos: random.between(0, 2),
            noLocal: random.chance(0.2),
            retainAsPublished: random.chance(0.3),
            retainHandling: random.between(0, 2),
          })),
        }
      case 'unsubscribe':
        return {
          do: 'unsubscribe',
          slot,
          filters: Array.from({ length: random.chance(0.8) ? 1 : 2 }, () => random.between(0, FILTERS.length - 1)),
        }
      case 'disconnect':
        this.#slots[slot] = null
        return {
          do: 'disconnect',
          slot,
          code: random.chance(0.3) ? 4 : 0,
          expiry: random.chance(0.5) ? this.#pick(EXPIRIES) : null,
        }
      case 'drop':
        this.#slots[slot] = null
        return { do: 'drop', slot, reset: random.chance(0.5) }
      case 'acks':
        return { do: 'acks', slot, how: this.#pick(['auto', 'auto', 'hold', 'refuse'] as const) }
      case 'release':
        return { do: 'release', slot, count: random.between(1, 6) }
      case 'pubrels':
        return { do: 'pubrels', slot, held: random.chance(0.5) }
      case 'deaf':
        return { do: 'deaf', slot, on: random.chance(0.4) }
      case 'repeat':
        return { do: 'repeat', slot }
      default:
        return { do: 'ping', slot }
    }
  }

  #connect(): Op {
    const random = this.#random
    const slot = random.between(0, SLOTS - 1)
    const client = random.chance(0.04) ? NAMELESS : random.between(0, CLIENTS - 1)
    // The client that had this Client Identifier is disconnected
    for (const [other, owner] of this.#slots.entries()) if (owner === client) this.#slots[other] = null
    this.#slots[slot] = client
    const version = this.#pick([3, 4, 4, 5, 5, 5, 5] as const)
    return {
      do: 'connect',
      slot,
      client,
      version,
      clean: client === NAMELESS || random.chance(0.2),
      expiry: this.#pick(EXPIRIES),
      receiveMaximum: random.chance(0.5) ? this.#pick([1, 1, 2, 3, 5, 20, 100]) : 0,
      packetMax: random.chance(0.15) ? this.#pick([60, 100, 200, 2_000]) : 0,
      aliases: random.chance(0.3) ? random.between(1, 4) : 0,
      will: random.chance(0.3)
        ? {
            topic: random.between(0, TOPICS.length - 1),
            qos: random.between(0, 2),
            retain: random.chance(0.3),
            delay: random.chance(0.7) ? 0 : random.between(1, 2),
          }
        : null,
      after: random.chance(0.5),
    }
  }

  #publish(slot: number): Op {
    const random = this.#random
    const retain = random.chance(0.2)
    const size = random.chance(0.02)
      ? random.between(4_000, 9_000)
      : random.chance(0.002)
        ? 150_000
        : random.between(12, 80)
    return {
      do: 'publish',
      slot,
      topic: random.between(0, TOPICS.length - 1),
      qos: random.between(0, 2),
      retain,
      size: retain && random.chance(0.3) ? 0 : size,
      expiry: random.chance(0.1) ? this.#pick([1, 1_000, NEVER]) : 0,
      alias: random.chance(0.2) ? random.between(1, 3) : 0,
      properties: random.chance(0.2) ? random.between(1, 31) : 0,
      how: random.chance(0.04) ? 'split' : random.chance(0.01) ? 'torn' : 'whole',
    }
  }
}

/** Properties of a message, as the bits of its operation choose them. */
export function propertiesOf(bits: number, responseTopic: string): Properties {
  const user = [['b', '1'] as const, ['a', '2'] as const, ['b', '1'] as const]
  return [
    ...(bits & 1 ? [[Property.PayloadFormat, 0] as const] : []),
    ...(bits & 2 ? [[Property.ContentType, 'text/plain; \u00fc'] as const] : []),
    ...(bits & 4 ? [[Property.ResponseTopic, responseTopic] as const] : []),
    ...(bits & 8 ? [[Property.CorrelationData, Buffer.from([0, 1, 254, 255])] as const] : []),
    ...(bits & 16 ? user.map((pair) => [Property.UserProperty, pair] as const) : []),
  ]
}

export function print(script: readonly Op[]): string {
  return script.map((op) => `${JSON.stringify(op)}\n`).join('')
}

/** Parses a script. @throws for another text */
export function parse(text: string): Op[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('//'))
    .map((line) => JSON.parse(line) as Op)
}
