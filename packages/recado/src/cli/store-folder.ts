/**
 * Opening a data folder for the store tools, and the one way in which all of them fail: a line on stderr, exit code 1.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { lmdbFile, lmdbReader, type StoreReader } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import { ConfigError } from '../config/parse.ts'
import type { Io } from '../io.ts'
import { ToolError } from './store-arguments.ts'

/**
 * Opens it for reading; a broker may use it meanwhile.
 * @throws ToolError, MqttError ERR_MQTT_STORE_…
 */
export async function openFolder(folder: string): Promise<StoreReader> {
  const path = resolve(folder)
  if (!existsSync(lmdbFile(path))) {
    throw new ToolError(`there is no data in ${path} (no ${lmdbFile(path)}): name the broker's data folder`)
  }
  return lmdbReader(path)
}

/** Runs a tool; what is foreseen is a line and exit code 1. */
export async function runTool(command: string, io: Io, run: () => Promise<number>): Promise<number> {
  try {
    return await run()
  } catch (error) {
    if (!isForeseen(error)) throw error
    io.stderr.write(`recado ${command}: ${error.message}\n`)
    return 1
  }
}

/** Ours, or the operating system's, as for a file that cannot be opened. */
function isForeseen(error: unknown): error is Error {
  return (
    error instanceof ToolError ||
    error instanceof MqttError ||
    error instanceof ConfigError ||
    (error as NodeJS.ErrnoException).syscall !== undefined
  )
}
