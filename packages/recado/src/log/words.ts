/**
 * The words of the log for the life of a client and of the broker, in one of two vocabularies: Mosquitto's
 * (`mosquitto-words.ts`), which scripts and fail2ban look for, and ours (`recado-words.ts`), which is more detailed.
 *
 * `observe.ts` and `serve.ts` ask for lines and log them. Invariant: both describe each event with its client, and both
 * vocabularies have the same event names, so that `log_style json` is the same whichever is used beside it.
 */
import type { BrokerEvents, ClientInfo, DropReason } from '@recado/broker'
import type { LogConfig, MosquittoVersion } from '../config/log.ts'
import type { LogType } from '../log.ts'
import { MosquittoWords } from './mosquitto-words.ts'
import { RecadoWords } from './recado-words.ts'

export interface Line {
  readonly type: LogType
  readonly text: string
}

/** A listener that has been opened. */
export interface OpenedListener {
  readonly port: number
  /** null: all addresses. */
  readonly host: string | null
  /** Path of a unix socket. */
  readonly path: string | null
  readonly isWebSocket: boolean
  /** Address as it was opened: `[::]:1883`. */
  readonly address: string
}

export interface Words {
  /** `broker`: its name and version. */
  starting(broker: string): string
  running(broker: string): string
  terminating(broker: string, signal: string): string
  listenerOpened(listener: OpenedListener): string[]
  /** No listener is configured. */
  localOnly(): string[]
  /** Returns the line for a save: all data is in that file; null when nothing is kept, or nothing is logged. */
  saving(dataFile: string | null): string | null
  /** SIGHUP has come. */
  reloading(): string
  connectionOpened(event: BrokerEvents['connection.opened']): string
  /** No CONNACK with success: refused by us. */
  refused(event: BrokerEvents['connection.refused']): Line[]
  /** No CONNACK with success: the connection has ended, in a TLS handshake, say, or because the other side has closed it. */
  failed(event: BrokerEvents['connection.failed']): Line[]
  connected(event: BrokerEvents['client.connected']): string
  takenOver(event: BrokerEvents['session.taken-over']): Line[]
  disconnected(event: BrokerEvents['client.disconnected']): Line[]
  /** The first message of a while that is dropped; null: what is said of all. */
  firstDrop(clientId: string, reason: DropReason): Line | null
  /** Returns the name of the client that a packet is from or for. `isRefused`: its CONNECT is not accepted. */
  nameOf(client: ClientInfo, isRefused: boolean): string
}

export function wordsFor({ style, mosquittoVersion }: Pick<LogConfig, 'style' | 'mosquittoVersion'>): Words {
  return style === 'mosquitto' ? new MosquittoWords(mosquittoVersion) : new RecadoWords()
}

export const latestMosquitto: MosquittoVersion = '2.1'
