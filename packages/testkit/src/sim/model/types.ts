/**
 * The input of the model: MQTT Control Packets in plain words, in the order in which they cross the edge of the broker.
 *
 * Nothing of the product is imported in this folder: a mistake that the broker and its model shared would not be found.
 * Payloads are text; properties that must be passed on unaltered are one JSON text (`passedOn`).
 */

export type QoS = 0 | 1 | 2
export type Version = 3 | 4 | 5

export interface WillMessage {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly delaySeconds: number
  readonly expirySeconds: number | null
  readonly passedOn: string
}

export interface ConnectIn {
  readonly type: 'CONNECT'
  readonly version: Version
  /** '': the broker has to choose one. */
  readonly clientId: string
  readonly cleanStart: boolean
  readonly expirySeconds: number
  readonly keepAliveSeconds: number
  readonly receiveMaximum: number
  /** Infinity: none. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  /** '': none. */
  readonly username: string
  /** Enhanced authentication. */
  readonly hasMethod: boolean
  readonly wantsProblems: boolean
  readonly wantsResponses: boolean
  readonly will: WillMessage | null
  /** The policy of the simulation refuses it with this Reason Code; 0: lets it in. */
  readonly refusal: number
}

export interface PublishPacket {
  readonly type: 'PUBLISH'
  readonly topic: string
  /** 0: none. */
  readonly topicAlias: number
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly packetId: number
  readonly expirySeconds: number | null
  readonly passedOn: string
  readonly identifiers: readonly number[]
}

export interface FilterIn {
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribeIn {
  readonly type: 'SUBSCRIBE'
  readonly packetId: number
  /** 0: none. */
  readonly identifier: number
  readonly filters: readonly FilterIn[]
}

export interface UnsubscribeIn {
  readonly type: 'UNSUBSCRIBE'
  readonly packetId: number
  readonly filters: readonly string[]
}

export interface AckPacket {
  readonly type: 'PUBACK' | 'PUBREC' | 'PUBREL' | 'PUBCOMP'
  readonly packetId: number
  readonly reasonCode: number
  /** Whether it has a Reason String or User Properties. */
  readonly hasProblems: boolean
}

export interface DisconnectPacket {
  readonly type: 'DISCONNECT'
  readonly reasonCode: number
  readonly expirySeconds: number | null
}

/** Packet from a client. VIOLATION: bytes or a packet that end the connection. */
export type InPacket =
  | ConnectIn
  | PublishPacket
  | SubscribeIn
  | UnsubscribeIn
  | AckPacket
  | DisconnectPacket
  | { readonly type: 'PINGREQ' | 'AUTH' }
  | { readonly type: 'VIOLATION'; readonly why: string }

/** Packet to a client. */
export type OutPacket =
  | {
      readonly type: 'CONNACK'
      readonly reasonCode: number
      readonly sessionPresent: boolean
      readonly assignedClientId: string | null
      readonly hasResponses: boolean
      readonly hasProblems: boolean
    }
  | PublishPacket
  | AckPacket
  | {
      readonly type: 'SUBACK' | 'UNSUBACK'
      readonly packetId: number
      readonly reasonCodes: readonly number[]
      readonly hasProblems: boolean
    }
  | DisconnectPacket
  | { readonly type: 'PINGRESP' | 'AUTH' }

/** Settings for the connections of one listener. */
export interface ListenerSettings {
  readonly receiveMaximum: number
  readonly inflightMax: number
  readonly topicAliasMaximum: number
  readonly topicAliasSendMax: number
  readonly maximumQoS: QoS
  readonly subscriptionsMax: number
  readonly sessionExpirySecondsMax: number
  /** Topic Names and Topic Filters are told with it; '': none. */
  readonly mountPoint: string
}

/** Rule by which a topic of a client is taken for another one. */
export interface Rewrite {
  readonly action: 'publish' | 'subscribe' | 'all'
  readonly from: string
  readonly to: string
}

/** Other contents of a message. */
export interface Change {
  readonly topic?: string
  readonly payload?: string
  readonly retain?: boolean
}

/** Configuration of the broker, and the rights that its hooks grant. */
export interface Settings {
  /** Whether it has a disk. */
  readonly isPersistent: boolean
  readonly overflow: 'reject' | 'drop-oldest' | 'drop-newest'
  readonly queueQoS0: boolean
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
  readonly inflightBytesMax: number
  readonly payloadBytesMax: number
  readonly retainedMessagesMax: number
  readonly retainedBytesMax: number
  readonly connectionsPerAddressMax: number
  /** Treatment of a CONNECT whose user is not the owner of the session. */
  readonly sessionOwner: 'refuse' | 'takeover' | 'off'
  readonly sessionsMax: number
  readonly connectionsMax: number
  readonly connectTimeoutMs: number
  readonly allowsEmptyClientId: boolean
  /** No Will is published before this is over after a start. */
  readonly willGraceMs: number
  readonly hasWildcards: boolean
  readonly hasShares: boolean
  readonly hasIdentifiers: boolean
  /** CONNACK has Response Information for those who ask. */
  readonly givesResponses: boolean
  /** Messages to `$delayed/…` wait for their time. */
  readonly hasDelays: boolean
  readonly delayedMessagesMax: number
  readonly delaySecondsMax: number
  /** Rules for topics of clients, in their order. */
  readonly rewrites: readonly Rewrite[]
  /** Subscriptions that the broker makes for each client; `%c` and `%u` stand for its names. */
  readonly autoSubscriptions: readonly FilterIn[]
  /** Births of Sparkplug are kept. */
  readonly isSparkplugAware: boolean
  /** The policy is asked about subscriptions. */
  readonly asksSubscriptions: boolean
  /** Rights to have published a Will or a retained message are asked about when it is sent. */
  readonly asksSources: boolean
  readonly listeners: readonly ListenerSettings[]
  /** No problem information, and whoever publishes is told that nobody matches at QoS 1 only. */
  readonly answersAsMosquitto: boolean
  mayPublish(clientId: string, username: string, topic: string): boolean
  /** Change that the embedding program makes to a message; a number is the Reason Code for its publisher when nobody gets it. */
  changeOf(payload: string): Change | number | null
  maySubscribe(clientId: string, username: string, topicFilter: string): boolean
}

/** Broken promise, with its description. */
export interface Violation {
  readonly checker: Checker
  readonly text: string
  readonly atMs: number
}

/** The promises. */
export const checkers = [
  'no loss',
  'exactly once',
  'order',
  'only to whom it is due',
  'content',
  'wills',
  'delayed',
  'retained',
  'expiry',
  'packet ids',
  'receive maximum',
  'acknowledgements',
  'sessions',
  'closing',
  'bounds',
  'no dangling state',
  'drops',
  'end to end',
  'internal',
] as const
export type Checker = (typeof checkers)[number]

/** Says what is wrong with a packet. */
export type Failed = (checker: Checker, why: string) => void
