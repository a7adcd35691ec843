/**
 * Our broker in the process of the test: `main` of the program with streams and signals of its own.
 *
 * For tests about what a configuration does, of which one file starts many brokers: a process costs half a second of CPU
 * each time, most of it for loading. What belongs to a process (its end, `kill -9`, `user`, its memory) needs a
 * `Child`. A broker that root starts as Mosquitto becomes the user mosquitto, and the test with it: it needs `user root`. Invariant: it has ended, as after SIGTERM, when `stop` resolves; an error that it throws is told by `stop`.
 */
import { EventEmitter } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { bounded } from './inbox.ts'

/** Not an import: the program's own tests need this package, so this one must not need the program to be compiled. */
const program: string = new URL('../../../recado/dist/main.js', import.meta.url).href

type Main = (argv: readonly string[], io: object) => Promise<number>

const LINES_MAX = 60

export class OwnBroker {
  /** Resolves with the exit code. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: null }>
  readonly #signals = new EventEmitter()
  readonly #argv: readonly string[]
  #log = ''
  #hasExited = false

  /** @param argv as after `recado` on the command line */
  constructor(argv: readonly string[]) {
    this.#argv = argv
    const write = (text: string): void => {
      this.#log = (this.#log + text).split('\n').slice(-LINES_MAX).join('\n')
    }
    const stdout = new Writable({
      write: (chunk, _encoding, done) => {
        write(String(chunk))
        done()
      },
    })
    const ended = new Promise<number>((resolve, reject) => {
      const io = { stdin: new PassThrough(), stdout, stderr: { write }, signals: this.#signals, exit: resolve }
      import(program).then(({ main }: { main: Main }) => main(argv, io)).then(resolve, reject)
    })
    this.exited = ended.then(
      (code) => {
        this.#hasExited = true
        return { code, signal: null }
      },
      (error) => {
        this.#hasExited = true
        throw error
      },
    )
    // Whoever needs the end awaits `exited` and gets the error there.
    this.exited.catch(() => {})
  }

  get pid(): number {
    return process.pid
  }

  get hasExited(): boolean {
    return this.#hasExited
  }

  /** Sends a signal to it alone. A broker that is still starting gets it when it listens for signals. */
  async stop(signal: NodeJS.Signals): Promise<{ readonly code: number | null; readonly signal: null }> {
    const end = bounded(this.exited, `the end of recado ${this.#argv.join(' ')}`, () => this.describe())
    const tell = (): void => {
      if (!this.#hasExited && this.#signals.listenerCount('SIGTERM') > 0) this.#signals.emit(signal)
    }
    if (this.#signals.listenerCount('SIGTERM') > 0) tell()
    else this.#signals.once('newListener', () => setImmediate(tell))
    return await end
  }

  /** Returns the command and its last lines, for an error message. */
  describe(): string {
    return `recado ${this.#argv.join(' ')} (in this process)\n${this.#log}`
  }
}

/** Runs a command of `recado` to its end in this process; throws, with what it said, unless its exit code is 0. */
export async function runOwn(...argv: readonly string[]): Promise<void> {
  const command = new OwnBroker(argv)
  const { code } = await command.exited
  if (code !== 0) throw new Error(`exit ${code}: ${command.describe()}`)
}
