/**
 * What the program touches of the process: its streams, signals and exit. `main` is given one, so that tests can run
 * it in their own process and look at everything that it prints.
 */
import type { Readable, Writable } from 'node:stream'
import type { LineStream } from './log.ts'
import type { SignalSource } from './signals.ts'

export interface Io {
  readonly stdin: Readable
  readonly stdout: Writable
  /** On a terminal long work shows how far it has come. */
  readonly stderr: LineStream & { readonly isTTY?: boolean }
  readonly signals: SignalSource
  /** Ends the process at once. */
  exit(code: number): void
}

/** The real process. */
export const processIo: Io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
  exit: (code) => process.exit(code),
}
