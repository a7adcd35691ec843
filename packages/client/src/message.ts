/**
 * An Application Message as the application gets it, and the `Delivery` that its acknowledgement waits for.
 *
 * A message shares the memory of the chunk in which it arrived; `payload` and `text()` make their values only when
 * asked. To keep a small message for long, copy its `payload` (`.slice()`), so that the chunk can be freed.
 */
import { check, PacketType, type Properties, type QoS, type ReasonCode } from '@recado/protocol'
import { propertiesOf, reasonCodeOf } from './arguments.ts'
import { PayloadError } from './errors.ts'
import type { TopicPattern } from './topic-pattern.ts'

/** Acknowledgement of a QoS 1 or 2 message. Made and sent by `Inbox`; subscriptions hold it until they are done. */
export interface Delivery {
  /** Adds a holder: a subscription that is not done with the message when `deliver` returns. */
  hold(): void
  /** Adds a holder until `acknowledge` is called: only one, however many subscriptions have manual acknowledgement. */
  holdForManual(): void
  /** Removes a holder: a subscription that is done with the message. */
  release(): void
  /** Acknowledges for the application. Reason Codes of 0x80 and above refuse the message (5.0). */
  acknowledge(reasonCode: ReasonCode, properties: Properties): void
}

const decoder = new TextDecoder()
const ackReasonCode = reasonCodeOf(PacketType.PUBACK)
const ackProperties = propertiesOf(PacketType.PUBACK)

/** Fields that a message is made from; `Publish` fits. */
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

/** Fields that a subscription with parameters or `decode` adds to a message, which other subscriptions may share. */
interface View {
  readonly patterns: readonly TopicPattern[]
  params: Readonly<Record<string, string>> | null
  /** Value; `undefined` until `setValue` is called, and `value` is the payload until then. */
  value: unknown
  isDecoded: boolean
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

/** Returns the delivery that holds the acknowledgement of `message`; `null` at QoS 0. For subscriptions. */
export let deliveryOf: (message: Message) => Delivery | null
/**
 * Returns the message with the parameters of the first pattern that matches, and with room for a value. For
 * subscriptions.
 */
export let viewOf: (message: Message, patterns: readonly TopicPattern[]) => Message
/** Sets `value` of a message made by `viewOf`. For `PayloadDecoder`. */
export let setValue: (message: Message, value: unknown) => void

/** Type of the parameters of a Topic Filter that has none. */
export type NoParams = Readonly<Record<never, string>>

/** Application Message. `Params` and `Value` follow from the Topic Filter and `decode` of the subscription. */
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
  /** QoS of the delivery: the lower one of the publisher's and the subscription's. */
  readonly qos: QoS
  /** Whether the server had kept the message (with `retainAsPublished`: whether the publisher set RETAIN). */
  readonly retain: boolean
  /** Whether the server sends the message again: a hint that it may have come before. */
  readonly dup: boolean
  /** Packet Identifier; 0 at QoS 0. */
  readonly packetId: number
  /**
   * Properties of the PUBLISH; `NO_PROPERTIES` before 5.0. `topicAlias` has been resolved and means nothing any more.
   */
  readonly properties: Properties
  readonly #buffer: Uint8Array
  readonly #start: number
  readonly #end: number
  readonly #delivery: Delivery | null
  readonly #view: View | null

  /** Constructor for `Inbox`; applications do not make messages. */
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

  /** Parameters: the levels that match `:name` and `#name` of the Topic Filter. */
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

  /** Payload as `decode` of the subscription converts it; without `decode` the bytes. */
  get value(): Value {
    return (this.#view?.isDecoded ? this.#view.value : this.payload) as Value
  }

  /** Bytes of the payload. Do not write to them: other messages may share the memory. */
  get payload(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end)
  }

  /** Length of the payload in bytes. */
  get payloadLength(): number {
    return this.#end - this.#start
  }

  /** Returns the payload as text; ill-formed UTF-8 sequences become U+FFFD. */
  text(): string {
    return decoder.decode(this.#buffer.subarray(this.#start, this.#end))
  }

  /**
   * Parses the payload as JSON. Throws `PayloadError`; a handler need not catch it: the message then counts as invalid.
   */
  json(): unknown {
    try {
      return JSON.parse(this.text())
    } catch (cause) {
      throw new PayloadError(this.topic, this.payloadLength === 0 ? 'is empty, not JSON' : 'is not JSON', [], cause)
    }
  }

  /**
   * Acknowledges the message, for a subscription with `ack: 'manual'`. The acknowledgement goes out after those of all
   * earlier messages [MQTT-4.6.0-2] [MQTT-4.6.0-3]. Has no effect at QoS 0, a second time, or when the connection on
   * which a QoS 1 message came is gone (the server sends it again).
   */
  ack(reasonCode: ReasonCode = 0, properties: Properties = {}): void {
    check('reasonCode', reasonCode, ackReasonCode)
    check('properties', properties, ackProperties)
    this.#delivery?.acknowledge(reasonCode, properties)
  }
}
