/**
 * Small helpers around promises and `AbortSignal`: every wait in the client can be given up, and leaves no listener
 * behind.
 */
import { ClientClosedError } from './errors.ts'

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise
    reject = rejectPromise
  })
  return { promise, resolve, reject }
}

const nothing = (): void => {}

/** Marks a promise whose rejection may go unhandled. A caller that awaits it still gets the rejection. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(nothing)
  return promise
}

/**
 * Marks a promise whose rejection may go unhandled when the caller itself has caused it: when `isExpected` returns
 * true, or `signal` is aborted.
 */
export function closable<T>(promise: Promise<T>, isExpected: () => boolean, signal?: AbortSignal): Promise<T> {
  const result = deferred<T>()
  promise.then(result.resolve, (error: unknown) => {
    if (signal?.aborted || isExpected()) quiet(result.promise)
    result.reject(error)
  })
  return result.promise
}

/** Some platforms (React Native) have no abort reasons. */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason ?? new ClientClosedError('the operation was aborted by its AbortSignal')
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal)
}

/**
 * Calls `onAbort` when `signal` aborts, or at once if it is aborted already. Call the returned function to stop
 * listening.
 */
export function whenAborted(signal: AbortSignal | undefined, onAbort: (reason: unknown) => void): () => void {
  if (signal === undefined) return nothing
  if (signal.aborted) {
    onAbort(reasonOf(signal))
    return nothing
  }
  const listener = (): void => onAbort(reasonOf(signal))
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

/**
 * Settles like `promise`, or rejects with `signal.reason` when that aborts first. The work behind `promise` goes on.
 */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  const { promise: result, resolve, reject } = deferred<T>()
  const stop = whenAborted(signal, (reason) => {
    quiet(result)
    reject(reason)
  })
  promise.then(
    (value) => {
      stop()
      resolve(value)
    },
    (error: unknown) => {
      stop()
      reject(error)
    },
  )
  return result
}
