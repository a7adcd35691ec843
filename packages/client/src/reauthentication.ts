/**
 * Re-authentication on an open connection: the application starts it, the application's `authentication` answers each
 * AUTH of the server, and AUTH with Success ends it. One per client; `Client` passes it the AUTH packets.
 *
 * Invariant: at most one is going on, and its promise is settled when the connection ends.
 *
 * Source: MQTT 5.0 section 4.12.1.
 */
import { Auth, type MqttError, OptionError, type Properties, ProtocolError, ReasonCode } from '@recado/protocol'
import { type Deferred, deferred, orAborted, throwIfAborted } from './abort.ts'
import type { Connection } from './connection.ts'
import { ask, respondToAuth } from './connector.ts'
import type { Authentication } from './options.ts'

export class Reauthentication {
  readonly #authentication: Authentication | undefined
  #pending: Deferred<void> | null = null

  constructor(authentication: Authentication | undefined) {
    this.#authentication = authentication
  }

  async start(connection: Connection | null, signal: AbortSignal | undefined): Promise<void> {
    const authentication = this.#authentication
    if (authentication === undefined || connection?.protocolVersion !== 5) {
      // [MQTT-4.12.0-7]
      throw new OptionError('reauthenticate() needs the option authentication and an open connection of MQTT 5.0')
    }
    if (this.#pending !== null)
      throw new OptionError('a call of reauthenticate() is still running: wait for its result')
    throwIfAborted(signal)
    const done = deferred<void>()
    done.promise.catch(() => {})
    this.#pending = done
    try {
      const properties: Properties = { authenticationMethod: authentication.method }
      const data = await ask('authentication.respond', signal, () => authentication.respond(undefined))
      if (data !== undefined) properties.authenticationData = data
      if (this.#pending === done) connection.send(new Auth(ReasonCode.ReAuthenticate, properties)) // [MQTT-4.12.1-1]
    } catch (error) {
      this.#fail(done, error)
    }
    await orAborted(done.promise, signal)
  }

  /** Handles an AUTH. Throws `ProtocolError` when none is expected. */
  handleAuth(connection: Connection, auth: Auth): void {
    const pending = this.#pending
    if (this.#authentication === undefined || pending === null) {
      throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH came though no authentication is running')
    }
    if (auth.reasonCode === ReasonCode.Success) {
      try {
        this.#authentication.finish?.(auth.properties.authenticationData)
      } catch (error) {
        this.#fail(pending, error)
        connection.end(null)
        return
      }
      this.#pending = null
      pending.resolve()
    } else respondToAuth(connection, this.#authentication, auth, (error) => this.#fail(pending, error))
  }

  /** Ends a re-authentication because the connection is gone. */
  end(why: MqttError): void {
    if (this.#pending !== null) this.#fail(this.#pending, why)
  }

  #fail(pending: Deferred<void>, error: unknown): void {
    if (this.#pending === pending) this.#pending = null
    pending.reject(error)
  }
}
