/**
 * An Application Message as the application gets it, and the `Delivery` that its acknowledgement waits on.
 *
 * A message shares the memory of the chunk in which it arrived; `payload` and `text()` make of it what is asked for, when it
 * is asked for. Whoever keeps small messages for long copies `payload` (`.slice()`), so that the chunk can go.
 */
import type { Properties, Publish, QoS, ReasonCode } from '@recado/protocol'

/** The acknowledgement of a QoS 1 or 2 message. Made and sent by `Inbox`; subscriptions hold it until they are done. */
export interface Delivery {
  /** One more subscription is not done with the message when `deliver` returns. */
  hold(): void
  /** As `hold`, until `acknowledge` is called: only once, however many subscriptions with manual acknowledgement there are. */
  holdForManual(): void
  /** One subscription that held it is done with the message. */
  release(): void
  /** The application acknowledges. Reason Codes of 0x80 and above refuse the message (5.0). */
  acknowledge(reasonCode: ReasonCode, properties: Properties): void
}

const decoder = new TextDecoder()

/** For subscriptions: what holds the acknowledgement of `message`; `null` at QoS 0. */
export let deliveryOf: (message: Message) => Delivery | null

export class Message {
  static {
    deliveryOf = (message) => message.#delivery
  }

  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  /** It may have come before (only a hint: the server sends it again). */
  readonly dup: boolean
  /** 0 at QoS 0. */
  readonly packetId: number
  /** `NO_PROPERTIES` before 5.0. `topicAlias` is resolved and of no more interest. */
  readonly properties: Properties
  readonly #buffer: Uint8Array
  readonly #start: number
  readonly #end: number
  readonly #delivery: Delivery | null

  constructor(publish: Publish, delivery: Delivery | null) {
    this.topic = publish.topic
    this.qos = publish.qos
    this.retain = publish.retain
    this.dup = publish.dup
    this.packetId = publish.packetId
    this.properties = publish.properties
    this.#buffer = publish.buffer
    this.#start = publish.payloadStart
    this.#end = publish.payloadEnd
    this.#delivery = delivery
  }

  /** The bytes of the payload. Do not write to them: other messages may share the memory. */
  get payload(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end)
  }

  get payloadLength(): number {
    return this.#end - this.#start
  }

  /** The payload as UTF-8; ill-formed sequences become U+FFFD. */
  text(): string {
    return decoder.decode(this.#buffer.subarray(this.#start, this.#end))
  }

  /** The payload as JSON. Throws `SyntaxError`. */
  json(): unknown {
    return JSON.parse(this.text())
  }

  /**
   * Acknowledges, for a subscription with `ack: 'manual'`. The acknowledgement goes out when those of all earlier
   * messages have [MQTT-4.6.0-2] [MQTT-4.6.0-3]. No effect at QoS 0, a second time, or when the connection on which a
   * QoS 1 message came is gone (the server sends it again).
   */
  ack(reasonCode: ReasonCode = 0, properties: Properties = {}): void {
    this.#delivery?.acknowledge(reasonCode, properties)
  }
}
