/**
 * The properties of messages to a remote broker of MQTT 5.0, with this broker on their path over bridges.
 *
 * `BridgeLink` asks for each message. Invariants: a message that has no properties costs no more than its marks and a
 * copy of some fifty bytes; a path has at most `HOPS_MAX` brokers, and a message with a longer one is not sent.
 */
import { MARK_DIGITS, marksOf, PATH_PROPERTY, pathOf, type RelayedMessage, withPath, writeMarks } from '@recado/broker'
import { encodeProperties, joinPropertyFields, PacketType } from '@recado/protocol'

/** Brokers on the path of a message. */
export const HOPS_MAX = 16

const NAME_BYTES: Buffer = Buffer.from(PATH_PROPERTY)

export class PathWriter {
  readonly #identity: string
  /** Property Length and the User Property of a message that begins here; its last bytes are the marks of the message. */
  readonly #own: Uint8Array
  /** Field as `own` with a Topic Alias before the User Property, and the place of its two bytes. */
  readonly #aliased: Uint8Array
  readonly #aliasAt: number

  constructor(identity: string) {
    this.#identity = identity
    const value = `${identity}:${'0'.repeat(MARK_DIGITS)}`
    this.#own = encodeProperties({ userProperties: [[PATH_PROPERTY, value]] }, PacketType.PUBLISH)
    const alias = encodeProperties({ topicAlias: 1 }, PacketType.PUBLISH)
    this.#aliased = joinPropertyFields(alias, this.#own)
    // The Property Length may have another number of bytes: counted from the end.
    this.#aliasAt = this.#aliased.length - (this.#own.length - lengthBytes(this.#own)) - 2
  }

  /**
   * Returns Property Length and properties with this broker at the end of the path; null when the path would be too
   * long. They are good until the next call. `topic` is that at the remote broker.
   */
  field(message: RelayedMessage, topic: string, nowMs: number, topicAlias: number): Uint8Array | null {
    const { payload } = message
    // Most messages have no properties: nothing is joined for them.
    if (message.propertyField(nowMs, null, 0).length === 1) {
      const bare = topicAlias === 0 ? this.#own : this.#aliased
      if (topicAlias !== 0) {
        bare[this.#aliasAt] = topicAlias >>> 8
        bare[this.#aliasAt + 1] = topicAlias & 0xff
      }
      writeMarks(bare, bare.length - MARK_DIGITS, topic, payload)
      return bare
    }
    const field = message.propertyField(nowMs, null, topicAlias)
    if (!hasName(field)) {
      const own = this.#own
      writeMarks(own, own.length - MARK_DIGITS, topic, payload)
      return joinPropertyFields(field, own)
    }
    const path = pathOf(message.properties)
    const longer = pathWith(path, this.#identity)
    if (longer.split(',').length > HOPS_MAX) return null
    const properties = withPath(message.properties, longer, marksOf(topic, payload))
    // The rest of its expiry, and its alias, as `propertyField` has them.
    const rest = encodeProperties(
      {
        ...(topicAlias === 0 ? {} : { topicAlias }),
        ...(message.expiresAtMs === Number.POSITIVE_INFINITY
          ? {}
          : { messageExpiryIntervalSeconds: Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000)) }),
      },
      PacketType.PUBLISH,
    )
    return joinPropertyFields(encodeProperties(properties, PacketType.PUBLISH), rest)
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

/** Returns the number of bytes of the Property Length that a field begins with. */
function lengthBytes(field: Uint8Array): number {
  let bytes = 1
  while (field[bytes - 1]! > 0x7f) bytes++
  return bytes
}
