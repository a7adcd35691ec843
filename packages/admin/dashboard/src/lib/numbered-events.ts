/**
 * Server-sent events that a page keeps while it is looked at, each with a number by which lists know it again.
 *
 * Invariants: the last `max` items are kept, however many come; the stream ends with the page.
 */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { ApiError, type Query } from './api.ts'
import { readStream } from './stream.ts'

export type Numbered<Item> = Item & { readonly number: number }

export interface NumberedEvents<Item> {
  /** Items since the last start, the latest last. */
  readonly items: readonly Numbered<Item>[]
  readonly isRunning: boolean
  /** Whether the stream has ended, was stopped or was refused; false before the first start. */
  readonly isOver: boolean
  /** Count of items that the reader was too slow for. */
  readonly lost: number
  readonly error: ApiError | null
  /** Ends the stream that runs, and begins another without items. */
  start(query: Query): void
  stop(): void
  clear(): void
}

/**
 * Reads the items of a stream of the API when it is started.
 * @param lostName member of the event `lost` that has the count
 */
export function useNumberedEvents<Item>(
  path: string,
  lostName: 'messages' | 'steps',
  max: number,
): NumberedEvents<Item> {
  const items = useSignal<readonly Numbered<Item>[]>([])
  const state = useSignal<'idle' | 'running' | 'over'>('idle')
  const lost = useSignal(0)
  const error = useSignal<ApiError | null>(null)
  const abort = useRef<AbortController | null>(null)
  const counted = useRef(0)
  useEffect(() => () => abort.current?.abort(), [])
  const run = async (query: Query): Promise<void> => {
    abort.current?.abort()
    const running = new AbortController()
    abort.current = running
    items.value = []
    lost.value = 0
    error.value = null
    try {
      await readStream(path, query, running.signal, {
        onOpen: () => {
          state.value = 'running'
        },
        onEvents: (events) => {
          const fresh: Numbered<Item>[] = []
          for (const { name, data } of events) {
            if (name === 'lost') lost.value += (JSON.parse(data) as Record<typeof lostName, number>)[lostName]
            else fresh.push({ ...(JSON.parse(data) as Item), number: ++counted.current })
          }
          items.value = [...items.value, ...fresh].slice(-max)
        },
      })
      state.value = 'over'
    } catch (thrown) {
      if (running.signal.aborted) return
      state.value = 'over'
      if (thrown instanceof ApiError) error.value = thrown
    }
  }
  return {
    items: items.value,
    isRunning: state.value === 'running',
    isOver: state.value === 'over',
    lost: lost.value,
    error: error.value,
    start: (query) => void run(query),
    stop: () => {
      abort.current?.abort()
      state.value = 'over'
    },
    clear: () => {
      items.value = []
    },
  }
}
