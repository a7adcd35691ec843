/**
 * How far long work has come: one line on a terminal that is written over, and nothing at all in a pipe or a file.
 *
 * The store tools call `at` as often as they like. The invariant: after `clear` nothing of it is left on the screen.
 */

export interface ProgressStream {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** Nothing is shown of what is done sooner. */
const QUIET_MS = 300
const STEP_MS = 100
/** The clock is looked at once in so many calls. */
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

  /** Cheap: `text` is asked for only when it is shown. For work of many small steps. */
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

/** 1,234,567 */
export function grouped(count: number): string {
  return count.toLocaleString('en-US', { maximumFractionDigits: 20 })
}

/** 12 B, 3.4 KiB, 5.6 MiB */
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
