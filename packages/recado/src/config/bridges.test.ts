import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BridgeConfig, bridgesFrom } from './bridges.ts'
import { parseConfigFile } from './parse.ts'

function read(text: string, warnings: string[] = []): BridgeConfig[] {
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  return [...bridgesFrom(parsed.bridges, warnings, 'edge').bridges]
}
const one = (lines: string): BridgeConfig => read(`connection b\naddress hub\ntopic #\n${lines}`)[0]!
/** Faults of a section whose own lines begin at line 4, `4: what` each. */
function faults(lines: string): string[] {
  return faultsOf(`connection b\naddress hub\ntopic #\n${lines}`)
}
function faultsOf(text: string): string[] {
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  return bridgesFrom(parsed.bridges, [], 'edge').faults.map(({ message }) => message.replace('a.conf:', ''))
}

test('a bridge of three lines has the defaults of Mosquitto', () => {
  assert.deepEqual(one(''), {
    name: 'b',
    file: 'a.conf',
    line: 1,
    addresses: [{ host: 'hub', port: 1883 }],
    topics: [
      {
        ...{ pattern: '#', direction: 'out', qos: 0, localPrefix: '', remotePrefix: '' },
        ...{ localFilter: '#', remoteFilter: '#', file: 'a.conf', line: 3 },
      },
    ],
    protocolVersion: 4,
    cleanStart: false,
    localCleanStart: false,
    localClientId: 'local.edge.b',
    remoteClientId: 'edge.b',
    localUsername: null,
    localPassword: null,
    remoteUsername: null,
    remotePassword: null,
    keepAliveSeconds: 60,
    startType: 'automatic',
    idleTimeoutSeconds: 60,
    threshold: 10,
    restart: { kind: 'jitter', baseSeconds: 5, capSeconds: 30, stableSeconds: 0 },
    roundRobin: false,
    tryPrivate: true,
    notifications: 'both',
    notificationTopic: null,
    attemptUnsubscribe: true,
    outgoingRetain: true,
    maxPacketBytes: 0,
    topicAliasMaximum: 10,
    queueQoS0: false,
    path: 'keep',
    receiveMaximum: null,
    sessionExpirySeconds: null,
    reload: 'lazy',
    bindAddress: null,
    tcpKeepAlive: null,
    tcpUserTimeoutMs: null,
    tls: null,
    cloud: null,
    sas: null,
    ratePerSecond: 0,
    batch: null,
  } satisfies BridgeConfig)
})

test('each option gets where it belongs, old names too', () => {
  const bridge = one(
    [
      'bridge_protocol_version mqttv50',
      'cleansession true',
      'clientid far',
      'username ada',
      'password lovelace',
      'local_clientid near',
      'local_username eve',
      'local_password apple',
      'keepalive_interval 1',
      'start_type lazy',
      'restart_timeout 7',
      'notifications_local_only true',
      'notification_topic state/b',
      'bridge_receive_maximum 5',
      'bridge_session_expiry_interval 4294967295',
      'bridge_reload_type immediate',
      'bridge_tcp_keepalive 10 5 3',
      'bridge_cafile ca.pem',
      'bridge_certfile c.pem',
      'bridge_keyfile k.pem',
      'bridge_tls_version tlsv1.3',
      'bridge_insecure true',
      'bridge_alpn mqtt',
    ].join('\n'),
  )
  assert.equal(bridge.protocolVersion, 5)
  assert.deepEqual([bridge.cleanStart, bridge.localCleanStart], [true, true])
  assert.deepEqual([bridge.remoteClientId, bridge.remoteUsername, bridge.remotePassword], ['far', 'ada', 'lovelace'])
  assert.deepEqual([bridge.localClientId, bridge.localUsername, bridge.localPassword], ['near', 'eve', 'apple'])
  assert.deepEqual([bridge.keepAliveSeconds, bridge.startType, bridge.reload], [5, 'lazy', 'immediate'])
  assert.deepEqual(bridge.restart, { kind: 'constant', seconds: 7 })
  assert.deepEqual([bridge.notifications, bridge.notificationTopic], ['local', 'state/b'])
  assert.deepEqual([bridge.receiveMaximum, bridge.sessionExpirySeconds], [5, 4_294_967_295])
  assert.deepEqual(bridge.tcpKeepAlive, { idleSeconds: 10, intervalSeconds: 5, count: 3 })
  const { cafile, certfile, keyfile, version, isInsecure, alpn } = bridge.tls!
  assert.deepEqual(
    [cafile, certfile, keyfile, version, isInsecure, alpn],
    ['ca.pem', 'c.pem', 'k.pem', 'TLSv1.3', true, 'mqtt'],
  )
})

test('addresses are hosts with ports, of IPv6 too, until a comment', () => {
  const [bridge] = read('connection b\naddresses hub:1884 ::1 [::1]:1885 10.0.0.1 # the first is tried first\ntopic #')
  assert.deepEqual(bridge!.addresses, [
    { host: 'hub', port: 1884 },
    { host: '::1', port: 1883 },
    { host: '::1', port: 1885 },
    { host: '10.0.0.1', port: 1883 },
  ])
  for (const word of ['hub:0', 'hub:70000', 'hub:abc', 'hub:']) {
    assert.match(
      faultsOf(`connection b\naddress ${word}\ntopic #`)[0]!,
      /^2: address needs a port from 1 to 65535 in "hub:/,
    )
  }
})

test('topics have a direction, a QoS and prefixes', () => {
  const warnings: string[] = []
  const [bridge] = read(
    'connection b\naddress hub\ntopic a/# Both 2 in/ out/\ntopic "" in 1 here there\ntopic "a b/+" out 0 "" x/\ntopic a/# both 2\ntopic b',
    warnings,
  )
  assert.deepEqual(
    bridge!.topics.map(({ direction, qos, localFilter, remoteFilter }) => [direction, qos, localFilter, remoteFilter]),
    [
      ['both', 2, 'in/a/#', 'out/a/#'],
      ['in', 1, 'here', 'there'],
      ['out', 0, 'a b/+', 'x/a b/+'],
      ['out', 0, 'b', 'b'],
    ],
  )
  assert.deepEqual(warnings, ['a.conf:6: topic stands already at a.conf:3; that one holds'])
})

test('a number that is out of its range, and another one taken for it, is told', () => {
  const warnings: string[] = []
  const text = [
    'connection b',
    'address hub',
    'topic # out',
    'keepalive_interval 1',
    'idle_timeout 0',
    'threshold 0 # none',
    'bridge_max_packet_size -5',
    'restart_timeout 0 99999',
  ].join('\n')
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  bridgesFrom(parsed.bridges, warnings, 'edge')
  assert.deepEqual(
    [...parsed.warnings, ...warnings],
    [
      'a.conf:4: keepalive_interval 1 is too small: 5 is taken',
      'a.conf:5: idle_timeout 0 is too small: 1 is taken',
      'a.conf:6: threshold 0 is too small: 1 is taken',
      'a.conf:7: bridge_max_packet_size -5 is too small: 0 is taken',
      'a.conf:8: restart_timeout 0 is not from 1 to 3600 seconds: 1 is taken',
      'a.conf:8: restart_timeout 99999 is not from 1 to 3600 seconds: 3600 is taken',
    ],
  )
})

test('every fault of a section is told, with its line', () => {
  const text = [
    'connection b',
    'topic # sideways 3 a#',
    'topic "" both',
    'restart_timeout 9 8',
    'bridge_psk xyz',
    'bridge_cafile ca.pem',
    'notification_topic a/#',
    'bridge_tls_version ssl3',
    'connection b',
    'address hub:0',
  ].join('\n')
  assert.deepEqual(faultsOf(text), [
    '1: connection has no address: say address HOST:PORT below it',
    '2: topic has the direction "sideways", and knows out, in and both',
    '2: topic has the QoS "3", and knows 0, 1 and 2',
    '2: topic has the local prefix a#: a prefix may not have + or #',
    '3: topic "" needs a local prefix: the name of the topic there',
    '3: topic "" needs a remote prefix: the name of the topic there',
    '4: restart_timeout has a cap of 8 seconds below its base of 9',
    '5: bridge_psk needs bridge_identity as well',
    '5: bridge_psk is not hex digits',
    '6: bridge_cafile and bridge_psk exclude each other: certificates or a pre-shared key',
    '7: notification_topic a/#: nobody can publish to a topic with + or #',
    '8: bridge_tls_version must be tlsv1.2 or tlsv1.3, not "ssl3"',
    '9: connection has no topic: say topic PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]] below it',
    '9: connection b has the name of another, b at a.conf:1',
    '10: address needs a port from 1 to 65535 in "hub:0"',
  ])
})

test('a line that cannot be read is a fault of its bridge too, and the file and the others are taken', () => {
  const lines = ['keepalive_interval abc', 'bridge_insecure maybe', 'bridge_nothing 1', 'try_private', 'topic "a out']
  assert.deepEqual(faults(lines.join('\n')), [
    '4: keepalive_interval must be a whole number of seconds, not "abc"',
    '5: bridge_insecure must be true or false, not "maybe"',
    '6: unknown option "bridge_nothing"',
    '7: try_private needs a value',
    '8: topic has no quote at the end of the topic: add one',
  ])
  const good = 'connection good\naddress hub\ntopic #\n'
  const text = `listener 1884\nconnection b\naddress hub\naddress hub\ntopic #\nconnection\naddress x\ntopic y\n${good}`
  assert.deepEqual(faultsOf(text), [
    '4: address stands already at a.conf:3: remove one of them',
    '6: connection needs a value',
  ])
  const { bridges } = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  const { bridges: read, faulty } = bridgesFrom(bridges, [], 'edge')
  assert.deepEqual([read.map(({ name }) => name), faulty], [['good'], ['b', '']])
  assert.throws(() => faults('listener x'), { message: /^a\.conf:4: listener needs a port/ })
  assert.throws(() => faults('liztener 1'), { message: /^a\.conf:4: unknown option "liztener"/ })
})

test('a name that may not stand in the topic of its state is a fault, unless the topic is another one, or none', () => {
  const section = 'connection a+b#\naddress hub\ntopic t out 1\n'
  assert.deepEqual(faultsOf(`${section}remote_clientid a/#`), [
    '1: connection has + or # in the topic of its state, $SYS/broker/connection/a/#/state: say remote_clientid, notification_topic or notifications false below it',
  ])
  for (const line of ['remote_clientid ab', 'notification_topic t/state', 'notifications false'])
    assert.deepEqual(faultsOf(section + line), [])
})

test('a certificate without authorities would go out in the clear, and is a fault', () => {
  assert.deepEqual(faults('bridge_certfile c\nbridge_keyfile k'), [
    '4: bridge_certfile needs bridge_cafile, bridge_capath or bridge_tls_use_os_certs true: without them there is no TLS',
  ])
  assert.deepEqual(faults('bridge_certfile c\nbridge_tls_use_os_certs true'), [
    '4: bridge_certfile needs bridge_keyfile as well',
  ])
})

test('two bridges have two Client Identifiers here', () => {
  const section = (name: string): string => `connection ${name}\naddress hub\ntopic #\nlocal_clientid same\n`
  assert.deepEqual(faultsOf(section('a') + section('b')), [
    '5: connection b has the local_clientid of another, a at a.conf:1',
  ])
})
