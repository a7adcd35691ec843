/**
 * The path of a message over bridges: a User Property with the identities of the brokers that have sent it on.
 *
 * A bridge of MQTT 5.0 puts it on; `handlePublish` and bridges look whether a message has been at this broker before.
 * Invariant: a message that comes back to a broker on its path is not taken a second time. So the identity of a broker
 * is in its store, and outlives the process and the sessions of its bridges.
 */
import { type Properties, type PropertySource, userPropertyOf } from '@recado/protocol'
import { type Store, Table } from '../../ports.ts'

/** Key of the identity of this broker, in the table Meta. */
export const IDENTITY_KEY = 2

/** Returns the identity that this broker has used before; null when there is none. */
export function storedIdentity(store: Store): string | null {
  const bytes = store.get(Table.Meta, IDENTITY_KEY, 0, 0)
  return bytes === undefined || bytes.length === 0 ? null : new TextDecoder().decode(bytes)
}

/** Name of the User Property. Its value is identities with commas between them, the first broker first. */
export const PATH_PROPERTY = 'recado-path'

/** Returns the path of a message; '' when it has none. */
export function pathOf({ userProperties }: Properties): string {
  if (userProperties === undefined) return ''
  for (const [name, value] of userProperties) if (name === PATH_PROPERTY) return value
  return ''
}

const PATH_PROPERTY_BYTES = new TextEncoder().encode(PATH_PROPERTY)

/** Returns the path of a PUBLISH; '' when it has none. Its properties are not decoded for that. */
export function pathOfPublish({ properties, rawProperties, buffer, payloadStart }: PropertySource): string {
  if (rawProperties === null) return pathOf(properties)
  if (!rawProperties.hasUserProperties) return ''
  const value = userPropertyOf(rawProperties, buffer, payloadStart - rawProperties.fieldBytes, PATH_PROPERTY_BYTES)
  return value === null ? '' : new TextDecoder().decode(buffer.subarray(value.start, value.end))
}

/** Whether the broker with this identity is on a path. */
export function isOnPath(path: string, identity: string): boolean {
  return path !== '' && path.split(',').includes(identity)
}

/** Properties with another path; '' takes it off. */
export function withPath(properties: Properties, path: string): Properties {
  const others = (properties.userProperties ?? []).filter(([name]) => name !== PATH_PROPERTY)
  const { userProperties: _, ...rest } = properties
  const userProperties: [string, string][] = path === '' ? others : [...others, [PATH_PROPERTY, path]]
  return userProperties.length === 0 ? rest : { ...rest, userProperties }
}
