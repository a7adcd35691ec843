/**
 * Signals to a running broker, with Mosquitto's meanings: SIGINT and SIGTERM stop it, a second one at once; SIGHUP,
 * SIGUSR1, SIGUSR2 and SIGRTMIN ask for an action.
 *
 * `serve.ts` waits on it. Invariants: each of these has a handler from the beginning, because without one it ends the
 * process, or, SIGUSR1, opens Node's debugger; after `dispose` no handler is left, so a program that embeds `main`
 * keeps its own signals.
 */
import { createHook } from 'node:async_hooks'

/** Part of `process` that is used; tests bring their own. */
export interface SignalSource {
  on(signal: NodeJS.Signals, handler: () => void): unknown
  off(signal: NodeJS.Signals, handler: () => void): unknown
}

export interface Signals {
  /** Resolves with the first signal that asks to stop. */
  readonly stop: Promise<NodeJS.Signals>
  dispose(): void
}

export interface SignalActions {
  /** Called for SIGHUP: read files again. */
  readonly onHangUp: () => void
  /** Called for SIGUSR1: make sure that everything is on the disk. */
  readonly onSave: () => void
  /** Called for SIGUSR2: print the subscriptions. */
  readonly onPrint: () => void
  /** Called for SIGRTMIN: open the log again. */
  readonly onReopenLog: () => void
  /** Called for a second signal that asks to stop: the work of the first one takes too long. */
  readonly onSecondStop: () => void
}

/** Waits for SIGINT and SIGTERM only; every other signal keeps its default. */
export function listenForStop(source: SignalSource, onSecondStop: () => void): Signals {
  let stopped: ((signal: NodeJS.Signals) => void) | null = null
  const stop = new Promise<NodeJS.Signals>((resolve) => {
    stopped = resolve
  })
  const handle = (signal: NodeJS.Signals) => (): void => {
    if (stopped === null) {
      onSecondStop()
      return
    }
    stopped(signal)
    stopped = null
  }
  const dispose = handleAll(source, [
    ['SIGINT', handle('SIGINT')],
    ['SIGTERM', handle('SIGTERM')],
  ])
  return { stop, dispose }
}

export function listenForSignals(source: SignalSource, actions: SignalActions): Signals {
  const { stop, dispose } = listenForStop(source, actions.onSecondStop)
  const disposeOthers = handleAll(source, [
    ['SIGHUP', actions.onHangUp],
    ['SIGUSR1', actions.onSave],
  ])
  const disposeRealTime = handleRealTime(source, actions)
  return {
    stop,
    dispose: () => {
      dispose()
      disposeOthers()
      disposeRealTime()
    },
  }
}

function handleAll(source: SignalSource, handlers: readonly [NodeJS.Signals, () => void][]): () => void {
  for (const [signal, handler] of handlers) source.on(signal, handler)
  return () => {
    for (const [signal, handler] of handlers) source.off(signal, handler)
  }
}

/** SIGRTMIN as the C library counts. */
const SIGRTMIN = 34

/** Handle behind a signal handler of Node. */
interface SignalHandle {
  onsignal: () => void
  start(signal: number): number
  unref(): void
  close(): void
}

/**
 * Handles SIGUSR2 and SIGRTMIN. Node has no name for the latter, so a handle like that of SIGUSR2 is made for it. Where
 * Node does not show its handles (`async_hooks`), SIGRTMIN ends the process, as it does Mosquitto 2.0.
 */
function handleRealTime(source: SignalSource, { onPrint, onReopenLog }: SignalActions): () => void {
  const usr2: [NodeJS.Signals, () => void][] = [['SIGUSR2', onPrint]]
  if (source !== process || process.platform !== 'linux') return handleAll(source, usr2)
  let Handle: (new () => SignalHandle) | null = null
  const hook = createHook({
    init(_id, type, _trigger, resource) {
      if (type === 'SIGNALWRAP') Handle = resource.constructor as new () => SignalHandle
    },
  }).enable()
  const dispose = handleAll(source, usr2)
  hook.disable()
  if (Handle === null) return dispose
  const handle = new (Handle as new () => SignalHandle)()
  handle.onsignal = onReopenLog
  handle.start(SIGRTMIN)
  handle.unref()
  return () => {
    dispose()
    handle.close()
  }
}
