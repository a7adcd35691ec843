/**
 * The way to a server: the servers in their order, the protocol version, and the session in CONNECT: Client Identifier,
 * Clean Start, Session Expiry Interval. Remembers between connections what servers have answered.
 *
 * Called by `Client`, which decides when to dial; `connector.ts` makes each attempt.
 *
 * Invariant: `dial` either has called `establish`, once, or rejects and leaves nothing open.
 *
 * Source: MQTT 5.0 sections 3.1.2.4, 3.1.2.11.2, 3.1.3.1, 4.11.
 */
import { type Connack, type ProtocolVersion, ReasonCode } from '@recado/protocol'
import { throwIfAborted } from './abort.ts'
import type { Connection, ConnectionHandler } from './connection.ts'
import { type Attempt, endSession, openConnection } from './connector.ts'
import type { Environment } from './environment.ts'
import { ConnectionRefusedError, ReasonCodeError } from './errors.ts'
import type { ResolvedOptions } from './options.ts'
import { refusesVersion } from './retry.ts'
import { Servers } from './servers.ts'

const SESSION_EXPIRY_SECONDS = 300
/**
 * Session Expiry Interval with a store: seven days. A client that comes back later finds no session, and sends
 * unconfirmed messages anew.
 */
const STORED_SESSION_EXPIRY_SECONDS = 604_800
/** Largest number of redirects in a row that a server may ask for. */
const REDIRECTS_MAX = 3

type Establish = (connection: Connection, connack: Connack, attempt: Attempt) => ConnectionHandler

export class Dialer {
  readonly #environment: Environment
  readonly #options: ResolvedOptions
  readonly #servers: Servers
  #protocolVersion: ProtocolVersion
  /** Client Identifier as given, or as the server has assigned it; '' before the first connection. */
  clientId: string
  /** Whether a server has accepted this client before. */
  hadSession = false
  /** Whether the Client Identifier of the session is safe in a store. */
  hasStoredSession = false
  /** Whether the store has no session: a session that the server may have is not that of the store. */
  mustBeginAnew = false

  constructor(environment: Environment, options: ResolvedOptions) {
    this.#environment = environment
    this.#options = options
    this.#servers = new Servers(options.servers)
    this.#protocolVersion = options.protocolVersion ?? 5
    this.clientId = options.clientId ?? ''
  }

  /** Session Expiry Interval in seconds when the application has given none. */
  get defaultSessionExpirySeconds(): number {
    if (this.#options.store) return STORED_SESSION_EXPIRY_SECONDS
    return this.#options.reconnect === false ? 0 : SESSION_EXPIRY_SECONDS
  }

  /** Makes up a Client Identifier if there is none: 23 characters that every server must accept [MQTT-3.1.3-5]. */
  needClientId(): void {
    if (this.clientId !== '') return
    const letters = '0123456789abcdefghijklmnopqrstuvwxyz'
    let clientId = 'recado'
    while (clientId.length < 23) clientId += letters[Math.floor(this.#environment.random() * letters.length)]
    this.clientId = clientId
  }

  /**
   * Tries each server once, and those that they redirect to; a server that was tried already ends a circle of
   * redirects. Rejects with the error of the last one, or with the reason of `signal`.
   */
  async dial(isFirst: boolean, signal: AbortSignal, establish: Establish): Promise<void> {
    let lastError: unknown
    let redirects = 0
    const tried = new Set<string>()
    for (let i = 0; i < this.#servers.count; i++) {
      tried.add(this.#servers.current().href)
      try {
        await this.#tryVersions(isFirst, signal, establish)
        return
      } catch (error) {
        throwIfAborted(signal)
        lastError = error
        const isSent = this.redirected(error)
        if (isSent && redirects < REDIRECTS_MAX && !tried.has(this.#servers.current().href)) {
          redirects++
          i--
          continue
        }
        // When the target of a redirect fails, the server that named it has failed too.
        if (isSent || redirects > 0) this.#servers.forgetRedirect()
        this.#servers.advance()
      }
    }
    throw lastError
  }

  /** Returns `true` when the error redirects to another server, to which the next attempt goes. */
  redirected(error: unknown): boolean {
    if (this.#options.followServerReference === false || !(error instanceof ReasonCodeError)) return false
    const { reasonCode, properties } = error
    if (reasonCode !== ReasonCode.UseAnotherServer && reasonCode !== ReasonCode.ServerMoved) return false
    return this.#servers.redirect(reasonCode, properties.serverReference)
  }

  /** Notes that a server has accepted an attempt. Returns Session Present. */
  accepted({ sessionPresent, properties }: Connack, attempt: Attempt): boolean {
    this.clientId = properties.assignedClientIdentifier ?? attempt.clientId
    // 3.1 does not tell whether there was a session: without Clean Session assume that there was.
    const isPresent =
      sessionPresent ||
      (attempt.protocolVersion === 3 && !attempt.cleanStart && (this.hadSession || this.hasStoredSession))
    this.hadSession = true
    return isPresent
  }

  /** Tries 5.0, and 3.1.1 if the server does not know it, unless the application asked for a version. */
  async #tryVersions(isFirst: boolean, signal: AbortSignal, establish: Establish): Promise<void> {
    const isFixed = this.#options.protocolVersion !== undefined
    try {
      await this.#attempt(isFirst, signal, establish)
    } catch (error) {
      if (isFixed || this.#protocolVersion !== 5 || !refusesVersion(error, this.hadSession)) throw error
      this.#protocolVersion = 4
      try {
        await this.#attempt(isFirst, signal, establish)
      } catch (errorOf4) {
        this.#protocolVersion = 5
        // A server that just closes the connection does so whatever the version: then report the first error.
        throw error instanceof ConnectionRefusedError ? errorOf4 : error
      }
    }
  }

  async #attempt(isFirst: boolean, signal: AbortSignal, establish: Establish): Promise<void> {
    const version = this.#protocolVersion
    const { clientId, cleanStart, sessionExpiryIntervalSeconds } = this.#options
    // Some servers refuse an empty one, 3.1 has none, and 3.1.1 allows it for clean sessions only [MQTT-3.1.1:3.1.3-7].
    if (version < 5 && (clientId === undefined || version === 3 || !cleanStart)) this.needClientId()
    // Before 5.0 "clean" also means that nothing is kept afterwards, so it is the same for every connection.
    const isClean = version === 5 ? this.mustBeginAnew || (cleanStart && (isFirst || !this.hadSession)) : cleanStart
    const attempt: Attempt = {
      server: this.#servers.current(),
      protocolVersion: version,
      clientId: this.clientId,
      cleanStart: isClean,
      sessionExpiryIntervalSeconds: sessionExpiryIntervalSeconds ?? this.defaultSessionExpirySeconds,
    }
    if (this.mustBeginAnew && !isClean) await endSession(this.#environment, this.#options, attempt, signal)
    await openConnection(this.#environment, this.#options, attempt, signal, (connection, connack) =>
      establish(connection, connack, attempt),
    )
  }
}
