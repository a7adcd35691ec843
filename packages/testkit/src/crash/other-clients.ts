/**
 * Two clients of a crash run without messages: one subscribes and unsubscribes all the time, one only connects.
 *
 * After each reconnect a `SubscriptionToggler` checks the last SUBACK or UNSUBACK: UNSUBSCRIBE tells whether there is a
 * subscription. It rests after each answer, so that a kill finds it in a known state. A `SessionCreator` makes a
 * durable session, which must be there once CONNACK has come (`SessionClient` checks it).
 */
import { type Packet, Suback, Subscribe, Unsuback, Unsubscribe } from '@recado/protocol'
import { SessionClient } from './session-client.ts'

const FILTER = 'side/+'
const NO_SUBSCRIPTION = 0x11
const REST_MS = 30

export class SubscriptionToggler extends SessionClient {
  /** State by the last answer; null when a change was asked for and not answered. */
  #isSubscribed: boolean | null = false
  /** State when UNSUBSCRIBE was sent. */
  #expected: boolean | null = null
  #packetId = 0
  #timer: NodeJS.Timeout | undefined

  protected override resume(): void {
    this.#unsubscribe()
  }

  protected override discardSession(): void {
    this.#isSubscribed = false
  }

  protected override forgetConnection(): void {
    clearTimeout(this.#timer)
  }

  protected override handle(packet: Packet): void {
    if (packet instanceof Suback) {
      const [code] = packet.reasonCodes
      if (code !== 1 && !this.mayBeRefused) this.fault(`SUBACK ${code} for ${FILTER}`)
      this.#isSubscribed = code === 1 ? true : null
      this.#rest(() => this.#unsubscribe())
    } else if (packet instanceof Unsuback) {
      const [code] = packet.reasonCodes
      const wasSubscribed = code !== NO_SUBSCRIPTION
      if (code !== undefined && code >= 0x80) {
        if (!this.mayBeRefused) this.fault(`UNSUBACK ${code} for ${FILTER}`)
        this.#rest(() => this.#unsubscribe())
        return
      }
      if (this.#expected !== null && this.#expected !== wasSubscribed)
        this.fault(`it was told that it is ${this.#expected ? '' : 'not '}subscribed, and UNSUBACK says the contrary`)
      this.#isSubscribed = false
      this.#rest(() => this.#subscribe())
    } else {
      this.fault(`a packet of type ${packet.type} for a client that only subscribes`)
    }
  }

  #rest(then: () => void): void {
    this.#timer = setTimeout(then, this.random.between(1, REST_MS))
  }

  #unsubscribe(): void {
    this.#expected = this.#isSubscribed
    this.#isSubscribed = null
    this.send(new Unsubscribe(this.#nextId(), [FILTER]))
  }

  #subscribe(): void {
    this.#isSubscribed = null
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
    this.send(new Subscribe(this.#nextId(), [{ topicFilter: FILTER, qos: 1, ...options }]))
  }

  #nextId(): number {
    this.#packetId = (this.#packetId % 65_535) + 1
    return this.#packetId
  }
}

export class SessionCreator extends SessionClient {
  protected override resume(): void {}
  protected override discardSession(): void {}
  protected override forgetConnection(): void {}

  protected override handle(packet: Packet): void {
    this.fault(`a packet of type ${packet.type} for a client that does nothing`)
  }
}
