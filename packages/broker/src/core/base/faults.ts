/**
 * Faults of our own: errors that the core throws where it should not. Each is counted (`coreFaults`) and reported
 * (`core.failed`), and ends one connection or the one piece of work in which it happened; the broker goes on.
 * docs/ARCHITECTURE.md lists the work that may be left half done.
 *
 * A fault is fatal only where going on could break the promise: from then on no durable work is acknowledged any more,
 * and the process should be ended. A new one starts from the disk.
 *
 * Called wherever the core is called from outside (`GuardedConnection`, `Turn`, `TimerWheel`, `Journal`, `Router`,
 * recovery).
 */
import type { Observer } from '../../ports.ts'
import type { Metrics } from './metrics.ts'

/** Part of the broker that ends when something is thrown while it is served. */
export interface Faulty {
  /** Ends it. `where` names the work, for the log. */
  fault(where: string, error: unknown): void
}

/** Something that waits until a batch is safe. */
export interface Gated {
  onSafe(): void
  /** Object that ends when `onSafe` throws; null for none. */
  readonly owner: Faulty | null
}

export class Faults {
  readonly #metrics: Metrics
  observer: Observer | null
  /** There has been a fatal one. */
  isBroken = false

  constructor(metrics: Metrics, observer: Observer | null) {
    this.#metrics = metrics
    this.observer = observer
  }

  note(where: string, error: unknown, clientId = ''): void {
    this.#tell(where, error, clientId, false)
  }

  /**
   * Performs work that must be done as a whole: when it throws, memory and disk may differ, and nothing that follows may be
   * acknowledged. Returns false when it has thrown.
   */
  wholly(where: string, work: () => void): boolean {
    try {
      work()
      return true
    } catch (error) {
      if (!this.isBroken) this.#tell(where, error, '', true)
      this.isBroken = true
      return false
    }
  }

  #tell(where: string, error: unknown, clientId: string, isFatal: boolean): void {
    this.#metrics.coreFaults++
    try {
      this.observer?.['core.failed']?.({ where, clientId, error, isFatal })
    } catch {
      // It is counted; the error of an observer cannot be reported to that observer.
    }
  }

  /** Performs one piece of work; an error ends nothing else. Returns false when it has thrown. */
  attempt(where: string, work: () => void, clientId = ''): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.note(where, error, clientId)
      return false
    }
  }

  /** Reports to an object that its change is safe. An error in its reaction does not harm the journal. */
  complete(gated: Gated): void {
    try {
      gated.onSafe()
    } catch (error) {
      if (gated.owner === null) this.note('completion', error)
      else gated.owner.fault('completion', error)
    }
  }
}
