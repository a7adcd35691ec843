/**
 * The program under test: run in this process with streams of the test's own (`run`, `TestIo`), or as a process (`Program`).
 *
 * Every broker of a test keeps its data in a temporary folder, and ends with the test.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Io } from '../io.ts'
import { main } from '../main.ts'

export { freePort } from '@recado/client/testing'

export const programPath: string = fileURLToPath(new URL('../../bin/recado.js', import.meta.url))

/** A process for `main` that keeps what is printed, and tells when it matches. */
export class TestIo implements Io {
  readonly stdin: PassThrough = new PassThrough()
  readonly signals: EventEmitter = new EventEmitter()
  readonly stdout: Writable
  readonly stderr: { write(text: string): void; readonly isTTY: boolean }
  out: string = ''
  err: string = ''
  exited: number | null = null
  readonly #changed: EventEmitter = new EventEmitter()

  constructor(isTTY: boolean = false) {
    this.stdout = new Writable({
      write: (chunk, _encoding, done) => {
        this.out += String(chunk)
        this.#changed.emit('change')
        done()
      },
    })
    this.stderr = {
      isTTY,
      write: (text) => {
        this.err += text
        this.#changed.emit('change')
      },
    }
  }

  exit(code: number): void {
    this.exited = code
    this.#changed.emit('change')
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await once(this.#changed, 'change')
  }
}

export interface Printed {
  code: number
  out: string
  err: string
}

/** Exit code and all that was printed by a run that ends by itself. */
export async function run(...argv: string[]): Promise<Printed> {
  return runWith('', ...argv)
}

export async function runWith(stdin: string, ...argv: string[]): Promise<Printed> {
  const io = new TestIo()
  io.stdin.end(stdin)
  const code = await main(argv, io)
  return { code, out: io.out, err: io.err }
}

/** Like `run` for what must succeed; returns what was printed on stdout. */
export async function printed(...argv: string[]): Promise<string> {
  const { code, out, err } = await run(...argv)
  assert.equal(code, 0, `recado ${argv.join(' ')}: ${err}`)
  return out
}

export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recado-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A configuration file in a temporary folder, FOLDER in `text`. Its broker keeps its data beside it. */
export function configFile(context: TestContext, text: string): string {
  const folder = temporaryFolder(context)
  const path = join(folder, 'recado.conf')
  writeFileSync(path, `${text.replaceAll('FOLDER', folder)}persistence_location ${folder}/data\n`)
  return path
}

/** A broker as a process of its own. */
export class Program {
  readonly child: ChildProcess
  readonly port: number
  err: string = ''
  readonly #closed: Promise<[code: number | null, signal: string | null]>

  private constructor(child: ChildProcess, port: number) {
    this.child = child
    this.port = port
    this.#closed = once(child, 'close') as Promise<[number | null, string | null]>
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.err += text
    })
  }

  /** `config`: lines of mosquitto.conf. Ends with the test at the latest. */
  static spawn(context: TestContext, port: number, config: readonly string[], options: SpawnOptions = {}): Program {
    const folder = temporaryFolder(context)
    // Also for a broker that runs as somebody else.
    chmodSync(folder, 0o755)
    const file = join(folder, 'recado.conf')
    writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\n${config.join('\n')}\n`, { mode: 0o644 })
    const argv = [programPath, '-c', file]
    // Without persistence_location it keeps its data where it stands.
    const child = spawn(process.execPath, argv, { cwd: folder, ...options, stdio: ['ignore', 'ignore', 'pipe'] })
    context.after(() => child.kill('SIGKILL'))
    return new Program(child, port)
  }

  /** Resolves when it is running. */
  static async start(
    context: TestContext,
    port: number,
    config: readonly string[],
    options: SpawnOptions = {},
  ): Promise<Program> {
    const program = Program.spawn(context, port, config, options)
    const ended = program.ended()
    while (!/^\d+: recado version \S+ running$/m.test(program.err)) {
      const isRunning = await Promise.race([once(program.child.stderr!, 'data'), ended.then(() => null)])
      if (isRunning === null) assert.fail(`the broker did not start:\n${program.err}`)
    }
    return program
  }

  /** Exit code, or the signal that ended it. */
  async ended(): Promise<number | string | null> {
    const [code, signal] = await this.#closed
    return code ?? signal
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { child } = this
    child.kill(signal)
    assert.equal(await this.ended(), signal === 'SIGTERM' ? 0 : 'SIGKILL', this.err)
  }
}
