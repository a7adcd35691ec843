/**
 * Checker `bounds`: the broker keeps no more than its limits allow, at the end of every turn.
 *
 * It looks into the broker, which other checkers must not: sizes of queues show nowhere else.
 */
import type { Core } from '@recado/broker/testing'
import type { BrokerHost } from '../broker-host.ts'
import type { Model } from '../model/model.ts'

/** Messages in flight to a handler of the embedding program. */
const PROGRAM_INFLIGHT_MAX = 100

export class BoundsChecker {
  readonly #host: BrokerHost
  readonly #model: Model
  readonly #isMemoryLimited: boolean
  /** Memory level, queue lengths and retained messages at the end of the last turn; `null` before the first. */
  #kept: { core: Core; level: number; queued: Map<object, number>; retainedMessages: number } | null = null

  constructor(host: BrokerHost, model: Model, isMemoryLimited: boolean) {
    this.#host = host
    this.#model = model
    this.#isMemoryLimited = isMemoryLimited
  }

  /** Checks queues, flights, subscriptions and retained messages of all sessions. */
  check(): void {
    const { core, maxima } = this.#host
    if (core === null) return
    if (this.#isMemoryLimited) this.#checkCeiling(core)
    for (const session of core.sessions.values()) {
      const { queue, sender, subscriptions, clientId } = session
      const fail = (text: string): void => this.#model.fail('bounds', `the session of ${clientId} has ${text}`)
      if (queue.length > maxima.queueMessagesMax && this.#model.crashes === 0) fail(`${queue.length} messages waiting`)
      if (queue.bytes > maxima.queueBytesMax && this.#model.crashes === 0) fail(`${queue.bytes} bytes waiting`)
      const inflightMax = clientId.startsWith('\0') ? PROGRAM_INFLIGHT_MAX : maxima.inflightMax
      if (sender.inflight > inflightMax) fail(`${sender.inflight} messages in flight`)
      if (subscriptions.size > maxima.subscriptionsMax) fail(`${subscriptions.size} subscriptions`)
      if (queue.length < 0 || queue.bytes < 0) fail(`${queue.length} messages and ${queue.bytes} bytes waiting`)
    }
    if (core.metrics.retainedMessages > maxima.retainedMessagesMax)
      this.#model.fail('bounds', `${core.metrics.retainedMessages} retained messages`)
  }

  /** While memory is short nothing more is retained, and no queue grows, but by what waited for a session that has ended. */
  #checkCeiling(core: Core): void {
    const { level } = this.#model.memory
    const before = this.#kept
    // By session: one that a Clean Start has replaced in the same turn has ended too.
    const queued: Map<object, number> = new Map()
    for (const session of core.sessions.values()) queued.set(session, session.queue.length)
    const { retainedMessages } = core.metrics
    this.#kept = { core, level, queued, retainedMessages }
    if (before?.core !== core || before.level === 0 || level === 0) return
    if (retainedMessages > before.retainedMessages) this.#model.fail('bounds', 'more is retained, and memory is short')
    if (before.level === 1 || level === 1) return
    for (const session of before.queued.keys()) if (!queued.has(session)) return
    for (const session of core.sessions.values())
      if (session.queue.length > (before.queued.get(session) ?? 0))
        this.#model.fail('bounds', `more waits for ${session.clientId}, and memory is short`)
  }
}
