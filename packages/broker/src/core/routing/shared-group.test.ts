import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

const lasting = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } }

/** Members of `$share/g/t`; their sessions last. */
function group(names: string[], options: WorldOptions & { receiveMaximum?: number } = {}): [World, ...TestClient[]] {
  const { receiveMaximum = 100, ...rest } = options
  const world = new World(rest)
  const members = names.map((name) => {
    const member = world.client(name)
    member.connected({ cleanStart: false, properties: { ...lasting.properties, receiveMaximum } })
    member.subscribe('$share/g/t')
    return member
  })
  return [world, ...members]
}

function publishMany(world: World, from: number, to: number, qos: 0 | 1 | 2): void {
  for (let i = from; i <= to; i++) world.publish({ topic: 't', payload: `${i}`, qos })
}

test('each message goes to one member; the turn goes round (4.8.2)', () => {
  const [world, a, b, c] = group(['a', 'b', 'c'])
  publishMany(world, 1, 6, 0)
  assert.deepEqual(
    [a, b, c].map((member) => member!.takePayloads()),
    [
      ['1', '4'],
      ['2', '5'],
      ['3', '6'],
    ],
  )
})

test('groups of another name get every message too', () => {
  const [world, a] = group(['a'])
  const b = world.client('b')
  b.connected()
  b.subscribe('$share/h/t')
  publishMany(world, 1, 2, 0)
  assert.equal(a!.takePayloads().length, 2)
  assert.equal(b.takePayloads().length, 2)
})

test('the QoS is that of the member that gets it [MQTT-4.8.2-3]', () => {
  const world = new World()
  for (const qos of [0, 1, 2] as const) {
    const member = world.client(`${qos}`)
    member.connected()
    member.subscribe('$share/g/t', { qos })
    world.publish({ topic: 't', qos: 2 })
    assert.equal(member.takePublish().qos, qos)
    member.drop()
  }
})

test('a member that cannot take more is passed over', () => {
  const [world, a, b] = group(['a', 'b'], { receiveMaximum: 2 })
  b!.acknowledges = true
  publishMany(world, 1, 10, 1)
  assert.equal(a!.takePayloads().length, 2)
  assert.equal(b!.takePayloads().length, 8)
  assert.equal(world.metric('queuedMessages'), 0)
})

test('a member whose connection is lost is passed over while another is there', () => {
  const [world, a, b] = group(['a', 'b'])
  a!.drop()
  publishMany(world, 1, 4, 1)
  assert.deepEqual(b!.takePayloads(), ['1', '2', '3', '4'])
})

test('QoS 0 goes to who is there', () => {
  const [world, a, b] = group(['a', 'b'])
  b!.drop()
  publishMany(world, 1, 4, 0)
  assert.equal(a!.takePayloads().length, 4)
  assert.equal(world.metric('dropped.offline-qos0'), 0)
})

test('when all are away the message waits in one session and comes once', () => {
  const [world, a, b] = group(['a', 'b'])
  a!.drop()
  b!.drop()
  publishMany(world, 1, 4, 1)
  a!.acknowledges = true
  b!.acknowledges = true
  a!.connected(lasting)
  b!.connected(lasting)
  assert.deepEqual([...a!.takePayloads(), ...b!.takePayloads()].sort(), ['1', '2', '3', '4'])
})

test('when one who is away is full another who is away gets it', () => {
  const [world, a, b] = group(['a', 'b'], { overflow: 'drop-newest', limits: { queueMessagesMax: 4 } })
  a!.drop()
  b!.drop()
  a!.connected(lasting)
  a!.subscribe('own', { qos: 1 })
  a!.drop()
  for (let i = 0; i < 4; i++) world.publish({ topic: 'own', qos: 1 })
  publishMany(world, 1, 4, 1)
  assert.equal(world.metric('dropped.queue-full'), 0)
  b!.connected(lasting)
  assert.equal(b!.takePayloads().length, 4)
})

test('QoS 2 that has begun is completed when its member comes back, and goes to nobody else meanwhile [MQTT-4.8.2-4]', () => {
  const [world, a, b] = group(['a', 'b'])
  publishMany(world, 1, 1, 2)
  const { packetId } = a!.takePublish()
  a!.drop()
  b!.hasNothing()
  a!.connected(lasting)
  const again = a!.takePublish()
  assert.deepEqual([again.packetId, again.dup, again.payload], [packetId, true, '1'])
  a!.send(new Pubrec(packetId)).take(Pubrel)
  b!.hasNothing()
})

test('what a member refuses with 0x80 or more is given to no other [MQTT-4.8.2-6]', () => {
  const [world, a, b] = group(['a', 'b'])
  publishMany(world, 1, 1, 1)
  a!.send(new Puback(a!.takePublish().packetId, ReasonCode.ImplementationSpecificError))
  publishMany(world, 2, 2, 2)
  b!.send(new Pubrec(b!.takePublish().packetId, ReasonCode.QuotaExceeded))
  a!.hasNothing()
  b!.hasNothing()
  for (const member of [a!, b!]) member.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
  a!.hasNothing()
  b!.hasNothing()
})

describe("when a member's session ends", () => {
  test('QoS 1 in flight goes to another member', () => {
    const [world, a, b] = group(['a', 'b'])
    publishMany(world, 1, 4, 1)
    assert.deepEqual(a!.takePayloads(), ['1', '3'])
    assert.deepEqual(b!.takePayloads(), ['2', '4'])
    a!.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    assert.deepEqual(b!.takePayloads(), ['1', '3'])
    assert.equal(world.metric('dropped.session-ended'), 0)
  })

  test('acknowledged messages are not sent again', () => {
    const [world, a, b] = group(['a', 'b'])
    publishMany(world, 1, 2, 1)
    a!.send(new Puback(a!.takePublish().packetId))
    b!.takeAll()
    a!.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    b!.hasNothing()
    assert.equal(world.metric('dropped.session-ended'), 0)
  })

  test('QoS 1 in flight of a session that ends with its connection goes on too', () => {
    const world = new World()
    const [a, b] = ['a', 'b'].map((name) => {
      const member = world.client(name)
      member.connected()
      member.subscribe('$share/g/t', { qos: 1 })
      return member
    })
    publishMany(world, 1, 2, 1)
    b!.takeAll()
    a!.drop()
    assert.deepEqual(b!.takePayloads(), ['1'])
  })

  test('QoS 2 in flight is not given to another: it is dropped and counted [MQTT-4.8.2-5]', () => {
    const [world, a, b] = group(['a', 'b'])
    publishMany(world, 1, 4, 2)
    assert.deepEqual(a!.takePayloads(), ['1', '3'])
    b!.takeAll()
    a!.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    b!.hasNothing()
    assert.equal(world.metric('dropped.session-ended'), 2)
  })

  test("QoS 2 after PUBREC is the client's already", () => {
    const [world, a, b] = group(['a', 'b'])
    publishMany(world, 1, 1, 2)
    a!.send(new Pubrec(a!.takePublish().packetId)).take(Pubrel)
    a!.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    b!.hasNothing()
    assert.equal(world.metric('dropped.session-ended'), 0)
  })

  test('what has waited for it, QoS 2 too, goes to others in order', () => {
    const [world, a, b] = group(['a', 'b'])
    b!.drop()
    a!.drop()
    world.publish({ topic: 't', payload: 'for a', qos: 2 })
    world.publish({ topic: 't', payload: 'for b', qos: 2 })
    world.publish({ topic: 't', payload: 'for a too', qos: 1 })
    b!.acknowledges = true
    b!.connected(lasting)
    const own = b!.takePayloads()
    world.core.removeSession('a')
    world.run()
    assert.deepEqual([...own, ...b!.takePayloads()].sort(), ['for a', 'for a too', 'for b'])
  })

  test('the last member: dropped and counted', () => {
    const [world, a] = group(['a'])
    publishMany(world, 1, 3, 1)
    a!.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    assert.equal(world.metric('dropped.session-ended'), 3)
    assert.equal(world.metric('subscriptions'), 0)
  })

  test('what it was given as a member goes to those who are members now, also when all of then have left meanwhile', () => {
    const [world, a] = group(['a'], { receiveMaximum: 1 })
    publishMany(world, 1, 3, 1)
    assert.deepEqual(a!.takePayloads(), ['1'])
    a!.unsubscribe('$share/g/t')
    const b = world.client('b')
    b.acknowledges = true
    b.connected(lasting)
    b.subscribe('$share/g/t')
    a!.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    assert.deepEqual(b.takePayloads(), ['1', '2', '3'])
    assert.equal(world.metric('dropped.session-ended'), 0)
  })

  test('expiry counts as an end', () => {
    const [world, a, b] = group(['a', 'b'])
    publishMany(world, 1, 1, 1)
    assert.equal(a!.takePayloads().length, 1)
    a!.drop()
    b!.hasNothing()
    b!.drop()
    b!.connected({ keepAliveSeconds: 0, cleanStart: false, properties: { sessionExpiryIntervalSeconds: 5000 } })
    world.advance(1_000_500)
    assert.deepEqual(b!.takePayloads(), ['1'])
  })
})

test('a connection that is lost keeps what is in flight for its session (4.8.2)', () => {
  const [world, a, b] = group(['a', 'b'])
  publishMany(world, 1, 1, 1)
  a!.takeAll()
  a!.drop()
  b!.hasNothing()
  a!.connected(lasting)
  assert.deepEqual(
    [a!.takePublish()].map(({ payload, dup }) => [payload, dup]),
    [['1', true]],
  )
})

test('who leaves by UNSUBSCRIBE gets no more, the turn goes on', () => {
  const [world, a, b, c] = group(['a', 'b', 'c'])
  publishMany(world, 1, 1, 0)
  b!.unsubscribe('$share/g/t')
  publishMany(world, 2, 5, 0)
  assert.deepEqual(
    [a, b, c].map((member) => member!.takePayloads()),
    [['1', '3', '5'], [], ['2', '4']],
  )
})

test('a member that publishes may get its own message', () => {
  const [, a] = group(['a'])
  a!.publish({ topic: 't', payload: 'own' })
  assert.deepEqual(a!.takePayloads(), ['own'])
})

test('subscribing again replaces the membership', () => {
  const [world, a, b] = group(['a', 'b'])
  a!.subscribe('$share/g/t', { qos: 0 })
  assert.equal(world.metric('subscriptions'), 2)
  publishMany(world, 1, 2, 1)
  assert.equal(a!.takePublish().qos, 0)
  assert.equal(b!.takePayloads().length, 1)
})
