/** `@recado/client` in a real browser, over WebSocket, on Mosquitto and on our own broker. */
import assert from 'node:assert/strict'
import { after, before, suite, type TestContext, test } from 'node:test'
import { type Client, connect, type Message } from '@recado/client'
import { Relay, type RowStoreCase, type RunningServer, type StartServer, startMosquitto } from '@recado/client/testing'
import type { Page } from 'playwright-core'
import { startRecado } from '../clients/recado.ts'
import { skipWithout } from '../peers/find.ts'
import { Chromium, crash } from './chromium.ts'

const skip = skipWithout('chromium')
const TIMEOUT_MS = 600_000

type WorkerClass = new (
  url: string,
  options: { type: string },
) => { onmessage(event: { data: unknown }): void; onerror(error: unknown): void; postMessage(data: unknown): void }

/** Globals of the page that the scripts below use; the scripts run there, and see nothing of this file. */
declare global {
  var skew: number
  var recado: typeof import('@recado/client') &
    typeof import('@recado/client/indexeddb') & { rowStoreCases: readonly RowStoreCase[] }
}

let chromium: Chromium
before(async () => {
  if (skip === false) chromium = await Chromium.start()
})
after(async () => {
  await chromium?.stop()
})

function chromiumSuite(serverName: string, startServer: StartServer, reason: string | false): void {
  suite(`client in Chromium on ${serverName}`, { skip: reason, timeout: TIMEOUT_MS }, () => {
    let server: RunningServer
    let observer: Client
    let number = 0

    before(async () => {
      server = await startServer({ webSocket: true })
      observer = await connect(`mqtt://127.0.0.1:${server.port}`)
    })
    after(async () => {
      await observer?.close()
      await server?.stop()
    })

    async function tab(t: TestContext): Promise<Page> {
      const page = await chromium.open()
      t.after(() => page.close())
      return page
    }

    async function relay(t: TestContext): Promise<Relay> {
      const started = await Relay.start(server.webSocketPort!)
      t.after(() => started.stop())
      return started
    }

    const url = (port = server.webSocketPort): string => `ws://127.0.0.1:${port}/mqtt`
    const topicOf = (name: string): string => `chromium/${++number}/${name}`

    /** Texts that the observer has received, in order, and a way to wait for so many. */
    async function observe(topic: string): Promise<{ texts: string[]; until(count: number): Promise<void> }> {
      const texts: string[] = []
      let wake = (): void => {}
      const subscription = observer.subscribe(topic, { qos: 2 }, (message: Message) => {
        texts.push(message.text())
        wake()
      })
      await subscription.ready
      const until = async (count: number): Promise<void> => {
        while (texts.length < count)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
      return { texts, until }
    }

    test('publishes and receives at QoS 0, 1 and 2, without Buffer', async (t) => {
      const page = await tab(t)
      const seen = await page.evaluate(
        async ([target, topic]) => {
          const { connect } = recado
          const client = await connect(target)
          const subscription = client.subscribe(`${topic}/:level`, { qos: 2 })
          await subscription.ready
          const texts: unknown[] = []
          for (const qos of [0, 1, 2] as const) {
            const { reasonCode } = await client.publish(`${topic}/${qos}`, `héllo ${qos}`, { qos })
            const { value } = await subscription.next()
            texts.push([reasonCode, value?.text(), value?.qos, value?.params])
          }
          const big = new Uint8Array(300_000).map((_, i) => i)
          await client.publish(`${topic}/big`, big, { qos: 1 })
          const { value } = await subscription.next()
          texts.push(value?.payload.every((byte, i) => byte === big[i]) && value?.payload.length)
          await client.close()
          return [...texts, typeof (globalThis as { Buffer?: unknown }).Buffer]
        },
        [url(), topicOf('levels')] as const,
      )
      assert.deepEqual(seen, [
        [0, 'héllo 0', 0, { level: '0' }],
        [0, 'héllo 1', 1, { level: '1' }],
        [0, 'héllo 2', 2, { level: '2' }],
        300_000,
        'undefined',
      ])
    })

    test('every class of errors has its own name and code, however short its name is in the bundle', async (t) => {
      const page = await tab(t)
      const seen = await page.evaluate(() => {
        const library = recado as unknown as Record<string, unknown>
        const isError = (value: unknown): value is new (...given: unknown[]) => Error & { code?: string } =>
          typeof value === 'function' && value.prototype instanceof Error
        return Object.entries(library)
          .filter(([, value]) => isError(value))
          .map(([name, Class]) => {
            // Enough for every constructor: codes are numbers, topics and codes may be lists, properties are an object.
            const given: Record<string, unknown[]> = {
              MqttError: ['ERR_MQTT_X', 'x'],
              ProtocolError: [0x82, 'x'],
              ReasonCodeError: ['ERR_MQTT_X', 'x', 0x80, {}],
              ConnectionRefusedError: [0x87, 0x87, {}],
              DisconnectedError: [0x8b, {}],
              PublishError: ['a', 0x87, {}],
              SubscribeError: [['a'], [0x80], {}],
              UnsubscribeError: [['a'], [0x80], {}],
              PayloadError: ['a', 'is bad', []],
              SetAsideError: ['PUBLISH', ['a'], new Error('x')],
              SessionStoreError: ['ERR_MQTT_SESSION_STORE', 'x'],
            }
            const error = new (Class as new (...of: unknown[]) => Error & { code?: string })(...(given[name] ?? ['x']))
            return [name, error.name, String(error).split(':')[0], error.code ?? 'none']
          })
      })
      assert.ok(seen.length >= 24, String(seen.length))
      for (const [name, own, shown, code] of seen) {
        assert.equal(own, name)
        assert.equal(shown, name)
        assert.match(code!, /^ERR_MQTT_/)
      }
      assert.equal(new Set(seen.map(([name]) => name)).size, seen.length)
    })

    test('works in a worker', async (t) => {
      const page = await tab(t)
      const seen = await page.evaluate(
        (target) =>
          new Promise((resolve, reject) => {
            const { Worker } = globalThis as unknown as { Worker: WorkerClass }
            const worker = new Worker('/worker.js', { type: 'module' })
            worker.onmessage = ({ data }) => resolve(data)
            worker.onerror = reject
            worker.postMessage(target)
          }),
        url(),
      )
      assert.deepEqual(seen, ['from a worker', 'undefined', 'undefined'])
    })

    test('comes back after a broken connection, with its subscription', async (t) => {
      const page = await tab(t)
      const between = await relay(t)
      const topic = topicOf('back')
      await page.evaluate(
        async ([target, filter]) => {
          const { connect } = recado
          const client = await connect(target, { reconnect: { minMs: 10, maxMs: 100 } })
          const subscription = client.subscribe(filter, { qos: 1 })
          await subscription.ready
          const names: string[] = []
          client.onState(({ name }) => names.push(name))
          Object.assign(globalThis, { client, subscription, names })
        },
        [url(between.port), topic] as const,
      )
      between.cut()
      const names = await page.evaluate(async () => {
        const { client, names: seen } = globalThis as unknown as { client: Client; names: string[] }
        for await (const { name } of client.states()) if (name === 'connected' && seen.includes(name)) break
        return seen
      })
      assert.deepEqual(names, ['reconnecting', 'connected'])
      await observer.publish(topic, 'again', { qos: 1 })
      const text = await page.evaluate(async () => {
        const { client, subscription } = globalThis as unknown as {
          client: Client
          subscription: AsyncIterableIterator<Message>
        }
        const { value } = await subscription.next()
        await client.close()
        return (value as Message).text()
      })
      assert.equal(text, 'again')
    })

    /** Connects in the page with the IndexedDB store of this name, as `globalThis.client`. `false`: nobody listens yet. */
    async function startStored(page: Page, name: string, port: number, listens: boolean): Promise<void> {
      await page.evaluate(
        async ([target, store, isUp]) => {
          const { createClient } = recado
          const client = createClient(target, {
            store: recado.indexedDb({ name: store }),
            retryFirst: true,
            reconnect: { minMs: 10, maxMs: 100 },
          })
          Object.assign(globalThis, { client })
          const connecting = client.connect()
          if (isUp) await connecting
          else connecting.catch(() => {})
        },
        [url(port), name, listens] as const,
      )
    }

    test('what was stored offline goes out after a reload, once and in order', async (t) => {
      const page = await tab(t)
      const between = await relay(t)
      const topic = topicOf('reload')
      const observed = await observe(topic)
      between.refuse(true)
      await startStored(page, `reload ${serverName}`, between.port, false)
      await page.evaluate(async (target) => {
        const { client } = globalThis as unknown as { client: Client }
        for (let i = 0; i < 50; i++) await client.publish(target, String(i), { qos: 2, until: 'stored' })
      }, topic)
      await chromium.reload(page)
      between.refuse(false)
      await startStored(page, `reload ${serverName}`, between.port, true)
      await page.evaluate(async () => {
        await (globalThis as unknown as { client: Client }).client.close({ drainMs: 20_000 })
      })
      await observed.until(50)
      assert.deepEqual(
        observed.texts,
        Array.from({ length: 50 }, (_, i) => String(i)),
      )
    })

    test('a tab that crashes in the middle loses and repeats nothing that was stored; a second tab is refused meanwhile', async (t) => {
      const between = await relay(t)
      const topic = topicOf('crash')
      const observed = await observe(topic)
      const stored: number[] = []
      const first = await chromium.open()
      await first.exposeFunction('noteStored', (n: number) => void stored.push(n))
      await startStored(first, `crash ${serverName}`, between.port, true)
      const second = await tab(t)
      const refusal = await second.evaluate(
        async ([target, name]) => {
          const { connect } = recado
          return connect(target, { store: recado.indexedDb({ name }) }).then(
            () => 'connected',
            (error: { code: string; message: string }) => [error.code, error.message],
          )
        },
        [url(between.port), `crash ${serverName}`] as const,
      )
      assert.equal(refusal[0], 'ERR_MQTT_SESSION_STORE_LOCKED')
      assert.match(refusal[1]!, /another tab/)
      first
        .evaluate(async (target) => {
          const { client, noteStored } = globalThis as unknown as { client: Client; noteStored: (n: number) => void }
          for (let i = 0; i < 400; i += 20) {
            const batch = Array.from({ length: 20 }, (_, k) => i + k)
            await Promise.all(
              batch.map(async (n) => {
                await client.publish(target, String(n), { qos: 2, until: 'stored' })
                noteStored(n)
              }),
            )
          }
        }, topic)
        .catch(() => {})
      await observed.until(60)
      await crash(first)
      await startStored(second, `crash ${serverName}`, between.port, true)
      await second.evaluate(async () => {
        await (globalThis as unknown as { client: Client }).client.close({ drainMs: 20_000 })
      })
      await observed.until(Math.max(...stored) + 1)
      assert.ok(stored.length > 0)
      assert.deepEqual(
        observed.texts.map(Number),
        Array.from({ length: observed.texts.length }, (_, i) => i),
      )
      t.diagnostic(`${stored.length} noted as stored, ${observed.texts.length} delivered`)
    })

    test('a tab that is looked at again tests its connection at once', async (t) => {
      const page = await tab(t)
      const sent = await page.evaluate(async (target) => {
        const { connect } = recado
        const types: string[] = []
        let wake = (): void => {}
        const client = await connect(target, {
          keepAliveSeconds: 20,
          trace: (direction: string, { type }: { type: number }) => {
            types.push(`${direction} ${type}`)
            if (type === 13) wake()
          },
        })
        types.length = 0
        const answered = new Promise<void>((resolve) => {
          wake = resolve
        })
        globalThis.skew += 25_000
        ;(globalThis as { document?: EventTarget }).document?.dispatchEvent(new Event('visibilitychange'))
        await answered
        await client.close()
        return types
      }, url())
      assert.deepEqual(sent.slice(0, 2), ['sent 12', 'received 13'])
    })
  })
}

chromiumSuite('mosquitto', startMosquitto, skip || skipWithout('mosquitto'))
chromiumSuite('recado', startRecado, skip)

test('IndexedDB in Chromium keeps the contract of session stores', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const page = await chromium.open()
  t.after(() => page.close())
  const results = await page.evaluate(async () => {
    const { rowStoreCases, IndexedDbRows } = recado
    const failures: string[] = []
    for (const { name, run } of rowStoreCases) {
      try {
        await run({ store: () => new IndexedDbRows({ name: `contract ${name}` }) })
      } catch (error) {
        failures.push(`${name}: ${String(error)}`)
      }
    }
    return { count: rowStoreCases.length, failures }
  })
  assert.deepEqual(results.failures, [])
  assert.ok(results.count >= 7)
})
