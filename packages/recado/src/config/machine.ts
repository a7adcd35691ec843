/**
 * The memory that this machine has for the broker, of which `memory_limit` is half by default.
 *
 * `limit-options.ts` asks it at the start. A container's limit takes precedence over the machine's memory; and V8 ends
 * the process when its heap is full, so no more than that is promised.
 */
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** Returns half of the memory of the machine, or of the container, and no more than V8 takes. */
export function defaultMemoryBytes(
  machineBytes: number = totalmem(),
  containerBytes: number = process.constrainedMemory?.() ?? 0,
  heapBytes: number = getHeapStatistics().heap_size_limit,
): number {
  // Without a limit it is 0, or more than any machine has.
  const bytes = containerBytes > 0 && containerBytes < machineBytes ? containerBytes : machineBytes
  return Math.floor(Math.min(bytes / 2, heapBytes))
}
