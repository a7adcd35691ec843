/**
 * The random walk: lanes beside each other on one broker process, now and then a restart, and the shrinking of
 * findings.
 *
 * Called by `npm run fuzz -- session` and by a test. Each lane's script follows from the seed; the timing between lanes
 * does not. A finding keeps the script of its lane up to then. On Recado that script is played again, alone on a new
 * broker, and shortened as long as it shows the same kind of finding, within a given time. The walk ends early only
 * when the broker has died.
 */
import { setTimeout as after } from 'node:timers/promises'
import { Random } from '../random.ts'
import type { LaneEnvironment } from './environment.ts'
import { Lane } from './lane.ts'
import { Chooser, type Op } from './script.ts'
import { type Target, TargetProcess, traitsOf } from './target.ts'

export interface WalkOptions {
  readonly target: Target
  /** Number of operations of all lanes together. */
  readonly operations: number
  /** Seconds after which it ends early; 0 for no limit. */
  readonly seconds: number
  readonly seed: number
  readonly lanes: number
  /** Average number of operations between two restarts, half of them kill -9; 0 for none. */
  readonly restartEvery: number
  /** Seconds for making findings small; 0 to skip that. */
  readonly shrinkSeconds: number
  readonly onProgress?: (done: number, found: number) => void
  /** Called with the first finding of each kind, at once. */
  readonly onFound?: (found: Found) => void
}

export interface Found {
  readonly kind: string
  /** Text of the first finding. */
  readonly text: string
  count: number
  readonly script: readonly Op[]
  /** Packets of its lane before the finding. */
  readonly trace: readonly string[]
  /** Whether the script shows it again. */
  isReplayable: boolean
}

export interface WalkResult {
  readonly operations: number
  readonly connections: number
  readonly published: number
  readonly restarts: number
  readonly seconds: number
  readonly findings: readonly Found[]
}

/** Number of operations of a lane that are kept for the case of a finding. */
const HISTORY = 3_000
const QUIET_MS = 15_000
const QUIET_AGAIN_MS = 3_000
/** Time in milliseconds after the death of the broker in which operations may end by themselves. */
const LEAVE_MS = 1_000

/** One broker and the lanes on it. */
class WalkBroker {
  readonly findings: Map<string, Found> = new Map()
  readonly lanes: Lane[] = []
  readonly histories: Map<Lane, Op[]> = new Map()
  restarts = 0
  isDead = false
  #isEnded = false
  process!: TargetProcess
  readonly #target: Target
  readonly #quietMs: number
  readonly #onFound: (found: Found) => void
  #restarting: Promise<void> | null = null

  private constructor(target: Target, quietMs: number, onFound: (found: Found) => void) {
    this.#target = target
    this.#onFound = onFound
    this.#quietMs = quietMs
  }

  static async start(target: Target, quietMs: number, onFound: (found: Found) => void = () => {}): Promise<WalkBroker> {
    const walkBroker = new WalkBroker(target, quietMs, onFound)
    walkBroker.process = await TargetProcess.start(
      target,
      (text) => {
        walkBroker.isDead = true
        for (const lane of walkBroker.lanes) walkBroker.found(lane, 'died', text)
      },
      (line) => {
        for (const lane of walkBroker.lanes) walkBroker.found(lane, 'log', line)
      },
    )
    return walkBroker
  }

  add(number: number): Lane {
    const environment: LaneEnvironment = {
      port: this.process.port,
      traits: traitsOf(this.#target),
      quietMs: this.#quietMs,
      isStopping: () => this.#restarting !== null || this.isDead,
      running: async () => {
        await this.#restarting
        if (this.isDead) throw new Died()
      },
      restart: (how) => this.restart(how),
    }
    const lane: Lane = new Lane(number, environment, (kind, text) => this.found(lane, kind, text))
    this.lanes.push(lane)
    this.histories.set(lane, [])
    return lane
  }

  found(lane: Lane, kind: string, text: string): void {
    const known = this.findings.get(kind)
    if (known !== undefined) {
      known.count++
      return
    }
    const script = [...this.histories.get(lane)!]
    const found: Found = { kind, text, count: 1, script, trace: lane.trace.lines(), isReplayable: false }
    const keep = (): void => {
      if (this.findings.has(kind)) return
      this.findings.set(kind, found)
      this.#onFound(found)
    }
    if (kind === 'died' || kind === 'log') keep()
    // Consequences of its death, which connections notice before we do, are no findings of their own
    else if (kind === 'disconnected') setTimeout(() => this.isDead || keep(), LEAVE_MS)
    else if (!this.isDead) keep()
  }

  async restart(how: 'term' | 'kill'): Promise<void> {
    if (this.#restarting !== null) return await this.#restarting
    this.#restarting = this.#restart(how)
    try {
      await this.#restarting
    } finally {
      this.#restarting = null
    }
  }

  async #restart(how: 'term' | 'kill'): Promise<void> {
    this.restarts++
    for (const lane of this.lanes) lane.onStop(how)
    const wrong = await this.process.stop(how)
    if (wrong !== '') for (const lane of this.lanes) this.found(lane, 'died', wrong)
    for (const lane of this.lanes) await lane.ended()
    await this.process.launch()
  }

  async play(lane: Lane, op: Op): Promise<void> {
    const history = this.histories.get(lane)!
    history.push(op)
    if (history.length > HISTORY * 1.5) history.splice(0, history.length - HISTORY)
    await lane.play(op)
  }

  /** Resolves a while after the broker's death, or at the end: lanes that wait for it are left. */
  async death(): Promise<void> {
    while (!this.isDead && !this.#isEnded) await after(100)
    await after(LEAVE_MS)
  }

  async end(): Promise<void> {
    this.#isEnded = true
    for (const lane of this.lanes) lane.close()
    await after(LEAVE_MS)
    await this.process.dispose()
  }
}

class Died extends Error {}

export async function runWalk(options: WalkOptions): Promise<WalkResult> {
  const startedMs = performance.now()
  const walkBroker = await WalkBroker.start(options.target, QUIET_MS, options.onFound)
  const random = new Random(options.seed)
  let done = 0
  const isOver = (): boolean =>
    walkBroker.isDead ||
    done >= options.operations ||
    (options.seconds > 0 && performance.now() - startedMs > options.seconds * 1000)
  try {
    const lanes = Array.from({ length: options.lanes }, (_, i) => walkBroker.add(i))
    const restarts = random.fork()
    const untilRestart = (): number =>
      options.restartEvery === 0 ? Number.POSITIVE_INFINITY : done + restarts.between(1, options.restartEvery * 2)
    let restartAt = untilRestart()
    const walk = async (lane: Lane, chooser: Chooser): Promise<void> => {
      try {
        while (!isOver()) {
          if (done >= restartAt) {
            restartAt = untilRestart()
            const op: Op = { do: 'restart', how: restarts.chance(0.5) ? 'kill' : 'term' }
            for (const other of walkBroker.lanes) if (other !== lane) walkBroker.histories.get(other)!.push(op)
            await walkBroker.play(lane, op)
          }
          await walkBroker.play(lane, chooser.next())
          if (++done % 1_000 === 0) options.onProgress?.(done, walkBroker.findings.size)
          await new Promise((resolve) => setImmediate(resolve))
        }
        if (!walkBroker.isDead) await walkBroker.play(lane, { do: 'settle', afterwards: 'drop' })
      } catch (error) {
        if (!(error instanceof Died)) throw error
      }
    }
    await Promise.race([Promise.all(lanes.map((lane) => walk(lane, new Chooser(random.fork())))), walkBroker.death()])
  } finally {
    await walkBroker.end()
  }
  const findings = [...walkBroker.findings.values()]
  const untilMs = performance.now() + options.shrinkSeconds * 1000
  if (options.target === 'recado' && options.shrinkSeconds > 0) {
    for (const [i, found] of findings.entries()) {
      const share = (untilMs - performance.now()) / (findings.length - i)
      findings[i] = await shrink(found, walkBroker, performance.now() + share)
    }
  }
  return {
    operations: done,
    connections: walkBroker.lanes.reduce((sum, lane) => sum + lane.connections, 0),
    published: walkBroker.lanes.reduce((sum, lane) => sum + lane.published, 0),
    restarts: walkBroker.restarts,
    seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    findings,
  }
}

/** Replay of scripts, one after the other, each in a lane of its own, on one broker as long as it lives. */
class Replay {
  readonly #target: Target
  #walkBroker: WalkBroker | null = null
  #lane = 100

  constructor(target: Target) {
    this.#target = target
  }

  /** Plays a script. Returns the kinds of findings, each with its text. */
  async play(script: readonly Op[]): Promise<Map<string, string>> {
    const walkBroker = this.#walkBroker ?? (await WalkBroker.start(this.#target, QUIET_AGAIN_MS))
    this.#walkBroker = walkBroker
    walkBroker.findings.clear()
    const lane = walkBroker.add(this.#lane++)
    const all = async (): Promise<void> => {
      try {
        for (const op of [...script, { do: 'settle', afterwards: 'drop' } as const]) {
          await walkBroker.play(lane, op)
          await new Promise((resolve) => setImmediate(resolve))
        }
      } catch (error) {
        if (!(error instanceof Died)) throw error
      }
    }
    await Promise.race([all(), walkBroker.death()])
    lane.close()
    const found = new Map([...walkBroker.findings.values()].map(({ kind, text }) => [kind, text]))
    walkBroker.lanes.length = 0
    if (walkBroker.isDead || script.some((op) => op.do === 'restart')) await this.end()
    return found
  }

  async end(): Promise<void> {
    await this.#walkBroker?.end()
    this.#walkBroker = null
  }
}

/** Findings of a kept script: kinds with the first text of each; empty when there are none. */
export async function replay(target: Target, script: readonly Op[]): Promise<Map<string, string>> {
  const player = new Replay(target)
  try {
    return await player.play(script)
  } finally {
    await player.end()
  }
}

/** Shortest script that shows the same kind of finding, as far as the time allows. */
async function shrink(found: Found, walkBroker: WalkBroker, untilMs: number): Promise<Found> {
  // A crash may be any lane's
  const histories = found.kind === 'died' || found.kind === 'log' ? [...walkBroker.histories.values()] : [found.script]
  const player = new Replay('recado')
  const shows = async (script: readonly Op[]): Promise<boolean> => (await player.play(script)).has(found.kind)
  try {
    for (const length of [50, 400, HISTORY]) {
      for (const history of histories) {
        if (performance.now() > untilMs) return found
        const script = history.slice(-length)
        if (!(await shows(script))) continue
        return { ...found, script: await smaller(script, shows, untilMs), isReplayable: true }
      }
    }
    return found
  } finally {
    await player.end()
  }
}

async function smaller(
  script: readonly Op[],
  shows: (script: readonly Op[]) => Promise<boolean>,
  untilMs: number,
): Promise<readonly Op[]> {
  for (let size = script.length >> 1; size >= 1; size = size >> 1) {
    for (let at = 0; at < script.length; ) {
      if (performance.now() > untilMs) return script
      const shorter = [...script.slice(0, at), ...script.slice(at + size)]
      if (await shows(shorter)) script = shorter
      else at += size
    }
  }
  return script
}
