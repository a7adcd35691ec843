/**
 * Options of a whole broker that are not limits: what it offers, and what it does in cases that the specification leaves open.
 *
 * `broker.ts` has their defaults and takes them from an embedder; `Context.options` has those in force. They may change while a
 * broker runs (`Core.reconfigure`): whoever needs one reads it when it is needed.
 */

/** Answer of a full queue to the next message. */
export type Overflow = 'reject' | 'drop-oldest' | 'drop-newest'

/** Answer to a CONNECT whose user is not the one that has the session with this Client Identifier. */
export type SessionOwner = 'refuse' | 'takeover' | 'off'

/** Manner of answers where MQTT leaves a choice. */
export type Answers = 'recado' | 'mosquitto'

export interface CoreOptions {
  /**
   * `recado`: an MQTT 5.0 client is told why, in a Reason String, and 0x10 No matching subscribers at QoS 1 and 2. `mosquitto`: as
   * Mosquitto answers, for programs that compare packets: no Reason String, 0x10 at QoS 1 only, Server Keep Alive 65,535 for a client with
   * Keep Alive 0, and no matching subscriber counts where No Local kept a message from its publisher.
   */
  readonly answers: Answers
  /**
   * A session belongs to the user who made it. `refuse`: another user, or none, is refused with 0x87. `takeover`: the other user gets the Client
   * Identifier and a new session; the old one ends, and what waited for its owner is dropped. `off`: sessions belong to nobody, and whoever
   * comes with the Client Identifier has it all.
   */
  readonly sessionOwner: SessionOwner
  /**
   * `reject`: an MQTT 5.0 publisher at QoS 1 and 2 is told 0x97 and nobody gets the message; for others the newest is
   * dropped. `drop-oldest`, `drop-newest`: as they say.
   */
  readonly overflow: Overflow
  /** Keeps messages at QoS 0, too, for sessions that are away. */
  readonly queueQoS0: boolean
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
}
