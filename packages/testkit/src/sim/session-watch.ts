/**
 * Promises of a client with a session store to its application and its server, over all its processes (ADR 0011), checked from
 * outside: by what the application asked for and was told, and by the packets that crossed the client's end of the wire.
 *
 * - A message that was promised (`until: 'stored'` or `publish` has resolved) has been acknowledged in the end, or the
 *   application has heard that it was not delivered. A QoS 2 message is sent under one Packet Identifier in one session, and
 *   never as PUBLISH again once its PUBREL has left. [MQTT-4.3.3-6]
 * - Messages leave in the order of `publish`, on every connection and when they leave for the first time. Those of several
 *   processes leave in the order in which these have opened the store: one that is closed before it has may open it, and
 *   write what was published to it, after the next one.
 * - No Packet Identifier in use is given to another message.
 * - A received QoS 2 message is not handed out again when its PUBREC has left; else when it comes again with DUP. PUBREC
 *   and PUBACK leave when the application is done with the message, never before.
 *
 * A crash may take what a process had been told and had not yet made safe: the checks forget that.
 */
import type { Message } from '@recado/client'
import type { Packet, Properties, Publish } from '@recado/protocol'
import { PacketType } from '@recado/protocol'
import { textOf } from './model/payload.ts'
import type { Checker } from './model/types.ts'

/** One `publish` at QoS 1 or 2. */
export interface Sent {
  readonly number: number
  readonly payload: string
  readonly qos: 1 | 2
  /** `stored`: it is on the disk. `ended`: its flow is. `failed`: it was rejected, and may come all the same. */
  promise: 'none' | 'stored' | 'ended' | 'failed'
  /** Message Expiry Interval in seconds; null for none. */
  readonly intervalSeconds: number | null
  readonly expiresAtMs: number
  /** Number of the process to which it was published. */
  readonly process: number
  wasSent: boolean
  /** The server has taken it, or refused it for good. */
  isAnswered: boolean
  /** The application was told that it never will be. */
  isUndelivered: boolean
  /** The store that it lay in is lost. */
  isVoid: boolean
  /** Number of the session in which a QoS 2 message has its Packet Identifier. */
  session: number
  packetId: number
  isReleased: boolean
}

/** A PUBLISH that has come in as new, or again in a new process. */
export class IncomingPublish {
  readonly packetId: number
  readonly isDup: boolean
  readonly payload: string
  /** Subscription Identifiers: they say which subscriptions get it. */
  readonly identifiers: string
  readonly process: number
  readonly session: number
  /** Whether it came after its PUBREC had left. */
  readonly isDuplicate: boolean
  /** The one before it: handed out by an earlier process. */
  readonly earlier: IncomingPublish | null
  /** The subscriptions that have it. */
  readonly by: Set<number> = new Set()
  /** The subscriptions that have seemed to have it: the application has heard of it. */
  readonly told: Set<number> = new Set()
  open = 0
  isDone: boolean
  /** Until the server has heard that, it comes again. */
  isRefused = false

  constructor(
    { packetId, dup: isDup, properties }: Publish,
    payload: string,
    process: number,
    session: number,
    isDuplicate: boolean,
    earlier: IncomingPublish | null,
  ) {
    this.packetId = packetId
    this.isDup = isDup
    this.payload = payload
    this.identifiers = identifiersOf(properties)
    this.process = process
    this.session = session
    this.isDuplicate = isDuplicate
    this.earlier = earlier
    this.isDone = earlier?.isDone ?? false
  }

  get wasHanded(): boolean {
    return this.by.size > 0 || (this.earlier?.wasHanded ?? false)
  }
}

/** Whether a message that was handed out may be this one. */
type IsAlike = (arrival: IncomingPublish) => boolean

/** Finds the first arrival for each of these, in their order; null when there is none for one of them. */
function inOrder(arrivals: readonly IncomingPublish[], all: readonly IsAlike[]): IncomingPublish[] | null {
  const found: IncomingPublish[] = []
  let at = -1
  for (const isAlike of all) {
    at = arrivals.findIndex((each, i) => i > at && isAlike(each))
    if (at < 0) return null
    found.push(arrivals[at]!)
  }
  return found
}

export interface HandOut {
  /** The application is done with it. isForAll: by an acknowledgement that counts for all subscriptions; isRefused: by a refusal. */
  done(isForAll: boolean, isRefused: boolean): void
  /** No process before this one had it, and it is of the present session: a handler that was busy may get it late. */
  readonly isFirst: boolean
}

export class SessionWatch {
  readonly #fail: (checker: Checker, text: string) => void
  readonly #cover: (name: string) => void
  readonly #nowMs: () => number
  readonly #serverSessionNow: () => unknown
  readonly messages: Map<string, Sent> = new Map()
  /** The server has begun a session of which the client has not been told: it goes on as with the one before. */
  isUnheardOf = false
  #published = 0
  /** Grows with each session that the server begins anew. */
  #session = 1
  /** Session that the server had for the client when it last connected. */
  #serverSession: unknown = null
  #process = 0
  /** Processes in the order in which they have opened the store. */
  readonly #openings: number[] = []
  /** Messages in flight as the server sees them, by identifier. */
  readonly #inflight: Map<number, { sent: Sent; process: number }> = new Map()
  #lastOnConnection: Sent | null = null
  #lastFirst: Sent | null = null
  /** Messages that each subscription has been handed out, in their order. */
  readonly #handed: Map<number, { readonly arrival: IncomingPublish; readonly isAlike: IsAlike }[]> = new Map()
  /** QoS 2 messages from the server, until PUBREL. */
  readonly #incoming: Map<number, IncomingPublish> = new Map()
  /** Identifiers of those whose PUBREC has left. */
  readonly #acknowledged: Set<number> = new Set()
  /** Identifiers whose flow PUBCOMP has ended: a PUBREC for one would be for the next message. */
  readonly #ended: Set<number> = new Set()
  /**
   * Messages that the client may go on with though the server has begun another session: it cannot know. `knower` is the process
   * that was told, and died, perhaps before its store knew; 0: none was. In its own process an identifier is enough, a later one
   * compares the contents too.
   */
  readonly #outlived: Map<number, { readonly arrival: IncomingPublish; readonly knower: number }> = new Map()
  /** Arrivals at QoS 2 of the present process that may be handed out, oldest first. */
  #arrivals: IncomingPublish[] = []
  /** QoS 1 messages of this connection: done or not. */
  readonly #incomingQoS1: Map<number, boolean> = new Map()

  /** `serverSession`: what the server has for the client, another one for each session that it begins. */
  constructor(
    fail: (checker: Checker, text: string) => void,
    cover: (name: string) => void,
    nowMs: () => number,
    serverSession: () => unknown,
  ) {
    this.#serverSessionNow = serverSession
    this.#fail = fail
    this.#cover = cover
    this.#nowMs = nowMs
  }

  // --- the life of the client ---------------------------------------------------------------------------------------

  /** A new process. What the one before it knew of QoS 1 messages need not have been safe. Returns what will arrive for it. */
  processStarts(): IncomingPublish[] {
    this.#process++
    this.#arrivals = []
    for (const [packetId, { sent }] of this.#inflight) if (sent.qos === 1) this.#inflight.delete(packetId)
    return this.#arrivals
  }

  /** Number of the present process. */
  get process(): number {
    return this.#process
  }

  /** A process has the store now, and what it has found in it comes before what was published to it. */
  storeIsOpen(process: number): void {
    this.#openings.push(process)
  }

  /** With its store everything that the client knew is gone. */
  storeIsLost(): void {
    for (const sent of this.messages.values()) sent.isVoid = true
    this.#outlived.clear()
    this.#forgetSession()
  }

  #forgetSession(): void {
    this.#session++
    this.#inflight.clear()
    this.#incoming.clear()
    this.#acknowledged.clear()
    this.#ended.clear()
  }

  // --- publish ------------------------------------------------------------------------------------------------------

  published(payload: string, qos: 1 | 2, intervalSeconds: number | null): Sent {
    const sent: Sent = {
      number: ++this.#published,
      payload,
      qos,
      promise: 'none',
      intervalSeconds,
      expiresAtMs: intervalSeconds === null ? Number.POSITIVE_INFINITY : this.#nowMs() + intervalSeconds * 1000,
      process: this.#process,
      wasSent: false,
      isAnswered: false,
      isUndelivered: false,
      isVoid: false,
      session: 0,
      packetId: 0,
      isReleased: false,
    }
    this.messages.set(payload, sent)
    return sent
  }

  resolved(sent: Sent, isStored: boolean): void {
    sent.promise = isStored ? 'stored' : 'ended'
    this.#cover(isStored ? 'store.stored' : 'store.delivered')
    if (!isStored && !sent.isAnswered)
      this.#fail('end to end', `publish ${name(sent)} resolves before its flow has ended`)
  }

  rejected(sent: Sent, isExpired: boolean): void {
    sent.promise = 'failed'
    if (isExpired) sent.isUndelivered = true
  }

  undelivered(payload: string, isExpired: boolean): void {
    this.#cover(isExpired ? 'store.expired' : 'store.undelivered')
    const sent = this.messages.get(payload)
    if (isExpired && sent !== undefined && sent.expiresAtMs > this.#nowMs())
      this.#fail('expiry', `${name(sent)} is said to have expired, and has not`)
    if (sent === undefined) this.#fail('end to end', `undelivered ${payload}, which nobody has published`)
    // At QoS 1 the store need not have known yet.
    else if (sent.promise === 'ended' && sent.qos === 2)
      this.#fail('end to end', `${name(sent)} was delivered and is undelivered`)
    else {
      sent.isUndelivered = true
      this.#freeId(sent)
    }
  }

  /** A server keeps no identifier of a QoS 1 message: when that is set aside another one may have it. */
  #freeId(sent: Sent): void {
    if (sent.qos === 1 && this.#inflight.get(sent.packetId)?.sent === sent) this.#inflight.delete(sent.packetId)
  }

  /** Everything has come to rest: what was promised is there. */
  checkEnd(): void {
    for (const sent of this.messages.values()) {
      const isOwed = sent.promise === 'stored' && !sent.isVoid && !sent.isUndelivered
      if (isOwed && !sent.isAnswered) this.#fail('no loss', `${name(sent)} was stored, and the server has never got it`)
    }
  }

  // --- the wire -----------------------------------------------------------------------------------------------------

  connectionStarts(): void {
    this.#lastOnConnection = null
    this.#incomingQoS1.clear()
  }

  sends(packet: Packet): void {
    switch (packet.type) {
      case PacketType.PUBLISH:
        if (packet.qos > 0) this.#sendsPublish(packet)
        return
      case PacketType.PUBREL: {
        const sent = this.#inflight.get(packet.packetId)?.sent
        if (packet.reasonCode === 0 && sent?.qos === 2) sent.isReleased = true
        return
      }
      case PacketType.PUBACK:
        if (this.#incomingQoS1.get(packet.packetId) !== true)
          this.#fail('no loss', `PUBACK ${packet.packetId}, and the application is not done with the message`)
        this.#incomingQoS1.delete(packet.packetId)
        return
      case PacketType.PUBREC:
        this.#sendsPubrec(packet.packetId, packet.reasonCode)
        return
      case PacketType.PUBCOMP:
        if (!this.#incoming.has(packet.packetId)) this.#ended.add(packet.packetId)
        return
    }
  }

  #sendsPublish(packet: Publish): void {
    const { packetId, dup: isDup, properties } = packet
    const payload = textOf(packet.payload)
    const sent = this.messages.get(payload)
    if (sent === undefined) {
      this.#fail('content', `the client sends ${payload}, which nobody has published`)
      return
    }
    const fail = (checker: Checker, text: string): void =>
      this.#fail(checker, `PUBLISH ${packetId} ${name(sent)}${isDup ? ' DUP' : ''}: ${text}`)
    if (sent === this.#lastOnConnection) fail('exactly once', 'sent twice on one connection')
    else if (this.#isBefore(sent, this.#lastOnConnection)) fail('order', 'after a later message [MQTT-4.6.0-1]')
    this.#lastOnConnection = sent
    // What was given up may come back with the next process, if it is not out of the store.
    if (!sent.wasSent && !sent.isUndelivered && this.#isBefore(sent, this.#lastFirst))
      fail('order', 'for the first time after a later message')
    const nowMs = this.#nowMs()
    if (!isDup && nowMs > sent.expiresAtMs) fail('expiry', `it expired ${nowMs - sent.expiresAtMs} ms ago`)
    const interval = properties.messageExpiryIntervalSeconds ?? null
    const left = Math.max(1, Math.ceil((sent.expiresAtMs - nowMs) / 1000))
    if (interval !== (sent.intervalSeconds === null ? null : Math.min(sent.intervalSeconds, left)))
      fail('expiry', `its Message Expiry Interval is ${interval}, it has ${left} s left`)
    sent.wasSent = true
    if (!this.#isBefore(sent, this.#lastFirst)) this.#lastFirst = sent
    const holder = this.#inflight.get(packetId)
    if (holder !== undefined && holder.sent !== sent)
      fail('packet ids', `the identifier is that of ${name(holder.sent)} [MQTT-2.2.1-3]`)
    if (sent.qos === 2 && sent.session === this.#session) {
      if (sent.isReleased) fail('exactly once', 'sent again after PUBREL [MQTT-4.3.3-6]')
      else if (sent.packetId !== packetId) fail('exactly once', `it had the identifier ${sent.packetId}`)
      if (holder !== undefined && holder.process !== this.#process) this.#cover('store.resent-qos2')
    }
    if (sent.session !== this.#session) sent.isReleased = false
    sent.session = this.#session
    sent.packetId = packetId
    this.#inflight.set(packetId, { sent, process: this.#process })
  }

  /** Whether a message comes before another one in the order of the store; false without another one. */
  #isBefore(sent: Sent, other: Sent | null): boolean {
    if (other === null) return false
    if (sent.process === other.process) return sent.number < other.number
    return this.#openings.indexOf(sent.process) < this.#openings.indexOf(other.process)
  }

  #sendsPubrec(packetId: number, reasonCode: number): void {
    const arrival = this.#incoming.get(packetId)
    if (this.#ended.has(packetId))
      this.#fail('exactly once', `PUBREC ${packetId} after PUBCOMP, which has ended its flow`)
    if (arrival === undefined) return
    const isDone = arrival.isDone || this.#acknowledged.has(packetId)
    if (!isDone && this.#isTakenForAnother(arrival)) this.#cover('store.taken-for-another')
    else if (!isDone)
      this.#fail('no loss', `PUBREC ${packetId}, and the application is not done with ${arrival.payload}`)
    if (reasonCode < 0x80) this.#acknowledged.add(packetId)
  }

  #isTakenForAnother({ packetId, payload }: IncomingPublish): boolean {
    const outlived = this.#outlived.get(packetId)
    if (outlived === undefined || outlived.knower === this.#process) return false
    return outlived.arrival.process === this.#process || outlived.arrival.payload === payload
  }

  /** The client gets this packet now. */
  gets(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode === 0) this.#getsSession(packet.sessionPresent)
        return
      case PacketType.PUBLISH:
        this.#getsPublish(packet)
        return
      case PacketType.PUBREL: {
        const arrival = this.#incoming.get(packet.packetId)
        // A server that gives a message up sends PUBREL without waiting for PUBREC: the client has it still, and hands it out.
        const isHeld = !this.#acknowledged.has(packet.packetId)
        const at = arrival === undefined || isHeld ? -1 : this.#arrivals.indexOf(arrival)
        if (at >= 0) this.#arrivals.splice(at, 1)
        this.#incoming.delete(packet.packetId)
        this.#outlived.delete(packet.packetId)
        this.#acknowledged.delete(packet.packetId)
        return
      }
      case PacketType.PUBACK:
      case PacketType.PUBCOMP:
        this.#answered(packet.packetId, true)
        return
      case PacketType.PUBREC:
        this.#answered(packet.packetId, packet.reasonCode >= 0x80)
        return
    }
  }

  /** The CONNACK that said that the session is a new one may be lost: then the next one says that it is present. */
  #getsSession(isPresent: boolean): void {
    const session = this.#serverSessionNow()
    this.isUnheardOf = isPresent && session !== this.#serverSession
    if (this.isUnheardOf) this.#cover('store.session-unheard-of')
    if (!isPresent || this.isUnheardOf) {
      const knower = isPresent ? 0 : this.#process
      for (const [packetId, arrival] of this.#incoming) this.#outlived.set(packetId, { arrival, knower })
      this.#forgetSession()
    }
    this.#serverSession = session
  }

  #answered(packetId: number, isEnd: boolean): void {
    const sent = this.#inflight.get(packetId)?.sent
    if (sent === undefined) return
    sent.isAnswered = true
    if (isEnd) this.#inflight.delete(packetId)
  }

  #getsPublish(packet: Publish): void {
    const { qos, packetId, dup } = packet
    const payload = textOf(packet.payload)
    if (qos === 1) this.#incomingQoS1.set(packetId, false)
    if (qos !== 2) return
    this.#ended.delete(packetId)
    const before = this.#incoming.get(packetId)
    const isSame = before?.payload === payload && (dup || !before.isRefused)
    // The client has it already.
    if (isSame && before.process === this.#process && !before.isRefused) return
    const isDuplicate = this.#acknowledged.has(packetId)
    if (isDuplicate) this.#cover('store.received-duplicate')
    const arrival = new IncomingPublish(
      packet,
      payload,
      this.#process,
      this.#session,
      isDuplicate,
      isSame ? before : null,
    )
    this.#incoming.set(packetId, arrival)
    this.#arrivals.push(arrival)
  }

  // --- messages handed out ------------------------------------------------------------------------------------------

  /** `arrivals`: of the process that hands out, which may be closed, and the next one is there. `by`: which subscription. */
  handedOut(
    arrivals: readonly IncomingPublish[],
    by: number,
    { packetId, qos, dup: isDup, properties }: Message,
    payload: string,
  ): HandOut {
    const isPresent = arrivals === this.#arrivals
    if (qos === 1) return { done: isPresent ? () => this.#doneQoS1(packetId) : () => {}, isFirst: true }
    if (qos !== 2) return { done: () => {}, isFirst: true }
    const identifiers = identifiersOf(properties)
    // A subscription gets messages in the order in which they have come. Some that it never gets look like this one: those
    // of an earlier session, for other subscriptions or done with in an earlier process, whose identifier is used again.
    const last = arrivals.findLastIndex((each) => each.by.has(by))
    const isAlike = (each: IncomingPublish): boolean =>
      each.packetId === packetId &&
      each.payload === payload &&
      each.identifiers === identifiers &&
      (isDup || !each.isDup)
    const handed = this.#handed.get(by) ?? []
    this.#handed.set(by, handed)
    const fitting = arrivals.filter((each, i) => i > last && isAlike(each))
    // What one subscription has refused the others do not get; and one that has had none is not behind, but gets what has just come.
    const arrival =
      (last < 0 ? fitting.findLast(({ session }) => session === this.#session) : undefined) ??
      fitting.find(({ isRefused }) => !isRefused) ??
      fitting[0]
    const fail = (text: string): void =>
      this.#fail('exactly once', `PUBLISH ${packetId} ${payload.slice(0, 20)}: ${text}`)
    if (arrival === undefined) {
      // What seems to be of this session may have been of an earlier one, which a busy handler gets late.
      const known = handed.filter((each) => arrivals.includes(each.arrival))
      const meant = inOrder(arrivals, [...known.map((each) => each.isAlike), isAlike])
      if (meant === null) fail('handed out twice')
      else {
        for (const each of known) each.arrival.by.delete(by)
        for (const each of meant) each.by.add(by)
        const changed = known.map((each, i) => ({ ...each, arrival: meant[i]! }))
        this.#handed.set(by, [...changed, { arrival: meant.at(-1)!, isAlike }])
      }
      return { done: () => {}, isFirst: false }
    }
    handed.push({ arrival, isAlike })
    const { earlier } = arrival
    const isFirst = earlier?.wasHanded !== true && !arrival.told.has(by)
    arrival.told.add(by)
    if (arrival.isDuplicate) fail('handed out again after PUBREC')
    else if (earlier?.wasHanded === true) {
      this.#cover('store.handed-out-again')
      if (!isDup) fail('handed out again without dup')
    }
    arrival.by.add(by)
    arrival.open++
    return {
      done: (isForAll, isRefused) => {
        if (--arrival.open === 0 || isForAll) arrival.isDone = true
        if (isRefused) arrival.isRefused = true
      },
      // The next process may have had it before one that is closed.
      isFirst: isFirst && isPresent && arrival.session === this.#session,
    }
  }

  /** A subscription was refused, and with it what waited for its handler: nobody is told which messages these were. */
  subscriptionIsRefused(arrivals: readonly IncomingPublish[]): void {
    this.#cover('store.subscription-refused')
    for (const arrival of arrivals) arrival.isDone = true
    if (arrivals !== this.#arrivals) return
    for (const packetId of this.#incomingQoS1.keys()) this.#incomingQoS1.set(packetId, true)
  }

  #doneQoS1(packetId: number): void {
    if (this.#incomingQoS1.has(packetId)) this.#incomingQoS1.set(packetId, true)
  }
}

function identifiersOf({ subscriptionIdentifiers = [] }: Properties): string {
  return subscriptionIdentifiers.join()
}

function name({ number, payload, qos }: Sent): string {
  return `message ${number} ${payload.slice(0, 20).trimEnd()} at QoS ${qos}`
}
