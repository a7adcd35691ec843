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
  keyOf,
  ModelConnection,
  ModelSession,
  type Noted,
  type Opening,
  type Owed,
  Publication,
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
  readonly publication: Publication | null
  /** Message that made it so. */
  readonly by: Publication
  isPromised: boolean
}

export class Model {
  settings: Settings
  readonly cover: (name: string) => void
  seq = 0
  nowMs: number
  /** Living sessions by Client Identifier. */
  readonly sessions: Map<string, ModelSession> = new Map()
  /** Ended ones that a crash may bring back. */
  ended: ModelSession[] = []
  readonly connections: Set<ModelConnection> = new Set()
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
  endedNow: ModelSession[] = []
  /** The message that the broker works on: what it refuses now is this one. */
  current: Publication | null = null
  crashes = 0
  /** Called with changes of a client's settings. */
  onChange: (session: ModelSession, changes: readonly string[]) => void = () => {}
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

  open(name: string, listener: number): ModelConnection {
    this.seq++
    if (this.connections.size === 0) this.memory.watched(this.nowMs)
    const connection = new ModelConnection(name, this.nowMs, listener, this.settings.listeners[listener]!)
    this.connections.add(connection)
    return connection
  }

  /** The embedding program opens the session of a durable subscription: nothing refuses it, and it waits for nothing. */
  openForProgram(name: string, connect: ConnectIn): ModelConnection {
    this.seq++
    const connection = new ModelConnection(name, this.nowMs, 0, { ...PROGRAM, inflightMax: connect.receiveMaximum })
    connection.isProgram = true
    connection.connect = connect
    connection.connectedSeq = this.seq
    connection.isConnackSent = true
    this.connections.add(connection)
    this.#letIn(connection, connect, this.#open(connection, connect, []))
    return connection
  }

  /** The embedding program ends the session of a durable subscription. */
  endByProgram(session: ModelSession): void {
    this.seq++
    this.endSession(session)
  }

  // --- from clients -------------------------------------------------------------------------------------------------

  /**
   * The broker processes this packet now. `isNew`: a QoS 2 PUBLISH that it does not know; only asked where a crash has left
   * both possible.
   */
  receive(connection: ModelConnection, packet: InPacket, isNew: boolean): void {
    this.seq++
    if (connection.state === 'closed' || connection.state === 'refused') return
    if (packet.type === 'VIOLATION') {
      this.cover('violation')
      this.violate(connection, packet.why)
      return
    }
    if (packet.type === 'CONNECT') {
      this.#handleConnect(connection, packet)
      return
    }
    if (packet.type === 'AUTH') return
    const { session } = connection
    if (session === null) {
      if (packet.type === 'DISCONNECT') this.closed(connection)
      else this.violate(connection, `${packet.type} before CONNECT`)
      return
    }
    const violation = this.violationOf(connection, packet)
    if (violation !== null) {
      this.cover('violation.of-state')
      this.violate(connection, violation)
      return
    }
    switch (packet.type) {
      case 'PUBLISH':
        handlePublish(this, connection, session, packet, isNew)
        break
      case 'PUBACK':
      case 'PUBREC':
      case 'PUBCOMP':
        handleAck(this, connection, session, packet)
        break
      case 'PUBREL':
        handlePubrel(this, connection, session, packet)
        break
      case 'SUBSCRIBE':
        handleSubscribe(this, connection, session, packet)
        break
      case 'UNSUBSCRIBE':
        handleUnsubscribe(this, connection, session, packet)
        break
      case 'PINGREQ':
        this.owe(connection, { type: 'PINGRESP' })
        break
      case 'DISCONNECT':
        this.#handleDisconnect(connection, session, packet)
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
  violationOf(connection: ModelConnection, packet: InPacket): string | null {
    const { settings } = this
    if (packet.type === 'SUBSCRIBE') {
      if (packet.identifier !== 0 && !settings.hasIdentifiers)
        return 'a Subscription Identifier, which is not available'
      const isWrong = packet.filters.some((each) => each.noLocal && sharedParts(each.topicFilter) !== null)
      return isWrong && settings.hasShares ? 'No Local on a Shared Subscription [MQTT-3.8.3-4]' : null
    }
    if (packet.type !== 'PUBLISH') return null
    if (packet.topicAlias > connection.settings.topicAliasMaximum) return 'a Topic Alias over the maximum'
    if (packet.topic === '' && !connection.aliasesIn.has(packet.topicAlias)) return 'an unknown Topic Alias'
    if (packet.qos > connection.settings.maximumQoS) return 'a QoS over the maximum'
    if (packet.retain && settings.retainedMessagesMax === 0) return 'retained messages are not available'
    if (packet.qos === 0 || this.isDuplicate(connection, packet)) return null
    return connection.isV5 && connection.unacknowledged >= connection.settings.receiveMaximum
      ? 'more than the Receive Maximum'
      : null
  }

  /** Whether the broker has this PUBLISH already, by what the model knows. */
  isDuplicate(connection: ModelConnection, packet: PublishPacket): boolean {
    return this.isHeld(connection, packet) && !connection.session!.held.get(packet.packetId)!.isUncertain
  }

  /** A QoS 2 message whose id is held, or may be. */
  isHeld(connection: ModelConnection, { qos, packetId }: PublishPacket): boolean {
    return qos === 2 && connection.session?.held.get(packetId)?.releasedSeq === Number.POSITIVE_INFINITY
  }

  /** The client does what it may not: the connection is to be ended. */
  violate(connection: ModelConnection, why: string): void {
    connection.mayEnd.add(why)
    this.#endConnection(connection, connection.will)
  }

  #handleConnect(connection: ModelConnection, packet: ConnectIn): void {
    if (connection.connect !== null) {
      this.violate(connection, 'a second CONNECT')
      return
    }
    let connect = this.#withPermittedWill(connection, named(this, connection, packet))
    connection.connect = connect
    connection.connectedSeq = this.seq
    this.cover(`connect.v${connect.version}`)
    const known = this.sessions.get(connect.clientId)
    const isOthers = this.#isOthers(known, connect)
    // Of another user's session nothing is left.
    if (isOthers) connect = { ...connect, cleanStart: true }
    connection.connect = connect
    // Nothing says which of several reasons comes first.
    const refusals = [this.#busy(known), connect.refusal, this.#refusalOf(connection, connect, known)].filter(
      (code) => code !== 0,
    )
    if (isIdentifierRefused(this.settings, packet)) {
      this.cover('assigned.refused')
      refusals.push(IDENTIFIER_REJECTED)
    }
    refusals.push(...this.#willRefusals(connection, packet))
    if (isOthers && this.settings.sessionOwner === 'refuse') {
      this.cover('owner.refused')
      refusals.push(0x87)
    }
    if (refusals.length > 0) {
      connection.state = 'refused'
      connection.refusals = refusals
      connection.mayEnd.add('refused')
      this.cover('connect.refused')
      return
    }
    if (known !== undefined) this.onChange(known, changesOfConnect(known, connection, connect))
    const other = known?.connection ?? null
    if (other !== null) {
      this.cover('takeover')
      other.mayEnd.add('taken over')
      this.#endConnection(other, other.will)
    }
    for (const earlier of this.connections) {
      if (earlier.state !== 'waiting' || earlier.connect!.clientId !== connect.clientId) continue
      earlier.mayEnd.add('taken over')
      this.#endConnection(earlier, null)
    }
    const suspended: Due[] = []
    const session = this.sessions.get(connect.clientId)
    if (isOthers) this.cover('owner.taken-over')
    if (session !== undefined && connect.cleanStart) {
      this.cover('session.clean-start')
      // Another user is not the client that is waited for.
      if (!isOthers) suspended.push(...this.wills.suspendGrace(session))
      this.endSession(session)
      session.isEndAwaited = session.isDurable
    }
    if (this.settings.sessionOwner !== 'off') this.wills.publishOrphansOfOthers(connect.clientId, connect.username)
    const opening = this.#open(connection, connect, suspended)
    const isEndAwaited = this.ended.some(
      (each) => each.clientId === connect.clientId && each.isEndAwaited && !each.isEndPromised,
    )
    const { isPersistent } = this.settings
    const isPromise = isPersistent && (opening.session.isDurable || connect.will !== null)
    if (this.isFailing || !(isPromise || isEndAwaited)) {
      this.#letIn(connection, connect, opening)
      return
    }
    this.cover('connack.waits')
    connection.state = 'waiting'
    connection.opening = opening
    opening.session.opening = connection
  }

  /** One that has waited is let in, or refused for what has happened meanwhile. */
  goOn(connection: ModelConnection, reasonCode: number): void {
    this.seq++
    const connect = connection.connect!
    const { opening } = connection
    if (reasonCode !== 0) {
      this.#abandon(connection)
      connection.state = 'refused'
      connection.refusals = []
      // Nobody waits for ever.
      const isOver = this.nowMs >= connection.openedMs + this.settings.connectTimeoutMs
      const late = this.isFailing ? 0x97 : 0x89
      // Before 5.0 both are 'Server unavailable'.
      if (isOver && reasonCode === (connection.isV5 ? late : 3)) connection.mayEnd.add('not in time')
      if (this.nowMs >= connection.credentialsEndMs && reasonCode === (connection.isV5 ? 0x87 : 5)) {
        this.cover('connack.login-over')
        connection.mayEnd.add('credentials are over')
      }
      return
    }
    if (this.nowMs >= connection.credentialsEndMs)
      this.fail('closing', `${connection.name}: is let in, and what it has logged in with is over`)
    // Its silence was ours.
    connection.lastReceivedMs = this.nowMs
    connection.lastPacketMs = this.nowMs
    for (const each of this.ended) if (each.clientId === connect.clientId) each.isEndPromised ||= each.isEndAwaited
    connection.hasWaited = true
    this.#letIn(connection, connect, opening!)
  }

  /** The session of a CONNECT, and its Will. */
  #open(connection: ModelConnection, connect: ConnectIn, suspended: Due[]): Opening {
    const { isPersistent } = this.settings
    const { sessionExpirySecondsMax } = connection.settings
    const expiry = Math.min(connect.expirySeconds, sessionExpirySecondsMax)
    let session = this.sessions.get(connect.clientId)
    const isNew = session === undefined
    connection.sessionPresent = !isNew && connect.version !== 3
    const earlierExpiry = session?.expiry ?? 0
    const earlierOwner = session?.owner ?? null
    if (session === undefined) {
      session = new ModelSession(connect.clientId, isPersistent && expiry > 0, this.seq, expiry)
      this.sessions.set(connect.clientId, session)
      this.cover('session.new')
    } else {
      session.expirySeconds.push({ seq: this.seq, value: expiry })
      this.cover('session.resumed')
      if (session.flight.size > 0) this.cover('session.resumed-in-flight')
    }
    // Who comes first to a session that is not known to be anybody's makes it theirs, if they have a user name.
    const owner = earlierOwner ?? (isNew || connect.username !== '' ? connect.username : null)
    session.owners.push({ seq: this.seq, value: this.settings.sessionOwner === 'off' ? null : owner })
    session.away.push({ seq: this.seq, value: null })
    session.dueAtMs = Number.POSITIVE_INFINITY
    session.mayExpireAtMs = Number.POSITIVE_INFINITY
    suspended.push(...this.wills.suspend(connect.clientId, session))
    if (connect.will !== null) this.wills.register(session, connect.will, connect.username)
    return { session, isNew, earlierExpiry, earlierOwner, suspended }
  }

  #letIn(connection: ModelConnection, connect: ConnectIn, { session }: Opening): void {
    connection.opening = null
    session.opening = null
    session.isIdentified = true
    session.connection = connection
    connection.session = session
    session.isV5 &&= connection.isV5
    session.maximumPacketSize = connect.maximumPacketSize
    session.mountPoint = connection.settings.mountPoint
    session.username = connect.username
    session.connect = connect
    session.listener = connection.listener
    this.rights.isUser(connect.clientId, connect.username, this.nowMs)
    connection.state = 'open'
    connection.will = connect.will
  }

  /** A client that waits is not let in, or has gone before it was: the session is what it was. */
  #abandon(connection: ModelConnection): void {
    const { opening } = connection
    if (opening === null) return
    this.cover('connack.abandoned')
    const { session, isNew, earlierExpiry, earlierOwner, suspended } = opening
    connection.opening = null
    session.opening = null
    this.wills.forget(session)
    if (isNew) {
      this.endSession(session)
      session.isEndAwaited = session.isDurable
    } else {
      session.expirySeconds.push({ seq: this.seq, value: earlierExpiry })
      session.owners.push({ seq: this.seq, value: earlierOwner })
      this.#leaveAlone(session)
    }
    this.wills.resume(suspended)
  }

  #busy(known: ModelSession | undefined): number {
    let connected = 0
    for (const { state, isProgram } of this.connections)
      if (!isProgram && (state === 'open' || state === 'waiting')) connected++
    const isFull = connected >= this.settings.connectionsMax || this.memory.level >= 2
    return known?.connection == null && known?.opening == null && isFull ? 0x89 : 0
  }

  /** Refused before anybody is asked. */
  isRefusedEarly(connection: ModelConnection, packet: ConnectIn): boolean {
    return isIdentifierRefused(this.settings, packet) || this.#willRefusals(connection, packet).length > 0
  }

  /** [MQTT-3.2.2-12] [MQTT-3.2.2-13] */
  #willRefusals({ settings }: ModelConnection, { will }: ConnectIn): number[] {
    if (will === null) return []
    const refusals: number[] = []
    if (will.qos > settings.maximumQoS) refusals.push(0x9b)
    if (will.retain && this.settings.retainedMessagesMax === 0) refusals.push(0x9a)
    if (isWillTooLarge(this, will)) refusals.push(0x95)
    return refusals
  }

  #isOthers(known: ModelSession | undefined, { username }: ConnectIn): boolean {
    const owner = known?.owner ?? null
    return this.settings.sessionOwner !== 'off' && owner !== null && owner !== username
  }

  /** A Will that its client may not publish is not kept. */
  #withPermittedWill(connection: ModelConnection, connect: ConnectIn): ConnectIn {
    const { will, clientId, username } = connect
    if (will === null || !this.settings.asksSources || !this.sources.denies(clientId, username, will.topic))
      return connect
    this.cover('will.withheld-at-connect')
    connection.withheldTopic = will.topic
    return { ...connect, will: null }
  }

  /** Whether its first client waits for CONNACK: when another one takes over there is no session. */
  #isBeingBegun(session: ModelSession): boolean {
    for (const { state, opening } of this.connections)
      if (state === 'waiting' && opening?.session === session && opening.isNew) return true
    return false
  }

  #refusalOf(connection: ModelConnection, connect: ConnectIn, known: ModelSession | undefined): number {
    const { sessionsMax } = this.settings
    const { sessionExpirySecondsMax } = connection.settings
    if (known === undefined && this.sessions.size >= sessionsMax) return 0x97
    const expiry = Math.min(connect.expirySeconds, sessionExpirySecondsMax)
    if (this.memory.level >= 1 && expiry > 0 && known === undefined) return 0x97
    // What CONNACK promises could not be kept.
    const stays =
      known?.isDurable === true && (known.connection === null || known.expiry > 0) && !this.#isBeingBegun(known)
    const isNewDurable = expiry > 0 && (!stays || connect.cleanStart)
    return this.isFailing && (isNewDurable || connect.will !== null) ? 0x97 : 0
  }

  newPublication(
    topic: string,
    payload: string,
    qos: QoS,
    retain: boolean,
    passedOn: string,
    expirySeconds: number | null,
    session: ModelSession,
    username: string,
  ): Publication {
    this.topics.add(topic)
    return new Publication({
      index: this.#nextIndex++,
      topic,
      payload,
      qos,
      retain,
      passedOn,
      expiresAtMs: expirySeconds === null ? Number.POSITIVE_INFINITY : this.nowMs + expirySeconds * 1000,
      publisher: session,
      publisherId: session.clientId,
      username,
      hasSource: this.settings.asksSources,
      seq: this.seq,
      atMs: this.nowMs,
    })
  }

  /** The message is published. Returns the Reason Codes that are right for its acknowledgement. */
  accept(publication: Publication, topic: string, publisher: ModelSession | null): number[] {
    this.current = publication
    if (publisher !== null && isPayloadTooLarge(this, publication)) {
      this.cover('publish.payload-too-large')
      publication.isRefused = true
      return [0x97]
    }
    if (publisher !== null && !this.settings.mayPublish(publisher.clientId, publisher.username, topic)) {
      this.cover('publish.denied')
      publication.isRefused = true
      return [0x87]
    }
    if (publication.withheld !== null) {
      publication.isRefused = true
      return [publication.withheld]
    }
    if (publication.isDelayed) return [0]
    if (publication.retain) this.#retain(publication)
    this.#dueNow.push(...deliver(this, publication))
    if (publication.hasMatches) return [0]
    if (!this.settings.answersAsMosquitto) return [0x10]
    if (publication.qos === 2 || publication.hasNoLocal) return [0]
    return publication.hasDenied ? [0, 0x10] : [0x10]
  }

  #retain(publication: Publication): void {
    const states = this.retained.get(publication.topic) ?? []
    this.retained.set(publication.topic, states)
    const isClear = publication.payload === ''
    this.cover(isClear ? 'retained.cleared' : states.length > 0 ? 'retained.replaced' : 'retained.set')
    states.push({ seq: this.seq, publication: isClear ? null : publication, by: publication, isPromised: false })
  }

  #handleDisconnect(
    connection: ModelConnection,
    session: ModelSession,
    { reasonCode, expirySeconds }: DisconnectPacket,
  ): void {
    if (expirySeconds !== null) {
      if (session.expiry === 0 && expirySeconds !== 0) {
        this.violate(connection, 'DISCONNECT sets a Session Expiry Interval that was 0')
        return
      }
      this.cover('disconnect.expiry')
      const value = Math.min(expirySeconds, connection.settings.sessionExpirySecondsMax)
      if (value !== session.expiry) this.onChange(session, [value === 0 ? 'disconnect.expiry-0' : 'disconnect.expiry'])
      session.expirySeconds.push({ seq: this.seq, value })
    }
    this.cover(reasonCode === 0 ? 'disconnect' : 'disconnect.with-will')
    connection.mayEnd.add('DISCONNECT')
    this.#endConnection(connection, reasonCode === 0 ? null : connection.will)
  }

  /** The broker has to answer. */
  owe(connection: ModelConnection, o: Partial<Owed> & { type: string }): void {
    connection.owed.push({
      packetId: 0,
      publication: null,
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
  closed(connection: ModelConnection): void {
    this.seq++
    this.#endConnection(connection, connection.will)
    this.connections.delete(connection)
  }

  /** The broker has ended the connection. */
  endedByBroker(connection: ModelConnection): void {
    if (connection.state === 'closed') return
    this.seq++
    const { mayEnd } = connection
    if (connection.state === 'new' || connection.state === 'waiting') {
      if (mayEnd.size === 0) this.cover('close.no-connect')
    } else {
      if (this.memory.level === 3 && connection.blockedSinceMs >= 0) {
        this.cover('close.memory')
        mayEnd.add('memory is short')
      }
      const keepAliveMs = (connection.connect?.keepAliveSeconds ?? 0) * 1500
      const heardMs = Math.max(connection.lastPacketMs, connection.heldUntilMs - HELD_SLACK_MS)
      if (keepAliveMs > 0 && this.nowMs >= heardMs + keepAliveMs) {
        this.cover('close.keep-alive')
        mayEnd.add('keep alive')
      }
      if (this.nowMs >= connection.credentialsEndMs) {
        this.cover('close.credentials')
        mayEnd.add('credentials are over')
      }
      if (mayEnd.size === 0)
        this.fail('closing', `${connection.name}: the broker ends the connection, and nothing is wrong with it`)
    }
    this.#endConnection(connection, connection.will)
  }

  #endConnection(connection: ModelConnection, will: WillMessage | null): void {
    if (connection.state === 'closed') return
    this.#abandon(connection)
    connection.state = 'closed'
    connection.will = null
    const { session } = connection
    if (session === null || session.connection !== connection) return
    session.connection = null
    session.wasBlocked ||= connection.wasBlocked
    if (will !== null && connection.mayHaveLostWill) this.cover('will.withheld')
    if (will !== null && !connection.isWillOut && !connection.mayHaveLostWill)
      this.wills.lost(session, will, connection.connect!.username)
    else this.wills.forget(session)
    // A retained message on its way at QoS 0, or not yet begun, may be lost with the connection.
    for (const list of session.expectations.values()) {
      for (const expectation of list) {
        if (expectation.isOver || expectation.madeOn !== connection) continue
        if (expectation.qos === 0 || expectation.forSubscription !== null) expectation.isOptional = true
      }
    }
    if (session.expiry === 0) this.endSession(session)
    else this.#leaveAlone(session)
  }

  /** Notes that its client is away from now on. */
  #leaveAlone(session: ModelSession): void {
    session.away.push({ seq: this.seq, value: { earliestMs: this.nowMs, latestMs: this.nowMs } })
    session.dueAtMs = session.expiry === NEVER ? Number.POSITIVE_INFINITY : this.nowMs + session.expiry * 1000
    session.mayExpireAtMs = session.dueAtMs
  }

  /** The session ends. */
  endSession(session: ModelSession): void {
    if (session.isOver) return
    session.toSeq = this.seq
    if (this.sessions.get(session.clientId) === session) this.sessions.delete(session.clientId)
    this.wills.sessionEnds(session)
    const subscriptions = session.liveSubscriptions
    for (const subscription of subscriptions) subscription.toSeq = this.seq
    redistribute(this, session)
    this.endedNow.push(session)
    if (session.isDurable) this.ended.push(session)
  }

  /** The broker says that a session has expired. Other ends the model knows by itself, and earlier. */
  sessionExpired(clientId: string): void {
    const mayHaveExpired = (session: ModelSession): boolean =>
      session.connection === null && session.opening === null && this.nowMs >= session.mayExpireAtMs
    const session =
      this.sessions.get(clientId) ??
      [...this.sessions.values()].find((each) => mayBeNamed(this, each, clientId) && mayHaveExpired(each))
    this.seq++
    if (session !== undefined && mayHaveExpired(session)) {
      this.cover('session.expired')
      this.endSession(session)
    } else {
      this.fail('expiry', `the session ${clientId} expires, and it must not`)
    }
  }

  // --- to clients ---------------------------------------------------------------------------------------------------

  /** The broker says this on a connection. */
  send(connection: ModelConnection, packet: OutPacket): void {
    this.seq++
    if (!connection.isConnackSent && packet.type !== 'CONNACK' && packet.type !== 'AUTH') {
      if (!(packet.type === 'DISCONNECT'))
        this.fail('acknowledgements', `${connection.name}: ${packet.type} before CONNACK`)
      return
    }
    // [MQTT-3.1.2-29]
    const isUnwanted =
      this.settings.answersAsMosquitto || (packet.type !== 'CONNACK' && !connection.connect!.wantsProblems)
    if ('hasProblems' in packet && packet.hasProblems && isUnwanted)
      this.fail('acknowledgements', `${connection.name}: ${packet.type} has problem information, which is not wanted`)
    if (packet.type === 'PUBLISH') checkDelivery(this, connection, packet)
    else checkAnswer(this, connection, packet)
  }

  /** Nothing is sent to the client before it is known whether it may still have its subscriptions. */
  isReviewed: (clientId: string) => boolean = () => false

  // --- time ---------------------------------------------------------------------------------------------------------

  /** Everything that followed from the last inputs has been done and sent. */
  turnEnded(): void {
    this.current = null
    this.endedNow = []
    for (const expectation of this.#dueNow) {
      const { session, publication } = expectation
      if (expectation.isOver || expectation.isOptional) continue
      const { connection } = session
      expectation.mayWait ||= this.isReviewed(session.clientId)
      if (
        connection === null ||
        connection !== expectation.madeOn ||
        connection.blockedSinceMs >= 0 ||
        expectation.mayWait
      ) {
        expectation.isOptional = true
        continue
      }
      const drops = session.drops.get(`${publication.topic}\n0`) ?? 0
      if (drops > 0) {
        session.drops.set(`${publication.topic}\n0`, drops - 1)
        expectation.progress = 'cancelled'
        continue
      }
      // One of the same content that was due before a crash seems to have come instead.
      const isTold = session.expectations
        .get(keyOf(publication))!
        .some((each) => each.qos === 0 && each.seq < expectation.seq && each.sentSeq > expectation.seq)
      if (isTold) {
        expectation.isOptional = true
        continue
      }
      this.fail(
        'no loss',
        `${session.clientId}: QoS 0 message ${publication.topic} ${short(publication.payload)} did not leave`,
      )
    }
    this.#dueNow = []
    for (const connection of this.connections) {
      connection.mayHaveLostWill = false
      if (connection.isWillOut && connection.state === 'open')
        this.fail('wills', `${connection.name}: its Will is out and it is connected`)
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
