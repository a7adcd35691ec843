/**
 * Changes of a client's settings: in a CONNECT, a SUBSCRIBE or a DISCONNECT. Of use for coverage only.
 */
import type { ModelConnection, ModelSession, Subscription } from './state.ts'
import { matchesFilter } from './topics.ts'
import type { ConnectIn } from './types.ts'

/** A CONNECT that finds a session. */
export function changesOfConnect(session: ModelSession, connection: ModelConnection, connect: ConnectIn): string[] {
  const before = session.connect
  const changed: string[] = []
  if (session.connection !== null) changed.push('takeover')
  if (before === null) return changed.map((name) => `connect.${name}`)
  if (before.version !== connect.version) changed.push('version')
  if (connect.cleanStart) changed.push('clean-start')
  if (session.expiry > 0 && connect.expirySeconds === 0) changed.push('expiry-0')
  else if (session.expiry !== connect.expirySeconds) changed.push('expiry')
  if (before.receiveMaximum > connect.receiveMaximum) changed.push('receive-maximum-down')
  if (before.receiveMaximum < connect.receiveMaximum) changed.push('receive-maximum-up')
  if (before.maximumPacketSize !== connect.maximumPacketSize) changed.push('maximum-packet-size')
  if (before.topicAliasMaximum !== connect.topicAliasMaximum) changed.push('topic-alias-maximum')
  if (before.wantsProblems !== connect.wantsProblems) changed.push('problem-information')
  if (before.wantsResponses !== connect.wantsResponses) changed.push('response-information')
  if (before.keepAliveSeconds !== connect.keepAliveSeconds) changed.push('keep-alive')
  if (session.listener !== connection.listener) changed.push('listener')
  if (before.username !== connect.username) changed.push('user')
  if (JSON.stringify(before.will) !== JSON.stringify(connect.will)) changed.push('will')
  if (before.hasMethod !== connect.hasMethod) changed.push('method')
  return (changed.length === 0 ? ['same'] : changed).map((name) => `connect.${name}`)
}

/** `topics`: those on which something has been published. */
export function changesOfSubscription(
  before: Subscription | undefined,
  now: Subscription,
  others: readonly Subscription[],
  sendsRetained: boolean,
  topics: ReadonlySet<string>,
): string[] {
  const changed: string[] = []
  if (sendsRetained) changed.push('sends-retained')
  if (before === undefined) {
    changed.push('new')
    const overlapping = others.filter((other) => isOverlapping(other, now, topics))
    if (overlapping.some(({ shareName }) => (shareName === null) === (now.shareName === null)))
      changed.push('overlapping')
    if (overlapping.some(({ shareName }) => (shareName === null) !== (now.shareName === null)))
      changed.push('shared-and-not')
  } else {
    const same = changed.length
    if (before.qos < now.qos) changed.push('qos-up')
    if (before.qos > now.qos) changed.push('qos-down')
    if (before.noLocal !== now.noLocal) changed.push('no-local')
    if (before.retainAsPublished !== now.retainAsPublished) changed.push('retain-as-published')
    if (before.identifier !== now.identifier) changed.push(now.identifier === 0 ? 'identifier-dropped' : 'identifier')
    if (changed.length === same) changed.push('same')
  }
  return changed.map((name) => `subscribe.${name}`)
}

function isOverlapping(one: Subscription, other: Subscription, topics: ReadonlySet<string>): boolean {
  for (const topic of topics) if (matchesFilter(one.filter, topic) && matchesFilter(other.filter, topic)) return true
  return false
}
