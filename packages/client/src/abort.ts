/** Small helpers around promises and `AbortSignal`: every wait in the client can be given up, and leaves no listener. */
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

/** A rejection of it need not be heard: whoever awaits it gets it all the same. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(nothing)
  return promise
}

/** `promise`, whose rejection need not be heard when it comes of what the caller has done itself: `isExpected`, or an abort of `signal`. */
export function closable<T>(promise: Promise<T>, isExpected: () => boolean, signal?: AbortSignal): Promise<T> {
  const result = deferred<T>()
  promise.then(result.resolve, (error: unknown) => {
    if (signal?.aborted || isExpected()) quiet(result.promise)
    result.reject(error)
  })
  return result.promise
}

/** Some platforms (React Native) know no reasons. */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason ?? new ClientClosedError('given up by an AbortSignal')
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal)
}

/** Calls `onAbort` when `signal` aborts (also if it has already). Call what is returned when it is not wanted any more. */
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

/** `promise`, or the rejection with `signal.reason`, whichever comes first. The work behind `promise` goes on. */
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
