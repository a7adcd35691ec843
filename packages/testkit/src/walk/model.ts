/**
 * A model of the wire: messages that must, may and must not come. The random walk's own small model of messages,
 * subscriptions and retained messages.
 *
 * It models only what a client can know, and nothing inside a broker: each event has the time at which it was asked for
 * and that at which it was answered, as ticks of one clock. A request that was answered before a message was sent
 * applies to it; one that was made later than the message was acknowledged does not; between them both are right. So no
 * order of processing is assumed.
 *
 * Sources: MQTT 5.0 sections 3.3.4, 3.8.4, 4.4, 4.6, 4.8.
 */
import { numberOf, type Packet, type Properties, Property, propertyOf, type Version } from './codec.ts'

export const FOREVER: number = Number.POSITIVE_INFINITY

/** Clock of a lane: each packet that is sent or received is a tick. */
export class Ticks {
  #now = 0

  get now(): number {
    return this.#now
  }

  next(): number {
    return ++this.#now
  }
}

export class Message {
  readonly number: number
  /** Number of the client that publishes it. */
  readonly publisher: number
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payload: Uint8Array
  readonly properties: Properties
  readonly expirySeconds: number
  readonly isWill: boolean
  readonly sentAt: number
  readonly sentMs: number
  /**
   * Tick from which it is owed: a Will is owed to those who were subscribed when it was due; any other message to those
   * who were when it was sent.
   */
  owedFrom: number
  /** Tick until which the broker may take it, for the first time or again. */
  doneAt: number = FOREVER
  /** State. open: may have been taken; accepted: was; refused, never: was not; cancelled: a Will that must not come. */
  state: 'open' | 'accepted' | 'refused' | 'never' | 'cancelled' | 'due' = 'open'
  cancelledMs = 0
  /** Number of times that it was sent again. */
  repeats = 0
  /** Whether it was sent on a connection before 5.0 as well, without its properties. */
  isBare = false
  /** Whether the publisher's session may have been lost in between: the broker may take it for a new one. */
  mayRepeat = false

  constructor(
    what: Pick<
      Message,
      | 'number'
      | 'publisher'
      | 'topic'
      | 'qos'
      | 'retain'
      | 'payload'
      | 'properties'
      | 'expirySeconds'
      | 'isWill'
      | 'sentAt'
    >,
  ) {
    this.number = what.number
    this.publisher = what.publisher
    this.topic = what.topic
    this.qos = what.qos
    this.retain = what.retain
    this.payload = what.payload
    this.properties = what.properties
    this.expirySeconds = what.expirySeconds
    this.isWill = what.isWill
    this.sentAt = what.sentAt
    this.owedFrom = what.sentAt
    this.sentMs = performance.now()
  }

  get isClear(): boolean {
    return this.payload.length === 0
  }

  /** Whether it may be gone before any client has seen it. */
  get isShortLived(): boolean {
    return this.expirySeconds > 0 && this.expirySeconds < 600
  }
}

/** Payload: `#12:` and then bytes that follow from the number; clears are empty and have no number. */
export function payloadOf(number: number, size: number): Uint8Array {
  if (size === 0) return new Uint8Array(0)
  const head = Buffer.from(`#${number}:`)
  const payload = Buffer.alloc(Math.max(size, head.length))
  for (let i = head.length; i < payload.length; i++) payload[i] = (number * 31 + i * 7) & 0xff
  head.copy(payload)
  return payload
}

export function numberIn(payload: Uint8Array): number | null {
  const match = /^#(\d+):/.exec(Buffer.from(payload.subarray(0, 16)).toString('latin1'))
  return match === null ? null : Number(match[1])
}

export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const levels = topic.split('/')
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false
  }
  return wanted.length === levels.length
}

/** Period of a subscription: from SUBSCRIBE to the UNSUBSCRIBE, or SUBSCRIBE with other options, that ends it. */
export class SubscriptionPeriod {
  readonly filter: string
  /** Topic Filter without `$share/NAME/`. */
  readonly pattern: string
  readonly isShared: boolean
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
  readonly identifier: number
  readonly askedAt: number
  grantedAt: number = FOREVER
  endAskedAt: number = FOREVER
  endedAt: number = FOREVER

  constructor(
    what: Pick<
      SubscriptionPeriod,
      'filter' | 'qos' | 'noLocal' | 'retainAsPublished' | 'retainHandling' | 'identifier' | 'askedAt'
    >,
  ) {
    this.filter = what.filter
    const share = /^\$share\/[^/]+\/(.*)$/.exec(what.filter)
    this.isShared = share !== null
    this.pattern = share?.[1] ?? what.filter
    this.qos = what.qos
    this.noLocal = what.noLocal
    this.retainAsPublished = what.retainAsPublished
    this.retainHandling = what.retainHandling
    this.identifier = what.identifier
    this.askedAt = what.askedAt
  }

  /** Whether the message may come by it, now that it has been published. */
  mayCarry(message: Message, client: number): boolean {
    return (
      matches(this.pattern, message.topic) &&
      this.askedAt < message.doneAt &&
      this.endedAt > message.sentAt &&
      !(this.noLocal && message.publisher === client)
    )
  }

  /** Returns true when this subscription must carry the message to the client. */
  mustCarry(message: Message, client: number): boolean {
    return (
      matches(this.pattern, message.topic) &&
      this.grantedAt <= message.owedFrom &&
      this.endAskedAt >= message.doneAt &&
      !(this.noLocal && message.publisher === client)
    )
  }
}

/** Retained messages: all that may be, by topic. */
export class Retained {
  readonly #byTopic = new Map<string, Message[]>()

  add(message: Message): void {
    const all = this.#byTopic.get(message.topic)
    if (all === undefined) this.#byTopic.set(message.topic, [message])
    else all.push(message)
  }

  topics(): IterableIterator<string> {
    return this.#byTopic.keys()
  }

  /** Whether another one had replaced it for good before `tick`. */
  wasReplaced(message: Message, tick: number): boolean {
    return (this.#byTopic.get(message.topic) ?? []).some(
      (other) => other.state === 'accepted' && other.doneAt < tick && other.sentAt > message.doneAt,
    )
  }

  /** Messages of which one is retained; with `mayBeNone` perhaps none is. */
  candidates(topic: string): { messages: Message[]; mayBeNone: boolean } {
    const all = this.#byTopic.get(topic) ?? []
    const messages = all.filter((message) => isPossible(message) && !this.wasReplaced(message, FOREVER))
    const isSet = all.some(({ state, doneAt }) => state === 'accepted' && doneAt < FOREVER)
    const mayBeNone = !isSet || messages.some((message) => message.isClear || message.isShortLived)
    return { messages: messages.filter(({ isClear }) => !isClear), mayBeNone }
  }

  /** Forgets messages that can no longer be retained. A topic that has been set stays known as such. */
  prune(): void {
    for (const [topic, all] of this.#byTopic) {
      this.#byTopic.set(
        topic,
        all.filter((message) => isPossible(message) && !this.wasReplaced(message, FOREVER)),
      )
    }
  }

  holds(message: Message): boolean {
    return this.#byTopic.get(message.topic)?.includes(message) ?? false
  }
}

function isPossible({ state }: Message): boolean {
  return state !== 'refused' && state !== 'never' && state !== 'cancelled'
}

/** Receipts of one message by one session. */
class Receipt {
  live = 0
  any = 0
  /** Whether it has come below QoS 2. */
  wasBelow = false
}

export interface Arrival {
  readonly packet: Packet
  /** Topic, aliases resolved. */
  readonly topic: string
  readonly message: Message | null
  readonly version: Version
  /** Whether it was sent again on a new connection, under its Packet Identifier. */
  readonly isRepeat: boolean
}

/** Subscriptions of one client, and the messages that have come to its session. */
export class Subscriptions {
  readonly client: number
  periods: SubscriptionPeriod[] = []
  /** Tick from which messages are owed: before that the session may have been another one. */
  owedFrom = 0
  /** Time of the last crash of the broker: messages in flight at QoS 1 may come as new. */
  crashedMs = 0
  /** Number of PUBLISH packets that have come. */
  arrivals = 0
  /** Time of the last end of the broker, orderly or not. */
  stoppedMs = 0
  readonly #receipts = new Map<number, Receipt>()
  readonly #lastInOrder = new Map<string, number>()
  readonly #once: boolean
  readonly #found: (kind: string, text: string) => void
  readonly #retained: Retained

  /** @param once whether a message comes once, however many subscriptions of the client match it */
  constructor(client: number, once: boolean, retained: Retained, found: (kind: string, text: string) => void) {
    this.client = client
    this.#retained = retained
    this.#once = once
    this.#found = found
  }

  /** Begins a new session. */
  reset(): void {
    this.periods = []
    this.#receipts.clear()
    this.#lastInOrder.clear()
  }

  /** Notes that the session may be a new one. */
  blur(tick: number): void {
    this.owedFrom = tick
    for (const period of this.periods) period.grantedAt = FOREVER
  }

  subscribe(period: SubscriptionPeriod): void {
    for (const other of this.periods) {
      if (other.filter === period.filter && other.endAskedAt === FOREVER) other.endAskedAt = period.askedAt
    }
    this.periods.push(period)
  }

  granted(period: SubscriptionPeriod, tick: number): void {
    period.grantedAt = tick
    for (const other of this.periods) {
      if (other.filter === period.filter && other.askedAt < period.askedAt && other.endedAt === FOREVER)
        other.endedAt = tick
    }
  }

  unsubscribe(filter: string, tick: number): void {
    for (const period of this.periods) {
      if (period.filter === filter && period.endAskedAt === FOREVER) period.endAskedAt = tick
    }
  }

  unsubscribed(filter: string, askedAt: number, tick: number): void {
    for (const period of this.periods) {
      if (period.filter === filter && period.askedAt < askedAt && period.endedAt === FOREVER) period.endedAt = tick
    }
  }

  /** Whether there is such a subscription; null when unknown. */
  has(filter: string): boolean | null {
    const open = this.periods.filter((period) => period.filter === filter && period.endedAt === FOREVER)
    if (open.length === 0) return false
    return open.some((period) => period.grantedAt < FOREVER && period.endAskedAt === FOREVER) ? true : null
  }

  hasReceived(message: Message): boolean {
    return (this.#receipts.get(message.number)?.any ?? 0) > 0
  }

  /** Checks a PUBLISH: whether it may come, with which contents, how often, and in which order. */
  receive({ packet, topic, message, version, isRepeat }: Arrival): void {
    const { qos, retain, dup, payload } = packet
    this.arrivals++
    // A message that a member of a group leaves behind goes to another one, whenever that one came
    const mayBeInherited = this.periods.some((period) => period.isShared && matches(period.pattern, topic))
    if (message === null) {
      if (payload.length > 0 && !mayBeInherited)
        this.#found('unexpected', `${topic}: ${excerpt(payload)} was not published, or long ago`)
      return
    }
    const what = `message ${message.number} (QoS ${message.qos}${message.retain ? ', RETAIN' : ''}${message.isWill ? ', a Will' : ''}) on ${topic.slice(0, 12)}`
    if (message.state === 'never' || message.state === 'refused' || message.state === 'cancelled') {
      this.#found(message.isWill ? 'will' : 'unexpected', `${what} comes and was ${message.state}`)
      return
    }
    if (topic !== message.topic || !Buffer.from(payload).equals(message.payload)) {
      this.#found('changed', `${what} comes as ${topic} ${excerpt(payload)}`)
      return
    }
    if (isRepeat) {
      this.#receipt(message).any++
      return
    }
    const here = this.periods.filter((period) => period.mayCarry(message, this.client))
    const live = here.filter(({ retainAsPublished }) => retain === (retainAsPublished && message.retain))
    const stored =
      retain && message.retain
        ? this.periods.filter((period) => !period.isShared && matches(period.pattern, topic))
        : []
    const ways = [...live, ...stored]
    if (mayBeInherited) {
      this.#receipt(message).any++
      return
    }
    if (ways.length === 0) {
      this.#found('unexpected', `${what} comes with RETAIN ${retain ? 1 : 0} and no subscription has asked for it so`)
      return
    }
    if (!ways.some((way) => Math.min(way.qos, message.qos) === qos))
      this.#found('qos', `${what} comes at QoS ${qos}, subscribed at ${ways.map((way) => way.qos)}`)
    if (version === 5) this.#compare(packet, message, ways, what)
    if (live.length === 0 && stored.every((way) => this.#retained.wasReplaced(message, way.askedAt)))
      this.#found('retained', `${what} comes as retained and had been replaced before SUBSCRIBE`)
    this.#count(packet, message, here.length, stored.length > 0, what)
    if (!retain && !dup) this.#order(message, qos, what)
  }

  #receipt({ number }: Message): Receipt {
    let receipt = this.#receipts.get(number)
    if (receipt === undefined) {
      receipt = new Receipt()
      this.#receipts.set(number, receipt)
    }
    return receipt
  }

  #count(packet: Packet, message: Message, ways: number, mayBeStored: boolean, what: string): void {
    const receipt = this.#receipt(message)
    receipt.any++
    if (packet.qos < 2) receipt.wasBelow = true
    if (mayBeStored) return
    receipt.live++
    if (receipt.live <= (this.#once ? Math.min(ways, 1) : ways)) return
    if (message.mayRepeat || (message.qos === 1 && message.repeats > 0)) return
    // Below QoS 2 it goes out before it is on the disk, and a restart may undo that its publisher was heard
    if (receipt.wasBelow && message.repeats > 0 && message.sentMs < this.stoppedMs) return
    // At QoS 1 an unacknowledged message comes again; with DUP [MQTT-3.3.1-1]
    if (packet.qos === 1 && (packet.dup || message.sentMs < this.crashedMs)) return
    // At QoS 0 one that waited on the disk behind others may come again after a crash: nobody waits for the disk.
    if (packet.qos === 0 && message.sentMs < this.crashedMs) return
    this.#found('twice', `${what} comes ${receipt.live} times, QoS ${packet.qos}, DUP ${packet.dup ? 1 : 0}`)
  }

  #order(message: Message, qos: number, what: string): void {
    if (message.isWill || message.isClear || message.repeats > 0 || message.mayRepeat) return
    if ((this.#receipts.get(message.number)?.any ?? 0) > 1) return
    const key = `${message.publisher} ${message.topic} ${message.qos} ${qos}`
    const last = this.#lastInOrder.get(key) ?? 0
    if (message.number < last) this.#found('order', `${what} comes at QoS ${qos} after message ${last}`)
    else this.#lastInOrder.set(key, message.number)
  }

  #compare({ properties }: Packet, message: Message, ways: SubscriptionPeriod[], what: string): void {
    const local: readonly number[] = [Property.SubscriptionIdentifier, Property.TopicAlias, Property.MessageExpiry]
    const own = (all: Properties): string =>
      JSON.stringify(
        all
          .filter(([id]) => !local.includes(id))
          .map(([id, value]) => [id, value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value])
          // Different properties may stand in any order, User Properties may not
          .sort(([a], [b]) => (a as number) - (b as number)),
      )
    if (message.isBare) return
    if (own(properties) !== own(message.properties))
      this.#found('changed', `${what} comes with properties ${own(properties)}, was ${own(message.properties)}`)
    const expiry = numberOf(properties, Property.MessageExpiry, 0)
    if (expiry > message.expirySeconds)
      this.#found('expiry', `${what} comes with ${expiry} s, was ${message.expirySeconds}`)
    if (message.expirySeconds > 0 && propertyOf(properties, Property.MessageExpiry) === undefined)
      this.#found('expiry', `${what} comes without a Message Expiry Interval, was ${message.expirySeconds}`)
    const identifiers = properties.filter(([id]) => id === Property.SubscriptionIdentifier).map(([, value]) => value)
    const known = ways.map(({ identifier }) => identifier)
    if (identifiers.some((identifier) => !known.includes(identifier as number)))
      this.#found('identifier', `${what} comes with Subscription Identifiers ${identifiers}, subscribed with ${known}`)
    if (identifiers.length === 0 && known.every((identifier) => identifier > 0))
      this.#found('identifier', `${what} comes without a Subscription Identifier, subscribed with ${known}`)
  }

  /** Returns subscriptions by which the message is owed to this session. */
  owedBy(message: Message): SubscriptionPeriod[] {
    if (message.owedFrom < this.owedFrom) return []
    return this.periods.filter((period) => !period.isShared && period.mustCarry(message, this.client))
  }

  forget(isOld: (number: number) => boolean, tick: number): void {
    for (const number of this.#receipts.keys()) if (isOld(number)) this.#receipts.delete(number)
    this.periods = this.periods.filter(({ endedAt }) => endedAt > tick)
  }
}

function excerpt(payload: Uint8Array): string {
  return `${payload.length} bytes ${JSON.stringify(Buffer.from(payload.subarray(0, 24)).toString('latin1'))}`
}
