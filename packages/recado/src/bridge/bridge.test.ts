/** One bridge between a broker of this process and a remote broker that the test plays, packet by packet. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Broker, createBroker, marksOf, pathOf } from '@recado/broker'
import { type FakeServer, SimulatedWorld, turn } from '@recado/client/testing'
import {
  Connack,
  type Connect,
  Disconnect,
  type Packet,
  Pingresp,
  type Properties,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Suback,
} from '@recado/protocol'
import { bridgesFrom } from '../config/bridges.ts'
import { parseConfigFile } from '../config/parse.ts'
import { Bridge } from './bridge.ts'

interface Setup {
  readonly broker: Broker
  readonly world: SimulatedWorld
  readonly bridge: Bridge
  readonly log: string[]
  /** Messages of the broker: topic and payload. */
  readonly local: string[]
}

/** A bridge with these lines below its `connection` and `address`; it has been started. */
async function setUp(t: TestContext, lines: string, addresses = 'hub:1883'): Promise<Setup> {
  const text = `connection b\naddress ${addresses}\nremote_clientid far\nrestart_timeout 2\n${lines}`
  const { bridges, faults } = bridgesFrom(
    parseConfigFile('a.conf', { read: () => text, list: () => [] }).bridges,
    [],
    'edge',
  )
  assert.deepEqual(faults, [])
  const broker = createBroker()
  const world = new SimulatedWorld()
  const log: string[] = []
  const local: string[] = []
  broker.subscribe('#', ({ topic, payload }) => void local.push(`${topic} ${new TextDecoder().decode(payload)}`))
  broker.subscribe('$SYS/#', ({ topic, payload }) => void local.push(`${topic} ${new TextDecoder().decode(payload)}`))
  const bridge = new Bridge(bridges[0]!, {
    environment: world,
    relay: (options) => broker.relay(options),
    dialOptions: () => ({}),
    publish: (topic, payload) => void broker.publish({ topic, payload, retain: true, isNews: true }),
    changed: () => {},
    log: (_type, _event, line) => void log.push(line),
  })
  bridge.open()
  bridge.start()
  t.after(async () => {
    bridge.stop(false)
    await turn()
    await broker.close()
  })
  return { broker, world, bridge, log, local }
}

/** The remote broker of the next connection, which has accepted; SUBSCRIBE, UNSUBSCRIBE and the notification are answered. */
async function accepted(
  { world }: Setup,
  properties: Properties = {},
  isPresent = false,
): Promise<{ far: FakeServer; connect: Connect }> {
  const far = await world.connection()
  const connect = await far.accept(properties, isPresent)
  await turn()
  return { far, connect }
}

/** Takes the packets that have come; those of the bridge's own are answered, and left out. */
async function take(far: FakeServer): Promise<Packet[]> {
  await turn()
  const taken: Packet[] = []
  for (const packet of far.received.splice(0)) {
    if (packet.type === 8) far.send(new Suback(packet.packetId, [1]))
    else if (packet.type === 10) far.send({ type: 11, packetId: packet.packetId, reasonCodes: [0], properties: {} })
    else if (packet.type === 12) far.send(new Pingresp())
    else if (packet.type === 3 && packet.topic.startsWith('$SYS/')) far.send(new Puback(packet.packetId))
    else taken.push(packet)
  }
  await turn()
  // It asks whether all retained messages have come, when SUBACK has.
  if (far.received.some(({ type }) => type === 12)) {
    far.received.splice(0, far.received.length, ...far.received.filter(({ type }) => type !== 12))
    far.send(new Pingresp())
    await turn()
  }
  return taken
}

const publishes = (packets: readonly Packet[]): Publish[] => packets.filter((packet) => packet.type === 3)
const text = ({ payload }: Publish): string => new TextDecoder().decode(payload)
const publish = (topic: string, payload: string, qos: QoS, packetId: number): Publish =>
  Publish.of({ topic, payload: new TextEncoder().encode(payload), qos, packetId })

test('CONNECT says that it is a bridge, keeps its session and has a Will; then come state, SUBSCRIBE, messages', async (t) => {
  const setup = await setUp(t, 'topic a/# out 1\ntopic b/# in 2\n')
  await setup.broker.publish({ topic: 'a/1', payload: 'waits', qos: 1 })
  const { far, connect } = await accepted(setup)
  const { protocolVersion, isBridge, cleanStart, clientId, will, keepAliveSeconds } = connect
  assert.deepEqual(
    { protocolVersion, isBridge, cleanStart, clientId, keepAliveSeconds },
    { protocolVersion: 4, isBridge: true, cleanStart: false, clientId: 'far', keepAliveSeconds: 60 },
  )
  const topic = '$SYS/broker/connection/far/state'
  assert.deepEqual(
    { ...will, payload: [...will!.payload] },
    { topic, payload: [0x30], qos: 1, retain: true, properties: {} },
  )
  const [state, unsubscribe, subscribe, message] = far.received as [Publish, Packet, Packet, Publish]
  assert.deepEqual([state.topic, text(state), state.qos, state.retain], [topic, '1', 1, true])
  assert.deepEqual([unsubscribe.type, (unsubscribe as { topicFilters: string[] }).topicFilters], [10, ['a/#']])
  assert.equal(subscribe.type, 8)
  assert.deepEqual([message.topic, text(message), message.qos], ['a/1', 'waits', 1])
  assert.equal(setup.bridge.figures.state, 'connected')
  assert.deepEqual(
    setup.local.filter((each) => each.startsWith(topic)),
    [`${topic} 0`, `${topic} 1`],
  )
})

test('MQTT 5.0 keeps its session at the remote broker, and asks for No Local and Retain As Published', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# both 1\n')
  const { far, connect } = await accepted(setup)
  assert.equal(connect.isBridge, false)
  assert.equal(connect.properties.sessionExpiryIntervalSeconds, 0xffff_ffff)
  const subscribe = far.received.find((packet) => packet.type === 8)!
  const [subscription] = (subscribe as Extract<Packet, { type: 8 }>).subscriptions
  assert.deepEqual(subscription, {
    ...{ topicFilter: 'a/#', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 0 },
  })
})

test('each QoS crosses in both directions, with the Packet Identifier that it came with', async (t) => {
  const setup = await setUp(t, 'topic a/# out 2\ntopic b/# in 2 here/ there/\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const qos of [0, 1, 2] as const) await setup.broker.publish({ topic: `a/${qos}`, payload: 'x', qos })
  const sent = publishes(await take(far))
  assert.deepEqual(
    sent.map(({ topic, qos }) => `${topic} ${qos}`),
    ['a/0 0', 'a/1 1', 'a/2 2'],
  )
  far.send(new Puback(sent[1]!.packetId), new Pubrec(sent[2]!.packetId))
  const [pubrel] = await take(far)
  assert.deepEqual(pubrel, new Pubrel(sent[2]!.packetId))
  far.send(new Pubcomp(sent[2]!.packetId))
  await turn()
  assert.equal(setup.bridge.figures.inFlight, 0)

  far.send(publish('there/b/0', 'null', 0, 0), publish('there/b/1', 'eins', 1, 7), publish('there/b/2', 'zwei', 2, 8))
  assert.deepEqual(await take(far), [new Puback(7), new Pubrec(8)])
  far.send(publish('there/b/2', 'zwei', 2, 8), new Pubrel(8))
  assert.deepEqual(await take(far), [new Pubrec(8), new Pubcomp(8)])
  assert.deepEqual(
    setup.local.filter((each) => each.startsWith('here/')),
    ['here/b/0 null', 'here/b/1 eins', 'here/b/2 zwei'],
  )
})

test('what the remote broker has not acknowledged is sent again, in order, when it is back', async (t) => {
  const setup = await setUp(t, 'topic a/# out 2\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const [n, qos] of [1, 2, 2].entries())
    await setup.broker.publish({ topic: `a/${n}`, payload: 'x', qos: qos as QoS })
  const [, , third] = publishes(await take(far))
  far.send(new Pubrec(third!.packetId))
  await take(far)
  far.break()
  await turn()
  assert.equal(setup.bridge.figures.state, 'waiting')
  await setup.broker.publish({ topic: 'a/away', payload: 'x', qos: 1 })
  await setup.broker.publish({ topic: 'a/lost', payload: 'x', qos: 0 })
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  const packets = await take(back)
  assert.deepEqual(
    packets.map((packet) => (packet.type === 3 ? `${packet.topic} ${packet.dup}` : packet.type)),
    ['a/0 true', 'a/1 true', 6, 'a/away false'],
  )
  assert.match(setup.log.join('\n'), /Error creating bridge: b: .*Next try in 2 s/)
})

test('a message of the remote broker that came twice, before and after a lost connection, is delivered once', async (t) => {
  const setup = await setUp(t, 'topic b/# in 2\n')
  const { far } = await accepted(setup)
  await take(far)
  far.send(publish('b/1', 'once', 2, 9))
  assert.deepEqual(await take(far), [new Pubrec(9)])
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  await take(back)
  back.send(publish('b/1', 'once', 2, 9), new Pubrel(9))
  assert.deepEqual(await take(back), [new Pubrec(9), new Pubcomp(9)])
  assert.deepEqual(setup.local.filter((each) => each === 'b/1 once').length, 1)
  back.break()
  await turn()
  // Without its session the remote broker begins with its identifiers anew: this is another message.
  await setup.world.advance(2_000)
  const { far: third } = await accepted(setup)
  await take(third)
  third.send(publish('b/1', 'another', 2, 9))
  await take(third)
  assert.ok(setup.local.includes('b/1 another'))
})

test('at another address a Packet Identifier is released before it is used for the first time', async (t) => {
  const setup = await setUp(t, 'topic a/# out 2\n', 'one:1883 two:1883')
  const { far } = await accepted(setup)
  await take(far)
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 2 })
  const [first] = publishes(await take(far))
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: other } = await accepted(setup, {}, true)
  assert.equal(other.address.host, 'two')
  const [pubrel, again] = await take(other)
  assert.deepEqual(pubrel, new Pubrel(first!.packetId))
  assert.deepEqual([again!.type, (again as Publish).packetId], [3, first!.packetId])
  other.send(new Pubcomp(first!.packetId), new Pubrec(first!.packetId))
  assert.deepEqual(await take(other), [new Pubrel(first!.packetId)])
  other.send(new Pubcomp(first!.packetId))
  await turn()
  assert.equal(setup.bridge.figures.inFlight, 0)
})

test('a remote broker that refuses the bit of a bridge is asked without it at once', async (t) => {
  const setup = await setUp(t, 'topic a/# out\n')
  const first = await setup.world.connection()
  assert.equal((await first.expect(1)).isBridge, true)
  first.send(new Connack(false, 1))
  await turn()
  const second = await setup.world.connection()
  assert.equal((await second.expect(1)).isBridge, false)
  second.send(new Connack(false, 5))
  await turn()
  assert.equal(setup.bridge.figures.state, 'waiting')
  assert.equal(
    setup.bridge.figures.lastError,
    'Connection Refused: not authorised (check remote_username and remote_password, and the certificate if any)',
  )
})

test('a connection that is lost before its answer does not cost the bit of a bridge', async (t) => {
  const setup = await setUp(t, 'topic a/# out\n')
  const first = await setup.world.connection()
  assert.equal((await first.expect(1)).isBridge, true)
  first.transport.close(null)
  await turn()
  assert.match(
    setup.bridge.figures.lastError,
    /before it answered \(some do so when they see a bridge: try_private false\)$/,
  )
  await setup.world.advance(2_000)
  assert.equal((await (await setup.world.connection()).expect(1)).isBridge, true)
})

test('a remote broker that does not know MQTT 5.0 is spoken to in 3.1.1', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# out\n')
  const first = await setup.world.connection()
  assert.equal((await first.expect(1)).protocolVersion, 5)
  first.version = 4
  first.send(new Connack(false, 1))
  await turn()
  const second = await setup.world.connection()
  assert.equal((await second.expect(1)).protocolVersion, 4)
})

test('limits of the remote broker hold: Maximum QoS, Maximum Packet Size, Retain Available', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# out 2\n')
  const { far } = await accepted(setup, { maximumQoS: 1, maximumPacketSize: 60, retainAvailable: false })
  await take(far)
  await setup.broker.publish({ topic: 'a/2', payload: 'x', qos: 2, retain: true })
  const [sent] = publishes(await take(far))
  assert.deepEqual([sent!.qos, sent!.retain], [1, false])
  far.send(new Puback(sent!.packetId))
  await turn()
  assert.equal(setup.bridge.figures.inFlight, 0)
  await setup.broker.publish({ topic: 'a/large', payload: 'x'.repeat(60), qos: 1 })
  assert.deepEqual(publishes(await take(far)), [])
  assert.equal(setup.broker.metrics()['dropped.packet-too-large'], 1)
})

test('MQTT 5.0: 0x95 in PUBACK and PUBREC, as Mosquitto answers over its message_size_limit, is a refusal and no error', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# out 2\n')
  const { far } = await accepted(setup)
  await take(far)
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 1 })
  await setup.broker.publish({ topic: 'a/2', payload: 'x', qos: 2 })
  const [one, two] = publishes(await take(far))
  for (const [type, { packetId }] of [
    [0x40, one!],
    [0x50, two!],
  ] as const)
    far.transport.deliver(Uint8Array.of(type, 4, packetId >> 8, packetId & 0xff, 0x95, 0))
  await turn()
  assert.equal(setup.bridge.figures.state, 'connected')
  assert.equal(setup.broker.metrics()['dropped.refused-by-remote'], 2)
  assert.equal(setup.bridge.figures.inFlight, 0)
})

test('a message that the remote broker refuses is counted under its name, and the next one goes on', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# out 2\n')
  const { far } = await accepted(setup)
  await take(far)
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 1 })
  await setup.broker.publish({ topic: 'a/2', payload: 'x', qos: 2 })
  const [one, two] = publishes(await take(far))
  far.send(new Puback(one!.packetId, 0x87), new Pubrec(two!.packetId, 0x97))
  await turn()
  assert.equal(setup.broker.metrics()['dropped.refused-by-remote'], 2)
  assert.equal(setup.bridge.figures.inFlight, 0)
})

test('a message to a topic that the bridge does not bring in, or to a topic of the broker, is acknowledged and not delivered', async (t) => {
  const setup = await setUp(t, 'topic b/# in 1\ntopic x/# in 1 $SYS/ ""\n')
  const { far } = await accepted(setup)
  await take(far)
  far.send(publish('other', 'x', 1, 3), publish('x/y', 'x', 1, 4))
  assert.deepEqual(await take(far), [new Puback(3), new Puback(4)])
  assert.equal(setup.broker.metrics()['dropped.not-authorized'], 2)
  assert.ok(!setup.local.some((each) => each.endsWith(' x')))
})

test('start_type once does not try again', async (t) => {
  const setup = await setUp(t, 'start_type once\ntopic a/# out\n')
  const { far } = await accepted(setup)
  far.send(new Disconnect(0x8b))
  far.break()
  await setup.world.advance(60_000)
  assert.equal(setup.bridge.figures.state, 'stopped')
  assert.equal(setup.world.servers.length, 0)
})

test('a lazy bridge leaves when it is idle, keeps QoS 0, and comes back for as many messages as its threshold', async (t) => {
  const setup = await setUp(t, 'start_type lazy\nidle_timeout 5\nthreshold 2\ntopic a/# out\n')
  const { far } = await accepted(setup)
  await take(far)
  await setup.world.advance(6_000)
  assert.equal(setup.bridge.figures.state, 'idle')
  await setup.broker.publish({ topic: 'a/1', payload: 'x' })
  await setup.world.advance(3_000)
  assert.equal(setup.world.servers.length, 0)
  await setup.broker.publish({ topic: 'a/2', payload: 'x' })
  await setup.world.advance(1_000)
  const { far: back } = await accepted(setup)
  assert.deepEqual(
    publishes(await take(back)).map(({ topic }) => topic),
    ['a/1', 'a/2'],
  )
})

test('a lazy bridge does not leave before it knows that a retained message of QoS 0 has arrived', async (t) => {
  const setup = await setUp(t, 'start_type lazy\nidle_timeout 2\ntopic a/# out 0\n')
  const { far } = await accepted(setup)
  await take(far)
  await setup.broker.publish({ topic: 'a/1', payload: 'x', retain: true })
  await take(far)
  await prove(setup, far)
  assert.equal(setup.bridge.figures.state, 'connected')
  await setup.world.advance(1_000)
  assert.equal(setup.bridge.figures.state, 'idle')
})

test('an address that cannot be reached is told, and the next one is tried after the pause', async (t) => {
  const setup = await setUp(t, 'topic a/# out\n', 'one:1883 two:1884')
  await accepted(setup)
  setup.world.unreachable = new Error('cannot connect: nobody there')
  setup.bridge.stop(false)
  setup.bridge.open()
  setup.bridge.start()
  await turn()
  assert.equal(setup.bridge.figures.lastError, 'cannot connect: nobody there')
  setup.world.unreachable = null
  await setup.world.advance(2_000)
  const far = await setup.world.connection()
  assert.equal(far.address.host, 'two')
})

/** A bridge that has lost its first address `one`, and is at `two`. */
async function atSecond(t: TestContext, lines: string): Promise<Setup & { far: FakeServer }> {
  const setup = await setUp(t, `topic a/# out\n${lines}`, 'one:1883 two:1884')
  ;(await accepted(setup)).far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far } = await accepted(setup)
  assert.equal(far.address.host, 'two')
  await take(far)
  return { ...setup, far }
}

test('a bridge that is not at its first address moves back to it when a broker there accepts', async (t) => {
  for (const version of [4, 5]) {
    const setup = await atSecond(t, version === 5 ? 'bridge_protocol_version mqttv50\nremote_username u\n' : '')
    await setup.world.advance(5_000)
    const probe = await setup.world.connection()
    assert.equal(probe.address.host, 'one')
    const { clientId, cleanStart, will, username } = await probe.expect(1)
    assert.deepEqual([clientId, cleanStart, will], ['far-probe', true, undefined])
    assert.equal(username, version === 5 ? 'u' : undefined)
    assert.equal(setup.bridge.figures.state, 'connected')
    probe.send(new Connack(false, 0))
    const back = await setup.world.connection()
    assert.equal(back.address.host, 'one')
    assert.equal((await back.expect(1)).clientId, 'far')
    if (version === 5) assert.ok((await probe.next()) instanceof Disconnect)
  }
})

test('a first address that takes connections and is no broker never takes the bridge away from the second one', async (t) => {
  const answers: readonly ((probe: FakeServer) => void)[] = [
    (probe) => probe.break(null),
    (probe) => probe.transport.deliver(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
    (probe) => probe.send(new Pingresp()),
    (probe) => probe.send(new Connack(false, 3)),
    () => {},
  ]
  for (const answer of answers) {
    const setup = await atSecond(t, 'keepalive_interval 3600\n')
    let looks = 0
    for (let seconds = 0; seconds < 600; seconds++) {
      await setup.world.advance(1_000)
      for (const probe of setup.world.servers.splice(0)) {
        assert.equal(probe.address.host, 'one')
        assert.equal((await probe.expect(1)).clientId, 'far-probe')
        looks++
        answer(probe)
        await turn()
      }
      assert.equal(setup.bridge.figures.state, 'connected')
    }
    assert.ok(looks >= 5 && looks <= 7, `${looks} looks within ten minutes`)
    assert.equal(setup.bridge.figures.connections, 2)
    assert.equal(
      setup.log.filter((line) => line.includes('b stays at two:1884: one:1883 does not accept')).length,
      looks,
    )
  }
})

test('a first address whose TLS handshake fails is no reason to leave the second one, nor one that is not there', async (t) => {
  for (const [code, looks] of [
    ['CERT_HAS_EXPIRED', 5],
    ['ECONNREFUSED', 60],
  ] as const) {
    const setup = await atSecond(t, 'keepalive_interval 3600\n')
    let count = 0
    Object.defineProperty(setup.world, 'unreachable', {
      configurable: true,
      get: () => {
        count++
        return Object.assign(new Error(code), { code })
      },
    })
    for (let seconds = 0; seconds < 300; seconds++) await setup.world.advance(1_000)
    assert.ok(Math.abs(count / 2 - looks) <= 2, `${code}: ${count / 2} looks within five minutes`)
    assert.equal(setup.bridge.figures.state, 'connected')
  }
})

test('a cloud that knows its clients by name is not asked by another one: its TLS handshake has to do', async (t) => {
  const lines = 'bridge_preset aws-iot\nbridge_certfile c.pem\nbridge_keyfile k.pem\n'
  const setup = await setUp(t, `topic a/# out\n${lines}`, 'x-ats.iot.eu-west-1.amazonaws.com two.example:8883')
  ;(await accepted(setup)).far.break()
  await turn()
  await setup.world.advance(2_000)
  await accepted(setup)
  await setup.world.advance(5_000)
  const probe = await setup.world.connection()
  assert.deepEqual([probe.address.scheme, probe.received], ['mqtts', []])
  const back = await setup.world.connection()
  assert.equal((await back.expect(1)).clientId, 'far')
})

test('a first address that may accept, and does not, is tried less and less often', async (t) => {
  const setup = await atSecond(t, '')
  const probed = async (): Promise<void> => {
    const probe = await setup.world.connection()
    await probe.expect(1)
    // Perhaps it does not know the Client Identifier of the probe.
    probe.send(new Connack(false, 5))
    const far = await setup.world.connection()
    assert.equal(far.address.host, 'one')
    await far.expect(1)
    far.send(new Connack(false, 5))
    await turn()
    await setup.world.advance(2_000)
    assert.equal((await accepted(setup)).far.address.host, 'two')
  }
  await setup.world.advance(5_000)
  await probed()
  for (const pauseMs of [10_000, 20_000]) {
    await setup.world.advance(pauseMs - 3_000)
    assert.equal(setup.world.servers.length, 0, `nothing within ${pauseMs} ms`)
    await setup.world.advance(8_000)
    await probed()
  }
})

test('a server of another protocol is named, and not taken for a broker that minds the bit of a bridge', async (t) => {
  for (const [name, bytes] of [
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['TLS', '\x15\x03\x01\x00\x02\x02\x28'],
  ]) {
    const setup = await setUp(t, 'topic a/# out\n')
    const far = await setup.world.connection()
    await far.expect(1)
    far.transport.deliver(Buffer.from(bytes!, 'latin1'))
    await turn()
    const what = `Protocol Error: the server speaks ${name} on this port, and not MQTT: check host and port`
    assert.equal(setup.bridge.figures.lastError, what)
  }
})

test('the Client Identifier of a bridge is not for clients', async (t) => {
  const setup = await setUp(t, 'topic a/# out\n')
  assert.throws(
    () =>
      setup.broker.relay({
        ...{ clientId: 'local.far', username: undefined, cleanStart: false, queueQoS0: false, subscriptions: [] },
      }),
    /another bridge has the Client Identifier local.far/,
  )
})

test('a retained message that was deleted here while the bridge was away does not come back', async (t) => {
  for (const version of ['mqttv311', 'mqttv50']) {
    const setup = await setUp(t, `bridge_protocol_version ${version}\ntopic a/# both 1\n`)
    const { far } = await accepted(setup)
    await take(far)
    const retained = publish('a/1', 'old', 1, 5)
    retained.retain = true
    far.send(retained)
    await take(far)
    far.break()
    await turn()
    await setup.broker.publish({ topic: 'a/1', payload: '', qos: 1, retain: true })
    await setup.world.advance(2_000)
    // The remote broker has lost its session, and kept what is retained.
    const { far: back } = await accepted(setup)
    const first = back.received.find((packet) => packet.type === 8) as Extract<Packet, { type: 8 }>
    assert.equal(first.subscriptions[0]!.retainHandling, version === 'mqttv50' ? 2 : 0)
    const [deletion] = publishes(await take(back))
    assert.deepEqual([deletion!.topic, deletion!.payload.length, deletion!.retain], ['a/1', 0, true])
    if (version === 'mqttv311') {
      retained.packetId = 6
      back.send(retained)
      await take(back)
    }
    back.send(new Puback(deletion!.packetId))
    await turn()
    const again = back.received.find((packet) => packet.type === 8) as Extract<Packet, { type: 8 }>
    assert.equal(again.subscriptions[0]!.retainHandling, 0)
    assert.equal(setup.broker.inspect.retainedMessage('a/1'), null, version)
  }
})

test('a deletion by the remote broker counts before it is asked for its retained messages again', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# both 1\n')
  const retained = (topic: string, payload: string, packetId: number): Publish => {
    const message = publish(topic, payload, 1, packetId)
    message.retain = true
    return message
  }
  const { far } = await accepted(setup)
  await take(far)
  far.send(retained('a/1', 'old', 5), retained('a/2', 'old', 6))
  await take(far)
  far.break()
  await turn()
  await setup.broker.publish({ topic: 'a/2', payload: 'new', qos: 1, retain: true })
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup)
  back.send(retained('a/1', '', 5), retained('a/2', '', 6))
  await turn()
  assert.equal(setup.broker.inspect.retainedMessage('a/1'), null)
  // What was published here meanwhile is on its way there.
  assert.notEqual(setup.broker.inspect.retainedMessage('a/2'), null)
})

test('a topic that goes both ways is asked for also when the Maximum QoS of the remote broker ends the last flow', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# both 2\n')
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 2 })
  const { far } = await accepted(setup, { maximumQoS: 1 })
  const [message] = publishes(await take(far))
  far.send(new Puback(message!.packetId))
  await turn()
  const asked = far.received.find((packet) => packet.type === 8) as Extract<Packet, { type: 8 }>
  assert.equal(asked.subscriptions[0]!.retainHandling, 0)
})

test('before MQTT 5.0 a remote broker that has kept its session is not asked for all retained messages again', async (t) => {
  const setup = await setUp(t, 'topic b/# in 1\ntopic c/# in 0\n')
  const { far } = await accepted(setup)
  await take(far)
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  const subscribes = back.received.filter((packet) => packet.type === 8)
  assert.deepEqual(
    subscribes.map(({ subscriptions: [first] }) => first!.topicFilter),
    ['c/#'],
  )
})

/** Answers the PINGREQ that finds out whether retained messages of QoS 0 have arrived. */
async function prove({ world }: Setup, far: FakeServer): Promise<void> {
  await world.advance(5_000)
  assert.deepEqual(
    far.received.splice(0).map(({ type }) => type),
    [12],
  )
  far.send(new Pingresp())
  await turn()
}

test('a retained message at QoS 0 that was lost with the connection is sent again, and so is a deletion', async (t) => {
  const setup = await setUp(t, 'topic a/# out 0\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const name of ['kept', 'gone']) await setup.broker.publish({ topic: `a/${name}`, payload: '1', retain: true })
  assert.equal(publishes(await take(far)).length, 2)
  await prove(setup, far)
  await setup.broker.publish({ topic: 'a/kept', payload: '2', retain: true })
  await setup.broker.publish({ topic: 'a/gone', payload: '', retain: true })
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  assert.deepEqual(
    publishes(await take(back)).map((each) => `${each.topic} ${text(each)} ${each.retain}`),
    ['a/gone  true', 'a/kept 2 true'],
  )
})

test('a retained message that was published at QoS 0 while the bridge was away crosses a line of QoS 1', async (t) => {
  const setup = await setUp(t, 'topic a/# out 1\n')
  const { far } = await accepted(setup)
  await take(far)
  far.break()
  await turn()
  await setup.broker.publish({ topic: 'a/1', payload: 'away', retain: true })
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  assert.deepEqual(
    publishes(await take(back)).map((each) => `${each.topic} ${text(each)} ${each.qos} ${each.retain}`),
    ['a/1 away 0 true'],
  )
})

test('a retained message does not go back to the remote broker that it came from, when that has lost its session', async (t) => {
  const setup = await setUp(t, 'topic a/# both 1\n')
  const { far } = await accepted(setup)
  await take(far)
  far.send(Publish.of({ topic: 'a/theirs', payload: new TextEncoder().encode('x'), qos: 1, packetId: 7, retain: true }))
  assert.deepEqual(await take(far), [new Puback(7)])
  await setup.broker.publish({ topic: 'a/ours', payload: 'y', qos: 1, retain: true })
  const [ours] = publishes(await take(far))
  far.send(new Puback(ours!.packetId))
  await turn()
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, false)
  assert.deepEqual(
    publishes(await take(back)).map(({ topic }) => topic),
    ['a/ours'],
  )
})

test('MQTT 5.0: the notification counts as outstanding until its PUBACK [MQTT-3.3.4-9]', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# out 1\n')
  for (const n of [1, 2, 3]) await setup.broker.publish({ topic: `a/${n}`, payload: 'x', qos: 1 })
  const { far } = await accepted(setup, { receiveMaximum: 2 })
  const sent = publishes(far.received)
  assert.deepEqual(
    sent.map(({ topic }) => topic.replace(/^\$SYS.*/, 'state')),
    ['state', 'a/1'],
  )
  far.send(new Puback(sent[0]!.packetId))
  await turn()
  assert.deepEqual(
    publishes(far.received)
      .map(({ topic }) => topic)
      .slice(2),
    ['a/2'],
  )
})

test('before MQTT 5.0 the remote broker is asked again for subscriptions that it has not answered', async (t) => {
  const setup = await setUp(t, 'topic b/# in 1\n')
  const { far } = await accepted(setup)
  assert.ok(far.received.some(({ type }) => type === 8))
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  assert.ok(back.received.some(({ type }) => type === 8))
  await take(back)
  back.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: last } = await accepted(setup, {}, true)
  assert.ok(!last.received.some(({ type }) => type === 8))
})

test('a session behind a CONNECT whose answer was lost may be a new one: subscriptions are made again', async (t) => {
  for (const version of ['mqttv311', 'mqttv50']) {
    const setup = await setUp(t, `bridge_protocol_version ${version}\ntopic b/# in 1\n`)
    const { far } = await accepted(setup)
    await take(far)
    far.break()
    await turn()
    await setup.world.advance(2_000)
    const silent = await setup.world.connection()
    await silent.expect(1)
    silent.break()
    await turn()
    await setup.world.advance(2_000)
    const { far: back } = await accepted(setup, {}, true)
    const subscribe = back.received.find((packet) => packet.type === 8) as Extract<Packet, { type: 8 }>
    // With MQTT 5.0 the remote broker knows whether it is new.
    assert.equal(subscribe.subscriptions[0]!.retainHandling, version === 'mqttv50' ? 1 : 0)
    await take(back)
    back.break()
    await turn()
    await setup.world.advance(2_000)
    // A refusal makes no session.
    const refusing = await setup.world.connection()
    await refusing.expect(1)
    refusing.send(new Connack(false, version === 'mqttv50' ? 0x87 : 5))
    await turn()
    await setup.world.advance(2_000)
    const { far: last } = await accepted(setup, {}, true)
    assert.equal(
      last.received.some(({ type }) => type === 8),
      version === 'mqttv50',
    )
  }
})

test('a session that an administrator removes while the bridge is away is there again with the next attempt', async (t) => {
  const setup = await setUp(t, 'topic a/# out 1\n')
  const { far } = await accepted(setup)
  await take(far)
  far.break()
  await turn()
  assert.equal(await setup.broker.removeSession('local.far'), true)
  await setup.world.advance(2_000)
  const silent = await setup.world.connection()
  silent.break()
  await turn()
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 1 })
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  assert.deepEqual(publishes(await take(back)).map(text), ['x'])
})

test('a session that an administrator removes while a lazy bridge is idle is there again soon, with what is retained', async (t) => {
  const setup = await setUp(t, 'start_type lazy\nidle_timeout 2\nthreshold 2\ntopic a/# out 1\n')
  const { far } = await accepted(setup)
  await take(far)
  await setup.world.advance(3_000)
  assert.equal(setup.bridge.figures.state, 'idle')
  await setup.broker.publish({ topic: 'a/1', payload: 'x', retain: true })
  assert.equal(await setup.broker.removeSession('local.far'), true)
  await setup.world.advance(1_000)
  await setup.broker.publish({ topic: 'a/2', payload: 'y', qos: 1 })
  const { far: back } = await accepted(setup, {}, true)
  assert.deepEqual(
    publishes(await take(back))
      .map(({ topic }) => topic)
      .sort(),
    ['a/1', 'a/2'],
  )
})

test('the retained messages of a subscription are asked for again unless all have come, which a PINGREQ finds out', async (t) => {
  for (const version of ['mqttv311', 'mqttv50']) {
    const setup = await setUp(t, `bridge_protocol_version ${version}\ntopic b/# in 1\n`)
    const retainHandlings = async (far: FakeServer): Promise<number[]> => {
      await turn()
      const subscribes = far.received.filter((packet) => packet.type === 8)
      return subscribes.flatMap(({ subscriptions }) => subscriptions.map(({ retainHandling }) => retainHandling))
    }
    const { far } = await accepted(setup)
    await take(far)
    const subscribed = await take(far)
    assert.deepEqual(subscribed, [])
    const lost = async (last: FakeServer): Promise<FakeServer> => {
      last.break()
      await turn()
      await setup.world.advance(2_000)
      return (await accepted(setup, {}, true)).far
    }
    // Its answer is lost, and one message came before it.
    const second = await lost(far)
    assert.deepEqual(await retainHandlings(second), version === 'mqttv50' ? [1] : [])
    setup.bridge.stop(true)
    const other = await setUp(t, `bridge_protocol_version ${version}\ntopic b/# in 1\n`)
    const { far: slow } = await accepted(other)
    await turn()
    for (const packet of slow.received.splice(0)) {
      if (packet.type === 8) slow.send(new Suback(packet.packetId, [1]), publish('b/1', 'x', 1, 1))
      if (packet.type === 3) slow.send(new Puback(packet.packetId))
    }
    await turn()
    assert.ok(slow.received.some(({ type }) => type === 12))
    slow.send(publish('b/2', 'x', 1, 2), new Pingresp())
    await turn()
    slow.break()
    await turn()
    await other.world.advance(2_000)
    const { far: again } = await accepted(other, {}, true)
    assert.deepEqual(await retainHandlings(again), [0])
    await take(again)
    again.break()
    await turn()
    await other.world.advance(2_000)
    const { far: last } = await accepted(other, {}, true)
    assert.deepEqual(await retainHandlings(last), version === 'mqttv50' ? [1] : [])
  }
})

test('SUBACK with another number of Reason Codes ends the connection, and says so', async (t) => {
  const setup = await setUp(t, 'topic b/# in 1\n')
  const { far } = await accepted(setup)
  const subscribe = far.received.find((packet) => packet.type === 8)!
  far.send(new Suback((subscribe as Extract<Packet, { type: 8 }>).packetId, [1, 1]))
  await turn()
  assert.match(setup.bridge.figures.lastError, /SUBACK for b\/# has 2 Reason Codes instead of 1/)
})

test('what waits for a remote broker that does not read goes on when it reads again, QoS 0 beyond the room is dropped', async (t) => {
  const setup = await setUp(t, 'topic a/# out 1\n')
  const { far } = await accepted(setup)
  await take(far)
  far.transport.full = true
  const payload = new Uint8Array(50_000)
  for (let i = 0; i < 10; i++) await setup.broker.publish({ topic: 'a/0', payload })
  await setup.broker.publish({ topic: 'a/1', payload: 'waits', qos: 1 })
  assert.equal(publishes(await take(far)).filter(({ qos }) => qos === 1).length, 0)
  assert.equal(setup.bridge.figures.queuedMessages, 1)
  assert.ok(setup.broker.metrics()['dropped.slow-reader'] > 0)
  far.transport.drain()
  assert.deepEqual(
    publishes(await take(far))
      .filter(({ qos }) => qos === 1)
      .map(text),
    ['waits'],
  )
})

test('messages of QoS 0 over bridge_rate wait', async (t) => {
  const setup = await setUp(t, 'bridge_rate 1\ntopic a/# out 0\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const n of [1, 2, 3]) await setup.broker.publish({ topic: `a/${n}`, payload: 'x' })
  const first = publishes(await take(far)).length
  assert.ok(first < 3)
  await setup.world.advance(1_000)
  await setup.world.advance(1_000)
  await setup.world.advance(1_000)
  assert.equal(first + publishes(await take(far)).length, 3)
})

test('at QoS 0 only retained messages that have changed meanwhile are sent again, and deletions', async (t) => {
  const setup = await setUp(t, 'topic a/# out 0\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const name of ['same', 'changed', 'gone'])
    await setup.broker.publish({ topic: `a/${name}`, payload: '1', retain: true })
  assert.equal(publishes(await take(far)).length, 3)
  await prove(setup, far)
  far.break()
  await turn()
  await setup.broker.publish({ topic: 'a/changed', payload: '2', retain: true })
  await setup.broker.publish({ topic: 'a/gone', payload: '', retain: true })
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  assert.deepEqual(
    publishes(await take(back)).map((each) => `${each.topic} ${text(each)} ${each.retain}`),
    ['a/gone  true', 'a/changed 2 true'],
  )
})

test('MQTT 5.0: a message has its path over brokers, and one that comes back is acknowledged and not taken', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# both 2\n')
  const { far } = await accepted(setup)
  await take(far)
  const mine: [string, string] = ['unit', 'K']
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 1 })
  await setup.broker.publish({ topic: 'a/2', payload: 'x', qos: 1, properties: { userProperties: [mine] } })
  const [plain, rich] = publishes(await take(far))
  const [[name, value]] = plain!.properties.userProperties as [[string, string]]
  assert.equal(name, 'recado-path')
  assert.match(value, /^[0-9a-z]{12}:[0-9a-f]{16}$/)
  const identity = pathOf(plain!.properties)
  assert.deepEqual(rich!.properties.userProperties, [mine, [name, `${identity}:${marksOf('a/2', Buffer.from('x'))}`]])
  const from = (path: string, packetId: number): Publish =>
    Publish.of({
      topic: 'a/3',
      payload: new Uint8Array(1),
      qos: 2,
      packetId,
      properties: { userProperties: [[name, path]] },
    })
  far.send(from(`other,${identity},third`, 7), from('other,third', 8))
  assert.deepEqual(await take(far), [new Pubrec(7), new Pubrec(8)])
  assert.equal(setup.broker.metrics()['dropped.loop'], 1)
  assert.equal(setup.local.filter((each) => each.startsWith('a/3')).length, 1)
})

test('MQTT 5.0: a remote Recado that says who it is stands on the path of what it sends', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# in 1\n')
  const seen: string[] = []
  setup.broker.subscribe('a/#', ({ properties }) => void seen.push(pathOf(properties)))
  const { far, connect } = await accepted(setup, { userProperties: [['recado-path', 'hub']] })
  await take(far)
  const [[name, identity]] = connect.properties.userProperties as [[string, string]]
  assert.equal(name, 'recado-path')
  for (const [index, path] of ['', 'first', 'first,hub'].entries()) {
    const message = publish('a/1', 'x', 1, index + 1)
    if (path !== '') message.properties = { userProperties: [[name, path]] }
    far.send(message)
  }
  await take(far)
  assert.deepEqual(seen, [`hub,${identity}`, `first,hub,${identity}`, `first,hub,${identity}`])
})

test('MQTT 5.0: what was on its way over another broker gets this one behind it, and bridge_path strip hides it here', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\nbridge_path strip\ntopic a/# out 1\ntopic b/# in 1\n')
  const seen: unknown[] = []
  setup.broker.subscribe('b/#', ({ properties }) => void seen.push(properties.userProperties))
  const { far } = await accepted(setup)
  await take(far)
  const userProperties: [string, string][] = [['recado-path', 'first']]
  await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 1, properties: { userProperties } })
  const [sent] = publishes(await take(far))
  assert.match(pathOf(sent!.properties), /^first,[0-9a-z]{12}$/)
  const message = publish('b/1', 'x', 1, 9)
  message.properties = { userProperties: [...userProperties, ['k', 'v']] }
  far.send(message)
  await take(far)
  assert.deepEqual(seen, [[['k', 'v']]])
})

test('MQTT 5.0: a message that came in by a bridge has this broker on its path, so a ring in which each pulls ends', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# both 1\n')
  const seen: [string, string][][] = []
  setup.broker.subscribe('a/#', ({ properties }) => void seen.push(properties.userProperties as [string, string][]))
  const { far } = await accepted(setup)
  await take(far)
  const arrives = async (packetId: number, userProperties: [string, string][]): Promise<void> => {
    const message = publish('a/1', 'x', 1, packetId)
    if (userProperties.length > 0) message.properties = { userProperties }
    far.send(message)
    await take(far)
  }
  await arrives(1, [])
  const [[name, value]] = seen[0] as [[string, string]]
  assert.equal(name, 'recado-path')
  const identity = pathOf({ userProperties: seen[0]! })
  assert.equal(value, `${identity}:${marksOf('a/1', Buffer.from('x'))}`)
  await arrives(2, [
    ['k', 'v'],
    [name, 'first'],
  ])
  assert.deepEqual(seen[1], [
    ['k', 'v'],
    [name, `first,${identity}:${marksOf('a/1', Buffer.from('x'))}`],
  ])
  // Another broker has taken it here as a subscriber does, and added only itself.
  await arrives(3, [[name, `${identity},other`]])
  assert.equal(seen.length, 2)
  assert.equal(setup.broker.metrics()['dropped.loop'], 1)
  // What came in by one bridge and goes out by another names this broker once.
  await setup.broker.publish({ topic: 'a/2', payload: 'x', qos: 1, properties: { userProperties: seen[1]! } })
  assert.equal(pathOf(publishes(await take(far))[0]!.properties), pathOf({ userProperties: seen[1]! }))
})

test('MQTT 5.0: a client of another broker that answers with the property copied has published a new message', async (t) => {
  const setup = await setUp(t, 'bridge_protocol_version mqttv50\ntopic a/# both 1\n')
  const seen: string[] = []
  setup.broker.subscribe('a/#', ({ payload, properties }) => {
    seen.push(`${Buffer.from(payload).toString()} ${pathOf(properties)}`)
  })
  const { far } = await accepted(setup)
  await take(far)
  await setup.broker.publish({ topic: 'a/question', payload: 'on', qos: 1 })
  const [question] = publishes(await take(far))
  const { properties } = question!
  const identity = pathOf(properties)
  const arrives = async (topic: string, payload: string, packetId: number): Promise<void> => {
    const message = publish(topic, payload, 1, packetId)
    message.properties = properties
    far.send(message)
    await take(far)
  }
  // A bridge of another kind brings it back, once more with another prefix.
  await arrives('a/question', 'on', 1)
  await arrives('a/b/question', 'on', 2)
  assert.equal(setup.broker.metrics()['dropped.loop'], 2)
  await arrives('a/question', 'off', 3)
  await arrives('a/answer', 'on', 4)
  assert.deepEqual(seen.slice(1), [`off *,${identity}`, `on *,${identity}`])
})

test('before MQTT 5.0 a topic whose messages come back again and again is stopped, and the log says so', async (t) => {
  const setup = await setUp(t, 'topic a/# both 1\n')
  const { far } = await accepted(setup)
  await take(far)
  for (let i = 1; i <= 30; i++) {
    await setup.broker.publish({ topic: 'a/1', payload: 'x', qos: 1 })
    for (const sent of publishes(await take(far))) far.send(new Puback(sent.packetId), publish('a/1', 'x', 1, i))
    await take(far)
  }
  assert.ok(setup.broker.metrics()['dropped.loop']! > 0)
  assert.equal(setup.log.filter((line) => line.includes('joined in a loop')).length, 1)
})

test('bridge_rate: messages over the rate wait here, in order', async (t) => {
  const setup = await setUp(t, 'bridge_rate 10\ntopic a/# out 1\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const n of [1, 2, 3]) await setup.broker.publish({ topic: `a/${n}`, payload: 'x', qos: 1 })
  const first = publishes(await take(far))
  assert.deepEqual(
    first.map(({ topic }) => topic),
    ['a/1'],
  )
  await setup.world.advance(100)
  assert.deepEqual(
    publishes(await take(far)).map(({ topic }) => topic),
    ['a/2'],
  )
  await setup.world.advance(100)
  assert.deepEqual(
    publishes(await take(far)).map(({ topic }) => topic),
    ['a/3'],
  )
})

test('bridge_batch: messages go as one when there are enough or when it is time, and come again when it is lost', async (t) => {
  const setup = await setUp(t, 'bridge_batch 3 5 10000\nbridge_batch_topic all\ntopic a/# out 1\n')
  const { far } = await accepted(setup)
  await take(far)
  for (const n of [1, 2, 3, 4]) await setup.broker.publish({ topic: `a/${n}`, payload: `${n}`, qos: 1 })
  const [full, none] = publishes(await take(far))
  assert.deepEqual([full!.topic, full!.qos, none], ['all', 1, undefined])
  const lines = text(full!).trim().split('\n')
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { topic: string }).topic),
    ['a/1', 'a/2', 'a/3'],
  )
  far.send(new Puback(full!.packetId))
  await setup.world.advance(5_000)
  const [late] = publishes(await take(far))
  assert.match(text(late!), /"a\/4"/)
  assert.equal(setup.bridge.figures.inFlight, 1)
  far.break()
  await turn()
  await setup.world.advance(2_000)
  const { far: back } = await accepted(setup, {}, true)
  await setup.world.advance(5_000)
  const [again] = publishes(await take(back))
  assert.match(text(again!), /"a\/4"/)
  back.send(new Puback(again!.packetId))
  await turn()
  assert.equal(setup.bridge.figures.inFlight, 0)
})

test('a message that the cloud would end the connection for is kept back, counted and told once', async (t) => {
  const setup = await setUp(
    t,
    'bridge_preset aws-iot\nbridge_certfile c.pem\nbridge_keyfile k.pem\ntopic a/# out 1\n',
    'x-ats.iot.eu-west-1.amazonaws.com',
  )
  const { far } = await accepted(setup)
  await take(far)
  for (const topic of ['a/1/2/3/4/5/6/7/8', 'a/2/3/4/5/6/7/8/9', 'a/1'])
    await setup.broker.publish({ topic, payload: 'x', qos: 1 })
  assert.deepEqual(
    publishes(await take(far)).map(({ topic }) => topic),
    ['a/1'],
  )
  assert.equal(setup.broker.metrics()['dropped.refused-by-remote'], 2)
  assert.equal(setup.log.filter((line) => line.includes('is not sent: AWS IoT Core takes topics')).length, 1)
})

test('a password that expires is made for each connection, and renewed in time', async (t) => {
  const setup = await setUp(
    t,
    ['bridge_preset azure-iot-hub', `bridge_sas_key ${Buffer.alloc(32, 7).toString('base64')}`, 'topic a/# out 1'].join(
      '\n',
    ),
    'contoso.azure-devices.net',
  )
  const first = await setup.world.connection()
  const connect = await first.accept()
  const password = new TextDecoder().decode(connect.password)
  assert.match(password, /^SharedAccessSignature sr=contoso/)
  await turn()
  await setup.world.advance(24 * 3_600_000)
  const second = await setup.world.connection()
  assert.notEqual(new TextDecoder().decode((await second.expect(1)).password), password)
})
