import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { Decoder } from './decoder.ts'
import { encode, encodedSize } from './encoder.ts'
import { isReasonCodeOf } from './packet-reason-codes.ts'
import {
  Auth,
  Connack,
  Connect,
  Disconnect,
  type Packet,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from './packets.ts'
import { NO_PROPERTIES, type Properties, PropertyType, propertyDefinitions } from './properties.ts'
import { TopicCache } from './topic-cache.ts'
import { comparable, connackBytes, connectBytes } from './wire-cases.ts'

// --- arbitrary parts of packets
// -----------------------------------------------------------------------------------------------

/** UTF-8 Encoded Strings: no U+0000, no lone surrogates. */
const text = fc.string({ unit: 'binary', maxLength: 40 }).map((s) => s.replaceAll('\0', ''))
const topicName = text.map((s) => `t${s.replaceAll('+', '').replaceAll('#', '')}`)
const topicFilter = text.map((s) => `f/${s}`)
const data = fc.uint8Array({ maxLength: 200 })
const qos = fc.constantFrom<QoS>(0, 1, 2)
const packetId = fc.integer({ min: 1, max: 0xffff })

function propertyValue(name: string): fc.Arbitrary<unknown> {
  const row = propertyDefinitions.find((definition) => definition.name === name)!
  switch (row.type) {
    case PropertyType.Boolean:
      return fc.boolean()
    case PropertyType.Utf8String:
      return row.isTopicName ? topicName : text
    case PropertyType.BinaryData:
      return data
    case PropertyType.Utf8StringPair:
      return fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 })
    case PropertyType.VariableByteInteger:
      return fc.integer({ min: row.minimum, max: row.maximum }).map((n) => [n])
    default:
      return fc.integer({ min: row.minimum, max: row.maximum })
  }
}

/** Arbitrary properties for a packet of this type (0: Will) and version, sent by a client or a server. */
function propertiesFor(
  packetType: number,
  version: ProtocolVersion,
  from: 'client' | 'server',
): fc.Arbitrary<Properties> {
  if (version !== 5) return fc.constant(NO_PROPERTIES)
  const model: Record<string, fc.Arbitrary<unknown>> = {}
  for (const { name, packets } of propertyDefinitions) {
    if (((packets >> packetType) & 1) === 0) continue
    if (packetType === 3 && from === 'client' && name === 'subscriptionIdentifiers') continue
    if (packetType === 14 && name === (from === 'client' ? 'serverReference' : 'sessionExpiryIntervalSeconds')) continue
    model[name] = propertyValue(name)
  }
  return fc.record(model, { requiredKeys: [] }).map((properties) => {
    if (properties.authenticationData !== undefined) properties.authenticationMethod ??= 'm'
    return Object.keys(properties).length === 0 ? NO_PROPERTIES : (properties as Properties)
  })
}

function reasonCodeFor(packetType: number, version: ProtocolVersion, from: 'client' | 'server'): fc.Arbitrary<number> {
  const codes = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
    isReasonCodeOf(packetType, version, from, code),
  )
  return fc.constantFrom(...codes)
}

// --- arbitrary packets by sender
// ------------------------------------------------------------------------------------------------

function connects(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const will = fc.record({
    topic: topicName,
    payload: data,
    qos,
    retain: fc.boolean(),
    properties: propertiesFor(0, version, 'client'),
  })
  return fc
    .record({
      protocolVersion: fc.constant(version),
      cleanStart: fc.boolean(),
      keepAliveSeconds: fc.integer({ min: 0, max: 0xffff }),
      clientId: text,
      will: fc.option(will, { nil: undefined }),
      username: fc.option(text, { nil: undefined }),
      password: fc.option(data, { nil: undefined }),
      properties: propertiesFor(1, version, 'client'),
      isBridge: fc.boolean(),
    })
    .map((options) => {
      if (version !== 5 && options.username === undefined) options.password = undefined
      return new Connect(options)
    })
}

function connacks(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc
    .tuple(fc.boolean(), reasonCodeFor(2, version, 'server'), propertiesFor(2, version, 'server'))
    .map(([present, code, properties]) => new Connack(present && code === 0 && version !== 3, code, properties))
}

function publishes(version: ProtocolVersion, from: 'client' | 'server'): fc.Arbitrary<Packet> {
  return fc
    .tuple(topicName, data, qos, fc.boolean(), fc.boolean(), packetId, propertiesFor(3, version, from))
    .map(([topic, payload, q, retain, dup, id, properties]) =>
      Publish.of({ topic, payload, qos: q, retain, dup: dup && q > 0, packetId: q === 0 ? 0 : id, properties }),
    )
}

function acksOf(version: ProtocolVersion, from: 'client' | 'server'): fc.Arbitrary<Packet>[] {
  return [Puback, Pubrec, Pubrel, Pubcomp].map((Ack, i) => {
    if (version !== 5) return packetId.map((id): Packet => new Ack(id))
    return fc
      .tuple(packetId, reasonCodeFor(4 + i, version, from), propertiesFor(4 + i, version, from))
      .map(([id, code, properties]): Packet => new Ack(id, code, properties))
  })
}

function fromClient(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const subscription = fc
    .record({
      topicFilter,
      qos,
      noLocal: fc.boolean(),
      retainAsPublished: fc.boolean(),
      retainHandling: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    })
    .map((s) => (version === 5 ? s : { ...s, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }))
  const packets: fc.Arbitrary<Packet>[] = [
    publishes(version, 'client'),
    ...acksOf(version, 'client'),
    fc
      .tuple(packetId, fc.array(subscription, { minLength: 1, maxLength: 5 }), propertiesFor(8, version, 'client'))
      .map(([id, list, properties]) => new Subscribe(id, list, properties)),
    fc
      .tuple(packetId, fc.array(topicFilter, { minLength: 1, maxLength: 5 }), propertiesFor(10, version, 'client'))
      .map(([id, list, properties]) => new Unsubscribe(id, list, properties)),
    fc.constant(new Pingreq()),
    version === 5
      ? fc
          .tuple(reasonCodeFor(14, 5, 'client'), propertiesFor(14, 5, 'client'))
          .map(([code, properties]) => new Disconnect(code, properties))
      : fc.constant(new Disconnect()),
  ]
  if (version === 5) packets.push(auths('client'))
  return fc.oneof(...packets)
}

function fromServer(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const packets: fc.Arbitrary<Packet>[] = [
    publishes(version, 'server'),
    ...acksOf(version, 'server'),
    fc
      .tuple(
        packetId,
        fc.array(reasonCodeFor(9, version, 'server'), { minLength: 1, maxLength: 5 }),
        propertiesFor(9, version, 'server'),
      )
      .map(([id, codes, properties]) => new Suback(id, codes, properties)),
    fc
      .tuple(
        packetId,
        fc.array(reasonCodeFor(11, 5, 'server'), { minLength: 1, maxLength: 5 }),
        propertiesFor(11, version, 'server'),
      )
      .map(([id, codes, properties]) => new Unsuback(id, version === 5 ? codes : [], properties)),
    fc.constant(new Pingresp()),
  ]
  if (version === 5) {
    packets.push(auths('server'))
    packets.push(
      fc
        .tuple(reasonCodeFor(14, 5, 'server'), propertiesFor(14, 5, 'server'))
        .map(([code, properties]) => new Disconnect(code, properties)),
    )
  }
  return fc.oneof(...packets)
}

function auths(from: 'client' | 'server'): fc.Arbitrary<Packet> {
  return fc
    .tuple(reasonCodeFor(15, 5, from), propertiesFor(15, 5, from))
    .map(([code, properties]) => new Auth(code, { authenticationMethod: 'm', ...properties }))
}

// --- the properties ---------------------------------------------------------------------------------------------------------------

const topicCache = new TopicCache(64)

/** Encodes the packets, cuts the bytes at the given places, and decodes them. */
function roundTrip(
  decoder: Decoder,
  packets: readonly Packet[],
  version: ProtocolVersion,
  cuts: readonly number[],
): void {
  const parts = packets.map((packet) => {
    const bytes = encode(packet, version)
    assert.equal(encodedSize(packet, version), bytes.length)
    return bytes
  })
  const stream = Uint8Array.from(parts.flatMap((part) => [...part]))
  const places = [...new Set([0, ...cuts.map((cut) => cut % (stream.length + 1)), stream.length])].sort((a, b) => a - b)
  const decoded: unknown[] = []
  for (let i = 0; i + 1 < places.length; i++) {
    decoder.push(stream.subarray(places[i]!, places[i + 1]!))
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
      decoded.push(comparable(packet))
      // What was decoded encodes to the bytes that it came from.
      assert.deepEqual(encode(packet, version), parts[decoded.length - 1])
    }
  }
  assert.deepEqual(decoded, packets.map(comparable))
}

const cuts = fc.array(fc.nat(2000), { maxLength: 5 })

for (const version of [3, 4, 5] as const) {
  it(`every CONNECT of version ${version} comes back as it was`, () => {
    fc.assert(
      fc.property(connects(version), cuts, (packet, places) =>
        roundTrip(new Decoder({ role: 'server' }), [packet], version, places),
      ),
      { seed: 1, numRuns: 400 },
    )
  })

  it(`every CONNACK of version ${version} comes back as it was`, () => {
    fc.assert(
      fc.property(connacks(version), cuts, (packet, places) =>
        roundTrip(new Decoder({ role: 'client', protocolVersion: version }), [packet], version, places),
      ),
      { seed: 2, numRuns: 300 },
    )
  })

  for (const from of ['client', 'server'] as const)
    it(`every packet of a ${from} of version ${version} comes back as it was`, () => {
      const packets = fc.array(from === 'client' ? fromClient(version) : fromServer(version), {
        minLength: 1,
        maxLength: 4,
      })
      fc.assert(
        fc.property(packets, cuts, (list, places) => {
          const role = from === 'client' ? 'server' : 'client'
          const decoder = new Decoder({ role, protocolVersion: version, topicCache })
          decoder.push(from === 'client' ? connectBytes(version) : connackBytes(version))
          decoder.read()
          roundTrip(decoder, list, version, places)
        }),
        { seed: 3, numRuns: 600 },
      )
    })
}
