/**
 * Wills in the model: when each is due, and that it is published then, once, and not at all when the client is back before
 * (3.1.2.5, 3.1.3.2.2). That one is published is said by the broker; that it is true, its deliveries show.
 */
import { mayBeCalled, mayBeNamed } from './identifiers.ts'
import type { Model } from './model.ts'
import { type KeptWill, type Life, valueAt } from './state.ts'
import type { WillMessage } from './types.ts'

export interface Due {
  readonly life: Life
  readonly will: WillMessage
  /** The user who has left it. */
  readonly username: string
  readonly atMs: number
  /** Must come before the turn is over. */
  readonly isNow: boolean
  /** Whether its session ended with the broker. */
  readonly isOrphan: boolean
  /** Whether it has no delay, and waits only because the broker has just started. */
  readonly isGrace: boolean
}

export class Wills {
  readonly #model: Model
  #due: Due[] = []
  /** Sessions that end with their connections, whose Wills the disk may have. */
  #holders: Life[] = []

  constructor(model: Model) {
    this.#model = model
  }

  get waiting(): number {
    return this.#due.length
  }

  /** A client with a Will is about to be let in. */
  register(life: Life, will: WillMessage, username: string): void {
    const model = this.#model
    model.cover('will')
    if (will.delaySeconds > 0 && life.isDurable) model.cover('will.delay')
    if (!model.settings.isPersistent) return
    this.#keep(life, { will, username, dueAtMs: Number.POSITIVE_INFINITY })
    if (!life.isDurable && !this.#holders.includes(life)) this.#holders.push(life)
  }

  forget(life: Life): void {
    this.#keep(life, null)
  }

  lost(life: Life, will: WillMessage, username: string): void {
    const { nowMs } = this.#model
    if (will.delaySeconds === 0 || life.expiry === 0) {
      this.forget(life)
      this.#add(life, will, username, nowMs, { isNow: true })
      return
    }
    const dueAtMs = nowMs + will.delaySeconds * 1000
    if (life.isDurable) this.#keep(life, { will, username, dueAtMs })
    this.#add(life, will, username, dueAtMs, {})
  }

  #add(life: Life, will: WillMessage, username: string, atMs: number, o: Partial<Due>): void {
    this.#due.push({ life, will, username, atMs, isNow: false, isOrphan: false, isGrace: false, ...o })
  }

  /** The client is back: what waits does so no more, unless it is not let in (`resume`). */
  suspend(clientId: string, life: Life): Due[] {
    this.forget(life)
    const isHis = (due: Due): boolean =>
      !due.isNow && (due.life === life || (due.isOrphan && due.life.clientId === clientId))
    const suspended = this.#due.filter(isHis)
    for (const { life: earlier } of suspended) if (earlier !== life) this.forget(earlier)
    if (suspended.length > 0) this.#model.cover('will.cancelled')
    this.#due = this.#due.filter((due) => !isHis(due))
    return suspended
  }

  /**
   * Publishes Wills because another user has come with the Client Identifier of a session that ended with the broker.
   */
  publishOrphansOfOthers(clientId: string, username: string): void {
    this.#due = this.#due.map((due) => {
      if (!due.isOrphan || due.isNow || due.life.clientId !== clientId || due.username === username) return due
      this.#model.cover('owner.orphan-published')
      this.forget(due.life)
      return { ...due, atMs: this.#model.nowMs, isNow: true }
    })
  }

  /** A Clean Start ends the session. What waits only for its client to come back is not published. */
  suspendGrace(life: Life): Due[] {
    const suspended = this.#due.filter((due) => due.life === life && due.isGrace && !due.isNow)
    this.#due = this.#due.filter((due) => !suspended.includes(due))
    return suspended
  }

  resume(suspended: readonly Due[]): void {
    for (const due of suspended) {
      this.#model.cover('will.resumed')
      this.#keep(due.life, { will: due.will, username: due.username, dueAtMs: due.atMs })
      const isOrphan = due.life.isOver || due.isOrphan
      this.#due.push({ ...due, atMs: Math.max(due.atMs, this.#model.nowMs), isOrphan })
    }
  }

  /** Publishes the Will that waits for its delay, because the session ends. */
  sessionEnds(life: Life): void {
    this.forget(life)
    this.#due = this.#due.map((due) => {
      if (due.life !== life || due.isNow) return due
      this.#model.cover('will.session-ends')
      return { ...due, atMs: this.#model.nowMs, isNow: true }
    })
  }

  /** The broker publishes a Will. */
  published(clientId: string, topic: string): void {
    const model = this.#model
    model.seq++
    const taken = this.#take(clientId, topic, false)
    if (taken === null) {
      model.fail('wills', `the Will of ${clientId} on ${topic} is published, and it is not due`)
      return
    }
    const { life, will, username, isNow } = taken
    model.cover(isNow ? 'will.published' : 'will.published-after-delay')
    if (this.#isDenied(life, username, topic))
      model.fail('wills', `the Will of ${clientId} on ${topic} is published, and its client may not any more`)
    const { payload, qos, retain, passedOn, expirySeconds } = will
    const instance = model.newInstance(topic, payload, qos, retain, passedOn, expirySeconds, life, username)
    instance.isWill = true
    model.accept(instance, topic, null)
    instance.isAcknowledged = true
  }

  /**
   * The broker drops something of this client for want of rights. True: it may be the Will of a connection that the broker is about to end; whether
   * it was that, or something that waited for the client, shows when the turn is over.
   */
  noteDenied(clientId: string, topic: string): boolean {
    const link = this.#model.lives.get(clientId)?.link
    if (link?.will?.topic !== topic || !this.#isDenied(link.life!, link.connect!.username, topic)) return false
    link.mayHaveLostWill = true
    return true
  }

  /** The broker drops something of this client for want of rights. True: a Will that it may not publish any more, or may not leave. */
  withheld(clientId: string, topic: string): boolean {
    const model = this.#model
    for (const link of model.links) {
      if (link.withheldTopic !== topic || !mayBeCalled(model, link, clientId)) continue
      link.withheldTopic = ''
      return true
    }
    const taken = this.#take(clientId, topic, true)
    if (taken === null) return false
    model.cover('will.withheld')
    return true
  }

  #isDenied({ clientId }: Life, username: string, topic: string): boolean {
    return this.#model.settings.asksSources && this.#model.sources.denies(clientId, username, topic)
  }

  /** Takes the Will that the broker has done with; null: none is due. `isDenial`: it was not published. */
  #take(clientId: string, topic: string, isDenial: boolean): Due | null {
    const model = this.#model
    const { nowMs } = model
    const isMeant = ({ life, username }: Due): boolean => !isDenial || this.#isDenied(life, username, topic)
    const find = (isDue: (due: Due) => boolean): number =>
      this.#due.findIndex((due) => due.will.topic === topic && isDue(due) && isMeant(due))
    let at = find(({ life, atMs }) => life.clientId === clientId && atMs <= nowMs)
    const life = model.lives.get(clientId)
    if (at < 0) {
      // The broker ends a connection, or a session, and has not said so yet.
      const link = life?.link
      if (link?.will?.topic === topic && !link.isWillOut && !isDenial) {
        const { username } = link.connect!
        link.isWillOut = true
        return { life: life!, will: link.will, username, atMs: nowMs, isNow: true, isOrphan: false, isGrace: false }
      }
      at = find((due) => due.life === life && nowMs >= (life?.mayExpireAtMs ?? 0))
    }
    // Nobody has heard the name of its client.
    if (at < 0)
      at = find(
        (due) => mayBeNamed(model, due.life, clientId) && (due.atMs <= nowMs || due.life.mayExpireAtMs <= nowMs),
      )
    if (at < 0) return null
    const [due] = this.#due.splice(at, 1)
    // Of one that was due at once it has been forgotten, and the client may be back with another.
    if (!due!.isNow) this.forget(due!.life)
    return due!
  }

  turnEnded(): void {
    for (const { life, will, isNow } of this.#due) {
      if (isNow) this.#model.fail('wills', `the Will of ${life.clientId} on ${will.topic} has not been published`)
    }
    this.#due = this.#due.filter(({ isNow }) => !isNow)
  }

  checkTime(lateMs: number): void {
    const { nowMs } = this.#model
    for (const { life, will, atMs } of this.#due) {
      if (nowMs > atMs + lateMs)
        this.#model.fail('wills', `the Will of ${life.clientId} on ${will.topic} was due ${nowMs - atMs} ms ago`)
    }
  }

  #keep(life: Life, value: KeptWill | null): void {
    if (life.keptWill.length > 0 || value !== null) this.#model.note(life.keptWill, value)
  }

  /** A crash: what waited in memory is gone. */
  clear(): void {
    this.#due = []
  }

  /** The disk is another one. */
  lose(): void {
    this.#due = []
    this.#holders = []
  }

  flushed(seq: number): void {
    this.#holders = this.#holders.filter(({ keptWill }) => {
      const last = keptWill.at(-1)!
      return last.value !== null || last.seq > seq
    })
  }

  /** The broker is back, and of these sessions only the Wills are left. */
  restoreOrphans(): void {
    const holders = this.#model.settings.isPersistent ? this.#holders : []
    this.#holders = []
    for (const life of holders) {
      const kept = valueAt(life.keptWill, Math.max(this.#model.flushedSeq, life.promisedSeq)) ?? null
      if (kept === null) continue
      this.#holders.push(life)
      this.restore(life, kept, true)
    }
  }

  /** The broker is back with what the disk had. `isOrphan`: the session ended with its connection. */
  restore(life: Life, { will, username, dueAtMs }: KeptWill, isOrphan: boolean): void {
    const { nowMs, settings } = this.#model
    this.#model.cover(isOrphan ? 'will.restored-orphan' : 'will.restored')
    life.keptWill.length = 0
    life.keptWill.push({ seq: 0, value: { will, username, dueAtMs } })
    const delayMs = isOrphan ? 0 : will.delaySeconds * 1000
    const fromNowMs = dueAtMs === Number.POSITIVE_INFINITY ? nowMs + delayMs : dueAtMs
    const atMs = Math.max(fromNowMs, nowMs + settings.willGraceMs)
    const isNow = atMs <= nowMs
    if (isNow) this.forget(life)
    else if (dueAtMs === Number.POSITIVE_INFINITY) this.#keep(life, { will, username, dueAtMs: fromNowMs })
    this.#add(life, will, username, atMs, { isNow, isOrphan, isGrace: delayMs === 0 })
  }
}
