/**
 * Options of a whole broker that are not limits: features that it offers, and its behaviour in cases that the
 * specification leaves open.
 *
 * `broker.ts` has their defaults and takes them from an embedder; `Context.options` has those in force. They may change
 * at run time (`Core.reconfigure`), so they are read when they are needed.
 */
import { isTopicFilter, parseShare, type QoS } from '@recado/protocol'
import type { TopicRewrite } from './topic-rewrites.ts'

/** Answer of a full queue to the next message. */
export type Overflow = 'reject' | 'drop-oldest' | 'drop-newest'

/** Answer to a CONNECT whose user is not the one that has the session with this Client Identifier. */
export type SessionOwner = 'refuse' | 'takeover' | 'off'

/** Manner of answers where MQTT leaves a choice. */
export type Answers = 'recado' | 'mosquitto-2.0' | 'mosquitto-2.1'

/** A subscription that the broker makes for clients. */
export interface AutoSubscription {
  /** Topic Filter, `$share/name/…` too; `%c` is the Client Identifier, `%u` the user name. Clients without such a name do not get it. */
  readonly topicFilter: string
  /** Highest QoS of deliveries; default 0. */
  readonly qos?: QoS
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  /** 2: retained messages are not sent; default 0. */
  readonly retainHandling?: 0 | 1 | 2
}

/** Options of a broker that are neither limits nor hooks. */
export interface CoreOptions {
  /**
   * `recado`: an MQTT 5.0 client is told why, in a Reason String, and 0x10 No matching subscribers at QoS 1 and 2. `mosquitto-2.0`,
   * `mosquitto-2.1`: as that Mosquitto answers, for programs that compare packets: no Reason String, 0x10 at QoS 1 only, Server Keep Alive
   * 65,535 for a client with Keep Alive 0, and no matching subscriber counts where No Local kept a message from its publisher. 2.0 also
   * says no reason for a CONNECT that is malformed, nor for an error in another packet than PUBLISH, SUBSCRIBE and UNSUBSCRIBE.
   */
  readonly answers: Answers
  /**
   * Policy for a session of another user. `refuse`: another user, or none, is refused with 0x87. `takeover`: the other
   * user gets the Client Identifier and a new session; the old one ends, and messages that waited for its owner are
   * dropped. `off`: sessions belong to no user, and any client with the Client Identifier gets the session.
   */
  readonly sessionOwner: SessionOwner
  /**
   * Treatment of a full queue. `reject`: an MQTT 5.0 publisher at QoS 1 and 2 is told 0x97 and no subscriber gets the
   * message; for others the newest is dropped. `drop-oldest`, `drop-newest`: that message is dropped.
   */
  readonly overflow: Overflow
  /** Keeps messages at QoS 0, too, for sessions that are away. */
  readonly queueQoS0: boolean
  /**
   * Sends messages with the QoS of the subscription, also those that were published with a lower one. MQTT forbids it [MQTT-3.8.4-8]; Mosquitto has
   * it as `upgrade_outgoing_qos`.
   */
  readonly upgradeQoS: boolean
  readonly allowEmptyClientId: boolean
  readonly assignedClientIdPrefix: string
  readonly wildcardSubscriptions: boolean
  readonly sharedSubscriptions: boolean
  readonly subscriptionIdentifiers: boolean
  /** Asks `Authorizer.mayPublish` about the publisher before a retained message is sent. */
  readonly checkRetainSource: boolean
  /**
   * Takes strings with control characters (U+0001 to U+001F, U+007F to U+009F) and non-characters, which a receiver may call malformed (1.5.4):
   * libmosquitto does, and comes back for the same message for ever.
   */
  readonly allowControlCharacters: boolean
  /**
   * Keeps a message to `$delayed/SECONDS/topic`, and publishes it to `topic` when so many seconds are over. Without it such a topic is like any
   * other.
   */
  readonly delayedPublish: boolean
  /** Rules by which Topic Names and Topic Filters of clients are taken for others; the first that matches holds. */
  readonly topicRewrites: readonly TopicRewrite[]
  /**
   * Subscriptions that the broker makes for each client that is let in, as if it had asked for them, unless its session
   * has one to that Topic Filter already. Rights are asked about as for others.
   */
  readonly autoSubscriptions: readonly AutoSubscription[]
  /** Keeps Sparkplug's birth certificates below `$sparkplug/certificates/`, and sets the time of NDEATH. */
  readonly sparkplugAware: boolean
}

/** Describes what is wrong with a subscription for clients; null when nothing is. */
export function faultOfAutoSubscription({ topicFilter, noLocal }: AutoSubscription): string | null {
  const example = topicFilter.replace(/%[cu]/g, 'x')
  if (!isTopicFilter(example)) return `"${topicFilter}" is not a Topic Filter`
  if (noLocal === true && parseShare(example) !== null)
    return `"${topicFilter}" is shared, and noLocal is not for those`
  return null
}
