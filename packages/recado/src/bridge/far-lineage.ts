/**
 * Knowledge of a bridge about the session that the remote broker has for it, from one connection to the next.
 *
 * The two sessions use the same Packet Identifiers, so each must be the one that the other has known before. Where it is
 * not (another address, or this broker has lost its session), the remote broker may still hold Packet Identifiers of
 * QoS 2 messages whose PUBREL never came, and would take a new message for one of those. The bridge releases each
 * identifier with a PUBREL of its own before it uses it for the first time.
 *
 * What must outlive the process is a note that this broker keeps with the session of the bridge. A missing note stands
 * for a session that is not known.
 *
 * A CONNECT whose answer never came may have made a new session there, of which the next CONNACK says that it is
 * present. So the note says that a CONNECT is under way before it is sent, and a session behind an unanswered one is in
 * doubt: it may be the old one, or a new one without subscriptions.
 *
 * Invariant: at QoS 2 no message is taken for another; after such a change a message in flight may arrive twice.
 */
interface Note {
  /** The remote broker's session: Client Identifier, address, and what it has subscribed to. */
  readonly address: string
  readonly subscriptions: string
  /** Whether all Packet Identifiers are known to both sessions. */
  readonly isTrusted: boolean
  /** Whether a CONNECT has been sent since, of which no answer is known; absent for no. */
  readonly isAsked?: boolean
  /** Identity of this broker on the paths of messages, where an earlier version has kept it; absent otherwise. */
  readonly identity?: string | null
}

export class FarLineage {
  /** Packet Identifiers that have been released; null while the two sessions know each other. */
  #released: Set<number> | null = null
  /** Packet Identifiers for which a PUBREL of our own was sent on this connection, and not answered. */
  readonly #awaited: Set<number> = new Set()
  /** Whether the remote broker had the subscriptions of the bridge at the last connection that it has answered. */
  hadSubscriptions = false
  /** Whether the session there may be a new one, although it is present: an earlier CONNECT was not answered. */
  isInDoubt = false

  /**
   * Notes an accepted connection. Returns true when the remote broker's session is not the one of the last connection.
   *
   * @param address the remote broker, and the Client Identifier there
   * @param subscriptions text of all subscriptions that the remote broker is to have
   * @param isNearPresent whether this broker has kept its session
   * @param note text that `note` returned for the last connection; null when there is none
   */
  accepted(
    address: string,
    subscriptions: string,
    isFarPresent: boolean,
    isNearPresent: boolean,
    note: string | null,
  ): boolean {
    this.#awaited.clear()
    const known = isNearPresent ? parse(note) : null
    const isSame = known !== null && known.address === address
    this.isInDoubt = isFarPresent && isSame && known.isAsked === true
    this.hadSubscriptions = isFarPresent && isSame && known.subscriptions === subscriptions
    if (!isFarPresent) {
      this.#released = null
      return true
    }
    if (!isSame) this.#released = new Set()
    else if (known.isTrusted) this.#released = null
    else this.#released ??= new Set()
    return !isSame
  }

  /** Whether the remote broker has the subscriptions of the bridge. */
  get hasSubscriptions(): boolean {
    return this.hadSubscriptions && !this.isInDoubt
  }

  /** Whether the session there is known from the last connection, as far as the note says. */
  isKnown(address: string, note: string | null): boolean {
    return parse(note)?.address === address
  }

  /** Text to keep from now on. */
  note(address: string, subscriptions: string): string {
    return JSON.stringify({ address, subscriptions, isTrusted: this.#released === null } satisfies Note)
  }

  /** Text to keep before a CONNECT is sent; null when nothing is known that it could make doubtful. */
  noteAsked(note: string | null): string | null {
    const known = parse(note)
    return known === null ? null : JSON.stringify({ ...known, isAsked: true } satisfies Note)
  }

  /** Whether a PUBREL must be sent before a QoS 2 PUBLISH with this Packet Identifier. */
  mustRelease(packetId: number): boolean {
    if (this.#released === null || this.#released.has(packetId) || this.#awaited.has(packetId)) return false
    this.#awaited.add(packetId)
    return true
  }

  /** Handles a PUBCOMP. Returns true for one that answers a PUBREL of `mustRelease`, and nothing else. */
  takePubcomp(packetId: number): boolean {
    if (this.#awaited.size === 0 || !this.#awaited.delete(packetId)) return false
    this.#released?.add(packetId)
    return true
  }
}

function parse(note: string | null): Note | null {
  if (note === null) return null
  try {
    const { address, subscriptions, isTrusted, isAsked, identity } = JSON.parse(note) as Partial<Note>
    if (typeof address !== 'string' || typeof subscriptions !== 'string') return null
    return {
      ...{ address, subscriptions, isTrusted: isTrusted === true, isAsked: isAsked === true },
      identity: typeof identity === 'string' ? identity : null,
    }
  } catch {
    return null
  }
}

/** Identity of this broker in a note of an earlier version; null when there is none. */
export function identityIn(note: string | null): string | null {
  return parse(note)?.identity ?? null
}
