/**
 * A durable subscription of the embedding program: a session like that of a client, whose client is a function.
 *
 * `Broker.subscribeDurably` makes one. It sends through the outlet of a session, as a connection does, so queue, store and recovery are
 * those of all sessions. Invariants: the handler has one message at a time, in order; a message is acknowledged when the handler is done
 * with it, and comes again after a crash before that (at least once); the Client Identifier begins with U+0000, which no
 * client can send, so that nobody takes the session over; the authorizer is not asked.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { type ProtocolVersion, type QoS, ReasonCode } from '@recado/protocol'
import type { Limits } from './core/base/limits.ts'
import type { Message } from './core/base/message.ts'
import type { Core } from './core/core.ts'
import { PendingCallback } from './core/journal/pending-ack.ts'
import { NEVER_EXPIRES } from './core/journal/session-records.ts'
import type { AcknowledgementCount, MessageWriter, Outlet } from './core/session/outlet.ts'
import type { Session } from './core/session/session.ts'
import type { ApplicationMessage, DropReason } from './ports.ts'

/** Messages that a handler is given before it has acknowledged any; the others wait in the queue of the session. */
const IN_FLIGHT_MAX = 100
/** Milliseconds until a handler that has failed is given its message again. */
const RETRY_MS = 1_000
const NO_COUNT: AcknowledgementCount = { noteRightAcknowledgement() {}, noteStray() {} }

/**
 * Function that takes the messages of a durable subscription, one at a time. A message is done with when it returns, or when its
 * promise resolves; where it throws or rejects it gets the message again after a second.
 */
export type DurableHandler = (message: ApplicationMessage) => void | Promise<void>

/** A subscription of the embedding program that outlives the process. */
export interface DurableSubscription {
  readonly name: string
  readonly topicFilter: string
  /**
   * Gives the handler no more messages: they wait for the next `subscribeDurably` of this name. Resolves when the handler is done
   * with the message that it has; within the handler itself, at once.
   */
  close(): Promise<void>
  /**
   * Ends the subscription, and drops the messages that wait for it; resolves when that is safe. Only closes this one
   * where a later one has its name.
   */
  unsubscribe(): Promise<void>
}

/** Client Identifier of a durable subscription. */
export const durableClientId = (name: string): string => `\0${name}`

interface Waiting {
  readonly message: Message
  readonly packetId: number
}

export class DurableSubscriber implements Outlet, MessageWriter, DurableSubscription {
  readonly name: string
  readonly topicFilter: string
  readonly clientId: string
  readonly username: string | undefined = undefined
  readonly protocolVersion: ProtocolVersion = 5
  readonly isBridge: boolean = false
  readonly isProgram: boolean = true
  readonly remoteAddress: string = ''
  readonly listener: string = ''
  readonly peer: null = null
  readonly grants: unknown = undefined
  memo: unknown = null
  readonly limits: Limits
  readonly readGate: AcknowledgementCount = NO_COUNT
  readonly publishWriter: MessageWriter = this
  readonly #core: Core
  readonly #handler: DurableHandler
  readonly #failed: (error: unknown) => void
  /** Latest subscription of each name, also when it is closed. */
  readonly #latest: Map<string, DurableSubscriber>
  #session: Session | null = null
  #waiting: Waiting[] = []
  /** The handler gets no further message. */
  #isClosing = false
  /** Tells a call from within the handler from others: it is waited for by `#working`. */
  readonly #handling: AsyncLocalStorage<DurableSubscriber> = new AsyncLocalStorage()
  /** Resolves when the handler has nothing to do any more. */
  #working: Promise<void> | null = null
  /** Ends the pause after a failure of the handler. */
  #wake: () => void = () => {}

  /** `failed` is told what the handler throws; `latest` has the latest subscription of each name. */
  constructor(
    core: Core,
    name: string,
    topicFilter: string,
    handler: DurableHandler,
    failed: (error: unknown) => void,
    latest: Map<string, DurableSubscriber>,
  ) {
    this.name = name
    this.topicFilter = topicFilter
    this.clientId = durableClientId(name)
    this.limits = core.context.limits
    this.#core = core
    this.#handler = handler
    this.#failed = failed
    this.#latest = latest
  }

  /** Opens the session and makes the subscription; resolves when both are safe. One of the same name is closed. */
  async open(): Promise<void> {
    const { context, sessions, retained } = this.#core
    context.turn.begin()
    const opening = sessions.open(this, false, NEVER_EXPIRES, null)
    const { session } = opening
    this.#session = session
    sessions.letIn(opening)
    for (const entry of [...session.subscriptions.values()]) {
      if (entry.topicFilter !== this.topicFilter) session.subscriptions.remove(entry)
    }
    const { topicFilter } = this
    const isNew = !session.subscriptions.has(topicFilter)
    const entry =
      session.subscriptions.get(topicFilter) ??
      session.subscriptions.add({
        topicFilter,
        qos: 1,
        noLocal: false,
        retainAsPublished: true,
        subscriptionIdentifier: 0,
      })
    // What is retained from now on comes as an ordinary message.
    const walk = isNew && !topicFilter.startsWith('$share/') ? retained.walk(topicFilter) : null
    session.attach(this, IN_FLIGHT_MAX)
    await this.#safe()
    if (walk === null || this.#session === null) return
    context.turn.begin()
    session.deliverRetained(walk, entry)
  }

  /** Resolves when all changes so far are on the disk. */
  async #safe(): Promise<void> {
    const { journal } = this.#core
    if (journal !== null) await new Promise<void>((resolve) => journal.gate(new PendingCallback(resolve)))
  }

  // --- the outlet of the session ------------------------------------------------------------------------------------

  makeRoom(): boolean {
    return !this.#isClosing && this.#waiting.length < IN_FLIGHT_MAX
  }

  write(message: Message, _qos: QoS, _retain: boolean, _dup: boolean, packetId: number): boolean {
    this.#waiting.push({ message: message.keep(), packetId })
    this.#working ??= this.#work()
    return true
  }

  unsentReason(): DropReason {
    return 'slow-reader'
  }

  /** Never called: nothing is delivered at QoS 2. */
  sendPubrel(): void {}

  /** Goes on with what the session was to do in a later turn: a walk over many retained topics. */
  flush(): void {
    this.#session?.advance()
  }

  closeWith(): void {
    this.#leave()
  }

  destroy(): void {
    this.#leave()
  }

  fault(_where: string, error: unknown): void {
    this.#failed(error)
    this.#leave()
  }

  #leave(): void {
    const session = this.#session
    if (session === null) return
    this.#session = null
    this.#waiting = []
    this.#wake()
    const { turn } = this.#core.context
    session.lastEnd = { atMs: turn.nowMs, byClient: true, reasonCode: ReasonCode.NormalDisconnection, why: 'closed' }
    this.#core.sessions.disconnected(session, this, null)
  }

  // --- the handler --------------------------------------------------------------------------------------------------

  async #work(): Promise<void> {
    // Not from within the turn in which the message is routed.
    await new Promise<void>((resolve) => this.#core.context.clock.defer(resolve))
    while (this.#waiting.length > 0 && !this.#isClosing) {
      const { message, packetId } = this.#waiting[0]!
      const isDone = await this.#handle(message)
      const session = this.#session
      if (session === null) break
      if (!isDone) continue
      this.#waiting.shift()
      this.#core.context.turn.begin()
      if (packetId !== 0) session.handlePuback(packetId)
      session.advance()
    }
    this.#working = null
  }

  async #handle(message: Message): Promise<boolean> {
    try {
      await this.#handling.run(this, () => this.#handler(message))
      return true
    } catch (error) {
      this.#failed(error)
    }
    if (this.#session === null || this.#isClosing) return false
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#core.context.clock.after(RETRY_MS, resolve)
    })
    return false
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.#wake()
    // From within the handler: what it works on is not done before this is, so it ends the rest when it returns.
    if (this.#handling.getStore() === this) {
      void this.#working?.then(() => this.#end())
      return
    }
    await this.#working
    this.#end()
  }

  #end(): void {
    this.#core.context.turn.begin()
    this.#leave()
  }

  async unsubscribe(): Promise<void> {
    await this.close()
    // A later one of this name goes on with the session.
    if (this.#latest.get(this.name) !== this) return
    this.#latest.delete(this.name)
    this.#core.removeSession(this.clientId)
    await this.#safe()
  }
}
