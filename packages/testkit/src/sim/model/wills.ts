/**
 * Wills in the model: when each is due, and that it is published then, once, and not at all when the client is back before
 * (3.1.2.5, 3.1.3.2.2). That one is published is said by the broker; that it is true, its deliveries show.
 */
import type { Model } from './model.ts'
import type { KeptWill, Life } from './state.ts'
import type { WillMessage } from './types.ts'

interface Due {
  readonly life: Life
  readonly will: WillMessage
  readonly atMs: number
  /** A crash may have taken it. */
  readonly isOptional: boolean
  /** Must come before the turn is over. */
  readonly isNow: boolean
}

export class Wills {
  readonly #model: Model
  #due: Due[] = []

  constructor(model: Model) {
    this.#model = model
  }

  get waiting(): number {
    return this.#due.length
  }

  /** A client with a Will has connected. */
  register(life: Life, will: WillMessage): void {
    this.#model.cover('will')
    if (will.delaySeconds > 0 && life.isDurable) {
      this.#model.cover('will.delay')
      this.#keep(life, { will, dueAtMs: Number.POSITIVE_INFINITY })
    }
  }

  forget(life: Life): void {
    this.#keep(life, null)
  }

  lost(life: Life, will: WillMessage): void {
    const { nowMs } = this.#model
    if (will.delaySeconds === 0 || life.expiry === 0) {
      this.forget(life)
      this.#due.push({ life, will, atMs: nowMs, isOptional: false, isNow: true })
      return
    }
    const dueAtMs = nowMs + will.delaySeconds * 1000
    if (life.isDurable) this.#keep(life, { will, dueAtMs })
    this.#due.push({ life, will, atMs: dueAtMs, isOptional: false, isNow: false })
  }

  /** The client is back. */
  cancel(life: Life): void {
    this.forget(life)
    const left = this.#due.filter((due) => due.life !== life || due.isNow)
    if (left.length < this.#due.length) this.#model.cover('will.cancelled')
    this.#due = left
  }

  /** What waits for its delay is published now. */
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
    let at = this.#due.findIndex(
      ({ life, will, atMs }) => life.clientId === clientId && will.topic === topic && atMs <= model.nowMs,
    )
    if (at < 0) {
      // The broker ends a connection, or a session, and has not said so yet.
      const link = model.lives.get(clientId)?.link
      if (link?.will?.topic === topic && !link.isWillOut) {
        link.isWillOut = true
        model.cover('will.published')
        this.#publish(link.life!, link.will)
        return
      }
      const life = model.lives.get(clientId)
      at = this.#due.findIndex(
        (due) => due.life === life && due.will.topic === topic && model.nowMs >= (life?.mayExpireAtMs ?? 0),
      )
    }
    if (at < 0) {
      model.fail('wills', `the Will of ${clientId} on ${topic} is published, and it is not due`)
      return
    }
    const { life, will, isNow } = this.#due[at]!
    this.#due.splice(at, 1)
    model.cover(isNow ? 'will.published' : 'will.published-after-delay')
    // Of one that was due at once it has been forgotten, and the client may be back with another.
    if (!isNow) this.forget(life)
    this.#publish(life, will)
  }

  #publish(life: Life, { topic, payload, qos, retain, passedOn, expirySeconds }: WillMessage): void {
    const model = this.#model
    const instance = model.newInstance(topic, payload, qos, retain, passedOn, expirySeconds, life)
    instance.isWill = true
    model.accept(instance, topic, null)
    instance.isAcknowledged = true
  }

  turnEnded(): void {
    for (const { life, will, isNow, isOptional } of this.#due) {
      if (isNow && !isOptional)
        this.#model.fail('wills', `the Will of ${life.clientId} on ${will.topic} has not been published`)
    }
    this.#due = this.#due.filter(({ isNow }) => !isNow)
  }

  checkTime(lateMs: number): void {
    const { nowMs } = this.#model
    for (const { life, will, atMs, isOptional } of this.#due) {
      if (nowMs > atMs + lateMs && !isOptional)
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

  /** The broker is back with what the disk had. */
  restore(life: Life, kept: KeptWill): void {
    const { nowMs } = this.#model
    this.#model.cover('will.restored')
    life.keptWill.length = 0
    life.keptWill.push({ seq: 0, value: kept })
    if (kept.dueAtMs === Number.POSITIVE_INFINITY) this.lost(life, kept.will)
    else this.#due.push({ life, will: kept.will, atMs: Math.max(kept.dueAtMs, nowMs), isOptional: false, isNow: false })
  }
}
