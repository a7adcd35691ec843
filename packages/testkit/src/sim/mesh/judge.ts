/**
 * The judge of a run with a mesh. It sees one broker: what clients have sent and been told, in the order of the run, and
 * nothing of Cores, links and homes, but which clients' Cores have crashed and when. `received` judges what comes as it
 * comes, `settled` what is owed when everything has come to rest.
 *
 * - A message that was acknowledged at QoS 1 or 2 reaches each durable session whose SUBACK had come before the message was
 *   first sent, and each other session of that kind that is still there.
 * - At QoS 2 it comes once. At QoS 1 and 0 it comes twice only where a client or a Core was lost meanwhile; frames that
 *   the bus loses are no reason.
 * - Nothing comes without a subscription, at another QoS than is due, or to its own publisher in spite of No Local.
 * - Messages of one publisher to one topic at one QoS come in their order.
 *
 * Sources: MQTT 5.0 sections 3.3.4, 3.8.3.1, 3.8.4, 4.3, 4.6.
 */
import type { Publish } from '@recado/protocol'
import type { Change, MeshClient } from './client.ts'
import type { QoS } from './plan.ts'

interface Publication {
  readonly id: number
  readonly client: MeshClient
  readonly topic: string
  readonly qos: QoS
  readonly text: string
  readonly expires: boolean
  /** Place of events in the run; Infinity: not yet. */
  sentSeq: number
  acknowledgedSeq: number
  isRefused: boolean
  /** Number of times that each session has got it. */
  readonly receipts: Map<SessionView, number>
}

/** A subscription, in places of the run. */
interface SubscriptionView {
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly fromSeq: number
  acknowledgedSeq: number
  endingSeq: number
  endedSeq: number
}

/** A session as its client knows it. */
interface SessionView {
  readonly client: MeshClient
  readonly isDurable: boolean
  readonly subscriptions: SubscriptionView[]
  /** Number of the last message of a stream that it has got. */
  readonly last: Map<string, number>
  isOver: boolean
  /** Whether its client has been away. */
  wasAway: boolean
}

const NEVER = Number.POSITIVE_INFINITY

export class Judge {
  readonly #fail: (checker: string, text: string) => void
  /** Nothing is lost, cut, crashed or slow: everything comes exactly once. */
  readonly #isFaultless: boolean
  readonly #publications: Publication[] = []
  readonly #sessions: Map<MeshClient, SessionView> = new Map()
  readonly #all: SessionView[] = []
  /** Places at which a client lost its connection, or a Core its process. */
  readonly #losses: Map<MeshClient, number[]> = new Map()
  readonly #crashes: { readonly core: number; readonly seq: number }[] = []
  readonly #failures: { readonly core: number; readonly fromSeq: number; toSeq: number }[] = []
  #seq = 0
  /** Number of deliveries that were owed and have come. */
  checked = 0

  constructor(isFaultless: boolean, fail: (checker: string, text: string) => void) {
    this.#isFaultless = isFaultless
    this.#fail = fail
  }

  // --- what happens -------------------------------------------------------------------------------------------------

  publish(client: MeshClient, topic: string, qos: QoS, bytes: number, expires: boolean): Publication {
    const id = this.#publications.length
    const publication: Publication = {
      ...{ id, client, topic, qos, expires, text: `${id}:${'.'.repeat(bytes)}` },
      ...{ sentSeq: NEVER, acknowledgedSeq: NEVER, isRefused: false, receipts: new Map() },
    }
    this.#publications.push(publication)
    return publication
  }

  sent(id: number): void {
    const publication = this.#publications[id]!
    publication.sentSeq = Math.min(publication.sentSeq, ++this.#seq)
  }

  acknowledged(id: number): void {
    this.#publications[id]!.acknowledgedSeq = ++this.#seq
  }

  refused(id: number): void {
    this.#publications[id]!.isRefused = true
  }

  crashed(core: number): void {
    this.#crashes.push({ core, seq: ++this.#seq })
  }

  /** A batch of a Core is on its disk, or could not be written. */
  diskIs(core: number, isWorking: boolean): void {
    const seq = ++this.#seq
    const failure = this.#failures.find((each) => each.core === core && each.toSeq === NEVER)
    if (isWorking && failure !== undefined) failure.toSeq = seq
    else if (!isWorking && failure === undefined) this.#failures.push({ core, fromSeq: seq, toSeq: NEVER })
  }

  connected(client: MeshClient, isSame: boolean): void {
    this.#seq++
    if (isSame && this.#sessions.has(client)) return
    const { isDurable } = client.plan
    const session: SessionView = {
      ...{ client, isDurable, subscriptions: [], last: new Map(), isOver: false, wasAway: false },
    }
    this.#sessions.set(client, session)
    this.#all.push(session)
  }

  disconnected(client: MeshClient): void {
    const losses = this.#losses.get(client) ?? []
    this.#losses.set(client, losses)
    losses.push(++this.#seq)
    const session = this.#sessions.get(client)!
    session.wasAway = true
    if (!session.isDurable) session.isOver = true
  }

  changing(client: MeshClient, { topicFilter, qos, noLocal }: Change): void {
    const { subscriptions } = this.#sessions.get(client)!
    const fromSeq = ++this.#seq
    const last = subscriptions.at(-1)
    // Sent again on a new connection: the first time counts.
    const isAgain =
      last !== undefined && last.topicFilter === topicFilter && last.qos === qos && last.acknowledgedSeq === NEVER
    for (const each of subscriptions)
      if (each.topicFilter === topicFilter && !(isAgain && each === last))
        each.endingSeq = Math.min(each.endingSeq, fromSeq)
    if (qos === null || isAgain) return
    const isV5 = client.plan.version === 5
    subscriptions.push({
      ...{ topicFilter, qos, noLocal: noLocal && isV5, fromSeq },
      ...{ acknowledgedSeq: NEVER, endingSeq: NEVER, endedSeq: NEVER },
    })
  }

  changed(client: MeshClient, { topicFilter, qos }: Change): void {
    const { subscriptions } = this.#sessions.get(client)!
    const seq = ++this.#seq
    for (const each of subscriptions) {
      if (each.topicFilter !== topicFilter) continue
      const isThis = qos !== null && each.endingSeq === NEVER
      if (isThis) each.acknowledgedSeq = Math.min(each.acknowledgedSeq, seq)
      else each.endedSeq = Math.min(each.endedSeq, seq)
    }
  }

  // --- what comes ---------------------------------------------------------------------------------------------------

  received(client: MeshClient, { topic, payload, properties, qos }: Publish): void {
    const seq = ++this.#seq
    const text = new TextDecoder().decode(payload)
    const publication = this.#publications[Number(text.slice(0, text.indexOf(':')))]
    const { clientId, version } = client.plan
    if (publication === undefined || publication.text !== text || publication.topic !== topic) {
      this.#fail('content', `${clientId} gets ${JSON.stringify(text.slice(0, 40))} on ${topic}, which nobody published`)
      return
    }
    const session = this.#sessions.get(client)!
    const what = `${clientId} gets ${nameOf(publication)}`
    // Routed at some time between its being sent and now.
    const possible = session.subscriptions.filter(
      (each) => matchesFilter(each.topicFilter, topic) && each.endedSeq > publication.sentSeq && each.fromSeq < seq,
    )
    const withOwn = possible.filter(({ noLocal }) => !noLocal || publication.client !== client)
    if (withOwn.length === 0) {
      this.#fail('route', `${what}, and ${possible.length === 0 ? 'has no subscription to it' : 'has set No Local'}`)
      return
    }
    const certain = withOwn.filter((each) => isCertain(each, publication.sentSeq, seq))
    const least = Math.min(publication.qos, certain.length === 0 ? 0 : Math.max(...certain.map((each) => each.qos)))
    if (qos < least || !withOwn.some((each) => Math.min(each.qos, publication.qos) === qos))
      this.#fail('content', `${what} at QoS ${qos}, and ${least} is due`)
    if (version === 5) this.#checkProperties(publication, properties, what)
    const count = (publication.receipts.get(session) ?? 0) + 1
    publication.receipts.set(session, count)
    // The second copy of a message may find a subscription that the first has not found.
    const isFirstCopy = certain.length > 0 || !this.#hasLost(publication.client, publication.sentSeq, seq)
    if (count === 1 && isFirstCopy) this.#checkOrder(publication, session, qos)
    if (count > 1) this.#checkCount(publication, session, qos, withOwn, count)
  }

  #checkProperties({ id, client, expires }: Publication, properties: Publish['properties'], what: string): void {
    if (client.plan.version < 5) return
    const own = properties.userProperties?.find(([name]) => name === 'id')
    if (own?.[1] !== String(id)) this.#fail('content', `${what} without its User Property`)
    if (expires !== (properties.messageExpiryIntervalSeconds !== undefined))
      this.#fail('expiry', `${what} with another Message Expiry Interval`)
  }

  #checkOrder(publication: Publication, session: SessionView, receivedQoS: number): void {
    const { id, client, topic, qos } = publication
    const stream = `${client.plan.clientId} ${topic} ${qos} ${receivedQoS}`
    const last = session.last.get(stream) ?? -1
    session.last.set(stream, Math.max(id, last))
    if (id > last || this.#mayOvertake(publication)) return
    const name = session.client.plan.clientId
    this.#fail('order', `${name} gets ${nameOf(publication)} after message ${last}`)
  }

  /** Before MQTT 5.0 a message that the disk does not take is not answered, and comes again behind later ones. */
  #mayOvertake({ client: { plan }, sentSeq, acknowledgedSeq }: Publication): boolean {
    return (
      plan.version < 5 &&
      this.#failures.some(
        ({ core, fromSeq, toSeq }) => core === plan.home && fromSeq < acknowledgedSeq && toSeq > sentSeq,
      )
    )
  }

  #checkCount(
    publication: Publication,
    session: SessionView,
    receivedQoS: number,
    possible: readonly SubscriptionView[],
    count: number,
  ): void {
    const { qos, client, sentSeq, acknowledgedSeq } = publication
    // A session that is over is not known any more: its message is a new one.
    const isNewMessage = !client.plan.isDurable && this.#hasLost(client, sentSeq, acknowledgedSeq)
    const isExact = qos === 2 && receivedQoS === 2 && possible.every((each) => each.qos === 2)
    if (isExact ? isNewMessage : this.#mayRepeat(publication, session)) return
    this.#fail('once', `${session.client.plan.clientId} gets ${nameOf(publication)} ${count} times`)
  }

  #hasLost(client: MeshClient, fromSeq: number, toSeq: number): boolean {
    return (this.#losses.get(client) ?? []).some((seq) => seq > fromSeq && seq < toSeq)
  }

  /** Its publisher, its subscriber or a Core was lost while it was on its way. */
  #mayRepeat({ client, qos, sentSeq }: Publication, session: SessionView): boolean {
    if (qos === 0) return false
    return (
      this.#hasLost(client, sentSeq, NEVER) ||
      this.#hasLost(session.client, sentSeq, NEVER) ||
      this.#crashes.some(({ seq }) => seq > sentSeq)
    )
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Judges what is owed: everything has come to rest. */
  settled(): void {
    for (const publication of this.#publications) {
      const { qos, acknowledgedSeq, isRefused, sentSeq, expires } = publication
      if (qos > 0 && sentSeq < NEVER && acknowledgedSeq === NEVER && !isRefused)
        this.#fail('settled', `${nameOf(publication)} was never acknowledged`)
      if (expires || sentSeq === NEVER) continue
      for (const session of this.#all) this.#checkOwed(publication, session)
    }
  }

  #checkOwed(publication: Publication, session: SessionView): void {
    const { topic, qos, client, sentSeq, acknowledgedSeq, receipts } = publication
    if (session.isOver) return
    const owing = session.subscriptions.filter(
      (each) =>
        matchesFilter(each.topicFilter, topic) &&
        !(each.noLocal && client === session.client) &&
        isCertain(each, sentSeq, acknowledgedSeq),
    )
    if (owing.length === 0) return
    const isOnce = qos === 0 || Math.max(...owing.map((each) => each.qos)) === 0
    if (
      isOnce
        ? !this.#isFaultless || session.wasAway || (qos === 0 && this.#mayHaveEnded(owing))
        : acknowledgedSeq === NEVER
    )
      return
    this.checked++
    if (!receipts.has(session))
      this.#fail('loss', `${session.client.plan.clientId} has not got ${nameOf(publication)}, which was acknowledged`)
  }

  /** A message at QoS 0 has no acknowledgement: nobody knows when it was routed. */
  #mayHaveEnded(owing: readonly SubscriptionView[]): boolean {
    return owing.every(({ endingSeq }) => endingSeq < NEVER)
  }
}

/** Whether a subscription was there all the time from one place to another. */
function isCertain({ acknowledgedSeq, endingSeq }: SubscriptionView, fromSeq: number, toSeq: number): boolean {
  return acknowledgedSeq < fromSeq && (toSeq === NEVER ? endingSeq > fromSeq : endingSeq > toSeq)
}

/** Written anew from 4.7: the judge shares no code with the broker. */
function matchesFilter(topicFilter: string, topic: string): boolean {
  const filter = topicFilter.split('/')
  const levels = topic.split('/')
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === '#') return true
    if (i >= levels.length || (filter[i] !== '+' && filter[i] !== levels[i])) return false
  }
  return filter.length === levels.length
}

const nameOf = ({ id, client, topic, qos }: Publication): string =>
  `message ${id} of ${client.plan.clientId} to ${topic} at QoS ${qos}`
