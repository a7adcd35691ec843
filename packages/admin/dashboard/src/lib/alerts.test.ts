import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alertsOf, type Facts } from './alerts.ts'

const nothing: Facts = {
  history: undefined,
  drops: { 'queue-full': 5 },
  dropsBefore: { 'queue-full': 5 },
  problems: [],
  listeners: [],
  durability: undefined,
  nowMs: 0,
}
const history = (series: Record<string, number[]>): Facts['history'] => ({ stepSeconds: 1, atMs: [], series })
const keys = (facts: Partial<Facts>): string[] => alertsOf({ ...nothing, ...facts }).map(({ key }) => key)

test('nothing is said when all is well, of drops long ago neither', () => {
  assert.deepEqual(keys({}), [])
  assert.deepEqual(keys({ history: history({ storeLagMs: [900], slowReaders: [0, 3], memoryLevel: [0] }) }), [])
})

test('each trouble has its sentence', () => {
  const day = 86_400_000
  const listener = { name: 'a', protocol: 'mqtt', tls: true, allowAnonymous: false, traffic: null }
  assert.deepEqual(keys({ problems: ['x'] }), ['alert.problem'])
  assert.deepEqual(keys({ history: history({ storeLagMs: [1_500] }) }), ['alert.lag'])
  assert.deepEqual(keys({ history: history({ memoryLevel: [2] }) }), ['alert.memory'])
  assert.deepEqual(keys({ history: history({ slowReaders: Array(30).fill(2) }) }), ['alert.slow'])
  assert.deepEqual(keys({ history: history({ connectionsRefused: Array(60).fill(1) }) }), ['alert.refused'])
  assert.deepEqual(keys({ drops: { 'queue-full': 9 } }), ['alert.drops'])
  assert.deepEqual(keys({ history: history({ dropped: [0, 2] }) }), ['alert.dropped'])
  assert.deepEqual(keys({ drops: { 'queue-full': 9 }, history: history({ dropped: [0, 2] }) }), ['alert.drops'])
  assert.deepEqual(keys({ listeners: [{ ...listener, certificateExpiresAtMs: 3 * day }] }), ['alert.certificate'])
  assert.deepEqual(keys({ listeners: [{ ...listener, certificateExpiresAtMs: -1 }] }), ['alert.certificateOver'])
  const disk = { fileBytes: 1, freeBytes: 1 }
  const durability = { batches: 1, rows: 1, rowsPerBatch: 1, commitMs: 1, lagMs: 0, storedBytes: 0, disk }
  assert.deepEqual(keys({ durability }), ['alert.disk'])
})
