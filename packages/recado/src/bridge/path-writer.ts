/**
 * The properties of messages to a remote broker of MQTT 5.0, with this broker on their path over bridges.
 *
 * `BridgeLink` asks for each message. Invariants: a message that has no properties costs no more than a copy of eleven
 * bytes and the identity; a path has at most `HOPS_MAX` brokers, and a message with a longer one is not sent.
 */
import { PATH_PROPERTY, pathOf, type RelayedMessage, withPath } from '@recado/broker'
import { encodeProperties, joinPropertyFields, PacketType } from '@recado/protocol'

/** Brokers on the path of a message. */
export const HOPS_MAX = 16

const NAME_BYTES: Buffer = Buffer.from(PATH_PROPERTY)

export class PathWriter {
  readonly #identity: string
  /** Property Length and the User Property of a message that begins here. */
  readonly #own: Uint8Array

  constructor(identity: string) {
    this.#identity = identity
    this.#own = encodeProperties({ userProperties: [[PATH_PROPERTY, identity]] }, PacketType.PUBLISH)
  }

  /**
   * Returns Property Length and properties with this broker at the end of the path; null when the path would be too
   * long.
   */
  field(message: RelayedMessage, nowMs: number, topicAlias: number): Uint8Array | null {
    const field = message.propertyField(nowMs, null, topicAlias)
    if (field.length === 1) return this.#own
    if (!hasName(field)) return joinPropertyFields(field, this.#own)
    const path = pathOf(message.properties)
    const longer = pathWith(path, this.#identity)
    if (longer.split(',').length > HOPS_MAX) return null
    const properties = withPath(message.properties, longer)
    // The rest of its expiry, and its alias, as `propertyField` has them.
    const own = encodeProperties(
      {
        ...(topicAlias === 0 ? {} : { topicAlias }),
        ...(message.expiresAtMs === Number.POSITIVE_INFINITY
          ? {}
          : { messageExpiryIntervalSeconds: Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000)) }),
      },
      PacketType.PUBLISH,
    )
    return joinPropertyFields(encodeProperties(properties, PacketType.PUBLISH), own)
  }
}

/** Returns a path with a broker at its end; the same path when it is there already: the message came here by a bridge. */
export function pathWith(path: string, identity: string): string {
  if (path === '') return identity
  return path === identity || path.endsWith(`,${identity}`) ? path : `${path},${identity}`
}

/** Whether the name of the property may be there: bytes of it stand in the field. */
function hasName({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
  return Buffer.from(buffer, byteOffset, byteLength).includes(NAME_BYTES)
}
