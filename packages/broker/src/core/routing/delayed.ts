/**
 * Delayed messages: what was published to `$delayed/SECONDS/topic` and waits until so many seconds are over.
 *
 * `handlePublish` and `Broker.publish` hand them in (`add`), and acknowledge one when its row is on the disk: it is
 * published once, when it is due, or at once after a start that comes later. Messages come in the order of their times,
 * and of their acceptance at one time. The Message Expiry Interval begins when a message is due, as that of a Will does
 * (3.1.3.2.4), also when the broker is not there then.
 *
 * Invariant: the row of a delayed message is removed in the batch that has all its consequences on disk: the retained
 * message, and the messages for durable sessions. So a crash before or after publishes it once.
 */
import { ReasonCode } from '@recado/protocol'
import { type ClientInfo, type DropReason, Table } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { type Due, DueQueue } from '../base/due-queue.ts'
import { hasShare } from '../base/holdings.ts'
import { type Message, type Publisher, Taking } from '../base/message.ts'
import { isReserved } from '../base/reserved-topics.ts'
import { Timer } from '../base/timer-wheel.ts'
import type { Journal } from '../journal/journal.ts'
import type { PendingAnswer } from '../journal/pending-ack.ts'
import { type DelayedRecord, encodeDelayed } from '../journal/session-records.ts'
import type { Intake } from './intake.ts'
import { leftMessage, mayStillPublish } from './left-behind.ts'
import { isTopicWithinLimits } from './topic-limits.ts'

/** Bytes that a delayed message takes beside its own: itself, its arrays, its place in the queue. */
const OVERHEAD_BYTES = 512
/** Messages that are published before other work gets its turn. */
const PUBLISHED_A_TURN = 256
/** Milliseconds until the next part of many that are due at one time. */
const NEXT_PART_MS = 1

export interface DelayedMessage extends Due {
  readonly message: Message
  /** Client that published it; null: the embedding program. */
  readonly client: ClientInfo | null
}

interface Share {
  messages: number
  bytes: number
}

export class DelayedMessages {
  readonly #context: Context
  readonly #journal: Journal | null
  readonly #intake: Intake
  readonly #byNumber: Map<number, DelayedMessage> = new Map()
  /** Messages of `#byNumber` by time, and some that have been cancelled. */
  readonly #queue: DueQueue<DelayedMessage> = new DueQueue()
  /** Room that each client takes, by Client Identifier; '' is the embedding program. */
  readonly #shares: Map<string, Share> = new Map()
  readonly #timer: Timer
  /** Number of the last message where there is no journal to number them. */
  #number = 0
  #isGoingOn = false
  /** Returns the session that a client has now, for No Local; null when it has none. */
  publisherOf: (clientId: string) => Publisher | null = () => null

  constructor(context: Context, journal: Journal | null, intake: Intake) {
    this.#context = context
    this.#journal = journal
    this.#intake = intake
    this.#timer = new Timer((nowMs) => this.#publishDue(nowMs))
  }

  /** Yields all that wait, in the order in which they came. */
  values(): IterableIterator<DelayedMessage> {
    return this.#byNumber.values()
  }

  get(number: number): DelayedMessage | undefined {
    return this.#byNumber.get(number)
  }

  /**
   * Keeps a message until `seconds` are over; its expiry must count from then (`dueAtMs`). Returns 0, or the Reason Code
   * that its publisher is to be told. `gate` opens when it is on the disk.
   */
  add(message: Message, client: ClientInfo | null, seconds: number, gate: PendingAnswer | null): ReasonCode {
    const reason = this.#refusalOf(message, client, seconds)
    if (reason !== null) {
      this.#context.dropped('', message.topic, message.qos, reason)
      return reason === 'topic-over-limit' ? ReasonCode.TopicNameInvalid : ReasonCode.QuotaExceeded
    }
    const journal = this.#journal
    const number = journal === null ? ++this.#number : journal.numbers.newPosition()
    const delayed = { number, dueAtMs: this.dueAtMs(seconds), message: message.keep(), client }
    journal?.change(Table.Delayed, number, 0, 0, encodeDelayed(delayed), gate)
    this.#put(delayed)
    this.#setTimer()
    return ReasonCode.Success
  }

  /** Returns the time when a message that comes now and waits so long is due. */
  dueAtMs(seconds: number): number {
    return Math.floor(this.#context.turn.nowMs) + seconds * 1000
  }

  #refusalOf(message: Message, client: ClientInfo | null, seconds: number): DropReason | null {
    const { limits, metrics, memoryGuard } = this.#context
    if (!isTopicWithinLimits(message.topic, limits)) return 'topic-over-limit'
    if (this.#journal?.isFailing) return 'store-failed'
    if (memoryGuard?.refusesToKeep) return 'memory-full'
    const { messages, bytes } = this.#shares.get(client?.clientId ?? '') ?? NOTHING
    const { delayedMessagesMax, delayedBytesMax, delaySecondsMax } = limits
    const hasRoom =
      seconds <= delaySecondsMax &&
      hasShare(delayedMessagesMax, metrics.delayedMessages, messages, 1) &&
      hasShare(delayedBytesMax, metrics.delayedBytes, bytes, bytesOf(message))
    return hasRoom ? null : 'delayed-limit'
  }

  /** Takes back a message from the store; call `resume` when all are there. */
  restore(number: number, { dueAtMs, message, client }: DelayedRecord): void {
    this.#put({ number, dueAtMs, message, client })
  }

  /** Publishes what was restored and is due, and waits for the rest. */
  resume(): void {
    this.#setTimer()
  }

  /** Removes a message that waits, so that nobody gets it. Returns false when there is none with this number. */
  cancel(number: number): boolean {
    const delayed = this.#byNumber.get(number)
    if (delayed === undefined) return false
    this.#forget(delayed)
    // Those that have been cancelled must not stay for years.
    if (this.#queue.size > 2 * this.#byNumber.size + 16) this.#queue.keep((each) => this.#byNumber.has(each.number))
    return true
  }

  #put(delayed: DelayedMessage): void {
    this.#byNumber.set(delayed.number, delayed)
    this.#queue.add(delayed)
    this.#count(delayed, 1)
  }

  /** Lets go of a message, also on the disk. */
  #forget(delayed: DelayedMessage): void {
    this.#byNumber.delete(delayed.number)
    this.#count(delayed, -1)
    this.#journal?.change(Table.Delayed, delayed.number, 0, 0, null)
  }

  #count({ message, client }: DelayedMessage, sign: 1 | -1): void {
    const { metrics } = this.#context
    const bytes = sign * bytesOf(message)
    metrics.delayedMessages += sign
    metrics.delayedBytes += bytes
    const name = client?.clientId ?? ''
    const share = this.#shares.get(name) ?? { messages: 0, bytes: 0 }
    share.messages += sign
    share.bytes += bytes
    if (share.messages > 0) this.#shares.set(name, share)
    else this.#shares.delete(name)
  }

  #setTimer(): void {
    const first = this.#queue.first
    if (first === undefined || this.#isGoingOn) return
    if (!this.#timer.isSet || first.dueAtMs < this.#timer.atMs) this.#context.wheel.set(this.#timer, first.dueAtMs)
  }

  #publishDue(nowMs: number): void {
    const queue = this.#queue
    for (let left = PUBLISHED_A_TURN; left > 0 && (queue.first?.dueAtMs ?? Number.POSITIVE_INFINITY) <= nowMs; ) {
      const delayed = queue.shift()!
      if (!this.#byNumber.has(delayed.number)) continue
      left--
      this.#context.faults.attempt('delayed message', () => this.#publish(delayed), delayed.client?.clientId ?? '')
    }
    if ((queue.first?.dueAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.#goOn()
    else this.#setTimer()
  }

  /** Publishes the next part soon, when those that wait for their turn have had it. */
  #goOn(): void {
    const { clock, turn } = this.#context
    this.#isGoingOn = true
    clock.after(NEXT_PART_MS, () => {
      turn.begin()
      this.#isGoingOn = false
      this.#publishDue(turn.nowMs)
    })
  }

  #publish(delayed: DelayedMessage): void {
    const context = this.#context
    const { number, client, message } = delayed
    const { topic, qos } = message
    const clientId = client?.clientId ?? ''
    this.#forget(delayed)
    if (isReserved(topic) || (client !== null && !mayStillPublish(context, client, topic))) {
      context.dropped(clientId, topic, qos, 'not-authorized')
      return
    }
    if (message.isExpired(context.turn.nowMs)) {
      context.dropped(clientId, topic, qos, 'expired')
      return
    }
    const left = leftMessage(context, client, message)
    if (left === null) return
    left.publisher = client === null ? null : this.publisherOf(clientId)
    context.metrics.delayedPublished++
    context.observer?.['delayed.published']?.({ clientId, topic, number })
    context.observer?.['message.published']?.({ client, message: left })
    this.#intake.accept(left, Taking.Will)
    this.#journal?.hurry(left)
  }
}

const NOTHING: Readonly<Share> = { messages: 0, bytes: 0 }

function bytesOf(message: Message): number {
  return OVERHEAD_BYTES + message.sizeBytes
}
