import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connect, encode, Pingreq, Pingresp, Puback, Publish, ReasonCode, Suback, Subscribe } from '@recado/protocol'
import { subscriptionTo, type TestClient, World } from '../../testing/mod.ts'
import { TokenBucket } from './throttle.ts'

describe('a token bucket', () => {
  test('holds one second of its rate, lets one packet into debt, and says how long that lasts', () => {
    const bucket = new TokenBucket(100, 0)
    bucket.take(100)
    assert.equal(bucket.waitMs(0), 0)
    bucket.take(50)
    assert.equal(bucket.waitMs(0), 500)
    assert.equal(bucket.waitMs(200), 300)
    assert.equal(bucket.waitMs(500), 0)
    bucket.refill(1_000_000)
    bucket.take(101)
    assert.equal(bucket.waitMs(1_000_000), 10)
  })

  test('with all taken and nothing more is in no debt, whatever the arithmetic makes of it', () => {
    const bucket = new TokenBucket(8, 0)
    // Seed 3028800 of the simulation: the sum is -2e-16.
    const taken = [
      [230, 3],
      [470, 5],
      [644, 4],
    ] as const
    for (const [atMs, count] of taken) {
      bucket.refill(atMs)
      for (let i = 0; i < count; i++) bucket.take(1)
    }
    assert.equal(bucket.waitMs(730), 0)
  })
})

/** `count` small messages in one chunk. */
function burst(client: TestClient, count: number, topic = 't'): void {
  client.send(...Array.from({ length: count }, (_, i) => client.makePublish({ topic, payload: `${i}` })))
}

function pair(limits: object): { world: World; attacker: TestClient; other: TestClient; reader: TestClient } {
  const world = new World({ limits })
  const reader = world.client('reader')
  reader.connected()
  reader.subscribe('#', { qos: 1 })
  const attacker = world.client('attacker')
  attacker.connected()
  const other = world.client('other')
  other.connected()
  return { world, attacker, other, reader }
}

describe('messages of one client', () => {
  test('over its rate a client is not read; what it sent comes later, in order, nothing lost', () => {
    const { world, attacker, reader } = pair({ messagesPerSecondMax: 10 })
    burst(attacker, 25)
    const first = reader.takePayloads()
    assert.ok(first.length >= 10 && first.length <= 12, `${first.length} at once`)
    assert.ok(attacker.transport.isPaused)
    world.advance(500)
    const second = reader.takePayloads()
    assert.ok(second.length >= 3 && second.length <= 8, `${second.length} in half a second`)
    world.advance(3_000)
    assert.deepEqual(
      [...first, ...second, ...reader.takePayloads()],
      Array.from({ length: 25 }, (_, i) => `${i}`),
    )
    assert.ok(!attacker.isClosed)
    assert.ok(world.metric('rateHolds') > 0)
  })

  test('others are served meanwhile, in the same turn', () => {
    const { world, attacker, other, reader } = pair({ messagesPerSecondMax: 10 })
    world.together(() => {
      burst(attacker, 1_000, 'flood')
      burst(other, 5, 'quiet')
    })
    const topics = reader.takeAll().map((packet) => (packet as Publish).topic)
    assert.equal(topics.filter((topic) => topic === 'quiet').length, 5)
    assert.ok(topics.filter((topic) => topic === 'flood').length < 15)
  })

  test('PINGREQ, SUBSCRIBE and UNSUBSCRIBE count, acknowledgements do not', () => {
    const { attacker } = pair({ messagesPerSecondMax: 10 })
    attacker.send(...Array.from({ length: 30 }, () => new Puback(7)))
    assert.ok(!attacker.transport.isPaused)
    attacker.send(...Array.from({ length: 1_000 }, () => new Pingreq()))
    assert.ok(attacker.takeAll().filter((packet) => packet instanceof Pingresp).length <= 12)
    assert.ok(attacker.transport.isPaused)
  })

  test('each Topic Filter counts: a SUBSCRIBE of a thousand is paid for', () => {
    const { world, attacker } = pair({ messagesPerSecondMax: 100 })
    attacker.send(
      new Subscribe(
        1,
        Array.from({ length: 1_000 }, (_, i) => subscriptionTo(`${i}`)),
      ),
    )
    assert.equal(attacker.take(Suback).reasonCodes.length, 1_000)
    assert.ok(attacker.transport.isPaused)
    world.advance(8_500)
    assert.ok(attacker.transport.isPaused)
    world.advance(1_000)
    assert.ok(!attacker.transport.isPaused)
  })

  test('over its rate without a rest for the grace time it is disconnected with 0x96', () => {
    const { world, attacker, other } = pair({ messagesPerSecondMax: 10, rateGraceMs: 5_000 })
    let seconds = 0
    for (; seconds < 20 && !attacker.isClosed; seconds++) {
      burst(attacker, 30)
      other.send(new Pingreq())
      world.advance(1_000)
    }
    assert.ok(seconds >= 5 && seconds <= 8, `closed after ${seconds} s`)
    attacker.isDisconnectedWith(ReasonCode.MessageRateTooHigh)
    assert.equal(world.metric('rateDisconnects'), 1)
    assert.ok(!other.isClosed)
  })

  test('one that bursts and rests is never disconnected', () => {
    const { world, attacker } = pair({ messagesPerSecondMax: 10, rateGraceMs: 2_000 })
    for (let i = 0; i < 20; i++) {
      burst(attacker, 15)
      world.advance(3_000)
      assert.ok(!attacker.isClosed)
    }
  })

  test('while it is held back its Keep Alive does not run out', () => {
    const world = new World({ limits: { messagesPerSecondMax: 1 } })
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 2 })
    burst(a, 12)
    world.advance(8_000)
    assert.ok(!a.isClosed)
  })

  test('without limits there is no throttle: nothing is ever held', () => {
    const { world, attacker } = pair({})
    burst(attacker, 10_000)
    assert.ok(!attacker.transport.isPaused)
    assert.equal(world.metric('rateHolds'), 0)
  })
})

describe('bytes of one client', () => {
  test('a packet larger than a second of bytes passes, and is paid for afterwards', () => {
    const { world, attacker, reader } = pair({ bytesPerSecondMax: 1_000 })
    attacker.publish({ topic: 't', payload: new Uint8Array(3_000) })
    assert.equal(reader.takeAll().length, 1)
    assert.ok(attacker.transport.isPaused)
    burst(attacker, 1)
    world.advance(1_500)
    reader.hasNothing()
    world.advance(1_000)
    assert.equal(reader.takeAll().length, 1)
  })

  test('half a packet counts as well', () => {
    const { attacker } = pair({ bytesPerSecondMax: 1_000 })
    const bytes = encode(attacker.makePublish({ topic: 't', payload: new Uint8Array(10_000) }), 5)
    attacker.sendBytes(bytes.subarray(0, 2_000))
    assert.ok(attacker.transport.isPaused)
  })
})

describe('all clients of a listener together', () => {
  test('share its rate, and take turns: nobody overtakes or starves', () => {
    const world = new World({ limits: { listenerMessagesPerSecondMax: 100 } })
    const reader = world.client('reader', { listener: 'inside' })
    reader.connected()
    reader.subscribe('#')
    const clients = ['a', 'b', 'c'].map((name) => world.client(name, { listener: 'outside' }))
    for (const client of clients) client.connected()
    for (const client of clients) burst(client, 200, client.clientId)
    world.advance(2_000)
    const topics = reader.takeAll().map((packet) => (packet as Publish).topic)
    assert.ok(topics.length >= 200 && topics.length <= 330, `${topics.length} in 2 s`)
    for (const name of ['b', 'c']) {
      const count = topics.filter((topic) => topic === name).length
      assert.ok(count > 40, `${name} got through ${count} of ${topics.length}`)
    }
    world.advance(10_000)
    assert.equal(topics.length + reader.takeAll().length, 600)
    assert.equal(world.metric('rateDisconnects'), 0)
  })

  test('being held back by it is no reason to be disconnected for a rate of its own', () => {
    const limits = { messagesPerSecondMax: 10, listenerMessagesPerSecondMax: 100, rateGraceMs: 3_000 }
    const { world, attacker } = pair(limits)
    burst(attacker, 11)
    world.advance(3_000)
    // The client is within its rate; the others of its listener are not.
    for (let i = 0; i < 15; i++) {
      const one = world.client(`of many ${i}`)
      one.connected()
      burst(one, 10)
    }
    burst(attacker, 1)
    assert.ok(attacker.transport.isPaused)
    world.advance(1_000)
    assert.ok(!attacker.transport.isPaused)
    burst(attacker, 15)
    assert.ok(!attacker.isClosed)
    assert.ok(attacker.transport.isPaused)
  })

  test('another listener has its own', () => {
    const world = new World({ limits: { listenerMessagesPerSecondMax: 10 } })
    const a = world.client('a', { listener: 'outside' })
    const b = world.client('b', { listener: 'inside' })
    a.connected()
    b.connected()
    burst(a, 100)
    assert.ok(a.transport.isPaused)
    burst(b, 5)
    assert.ok(!b.transport.isPaused)
  })

  test('one that ends while it waits in line is passed over', () => {
    const world = new World({ limits: { listenerMessagesPerSecondMax: 10 } })
    const [a, b] = ['a', 'b'].map((name) => world.client(name)) as [TestClient, TestClient]
    a.connected()
    b.connected()
    burst(a, 15)
    burst(b, 15)
    a.drop()
    world.advance(10_000)
    assert.ok(!b.transport.isPaused)
    assert.equal(world.metric('messagesReceived') >= 15, true)
  })
})

describe('new connections of a listener', () => {
  test('over the rate they wait unread; those that would wait too long are closed at once', () => {
    const world = new World({ limits: { listenerConnectionsPerSecondMax: 10, connectTimeoutMs: 10_000 } })
    const clients = Array.from({ length: 100 }, (_, i) => world.client(`c${i}`))
    for (const client of clients) {
      client.open()
      if (!client.isClosed) client.connect()
    }
    const connected = (): number => clients.filter((client) => client.received.length > 0).length
    assert.ok(connected() >= 9 && connected() <= 11, `${connected()} at once`)
    assert.ok(clients.filter((client) => client.isClosed).length >= 35)
    assert.equal(world.metric('connectionsRefusedByRate'), clients.filter((client) => client.isClosed).length)
    world.advance(6_000)
    assert.ok(connected() >= 55, `${connected()} after six seconds`)
    assert.equal(clients.filter((client) => client.isClosed).length + connected(), 100)
  })
})

describe('connections from one address', () => {
  test('over the limit they are closed at once, those of others are not', () => {
    const world = new World({ limits: { connectionsPerAddressMax: 3 } })
    const from = (remoteAddress: string, name: string): TestClient => world.client(name, { remoteAddress }).open()
    const attackers = Array.from({ length: 6 }, (_, i) => from(`[2001:db8::${i}]:1000`, `a${i}`))
    assert.deepEqual(
      attackers.map((client) => client.isClosed),
      [false, false, false, true, true, true],
    )
    assert.ok(!from('[2001:db8:0:1::1]:1000', 'neighbour').isClosed)
    assert.ok(!from('192.0.2.1:1000', 'other').isClosed)
    assert.equal(world.metric('connectionsRefusedByAddress'), 3)
    attackers[0]!.drop()
    assert.ok(!from('[2001:db8::99]:1000', 'again').isClosed)
  })
})

describe('connections without CONNECT', () => {
  test('over the limit the oldest goes, and whoever is quick gets in', () => {
    const world = new World({ limits: { pendingConnectionsMax: 5 } })
    const silent = Array.from({ length: 5 }, (_, i) => world.client(`s${i}`).open())
    for (let i = 0; i < 20; i++) world.client(`honest${i}`).connected()
    assert.equal(silent.filter((client) => client.isClosed).length, 1, 'only one had to go')
    for (let i = 0; i < 5; i++) world.client(`more${i}`).open()
    assert.ok(silent.every((client) => client.isClosed))
    assert.equal(world.metric('connectionsEvicted'), 5)
    assert.equal(world.metric('clients'), 20)
  })

  test('one whose authentication takes its time is not the one to go', () => {
    const decisions: ((decision: object) => void)[] = []
    const world = new World({
      limits: { pendingConnectionsMax: 1 },
      authenticator: { authenticate: (_, decide) => decisions.push(decide) },
    })
    const slow = world.client('slow').connect()
    world.client('x').open()
    world.client('y').open()
    assert.ok(!slow.isClosed)
    decisions[0]!({})
    world.run()
    assert.equal(slow.received.length, 1)
  })
})

describe('what is sent before and beside messages', () => {
  test('a packet that is not a PUBLISH over controlPacketBytesMax: 0x95 before it is read whole', () => {
    const { world, attacker, other } = pair({ controlPacketBytesMax: 2_000 })
    const filters = Array.from({ length: 1_000 }, (_, i) => subscriptionTo(`a/${i}`))
    const bytes = encode(new Subscribe(1, filters), 5)
    attacker.sendBytes(bytes.subarray(0, 10))
    attacker.isDisconnectedWith(ReasonCode.PacketTooLarge)
    other.publish({ topic: 't', payload: new Uint8Array(100_000), qos: 1 })
    other.take(Puback)
    assert.equal(world.metric('subscriptions'), 1)
  })

  test('properties of a PUBLISH over propertyBytesMax: 0x95, and counted', () => {
    const { world, attacker, reader } = pair({ propertyBytesMax: 2_000 })
    const userProperties = Array.from({ length: 500 }, () => ['', ''] as [string, string])
    attacker.publish({ topic: 't', properties: { userProperties } })
    attacker.isDisconnectedWith(ReasonCode.PacketTooLarge)
    reader.hasNothing()
    assert.equal(world.metric('packetsTooLarge'), 1)
  })

  test('a CONNECT over connectBytesMax is closed without an answer', () => {
    const world = new World({ limits: { connectBytesMax: 2_000 } })
    const client = world.client('a').open()
    client.sendBytes(
      encode(
        new Connect({
          protocolVersion: 5,
          cleanStart: true,
          keepAliveSeconds: 1,
          clientId: 'a',
          password: new Uint8Array(10_000),
        }),
        5,
      ).subarray(0, 50),
    )
    client.hasNothing()
    assert.ok(client.isClosed)
  })

  test('subscriptionsTotalMax: 0x97, but replacing one is allowed', () => {
    const world = new World({ limits: { subscriptionsTotalMax: 3 } })
    const [a, b] = ['a', 'b'].map((name) => world.client(name)) as [TestClient, TestClient]
    a.connected()
    b.connected()
    a.send(
      new Subscribe(
        1,
        ['1', '2', '3', '4'].map((filter) => subscriptionTo(filter)),
      ),
    )
    assert.deepEqual(a.take(Suback).reasonCodes, [2, 2, 2, ReasonCode.QuotaExceeded])
    assert.equal(b.subscribe('1'), ReasonCode.QuotaExceeded)
    assert.equal(a.subscribe('3', { qos: 1 }), 1)
    a.unsubscribe('1')
    assert.equal(b.subscribe('1'), 2)
  })
})

describe('slow senders', () => {
  test('half a packet and a byte now and then is no sign of life', () => {
    const { world, attacker } = pair({})
    const loris = world.client('loris')
    loris.connected({ keepAliveSeconds: 10 })
    const bytes = encode(attacker.makePublish({ topic: 't', payload: new Uint8Array(500) }), 5)
    let sent = 0
    for (; sent < 100 && !loris.isClosed; sent++) {
      loris.sendBytes(bytes.subarray(sent, sent + 1))
      world.advance(1_000)
    }
    assert.ok(sent < 20, `${sent} s`)
    loris.isDisconnectedWith(ReasonCode.KeepAliveTimeout)
  })

  test('a large packet on a slow line is: a thousand bytes within the Keep Alive are enough', () => {
    const { world, attacker, reader } = pair({})
    const slow = world.client('slow')
    slow.connected({ keepAliveSeconds: 10 })
    const bytes = encode(attacker.makePublish({ topic: 't', payload: new Uint8Array(20_000) }), 5)
    for (let at = 0; at < bytes.length; at += 200) {
      slow.sendBytes(bytes.subarray(at, at + 200))
      world.advance(1_000)
      reader.send(new Pingreq())
    }
    assert.ok(!slow.isClosed)
    assert.equal(reader.takeAll().filter((packet) => packet instanceof Publish).length, 1)
  })
})
