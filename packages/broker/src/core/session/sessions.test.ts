import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, ConnectReturnCode, ReasonCode } from '@recado/protocol'
import { World } from '../../testing/mod.ts'
import { SimStore } from '../../testing/sim-store.ts'

const expiry = (sessionExpiryIntervalSeconds: number): object => ({
  cleanStart: false,
  properties: { sessionExpiryIntervalSeconds },
})

describe('Session Expiry Interval', () => {
  test('0 or absent: the session ends with its connection [MQTT-3.1.2-23]', () => {
    const world = new World()
    for (const options of [{ cleanStart: false }, expiry(0)]) {
      const a = world.client('a')
      a.connected(options)
      a.drop()
      assert.equal(world.core.sessions.size, 0)
      assert.equal(a.connected(options).sessionPresent, false)
      a.drop()
    }
    assert.equal(world.eventsOf('session.ended')[0]?.why, 'disconnected')
  })

  test('counts from when the connection is lost, and the session ends then [MQTT-4.1.0-1] [MQTT-4.1.0-2]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ ...expiry(10), keepAliveSeconds: 0 })
    world.advance(60_000)
    a.drop()
    world.advance(9_900)
    assert.equal(world.core.sessions.size, 1)
    world.advance(300)
    assert.equal(world.core.sessions.size, 0)
    assert.equal(world.metric('sessions'), 0)
    assert.equal(world.metric('sessionsExpired'), 1)
    assert.equal(world.eventsOf('session.ended')[0]?.why, 'expired')
    assert.equal(a.connected(expiry(10)).sessionPresent, false)
  })

  test('connecting again stops the count', () => {
    const world = new World()
    const a = world.client('a')
    for (let i = 0; i < 5; i++) {
      assert.equal(a.connected({ ...expiry(10), keepAliveSeconds: 0 }).sessionPresent, i > 0)
      world.advance(30_000)
      a.drop()
      world.advance(9_000)
    }
  })

  test('nobody’s session waits for longer than 30 days by default, and 5.0 is told so', () => {
    const world = new World()
    const a = world.client('a')
    assert.equal(a.connected(expiry(0xffff_ffff)).properties.sessionExpiryIntervalSeconds, 30 * 86_400)
    a.drop()
    world.advance(30 * 86_400_000)
    assert.equal(world.core.sessions.size, 0)
  })

  test('4294967295 never ends', () => {
    const world = new World({ limits: { sessionExpirySecondsMax: 0xffff_ffff } })
    const a = world.client('a')
    a.connected(expiry(0xffff_ffff))
    a.drop()
    world.advance(200 * 365 * 24 * 3_600_000)
    assert.equal(a.connected(expiry(0xffff_ffff)).sessionPresent, true)
  })

  test('4294967294, 136 years, is counted', () => {
    const world = new World({ limits: { sessionExpirySecondsMax: 0xffff_ffff } })
    const a = world.client('a')
    a.connected(expiry(0xffff_fffe))
    a.drop()
    const before = world.clock.alarms
    world.advance(24 * 3_600_000)
    assert.ok(world.clock.alarms - before < 1_000)
    assert.equal(world.core.sessions.size, 1)
  })

  test('that of the last CONNECT counts', () => {
    const world = new World()
    const a = world.client('a')
    a.connected(expiry(1000))
    a.drop()
    a.connected(expiry(5))
    a.drop()
    world.advance(5_200)
    assert.equal(world.core.sessions.size, 0)
  })

  test('sessionExpirySecondsMax bounds it, and 3.1.1 gets that', () => {
    const world = new World({ limits: { sessionExpirySecondsMax: 10 } })
    const a = world.client('a')
    assert.equal(a.connected(expiry(1000)).properties.sessionExpiryIntervalSeconds, 10)
    const b = world.client('b', { version: 4 })
    b.connected({ cleanStart: false })
    a.drop()
    b.drop()
    world.advance(10_200)
    assert.equal(world.core.sessions.size, 0)
  })

  test('sessionExpirySecondsMax bounds that of DISCONNECT too', () => {
    const world = new World({ limits: { sessionExpirySecondsMax: 10 } })
    const a = world.client('a')
    a.connected(expiry(5))
    a.disconnect(0, { sessionExpiryIntervalSeconds: 1000 })
    world.advance(10_200)
    assert.equal(world.core.sessions.size, 0)
  })
})

describe('limits', () => {
  test('sessionsMax: one more is refused with 0x97, one that is there may connect', () => {
    const world = new World({ limits: { sessionsMax: 2 } })
    const a = world.client('a')
    a.connected(expiry(100))
    a.drop()
    world.client('b').connected()
    assert.equal(world.client('c').connect().take(Connack).reasonCode, ReasonCode.QuotaExceeded)
    assert.equal(world.client('d', { version: 4 }).connect().take(Connack).reasonCode, 3)
    assert.equal(a.connected(expiry(100)).sessionPresent, true)
    assert.equal(world.metric('connectionsRefused'), 2)
  })

  test('connectionsMax: one more is refused with 0x89, until somebody goes', () => {
    const world = new World({ limits: { connectionsMax: 2 } })
    const a = world.client('a')
    a.connected()
    world.client('b').connected()
    const c = world.client('c')
    assert.equal(c.connect().take(Connack).reasonCode, ReasonCode.ServerBusy)
    assert.equal(world.client('d', { version: 4 }).connect().take(Connack).reasonCode, 3)
    a.drop()
    c.connected()
    assert.equal(world.metric('connectionsRefused'), 2)
    assert.equal(world.metric('clients'), 2)
  })

  test('connections that say nothing are bounded too', () => {
    const world = new World({ limits: { connectionsMax: 1 } })
    const silent = Array.from({ length: 1_100 }, () => world.client('x').open())
    assert.equal(silent.filter(({ isClosed }) => !isClosed).length, 1_001)
    assert.equal(world.metric('connectionsRefused'), 99)
  })
})

test('observers are told of the life of a client', () => {
  const world = new World()
  const a = world.client('a')
  a.connected(expiry(10))
  world.client('a').connected(expiry(10))
  world.core.removeSession('a')
  world.run()
  const names = world.events.map(({ name }) => name)
  assert.deepEqual(names, [
    'connection.opened',
    'client.connected',
    'connection.opened',
    'session.taken-over',
    'client.disconnected',
    'client.connected',
    'client.disconnected',
    'session.ended',
  ])
  const [first, second] = world.eventsOf('client.connected')
  assert.deepEqual([first?.sessionPresent, second?.sessionPresent], [false, true])
  assert.deepEqual([first?.sessionExpirySeconds, first?.keepAliveSeconds, first?.will], [10, 60, null])
})

describe('a CONNACK that waits for the disk until the CONNECT timeout is over', () => {
  /** A Clean Start has ended a session of the disk, which takes nothing more. */
  function waiting(version: 4 | 5) {
    const disk = new SimStore()
    const world = new World({ store: disk, limits: { connectTimeoutMs: 5_000 } })
    const old = world.client('a')
    old.connected(expiry(3600))
    world.advance(60)
    world.together(() => disk.flush())
    old.drop()
    const a = world.client('a', { version })
    a.connect({ cleanStart: true })
    return { world, disk, a }
  }

  /** Lets the time pass in which the disk is asked again and again. */
  function wait(world: World, disk: SimStore, ms: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      world.advance(100)
      world.together(() => disk.step())
    }
  }

  test('a disk that began to fail: 0x97, which says so, in the log too', () => {
    const { world, disk, a } = waiting(5)
    disk.failure = new Error('the disk is full')
    wait(world, disk, 4_800)
    assert.equal(a.isClosed, false)
    wait(world, disk, 400)
    const { reasonCode, properties } = a.take(Connack)
    assert.equal(reasonCode, ReasonCode.QuotaExceeded)
    assert.match(properties.reasonString!, /^the store is failing/)
    assert.ok(a.isClosed)
    assert.equal(world.eventsOf('connection.refused')[0]?.why, properties.reasonString)
    disk.failure = null
    wait(world, disk, 2_000)
    assert.equal(world.core.sessions.size, 0)
    assert.equal(a.connected().sessionPresent, false)
  })

  test('a disk that failed for a moment: the client is let in', () => {
    const { world, disk, a } = waiting(5)
    disk.failure = new Error('the disk is full')
    wait(world, disk, 2_000)
    assert.deepEqual(a.takeAll(), [])
    disk.failure = null
    wait(world, disk, 1_500)
    assert.equal(a.take(Connack).reasonCode, 0)
  })

  test('a disk that does not answer: 0x89, which says so', () => {
    const { world, a } = waiting(5)
    world.advance(5_200)
    const { reasonCode, properties } = a.take(Connack)
    assert.equal(reasonCode, ReasonCode.ServerBusy)
    assert.match(properties.reasonString!, /^the store has not answered/)
    assert.ok(a.isClosed)
  })

  test('who comes next waits as well', () => {
    const { world, disk, a } = waiting(5)
    world.advance(5_200)
    a.take(Connack)
    const next = world.client('a')
    next.connect(expiry(3600))
    assert.deepEqual(next.takeAll(), [])
    world.together(() => disk.step())
    assert.deepEqual(next.takeAll(), [])
    world.together(() => disk.step())
    assert.equal(next.take(Connack).sessionPresent, false)
  })

  test('before MQTT 5.0: Server unavailable', () => {
    const { world, disk, a } = waiting(4)
    disk.failure = new Error('the disk is full')
    wait(world, disk, 5_200)
    assert.equal(a.take(Connack).reasonCode, ConnectReturnCode.ServerUnavailable)
    assert.ok(a.isClosed)
  })
})
