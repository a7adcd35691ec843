/**
 * The `$SYS` topics of bridges, below `$SYS/broker/recado/bridge/NAME/`.
 *
 * `SysTree` publishes them with its other topics, and at once when a bridge changes its state; docs/sys-topics.md is
 * made from the table.
 */
import type { BridgeFigures } from './bridge.ts'

export const BRIDGE_TOPICS = '$SYS/broker/recado/bridge/'

interface BridgeTopicOfSys {
  /** Name below that of the bridge. */
  readonly name: string
  readonly help: string
  readonly value: (figures: BridgeFigures) => string
}

export const bridgeSysTopics: readonly BridgeTopicOfSys[] = [
  {
    name: 'state',
    help: '`connected`, `connecting`, `waiting` for the next try, `idle` (lazy), or `stopped` (`start_type once`).',
    value: ({ state }) => state,
  },
  { name: 'address', help: 'The remote broker, HOST:PORT, or the one that is tried next.', value: (f) => f.address },
  {
    name: 'connections',
    help: 'How often the remote broker has accepted, since the broker started or the section changed.',
    value: ({ connections }) => String(connections),
  },
  {
    name: 'queue/messages',
    help: 'Messages that wait for the remote broker.',
    value: ({ queuedMessages }) => String(queuedMessages),
  },
  { name: 'queue/bytes', help: 'Bytes of those messages.', value: ({ queuedBytes }) => String(queuedBytes) },
  {
    name: 'inflight',
    help: 'Messages that were sent, and are not acknowledged.',
    value: ({ inFlight }) => String(inFlight),
  },
  {
    name: 'lag',
    help: 'Seconds since the remote broker had all messages; 0 while it has.',
    value: ({ lagSeconds }) => String(lagSeconds),
  },
  {
    name: 'dropped',
    help: 'Messages that did not get to the remote broker, for whatever reason.',
    value: ({ droppedMessages }) => String(droppedMessages),
  },
  {
    name: 'last-error',
    help: 'The last failure in words; `none` when there was none.',
    value: (f) => f.lastError || 'none',
  },
  {
    name: 'next-try',
    help: 'Seconds until the next attempt to connect; `none` when none is due.',
    value: ({ nextTrySeconds }) => (nextTrySeconds === null ? 'none' : String(nextTrySeconds)),
  },
]

/** Returns topic and text of all topics of these bridges. */
export function* bridgeTopicsOf(bridges: readonly BridgeFigures[]): IterableIterator<[topic: string, text: string]> {
  for (const figures of bridges) {
    const level = figures.name.replace(/[+#/\0]/g, '_')
    for (const { name, value } of bridgeSysTopics) yield [`${BRIDGE_TOPICS}${level}/${name}`, value(figures)]
  }
}
