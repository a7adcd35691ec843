/**
 * `$SYS` and the topics below it are the broker's own, but for what a bridge says of its connection.
 *
 * Asked where nobody has configured who may publish what, for PUBLISH and for Wills. The state of a connection,
 * `$SYS/broker/connection/ID/state`, is taken from bridges of Mosquitto's kind (bit 7 of the protocol level) and from a client whose
 * own Client Identifier is ID: a bridge of MQTT 5.0 has no such bit.
 */
import type { ClientInfo } from '../ports.ts'

const CONNECTION_STATE = /^\$SYS\/broker\/connection\/([^/]+)\/state$/

/** True: this client may not publish there. */
export function isReservedFor(client: ClientInfo, topic: string): boolean {
  if (!topic.startsWith('$SYS') || (topic.length > 4 && topic[4] !== '/')) return false
  const id = CONNECTION_STATE.exec(topic)?.[1]
  return id === undefined || !(client.isBridge || id === client.clientId)
}
