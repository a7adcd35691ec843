/**
 * `$SYS` and `$CONTROL`, and the topics below them, are the broker's own: no client publishes there, whatever it is allowed, by PUBLISH or by a Will. The
 * embedding program may (`broker.publish`).
 *
 * The one exception is what a bridge says of its connection, `$SYS/broker/connection/ID/state`. Where somebody has configured who may publish
 * what, that decides; else it is taken from bridges of Mosquitto's kind (bit 7 of the protocol level) and from a client whose own Client
 * Identifier is ID: a bridge of MQTT 5.0 has no such bit.
 *
 * Asked at every way into the broker: PUBLISH, the Will of a CONNECT, and again when a Will is published, also one that the store
 * had. Each asks `isReserved` first, whoever decides afterwards.
 */
import type { ClientInfo } from '../../ports.ts'

const CONNECTION_STATE = /^\$SYS\/broker\/connection\/([^/]+)\/state$/
const DOLLAR = 0x24

/** True: no client may publish there. */
export function isReserved(topic: string): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return false
  if (topic.startsWith('$CONTROL/') || topic === '$CONTROL') return true
  return (topic.startsWith('$SYS/') || topic === '$SYS') && !CONNECTION_STATE.test(topic)
}

/** True: this client may not publish there, where nobody has configured who may publish what. */
export function isReservedFor(client: ClientInfo, topic: string): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return false
  if (isReserved(topic)) return true
  const id = CONNECTION_STATE.exec(topic)?.[1]
  return id !== undefined && !(client.isBridge || id === client.clientId)
}
