import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionError, Puback, Pubcomp, Publish, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { ClientClosedError, SessionStoreError } from '../errors.ts'
import type { Message } from '../message.ts'
import { type FakeServer, SimulatedWorld, turn } from '../testing/simulated.ts'
import { memory } from './memory.ts'
import type { OpenedRows, RowChanges, RowStore } from './rows.ts'
import type { SessionStore } from './session-store.ts'
import { StoredSession } from './stored-session.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Rows on a simulated disk, which writes when it is told. */
class Disk {
  readonly rows = new Map<number, Uint8Array>()
  /** Batches are written at once. */
  isQuick = true
  /** Every write fails with this while it is set. */
  failure: Error | null = null
  readonly batches: RowChanges[] = []
  #waiting: (() => void)[] = []

  /** Returns the store as a new process gets it; the old process is dead and reports nothing. */
  store(): SessionStore {
    return new StoredSession(new DiskRows(this))
  }

  write(changes: RowChanges): Promise<void> {
    this.batches.push(changes)
    return new Promise((resolve, reject) => {
      const write = (): void => {
        if (this.failure !== null) {
          reject(this.failure)
          return
        }
        for (const [key, row] of changes) {
          if (row === null) this.rows.delete(key)
          else this.rows.set(key, row)
        }
        resolve()
      }
      if (this.isQuick) write()
      else this.#waiting.push(write)
    })
  }

  /** Makes all writes safe that have begun. */
  async sync(): Promise<void> {
    await turn()
    for (const write of this.#waiting.splice(0)) write()
    await turn()
  }

  /** Ends the machine: writes that were not yet durable are lost. */
  crash(): void {
    this.#waiting = []
  }
}

class DiskRows implements RowStore {
  readonly name: string = 'on the simulated disk'
  readonly #disk: Disk

  constructor(disk: Disk) {
    this.#disk = disk
  }

  open(): Promise<OpenedRows> {
    return Promise.resolve({ rows: [...this.#disk.rows].sort(([a], [b]) => a - b), quarantined: null })
  }

  write(changes: RowChanges): Promise<void> {
    return this.#disk.write(changes)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

async function started(
  disk: Disk,
  sessionPresent = false,
): Promise<{ world: SimulatedWorld; client: ReturnType<SimulatedWorld['client']>; server: FakeServer }> {
  const world = new SimulatedWorld()
  const client = world.client({ store: disk.store() })
  const connecting = client.connect()
  const server = await world.connection()
  const connect = await server.accept({}, sessionPresent)
  assert.equal(connect.cleanStart, false)
  await connecting
  await turn()
  return { world, client, server }
}

test('a QoS 2 PUBLISH leaves when its identifier is safe, PUBREL when its PUBREC is', async () => {
  const disk = new Disk()
  const { client, server } = await started(disk)
  disk.isQuick = false
  const published = client.publish('t', 'x', { qos: 2 })
  await turn()
  assert.deepEqual(server.received, [])
  await disk.sync()
  const { packetId } = await server.expect(3)
  server.send(new Pubrec(packetId))
  await turn()
  assert.deepEqual(server.received, [])
  await disk.sync()
  assert.equal((await server.expect(6)).packetId, packetId)
  server.send(new Pubcomp(packetId))
  assert.equal((await published).reasonCode, 0)
  client.destroy()
})

test('QoS 1 does not wait for the disk, but does not overtake a QoS 2 message that does', async () => {
  const disk = new Disk()
  const { client, server } = await started(disk)
  disk.isQuick = false
  const quick = client.publish('t', 'first', { qos: 1 })
  assert.equal(text((await server.expect(3)).payload), 'first')
  client.publish('t', 'second', { qos: 2 }).catch(() => {})
  client.publish('t', 'third', { qos: 1 }).catch(() => {})
  await turn()
  assert.deepEqual(server.received, [])
  server.send(new Puback(1))
  await quick
  await disk.sync()
  await disk.sync()
  assert.deepEqual(
    [text((await server.expect(3)).payload), text((await server.expect(3)).payload)],
    ['second', 'third'],
  )
  client.destroy()
})

test('a message that is acknowledged before its batch begins is never written', async () => {
  const disk = new Disk()
  const { client, server } = await started(disk)
  disk.isQuick = false
  const first = client.publish('t', 'first', { qos: 1 })
  await turn()
  const before = disk.batches.length
  const second = client.publish('t', 'second', { qos: 1 })
  await turn()
  server.send(new Puback(1), new Puback(2))
  await first
  await second
  await disk.sync()
  await disk.sync()
  const changes = disk.batches.slice(before).flatMap((batch) => [...batch])
  assert.deepEqual(
    changes.map(([, row]) => row),
    [null],
  )
  client.destroy()
})

test('after a crash the next client sends what is not confirmed, with its identifiers and in order, then the queue', async () => {
  const disk = new Disk()
  const { client, server } = await started(disk)
  for (const [payload, qos] of [
    ['one', 1],
    ['two', 2],
    ['three', 2],
  ] as const) {
    client.publish('t', payload, { qos, properties: { contentType: payload } }).catch(() => {})
  }
  await turn()
  const [one, two, three] = [await server.expect(3), await server.expect(3), await server.expect(3)]
  server.send(new Pubrec(three.packetId))
  await server.expect(6)
  server.break()
  await turn()
  client.publish('t', 'offline', { qos: 1, retain: true }).catch(() => {})
  client.publish('t', 'lost', { qos: 0 }).catch(() => {})
  await turn()
  disk.crash()

  const next = await started(disk, true)
  assert.equal(next.client.clientId, client.clientId)
  const again = [await next.server.expect(3), await next.server.expect(3)]
  assert.deepEqual(
    again.map((publish) => [text(publish.payload), publish.packetId, publish.dup, publish.properties.contentType]),
    [
      ['one', one.packetId, true, 'one'],
      ['two', two.packetId, true, 'two'],
    ],
  )
  assert.equal((await next.server.expect(6)).packetId, three.packetId)
  next.client.publish('t', 'new', { qos: 1 }).catch(() => {})
  const offline = await next.server.expect(3)
  assert.deepEqual([text(offline.payload), offline.dup, offline.retain], ['offline', false, true])
  const fresh = await next.server.expect(3)
  assert.equal(text(fresh.payload), 'new')
  assert.equal(new Set([one, two, three, offline, fresh].map(({ packetId }) => packetId)).size, 5)
  next.server.send(new Puback(one.packetId), new Pubrec(two.packetId), new Pubcomp(three.packetId))
  next.server.send(new Puback(offline.packetId), new Puback(fresh.packetId))
  await next.server.expect(6)
  next.server.send(new Pubcomp(two.packetId))
  await turn()
  assert.deepEqual(next.client.pending, { queued: 0, inflight: 0, unacknowledged: 0 })
  await turn()
  // All that is left is the Client Identifier.
  assert.equal(disk.rows.size, 1)
  client.destroy()
  next.client.destroy()
})

test('what was published before the store is open comes after what it has', async () => {
  const disk = new Disk()
  const first = disk.store()
  const world = new SimulatedWorld()
  const offline = world.client({ store: first, retryFirst: true })
  world.unreachable = new ClientClosedError('no network')
  offline.connect().catch(() => {})
  await turn()
  for (const payload of ['a', 'b']) await offline.publish('t', payload, { qos: 1, until: 'stored' })
  await offline.close()
  const next = new SimulatedWorld()
  const client = next.client({ store: disk.store() })
  const early = client.publish('t', 'c', { qos: 1, until: 'stored' })
  const connecting = client.connect()
  const server = await next.connection()
  await server.accept()
  await connecting
  await early
  const seen = [await server.expect(3), await server.expect(3), await server.expect(3)]
  assert.deepEqual(
    seen.map(({ payload }) => text(payload)),
    ['a', 'b', 'c'],
  )
  client.destroy()
})

test("until: 'stored' resolves when the message is safe; a refusal is told to onUndelivered", async () => {
  const disk = new Disk()
  const { client, server } = await started(disk)
  disk.isQuick = false
  let isStored = false
  const payload = Uint8Array.of(1)
  const stored = client.publish('t', payload, { qos: 1, until: 'stored' }).then(() => {
    isStored = true
  })
  await turn()
  assert.equal(isStored, false)
  await disk.sync()
  await stored
  payload[0] = 9
  const undelivered: [string, number, unknown][] = []
  client.onUndelivered = (message, error) => undelivered.push([message.topic, message.payload[0]!, error.code])
  const publish = await server.expect(3)
  server.send(new Puback(publish.packetId, ReasonCode.NotAuthorized))
  await turn()
  assert.deepEqual(undelivered, [['t', 1, 'ERR_MQTT_PUBLISH_REFUSED']])
  await disk.sync()
  assert.equal(disk.rows.size, 1)
  await assert.rejects(client.publish('t', 'x', { until: 'stored' }), OptionError)
  client.destroy()
})

test('a message of a process before this one that is refused is told to onUndelivered, or counted', async () => {
  const disk = new Disk()
  const before = await started(disk)
  before.client.publish('t', 'x', { qos: 1 }).catch(() => {})
  await before.server.expect(3)
  before.client.destroy()
  const { client, server } = await started(disk, true)
  const { packetId } = await server.expect(3)
  server.send(new Puback(packetId, ReasonCode.QuotaExceeded))
  await turn()
  assert.equal(client.undeliveredMessages, 1)
  client.destroy()
})

test('when the server has lost the session all goes out as new, and nothing is received before the old identifiers are forgotten', async () => {
  const disk = new Disk()
  const before = await started(disk)
  const subscription = before.client.subscribe('t', { qos: 2 }, () => {})
  await before.server.expect(8)
  before.server.send(Publish.of({ topic: 't', qos: 2, packetId: 7 }))
  assert.equal((await before.server.expect(5)).packetId, 7)
  before.client.publish('t', 'again', { qos: 2 }).catch(() => {})
  const { packetId } = await before.server.expect(3)
  before.server.send(new Pubrec(packetId))
  await before.server.expect(6)
  before.client.publish('t', 'once more', { qos: 2 }).catch(() => {})
  await before.server.expect(3)
  disk.crash()
  disk.isQuick = false
  const { client, server } = await started(disk, false)
  client.subscribe('t', { qos: 2 }, () => {})
  await turn()
  assert.deepEqual(server.received, [])
  await disk.sync()
  await server.expect(8)
  await disk.sync()
  const publish = await server.expect(3)
  assert.deepEqual([text(publish.payload), publish.dup], ['once more', false])
  server.send(Publish.of({ topic: 't', qos: 2, packetId: 7 }))
  await disk.sync()
  assert.equal((await server.expect(5)).packetId, 7)
  assert.ok(subscription)
  before.client.destroy()
  client.destroy()
})

// Found by the simulation, seed 100046.
test('a process that dies when the server has just lost the session leaves no identifiers that take a new message for an old one', async () => {
  const disk = new Disk()
  const first = await started(disk)
  first.server.send(Publish.of({ topic: 't', qos: 2, packetId: 7, payload: Uint8Array.of(1) }))
  await first.server.expect(5)
  disk.crash()
  disk.isQuick = false
  // The server has lost the session, and the process dies before that is safe.
  const second = await started(disk, false)
  disk.crash()
  disk.isQuick = true
  const third = await started(disk, true)
  const seen: number[] = []
  third.client.onMessage = ({ payload }) => void seen.push(payload[0]!)
  third.server.send(Publish.of({ topic: 't', qos: 2, packetId: 7, payload: Uint8Array.of(2), dup: true }))
  assert.equal((await third.server.expect(5)).packetId, 7)
  third.server.send(Publish.of({ topic: 't', qos: 2, packetId: 7, payload: Uint8Array.of(2), dup: true }))
  assert.equal((await third.server.expect(5)).packetId, 7)
  assert.deepEqual(seen, [2])
  for (const { client } of [first, second, third]) client.destroy()
})

test('a QoS 2 message that the application was done with does not come again after a crash; one that it was not does', async () => {
  const disk = new Disk()
  const before = await started(disk)
  const seen: string[] = []
  before.client.subscribe('t', { qos: 2, ack: 'manual' }, (message) => {
    seen.push(message.text())
    if (message.text() === 'done') message.ack()
  })
  await before.server.expect(8)
  disk.isQuick = false
  const done = Publish.of({ topic: 't', qos: 2, packetId: 1, payload: new TextEncoder().encode('done') })
  const open = Publish.of({ topic: 't', qos: 2, packetId: 2, payload: new TextEncoder().encode('open') })
  before.server.send(done, open)
  await turn()
  // The identifier is not safe yet: no PUBREC, not even when the message comes again.
  assert.deepEqual(before.server.received, [])
  await disk.sync()
  assert.equal((await before.server.expect(5)).packetId, 1)
  assert.deepEqual(seen, ['done', 'open'])
  disk.crash()
  disk.isQuick = true

  const next = await started(disk, true)
  const again: string[] = []
  next.client.subscribe('t', { qos: 2 }, (message) => void again.push(message.text()))
  await next.server.expect(8)
  next.server.send(done, open)
  assert.deepEqual([(await next.server.expect(5)).packetId, (await next.server.expect(5)).packetId], [1, 2])
  assert.deepEqual(again, ['open'])
  disk.isQuick = false
  next.server.send(new Pubrel(1))
  await turn()
  assert.deepEqual(next.server.received, [])
  await disk.sync()
  assert.equal((await next.server.expect(7)).packetId, 1)
  before.client.destroy()
  next.client.destroy()
})

// Found by the simulation, seed 79: PUBCOMP 0x92 left at once, the process died, and the next message with this identifier was lost.
test('a PUBREL that comes again after a reconnect is not answered before it is safe that its identifier is free', async () => {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  server.send(Publish.of({ topic: 't', qos: 2, packetId: 1 }))
  await server.expect(5)
  disk.isQuick = false
  server.send(new Pubrel(1))
  await turn()
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  again.send(new Pubrel(1))
  await turn()
  assert.deepEqual(again.received, [])
  await disk.sync()
  const { packetId, reasonCode } = await again.expect(7)
  assert.deepEqual([packetId, reasonCode], [1, ReasonCode.PacketIdentifierNotFound])
  client.destroy()
})

test('while the store cannot be written messages are refused; it is tried every second and goes on', async () => {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  const errors: SessionStoreError[] = []
  client.onStoreError = (error) => errors.push(error)
  disk.failure = new Error('disk full')
  const waiting = client.publish('t', 'x', { qos: 2 })
  await turn()
  assert.deepEqual(server.received, [])
  assert.match(errors[0]!.message, /disk full/)
  assert.equal(client.storeError, errors[0])
  await assert.rejects(client.publish('t', 'y', { qos: 1 }), SessionStoreError)
  await client.publish('t', 'z', { qos: 0 })
  await server.expect(3)
  await world.advance(1_000)
  assert.equal(errors.length, 2)
  disk.failure = null
  await world.advance(1_000)
  const { packetId } = await server.expect(3)
  server.send(new Pubrec(packetId))
  await server.expect(6)
  server.send(new Pubcomp(packetId))
  await waiting
  client.destroy()
  await client.closed
  assert.equal(world.timers, 0)
})

// Found by clients/kill.test.ts: killed when it had subscribed, the next process ended the session, with all that had been published to it.
for (const clientId of ['me', undefined]) {
  const who = clientId === undefined ? 'a Client Identifier made up' : 'a given Client Identifier'
  test(`with a new store and ${who}, SUBSCRIBE leaves when the identifier is in the store: then the session outlives the process`, async () => {
    const disk = new Disk()
    disk.isQuick = false
    const world = new SimulatedWorld()
    const client = world.client({ store: disk.store(), ...(clientId === undefined ? {} : { clientId }) })
    client.subscribe('t', { qos: 1 }, () => {})
    const connecting = client.connect()
    const server = await world.connection()
    const connect = await server.accept()
    await connecting
    await turn()
    assert.deepEqual(server.received, [])
    await disk.sync()
    await server.expect(8)

    disk.crash()
    disk.isQuick = true
    const nextWorld = new SimulatedWorld()
    const next = nextWorld.client({ store: disk.store(), ...(clientId === undefined ? {} : { clientId }) })
    next.connect().catch(() => {})
    const again = await (await nextWorld.connection()).expect(1)
    assert.deepEqual([again.clientId, again.cleanStart], [connect.clientId, false])
    next.destroy()
  })
}

test('with a given Client Identifier and a store that fails when it is to be noted, SUBSCRIBE leaves all the same', async () => {
  const disk = new Disk()
  disk.failure = new Error('no space')
  const world = new SimulatedWorld()
  const client = world.client({ store: disk.store(), clientId: 'me' })
  client.subscribe('t', { qos: 1 }, () => {})
  client.connect().catch(() => {})
  const server = await world.connection()
  await server.accept()
  await server.expect(8)
  assert.ok(client.storeError instanceof SessionStoreError)
  client.destroy()
})

test('a store that cannot be written from the beginning holds up neither QoS 0 nor subscriptions', async () => {
  const disk = new Disk()
  disk.failure = new Error('disk full')
  const { world, client, server } = await started(disk)
  assert.match(client.storeError?.message ?? '', /disk full/)
  await client.publish('t', 'x')
  client.subscribe('t', { qos: 1 }, () => {})
  await server.expect(3)
  await server.expect(8)
  await assert.rejects(client.publish('t', 'y', { qos: 1 }), { code: 'ERR_MQTT_SESSION_STORE' })
  disk.failure = null
  await world.advance(1_000)
  client.publish('t', 'z', { qos: 1 }).catch(() => {})
  assert.equal(text((await server.expect(3)).payload), 'z')
  client.destroy()
})

test('after a reconnect nothing is sent again before what the last connection changed is safe', async () => {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  disk.isQuick = false
  client.publish('t', 'x', { qos: 2 }).catch(() => {})
  await turn()
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  await turn()
  assert.deepEqual(again.received, [])
  await disk.sync()
  assert.equal(text((await again.expect(3)).payload), 'x')
  client.destroy()
})

test('a message that the lost session had confirmed by PUBREC is done, and leaves the store', async () => {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  const published = client.publish('t', 'x', { qos: 2 })
  server.send(new Pubrec((await server.expect(3)).packetId))
  await server.expect(6)
  assert.ok(disk.rows.size > 1)
  server.break()
  await world.advance(1_000)
  await (await world.connection()).accept({}, false)
  assert.equal((await published).reasonCode, 0)
  await turn()
  assert.equal(disk.rows.size, 1)
  client.destroy()
})

/** The server has sent PUBREC and then lost the session, and the store could not note it. */
async function confirmedWhenDiskIsFull() {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  const published = client.publish('t', 'x', { qos: 2 })
  const { packetId } = await server.expect(3)
  disk.failure = new Error('disk full')
  server.send(new Pubrec(packetId))
  await turn()
  server.break()
  await world.advance(1_000)
  await (await world.connection()).accept({}, false)
  return { disk, world, client, published }
}

test('a message that the lost session had confirmed by PUBREC is done when the store knows, and not before (seed 9098023)', async () => {
  const { disk, world, client, published } = await confirmedWhenDiskIsFull()
  let isDone = false
  void published.then(() => {
    isDone = true
  })
  await world.advance(1_000)
  assert.equal(isDone, false)
  disk.failure = null
  await world.advance(1_000)
  assert.equal((await published).reasonCode, 0)
  assert.equal(disk.rows.size, 1)
  client.destroy()
})

test('a message that the lost session had confirmed is rejected when the client closes before the store knows', async () => {
  const { client, published } = await confirmedWhenDiskIsFull()
  client.destroy()
  await assert.rejects(published, ClientClosedError)
})

test('an acknowledgement without a connection is remembered', async () => {
  const disk = new Disk()
  const { client, server } = await started(disk)
  const messages: Message[] = []
  client.subscribe('t', { qos: 2, ack: 'manual' }, (message) => void messages.push(message))
  await server.expect(8)
  server.send(Publish.of({ topic: 't', qos: 2, packetId: 9 }))
  await turn()
  server.break()
  await turn()
  messages[0]!.ack()
  await turn()
  disk.crash()
  const next = await started(disk, true)
  const again: Message[] = []
  next.client.subscribe('t', { qos: 2 }, (message) => void again.push(message))
  await next.server.expect(8)
  next.server.send(Publish.of({ topic: 't', qos: 2, packetId: 9, dup: true }))
  assert.equal((await next.server.expect(5)).packetId, 9)
  assert.deepEqual(again, [])
  client.destroy()
  next.client.destroy()
})

test('what changes while a batch fails wins over the batch', async () => {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  disk.isQuick = false
  const published = client.publish('t', 'x', { qos: 1 })
  const { packetId } = await server.expect(3)
  await turn()
  server.send(new Puback(packetId))
  await published
  disk.failure = new Error('disk full')
  await disk.sync()
  assert.match(client.storeError?.message ?? '', /disk full/)
  disk.failure = null
  disk.isQuick = true
  await world.advance(1_000)
  assert.equal(disk.rows.size, 1)
  client.destroy()
})

test('messages of three processes in a row do not overwrite each other', async () => {
  const disk = new Disk()
  const clients = []
  for (const payload of ['one', 'two']) {
    const { client } = await started(disk, clients.length > 0)
    client.publish('t', payload, { qos: 1 }).catch(() => {})
    await turn()
    clients.push(client)
    disk.crash()
  }
  const third = await started(disk, true)
  const seen = [await third.server.expect(3), await third.server.expect(3)]
  assert.deepEqual(
    seen.map(({ payload }) => text(payload)),
    ['one', 'two'],
  )
  for (const client of [...clients, third.client]) client.destroy()
})

test('close() leaves what is not delivered to the next client, and the store free', async () => {
  const store = memory()
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ store, clientId: 'me' })
  const published = client.publish('t', 'x', { qos: 1 })
  await server.expect(3)
  const closing = client.close({ drainMs: 0 })
  await assert.rejects(published, ClientClosedError)
  const disconnect = await server.expect(14)
  assert.deepEqual(disconnect.properties, {})
  await closing
  const again = world.client({ store })
  const connecting = again.connect()
  const next = await world.connection()
  const connect = await next.accept({}, true)
  await connecting
  assert.deepEqual([connect.clientId, connect.properties.sessionExpiryIntervalSeconds], ['me', 604_800])
  assert.equal(text((await next.expect(3)).payload), 'x')
  again.destroy()
})

test('two clients cannot have one store, and a store cannot have another Client Identifier', async () => {
  const store = memory()
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ store, clientId: 'me' })
  await assert.rejects(world.client({ store }).connect(), { code: 'ERR_MQTT_SESSION_STORE_LOCKED' })
  // The loser has not taken it from the winner.
  client.publish('t', 'x', { qos: 2 }).catch(() => {})
  await server.expect(3)
  client.destroy()
  await client.closed
  await assert.rejects(world.client({ store, clientId: 'you' }).connect(), { code: 'ERR_MQTT_SESSION_STORE_MISMATCH' })
  const third = world.client({ store })
  third.connect().catch(() => {})
  await (await world.connection()).accept({}, true)
  third.destroy()
})

test('damaged rows are set aside and reported; the others are used', async () => {
  const disk = new Disk()
  const before = await started(disk)
  for (const payload of ['good', 'bad']) before.client.publish('t', payload, { qos: 1 }).catch(() => {})
  await turn()
  before.client.destroy()
  const [key, row] = [...disk.rows].find(([, bytes]) => text(bytes).endsWith('bad'))!
  disk.rows.set(key, row.with(row.length - 1, 0))
  disk.rows.set(12345, new Uint8Array(0))
  const { client, server } = await started(disk, true)
  assert.equal(client.storeError?.code, 'ERR_MQTT_SESSION_STORE_CORRUPT')
  assert.match(client.storeError?.message ?? '', /2 damaged rows/)
  assert.equal(text((await server.expect(3)).payload), 'good')
  assert.deepEqual(server.received, [])
  client.destroy()
  await client.closed
  const third = await started(disk, true)
  assert.equal(third.client.storeError, null)
  third.client.destroy()
})

test('a QoS 2 message that expires while it waits for the disk is not sent, and its identifier is free', async () => {
  const disk = new Disk()
  const { world, client, server } = await started(disk)
  disk.isQuick = false
  const properties = { messageExpiryIntervalSeconds: 1 }
  const expired = client.publish('t', 'expired', { qos: 2, properties })
  expired.catch(() => {})
  const next = client.publish('t', 'next', { qos: 1 })
  await world.advance(1_000)
  await disk.sync()
  await assert.rejects(expired, { code: 'ERR_MQTT_MESSAGE_EXPIRED' })
  const { payload, packetId } = await server.expect(3)
  assert.equal(text(payload), 'next')
  server.send(new Puback(packetId))
  await next
  await disk.sync()
  await disk.sync()
  assert.equal(disk.rows.size, 1)
  assert.deepEqual(client.pending, { queued: 0, inflight: 0, unacknowledged: 0 })
  client.destroy()
})

test('a message that is given up while it waits leaves the store', async () => {
  const disk = new Disk()
  const world = new SimulatedWorld()
  const client = world.client({
    store: disk.store(),
    retryFirst: true,
    queue: { messagesMax: 2, overflow: 'drop-oldest' },
  })
  world.unreachable = new ClientClosedError('no network')
  client.connect().catch(() => {})
  await turn()
  const abort = new AbortController()
  const first = client.publish('t', '1', { qos: 1 })
  const second = client.publish('t', '2', { qos: 1, signal: abort.signal })
  await turn()
  assert.equal(disk.rows.size, 3)
  abort.abort(new Error('no more'))
  await assert.rejects(second, /no more/)
  client.publish('t', '3', { qos: 1 }).catch(() => {})
  client.publish('t', '4', { qos: 1 }).catch(() => {})
  await assert.rejects(first, { code: 'ERR_MQTT_QUEUE_FULL' })
  await turn()
  assert.equal(disk.rows.size, 3)
  client.destroy()
})
