/**
 * The thread that hashes passwords: takes jobs in batches, does one after the other, and leaves each answer in shared
 * memory.
 *
 * `workers.ts` starts it. Where the system gives threads a priority of their own (Linux) it gives way to the broker: a
 * flood of logins only gets the time that messages leave. Therefore it takes no lock that the broker's thread takes as
 * well: `postMessage` wakes the broker while it holds the lock of the port, and the broker would then wait until a
 * thread of lower priority gets the processor again. Only failures are reported by a message.
 */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { Answer } from './answer.ts'
import { isPassword, type PasswordHash } from './hash.ts'

export interface HashJob {
  readonly hash: PasswordHash
  readonly password: Uint8Array
}

/** Report that the job at `index` could not be computed. */
export interface HashFailure {
  readonly index: number
  readonly why: string
}

const NICE = 10

if (process.platform === 'linux') {
  try {
    // 0 means the calling thread there.
    setPriority(0, NICE)
  } catch {
    // Not allowed in this container: keep the priority of the broker.
  }
}

parentPort!.on('message', (jobs: readonly HashJob[]) => {
  void answer(jobs, workerData as Uint8Array)
})

async function answer(jobs: readonly HashJob[], answers: Uint8Array): Promise<void> {
  for (const [index, { hash, password }] of jobs.entries()) {
    try {
      Atomics.store(answers, index, (await isPassword(hash, password)) ? Answer.Right : Answer.Wrong)
    } catch (error) {
      Atomics.store(answers, index, Answer.Failed)
      parentPort!.postMessage({ index, why: (error as Error).message } satisfies HashFailure)
    }
    password.fill(0)
  }
}
