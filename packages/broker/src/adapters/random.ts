/** Randomness for the core, from the system's generator. */
import { randomBytes } from 'node:crypto'
import type { Random } from '../ports.ts'

export class SystemRandom implements Random {
  hex(count: number): string {
    return randomBytes(count).toString('hex')
  }
}
