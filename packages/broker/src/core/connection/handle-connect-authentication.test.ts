/** CONNECT and who may: authentication, user names of certificates, and what a login brings. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, Connect, ReasonCode, Subscribe } from '@recado/protocol'
import type { ClientCertificate, ConnectDecision, ConnectRequest, Peer } from '../../ports.ts'
import { subscriptionTo, type TestClient, World, will } from '../../testing/mod.ts'
import { type ListenerLimits, type ListenerSettings, resolveSettings } from './listener-settings.ts'

const peerWith = (known: Partial<Peer>): Peer => ({
  tlsVersion: 'TLSv1.3',
  commonName: null,
  certificate: null,
  pskIdentity: null,
  serverName: null,
  proxyAddress: null,
  ...known,
})

/** A refused CONNECT: CONNACK with this code (by version), nothing else, closed. */
function isRefused(client: TestClient, reasonCode: number): Connack {
  const connack = client.take(Connack)
  assert.equal(connack.reasonCode, reasonCode)
  assert.equal(connack.sessionPresent, false)
  client.hasNothing()
  assert.ok(client.isClosed)
  return connack
}

describe('authentication', () => {
  const deciding = (decision: ConnectDecision | ((request: ConnectRequest) => ConnectDecision)) => ({
    authenticate: (request: ConnectRequest, decide: (d: ConnectDecision) => void) =>
      decide(typeof decision === 'function' ? decision(request) : decision),
  })

  test('the authenticator sees the whole CONNECT, and where it came from', () => {
    const requests: ConnectRequest[] = []
    const world = new World({
      authenticator: deciding((request) => {
        requests.push(request)
        return {}
      }),
    })
    const a = world.client('a', { remoteAddress: '198.51.100.7:4', listener: 'l1' })
    a.connected({ username: 'ada', password: Uint8Array.of(1, 2), keepAliveSeconds: 9 })
    const [{ connect, clientId, remoteAddress, listener }] = requests as [ConnectRequest]
    assert.deepEqual(
      { clientId, remoteAddress, listener, keepAlive: connect.keepAliveSeconds },
      { clientId: 'a', remoteAddress: '198.51.100.7:4', listener: 'l1', keepAlive: 9 },
    )
    assert.deepEqual([...connect.password!], [1, 2])
  })

  test('the authenticator sees what the transport knows of the peer; CONNECT alone names the user', () => {
    const requests: ConnectRequest[] = []
    const world = new World({
      authenticator: deciding((request) => {
        requests.push(request)
        return {}
      }),
    })
    const peer = peerWith({ commonName: 'ada' })
    world.client('a', { peer }).connected({ username: 'eve' })
    world.client('b').connected()
    assert.deepEqual(
      requests.map((request) => [request.peer, request.identity]),
      [
        [peer, null],
        [null, null],
      ],
    )
    assert.equal(world.eventsOf('client.connected')[0]!.client.username, 'eve')
    assert.equal(world.eventsOf('client.connected')[0]!.client.peer, peer)
  })

  test('a listener may take the identity or the subject for the user name; a client without one is refused', () => {
    const identities: (string | null)[] = []
    const world = new World({
      authenticator: deciding(({ identity }) => {
        identities.push(identity)
        return {}
      }),
    })
    const certificate = { subject: 'CN=ada,O=Example' } as ClientCertificate
    const identity: ListenerSettings = { usernameFrom: 'identity' }
    const subject: ListenerSettings = { usernameFrom: 'subject' }
    const a = { peer: peerWith({ commonName: 'ada', certificate }) }
    world.client('a', { ...a, settings: identity }).connected({ username: 'eve' })
    world.client('b', { ...a, settings: subject }).connected()
    world.client('c', { peer: peerWith({ pskIdentity: 'meter-7' }), settings: identity }).connected()
    assert.deepEqual(identities, ['ada', 'CN=ada,O=Example', 'meter-7'])
    const usernames = world.eventsOf('client.connected').map(({ client }) => client.username)
    assert.deepEqual(usernames, identities)
    for (const options of [
      { settings: identity },
      { peer: peerWith({ commonName: '' }), settings: identity },
      { peer: peerWith({ commonName: 'ada' }), settings: subject },
    ]) {
      assert.equal(world.client('d', options).connect({ username: 'ada' }).take(Connack).reasonCode, 0x86)
    }
    assert.equal(identities.length, 3)
  })

  test('each listener has its own limits and Client Identifiers, the others the broker’s', () => {
    const world = new World({ limits: { maximumQoS: 2, topicAliasMaximum: 7, packetBytesMax: 268_435_460 } })
    const settings: ListenerSettings = {
      limits: { maximumQoS: 1, topicAliasMaximum: 0, packetBytesMax: 100, receiveMaximum: 5 },
      assignedClientIdPrefix: 'lan-',
    }
    const own = world.client('', { settings })
    const { properties } = own.connected()
    assert.match(properties.assignedClientIdentifier ?? '', /^lan-/)
    delete properties.assignedClientIdentifier
    assert.deepEqual(properties, { maximumQoS: 1, maximumPacketSize: 100, receiveMaximum: 5 })
    assert.deepEqual(world.client('b').connected().properties, { topicAliasMaximum: 7, receiveMaximum: 1000 })
    assert.equal(own.subscribe('t', { qos: 2 }), 1)
    const refusing = world.client('', { settings: { allowEmptyClientId: false } })
    assert.equal(refusing.connect().take(Connack).reasonCode, 0x85)
  })

  test('a limit of the whole broker cannot be a listener’s', () => {
    const { core } = new World()
    const limits = { sessionsMax: 5 } as Partial<ListenerLimits>
    assert.throws(() => resolveSettings(core.limits, core.options, { limits }), {
      code: 'ERR_MQTT_LIMIT',
      message: /sessionsMax applies to the whole broker/,
    })
    assert.throws(() => resolveSettings(core.limits, core.options, { limits: { maximumQoS: 3 } }), {
      code: 'ERR_MQTT_LIMIT',
    })
  })

  test('the authenticator sees the assigned Client Identifier', () => {
    let seen = ''
    const world = new World({
      authenticator: deciding(({ clientId }) => {
        seen = clientId
        return {}
      }),
    })
    assert.equal(world.client('').connected().properties.assignedClientIdentifier, seen)
  })

  test('a refusal has the Reason Code and closes; no session is made [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-7]', () => {
    for (const [reasonCode, before5] of [
      [ReasonCode.BadUserNameOrPassword, 4],
      [ReasonCode.NotAuthorized, 5],
      [ReasonCode.Banned, 5],
      [ReasonCode.ServerUnavailable, 3],
      [ReasonCode.ServerBusy, 3],
      [ReasonCode.ConnectionRateExceeded, 3],
    ] as const) {
      const world = new World({ authenticator: deciding({ reasonCode }) })
      isRefused(world.client('a').connect(), reasonCode)
      isRefused(world.client('a', { version: 4 }).connect(), before5)
      assert.equal(world.core.sessions.size, 0)
      assert.equal(world.metric('connectionsRefused'), 2)
      assert.equal(world.eventsOf('connection.refused')[0]?.reasonCode, reasonCode)
    }
  })

  test('a Reason Code that CONNACK does not have becomes one that it has', () => {
    const world = new World({ authenticator: deciding({ reasonCode: ReasonCode.TopicFilterInvalid }) })
    const connack = world.client('a').connect().take(Connack)
    assert.ok(connack.reasonCode >= 0x80)
    assert.equal(world.eventsOf('core.failed').length, 0, 'a decision is no bug of the core')
    isRefused(world.client('a', { version: 4 }).connect(), 3)
  })

  test('Server Reference goes with 0x9C and 0x9D (4.11)', () => {
    for (const reasonCode of [ReasonCode.UseAnotherServer, ReasonCode.ServerMoved]) {
      const world = new World({ authenticator: deciding({ reasonCode, serverReference: 'other.example:1884' }) })
      const connack = isRefused(world.client('a').connect(), reasonCode)
      assert.equal(connack.properties.serverReference, 'other.example:1884')
      isRefused(world.client('a', { version: 4 }).connect(), 3)
    }
  })

  test('Reason String is sent unless the client wants no problem information [MQTT-3.1.2-29]', () => {
    const world = new World({
      authenticator: deciding({
        reasonCode: ReasonCode.Banned,
        reasonString: 'too loud',
        userProperties: [['a', 'b']],
      }),
    })
    const told = isRefused(world.client('a').connect(), ReasonCode.Banned)
    assert.equal(told.properties.reasonString, 'too loud')
    assert.deepEqual(told.properties.userProperties, [['a', 'b']])
    const quiet = world.client('a').connect({ properties: { requestProblemInformation: false } })
    assert.deepEqual(isRefused(quiet, ReasonCode.Banned).properties, {})
  })

  test('a decision may give User Properties, a Reason String and another user name', () => {
    const world = new World({
      authenticator: deciding({ username: 'ada', reasonString: 'welcome', userProperties: [['a', 'b']] }),
    })
    const { properties } = world.client('a').connected({ username: 'x' })
    assert.equal(properties.reasonString, 'welcome')
    assert.deepEqual(properties.userProperties, [['a', 'b']])
    assert.equal(world.eventsOf('client.connected')[0]?.client.username, 'ada')
  })

  test('while a decision is awaited nothing is read; then all goes on in order', () => {
    let decide: (decision: ConnectDecision) => void = () => {}
    const world = new World({
      authenticator: {
        authenticate: (_, d) => {
          decide = d
        },
      },
    })
    const a = world.client('a')
    a.connect()
    a.send(new Subscribe(1, [subscriptionTo('t')]), a.makePublish({ topic: 't', payload: 'x', qos: 1 }))
    a.hasNothing()
    const b = world.client('b')
    assert.ok(a.transport.isPaused)
    world.together(() => decide({}))
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [2, 9, 3, 4],
    )
    b.connect()
    world.together(() => decide({}))
    b.take(Connack)
  })

  test('what came in the same chunk as CONNECT waits for the decision too', () => {
    let decide: (decision: ConnectDecision) => void = () => {}
    const world = new World({
      authenticator: {
        authenticate: (_, d) => {
          decide = d
        },
      },
    })
    const a = world.client('a').open()
    const connect = new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: 'a' })
    a.send(connect, new Subscribe(1, [subscriptionTo('t')]))
    a.hasNothing()
    world.together(() => decide({}))
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [2, 9],
    )
  })

  test('a client that is gone when the decision comes leaves nothing', () => {
    let decide: (decision: ConnectDecision) => void = () => {}
    const world = new World({
      authenticator: {
        authenticate: (_, d) => {
          decide = d
        },
      },
    })
    const a = world.client('a').connect({ will: will({ topic: 'w' }) })
    a.drop()
    world.together(() => decide({}))
    assert.equal(world.core.sessions.size, 0)
    assert.equal(world.core.connections.size, 0)
    assert.equal(world.metric('willsPublished'), 0)
  })

  test('no decision in time: refused when connectTimeoutMs is over', () => {
    const world = new World({ authenticator: { authenticate: () => {} }, limits: { connectTimeoutMs: 5_000 } })
    const a = world.client('a').connect()
    world.advance(4_900)
    assert.ok(!a.isClosed)
    world.advance(400)
    assert.ok(a.take(Connack).reasonCode >= 0x80)
    assert.ok(a.isClosed)
  })
})
