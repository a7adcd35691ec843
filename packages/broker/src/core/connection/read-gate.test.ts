import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  Connack,
  encode,
  Pingreq,
  Pingresp,
  ReasonCode,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { decideLater, subscriptionTo, type TestClient, World } from '../../testing/mod.ts'
import { NEWCOMERS_MAX, TURN_WORK } from '../base/turn.ts'

describe('its share of a turn', () => {
  test('a connection that has sent a great many packets goes on in the next turn, others come first', () => {
    const world = new World()
    const [flood, a] = ['flood', 'a'].map((name) => world.client(name)) as [TestClient, TestClient]
    flood.connected()
    a.connected()
    a.subscribe('t')
    let pings = 0
    let pingsBefore = -1
    const watch = (): void => {
      pings += flood.takeAll().length
      if (pingsBefore < 0 && a.received.length > 0) pingsBefore = pings
      if (pings < 30_000) world.clock.defer(watch)
    }
    world.together(() => {
      world.clock.defer(watch)
      flood.transport.receive(Uint8Array.from({ length: 60_000 }, (_, i) => (i % 2 === 0 ? 0xc0 : 0)))
      a.transport.receive(encode(a.makePublish({ topic: 't', payload: '1' }), 5))
    })
    assert.deepEqual(a.takePayloads(), ['1'])
    assert.equal(pings, 30_000)
    assert.ok(pingsBefore <= 4_000, `${pingsBefore} before`)
  })

  test('what follows a great many packets keeps its order, also in pieces', () => {
    const world = new World()
    const [flood, a] = ['flood', 'a'].map((name) => world.client(name)) as [TestClient, TestClient]
    flood.connected()
    a.connected()
    a.subscribe('t')
    flood.chunkSizes = [7_001, 13, 50_000]
    flood.send(...Array.from({ length: 9_000 }, (_, i) => flood.makePublish({ topic: 't', payload: `${i}` })))
    assert.deepEqual(
      a.takePayloads(),
      Array.from({ length: 9_000 }, (_, i) => `${i}`),
    )
  })
})

describe('a great many new connections at once', () => {
  /** Opens so many connections that send CONNECT in one iteration; returns the numbers that were let in, by iteration. */
  function storm(world: World, count: number, meanwhile: (iteration: number) => void): number[] {
    const comers = Array.from({ length: count }, (_, i) => world.client(`c${i}`).open())
    const perIteration: number[] = []
    let before = world.metric('clients')
    const target = before + count
    const watch = (): void => {
      const now = world.metric('clients')
      perIteration.push(now - before)
      before = now
      meanwhile(perIteration.length)
      if (now < target && perIteration.length < 10 * count) world.clock.defer(watch)
    }
    world.together(() => {
      world.clock.defer(watch)
      for (const comer of comers) comer.connect()
    })
    for (const comer of comers) assert.equal(comer.take(Connack).reasonCode, 0)
    return perIteration
  }

  test('are let in a few in an iteration, all of them, and what others publish goes between', () => {
    const world = new World()
    const [a, b] = ['a', 'b'].map((name) => world.client(name)) as [TestClient, TestClient]
    a.connected()
    b.connected()
    a.subscribe('t')
    const delivered: number[] = []
    const perIteration = storm(world, 200, (iteration) => {
      b.transport.receive(encode(b.makePublish({ topic: 't', payload: `${iteration}` }), 5))
      delivered.push(a.received.length)
    })
    assert.ok(Math.max(...perIteration) <= 2 * NEWCOMERS_MAX, `${Math.max(...perIteration)} in an iteration`)
    assert.ok(perIteration.length >= 200 / (2 * NEWCOMERS_MAX))
    assert.ok(delivered.at(-1)! >= perIteration.length - 3, `${delivered.at(-1)} in ${perIteration.length} iterations`)
  })

  test('one that goes away while it waits takes no place', () => {
    const world = new World()
    world.together(() => {
      const comers = Array.from({ length: 60 }, (_, i) => world.client(`c${i}`).open())
      for (const comer of comers) comer.connect()
      for (const comer of comers.slice(20, 50)) comer.drop()
    })
    world.run()
    assert.equal(world.metric('clients'), 30)
    assert.equal(world.metric('coreFaults'), 0)
  })
})

describe('a decision that takes time', () => {
  test('nothing more is read until it is there; what has come meanwhile follows in its order', () => {
    const { authorizer, decisions } = decideLater()
    const world = new World({ authorizer })
    const [slow, a] = ['slow', 'a'].map((name) => world.client(name)) as [TestClient, TestClient]
    slow.connected()
    a.connected()
    a.subscribe('t')
    for (const payload of ['1', '2']) slow.publish({ topic: 't', payload })
    slow.send(new Pingreq())
    assert.ok(slow.transport.isPaused)
    assert.equal(decisions.length, 1)
    world.together(() => decisions[0]!(0))
    // The next one waits for its own.
    assert.ok(slow.transport.isPaused)
    assert.deepEqual(a.takePayloads(), ['1'])
    assert.deepEqual(slow.takeAll(), [])
    world.together(() => decisions[1]!(0))
    assert.equal(slow.transport.isPaused, false)
    assert.deepEqual(a.takePayloads(), ['2'])
    slow.take(Pingresp)
  })
})
describe('the work of a turn', () => {
  /** Iterations of the event loop until it is so. */
  function iterationsUntil(world: World, isSo: () => boolean, start: () => void): number {
    let count = 0
    const watch = (): void => {
      if (isSo()) return
      count++
      world.clock.defer(watch)
    }
    world.together(() => {
      start()
      world.clock.defer(watch)
    })
    return count
  }

  /** Connected, each in a different turn. */
  function clients(world: World, count: number): TestClient[] {
    return Array.from({ length: count }, (_, i) => {
      const client = world.client(`many-${i}`)
      client.connected({ keepAliveSeconds: 0 })
      return client
    })
  }

  test('is shared by all connections: what a hundred have sent at once is done in many turns', () => {
    const world = new World()
    const many = clients(world, 100)
    const pings = Uint8Array.from({ length: 4_000 }, (_, i) => (i % 2 === 0 ? 0xc0 : 0))
    const before = world.metric('packetsReceived')
    let most = 0
    let last = before
    const watch = (): void => {
      const now = world.metric('packetsReceived')
      most = Math.max(most, now - last)
      last = now
      if (now - before < 200_000) world.clock.defer(watch)
    }
    world.together(() => {
      world.clock.defer(watch)
      for (const client of many) client.transport.receive(pings)
    })
    assert.equal(world.metric('packetsReceived') - before, 200_000)
    assert.ok(most <= 2.5 * TURN_WORK, `${most} packets in an iteration`)
    for (const client of many) assert.equal(client.takeAll().length, 2_000)
  })

  test('whoever has little to say is served in its own turn, however many have much', () => {
    const world = new World()
    const many = clients(world, 300)
    const [a, b] = ['a', 'b'].map((name) => world.client(name)) as [TestClient, TestClient]
    a.connected()
    b.connected()
    a.subscribe('t')
    const pings = Uint8Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 0xc0 : 0))
    const iterations = iterationsUntil(
      world,
      () => a.received.length > 0,
      () => {
        for (const client of many) client.transport.receive(pings)
        b.transport.receive(encode(b.makePublish({ topic: 't', payload: '1' }), 5))
      },
    )
    assert.deepEqual(a.takePayloads(), ['1'])
    assert.ok(iterations <= 1, `${iterations} iterations`)
  })

  test('a long line is served in small shares, so that nobody in it waits for long', () => {
    const world = new World()
    const many = clients(world, 400)
    const pings = Uint8Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 0xc0 : 0))
    const iterations = iterationsUntil(
      world,
      () => many.every((client) => client.received.length > 0),
      () => {
        for (const client of many) client.transport.receive(pings)
      },
    )
    assert.ok(iterations <= 10, `${iterations} iterations`)
    for (const client of many) assert.equal(client.takeAll().length, 10_000)
  })

  for (const isSubscribe of [true, false])
    test(`a ${isSubscribe ? 'SUBSCRIBE' : 'UNSUBSCRIBE'} of many Topic Filters is worked off in pieces, and answered once, in its order`, () => {
      const world = new World()
      const many = clients(world, 20)
      const filters = Array.from({ length: 9_000 }, (_, i) => `a/${i}`)
      const bytes = Buffer.concat([
        encode(
          isSubscribe
            ? new Subscribe(
                7,
                filters.map((filter) => subscriptionTo(filter)),
              )
            : new Unsubscribe(7, filters),
          5,
        ),
        encode(new Pingreq(), 5),
      ])
      let most = 0
      let last = 0
      if (!isSubscribe)
        for (const client of many)
          client.send(
            new Subscribe(
              1,
              filters.map((filter) => subscriptionTo(filter)),
            ),
          )
      for (const client of many) client.takeAll()
      const start = world.metric('subscriptions')
      const done = (): number => Math.abs(world.metric('subscriptions') - start)
      const iterations = iterationsUntil(
        world,
        () => {
          most = Math.max(most, done() - last)
          last = done()
          return last === 180_000
        },
        () => {
          for (const client of many) client.transport.receive(bytes)
        },
      )
      assert.ok(iterations > 10, `${iterations} iterations`)
      assert.ok(most <= 2.5 * TURN_WORK, `${most} Topic Filters in an iteration`)
      for (const client of many) {
        const [answer, pong, ...more] = client.takeAll()
        assert.ok(answer instanceof Suback || answer instanceof Unsuback)
        assert.equal(answer.packetId, 7)
        assert.deepEqual(
          [answer.reasonCodes.length, new Set(answer.reasonCodes)],
          [9_000, new Set([isSubscribe ? 2 : 0])],
        )
        assert.ok(pong instanceof Pingresp)
        assert.deepEqual(more, [])
      }
    })

  test('a client that goes in the middle of its SUBSCRIBE leaves nothing, and others go on', () => {
    const world = new World()
    const [gone, stays] = clients(world, 2) as [TestClient, TestClient]
    const bytes = encode(
      new Subscribe(
        7,
        Array.from({ length: 9_000 }, (_, i) => subscriptionTo(`a/${i}`)),
      ),
      5,
    )
    world.together(() => {
      gone.transport.receive(bytes)
      stays.transport.receive(bytes)
      world.clock.defer(() => gone.transport.drop())
    })
    assert.equal(stays.take(Suback).reasonCodes.length, 9_000)
    assert.equal(world.metric('subscriptions'), 9_000)
    assert.equal(world.metric('sessions'), 1)
  })

  test('large packets that are refused are work as well: those of a hundred clients end in several turns', () => {
    const world = new World({ limits: { packetFiltersMax: 3_000 } })
    const many = clients(world, 100)
    const bytes = encode(
      new Subscribe(
        7,
        Array.from({ length: 20_000 }, () => subscriptionTo('a/b')),
      ),
      5,
    )
    const iterations = iterationsUntil(
      world,
      () => many.every((client) => client.isClosed),
      () => {
        for (const client of many) client.transport.receive(bytes)
      },
    )
    assert.ok(iterations > 3, `${iterations} iterations`)
    for (const client of many) client.isDisconnectedWith(ReasonCode.QuotaExceeded)
  })

  test('more Topic Filters in a packet than packetFiltersMax: 0x97, and nothing is done of it', () => {
    for (const make of [
      (filters: string[]) =>
        new Subscribe(
          7,
          filters.map((filter) => subscriptionTo(filter)),
        ),
      (filters: string[]) => new Unsubscribe(7, filters),
    ]) {
      const world = new World({ limits: { packetFiltersMax: 3 } })
      const client = world.client('c')
      client.connected()
      client.send(make(['a', 'b', 'c']))
      assert.equal(client.takeAll().length, 1)
      client.send(make(['e', 'f', 'g', 'h']))
      client.isDisconnectedWith(ReasonCode.QuotaExceeded)
      assert.equal(world.metric('subscriptions'), 0)
    }
  })
})
