/**
 * The contents of a store as lines of JSON, for `recado export` and `import`; docs/durability.md documents the form.
 *
 * The first line is the header, each other one a session, Will, message or retained message. Bytes that are UTF-8 are
 * text (`payload`), others Base64 (`payloadBase64`); times are ISO 8601, null means never. Invariant: `parseRecord` of
 * `recordText` is the same record; the broker can recover every record that `parseRecord` accepts.
 */
import type {
  MessageProperties,
  StoredApplicationMessage,
  StoredClient,
  StoredDelayedMessage,
  StoredMessage,
  StoredRecipient,
  StoredRecord,
  StoredRetainedMessage,
  StoredSession,
  StoredSessionlessWill,
  StoredWill,
} from '@recado/broker'
import { isTopicFilter, isTopicName, type QoS } from '@recado/protocol'

const FORMAT = 'recado-export'
const FORMAT_VERSION = 1
const NEVER_EXPIRES = 0xffff_ffff
const UINT16_MAX = 0xffff
const UINT32_MAX = 0xffff_ffff
const SUBSCRIPTION_IDENTIFIER_MAX = 268_435_455
const CLIENT_ID_BYTES_MAX = 65_535

export const headerText: string = JSON.stringify({ kind: 'header', format: FORMAT, version: FORMAT_VERSION })

export function recordText(record: StoredRecord): string {
  return JSON.stringify(recordJson(record))
}

/** Returns the record as the object that `recordText` prints. */
export function recordJson(record: StoredRecord): object {
  switch (record.kind) {
    case 'session':
      return sessionJson(record)
    case 'will':
      return { kind: 'will', clientId: record.clientId, ...willJson(record) }
    case 'message':
      return {
        kind: 'message',
        ...messageJson(record),
        expiresAt: timeText(record.expiresAtMs),
        recipients: record.recipients.map(recipientJson),
      }
    case 'retained':
      return { kind: 'retained', ...messageJson(record), expiresAt: timeText(record.expiresAtMs) }
    case 'delayed':
      return delayedJson(record)
  }
}

function sessionJson(session: StoredSession): object {
  const { clientId, expirySeconds, disconnectedAtMs, subscriptions, receivedPacketIds, will, owner } = session
  return {
    kind: 'session',
    clientId,
    ...(owner === null ? {} : { owner }),
    expirySeconds: expirySeconds === NEVER_EXPIRES ? null : expirySeconds,
    disconnectedAt: timeText(disconnectedAtMs),
    subscriptions,
    ...(receivedPacketIds.length > 0 ? { receivedPacketIds } : {}),
    ...(will === null ? {} : { will: willJson(will) }),
  }
}

function willJson(will: StoredWill): object {
  const { delaySeconds, dueAtMs, leftBy } = will
  const dueAt = timeText(dueAtMs)
  return { ...messageJson(will), delaySeconds, dueAt, ...(leftBy === null ? {} : { leftBy }) }
}

function delayedJson(record: StoredDelayedMessage): object {
  const { leftBy, expiresAtMs, dueAtMs } = record
  return {
    kind: 'delayed',
    ...messageJson(record),
    dueAt: timeText(dueAtMs),
    expiresAt: timeText(expiresAtMs),
    ...(leftBy === null ? {} : { leftBy }),
  }
}

function recipientJson(recipient: StoredRecipient): object {
  const { clientId, qos, retain, subscriptionIdentifiers, packetId, awaits } = recipient
  return {
    clientId,
    qos,
    ...(retain ? { retain } : {}),
    ...(subscriptionIdentifiers.length > 0 ? { subscriptionIdentifiers } : {}),
    ...(awaits === null ? {} : { packetId, awaits }),
  }
}

function messageJson({ topic, qos, retain, payload, properties }: StoredApplicationMessage): object {
  const { correlationData, ...others } = properties
  const all = { ...others, ...(correlationData === undefined ? {} : bytesJson('correlationData', correlationData)) }
  return {
    topic,
    qos,
    retain,
    ...bytesJson('payload', payload),
    ...(Object.keys(all).length > 0 ? { properties: all } : {}),
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function bytesJson(name: string, bytes: Uint8Array): object {
  try {
    return { [name]: utf8.decode(bytes) }
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }
  }
}

const timeText = (timeMs: number | null): string | null => (timeMs === null ? null : new Date(timeMs).toISOString())

/** Error in a line; `message` describes it, without the line's number. */
export class ContentsError extends Error {
  override readonly name = 'ContentsError'
}

/** Checks the header. @throws ContentsError when `line` is not the first line of an export that we can read */
export function checkHeader(line: string): void {
  const { kind, format, version } = new Fields(parseJson(line), '').all()
  if (kind !== 'header' || format !== FORMAT) throw new ContentsError('this is not an export of recado')
  if (version !== FORMAT_VERSION) {
    throw new ContentsError(`this export has version ${version}; this program knows ${FORMAT_VERSION}`)
  }
}

/** Parses a record. @throws ContentsError */
export function parseRecord(line: string): StoredRecord {
  const fields = new Fields(parseJson(line), '')
  const kind = fields.text('kind')
  let record: StoredRecord
  if (kind === 'session') record = sessionOf(fields)
  else if (kind === 'will') record = sessionlessWillOf(fields)
  else if (kind === 'message') record = waitingMessageOf(fields)
  else if (kind === 'retained') record = retainedOf(fields)
  else if (kind === 'delayed') record = delayedOf(fields)
  else throw new ContentsError(`kind is "${kind}"; it must be session, will, message, retained or delayed`)
  fields.end()
  return record
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    throw new ContentsError(`this is not JSON: ${(error as Error).message}`)
  }
}

function clientIdOf(fields: Fields): string {
  const clientId = fields.text('clientId')
  if (clientId === '' || Buffer.byteLength(clientId) > CLIENT_ID_BYTES_MAX) {
    throw new ContentsError('clientId must have 1 to 65535 bytes')
  }
  return clientId
}

function sessionOf(fields: Fields): StoredSession {
  return {
    kind: 'session',
    clientId: clientIdOf(fields),
    expirySeconds: fields.isNull('expirySeconds') ? NEVER_EXPIRES : fields.integer('expirySeconds', 0, UINT32_MAX),
    disconnectedAtMs: fields.time('disconnectedAt'),
    subscriptions: fields.list('subscriptions').map((each) => {
      const topicFilter = each.text('topicFilter')
      if (!isTopicFilter(topicFilter)) throw new ContentsError(`"${topicFilter}" is not a Topic Filter`)
      const subscription = {
        topicFilter,
        qos: each.integer('qos', 0, 2) as QoS,
        noLocal: each.truth('noLocal'),
        retainAsPublished: each.truth('retainAsPublished'),
        subscriptionIdentifier: each.integer('subscriptionIdentifier', 0, SUBSCRIPTION_IDENTIFIER_MAX, 0),
      }
      each.end()
      return subscription
    }),
    receivedPacketIds: fields.integers('receivedPacketIds', 1, UINT16_MAX),
    will: fields.object('will', willOf),
    owner: fields.has('owner') ? fields.text('owner') : null,
  }
}

function willOf(fields: Fields): StoredWill {
  return {
    ...messageOf(fields),
    delaySeconds: fields.integer('delaySeconds', 0, UINT32_MAX, 0),
    dueAtMs: fields.time('dueAt'),
    leftBy: fields.object('leftBy', leftByOf),
  }
}

function sessionlessWillOf(fields: Fields): StoredSessionlessWill {
  return { kind: 'will', clientId: clientIdOf(fields), ...willOf(fields) }
}

function leftByOf(fields: Fields): StoredClient {
  const username = fields.has('username') ? { username: fields.text('username') } : {}
  const isBridge = fields.truth('isBridge') ? { isBridge: true } : {}
  const listener = fields.text('listener')
  if (!fields.has('grants')) return { ...username, listener, ...isBridge }
  const grants = fields.object('grants', (lists) => ({
    publish: lists.texts('publish'),
    subscribe: lists.texts('subscribe'),
  }))
  return { ...username, listener, ...isBridge, grants }
}

function waitingMessageOf(fields: Fields): StoredMessage {
  const message = messageOf(fields)
  const recipients = fields.list('recipients').map(recipientOf)
  if (recipients.length === 0) throw new ContentsError('recipients must not be empty')
  return { kind: 'message', ...message, expiresAtMs: fields.time('expiresAt'), recipients }
}

function recipientOf(fields: Fields): StoredRecipient {
  const awaits = fields.has('awaits') ? fields.text('awaits') : null
  if (awaits !== null && awaits !== 'PUBACK' && awaits !== 'PUBREC' && awaits !== 'PUBCOMP') {
    throw new ContentsError(`awaits is "${awaits}"; it must be PUBACK, PUBREC or PUBCOMP`)
  }
  const recipient: StoredRecipient = {
    clientId: fields.text('clientId'),
    qos: fields.integer('qos', 0, 2) as QoS,
    retain: fields.truth('retain'),
    subscriptionIdentifiers: fields.integers('subscriptionIdentifiers', 1, SUBSCRIPTION_IDENTIFIER_MAX),
    packetId: awaits === null ? 0 : fields.integer('packetId', 1, UINT16_MAX),
    awaits,
  }
  fields.end()
  return recipient
}

function retainedOf(fields: Fields): StoredRetainedMessage {
  return { kind: 'retained', ...messageOf(fields), expiresAtMs: fields.time('expiresAt') }
}

function delayedOf(fields: Fields): StoredDelayedMessage {
  const message = messageOf(fields)
  const dueAtMs = fields.time('dueAt')
  if (dueAtMs === null) throw new ContentsError('dueAt must be a time such as 2026-01-31T12:00:00.000Z')
  const expiresAtMs = fields.time('expiresAt')
  const leftBy = fields.object('leftBy', (client) => ({ clientId: clientIdOf(client), ...leftByOf(client) }))
  return { kind: 'delayed', ...message, dueAtMs, expiresAtMs, leftBy }
}

function messageOf(fields: Fields): StoredApplicationMessage {
  const topic = fields.text('topic')
  if (!isTopicName(topic)) throw new ContentsError(`"${topic}" is not a Topic Name`)
  return {
    topic,
    qos: fields.integer('qos', 0, 2) as QoS,
    retain: fields.truth('retain'),
    payload: fields.bytes('payload') ?? new Uint8Array(0),
    properties: fields.object('properties', propertiesOf) ?? {},
  }
}

function propertiesOf(fields: Fields): MessageProperties {
  const properties: MessageProperties = {}
  if (fields.has('payloadFormatIndicator'))
    properties.payloadFormatIndicator = fields.integer('payloadFormatIndicator', 0, 1)
  if (fields.has('messageExpiryIntervalSeconds')) {
    properties.messageExpiryIntervalSeconds = fields.integer('messageExpiryIntervalSeconds', 0, UINT32_MAX)
  }
  if (fields.has('contentType')) properties.contentType = fields.text('contentType')
  if (fields.has('responseTopic')) properties.responseTopic = fields.text('responseTopic')
  const correlationData = fields.bytes('correlationData')
  if (correlationData !== null) properties.correlationData = correlationData
  if (fields.has('userProperties')) properties.userProperties = fields.pairs('userProperties')
  return properties
}

/** Members of a JSON object, each read once; a member that is never read is an error. */
class Fields {
  readonly #members: Record<string, unknown>
  readonly #path: string
  readonly #unasked: Set<string>

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ContentsError(`${path === '' ? 'a line' : path} must be a JSON object`)
    }
    this.#members = value as Record<string, unknown>
    this.#path = path === '' ? '' : `${path}.`
    this.#unasked = new Set(Object.keys(value))
  }

  all(): Record<string, unknown> {
    return this.#members
  }

  has(name: string): boolean {
    return this.#members[name] !== undefined
  }

  isNull(name: string): boolean {
    return this.#take(name) === null
  }

  #take(name: string): unknown {
    this.#unasked.delete(name)
    return this.#members[name]
  }

  #wrong(name: string, expected: string): ContentsError {
    return new ContentsError(`${this.#path}${name} must be ${expected}`)
  }

  text(name: string): string {
    const value = this.#take(name)
    if (typeof value !== 'string' || /\p{Surrogate}/u.test(value)) throw this.#wrong(name, 'a text')
    return value
  }

  truth(name: string): boolean {
    const value = this.#take(name) ?? false
    if (typeof value !== 'boolean') throw this.#wrong(name, 'true or false')
    return value
  }

  integer(name: string, min: number, max: number, absent?: number): number {
    const value = this.#take(name) ?? absent
    if (!isInteger(value, min, max)) throw this.#wrong(name, `a whole number from ${min} to ${max}`)
    return value
  }

  integers(name: string, min: number, max: number): number[] {
    const value = this.#take(name) ?? []
    if (Array.isArray(value) && value.every((each): each is number => isInteger(each, min, max))) return value
    throw this.#wrong(name, `a list of whole numbers from ${min} to ${max}`)
  }

  texts(name: string): string[] {
    const value = this.#take(name)
    if (Array.isArray(value) && value.every((each): each is string => typeof each === 'string')) return value
    throw this.#wrong(name, 'a list of texts')
  }

  pairs(name: string): [string, string][] {
    const value = this.#take(name)
    const isPair = (each: unknown): each is [string, string] =>
      Array.isArray(each) && each.length === 2 && each.every((text) => typeof text === 'string')
    if (Array.isArray(value) && value.every(isPair)) return value
    throw this.#wrong(name, 'a list of pairs of texts')
  }

  /** Returns the time of a member; null when it is absent or null. */
  time(name: string): number | null {
    const value = this.#take(name) ?? null
    if (value === null) return null
    const timeMs = typeof value === 'string' ? Date.parse(value) : Number.NaN
    if (!(timeMs > 0)) throw this.#wrong(name, 'a time such as 2026-01-31T12:00:00.000Z, or null')
    return timeMs
  }

  /** Returns bytes of a member; null when neither `name` nor `nameBase64` is there. */
  bytes(name: string): Uint8Array | null {
    const base64 = this.#take(`${name}Base64`)
    if (base64 !== undefined) {
      const isBase64 = typeof base64 === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(base64) && base64.length % 4 === 0
      if (!isBase64 || this.has(name)) throw this.#wrong(`${name}Base64`, `Base64, and without ${name} beside it`)
      return Buffer.from(base64, 'base64')
    }
    return this.has(name) ? new TextEncoder().encode(this.text(name)) : null
  }

  list(name: string): Fields[] {
    const value = this.#take(name) ?? []
    if (!Array.isArray(value)) throw this.#wrong(name, 'a list')
    return value.map((each, index) => new Fields(each, `${this.#path}${name}[${index}]`))
  }

  /** Returns the object of a member; null when it is absent. */
  object<T>(name: string, parse: (fields: Fields) => T): T | null {
    const value = this.#take(name) ?? null
    if (value === null) return null
    const fields = new Fields(value, `${this.#path}${name}`)
    const result = parse(fields)
    fields.end()
    return result
  }

  /** Ends the reading. @throws ContentsError when a member was not read */
  end(): void {
    for (const name of this.#unasked) throw new ContentsError(`${this.#path}${name} means nothing here`)
  }
}

function isInteger(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}
