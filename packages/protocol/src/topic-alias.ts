/**
 * Topic Aliases of MQTT 5.0, for both directions. One object of each class belongs to a connection (not to a session)
 * and ends with it [MQTT-3.3.2-7].
 *
 * The handler of a PUBLISH calls `TopicAliasReceiver` before anything looks at the topic (authorization too). The
 * writer of a PUBLISH calls `TopicAliasSender` once it is certain that the packet will be written: the other side must
 * get each alias that is marked as new.
 *
 * Invariant: never more aliases than the Topic Alias Maximum of the side that receives them.
 *
 * Source: MQTT 5.0 sections 3.3.2.3.4, 3.1.2.11.5 and 3.2.2.3.8.
 */
import { ProtocolError } from './errors.ts'
import type { Publish } from './packets.ts'
import { ReasonCode } from './reason-codes.ts'

/** Memory of an alias in bytes, without its topic. */
const ALIAS_BYTES = 100

export class TopicAliasReceiver {
  /** Memory in bytes that is held for topics: two bytes for each UTF-16 code unit, and 100 for each alias. */
  bytes = 0
  readonly #maximum: number
  /** Topics by alias. The Map grows as aliases come, so that a maximum of 65,535 costs nothing until it is used. */
  readonly #topics: Map<number, { topic: string; topicField: Uint8Array | null }> = new Map()

  /** @param maximum the Topic Alias Maximum that we have announced; 0 forbids aliases */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /**
   * Returns the Topic Name of the packet, and puts it into `publish.topic` and, when known, `publish.topicField`.
   * Throws `ProtocolError` 0x94 for an alias of 0 or above the maximum, 0x82 for an alias that has no topic yet and for
   * an empty Topic Name without alias.
   */
  resolve(publish: Publish): string {
    const { rawProperties } = publish
    const alias = rawProperties === null ? publish.properties.topicAlias : rawProperties.topicAlias || undefined
    if (alias === undefined) {
      if (publish.topic === '') {
        throw new ProtocolError(ReasonCode.ProtocolError, 'the Topic Name is empty and there is no Topic Alias')
      }
      return publish.topic
    }
    // [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-10] [MQTT-3.3.2-12]
    if (alias === 0 || alias > this.#maximum) {
      throw new ProtocolError(
        ReasonCode.TopicAliasInvalid,
        `Topic Alias is ${alias}; the largest that is allowed is ${this.#maximum}`,
      )
    }
    const known = this.#topics.get(alias)
    if (publish.topic === '') {
      if (known === undefined) {
        throw new ProtocolError(ReasonCode.ProtocolError, `Topic Alias ${alias} has not been given a Topic Name`)
      }
      publish.topic = known.topic
      publish.topicField = known.topicField
    } else if (known === undefined) {
      this.#topics.set(alias, { topic: publish.topic, topicField: publish.topicField })
      this.bytes += ALIAS_BYTES + 2 * publish.topic.length
    } else {
      this.bytes += 2 * (publish.topic.length - known.topic.length)
      known.topic = publish.topic
      known.topicField = publish.topicField
    }
    return publish.topic
  }
}

/** Fields to write into a PUBLISH: the alias, and beside it the Topic Name when `isNew`, else the empty one. */
export interface TopicAlias {
  readonly alias: number
  readonly isNew: boolean
}

/** One alias, in a ring ordered by last use. */
class AliasEntry implements TopicAlias {
  topic: string
  alias: number
  isNew: boolean
  older: AliasEntry
  newer: AliasEntry
  constructor(topic: string, alias: number) {
    this.topic = topic
    this.alias = alias
    this.isNew = true
    this.older = this
    this.newer = this
  }
}

export class TopicAliasSender {
  readonly #maximum: number
  readonly #byTopic: Map<string, AliasEntry> = new Map()
  /** Alias that was used last; its `newer` is the one that has not been used for the longest time. */
  #latest: AliasEntry | null = null

  /** @param maximum the Topic Alias Maximum that the other side has announced; 0 forbids aliases */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /**
   * Returns the alias for a PUBLISH to this topic; null when aliases are forbidden. When all are taken, the topic gets
   * the one least recently used. The object is valid until the next call: nothing is allocated for a topic that has its
   * alias.
   */
  aliasFor(topic: string): TopicAlias | null {
    if (this.#maximum === 0) return null
    const latest = this.#latest
    let entry = this.#byTopic.get(topic)
    if (entry !== undefined) {
      entry.isNew = false
      if (entry === latest) return entry
    } else if (latest === null || this.#byTopic.size < this.#maximum) {
      entry = new AliasEntry(topic, this.#byTopic.size + 1)
      this.#byTopic.set(topic, entry)
    } else {
      // The oldest entry of the ring; with only one entry that is also the latest.
      entry = latest.newer
      this.#byTopic.delete(entry.topic)
      entry.topic = topic
      entry.isNew = true
      this.#byTopic.set(topic, entry)
      if (entry === latest) return entry
    }
    if (latest !== null) {
      // Take the entry out of its place in the ring (which does nothing for a new one) and put it in behind the latest.
      entry.older.newer = entry.newer
      entry.newer.older = entry.older
      entry.older = latest
      entry.newer = latest.newer
      latest.newer.older = entry
      latest.newer = entry
    }
    this.#latest = entry
    return entry
  }
}
