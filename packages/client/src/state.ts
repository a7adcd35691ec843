/** Values of `Client.state`, and the session as the client knows it. Types only; `Client` changes them. */
import type { MqttError, Properties, ProtocolVersion } from '@recado/protocol'

/** Data of the server from when it accepted the connection. */
export interface Session {
  /** Client Identifier, as assigned by the server if it did. */
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
  /** Whether the server had kept the session. */
  readonly sessionPresent: boolean
  /** URL of the server, without user name and password. */
  readonly server: string
  /** Properties of the CONNACK: the server's limits, Response Information, Reason String … */
  readonly properties: Properties
}

/** State: the client waits for `delayMs`, and tries again. */
export interface ReconnectingState {
  readonly name: 'reconnecting'
  /** Number of this attempt, from 1, since the last connection that held for `reconnect.stableMs`. */
  readonly attempt: number
  /** Error that ended the last connection or attempt. */
  readonly error: MqttError
  readonly delayMs: number
  /** Number of connections in a row that did not hold for `reconnect.stableMs`: pauses go on growing until one does. */
  readonly shortLived: number
}

/**
 * State of a client: idle, connecting, connected, reconnecting, connected …, closing, closed. Only `closed` is final.
 */
export type ClientState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting' }
  | { readonly name: 'connected'; readonly session: Session }
  | ReconnectingState
  | { readonly name: 'closing' }
  /** `error` is the reason why the client gave up; `null` after `close()`. */
  | { readonly name: 'closed'; readonly error: MqttError | null }
