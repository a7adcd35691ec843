/**
 * Memory that this process uses, by V8's count: its heap and buffers outside of it. The database's mapped file is not
 * included: the system takes those pages back by itself.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ProcessMemory } from '../ports.ts'

/** Allocates memory of its own whose contents are not set: to zero it costs as much as to read into it. */
export function allocateUnset(bytes: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(bytes)
  // A plain Uint8Array: with two classes of arrays V8 reads bytes more slowly.
  return new Uint8Array(buffer, byteOffset, bytes)
}

export class SystemProcessMemory implements ProcessMemory {
  #collect: (() => void) | null = null

  usedBytes(): number {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }

  collect(): number {
    const startMs = performance.now()
    if (this.#collect === null) {
      // Node exposes its collector only on request, and to contexts made after that.
      setFlagsFromString('--expose-gc')
      this.#collect = runInNewContext('typeof gc === "function" ? gc : () => {}') as () => void
    }
    this.#collect()
    return performance.now() - startMs
  }
}
