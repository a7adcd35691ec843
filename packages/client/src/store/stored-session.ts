/**
 * `SessionStore` over a `RowStore`: gathers the changes of a turn into a batch, writes one batch at a time, and reports
 * which changes are safe. `memory()`, `lmdb()` and `indexedDb()` make one each.
 *
 * While a batch is being written the next one gathers. A message whose flow ends before its batch has begun is never
 * written (a fast server and a slow disk make that the common case at QoS 1).
 *
 * When writing fails, the changes go into the next batch, which is tried every second; meanwhile `failure` is set and
 * the publisher refuses new messages, so that the changes waiting here stay within the publisher's limits.
 *
 * Invariants: at most one `RowStore.write` at a time; batches carry growing numbers and become safe in order; a
 * message's row exists exactly while its `sequence` is not 0 (from the batch `storedIn` on).
 */
import type { Publish } from '@recado/protocol'
import type { Environment, Timer } from '../environment.ts'
import { SessionStoreError } from '../errors.ts'
import { Ring } from '../ring.ts'
import type { RowStore } from './rows.ts'
import {
  contentsOf,
  decodeClientId,
  decodeFlight,
  decodeMessage,
  decodeReceived,
  encodeClientId,
  encodeFlight,
  encodeMessage,
  encodeReceived,
  fingerprintOf,
  kindOf,
  numberOf,
  RowKind,
  rowKey,
} from './session-rows.ts'
import type { RestoredMessage, RestoredSession, SessionStore, SessionStoreOwner, Storable } from './session-store.ts'

const RETRY_MS = 1_000

interface Waiting {
  readonly batch: number
  readonly callback: () => void
}

/** Change of a row: its bytes, or the message from which they are made when the batch begins; `null` deletes it. */
type Change = Uint8Array | Storable | null

export class StoredSession implements SessionStore {
  readonly #rows: RowStore
  #environment: Environment | null = null
  #owner: SessionStoreOwner | null = null
  #state: 'closed' | 'opening' | 'open' | 'closing' = 'closed'
  /** Messages published before the store was open, in order. */
  readonly #early = new Set<Storable>()
  #lastSequence = 0
  #changes = new Map<number, Change>()
  /** Number of the batch that gathers changes now. */
  #gathering = 1
  #safe = 0
  #writing: Promise<void> | null = null
  #scheduled = false
  #retryTimer: Timer | null = null
  #waiting = new Ring<Waiting>()
  failure: SessionStoreError | null = null
  readonly fingerprint: (publish: Publish) => number = fingerprintOf

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  get name(): string {
    return this.#rows.name
  }

  // ---- open

  async open(environment: Environment, owner: SessionStoreOwner): Promise<RestoredSession> {
    if (this.#state !== 'closed') throw lockedError(this.name, 'another client of this program')
    this.#state = 'opening'
    this.#environment = environment
    this.#owner = owner
    try {
      const { rows, quarantined } = await this.#rows.open()
      this.#state = 'open'
      return this.#restore(rows, quarantined)
    } catch (error) {
      this.#state = 'closed'
      throw error instanceof SessionStoreError ? error : storeError(this.name, 'cannot be opened', error)
    }
  }

  #restore(rows: readonly (readonly [key: number, row: Uint8Array])[], quarantined: string | null): RestoredSession {
    let clientId: string | null = null
    const messages = new Map<number, RestoredMessage>()
    const received = new Map<number, number>()
    let damaged = 0
    for (const [key, row] of rows) {
      const kind = kindOf(key)
      const number = numberOf(key)
      if (kind >= RowKind.Damaged) continue
      const contents = contentsOf(row)
      let isGood = contents !== null
      if (contents !== null) {
        if (kind === RowKind.Session && number === 0) clientId = decodeClientId(contents)
        else if (kind === RowKind.Received) received.set(number, decodeReceived(contents))
        else if (kind === RowKind.Message) isGood = this.#restoreMessage(messages, number, contents)
        else if (kind === RowKind.Flight) isGood = restoreFlight(messages, number, contents)
        else isGood = false
      }
      if (isGood) {
        // A number must never come again, or the row of an old message would stand for a new one.
        if (kind === RowKind.Message) this.#lastSequence = Math.max(this.#lastSequence, number)
        continue
      }
      damaged++
      this.#changes.set(key, null)
      this.#changes.set(rowKey(RowKind.Damaged, key), row)
    }
    for (const message of this.#early) this.#add(message)
    this.#early.clear()
    this.#dirty()
    return {
      clientId,
      messages: [...messages.values()],
      received,
      problem: damageError(this.name, quarantined, damaged),
    }
  }

  #restoreMessage(messages: Map<number, RestoredMessage>, sequence: number, contents: Uint8Array): boolean {
    const decoded = decodeMessage(contents)
    if (decoded === null) return false
    const { topic, qos, retain, packetId, properties, payload } = decoded.publish
    const { flow, losses } = decoded
    const expiresAt = this.#monotonic(decoded.expiresAt, properties.messageExpiryIntervalSeconds)
    const rest = { topic, qos, retain, properties, expiresAt, payload }
    messages.set(sequence, { sequence, hasFlightRow: false, packetId, flow, losses, ...rest })
    return true
  }

  // ---- time: monotonic while the process lives, dates in the rows

  /**
   * Converts a date to the time of `Environment.now`; Infinity for never. The clock may have been set between two
   * processes, so at most the whole interval is left.
   */
  #monotonic(date: number, intervalSeconds = Number.POSITIVE_INFINITY): number {
    return this.#environment!.now() + Math.min(date - this.#date(), intervalSeconds * 1000)
  }

  #date(): number {
    return this.#environment!.date?.() ?? Date.now()
  }

  #encode(message: Storable): Uint8Array {
    return encodeMessage(message, this.#date() + message.expiresAt - this.#environment!.now())
  }

  // ---- changes

  saveClientId(clientId: string): void {
    this.#set(rowKey(RowKind.Session, 0), encodeClientId(clientId))
  }

  save(message: Storable): void {
    if (message.sequence === 0) {
      if (this.#state === 'open') this.#add(message)
      else this.#early.add(message)
      return
    }
    // Its row is made when the batch begins, from the message's state at that time.
    if (message.storedIn === this.#gathering) return
    message.hasFlightRow = true
    this.#set(rowKey(RowKind.Flight, message.sequence), encodeFlight(message))
  }

  remove(message: Storable): void {
    const { sequence } = message
    if (sequence === 0) {
      this.#early.delete(message)
      return
    }
    message.sequence = 0
    if (message.storedIn === this.#gathering) this.#changes.delete(rowKey(RowKind.Message, sequence))
    else this.#set(rowKey(RowKind.Message, sequence), null)
    if (message.hasFlightRow) this.#set(rowKey(RowKind.Flight, sequence), null)
  }

  saveReceived(packetId: number, fingerprint: number): void {
    this.#set(rowKey(RowKind.Received, packetId), encodeReceived(fingerprint))
  }

  removeReceived(packetId: number): void {
    this.#set(rowKey(RowKind.Received, packetId), null)
  }

  #add(message: Storable): void {
    message.sequence = ++this.#lastSequence
    message.storedIn = this.#gathering
    this.#set(rowKey(RowKind.Message, message.sequence), message)
  }

  #set(key: number, change: Change): void {
    this.#changes.set(key, change)
    this.#dirty()
  }

  // ---- safety

  get position(): number {
    return this.#changes.size > 0 || this.#state !== 'open' ? this.#gathering : this.#gathering - 1
  }

  isSafe(position: number): boolean {
    return position <= this.#safe
  }

  whenSafe(callback: () => void): void {
    const batch = this.position
    if (this.isSafe(batch)) callback()
    else {
      this.#waiting.push({ batch, callback })
      this.#dirty()
    }
  }

  // ---- batches

  /** Schedules the batch to begin at the end of this turn. */
  #dirty(): void {
    if (this.#scheduled || this.#environment === null) return
    this.#scheduled = true
    this.#environment.defer(() => {
      this.#scheduled = false
      this.#begin()
    })
  }

  #begin(): void {
    if (this.#writing !== null || this.#retryTimer !== null || this.#state !== 'open') return
    if (this.#changes.size === 0 && this.#waiting.size === 0) return
    const batch = this.#gathering++
    const changes = this.#changes
    if (changes.size === 0) {
      this.#done(batch)
      return
    }
    this.#changes = new Map()
    const rows = new Map<number, Uint8Array | null>()
    for (const [key, change] of changes) {
      rows.set(key, change === null || change instanceof Uint8Array ? change : this.#encode(change))
    }
    this.#writing = this.#rows.write(rows).then(
      () => {
        this.#writing = null
        this.#done(batch)
      },
      (error: unknown) => {
        this.#writing = null
        this.#failed(rows, error)
      },
    )
  }

  #done(batch: number): void {
    this.#safe = batch
    this.failure = null
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (next.batch > batch) break
      this.#waiting.shift()
      next.callback()
    }
    this.#owner?.handleSafe()
    if (this.#changes.size > 0 || this.#waiting.size > 0) this.#dirty()
  }

  #failed(rows: Map<number, Uint8Array | null>, error: unknown): void {
    // Changes made since are newer.
    for (const [key, row] of rows) if (!this.#changes.has(key)) this.#changes.set(key, row)
    const environment = this.#environment
    if (this.#state !== 'open' || environment === null) return
    this.failure = storeError(this.name, `cannot be written; trying again every ${RETRY_MS} ms`, error)
    this.#retryTimer = environment.setTimer(() => {
      this.#retryTimer = null
      this.#begin()
    }, RETRY_MS)
    this.#owner?.handleStoreError(this.failure)
  }

  async close(): Promise<void> {
    if (this.#state !== 'open') return
    if (this.#retryTimer !== null) this.#environment?.clearTimer(this.#retryTimer)
    this.#retryTimer = null
    this.#waiting = new Ring()
    const owner = this.#owner
    try {
      while (this.#writing !== null) await this.#writing
      this.#begin()
      if (this.#writing !== null) await this.#writing
      if (this.#retryTimer !== null) this.#environment?.clearTimer(this.#retryTimer)
      this.#retryTimer = null
      this.#state = 'closing'
      await this.#rows.close()
    } catch (error) {
      owner?.handleStoreError(storeError(this.name, 'cannot be closed', error))
    } finally {
      this.#state = 'closed'
      this.#environment = null
      this.#owner = null
      this.#changes = new Map()
      this.#safe = this.#gathering++
      this.failure = null
    }
  }
}

function restoreFlight(messages: Map<number, RestoredMessage>, sequence: number, contents: Uint8Array): boolean {
  const message = messages.get(sequence)
  const flight = decodeFlight(contents)
  if (message === undefined || flight === null) return false
  messages.set(sequence, { ...message, ...flight, hasFlightRow: true })
  return true
}

function storeError(name: string, what: string, error: unknown): SessionStoreError {
  const why = error instanceof Error ? error.message : String(error)
  return new SessionStoreError('ERR_MQTT_SESSION_STORE', `the session store ${name} ${what}: ${why}`, { cause: error })
}

/** @param by the holder of the lock */
export function lockedError(name: string, by: string): SessionStoreError {
  const message = `the session store ${name} is in use by ${by}: close it first, or use another store`
  return new SessionStoreError('ERR_MQTT_SESSION_STORE_LOCKED', message)
}

function damageError(name: string, quarantined: string | null, damaged: number): SessionStoreError | null {
  if (quarantined === null && damaged === 0) return null
  const what =
    quarantined === null
      ? `had ${damaged} damaged rows, which stay in it but are not used`
      : `was damaged and is now ${quarantined}; a new one was begun`
  return new SessionStoreError('ERR_MQTT_SESSION_STORE_CORRUPT', `the session store ${name} ${what}`)
}
