/**
 * Every way in which a CONNECT is refused, with the code that MQTT 3.1.1 and 5.0 clients get, and whether it makes
 * sense that they come back.
 *
 * One table: a test plays each case on a broker core (`refusals.test.ts`), and `npm run docs` writes docs/refusals.md
 * from it. Invariant, kept by the test: a refusal that would be repeated has a code that tells a client to stop, and a
 * temporary one has a code that does not.
 */

import {
  SimStore,
  type TestClient,
  type TestClientOptions,
  World,
  type WorldOptions,
  will,
} from '@recado/broker/testing'
import { Connect, type ConnectOptions, encode, Pingreq, ReasonCode } from '@recado/protocol'

type Version = 4 | 5

export interface RefusalCase {
  readonly situation: string
  /**
   * Return code in the CONNACK of 3.1.1; null when the connection is closed without one; undefined when it cannot
   * happen there, or is no refusal.
   */
  readonly before5: number | null | undefined
  /** Reason Code of 5.0, in the same way. */
  readonly in5: number | null | undefined
  /** Result of the next attempt. `same`: the same refusal. `passes`: it may succeed. */
  readonly next: 'same' | 'passes'
  /** Makes it happen; returns the client that is refused. */
  readonly play: (version: Version) => TestClient
}

const { Success, ...Code } = ReasonCode
const long = 'x'.repeat(70_000 / 2)

function refused(
  connect: Partial<ConnectOptions>,
  world: WorldOptions = {},
  options: TestClientOptions = {},
  clientId = 'a',
): (version: Version) => TestClient {
  return (version) => new World(world).client(clientId, { version, ...options }).connect(connect)
}

/** World whose authentication answers with this code. */
const answering = (reasonCode: number): WorldOptions => ({
  authenticator: { authenticate: (_, decide) => decide({ reasonCode }) },
})
const byAuth = { properties: { authenticationMethod: 'M' } }
const settings = (own: NonNullable<TestClientOptions['settings']>): TestClientOptions => ({ settings: own })

/** Makes a client that sends a CONNECT changed by hand. */
function bytes(change: (packet: Uint8Array) => Uint8Array): (version: Version) => TestClient {
  return (version) => {
    const packet = encode(
      new Connect({ protocolVersion: version, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' }),
      version,
    )
    return new World().client('a', { version }).open().sendBytes(change(packet))
  }
}

const withWill = (
  version: Version,
  topic: string,
  properties: ConnectOptions['properties'] = {},
): Partial<ConnectOptions> => ({
  will: will({ topic, ...(version === 5 ? { properties } : {}) }),
})

function memoryShort(version: Version): TestClient {
  const memory = { used: 0, usedBytes: () => memory.used, collect: () => 0 }
  const world = new World({ processMemory: memory, limits: { memoryBytesMax: 100 * 1024 * 1024 } })
  world.client('first').connected({ keepAliveSeconds: 0 })
  memory.used = 99 * 1024 * 1024
  world.advance(11_000)
  const kept = version === 5 ? { sessionExpiryIntervalSeconds: 100 } : {}
  return world.client('a', { version }).connect({ cleanStart: false, properties: kept })
}

function storeFailing(version: Version): TestClient {
  const store = new SimStore()
  const world = new World({ store })
  const kept = { cleanStart: false, properties: version === 5 ? { sessionExpiryIntervalSeconds: 100 } : {} }
  store.failure = new Error('the disk is full')
  world.client('first', { version }).connect(kept)
  do world.advance(10)
  while (store.flush() > 0)
  return world.client('a', { version }).connect(kept)
}

export const refusalCases: readonly RefusalCase[] = [
  {
    situation: 'A protocol level that there is not',
    before5: 1,
    in5: Code.UnsupportedProtocolVersion,
    next: 'same',
    play: bytes((packet) => packet.with(8, packet[8] === 4 ? 2 : 9)),
  },
  {
    situation: 'A version that the listener does not take (`accept_protocol_versions`)',
    before5: 1,
    in5: Code.UnsupportedProtocolVersion,
    next: 'same',
    play: refused({}, answering(Code.UnsupportedProtocolVersion)),
  },
  {
    situation: 'A CONNECT that is malformed',
    before5: null,
    in5: Code.MalformedPacket,
    next: 'same',
    play: bytes((packet) => packet.with(9, packet[9]! | 1)),
  },
  {
    situation: 'A CONNECT that breaks a rule, as Receive Maximum 0',
    before5: undefined,
    in5: Code.ProtocolError,
    next: 'same',
    play: bytes((packet) =>
      Uint8Array.of(...packet.slice(0, 1), packet[1]! + 3, ...packet.slice(2, 12), 3, 0x21, 0, 0, ...packet.slice(13)),
    ),
  },
  {
    situation: 'Something else than CONNECT comes first, or nothing in time',
    before5: null,
    in5: null,
    next: 'same',
    play: (version) => new World().client('a', { version }).open().send(new Pingreq()),
  },
  {
    situation: 'An empty Client Identifier that is not allowed (`allow_zero_length_clientid`)',
    before5: 2,
    in5: Code.ClientIdentifierNotValid,
    next: 'same',
    play: refused({}, {}, settings({ allowEmptyClientId: false }), ''),
  },
  {
    situation: 'An empty Client Identifier for a session that is to stay',
    before5: 2,
    in5: undefined,
    next: 'same',
    play: refused({ cleanStart: false }, {}, {}, ''),
  },
  {
    situation: 'A Client Identifier with a control character or non-character',
    before5: 2,
    in5: Code.ClientIdentifierNotValid,
    next: 'same',
    play: refused({}, {}, {}, 'a\u0001b'),
  },
  {
    situation: 'A Client Identifier that is too long',
    before5: 2,
    in5: Code.ClientIdentifierNotValid,
    next: 'same',
    play: refused({}, {}, {}, long),
  },
  {
    situation: 'A user name with a control character or non-character',
    before5: 4,
    in5: Code.BadUserNameOrPassword,
    next: 'same',
    play: refused({ username: 'a\u0001' }),
  },
  {
    situation: 'A user name that is too long',
    before5: 4,
    in5: Code.BadUserNameOrPassword,
    next: 'same',
    play: refused({ username: long }),
  },
  {
    situation: 'No name in the certificate or pre-shared key that is to be the user name',
    before5: 4,
    in5: Code.BadUserNameOrPassword,
    next: 'same',
    play: refused({ username: 'ada' }, {}, settings({ usernameFrom: 'identity' })),
  },
  {
    situation: 'No user name that could be the Client Identifier (`use_username_as_clientid`)',
    before5: 5,
    in5: Code.NotAuthorized,
    next: 'same',
    play: refused({}, {}, settings({ clientIdFromUsername: true })),
  },
  {
    situation:
      'A wrong user name, password or token; anonymous where that is not allowed; a Client Identifier without the prefix',
    before5: 5,
    in5: Code.NotAuthorized,
    next: 'same',
    play: refused({}, answering(Code.NotAuthorized)),
  },
  {
    situation: 'A token or login that has expired',
    before5: 5,
    in5: Code.NotAuthorized,
    next: 'same',
    play: refused({}, { authenticator: { authenticate: (_, decide) => decide({ expiresAtMs: 1 }) } }),
  },
  {
    situation: 'A login as another user than the certificate says',
    before5: 5,
    in5: Code.NotAuthorized,
    next: 'same',
    play: refused(
      {},
      { authenticator: { authenticate: (_, decide) => decide({ username: 'eve' }) } },
      {
        settings: { usernameFrom: 'identity' },
        peer: {
          tlsVersion: 'TLSv1.3',
          commonName: 'ada',
          certificate: null,
          pskIdentity: null,
          serverName: null,
          proxyAddress: null,
        },
      },
    ),
  },
  {
    situation: 'An Authentication Method that is not there',
    before5: undefined,
    in5: Code.BadAuthenticationMethod,
    next: 'same',
    play: refused(byAuth),
  },
  {
    situation: 'A Keep Alive over the limit (`max_keepalive`)',
    before5: 2,
    in5: undefined,
    next: 'same',
    play: refused({ keepAliveSeconds: 1_000 }, { limits: { keepAliveSecondsMax: 100 } }),
  },
  {
    situation: 'A Will Topic that is none: empty, or with a wildcard',
    before5: null,
    in5: Code.TopicNameInvalid,
    next: 'same',
    play: (version) => new World().client('a', { version }).open().sendBytes(connectWithWill(version, 'a/#')),
  },
  {
    situation: 'A control character or non-character in the Will Topic or another text of the Will',
    before5: null,
    in5: Code.MalformedPacket,
    next: 'same',
    play: (version) => refused(withWill(version, version === 4 ? 'w\u0001' : 'w', { contentType: '\u0001' }))(version),
  },
  {
    situation: 'A Will Topic over the limits of topics',
    before5: 5,
    in5: Code.TopicNameInvalid,
    next: 'same',
    play: (version) => refused(withWill(version, 'a/b/c'), { limits: { topicLevelsMax: 2 } })(version),
  },
  {
    situation:
      'A Will that its client may not publish by the rights of its token, a webhook or a hook (`acl_file` lets it in, and drops the Will when it is due)',
    before5: 5,
    in5: Code.NotAuthorized,
    next: 'same',
    play: (version) =>
      refused(withWill(version, 'w'), { authorizer: { publish: () => Code.NotAuthorized, subscribe: () => 0 } })(
        version,
      ),
  },
  {
    situation: 'A Will with a higher QoS than there is (`max_qos`)',
    before5: 5,
    in5: Code.QoSNotSupported,
    next: 'same',
    play: refused({ will: will({ topic: 'w', qos: 2 }) }, { limits: { maximumQoS: 1 } }),
  },
  {
    situation: 'A retained Will without retained messages (`retain_available false`)',
    before5: 5,
    in5: Code.RetainNotSupported,
    next: 'same',
    play: refused({ will: will({ topic: 'w', retain: true }) }, { limits: { retainedMessagesMax: 0 } }),
  },
  {
    situation: 'A Will with a larger payload than may be (`message_size_limit`)',
    before5: 5,
    in5: Code.PacketTooLarge,
    next: 'same',
    play: refused({ will: will({ topic: 'w', payload: 'x'.repeat(100) }) }, { limits: { payloadBytesMax: 10 } }),
  },
  {
    situation: 'A Maximum Packet Size that CONNACK does not fit into',
    before5: undefined,
    in5: null,
    next: 'same',
    play: refused({ properties: { maximumPacketSize: 4 } }),
  },
  {
    situation: 'As many clients are connected as may be (`global_max_connections`), or memory is short',
    before5: 3,
    in5: Code.ServerBusy,
    next: 'passes',
    play: (version) => {
      const world = new World({ limits: { connectionsMax: 1 } })
      world.client('first').connected()
      return world.client('a', { version }).connect()
    },
  },
  {
    situation: 'As many sessions are there as may be (`global_max_clients`)',
    before5: 3,
    in5: Code.QuotaExceeded,
    next: 'passes',
    play: (version) => {
      const world = new World({ limits: { sessionsMax: 1 } })
      world.client('first').connected()
      return world.client('a', { version }).connect()
    },
  },
  {
    situation: 'Memory is short, and a new session would be kept',
    before5: 3,
    in5: Code.ServerBusy,
    next: 'passes',
    play: memoryShort,
  },
  {
    situation: 'The disk is full or fails, and a session or Will would be kept',
    before5: 3,
    in5: Code.QuotaExceeded,
    next: 'passes',
    play: storeFailing,
  },
  {
    situation: 'Too many logins wait, or too many from there were wrong',
    before5: 3,
    in5: Code.ServerBusy,
    next: 'passes',
    play: refused({}, answering(Code.ServerBusy)),
  },
  {
    situation: 'A login that the broker has not decided within `connect_timeout`',
    before5: 3,
    in5: Code.ServerBusy,
    next: 'passes',
    play: (version) => {
      const world = new World({ authenticator: { authenticate: () => {} }, limits: { connectTimeoutMs: 1_000 } })
      const client = world.client('a', { version }).connect()
      world.advance(1_300)
      return client
    },
  },
  {
    situation: 'A webhook or the keys for tokens give no answer',
    before5: 3,
    in5: Code.ServerUnavailable,
    next: 'passes',
    play: refused({}, answering(Code.ServerUnavailable)),
  },
  {
    situation: 'Who may connect has changed during an exchange of AUTH packets that cannot be looked up',
    before5: undefined,
    in5: Code.ServerUnavailable,
    next: 'passes',
    play: () => {
      const waiting: (() => void)[] = []
      const world = new World({
        enhancedAuthenticator: {
          methods: ['M'],
          step: (_, answer) => void waiting.push(() => answer({ username: 'ada' })),
        },
      })
      const client = world.client('a').connect(byAuth)
      world.core.recheck()
      world.together(() => waiting[0]!())
      return client
    },
  },
  {
    situation: 'The client does not go on with its exchange of AUTH packets within `connect_timeout`',
    before5: undefined,
    in5: Code.ProtocolError,
    next: 'same',
    play: () => {
      const world = new World({
        limits: { connectTimeoutMs: 1_000 },
        enhancedAuthenticator: {
          methods: ['M'],
          step: (_, answer) => answer({ reasonCode: Code.ContinueAuthentication }),
        },
      })
      const client = world.client('a').connect(byAuth)
      world.advance(1_300)
      return client
    },
  },
  {
    situation: 'The broker shuts down',
    before5: 3,
    in5: Code.ServerUnavailable,
    next: 'passes',
    play: (version) => {
      const world = new World({ authenticator: { authenticate: () => {} } })
      const client = world.client('a', { version }).connect()
      world.core.shutDown(Code.ServerShuttingDown, 'the server is shutting down')
      world.run()
      return client
    },
  },
  {
    situation: 'A hook of the embedding program throws',
    before5: 3,
    in5: Code.UnspecifiedError,
    next: 'passes',
    play: refused({}, answering(Code.UnspecifiedError)),
  },
  {
    situation: 'The client belongs to another server (a hook says so)',
    before5: 3,
    in5: Code.UseAnotherServer,
    next: 'passes',
    play: refused({}, answering(Code.UseAnotherServer)),
  },
]

/** Returns a CONNECT with a Will Topic that our encoder does not write. */
function connectWithWill(version: Version, topic: string): Uint8Array {
  const packet = encode(
    new Connect({
      protocolVersion: version,
      cleanStart: true,
      keepAliveSeconds: 0,
      clientId: 'a',
      will: will({ topic: 'x'.repeat(topic.length) }),
    }),
    version,
  )
  const at = packet.lastIndexOf(0x78) - topic.length + 1
  packet.set(new TextEncoder().encode(topic), at)
  return packet
}
