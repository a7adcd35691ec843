/**
 * Retained messages that a relay has sent to its remote broker, as far as what changes here meanwhile does not wait in
 * the queue of its session: messages at QoS 0, and all of a clean session.
 *
 * `RelaySession` has one. With the next connection it says what the remote broker has already, and what is to be deleted
 * there. Invariants: what was sent at QoS 0 counts as unknown until the remote broker has answered a packet that was
 * sent behind it; a deletion keeps its properties, so that it ends in a ring of bridges as the message does; `#gone` has
 * only topics of `#sent`. It is in memory: a new process knows nothing, and sends all.
 */
import type { Properties } from '@recado/protocol'
import { NO_PROPERTIES } from '@recado/protocol'
import type { Message } from './core/base/message.ts'

/** Place of a retained message of which it is not known whether the remote broker has it. */
const UNKNOWN = -1

export class SentRetained {
  /** Place among all retained messages (`Message.retainedSequence`) of those that were sent last, by topic. */
  readonly #sent: Map<string, number> = new Map()
  /** Properties of the deletions of those that are gone since, by topic. */
  readonly #gone: Map<string, Properties> = new Map()
  /** Topics of those that were sent at QoS 0, of which it is not known whether they have arrived. */
  #unproved: Set<string> = new Set()
  /** Topics of those about which the remote broker has been asked. */
  #asked: Set<string> = new Set()

  has({ topic, retainedSequence }: Message): boolean {
    return this.#sent.get(topic) === retainedSequence
  }

  get topics(): IterableIterator<string> {
    return this.#sent.keys()
  }

  /** Properties of the deletion of a topic that is gone here. */
  deletionOf(topic: string): Properties {
    return this.#gone.get(topic) ?? NO_PROPERTIES
  }

  forget(topic: string): void {
    this.#sent.delete(topic)
    this.#gone.delete(topic)
  }

  /** Notes a retained message, or a deletion, that is sent. */
  note(message: Message, qos: number): void {
    const { topic, properties, retainedSequence } = message
    const isDeletion = message.payloadLength === 0
    if (isDeletion && qos > 0) this.forget(topic)
    else if (isDeletion || message.isRetained) {
      this.#sent.set(topic, isDeletion ? UNKNOWN : retainedSequence)
      if (isDeletion) this.#gone.set(topic, properties)
      else this.#gone.delete(topic)
      if (qos === 0) this.#unproved.add(topic)
    }
  }

  /** Notes the deletion of a retained message here. */
  deleted({ topic, properties }: Message): void {
    if (this.#sent.has(topic)) this.#gone.set(topic, properties)
  }

  /** Whether it is not known of some that the remote broker has them. */
  get hasUnproved(): boolean {
    return this.#unproved.size + this.#asked.size > 0
  }

  /** See `Relay.proveRetained`. */
  prove(): (() => void) | null {
    if (this.#unproved.size === 0 || this.#asked.size > 0) return null
    const asked = this.#unproved
    this.#unproved = new Set()
    this.#asked = asked
    return () => {
      if (this.#asked !== asked) return
      this.#asked = new Set()
      // The remote broker has deleted them.
      for (const topic of asked) if (!this.#unproved.has(topic) && this.#sent.get(topic) === UNKNOWN) this.forget(topic)
    }
  }

  /** Notes that what was sent last at QoS 0 may not have arrived: the connection is lost. */
  doubt(): void {
    for (const topics of [this.#unproved, this.#asked]) for (const topic of topics) this.#sent.set(topic, UNKNOWN)
    this.#unproved = new Set()
    this.#asked = new Set()
  }
}
