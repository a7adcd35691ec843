/**
 * `recado bench`: the user's load tool, against any MQTT server.
 *
 * Called by `main.ts`. The report goes to stdout, progress to stdout as well (with `--json` to stderr, so that stdout
 * is one line of JSON): on a terminal one line that is rewritten, in a pipe a line per second. The first SIGINT ends
 * the measurement and prints the report, the second ends the process.
 */
import { MqttError } from '@recado/protocol'
import { helpText } from '../command-table.ts'
import type { Io } from '../io.ts'
import { listenForStop } from '../signals.ts'
import { version } from '../version.ts'
import { command } from './bench-command.ts'
import { BenchArgumentError, type BenchOptions, parseBench } from './bench-options.ts'
import { nowUs } from './bench-payload.ts'
import { exitCodeOf, reportText } from './bench-report.ts'
import { BenchRun } from './bench-run.ts'

/** Runs the tool. Resolves with the exit code; see `--help`. */
export async function runBench(argv: readonly string[], io: Io): Promise<number> {
  try {
    const parsed = parseBench(argv)
    switch (parsed.kind) {
      case 'help':
        io.stdout.write(helpText(command))
        return 0
      case 'version':
        io.stdout.write(`recado bench ${version}\n`)
        return 0
      default:
        return await bench(parsed.options, io)
    }
  } catch (error) {
    const isForeseen = error instanceof BenchArgumentError || error instanceof MqttError || isSystemError(error)
    if (!isForeseen) throw error
    const hint = error instanceof BenchArgumentError ? ' ("recado bench --help" has them all)' : ''
    io.stderr.write(`recado bench: ${error.message}${hint}\n`)
    return 1
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

async function bench(options: BenchOptions, io: Io): Promise<number> {
  const run = new BenchRun(options)
  const signals = listenForStop(io.signals, () => io.exit(1))
  void signals.stop.then(() => run.stop())
  const progress = options.quiet ? null : showProgress(run, options, io)
  try {
    const result = await run.run()
    progress?.end()
    io.stdout.write(options.json ? `${JSON.stringify(result)}\n` : reportText(result))
    return exitCodeOf(result, options)
  } finally {
    progress?.end()
    signals.dispose()
  }
}

function showProgress(run: BenchRun, options: BenchOptions, io: Io): { end(): void } {
  const stream: { write(text: string): unknown; isTTY?: boolean } = options.json ? io.stderr : io.stdout
  const isTerminal = stream.isTTY === true
  const before = { published: 0, received: 0, atUs: nowUs() }
  const timer = setInterval(() => {
    const line = run.progress(before)
    stream.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`)
  }, 1_000)
  let isOver = false
  return {
    end: () => {
      if (isOver) return
      isOver = true
      clearInterval(timer)
      if (isTerminal) stream.write('\r\u001b[K')
    },
  }
}
