/** The hook `transform`: other contents, nobody at all, and what becomes of a hook that fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, Pubcomp, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { type TransformHook, transformerOf } from './hooks.ts'
import { DiskWorld, type TestClient, World, type WorldOptions, will } from './testing/mod.ts'

function scene(hook: TransformHook, options: WorldOptions = {}): { world: World; failures: string[]; a: TestClient } {
  const failures: string[] = []
  const failed = (name: string, error: unknown): void => void failures.push(`${name}: ${(error as Error).message}`)
  const world = new World({ ...options, transformer: transformerOf(hook, failed) })
  const a = world.client('a')
  a.connected()
  a.subscribe('#', { qos: 2 })
  return { world, failures, a }
}

test('topic, payload, RETAIN and properties are changed before anybody gets the message, and what is absent stays', () => {
  const { world, a } = scene(({ topic, payload }, { clientId }) => ({
    topic: `${topic}/of/${clientId}`,
    payload: new TextDecoder().decode(payload).toUpperCase(),
    retain: true,
  }))
  const properties = { contentType: 'text/plain', messageExpiryIntervalSeconds: 10 }
  a.publish({ topic: 't', payload: 'hello', qos: 1, properties })
  const heard = a.takePublish()
  assert.equal(heard.topic, 't/of/a')
  assert.equal(heard.payload, 'HELLO')
  assert.equal(heard.qos, 1)
  assert.deepEqual(heard.properties, properties)
  assert.equal(a.take(Puback).reasonCode, 0)
  assert.equal(world.core.retained.get('t/of/a')!.payloadLength, 5)
  assert.equal(world.core.retained.get('t'), undefined)
})

test('undefined leaves the message as it is, with its bytes', () => {
  const { a } = scene(() => undefined)
  a.publish({ topic: 't', payload: 'x', properties: { responseTopic: 'r' } })
  assert.deepEqual(a.takePublish().properties, { responseTopic: 'r' })
})

test('properties are replaced as a whole', () => {
  const { a } = scene(() => ({ properties: { contentType: 'a/b' } }))
  a.publish({ topic: 't', properties: { responseTopic: 'r' } })
  assert.deepEqual(a.takePublish().properties, { contentType: 'a/b' })
})

test('a view of the payload may be answered: the message has a copy', () => {
  const { a } = scene(({ payload }) => ({ payload: payload.subarray(1, 3) }))
  a.publish({ topic: 't', payload: 'abcd', qos: 1 })
  a.publish({ topic: 't', payload: 'efgh', qos: 1 })
  assert.deepEqual([a.takePublish().payload, a.take(Puback).packetId, a.takePublish().payload], ['bc', 2, 'fg'])
})

test('null: nobody gets it, it is counted, and its publisher is answered as if somebody had', () => {
  const { world, a } = scene(() => null)
  a.publish({ topic: 't' })
  a.publish({ topic: 't', qos: 1 })
  assert.equal(a.take(Puback).reasonCode, 0)
  const packetId = a.publish({ topic: 't', qos: 2 })
  assert.equal(a.take(Pubrec).reasonCode, 0)
  a.send(new Pubrel(packetId))
  assert.equal(a.take(Pubcomp).reasonCode, 0)
  a.hasNothing()
  assert.equal(world.metric('dropped.withheld'), 3)
  assert.deepEqual(
    world.eventsOf('message.dropped').map(({ clientId, reason }) => [clientId, reason]),
    Array.from({ length: 3 }, () => ['a', 'withheld']),
  )
})

test('a hook that throws, or answers something else, withholds the message and tells the publisher 0x83', () => {
  const answers: (() => unknown)[] = [
    () => {
      throw new Error('mine')
    },
    () => ({ topik: 't' }),
    () => ({ topic: 'a/+' }),
    () => Promise.resolve(),
    () => ({ payload: 5 }),
    () => ({ properties: { contentType: '\ud800' } }),
    () => ({ payload: new Uint8Array(268_435_456) }),
  ]
  let next = 0
  const { failures, a } = scene(() => answers[next++]!() as never)
  for (let i = 0; i < answers.length; i++) {
    a.publish({ topic: 't', qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.ImplementationSpecificError, `answer ${i}`)
  }
  a.hasNothing()
  assert.equal(failures.length, answers.length)
  assert.match(failures[0]!, /^transform: mine$/)
  assert.match(failures[1]!, /topic/)
})

test('the authorizer sees the message as it came, and decides first', () => {
  const asked: string[] = []
  const authorizer: WorldOptions['authorizer'] = {
    publish: (_client, topic) => {
      asked.push(topic)
      return topic === 'no' ? ReasonCode.NotAuthorized : 0
    },
    subscribe: () => 0,
  }
  let calls = 0
  const { a } = scene(() => ({ topic: `moved/${++calls}` }), { authorizer })
  a.publish({ topic: 'yes', qos: 1 })
  a.publish({ topic: 'no', qos: 1 })
  assert.deepEqual(asked, ['yes', 'no'])
  assert.equal(a.takePublish().topic, 'moved/1')
  assert.equal(a.take(Puback).reasonCode, 0)
  assert.equal(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
  assert.equal(calls, 1)
})

test('Wills are transformed when they are published; what the program publishes itself is not', () => {
  const { world, a } = scene(({ topic }) => (topic === 'gone' ? null : { topic: `moved/${topic}` }))
  const leave = (topic: string): void => {
    const b = world.client('b')
    b.connected({ will: will({ topic }) })
    b.drop()
  }
  leave('w')
  leave('gone')
  world.publish({ topic: 'own' })
  assert.deepEqual([a.takePublish().topic, a.takePublish().topic], ['moved/w', 'own'])
  assert.equal(world.metric('dropped.withheld'), 1)
})

test('a durable session gets the message as it was transformed, also after a crash', () => {
  const transformer = transformerOf(({ payload }) => ({ payload: `${payload.length} bytes` }), assert.fail)
  const world = new DiskWorld({ transformer })
  world.durable('away', 't').drop()
  const a = world.durable('a')
  a.publish({ topic: 't', payload: 'xyz', qos: 2 })
  world.settle()
  assert.equal(a.take(Pubrec).reasonCode, 0)
  const again = world.crash()
  const back = again.client('away')
  again.connected(back)
  assert.deepEqual(back.takePayloads(), ['3 bytes'])
})

test('a packet that a Subscription Identifier makes larger than MQTT can say is dropped for that subscriber, and its session goes on', () => {
  const world = new World()
  const numbered = world.client('numbered')
  numbered.connected()
  numbered.subscribe('t', { qos: 1, identifier: 5 })
  assert.equal(world.publish({ topic: 't', payload: new Uint8Array(268_435_455 - 6), qos: 1 }), 0)
  numbered.hasNothing()
  assert.equal(world.metric('dropped.packet-too-large'), 1)
  world.publish({ topic: 't', payload: 'next', qos: 1 })
  assert.equal(numbered.takePublish().payload, 'next')
})
