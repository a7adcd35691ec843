/**
 * The subscriptions of all clients as a tree of topic levels, as Mosquitto prints it on SIGUSR2:
 *
 *       sensors
 *         + (ada, 1)
 *           # (bob, 0)
 *
 * `serve.ts` calls it. The invariant: work and output come in pieces, so that a million subscriptions hold up nobody.
 */
import type { Broker } from '@recado/broker'
import { escapeControls } from './escape-controls.ts'
import type { LineStream } from './log-stream.ts'

interface Level {
  readonly name: string
  readonly subscribers: string[]
  readonly below: Map<string, Level>
}

const PIECE_CHARACTERS = 16_384
const PAUSE_MS = 20

const levelOf = (name: string): Level => ({ name, subscribers: [], below: new Map() })

/** Prints the tree once; resolves when all is written, or the broker has been closed. */
export async function printSubscriptions(broker: Broker, out: LineStream): Promise<void> {
  const root = levelOf('')
  for await (const { clientId, topicFilter, qos } of broker.subscriptions()) {
    let level = root
    for (const name of topicFilter.split('/')) {
      let next = level.below.get(name)
      if (next === undefined) {
        next = levelOf(name)
        level.below.set(name, next)
      }
      level = next
    }
    level.subscribers.push(`(${escapeControls(clientId)}, ${qos})`)
  }
  let text = ''
  for (const line of linesOf(root, -1)) {
    text += line
    if (text.length < PIECE_CHARACTERS) continue
    out.write(text)
    text = ''
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  if (text !== '') out.write(text)
}

function* linesOf(level: Level, depth: number): Generator<string> {
  if (depth >= 0) {
    yield `${' '.repeat((depth + 2) * 2)}${[escapeControls(level.name), ...level.subscribers].join(' ')}\n`
  }
  for (const next of level.below.values()) yield* linesOf(next, depth + 1)
}
