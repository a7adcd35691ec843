import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bridgesFrom } from '../config/bridges.ts'
import { parseConfigFile } from '../config/parse.ts'
import { TopicMap } from './topic-map.ts'

function mapOf(...lines: string[]): TopicMap {
  const text = `connection b\naddress hub\n${lines.map((line) => `topic ${line}`).join('\n')}`
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  return new TopicMap(bridgesFrom(parsed.bridges, []).bridges[0]!.topics)
}

test('prefixes are taken off and put on, in both directions', () => {
  const map = mapOf('# both 1 near/ far/house/')
  assert.equal(map.remote('near/a/b')?.topic, 'far/house/a/b')
  assert.equal(map.local('far/house/a/b'), 'near/a/b')
  assert.deepEqual([...map.remote('near/a')!.field], [0, 11, ...new TextEncoder().encode('far/house/a')])
})

test('a topic that no line of the direction matches has no name on the other side', () => {
  const map = mapOf('a/# out', 'b/# in')
  assert.equal(map.remote('b/1'), null)
  assert.equal(map.local('a/1'), null)
  assert.equal(map.local('b/1'), 'b/1')
})

test('the first line with a prefix maps, whatever lines without one stand before it', () => {
  const map = mapOf('a/# out', 'a/+ out 0 "" one/', '# out 0 "" two/')
  assert.equal(map.remote('a/b')?.topic, 'one/a/b')
  assert.equal(map.remote('a/b/c')?.topic, 'two/a/b/c')
})

test('a line without pattern maps one topic to one', () => {
  const map = mapOf('"" both 0 here/t there/u')
  assert.equal(map.remote('here/t')?.topic, 'there/u')
  assert.equal(map.local('there/u'), 'here/t')
  assert.equal(map.local('there/u/v'), null)
})

test('a Shared Subscription brings the topics of its Topic Filter', () => {
  assert.equal(mapOf('$share/g/jobs/# in 1').local('jobs/1'), 'jobs/1')
})

test('a topic that would be empty without its prefix has no name on the other side', () => {
  assert.equal(mapOf('# out 0 near/').remote('near/'), null)
})

test('at Azure IoT Hub a topic is a property of the message, in both directions', () => {
  const parsed = parseConfigFile('a.conf', {
    read: () =>
      [
        'connection b\nbridge_preset azure-iot-hub\naddress hub.azure-devices.net\nremote_clientid pi',
        `bridge_sas_key ${Buffer.alloc(32, 7).toString('base64')}`,
        'topic # out 1 sensors/\ntopic # in 1 cloud/\ntopic $iothub/methods/POST/# in 1',
      ].join('\n'),
    list: () => [],
  })
  const [bridge] = bridgesFrom(parsed.bridges, []).bridges
  const topics = new TopicMap(bridge!.topics, 'pi')
  assert.equal(topics.remote('sensors/a/b')?.topic, 'devices/pi/messages/events/topic=a%2Fb')
  assert.equal(topics.remote('other'), null)
  assert.equal(topics.local('devices/pi/messages/devicebound/%24.mid=1&topic=lamp%2Fset'), 'cloud/lamp/set')
  assert.equal(topics.local('devices/pi/messages/devicebound/'), 'cloud/devicebound')
  assert.equal(topics.local('devices/x/messages/devicebound/'), null)
  assert.equal(topics.local('$iothub/methods/POST/go/?$rid=1'), '$iothub/methods/POST/go/?$rid=1')
})
