/**
 * The part of the process that a client command uses: `main.ts` gives the real one, tests give their own streams and
 * signals.
 *
 * Also the two ways of writing that the commands have: whole texts to stderr, and `Output`, which gathers the output of
 * one turn of the event loop and tells when the reader of a pipe is slow or gone. Invariant: a reader that has left
 * (`| head`) is no error, and every other failure to write a byte is one.
 */
import type { Readable, Writable } from 'node:stream'
import type { SignalSource } from '../signals.ts'

export interface CliIo {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: { write(text: string): unknown }
  readonly signals: SignalSource
  /** Environment. Default: `process.env`. */
  readonly env?: Record<string, string | undefined>
}

const BATCH_BYTES = 64 * 1024

/** Chunks that are handed to the operating system together. */
interface Batch {
  readonly written: Promise<void>
  readonly settle: (error: Error | null) => void
}

/** Whether the error only means that the reader has left. */
export const isReaderGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EPIPE'

export class Output {
  readonly #stream: Writable
  readonly #onBroken: () => void
  #chunks: Buffer[] = []
  #bytes = 0
  #scheduled = false
  #broken = false
  /** Error of the output; null also when the reader has left. */
  #failure: Error | null = null
  #batch: Batch | null = null
  #drained: Promise<void> | null = null

  /**
   * @param onBroken called when nothing more can be written, because the reader has left (`| head`), or for another
   * reason, which `end` throws
   */
  constructor(stream: Writable, onBroken: () => void) {
    this.#stream = stream
    this.#onBroken = onBroken
    stream.on('error', this.#handleError)
  }

  /** Resolves when the chunk has been handed to the operating system; rejects when that fails. */
  writeThrough(chunk: Buffer): Promise<void> {
    if (this.#broken) return Promise.reject(this.#failure ?? new Error('nobody reads any more'))
    this.#batch ??= newBatch()
    const { written } = this.#batch
    this.write(chunk)
    return written
  }

  /** Resolves when everything written until now has been handed over, or cannot be. */
  async settled(): Promise<void> {
    this.flush()
    await this.#drained
    if (!this.#broken) await new Promise<void>((resolve) => this.#stream.write('', () => resolve()))
  }

  /** Writes a chunk. Returns a promise when the reader is slow: wait for it before writing more. */
  write(chunk: Buffer): Promise<void> | null {
    if (this.#broken) return null
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes >= BATCH_BYTES) this.flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.flush()
      })
    }
    return this.#drained
  }

  flush(): void {
    if (this.#bytes === 0 || this.#broken) return
    const chunk = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes)
    this.#chunks = []
    this.#bytes = 0
    const batch = this.#batch
    this.#batch = null
    const isTaken = this.#stream.write(chunk, (error) => batch?.settle(error ?? null))
    if (isTaken || this.#drained !== null) return
    this.#drained = new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done)
        this.#stream.off('error', done)
        this.#drained = null
        resolve()
      }
      this.#stream.on('drain', done)
      this.#stream.on('error', done)
    })
  }

  /**
   * Waits until everything has been handed to the operating system. @throws Error of the system when that failed,
   * unless the reader has left
   */
  async end(): Promise<void> {
    await this.settled()
    // Errors are reported a moment after the write.
    await new Promise((resolve) => setImmediate(resolve))
    this.#stream.off('error', this.#handleError)
    if (this.#failure !== null) throw this.#failure
  }

  readonly #handleError = (error: Error): void => {
    if (this.#broken) return
    this.#broken = true
    if (!isReaderGone(error)) this.#failure = error
    this.#batch?.settle(error)
    this.#batch = null
    this.#onBroken()
  }
}

function newBatch(): Batch {
  let settle: Batch['settle'] = () => undefined
  const written = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === null ? resolve() : reject(error))
  })
  // A caller that wants to know has a promise of its own.
  written.catch(() => undefined)
  return { written, settle }
}
