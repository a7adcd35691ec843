import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { clientFrame } from '../testing/websocket-peer.ts'
import { FrameReader, writeFrameHeader } from './websocket-frames.ts'

class Recorder {
  readonly payload: number[] = []
  readonly pings: string[] = []
  readonly calls: string[] = []
  handlePayload(bytes: Uint8Array): void {
    this.payload.push(...bytes)
    this.calls.push('payload')
  }
  handlePing(payload: Uint8Array): void {
    this.pings.push(Buffer.from(payload).toString('hex'))
  }
  handleCloseFrame(code: number | null): void {
    this.calls.push(`close ${code}`)
  }
}

/** Pushes all bytes in chunks of these sizes, the last over and over; each chunk lies somewhere in a larger buffer. */
function push(reader: FrameReader, bytes: Uint8Array, sizes: readonly number[], offset: number): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)] ?? bytes.length
    const buffer = new Uint8Array(offset + size)
    const chunk = buffer.subarray(offset, offset + Math.min(size, bytes.length - at))
    chunk.set(bytes.subarray(at, at + size))
    reader.push(chunk)
    chunk.fill(0xaa)
    at += size
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 20 })
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 })

test('what is in binary messages comes out, however frames and chunks are cut and whatever stands between [MQTT-6.0.0-2]', () => {
  const part = fc.record({
    payload: fc.uint8Array({ maxLength: 1_500 }),
    mask,
    ping: fc.option(fc.uint8Array({ maxLength: 125 })),
  })
  const message = fc.array(part, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 6 }),
      sizes,
      fc.integer({ min: 0, max: 7 }),
      (messages, cuts, offset) => {
        const frames: Uint8Array[] = []
        const payload: number[] = []
        const pings: string[] = []
        for (const parts of messages) {
          parts.forEach((each, i) => {
            frames.push(clientFrame(i === 0 ? 2 : 0, each.payload, i === parts.length - 1, each.mask))
            payload.push(...each.payload)
            if (each.ping === null) return
            frames.push(clientFrame(9, each.ping, true, each.mask), clientFrame(10, each.ping))
            pings.push(Buffer.from(each.ping).toString('hex'))
          })
        }
        const recorder = new Recorder()
        push(new FrameReader(recorder), Buffer.concat(frames), cuts, offset)
        assert.deepEqual(recorder.payload, payload)
        assert.deepEqual(recorder.pings, pings)
      },
    ),
    { numRuns: 300 },
  )
})

test('a large frame is unmasked right at every alignment', () => {
  const payload = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 31) & 0xff)
  const frame = clientFrame(2, payload)
  for (const size of [frame.length, 65_536, 1_021, 4_096]) {
    for (let offset = 0; offset < 5; offset++) {
      const recorder = new Recorder()
      push(new FrameReader(recorder), frame, [size], offset)
      assert.deepEqual(Buffer.from(recorder.payload), Buffer.from(payload))
    }
  }
})

test('many frames in a chunk are handed on in one call; a Close comes behind them, and nothing after it', () => {
  const recorder = new Recorder()
  const frames = [clientFrame(2, Buffer.from('a')), clientFrame(2, Buffer.from('b'))]
  new FrameReader(recorder).push(Buffer.concat([...frames, clientFrame(8, Uint8Array.of(3, 232)), ...frames]))
  assert.deepEqual(recorder.calls, ['payload', 'close 1000'])
  assert.deepEqual(recorder.payload, [97, 98])
})

test('what came before a mistake is handed on', () => {
  const recorder = new Recorder()
  const bytes = Buffer.concat([clientFrame(2, Buffer.from('a')), clientFrame(1, Buffer.from('b'))])
  assert.throws(() => new FrameReader(recorder).push(bytes), { closeCode: 1003 })
  assert.deepEqual(recorder.payload, [97])
})

test('any bytes at all are read or refused, and keep no more than a header and a control frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), sizes, (bytes, cuts) => {
      const reader = new FrameReader(new Recorder())
      try {
        push(reader, bytes, cuts, 0)
      } catch (error) {
        assert.match((error as Error).message, /^WebSocket: /)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('headers of ours have the shortest length that holds', () => {
  const headerOf = (length: number): number[] => {
    const bytes = new Uint8Array(10)
    return [...bytes.subarray(0, writeFrameHeader(bytes, 0, 2, length))]
  }
  assert.deepEqual(headerOf(0), [0x82, 0])
  assert.deepEqual(headerOf(125), [0x82, 125])
  assert.deepEqual(headerOf(126), [0x82, 126, 0, 126])
  assert.deepEqual(headerOf(65_535), [0x82, 126, 255, 255])
  assert.deepEqual(headerOf(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
  assert.deepEqual(headerOf(2 ** 33 + 5), [0x82, 127, 0, 0, 0, 2, 0, 0, 0, 5])
})

test('a length in more bytes than it needs is a protocol error (RFC 6455, 5.2)', () => {
  const frame = (opcode: number, ...length: number[]): Uint8Array =>
    Uint8Array.of(0x80 | opcode, 0x80 | length[0]!, ...length.slice(1), 0, 0, 0, 0)
  const eight = (length: number): number[] => [127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff]
  for (const length of [[126, 0, 0], [126, 0, 5], [126, 0, 125], eight(0), eight(126), eight(0xffff)]) {
    const reader = new FrameReader(new Recorder())
    assert.throws(() => reader.push(frame(2, ...length)), { closeCode: 1002 }, `${length}`)
  }
  for (const length of [[0], [125], [126, 0, 126], [126, 0xff, 0xff], eight(0x10000)]) {
    new FrameReader(new Recorder()).push(frame(2, ...length))
  }
})
