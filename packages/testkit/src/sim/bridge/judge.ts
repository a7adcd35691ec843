/**
 * The judge of a run with bridges: messages that were published, where each must get to, and where it has got to.
 *
 * It knows the plan and what the clients have sent and received, and nothing of the bridges. `Ledger.settled` judges
 * what is owed when everything has come to rest; the rest is judged as it happens.
 */
import type { Publish } from '@recado/protocol'
import type { EndClient } from './end-client.ts'
import type { BridgeRunPlan, LinePlan, QoS } from './plan.ts'
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
  /** Time of its acknowledgement; Infinity for none. */
  acknowledgedMs: number
  isRefused: boolean
  /** Receipts by place, a broker and a topic. */
  readonly receipts: Map<string, number>
}

/** Reasons of drops that limits of a queue allow. */
const LIMIT_REASONS: ReadonlySet<string> = new Set(['queue-full', 'queues-full', 'refused-by-remote'])
/** Milliseconds after a bridge is back in which a message of before may still come. */
const REPEATED_MS = 5_000
/** Milliseconds after a connection in which retained messages are asked for: what waits goes before. */
const ASKED_MS = 10_000
/** Milliseconds within which a message gets to its broker, and a disk that works again has taken a batch. */
const RECOVERY_MS = 2_000

/** Client Identifiers of bridges, at their own broker and at the remote one. */
const BRIDGE_ID = /^(local\.)?n\d\./

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
  /** Time at which the session of a bridge was removed there, by bridge. */
  readonly #forgottenMs: Map<number, number> = new Map()
  /** Times at which a bridge was connected, by bridge. */
  readonly #ups: Map<number, number[]> = new Map()
  /** Bridges with a CONNECT that was not answered: the next answer does not say whether the session is a new one. */
  readonly #unanswered: Set<number> = new Set()
  /** Times of crashes, and of failures of the disk with their ends, by broker. */
  readonly #crashes: Map<number, number[]> = new Map()
  readonly #failures: Map<number, { readonly fromMs: number; toMs: number }[]> = new Map()
  /** Times until which messages over a bridge may be lost in one direction, or come twice, by bridge. */
  readonly #lossMs: Map<string, number> = new Map()
  readonly #repeatMs: Map<number, number> = new Map()
  /** Bridges whose remote brokers know more Packet Identifiers than they do. */
  readonly #isDoubtful: Set<number> = new Set()
  /** Last time that a message of QoS 0 was dropped because a bridge was too slow, by place. */
  readonly #slowMs: Map<string, number> = new Map()
  readonly #isLimited: boolean
  readonly #isRing: boolean
  readonly #isFaultless: boolean
  /** Whether brokers crash, by the plan. */
  readonly #hasCrashes: boolean

  constructor(plan: BridgeRunPlan, fail: (checker: string, text: string) => void) {
    this.#plan = plan
    this.#links = linksOf(plan)
    this.#fail = fail
    this.#isLimited = plan.brokers.some(({ queueMessagesMax }) => queueMessagesMax < Number.POSITIVE_INFINITY)
    this.#isRing = plan.shape.startsWith('ring')
    this.#hasCrashes = plan.steps.some(({ step }) => step.kind === 'crash')
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
      ...{ id, client, ...fields, atMs, arrivals, isRefused: false, receipts: new Map() },
      acknowledgedMs: Number.POSITIVE_INFINITY,
      text: fields.isEmpty ? '' : `${id}:${'.'.repeat(bytes)}`,
    }
    this.#publications.push(publication)
    return publication
  }

  acknowledged(id: number, nowMs: number): void {
    this.#publications[id]!.acknowledgedMs = nowMs
  }

  refused(id: number): void {
    this.#publications[id]!.isRefused = true
  }

  dropped(broker: number, clientId: string, topic: string, qos: number, reason: string, nowMs: number): void {
    // A retained message that is asked for may be one that this broker has sent.
    if (reason === 'loop' && !this.#isRing && !topic.includes('/kept/'))
      this.#fail('loop', `a message to ${topic} is dropped for a loop`)
    if (reason === 'slow-reader' && BRIDGE_ID.test(clientId)) this.#slowMs.set(placeOf(broker, topic), nowMs)
    if (qos === 0 || !LIMIT_REASONS.has(reason)) return
    const place = placeOf(broker, topic)
    this.#drops.set(place, (this.#drops.get(place) ?? 0) + 1)
  }

  crashed(broker: number, nowMs: number): void {
    pushTo(this.#crashes, broker, nowMs)
    for (const [index, { remote }] of this.#plan.bridges.entries()) {
      const key = `${index} false`
      // Subscriptions that were on their way to the disk are gone.
      if (remote === broker && (this.#lossMs.get(key) ?? -1) >= nowMs) this.#lossMs.set(key, Number.POSITIVE_INFINITY)
    }
  }

  diskFails(broker: number, fromMs: number): void {
    pushTo(this.#failures, broker, { fromMs, toMs: Number.POSITIVE_INFINITY })
  }

  diskWorks(broker: number, toMs: number): void {
    for (const failure of this.#failures.get(broker) ?? []) failure.toMs = Math.min(failure.toMs, toMs)
  }

  /** Whether the disk of a broker fails at a time from `firstMs` to `lastMs`. */
  #failsWithin(broker: number, firstMs: number, lastMs: number): boolean {
    const failures = this.#failures.get(broker) ?? []
    return failures.some(({ fromMs, toMs }) => firstMs <= toMs + RECOVERY_MS && lastMs >= fromMs)
  }

  #failsAfter(broker: number, ms: number): boolean {
    return this.#failsWithin(broker, ms, Number.POSITIVE_INFINITY)
  }

  #crashesAfter(broker: number, ms: number): boolean {
    return this.#crashes.get(broker)?.some((crashMs) => crashMs >= ms) === true
  }

  // --- sessions that an administrator removes -----------------------------------------------------------------------

  /** The session of a bridge is removed at its own broker, or at the remote one. */
  forgotten(bridge: number, isNear: boolean, nowMs: number): void {
    this.#forgottenMs.set(bridge, nowMs)
    this.#lossMs.set(`${bridge} ${isNear}`, Number.POSITIVE_INFINITY)
    this.#repeatMs.set(bridge, Number.POSITIVE_INFINITY)
    // The remote broker may hold any Packet Identifier, until each has been released.
    if (isNear) this.#isDoubtful.add(bridge)
  }

  /** Whether a broker may keep a Packet Identifier that is never released: the other end has forgotten the session. */
  mayKeepIds(broker: number): boolean {
    return this.#plan.bridges.some(
      ({ owner, remote }, index) => (owner === broker || remote === broker) && this.#mayBeNew(index),
    )
  }

  /** Whether one end may have a session of a bridge that the other does not know. */
  #mayBeNew(bridge: number): boolean {
    const { addresses } = this.#plan.bridges[bridge]!
    return addresses > 1 || this.#repeatMs.has(bridge)
  }

  /** A CONNECT was not answered: it may have made a session that nobody knows of. */
  unanswered(bridge: number): void {
    this.#unanswered.add(bridge)
  }

  /** Messages wait for the bridge from now on, if its session here had been removed. */
  bridgeTries(bridge: number, nowMs: number): void {
    const key = `${bridge} true`
    if (this.#lossMs.get(key) === Number.POSITIVE_INFINITY) this.#lossMs.set(key, nowMs)
  }

  /** Bridges whose new session at the remote broker has no subscriptions yet. */
  get unsubscribed(): number[] {
    const keys = [...this.#lossMs].filter(([, ms]) => ms === Number.POSITIVE_INFINITY).map(([key]) => key)
    return keys.filter((key) => key.endsWith('false')).map((key) => Number(key.split(' ')[0]))
  }

  /** The remote broker has the subscriptions of a bridge; they are safe when its disk has taken a batch. */
  subscribed(bridge: number, nowMs: number): void {
    this.#lossMs.set(`${bridge} false`, nowMs + RECOVERY_MS)
  }

  /** `dialledMs`: time at which the connection began. */
  bridgeUp(bridge: number, nowMs: number, dialledMs: number): void {
    pushTo(this.#ups, bridge, nowMs)
    // The answer was on its way when the session was removed.
    if (dialledMs < (this.#forgottenMs.get(bridge) ?? -1)) return
    const isOver = this.#repeatMs.get(bridge) === Number.POSITIVE_INFINITY && !this.#isDoubtful.has(bridge)
    if (isOver) this.#repeatMs.set(bridge, nowMs + REPEATED_MS)
  }

  #mayBeLost({ atMs, qos }: Publication, { hops }: Arrival): boolean {
    return hops.some(
      ({ bridge, isPush, line }) =>
        atMs <= (this.#lossMs.get(`${bridge} ${isPush}`) ?? -1) ||
        (isPush && (this.#mayBeRefused(bridge, atMs) || (qos === 2 && this.#mayBeHeld(bridge, line)))),
    )
  }

  /** Without a path a message of MQTT 5.0 does not say that a bridge brings it, and is refused while the disk fails. */
  #mayBeRefused(bridge: number, atMs: number): boolean {
    const { version, options, remote } = this.#plan.bridges[bridge]!
    return version === 5 && options.includes('bridge_path off') && this.#failsAfter(remote, atMs)
  }

  /**
   * 3.1 does not say whether the remote broker has a session. When the one here was removed, it may hold Packet
   * Identifiers of QoS 2 that are unknown here, and takes a new message for an old one.
   */
  #mayBeHeld(bridge: number, { qos }: LinePlan): boolean {
    return this.#plan.bridges[bridge]!.version === 3 && qos === 2 && this.#isDoubtful.has(bridge)
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
    const isEither = this.#isLimited && (arrivals.length > 1 || this.#hasCrashes)
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

  #checkOrder(publication: Publication, subscriber: string, here: string, receivedQoS: number): void {
    const { id, client, topic, qos, retain } = publication
    // What is retained may come once more after a later one that was deleted.
    if (retain) return
    const stream = `${subscriber} ${here} ${client.plan.clientId} ${topic} ${qos} ${receivedQoS}`
    const last = this.#last.get(stream) ?? -1
    if (id < last) {
      if (this.#mayOvertake(publication) || (receivedQoS === 0 && this.#mayBeSecond(publication))) return
      this.#fail(
        'order',
        `${subscriber} gets message ${id} of ${client.plan.clientId} to ${topic} at QoS ${qos} after ${last}`,
      )
      return
    }
    this.#last.set(stream, id)
  }

  /**
   * Before MQTT 5.0 a message that the disk does not take is not answered, and comes again behind later ones: its time
   * without an answer and the failure have a moment in common.
   */
  #mayOvertake({ client: { plan }, atMs, acknowledgedMs }: Publication): boolean {
    return plan.version < 5 && this.#failsWithin(plan.broker, atMs, acknowledgedMs)
  }

  /**
   * Whether the first of two may have been dropped: what has waited at QoS 0, and may have been sent, is dropped after a
   * crash, and whoever had no acknowledgement before it sends the message again, behind the later ones that were kept.
   */
  #mayBeSecond({ arrivals, atMs }: Publication): boolean {
    return arrivals.some(({ places }) => places.some(({ broker }) => this.#crashesAfter(broker, atMs)))
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
    for (const index of this.unsubscribed) {
      const { name, remote, lines } = this.#plan.bridges[index]!
      // A lazy bridge that sends only may not have connected again.
      if (lines.every(({ direction }) => direction === 'out')) continue
      this.#fail('loss', `${name} has not subscribed again at broker ${remote}, where its session was removed`)
    }
    /** Messages that are missing, by topic and place, with the places on their ways. */
    const missing = new Map<string, { count: number; ways: Set<string>; example: Publication; arrival: Arrival }>()
    for (const publication of this.#publications) {
      const { qos, acknowledgedMs, isRefused, isEmpty } = publication
      if (qos === 0 || isRefused || isEmpty) continue
      if (acknowledgedMs === Number.POSITIVE_INFINITY)
        this.#fail('settled', `${nameOf(publication)} was never acknowledged`)
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
    // What comes at QoS 0 while the disk fails is passed on, and not retained: what others have may be newer.
    const unkept = new Set<string>()
    const firstMs = new Map<string, number>()
    for (const publication of this.#publications) {
      const { topic } = publication
      if (!publication.retain) continue
      last.set(topic, publication)
      if (!firstMs.has(topic)) firstMs.set(topic, publication.atMs)
      if (publication.isRefused || this.#mayOvertake(publication)) doubtful.add(topic)
      if (publication.qos === 0 && this.#isUnkept(publication)) unkept.add(topic)
    }
    for (const publication of last.values()) {
      if (unkept.has(publication.topic) || this.#mayComeBack(publication, firstMs.get(publication.topic)!)) continue
      if (publication.qos === 0 || doubtful.has(publication.topic)) {
        this.#checkRetainedOnce(publication, textAt)
        continue
      }
      // A deletion at QoS 0 does not wait for a bridge that is away, and what it was to delete may come back in a ring.
      const isForgotten = publication.isEmpty && publication.arrivals.some(({ qos }) => qos === 0)
      for (const arrival of publication.arrivals) {
        const text = textAt(arrival.broker, arrival.topic) ?? ''
        if (text === publication.text || isForgotten) continue
        // Where there are several ways, an earlier message that has come by the longest one may be the last to come.
        const ways = publication.arrivals.filter(
          ({ broker, topic }) => broker === arrival.broker && topic === arrival.topic,
        )
        if (ways.some((way) => this.#mayBeLost(publication, way))) continue
        if (ways.some((way) => way.qos === 0 && this.#mayForget(publication, way))) continue
        const has = text === '' ? 'nothing' : JSON.stringify(text.slice(0, 20))
        const wants = publication.isEmpty ? 'nothing' : JSON.stringify(publication.text.slice(0, 20))
        this.#fail('retained', `broker ${arrival.broker} retains ${has} for ${arrival.topic}, and ${wants} is right`)
      }
    }
  }

  /**
   * Without paths a remote broker that is asked for retained messages of a topic that goes both ways may answer with
   * one that has just been replaced here. It is asked with each connection of a line of QoS 0 or of 3.1, else when its
   * session may be a new one. There must be an older message when it is asked.
   */
  #mayComeBack({ arrivals }: Publication, firstMs: number): boolean {
    return arrivals.some(({ hops }) =>
      hops.some(({ bridge, line }) => {
        const { version, options } = this.#plan.bridges[bridge]!
        // With a path it is known to have come from here.
        const hasPaths = version === 5 && !options.includes('bridge_path off')
        if (hasPaths || line.direction !== 'both') return false
        const isAsked = line.qos === 0 || version === 3 || this.#mayBeNew(bridge) || this.#unanswered.has(bridge)
        return isAsked && this.#ups.get(bridge)?.some((upMs) => upMs + ASKED_MS >= firstMs) === true
      }),
    )
  }

  /** Whether a message came to its broker while the disk of that failed. */
  #isUnkept({ client, atMs }: Publication): boolean {
    return this.#failsWithin(client.plan.broker, atMs, atMs + RECOVERY_MS)
  }

  /**
   * A broker on the way has no duty to keep what it gets at QoS 0: it crashes, its disk fails, or a reader is slow. A line
   * of a higher QoS is not asked again for what came to its remote broker at QoS 0 and was lost with a connection.
   */
  #mayForget({ atMs, qos }: Publication, { places, hops }: Arrival): boolean {
    let qosThere: number = qos
    for (const { bridge, isPush, line } of hops) {
      const isLost = qosThere === 0 && !isPush && line.qos > 0
      if (isLost && this.#ups.get(bridge)?.some((upMs) => upMs > atMs) === true) return true
      qosThere = Math.min(qosThere, line.qos)
    }
    if (places.some(({ broker, topic }) => (this.#slowMs.get(placeOf(broker, topic)) ?? -1) >= atMs)) return true
    return places.slice(1).some(({ broker }) => this.#crashesAfter(broker, atMs) || this.#failsAfter(broker, atMs))
  }

  /**
   * Judges what may have been lost on its way to its broker, or have come there in another order: what that one has, the
   * bridges bring to the others. What a remote broker has got at QoS 0 they do not know.
   */
  #checkRetainedOnce(publication: Publication, textAt: (broker: number, topic: string) => string | null): void {
    const { client, topic, arrivals } = publication
    const here = textAt(client.plan.broker, topic)
    if (here === null) return
    for (const arrival of arrivals) {
      const { broker, topic: there, hops } = arrival
      if (!hops.every(({ isPush }) => isPush) || textAt(broker, there) === here) continue
      if (this.#mayForget(publication, arrival)) continue
      this.#fail(
        'retained',
        `broker ${broker} has not the message that broker ${client.plan.broker} retains for ${topic}`,
      )
    }
  }
}

function pushTo<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

function byPlace(arrivals: readonly Arrival[]): Map<string, Arrival[]> {
  const places = new Map<string, Arrival[]>()
  for (const arrival of arrivals) pushTo(places, placeOf(arrival.broker, arrival.topic), arrival)
  return places
}

const nameOf = ({ id, client, topic, qos }: Publication): string =>
  `message ${id} of ${client.plan.clientId} to ${topic} at QoS ${qos}`
