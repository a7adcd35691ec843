/*
 * Control characters and non-characters (1.5.4): one message with such a topic made libmosquitto's clients that it matched come back for ever,
 * and what was behind it in a durable session's queue was never delivered.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Packet,
  type Properties,
  Puback,
  Publish,
  ReasonCode,
  Suback,
  Subscribe,
  Unsubscribe,
} from '@recado/protocol'
import { SimStore } from '../testing/sim-store.ts'
import { subscriptionTo, type TestClient, will } from '../testing/test-client.ts'
import { World, type WorldOptions } from '../testing/world.ts'

const BAD = [
  '\u0001',
  '\u001f',
  '\u007f',
  '\u0085',
  '\u009f',
  '\ufdd0',
  '\ufdef',
  '\ufffe',
  '\uffff',
  '\u{1fffe}',
  '\u{10ffff}',
]
const ALLOWED = { allowControlCharacters: true }

const withProperty = (bad: string): Properties[] => [
  { userProperties: [['k', bad]] },
  { userProperties: [[bad, 'v']] },
  { contentType: bad },
  { responseTopic: bad },
]

function connected(world: World, version: 3 | 4 | 5 = 5, clientId = 'a'): TestClient {
  const client = world.client(clientId, { version })
  client.connected()
  return client
}

/** The packet is Malformed: 5.0 is told so, before that the connection just ends. */
function isRefused(packet: Packet, version: 3 | 4 | 5 = 5): void {
  const world = new World()
  connected(world, version).send(packet).isDisconnectedWith(ReasonCode.MalformedPacket)
}

describe('from clients', () => {
  test('topics of PUBLISH, SUBSCRIBE and UNSUBSCRIBE, at every QoS and version', () => {
    for (const bad of BAD) {
      for (const version of [3, 4, 5] as const) {
        for (const qos of [0, 1, 2] as const) {
          isRefused(Publish.of({ topic: `t/${bad}`, qos, packetId: qos === 0 ? 0 : 1 }), version)
        }
        isRefused(new Subscribe(1, [subscriptionTo('good'), subscriptionTo(bad)]), version)
        isRefused(new Unsubscribe(1, [bad]), version)
      }
    }
  })

  test('a topic that an earlier one has put into the cache is looked at all the same', () => {
    const world = new World()
    for (let round = 0; round < 3; round++) {
      connected(world)
        .send(Publish.of({ topic: 'a\u0001' }))
        .isDisconnectedWith(ReasonCode.MalformedPacket)
      connected(world)
        .send(Publish.of({ topic: 'a' }))
        .hasNothing()
    }
  })

  test('every text among the properties of PUBLISH, SUBSCRIBE and UNSUBSCRIBE', () => {
    for (const bad of BAD) {
      for (const properties of withProperty(bad)) isRefused(Publish.of({ topic: 't', properties }))
      for (const properties of withProperty(bad).slice(0, 2)) {
        isRefused(new Subscribe(1, [subscriptionTo('t')], properties))
        isRefused(new Unsubscribe(1, ['t'], properties))
      }
    }
  })

  test('Wills: 0x81 in CONNACK of 5.0, before that no answer [MQTT-3.1.4-1] [MQTT-3.1.1:3.1.4-1]', () => {
    for (const bad of BAD) {
      const wills = [will({ topic: bad }), ...withProperty(bad).map((properties) => will({ topic: 'w', properties }))]
      for (const each of wills) {
        const world = new World()
        const client = world.client('a').connect({ will: each })
        assert.equal((client.takeAll()[0] as { reasonCode?: number }).reasonCode, ReasonCode.MalformedPacket)
        assert.ok(client.isClosed)
      }
      const old = new World().client('a', { version: 4 }).connect({ will: will({ topic: bad }) })
      old.hasNothing()
      assert.ok(old.isClosed)
    }
  })

  test('payloads, passwords and Correlation Data are bytes, and other characters are taken', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ username: 'u', password: Uint8Array.of(1, 2) })
    a.subscribe('#')
    const topic = 'é/\u00a0/\ufdcf/\ufdf0/\ufffd/\u{1fffd}'
    a.publish({ topic, payload: '\u0001', properties: { correlationData: Uint8Array.of(0, 1) } })
    assert.equal(a.takePublish().topic, topic)
  })

  test('with allow_control_characters all of it is taken and passed on', () => {
    const world = new World(ALLOWED)
    const a = connected(world)
    a.subscribe('#')
    for (const bad of BAD) {
      for (const properties of withProperty(bad)) {
        a.publish({ topic: bad, properties })
        assert.deepEqual({ ...a.takePublish() }.topic, bad)
      }
    }
    assert.equal(world.client('b').connected({ will: will({ topic: '\u0001' }) }).reasonCode, 0)
  })
})

describe('from an older store', () => {
  const BAD_ONE = { topic: 't/\u0001', payload: 'bad', qos: 1, retain: true } as const
  const PROPERTY = { topic: 't/p', payload: 'bad', qos: 1, properties: { contentType: '\ufffe' } } as const

  function settle(world: World, store: SimStore): void {
    do world.advance(10)
    while (store.flush() > 0)
  }

  /** A broker that took everything has kept messages for a session that is away, and a retained one; then it is another broker's. */
  function older(next: WorldOptions): World {
    const store = new SimStore()
    const before = new World({ ...ALLOWED, store })
    settle(before, store)
    const sub = before.client('sub')
    sub.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 1 })]))
    settle(before, store)
    sub.take(Suback)
    sub.drop()
    for (const message of [BAD_ONE, PROPERTY, { topic: 't/good', payload: 'good', qos: 1 } as const])
      before.publish(message)
    settle(before, store)
    const disk = store.crash()
    const after = new World({ ...next, store: disk, nowMs: before.clock.nowMs() })
    settle(after, disk)
    return after
  }

  test('it is dropped and counted, queued and retained, and what is behind it is delivered', () => {
    const world = older({})
    const sub = world.client('sub')
    sub.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    world.advance(10)
    assert.deepEqual(sub.takePayloads(), ['good'])
    assert.equal(world.metric('dropped.disallowed-code-point'), 2)
    assert.deepEqual(
      world.eventsOf('message.dropped').map(({ topic, reason }) => [topic, reason]),
      [
        ['t/\u0001', 'disallowed-code-point'],
        ['t/p', 'disallowed-code-point'],
      ],
    )
    const fresh = connected(world, 4, 'fresh')
    fresh.subscribe('t/#')
    fresh.hasNothing()
    assert.equal(world.metric('dropped.disallowed-code-point'), 3)
  })

  test('where it is allowed it is delivered as ever', () => {
    const world = older(ALLOWED)
    const sub = world.client('sub')
    sub.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    world.advance(10)
    assert.deepEqual(sub.takePayloads(), ['bad', 'bad', 'good'])
    sub.send(new Puback(1))
    assert.equal(world.metric('dropped.disallowed-code-point'), 0)
  })
})
