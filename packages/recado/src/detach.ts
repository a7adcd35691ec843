/**
 * `-d`: the broker as a process of its own, without a terminal, whose starter comes back when it runs.
 *
 * Node cannot fork: `run-broker.ts` starts the program once more with the same arguments (`startDetached`), in a session of its own, with /dev/null for its streams, and
 * waits for it; `io.ts` makes the new process tell it what goes on. Invariants: the starter's exit code is 0 when the broker listens and its pid file is
 * written, and otherwise that of the broker, whose last words are passed on; a detached broker holds no terminal.
 */
import type { LineStream } from './log-stream.ts'

/** Set in the environment of the new process, and taken out by it. */
const MARK = 'RECADO_DETACHED'

/** Message of the new process: text for stderr, or that it runs. */
type News = { readonly text: string } | { readonly isRunning: true }

/** Starts the broker detached. Resolves with the exit code of this process. */
export async function startDetached(stderr: LineStream): Promise<number> {
  const { spawn } = await import('node:child_process')
  const [, ...argv] = process.argv
  const child = spawn(process.execPath, [...process.execArgv, ...argv], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, [MARK]: '1' },
  })
  return await new Promise((resolve) => {
    child.on('error', (error) => {
      stderr.write(`recado: the broker cannot be started: ${error.message}\n`)
      resolve(1)
    })
    // It has ended, and all that it has said has been read.
    child.on('close', (code) => resolve(code ?? 1))
    child.on('message', (news: News) => {
      if ('text' in news) {
        stderr.write(news.text)
        return
      }
      child.disconnect()
      child.unref()
      resolve(0)
    })
  })
}

/** Returns whether this process has been started by `startDetached`. */
export const isDetached = (): boolean => process.env[MARK] !== undefined && process.send !== undefined

/** The stderr of a detached broker: that of its starter, until it runs; from then on its own, which is /dev/null. */
export class DetachedStream implements LineStream {
  readonly #own: LineStream
  #isTold = true

  constructor(own: LineStream) {
    delete process.env[MARK]
    this.#own = own
  }

  write(text: string): void {
    if (this.#isTold && process.connected) tell({ text })
    else this.#own.write(text)
  }

  /** The broker runs. */
  detach(): void {
    this.#isTold = false
    if (process.connected) tell({ isRunning: true }, () => process.connected && process.disconnect())
  }
}

/** A starter that goes meanwhile is told nothing. */
function tell(news: News, then: () => void = () => undefined): void {
  process.send!(news, undefined, undefined, then)
}
