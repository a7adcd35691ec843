/**
 * Host names of bridges, looked up a few at a time.
 *
 * `getaddrinfo` blocks one of the few threads that Node has for everything that blocks, the commits of the store among
 * them. A name server that does not answer, and a bridge for each thread, would stop the broker. Invariant: at most
 * `max` lookups of bridges are under way; the others wait in line, first come, first served.
 */
import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'

/** Lookups of all bridges at a time: half of Node's threads. */
const LOOKUPS_MAX = 2

export function lookupLine(
  lookup: LookupFunction = systemLookup as LookupFunction,
  max: number = LOOKUPS_MAX,
): LookupFunction {
  let running = 0
  const waiting: (() => void)[] = []
  return (hostname, options, callback) => {
    const begin = (): void => {
      running++
      lookup(hostname, options, (...answer) => {
        running--
        waiting.shift()?.()
        callback(...answer)
      })
    }
    if (running < max) begin()
    else waiting.push(begin)
  }
}
