/**
 * An Application Message on its way through the broker.
 *
 * Made once per PUBLISH (or Will, or `broker.publish`) and shared by all that get it: retained messages, queues and
 * deliveries hold references, never copies. While it is routed the payload may be a view of the chunk that it came in;
 * call `keep()` before keeping it longer, which copies at most once. `lend()` is for outboxes, which need a large payload
 * until it has been sent: in a buffer of the pool, one for all of them.
 *
 * Sources: MQTT 5.0 sections 3.3 and 4.3; message expiry 3.3.2.3.3.
 */
import {
  copy,
  decodeProperties,
  encodeProperties,
  encodeTopicField,
  hasDisallowedCodePoint,
  joinPropertyFields,
  NO_PROPERTIES,
  type PacketBuffer,
  type PacketBuffers,
  PacketType,
  type Properties,
  type Publish,
  type QoS,
  type RawProperties,
  utf8Length,
  variableByteIntegerSize,
} from '@recado/protocol'

import type { ApplicationMessage, ClientInfo, MessageChanges } from '../../ports.ts'
import { copyOf, type PayloadBlocks } from './payload-blocks.ts'

/** Largest Remaining Length of a packet (MQTT 5.0, 1.5.5); the packet has at most 5 bytes more. */
export const REMAINING_LENGTH_MAX = 268_435_455
/** Bytes that a PUBLISH may have beside topic, payload and properties: lengths, Packet Identifier, expiry. */
const OTHER_BYTES_MAX = 16

/** Share of a buffer from which on a payload in it is sent by reference. */
const LENT_SHARE = 1 / 8
/** Share of a buffer from which on a payload keeps the whole buffer instead of being copied. */
const KEPT_SHARE = 0.75

/** An empty Property Length. */
export const EMPTY_PROPERTY_FIELD: Uint8Array = new Uint8Array(1)

/** Returns the QoS that a message is delivered at: the lower of its own and the granted one (3.8.4). */
export function lowerQoS(a: QoS, b: QoS): QoS {
  return Math.min(a, b) as QoS
}

/** Publisher of a message, compared by identity for No Local. */
export type Publisher = object

/**
 * Answers that the publisher of a message can be given when it is not taken. Untold: nothing, at QoS 0 and before MQTT 5.0. Told: a Reason Code, so a
 * full queue refuses. Will: it was promised that the message is kept, so a store that fails is no reason to drop it; it gets there when
 * the store works again. News: of the broker itself, true for the moment; see `PublishOptions.isNews`. Forwarded: another Core has taken
 * and retained it, and waits until it is safe here.
 */
export const Taking = { Untold: 0, Told: 1, Will: 2, News: 3, Forwarded: 4 } as const

/** Progress of a message towards the disk, as far as others than the journal may know it: `MessageRow` is the whole of it. */
export interface RowProgress {
  /** Whether some recipient has not acknowledged the message, and it has not been written. */
  readonly isOpen: boolean
}

/** Progress of a message towards other Cores; the journal's `Forward` is the whole of it. */
export interface ForwardProgress {
  /** Number of Cores that have not acknowledged it. */
  readonly open: number
}

/** Progress of a message that has come from another Core, and goes to no further one. */
export const ARRIVED: ForwardProgress = { open: 0 }

/** Packet Identifier under which a message came to the broker; the journal's `Receipt` is the whole of it. */
export interface ReceivedId {
  readonly packetId: number
}

/** Parts of a message that does not come in a PUBLISH packet: of a Will, or of a call of the embedding program. */
export interface MessageParts {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
}

export class Message implements ApplicationMessage {
  readonly topic: string
  readonly qos: QoS
  /** The RETAIN flag as it was published. */
  readonly retain: boolean
  /** Infinity: never. */
  readonly expiresAtMs: number
  /** Publisher, for No Local; null as soon as the message has been routed, so that it does not keep a session alive. */
  publisher: Publisher | null
  /** Client that published a retained message, where its rights are asked about again; null: nobody asks. */
  source: ClientInfo | null = null
  /** Progress towards the disk; null: no durable session waits for the message. */
  row: RowProgress | null = null
  /** Packet Identifier of a QoS 2 message from a durable session, until PUBREL; null: of any other message. */
  receipt: ReceivedId | null = null
  /** Progress towards other Cores; null: none of them gets it, or not at QoS 1 or 2. */
  forward: ForwardProgress | null = null
  /** True: this is the retained message of its topic. `RetainedMessages` sets it. */
  isRetained = false
  /** Number of its row in the retained table; 0: none. */
  retainedPosition = 0
  /** Place among all retained messages by the time of their coming; 0: not retained. */
  retainedSequence = 0
  /**
   * True: the topic or a property has a control character or a non-character. False for what came from a client, whose decoder refuses that
   * unless it is allowed; what was stored or imported may be older than the option.
   */
  hasDisallowedCodePoint = false
  /** True: the publisher has been told, or will be, that the message is taken, so no limit that all share is a reason to drop it any more. */
  isTaken = false
  /** True: the topic is a Topic Name, as the decoder has found. */
  isTopicChecked = false
  /** True: `Context.watch` follows it. */
  isWatched = false
  /** Deliveries that keep it in memory (`Holdings`). */
  holders = 0
  buffer: Uint8Array
  payloadStart: number
  payloadEnd: number
  #topicField: Uint8Array | null
  /** Properties as they came, which lie right before the payload; null for a message that has none, or has them in the two fields below. */
  readonly rawProperties: RawProperties | null
  /** Properties that are passed on, as objects; null since the message has been kept: as bytes it is a tenth of that. */
  #properties: Properties | null
  #propertyField: Uint8Array | null
  #borrowed: boolean
  /** Buffer that a borrowed payload lies in, which can be held; null: none. */
  #holder: PacketBuffer | null = null
  /** Whether `#holder` has a copy that was made for outboxes, and is to be released with the message. */
  #hasLent = false

  private constructor(
    topic: string,
    topicField: Uint8Array | null,
    qos: QoS,
    retain: boolean,
    properties: Properties,
    expiresAtMs: number,
    publisher: Publisher | null,
    buffer: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
    borrowed: boolean,
    rawProperties: RawProperties | null,
  ) {
    this.topic = topic
    this.qos = qos
    this.retain = retain
    this.expiresAtMs = expiresAtMs
    this.publisher = publisher
    this.buffer = buffer
    this.payloadStart = payloadStart
    this.payloadEnd = payloadEnd
    this.#topicField = topicField
    this.rawProperties = rawProperties
    this.#properties = rawProperties === null ? properties : null
    this.#propertyField = rawProperties === null && properties === NO_PROPERTIES ? EMPTY_PROPERTY_FIELD : null
    this.#borrowed = borrowed
  }

  /** `topic` is the real one, a Topic Alias resolved. */
  static fromPublish(publish: Publish, topic: string, publisher: Publisher | null, nowMs: number): Message {
    const { rawProperties, buffer, payloadStart } = publish
    const expirySeconds =
      rawProperties === null
        ? publish.properties.messageExpiryIntervalSeconds
        : rawProperties.expirySeconds(buffer, payloadStart - rawProperties.fieldBytes)
    const message = new Message(
      topic,
      publish.topicField,
      publish.qos,
      publish.retain,
      passedOn(publish.properties),
      expiryOf(expirySeconds, nowMs),
      publisher,
      buffer,
      payloadStart,
      publish.payloadEnd,
      true,
      rawProperties,
    )
    if (publish.holder !== null) message.#holder = publish.holder
    message.isTopicChecked = topic === publish.topic
    return message
  }

  /** Makes a message like this one with other contents; QoS, publisher and the time of its expiry stay. */
  changed({ topic, payload, retain, properties }: MessageChanges): Message {
    const parts: MessageParts = {
      topic: topic ?? this.topic,
      payload: payload ?? copyOf(this.buffer, this.payloadStart, this.payloadEnd),
      qos: this.qos,
      retain: retain ?? this.retain,
      properties: properties ?? this.properties,
    }
    return Message.expiring(parts, this.publisher, this.expiresAtMs)
  }

  /** A message whose payload belongs to it, or at least will not change; its Message Expiry Interval begins at `nowMs`. */
  static of(parts: MessageParts, publisher: Publisher | null, nowMs: number): Message {
    return Message.expiring(parts, publisher, expiryOf(parts.properties.messageExpiryIntervalSeconds, nowMs))
  }

  /** Same as `of`, with a time of expiry, whatever the properties say; Infinity: never. */
  static expiring(parts: MessageParts, publisher: Publisher | null, expiresAtMs: number): Message {
    const message = new Message(
      parts.topic,
      null,
      parts.qos,
      parts.retain,
      passedOn(parts.properties),
      expiresAtMs,
      publisher,
      parts.payload,
      0,
      parts.payload.length,
      false,
      null,
    )
    message.hasDisallowedCodePoint = isAnyDisallowed(parts.topic, parts.properties)
    return message
  }

  /** Returns a message from the store; the payload is its own. */
  static restored(publish: Publish, expiresAtMs: number): Message {
    const message = Message.#sentOn(publish, expiresAtMs, false)
    message.hasDisallowedCodePoint =
      publish.rawProperties?.hasDisallowedCodePoint === true || isAnyDisallowed(publish.topic, publish.properties)
    return message.keep()
  }

  /** Returns a message that another Core has forwarded; the payload is borrowed from its frame. */
  static forwarded(publish: Publish, expiresAtMs: number): Message {
    const message = Message.#sentOn(publish, expiresAtMs, true)
    message.forward = ARRIVED
    return message
  }

  /** Makes a message of a PUBLISH that a broker has written, to its store or to another Core: nobody here has sent it. */
  static #sentOn(publish: Publish, expiresAtMs: number, borrowed: boolean): Message {
    return new Message(
      publish.topic,
      publish.topicField,
      publish.qos,
      publish.retain,
      passedOn(publish.properties),
      expiresAtMs,
      null,
      publish.buffer,
      publish.payloadStart,
      publish.payloadEnd,
      borrowed,
      publish.rawProperties,
    )
  }

  /** Properties that are passed on: without Topic Alias, Subscription Identifier and Message Expiry Interval. */
  get properties(): Properties {
    if (this.#properties !== null) return this.#properties
    const { rawProperties } = this
    if (rawProperties === null) return decodeProperties(this.#propertyField!, PacketType.PUBLISH)
    const properties = passedOn(rawProperties.decode(this.buffer, this.#fieldStart(rawProperties)))
    if (this.#borrowed) this.#properties = properties
    return properties
  }

  /** Beginning of the properties in `buffer`, as they came. */
  #fieldStart({ fieldBytes }: RawProperties): number {
    return this.payloadStart - fieldBytes
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart
  }

  get payload(): Uint8Array {
    return this.buffer.subarray(this.payloadStart, this.payloadEnd)
  }

  get topicField(): Uint8Array {
    if (this.#topicField !== null) return this.#topicField
    const field = encodeTopicField(this.topic)
    // A retained message would hold it for good: a hundred bytes, and dearer to keep than to make again.
    if (!this.retain) this.#topicField = field
    return field
  }

  /** Bytes of topic, payload and properties, which limits count. */
  get sizeBytes(): number {
    // The field is not made for this alone: a retained message would hold it for good.
    const topicBytes = this.#topicField === null ? utf8Length(this.topic) : this.#topicField.length - 2
    return topicBytes + this.payloadEnd - this.payloadStart + this.storedPropertyBytes - 1
  }

  /** Whether a PUBLISH of it at QoS 1, with the Message Expiry Interval, is one that MQTT can say. */
  isEncodable(nowMs: number): boolean {
    if (this.sizeBytes <= REMAINING_LENGTH_MAX - OTHER_BYTES_MAX) return true
    const propertyBytes = this.propertyField(nowMs, null, 0).length
    return utf8Length(this.topic) + 4 + propertyBytes + this.payloadLength <= REMAINING_LENGTH_MAX
  }

  /**
   * Makes the payload the message's own, in a copy of its own or in `blocks`, and the properties bytes, so that it may be held
   * beyond the turn.
   */
  keep(blocks: PayloadBlocks | null = null): this {
    const { rawProperties } = this
    if (this.#properties !== null && this.#properties !== NO_PROPERTIES) {
      if (rawProperties === null) this.#propertyField ??= encodeProperties(this.#properties, PacketType.PUBLISH)
      this.#properties = null
    }
    if (this.#borrowed) {
      const fieldBytes = rawProperties === null ? 0 : rawProperties.fieldBytes
      const start = this.payloadStart - fieldBytes
      const length = this.payloadEnd - this.payloadStart
      if (this.#holder !== null && length >= KEPT_SHARE * this.#holder.bytes.length) {
        // Nearly all of that buffer is this payload: no copy.
        this.#holder.keep()
      } else if (blocks === null) {
        this.buffer = copyOf(this.buffer, start, this.payloadEnd)
        this.payloadStart = fieldBytes
      } else {
        this.buffer = blocks.keep(this.buffer, start, this.payloadEnd)
        this.payloadStart = blocks.start + fieldBytes
      }
      this.payloadEnd = this.payloadStart + length
      this.#borrowed = false
    }
    return this
  }

  /**
   * Makes the payload last in a buffer that can be held until it has been sent, and returns that; null when the payload
   * lasts anyway. An outbox holds the buffer before it returns.
   *
   * `isWaiting`: it cannot be sent at once. Then the buffer is not much larger than the payload, so that a slow reader
   * does not hold more than is counted.
   */
  lend(buffers: PacketBuffers, isWaiting: boolean): PacketBuffer | null {
    if (!this.#borrowed) return null
    const length = this.payloadEnd - this.payloadStart
    const share = isWaiting ? KEPT_SHARE : LENT_SHARE
    if (this.#holder === null || (!this.#hasLent && length < share * this.#holder.bytes.length)) {
      // Properties that are bytes lie before the payload.
      const fieldBytes = this.rawProperties === null ? 0 : this.rawProperties.fieldBytes
      const holder = buffers.take(fieldBytes + length)
      copy(this.buffer, this.payloadStart - fieldBytes, holder.bytes, 0, fieldBytes + length)
      this.buffer = holder.bytes
      this.payloadStart = fieldBytes
      this.payloadEnd = fieldBytes + length
      this.#holder = holder
      this.#hasLent = true
    }
    return this.#holder
  }

  /** Lets go of what was lent: all who get the message have it. */
  letGo(): void {
    if (!this.#hasLent) return
    this.#hasLent = false
    this.#holder!.release()
  }

  isExpired(nowMs: number): boolean {
    return this.expiresAtMs <= nowMs
  }

  /** Property Length and properties without those that change on the way: encoded once. */
  get storedPropertyField(): Uint8Array {
    if (this.#propertyField !== null) return this.#propertyField
    const { rawProperties } = this
    const field =
      rawProperties === null
        ? encodeProperties(this.#properties!, PacketType.PUBLISH)
        : rawProperties.passedOnField(this.buffer, this.#fieldStart(rawProperties))
    // A retained message would hold both forms for good.
    if (rawProperties === null || !this.retain) this.#propertyField = field
    return field
  }

  /** Bytes of `storedPropertyField`, which is not made for this. */
  get storedPropertyBytes(): number {
    if (this.rawProperties === null) return this.storedPropertyField.length
    const bytes = this.rawProperties.passedOnBytes
    return variableByteIntegerSize(bytes) + bytes
  }

  /**
   * Whether the properties, as they came, are those of a PUBLISH to an MQTT 5.0 client that needs no others: only the
   * seconds of the Message Expiry Interval are different.
   */
  get canSendRawProperties(): boolean {
    const { rawProperties } = this
    if (rawProperties === null || rawProperties.aliasAt !== 0) return false
    return (rawProperties.expiryAt !== 0) === (this.expiresAtMs !== Number.POSITIVE_INFINITY)
  }

  /** Message Expiry Interval that is left, in seconds. A message of an import may last longer than the property can say. */
  expirySeconds(nowMs: number): number {
    return Math.min(Math.max(0, Math.ceil((this.expiresAtMs - nowMs) / 1000)), 0xffff_ffff)
  }

  /**
   * Property Length and properties of a PUBLISH to an MQTT 5.0 client. Encoded once for all recipients without
   * Subscription Identifier and Topic Alias; the Message Expiry Interval is the remaining time. [MQTT-3.3.2-6]
   */
  propertyField(nowMs: number, subscriptionIdentifiers: number[] | null, topicAlias: number): Uint8Array {
    const stored = this.storedPropertyField
    if (subscriptionIdentifiers === null && topicAlias === 0 && this.expiresAtMs === Number.POSITIVE_INFINITY)
      return stored
    const own: Properties = {}
    if (this.expiresAtMs !== Number.POSITIVE_INFINITY) own.messageExpiryIntervalSeconds = this.expirySeconds(nowMs)
    if (subscriptionIdentifiers !== null) own.subscriptionIdentifiers = subscriptionIdentifiers
    if (topicAlias !== 0) own.topicAlias = topicAlias
    return joinPropertyFields(stored, encodeProperties(own, PacketType.PUBLISH))
  }
}

/**
 * Returns the time of expiry in whole milliseconds: with fractions of one, what is left could be rounded to more than
 * there was.
 */
function expiryOf(expirySeconds: number | undefined, nowMs: number): number {
  return expirySeconds === undefined ? Number.POSITIVE_INFINITY : Math.floor(nowMs) + expirySeconds * 1000
}

function isAnyDisallowed(topic: string, properties: Properties): boolean {
  if (hasDisallowedCodePoint(topic)) return true
  if (properties === NO_PROPERTIES) return false
  const { contentType = '', responseTopic = '', userProperties = [] } = properties
  return (
    hasDisallowedCodePoint(contentType) ||
    hasDisallowedCodePoint(responseTopic) ||
    userProperties.some(([name, value]) => hasDisallowedCodePoint(name) || hasDisallowedCodePoint(value))
  )
}

/** Properties that the server must send on unaltered. [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] */
function passedOn(properties: Properties): Properties {
  if (properties === NO_PROPERTIES) return NO_PROPERTIES
  const result: Properties = {}
  let any = false
  if (properties.payloadFormatIndicator !== undefined) {
    result.payloadFormatIndicator = properties.payloadFormatIndicator
    any = true
  }
  if (properties.contentType !== undefined) {
    result.contentType = properties.contentType
    any = true
  }
  if (properties.responseTopic !== undefined) {
    result.responseTopic = properties.responseTopic
    any = true
  }
  if (properties.correlationData !== undefined) {
    result.correlationData = copyOf(properties.correlationData)
    any = true
  }
  if (properties.userProperties !== undefined) {
    result.userProperties = properties.userProperties
    any = true
  }
  return any ? result : NO_PROPERTIES
}
