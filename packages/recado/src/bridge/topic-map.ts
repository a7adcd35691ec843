/**
 * Topic Names of a bridge at both brokers: the prefixes of the `topic` lines, in both directions.
 *
 * `BridgeLink` asks for each message. As in Mosquitto the first line with a prefix that matches maps; a topic that only
 * lines without prefixes match keeps its name. Invariants: a topic that no line of the direction matches has no name
 * on the other side; the memory of names is bounded.
 */
import { encodeTopicField, isTopicName, parseShare, topicMatches } from '@recado/protocol'
import type { BridgeTopic } from '../config/bridge-topics.ts'
import { eventTopic, receivedTopic } from './clouds/azure-iot-hub.ts'

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
  readonly #deviceId: string | null

  /** @param deviceId device of Azure IoT Hub, where topics are properties of messages; null for any other broker */
  constructor(topics: readonly BridgeTopic[], deviceId: string | null = null) {
    this.#deviceId = deviceId
    const out = topics.filter(({ direction }) => direction !== 'in')
    const into = topics.filter(({ direction }) => direction !== 'out')
    this.#out = out.map((each) => lineOf(each.localFilter, each.localPrefix, each.remotePrefix))
    this.#in = into.map((each) => lineOf(each.remoteFilter, each.remotePrefix, each.localPrefix))
  }

  /** Returns the name at the remote broker; null when there is none. */
  remote(topic: string): RemoteTopic | null {
    const known = this.#remote.get(topic)
    if (known !== undefined) return known
    const name = this.#atHub(nameFor(this.#out, topic))
    const remote = name === null ? null : { topic: name, field: encodeTopicField(name) }
    remember(this.#remote, topic, remote)
    return remote
  }

  /** Returns the name at this broker; null when there is none. */
  local(topic: string): string | null {
    const known = this.#local.get(topic)
    if (known !== undefined) return known
    const name = this.#fromHub(topic)
    remember(this.#local, topic, name)
    return name
  }

  #atHub(name: string | null): string | null {
    return name === null || this.#deviceId === null ? name : eventTopic(this.#deviceId, name)
  }

  /** A message to the device has its topic as a property; the prefix is that of the line that has subscribed to it. */
  #fromHub(topic: string): string | null {
    const line = this.#deviceId === null ? undefined : this.#in.find(({ filter }) => topicMatches(filter, topic))
    if (line === undefined || topic.startsWith('$iothub/')) return nameFor(this.#in, topic)
    const received = receivedTopic(this.#deviceId!, topic)
    const name = received === null ? null : line.to + received.topic
    return name !== null && isTopicName(name) ? name : null
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
