/**
 * A client that publishes and deletes retained messages on topics of its own, and one that reads all that a broker has.
 *
 * Used by `run.ts`. Invariant: one message is in flight at a time, so that `expected` is what the broker must have as
 * soon as `isIdle`.
 */
import { type Connack, type Packet, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { SessionClient } from '../crash/session-client.ts'

const READ_ID = 1

export class RetainedWriter extends SessionClient {
  topics: readonly string[] = []
  /** Payloads that are acknowledged, by topic; a deleted one is absent. */
  readonly expected: Map<string, string> = new Map()
  #number = 0
  #inFlight: { topic: string; payload: string } | null = null
  #budget = 0

  get isIdle(): boolean {
    return this.#inFlight === null
  }

  allow(messages: number): void {
    this.#budget = messages
  }

  tick(): void {
    if (!this.isConnected || this.#inFlight !== null || this.#budget <= 0) return
    this.#budget--
    const topic = this.topics[this.random.between(0, this.topics.length - 1)]!
    const payload = this.random.chance(0.3) ? '' : `${this.clientId} ${++this.#number}`
    this.#inFlight = { topic, payload }
    this.#send(false)
  }

  #send(dup: boolean): void {
    const { topic, payload } = this.#inFlight!
    this.send(Publish.of({ topic, payload: Buffer.from(payload), qos: 1, packetId: 1, retain: true, dup }))
  }

  protected override resume(isSessionPresent: boolean, _connack: Connack): void {
    if (this.#inFlight !== null) this.#send(isSessionPresent)
  }

  protected override discardSession(): void {}
  protected override forgetConnection(): void {}

  protected override handle(packet: Packet): void {
    if (!(packet instanceof Puback) || this.#inFlight === null) {
      this.fault(`a packet of type ${packet.type} for a writer of retained messages`)
      return
    }
    const { topic, payload } = this.#inFlight
    if (packet.reasonCode < 0x80) {
      if (payload === '') this.expected.delete(topic)
      else this.expected.set(topic, payload)
    }
    this.#inFlight = null
  }
}

/** Reads retained messages below a Topic Filter, for as long as it is connected. */
export class RetainedReader extends SessionClient {
  topicFilter = '#'
  /** Payloads by topic, as they are now. */
  readonly seen: Map<string, string> = new Map()

  protected override get keepsSession(): boolean {
    return false
  }

  protected override connectOptions(): { cleanStart: boolean } {
    return { cleanStart: true }
  }

  protected override resume(): void {
    this.seen.clear()
    const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    this.send(new Subscribe(READ_ID, [{ topicFilter: this.topicFilter, ...options }]))
  }

  protected override discardSession(): void {}
  protected override forgetConnection(): void {}

  protected override handle(packet: Packet): void {
    if (packet instanceof Publish) {
      const payload = Buffer.from(packet.payload).toString()
      if (payload === '') this.seen.delete(packet.topic)
      else this.seen.set(packet.topic, payload)
      if (packet.qos === 1) this.send(new Puback(packet.packetId))
    } else if (!(packet instanceof Suback)) this.fault(`a packet of type ${packet.type} for a reader`)
  }
}
