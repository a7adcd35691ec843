/**
 * One connection of the random walk: writes as it is told, judges received packets, and acknowledges as its script
 * says.
 *
 * Made by `lane.ts` for each CONNECT. Once another connection has the same Client Identifier (`isReplaced`), or the
 * script has closed it, received packets are only checked for their form, as if they had been lost on the way.
 */
import { createConnection, type Socket } from 'node:net'
import type { Client, Incoming } from './client.ts'
import {
  ackOf,
  Kind,
  Malformed,
  numberOf,
  type Packet,
  PINGREQ,
  Property,
  propertyOf,
  publishOf,
  Reader,
  type Version,
} from './codec.ts'
import { FOREVER, type Message, numberIn, type SubscriptionPeriod, type Ticks } from './model.ts'
import type { Acks } from './script.ts'
import type { Trace } from './trace.ts'

/** Calls of a connection to its lane. */
export interface LaneCalls {
  readonly port: number
  readonly ticks: Ticks
  readonly isOnPubrel: boolean
  /** Whether the broker is being stopped or was killed: connections end. */
  readonly isStopping: () => boolean
  readonly messageOf: (number: number) => Message | null
  readonly found: (kind: string, text: string) => void
  readonly trace: Trace
  /** Called when something has come or ended. */
  readonly onActivity: () => void
  readonly onClosed: (connection: Connection) => void
  readonly onConnack: (connection: Connection, packet: Packet) => void
  /** Called when the broker says that no subscription matches. */
  readonly onNobody: (message: Message, where: string) => void
}

export interface Asked {
  readonly version: Version
  readonly clean: boolean
  readonly expirySeconds: number
  readonly receiveMaximum: number
  readonly packetMax: number
  readonly aliases: number
}

type Request =
  | { readonly kind: 'subscribe'; readonly periods: readonly SubscriptionPeriod[] }
  | { readonly kind: 'unsubscribe'; readonly filters: readonly string[]; readonly askedAt: number }

const DISCONNECTED = 0x8e
const SHUTTING_DOWN = 0x8b
const REFUSALS: readonly number[] = [0x80, 0x83, 0x97, 0x99]

export class Connection {
  readonly client: Client
  readonly asked: Asked
  readonly will: Message | null
  readonly willDelay: number
  readonly sentMs: number = performance.now()
  /** Tick of its CONNACK. */
  connectedAt = 0
  acks: Acks = 'auto'
  holdsPubrels = false
  isDeaf = false
  /** Whether it once did not read: messages sent meanwhile may have been dropped at QoS 0. */
  hadPaused = false
  /** Whether another connection has its Client Identifier. */
  isReplaced = false
  /** Whether its session is a new one. */
  isFirst = false
  /** Whether the script has ended it. */
  isLeaving = false
  isClosed = false
  /** Time when the script began to close it, or it was seen to be closed; 0 before. */
  closeBeganMs = 0
  /** Time when the broker had surely noticed; 0 before. */
  closedMs = 0
  /** DISCONNECT that the script sent; null when none was sent. */
  sentDisconnect: { readonly code: number; readonly expirySeconds: number | null } | null = null
  /** Whether the end of the broker has ended the connection; the script had not ended it before. */
  isTaken = false
  /** Whether the broker has closed it after the DISCONNECT, and so has handled that. */
  isConfirmed = false
  pings = 0
  readonly requests: Map<number, Request> = new Map()
  /** QoS 0 messages that no PINGRESP has confirmed, and how many of them were before each PINGREQ. */
  unconfirmed: Message[] = []
  readonly #pingMarks: number[] = []
  serverReceiveMaximum = 65_535
  serverAliases = 0
  readonly aliasesOut: Map<number, string> = new Map()
  readonly #aliasesIn = new Map<number, string>()
  readonly #socket: Socket
  readonly #lane: LaneCalls
  readonly #inflight = new Set<number>()
  #held: (() => void)[] = []
  #isSplit = false
  #isMute = false
  #waiting: Buffer[] = []
  #refusals = 0
  #isLost = false
  #isDropped = false

  constructor(client: Client, asked: Asked, will: Message | null, willDelay: number, lane: LaneCalls) {
    this.client = client
    this.asked = asked
    this.will = will
    this.willDelay = willDelay
    this.#lane = lane
    const socket = createConnection({ port: lane.port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    const reader = new Reader(asked.version, (packet) => this.#handle(packet))
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk)
      } catch (error) {
        if (!(error instanceof Malformed)) throw error
        this.#found('malformed', error.message)
        this.drop(false)
      }
      lane.onActivity()
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#closed())
  }

  get version(): Version {
    return this.asked.version
  }

  /** Whether CONNACK has come, and nothing has ended the connection. */
  get isLive(): boolean {
    return this.connectedAt > 0 && !this.isClosed && !this.isLeaving && !this.isReplaced
  }

  /** Whether the broker owes it nothing. */
  get isIdle(): boolean {
    if (this.isDeaf || !this.isLive) return true
    if (this.pings > 0 || this.requests.size > 0) return false
    for (const { phase, isHeld } of this.client.outgoing.values()) if (phase === 'publish' || !isHeld) return false
    return true
  }

  write(bytes: Buffer, note = ''): void {
    if (this.isClosed || this.isLeaving || this.#isMute) return
    this.#lane.trace.note(this, true, bytes[0]!, idIn(bytes), note)
    if (this.#isSplit) this.#waiting.push(bytes)
    else this.#socket.write(bytes)
  }

  /** Writes in pieces; everything else waits behind the last one. */
  async writeSplit(bytes: Buffer): Promise<void> {
    this.#isSplit = true
    for (const part of [
      bytes.subarray(0, 1),
      bytes.subarray(1, bytes.length >> 1),
      bytes.subarray(bytes.length >> 1),
    ]) {
      if (this.isClosed) break
      this.#socket.write(part)
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#isSplit = false
    for (const waiting of this.#waiting.splice(0)) this.write(waiting)
  }

  /** Writes a part of a packet, and nothing after it: the next bytes would be taken for the rest. */
  writeTorn(part: Buffer): void {
    this.write(part, 'torn')
    this.#isMute = true
  }

  ping(): void {
    this.pings++
    this.#pingMarks.push(this.unconfirmed.length)
    this.write(PINGREQ)
  }

  deaf(on: boolean): void {
    this.isDeaf = on
    if (on) {
      this.hadPaused = true
      this.#socket.pause()
    } else {
      this.#socket.resume()
    }
  }

  publish(message: Message, packetId: number, dup: boolean, topic: string, alias: number): Buffer {
    const properties =
      alias > 0 ? [...message.properties, [Property.TopicAlias, alias] as const] : [...message.properties]
    if (this.version < 5) message.isBare = true
    if (message.expirySeconds > 0) properties.push([Property.MessageExpiry, message.expirySeconds])
    return publishOf(this.version, { ...message, topic, properties }, packetId, dup)
  }

  /** Sends acknowledgements that were held back, in their order. */
  release(count: number): void {
    for (const send of this.#held.splice(0, count)) send()
  }

  releasePubrels(): void {
    for (const [packetId, entry] of this.client.outgoing) {
      if (!entry.isHeld) continue
      entry.isHeld = false
      this.write(ackOf(this.version, Kind.Pubrel, packetId))
    }
  }

  /** Ends it without DISCONNECT. */
  drop(reset: boolean): void {
    if (this.isClosed || this.isLeaving) return
    this.isLeaving = true
    this.#isDropped = true
    this.closeBeganMs = performance.now()
    this.closedMs = this.closeBeganMs
    if (reset) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  /** Sends DISCONNECT and waits for the broker to close. */
  leave(bytes: Buffer, code: number, expirySeconds: number | null): void {
    this.write(bytes)
    this.isLeaving = true
    this.sentDisconnect = { code, expirySeconds }
    this.closeBeganMs = performance.now()
    this.#socket.resume()
    this.#socket.end()
  }

  /** Notes that the broker was killed: packets on their way are lost. */
  lost(): void {
    this.#isLost = true
    this.isLeaving = true
    this.closeBeganMs ||= performance.now()
    this.#socket.destroy()
  }

  #closed(): void {
    this.isClosed = true
    const nowMs = performance.now()
    this.isTaken = this.#lane.isStopping() && !this.isReplaced && !this.#isDropped && this.sentDisconnect === null
    if (!this.isLeaving && !this.isReplaced && !this.#lane.isStopping())
      this.#found('disconnected', this.connectedAt > 0 ? 'the broker has closed it' : 'closed before CONNACK')
    this.closeBeganMs ||= nowMs
    this.closedMs ||= nowMs
    this.isConfirmed = this.sentDisconnect !== null && !this.#isLost && !this.#lane.isStopping()
    this.#lane.onClosed(this)
    this.#lane.onActivity()
  }

  #found(kind: string, text: string): void {
    this.#lane.found(kind, `${this.client.clientId} (version ${this.version}): ${text}`)
  }

  #handle(packet: Packet): void {
    const { asked } = this
    this.#lane.trace.note(this, false, packet.first, packet.packetId, noteOf(packet))
    if (asked.packetMax > 0 && packet.size > asked.packetMax)
      this.#found('packet-size', `a packet of ${packet.size} bytes, Maximum Packet Size is ${asked.packetMax}`)
    if (packet.kind === Kind.Disconnect) {
      const isExpected =
        (packet.reasonCode === DISCONNECTED && this.isReplaced) ||
        (packet.reasonCode === SHUTTING_DOWN && this.#lane.isStopping())
      if (!isExpected && !this.isLeaving) this.#found('disconnected', `DISCONNECT 0x${packet.reasonCode.toString(16)}`)
      this.isLeaving = true
      this.closeBeganMs ||= performance.now()
      return
    }
    if (this.isReplaced || this.isLeaving) return
    if (packet.kind === Kind.Connack) {
      this.#handleConnack(packet)
      return
    }
    if (this.connectedAt === 0) {
      this.#found('malformed', `a packet of type ${packet.kind} before CONNACK`)
      return
    }
    this.#lane.ticks.next()
    switch (packet.kind) {
      case Kind.Publish:
        this.#handlePublish(packet)
        break
      case Kind.Pubrel:
        this.#handlePubrel(packet)
        break
      case Kind.Puback:
      case Kind.Pubrec:
      case Kind.Pubcomp:
        this.#handleAck(packet)
        break
      case Kind.Suback:
      case Kind.Unsuback:
        this.#handleGrant(packet)
        break
      default:
        this.#handlePong()
    }
  }

  #handleConnack(packet: Packet): void {
    if (this.connectedAt > 0) {
      this.#found('malformed', 'CONNACK twice')
      return
    }
    if (packet.reasonCode !== 0) {
      if (!this.#lane.isStopping()) this.#found('reason-code', `CONNACK 0x${packet.reasonCode.toString(16)}`)
      this.drop(false)
      return
    }
    this.connectedAt = this.#lane.ticks.next()
    this.serverReceiveMaximum = numberOf(packet.properties, Property.ReceiveMaximum, 65_535)
    this.serverAliases = numberOf(packet.properties, Property.TopicAliasMaximum, 0)
    const isAssigned = propertyOf(packet.properties, Property.AssignedClientId) !== undefined
    if (isAssigned !== (this.version === 5 && this.client.clientId === ''))
      this.#found('malformed', `Assigned Client Identifier ${isAssigned ? 'for nothing' : 'is missing'}`)
    this.#lane.onConnack(this, packet)
  }

  #handlePublish(packet: Packet): void {
    const topic = this.#topicOf(packet)
    const number = numberIn(packet.payload)
    const message = number === null ? null : this.#lane.messageOf(number)
    let isRepeat = false
    if (packet.qos > 0) {
      this.#inflight.add(packet.packetId)
      const { receiveMaximum } = this.asked
      if (receiveMaximum > 0 && this.#inflight.size > receiveMaximum)
        this.#found(
          'receive-maximum',
          `${this.#inflight.size} messages in flight, Receive Maximum is ${receiveMaximum}`,
        )
      isRepeat = this.#notePacketId(packet, message)
    }
    if (this.isFirst && packet.dup)
      this.#found('dup', `${nameOf(message)} with DUP on the first connection of a session`)
    const wasRefused = message !== null && packet.dup && this.client.refused.has(message)
    this.client.subscriptions.receive({
      packet,
      topic,
      message,
      version: this.version,
      isRepeat: isRepeat || wasRefused,
    })
    if (packet.qos > 0) this.#acknowledge(packet, message)
  }

  #topicOf({ topic, properties }: Packet): string {
    const alias = numberOf(properties, Property.TopicAlias, 0)
    if (alias === 0) return topic
    if (alias > this.asked.aliases)
      this.#found('alias', `Topic Alias ${alias}, Topic Alias Maximum is ${this.asked.aliases}`)
    if (topic !== '') this.#aliasesIn.set(alias, topic)
    const known = this.#aliasesIn.get(alias)
    if (known === undefined) this.#found('alias', `Topic Alias ${alias} has no topic`)
    return known ?? ''
  }

  /** Returns whether it is a message that was sent before and is not acknowledged. */
  #notePacketId({ packetId, qos, dup, payload }: Packet, message: Message | null): boolean {
    const { incoming } = this.client
    const before = incoming.get(packetId)
    const isSame = before !== undefined && before.message === message && before.qos === qos
    const entry: Incoming = { qos, message, connection: this, isDoubtful: false, isReceived: false }
    incoming.set(packetId, isSame ? { ...entry, isReceived: before.isReceived } : entry)
    if (before === undefined || (!isSame && before.isDoubtful)) return false
    if (before.connection === this) {
      // Before 5.0 a server may send again when it likes
      if (this.version === 5 || !dup || !isSame)
        this.#found('packet-id', `${packetId} is given twice: ${nameOf(before.message)} and ${nameOf(message)}`)
      return isSame
    }
    if (!isSame) {
      // One that has expired, or was too large for a connection in between, may have been dropped, and its id with it
      if (before.message !== null && !before.message.isShortLived && this.client.fits(before.message))
        this.#found(
          'packet-id',
          `${packetId} of ${nameOf(before.message)}, not acknowledged, is that of ${nameOf(message)}`,
        )
      return false
    }
    if (!dup && payload.length > 0 && !before.isDoubtful)
      this.#found('dup', `packet id ${packetId}, ${nameOf(message)}, comes again without DUP`)
    return true
  }

  #acknowledge({ packetId, qos }: Packet, message: Message | null): void {
    const { client } = this
    const isRefused = this.acks === 'refuse' && this.version === 5
    const reasonCode = isRefused ? REFUSALS[this.#refusals++ % REFUSALS.length]! : 0
    this.#answer(() => {
      const entry = client.incoming.get(packetId)
      if (qos === 1) {
        client.incoming.delete(packetId)
        this.#inflight.delete(packetId)
        this.write(ackOf(this.version, Kind.Puback, packetId, reasonCode))
        return
      }
      if (entry !== undefined) entry.isReceived = true
      if (isRefused) {
        client.incoming.delete(packetId)
        this.#inflight.delete(packetId)
        if (message !== null) client.refused.add(message)
      }
      this.write(ackOf(this.version, Kind.Pubrec, packetId, reasonCode))
    })
  }

  #handlePubrel({ packetId }: Packet): void {
    const entry = this.client.incoming.get(packetId)
    // A broker that cannot send it again, for its size or its age, may take it back so
    const mayEnd =
      entry?.message === null || entry?.message.isShortLived || (entry && !this.client.fits(entry.message!))
    if (entry !== undefined && (entry.qos !== 2 || !entry.isReceived) && !entry.isDoubtful && !mayEnd)
      this.#found('packet-id', `PUBREL for packet id ${packetId}, for which there was no PUBREC`)
    this.#answer(() => {
      this.client.incoming.delete(packetId)
      this.#inflight.delete(packetId)
      this.write(ackOf(this.version, Kind.Pubcomp, packetId, entry === undefined ? 0x92 : 0))
    })
  }

  #answer(send: () => void): void {
    if (this.acks === 'hold' || this.#held.length > 0) this.#held.push(send)
    else send()
  }

  /** Handles an answer to one of our messages. */
  #handleAck({ kind, packetId, reasonCode }: Packet): void {
    const { outgoing } = this.client
    const entry = outgoing.get(packetId)
    const name = kind === Kind.Puback ? 'PUBACK' : kind === Kind.Pubrec ? 'PUBREC' : 'PUBCOMP'
    const isRight =
      entry !== undefined &&
      (kind === Kind.Puback
        ? entry.message.qos === 1
        : entry.message.qos === 2 &&
          (kind === Kind.Pubrec ? entry.due > 0 : entry.phase === 'release' && !entry.isHeld))
    if (!isRight) {
      this.#found('unexpected', `${name} for packet id ${packetId}, where nothing waits for it`)
      return
    }
    const { message } = entry
    const tick = this.#lane.ticks.now
    if (kind === Kind.Pubcomp) {
      if (reasonCode !== 0 && message.repeats === 0 && !message.mayRepeat)
        this.#found('reason-code', `PUBCOMP 0x${reasonCode.toString(16)} for a packet id that was never free`)
      outgoing.delete(packetId)
      if (this.#lane.isOnPubrel) {
        message.state = 'accepted'
        message.doneAt = tick
      }
      return
    }
    if (reasonCode >= 0x80)
      this.#found('reason-code', `${name} 0x${reasonCode.toString(16)} for ${message.topic.slice(0, 20)}`)
    entry.due--
    // When sent again, it may be refused although it was accepted before
    const mayComeLater = kind === Kind.Pubrec && this.#lane.isOnPubrel && reasonCode < 0x80
    if (reasonCode < 0x80 && !mayComeLater) message.state = 'accepted'
    else if (reasonCode >= 0x80 && message.state === 'open' && message.repeats === 0) message.state = 'refused'
    message.doneAt = entry.due > 0 || mayComeLater ? FOREVER : tick
    if (reasonCode === 0x10) this.#lane.onNobody(message, `${name} from ${this.client.clientId}`)
    if (kind === Kind.Puback || reasonCode >= 0x80) {
      if (entry.due === 0) outgoing.delete(packetId)
      return
    }
    if (entry.phase === 'release') return
    entry.phase = 'release'
    entry.isHeld = this.holdsPubrels
    if (!entry.isHeld) this.write(ackOf(this.version, Kind.Pubrel, packetId))
  }

  #handleGrant({ kind, packetId, reasonCodes }: Packet): void {
    const request = this.requests.get(packetId)
    this.requests.delete(packetId)
    const tick = this.#lane.ticks.now
    const { subscriptions } = this.client
    if (kind === Kind.Suback && request?.kind === 'subscribe') {
      if (reasonCodes.length !== request.periods.length)
        this.#found('reason-code', `SUBACK with ${reasonCodes.length} codes for ${request.periods.length} filters`)
      for (const [i, period] of request.periods.entries()) {
        if (reasonCodes[i] !== period.qos)
          this.#found(
            'reason-code',
            `SUBACK 0x${reasonCodes[i]?.toString(16)} for ${period.filter} at QoS ${period.qos}`,
          )
        subscriptions.granted(period, tick)
      }
    } else if (kind === Kind.Unsuback && request?.kind === 'unsubscribe') {
      if (this.version === 5 && reasonCodes.length !== request.filters.length)
        this.#found('reason-code', `UNSUBACK with ${reasonCodes.length} codes for ${request.filters.length} filters`)
      for (const filter of request.filters) subscriptions.unsubscribed(filter, request.askedAt, tick)
    } else {
      this.#found('unexpected', `a packet of type ${kind} for packet id ${packetId}, where nothing waits for it`)
    }
  }

  #handlePong(): void {
    if (this.pings === 0) {
      this.#found('unexpected', 'PINGRESP without PINGREQ')
      return
    }
    this.pings--
    const count = this.#pingMarks.shift() ?? 0
    const tick = this.#lane.ticks.now
    for (const message of this.unconfirmed.splice(0, count)) {
      message.state = 'accepted'
      message.doneAt = tick
    }
    for (let i = 0; i < this.#pingMarks.length; i++) this.#pingMarks[i]! -= count
  }
}

function nameOf(message: Message | null): string {
  return message === null ? 'an empty message' : `message ${message.number}`
}

/** Packet Identifier of an acknowledgement; for other packets a mark that tells them apart. */
function idIn(bytes: Buffer): number {
  const kind = bytes[0]! >> 4
  return kind >= Kind.Puback && kind <= Kind.Unsuback ? bytes.readUInt16BE(bytes[1]! < 128 ? 2 : 3) : 0
}

function noteOf({ kind, payload, reasonCode, reasonCodes, sessionPresent }: Packet): string {
  if (kind === Kind.Publish) return `#${numberIn(payload) ?? 'clear'}`
  if (kind === Kind.Connack && reasonCode === 0) return sessionPresent ? 'present' : ''
  return reasonCodes.length > 0 ? `[${reasonCodes}]` : reasonCode === 0 ? '' : `0x${reasonCode.toString(16)}`
}
