/**
 * The first byte of a packet: packet type and flags, judged by role, protocol version and whether the connection has
 * had its CONNECT (in a client: CONNACK).
 *
 * Called by `Decoder`: one look into a table of 256 entries accepts a packet on the hot path; the reason for a refusal
 * is worked out here. Invariant: a table has a 1 exactly where `whyRefused` returns null.
 *
 * Sources: MQTT 5.0 and 3.1.1 section 2.1 and 2.2; MQTT 3.1 section 2.1 (which leaves the flags of all but PUBLISH
 * unused).
 */
import { malformed, protocolError } from './cursor.ts'
import type { ProtocolError } from './errors.ts'
import { PacketType, type ProtocolVersion, packetTypeName } from './packets.ts'

const {
  CONNECT,
  CONNACK,
  PUBLISH,
  PUBACK,
  PUBREC,
  PUBREL,
  PUBCOMP,
  SUBSCRIBE,
  SUBACK,
  UNSUBSCRIBE,
  UNSUBACK,
  PINGREQ,
  PINGRESP,
  DISCONNECT,
  AUTH,
} = PacketType

function bits(...types: number[]): number {
  return types.reduce((all, type) => all | (1 << type), 0)
}

const either = bits(PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP)
const fromClient = either | bits(SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT)
const fromServer = either | bits(SUBACK, UNSUBACK, PINGRESP)

/** Packet types that may come next, as bits. */
function typesNext(role: 'server' | 'client', version: ProtocolVersion, connected: boolean): number {
  // [MQTT-3.1.0-1]: CONNECT first. [MQTT-3.2.0-1]: before CONNACK a server sends AUTH and nothing else.
  if (role === 'server') {
    if (!connected) return bits(CONNECT)
    return version === 5 ? fromClient | bits(AUTH) : fromClient
  }
  if (!connected) return version === 5 ? bits(CONNACK, AUTH) : bits(CONNACK)
  return version === 5 ? fromServer | bits(DISCONNECT, AUTH) : fromServer
}

/** Returns the reason why a packet that begins with this byte is refused; null if it is accepted. */
function whyRefused(
  first: number,
  role: 'server' | 'client',
  version: ProtocolVersion,
  connected: boolean,
): ProtocolError | null {
  const type = first >> 4
  const flags = first & 0x0f
  if (type === 0) return protocolError('Control Packet type 0 is reserved')
  if (type === AUTH && version !== 5) return protocolError('AUTH came on a connection of MQTT 3: it needs MQTT 5.0')
  const mayCome = (typesNext(role, version, connected) >> type) & 1
  // A packet that may not come now is out of order whatever its flags: the version that would judge them is not agreed
  // on yet.
  if (!mayCome && !connected)
    return protocolError(`${packetTypeName(type)} came before ${role === 'server' ? 'CONNECT' : 'CONNACK'}`)
  if (type === PUBLISH) {
    if ((flags & 0x06) === 0x06) return malformed('PUBLISH has QoS 3') // [MQTT-3.3.1-4]
    // 3.1 does not forbid it, and clients of its time set DUP on whatever they send again.
    if ((flags & 0x0e) === 0x08 && version !== 3) return malformed('PUBLISH has DUP set at QoS 0') // [MQTT-3.3.1-2]
  } else if (version !== 3 && type !== CONNECT) {
    // 3.1 has no reserved values here: its flags are "not used", and DUP may be set on what is sent again. Those of
    // CONNECT are judged with its body, when the version is known. [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1]
    // [MQTT-3.14.1-1] [MQTT-3.15.1-1]
    const wanted = type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE ? 0x02 : 0 // [MQTT-3.10.1-1]
    if (flags !== wanted)
      return malformed(`${packetTypeName(type)} has the flags ${flags} in its fixed header, not ${wanted}`)
  }
  if (mayCome) return null
  if (type === CONNECT && role === 'server') return protocolError('CONNECT came a second time') // [MQTT-3.1.0-2]
  return protocolError(`${packetTypeName(type)} must not be sent to a ${role}`)
}

/** Tables by protocol version (3 to 5), role and whether CONNECT or CONNACK has come. */
const tables: (Uint8Array | undefined)[] = []

/** Returns the table for this state: 1 for each first byte that is allowed. Shared, must not be written to. */
export function acceptedHeaders(role: 'server' | 'client', version: ProtocolVersion, connected: boolean): Uint8Array {
  const index = version * 4 + (role === 'server' ? 2 : 0) + (connected ? 1 : 0)
  let table = tables[index]
  if (table === undefined) {
    table = new Uint8Array(256)
    for (let first = 0; first < 256; first++)
      table[first] = whyRefused(first, role, version, connected) === null ? 1 : 0
    tables[index] = table
  }
  return table
}

/** Returns the error for a first byte whose entry is 0. */
export function refuseHeader(
  first: number,
  role: 'server' | 'client',
  version: ProtocolVersion,
  connected: boolean,
): ProtocolError {
  return (
    whyRefused(first, role, version, connected) ??
    protocolError(`the first byte 0x${first.toString(16)} begins no packet`)
  )
}
