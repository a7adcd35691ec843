import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Decoder, type DecoderOptions } from './decoder.ts'
import { encode } from './encoder.ts'
import { ProtocolError } from './errors.ts'
import { type Packet, Pingreq, type ProtocolVersion, Publish } from './packets.ts'
import { NO_PROPERTIES } from './properties.ts'
import { UnsupportedProtocolVersionError } from './server-packets.ts'
import { TopicCache } from './topic-cache.ts'
import { comparable, connackBytes, connectBytes, type WireCase, wireCases } from './wire-cases.ts'

function bytesOf(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** A decoder that has read its CONNECT or CONNACK. */
function connected(role: 'server' | 'client', version: ProtocolVersion, more: Partial<DecoderOptions> = {}): Decoder {
  const decoder = new Decoder({ role, protocolVersion: version, ...more })
  decoder.push(role === 'server' ? connectBytes(version) : connackBytes(version))
  assert.notEqual(decoder.read(), null)
  return decoder
}

function decoderFor(wireCase: WireCase, topicCache?: TopicCache): Decoder {
  const role = wireCase.from === 'client' ? 'server' : 'client'
  const more: Partial<DecoderOptions> = topicCache === undefined ? {} : { topicCache }
  const decoder =
    wireCase.after === 'connect'
      ? connected(role, wireCase.version, more)
      : new Decoder({ role, protocolVersion: wireCase.version, ...more })
  if (wireCase.maximumPacketSize !== undefined) decoder.maximumPacketSize = wireCase.maximumPacketSize
  return decoder
}

/** Decodes all packets in the chunks. Each chunk is wiped when `read` has returned null, as its owner may do. */
function decodeAll(decoder: Decoder, chunks: readonly Uint8Array[]): Record<string, unknown>[] {
  const packets: Record<string, unknown>[] = []
  for (const chunk of chunks) {
    const own = chunk.slice()
    decoder.push(own)
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) packets.push(comparable(packet))
    own.fill(0xff)
  }
  return packets
}

function* splitsOf(bytes: Uint8Array): Generator<Uint8Array[]> {
  yield [bytes]
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)]
  yield Array.from(bytes, (byte) => bytesOf(byte))
}

function check(wireCase: WireCase, chunks: readonly Uint8Array[], topicCache?: TopicCache): void {
  const decoder = decoderFor(wireCase, topicCache)
  if (wireCase.packet !== undefined) {
    assert.deepEqual(decodeAll(decoder, chunks), [comparable(wireCase.packet)])
    assert.equal(decoder.bufferedBytes, 0)
    return
  }
  let error: unknown
  try {
    decodeAll(decoder, chunks)
  } catch (e) {
    error = e
  }
  assert.ok(error instanceof ProtocolError, `not refused: ${String(error)}`)
  assert.equal(error.reasonCode, wireCase.refused, error.message)
}

describe('wire cases', () => {
  it('have names of their own and exactly one outcome', () => {
    assert.equal(new Set(wireCases.map(({ name }) => name)).size, wireCases.length)
    for (const { name, packet, refused } of wireCases)
      assert.notEqual(packet === undefined, refused === undefined, name)
  })
  for (const wireCase of wireCases) {
    const outcome = wireCase.packet === undefined ? `refused with ${wireCase.refused}` : 'accepted'
    const statement = wireCase.statement === undefined ? '' : ` [${wireCase.statement.replaceAll(' ', '] [')}]`
    it(`${wireCase.name}: ${outcome}, however it is split${statement}`, () => {
      for (const chunks of splitsOf(wireCase.bytes)) check(wireCase, chunks)
    })
  }
})

it('a topic cache changes nothing in what is accepted and refused', () => {
  const topicCache = new TopicCache(8) // far fewer slots than Topic Names
  for (let round = 0; round < 3; round++)
    for (const wireCase of wireCases) check(wireCase, [wireCase.bytes], topicCache)
})

describe('chunks', () => {
  const accepted = wireCases.filter(
    ({ packet, after, version, from, maximumPacketSize }) =>
      packet !== undefined &&
      after === 'connect' &&
      version === 5 &&
      from === 'client' &&
      maximumPacketSize === undefined,
  )
  const stream = concat(...accepted.map(({ bytes }) => bytes))
  const expected = accepted.map(({ packet }) => comparable(packet!))

  it('many packets come out in their order, whatever the size of the chunks', () => {
    for (const size of [1, 2, 3, 7, 64, 1000, stream.length]) {
      const chunks: Uint8Array[] = []
      for (let at = 0; at < stream.length; at += size) chunks.push(stream.subarray(at, at + size))
      assert.deepEqual(decodeAll(connected('server', 5), chunks), expected)
    }
  })

  it('chunks that are pushed while nobody reads wait in line, and keep() makes them ours', () => {
    for (const size of [1, 5, 300]) {
      const decoder = connected('server', 5)
      const packets: unknown[] = []
      let pushed = 0
      for (let at = 0, i = 0; at < stream.length; at += size, i++) {
        const chunk = stream.slice(at, at + size)
        decoder.push(chunk)
        pushed += chunk.length
        // Read one packet now and then, never to the end.
        if (i % 3 === 0) {
          const packet = decoder.read()
          if (packet !== null) packets.push(comparable(packet))
        }
        decoder.keep()
        chunk.fill(0xff)
        assert.ok(decoder.bufferedBytes <= pushed)
      }
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) packets.push(comparable(packet))
      assert.deepEqual(packets, expected)
      assert.equal(decoder.bufferedBytes, 0)
    }
  })

  it('bufferedBytes counts what was pushed and not read', () => {
    const decoder = connected('server', 4)
    const ping = bytesOf(0xc0, 0)
    decoder.push(concat(ping, ping))
    decoder.push(concat(ping, bytesOf(0x30, 10, 0)))
    assert.equal(decoder.bufferedBytes, 9)
    decoder.read()
    assert.equal(decoder.bufferedBytes, 7)
    decoder.keep()
    assert.equal(decoder.bufferedBytes, 7)
    decoder.read()
    decoder.read()
    assert.equal(decoder.read(), null)
    assert.equal(decoder.bufferedBytes, 3)
    decoder.push(bytesOf(1, 0x74))
    assert.equal(decoder.bufferedBytes, 5)
  })

  it('an empty chunk is nothing', () => {
    const decoder = connected('server', 4)
    decoder.push(new Uint8Array(0))
    assert.equal(decoder.read(), null)
    decoder.push(bytesOf(0xc0))
    decoder.push(new Uint8Array(0))
    assert.equal(decoder.read(), null)
    decoder.push(bytesOf(0))
    assert.deepEqual(decoder.read(), new Pingreq())
  })

  it('a complete PUBLISH borrows its chunk: no copy of the payload', () => {
    const decoder = connected('server', 4)
    const chunk = encode(Publish.of({ topic: 't', payload: bytesOf(1, 2, 3) }), 4)
    decoder.push(chunk)
    const packet = decoder.read() as Publish
    assert.equal(packet.buffer, chunk)
    assert.deepEqual([packet.payloadStart, packet.payloadEnd], [5, 8])
    assert.deepEqual(packet.payload, bytesOf(1, 2, 3))
    assert.equal(packet.properties, NO_PROPERTIES)
  })

  it('a Node Buffer is as good as a Uint8Array, and what is kept is no view of it', () => {
    const decoder = new Decoder({ role: 'server' })
    const connect = wireCases.find(({ name }) => name === 'v5 client: CONNECT with everything')!
    const chunk = Buffer.from(connect.bytes)
    decoder.push(chunk)
    const packet = decoder.read()!
    chunk.fill(0)
    assert.deepEqual(comparable(packet), comparable(connect.packet!))
  })

  it('a packet of 5 MiB in chunks of 1,000 bytes is put together', () => {
    const payload = new Uint8Array(5 << 20).map((_, i) => i * 7)
    const bytes = encode(Publish.of({ topic: 't', payload }), 4)
    const decoder = connected('server', 4)
    let packet: Packet | null = null
    for (let at = 0; at < bytes.length; at += 1000) {
      assert.equal(packet, null)
      decoder.push(bytes.subarray(at, at + 1000))
      packet = decoder.read()
    }
    assert.ok(packet instanceof Publish)
    assert.equal(Buffer.compare(packet.payload, payload), 0)
  })

  it('a header that promises 256 MiB gets memory only as the bytes come', () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 20 }, () => {
      const decoder = connected('server', 4)
      decoder.push(bytesOf(0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x74))
      assert.equal(decoder.read(), null)
      return decoder
    })
    assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20)
    assert.equal(decoders[0]!.bufferedBytes, 8)
  })
})

describe('the state of a connection', () => {
  it('the version of a CONNECT is known even if the rest of it is refused', () => {
    for (const version of [3, 4, 5] as const) {
      const decoder = new Decoder({ role: 'server' })
      decoder.push(concat(connectBytes(version).subarray(0, version === 3 ? 11 : 9), new Uint8Array(30).fill(0xff)))
      assert.throws(() => decoder.read(), ProtocolError)
      assert.equal(decoder.protocolVersion, version)
    }
  })

  it('an unknown protocol level is told to who has to answer it', () => {
    for (const [level, protocolLevel] of [
      [6, 6],
      [3, 3],
      [0x86, 6],
    ] as const) {
      const decoder = new Decoder({ role: 'server' })
      decoder.push(
        concat(bytesOf(0x10, 13, 0, 4), new TextEncoder().encode('MQTT'), bytesOf(level, 2, 0, 60, 0, 1, 0x70)),
      )
      assert.throws(
        () => decoder.read(),
        (error: unknown) => {
          assert.ok(error instanceof UnsupportedProtocolVersionError)
          assert.equal(error.protocolLevel, protocolLevel)
          assert.equal(error.code, 'ERR_MQTT_PROTOCOL')
          return true
        },
      )
    }
  })

  it('after an error the decoder is dead: the same error again, nothing held', () => {
    const decoder = connected('server', 5)
    decoder.push(bytesOf(0xc1, 0))
    let first: unknown
    try {
      decoder.read()
    } catch (error) {
      first = error
    }
    decoder.push(bytesOf(0xc0, 0))
    assert.equal(decoder.bufferedBytes, 0)
    assert.throws(
      () => decoder.read(),
      (error) => error === first,
    )
  })

  it('what came before the bad packet comes out first', () => {
    const decoder = connected('server', 4)
    decoder.push(bytesOf(0xc0, 0, 0xc0, 0, 0xc1, 0))
    assert.ok(decoder.read() instanceof Pingreq)
    assert.ok(decoder.read() instanceof Pingreq)
    assert.throws(() => decoder.read(), ProtocolError)
  })

  it('a client may be told its version after it was made', () => {
    const decoder = new Decoder({ role: 'client' })
    decoder.protocolVersion = 5
    decoder.push(connackBytes(5))
    assert.equal(decoder.read()!.type, 2)
    decoder.push(bytesOf(0xe0, 1, 0x8b))
    assert.equal(decoder.read()!.type, 14)
  })

  it('maximumPacketSize may change between packets', () => {
    const decoder = connected('server', 4)
    decoder.maximumPacketSize = 4
    decoder.push(bytesOf(0x40, 2, 0, 1))
    assert.ok(decoder.read())
    decoder.maximumPacketSize = 3
    decoder.push(bytesOf(0x40, 2, 0, 1))
    assert.throws(() => decoder.read(), { reasonCode: 0x95 })
  })
})

describe('arbitrary bytes', () => {
  /** Reads all packets; an error that is no ProtocolError fails the test. */
  function feed(decoder: Decoder, chunks: readonly Uint8Array[]): void {
    try {
      for (const chunk of chunks) {
        decoder.push(chunk)
        for (let packet = decoder.read(); packet !== null; packet = decoder.read()) comparable(packet)
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
    }
  }

  const versions = fc.constantFrom<ProtocolVersion>(3, 4, 5)
  const roles = fc.constantFrom<'server' | 'client'>('server', 'client')
  const topicCache = new TopicCache(16)

  it('only ever raise ProtocolError', () => {
    fc.assert(
      fc.property(
        versions,
        roles,
        fc.boolean(),
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }),
        (version, role, isFirst, chunks) => {
          const decoder = isFirst
            ? new Decoder({ role, protocolVersion: version, topicCache })
            : connected(role, version, { topicCache })
          feed(decoder, chunks)
        },
      ),
      { seed: 20_261_121, numRuns: 3000 },
    )
  })

  it('after a header that fits them only ever raise ProtocolError', () => {
    const first = fc.constantFrom(
      0x10,
      0x20,
      0x30,
      0x32,
      0x34,
      0x3b,
      0x40,
      0x50,
      0x62,
      0x70,
      0x82,
      0x90,
      0xa2,
      0xb0,
      0xe0,
      0xf0,
    )
    fc.assert(
      fc.property(versions, roles, first, fc.uint8Array({ maxLength: 100 }), (version, role, header, body) => {
        feed(connected(role, version, { topicCache }), [concat(bytesOf(header, body.length), body)])
      }),
      { seed: 3, numRuns: 4000 },
    )
  })

  it('made from good packets by changing a few bytes only ever raise ProtocolError', () => {
    const changes = fc.array(
      fc.record({
        at: fc.nat(200),
        kind: fc.constantFrom('set', 'insert', 'delete', 'flip'),
        value: fc.integer({ min: 0, max: 255 }),
      }),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(fc.constantFrom(...wireCases), changes, fc.nat(60), (wireCase, list, cut) => {
        const bytes = [...wireCase.bytes]
        for (const { at, kind, value } of list) {
          const place = at % (bytes.length + 1)
          if (kind === 'set') bytes[place] = value
          else if (kind === 'flip') bytes[place] = (bytes[place] ?? 0) ^ (1 << (value & 7))
          else if (kind === 'insert') bytes.splice(place, 0, value)
          else bytes.splice(place, 1)
        }
        const all = Uint8Array.from(bytes)
        feed(decoderFor(wireCase, topicCache), [all.subarray(0, cut), all.subarray(cut)])
      }),
      { seed: 4, numRuns: 10_000 },
    )
  })
})
