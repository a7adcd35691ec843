/**
 * A Mosquitto's data made ours: by `recado import`, at a start that finds it in the data folder, and, without writing, for `--test-config`.
 *
 * Invariant: the file of Mosquitto is read and never changed, so that going back to it is possible; the folder has our data when all that
 * could be read is safe. What did not come along is a sentence in `lossesIn`.
 */
import { closeSync, existsSync, lstatSync, openSync, readSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { lmdbFile } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import type { Config } from '../config/config.ts'
import { counted } from '../counted.ts'
import { makeData } from '../new-data.ts'
import { MosquittoDatabase } from './database.ts'
import { MAGIC } from './layout.ts'
import { nothingTakenOver, recordsOf, type TakenOver } from './records.ts'
import type { Snapshot } from './snapshot.ts'
import { isSqlite, SQLITE_FILE, SqliteDatabase } from './sqlite-database.ts'

/** Bytes at the beginning of a file that tell its kind. */
const HEAD_BYTES = 16

export interface TakenOverDatabase {
  readonly path: string
  readonly totals: TakenOver
  /** Sentences about damage, the first of them. */
  readonly damage: readonly string[]
  readonly damageCount: number
}

/** The take-over of a start. */
export interface TakeOverAtStart {
  readonly path: string
  /** null: it could not be read. */
  readonly result: TakenOverDatabase | null
  /** Reason why it could not be read; '' when it could. */
  readonly why: string
}

/** Returns true for a file that begins as a database of Mosquitto, of either kind, or with the zeros that a power cut leaves of one. */
export function isDatabase(path: string): boolean {
  const head = headOf(path)
  const isZeros = head.length === HEAD_BYTES && head.every((byte) => byte === 0)
  return isZeros || head.subarray(0, MAGIC.length).equals(MAGIC) || isSqlite(head)
}

/**
 * Makes the data of `folder` from a file of Mosquitto; null: another process has made it meanwhile.
 * @throws MqttError ERR_RECADO_MOSQUITTO_DB when nothing can be read; as `makeData`
 */
export async function takeOver(
  path: string,
  folder: string,
  nowMs: number,
  onRecord?: () => void,
): Promise<TakenOverDatabase | null> {
  let isMade = false
  const result = await using(path, async (snapshot, totals) => {
    isMade = (await makeData(folder, recordsOf(snapshot, nowMs, totals), onRecord)) !== null
  })
  return isMade ? result : null
}

/** Counts what `takeOver` would take, and writes nothing. @throws MqttError ERR_RECADO_MOSQUITTO_DB */
export function preview(path: string, nowMs: number): TakenOverDatabase {
  const snapshot = openSnapshot(path)
  try {
    const totals = nothingTakenOver()
    for (const _ of recordsOf(snapshot, nowMs, totals));
    return resultOf(snapshot, totals)
  } finally {
    snapshot.close()
  }
}

/** Returns the path of the Mosquitto's file that a start with this configuration would import; null: none. */
export function databaseToTakeOver({
  durability,
  dataFolder,
  isDataFolderGiven,
  persistenceFile,
}: Config): string | null {
  if (durability === 'memory' || !isDataFolderGiven) return null
  const folder = resolve(dataFolder)
  if (existsSync(lmdbFile(folder))) return null
  const found = [persistenceFile, SQLITE_FILE].map((name) => join(folder, name)).filter((path) => isFileWithBytes(path))
  // Of two the one that was written last is in use.
  found.sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs)
  return found[0] ?? null
}

/**
 * Imports what a start finds; null: nothing is to be imported. A file that is no database of Mosquitto, or one of zeros, does not keep the
 * broker from starting.
 * @throws what the system says when the file may not be read or the data cannot be written: to start empty would lose it for good
 */
export async function takeOverAtStart(config: Config): Promise<TakeOverAtStart | null> {
  const path = databaseToTakeOver(config)
  if (path === null) return null
  try {
    const result = await takeOver(path, resolve(config.dataFolder), Date.now())
    return result === null ? null : { path, result, why: '' }
  } catch (error) {
    if (error instanceof MqttError && error.code === 'ERR_RECADO_MOSQUITTO_DB')
      return { path, result: null, why: error.message }
    if (error instanceof MqttError) throw error
    const text = `${path} cannot be imported: ${(error as Error).message}. Move it away to start without it`
    throw new MqttError('ERR_RECADO_IMPORT', text, { cause: error })
  }
}

/**
 * Returns sentences about a Mosquitto's data that a start with this configuration would not take, and that somebody may miss: in the
 * current folder, which is Mosquitto's default, under a name that is no file, or put beside data of ours.
 */
export function overlookedData({ durability, dataFolder, isDataFolderGiven, persistenceFile }: Config): string[] {
  if (durability === 'memory') return []
  const folder = resolve(isDataFolderGiven ? dataFolder : '.')
  const path = join(folder, persistenceFile)
  const ownFile = lmdbFile(resolve(dataFolder))
  if (existsSync(ownFile)) return isDataFolderGiven ? dataBeside(ownFile, [path, join(folder, SQLITE_FILE)]) : []
  if (!isDataFolderGiven) {
    return isFileWithBytes(path)
      ? [
          `${path}, the data of a Mosquitto, is not imported: name its folder (persistence_location ${folder}, or --data)`,
        ]
      : []
  }
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (status === undefined || isFileWithBytes(path)) return []
  return [
    `${path} is not imported: it is empty, or no file. Put the data of the Mosquitto there before the first start`,
  ]
}

/**
 * Returns a sentence for each database of a Mosquitto that has come to our data after that was made. One that was there before has been
 * imported, or told of.
 */
function dataBeside(ownFile: string, paths: readonly string[]): string[] {
  const { birthtimeMs } = statSync(ownFile)
  return paths
    .filter((path) => isFileWithBytes(path) && statSync(path).ctimeMs > birthtimeMs && isReadableDatabase(path))
    .map(
      (path) =>
        `${path}, the data of a Mosquitto, is not read: ${ownFile} has data already, of an earlier start or import. To start with that of the Mosquitto instead, stop the broker and move ${ownFile} away`,
    )
}

/** Returns true for a database of Mosquitto; false for another file, and for one that may not be read. */
function isReadableDatabase(path: string): boolean {
  try {
    return isDatabase(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return false
    throw error
  }
}

/** `3 sessions, 4 subscriptions, ...`, for people. */
export function summaryOf({ totals }: TakenOverDatabase): string {
  const { sessions, subscriptions, waiting, inFlight, retained } = totals
  return [
    counted(sessions, 'session'),
    counted(subscriptions, 'subscription'),
    `${counted(waiting, 'message')} waiting`,
    `${inFlight} in flight`,
    counted(retained, 'retained message'),
  ].join(', ')
}

/** Sentences about data that was not taken over, or that may surprise. */
export function lossesIn({ path, totals, damage, damageCount }: TakenOverDatabase): string[] {
  const { unreleased, expiredSessions, expiredMessages, missingMessages, refusedSubscriptions } = totals
  const lines = damage.map((line) => `${path} is damaged: ${line}`)
  if (damageCount > damage.length) lines.push(`${path} has ${damageCount - damage.length} more damaged places`)
  if (expiredSessions > 0) lines.push(`${counted(expiredSessions, 'session')} had expired and did not come along`)
  if (expiredMessages > 0) lines.push(`${counted(expiredMessages, 'message')} had expired and did not come along`)
  if (missingMessages > 0) lines.push(`${counted(missingMessages, 'message')} cannot be read and did not come along`)
  if (refusedSubscriptions > 0) {
    lines.push(`${counted(refusedSubscriptions, 'subscription')} with a filter that is not valid did not come along`)
  }
  if (unreleased > 0) {
    lines.push(
      `${counted(unreleased, 'QoS 2 message')} that clients had sent and not released ${unreleased === 1 ? 'was' : 'were'} passed on now`,
    )
  }
  lines.push(`Mosquitto does not keep Wills and Shared Subscriptions in ${path}: clients bring them when they connect`)
  return lines
}

async function using(
  path: string,
  work: (snapshot: Snapshot, totals: TakenOver) => Promise<void>,
): Promise<TakenOverDatabase> {
  const snapshot = openSnapshot(path)
  try {
    const totals = nothingTakenOver()
    await work(snapshot, totals)
    return resultOf(snapshot, totals)
  } finally {
    snapshot.close()
  }
}

function openSnapshot(path: string): Snapshot {
  return isSqlite(headOf(path)) ? SqliteDatabase.open(path) : MosquittoDatabase.open(path)
}

/** Returns the first bytes of a file, which tell its kind; fewer than `HEAD_BYTES` of a shorter one. */
function headOf(path: string): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  const fd = openSync(path, 'r')
  try {
    return head.subarray(0, readSync(fd, head))
  } finally {
    closeSync(fd)
  }
}

const resultOf = ({ path, damage, damageCount }: Snapshot, totals: TakenOver): TakenOverDatabase => ({
  path,
  totals,
  damage,
  damageCount,
})

function isFileWithBytes(path: string): boolean {
  try {
    const status = statSync(path, { throwIfNoEntry: false })
    return status?.isFile() === true && status.size > 0
  } catch (error) {
    // A folder that may not be entered is told of when our own data is opened there.
    if (['EACCES', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}
