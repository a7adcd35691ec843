/**
 * The contents of a `mosquitto.db`, as Mosquitto wrote them: clients, subscriptions, what waits for whom, and messages by their number.
 *
 * `records.ts` makes sessions and messages of ours of it. Payloads stay in the file until they are asked for, so memory grows with the
 * number of chunks and not with their bytes.
 *
 * Invariant: a damaged chunk loses itself and nothing else; a file that is cut short or overwritten loses what follows the damage. Each
 * loss is a sentence in `damage`.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { decodeProperties, NO_PROPERTIES, PacketType, type Properties } from '@recado/protocol'
import {
  CHUNK_HEADER_BYTES,
  Chunk,
  databaseError,
  HEADER_BYTES,
  HeadBytes,
  MAGIC,
  qosOf,
  SubscriptionBit,
  VERSION,
} from './layout.ts'
import {
  type DatabaseClient,
  type DatabaseDelivery,
  type DatabaseMessage,
  type DatabaseSubscription,
  SnapshotContents,
} from './snapshot.ts'

/** Bytes that are read from the file at once. */
const WINDOW_BYTES = 1024 * 1024

/** The contents of a file, in its order: deliveries stand in the order of sending for each client. */
export class MosquittoDatabase extends SnapshotContents {
  readonly version: number
  readonly #file: FileWindow
  readonly #damaged: Set<bigint> = new Set()
  readonly #usernames: Set<string> = new Set()
  readonly #messages: Map<bigint, { readonly at: number; readonly length: number }> = new Map()

  /**
   * Reads the file but for its payloads. `close` it in the end.
   * @throws MqttError ERR_RECADO_MOSQUITTO_DB when it is no such file, or of a version that is not supported; what the system says when it
   * cannot be read
   */
  static open(path: string): MosquittoDatabase {
    const file = new FileWindow(path)
    try {
      return new MosquittoDatabase(path, file)
    } catch (error) {
      file.close()
      throw error
    }
  }

  private constructor(path: string, file: FileWindow) {
    super(path, file.changedAtMs)
    this.#file = file
    this.version = this.#readHeader()
    this.#readChunks()
  }

  close(): void {
    this.#file.close()
  }

  hasMessage(id: bigint): boolean {
    return this.#messages.has(id)
  }

  /** Returns null for a message that is not in the file or is damaged, which is noted. */
  message(id: bigint): DatabaseMessage | null {
    if (this.#damaged.has(id)) return null
    const place = this.#messages.get(id)
    if (place === undefined) return null
    try {
      return messageOf(new Body(this.#file.bytes(place.at, place.length)))
    } catch (error) {
      this.#damaged.add(id)
      this.noteDamage(`the message at byte ${place.at} is damaged (${(error as Error).message})`)
      return null
    }
  }

  #readHeader(): number {
    const { path } = this
    if (this.#file.size < HEADER_BYTES) {
      throw databaseError(`${path} is not a database of Mosquitto: it has ${this.#file.size} bytes`)
    }
    const header = this.#file.bytes(0, HEADER_BYTES)
    if (header.every((byte) => byte === 0)) {
      throw databaseError(
        `${path} begins with zeros, as a file that Mosquitto was writing at a power cut: nothing can be read`,
      )
    }
    if (!header.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw databaseError(`${path} is not a database of Mosquitto: it does not begin as one`)
    }
    const version = header.readUInt32BE(MAGIC.length + 4)
    if (version === 5 || version === VERSION) return version
    const advice =
      version < 5
        ? 'start Mosquitto 2.0 or 2.1 with it once and stop it: it then has version 6'
        : 'a newer Mosquitto has written it'
    throw databaseError(`${path} has version ${version}, and versions 5 and 6 can be read: ${advice}`)
  }

  #readChunks(): void {
    const { size } = this.#file
    let at = HEADER_BYTES
    while (at < size) {
      if (size - at < CHUNK_HEADER_BYTES) {
        this.noteDamage(`the file is cut short at byte ${at}: what followed is lost`)
        return
      }
      const header = this.#file.bytes(at, CHUNK_HEADER_BYTES)
      const type = header.readUInt32BE(0)
      const length = header.readUInt32BE(4)
      if (type === 0) {
        this.noteDamage(`there are zeros from byte ${at} on: what followed is lost`)
        return
      }
      const bodyAt = at + CHUNK_HEADER_BYTES
      if (length > size - bodyAt) {
        this.noteDamage(`the file is cut short, or damaged, at byte ${at}: what followed is lost`)
        return
      }
      try {
        this.#readChunk(type, bodyAt, length)
      } catch (error) {
        this.noteDamage(`the chunk of type ${type} at byte ${at} is damaged (${(error as Error).message})`)
      }
      at = bodyAt + length
    }
  }

  #readChunk(type: number, at: number, length: number): void {
    const body = (): Body => new Body(this.#file.bytes(at, length))
    switch (type) {
      case Chunk.Config: {
        const idBytes = body().bytes(HeadBytes.Config).readUInt8(9)
        if (idBytes !== 8) throw new Error(`message numbers have ${idBytes} bytes, and 8 can be read`)
        return
      }
      case Chunk.Message:
        if (length < HeadBytes.Message) throw new Error('it is too short')
        this.#messages.set(this.#file.bytes(at, 8).readBigUInt64LE(0), { at, length })
        return
      case Chunk.Client: {
        const client = clientOf(body(), this.version)
        this.clients.set(client.clientId, { ...client, username: this.#ownUsername(client.username) })
        return
      }
      case Chunk.ClientMessage: {
        const delivery = deliveryOf(body())
        this.addUnknownClient(delivery.clientId)
        this.deliveries.push(delivery)
        return
      }
      case Chunk.Subscription: {
        const subscription = subscriptionOf(body())
        this.addUnknownClient(subscription.clientId)
        this.subscriptions.push(subscription)
        return
      }
      case Chunk.Retained:
        this.retained.push(body().bytes(HeadBytes.Retained).readBigUInt64LE(0))
    }
    // Other types are passed over, as Mosquitto does.
  }

  /**
   * Returns null for a user name that may be another client's. Mosquitto 2.0 gives a client without a user name that of a client before
   * it, or memory that begins with it, so only a name that comes for the first time is certain.
   */
  #ownUsername(username: string | null): string | null {
    if (username === null || this.#usernames.has(username)) return null
    this.#usernames.add(username)
    return username
  }
}

function clientOf(body: Body, version: number): DatabaseClient {
  const head = body.bytes(version === 5 ? HeadBytes.Client5 : HeadBytes.Client)
  const clientId = body.text(head.readUInt16BE(14))
  const usernameBytes = version === 5 ? 0 : head.readUInt16BE(18)
  if (clientId === '') throw new Error('it has no Client Identifier')
  return {
    clientId,
    username: usernameOf(body.bytes(usernameBytes)),
    expiresAtSeconds: secondsAt(head, 0),
    expirySeconds: head.readUInt32BE(8),
  }
}

/** Returns null for bytes that no client can have sent as its user name. */
function usernameOf(bytes: Buffer): string | null {
  if (bytes.length === 0 || bytes.includes(0)) return null
  try {
    return utf8.decode(bytes)
  } catch {
    return null // memory that Mosquitto 2.0 wrote by mistake
  }
}

function deliveryOf(body: Body): DatabaseDelivery {
  const head = body.bytes(HeadBytes.ClientMessage)
  const clientId = body.text(head.readUInt16BE(10))
  const { subscriptionIdentifiers = [] } = body.properties()
  return {
    clientId,
    messageId: head.readBigUInt64LE(0),
    packetId: head.readUInt16BE(8),
    qos: qosOf(head.readUInt8(12)),
    state: head.readUInt8(13),
    retain: (head.readUInt8(14) & 0xf0) !== 0,
    direction: head.readUInt8(15),
    subscriptionIdentifiers,
  }
}

function subscriptionOf(body: Body): DatabaseSubscription {
  const head = body.bytes(HeadBytes.Subscription)
  const clientId = body.text(head.readUInt16BE(4))
  const topicFilter = body.text(head.readUInt16BE(6))
  const options = head.readUInt8(9)
  return {
    clientId,
    topicFilter,
    qos: qosOf(head.readUInt8(8)),
    noLocal: (options & SubscriptionBit.NoLocal) !== 0,
    retainAsPublished: (options & SubscriptionBit.RetainAsPublished) !== 0,
    subscriptionIdentifier: head.readUInt32BE(0),
  }
}

function messageOf(body: Body): DatabaseMessage {
  const head = body.bytes(HeadBytes.Message)
  const payloadBytes = head.readUInt32BE(16)
  const [sourceIdBytes, usernameBytes, topicBytes] = [
    head.readUInt16BE(22),
    head.readUInt16BE(24),
    head.readUInt16BE(26),
  ]
  body.bytes(sourceIdBytes + usernameBytes)
  const topic = body.text(topicBytes)
  // Kept while the window of the file moves on.
  const payload = Buffer.from(body.bytes(payloadBytes))
  const { messageExpiryIntervalSeconds: _, ...properties } = body.properties()
  return {
    topic,
    qos: qosOf(head.readUInt8(30)),
    retain: head.readUInt8(31) !== 0,
    payload,
    properties,
    expiresAtSeconds: secondsAt(head, 8),
  }
}

function secondsAt(head: Buffer, at: number): number {
  const seconds = Number(head.readBigInt64LE(at))
  if (!Number.isSafeInteger(seconds) || seconds < 0) throw new Error('it has a time that cannot be')
  return seconds
}

/** The body of a chunk, read from its start to its end. */
class Body {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  bytes(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new Error('it is too short for the lengths in it')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  text(length: number): string {
    try {
      return utf8.decode(this.bytes(length))
    } catch (error) {
      throw error instanceof TypeError ? new Error('a text in it is not UTF-8') : error
    }
  }

  /** Returns the properties that end it, if there are any. */
  properties(): Properties {
    if (this.#at === this.#bytes.length) return NO_PROPERTIES
    return decodeProperties(Uint8Array.from(this.bytes(this.#bytes.length - this.#at)), PacketType.PUBLISH)
  }
}

const utf8: InstanceType<typeof TextDecoder> = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A file, read through a window of `WINDOW_BYTES`. */
class FileWindow {
  readonly size: number
  readonly changedAtMs: number
  readonly #fd: number
  readonly #window: Buffer = Buffer.allocUnsafe(WINDOW_BYTES)
  #start = 0
  #end = 0

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    const { size, mtimeMs } = fstatSync(this.#fd)
    this.size = size
    this.changedAtMs = Math.floor(mtimeMs)
  }

  /** Returns bytes that are valid until the next call. */
  bytes(at: number, length: number): Buffer {
    if (length > WINDOW_BYTES) return this.#read(Buffer.allocUnsafe(length), at, length)
    if (at < this.#start || at + length > this.#end) {
      const wanted = Math.min(WINDOW_BYTES, this.size - at)
      this.#read(this.#window, at, wanted)
      this.#start = at
      this.#end = at + wanted
    }
    return this.#window.subarray(at - this.#start, at - this.#start + length)
  }

  #read(into: Buffer, at: number, length: number): Buffer {
    let done = 0
    while (done < length) {
      const count = readSync(this.#fd, into, done, length - done, at + done)
      if (count === 0) throw databaseError(`the file has become shorter while it was read, at byte ${at + done}`)
      done += count
    }
    return into.subarray(0, length)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
