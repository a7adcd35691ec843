import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode, Puback, Publish } from '@recado/protocol'
import fc from 'fast-check'
import type { Transport } from '../ports.ts'
import { writeFrames } from './websocket-frame-writer.ts'
import { serverFrameEnd } from './websocket-frames.ts'

/** Keeps what it is given: copied when it takes a write, as it is when it holds on to one. */
class Recorder {
  readonly writes: Uint8Array[][] = []
  isTaking = true
  write(bytes: Uint8Array): boolean {
    return this.writeAll([bytes])
  }
  writeAll(pieces: readonly Uint8Array[]): boolean {
    this.writes.push(this.isTaking ? pieces.map((piece) => piece.slice()) : [...pieces])
    return this.isTaking
  }
}

function payloadsOf(frames: Buffer): Buffer[] {
  const payloads: Buffer[] = []
  for (let at = 0; at < frames.length; ) {
    const end = serverFrameEnd(frames, at)
    assert.equal(frames[at], 0x82)
    const shortLength = frames[at + 1]!
    payloads.push(frames.subarray(at + (shortLength < 126 ? 2 : shortLength === 126 ? 4 : 10), end))
    at = end
  }
  return payloads
}

const packet = fc.oneof(
  fc.integer({ min: 1, max: 65_535 }).map((packetId) => encode(new Puback(packetId, 0, {}), 4)),
  fc
    .oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 8_000, max: 9_000 }), fc.constantFrom(65_530, 70_000))
    .map((bytes) => encode(Publish.of({ topic: 't', qos: 0, payload: new Uint8Array(bytes).fill(bytes) }), 4)),
)

test('each packet is a frame and all of them one write, also with payloads that are pieces of their own', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(packet, fc.boolean()), { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      (parts, isTaking) => {
        const recorder = new Recorder()
        recorder.isTaking = isTaking
        const pieces: Uint8Array[] = []
        let slab: Uint8Array[] = []
        for (const [bytes, isCut] of parts) {
          // As the outbox does: what stands before a payload, and then the payload.
          const cutAt = isCut ? Math.min(5, bytes.length) : bytes.length
          slab.push(bytes.subarray(0, cutAt))
          if (cutAt === bytes.length) continue
          pieces.push(Buffer.concat(slab), bytes.subarray(cutAt))
          slab = []
        }
        if (slab.length > 0) pieces.push(Buffer.concat(slab))
        assert.equal(writeFrames(recorder as unknown as Transport, pieces), isTaking)
        // What is held must not be written over by what follows.
        writeFrames(new Recorder() as unknown as Transport, [new Uint8Array(3_000).fill(0xee)])
        assert.equal(recorder.writes.length, 1)
        const payloads = payloadsOf(Buffer.concat(recorder.writes[0]!))
        assert.deepEqual(
          payloads.map((each) => each.toString('hex')),
          parts.map(([bytes]) => Buffer.from(bytes).toString('hex')),
        )
      },
    ),
    { numRuns: 60 },
  )
})

test('bytes that are no packets arrive as they are', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (pieces) => {
      const recorder = new Recorder()
      writeFrames(recorder as unknown as Transport, pieces)
      const payloads = recorder.writes.flatMap((write) => payloadsOf(Buffer.concat(write)))
      assert.deepEqual(Buffer.concat(payloads), Buffer.concat(pieces))
    }),
  )
})
