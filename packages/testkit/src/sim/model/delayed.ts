/**
 * Delayed messages in the model: each is published when its seconds are over, once, also after a crash if it was
 * acknowledged or on the disk. That one is published is said by the broker; that it is the right one, its deliveries show.
 */
import type { Model } from './model.ts'
import { stampedPayload } from './sparkplug.ts'
import type { ModelSession, Publication } from './state.ts'
import type { PublishPacket, QoS } from './types.ts'

const PREFIX = '$delayed/'
const DELAYED = /^\$delayed\/(\d+)\/(.+)$/

/** Delay and real topic of a PUBLISH; topics have the mount point. `isMalformed`: it asks for a delay, and says none. */
export interface DelayIn {
  readonly seconds: number
  readonly topic: string
  readonly isMalformed: boolean
}

/** A message that waits. */
interface Waiting {
  readonly packet: PublishPacket
  readonly topic: string
  readonly session: ModelSession
  readonly username: string
  readonly dueAtMs: number
  /** Number of the event that made it. */
  readonly seq: number
  /** Has been acknowledged, or will be. */
  readonly receipt: Publication
}

/** Takes the topic of a PUBLISH apart; null when it is not delayed. */
export function delayOf(topic: string, mountPoint: string): DelayIn | null {
  if (!topic.startsWith(mountPoint + PREFIX)) return null
  const [, seconds, real = ''] = DELAYED.exec(topic.slice(mountPoint.length)) ?? []
  if (real === '' || real.startsWith(PREFIX)) return { seconds: 0, topic, isMalformed: true }
  return { seconds: Number(seconds), topic: mountPoint + real, isMalformed: false }
}

export class DelayedMessages {
  readonly #model: Model
  #waiting: Waiting[] = []
  /** The last one would have to wait longer than is allowed. */
  #isTooLate = false
  /** Time of the last start of the broker. */
  #startedMs = 0
  /** Those that are over, with the number of the event: the disk may still have them. */
  #over: { waiting: Waiting; seq: number }[] = []

  constructor(model: Model) {
    this.#model = model
  }

  get size(): number {
    return this.#waiting.length
  }

  /** A message is kept. `receipt` stands for it until it is published. */
  add(
    receipt: Publication,
    packet: PublishPacket,
    { seconds, topic }: Omit<DelayIn, 'isMalformed'>,
    session: ModelSession,
  ): void {
    const { seq, nowMs } = this.#model
    this.#model.cover(`delayed.kept-qos${packet.qos}`)
    this.#isTooLate = seconds > this.#model.settings.delaySecondsMax
    if (this.#isTooLate) this.#model.cover('delayed.too-late')
    const dueAtMs = Math.floor(nowMs) + seconds * 1000
    this.#waiting.push({ packet, topic, session, username: session.username, dueAtMs, seq, receipt })
  }

  /** The broker refuses the message that it works on. */
  refused(receipt: Publication): void {
    const at = this.#waiting.findLastIndex((each) => each.receipt === receipt)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  /** Whether there may be no room for another one: for the last one, which has been refused. */
  mayBeFull(): boolean {
    const { delayedMessagesMax } = this.#model.settings
    if (this.#isTooLate) return true
    // From half of the room on a client may have no more than what is free.
    return this.#waiting.length >= delayedMessagesMax / 2
  }

  /** The broker publishes one. */
  published(clientId: string, topic: string): void {
    const model = this.#model
    const waiting = this.#take(clientId, topic)
    if (waiting === null) {
      model.fail('delayed', `the delayed message of ${clientId} on ${topic} is published, and it is not due`)
      return
    }
    const { packet, session, username, dueAtMs } = waiting
    const { qos, retain, passedOn, expirySeconds } = packet
    const isStamped = model.settings.isSparkplugAware
    const payload = isStamped ? stampedPayload(topic, packet.payload, model.nowMs) : packet.payload
    if (this.#isDenied(waiting))
      model.fail('delayed', `the delayed message of ${clientId} on ${topic} is published, and its client may not`)
    model.cover(model.crashes > 0 && waiting.seq < model.flushedSeq ? 'delayed.published-later' : 'delayed.published')
    // Its expiry begins when it is due.
    const leftSeconds = expirySeconds === null ? null : expirySeconds + (dueAtMs - model.nowMs) / 1000
    if (leftSeconds !== null && leftSeconds <= 0)
      model.fail('delayed', `the delayed message of ${clientId} on ${topic} is published, and has expired`)
    const publisher = model.sessions.get(clientId) ?? session
    const publication = model.newPublication(topic, payload, qos, retain, passedOn, leftSeconds, publisher, username)
    publication.isWill = true
    model.accept(publication, topic, null)
    publication.isAcknowledged = true
  }

  /** The broker drops something of this client. True: a delayed message that its client may not publish any more, or that has expired. */
  dropped(clientId: string, topic: string, qos: QoS, reason: string): boolean {
    const { nowMs } = this.#model
    const isMeant = (waiting: Waiting): boolean => {
      // Another message on this topic, which waits for this client, may expire as well.
      if (waiting.packet.qos !== qos) return false
      if (reason === 'not-authorized') return this.#isDenied(waiting)
      const { expirySeconds } = waiting.packet
      return reason === 'expired' && expirySeconds !== null && waiting.dueAtMs + expirySeconds * 1000 <= nowMs
    }
    if (this.#take(clientId, topic, isMeant) === null) return false
    this.#model.cover(reason === 'expired' ? 'delayed.expired' : 'delayed.withheld')
    return true
  }

  #isDenied({ session, username, topic }: Waiting): boolean {
    return this.#model.settings.asksSources && this.#model.sources.denies(session.clientId, username, topic)
  }

  /** Takes the first that is due. Its end is an event of its own, which the disk has when a batch holds it. */
  #take(clientId: string, topic: string, isMeant: (waiting: Waiting) => boolean = () => true): Waiting | null {
    const { nowMs } = this.#model
    let first: Waiting | null = null
    for (const each of this.#waiting) {
      if (each.session.clientId !== clientId || each.topic !== topic || each.dueAtMs > nowMs || !isMeant(each)) continue
      if (first === null || each.dueAtMs < first.dueAtMs) first = each
    }
    if (first === null) return null
    this.#waiting = this.#waiting.filter((each) => each !== first)
    this.#over.push({ waiting: first, seq: ++this.#model.seq })
    return first
  }

  checkTime(lateMs: number): void {
    const { nowMs } = this.#model
    for (const { topic, session, dueAtMs } of this.#waiting) {
      if (nowMs > Math.max(dueAtMs, this.#startedMs) + lateMs)
        this.#model.fail(
          'delayed',
          `the delayed message of ${session.clientId} on ${topic} was due ${nowMs - dueAtMs} ms ago`,
        )
    }
  }

  flushed(seq: number): void {
    this.#over = this.#over.filter((each) => each.seq > seq)
  }

  /** A crash: what the disk has, and what was promised, is there again. */
  crash(flushedSeq: number): void {
    const { settings, cover } = this.#model
    const all = [...this.#waiting, ...this.#over.map(({ waiting }) => waiting)]
    if (this.#over.length > 0 && settings.isPersistent) cover('delayed.again-after-crash')
    const isKept = ({ seq, receipt }: Waiting): boolean => seq <= flushedSeq || receipt.isAcknowledged
    this.#waiting = settings.isPersistent ? all.filter(isKept).sort((a, b) => a.seq - b.seq) : []
    this.#over = []
    if (this.#waiting.length > 0) cover('delayed.restored')
    if (this.#waiting.length < all.length) cover('delayed.lost')
  }

  /** The broker is back. */
  restarted(): void {
    this.#startedMs = this.#model.nowMs
  }

  /** The disk is another one. */
  lose(): void {
    this.#waiting = []
    this.#over = []
  }
}
