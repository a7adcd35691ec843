/**
 * `recado import`: makes a data folder of what `recado export` has written, or of what a Mosquitto has kept.
 *
 * Called by `main.ts`. A line and a batch of rows are in memory at a time. The invariant: the folder has data when all of it is
 * safe, and none before (`new-data.ts`).
 */
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import type { StoredRecord } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import { type Command, helpRow, type ParsedCommand, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { isDatabase, lossesIn, summaryOf, type TakenOverDatabase, takeOver } from '../mosquitto-db/take-over.ts'
import { isWorkshop, makeData } from '../new-data.ts'
import { ContentsError, checkHeader, parseRecord } from './contents-json.ts'
import { readLines } from './lines.ts'
import { counted, grouped, Progress } from './progress.ts'
import { jsonRow, report, runTool } from './store-folder.ts'

export const command: Command = {
  name: 'import',
  summary: 'makes a data folder of what recado export, or Mosquitto, has written.',
  usage: ['FOLDER FILE'],
  operands: [
    {
      name: 'FOLDER',
      help: 'a new or empty folder; afterwards a broker can be started with it (persistence_location, or --data)',
      completes: 'folder',
    },
    {
      name: 'FILE',
      help: "the export, or - for stdin; or Mosquitto's own mosquitto.db (versions 5 and 6) or mosquitto.sqlite3,\nwhich is left as it is",
      completes: 'file',
    },
  ],
  groups: [{ options: [jsonRow, helpRow] }],
  notes: `It is all or nothing: when something is wrong, the line is named and the folder is left without data.
Exit code: 0, or 1 when something went wrong.`,
}

export function runImport(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const [folder = '', file = ''] = parsed.operands
    const path = resolve(folder)
    if (existsSync(path) && readdirSync(path).some((name) => !isWorkshop(name))) {
      throw new ToolError(`${path} is not empty: import into a new folder`)
    }
    if (file !== '-' && statSync(file).isDirectory()) {
      throw new ToolError(`${file} is a folder: name the file that recado export has written, or a mosquitto.db`)
    }
    if (file !== '-' && isDatabase(file)) {
      await importDatabase(path, file, parsed, io)
      return 0
    }
    const totalBytes = file === '-' ? null : statSync(file).size
    const input = file === '-' ? io.stdin : createReadStream(file)
    const count = await importLines(path, new Lines(file === '-' ? 'stdin' : file, input, totalBytes), io)
    report(parsed, io, { folder: path, records: count }, `${counted(count, 'record')} in ${path}`)
    return 0
  })
}

async function importLines(path: string, lines: Lines, io: Io): Promise<number> {
  const progress = new Progress(io.stderr)
  try {
    return madeHere(await makeData(path, lines.records(), () => progress.step(() => lines.progressText())), path)
  } catch (error) {
    throw error instanceof MqttError && error.code === 'ERR_MQTT_STORE_CONTENTS' ? lines.wrong(error.message) : error
  } finally {
    progress.clear()
  }
}

/** @throws ToolError when another process has made the data meanwhile */
function madeHere<T>(result: T | null, path: string): T {
  if (result === null) throw new ToolError(`${path} has data now, from another process: import into a new folder`)
  return result
}

/** Imports what a Mosquitto has kept; each thing that is left behind is a line on stderr. */
async function importDatabase(path: string, file: string, parsed: ParsedCommand, io: Io): Promise<void> {
  const progress = new Progress(io.stderr)
  let count = 0
  let result: TakenOverDatabase
  try {
    const onRecord = (): void => {
      count++
      progress.step(() => `${grouped(count)} records written`)
    }
    result = madeHere(await takeOver(file, path, Date.now(), onRecord), path)
  } finally {
    progress.clear()
  }
  for (const line of lossesIn(result)) io.stderr.write(`recado import: ${line}\n`)
  report(parsed, io, { folder: path, ...result.totals }, `${summaryOf(result)} in ${path}`)
}

/** Records of an export, with the present line number. */
class Lines {
  readonly #name: string
  readonly #input: Readable
  readonly #totalBytes: number | null
  #number = 0
  #bytes = 0

  constructor(name: string, input: Readable, totalBytes: number | null) {
    this.#name = name
    this.#input = input
    this.#totalBytes = totalBytes
  }

  /** Yields the records. @throws ToolError with the line's number */
  async *records(): AsyncGenerator<StoredRecord> {
    for await (const line of readLines(this.#input)) {
      this.#number++
      this.#bytes += line.length + 1
      try {
        const text = line.toString()
        if (this.#number === 1) checkHeader(text)
        else if (text.trim() !== '') yield parseRecord(text)
      } catch (error) {
        throw error instanceof ContentsError ? this.wrong(error.message) : error
      }
    }
    if (this.#number === 0) throw new ToolError(`${this.#name} is empty: it is not an export of recado`)
  }

  wrong(message: string): ToolError {
    return new ToolError(`${this.#name}:${this.#number}: ${message}`)
  }

  progressText(): string {
    const share = this.#totalBytes === null ? '' : ` (${Math.floor((100 * this.#bytes) / this.#totalBytes)} %)`
    return `${grouped(this.#number)} lines read${share}`
  }
}
