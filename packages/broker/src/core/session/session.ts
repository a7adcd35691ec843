/**
 * A Session: all that the broker remembers of a client from one Network Connection to the next (4.1): subscriptions,
 * messages in flight and waiting, received QoS 2 identifiers, and a Will that is waiting for its delay.
 *
 * The router calls `deliver`, the connection calls `handlePuback` and its like, `Sessions` attaches and detaches the
 * connection. A message is on exactly one of these ways: sent at once at QoS 0; in flight (`sender`); or in `queue`.
 *
 * Invariants: messages leave in the order in which they came, at each QoS; while `queue` is not empty nothing overtakes
 * it; messages that were in flight when the connection was lost are sent again first, in their order [MQTT-4.6.0-1];
 * never more in flight than the client's Receive Maximum [MQTT-3.3.4-9].
 */
import { Flow, ProtocolError, type QoS, ReasonCode, Receiver, type Sender } from '@recado/protocol'
import type { ClientInfo, ConnectionEnd, DropReason } from '../../ports.ts'
import { clientInfoOf, isSameGrants } from '../base/client-info.ts'
import type { Context } from '../base/context.ts'
import { lowerQoS, type Message } from '../base/message.ts'
import { Timer } from '../base/timer-wheel.ts'
import { Delivery, type Heirs } from '../journal/delivery.ts'
import type { Journal } from '../journal/journal.ts'
import { RowState } from '../journal/message-row.ts'
import { ReceivedIds } from '../journal/received-ids.ts'
import type { TimeNotes } from '../journal/time-notes.ts'
import type { RetainedWalk } from '../routing/retained.ts'
import type { Router } from '../routing/router.ts'
import { Readiness, type Subscriber, type SubscriptionEntry } from '../routing/subscriber.ts'
import { Backlog, type BacklogOwner } from './backlog.ts'
import { Inflight } from './inflight.ts'
import type { Outlet } from './outlet.ts'
import { type MarkStore, QoS0Mark } from './qos0-mark.ts'
import type { Queue } from './queue.ts'
import { RetainedFeeds, type RetainedTaker } from './retained-feeds.ts'
import { type ReviewedSession, type ReviewLine, SubscriptionReview } from './subscription-review.ts'
import { Subscriptions } from './subscriptions.ts'
import type { PendingWill, WillOwner } from './wills.ts'

/** Bytes that a session takes: itself, its maps, its identifiers. */
const SESSION_BYTES = 2_048

/** Parts of the broker that sessions use, the same for all of them. */
export interface SessionParts extends MarkStore {
  readonly context: Context
  /** Journal; null when nothing is kept beyond this process. */
  readonly journal: Journal | null
  readonly router: Router
  /** Notes of the time; null when nothing is kept. */
  readonly timeNotes: TimeNotes | null
  readonly reviews: ReviewLine
  /** The Session Expiry Interval of a session is over. */
  expire(session: Session): void
}

/** Client that is about to be let in, when the promise of its CONNACK is on the disk. */
export interface PendingOpening {
  readonly connection: Outlet
  readonly sessionPresent: boolean
}

/** Origin of a message: says what is asked before it waits, and which row it gets. */
const Origin = {
  Published: 0,
  /** The message waited for another member of a Shared Subscription, and has been acknowledged. */
  Inherited: 1,
  /** A retained message for a new subscription: others may have it in a row, this session too by another subscription. */
  Retained: 2,
} as const

/** Way on which a message comes to be sent: says what is asked about it first. */
const Way = {
  /** Just now, from the router or for a new subscription, which have asked. */
  Routed: 0,
  /** The message has waited, and has not been sent before. */
  Waited: 1,
  /** The message has been sent, and is not acknowledged. */
  Again: 2,
} as const

export class Session implements Subscriber, BacklogOwner, RetainedTaker, ReviewedSession, WillOwner {
  readonly clientId: string
  readonly #parts: SessionParts
  readonly #context: Context
  /** Journal; null when not durable. */
  readonly #journal: Journal | null
  connection: Outlet | null = null
  opening: PendingOpening | null = null
  /** The client, for policy about what it receives; null: nobody asks, or it has not come back since the broker started. */
  client: ClientInfo | null = null
  /**
   * User who owns the session; '' for a client without a user name; null when not known, or when sessions belong to no
   * user.
   */
  owner: string | null = null
  /** Text of the embedding program about a session of its own, kept with it; null for none. */
  note: string | null = null
  /** Session Expiry Interval in seconds; 0 ends it with the connection. */
  expirySeconds = 0
  readonly subscriptions: Subscriptions
  readonly #inflight: Inflight
  readonly sender: Sender<Delivery, object>
  readonly receiver: Receiver
  readonly backlog: Backlog
  readonly queue: Queue
  isAnonymous = false
  /** Number in the store; 0: not durable. */
  readonly number: number
  /** Received identifiers; null when not durable. */
  readonly receivedIds: ReceivedIds | null
  /** Number of the row of its Will in the store; 0 for none. */
  willNumber = 0
  /** Packet Identifier of a QoS 2 message of this client whose permission is awaited; 0 for none. */
  undecidedPacketId = 0
  readonly #feeds: RetainedFeeds
  /** Mark of messages at QoS 0 that have waited on the disk; null: none has. */
  qos0Mark: QoS0Mark | null = null
  pendingWill: PendingWill | null = null
  readonly expiryTimer: Timer
  /** Place in `TimeNotes` while its client is connected; -1 for none. */
  #timeNote = -1
  /** End of the last connection of its client; null: it had none before. */
  lastEnd: ConnectionEnd | null = null
  /** Messages of this session that were dropped, for whatever reason. */
  droppedMessages = 0
  /** Review of the client's subscriptions; null when none was needed. */
  review: SubscriptionReview | null = null
  /** Whether the review is under way, and nothing is sent before its end. */
  isHeld = false
  /**
   * Whether messages at QoS 0 may be in the queue, of a review or of the time before a restart, so that nothing
   * overtakes them.
   */
  keepsQoS0 = false
  /** Whether messages at QoS 0 wait while the client is away, though the broker's option says that they do not. */
  queuesQoS0 = false
  /** QoS 2 deliveries that have become safe while it was held. */
  #safeMeanwhile: Delivery[] = []
  /** Whether messages in flight on an earlier connection have not all been sent again. */
  #isResending = false
  routeStamp = 0
  routeIndex = 0

  /** `number`: of a durable session, 0 for others. */
  constructor(parts: SessionParts, clientId: string, number: number) {
    const { context } = parts
    this.#parts = parts
    this.#context = context
    const journal = number === 0 ? null : parts.journal
    this.#journal = journal
    this.clientId = clientId
    this.number = number
    this.receivedIds = journal === null ? null : new ReceivedIds(number)
    this.subscriptions = new Subscriptions(this, number, parts, journal)
    this.backlog = new Backlog(this, context, parts.router, journal)
    this.queue = this.backlog.queue
    this.#inflight = new Inflight(context)
    this.sender = this.#inflight.sender
    this.receiver = new Receiver(context.limits.receiveMaximum)
    this.#feeds = new RetainedFeeds(context, this)
    this.expiryTimer = new Timer(() => parts.expire(this))
  }

  /** Number of new subscriptions to which retained messages are still on their way. */
  get retainedWalks(): number {
    return this.#feeds.length
  }

  /** Something has thrown that was done for it: its connection ends. */
  fault(where: string, error: unknown): void {
    if (this.connection === null) this.#context.faults.note(where, error, this.clientId)
    else this.connection.fault(where, error)
  }

  /** Bytes that it takes without anything that it holds. */
  get ownBytes(): number {
    return SESSION_BYTES + this.clientId.length
  }

  get inflightBytes(): number {
    return this.#inflight.bytes
  }

  get isDurable(): boolean {
    return this.#journal !== null
  }

  /** Asked only for publishers that can be told. */
  refuses(message: Message, subscription: SubscriptionEntry): boolean {
    const { memoryGuard, options } = this.#context
    if (options.overflow !== 'reject' && memoryGuard === null) return false
    // A message that would not wait needs no room.
    if (!options.queueQoS0 && !this.queuesQoS0 && this.qosOf(message, subscription) === 0) return false
    if (this.connection !== null && this.#makesWay(this.connection)) return false
    if (memoryGuard?.refusesToKeep) return true
    if (options.overflow !== 'reject') return false
    const size = message.sizeBytes
    if (this.backlog.hasRoomFor(size)) return false
    this.backlog.dropExpired()
    return !this.backlog.hasRoomFor(size)
  }

  /** A session whose client is unknown is asked about when its messages are sent. */
  mayReceive(topic: string): boolean {
    const { authorizer } = this.#context
    return this.client === null || authorizer?.mayReceive === undefined || authorizer.mayReceive(this.client, topic)
  }

  get readiness(): number {
    if (this.connection !== null && this.#makesWay(this.connection)) return Readiness.Ready
    if (!this.backlog.hasRoomFor(1)) return Readiness.Full
    return this.connection === null ? Readiness.Away : Readiness.Busy
  }

  // --- messages to the client ---------------------------------------------------------------------------------------

  /** The QoS that a message is sent with. [MQTT-3.8.4-8] [MQTT-4.8.2-3] */
  qosOf(message: Message, subscription: SubscriptionEntry): QoS {
    return this.#context.options.upgradeQoS ? subscription.qos : lowerQoS(message.qos, subscription.qos)
  }

  deliver(message: Message, subscription: SubscriptionEntry, isInherited = false): void {
    const qos = this.qosOf(message, subscription)
    // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    const retain = subscription.retainAsPublished && message.retain
    const origin = isInherited ? Origin.Inherited : Origin.Published
    this.#offer(message, qos, retain, subscription.subscriptionIdentifiers, subscription.group, origin)
  }

  /** Gives the retained messages of a new subscription to the client, as fast as it takes them. [MQTT-3.1.1:3.3.1-6] */
  deliverRetained(walk: RetainedWalk, subscription: SubscriptionEntry): void {
    this.#feeds.push(walk, subscription)
    this.advance()
  }

  /** A subscription takes the place of another one without asking for retained messages: those of that one go on. */
  goOnWithRetained(before: SubscriptionEntry, subscription: SubscriptionEntry): void {
    this.#feeds.replace(before, subscription)
  }

  #offer(
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifiers: number[] | null,
    group: Heirs | null,
    origin: number,
  ): void {
    const connection = this.connection
    if (qos === 0) {
      if (this.#offerOnce(connection, message, retain, subscriptionIdentifiers)) return
    } else if (connection !== null && this.#makesWay(connection)) {
      // A session that ends with its connection never resends: it needs to remember only the Packet Identifier. One
      // that is on disk since its client wanted more of it is written as before, and sends at QoS 2 only written
      // messages.
      const resendable = this.#journal !== null || this.expirySeconds !== 0 || group !== null
      const delivery = new Delivery(
        resendable ? message.keep(this.#context.payloadBlocks) : null,
        qos,
        retain,
        subscriptionIdentifiers,
        group,
      )
      this.#transmit(connection, delivery, message, this.#journal, origin === Origin.Retained)
      return
    }
    // [MQTT-4.5.0-1] [MQTT-3.1.1:3.1.2-5]
    this.#enqueue(message, qos, retain, subscriptionIdentifiers, group, origin)
  }

  /** Sends a message at QoS 0, or drops it. Returns false when it is to wait in the queue. */
  #offerOnce(
    connection: Outlet | null,
    message: Message,
    retain: boolean,
    subscriptionIdentifiers: number[] | null,
  ): boolean {
    const queueQoS0 = this.#context.options.queueQoS0 || this.queuesQoS0
    // Nothing overtakes a message that has waited. [MQTT-4.6.0-6]
    const isBehind = this.queue.length > 0 && (queueQoS0 || this.keepsQoS0)
    // What a bridge keeps while the remote broker is away it also keeps while that one takes nothing.
    const isKept = connection === null ? queueQoS0 : isBehind || (this.queuesQoS0 && !connection.makeRoom())
    if (isKept || this.isHeld) {
      if (queueQoS0 || !this.backlog.isHalfFull) return false
      // Half of the queue is for acknowledged messages.
      this.drop(message, 0, 'queue-full')
    } else if (connection === null) {
      this.drop(message, 0, 'offline-qos0')
    } else if (!connection.makeRoom()) {
      this.drop(message, 0, 'slow-reader')
    } else {
      const refusal = this.#send(connection, message, 0, retain, 0, subscriptionIdentifiers, Way.Routed)
      if (refusal !== null) this.drop(message, 0, refusal)
    }
    return true
  }

  #enqueue(
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifiers: number[] | null,
    group: Heirs | null,
    origin: number,
  ): void {
    const kept = message.keep(this.#context.payloadBlocks)
    const delivery = new Delivery(kept, qos, retain, subscriptionIdentifiers, group)
    this.backlog.add(delivery, origin === Origin.Inherited, origin === Origin.Retained)
  }

  /**
   * Whether a message at QoS 1 or 2 can go out now. Writes the packets that the connection has gathered, if that makes
   * room.
   */
  #makesWay(connection: Outlet): boolean {
    return this.queue.length === 0 && !this.isHeld && this.#inflight.hasRoom && connection.makeRoom()
  }

  /** Takes back a delivery from the store that was in flight, and is to be sent again. */
  restoreInFlight(delivery: Delivery): void {
    this.#inflight.restore(delivery)
  }

  /**
   * Transmits a message. With a `journal` it is not on its way to the disk yet; `isApart`: see `Journal.deliver`. DUP
   * is 0 [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2].
   */
  #transmit(connection: Outlet, delivery: Delivery, message: Message, journal: Journal | null, isApart: boolean): void {
    this.sender.send(delivery, delivery.qos as 1 | 2)
    this.#inflight.begin(delivery)
    const isGated = this.#journal !== null && delivery.qos === 2
    if (journal !== null) {
      delivery.session = this
      journal.deliver(message, delivery, true, isApart)
    }
    if (isGated) {
      // Its packet id must survive a crash, or the client would take the same message twice.
      this.#journal!.progress(delivery, true)
      delivery.isGated = true
      return
    }
    // Also while its row is being written: the row says that it waits.
    if (delivery.rowState >= RowState.Writing) this.#journal!.progress(delivery, false)
    this.#publish(connection, delivery, message, Way.Routed)
  }

  /**
   * Sends a message: the one way of every message to the client, at each QoS: routed, from the queue, from the disk,
   * retained, inherited, again. Returns the reason why it may not or cannot be sent; null when it is sent.
   */
  #send(
    connection: Outlet,
    message: Message,
    qos: QoS,
    retain: boolean,
    packetId: number,
    subscriptionIdentifiers: number[] | null,
    way: number,
  ): DropReason | null {
    if (way !== Way.Routed) {
      const refusal = this.#refusalOf(message, way)
      if (refusal !== null) return refusal
    }
    const dup = way === Way.Again // [MQTT-3.3.1-1]
    const { publishWriter } = connection
    if (publishWriter.write(message, qos, retain, dup, packetId, subscriptionIdentifiers)) return null
    return publishWriter.unsentReason(message)
  }

  /** Since a message was routed its time may have passed, and the rights of the client may have changed. */
  #refusalOf(message: Message, way: number): DropReason | null {
    // [MQTT-3.3.2-5], but when its flow has begun expiry is no longer checked: [MQTT-4.3.3-7]
    if (way === Way.Waited && message.isExpired(this.#context.turn.nowMs)) return 'expired'
    if (this.review?.excludes(message.topic)) return 'not-authorized'
    return this.mayReceive(message.topic) ? null : 'not-authorized'
  }

  /** PUBLISH of a delivery that has its packet id. One that may not be sent is given up, as if it had been. [MQTT-3.1.2-25] */
  #publish(connection: Outlet, delivery: Delivery, message: Message, way: number): void {
    const { qos, retain, packetId, subscriptionIdentifiers } = delivery
    const refusal = this.#send(connection, message, qos, retain, packetId, subscriptionIdentifiers, way)
    if (refusal === null) {
      delivery.isSent = true
      return
    }
    if (qos === 2 && delivery.isSent) {
      this.#finish(connection, delivery, message, refusal)
      return
    }
    this.sender.remove(delivery)
    this.#inflight.end(delivery)
    delivery.message = message
    this.discard(delivery, refusal)
  }

  /**
   * A QoS 2 message that must not be sent again may have reached the client before: its packet id is free only when the client has
   * let go of it too, or the next message under it would be taken for this one. So PUBREL follows, as if PUBREC had come.
   */
  #finish(connection: Outlet, delivery: Delivery, message: Message, refusal: DropReason): void {
    this.drop(message, 2, refusal)
    this.sender.handlePubrec(delivery.packetId, ReasonCode.Success)
    if (this.#received(delivery)) connection.sendPubrel(delivery.packetId)
  }

  /** Called by the journal when the change that a delivery's next packet needs is safe. */
  onSafe(delivery: Delivery): void {
    delivery.isGated = false
    const { connection, sender } = this
    // On a connection that has come since, it goes out in its turn: behind older ones, and within the Receive Maximum.
    // [MQTT-4.6.0-6] [MQTT-3.3.4-9]
    if (connection === null || sender.awaitsResend(delivery)) return
    if (this.isHeld && delivery.flow !== Flow.AwaitPubcomp) {
      this.#safeMeanwhile.push(delivery)
      return
    }
    this.#sendInFlight(connection, delivery)
    if (delivery.flow === Flow.Idle) this.#advanceIfWaiting()
  }

  /** Sends what comes next in the flow of a delivery: PUBREL, or PUBLISH, for the first time or again. */
  #sendInFlight(connection: Outlet, delivery: Delivery): void {
    const { flow, isSent, message } = delivery
    if (flow === Flow.AwaitPubcomp) connection.sendPubrel(delivery.packetId)
    else if (flow !== Flow.Idle) this.#publish(connection, delivery, message!, isSent ? Way.Again : Way.Waited)
  }

  /** Gives a delivery up. */
  discard(delivery: Delivery, reason: DropReason): void {
    const { group, message } = delivery
    if (group !== null && message !== null && this.review?.excludes(message.topic)) {
      this.#abandon(delivery, reason)
      return
    }
    this.#journal?.complete(delivery)
    if (message !== null) this.drop(message, delivery.qos, reason)
  }

  drop(message: Message, qos: QoS, reason: DropReason): void {
    this.droppedMessages++
    this.#context.dropped(this.clientId, message.topic, qos, reason, true)
  }

  /** Sends as much as possible: messages to be sent again, then the queue, then retained messages. */
  advance(): void {
    const connection = this.connection
    if (connection === null || this.isHeld) return
    if (this.#isResending) this.#resend(connection)
    if (this.queue.length > 0) this.#sendQueue(connection)
    if (this.#feeds.length > 0) this.#feeds.advance(connection)
  }

  #sendQueue(connection: Outlet): void {
    while (connection.makeRoom()) {
      const delivery = this.queue.peek()
      if (delivery === undefined || !(delivery.qos > 0 ? this.#inflight.hasRoom : this.#mayLeave(delivery))) break
      this.queue.shift()
      const message = delivery.message!
      let refusal = this.qos0Mark?.refusalOf(delivery) ?? this.#refusalOf(message, Way.Waited)
      if (refusal === null) {
        if (delivery.qos > 0) {
          this.#transmit(connection, delivery, message, null, false)
          continue
        }
        const { retain, subscriptionIdentifiers } = delivery
        refusal = this.#send(connection, message, 0, retain, 0, subscriptionIdentifiers, Way.Routed)
      }
      if (refusal === null) this.#journal?.complete(delivery)
      else {
        // Mosquitto gives a message its Packet Identifier when it is queued.
        if (delivery.qos > 0 && this.#context.options.answers !== 'recado') this.sender.skip(delivery)
        this.discard(delivery, refusal)
      }
    }
    if (this.queue.length === 0) this.keepsQoS0 = false
    this.backlog.noteFullness()
  }

  /** Whether a message at QoS 0 may leave the queue. While the disk fails nothing waits for it. */
  #mayLeave({ rowState, position }: Delivery): boolean {
    if (rowState < RowState.Writing || this.#journal!.isFailing) return true
    this.qos0Mark ??= new QoS0Mark(this, this.#parts, 0)
    return this.qos0Mark.allows(position, this.queue.lastPosition)
  }

  /** A retained message at this QoS can go out now. */
  makesWayForRetained(connection: Outlet, qos: QoS): boolean {
    return connection.makeRoom() && (qos === 0 || this.#makesWay(connection))
  }

  /** [MQTT-3.1.1:3.3.1-8] */
  offerRetained(message: Message, qos: QoS, { subscriptionIdentifiers }: SubscriptionEntry): void {
    this.#offer(message, qos, true, subscriptionIdentifiers, null, Origin.Retained)
  }

  // --- acknowledgements from the client -----------------------------------------------------------------------------

  /**
   * Handles PUBACK. Whatever its Reason Code, the message is done with, also where a Shared Subscription chose its
   * client. [MQTT-4.8.2-6]
   */
  handlePuback(packetId: number): void {
    this.#acknowledged(packetId, this.sender.handlePuback(packetId), 'PUBACK')
  }

  /** Handles PUBREC. Returns true when PUBREL is to be sent. */
  handlePubrec(packetId: number, reasonCode: ReasonCode): boolean {
    const delivery = this.sender.handlePubrec(packetId, reasonCode)
    if (delivery === null) {
      this.#unexpected(packetId, 'PUBREC')
      // The client waits for PUBREL; after a lost session it would for ever. [MQTT-4.3.3-4]
      return reasonCode < 0x80 && this.connection !== null
    }
    if (delivery.flow === Flow.AwaitPubcomp) return this.#received(delivery)
    this.#inflight.end(delivery)
    this.#journal?.complete(delivery)
    this.#advanceIfWaiting()
    return false
  }

  /** Notes that the client has the message: from here on only the packet id matters [MQTT-4.3.3-6]. True: PUBREL may be sent at once. */
  #received(delivery: Delivery): boolean {
    this.#inflight.letGo(delivery)
    if (this.#journal === null) return true
    // A crash after PUBREL must not make the PUBLISH go out again: PUBREL follows when this is on disk.
    if (!delivery.isGated) {
      this.#journal.progress(delivery, true)
      delivery.isGated = true
    }
    return false
  }

  handlePubcomp(packetId: number): void {
    this.#acknowledged(packetId, this.sender.handlePubcomp(packetId), 'PUBCOMP')
  }

  /** Ends a delivery that PUBACK or PUBCOMP has completed; `null` when the packet fits none. */
  #acknowledged(packetId: number, delivery: Delivery | null, what: string): void {
    if (delivery === null) this.#unexpected(packetId, what)
    else {
      this.connection?.readGate.noteRightAcknowledgement()
      this.#inflight.end(delivery)
      this.#journal?.complete(delivery)
    }
    this.#advanceIfWaiting()
  }

  /** Unknown packet ids are left over from a lost session; one that waits for another packet is a mistake. */
  #unexpected(packetId: number, what: string): void {
    this.connection?.readGate.noteStray()
    if (this.sender.get(packetId) !== null) {
      throw new ProtocolError(
        ReasonCode.ProtocolError,
        `${what} came for a message that waits for another acknowledgement`,
      )
    }
  }

  #advanceIfWaiting(): void {
    if (this.queue.length > 0 || this.#isResending || this.#feeds.length > 0) this.advance()
  }

  // --- life ---------------------------------------------------------------------------------------------------------

  /**
   * Attaches a new Network Connection: sends messages again that were in flight, in order, then those that have waited.
   * [MQTT-4.4.0-1]
   */
  attach(connection: Outlet, receiveMaximum: number): void {
    this.connection = connection
    const { timeNotes } = this.#parts
    const { turn, wheel } = this.#context
    if (timeNotes !== null && this.isDurable) this.#timeNote = timeNotes.connected(this.expirySeconds, turn.nowMs)
    this.isAnonymous = connection.username === undefined && connection.isProgram !== true
    if (connection.isProgram !== true) {
      this.identify(connection)
      this.askAgain(connection, true)
    }
    this.backlog.noteFullness()
    this.sender.receiveMaximum = receiveMaximum
    this.receiver.receiveMaximum = connection.protocolVersion === 5 ? connection.limits.receiveMaximum : 65_535
    this.receiver.resume()
    wheel.clear(this.expiryTimer)
    this.sender.resume()
    this.#isResending = this.sender.inflight > 0
    this.advance()
  }

  /** Sends messages again without a check for expiry: their flow has begun. [MQTT-4.3.3-7] */
  #resend(connection: Outlet): void {
    while (connection.makeRoom()) {
      const delivery = this.sender.nextResend()
      if (delivery === null) {
        this.#isResending = !this.sender.hasQuota() && this.sender.inflight > 0
        return
      }
      // `onSafe` sends those that wait for the disk.
      if (!delivery.isGated) this.#sendInFlight(connection, delivery)
    }
  }

  /** Takes note of its client, who has logged in for the first time or again. */
  identify(connection: Outlet): void {
    const { authorizer } = this.#context
    if (authorizer?.mayReceive === undefined && authorizer?.mayPublish === undefined) return
    const before = this.client
    const { username, listener, grants } = connection
    this.client = { ...clientInfoOf(connection), memo: connection.memo }
    const isSame =
      before !== null &&
      before.username === username &&
      before.listener === listener &&
      isSameGrants(before.grants, grants)
    if (this.subscriptions.size > 0 && !isSame) this.#parts.router.rightsChanged()
  }

  /** Begins a review of its subscriptions: rights may have changed, or the client has come back (`isResumed`) and may be another user. */
  askAgain(connection: Outlet, isResumed: boolean): void {
    const isAsked = this.#context.authorizer?.decidesAtSubscribe?.(connection) === true
    if (isAsked) this.review ??= new SubscriptionReview(this.#context, this.#parts.reviews, this)
    this.review?.begin(isAsked ? connection : null, isResumed)
    if (this.isHeld) this.keepsQoS0 = true
  }

  /** All answers are there. */
  goOn(): void {
    const safe = this.#safeMeanwhile
    this.#safeMeanwhile = []
    for (const delivery of safe) if (this.connection !== null) this.#sendInFlight(this.connection, delivery)
    this.advance()
  }

  detach(): void {
    this.review?.stop()
    this.#safeMeanwhile = []
    // It was never accepted: when it comes again it is new.
    if (this.undecidedPacketId !== 0) this.receiver.acknowledged(this.undecidedPacketId, 2, true)
    this.undecidedPacketId = 0
    this.connection = null
    this.qos0Mark?.takeBack()
    this.#isResending = false
    this.#parts.timeNotes?.disconnected(this.#timeNote)
    this.#timeNote = -1
  }

  /**
   * Drops what waits in the queue, as an operator asks. What is in flight goes on: the client may have it already.
   * Returns the number of messages.
   */
  drain(): number {
    const { faults, metrics } = this.#context
    const before = this.queue.length
    const inMemory = this.queue.clear()
    // Those on disk only are not read again: they are counted.
    this.droppedMessages += this.queue.length
    metrics.dropped.drained += this.queue.length
    this.#journal?.removeLeftRows({ session: this, next: this.queue.handOutStored() })
    for (const delivery of inMemory) {
      faults.attempt('emptied queue', () => this.discard(delivery, 'drained'), this.clientId)
    }
    this.keepsQoS0 = false
    this.backlog.noteFullness()
    return before
  }

  /** Ends the session: nothing of it stays. Messages that a Shared Subscription chose it for go to other members. */
  end(): void {
    const { faults, wheel, metrics } = this.#context
    wheel.clear(this.expiryTimer)
    const attempt = (work: () => void): void => void faults.attempt('end of a session', work, this.clientId)
    this.subscriptions.clear(this.clientId)
    this.#feeds.clear()
    for (const delivery of this.sender.inOrder()) {
      attempt(() => this.#abandon(delivery))
      this.#inflight.letGo(delivery)
    }
    for (const delivery of this.queue.clear()) attempt(() => this.#abandon(delivery))
    // Those on disk only are not read again: they are counted.
    this.droppedMessages += this.queue.length
    metrics.dropped['session-ended'] += this.queue.length
    this.#journal?.removeLeftRows({ session: this, next: this.queue.handOutStored() })
    this.#inflight.clear()
    this.receiver.clear()
    this.backlog.stop()
    metrics.sessions--
    metrics.sessionBytes -= this.ownBytes
  }

  /** [MQTT-4.8.2-4] [MQTT-4.8.2-5]: QoS 2 that is in flight stays with this client, and ends with it. */
  #abandon(delivery: Delivery, reason: DropReason = 'session-ended'): void {
    const { message, group } = delivery
    const isOpen = delivery.flow === Flow.Idle || delivery.flow === Flow.AwaitPuback
    const isExpired = message?.isExpired(this.#context.turn.nowMs) === true
    // For the other member it has not begun yet. [MQTT-3.3.2-5]
    const mayInherit = group !== null && message !== null && isOpen && !isExpired
    if (mayInherit && group.inherit(message)) {
      this.#journal?.hurry(message)
    } else if (message !== null) {
      this.drop(message, delivery.qos, isExpired ? 'expired' : reason)
    }
    this.#journal?.complete(delivery)
  }
}
