import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packetEnd } from '@recado/protocol'
import { Records } from './socket-records.ts'

const pingresps = (count: number): Uint8Array => Buffer.from('d000'.repeat(count), 'hex')

test('a connection with a packet now and then has a record for each, one with thousands has them together', () => {
  const records = new Records(packetEnd)
  const at = (ms: number) => (): number => ms
  assert.equal(records.countFor(pingresps(1), at(0)), 1)
  assert.equal(records.countFor(pingresps(700), at(1)), 700)
  assert.equal(records.countFor(pingresps(700), at(2)), 1)
  // A few are always records: PUBLISH and PUBACK, say.
  assert.equal(records.countFor(pingresps(4), at(3)), 4)
  assert.equal(records.countFor(pingresps(700), at(10_000)), 700)
  assert.equal(records.countFor(pingresps(1_001), at(100_000)), 1)
})

test('what all connections together may have is bounded', () => {
  const now = (): number => 200_000
  let separate = 0
  for (let i = 0; i < 50; i++) if (new Records(packetEnd).countFor(pingresps(1_000), now) > 1) separate++
  assert.equal(separate, 10)
})
