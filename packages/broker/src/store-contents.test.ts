import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openLmdbStore, openLmdbStoreReader } from './adapters/lmdb-store.ts'
import { encodeFlight } from './core/journal/message-records.ts'
import { type Store, Table } from './ports.ts'
import {
  StoreContents,
  type StoredMessage,
  type StoredRecipient,
  type StoredRecord,
  type StoredSession,
} from './store-contents.ts'
import { writeContents } from './store-contents-writer.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

function newFolder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'recado-contents-'))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const session = (clientId: string, rest: Partial<StoredSession> = {}): StoredSession => ({
  kind: 'session',
  clientId,
  expirySeconds: 3600,
  disconnectedAtMs: 1_790_000_000_123,
  subscriptions: [],
  receivedPacketIds: [],
  will: null,
  owner: clientId === 'bob' ? 'robert' : null,
  ...rest,
})

const waiting = (clientId: string, rest: Partial<StoredRecipient> = {}): StoredRecipient => ({
  clientId,
  qos: 1,
  retain: false,
  subscriptionIdentifiers: [],
  packetId: 0,
  awaits: null,
  ...rest,
})

const message = (topic: string, recipients: StoredRecipient[], rest: Partial<StoredMessage> = {}): StoredMessage => ({
  kind: 'message',
  topic,
  qos: 2,
  retain: false,
  payload: bytes('hello'),
  properties: {},
  expiresAtMs: null,
  recipients,
  ...rest,
})

const everything: StoredRecord[] = [
  session('alice', {
    expirySeconds: 0xffff_ffff,
    disconnectedAtMs: null,
    subscriptions: [
      { topicFilter: 'a/#', qos: 2, noLocal: true, retainAsPublished: true, subscriptionIdentifier: 7 },
      { topicFilter: '$share/g/ü/+', qos: 0, noLocal: false, retainAsPublished: false, subscriptionIdentifier: 0 },
    ],
    receivedPacketIds: [1, 65_535],
    will: {
      topic: 'a/gone',
      qos: 1,
      retain: true,
      payload: Uint8Array.of(0, 255, 10),
      properties: { messageExpiryIntervalSeconds: 5, contentType: 'x' },
      delaySeconds: 30,
      dueAtMs: null,
      leftBy: { username: 'ada', listener: '1883', grants: { publish: ['a/#'], subscribe: [] } },
    },
  }),
  session('bob', {
    will: {
      topic: 'b/gone',
      qos: 0,
      retain: false,
      payload: bytes(''),
      properties: {},
      delaySeconds: 0,
      dueAtMs: 1_790_000_001_000,
      leftBy: null,
    },
  }),
  session('Carol \u0001'),
  {
    kind: 'will',
    clientId: 'dave',
    topic: 'd/gone',
    qos: 1,
    retain: true,
    payload: bytes('gone'),
    properties: {},
    delaySeconds: 0,
    dueAtMs: null,
    leftBy: { listener: '1883', grants: null },
  },
  message('a/1', [waiting('alice', { subscriptionIdentifiers: [7, 8], retain: true })], {
    expiresAtMs: 1_790_000_002_345,
    properties: {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'r',
      correlationData: Uint8Array.of(1, 2, 255),
      userProperties: [
        ['k', 'v'],
        ['k', ''],
      ],
    },
  }),
  message('a/2', [waiting('alice', { qos: 2, packetId: 9, awaits: 'PUBREC' })]),
  message('b', [waiting('alice'), waiting('bob', { packetId: 3, awaits: 'PUBACK' })], {
    payload: new Uint8Array(9000),
  }),
  message('c', [waiting('bob', { qos: 2, packetId: 4, awaits: 'PUBCOMP' }), waiting('Carol \u0001')], {
    payload: bytes(''),
  }),
  {
    kind: 'retained',
    topic: 'a/1',
    qos: 1,
    retain: true,
    payload: bytes('kept'),
    properties: { contentType: 'text/plain' },
    expiresAtMs: 1_790_000_000_001,
  },
  { kind: 'retained', topic: 'z', qos: 0, retain: true, payload: bytes('z'), properties: {}, expiresAtMs: null },
  {
    kind: 'delayed',
    topic: 'later/1',
    qos: 2,
    retain: true,
    payload: bytes('later'),
    properties: { contentType: 'text/plain' },
    dueAtMs: 1_790_000_100_000,
    expiresAtMs: 1_790_000_105_000,
    leftBy: { clientId: 'alice', username: 'ada', listener: '1883', grants: { publish: ['later/#'], subscribe: [] } },
  },
  {
    kind: 'delayed',
    topic: 'later/2',
    qos: 0,
    retain: false,
    payload: bytes(''),
    properties: {},
    dueAtMs: 1_790_000_100_001,
    expiresAtMs: null,
    leftBy: null,
  },
]

/** Bytes as hexadecimal digits: Buffer and Uint8Array with the same bytes are the same here. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]))
}

const read = (source: ConstructorParameters<typeof StoreContents>[0]): unknown =>
  plain([...new StoreContents(source).all()])

function change(store: Store, fill: () => void): Promise<void> {
  return new Promise((resolve, reject) => store.write(fill, (error) => (error === null ? resolve() : reject(error))))
}

test('what is written is read again the same, by the store itself and by a reader beside it', async (context) => {
  const path = newFolder(context)
  const store = await openLmdbStore({ path })
  assert.equal(await writeContents(store, everything), everything.length)
  assert.deepEqual(read(store), plain(everything))
  const reader = await openLmdbStoreReader(path)
  assert.deepEqual(read(reader), plain(everything))
  await reader.close()
  await store.close()
})

test('queues are counted from keys, in messages, bytes and those in flight', async (context) => {
  const store = await openLmdbStore({ path: newFolder(context) })
  await writeContents(store, everything)
  let seen = 0
  const queues = new StoreContents(store).queues(() => seen++)
  assert.deepEqual(
    [...queues],
    [
      ['alice', { messages: 3, bytes: 8 + 38 + 8 + 9001, inflight: 1 }],
      ['bob', { messages: 2, bytes: 9001 + 1, inflight: 2 }],
      ['Carol \u0001', { messages: 1, bytes: 1, inflight: 0 }],
    ],
  )
  assert.equal(seen, 4)
  await store.close()
})

test('a recipient that is done, or whose session has ended, no longer waits', async (context) => {
  const store = await openLmdbStore({ path: newFolder(context) })
  const three = [waiting('a'), waiting('b'), waiting('c')]
  await writeContents(store, [
    session('a'),
    session('b'),
    session('c'),
    message('t', three),
    message('u', [waiting('b')]),
  ])
  await change(store, () => {
    store.put(Table.Flights, 1, 1, 0, encodeFlight({ packetId: 0, flow: 0, isDone: true }))
    store.remove(Table.Sessions, 2, 0, 0)
    store.put(Table.Flights, 1, 3, 0, encodeFlight({ packetId: 5, flow: 1, isDone: false }))
  })
  const contents = new StoreContents(store)
  const left = [...contents.messages()]
  assert.equal(left.length, 1)
  assert.deepEqual(left[0]?.recipients, [waiting('c', { packetId: 5, awaits: 'PUBACK' })])
  assert.deepEqual(
    [...contents.queues().values()].map(({ messages }) => messages),
    [0, 1],
  )
  await store.close()
})

test('damaged rows are passed over and counted', async (context) => {
  const store = await openLmdbStore({ path: newFolder(context) })
  await writeContents(store, [session('a'), message('t', [waiting('a')])])
  await change(store, () => {
    store.put(Table.Messages, 7, 1, 3, bytes('nonsense'))
    store.put(Table.Retained, 8, 0, 0, bytes('nonsense'))
  })
  const contents = new StoreContents(store)
  assert.equal([...contents.all()].length, 2)
  assert.equal(contents.damagedRows, 2)
  await store.close()
})

test('a reader sees the moment when it was opened', async (context) => {
  const path = newFolder(context)
  const store = await openLmdbStore({ path })
  await writeContents(store, [session('a'), message('t', [waiting('a')])])
  const reader = await openLmdbStoreReader(path)
  const messages = new StoreContents(reader).messages()[Symbol.iterator]()
  await change(store, () => {
    store.remove(Table.Sessions, 1, 0, 0)
    store.remove(Table.Messages, 1, 1, 6)
  })
  assert.equal([...new StoreContents(store).all()].length, 0)
  assert.equal(messages.next().value?.topic, 't')
  assert.equal([...new StoreContents(reader).all()].length, 2)
  await reader.close()
  await store.close()
})

test('records that contradict each other are refused', async (context) => {
  const refused = async (records: StoredRecord[], message: RegExp): Promise<void> => {
    const store = await openLmdbStore({ path: newFolder(context) })
    await assert.rejects(writeContents(store, records), { code: 'ERR_MQTT_STORE_CONTENTS', message })
    await store.close()
  }
  await refused([session('a'), session('a')], /the session "a" exists already/)
  await refused([message('t', [waiting('a')])], /waits for "a", which has no session/)
  await refused([session('a'), message('t', [])], /no recipients/)
  const retained = everything.filter(({ kind }) => kind === 'retained')
  await refused([...retained, ...retained], /a\/1 has a retained message already/)
})

test('many messages are written in batches', async (context) => {
  const store = await openLmdbStore({ path: newFolder(context) })
  const records = function* (): Iterable<StoredRecord> {
    yield session('a')
    for (let i = 0; i < 25_000; i++) yield message(`t/${i}`, [waiting('a')])
  }
  let told = 0
  assert.equal(await writeContents(store, records(), () => told++), 25_001)
  assert.equal(told, 25_001)
  let next = 0
  for (const { topic } of new StoreContents(store).messages()) assert.equal(topic, `t/${next++}`)
  assert.equal(next, 25_000)
  await store.close()
})
