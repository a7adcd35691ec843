/**
 * The data that the SQLite persistence of Mosquitto 2.1 has kept (`mosquitto.sqlite3`).
 *
 * Mosquitto may have been killed: its write-ahead log (`-wal`) is read as well. So the file is copied, with that log,
 * to a temporary folder, and opened there, because opening changes it. Invariant: a row that cannot be understood loses
 * itself and nothing else.
 *
 * Source: the tables that the plugin makes: base_msgs, retains, clients, subscriptions, client_msgs.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Properties } from '@recado/protocol'
import type { Database, QueryResult } from 'node-sqlite3-wasm'
import { databaseError, qosOf, SubscriptionBit } from './layout.ts'
import {
  type DatabaseClient,
  type DatabaseDelivery,
  type DatabaseMessage,
  type DatabaseSubscription,
  SnapshotContents,
} from './snapshot.ts'

/** Name that the plugin gives its file in the data folder. */
export const SQLITE_FILE = 'mosquitto.sqlite3'
const SIGNATURE = Buffer.from('SQLite format 3\0')

/** Returns true for the first 16 bytes of a SQLite file. */
export const isSqlite = (head: Uint8Array): boolean => SIGNATURE.equals(head.subarray(0, SIGNATURE.length))

type Row = QueryResult

export class SqliteDatabase extends SnapshotContents {
  readonly #database: Database
  readonly #folder: string

  /** @throws MqttError ERR_RECADO_MOSQUITTO_DB when it is no data of Mosquitto, or damaged as a whole */
  static open(path: string): SqliteDatabase {
    const folder = mkdtempSync(join(tmpdir(), 'recado-sqlite-'))
    try {
      return new SqliteDatabase(path, folder)
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw databaseError(`${path} cannot be read as the data of a Mosquitto: ${(error as Error).message}`, error)
    }
  }

  private constructor(path: string, folder: string) {
    super(path, Math.floor(statSync(path).mtimeMs))
    this.#folder = folder
    const copy = join(folder, basename(path))
    for (const suffix of ['', '-wal']) if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix)
    // Loaded when it is needed: few ever do.
    const { Database } = createRequire(import.meta.url)('node-sqlite3-wasm') as typeof import('node-sqlite3-wasm')
    this.#database = new Database(copy)
    this.#each('clients', 'SELECT * FROM clients', (row) => {
      const client = clientOf(row)
      this.clients.set(client.clientId, client)
    })
    this.#each('subscriptions', 'SELECT * FROM subscriptions', (row) => {
      const subscription = subscriptionOf(row)
      this.addUnknownClient(subscription.clientId)
      this.subscriptions.push(subscription)
    })
    this.#each('client_msgs', 'SELECT * FROM client_msgs ORDER BY cmsg_id, rowid', (row) => {
      const delivery = deliveryOf(row)
      this.addUnknownClient(delivery.clientId)
      this.deliveries.push(delivery)
    })
    this.#each('retains', 'SELECT store_id FROM retains ORDER BY store_id', (row) => {
      this.retained.push(BigInt(wholeOf(row, 'store_id')))
    })
  }

  hasMessage(id: bigint): boolean {
    return this.#database.get('SELECT 1 FROM base_msgs WHERE store_id = ?', [id]) !== null
  }

  message(id: bigint): DatabaseMessage | null {
    try {
      const row = this.#database.get('SELECT * FROM base_msgs WHERE store_id = ?', [id])
      return row === null ? null : messageOf(row)
    } catch (error) {
      this.noteDamage(`message ${id} is damaged (${(error as Error).message})`)
      return null
    }
  }

  close(): void {
    this.#database.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #each(table: string, query: string, take: (row: Row) => void): void {
    for (const row of this.#database.all(query)) {
      try {
        take(row)
      } catch (error) {
        this.noteDamage(`a row of ${table} is damaged (${(error as Error).message})`)
      }
    }
  }
}

function clientOf(row: Row): DatabaseClient {
  const username = row['username']
  return {
    clientId: textOf(row, 'client_id'),
    username: typeof username === 'string' && username !== '' ? username : null,
    expiresAtSeconds: Math.max(0, Number(wholeOf(row, 'session_expiry_time'))),
    // SQLite's integers have a sign.
    expirySeconds: Number(wholeOf(row, 'session_expiry_interval')) >>> 0,
  }
}

function subscriptionOf(row: Row): DatabaseSubscription {
  const options = Number(wholeOf(row, 'subscription_options'))
  return {
    clientId: textOf(row, 'client_id'),
    topicFilter: textOf(row, 'topic'),
    qos: qosOf(options & 0x03),
    noLocal: (options & SubscriptionBit.NoLocal) !== 0,
    retainAsPublished: (options & SubscriptionBit.RetainAsPublished) !== 0,
    subscriptionIdentifier: Number(row['subscription_identifier'] ?? 0),
  }
}

function deliveryOf(row: Row): DatabaseDelivery {
  const identifier = Number(row['subscription_identifier'] ?? 0)
  return {
    clientId: textOf(row, 'client_id'),
    messageId: BigInt(wholeOf(row, 'store_id')),
    packetId: Number(wholeOf(row, 'mid')),
    qos: qosOf(Number(wholeOf(row, 'qos'))),
    state: Number(wholeOf(row, 'state')),
    retain: Number(wholeOf(row, 'retain')) !== 0,
    direction: Number(wholeOf(row, 'direction')),
    subscriptionIdentifiers: identifier === 0 ? [] : [identifier],
  }
}

function messageOf(row: Row): DatabaseMessage {
  const payload = row['payload']
  return {
    topic: textOf(row, 'topic'),
    qos: qosOf(Number(wholeOf(row, 'qos'))),
    retain: Number(wholeOf(row, 'retain')) !== 0,
    payload: payload instanceof Uint8Array ? Buffer.from(payload) : Buffer.from(String(payload ?? '')),
    properties: propertiesOf(row['properties']),
    expiresAtSeconds: Math.max(0, Number(wholeOf(row, 'expiry_time'))),
  }
}

/** The plugin writes properties as a list in JSON: `identifier`, `value`, and `name` for User Properties. */
function propertiesOf(text: unknown): Properties {
  const properties: Properties = {}
  if (typeof text !== 'string' || text === '') return properties
  for (const { identifier, name, value } of JSON.parse(text) as {
    identifier: string
    name?: string
    value: unknown
  }[]) {
    if (identifier === 'payload-format-indicator') properties.payloadFormatIndicator = Number(value) === 1 ? 1 : 0
    else if (identifier === 'content-type') properties.contentType = String(value)
    else if (identifier === 'response-topic') properties.responseTopic = String(value)
    else if (identifier === 'correlation-data')
      properties.correlationData = Uint8Array.from(Buffer.from(String(value), 'hex'))
    else if (identifier === 'user-property') {
      properties.userProperties ??= []
      properties.userProperties.push([String(name ?? ''), String(value)])
    }
  }
  return properties
}

/** Text that looks like a number comes as one from a column without a type of text. */
function textOf(row: Row, column: string): string {
  const value = row[column]
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value !== 'string' || value === '') throw new Error(`it has no ${column}`)
  return value
}

function wholeOf(row: Row, column: string): number | bigint {
  const value = row[column]
  if (value === null || value === undefined) return 0
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return value as number | bigint
  throw new Error(`its ${column} is ${value}`)
}
