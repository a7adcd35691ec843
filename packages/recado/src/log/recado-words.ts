/**
 * Our own vocabulary of the log: with Reason Codes, listeners and causes. Also the `message` of `log_style json`.
 *
 * `words.ts` chooses it. The invariant: a line says who, from where where that is known, what, and why.
 */
import type { BrokerEvents, ClientInfo } from '@recado/broker'
import { ReasonCode } from '@recado/protocol'
import { shortName } from './shortened.ts'
import type { Line, OpenedListener, Words } from './words.ts'

export const hex = (reasonCode: number): string => `0x${reasonCode.toString(16).toUpperCase().padStart(2, '0')}`
const from = (remoteAddress: string): string => remoteAddress || 'a unix socket'
const notice = (text: string): Line[] => [{ type: 'notice', text }]

export class RecadoWords implements Words {
  starting(broker: string): string {
    return `${broker} starting`
  }

  running(broker: string): string {
    return `${broker} running`
  }

  terminating(broker: string, signal: string): string {
    return `${broker} terminating (${signal})`
  }

  listenerOpened({ address }: OpenedListener): string[] {
    return [`Listening on ${address}.`]
  }

  localOnly(): string[] {
    return ['Starting in local only mode: only clients on this machine can connect. Configure a listener for others.']
  }

  saving(): null {
    return null
  }

  reloading(): string {
    return 'SIGHUP: log file reopened.'
  }

  connectionOpened({ remoteAddress, listener }: BrokerEvents['connection.opened']): string {
    return `New connection from ${from(remoteAddress)} on ${listener}.`
  }

  refused({ clientId, remoteAddress, why, reasonCode }: BrokerEvents['connection.refused']): Line[] {
    return notice(
      `Client ${shortName(clientId) || '<unknown>'} from ${from(remoteAddress)} refused: ${why} (${hex(reasonCode)}).`,
    )
  }

  failed({ clientId, remoteAddress, why }: BrokerEvents['connection.failed']): Line[] {
    const text = `Connection from ${from(remoteAddress)} (${shortName(clientId) || '<unknown>'}) failed: ${why}.`
    // For a client that has sent CONNECT the end is logged as well.
    return [{ type: clientId === '' ? 'notice' : 'debug', text }]
  }

  connected({ client, cleanStart, keepAliveSeconds }: BrokerEvents['client.connected']): string {
    const user = client.username === undefined ? '' : `, u'${shortName(client.username)}'`
    const details = `p${client.protocolVersion}, c${cleanStart ? 1 : 0}, k${keepAliveSeconds}${user}`
    return `New client connected from ${from(client.remoteAddress)} as ${shortName(client.clientId)} (${details}).`
  }

  takenOver({ clientId }: BrokerEvents['session.taken-over']): Line[] {
    return notice(`Client ${shortName(clientId)} already connected, closing old connection.`)
  }

  disconnected({ client, byClient, reasonCode, why }: BrokerEvents['client.disconnected']): Line[] {
    const { clientId } = client
    if (byClient && reasonCode === ReasonCode.NormalDisconnection)
      return notice(`Client ${shortName(clientId)} disconnected.`)
    if (reasonCode === ReasonCode.KeepAliveTimeout) {
      return notice(`Client ${shortName(clientId)} has exceeded timeout, disconnecting.`)
    }
    return notice(`Client ${shortName(clientId)} disconnected: ${why} (${hex(reasonCode)}).`)
  }

  firstDrop(): null {
    return null
  }

  nameOf({ clientId, remoteAddress }: ClientInfo): string {
    return shortName(clientId) || from(remoteAddress)
  }
}
