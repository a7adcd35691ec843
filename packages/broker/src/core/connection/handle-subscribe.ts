/**
 * SUBSCRIBE and UNSUBSCRIBE: each Topic Filter is judged by itself, and SUBACK has a Reason Code for each
 * [MQTT-3.8.4-6]. Retained messages follow the SUBACK.
 *
 * An authorizer that takes its time is asked for one filter after the other while the connection is paused.
 *
 * Sources: MQTT 5.0 sections 3.8 to 3.11, 4.7, 4.8.
 */
import {
  isTopicFilter,
  type MqttError,
  PacketType,
  ProtocolError,
  parseShare,
  parseTopicFilter,
  ReasonCode,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  type Unsubscribe,
} from '@recado/protocol'
import { ALLOW, PENDING, type RetainedAnswer } from '../../ports.ts'
import { substituted } from '../base/placeholders.ts'
import { PendingPacket } from '../journal/pending-ack.ts'
import type { RetainedWalk } from '../routing/retained.ts'
import type { SubscriptionEntry } from '../routing/subscriber.ts'
import { isFilterWithinLimits } from '../routing/topic-limits.ts'
import type { Connection } from './connection.ts'
import { mountFilter } from './listener-settings.ts'
import { checkLevels } from './mosquitto-manner.ts'
import { reasonCodeFor } from './reason-code-for.ts'

/** Characters of Topic Filters that are as much work as a packet: each character is looked at several times, and each level is a step in the router. */
const FILTER_LENGTH = 32
/** So many are read and looked at in the time that a packet takes. */
const FILTERS_READ = 8

/** Packet Identifier of subscriptions that no client has asked for: there is no SUBACK. */
const UNASKED = 0

interface Made {
  readonly entry: SubscriptionEntry
  readonly retained: RetainedWalk
}

/** [MQTT-3.8.4-1] [MQTT-3.8.4-5] */
export function handleSubscribe(connection: Connection, subscribe: Subscribe): void {
  const identifier = subscribe.properties.subscriptionIdentifiers?.[0] ?? 0
  if (identifier !== 0 && !connection.context.options.subscriptionIdentifiers) {
    throw new ProtocolError(
      ReasonCode.SubscriptionIdentifiersNotSupported,
      'Subscription Identifiers are not available',
    )
  }
  // All before the first: a packet that ends its connection has no effect.
  let length = 0
  for (const { topicFilter } of subscribe.subscriptions) {
    mustBeTopicFilter(topicFilter)
    length += topicFilter.length
  }
  hasRead(connection, subscribe.subscriptions.length, length)
  subscribeNext(connection, subscribe, identifier, [], [])
}

/**
 * Makes the subscriptions of the option `autoSubscriptions` for a client that has been let in. Those that its session has
 * already stay as they are.
 */
export function autoSubscribe(connection: Connection): void {
  const { context, session, settings } = connection
  const { autoSubscriptions } = context.options
  // A bridge means what it subscribes to, and no more.
  if (autoSubscriptions.length === 0 || connection.isBridge) return
  const subscriptions: Subscription[] = []
  for (const { topicFilter: text, qos = 0, noLocal = false, retainAsPublished = false, ...rest } of autoSubscriptions) {
    const topicFilter = substituted(text, connection)
    if (topicFilter === null || !isTopicFilter(topicFilter)) continue
    if (session!.subscriptions.has(mountFilter(settings.mountPoint, topicFilter))) continue
    const { retainHandling = 0 } = rest
    subscriptions.push({ topicFilter, qos, noLocal, retainAsPublished, retainHandling })
  }
  if (subscriptions.length > 0) subscribeNext(connection, new Subscribe(UNASKED, subscriptions), 0, [], [])
}

/**
 * Counts the work of a packet with so many Topic Filters, so long together; the work for each of them is counted on
 * top.
 */
function hasRead({ readGate }: Connection, count: number, length: number): void {
  readGate.tookWork(Math.floor(count / FILTERS_READ + length / FILTER_LENGTH))
  readGate.spend(count - 1)
}

/** With one of them so much has been done. */
function tookWork({ readGate }: Connection, topicFilter: string): void {
  readGate.tookWork(1 + Math.floor(topicFilter.length / FILTER_LENGTH))
}

/**
 * Goes through the filters from `reasonCodes.length` on; stops where a verdict takes time and is called again with it, and where its
 * connection has had its share of the turn.
 */
function subscribeNext(
  connection: Connection,
  subscribe: Subscribe,
  identifier: number,
  reasonCodes: number[],
  made: Made[],
): void {
  const { readGate } = connection
  const { authorizer } = connection.context
  const from = reasonCodes.length
  for (let i = from; i < subscribe.subscriptions.length; i++) {
    if (i > from && readGate.isUsedUp) {
      readGate.interrupt(() => subscribeNext(connection, subscribe, identifier, reasonCodes, made))
      return
    }
    const subscription = subscribe.subscriptions[i]!
    const isAsked = subscribe.packetId !== UNASKED
    let reasonCode = isAsked && !rewriteFilter(connection, subscription) ? ReasonCode.TopicFilterInvalid : ALLOW
    if (reasonCode === ALLOW) reasonCode = judge(connection, subscription)
    if (reasonCode === ALLOW && authorizer !== null) {
      const decide = (late: ReasonCode): void =>
        connection.decided(() => {
          reasonCodes.push(settle(connection, subscription, late, identifier, made))
          subscribeNext(connection, subscribe, identifier, reasonCodes, made)
        })
      const verdict = authorizer.subscribe(connection, subscription, decide, false)
      if (verdict === PENDING) {
        readGate.pause()
        return
      }
      reasonCode = verdict
    }
    reasonCodes.push(settle(connection, subscription, reasonCode, identifier, made))
    tookWork(connection, subscription.topicFilter)
  }
  if (subscribe.packetId === UNASKED) {
    connection.context.metrics.subscriptionsAutomatic += reasonCodes.filter((code) => code < 0x80).length
    for (const { entry, retained } of made) connection.session!.deliverRetained(retained, entry)
    return
  }
  const isV5 = connection.protocolVersion === 5
  const suback = new Suback(
    subscribe.packetId, // [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.9.3-1]
    reasonCodes.map((code) =>
      isV5 ? reasonCodeFor(PacketType.SUBACK, code) : Math.min(code, ReasonCode.UnspecifiedError),
    ),
  )
  // A refusal waits for nothing.
  const isChange = reasonCodes.some((code) => code < ReasonCode.UnspecifiedError)
  sendWhenSafe(connection, suback, isChange, () => {
    for (const { entry, retained } of made) connection.session!.deliverRetained(retained, entry)
  })
}

/** Sends SUBACK or UNSUBACK; to a durable session they say that the change is on disk. */
function sendWhenSafe(
  connection: Connection,
  packet: Suback | Unsuback,
  isChange: boolean,
  then: (() => void) | null,
): void {
  const { journal } = connection.parts
  const pending = new PendingPacket(connection.acknowledgements, packet, then)
  if (journal !== null && isChange && connection.session!.isDurable) journal.gate(pending)
  // Whoever publishes when it has left must reach this subscriber, wherever that is.
  if (isChange && packet.type === PacketType.SUBACK) connection.parts.intake.others?.confirm(pending)
  connection.acknowledgements.owe(pending)
}

/** Makes the subscription where `verdict` allows it; returns the Reason Code for SUBACK, and tells the observer. */
function settle(
  connection: Connection,
  subscription: Subscription,
  verdict: number,
  identifier: number,
  made: Made[],
): number {
  const retained = retainedAnswer(connection, subscription, verdict)
  const isSent = retained === 'sent'
  const reasonCode = verdict === ALLOW ? makeSubscription(connection, subscription, identifier, isSent, made) : verdict
  const { topicFilter, qos } = subscription
  if (retained === 'refused') connection.context.metrics.subscriptionsRefused++
  connection.context.observer?.['subscription.made']?.({ client: connection, topicFilter, qos, reasonCode, retained })
  return reasonCode
}

/** [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]; none for a Shared Subscription (4.8.2). */
function retainedAnswer(
  { session }: Connection,
  { topicFilter, retainHandling }: Subscription,
  verdict: number,
): RetainedAnswer {
  if (verdict >= ReasonCode.UnspecifiedError) return 'refused'
  if (parseShare(topicFilter) !== null) return 'shared'
  if (retainHandling === 2) return 'not-wanted'
  return retainHandling === 0 || !session!.subscriptions.has(topicFilter) ? 'sent' : 'not-new'
}

/**
 * A Topic Filter that is none ends the connection: 0x8F is for those that are well-formed and not taken.
 * [MQTT-4.13.1-1] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
 */
function mustBeTopicFilter(text: string): void {
  try {
    parseTopicFilter(text)
  } catch (error) {
    throw new ProtocolError(ReasonCode.MalformedPacket, (error as MqttError).message)
  }
}

/** Rewrites the Topic Filter of a client. Returns false when the result is none. */
function rewriteFilter({ context, clientId, username }: Connection, subscription: Subscription): boolean {
  if (context.rewrites === null) return true
  const topicFilter = context.rewrites.topicFilter(subscription.topicFilter, { clientId, username })
  if (topicFilter === subscription.topicFilter) return true
  if (!isTopicFilter(topicFilter)) return false
  context.metrics.topicsRewritten++
  subscription.topicFilter = topicFilter
  return true
}

/**
 * Returns 0, or the reason why this broker refuses the subscription of any client. From here on its Topic Filter has
 * the mount point.
 */
function judge(connection: Connection, subscription: Subscription): number {
  const { limits } = connection
  const { options } = connection.context
  const { mountPoint } = connection.settings
  const topicFilter = mountFilter(mountPoint, subscription.topicFilter)
  // A mount point without a / at its end leaves no room for a filter that begins with a wildcard.
  if (mountPoint !== '' && !isTopicFilter(topicFilter)) return ReasonCode.TopicFilterInvalid
  subscription.topicFilter = topicFilter
  checkLevels(connection.context, topicFilter, limits.topicLevelsMax, true)
  if (!isFilterWithinLimits(topicFilter, limits)) return ReasonCode.TopicFilterInvalid
  const isShared = parseShare(topicFilter) !== null
  if (isShared && !options.sharedSubscriptions) return ReasonCode.SharedSubscriptionsNotSupported
  if (isShared && subscription.noLocal) {
    throw new ProtocolError(ReasonCode.ProtocolError, 'No Local is set for a Shared Subscription') // [MQTT-3.8.3-4]
  }
  // [MQTT-3.1.1:3.8.3-2]
  if (!options.wildcardSubscriptions && /[+#]/.test(topicFilter)) return ReasonCode.WildcardSubscriptionsNotSupported
  if (connection.parts.journal?.isFailing && connection.session!.isDurable) return ReasonCode.QuotaExceeded
  const { subscriptions } = connection.session!
  if (subscriptions.has(topicFilter)) return ALLOW
  const { metrics } = connection.context
  const isFull = subscriptions.size >= limits.subscriptionsMax || metrics.subscriptions >= limits.subscriptionsTotalMax
  if (isFull || !subscriptions.hasRoomFor(topicFilter)) return ReasonCode.QuotaExceeded
  if (connection.context.memoryGuard?.refusesNew) {
    metrics.refusedForMemory++
    return ReasonCode.QuotaExceeded
  }
  return ALLOW
}

/** Makes the subscription; returns the granted QoS. [MQTT-3.8.4-7] */
function makeSubscription(
  connection: Connection,
  subscription: Subscription,
  identifier: number,
  wantsRetained: boolean,
  made: Made[],
): number {
  const { subscriptions } = connection.session!
  const { topicFilter } = subscription
  const before = subscriptions.get(topicFilter)
  const qos = Math.min(subscription.qos, connection.limits.maximumQoS) as 0 | 1 | 2 // [MQTT-3.2.2-10]
  const isShared = parseShare(topicFilter) !== null
  // A bridge before 5.0 cannot ask for them, and means them: else its own messages come back, and retained messages are
  // missing there.
  const isForBridge = connection.isBridge && connection.protocolVersion < 5
  const entry = subscriptions.add({
    topicFilter,
    qos,
    noLocal: subscription.noLocal || (isForBridge && !isShared),
    retainAsPublished: subscription.retainAsPublished || isForBridge,
    subscriptionIdentifier: identifier,
  }) // [MQTT-3.8.4-4]
  const retained = wantsRetained ? connection.parts.retained.walk(topicFilter) : null
  if (retained !== null) made.push({ entry, retained })
  // No message is lost because a subscription is replaced. [MQTT-3.8.4-4]
  else if (before !== undefined && !wantsRetained) connection.session!.goOnWithRetained(before, entry)
  return qos
}

/** Handles UNSUBSCRIBE. [MQTT-3.10.4-4] [MQTT-3.10.4-6] Messages in flight are completed [MQTT-3.10.4-3]. */
export function handleUnsubscribe(connection: Connection, unsubscribe: Unsubscribe): void {
  let length = 0
  for (const topicFilter of unsubscribe.topicFilters) {
    mustBeTopicFilter(topicFilter)
    length += topicFilter.length
  }
  hasRead(connection, unsubscribe.topicFilters.length, length)
  unsubscribeNext(connection, unsubscribe, [])
}

/** Goes through the filters from `reasonCodes.length` on, as far as the share of its connection goes. */
function unsubscribeNext(connection: Connection, unsubscribe: Unsubscribe, reasonCodes: number[]): void {
  const { context, readGate } = connection
  const session = connection.session!
  const from = reasonCodes.length
  for (let i = from; i < unsubscribe.topicFilters.length; i++) {
    if (i > from && readGate.isUsedUp) {
      readGate.interrupt(() => unsubscribeNext(connection, unsubscribe, reasonCodes))
      return
    }
    const asked = unsubscribe.topicFilters[i]!
    const rewritten = context.rewrites?.topicFilter(asked, connection) ?? asked
    const topicFilter = mountFilter(connection.settings.mountPoint, rewritten)
    tookWork(connection, topicFilter)
    if (context.authorizer?.mayUnsubscribe?.(connection, topicFilter) === false) {
      reasonCodes.push(ReasonCode.NotAuthorized)
      continue
    }
    const entry = session.subscriptions.get(topicFilter) // [MQTT-3.10.4-1]
    if (entry === undefined) {
      reasonCodes.push(ReasonCode.NoSubscriptionExisted)
      continue
    }
    session.subscriptions.remove(entry) // [MQTT-3.10.4-2]
    context.observer?.['subscription.ended']?.({ client: connection, topicFilter })
    reasonCodes.push(ReasonCode.Success)
  }
  sendWhenSafe(connection, new Unsuback(unsubscribe.packetId, reasonCodes), true, null) // [MQTT-3.10.4-5] [MQTT-3.11.3-1]
}
