/**
 * `$SYS` and `$CONTROL`, and the topics below them, are the broker's own: no client may publish there, whatever its
 * rights, by PUBLISH or by a Will. The embedding program may (`broker.publish`).
 *
 * The one exception is the state that a bridge publishes, `$SYS/broker/connection/ID/state`. Where rights to publish
 * are configured, they decide; else it is accepted from bridges of Mosquitto's kind (bit 7 of the protocol level) and
 * from a client whose own Client Identifier is ID: a bridge of MQTT 5.0 has no such bit.
 *
 * Checked at every way into the broker: PUBLISH, the Will of a CONNECT, and again when a Will is published, also one
 * from the store. Each calls `isReserved` first, whatever decides afterwards.
 *
 * Two kinds of rights reserve more, and never less: grants also `$share` (`isReservedForGrants`), ACL files also all
 * that begins with `$SYS` or `$share`, as Mosquitto's do (`isReservedInAclFiles` in `adapters/acl/rules.ts`; an adapter
 * imports nothing of the core). `reserved-topics.test.ts` compares all forms.
 */
import type { ClientInfo } from '../../ports.ts'

const CONNECTION_STATE = /^\$SYS\/broker\/connection\/([^/]+)\/state$/
const DOLLAR = 0x24

/** Returns true for the topic of a bridge's state. */
export const isConnectionState = (topic: string): boolean => CONNECTION_STATE.test(topic)

/** Returns true for a topic to which no client may publish. */
export function isReserved(topic: string): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return false
  if (topic.startsWith('$CONTROL/') || topic === '$CONTROL') return true
  return (topic.startsWith('$SYS/') || topic === '$SYS') && !CONNECTION_STATE.test(topic)
}

/** Returns true for a topic to which this client may not publish where no rights are configured. */
export function isReservedFor(client: ClientInfo, topic: string): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return false
  if (isReserved(topic)) return true
  const id = CONNECTION_STATE.exec(topic)?.[1]
  return id !== undefined && !(client.isBridge || id === client.clientId)
}

/**
 * Returns true for a topic to which this client may not publish, whatever a token or a webhook grants it: also `$share`
 * and the topics below it, which look like Shared Subscriptions and would be granted by a filter for these.
 */
export function isReservedForGrants(client: ClientInfo, topic: string): boolean {
  return isReservedFor(client, topic) || topic === '$share' || topic.startsWith('$share/')
}
