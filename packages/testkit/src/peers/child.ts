/**
 * One child process of a peer test: a broker, a mosquitto_sub, a Paho agent.
 *
 * Used by the fixtures in this folder only. Invariant: no child outlives the test process. Each is killed by its own
 * pid, by its owner in the normal case, and by the hooks below when the test process exits or is told to stop. Output
 * is split into lines here, in chunks that are joined once per line: a 10 MiB payload is one line of hex.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { bounded } from './inbox.ts'

const alive = new Set<ChildProcessWithoutNullStreams>()

function killAll(): void {
  for (const child of alive) child.kill('SIGKILL')
}
process.once('exit', killAll)
// The test runner stops a late file with SIGTERM, and a person with SIGINT; neither runs 'exit' hooks by itself.
process.once('SIGTERM', () => process.exit(143))
process.once('SIGINT', () => process.exit(130))

export interface ExitStatus {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ChildOptions {
  /** Called with each line of standard output, without its newline. */
  onLine?: (line: string) => void
  /** Called with each line of standard error. */
  onErrorLine?: (line: string) => void
  /** Variables beside those of this process. */
  environment?: Readonly<Record<string, string>>
  /** Text for standard input, which is then closed. Without it, standard input stays open for `write`. */
  input?: Uint8Array | string
}

const logLinesMax = 60

export class Child {
  readonly pid: number
  readonly exited: Promise<ExitStatus>
  readonly #child: ChildProcessWithoutNullStreams
  readonly #command: string
  readonly #log: string[] = []
  #hasExited = false

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.#command = [command, ...args].join(' ')
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    })
    this.#child = child
    alive.add(child)
    this.pid = child.pid ?? -1
    this.exited = new Promise((resolve, reject) => {
      child.once('error', (error) => {
        alive.delete(child)
        reject(error)
      })
      // 'close' and not 'exit': its output has then been read to the end.
      child.once('close', (code, signal) => {
        alive.delete(child)
        this.#hasExited = true
        resolve({ code, signal })
      })
    })
    // A caller that needs the exit awaits `exited` and gets the error there.
    this.exited.catch(() => {})
    // The exit of a child that dies while we write is seen; EPIPE says nothing more.
    child.stdin.on('error', () => {})
    readLines(child.stdout, (line) => {
      this.#remember(line)
      options.onLine?.(line)
    })
    readLines(child.stderr, (line) => {
      this.#remember(line)
      options.onErrorLine?.(line)
    })
    if (options.input !== undefined) child.stdin.end(options.input)
  }

  get hasExited(): boolean {
    return this.#hasExited
  }

  write(data: string | Uint8Array): void {
    this.#child.stdin.write(data)
  }

  endInput(): void {
    this.#child.stdin.end()
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it with `signal` (SIGKILL when that does not help in time) and waits until it is gone. */
  async stop(signal: NodeJS.Signals): Promise<ExitStatus> {
    if (!this.#hasExited) this.#child.kill(signal)
    return await this.wait()
  }

  /** Waits until it ends by itself; kills it, and throws, when that takes too long. */
  async wait(): Promise<ExitStatus> {
    try {
      return await bounded(this.exited, `the end of ${this.#command}`, () => this.describe())
    } catch (error) {
      this.#child.kill('SIGKILL')
      throw error
    }
  }

  /** Returns the command and its last lines, for an error message. */
  describe(): string {
    return `${this.#command}\n${this.#log.map((line) => `  | ${line}`).join('\n')}`
  }

  #remember(line: string): void {
    this.#log.push(line.length > 300 ? `${line.slice(0, 300)}… (${line.length} characters)` : line)
    if (this.#log.length > logLinesMax) this.#log.shift()
  }
}

/** Runs a command to its end and returns its output; throws, with the output, unless it exits with 0. */
export async function run(command: string, args: readonly string[], options: ChildOptions = {}): Promise<string[]> {
  const lines: string[] = []
  const child = new Child(command, args, { input: '', ...options, onLine: (line) => lines.push(line) })
  const { code, signal } = await child.wait()
  if (code !== 0) throw new Error(`exit ${code ?? signal}: ${child.describe()}`)
  return lines
}

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let parts: Buffer[] = []
  stream.on('data', (chunk: Buffer) => {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(0x0a, start)
      if (end < 0) break
      parts.push(chunk.subarray(start, end))
      onLine(Buffer.concat(parts).toString())
      parts = []
      start = end + 1
    }
    if (start < chunk.length) parts.push(chunk.subarray(start))
  })
  stream.on('end', () => {
    if (parts.length > 0) onLine(Buffer.concat(parts).toString())
  })
}
