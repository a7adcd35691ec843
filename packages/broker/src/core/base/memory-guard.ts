/**
 * The memory ceiling: what is refused, in which order, when the process comes near `memoryBytesMax`.
 *
 * | level | from | until | what is refused |
 * |---|---|---|---|
 * | 1 | 80 % | 75 % | what would begin: sessions that outlive their connection (0x97), subscriptions (0x97), retained messages of new topics (0x97) |
 * | 2 | 90 % | 85 % | also what would be kept: messages that would have to wait, retained messages (0x97); and new connections (0x89) |
 * | 3 | 100 % | 95 % | and of those connected the one that has most bytes waiting, in or out, is closed (0x97), and more at each look until there is room |
 *
 * Never given up: what has been acknowledged. Messages between clients that take them at once flow at every level.
 *
 * The core owns one when there is a limit, else null. It looks five times a second while there are connections. What is used
 * includes garbage, so a level is entered only after a collection; between collections it can only fall, but for the limit itself,
 * where there is no waiting to find out. Collections take a twentieth of the time at most.
 */
import type { ProcessMemory } from '../../ports.ts'
import { Timer, type TimerWheel } from './timer-wheel.ts'

export const MemoryLevel = { Normal: 0, NothingNew: 1, NothingKept: 2, Full: 3 } as const

const LOOK_MS = 200
/** Milliseconds from one collection to the next at least, and how many times as long as the last one took. */
const COLLECT_MS = 1_000
const COLLECT_SHARE = 20
/** Beginning of each level as a share of the limit; a level ends LEAVE below that. */
const ENTER = [0, 0.8, 0.9, 1] as const
const LEAVE = 0.05

export interface MemoryGuardPorts {
  readonly memory: ProcessMemory
  readonly wheel: TimerWheel
  nowMs(): number
  /** True while a connection is open that could use more memory. */
  isBusy(): boolean
  onLevel(level: number, usedBytes: number): void
  /** Level 3: closes connections that have most bytes waiting, until so many are free. */
  shed(bytes: number): void
}

export class MemoryGuard {
  level: number = MemoryLevel.Normal
  readonly #limitBytes: number
  readonly #ports: MemoryGuardPorts
  readonly #timer: Timer
  #mayCollectMs = Number.NEGATIVE_INFINITY

  constructor(limitBytes: number, ports: MemoryGuardPorts) {
    this.#limitBytes = limitBytes
    this.#ports = ports
    this.#timer = new Timer(() => this.#look())
  }

  get refusesNew(): boolean {
    return this.level >= MemoryLevel.NothingNew
  }

  get refusesToKeep(): boolean {
    return this.level >= MemoryLevel.NothingKept
  }

  /** Begins to watch, because a client has connected. */
  watch(): void {
    if (!this.#timer.isSet) this.#ports.wheel.set(this.#timer, this.#ports.nowMs() + LOOK_MS)
  }

  /** Looks no more. */
  stop(): void {
    this.#ports.wheel.clear(this.#timer)
  }

  #look(): void {
    const { memory } = this.#ports
    const nowMs = this.#ports.nowMs()
    let usedBytes = memory.usedBytes()
    let level = this.#levelOf(usedBytes)
    if (level > MemoryLevel.Normal && nowMs >= this.#mayCollectMs) {
      const tookMs = memory.collect()
      this.#mayCollectMs = nowMs + Math.max(COLLECT_MS, COLLECT_SHARE * tookMs)
      usedBytes = memory.usedBytes()
      level = this.#levelOf(usedBytes)
    } else if (level > this.level && level < MemoryLevel.Full) {
      // It may be garbage. At the limit itself there is no waiting to find out.
      level = this.level
    }
    if (level !== this.level) {
      this.level = level
      this.#ports.onLevel(level, usedBytes)
    }
    if (level === MemoryLevel.Full) this.#ports.shed(usedBytes - this.#limitBytes * (1 - LEAVE))
    if (level > MemoryLevel.Normal || this.#ports.isBusy()) this.watch()
  }

  #levelOf(usedBytes: number): number {
    const share = usedBytes / this.#limitBytes
    let level: number = MemoryLevel.Normal
    for (let each: number = MemoryLevel.NothingNew; each <= MemoryLevel.Full; each++) {
      const isIn = this.level >= each
      if (share >= ENTER[each as 1 | 2 | 3] - (isIn ? LEAVE : 0)) level = each
    }
    return level
  }
}
