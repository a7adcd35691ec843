import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PacketIdMap } from './packet-ids.ts'

test('identifiers begin at 1, follow each other and begin again after 65,535 [MQTT-2.2.1-3]', () => {
  const map = new PacketIdMap<number>()
  for (let turn = 0; turn < 2; turn++) {
    for (let expected = 1; expected <= 65_535; expected++) {
      assert.equal(map.allocate(expected), expected)
      assert.equal(map.delete(expected), expected)
    }
  }
  assert.equal(map.size, 0)
})

test('an identifier in use is passed over when the count comes round to it [MQTT-2.2.1-4]', () => {
  const map = new PacketIdMap<string>()
  assert.equal(map.allocate('stays'), 1)
  map.set(3, 'stays too')
  for (let id = 2; id <= 65_535; id++) if (id !== 3) assert.equal(map.delete(map.allocate('goes')), 'goes')
  assert.equal(map.allocate('next'), 2)
  assert.equal(map.allocate('after that'), 4)
  assert.deepEqual(map.values().sort(), ['after that', 'next', 'stays', 'stays too'])
  assert.deepEqual(
    map.ids().sort((a, b) => a - b),
    [1, 2, 3, 4],
  )
})

test('all 65,535 can be in use, the next one is refused until one is freed [MQTT-2.2.1-3]', () => {
  const map = new PacketIdMap<number>()
  for (let i = 1; i <= 65_535; i++) map.allocate(i)
  assert.equal(map.size, 65_535)
  assert.throws(() => map.allocate(0), { code: 'ERR_MQTT_PACKET_IDS' })
  assert.equal(map.delete(40_000), 40_000)
  assert.equal(map.allocate(7), 40_000)
  for (let i = 1; i <= 65_535; i++) assert.equal(map.get(i), i === 40_000 ? 7 : i)
  for (let i = 1; i <= 65_535; i++) map.delete(i)
  assert.equal(map.size, 0)
  assert.deepEqual(map.values(), [])
})

test('the count goes on after any number, past those that are in use [MQTT-2.2.1-4]', () => {
  const map = new PacketIdMap<string>()
  map.set(65_535, 'in use')
  map.startAfter(65_533)
  assert.deepEqual([map.allocate('a'), map.allocate('b')], [65_534, 1])
  map.startAfter(0)
  assert.equal(map.allocate('c'), 2)
})

test('0 and what is no Packet Identifier are never in use and cannot be set', () => {
  const map = new PacketIdMap<number>()
  for (const id of [0, -1, 65_536, 1.5, Number.NaN]) {
    assert.equal(map.has(id), false)
    assert.equal(map.get(id), undefined)
    assert.equal(map.delete(id), undefined)
    assert.throws(() => map.set(id, 1), { code: 'ERR_MQTT_PACKET_IDS' })
  }
  map.set(8, 8)
  assert.equal(map.has(0), false)
  assert.equal(map.get(0), undefined)
  assert.equal(map.delete(0), undefined)
  assert.equal(map.has(65_544), false)
  assert.equal(map.size, 1)
})

test('clear frees all and the count goes on', () => {
  const map = new PacketIdMap<number>()
  assert.equal(map.allocate(1), 1)
  map.clear()
  assert.equal(map.size, 0)
  assert.equal(map.get(1), undefined)
  assert.equal(map.allocate(1), 2)
})

test('maps that fill and empty, many identifiers each time, never see those of another', () => {
  const maps = Array.from({ length: 20 }, () => new PacketIdMap<string>())
  for (let round = 0; round < 4; round++) {
    for (const [number, map] of maps.entries()) {
      const count = 1_100 + 300 * ((number + round) % 5)
      const ids = Array.from({ length: count }, (_, i) => map.allocate(`${number} ${round} ${i}`))
      // The next map fills while this one is half empty.
      for (const [i, id] of ids.entries()) if (i % 2 === 0) assert.equal(map.delete(id), `${number} ${round} ${i}`)
      const next = maps[(number + 1) % maps.length]!
      const others = Array.from({ length: 1_500 }, (_, i) => next.allocate(`other ${i}`))
      assert.equal(map.size, Math.floor(count / 2))
      assert.equal(map.values().length, map.size)
      for (const [i, id] of ids.entries()) if (i % 2 === 1) assert.equal(map.delete(id), `${number} ${round} ${i}`)
      for (const [i, id] of others.entries()) assert.equal(next.delete(id), `other ${i}`)
      for (const empty of [map, next]) {
        assert.equal(empty.size, 0)
        assert.deepEqual(empty.values(), [])
        assert.equal(empty.has(ids[0]!), false)
      }
    }
  }
})

test('does what a Map does, and gives out no identifier in use, under any sequence of calls [MQTT-2.2.1-3]', () => {
  // Few residues and all bit patterns, so that identifiers meet in the same slot
  const id = fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 63 }).map((n) => n * 1024),
    fc.constant(65_535),
  )
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('allocate' as const), id }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('set' as const), id }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('delete' as const), id }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const map = new PacketIdMap<number>()
      const model = new Map<number, number>()
      let last = 0
      steps.forEach((step, value) => {
        if (step.do === 'allocate') {
          do last = (last % 65_535) + 1
          while (model.has(last))
          assert.equal(map.allocate(value), last)
          model.set(last, value)
        } else if (step.do === 'set') {
          map.set(step.id, value)
          model.set(step.id, value)
        } else {
          assert.equal(map.delete(step.id), model.get(step.id))
          model.delete(step.id)
        }
        assert.equal(map.size, model.size)
        assert.equal(map.get(step.id), model.get(step.id))
        assert.equal(map.has(step.id), model.has(step.id))
      })
      const order = (a: number, b: number): number => a - b
      assert.deepEqual(map.values().sort(order), [...model.values()].sort(order))
      assert.deepEqual(map.ids().sort(order), [...model.keys()].sort(order))
      for (const [id, value] of model) assert.equal(map.get(id), value)
    }),
    { numRuns: 500 },
  )
})
