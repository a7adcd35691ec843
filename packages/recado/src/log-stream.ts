/**
 * The destinations of log lines: a descriptor that is never waited for, or a file.
 *
 * `log.ts` writes to them, `io.ts` opens those of stdout and stderr. Invariants: a write returns at once, whatever the
 * reader does (a pipe that is not read, a stopped terminal, a full disk); no failure of a destination ends the broker;
 * lines that cannot be written wait up to a bound, and each line beyond it is counted and reported when writing works
 * again.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { LogType } from './log.ts'
import { noFollow } from './root-files.ts'

/** Stream for lines: one of those below, or a test's. */
export interface LineStream {
  write(text: string): unknown
  /** Whether it leads to systemd's journal, which takes the severity of a line from `<3>` before it. */
  readonly isJournal?: boolean
}

/** Destination of the log. */
export interface LogDestination {
  write(line: string, type: LogType, event: string): unknown
  /** False: it cannot be written to at the moment. Absent: it always can. */
  readonly isOpen?: boolean
  /** Opens it again: a log rotation may have moved the file away. */
  reopen(): void
  close(): void
}

/** Number of bytes that wait for a reader that does not read; about 10,000 lines. */
const WAITING_BYTES_MAX = 1024 * 1024
/** Interval in milliseconds for trying a full pipe again. */
const RETRY_MS = 50
/** Time in milliseconds that the end of the process waits for a reader. */
const LAST_MS = 500

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''
const isFull = (error: unknown): boolean => codeOf(error) === 'EAGAIN' || codeOf(error) === 'EWOULDBLOCK'

/**
 * Opens stdout or stderr for lines. A pipe or terminal is opened a second time without blocking, so that nobody who shares it is
 * affected; a socket, as of systemd's journal, is written by Node; anything else, as a file, takes what it is given. `journal`: the device and inode of the
 * journal's socket, as systemd says in JOURNAL_STREAM.
 */
export function openDescriptor(fd: 1 | 2, journal: string | undefined = undefined): LineStream & { close(): void } {
  try {
    const stat = fstatSync(fd)
    if (stat.isSocket()) return new SocketStream(fd, journal === `${stat.dev}:${stat.ino}`)
    if (stat.isFIFO() || stat.isCharacterDevice()) {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND | constants.O_NOCTTY
      return new DescriptorStream(openSync(`/proc/self/fd/${fd}`, flags), true)
    }
    return new DescriptorStream(fd, false)
  } catch {
    // Closed, of another user, or not on Linux: a write may then wait for the reader, and an error of it is only
    // counted.
    return new DescriptorStream(fd, false)
  }
}

/** Stream of lines to a descriptor. `isOwn`: it was opened for this, and is closed with it. */
export class DescriptorStream implements LineStream {
  readonly #fd: number
  readonly #isOwn: boolean
  readonly #waiting: Buffer[] = []
  #waitingBytes = 0
  #lost = 0
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(fd: number, isOwn: boolean) {
    this.#fd = fd
    this.#isOwn = isOwn
  }

  /** Number of lines that were lost. */
  get lost(): number {
    return this.#lost
  }

  write(text: string): void {
    if (this.#isClosed) return
    const line = Buffer.from(text)
    if (this.#waiting.length === 0 && this.#lost === 0) {
      const rest = this.#tryWrite(line)
      if (rest === null) return
      this.#keep(rest)
    } else {
      this.#keep(line)
    }
    this.#retryLater()
  }

  /** Writes a line. Returns the rest, or null when all is written, or when it never will be. */
  #tryWrite(line: Buffer): Buffer | null {
    try {
      const written = writeSync(this.#fd, line)
      return written === line.length ? null : line.subarray(written)
    } catch (error) {
      if (isFull(error)) return line
      // The reader is gone (EPIPE, EIO), or the disk is full: the next line is tried again.
      this.#lost++
      return null
    }
  }

  #keep(line: Buffer): void {
    if (this.#waitingBytes + line.length > WAITING_BYTES_MAX) {
      this.#lost++
      return
    }
    this.#waiting.push(line)
    this.#waitingBytes += line.length
  }

  /** Writes waiting lines. Returns false when there are more. */
  #drain(): boolean {
    while (this.#waiting.length > 0) {
      const line = this.#waiting[0]!
      const rest = this.#tryWrite(line)
      if (rest !== null) {
        this.#waitingBytes -= line.length - rest.length
        this.#waiting[0] = rest
        return false
      }
      this.#waitingBytes -= line.length
      this.#waiting.shift()
    }
    return this.#tellLost()
  }

  #tellLost(): boolean {
    const lost = this.#lost
    if (lost === 0) return true
    this.#lost = 0
    const rest = this.#tryWrite(Buffer.from(lostText(lost)))
    if (rest === null && this.#lost === 0) return true
    // Even that failed: they stay counted.
    this.#lost = lost
    return rest === null
  }

  #retryLater(): void {
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (!this.#drain()) this.#retryLater()
    }, RETRY_MS)
    this.#timer.unref()
  }

  /** Waits a moment for a slow reader, but not for one that does not read. */
  close(): void {
    if (this.#isClosed) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let waitedMs = 0; !this.#drain() && waitedMs < LAST_MS; waitedMs += 10) Atomics.wait(pause, 0, 0, 10)
    this.#isClosed = true
    this.#waiting.length = 0
    if (this.#isOwn) closeSync(this.#fd)
  }
}

export const lostText = (count: number): string =>
  `recado: ${count} log line${count === 1 ? '' : 's'} could not be written\n`

/** Stream of lines to a socket that was passed to the process. */
class SocketStream implements LineStream {
  readonly isJournal: boolean
  readonly #socket: Socket
  #lost = 0

  constructor(fd: number, isJournal: boolean) {
    this.isJournal = isJournal
    this.#socket = new Socket({ fd, readable: false, writable: true })
    // When the reader is gone, lines are lost, and nothing else.
    this.#socket.on('error', () => undefined)
    this.#socket.unref()
  }

  write(text: string): void {
    if (this.#socket.destroyed || this.#socket.writableLength > WAITING_BYTES_MAX) {
      this.#lost++
      return
    }
    const lost = this.#lost
    this.#lost = 0
    this.#socket.write(lost === 0 ? text : lostText(lost) + text)
  }

  /** Closes it without `end()`, which would shut the socket for every process that shares it. */
  close(): void {
    if (this.#socket.destroyed || this.#socket.writableLength === 0) return
    // A write in progress keeps the process alive; a reader that does not read must not.
    const timer = setTimeout(() => this.#socket.destroy(), LAST_MS)
    this.#socket.write('', () => clearTimeout(timer))
  }
}

/** A log file, made with mode 0600. What cannot be written is told once by `onFailure`, counted, and tried again with each line. */
export class FileDestination implements LogDestination {
  readonly #path: string
  readonly #onFailure: (error: unknown) => void
  #fd: number | null = null
  #lost = 0

  /** @param onFailure called when the file cannot be opened or written, once until it works again */
  constructor(path: string, onFailure: (error: unknown) => void) {
    this.#path = path
    this.#onFailure = onFailure
    this.#open()
  }

  get isOpen(): boolean {
    return this.#fd !== null
  }

  #open(): void {
    try {
      // Do not wait for the reader of a named pipe.
      const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
      this.#fd = openSync(this.#path, flags | noFollow(this.#path), 0o600)
    } catch (error) {
      this.#onFailure(error)
    }
  }

  write(line: string): void {
    if (this.#fd === null) {
      this.#lost++
      return
    }
    try {
      writeSync(this.#fd, this.#lost === 0 ? line : lostText(this.#lost) + line)
      this.#lost = 0
    } catch (error) {
      if (this.#lost === 0) this.#onFailure(error)
      this.#lost++
    }
  }

  /** Opens the file again; when that fails, the open one stays. */
  reopen(): void {
    const before = this.#fd
    this.#open()
    if (before !== null && this.#fd !== before) closeSync(before)
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd)
    this.#fd = null
  }
}
