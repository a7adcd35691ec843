import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Properties, Publish } from '@recado/protocol'
import { ALLOW, type ApplicationMessage, PENDING } from '../../ports.ts'
import { DiskWorld } from '../../testing/disk-world.ts'
import { World } from '../../testing/world.ts'
import { Message } from './message.ts'

/** Properties that are passed on. */
const OWN: Properties = {
  payloadFormatIndicator: 1,
  contentType: 'text/plain; charset=ü',
  responseTopic: 'answers/1',
  correlationData: Uint8Array.of(1, 2, 3),
  userProperties: [
    ['a', '1'],
    ['b', 'x'.repeat(130)],
    ['a', '2'],
  ],
}
const EXPIRY: Properties = { messageExpiryIntervalSeconds: 60 }

/** Properties in several orders, in which Message Expiry Interval and Topic Alias stand first, last or amid the others. */
const SENT: Properties[] = [
  OWN,
  { ...OWN, ...EXPIRY },
  { ...EXPIRY, ...OWN },
  { topicAlias: 1, ...OWN },
  { ...OWN, topicAlias: 1, ...EXPIRY },
  { contentType: OWN.contentType!, ...EXPIRY, topicAlias: 1, ...OWN },
]

describe('the properties of a message', () => {
  for (const [number, sent] of SENT.entries()) {
    const expected: Properties = 'messageExpiryIntervalSeconds' in sent ? { ...OWN, ...EXPIRY } : OWN
    for (const qos of [0, 1, 2] as const) {
      test(`are passed on unaltered to every kind of client, form ${number}, QoS ${qos} [MQTT-3.3.2-17] [MQTT-3.3.2-18]`, () => {
        const world = new World()
        const plain = world.client('plain')
        plain.connected()
        plain.subscribe('t/#')
        const identified = world.client('identified')
        identified.connected()
        identified.subscribe('t/#', { identifier: 300 })
        const aliased = world.client('aliased')
        aliased.connected({ properties: { topicAliasMaximum: 5 } })
        aliased.subscribe('t/#')
        const old = world.client('old', { version: 4 })
        old.connected()
        old.subscribe('t/#')
        const publisher = world.client('p')
        publisher.acknowledges = true
        publisher.connected()
        for (const payload of ['', 'small', 'x'.repeat(700), 'y'.repeat(10_000)]) {
          publisher.publish({ topic: 't/1', payload, qos, properties: sent })
          const got = plain.takePublish()
          assert.deepEqual(got.properties, expected)
          assert.equal(got.payload, payload)
          assert.deepEqual(identified.takePublish().properties, { ...expected, subscriptionIdentifiers: [300] })
          assert.deepEqual(aliased.takePublish().properties, { ...expected, topicAlias: 1 })
          assert.equal(old.takePublish().payload, payload)
        }
      })
    }

    test(`are there after time in a queue and as retained, with the rest of the expiry, form ${number} [MQTT-3.3.2-6]`, () => {
      const world = new World()
      const away = world.client('away')
      away.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
      away.subscribe('t/#')
      away.drop()
      const publisher = world.client('p')
      publisher.connected()
      publisher.publish({ topic: 't/1', payload: 'first', qos: 1, retain: true, properties: sent })
      // Another chunk with other bytes.
      publisher.publish({ topic: 't/2', payload: 'second', qos: 1, properties: { contentType: 'other' } })
      world.advance(20_000)
      away.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
      const left = 'messageExpiryIntervalSeconds' in sent ? { messageExpiryIntervalSeconds: 40 } : {}
      assert.deepEqual(away.takePublish().properties, { ...OWN, ...left })
      assert.deepEqual(away.takePublish().properties, { contentType: 'other' })
      const late = world.client('late')
      late.connected()
      late.subscribe('t/1')
      const { payload, properties } = late.takePublish()
      assert.equal(payload, 'first')
      assert.deepEqual(properties, { ...OWN, ...left })
    })

    test(`are there after a crash, form ${number}`, () => {
      const first = new DiskWorld()
      first.durable('d', 't/#').drop()
      const publisher = first.client('p')
      publisher.connected()
      publisher.publish({ topic: 't/1', payload: 'x', qos: 1, retain: true, properties: sent })
      first.settle()
      const world = first.crash()
      const durable = world.client('d')
      world.connected(durable)
      const left = 'messageExpiryIntervalSeconds' in sent ? EXPIRY : {}
      assert.deepEqual(durable.takePublish().properties, { ...OWN, ...left })
      const late = world.client('late')
      late.connected()
      late.subscribe('t/1')
      assert.deepEqual(late.takePublish().properties, { ...OWN, ...left })
    })
  }

  test('are decoded for hooks and observers, also when the decision comes later', () => {
    const seen: Properties[] = []
    let decide: (reasonCode: number) => void = () => {}
    const world = new World({
      authorizer: {
        publish: (_client, _topic, _qos, _retain, decided) => {
          decide = decided
          return PENDING
        },
        subscribe: () => ALLOW,
      },
      transformer: {
        transform: (_client, message: ApplicationMessage) => {
          const { correlationData, ...others } = message.properties
          seen.push({ ...others, correlationData: Uint8Array.from(correlationData!) })
          return null
        },
      },
    })
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    const publisher = world.client('p')
    publisher.connected()
    publisher.publish({ topic: 't', payload: 'x', properties: { ...OWN, ...EXPIRY } })
    world.together(() => decide(ALLOW))
    assert.deepEqual(seen, [OWN])
    const { payload, properties } = a.takePublish()
    assert.equal(payload, 'x')
    assert.deepEqual(properties, { ...OWN, ...EXPIRY })
  })

  test('do not fit into a small packet of the client: it is not sent [MQTT-3.1.2-24]', () => {
    const world = new World()
    const small = world.client('small')
    small.connected({ properties: { maximumPacketSize: 100 } })
    small.subscribe('t')
    const publisher = world.client('p')
    publisher.connected()
    publisher.publish({ topic: 't', properties: OWN })
    small.hasNothing()
    assert.equal(world.metric('dropped.packet-too-large'), 1)
  })

  test('count as bytes of the message in both forms alike, however long they are', () => {
    for (const length of [0, 1, 120, 127, 128, 200, 20_000]) {
      const properties: Properties = { contentType: 'x'.repeat(length), ...EXPIRY }
      const publish = Publish.of({ topic: 't', properties })
      const { storedPropertyField, storedPropertyBytes } = Message.fromPublish(publish, 't', null, 0)
      assert.equal(storedPropertyBytes, storedPropertyField.length)
      const world = new World()
      let bytes = 0
      const publisher = world.client('p')
      publisher.connected()
      publisher.publish({ topic: 't', payload: 'abc', retain: true, properties })
      bytes = world.core.retained.get('t')!.sizeBytes
      assert.equal(bytes, 1 + 3 + storedPropertyField.length - 1)
      assert.deepEqual(world.core.retained.get('t')!.storedPropertyField, storedPropertyField)
    }
  })
})
