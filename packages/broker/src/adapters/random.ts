/** Randomness for the core, from the system's generator. */
import { randomBytes, randomFillSync } from 'node:crypto'
import type { Random } from '../ports.ts'

/**
 * Number of random bytes fetched at once: each call makes an object with a finalizer, which a flood of logins pays for
 * in garbage collections.
 */
const POOL_BYTES = 4096

export class SystemRandom implements Random {
  readonly #pool: Buffer = Buffer.alloc(POOL_BYTES)
  #used = POOL_BYTES

  hex(count: number): string {
    if (count > POOL_BYTES) return randomBytes(count).toString('hex')
    if (this.#used + count > POOL_BYTES) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    const from = this.#used
    this.#used += count
    return this.#pool.toString('hex', from, this.#used)
  }
}
