/**
 * A new data file from records: for `recado import`, and for a start that finds the data of a Mosquitto.
 *
 * Invariant: the folder has data when all of it is safe, and none before, because the file is made in a folder within that folder and
 * gets its name at the end. Of two attempts at once one makes the data, and the other finds it made. What an attempt that was killed has
 * left is removed by the next one.
 */
import { existsSync, linkSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { lmdb, lmdbFile, type StoredRecord, writeContents } from '@recado/broker'

/** Beginning of the names of folders in which data is made; the number of the process follows. */
const WORKSHOP = 'import.part-'

/** Returns true for the name of a folder in which data is, or was, made. */
export const isWorkshop = (name: string): boolean => name.startsWith(WORKSHOP)

/**
 * Makes the data of `folder`, which is made when it is missing, and returns the number of records; null when another process has made it
 * meanwhile. `onRecord` is called for each record.
 * @throws MqttError ERR_MQTT_STORE_CONTENTS for records that contradict each other; what the system says when the disk is full
 */
export async function makeData(
  folder: string,
  records: Iterable<StoredRecord> | AsyncIterable<StoredRecord>,
  onRecord?: () => void,
): Promise<number | null> {
  const isNew = !existsSync(folder)
  removeAbandoned(folder)
  const workshop = join(folder, `${WORKSHOP}${process.pid}`)
  try {
    const store = await lmdb({ path: workshop })
    let count: number
    try {
      count = await writeContents(store, records, onRecord)
    } finally {
      await store.close()
    }
    try {
      // Unlike a rename it takes nobody's place.
      linkSync(lmdbFile(workshop), lmdbFile(folder))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null
      throw error
    }
    const handle = await open(folder, 'r')
    await handle.sync()
    await handle.close()
    return count
  } finally {
    rmSync(workshop, { recursive: true, force: true })
    if (isNew) removeEmpty(folder)
  }
}

/** Removes the folder when there is nothing in it: the attempt that has made it has failed. */
function removeEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder)
}

/** Removes what attempts that are over have left. */
function removeAbandoned(folder: string): void {
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    const pid = Number(name.slice(WORKSHOP.length))
    if (isWorkshop(name) && !isAlive(pid)) rmSync(join(folder, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid || !Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
