import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encode, encodeTopicField, type Properties, Publish } from '@recado/protocol'
import type { Transport } from '../../ports.ts'
import { World } from '../../testing/mod.ts'
import { TestContext } from '../../testing/test-context.ts'
import type { BufferPool } from '../base/buffer-pool.ts'
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

function make(): {
  outbox: Outbox
  transport: Recorder
  metrics: Metrics
  pool: SlabPool
  buffers: BufferPool
  firsts: () => number
} {
  const { buffers } = new TestContext()
  const transport = new Recorder()
  const metrics = new Metrics()
  const pool = new SlabPool()
  let firsts = 0
  const outbox = new Outbox(transport, pool, buffers, metrics, () => firsts++)
  return { outbox, transport, metrics, pool, buffers, firsts: () => firsts }
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
    const { outbox, transport, pool, buffers, metrics } = make()
    const other = new Outbox(new Recorder(), pool, buffers, metrics, () => {})
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

describe('large payloads', () => {
  const arrived = (payload: Uint8Array): Message =>
    Message.fromPublish(new Publish('t', 0, false, false, 0, {}, null, payload, 0, payload.length), 't', null, 0)
  const send = (outbox: Outbox, message: Message): void =>
    outbox.publish(message, 4, message.topicField, 0, false, false, 0, new Uint8Array(1))

  test('share one copy, which is free when the last reader has it', () => {
    const { outbox, transport, pool, metrics, buffers } = make()
    const slow = new Recorder()
    const other = new Outbox(slow, pool, buffers, metrics, () => {})
    slow.isBlocked = true
    const chunk = new Uint8Array(20_000).fill(1)
    const message = arrived(chunk)
    send(outbox, message)
    send(other, message)
    message.letGo()
    chunk.fill(2)
    outbox.flush()
    other.flush()
    assert.equal(buffers.freeBytes, 0, 'a slow reader holds it')
    assert.equal(transport.out.lastIndexOf(1), transport.out.length - 1)
    slow.let()
    other.handleDrain()
    assert.deepEqual(slow.out, transport.out)
    assert.ok(buffers.freeBytes > 0)
  })

  test('are free too when the connection ends', () => {
    const { outbox, transport, buffers } = make()
    transport.isBlocked = true
    for (let i = 0; i < 2; i++) {
      const message = arrived(new Uint8Array(20_000))
      send(outbox, message)
      message.letGo()
      outbox.flush()
    }
    assert.equal(buffers.freeBytes, 0)
    outbox.discard()
    assert.ok(buffers.freeBytes >= 40_000)
  })

  test('that are kept are not copied again, and stay as they are', () => {
    const { outbox, transport, buffers } = make()
    const message = arrived(new Uint8Array(20_000).fill(1))
    send(outbox, message)
    const { buffer } = message
    message.keep()
    message.letGo()
    outbox.flush()
    assert.equal(message.buffer, buffer)
    assert.equal(buffers.freeBytes, 0)
    assert.equal(transport.out.length, 20_000 + 7)
  })

  test('in a much larger buffer are copied for a slow reader, who would hold all of it', () => {
    const { outbox, transport, buffers } = make()
    const region = buffers.take(131_072)
    const send20K = (): void => {
      const publish = new Publish('t', 0, false, false, 0, {}, null, region.bytes, 0, 20_000)
      publish.holder = region
      const message = Message.fromPublish(publish, 't', null, 0)
      send(outbox, message)
      message.letGo()
    }
    send20K()
    assert.equal(region.users, 2)
    transport.isBlocked = true
    outbox.flush()
    for (let i = 0; i < 50; i++) send20K()
    assert.ok(region.users < 20, `${region.users} of 51`)
    transport.let()
    outbox.handleDrain()
    assert.equal(region.users, 1)
    assert.equal(transport.out.length, 51 * 20_007)
  })

  test('have heads in one slab, however many there are', () => {
    const { outbox, transport } = make()
    let expected = 0
    for (let i = 0; i < 200; i++) {
      const message = arrived(new Uint8Array(9_000).fill(i))
      send(outbox, message)
      message.letGo()
      put(outbox, 0xc0, 0)
      expected += 9_006 + 2
    }
    outbox.flush()
    assert.equal(transport.out.length, expected)
    for (let i = 0; i < 200; i++) assert.equal(transport.out[i * 9_008 + 6], i)
  })
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

test('a large message with properties reaches readers of all kinds, fast and slow, as it was sent', () => {
  const world = new World()
  const readers = ['plain', 'marked', 'old', 'slow'].map((name) => {
    const reader = world.client(name, name === 'old' ? { version: 4 } : {})
    reader.connected()
    if (name === 'marked') reader.subscribe('big/#', { identifier: 7 })
    else reader.subscribe('big/#')
    reader.takeAll()
    return reader
  })
  const publisher = world.client('publisher')
  publisher.connected()
  readers[3]!.transport.block()
  const properties = { messageExpiryIntervalSeconds: 60, contentType: 'x/y', userProperties: [['a', 'b']] as const }
  const payloads: Uint8Array[] = []
  for (let i = 0; i < 40; i++) {
    const payload = new Uint8Array(9_000 + i * 700).fill(i)
    payloads.push(payload)
    const more = i % 2 === 0 ? {} : { properties: structuredClone(properties) as unknown as Properties }
    const bytes = encode(Publish.of({ topic: `big/${i}`, payload, ...more }), 5)
    publisher.transport.receive(bytes, [1 + i, 5_000, 65_536])
    world.run()
  }
  readers[3]!.transport.drain()
  world.run()
  for (const reader of readers) {
    const got = reader.takeAll().filter((packet) => packet instanceof Publish)
    assert.equal(got.length, payloads.length, reader.clientId)
    for (const [i, publish] of got.entries()) {
      assert.ok(Buffer.from(payloads[i]!).equals(publish.payload), `${reader.clientId} ${i}`)
      if (reader.clientId !== 'old' && i % 2 === 1) assert.equal(publish.properties.contentType, 'x/y')
    }
  }
})
