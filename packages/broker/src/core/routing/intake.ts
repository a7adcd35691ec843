/**
 * The intake: the one way of every Application Message into the broker, whoever published it. It refuses, retains, and
 * routes.
 *
 * `handlePublish`, `Wills` and `Broker.publish` call `accept`. The route is found once, and all later steps use it. The
 * answer is one `Acceptance`, which is filled anew for each message: copy from it what is needed later. Invariant: the
 * changes that `Acceptance` reports as owed are all that the acknowledgement of the message has to wait for.
 *
 * Sources: MQTT 5.0 sections 3.3.1.3, 3.3.4 and 4.3.
 */
import { ReasonCode } from '@recado/protocol'
import type { DropReason } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { type Message, Taking } from '../base/message.ts'
import type { Journal } from '../journal/journal.ts'
import type { OtherCores } from './other-cores.ts'
import type { RetainedMessages } from './retained.ts'
import type { Route } from './route.ts'
import type { Router } from './router.ts'
import { certificateOf } from './sparkplug.ts'

/** Answer to the publisher of a message. */
export class Acceptance {
  /** Reason Code: 0x00, 0x10 without a matching subscriber, or the failure to tell the publisher. */
  reasonCode: ReasonCode = ReasonCode.Success
  /** Whether durable sessions wait for it, and its rows are on their way to the disk. */
  hasRows = false
  /** Whether it was published with RETAIN, and its change of the retained messages is on its way to the disk. */
  isRetained = false
  /** Whether other Cores get it, at QoS 1 or 2, and have not acknowledged it. */
  isForwarded = false
  /** Work beyond that of a usual message, in packets. */
  work = 0

  /** Whether something has to be on the disk before the message is acknowledged. */
  get owesDisk(): boolean {
    return this.hasRows || this.isRetained
  }
}

export class Intake {
  readonly #context: Context
  readonly #journal: Journal | null
  readonly #router: Router
  readonly #retained: RetainedMessages
  readonly #acceptance: Acceptance = new Acceptance()
  /** Other Cores of the broker; null when there are none. */
  others: OtherCores | null = null

  constructor(context: Context, journal: Journal | null, router: Router, retained: RetainedMessages) {
    this.#context = context
    this.#journal = journal
    this.#router = router
    this.#retained = retained
  }

  /**
   * Takes responsibility for a message: retains it and delivers it to all matching subscribers. The answer is valid
   * until the next call.
   */
  accept(message: Message, taking: number = Taking.Untold): Acceptance {
    const router = this.#router
    const route = router.find(message.topic, message.isTopicChecked)
    if (route === null) return this.#refuse(message, ReasonCode.TopicNameInvalid, 'topic-over-limit')
    const mayRefuse = taking === Taking.Told
    if (mayRefuse) {
      const refusal = this.#refusalOf(route, message)
      if (refusal !== null) return this.#refuse(message, ReasonCode.QuotaExceeded, refusal)
    }
    // The Core that has forwarded it knows.
    const isForwarded = taking === Taking.Forwarded
    if (!isForwarded) message.isTaken = mayRefuse
    const isNews = taking === Taking.News
    const isFailing = taking < Taking.Will && this.#journal?.isFailing === true
    if (isFailing && message.qos > 0 && (message.retain || route.isDurable))
      return this.#refuse(message, ReasonCode.QuotaExceeded, 'store-failed')
    let reasonCode: ReasonCode = ReasonCode.Success
    // Without RETAIN the retained message stays as it is. [MQTT-3.3.1-8] [MQTT-3.1.1:3.3.1-12]
    const retains = message.retain && !isForwarded
    if (retains) {
      reasonCode = this.#retain(message, isFailing, isNews)
      // A PUBREC with a failure frees the Packet Identifier: a subscriber that had got the message could get it twice.
      if (reasonCode !== ReasonCode.Success && mayRefuse && message.qos === 2)
        return this.#answer(message, reasonCode, false, false)
    }
    const count = router.deliver(route, message)
    // No Local has been looked at. A retained message would keep its session alive.
    message.publisher = null
    // A subscriber that should have got it has not: it must not be reported as safe.
    if (count < 0) reasonCode = ReasonCode.ImplementationSpecificError
    else if (count === 0 && reasonCode === ReasonCode.Success && this.#tellsNobody(route, message))
      reasonCode = ReasonCode.NoMatchingSubscribers
    const work = this.#context.options.sparkplugAware && !isForwarded ? this.#keepBirth(message) : 0
    const acceptance = this.#answer(message, reasonCode, message.row !== null, retains && !isNews)
    acceptance.work += work
    return acceptance
  }

  /**
   * Publishes a birth certificate of Sparkplug to the topic where those who come later look for it. Returns the work for
   * it and for the birth, in packets.
   */
  #keepBirth(message: Message): number {
    const certificate = certificateOf(message)
    if (certificate === null) return 0
    this.#context.metrics.birthsKept++
    return this.accept(certificate).work
  }

  /** True: the publisher is told that nobody matches. Mosquitto does so at QoS 1, where nobody subscribes at all. */
  #tellsNobody({ targets, groups, hasDenied }: Route, { qos }: Message): boolean {
    if (this.#context.options.answers === 'recado') return true
    return qos === 1 && targets.length + groups.length === 0 && !hasDenied
  }

  #answer({ forward }: Message, reasonCode: ReasonCode, hasRows: boolean, isRetained: boolean): Acceptance {
    const acceptance = this.#acceptance
    acceptance.reasonCode = reasonCode
    acceptance.hasRows = hasRows
    acceptance.isRetained = isRetained
    acceptance.isForwarded = forward !== null && forward.open > 0
    acceptance.work = this.#router.takeWork()
    return acceptance
  }

  #refuse(message: Message, reasonCode: ReasonCode, reason: DropReason): Acceptance {
    this.#context.dropped('', message.topic, message.qos, reason)
    return this.#answer(message, reasonCode, false, false)
  }

  /** Reason why nobody gets a message whose publisher can be told; null: all who match can take it. Most often nobody has to be asked. */
  #refusalOf(route: Route, message: Message): DropReason | null {
    const { limits, memoryGuard } = this.#context
    const { queueMessagesMax, queueBytesMax, anonymousQueueMessagesMax, anonymousQueueBytesMax } = limits
    const bytesMax = Math.min(queueBytesMax, anonymousQueueBytesMax)
    const fitsEmptyQueue = queueMessagesMax > 0 && anonymousQueueMessagesMax > 0 && message.sizeBytes <= bytesMax / 2
    const isMemoryShort = memoryGuard?.refusesToKeep === true
    const isSpaceShort = this.#isSpaceShort()
    const router = this.#router
    if (router.fullSubscribers === 0 && fitsEmptyQueue && !isMemoryShort && !isSpaceShort) return null
    if (!router.isRefused(route, message)) return null
    return isMemoryShort ? 'memory-full' : isSpaceShort ? 'queues-full' : 'queue-full'
  }

  /** All queues together hold so much that some may have no share left. */
  #isSpaceShort(): boolean {
    const { holdings, limits } = this.#context
    return holdings.isShort || (this.#journal?.messageBytes ?? 0) > limits.storedBytesMax / 2
  }

  /** Retains the message. Returns 0, or the Reason Code for its publisher when it is not retained. */
  #retain(message: Message, isFailing: boolean, isNews: boolean): ReasonCode {
    if (isFailing) {
      this.#context.dropped('', message.topic, message.qos, 'store-failed')
      return ReasonCode.Success
    }
    const isMemoryShort = !isNews && !this.#hasMemoryToRetain(message)
    if (!isMemoryShort && this.#retained.set(message, isNews)) return ReasonCode.Success
    this.#context.dropped('', message.topic, message.qos, isMemoryShort ? 'memory-full' : 'retained-limit')
    return ReasonCode.QuotaExceeded
  }

  #hasMemoryToRetain(message: Message): boolean {
    const { memoryGuard } = this.#context
    if (memoryGuard === null || message.payloadLength === 0 || !memoryGuard.refusesNew) return true
    return !memoryGuard.refusesToKeep && this.#retained.get(message.topic) !== undefined
  }
}
