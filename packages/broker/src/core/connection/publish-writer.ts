/**
 * PUBLISH towards one client: mount point, Topic Alias, properties and size, as this client takes them.
 *
 * `Connection` has one; every message to its client goes through `write`. The invariant: a message is written as a whole or not at all,
 * and no Topic Alias is assigned by one that is not written.
 *
 * Sources: MQTT 5.0 sections 3.3.2 and 3.1.2.11.4.
 */
import { encodeTopicField, type QoS, type TopicAliasSender, variableByteIntegerSize } from '@recado/protocol'
import type { DropReason } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { EMPTY_PROPERTY_FIELD, type Message, REMAINING_LENGTH_MAX } from '../base/message.ts'
import type { MessageWriter } from '../session/outlet.ts'
import type { ConnectionSettings } from './listener-settings.ts'
import type { Outbox } from './outbox.ts'
import { type TracedConnection, tracePublishSent } from './packet-trace.ts'

/** A longer topic has no alias towards the client: it would be kept as long as the connection. */
const ALIASED_TOPIC_LENGTH = 1_024
const NO_TOPIC_FIELD: Uint8Array = encodeTopicField('')
/** Largest payload that fits into a packet before MQTT 5.0 with the longest Topic Name, 65,535 bytes. */
const SURE_PAYLOAD_BYTES = REMAINING_LENGTH_MAX - 65_535 - 4

/** The client that reads what is written. */
export interface ReadingClient extends TracedConnection {
  /** A larger packet is not sent [MQTT-3.1.2-24]; Infinity before MQTT 5.0. */
  readonly maximumPacketSize: number
}

export class PublishWriter implements MessageWriter {
  readonly #client: ReadingClient
  readonly #context: Context
  readonly #settings: ConnectionSettings
  readonly #outbox: Outbox
  /** Topic Aliases that the client has granted; null for none. */
  aliases: TopicAliasSender | null = null

  constructor(client: ReadingClient, context: Context, settings: ConnectionSettings, outbox: Outbox) {
    this.#client = client
    this.#context = context
    this.#settings = settings
    this.#outbox = outbox
  }

  write(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    subscriptionIdentifiers: number[] | null,
  ): boolean {
    const context = this.#context
    const client = this.#client
    // A client that takes it for malformed would come back for it for ever.
    if (message.hasDisallowedCodePoint && !context.options.allowControlCharacters) return false
    const { protocolVersion } = client
    if (protocolVersion === 5 || this.#settings.mountPoint !== '') {
      if (!this.#writeOther(message, qos, retain, dup, packetId, subscriptionIdentifiers)) return false
    } else {
      if (message.payloadLength > SURE_PAYLOAD_BYTES && !fits(message)) return false
      this.#outbox.publish(
        message,
        protocolVersion,
        message.topicField,
        qos,
        retain,
        dup,
        packetId,
        EMPTY_PROPERTY_FIELD,
      )
    }
    if (message.isWatched) context.watching?.watch.delivered(client, message)
    if (context.isTracing) tracePublishSent(client, message, qos, retain, dup, packetId)
    return true
  }

  /** Writes what is not the same for every client: properties, a Topic Alias, a Topic Name without the mount point. */
  #writeOther(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    subscriptionIdentifiers: number[] | null,
  ): boolean {
    const { protocolVersion, maximumPacketSize } = this.#client
    const { mountPoint } = this.#settings
    let topicField = mountPoint === '' ? message.topicField : fieldBelow(mountPoint, message.topic)
    if (topicField === null) return false
    const { nowMs } = this.#context.turn
    let alias = 0
    if (protocolVersion === 5 && this.aliases !== null) {
      const assigned = message.topic.length > ALIASED_TOPIC_LENGTH ? null : this.aliases.aliasFor(message.topic)
      if (assigned !== null) {
        alias = assigned.alias
        if (!assigned.isNew) topicField = NO_TOPIC_FIELD
      }
    }
    const isRaw =
      protocolVersion === 5 && alias === 0 && subscriptionIdentifiers === null && message.canSendRawProperties
    let propertyField = EMPTY_PROPERTY_FIELD
    let propertyBytes = 0
    if (isRaw) propertyBytes = message.rawProperties!.fieldBytes
    else if (protocolVersion === 5) {
      propertyField = message.propertyField(nowMs, subscriptionIdentifiers, alias)
      propertyBytes = propertyField.length
    }
    const remaining = topicField.length + (qos > 0 ? 2 : 0) + propertyBytes + message.payloadLength
    if (
      remaining > REMAINING_LENGTH_MAX ||
      (maximumPacketSize !== Number.POSITIVE_INFINITY &&
        1 + variableByteIntegerSize(remaining) + remaining > maximumPacketSize)
    ) {
      if (this.aliases === null) return false
      // Without one it may fit; and the client must not miss the topic of a new alias.
      this.aliases = null
      return this.#writeOther(message, qos, retain, dup, packetId, subscriptionIdentifiers)
    }
    if (isRaw) {
      if (this.#outbox.publishRaw(message, topicField, qos, retain, dup, packetId, nowMs)) return true
      propertyField = message.propertyField(nowMs, null, 0)
    }
    this.#outbox.publish(message, protocolVersion, topicField, qos, retain, dup, packetId, propertyField)
    return true
  }

  /** Reason why `write` has not written this message. */
  unsentReason(message: Message): DropReason {
    const isDisallowed = message.hasDisallowedCodePoint && !this.#context.options.allowControlCharacters
    return isDisallowed ? 'disallowed-code-point' : 'packet-too-large'
  }
}

/** Whether the message fits into a packet before MQTT 5.0. */
function fits({ topicField, payloadLength }: Message): boolean {
  return topicField.length + 2 + payloadLength <= REMAINING_LENGTH_MAX
}

/** The Topic Name as a client below a mount point knows it; null: of a session that was made on another listener, say, and not for its eyes. */
function fieldBelow(mountPoint: string, topic: string): Uint8Array | null {
  if (topic.length <= mountPoint.length || !topic.startsWith(mountPoint)) return null
  return encodeTopicField(topic.slice(mountPoint.length))
}
