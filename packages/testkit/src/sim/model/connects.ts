/**
 * CONNECT in the model: who is let in, to which session, and what is refused.
 *
 * A CONNECT whose promise must be on the disk waits (`state` is 'waiting'); `goOn` lets it in or refuses it, `abandon`
 * takes back what it has changed. Several reasons to refuse may hold at once: which of them comes first is open.
 */
import { isWillTooLarge } from './bytes.ts'
import { changesOfConnect } from './changes.ts'
import { IDENTIFIER_REJECTED, isIdentifierRefused, named } from './identifiers.ts'
import type { Model } from './model.ts'
import { type ModelConnection, ModelSession, type Opening } from './state.ts'
import type { ConnectIn } from './types.ts'
import type { Due } from './wills.ts'

/** Handles CONNECT: the client is let in, refused, or waits for the disk. */
export function handleConnect(model: Model, connection: ModelConnection, packet: ConnectIn): void {
  if (connection.connect !== null) {
    model.violate(connection, 'a second CONNECT')
    return
  }
  let connect = withPermittedWill(model, connection, named(model, connection, packet))
  connection.connect = connect
  connection.connectedSeq = model.seq
  model.cover(`connect.v${connect.version}`)
  const known = model.sessions.get(connect.clientId)
  const isOthers = isOthersSession(model, known, connect)
  // Of another user's session nothing is left.
  if (isOthers) connect = { ...connect, cleanStart: true }
  connection.connect = connect
  // Nothing says which of several reasons comes first.
  const refusals = [busyCode(model, known), connect.refusal, refusalOf(model, connection, connect, known)].filter(
    (code) => code !== 0,
  )
  if (isIdentifierRefused(model.settings, packet)) {
    model.cover('assigned.refused')
    // Mosquitto has no reason for 5.0.
    refusals.push(model.settings.answersAsMosquitto && packet.version === 5 ? 0x80 : IDENTIFIER_REJECTED)
  }
  refusals.push(...willRefusals(model, connection, packet))
  if (isOthers && model.settings.sessionOwner === 'refuse') {
    model.cover('owner.refused')
    refusals.push(0x87)
  }
  if (refusals.length > 0) {
    connection.state = 'refused'
    connection.refusals = refusals
    connection.mayEnd.add('refused')
    model.cover('connect.refused')
    return
  }
  if (known !== undefined) model.onChange(known, changesOfConnect(known, connection, connect))
  const other = known?.connection ?? null
  if (other !== null) {
    model.cover('takeover')
    other.mayEnd.add('taken over')
    model.endConnection(other, other.will)
  }
  for (const earlier of model.connections) {
    if (earlier.state !== 'waiting' || earlier.connect!.clientId !== connect.clientId) continue
    earlier.mayEnd.add('taken over')
    model.endConnection(earlier, null)
  }
  const suspended: Due[] = []
  const session = model.sessions.get(connect.clientId)
  if (isOthers) model.cover('owner.taken-over')
  if (session !== undefined && connect.cleanStart) {
    model.cover('session.clean-start')
    // Another user is not the client that is waited for.
    if (!isOthers) suspended.push(...model.wills.suspendGrace(session))
    model.endSession(session)
    session.isEndAwaited = session.isDurable
  }
  if (model.settings.sessionOwner !== 'off') model.wills.publishOrphansOfOthers(connect.clientId, connect.username)
  const opening = openSession(model, connection, connect, suspended)
  const isEndAwaited = model.ended.some(
    (each) => each.clientId === connect.clientId && each.isEndAwaited && !each.isEndPromised,
  )
  const { isPersistent } = model.settings
  const isPromise = isPersistent && (opening.session.isDurable || connect.will !== null)
  if (model.isFailing || !(isPromise || isEndAwaited)) {
    letIn(model, connection, connect, opening)
    return
  }
  model.cover('connack.waits')
  connection.state = 'waiting'
  connection.opening = opening
  opening.session.opening = connection
}

/** Lets a client in that has waited, or refuses it for what has happened meanwhile. */
export function goOn(model: Model, connection: ModelConnection, reasonCode: number): void {
  model.seq++
  const connect = connection.connect!
  const { opening } = connection
  if (reasonCode !== 0) {
    abandon(model, connection)
    connection.state = 'refused'
    connection.refusals = []
    // Nobody waits for ever.
    const isOver = model.nowMs >= connection.openedMs + model.settings.connectTimeoutMs
    const late = model.isFailing ? 0x97 : 0x89
    // Before 5.0 both are 'Server unavailable'.
    if (isOver && reasonCode === (connection.isV5 ? late : 3)) connection.mayEnd.add('not in time')
    if (model.nowMs >= connection.credentialsEndMs && reasonCode === (connection.isV5 ? 0x87 : 5)) {
      model.cover('connack.login-over')
      connection.mayEnd.add('credentials are over')
    }
    return
  }
  if (model.nowMs >= connection.credentialsEndMs)
    model.fail('closing', `${connection.name}: is let in, and what it has logged in with is over`)
  // Its silence was ours.
  connection.lastReceivedMs = model.nowMs
  connection.lastPacketMs = model.nowMs
  for (const each of model.ended) if (each.clientId === connect.clientId) each.isEndPromised ||= each.isEndAwaited
  connection.hasWaited = true
  letIn(model, connection, connect, opening!)
}

/** The session of a CONNECT, and its Will. */
export function openSession(model: Model, connection: ModelConnection, connect: ConnectIn, suspended: Due[]): Opening {
  const { isPersistent } = model.settings
  const { sessionExpirySecondsMax } = connection.settings
  const expiry = Math.min(connect.expirySeconds, sessionExpirySecondsMax)
  let session = model.sessions.get(connect.clientId)
  const isNew = session === undefined
  connection.sessionPresent = !isNew && connect.version !== 3
  const earlierExpiry = session?.expiry ?? 0
  const earlierOwner = session?.owner ?? null
  if (session === undefined) {
    session = new ModelSession(connect.clientId, isPersistent && expiry > 0, model.seq, expiry)
    model.sessions.set(connect.clientId, session)
    model.cover('session.new')
  } else {
    session.expirySeconds.push({ seq: model.seq, value: expiry })
    model.cover('session.resumed')
    if (session.flight.size > 0) model.cover('session.resumed-in-flight')
  }
  // Who comes first to a session that is not known to be anybody's makes it theirs, if they have a user name.
  const owner = earlierOwner ?? (isNew || connect.username !== '' ? connect.username : null)
  session.owners.push({ seq: model.seq, value: model.settings.sessionOwner === 'off' ? null : owner })
  session.away.push({ seq: model.seq, value: null })
  session.dueAtMs = Number.POSITIVE_INFINITY
  session.mayExpireAtMs = Number.POSITIVE_INFINITY
  suspended.push(...model.wills.suspend(connect.clientId, session))
  if (connect.will !== null) model.wills.register(session, connect.will, connect.username)
  return { session, isNew, earlierExpiry, earlierOwner, suspended }
}

/** Lets the client in: its connection is open, and its session has it. */
export function letIn(model: Model, connection: ModelConnection, connect: ConnectIn, { session }: Opening): void {
  connection.opening = null
  session.opening = null
  session.isIdentified = true
  session.connection = connection
  connection.session = session
  model.sessionOf.set(connection.name, session)
  session.isV5 &&= connection.isV5
  session.maximumPacketSize = connect.maximumPacketSize
  session.mountPoint = connection.settings.mountPoint
  session.username = connect.username
  session.connect = connect
  session.listener = connection.listener
  model.rights.isUser(connect.clientId, connect.username, model.nowMs)
  connection.state = 'open'
  connection.will = connect.will
}

/** A client that waits is not let in, or has gone before it was: the session is what it was. */
export function abandon(model: Model, connection: ModelConnection): void {
  const { opening } = connection
  if (opening === null) return
  model.cover('connack.abandoned')
  const { session, isNew, earlierExpiry, earlierOwner, suspended } = opening
  connection.opening = null
  session.opening = null
  model.wills.forget(session)
  if (isNew) {
    model.endSession(session)
    session.isEndAwaited = session.isDurable
  } else {
    session.expirySeconds.push({ seq: model.seq, value: earlierExpiry })
    session.owners.push({ seq: model.seq, value: earlierOwner })
    model.leaveAlone(session)
  }
  model.wills.resume(suspended)
}

function busyCode(model: Model, known: ModelSession | undefined): number {
  let connected = 0
  for (const { state, isProgram } of model.connections)
    if (!isProgram && (state === 'open' || state === 'waiting')) connected++
  const isFull = connected >= model.settings.connectionsMax || model.memory.level >= 2
  return known?.connection == null && known?.opening == null && isFull ? 0x89 : 0
}

/** Refused before anybody is asked. */
export function isRefusedEarly(model: Model, connection: ModelConnection, packet: ConnectIn): boolean {
  return isIdentifierRefused(model.settings, packet) || willRefusals(model, connection, packet).length > 0
}

/** [MQTT-3.2.2-12] [MQTT-3.2.2-13] */
function willRefusals(model: Model, { settings }: ModelConnection, { will }: ConnectIn): number[] {
  if (will === null) return []
  const refusals: number[] = []
  if (will.qos > settings.maximumQoS) refusals.push(0x9b)
  if (will.retain && model.settings.retainedMessagesMax === 0) refusals.push(0x9a)
  if (isWillTooLarge(model, will)) refusals.push(0x95)
  return refusals
}

function isOthersSession(model: Model, known: ModelSession | undefined, { username }: ConnectIn): boolean {
  const owner = known?.owner ?? null
  return model.settings.sessionOwner !== 'off' && owner !== null && owner !== username
}

/** A Will that its client may not publish is not kept. */
function withPermittedWill(model: Model, connection: ModelConnection, connect: ConnectIn): ConnectIn {
  const { will, clientId, username } = connect
  if (will === null || !model.settings.asksSources || !model.sources.denies(clientId, username, will.topic))
    return connect
  model.cover('will.withheld-at-connect')
  connection.withheldTopic = will.topic
  return { ...connect, will: null }
}

/** Whether its first client waits for CONNACK: when another one takes over there is no session. */
function isBeingBegun(model: Model, session: ModelSession): boolean {
  for (const { state, opening } of model.connections)
    if (state === 'waiting' && opening?.session === session && opening.isNew) return true
  return false
}

function refusalOf(
  model: Model,
  connection: ModelConnection,
  connect: ConnectIn,
  known: ModelSession | undefined,
): number {
  const { sessionsMax } = model.settings
  const { sessionExpirySecondsMax } = connection.settings
  if (known === undefined && model.sessions.size >= sessionsMax) return model.settings.answersAsMosquitto ? 0x89 : 0x97
  const expiry = Math.min(connect.expirySeconds, sessionExpirySecondsMax)
  if (model.memory.level >= 1 && expiry > 0 && known === undefined) return 0x97
  // What CONNACK promises could not be kept.
  const stays =
    known?.isDurable === true && (known.connection === null || known.expiry > 0) && !isBeingBegun(model, known)
  const isNewDurable = expiry > 0 && (!stays || connect.cleanStart)
  return model.isFailing && (isNewDurable || connect.will !== null) ? 0x97 : 0
}
