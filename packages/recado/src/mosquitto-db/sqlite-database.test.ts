/* Data of Mosquitto 2.1's SQLite persistence is imported: its tables are made here as the plugin makes them. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { printed, run, temporaryFolder } from '../testing/program.ts'
import { SQLITE_FILE } from './sqlite-database.ts'

const { Database } = createRequire(import.meta.url)('node-sqlite3-wasm') as typeof import('node-sqlite3-wasm')

const tables = [
  'version_info (component TEXT NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL, patch INTEGER NOT NULL)',
  'base_msgs (store_id INT64 PRIMARY KEY, expiry_time INT64, topic STRING NOT NULL, payload BLOB, source_id STRING, source_username STRING, payloadlen INTEGER, source_mid INTEGER, source_port INTEGER, qos INTEGER, retain INTEGER, properties STRING)',
  'retains (topic STRING PRIMARY KEY, store_id INT64)',
  'clients (client_id TEXT PRIMARY KEY, username TEXT, connection_time INT64, will_delay_time INT64, session_expiry_time INT64, listener_port INT, max_packet_size INT, max_qos INT, retain_available INT, session_expiry_interval INT, will_delay_interval INT)',
  'subscriptions (client_id TEXT NOT NULL, topic TEXT NOT NULL, subscription_options INTEGER, subscription_identifier INTEGER, PRIMARY KEY (client_id, topic))',
  'client_msgs (client_id TEXT NOT NULL, cmsg_id INT64, store_id INT64, dup INTEGER, direction INTEGER, mid INTEGER, qos INTEGER, retain INTEGER, state INTEGER, subscription_identifier INTEGER)',
]
const properties = JSON.stringify([
  { identifier: 'content-type', value: 'text/plain' },
  { identifier: 'correlation-data', value: '0102' },
  { identifier: 'user-property', name: 'unit', value: 'K' },
])

test('sessions, subscriptions, messages in each state and retained messages come along from mosquitto.sqlite3', async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, SQLITE_FILE)
  const database = new Database(file)
  for (const table of tables) database.exec(`CREATE TABLE ${table}`)
  // Numbers of messages are larger than JavaScript's whole numbers, as in Mosquitto.
  const base = 7_300_000_000_000_000_000n
  const client = 'INSERT INTO clients VALUES (?, ?, 0, 0, 0, 1883, 0, 2, 1, ?, 0)'
  database.run(client, ['away', 'ada', -1])
  database.run(client, ['plain', null, 4_294_967_295])
  database.run('INSERT INTO subscriptions VALUES (?, ?, ?, ?)', ['away', 'a/#', 2 | 0x04, 7])
  database.run('INSERT INTO subscriptions VALUES (?, ?, ?, ?)', ['plain', 'a/+', 1, 0])
  const message = 'INSERT INTO base_msgs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
  for (const [number, topic, text] of [
    [1n, 'a/1', 'sent'],
    [2n, 'a/2', 'queued'],
    [3n, 'kept', 'retained'],
  ] as const) {
    const payload = new TextEncoder().encode(text)
    const isKept = number === 3n ? 1 : 0
    database.run(message, [base + number, 0, topic, payload, 'p', null, payload.length, 1, 1883, 2, isKept, properties])
  }
  const delivery = 'INSERT INTO client_msgs VALUES (?, ?, ?, 0, ?, ?, ?, 0, ?, ?)'
  database.run(delivery, ['away', 1, base + 1n, 1, 5, 2, 5, 7])
  database.run(delivery, ['away', 2, base + 2n, 1, 6, 2, 11, 7])
  database.run(delivery, ['plain', 3, base + 2n, 1, 1, 1, 11, 0])
  database.run(delivery, ['plain', 4, base + 9n, 1, 2, 1, 11, 0])
  database.run('INSERT INTO retains VALUES (?, ?)', ['kept', base + 3n])
  database.close()

  const data = join(folder, 'data')
  const { code, err } = await run('import', data, file)
  assert.equal(code, 0, err)
  assert.match(err, /^recado import: 1 message had expired and did not come along$/m)
  assert.match(err, /^2 sessions, 2 subscriptions, 2 messages waiting, 1 in flight, 1 retained message in /m)
  const lines = (await printed('export', data, '-')).trimEnd().split('\n').slice(1)
  const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  const expectedProperties = {
    contentType: 'text/plain',
    correlationData: '\u0001\u0002',
    userProperties: [['unit', 'K']],
  }
  assert.deepEqual(
    records.map(({ kind, clientId, owner, topic, payload, recipients, subscriptions }) => [
      kind,
      clientId ?? topic,
      owner ?? payload,
      recipients ?? subscriptions,
    ]),
    [
      [
        'session',
        'away',
        'ada',
        [{ topicFilter: 'a/#', qos: 2, noLocal: true, retainAsPublished: false, subscriptionIdentifier: 7 }],
      ],
      [
        'session',
        'plain',
        undefined,
        [{ topicFilter: 'a/+', qos: 1, noLocal: false, retainAsPublished: false, subscriptionIdentifier: 0 }],
      ],
      [
        'message',
        'a/1',
        'sent',
        [{ clientId: 'away', qos: 2, subscriptionIdentifiers: [7], packetId: 5, awaits: 'PUBREC' }],
      ],
      [
        'message',
        'a/2',
        'queued',
        [
          { clientId: 'away', qos: 2, subscriptionIdentifiers: [7] },
          { clientId: 'plain', qos: 1 },
        ],
      ],
      ['retained', 'kept', 'retained', undefined],
    ],
  )
  assert.deepEqual(records[2]!['properties'], expectedProperties)
})

test('a SQLite file that is not Mosquitto’s is refused in one line', async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, SQLITE_FILE)
  const database = new Database(file)
  database.exec('CREATE TABLE other (x)')
  database.close()
  const { code, err } = await run('import', join(folder, 'data'), file)
  assert.deepEqual([code, err.trimEnd().split('\n').length], [1, 1])
  assert.match(err, /cannot be read as the data of a Mosquitto: no such table: clients/)
})
