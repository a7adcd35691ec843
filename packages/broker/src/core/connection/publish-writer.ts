/**
 * PUBLISH towards one client: mount point, Topic Alias, properties and size, as this client takes them.
 *
 * `Connection` has one; every message to its client goes through `write`. The invariant: a message is written as a whole or not at all,
 * and no Topic Alias is assigned by one that is not written.
 *
 * Sources: MQTT 5.0 sections 3.3.2 and 3.1.2.11.4.
 */
import {
  encodeTopicField,
  type ProtocolVersion,
  type QoS,
  type TopicAliasSender,
  variableByteIntegerSize,
} from '@recado/protocol'
import type { DropReason } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { EMPTY_PROPERTY_FIELD, type Message } from '../base/message.ts'
import type { ConnectionSettings } from './listener-settings.ts'
import type { Outbox } from './outbox.ts'

/** A longer topic has no alias towards the client: it would be kept as long as the connection. */
const ALIASED_TOPIC_LENGTH = 1_024
const NO_TOPIC_FIELD: Uint8Array = encodeTopicField('')

/** Client that reads the written packets. */
export interface ReadingClient {
  readonly protocolVersion: ProtocolVersion
  /** A larger packet is not sent. [MQTT-3.1.2-24] */
  readonly maximumPacketSize: number
}

export class PublishWriter {
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

  /** Writes a PUBLISH. Returns false when it was not written, for the reason that `unsentReason` returns. */
  write(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    subscriptionIdentifiers: number[] | null,
  ): boolean {
    const context = this.#context
    const { protocolVersion, maximumPacketSize } = this.#client
    // A client that takes it for malformed would come back for it for ever.
    if (message.hasDisallowedCodePoint && !context.options.allowControlCharacters) return false
    let { topicField } = message
    const { mountPoint } = this.#settings
    if (mountPoint !== '') {
      // The session may have been made on another listener: the message is not visible on this one.
      if (message.topic.length <= mountPoint.length || !message.topic.startsWith(mountPoint)) return false
      topicField = encodeTopicField(message.topic.slice(mountPoint.length))
    }
    let propertyField = EMPTY_PROPERTY_FIELD
    if (protocolVersion === 5) {
      let alias = 0
      if (this.aliases !== null) {
        const assigned = message.topic.length > ALIASED_TOPIC_LENGTH ? null : this.aliases.aliasFor(message.topic)
        if (assigned !== null) {
          alias = assigned.alias
          if (!assigned.isNew) topicField = NO_TOPIC_FIELD
        }
      }
      propertyField = message.propertyField(context.turn.nowMs, subscriptionIdentifiers, alias)
    }
    if (maximumPacketSize !== Number.POSITIVE_INFINITY) {
      const remaining = topicField.length + (qos > 0 ? 2 : 0) + propertyField.length + message.payloadLength
      if (1 + variableByteIntegerSize(remaining) + remaining > maximumPacketSize) {
        if (this.aliases === null) return false
        // Without one it may fit; and the client must not miss the topic of a new alias.
        this.aliases = null
        return this.write(message, qos, retain, dup, packetId, subscriptionIdentifiers)
      }
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
