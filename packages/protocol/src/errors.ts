/**
 * The errors of the protocol layer. One table, `errorCodes`, names every `code`; docs/errors.md is generated from it.
 *
 * `MqttError` is what all packages throw for a foreseen failure; `ProtocolError` is the other side's fault and
 * carries the Reason Code (MQTT 5.0 section 4.13) that the connection is to be ended with.
 */
import { type ReasonCode, reasonCodeName } from './reason-codes.ts'

/** Every `code` that this package throws, with what it means and what to do. */
export const errorCodes = {
  ERR_MQTT_PROTOCOL: 'The other side broke the protocol. `reasonCode` and `message` say how.',
  ERR_MQTT_TOPIC_NAME: 'Not a Topic Name: it is empty, too long, or has `+`, `#`, U+0000 or a lone surrogate.',
  ERR_MQTT_TOPIC_FILTER: 'Not a Topic Filter: it is empty, too long, or has `+`, `#` or `$share` in a wrong place.',
  ERR_MQTT_ENCODE:
    'A packet cannot be written: a value is out of its range or over a limit. `message` names the field.',
  ERR_MQTT_OPTION: 'An option, argument or URL is not valid. `message` names it and says what is allowed.',
  ERR_MQTT_PACKET_IDS: 'All 65,535 Packet Identifiers are in flight. Wait for acknowledgements.',
} as const

/** Foreseen failure. `code` is stable, `message` is for people. */
export class MqttError extends Error {
  // `new.target.name` would not do: a minified build gives classes other names.
  override name: string = 'MqttError'
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Error of the other side, which broke the protocol; `reasonCode` is the answer that MQTT 5.0 section 4.13 gives. */
export class ProtocolError extends MqttError {
  override name: string = 'ProtocolError'
  readonly reasonCode: ReasonCode
  /** Message without the name of the Reason Code, for places that show that name beside it. */
  readonly detail: string
  constructor(reasonCode: ReasonCode, detail: string) {
    super('ERR_MQTT_PROTOCOL', `${reasonCodeName(reasonCode)}: ${detail}`)
    this.reasonCode = reasonCode
    this.detail = detail
  }
}

/** Error for an option, an argument or a URL that cannot be used. */
export class OptionError extends MqttError {
  override name: string = 'OptionError'
  constructor(message: string) {
    super('ERR_MQTT_OPTION' satisfies keyof typeof errorCodes, message)
  }
}
