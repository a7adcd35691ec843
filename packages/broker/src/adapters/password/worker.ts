/**
 * The thread that hashes passwords: takes jobs in batches, answers in batches, one job after the other.
 *
 * `workers.ts` starts it. Where the system gives threads a priority of their own (Linux) it gives way to the broker: a flood of
 * logins takes what the messages leave.
 */
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { isPassword, type PasswordHash } from './hash.ts'

export interface HashJob {
  readonly id: number
  readonly hash: PasswordHash
  readonly password: Uint8Array
}

/** `isRight` null: it could not be computed, and `error` says why. */
export interface HashAnswer {
  readonly id: number
  readonly isRight: boolean | null
  readonly error: string | null
}

const NICE = 10

if (process.platform === 'linux') {
  try {
    // 0 is the calling thread there.
    setPriority(0, NICE)
  } catch {
    // Not allowed in this container: then it has the priority of the broker.
  }
}

parentPort!.on('message', (jobs: readonly HashJob[]) => {
  void answer(jobs)
})

async function answer(jobs: readonly HashJob[]): Promise<void> {
  const answers: HashAnswer[] = []
  for (const { id, hash, password } of jobs) {
    try {
      answers.push({ id, isRight: await isPassword(hash, password), error: null })
    } catch (error) {
      answers.push({ id, isRight: null, error: (error as Error).message })
    }
    password.fill(0)
  }
  parentPort!.postMessage(answers)
}
