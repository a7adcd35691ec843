import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BridgeConfig, bridgesFrom } from './bridges.ts'
import { parseConfigFile } from './parse.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')

function read(...lines: string[]): BridgeConfig {
  const text = ['connection b', ...lines].join('\n')
  return bridgesFrom(parseConfigFile('a.conf', { read: () => text, list: () => [] }).bridges, [], 'edge').bridges[0]!
}
/** Faults, `line what` each. */
function faults(...lines: string[]): string[] {
  const text = ['connection b', ...lines].join('\n')
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  return bridgesFrom(parsed.bridges, [], 'edge').faults.map(({ message }) =>
    message.replace('a.conf:', '').replace(':', ''),
  )
}

const CERTIFICATE = ['bridge_certfile c.pem', 'bridge_keyfile k.pem']
const aws = (...lines: string[]): string[] => [
  'bridge_preset aws-iot',
  'address x-ats.iot.eu-west-1.amazonaws.com',
  ...CERTIFICATE,
  ...lines,
]
const hub = (...lines: string[]): string[] => [
  'bridge_preset azure-iot-hub',
  'address contoso.azure-devices.net',
  ...lines,
]

test('a section for AWS IoT Core needs an address, a certificate and topics', () => {
  const bridge = read(...aws('topic sensors/# out 1'))
  const { tls, addresses, protocolVersion, notifications, tryPrivate, outgoingRetain, ratePerSecond } = bridge
  assert.equal(addresses[0]!.port, 8883)
  assert.deepEqual([tls!.useOsCertificates, tls!.certfile, tls!.alpn], [true, 'c.pem', null])
  assert.deepEqual([protocolVersion, notifications, tryPrivate, outgoingRetain], [5, 'none', false, false])
  assert.deepEqual([ratePerSecond, bridge.sessionExpirySeconds, bridge.attemptUnsubscribe], [90, 3600, false])
  assert.equal(bridge.cloud, 'aws-iot')
})

test('AWS IoT Core on port 443 is asked by its ALPN name', () => {
  const lines = ['bridge_preset aws-iot', 'address a:443', ...CERTIFICATE, 'topic a out 1']
  assert.equal(read(...lines).tls!.alpn, 'x-amzn-mqtt-ca')
  assert.deepEqual(faults(...lines, 'bridge_alpn mqtt'), [
    '7 bridge_alpn must be x-amzn-mqtt-ca on this port of AWS IoT Core',
  ])
})

test('what AWS IoT Core would refuse is a fault with its line', () => {
  assert.deepEqual(
    faults(
      ...aws(
        'topic a/b/c/d/e/f/g/h/# out 1',
        'topic commands in 2',
        'topic # out 1 "" $SYS/',
        'bridge_protocol_version mqttv31',
        'keepalive_interval 1201',
        'notifications true',
        `remote_clientid ${'x'.repeat(129)}`,
      ),
    ),
    [
      '6 topic is a/b/c/d/e/f/g/h/# there: AWS IoT Core takes topics with 7 slashes at most',
      '7 topic has QoS 2: AWS IoT Core knows QoS 1 at most',
      '8 topic is $SYS/# there: AWS IoT Core keeps topics that begin with $ for itself',
      '9 bridge_protocol_version is 3.1, which AWS IoT Core does not speak',
      '10 keepalive_interval is 1201: AWS IoT Core takes 1200 seconds at most',
      '11 notifications would publish to $SYS, which AWS IoT Core refuses: say notification_topic TOPIC, or notifications_local_only true',
      '12 remote_clientid has more than 128 bytes, the limit of AWS IoT Core',
    ],
  )
  const many = Array.from({ length: 51 }, (_, i) => `topic t/${i} in 1`)
  assert.deepEqual(faults(...aws(...many)), [
    '1 connection has 51 topics that come in: AWS IoT Core allows 50 subscriptions',
  ])
  assert.deepEqual(faults('bridge_preset aws-iot', 'address a', 'topic a'), [
    '2 bridge_preset needs bridge_certfile and bridge_keyfile for AWS IoT Core',
  ])
  assert.equal(
    read(...aws('topic a', 'bridge_outgoing_retain true', 'notifications true', 'notification_topic state/b'))
      .outgoingRetain,
    true,
  )
})

test('a section for Azure IoT Hub needs a device and its key, and makes user name, passwords and topics of them', () => {
  const bridge = read(
    ...hub('remote_clientid pi', `bridge_sas_key ${KEY}`, 'topic sensors/# out 1', 'topic # in 1 cloud/'),
  )
  assert.equal(bridge.remoteUsername, 'contoso.azure-devices.net/pi/?api-version=2021-04-12')
  assert.deepEqual(bridge.sas, { resource: 'contoso.azure-devices.net/devices/pi', key: KEY, lifetimeSeconds: 3600 })
  assert.equal(bridge.topics[1]!.remoteFilter, 'devices/pi/messages/devicebound/#')
  assert.deepEqual([bridge.protocolVersion, bridge.addresses[0]!.port, bridge.outgoingRetain], [4, 8883, false])
  const withCertificate = read(
    ...hub('remote_clientid pi', ...CERTIFICATE, 'topic $iothub/methods/POST/# in 1', 'topic twin out 1 "" $iothub/'),
  )
  assert.equal(withCertificate.sas, null)
})

test('what Azure IoT Hub would refuse is a fault with its line', () => {
  assert.deepEqual(
    faults(
      ...hub(
        'remote_clientid pi',
        'bridge_sas_key HostName=x',
        'topic a both 1',
        'topic a out 2',
        'topic a out 1 "" sensors/',
        'topic a in 1',
        'bridge_protocol_version mqttv50',
        'remote_username me',
        'remote_password secret',
        'bridge_outgoing_retain true',
        'notification_topic x',
        'notifications true',
      ),
    ),
    [
      '5 bridge_sas_key is no key: copy the primary key of the device',
      '6 topic has both directions: what goes out and comes in has different topics here',
      '7 topic has QoS 2: Azure IoT Hub knows QoS 1 at most',
      '8 topic goes to sensors/: say no remote prefix (devices/pi/messages/events/ then), or one that begins with $iothub/',
      '9 topic asks for a: there are # (all messages to the device) and $iothub/…',
      '10 bridge_protocol_version is 5.0, which Azure IoT Hub does not speak',
      '11 remote_username is made by the preset from the host and the device',
      '12 remote_password is made by the preset: say bridge_sas_key KEY, and tokens renew themselves',
      '13 bridge_outgoing_retain must be false: Azure IoT Hub has no retained messages',
      '14 notification_topic is a topic that Azure IoT Hub does not have: say notification_topic TOPIC, or notifications_local_only true',
    ],
  )
  assert.deepEqual(faults(...hub(`bridge_sas_key ${KEY}`, 'topic a out 1')), [
    '1 connection has no remote_clientid: it must be the name of the device',
  ])
})

test('the other clouds need a login, and a key of Azure means nothing to them', () => {
  for (const preset of ['hivemq-cloud', 'emqx']) {
    const lines = [`bridge_preset ${preset}`, 'address a', 'topic # both 2']
    assert.equal(faults(...lines).length, 1)
    assert.match(faults(...lines)[0]!, /^2 bridge_preset needs remote_username and remote_password, or bridge_certfile/)
    const bridge = read(...lines, 'remote_username u', 'remote_password p')
    assert.deepEqual(
      [bridge.addresses[0]!.port, bridge.tls!.useOsCertificates, bridge.tryPrivate],
      [8883, true, preset === 'emqx'],
    )
    assert.equal(faults(...lines, 'remote_username u', 'remote_password p', `bridge_sas_key ${KEY}`).length, 1)
  }
  const grid = ['bridge_preset azure-event-grid', 'address a', ...CERTIFICATE, 'topic a/# both 1']
  assert.deepEqual(faults(...grid), [
    '1 connection has no remote_username: it must be the authentication name of the client',
  ])
  assert.equal(read(...grid, 'remote_username pi').keepAliveSeconds, 60)
  assert.deepEqual(faults('address a', 'topic a', `bridge_sas_key ${KEY}`), [
    '4 bridge_sas_key needs bridge_preset azure-iot-hub as well',
  ])
})

test('own authorities take the place of the system’s in a preset', () => {
  const bridge = read(...aws('topic a', 'bridge_cafile ca.pem'))
  assert.deepEqual([bridge.tls!.cafile, bridge.tls!.useOsCertificates], ['ca.pem', false])
})

test('a batch has a count, seconds and bytes, and fits into what the cloud takes', () => {
  const bridge = read('address a', 'topic # out 1', 'bridge_batch 100 10 65536 gzip', 'remote_clientid pi')
  assert.deepEqual(bridge.batch, { count: 100, seconds: 10, bytes: 65_536, gzip: true, topic: 'batch/pi' })
  assert.equal(read('address a', 'topic #').batch, null)
  assert.deepEqual(faults('address a', 'topic # out 1', 'bridge_batch 1 x 65536 zip'), [
    '4 bridge_batch needs COUNT SECONDS BYTES [gzip]: count "1" is no whole number from 2 to 10000',
    '4 bridge_batch needs COUNT SECONDS BYTES [gzip]: seconds "x" is no whole number from 1 to 3600',
    '4 bridge_batch knows gzip after its three numbers, not "zip"',
  ])
  assert.deepEqual(faults('address a', 'topic # both 2', 'bridge_batch 10 1 1000'), [
    '4 bridge_batch sends at least once: the topic at line 3 has QoS 2; say 1 there, or no bridge_batch',
  ])
  assert.deepEqual(faults(...aws('topic a out 1', 'bridge_batch 10 1 200000')), [
    '7 bridge_batch has 200000 bytes: the remote broker takes payloads of 131072 bytes at most',
  ])
})
