/**
 * Review of whether a client may still have the subscriptions of its session: for authorizers that decide when a client subscribes, and not again for each
 * delivery (`Authorizer.decidesAtSubscribe`).
 *
 * `Session.askAgain` begins a review when its session is resumed, whoever comes, when the client logs in again by AUTH, and when `Core.recheck` says
 * that rights have changed. The invariants: from then on nothing is sent to the client until all its subscriptions have been answered for, what comes
 * meanwhile waits in its queue; a subscription that is refused ends, and what has waited for it alone is dropped and counted (`not-authorized`); where
 * the authorizer cannot decide, the subscription stays, and it is asked again. One question of a session is under way at a time, and `ReviewLine`
 * bounds those of all sessions together.
 */
import { ReasonCode, type Subscription } from '@recado/protocol'
import { ALLOW, type ClientInfo, PENDING } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import type { Faulty } from '../base/faults.ts'
import { Timer } from '../base/timer-wheel.ts'
import type { Latecomer, Turn } from '../base/turn.ts'
import type { SubscriptionEntry } from '../routing/subscriber.ts'
import type { Subscriptions } from './subscriptions.ts'

/** Questions of all sessions together that are not answered yet: an authorizer has other things to do as well. */
const ASKING_MAX = 32
/** Questions in a turn; the others wait for the next one. */
const ASKED_PER_TURN = 200
/** Milliseconds until an authorizer is asked again that could not decide. */
const RETRY_MS = 2_000

/**
 * Returns true when the answer is not a refusal; the authorizer could not be asked, has thrown, or has too much to do.
 */
function isUndecided(reasonCode: number): boolean {
  return (
    reasonCode === ReasonCode.UnspecifiedError ||
    reasonCode === ReasonCode.ImplementationSpecificError ||
    reasonCode === ReasonCode.ServerUnavailable ||
    reasonCode === ReasonCode.ServerBusy ||
    reasonCode === ReasonCode.QuotaExceeded
  )
}

/** Reviews take turns, a question each. */
export class ReviewLine implements Latecomer {
  /** Under way. */
  asking = 0
  readonly #waiting: Set<SubscriptionReview> = new Set()
  readonly #turn: Turn
  #isDue = false

  constructor(turn: Turn) {
    this.#turn = turn
  }

  add(review: SubscriptionReview): void {
    this.#waiting.add(review)
    this.goOn()
  }

  remove(review: SubscriptionReview): void {
    this.#waiting.delete(review)
  }

  /** Notes that a question has been answered, or that its answer is not needed any more. */
  answered(): void {
    this.asking--
    this.goOn()
  }

  goOn(): void {
    if (this.#isDue || this.#waiting.size === 0 || this.asking >= ASKING_MAX) return
    this.#isDue = true
    this.#turn.postpone(this)
  }

  goOnInNextTurn(): void {
    this.#isDue = false
    let left = ASKED_PER_TURN
    for (const review of this.#waiting) {
      if (left-- <= 0 || this.asking >= ASKING_MAX) break
      this.#waiting.delete(review)
      review.ask()
    }
    this.goOn()
  }

  /** Ignores errors: `ask` does not throw, because its session handles the errors. */
  fault(): void {
    this.goOn()
  }
}

/** The session whose subscriptions are reviewed. */
export interface ReviewedSession extends Faulty {
  readonly subscriptions: Subscriptions
  readonly queue: { readonly length: number }
  readonly sender: { readonly inflight: number }
  isHeld: boolean
  /** All answers are there. */
  goOn(): void
}

export class SubscriptionReview {
  readonly #context: Context
  readonly #line: ReviewLine
  readonly #session: ReviewedSession
  #client: ClientInfo | null = null
  /** Still to be asked about, the next one last. */
  #left: SubscriptionEntry[] = []
  /** Counts the questions: a late answer to an earlier one is none. */
  #question = 0
  #isAsking = false
  /** User for whom the session was reviewed last; null when not known, as after a restart. */
  #username: string | null = null
  /** True: the queue may have messages that no subscription of this client has brought there. */
  #isChanged = false
  readonly #retryTimer: Timer

  constructor(context: Context, line: ReviewLine, session: ReviewedSession) {
    this.#context = context
    this.#line = line
    this.#session = session
    this.#retryTimer = new Timer(() => line.add(this))
  }

  /** A message that has waited and that no subscription matches: its subscription was refused, or was another user's. */
  excludes(topic: string): boolean {
    return this.#isChanged && !this.#session.subscriptions.matches(topic)
  }

  /** Begins a review. `client` is null when its rights are checked at each delivery. */
  begin(client: ClientInfo | null, isResumed: boolean): void {
    this.stop()
    if (client === null) {
      this.#username = null
      return
    }
    const session = this.#session
    const username = client.username ?? ''
    if (session.queue.length === 0 && session.sender.inflight === 0) this.#isChanged = false
    else if (isResumed && username !== this.#username) this.#isChanged = true
    this.#username = username
    if (session.subscriptions.size === 0) return
    this.#client = client
    this.#left = [...session.subscriptions.values()].reverse()
    session.isHeld = true
    this.#line.add(this)
  }

  /** The client has gone, or all is asked anew. */
  stop(): void {
    this.#client = null
    this.#left = []
    this.#session.isHeld = false
    this.#question++
    this.#context.wheel.clear(this.#retryTimer)
    this.#line.remove(this)
    if (this.#isAsking) this.#line.answered()
    this.#isAsking = false
  }

  /** Asks the next question. */
  ask(): void {
    const question = ++this.#question
    try {
      const entry = this.#next()
      if (entry === null) return
      const { topicFilter, qos, noLocal, retainAsPublished } = entry
      const subscription: Subscription = { topicFilter, qos, noLocal, retainAsPublished, retainHandling: 2 }
      this.#isAsking = true
      this.#line.asking++
      const decide = (late: ReasonCode): void => this.#answered(question, entry, subscription, late)
      const verdict = this.#context.authorizer!.subscribe(this.#client!, subscription, decide, true)
      if (verdict !== PENDING) this.#answered(question, entry, subscription, verdict)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Next subscription to ask about; null when all is answered, and the client gets its messages. */
  #next(): SubscriptionEntry | null {
    for (;;) {
      const entry = this.#left.at(-1)
      if (entry === undefined) break
      // A subscription that the client has made again meanwhile has been allowed anew.
      if (this.#session.subscriptions.get(entry.topicFilter) === entry) return entry
      this.#left.pop()
    }
    this.#client = null
    this.#session.isHeld = false
    this.#session.goOn()
    return null
  }

  #answered(question: number, entry: SubscriptionEntry, subscription: Subscription, reasonCode: number): void {
    if (question !== this.#question) return
    const { turn, wheel } = this.#context
    turn.begin()
    this.#question++
    this.#isAsking = false
    this.#line.answered()
    try {
      if (isUndecided(reasonCode)) {
        wheel.set(this.#retryTimer, turn.nowMs + RETRY_MS)
        return
      }
      this.#left.pop()
      if (this.#session.subscriptions.get(entry.topicFilter) === entry) {
        if (reasonCode === ALLOW) this.#keep(entry, subscription)
        else this.#withdraw(entry, reasonCode)
      }
      // The last one needs no further turn.
      if (this.#left.length === 0) this.#next()
      else this.#line.add(this)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Ends the connection, and this review with it: a client that cannot be asked about gets nothing. */
  #failed(error: unknown): void {
    this.#session.fault('review of subscriptions', error)
  }

  /** Keeps a subscription, which may be allowed at a lower QoS than before. */
  #keep(entry: SubscriptionEntry, { qos }: Subscription): void {
    if (qos < entry.qos) this.#session.subscriptions.lowerQoS(entry, qos)
  }

  #withdraw(entry: SubscriptionEntry, reasonCode: number): void {
    const { topicFilter } = entry
    this.#isChanged = true
    this.#session.subscriptions.remove(entry)
    this.#context.metrics.subscriptionsWithdrawn++
    const client = this.#client!
    this.#context.observer?.['subscription.withdrawn']?.({ client, topicFilter, reasonCode })
  }
}
