/** What `Client.state` can be, and what the client knows of the session that it is in. Types only; `Client` changes them. */
import type { MqttError, Properties, ProtocolVersion } from '@recado/protocol'

/** What the server said when it accepted the connection. */
export interface Session {
  /** As assigned by the server, if it did. */
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
  /** The server had kept the session. */
  readonly sessionPresent: boolean
  /** URL of the server, without user name and password. */
  readonly server: string
  /** Of the CONNACK: the server's limits, Response Information, Reason String … */
  readonly properties: Properties
}

/** The client waits, for `delayMs`, and tries again. */
export interface ReconnectingState {
  readonly name: 'reconnecting'
  /** From 1, since the last connection that held for `reconnect.stableMs`. */
  readonly attempt: number
  /** Why the last connection ended, or the last attempt failed. */
  readonly error: MqttError
  readonly delayMs: number
  /** Connections in a row that did not hold for `reconnect.stableMs`: as long as there are such, the pauses go on growing. */
  readonly shortLived: number
}

/** The life of a client: idle, connecting, connected, reconnecting, connected …, closing, closed. Only `closed` is final. */
export type ClientState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting' }
  | { readonly name: 'connected'; readonly session: Session }
  | ReconnectingState
  | { readonly name: 'closing' }
  /** `error`: why the client gave up; `null` after `close()`. */
  | { readonly name: 'closed'; readonly error: MqttError | null }
