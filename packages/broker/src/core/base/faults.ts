/**
 * Faults of our own: what the core throws where it should not. Each is counted (`coreFaults`) and told (`core.failed`), and ends one
 * connection or the one piece of work in which it happened; the broker goes on. docs/ARCHITECTURE.md says what may be left half done.
 *
 * Only where going on could break the promise is a fault fatal: from then on nothing that is to be kept is acknowledged any more,
 * and whoever runs the process should end it. A new one starts from the disk.
 *
 * Called by whatever calls into the core from outside (`GuardedConnection`, `Turn`, `TimerWheel`, `Journal`, `Router`, recovery).
 */
import type { Observer } from '../../ports.ts'
import type { Metrics } from './metrics.ts'

/** Somebody that ends when something is thrown while it is served. */
export interface Faulty {
  /** `where`: what was being done, for the log. */
  fault(where: string, error: unknown): void
}

/** Something that waits until a batch is safe. */
export interface Gated {
  onSafe(): void
  /** Ends when `onSafe` throws; null: nothing does. */
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
   * Does what must be done as a whole: should it throw, what is in memory and what is on the disk may have parted, and nothing that follows may
   * be acknowledged. False: it has thrown.
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
      // It is counted; there is nobody else to tell that the one who is told has thrown.
    }
  }

  /** Does one piece of work; what it throws ends nothing but it. False: it has thrown. */
  attempt(where: string, work: () => void, clientId = ''): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.note(where, error, clientId)
      return false
    }
  }

  /** Tells somebody that what they wait for is safe. What that leads to may throw without harm to the journal. */
  complete(gated: Gated): void {
    try {
      gated.onSafe()
    } catch (error) {
      if (gated.owner === null) this.note('completion', error)
      else gated.owner.fault('completion', error)
    }
  }
}
