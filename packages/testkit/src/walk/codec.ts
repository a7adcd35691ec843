/**
 * A codec of its own for the random walk: writes the packets of a client, reads those of a server, and refuses all that
 * a server must not send.
 *
 * Written from the OASIS texts and deliberately without any part of `@recado/protocol`: a mistake there must not hide
 * behind the same mistake here. `Reader` throws `Malformed` with one line that describes the fault.
 *
 * Sources: MQTT 5.0 chapters 2 and 3; MQTT 3.1.1 chapters 2 and 3.
 */

export type Version = 3 | 4 | 5

export const Kind = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
} as const

/** Error: a server has sent a packet that no server may send. */
export class Malformed extends Error {}

/** Property identifiers that the walk writes or reads (5.0 section 2.2.2.2). */
export const Property = {
  PayloadFormat: 0x01,
  MessageExpiry: 0x02,
  ContentType: 0x03,
  ResponseTopic: 0x08,
  CorrelationData: 0x09,
  SubscriptionIdentifier: 0x0b,
  SessionExpiry: 0x11,
  AssignedClientId: 0x12,
  ServerKeepAlive: 0x13,
  WillDelay: 0x18,
  ReceiveMaximum: 0x21,
  TopicAliasMaximum: 0x22,
  TopicAlias: 0x23,
  MaximumQoS: 0x24,
  RetainAvailable: 0x25,
  UserProperty: 0x26,
  MaximumPacketSize: 0x27,
} as const

/** Reason String and User Properties explain any answer. */
const ANSWERS: readonly number[] = [
  Kind.Connack,
  Kind.Puback,
  Kind.Pubrec,
  Kind.Pubrel,
  Kind.Pubcomp,
  Kind.Suback,
  Kind.Unsuback,
  Kind.Disconnect,
]

/** Type of each property, and the packets of a server that may carry it. */
const servers: Readonly<Record<number, readonly [type: string, ...kinds: number[]]>> = {
  1: ['bit', Kind.Publish],
  2: ['u32', Kind.Publish],
  3: ['text', Kind.Publish],
  8: ['text', Kind.Publish],
  9: ['bytes', Kind.Publish],
  11: ['varint', Kind.Publish],
  17: ['u32', Kind.Connack],
  18: ['text', Kind.Connack],
  19: ['u16', Kind.Connack],
  21: ['text', Kind.Connack],
  22: ['bytes', Kind.Connack],
  26: ['text', Kind.Connack],
  28: ['text', Kind.Connack, Kind.Disconnect],
  31: ['text', ...ANSWERS],
  33: ['u16+', Kind.Connack],
  34: ['u16', Kind.Connack],
  35: ['u16+', Kind.Publish],
  36: ['bit', Kind.Connack],
  37: ['bit', Kind.Connack],
  38: ['pair', Kind.Publish, ...ANSWERS],
  39: ['u32+', Kind.Connack],
  40: ['bit', Kind.Connack],
  41: ['bit', Kind.Connack],
  42: ['bit', Kind.Connack],
}

/** Reason codes that a server may send, by packet (5.0 section 2.4); of 3.1.1 those of CONNACK and SUBACK. */
const codes: Readonly<Record<number, readonly number[]>> = {
  [Kind.Connack]: [
    0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
    0x9d, 0x9f,
  ],
  [Kind.Puback]: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [Kind.Pubrec]: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [Kind.Pubrel]: [0, 0x92],
  [Kind.Pubcomp]: [0, 0x92],
  [Kind.Suback]: [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
  [Kind.Unsuback]: [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
  [Kind.Disconnect]: [
    0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ],
}

export type PropertyValue = number | string | Uint8Array | readonly [string, string]
export type Properties = readonly (readonly [id: number, value: PropertyValue])[]

/** Any packet of a server; fields that its kind does not have are 0, empty or false. */
export interface Packet {
  readonly kind: number
  /** First byte: kind and flags. */
  readonly first: number
  /** Size of the whole packet in bytes, fixed header included. */
  readonly size: number
  readonly packetId: number
  readonly reasonCode: number
  /** Reason Codes of SUBACK and UNSUBACK. */
  readonly reasonCodes: readonly number[]
  readonly sessionPresent: boolean
  readonly dup: boolean
  readonly qos: number
  readonly retain: boolean
  readonly topic: string
  readonly payload: Uint8Array
  readonly properties: Properties
}

/** Packet with the initial value of every field. */
export const NOTHING: Packet = {
  kind: 0,
  first: 0,
  size: 0,
  packetId: 0,
  reasonCode: 0,
  reasonCodes: [],
  sessionPresent: false,
  dup: false,
  qos: 0,
  retain: false,
  topic: '',
  payload: new Uint8Array(0),
  properties: [],
}

export function propertyOf(properties: Properties, id: number): PropertyValue | undefined {
  return properties.find(([other]) => other === id)?.[1]
}

export function numberOf(properties: Properties, id: number, otherwise: number): number {
  const value = propertyOf(properties, id)
  return typeof value === 'number' ? value : otherwise
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Body of one packet, read from left to right. */
class Body {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  take(count: number): Buffer {
    if (count > this.left) throw new Malformed(`${count} bytes are wanted where ${this.left} are left`)
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  u8(): number {
    return this.take(1)[0]!
  }

  u16(): number {
    return this.take(2).readUInt16BE()
  }

  u32(): number {
    return this.take(4).readUInt32BE()
  }

  packetId(): number {
    const id = this.u16()
    if (id === 0) throw new Malformed('a Packet Identifier of 0')
    return id
  }

  varint(): number {
    let value = 0
    for (let i = 0; i < 4; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * 128 ** i
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw new Malformed('a Variable Byte Integer that is longer than it must be')
        return value
      }
    }
    throw new Malformed('a Variable Byte Integer of more than four bytes')
  }

  text(): string {
    let text: string
    try {
      text = decoder.decode(this.take(this.u16()))
    } catch (error) {
      if (error instanceof Malformed) throw error
      throw new Malformed('a string that is not UTF-8')
    }
    if (text.includes('\0')) throw new Malformed('a string with U+0000')
    return text
  }

  properties(kind: number): Properties {
    const inner = new Body(this.take(this.varint()))
    const found: [number, PropertyValue][] = []
    while (inner.left > 0) {
      const id = inner.varint()
      const [type, ...kinds] = servers[id] ?? ['none']
      if (!kinds.includes(kind)) throw new Malformed(`property ${id} in a packet of type ${kind}`)
      const isRepeatable =
        id === Property.UserProperty || (id === Property.SubscriptionIdentifier && kind === Kind.Publish)
      if (!isRepeatable && found.some(([other]) => other === id)) throw new Malformed(`property ${id} twice`)
      found.push([id, inner.property(id, type)])
    }
    return found
  }

  property(id: number, type: string): PropertyValue {
    if (type === 'text') return this.text()
    if (type === 'bytes') return this.take(this.u16())
    if (type === 'pair') return [this.text(), this.text()]
    const value =
      type === 'bit' ? this.u8() : type === 'varint' ? this.varint() : type.startsWith('u32') ? this.u32() : this.u16()
    if (type === 'bit' && value > 1) throw new Malformed(`property ${id} is ${value}`)
    if ((type.endsWith('+') || type === 'varint') && value === 0) throw new Malformed(`property ${id} is 0`)
    return value
  }
}

/** Reader of packets: takes chunks as they come; throws `Malformed` once and cannot be used afterwards. */
export class Reader {
  readonly #version: Version
  readonly #onPacket: (packet: Packet) => void
  #bytes: Buffer = Buffer.alloc(0)

  constructor(version: Version, onPacket: (packet: Packet) => void) {
    this.#version = version
    this.#onPacket = onPacket
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    for (;;) {
      const bytes = this.#bytes
      if (bytes.length < 2) return
      let length = 0
      let at = 1
      for (; ; at++) {
        if (at > 4) throw new Malformed('a Remaining Length of more than four bytes')
        const byte = bytes[at]
        if (byte === undefined) return
        length += (byte & 0x7f) * 128 ** (at - 1)
        if (byte >= 0x80) continue
        if (byte === 0 && at > 1) throw new Malformed('a Remaining Length that is longer than it must be')
        break
      }
      const end = at + 1 + length
      if (bytes.length < end) return
      this.#bytes = bytes.subarray(end)
      this.#onPacket(parse(bytes[0]!, new Body(bytes.subarray(at + 1, end)), end, this.#version))
    }
  }
}

function parse(first: number, body: Body, size: number, version: Version): Packet {
  const kind = first >> 4
  const flags = first & 15
  if (kind !== Kind.Publish && flags !== (kind === Kind.Pubrel ? 2 : 0))
    throw new Malformed(`flags ${flags} in a packet of type ${kind}`)
  const packet = parseKind(kind, flags, body, version)
  if (body.left > 0) throw new Malformed(`${body.left} bytes after the end of a packet of type ${kind}`)
  return { ...packet, first, size }
}

function parseKind(kind: number, flags: number, body: Body, version: Version): Packet {
  switch (kind) {
    case Kind.Connack:
      return parseConnack(body, version)
    case Kind.Publish:
      return parsePublish(flags, body, version)
    case Kind.Puback:
    case Kind.Pubrec:
    case Kind.Pubrel:
    case Kind.Pubcomp: {
      const packetId = body.packetId()
      if (version < 5 || body.left === 0) return { ...NOTHING, kind, packetId }
      const reasonCode = checked(kind, body.u8())
      return { ...NOTHING, kind, packetId, reasonCode, properties: body.left > 0 ? body.properties(kind) : [] }
    }
    case Kind.Suback:
    case Kind.Unsuback: {
      const packetId = body.packetId()
      if (kind === Kind.Unsuback && version < 5) return { ...NOTHING, kind, packetId }
      const properties = version === 5 ? body.properties(kind) : []
      const reasonCodes = [...body.take(body.left)].map((code) => checked(kind, code))
      if (reasonCodes.length === 0) throw new Malformed(`no reason code in a packet of type ${kind}`)
      if (version < 5 && reasonCodes.some((code) => code > 2 && code !== 0x80))
        throw new Malformed(`SUBACK with ${reasonCodes} before 5.0`)
      return { ...NOTHING, kind, packetId, properties, reasonCodes }
    }
    case Kind.Pingresp:
      return { ...NOTHING, kind }
    case Kind.Disconnect: {
      if (version < 5) throw new Malformed('DISCONNECT from a server before 5.0')
      if (body.left === 0) return { ...NOTHING, kind }
      const reasonCode = checked(kind, body.u8())
      return { ...NOTHING, kind, reasonCode, properties: body.left > 0 ? body.properties(kind) : [] }
    }
    default:
      throw new Malformed(`a packet of type ${kind} from a server`)
  }
}

function checked(kind: number, code: number): number {
  if (!codes[kind]!.includes(code))
    throw new Malformed(`reason code 0x${code.toString(16)} in a packet of type ${kind}`)
  return code
}

function parseConnack(body: Body, version: Version): Packet {
  const acknowledge = body.u8()
  if (acknowledge > 1 || (acknowledge === 1 && version === 3)) throw new Malformed(`CONNACK with flags ${acknowledge}`)
  const reasonCode = body.u8()
  if (version < 5 && reasonCode > 5) throw new Malformed(`CONNACK with return code ${reasonCode}`)
  if (version === 5) checked(Kind.Connack, reasonCode)
  if (reasonCode !== 0 && acknowledge === 1) throw new Malformed('CONNACK refuses and says Session Present')
  const properties = version === 5 ? body.properties(Kind.Connack) : []
  return { ...NOTHING, kind: Kind.Connack, sessionPresent: acknowledge === 1, reasonCode, properties }
}

function parsePublish(flags: number, body: Body, version: Version): Packet {
  const qos = (flags >> 1) & 3
  const dup = (flags & 8) !== 0
  if (qos === 3) throw new Malformed('PUBLISH with QoS 3')
  if (dup && qos === 0) throw new Malformed('PUBLISH with DUP and QoS 0')
  const topic = body.text()
  if (/[+#]/.test(topic)) throw new Malformed('PUBLISH with a wildcard in its topic')
  const packetId = qos === 0 ? 0 : body.packetId()
  const properties = version === 5 ? body.properties(Kind.Publish) : []
  if (topic === '' && propertyOf(properties, Property.TopicAlias) === undefined)
    throw new Malformed('PUBLISH without a topic')
  const payload = body.take(body.left)
  return { ...NOTHING, kind: Kind.Publish, qos, dup, retain: (flags & 1) !== 0, topic, packetId, properties, payload }
}

// Packets of a client.

export function varint(value: number): Buffer {
  const bytes: number[] = []
  do {
    const rest = Math.floor(value / 128)
    bytes.push((value % 128) | (rest > 0 ? 0x80 : 0))
    value = rest
  } while (value > 0)
  return Buffer.from(bytes)
}

const u8 = (value: number): Buffer => Buffer.of(value)
const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff)
const u32 = (value: number): Buffer => Buffer.concat([u16(Math.floor(value / 65_536)), u16(value % 65_536)])
const bytesOf = (bytes: Uint8Array): Buffer => Buffer.concat([u16(bytes.length), bytes])
const textOf = (text: string): Buffer => bytesOf(Buffer.from(text))

const BYTES: readonly number[] = [Property.PayloadFormat]
const SHORTS: readonly number[] = [Property.ReceiveMaximum, Property.TopicAliasMaximum, Property.TopicAlias]

function propertiesOf(properties: Properties): Buffer {
  const parts = properties.flatMap(([id, value]) => {
    if (typeof value === 'string') return [u8(id), textOf(value)]
    if (value instanceof Uint8Array) return [u8(id), bytesOf(value)]
    if (typeof value !== 'number') return [u8(id), textOf(value[0]), textOf(value[1])]
    if (id === Property.SubscriptionIdentifier) return [u8(id), varint(value)]
    return [u8(id), BYTES.includes(id) ? u8(value) : SHORTS.includes(id) ? u16(value) : u32(value)]
  })
  const body = Buffer.concat(parts)
  return Buffer.concat([varint(body.length), body])
}

function packet(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([u8(first), varint(body.length), body])
}

export interface WillOf {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: number
  readonly retain: boolean
  readonly properties: Properties
}

export function connectOf(
  version: Version,
  clientId: string,
  isClean: boolean,
  keepAliveSeconds: number,
  will: WillOf | null,
  properties: Properties,
): Buffer {
  const flags = (isClean ? 2 : 0) | (will === null ? 0 : 4 | (will.qos << 3) | (will.retain ? 0x20 : 0))
  const parts = [textOf(version === 3 ? 'MQIsdp' : 'MQTT'), u8(version), u8(flags), u16(keepAliveSeconds)]
  if (version === 5) parts.push(propertiesOf(properties))
  parts.push(textOf(clientId))
  if (will !== null) {
    if (version === 5) parts.push(propertiesOf(will.properties))
    parts.push(textOf(will.topic), bytesOf(will.payload))
  }
  return packet(0x10, ...parts)
}

export interface PublishOf {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: number
  readonly retain: boolean
  readonly properties: Properties
}

export function publishOf(version: Version, message: PublishOf, packetId: number, dup: boolean): Buffer {
  const { topic, payload, qos, retain, properties } = message
  const parts = [textOf(topic)]
  if (qos > 0) parts.push(u16(packetId))
  if (version === 5) parts.push(propertiesOf(properties))
  return packet(0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0), ...parts, Buffer.from(payload))
}

/** Encodes PUBACK, PUBREC, PUBREL or PUBCOMP. */
export function ackOf(version: Version, kind: number, packetId: number, reasonCode = 0): Buffer {
  const first = (kind << 4) | (kind === Kind.Pubrel ? 2 : 0)
  return version === 5 && reasonCode !== 0 ? packet(first, u16(packetId), u8(reasonCode)) : packet(first, u16(packetId))
}

export interface FilterOf {
  readonly filter: string
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
}

export function subscribeOf(
  version: Version,
  packetId: number,
  filters: readonly FilterOf[],
  identifier: number,
): Buffer {
  const parts = [u16(packetId)]
  if (version === 5) parts.push(propertiesOf(identifier > 0 ? [[Property.SubscriptionIdentifier, identifier]] : []))
  for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of filters) {
    const options = version === 5 ? (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) : 0
    parts.push(textOf(filter), u8(qos | options))
  }
  return packet(0x82, ...parts)
}

export function unsubscribeOf(version: Version, packetId: number, filters: readonly string[]): Buffer {
  return packet(0xa2, u16(packetId), ...(version === 5 ? [propertiesOf([])] : []), ...filters.map(textOf))
}

export const PINGREQ: Buffer = Buffer.of(0xc0, 0)

export function disconnectOf(version: Version, reasonCode: number, properties: Properties): Buffer {
  if (version < 5 || (reasonCode === 0 && properties.length === 0)) return Buffer.of(0xe0, 0)
  return packet(0xe0, u8(reasonCode), ...(properties.length > 0 ? [propertiesOf(properties)] : []))
}
