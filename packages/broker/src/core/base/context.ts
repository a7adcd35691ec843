/**
 * Context: what every file of the core may need, on every floor: ports, options, limits, counters, time.
 *
 * `Core` makes one; objects that need it get it in their constructor and keep it. It knows nothing of sessions, routes
 * or connections, so that a journal, a router or a session can be made in a test without a broker around it. Invariant:
 * `limits` and `options` are changed in place (`Core.reconfigure`), never replaced, so that every reader sees those in
 * force.
 */
import type { QoS } from '@recado/protocol'
import type {
  Authenticator,
  Authorizer,
  Clock,
  DropReason,
  EnhancedAuthenticator,
  Observer,
  ProcessMemory,
  Random,
  Store,
  Transformer,
} from '../../ports.ts'
import { storedIdentity } from './bridge-path.ts'
import { BufferPool } from './buffer-pool.ts'
import { Faults } from './faults.ts'
import { Holdings } from './holdings.ts'
import type { Limits } from './limits.ts'
import type { MemoryGuard } from './memory-guard.ts'
import type { MessageCountdown } from './message-countdown.ts'
import { Metrics } from './metrics.ts'
import type { CoreOptions } from './options.ts'
import { PayloadBlocks } from './payload-blocks.ts'
import { SteadyClock } from './steady-clock.ts'
import { TimerWheel } from './timer-wheel.ts'
import { TopicRewrites } from './topic-rewrites.ts'
import { Turn } from './turn.ts'

/** Seams of one broker; an absent one is null, and is neither asked nor told. */
export interface CorePorts {
  readonly clock: Clock
  readonly random: Random
  readonly authenticator: Authenticator | null
  readonly enhancedAuthenticator: EnhancedAuthenticator | null
  readonly authorizer: Authorizer | null
  readonly transformer: Transformer | null
  readonly observer: Observer | null
  readonly store: Store | null
  /** Memory of the process; null when `memoryBytesMax` is not enforced. */
  readonly processMemory: ProcessMemory | null
  /** Allocates memory whose contents do not matter. Default: zeroed arrays. */
  readonly allocate?: (bytes: number) => Uint8Array
}

/** Milliseconds until the alarm is tried again when setting off the timers has thrown. */
const ALARM_RETRY_MS = 1_000

export class Context {
  readonly limits: Limits
  readonly options: CoreOptions
  readonly random: Random
  authenticator: Authenticator | null
  enhancedAuthenticator: EnhancedAuthenticator | null
  authorizer: Authorizer | null
  /** null: messages are passed on as they are. */
  transformer: Transformer | null
  observer: Observer | null
  /** Whether the observer wants each packet. */
  isTracing: boolean
  /** Whether the observer wants each published message. Looking for it in the observer would be a search per message. */
  observesMessages: boolean
  /** Whether the observer wants each message that waits. */
  observesQueues: boolean
  readonly metrics: Metrics = new Metrics()
  readonly faults: Faults
  readonly holdings: Holdings
  readonly payloadBlocks: PayloadBlocks = new PayloadBlocks()
  readonly buffers: BufferPool
  /** The broker's time: that of `CorePorts.clock`, or of a `SteadyClock` before it where there is a store. */
  readonly clock: Clock
  /** Milliseconds that the clock of the machine is behind the broker's time (`SteadyClock`). */
  readonly clockBehindMs: number
  /**
   * Last time that the broker before this one has noted on the disk, milliseconds since the Unix epoch; -Infinity when
   * there is none.
   */
  readonly notedMs: number
  readonly turn: Turn
  readonly wheel: TimerWheel
  /** Identity of this broker on paths over bridges (`bridge-path.ts`); null when it has never had a bridge. */
  identity: string | null
  /** Topic rewrites; null when there are none. */
  rewrites: TopicRewrites | null = null
  /** Memory ceiling; null when there is none. */
  memoryGuard: MemoryGuard | null = null
  /** Follows messages for latencies and spans; null: nobody does. */
  watching: MessageCountdown | null = null
  /** Number of times that rights have changed: a login that was under way then is decided again. */
  rechecks = 0

  /** `endTurn`: see `Turn`. */
  constructor(limits: Limits, options: CoreOptions, ports: CorePorts, endTurn: (() => void) | null = null) {
    this.limits = limits
    this.options = options
    this.random = ports.random
    this.authenticator = ports.authenticator
    this.enhancedAuthenticator = ports.enhancedAuthenticator
    this.authorizer = ports.authorizer
    this.transformer = ports.transformer
    this.observer = ports.observer
    this.isTracing = isTracedBy(ports.observer)
    this.observesMessages = ports.observer?.['message.published'] !== undefined
    this.observesQueues = ports.observer?.['message.queued'] !== undefined
    this.holdings = new Holdings(limits)
    this.optionsChanged()
    this.identity = ports.store?.isPersistent ? storedIdentity(ports.store) : null
    const steady = ports.store?.isPersistent ? new SteadyClock(ports.clock, ports.store) : null
    const clock = steady ?? ports.clock
    this.clock = clock
    this.clockBehindMs = steady?.behindMs ?? 0
    this.notedMs = steady?.notedMs ?? Number.NEGATIVE_INFINITY
    this.faults = new Faults(this.metrics, ports.observer)
    this.turn = new Turn(clock, this.faults, endTurn)
    const onAlarm = (): void => {
      const isDone = this.faults.attempt('timers', () => {
        this.turn.begin()
        this.wheel.advance(this.turn.nowMs)
      })
      // Or no timer would ever come again.
      if (!isDone) clock.alarm(clock.nowMs() + ALARM_RETRY_MS, onAlarm)
    }
    this.wheel = new TimerWheel(clock, onAlarm, this.faults)
    const allocate = ports.allocate ?? ((bytes) => new Uint8Array(bytes))
    this.buffers = new BufferPool(allocate, this.wheel, () => this.turn.nowMs)
  }

  /** Makes what follows from the options. */
  optionsChanged(): void {
    const { topicRewrites } = this.options
    this.rewrites = topicRewrites.length === 0 ? null : new TopicRewrites(topicRewrites)
  }

  /** Sets the observer; null for none. */
  observe(observer: Observer | null): void {
    this.observer = observer
    this.isTracing = isTracedBy(observer)
    this.observesMessages = observer?.['message.published'] !== undefined
    this.observesQueues = observer?.['message.queued'] !== undefined
    this.faults.observer = observer
  }

  /**
   * Counts a message that does not reach a subscriber, and tells the observer. `clientId` is that of its publisher, or
   * with `isForSubscriber` that of the subscriber; '' when it is no client's in particular.
   */
  dropped(clientId: string, topic: string, qos: QoS, reason: DropReason, isForSubscriber: boolean = false): void {
    this.metrics.dropped[reason]++
    this.observer?.['message.dropped']?.({ clientId, topic, qos, reason, ...(isForSubscriber && { isForSubscriber }) })
  }
}

function isTracedBy(observer: Observer | null): boolean {
  return observer?.['packet.received'] !== undefined || observer?.['packet.sent'] !== undefined
}
