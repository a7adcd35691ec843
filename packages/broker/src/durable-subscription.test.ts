/** Durable subscriptions of the embedding program, on a real store and on a simulated one. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Broker, createBroker } from './broker.ts'
import type { BrokerOptions } from './broker-options.ts'
import type { DurableSubscription } from './durable-subscription.ts'
import { lmdb } from './stores.ts'
import { SimStore } from './testing/sim-store.ts'

/** Texts that a durable subscription gets, to be awaited one by one. */
class Inbox {
  readonly #texts: string[] = []
  #wake: () => void = () => {}

  readonly put = (message: { topic: string; payload: Uint8Array }): void => {
    this.#texts.push(`${message.topic} ${new TextDecoder().decode(message.payload)}`)
    this.#wake()
  }

  async take(count: number): Promise<string[]> {
    while (this.#texts.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#texts.splice(0, count)
  }

  get isEmpty(): boolean {
    return this.#texts.length === 0
  }
}

async function withStore(use: (open: (options?: BrokerOptions) => Promise<Broker>) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'recado-durable-'))
  try {
    await use(async (options = {}) => createBroker({ ...options, store: await lmdb({ path }) }))
  } finally {
    await rm(path, { recursive: true })
  }
}

const publish = (broker: Broker, topic: string, payload: string): Promise<{ reasonCode: number }> =>
  broker.publish({ topic, payload, qos: 1 })

test('messages wait while the program is away, and come in order', async () => {
  await withStore(async (open) => {
    let broker = await open()
    const inbox = new Inbox()
    await broker.subscribeDurably('log', 'a/#', inbox.put)
    await publish(broker, 'a/1', 'first')
    assert.deepEqual(await inbox.take(1), ['a/1 first'])
    await broker.close()

    broker = await open()
    for (const text of ['second', 'third']) await publish(broker, 'a/1', text)
    assert.equal(broker.inspect.session('\0log')!.queuedMessages, 2)
    await broker.subscribeDurably('log', 'a/#', inbox.put)
    assert.deepEqual(await inbox.take(2), ['a/1 second', 'a/1 third'])
    await broker.close()

    broker = await open()
    assert.equal(broker.inspect.session('\0log')!.queuedMessages, 0)
    await broker.close()
  })
})

test('a handler that fails gets its message again, and no later one before', async () => {
  const failures: string[] = []
  const broker = createBroker({ observer: { 'hook.failed': ({ hook }) => failures.push(hook) } })
  const inbox = new Inbox()
  let calls = 0
  await broker.subscribeDurably('work', 't', async (message) => {
    if (++calls === 1) throw new Error('not now')
    inbox.put(message)
  })
  await publish(broker, 't', '1')
  await publish(broker, 't', '2')
  assert.deepEqual(await inbox.take(2), ['t 1', 't 2'])
  assert.deepEqual(failures, ['durable subscription work'])
  await broker.close()
})

test('what the handler was at work on when the broker ended comes again', async () => {
  await withStore(async (open) => {
    let broker = await open()
    let began = (): void => {}
    const hasBegun = new Promise<void>((resolve) => {
      began = resolve
    })
    let finish = (): void => {}
    await broker.subscribeDurably('slow', 't', () => {
      began()
      return new Promise<void>((resolve) => {
        finish = resolve
      })
    })
    await publish(broker, 't', '1')
    await hasBegun
    await broker.close({ timeoutMs: 10 })
    finish()
    broker = await open()
    const inbox = new Inbox()
    await broker.subscribeDurably('slow', 't', inbox.put)
    assert.deepEqual(await inbox.take(1), ['t 1'])
    await broker.close()
  })
})

test('closing lets messages wait, unsubscribing ends all, and the same name takes over', async () => {
  const broker = createBroker()
  const inbox = new Inbox()
  const first: DurableSubscription = await broker.subscribeDurably('n', 't', inbox.put)
  await first.close()
  await publish(broker, 't', 'waits')
  assert.equal(broker.inspect.session('\0n')!.isConnected, false)
  assert.ok(inbox.isEmpty)
  const old = new Inbox()
  await broker.subscribeDurably('n', 't', old.put)
  assert.deepEqual(await old.take(1), ['t waits'])
  const last = await broker.subscribeDurably('n', 'u', inbox.put)
  await publish(broker, 't', 'nobody')
  await publish(broker, 'u', 'last')
  assert.deepEqual(await inbox.take(1), ['u last'])
  assert.ok(old.isEmpty)
  await last.unsubscribe()
  assert.equal(broker.inspect.session('\0n'), null)
  assert.equal(broker.metrics().subscriptions, 0)
  await broker.close()
})

test('more messages than are given to a handler at a time, retained ones first, whatever the authorizer says of clients', async () => {
  const broker = createBroker({ authorize: { publish: () => false, subscribe: () => false, mayReceive: () => false } })
  await broker.publish({ topic: 't', payload: 'retained', retain: true, qos: 1 })
  const inbox = new Inbox()
  await broker.subscribeDurably('all', 't', inbox.put)
  const expected = ['t retained']
  for (let i = 0; i < 500; i++) {
    expected.push(`t ${i}`)
    void publish(broker, 't', `${i}`)
  }
  broker.recheck()
  assert.deepEqual(await inbox.take(501), expected)
  // Not once more: the subscription was there.
  await broker.subscribeDurably('all', 't', inbox.put)
  await publish(broker, 't', 'next')
  assert.deepEqual(await inbox.take(1), ['t next'])
  await broker.close()
})

test('a retained message is found behind more topics than are looked at in a turn', async () => {
  const broker = createBroker()
  for (let i = 0; i < 1_200; i++) await broker.publish({ topic: `a/${i}/x`, payload: 'other', retain: true })
  await broker.publish({ topic: 'a/last/y', payload: 'wanted', retain: true })
  const inbox = new Inbox()
  await broker.subscribeDurably('log', 'a/+/y', inbox.put)
  assert.deepEqual(await inbox.take(1), ['a/last/y wanted'])
  await broker.close()
})

test('names and filters are checked', async () => {
  const broker = createBroker()
  const nothing = (): void => {}
  await assert.rejects(broker.subscribeDurably('', 't', nothing), { code: 'ERR_MQTT_OPTION' })
  await assert.rejects(broker.subscribeDurably('a\0b', 't', nothing), { code: 'ERR_MQTT_OPTION' })
  await assert.rejects(broker.subscribeDurably('a', 't#', nothing), { code: 'ERR_MQTT_TOPIC_FILTER' })
  await broker.close()
  await assert.rejects(broker.subscribeDurably('a', 't', nothing), { code: 'ERR_MQTT_CLOSED' })
})

test('a handle that a later one of its name has taken the place of ends only itself', async () => {
  const broker = createBroker()
  const inbox = new Inbox()
  const first = await broker.subscribeDurably('log', 't', () => {})
  const second = await broker.subscribeDurably('log', 't', inbox.put)
  await first.unsubscribe()
  await publish(broker, 't', 'here')
  assert.deepEqual(await inbox.take(1), ['t here'])
  await second.close()
  await first.unsubscribe()
  assert.notEqual(broker.inspect.session('\0log'), null)
  await second.unsubscribe()
  await second.unsubscribe()
  assert.equal((await publish(broker, 't', 'nobody')).reasonCode, 0x10)
  await broker.close()
})

test('what is retained while the subscription is on its way to the disk comes once', async () => {
  await withStore(async (open) => {
    const broker = await open()
    const inbox = new Inbox()
    const subscribing = broker.subscribeDurably('log', 't', inbox.put)
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([subscribing, broker.publish({ topic: 't', payload: 'now', qos: 1, retain: true })])
    await publish(broker, 't', 'end')
    assert.deepEqual(await inbox.take(2), ['t now', 't end'])
    await broker.close()
  })
})

test('an ended subscription is off the disk when the promise resolves', async () => {
  const disk = new SimStore()
  const broker = createBroker({ store: disk })
  const writes: string[] = []
  disk.onWrite = () => setImmediate(() => disk.step())
  const subscription = await broker.subscribeDurably('log', 't', () => {})
  disk.onWrite = () => {
    writes.push('handed over')
    setImmediate(() => {
      writes.push('safe')
      disk.step()
    })
  }
  await subscription.unsubscribe()
  writes.push('resolved')
  assert.deepEqual(writes.slice(-2), ['safe', 'resolved'])
  disk.onWrite = () => setImmediate(() => disk.step())
  await broker.close()
})

for (const how of ['close', 'unsubscribe'] as const) {
  test(`${how} within the handler resolves, and no further message comes`, async () => {
    await withStore(async (open) => {
      const broker = await open()
      const inbox = new Inbox()
      let subscription: DurableSubscription | null = null
      subscription = await broker.subscribeDurably('log', 'a/#', async (message) => {
        await subscription![how]()
        inbox.put(message)
      })
      await Promise.all(['first', 'second'].map((text) => publish(broker, 'a/1', text)))
      assert.deepEqual(await inbox.take(1), ['a/1 first'])
      await subscription.close()
      const session = broker.inspect.session('\0log')
      const left = session === null ? null : session.queuedMessages + session.inflight
      assert.equal(left, how === 'close' ? 1 : null)
      assert.ok(inbox.isEmpty)
      await broker.close()
    })
  })
}
