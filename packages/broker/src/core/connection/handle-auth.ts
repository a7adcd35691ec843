/**
 * AUTH: enhanced authentication (4.12), at CONNECT and again later, step by step.
 *
 * The method itself is behind the `EnhancedAuthenticator` seam; here is the order of packets: the method never changes
 * [MQTT-4.12.0-5], only one exchange runs at a time, and while it runs at CONNECT nothing else is taken.
 */
import { Auth, type Properties, ProtocolError, ReasonCode } from '@recado/protocol'
import type { AuthenticationAnswer, AuthenticationStep, ConnectDecision, ConnectRequest } from '../../ports.ts'
import { type Connection, State } from './connection.ts'
import { concludeLogin } from './handle-connect.ts'
import { isStillValid } from './identity.ts'

export interface Authentication {
  readonly method: string
  readonly request: ConnectRequest
  /** The authenticator's own, from step to step. */
  state: unknown
  /** A client that has been asked to continue. */
  isContinuing: boolean
  /** Authentication Data of the CONNACK. */
  finalData: Uint8Array | undefined
}

/** CONNECT has an Authentication Method. */
export function beginAuthentication(connection: Connection, request: ConnectRequest): void {
  const { enhancedAuthenticator } = connection.context
  const method = request.connect.properties.authenticationMethod!
  if (enhancedAuthenticator === null || !enhancedAuthenticator.methods.includes(method)) {
    connection.closeWith(ReasonCode.BadAuthenticationMethod, `the Authentication Method is not supported`) // [MQTT-4.12.0-1]
    return
  }
  connection.authentication = { method, request, state: undefined, isContinuing: false, finalData: undefined }
  connection.askedAtRecheck = connection.context.rechecks
  step(connection, 'connect', request.connect.properties.authenticationData)
}

export function handleAuth(connection: Connection, auth: Auth): void {
  const { authentication } = connection
  if (authentication === null) {
    throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH came, but CONNECT had no Authentication Method') // [MQTT-4.12.0-7]
  }
  if (auth.properties.authenticationMethod !== authentication.method) {
    throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH has another Authentication Method than CONNECT') // [MQTT-4.12.0-5]
  }
  if (auth.reasonCode === ReasonCode.ContinueAuthentication && authentication.isContinuing) {
    step(connection, 'continue', auth.properties.authenticationData)
  } else if (
    auth.reasonCode === ReasonCode.ReAuthenticate &&
    connection.state === State.Active &&
    !authentication.isContinuing
  ) {
    authentication.state = undefined
    connection.askedAtRecheck = connection.context.rechecks
    step(connection, 're-authenticate', auth.properties.authenticationData)
  } else {
    throw new ProtocolError(
      ReasonCode.ProtocolError,
      `AUTH with Reason Code 0x${auth.reasonCode.toString(16)} was not expected`,
    )
  }
}

function step(connection: Connection, phase: AuthenticationStep['phase'], data: Uint8Array | undefined): void {
  const authentication = connection.authentication!
  authentication.isContinuing = false
  const input: AuthenticationStep = {
    method: authentication.method,
    data: data?.slice(),
    phase,
    request: authentication.request,
    username: connection.username,
    state: authentication.state,
  }
  connection.readGate.pause()
  connection.context.enhancedAuthenticator!.step(input, (answer) => {
    connection.decided(() => {
      authentication.state = input.state
      conclude(connection, authentication, answer)
    })
  })
}

function conclude(connection: Connection, authentication: Authentication, answer: AuthenticationAnswer): void {
  const reasonCode = answer.reasonCode ?? ReasonCode.Success
  const isActive = connection.state === State.Active
  if (reasonCode === ReasonCode.ContinueAuthentication) {
    authentication.isContinuing = true
    if (!isActive) connection.expectAnswer()
    sendAuth(connection, authentication, ReasonCode.ContinueAuthentication, answer) // [MQTT-4.12.0-2]
  } else if (isActive && reasonCode === ReasonCode.Success) {
    // Rights and sessions are a user's: another one has to connect anew.
    if (answer.username !== undefined && answer.username !== connection.username) {
      connection.closeWith(ReasonCode.NotAuthorized, 'the client has re-authenticated as another user')
      return
    }
    takeRights(connection, answer)
    if (connection.askedAtRecheck !== connection.context.rechecks && !isStillValid(connection, connection.context)) {
      connection.closeWith(ReasonCode.NotAuthorized, 'the credential of the client is not valid any more')
      return
    }
    if (connection.expiresAtMs <= connection.context.turn.nowMs) {
      connection.closeWith(ReasonCode.NotAuthorized, 'the credential of the client has expired')
      return
    }
    connection.session!.identify(connection)
    connection.session!.askAgain(connection, false)
    sendAuth(connection, authentication, ReasonCode.Success, answer)
  } else if (isActive) {
    connection.closeWith(reasonCode, answer.reasonString ?? 're-authentication failed') // [MQTT-4.12.1-2]
  } else {
    authentication.finalData = answer.data
    // [MQTT-4.12.0-4]
    concludeLogin(connection, authentication.request, answer)
  }
}

function sendAuth(
  connection: Connection,
  { method }: Authentication,
  reasonCode: number,
  answer: AuthenticationAnswer,
): void {
  const properties: Properties = { authenticationMethod: method }
  if (answer.data !== undefined) properties.authenticationData = answer.data
  connection.send(
    connection.withProblemInformation(properties, answer.reasonString, (all) => new Auth(reasonCode, all)),
  )
}

/** Takes over what authentication has decided about the client's rights, and for how long; at CONNECT and at each re-authentication. */
export function takeRights(connection: Connection, { grants, credential, expiresAtMs }: ConnectDecision): void {
  connection.grants = grants
  connection.credential = credential
  connection.memo = null
  connection.allowedTopic = null
  // By the clock of the machine.
  connection.expiresAtMs = (expiresAtMs ?? Number.POSITIVE_INFINITY) + connection.context.clockBehindMs
  if (connection.isActive) connection.watch(connection.context.turn.nowMs)
}
