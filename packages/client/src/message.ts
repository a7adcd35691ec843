/**
 * An Application Message as the application gets it, and the `Delivery` that its acknowledgement waits on.
 *
 * A message shares the memory of the chunk in which it arrived; `payload` and `text()` make of it what is asked for, when it
 * is asked for. Whoever keeps small messages for long copies `payload` (`.slice()`), so that the chunk can go.
 */
import { check, PacketType, type Properties, type QoS, type ReasonCode } from '@recado/protocol'
import { propertiesOf, reasonCodeOf } from './arguments.ts'
import { PayloadError } from './errors.ts'
import type { TopicPattern } from './topic-pattern.ts'

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
const ackReasonCode = reasonCodeOf(PacketType.PUBACK)
const ackProperties = propertiesOf(PacketType.PUBACK)

/** What a message is made of; `Publish` fits. */
interface Source {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly packetId: number
  readonly properties: Properties
  readonly buffer: Uint8Array
  readonly payloadStart: number
  readonly payloadEnd: number
}

/** What one subscription with parameters or `decode` adds to a message that others may have as well. */
interface View {
  readonly patterns: readonly TopicPattern[]
  params: Readonly<Record<string, string>> | null
  /** `undefined` until `setValue`: then the value is the payload. */
  value: unknown
  isDecoded: boolean
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

/** For subscriptions: what holds the acknowledgement of `message`; `null` at QoS 0. */
export let deliveryOf: (message: Message) => Delivery | null
/** For subscriptions: the message with parameters by the first pattern that matches, and with room for a value. */
export let viewOf: (message: Message, patterns: readonly TopicPattern[]) => Message
/** For `PayloadDecoder`: what `value` of a message made by `viewOf` is to be. */
export let setValue: (message: Message, value: unknown) => void

/** No parameters: the Topic Filter has none. */
export type NoParams = Readonly<Record<never, string>>

/** An Application Message. `Params` and `Value` follow from the Topic Filter and `decode` of the subscription. */
export class Message<Params = NoParams, Value = Uint8Array> {
  static {
    deliveryOf = (message) => message.#delivery
    viewOf = (message, patterns) => {
      const { topic, qos, retain, dup, packetId, properties } = message
      const payload = { buffer: message.#buffer, payloadStart: message.#start, payloadEnd: message.#end }
      const view: View = { patterns, params: null, value: undefined, isDecoded: false }
      return new Message({ topic, qos, retain, dup, packetId, properties, ...payload }, message.#delivery, view)
    }
    setValue = (message, value) => {
      message.#view!.value = value
      message.#view!.isDecoded = true
    }
  }

  /** Topic Name. */
  readonly topic: string
  /** That it came with: the lower one of the publisher's and the subscription's. */
  readonly qos: QoS
  /** It was kept by the server (and with `retainAsPublished`: the publisher set RETAIN). */
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
  readonly #view: View | null

  /** For `Inbox`; applications get messages, and make none. */
  constructor(source: Source, delivery: Delivery | null, view: View | null = null) {
    this.topic = source.topic
    this.qos = source.qos
    this.retain = source.retain
    this.dup = source.dup
    this.packetId = source.packetId
    this.properties = source.properties
    this.#buffer = source.buffer
    this.#start = source.payloadStart
    this.#end = source.payloadEnd
    this.#delivery = delivery
    this.#view = view
  }

  /** What `:name` and `#name` of the Topic Filter stand for in this topic. */
  get params(): Params {
    const view = this.#view
    if (view === null) return NO_PARAMS as Params
    if (view.params === null) {
      const { patterns } = view
      const pattern = patterns.length === 1 ? patterns[0] : patterns.find((each) => each.matches(this.topic))
      view.params = pattern?.paramsOf(this.topic) ?? NO_PARAMS
    }
    return view.params as Params
  }

  /** The payload as `decode` of the subscription makes it; without, the bytes. */
  get value(): Value {
    return (this.#view?.isDecoded ? this.#view.value : this.payload) as Value
  }

  /** The bytes of the payload. Do not write to them: other messages may share the memory. */
  get payload(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end)
  }

  /** In bytes. */
  get payloadLength(): number {
    return this.#end - this.#start
  }

  /** The payload as UTF-8; ill-formed sequences become U+FFFD. */
  text(): string {
    return decoder.decode(this.#buffer.subarray(this.#start, this.#end))
  }

  /** The payload as JSON. Throws `PayloadError`; a handler need not catch it: it counts as an invalid message. */
  json(): unknown {
    try {
      return JSON.parse(this.text())
    } catch (cause) {
      throw new PayloadError(this.topic, this.payloadLength === 0 ? 'is empty, not JSON' : 'is not JSON', [], cause)
    }
  }

  /**
   * Acknowledges, for a subscription with `ack: 'manual'`. The acknowledgement goes out when those of all earlier
   * messages have [MQTT-4.6.0-2] [MQTT-4.6.0-3]. No effect at QoS 0, a second time, or when the connection on which a
   * QoS 1 message came is gone (the server sends it again).
   */
  ack(reasonCode: ReasonCode = 0, properties: Properties = {}): void {
    check('reasonCode', reasonCode, ackReasonCode)
    check('properties', properties, ackProperties)
    this.#delivery?.acknowledge(reasonCode, properties)
  }
}
