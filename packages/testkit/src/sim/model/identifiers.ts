/**
 * Client Identifiers that the broker chooses: who gets one, which, and who is told.
 *
 * Sources: MQTT 5.0 sections 3.1.3.1 and 3.2.2.3.7; MQTT 3.1.1 section 3.1.3.1. MQTT 3.1 has no empty Client Identifier.
 */
import type { Model } from './model.ts'
import type { ModelConnection, ModelSession } from './state.ts'
import type { ConnectIn, Settings } from './types.ts'

export const IDENTIFIER_REJECTED = 0x85
const NAMELESS = '(of '

/** Refused for its empty Client Identifier, before anybody is asked. */
export function isIdentifierRefused(settings: Settings, { clientId, version, cleanStart }: ConnectIn): boolean {
  if (clientId !== '') return false
  // [MQTT-3.1.3-6] leaves it to the server. [MQTT-3.1.1:3.1.3-8]
  return !settings.allowsEmptyClientId || version === 3 || (version === 4 && !cleanStart)
}

/** A placeholder for a Client Identifier that the broker has not told yet. */
export function named(model: Model, connection: ModelConnection, connect: ConnectIn): ConnectIn {
  if (connect.clientId !== '') {
    model.heardOf.add(connect.clientId)
    return connect
  }
  connection.isUnnamed = true
  return { ...connect, clientId: `${NAMELESS}${connection.name})` }
}

/** The broker has let it in under this name. */
export function assigned(model: Model, connection: ModelConnection, clientId: string): void {
  const { session, connect } = connection
  // Not to be let in at all: CONNACK will show it.
  if (session === null || connect === null) return
  model.cover('assigned')
  if (clientId === '' || model.sessions.has(clientId)) {
    model.fail(
      'sessions',
      `${connection.name} is given the Client Identifier '${clientId}', which is in use [MQTT-3.1.3-7]`,
    )
    return
  }
  model.heardOf.add(clientId)
  model.sessions.delete(session.clientId)
  session.clientId = clientId
  model.sessions.set(clientId, session)
  connection.connect = { ...connect, clientId }
}

/**
 * True when a name of which nobody has heard may be that of this session: a crash took the broker before it told the name to the
 * client, and left the session, or its Will, on the disk.
 */
export function mayBeNamed({ heardOf }: Model, session: ModelSession, clientId: string): boolean {
  return session.clientId.startsWith(NAMELESS) && !heardOf.has(clientId)
}

/** True when a name of which nobody has heard may be that of a client that is only being let in. */
export function mayBeCalled({ heardOf }: Model, { connect, isUnnamed }: ModelConnection, clientId: string): boolean {
  return connect?.clientId === clientId || (isUnnamed && !heardOf.has(clientId))
}

/** After a crash: sessions whose clients have never been told their names, as the broker knows them. */
export function unheardOf(model: Model, known: readonly string[]): void {
  const names = known.filter((clientId) => !model.sessions.has(clientId))
  for (const session of [...model.sessions.values()]) {
    if (!session.clientId.startsWith(NAMELESS)) continue
    const clientId = names.pop()
    if (clientId === undefined) return
    model.cover('assigned.unheard-of')
    model.sessions.delete(session.clientId)
    session.clientId = clientId
    model.sessions.set(clientId, session)
  }
}

/** A CONNACK that lets in. `told`: its Assigned Client Identifier. [MQTT-3.1.3-7] [MQTT-3.2.2-16] */
export function checkTold(model: Model, connection: ModelConnection, told: string | null): void {
  const right = connection.isV5 && connection.isUnnamed ? connection.connect!.clientId : null
  if (told !== right)
    model.fail('sessions', `${connection.name}: CONNACK has the Assigned Client Identifier ${told}, not ${right}`)
  else if (told !== null) model.cover('assigned.told')
}
