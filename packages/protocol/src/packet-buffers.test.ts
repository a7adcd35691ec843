/** Large packets that arrive in pieces: put together in buffers of a pool, in whatever pieces they come. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Decoder } from './decoder.ts'
import { encode } from './encoder.ts'
import type { PacketBuffer, PacketBuffers } from './packet-buffers.ts'
import { Publish } from './packets.ts'

const KiB = 1024
const MiB = 1024 * KiB
const OVERWRITTEN = 0xdb

/** Buffers that are overwritten as soon as nobody uses them. */
class StrictBuffers implements PacketBuffers {
  readonly readAheadBytes: number
  readonly sizes: number[] = []
  inUse = 0
  kept = 0

  constructor(readAheadBytes = 0) {
    this.readAheadBytes = readAheadBytes
  }

  take(bytes: number): PacketBuffer {
    this.sizes.push(bytes)
    this.inUse++
    let users = 1
    let isKept = false
    const buffer = {
      bytes: new Uint8Array(bytes).fill(OVERWRITTEN),
      hold: () => {
        users++
      },
      release: () => {
        assert.ok(users > 0, 'released once too often')
        users--
        if (users > 0 || isKept) return
        this.inUse--
        buffer.bytes.fill(OVERWRITTEN)
      },
      keep: () => {
        if (!isKept) this.kept++
        isKept = true
      },
    }
    return buffer
  }
}

function decoderWith(buffers: PacketBuffers): Decoder {
  return new Decoder({ role: 'server', isConnected: true, buffers })
}

function publishOf(seed: number, length: number): Publish {
  const payload = new Uint8Array(length)
  for (let i = 0; i < length; i++) payload[i] = (seed + i * 7 + (i >>> 8) * 13) & 0xff
  return Publish.of({ topic: `t/${seed}`, payload })
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Arrival of the next bytes: in a chunk of their own, or read into the memory of the decoder where it gives some. */
interface Step {
  bytes: number
  isDirect: boolean
  /** The owner of the chunk takes it back before it has been read. */
  isKept: boolean
}

/** Feeds the bytes in such steps, over and over; returns the payloads, of which each `held`th is held to the end. */
function feed(decoder: Decoder, bytes: Uint8Array, steps: readonly Step[], held: number): Uint8Array[] {
  const payloads: (Uint8Array | Publish)[] = []
  const holders: PacketBuffer[] = []
  let target: Uint8Array | null = null
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const step = steps[i % steps.length]!
    const part = bytes.subarray(at, at + step.bytes)
    let own: Uint8Array | null = null
    if (target !== null && step.isDirect) {
      const count = Math.min(target.length, part.length)
      target.set(part.subarray(0, count))
      decoder.push(target.subarray(0, count))
      at += count
    } else {
      own = part.slice()
      decoder.push(own)
      at += part.length
    }
    if (step.isKept) {
      decoder.keep()
      own?.fill(0xaa)
    }
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
      assert.ok(packet instanceof Publish)
      if (packet.holder !== null && payloads.length % held === 0) {
        packet.holder.hold()
        holders.push(packet.holder)
        payloads.push(packet)
      } else payloads.push(packet.payload.slice())
    }
    own?.fill(0xaa)
    target = decoder.nextRead
  }
  const result = payloads.map((each) => (each instanceof Publish ? each.payload.slice() : each))
  for (const holder of holders) holder.release()
  return result
}

const step: fc.Arbitrary<Step> = fc.record({
  bytes: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 100, max: 70_000 }), fc.constant(65_536)),
  isDirect: fc.boolean(),
  isKept: fc.boolean(),
})

describe('large packets in pieces', () => {
  it('come as they were sent, however they are cut and wherever they are read to', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 8_000, max: 300_000 })), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.array(step, { minLength: 1, maxLength: 8 }),
        fc.constantFrom(0, 20_000, 131_072),
        fc.integer({ min: 1, max: 4 }),
        (lengths, steps, readAhead, held) => {
          // Byte by byte a hundred thousand bytes would take long.
          fc.pre(steps.some(({ bytes }) => bytes >= 100))
          const sent = lengths.map((length, i) => publishOf(i, length))
          const buffers = new StrictBuffers(readAhead)
          const decoder = decoderWith(buffers)
          const got = feed(decoder, joined(sent.map((each) => encode(each, 4))), steps, held)
          assert.equal(got.length, sent.length)
          for (const [i, payload] of got.entries()) assert.ok(Buffer.from(payload).equals(sent[i]!.payload), `${i}`)
          assert.equal(decoder.bufferedBytes, 0)
          assert.equal(decoder.unfinishedBytes, 0)
          assert.equal(decoder.read(), null)
          assert.equal(buffers.inUse, 0, 'every buffer has gone back')
        },
      ),
      { numRuns: 200 },
    )
  })

  it('reserve what has arrived four times at most, not what a header announces', () => {
    const buffers = new StrictBuffers(131_072)
    const decoder = decoderWith(buffers)
    // 200 MiB are announced.
    decoder.push(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x64, 0, 1, 0x74))
    assert.equal(decoder.read(), null)
    assert.ok(decoder.unfinishedBytes <= 64 * KiB)
    const piece = new Uint8Array(10_000)
    for (let sent = 0; sent < 3 * MiB; sent += piece.length) {
      decoder.push(piece)
      assert.equal(decoder.read(), null)
      assert.ok(decoder.unfinishedBytes <= Math.max(64 * KiB, 4 * decoder.bufferedBytes))
    }
    decoder.discard()
    assert.equal(buffers.inUse, 0)
  })

  it('are put together without being moved where packets of that size have come before', () => {
    const buffers = new StrictBuffers()
    const decoder = decoderWith(buffers)
    const bytes = encode(publishOf(1, MiB), 4)
    const steps = [{ bytes: 65_536, isDirect: true, isKept: false }]
    feed(decoder, bytes, steps, 1)
    assert.ok(buffers.sizes.length > 1)
    buffers.sizes.length = 0
    feed(decoder, bytes, steps, 1)
    assert.deepEqual(buffers.sizes, [bytes.length])
  })

  it('leave a buffer that may still be read into to the collector when the connection ends', () => {
    const buffers = new StrictBuffers()
    const decoder = decoderWith(buffers)
    decoder.push(encode(publishOf(1, 100_000), 4).subarray(0, 50_000))
    assert.equal(decoder.read(), null)
    const target = decoder.nextRead
    assert.ok(target !== null && target.length > 0)
    decoder.discard()
    assert.equal(buffers.kept, 1)
    assert.equal(decoder.nextRead, null)
  })

  it('are not read into memory of the decoder while chunks wait', () => {
    const decoder = decoderWith(new StrictBuffers())
    const bytes = encode(publishOf(1, 100_000), 4)
    decoder.push(bytes.subarray(0, 50_000))
    assert.equal(decoder.read(), null)
    decoder.push(bytes.subarray(50_000, 60_000))
    assert.equal(decoder.nextRead, null)
    assert.equal(decoder.read(), null)
    assert.ok(decoder.nextRead !== null)
    decoder.push(bytes.subarray(60_000))
    const packet = decoder.read()
    assert.ok(packet instanceof Publish && packet.payload.length === 100_000)
  })
})
