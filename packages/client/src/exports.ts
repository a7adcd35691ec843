/** Public names that are the same on every platform; `mod.ts` and `mod.browser.ts` add how to connect. */
export {
  MqttError,
  NO_PROPERTIES,
  OptionError,
  type Packet,
  PacketType,
  type Properties,
  ProtocolError,
  type ProtocolVersion,
  type QoS,
  ReasonCode,
  reasonCodeName,
} from '@recado/protocol'
export type { TopicCharacters } from './arguments.ts'
export { Client } from './client.ts'
export type { Decode, DecodedBy, OnInvalid, SchemaIssue, StandardSchema } from './decode.ts'
export { type Environment, realEnvironment, type Timer } from './environment.ts'
export {
  BufferOverflowError,
  CallbackError,
  ClientClosedError,
  ConnectionLostError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  DisconnectedError,
  KeepAliveError,
  MessageExpiredError,
  NoResponderError,
  NotSupportedError,
  PayloadError,
  PublishError,
  QueueFullError,
  ReasonCodeError,
  ServerStalledError,
  SessionStoreError,
  SetAsideError,
  SubscribeError,
  TlsError,
  UnreachableError,
  UnsubscribeError,
} from './errors.ts'
export { Message, type NoParams } from './message.ts'
export type {
  Authentication,
  CloseOptions,
  ConnectOptions,
  Credentials,
  Payload,
  PublishOptions,
  QueueOptions,
  ReconnectOptions,
  RequestOptions,
  RespondOptions,
  SendOptions,
  SubscribeOptions,
  UnsubscribeOptions,
  WillOptions,
} from './options.ts'
export type { PublishResult, UndeliveredMessage } from './outgoing.ts'
export type { Responder, ResponseMessage } from './responder.ts'
export { parseServerUrl } from './servers.ts'
export type { ClientState, ReconnectingState, Session } from './state.ts'
export type { SessionStore } from './store/session-store.ts'
export { type MessageHandler, type SubscribeResult, Subscription, type UnsubscribeResult } from './subscription.ts'
export type { ParamsOf, TopicParams } from './topic-pattern.ts'
export type {
  Dial,
  DialOptions,
  DialStream,
  Scheme,
  ServerAddress,
  StreamLike,
  TlsOptions,
  Transport,
  TransportHandler,
  WebSocketConstructor,
  WebSocketLike,
} from './transports/transport.ts'
