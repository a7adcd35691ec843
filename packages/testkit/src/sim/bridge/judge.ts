/**
 * The judge of a run with bridges: messages that were published, where each must get to, and where it has got to.
 *
 * It knows the plan and what the clients have sent and received, and nothing of the bridges. `Ledger.settled` judges
 * what is owed when everything has come to rest; the rest is judged as it happens.
 */
import type { Publish } from '@recado/protocol'
import type { EndClient } from './end-client.ts'
import type { BridgeRunPlan, QoS } from './plan.ts'
import { type Arrival, arrivalsOf, linksOf } from './routes.ts'

export interface Publication {
  readonly id: number
  readonly client: EndClient
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly isEmpty: boolean
  readonly text: string
  readonly atMs: number
  readonly arrivals: readonly Arrival[]
  isAcknowledged: boolean
  isRefused: boolean
  /** Receipts by place, a broker and a topic. */
  readonly receipts: Map<string, number>
}

/** Reasons of drops that limits of a queue allow. */
const LIMIT_REASONS: ReadonlySet<string> = new Set(['queue-full', 'queues-full', 'refused-by-remote'])
/** Milliseconds after a bridge is back in which its new session at the other side may not have its subscriptions. */
const SUBSCRIBED_MS = 5_000

const placeOf = (broker: number, topic: string): string => `${broker} ${topic}`

export class Ledger {
  readonly #plan: BridgeRunPlan
  readonly #links: ReturnType<typeof linksOf>
  readonly #fail: (checker: string, text: string) => void
  readonly #publications: Publication[] = []
  /** Number of the last message of a stream that a subscriber has received. */
  readonly #last: Map<string, number> = new Map()
  /** Drops because of limits, by place. */
  readonly #drops: Map<string, number> = new Map()
  /** Times until which messages over a bridge may be lost in one direction, or come twice, by bridge. */
  readonly #lossMs: Map<string, number> = new Map()
  readonly #repeatMs: Map<number, number> = new Map()
  /** Bridges whose remote brokers know more Packet Identifiers than they do. */
  readonly #isDoubtful: Set<number> = new Set()
  /** Places of messages of QoS 0 that a broker has dropped for a reader that was too slow. */
  readonly #slow: Set<string> = new Set()
  readonly #isLimited: boolean
  readonly #isRing: boolean
  readonly #isFaultless: boolean
  /** Brokers that crash, and those whose disk fails, by the plan. */
  readonly #crashing: ReadonlySet<number>
  readonly #failing: ReadonlySet<number>

  constructor(plan: BridgeRunPlan, fail: (checker: string, text: string) => void) {
    this.#plan = plan
    this.#links = linksOf(plan)
    this.#fail = fail
    this.#isLimited = plan.brokers.some(({ queueMessagesMax }) => queueMessagesMax < Number.POSITIVE_INFINITY)
    this.#isRing = plan.shape.startsWith('ring')
    const brokersWith = (kind: 'crash' | 'disk'): Set<number> =>
      new Set(plan.steps.flatMap(({ step }) => (step.kind === kind ? [step.broker] : [])))
    this.#crashing = brokersWith('crash')
    this.#failing = brokersWith('disk')
    this.#isFaultless = plan.steps.every(({ step }) => step.kind === 'publish')
  }

  publish(
    client: EndClient,
    fields: Pick<Publication, 'topic' | 'qos' | 'retain' | 'isEmpty'>,
    atMs: number,
    bytes: number,
  ): Publication {
    const id = this.#publications.length
    const arrivals = arrivalsOf(this.#links, client.plan.broker, fields.topic)
    const publication: Publication = {
      ...{ id, client, ...fields, atMs, arrivals, isAcknowledged: false, isRefused: false, receipts: new Map() },
      text: fields.isEmpty ? '' : `${id}:${'.'.repeat(bytes)}`,
    }
    this.#publications.push(publication)
    return publication
  }

  acknowledged(id: number): void {
    this.#publications[id]!.isAcknowledged = true
  }

  refused(id: number): void {
    this.#publications[id]!.isRefused = true
  }

  dropped(broker: number, topic: string, qos: number, reason: string): void {
    // A retained message that is asked for may be one that this broker has sent.
    if (reason === 'loop' && !this.#isRing && !topic.includes('/kept/'))
      this.#fail('loop', `a message to ${topic} is dropped for a loop`)
    if (reason === 'slow-reader') this.#slow.add(placeOf(broker, topic))
    if (qos === 0 || !LIMIT_REASONS.has(reason)) return
    const place = placeOf(broker, topic)
    this.#drops.set(place, (this.#drops.get(place) ?? 0) + 1)
  }

  // --- sessions that an administrator removes -----------------------------------------------------------------------

  /** The session of a bridge is removed at its own broker, or at the remote one. */
  forgotten(bridge: number, isNear: boolean): void {
    this.#lossMs.set(`${bridge} ${isNear}`, Number.POSITIVE_INFINITY)
    this.#repeatMs.set(bridge, Number.POSITIVE_INFINITY)
    // The remote broker may hold any Packet Identifier, until each has been released.
    if (isNear) this.#isDoubtful.add(bridge)
  }

  /** Whether a session of a bridge has been removed: the other side may keep a Packet Identifier that is never released. */
  get hasForgotten(): boolean {
    return this.#repeatMs.size > 0 || this.#plan.bridges.some(({ addresses }) => addresses > 1)
  }

  bridgeUp(bridge: number, nowMs: number): void {
    const untilMs = nowMs + SUBSCRIBED_MS
    for (const key of [`${bridge} true`, `${bridge} false`]) {
      // It may have failed again before the remote broker had its subscriptions.
      if (nowMs <= (this.#lossMs.get(key) ?? -1)) this.#lossMs.set(key, untilMs)
    }
    const isOver = this.#repeatMs.get(bridge) === Number.POSITIVE_INFINITY && !this.#isDoubtful.has(bridge)
    if (isOver) this.#repeatMs.set(bridge, untilMs)
  }

  #mayBeLost({ atMs }: Publication, { hops }: Arrival): boolean {
    return hops.some(
      ({ bridge, isPush }) =>
        atMs <= (this.#lossMs.get(`${bridge} ${isPush}`) ?? -1) || (isPush && this.#mayBeRefused(bridge)),
    )
  }

  /** Without a path a message of MQTT 5.0 does not say that a bridge brings it, and is refused while the disk fails. */
  #mayBeRefused(bridge: number): boolean {
    const { version, options, remote } = this.#plan.bridges[bridge]!
    return version === 5 && options.includes('bridge_path off') && this.#failing.has(remote)
  }

  #mayRepeat({ atMs }: Publication, { hops }: Arrival): boolean {
    return hops.some(
      ({ bridge }) => this.#plan.bridges[bridge]!.addresses > 1 || atMs <= (this.#repeatMs.get(bridge) ?? -1),
    )
  }

  // --- receipts -----------------------------------------------------------------------------------------------------

  received(client: EndClient, { topic, payload, properties, qos }: Publish): void {
    const text = new TextDecoder().decode(payload)
    if (text === '' || topic.startsWith('$SYS/')) return
    const { broker, clientId, version } = client.plan
    const publication = this.#publications[Number(text.slice(0, text.indexOf(':')))]
    if (publication === undefined || publication.text !== text) {
      this.#fail('content', `${clientId} gets ${JSON.stringify(text.slice(0, 40))} on ${topic}, which nobody published`)
      return
    }
    const arrivals = publication.arrivals.filter((each) => each.broker === broker && each.topic === topic)
    if (arrivals.length === 0) {
      this.#fail('route', `${clientId} gets ${nameOf(publication)} on ${topic}, where it does not belong`)
      return
    }
    const place = placeOf(broker, topic)
    const count = (publication.receipts.get(place) ?? 0) + 1
    publication.receipts.set(place, count)
    // With limits the first of two may have been dropped, and the other one comes by a longer way, or after a crash.
    const isEither = this.#isLimited && (arrivals.length > 1 || this.#crashing.size > 0)
    if (count === 1 && !isEither) this.#checkOrder(publication, clientId, topic, qos)
    this.#checkCount(publication, arrivals, client, count)
    const most = Math.max(...arrivals.map((each) => Math.min(each.qos, publication.qos)))
    if (qos > most)
      this.#fail('content', `${clientId} gets ${nameOf(publication)} at QoS ${qos}, and ${most} is its highest`)
    // What is retained may have come back from a broker of 3.1.1.
    const hasProperties = version === 5 && publication.client.plan.version === 5 && !publication.retain
    if (!hasProperties || !arrivals.every(({ keepsProperties }) => keepsProperties)) return
    const own = properties.userProperties?.find(([name]) => name === 'id')
    if (own?.[1] !== String(publication.id)) {
      this.#fail('content', `${clientId} gets ${nameOf(publication)} without its User Property`)
    }
  }

  #checkOrder(
    { id, client, topic, qos, retain }: Publication,
    subscriber: string,
    here: string,
    receivedQoS: number,
  ): void {
    // What is retained may come once more after a later one that was deleted.
    if (retain || this.#mayOvertake(client)) return
    const stream = `${subscriber} ${here} ${client.plan.clientId} ${topic} ${qos} ${receivedQoS}`
    const last = this.#last.get(stream) ?? -1
    if (id < last) {
      this.#fail(
        'order',
        `${subscriber} gets message ${id} of ${client.plan.clientId} to ${topic} at QoS ${qos} after ${last}`,
      )
      return
    }
    this.#last.set(stream, id)
  }

  /** Before MQTT 5.0 a message that the disk does not take is not answered, and comes again behind later ones. */
  #mayOvertake({ plan: { version, broker } }: EndClient): boolean {
    return version < 5 && this.#failing.has(broker)
  }

  #checkCount(publication: Publication, arrivals: readonly Arrival[], { plan }: EndClient, count: number): void {
    if (publication.retain || count <= arrivals.length) return
    const isExact =
      publication.qos === 2 &&
      arrivals.every(
        (each) =>
          each.qos === 2 &&
          each.places.every(({ broker }) => this.#plan.brokers[broker]!.maximumQoS === 2) &&
          !this.#mayRepeat(publication, each),
      )
    if (isExact || (this.#isFaultless && arrivals.every((each) => !this.#mayRepeat(publication, each)))) {
      this.#fail('once', `${plan.clientId} gets ${nameOf(publication)} ${count} times, and ${arrivals.length} is right`)
    }
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Judges what is owed: everything has come to rest. */
  settled(): void {
    /** Messages that are missing, by topic and place, with the places on their ways. */
    const missing = new Map<string, { count: number; ways: Set<string>; example: Publication; arrival: Arrival }>()
    for (const publication of this.#publications) {
      const { qos, isAcknowledged, isRefused, isEmpty } = publication
      if (qos === 0 || isRefused || isEmpty) continue
      if (!isAcknowledged) this.#fail('settled', `${nameOf(publication)} was never acknowledged`)
      for (const [place, arrivals] of byPlace(publication.arrivals)) {
        const owed = arrivals.filter((each) => each.qos > 0 && !this.#mayBeLost(publication, each))
        const count = publication.receipts.get(place) ?? 0
        if (owed.length === 0 || count >= owed.length) continue
        const key = `${publication.topic} ${place}`
        const known = missing.get(key) ?? { count: 0, ways: new Set(), example: publication, arrival: owed[0]! }
        known.count += owed.length - count
        for (const { places } of owed) for (const { broker, topic } of places) known.ways.add(placeOf(broker, topic))
        missing.set(key, known)
      }
    }
    for (const { count, ways, example, arrival } of missing.values()) {
      const allowed = this.#isLimited ? [...ways].reduce((sum, place) => sum + (this.#drops.get(place) ?? 0), 0) : 0
      if (count <= allowed) continue
      const where = `the subscriber of broker ${arrival.broker}`
      this.#fail('loss', `${nameOf(example)} never reached ${where}: ${count} are missing, and ${allowed} were dropped`)
    }
  }

  /** Judges what is retained. `textAt` returns the payload at a broker; null when there is none. */
  checkRetained(textAt: (broker: number, topic: string) => string | null): void {
    if (this.#isLimited) return
    const last = new Map<string, Publication>()
    // What is refused while the disk fails may be retained all the same.
    const doubtful = new Set<string>()
    for (const publication of this.#publications) {
      if (publication.retain) last.set(publication.topic, publication)
      if (publication.retain && publication.isRefused) doubtful.add(publication.topic)
    }
    for (const publication of last.values()) {
      if (this.#mayComeBack(publication)) continue
      if (publication.qos === 0 || doubtful.has(publication.topic) || this.#mayOvertake(publication.client)) {
        this.#checkRetainedOnce(publication, textAt)
        continue
      }
      // A deletion at QoS 0 does not wait for a bridge that is away, and what it was to delete may come back in a ring.
      const isForgotten = publication.isEmpty && publication.arrivals.some(({ qos }) => qos === 0)
      for (const arrival of publication.arrivals) {
        const text = textAt(arrival.broker, arrival.topic) ?? ''
        if (isForgotten || this.#mayBeLost(publication, arrival)) continue
        if (text === publication.text || (arrival.qos === 0 && this.#mayForget(arrival))) continue
        const has = text === '' ? 'nothing' : JSON.stringify(text.slice(0, 20))
        const wants = publication.isEmpty ? 'nothing' : JSON.stringify(publication.text.slice(0, 20))
        this.#fail('retained', `broker ${arrival.broker} retains ${has} for ${arrival.topic}, and ${wants} is right`)
      }
    }
  }

  /**
   * Before MQTT 5.0 a remote broker that is asked for retained messages of a topic that goes both ways may answer with
   * one that has just been replaced here.
   */
  #mayComeBack({ arrivals }: Publication): boolean {
    return this.#plan.bridges.some(
      ({ version, lines }, index) =>
        version < 5 &&
        lines.some(
          ({ direction, qos, root }) =>
            direction === 'both' &&
            (qos === 0 || version === 3 || this.hasForgotten) &&
            arrivals.some(
              ({ topic, hops }) => topic.includes(`${root}/`) && hops.some(({ bridge }) => bridge === index),
            ),
        ),
    )
  }

  /** A broker on the way has no duty to keep what it gets at QoS 0: it crashes, its disk fails, or a reader is slow. */
  #mayForget({ places }: Arrival): boolean {
    if (places.some(({ broker, topic }) => this.#slow.has(placeOf(broker, topic)))) return true
    return places.slice(1).some(({ broker }) => this.#crashing.has(broker) || this.#failing.has(broker))
  }

  /**
   * Judges what may have been lost on its way to its broker, or have come there in another order: what that one has, the
   * bridges bring to the others. What a remote broker has got at QoS 0 they do not know.
   */
  #checkRetainedOnce(
    { client, topic, arrivals }: Publication,
    textAt: (broker: number, topic: string) => string | null,
  ): void {
    const here = textAt(client.plan.broker, topic)
    if (here === null) return
    for (const arrival of arrivals) {
      const { broker, topic: there, hops } = arrival
      if (!hops.every(({ isPush }) => isPush) || textAt(broker, there) === here || this.#mayForget(arrival)) continue
      this.#fail(
        'retained',
        `broker ${broker} has not the message that broker ${client.plan.broker} retains for ${topic}`,
      )
    }
  }
}

function byPlace(arrivals: readonly Arrival[]): Map<string, Arrival[]> {
  const places = new Map<string, Arrival[]>()
  for (const arrival of arrivals) {
    const place = placeOf(arrival.broker, arrival.topic)
    const known = places.get(place)
    if (known === undefined) places.set(place, [arrival])
    else known.push(arrival)
  }
  return places
}

const nameOf = ({ id, client, topic, qos }: Publication): string =>
  `message ${id} of ${client.plan.clientId} to ${topic} at QoS ${qos}`
