/**
 * Checks passwords on threads of their own: bounded, and fair to each address.
 *
 * `file.ts` asks. The invariants: never more than `threads` hashes at a time and `waitingMax` waiting; addresses take turns, so that one
 * that tries passwords by the thousand waits behind itself and not before everybody else; a check that has waited too long, or finds no
 * room, is answered `busy` and costs no work; each check is answered exactly once.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { Answer } from './answer.ts'
import { costOf, type PasswordHash } from './hash.ts'
import type { HashFailure, HashJob } from './worker.ts'

export interface HashWorkersOptions {
  /** Threads that hash; they start with the first login. Default: one less than there are processors, from 1 to 4. */
  threads?: number
  /** Logins that may wait, of all addresses and of one. Default 10,000 and 1,000. */
  waitingMax?: number
  waitingPerAddressMax?: number
  /** A login that has waited this long is refused: its client will have given up. Default 10,000. */
  waitMsMax?: number
}

export type CheckResult = 'right' | 'wrong' | 'busy'

interface Check {
  readonly hash: PasswordHash
  readonly password: Uint8Array
  readonly sinceMs: number
  readonly resolve: (result: CheckResult) => void
  readonly reject: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  /** Shared with it: an `Answer` for each job of the batch. */
  readonly answers: Uint8Array
  /** The batch; null is one that has been answered. */
  readonly checks: (Check | null)[]
  /** Of the batch, those without an answer. */
  left: number
}

/** Work that is handed to a thread at once, in the unit of `costOf`: some milliseconds. */
const BATCH_COST = 8_000
const BATCH_JOBS_MAX = 1_024
/** How often answers are looked for while there are some to come. Why not by message: see `worker.ts`. */
const LOOK_MS = 1

export class HashWorkers {
  readonly #options: Required<HashWorkersOptions>
  readonly #idle: Thread[] = []
  readonly #busy: Set<Thread> = new Set()
  /** By address, in the order of their turns. */
  readonly #waiting: Map<string, Check[]> = new Map()
  #waitingCount = 0
  #look: NodeJS.Timeout | null = null
  #isScheduled = false
  #isClosed = false

  constructor(options: HashWorkersOptions = {}) {
    this.#options = {
      threads: options.threads ?? Math.min(4, Math.max(1, availableParallelism() - 1)),
      waitingMax: options.waitingMax ?? 10_000,
      waitingPerAddressMax: options.waitingPerAddressMax ?? 1_000,
      waitMsMax: options.waitMsMax ?? 10_000,
    }
  }

  /** Checks that wait for a thread. */
  get waiting(): number {
    return this.#waitingCount
  }

  /**
   * `address`: whose turn it takes. The password is not changed.
   * Rejects when the hash cannot be computed, as without memory for it.
   */
  check(address: string, hash: PasswordHash, password: Uint8Array): Promise<CheckResult> {
    const { waitingMax, waitingPerAddressMax } = this.#options
    const queue = this.#waiting.get(address)
    const isFull = this.#waitingCount >= waitingMax || (queue?.length ?? 0) >= waitingPerAddressMax
    if (this.#isClosed || isFull) return Promise.resolve('busy')
    return new Promise((resolve, reject) => {
      const check = { hash, password: new Uint8Array(password), sinceMs: Date.now(), resolve, reject }
      if (queue === undefined) this.#waiting.set(address, [check])
      else queue.push(check)
      this.#waitingCount++
      this.#schedule()
    })
  }

  /** Those that wait are answered `busy`. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const queue of this.#waiting.values()) for (const { resolve } of queue) resolve('busy')
    this.#waiting.clear()
    this.#waitingCount = 0
    if (this.#look !== null) clearTimeout(this.#look)
    await Promise.all([...this.#idle, ...this.#busy].map(({ worker }) => worker.terminate()))
  }

  /** Once for all that comes in a turn of the event loop: a batch is cheaper than its parts. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#distribute()
    })
  }

  #distribute(): void {
    while (this.#waitingCount > 0 && !this.#isClosed) {
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
      // While somebody waits for an answer the process stays.
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
        // Why it failed is on its way.
        if (answer !== Answer.Failed)
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

  /** The next checks for a thread: one of each address in turn, until it is enough work. */
  #take(thread: Thread): HashJob[] {
    const jobs: HashJob[] = []
    const nowMs = Date.now()
    let cost = 0
    while (cost < BATCH_COST && jobs.length < BATCH_JOBS_MAX) {
      const next = this.#waiting.entries().next()
      if (next.done) break
      const [address, queue] = next.value
      const check = queue.shift()!
      this.#waitingCount--
      this.#waiting.delete(address)
      if (queue.length > 0) this.#waiting.set(address, queue)
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
    const answers = new Uint8Array(new SharedArrayBuffer(BATCH_JOBS_MAX))
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

  /** Another is started with the next check. */
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
