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
import { endAutoSubscriptions } from './auto-subscriptions.ts'
import { checkRetainedBytes, isPayloadTooLarge } from './bytes.ts'
import { abandon, handleConnect, letIn, openSession } from './connects.ts'
import { DelayedMessages } from './delayed.ts'
import { checkDelivery, deliver, redistribute } from './deliveries.ts'
import { handleAck, handlePublish, handlePubrel } from './flows.ts'
import { noteGivenUp } from './given-up.ts'
import { mayBeNamed } from './identifiers.ts'
import { MemoryCeiling } from './memory.ts'
import { DeliveryRights } from './rights.ts'
import { isCertificate, keepBirth } from './sparkplug.ts'
import {
  type Expectation,
  type GroupDue,
  ModelConnection,
  type ModelSession,
  type Noted,
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
import { Wills } from './wills.ts'

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
  /** Session to which a connection was let in, by its name. */
  readonly sessionOf: Map<string, ModelSession> = new Map()
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
  /** When it last worked again. */
  recoveredMs = -1
  /** QoS 0 messages wait, or have waited before the broker started anew. */
  hasQueuedQoS0 = false
  /** Sessions that have ended in this turn. */
  endedNow: ModelSession[] = []
  /** Messages on a topic that have gone to other members of a Shared Subscription: one of these sessions expires in this turn. */
  expiring: { readonly topic: string; readonly sessions: readonly ModelSession[] }[] = []
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
    letIn(this, connection, connect, openSession(this, connection, connect, []))
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
      handleConnect(this, connection, packet)
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
    this.endConnection(connection, connection.will)
  }

  newPublication(
    topic: string,
    payload: string,
    qos: QoS,
    retain: boolean,
    passedOn: string,
    expirySeconds: number | null,
    session: ModelSession | null,
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
      publisherId: session?.clientId ?? '',
      username,
      hasSource: session !== null && this.settings.asksSources,
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
    if (publication.isMalformed) {
      this.cover('delayed.malformed')
      publication.isRefused = true
      return [0x90]
    }
    if (publisher !== null && !this.settings.mayPublish(publisher.clientId, publisher.username, topic)) {
      this.cover(isCertificate(topic) ? 'sparkplug.forged' : 'publish.denied')
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
    if (this.settings.isSparkplugAware) keepBirth(this, publication)
    if (publication.hasMatches) return [0]
    if (!this.settings.answersAsMosquitto) return [0x10]
    if (publication.qos === 2 || publication.hasNoLocal) return [0]
    return publication.hasDenied ? [0] : [0x10]
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
    this.endConnection(connection, reasonCode === 0 ? null : connection.will)
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
    this.endConnection(connection, connection.will)
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
    this.endConnection(connection, connection.will)
  }

  endConnection(connection: ModelConnection, will: WillMessage | null): void {
    if (connection.state === 'closed') return
    abandon(this, connection)
    connection.state = 'closed'
    connection.will = null
    const { session } = connection
    if (session === null || session.connection !== connection) return
    noteGivenUp(this, session)
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
    else this.leaveAlone(session)
  }

  /** Notes that its client is away from now on. */
  leaveAlone(session: ModelSession): void {
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
    for (const { topic, sessions } of this.expiring) {
      const names = sessions.map(({ clientId }) => clientId).join(', ')
      if (!sessions.some(({ isOver }) => isOver))
        this.fail(
          'only to whom it is due',
          `${topic} waited for ${names}, has gone to another member, and no session ends`,
        )
    }
    this.expiring = []
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
      // One of the same content that need not have come any more seems to have come instead: it was dropped when it was due, or
      // was due before a crash.
      const stale = session.expectations
        .get(publication.key)!
        .find(
          (each) => each.qos === 0 && each.isOptional && each.seq < expectation.seq && each.sentSeq > expectation.seq,
        )
      if (stale !== undefined) {
        if (!expectation.looksLike(stale)) expectation.isOptional = true
        else {
          if (stale.group?.takenBy === stale) stale.group.takenBy = null
          expectation.takePlaceOf(stale)
        }
        continue
      }
      const drops = session.drops.get(`${publication.topic}\n0`) ?? 0
      if (drops > 0) {
        session.drops.set(`${publication.topic}\n0`, drops - 1)
        expectation.progress = 'cancelled'
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
      if (connection.autosDue.length > 0 && !connection.isWaiting) endAutoSubscriptions(this, connection)
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
