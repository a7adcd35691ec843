/**
 * A run of the laboratory: the cells of a plan that have no result yet, some at a time, each appended to a file as one
 * line of JSON when it is over.
 *
 * Invariant: a run that is broken off loses the cells that were under way and nothing else; a line that is not whole is
 * left out. A cell that fails is told and has no line, so that the next run tries it again.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type CellMeans, type CellResult, runCell } from './cell.ts'
import { skipWithoutDevice } from './devices.ts'
import { LabPrograms } from './line.ts'
import { type Cell, keyOf } from './plan.ts'
import { LabCertificates, LabServer, type ServerName } from './servers.ts'

export interface LabRunOptions {
  readonly cells: readonly Cell[]
  /** File with the results; `null` keeps none. */
  readonly file: string | null
  /** True to run cells again that are in the file; the last line of a cell counts. */
  readonly isFresh: boolean
  /** Number of cells at a time. */
  readonly jobs: number
  readonly seed: number
  /** Time in milliseconds after which no further cell begins. */
  readonly budgetMs: number
  onProgress?(done: number, all: number, key: string): void
  /** Called for a cell without a result: it failed, or its software is missing. */
  onFailure?(key: string, why: string): void
}

export interface LabRunSummary {
  readonly results: CellResult[]
  /** Number of cells that were in the file already. */
  readonly before: number
  readonly failed: number
  /** Number of cells that the time was too short for. */
  readonly left: number
}

/** Returns the results of a file by their keys. */
export function readResults(file: string): Map<string, CellResult> {
  const results = new Map<string, CellResult>()
  if (!existsSync(file)) return results
  for (const [i, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    if (line === '') continue
    try {
      const result = JSON.parse(line) as CellResult
      results.set(result.key, result)
    } catch (error) {
      // The last line of a run that was killed while it wrote.
      process.stderr.write(`${file}:${i + 1}: left out, not whole: ${(error as Error).message}\n`)
    }
  }
  return results
}

export async function runLab(options: LabRunOptions): Promise<LabRunSummary> {
  const { cells, file, isFresh, jobs, seed, budgetMs, onProgress, onFailure } = options
  const known = file === null || isFresh ? new Map<string, CellResult>() : readResults(file)
  const waiting = cells.filter((cell) => !known.has(keyOf(cell)))
  const startedMs = Date.now()
  const programs = new LabPrograms()
  const certificates = new LabCertificates()
  const servers = new SharedServers(certificates)
  const results: CellResult[] = []
  let done = 0
  let failed = 0
  let left = 0
  const work = async (): Promise<void> => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const key = keyOf(cell)
      if (Date.now() - startedMs > budgetMs) {
        left++
        continue
      }
      const result = await attempt(cell, { programs, certificates, seed, server: servers.take })
      done++
      if (typeof result === 'string') {
        failed++
        onFailure?.(key, result)
      } else {
        results.push(result)
        if (file !== null) {
          mkdirSync(dirname(file), { recursive: true })
          appendFileSync(file, `${JSON.stringify(result)}\n`)
        }
      }
      onProgress?.(done, all, key)
    }
  }
  const all = waiting.length
  try {
    if (all > 0) await programs.build(waiting.some(({ device }) => device === 'paho-c') && !skipWithoutDevice('paho-c'))
    await Promise.all(Array.from({ length: Math.min(jobs, all) }, work))
  } finally {
    await servers.stop()
    certificates.remove()
    programs.remove()
  }
  return { results, before: cells.length - all, failed, left }
}

/** Returns the cell's result, or the reason why there is none. */
async function attempt(cell: Cell, means: CellMeans): Promise<CellResult | string> {
  const missing = skipWithoutDevice(cell.device) || LabServer.skip(cell.server, cell.condition.clock !== undefined)
  if (missing) return missing
  try {
    return await runCell(cell, means)
  } catch (error) {
    return (error as Error).message
  }
}

/** One server of each kind, for all cells but those that have a clock of their own. */
class SharedServers {
  readonly #servers = new Map<ServerName, Promise<LabServer>>()
  readonly #certificates: LabCertificates

  constructor(certificates: LabCertificates) {
    this.#certificates = certificates
  }

  readonly take: CellMeans['server'] = async ({ server: name }, environment, isOwn) => {
    if (isOwn) {
      const server = await LabServer.start(name, this.#certificates, environment)
      return { server, release: () => server.stop() }
    }
    let shared = this.#servers.get(name)
    if (shared === undefined) {
      shared = LabServer.start(name, this.#certificates)
      this.#servers.set(name, shared)
    }
    return { server: await shared, release: async () => {} }
  }

  async stop(): Promise<void> {
    // One that has not started has told its cell, and left nothing.
    for (const result of await Promise.allSettled(this.#servers.values()))
      if (result.status === 'fulfilled') await result.value.stop()
  }
}
