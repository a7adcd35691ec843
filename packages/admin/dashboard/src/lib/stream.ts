/**
 * Server-sent events of the API, read by `fetch`: unlike `EventSource` it says why a stream is refused.
 *
 * `parseEvents` has no state of a browser, so that it is tested in Node.
 */
import { type Query, send } from './api.ts'

export interface ServerEvent {
  readonly name: string
  readonly data: string
}

/** Reads whole events from the beginning of `text`. Returns them, and what is left. */
export function parseEvents(text: string): { events: ServerEvent[]; rest: string } {
  const blocks = text.split('\n\n')
  const rest = blocks.pop() ?? ''
  const events: ServerEvent[] = []
  for (const block of blocks) {
    let name = 'message'
    const data: string[] = []
    for (const line of block.split('\n')) {
      if (line.startsWith('event: ')) name = line.slice('event: '.length)
      else if (line.startsWith('data: ')) data.push(line.slice('data: '.length))
    }
    if (data.length > 0) events.push({ name, data: data.join('\n') })
  }
  return { events, rest }
}

/** Reads a stream to its end; `onOpen` is called when it has begun. @throws ApiError, and DOMException when aborted */
export async function readStream(
  path: string,
  query: Query,
  signal: AbortSignal,
  handlers: { onOpen(): void; onEvents(events: readonly ServerEvent[]): void },
): Promise<void> {
  const response = await send('GET', path, { query, signal })
  handlers.onOpen()
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const { events, rest } = parseEvents(text + value)
    text = rest
    if (events.length > 0) handlers.onEvents(events)
  }
}
