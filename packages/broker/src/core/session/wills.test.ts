import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ConnectOptions, Disconnect, ReasonCode } from '@recado/protocol'
import { type TestClient, World, will } from '../../testing/mod.ts'

/** A client with a Will to `w`, and somebody who watches. */
function one(connect: Partial<ConnectOptions> & { delay?: number; expiry?: number; version?: 3 | 4 | 5 } = {}): {
  world: World
  a: TestClient
  watch: TestClient
} {
  const { delay, expiry, version = 5, ...rest } = connect
  const world = new World()
  const watch = world.client('watch')
  watch.connected({ keepAliveSeconds: 0 })
  watch.subscribe('#')
  watch.acknowledges = true
  const a = world.client('a', { version })
  const properties = expiry === undefined ? {} : { sessionExpiryIntervalSeconds: expiry }
  const willProperties = delay === undefined ? {} : { willDelayIntervalSeconds: delay }
  a.connected({ will: will({ topic: 'w', payload: 'gone', properties: willProperties }), properties, ...rest })
  return { world, a, watch }
}

describe('is published', () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: when the connection is lost [MQTT-3.1.2-8]`, () => {
      const { world, a, watch } = one({ version })
      a.drop()
      assert.deepEqual(watch.takePayloads(), ['gone'])
      assert.equal(world.metric('willsPublished'), 1)
    })
  }

  test('when Keep Alive runs out [MQTT-3.1.2-8]', () => {
    const { world, watch } = one({ keepAliveSeconds: 10 })
    world.advance(15_200)
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('when the client breaks the protocol [MQTT-3.1.2-8]', () => {
    const { a, watch } = one()
    a.connect()
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('when the client is taken over', () => {
    const { world, watch } = one()
    world.client('a').connected()
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('on DISCONNECT 0x04 and any other Reason Code but 0x00', () => {
    for (const reasonCode of [ReasonCode.DisconnectWithWillMessage, ReasonCode.UnspecifiedError]) {
      const { a, watch } = one()
      a.disconnect(reasonCode)
      assert.deepEqual(watch.takePayloads(), ['gone'])
    }
  })

  test('when an administrator ends the session', () => {
    const { world, watch } = one({ expiry: 100, delay: 50 })
    world.core.removeSession('a')
    world.run()
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('on shutdown, to those who are still there', () => {
    const { world, watch } = one()
    world.core.shutDown(ReasonCode.ServerShuttingDown, 'bye')
    world.run()
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('once', () => {
    const { world, a, watch } = one({ keepAliveSeconds: 1 })
    a.transport.lingers = true
    world.advance(2_000)
    a.drop()
    world.advance(10_000)
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })
})

describe('is not published', () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: after DISCONNECT 0x00, also when the connection is lost later [MQTT-3.1.2-10] [MQTT-3.14.4-3]`, () => {
      const { world, a, watch } = one({ version })
      a.transport.lingers = true
      a.disconnect()
      world.advance(20_000)
      watch.hasNothing()
      assert.ok(a.isClosed)
    })
  }

  test('on a connection after the one that it was for', () => {
    const { a, watch } = one({ expiry: 100, cleanStart: false })
    a.disconnect()
    a.connected({ cleanStart: false })
    a.drop()
    watch.hasNothing()
  })

  test('when the CONNECT was refused', () => {
    const world = new World({ authenticator: { authenticate: (_, d) => d({ reasonCode: ReasonCode.Banned }) } })
    world.client('a').connect({ will: will({ topic: 'w' }) })
    assert.equal(world.metric('willsPublished'), 0)
  })
})

describe('Will Delay Interval (3.1.3.2.2)', () => {
  test('waits [MQTT-3.1.2-8]', () => {
    const { world, a, watch } = one({ delay: 10, expiry: 100 })
    a.drop()
    world.advance(9_900)
    watch.hasNothing()
    world.advance(300)
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('is cut short by the end of the session', () => {
    const { world, a, watch } = one({ delay: 100, expiry: 10 })
    a.drop()
    world.advance(9_900)
    watch.hasNothing()
    world.advance(300)
    assert.deepEqual(watch.takePayloads(), ['gone'])
    assert.equal(world.core.sessions.size, 1)
  })

  test('does not count for a session that ends with its connection', () => {
    const { a, watch } = one({ delay: 100 })
    a.drop()
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('a client that is back in time has no Will published [MQTT-3.1.3-9]', () => {
    const { world, a, watch } = one({ delay: 10, expiry: 100, cleanStart: false })
    a.drop()
    world.advance(9_000)
    assert.equal(
      a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } }).sessionPresent,
      true,
    )
    world.advance(60_000)
    watch.hasNothing()
  })

  test('a takeover that goes on with the session has no Will published [MQTT-3.1.3-9]', () => {
    const { world, watch } = one({ delay: 10, expiry: 100, cleanStart: false })
    world
      .client('a')
      .connected({ cleanStart: false, keepAliveSeconds: 0, properties: { sessionExpiryIntervalSeconds: 9 } })
    world.advance(60_000)
    watch.hasNothing()
  })

  test('Clean Start ends the session, so the Will is published at once', () => {
    const { a, watch } = one({ delay: 10, expiry: 100 })
    a.drop()
    a.connected({ cleanStart: true })
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('DISCONNECT 0x04 with Session Expiry Interval 0 publishes at once', () => {
    const { a, watch } = one({ delay: 10, expiry: 100 })
    a.send(new Disconnect(ReasonCode.DisconnectWithWillMessage, { sessionExpiryIntervalSeconds: 0 }))
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })

  test('DISCONNECT 0x04 waits for the delay too', () => {
    const { world, a, watch } = one({ delay: 10, expiry: 100 })
    a.disconnect(ReasonCode.DisconnectWithWillMessage)
    watch.hasNothing()
    world.advance(10_200)
    assert.deepEqual(watch.takePayloads(), ['gone'])
  })
})

describe('the message', () => {
  test('has QoS, RETAIN and the properties of the Will [MQTT-3.1.2-14] [MQTT-3.1.2-15]', () => {
    const world = new World()
    const watch = world.client('watch')
    watch.connected()
    watch.subscribe('w', { retainAsPublished: true })
    const properties = {
      willDelayIntervalSeconds: 0,
      payloadFormatIndicator: 1,
      contentType: 'c',
      responseTopic: 'r',
      userProperties: [['a', 'b']] as [string, string][],
    }
    world
      .client('a')
      .connect({ will: will({ topic: 'w', payload: 'x', qos: 2, retain: true, properties }) })
      .drop()
    const { packetId: _, ...message } = watch.takePublish()
    const { willDelayIntervalSeconds: __, ...passedOn } = properties
    assert.deepEqual(message, {
      topic: 'w',
      payload: 'x',
      qos: 2,
      retain: true,
      dup: false,
      properties: passedOn,
    })
    const late = world.client('late')
    late.connected()
    late.subscribe('w')
    assert.equal(late.takePublish().payload, 'x')
  })

  test('without RETAIN is not retained [MQTT-3.1.2-14]', () => {
    const { world, a } = one()
    a.drop()
    assert.equal(world.metric('retainedMessages'), 0)
  })

  test('Message Expiry Interval counts from when it is published', () => {
    const world = new World()
    const watch = world.client('watch')
    watch.connected()
    watch.subscribe('w')
    const properties = { willDelayIntervalSeconds: 50, messageExpiryIntervalSeconds: 20 }
    const a = world.client('a').connect({
      will: will({ topic: 'w', properties }),
      properties: { sessionExpiryIntervalSeconds: 100 },
    })
    a.drop()
    world.advance(50_200)
    assert.equal(watch.takePublish().properties.messageExpiryIntervalSeconds, 20)
  })

  test('goes to the session of its own client, when that is still there', () => {
    const world = new World()
    const a = world.client('a')
    const properties = { sessionExpiryIntervalSeconds: 100 }
    a.connected({ cleanStart: false, properties, will: will({ topic: 'w', payload: 'mine', qos: 1 }) })
    a.subscribe('w')
    a.drop()
    a.connected({ cleanStart: false, properties })
    assert.deepEqual(a.takePayloads(), ['mine'])
  })

  test('No Local holds for it too', () => {
    const world = new World()
    const a = world.client('a')
    const properties = { sessionExpiryIntervalSeconds: 100 }
    a.connected({ cleanStart: false, properties, will: will({ topic: 'w', qos: 1 }) })
    a.subscribe('w', { noLocal: true })
    a.drop()
    a.connected({ cleanStart: false, properties })
    a.hasNothing()
  })
})
