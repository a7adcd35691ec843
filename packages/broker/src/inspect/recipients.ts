/**
 * Recipients of a message on a topic, and subscribers that would not get it, with the reason: a look at the router and the sessions as they are now.
 *
 * `Inspector.recipients` calls it. Invariant: nothing changes by it, not even whose turn it is in a Shared Subscription.
 */
import { type QoS, type Rules, text, whole } from '@recado/protocol'
import type { Core } from '../core/core.ts'
import { Readiness, type SubscriptionEntry } from '../core/routing/subscriber.ts'
import { Session } from '../core/session/session.ts'
import { type RecipientsView, type RecipientView, subscriptionView, type Verdict } from './views.ts'

/** Subscriptions that are handed out; the others are counted. */
const RECIPIENTS_MAX = 1_000

/** Message whose recipients are asked for. */
export interface RecipientQuery {
  /** Client Identifier of the publisher, for No Local. Absent: nobody's. */
  clientId?: string
  /** QoS at which it is published; default 2. */
  qos?: QoS
}

export const recipientRules: Rules<RecipientQuery> = { clientId: text, qos: whole(0, 2) }

export function recipientsOf(core: Core, topic: string, { clientId, qos = 2 }: RecipientQuery): RecipientsView {
  const { plain, groups } = core.router.matching(topic)
  const recipients: RecipientView[] = []
  let total = 0
  let programSubscriptions = 0
  const add = (entry: SubscriptionEntry, isChosen: boolean): void => {
    const { subscriber } = entry
    if (!(subscriber instanceof Session)) {
      programSubscriptions++
      return
    }
    total++
    if (recipients.length >= RECIPIENTS_MAX) return
    const deliveredQoS = core.context.options.upgradeQoS ? entry.qos : (Math.min(entry.qos, qos) as QoS)
    const isOwn = entry.noLocal && subscriber.clientId === clientId
    const verdict = isOwn ? 'no-local' : verdictOf(core, subscriber, topic, deliveredQoS, isChosen)
    recipients.push({ ...subscriptionView(subscriber, entry), deliveredQoS, verdict })
  }
  for (const entry of plain) add(entry, true)
  for (const group of groups) {
    const chosen = group.peek(core.router.isFiltering ? topic : null)
    for (const member of group.members) add(member, member === chosen)
  }
  return { recipients, total, programSubscriptions }
}

function verdictOf(core: Core, session: Session, topic: string, qos: QoS, isChosen: boolean): Verdict {
  if (core.router.isFiltering && !session.mayReceive(topic)) return 'not-authorized'
  if (!isChosen) return 'not-chosen'
  const { connection, readiness } = session
  if (qos === 0 && !core.context.options.queueQoS0 && !session.queuesQoS0) {
    if (connection === null) return 'offline-qos0'
    return connection.makeRoom() ? 'gets' : 'slow-reader'
  }
  if (readiness === Readiness.Ready) return 'gets'
  return readiness === Readiness.Full ? 'queue-full' : 'waits'
}
