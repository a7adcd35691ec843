/**
 * Subscriptions: which are made, what they replace, which retained messages they ask for, and when they end.
 *
 * Sources: MQTT 5.0 sections 3.8 to 3.11 and 4.8.
 */
import { changesOfSubscription } from './changes.ts'
import { deliverRetained } from './deliveries.ts'
import { noteGivenUp } from './given-up.ts'
import type { Model } from './model.ts'
import { identifiersOf, markRedistributed, newOffers } from './offers.ts'
import { Expectation, type GroupDue, type ModelConnection, type ModelSession, type Subscription } from './state.ts'
import { isFilter, matchesFilter, sharedParts } from './topics.ts'
import type { FilterIn, QoS, SubscribeIn, UnsubscribeIn } from './types.ts'

/** All of these subscriptions are over a limit, or not available, or cannot be stored. */
export function refusesToSubscribe(model: Model, connection: ModelConnection, { filters }: SubscribeIn): boolean {
  return (
    connection.session !== null &&
    filters.every(({ topicFilter }) => refusalToSubscribe(model, connection, topicFilter) !== 0)
  )
}

/** Reason Code that refuses this subscription to every client now; 0 when the policy is asked. */
export function refusalToSubscribe(model: Model, connection: ModelConnection, topicFilter: string): number {
  const session = connection.session!
  const { hasShares, hasWildcards } = model.settings
  // A rewrite may have made it none.
  if (!isFilter(sharedParts(topicFilter)?.filter ?? topicFilter)) return 0x8f
  if (!hasShares && sharedParts(topicFilter) !== null) return 0x9e
  if (!hasWildcards && /[+#]/.test(topicFilter)) return 0xa2
  if (model.isFailing && session.isDurable) return 0x97
  const live = session.liveSubscriptions
  if (live.some((each) => each.topicFilter === topicFilter)) return 0
  return live.length >= connection.settings.subscriptionsMax || model.memory.level >= 1 ? 0x97 : 0
}

/** SUBSCRIBE from a client. */
export function handleSubscribe(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  { packetId, identifier, filters }: SubscribeIn,
): void {
  const { settings } = model
  const reasonCodes: number[] = []
  const made: Subscription[] = []
  const replaced: Subscription[] = []
  for (const filter of filters) {
    const { topicFilter } = filter
    model.cover(sharedParts(topicFilter) === null ? `subscribe.qos${filter.qos}` : 'subscribe.shared')
    let refusal = connection.isProgram ? 0 : refusalToSubscribe(model, connection, topicFilter)
    if (
      refusal === 0 &&
      !connection.isProgram &&
      !settings.maySubscribe(session.clientId, session.username, topicFilter)
    )
      refusal = 0x87
    if (refusal !== 0) {
      model.cover(refusal === 0x8f ? 'rewrite.none' : 'subscribe.refused')
      reasonCodes.push(connection.isV5 ? refusal : 0x80)
      continue
    }
    const { subscription, old, wantsThem } = enter(model, connection, session, filter, identifier)
    if (old !== undefined) replaced.push(old)
    made.push(subscription)
    reasonCodes.push(subscription.qos)
    // At once: a later filter of this packet may be the same one, and goes on with them.
    if (wantsThem) deliverRetained(model, session, subscription)
  }
  model.owe(connection, { type: 'SUBACK', packetId, subscriptions: made, ended: replaced, reasonCodes })
}

/** The broker makes a subscription of its own for a client. */
export function makeSubscription(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  filter: FilterIn,
  identifier: number,
): void {
  const { subscription, wantsThem } = enter(model, connection, session, filter, identifier)
  if (wantsThem) deliverRetained(model, session, subscription)
}

/** Enters a subscription in its session, in the place of the `old` one. `wantsThem`: it asks for what is retained. */
function enter(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  { topicFilter, noLocal, retainAsPublished, retainHandling, qos }: FilterIn,
  identifier: number,
): { subscription: Subscription; old: Subscription | undefined; wantsThem: boolean } {
  if (noLocal) model.cover('subscribe.no-local')
  if (retainAsPublished) model.cover('subscribe.retain-as-published')
  if (identifier !== 0) model.cover('subscribe.identifier')
  model.cover(`subscribe.retain-handling-${retainHandling}`)
  const share = sharedParts(topicFilter)
  const old = session.liveSubscriptions.find((subscription) => subscription.topicFilter === topicFilter)
  const wantsThem = share === null && (retainHandling === 0 || (retainHandling === 1 && old === undefined))
  const left = old === undefined || wantsThem ? [] : leftOf(session, old)
  if (old !== undefined) {
    model.cover('subscribe.replaced')
    endSubscription(model, session, old)
  }
  const subscription: Subscription = {
    topicFilter,
    shareName: share?.shareName ?? null,
    filter: share?.filter ?? topicFilter,
    qos: Math.min(qos, connection.settings.maximumQoS) as QoS,
    noLocal,
    retainAsPublished,
    identifier,
    fromSeq: model.seq,
    isPromised: false,
    toSeq: Number.POSITIVE_INFINITY,
    isEndPromised: false,
  }
  const sendsThem = wantsThem && [...model.retained.keys()].some((topic) => matchesFilter(topicFilter, topic))
  model.onChange(session, changesOfSubscription(old, subscription, session.liveSubscriptions, sendsThem, model.topics))
  session.subscriptions.push(subscription)
  for (const each of left) inherit(model, session, each, subscription)
  return { subscription, old, wantsThem }
}

/** A retained message that a subscription has asked for and that has not been sent. */
interface Left {
  readonly expectation: Expectation
  readonly isOptional: boolean
}

function leftOf({ expectations }: ModelSession, subscription: Subscription): Left[] {
  const left: Left[] = []
  for (const list of expectations.values())
    for (const expectation of list)
      if (expectation.forSubscription === subscription && expectation.progress === 'pending')
        left.push({ expectation, isOptional: expectation.isOptional })
  return left
}

/**
 * A subscription that takes the place of another one, and does not ask for retained messages, gets those that are still
 * to come: no message is lost by that. [MQTT-3.8.4-4] One that is on its way comes as the earlier one had asked for it.
 */
function inherit(
  model: Model,
  session: ModelSession,
  { expectation, isOptional }: Left,
  subscription: Subscription,
): void {
  const { publication, askedMs, mayWait } = expectation
  const qos = Math.min(publication.qos, subscription.qos) as QoS
  const identifiers = identifiersOf([subscription])
  if (expectation.qos === qos && expectation.identifiers === identifiers) {
    expectation.forSubscription = subscription
    expectation.isOptional = isOptional
    return
  }
  model.cover('retained.inherited')
  const next = new Expectation(publication, session, qos, true, identifiers, model.seq, null, subscription)
  Object.assign(next, { isOptional, askedMs, mayWait })
  expectation.alternatives ??= [expectation]
  next.alternatives = expectation.alternatives
  next.alternatives.push(next)
  session.add(next)
}

/**
 * Ends a subscription. Retained messages that have not been sent to it need not be any more; a new subscription in its
 * place asks for them again.
 */
function endSubscription(model: Model, session: ModelSession, subscription: Subscription): void {
  subscription.toSeq = model.seq
  for (const list of session.expectations.values())
    for (const each of list)
      if (each.forSubscription === subscription && each.progress === 'pending') each.isOptional = true
}

/** The policy withdraws a subscription when it is asked about it again: what waits for it alone need not come. */
export function withdraw(model: Model, clientId: string, topicFilter: string, reasonCode: number): void {
  model.seq++
  const session = model.sessions.get(clientId)
  const subscription = session?.liveSubscriptions.find((each) => each.topicFilter === topicFilter)
  // Where nobody can decide it stays.
  if (reasonCode !== 0x87) model.fail('no loss', `${topicFilter} of ${clientId} is withdrawn for ${reasonCode}`)
  if (session === undefined || subscription === undefined) {
    model.fail('internal', `${topicFilter} of ${clientId} is withdrawn, and it is not there`)
    return
  }
  model.cover('subscription.withdrawn')
  endSubscription(model, session, subscription)
  noteGivenUp(model, session)
  const live = session.liveSubscriptions
  for (const list of session.expectations.values())
    for (const each of list) {
      if (live.some(({ filter }) => matchesFilter(filter, each.publication.topic))) continue
      each.isOptional = true
      each.withdrawnMs = model.nowMs
      if (each.group === null) continue
      if (each.progress === 'pending') each.passedOnSeq = model.seq
      passOnWithdrawn(model, each.group)
    }
}

/** A member is one no more: what it was chosen for may go to another one, who has perhaps become one since. */
function passOnWithdrawn(model: Model, group: GroupDue): void {
  group.isOptional = true
  for (const each of newOffers(model, group)) each.session.add(each)
  // Of what nobody has got yet, it cannot be told whom it waited for: it comes to another member late, and out of order.
  if (group.takenBy === null) markRedistributed(group)
}

/** UNSUBSCRIBE from a client. */
export function handleUnsubscribe(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  { packetId, filters }: UnsubscribeIn,
): void {
  const reasonCodes: number[] = []
  const ended: Subscription[] = []
  for (const topicFilter of filters) {
    const subscription = session.liveSubscriptions.find((each) => each.topicFilter === topicFilter)
    if (subscription !== undefined) {
      model.onChange(session, ['unsubscribe'])
      endSubscription(model, session, subscription)
      ended.push(subscription)
    }
    model.cover(subscription === undefined ? 'unsubscribe.none' : 'unsubscribe')
    reasonCodes.push(subscription === undefined ? 0x11 : 0)
  }
  model.owe(connection, { type: 'UNSUBACK', packetId, ended, reasonCodes: connection.isV5 ? reasonCodes : [] })
}
