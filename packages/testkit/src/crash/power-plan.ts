/**
 * The conditions of a broker in a crash run with power cuts: its disk and clock in each run of the process, and the
 * moment of its end.
 *
 * Used by `run.ts`. Each process gets its conditions by chance; each end is a plain kill -9 or a power cut, at some
 * moment or at the very moment at which an acknowledgement of a chosen kind has come to a client.
 */
import { setTimeout as after } from 'node:timers/promises'
import { type Packet, PacketType } from '@recado/protocol'
import type { Random } from '../random.ts'
import { type Conditions, PowerDisk } from './power.ts'
import type { PowerSummary } from './run.ts'

const MOMENTS: readonly (keyof typeof PacketType)[] = ['CONNACK', 'PUBACK', 'PUBREC', 'PUBCOMP', 'SUBACK', 'UNSUBACK']
const HOUR = 3_600
/** Longest time in milliseconds of a sync on an ordinary disk. */
const SLOW_MS = 10
/** Number of failing syncs among 1000. */
const ERRORS = 30

export class PowerPlan {
  readonly disk: PowerDisk
  readonly summary: PowerSummary = {
    cuts: 0,
    writes: 0,
    unsynced: 0,
    slow: 0,
    failing: 0,
    misdated: 0,
    moments: Object.fromEntries(MOMENTS.map((name) => [name, 0])),
  }
  /** Whether syncs fail in this process. */
  isFailing = false
  readonly #random: Random
  #armed: { readonly name: keyof typeof PacketType; left: number; readonly kill: () => void } | null = null
  #onMoment: () => void = () => {}

  constructor(dataFolder: string, random: Random) {
    this.#random = random
    this.disk = new PowerDisk(dataFolder, random.fork())
  }

  /**
   * Returns the environment of the next process. `isHard`: its syncs may take long, or fail; otherwise everything
   * settles in it, which takes many syncs.
   */
  environment(isHard: boolean): Record<string, string> {
    const random = this.#random
    const conditions: Conditions = {
      delayMs: random.chance(0.8) ? random.between(1, isHard && random.chance(0.2) ? 100 : 10) : 0,
      errors: isHard && random.chance(0.15) ? ERRORS : 0,
      clockSeconds: random.chance(0.25) ? random.between(-24 * HOUR, 24 * HOUR) * random.between(1, 30) : 0,
      seed: random.between(1, 1_000_000),
    }
    this.isFailing = conditions.errors > 0
    if (conditions.delayMs > SLOW_MS) this.summary.slow++
    if (conditions.errors > 0) this.summary.failing++
    if (conditions.clockSeconds !== 0) this.summary.misdated++
    return this.disk.environment(conditions)
  }

  /** Chooses a moment, in most cases. The returned function waits until it has come, at most for the given time. */
  arm(kill: () => void): ((ms: number) => Promise<void>) | undefined {
    const random = this.#random
    if (random.chance(0.15)) return undefined
    const name = MOMENTS[random.between(0, MOMENTS.length - 1)]!
    const isRare = name === 'CONNACK' || name === 'SUBACK' || name === 'UNSUBACK'
    this.#armed = { name, left: random.between(1, isRare ? 2 : 40), kill }
    const came = new Promise<void>((resolve) => {
      this.#onMoment = resolve
    })
    return async (ms) => {
      await Promise.race([came, after(ms)])
      this.#armed = null
    }
  }

  onPacket({ type }: Packet): void {
    const armed = this.#armed
    if (armed === null || type !== PacketType[armed.name] || --armed.left > 0) return
    this.#armed = null
    armed.kill()
    this.summary.moments[armed.name]!++
    this.#onMoment()
  }

  /** Cuts the power too, in most cases, after the process has ended. */
  cut(): void {
    if (this.#random.chance(0.2)) return
    const { unsure, writes } = this.disk.cut()
    this.summary.cuts++
    this.summary.writes += writes
    this.summary.unsynced += unsure
  }
}
