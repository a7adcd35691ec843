/**
 * The part of the process that the program uses: its streams, signals and exit. `main` is given one, so that tests can
 * run it in their own process and look at everything that it prints.
 */
import { closeSync, openSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { isatty } from 'node:tty'
import { DetachedStream, isDetached } from './detach.ts'
import { type LineStream, openDescriptor } from './log-stream.ts'
import type { SignalSource } from './signals.ts'

export interface Io {
  readonly stdin: Readable
  readonly stdout: Writable
  /** Standard error; on a terminal long work shows its progress. */
  readonly stderr: LineStream & { readonly isTTY?: boolean }
  readonly signals: SignalSource
  /** Ends the process at once. */
  exit(code: number): void
}

/** Part of the process that a running broker uses. */
export interface BrokerIo {
  readonly stdout: LineStream
  readonly stderr: LineStream
  readonly signals: SignalSource
  /** Environment of the service manager; absent without one. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Name by which the program was called; absent: recado. */
  readonly name?: string
  /** Call it when the broker runs: whoever has started it in the background comes back. */
  readonly detach?: () => void
  /** The whole process, to behave as a daemon; absent where others use it too. */
  readonly process?: NodeJS.Process
  exit(code: number): void
}

/** Real process. */
export const processIo: Io = {
  // Node's streams are made when they are first asked for. A broker on a terminal must not have them: Node fails at its
  // end when the terminal is gone by then (signal 11).
  get stdin() {
    return process.stdin
  },
  get stdout() {
    return process.stdout
  },
  get stderr() {
    return process.stderr
  },
  signals: process,
  exit: (code) => process.exit(code),
}

/** Returns the real process for a broker, called `name`: neither of its streams is waited for, and none ends it. */
export function brokerIo(name: string = 'recado'): BrokerIo & { close(): void } {
  const journal = process.env['JOURNAL_STREAM']
  const [stdout, stderr] = [openDescriptor(1, journal), openDescriptor(2, journal)]
  const terminals = [0, 1, 2].filter((fd) => isatty(fd))
  const { env } = process
  const close = (): void => {
    stdout.close()
    stderr.close()
    leaveTerminals(terminals)
  }
  const detached = isDetached() ? new DetachedStream(stderr) : null
  return {
    ...{ stdout, stderr: detached ?? stderr, env, process, signals: process, close, name },
    detach: () => detached?.detach(),
    exit: (code) => {
      leaveTerminals(terminals)
      process.exit(code)
    },
  }
}

/** Leaves terminals that were closed meanwhile: Node sets their mode at the end, and aborts when that fails. */
function leaveTerminals(descriptors: readonly number[]): void {
  for (const fd of descriptors) {
    if (isatty(fd)) continue
    closeSync(fd)
    // The lowest free number: the same one.
    openSync('/dev/null', 'r+')
  }
}
