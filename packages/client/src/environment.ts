/**
 * The outside world of the client: network, clock, randomness, and "after this turn". `mod.ts` and `mod.browser.ts`
 * provide the real one; tests and the simulation provide their own, so that a seed decides a run.
 */
import type { Dial } from './transports/transport.ts'

/** Result of `setTimer`. */
export type Timer = object | number

/** Network, clock, randomness and turns of the event loop, as the client sees them. */
export interface Environment {
  readonly dial: Dial
  /** Returns monotonic milliseconds. */
  now(): number
  /** Returns milliseconds since 1970, for times that outlive the process. Default: `Date.now`. */
  date?(): number
  setTimer(callback: () => void, ms: number): Timer
  clearTimer(timer: Timer): void
  /** Runs `callback` at the end of the current turn: all that was written until then goes out in one piece. */
  defer(callback: () => void): void
  /** Returns a random number, at least 0 and less than 1. */
  random(): number
  /**
   * Calls `callback` when timers may have been late, or the network is back: a tab is shown again, a machine has slept.
   * Call the returned function to stop that.
   */
  onWake?(callback: () => void): () => void
}

/** Listens to the browser's events at the objects that emit them. Workers have no document. */
function onWake(callback: () => void): () => void {
  const self = globalThis as unknown as EventTarget & { document?: EventTarget & { visibilityState: string } }
  const { document } = self
  const onVisible = (): void => {
    if (document?.visibilityState === 'visible') callback()
  }
  document?.addEventListener('visibilitychange', onVisible)
  self.addEventListener('online', callback)
  self.addEventListener('pageshow', callback)
  return () => {
    document?.removeEventListener('visibilitychange', onVisible)
    self.removeEventListener('online', callback)
    self.removeEventListener('pageshow', callback)
  }
}

/** Returns the environment of the process, tab or worker. */
export function realEnvironment(dial: Dial): Environment {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }
  const isBrowser = 'addEventListener' in globalThis
  return {
    dial,
    ...(isBrowser ? { onWake } : {}),
    now: () => performance.now(),
    setTimer: (callback, ms) => setTimeout(callback, ms),
    clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    // A microtask runs too early to gather the writes of all callbacks of one read, but browsers have nothing better.
    defer:
      setImmediate === undefined ? (callback) => queueMicrotask(callback) : (callback) => void setImmediate(callback),
    random: () => Math.random(),
  }
}
