/**
 * The progress of long work: one line on a terminal that is overwritten, and nothing at all in a pipe or a file.
 *
 * The store tools call `at` as often as they like. Invariant: after `clear` nothing of it is left on the screen.
 */

export interface ProgressStream {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** Time in milliseconds before the first line is shown. */
const QUIET_MS = 300
const STEP_MS = 100
/** Number of calls between two looks at the clock. */
const CALLS = 256

export class Progress {
  readonly #stream: ProgressStream | null
  readonly #now: () => number
  readonly #startedAtMs: number
  #shownAtMs = 0
  #calls = 0
  #isShown = false

  constructor(stream: ProgressStream, now: () => number = Date.now) {
    this.#stream = stream.isTTY === true ? stream : null
    this.#now = now
    this.#startedAtMs = now()
  }

  /** Counts a step of long work; `text` is called only when it is shown, so that the call is cheap. */
  step(text: () => string): void {
    if (this.#stream === null || this.#calls++ % CALLS !== 0) return
    this.at(text)
  }

  at(text: () => string): void {
    if (this.#stream === null) return
    const nowMs = this.#now()
    if (nowMs - this.#startedAtMs < QUIET_MS || nowMs - this.#shownAtMs < STEP_MS) return
    this.#shownAtMs = nowMs
    this.#isShown = true
    this.#stream.write(`\r\x1b[K${text()}`)
  }

  clear(): void {
    if (this.#isShown) this.#stream?.write('\r\x1b[K')
    this.#isShown = false
  }
}

/** Returns the number with separators: 1,234,567 */
export function grouped(count: number): string {
  return count.toLocaleString('en-US', { maximumFractionDigits: 20 })
}

/** Returns the size as text: 12 B, 3.4 KiB, 5.6 MiB */
export function byteText(bytes: number): string {
  let value = bytes
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1024 || unit === 'GiB') return `${unit === 'B' ? value : value.toFixed(1)} ${unit}`
    value /= 1024
  }
  return ''
}

export function counted(count: number, what: string): string {
  return `${grouped(count)} ${what}${count === 1 ? '' : 's'}`
}
