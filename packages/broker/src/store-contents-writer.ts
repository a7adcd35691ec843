/**
 * Writes the contents of a store, in the words of MQTT, into one that is empty: the inverse of `StoreContents`.
 *
 * For `recado import` and embedders. The invariants: sessions come before the messages that name them; a record that contradicts an earlier
 * one is refused; the number of rows in memory is bounded, however many records there are.
 */
import { Flow, MqttError, type Properties } from '@recado/protocol'
import { Message } from './core/base/message.ts'
import {
  encodeMessageRow,
  encodeRetained,
  IN_FLIGHT_BIT,
  type Recipient,
  RowWriter,
} from './core/journal/message-records.ts'
import {
  clientOf,
  encodeDelayed,
  encodeSession,
  encodeSubscription,
  encodeWill,
  WILL_NUMBERS,
} from './core/journal/session-records.ts'
import { type Store, Table } from './ports.ts'
import type {
  StoredDelayedMessage,
  StoredMessage,
  StoredRecipient,
  StoredRecord,
  StoredRetainedMessage,
  StoredSession,
  StoredSessionlessWill,
  StoredWill,
} from './store-contents.ts'

const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_ROWS = 10_000
const NO_VALUE: Uint8Array = Uint8Array.of(1)

/**
 * Writes `records` into an empty store, and resolves with their number when all are safe. Sessions must come before the
 * messages that name them. `onRecord` is called for each. @throws MqttError ERR_MQTT_STORE_CONTENTS when a record
 * contradicts an earlier one. The records before it may have been written.
 */
export async function writeContents(
  store: Store,
  records: Iterable<StoredRecord> | AsyncIterable<StoredRecord>,
  onRecord?: () => void,
): Promise<number> {
  const writer = new ContentsWriter(store)
  let count = 0
  for await (const record of records) {
    writer.add(record)
    if (writer.isFull) await writer.flush()
    count++
    onRecord?.()
  }
  await writer.flush()
  return count
}

class ContentsWriter {
  readonly #store: Store
  readonly #rowWriter: RowWriter = new RowWriter()
  readonly #sessionNumbers: Map<string, number> = new Map()
  readonly #retainedTopics: Set<string> = new Set()
  #rows: { table: number; a: number; b: number; c: number; value: Uint8Array }[] = []
  #bytes = 0
  #nextPosition = 1
  #nextSubscriptionNumber = 1
  #nextWillNumber = WILL_NUMBERS

  constructor(store: Store) {
    this.#store = store
  }

  get isFull(): boolean {
    return this.#rows.length >= BATCH_ROWS || this.#bytes >= BATCH_BYTES
  }

  add(record: StoredRecord): void {
    switch (record.kind) {
      case 'session':
        this.#addSession(record)
        break
      case 'will':
        this.#addWill(record)
        break
      case 'message':
        this.#addMessage(record)
        break
      case 'retained':
        this.#addRetained(record)
        break
      case 'delayed':
        this.#addDelayed(record)
        break
    }
  }

  flush(): Promise<void> {
    const rows = this.#rows
    this.#rows = []
    this.#bytes = 0
    return new Promise((resolve, reject) => {
      this.#store.write(
        () => {
          for (const { table, a, b, c, value } of rows) this.#store.put(table, a, b, c, value)
        },
        (error) => {
          this.#rowWriter.reuse()
          if (error === null) resolve()
          else reject(error)
        },
      )
    })
  }

  #put(table: number, a: number, b: number, c: number, value: Uint8Array): void {
    this.#rows.push({ table, a, b, c, value })
    this.#bytes += value.length
  }

  #addSession(session: StoredSession): void {
    const { clientId, expirySeconds, disconnectedAtMs, will, owner } = session
    if (this.#sessionNumbers.has(clientId)) throw contradiction(`the session "${clientId}" exists already`)
    const number = this.#sessionNumbers.size + 1
    this.#sessionNumbers.set(clientId, number)
    const record = {
      clientId,
      expirySeconds,
      disconnectedAtMs: disconnectedAtMs ?? 0,
      ...(owner === null ? {} : { owner }),
    }
    this.#put(Table.Sessions, number, 0, 0, encodeSession(record))
    for (const subscription of session.subscriptions) {
      this.#put(Table.Subscriptions, number, this.#nextSubscriptionNumber++, 0, encodeSubscription(subscription))
    }
    for (const packetId of session.receivedPacketIds) this.#put(Table.Received, number, packetId, 0, NO_VALUE)
    if (will !== null) this.#putWill(number, clientId, will)
  }

  #putWill(number: number, clientId: string, stored: StoredWill): void {
    const { topic, qos, retain, payload, delaySeconds, dueAtMs, leftBy } = stored
    const properties: Properties = { ...stored.properties, willDelayIntervalSeconds: delaySeconds }
    const client = leftBy === null ? null : clientOf({ clientId, ...leftBy })
    const value = encodeWill({ topic, qos, retain, payload, properties }, dueAtMs ?? Number.POSITIVE_INFINITY, client)
    this.#put(Table.Wills, number, 0, 0, value)
  }

  #addWill(stored: StoredSessionlessWill): void {
    const { clientId, leftBy } = stored
    if (this.#sessionNumbers.has(clientId))
      throw contradiction(`"${clientId}" has a session and a Will that does not belong to it`)
    // Without it the owner of the Will would be unknown.
    this.#putWill(this.#nextWillNumber++, clientId, { ...stored, leftBy: leftBy ?? { listener: '' } })
  }

  #addMessage(stored: StoredMessage): void {
    const message = messageOf(stored)
    const recipients = stored.recipients.map((recipient) => this.#recipient(recipient))
    const [first, ...others] = recipients
    if (first === undefined) throw contradiction('a message has no recipients')
    const value = encodeMessageRow(this.#rowWriter, message, first, others.length === 0 ? null : others)
    const isMulti = others.length > 0
    const key = !isMulti && first.flow !== Flow.Idle ? (message.sizeBytes | IN_FLIGHT_BIT) >>> 0 : message.sizeBytes
    this.#put(Table.Messages, this.#nextPosition++, isMulti ? 0 : first.sessionNumber, key, value)
  }

  #recipient({ clientId, qos, retain, packetId, awaits, subscriptionIdentifiers }: StoredRecipient): Recipient {
    const sessionNumber = this.#sessionNumbers.get(clientId)
    if (sessionNumber === undefined) throw contradiction(`a message waits for "${clientId}", which has no session`)
    return {
      sessionNumber,
      qos,
      retain,
      packetId,
      flow: flowOf(awaits),
      subscriptionIdentifiers: subscriptionIdentifiers.length === 0 ? null : [...subscriptionIdentifiers],
    }
  }

  #addRetained(stored: StoredRetainedMessage): void {
    if (this.#retainedTopics.has(stored.topic)) throw contradiction(`${stored.topic} has a retained message already`)
    this.#retainedTopics.add(stored.topic)
    this.#put(Table.Retained, this.#nextPosition++, 0, 0, encodeRetained(messageOf(stored)))
  }

  #addDelayed(stored: StoredDelayedMessage): void {
    const { dueAtMs, leftBy } = stored
    const client = leftBy === null ? null : clientOf(leftBy)
    const value = encodeDelayed({ dueAtMs, message: messageOf(stored), client })
    this.#put(Table.Delayed, this.#nextPosition++, 0, 0, value)
  }
}

function messageOf(stored: StoredMessage | StoredRetainedMessage | StoredDelayedMessage): Message {
  return Message.expiring(stored, null, stored.expiresAtMs ?? Number.POSITIVE_INFINITY)
}

function flowOf(awaits: StoredRecipient['awaits']): number {
  if (awaits === 'PUBACK') return Flow.AwaitPuback
  if (awaits === 'PUBREC') return Flow.AwaitPubrec
  return awaits === 'PUBCOMP' ? Flow.AwaitPubcomp : Flow.Idle
}

function contradiction(message: string): MqttError {
  return new MqttError('ERR_MQTT_STORE_CONTENTS', message)
}
