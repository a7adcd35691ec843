/**
 * A new data file from records: for `recado import`, and for a start that finds the data of a Mosquitto.
 *
 * Invariant: the folder has data when all of it is safe, and none before, because the file is made in a folder within that folder and
 * moved at the end. What an attempt that was killed has left there is made anew.
 */
import { renameSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { lmdb, lmdbFile, type StoredRecord, writeContents } from '@recado/broker'

/** Name of the folder in which the data is made. */
export const WORKSHOP = 'import.part'

/**
 * Makes the data of `folder`, which is made when it is missing, and returns the number of records. `onRecord` is called for each.
 * @throws MqttError ERR_MQTT_STORE_CONTENTS for records that contradict each other; what the system says when the disk is full
 */
export async function makeData(
  folder: string,
  records: Iterable<StoredRecord> | AsyncIterable<StoredRecord>,
  onRecord?: () => void,
): Promise<number> {
  const workshop = join(folder, WORKSHOP)
  rmSync(workshop, { recursive: true, force: true })
  try {
    const store = await lmdb({ path: workshop })
    let count: number
    try {
      count = await writeContents(store, records, onRecord)
    } finally {
      await store.close()
    }
    renameSync(lmdbFile(workshop), lmdbFile(folder))
    const handle = await open(folder, 'r')
    await handle.sync()
    await handle.close()
    return count
  } finally {
    rmSync(workshop, { recursive: true, force: true })
  }
}
