/**
 * Server-sent events: what a source has, as a stream that ends by itself.
 *
 * `insight.ts` and `messages.ts` answer with one. Invariants: it ends after its seconds, when its reader is gone and when
 * the source ends, and `onEnd` is called once; a reader that is slow is not written more to than it takes.
 */

/** Time between two lines that say nothing but that the stream goes on. */
const HEARTBEAT_MS = 10_000

/** Source of events. */
export interface EventSource {
  /** Resolves with events that have come, and the number of those that were lost; null at the end. */
  next(): Promise<{ readonly events: readonly unknown[]; readonly lost: number } | null>
  end(): void
}

/** Options of a stream. */
export interface EventStreamOptions {
  /** Name of an event. */
  readonly name: string
  /** Field of the event `lost` with the number of those that were lost. */
  readonly lostField: string
  readonly seconds: number
  readonly signal: AbortSignal
  onEnd(): void
}

/** Makes the body of an answer. */
export function eventStream(source: EventSource, options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { name, lostField, seconds, signal, onEnd } = options
  const encoder = new TextEncoder()
  let isOver = false
  let heartbeat: NodeJS.Timeout | undefined
  const end = (): void => {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    clearInterval(heartbeat)
    source.end()
    onEnd()
  }
  const timer = setTimeout(end, seconds * 1_000)
  signal.addEventListener('abort', end)
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(': it has begun\n\n'))
      heartbeat = setInterval(() => {
        // A reader that is slow has enough to read.
        if (!isOver && (controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(': it goes on\n\n'))
      }, HEARTBEAT_MS)
    },
    async pull(controller) {
      const batch = await source.next()
      if (batch === null) {
        end()
        controller.close()
        return
      }
      const events = batch.events.map((each) => `event: ${name}\ndata: ${JSON.stringify(each)}\n\n`)
      if (batch.lost > 0) events.push(`event: lost\ndata: ${JSON.stringify({ [lostField]: batch.lost })}\n\n`)
      controller.enqueue(encoder.encode(events.join('')))
    },
    cancel: end,
  })
}

/** Events that wait for a reader: bounded, and what finds no room is counted. */
export class EventQueue<Event> {
  readonly #max: number
  readonly #waiting: Event[] = []
  #lost = 0
  #wake: (() => void) | null = null
  #isOver = false

  constructor(max: number) {
    this.#max = max
  }

  add(event: () => Event): void {
    if (this.#waiting.length >= this.#max) {
      this.#lost++
      return
    }
    this.#waiting.push(event())
    this.#wake?.()
  }

  /** Ends the queue; events that wait may still be taken. */
  end(): void {
    this.#isOver = true
    this.#wake?.()
  }

  async next(): Promise<{ readonly events: readonly Event[]; readonly lost: number } | null> {
    while (this.#waiting.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
    if (this.#waiting.length === 0) return null
    const lost = this.#lost
    this.#lost = 0
    return { events: this.#waiting.splice(0), lost }
  }
}
