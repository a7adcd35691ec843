import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeProperties } from './cursor.ts'
import { Decoder } from './decoder.ts'
import { encode, encodeProperties } from './encoder.ts'
import { ProtocolError } from './errors.ts'
import { PacketType, Publish } from './packets.ts'
import { NO_PROPERTIES, type Properties } from './properties.ts'
import { propertiesOf, scanPublishProperties, userPropertyOf } from './raw-properties.ts'
import { connectBytes, wireCases } from './wire-cases.ts'

type Options = { strict?: boolean; propertySize?: number; role?: 'server' | 'client' }

function decoderOf(rawProperties: boolean, { strict = false, propertySize, role = 'server' }: Options): Decoder {
  return new Decoder({
    role,
    protocolVersion: 5,
    isConnected: true,
    ...(rawProperties ? { scanProperties: scanPublishProperties } : {}),
    refuseDisallowedCodePoints: strict,
    ...(propertySize === undefined ? {} : { propertySize }),
  })
}

/** Reads one packet: what came of it, for `deepEqual`. */
function outcomeOf(decoder: Decoder, bytes: Uint8Array): unknown {
  decoder.push(bytes)
  try {
    const packet = decoder.read()
    if (!(packet instanceof Publish)) return packet
    const { topic, qos, retain, dup, packetId, payload } = packet
    return { topic, qos, retain, dup, packetId, payload: [...payload], properties: propertiesOf(packet) }
  } catch (error) {
    assert.ok(error instanceof ProtocolError)
    return { reasonCode: error.reasonCode, message: error.message }
  }
}

function rawOf(properties: Properties, payload: Uint8Array = Uint8Array.of(1, 2, 3)): Publish {
  const decoder = decoderOf(true, {})
  decoder.push(encode(Publish.of({ topic: 't', properties, payload }), 5))
  return decoder.read() as Publish
}

/** Bytes of a PUBLISH with this property field, which may be wrong in every way. */
function packetWith(field: readonly number[], payload: readonly number[]): Uint8Array {
  const body = [0, 1, 0x74, ...field, ...payload]
  const size = body.length
  return Uint8Array.from([0x30, (size & 0x7f) | (size > 0x7f ? 0x80 : 0), ...(size > 0x7f ? [size >> 7] : []), ...body])
}

const byte = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 3, 8, 9, 0x0b, 0x23, 0x26, 0x7f, 0x80, 0xc2, 0xff))
const textBytes = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => [...new TextEncoder().encode(text)]),
  fc.string({ maxLength: 20 }).map((text) => [...new TextEncoder().encode(text)]),
  fc.array(byte, { maxLength: 9 }),
)
const string = textBytes.map((text) => [text.length >> 8, text.length & 0xff, ...text])
const property = fc.oneof(
  fc.tuple(fc.constant(0x01), byte).map((all) => [...all]),
  fc.tuple(fc.constant(0x02), byte, byte, byte, byte).map((all) => [...all]),
  fc.tuple(fc.constantFrom(0x03, 0x08, 0x09), string).map(([id, value]) => [id, ...value]),
  fc.tuple(fc.constantFrom(0x23), byte, byte).map((all) => [...all]),
  fc.tuple(string, string).map(([name, value]) => [0x26, ...name, ...value]),
  fc.tuple(byte, fc.array(byte, { maxLength: 4 })).map(([id, rest]) => [id, ...rest]),
)
const field = fc
  .record({
    properties: fc.array(property, { maxLength: 7 }),
    excess: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: -3, max: 3 })),
    isLong: fc.boolean(),
  })
  .map(({ properties, excess, isLong }) => {
    const bytes = properties.flat()
    const length = Math.max(0, bytes.length + excess)
    return [...(length > 0x7f || isLong ? [(length & 0x7f) | 0x80, length >> 7] : [length]), ...bytes]
  })

describe('properties that stay bytes', () => {
  it('are accepted and refused as those that become objects are, with the same values', () => {
    let accepted = 0
    fc.assert(
      fc.property(field, fc.boolean(), fc.option(fc.nat(40)), (bytes, strict, propertySize) => {
        const packet = packetWith(bytes, [7, 7])
        const options = { strict, ...(propertySize === null ? {} : { propertySize }) }
        const expected = outcomeOf(decoderOf(false, options), packet)
        assert.deepEqual(outcomeOf(decoderOf(true, options), packet), expected)
        if (!Object.hasOwn(expected as object, 'reasonCode')) accepted++
      }),
      { numRuns: 20_000 },
    )
    assert.ok(accepted > 1_000, `only ${accepted} were accepted`)
  })

  it('are read as objects are, in every case of the wire', () => {
    for (const { bytes, from, version, after, maximumPacketSize } of wireCases) {
      if (version !== 5 || after !== 'connect' || bytes[0]! >> 4 !== PacketType.PUBLISH) continue
      const outcomes = [false, true].map((rawProperties) => {
        const decoder = decoderOf(rawProperties, { role: from === 'client' ? 'server' : 'client' })
        if (maximumPacketSize !== undefined) decoder.maximumPacketSize = maximumPacketSize
        return outcomeOf(decoder, bytes)
      })
      assert.deepEqual(outcomes[1], outcomes[0])
    }
  })

  it('need an option: a decoder without it makes objects', () => {
    const decoder = new Decoder({ role: 'server' })
    decoder.push(connectBytes(5))
    decoder.read()
    decoder.push(encode(Publish.of({ topic: 't', properties: { contentType: 'x' } }), 5))
    const { properties, rawProperties } = decoder.read() as Publish
    assert.deepEqual(properties, { contentType: 'x' })
    assert.equal(rawProperties, null)
  })

  it('are passed on without Message Expiry Interval and Topic Alias, wherever these stand', () => {
    const passedOn: Properties[] = [
      { contentType: 'text/plain' },
      { userProperties: [['a', 'x'.repeat(150)]] },
      { payloadFormatIndicator: 1 },
    ]
    const own: Properties[] = [{ messageExpiryIntervalSeconds: 0x1020304 }, { topicAlias: 9 }]
    for (const withExpiry of [true, false]) {
      for (const withAlias of [true, false]) {
        for (let order = 0; order < 120; order++) {
          const parts = permuted([...passedOn, ...own], order)
          const chosen = parts.filter((part) => (part !== own[0] || withExpiry) && (part !== own[1] || withAlias))
          const { rawProperties: raw, buffer, payloadStart, payload } = rawOf(Object.assign({}, ...chosen))
          const start = payloadStart - raw!.fieldBytes
          const expected = encodeProperties(
            Object.assign({}, ...chosen.filter((part) => passedOn.includes(part))),
            PacketType.PUBLISH,
          )
          assert.deepEqual(raw!.passedOnField(buffer, start), expected)
          assert.equal(raw!.passedOnBytes, expected.length - 2)
          assert.equal(raw!.expirySeconds(buffer, start), withExpiry ? 0x1020304 : undefined)
          assert.equal(raw!.topicAlias, withAlias ? 9 : 0)
          assert.deepEqual([...payload], [1, 2, 3])
        }
      }
    }
  })

  it('may be nothing but those that are not passed on', () => {
    const { rawProperties, buffer, payloadStart } = rawOf({ topicAlias: 1, messageExpiryIntervalSeconds: 5 })
    const passedOn = rawProperties!.passedOnField(buffer, payloadStart - rawProperties!.fieldBytes)
    assert.deepEqual(decodeProperties(passedOn, PacketType.PUBLISH), NO_PROPERTIES)
  })

  it('tell of code points that should not stand in a string', () => {
    for (const [text, expected] of [
      ['plain text of some length', false],
      ['ü', false],
      ['bell \u0007', true],
      ['a long text with a control character at its end\u007f', true],
      ['\ufdd0', true],
    ] as const) {
      assert.equal(rawOf({ contentType: text }).rawProperties!.hasDisallowedCodePoint, expected, text)
      assert.equal(rawOf({ userProperties: [['n', text]] }).rawProperties!.hasDisallowedCodePoint, expected, text)
      assert.equal(rawOf({ responseTopic: text }).rawProperties!.hasDisallowedCodePoint, expected, text)
    }
  })

  it('are searched for a User Property, of which the first counts', () => {
    const find = (properties: Properties, name: string): string | null => {
      const { rawProperties, buffer, payloadStart } = rawOf(properties)
      const start = payloadStart - rawProperties!.fieldBytes
      const found = userPropertyOf(rawProperties!, buffer, start, new TextEncoder().encode(name))
      return found === null ? null : new TextDecoder().decode(buffer.subarray(found.start, found.end))
    }
    const properties: Properties = {
      payloadFormatIndicator: 1,
      messageExpiryIntervalSeconds: 7,
      contentType: 'path',
      correlationData: Uint8Array.of(0x26, 0, 1),
      topicAlias: 3,
      userProperties: [
        ['pat', 'a'],
        ['path', 'b'],
        ['path', 'c'],
        ['', ''],
      ],
    }
    assert.equal(find(properties, 'path'), 'b')
    assert.equal(find(properties, ''), '')
    assert.equal(find(properties, 'b'), null)
    assert.equal(find({ contentType: 'x' }, 'x'), null)
  })
})

/** Returns the permutation of this number of five elements. */
function permuted<T>(all: readonly T[], number: number): T[] {
  const left = [...all]
  const result: T[] = []
  let rest = number
  while (left.length > 0) {
    result.push(...left.splice(rest % left.length, 1))
    rest = Math.floor(rest / (left.length + 1))
  }
  return result
}
