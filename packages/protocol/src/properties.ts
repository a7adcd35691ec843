/**
 * Properties of MQTT 5.0 (section 2.2.2): one table says for each its identifier, its type on the wire and in which
 * packets it may stand. Decoder, encoder and validation all run from that table.
 */
import { ReasonCode } from './reason-codes.ts'

/** All properties of MQTT 5.0 under the names of section 2.2.2.2. An absent one is not in the packet. */
export interface Properties {
  payloadFormatIndicator?: number
  messageExpiryIntervalSeconds?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  /**
   * Subscription Identifiers: a PUBLISH may carry several (3.3.2.3.8), a SUBSCRIBE one (then the array has one
   * element).
   */
  subscriptionIdentifiers?: number[]
  sessionExpiryIntervalSeconds?: number
  assignedClientIdentifier?: string
  serverKeepAliveSeconds?: number
  authenticationMethod?: string
  authenticationData?: Uint8Array
  requestProblemInformation?: boolean
  willDelayIntervalSeconds?: number
  requestResponseInformation?: boolean
  responseInformation?: string
  serverReference?: string
  reasonString?: string
  receiveMaximum?: number
  topicAliasMaximum?: number
  topicAlias?: number
  maximumQoS?: number
  retainAvailable?: boolean
  /** User Properties in the order in which they stand in the packet. */
  userProperties?: [name: string, value: string][]
  maximumPacketSize?: number
  wildcardSubscriptionAvailable?: boolean
  subscriptionIdentifierAvailable?: boolean
  sharedSubscriptionAvailable?: boolean
}

/** No properties: shared and frozen, so that a packet without any costs no allocation. Compare by identity. */
export const NO_PROPERTIES: Properties = Object.freeze({})

/** Types of a property's value on the wire, section 1.5. */
export const PropertyType = {
  Byte: 0,
  /** A Byte that is 0 or 1, as a `boolean`. */
  Boolean: 1,
  TwoByteInteger: 2,
  FourByteInteger: 3,
  VariableByteInteger: 4,
  Utf8String: 5,
  Utf8StringPair: 6,
  BinaryData: 7,
} as const

/** One row of the table. */
export interface PropertyDefinition {
  /** Property Identifier. */
  readonly id: number
  readonly name: keyof Properties
  /** One of `PropertyType`. */
  readonly type: number
  /**
   * Packets in which the property may stand: bit n is set for packet type n, bit 0 for the Will Properties of CONNECT.
   */
  readonly packets: number
  /** Whether the property may stand more than once; its value is then an array. */
  readonly repeats: boolean
  /** Least and greatest value of a number. */
  readonly minimum: number
  readonly maximum: number
  /** Reason Code for a number outside of this range. */
  readonly outOfRange: number
  /** Whether the value is a Topic Name: not empty and without wildcards. */
  readonly isTopicName: boolean
}

/** Bit of the Will Properties in `PropertyDefinition.packets`: 0, which is no packet type. */
export const WILL_PROPERTIES = 0

// Packet types as in section 2.1.2, so that this table reads like Table 2-4 of the specification.
const WILL = 1 << WILL_PROPERTIES
const CONNECT = 1 << 1
const CONNACK = 1 << 2
const PUBLISH = 1 << 3
const SUBSCRIBE = 1 << 8
const UNSUBSCRIBE = 1 << 10
const DISCONNECT = 1 << 14
const AUTH = 1 << 15
/** PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK. */
const ACKS = (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 9) | (1 << 11)

const {
  Byte,
  Boolean: TrueOrFalse,
  TwoByteInteger,
  FourByteInteger,
  VariableByteInteger,
  Utf8String,
  Utf8StringPair,
  BinaryData,
} = PropertyType

const greatest: readonly number[] = [0xff, 1, 0xffff, 0xffff_ffff, 268_435_455, 0, 0, 0]

function define(
  id: number,
  name: keyof Properties,
  type: number,
  packets: number,
  more: Partial<Pick<PropertyDefinition, 'repeats' | 'minimum' | 'maximum' | 'outOfRange' | 'isTopicName'>> = {},
): PropertyDefinition {
  return {
    id,
    name,
    type,
    packets,
    repeats: more.repeats ?? false,
    minimum: more.minimum ?? 0,
    maximum: more.maximum ?? greatest[type]!,
    outOfRange: more.outOfRange ?? ReasonCode.ProtocolError,
    isTopicName: more.isTopicName ?? false,
  }
}

/** Table 2-4 of section 2.2.2.2, in order of Property Identifiers. */
export const propertyDefinitions: readonly PropertyDefinition[] = [
  define(0x01, 'payloadFormatIndicator', Byte, PUBLISH | WILL, { maximum: 1 }),
  define(0x02, 'messageExpiryIntervalSeconds', FourByteInteger, PUBLISH | WILL),
  define(0x03, 'contentType', Utf8String, PUBLISH | WILL), // [MQTT-3.3.2-19]
  define(0x08, 'responseTopic', Utf8String, PUBLISH | WILL, { isTopicName: true }), // [MQTT-3.3.2-13] [MQTT-3.3.2-14]
  define(0x09, 'correlationData', BinaryData, PUBLISH | WILL),
  define(0x0b, 'subscriptionIdentifiers', VariableByteInteger, PUBLISH | SUBSCRIBE, { repeats: true, minimum: 1 }),
  define(0x11, 'sessionExpiryIntervalSeconds', FourByteInteger, CONNECT | CONNACK | DISCONNECT),
  define(0x12, 'assignedClientIdentifier', Utf8String, CONNACK),
  define(0x13, 'serverKeepAliveSeconds', TwoByteInteger, CONNACK),
  define(0x15, 'authenticationMethod', Utf8String, CONNECT | CONNACK | AUTH),
  define(0x16, 'authenticationData', BinaryData, CONNECT | CONNACK | AUTH),
  define(0x17, 'requestProblemInformation', TrueOrFalse, CONNECT),
  define(0x18, 'willDelayIntervalSeconds', FourByteInteger, WILL),
  define(0x19, 'requestResponseInformation', TrueOrFalse, CONNECT),
  define(0x1a, 'responseInformation', Utf8String, CONNACK),
  define(0x1c, 'serverReference', Utf8String, CONNACK | DISCONNECT),
  define(0x1f, 'reasonString', Utf8String, CONNACK | ACKS | DISCONNECT | AUTH),
  define(0x21, 'receiveMaximum', TwoByteInteger, CONNECT | CONNACK, { minimum: 1 }),
  define(0x22, 'topicAliasMaximum', TwoByteInteger, CONNECT | CONNACK),
  // Topic Alias 0 has a Reason Code of its own. [MQTT-3.3.2-8]
  define(0x23, 'topicAlias', TwoByteInteger, PUBLISH, { minimum: 1, outOfRange: ReasonCode.TopicAliasInvalid }),
  define(0x24, 'maximumQoS', Byte, CONNACK, { maximum: 1 }),
  define(0x25, 'retainAvailable', TrueOrFalse, CONNACK),
  define(
    0x26,
    'userProperties',
    Utf8StringPair,
    WILL | CONNECT | CONNACK | PUBLISH | ACKS | SUBSCRIBE | UNSUBSCRIBE | DISCONNECT | AUTH,
    { repeats: true },
  ),
  define(0x27, 'maximumPacketSize', FourByteInteger, CONNECT | CONNACK, { minimum: 1 }),
  define(0x28, 'wildcardSubscriptionAvailable', TrueOrFalse, CONNACK),
  define(0x29, 'subscriptionIdentifierAvailable', TrueOrFalse, CONNACK),
  define(0x2a, 'sharedSubscriptionAvailable', TrueOrFalse, CONNACK),
]

/** Rows by Property Identifier; undefined where there is none. */
export const propertyById: readonly (PropertyDefinition | undefined)[] = Array.from({ length: 0x2b }, (_, id) =>
  propertyDefinitions.find((definition) => definition.id === id),
)

/** Rows by the name of the property. */
export const propertyByName: ReadonlyMap<string, PropertyDefinition> = new Map(
  propertyDefinitions.map((definition) => [definition.name, definition]),
)
