/**
 * The observers of a broker as the one `Observer` that the core knows: the broker's own (`BrokerOptions.observer`), and
 * those that are added and removed at run time.
 *
 * `broker.ts` has one. Invariants: an event without an observer has no entry in `merged`, so that it costs one
 * comparison; observers are called in the order in which they were added; one that throws is reported as `hook.failed`,
 * and the others are called all the same; an event that is being reported when an observer is removed may still reach it.
 */
import { guarded } from './hooks.ts'
import type { BrokerEvents, Observer } from './ports.ts'

type Handler = (event: never) => void

export class Observers {
  /** Observer for the core; null when there is none. */
  merged: Observer | null = null
  /** Observer of the broker itself; null for none. */
  readonly #inner: Observer | null
  #own: Observer | null = null
  readonly #added: Set<Observer> = new Set()
  readonly #changed: (merged: Observer | null) => void
  readonly #failed = (hook: string, error: unknown): void => this.merged?.['hook.failed']?.({ hook, error })

  /**
   * @param changed called with the new merged observer when one was added or removed
   * @param inner comes before all others
   */
  constructor(changed: (merged: Observer | null) => void, inner: Observer | null = null) {
    this.#changed = changed
    this.#inner = inner
    this.#merge()
  }

  /** Sets the broker's own observer, which comes first; the caller tells the core. */
  set own(observer: Observer | null) {
    this.#own = observer === null ? null : guarded(observer, this.#failed)
    this.#merge()
  }

  /** Adds an observer. Returns a function that removes it; a second call does nothing. */
  add(observer: Observer): () => void {
    const guard = guarded(observer, this.#failed)
    this.#added.add(guard)
    this.#merge()
    this.#changed(this.merged)
    return () => {
      if (!this.#added.delete(guard)) return
      this.#merge()
      this.#changed(this.merged)
    }
  }

  #merge(): void {
    const all = [this.#inner, this.#own, ...this.#added].filter((observer) => observer !== null)
    if (all.length < 2) {
      this.merged = all[0] ?? null
      return
    }
    const merged: Record<string, Handler> = {}
    for (const name of new Set(all.flatMap((observer) => Object.keys(observer) as (keyof BrokerEvents)[]))) {
      merged[name] = tellAll(all.flatMap((observer) => (observer[name] as Handler | undefined) ?? []))
    }
    this.merged = merged as Observer
  }
}

function tellAll(handlers: readonly Handler[]): Handler {
  if (handlers.length === 1) return handlers[0]!
  return (event) => {
    for (let i = 0; i < handlers.length; i++) handlers[i]!(event)
  }
}
