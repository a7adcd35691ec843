/** Packets of @recado/protocol in the words of the model, which knows nothing of that package. */
import {
  type Packet,
  PacketType,
  type Properties,
  type Puback,
  type Pubcomp,
  type Publish,
  type Pubrec,
  type Pubrel,
  packetTypeName,
  type Will,
} from '@recado/protocol'
import { textOf } from './model/payload.ts'
import { type Names, rewrittenFilter, rewrittenTopic } from './model/rewrites.ts'
import { mountedFilter } from './model/topics.ts'
import type { AckPacket, InPacket, OutPacket, PublishPacket, Settings, WillMessage } from './model/types.ts'

/** Properties that must be passed on unaltered, in an order of our own. */
export function passedOn(properties: Properties): string {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties
  if (
    payloadFormatIndicator === undefined &&
    contentType === undefined &&
    responseTopic === undefined &&
    correlationData === undefined &&
    userProperties === undefined
  ) {
    return ''
  }
  return JSON.stringify({
    payloadFormatIndicator,
    contentType,
    responseTopic,
    correlationData: correlationData === undefined ? undefined : textOf(correlationData),
    userProperties,
  })
}

function publishOf(packet: Publish): PublishPacket {
  const { topic, qos, retain, dup, packetId, properties } = packet
  return {
    type: 'PUBLISH',
    topic,
    topicAlias: properties.topicAlias ?? 0,
    payload: textOf(packet.payload),
    qos,
    retain,
    dup,
    packetId,
    expirySeconds: properties.messageExpiryIntervalSeconds ?? null,
    passedOn: passedOn(properties),
    identifiers: properties.subscriptionIdentifiers ?? [],
  }
}

export function willOf({ topic, payload, qos, retain, properties }: Will): WillMessage {
  return {
    topic,
    payload: textOf(payload),
    qos,
    retain,
    delaySeconds: properties.willDelayIntervalSeconds ?? 0,
    expirySeconds: properties.messageExpiryIntervalSeconds ?? null,
    passedOn: passedOn(properties),
  }
}

function hasProblems({ reasonString, userProperties }: Properties): boolean {
  return reasonString !== undefined || userProperties !== undefined
}

function ackOf({ type, packetId, reasonCode, properties }: Puback | Pubrec | Pubrel | Pubcomp): AckPacket {
  return { type: ACK_NAMES[type], packetId, reasonCode, hasProblems: hasProblems(properties) }
}

/** With the mount point before its topics: as the broker knows it. */
export function mounted<T extends InPacket | OutPacket>(packet: T, mountPoint: string): T {
  if (mountPoint === '') return packet
  switch (packet.type) {
    case 'PUBLISH':
      return packet.topic === '' ? packet : { ...packet, topic: mountPoint + packet.topic }
    case 'CONNECT':
      return packet.will === null
        ? packet
        : { ...packet, will: { ...packet.will, topic: mountPoint + packet.will.topic } }
    case 'SUBSCRIBE':
      return {
        ...packet,
        filters: packet.filters.map((each) => ({ ...each, topicFilter: mountedFilter(mountPoint, each.topicFilter) })),
      }
    case 'UNSUBSCRIBE':
      return { ...packet, filters: packet.filters.map((each) => mountedFilter(mountPoint, each)) }
    default:
      return packet
  }
}

/** With its topics as the broker takes them by its rules, below no mount point yet. */
export function rewritten(packet: InPacket, { rewrites, hasDelays }: Settings, names: Names): InPacket {
  if (rewrites.length === 0) return packet
  const topicOf = (topic: string): string => (topic === '' ? topic : rewrittenTopic(rewrites, topic, names, hasDelays))
  const filterOf = (topicFilter: string): string => rewrittenFilter(rewrites, topicFilter, names)
  switch (packet.type) {
    case 'PUBLISH':
      return { ...packet, topic: topicOf(packet.topic) }
    case 'CONNECT':
      return packet.will === null ? packet : { ...packet, will: { ...packet.will, topic: topicOf(packet.will.topic) } }
    case 'SUBSCRIBE':
      return {
        ...packet,
        filters: packet.filters.map((each) => ({ ...each, topicFilter: filterOf(each.topicFilter) })),
      }
    case 'UNSUBSCRIBE':
      return { ...packet, filters: packet.filters.map(filterOf) }
    default:
      return packet
  }
}

const ACK_NAMES = { 4: 'PUBACK', 5: 'PUBREC', 6: 'PUBREL', 7: 'PUBCOMP' } as const

/** A packet from a client. Whether the policy refuses a CONNECT is not known yet. */
export function incoming(packet: Packet): InPacket {
  switch (packet.type) {
    case PacketType.CONNECT: {
      const { protocolVersion: version, clientId, cleanStart, keepAliveSeconds, properties } = packet
      const will = packet.will === undefined ? null : willOf(packet.will)
      const hasMethod = properties.authenticationMethod !== undefined
      // Beside AUTH packets it counts for nothing.
      const username = hasMethod ? '' : (packet.username ?? '')
      return {
        type: 'CONNECT',
        version,
        clientId,
        cleanStart,
        expirySeconds: version === 5 ? (properties.sessionExpiryIntervalSeconds ?? 0) : cleanStart ? 0 : 0xffff_ffff,
        keepAliveSeconds,
        receiveMaximum: properties.receiveMaximum ?? 65_535,
        maximumPacketSize: properties.maximumPacketSize ?? Number.POSITIVE_INFINITY,
        topicAliasMaximum: properties.topicAliasMaximum ?? 0,
        username,
        hasMethod,
        wantsProblems: properties.requestProblemInformation ?? true,
        wantsResponses: properties.requestResponseInformation ?? false,
        will,
        refusal: 0,
      }
    }
    case PacketType.PUBLISH:
      return publishOf(packet)
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return ackOf(packet)
    case PacketType.SUBSCRIBE:
      return {
        type: 'SUBSCRIBE',
        packetId: packet.packetId,
        identifier: packet.properties.subscriptionIdentifiers?.[0] ?? 0,
        filters: packet.subscriptions,
      }
    case PacketType.UNSUBSCRIBE:
      return { type: 'UNSUBSCRIBE', packetId: packet.packetId, filters: packet.topicFilters }
    case PacketType.PINGREQ:
      return { type: 'PINGREQ' }
    case PacketType.DISCONNECT:
      return {
        type: 'DISCONNECT',
        reasonCode: packet.reasonCode,
        expirySeconds: packet.properties.sessionExpiryIntervalSeconds ?? null,
      }
    case PacketType.AUTH:
      return { type: 'AUTH' }
    default:
      return { type: 'VIOLATION', why: `${packetTypeName(packet.type)} must not be sent to a server` }
  }
}

export function outgoing(packet: Packet): OutPacket {
  switch (packet.type) {
    case PacketType.CONNACK:
      return {
        type: 'CONNACK',
        reasonCode: packet.reasonCode,
        sessionPresent: packet.sessionPresent,
        assignedClientId: packet.properties.assignedClientIdentifier ?? null,
        hasResponses: packet.properties.responseInformation !== undefined,
        hasProblems: hasProblems(packet.properties),
      }
    case PacketType.PUBLISH:
      return publishOf(packet)
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return ackOf(packet)
    case PacketType.SUBACK:
    case PacketType.UNSUBACK: {
      const { packetId, reasonCodes, properties } = packet
      const type = packet.type === PacketType.SUBACK ? 'SUBACK' : 'UNSUBACK'
      return { type, packetId, reasonCodes, hasProblems: hasProblems(properties) }
    }
    case PacketType.PINGRESP:
      return { type: 'PINGRESP' }
    case PacketType.AUTH:
      return { type: 'AUTH' }
    case PacketType.DISCONNECT:
      return { type: 'DISCONNECT', reasonCode: packet.reasonCode, expirySeconds: null }
    default:
      throw new Error(`the broker sends packet type ${packet.type}`)
  }
}

/** One line of a trace. */
export function lineOf(packet: InPacket | OutPacket): string {
  const { type, ...rest } = packet
  const fields: string[] = []
  for (const [name, value] of Object.entries(rest)) {
    if (value === null || value === false || value === 0 || value === '' || value === Number.POSITIVE_INFINITY) continue
    if (Array.isArray(value) && value.length === 0) continue
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    fields.push(`${name}=${text.length > 90 ? `${text.slice(0, 60)}…(${text.length})` : text}`)
  }
  return `${type} ${fields.join(' ')}`.trimEnd()
}
