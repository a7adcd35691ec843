/**
 * Data that unknown peers and clients make the broker hold, all together: packets that do not end, Wills, sessions,
 * acknowledgements of nothing.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, encode, Puback, Pubcomp, Publish, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { type TestClient, World, will } from '../../testing/mod.ts'
import { Unfinished } from './unfinished.ts'

const KiB = 1024
const MiB = 1024 * KiB

describe('packets that are not all here', () => {
  /** A client that has sent so much of a PUBLISH of 4 MiB. */
  function half(world: World, clientId: string, bytes: number): TestClient {
    const client = world.client(clientId)
    client.connected({ keepAliveSeconds: 0 })
    client.sendBytes(encode(Publish.of({ topic: 't', payload: new Uint8Array(4 * MiB) }), 5).subarray(0, bytes))
    return client
  }

  test('are bounded together: the one that is unfinished for longest goes, with 0x97', () => {
    const world = new World({ limits: { unfinishedBytesMax: 4 * MiB } })
    const clients = Array.from({ length: 12 }, (_, i) => half(world, `h${i}`, 400 * KiB))
    const closed = clients.map((client) => client.isClosed)
    assert.ok(closed.indexOf(false) > 0, 'the first have gone')
    assert.ok(
      closed.slice(closed.indexOf(false)).every((isClosed) => !isClosed),
      'and the last have not',
    )
    clients[0]!.isDisconnectedWith(ReasonCode.QuotaExceeded)
    assert.ok(world.metric('unfinishedBytes') <= 4 * MiB)
    assert.equal(world.metric('unfinishedGivenUp'), closed.filter((isClosed) => isClosed).length)
  })

  test('whoever ends his packet in time is not touched, and nothing is counted any more then', () => {
    const world = new World({ limits: { unfinishedBytesMax: 64 * KiB } })
    const a = world.client('a')
    a.connected()
    const bytes = encode(Publish.of({ topic: 't', payload: new Uint8Array(30 * KiB), qos: 1, packetId: 1 }), 5)
    for (let at = 0; at < bytes.length; at += 1_000) a.sendBytes(bytes.subarray(at, at + 1_000))
    a.take(Puback)
    assert.equal(world.metric('unfinishedBytes'), 0)
    half(world, 'b', 20 * KiB).drop()
    assert.equal(world.metric('unfinishedBytes'), 0)
  })

  test('of those who have not logged in count as well', () => {
    const world = new World({ limits: { unfinishedBytesMax: MiB } })
    const clients = Array.from({ length: 40 }, (_, i) => {
      const client = world.client(`h${i}`).open()
      client.sendBytes(Uint8Array.of(0x10, 0xf0, 0xff, 0x03))
      client.sendBytes(new Uint8Array(60_000))
      return client
    })
    assert.ok(clients.filter((client) => client.isClosed).length >= 20)
    assert.ok(world.metric('unfinishedBytes') <= MiB)
  })

  test('small ones are counted and stand in no line', () => {
    const unfinished = new Unfinished({ unfinishedBytesMax: 100 })
    const given: number[] = []
    const holder = (i: number): { unfinishedBytes: number; giveUpUnfinished(): void } => ({
      unfinishedBytes: 0,
      giveUpUnfinished() {
        given.push(i)
        unfinished.note(this, 0)
      },
    })
    const [a, b] = [holder(1), holder(2)]
    unfinished.note(a, 60)
    unfinished.note(b, 60)
    assert.deepEqual([unfinished.bytes, given], [120, []])
    unfinished.note(b, 20_000)
    assert.deepEqual([unfinished.bytes, given], [60, [2]])
  })
})

describe('slow readers', () => {
  test('those who come to it one after the other share it too: each may have what is free, not what there would be for each', () => {
    const world = new World({ limits: { outputTotalBytesMax: 1_024 * KiB, outputBytesMax: 256 * KiB } })
    const readers = Array.from({ length: 60 }, (_, i) => world.client(`slow-${i}`))
    const payload = 'x'.repeat(7 * KiB)
    for (const [i, reader] of readers.entries()) {
      reader.connected({ keepAliveSeconds: 0 })
      reader.subscribe(`own/${i}`, { qos: 1 })
      reader.transport.block()
      for (let k = 0; k < 40; k++) reader.publish({ topic: `own/${i}`, payload, qos: 1 })
    }
    const waiting = readers.reduce((sum, { transport }) => sum + transport.bufferedBytes, 0)
    // What is free, and for each reader what always has room and one message.
    assert.ok(waiting <= (1_024 + 60 * 24) * KiB, `${waiting} bytes`)
    assert.ok(readers[0]!.transport.bufferedBytes > 0)
    assert.ok(world.metric('outputBytes') >= waiting, `${world.metric('outputBytes')} counted`)
    for (const reader of readers) reader.transport.drain()
    assert.equal(world.metric('outputBytes'), 0)
    for (const reader of readers) reader.drop()
    assert.equal(world.metric('outputBytes'), 0)
  })

  test('share what may wait for all of them', () => {
    const world = new World({ limits: { outputTotalBytesMax: 256 * KiB } })
    const readers = Array.from({ length: 8 }, (_, i) => {
      const reader = world.client(`r${i}`)
      reader.connected({ keepAliveSeconds: 0 })
      reader.subscribe('flood', { qos: 0 })
      reader.block()
      return reader
    })
    for (let i = 0; i < 1_000; i++) world.publish({ topic: 'flood', payload: new Uint8Array(1_000) })
    const waiting = readers.map(({ transport }) => transport.bufferedBytes)
    const sum = waiting.reduce((a, b) => a + b, 0)
    assert.ok(sum < 600 * KiB, `${sum}`)
    assert.equal(world.metric('slowReaders'), 8)
    for (const reader of readers) reader.drop()
    assert.equal(world.metric('slowReaders'), 0)
  })
})

describe('acknowledgements of what was not sent', () => {
  const strays = (make: (id: number) => Uint8Array): Uint8Array =>
    Buffer.concat(Array.from({ length: 65_535 }, (_, i) => make(1 + (i % 65_535))))

  for (const [name, make] of [
    ['PUBREL', (id: number) => encode(new Pubrel(id), 5)],
    ['PUBACK', (id: number) => encode(new Puback(id), 5)],
    ['PUBREC', (id: number) => encode(new Pubrec(id), 5)],
    ['PUBCOMP', (id: number) => encode(new Pubcomp(id), 5)],
  ] as const) {
    test(`${name}: as many as there are identifiers are taken, one more is 0x96`, () => {
      const world = new World({ limits: { outputBytesMax: 64 * MiB, outputTotalBytesMax: 1024 * MiB } })
      const a = world.client('a')
      a.connected({ keepAliveSeconds: 0 })
      a.sendBytes(strays(make))
      world.run()
      assert.ok(!a.isClosed)
      a.takeAll()
      a.sendBytes(make(7))
      world.run()
      a.isDisconnectedWith(ReasonCode.MessageRateTooHigh)
      assert.equal(world.metric('rateDisconnects'), 1)
    })
  }

  test('count for the message rate from the thousandth on', () => {
    const world = new World({ limits: { messagesPerSecondMax: 100 } })
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 0 })
    a.sendBytes(strays((id) => encode(new Puback(id), 5)))
    assert.ok(world.metric('unknownPacketIds') < 2_000)
    assert.ok(world.metric('rateHolds') > 0)
  })

  test('one that is right makes up for one that was not', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ keepAliveSeconds: 0 })
    a.sendBytes(strays((id) => encode(new Puback(id), 5)))
    world.run()
    a.publish({ topic: 't', qos: 2, packetId: 9 })
    a.send(new Pubrel(9))
    a.takeAll()
    a.send(new Pubrel(10))
    a.take(Pubcomp)
    assert.ok(!a.isClosed)
  })
})

describe('what clients leave behind', () => {
  test('Wills are bounded together, and large ones leave room for small ones', () => {
    const world = new World({ limits: { willBytesMax: 2 * MiB } })
    const large = will({ topic: 'w', payload: 'x'.repeat(50_000) })
    const codes = Array.from({ length: 60 }, (_, i) => {
      const client = world.client(`w${i}`).connect({ will: large })
      return client.take(Connack).reasonCode
    })
    assert.ok(codes.includes(ReasonCode.QuotaExceeded))
    assert.equal(world.metric('refusedForWills'), codes.filter((code) => code !== 0).length)
    assert.ok(world.metric('willBytes') <= 2 * MiB)
    world.client('honest').connected({ will: will({ topic: 'st/x', payload: 'offline' }) })
  })

  test('User Properties of a Will count as what they take', () => {
    const world = new World({ limits: { willBytesMax: MiB } })
    const userProperties = Array.from({ length: 8_000 }, () => ['', ''] as [string, string])
    const codes = ['a', 'b', 'c'].map((clientId) =>
      world
        .client(clientId)
        .connect({ will: will({ topic: 'w', properties: { userProperties } }) })
        .take(Connack),
    )
    assert.deepEqual(
      codes.map(({ reasonCode }) => reasonCode),
      [0, ReasonCode.QuotaExceeded, ReasonCode.QuotaExceeded],
    )
  })

  test('a Will that has gone makes room for another', () => {
    const world = new World({ limits: { willBytesMax: 60_000 } })
    for (let i = 0; i < 5; i++) {
      const client = world.client('a')
      client.connected({ will: will({ topic: 'w', payload: 'x'.repeat(40_000) }) })
      client.disconnect()
      world.advance(1_000)
    }
    assert.equal(world.metric('willBytes'), 0)
  })

  test('sessions are bounded together: at three quarters no more are kept, clients without a session still come', () => {
    const world = new World({ limits: { sessionBytesMax: MiB } })
    const kept = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } }
    let refused = 0
    for (let i = 0; i < 600; i++) {
      const client = world.client(`s${i}`).connect(kept)
      if (client.take(Connack).reasonCode === ReasonCode.QuotaExceeded) refused++
      client.drop()
    }
    assert.ok(refused > 200 && refused < 300, `${refused}`)
    assert.equal(world.metric('refusedForSessions'), refused)
    world.client('passing').connected()
    world.client('s0').connected(kept)
  })

  test('Topic Filters count: one client that hoards them leaves room for others', () => {
    const world = new World({ limits: { sessionBytesMax: 2 * MiB, subscriptionsMax: 100_000 } })
    const hoarder = world.client('hoarder')
    hoarder.connected({ keepAliveSeconds: 0 })
    let granted = 0
    for (let i = 0; i < 2_000; i++) if (hoarder.subscribe(`${i}/${'x'.repeat(1_000)}`) < 0x80) granted++
    assert.ok(granted > 500 && granted < 1_000, `${granted}`)
    const honest = world.client('honest')
    honest.connected()
    for (let i = 0; i < 100; i++) assert.equal(honest.subscribe(`honest/${i}`), 2)
    hoarder.drop()
    honest.drop()
    assert.equal(world.metric('sessionBytes'), 0)
  })
})
