/**
 * A look at the first address of a bridge that is connected to another one: is a broker there that accepts?
 *
 * `Bridge` makes one now and then. A port that is open says little: a load balancer takes connections for servers that
 * are gone. So it goes as far as a connection does, with TLS and its certificates, CONNECT and CONNACK, but for the
 * Client Identifier: that of the bridge would end its connection where both addresses lead to one broker. The session is
 * a clean one without a Will, so nothing of it is left. Where a server knows its clients by name (`hasFixedClientIds`)
 * nothing is sent behind the TLS handshake. Invariant: `done` is called once, and not after `stop`.
 */
import {
  Connection,
  type ConnectionHandler,
  type DialOptions,
  type Environment,
  PACKET_SIZE_MAX,
  type ServerAddress,
  type Timer,
  type Transport,
} from '@recado/client/low-level'
import { Connect, Disconnect, type Packet, PacketType, ReasonCode, reasonCodeName } from '@recado/protocol'
import type { BridgeConfig } from '../config/bridges.ts'
import type { ConnectManner } from './bridge-link.ts'
import { findCloud } from './clouds/clouds.ts'
import { dialFailure } from './dial-hints.ts'

/** Milliseconds for all of it. */
const PROBE_TIMEOUT_MS = 10_000

/** Errors of a network or a machine that is not there. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
])

/** Return codes and Reason Codes of a broker that takes nobody at the moment. */
const BUSY: ReadonlySet<number> = new Set([
  3,
  ReasonCode.ServerUnavailable,
  ReasonCode.ServerBusy,
  ReasonCode.QuotaExceeded,
  ReasonCode.UseAnotherServer,
  ReasonCode.ServerMoved,
  ReasonCode.ConnectionRateExceeded,
])

/**
 * `accepts`: a connection of the bridge should be accepted. `perhaps`: a broker is there, and it cannot be known without
 * the bridge's own Client Identifier. `refuses`: something is there that is no broker, or takes nobody. `unreachable`:
 * nothing is there.
 */
export type ProbeVerdict = 'accepts' | 'perhaps' | 'refuses' | 'unreachable'

export interface ProbeParts {
  readonly environment: Environment
  readonly config: BridgeConfig
  readonly address: ServerAddress
  readonly dialOptions: DialOptions
  readonly manner: ConnectManner
  /** Called with the verdict, and the reason in words for one that is not `accepts`. */
  readonly done: (verdict: ProbeVerdict, why: string) => void
}

export class AddressProbe implements ConnectionHandler {
  readonly #parts: ProbeParts
  readonly #attempt: AbortController = new AbortController()
  readonly #timer: Timer
  #connection: Connection | null = null
  #isOver = false

  constructor(parts: ProbeParts) {
    this.#parts = parts
    const { environment, address, dialOptions } = parts
    this.#timer = environment.setTimer(() => {
      const isOpen = this.#connection !== null
      const why = `no answer within ${PROBE_TIMEOUT_MS / 1000} s`
      this.#tell(isOpen ? 'refuses' : 'unreachable', why)
    }, PROBE_TIMEOUT_MS)
    environment.dial(address, dialOptions, this.#attempt.signal).then(
      (transport) => {
        if (this.#isOver) transport.destroy()
        else this.#opened(transport)
      },
      (error: Error) => {
        const { code = '' }: NodeJS.ErrnoException = error.cause instanceof Error ? error.cause : error
        this.#tell(UNREACHABLE.has(code) ? 'unreachable' : 'refuses', dialFailure(error))
      },
    )
  }

  /** Ends it without a verdict. */
  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#parts.environment.clearTimer(this.#timer)
    this.#attempt.abort(new Error('not needed any more'))
    this.#connection?.destroy()
  }

  #tell(verdict: ProbeVerdict, why: string): void {
    if (this.#isOver) return
    this.stop()
    this.#parts.done(verdict, why)
  }

  #opened(transport: Transport): void {
    const { environment, config, manner } = this.#parts
    if (config.cloud !== null && findCloud(config.cloud)?.hasFixedClientIds) {
      transport.destroy()
      this.#tell('perhaps', 'that cloud knows its clients by name')
      return
    }
    const { protocolVersion } = manner
    const connection = new Connection(transport, environment, protocolVersion, PACKET_SIZE_MAX, null, this)
    this.#connection = connection
    connection.start()
    const { remoteClientId, remoteUsername, remotePassword, keepAliveSeconds } = config
    connection.send(
      new Connect({
        ...{ protocolVersion, keepAliveSeconds, cleanStart: true, isBridge: manner.isPrivate },
        // Rights that go by the beginning of the Client Identifier hold for this one too.
        clientId: `${remoteClientId}-probe`,
        username: remoteUsername ?? undefined,
        password: remotePassword === null ? undefined : new TextEncoder().encode(remotePassword),
      }),
    )
    connection.flush()
  }

  handlePacket(packet: Packet): void {
    const connection = this.#connection
    if (connection === null) return
    if (packet.type !== PacketType.CONNACK) {
      this.#tell('refuses', `packet type ${packet.type} before CONNACK`)
      return
    }
    const { reasonCode } = packet
    if (reasonCode !== 0) {
      const name = reasonCode < 0x80 ? `return code ${reasonCode}` : reasonCodeName(reasonCode as ReasonCode)
      this.#tell(BUSY.has(reasonCode) ? 'refuses' : 'perhaps', `it refuses: ${name}`)
      return
    }
    this.#connection = null
    connection.end(new Disconnect(ReasonCode.NormalDisconnection))
    this.#tell('accepts', '')
  }

  handleDrain(): void {}

  handleClosed(error: Error | null): void {
    this.#tell('refuses', error?.message ?? 'it closes the connection')
  }
}
