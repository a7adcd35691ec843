/** @recado/broker: an embeddable MQTT 3.1, 3.1.1 and 5.0 broker. */
// Declarations that name Node's types find them in every project, whatever its `types` say.
/// <reference types="node" preserve="true" />
export {
  type Connect,
  MqttError,
  OptionError,
  type Properties,
  ProtocolError,
  type ProtocolVersion,
  type QoS,
  ReasonCode,
  reasonCodeName,
  type Subscription,
  type Will,
} from '@recado/protocol'
export {
  type AclDecision,
  type AclFile,
  type AclFileOptions,
  type AclRule,
  aclFile,
  allMethods,
  byGrants,
  type DamagedLine,
  type DynamicSecurity,
  type DynamicSecurityOptions,
  dynamicSecurity,
  firstOf,
  type GoAuthOptions,
  type GoAuthRightsOptions,
  type GoAuthService,
  goAuth,
  goAuthRights,
  type HashKind,
  type HashWorkersOptions,
  hashKinds,
  type Jwt,
  type JwtOptions,
  jwt,
  type PasswordFile,
  type PasswordFileOptions,
  passwordFile,
  passwordHash,
  SCRAM_SECRET,
  type ScramOptions,
  type ScramVerifier,
  scram,
  type Webhook,
  type WebhookOptions,
  webhook,
} from './access.ts'
export { connectionOf, http, type ListenerProtocol, type ProtocolConnection } from './adapters/http-protocol.ts'
export type { ProxyOptions } from './adapters/proxy-header.ts'
export type { SocketListenerOptions, TransportKind } from './adapters/socket-listener.ts'
export { checkTls, TlsError, type TlsKeyPair, type TlsOptions, tlsWarnings } from './adapters/tls-options.ts'
export { checkForwarded, type ForwardedOptions } from './adapters/websocket-forwarded.ts'
export type { WebSocketOptions } from './adapters/websocket-transport.ts'
export { Broker, createBroker } from './broker.ts'
export type {
  AttachOptions,
  BrokerChanges,
  BrokerOptions,
  ClientSubscription,
  CloseOptions,
  ListenerHandle,
  ListenOptions,
  LocalSubscription,
  PublishOptions,
  SubscribeOptions,
  UpgradeOptions,
} from './broker-options.ts'
export {
  believedPath,
  isOnPath,
  MARK_DIGITS,
  marksOf,
  PATH_PROPERTY,
  pathOf,
  pathProperty,
  withPath,
  writeMarks,
} from './core/base/bridge-path.ts'
export {
  BRIDGE_INFLIGHT_MAX,
  type Limit,
  type LimitName,
  type Limits,
  limitTable,
  resolveLimits,
} from './core/base/limits.ts'
export {
  type Metric,
  type MetricKind,
  type MetricName,
  type MetricValues,
  metricTable,
} from './core/base/metric-table.ts'
export {
  type AutoSubscription,
  type CoreOptions,
  faultOfAutoSubscription,
  type Overflow,
  type SessionOwner,
} from './core/base/options.ts'
export { faultOfRewrite, type TopicRewrite } from './core/base/topic-rewrites.ts'
export type { ListenerView } from './core/connection/listener-counts.ts'
export {
  identityOf,
  type ListenerLimitName,
  type ListenerLimits,
  type ListenerSettings,
  type UsernameSource,
} from './core/connection/listener-settings.ts'
export type { DurableHandler, DurableSubscription } from './durable-subscription.ts'
export { brokerErrorCodes } from './errors.ts'
export type {
  AuthenticateHook,
  AuthenticationSource,
  AuthorizeHooks,
  ControlHook,
  EnhancedAuthenticationHook,
  MessageTransformation,
  Permission,
  TransformHook,
} from './hooks.ts'
export type {
  ClientQuery,
  ErrorQuery,
  Inspector,
  PayloadOptions,
  QueueQuery,
  RetainedQuery,
  SessionQuery,
  SubscriptionQuery,
} from './inspect/inspector.ts'
export type { Listing, Page, PageOptions } from './inspect/listing.ts'
export type { ConnectionError } from './inspect/recent-errors.ts'
export type { RecipientQuery } from './inspect/recipients.ts'
export type {
  ClientView,
  DelayedView,
  InFlightView,
  MessageView,
  QueuedView,
  RatesView,
  RecipientsView,
  RecipientView,
  SessionView,
  SubscriptionView,
  TrafficView,
  Verdict,
  WillView,
} from './inspect/views.ts'
export type { PipelineOptions } from './listener-pipeline.ts'
export type { MessageHandler } from './local-subscription.ts'
export type {
  ApplicationMessage,
  ApplicationMessage as Message,
  AuthenticationAnswer,
  AuthenticationStep,
  BrokerEvents,
  ClientCertificate,
  ClientInfo,
  Clock,
  ConnectDecision,
  ConnectionEnd,
  ConnectRequest,
  DropReason,
  Grants,
  MessageProperties,
  MessageWatch,
  Observer,
  Peer,
  Random,
  ReceivedPacket,
  RetainedAnswer,
  Store,
  TracedPacket,
  Transport,
  TransportHandler,
  Watching,
} from './ports.ts'
export { clientIdOf, REFUSED, Table } from './ports.ts'
export type { Relay, RelayedMessage, RelayFigures, RelayOptions, RelayPeer, RelaySubscription } from './relay.ts'
export {
  type QueueTotals,
  type RowSource,
  StoreContents,
  type StoredApplicationMessage,
  type StoredClient,
  type StoredDelayedMessage,
  type StoredMessage,
  type StoredPublisher,
  type StoredRecipient,
  type StoredRecord,
  type StoredRetainedMessage,
  type StoredSession,
  type StoredSessionlessWill,
  type StoredWill,
} from './store-contents.ts'
export { writeContents } from './store-contents-writer.ts'
export {
  type BackupProgress,
  type LmdbOptions,
  lmdb,
  lmdbFile,
  lmdbReader,
  memory,
  type StoreReader,
} from './stores.ts'
