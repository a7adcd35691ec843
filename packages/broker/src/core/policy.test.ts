/* Decisions of an authorizer about deliveries, Wills and retained messages, and the effect of their change. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ReasonCode, Subscribe } from '@recado/protocol'
import type { Authorizer, ConnectDecision, ConnectRequest } from '../ports.ts'
import { SimStore } from '../testing/sim-store.ts'
import type { TestClient } from '../testing/test-client.ts'
import { subscriptionTo, will } from '../testing/test-client.ts'
import { World, type WorldOptions } from '../testing/world.ts'

/** Client Identifier or user name, blank, topic: what may not be received or published. */
class Policy implements Authorizer {
  readonly receive: Set<string> = new Set()
  readonly write: Set<string> = new Set()
  readonly asked: string[] = []
  publish(): number {
    return 0
  }
  will(): number {
    return 0
  }
  subscribe(): number {
    return 0
  }
  mayReceive({ clientId, username }: { clientId: string; username: string | undefined }, topic: string): boolean {
    this.asked.push(`${clientId} ${topic}`)
    return !this.receive.has(`${clientId} ${topic}`) && !this.receive.has(`${username} ${topic}`)
  }
  mayPublish({ clientId }: { clientId: string }, topic: string): boolean {
    return !this.write.has(`${clientId} ${topic}`)
  }
}

function worldWith(policy: Policy, options: WorldOptions = {}): World {
  return new World({ authorizer: policy, ...options })
}

function subscriber(world: World, clientId: string, topicFilter = '#', qos: 0 | 1 = 0): TestClient {
  const client = world.client(clientId)
  client.connected()
  client.subscribe(topicFilter, { qos })
  return client
}

/** Turns and batches until nothing is under way. */
function settle(world: World, store: SimStore): void {
  do world.advance(10)
  while (store.flush() > 0)
}

describe('who may receive', () => {
  test('gets a message, and nobody else, whatever has been subscribed to', () => {
    const policy = new Policy()
    policy.receive.add('b secret')
    const world = worldWith(policy)
    const [a, b] = [subscriber(world, 'a'), subscriber(world, 'b')]
    world.publish({ topic: 'secret', payload: '1' })
    world.publish({ topic: 'open', payload: '2' })
    assert.deepEqual(a.takePayloads(), ['1', '2'])
    assert.deepEqual(b.takePayloads(), ['2'])
  })

  test('is asked once for each topic, not for each message', () => {
    const policy = new Policy()
    const world = worldWith(policy)
    const a = subscriber(world, 'a')
    for (let i = 0; i < 5; i++) world.publish({ topic: 't', payload: `${i}` })
    assert.equal(a.takePayloads().length, 5)
    assert.deepEqual(policy.asked, ['a t'])
  })

  test('a publisher of QoS 1 is told 0x10 when all who match may not receive', () => {
    const policy = new Policy()
    policy.receive.add('a t')
    const world = worldWith(policy)
    subscriber(world, 'a', 't', 1)
    assert.equal(world.publish({ topic: 't', qos: 1 }), ReasonCode.NoMatchingSubscribers)
  })

  test('recheck() holds from the next message on, both ways', () => {
    const policy = new Policy()
    const world = worldWith(policy)
    const a = subscriber(world, 'a')
    world.publish({ topic: 't', payload: '1' })
    policy.receive.add('a t')
    world.core.recheck()
    world.publish({ topic: 't', payload: '2' })
    policy.receive.clear()
    world.core.recheck()
    world.publish({ topic: 't', payload: '3' })
    assert.deepEqual(a.takePayloads(), ['1', '3'])
  })

  test('a Shared Subscription passes over members that may not receive', () => {
    const policy = new Policy()
    policy.receive.add('a t')
    const world = worldWith(policy)
    const [a, b] = [subscriber(world, 'a', '$share/g/t'), subscriber(world, 'b', '$share/g/t')]
    for (let i = 0; i < 3; i++) world.publish({ topic: 't', payload: `${i}` })
    assert.deepEqual(a.takePayloads(), [])
    assert.deepEqual(b.takePayloads(), ['0', '1', '2'])
    policy.receive.add('b t')
    world.core.recheck()
    assert.equal(world.publish({ topic: 't', qos: 1 }), ReasonCode.NoMatchingSubscribers)
  })

  test('a session whose client is away is held to the rights of that client', () => {
    const policy = new Policy()
    policy.receive.add('ada secret')
    const world = worldWith(policy)
    const a = world.client('a')
    const session = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } }
    a.connected({ ...session, username: 'ada' })
    a.subscribe('#', { qos: 1 })
    a.drop()
    world.publish({ topic: 'secret', qos: 1, payload: '1' })
    world.publish({ topic: 'open', qos: 1, payload: '2' })
    a.connected({ ...session, username: 'ada' })
    assert.deepEqual(a.takePayloads(), ['2'])
  })

  test('what waits for a client is asked about again when it is sent', () => {
    const policy = new Policy()
    const world = worldWith(policy)
    const a = world.client('a')
    const session = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } }
    a.connected(session)
    a.subscribe('#', { qos: 1 })
    a.drop()
    world.publish({ topic: 'secret', qos: 1, payload: '1' })
    world.publish({ topic: 'open', qos: 1, payload: '2' })
    policy.receive.add('ada secret')
    a.connected({ ...session, username: 'ada' })
    assert.deepEqual(a.takePayloads(), ['2'])
    assert.equal(world.metric('dropped.not-authorized'), 1)
    world.publish({ topic: 'secret', qos: 1, payload: '3' })
    assert.deepEqual(a.takePayloads(), [], 'and another user on the same session is asked about anew')
  })

  test('routes are made anew when another user, or other grants, take a session over, and not for the same again', () => {
    const policy = new Policy()
    let decision: ConnectDecision = {}
    const world = worldWith(policy, { authenticator: { authenticate: (_, decide) => decide(decision) } })
    const a = world.client('a')
    let count = 0
    const again = (next: ConnectDecision): number => {
      decision = next
      policy.asked.length = 0
      if (count++ > 0) a.drop()
      a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } })
      world.publish({ topic: 't' })
      a.takeAll()
      return policy.asked.length
    }
    const grants = (topicFilter: string): ConnectDecision => ({ grants: { publish: [], subscribe: [topicFilter] } })
    again(grants('t'))
    a.subscribe('t')
    assert.equal(again(grants('t')), 1, 'for the subscription')
    assert.equal(again(grants('t')), 0)
    assert.equal(again(grants('u')), 1)
    assert.equal(again({ ...grants('u'), username: 'ada' }), 1)
    assert.equal(again({ username: 'ada' }), 1)
    assert.equal(again({ username: 'ada' }), 0)
  })

  test('after a restart, what waits for a client that is not known yet is judged when it comes', () => {
    const policy = new Policy()
    policy.receive.add('ada secret')
    const store = new SimStore()
    const session = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } }
    const before = worldWith(policy, { store })
    const a = before.client('a')
    a.connected({ ...session, username: 'ada' })
    a.send(new Subscribe(1, [subscriptionTo('#', { qos: 1 })]))
    settle(before, store)
    a.drop()
    settle(before, store)
    const disk = store.crash()
    const world = worldWith(policy, { store: disk })
    world.publish({ topic: 'secret', qos: 1, payload: '1' })
    world.publish({ topic: 'open', qos: 1, payload: '2' })
    settle(world, disk)
    const again = world.client('a')
    again.connected({ ...session, username: 'ada' })
    assert.deepEqual(again.takePayloads(), ['2'])
  })

  test('retained messages are asked about as well', () => {
    const policy = new Policy()
    policy.receive.add('a secret')
    const world = worldWith(policy)
    world.publish({ topic: 'secret', payload: '1', retain: true })
    world.publish({ topic: 'open', payload: '2', retain: true })
    assert.deepEqual(subscriber(world, 'a').takePayloads(), ['2'])
  })
})

describe('who may publish', () => {
  test('a retained message is not sent when its publisher may not publish it any more', () => {
    for (const checkRetainSource of [true, false]) {
      const policy = new Policy()
      const world = worldWith(policy, { checkRetainSource })
      const p = world.client('p')
      p.connected()
      p.publish({ topic: 't', payload: '1', retain: true })
      assert.deepEqual(subscriber(world, 'a').takePayloads(), ['1'])
      policy.write.add('p t')
      assert.deepEqual(subscriber(world, 'b').takePayloads(), checkRetainSource ? [] : ['1'])
    }
  })

  test('also after a restart, when the publisher may be away; one that came with a login of its own rights stays', () => {
    const policy = new Policy()
    const store = new SimStore()
    const authenticator = {
      authenticate: (request: ConnectRequest, decide: (decision: ConnectDecision) => void) =>
        decide(request.clientId === 'token' ? { grants: { publish: ['#'], subscribe: [] } } : {}),
    }
    const before = worldWith(policy, { store, authenticator })
    for (const clientId of ['p', 'q', 'token']) {
      const client = before.client(clientId)
      client.connected({ username: `ü ${clientId}` })
      client.publish({ topic: clientId, payload: clientId, retain: true })
    }
    before.advance(2_000)
    settle(before, store)
    policy.write.add('p p').add('token token')
    const world = worldWith(policy, { store: store.crash() })
    assert.deepEqual(subscriber(world, 'a').takePayloads().sort(), ['q', 'token'])
    const [q] = world.core.retained.match('q', 0)
    assert.equal(q?.source?.username, 'ü q')
  })

  test('a Will that may not be published is taken, as by Mosquitto, and not published', () => {
    const policy = new Policy()
    policy.write.add('w t')
    const world = worldWith(policy)
    const a = subscriber(world, 'a')
    const w = world.client('w')
    w.connected({ will: will({ topic: 't', payload: 'gone' }) })
    w.drop()
    assert.deepEqual(a.takePayloads(), [])
    assert.equal(world.metric('dropped.not-authorized'), 1)
  })

  test('a Will that was allowed at CONNECT is asked about again when it is published', () => {
    const policy = new Policy()
    const world = worldWith(policy)
    const a = subscriber(world, 'a')
    const w = world.client('w')
    w.connected({ will: will({ topic: 't', payload: 'gone' }) })
    policy.write.add('w t')
    w.drop()
    assert.deepEqual(a.takePayloads(), [])
  })

  test('a Will that may not be published does not come back from the disk', () => {
    const policy = new Policy()
    policy.write.add('w t')
    const store = new SimStore()
    const before = worldWith(policy, { store })
    before.client('w').connected({
      properties: { sessionExpiryIntervalSeconds: 100 },
      will: will({ topic: 't', payload: 'gone', properties: { willDelayIntervalSeconds: 1 } }),
    })
    settle(before, store)
    const world = worldWith(policy, { store: store.crash() })
    const a = subscriber(world, 'a')
    world.advance(10_000)
    assert.deepEqual(a.takePayloads(), [])
  })
})

describe('a stable authorizer', () => {
  /** 1 when this client may publish to the topic last asked about. */
  function asking(isStable: boolean): { world: World; asked: string[]; refused: Set<string> } {
    const asked: string[] = []
    const refused = new Set<string>()
    const world = new World({
      authorizer: {
        isStable,
        publish: (_, topic) => {
          asked.push(topic)
          return refused.has(topic) ? ReasonCode.NotAuthorized : 0
        },
        subscribe: () => 0,
      },
    })
    return { world, asked, refused }
  }

  test('is not asked again for message after message to one topic; another is', () => {
    for (const isStable of [true, false]) {
      const { world, asked } = asking(isStable)
      const a = world.client('a')
      a.connected()
      for (const topic of ['t', 't', 'u', 'u', 't']) a.publish({ topic })
      assert.deepEqual(asked, isStable ? ['t', 'u', 't'] : ['t', 't', 'u', 'u', 't'])
    }
  })

  test('is asked again after a refusal, and after recheck()', () => {
    const { world, asked, refused } = asking(true)
    const [a, sub] = [world.client('a'), subscriber(world, 'sub')]
    a.connected()
    refused.add('t')
    for (let i = 0; i < 2; i++) a.publish({ topic: 't' })
    refused.clear()
    for (let i = 0; i < 2; i++) a.publish({ topic: 't' })
    refused.add('t')
    world.core.recheck()
    a.publish({ topic: 't' })
    assert.deepEqual(asked, ['t', 't', 't', 't'])
    assert.equal(sub.takePayloads().length, 2)
  })
})

describe('credentials', () => {
  const accepting = (
    decision: ConnectDecision,
    valid: (credential: unknown) => boolean = () => true,
  ): WorldOptions => ({
    authenticator: {
      authenticate: (_, decide) => decide(decision),
      isStillValid: (_, credential) => valid(credential),
    },
  })

  test('the connection ends with 0x87 when they expire, in spite of a busy Keep Alive', () => {
    const world = new World(accepting({ expiresAtMs: new World().clock.nowMs() + 90_000 }))
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 60 })
    world.advance(50_000)
    a.publish({ topic: 't' })
    world.advance(39_000)
    assert.ok(!a.isClosed)
    world.advance(1_200)
    a.isDisconnectedWith(ReasonCode.NotAuthorized)
  })

  test('they also end a connection without Keep Alive', () => {
    const world = new World(accepting({ expiresAtMs: new World().clock.nowMs() + 1_000 }))
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 0 })
    world.advance(1_200)
    a.isDisconnectedWith(ReasonCode.NotAuthorized)
  })

  test('recheck() disconnects with 0x98 who would not be let in any more, and publishes the Will', () => {
    const gone = new Set<unknown>()
    let count = 0
    const world = new World({
      authenticator: {
        authenticate: (_, decide) => decide({ credential: ++count }),
        isStillValid: (_, credential) => !gone.has(credential),
      },
    })
    const [a, b] = [world.client('a'), world.client('b')]
    a.connected({ will: will({ topic: 'w', payload: 'a is gone' }) })
    b.connected()
    b.subscribe('w')
    world.core.recheck()
    gone.add(1)
    world.together(() => world.core.recheck())
    a.isDisconnectedWith(ReasonCode.AdministrativeAction)
    assert.deepEqual(b.takePayloads(), ['a is gone'])
    assert.ok(!b.isClosed)
  })
})
