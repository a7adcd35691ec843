/**
 * `$SYS` of a running broker: joins the table of topics, the broker's counters and the figures of the process.
 *
 * `serve.ts` opens one before its first listener, and tells it of another `sys_interval`. Invariant: without `$SYS`
 * topics nothing is measured.
 */
import type { Broker } from '@recado/broker'
import type { Logger } from '../log.ts'
import { SysTree } from './sys-tree.ts'
import { VitalSigns } from './vitals.ts'

export class Sys {
  readonly #dataFile: string | null
  readonly #tree: SysTree
  #signs: VitalSigns | null = null

  /**
   * @param dataFile path of the data file; null when nothing is kept. @param version text of `$SYS/broker/version`
   * @param others topics that come and go, with their texts
   */
  constructor(
    broker: Broker,
    dataFile: string | null,
    log: Logger,
    version: string,
    others: () => Iterable<[topic: string, text: string]> = () => [],
  ) {
    this.#dataFile = dataFile
    this.#tree = new SysTree({
      version,
      hasStore: this.#dataFile !== null,
      metrics: () => broker.metrics(),
      vitals: () => {
        const signs = this.#signs!
        void signs.askDisk()
        return signs.read()
      },
      others,
      publish: (topic, payload) => {
        broker.publish({ topic, payload, qos: 2, retain: true, isNews: true }).catch((error: Error) => {
          log.log('warning', 'sys.failed', `Warning: ${topic} could not be published: ${error.message}`, { topic })
        })
      },
      nowMs: () => Date.now(),
      steadyMs: () => performance.now(),
      after: (ms, work) => {
        const timer = setTimeout(work, ms).unref()
        return () => clearTimeout(timer)
      },
    })
  }

  /** Sets the interval in seconds; 0 for no `$SYS` topics. */
  every(seconds: number): void {
    if (seconds > 0) this.#signs ??= new VitalSigns(this.#dataFile)
    this.#tree.every(seconds)
    if (seconds > 0) return
    this.#signs?.stop()
    this.#signs = null
  }

  /** Publishes the topics that come and go, because something of them has changed. */
  updateOthers(): void {
    this.#tree.updateOthers()
  }

  /** The numbers of the topics, as they were published last. */
  numbers(): Record<string, number> {
    return this.#tree.numbers()
  }

  stop(): void {
    this.#tree.stop()
    this.#signs?.stop()
  }
}
