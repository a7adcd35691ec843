/**
 * The path of a message over bridges: a User Property with the identities of the brokers that have sent it on.
 *
 * A bridge of MQTT 5.0 puts it on; `handlePublish` and bridges look whether a message has been at this broker before.
 * A client may publish an answer with the properties that it has received: `believedPath` tells it from the message that
 * the path belongs to.
 * Invariant: a message that comes back to a broker on its path is not taken a second time. So the identity of a broker
 * is in its store, and outlives the process and the sessions of its bridges.
 */
import { type Properties, type PropertySource, userPropertyOf } from '@recado/protocol'
import { type Store, Table } from '../../ports.ts'

/** Key of the identity of this broker, in the table Meta. */
export const IDENTITY_KEY = 2

/** Returns the identity that this broker has used before; null when there is none. */
export function storedIdentity(store: Store): string | null {
  const bytes = store.get(Table.Meta, IDENTITY_KEY, 0, 0)
  return bytes === undefined || bytes.length === 0 ? null : new TextDecoder().decode(bytes)
}

/** Name of the User Property: a path, and in messages a colon and the marks of the message that it was written for. */
export const PATH_PROPERTY = 'recado-path'

/** Stands on a path for what a message was before a client published it anew, with the property copied. */
const ANEW = '*'
/** Times that a message may be published anew with the property copied. */
const ANEW_MAX = 8

/** Bytes of a payload that are looked at, at its beginning and at its end. */
const MARKED_BYTES = 2_048
/** Hexadecimal digits of a hash. */
const HASH_DIGITS = 8
/** Hexadecimal digits of the marks of a message: two hashes. */
export const MARK_DIGITS: number = 2 * HASH_DIGITS
const HASH_START = 0x811c_9dc5
const HASH_FACTOR = 0x0100_0193

/** Returns the value of the property; '' when there is none. */
export function pathProperty({ userProperties }: Properties): string {
  if (userProperties === undefined) return ''
  for (const [name, value] of userProperties) if (name === PATH_PROPERTY) return value
  return ''
}

const PATH_PROPERTY_BYTES = new TextEncoder().encode(PATH_PROPERTY)
const utf8 = new TextDecoder()

/** Returns the value of the property in a PUBLISH; '' when it has none. Its properties are not decoded for that. */
export function pathPropertyOf({ properties, rawProperties, buffer, payloadStart }: PropertySource): string {
  if (rawProperties === null) return pathProperty(properties)
  if (!rawProperties.hasUserProperties) return ''
  const value = userPropertyOf(rawProperties, buffer, payloadStart - rawProperties.fieldBytes, PATH_PROPERTY_BYTES)
  return value === null ? '' : utf8.decode(buffer.subarray(value.start, value.end))
}

/** Returns the path in a value of the property: identities with commas between them, the first broker first. */
export function pathIn(value: string): string {
  const end = value.indexOf(':')
  return end === -1 ? value : value.slice(0, end)
}

/** Returns the path of a message; '' when it has none. */
export function pathOf(properties: Properties): string {
  return pathIn(pathProperty(properties))
}

/** Whether the broker with this identity is on a path. */
export function isOnPath(path: string, identity: string): boolean {
  // Every message over a bridge is looked at: no list is made, and mostly no other text.
  return path.includes(identity) && `,${path},`.includes(`,${identity},`)
}

/** Whether bridges have brought a message with this path; false where a client has published it anew. */
export function isBrought(path: string): boolean {
  return path !== '' && !path.endsWith(ANEW)
}

/** Properties with another path; '' takes it off. `marks`: of the message; '' for none. */
export function withPath(properties: Properties, path: string, marks: string): Properties {
  const others = (properties.userProperties ?? []).filter(([name]) => name !== PATH_PROPERTY)
  const { userProperties: _, ...rest } = properties
  const value = marks === '' ? path : `${path}:${marks}`
  const userProperties: [string, string][] = path === '' ? others : [...others, [PATH_PROPERTY, value]]
  return userProperties.length === 0 ? rest : { ...rest, userProperties }
}

/** Returns the marks by which a message is known again: a hash of its topic, one of its last topic level and payload. */
export function marksOf(topic: string, payload: Uint8Array): string {
  return hexOf(topicHash(topic)) + hexOf(contentHash(topic, payload))
}

/** Writes the marks of a message as hexadecimal digits. */
export function writeMarks(bytes: Uint8Array, at: number, topic: string, payload: Uint8Array): void {
  writeHex(bytes, at, topicHash(topic))
  writeHex(bytes, at + HASH_DIGITS, contentHash(topic, payload))
}

/**
 * Returns the path in a value of the property, of a message that is not known to come from a broker with paths: it may have been brought by a
 * bridge of another kind, or published by a client that has copied the property of another message.
 *
 * It has been brought when it is the message that the property was written for. Bridges change prefixes of topics, not
 * the last level, nor the payload. `keepsTopic`: it comes from one who would not change prefixes either. Otherwise the
 * path begins anew. That must come to an end, too: something may carry messages round and change them. Returns null when
 * a message was published anew too often.
 */
export function believedPath(value: string, topic: string, payload: Uint8Array, keepsTopic: boolean): string | null {
  const end = value.indexOf(':')
  if (end === -1) return value
  const path = value.slice(0, end)
  const marks = marksOf(topic, payload)
  const isSame = keepsTopic ? value.endsWith(marks) : value.endsWith(marks.slice(HASH_DIGITS))
  if (isSame) return path
  const times = path.split(',').filter((each) => each === ANEW).length
  return times >= ANEW_MAX ? null : Array.from({ length: times + 1 }, () => ANEW).join(',')
}

function topicHash(topic: string): number {
  let hash = HASH_START
  for (let i = 0; i < topic.length; i++) hash = Math.imul(hash ^ topic.charCodeAt(i), HASH_FACTOR)
  return hash
}

/** FNV-1a of the last topic level, the length of the payload, and its bytes. */
function contentHash(topic: string, payload: Uint8Array): number {
  const { length } = payload
  let hash = HASH_START
  for (let i = topic.lastIndexOf('/') + 1; i < topic.length; i++)
    hash = Math.imul(hash ^ topic.charCodeAt(i), HASH_FACTOR)
  hash = Math.imul(hash ^ length, HASH_FACTOR)
  const firstEnd = Math.min(length, MARKED_BYTES)
  for (let i = 0; i < firstEnd; i++) hash = Math.imul(hash ^ payload[i]!, HASH_FACTOR)
  for (let i = Math.max(firstEnd, length - MARKED_BYTES); i < length; i++)
    hash = Math.imul(hash ^ payload[i]!, HASH_FACTOR)
  return hash
}

function hexOf(hash: number): string {
  return (hash >>> 0).toString(16).padStart(HASH_DIGITS, '0')
}

function writeHex(bytes: Uint8Array, at: number, hash: number): void {
  for (let i = 0; i < HASH_DIGITS; i++) {
    const digit = (hash >>> (4 * (HASH_DIGITS - 1 - i))) & 0xf
    bytes[at + i] = digit + (digit < 10 ? 0x30 : 0x57)
  }
}
