/**
 * Limits that the server has given in its CONNACK, checked before a message is sent: a server may end the connection of
 * a client that goes over them.
 *
 * Called by `publisher.ts`. Sources: MQTT 5.0 sections 3.2.2.3.4 to 3.2.2.3.6.
 */
import { NO_PROPERTIES, type Properties, type QoS } from '@recado/protocol'
import { NotSupportedError } from './errors.ts'

const PAYLOAD_MAX = 268_000_000

/** Checks a message against the properties of CONNACK. Throws `NotSupportedError`. */
export function checkServerLimits(
  limits: Properties,
  topicField: Uint8Array,
  payload: Uint8Array,
  qos: QoS,
  retain: boolean,
  propertyField: Uint8Array,
): void {
  if (payload.length > PAYLOAD_MAX)
    throw new NotSupportedError(
      `the payload has ${payload.length} bytes; MQTT has no packet that long. Publish it in parts`,
    )
  if (limits === NO_PROPERTIES) return
  if (limits.maximumQoS !== undefined && qos > limits.maximumQoS) {
    throw refused(`the message has QoS ${qos}; this server takes at most ${limits.maximumQoS}`, 'maximumQoS') // [MQTT-3.2.2-11]
  }
  if (retain && limits.retainAvailable === false) {
    throw refused('the message has retain, but this server has no retained messages', 'retainAvailable') // [MQTT-3.2.2-14]
  }
  const { maximumPacketSize } = limits
  if (maximumPacketSize === undefined) return
  // Most bytes that header, Packet Identifier and a Topic Alias can add.
  const size = topicField.length + propertyField.length + payload.length + 12
  if (size > maximumPacketSize) {
    throw refused(`the packet has ${size} bytes; this server takes at most ${maximumPacketSize}`, 'maximumPacketSize') // [MQTT-3.2.2-15]
  }
}

const refused = (message: string, limit: NotSupportedError['limit']): NotSupportedError =>
  new NotSupportedError(message, undefined, limit)
