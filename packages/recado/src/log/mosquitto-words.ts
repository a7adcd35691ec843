/**
 * Mosquitto's vocabulary of the log, line for line, of version 2.0 or 2.1; where Mosquitto has no word for a cause, its form with ours.
 *
 * `words.ts` chooses it: it is the default, for what reads logs was written for these lines. The invariants: IP addresses stand where 2.1 has them; a line that
 * is not Mosquitto's stands beside those that are, never in their place.
 */
import type { BrokerEvents, ClientInfo, DropReason } from '@recado/broker'
import { ReasonCode } from '@recado/protocol'
import type { MosquittoVersion } from '../config/log.ts'
import type { LogType } from '../log.ts'
import { portOfListener, splitAddress } from './addresses.ts'
import { shortName } from './shortened.ts'
import type { Line, OpenedListener, Words } from './words.ts'

/** Reason for the end of a connection, as far as Mosquitto has words for it; `other` uses our words. */
type Cause =
  | 'not authorised'
  | 'closed'
  | 'taken over'
  | 'malformed packet'
  | 'protocol error'
  | 'oversize packet'
  | 'timeout'
  | 'not supported'
  | 'administrative'
  /** All are disconnected, and that is told once. */
  | 'shutdown'
  | 'other'

const causes: ReadonlyMap<number, Cause> = new Map<number, Cause>([
  [ReasonCode.UnspecifiedError, 'closed'],
  [ReasonCode.MalformedPacket, 'malformed packet'],
  [ReasonCode.ProtocolError, 'protocol error'],
  [ReasonCode.UnsupportedProtocolVersion, 'protocol error'],
  [ReasonCode.ClientIdentifierNotValid, 'protocol error'],
  [ReasonCode.BadUserNameOrPassword, 'not authorised'],
  [ReasonCode.NotAuthorized, 'not authorised'],
  [ReasonCode.Banned, 'not authorised'],
  [ReasonCode.BadAuthenticationMethod, 'not authorised'],
  [ReasonCode.KeepAliveTimeout, 'timeout'],
  [ReasonCode.SessionTakenOver, 'taken over'],
  [ReasonCode.TopicFilterInvalid, 'malformed packet'],
  [ReasonCode.TopicNameInvalid, 'malformed packet'],
  [ReasonCode.TopicAliasInvalid, 'protocol error'],
  [ReasonCode.ReceiveMaximumExceeded, 'protocol error'],
  [ReasonCode.PacketTooLarge, 'oversize packet'],
  [ReasonCode.AdministrativeAction, 'administrative'],
  [ReasonCode.ServerShuttingDown, 'shutdown'],
  [ReasonCode.RetainNotSupported, 'not supported'],
  [ReasonCode.QoSNotSupported, 'not supported'],
])

const NOT_SUPPORTED = 'using not allowed feature (QoS too high, retain not supported, or bad AUTH method)'

/** Messages that find no room: what Mosquitto tells of. */
const OF_ROOM: ReadonlySet<DropReason> = new Set([
  'queue-full',
  'queues-full',
  'slow-reader',
  'memory-full',
  'delayed-limit',
])

const line = (type: LogType, text: string): Line => ({ type, text })
/** Line of 2.1 for a PROXY header that is not taken; null for any other failure. */
function proxyFailure(why: string): string | null {
  if (!why.startsWith('PROXY header: ')) return null
  const [, client = '', what] = /: the client(?: (\S+))? came without (TLS|a certificate)$/.exec(why) ?? []
  if (what === undefined) return `Connection rejected, corrupt PROXY header. (${why})`
  const missing = what === 'TLS' ? 'connect using TLS' : 'provide a certificate'
  return `Connection${client === '' ? '' : ` from ${client}`} rejected, client did not ${missing}.`
}

const isDetailed = (cause: Cause): boolean => cause === 'protocol error' || cause === 'malformed packet'

export class MosquittoWords implements Words {
  readonly #isOld: boolean

  constructor(version: MosquittoVersion) {
    this.#isOld = version === '2.0'
  }

  starting(broker: string): string {
    return `${broker} starting`
  }

  running(broker: string): string {
    return `${broker} running`
  }

  terminating(broker: string): string {
    return `${broker} terminating`
  }

  listenerOpened({ port, host, path, isWebSocket, address }: OpenedListener): string[] {
    if (path !== null) return [`Opening unix listen socket on path ${path}.`]
    if (isWebSocket) return [`Opening websockets listen socket on port ${port}.`]
    // One socket takes both families where Mosquitto opens two.
    const isIpv6 = address.startsWith('[')
    const families = isIpv6 && host === null ? ['ipv4', 'ipv6'] : [isIpv6 ? 'ipv6' : 'ipv4']
    return families.map((family) => `Opening ${family} listen socket on port ${port}.`)
  }

  localOnly(): string[] {
    return [
      'Starting in local only mode. Connections will only be possible from clients running on this machine.',
      'Create a configuration file which defines a listener to allow remote access.',
    ]
  }

  saving(dataFile: string | null): string | null {
    return dataFile === null ? null : `Saving in-memory database to ${dataFile}.`
  }

  reloading(): string {
    return 'Reloading config.'
  }

  connectionOpened({ remoteAddress, listener }: BrokerEvents['connection.opened']): string {
    const { ip, port } = splitAddress(remoteAddress, listener)
    return `New connection from ${ip}:${port} on port ${portOfListener(listener)}.`
  }

  refused(event: BrokerEvents['connection.refused']): Line[] {
    const { clientId, reasonCode, why, remoteAddress, listener } = event
    const { ip } = splitAddress(remoteAddress, listener)
    if (reasonCode === ReasonCode.ServerBusy && clientId === '') {
      return [line('notice', `Client connection from ${ip} denied: ${why}.`)]
    }
    return this.#ended(event, causes.get(reasonCode) ?? 'other', why)
  }

  failed(event: BrokerEvents['connection.failed']): Line[] {
    const { clientId, why } = event
    // The end of a client that has said who it is, is told by itself.
    if (clientId !== '') return []
    const proxied = this.#isOld ? null : proxyFailure(why)
    if (proxied !== null) return [line('notice', proxied)]
    const isClosed = /^the connection was closed$|ECONNRESET|EPIPE|closed before/.test(why)
    return this.#ended(event, isClosed ? 'closed' : 'protocol error', why)
  }

  connected({ client, cleanStart, keepAliveSeconds }: BrokerEvents['client.connected']): string {
    const { username, clientId, protocolVersion, isBridge } = client
    const user = username === undefined ? '' : `, u'${shortName(username)}'`
    // 2.0 counts versions before 5 from 1.
    const version = this.#isOld && protocolVersion < 5 ? protocolVersion - 2 : protocolVersion
    const details = `p${version}, c${cleanStart ? 1 : 0}, k${keepAliveSeconds}${user}`
    return `New ${isBridge ? 'bridge' : 'client'} connected from ${addressOf(client)} as ${shortName(clientId)} (${details}).`
  }

  takenOver({ clientId }: BrokerEvents['session.taken-over']): Line[] {
    // 2.1 says so where the old connection ends.
    if (!this.#isOld) return []
    return [line('error', `Client ${shortName(clientId)} already connected, closing old connection.`)]
  }

  disconnected({ client, byClient, reasonCode, why }: BrokerEvents['client.disconnected']): Line[] {
    if (byClient) return [line('notice', `Client ${this.#who(client)} disconnected.`)]
    const cause = causes.get(reasonCode) ?? 'other'
    if (cause === 'shutdown' || (cause === 'taken over' && this.#isOld)) return []
    return this.#ended(client, cause, why)
  }

  firstDrop(clientId: string, reason: DropReason): Line | null {
    if (clientId === '' || !OF_ROOM.has(reason)) return null
    return line('notice', `Outgoing messages are being dropped for client ${shortName(clientId)}.`)
  }

  nameOf({ clientId, remoteAddress, listener }: ClientInfo, isRefused: boolean): string {
    // In 2.0 it has no name yet.
    if (clientId !== '' && !(isRefused && this.#isOld)) return shortName(clientId)
    return splitAddress(remoteAddress, listener).ip
  }

  /** `ID [IP:PORT]` in 2.1, `ID` in 2.0. */
  #who(client: Who): string {
    const { ip } = splitAddress(client.remoteAddress, client.listener)
    if (this.#isOld) return shortName(client.clientId) || '<unknown>'
    return `${shortName(client.clientId) || ip} [${addressOf(client)}]`
  }

  #ended(client: Who, cause: Cause, why: string): Line[] {
    const end = line('notice', this.#isOld ? this.#oldEnd(client, cause, why) : this.#newEnd(client, cause, why))
    if (!isDetailed(cause)) return [end]
    return [line('information', `Protocol error from ${addressOf(client)}: ${why}.`), end]
  }

  #newEnd(client: Who, cause: Cause, why: string): string {
    const reason = (
      {
        closed: 'connection closed by client',
        'taken over': 'session taken over',
        timeout: 'exceeded timeout',
        'not supported': NOT_SUPPORTED,
        administrative: 'administrative action',
        other: why,
      } as Partial<Record<Cause, string>>
    )[cause]
    return `Client ${this.#who(client)} disconnected: ${reason ?? cause}.`
  }

  #oldEnd(client: Who, cause: Cause, why: string): string {
    // Who is refused has no name yet in 2.0.
    const isNamed = cause !== 'not authorised'
    const name = isNamed ? this.#who(client) : '<unknown>'
    switch (cause) {
      case 'not authorised':
        return `Client ${name} disconnected, not authorised.`
      case 'closed':
        return `Client ${name} closed its connection.`
      case 'timeout':
        return `Client ${name} has exceeded timeout, disconnecting.`
      case 'not supported':
        return `Client ${name} disconnected due to ${NOT_SUPPORTED}.`
      case 'administrative':
        return `Client ${name} been disconnected by administrative action.`
      case 'other':
      case 'taken over':
        return `Client ${name} disconnected: ${why}.`
      default:
        return `Client ${name} disconnected due to ${cause}.`
    }
  }
}

type Who = Pick<ClientInfo, 'clientId' | 'remoteAddress' | 'listener'>

function addressOf({ remoteAddress, listener }: Who): string {
  const { ip, port } = splitAddress(remoteAddress, listener)
  return `${ip}:${port}`
}
