/**
 * Values that are asked for again and again while their page is looked at.
 */
import { useSignal } from '@preact/signals'
import { useCallback, useEffect, useRef } from 'preact/hooks'
import { ApiError, returns } from './api.ts'

export interface Polled<Value> {
  /** Last answer; undefined before the first. */
  readonly value: Value | undefined
  /** Failure of the last request; null when it had an answer, or the broker does not answer at all. */
  readonly error: ApiError | null
  readonly isLoading: boolean
  /** Asks again at once. */
  refresh(): void
}

/**
 * Calls `load` now, every `everyMs` while the page is visible, when `key` changes, and when the broker is back. The value
 * of another `key` is forgotten unless `keep`.
 * @param everyMs 0: only once
 */
export function usePoll<Value>(
  key: string,
  everyMs: number,
  load: (signal: AbortSignal) => Promise<Value>,
  { keep = true }: { keep?: boolean } = {},
): Polled<Value> {
  const value = useSignal<Value | undefined>(undefined)
  const error = useSignal<ApiError | null>(null)
  const isLoading = useSignal(true)
  const latest = useRef(load)
  latest.current = load
  const run = useRef<() => void>(() => {})
  const back = returns.value

  // `key` and `back` begin it anew.
  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let isRunning = false
    const once = async (): Promise<void> => {
      clearTimeout(timer)
      if (isRunning) return
      isRunning = true
      try {
        const answer = await latest.current(abort.signal)
        if (abort.signal.aborted) return
        value.value = answer
        error.value = null
      } catch (thrown) {
        if (abort.signal.aborted) return
        if (!(thrown instanceof ApiError)) throw thrown
        if (thrown.status !== 0) error.value = thrown
      } finally {
        isRunning = false
        if (!abort.signal.aborted) {
          isLoading.value = false
          if (everyMs > 0 && !document.hidden) timer = setTimeout(() => void once(), everyMs)
        }
      }
    }
    const onVisible = (): void => {
      if (!document.hidden && everyMs > 0) void once()
    }
    if (!keep) value.value = undefined
    isLoading.value = true
    run.current = () => void once()
    void once()
    document.addEventListener('visibilitychange', onVisible)
    return () => {
      abort.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisible)
    }
  }, [key, everyMs, back])

  const refresh = useCallback(() => run.current(), [])
  return { value: value.value, error: error.value, isLoading: isLoading.value, refresh }
}
