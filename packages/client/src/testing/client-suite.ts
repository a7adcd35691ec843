/**
 * The behaviour of the client with any MQTT server, at 3.1, 3.1.1 and 5.0: `clientSuite` registers it as tests of
 * `node:test`, given a way to start the server. Run on Debian's mosquitto by `mosquitto.test.ts`, and on our own broker
 * by its tests.
 */
import assert from 'node:assert/strict'
import { after, before, suite, type TestContext, test } from 'node:test'
import type { Client, ConnectOptions, Message, Packet, ProtocolVersion, QoS, Subscription } from '../mod.ts'
import {
  ConnectionRefusedError,
  connect,
  createClient,
  DisconnectedError,
  NotSupportedError,
  ReasonCode,
  TlsError,
  UnreachableError,
} from '../mod.ts'
import { testCertificate } from './certificate.ts'
import { freePort } from './free-port.ts'
import { CannotServe, Relay, type RunningServer, type ServerOptions, type StartServer } from './server.ts'

const everyVersion: readonly ProtocolVersion[] = [5, 4, 3]
const levels: readonly QoS[] = [0, 1, 2]
const nameOf = { 3: '3.1', 4: '3.1.1', 5: '5.0' } as const
const TEST_MS = 120_000

let number = 0
/** A topic that no other test has. */
const unique = (name: string): string => `client-suite/${process.pid}/${++number}/${name}`

async function take(subscription: Subscription, count: number): Promise<Message[]> {
  const messages: Message[] = []
  while (messages.length < count) {
    const { value, done } = await subscription.next()
    if (done) break
    messages.push(value)
  }
  return messages
}

const texts = (messages: Message[]): string[] => messages.map((message) => message.text())

/** Resolves when the client is in this state. */
async function state(client: Client, name: Client['state']['name']): Promise<void> {
  for await (const seen of client.states()) if (seen.name === name) return
}

export interface SuiteOptions {
  /**
   * Protocol versions of the server. Without 5, tests of 5.0 are skipped, and the others run on the version that 5.0
   * falls back to.
   */
  versions?: readonly ProtocolVersion[]
  /** Fault of this server in sending messages again; tests of exactly that are skipped with this reason. */
  resendsBadly?: string
}

export function clientSuite(serverName: string, startServer: StartServer, options: SuiteOptions = {}): void {
  const { versions = everyVersion, resendsBadly = false } = options
  suite(`client on ${serverName}`, () => {
    let server: RunningServer
    const open: Client[] = []
    before(async () => {
      server = await startServer({})
    })
    after(async () => {
      for (const client of open) client.destroy()
      await server.stop()
    })

    const url = (port = server.port): string => `mqtt://127.0.0.1:${port}`

    async function opened(options: ConnectOptions = {}, target: string = url()): Promise<Client> {
      const client = await connect(target, { reconnect: { minMs: 10, maxMs: 50 }, ...options })
      open.push(client)
      return client
    }

    /** Another server for one test, which is skipped where there is none. */
    async function special(t: TestContext, options: ServerOptions): Promise<RunningServer | null> {
      try {
        const started = await startServer(options)
        t.after(() => started.stop())
        return started
      } catch (error) {
        if (!(error instanceof CannotServe)) throw error
        t.skip(error.message)
        return null
      }
    }

    async function relay(t: TestContext, isTls = false): Promise<Relay> {
      const started = await Relay.start(server.port, isTls)
      t.after(() => started.stop())
      return started
    }

    const has5 = versions.includes(5)
    const only5 = { timeout: TEST_MS, skip: has5 ? false : 'not with this version of MQTT' }
    /** A session that outlives connections: before 5.0 it has to be asked for, and have a name. */
    const kept = (): ConnectOptions => (has5 ? {} : { cleanStart: false, clientId: `suite${process.pid}n${++number}` })

    for (const protocolVersion of versions) {
      const named = (name: string, run: (t: TestContext) => Promise<void>): void => {
        test(`${name} (${nameOf[protocolVersion]})`, { timeout: TEST_MS }, run)
      }

      named('connects and closes', async () => {
        const client = await opened({ protocolVersion })
        assert.equal(client.session?.protocolVersion, protocolVersion)
        assert.equal(client.session?.sessionPresent, false)
        assert.notEqual(client.clientId, '')
        await client.close()
        assert.equal(await client.closed, null)
      })

      for (const qos of levels) {
        named(`publishes and receives at QoS ${qos}`, async () => {
          await using client = await opened({ protocolVersion })
          const topic = unique('qos')
          const subscription = client.subscribe(`${topic}/#`, { qos })
          assert.deepEqual((await subscription.ready).reasonCodes, [qos])
          const result = await client.publish(`${topic}/a`, 'héllo', { qos })
          assert.equal(result.reasonCode, 0)
          const [message] = await take(subscription, 1)
          assert.deepEqual([message!.topic, message!.text(), message!.qos], [`${topic}/a`, 'héllo', qos])
        })
      }

      named('keeps 900 messages of QoS 1, and of QoS 2, in order', async () => {
        await using client = await opened({ protocolVersion })
        for (const qos of [1, 2] as const) {
          const topic = unique('order')
          const seen: string[] = []
          const subscription = client.subscribe(topic, { qos }, (message) => void seen.push(message.text()))
          await subscription.ready
          const expected = Array.from({ length: 900 }, (_, i) => String(i))
          await Promise.all(expected.map((payload) => client.publish(topic, payload, { qos })))
          while (seen.length < expected.length) await new Promise((resolve) => setImmediate(resolve))
          assert.deepEqual(seen, expected)
        }
      })

      named('gets retained messages, and their removal', async () => {
        await using client = await opened({ protocolVersion })
        const topic = unique('retained')
        await client.publish(topic, 'kept', { qos: 1, retain: true })
        const first = client.subscribe(topic)
        const [message] = await take(first, 1)
        assert.deepEqual([message!.text(), message!.retain], ['kept', true])
        await first.unsubscribe()
        await client.publish(topic, '', { qos: 1, retain: true })
        const second = client.subscribe(topic)
        await second.ready
        await client.publish(topic, 'fresh', { qos: 1 })
        const [fresh] = await take(second, 1)
        assert.deepEqual([fresh!.text(), fresh!.retain], ['fresh', false])
      })

      named('gives each subscription its own messages', async () => {
        await using client = await opened({ protocolVersion })
        const topic = unique('own')
        const subscriptions = [`${topic}/+/x`, `${topic}/a/#`, `${topic}/b/x`].map((filter) => {
          return client.subscribe(filter, { qos: 1 })
        })
        for (const subscription of subscriptions) await subscription.ready
        await client.publish(`${topic}/b/x`, '1', { qos: 1 })
        await client.publish(`${topic}/a/y`, '2', { qos: 1 })
        await client.publish(`${topic}/b/x`, '3', { qos: 1 })
        assert.deepEqual(texts(await take(subscriptions[1]!, 1)), ['2'])
        assert.equal((await take(subscriptions[2]!, 1))[0]!.text(), '1')
        assert.equal((await take(subscriptions[0]!, 1))[0]!.topic, `${topic}/b/x`)
      })

      named('carries 1 MiB', async () => {
        await using client = await opened({ protocolVersion })
        const topic = unique('large')
        const subscription = client.subscribe(topic, { qos: 1 })
        await subscription.ready
        const payload = new Uint8Array(1024 * 1024).map((_, i) => i * 7)
        await client.publish(topic, payload, { qos: 1 })
        const [message] = await take(subscription, 1)
        assert.ok(Buffer.from(payload).equals(message!.payload))
      })

      named('the Will is published when the connection is dropped, and not after close()', async () => {
        await using watcher = await opened({ protocolVersion })
        const topic = unique('will')
        const wills = watcher.subscribe(`${topic}/#`, { qos: 1 })
        await wills.ready
        const will = (name: string): ConnectOptions => ({
          protocolVersion,
          will: { topic: `${topic}/${name}`, payload: name, qos: 1 },
        })
        const polite = await opened(will('polite'))
        await polite.close()
        const rude = await opened({ ...will('rude'), sessionExpiryIntervalSeconds: 0 })
        rude.destroy()
        assert.deepEqual(texts(await take(wills, 1)), ['rude'])
      })

      named('a kept session has the messages that came meanwhile, none of them too early', async () => {
        const topic = unique('kept')
        const options: ConnectOptions = {
          protocolVersion,
          clientId: `kept${process.pid}v${protocolVersion}`,
          cleanStart: false,
          sessionExpiryIntervalSeconds: 100,
        }
        const first = await opened(options)
        await first.subscribe(topic, { qos: 2 }).ready
        await first.close()
        await using publisher = await opened({ protocolVersion })
        for (const qos of [1, 2] as const) await publisher.publish(topic, `at ${qos}`, { qos })
        const second = createClient(url(), options)
        open.push(second)
        const subscription = second.subscribe(topic, { qos: 2 })
        await second.connect()
        if (protocolVersion > 3) assert.equal(second.session?.sessionPresent, true)
        assert.deepEqual(texts(await take(subscription, 2)), ['at 1', 'at 2'])
        await second.close({ properties: { sessionExpiryIntervalSeconds: 0 } })
        if (protocolVersion < 5) await (await opened({ ...options, cleanStart: true })).close()
      })

      named('goes on after a broken connection: subscriptions and what was published meanwhile', async (t) => {
        const between = await relay(t)
        const client = await opened({ protocolVersion }, url(between.port))
        const topic = unique('broken')
        const subscription = client.subscribe(topic, { qos: 1 })
        await subscription.ready
        const lost = state(client, 'reconnecting')
        between.refuse(true)
        between.cut()
        await lost
        const published = client.publish(topic, 'meanwhile', { qos: 1 })
        between.refuse(false)
        await published
        assert.deepEqual(texts(await take(subscription, 1)), ['meanwhile'])
        await client.close()
      })

      named('unsubscribes', async () => {
        await using client = await opened({ protocolVersion })
        const topic = unique('unsubscribe')
        const subscription = client.subscribe(topic, { qos: 1 })
        await subscription.ready
        assert.deepEqual((await subscription.unsubscribe()).reasonCodes, [0])
        await client.publish(topic, 'nobody', { qos: 1 })
        assert.deepEqual(await subscription.next(), { value: undefined, done: true })
        assert.equal(client.unmatchedMessages, 0)
      })

      named('a second client with the same identifier takes over', async () => {
        const clientId = `twice${process.pid}v${protocolVersion}`
        const first = await opened({ protocolVersion, clientId, reconnect: false })
        await using second = await opened({ protocolVersion, clientId })
        const why = await first.closed
        // Mosquitto 2.0 says nothing to the one that it throws out.
        if (why instanceof DisconnectedError) assert.equal(why.reasonCode, ReasonCode.SessionTakenOver)
        else assert.equal(why?.code, 'ERR_MQTT_CONNECTION_LOST')
        assert.equal(second.connected, true)
      })

      named('wrong credentials are refused', async (t) => {
        const guarded = await special(t, { user: { name: 'ann', password: 'secret' } })
        if (guarded === null) return
        const target = url(guarded.port)
        await assert.rejects(opened({ protocolVersion, username: 'ann', password: 'wrong' }, target), (error) => {
          assert.ok(error instanceof ConnectionRefusedError)
          const { reasonCode } = error
          return reasonCode === ReasonCode.NotAuthorized || reasonCode === ReasonCode.BadUserNameOrPassword
        })
        const client = await opened(
          { protocolVersion, credentials: () => ({ username: 'ann', password: 'secret' }) },
          target,
        )
        await client.close()
      })
    }

    for (const qos of [1, 2] as const) {
      test(`connections cut in the middle of packets lose nothing at QoS ${qos}${qos === 2 ? ', and repeat nothing' : ''}`, {
        timeout: TEST_MS,
        skip: qos === 2 && resendsBadly,
      }, async (t) => {
        const between = await relay(t)
        await using watcher = await opened()
        const topic = unique('cut')
        const seen: string[] = []
        await watcher.subscribe(topic, { qos: 2 }, (message) => void seen.push(message.text())).ready
        const client = await opened(kept(), url(between.port))
        const expected = Array.from({ length: 500 }, (_, i) => String(i))
        const results: Promise<unknown>[] = []
        for (const payload of expected) {
          if (results.length % 100 === 50) between.cutAfter(137)
          results.push(client.publish(topic, payload, { qos }))
          if (results.length % 25 === 0) await Promise.all(results)
        }
        await Promise.all(results)
        await watcher.publish(topic, 'end', { qos: 2 })
        while (seen.at(-1) !== 'end') await new Promise((resolve) => setImmediate(resolve))
        seen.pop()
        if (qos === 2) assert.deepEqual(seen, expected)
        else assert.deepEqual([...new Set(seen)].sort(), [...expected].sort())
        await client.close()
      })
    }

    test('a receiver whose connection is cut gets every QoS 2 message once', {
      timeout: TEST_MS,
      skip: resendsBadly,
    }, async (t) => {
      const between = await relay(t)
      const receiver = await opened(kept(), url(between.port))
      const topic = unique('receiver')
      const seen: string[] = []
      await receiver.subscribe(topic, { qos: 2 }, (message) => void seen.push(message.text())).ready
      await using publisher = await opened()
      const expected = Array.from({ length: 300 }, (_, i) => String(i))
      for (const payload of expected) {
        if (Number(payload) % 60 === 30) between.cutAfter(17)
        await publisher.publish(topic, payload, { qos: 2 })
      }
      while (seen.length < expected.length) await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(seen, expected)
      await receiver.close()
    })

    test('a server that restarts is found again, and subscriptions are made again', { timeout: TEST_MS }, async (t) => {
      const port = await freePort()
      const first = await special(t, { port })
      if (first === null) return
      const client = await opened({}, url(port))
      const topic = unique('restart')
      const subscription = client.subscribe(topic, { qos: 1 })
      await subscription.ready
      const lost = state(client, 'reconnecting')
      await first.stop()
      await lost
      await special(t, { port })
      await client.publish(topic, 'again', { qos: 1 })
      assert.deepEqual(texts(await take(subscription, 1)), ['again'])
      await client.close()
    })

    test('messages not acknowledged come again, in order', { timeout: TEST_MS, skip: resendsBadly }, async (t) => {
      const between = await relay(t)
      const client = await opened(kept(), url(between.port))
      await using publisher = await opened()
      const topic = unique('manual')
      const subscription = client.subscribe(topic, { qos: 1, ack: 'manual' })
      await subscription.ready
      for (const payload of ['1', '2', '3']) await publisher.publish(topic, payload, { qos: 1 })
      const [one, two] = await take(subscription, 3)
      one!.ack()
      two!.ack()
      // PUBACK has arrived when the answer to what was sent after it has.
      await client.publish(unique('flush'), '', { qos: 1 })
      between.cut()
      const [again] = await take(subscription, 1)
      assert.deepEqual([again!.text(), again!.dup], ['3', true])
      again!.ack()
      await client.close()
    })

    test('the Receive Maximum of the server is kept', { timeout: TEST_MS }, async () => {
      let inflight = 0
      let most = 0
      const trace = (direction: 'sent' | 'received', packet: Packet): void => {
        if (direction === 'sent' && packet.type === 3) most = Math.max(most, ++inflight)
        if (direction === 'received' && packet.type === 4) inflight--
      }
      await using client = await opened({ trace })
      const maximum = client.session?.properties.receiveMaximum ?? 65_535
      const topic = unique('window')
      await Promise.all(Array.from({ length: 1_000 }, () => client.publish(topic, 'x', { qos: 1 })))
      assert.ok(most <= maximum, `${most} in flight, the maximum is ${maximum}`)
    })

    test('our own Receive Maximum slows the server down', only5, async () => {
      await using client = await opened({ receiveMaximum: 3 })
      await using publisher = await opened()
      const topic = unique('slow')
      const subscription = client.subscribe(topic, { qos: 1, ack: 'manual' })
      await subscription.ready
      for (let i = 0; i < 10; i++) await publisher.publish(topic, String(i), { qos: 1 })
      await client.publish(unique('flush'), '', { qos: 1 })
      assert.equal(subscription.buffered, 3)
      for (let i = 0; i < 10; i++) (await take(subscription, 1))[0]!.ack()
    })

    test('properties of 5.0 arrive as they were sent', only5, async () => {
      await using client = await opened()
      const topic = unique('properties')
      const subscription = client.subscribe(topic, { qos: 1 })
      await subscription.ready
      const properties = {
        payloadFormatIndicator: 1,
        contentType: 'text/plain',
        responseTopic: 'answer/here',
        correlationData: Uint8Array.of(0, 1, 255),
        userProperties: [
          ['a', '1'],
          ['a', 'é'],
        ] as [string, string][],
      }
      await client.publish(topic, 'x', { qos: 1, properties: { ...properties, messageExpiryIntervalSeconds: 100 } })
      const [message] = await take(subscription, 1)
      const { messageExpiryIntervalSeconds, subscriptionIdentifiers, topicAlias: _, ...received } = message!.properties
      assert.deepEqual({ ...received, correlationData: Uint8Array.from(received.correlationData!) }, properties)
      assert.ok(messageExpiryIntervalSeconds! <= 100)
      assert.deepEqual(subscriptionIdentifiers, [subscription.identifier])
    })

    test('Topic Aliases work both ways', only5, async () => {
      const sent: string[] = []
      const trace = (direction: 'sent' | 'received', packet: Packet): void => {
        if (direction === 'sent' && packet.type === 3) sent.push(packet.topic)
      }
      await using client = await opened({ trace })
      const topic = unique('alias')
      const subscription = client.subscribe(`${topic}/+`, { qos: 1 })
      await subscription.ready
      for (let i = 0; i < 60; i++) await client.publish(`${topic}/${i % 30}`, String(i), { qos: 1 })
      for (let i = 0; i < 3; i++) await client.publish(`${topic}/z`, 'z', { qos: 1 })
      const topics = (await take(subscription, 63)).map((message) => message.topic)
      assert.deepEqual(
        topics.slice(0, 60),
        Array.from({ length: 60 }, (_, i) => `${topic}/${i % 30}`),
      )
      if ((client.session?.properties.topicAliasMaximum ?? 0) > 0) assert.deepEqual(sent.slice(-2), ['', ''])
    })

    test('requests get their responses, several at once, typed by parameters and decode', only5, async () => {
      await using client = await opened()
      await using server = await opened()
      const topic = unique('service')
      const responder = server.respond(`${topic}/:operation`, { qos: 1, decode: 'json' }, (request) => {
        return JSON.stringify({ [request.params['operation']!]: request.value })
      })
      await responder.ready
      const numbers = Array.from({ length: 50 }, (_, i) => i)
      const responses = await Promise.all(
        numbers.map((number) => client.request(`${topic}/echo`, JSON.stringify(number), { decode: 'json' })),
      )
      assert.deepEqual(
        responses.map(({ value }) => value),
        numbers.map((echo) => ({ echo })),
      )
      const signal = AbortSignal.timeout(1)
      await assert.rejects(client.request(unique('nobody'), '', { qos: 0, signal }), { name: 'TimeoutError' })
    })

    test('noLocal, retainAsPublished and retainHandling', only5, async () => {
      await using client = await opened()
      await using other = await opened()
      const topic = unique('options')
      await client.publish(topic, 'retained', { qos: 1, retain: true })
      const subscription = client.subscribe(topic, {
        qos: 1,
        noLocal: true,
        retainAsPublished: true,
        retainHandling: 2,
      })
      await subscription.ready
      await client.publish(topic, 'own', { qos: 1 })
      await other.publish(topic, 'other', { qos: 1, retain: true })
      const [message] = await take(subscription, 1)
      assert.deepEqual([message!.text(), message!.retain], ['other', true])
      await other.publish(topic, '', { qos: 1, retain: true })
    })

    test('a shared subscription gives each message to one member', only5, async () => {
      await using one = await opened()
      await using two = await opened()
      const topic = unique('shared')
      const seen: string[] = []
      for (const client of [one, two]) {
        const handler = (message: Message): void => void seen.push(message.text())
        await client.subscribe(`$share/group/${topic}`, { qos: 1 }, handler).ready
      }
      await using publisher = await opened()
      const expected = Array.from({ length: 20 }, (_, i) => String(i))
      for (const payload of expected) await publisher.publish(topic, payload, { qos: 1 })
      while (seen.length < expected.length) await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(
        seen
          .map(Number)
          .sort((a, b) => a - b)
          .map(String),
        expected,
      )
    })

    test('a loop that publishes for each message does not hang, however many there are', {
      timeout: TEST_MS,
    }, async () => {
      await using client = await opened()
      const topic = unique('loop')
      const subscription = client.subscribe(`${topic}/in`, { qos: 1, bufferMax: 5 })
      await subscription.ready
      const published = Promise.all(Array.from({ length: 500 }, () => client.publish(`${topic}/in`, 'x', { qos: 1 })))
      let answered = 0
      for await (const _message of subscription) {
        await client.publish(`${topic}/out`, 'y', { qos: 1 })
        if (++answered === 500) break
      }
      await published
    })

    test('QoS above what the server takes is refused by name', { timeout: TEST_MS }, async (t) => {
      const limited = await special(t, { maximumQoS: 1 })
      if (limited === null) return
      await using client = await opened({}, url(limited.port))
      await assert.rejects(client.publish(unique('limited'), 'x', { qos: 2 }), NotSupportedError)
    })

    test('TLS: a trusted certificate connects, others are refused', { timeout: TEST_MS }, async (t) => {
      const between = await relay(t, true)
      const target = `mqtts://localhost:${between.port}`
      await using client = await opened({ tls: { ca: testCertificate } }, target)
      assert.equal((await client.publish(unique('tls'), 'x'.repeat(100_000), { qos: 1 })).packetId > 0, true)
      await assert.rejects(opened({}, target), TlsError)
      const wrongName = `mqtts://127.0.0.1:${between.port}`
      await assert.rejects(opened({ tls: { ca: testCertificate } }, wrongName), TlsError)
      await using careless = await opened({ tls: { rejectUnauthorized: false } }, wrongName)
      assert.equal(careless.connected, true)
      await assert.rejects(opened({ connectTimeoutMs: 5_000 }, `mqtts://localhost:${server.port}`), TlsError)
    })

    test('a unix-domain socket', { timeout: TEST_MS }, async (t) => {
      const local = await special(t, { unixSocket: true })
      if (local === null) return
      await using client = await opened({}, `mqtt+unix:${local.unixPath}`)
      await client.publish(unique('unix'), 'x', { qos: 2 })
    })

    test('WebSocket', { timeout: TEST_MS }, async (t) => {
      const withWebSocket = await special(t, { webSocket: true })
      if (withWebSocket === null) return
      await using client = await opened({}, `ws://127.0.0.1:${withWebSocket.webSocketPort}/mqtt`)
      const topic = unique('websocket')
      const subscription = client.subscribe(topic, { qos: 2 })
      await subscription.ready
      const payload = new Uint8Array(30_000).map((_, i) => i)
      await client.publish(topic, payload, { qos: 2 })
      assert.ok(Buffer.from(payload).equals((await take(subscription, 1))[0]!.payload))
      await assert.rejects(opened({}, `ws://127.0.0.1:${await freePort()}/mqtt`), (error) => {
        return error instanceof UnreachableError && /nothing listens there/.test(error.message)
      })
      const secure = await Relay.start(withWebSocket.webSocketPort!, true)
      t.after(() => secure.stop())
      const securely = `wss://localhost:${secure.port}/mqtt`
      await assert.rejects(opened({}, securely), (error) => {
        return error instanceof TlsError && /tls\.ca/.test(error.message)
      })
      await using safe = await opened({ tls: { ca: testCertificate } }, securely)
      await safe.publish(topic, 'securely', { qos: 1 })
    })

    test('nobody there, no such name: UnreachableError', { timeout: TEST_MS }, async () => {
      await assert.rejects(opened({}, url(await freePort())), (error) => {
        return error instanceof UnreachableError && /nothing listens there: check host and port/.test(error.message)
      })
      await assert.rejects(opened({}, 'mqtt+unix:/nowhere/at/all'), UnreachableError)
    })
  })
}
