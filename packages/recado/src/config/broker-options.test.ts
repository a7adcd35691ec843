import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type AuthenticationSource,
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  createBroker,
} from '@recado/broker'
import { brokerOptionsFrom, socketsFor } from './broker-options.ts'
import { type Config, loadConfig } from './config.ts'

const load = (text: string): Config =>
  loadConfig(
    { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
    { read: () => text, list: () => [] },
  )

/** Reason Code that a CONNECT is answered with. */
function answer(
  config: Config,
  listener: string,
  connect: { clientId?: string; username?: string; protocolVersion?: number },
  identity: string | null = null,
): number {
  const clientId = connect.clientId ?? 'a'
  const request = {
    connect: { protocolVersion: 5, clientId, ...connect },
    clientId: clientId === '' ? 'auto-1' : clientId,
    remoteAddress: '',
    peer: null,
    identity,
    listener,
  } as unknown as ConnectRequest
  const source = brokerOptionsFrom(config).authenticate as AuthenticationSource
  const result = source.authenticate(request) as boolean | ConnectDecision
  return typeof result === 'boolean' ? (result ? 0 : 0x87) : (result.reasonCode ?? 0)
}

test('all defaults are limits that the broker takes', () => {
  const broker = createBroker(brokerOptionsFrom(load('')))
  assert.equal(broker.limits.inflightMax, 1000)
  assert.equal(broker.limits.queueMessagesMax, 100_000)
  assert.equal(broker.limits.connectionsMax, 100_000)
  assert.equal(broker.limits.packetBytesMax, 16_777_216)
})

test("the schema's defaults are the broker's own, but for memory, of which half is the default", () => {
  const { limits } = createBroker(brokerOptionsFrom(load('')))
  assert.deepEqual(limits, { ...createBroker().limits, memoryBytesMax: limits.memoryBytesMax })
  assert.ok(limits.memoryBytesMax < Number.MAX_SAFE_INTEGER)
  for (const size of [268_435_456, 268_435_460, 2_147_483_647]) {
    const { limits: given } = createBroker(brokerOptionsFrom(load(`max_packet_size ${size}`)))
    assert.equal(given.packetBytesMax, 268_435_460, 'a size above 268,435,455 makes Paho for Python hang up')
  }
})

test('0 means no limit where it does in Mosquitto', () => {
  const { limits } = createBroker(
    brokerOptionsFrom(
      load('max_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 0\nmax_keepalive 0\nmax_connections -1'),
    ),
  )
  assert.equal(limits.inflightMax, 65_535)
  assert.equal(limits.receiveMaximum, 65_535)
  assert.equal(limits.queueMessagesMax, Number.MAX_SAFE_INTEGER)
  assert.equal(limits.queueBytesMax, Number.MAX_SAFE_INTEGER)
  assert.equal(limits.keepAliveSecondsMax, 65_535)
})

test('limits are passed on, and every value that the schema takes is one that the broker takes', () => {
  const { limits } = createBroker(
    brokerOptionsFrom(
      load(
        'max_packet_size 20\nmax_inflight_messages 7\npersistent_client_expiration 999999y\nretain_available false\nglobal_max_connections 0',
      ),
    ),
  )
  assert.equal(limits.packetBytesMax, 20)
  assert.equal(limits.inflightMax, 7)
  assert.equal(limits.receiveMaximum, 7)
  assert.equal(limits.sessionExpirySecondsMax, 0xffff_ffff)
  assert.equal(limits.retainedMessagesMax, 0)
  assert.equal(limits.connectionsMax, 1)
  assert.equal(createBroker(brokerOptionsFrom(load('message_size_limit 1000'))).limits.payloadBytesMax, 1000)
  assert.equal(
    createBroker(brokerOptionsFrom(load('persistent_client_expiration 2h'))).limits.sessionExpirySecondsMax,
    7200,
  )
})

test('a full queue refuses, or drops what queue_overflow says', () => {
  assert.equal(brokerOptionsFrom(load('')).overflow, 'reject')
  assert.equal(brokerOptionsFrom(load('queue_overflow drop-oldest')).overflow, 'drop-oldest')
  const { limits } = createBroker(brokerOptionsFrom(load('max_queued_messages 7\nmax_queued_bytes 1000')))
  assert.deepEqual([limits.queueMessagesMax, limits.queueBytesMax], [7, 1000])
})

test('each listener has its own highest QoS, Topic Aliases and Client Identifiers', () => {
  const config = load(
    'per_listener_settings true\nlistener 1883\nmax_qos 1\nauto_id_prefix lan-\nlistener 1884\nmax_topic_alias 5\nmax_topic_alias_broker 0\nallow_zero_length_clientid false',
  )
  const [first, second] = config.listeners.map((listener) => socketsFor(listener, config)[0]!)
  assert.deepEqual(first!.limits, { maximumQoS: 1, topicAliasMaximum: 10, topicAliasSendMax: 10 })
  assert.equal(first!.assignedClientIdPrefix, 'lan-')
  assert.equal(first!.allowEmptyClientId, true)
  assert.deepEqual(second!.limits, { maximumQoS: 2, topicAliasMaximum: 5, topicAliasSendMax: 0 })
  assert.equal(second!.assignedClientIdPrefix, 'auto-')
  assert.equal(second!.allowEmptyClientId, false)
})

test('who has been identified by a certificate or a pre-shared key gets in without a password', () => {
  const config = load('listener 1883\nallow_anonymous false')
  assert.equal(answer(config, '*:1883', {}, 'ada'), 0)
  assert.equal(answer(config, '*:1883', { username: 'ada' }), 0x87)
})

test('anonymous clients get in only where they are allowed; so does a user name without anything to check it', () => {
  const config = load('per_listener_settings true\nlistener 1883\nallow_anonymous true\nlistener 1884')
  assert.equal(answer(config, '*:1883', {}), 0)
  assert.equal(answer(config, '*:1883', { username: 'ada' }), 0)
  assert.equal(answer(config, '*:1884', {}), 0x87)
  assert.equal(answer(config, '*:1884', { username: 'ada' }), 0x87)
  assert.equal(answer(config, 'another', {}), 0x87)
})

test('with a password file that has not been opened no user name gets in', () => {
  const config = load('listener 1883\nallow_anonymous true\npassword_file p')
  assert.equal(answer(config, '*:1883', {}), 0)
  assert.equal(answer(config, '*:1883', { username: 'ada' }), 0x87)
})

test('with an ACL file that has not been opened nothing is published and nothing subscribed to, on that listener', () => {
  const { authorize } = brokerOptionsFrom(load('per_listener_settings true\nlistener 1883\nacl_file a\nlistener 1884'))
  const client = (listener: string): ClientInfo => ({ listener }) as ClientInfo
  const publish = (listener: string, topic: string): unknown =>
    authorize?.publish?.(client(listener), topic, { qos: 0, retain: false })
  assert.equal(publish('*:1883', 'a'), false)
  assert.equal(publish('*:1884', 'a'), true)
  assert.equal(publish('*:1884', '$SYS/a'), false)
  assert.equal(authorize?.subscribe?.(client('*:1883'), {} as never), false)
  assert.equal(authorize?.mayReceive?.(client('*:1883'), 'a'), false)
  assert.equal(authorize?.mayReceive?.(client('*:1884'), 'a'), true)
  assert.equal(brokerOptionsFrom(load('listener 1883')).authorize, undefined)
})

test('protocol versions and prefixes are refused with their Reason Codes', () => {
  const config = load('clientid_prefixes ok-\nallow_anonymous true\nlistener 1883\naccept_protocol_versions 5')
  assert.equal(answer(config, '*:1883', { clientId: 'ok-1' }), 0)
  assert.equal(answer(config, '*:1883', { clientId: 'ok-1', protocolVersion: 4 }), 0x84)
  assert.equal(answer(config, '*:1883', { clientId: 'no-1' }), 0x87)
})

test('a listener on all addresses tries IPv6 with IPv4 first', () => {
  const sockets = (text: string): unknown => {
    const config = load(text)
    return socketsFor(config.listeners[0]!, config).map(({ host, path, port }) => path ?? `${host} ${port}`)
  }
  assert.deepEqual(sockets('listener 1883'), [':: 1883', '0.0.0.0 1883'])
  assert.deepEqual(sockets('listener 1883\nsocket_domain ipv4'), ['0.0.0.0 1883'])
  assert.deepEqual(sockets('listener 1883 10.0.0.1'), ['10.0.0.1 1883'])
  assert.deepEqual(sockets('listener 0 /run/a'), ['/run/a'])
  const config = load('listener 1883\nmax_connections 3\nset_tcp_nodelay false')
  assert.equal(socketsFor(config.listeners[0]!, config)[0]?.connectionsMax, 3)
  assert.equal(socketsFor(config.listeners[0]!, config)[0]?.noDelay, false)
})
