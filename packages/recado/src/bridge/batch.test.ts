import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Random } from '@recado/testkit'
import { Batch, type BatchedMessage, type ReadyBatch } from './batch.ts'
import { RateGate } from './rate-gate.ts'

const message = (topic: string, payload: string | Uint8Array): BatchedMessage => ({
  ...{ topic, qos: 1, retain: false },
  payload: Buffer.from(payload as string),
})
const lines = ({ payload }: ReadyBatch<unknown>): unknown[] =>
  Buffer.from(payload)
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))

test('a batch goes when it has its count, in the order of its messages', () => {
  const batch = new Batch<number>({ count: 3, seconds: 10, bytes: 10_000, gzip: false })
  assert.deepEqual(batch.add(1, message('a', 'x'), 0), [])
  assert.deepEqual(batch.add(2, message('b', 'ü"\n'), 5), [])
  assert.equal(batch.dueAtMs, 10_000)
  const [ready, ...others] = batch.add(3, { ...message('c', Uint8Array.of(0xff, 0)), retain: true }, 9)
  assert.deepEqual(others, [])
  assert.deepEqual(ready!.members, [1, 2, 3])
  assert.deepEqual(lines(ready!), [
    { topic: 'a', qos: 1, payload: 'x' },
    { topic: 'b', qos: 1, payload: 'ü"\n' },
    { topic: 'c', qos: 1, retain: true, payload_base64: '/wA=' },
  ])
  assert.deepEqual([batch.size, batch.dueAtMs], [0, null])
})

test('a batch goes when its time has come, counted from its first message', () => {
  const batch = new Batch<number>({ count: 100, seconds: 2, bytes: 10_000, gzip: false })
  assert.equal(batch.takeDue(1e12), null)
  batch.add(1, message('a', 'x'), 1_000)
  batch.add(2, message('a', 'y'), 2_900)
  assert.equal(batch.takeDue(2_999), null)
  assert.deepEqual(batch.takeDue(3_000)?.members, [1, 2])
  assert.equal(batch.takeDue(9_000), null)
})

test('a batch never has more bytes than its limit, but for a single message that is larger and goes alone', () => {
  const random = new Random(7)
  for (let run = 0; run < 200; run++) {
    const limits = {
      count: random.between(2, 20),
      seconds: 5,
      bytes: random.between(256, 2_000),
      gzip: random.chance(0.5),
    }
    const batch = new Batch<number>(limits)
    const taken: ReadyBatch<number>[] = []
    for (let n = 0; n < 60; n++) taken.push(...batch.add(n, message('t', 'x'.repeat(random.between(0, 700))), n))
    const rest = batch.takeDue(1e9)
    if (rest !== null) taken.push(rest)
    assert.deepEqual(
      taken.flatMap(({ members }) => members),
      Array.from({ length: 60 }, (_, n) => n),
    )
    for (const { members, payload } of taken) {
      const text = limits.gzip ? gunzipSync(payload) : payload
      assert.ok(members.length <= limits.count)
      assert.ok(text.length <= limits.bytes || members.length === 1, `${text.length} of ${limits.bytes}`)
    }
  }
})

test('what has not gone when the connection ends is forgotten: the session sends it again', () => {
  const batch = new Batch<number>({ count: 3, seconds: 1, bytes: 10_000, gzip: false })
  batch.add(1, message('a', 'x'), 0)
  batch.clear()
  assert.equal(batch.takeDue(1e9), null)
  batch.add(1, message('a', 'x'), 5_000)
  assert.deepEqual(batch.takeDue(6_000)?.members, [1])
})

test('a rate lets so many messages go in a second, and a tenth of them at once', () => {
  for (const perSecond of [1, 7, 100, 5_000]) {
    const gate = new RateGate(perSecond, 0)
    let sent = 0
    for (let now = 0; now < 10_000; ) {
      const waitMs = gate.waitMs(now)
      if (waitMs > 0) now += waitMs
      else {
        gate.take(now)
        sent++
      }
    }
    const most = 10 * perSecond + Math.max(1, perSecond / 10)
    assert.ok(sent <= most && sent >= 10 * perSecond * 0.9, `${sent} at ${perSecond} a second`)
  }
})

test('a clock that goes back lets nothing more through, and does not stop the rate for ever', () => {
  const gate = new RateGate(10, 100_000)
  gate.take(100_000)
  assert.equal(gate.waitMs(50_000), 100)
  assert.equal(gate.waitMs(50_100), 0)
})
