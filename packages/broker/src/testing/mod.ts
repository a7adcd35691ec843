/** @recado/broker/testing: a deterministic world for tests of the broker core, and a client on real sockets. */

export { AclRules } from '../adapters/acl/rules.ts'
export { parsePasswordFile } from '../adapters/password/file.ts'
export { parseHash } from '../adapters/password/hash.ts'
export { ProxyError, parseProxyHeader } from '../adapters/proxy-header.ts'
export { CloseCode, FrameReader, WebSocketError } from '../adapters/websocket-frames.ts'
export { answerTo } from '../adapters/websocket-upgrade.ts'
export { DEFAULT_OPTIONS } from '../broker-options.ts'
export { Context, type CorePorts } from '../core/base/context.ts'
export { type Limits, resolveLimits } from '../core/base/limits.ts'
export { Message, Taking } from '../core/base/message.ts'
export { MessageCountdown } from '../core/base/message-countdown.ts'
export type { CoreOptions } from '../core/base/options.ts'
export { resolveSettings } from '../core/connection/listener-settings.ts'
export { Core } from '../core/core.ts'
export { DurableSubscriber, durableClientId } from '../durable-subscription.ts'
export { homeOf } from '../mesh/homes.ts'
export { Mesh, type MeshOptions } from '../mesh/mesh.ts'
export { RelaySession } from '../relay.ts'
export { type IssueOptions, TestAuthority, type TestCertificate, type TestName } from './certificates.ts'
export { DiskWorld, DURABLE } from './disk-world.ts'
export { SimClock } from './sim-clock.ts'
export { SimRandom, seededRandom } from './sim-random.ts'
export { type AtCrash, SimStore } from './sim-store.ts'
export { SimTransport, type SimTransportOptions } from './sim-transport.ts'
export { type SocketAddress, SocketClient } from './socket-client.ts'
export { type BrokerState, differences, stateOf } from './state.ts'
export { keysOf, type RowInTest, rowsOf, type StoreUnderTest, storeSuite, writeTo } from './store-suite.ts'
export {
  type Delivered,
  delivered,
  type PublishFields,
  subscriptionTo,
  TestClient,
  type TestClientOptions,
  will,
} from './test-client.ts'
export { clientFrame, upgradeRequest, WebSocketPeer } from './websocket-peer.ts'
export { decideLater, type RecordedEvent, World, type WorldOptions } from './world.ts'
