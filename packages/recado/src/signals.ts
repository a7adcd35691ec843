/**
 * Signals to a running broker: SIGINT and SIGTERM stop it, a second one at once; SIGHUP is an event of its own.
 *
 * `serve.ts` waits on it. The invariant: after `dispose` no handler is left, so a program that embeds `main` keeps its
 * own signals.
 */

/** What of `process` is used; tests bring their own. */
export interface SignalSource {
  on(signal: NodeJS.Signals, handler: () => void): unknown
  off(signal: NodeJS.Signals, handler: () => void): unknown
}

export interface Signals {
  /** Resolves with the first signal that asks to stop. */
  readonly stop: Promise<NodeJS.Signals>
  dispose(): void
}

/**
 * @param onHangUp called for every SIGHUP
 * @param onSecondStop called when a second signal asks to stop: the first one's work takes too long for somebody
 */
export function listenForSignals(source: SignalSource, onHangUp: () => void, onSecondStop: () => void): Signals {
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
  const handlers: [NodeJS.Signals, () => void][] = [
    ['SIGINT', handle('SIGINT')],
    ['SIGTERM', handle('SIGTERM')],
    ['SIGHUP', onHangUp],
  ]
  for (const [signal, handler] of handlers) source.on(signal, handler)
  return {
    stop,
    dispose: () => {
      for (const [signal, handler] of handlers) source.off(signal, handler)
    },
  }
}
