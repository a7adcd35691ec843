/**
 * The retained messages: the last message with RETAIN of each topic.
 *
 * Bounded in number and bytes; a message over the limit is delivered to subscribers as usual but not retained, counted
 * as `retained-limit`, and the publisher is told (0x97). At QoS 2 an MQTT 5.0 publisher that is told so has not
 * published at all: the failure ends the flow, and a repetition is a new message [MQTT-4.3.3-4]. Expired messages are
 * removed when met and by `removeExpired`.
 *
 * Source: MQTT 5.0 section 3.3.1.3. [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] They belong to no session, at any QoS:
 * [MQTT-3.1.1:3.1.2-7] [MQTT-3.1.1:3.3.1-7]
 */
import { type TopicMatches, TopicTree } from '@recado/protocol'
import type { Context } from '../base/context.ts'
import type { Limits } from '../base/limits.ts'
import type { Message } from '../base/message.ts'
import type { Metrics } from '../base/metrics.ts'
import { Timer } from '../base/timer-wheel.ts'
import type { Journal } from '../journal/journal.ts'

/** Bytes that a retained message takes beside its own: itself, its arrays, its place in the tree. */
const MESSAGE_OVERHEAD_BYTES = 512
/** Milliseconds from one look for expired retained messages to the next. */
const LOOK_MS = 60_000

/** A bridge, which tells its remote broker what is deleted here. */
export interface RetainedWatcher {
  /** Called with the message that deletes a retained one. */
  retainedDeleted(message: Message): void
}

export class RetainedMessages {
  readonly watchers: Set<RetainedWatcher> = new Set()
  readonly #tree: TopicTree<Message> = new TopicTree()
  readonly #context: Context
  readonly #limits: Limits
  readonly #metrics: Metrics
  readonly #journal: Journal | null
  readonly #timer: Timer
  /** Grows with each message that is retained. */
  #sequence = 0

  constructor(context: Context, journal: Journal | null) {
    this.#context = context
    this.#limits = context.limits
    this.#metrics = context.metrics
    this.#journal = journal
    this.#timer = new Timer((nowMs) => {
      this.removeExpired(nowMs)
      this.#lookLater()
    })
  }

  /** True: `set` would keep this message. */
  hasRoomFor(message: Message): boolean {
    return message.payloadLength === 0 || this.#hasRoom(message, this.#tree.get(message.topic))
  }

  #hasRoom(message: Message, old: Message | undefined): boolean {
    const { retainedMessages, retainedBytes } = this.#metrics
    const { retainedMessagesMax, retainedBytesMax } = this.#limits
    if (old === undefined && retainedMessages >= retainedMessagesMax) return false
    const messages = old === undefined ? retainedMessages + 1 : retainedMessages
    const bytes = retainedBytes - (old?.sizeBytes ?? 0) + message.sizeBytes
    return bytes + messages * MESSAGE_OVERHEAD_BYTES <= retainedBytesMax
  }

  /**
   * Replaces the topic's retained message; an empty payload removes it. Returns false over the limit, and the old one
   * stays. `isNews`: it is not stored, and no limit keeps it out.
   */
  set(message: Message, isNews: boolean = false): boolean {
    if (message.payloadLength === 0) {
      this.delete(message.topic)
      for (const watcher of this.watchers) watcher.retainedDeleted(message)
      return true
    }
    const old = this.#tree.get(message.topic)
    if (!isNews && !this.#hasRoom(message, old)) return false
    this.#put(message.keep(), old)
    this.#watch(message)
    if (this.#journal === null) return true
    const replaced = old?.retainedPosition ?? 0
    if (!isNews) message.retainedPosition = this.#journal.retain(message, replaced)
    else if (replaced !== 0) this.#journal.retain(null, replaced)
    return true
  }

  /** Puts back a message from the store. */
  restore(message: Message, position: number): void {
    message.retainedPosition = position
    this.#put(message, this.#tree.get(message.topic))
    this.#watch(message)
  }

  /** Place of the message that was retained last (`Message.retainedSequence`). */
  get sequence(): number {
    return this.#sequence
  }

  get(topic: string): Message | undefined {
    return this.#tree.get(topic)
  }

  delete(topic: string): void {
    const old = this.#tree.get(topic)
    if (old === undefined) return
    this.#tree.delete(topic)
    old.isRetained = false
    this.#metrics.retainedMessages--
    this.#metrics.retainedBytes -= old.sizeBytes
    if (old.retainedPosition !== 0) this.#journal?.retain(null, old.retainedPosition)
  }

  /** Puts a message in the place of `old`: to replace costs one look-up, to take out and put in again two walks of the trie. */
  #put(message: Message, old: Message | undefined): void {
    this.#tree.set(message.topic, message)
    message.isRetained = true
    message.retainedSequence = ++this.#sequence
    if (old === undefined) this.#metrics.retainedMessages++
    else {
      this.#metrics.retainedBytes -= old.sizeBytes
      old.isRetained = false
    }
    this.#metrics.retainedBytes += message.sizeBytes
  }

  /**
   * Walk over the messages that match a Topic Filter, one by one; null: there can be none. `skips` says which of them
   * are left out.
   */
  walk(topicFilter: string, skips: ((message: Message) => boolean) | null = null): RetainedWalk | null {
    if (this.#tree.size === 0) return null
    const matches = this.#tree.matches(topicFilter)
    return matches.isDone ? null : new RetainedWalk(this, matches, this.#sequence, skips)
  }

  /** Messages that match a Topic Filter and have not expired. */
  match(topicFilter: string, nowMs: number): Message[] {
    const found: Message[] = []
    const expired: string[] = []
    this.#tree.match(topicFilter, (message, topic) => {
      if (message.isExpired(nowMs)) expired.push(topic)
      else found.push(message)
    })
    for (const topic of expired) this.#drop(topic)
    return found
  }

  /** All of them, also those that have expired and have not been met since. */
  *values(): IterableIterator<Message> {
    for (const [, message] of this.#tree.entries()) yield message
  }

  /** Sees to it that a message which expires is looked for, also when nobody meets it. */
  #watch({ expiresAtMs }: Message): void {
    if (expiresAtMs !== Number.POSITIVE_INFINITY && !this.#timer.isSet) this.#lookLater()
  }

  #lookLater(): void {
    const { turn, wheel } = this.#context
    if (this.#metrics.retainedMessages > 0) wheel.set(this.#timer, turn.nowMs + LOOK_MS)
  }

  /** Lets go of all that have expired; called now and then. */
  removeExpired(nowMs: number): void {
    const expired: string[] = []
    for (const [topic, message] of this.#tree.entries()) if (message.isExpired(nowMs)) expired.push(topic)
    for (const topic of expired) this.#drop(topic)
  }

  /** Lets go of a message that has been met and has expired. */
  dropExpired(message: Message): void {
    if (this.#tree.get(message.topic) === message) this.#drop(message.topic)
  }

  #drop(topic: string): void {
    this.delete(topic)
    this.#metrics.dropped.expired++
  }
}

/**
 * The retained messages for a new subscription, as they were when it was made, found as far as they are wanted: a
 * filter that passes a million topics must not stop all other clients, nor the messages wait in memory for a slow
 * reader.
 */
export class RetainedWalk {
  readonly #retained: RetainedMessages
  readonly #matches: TopicMatches<Message>
  /** Later ones have been delivered as ordinary messages. */
  readonly #sequenceMax: number
  readonly #skips: ((message: Message) => boolean) | null

  constructor(
    retained: RetainedMessages,
    matches: TopicMatches<Message>,
    sequenceMax: number,
    skips: ((message: Message) => boolean) | null,
  ) {
    this.#retained = retained
    this.#matches = matches
    this.#sequenceMax = sequenceMax
    this.#skips = skips
  }

  /** Nothing more will come. */
  get isDone(): boolean {
    return this.#matches.isDone
  }

  /** Topics that have been looked at so far. */
  get looks(): number {
    return this.#matches.looks
  }

  /**
   * Returns the next message; null when there is none (`isDone`), or none among the next `looksMax` topics: call it
   * again.
   */
  next(looksMax: number, nowMs: number): Message | null {
    const matches = this.#matches
    const until = matches.looks + looksMax
    while (matches.looks < until && matches.next(until - matches.looks)) {
      const message = matches.value!
      if (message.isExpired(nowMs)) this.#retained.dropExpired(message)
      else if (message.retainedSequence <= this.#sequenceMax && this.#skips?.(message) !== true) return message
    }
    return null
  }
}
