/** Wills that survive the broker: on disk before CONNACK, published after the next start, once, by whoever still may. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, type ConnectOptions, Publish, ReasonCode } from '@recado/protocol'
import type { Authorizer } from '../../ports.ts'
import { Table } from '../../ports.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import { SimStore } from '../../testing/sim-store.ts'
import { type TestClient, will } from '../../testing/test-client.ts'
import type { WorldOptions } from '../../testing/world.ts'
import { encodeWill } from '../journal/session-records.ts'

const OFFLINE = will({ topic: 'st/x', payload: 'offline', qos: 1, retain: true })
const CLEAN: Partial<ConnectOptions> = { cleanStart: true, will: OFFLINE }

/** Payload that is retained on `st/x`; '' for none. */
function status(world: DiskWorld): string {
  const message = world.core.retained.get('st/x')
  return message === undefined ? '' : new TextDecoder().decode(message.payload)
}

function willRows(world: DiskWorld): number {
  let rows = 0
  world.disk.scanKeys(Table.Wills, () => rows++)
  return rows
}

/** A client with this CONNECT that says that it is online. */
function online(world: DiskWorld, options: Partial<ConnectOptions>, version: 3 | 4 | 5 = 5): TestClient {
  const client = world.client('x', { version })
  world.connected(client, options)
  client.publish({ topic: 'st/x', payload: 'online', qos: 1, retain: true })
  world.settle()
  assert.equal(status(world), 'online')
  return client
}

describe('after kill -9 the Will of a client that stays away is published [MQTT-3.1.2-8]', () => {
  const cases: [what: string, options: Partial<ConnectOptions>, versions: (3 | 4 | 5)[]][] = [
    ['of a clean session', CLEAN, [3, 4, 5]],
    ['of a session that is kept', { ...DURABLE, will: OFFLINE }, [5]],
    ['of a session with Clean Session 0', { cleanStart: false, will: OFFLINE }, [3, 4]],
  ]
  for (const [what, options, versions] of cases) {
    for (const version of versions) {
      test(`${what}, version ${version}: once, however often the broker is killed`, () => {
        let world = new DiskWorld()
        online(world, options, version)
        const watch = world.durable('watch')
        watch.acknowledges = true
        world.subscribed(watch, 'st/#')
        assert.deepEqual(watch.takePayloads(), ['online'])
        world.settle()
        world = world.crash()
        assert.equal(status(world), 'offline')
        assert.equal(world.metric('willsPublished'), 1)
        // What it led to was not on disk yet.
        world = world.crash()
        assert.equal(world.metric('willsPublished'), 1)
        world.settle()
        assert.equal(willRows(world), 0)
        world = world.crash()
        assert.equal(world.metric('willsPublished'), 0)
        assert.equal(status(world), 'offline')
        const back = world.client('watch')
        back.acknowledges = true
        world.connected(back)
        assert.deepEqual(back.takePayloads(), ['offline'])
      })
    }
  }
})

describe('is not published after a crash', () => {
  test('when the client had sent DISCONNECT 0x00 and the disk knows it', () => {
    let world = new DiskWorld()
    online(world, CLEAN).disconnect()
    world.settle()
    assert.equal(willRows(world), 0)
    world = world.crash()
    assert.equal(status(world), 'online')
  })

  test('when it had been published before', () => {
    let world = new DiskWorld()
    online(world, CLEAN).drop()
    world.settle()
    assert.equal(status(world), 'offline')
    world = world.crash()
    assert.equal(world.metric('willsPublished'), 0)
  })

  test('when the client had come back without a Will', () => {
    let world = new DiskWorld()
    online(world, { ...DURABLE, will: OFFLINE }).drop()
    world.settle()
    const back = world.client('x')
    world.connected(back)
    back.publish({ topic: 'st/x', payload: 'online', qos: 1, retain: true })
    world.settle()
    world = world.crash()
    assert.equal(status(world), 'online')
  })

  test('when it was never let in', () => {
    let world = new DiskWorld()
    const client = world.client('x').connect(CLEAN)
    client.drop()
    world.settle()
    assert.equal(willRows(world), 0)
    world = world.crash()
    assert.equal(world.metric('willsPublished'), 0)
  })
})

describe('a grace after the start', () => {
  const GRACE: WorldOptions = { limits: { willGraceMs: 10_000 } }
  for (const [what, options] of [
    ['of a clean session', CLEAN],
    ['of a session that is kept', { ...DURABLE, will: OFFLINE }],
    ['of a session that is kept, with Clean Start', { ...DURABLE, will: OFFLINE }],
  ] as const) {
    test(`a client ${what} that is back within it has no Will published`, () => {
      let world = new DiskWorld(GRACE)
      online(world, options)
      world = world.crash()
      world.advance(9_000)
      world.connected(world.client('x'), what.endsWith('Clean Start') ? { ...options, cleanStart: true } : options)
      world.advance(60_000)
      assert.equal(world.metric('willsPublished'), 0)
      assert.equal(status(world), 'online')
      assert.equal(willRows(world), 1)
    })
  }

  test('a client that stays away has its Will published when it is over, also after another crash', () => {
    let world = new DiskWorld(GRACE)
    online(world, CLEAN)
    world = world.crash()
    world.advance(5_000)
    world = world.crash()
    world.advance(9_800)
    assert.equal(status(world), 'online')
    world.advance(400)
    assert.equal(status(world), 'offline')
    world.settle()
    assert.equal(willRows(world), 0)
  })

  test('a delay does not begin anew with each start', () => {
    let world = new DiskWorld()
    const delayed = { ...OFFLINE, properties: { willDelayIntervalSeconds: 30 } }
    online(world, { ...DURABLE, will: delayed })
    world = world.crash()
    world.settle()
    world = world.crash(20_000)
    world.advance(9_500)
    assert.equal(status(world), 'online')
    world.advance(1_000)
    assert.equal(status(world), 'offline')
  })

  test('a delay that is longer counts', () => {
    let world = new DiskWorld(GRACE)
    const delayed = { ...OFFLINE, properties: { willDelayIntervalSeconds: 30 } }
    online(world, { ...DURABLE, will: delayed })
    world = world.crash()
    world.advance(29_800)
    assert.equal(status(world), 'online')
    world.advance(400)
    assert.equal(status(world), 'offline')
  })

  test('the end of the session ends it', () => {
    let world = new DiskWorld(GRACE)
    online(world, { cleanStart: false, will: OFFLINE, properties: { sessionExpiryIntervalSeconds: 3 } })
    world = world.crash()
    world.advance(3_300)
    assert.equal(status(world), 'offline')
  })

  test('a client that is not let in for want of a disk is not back', () => {
    let world = new DiskWorld({ limits: { willGraceMs: 10_000, connectTimeoutMs: 1_000 } })
    online(world, CLEAN)
    world = world.crash()
    world.settle()
    const client = world.client('x').connect(CLEAN)
    world.advance(1_300)
    assert.equal(client.take(Connack).reasonCode, ReasonCode.ServerBusy)
    world.advance(10_000)
    assert.equal(status(world), 'offline')
  })
})

describe('what the Will leads to is on disk when its row is gone', () => {
  test('also what a client is sent and has not acknowledged', () => {
    let world = new DiskWorld()
    const watch = world.durable('watch')
    world.subscribed(watch, 'st/#', { qos: 1 })
    const x = world.client('x')
    world.connected(x, CLEAN)
    // Somebody else makes the next batch begin at once, before a message that has been sent would go to the disk.
    world.together(() => {
      x.drop()
      world.client('other').connect(DURABLE)
    })
    watch.take(Publish)
    world.together(() => world.disk.step())
    assert.equal(willRows(world), 0)
    world = world.crash()
    const back = world.client('watch')
    world.connected(back)
    assert.equal(back.takePublish().payload, 'offline')
  })
})

describe('whose Will it is is asked after a restart too', () => {
  const allowed = new Set<string>()
  const authorizer: Authorizer = {
    publish: () => 0,
    subscribe: () => 0,
    mayPublish: ({ username }, topic) => allowed.has(`${username} ${topic}`),
  }

  function restarted(options: WorldOptions, version: 4 | 5 = 5): DiskWorld {
    allowed.clear()
    allowed.add('ada st/x')
    let world = new DiskWorld({ authorizer, ...options })
    const client = world.client('x', { version })
    world.connected(client, { ...CLEAN, username: 'ada', password: new Uint8Array(0) })
    world.settle()
    world = world.crash(0, { authorizer, ...options, limits: { willGraceMs: 1_000 } })
    return world
  }

  test('one who still may', () => {
    const world = restarted({})
    world.advance(1_300)
    assert.equal(status(world), 'offline')
  })

  test('one who has lost the right', () => {
    const world = restarted({})
    allowed.clear()
    world.advance(1_300)
    assert.equal(status(world), '')
    assert.deepEqual(world.eventsOf('message.dropped'), [
      { clientId: 'x', topic: 'st/x', qos: 1, reason: 'not-authorized' },
    ])
    world.settle()
    assert.equal(willRows(world), 0)
  })

  test('one whose user is gone', () => {
    let isThere = true
    const authenticator = {
      authenticate: (_: unknown, decide: (decision: object) => void) => decide({}),
      isKnown: () => isThere,
    }
    const world = restarted({ authenticator })
    isThere = false
    world.advance(1_300)
    assert.equal(status(world), '')
    assert.equal(world.metric('willsPublished'), 0)
  })

  test('rights that came with the login are kept with it', () => {
    const asked: unknown[] = []
    const authenticator = {
      authenticate: (_: unknown, decide: (decision: object) => void) =>
        decide({ grants: { publish: ['st/x'], subscribe: [] } }),
    }
    const world = restarted({
      authenticator,
      authorizer: {
        ...authorizer,
        mayPublish: ({ grants }) => {
          asked.push(grants)
          return true
        },
      },
    })
    asked.length = 0
    world.advance(1_300)
    assert.deepEqual(asked, [{ publish: ['st/x'], subscribe: [] }])
    assert.equal(status(world), 'offline')
  })

  test("an embedder's own rights cannot be kept: it is not asked", () => {
    const authenticator = {
      authenticate: (_: unknown, decide: (decision: object) => void) => decide({ grants: new Map() }),
    }
    let isAsked = false
    const world = restarted({
      authenticator,
      authorizer: {
        ...authorizer,
        mayPublish: () => {
          isAsked = true
          return true
        },
      },
    })
    isAsked = false
    world.advance(1_300)
    assert.equal(isAsked, false)
    assert.equal(status(world), 'offline')
  })
})

test('a Will that an earlier version has written is published', () => {
  let world = new DiskWorld()
  world.connected(world.client('x'), DURABLE)
  world.settle()
  const disk = world.disk.crash()
  let number = 0
  disk.scanKeys(Table.Sessions, (a) => {
    number = a
  })
  const row = encodeWill(OFFLINE, Number.POSITIVE_INFINITY, null)
  disk.write(
    () => disk.put(Table.Wills, number, 0, 0, row),
    () => {},
  )
  disk.step()
  world = new DiskWorld({}, disk)
  assert.equal(status(world), 'offline')
})

describe('CONNACK', () => {
  test('of a session that is kept waits until the disk knows it', () => {
    let world = new DiskWorld()
    const client = world.client('x').connect(DURABLE)
    client.hasNothing()
    world.together(() => world.disk.step())
    assert.equal(client.take(Connack).sessionPresent, false)
    world = world.crash()
    assert.equal(world.connected(world.client('x')).sessionPresent, true)
  })

  test('of a client with a Will waits until the disk knows it', () => {
    const world = new DiskWorld()
    const client = world.client('x').connect(CLEAN)
    client.hasNothing()
    assert.equal(willRows(world), 0)
    world.together(() => world.disk.step())
    client.take(Connack)
    assert.equal(willRows(world), 1)
  })

  test('of any other client waits for nothing, and neither does a broker that keeps nothing', () => {
    const world = new DiskWorld()
    world.client('x').connect({ cleanStart: true }).take(Connack)
    world.client('y', { version: 4 }).connect({ cleanStart: true }).take(Connack)
    assert.equal(world.disk.writes, 0)
  })

  test('comes before anything that waits for the client, and what it sends meanwhile waits', () => {
    const world = new DiskWorld()
    world.durable('x', 't').drop()
    world.publish({ topic: 't', payload: 'm', qos: 1 })
    world.settle()
    const client = world.client('x').connect(DURABLE)
    world.publish({ topic: 't', payload: 'n', qos: 1 })
    client.publish({ topic: 'u', qos: 0 })
    client.hasNothing()
    assert.equal(world.metric('messagesReceived'), 0)
    world.settle()
    client.take(Connack)
    assert.deepEqual(client.takePayloads(), ['m', 'n'])
    assert.equal(world.metric('messagesReceived'), 1)
  })

  test('a client that goes while it waits leaves no session and no Will, and the earlier session as it was', () => {
    const world = new DiskWorld()
    world
      .client('new')
      .connect({ ...DURABLE, will: OFFLINE })
      .drop()
    const old = world.durable('old', 't')
    old.drop()
    world.settle()
    world.client('old').connect({ cleanStart: false, will: OFFLINE }).drop()
    world.settle()
    assert.equal(world.metric('willsPublished'), 0)
    assert.equal(willRows(world), 0)
    assert.deepEqual(
      [...world.core.sessions.values()].map(({ clientId }) => clientId),
      ['old'],
    )
    assert.equal(world.core.sessions.get('old')!.expirySeconds, 3600)
    assert.equal(world.metric('clients'), 0)
    assert.equal(world.connected(world.client('old')).sessionPresent, true)
  })

  test('a Will that waits for its delay goes on waiting when its client is not let in', () => {
    const world = new DiskWorld({ limits: { connectTimeoutMs: 1_000 } })
    const delayed = { ...OFFLINE, properties: { willDelayIntervalSeconds: 5 } }
    const client = world.client('x')
    world.connected(client, { ...DURABLE, will: delayed })
    client.drop()
    world.settle()
    client.connect(DURABLE)
    world.advance(1_200)
    assert.equal(client.take(Connack).reasonCode, ReasonCode.ServerBusy)
    assert.equal(status(world), '')
    world.advance(5_000)
    assert.equal(status(world), 'offline')
  })

  test('the next client of the same name takes the place of the one that waits', () => {
    const world = new DiskWorld()
    const first = world.client('x').connect(DURABLE)
    const second = world.client('x').connect(DURABLE)
    assert.equal(first.take(Connack).reasonCode, ReasonCode.ServerBusy)
    assert.ok(first.isClosed)
    world.settle()
    assert.equal(second.take(Connack).sessionPresent, false)
    assert.equal(world.metric('clients'), 1)
  })
})

describe('while the disk fails', () => {
  function failing(): DiskWorld {
    const world = new DiskWorld()
    world.durable('kept', 't').drop()
    world.settle()
    world.disk.failure = new Error('the disk is full')
    world.publish({ topic: 'r', payload: 'x', qos: 1, retain: true })
    world.settle()
    return world
  }

  const refused: [what: string, clientId: string, options: Partial<ConnectOptions>][] = [
    ['a new session', 'new', DURABLE],
    ['a new session in the place of one', 'kept', { ...DURABLE, cleanStart: true }],
    ['a Will', 'new', CLEAN],
    ['a Will of a session that is there', 'kept', { ...DURABLE, will: OFFLINE }],
  ]
  for (const [what, clientId, options] of refused) {
    test(`${what} is refused at once: 0x97`, () => {
      const world = failing()
      const { reasonCode, properties } = world.client(clientId).connect(options).take(Connack)
      assert.equal(reasonCode, ReasonCode.QuotaExceeded)
      assert.match(properties.reasonString!, /^the store is failing/)
    })
  }

  test('a new session in the place of one that ends with its connection is refused', () => {
    const world = failing()
    world.client('x').connect({ cleanStart: true }).take(Connack)
    assert.equal(world.client('x').connect(DURABLE).take(Connack).reasonCode, ReasonCode.QuotaExceeded)
  })

  test('a session that is there goes on, and so does a client that wants nothing kept', () => {
    const world = failing()
    assert.equal(world.client('kept').connect(DURABLE).take(Connack).sessionPresent, true)
    assert.equal(world.client('new').connect({ cleanStart: true }).take(Connack).reasonCode, 0)
  })
})

test('Wills of sessions that are not kept do not use up the numbers of sessions', () => {
  const world = new DiskWorld({}, new SimStore())
  for (let i = 0; i < 3; i++) world.connected(world.client(`c${i}`), CLEAN)
  world.connected(world.client('d'), DURABLE)
  world.settle()
  const numbers: number[] = []
  world.disk.scanKeys(Table.Sessions, (a) => numbers.push(a))
  assert.deepEqual(numbers, [1])
})
