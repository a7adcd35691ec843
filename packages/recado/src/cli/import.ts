/**
 * `recado import`: makes a data folder of what `recado export` has written.
 *
 * Called by `main.ts`. A line and a batch of rows are in memory at a time. The invariant: the folder has data when all of it is
 * safe, and none before, because it is made in a folder within that folder and moved at the end.
 */
import { createReadStream, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { lmdb, lmdbFile, type StoredRecord, writeContents } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import { type Command, helpRow, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ContentsError, checkHeader, parseRecord } from './contents-json.ts'
import { readLines } from './lines.ts'
import { counted, grouped, Progress } from './progress.ts'
import { runTool } from './store-folder.ts'

/** Where the data is made; what an import that was killed has left there is made anew. */
const WORKSHOP = 'import.part'

export const command: Command = {
  name: 'import',
  summary: 'makes a data folder of what recado export has written.',
  usage: ['FOLDER FILE'],
  operands: [
    {
      name: 'FOLDER',
      help: 'a new or empty folder; afterwards a broker can be started with it (persistence_location, or --data)',
      completes: 'folder',
    },
    { name: 'FILE', help: 'the export, or - for stdin', completes: 'file' },
  ],
  groups: [{ options: [helpRow] }],
  notes: `It is all or nothing: when something is wrong, the line is named and the folder is left without data.
Exit code: 0, or 1 when something went wrong.`,
}

export function runImport(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async ({ operands }) => {
    const [folder = '', file = ''] = operands
    const path = resolve(folder)
    if (existsSync(path) && readdirSync(path).some((name) => name !== WORKSHOP)) {
      throw new ToolError(`${path} is not empty: import into a new folder`)
    }
    const totalBytes = file === '-' ? null : statSync(file).size
    const input = file === '-' ? io.stdin : createReadStream(file)
    const count = await importInto(path, new Lines(file === '-' ? 'stdin' : file, input, totalBytes), io)
    io.stderr.write(`${counted(count, 'record')} in ${path}\n`)
    return 0
  })
}

async function importInto(path: string, lines: Lines, io: Io): Promise<number> {
  const workshop = join(path, WORKSHOP)
  rmSync(workshop, { recursive: true, force: true })
  const progress = new Progress(io.stderr)
  try {
    const store = await lmdb({ path: workshop })
    let count: number
    try {
      count = await writeContents(store, lines.records(), () => progress.step(() => lines.progressText()))
    } catch (error) {
      throw error instanceof MqttError ? lines.wrong(error.message) : error
    } finally {
      await store.close()
    }
    renameSync(lmdbFile(workshop), lmdbFile(path))
    const handle = await open(path, 'r')
    await handle.sync()
    await handle.close()
    return count
  } finally {
    progress.clear()
    rmSync(workshop, { recursive: true, force: true })
  }
}

/** The records of an export, and where in it we are. */
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

  /** Throws ToolError with the line's number. */
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
