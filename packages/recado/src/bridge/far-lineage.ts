/**
 * Knowledge of a bridge about the session that the remote broker has for it, from one connection to the next.
 *
 * The two sessions use the same Packet Identifiers, so each must be the one that the other has known before. Where it is
 * not (another address, or this broker has lost its session), the remote broker may still hold Packet Identifiers of
 * QoS 2 messages whose PUBREL never came, and would take a new message for one of those. The bridge releases each
 * identifier with a PUBREL of its own before it uses it for the first time.
 *
 * Invariant: at QoS 2 no message is taken for another; after such a change a message in flight may arrive twice.
 */
export class FarLineage {
  /** Address of the last connection that was accepted; null before the first one. */
  #address: string | null = null
  /** Packet Identifiers that have been released; null while the two sessions know each other. */
  #released: Set<number> | null = null
  /** PUBCOMP packets that are awaited for PUBREL packets of our own, by Packet Identifier. */
  readonly #awaited: Map<number, number> = new Map()

  /**
   * Notes an accepted connection. Returns true when the remote broker's session is not the one of the last connection.
   *
   * @param isNearPresent whether this broker has kept its session
   */
  accepted(address: string, isFarPresent: boolean, isNearPresent: boolean, isOnlyAddress: boolean): boolean {
    const isSameAddress = this.#address === address || (this.#address === null && isOnlyAddress)
    this.#address = address
    this.#awaited.clear()
    if (!isFarPresent) {
      this.#released = null
      return true
    }
    if (isSameAddress && isNearPresent) return false
    this.#released = new Set()
    return true
  }

  /** Whether a PUBREL must be sent before a QoS 2 PUBLISH with this Packet Identifier. */
  mustRelease(packetId: number): boolean {
    if (this.#released === null || this.#released.has(packetId) || this.#awaited.has(packetId)) return false
    this.#awaited.set(packetId, 1)
    return true
  }

  /** Handles a PUBCOMP. Returns true for one that answers a PUBREL of `mustRelease`, and nothing else. */
  takePubcomp(packetId: number): boolean {
    if (this.#awaited.size === 0 || !this.#awaited.delete(packetId)) return false
    this.#released?.add(packetId)
    return true
  }
}
