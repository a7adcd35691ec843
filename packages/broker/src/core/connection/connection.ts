/**
 * One Network Connection: from the first byte to the last.
 *
 * The transport hands in chunks, `#process` reads packets from them in place and gives each to its `handle…` function
 * according to the state; only Active connections can publish. Whatever the peer does wrong surfaces as a
 * `ProtocolError`, is caught here, once, and becomes a CONNACK or DISCONNECT with its Reason Code (4.13).
 *
 * When it is read, and when not (a decision is awaited, a rate is exceeded, others have their turn): `Reading`.
 *
 * Invariants: `transport.end()` or `destroy()` is called at most once; after `closeWith` or `onClose` the session no
 * longer knows this connection; the one `timer` means CONNECT timeout, keep alive or closing time, by state.
 */
import {
  type Auth,
  Decoder,
  type Disconnect,
  encodedSize,
  encodeTo,
  NO_PROPERTIES,
  type Packet,
  PacketType,
  type Properties,
  ProtocolError,
  type ProtocolVersion,
  packetTypeName,
  ReasonCode,
  reasonCodeName,
  scanPublishProperties,
  type TopicAliasReceiver,
  type TopicCache,
  UnsupportedProtocolVersionError,
  type Will,
} from '@recado/protocol'
import type { ClientInfo, Controller, Peer, Transport, TransportHandler } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import type { Limits } from '../base/limits.ts'
import { Timer } from '../base/timer-wheel.ts'
import type { Journal } from '../journal/journal.ts'
import type { DelayedMessages } from '../routing/delayed.ts'
import type { Intake } from '../routing/intake.ts'
import type { RetainedMessages } from '../routing/retained.ts'
import type { Outlet } from '../session/outlet.ts'
import type { Session } from '../session/session.ts'
import type { Opening, Sessions } from '../session/sessions.ts'
import type { WillRoom } from '../session/will-room.ts'
import { type AckedConnection, AcknowledgementLine } from './acknowledgement-line.ts'
import type { AliasHolder, AliasRoom } from './alias-room.ts'
import { type Authentication, handleAuth } from './handle-auth.ts'
import { handleConnect } from './handle-connect.ts'
import { handlePublish, handlePubrel } from './handle-publish.ts'
import { handleSubscribe, handleUnsubscribe } from './handle-subscribe.ts'
import { isStillValid } from './identity.ts'
import { KeepAlive } from './keep-alive.ts'
import { lastPacket, withProblemInformation } from './last-packet.ts'
import type { ConnectionSettings } from './listener-settings.ts'
import { codeFor, isUntold } from './mosquitto-manner.ts'
import { Outbox, type SlabPool } from './outbox.ts'
import { traceReceived, traceSent } from './packet-trace.ts'
import { PublishWriter, type ReadingClient } from './publish-writer.ts'
import { type GatedConnection, ReadGate } from './read-gate.ts'
import { reasonCodeFor } from './reason-code-for.ts'
import type { ListenerThrottles } from './throttle.ts'
import type { Traffic } from './traffic.ts'
import type { Holder, Unfinished } from './unfinished.ts'

/** Opening: its CONNACK waits for the disk. */
export const State = { AwaitingConnect: 0, Authenticating: 1, Opening: 2, Active: 3, Closing: 4 } as const

/**
 * Work units for the end of a connection after a client's error, as much as so many packets, and one more for so many
 * bytes.
 */
const FAILURE_WORK = 100
const FAILURE_BYTES = 256
/** Milliseconds that a peer has to read our last words before its connection is cut. */
const CLOSING_MS = 5_000

/** Parts of the broker that connections use, the same for all of them. */
export interface ConnectionParts extends ListenerThrottles {
  readonly context: Context
  /** Journal; null when nothing is kept beyond this process. */
  readonly journal: Journal | null
  readonly intake: Intake
  readonly retained: RetainedMessages
  readonly sessions: Sessions
  readonly delayed: DelayedMessages
  readonly willRoom: WillRoom
  readonly topicCache: TopicCache
  readonly slabs: SlabPool
  readonly unfinished: Unfinished
  readonly aliasRoom: AliasRoom
  /** Controllers by Topic Name: what is published to their topic below `$CONTROL/` is a command to them. */
  readonly controllers: ReadonlyMap<string, Controller>
  /** A connection has had its CONNACK. */
  activated(connection: Connection): void
  /** The transport of a connection has closed, which was in this state. */
  forget(connection: Connection, error: Error | null, state: number): void
}

export class Connection
  implements TransportHandler, ClientInfo, Outlet, GatedConnection, AckedConnection, ReadingClient, Holder, AliasHolder
{
  readonly parts: ConnectionParts
  readonly context: Context
  readonly transport: Transport
  /** The listener's, where it has its own. */
  readonly limits: Limits
  readonly settings: ConnectionSettings
  readonly #decoder: Decoder
  readonly #outbox: Outbox
  readonly traffic: Traffic
  /** Gate that says whether the connection is read at the moment. */
  readonly readGate: ReadGate
  readonly publishWriter: PublishWriter
  readonly timer: Timer
  state: number = State.AwaitingConnect
  protocolVersion: ProtocolVersion = 4
  /** Client Identifier: the one in CONNECT before authentication, the real one afterwards: see `identify`. */
  clientId = ''
  /** User who has logged in; undefined before authentication, and of anonymous clients. */
  username: string | undefined = undefined
  isBridge = false
  /** Whether it is a bridge of MQTT 5.0 whose messages have the path of their brokers: its CONNECT says so. */
  bringsPaths = false
  /** Value of `Context.rechecks` when its identity was last checked. */
  askedAtRecheck = 0
  grants: unknown = undefined
  memo: unknown = null
  /** The last topic that a stable authorizer has let it publish to. */
  allowedTopic: string | null = null
  /** Credential that the client has logged in with, for `Authenticator.isStillValid`. */
  credential: unknown = undefined
  /** End of the credential, and of the connection with it, milliseconds since the epoch. */
  expiresAtMs: number = Number.POSITIVE_INFINITY
  session: Session | null = null
  /** While its CONNACK waits for the disk. */
  opening: Opening | null = null
  #will: Will | null = null
  /** State of enhanced authentication; null: the client has not asked for it. */
  authentication: Authentication | null = null
  aliasesIn: TopicAliasReceiver | null = null
  /** Maximum Packet Size of the client: a larger packet is not sent. [MQTT-3.1.2-24] */
  maximumPacketSize: number = Number.POSITIVE_INFINITY
  /** False: it is told no Reason String. */
  requestProblemInformation: boolean
  /** Acknowledgements that are owed, in their order; only the head may be sent. */
  readonly acknowledgements: AcknowledgementLine
  readonly #keepAlive: KeepAlive
  #isProcessing = false
  /** Bytes that `ConnectionParts.unfinished` has been told. */
  unfinishedBytes = 0
  /** Bytes that `ConnectionParts.aliasRoom` has been told. */
  aliasBytes = 0
  /** True: the connection is to be closed as soon as what waits has been sent. */
  #isEndDue = false

  constructor(parts: ConnectionParts, transport: Transport, settings: ConnectionSettings, ageMs: number) {
    const { context } = parts
    this.parts = parts
    this.context = context
    this.transport = transport
    this.settings = settings
    this.limits = settings.limits
    this.requestProblemInformation = context.options.answers === 'recado'
    this.#decoder = new Decoder({
      role: 'server',
      maximumPacketSize: Math.min(this.limits.packetBytesMax, this.limits.connectBytesMax),
      propertySize: this.limits.propertyBytesMax,
      topicFiltersMax: this.limits.packetFiltersMax,
      topicCache: parts.topicCache,
      scanProperties: scanPublishProperties,
      buffers: context.buffers,
      refuseDisallowedCodePoints: !context.options.allowControlCharacters,
    })
    this.#outbox = new Outbox(transport, parts.slabs, context.buffers, context.metrics, () => context.turn.add(this))
    this.traffic = this.#outbox
    this.publishWriter = new PublishWriter(this, context, settings, this.#outbox)
    this.#keepAlive = new KeepAlive(context.turn.nowMs)
    this.timer = new Timer((nowMs) => {
      try {
        this.#onTimer(nowMs)
      } catch (error) {
        this.fault('timer', error)
      }
    })
    context.wheel.set(this.timer, context.turn.nowMs + Math.max(0, this.limits.connectTimeoutMs - ageMs))
    this.readGate = new ReadGate(this, this.#outbox, context, parts)
    this.acknowledgements = new AcknowledgementLine(this, parts.journal)
  }

  get remoteAddress(): string {
    return this.transport.remoteAddress
  }

  get listener(): string {
    return this.transport.listener
  }

  get peer(): Peer | null {
    return this.transport.peer
  }

  /** Bytes that wait here: to be sent, and of packets that are not all here. */
  get waitingBytes(): number {
    return this.#outbox.waitingBytes + this.#decoder.bufferedBytes
  }

  /** Nothing waits to be sent. */
  get hasSaidAll(): boolean {
    return this.#outbox.waitingBytes === 0 && this.transport.bufferedBytes === 0
  }

  get isActive(): boolean {
    return this.state === State.Active
  }

  /** Will that is published if the connection is lost; null: none. */
  get will(): Will | null {
    return this.#will
  }

  set will(will: Will | null) {
    const { willRoom } = this.parts
    if (this.#will !== null) willRoom.letGo(this.#will)
    if (will !== null) willRoom.hold(will)
    this.#will = will
  }

  // --- from the transport -------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.state === State.Closing) return // [MQTT-3.1.4-6]
    const { turn, metrics } = this.context
    const isTurn = turn.beginChunk()
    try {
      metrics.bytesReceived += chunk.length
      this.#decoder.push(chunk)
      this.readGate.noteBytes(chunk.length)
      if (this.readGate.isStopped) this.#keep()
      else this.#process()
    } finally {
      if (isTurn) turn.end()
    }
  }

  /** Memory that the rest of a large packet may be read into. */
  get nextRead(): Uint8Array | null {
    return this.#decoder.nextRead
  }

  onDrain(): void {
    this.context.turn.begin()
    this.#outbox.handleDrain()
    if (this.state === State.Closing) {
      if (this.#isEndDue) this.#endTransport()
      return
    }
    if (this.session !== null && this.makeRoom()) this.session.advance()
    this.readGate.drained()
  }

  onClose(error: Error | null): void {
    this.context.turn.begin()
    const { state } = this
    this.#leave(this.will, ReasonCode.UnspecifiedError, error === null ? 'the connection was closed' : error.message)
    this.context.wheel.clear(this.timer)
    this.readGate.close()
    this.#outbox.discard()
    this.parts.forget(this, error, state)
  }

  // --- packets in ---------------------------------------------------------------------------------------------------

  #process(): void {
    // A decision that is made at once comes back here from within; the loop below goes on by itself.
    if (this.#isProcessing) return
    this.#isProcessing = true
    const { context, readGate } = this
    const { metrics } = context
    const before = metrics.packetsReceived
    const { bufferedBytes } = this.#decoder
    if (!readGate.begin(before, bufferedBytes)) {
      this.#isProcessing = false
      this.#keep()
      return
    }
    let type = 0
    try {
      for (;;) {
        type = 0
        const packet = this.#decoder.read()
        if (packet === null) break
        type = packet.type
        metrics.packetsReceived++
        if (context.isTracing) traceReceived(this, packet)
        this.#handle(packet)
        if (!readGate.goesOn(packet, metrics.packetsReceived)) break
      }
      readGate.checkRate()
    } catch (error) {
      // A large packet has been read as far as its mistake.
      readGate.tookWork(FAILURE_WORK + Math.floor(bufferedBytes / FAILURE_BYTES))
      this.#fail(error, type === 0 ? this.#decoder.failedType : type)
    }
    this.#isProcessing = false
    if (metrics.packetsReceived !== before) this.#keepAlive.lastReceivedMs = context.turn.nowMs
    readGate.end(metrics.packetsReceived)
    this.#keep()
  }

  /** Goes on with a packet that has been interrupted, or that a decision was awaited for: with the same care as `#process`. */
  workOn(action: () => void): void {
    const { metrics } = this.context
    const isOuter = !this.#isProcessing
    const hasBegun = isOuter && this.readGate.begin(metrics.packetsReceived, 0)
    this.#isProcessing = true
    try {
      action()
    } catch (error) {
      this.#fail(error, PacketType.PUBLISH)
    }
    if (hasBegun) this.readGate.end(metrics.packetsReceived)
    if (isOuter) this.#isProcessing = false
  }

  /** Makes what is left of a chunk our own while the connection is not read, and counts it where it may grow: part of a packet, or of a stranger. */
  #keep(): void {
    const decoder = this.#decoder
    const { isStopped } = this.readGate
    if (isStopped) decoder.keep()
    if (this.state === State.Closing) return
    const held = isStopped && this.state < State.Active ? decoder.bufferedBytes : decoder.unfinishedBytes
    if (held !== this.unfinishedBytes) this.parts.unfinished.note(this, held)
  }

  /** Ends the connection: of all it has had an unfinished packet for longest, and others need the room. */
  giveUpUnfinished(): void {
    this.context.metrics.unfinishedGivenUp++
    this.closeWith(ReasonCode.QuotaExceeded, 'memory is short, and the packet that this client began is not complete')
    this.transport.destroy()
  }

  /** Handles a packet, whatever waits for the client's acknowledgements: [MQTT-4.9.0-3]. */
  #handle(packet: Packet): void {
    if (this.state !== State.Active) {
      this.#handleEarly(packet)
      return
    }
    switch (packet.type) {
      case PacketType.PUBLISH:
        handlePublish(this, packet)
        return
      case PacketType.PUBACK:
        this.session!.handlePuback(packet.packetId)
        return
      case PacketType.PUBREC:
        if (this.session!.handlePubrec(packet.packetId, packet.reasonCode)) this.sendPubrel(packet.packetId)
        return
      case PacketType.PUBREL:
        handlePubrel(this, packet)
        return
      case PacketType.PUBCOMP:
        this.session!.handlePubcomp(packet.packetId)
        return
      case PacketType.SUBSCRIBE:
        handleSubscribe(this, packet)
        return
      case PacketType.UNSUBSCRIBE:
        handleUnsubscribe(this, packet)
        return
      case PacketType.PINGREQ:
        this.#outbox.pingresp() // [MQTT-3.12.4-1]
        if (this.context.isTracing) traceSent(this, { type: PacketType.PINGRESP })
        return
      case PacketType.DISCONNECT:
        this.#handleDisconnect(packet)
        return
      case PacketType.AUTH:
        handleAuth(this, packet)
        return
      default:
        throw new ProtocolError(ReasonCode.ProtocolError, `${packetTypeName(packet.type)} must not be sent to a server`)
    }
  }

  /** Before CONNACK a client may send CONNECT, AUTH and DISCONNECT only. [MQTT-3.1.2-30] */
  #handleEarly(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNECT:
        this.protocolVersion = packet.protocolVersion
        this.state = State.Authenticating
        this.context.metrics.connectsReceived++
        handleConnect(this, packet)
        return
      case PacketType.AUTH:
        handleAuth(this, packet as Auth)
        return
      case PacketType.DISCONNECT:
        this.#leave(null, packet.reasonCode, 'the client disconnected before CONNACK')
        this.#endTransport()
        return
      default:
        throw new ProtocolError(ReasonCode.ProtocolError, `${packetTypeName(packet.type)} came before CONNACK`)
    }
  }

  #handleDisconnect(packet: Disconnect): void {
    const session = this.session!
    const expirySeconds = packet.properties.sessionExpiryIntervalSeconds
    if (expirySeconds !== undefined) {
      if (session.expirySeconds === 0 && expirySeconds !== 0) {
        throw new ProtocolError(
          ReasonCode.ProtocolError,
          'DISCONNECT sets a Session Expiry Interval that was 0 in CONNECT',
        ) // 3.14.2.2.2
      }
      session.expirySeconds = Math.min(expirySeconds, this.limits.sessionExpirySecondsMax)
    }
    // [MQTT-3.14.4-3] 0x00 takes the Will away; any other Reason Code publishes it.
    const will = packet.reasonCode === ReasonCode.NormalDisconnection ? null : this.will
    this.#leave(will, packet.reasonCode, reasonCodeName(packet.reasonCode), true)
    this.#endTransport()
    this.context.wheel.set(this.timer, this.context.turn.nowMs + CLOSING_MS)
  }

  /** @param type of the packet that the error is in */
  #fail(error: unknown, type: number): void {
    if (error instanceof ProtocolError) {
      this.context.metrics.protocolErrors++
      if (error.reasonCode === ReasonCode.PacketTooLarge) this.context.metrics.packetsTooLarge++
      if (error instanceof UnsupportedProtocolVersionError) this.protocolVersion = error.protocolLevel > 4 ? 5 : 4
      else if (this.state === State.AwaitingConnect) {
        this.protocolVersion = this.#decoder.protocolVersion
        // It is 5 here only when a CONNECT of 5.0 was read up to its mistake, and that may be told [MQTT-3.1.4-1]; before 5.0 it may
        // not [MQTT-3.1.1:3.1.4-1].
        if (this.protocolVersion === 5) this.state = State.Authenticating
      }
      const isTold = !isUntold(this.context, error, type)
      const code = codeFor(this.context, error, type)
      this.closeWith(code, error.detail, NO_PROPERTIES, isTold) // [MQTT-4.13.1-1]
      return
    }
    this.fault('packet', error)
  }

  /**
   * Ends this connection after an error of ours while it was served; the others go on, and the error is reported.
   * [MQTT-3.1.1:4.8.0-2] Ending it may throw as well.
   */
  fault(where: string, error: unknown): void {
    const { faults } = this.context
    faults.note(where, error, this.clientId)
    const end = (): void => this.closeWith(ReasonCode.ImplementationSpecificError, 'internal error')
    if (this.state !== State.Closing && faults.attempt('end of a connection', end, this.clientId)) return
    const leave = (): void => this.#leave(this.will, ReasonCode.ImplementationSpecificError, 'internal error')
    if (this.state !== State.Closing) faults.attempt('end of a connection', leave, this.clientId)
    faults.attempt('end of a connection', () => this.transport.destroy(), this.clientId)
  }

  #onTimer(nowMs: number): void {
    this.context.turn.begin()
    if (this.state === State.Closing) {
      this.transport.destroy()
    } else if (this.state !== State.Active) {
      if (this.#refuseWaiting()) return
      // The side that is waited for is the one that is late.
      const isOurs = this.state === State.Authenticating && this.authentication?.isContinuing !== true
      if (isOurs) this.closeWith(ReasonCode.ServerBusy, 'the login could not be decided in time: try again later')
      else this.closeWith(ReasonCode.ProtocolError, 'the client did not finish CONNECT or its authentication in time')
    } else if (nowMs >= this.expiresAtMs) {
      this.closeWith(ReasonCode.NotAuthorized, 'the credential of the client has expired')
    } else if (this.readGate.isHeldBack || this.#keepAlive.noteProgress(nowMs, this.#decoder.bufferedBytes)) {
      this.watch(nowMs)
    } else if (this.#keepAlive.isOver(nowMs)) {
      // [MQTT-3.1.2-22]
      this.context.metrics.keepAliveTimeouts++
      this.closeWith(ReasonCode.KeepAliveTimeout, 'the client sent nothing for one and a half times its Keep Alive')
    } else {
      this.watch(this.#keepAlive.lastReceivedMs)
    }
  }

  /** Ends the time for CONNECT. Returns true when the client has waited for the disk, and has been refused for that. */
  #refuseWaiting(): boolean {
    if (this.opening === null) return false
    const what = 'CONNACK cannot be sent'
    if (this.parts.journal!.isFailing) this.closeWith(ReasonCode.QuotaExceeded, `the store is failing, so ${what}`)
    else this.closeWith(ReasonCode.ServerBusy, `the store has not answered in time, so ${what} yet`)
    return true
  }

  /** Sets the timer of an active client to the end of the Keep Alive that began at `fromMs`, or of its credential. */
  watch(fromMs: number): void {
    this.context.wheel.set(this.timer, Math.min(fromMs + this.#keepAlive.timeoutMs, this.expiresAtMs))
  }

  // --- decisions that take time -------------------------------------------------------------------------------------

  /** Runs the consequences of a late decision, with the same care for errors as `#process`. */
  decided(action: () => void): void {
    if (this.state === State.Closing) return
    this.context.turn.begin()
    // Before the action, which may have to wait for the next decision and pause again.
    const wasPaused = this.readGate.noteDecision()
    this.workOn(action)
    if (wasPaused) this.readGate.goOn()
  }

  /** Holds a new connection back for so many milliseconds, because its listener takes no more at the moment, which does not count towards the CONNECT timeout. */
  delay(ms: number): void {
    this.context.wheel.set(this.timer, this.timer.atMs + ms)
    this.readGate.wait(ms)
  }

  /** Goes on with bytes that have arrived meanwhile, because nothing stops it any more. */
  readOn(): void {
    // Packets of the meantime have not been read: the silence was ours.
    this.#keepAlive.lastReceivedMs = this.context.turn.nowMs
    this.transport.resume()
    this.#process()
  }

  get isOpen(): boolean {
    return this.state !== State.Closing
  }

  // --- packets out --------------------------------------------------------------------------------------------------

  /** Makes room for a packet, if writing gathered ones is enough. Returns false when more waits than allowed. */
  makeRoom(): boolean {
    return this.#outbox.makeRoom(this.limits)
  }

  /** Whether the client reads too slowly, and more waits for it than allowed. */
  get isCongested(): boolean {
    return this.#outbox.isCongested(this.limits)
  }

  /** One and a half times the Keep Alive, in milliseconds; Infinity without Keep Alive. */
  get keepAliveTimeoutMs(): number {
    return this.#keepAlive.timeoutMs
  }

  /** Ends the connection at once, without a word. */
  destroy(): void {
    this.transport.destroy()
  }

  /** PUBACK, PUBREC or PUBCOMP; before 5.0 the Reason Code is not on the wire. [MQTT-2.2.1-5] */
  sendAck(packetType: 4 | 5 | 7, packetId: number, reasonCode: ReasonCode): void {
    const isSaid = reasonCode !== 0 && this.protocolVersion === 5
    this.#outbox.ack(isSaid ? reasonCodeFor(packetType, reasonCode) : 0, packetType, packetId)
    if (this.context.isTracing) traceSent(this, { type: packetType, packetId, reasonCode })
  }

  sendPubrel(packetId: number): void {
    this.#outbox.ack(0, PacketType.PUBREL, packetId)
    if (this.context.isTracing) traceSent(this, { type: PacketType.PUBREL, packetId })
  }

  /** Any other packet. One that the client does not take ends the connection. [MQTT-3.1.2-24] */
  send(packet: Packet): void {
    const size = encodedSize(packet, this.protocolVersion)
    if (size > this.maximumPacketSize) {
      this.closeWith(ReasonCode.PacketTooLarge, 'the answer is larger than the Maximum Packet Size of the client')
      return
    }
    this.context.metrics.packetsSent++
    encodeTo(this.#outbox.room(size), packet, this.protocolVersion)
    if (this.context.isTracing) traceSent(this, packet)
  }

  /** See `withProblemInformation` of last-packet.ts. */
  withProblemInformation<T extends Packet>(
    properties: Properties,
    reasonString: string | undefined,
    make: (properties: Properties) => T,
  ): T {
    return withProblemInformation(this, properties, reasonString, make)
  }

  flush(): void {
    this.#outbox.flush()
    // Messages that were held back while too much waited can go on now.
    if (this.session !== null && this.makeRoom()) this.session.advance()
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Another step of the authentication is asked for: the CONNECT timeout starts anew. */
  expectAnswer(): void {
    this.context.wheel.set(this.timer, this.context.turn.nowMs + this.limits.connectTimeoutMs)
  }

  /** Notes that it has a session, and counts as connected from now on; CONNACK may have to wait. */
  opens(opening: Opening): void {
    this.state = State.Opening
    this.opening = opening
    const { metrics } = this.context
    metrics.clients++
    if (metrics.clients > metrics.clientsMax) metrics.clientsMax = metrics.clients
  }

  /** Starts the keep alive. */
  activate(keepAliveSeconds: number): void {
    this.state = State.Active
    this.#keepAlive.begin(keepAliveSeconds)
    // A logged-in client may send larger packets.
    this.#decoder.maximumPacketSize = this.limits.packetBytesMax
    this.#decoder.controlPacketSize = this.limits.controlPacketBytesMax
    this.parts.activated(this)
    this.watch(this.context.turn.nowMs)
  }

  /**
   * Ends the connection from our side, with a CONNACK or DISCONNECT where the protocol has one for it: DISCONNECT after
   * CONNACK only [MQTT-3.14.0-1]. Nothing follows it [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.2.2-7] [MQTT-4.13.2-1].
   */
  closeWith(reasonCode: ReasonCode, why: string, properties: Properties = NO_PROPERTIES, isTold = true): void {
    if (this.state === State.Closing) return
    const wasActive = this.state === State.Active
    const isConnecting = this.state === State.Authenticating || this.state === State.Opening
    const phase = wasActive ? 'active' : isConnecting ? 'connecting' : 'silent'
    const packet = isTold ? lastPacket(this, phase, reasonCode, why, properties) : null
    if (packet !== null) this.send(packet)
    if (!wasActive) this.#tellRefused(reasonCode, why)
    this.#leave(this.will, reasonCode, why)
    this.#endTransport()
    const { wheel, turn } = this.context
    wheel.set(this.timer, turn.nowMs + CLOSING_MS)
  }

  /** Publishes the Will, or lets it wait for its delay, as if the connection were lost: the broker is about to end. */
  loseWill(): void {
    const { session, will } = this
    this.will = null
    if (session === null || will === null) return
    const lose = (): void => this.parts.sessions.loseWill(session, this, will)
    this.context.faults.attempt('Will', lose, this.clientId)
  }

  /** Checks again whether its client may be here, and receive messages: the rights have changed. */
  recheck(): void {
    this.allowedTopic = null
    const isLoggedIn = this.isActive || this.opening !== null
    if (!isLoggedIn) return
    if (isStillValid(this, this.context)) {
      this.session?.askAgain(this, false)
      return
    }
    const code = this.isActive ? ReasonCode.AdministrativeAction : ReasonCode.NotAuthorized
    this.closeWith(code, 'the credential of the client is not valid any more')
  }

  /** Closes at once, without a packet: for connections before CONNECT whose place is needed. */
  evict(why: string): void {
    this.#tellRefused(ReasonCode.ServerBusy, why)
    this.#leave(null, ReasonCode.ServerBusy, why)
    this.transport.destroy()
  }

  #tellRefused(reasonCode: ReasonCode, why: string): void {
    const { remoteAddress, listener, clientId, context } = this
    context.metrics.connectionsRefused++
    context.observer?.['connection.refused']?.({ remoteAddress, listener, clientId, reasonCode, why })
  }

  /** Ends the transport, not before our last words have been handed over. */
  #endTransport(): void {
    this.#outbox.flush()
    this.#isEndDue = this.#outbox.isBlocked
    if (!this.#isEndDue) this.transport.end()
  }

  /** Lets go of the session. `will` is the Will that is to be published, if any. */
  #leave(will: Will | null, reasonCode: ReasonCode, why: string, byClient = false): void {
    const { context, parts, session, opening } = this
    const wasActive = this.state === State.Active
    this.state = State.Closing
    this.will = null
    this.session = null
    this.#decoder.discard()
    parts.unfinished.note(this, 0)
    this.aliasesIn = null
    parts.aliasRoom.note(this, 0)
    this.opening = null
    if (wasActive || opening !== null) context.metrics.clients--
    const attempt = (work: () => void): boolean => context.faults.attempt('loss of a client', work, this.clientId)
    if (opening !== null) attempt(() => parts.sessions.abandon(opening))
    if (!wasActive) return
    context.observer?.['client.disconnected']?.({ client: this, byClient, reasonCode, why })
    if (session === null) return
    session.lastEnd = { atMs: context.turn.nowMs, byClient, reasonCode, why }
    const isDone = attempt(() => parts.sessions.disconnected(session, this, will))
    // Whatever else is left undone, its client can come back.
    if (!isDone && session.connection === this) session.connection = null
  }
}
