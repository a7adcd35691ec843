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

/** The life of a client: idle, connecting, connected, reconnecting, connected …, closing, closed. Only `closed` is final. */
export type ClientState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting' }
  | { readonly name: 'connected'; readonly session: Session }
  /** `attempt` counts from 1 since the connection was lost; `error` is why the last one ended or failed. */
  | { readonly name: 'reconnecting'; readonly attempt: number; readonly error: MqttError; readonly delayMs: number }
  | { readonly name: 'closing' }
  /** `error`: why the client gave up; `null` after `close()`. */
  | { readonly name: 'closed'; readonly error: MqttError | null }
