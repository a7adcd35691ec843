/**
 * CONNECT: from the packet to an Active connection with a session, or to a CONNACK with the reason of a refusal.
 *
 * In this order: the requests of the packet against the offers of this broker; authentication (plain, or by AUTH
 * packets); permission for the Will; then session, CONNACK, and messages that have waited for the client.
 *
 * Source: MQTT 5.0 sections 3.1.4 and 3.2; MQTT 3.1.1 sections 3.1.4 and 3.2.
 */
import {
  Connack,
  type Connect,
  encodedSize,
  hasDisallowedCodePoint,
  isTopicName,
  NO_PROPERTIES,
  type Properties,
  ReasonCode,
  TopicAliasReceiver,
  TopicAliasSender,
  topicLevels,
  utf8Length,
  type Will,
} from '@recado/protocol'
import { ALLOW, type ConnectDecision, type ConnectRequest, PENDING } from '../../ports.ts'
import { PATH_PROPERTY, pathOf, withPath } from '../base/bridge-path.ts'
import { isDelayed } from '../base/delay-topics.ts'
import { BRIDGE_INFLIGHT_MAX } from '../base/limits.ts'
import { isReserved, isReservedFor } from '../base/reserved-topics.ts'
import { brokerIdentity } from '../journal/broker-identity.ts'
import { PendingCallback } from '../journal/pending-ack.ts'
import { NEVER_EXPIRES } from '../journal/session-records.ts'
import { isCertificate } from '../routing/sparkplug.ts'
import type { Connection } from './connection.ts'
import { beginAuthentication, takeRights } from './handle-auth.ts'
import { autoSubscribe } from './handle-subscribe.ts'
import { identify, isStillValid } from './identity.ts'
import { identityOf } from './listener-settings.ts'
import { codeForEmptyId, codeForSessionsMax, isOpenToAll, isToldOfControl, isToldOfPlaces } from './mosquitto-manner.ts'

/** Share of `sessionBytesMax` for sessions that outlast their connection; the rest is for those that end with it. */
const KEPT_SESSIONS_SHARE = 0.75
/** Longest Client Identifier that is told of a client who is refused before it is checked. */
const LOGGED_ID_LENGTH = 256
const MEMORY_SHORT = 'memory is short'

export function handleConnect(connection: Connection, connect: Connect): void {
  const { context, limits, settings } = connection
  const isV5 = connect.protocolVersion === 5
  connection.isBridge = connect.isBridge
  connection.bringsPaths = connect.protocolVersion === 5 && pathOf(connect.properties) !== ''
  const { properties } = connect
  if (properties.requestProblemInformation === false) connection.requestProblemInformation = false
  connection.maximumPacketSize = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
  const identity = identityOf(connection.peer, settings.usernameFrom)
  if (identity === null && settings.usernameFrom !== 'connect') {
    // For the log, as far as it is fit for one.
    if (connect.clientId.length <= LOGGED_ID_LENGTH && !hasDisallowedCodePoint(connect.clientId))
      connection.clientId = connect.clientId
    connection.closeWith(ReasonCode.BadUserNameOrPassword, 'the client certificate or pre-shared key has no user name')
    return
  }
  const username = identity ?? connect.username ?? ''
  // `identify` decides who the client is, after authentication.
  let clientId = settings.clientIdFromUsername ? username : connect.clientId
  if (clientId === '' && !settings.clientIdFromUsername) {
    // [MQTT-3.1.3-6] [MQTT-3.1.3-8] [MQTT-3.1.1:3.1.3-8] 3.1 has no empty Client Identifier.
    const isAllowed =
      settings.options.allowEmptyClientId && (isV5 || (connect.protocolVersion === 4 && connect.cleanStart))
    if (!isAllowed) {
      connection.closeWith(codeForEmptyId(context, connection.protocolVersion), 'the Client Identifier is empty')
      return
    }
    clientId = assignedClientId(connection) // [MQTT-3.1.3-7]
  } else if (connection.parts.intake.others?.isHome(clientId) === false) {
    connection.closeWith(ReasonCode.ServerUnavailable, 'the session of this Client Identifier is kept by another Core')
    return
  }
  connection.clientId = clientId
  // Section 1.5.4 lets a server refuse them; in names that end up in logs they do nothing but harm. All else is taken [MQTT-3.1.3-5].
  if (hasDisallowedCodePoint(username)) {
    connection.closeWith(ReasonCode.BadUserNameOrPassword, 'the User Name has a control character or non-character')
    return
  }
  if (hasDisallowedCodePoint(clientId)) {
    // [MQTT-3.1.3-8]
    connection.closeWith(
      ReasonCode.ClientIdentifierNotValid,
      'the Client Identifier has a control character or non-character',
    )
    return
  }
  if (!areNamesShort(connection, clientId, username)) return
  if (!takePlace(connection)) return
  const { keepAliveSecondsMax } = limits
  if (
    !isV5 &&
    keepAliveSecondsMax < 65_535 &&
    (connect.keepAliveSeconds === 0 || connect.keepAliveSeconds > keepAliveSecondsMax)
  ) {
    connection.closeWith(ReasonCode.ClientIdentifierNotValid, `Keep Alive is longer than ${keepAliveSecondsMax} s`)
    return
  }
  if (connect.will !== undefined && !takeWill(connection, connect.will)) return

  const request: ConnectRequest = {
    connect,
    clientId,
    isClientIdUsername: settings.clientIdFromUsername,
    remoteAddress: connection.remoteAddress,
    listener: connection.listener,
    peer: connection.peer,
    identity,
  }
  if (properties.authenticationMethod !== undefined) {
    beginAuthentication(connection, request)
    return
  }
  authenticate(connection, request)
}

/** Returns a new Client Identifier, one that has its home here where there are other Cores. */
function assignedClientId({ context, settings, parts }: Connection): string {
  for (;;) {
    const clientId = settings.options.assignedClientIdPrefix + uuidOf(context.random.hex(16))
    if (parts.intake.others?.isHome(clientId) !== false) return clientId
  }
}

/** Authenticates by what CONNECT says. */
function authenticate(connection: Connection, request: ConnectRequest): void {
  const { authenticator, rechecks } = connection.context
  connection.askedAtRecheck = rechecks
  if (authenticator === null) {
    concludeLogin(connection, request, {})
    return
  }
  connection.readGate.pause()
  authenticator.authenticate(request, (decision) => {
    connection.decided(() => concludeLogin(connection, request, decision))
  })
}

/**
 * Asks about a login again: rights have changed while it was under way, and its answer may be from before. An exchange of AUTH
 * packets cannot be repeated: what it rests on is asked about, as of those who are connected; and where it does not say, the client has to come
 * again.
 */
function askAgain(connection: Connection, request: ConnectRequest, decision: ConnectDecision): void {
  const { context } = connection
  if (connection.authentication === null) {
    authenticate(connection, request)
    return
  }
  connection.askedAtRecheck = context.rechecks
  if (decision.credential === undefined) {
    connection.closeWith(
      ReasonCode.ServerUnavailable,
      'the rules for logins have changed during this login: log in again',
    )
  } else if (isStillValid(connection, context)) {
    activate(connection, request, decision)
  } else {
    connection.closeWith(ReasonCode.NotAuthorized, 'the credential of the client is not valid any more')
  }
}

/** Both are kept for as long as the session is. */
function areNamesShort(connection: Connection, clientId: string, username: string): boolean {
  const { metrics } = connection.context
  const { nameBytesMax } = connection.limits
  const isTooLong = (name: string): boolean => name.length * 3 > nameBytesMax && utf8Length(name) > nameBytesMax
  const isIdTooLong = isTooLong(clientId)
  if (!isIdTooLong && !isTooLong(username)) return true
  metrics.namesTooLong++
  // A Client Identifier that is refused for its length is not for the log.
  if (isIdTooLong) connection.clientId = ''
  connection.closeWith(
    isIdTooLong ? ReasonCode.ClientIdentifierNotValid : ReasonCode.BadUserNameOrPassword,
    `the ${isIdTooLong ? 'Client Identifier' : 'User Name'} is longer than ${nameBytesMax} bytes`,
  )
  return false
}

/** Reason why a client is not let in. */
interface Refusal {
  readonly reasonCode: ReasonCode
  readonly why: string
}

/** Reason why there is no place for a client; null: there is one. Whoever takes over a connection takes its place. */
function placeRefusal({ context, parts, clientId }: Connection): Refusal | null {
  const { memoryGuard, metrics, limits } = context
  const known = parts.sessions.get(clientId)
  const hasPlace = known !== undefined && (known.connection !== null || known.opening !== null)
  if (hasPlace) return null
  if (memoryGuard?.refusesToKeep) return { reasonCode: ReasonCode.ServerBusy, why: MEMORY_SHORT }
  if (metrics.clients < limits.connectionsMax) return null
  const why = `${limits.connectionsMax} clients are connected, the most that are allowed`
  return { reasonCode: ReasonCode.ServerBusy, why }
}

/** Takes a place. Returns false when there was no room, and the connection ends. */
function takePlace(connection: Connection): boolean {
  const refusal = placeRefusal(connection)
  if (refusal === null) return true
  if (refusal.why === MEMORY_SHORT) connection.context.metrics.refusedForMemory++
  connection.closeWith(refusal.reasonCode, refusal.why, NO_PROPERTIES, isToldOfPlaces(connection.context))
  return false
}

/** Reason why the Will of a CONNECT is not taken; null: it is. Its topic has the mount point. */
function willRefusal({ limits }: Connection, will: Will): Refusal | null {
  if (!isTopicName(will.topic) || topicLevels(will.topic) > limits.topicLevelsMax)
    return { reasonCode: ReasonCode.TopicNameInvalid, why: 'the Will Topic is not a Topic Name within the limits' }
  if (will.payload.length > limits.payloadBytesMax) {
    const why = `the Will has a payload of ${will.payload.length} bytes; at most ${limits.payloadBytesMax} are allowed`
    return { reasonCode: ReasonCode.PacketTooLarge, why }
  }
  if (will.qos > limits.maximumQoS) {
    const why = `Will QoS is ${will.qos}; the highest that is allowed is ${limits.maximumQoS}` // [MQTT-3.2.2-12]
    return { reasonCode: ReasonCode.QoSNotSupported, why }
  }
  if (will.retain && limits.retainedMessagesMax === 0)
    return { reasonCode: ReasonCode.RetainNotSupported, why: 'retained messages are not available' } // [MQTT-3.2.2-13]
  return null
}

/** Takes the Will. Returns false when it is refused, and the connection ends. */
function takeWill(connection: Connection, will: Will): boolean {
  // It begins here: a path is that of a message whose properties the client has copied.
  if (pathOf(will.properties) !== '') will.properties = withPath(will.properties, '', '')
  if (connection.context.options.delayedPublish && isDelayed(will.topic)) {
    connection.closeWith(
      ReasonCode.TopicNameInvalid,
      'a Will cannot be published to $delayed/…: use its Will Delay Interval',
    )
    return false
  }
  if (isTopicName(will.topic)) {
    const topic = connection.context.rewrites?.topicName(will.topic, connection) ?? will.topic
    will.topic = connection.settings.mountPoint + topic
  }
  const refusal = willRefusal(connection, will)
  if (refusal === null) return true
  const { reasonCode, why } = refusal
  if (reasonCode === ReasonCode.PacketTooLarge)
    connection.context.dropped(connection.clientId, will.topic, will.qos, 'payload-over-limit')
  connection.closeWith(reasonCode, why)
  return false
}

/** Authentication has decided. */
export function concludeLogin(connection: Connection, request: ConnectRequest, decision: ConnectDecision): void {
  const reasonCode = decision.reasonCode ?? ReasonCode.Success
  if (reasonCode !== ReasonCode.Success) {
    const properties: Properties = {}
    if (decision.serverReference !== undefined) properties.serverReference = decision.serverReference
    if (decision.userProperties !== undefined && connection.requestProblemInformation)
      properties.userProperties = decision.userProperties
    connection.closeWith(reasonCode, decision.reasonString ?? 'the login was refused', properties) // [MQTT-3.1.4-2] [MQTT-4.12.0-4]
    return
  }
  if (!identify(connection, request, decision)) return
  if (!areNamesShort(connection, connection.clientId, connection.username ?? '')) return
  takeRights(connection, decision)
  if (isLoginOver(connection)) return
  authorizeWill(connection, request, decision)
}

/** Whether the login has expired already: the client is refused. */
function isLoginOver(connection: Connection): boolean {
  if (connection.expiresAtMs > connection.context.turn.nowMs) return false
  connection.closeWith(ReasonCode.NotAuthorized, 'the credential of the client has expired')
  return true
}

function authorizeWill(connection: Connection, request: ConnectRequest, decision: ConnectDecision): void {
  const { authorizer } = connection.context
  const { will } = request.connect
  if (will === undefined) {
    activate(connection, request, decision)
    return
  }
  const conclude = (reasonCode: number): void => {
    if (reasonCode === ALLOW) activate(connection, request, decision)
    else connection.closeWith(reasonCode, `publishing the Will to ${will.topic} is not allowed`)
  }
  if (connection.context.options.sparkplugAware && isCertificate(will.topic)) {
    conclude(ReasonCode.NotAuthorized)
    return
  }
  if (authorizer === null || isReserved(will.topic)) {
    const isOpen = !isReservedFor(connection, will.topic) || isOpenToAll(connection.context, will.topic)
    if (isOpen) conclude(ALLOW)
    else if (isToldOfControl(connection.context, will.topic)) conclude(ReasonCode.NotAuthorized)
    else connection.closeWith(ReasonCode.NotAuthorized, 'a Will is no command', NO_PROPERTIES, false)
    return
  }
  const decide = (reasonCode: number): void => connection.decided(() => conclude(reasonCode))
  const verdict =
    authorizer.will?.(connection, will, decide) ??
    authorizer.publish(connection, will.topic, will.qos, will.retain, decide)
  if (verdict === PENDING) connection.readGate.pause()
  else conclude(verdict)
}

/**
 * Takes room for the state that the client would leave here: its session, if it is new, and its Will. Returns false
 * when there is none, and the connection ends.
 */
function takeRoom(connection: Connection, will: Will | null, expirySeconds: number): boolean {
  const { context, parts, limits, clientId } = connection
  const { sessions } = parts
  const { metrics } = context
  const isNew = sessions.get(clientId) === undefined
  let why = ''
  let reasonCode: ReasonCode = ReasonCode.QuotaExceeded
  if (isNew && sessions.size >= limits.sessionsMax) {
    why = `there are ${limits.sessionsMax} sessions, the most that are allowed`
    reasonCode = codeForSessionsMax(context)
  } else if (isNew && context.memoryGuard?.refusesNew && expirySeconds > 0) {
    metrics.refusedForMemory++
    why = 'memory is short, so no new session is kept'
  } else if (isNew && metrics.sessionBytes > limits.sessionBytesMax * (expirySeconds > 0 ? KEPT_SESSIONS_SHARE : 1)) {
    metrics.refusedForSessions++
    why = 'all sessions together take as much memory as is allowed, so no new one is kept'
  } else if (will !== null && !parts.willRoom.take(will, context.turn.nowMs)) {
    metrics.refusedForWills++
    why = 'all Wills together take as much memory as is allowed'
  }
  if (why === '') return true
  connection.closeWith(reasonCode, why)
  return false
}

function activate(connection: Connection, request: ConnectRequest, decision: ConnectDecision): void {
  const { context, parts, limits } = connection
  const { sessions } = parts
  const { connect } = request
  const { clientId } = connection
  // Last of all, because everything before may take its time.
  if (connection.askedAtRecheck !== context.rechecks) {
    askAgain(connection, request, decision)
    return
  }
  if (!takePlace(connection)) return
  const isV5 = connect.protocolVersion === 5
  const { properties } = connect

  const askedExpiry = isV5 ? (properties.sessionExpiryIntervalSeconds ?? 0) : connect.cleanStart ? 0 : NEVER_EXPIRES
  const expirySeconds = Math.min(askedExpiry, limits.sessionExpirySecondsMax)
  const will = willOf(connection, connect)
  if (!takeRoom(connection, will, expirySeconds)) return
  if (sessions.ofProgram.has(clientId)) {
    connection.closeWith(ReasonCode.ClientIdentifierNotValid, 'a bridge of this broker has this Client Identifier')
    return
  }
  const isOthers = sessions.isOthers(connection)
  if (isOthers && context.options.sessionOwner === 'refuse') {
    connection.closeWith(ReasonCode.NotAuthorized, "another user's session has this Client Identifier")
    return
  }
  // Of another user's session nothing is left.
  const cleanStart = connect.cleanStart || isOthers
  if (!sessions.mayOpen(clientId, cleanStart, expirySeconds, will)) {
    const what = will === null ? 'no new sessions' : 'no Wills'
    connection.closeWith(ReasonCode.QuotaExceeded, `the store is failing, so ${what} can be kept`)
    return
  }
  const isKeepAliveLowered =
    isV5 &&
    (limits.keepAliveSecondsMax < 65_535 || context.options.answers !== 'recado') &&
    (connect.keepAliveSeconds === 0 || connect.keepAliveSeconds > limits.keepAliveSecondsMax)
  const keepAliveSeconds = isKeepAliveLowered ? limits.keepAliveSecondsMax : connect.keepAliveSeconds
  const serverKeepAlive = isKeepAliveLowered ? keepAliveSeconds : null
  const answer = isV5 ? connackProperties(connection, request, decision, serverKeepAlive) : NO_PROPERTIES
  if (isV5 && expirySeconds !== askedExpiry) answer.sessionExpiryIntervalSeconds = expirySeconds
  const isTooLarge = (): boolean =>
    encodedSize(new Connack(false, 0, answer), connect.protocolVersion) > connection.maximumPacketSize
  if (answer.userProperties !== undefined && isTooLarge()) delete answer.userProperties // [MQTT-3.2.2-20]
  if (isTooLarge()) {
    // [MQTT-3.1.2-24] There is no CONNACK that this client would take.
    connection.closeWith(ReasonCode.PacketTooLarge, 'CONNACK is larger than the Maximum Packet Size of the client')
    return
  }

  const opening = sessions.open(connection, cleanStart, expirySeconds, will)
  const { session, sessionPresent } = opening
  connection.opens(opening)
  const letIn = (): void => {
    // The disk may have taken its time.
    if (isLoginOver(connection)) return
    sessions.letIn(opening)
    connection.opening = null
    connection.session = session
    connection.will = will // [MQTT-3.1.2-7]; without one there is none: [MQTT-3.1.1:3.1.2-12]
    connection.activate(keepAliveSeconds)
    if (isV5) {
      connection.aliasesIn = new TopicAliasReceiver(limits.topicAliasMaximum)
      const aliasesOut = Math.min(properties.topicAliasMaximum ?? 0, limits.topicAliasSendMax)
      // [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11]
      if (aliasesOut > 0) connection.publishWriter.aliases = new TopicAliasSender(aliasesOut)
    }
    // Session Present is unknown to 3.1. [MQTT-3.2.2-3] [MQTT-3.1.4-5] [MQTT-3.2.0-2]
    const isPresent = sessionPresent && connect.protocolVersion !== 3
    context.observer?.['client.connected']?.({
      client: connection,
      cleanStart: connect.cleanStart,
      sessionPresent,
      keepAliveSeconds,
      sessionExpirySeconds: expirySeconds,
      will: connect.will ?? null,
    })
    connection.send(
      connection.withProblemInformation(answer, decision.reasonString, (all) => new Connack(isPresent, 0, all)),
    )
    // [MQTT-4.9.0-1]
    const untold = connection.isBridge ? BRIDGE_INFLIGHT_MAX : 65_535
    session.attach(connection, Math.min(limits.inflightMax, isV5 ? (properties.receiveMaximum ?? 65_535) : untold))
    autoSubscribe(connection)
  }
  if (!opening.mustWait) {
    letIn()
    return
  }
  connection.readGate.pause()
  const goOn = (): void => connection.decided(letIn)
  // Of a batch with many sessions, a few in an iteration.
  const newcomer = { goOnInNextTurn: goOn, fault: (where: string, error: unknown) => connection.fault(where, error) }
  const onSafe = (): void => {
    if (context.turn.admit(newcomer)) goOn()
  }
  parts.journal!.gate(new PendingCallback(onSafe))
}

/** Will of a CONNECT; null: none, or one that may not be published and so is not kept either. */
function willOf(connection: Connection, { will }: Connect): Will | null {
  const { context, clientId } = connection
  if (will === undefined) return null
  if (context.authorizer?.mayPublish?.(connection, will.topic) !== false) return will
  context.dropped(clientId, will.topic, will.qos, 'not-authorized')
  return null
}

/** Properties of CONNACK: what this broker limits or grants. What is absent has the default of section 3.2.2.3. */
function connackProperties(
  connection: Connection,
  request: ConnectRequest,
  decision: ConnectDecision,
  serverKeepAlive: number | null,
): Properties {
  const { limits } = connection
  const { options } = connection.context
  const { properties } = request.connect
  const answer: Properties = {}
  // In the order of Mosquitto.
  const isKeepAliveFirst = options.answers === 'mosquitto-2.1'
  if (isKeepAliveFirst && serverKeepAlive !== null) answer.serverKeepAliveSeconds = serverKeepAlive
  if (limits.topicAliasMaximum > 0) answer.topicAliasMaximum = limits.topicAliasMaximum
  if (request.connect.clientId === '') answer.assignedClientIdentifier = connection.clientId // [MQTT-3.2.2-16]
  if (serverKeepAlive !== null) answer.serverKeepAliveSeconds = serverKeepAlive // [MQTT-3.2.2-22]
  // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
  if (connection.authentication !== null) {
    answer.authenticationMethod = connection.authentication.method
    if (connection.authentication.finalData !== undefined)
      answer.authenticationData = connection.authentication.finalData
  }
  if (limits.retainedMessagesMax === 0) answer.retainAvailable = false
  if (limits.packetBytesMax < 268_435_460) answer.maximumPacketSize = limits.packetBytesMax
  if (limits.receiveMaximum < 65_535) answer.receiveMaximum = limits.receiveMaximum
  if (limits.maximumQoS < 2) answer.maximumQoS = limits.maximumQoS // [MQTT-3.2.2-9]
  if (!options.wildcardSubscriptions) answer.wildcardSubscriptionAvailable = false
  if (!options.sharedSubscriptions) answer.sharedSubscriptionAvailable = false
  if (!options.subscriptionIdentifiers) answer.subscriptionIdentifierAvailable = false
  // [MQTT-3.1.2-28]
  if (properties.requestResponseInformation === true && decision.responseInformation !== undefined) {
    answer.responseInformation = decision.responseInformation
  }
  if (decision.userProperties !== undefined) answer.userProperties = decision.userProperties
  // A bridge that says who it is learns who this is, for the paths of what it takes from here.
  if (connection.bringsPaths) {
    const identity = brokerIdentity(connection.context, connection.parts.journal)
    answer.userProperties = [...(answer.userProperties ?? []), [PATH_PROPERTY, identity]]
  }
  return answer
}

/** Text of a UUID from 32 hexadecimal digits. */
const uuidOf = (hex: string): string =>
  [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-').toUpperCase()
