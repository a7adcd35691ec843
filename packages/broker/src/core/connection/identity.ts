/**
 * The identity of a client: this is the one place that says it, once, after authentication.
 *
 * `concludeLogin` calls `identify` before anything asks for rights; `Connection.username` and `Connection.clientId` are its answer from then on, for
 * rights (`%u`, `%c`), sessions, Wills, events and logs. The invariants: a name that a certificate or pre-shared key has proven holds against
 * every other; after that the name that authentication gives holds against CONNECT's; CONNECT's own counts only where a password came
 * with it, not with AUTH packets; a Client Identifier that is the user name is the one of whoever has logged in; none of them changes as long as
 * the connection lives.
 */
import { hasDisallowedCodePoint, ReasonCode } from '@recado/protocol'
import { type ClientInfo, type ConnectDecision, type ConnectRequest, clientIdOf } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import type { ConnectionSettings } from './listener-settings.ts'

/** The connection whose client is identified. */
export interface IdentifiedConnection extends ClientInfo {
  readonly settings: ConnectionSettings
  /** Authentication by AUTH packets; null when the client has not logged in so. */
  readonly authentication: object | null
  /** Credential that the client has logged in with, for `Authenticator.isStillValid`. */
  readonly credential: unknown
  clientId: string
  username: string | undefined
  closeWith(reasonCode: ReasonCode, why: string): void
}

/** Sets the identity. Returns false when the client has been refused. */
export function identify(
  connection: IdentifiedConnection,
  request: ConnectRequest,
  { username: named }: ConnectDecision,
): boolean {
  const { identity, connect } = request
  if (identity !== null && named !== undefined && named !== identity) {
    connection.closeWith(
      ReasonCode.NotAuthorized,
      'the client has logged in as another user than the one of its certificate or pre-shared key',
    )
    return false
  }
  const claimed = connection.authentication === null ? connect.username : undefined
  // An empty user name is none.
  const username = (identity ?? named ?? claimed) || undefined
  if (username !== undefined && hasDisallowedCodePoint(username)) {
    connection.closeWith(ReasonCode.BadUserNameOrPassword, 'the user name has a control character or non-character')
    return false
  }
  if (connection.settings.clientIdFromUsername && username === undefined) {
    connection.closeWith(ReasonCode.NotAuthorized, 'the client has no user name to use as its Client Identifier')
    return false
  }
  connection.username = username
  connection.clientId = clientIdOf(request, username)
  return true
}

/** Whether this client would be let in again with its credential. */
export function isStillValid(
  connection: IdentifiedConnection,
  { authenticator, enhancedAuthenticator }: Context,
): boolean {
  const { credential } = connection
  if (authenticator?.isStillValid?.(connection, credential) === false) return false
  return connection.authentication === null || enhancedAuthenticator?.isStillValid?.(connection, credential) !== false
}
