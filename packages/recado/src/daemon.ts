/**
 * The behaviour of a daemon instead of Node's defaults: without the debugger, warnings and stray texts on stderr, the
 * end at the first uncaught error, the name `node`.
 *
 * `serve.ts` calls it for the real process. Invariants: no signal opens a debugger; an uncaught error is counted and
 * logged with its stack, and ends one piece of work, not the process, unless errors follow each other.
 */
import { writeFileSync } from 'node:fs'
import inspector from 'node:inspector'
import { format } from 'node:util'
import type { Logger } from './log.ts'

/**
 * Number of uncaught errors within FAULTS_MS above which the process is not sound any more, and a new one is better.
 */
const FAULTS_MAX = 20
const FAULTS_MS = 10_000

/** Part of `process` that is used. */
export type DaemonProcess = Pick<NodeJS.Process, 'on' | 'off' | 'listeners' | 'execArgv' | 'env'>

/**
 * Applies it until the returned function is called. @param onUnsound called when uncaught errors follow each other: the
 * process has to end
 */
export function behaveAsDaemon(
  process: DaemonProcess,
  log: Logger,
  onUnsound: () => void,
  name: string = 'recado',
): () => void {
  nameProcess(name)
  closeDebugger(process, log)
  const restoreConsole = redirectConsole(log)
  const restoreWarnings = redirectWarnings(process, log)
  const onUncaught = uncaughtInto(log, onUnsound)
  process.on('uncaughtException', onUncaught)
  return () => {
    process.off('uncaughtException', onUncaught)
    restoreWarnings()
    restoreConsole()
  }
}

/** Sets the name of the process, for `pidof recado`, `pgrep recado`: that by which it was called. The arguments stay where `ps` shows them. */
function nameProcess(name: string): void {
  try {
    writeFileSync('/proc/self/comm', name)
  } catch {
    // Not Linux: the name stays `node`.
  }
}

/**
 * Closes a debugger that SIGUSR1 has opened before it had a handler: Node has opened it on 127.0.0.1, for every user of
 * this machine. One that was asked for (--inspect) is reported.
 */
function closeDebugger({ execArgv, env }: DaemonProcess, log: Logger): void {
  if (inspector.url() === undefined) return
  if (/--inspect/.test([...execArgv, env['NODE_OPTIONS'] ?? ''].join(' '))) {
    const text = 'Node is started with a debugger (--inspect): whoever reaches its port can run code in this broker.'
    log.log('warning', 'process.debugger', `Warning: ${text}`)
  } else {
    inspector.close()
  }
}

/** Logs the output of libraries: a write to the stream itself would wait for its reader. */
function redirectConsole(log: Logger): () => void {
  const { error, warn, log: print, info, debug, trace } = console
  const say = (...values: unknown[]): void => log.log('warning', 'process.message', format(...values))
  Object.assign(console, { error: say, warn: say, log: say, info: say, debug: say, trace: say })
  return () => Object.assign(console, { error, warn, log: print, info, debug, trace })
}

function redirectWarnings(process: DaemonProcess, log: Logger): () => void {
  const ofNode = process.listeners('warning')
  for (const listener of ofNode) process.off('warning', listener)
  const onWarning = ({ name, message }: Error): void =>
    log.log('warning', 'process.warning', `Warning of Node: ${name}: ${message}`, { name })
  process.on('warning', onWarning)
  return () => {
    process.off('warning', onWarning)
    for (const listener of ofNode) process.on('warning', listener)
  }
}

/**
 * Handles an uncaught error. The core contains its own faults, so it is of a socket, a file, or a library. Acknowledged
 * messages are not affected: an acknowledgement waits for the store's answer, and without an answer none leaves.
 */
function uncaughtInto(log: Logger, onUnsound: () => void): (error: Error) => void {
  const times: number[] = []
  return (error) => {
    const nowMs = Date.now()
    times.push(nowMs)
    log.fault('process.uncaught', 'An error that nobody caught; the broker goes on', error)
    if (times.length <= FAULTS_MAX) return
    if (nowMs - times.shift()! > FAULTS_MS) return
    const text = `${FAULTS_MAX} errors in ${FAULTS_MS / 1000} seconds that nobody caught: the broker ends, to be started anew.`
    log.log('error', 'process.unsound', text)
    onUnsound()
  }
}
