/**
 * What a client command has of the process: `main.ts` gives the real one, tests give their own streams and signals.
 *
 * Also the two ways of writing that the commands have: whole texts to stderr, and `Output`, which gathers what is printed
 * in one turn of the event loop and tells when the reader of a pipe is slow or gone.
 */
import type { Readable, Writable } from 'node:stream'
import type { SignalSource } from '../signals.ts'

export interface CliIo {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: { write(text: string): unknown }
  readonly signals: SignalSource
  /** Default: `process.env`. */
  readonly env?: Record<string, string | undefined>
}

const BATCH_BYTES = 64 * 1024

export class Output {
  readonly #stream: Writable
  readonly #onBroken: () => void
  #chunks: Buffer[] = []
  #bytes = 0
  #scheduled = false
  #broken = false
  #drained: Promise<void> | null = null

  /** `onBroken`: nobody reads any more (`| head`). */
  constructor(stream: Writable, onBroken: () => void) {
    this.#stream = stream
    this.#onBroken = onBroken
    stream.on('error', this.#handleError)
  }

  /** A promise: wait for it before writing more, the reader is slow. */
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
    if (this.#stream.write(chunk) || this.#drained !== null) return
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

  /** Everything has been handed to the operating system. */
  async end(): Promise<void> {
    this.flush()
    await this.#drained
    if (!this.#broken) await new Promise<void>((resolve) => this.#stream.write('', () => resolve()))
    this.#stream.off('error', this.#handleError)
  }

  readonly #handleError = (): void => {
    if (this.#broken) return
    this.#broken = true
    this.#onBroken()
  }
}
