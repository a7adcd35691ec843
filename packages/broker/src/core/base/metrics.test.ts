/** Every number has an entry in the table, and gauges that are maintained say what a recount would. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Subscribe } from '@recado/protocol'
import fc from 'fast-check'
import { DiskWorld, subscriptionTo, type TestClient, World, will } from '../../testing/mod.ts'
import { metricTable } from './metric-table.ts'
import { Metrics } from './metrics.ts'

test('each number of the core has an entry in the table, and each entry has a number', () => {
  const fields = new Metrics()
  const names = Object.entries(fields).flatMap(([name, value]) =>
    typeof value === 'number' ? [name] : Object.keys(value as object).map((reason) => `${name}.${reason}`),
  )
  const values: Record<string, number> = new World().core.snapshot()
  assert.deepEqual(Object.keys(values), Object.keys(metricTable))
  for (const name of names) assert.ok(name in metricTable, name)
  for (const [name, value] of Object.entries(values)) assert.ok(Number.isFinite(value), `${name} is ${value}`)
})

test('each entry has a unit in lower case and a sentence', () => {
  for (const [name, { unit, help }] of Object.entries(metricTable)) {
    assert.match(unit, /^[a-z]+$/, name)
    assert.match(help, /^[A-Z][^\n]*\.$/, name)
  }
})

test('packets and payload bytes count in both directions', () => {
  const world = new World()
  const client = world.client('a')
  client.connected()
  client.subscribe('t', { qos: 1 })
  client.publish({ topic: 't', payload: new Uint8Array(5), qos: 1 })
  // CONNACK, SUBACK, PUBLISH, PUBACK
  assert.equal(world.metric('packetsSent'), 4)
  assert.equal(world.metric('payloadBytesReceived'), 5)
  assert.equal(world.metric('payloadBytesSent'), 5)
})

test('the largest number of clients stays when they go', () => {
  const world = new World()
  const clients = ['a', 'b'].map((name) => world.client(name))
  for (const client of clients) client.connected()
  for (const client of clients) client.disconnect()
  assert.equal(world.metric('clients'), 0)
  assert.equal(world.metric('clientsMax'), 2)
})

/** Values that the gauges should have, counted anew. */
function recount({ core }: World): Record<string, number> {
  const sums = { queuedMessages: 0, queuedBytes: 0, inflight: 0, sessions: 0, subscriptions: 0, sharedSubscriptions: 0 }
  for (const session of core.sessions.values()) {
    sums.sessions++
    sums.queuedMessages += session.queue.length
    sums.queuedBytes += session.queue.bytes
    sums.inflight += session.sender.inflight
    for (const { topicFilter } of session.subscriptions.values()) {
      sums.subscriptions++
      if (topicFilter.startsWith('$share/')) sums.sharedSubscriptions++
    }
  }
  return sums
}

const FILTERS = ['a', 'b', '#', '$share/g/a', '$share/g/b']

function doStep(world: World, clients: readonly TestClient[], action: string, who: number, what: number): void {
  const client = clients[who % clients.length]!
  const isOpen = world.core.sessions.get(client.clientId)?.connection != null
  const properties = { sessionExpiryIntervalSeconds: what % 3 === 0 ? 0 : 100 }
  const last = will({ topic: 'a', payload: 'x'.repeat(what), qos: 1 })
  if (action === 'connect') {
    client.acknowledges = what % 2 === 0
    client.connect({ cleanStart: what % 5 === 0, properties, ...(what % 2 === 0 ? { will: last } : {}) })
  } else if (action === 'publish') {
    world.publish({ topic: what % 2 === 0 ? 'a' : 'b', payload: new Uint8Array(what), qos: (what % 3) as 0 | 1 | 2 })
  } else if (action === 'advance') {
    world.advance(what * 1_000)
  } else if (action === 'settle' && world instanceof DiskWorld) {
    world.settle()
  } else if (action === 'remove') {
    world.core.removeSession(client.clientId)
    world.run()
  } else if (isOpen && action === 'subscribe') {
    client.send(new Subscribe(client.packetId(), [subscriptionTo(FILTERS[what % FILTERS.length]!)]))
  } else if (isOpen && action === 'drop') {
    client.drop()
  } else if (isOpen && action === 'disconnect') {
    client.disconnect()
  }
}

for (const isDurable of [false, true]) {
  test(`gauges are what a recount says, ${isDurable ? 'with' : 'without'} a store`, () => {
    const actions = [
      'connect',
      'connect',
      'subscribe',
      'publish',
      'publish',
      'publish',
      'drop',
      'disconnect',
      'advance',
    ]
    const step = fc.tuple(fc.constantFrom(...actions, 'remove'), fc.nat(2), fc.nat(30))
    const check = (steps: [string, number, number][]): void => {
      const limits = { queueMessagesMax: 5, inflightMax: 2 }
      const world = isDurable ? new DiskWorld({ limits }) : new World({ limits })
      const clients = ['x', 'y', 'z'].map((name) => world.client(name))
      for (const [action, who, what] of steps) {
        doStep(world, clients, action, who, what)
        const counted = recount(world)
        const values: Record<string, number> = world.core.snapshot()
        const said = Object.fromEntries(Object.keys(counted).map((name) => [name, values[name]]))
        assert.deepEqual(said, counted)
      }
      for (const client of clients) {
        world.core.removeSession(client.clientId)
        world.run()
      }
      assert.equal(world.metric('willBytes'), 0)
    }
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), check), { numRuns: 200 })
  })
}
