import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Connack, Connect, Disconnect, encode, Puback, Publish, ReasonCode, Suback, Subscribe } from '@recado/protocol'
import { type Broker, createBroker } from './broker.ts'
import type { BrokerOptions } from './broker-options.ts'
import type { BrokerEvents, ApplicationMessage as Message } from './ports.ts'
import { SimClock, SimTransport, SocketClient, subscriptionTo, will } from './testing/mod.ts'

/** Runs `use` with a broker that listens on a free port, and closes it whatever happens. */
async function withBroker(
  options: BrokerOptions,
  use: (broker: Broker, address: { port: number }) => Promise<void>,
): Promise<void> {
  const broker = createBroker(options)
  try {
    await use(broker, await broker.listen({ port: 0 }))
  } finally {
    await broker.close({ timeoutMs: 1_000 })
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const publishOf = (topic: string, payload: string, qos: 0 | 1 | 2 = 0): Publish =>
  Publish.of({ topic, payload: new TextEncoder().encode(payload), qos, packetId: qos === 0 ? 0 : 1 })

describe('clients on sockets', () => {
  for (const protocolVersion of [3, 4, 5] as const) {
    test(`version ${protocolVersion}: connect, subscribe, publish, receive, disconnect`, async () => {
      await withBroker({}, async (_broker, address) => {
        const a = await SocketClient.connect(address, { clientId: 'a', protocolVersion })
        assert.equal(a.connack.reasonCode, 0)
        a.send(new Subscribe(1, [subscriptionTo('t')]))
        await a.next(Suback)
        const b = await SocketClient.connect(address, { clientId: 'b', protocolVersion })
        b.send(publishOf('t', 'hello', 1))
        assert.equal((await b.next(Puback)).packetId, 1)
        assert.equal(text((await a.next(Publish)).payload), 'hello')
        a.send(new Disconnect())
        b.send(new Disconnect())
        await a.closed()
        await b.closed()
      })
    })
  }

  test('a payload of 10 MiB arrives whole at a reader that pauses', async () => {
    await withBroker({}, async (_broker, address) => {
      const a = await SocketClient.connect(address, { clientId: 'a' })
      a.send(new Subscribe(1, [subscriptionTo('t')]))
      await a.next(Suback)
      a.socket.pause()
      const b = await SocketClient.connect(address, { clientId: 'b' })
      const payload = new Uint8Array(10 * 1024 * 1024)
      for (let i = 0; i < payload.length; i++) payload[i] = (i * 31) & 0xff
      b.send(Publish.of({ topic: 't', payload, qos: 1, packetId: 1 }))
      await b.next(Puback)
      a.socket.resume()
      assert.deepEqual(Buffer.compare((await a.next(Publish)).payload, payload), 0)
      a.destroy()
      b.destroy()
    })
  })

  test('a reader that stops loses QoS 0 only, gets QoS 1 in order when it reads again, and delays nobody', async () => {
    await withBroker({ limits: { outputBytesMax: 65_536 } }, async (broker, address) => {
      const slow = await SocketClient.connect(address, { clientId: 'slow' })
      const fast = await SocketClient.connect(address, { clientId: 'fast' })
      for (const client of [slow, fast]) {
        client.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 1 })]))
        await client.next(Suback)
      }
      slow.socket.pause()
      const payload = 'x'.repeat(60_000)
      const count = 200
      for (let i = 0; i < count; i++) {
        broker.publish({ topic: 't/0', payload })
        broker.publish({ topic: 't/1', payload: `${i} ${payload}`, qos: 1 })
        for (let qos = 0; qos < 2; qos++) {
          const message = await fast.next(Publish)
          if (message.qos === 1) fast.send(new Puback(message.packetId))
        }
      }
      assert.ok(broker.metrics()['dropped.slow-reader']! > 0)
      assert.equal(broker.metrics()['dropped.queue-full'], 0)
      slow.socket.resume()
      for (let expected = 0; expected < count; ) {
        const message = await slow.next(Publish)
        if (message.qos === 0) continue
        slow.send(new Puback(message.packetId))
        assert.equal(Number.parseInt(text(message.payload.subarray(0, 10)), 10), expected++)
      }
      slow.destroy()
      fast.destroy()
    })
  })
})

describe('hooks', () => {
  test('asynchronous ones pause that client only', async () => {
    let letIn: (value: boolean) => void = () => {}
    await withBroker(
      {
        authenticate: ({ clientId }) =>
          clientId === 'slow'
            ? new Promise<boolean>((resolve) => {
                letIn = resolve
              })
            : true,
        authorize: { publish: async (_client, topic) => topic !== 'no', subscribe: () => true },
      },
      async (_broker, address) => {
        const slow = await SocketClient.open(address)
        slow.send(new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'slow' }))
        const fast = await SocketClient.connect(address, { clientId: 'fast' })
        fast.send(new Subscribe(1, [subscriptionTo('#')]))
        await fast.next(Suback)
        fast.send(publishOf('no', 'x', 1), publishOf('yes', 'y', 1))
        assert.equal((await fast.next(Puback)).reasonCode, ReasonCode.NotAuthorized)
        assert.equal((await fast.next(Publish)).topic, 'yes')
        letIn(true)
        assert.equal((await slow.next(Connack)).reasonCode, 0)
        slow.destroy()
        fast.destroy()
      },
    )
  })

  test('one that throws refuses, is reported, and the broker goes on', async () => {
    const failed: string[] = []
    let isBroken = true
    await withBroker(
      {
        authenticate: () => {
          if (isBroken) throw new Error('database is away')
          return true
        },
        observer: {
          'hook.failed': ({ hook }) => {
            failed.push(hook)
          },
        },
      },
      async (_broker, address) => {
        const refused = await SocketClient.connect(address, { clientId: 'a' })
        assert.equal(refused.connack.reasonCode, ReasonCode.UnspecifiedError)
        await refused.closed()
        isBroken = false
        const a = await SocketClient.connect(address, { clientId: 'a' })
        assert.equal(a.connack.reasonCode, 0)
        assert.deepEqual(failed, ['authenticate'])
        a.destroy()
      },
    )
  })

  test('an observer that throws does no harm', async () => {
    const failed: string[] = []
    await withBroker(
      {
        observer: {
          'client.connected': () => {
            throw new Error('log is full')
          },
          'hook.failed': ({ hook }) => {
            failed.push(hook)
          },
        },
      },
      async (_broker, address) => {
        const a = await SocketClient.connect(address, { clientId: 'a' })
        assert.equal(a.connack.reasonCode, 0)
        assert.deepEqual(failed, ['observer client.connected'])
        a.destroy()
      },
    )
  })
})

describe('hooks that answer a promise where none is awaited', () => {
  const rejects = (): never => Promise.reject(new Error('mine')) as never
  /** Thenable of another library, without `catch`. */
  const thenable = (): never =>
    ({
      // biome-ignore lint/suspicious/noThenProperty: that is what is tried
      then: (_done: unknown, failed?: (error: unknown) => void) => void failed?.(new Error('mine')),
    }) as never

  for (const [kind, answer] of [
    ['a rejected promise', rejects],
    ['a thenable', thenable],
  ] as const) {
    test(`${kind} of an observer, a subscription or the choice of disconnect is reported as hook.failed`, async () => {
      const failed: string[] = []
      const observer = { 'hook.failed': ({ hook }: { hook: string }) => void failed.push(hook) }
      await withBroker({ observer }, async (broker, address) => {
        broker.subscribe('t', answer)
        broker.observe({ 'message.published': answer, 'hook.failed': answer })
        const a = await SocketClient.connect(address, { clientId: 'a' })
        await broker.publish({ topic: 't' })
        await turn()
        assert.deepEqual(failed.splice(0).sort(), ['observer message.published', 'subscription to t'])
        assert.equal(broker.disconnect(answer), 0)
        await turn()
        assert.deepEqual([...new Set(failed)], ['disconnect'])
        a.destroy()
      })
    })

    test(`${kind} of a question about rights, of transform or of a login is reported, and refuses`, async () => {
      const failed = new Set<string>()
      await withBroker(
        {
          observer: { 'hook.failed': ({ hook }) => void failed.add(hook) },
          authenticate: { authenticate: () => true, isStillValid: answer },
          authorize: { publish: answer, mayReceive: answer, mayPublish: answer, mayUnsubscribe: answer },
        },
        async (broker, address) => {
          const a = await SocketClient.connect(address, { clientId: 'a' })
          a.send(new Subscribe(1, [subscriptionTo('t')]))
          await a.next(Suback)
          a.send(publishOf('t', 'x', 1))
          assert.equal((await a.next(Puback)).reasonCode, ReasonCode.ImplementationSpecificError)
          await broker.publish({ topic: 't', retain: true })
          broker.reconfigure({ authorize: null, transform: answer, authenticate: null })
          const b = await SocketClient.connect(address, { clientId: 'b' })
          b.send(publishOf('t', 'x', 1))
          assert.equal((await b.next(Puback)).reasonCode, ReasonCode.ImplementationSpecificError)
          await turn()
          for (const hook of ['authorize.publish', 'authorize.mayReceive', 'transform'])
            assert.ok(failed.has(hook), hook)
          broker.reconfigure({ authenticate: { authenticate: () => true, isStillValid: answer } })
          await b.closed()
          await turn()
          assert.ok(failed.has('authenticate.isStillValid'), [...failed].join())
          a.destroy()
        },
      )
    })
  }
})

describe('publish and subscribe in process', () => {
  test('publish reaches clients and subscriptions, and says whether anybody got it', async () => {
    await withBroker({}, async (broker, address) => {
      assert.deepEqual(await broker.publish({ topic: 't', payload: 'x' }), {
        reasonCode: ReasonCode.NoMatchingSubscribers,
      })
      const a = await SocketClient.connect(address, { clientId: 'a' })
      a.send(new Subscribe(1, [subscriptionTo('t')]))
      await a.next(Suback)
      const properties = { contentType: 'c', userProperties: [['k', 'v']] as [string, string][] }
      assert.deepEqual(await broker.publish({ topic: 't', payload: 'x', qos: 1, properties }), { reasonCode: 0 })
      const message = await a.next(Publish)
      assert.deepEqual({ ...message.properties }, properties)
      assert.equal(message.qos, 1)
      a.destroy()
    })
  })

  test('subscribe gets what clients and the program publish, and retained messages', async () => {
    await withBroker({}, async (broker, address) => {
      await broker.publish({ topic: 'a/1', payload: 'retained', retain: true })
      const got: string[] = []
      const subscription = broker.subscribe('a/+', (message) => {
        got.push(`${message.topic} ${text(message.payload)} ${message.qos} ${message.retain}`)
      })
      const a = await SocketClient.connect(address, { clientId: 'a' })
      a.send(publishOf('a/2', 'client', 1))
      await a.next(Puback)
      await broker.publish({ topic: 'a/3', payload: Uint8Array.of(104, 105), qos: 2 })
      await broker.publish({ topic: 'b', payload: 'not this' })
      subscription.unsubscribe()
      subscription.unsubscribe()
      await broker.publish({ topic: 'a/4', payload: 'nor this' })
      assert.deepEqual(got, ['a/1 retained 0 true', 'a/2 client 1 false', 'a/3 hi 2 false'])
      assert.equal(broker.metrics()['subscriptions'], 0)
      a.destroy()
    })
  })

  test('options: retained messages not, own messages not; a Shared Subscription takes turns', async () => {
    const broker = createBroker()
    await broker.publish({ topic: 't', payload: 'retained', retain: true })
    const got: string[] = []
    const note =
      (name: string) =>
      ({ payload }: Message): void => {
        got.push(`${name} ${text(payload)}`)
      }
    broker.subscribe('t', note('a'), { retained: false, noLocal: true })
    broker.subscribe('$share/g/t', note('b'))
    broker.subscribe('$share/g/t', note('c'))
    await broker.publish({ topic: 't', payload: '1' })
    await broker.publish({ topic: 't', payload: '2' })
    assert.deepEqual(got, ['b 1', 'c 2'])
    await broker.close()
  })

  test('a message that is given to a handler may be kept; a payload that was published may be changed', async () => {
    const broker = createBroker()
    const kept: Message[] = []
    broker.subscribe('t', (message) => {
      kept.push(message)
    })
    for (const payload of [Uint8Array.of(1, 2), Buffer.from([1, 2])]) {
      await broker.publish({ topic: 't', payload })
      payload.fill(9)
    }
    for (const message of kept) assert.deepEqual([...message.payload], [1, 2])
    await broker.close()
  })

  test('a handler that throws is reported, the others get the message', async () => {
    const failed: string[] = []
    const broker = createBroker({ observer: { 'hook.failed': ({ hook }) => void failed.push(hook) } })
    const got: Message[] = []
    broker.subscribe('t', () => {
      throw new Error('oops')
    })
    broker.subscribe('t', (message) => void got.push(message))
    await broker.publish({ topic: 't', payload: '' })
    assert.deepEqual(failed, ['subscription to t'])
    assert.equal(got.length, 1)
    await broker.close()
  })

  test('what is wrong is refused at once: publish rejects, subscribe and createBroker throw', async () => {
    const broker = createBroker()
    await assert.rejects(broker.publish({ topic: 'a/#', payload: '' }), { code: 'ERR_MQTT_TOPIC_NAME' })
    await assert.rejects(broker.publish({ topic: '', payload: '' }), { code: 'ERR_MQTT_TOPIC_NAME' })
    assert.throws(() => broker.subscribe('a#', () => {}), { code: 'ERR_MQTT_TOPIC_FILTER' })
    assert.throws(() => createBroker({ limits: { receiveMaximum: 0 } }), { code: 'ERR_MQTT_LIMIT' })
    await broker.close()
    await assert.rejects(broker.publish({ topic: 't', payload: '' }), { code: 'ERR_MQTT_CLOSED' })
    assert.throws(() => broker.subscribe('t', () => {}), { code: 'ERR_MQTT_CLOSED' })
    await assert.rejects(broker.listen({ port: 0 }), { code: 'ERR_MQTT_CLOSED' })
  })
})

test('a message over the largest packet of MQTT is refused before anybody has it', async () => {
  await withBroker({}, async (broker) => {
    const heard: number[] = []
    broker.subscribe('t', ({ payload }) => void heard.push(payload.length))
    const room = new Uint8Array(268_435_456)
    // Topic 3 bytes, Packet Identifier 2, Property Length 1.
    for (const length of [268_435_456, 268_435_455 - 5]) {
      const publishing = broker.publish({ topic: 't', payload: room.subarray(0, length), qos: 1 })
      await assert.rejects(publishing, { code: 'ERR_MQTT_OPTION', message: /largest packet of MQTT/ })
    }
    await broker.publish({ topic: 't', payload: room.subarray(0, 268_435_455 - 6), qos: 1 })
    assert.deepEqual(heard, [268_435_455 - 6])
  })
})

describe('close', () => {
  test('tells 5.0 clients 0x8B, publishes Wills first, and lets nobody in any more', async () => {
    const broker = createBroker()
    const { port } = await broker.listen({ port: 0 })
    const a = await SocketClient.connect({ port }, { clientId: 'a', will: will({ topic: 'w', payload: 'gone' }) })
    const b = await SocketClient.connect({ port }, { clientId: 'b' })
    const old = await SocketClient.connect({ port }, { clientId: 'old', protocolVersion: 4 })
    b.send(new Subscribe(1, [subscriptionTo('w')]))
    await b.next(Suback)
    await Promise.all([broker.close(), broker.close()])
    assert.equal(text((await b.next(Publish)).payload), 'gone')
    for (const client of [a, b]) {
      assert.equal((await client.next(Disconnect)).reasonCode, ReasonCode.ServerShuttingDown)
      await client.closed()
    }
    await old.closed()
    await assert.rejects(SocketClient.open({ port }), { code: 'ECONNREFUSED' })
  })

  test('sends the Server Reference with 0x9C and 0x9D (4.11)', async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0 })
    const a = await SocketClient.connect(address, { clientId: 'a' })
    await broker.close({ reasonCode: ReasonCode.ServerMoved, serverReference: 'there.example' })
    const disconnect = await a.next(Disconnect)
    assert.equal(disconnect.reasonCode, ReasonCode.ServerMoved)
    assert.equal(disconnect.properties.serverReference, 'there.example')
  })

  test('sends what is still to be sent', async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0 })
    const a = await SocketClient.connect(address, { clientId: 'a' })
    a.send(new Subscribe(1, [subscriptionTo('t')]))
    await a.next(Suback)
    for (let i = 0; i < 100; i++) broker.publish({ topic: 't', payload: 'x'.repeat(1000) })
    await broker.close()
    for (let i = 0; i < 100; i++) await a.next(Publish)
    await a.next(Disconnect)
    await a.closed()
  })

  test('does not wait for ever for a client that does not read', async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0 })
    const a = await SocketClient.connect(address, { clientId: 'a' })
    a.send(new Subscribe(1, [subscriptionTo('t')]))
    await a.next(Suback)
    a.socket.pause()
    broker.publish({ topic: 't', payload: new Uint8Array(50 * 1024 * 1024) })
    await broker.close({ timeoutMs: 50 })
    a.destroy()
  })

  test('a client that has had its DISCONNECT and keeps its socket open is not waited for', {
    timeout: 300_000,
  }, async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0 })
    const open = createConnection({ port: address.port, host: '127.0.0.1', allowHalfOpen: true })
    open.on('error', () => {})
    open.write(encode(new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' }), 5))
    await once(open, 'data')
    open.on('data', () => {})
    // Would be an hour.
    await broker.close({ timeoutMs: 3_600_000 })
    open.destroy()
  })

  test('a client that has yet to read is waited for', { timeout: 300_000 }, async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0 })
    const a = await SocketClient.connect(address)
    a.send(new Subscribe(1, [subscriptionTo('t')]))
    await a.next(Suback)
    a.socket.pause()
    const length = 50 * 1024 * 1024
    broker.publish({ topic: 't', payload: new Uint8Array(length) })
    const closed = broker.close({ graceMs: 1 })
    let received = 0
    a.socket.on('data', (chunk) => {
      received += chunk.length
    })
    for (let i = 0; i < 1_000; i++) await turn()
    a.socket.resume()
    await closed
    await a.closed()
    assert.ok(received > length)
  })

  test('a listener that is being opened meanwhile is closed too', async () => {
    const broker = createBroker()
    const opening = broker.listen({ port: 0 })
    await broker.close()
    await assert.rejects(opening, { code: 'ERR_MQTT_CLOSED' })
  })

  test('a listener may be closed by itself: its clients stay', async () => {
    await withBroker({}, async (broker) => {
      const listener = await broker.listen({ port: 0, name: 'second' })
      assert.equal(listener.name, 'second')
      const a = await SocketClient.connect(listener, { clientId: 'a' })
      await listener.close()
      await listener.close()
      await assert.rejects(SocketClient.open(listener), { code: 'ECONNREFUSED' })
      a.send(new Subscribe(1, [subscriptionTo('t')]))
      await a.next(Suback)
      a.destroy()
    })
  })

  test('await using closes it', async () => {
    const broker = createBroker()
    const { port } = await broker.listen({ port: 0 })
    await broker[Symbol.asyncDispose]()
    await assert.rejects(SocketClient.open({ port }), { code: 'ECONNREFUSED' })
  })
})

test('several brokers in one process know nothing of each other', async () => {
  await withBroker({}, async (one, oneAddress) => {
    await withBroker({}, async (two, twoAddress) => {
      const a = await SocketClient.connect(oneAddress, { clientId: 'same' })
      const b = await SocketClient.connect(twoAddress, { clientId: 'same' })
      for (const client of [a, b]) {
        client.send(new Subscribe(1, [subscriptionTo('t')]))
        await client.next(Suback)
      }
      await one.publish({ topic: 't', payload: 'one' })
      await two.publish({ topic: 't', payload: 'two' })
      assert.equal(text((await a.next(Publish)).payload), 'one')
      assert.equal(text((await b.next(Publish)).payload), 'two')
      assert.deepEqual([one.metrics()['clients'], two.metrics()['clients']], [1, 1])
      a.destroy()
      b.destroy()
    })
  })
})

test('observers are told of listeners, connections and clients', async () => {
  const names: string[] = []
  const observer = Object.fromEntries(
    (
      [
        'listener.started',
        'listener.stopped',
        'connection.opened',
        'client.connected',
        'client.disconnected',
      ] satisfies (keyof BrokerEvents)[]
    ).map((name) => [name, () => names.push(name)]),
  )
  await withBroker({ observer }, async (_broker, address) => {
    const a = await SocketClient.connect(address, { clientId: 'a' })
    a.send(new Disconnect())
    await a.closed()
  })
  assert.deepEqual(names, [
    'listener.started',
    'connection.opened',
    'client.connected',
    'client.disconnected',
    'listener.stopped',
  ])
})

test("clock, randomness and transports may be one's own", async () => {
  const clock = new SimClock()
  const broker = createBroker({ clock, random: { hex: () => '00112233445566778899aabbccddeeff' } })
  const out: Uint8Array[] = []
  const transport = new SimTransport(clock, (bytes) => out.push(bytes))
  transport.start(broker.attach(transport)!)
  const connect = new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 10, clientId: '' })
  transport.receive(encode(connect, 5))
  clock.runTurns()
  assert.match(text(Buffer.concat(out)), /auto-00112233-4455-6677-8899-AABBCCDDEEFF/)
  assert.equal(broker.metrics()['clients'], 1)
  clock.advance(16_000)
  assert.equal(broker.metrics()['clients'], 0)
  await broker.close()
  assert.equal(broker.attach(transport), null)
})
