/**
 * An independent model of an MQTT broker: small, slow, written from the specifications, with lists and linear matching.
 *
 * The simulation tells it every packet that the broker takes in (`receive`, when the broker gets to it) and every packet that
 * the broker says (`send`), each connection that ends, the time, and what reached the disk. It answers with violations:
 * what the broker did that no broker may do, or did not do that it must.
 *
 * It works in lockstep: what it has been told is what the broker has processed. Where MQTT leaves a choice (which member of a
 * Shared Subscription, whether a QoS 0 message survives) it keeps all of them open.
 *
 * Sources: MQTT 5.0 and 3.1.1, chapters 3 and 4; docs/durability.md for what a crash may take.
 */
import { checkAnswer } from './answers.ts'
import { checkRetainedBytes, isPayloadTooLarge, isWillTooLarge } from './bytes.ts'
import { changesOfConnect } from './changes.ts'
import { DelayedMessages } from './delayed.ts'
import { checkDelivery, deliver, redistribute } from './deliveries.ts'
import { handleAck, handlePublish, handlePubrel } from './flows.ts'
import { IDENTIFIER_REJECTED, isIdentifierRefused, mayBeNamed, named } from './identifiers.ts'
import { MemoryCeiling } from './memory.ts'
import { DeliveryRights } from './rights.ts'
import {
  type Expectation,
  type GroupDue,
  Instance,
  keyOf,
  Life,
  Link,
  type Noted,
  type Opening,
  type Owed,
} from './state.ts'
import { handleSubscribe, handleUnsubscribe } from './subscriptions.ts'
import { sharedParts } from './topics.ts'
import type {
  Checker,
  ConnectIn,
  DisconnectPacket,
  InPacket,
  ListenerSettings,
  OutPacket,
  PublishPacket,
  QoS,
  Settings,
  Violation,
  WillMessage,
} from './types.ts'
import { type Due, Wills } from './wills.ts'

/** Session Expiry Interval that never ends. */
const NEVER = 0xffff_ffff
/** The broker may count a message more or less when it holds somebody back for a rate. */
const HELD_SLACK_MS = 500
/** Settings of the embedding program. */
const PROGRAM: ListenerSettings = {
  receiveMaximum: 0,
  inflightMax: 0,
  topicAliasMaximum: 0,
  topicAliasSendMax: 0,
  maximumQoS: 2,
  subscriptionsMax: Number.POSITIVE_INFINITY,
  sessionExpirySecondsMax: NEVER,
  mountPoint: '',
}

export interface RetainedState {
  readonly seq: number
  readonly instance: Instance | null
  /** Message that made it so. */
  readonly by: Instance
  isPromised: boolean
}

export class Model {
  settings: Settings
  readonly cover: (name: string) => void
  seq = 0
  nowMs: number
  /** Living sessions by Client Identifier. */
  readonly lives: Map<string, Life> = new Map()
  /** Ended ones that a crash may bring back. */
  ended: Life[] = []
  readonly links: Set<Link> = new Set()
  /** Retained messages of each topic with their times; the last one holds. */
  readonly retained: Map<string, RetainedState[]> = new Map()
  /** Messages for Shared Subscriptions. */
  readonly groups: GroupDue[] = []
  readonly wills: Wills
  readonly delayed: DelayedMessages
  readonly rights: DeliveryRights = new DeliveryRights()
  /** Rights to have published what is left behind: Wills and retained messages. */
  readonly sources: DeliveryRights = new DeliveryRights()
  readonly memory: MemoryCeiling = new MemoryCeiling()
  readonly violations: Violation[] = []
  /** Number of the last event that is on the disk with all before it. */
  flushedSeq = 0
  /** The time that the last batch on the disk has noted. */
  notedMs = 0
  /** When the broker was killed last. */
  crashedMs = 0
  isFailing = false
  /** QoS 0 messages wait, or have waited before the broker started anew. */
  hasQueuedQoS0 = false
  /** Sessions that have ended in this turn. */
  endedNow: Life[] = []
  /** The message that the broker works on: what it refuses now is this one. */
  current: Instance | null = null
  crashes = 0
  /** Called with changes of a client's settings. */
  onChange: (life: Life, changes: readonly string[]) => void = () => {}
  /** Client Identifiers that a client has said or has been told. */
  readonly heardOf: Set<string> = new Set()
  /** Topics on which a message has been published. */
  readonly topics: Set<string> = new Set()
  #nextIndex = 1
  /** QoS 0 messages that must have left when the turn ends. */
  #dueNow: Expectation[] = []

  constructor(settings: Settings, nowMs: number, cover: (name: string) => void) {
    this.settings = settings
    this.hasQueuedQoS0 = settings.queueQoS0
    this.nowMs = nowMs
    this.cover = cover
    this.wills = new Wills(this)
    this.delayed = new DelayedMessages(this)
  }

  /** The broker starts anew, set up otherwise. */
  reconfigure(settings: Settings): void {
    this.settings = settings
    this.hasQueuedQoS0 ||= settings.queueQoS0
  }

  fail(checker: Checker, text: string): void {
    this.violations.push({ checker, text, atMs: this.nowMs })
  }

  open(name: string, listener: number): Link {
    this.seq++
    if (this.links.size === 0) this.memory.watched(this.nowMs)
    const link = new Link(name, this.nowMs, listener, this.settings.listeners[listener]!)
    this.links.add(link)
    return link
  }

  /** The embedding program opens the session of a durable subscription: nothing refuses it, and it waits for nothing. */
  openForProgram(name: string, connect: ConnectIn): Link {
    this.seq++
    const link = new Link(name, this.nowMs, 0, { ...PROGRAM, inflightMax: connect.receiveMaximum })
    link.isProgram = true
    link.connect = connect
    link.connectedSeq = this.seq
    link.isConnackSent = true
    this.links.add(link)
    this.#letIn(link, connect, this.#open(link, connect, []))
    return link
  }

  /** The embedding program ends the session of a durable subscription. */
  endByProgram(life: Life): void {
    this.seq++
    this.endLife(life)
  }

  // --- from clients -------------------------------------------------------------------------------------------------

  /**
   * The broker processes this packet now. `isNew`: a QoS 2 PUBLISH that it does not know; only asked where a crash has left
   * both possible.
   */
  receive(link: Link, packet: InPacket, isNew: boolean): void {
    this.seq++
    if (link.state === 'closed' || link.state === 'refused') return
    if (packet.type === 'VIOLATION') {
      this.cover('violation')
      this.violate(link, packet.why)
      return
    }
    if (packet.type === 'CONNECT') {
      this.#handleConnect(link, packet)
      return
    }
    if (packet.type === 'AUTH') return
    const { life } = link
    if (life === null) {
      if (packet.type === 'DISCONNECT') this.closed(link)
      else this.violate(link, `${packet.type} before CONNECT`)
      return
    }
    const violation = this.violationOf(link, packet)
    if (violation !== null) {
      this.cover('violation.of-state')
      this.violate(link, violation)
      return
    }
    switch (packet.type) {
      case 'PUBLISH':
        handlePublish(this, link, life, packet, isNew)
        break
      case 'PUBACK':
      case 'PUBREC':
      case 'PUBCOMP':
        handleAck(this, link, life, packet)
        break
      case 'PUBREL':
        handlePubrel(this, link, life, packet)
        break
      case 'SUBSCRIBE':
        handleSubscribe(this, link, life, packet)
        break
      case 'UNSUBSCRIBE':
        handleUnsubscribe(this, link, life, packet)
        break
      case 'PINGREQ':
        this.owe(link, { type: 'PINGRESP' })
        break
      case 'DISCONNECT':
        this.#handleDisconnect(link, life, packet)
        break
    }
  }

  /** A batch has reached the disk: all that had happened up to `seq` is there, and the time `notedMs`. */
  flushed(seq: number, notedMs: number): void {
    this.flushedSeq = Math.max(this.flushedSeq, seq)
    this.notedMs = notedMs
    this.ended = this.ended.filter(({ toSeq }) => toSeq > this.flushedSeq)
    this.wills.flushed(this.flushedSeq)
    this.delayed.flushed(this.flushedSeq)
  }

  /** Reason why this packet ends the connection; null when it does not. */
  violationOf(link: Link, packet: InPacket): string | null {
    const { settings } = this
    if (packet.type === 'SUBSCRIBE') {
      if (packet.identifier !== 0 && !settings.hasIdentifiers)
        return 'a Subscription Identifier, which is not available'
      const isWrong = packet.filters.some((each) => each.noLocal && sharedParts(each.topicFilter) !== null)
      return isWrong && settings.hasShares ? 'No Local on a Shared Subscription [MQTT-3.8.3-4]' : null
    }
    if (packet.type !== 'PUBLISH') return null
    if (packet.topicAlias > link.settings.topicAliasMaximum) return 'a Topic Alias over the maximum'
    if (packet.topic === '' && !link.aliasesIn.has(packet.topicAlias)) return 'an unknown Topic Alias'
    if (packet.qos > link.settings.maximumQoS) return 'a QoS over the maximum'
    if (packet.retain && settings.retainedMessagesMax === 0) return 'retained messages are not available'
    if (packet.qos === 0 || this.isDuplicate(link, packet)) return null
    return link.isV5 && link.unacknowledged >= link.settings.receiveMaximum ? 'more than the Receive Maximum' : null
  }

  /** Whether the broker has this PUBLISH already, by what the model knows. */
  isDuplicate(link: Link, packet: PublishPacket): boolean {
    return this.isHeld(link, packet) && !link.life!.held.get(packet.packetId)!.isUncertain
  }

  /** A QoS 2 message whose id is held, or may be. */
  isHeld(link: Link, { qos, packetId }: PublishPacket): boolean {
    return qos === 2 && link.life?.held.get(packetId)?.releasedSeq === Number.POSITIVE_INFINITY
  }

  /** The client does what it may not: the connection is to be ended. */
  violate(link: Link, why: string): void {
    link.mayEnd.add(why)
    this.#endLink(link, link.will)
  }

  #handleConnect(link: Link, packet: ConnectIn): void {
    if (link.connect !== null) {
      this.violate(link, 'a second CONNECT')
      return
    }
    let connect = this.#withPermittedWill(link, named(this, link, packet))
    link.connect = connect
    link.connectedSeq = this.seq
    this.cover(`connect.v${connect.version}`)
    const known = this.lives.get(connect.clientId)
    const isOthers = this.#isOthers(known, connect)
    // Of another user's session nothing is left.
    if (isOthers) connect = { ...connect, cleanStart: true }
    link.connect = connect
    // Nothing says which of several reasons comes first.
    const refusals = [this.#busy(known), connect.refusal, this.#refusalOf(link, connect, known)].filter(
      (code) => code !== 0,
    )
    if (isIdentifierRefused(this.settings, packet)) {
      this.cover('assigned.refused')
      refusals.push(IDENTIFIER_REJECTED)
    }
    refusals.push(...this.#willRefusals(link, packet))
    if (isOthers && this.settings.sessionOwner === 'refuse') {
      this.cover('owner.refused')
      refusals.push(0x87)
    }
    if (refusals.length > 0) {
      link.state = 'refused'
      link.refusals = refusals
      link.mayEnd.add('refused')
      this.cover('connect.refused')
      return
    }
    if (known !== undefined) this.onChange(known, changesOfConnect(known, link, connect))
    const other = known?.link ?? null
    if (other !== null) {
      this.cover('takeover')
      other.mayEnd.add('taken over')
      this.#endLink(other, other.will)
    }
    for (const earlier of this.links) {
      if (earlier.state !== 'waiting' || earlier.connect!.clientId !== connect.clientId) continue
      earlier.mayEnd.add('taken over')
      this.#endLink(earlier, null)
    }
    const suspended: Due[] = []
    const life = this.lives.get(connect.clientId)
    if (isOthers) this.cover('owner.taken-over')
    if (life !== undefined && connect.cleanStart) {
      this.cover('session.clean-start')
      // Another user is not the client that is waited for.
      if (!isOthers) suspended.push(...this.wills.suspendGrace(life))
      this.endLife(life)
      life.isEndAwaited = life.isDurable
    }
    if (this.settings.sessionOwner !== 'off') this.wills.publishOrphansOfOthers(connect.clientId, connect.username)
    const opening = this.#open(link, connect, suspended)
    const isEndAwaited = this.ended.some(
      (each) => each.clientId === connect.clientId && each.isEndAwaited && !each.isEndPromised,
    )
    const { isPersistent } = this.settings
    const isPromise = isPersistent && (opening.life.isDurable || connect.will !== null)
    if (this.isFailing || !(isPromise || isEndAwaited)) {
      this.#letIn(link, connect, opening)
      return
    }
    this.cover('connack.waits')
    link.state = 'waiting'
    link.opening = opening
    opening.life.opening = link
  }

  /** One that has waited is let in, or refused for what has happened meanwhile. */
  goOn(link: Link, reasonCode: number): void {
    this.seq++
    const connect = link.connect!
    const { opening } = link
    if (reasonCode !== 0) {
      this.#abandon(link)
      link.state = 'refused'
      link.refusals = []
      // Nobody waits for ever.
      const isOver = this.nowMs >= link.openedMs + this.settings.connectTimeoutMs
      const late = this.isFailing ? 0x97 : 0x89
      // Before 5.0 both are 'Server unavailable'.
      if (isOver && reasonCode === (link.isV5 ? late : 3)) link.mayEnd.add('not in time')
      if (this.nowMs >= link.credentialsEndMs && reasonCode === (link.isV5 ? 0x87 : 5)) {
        this.cover('connack.login-over')
        link.mayEnd.add('credentials are over')
      }
      return
    }
    if (this.nowMs >= link.credentialsEndMs)
      this.fail('closing', `${link.name}: is let in, and what it has logged in with is over`)
    // Its silence was ours.
    link.lastReceivedMs = this.nowMs
    link.lastPacketMs = this.nowMs
    for (const each of this.ended) if (each.clientId === connect.clientId) each.isEndPromised ||= each.isEndAwaited
    link.hasWaited = true
    this.#letIn(link, connect, opening!)
  }

  /** The session of a CONNECT, and its Will. */
  #open(link: Link, connect: ConnectIn, suspended: Due[]): Opening {
    const { isPersistent } = this.settings
    const { sessionExpirySecondsMax } = link.settings
    const expiry = Math.min(connect.expirySeconds, sessionExpirySecondsMax)
    let life = this.lives.get(connect.clientId)
    const isNew = life === undefined
    link.sessionPresent = !isNew && connect.version !== 3
    const earlierExpiry = life?.expiry ?? 0
    const earlierOwner = life?.owner ?? null
    if (life === undefined) {
      life = new Life(connect.clientId, isPersistent && expiry > 0, this.seq, expiry)
      this.lives.set(connect.clientId, life)
      this.cover('session.new')
    } else {
      life.expirySeconds.push({ seq: this.seq, value: expiry })
      this.cover('session.resumed')
      if (life.flight.size > 0) this.cover('session.resumed-in-flight')
    }
    // Who comes first to a session that is not known to be anybody's makes it theirs, if they have a user name.
    const owner = earlierOwner ?? (isNew || connect.username !== '' ? connect.username : null)
    life.owners.push({ seq: this.seq, value: this.settings.sessionOwner === 'off' ? null : owner })
    life.away.push({ seq: this.seq, value: null })
    life.dueAtMs = Number.POSITIVE_INFINITY
    life.mayExpireAtMs = Number.POSITIVE_INFINITY
    suspended.push(...this.wills.suspend(connect.clientId, life))
    if (connect.will !== null) this.wills.register(life, connect.will, connect.username)
    return { life, isNew, earlierExpiry, earlierOwner, suspended }
  }

  #letIn(link: Link, connect: ConnectIn, { life }: Opening): void {
    link.opening = null
    life.opening = null
    life.isIdentified = true
    life.link = link
    link.life = life
    life.isV5 &&= link.isV5
    life.maximumPacketSize = connect.maximumPacketSize
    life.mountPoint = link.settings.mountPoint
    life.username = connect.username
    life.connect = connect
    life.listener = link.listener
    this.rights.isUser(connect.clientId, connect.username, this.nowMs)
    link.state = 'open'
    link.will = connect.will
  }

  /** A client that waits is not let in, or has gone before it was: the session is what it was. */
  #abandon(link: Link): void {
    const { opening } = link
    if (opening === null) return
    this.cover('connack.abandoned')
    const { life, isNew, earlierExpiry, earlierOwner, suspended } = opening
    link.opening = null
    life.opening = null
    this.wills.forget(life)
    if (isNew) {
      this.endLife(life)
      life.isEndAwaited = life.isDurable
    } else {
      life.expirySeconds.push({ seq: this.seq, value: earlierExpiry })
      life.owners.push({ seq: this.seq, value: earlierOwner })
      this.#leaveAlone(life)
    }
    this.wills.resume(suspended)
  }

  #busy(known: Life | undefined): number {
    let connected = 0
    for (const { state, isProgram } of this.links)
      if (!isProgram && (state === 'open' || state === 'waiting')) connected++
    const isFull = connected >= this.settings.connectionsMax || this.memory.level >= 2
    return known?.link == null && known?.opening == null && isFull ? 0x89 : 0
  }

  /** Refused before anybody is asked. */
  isRefusedEarly(link: Link, packet: ConnectIn): boolean {
    return isIdentifierRefused(this.settings, packet) || this.#willRefusals(link, packet).length > 0
  }

  /** [MQTT-3.2.2-12] [MQTT-3.2.2-13] */
  #willRefusals({ settings }: Link, { will }: ConnectIn): number[] {
    if (will === null) return []
    const refusals: number[] = []
    if (will.qos > settings.maximumQoS) refusals.push(0x9b)
    if (will.retain && this.settings.retainedMessagesMax === 0) refusals.push(0x9a)
    if (isWillTooLarge(this, will)) refusals.push(0x95)
    return refusals
  }

  #isOthers(known: Life | undefined, { username }: ConnectIn): boolean {
    const owner = known?.owner ?? null
    return this.settings.sessionOwner !== 'off' && owner !== null && owner !== username
  }

  /** A Will that its client may not publish is not kept. */
  #withPermittedWill(link: Link, connect: ConnectIn): ConnectIn {
    const { will, clientId, username } = connect
    if (will === null || !this.settings.asksSources || !this.sources.denies(clientId, username, will.topic))
      return connect
    this.cover('will.withheld-at-connect')
    link.withheldTopic = will.topic
    return { ...connect, will: null }
  }

  /** Whether its first client waits for CONNACK: when another one takes over there is no session. */
  #isBeingBegun(life: Life): boolean {
    for (const { state, opening } of this.links)
      if (state === 'waiting' && opening?.life === life && opening.isNew) return true
    return false
  }

  #refusalOf(link: Link, connect: ConnectIn, known: Life | undefined): number {
    const { sessionsMax } = this.settings
    const { sessionExpirySecondsMax } = link.settings
    if (known === undefined && this.lives.size >= sessionsMax) return 0x97
    const expiry = Math.min(connect.expirySeconds, sessionExpirySecondsMax)
    if (this.memory.level >= 1 && expiry > 0 && known === undefined) return 0x97
    // What CONNACK promises could not be kept.
    const stays = known?.isDurable === true && (known.link === null || known.expiry > 0) && !this.#isBeingBegun(known)
    const isNewDurable = expiry > 0 && (!stays || connect.cleanStart)
    return this.isFailing && (isNewDurable || connect.will !== null) ? 0x97 : 0
  }

  newInstance(
    topic: string,
    payload: string,
    qos: QoS,
    retain: boolean,
    passedOn: string,
    expirySeconds: number | null,
    life: Life,
    username: string,
  ): Instance {
    this.topics.add(topic)
    return new Instance({
      index: this.#nextIndex++,
      topic,
      payload,
      qos,
      retain,
      passedOn,
      expiresAtMs: expirySeconds === null ? Number.POSITIVE_INFINITY : this.nowMs + expirySeconds * 1000,
      publisher: life,
      publisherId: life.clientId,
      username,
      hasSource: this.settings.asksSources,
      seq: this.seq,
      atMs: this.nowMs,
    })
  }

  /** The message is published. Returns the Reason Codes that are right for its acknowledgement. */
  accept(instance: Instance, topic: string, publisher: Life | null): number[] {
    this.current = instance
    if (publisher !== null && isPayloadTooLarge(this, instance)) {
      this.cover('publish.payload-too-large')
      instance.isRefused = true
      return [0x97]
    }
    if (publisher !== null && !this.settings.mayPublish(publisher.clientId, publisher.username, topic)) {
      this.cover('publish.denied')
      instance.isRefused = true
      return [0x87]
    }
    if (instance.withheld !== null) {
      instance.isRefused = true
      return [instance.withheld]
    }
    if (instance.isDelayed) return [0]
    if (instance.retain) this.#retain(instance)
    this.#dueNow.push(...deliver(this, instance))
    if (instance.hasMatches) return [0]
    if (!this.settings.answersAsMosquitto) return [0x10]
    if (instance.qos === 2 || instance.hasNoLocal) return [0]
    return instance.hasDenied ? [0, 0x10] : [0x10]
  }

  #retain(instance: Instance): void {
    const states = this.retained.get(instance.topic) ?? []
    this.retained.set(instance.topic, states)
    const isClear = instance.payload === ''
    this.cover(isClear ? 'retained.cleared' : states.length > 0 ? 'retained.replaced' : 'retained.set')
    states.push({ seq: this.seq, instance: isClear ? null : instance, by: instance, isPromised: false })
  }

  #handleDisconnect(link: Link, life: Life, { reasonCode, expirySeconds }: DisconnectPacket): void {
    if (expirySeconds !== null) {
      if (life.expiry === 0 && expirySeconds !== 0) {
        this.violate(link, 'DISCONNECT sets a Session Expiry Interval that was 0')
        return
      }
      this.cover('disconnect.expiry')
      const value = Math.min(expirySeconds, link.settings.sessionExpirySecondsMax)
      if (value !== life.expiry) this.onChange(life, [value === 0 ? 'disconnect.expiry-0' : 'disconnect.expiry'])
      life.expirySeconds.push({ seq: this.seq, value })
    }
    this.cover(reasonCode === 0 ? 'disconnect' : 'disconnect.with-will')
    link.mayEnd.add('DISCONNECT')
    this.#endLink(link, reasonCode === 0 ? null : link.will)
  }

  /** The broker has to answer. */
  owe(link: Link, o: Partial<Owed> & { type: string }): void {
    link.owed.push({
      packetId: 0,
      instance: null,
      held: null,
      subscriptions: [],
      ended: [],
      reasonCodes: [],
      allowed: [0],
      ...o,
    })
  }

  // --- ends ---------------------------------------------------------------------------------------------------------

  /** The Network Connection is lost, as the broker sees it. */
  closed(link: Link): void {
    this.seq++
    this.#endLink(link, link.will)
    this.links.delete(link)
  }

  /** The broker has ended the connection. */
  endedByBroker(link: Link): void {
    if (link.state === 'closed') return
    this.seq++
    const { mayEnd } = link
    if (link.state === 'new' || link.state === 'waiting') {
      if (mayEnd.size === 0) this.cover('close.no-connect')
    } else {
      if (this.memory.level === 3 && link.blockedSinceMs >= 0) {
        this.cover('close.memory')
        mayEnd.add('memory is short')
      }
      const keepAliveMs = (link.connect?.keepAliveSeconds ?? 0) * 1500
      const heardMs = Math.max(link.lastPacketMs, link.heldUntilMs - HELD_SLACK_MS)
      if (keepAliveMs > 0 && this.nowMs >= heardMs + keepAliveMs) {
        this.cover('close.keep-alive')
        mayEnd.add('keep alive')
      }
      if (this.nowMs >= link.credentialsEndMs) {
        this.cover('close.credentials')
        mayEnd.add('credentials are over')
      }
      if (mayEnd.size === 0)
        this.fail('closing', `${link.name}: the broker ends the connection, and nothing is wrong with it`)
    }
    this.#endLink(link, link.will)
  }

  #endLink(link: Link, will: WillMessage | null): void {
    if (link.state === 'closed') return
    this.#abandon(link)
    link.state = 'closed'
    link.will = null
    const { life } = link
    if (life === null || life.link !== link) return
    life.link = null
    life.wasBlocked ||= link.wasBlocked
    if (will !== null && link.mayHaveLostWill) this.cover('will.withheld')
    if (will !== null && !link.isWillOut && !link.mayHaveLostWill) this.wills.lost(life, will, link.connect!.username)
    else this.wills.forget(life)
    // A retained message on its way at QoS 0, or not yet begun, may be lost with the connection.
    for (const list of life.expectations.values()) {
      for (const expectation of list) {
        if (expectation.isOver || expectation.madeOn !== link) continue
        if (expectation.qos === 0 || expectation.forSubscription !== null) expectation.isOptional = true
      }
    }
    if (life.expiry === 0) this.endLife(life)
    else this.#leaveAlone(life)
  }

  /** Notes that its client is away from now on. */
  #leaveAlone(life: Life): void {
    life.away.push({ seq: this.seq, value: { earliestMs: this.nowMs, latestMs: this.nowMs } })
    life.dueAtMs = life.expiry === NEVER ? Number.POSITIVE_INFINITY : this.nowMs + life.expiry * 1000
    life.mayExpireAtMs = life.dueAtMs
  }

  /** The session ends. */
  endLife(life: Life): void {
    if (life.isOver) return
    life.toSeq = this.seq
    if (this.lives.get(life.clientId) === life) this.lives.delete(life.clientId)
    this.wills.sessionEnds(life)
    const subscriptions = life.liveSubscriptions
    for (const subscription of subscriptions) subscription.toSeq = this.seq
    redistribute(this, life)
    this.endedNow.push(life)
    if (life.isDurable) this.ended.push(life)
  }

  /** The broker says that a session has expired. Other ends the model knows by itself, and earlier. */
  sessionExpired(clientId: string): void {
    const mayHaveExpired = (life: Life): boolean =>
      life.link === null && life.opening === null && this.nowMs >= life.mayExpireAtMs
    const life =
      this.lives.get(clientId) ??
      [...this.lives.values()].find((each) => mayBeNamed(this, each, clientId) && mayHaveExpired(each))
    this.seq++
    if (life !== undefined && mayHaveExpired(life)) {
      this.cover('session.expired')
      this.endLife(life)
    } else {
      this.fail('expiry', `the session ${clientId} expires, and it must not`)
    }
  }

  // --- to clients ---------------------------------------------------------------------------------------------------

  /** The broker says this on a connection. */
  send(link: Link, packet: OutPacket): void {
    this.seq++
    if (!link.isConnackSent && packet.type !== 'CONNACK' && packet.type !== 'AUTH') {
      if (!(packet.type === 'DISCONNECT')) this.fail('acknowledgements', `${link.name}: ${packet.type} before CONNACK`)
      return
    }
    // [MQTT-3.1.2-29]
    const isUnwanted = this.settings.answersAsMosquitto || (packet.type !== 'CONNACK' && !link.connect!.wantsProblems)
    if ('hasProblems' in packet && packet.hasProblems && isUnwanted)
      this.fail('acknowledgements', `${link.name}: ${packet.type} has problem information, which is not wanted`)
    if (packet.type === 'PUBLISH') checkDelivery(this, link, packet)
    else checkAnswer(this, link, packet)
  }

  /** Nothing is sent to the client before it is known whether it may still have its subscriptions. */
  isReviewed: (clientId: string) => boolean = () => false

  // --- time ---------------------------------------------------------------------------------------------------------

  /** Everything that followed from the last inputs has been done and sent. */
  turnEnded(): void {
    this.current = null
    this.endedNow = []
    for (const expectation of this.#dueNow) {
      const { life, instance } = expectation
      if (expectation.isOver || expectation.isOptional) continue
      const { link } = life
      expectation.mayWait ||= this.isReviewed(life.clientId)
      if (link === null || link !== expectation.madeOn || link.blockedSinceMs >= 0 || expectation.mayWait) {
        expectation.isOptional = true
        continue
      }
      const drops = life.drops.get(`${instance.topic}\n0`) ?? 0
      if (drops > 0) {
        life.drops.set(`${instance.topic}\n0`, drops - 1)
        expectation.progress = 'cancelled'
        continue
      }
      // One of the same content that was due before a crash seems to have come instead.
      const isTold = life.expectations
        .get(keyOf(instance))!
        .some((each) => each.qos === 0 && each.seq < expectation.seq && each.sentSeq > expectation.seq)
      if (isTold) {
        expectation.isOptional = true
        continue
      }
      this.fail('no loss', `${life.clientId}: QoS 0 message ${instance.topic} ${short(instance.payload)} did not leave`)
    }
    this.#dueNow = []
    for (const link of this.links) {
      link.mayHaveLostWill = false
      if (link.isWillOut && link.state === 'open')
        this.fail('wills', `${link.name}: its Will is out and it is connected`)
    }
    this.wills.turnEnded()
    checkRetainedBytes(this)
  }

  note<T>(log: Noted<T>[], value: T): void {
    log.push({ seq: this.seq, value })
  }
}

export function short(payload: string): string {
  return payload === '' ? '(empty)' : payload.length > 24 ? `${payload.slice(0, 24)}… (${payload.length})` : payload
}
