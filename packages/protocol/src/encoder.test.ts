import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Decoder } from './decoder.ts'
import {
  ByteWriter,
  encode,
  encodedSize,
  encodeProperties,
  encodeTo,
  encodeTopicField,
  writeAck,
  writePublish,
  writePublishHead,
} from './encoder.ts'
import { MqttError } from './errors.ts'
import {
  Auth,
  Connack,
  Connect,
  Disconnect,
  type Packet,
  Pingreq,
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
import { NO_PROPERTIES, type Properties } from './properties.ts'
import { connectBytes, wireCases } from './wire-cases.ts'

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

describe('wire cases', () => {
  for (const { name, version, packet, bytes, encodesAs, statement } of wireCases) {
    if (packet === undefined) continue
    it(`${name}: encodes to its bytes${statement === undefined ? '' : ` [${statement}]`}`, () => {
      const wanted = encodesAs ?? bytes
      assert.equal(hexOf(encode(packet, version)), hexOf(wanted))
      assert.equal(encodedSize(packet, version), wanted.length)
      // A writer that is neither empty nor large enough.
      const writer = new ByteWriter(3)
      writer.byte(0xaa)
      encodeTo(writer, packet, version)
      assert.equal(hexOf(writer.bytes.subarray(0, writer.length)), `aa${hexOf(wanted)}`)
    })
  }
})

describe('what cannot be on the wire', () => {
  const filter = { topicFilter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const connect = { protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'c' } as const
  const will = { topic: 'w', payload: new Uint8Array(0), qos: 0, retain: false, properties: NO_PROPERTIES } as const
  const long = 'x'.repeat(65_536)
  const publish = (properties: unknown): Packet => Publish.of({ topic: 't', properties: properties as Properties })

  const refused: [what: string, packet: Packet, version?: ProtocolVersion][] = [
    ['a CONNECT of another version', new Connect(connect), 4],
    ['a Client Identifier over 65,535 bytes', new Connect({ ...connect, clientId: long })],
    ['a Client Identifier over 65,535 bytes of UTF-8', new Connect({ ...connect, clientId: 'ä'.repeat(32_768) })],
    ['a Client Identifier with U+0000', new Connect({ ...connect, clientId: 'a\0' })],
    ['a User Name with a lone surrogate', new Connect({ ...connect, username: 'a\ud800' })],
    ['a User Name with surrogates in the wrong order', new Connect({ ...connect, username: '\udc00\ud800' })],
    ['a Password over 65,535 bytes', new Connect({ ...connect, password: new Uint8Array(65_536) })],
    ['a Password without User Name', new Connect({ ...connect, protocolVersion: 4, password: new Uint8Array(1) }), 4],
    ['a Keep Alive over 65,535', new Connect({ ...connect, keepAliveSeconds: 65_536 })],
    ['a Keep Alive of a fraction', new Connect({ ...connect, keepAliveSeconds: 1.5 })],
    ['a Will Topic with a wildcard', new Connect({ ...connect, will: { ...will, topic: 'a/#' } })],
    ['an empty Will Topic', new Connect({ ...connect, will: { ...will, topic: '' } })],
    ['Will QoS 3', new Connect({ ...connect, will: { ...will, qos: 3 as QoS } })],
    ['a Topic Alias in a Will', new Connect({ ...connect, will: { ...will, properties: { topicAlias: 1 } } })],
    ['Authentication Data alone', new Connect({ ...connect, properties: { authenticationData: new Uint8Array(1) } })],
    ['Session Present in a refusal', new Connack(true, 0x87)],
    ['a return code of 5.0 before 5.0', new Connack(false, 0x87), 4],
    ['a CONNACK with a Reason Code of others', new Connack(false, 0x8e)],
    ['a Packet Identifier 0 at QoS 1', Publish.of({ topic: 't', qos: 1 })],
    ['a Packet Identifier over 65,535', Publish.of({ topic: 't', qos: 2, packetId: 65_536 })],
    ['QoS 3', Publish.of({ topic: 't', qos: 3 as QoS, packetId: 1 })],
    ['DUP at QoS 0', Publish.of({ topic: 't', dup: true })],
    ['a Topic Name with +', Publish.of({ topic: 'a/+' })],
    ['a Topic Name with #', Publish.of({ topic: '#' })],
    ['a Topic Name over 65,535 bytes', Publish.of({ topic: long })],
    ['an empty Topic Name', Publish.of({ topic: '' })],
    ['an empty Topic Name before 5.0', Publish.of({ topic: '', properties: { topicAlias: 1 } }), 4],
    [
      'a PUBLISH over 268,435,455 bytes',
      new Publish('t', 0, false, false, 0, NO_PROPERTIES, null, new Uint8Array(0), 0, 268_435_456),
    ],
    ['a property of others', publish({ receiveMaximum: 1 })],
    ['a property that does not exist', publish({ colour: 'red' })],
    ['Topic Alias 0', publish({ topicAlias: 0 })],
    ['Topic Alias 65,536', publish({ topicAlias: 65_536 })],
    ['Payload Format Indicator 2', publish({ payloadFormatIndicator: 2 })],
    ['a Message Expiry Interval below 0', publish({ messageExpiryIntervalSeconds: -1 })],
    ['a Message Expiry Interval over 32 bits', publish({ messageExpiryIntervalSeconds: 2 ** 32 })],
    ['a number in words', publish({ messageExpiryIntervalSeconds: '60' })],
    ['a Response Topic with a wildcard', publish({ responseTopic: 'r/+' })],
    ['an empty Response Topic', publish({ responseTopic: '' })],
    ['Correlation Data in words', publish({ correlationData: 'x' })],
    ['a Content Type in numbers', publish({ contentType: 1 })],
    ['a User Property without value', publish({ userProperties: [['a']] })],
    ['User Properties in an object', publish({ userProperties: { a: 'b' } })],
    ['Subscription Identifier 0', publish({ subscriptionIdentifiers: [0] })],
    ['a Subscription Identifier over 268,435,455', publish({ subscriptionIdentifiers: [268_435_456] })],
    ['Retain Available in numbers', new Connack(false, 0, { retainAvailable: 1 as unknown as boolean })],
    ['a PUBACK without Packet Identifier', new Puback(0)],
    ['a PUBREC with a Reason Code of others', new Pubrec(1, 0x92)],
    ['a PUBREL with a Reason Code of others', new Pubrel(1, 0x80)],
    ['a PUBCOMP with a Reason Code beyond a byte', new Pubcomp(1, 256)],
    ['a SUBSCRIBE of nothing', new Subscribe(1, [])],
    ['an empty Topic Filter', new Subscribe(1, [{ ...filter, topicFilter: '' }])],
    ['a Topic Filter over 65,535 bytes', new Subscribe(1, [{ ...filter, topicFilter: long }])],
    ['No Local on a Shared Subscription', new Subscribe(1, [{ ...filter, topicFilter: '$share/g/a', noLocal: true }])],
    ['Retain Handling 3', new Subscribe(1, [{ ...filter, retainHandling: 3 as 2 }])],
    ['two Subscription Identifiers', new Subscribe(1, [filter], { subscriptionIdentifiers: [1, 2] })],
    ['a SUBSCRIBE without Packet Identifier', new Subscribe(0, [filter])],
    ['a SUBACK of nothing', new Suback(1, [])],
    ['a SUBACK with a Reason Code of 5.0 before 5.0', new Suback(1, [0x87]), 4],
    ['an UNSUBACK of nothing', new Unsuback(1, [])],
    ['an UNSUBSCRIBE of nothing', new Unsubscribe(1, [])],
    ['an UNSUBSCRIBE of an empty Topic Filter', new Unsubscribe(1, [''])],
    ['a DISCONNECT with a Reason Code of others', new Disconnect(0x10)],
    ['an AUTH before 5.0', new Auth(0x18, { authenticationMethod: 'm' }), 4],
    ['AUTH has no Authentication Method', new Auth(0x18)],
    ['an AUTH with other properties', new Auth(0, { reasonString: 'x' })],
  ]
  for (const [what, packet, version = 5] of refused)
    it(`${what} is ERR_MQTT_ENCODE, and the writer is as it was`, () => {
      const writer = new ByteWriter(8)
      writer.twoByteInteger(0xabcd)
      const isEncodeError = (error: unknown): boolean => error instanceof MqttError && error.code === 'ERR_MQTT_ENCODE'
      assert.throws(() => encodeTo(writer, packet, version), isEncodeError)
      assert.equal(hexOf(writer.bytes.subarray(0, writer.length)), 'abcd')
      assert.throws(() => encode(packet, version), isEncodeError)
      assert.throws(() => encodedSize(packet, version), isEncodeError)
    })

  it('the encoder works on after an error', () => {
    assert.throws(() => encode(Publish.of({ topic: 't', properties: { receiveMaximum: 1 } }), 5))
    assert.equal(hexOf(encode(new Pingreq(), 5)), 'c000')
  })
})

describe('what a version does not have is left out', () => {
  it('properties before 5.0', () => {
    assert.equal(hexOf(encode(Publish.of({ topic: 't', properties: { contentType: 'x' } }), 4)), '3003000174')
  })
  it('Reason Codes of acknowledgements and DISCONNECT before 5.0', () => {
    assert.equal(hexOf(encode(new Puback(1, 0x87), 4)), '40020001')
    assert.equal(hexOf(encode(new Unsuback(1, [0x11]), 4)), 'b0020001')
    assert.equal(hexOf(encode(new Disconnect(0x8b), 4)), 'e000')
  })
  it('properties that are undefined or empty', () => {
    const properties: Properties = { userProperties: [], subscriptionIdentifiers: [] }
    ;(properties as Record<string, unknown>).contentType = undefined
    assert.equal(hexOf(encode(Publish.of({ topic: 't', properties }), 5)), '300400017400')
    assert.equal(hexOf(encode(new Puback(1, 0, { userProperties: [] }), 5)), '40020001')
    assert.equal(hexOf(encode(new Puback(1, 0x87, { userProperties: [] }), 5)), '4003000187')
  })
})

it('properties go out in the order in which they were set, as they came in', () => {
  const bytes = encodeProperties({ contentType: 'c', payloadFormatIndicator: 1 }, 3)
  assert.equal(hexOf(bytes), '06' + '03000163' + '0101')
})

describe('the hot path writes what encode writes', () => {
  const payloads = [0, 1, 63, 64, 65, 100, 127, 128, 200, 20_000].map((n) => new Uint8Array(n).map((_, i) => i))
  for (const version of [3, 4, 5] as const)
    for (const qos of [0, 1, 2] as const)
      it(`PUBLISH of version ${version} at QoS ${qos}`, () => {
        for (const topic of ['t', 'sensors/café/17', 'x/'.repeat(100)])
          for (const properties of [NO_PROPERTIES, { contentType: 'text/plain' }])
            for (const payload of payloads) {
              const packet = Publish.of({
                topic,
                payload,
                qos,
                packetId: qos && 0x1234,
                retain: true,
                dup: qos > 0,
                properties,
              })
              const wanted = hexOf(encode(packet, version))
              const field = encodeTopicField(topic)
              const propertyField = encodeProperties(properties, 3)
              // The payload from the middle of a larger buffer.
              const buffer = new Uint8Array(payload.length + 20)
              buffer.set(payload, 9)
              const whole = new ByteWriter(16)
              writePublish(
                whole,
                version,
                field,
                qos,
                true,
                qos > 0,
                0x1234,
                propertyField,
                buffer,
                9,
                9 + payload.length,
              )
              assert.equal(hexOf(whole.bytes.subarray(0, whole.length)), wanted)
              const head = new ByteWriter(16)
              writePublishHead(head, version, field, qos, true, qos > 0, 0x1234, propertyField, payload.length)
              assert.equal(hexOf(head.bytes.subarray(0, head.length)) + hexOf(payload), wanted)
            }
      })

  it('acknowledgements', () => {
    const writer = new ByteWriter(4)
    for (const [type, packet] of [
      [4, new Puback(0x1234)],
      [5, new Pubrec(0x1234)],
      [6, new Pubrel(0x1234)],
      [7, new Pubcomp(0x1234)],
    ] as const) {
      writer.reset()
      writeAck(writer, type, 0x1234)
      assert.equal(hexOf(writer.bytes.subarray(0, writer.length)), hexOf(encode(packet, 5)))
    }
  })

  it('a PUBLISH that is too long is refused before anything is written', () => {
    const writer = new ByteWriter(16)
    assert.throws(
      () => writePublishHead(writer, 4, encodeTopicField('t'), 0, false, false, 0, new Uint8Array(1), 268_435_455),
      { code: 'ERR_MQTT_ENCODE' },
    )
    assert.equal(writer.length, 0)
  })
})

it('a writer grows and keeps what it has', () => {
  const writer = new ByteWriter(new Uint8Array(2))
  for (let i = 0; i < 1000; i++) writer.twoByteInteger(i)
  assert.equal(writer.length, 2000)
  assert.equal((writer.bytes[1998]! << 8) | writer.bytes[1999]!, 999)
  writer.reset()
  assert.equal(writer.length, 0)
})

it('what setLength moves is not lost when the array is full to the last byte', () => {
  for (let size = 0; size < 300; size++) {
    const writer = new ByteWriter(size + 2)
    writer.byte(0xee)
    const at = writer.lengthAhead()
    for (let i = 0; i < size; i++) writer.byte(i)
    writer.setLength(at)
    const width = size < 128 ? 1 : 2
    assert.equal(writer.length, 1 + width + size)
    for (let i = 0; i < size; i++) assert.equal(writer.bytes[1 + width + i], i & 0xff)
  }
})

it('the largest packet of all is written and read', () => {
  // Writes only the head, with a Remaining Length of 268,435,455 bytes, and tells the decoder.
  const writer = new ByteWriter(16)
  writePublishHead(writer, 4, encodeTopicField('t'), 0, false, false, 0, new Uint8Array(1), 268_435_452)
  assert.equal(hexOf(writer.bytes.subarray(0, 5)), '30ffffff7f')
  const decoder = new Decoder({ role: 'server' })
  decoder.push(connectBytes(4))
  decoder.read()
  decoder.push(writer.bytes.subarray(0, writer.length))
  assert.equal(decoder.read(), null)
})
