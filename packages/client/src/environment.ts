/**
 * What the client needs of the world: network, clock, randomness, and "after this turn". `mod.ts` and `mod.browser.ts`
 * give the real one; tests and the simulation give their own, so that a seed decides a run.
 */
import type { Dial } from './transports/transport.ts'

/** What `setTimer` returns. */
export type Timer = object | number

/** Network, clock, randomness and turns of the event loop, as the client sees them. */
export interface Environment {
  readonly dial: Dial
  /** Monotonic milliseconds. */
  now(): number
  /** Milliseconds since 1970, for times that outlive the process. Default: `Date.now`. */
  date?(): number
  setTimer(callback: () => void, ms: number): Timer
  clearTimer(timer: Timer): void
  /** Runs `callback` when what is happening now is over: everything written until then goes out in one piece. */
  defer(callback: () => void): void
  /** 0 <= random() < 1 */
  random(): number
  /**
   * Calls `callback` when timers may have been late, or the network is back: a tab that is shown again, a machine that slept. Call
   * what is returned when it is not wanted any more.
   */
  onWake?(callback: () => void): () => void
}

/** The events of a browser, by what they happen to. Workers have no document. */
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

/** That of the process, tab or worker. */
export function realEnvironment(dial: Dial): Environment {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }
  const isBrowser = 'addEventListener' in globalThis
  return {
    dial,
    ...(isBrowser ? { onWake } : {}),
    now: () => performance.now(),
    setTimer: (callback, ms) => setTimeout(callback, ms),
    clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    // A microtask runs too early to gather what the callbacks of one read write, but browsers have nothing better.
    defer:
      setImmediate === undefined ? (callback) => queueMicrotask(callback) : (callback) => void setImmediate(callback),
    random: () => Math.random(),
  }
}
