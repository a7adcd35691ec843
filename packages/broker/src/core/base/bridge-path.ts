/**
 * The path of a message over bridges: a User Property with the identities of the brokers that have sent it on.
 *
 * A bridge of MQTT 5.0 puts it on; `handlePublish` and bridges look whether a message has been at this broker before.
 * Invariant: a message that comes back to a broker on its path is not taken a second time.
 */
import type { Properties } from '@recado/protocol'

/** Name of the User Property. Its value is identities with commas between them, the first broker first. */
export const PATH_PROPERTY = 'recado-path'

/** Returns the path of a message; '' when it has none. */
export function pathOf({ userProperties }: Properties): string {
  if (userProperties === undefined) return ''
  for (const [name, value] of userProperties) if (name === PATH_PROPERTY) return value
  return ''
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
