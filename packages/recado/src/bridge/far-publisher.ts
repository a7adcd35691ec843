/**
 * PUBLISH packets to the remote broker: topic, properties, size and rate, as this remote broker takes them.
 *
 * `BridgeLink` makes one when the remote broker has accepted. Invariants: a message is sent as a whole or not at all,
 * and no Topic Alias is given by one that is not sent; a message that the remote broker would refuse, or end the
 * connection for, is kept back and named; a message in a batch is acknowledged to the session here when the batch is.
 */
import type { DropReason, Relay, RelayedMessage } from '@recado/broker'
import type { Connection, Environment, Timer } from '@recado/client/low-level'
import { encodeTopicField, PacketType, type QoS, TopicAliasSender, variableByteIntegerSize } from '@recado/protocol'
import type { BridgeConfig } from '../config/bridges.ts'
import { Batch, type ReadyBatch } from './batch.ts'
import { type Cloud, messageRefusal, refusalText } from './clouds/cloud.ts'
import { findCloud } from './clouds/clouds.ts'
import type { EchoWatch } from './echo-watch.ts'
import type { FarLineage } from './far-lineage.ts'
import type { LineRoom } from './line-room.ts'
import type { PathWriter } from './path-writer.ts'
import { RateGate } from './rate-gate.ts'
import type { TopicMap } from './topic-map.ts'

/** Payloads from this size are not copied by the connection, so they must be the message's own. */
const BY_REFERENCE_BYTES = 16 * 1024
/** A longer topic has no alias: it would be kept as long as the connection. */
const ALIASED_TOPIC_LENGTH = 1_024
const NO_TOPIC_FIELD: Uint8Array = encodeTopicField('')
const NO_PROPERTY_FIELD: Uint8Array = new Uint8Array(1)

export interface PublisherParts {
  readonly config: BridgeConfig
  readonly relay: Relay
  readonly topics: TopicMap
  readonly lineage: FarLineage
  readonly environment: Environment
  readonly connection: Connection
  readonly room: LineRoom
  /** Limits that the remote broker has told, and those of the configuration. */
  readonly maximumPacketSize: number
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly topicAliasMaximum: number
  /** Messages that may be outstanding. */
  readonly receiveMaximum: number
  /** Writer of the path of messages; null before MQTT 5.0, or when it is off. */
  readonly path: PathWriter | null
  /** Watch for loops where there are no paths; null where there are. */
  readonly echoes: EchoWatch | null
  /** Called with the reason in words for a message that this cloud would refuse. */
  readonly refused: (topic: string, why: string) => void
}

/** Owner of the Packet Identifier of a batch: the identifiers of its messages, 0 for QoS 0. */
export class SentBatch {
  readonly topicFilter = ''
  readonly members: readonly number[]

  constructor(members: readonly number[]) {
    this.members = members
  }
}

export class FarPublisher {
  readonly #parts: PublisherParts
  readonly #cloud: Cloud | null
  readonly #rate: RateGate | null
  readonly #batch: Batch<number> | null
  readonly #batchTopic: Uint8Array
  /** Topic Aliases that the remote broker has granted; null for none. */
  #aliases: TopicAliasSender | null
  /** QoS 2 messages that went out at QoS 1, which is the remote broker's Maximum QoS. */
  readonly #lowered: Set<number> = new Set()
  /** Messages of QoS 1 and 2 that went out at QoS 0: they are done with at the end of the turn. */
  #unanswered: number[] = []
  #batchesOut = 0
  /** Whether the notification that the bridge is connected waits for its PUBACK. */
  isNoticeOut = false
  /** Timer until the rate allows the next message. */
  #rateTimer: Timer | null = null
  /** Timer until the batch must go. */
  #batchTimer: Timer | null = null
  /** Time of the last message, on the clock of `Environment.now`. */
  lastMessageMs: number

  constructor(parts: PublisherParts) {
    const { config, environment, topicAliasMaximum } = parts
    this.#parts = parts
    this.#cloud = config.cloud === null ? null : findCloud(config.cloud)
    this.#rate = config.ratePerSecond > 0 ? new RateGate(config.ratePerSecond, environment.now()) : null
    this.#batch = config.batch === null ? null : new Batch(config.batch)
    this.#batchTopic = encodeTopicField(config.batch?.topic ?? '')
    this.#aliases = topicAliasMaximum > 0 ? new TopicAliasSender(topicAliasMaximum) : null
    this.lastMessageMs = environment.now()
  }

  /** Ends it: nothing is sent any more. What is in a batch is still in flight in the session here. */
  end(): void {
    const { environment } = this.#parts
    if (this.#rateTimer !== null) environment.clearTimer(this.#rateTimer)
    if (this.#batchTimer !== null) environment.clearTimer(this.#batchTimer)
    this.#batch?.clear()
  }

  makeRoom(): boolean {
    const { connection, receiveMaximum, room, environment } = this.#parts
    // Without room QoS 0 is dropped, and other messages wait.
    if (connection.blocked && !room.hasRoom(connection.blockedBytes, environment.now())) return false
    if (this.#batch !== null && this.#batchesOut + (this.isNoticeOut ? 1 : 0) >= receiveMaximum) return false
    return this.#rate === null || this.#isTime(this.#rate)
  }

  #isTime(rate: RateGate): boolean {
    const { environment, relay } = this.#parts
    const waitMs = rate.waitMs(environment.now())
    if (waitMs === 0) return true
    this.#rateTimer ??= environment.setTimer(() => {
      this.#rateTimer = null
      relay.handleDrain()
    }, waitMs)
    return false
  }

  /** Sends a message. Returns the reason why it was not sent; null when it was, or will be with its batch. */
  publish(message: RelayedMessage, qos: QoS, retain: boolean, dup: boolean, packetId: number): DropReason | null {
    const { topics, config, environment, echoes, retainAvailable } = this.#parts
    const remote = topics.remote(message.topic)
    if (remote === null) return 'not-authorized'
    if (echoes !== null && topics.local(remote.topic) !== null) {
      if (!echoes.sent(message.topic, message.payload, environment.now())) return 'loop'
    }
    const keepsRetain = retain && config.outgoingRetain && retainAvailable
    if (this.#batch !== null) {
      const { topic } = remote
      const { payload } = message
      const ready = this.#batch.add(packetId, { topic, payload, qos, retain: keepsRetain }, environment.now())
      for (const batch of ready) this.#sendBatch(batch)
      this.#watchBatch(this.#batch)
      return null
    }
    if (this.#cloud !== null) {
      const refusal = messageRefusal(this.#cloud, remote.topic, message.payloadLength, keepsRetain)
      if (refusal !== null) {
        this.#parts.refused(remote.topic, refusalText(this.#cloud, refusal, remote.topic))
        return 'refused-by-remote'
      }
    }
    return this.#send(message, remote.topic, remote.field, qos, keepsRetain, dup, packetId)
  }

  #send(
    message: RelayedMessage,
    topic: string,
    field: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
  ): DropReason | null {
    const { relay, lineage, connection, path, maximumQoS, maximumPacketSize } = this.#parts
    let topicField = field
    let propertyField = NO_PROPERTY_FIELD
    let propertyBytes = 0
    let alias = 0
    if (connection.protocolVersion === 5) {
      if (this.#aliases !== null && topic.length <= ALIASED_TOPIC_LENGTH) {
        const given = this.#aliases.aliasFor(topic)!
        alias = given.alias
        if (!given.isNew) topicField = NO_TOPIC_FIELD
      }
      const { nowMs } = relay
      const own = path === null ? message.propertyField(nowMs, null, alias) : path.field(message, topic, nowMs, alias)
      if (own === null) {
        // An alias that was given for it has not gone out.
        this.#aliases = null
        return 'loop'
      }
      propertyField = own
      propertyBytes = own.length
    }
    const sentQoS = qos > maximumQoS ? maximumQoS : qos
    const remaining = topicField.length + (sentQoS > 0 ? 2 : 0) + propertyBytes + message.payloadLength
    if (1 + variableByteIntegerSize(remaining) + remaining > maximumPacketSize) {
      if (alias === 0) return 'packet-too-large'
      // The remote broker must not miss the topic of a new alias; and without one the packet may fit.
      this.#aliases = null
      return this.#send(message, topic, field, qos, retain, dup, packetId)
    }
    if (sentQoS === 2 && lineage.mustRelease(packetId)) connection.sendAck(PacketType.PUBREL, packetId)
    if (message.payloadLength >= BY_REFERENCE_BYTES) message.keep()
    const sentId = sentQoS === 0 ? 0 : packetId
    const isDup = dup && sentQoS > 0
    connection.sendPublish(topicField, sentQoS, retain, isDup, sentId, propertyField, message.payload)
    this.#sent()
    if (sentQoS !== qos) {
      if (sentQoS === 0) this.#unanswered.push(packetId)
      else this.#lowered.add(packetId)
    }
    return null
  }

  #sent(): void {
    const nowMs = this.#parts.environment.now()
    this.lastMessageMs = nowMs
    this.#rate?.take(nowMs)
  }

  // --- batches ------------------------------------------------------------------------------------------------------

  #watchBatch(batch: Batch<number>): void {
    const { environment, connection } = this.#parts
    const { dueAtMs } = batch
    if (dueAtMs === null || this.#batchTimer !== null) return
    this.#batchTimer = environment.setTimer(
      () => {
        this.#batchTimer = null
        const due = batch.takeDue(environment.now())
        if (due !== null) this.#sendBatch(due)
        connection.flush()
        this.#watchBatch(batch)
      },
      Math.max(1, Math.ceil(dueAtMs - environment.now())),
    )
  }

  #sendBatch({ members, payload }: ReadyBatch<number>): void {
    const { relay, connection, maximumQoS } = this.#parts
    const qos: QoS = maximumQoS === 0 ? 0 : 1
    const packetId = qos === 0 ? 0 : relay.takePacketId(new SentBatch(members))
    connection.sendPublish(this.#batchTopic, qos, false, false, packetId, NO_PROPERTY_FIELD, payload)
    this.#sent()
    if (qos > 0) this.#batchesOut++
    else for (const member of members) if (member > 0) this.#unanswered.push(member)
  }

  /** Handles the PUBACK of a batch. */
  batchAnswered({ members }: SentBatch, reasonCode: number): void {
    const { relay } = this.#parts
    this.#batchesOut--
    for (const member of members) {
      if (member === 0) continue
      if (reasonCode >= 0x80) relay.handlePuback(member, reasonCode)
      else relay.complete(member)
    }
    relay.handleDrain()
  }

  // --- messages of a lower QoS --------------------------------------------------------------------------------------

  /** Handles a PUBACK for a message that had to go out at QoS 1 instead of 2. Returns false for another one. */
  takeLowered(packetId: number, reasonCode: number): boolean {
    if (this.#lowered.size === 0 || !this.#lowered.has(packetId)) return false
    if (reasonCode >= 0x80) this.#lowered.delete(packetId)
    this.#parts.relay.handlePubrec(packetId, reasonCode)
    return true
  }

  sendPubrel(packetId: number): void {
    const { connection, maximumQoS } = this.#parts
    if (maximumQoS < 2) {
      // The remote broker knows nothing of QoS 2: it has the message.
      this.#lowered.delete(packetId)
      this.#unanswered.push(packetId)
      return
    }
    connection.sendAck(PacketType.PUBREL, packetId)
  }

  /** Ends the flows of messages that the remote broker does not answer. Returns how many these were. */
  answer(): number {
    if (this.#unanswered.length === 0) return 0
    const unanswered = this.#unanswered
    this.#unanswered = []
    for (const packetId of unanswered) this.#parts.relay.complete(packetId)
    return unanswered.length
  }
}
