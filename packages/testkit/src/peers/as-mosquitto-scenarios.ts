/**
 * Scenarios for the comparison of answers with Mosquitto's, byte by byte (`as-mosquitto.peer.test.ts`): clients, and the packets that they
 * send one after the other.
 *
 * Invariant: a scenario whose answers differ from Mosquitto's has the reason.
 */
import {
  Connect,
  type ConnectOptions,
  Disconnect,
  type Packet,
  type Properties,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  ReasonCode,
  Subscribe,
  Unsubscribe,
} from '@recado/protocol'

/** Makes a packet for this version, or bytes, that a client sends. */
export type Sent = (version: ProtocolVersion) => Packet | Uint8Array
/** A client's name, and its packets in their order; its answers are awaited after each. */
export type Step = readonly [client: string, ...sent: Sent[]]

export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
  /** Default: 3.1.1 and 5.0. */
  readonly versions?: readonly ProtocolVersion[]
  /** Lines of mosquitto.conf; FOLDER stands for a folder with the file `acl`. */
  readonly config?: readonly string[]
  /** Reason why the answers are not Mosquitto's in at least one version. */
  readonly differs?: string
  /** Reason why the answers are compared by their lengths alone. */
  readonly random?: string
  /** Reason why the answers are compared without a DISCONNECT at their end. */
  readonly cutOff?: string
}

/** ACL file of the scenarios. */
export const aclText = 'topic read x/#\ntopic write x\n'

const utf8 = new TextEncoder()
const NOTHING: Properties = {}

type Own = Partial<ConnectOptions>
const c =
  (own: Own | ((version: ProtocolVersion) => Own) = {}): Sent =>
  (protocolVersion) => {
    const options = typeof own === 'function' ? own(protocolVersion) : own
    const common = { protocolVersion, cleanStart: true, keepAliveSeconds: 60, clientId: 'c' }
    return new Connect({
      ...common,
      ...options,
      properties: protocolVersion === 5 ? (options.properties ?? {}) : {},
    } as ConnectOptions)
  }
const s =
  (filters: string | readonly string[], qos: QoS = 0, own: object = {}, properties = NOTHING, packetId = 1): Sent =>
  (version) => {
    const common = { qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const, ...own }
    const subscriptions = [filters].flat().map((topicFilter) => ({ topicFilter, ...common }))
    return new Subscribe(packetId, subscriptions, version === 5 ? properties : {})
  }
const u =
  (filter: string, packetId: number): Sent =>
  () =>
    new Unsubscribe(packetId, [filter], {})
const p =
  (topic: string, text = 'x', qos: QoS = 0, packetId = 0, retain = false, properties = NOTHING, dup = false): Sent =>
  (version) => {
    const payload = utf8.encode(text)
    return new Publish(
      topic,
      qos,
      retain,
      dup,
      packetId,
      version === 5 ? properties : {},
      null,
      payload,
      0,
      payload.length,
    )
  }
const raw =
  (hex: string): Sent =>
  () =>
    Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const pa =
  (packetId: number): Sent =>
  () =>
    new Puback(packetId)
const pr =
  (packetId: number): Sent =>
  () =>
    new Pubrec(packetId)
const pl =
  (packetId: number): Sent =>
  () =>
    new Pubrel(packetId)
const pc =
  (packetId: number): Sent =>
  () =>
    new Pubcomp(packetId)
const d =
  (reasonCode: ReasonCode = ReasonCode.Success, properties = NOTHING): Sent =>
  () =>
    new Disconnect(reasonCode, properties)

export const scenarios: readonly Scenario[] = [
  { name: 'connect', steps: [['a', c()]] },
  {
    name: 'connect empty id',
    steps: [['a', c({ clientId: '' })]],
    random: 'the identifiers are random; their form is compared',
  },
  {
    name: 'connect empty id clean false',
    steps: [['a', c({ clientId: '', cleanStart: false })]],
    random: 'the identifiers are random; their form is compared',
  },
  {
    name: 'connect twice',
    steps: [['a', c(), c()]],
  },
  {
    name: 'connect expiry',
    steps: [['a', c((v) => ({ properties: v === 5 ? { sessionExpiryIntervalSeconds: 100 } : {} }))]],
  },
  { name: 'connect keepalive 0', steps: [['a', c({ keepAliveSeconds: 0 })]] },
  {
    name: 'connect req resp info',
    steps: [['a', c({ properties: { requestResponseInformation: true } })]],
    versions: [5],
  },
  {
    name: 'connect receive max',
    steps: [['a', c({ properties: { receiveMaximum: 5, topicAliasMaximum: 3, maximumPacketSize: 1000 } })]],
    versions: [5],
  },
  { name: 'connect user', steps: [['a', c({ username: 'u', password: utf8.encode('p') })]] },
  {
    name: 'connect bad auth method',
    steps: [['a', c({ properties: { authenticationMethod: 'foo' } })]],
    versions: [5],
  },
  {
    name: 'will',
    steps: [
      ['b', c({ clientId: 'b' }), s('w/#', 1)],
      [
        'a',
        c({ will: { topic: 'w/1', payload: utf8.encode('gone'), qos: 1, retain: false, properties: {} } }),
        raw('ff'),
      ],
    ],
    differs: '2.0.11 waits for the rest of a packet whose type is 15; here it is refused at once',
  },
  {
    name: 'takeover',
    steps: [
      ['a', c({ clientId: 'x' })],
      ['b', c({ clientId: 'x' })],
    ],
    differs: 'a DISCONNECT says why',
  },
  {
    name: 'session present',
    steps: [
      [
        'a',
        c({ cleanStart: false, clientId: 'sp', properties: { sessionExpiryIntervalSeconds: 100 } }),
        s('sp/#', 1),
        d(),
      ],
      ['b', c({ clientId: 'bb' }), p('sp/1', 'm1', 1, 1), p('sp/2', 'm2', 1, 2)],
      ['a', c({ cleanStart: false, clientId: 'sp', properties: { sessionExpiryIntervalSeconds: 100 } }), pa(1), pa(2)],
    ],
  },
  { name: 'sub too many levels', steps: [['a', c(), s('/'.repeat(201), 0)]] },
  { name: 'pub too many levels', steps: [['a', c(), p('/'.repeat(201), 'x', 1, 1)]] },
  {
    name: 'connect with a zero in the identifier',
    steps: [['a', raw('101000044d5154540502003c000003610062')]],
    versions: [5],
  },
  {
    name: 'connect empty id, refused',
    steps: [['a', c({ clientId: '' })]],
    config: ['allow_zero_length_clientid false', 'allow_anonymous true'],
  },
  {
    name: 'pub of the state of a bridge',
    steps: [['a', c(), p('$SYS/broker/connection/me/state', '1', 1, 1), p('$SYS/broker/connection/me', '1', 1, 2)]],
  },
  { name: 'pub to a shared subscription', steps: [['a', c(), p('$share/g/a', 'x', 1, 1)]] },
  { name: 'puback with a bad property', steps: [['a', c(), raw('4006000110030121')]], versions: [5] },
  {
    name: 'sub codes',
    steps: [['a', c(), s('a', 0), s('a/+', 1, {}, {}, 2), s(['x/#', 'y'], 2, {}, {}, 3), u('a', 4), u('nope', 5)]],
  },
  { name: 'sub invalid', steps: [['a', c(), s('a/#/b', 0)]] },
  { name: 'sub empty', steps: [['a', c(), raw('82050001000000')]], versions: [4] },
  { name: 'sub empty, 5.0', steps: [['a', c(), raw('8206000100000000')]], versions: [5] },
  { name: 'sub share', steps: [['a', c(), s('$share/g/a', 1)]] },
  {
    name: 'sub share bad',
    steps: [['a', c(), s('$share/a', 1)]],
    differs: '$share/a is no valid Shared Subscription [MQTT-4.8.2-1]; 2.0.11 takes it for a filter',
  },
  {
    name: 'sub share noLocal',
    steps: [['a', c(), raw('8210000100000a2473686172652f672f6105')]],
    versions: [5],
    differs: 'No Local with a Shared Subscription is a protocol error [MQTT-3.8.3-4]',
  },
  { name: 'sub $SYS write', steps: [['a', c(), p('$SYS/x', '1', 1, 1), p('$SYS/x', '1', 2, 2), p('$SYS/x', '1', 0)]] },
  {
    name: 'sub id',
    steps: [
      [
        'a',
        c(),
        s('i/#', 1, {}, { subscriptionIdentifiers: [5] }),
        s('i/+', 1, {}, { subscriptionIdentifiers: [6] }, 2),
        p('i/1', 'x', 1, 3),
      ],
    ],
    versions: [5],
    differs: 'a client gets a message once, with all its Subscription Identifiers (3.3.4)',
  },
  { name: 'sub no packets', steps: [['a', c(), raw('82020001')]] },
  { name: 'pub qos0', steps: [['a', c(), s('t', 0), p('t')]] },
  { name: 'pub qos1 nobody', steps: [['a', c(), p('nobody', 'x', 1, 1)]] },
  { name: 'pub qos2 nobody', steps: [['a', c(), p('nobody', 'x', 2, 1), pl(1)]] },
  { name: 'pub qos1 retain nobody', steps: [['a', c(), p('r/1', 'x', 1, 1, true), p('r/1', '', 1, 2, true)]] },
  { name: 'pub qos1 self', steps: [['a', c(), s('t', 1), p('t', 'x', 1, 7), pa(1)]] },
  {
    name: 'pub qos2 self',
    steps: [['a', c(), s('t', 2), p('t', 'x', 2, 7), pl(7), pr(1), pc(1)]],
    differs: 'a QoS 2 message is passed on when it comes (4.3.3 leaves it open); Mosquitto waits for PUBREL',
  },
  {
    name: 'pub qos2 dup',
    steps: [['a', c(), s('t', 2), p('t', 'x', 2, 7), p('t', 'x', 2, 7, false, {}, true), pl(7), pl(7)]],
    differs: 'the same',
  },
  { name: 'pubrel unknown', steps: [['a', c(), pl(9)]] },
  { name: 'pubrec unknown', steps: [['a', c(), pr(9)]] },
  { name: 'puback unknown', steps: [['a', c(), pa(9)]] },
  { name: 'pubcomp unknown', steps: [['a', c(), pc(9)]] },
  { name: 'pub wildcard', steps: [['a', c(), raw('30050003612f2378')]], versions: [4] },
  {
    name: 'pub wildcard5',
    steps: [['a', c(), raw('30060003612f230078')]],
    versions: [5],
    cutOff: 'its DISCONNECT is lost when it closes the connection with bytes unread',
  },
  { name: 'pub empty topic', steps: [['a', c(), raw('300300007878')]], versions: [4] },
  { name: 'pub qos3', steps: [['a', c(), raw('360700016100017878')]] },
  { name: 'pub id0', steps: [['a', c(), raw('32060001610000 78')]], versions: [4] },
  {
    name: 'retained',
    steps: [
      [
        'a',
        c(),
        p('ret/a', '1', 0, 0, true),
        p('ret/b', '2', 1, 1, true),
        s('ret/#', 1),
        p('ret/a', '', 0, 0, true),
        p('ret/b', '', 1, 2, true),
      ],
    ],
  },
  {
    name: 'retained exist',
    steps: [
      [
        'a',
        c(),
        p('ret/a', '1', 0, 0, true),
        s('ret/a', 1, { retainAsPublished: true }),
        p('ret/a', '2', 1, 5, true),
        s('ret/a', 1, { retainHandling: 1 }, {}, 3),
        s('ret/a', 1, { retainHandling: 2 }, {}, 4),
        p('ret/a', '', 0, 0, true),
      ],
    ],
    differs: '2.0.11 keeps Retain As Published of the subscription that was replaced',
  },
  {
    name: 'overlap',
    steps: [['a', c(), s('o/#', 1), s('o/+', 2, {}, {}, 2), p('o/1', 'x', 2, 4), pl(4)]],
    differs: 'QoS 2 as above; a client gets a message once',
  },
  {
    name: 'alias',
    steps: [
      [
        'a',
        c(),
        p('al', 'x', 1, 1, false, { topicAlias: 1 }),
        p('', 'y', 1, 2, false, { topicAlias: 1 }),
        p('', 'y', 1, 3, false, { topicAlias: 2 }),
      ],
    ],
    versions: [5],
  },
  {
    name: 'alias 0',
    steps: [['a', c(), raw('30080001610323000078')]],
    versions: [5],
    differs: '0x94 Topic Alias invalid is what section 3.3.2.3.4 names',
  },
  { name: 'alias over', steps: [['a', c(), p('al', 'x', 1, 1, false, { topicAlias: 11 })]], versions: [5] },
  {
    name: 'alias out',
    steps: [['a', c({ properties: { topicAliasMaximum: 5 } }), s('t', 0), p('t'), p('t')]],
    versions: [5],
    differs: 'Topic Aliases towards clients that allow them, as Mosquitto 2.1',
  },
  {
    name: 'expiry msg',
    steps: [
      [
        'a',
        c(),
        s('t', 1),
        p('t', 'x', 1, 4, false, {
          messageExpiryIntervalSeconds: 100,
          contentType: 'ct',
          userProperties: [['a', 'b']],
          responseTopic: 'r',
          correlationData: Uint8Array.of(1),
          payloadFormatIndicator: 1,
        }),
      ],
    ],
    versions: [5],
    differs: 'properties keep the order of their publisher',
  },
  { name: 'nolocal', steps: [['a', c(), s('t', 1, { noLocal: true }), p('t', 'x', 1, 4)]], versions: [5] },
  {
    name: 'disconnect rc',
    steps: [
      ['b', c({ clientId: 'b' }), s('w', 1)],
      [
        'a',
        c({ will: { topic: 'w', payload: utf8.encode('gone'), qos: 0, retain: false, properties: {} } }),
        d(ReasonCode.DisconnectWithWillMessage),
      ],
    ],
    versions: [5],
  },
  { name: 'disconnect expiry 0->', steps: [['a', c(), d(0, { sessionExpiryIntervalSeconds: 5 })]], versions: [5] },
  {
    name: 'bad protocol name',
    steps: [['a', raw('100c00044d515858040200 3c000161')]],
    versions: [4],
    differs: 'a CONNACK says why; section 3.1.2.1 allows both',
  },
  {
    name: 'bad version',
    steps: [['a', raw('100d00044d515454090200 3c000161')]],
    versions: [4],
    differs: 'a CONNACK of MQTT 5.0 with 0x84, as section 3.1.2.2 has it',
  },
  { name: 'level 6', steps: [['a', raw('100e00044d515454060200 3c00000161')]], versions: [4], differs: 'the same' },
  { name: 'reserved flag', steps: [['a', raw('100d00044d515454040300 3c000161')]], versions: [4] },
  { name: 'first not connect', steps: [['a', raw('c000')]], versions: [4] },
  {
    name: 'ping flags',
    steps: [['a', c(), raw('c100')]],
    differs: 'reserved flags are a malformed packet [MQTT-2.1.3-1]',
  },
  { name: 'ping len', steps: [['a', c(), raw('c00100')]], differs: 'a PINGREQ with a body is a malformed packet' },
  { name: 'bad type 0', steps: [['a', c(), raw('0000')]] },
  { name: 'auth', steps: [['a', c(), raw('f000')]], differs: 'a DISCONNECT says why' },
  { name: 'server packet connack', steps: [['a', c(), raw('20020000')]] },
  {
    name: 'suback from client',
    steps: [['a', c(), raw('9003000100')]],
    differs: 'a SUBACK from a client is a protocol error',
  },
  { name: 'sub bad flags', steps: [['a', c(), raw('8006000100016100')]] },
  { name: 'sub qos3', steps: [['a', c(), raw('8206000100016103')]], versions: [4] },
  {
    name: 'sub opts bad',
    steps: [['a', c(), raw('820700010000016133')]],
    versions: [5],
    differs: 'Retain Handling 3 is a protocol error [MQTT-3.8.3-5]',
  },
  { name: 'unsub none', steps: [['a', c(), raw('a2020001')]], versions: [4] },
  { name: 'pub utf8 bad', steps: [['a', c(), raw('30050002c328 78')]], versions: [4] },
  { name: 'pub nul', steps: [['a', c(), raw('300400020061')]], versions: [4] },
  { name: 'remaining length 5 bytes', steps: [['a', c(), raw('3080808080 01')]], differs: 'a DISCONNECT says why' },
  { name: 'will bad topic', steps: [['a', raw('101500044d5154540406003c0001630003772f23000167')]], versions: [4] },
  {
    name: 'will bad topic, 5.0',
    steps: [['a', raw('101700044d5154540506003c00000163000003772f23000167')]],
    versions: [5],
  },
  {
    name: 'will $SYS',
    steps: [['a', c({ will: { topic: '$SYS/x', payload: utf8.encode('g'), qos: 0, retain: false, properties: {} } })]],
    differs: 'nobody may publish to $SYS, by a Will either',
  },
  {
    name: 'inflight window',
    steps: [
      [
        'a',
        c({ properties: { receiveMaximum: 2 } }),
        s('q', 1),
        p('q', '1', 1, 11),
        p('q', '2', 1, 12),
        p('q', '3', 1, 13),
        pa(1),
        pa(2),
        pa(3),
      ],
    ],
  },
  {
    name: 'max packet small',
    steps: [['a', c({ properties: { maximumPacketSize: 20 } }), s('q', 1), p('q', '1234567890123456789012345', 1, 11)]],
    versions: [5],
  },
  { name: 'noauth', steps: [['a', c()]], config: ['password_file /dev/null', 'allow_anonymous false'] },
  {
    name: 'noauth user',
    steps: [['a', c({ username: 'u', password: utf8.encode('p') })]],
    config: ['password_file /dev/null', 'allow_anonymous false'],
  },
  {
    name: 'acl',
    steps: [
      [
        'a',
        c(),
        s('x/1', 1),
        s('y', 1),
        p('y', '1', 1, 1),
        p('y', '1', 2, 2),
        pl(2),
        p('x', '1', 1, 3),
        p('y', '', 0, 0),
      ],
    ],
    config: ['acl_file FOLDER/acl'],
  },
  { name: 'maxqos', steps: [['a', c(), p('y', '1', 2, 2), s('y', 2), p('y', '1', 1, 3)]], config: ['max_qos 1'] },
  { name: 'noretain', steps: [['a', c(), p('y', '1', 1, 2, true)]], config: ['retain_available false'] },
  {
    name: 'message size',
    steps: [
      [
        'a',
        c(),
        s('z', 1),
        p('z', '12345678901234567890', 1, 2),
        p('z', '1', 1, 3),
        p('z', '12345678901234567890', 2, 4),
      ],
    ],
    config: ['message_size_limit 10'],
    differs: '0x95 may not stand in PUBACK and PUBREC; 0x97 may',
  },
  {
    name: 'packet size',
    steps: [['a', c(), p('z', '12345678901234567890123456789012345678901234567890', 1, 2)]],
    // With 5.0 Mosquitto closes with bytes unread, which may take its DISCONNECT along.
    versions: [4],
    config: ['max_packet_size 40'],
  },
  {
    name: 'keepalive max',
    steps: [['a', c({ keepAliveSeconds: 500 })]],
    config: ['max_keepalive 100'],
    differs: 'a 3.1.1 client cannot be told of a Server Keep Alive, so one that is too long is refused, as in 2.1',
  },
]
