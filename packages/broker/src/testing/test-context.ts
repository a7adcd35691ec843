/**
 * The ground floor of a broker core in a test: a `Context` with simulated time, for tests of a journal, a router, an intake or a session
 * that need no broker around them (`World` is a whole one).
 */
import { DEFAULT_OPTIONS } from '../broker-options.ts'
import { Context, type CorePorts } from '../core/base/context.ts'
import { type Limits, resolveLimits } from '../core/base/limits.ts'
import type { CoreOptions } from '../core/base/options.ts'
import { SimClock } from './sim-clock.ts'
import { SimRandom } from './sim-random.ts'

export interface TestContextOptions extends Partial<Omit<CorePorts, 'clock' | 'random'>> {
  limits?: Partial<Limits>
  options?: Partial<CoreOptions>
  /** Called at the end of each turn; see `Turn`. */
  endTurn?: () => void
}

export class TestContext extends Context {
  readonly simClock: SimClock

  constructor({ limits, options, endTurn, ...ports }: TestContextOptions = {}) {
    const clock = new SimClock()
    const none = {
      authenticator: null,
      enhancedAuthenticator: null,
      authorizer: null,
      observer: null,
      transformer: null,
    }
    const all = { ...none, store: null, processMemory: null, ...ports, clock, random: new SimRandom() }
    super(resolveLimits(limits), { ...DEFAULT_OPTIONS, ...options }, all, endTurn ?? null)
    this.simClock = clock
  }

  /** Ends the turn, and all that follow from it. */
  run(): void {
    this.simClock.runTurns()
  }
}
