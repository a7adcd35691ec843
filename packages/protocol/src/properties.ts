/**
 * Properties of MQTT 5.0 (section 2.2.2): one table says for each its identifier, its type on the wire and in which
 * packets it may stand. Decoder, encoder and validation all run from that table.
 */

/** All properties of MQTT 5.0 under the names of section 2.2.2.2. Absent means: not in the packet. */
export interface Properties {
  payloadFormatIndicator?: number
  messageExpiryIntervalSeconds?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  /** A PUBLISH may carry several (3.3.2.3.8), a SUBSCRIBE one (then the array has one element). */
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
  /** In the order in which they stood in the packet. */
  userProperties?: [name: string, value: string][]
  maximumPacketSize?: number
  wildcardSubscriptionAvailable?: boolean
  subscriptionIdentifierAvailable?: boolean
  sharedSubscriptionAvailable?: boolean
}

/** No properties: shared and frozen, so that a packet without any costs no allocation. Compare by identity. */
export const NO_PROPERTIES: Properties = Object.freeze({})
