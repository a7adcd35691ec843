/**
 * A Session: all that the broker remembers of a client from one Network Connection to the next (4.1): subscriptions,
 * messages in flight and waiting, received QoS 2 packet ids, and a Will that is waiting for its delay.
 *
 * The router calls `deliver`, the connection calls `handlePuback` and its like, `Sessions` attaches and detaches the
 * connection. A message is on exactly one of these ways: sent at once at QoS 0; in flight (`sender`); or in `queue`.
 *
 * Invariants: messages leave in the order in which they came, at each QoS; while `queue` is not empty nothing overtakes
 * it; what was in flight when the connection was lost is sent again first, in its order [MQTT-4.6.0-1]; never more in
 * flight than the client's Receive Maximum [MQTT-3.3.4-9].
 */
import { Flow, ProtocolError, type QoS, ReasonCode, Receiver, Sender } from '@recado/protocol'
import type { ClientInfo, ConnectionEnd, DropReason } from '../../ports.ts'
import { clientInfoOf, isSameGrants } from '../base/client-info.ts'
import { hasShare } from '../base/holdings.ts'
import { lowerQoS, type Message } from '../base/message.ts'
import { Timer } from '../base/timer-wheel.ts'
import type { Connection } from '../connection/connection.ts'
import type { Core } from '../core.ts'
import { Delivery, RowState } from '../journal/delivery.ts'
import type { Journal } from '../journal/journal.ts'
import type { Receipt } from '../journal/message-row.ts'
import type { RetainedWalk } from '../routing/retained.ts'
import type { Subscriber, SubscriptionEntry } from '../routing/router.ts'
import { Readiness, type SharedGroup } from '../routing/shared-group.ts'
import { bytesOfFilter, Subscriptions } from '../routing/subscriptions.ts'
import { Queue } from './queue.ts'
import { RetainedFeeds } from './retained-feeds.ts'
import type { Opening } from './sessions.ts'
import { SubscriptionReview } from './subscription-review.ts'
import type { PendingWill } from './wills.ts'

/** Session Expiry Interval that never ends (3.1.2.11.2). */
export const NEVER_EXPIRES = 0xffff_ffff
/** What a session takes: itself, its maps, its identifiers. */
const SESSION_BYTES = 2_048
/** How often a full queue is looked through for messages that have expired. */
const EXPIRED_LOOK_MS = 1_000
/** In flight to one client while all messages in memory together are many. */
const SHORT_FLIGHT_BYTES = 64 * 1024

/** How a message comes to be sent: what is asked about it first. */
const Way = {
  /** Just now, from the router or for a new subscription, which have asked. */
  Routed: 0,
  /** It has waited, and has not been sent before. */
  Waited: 1,
  /** It has been sent, and is not acknowledged. */
  Again: 2,
} as const

export class Session implements Subscriber {
  readonly clientId: string
  readonly #core: Core
  /** null: not durable. */
  readonly #journal: Journal | null
  connection: Connection | null = null
  /** A client that is about to be let in, when the disk has what its CONNACK promises. */
  opening: Opening | null = null
  /** Who it belongs to, for policy about what it receives; null: nobody asks, or its client has not come back since the broker started. */
  client: ClientInfo | null = null
  /** The user whose session it is; '': somebody without a user name; null: not known, or sessions belong to nobody. */
  owner: string | null = null
  /** 0: ends with the connection. */
  expirySeconds = 0
  /** By Topic Filter as the client wrote it. */
  readonly subscriptions: Subscriptions
  readonly sender: Sender<Delivery>
  readonly receiver: Receiver
  readonly queue: Queue
  /** Of the messages in flight that may have to be sent again. */
  inflightBytes = 0
  /** Its client has given no User Name. */
  isAnonymous = false
  /** Its number in the store; 0: not durable. */
  readonly number: number
  /** Received QoS 2 packet ids of a durable session: those on disk, and those that go there with their message. */
  readonly receivedRows: { readonly stored: Set<number>; readonly receipts: Map<number, Receipt> } | null
  /** The row of its Will in the store; 0: none. */
  willNumber = 0
  /** A QoS 2 message of this client whose permission is awaited; 0: none. */
  undecidedPacketId = 0
  readonly #feeds: RetainedFeeds
  pendingWill: PendingWill | null = null
  readonly expiryTimer: Timer
  /** While its client is connected: what `TimeNotes` does for it. */
  #timeNote = -1
  /** How and when the last connection of its client ended; null: it had none before. */
  lastEnd: ConnectionEnd | null = null
  /** Messages of this session that were dropped, for whatever reason. */
  droppedMessages = 0
  /** Publishers have to ask `refuses`. */
  isFull = false
  /** Whether the client may still have its subscriptions; null: nobody has had to be asked. */
  review: SubscriptionReview | null = null
  /** Nothing is sent before that is answered. */
  isHeld = false
  /** True when messages at QoS 0 may be in the queue, of a review or of the time before a restart: nothing overtakes them. */
  keepsQoS0 = false
  /** QoS 2, safe on the disk meanwhile. */
  #released: Delivery[] = []
  #lookedForExpiredMs: number = Number.NEGATIVE_INFINITY
  /** What was in flight on an earlier connection has not all been sent again. */
  #isResending = false
  routeStamp = 0
  routeIndex = 0

  /** `number`: of a durable session, 0 for others. */
  constructor(core: Core, clientId: string, number: number) {
    this.#core = core
    this.#journal = number === 0 ? null : core.journal
    this.clientId = clientId
    this.number = number
    const journal = this.#journal
    this.receivedRows = journal === null ? null : { stored: new Set(), receipts: new Map() }
    this.subscriptions = new Subscriptions(core.metrics)
    this.queue = new Queue(journal === null ? null : (entry) => journal.load(this, entry), core.holdings, core.metrics)
    this.sender = new Sender<Delivery>(core.limits.inflightMax)
    this.receiver = new Receiver(core.limits.receiveMaximum)
    this.#feeds = new RetainedFeeds(core, this)
    this.expiryTimer = new Timer(() => core.sessions.expire(this))
  }

  /** New subscriptions to which retained messages are still on their way. */
  get retainedWalks(): number {
    return this.#feeds.length
  }

  /** Something has thrown that was done for it: its connection ends. */
  fault(where: string, error: unknown): void {
    if (this.connection === null) this.#core.faults.note(where, error, this.clientId)
    else this.connection.fault(where, error)
  }

  /** What it takes without anything that it holds. */
  get ownBytes(): number {
    return SESSION_BYTES + this.clientId.length
  }

  /** Whether what all sessions take leaves room for one more subscription of this one. */
  hasRoomForSubscription(topicFilter: string): boolean {
    const { limits, metrics } = this.#core
    return hasShare(limits.sessionBytesMax, metrics.sessionBytes, this.subscriptions.bytes, bytesOfFilter(topicFilter))
  }

  get isDurable(): boolean {
    return this.#journal !== null
  }

  /** Only asked by publishers that can be told. */
  refuses(message: Message, subscription: SubscriptionEntry): boolean {
    const { memory, options } = this.#core
    if (options.overflow !== 'reject' && memory === null) return false
    // What would not wait needs no room.
    if (!options.queueQoS0 && lowerQoS(message.qos, subscription.qos) === 0) return false
    if (this.connection !== null && this.#canSend(this.connection)) return false
    if (memory?.refusesToKeep) return true
    if (options.overflow !== 'reject') return false
    const size = message.sizeBytes
    if (this.#hasRoomFor(size)) return false
    this.#dropExpired()
    return !this.#hasRoomFor(size)
  }

  /** One whose client is unknown is asked about when its messages are sent. */
  mayReceive(topic: string): boolean {
    const { authorizer } = this.#core
    return this.client === null || authorizer?.mayReceive === undefined || authorizer.mayReceive(this.client, topic)
  }

  get readiness(): number {
    if (this.connection !== null && this.#canSend(this.connection)) return Readiness.Ready
    if (!this.#hasRoomFor(1)) return Readiness.Full
    return this.connection === null ? Readiness.Away : Readiness.Busy
  }

  get #queueMessagesMax(): number {
    const { queueMessagesMax, anonymousQueueMessagesMax } = this.#core.limits
    return this.isAnonymous ? Math.min(queueMessagesMax, anonymousQueueMessagesMax) : queueMessagesMax
  }

  get #queueBytesMax(): number {
    const { queueBytesMax, anonymousQueueBytesMax } = this.#core.limits
    return this.isAnonymous ? Math.min(queueBytesMax, anonymousQueueBytesMax) : queueBytesMax
  }

  get #isHalfFull(): boolean {
    return this.queue.length * 2 >= this.#queueMessagesMax || this.queue.bytes * 2 >= this.#queueBytesMax
  }

  #hasRoomFor(bytes: number): boolean {
    return this.#hasOwnRoomFor(bytes) && this.#hasShareFor(bytes)
  }

  #hasOwnRoomFor(bytes: number): boolean {
    return this.queue.length < this.#queueMessagesMax && this.queue.bytes + bytes <= this.#queueBytesMax
  }

  /** Of what all queues together may hold: on disk, or in memory where nothing is on disk. */
  #hasShareFor(bytes: number): boolean {
    const own = this.queue.bytes + this.inflightBytes
    if (this.#journal === null) return this.#core.holdings.hasShare(own, bytes)
    return hasShare(this.#core.limits.storedBytesMax, this.#journal.messageBytes, own, bytes)
  }

  // --- messages to the client ---------------------------------------------------------------------------------------

  deliver(message: Message, subscription: SubscriptionEntry, isInherited = false): void {
    const qos = lowerQoS(message.qos, subscription.qos) // [MQTT-3.8.4-8] [MQTT-4.8.2-3]
    // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    const retain = subscription.retainAsPublished && message.retain
    this.#offer(message, qos, retain, subscription.subscriptionIdentifiers, subscription.group, isInherited)
  }

  /** Gives the retained messages of a new subscription to the client, as fast as it takes them. [MQTT-3.1.1:3.3.1-6] */
  deliverRetained(walk: RetainedWalk, subscription: SubscriptionEntry): void {
    this.#feeds.push(walk, subscription)
    this.advance()
  }

  #offer(
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifiers: number[] | null,
    group: SharedGroup | null,
    isInherited: boolean,
  ): void {
    const connection = this.connection
    if (qos === 0) {
      const { queueQoS0 } = this.#core.options
      // Nothing overtakes what has waited. [MQTT-4.6.0-6]
      const isBehind = this.queue.length > 0 && (queueQoS0 || this.keepsQoS0)
      const isKept = connection === null ? queueQoS0 : isBehind
      const waits = isKept || this.isHeld
      if (waits && !queueQoS0 && this.#isHalfFull) {
        // Half of the queue is for what has been acknowledged.
        this.#drop(message, 0, 'queue-full')
        return
      }
      if (!waits) {
        if (connection === null) this.#drop(message, 0, 'offline-qos0')
        else if (connection.isCongested) this.#drop(message, 0, 'slow-reader')
        else {
          const refusal = this.#send(connection, message, 0, retain, 0, subscriptionIdentifiers, Way.Routed)
          if (refusal !== null) this.#drop(message, 0, refusal)
        }
        return
      }
    } else if (connection !== null && this.#canSend(connection)) {
      // A session that ends with its connection never resends: the packet id is all it needs to remember. One that is on disk
      // since its client wanted more of it is written as before, and sends at QoS 2 only what is written.
      const resendable = this.#journal !== null || this.expirySeconds !== 0 || group !== null
      const delivery = new Delivery(
        resendable ? message.keep(this.#core.arena) : null,
        qos,
        retain,
        subscriptionIdentifiers,
        group,
      )
      this.#transmit(connection, delivery, message, this.#journal)
      return
    }
    // [MQTT-4.5.0-1] [MQTT-3.1.1:3.1.2-5]
    this.#enqueue(
      new Delivery(message.keep(this.#core.arena), qos, retain, subscriptionIdentifiers, group),
      isInherited,
    )
  }

  #canSend(connection: Connection): boolean {
    return this.queue.length === 0 && !this.isHeld && this.#hasFlightRoom() && !connection.isCongested
  }

  /** One message always goes. */
  #hasFlightRoom(): boolean {
    if (!this.sender.hasQuota() || this.inflightBytes >= this.#core.limits.inflightBytesMax) return false
    return this.inflightBytes < SHORT_FLIGHT_BYTES || !this.#core.holdings.isShort
  }

  /** From the store: it was in flight, and is to be sent again. */
  restoreInFlight(delivery: Delivery): void {
    this.#hold(delivery)
    this.sender.restore(delivery)
    this.#core.metrics.inflight++
  }

  /** In flight, with a message that may have to be sent again. */
  #hold({ message }: Delivery): void {
    if (message === null) return
    this.inflightBytes += message.sizeBytes
    this.#core.holdings.hold(message)
  }

  /** It is not in flight any more, or only by its packet id. */
  #letGo(delivery: Delivery): void {
    const { message } = delivery
    if (message === null) return
    delivery.message = null
    this.inflightBytes -= message.sizeBytes
    this.#core.holdings.letGo(message)
  }

  /** `journal`: it is not on its way to the disk yet. DUP is 0 [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2]. */
  #transmit(connection: Connection, delivery: Delivery, message: Message, journal: Journal | null): void {
    this.sender.send(delivery, delivery.qos as 1 | 2)
    this.#core.metrics.inflight++
    this.#hold(delivery)
    const isGated = this.#journal !== null && delivery.qos === 2
    if (journal !== null) {
      delivery.session = this
      journal.deliver(message, delivery, true)
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
   * The one way of every message to the client, at each QoS: routed, from the queue, from the disk, retained, inherited, again.
   * Returns why it may not or cannot be sent; null: it is.
   */
  #send(
    connection: Connection,
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
    if (connection.sendPublish(message, qos, retain, dup, packetId, subscriptionIdentifiers)) return null
    return connection.unsentReason(message)
  }

  /** Since a message was routed its time may have passed, and the rights of the client may have changed. */
  #refusalOf(message: Message, way: number): DropReason | null {
    // [MQTT-3.3.2-5], but when its flow has begun nobody asks any more: [MQTT-4.3.3-7]
    if (way === Way.Waited && message.isExpired(this.#core.turn.nowMs)) return 'expired'
    if (this.review?.excludes(message.topic)) return 'not-authorized'
    return this.mayReceive(message.topic) ? null : 'not-authorized'
  }

  /** PUBLISH of a delivery that has its packet id. One that may not be sent is given up, as if it had been. [MQTT-3.1.2-25] */
  #publish(connection: Connection, delivery: Delivery, message: Message, way: number): void {
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
    this.#core.metrics.inflight--
    this.#letGo(delivery)
    delivery.message = message
    this.#discard(delivery, refusal)
  }

  /**
   * A QoS 2 message that must not be sent again may have reached the client before: its packet id is free only when the client has
   * let go of it too, or the next message under it would be taken for this one. So PUBREL follows, as if PUBREC had come.
   */
  #finish(connection: Connection, delivery: Delivery, message: Message, refusal: DropReason): void {
    this.#drop(message, 2, refusal)
    this.sender.handlePubrec(delivery.packetId, ReasonCode.Success)
    if (this.#received(delivery)) connection.sendPubrel(delivery.packetId)
  }

  /** The journal says that what a delivery's next packet rests on is safe. */
  release(delivery: Delivery): void {
    delivery.isGated = false
    const { connection, sender } = this
    // On a connection that has come since, it goes out in its turn: behind what is older, and within the Receive Maximum.
    // [MQTT-4.6.0-6] [MQTT-3.3.4-9]
    if (connection === null || sender.awaitsResend(delivery)) return
    if (this.isHeld && delivery.flow !== Flow.AwaitPubcomp) {
      this.#released.push(delivery)
      return
    }
    this.#sendInFlight(connection, delivery)
    if (delivery.flow === Flow.Idle) this.#advanceIfWaiting()
  }

  /** What the flow of a delivery says that comes next: PUBREL, or PUBLISH, for the first time or again. */
  #sendInFlight(connection: Connection, delivery: Delivery): void {
    const { flow, isSent, message } = delivery
    if (flow === Flow.AwaitPubcomp) connection.sendPubrel(delivery.packetId)
    else if (flow !== Flow.Idle) this.#publish(connection, delivery, message!, isSent ? Way.Again : Way.Waited)
  }

  #enqueue(delivery: Delivery, isInherited: boolean): void {
    const size = delivery.message!.sizeBytes
    if (!isInherited && this.#core.memory?.refusesToKeep) {
      this.#drop(delivery.message!, delivery.qos, 'memory-full')
      return
    }
    if (!this.#hasOwnRoomFor(size)) {
      this.#dropExpired()
      // One that is too large for an empty queue drives nobody out.
      if (this.#core.options.overflow === 'drop-oldest' && size <= this.#queueBytesMax) {
        while (this.queue.length > 0 && !this.#hasOwnRoomFor(size)) this.#discard(this.queue.shift()!, 'queue-full')
      }
      if (!this.#hasOwnRoomFor(size)) {
        this.#drop(delivery.message!, delivery.qos, 'queue-full')
        this.noteFullness()
        return
      }
    }
    // To drop older ones would make no room on disk before the next batch.
    if (!isInherited && !delivery.message!.isAdmitted && !this.#hasShareFor(size)) {
      this.#drop(delivery.message!, delivery.qos, 'queues-full')
      return
    }
    if (this.#journal !== null) {
      delivery.session = this
      this.#journal.deliver(delivery.message!, delivery, false)
    }
    this.queue.push(delivery)
    this.noteFullness()
  }

  /** Looks through the queue, so once a second at most. */
  #dropExpired(): void {
    const nowMs = this.#core.turn.nowMs
    if (nowMs < this.#lookedForExpiredMs + EXPIRED_LOOK_MS) return
    this.#lookedForExpiredMs = nowMs
    for (const expired of this.queue.removeWhere((delivery) => delivery.message!.isExpired(nowMs))) {
      this.#discard(expired, 'expired')
    }
  }

  /** Tells the router whether publishers have to ask `refuses`: until then a message of up to half a queue fits. */
  noteFullness(): void {
    const { options, router } = this.#core
    const isFull =
      options.overflow === 'reject' &&
      (this.queue.length >= this.#queueMessagesMax || this.queue.bytes > this.#queueBytesMax / 2)
    if (isFull === this.isFull) return
    this.isFull = isFull
    router.fullSubscribers += isFull ? 1 : -1
  }

  /** Gives a delivery up. */
  #discard(delivery: Delivery, reason: DropReason): void {
    const { group, message } = delivery
    if (group !== null && message !== null && this.review?.excludes(message.topic)) {
      this.#abandon(delivery, reason)
      return
    }
    this.#journal?.complete(delivery)
    if (message !== null) this.#drop(message, delivery.qos, reason)
  }

  #drop(message: Message, qos: QoS, reason: DropReason): void {
    this.droppedMessages++
    this.#core.dropped(this.clientId, message.topic, qos, reason)
  }

  /** Sends what can be sent: what is to be sent again, then the queue, then retained messages. */
  advance(): void {
    const connection = this.connection
    if (connection === null || this.isHeld) return
    if (this.#isResending) this.#resend(connection)
    if (this.queue.length > 0) this.#sendQueue(connection)
    if (this.#feeds.length > 0) this.#feeds.advance(connection)
  }

  #sendQueue(connection: Connection): void {
    while (!connection.isCongested) {
      const delivery = this.queue.peek()
      if (delivery === undefined || (delivery.qos > 0 && !this.#hasFlightRoom())) break
      this.queue.shift()
      const message = delivery.message!
      let refusal = this.#refusalOf(message, Way.Waited)
      if (refusal === null) {
        if (delivery.qos > 0) {
          this.#transmit(connection, delivery, message, null)
          continue
        }
        const { retain, subscriptionIdentifiers } = delivery
        refusal = this.#send(connection, message, 0, retain, 0, subscriptionIdentifiers, Way.Routed)
      }
      if (refusal === null) this.#journal?.complete(delivery)
      else this.#discard(delivery, refusal)
    }
    if (this.queue.length === 0) this.keepsQoS0 = false
    this.noteFullness()
  }

  /** A retained message at this QoS can go out now. */
  canTakeRetained(connection: Connection, qos: QoS): boolean {
    return !connection.isCongested && (qos === 0 || this.#canSend(connection))
  }

  /** [MQTT-3.1.1:3.3.1-8] */
  offerRetained(message: Message, qos: QoS, { subscriptionIdentifiers }: SubscriptionEntry): void {
    this.#offer(message, qos, true, subscriptionIdentifiers, null, false)
  }

  // --- acknowledgements from the client -----------------------------------------------------------------------------

  /** Whatever its Reason Code, the message is done with, also where a Shared Subscription chose its client. [MQTT-4.8.2-6] */
  handlePuback(packetId: number): void {
    const delivery = this.sender.handlePuback(packetId)
    if (delivery === null) this.#unexpected(packetId, 'PUBACK')
    else {
      this.connection?.reading.noteRightAcknowledgement()
      this.#core.metrics.inflight--
      this.#letGo(delivery)
      this.#journal?.complete(delivery)
    }
    this.#advanceIfWaiting()
  }

  /** True: PUBREL is to be sent. */
  handlePubrec(packetId: number, reasonCode: ReasonCode): boolean {
    const delivery = this.sender.handlePubrec(packetId, reasonCode)
    if (delivery === null) {
      this.#unexpected(packetId, 'PUBREC')
      // The client waits for PUBREL; after a lost session it would for ever. [MQTT-4.3.3-4]
      return reasonCode < 0x80 && this.connection !== null
    }
    if (delivery.flow === Flow.AwaitPubcomp) return this.#received(delivery)
    this.#core.metrics.inflight--
    this.#letGo(delivery)
    this.#journal?.complete(delivery)
    this.#advanceIfWaiting()
    return false
  }

  /** From here on only the packet id matters: the message is the client's. [MQTT-4.3.3-6] True: PUBREL may be sent at once. */
  #received(delivery: Delivery): boolean {
    this.#letGo(delivery)
    if (this.#journal === null) return true
    // A crash after PUBREL must not make the PUBLISH go out again: PUBREL follows when this is on disk.
    if (!delivery.isGated) {
      this.#journal.progress(delivery, true)
      delivery.isGated = true
    }
    return false
  }

  handlePubcomp(packetId: number): void {
    const delivery = this.sender.handlePubcomp(packetId)
    if (delivery === null) this.#unexpected(packetId, 'PUBCOMP')
    else {
      this.connection?.reading.noteRightAcknowledgement()
      this.#core.metrics.inflight--
      this.#journal?.complete(delivery)
    }
    this.#advanceIfWaiting()
  }

  /** Unknown packet ids are left over from a lost session; one that waits for another packet is a mistake. */
  #unexpected(packetId: number, what: string): void {
    this.connection?.reading.noteStray()
    if (this.sender.get(packetId) !== null) {
      throw new ProtocolError(ReasonCode.ProtocolError, `${what} for a message that waits for another acknowledgement`)
    }
  }

  #advanceIfWaiting(): void {
    if (this.queue.length > 0 || this.#isResending || this.#feeds.length > 0) this.advance()
  }

  // --- life ---------------------------------------------------------------------------------------------------------

  /** A new Network Connection: sends again what was in flight, in order, then what has waited. [MQTT-4.4.0-1] */
  attach(connection: Connection, receiveMaximum: number): void {
    this.connection = connection
    const { timeNotes, turn } = this.#core
    if (timeNotes !== null && this.isDurable) this.#timeNote = timeNotes.connected(this.expirySeconds, turn.nowMs)
    this.isAnonymous = connection.username === undefined
    this.identify(connection)
    this.askAgain(connection, true)
    this.noteFullness()
    this.sender.receiveMaximum = receiveMaximum
    this.receiver.receiveMaximum = connection.protocolVersion === 5 ? connection.limits.receiveMaximum : 65_535
    this.receiver.resume()
    this.#core.wheel.clear(this.expiryTimer)
    this.sender.resume()
    this.#isResending = this.sender.inflight > 0
    this.advance()
  }

  /** Does not ask whether a message has expired: its flow has begun. [MQTT-4.3.3-7] */
  #resend(connection: Connection): void {
    while (!connection.isCongested) {
      const delivery = this.sender.nextResend()
      if (delivery === null) {
        this.#isResending = !this.sender.hasQuota() && this.sender.inflight > 0
        return
      }
      // What waits for the disk is sent by `release`.
      if (!delivery.isGated) this.#sendInFlight(connection, delivery)
    }
  }

  /** Its client has logged in, for the first time or again. */
  identify(connection: Connection): void {
    const { authorizer, router } = this.#core
    if (authorizer?.mayReceive === undefined && authorizer?.mayPublish === undefined) return
    const before = this.client
    const { username, listener, grants } = connection
    this.client = { ...clientInfoOf(connection), memo: connection.memo }
    const isSame =
      before !== null &&
      before.username === username &&
      before.listener === listener &&
      isSameGrants(before.grants, grants)
    if (this.subscriptions.size > 0 && !isSame) router.rightsChanged()
  }

  /** Who may subscribe to what may have changed, or the client has come back (`isResumed`): it may be another user. */
  askAgain(connection: Connection, isResumed: boolean): void {
    const isAsked = this.#core.authorizer?.decidesAtSubscribe?.(connection) === true
    if (isAsked) this.review ??= new SubscriptionReview(this.#core, this)
    this.review?.begin(isAsked ? connection : null, isResumed)
    if (this.isHeld) this.keepsQoS0 = true
  }

  /** All answers are there. */
  goOn(): void {
    const released = this.#released
    this.#released = []
    for (const delivery of released) if (this.connection !== null) this.#sendInFlight(this.connection, delivery)
    this.advance()
  }

  detach(): void {
    this.review?.stop()
    this.#released = []
    // It was never accepted: when it comes again it is new.
    if (this.undecidedPacketId !== 0) this.receiver.acknowledged(this.undecidedPacketId, 2, true)
    this.undecidedPacketId = 0
    this.connection = null
    this.#isResending = false
    this.#core.timeNotes?.disconnected(this.#timeNote)
    this.#timeNote = -1
  }

  /** The session is over: nothing of it stays. Messages that a Shared Subscription chose it for go to other members. */
  end(): void {
    const { router, wheel, metrics } = this.#core
    wheel.clear(this.expiryTimer)
    const attempt = (work: () => void): void => void this.#core.faults.attempt('end of a session', work, this.clientId)
    for (const entry of this.subscriptions.values()) attempt(() => this.#core.unroute(this, entry))
    this.subscriptions.clear()
    this.#feeds.clear()
    for (const delivery of this.sender.inOrder()) {
      attempt(() => this.#abandon(delivery))
      this.#letGo(delivery)
    }
    for (const delivery of this.queue.clear()) attempt(() => this.#abandon(delivery))
    // Those on disk only are not read again: they are counted.
    this.droppedMessages += this.queue.length
    metrics.dropped['session-ended'] += this.queue.length
    this.#journal?.sweep({ session: this, next: () => this.queue.takeStored() })
    metrics.inflight -= this.sender.inflight
    this.sender.clear()
    this.receiver.clear()
    if (this.isFull) router.fullSubscribers--
    this.isFull = false
    metrics.sessions--
    metrics.sessionBytes -= this.ownBytes
  }

  /** [MQTT-4.8.2-4] [MQTT-4.8.2-5]: QoS 2 that is in flight stays with this client, and ends with it. */
  #abandon(delivery: Delivery, reason: DropReason = 'session-ended'): void {
    const { message, group } = delivery
    const isOpen = delivery.flow === Flow.Idle || delivery.flow === Flow.AwaitPuback
    const isExpired = message?.isExpired(this.#core.turn.nowMs) === true
    // For the other member it has not begun yet. [MQTT-3.3.2-5]
    const member = group !== null && message !== null && isOpen && !isExpired ? group.choose(message.topic) : null
    if (member !== null) {
      member.subscriber.deliver(message!, member, true)
      this.#journal?.hurry(message!)
    } else if (message !== null) {
      this.#drop(message, delivery.qos, isExpired ? 'expired' : reason)
    }
    this.#journal?.complete(delivery)
  }
}
