/**
 * Wills in the model: when each is due, and that it is published then, once, and not at all when the client is back before
 * (3.1.2.5, 3.1.3.2.2). That one is published is said by the broker; that it is true, its deliveries show.
 */
import { mayBeCalled, mayBeNamed } from './identifiers.ts'
import type { Model } from './model.ts'
import { stampedPayload } from './sparkplug.ts'
import { type KeptWill, type ModelSession, valueAt } from './state.ts'
import type { WillMessage } from './types.ts'

export interface Due {
  readonly session: ModelSession
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
  #holders: ModelSession[] = []

  constructor(model: Model) {
    this.#model = model
  }

  get waiting(): number {
    return this.#due.length
  }

  /** A client with a Will is about to be let in. */
  register(session: ModelSession, will: WillMessage, username: string): void {
    const model = this.#model
    model.cover('will')
    if (will.delaySeconds > 0 && session.isDurable) model.cover('will.delay')
    if (!model.settings.isPersistent) return
    this.#keep(session, { will, username, dueAtMs: Number.POSITIVE_INFINITY })
    if (!session.isDurable && !this.#holders.includes(session)) this.#holders.push(session)
  }

  forget(session: ModelSession): void {
    this.#keep(session, null)
  }

  lost(session: ModelSession, will: WillMessage, username: string): void {
    const { nowMs } = this.#model
    if (will.delaySeconds === 0 || session.expiry === 0) {
      this.forget(session)
      this.#add(session, will, username, nowMs, { isNow: true })
      return
    }
    const dueAtMs = nowMs + will.delaySeconds * 1000
    if (session.isDurable) this.#keep(session, { will, username, dueAtMs })
    this.#add(session, will, username, dueAtMs, {})
  }

  #add(session: ModelSession, will: WillMessage, username: string, atMs: number, o: Partial<Due>): void {
    this.#due.push({ session, will, username, atMs, isNow: false, isOrphan: false, isGrace: false, ...o })
  }

  /** The client is back: what waits does so no more, unless it is not let in (`resume`). */
  suspend(clientId: string, session: ModelSession): Due[] {
    this.forget(session)
    const isHis = (due: Due): boolean =>
      !due.isNow && (due.session === session || (due.isOrphan && due.session.clientId === clientId))
    const suspended = this.#due.filter(isHis)
    for (const { session: earlier } of suspended) if (earlier !== session) this.forget(earlier)
    if (suspended.length > 0) this.#model.cover('will.cancelled')
    this.#due = this.#due.filter((due) => !isHis(due))
    return suspended
  }

  /**
   * Publishes Wills because another user has come with the Client Identifier of a session that ended with the broker.
   */
  publishOrphansOfOthers(clientId: string, username: string): void {
    this.#due = this.#due.map((due) => {
      if (!due.isOrphan || due.isNow || due.session.clientId !== clientId || due.username === username) return due
      this.#model.cover('owner.orphan-published')
      this.forget(due.session)
      return { ...due, atMs: this.#model.nowMs, isNow: true }
    })
  }

  /** A Clean Start ends the session. What waits only for its client to come back is not published. */
  suspendGrace(session: ModelSession): Due[] {
    const suspended = this.#due.filter((due) => due.session === session && due.isGrace && !due.isNow)
    this.#due = this.#due.filter((due) => !suspended.includes(due))
    return suspended
  }

  resume(suspended: readonly Due[]): void {
    for (const due of suspended) {
      this.#model.cover('will.resumed')
      this.#keep(due.session, { will: due.will, username: due.username, dueAtMs: due.atMs })
      const isOrphan = due.session.isOver || due.isOrphan
      this.#due.push({ ...due, atMs: Math.max(due.atMs, this.#model.nowMs), isOrphan })
    }
  }

  /** Publishes the Will that waits for its delay, because the session ends. */
  sessionEnds(session: ModelSession): void {
    this.forget(session)
    this.#due = this.#due.map((due) => {
      if (due.session !== session || due.isNow) return due
      this.#model.cover('will.session-ends')
      return { ...due, atMs: this.#model.nowMs, isNow: true }
    })
  }

  /** The broker publishes a Will. */
  published(clientId: string, topic: string): void {
    const model = this.#model
    const taken = this.#take(clientId, topic, false)
    if (taken === null) {
      model.fail('wills', `the Will of ${clientId} on ${topic} is published, and it is not due`)
      return
    }
    const { session, will, username, isNow } = taken
    model.cover(isNow ? 'will.published' : 'will.published-after-delay')
    if (this.#isDenied(session, username, topic))
      model.fail('wills', `the Will of ${clientId} on ${topic} is published, and its client may not any more`)
    const { qos, retain, passedOn, expirySeconds } = will
    const payload = model.settings.isSparkplugAware ? stampedPayload(topic, will.payload, model.nowMs) : will.payload
    if (payload !== will.payload) model.cover('sparkplug.stamped')
    const publication = model.newPublication(topic, payload, qos, retain, passedOn, expirySeconds, session, username)
    publication.isWill = true
    model.accept(publication, topic, null)
    publication.isAcknowledged = true
  }

  /**
   * The broker drops something of this client for want of rights. True: it may be the Will of a connection that the broker is about to end; whether
   * it was that, or something that waited for the client, shows when the turn is over.
   */
  noteDenied(clientId: string, topic: string): boolean {
    const connection = this.#model.sessions.get(clientId)?.connection
    if (connection?.will?.topic !== topic || !this.#isDenied(connection.session!, connection.connect!.username, topic))
      return false
    connection.mayHaveLostWill = true
    return true
  }

  /**
   * The broker drops something of this client for want of rights. True: a Will that it may not publish any more, or may not leave.
   * `isDueOnly`: not one that is due only if the session has expired, which nobody knows exactly after a crash.
   */
  withheld(clientId: string, topic: string, isDueOnly: boolean): boolean {
    if (this.#withheldAtConnect(clientId, topic, false)) return true
    if (this.#take(clientId, topic, true, isDueOnly) !== null) {
      this.#model.cover('will.withheld')
      return true
    }
    return this.#withheldAtConnect(clientId, topic, true)
  }

  /**
   * Takes the Will of a CONNECT that its client may not leave. `isOver`: of a connection that has ended, perhaps before
   * anybody asked about the Will: then a Will that is due is meant rather.
   */
  #withheldAtConnect(clientId: string, topic: string, isOver: boolean): boolean {
    const model = this.#model
    for (const connection of model.connections) {
      if (connection.withheldTopic !== topic || !mayBeCalled(model, connection, clientId)) continue
      if ((connection.state === 'closed') !== isOver) continue
      connection.withheldTopic = ''
      return true
    }
    return false
  }

  #isDenied({ clientId }: ModelSession, username: string, topic: string): boolean {
    return this.#model.settings.asksSources && this.#model.sources.denies(clientId, username, topic)
  }

  /**
   * Takes the Will that the broker has done with; null: none is due. `isDenial`: it was not published. Its end is an
   * event of its own, which the disk has when a batch holds it.
   */
  #take(clientId: string, topic: string, isDenial: boolean, isDueOnly = false): Due | null {
    const model = this.#model
    const { nowMs } = model
    const isMeant = ({ session, username }: Due): boolean => !isDenial || this.#isDenied(session, username, topic)
    const find = (isDue: (due: Due) => boolean): number =>
      this.#due.findIndex((due) => due.will.topic === topic && isDue(due) && isMeant(due))
    let at = find(({ session, atMs }) => session.clientId === clientId && atMs <= nowMs)
    if (at < 0 && isDueOnly) return null
    const session = model.sessions.get(clientId)
    if (at < 0) {
      // The broker ends a connection, or a session, and has not said so yet.
      const connection = session?.connection
      if (connection?.will?.topic === topic && !connection.isWillOut && !isDenial) {
        const { username } = connection.connect!
        connection.isWillOut = true
        model.seq++
        return {
          session: session!,
          will: connection.will,
          username,
          atMs: nowMs,
          isNow: true,
          isOrphan: false,
          isGrace: false,
        }
      }
      at = find((due) => due.session === session && nowMs >= (session?.mayExpireAtMs ?? 0))
    }
    // Nobody has heard the name of its client.
    if (at < 0)
      at = find(
        (due) => mayBeNamed(model, due.session, clientId) && (due.atMs <= nowMs || due.session.mayExpireAtMs <= nowMs),
      )
    if (at < 0) return null
    model.seq++
    const [due] = this.#due.splice(at, 1)
    // Of one that was due at once it has been forgotten, and the client may be back with another.
    if (!due!.isNow) this.forget(due!.session)
    return due!
  }

  turnEnded(): void {
    for (const { session, will, isNow } of this.#due) {
      if (isNow) this.#model.fail('wills', `the Will of ${session.clientId} on ${will.topic} has not been published`)
    }
    this.#due = this.#due.filter(({ isNow }) => !isNow)
  }

  checkTime(lateMs: number): void {
    const { nowMs } = this.#model
    for (const { session, will, atMs } of this.#due) {
      if (nowMs > atMs + lateMs)
        this.#model.fail('wills', `the Will of ${session.clientId} on ${will.topic} was due ${nowMs - atMs} ms ago`)
    }
  }

  #keep(session: ModelSession, value: KeptWill | null): void {
    if (session.keptWill.length > 0 || value !== null) this.#model.note(session.keptWill, value)
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
    for (const session of holders) {
      const kept = valueAt(session.keptWill, Math.max(this.#model.flushedSeq, session.promisedSeq)) ?? null
      if (kept === null) continue
      this.#holders.push(session)
      this.restore(session, kept, true)
    }
  }

  /** The broker is back with what the disk had. `isOrphan`: the session ended with its connection. */
  restore(session: ModelSession, { will, username, dueAtMs }: KeptWill, isOrphan: boolean): void {
    const { nowMs, settings } = this.#model
    this.#model.cover(isOrphan ? 'will.restored-orphan' : 'will.restored')
    session.keptWill.length = 0
    session.keptWill.push({ seq: 0, value: { will, username, dueAtMs } })
    const delayMs = isOrphan ? 0 : will.delaySeconds * 1000
    const fromNowMs = dueAtMs === Number.POSITIVE_INFINITY ? nowMs + delayMs : dueAtMs
    const atMs = Math.max(fromNowMs, nowMs + settings.willGraceMs)
    const isNow = atMs <= nowMs
    if (isNow) this.forget(session)
    else if (dueAtMs === Number.POSITIVE_INFINITY) this.#keep(session, { will, username, dueAtMs: fromNowMs })
    this.#add(session, will, username, atMs, { isNow, isOrphan, isGrace: delayMs === 0 })
  }
}
