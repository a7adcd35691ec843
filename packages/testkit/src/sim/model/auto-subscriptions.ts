/**
 * Subscriptions that the broker makes for each client that it lets in, from docs/topics.md: as if the client had asked
 * for them, but without a SUBACK, so that nothing promises them before they are on the disk. What the session has
 * already stays as it is.
 */
import type { Model } from './model.ts'
import type { ModelConnection } from './state.ts'
import { makeSubscription, refusalToSubscribe } from './subscriptions.ts'
import { mountedFilter } from './topics.ts'
import type { FilterIn } from './types.ts'

/** The client has been let in: its subscriptions are due in this turn, those of them that the policy is asked about later. */
export function beginAutoSubscriptions(model: Model, connection: ModelConnection): void {
  const { session, connect, settings } = connection
  if (session === null || connection.state !== 'open') return
  for (const filter of model.settings.autoSubscriptions) {
    const text = namedFilter(filter.topicFilter, connect!.clientId, connect!.username)
    if (text === null) continue
    const topicFilter = mountedFilter(settings.mountPoint, text)
    if (session.liveSubscriptions.some((each) => each.topicFilter === topicFilter)) model.cover('auto.kept')
    else connection.autosDue.push({ ...filter, topicFilter })
  }
  if (!model.settings.asksSubscriptions) endAutoSubscriptions(model, connection)
}

/**
 * The policy is asked about a Topic Filter. Returns whether it is that of a subscription of the broker's own; those
 * before it must have been refused for a limit.
 */
export function isAutoAsked(model: Model, connection: ModelConnection, topicFilter: string): boolean {
  const at = connection.autosDue.findIndex((each) => each.topicFilter === topicFilter)
  if (at < 0) return false
  for (const skipped of connection.autosDue.splice(0, at)) checkRefused(model, connection, skipped)
  return true
}

/** The policy has decided about the first that is due. */
export function decideAuto(model: Model, connection: ModelConnection, isAllowed: boolean): void {
  const filter = connection.autosDue.shift()
  if (filter === undefined || connection.session === null) return
  if (isAllowed) make(model, connection, filter)
  else model.cover('auto.denied')
}

/** Nobody is asked any more: what is left is made, or was refused for a limit if somebody would have had to be asked. */
export function endAutoSubscriptions(model: Model, connection: ModelConnection): void {
  const left = connection.autosDue.splice(0)
  if (connection.session === null || connection.state !== 'open') return
  for (const filter of left) {
    if (model.settings.asksSubscriptions) checkRefused(model, connection, filter)
    else if (refusalToSubscribe(model, connection, filter.topicFilter) === 0) make(model, connection, filter)
    else model.cover('auto.refused')
  }
}

function make(model: Model, connection: ModelConnection, filter: FilterIn): void {
  model.seq++
  model.cover('auto.made')
  makeSubscription(model, connection, connection.session!, filter, 0)
}

function checkRefused(model: Model, connection: ModelConnection, { topicFilter }: FilterIn): void {
  model.cover('auto.refused')
  if (refusalToSubscribe(model, connection, topicFilter) === 0)
    model.fail('acknowledgements', `${connection.name}: the broker does not subscribe it to ${topicFilter}`)
}

/** Topic Filter with the names of a client; `null` when it lacks one of them. */
function namedFilter(topicFilter: string, clientId: string, username: string): string | null {
  if (topicFilter.includes('%u') && (username === '' || /[+#]/.test(username))) return null
  return topicFilter.replace('%c', clientId).replace('%u', username)
}
