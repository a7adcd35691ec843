/**
 * Checks passwords on threads of their own: bounded, and fair to each address.
 *
 * `file.ts` calls it. Invariants: never more than `threads` hashes at a time and `waitingMax` waiting; networks take
 * turns (`LoginQueue`), so that one that tries passwords by the thousand delays itself and not all others; a check that
 * has waited too long, finds no room, or comes from a network with too many failures, is answered `busy` and costs no
 * work; each check is answered exactly once.
 */
import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import type { LoginQueue, MakeLoginQueue } from '../../ports.ts'
import { Answer } from './answer.ts'
import { costOf, type PasswordHash } from './hash.ts'
import type { HashFailure, HashJob } from './worker.ts'

/** Bounds of the threads that check passwords. */
export interface HashWorkersOptions {
  /**
   * Number of threads that hash; they start with the first login. Default: one less than there are processors, from 1
   * to 4.
   */
  threads?: number
  /**
   * Number of logins that may wait, of all networks and of one (an IPv4 address, a /64 of IPv6). Default 10,000 and
   * 250.
   */
  waitingMax?: number
  waitingPerAddressMax?: number
  /**
   * Wrong passwords of a network that are checked per second, twice that in a burst; above it further logins are
   * refused as busy. 0: no limit. Default 100.
   */
  failuresPerSecondMax?: number
  /** Time in milliseconds after which a waiting login is refused: its client will have given up. Default 10,000. */
  waitMsMax?: number
}

export type CheckResult = 'right' | 'wrong' | 'busy'

interface Check {
  readonly remoteAddress: string
  readonly hash: PasswordHash
  readonly password: Uint8Array
  readonly sinceMs: number
  readonly resolve: (result: CheckResult) => void
  readonly reject: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  /** Memory shared with the thread: an `Answer` for each job of the batch. */
  readonly answers: Uint8Array
  /** Checks of the batch; null for one that has been answered. */
  readonly checks: (Check | null)[]
  /** Number of checks in the batch without an answer. */
  left: number
}

/** Work that is given to a thread at once, in the unit of `costOf`: some milliseconds. */
const BATCH_COST = 8_000
const BATCH_JOBS_MAX = 1_024
/**
 * Interval in milliseconds for reading answers while some are outstanding. `worker.ts` explains why they are not
 * messages.
 */
const LOOK_MS = 1

export class HashWorkers {
  readonly #options: Required<HashWorkersOptions>
  readonly #idle: Thread[] = []
  readonly #busy: Set<Thread> = new Set()
  readonly #waiting: LoginQueue<Check>
  #look: NodeJS.Timeout | null = null
  #isScheduled = false
  #isClosed = false

  constructor(makeQueue: MakeLoginQueue, options: HashWorkersOptions = {}) {
    this.#options = {
      threads: options.threads ?? Math.min(4, Math.max(1, availableParallelism() - 1)),
      waitingMax: options.waitingMax ?? 10_000,
      waitingPerAddressMax: options.waitingPerAddressMax ?? 250,
      waitMsMax: options.waitMsMax ?? 10_000,
      failuresPerSecondMax: options.failuresPerSecondMax ?? 100,
    }
    const { waitingMax, waitingPerAddressMax, failuresPerSecondMax } = this.#options
    this.#waiting = makeQueue({ waitingMax, waitingPerNetworkMax: waitingPerAddressMax, failuresPerSecondMax })
  }

  /** Number of checks that wait for a thread. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Whether a check from there would be answered `busy`, so that it need not be made. */
  isRefusing(remoteAddress: string): boolean {
    return this.#isClosed || this.#waiting.isRefusing(remoteAddress)
  }

  /**
   * Checks a password, in turn by the network of `remoteAddress`. The password is not changed. Rejects when the hash
   * cannot be computed, for instance without memory for it.
   */
  check(remoteAddress: string, hash: PasswordHash, password: Uint8Array): Promise<CheckResult> {
    if (this.isRefusing(remoteAddress)) return Promise.resolve('busy')
    return new Promise((resolve, reject) => {
      const copy = new Uint8Array(password)
      const check: Check = { remoteAddress, hash, password: copy, sinceMs: Date.now(), resolve, reject }
      this.#waiting.push(remoteAddress, check)?.resolve('busy')
      this.#schedule()
    })
  }

  /** Ends the threads; waiting checks are answered `busy`. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const { resolve } of this.#waiting.takeAll()) resolve('busy')
    if (this.#look !== null) clearTimeout(this.#look)
    await Promise.all([...this.#idle, ...this.#busy].map(({ worker }) => worker.terminate()))
  }

  /** Schedules one batch for all checks of a turn of the event loop: a batch is cheaper than its parts. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#distribute()
    })
  }

  #distribute(): void {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const thread = this.#idle.pop() ?? this.#start()
      if (thread === null) break
      const jobs = this.#take(thread)
      if (jobs.length === 0) {
        this.#idle.push(thread)
        break
      }
      this.#busy.add(thread)
      thread.left = jobs.length
      thread.answers.fill(Answer.None)
      // Keep the process alive while a check waits for an answer.
      thread.worker.ref()
      thread.worker.postMessage(jobs)
    }
    if (this.#busy.size > 0) this.#look ??= setTimeout(() => this.#lookForAnswers(), LOOK_MS)
  }

  #lookForAnswers(): void {
    this.#look = null
    for (const thread of this.#busy) {
      for (const [index, check] of thread.checks.entries()) {
        if (check === null) continue
        const answer = Atomics.load(thread.answers, index)
        if (answer === Answer.None) break
        // The reason of the failure is on its way.
        if (answer === Answer.Failed) continue
        if (answer === Answer.Wrong) this.#waiting.failed(check.remoteAddress)
        this.#settle(thread, index, () => check.resolve(answer === Answer.Right ? 'right' : 'wrong'))
      }
    }
    this.#distribute()
  }

  #settle(thread: Thread, index: number, tell: () => void): void {
    thread.checks[index] = null
    thread.left--
    tell()
    if (thread.left > 0) return
    thread.worker.unref()
    thread.checks.length = 0
    this.#busy.delete(thread)
    this.#idle.push(thread)
  }

  /** Takes the next checks for a thread: one of each network in turn, until it is enough work. */
  #take(thread: Thread): HashJob[] {
    const jobs: HashJob[] = []
    const nowMs = Date.now()
    let cost = 0
    while (cost < BATCH_COST && jobs.length < BATCH_JOBS_MAX) {
      const check = this.#waiting.shift()
      if (check === undefined) break
      if (nowMs - check.sinceMs > this.#options.waitMsMax) {
        check.resolve('busy')
        continue
      }
      thread.checks.push(check)
      jobs.push({ hash: check.hash, password: check.password })
      cost += costOf(check.hash.parameters)
    }
    return jobs
  }

  #start(): Thread | null {
    if (this.#idle.length + this.#busy.size >= this.#options.threads) return null
    leaveRemovedFolder()
    const answers = new Uint8Array(new SharedArrayBuffer(BATCH_JOBS_MAX))
    const { Worker } = process.getBuiltinModule('node:worker_threads')
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: answers })
    const thread: Thread = { worker, answers, checks: [], left: 0 }
    worker.unref()
    worker.on('message', ({ index, why }: HashFailure) => {
      const check = thread.checks[index]!
      this.#settle(thread, index, () => check.reject(new Error(`a password hash could not be computed: ${why}`)))
      this.#schedule()
    })
    worker.on('error', (error) => this.#lost(thread, error))
    worker.on('exit', () => this.#lost(thread, new Error('the thread that hashes passwords has ended')))
    return thread
  }

  /** Gives up a thread; the next check starts another one. */
  #lost(thread: Thread, error: Error): void {
    this.#busy.delete(thread)
    const at = this.#idle.indexOf(thread)
    if (at !== -1) this.#idle.splice(at, 1)
    for (const check of thread.checks) {
      if (this.#isClosed) check?.resolve('busy')
      else check?.reject(error)
    }
    thread.checks.length = 0
    this.#schedule()
  }
}

/**
 * Leaves a working folder that has been removed: no thread starts there, so no client could log in any more. Nothing is found there
 * by a relative path, and nothing can be made.
 */
function leaveRemovedFolder(): void {
  try {
    process.cwd()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    // Only the main thread may, and the folder is that of all threads.
    if (process.getBuiltinModule('node:worker_threads').isMainThread) process.chdir('/')
  }
}
