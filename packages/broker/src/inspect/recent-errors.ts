/**
 * The last errors of connections: who was refused, whose connection failed, and whom the broker has disconnected for a fault.
 *
 * An observer among others (`Observers`), from the first connection on. None of its events is per message. The invariant: it never has more
 * than `RECENT_ERRORS_MAX`, and no text that is longer than `TEXT_MAX`.
 */
import type { ReasonCode } from '@recado/protocol'
import type { Observer } from '../ports.ts'

/** Errors that are remembered; an older one makes place for the next. */
export const RECENT_ERRORS_MAX = 1_000
/** Number of characters that are kept of a Client Identifier, which any client may choose, and of an error text. */
const TEXT_MAX = 200
/** Reason Codes from here on are failures. */
const FAILURE = 0x80

/** Something that went wrong with a connection. */
export interface ConnectionError {
  /** Milliseconds since the epoch. */
  readonly atMs: number
  /**
   * `refused`: it had no successful CONNACK. `failed`: the transport or a layer below MQTT has failed. `disconnected`: a connected client was sent
   * away, or has said itself that something is wrong.
   */
  readonly kind: 'refused' | 'failed' | 'disconnected'
  /** First 200 characters of the Client Identifier; '' when there was no CONNECT. */
  readonly clientId: string
  readonly remoteAddress: string
  readonly listener: string
  readonly reasonCode: ReasonCode
  readonly why: string
}

export class RecentErrors {
  readonly #errors: ConnectionError[] = []
  #next = 0
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  readonly observer: Observer = {
    'connection.refused': ({ remoteAddress, listener, clientId, reasonCode, why }) =>
      this.#add('refused', clientId, remoteAddress, listener, reasonCode, why),
    'connection.failed': ({ remoteAddress, listener, clientId, reasonCode, why }) =>
      this.#add('failed', clientId, remoteAddress, listener, reasonCode, why),
    'client.disconnected': ({ client, reasonCode, why }) => {
      if (reasonCode < FAILURE) return
      this.#add('disconnected', client.clientId, client.remoteAddress, client.listener, reasonCode, why)
    },
  }

  #add(
    kind: ConnectionError['kind'],
    clientId: string,
    remoteAddress: string,
    listener: string,
    reasonCode: ReasonCode,
    why: string,
  ): void {
    const atMs = this.#nowMs()
    const error = {
      atMs,
      kind,
      clientId: clientId.slice(0, TEXT_MAX),
      remoteAddress,
      listener,
      reasonCode,
      why: why.slice(0, TEXT_MAX),
    }
    if (this.#errors.length < RECENT_ERRORS_MAX) this.#errors.push(error)
    else this.#errors[this.#next] = error
    this.#next = (this.#next + 1) % RECENT_ERRORS_MAX
  }

  /** Latest first. */
  *values(): Generator<ConnectionError> {
    const errors = this.#errors
    for (let i = 1; i <= errors.length; i++) yield errors[(this.#next - i + errors.length) % errors.length]!
  }
}
