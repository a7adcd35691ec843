/** The public names that are the same on every platform; `mod.ts` and `mod.browser.ts` add how to connect. */
export {
  MqttError,
  NO_PROPERTIES,
  type Packet,
  PacketType,
  type Properties,
  ProtocolError,
  type ProtocolVersion,
  type QoS,
  ReasonCode,
  reasonCodeName,
} from '@recado/protocol'
export { Client } from './client.ts'
export { type Environment, realEnvironment, type Timer } from './environment.ts'
export {
  BufferOverflowError,
  ClientClosedError,
  ConnectionLostError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  clientErrorCodes,
  DisconnectedError,
  KeepAliveError,
  NotSupportedError,
  OptionError,
  PublishError,
  QueueFullError,
  ReasonCodeError,
  ServerStalledError,
  SubscribeError,
  TlsError,
  UnreachableError,
  UnsubscribeError,
} from './errors.ts'
export { Message } from './message.ts'
export type {
  Authentication,
  CloseOptions,
  ConnectOptions,
  Credentials,
  Payload,
  PublishOptions,
  QueueOptions,
  ReconnectOptions,
  SubscribeOptions,
  UnsubscribeOptions,
  WillOptions,
} from './options.ts'
export type { PublishResult } from './publisher.ts'
export { parseServerUrl } from './servers.ts'
export type { ClientState, Session } from './state.ts'
export { type MessageHandler, type SubscribeResult, Subscription, type UnsubscribeResult } from './subscription.ts'
export type {
  Dial,
  DialOptions,
  Scheme,
  ServerAddress,
  TlsOptions,
  Transport,
  TransportHandler,
  WebSocketConstructor,
  WebSocketLike,
} from './transports/transport.ts'
