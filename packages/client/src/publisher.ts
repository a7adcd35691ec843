/**
 * Outgoing messages: the queue of those that wait to be sent, QoS 1 and 2 flows, resending after a reconnect, Topic
 * Aliases. One per client; outlives connections.
 *
 * A message goes out at once when it may. Otherwise it waits in one queue, in the order of `publish` calls: not
 * connected, the server's Receive Maximum used up (QoS 1 and 2), or the network full. QoS 0 passes only QoS 1 and 2
 * messages that wait for the window, never another QoS 0 message.
 *
 * With a session store QoS 1 and 2 messages are in it from `publish` to the end of their flow. Two packets wait for the
 * store, as after a crash the server would take another message for a duplicate: a QoS 2 PUBLISH leaves when its Packet
 * Identifier is safe (and later messages do not overtake it), PUBREL when the arrival of PUBREC is safe.
 *
 * Invariants: every promise that `publish` returned is settled, at the latest by `close`; a message is in the queue, in
 * flight (`Sender`), or settled; messages in flight are resent in order before anything new [MQTT-4.6.0-1].
 *
 * Source: MQTT 5.0 sections 3.3, 4.3, 4.4, 4.6, 4.9; MQTT 3.1.1 section 4.
 */
import {
  checkOptions,
  encodeProperties,
  encodeTopicField,
  Flow,
  type MqttError,
  NO_PROPERTIES,
  OptionError,
  PacketIdMap,
  PacketType,
  type Properties,
  type Puback,
  type Pubcomp,
  type Pubrec,
  Pubrel,
  type QoS,
  ReasonCode,
  Sender,
  TopicAliasSender,
  type TopicName,
  toBytes,
} from '@recado/protocol'
import { type Deferred, deferred, quiet, throwIfAborted, whenAborted } from './abort.ts'
import { encodePublishProperties, topicName } from './arguments.ts'
import { Caution, LOSSES_SUSPECT } from './caution.ts'
import type { Connection } from './connection.ts'
import { ConnectionLostError, MessageExpiredError, PublishError, QueueFullError, SetAsideError } from './errors.ts'
import { isUsual, publishRules } from './option-rules.ts'
import type { Payload, PublishOptions, ResolvedOptions } from './options.ts'
import { Outgoing, type PublishResult, QOS_0_RESULT, resultOf } from './outgoing.ts'
import type { Blame } from './retry.ts'
import { Ring } from './ring.ts'
import { checkServerLimits } from './server-limits.ts'
import type { RestoredMessage, SessionStore } from './store/session-store.ts'
import type { Request } from './subscriber.ts'

const QOS_0_DONE: Promise<PublishResult> = Promise.resolve(QOS_0_RESULT)
/**
 * Largest payload in bytes that certainly fits into a packet of 268,435,455 bytes, with the longest topic and usual
 * properties.
 */
const EMPTY_TOPIC_FIELD: Uint8Array = new Uint8Array(2)
const NO_PROPERTY_FIELD: Uint8Array = new Uint8Array(1)
const TOPIC_FIELDS_MAX = 512
/**
 * Servers of 3.1 and 3.1.1 cannot tell their limit, and drop messages above it: Mosquitto acknowledges and drops QoS 2
 * messages beyond 20. Other clients have this limit too.
 */
const INFLIGHT_MAX_BEFORE_5 = 20
/** Value of an identifier that is held without a message. */
const SET_ASIDE: object = {}

export interface PublisherOwner {
  /** Called when a message that `idle` depends on has been settled. */
  handleProgress(): void
  /** Clock of `Environment.now`. */
  now(): number
  /** Called when a message without a promise was refused, or cannot be sent to this server. */
  handleUndelivered(message: Outgoing, error: unknown): void
}

export class Publisher {
  readonly #options: ResolvedOptions
  readonly #owner: PublisherOwner
  readonly #store: SessionStore | null
  readonly #sender: Sender<Outgoing, Request>
  readonly #ids: PacketIdMap<object>
  /** Identifiers of QoS 2 messages that were set aside; the server may know them. */
  readonly #setAside = new Set<number>()
  readonly #queue = new Ring<Outgoing>()
  /** Messages in flight on this connection that are not yet written, because their rows are not safe. */
  #gated = new Ring<Outgoing>()
  /** Messages that were confirmed in a session that the server has lost; the store does not know yet. */
  readonly #confirmed: Set<Outgoing> = new Set()
  readonly #caution = new Caution()
  /** Whether only QoS 0 may be sent: changes of the last connection are not safe yet, or care is needed. */
  #held = false
  /** Receive Maximum that the server and the application allow, without regard to care. */
  #receiveMaximum = 65_535
  #queuedBytes = 0
  #queuedQoS0 = 0
  #cancelled = 0
  #connection: Connection | null = null
  #limits: Properties = NO_PROPERTIES
  #aliases: TopicAliasSender | null = null
  #drained: Deferred<PublishResult> | null = null
  /** Wire forms of Topic Names that have been checked. */
  #topicFields = new Map<string, Uint8Array>()

  constructor(options: ResolvedOptions, ids: PacketIdMap<Outgoing | Request>, owner: PublisherOwner) {
    this.#options = options
    this.#store = options.store ?? null
    this.#sender = new Sender<Outgoing, Request>(INFLIGHT_MAX_BEFORE_5, ids)
    this.#ids = ids
    this.#owner = owner
  }

  static ids(): PacketIdMap<Outgoing | Request> {
    return new PacketIdMap()
  }

  /** Number of messages sent at QoS 1 and 2 whose flow has not ended. */
  get inflight(): number {
    return this.#sender.inflight
  }

  /** Number of messages that wait to be sent. */
  get queued(): number {
    return this.#queue.size - this.#cancelled
  }

  get idle(): boolean {
    return this.#sender.inflight === 0 && this.#queue.size === 0
  }

  publish(topic: string, payload: Payload | undefined, options: PublishOptions | undefined): Promise<PublishResult> {
    let outgoing: Outgoing | null = null
    try {
      if (options !== undefined && !isUsual(options)) checkOptions(options, publishRules)
      const qos = options?.qos ?? 0
      const retain = options?.retain ?? false
      const properties = options?.properties ?? NO_PROPERTIES
      const topicField = this.#topicField(topic)
      const bytes = toBytes(payload)
      const propertyField = properties === NO_PROPERTIES ? NO_PROPERTY_FIELD : encodePublishProperties(properties)
      if (properties.responseTopic !== undefined) this.#topicField(properties.responseTopic)
      const untilStored = options?.until === 'stored'
      if (untilStored && (this.#store === null || qos === 0)) {
        throw new OptionError("until: 'stored' needs the option store of the client, and QoS 1 or 2")
      }
      throwIfAborted(options?.signal)
      const connection = this.#connection
      connection?.checkBeforeSending()
      if (qos === 0) {
        if (connection !== null && !connection.blocked && this.#queuedQoS0 === 0 && !this.#caution.isAlone) {
          this.#caution.hasUnanswerable = true
          checkServerLimits(this.#limits, topicField, bytes, qos, retain, propertyField)
          this.#write(connection, topic, topicField, 0, retain, false, 0, properties, propertyField, bytes)
          return connection.blocked ? this.#afterDrain() : QOS_0_DONE
        }
        if (connection === null && !this.#options.queueOptions.offlineQoS0) {
          throw new ConnectionLostError('the client is not connected, and queue.offlineQoS0 is false')
        }
      } else if (qos !== 1 && qos !== 2) throw new OptionError(`qos must be 0, 1 or 2, not ${String(qos)}`)
      else if (this.#store?.failure) throw this.#store.failure
      outgoing = new Outgoing(topic, topicField, bytes, qos, retain, properties, propertyField)
      const { messageExpiryIntervalSeconds } = properties
      if (messageExpiryIntervalSeconds !== undefined) {
        outgoing.expiresAt = this.#owner.now() + messageExpiryIntervalSeconds * 1000
      }
      this.#watch(outgoing, options?.signal)
      if (
        connection !== null &&
        !connection.blocked &&
        !this.#held &&
        this.#queue.size === 0 &&
        qos !== 0 &&
        this.#sender.hasQuota()
      ) {
        this.#sendQoS12(connection, outgoing, qos)
      } else this.#enqueue(outgoing)
      if (untilStored) this.#settleWhenStored(outgoing)
      return outgoing.promise
    } catch (error) {
      outgoing?.stopWatching?.()
      return Promise.reject(error)
    }
  }

  /** Begins a connection. `properties` are those of its CONNACK. */
  attach(connection: Connection, sessionPresent: boolean, properties: Properties): void {
    this.#connection = connection
    this.#limits = properties
    const isVersion5 = connection.protocolVersion === 5
    // [MQTT-3.2.2-17] [MQTT-3.2.2-18]
    const aliases = isVersion5 && this.#options.topicAliases ? (properties.topicAliasMaximum ?? 0) : 0
    this.#aliases = aliases > 0 ? new TopicAliasSender(aliases) : null
    const serverTakes = isVersion5 ? (properties.receiveMaximum ?? 65_535) : INFLIGHT_MAX_BEFORE_5
    const { inflightMax } = this.#options
    this.#receiveMaximum = isVersion5 ? Math.min(serverTakes, inflightMax ?? 65_535) : (inflightMax ?? serverTakes)
    if (sessionPresent) this.#sender.resume()
    else this.#startOver()
    this.#caution.begin(this.#sender.inflight > 0 || this.#queue.size > this.#queuedQoS0)
    this.#limit()
    const { isAlone } = this.#caution
    const store = this.#store
    if (store === null && !isAlone) {
      this.pump()
      return
    }
    this.#held = true
    this.pump()
    const begin = (): void => {
      if (this.#connection !== connection) return
      this.#held = false
      this.pump()
    }
    const beginWhenSafe = (): void => {
      if (store === null) begin()
      else store.whenSafe(begin)
    }
    if (isAlone) connection.ping(beginWhenSafe)
    else beginWhenSafe()
  }

  #limit(): void {
    this.#sender.receiveMaximum = Math.min(this.#receiveMaximum, this.#caution.window)
  }

  /** Number of messages of this connection that were not answered; a QoS 0 message may stand for any number. */
  get unanswered(): number {
    return this.#sender.outstanding - this.#gated.size + (this.#caution.hasUnanswerable ? 1 : 0)
  }

  /** Ends a connection. `requests` is the number of SUBSCRIBE and UNSUBSCRIBE that were not answered. */
  detach(why: MqttError, blame: Blame, requests: number): void {
    const connection = this.#connection
    this.#connection = null
    if (connection !== null && blame !== 'none') this.#suspect(connection, why, blame, requests)
    this.#held = false
    this.#gated = new Ring()
    this.#aliases = null
    // QoS 0 promises no more than that the message was written.
    this.#drained?.resolve(QOS_0_RESULT)
    this.#drained = null
  }

  /** Looks for the message after which the server ended the connection, and sets it aside when it is found. */
  #suspect(connection: Connection, why: MqttError, blame: Blame, requests: number): void {
    // Messages that wait for the store have not reached the server; they were sent last.
    const unanswered = this.#sender.unanswered().slice(0, this.#sender.outstanding - this.#gated.size)
    const first = unanswered[0]
    if (first === undefined) return
    const before = first.losses
    const isOnly = unanswered.length === 1 && requests === 0
    // Sending a long message may take long.
    const now = connection.blocked ? this.#caution.sentMs : this.#owner.now()
    if (this.#caution.lost(first, isOnly, blame, now)) {
      this.#sender.remove(first)
      // The server may know the identifier: another message must not be taken for this one.
      if (first.qos === 2) {
        this.#ids.set(first.packetId, SET_ASIDE)
        this.#setAside.add(first.packetId)
      }
      this.#giveUp(first, new SetAsideError('PUBLISH', [first.topic], why))
    } else if (first.losses !== before) this.#store?.save(first)
  }

  /**
   * Starts over after the server has lost the session, where identifiers mean nothing any more [MQTT-3.2.2-5].
   * Unconfirmed messages are sent as new ones, ahead of the queue; a QoS 2 message may then arrive twice, which beats
   * losing it. The server has those that it had confirmed by PUBREC.
   */
  #startOver(): void {
    const items = this.#sender.inOrder()
    const confirmed = items.filter((item) => item.flow === Flow.AwaitPubcomp)
    const unconfirmed = items.filter((item) => item.flow !== Flow.AwaitPubcomp)
    this.#sender.clear()
    this.#sender.resume()
    for (const packetId of this.#setAside) this.#ids.delete(packetId)
    this.#setAside.clear()
    for (const item of confirmed) {
      this.#confirmed.add(item)
      this.#store?.remove(item)
    }
    const settle = (): void => {
      for (const item of confirmed) if (this.#confirmed.delete(item)) item.settle(resultOf(item, 0, NO_PROPERTIES))
    }
    // The store may not know of PUBREC yet: the next process must not report that it was never delivered.
    if (this.#store === null) settle()
    else this.#store.whenSafe(settle)
    for (const item of unconfirmed) this.#store?.save(item)
    this.#putFirst(unconfirmed)
  }

  #putFirst(items: Outgoing[]): void {
    for (const item of items.reverse()) {
      this.#queue.unshift(item)
      this.#queuedBytes += item.bytes
    }
  }

  /** Restores messages from the session store; they go before those published since. */
  restore(messages: readonly RestoredMessage[]): void {
    const queued: Outgoing[] = []
    for (const { topic, payload, qos, retain, properties, ...of } of messages) {
      const propertyField = encodeProperties(properties, PacketType.PUBLISH)
      const item = new Outgoing(
        topic,
        encodeTopicField(topic as TopicName),
        payload,
        qos,
        retain,
        properties,
        propertyField,
      )
      item.sequence = of.sequence
      item.hasFlightRow = of.hasFlightRow
      item.packetId = of.packetId
      item.flow = of.flow
      item.expiresAt = of.expiresAt
      item.losses = of.losses
      if (of.losses >= LOSSES_SUSPECT) this.#caution.window = 1
      item.unwatched = true
      item.promise.catch(() => {})
      if (item.flow === Flow.Idle) queued.push(item)
      else this.#sender.restore(item)
    }
    this.#putFirst(queued)
  }

  #settleWhenStored(item: Outgoing): void {
    this.#store?.whenSafe(() => {
      // The caller may now change the bytes, and sending may be a long time off.
      item.payload = item.payload.slice()
      item.unwatched = true
      item.settle(resultOf(item, 0, NO_PROPERTIES))
    })
  }

  /** Resends and sends the messages that may go now. */
  pump(): void {
    const connection = this.#connection
    if (connection === null) return
    const alone = this.#caution.isAlone
    if (this.#held) {
      if (!alone) this.#pumpQoS0(connection)
      return
    }
    if (this.#store !== null) this.#pumpGated(connection, this.#store)
    while (!connection.blocked && !(alone && this.#sender.outstanding > 0)) {
      const item = this.#sender.nextResend()
      if (item === null) break
      if (alone) this.#caution.sentMs = this.#owner.now()
      if (item.flow === Flow.AwaitPubcomp) connection.sendAck(6, item.packetId)
      else this.#writeOutgoing(connection, item, true) // [MQTT-3.3.1-1]
    }
    if (alone && !this.#pumpAlone(connection)) return
    while (this.#queue.size > 0 && !connection.blocked) {
      const item = this.#queue.peek()!
      if (item.qos !== 0 && !item.cancelled && !this.#sender.hasQuota()) {
        this.#pumpQoS0(connection)
        return
      }
      this.#queue.shift()
      this.#forget(item)
      if (item.cancelled) continue
      this.#sendQueued(connection, item)
    }
    if (this.#queue.size === 0) this.#owner.handleProgress()
  }

  /**
   * Sends the next QoS 1 or 2 message, and nothing else. Returns `true` when there is none, so that care is no longer
   * needed.
   */
  #pumpAlone(connection: Connection): boolean {
    for (let left = this.#queue.size; left > 0; left--) {
      const item = this.#queue.shift()!
      if (item.qos === 0 || this.#sender.outstanding > 0 || connection.blocked) this.#queue.push(item)
      else {
        this.#forget(item)
        this.#caution.sentMs = this.#owner.now()
        if (!item.cancelled) this.#sendQueued(connection, item)
      }
    }
    if (this.#sender.outstanding > 0 || connection.blocked) return false
    this.#caution.begin(false)
    this.#limit()
    return true
  }

  #pumpGated(connection: Connection, store: SessionStore): void {
    while (!connection.blocked) {
      const item = this.#gated.peek()
      if (item === undefined || !store.isSafe(item.gate)) return
      this.#gated.shift()
      if (item.flow !== Flow.AwaitPuback && item.flow !== Flow.AwaitPubrec) continue
      try {
        this.#checkExpiry(item)
        this.#writeOutgoing(connection, item, false)
      } catch (error) {
        this.#sender.remove(item)
        this.#giveUp(item, error)
      }
    }
  }

  /**
   * Throws `MessageExpiredError` for a message that has expired unsent. A message in flight must go on, so that its
   * flow ends.
   */
  #checkExpiry({ topic, expiresAt }: Outgoing): void {
    if (expiresAt === Number.POSITIVE_INFINITY || expiresAt > this.#owner.now()) return
    throw new MessageExpiredError(`the message for ${topic} has expired before it could be sent`)
  }

  /** Sends QoS 0 messages, which need not wait when the window is closed or the store holds the others back. */
  #pumpQoS0(connection: Connection): void {
    if (this.#queuedQoS0 === 0) return
    const count = this.#queue.size
    for (let i = 0; i < count; i++) {
      const item = this.#queue.shift()!
      if (item.qos !== 0 || connection.blocked) this.#queue.push(item)
      else {
        this.#forget(item)
        if (!item.cancelled) this.#sendQueued(connection, item)
      }
    }
  }

  #sendQueued(connection: Connection, item: Outgoing): void {
    try {
      this.#checkExpiry(item)
      if (item.qos !== 0) {
        this.#sendQoS12(connection, item, item.qos)
        return
      }
      checkServerLimits(this.#limits, item.topicField, item.payload, 0, item.retain, item.propertyField)
      this.#caution.hasUnanswerable = true
      this.#writeOutgoing(connection, item, false)
      item.settle(QOS_0_RESULT)
    } catch (error) {
      // This server cannot accept it; the others may go on.
      this.#giveUp(item, error)
    }
  }

  /** Notes that the server has answered a message. */
  #noteAnswer(): void {
    this.#caution.hasAnswer = true
    if (this.#caution.window === Number.POSITIVE_INFINITY) return
    this.#caution.widen()
    this.#limit()
  }

  handlePuback(puback: Puback): void {
    const item = this.#sender.handlePuback(puback.packetId)
    if (item !== null) this.#end(item, puback.reasonCode, puback.properties)
  }

  handlePubrec(pubrec: Pubrec): void {
    const connection = this.#connection!
    const item = this.#sender.handlePubrec(pubrec.packetId, pubrec.reasonCode)
    if (item === null) {
      // 4.3.3: the flow has ended here; the server is to forget it as well
      if (connection.protocolVersion < 5) connection.sendAck(6, pubrec.packetId)
      else connection.send(new Pubrel(pubrec.packetId, ReasonCode.PacketIdentifierNotFound))
      return
    }
    if (item.flow === Flow.Idle) {
      this.#end(item, pubrec.reasonCode, pubrec.properties)
      return
    }
    this.#caution.hasAnswer = true
    item.reasonCode = pubrec.reasonCode
    item.answer = pubrec.properties
    if (this.#store === null) {
      connection.sendAck(6, pubrec.packetId)
      return
    }
    this.#store.save(item)
    this.#store.whenSafe(() => {
      if (this.#connection === connection && item.flow === Flow.AwaitPubcomp) connection.sendAck(6, item.packetId)
    })
  }

  handlePubcomp(pubcomp: Pubcomp): void {
    const item = this.#sender.handlePubcomp(pubcomp.packetId)
    if (item === null) return
    // 0x92 here: the server had ended the flow already, so the message was delivered.
    const says = pubcomp.properties === NO_PROPERTIES ? item.answer : pubcomp.properties
    this.#end(item, item.reasonCode, says)
  }

  /** Rejects waiting messages and those in flight. The store keeps them, for the next client. */
  close(error: MqttError): void {
    const inflight = this.#sender.inOrder()
    this.#sender.clear()
    for (const item of [...inflight, ...this.#confirmed]) item.failQuietly(error)
    this.#confirmed.clear()
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
      if (!item.cancelled) item.failQuietly(error)
    }
    this.#queuedBytes = 0
    this.#queuedQoS0 = 0
    this.#cancelled = 0
    this.#owner.handleProgress()
  }

  #end(item: Outgoing, reasonCode: ReasonCode, properties: Properties): void {
    this.#noteAnswer()
    if (reasonCode >= ReasonCode.UnspecifiedError) {
      this.#giveUp(item, new PublishError(item.topic, reasonCode, properties))
    } else {
      this.#store?.remove(item)
      item.settle(resultOf(item, reasonCode, properties))
    }
    if (this.#queue.size > 0 || !this.#sender.hasQuota()) this.pump()
    else this.#owner.handleProgress()
  }

  /** Gives up a message that will never be delivered. */
  #giveUp(item: Outgoing, error: unknown): void {
    this.#store?.remove(item)
    item.fail(error)
    if (item.unwatched) this.#owner.handleUndelivered(item, error)
  }

  #sendQoS12(connection: Connection, item: Outgoing, qos: 1 | 2): void {
    checkServerLimits(this.#limits, item.topicField, item.payload, qos, item.retain, item.propertyField)
    this.#sender.send(item, qos)
    const store = this.#store
    if (store !== null) {
      store.save(item)
      if (qos === 2 || this.#gated.size > 0) {
        item.gate = store.position
        this.#gated.push(item)
        return
      }
    }
    this.#writeOutgoing(connection, item, false)
  }

  #writeOutgoing(connection: Connection, item: Outgoing, dup: boolean): void {
    const { topic, topicField, qos, retain, packetId, payload, expiresAt } = item
    let { properties, propertyField } = item
    const interval = properties.messageExpiryIntervalSeconds
    if (interval !== undefined) {
      // Some servers take 0 to mean never.
      const left = Math.max(1, Math.ceil((expiresAt - this.#owner.now()) / 1000))
      if (left < interval) {
        properties = { ...properties, messageExpiryIntervalSeconds: left }
        propertyField = encodeProperties(properties, PacketType.PUBLISH)
      }
    }
    this.#write(connection, topic, topicField, qos, retain, dup, packetId, properties, propertyField, payload)
  }

  #write(
    connection: Connection,
    topic: string,
    topicField: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    properties: Properties,
    propertyField: Uint8Array,
    payload: Uint8Array,
  ): void {
    const alias = this.#aliases === null || properties.topicAlias !== undefined ? null : this.#aliases.aliasFor(topic)
    if (alias === null) {
      connection.sendPublish(topicField, qos, retain, dup, packetId, propertyField, payload)
      return
    }
    const field =
      properties === NO_PROPERTIES
        ? aliasField(alias.alias)
        : encodeProperties({ ...properties, topicAlias: alias.alias }, PacketType.PUBLISH)
    const name = alias.isNew ? topicField : EMPTY_TOPIC_FIELD
    connection.sendPublish(name, qos, retain, dup, packetId, field, payload)
  }

  #enqueue(item: Outgoing): void {
    const { messagesMax, bytesMax, overflow } = this.#options.queueOptions
    while (this.#queue.size - this.#cancelled >= messagesMax || this.#queuedBytes + item.bytes > bytesMax) {
      const error = new QueueFullError(
        `${this.#queue.size} messages (${this.#queuedBytes} bytes) wait to be sent already: await publish(), or raise queue.messagesMax or queue.bytesMax`,
      )
      const oldest = overflow === 'drop-oldest' ? this.#queue.shift() : undefined
      if (oldest === undefined) throw error
      this.#forget(oldest)
      if (!oldest.cancelled) this.#giveUp(oldest, error)
    }
    if (item.qos !== 0) this.#store?.save(item)
    this.#queue.push(item)
    this.#queuedBytes += item.bytes
    if (item.qos === 0) this.#queuedQoS0++
  }

  #forget(item: Outgoing): void {
    this.#queuedBytes -= item.bytes
    if (item.qos === 0) this.#queuedQoS0--
    if (item.cancelled) this.#cancelled--
  }

  #watch(item: Outgoing, signal: AbortSignal | undefined): void {
    if (signal === undefined) return
    item.stopWatching = whenAborted(signal, (reason) => {
      if (item.flow === Flow.Idle) this.#cancel(item)
      // It may have to be resent, and the caller may now use the bytes for something else.
      else item.payload = item.payload.slice()
      quiet(item.promise)
      item.reject(reason)
    })
  }

  /**
   * Cancels a message, which stays in the queue as an empty entry until its turn, or until there are too many of them.
   */
  #cancel(item: Outgoing): void {
    item.cancelled = true
    this.#store?.remove(item)
    this.#cancelled++
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#queue.size) return
    for (let left = this.#queue.size; left > 0; left--) {
      const queued = this.#queue.shift()!
      if (queued.cancelled) this.#forget(queued)
      else this.#queue.push(queued)
    }
  }

  /** Resolves when a full network accepts more, so that a caller that awaits each `publish` is slowed down. */
  #afterDrain(): Promise<PublishResult> {
    this.#drained ??= deferred<PublishResult>()
    return this.#drained.promise
  }

  handleDrain(): void {
    this.#drained?.resolve(QOS_0_RESULT)
    this.#drained = null
    this.pump()
  }

  #topicField(topic: string): Uint8Array {
    let field = this.#topicFields.get(topic)
    if (field === undefined) {
      field = encodeTopicField(topicName(topic, this.#options.topicCharacters))
      if (this.#topicFields.size >= TOPIC_FIELDS_MAX) this.#topicFields = new Map()
      this.#topicFields.set(topic, field)
    }
    return field
  }
}

const aliasFields: Uint8Array[] = []

/** Encodes a Property Length of 3 and a Topic Alias. */
function aliasField(alias: number): Uint8Array {
  let field = aliasFields[alias]
  if (field === undefined) {
    field = Uint8Array.of(3, 0x23, alias >> 8, alias & 0xff)
    aliasFields[alias] = field
  }
  return field
}
