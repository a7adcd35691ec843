/** Copy of what policy asks about a client, for the time when its connection is gone: nothing of its transport is in it. */
import type { ClientInfo, Grants } from '../../ports.ts'

export function clientInfoOf(client: ClientInfo): ClientInfo {
  const { clientId, username, protocolVersion, isBridge, remoteAddress, listener, peer, grants } = client
  return { clientId, username, protocolVersion, isBridge, remoteAddress, listener, peer, grants, memo: null }
}

/** Stands in the place of the listener of a bridge of this broker, which may publish what it brings. No listener has it. */
export const BRIDGE_LISTENER = '$bridge'

/** Stands in the place of rights that came with a login and could not be kept: nothing can be said about them. */
export const UNKNOWN_GRANTS: unique symbol = Symbol('unknown grants')

/** Rights as tokens and webhooks bring them, not an embedder's own. */
export function isGrants(grants: unknown): grants is Grants {
  if (typeof grants !== 'object' || grants === null) return false
  const { publish, subscribe } = grants as Partial<Grants>
  return isListOfTexts(publish) && isListOfTexts(subscribe)
}

function isListOfTexts(list: unknown): boolean {
  return Array.isArray(list) && list.every((each) => typeof each === 'string')
}

/** Every login brings its own; the routes need not be made anew when they say the same. */
export function isSameGrants(one: unknown, other: unknown): boolean {
  if (one === other) return true
  const [a, b] = [one, other] as Partial<Grants | undefined>[]
  const isSameList = (x: unknown, y: unknown): boolean =>
    Array.isArray(x) && Array.isArray(y) && x.length === y.length && x.every((each, i) => each === y[i])
  return isSameList(a?.publish, b?.publish) && isSameList(a?.subscribe, b?.subscribe)
}
