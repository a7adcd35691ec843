import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { isTopicName } from '@recado/protocol'
import { eventTopic, receivedTopic } from './azure-iot-hub.ts'
import { messageRefusal, topicRefusal } from './cloud.ts'
import { cloudNames, clouds, findCloud } from './clouds.ts'
import { encodePropertyBag, parsePropertyBag } from './property-bag.ts'
import { credentialAt, isSasKey, sasToken } from './sas-token.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')

test('each cloud says where its rules are written, and its defaults are those of options', () => {
  assert.deepEqual(cloudNames, ['aws-iot', 'azure-iot-hub', 'azure-event-grid', 'hivemq-cloud', 'emqx'])
  for (const cloud of clouds) {
    assert.ok(cloud.sources.length > 0)
    for (const url of cloud.sources) assert.match(url, /^https:\/\//)
    assert.equal(findCloud(cloud.name), cloud)
  }
  assert.equal(findCloud('gcp'), null)
})

test('AWS IoT Core refuses deep and long topics, those of its own, and large payloads', () => {
  const aws = findCloud('aws-iot')!
  assert.equal(topicRefusal(aws, 'a/b/c/d/e/f/g/h'), null)
  assert.equal(topicRefusal(aws, 'a/b/c/d/e/f/g/h/i'), 'topic-too-deep')
  assert.equal(topicRefusal(aws, '$aws/rules/store/a/b/c/d/e/f/g/h'), null)
  assert.equal(topicRefusal(aws, '$aws/rules/store/a/b/c/d/e/f/g/h/i'), 'topic-too-deep')
  assert.equal(topicRefusal(aws, '$share/group/a/b/c/d/e/f/g/h'), null)
  assert.equal(topicRefusal(aws, 'x'.repeat(256)), null)
  assert.equal(topicRefusal(aws, 'ü'.repeat(129)), 'topic-too-long')
  assert.equal(topicRefusal(aws, '$SYS/broker'), 'topic-forbidden')
  assert.equal(topicRefusal(aws, '$aws/things/a/shadow/update'), null)
  assert.equal(messageRefusal(aws, 'a', 131_072, false), null)
  assert.equal(messageRefusal(aws, 'a', 131_073, false), 'payload-too-large')
})

test('Azure Event Grid has less room for a retained message than for others', () => {
  const grid = findCloud('azure-event-grid')!
  assert.equal(messageRefusal(grid, 'a', 65_537, false), null)
  assert.equal(messageRefusal(grid, 'a', 65_537, true), 'payload-too-large')
})

test('a shared access signature is the one of the documentation, and is renewed before it expires', () => {
  const resource = 'contoso.azure-devices.net/devices/pi 1'
  const encoded = 'contoso.azure-devices.net%2Fdevices%2Fpi%201'
  const signature = createHmac('sha256', Buffer.from(KEY, 'base64')).update(`${encoded}\n1700003600`).digest('base64')
  const token = sasToken(resource, KEY, 1_700_003_600)
  assert.equal(token, `SharedAccessSignature sr=${encoded}&sig=${encodeURIComponent(signature)}&se=1700003600`)
  for (const lifetimeSeconds of [120, 600, 3_600, 31_536_000]) {
    const { password, renewAtMs } = credentialAt({ resource, key: KEY, lifetimeSeconds }, 1_700_000_000_500)
    const expiryMs = Number(/se=(\d+)$/.exec(password)![1]) * 1000
    assert.ok(expiryMs - renewAtMs >= 60_000, `${lifetimeSeconds}`)
    assert.ok(renewAtMs - 1_700_000_000_500 >= (lifetimeSeconds * 1000) / 2 - 1_000, `${lifetimeSeconds}`)
  }
  assert.ok(isSasKey(KEY))
  for (const bad of ['', 'short', 'not base64 at all!', 'HostName=x;SharedAccessKey=y'])
    assert.equal(isSasKey(bad), false)
})

test('properties of a message are read as they were written, whatever they contain', () => {
  const properties = [
    ['topic', 'sensors/a+b/#'],
    ['näme', 'a=b&c/d?e'],
    ['empty', ''],
    ["it's", '(*)!'],
  ] as const
  const bag = encodePropertyBag(properties)
  assert.doesNotMatch(bag, /[/+#?*]/)
  assert.deepEqual(parsePropertyBag(bag), properties)
  assert.deepEqual(parsePropertyBag(''), [])
  assert.deepEqual(parsePropertyBag('?$rid=5'), [['$rid', '5']])
  assert.deepEqual(parsePropertyBag('%E0%A4%A=x&&y'), [
    ['%E0%A4%A', 'x'],
    ['y', ''],
  ])
})

test('a topic goes to Azure IoT Hub as a property, and comes back as a topic', () => {
  const there = eventTopic('pi', 'sensors/kitchen/temperature', {
    contentType: 'application/json',
    userProperties: [
      ['unit', '°C'],
      ['$.sub', 'x'],
      ['topic', 'other'],
    ],
  })
  assert.equal(
    there,
    'devices/pi/messages/events/topic=sensors%2Fkitchen%2Ftemperature&%24.ct=application%2Fjson&unit=%C2%B0C',
  )
  assert.ok(isTopicName(there))
  assert.equal(eventTopic('pi', '$iothub/twin/GET/?$rid=1'), '$iothub/twin/GET/?$rid=1')
  const bound = 'devices/pi/messages/devicebound/'
  assert.deepEqual(receivedTopic('pi', `${bound}topic=lamp%2Fset&%24.mid=1&a=b`), {
    ...{ topic: 'lamp/set', userProperties: [['a', 'b']], contentType: undefined },
  })
  for (const bag of ['', '%24.mid=1', 'topic=', 'topic=%23', 'topic=%24SYS%2Fx', 'topic=%00'])
    assert.equal(receivedTopic('pi', bound + bag)?.topic, 'devicebound', bag)
  assert.equal(receivedTopic('pi', 'devices/other/messages/devicebound/'), null)
  assert.equal(receivedTopic('pi', '$iothub/methods/POST/reboot/?$rid=1')?.topic, '$iothub/methods/POST/reboot/?$rid=1')
})
