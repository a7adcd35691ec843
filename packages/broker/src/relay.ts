/**
 * A relay: the session of a bridge at this broker, and the way of the remote broker's messages into it.
 *
 * `Broker.relay` makes one. Towards the broker it is a client like any other: a session with subscriptions, a queue and
 * deliveries in flight, which sends through this outlet. Towards the bridge it speaks in MQTT packets (`RelayPeer`),
 * each with the Packet Identifier of the session. So a bridge that passes packets on between the two brokers has no state
 * of its own: what is in flight is known on the disks of both.
 *
 * Invariants: the Client Identifier is taken for as long as the relay is open, no client gets it; the authorizer is not
 * asked about what comes in, but no message gets to the broker's own topics (`isReserved`); an acknowledgement is sent
 * when what it stands for is safe, as to any client; nothing is sent to a peer that has been detached.
 */
import { Flow, type ProtocolVersion, type Publish, type QoS, ReasonCode, topicMatches } from '@recado/protocol'
import { BRIDGE_LISTENER, clientInfoOf } from './core/base/client-info.ts'
import type { Context } from './core/base/context.ts'
import type { Limits } from './core/base/limits.ts'
import { Message } from './core/base/message.ts'
import { isReserved } from './core/base/reserved-topics.ts'
import { AcknowledgementLine } from './core/connection/acknowledgement-line.ts'
import {
  acceptPublish,
  acknowledgeAgain,
  drop,
  handlePubrel,
  NOT_DELAYED,
  type PublishingClient,
} from './core/connection/handle-publish.ts'
import type { Core } from './core/core.ts'
import { giveIdentity } from './core/journal/broker-identity.ts'
import { PendingCallback } from './core/journal/pending-ack.ts'
import { NEVER_EXPIRES } from './core/journal/session-records.ts'
import type { RetainedWatcher } from './core/routing/retained.ts'
import { isTopicWithinLimits } from './core/routing/topic-limits.ts'
import type { AcknowledgementCount, MessageWriter, Outlet } from './core/session/outlet.ts'
import type { Session } from './core/session/session.ts'
import { ALLOW, type ApplicationMessage, type ClientInfo, type DropReason, Table } from './ports.ts'
import { SentRetained } from './sent-retained.ts'

/** Topics that are looked at to find out whether there is a retained message. */
const RETAINED_LOOKS = 100

/** A message on its way to the remote broker. */
export interface RelayedMessage extends ApplicationMessage {
  /** Property Length and properties of a PUBLISH of MQTT 5.0, with the rest of its Message Expiry Interval. */
  propertyField(nowMs: number, subscriptionIdentifiers: null, topicAlias: number): Uint8Array
}

/** The bridge, as the relay sees it: it sends these packets to the remote broker. */
export interface RelayPeer {
  /** Returns false while the remote broker reads too slowly: QoS 0 is dropped, other messages wait. */
  makeRoom(): boolean
  /** Sends a PUBLISH. Returns the reason why it was not sent; null when it was. The payload is borrowed. */
  publish(message: RelayedMessage, qos: QoS, retain: boolean, dup: boolean, packetId: number): DropReason | null
  sendPubrel(packetId: number): void
  /** Sends PUBACK, PUBREC or PUBCOMP. */
  sendAck(packetType: 4 | 5 | 7, packetId: number): void
  /** Writes what has been sent in this turn. */
  flush(): void
  /** Stops and starts reading from the remote broker. */
  pause(): void
  resume(): void
  /** The relay is detached, and sends nothing any more: an administrator has ended its session, or an error. */
  end(why: string): void
}

/** Local subscription of a relay. It has No Local and Retain As Published. */
export interface RelaySubscription {
  readonly topicFilter: string
  readonly qos: QoS
}

/** Options of a relay. */
export interface RelayOptions {
  /** Client Identifier at this broker. */
  readonly clientId: string
  /** User whose session it is; undefined for none. */
  readonly username: string | undefined
  /** Whether the session ends when the remote broker is lost, and nothing waits for it. */
  readonly cleanStart: boolean
  /** Whether messages at QoS 0 wait while the remote broker is away. */
  readonly queueQoS0: boolean
  readonly subscriptions: readonly RelaySubscription[]
}

/** State of a relay, for people. */
export interface RelayFigures {
  /** Messages that wait, and their bytes. */
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** Messages in flight to the remote broker. */
  readonly inFlight: number
  /** Messages that did not get to the remote broker. */
  readonly droppedMessages: number
  /** Local subscriptions whose retained messages are on their way. */
  readonly retainedWalks: number
}

/** The session of a bridge at this broker, in packets of MQTT. `Broker.relay` makes one. */
export interface Relay {
  /** Limit of messages in flight to one client (`inflightMax`). */
  readonly inflightMax: number
  /** Time of the turn, in milliseconds of the broker's clock. */
  readonly nowMs: number
  /**
   * Identity of this broker on the paths of messages over bridges, which its store keeps; null for none. All relays of a
   * broker have the same: a message with it on its path is not taken, from a bridge or from a client.
   */
  identity: string | null
  /** State for people. */
  readonly figures: RelayFigures
  /**
   * Opens the session, unless it is open. Returns true when it was there before: since the process started, or in the
   * store.
   */
  openSession(): boolean
  /** Returns the Topic Filters of local subscriptions that are new since the last call. */
  takeNewFilters(): Set<string>
  /**
   * Attaches a connection that the remote broker has accepted: messages in flight are sent again, then those that have
   * waited. Call `openSession` before. `isFarNew`: the remote broker's session is not the one of the last connection,
   * so Packet Identifiers of messages received before stand for nothing any more. [MQTT-3.2.2-5] `isGuess`: it is
   * not known (MQTT 3.1 does not say so); then a QoS 2 PUBLISH without DUP is a new one.
   */
  attach(peer: RelayPeer, remoteAddress: string, receiveMaximum: number, isFarNew: boolean, isGuess?: boolean): void
  /**
   * Text of the bridge about the session that the remote broker has for it, kept with the session here; null for none.
   */
  note: string | null
  /** Calls back when the note is on the disk; at once where there is none, or while it fails. */
  whenSafe(callback: () => void): void
  /** Whether there is something to send: what waits, what is in flight, retained messages on their way. */
  readonly isBehind: boolean
  /** Whether a message of the remote broker is not acknowledged yet. */
  readonly isAnswering: boolean
  /** Whether one of these local subscriptions matches a retained message. */
  hasRetained(topicFilters: Iterable<string>): boolean
  /**
   * Sets the number of messages that may be outstanding on this connection. The bridge lowers it while a message of its
   * own is.
   */
  setReceiveMaximum(receiveMaximum: number): void
  /**
   * Sends the retained messages of these local subscriptions, but for those that the remote broker has sent, behind all
   * that waits. `isWhole`: all of them; else only those that have changed since the relay has sent them, and deletions
   * of those that are gone. Of the subscriptions in `queued` those at QoS 0 only: the others have waited.
   */
  sendRetained(topicFilters: ReadonlySet<string>, isWhole: boolean, queued: ReadonlySet<string>): void
  /**
   * Asks whether it must be found out that the remote broker has the retained messages that it was sent at QoS 0.
   * Returns a function to call when it has answered a packet that was sent after them; null when there are none.
   */
  proveRetained(): (() => void) | null
  /** Whether it is not known of some retained messages at QoS 0 that the remote broker has them. */
  readonly hasUnproved: boolean
  /** Whether a topic has a retained message that was published here since the last connection was lost. */
  isNewHere(topic: string): boolean
  /** Detaches the connection, which is lost: messages wait, unless the session is a clean one. */
  detach(why: string): void
  /** Gives the Client Identifier back. `isForGood`: the session ends, with all that waits in it. */
  close(isForGood: boolean): void
  /** Handles a PUBLISH. `topic` is the topic at this broker; null when no topic of the bridge matches it. */
  handlePublish(publish: Publish, topic: string | null): void
  /** Handles a PUBLISH that is not to be passed on: it is acknowledged, and counted under its reason. */
  refusePublish(publish: Publish, topic: string, reason: DropReason): void
  /** Handles a PUBACK; a failure drops the message, and is counted. */
  handlePuback(packetId: number, reasonCode: ReasonCode): void
  /** Handles a PUBREC. The relay sends PUBREL when that may be sent. */
  handlePubrec(packetId: number, reasonCode: ReasonCode): void
  /** Handles a PUBREL. The relay sends PUBCOMP when that may be sent. */
  handlePubrel(packetId: number): void
  /** Handles a PUBCOMP. */
  handlePubcomp(packetId: number): void
  /** Ends the flow of a message that the remote broker does not answer, because of its Maximum QoS. */
  complete(packetId: number): void
  /** Sends what waits: the remote broker reads again. */
  handleDrain(): void
  /** Takes a Packet Identifier for a packet of the bridge's own, such as a SUBSCRIBE. */
  takePacketId(owner: object): number
  /** Frees a Packet Identifier of the bridge's own. Returns its owner; null when it is none of those. */
  freePacketId(packetId: number): object | null
  /** Notes an error of ours, and ends the connection. `where` names the work, for the log. */
  fault(where: string, error: unknown): void
}

export class RelaySession implements Relay, Outlet, MessageWriter, PublishingClient, RetainedWatcher {
  readonly hasOwnPaths = true
  readonly source: ClientInfo
  readonly clientId: string
  readonly username: string | undefined
  /** Answers to the remote broker are those of 3.1.1: a message is acknowledged, or it comes again. */
  readonly protocolVersion: ProtocolVersion = 4
  readonly isBridge: boolean = true
  readonly isProgram: boolean = true
  readonly listener: string = ''
  readonly peer: null = null
  readonly grants: unknown = undefined
  memo: unknown = null
  /** Address of the remote broker; '' while there is no connection. */
  remoteAddress = ''
  readonly context: Context
  readonly parts: PublishingClient['parts']
  readonly limits: Limits
  readonly acknowledgements: AcknowledgementLine
  readonly readGate: PublishingClient['readGate']
  readonly publishWriter: MessageWriter = this
  readonly #core: Core
  readonly #cleanStart: boolean
  readonly #queueQoS0: boolean
  readonly #subscriptions: readonly RelaySubscription[]
  #session: Session | null = null
  #peer: RelayPeer | null = null
  #unsent: DropReason = 'packet-too-large'
  /** Whether `flush` will be called at the end of the turn. */
  #isSpeaker = false
  #isClosed = false
  /** Received identifiers of earlier connections, where it is a guess that they still count; null where it is known. */
  #heldBefore: Set<number> | null = null
  /** Place of the last retained message when the last connection was lost, or the process began. */
  #lostSequence = 0
  readonly #sentRetained: SentRetained = new SentRetained()
  /** Topic Filters of subscriptions that have been made since `takeNew` was called. */
  #newFilters: Set<string> = new Set()

  constructor(core: Core, options: RelayOptions) {
    this.clientId = options.clientId
    this.username = options.username
    this.source = { ...clientInfoOf(this), listener: BRIDGE_LISTENER }
    this.#core = core
    this.context = core.context
    this.limits = core.limits
    this.parts = core
    this.#cleanStart = options.cleanStart
    this.#queueQoS0 = options.queueQoS0
    this.#subscriptions = options.subscriptions
    this.acknowledgements = new AcknowledgementLine(this, core.journal)
    const count: AcknowledgementCount = { noteRightAcknowledgement() {}, noteStray() {} }
    this.readGate = {
      ...count,
      pause: () => this.#peer?.pause(),
      resume: () => this.#peer?.resume(),
      tookWork() {},
    }
  }

  /** Takes the Client Identifier; a durable session is there from now on, and messages wait in it. */
  open(): void {
    const { sessions } = this.#core
    this.context.turn.begin()
    sessions.ofProgram.add(this.clientId)
    this.#core.retained.watchers.add(this)
    this.#lostSequence = this.#core.retained.sequence
    if (!this.#cleanStart) this.openSession()
    else if (sessions.get(this.clientId) !== undefined) sessions.remove(this.clientId)
  }

  openSession(): boolean {
    const { sessions } = this.#core
    this.context.turn.begin()
    if (this.#session !== null && sessions.get(this.clientId) === this.#session) return true
    const opening = sessions.open(this, this.#cleanStart, this.#cleanStart ? 0 : NEVER_EXPIRES, null)
    sessions.letIn(opening)
    this.#session = opening.session
    this.#session.queuesQoS0 = this.#queueQoS0
    this.#subscribe(this.#session)
    return opening.sessionPresent
  }

  #subscribe(session: Session): void {
    const { subscriptions } = session
    const wanted = new Map<string, QoS>()
    for (const { topicFilter, qos } of this.#subscriptions)
      wanted.set(topicFilter, Math.max(qos, wanted.get(topicFilter) ?? 0) as QoS)
    for (const entry of [...subscriptions.values()]) if (!wanted.has(entry.topicFilter)) subscriptions.remove(entry)
    for (const [topicFilter, qos] of wanted) {
      const before = subscriptions.get(topicFilter)
      if (before?.qos === qos) continue
      if (before === undefined) this.#newFilters.add(topicFilter)
      const isShared = topicFilter.startsWith('$share/')
      subscriptions.add({ topicFilter, qos, noLocal: !isShared, retainAsPublished: true, subscriptionIdentifier: 0 })
    }
  }

  get inflightMax(): number {
    return this.limits.inflightMax
  }

  get identity(): string | null {
    return this.context.identity
  }

  set identity(identity: string | null) {
    giveIdentity(this.context, this.parts.journal, identity)
  }

  get nowMs(): number {
    return this.context.turn.nowMs
  }

  get isAnswering(): boolean {
    return (this.#session?.receiver.unacknowledged ?? 0) > 0
  }

  get figures(): RelayFigures {
    const session = this.#session
    return {
      queuedMessages: session?.queue.length ?? 0,
      queuedBytes: session?.queue.bytes ?? 0,
      inFlight: session?.sender.inflight ?? 0,
      droppedMessages: session?.droppedMessages ?? 0,
      retainedWalks: session?.retainedWalks ?? 0,
    }
  }

  // --- the connection to the remote broker --------------------------------------------------------------------------

  attach(
    peer: RelayPeer,
    remoteAddress: string,
    receiveMaximum: number,
    isFarNew: boolean,
    isGuess: boolean = false,
  ): void {
    const session = this.#session!
    this.context.turn.begin()
    this.remoteAddress = remoteAddress
    this.#peer = peer
    this.#heldBefore = isGuess ? new Set(session.receiver.ids()) : null
    if (isFarNew) {
      session.receiver.clear()
      if (session.receivedIds !== null) this.parts.journal!.forgetReceived(session.receivedIds)
    }
    session.attach(this, receiveMaximum)
  }

  get note(): string | null {
    return this.#keptSession?.note ?? null
  }

  set note(note: string | null) {
    this.context.turn.begin()
    const session = this.#keptSession
    if (session !== null && note !== null) this.#core.sessions.note(session, note)
  }

  /** Session of the relay, unless an administrator has removed it. */
  get #keptSession(): Session | null {
    return this.#core.sessions.get(this.clientId) === this.#session ? this.#session : null
  }

  whenSafe(callback: () => void): void {
    const { journal } = this.parts
    if (journal === null || journal.isFailing) {
      callback()
      return
    }
    const answer = new PendingCallback(callback)
    journal.gateChanges(answer)
    if (answer.waits === 0) callback()
  }

  get isBehind(): boolean {
    const session = this.#session
    return session !== null && session.queue.length + session.sender.inflight + session.retainedWalks > 0
  }

  hasRetained(topicFilters: Iterable<string>): boolean {
    for (const topicFilter of topicFilters) {
      const walk = this.#core.retained.walk(topicFilter)
      // Where the first ones do not match, others may.
      if (walk !== null && (walk.next(RETAINED_LOOKS, this.nowMs) !== null || !walk.isDone)) return true
    }
    return false
  }

  setReceiveMaximum(receiveMaximum: number): void {
    const session = this.#session
    if (session === null || this.#peer === null) return
    this.context.turn.begin()
    session.sender.receiveMaximum = receiveMaximum
    session.advance()
  }

  sendRetained(topicFilters: ReadonlySet<string>, isWhole: boolean, queued: ReadonlySet<string>): void {
    const session = this.#session!
    const { retained } = this.#core
    this.context.turn.begin()
    this.#deleteGone(session, topicFilters)
    for (const topicFilter of topicFilters) {
      const entry = session.subscriptions.get(topicFilter)
      const isQueued = queued.has(topicFilter)
      const skips = (message: Message): boolean => {
        // What has come by this bridge the remote broker has, or has had: it would bring back what was deleted there.
        if (this.#isOwn(message.source)) return true
        return !isWhole && ((isQueued && message.qos > 0) || this.#sentRetained.has(message))
      }
      const walk = entry === undefined ? null : retained.walk(topicFilter, skips)
      if (walk !== null) session.deliverRetained(walk, entry!)
    }
  }

  #isOwn(source: ClientInfo | null): boolean {
    return source !== null && source.listener === BRIDGE_LISTENER && source.clientId === this.clientId
  }

  /** Sends the deletion of retained messages that the remote broker has of us, and that are gone here. */
  #deleteGone(session: Session, topicFilters: ReadonlySet<string>): void {
    for (const topic of [...this.#sentRetained.topics]) {
      if (this.#core.retained.get(topic) !== undefined) continue
      const entry = [...session.subscriptions.values()].find((each) => topicMatches(each.topicFilter, topic))
      if (entry !== undefined && !topicFilters.has(entry.topicFilter)) continue
      const properties = this.#sentRetained.deletionOf(topic)
      this.#sentRetained.forget(topic)
      if (entry === undefined) continue
      // At the QoS at which later messages of the topic go, or it would come after them.
      const qos = this.#cleanStart ? entry.qos : 0
      const parts = { topic, payload: new Uint8Array(0), qos, retain: true, properties }
      session.offerRetained(Message.of(parts, null, this.nowMs), qos, entry)
    }
  }

  /** Notes a retained message that the remote broker gets, where what happens meanwhile does not wait for it. */
  #noteRetained(message: Message, qos: QoS): void {
    if (qos > 0 && !this.#cleanStart) return
    this.#sentRetained.note(message, qos)
  }

  /** Handles the deletion of a retained message here. */
  retainedDeleted(message: Message): void {
    // What the remote broker has deleted is gone there: it may have a new one by now.
    if (this.#isOwn(message.source)) this.#sentRetained.forget(message.topic)
    else this.#sentRetained.deleted(message)
  }

  isNewHere(topic: string): boolean {
    const message = this.#core.retained.get(topic)
    return message !== undefined && message.retainedSequence > this.#lostSequence && !this.#isOwn(message.source)
  }

  get hasUnproved(): boolean {
    return this.#sentRetained.hasUnproved
  }

  proveRetained(): (() => void) | null {
    return this.#sentRetained.prove()
  }

  /** Returns the Topic Filters of local subscriptions that are new since the last call. */
  takeNewFilters(): Set<string> {
    const taken = this.#newFilters
    this.#newFilters = new Set()
    return taken
  }

  /** Detaches the connection, which is lost: messages wait, unless the session is a clean one. */
  detach(why: string): void {
    const session = this.#session
    if (this.#peer === null || session === null) return
    this.context.turn.begin()
    this.#peer = null
    this.#sentRetained.doubt()
    this.#lostSequence = this.#core.retained.sequence
    this.remoteAddress = ''
    const { nowMs } = this.context.turn
    session.lastEnd = { atMs: nowMs, byClient: false, reasonCode: ReasonCode.UnspecifiedError, why }
    this.acknowledgements.settle()
    if (this.#cleanStart) this.#session = null
    this.#core.sessions.disconnected(session, this, null)
  }

  /** Gives the Client Identifier back. `isForGood`: the session ends, with all that waits in it. */
  close(isForGood: boolean): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.detach('the bridge is closed')
    const { sessions, retained } = this.#core
    this.context.turn.begin()
    retained.watchers.delete(this)
    sessions.ofProgram.delete(this.clientId)
    if (isForGood) sessions.remove(this.clientId)
  }

  // --- packets of the remote broker ---------------------------------------------------------------------------------

  /** Handles a PUBLISH. `topic` is the topic at this broker; null when no topic of the bridge matches it. */
  handlePublish(publish: Publish, topic: string | null): void {
    const session = this.#session
    if (!this.isActive || session === null) return
    const { context } = this
    context.turn.begin()
    context.metrics.messagesReceived++
    context.metrics.payloadBytesReceived += publish.payloadEnd - publish.payloadStart
    if (publish.qos > 0) {
      if (this.parts.journal?.isFailing === true) {
        // Not acknowledged, so it comes again with the next connection.
        this.closeWith(ReasonCode.QuotaExceeded, 'the store is failing')
        return
      }
      if (publish.qos === 2 && this.#heldBefore?.delete(publish.packetId) && !publish.dup) {
        this.#release(session, publish.packetId)
      }
      if (!session.receiver.handlePublish(publish.packetId, publish.qos as 1 | 2, publish.dup)) {
        context.metrics.duplicatesReceived++
        acknowledgeAgain(this, publish, topic ?? publish.topic, false)
        return
      }
    }
    if (topic === null || isReserved(topic)) drop(this, publish, topic ?? publish.topic, 'not-authorized')
    else if (!isTopicWithinLimits(topic, this.limits)) drop(this, publish, topic, 'topic-over-limit')
    else if (publish.payloadEnd - publish.payloadStart > this.limits.payloadBytesMax)
      drop(this, publish, topic, 'payload-over-limit')
    else acceptPublish(this, publish, topic, NOT_DELAYED, ALLOW)
  }

  /** Frees the identifier of a QoS 2 message whose PUBREL will never come: the remote broker has forgotten it. */
  #release({ receiver, receivedIds }: Session, packetId: number): void {
    receiver.handlePubrel(packetId)
    if (receivedIds?.release(packetId))
      this.parts.journal!.change(Table.Received, receivedIds.sessionNumber, packetId, 0, null)
  }

  /** Handles a PUBLISH that is not to be passed on: it is acknowledged, and counted under its reason. */
  refusePublish(publish: Publish, topic: string, reason: DropReason): void {
    const session = this.#session
    if (!this.isActive || session === null) return
    this.context.turn.begin()
    this.context.metrics.messagesReceived++
    if (publish.qos > 0 && !session.receiver.handlePublish(publish.packetId, publish.qos as 1 | 2, publish.dup)) {
      acknowledgeAgain(this, publish, topic, false)
      return
    }
    drop(this, publish, topic, reason)
  }

  handlePuback(packetId: number, reasonCode: ReasonCode): void {
    const session = this.#session
    if (session === null) return
    this.context.turn.begin()
    if (reasonCode >= 0x80) this.#dropped(session, packetId, 1)
    session.handlePuback(packetId)
  }

  /** Handles a PUBREC. The relay sends PUBREL when that may be sent. */
  handlePubrec(packetId: number, reasonCode: ReasonCode): void {
    const session = this.#session
    if (session === null) return
    this.context.turn.begin()
    if (reasonCode >= 0x80) this.#dropped(session, packetId, 2)
    if (session.handlePubrec(packetId, reasonCode)) this.sendPubrel(packetId)
  }

  handlePubrel(packetId: number): void {
    if (this.#session === null) return
    this.context.turn.begin()
    handlePubrel(this, { packetId } as Parameters<typeof handlePubrel>[1])
  }

  handlePubcomp(packetId: number): void {
    this.context.turn.begin()
    this.#session?.handlePubcomp(packetId)
  }

  /** Ends the flow of a message that the remote broker does not answer, because of its Maximum QoS. */
  complete(packetId: number): void {
    const session = this.#session
    const delivery = session?.sender.get(packetId) ?? null
    if (session === null || delivery === null) return
    this.context.turn.begin()
    switch (delivery.flow) {
      case Flow.AwaitPuback:
        session.handlePuback(packetId)
        break
      case Flow.AwaitPubrec:
        // PUBREL follows when that is on the disk, and comes back here.
        if (session.handlePubrec(packetId, ReasonCode.Success)) session.handlePubcomp(packetId)
        break
      default:
        session.handlePubcomp(packetId)
    }
  }

  #dropped(session: Session, packetId: number, qos: QoS): void {
    const delivery = session.sender.get(packetId)
    if (delivery === null) return
    session.droppedMessages++
    this.context.dropped(this.clientId, delivery.message?.topic ?? '', qos, 'refused-by-remote')
  }

  /** The remote broker reads again: sends what waits. */
  handleDrain(): void {
    this.context.turn.begin()
    this.#session?.advance()
  }

  /** Takes a Packet Identifier for a packet of the bridge's own, such as a SUBSCRIBE. */
  takePacketId(owner: object): number {
    return this.#session!.sender.take(owner)
  }

  /** Frees a Packet Identifier of the bridge's own. Returns its owner; null when it is none of those. */
  freePacketId(packetId: number): object | null {
    return this.#session?.sender.free(packetId) ?? null
  }

  // --- the outlet of the session ------------------------------------------------------------------------------------

  get session(): Session | null {
    return this.#session
  }

  get isActive(): boolean {
    return this.#peer !== null
  }

  get isOpen(): boolean {
    return this.#peer !== null
  }

  makeRoom(): boolean {
    return this.#peer?.makeRoom() === true
  }

  write(message: Message, qos: QoS, retain: boolean, dup: boolean, packetId: number): boolean {
    const reason =
      message.hasDisallowedCodePoint && !this.context.options.allowControlCharacters
        ? 'disallowed-code-point'
        : this.#peer!.publish(message, qos, retain, dup, packetId)
    if (reason === null) {
      const { metrics } = this.context
      metrics.messagesSent++
      metrics.payloadBytesSent += message.payloadLength
      if (message.retain && retain) this.#noteRetained(message, qos)
      this.#speak()
      return true
    }
    this.#unsent = reason
    return false
  }

  unsentReason(): DropReason {
    return this.#unsent
  }

  sendPubrel(packetId: number): void {
    if (this.#peer === null) return
    this.#peer.sendPubrel(packetId)
    this.#speak()
  }

  sendAck(packetType: 4 | 5 | 7, packetId: number): void {
    if (this.#peer === null) return
    this.#peer.sendAck(packetType, packetId)
    this.#speak()
  }

  /** Never called: a relay is owed no SUBACK. */
  send(): void {}

  #speak(): void {
    if (this.#isSpeaker) return
    this.#isSpeaker = true
    this.context.turn.add(this)
  }

  flush(): void {
    this.#isSpeaker = false
    if (this.#peer === null) return
    this.#peer.flush()
    this.#session?.advance()
  }

  closeWith(_reasonCode: ReasonCode, why: string): void {
    const peer = this.#peer
    this.detach(why)
    peer?.end(why)
  }

  destroy(): void {
    this.closeWith(ReasonCode.UnspecifiedError, 'the broker has ended the session')
  }

  fault(where: string, error: unknown): void {
    this.context.faults.note(where, error, this.clientId)
    this.closeWith(ReasonCode.ImplementationSpecificError, 'an error of the broker')
  }
}
