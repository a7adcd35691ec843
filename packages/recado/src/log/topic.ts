/**
 * Log lines as messages: `$SYS/broker/log/E` and its like, at QoS 2, not retained, good for 20 seconds.
 *
 * `log.ts` opens one for `log_dest topic`, `serve.ts` gives it the broker. The invariants: nothing is published within the call that logs, for that may be in the
 * middle of the broker's work; lines of the type debug are never published; lines that wait are bounded and counted.
 */
import type { LogType } from '../log.ts'
import { type LogDestination, lostText } from '../log-stream.ts'

/** Below this messages that are dropped are not told of: each would be another message. */
export const LOG_TOPICS = '$SYS/broker/log/'
export const LOG_EXPIRY_SECONDS = 20
const WAITING_MAX = 1_000

/** null: never published. */
const topics: Readonly<Record<LogType, string | null>> = {
  error: 'E',
  warning: 'W',
  notice: 'N',
  information: 'I',
  subscribe: 'M/subscribe',
  unsubscribe: 'M/unsubscribe',
  websockets: 'WS',
  debug: null,
}

export type PublishLine = (topic: string, payload: string) => void

export class TopicDestination implements LogDestination {
  readonly #waiting: [topic: string, line: string][] = []
  #publish: PublishLine | null = null
  #lost = 0
  #isDue = false

  write(line: string, type: LogType): void {
    const topic = topics[type]
    if (topic === null) return
    if (this.#waiting.length >= WAITING_MAX) {
      this.#lost++
      return
    }
    const text = this.#lost === 0 ? line : lostText(this.#lost) + line
    this.#lost = 0
    this.#waiting.push([LOG_TOPICS + topic, text.trimEnd()])
    this.#later()
  }

  /** Publishes earlier lines now, because the broker is there; null when it is not any more. */
  attach(publish: PublishLine | null): void {
    this.flush()
    this.#publish = publish
    this.#later()
  }

  /** Publishes what waits, now. */
  flush(): void {
    if (this.#publish === null) return
    for (const [topic, line] of this.#waiting.splice(0)) this.#publish(topic, line)
  }

  #later(): void {
    if (this.#isDue || this.#publish === null || this.#waiting.length === 0) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      this.flush()
      this.#later()
    }).unref()
  }

  reopen(): void {
    // Nothing is open.
  }

  close(): void {
    this.#waiting.length = 0
  }
}
