import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubcomp, Publish, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

/** A subscriber to `t` at this QoS whose session outlives its connection, and a publisher. */
function pair(
  options: WorldOptions & { version?: 3 | 4 | 5; qos?: 0 | 1 | 2; receiveMaximum?: number; expiry?: number } = {},
): { world: World; a: TestClient; p: TestClient } {
  const { version = 5, qos = 2, receiveMaximum, expiry = 3600, ...rest } = options
  const world = new World(rest)
  const a = world.client('a', { version })
  a.connected({ cleanStart: false, properties: sessionProperties(version, expiry, receiveMaximum) })
  a.subscribe('t', { qos })
  const p = world.client('p')
  p.connected()
  return { world, a, p }
}

function sessionProperties(version: number, expiry = 3600, receiveMaximum?: number): object {
  if (version < 5) return {}
  return { sessionExpiryIntervalSeconds: expiry, ...(receiveMaximum === undefined ? {} : { receiveMaximum }) }
}

function publishMany(p: TestClient, from: number, to: number, qos: 0 | 1 | 2 = 1): void {
  for (let i = from; i <= to; i++) {
    p.publish({ topic: 't', payload: `${i}`, qos })
    if (qos === 1) p.take(Puback)
    if (qos === 2) {
      const { packetId } = p.take(Pubrec)
      p.send(new Pubrel(packetId)).take(Pubcomp)
    }
  }
}

for (const version of [3, 4, 5] as const) {
  describe(`version ${version}`, () => {
    test('a QoS 0 message is delivered once without a packet id [MQTT-4.3.1-1]', () => {
      const { a, p } = pair({ version })
      p.publish({ topic: 't', payload: 'x' })
      assert.deepEqual(a.takePublish(), {
        topic: 't',
        payload: 'x',
        qos: 0,
        retain: false,
        dup: false,
        packetId: 0,
        properties: {},
      })
      a.hasNothing()
    })

    test('a QoS 1 message is in flight until PUBACK [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3]', () => {
      const { world, a, p } = pair({ version })
      p.publish({ topic: 't', payload: 'x', qos: 1 })
      const message = a.takePublish()
      assert.equal(message.qos, 1)
      assert.equal(message.dup, false)
      assert.notEqual(message.packetId, 0)
      assert.equal(world.metric('inflight'), 1)
      a.send(new Puback(message.packetId))
      assert.equal(world.metric('inflight'), 0)
      a.hasNothing()
    })

    test('a QoS 2 message goes PUBLISH, PUBREC, PUBREL, PUBCOMP [MQTT-4.3.3-1] [MQTT-4.3.3-4] [MQTT-4.3.3-5]', () => {
      const { world, a, p } = pair({ version })
      p.publish({ topic: 't', payload: 'x', qos: 2 })
      const { packetId, qos, dup } = a.takePublish()
      assert.deepEqual({ qos, dup }, { qos: 2, dup: false })
      a.send(new Pubrec(packetId))
      assert.equal(a.take(Pubrel).packetId, packetId)
      assert.equal(world.metric('inflight'), 1)
      a.send(new Pubcomp(packetId))
      assert.equal(world.metric('inflight'), 0)
      a.hasNothing()
    })

    test('what is in flight is sent again in order with DUP on reconnect [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.1-1]', () => {
      const { a, p } = pair({ version })
      publishMany(p, 1, 3, 1)
      publishMany(p, 4, 5, 2)
      const before = Array.from({ length: 5 }, () => a.takePublish())
      a.drop()
      const connack = a.connected({ cleanStart: false, properties: sessionProperties(version) })
      assert.equal(connack.sessionPresent, version > 3)
      assert.deepEqual(
        Array.from({ length: 5 }, () => a.takePublish()),
        before.map((message) => ({ ...message, dup: true })),
      )
      a.hasNothing()
    })

    test('after PUBREC only PUBREL is sent again [MQTT-4.3.3-6] [MQTT-4.4.0-1]', () => {
      const { a, p } = pair({ version })
      publishMany(p, 1, 2, 2)
      const first = a.takePublish()
      const second = a.takePublish()
      a.send(new Pubrec(second.packetId))
      a.take(Pubrel)
      a.drop().connected({ cleanStart: false, properties: sessionProperties(version) })
      assert.deepEqual(a.takePublish(), { ...first, dup: true })
      assert.equal(a.take(Pubrel).packetId, second.packetId)
      a.hasNothing()
    })

    test('messages wait for a session that is away and come in order [MQTT-3.1.2-5] [MQTT-3.1.1:3.1.2-5]', () => {
      const { world, a, p } = pair({ version })
      a.drop()
      publishMany(p, 1, 20, 1)
      publishMany(p, 21, 30, 2)
      assert.equal(world.metric('queuedMessages'), 30)
      a.acknowledges = true
      a.connected({ cleanStart: false, properties: sessionProperties(version) })
      assert.deepEqual(
        a.takePayloads(),
        Array.from({ length: 30 }, (_, i) => `${i + 1}`),
      )
      assert.equal(world.metric('queuedMessages'), 0)
      assert.equal(world.metric('queuedBytes'), 0)
      assert.equal(world.metric('inflight'), 0)
    })

    test('what has waited goes out for the first time without DUP [MQTT-3.3.1-1]', () => {
      const { a, p } = pair({ version })
      a.drop()
      publishMany(p, 1, 1)
      a.connected({ cleanStart: false, properties: sessionProperties(version) })
      assert.equal(a.takePublish().dup, false)
    })
  })
}

test('QoS 0 does not wait for a session that is away and is counted', () => {
  const { world, a, p } = pair()
  a.drop()
  publishMany(p, 1, 3, 0)
  a.connected({ cleanStart: false })
  a.hasNothing()
  assert.equal(world.metric('dropped.offline-qos0'), 3)
})

test('with queueQoS0 QoS 0 waits too', () => {
  const { world, a, p } = pair({ queueQoS0: true })
  a.drop()
  publishMany(p, 1, 3, 0)
  a.connected({ cleanStart: false })
  assert.deepEqual(a.takePayloads(), ['1', '2', '3'])
  assert.equal(world.metric('dropped.offline-qos0'), 0)
})

for (const published of [0, 1, 2] as const) {
  for (const granted of [0, 1, 2] as const) {
    test(`with upgradeQoS a message of QoS ${published} comes with the granted QoS ${granted}, retained and after waiting too`, () => {
      const world = new World({ upgradeQoS: true, queueQoS0: true })
      world.publish({ topic: 't', qos: published, retain: true, payload: 'retained' })
      const a = world.client('a')
      a.acknowledges = true
      a.connected({ cleanStart: false, properties: sessionProperties(5) })
      a.subscribe('t', { qos: granted })
      assert.equal(a.takePublish().qos, granted)
      world.publish({ topic: 't', qos: published })
      assert.equal(a.takePublish().qos, granted)
      a.drop()
      world.publish({ topic: 't', qos: published, payload: 'waits' })
      a.connected({ cleanStart: false, properties: sessionProperties(5) })
      const { qos, payload } = a.takePublish()
      assert.deepEqual([qos, payload], [granted, 'waits'])
      assert.equal(world.metric('inflight'), 0)
    })
  }
}

describe('acknowledgements that do not fit', () => {
  test('a PUBREC for an unknown packet id is answered with PUBREL [MQTT-4.3.3-4]', () => {
    const { world, a } = pair()
    a.send(new Pubrec(77))
    assert.equal(a.take(Pubrel).packetId, 77)
    a.hasNothing()
    assert.equal(world.metric('unknownPacketIds'), 1)
  })

  test('a failing PUBREC for an unknown packet id is not answered [MQTT-4.3.3-4]', () => {
    const { a } = pair()
    a.send(new Pubrec(77, ReasonCode.UnspecifiedError))
    a.hasNothing()
    assert.ok(!a.isClosed)
  })

  test('a PUBACK and a PUBCOMP for unknown packet ids are counted and do no harm', () => {
    const { world, a } = pair()
    a.send(new Puback(77), new Pubcomp(78))
    a.hasNothing()
    assert.ok(!a.isClosed)
    assert.equal(world.metric('unknownPacketIds'), 2)
  })

  test('a PUBACK for a QoS 2 message ends the connection with 0x82', () => {
    const { a, p } = pair()
    publishMany(p, 1, 1, 2)
    a.send(new Puback(a.takePublish().packetId))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('a PUBREC for a QoS 1 message ends the connection with 0x82', () => {
    const { a, p } = pair()
    publishMany(p, 1, 1, 1)
    a.send(new Pubrec(a.takePublish().packetId))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('a PUBCOMP before PUBREC ends the connection with 0x82', () => {
    const { a, p } = pair()
    publishMany(p, 1, 1, 2)
    a.send(new Pubcomp(a.takePublish().packetId))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('a PUBREC of 0x80 or above ends the flow: no PUBREL, and the packet id is free [MQTT-4.3.3-4]', () => {
    const { world, a, p } = pair()
    publishMany(p, 1, 1, 2)
    a.send(new Pubrec(a.takePublish().packetId, ReasonCode.QuotaExceeded))
    a.hasNothing()
    assert.equal(world.metric('inflight'), 0)
  })

  test('a PUBACK of 0x80 or above ends the flow too', () => {
    const { world, a, p } = pair()
    publishMany(p, 1, 1, 1)
    a.send(new Puback(a.takePublish().packetId, ReasonCode.NotAuthorized))
    assert.equal(world.metric('inflight'), 0)
    a.drop().connected({ cleanStart: false })
    a.hasNothing()
  })

  test('a second PUBREC is answered with PUBREL again', () => {
    const { a, p } = pair()
    publishMany(p, 1, 1, 2)
    const { packetId } = a.takePublish()
    a.send(new Pubrec(packetId), new Pubrec(packetId))
    assert.equal(a.take(Pubrel).packetId, packetId)
    assert.equal(a.take(Pubrel).packetId, packetId)
    a.send(new Pubcomp(packetId))
    a.hasNothing()
  })
})

describe('Receive Maximum of the client', () => {
  test('never more are in flight than it says [MQTT-3.3.4-9]', () => {
    const { world, a, p } = pair({ receiveMaximum: 2 })
    publishMany(p, 1, 5)
    assert.equal(world.metric('inflight'), 2)
    assert.equal(world.metric('queuedMessages'), 3)
    const first = a.takePublish()
    const second = a.takePublish()
    a.hasNothing()
    a.send(new Puback(first.packetId))
    const third = a.takePublish()
    a.hasNothing()
    a.send(new Puback(second.packetId), new Puback(third.packetId))
    const payloads = [first, second, third].map((message) => message.payload)
    assert.deepEqual([...payloads, ...a.takePayloads()], ['1', '2', '3', '4', '5'])
  })

  test('QoS 2 counts until PUBCOMP [MQTT-3.3.4-9]', () => {
    const { a, p } = pair({ receiveMaximum: 1 })
    publishMany(p, 1, 2, 2)
    const { packetId } = a.takePublish()
    a.send(new Pubrec(packetId))
    a.take(Pubrel)
    a.hasNothing()
    a.send(new Pubcomp(packetId))
    assert.equal(a.takePublish().payload, '2')
  })

  test('QoS 0 does not count [MQTT-3.3.4-9]', () => {
    const { a, p } = pair({ receiveMaximum: 1 })
    publishMany(p, 1, 1, 1)
    publishMany(p, 2, 3, 0)
    assert.deepEqual(a.takePayloads(), ['1', '2', '3'])
  })

  test('a failing PUBREC frees a place (4.9)', () => {
    const { a, p } = pair({ receiveMaximum: 1 })
    publishMany(p, 1, 2, 2)
    a.send(new Pubrec(a.takePublish().packetId, ReasonCode.UnspecifiedError))
    assert.equal(a.takePublish().payload, '2')
  })

  test('on reconnect with a smaller one no more are sent again at a time than it says [MQTT-3.3.4-9]', () => {
    const { a, p } = pair({ receiveMaximum: 10 })
    publishMany(p, 1, 7)
    const before = a.takePayloads()
    a.drop()
    a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60, receiveMaximum: 2 } })
    const again: string[] = []
    while (a.received.length > 0) {
      assert.ok(a.received.length <= 2)
      const messages = Array.from({ length: a.received.length }, () => a.takePublish())
      for (const message of messages) {
        assert.equal(message.dup, true)
        again.push(message.payload)
        a.send(new Puback(message.packetId))
      }
    }
    assert.deepEqual(again, before)
  })

  test('new messages wait behind those that are sent again [MQTT-4.6.0-1]', () => {
    const { a, p } = pair({ receiveMaximum: 5 })
    publishMany(p, 1, 5)
    a.takeAll()
    a.drop()
    publishMany(p, 6, 7)
    a.acknowledges = true
    a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60, receiveMaximum: 1 } })
    publishMany(p, 8, 8)
    assert.deepEqual(a.takePayloads(), ['1', '2', '3', '4', '5', '6', '7', '8'])
  })

  test('inflightMax bounds it for clients that ask for more or cannot ask', () => {
    for (const version of [4, 5] as const) {
      const { world, p } = pair({ version, limits: { inflightMax: 3 } })
      publishMany(p, 1, 5)
      assert.equal(world.metric('inflight'), 3)
    }
  })
})

test('no packet id is used again while it is in flight [MQTT-2.2.1-4]', () => {
  const { a, p } = pair({ limits: { inflightMax: 65_535 } })
  publishMany(p, 1, 1)
  const stuck = a.takePublish().packetId
  const seen = new Set([stuck])
  // Once round all 65,535 and more, one message at a time
  for (let i = 0; i < 66_000; i++) {
    p.publish({ topic: 't', qos: 1, packetId: 1 })
    const { packetId } = a.take(Publish)
    assert.notEqual(packetId, stuck)
    seen.add(packetId)
    a.send(new Puback(packetId))
    p.take(Puback)
  }
  assert.equal(seen.size, 65_535)
  assert.ok(!seen.has(0))
})

test('QoS is the lower of message and subscription (3.8.4)', () => {
  for (const granted of [0, 1, 2] as const) {
    const { a, p } = pair({ qos: granted })
    for (const qos of [0, 1, 2] as const) {
      p.publish({ topic: 't', qos })
      assert.equal(a.takePublish().qos, Math.min(granted, qos))
    }
  }
})

describe('offline queue', () => {
  const away = (options: WorldOptions): { world: World; a: TestClient; p: TestClient } => {
    const result = pair(options)
    result.a.drop()
    result.a.acknowledges = true
    return result
  }
  const back = (a: TestClient): string[] => {
    a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
    return a.takePayloads()
  }

  test('overflow reject: a 5.0 publisher is told 0x97 and what waits stays', () => {
    const { world, a, p } = away({ overflow: 'reject', limits: { queueMessagesMax: 2 } })
    const codes = [1, 2, 3].map((i) => {
      p.publish({ topic: 't', payload: `${i}`, qos: 1 })
      return p.take(Puback).reasonCode
    })
    assert.deepEqual(codes, [0, 0, ReasonCode.QuotaExceeded])
    p.publish({ topic: 't', payload: '4', qos: 2 })
    assert.equal(p.take(Pubrec).reasonCode, ReasonCode.QuotaExceeded)
    assert.equal(world.metric('dropped.queue-full'), 2)
    assert.deepEqual(back(a), ['1', '2'])
  })

  test('overflow reject: when there is room again the publisher is accepted again', () => {
    const { a, p } = away({ overflow: 'reject', limits: { queueMessagesMax: 1 } })
    publishMany(p, 1, 1)
    p.publish({ topic: 't', payload: '2', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.QuotaExceeded)
    assert.deepEqual(back(a), ['1'])
    p.publish({ topic: 't', payload: '3', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, 0)
    assert.deepEqual(a.takePayloads(), ['3'])
  })

  test('overflow reject: nobody gets a refused message', () => {
    const { world, p } = away({ overflow: 'reject', limits: { queueMessagesMax: 1 } })
    publishMany(p, 1, 1)
    const b = world.client('b')
    b.connected()
    b.subscribe('#')
    p.publish({ topic: 't', payload: '2', qos: 1 })
    b.hasNothing()
    p.publish({ topic: 'elsewhere', payload: '3', qos: 1 })
    assert.deepEqual(b.takePayloads(), ['3'])
  })

  test('overflow reject: for a 3.1.1 publisher the newest is dropped and acknowledged', () => {
    const { world, a } = away({ overflow: 'reject', limits: { queueMessagesMax: 2 } })
    const p = world.client('p4', { version: 4 })
    p.connected()
    publishMany(p, 1, 3)
    assert.equal(world.metric('dropped.queue-full'), 1)
    assert.deepEqual(back(a), ['1', '2'])
  })

  test('overflow drop-oldest: the newest stay', () => {
    const { world, a, p } = away({ overflow: 'drop-oldest', limits: { queueMessagesMax: 3 } })
    publishMany(p, 1, 5)
    assert.equal(world.metric('dropped.queue-full'), 2)
    assert.deepEqual(back(a), ['3', '4', '5'])
  })

  test('overflow drop-newest: the oldest stay and the publisher is acknowledged', () => {
    const { world, a, p } = away({ overflow: 'drop-newest', limits: { queueMessagesMax: 3 } })
    p.publish({ topic: 't', payload: '0', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, 0)
    publishMany(p, 1, 5)
    assert.equal(world.metric('dropped.queue-full'), 3)
    assert.deepEqual(back(a), ['0', '1', '2'])
  })

  for (const overflow of ['reject', 'drop-oldest', 'drop-newest'] as const) {
    test(`overflow ${overflow}: queueBytesMax counts topic and payload bytes`, () => {
      const { world, a, p } = away({ overflow, limits: { queueBytesMax: 33 } })
      const payload = (i: number): string => `${i}`.repeat(10)
      for (let i = 1; i <= 4; i++) p.publish({ topic: 't', payload: payload(i), qos: 1 })
      assert.equal(world.metric('queuedBytes'), 33)
      assert.equal(world.metric('queuedMessages'), 3)
      assert.equal(world.metric('dropped.queue-full'), 1)
      assert.deepEqual(back(a), overflow === 'drop-oldest' ? [2, 3, 4].map(payload) : [1, 2, 3].map(payload))
    })

    test(`overflow ${overflow}: a queue of length 0 keeps nothing`, () => {
      const { world, a, p } = away({ overflow, limits: { queueMessagesMax: 0 } })
      p.publish({ topic: 't', payload: '1', qos: 1 })
      assert.equal(world.metric('dropped.queue-full'), 1)
      assert.deepEqual(back(a), [])
    })

    test(`overflow ${overflow}: a message larger than queueBytesMax does not drive others out`, () => {
      const { world, a, p } = away({ overflow, limits: { queueBytesMax: 20 } })
      p.publish({ topic: 't', payload: '1', qos: 1 })
      p.publish({ topic: 't', payload: '2'.repeat(30), qos: 1 })
      assert.equal(world.metric('dropped.queue-full'), 1)
      assert.deepEqual(back(a), ['1'])
    })
  }

  test('overflow reject: a 5.0 publisher is told 0x97 also when there is room, but not for this message', () => {
    const { a, p } = away({ overflow: 'reject', limits: { queueBytesMax: 20 } })
    p.publish({ topic: 't', payload: '1'.repeat(10), qos: 1 })
    assert.equal(p.take(Puback).reasonCode, 0)
    p.publish({ topic: 't', payload: '2'.repeat(15), qos: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.QuotaExceeded)
    assert.deepEqual(back(a), ['1'.repeat(10)])
  })

  test('a connected client whose window is closed has the same limits', () => {
    const { world, p } = pair({ receiveMaximum: 1, overflow: 'drop-newest', limits: { queueMessagesMax: 2 } })
    publishMany(p, 1, 5)
    assert.equal(world.metric('queuedMessages'), 2)
    assert.equal(world.metric('dropped.queue-full'), 2)
  })

  test('expired messages make room before others are dropped', () => {
    const { world, a, p } = away({ overflow: 'drop-newest', limits: { queueMessagesMax: 2 } })
    p.publish({ topic: 't', payload: '1', qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
    p.publish({ topic: 't', payload: '2', qos: 1 })
    world.advance(1_000)
    p.publish({ topic: 't', payload: '3', qos: 1 })
    assert.equal(world.metric('dropped.expired'), 1)
    assert.equal(world.metric('dropped.queue-full'), 0)
    assert.deepEqual(back(a), ['2', '3'])
  })

  test('a queue is not full any more when a message has expired, also when the next one does not fit (seed 50007233)', () => {
    const { world, p } = away({ overflow: 'reject', limits: { queueBytesMax: 60 } })
    const { router } = world.core
    p.publish({ topic: 't', payload: 'x'.repeat(40), qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
    assert.equal(router.fullSubscribers, 1)
    world.advance(3000)
    p.publish({ topic: 't', payload: 'x'.repeat(100), qos: 1 })
    assert.equal(world.metric('dropped.expired'), 1)
    assert.equal(world.metric('dropped.queue-full'), 1)
    assert.equal(router.fullSubscribers, 0)
  })

  test('overflow reject: a queue full of expired messages refuses nobody', () => {
    const { world, a, p } = away({ overflow: 'reject', limits: { queueMessagesMax: 2 } })
    for (const payload of ['1', '2'])
      p.publish({ topic: 't', payload, qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
    p.takeAll()
    world.advance(1_000)
    p.publish({ topic: 't', payload: '3', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, 0)
    assert.deepEqual(back(a), ['3'])
  })
})

describe('slow reader', () => {
  const limits = { outputBytesMax: 4096 }
  const payload = 'x'.repeat(1000)

  test('QoS 0 over outputBytesMax is dropped and counted, others are not delayed', () => {
    const { world, a, p } = pair({ limits, qos: 0 })
    const b = world.client('b')
    b.connected()
    b.subscribe('t', { qos: 0 })
    a.block()
    for (let i = 0; i < 20; i++) p.publish({ topic: 't', payload })
    assert.equal(b.takePayloads().length, 20)
    const dropped = world.metric('dropped.slow-reader')
    assert.ok(dropped >= 14 && dropped < 20, `${dropped} dropped`)
    a.drain()
    assert.equal(a.takePayloads().length, 20 - dropped)
    p.publish({ topic: 't', payload: 'after' })
    assert.deepEqual(a.takePayloads(), ['after'])
  })

  test('a large message that is being written keeps out nothing of what comes behind it', () => {
    const { world, a, p } = pair({ limits, qos: 0 })
    const large = 'y'.repeat(100_000)
    a.block()
    p.publish({ topic: 't', payload: large })
    for (const small of ['1', '2', '3']) p.publish({ topic: 't', payload: small })
    p.publish({ topic: 't', payload: large })
    assert.equal(world.metric('dropped.slow-reader'), 0)
    for (let i = 0; i < 3; i++) p.publish({ topic: 't', payload: 'over the limit' })
    assert.equal(world.metric('dropped.slow-reader'), 3)
    a.drain()
    assert.deepEqual(a.takePayloads(), [large, '1', '2', '3', large])
  })

  for (const qos of [1, 2] as const) {
    test(`QoS ${qos} waits in the queue and arrives in order after the drain`, () => {
      const { world, a, p } = pair({ limits })
      a.acknowledges = true
      a.block()
      const sent = Array.from({ length: 50 }, (_, i) => `${i} ${payload}`)
      for (const text of sent) p.publish({ topic: 't', payload: text, qos })
      assert.ok(world.metric('queuedMessages') >= 44)
      assert.equal(world.metric('dropped.slow-reader'), 0)
      // Drains little by little: what may be waits, nothing overtakes.
      for (let i = 0; i < 5; i++) a.drain(true)
      a.drain()
      assert.deepEqual(a.takePayloads(), sent)
      assert.equal(world.metric('queuedMessages'), 0)
      assert.equal(world.metric('inflight'), 0)
    })
  }

  test('large payloads that go by reference arrive whole after the drain', () => {
    const { a, p } = pair({ limits: { outputBytesMax: 100_000 } })
    a.acknowledges = true
    a.block()
    const sent = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(60_000))
    for (const text of sent) p.publish({ topic: 't', payload: text, qos: 1 })
    p.publish({ topic: 't', payload: 'last', qos: 1 })
    a.drain()
    assert.deepEqual(a.takePayloads(), [...sent, 'last'])
  })

  test('the payload of a message that waits is not the chunk that it came in', () => {
    const { a, p } = pair({ limits: { outputBytesMax: 100_000 } })
    a.block()
    p.publish({ topic: 't', payload: 'first', qos: 0 })
    p.publish({ topic: 't', payload: 'y'.repeat(20_000), qos: 0 })
    p.publish({ topic: 'other', payload: 'z'.repeat(20_000), qos: 0 })
    a.drain()
    assert.deepEqual(a.takePayloads(), ['first', 'y'.repeat(20_000)])
  })

  test('a burst in one turn to a reader that is fast loses nothing, whatever outputBytesMax', () => {
    const { world, a, p } = pair({ limits: { outputBytesMax: 1024 }, qos: 0 })
    p.send(...Array.from({ length: 50 }, (_, i) => p.makePublish({ topic: 't', payload: `${i} ${'x'.repeat(100)}` })))
    assert.equal(world.metric('dropped.slow-reader'), 0)
    assert.equal(a.takePayloads().length, 50)
  })

  test('QoS 1 of one turn keeps its order around what is in flight', () => {
    const { a, p } = pair({ limits: { outputBytesMax: 1024 } })
    a.acknowledges = true
    const payloads = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(100)}`)
    p.send(...payloads.map((text) => p.makePublish({ topic: 't', payload: text, qos: 1 })))
    assert.deepEqual(a.takePayloads(), payloads)
  })

  test('what is sent again waits for a slow reader too', () => {
    const { world, a, p } = pair({ limits })
    for (let i = 0; i < 20; i++) p.publish({ topic: 't', payload: `${i} ${payload}`, qos: 1 })
    assert.equal(a.takePayloads().length, 20)
    a.drop().open()
    a.block()
    a.connect({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
    assert.ok(a.transport.bufferedBytes <= 4096 + 1100)
    a.acknowledges = true
    a.drain()
    a.received.shift()
    assert.deepEqual(
      a.takePayloads().map((text) => Number.parseInt(text, 10)),
      Array.from({ length: 20 }, (_, i) => i),
    )
    assert.equal(world.metric('inflight'), 0)
  })

  test('a client that asks and does not read cannot make the broker keep answers without bound', () => {
    const { world, a } = pair({ limits })
    a.block()
    const pings = new Uint8Array(2000)
    for (let i = 0; i < pings.length; i += 2) pings[i] = 0xc0
    for (let i = 0; i < 100; i++) a.sendBytes(pings)
    assert.ok(a.transport.isPaused, 'the broker should stop reading')
    a.drain()
    assert.equal(a.takeAll().length, 100_000, 'every PINGREQ is answered in the end')
    assert.equal(world.metric('clients'), 2)
  })
})

describe('the end of a session', () => {
  test('messages that wait or are in flight are counted as session-ended', () => {
    const { world, a, p } = pair({ receiveMaximum: 1, expiry: 10 })
    publishMany(p, 1, 3)
    a.drop()
    world.advance(11_000)
    assert.equal(world.metric('sessions'), 1)
    assert.equal(world.metric('dropped.session-ended'), 3)
    assert.equal(world.metric('subscriptions'), 0)
  })

  test('a received QoS 2 packet id is kept over connections and forgotten with the session [MQTT-4.3.3-10]', () => {
    const world = new World()
    const b = world.client('b')
    b.connected()
    b.subscribe('t', { qos: 0 })
    const a = world.client('a')
    a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
    a.publish({ topic: 't', payload: '1', qos: 2, packetId: 9 })
    a.take(Pubrec)
    a.drop().connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
    a.publish({ topic: 't', payload: '1', qos: 2, packetId: 9, dup: true })
    assert.equal(a.take(Pubrec).reasonCode, 0)
    assert.deepEqual(b.takePayloads(), ['1'])
    a.drop().connected({ cleanStart: true })
    a.publish({ topic: 't', payload: '2', qos: 2, packetId: 9 })
    assert.deepEqual(b.takePayloads(), ['2'])
  })
})
