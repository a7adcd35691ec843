/**
 * The bus between Cores: frames of one process arrive in order, late, or not at all; those of a process that is gone may
 * still arrive behind the first of the next one. Each frame is an array of its own, and the bytes that the sender handed
 * over are spoilt when `send` returns, as the contract of `Bus` allows.
 */
import type { Chance } from '../chance.ts'
import type { Handle, Loop } from '../loop.ts'
import type { BusPlan } from './plan.ts'

/** Milliseconds that a stalled frame takes at most. */
const STALL_MS = 900

export interface BusWorld {
  /** Hands over a frame, unless the process that it was for is gone. */
  arrived(from: number, to: number, frame: Uint8Array): void
  cover(name: string): void
}

export class SimBus {
  readonly #loop: Loop
  readonly #chance: Chance
  readonly #world: BusWorld
  #plan: BusPlan
  /** Time of the last arrival, and frames under way, by direction. */
  readonly #lastMs: Map<string, number> = new Map()
  readonly #under: Map<string, Set<Handle>> = new Map()
  readonly #partedMs: Map<string, number> = new Map()
  frames = 0

  constructor(loop: Loop, chance: Chance, plan: BusPlan, world: BusWorld) {
    this.#loop = loop
    this.#chance = chance
    this.#plan = plan
    this.#world = world
  }

  /** @param process number of the process of the sender */
  send(from: number, process: number, to: number, bytes: Uint8Array): void {
    const frame = new Uint8Array(bytes)
    bytes.fill(0xaa)
    this.frames++
    const key = `${from} ${to}`
    if (this.#loop.nowMs < (this.#partedMs.get(key) ?? 0) || this.#chance.of(this.#plan.losses)) {
      this.#world.cover('bus.lost')
      return
    }
    const isStalled = this.#chance.of(this.#plan.stalls)
    if (isStalled) this.#world.cover('bus.stalled')
    const takesMs = isStalled ? this.#chance.between(50, STALL_MS) : this.#chance.between(...this.#plan.latencyMs)
    const line = `${from}.${process} ${to}`
    const atMs = Math.max(this.#lastMs.get(line) ?? 0, this.#loop.nowMs + takesMs)
    this.#lastMs.set(line, atMs)
    const under = this.#under.get(key) ?? new Set()
    this.#under.set(key, under)
    const handle = this.#loop.at(atMs, () => {
      under.delete(handle)
      this.#world.arrived(from, to, frame)
    })
    under.add(handle)
  }

  /** Nothing that is sent from one to the other arrives for a while. */
  part(from: number, to: number, ms: number): void {
    this.#partedMs.set(`${from} ${to}`, this.#loop.nowMs + ms)
  }

  /** What is on its way does not arrive. */
  lose(from: number, to: number): void {
    for (const handle of this.#under.get(`${from} ${to}`) ?? []) this.#loop.cancel(handle)
    this.#under.get(`${from} ${to}`)?.clear()
  }

  calm(): void {
    this.#partedMs.clear()
    this.#plan = { ...this.#plan, losses: 0, stalls: 0 }
  }
}
