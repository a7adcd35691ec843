/**
 * The disk and the clock of a broker in a crash run with power cuts: the libraries that are preloaded into it, and its
 * data folder afterwards.
 *
 * Used by `run.ts`. Invariant: `#base` is the data folder as it was after the last power cut, and the journal has all
 * writes since, over any number of processes: a plain kill -9 leaves its unsynced writes, and the next process may sync
 * them.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { peerPath } from '../peers/find.ts'
import type { Random } from '../random.ts'
import { cutPower, type PowerCut } from './power-cut.ts'

const source: string = fileURLToPath(new URL('../../peers/power.c', import.meta.url))

/** Conditions of the disk and the clock of one process. */
export interface Conditions {
  /** Longest time in milliseconds of a sync; 0 for no delay. */
  readonly delayMs: number
  /** Number of failing syncs among 1000. */
  readonly errors: number
  /** Error of the machine's clock in seconds. */
  readonly clockSeconds: number
  readonly seed: number
}

export const CALM: Conditions = { delayMs: 0, errors: 0, clockSeconds: 0, seed: 1 }

export class PowerDisk {
  readonly #folder: string
  readonly #data: string
  readonly #random: Random

  /**
   * @param data the data folder, which exists
   * @throws when there is no C compiler, or no libfaketime
   */
  constructor(data: string, random: Random) {
    this.#data = data
    this.#random = random
    this.#folder = mkdtempSync(join(tmpdir(), 'recado-power-'))
    execFileSync(peerPath('cc'), ['-shared', '-fPIC', '-O2', '-o', this.#library, source, '-ldl', '-lpthread'])
    this.#begin()
  }

  get #library(): string {
    return join(this.#folder, 'power.so')
  }

  get #journal(): string {
    return join(this.#folder, 'journal')
  }

  get #base(): string {
    return join(this.#folder, 'base')
  }

  #begin(): void {
    rmSync(this.#base, { recursive: true, force: true })
    cpSync(this.#data, this.#base, { recursive: true })
    rmSync(this.#journal, { force: true })
  }

  /** Variables of the environment of the next process. */
  environment({ delayMs, errors, clockSeconds, seed }: Conditions): Record<string, string> {
    const environment: Record<string, string> = {
      LD_PRELOAD: this.#library,
      POWER_FOLDER: this.#data,
      POWER_JOURNAL: this.#journal,
      POWER_DELAY: String(delayMs),
      POWER_ERRORS: String(errors),
      POWER_SEED: String(seed),
    }
    if (clockSeconds === 0) return environment
    return {
      ...environment,
      LD_PRELOAD: `${this.#library}:${peerPath('faketime')}`,
      FAKETIME: `${clockSeconds < 0 ? '' : '+'}${clockSeconds}s`,
      // Intervals are measured correctly: only the clock on the wall is wrong
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** Cuts the power after the process has ended: the data folder becomes what the disk has. */
  cut(): PowerCut {
    const journal = existsSync(this.#journal) ? readFileSync(this.#journal) : Buffer.alloc(0)
    const random = this.#random
    const kept = random.between(0, 4)
    const keep = kept === 0 ? 0 : kept === 1 ? 1 : random.next()
    const sector = random.chance(0.5) ? 512 : 4096
    const after = join(this.#folder, 'after')
    const result = cutPower(this.#base, journal, this.#data, after, { random, keep, sector })
    rmSync(this.#data, { recursive: true })
    cpSync(after, this.#data, { recursive: true })
    rmSync(after, { recursive: true })
    this.#begin()
    return result
  }

  /** Moves the files that explain a finding beside the data folder. */
  keep(): void {
    if (existsSync(this.#journal)) renameSync(this.#journal, `${this.#data}.journal`)
    cpSync(this.#base, `${this.#data}.base`, { recursive: true })
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
