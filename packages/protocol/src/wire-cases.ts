/**
 * Wire cases: bytes, and the packet that they encode or the Reason Code that refuses them. Tests only.
 *
 * The tests of decoder, encoder and broker all run over this one table. The bytes of every case are written by hand (or
 * made from hand-written parts: a property in each packet where it may and may not stand), never by our own encoder. A
 * case holds however its bytes are split.
 *
 * Where a packet breaks two rules at once, or the specification gives no Reason Code, the table says what Mosquitto 2.1
 * does; where the specification gives one, the specification wins: a property that may not stand in a packet is
 * Malformed (2.2.2.2), twice the same one is a Protocol Error.
 */
import {
  Auth,
  Connack,
  Connect,
  Disconnect,
  type Packet,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  Unsubscribe,
} from './packets.ts'
import { NO_PROPERTIES, type Properties, type PropertyDefinition, propertyDefinitions } from './properties.ts'
import { ReasonCode } from './reason-codes.ts'

export interface WireCase {
  /** Unique name. */
  name: string
  version: ProtocolVersion
  /** Sender of these bytes. */
  from: 'client' | 'server'
  bytes: Uint8Array
  /** Packet that the bytes are accepted as; it encodes to the same bytes, or to `encodesAs`. */
  packet?: Packet
  encodesAs?: Uint8Array
  /** Reason Code that the bytes are refused with. */
  refused?: ReasonCode
  /**
   * Number of the normative statement that decides the case, in the specification of its version; several are separated
   * by blanks.
   */
  statement?: string
  /**
   * 'connect' when CONNECT (from a server: CONNACK) has been sent before; otherwise these are the first bytes of the
   * connection.
   */
  after?: 'connect'
  /** Maximum Packet Size of the receiver, if the case is about it. */
  maximumPacketSize?: number
}

const {
  MalformedPacket,
  ProtocolError,
  TopicNameInvalid,
  TopicAliasInvalid,
  PacketTooLarge,
  UnsupportedProtocolVersion,
} = ReasonCode

// --- how the table is written ---------------------------------------------------------------------------------------------

/** Hexadecimal digits with any spaces, or bytes. */
type Part = string | Uint8Array

function hex(digits: string): Uint8Array {
  const text = digits.replaceAll(' ', '')
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
}

function join(parts: readonly Part[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? hex(part) : part)]))
}

/** Encodes the length in two bytes, then the bytes (a string as UTF-8). */
function field(value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value
  return Uint8Array.from([bytes.length >> 8, bytes.length & 0xff, ...bytes])
}

function variableByteInteger(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Uint8Array.from(bytes)
}

/** Encodes first byte, Remaining Length and body. */
function packetOf(first: number, ...parts: Part[]): Uint8Array {
  const body = join(parts)
  return join([Uint8Array.of(first), variableByteInteger(body.length), body])
}

/** Encodes Property Length and properties. */
function propertiesOf(...parts: Part[]): Uint8Array {
  const body = join(parts)
  return join([variableByteInteger(body.length), body])
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

const cases: WireCase[] = []

interface More {
  statement?: string
  encodesAs?: Uint8Array
  after?: 'connect' | 'nothing'
  maximumPacketSize?: number
}

function add(
  version: ProtocolVersion,
  from: 'client' | 'server',
  name: string,
  bytes: Uint8Array,
  outcome: Packet | ReasonCode,
  more: More,
): void {
  const wireCase: WireCase = { name: `v${version} ${from}: ${name}`, version, from, bytes }
  if (typeof outcome === 'number') wireCase.refused = outcome
  else wireCase.packet = outcome
  if (more.statement !== undefined) wireCase.statement = more.statement
  if (more.encodesAs !== undefined) wireCase.encodesAs = more.encodesAs
  if (more.maximumPacketSize !== undefined) wireCase.maximumPacketSize = more.maximumPacketSize
  // CONNECT and CONNACK come first on their connections, all others after them, unless the case says otherwise.
  const opens = from === 'client' ? 1 : 2
  if ((more.after ?? ((bytes[0] ?? 0) >> 4 === opens ? 'nothing' : 'connect')) === 'connect') wireCase.after = 'connect'
  cases.push(wireCase)
}

function accept(
  version: ProtocolVersion,
  from: 'client' | 'server',
  name: string,
  bytes: Uint8Array,
  packet: Packet,
  more: More = {},
): void {
  add(version, from, name, bytes, packet, more)
}

function refuse(
  version: ProtocolVersion,
  from: 'client' | 'server',
  name: string,
  bytes: Uint8Array,
  reasonCode: ReasonCode,
  statement?: string,
  more: More = {},
): void {
  add(version, from, name, bytes, reasonCode, statement === undefined ? more : { ...more, statement })
}

const ALL: readonly ProtocolVersion[] = [3, 4, 5]
const FROM_3_1_1: readonly ProtocolVersion[] = [4, 5]

/** Property Length 0 in a version that has properties, else nothing. */
function none(version: ProtocolVersion): string {
  return version === 5 ? '00' : ''
}

// --- CONNECT ----------------------------------------------------------------------------------------------------------------

const protocol: Record<ProtocolVersion, Uint8Array> = {
  3: join([field('MQIsdp'), '03']),
  4: join([field('MQTT'), '04']),
  5: join([field('MQTT'), '05']),
}

/** Returns a CONNECT that every server accepts: it is sent before the cases that have `after: 'connect'`. */
export function connectBytes(version: ProtocolVersion): Uint8Array {
  return packetOf(0x10, protocol[version], '02 003c', none(version), field('p'))
}

/** Returns the CONNACK that is sent before the cases from a server. */
export function connackBytes(version: ProtocolVersion): Uint8Array {
  return packetOf(0x20, '00 00', none(version))
}

function connect(version: ProtocolVersion, more: Partial<ConstructorParameters<typeof Connect>[0]> = {}): Connect {
  return new Connect({ protocolVersion: version, cleanStart: true, keepAliveSeconds: 60, clientId: 'p', ...more })
}

/** Returns a CONNECT with these flags and these parts after the properties. */
function connectWith(version: ProtocolVersion, flags: string, ...payload: Part[]): Uint8Array {
  return packetOf(0x10, protocol[version], flags, '003c', none(version), ...payload)
}

const will = { topic: 'w', payload: ascii('m'), qos: 0 as const, retain: false, properties: NO_PROPERTIES }

for (const version of ALL) {
  const from = 'client'
  const p = field('p')
  accept(version, from, 'CONNECT', connectBytes(version), connect(version), { statement: 'MQTT-3.1.0-1' })
  accept(
    version,
    from,
    'CONNECT, Clean Start 0',
    connectWith(version, '00', p),
    connect(version, { cleanStart: false }),
  )
  accept(
    version,
    from,
    'CONNECT, Keep Alive 65,535',
    packetOf(0x10, protocol[version], '02 ffff', none(version), p),
    connect(version, { keepAliveSeconds: 65_535 }),
  )
  accept(
    version,
    from,
    'CONNECT, empty Client Identifier',
    connectWith(version, '02', '0000'),
    connect(version, { clientId: '' }),
    version === 3 ? {} : { statement: 'MQTT-3.1.3-6' },
  )
  accept(
    version,
    from,
    'CONNECT, Client Identifier of every length of UTF-8 and a byte order mark',
    connectWith(version, '02', field(hex('efbbbf 61 c3a4 e282ac f0aa9b94'))),
    connect(version, { clientId: '\ufeffaä€\u{2a6d4}' }),
    version === 5 ? { statement: 'MQTT-1.5.4-3' } : { statement: 'MQTT-1.5.3-3' },
  )
  for (const qos of [0, 1, 2] as const) {
    for (const retain of [false, true]) {
      const flags = (0x06 | (qos << 3) | (retain ? 0x20 : 0)).toString(16).padStart(2, '0')
      accept(
        version,
        from,
        `CONNECT, Will at QoS ${qos}, retain ${retain}`,
        connectWith(version, flags, p, none(version), field('w'), field('m')),
        connect(version, { will: { ...will, qos, retain } }),
      )
    }
  }
  accept(
    version,
    from,
    'CONNECT, empty Will Payload',
    connectWith(version, '06', p, none(version), field('w'), '0000'),
    connect(version, { will: { ...will, payload: new Uint8Array(0) } }),
  )
  accept(
    version,
    from,
    'CONNECT, User Name',
    connectWith(version, '82', p, field('user')),
    connect(version, { username: 'user' }),
  )
  accept(
    version,
    from,
    'CONNECT, User Name and a Password that is no text',
    connectWith(version, 'c2', p, field('user'), field(hex('00ff'))),
    connect(version, { username: 'user', password: hex('00ff') }),
  )
  accept(
    version,
    from,
    'CONNECT with everything',
    connectWith(version, 'f6', p, none(version), field('w'), field('m'), field('user'), field('secret')),
    connect(version, {
      will: { ...will, qos: 2, retain: true },
      username: 'user',
      password: ascii('secret'),
    }),
    { statement: 'MQTT-3.1.3-1' },
  )

  refuse(
    version,
    from,
    'CONNECT without Client Identifier',
    connectWith(version, '02'),
    MalformedPacket,
    'MQTT-3.1.3-3',
  )
  refuse(version, from, 'CONNECT, Client Identifier cut short', connectWith(version, '02', '0002 70'), MalformedPacket)
  refuse(version, from, 'CONNECT, half a Keep Alive', packetOf(0x10, protocol[version], '02 00'), MalformedPacket)
  refuse(version, from, 'CONNECT without Keep Alive', packetOf(0x10, protocol[version], '02'), MalformedPacket)
  refuse(version, from, 'CONNECT without Connect Flags', packetOf(0x10, protocol[version]), MalformedPacket)
  refuse(
    version,
    from,
    'CONNECT, a User Name without its flag',
    connectWith(version, '02', p, p),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-16 MQTT-3.1.4-1' : 'MQTT-3.1.2-18 MQTT-3.1.4-1',
  )
  refuse(
    version,
    from,
    'CONNECT, a Password without its flag',
    connectWith(version, '82', p, field('user'), field('secret')),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-18' : 'MQTT-3.1.2-20',
  )
  refuse(
    version,
    from,
    'CONNECT, a Will without its flag',
    connectWith(version, '02', p, none(version), field('w'), field('m')),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-9' : 'MQTT-3.1.2-11',
  )
  refuse(version, from, 'CONNECT, one byte left over', connectWith(version, '02', p, '00'), MalformedPacket)
  refuse(
    version,
    from,
    'CONNECT, Will Flag without Will',
    connectWith(version, '06', p),
    MalformedPacket,
    'MQTT-3.1.2-9',
  )
  refuse(
    version,
    from,
    'CONNECT, Will Topic without Will Payload',
    connectWith(version, '06', p, none(version), field('w')),
    MalformedPacket,
    'MQTT-3.1.2-9',
  )
  refuse(
    version,
    from,
    'CONNECT, Will QoS 3',
    connectWith(version, '1e', p, none(version), field('w'), field('m')),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-12' : 'MQTT-3.1.2-14',
  )
  for (const [what, topic] of [
    ['empty', ''],
    ['with +', 'a/+'],
    ['with #', '#'],
  ] as const)
    refuse(
      version,
      from,
      `CONNECT, Will Topic ${what}`,
      connectWith(version, '06', p, none(version), field(topic), field('m')),
      TopicNameInvalid,
      what === 'empty' ? 'MQTT-4.7.3-1' : version === 5 ? 'MQTT-4.7.0-1' : 'MQTT-4.7.1-1',
    )
  refuse(version, from, 'CONNECT, User Name cut short', connectWith(version, '82', p, '0005 75'), MalformedPacket)
  refuse(
    version,
    from,
    'CONNECT, Password cut short',
    connectWith(version, 'c2', p, field('user'), '0005 75'),
    MalformedPacket,
  )
  refuse(version, from, 'a second CONNECT', connectBytes(version), ProtocolError, 'MQTT-3.1.0-2', { after: 'connect' })
}

for (const version of FROM_3_1_1) {
  const from = 'client'
  const p = field('p')
  for (let flags = 1; flags < 16; flags++)
    refuse(
      version,
      from,
      `CONNECT, header flags ${flags}`,
      packetOf(0x10 | flags, protocol[version], '02 003c', none(version), p),
      MalformedPacket,
      version === 5 ? 'MQTT-2.1.3-1' : 'MQTT-2.2.2-2',
    )
  refuse(
    version,
    from,
    'CONNECT, reserved Connect Flag',
    connectWith(version, '03', p),
    MalformedPacket,
    'MQTT-3.1.2-3',
  )
  for (const flags of ['0a', '12', '1a'])
    refuse(
      version,
      from,
      `CONNECT, Will QoS without Will Flag (${flags})`,
      connectWith(version, flags, p),
      MalformedPacket,
      version === 5 ? 'MQTT-3.1.2-11' : 'MQTT-3.1.2-13',
    )
  refuse(
    version,
    from,
    'CONNECT, Will Retain without Will Flag',
    connectWith(version, '22', p),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-13' : 'MQTT-3.1.2-15',
  )
  refuse(
    version,
    from,
    'CONNECT, User Name Flag without User Name',
    connectWith(version, '82', p),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-17' : 'MQTT-3.1.2-19',
  )
  refuse(
    version,
    from,
    'CONNECT, Password Flag without Password',
    connectWith(version, 'c2', p, field('user')),
    MalformedPacket,
    version === 5 ? 'MQTT-3.1.2-19' : 'MQTT-3.1.2-21',
  )
}

for (const version of [3, 4] as const) {
  refuse(
    version,
    'client',
    'CONNECT, Password without User Name',
    connectWith(version, '42', field('p'), field('secret')),
    MalformedPacket,
    'MQTT-3.1.2-22',
  )
  accept(
    version,
    'client',
    'CONNECT of a bridge',
    packetOf(0x10, field(version === 3 ? 'MQIsdp' : 'MQTT'), version === 3 ? '83' : '84', '02 003c', field('p')),
    connect(version, { isBridge: true }),
  )
}
accept(
  5,
  'client',
  'CONNECT of a bridge',
  packetOf(0x10, field('MQTT'), '85 02 003c 00', field('p')),
  connect(5, { isBridge: true }),
)
accept(
  5,
  'client',
  'CONNECT, Password without User Name',
  connectWith(5, '42', field('p'), field('secret')),
  connect(5, { password: ascii('secret') }),
)
// 3.1 leaves these bits unused, and lets the Remaining Length overrule the flags of User Name and Password.
accept(3, 'client', 'CONNECT, bit 0 of the flags set', connectWith(3, '03', field('p')), connect(3), {
  encodesAs: connectBytes(3),
})
accept(3, 'client', 'CONNECT, Will QoS without Will Flag', connectWith(3, '1a', field('p')), connect(3), {
  encodesAs: connectBytes(3),
})
accept(3, 'client', 'CONNECT, User Name Flag without User Name', connectWith(3, '82', field('p')), connect(3), {
  encodesAs: connectBytes(3),
})
accept(
  3,
  'client',
  'CONNECT, Password Flag without Password',
  connectWith(3, 'c2', field('p'), field('user')),
  connect(3, { username: 'user' }),
  { encodesAs: connectWith(3, '82', field('p'), field('user')) },
)
accept(3, 'client', 'CONNECT, header flags', packetOf(0x1f, protocol[3], '02 003c', field('p')), connect(3), {
  encodesAs: connectBytes(3),
})
// Only 5.0 requires the shortest form.
for (const version of ALL) {
  const padded = join(['10', Uint8Array.of(connectBytes(version)[1]! | 0x80), '00', connectBytes(version).subarray(2)])
  const name = 'CONNECT, Remaining Length with a byte too many'
  if (version === 5) refuse(version, 'client', name, padded, MalformedPacket, 'MQTT-1.5.5-1')
  else accept(version, 'client', name, padded, connect(version), { encodesAs: connectBytes(version) })
}

for (const [what, name, level] of [
  ['level 2', 'MQTT', '02'],
  ['level 0', 'MQTT', '00'],
  ['level 3 of MQTT', 'MQTT', '03'],
  ['level 6', 'MQTT', '06'],
  ['level 255', 'MQTT', 'ff'],
  ['level 6 of a bridge', 'MQTT', '86'],
  ['level 4 of MQIsdp', 'MQIsdp', '04'],
  ['protocol name MQT', 'MQT', '04'],
  ['protocol name MQTTT', 'MQTTT', '04'],
  ['protocol name MQTU', 'MQTU', '04'],
  ['protocol name mqtt', 'mqtt', '04'],
  ['empty protocol name', '', '04'],
] as const)
  refuse(
    4,
    'client',
    `CONNECT, ${what}`,
    packetOf(0x10, field(name), level, '02 003c', field('p')),
    UnsupportedProtocolVersion,
    what.startsWith('level') ? 'MQTT-3.1.2-2' : 'MQTT-3.1.2-1',
  )
refuse(4, 'client', 'CONNECT of no bytes', hex('10 00'), MalformedPacket)
refuse(4, 'client', 'CONNECT, protocol name cut short', hex('10 04 0004 4d51'), MalformedPacket)
refuse(4, 'client', 'CONNECT without protocol level', packetOf(0x10, field('MQTT')), MalformedPacket)

refuse(
  5,
  'client',
  'CONNECT, Authentication Data without Authentication Method',
  packetOf(0x10, protocol[5], '02 003c', propertiesOf('16', field('d')), field('p')),
  ProtocolError,
)
accept(
  5,
  'client',
  'CONNECT, all properties, and User Properties in their order',
  packetOf(
    0x10,
    protocol[5],
    '02 003c',
    propertiesOf(
      '11 00000e10 15',
      field('SCRAM'),
      '16',
      field(hex('0001')),
      '17 00 19 01 21 0014 22 000a 26',
      field('a'),
      field('1'),
      '26',
      field('a'),
      field('2'),
      '27 00100000',
    ),
    field('p'),
  ),
  connect(5, {
    properties: {
      sessionExpiryIntervalSeconds: 3600,
      authenticationMethod: 'SCRAM',
      authenticationData: hex('0001'),
      requestProblemInformation: false,
      requestResponseInformation: true,
      receiveMaximum: 20,
      topicAliasMaximum: 10,
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ],
      maximumPacketSize: 1_048_576,
    },
  }),
)
refuse(
  5,
  'client',
  'CONNECT, Property Length greater than the packet',
  packetOf(0x10, protocol[5], '02 003c', '28 01', field('p')),
  MalformedPacket,
)
refuse(
  5,
  'client',
  'CONNECT, Will Properties missing',
  packetOf(0x10, protocol[5], '06 003c 00', field('p')),
  MalformedPacket,
)

// --- CONNACK ----------------------------------------------------------------------------------------------------------------

for (const version of ALL) {
  const from = 'server'
  accept(version, from, 'CONNACK', connackBytes(version), new Connack(false, 0))
  if (version !== 3)
    accept(version, from, 'CONNACK, Session Present', packetOf(0x20, '01 00', none(version)), new Connack(true, 0))
  refuse(version, from, 'CONNACK of no bytes', hex('20 00'), MalformedPacket)
  refuse(version, from, 'CONNACK of one byte', hex('20 01 00'), MalformedPacket)
  refuse(version, from, 'CONNACK, a byte too many', packetOf(0x20, '00 00', none(version), '00'), MalformedPacket)
  refuse(version, from, 'CONNACK, return code 0x7f', packetOf(0x20, '00 7f', none(version)), ProtocolError)
  refuse(
    version,
    from,
    'a second CONNACK',
    connackBytes(version),
    ProtocolError,
    version === 5 ? 'MQTT-3.2.0-2' : undefined,
    { after: 'connect' },
  )
  refuse(version, 'client', 'CONNACK', connackBytes(version), ProtocolError)
}
for (const version of [3, 4] as const) {
  for (let code = 1; code <= 5; code++)
    accept(
      version,
      'server',
      `CONNACK, return code ${code}`,
      packetOf(0x20, '00', Uint8Array.of(code)),
      new Connack(false, code),
    )
  refuse(version, 'server', 'CONNACK, return code 6', hex('20 02 00 06'), ProtocolError)
}
for (const version of FROM_3_1_1) {
  for (const flags of ['02', '04', '40', '80', 'ff'])
    refuse(
      version,
      'server',
      `CONNACK, Connect Acknowledge Flags ${flags}`,
      packetOf(0x20, flags, '00', none(version)),
      MalformedPacket,
      version === 5 ? 'MQTT-3.2.2-1' : undefined,
    )
  refuse(
    version,
    'server',
    'CONNACK that refuses with Session Present',
    packetOf(0x20, '01', version === 5 ? '87' : '05', none(version)),
    ProtocolError,
    version === 5 ? 'MQTT-3.2.2-6' : 'MQTT-3.2.2-4',
  )
}
accept(3, 'server', 'CONNACK, unused byte set', hex('20 02 01 00'), new Connack(false, 0), {
  encodesAs: connackBytes(3),
})
accept(
  5,
  'server',
  'CONNACK of a server of 3.1.1 that does not know 5.0',
  hex('20 02 00 01'),
  new Connack(false, UnsupportedProtocolVersion),
  { statement: 'MQTT-3.1.2-2', encodesAs: hex('20 03 00 84 00') },
)
refuse(5, 'server', 'CONNACK without Property Length', hex('20 02 00 00'), MalformedPacket)
accept(
  5,
  'server',
  'CONNACK, all properties',
  packetOf(
    0x20,
    '00 00',
    propertiesOf(
      '11 ffffffff 12',
      field('id'),
      '13 000a 15',
      field('SCRAM'),
      '16',
      field('d'),
      '1a',
      field('r/'),
      '1c',
      field('other:1883'),
      '1f',
      field('why'),
      '21 0001 22 0000 24 01 25 00 27 00000001 28 00 29 00 2a 01',
    ),
  ),
  new Connack(false, 0, {
    sessionExpiryIntervalSeconds: 0xffff_ffff,
    assignedClientIdentifier: 'id',
    serverKeepAliveSeconds: 10,
    authenticationMethod: 'SCRAM',
    authenticationData: ascii('d'),
    responseInformation: 'r/',
    serverReference: 'other:1883',
    reasonString: 'why',
    receiveMaximum: 1,
    topicAliasMaximum: 0,
    maximumQoS: 1,
    retainAvailable: false,
    maximumPacketSize: 1,
    wildcardSubscriptionAvailable: false,
    subscriptionIdentifierAvailable: false,
    sharedSubscriptionAvailable: true,
  }),
)

// --- PUBLISH ----------------------------------------------------------------------------------------------------------------

const payload = ascii('payload')

for (const version of ALL) {
  for (const from of ['client', 'server'] as const) {
    for (const qos of [0, 1, 2] as const) {
      for (const flags of qos === 0 ? [0, 1] : [0, 1, 8, 9]) {
        const packetId = qos === 0 ? 0 : 0x1234
        accept(
          version,
          from,
          `PUBLISH at QoS ${qos}, flags ${flags}`,
          packetOf(0x30 | (qos << 1) | flags, field('a/b'), qos === 0 ? '' : '1234', none(version), payload),
          Publish.of({
            topic: 'a/b',
            payload,
            qos,
            packetId,
            retain: (flags & 1) === 1,
            dup: (flags & 8) === 8,
          }),
        )
      }
    }
  }
  const from = 'client'
  accept(
    version,
    from,
    'PUBLISH without payload',
    packetOf(0x30, field('t'), none(version)),
    Publish.of({ topic: 't' }),
  )
  accept(
    version,
    from,
    'PUBLISH, Topic Name of four-byte UTF-8',
    packetOf(0x30, field(hex('41f0aa9b94')), none(version)),
    Publish.of({ topic: 'A\u{2a6d4}' }),
    { statement: version === 5 ? 'MQTT-1.5.4-1' : 'MQTT-1.5.3-1' },
  )
  accept(
    version,
    from,
    'PUBLISH, Topic Name of nothing but a slash',
    packetOf(0x30, field('/'), none(version)),
    Publish.of({ topic: '/' }),
  )
  for (const size of [119, 120, 121, 127, 128, 129, 300])
    accept(
      version,
      from,
      `PUBLISH with a payload of ${size} bytes`,
      packetOf(0x32, field('t'), '0001', none(version), new Uint8Array(size).fill(0x78)),
      Publish.of({ topic: 't', qos: 1, packetId: 1, payload: new Uint8Array(size).fill(0x78) }),
    )
  accept(
    version,
    from,
    'PUBLISH with a Topic Name of 300 bytes',
    packetOf(0x30, field('x/'.repeat(150)), none(version)),
    Publish.of({ topic: 'x/'.repeat(150) }),
  )

  for (const flags of [6, 7, 0xe, 0xf])
    refuse(
      version,
      from,
      `PUBLISH at QoS 3, flags ${flags}`,
      packetOf(0x30 | flags, field('topic'), '0001', none(version), payload),
      MalformedPacket,
      'MQTT-3.3.1-4',
    )
  // 3.1 does not forbid it.
  for (const flags of version === 3 ? [] : [8, 9])
    refuse(
      version,
      from,
      `PUBLISH at QoS 0 with DUP, flags ${flags}`,
      packetOf(0x30 | flags, field('topic'), none(version), payload),
      MalformedPacket,
      'MQTT-3.3.1-2',
    )
  for (const qos of [1, 2])
    refuse(
      version,
      from,
      `PUBLISH at QoS ${qos}, Packet Identifier 0`,
      packetOf(0x30 | (qos << 1), field('topic'), '0000', none(version), payload),
      ProtocolError,
      version === 5 ? 'MQTT-2.2.1-3' : 'MQTT-2.3.1-1',
    )
  refuse(version, from, 'PUBLISH of no bytes', hex('30 00'), MalformedPacket)
  refuse(version, from, 'PUBLISH of one byte', hex('30 01 00'), MalformedPacket)
  refuse(version, from, 'PUBLISH, Topic Name cut short', hex('30 03 0005 74'), MalformedPacket, 'MQTT-3.3.2-1')
  refuse(
    version,
    from,
    'PUBLISH, Topic Name of 65,535 bytes in a short packet',
    hex('30 04 ffff 7474'),
    MalformedPacket,
  )
  refuse(version, from, 'PUBLISH at QoS 1 without Packet Identifier', packetOf(0x32, field('t')), MalformedPacket)
  refuse(version, from, 'PUBLISH at QoS 1, half a Packet Identifier', packetOf(0x32, field('t'), '00'), MalformedPacket)
  refuse(
    version,
    from,
    'PUBLISH, empty Topic Name',
    packetOf(0x30, '0000', none(version), payload),
    ProtocolError,
    'MQTT-4.7.3-1',
  )
  for (const topic of ['#', '+', 'a/#', 'a/+/b', 'a+', 'a#b', '+/a'])
    refuse(
      version,
      from,
      `PUBLISH, Topic Name ${topic}`,
      packetOf(0x30, field(topic), none(version), payload),
      TopicNameInvalid,
      'MQTT-3.3.2-2',
    )
  refuse(
    version,
    from,
    'PUBLISH before CONNECT',
    packetOf(0x30, field('t'), none(version)),
    ProtocolError,
    'MQTT-3.1.0-1',
    {
      after: 'nothing',
    },
  )
  refuse(
    version,
    'server',
    'PUBLISH before CONNACK',
    packetOf(0x30, field('t'), none(version)),
    ProtocolError,
    'MQTT-3.2.0-1',
    {
      after: 'nothing',
    },
  )
}
refuse(5, 'client', 'PUBLISH without Property Length', packetOf(0x30, field('t')), MalformedPacket, 'MQTT-2.2.2-1')
refuse(
  5,
  'client',
  'PUBLISH, Property Length greater than the packet',
  packetOf(0x30, field('t'), '05 01 01'),
  MalformedPacket,
)
refuse(
  5,
  'client',
  'PUBLISH, Property Length with a byte too many',
  packetOf(0x30, field('t'), '80 00'),
  MalformedPacket,
  'MQTT-1.5.5-1',
)
refuse(
  5,
  'client',
  'PUBLISH, Property Length of five bytes',
  packetOf(0x30, field('t'), '80 80 80 80 01'),
  MalformedPacket,
)
accept(
  5,
  'client',
  'PUBLISH, Topic Alias in place of the Topic Name',
  packetOf(0x30, '0000', propertiesOf('23 0001'), payload),
  Publish.of({ topic: '', payload, properties: { topicAlias: 1 } }),
)
refuse(
  5,
  'client',
  'PUBLISH, empty Topic Name and other properties than Topic Alias',
  packetOf(0x30, '0000', propertiesOf('01 01'), payload),
  ProtocolError,
)
accept(
  5,
  'server',
  'PUBLISH, several Subscription Identifiers',
  packetOf(0x30, field('t'), propertiesOf('0b 01 0b 8001 0b ffffff7f')),
  Publish.of({ topic: 't', properties: { subscriptionIdentifiers: [1, 128, 268_435_455] } }),
)
refuse(
  5,
  'client',
  'PUBLISH, Subscription Identifier',
  packetOf(0x30, field('t'), propertiesOf('0b 01')),
  ProtocolError,
  'MQTT-3.3.4-6',
)
for (const topic of ['', 'a/+', '#'])
  refuse(
    5,
    'client',
    `PUBLISH, Response Topic '${topic}'`,
    packetOf(0x30, field('t'), propertiesOf('08', field(topic))),
    ProtocolError,
    topic === '' ? undefined : 'MQTT-3.3.2-14',
  )
{
  // 140 bytes of properties: a Property Length of two bytes.
  const long = 'x'.repeat(137)
  accept(
    5,
    'client',
    'PUBLISH, Property Length of two bytes',
    packetOf(0x30, field('t'), propertiesOf('03', field(long)), payload),
    Publish.of({ topic: 't', payload, properties: { contentType: long } }),
  )
}

// --- PUBACK, PUBREC, PUBREL, PUBCOMP --------------------------------------------------------------------------------------------

type AckClass = new (packetId: number, reasonCode?: ReasonCode, properties?: Properties) => Packet
const acks: readonly [name: string, first: number, make: AckClass, codes: readonly number[], statement: string][] = [
  ['PUBACK', 0x40, Puback, [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99], 'MQTT-3.4.2-1'],
  ['PUBREC', 0x50, Pubrec, [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99], 'MQTT-3.5.2-1'],
  ['PUBREL', 0x62, Pubrel, [0x00, 0x92], 'MQTT-3.6.2-1'],
  ['PUBCOMP', 0x70, Pubcomp, [0x00, 0x92], 'MQTT-3.7.2-1'],
]

for (const [name, first, Ack, codes, statement] of acks) {
  for (const version of ALL) {
    for (const from of ['client', 'server'] as const) {
      accept(version, from, name, packetOf(first, '1234'), new Ack(0x1234))
      accept(version, from, `${name}, Packet Identifier 65,535`, packetOf(first, 'ffff'), new Ack(0xffff))
      refuse(version, from, `${name}, Packet Identifier 0`, packetOf(first, '0000'), ProtocolError)
      refuse(version, from, `${name} of no bytes`, packetOf(first), MalformedPacket)
      refuse(version, from, `${name} of one byte`, packetOf(first, '01'), MalformedPacket)
    }
    refuse(version, 'client', `${name} before CONNECT`, packetOf(first, '0001'), ProtocolError, 'MQTT-3.1.0-1', {
      after: 'nothing',
    })
    if (version !== 5)
      refuse(version, 'client', `${name}, a byte too many`, packetOf(first, '0001 00'), MalformedPacket)
  }
  refuse(5, 'client', `${name}, Packet Identifier 0 with Reason Code`, packetOf(first, '0000 00'), ProtocolError)
  for (let code = 0; code < 256; code++) {
    const byte = Uint8Array.of(code)
    // Success without properties has two bytes (code 0 is below), the others three.
    if (codes.includes(code)) {
      if (code !== 0)
        accept(5, 'client', `${name}, Reason Code ${code}`, packetOf(first, '0001', byte), new Ack(1, code))
    } else if (code < 3 || code > 0xa1 || code % 16 === 0 || codes.includes(code - 1) || code === 0x92)
      refuse(5, 'client', `${name}, Reason Code ${code}`, packetOf(first, '0001', byte), ProtocolError, statement)
  }
  const short = packetOf(first, '0001')
  accept(5, 'client', `${name}, Reason Code 0 written out`, packetOf(first, '0001 00'), new Ack(1), {
    encodesAs: short,
  })
  accept(5, 'client', `${name}, Property Length 0 written out`, packetOf(first, '0001 00 00'), new Ack(1), {
    encodesAs: short,
  })
  accept(
    5,
    'client',
    `${name}, Reason String and User Properties`,
    packetOf(
      first,
      '0001',
      codes.includes(0x92) ? '92' : '87',
      propertiesOf('1f', field('why'), '26', field('a'), field('b')),
    ),
    new Ack(1, codes.includes(0x92) ? 0x92 : 0x87, { reasonString: 'why', userProperties: [['a', 'b']] }),
  )
  refuse(5, 'client', `${name}, bytes after the properties`, packetOf(first, '0001 00 00 00'), MalformedPacket)
  refuse(5, 'client', `${name}, properties cut short`, packetOf(first, '0001 00 01'), MalformedPacket)
}

// --- SUBSCRIBE and UNSUBSCRIBE -----------------------------------------------------------------------------------------------------

function subscription(topicFilter: string, more: Partial<Subscription> = {}): Subscription {
  return { topicFilter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0, ...more }
}

for (const version of ALL) {
  const from = 'client'
  for (const qos of [0, 1, 2] as const)
    accept(
      version,
      from,
      `SUBSCRIBE at QoS ${qos}`,
      packetOf(0x82, '1234', none(version), field('a/+/#'), Uint8Array.of(qos)),
      new Subscribe(0x1234, [subscription('a/+/#', { qos })]),
      { statement: 'MQTT-3.8.3-1' },
    )
  accept(
    version,
    from,
    'SUBSCRIBE with three Topic Filters',
    packetOf(0x82, '0001', none(version), field('a'), '00', field('b'), '01', field('$share/g/c'), '02'),
    new Subscribe(1, [subscription('a'), subscription('b', { qos: 1 }), subscription('$share/g/c', { qos: 2 })]),
  )
  accept(
    version,
    from,
    'SUBSCRIBE, a Topic Filter that the session is to judge',
    packetOf(0x82, '0001', none(version), field('a#'), '00'),
    new Subscribe(1, [subscription('a#')]),
  )
  refuse(
    version,
    from,
    'SUBSCRIBE without Topic Filter',
    packetOf(0x82, '0001', none(version)),
    ProtocolError,
    version === 5 ? 'MQTT-3.8.3-2' : 'MQTT-3.8.3-3',
  )
  refuse(
    version,
    from,
    'SUBSCRIBE, Packet Identifier 0',
    packetOf(0x82, '0000', none(version), field('a'), '00'),
    ProtocolError,
    version === 5 ? 'MQTT-2.2.1-3' : 'MQTT-2.3.1-1',
  )
  refuse(version, from, 'SUBSCRIBE of no bytes', hex('82 00'), MalformedPacket)
  refuse(version, from, 'SUBSCRIBE of one byte', hex('82 01 12'), MalformedPacket)
  refuse(
    version,
    from,
    'SUBSCRIBE, Topic Filter cut short',
    packetOf(0x82, '0001', none(version), '0002 61'),
    MalformedPacket,
  )
  refuse(
    version,
    from,
    'SUBSCRIBE, Topic Filter without options',
    packetOf(0x82, '0001', none(version), field('a')),
    MalformedPacket,
  )
  refuse(
    version,
    from,
    'SUBSCRIBE, a byte too many',
    packetOf(0x82, '0001', none(version), field('a'), '00 00'),
    MalformedPacket,
  )
  refuse(
    version,
    from,
    'SUBSCRIBE, empty Topic Filter',
    packetOf(0x82, '0001', none(version), '0000 00'),
    MalformedPacket,
    'MQTT-4.7.3-1',
  )
  refuse(
    version,
    from,
    'SUBSCRIBE, second Topic Filter empty',
    packetOf(0x82, '0001', none(version), field('a'), '00 0000 00'),
    MalformedPacket,
    'MQTT-4.7.3-1',
  )
  refuse(
    version,
    from,
    'SUBSCRIBE before CONNECT',
    packetOf(0x82, '0001', none(version), field('a'), '00'),
    ProtocolError,
    'MQTT-3.1.0-1',
    {
      after: 'nothing',
    },
  )
  refuse(version, 'server', 'SUBSCRIBE', packetOf(0x82, '0001', none(version), field('a'), '00'), ProtocolError)

  accept(
    version,
    from,
    'UNSUBSCRIBE',
    packetOf(0xa2, '1234', none(version), field('a/+')),
    new Unsubscribe(0x1234, ['a/+']),
    {
      statement: 'MQTT-3.10.3-1',
    },
  )
  accept(
    version,
    from,
    'UNSUBSCRIBE with two Topic Filters',
    packetOf(0xa2, '0001', none(version), field('a'), field('b')),
    new Unsubscribe(1, ['a', 'b']),
  )
  refuse(
    version,
    from,
    'UNSUBSCRIBE without Topic Filter',
    packetOf(0xa2, '0001', none(version)),
    ProtocolError,
    'MQTT-3.10.3-2',
  )
  refuse(
    version,
    from,
    'UNSUBSCRIBE, Packet Identifier 0',
    packetOf(0xa2, '0000', none(version), field('a')),
    ProtocolError,
  )
  refuse(version, from, 'UNSUBSCRIBE of no bytes', hex('a2 00'), MalformedPacket)
  refuse(
    version,
    from,
    'UNSUBSCRIBE, half a Topic Filter',
    packetOf(0xa2, '0001', none(version), '00'),
    MalformedPacket,
  )
  refuse(
    version,
    from,
    'UNSUBSCRIBE, Topic Filter cut short',
    packetOf(0xa2, '0001', none(version), '0002 61'),
    MalformedPacket,
  )
  refuse(
    version,
    from,
    'UNSUBSCRIBE, empty Topic Filter',
    packetOf(0xa2, '0001', none(version), '0000'),
    MalformedPacket,
    'MQTT-4.7.3-1',
  )
  refuse(
    version,
    from,
    'UNSUBSCRIBE, second Topic Filter empty',
    packetOf(0xa2, '0001', none(version), field('a'), '0000'),
    MalformedPacket,
    'MQTT-4.7.3-1',
  )
  refuse(version, 'server', 'UNSUBSCRIBE', packetOf(0xa2, '0001', none(version), field('a')), ProtocolError)
}
for (const options of ['03', '04', '08', '20', '40', '80', 'ff'])
  refuse(
    4,
    'client',
    `SUBSCRIBE, Requested QoS byte ${options}`,
    packetOf(0x82, '0001', field('a'), options),
    MalformedPacket,
    'MQTT-3.8.3-4',
  )
refuse(3, 'client', 'SUBSCRIBE, Requested QoS 3', packetOf(0x82, '0001', field('a'), '03'), MalformedPacket)
accept(
  3,
  'client',
  'SUBSCRIBE, unused bits of the Requested QoS set',
  packetOf(0x82, '0001', field('a'), 'fd'),
  new Subscribe(1, [subscription('a', { qos: 1 })]),
  { encodesAs: packetOf(0x82, '0001', field('a'), '01') },
)
for (const noLocal of [false, true])
  for (const retainAsPublished of [false, true])
    for (const retainHandling of [0, 1, 2] as const)
      accept(
        5,
        'client',
        `SUBSCRIBE, No Local ${noLocal}, Retain As Published ${retainAsPublished}, Retain Handling ${retainHandling}`,
        packetOf(
          0x82,
          '0001 00',
          field('a'),
          Uint8Array.of(1 | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4)),
        ),
        new Subscribe(1, [subscription('a', { qos: 1, noLocal, retainAsPublished, retainHandling })]),
      )
for (const options of ['40', '80', 'c0', 'f0', 'ff'])
  refuse(
    5,
    'client',
    `SUBSCRIBE, reserved Subscription Options ${options}`,
    packetOf(0x82, '0001 00', field('a'), options),
    MalformedPacket,
    'MQTT-3.8.3-5',
  )
refuse(5, 'client', 'SUBSCRIBE, Maximum QoS 3', packetOf(0x82, '0001 00', field('a'), '03'), ProtocolError)
refuse(5, 'client', 'SUBSCRIBE, Retain Handling 3', packetOf(0x82, '0001 00', field('a'), '30'), ProtocolError)
refuse(
  5,
  'client',
  'SUBSCRIBE, No Local on a Shared Subscription',
  packetOf(0x82, '0001 00', field('$share/g/a'), '04'),
  ProtocolError,
  'MQTT-3.8.3-4',
)
refuse(
  5,
  'client',
  'SUBSCRIBE, two Subscription Identifiers',
  packetOf(0x82, '0001', propertiesOf('0b 01 0b 02'), field('a'), '00'),
  ProtocolError,
)
for (const [id, value] of [
  ['01', 1],
  ['7f', 127],
  ['8001', 128],
  ['ff7f', 16_383],
  ['808001', 16_384],
  ['ffff7f', 2_097_151],
  ['80808001', 2_097_152],
  ['ffffff7f', 268_435_455],
] as const)
  accept(
    5,
    'client',
    `SUBSCRIBE, Subscription Identifier ${value}`,
    packetOf(0x82, '0001', propertiesOf('0b', id), field('a'), '00'),
    new Subscribe(1, [subscription('a')], { subscriptionIdentifiers: [value] }),
  )
for (const [what, id, reasonCode] of [
  ['0', '00', ProtocolError],
  ['in a byte too many', '8100', MalformedPacket],
  ['0 in two bytes', '8000', MalformedPacket],
  ['of five bytes', '8080808001', MalformedPacket],
] as const)
  refuse(
    5,
    'client',
    `SUBSCRIBE, Subscription Identifier ${what}`,
    packetOf(0x82, '0001', propertiesOf('0b', id), field('a'), '00'),
    reasonCode,
    what === '0' ? undefined : 'MQTT-1.5.5-1',
  )

// --- SUBACK and UNSUBACK --------------------------------------------------------------------------------------------------------------

for (const version of ALL) {
  const from = 'server'
  for (const code of [0x00, 0x01, 0x02, 0x80])
    accept(
      version,
      from,
      `SUBACK, ${code}`,
      packetOf(0x90, '1234', none(version), Uint8Array.of(code)),
      new Suback(0x1234, [code]),
    )
  accept(
    version,
    from,
    'SUBACK, several',
    packetOf(0x90, '0001', none(version), '00 01 80'),
    new Suback(1, [0, 1, 0x80]),
  )
  for (const code of ['03', '7f', 'ff'])
    refuse(version, from, `SUBACK, ${code}`, packetOf(0x90, '0001', none(version), code), ProtocolError, 'MQTT-3.9.3-2')
  refuse(version, from, 'SUBACK without Reason Code', packetOf(0x90, '0001', none(version)), ProtocolError)
  refuse(version, from, 'SUBACK, Packet Identifier 0', packetOf(0x90, '0000', none(version), '00'), ProtocolError)
  refuse(version, from, 'SUBACK of one byte', hex('90 01 01'), MalformedPacket)
  refuse(version, 'client', 'SUBACK', packetOf(0x90, '0001', none(version), '00'), ProtocolError)
  const unsubacked = version === 5 ? '00 00' : ''
  accept(version, from, 'UNSUBACK', packetOf(0xb0, '1234', unsubacked), new Unsuback(0x1234, version === 5 ? [0] : []))
  refuse(version, from, 'UNSUBACK, Packet Identifier 0', packetOf(0xb0, '0000', unsubacked), ProtocolError)
  refuse(version, from, 'UNSUBACK of one byte', hex('b0 01 01'), MalformedPacket)
  refuse(version, 'client', 'UNSUBACK', packetOf(0xb0, '0001', unsubacked), ProtocolError)
  if (version !== 5) refuse(version, from, 'UNSUBACK, a byte too many', hex('b0 03 0001 00'), MalformedPacket)
}
for (const code of [0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2])
  accept(5, 'server', `SUBACK, ${code}`, packetOf(0x90, '0001 00', Uint8Array.of(code)), new Suback(1, [code]))
for (const code of [0x11, 0x80, 0x83, 0x87, 0x8f, 0x91])
  accept(5, 'server', `UNSUBACK, ${code}`, packetOf(0xb0, '0001 00', Uint8Array.of(code)), new Unsuback(1, [code]))
for (const code of ['01', '10', '97', 'ff'])
  refuse(5, 'server', `UNSUBACK, ${code}`, packetOf(0xb0, '0001 00', code), ProtocolError, 'MQTT-3.11.3-2')
refuse(5, 'server', 'UNSUBACK without Reason Code', packetOf(0xb0, '0001 00'), ProtocolError)
refuse(5, 'server', 'UNSUBACK without Property Length', packetOf(0xb0, '0001'), MalformedPacket)

// --- PINGREQ, PINGRESP, DISCONNECT, AUTH ---------------------------------------------------------------------------------------------------

for (const version of ALL) {
  accept(version, 'client', 'PINGREQ', hex('c0 00'), new Pingreq())
  accept(version, 'server', 'PINGRESP', hex('d0 00'), new Pingresp())
  refuse(version, 'client', 'PINGREQ, a byte too many', hex('c0 01 00'), MalformedPacket)
  refuse(version, 'server', 'PINGRESP, a byte too many', hex('d0 01 00'), MalformedPacket)
  refuse(version, 'client', 'PINGRESP', hex('d0 00'), ProtocolError)
  refuse(version, 'server', 'PINGREQ', hex('c0 00'), ProtocolError)
  refuse(version, 'client', 'PINGREQ before CONNECT', hex('c0 00'), ProtocolError, 'MQTT-3.1.0-1', { after: 'nothing' })
  accept(version, 'client', 'DISCONNECT', hex('e0 00'), new Disconnect(), { statement: 'MQTT-3.14.4-1' })
  refuse(version, 'client', 'DISCONNECT before CONNECT', hex('e0 00'), ProtocolError, 'MQTT-3.1.0-1', {
    after: 'nothing',
  })
  if (version !== 5) {
    refuse(version, 'client', 'DISCONNECT, a byte too many', hex('e0 01 00'), MalformedPacket)
    refuse(version, 'server', 'DISCONNECT', hex('e0 00'), ProtocolError)
    refuse(version, 'client', 'AUTH', hex('f0 00'), ProtocolError)
    refuse(version, 'server', 'AUTH', hex('f0 00'), ProtocolError)
  }
  for (const from of ['client', 'server'] as const) {
    refuse(version, from, 'packet type 0', hex('00 00'), ProtocolError)
    refuse(version, from, 'packet type 0 as first packet', hex('00 00'), ProtocolError, undefined, { after: 'nothing' })
    refuse(version, from, 'packet type 0 with a Remaining Length that is not all there', hex('0a c0'), ProtocolError)
  }
}

const disconnectCodes = {
  client: [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
  server: [
    0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ],
}
for (const from of ['client', 'server'] as const) {
  for (let code = 1; code < 256; code++) {
    const bytes = packetOf(0xe0, Uint8Array.of(code))
    if (disconnectCodes[from].includes(code))
      accept(5, from, `DISCONNECT, Reason Code ${code}`, bytes, new Disconnect(code), { statement: 'MQTT-3.14.2-1' })
    else if (disconnectCodes.client.includes(code) || disconnectCodes.server.includes(code) || code % 31 === 1)
      refuse(5, from, `DISCONNECT, Reason Code ${code}`, bytes, ProtocolError, 'MQTT-3.14.2-1')
  }
  accept(5, from, 'DISCONNECT, Reason Code 0 written out', hex('e0 01 00'), new Disconnect(), {
    encodesAs: hex('e0 00'),
  })
  accept(5, from, 'DISCONNECT, Property Length 0 written out', hex('e0 02 00 00'), new Disconnect(), {
    encodesAs: hex('e0 00'),
  })
  refuse(5, from, 'DISCONNECT, bytes after the properties', hex('e0 03 00 00 00'), MalformedPacket)
  refuse(5, from, 'DISCONNECT, properties cut short', hex('e0 04 00 02 11 00'), MalformedPacket)
  refuse(5, from, 'DISCONNECT, Property Length greater than the packet', hex('e0 02 00 01'), MalformedPacket)
}
accept(5, 'server', 'DISCONNECT', hex('e0 00'), new Disconnect())
refuse(5, 'server', 'DISCONNECT before CONNACK', hex('e0 00'), ProtocolError, 'MQTT-3.14.0-1', { after: 'nothing' })
refuse(
  5,
  'server',
  'DISCONNECT, Session Expiry Interval',
  hex('e0 07 00 05 11 00000001'),
  ProtocolError,
  'MQTT-3.14.2-2',
)
refuse(5, 'client', 'DISCONNECT, Server Reference', packetOf(0xe0, '00', propertiesOf('1c', field('p'))), ProtocolError)

const method = propertiesOf('15', field('SCRAM'))
const methodProperties: Properties = { authenticationMethod: 'SCRAM' }
for (const [from, code] of [
  ['client', 0x18],
  ['client', 0x19],
  ['server', 0x18],
] as const)
  accept(
    5,
    from,
    `AUTH, Reason Code ${code}`,
    packetOf(0xf0, Uint8Array.of(code), method),
    new Auth(code, methodProperties),
    {
      statement: 'MQTT-3.15.2-1',
    },
  )
accept(5, 'server', 'AUTH, Success', packetOf(0xf0, '00', method), new Auth(0, methodProperties))
accept(5, 'server', 'AUTH of no bytes: Success', hex('f0 00'), new Auth())
accept(5, 'server', 'AUTH before CONNACK', packetOf(0xf0, '18', method), new Auth(0x18, methodProperties), {
  after: 'nothing',
  statement: 'MQTT-3.2.0-1',
})
refuse(5, 'client', 'AUTH before CONNECT', packetOf(0xf0, '18', method), ProtocolError, 'MQTT-3.1.0-1', {
  after: 'nothing',
})
refuse(5, 'client', 'AUTH, Success', packetOf(0xf0, '00', method), ProtocolError, 'MQTT-3.15.2-1')
refuse(5, 'client', 'AUTH of no bytes: Success', hex('f0 00'), ProtocolError, 'MQTT-3.15.2-1')
refuse(5, 'server', 'AUTH, Re-authenticate', packetOf(0xf0, '19', method), ProtocolError, 'MQTT-3.15.2-1')
for (const from of ['client', 'server'] as const) {
  refuse(5, from, 'AUTH, Reason Code 255', packetOf(0xf0, 'ff', method), ProtocolError, 'MQTT-3.15.2-1')
  refuse(5, from, 'AUTH without properties', hex('f0 01 18'), MalformedPacket)
  refuse(5, from, 'AUTH without Authentication Method', hex('f0 02 18 00'), ProtocolError)
  refuse(5, from, 'AUTH, a byte too many', packetOf(0xf0, '18', method, '00'), MalformedPacket)
}

// --- flags of the fixed header -----------------------------------------------------------------------------------------------------------------

const bodies: readonly [
  name: string,
  first: number,
  from: 'client' | 'server',
  body: (version: ProtocolVersion) => Part[],
][] = [
  ['CONNACK', 0x20, 'server', (version) => ['00 00', none(version)]],
  ['PUBACK', 0x40, 'client', () => ['0001']],
  ['PUBREC', 0x50, 'client', () => ['0001']],
  ['PUBREL', 0x62, 'client', () => ['0001']],
  ['PUBCOMP', 0x70, 'client', () => ['0001']],
  ['SUBSCRIBE', 0x82, 'client', (version) => ['0001', none(version), field('a'), '00']],
  ['SUBACK', 0x90, 'server', (version) => ['0001', none(version), '00']],
  ['UNSUBSCRIBE', 0xa2, 'client', (version) => ['0001', none(version), field('a')]],
  ['UNSUBACK', 0xb0, 'server', (version) => ['0001', version === 5 ? '00 00' : '']],
  ['PINGREQ', 0xc0, 'client', () => []],
  ['PINGRESP', 0xd0, 'server', () => []],
  ['DISCONNECT', 0xe0, 'client', () => []],
]
for (const version of FROM_3_1_1) {
  const all = [...bodies]
  if (version === 5) all.push(['AUTH', 0xf0, 'client', () => ['18', method]])
  for (const [name, first, from, body] of all) {
    for (let flags = 0; flags < 16; flags++) {
      if (flags === (first & 0x0f)) continue
      const statements: Record<string, string> = {
        PUBREL: 'MQTT-3.6.1-1',
        SUBSCRIBE: 'MQTT-3.8.1-1',
        UNSUBSCRIBE: 'MQTT-3.10.1-1',
        DISCONNECT: 'MQTT-3.14.1-1',
      }
      if (version === 5) statements.AUTH = 'MQTT-3.15.1-1'
      refuse(
        version,
        from,
        `${name}, header flags ${flags}`,
        packetOf((first & 0xf0) | flags, ...body(version)),
        MalformedPacket,
        statements[name] ?? (version === 5 ? 'MQTT-2.1.3-1' : 'MQTT-2.2.2-1'),
      )
    }
  }
}
// In 3.1 a packet that is sent again has DUP set.
accept(3, 'client', 'PUBREL, DUP', hex('6a 02 0001'), new Pubrel(1), { encodesAs: hex('62 02 0001') })
accept(
  3,
  'client',
  'PUBLISH at QoS 0, DUP',
  packetOf(0x38, field('t'), '78'),
  Publish.of({ topic: 't', payload: hex('78') }),
  {
    encodesAs: packetOf(0x30, field('t'), '78'),
  },
)
accept(3, 'client', 'SUBSCRIBE, DUP', packetOf(0x8a, '0001', field('a'), '00'), new Subscribe(1, [subscription('a')]), {
  encodesAs: packetOf(0x82, '0001', field('a'), '00'),
})
accept(3, 'client', 'UNSUBSCRIBE, DUP', packetOf(0xaa, '0001', field('a')), new Unsubscribe(1, ['a']), {
  encodesAs: packetOf(0xa2, '0001', field('a')),
})

// --- Remaining Length, Maximum Packet Size ---------------------------------------------------------------------------------------------------------

for (const version of ALL) {
  for (const first of [0x30, 0xc0, 0x40, 0x82])
    refuse(
      version,
      'client',
      `Remaining Length of five bytes in packet type ${first >> 4}`,
      join([Uint8Array.of(first), '80 80 80 80 01']),
      MalformedPacket,
    )
  refuse(version, 'client', 'CONNECT, Remaining Length of five bytes', hex('10 ff ff ff ff 7f'), MalformedPacket)
  refuse(
    version,
    'client',
    'a packet over Maximum Packet Size, only its header sent',
    hex('30 ff ff ff 7f'),
    PacketTooLarge,
    version === 5 ? 'MQTT-3.2.2-15' : undefined,
    { maximumPacketSize: 100 },
  )
  refuse(
    version,
    'client',
    'a packet of one byte over Maximum Packet Size',
    packetOf(0x30, field('t'), none(version), new Uint8Array(version === 5 ? 93 : 94)),
    PacketTooLarge,
    version === 5 ? 'MQTT-3.2.2-15' : undefined,
    { maximumPacketSize: 98 },
  )
  accept(
    version,
    'client',
    'a packet of exactly Maximum Packet Size',
    packetOf(0x30, field('t'), none(version), new Uint8Array(version === 5 ? 92 : 93)),
    Publish.of({ topic: 't', payload: new Uint8Array(version === 5 ? 92 : 93) }),
    { maximumPacketSize: 98 },
  )
  const padded = hex('c0 80 00')
  const name = 'PINGREQ, Remaining Length with a byte too many'
  if (version === 5) refuse(version, 'client', name, padded, MalformedPacket, 'MQTT-1.5.5-1')
  else accept(version, 'client', name, padded, new Pingreq(), { encodesAs: hex('c0 00') })
  const paddedPublish = join(['30 84 80 00', field('t'), none(version), '78'.repeat(version === 5 ? 0 : 1)])
  if (version === 5)
    refuse(
      version,
      'client',
      'PUBLISH, Remaining Length with a byte too many',
      paddedPublish,
      MalformedPacket,
      'MQTT-1.5.5-1',
    )
  else
    accept(
      version,
      'client',
      'PUBLISH, Remaining Length with a byte too many',
      paddedPublish,
      Publish.of({ topic: 't', payload: ascii('x') }),
      { encodesAs: packetOf(0x30, field('t'), '78') },
    )
}

// --- UTF-8 -----------------------------------------------------------------------------------------------------------------------------------------

const illFormed: readonly [what: string, bytes: string, statement: [before5: string, v5: string]][] = [
  ['U+0000', '61 00 62', ['MQTT-1.5.3-2', 'MQTT-1.5.4-2']],
  ['U+0000 in two bytes', '61 c080', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['surrogate U+D800', '61 eda080', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['surrogate U+DFFF', '61 edbfbf', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['a pair of surrogates', 'eda080 edb080', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['overlong in two bytes', 'c1bf', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['overlong in three bytes', 'e09fbf', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['overlong in four bytes', 'f08fbfbf', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['above U+10FFFF', 'f4908080', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['byte F5', 'f5808080', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['byte FF', 'ff', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['a continuation byte alone', '80', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['two bytes cut short', '61 c3', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['three bytes cut short', '61 e282', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['four bytes cut short', '61 f09f98', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['two bytes that do not go on', 'c361', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
  ['three bytes that do not go on', 'e28261', ['MQTT-1.5.3-1', 'MQTT-1.5.4-1']],
]
for (const version of FROM_3_1_1) {
  for (const [what, digits, statements] of illFormed) {
    const bad = field(hex(digits))
    const statement = statements[version - 4]!
    const p = field('p')
    const v = none(version)
    const is5 = version === 5
    const places: [where: string, bytes: Uint8Array, also: string][] = [
      ['Topic Name', packetOf(0x30, bad, v), 'MQTT-3.3.2-1'],
      ['Topic Filter of SUBSCRIBE', packetOf(0x82, '0001', v, bad, '00'), 'MQTT-3.8.3-1'],
      ['Topic Filter of UNSUBSCRIBE', packetOf(0xa2, '0001', v, bad), 'MQTT-3.10.3-1'],
      ['Client Identifier', connectWith(version, '02', bad), 'MQTT-3.1.3-4'],
      ['Will Topic', connectWith(version, '06', p, v, bad, p), is5 ? 'MQTT-3.1.3-11' : 'MQTT-3.1.3-10'],
      ['User Name', connectWith(version, '82', p, bad), is5 ? 'MQTT-3.1.3-12' : 'MQTT-3.1.3-11'],
    ]
    if (is5) {
      places.push(['User Property name', packetOf(0x30, p, propertiesOf('26', bad, p)), 'MQTT-1.5.7-1'])
      places.push(['User Property value', packetOf(0x30, p, propertiesOf('26', p, bad)), 'MQTT-1.5.7-1'])
      places.push(['Content Type', packetOf(0x30, p, propertiesOf('03', bad)), 'MQTT-3.3.2-19'])
      places.push(['Response Topic', packetOf(0x30, p, propertiesOf('08', bad)), 'MQTT-3.3.2-13'])
      places.push(['Reason String', packetOf(0x40, '0001 00', propertiesOf('1f', bad)), ''])
    }
    for (const [where, bytes, also] of places)
      refuse(version, 'client', `${where} with ${what}`, bytes, MalformedPacket, `${statement} ${also}`.trim())
  }
}
// Noncharacters and control characters are allowed (a receiver MAY refuse them: section 1.5.4, not normative).
for (const [what, digits, text] of [
  ['U+0001', '61 01', 'a\u0001'],
  ['U+007F', '61 7f', 'a\u007f'],
  ['U+009F', '61 c29f', 'a\u009f'],
  ['U+FFFF', '61 efbfbf', 'a\uffff'],
  ['U+FEFF first', 'efbbbf 61', '\ufeffa'],
  ['U+10FFFF', 'f48fbfbf', '\u{10ffff}'],
  ['U+D7FF and U+E000', 'ed9fbf ee8080', '\ud7ff\ue000'],
] as const)
  for (const version of ALL)
    accept(
      version,
      'client',
      `Topic Name with ${what}`,
      packetOf(0x30, field(hex(digits)), none(version)),
      Publish.of({ topic: text }),
    )

// --- properties, each in each packet -------------------------------------------------------------------------------------------------------------------

/** A value within its range for every property: the bytes after the identifier, and the decoded value. */
const samples: Record<keyof Properties, [bytes: Part, value: unknown]> = {
  payloadFormatIndicator: ['01', 1],
  messageExpiryIntervalSeconds: ['fffffffe', 0xffff_fffe],
  contentType: [field('text/plain'), 'text/plain'],
  responseTopic: [field('r/1'), 'r/1'],
  correlationData: [field(hex('00ff')), hex('00ff')],
  subscriptionIdentifiers: ['8001', [128]],
  sessionExpiryIntervalSeconds: ['80000000', 0x8000_0000],
  assignedClientIdentifier: [field('id'), 'id'],
  serverKeepAliveSeconds: ['ffff', 0xffff],
  authenticationMethod: [field('SCRAM'), 'SCRAM'],
  authenticationData: [field(hex('00')), hex('00')],
  requestProblemInformation: ['01', true],
  willDelayIntervalSeconds: ['00000000', 0],
  requestResponseInformation: ['00', false],
  responseInformation: [field(''), ''],
  serverReference: [field('h'), 'h'],
  reasonString: [field('ä'), 'ä'],
  receiveMaximum: ['0001', 1],
  topicAliasMaximum: ['0100', 256],
  topicAlias: ['ffff', 0xffff],
  maximumQoS: ['00', 0],
  retainAvailable: ['01', true],
  userProperties: [join([field(''), field('')]), [['', '']]],
  maximumPacketSize: ['ffffffff', 0xffff_ffff],
  wildcardSubscriptionAvailable: ['01', true],
  subscriptionIdentifierAvailable: ['01', true],
  sharedSubscriptionAvailable: ['00', false],
}

interface Place {
  name: string
  from: 'client' | 'server'
  bytes: (propertyField: Uint8Array) => Uint8Array
  packet: (properties: Properties) => Packet
}

/** Places by the numbers of `PropertyDefinition.packets`: 0 is the Will. */
const places: Readonly<Record<number, Place>> = {
  0: {
    name: 'Will',
    from: 'client',
    bytes: (properties) => packetOf(0x10, protocol[5], '06 003c 00', field('p'), properties, field('w'), field('m')),
    packet: (properties) => connect(5, { will: { ...will, properties } }),
  },
  1: {
    name: 'CONNECT',
    from: 'client',
    bytes: (properties) => packetOf(0x10, protocol[5], '02 003c', properties, field('p')),
    packet: (properties) => connect(5, { properties }),
  },
  2: {
    name: 'CONNACK',
    from: 'server',
    bytes: (properties) => packetOf(0x20, '00 00', properties),
    packet: (properties) => new Connack(false, 0, properties),
  },
  3: {
    name: 'PUBLISH',
    from: 'client',
    bytes: (properties) => packetOf(0x30, field('t'), properties, payload),
    packet: (properties) => Publish.of({ topic: 't', payload, properties }),
  },
  4: {
    name: 'PUBACK',
    from: 'client',
    bytes: (properties) => packetOf(0x40, '0001 00', properties),
    packet: (properties) => new Puback(1, 0, properties),
  },
  5: {
    name: 'PUBREC',
    from: 'client',
    bytes: (properties) => packetOf(0x50, '0001 00', properties),
    packet: (properties) => new Pubrec(1, 0, properties),
  },
  6: {
    name: 'PUBREL',
    from: 'client',
    bytes: (properties) => packetOf(0x62, '0001 00', properties),
    packet: (properties) => new Pubrel(1, 0, properties),
  },
  7: {
    name: 'PUBCOMP',
    from: 'client',
    bytes: (properties) => packetOf(0x70, '0001 00', properties),
    packet: (properties) => new Pubcomp(1, 0, properties),
  },
  8: {
    name: 'SUBSCRIBE',
    from: 'client',
    bytes: (properties) => packetOf(0x82, '0001', properties, field('a'), '00'),
    packet: (properties) => new Subscribe(1, [subscription('a')], properties),
  },
  9: {
    name: 'SUBACK',
    from: 'server',
    bytes: (properties) => packetOf(0x90, '0001', properties, '00'),
    packet: (properties) => new Suback(1, [0], properties),
  },
  10: {
    name: 'UNSUBSCRIBE',
    from: 'client',
    bytes: (properties) => packetOf(0xa2, '0001', properties, field('a')),
    packet: (properties) => new Unsubscribe(1, ['a'], properties),
  },
  11: {
    name: 'UNSUBACK',
    from: 'server',
    bytes: (properties) => packetOf(0xb0, '0001', properties, '00'),
    packet: (properties) => new Unsuback(1, [0], properties),
  },
  14: {
    name: 'DISCONNECT',
    from: 'client',
    bytes: (properties) => packetOf(0xe0, '00', properties),
    packet: (properties) => new Disconnect(0, properties),
  },
  15: {
    name: 'AUTH',
    from: 'client',
    bytes: (properties) => packetOf(0xf0, '18', properties),
    packet: (properties) => new Auth(0x18, properties),
  },
}

/** Table 2-4, written a second time and by hand: property identifier, then the packets where it may stand. */
const mayStand: Readonly<Record<number, readonly number[]>> = {
  1: [0, 3],
  2: [0, 3],
  3: [0, 3],
  8: [0, 3],
  9: [0, 3],
  11: [3, 8],
  17: [1, 2, 14],
  18: [2],
  19: [2],
  21: [1, 2, 15],
  22: [1, 2, 15],
  23: [1],
  24: [0],
  25: [1],
  26: [2],
  28: [2, 14],
  31: [2, 4, 5, 6, 7, 9, 11, 14, 15],
  33: [1, 2],
  34: [1, 2],
  35: [3],
  36: [2],
  37: [2],
  38: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15],
  39: [1, 2],
  40: [2],
  41: [2],
  42: [2],
}

function propertyCases(definition: PropertyDefinition): void {
  const { id, name } = definition
  const [sampleBytes, value] = samples[name]
  const one = join([Uint8Array.of(id), sampleBytes])
  for (const [number, place] of Object.entries(places)) {
    // These two packets restrict who may send them as well.
    const from =
      (name === 'serverReference' && place.name === 'DISCONNECT') ||
      (name === 'subscriptionIdentifiers' && place.name === 'PUBLISH')
        ? 'server'
        : place.from
    // Authentication Data needs a method beside it, and an AUTH has one anyway.
    const needsMethod =
      (place.name === 'AUTH' && name !== 'authenticationMethod') ||
      (place.name === 'CONNECT' && name === 'authenticationData')
    const before = needsMethod ? join(['15', field('m')]) : new Uint8Array(0)
    const allowed = mayStand[id]!.includes(Number(number))
    const title = `${place.name} with ${name}`
    if (!allowed) {
      // "contains an Identifier which is not valid for its packet type … is a Malformed Packet" (2.2.2.2)
      refuse(5, from, title, place.bytes(propertiesOf(before, one)), MalformedPacket)
      continue
    }
    const properties: Properties = { ...(needsMethod ? { authenticationMethod: 'm' } : {}), [name]: value }
    accept(5, from, title, place.bytes(propertiesOf(before, one)), place.packet(properties))
    refuse(5, from, `${title} cut short`, place.bytes(propertiesOf(before, one.subarray(0, -1))), MalformedPacket)
    refuse(5, from, `${title} without value`, place.bytes(propertiesOf(before, Uint8Array.of(id))), MalformedPacket)
    const twice = place.bytes(propertiesOf(before, one, one))
    if (name === 'userProperties' || (name === 'subscriptionIdentifiers' && place.name === 'PUBLISH'))
      accept(
        5,
        from,
        `${title} twice`,
        twice,
        place.packet({ ...properties, [name]: [...(value as []), ...(value as [])] }),
      )
    else refuse(5, from, `${title} twice`, twice, ProtocolError)
  }
}
for (const definition of propertyDefinitions) propertyCases(definition)

/** Values out of their range, in the first packet where the property may stand. */
for (const [name, bytes, reasonCode, statement] of [
  ['payloadFormatIndicator', '02', ProtocolError],
  ['payloadFormatIndicator', 'ff', ProtocolError],
  ['requestProblemInformation', '02', ProtocolError],
  ['requestResponseInformation', '02', ProtocolError],
  ['receiveMaximum', '0000', ProtocolError],
  ['maximumPacketSize', '00000000', ProtocolError],
  ['topicAlias', '0000', TopicAliasInvalid, 'MQTT-3.3.2-8'],
  ['maximumQoS', '02', ProtocolError],
  ['retainAvailable', '02', ProtocolError],
  ['wildcardSubscriptionAvailable', '02', ProtocolError],
  ['subscriptionIdentifierAvailable', 'ff', ProtocolError],
  ['sharedSubscriptionAvailable', '02', ProtocolError],
] as readonly [keyof Properties, string, ReasonCode, string?][]) {
  const definition = propertyDefinitions.find((row) => row.name === name)!
  for (const number of mayStand[definition.id]!) {
    const place = places[number]!
    refuse(
      5,
      place.from,
      `${place.name} with ${name} ${bytes}`,
      place.bytes(propertiesOf(Uint8Array.of(definition.id), bytes)),
      reasonCode,
      statement,
    )
  }
}

/** Identifiers that are no property, in one and in more bytes. */
for (const id of [
  '00',
  '04',
  '05',
  '06',
  '07',
  '0a',
  '0c',
  '0d',
  '0e',
  '0f',
  '10',
  '14',
  '1b',
  '1d',
  '1e',
  '20',
  '2b',
  '7f',
  '8001',
  'ff7f',
  'ffffff7f',
])
  for (const number of [0, 1, 3, 4, 8, 14]) {
    const place = places[number]!
    refuse(5, place.from, `${place.name} with property 0x${id}`, place.bytes(propertiesOf(id, '01')), MalformedPacket)
  }
// The identifier of Payload Format Indicator in two bytes.
refuse(
  5,
  'client',
  'PUBLISH, Property Identifier with a byte too many',
  places[3]!.bytes(propertiesOf('8100 01')),
  MalformedPacket,
  'MQTT-1.5.5-1',
)
refuse(
  5,
  'client',
  'PUBLISH, Property Identifier of five bytes',
  places[3]!.bytes(propertiesOf('8080808001 01')),
  MalformedPacket,
)

/** All wire cases. */
export const wireCases: readonly WireCase[] = cases

/**
 * Returns a packet as plain data, so that two packets compare equal when they mean the same, wherever their bytes lie.
 */
export function comparable(packet: Packet): Record<string, unknown> {
  const { type } = packet
  if (packet.type !== 3) {
    const data = JSON.parse(JSON.stringify(packet, bytesAsText)) as Record<string, unknown>
    return { ...data, type }
  }
  const { topic, qos, retain, dup, packetId, properties, payload: body } = packet
  return JSON.parse(JSON.stringify({ type, topic, qos, retain, dup, packetId, properties, payload: body }, bytesAsText))
}

function bytesAsText(this: Record<string, unknown>, key: string): unknown {
  const value = this[key] // not the second argument: a Buffer's toJSON has had it by then
  return value instanceof Uint8Array ? `bytes ${[...value].join(' ')}` : value
}
