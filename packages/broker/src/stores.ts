/**
 * The stores that an embedder chooses from: `createBroker({ store: await lmdb({ path }) })`, or `memory()`.
 *
 * LMDB is a native module and an optional peer dependency. It is loaded when it is asked for: a broker that keeps nothing neither loads nor
 * needs it. Where it is missing the error says how to get it.
 */
import { check, checkOptions, MqttError, text } from '@recado/protocol'
import { lmdbRules } from './access-rules.ts'
import { dataPathOf } from './adapters/lmdb-folder.ts'
import type { BackupProgress, LmdbOptions, StoreReader } from './adapters/lmdb-store.ts'
import type { Store } from './ports.ts'

export { memory } from './adapters/memory-store.ts'
export type { BackupProgress, LmdbOptions, StoreReader }
/** Path of the data file in the data folder `path`. A backup is such a file. */
export const lmdbFile: (path: string) => string = dataPathOf

/**
 * Opens the data folder `options.path`, which is made (0700) when it is missing, and takes its lock. The broker that gets the
 * store closes it. A damaged data file is set aside (`onQuarantine`), and the store starts empty.
 * @throws MqttError ERR_MQTT_STORE_FOLDER (it cannot be written: the message says what to do), ERR_MQTT_STORE_LOCKED (names the
 * process that uses it), ERR_MQTT_STORE_VERSION (a newer broker wrote it), ERR_MQTT_STORE_OPEN, ERR_MQTT_STORE_PACKAGE (the package `lmdb`
 * is not installed).
 */
export async function lmdb(options: LmdbOptions): Promise<Store & StoreReader> {
  checkOptions(options, lmdbRules)
  check('path', options.path, text)
  const { openLmdbStore } = await loadLmdbStore()
  return openLmdbStore(options)
}

/**
 * Opens a data folder for reading only, also while a broker uses it. The reader sees the moment when it was opened; until it is
 * closed the data file keeps what the broker removes meanwhile, and grows.
 * @throws MqttError ERR_MQTT_STORE_OPEN, ERR_MQTT_STORE_VERSION, ERR_MQTT_STORE_PACKAGE.
 */
export async function lmdbReader(path: string): Promise<StoreReader> {
  const { openLmdbStoreReader } = await loadLmdbStore()
  return openLmdbStoreReader(path)
}

/** The command that installs what `lmdb` needs, of the versions that the manifest names. */
const INSTALL = 'npm install lmdb@3'

async function loadLmdbStore(): Promise<typeof import('./adapters/lmdb-store.ts')> {
  try {
    return await import('./adapters/lmdb-store.ts')
  } catch (cause) {
    throw lmdbError(cause as Error)
  }
}

/** Returns the error that says why LMDB could not be loaded and what helps. `cause` is the error of the import. */
export function lmdbError(cause: Error & { code?: string }): MqttError {
  const isMissing = cause.code === 'ERR_MODULE_NOT_FOUND' && /'lmdb'/.test(cause.message)
  const why = isMissing
    ? `the package lmdb is not installed: ${INSTALL}`
    : `the package lmdb cannot be loaded (${cause.message}): ${INSTALL}, with its optional dependencies, which are the binaries of each system`
  return new MqttError(
    'ERR_MQTT_STORE_PACKAGE',
    `A store on the disk needs LMDB, and ${why}. memory() needs nothing.`,
    {
      cause,
    },
  )
}
