import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodeTopicField } from '@recado/protocol'
import type { Transport } from '../../ports.ts'
import { Message } from '../base/message.ts'
import { Metrics } from '../base/metrics.ts'
import { Outbox, SlabPool } from './outbox.ts'

class Recorder implements Transport {
  readonly remoteAddress: string = ''
  readonly peer: null = null
  readonly listener: string = ''
  readonly out: number[] = []
  writes = 0
  isBlocked = false
  held: Uint8Array[] = []
  get bufferedBytes(): number {
    return this.held.reduce((sum, { length }) => sum + length, 0)
  }
  write(bytes: Uint8Array): boolean {
    return this.writeAll([bytes])
  }
  writeAll(pieces: readonly Uint8Array[]): boolean {
    assert.equal(this.held.length, 0)
    this.writes++
    if (this.isBlocked) {
      this.held = [...pieces]
      return false
    }
    for (const piece of pieces) for (const byte of piece) this.out.push(byte)
    return true
  }
  let(): void {
    for (const piece of this.held) for (const byte of piece) this.out.push(byte)
    this.held = []
    this.isBlocked = false
  }
  end(): void {}
  destroy(): void {}
  pause(): void {}
  resume(): void {}
}

function make(): { outbox: Outbox; transport: Recorder; metrics: Metrics; pool: SlabPool; firsts: () => number } {
  const transport = new Recorder()
  const metrics = new Metrics()
  const pool = new SlabPool()
  let firsts = 0
  const outbox = new Outbox(transport, pool, metrics, () => firsts++)
  return { outbox, transport, metrics, pool, firsts: () => firsts }
}

function put(outbox: Outbox, ...bytes: number[]): void {
  const room = outbox.room(bytes.length)
  for (const byte of bytes) room.bytes[room.length++] = byte
}

const messageOf = (payload: Uint8Array): Message =>
  Message.of({ topic: 't', payload, qos: 0, retain: false, properties: {} }, null, 0)

function publish(outbox: Outbox, payload: Uint8Array): void {
  outbox.publish(messageOf(payload), 4, encodeTopicField('t'), 0, false, false, 0, new Uint8Array(1))
}

test('what is written in a turn leaves in one write, and the owner is asked for a flush once', () => {
  const { outbox, transport, metrics, firsts } = make()
  for (let i = 0; i < 100; i++) put(outbox, i)
  assert.equal(transport.writes, 0)
  assert.equal(outbox.waitingBytes, 100)
  outbox.flush()
  assert.deepEqual(
    transport.out,
    Array.from({ length: 100 }, (_, i) => i),
  )
  assert.equal(transport.writes, 1)
  assert.equal(firsts(), 1)
  assert.equal(metrics.bytesSent, 100)
  assert.equal(outbox.waitingBytes, 0)
  outbox.flush()
  assert.equal(transport.writes, 1)
})

test('a slab grows with what has been written', () => {
  const { outbox, transport } = make()
  const expected: number[] = []
  for (let i = 0; i < 5_000; i++) {
    put(outbox, i & 0xff, 7, 8)
    expected.push(i & 0xff, 7, 8)
  }
  outbox.flush()
  assert.deepEqual(transport.out, expected)
})

test('a large payload goes by reference, in its place', () => {
  const { outbox, transport } = make()
  const payload = new Uint8Array(20_000).fill(5)
  put(outbox, 1, 2)
  publish(outbox, payload)
  put(outbox, 3, 4)
  outbox.flush()
  const remaining = 3 + 20_000
  const head = [0x30, (remaining & 0x7f) | 0x80, ((remaining >> 7) & 0x7f) | 0x80, remaining >> 14, 0, 1, 0x74]
  assert.deepEqual(transport.out, [1, 2, ...head, ...payload, 3, 4])
  assert.equal(transport.writes, 1)
})

test('much in one turn is handed over in between, in order', () => {
  const { outbox, transport } = make()
  const expected: number[] = []
  for (let i = 0; i < 100; i++) {
    publish(outbox, new Uint8Array(i % 2 === 0 ? 9_000 : 5_000).fill(i))
    assert.ok(outbox.waitingBytes < 600_000)
  }
  outbox.flush()
  assert.ok(transport.writes > 1)
  let at = 0
  while (at < transport.out.length) {
    at++
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = transport.out[at++]!
      length |= (byte & 0x7f) << shift
      if (byte < 128) break
    }
    expected.push(transport.out[at + length - 1]!)
    at += length
  }
  assert.deepEqual(
    expected,
    Array.from({ length: 100 }, (_, i) => i),
  )
})

describe('a transport that holds on', () => {
  test('nothing more is written until it drains, then all at once', () => {
    const { outbox, transport } = make()
    transport.isBlocked = true
    put(outbox, 1)
    outbox.flush()
    assert.ok(outbox.isBlocked)
    put(outbox, 2)
    outbox.flush()
    put(outbox, 3)
    assert.equal(transport.writes, 1)
    assert.equal(outbox.waitingBytes, 3)
    transport.let()
    outbox.handleDrain()
    assert.deepEqual(transport.out, [1, 2, 3])
    assert.equal(transport.writes, 2)
    assert.equal(outbox.waitingBytes, 0)
  })

  test('the slab that it holds is not used for others meanwhile', () => {
    const { outbox, transport, pool, metrics } = make()
    const other = new Outbox(new Recorder(), pool, metrics, () => {})
    transport.isBlocked = true
    put(outbox, 1, 2, 3)
    outbox.flush()
    for (let i = 0; i < 50; i++) {
      put(other, 9, 9, 9)
      other.flush()
    }
    transport.let()
    outbox.handleDrain()
    assert.deepEqual(transport.out, [1, 2, 3])
  })

  test('what waits is counted and kept in order when it is a lot', () => {
    const { outbox, transport } = make()
    transport.isBlocked = true
    let expected = 0
    for (let i = 0; i < 300; i++) {
      publish(outbox, new Uint8Array(3_000).fill(i & 0xff))
      if (i === 0) outbox.flush()
      expected += 3_006
      assert.equal(outbox.waitingBytes, expected)
    }
    transport.let()
    outbox.handleDrain()
    assert.equal(transport.out.length, expected)
    for (let i = 0; i < 300; i++) assert.equal(transport.out[i * 3_006 + 3_005], i & 0xff)
  })
})

test('discard forgets what has not been handed over', () => {
  const { outbox, transport } = make()
  put(outbox, 1)
  publish(outbox, new Uint8Array(10_000))
  put(outbox, 2)
  outbox.discard()
  outbox.flush()
  assert.equal(transport.writes, 0)
  assert.equal(outbox.waitingBytes, 0)
})

describe('SlabPool', () => {
  test('gives a slab again when it has come back, empty', () => {
    const pool = new SlabPool()
    const slab = pool.take(100)
    slab.length = 50
    pool.give(slab)
    assert.equal(pool.take(10), slab)
    assert.equal(slab.length, 0)
  })

  test('gives as much room as is asked for', () => {
    const pool = new SlabPool()
    for (const bytes of [1, 1_024, 1_025, 70_000, 262_144, 1_000_000]) {
      assert.ok(pool.take(bytes).bytes.length >= bytes)
    }
  })

  test('keeps a bounded number', () => {
    const pool = new SlabPool()
    const slabs = Array.from({ length: 5_000 }, () => pool.take(1))
    for (const slab of slabs) pool.give(slab)
    const again = new Set(Array.from({ length: 5_000 }, () => pool.take(1)))
    assert.ok(slabs.filter((slab) => again.has(slab)).length <= 1_024)
  })
})
