/**
 * Attacks by clients that may log in, each beside two honest ones that notice nothing: every message of theirs arrives once, in
 * order, in the turn in which it was sent. Rates, memory, silent connections and retained messages have files of their own.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Connect,
  encode,
  type Packet,
  Pingreq,
  Puback,
  Publish,
  Pubrec,
  ReasonCode,
  Subscribe,
} from '@recado/protocol'
import { SimStore, subscriptionTo, type TestClient, World, type WorldOptions, will } from '../testing/mod.ts'

/** A publisher and a subscriber; `serve` sends a few messages and must see them at once. */
class Honest {
  readonly #publisher: TestClient
  readonly #subscriber: TestClient
  #sent = 0

  constructor(world: World) {
    this.#publisher = world.client('honest-publisher')
    this.#subscriber = world.client('honest-subscriber')
    this.#publisher.connected({ keepAliveSeconds: 0 })
    this.#subscriber.connected({ keepAliveSeconds: 0 })
    this.#subscriber.subscribe('honest/#', { qos: 2 })
    this.#subscriber.acknowledges = true
    this.#publisher.acknowledges = true
  }

  serve(): void {
    const expected: string[] = []
    for (const qos of [0, 1, 2] as const) {
      const payload = `${this.#sent++}`
      this.#publisher.publish({ topic: `honest/${qos}`, payload, qos })
      expected.push(payload)
    }
    this.#publisher.send(new Pingreq())
    assert.deepEqual(this.#subscriber.takePayloads(), expected)
    this.#subscriber.hasNothing()
    const answers = this.#publisher.takeAll().map((packet) => packet.constructor.name)
    assert.deepEqual(answers, ['Puback', 'Pubrec', 'Pingresp'])
    assert.ok(!this.#publisher.isClosed && !this.#subscriber.isClosed)
  }
}

function scene(options: WorldOptions = {}): { world: World; honest: Honest } {
  const world = new World(options)
  const honest = new Honest(world)
  honest.serve()
  return { world, honest }
}

describe('connections', () => {
  test('CONNECT and DISCONNECT a thousand times leaves nothing', () => {
    const { world, honest } = scene()
    for (let i = 0; i < 1_000; i++) {
      const client = world.client(`churn${i}`)
      client.connected()
      client.disconnect()
      if (i % 100 === 0) honest.serve()
    }
    honest.serve()
    for (const gauge of ['connections', 'clients', 'sessions']) assert.equal(world.metric(gauge), 2, gauge)
  })

  test('a hundred that fight for one Client Identifier: one is left, each other is told 0x8E', () => {
    const { world, honest } = scene()
    const fighters = Array.from({ length: 100 }, () => world.client('the-same'))
    for (const fighter of fighters) {
      fighter.connected()
      honest.serve()
    }
    for (const fighter of fighters.slice(0, -1)) fighter.isDisconnectedWith(ReasonCode.SessionTakenOver)
    assert.ok(!fighters.at(-1)!.isClosed)
    assert.equal(world.metric('sessionsTakenOver'), 99)
    assert.equal(world.metric('sessions'), 3)
  })

  test('a storm of Wills: each is published once, and nobody has to wait for them', () => {
    const { world, honest } = scene()
    const reader = world.client('reader')
    reader.connected({ keepAliveSeconds: 0 })
    reader.subscribe('will/#')
    const clients = Array.from({ length: 500 }, (_, i) => world.client(`w${i}`))
    for (const [i, client] of clients.entries())
      client.connected({ will: will({ topic: `will/${i}`, payload: `${i}` }) })
    world.together(() => {
      for (const client of clients) client.transport.drop()
    })
    honest.serve()
    assert.equal(reader.takePayloads().length, 500)
    assert.equal(world.metric('willsPublished'), 500)
    assert.equal(world.metric('sessions'), 3)
  })

  test('Wills with a delay of years are bounded by their sessions, and go with them', () => {
    const { world, honest } = scene({ limits: { sessionExpirySecondsMax: 60 } })
    for (let i = 0; i < 100; i++) {
      const client = world.client(`w${i}`)
      const delayed = will({ topic: 'will/x', properties: { willDelayIntervalSeconds: 0xffff_ffff } })
      client.connected({ will: delayed, properties: { sessionExpiryIntervalSeconds: 0xffff_ffff } })
      client.drop()
    }
    assert.equal(world.metric('sessions'), 102)
    world.advance(61_000)
    honest.serve()
    assert.equal(world.metric('sessions'), 2)
    assert.equal(world.metric('willsPublished'), 100)
  })
})

describe('packet ids and aliases', () => {
  test('QoS 2 without PUBREL: 5.0 is stopped by Receive Maximum, before 5.0 by its 65,535 identifiers', () => {
    const { world, honest } = scene({ limits: { receiveMaximum: 100 } })
    const v5 = world.client('v5')
    v5.connected()
    for (let id = 1; id <= 101; id++) v5.publish({ topic: 'x', qos: 2, packetId: id })
    assert.equal(v5.takeAll().filter((packet) => packet instanceof Pubrec).length, 100)
    assert.ok(v5.isClosed)
    const v4 = world.client('v4', { version: 4 })
    v4.connected({ keepAliveSeconds: 0 })
    const bytes = Buffer.concat(
      Array.from({ length: 65_535 }, (_, i) =>
        encode(Publish.of({ topic: 'x', qos: 2, packetId: i + 1, payload: new Uint8Array(1) }), 4),
      ),
    )
    v4.sendBytes(bytes)
    v4.sendBytes(bytes)
    honest.serve()
    assert.ok(!v4.isClosed)
    assert.equal(world.metric('duplicatesReceived'), 65_535)
    v4.drop()
    assert.equal(world.metric('sessions'), 2)
  })

  test('an alias that was not granted: 0x94, and only its sender goes', () => {
    const { world, honest } = scene({ limits: { topicAliasMaximum: 3 } })
    for (const topicAlias of [4, 65_535]) {
      const client = world.client('a')
      client.connected()
      client.publish({ topic: 't', properties: { topicAlias } })
      client.isDisconnectedWith(ReasonCode.TopicAliasInvalid)
      honest.serve()
    }
  })

  test('acknowledgements of nothing and for what waits for another one change nothing for others', () => {
    const { world, honest } = scene()
    const client = world.client('a')
    client.connected()
    client.subscribe('x', { qos: 2 })
    for (let id = 1; id < 1_000; id++) client.send(new Puback(id), new Pubrec(id))
    honest.serve()
    assert.ok(world.metric('unknownPacketIds') > 1_000)
    world.publish({ topic: 'x', qos: 2 })
    const { packetId } = client.takeAll().find((packet): packet is Publish => packet instanceof Publish)!
    client.send(new Puback(packetId))
    assert.ok(client.isClosed)
    honest.serve()
  })
})

describe('subscriptions', () => {
  test('filters without end: 0x97 from the limit on, which is the session’s alone', () => {
    const { world, honest } = scene({ limits: { subscriptionsMax: 100 } })
    const bomber = world.client('bomber')
    bomber.connected()
    for (let i = 0; i < 50; i++) {
      const filters = Array.from({ length: 100 }, (_, k) => subscriptionTo(`${i}/${k}/+/#`))
      bomber.send(new Subscribe(1 + i, filters))
    }
    honest.serve()
    assert.equal(world.metric('subscriptionsRefused'), 4_900)
    bomber.drop()
    assert.equal(world.metric('subscriptions'), 1)
    assert.equal(world.core.router.filterCount, 1)
  })

  test('a wildcard that comes and goes, while every message is matched by thousands of filters', () => {
    const { world, honest } = scene()
    const bomber = world.client('bomber')
    bomber.connected()
    const filters = Array.from({ length: 2_048 }, (_, m) =>
      Array.from({ length: 11 }, (_each, level) => ((m >> level) & 1 ? '+' : 'honest')).join('/'),
    )
    bomber.send(
      new Subscribe(
        1,
        filters.map((filter) => subscriptionTo(filter)),
      ),
    )
    bomber.takeAll()
    for (let i = 0; i < 50; i++) {
      bomber.subscribe('x/+')
      bomber.unsubscribe('x/+')
      bomber.takeAll()
      honest.serve()
    }
  })

  test('messages that thousands of filters match end the turn of their publisher: others are served between two of them', () => {
    const { world, honest } = scene()
    const bomber = world.client('bomber')
    bomber.connected()
    const filters = Array.from({ length: 2_048 }, (_, m) =>
      Array.from({ length: 11 }, (_each, level) => ((m >> level) & 1 ? '+' : 'x')).join('/'),
    )
    bomber.send(
      new Subscribe(
        1,
        filters.map((filter) => subscriptionTo(filter, { qos: 0 })),
        { subscriptionIdentifiers: [7] },
      ),
    )
    bomber.takeAll()
    const publisher = world.client('publisher')
    publisher.connected()
    let perTurn = 0
    let most = 0
    const watch = (): void => {
      const count = bomber.takeAll().length
      perTurn += count
      most = Math.max(most, count)
      if (perTurn < 50) world.clock.defer(watch)
    }
    const publish = publisher.makePublish({ topic: Array.from({ length: 11 }, () => 'x').join('/') })
    world.together(() => {
      world.clock.defer(watch)
      publisher.transport.receive(Buffer.concat(Array.from({ length: 50 }, () => encode(publish, 5))))
    })
    assert.equal(perTurn, 50)
    assert.ok(most <= 8, `${most} in a turn`)
    honest.serve()
  })

  test('a filter of 65,535 levels is refused with 0x8F, one of as many as are allowed is matched', () => {
    const { world, honest } = scene()
    const bomber = world.client('bomber')
    bomber.connected()
    assert.equal(bomber.subscribe(`${'+/'.repeat(32_000)}#`), ReasonCode.TopicFilterInvalid)
    assert.equal(bomber.subscribe('+/'.repeat(199)), 2)
    world.publish({ topic: '/'.repeat(199) })
    assert.equal(bomber.takePayloads().length, 1)
    honest.serve()
  })
})

describe('readers and queues', () => {
  test('one that floods a reader that does not read fills that one’s buffer to its limit and no further', () => {
    const { world, honest } = scene({ limits: { outputBytesMax: 100_000, queueBytesMax: 200_000 } })
    const reader = world.client('reader')
    reader.connected()
    reader.subscribe('flood', { qos: 1 })
    reader.block()
    const flood = world.client('flood')
    flood.connected()
    for (let i = 0; i < 2_000; i++)
      flood.publish({ topic: 'flood', payload: new Uint8Array(1_000), qos: (i % 2) as 0 | 1 })
    honest.serve()
    assert.ok(reader.transport.bufferedBytes < 300_000, `${reader.transport.bufferedBytes}`)
    assert.ok(world.metric('dropped.slow-reader') > 500)
    assert.ok(world.metric('dropped.queue-full') > 500)
  })

  test('PINGREQ without end by one that does not read: it is not read either', () => {
    const { world, honest } = scene({ limits: { outputBytesMax: 10_000 } })
    const client = world.client('a')
    client.connected()
    client.block()
    const pings = Uint8Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 0xc0 : 0))
    for (let i = 0; i < 20; i++) client.sendBytes(pings)
    honest.serve()
    assert.ok(client.transport.isPaused)
    assert.ok(client.transport.bufferedBytes < 50_000)
  })
})

describe('what ends up in logs', () => {
  test('control characters in a Client Identifier or User Name are refused before anybody sees them', () => {
    const { world, honest } = scene()
    for (const fields of [
      { clientId: 'a\nb' },
      { clientId: '\u001b[2J' },
      { username: 'x\r\n2026 admin logged in' },
    ] as Partial<Connect>[]) {
      const client = world.client('a').connect(fields as Partial<Connect>)
      const { reasonCode } = client.takeAll()[0] as Packet & { reasonCode: number }
      const { ClientIdentifierNotValid, BadUserNameOrPassword } = ReasonCode
      assert.equal(reasonCode, fields.username === undefined ? ClientIdentifierNotValid : BadUserNameOrPassword)
      assert.ok(client.isClosed)
    }
    honest.serve()
    assert.equal(world.eventsOf('client.connected').length, 2)
  })
})

describe('the disk', () => {
  test('one that retains at QoS 0 faster than the disk writes is not read meanwhile; others are not held back for it', () => {
    const store = new SimStore()
    const { world, honest } = scene({ store })
    const flood = world.client('flood')
    flood.connected()
    const payload = new Uint8Array(1_000_000)
    for (let i = 0; i < 100 && !flood.transport.isPaused; i++)
      flood.transport.receive(encode(Publish.of({ topic: `r/${i}`, payload, retain: true }), 5))
    assert.ok(flood.transport.isPaused, 'the disk writes nothing, and there is no end')
    honest.serve()
    do world.advance(100)
    while (store.flush() > 0)
    assert.ok(!flood.transport.isPaused)
  })
})
