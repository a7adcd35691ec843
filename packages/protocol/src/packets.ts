/**
 * The Control Packets of MQTT 3.1, 3.1.1 and 5.0: one class for each packet type; `type` is its number on the wire.
 *
 * Made by `Decoder`, written by `Encoder`. A packet is plain data without behaviour. The constructor sets every field,
 * so that all packets of a type have one shape. Fields that a protocol version does not have on the wire are
 * `NO_PROPERTIES`, 0 or `undefined` there.
 *
 * Sources: MQTT 3.1.1 and 5.0, chapter 3; MQTT 3.1, section 3.
 */
import type { PacketBuffer } from './packet-buffers.ts'
import { NO_PROPERTIES, type Properties } from './properties.ts'
import type { RawProperties } from './raw-properties.ts'
import type { ReasonCode } from './reason-codes.ts'

/** Protocol version as the number in CONNECT: 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0. */
export type ProtocolVersion = 3 | 4 | 5
export type QoS = 0 | 1 | 2

/** Control Packet types, section 2.1.2. */
export const PacketType = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
} as const

const typeNames = Object.keys(PacketType)

/** Returns the name of a packet type for people, as in `PUBLISH`; `packet type 0` for the one that is reserved. */
export function packetTypeName(type: number): string {
  return typeNames[type - 1] ?? `packet type ${type}`
}

const NO_BYTES: Uint8Array = new Uint8Array(0)

/** Will of a CONNECT packet. `properties` may hold Will Delay Interval and the properties of a PUBLISH. */
export interface Will {
  topic: string
  payload: Uint8Array
  qos: QoS
  retain: boolean
  properties: Properties
}

export interface ConnectOptions {
  protocolVersion: ProtocolVersion
  /** Clean Start of 5.0, Clean Session of 3.1 and 3.1.1. */
  cleanStart: boolean
  keepAliveSeconds: number
  clientId: string
  will?: Will | undefined
  username?: string | undefined
  password?: Uint8Array | undefined
  properties?: Properties
  /** Whether the client is a bridge of Mosquitto's kind, which sets bit 7 of the protocol level byte. */
  isBridge?: boolean
}

export class Connect {
  readonly type = 1
  protocolVersion: ProtocolVersion
  cleanStart: boolean
  keepAliveSeconds: number
  clientId: string
  will: Will | undefined
  username: string | undefined
  password: Uint8Array | undefined
  properties: Properties
  isBridge: boolean
  constructor(o: ConnectOptions) {
    this.protocolVersion = o.protocolVersion
    this.cleanStart = o.cleanStart
    this.keepAliveSeconds = o.keepAliveSeconds
    this.clientId = o.clientId
    this.will = o.will
    this.username = o.username
    this.password = o.password
    this.properties = o.properties ?? NO_PROPERTIES
    this.isBridge = o.isBridge ?? false
  }
}

/** CONNACK. `reasonCode` is the byte on the wire: a Reason Code in 5.0, a return code (0 to 5) in 3.1 and 3.1.1. */
export class Connack {
  readonly type = 2
  sessionPresent: boolean
  reasonCode: ReasonCode
  properties: Properties
  constructor(sessionPresent: boolean, reasonCode: ReasonCode, properties: Properties = NO_PROPERTIES) {
    this.sessionPresent = sessionPresent
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

/**
 * PUBLISH: an Application Message on its way.
 *
 * The payload is `buffer[payloadStart .. payloadEnd)`; `payload` makes a view of it on first use. A decoded PUBLISH
 * borrows the chunk that it arrived in: the bytes are valid until the `handle…` call that got it returns; copy them to
 * keep them. `topicField` is the Topic Name as it is on the wire (two length bytes and UTF-8) when the decoder has it
 * (it is then immutable and may be kept), else `null`. With a Topic Alias (5.0) `topic` may be '';
 * `properties.topicAlias` stays in place for the receiver to resolve.
 *
 * From a decoder with `rawProperties`, `properties` is empty when the properties are bytes (`rawProperties`), which lie
 * right before the payload; `propertiesOf` decodes them.
 */
export class Publish {
  readonly type = 3
  topic: string
  qos: QoS
  retain: boolean
  dup: boolean
  /** Packet Identifier: 1 to 65,535 at QoS 1 and 2; 0 at QoS 0. */
  packetId: number
  properties: Properties
  topicField: Uint8Array | null
  buffer: Uint8Array
  payloadStart: number
  payloadEnd: number
  rawProperties: RawProperties | null
  /** Buffer that it lies in, which can be held; null: in a chunk, or in an array of its own. */
  holder: PacketBuffer | null
  #payload: Uint8Array | null
  constructor(
    topic: string,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    properties: Properties,
    topicField: Uint8Array | null,
    buffer: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
    rawProperties: RawProperties | null = null,
  ) {
    this.topic = topic
    this.qos = qos
    this.retain = retain
    this.dup = dup
    this.packetId = packetId
    this.properties = properties
    this.topicField = topicField
    this.buffer = buffer
    this.payloadStart = payloadStart
    this.payloadEnd = payloadEnd
    this.rawProperties = rawProperties
    this.holder = null
    this.#payload = null
  }

  /** Makes a PUBLISH from named fields; for callers that are not on the hot path. */
  static of(o: {
    topic: string
    payload?: Uint8Array
    qos?: QoS
    retain?: boolean
    dup?: boolean
    packetId?: number
    properties?: Properties
  }): Publish {
    const payload = o.payload ?? NO_BYTES
    return new Publish(
      o.topic,
      o.qos ?? 0,
      o.retain ?? false,
      o.dup ?? false,
      o.packetId ?? 0,
      o.properties ?? NO_PROPERTIES,
      null,
      payload,
      0,
      payload.length,
    )
  }

  get payload(): Uint8Array {
    this.#payload ??= this.buffer.subarray(this.payloadStart, this.payloadEnd)
    return this.#payload
  }
}

/** PUBACK, whose content PUBREC, PUBREL and PUBCOMP share (3.4 to 3.7); before 5.0 only the Packet Identifier. */
export class Puback {
  readonly type = 4
  packetId: number
  reasonCode: ReasonCode
  properties: Properties
  constructor(packetId: number, reasonCode: ReasonCode = 0, properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

export class Pubrec {
  readonly type = 5
  packetId: number
  reasonCode: ReasonCode
  properties: Properties
  constructor(packetId: number, reasonCode: ReasonCode = 0, properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

/** PUBREL. `dup` exists only in 3.1, where a PUBREL that is sent again may set it. */
export class Pubrel {
  readonly type = 6
  packetId: number
  reasonCode: ReasonCode
  properties: Properties
  constructor(packetId: number, reasonCode: ReasonCode = 0, properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

export class Pubcomp {
  readonly type = 7
  packetId: number
  reasonCode: ReasonCode
  properties: Properties
  constructor(packetId: number, reasonCode: ReasonCode = 0, properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

/** One Topic Filter of a SUBSCRIBE with its Subscription Options (3.8.3.1). Before 5.0 only `qos` is on the wire. */
export interface Subscription {
  topicFilter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  /** Retain Handling. 0: send retained messages; 1: only if the subscription is new; 2: do not send them. */
  retainHandling: 0 | 1 | 2
}

export class Subscribe {
  readonly type = 8
  packetId: number
  subscriptions: Subscription[]
  properties: Properties
  constructor(packetId: number, subscriptions: Subscription[], properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.subscriptions = subscriptions
    this.properties = properties
  }
}

export class Suback {
  readonly type = 9
  packetId: number
  reasonCodes: ReasonCode[]
  properties: Properties
  constructor(packetId: number, reasonCodes: ReasonCode[], properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.reasonCodes = reasonCodes
    this.properties = properties
  }
}

export class Unsubscribe {
  readonly type = 10
  packetId: number
  topicFilters: string[]
  properties: Properties
  constructor(packetId: number, topicFilters: string[], properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.topicFilters = topicFilters
    this.properties = properties
  }
}

/**
 * UNSUBACK. Before 5.0 it has no Reason Codes on the wire: `reasonCodes` is empty when decoded, ignored when encoded.
 */
export class Unsuback {
  readonly type = 11
  packetId: number
  reasonCodes: ReasonCode[]
  properties: Properties
  constructor(packetId: number, reasonCodes: ReasonCode[], properties: Properties = NO_PROPERTIES) {
    this.packetId = packetId
    this.reasonCodes = reasonCodes
    this.properties = properties
  }
}

export class Pingreq {
  readonly type = 12
}

export class Pingresp {
  readonly type = 13
}

/** DISCONNECT. Before 5.0 it is only the fixed header, and only clients send it. */
export class Disconnect {
  readonly type = 14
  reasonCode: ReasonCode
  properties: Properties
  constructor(reasonCode: ReasonCode = 0, properties: Properties = NO_PROPERTIES) {
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

/** AUTH, only in MQTT 5.0 (3.15). */
export class Auth {
  readonly type = 15
  reasonCode: ReasonCode
  properties: Properties
  constructor(reasonCode: ReasonCode = 0, properties: Properties = NO_PROPERTIES) {
    this.reasonCode = reasonCode
    this.properties = properties
  }
}

export type Packet =
  | Connect
  | Connack
  | Publish
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Subscribe
  | Suback
  | Unsubscribe
  | Unsuback
  | Pingreq
  | Pingresp
  | Disconnect
  | Auth
