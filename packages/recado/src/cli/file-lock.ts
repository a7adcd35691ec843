/**
 * A lock beside a file, `NAME.lock`, for programs that read it, change it and write it again.
 *
 * `passwd.ts` takes it. Invariant: one at a time; the lock of a killed program is removed.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { ToolError } from '../command-table.ts'

const WAIT_MS = 10_000
const RETRY_MS = 20

/** Calls `use` while it holds the lock. @throws ToolError when another process has had it for ten seconds */
export async function whileLocked<T>(path: string, use: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`
  await acquire(lock)
  try {
    return await use()
  } finally {
    rmSync(lock, { force: true })
  }
}

async function acquire(lock: string): Promise<void> {
  const draft = `${lock}.${process.pid}`
  writeFileSync(draft, `${process.pid}\n`, { mode: 0o600 })
  try {
    for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
      try {
        // The lock never exists without its contents.
        linkSync(draft, lock)
        return
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error
      }
      const owner = ownerOf(lock)
      if (owner !== null && !isAlive(owner)) takeAway(lock, owner)
      else if (waitedMs >= WAIT_MS) {
        throw new ToolError(`${lock} is held by process ${owner ?? 'of another program'}: wait for it, or remove it`)
      } else await pause(RETRY_MS)
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Process id of the owner; null when the lock is gone, or not one of ours. */
function ownerOf(lock: string): number | null {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    return Number.isInteger(pid) && pid > 0 ? pid : null
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}

/**
 * Removes the lock of a dead owner. Two processes that find the same one must not remove the lock of a third: the
 * renamed file is checked.
 */
function takeAway(lock: string, owner: number): void {
  const aside = `${lock}.${process.pid}.old`
  try {
    renameSync(lock, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if (ownerOf(aside) !== owner && statSync(lock, { throwIfNoEntry: false }) === undefined) linkSync(aside, lock)
  rmSync(aside, { force: true })
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''
