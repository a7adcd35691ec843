import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  Auth,
  Connect,
  Disconnect,
  encode,
  type Packet,
  Pingreq,
  Pingresp,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  ReasonCode,
  Subscribe,
  Unsubscribe,
} from '@recado/protocol'
import { comparable, connectBytes, type WireCase, wireCases } from '@recado/protocol/wire-cases'
import fc from 'fast-check'
import { subscriptionTo, World, will } from '../../testing/mod.ts'

describe('keep alive', () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: silence for one and a half times ends the connection [MQTT-3.1.2-22]`, () => {
      const world = new World()
      const a = world.client('a', { version })
      a.connected({ keepAliveSeconds: 10 })
      world.advance(14_900)
      assert.ok(!a.isClosed)
      world.advance(300)
      a.isDisconnectedWith(ReasonCode.KeepAliveTimeout)
      assert.equal(world.metric('keepAliveTimeouts'), 1)
    })
  }

  test('any packet from the client begins it anew [MQTT-3.1.2-22]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 10 })
    for (const packet of [new Pingreq(), a.makePublish({ topic: 't' }), new Puback(9), new Pingreq()]) {
      world.advance(14_000)
      a.send(packet)
      assert.ok(!a.isClosed)
    }
    world.advance(15_200)
    assert.ok(a.isClosed)
  })

  test('what the broker sends does not count', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 10 })
    a.subscribe('t')
    for (let i = 0; i < 16; i++) {
      world.advance(1_000)
      world.publish({ topic: 't' })
    }
    assert.ok(a.isClosed)
  })

  test('Keep Alive 0 never times out', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 0 })
    world.advance(100 * 24 * 3_600_000)
    assert.ok(!a.isClosed)
  })

  test('a client that is alive costs one alarm in a Keep Alive, not one a packet', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 100 })
    const before = world.clock.alarms
    for (let i = 0; i < 1_000; i++) {
      a.send(new Pingreq())
      world.advance(1_000)
    }
    assert.ok(world.clock.alarms - before < 30, `${world.clock.alarms - before} alarms`)
    assert.ok(!a.isClosed)
  })
})

describe('CONNECT timeout', () => {
  test('a connection that says nothing is closed', () => {
    const world = new World({ limits: { connectTimeoutMs: 1_000 } })
    const a = world.client('a').open()
    world.advance(900)
    assert.ok(!a.isClosed)
    world.advance(300)
    a.hasNothing()
    assert.ok(a.isClosed)
    assert.equal(world.metric('connectionsRefused'), 1)
  })

  test('by default there is time for TLS on a line whose MTU TCP must find', () => {
    const world = new World()
    const a = world.client('a').open()
    // 13.5 s in the network laboratory (docs/network-lab.md): TCP sends the certificate six times before it fits.
    world.advance(14_000)
    assert.ok(!a.isClosed)
    world.advance(7_000)
    assert.ok(a.isClosed)
  })

  test('a byte now and then does not help', () => {
    const world = new World({ limits: { connectTimeoutMs: 1_000 } })
    const a = world.client('a').open()
    for (const byte of connectBytes(5).subarray(0, 12)) {
      if (!a.isClosed) a.sendBytes(Uint8Array.of(byte))
      world.advance(100)
    }
    assert.ok(a.isClosed)
  })
})

test('PINGREQ is answered with PINGRESP [MQTT-3.12.4-1]', () => {
  for (const version of [3, 4, 5] as const) {
    const a = new World().client('a', { version })
    a.connected()
    a.send(new Pingreq()).take(Pingresp)
    a.hasNothing()
  }
})

describe('the end', () => {
  test('DISCONNECT closes the connection; what follows it is not read [MQTT-3.14.4-1] [MQTT-3.14.4-2]', () => {
    for (const version of [3, 4, 5] as const) {
      const world = new World()
      const s = world.client('s')
      s.connected()
      s.subscribe('#')
      const a = world.client('a', { version })
      a.connected()
      a.send(new Disconnect(), a.makePublish({ topic: 't' }))
      a.hasNothing()
      s.hasNothing()
      assert.ok(a.isClosed)
      assert.deepEqual(
        world.eventsOf('client.disconnected').map(({ byClient, reasonCode }) => ({ byClient, reasonCode })),
        [{ byClient: true, reasonCode: 0 }],
      )
    }
  })

  test('a Session Expiry Interval in DISCONNECT replaces that of CONNECT', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 10 } })
    a.disconnect(0, { sessionExpiryIntervalSeconds: 100 })
    world.advance(90_000)
    assert.equal(
      a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 9 } }).sessionPresent,
      true,
    )
    a.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    assert.equal(world.metric('sessions'), 0)
  })

  test('one that was 0 in CONNECT may not become another: 0x82 (3.14.2.2.2)', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.disconnect(0, { sessionExpiryIntervalSeconds: 1 })
    a.isDisconnectedWith(ReasonCode.ProtocolError)
    assert.equal(world.metric('sessions'), 0)
  })

  test('a peer that does not close is cut after five seconds', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.transport.lingers = true
    a.disconnect()
    assert.ok(!a.isClosed)
    world.advance(5_200)
    assert.ok(a.isClosed)
    assert.equal(world.core.connections.size, 0)
  })

  test('a peer that does not read its DISCONNECT is cut after five seconds', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.block()
    a.connect()
    assert.ok(!a.isClosed)
    world.advance(5_200)
    assert.ok(a.isClosed)
  })

  test('a transport that fails is reported once, with its error', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.drop(new Error('reset by peer'))
    const [event] = world.eventsOf('connection.failed')
    assert.equal(event?.why, 'reset by peer')
    assert.equal(world.eventsOf('client.disconnected')[0]?.why, 'reset by peer')
    assert.equal(world.metric('clients'), 0)
    assert.equal(world.metric('connectionsClosed'), 1)
  })

  test('a client that goes before CONNACK is told of, and one that has been let in is told of once', () => {
    const world = new World()
    const a = world.client('a')
    a.open()
    a.drop()
    const b = world.client('b')
    b.connected()
    b.drop()
    assert.deepEqual(
      world.eventsOf('connection.failed').map(({ clientId, why }) => [clientId, why]),
      [['', 'the connection was closed']],
    )
    assert.equal(world.eventsOf('client.disconnected').length, 1)
  })

  test('the last words come after what was to be sent before them', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    world.together(() => {
      world.publish({ topic: 't', payload: '1' })
      a.send(new Pingreq())
      world.core.removeSession('a')
    })
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [3, 13, 14],
    )
  })

  test('removeSession ends connection and session: 0x98', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { sessionExpiryIntervalSeconds: 99 } })
    assert.equal(world.core.removeSession('a'), true)
    world.run()
    a.isDisconnectedWith(ReasonCode.AdministrativeAction)
    assert.equal(world.core.removeSession('a'), false)
    assert.equal(world.metric('sessions'), 0)
  })

  test('shutDown tells 5.0 clients why, with Server Reference (4.13) [MQTT-4.11]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    const b = world.client('b', { version: 4 })
    b.connected()
    const c = world.client('c').open()
    world.core.shutDown(ReasonCode.UseAnotherServer, 'moving', 'there.example')
    world.run()
    assert.equal(a.isDisconnectedWith(ReasonCode.UseAnotherServer)?.properties.serverReference, 'there.example')
    b.isDisconnectedWith(0)
    assert.ok(c.isClosed)
    assert.equal(world.core.connections.size, 0)
  })
})

describe('problem information', () => {
  test('DISCONNECT has a Reason String, unless the client wants none [MQTT-3.1.2-29]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.connect()
    assert.ok(a.isDisconnectedWith(ReasonCode.ProtocolError)?.properties.reasonString)
    a.connected({ properties: { requestProblemInformation: false } })
    a.connect()
    assert.deepEqual(a.isDisconnectedWith(ReasonCode.ProtocolError)?.properties, {})
  })

  test('the Reason String is left out when it makes DISCONNECT too large [MQTT-3.14.2-3]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { maximumPacketSize: 20 } })
    a.connect()
    assert.deepEqual(a.isDisconnectedWith(ReasonCode.ProtocolError)?.properties, {})
  })
})

describe('Maximum Packet Size', () => {
  test('of the client: a message that does not fit is dropped as if delivered [MQTT-3.1.2-24] [MQTT-3.1.2-25]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
    a.subscribe('t')
    const b = world.client('b')
    b.connected()
    b.subscribe('t')
    for (const qos of [0, 1, 2] as const) {
      world.publish({ topic: 't', payload: 'x'.repeat(100), qos })
      assert.equal(b.takePayloads().length, 1)
    }
    world.publish({ topic: 't', payload: 'small', qos: 1 })
    assert.deepEqual(a.takePayloads(), ['small'])
    assert.equal(world.metric('dropped.packet-too-large'), 3)
  })

  test('of the client: exactly as large is sent, one byte more is not', () => {
    const world = new World()
    for (const maximumPacketSize of [100, 130, 131, 300]) {
      const a = world.client(`a${maximumPacketSize}`)
      a.connected({ properties: { maximumPacketSize } })
      a.subscribe('t', { qos: 1 })
      for (let length = maximumPacketSize - 12; length <= maximumPacketSize; length++) {
        world.publish({ topic: 't', payload: 'x'.repeat(length), qos: 1 })
      }
      const sizes = a.takeAll().map((packet) => encode(packet, 5).length)
      assert.ok(sizes.length > 0)
      assert.ok(Math.max(...sizes) === maximumPacketSize || (maximumPacketSize === 130 && Math.max(...sizes) === 129))
    }
  })

  test('of the client, smaller on reconnect: what was in flight and does not fit is dropped', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 9 } })
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'x'.repeat(100), qos: 1 })
    world.publish({ topic: 't', payload: 'y', qos: 1 })
    a.takeAll()
    a.drop().connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 9, maximumPacketSize: 50 } })
    assert.deepEqual(a.takePayloads(), ['y'])
    assert.equal(world.metric('dropped.packet-too-large'), 1)
  })

  test('of the broker: a larger packet ends the connection with 0x95 as soon as its header is there [MQTT-3.2.2-15]', () => {
    const world = new World({ limits: { packetBytesMax: 100 } })
    const a = world.client('a')
    a.connected()
    a.publish({ topic: 't', payload: 'x'.repeat(90) })
    assert.ok(!a.isClosed)
    a.sendBytes(Uint8Array.of(0x30, 99))
    a.isDisconnectedWith(ReasonCode.PacketTooLarge)
    assert.equal(world.metric('protocolErrors'), 1)
  })
})

describe('Topic Alias to the client', () => {
  test('a topic is sent once and then by its alias; never more than the client allows [MQTT-3.1.2-26] [MQTT-3.3.2-11]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { topicAliasMaximum: 2 } })
    a.subscribe('#')
    for (const topic of ['a', 'a', 'b', 'a', 'c', 'a', 'b']) world.publish({ topic })
    assert.deepEqual(
      Array.from({ length: 7 }, () => a.takePublish()).map(({ topic, properties }) => [topic, properties.topicAlias]),
      [
        ['a', 1],
        ['', 1],
        ['b', 2],
        ['', 1],
        ['c', 2],
        ['', 1],
        ['b', 2],
      ],
    )
  })

  test('none for a client that allows none [MQTT-3.1.2-27]', () => {
    const world = new World()
    for (const version of [4, 5] as const) {
      const a = world.client(`a${version}`, { version })
      a.connected()
      a.subscribe('t')
      world.publish({ topic: 't' })
      world.publish({ topic: 't' })
      for (let i = 0; i < 2; i++) assert.equal(a.takePublish().properties.topicAlias, undefined)
    }
  })

  test('topicAliasSendMax bounds it', () => {
    const world = new World({ limits: { topicAliasSendMax: 0 } })
    const a = world.client('a')
    a.connected({ properties: { topicAliasMaximum: 10 } })
    a.subscribe('t')
    world.publish({ topic: 't' })
    assert.equal(a.takePublish().properties.topicAlias, undefined)
  })

  test('a new connection begins without', () => {
    const world = new World()
    const a = world.client('a')
    const properties = { topicAliasMaximum: 10, sessionExpiryIntervalSeconds: 9 }
    a.connected({ cleanStart: false, properties })
    a.subscribe('t')
    world.publish({ topic: 't', qos: 1 })
    world.publish({ topic: 't', qos: 1 })
    a.takeAll()
    a.drop().connected({ cleanStart: false, properties })
    assert.deepEqual([a.takePublish().topic, a.takePublish().topic], ['t', ''])
  })

  test('a message that does not fit leaves no alias that the client has not heard of', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { topicAliasMaximum: 10, maximumPacketSize: 50 } })
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'x'.repeat(60) })
    world.publish({ topic: 't', payload: 'y' })
    assert.equal(a.takePublish().topic, 't')
  })
})

describe('chunks', () => {
  test('a client may send the whole of its life in one chunk', () => {
    const world = new World()
    const s = world.client('s')
    s.connected()
    s.subscribe('#')
    const a = world.client('a').open()
    a.send(
      new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' }),
      new Subscribe(1, [subscriptionTo('t')]),
      a.makePublish({ topic: 't', payload: 'x', qos: 1 }),
      new Pingreq(),
      new Disconnect(),
    )
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [2, 9, 3, 4, 13],
    )
    assert.deepEqual(s.takePayloads(), ['x'])
    assert.ok(a.isClosed)
  })

  test('any split of a valid script gives the same output as one chunk', () => {
    const topic = fc.constantFrom('a', 'a/b', 'c', 'long/'.repeat(20))
    const filter = fc.constantFrom('a', 'a/#', '+', '#', 'a/b', '$share/g/a', 'none')
    const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
    const packetId = fc.integer({ min: 1, max: 5 })
    const packet: fc.Arbitrary<Packet> = fc.oneof(
      fc
        .record({ topic, qos, packetId, retain: fc.boolean(), payload: fc.uint8Array({ maxLength: 300 }) })
        .map((o) => Publish.of({ ...o, packetId: o.qos === 0 ? 0 : o.packetId })),
      fc
        .record({ packetId, filter, qos })
        .map((o) => new Subscribe(o.packetId, [subscriptionTo(o.filter, { qos: o.qos })])),
      fc.record({ packetId, filter }).map((o) => new Unsubscribe(o.packetId, [o.filter])),
      packetId.map((id) => new Pubrel(id)),
      fc.constant(new Pingreq()),
    )
    const script = fc.record({
      version: fc.constantFrom(3 as const, 4 as const, 5 as const),
      packets: fc.array(packet, { maxLength: 30 }),
      chunkSizes: fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 40 }),
    })
    const play = (version: 3 | 4 | 5, bytes: Uint8Array, chunkSizes: number[]): unknown => {
      const world = new World({ observe: false })
      const a = world.client('a', { version }).open()
      a.chunkSizes = chunkSizes
      // One turn, so that what is written in a turn is the same too
      a.sendBytes(bytes)
      return { out: a.takeAll().map((out) => comparable(out)), isClosed: a.isClosed, metrics: world.core.snapshot() }
    }
    fc.assert(
      fc.property(script, ({ version, packets, chunkSizes }) => {
        const connect = new Connect({ protocolVersion: version, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' })
        const bytes = Buffer.concat([connect, ...packets].map((each) => encode(each, version)))
        assert.deepEqual(play(version, bytes, chunkSizes), play(version, bytes, []))
      }),
      { numRuns: 300 },
    )
  })

  test('no bytes of a client throw out of the core, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(3 as const, 4 as const, 5 as const),
        fc.boolean(),
        fc.uint8Array({ maxLength: 200 }),
        (version, connected, bytes) => {
          const world = new World({ observe: false })
          const a = world.client('a', { version }).open()
          if (connected) a.connect()
          a.sendBytes(bytes)
          a.drop()
          assert.equal(world.core.connections.size, 0)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('wire cases', () => {
  /** The form is right, and the session says no: with which Reason Code. */
  const judgedLater = ({ packet, version }: WireCase): number | undefined => {
    if (packet instanceof Auth) return ReasonCode.ProtocolError // without a method in CONNECT
    if (packet instanceof Connect && packet.properties.authenticationMethod !== undefined)
      return ReasonCode.BadAuthenticationMethod
    if (packet instanceof Connect && packet.clientId === '' && version === 3) return 2
    if (packet instanceof Subscribe && version === 5) return ReasonCode.MalformedPacket // a# is no Topic Filter
    if (packet instanceof Publish && (packet.properties.topicAlias ?? 0) > 10) return ReasonCode.TopicAliasInvalid
    if (packet instanceof Publish && packet.topic === '') return ReasonCode.ProtocolError // an alias for nothing
    return undefined
  }

  /** Before 5.0 only a protocol version that we do not speak is told. */
  const refusedBefore5 = ({ refused }: WireCase): number | undefined =>
    refused === ReasonCode.UnsupportedProtocolVersion ? 1 : undefined

  const play = (wireCase: WireCase): void => {
    const { bytes, maximumPacketSize, refused } = wireCase
    const world = new World({
      // The table says what MQTT allows; what is refused beyond it has tests of its own.
      allowControlCharacters: true,
      limits: maximumPacketSize === undefined ? {} : { packetBytesMax: Math.max(64, maximumPacketSize) },
    })
    // A level above 5 is answered in the manner of 5.0.
    const isNewer = refused === ReasonCode.UnsupportedProtocolVersion && bytes[4] === 0x4d && bytes[8]! >= 5
    const client = world.client('wire', { version: isNewer ? 5 : wireCase.version }).open()
    if (wireCase.after === 'connect') {
      client.sendBytes(connectBytes(wireCase.version))
      assert.equal(client.received.shift()?.type, 2)
    }
    client.sendBytes(bytes)
    if (refused === undefined) {
      if (wireCase.packet instanceof Disconnect) assert.ok(client.isClosed)
      else if (client.isClosed) {
        const last = client.takeAll().at(-1) as { reasonCode?: number } | undefined
        assert.equal(last?.reasonCode, judgedLater(wireCase), `closed, and says ${JSON.stringify(last)}`)
      }
      return
    }
    assert.ok(client.isClosed, 'is not refused')
    const last = client.takeAll().at(-1) as { reasonCode?: number } | undefined
    // A CONNECT with a mistake is told in CONNACK, from 5.0 on. [MQTT-3.1.4-1] [MQTT-3.1.1:3.1.4-1]
    const isTold = wireCase.after === 'connect' || last !== undefined
    if (isTold) assert.equal(last?.reasonCode, wireCase.version === 5 || isNewer ? refused : refusedBefore5(wireCase))
  }

  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: what is accepted does not close, what is refused does, with its Reason Code`, () => {
      const failures: string[] = []
      const cases = wireCases.filter((each) => each.from === 'client' && each.version === version)
      for (const wireCase of cases) {
        try {
          play(wireCase)
        } catch (error) {
          failures.push(`${wireCase.name}: ${(error as Error).message}`)
        }
      }
      assert.ok(cases.length > 50)
      assert.deepEqual(failures, [])
    })
  }
})

test('metrics count what happens', () => {
  const world = new World()
  const a = world.client('a')
  a.connected({ will: will({ topic: 'w' }) })
  a.subscribe('t')
  a.publish({ topic: 't', qos: 1 })
  a.take(Publish)
  a.take(Puback)
  a.publish({ topic: 't', qos: 2, packetId: 9 })
  a.take(Publish)
  a.take(Pubrec)
  a.send(new Pubrel(9)).take(Pubcomp)
  a.drop()
  const { connectionsOpened, connectionsClosed, connections, clients, messagesReceived, messagesSent, willsPublished } =
    world.core.snapshot()
  assert.deepEqual(
    { connectionsOpened, connectionsClosed, connections, clients, messagesReceived, messagesSent, willsPublished },
    {
      connectionsOpened: 1,
      connectionsClosed: 1,
      connections: 0,
      clients: 0,
      messagesReceived: 2,
      messagesSent: 2,
      willsPublished: 1,
    },
  )
  assert.equal(world.metric('bytesSent'), a.transport.bytesWritten)
})

describe('last words', () => {
  test('a client that is slow to read gets its DISCONNECT behind what has waited, and nothing after it', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    a.block()
    for (const payload of ['1', '2', '3']) world.publish({ topic: 't', payload })
    a.send(new Pingresp() as Packet)
    assert.ok(!a.transport.isEnded)
    a.drain()
    assert.deepEqual(a.takePayloads(), ['1', '2', '3'])
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('one that never reads is cut', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    a.block()
    for (const payload of ['1', '2']) world.publish({ topic: 't', payload })
    a.send(new Pingresp() as Packet)
    assert.ok(!a.isClosed)
    world.advance(6_000)
    assert.ok(a.isClosed)
    assert.equal(world.metric('connections'), 0)
  })
})

test('A connection that ends before it can speak MQTT was opened and has failed, in this order', () => {
  const world = new World()
  world.core.connections.failedToConnect('192.0.2.1:5', 'tls', 'TLS handshake: the client does not speak TLS')
  assert.deepEqual(
    world.events.map(({ name }) => name),
    ['connection.opened', 'connection.failed'],
  )
})
