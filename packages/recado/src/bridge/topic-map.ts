/**
 * Topic Names of a bridge at both brokers: the prefixes of the `topic` lines, in both directions.
 *
 * `BridgeLink` asks for each message. As in Mosquitto the first line with a prefix that matches maps; a topic that only
 * lines without prefixes match keeps its name. Invariants: a topic that no line of the direction matches has no name
 * on the other side; the memory of names is bounded.
 */
import { encodeTopicField, isTopicName, parseShare, topicMatches } from '@recado/protocol'
import type { BridgeTopic } from '../config/bridge-topics.ts'

/** Topics whose names are remembered for each direction. */
const NAMES_MAX = 10_000

/** Topic Name at the remote broker. */
export interface RemoteTopic {
  readonly topic: string
  /** Topic Name as it is on the wire. */
  readonly field: Uint8Array
}

/** A `topic` line as one direction reads it. */
interface Line {
  readonly filter: string
  readonly from: string
  readonly to: string
}

export class TopicMap {
  readonly #out: readonly Line[]
  readonly #in: readonly Line[]
  readonly #remote: Map<string, RemoteTopic | null> = new Map()
  readonly #local: Map<string, string | null> = new Map()

  constructor(topics: readonly BridgeTopic[]) {
    const out = topics.filter(({ direction }) => direction !== 'in')
    const into = topics.filter(({ direction }) => direction !== 'out')
    this.#out = out.map((each) => lineOf(each.localFilter, each.localPrefix, each.remotePrefix))
    this.#in = into.map((each) => lineOf(each.remoteFilter, each.remotePrefix, each.localPrefix))
  }

  /** Returns the name at the remote broker; null when there is none. */
  remote(topic: string): RemoteTopic | null {
    const known = this.#remote.get(topic)
    if (known !== undefined) return known
    const name = nameFor(this.#out, topic)
    const remote = name === null ? null : { topic: name, field: encodeTopicField(name) }
    remember(this.#remote, topic, remote)
    return remote
  }

  /** Returns the name at this broker; null when there is none. */
  local(topic: string): string | null {
    const known = this.#local.get(topic)
    if (known !== undefined) return known
    const name = nameFor(this.#in, topic)
    remember(this.#local, topic, name)
    return name
  }
}

/** A Shared Subscription matches the topics of its Topic Filter. */
function lineOf(filter: string, from: string, to: string): Line {
  const share = parseShare(filter)
  if (share === null) return { filter, from, to }
  return { filter: share.topicFilter, from: parseShare(from)?.topicFilter ?? '', to }
}

function nameFor(lines: readonly Line[], topic: string): string | null {
  let isMatched = false
  for (const { filter, from, to } of lines) {
    if (!topicMatches(filter, topic)) continue
    if (from === '' && to === '') {
      isMatched = true
      continue
    }
    const name = to + topic.slice(from.length)
    if (topic.startsWith(from) && isTopicName(name)) return name
  }
  return isMatched ? topic : null
}

function remember<T>(names: Map<string, T>, topic: string, name: T): void {
  if (names.size >= NAMES_MAX) names.clear()
  names.set(topic, name)
}
