/**
 * `@recado/client/low-level`: one network connection to a server, packet by packet, for programs that have a session of
 * their own, such as a bridge. No reconnecting, no session, no promises: `Connection` reads and writes packets, and keeps
 * the connection alive.
 */
export { Connection, type ConnectionHandler, type Trace } from './connection.ts'
export { type Environment, realEnvironment, type Timer } from './environment.ts'
export { PACKET_SIZE_MAX } from './option-rules.ts'
export { serverAddress } from './servers.ts'
export { hintFor } from './transports/hints.ts'
export { dialNode } from './transports/node.ts'
export type {
  Dial,
  DialOptions,
  Scheme,
  ServerAddress,
  TlsOptions,
  Transport,
  TransportHandler,
} from './transports/transport.ts'
