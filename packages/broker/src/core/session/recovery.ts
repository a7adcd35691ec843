/**
 * Builds the broker's state from the store when it starts.
 *
 * Small tables are read whole. Of messages only the keys are read: a message for one session has everything that its
 * queue needs in its key, so a queue of millions is back in a moment and stays on disk. Messages that were in flight
 * are read, and wait in their session's sender to be sent again.
 *
 * Rows without an owner (of a session whose removal was interrupted by the end of the broker) are removed.
 */
import { Flow } from '@recado/protocol'
import { type Store, Table } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import type { Delivery } from '../journal/delivery.ts'
import { decodeForwardId } from '../journal/forward.ts'
import type { Journal } from '../journal/journal.ts'
import {
  decodeFlight,
  decodeRecipients,
  decodeRetained,
  type FlightRecord,
  IN_FLIGHT_BIT,
  type StoredEntry,
} from '../journal/message-records.ts'
import {
  decodeDelayed,
  decodeSession,
  decodeSubscription,
  decodeWill,
  type WillRecord,
} from '../journal/session-records.ts'
import type { DelayedMessages } from '../routing/delayed.ts'
import type { RetainedMessages } from '../routing/retained.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'
import type { Wills } from './wills.ts'

/** Parts of the broker that come back from the store. */
export interface RecoveredParts {
  readonly context: Context
  readonly journal: Journal
  readonly sessions: Sessions
  readonly retained: RetainedMessages
  readonly wills: Wills
  readonly delayed: DelayedMessages
}

/** Rows of the flight table, by position and session number. */
type Flights = Map<number, Map<number, FlightRecord>>

/** Sessions by number; null: there is one, and it cannot be read. What belongs to it stays on the disk. */
type Found = Map<number, Session | null>

interface Resumed {
  readonly session: Session
  readonly entry: StoredEntry
  readonly flight: FlightRecord | undefined
}

export function recover(parts: RecoveredParts, store: Store): void {
  parts.context.turn.begin()
  const sessions = recoverSessions(parts, store)
  recoverSubscriptions(parts, store, sessions)
  recoverReceived(parts, store, sessions)
  const flights = readFlights(parts, store)
  const messages = recoverMessages(parts, store, sessions, flights)
  const retained = recoverRetained(parts, store)
  recoverWills(parts, store, sessions)
  recoverDelayed(parts, store)
  parts.context.faults.attempt('recovery', () => {
    for (const session of parts.sessions.values()) session.backlog.noteFullness()
  })
  parts.context.faults.attempt('recovery', () => parts.sessions.endExpired())
  parts.context.observer?.['store.loaded']?.({
    sessions: parts.sessions.size,
    messages,
    retained,
    clockBehindMs: parts.context.clockBehindMs,
  })
}

/** Every row is read, whatever becomes of the others: one that makes us throw stays where it is. */
function scan(
  parts: Pick<RecoveredParts, 'context'>,
  store: Store,
  table: number,
  visit: Parameters<Store['scan']>[1],
): void {
  store.scan(table, (a, b, c, value) => {
    try {
      visit(a, b, c, value)
    } catch (error) {
      parts.context.faults.note(`recovery of row ${a} of table ${table}`, error)
    }
  })
}

function scanKeys(parts: RecoveredParts, store: Store, table: number, visit: Parameters<Store['scanKeys']>[1]): void {
  store.scanKeys(table, (a, b, c) => {
    try {
      visit(a, b, c)
    } catch (error) {
      parts.context.faults.note(`recovery of row ${a} of table ${table}`, error)
    }
  })
}

function recoverSessions(parts: RecoveredParts, store: Store): Found {
  const sessions: Found = new Map()
  scan(parts, store, Table.Sessions, (number, _b, _c, value) => {
    sessions.set(number, null)
    parts.journal.numbers.restore(0, number, 0)
    const record = parts.journal.understand(Table.Sessions, number, () => decodeSession(value))
    if (record === null) return
    // Its rows may be gone, and no message may be taken for one of them.
    parts.journal.numbers.restore(record.sentQoS0To ?? 0, 0, 0)
    const older = parts.sessions.get(record.clientId)
    if (older !== undefined) {
      // It could not be read at an earlier start, and its client has had another since.
      sessions.delete(older.number)
      parts.sessions.end(older, 'clean-start')
    }
    sessions.set(number, parts.sessions.restore(number, record))
  })
  return sessions
}

function recoverSubscriptions(parts: RecoveredParts, store: Store, sessions: Found): void {
  scan(parts, store, Table.Subscriptions, (sessionNumber, number, _c, value) => {
    parts.journal.numbers.restore(0, sessionNumber, number)
    const session = sessions.get(sessionNumber)
    if (session === undefined) {
      parts.journal.change(Table.Subscriptions, sessionNumber, number, 0, null)
      return
    }
    if (session === null) return
    const record = parts.journal.understand(Table.Subscriptions, number, () => decodeSubscription(value))
    if (record === null) return
    session.subscriptions.restore(record, number)
  })
}

function recoverReceived(parts: RecoveredParts, store: Store, sessions: Found): void {
  scan(parts, store, Table.Received, (sessionNumber, packetId, _c, value) => {
    const session = sessions.get(sessionNumber)
    if (session === undefined) {
      parts.journal.change(Table.Received, sessionNumber, packetId, 0, null)
      return
    }
    if (session === null) return
    session.receiver.restore(packetId)
    session.receivedIds!.stored.add(packetId)
    const id = decodeForwardId(value)
    if (id !== null) session.receivedIds!.noteForward(packetId, id)
  })
}

function readFlights(parts: RecoveredParts, store: Store): Flights {
  const flights: Flights = new Map()
  scan(parts, store, Table.Flights, (position, sessionNumber, _c, value) => {
    let bySession = flights.get(position)
    if (bySession === undefined) {
      bySession = new Map()
      flights.set(position, bySession)
    }
    bySession.set(sessionNumber, decodeFlight(value))
  })
  return flights
}

/** Returns the number of messages that wait. */
function recoverMessages(parts: RecoveredParts, store: Store, sessions: Found, flights: Flights): number {
  const journal = parts.journal
  const resumed: Resumed[] = []
  let count = 0
  let lastPosition = 0
  scanKeys(parts, store, Table.Messages, (position, sessionNumber, key) => {
    lastPosition = position
    if (sessionNumber === 0) {
      count += recoverMultiRow(parts, store, sessions, flights.get(position), position, key, resumed)
      return
    }
    const session = sessions.get(sessionNumber)
    if (session === undefined) {
      journal.change(Table.Messages, position, sessionNumber, key, null)
      return
    }
    count++
    journal.restoreRow(position, key, null)
    if (session === null) return
    const flight = flights.size === 0 ? undefined : flights.get(position)?.get(sessionNumber)
    if (flight !== undefined || key >= IN_FLIGHT_BIT)
      resumed.push({ session, entry: { position, key, isMulti: false }, flight })
    else restoreWaiting(session, position, key, false)
  })
  journal.numbers.restore(lastPosition, 0, 0)
  resumed.sort((a, b) => a.entry.position - b.entry.position)
  for (const { session, entry, flight } of resumed) {
    parts.context.faults.attempt('recovery', () => resumeFlight(parts, session, entry, flight), session.clientId)
  }
  return count
}

/** A message for several sessions: 1, or 0 when all of them are done with it. */
function recoverMultiRow(
  parts: RecoveredParts,
  store: Store,
  sessions: Found,
  flights: Map<number, FlightRecord> | undefined,
  position: number,
  key: number,
  resumed: Resumed[],
): number {
  const journal = parts.journal
  const bytes = store.get(Table.Messages, position, 0, key)!
  const recipients = journal.understand(Table.Messages, position, () => decodeRecipients(bytes).recipients) ?? []
  let remaining = 0
  for (const { sessionNumber, flow } of recipients) {
    const flight = flights?.get(sessionNumber)
    const session = sessions.get(sessionNumber)
    if (session === undefined || flight?.isDone) continue
    remaining++
    if (session === null) continue
    const entry = { position, key, isMulti: true }
    if (flight !== undefined || flow !== Flow.Idle) resumed.push({ session, entry, flight })
    else restoreWaiting(session, position, key, true)
  }
  if (remaining > 0) {
    journal.restoreRow(position, key, remaining)
    return 1
  }
  for (const { sessionNumber } of recipients) journal.change(Table.Flights, position, sessionNumber, 0, null)
  journal.change(Table.Messages, position, 0, key, null)
  return 0
}

/** Puts a message on disk at the end of the queue. Nothing in its key says whether it is one at QoS 0. */
function restoreWaiting(session: Session, position: number, key: number, isMulti: boolean): void {
  session.queue.restore(position, key, isMulti)
  session.keepsQoS0 = true
}

/** Back into the sender, under the packet id that the client knows. [MQTT-4.4.0-1] */
function resumeFlight(
  parts: RecoveredParts,
  session: Session,
  entry: StoredEntry,
  flight: FlightRecord | undefined,
): void {
  const delivery: Delivery | null = parts.journal.load(session, entry)
  if (delivery === null) return
  if (flight !== undefined) {
    delivery.hasFlightRow = true
    delivery.packetId = flight.packetId
    delivery.flow = flight.flow
  }
  if (session.sender.get(delivery.packetId) !== null) {
    // Two with one packet id: the older one was acknowledged, and the disk had not been told yet.
    delivery.flow = Flow.Idle
    session.queue.push(delivery)
    return
  }
  if (delivery.flow === Flow.AwaitPubcomp) delivery.message = null
  delivery.isSent = true
  session.restoreInFlight(delivery)
}

function recoverRetained(parts: RecoveredParts, store: Store): number {
  let count = 0
  scan(parts, store, Table.Retained, (position, _b, _c, value) => {
    parts.journal.numbers.restore(position, 0, 0)
    const message = parts.journal.understand(Table.Retained, position, () => decodeRetained(value))
    if (message === null) return
    parts.retained.restore(message, position)
    count++
  })
  return count
}

/** Restores Wills. Those that are due are published when all are there: what they lead to reads and changes the state that is being built. */
function recoverWills(parts: RecoveredParts, store: Store, sessions: Found): void {
  const journal = parts.journal
  const left: { number: number; session: Session | null; record: WillRecord }[] = []
  scan(parts, store, Table.Wills, (number, _b, _c, value) => {
    journal.numbers.restoreWill(number)
    const record = journal.understand(Table.Wills, number, () => decodeWill(value))
    if (record !== null) left.push({ number, session: sessions.get(number) ?? null, record })
  })
  for (const { number, session, record } of left)
    parts.context.faults.attempt('recovery', () => parts.wills.restore(number, session, record))
}

function recoverDelayed({ context, journal, delayed }: RecoveredParts, store: Store): void {
  scan({ context }, store, Table.Delayed, (number, _b, _c, value) => {
    journal.numbers.restore(number, 0, 0)
    const record = journal.understand(Table.Delayed, number, () => decodeDelayed(value))
    if (record !== null) delayed.restore(number, record)
  })
  delayed.resume()
}
