/**
 * Tells the model what the broker takes in and what it says.
 *
 * Every chunk that goes in is read by a decoder first and its packets are told to the model at the moment at which the broker
 * gets to them: those that the authorizer is asked about when it is asked, the others just before. Everything that the broker
 * says goes through a client's decoder to the model. So model and broker are in lockstep, also while a decision takes time.
 */
import type { Core } from '@recado/broker/testing'
import { Decoder, type Packet, ProtocolError, type ProtocolVersion } from '@recado/protocol'
import { type BrokerConfig, packetBytesMax } from './broker-config.ts'
import type { BrokerSocket, Cable } from './cable.ts'
import { Framer } from './framer.ts'
import type { Policy } from './hooks.ts'
import { isRefusedEarly } from './model/connects.ts'
import { isRefusedUnasked } from './model/flows.ts'
import type { Model } from './model/model.ts'
import type { Names } from './model/rewrites.ts'
import { isCertificate } from './model/sparkplug.ts'
import type { ModelConnection } from './model/state.ts'
import { refusesToSubscribe } from './model/subscriptions.ts'
import type { InPacket } from './model/types.ts'
import { incoming, lineOf, mounted, outgoing, rewritten } from './translate.ts'

/** Part of the broker under test that it needs. */
export interface ModelFeedBroker {
  readonly nowMs: number
  readonly core: Core | null
  readonly config: BrokerConfig
}

/** One connection of the broker. */
export interface ObservedConnection {
  readonly cable: Cable
  readonly connection: ModelConnection
  readonly decoder: Decoder
  readonly out: { decoder: Decoder | null; version: ProtocolVersion }
  readonly framer: Framer
  readonly inbox: InPacket[]
  /** Names that its CONNECT has; null before that. */
  names: Names | null
  isBroken: boolean
  /** Enhanced authentication has not come to its end. */
  isAuthenticating: boolean
  /** Number of changes of rights when it began. */
  rechecks: number
  /** Topic Filters of the SUBSCRIBE that the model has been told of: the authorizer may still be asked about these. */
  filtersToBeAsked: string[]
}

export class ModelFeed {
  readonly #broker: ModelFeedBroker
  readonly #model: Model
  readonly #policy: Policy
  readonly #trace: ((line: string) => void) | null
  readonly #observed: Map<BrokerSocket, ObservedConnection> = new Map()
  readonly #byName: Map<string, ObservedConnection> = new Map()
  /** PUBLISH packets that the model has been told of as duplicates; the broker counts them too. */
  #duplicatesTold = 0
  /** ObservedConnection whose packets the broker is handling. */
  #working: ObservedConnection | null = null

  constructor(broker: ModelFeedBroker, model: Model, policy: Policy, trace: ((line: string) => void) | null) {
    this.#broker = broker
    this.#model = model
    this.#policy = policy
    this.#trace = trace
  }

  /** A new process begins. */
  start(): void {
    this.#duplicatesTold = 0
    this.#observed.clear()
    this.#byName.clear()
  }

  open(socket: BrokerSocket, cable: Cable): ObservedConnection {
    const observed: ObservedConnection = {
      cable,
      connection: this.#model.open(cable.name, cable.listener),
      decoder: new Decoder({ role: 'server', maximumPacketSize: packetBytesMax(this.#broker.config, cable.listener) }),
      out: { decoder: null, version: 4 },
      framer: new Framer(),
      inbox: [],
      names: null,
      isBroken: false,
      isAuthenticating: false,
      rechecks: 0,
      filtersToBeAsked: [],
    }
    this.#observed.set(socket, observed)
    this.#byName.set(cable.name, observed)
    return observed
  }

  close(socket: BrokerSocket, observed: ObservedConnection): void {
    observed.inbox.length = 0
    this.#observed.delete(socket)
    this.#byName.delete(observed.cable.name)
    this.#model.closed(observed.connection)
  }

  of(socket: BrokerSocket): ObservedConnection | undefined {
    return this.#observed.get(socket)
  }

  named(name: string): ObservedConnection | undefined {
    return this.#byName.get(name)
  }

  /** The broker begins to work on what has come on a connection. */
  begin(observed: ObservedConnection): void {
    this.#working = observed
  }

  /** Stops: at the end of it, before, or for good (null). */
  finish(isTakenIn: boolean | null): void {
    const observed = this.#working!
    this.#working = null
    if (isTakenIn === true) this.tellAll(observed)
    else if (isTakenIn === false) this.tellDuplicates(observed)
  }

  /** Reads the packets, and tells nothing yet. */
  read(observed: ObservedConnection, bytes: Uint8Array): void {
    if (observed.isBroken) return
    try {
      observed.decoder.push(new Uint8Array(bytes))
      for (let packet = observed.decoder.read(); packet !== null; packet = observed.decoder.read()) {
        const told = incoming(packet)
        if (told.type === 'CONNECT') observed.names ??= told
        observed.inbox.push(this.#judged(this.#meant(observed, told)))
        if (packet.type === 1) this.#noteConnect(observed, packet)
      }
      observed.decoder.keep()
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      observed.isBroken = true
      observed.inbox.push({ type: 'VIOLATION', why: error.message })
    }
  }

  /** With its topics as the broker knows them. */
  #meant({ connection, names }: ObservedConnection, packet: InPacket): InPacket {
    // The broker may have chosen the Client Identifier.
    const { clientId = '', username = '' } = connection.connect ?? names ?? {}
    const told = rewritten(packet, this.#model.settings, { clientId, username })
    if (told !== packet && JSON.stringify(told) !== JSON.stringify(packet)) this.#model.cover(`rewrite.${packet.type}`)
    return mounted(told, connection.settings.mountPoint)
  }

  /** A CONNECT with the answer of the policy, which is asked about the Will where it would be published. */
  #judged(packet: InPacket): InPacket {
    if (packet.type !== 'CONNECT') return packet
    const { clientId, username, will } = packet
    const isForged = will !== null && this.#model.settings.isSparkplugAware && isCertificate(will.topic)
    const refusal = this.#policy.refusalOf(clientId, username, will?.topic ?? null)
    return { ...packet, refusal: refusal === 0 && isForged ? 0x87 : refusal }
  }

  #noteConnect(observed: ObservedConnection, { protocolVersion, properties }: Packet & { type: 1 }): void {
    observed.out.version = protocolVersion
    observed.isAuthenticating = properties.authenticationMethod !== undefined
    observed.out.decoder = new Decoder({
      role: 'client',
      protocolVersion,
      maximumPacketSize: properties.maximumPacketSize ?? 268_435_460,
    })
  }

  /** Packets that nobody is asked about, up to the next one that somebody is. */
  tellUnasked(observed: ObservedConnection): void {
    for (
      let packet = observed.inbox[0];
      packet !== undefined && !this.#isAsked(observed, packet);
      packet = observed.inbox[0]
    )
      this.#tellNext(observed)
  }

  tellAll(observed: ObservedConnection): void {
    while (observed.inbox.length > 0 && !observed.isAuthenticating) this.#tellNext(observed)
  }

  #tellNext(observed: ObservedConnection, wasAsked = false): void {
    const packet = observed.inbox.shift()!
    if (observed.connection.state !== 'closed') this.#trace?.(`${observed.connection.name} > ${lineOf(packet)}`)
    this.#model.nowMs = this.#broker.nowMs
    if (packet.type === 'PUBLISH' && !wasAsked && this.#model.isHeld(observed.connection, packet))
      this.#duplicatesTold++
    this.#model.receive(observed.connection, packet, wasAsked || this.#isNew(observed, packet))
  }

  /**
   * Whether a QoS 2 message is new. Without questions about messages only the broker knows whether it has it already.
   */
  #isNew({ connection }: ObservedConnection, packet: InPacket): boolean {
    if (packet.type !== 'PUBLISH') return false
    if (this.#broker.config.hasAuthorizer && !isRefusedUnasked(this.#model, connection, packet)) return false
    return this.#broker.core?.sessions.get(connection.connect?.clientId ?? '')?.receiver.has(packet.packetId) !== true
  }

  #isAsked({ connection, isAuthenticating }: ObservedConnection, packet: InPacket): boolean {
    const { hasAuthorizer, hasAuthenticator } = this.#broker.config
    if (connection.state === 'closed') return false
    switch (packet.type) {
      case 'CONNECT':
        if (isRefusedEarly(this.#model, connection, packet)) return false
        return connection.connect === null && (hasAuthenticator || isAuthenticating)
      case 'PUBLISH':
        if (isRefusedUnasked(this.#model, connection, packet)) return false
        return (
          hasAuthorizer &&
          !this.#model.isDuplicate(connection, packet) &&
          this.#model.violationOf(connection, packet) === null
        )
      case 'SUBSCRIBE':
        // What is over a limit, or could not be stored, is refused before anybody is asked.
        if (refusesToSubscribe(this.#model, connection, packet)) return false
        return hasAuthorizer && this.#model.violationOf(connection, packet) === null
      default:
        return false
    }
  }

  /** The broker is at the next packet of this type. */
  tellAsked(name: string, type: string): void {
    const observed = this.#byName.get(name)
    if (observed === undefined) return
    observed.filtersToBeAsked = []
    // Those before it nobody was asked about after all: refused before that, or known to the broker.
    this.tellDuplicates(observed)
    while (observed.inbox.length > 0 && observed.inbox[0]!.type !== type) this.#tellNext(observed)
    if (observed.inbox.length === 0) return
    this.#tellNext(observed, true)
    this.tellUnasked(observed)
  }

  /** Tells the model of the messages that the broker has recognized as duplicates by itself. */
  tellDuplicates(observed: ObservedConnection): void {
    const duplicates = this.#broker.core?.metrics.duplicatesReceived ?? 0
    while (observed.inbox.length > 0 && this.#duplicatesTold < duplicates) {
      const before = this.#duplicatesTold
      this.#tellNext(observed)
      // The model may take one for a new message: a crash may have left it so.
      if (this.#duplicatesTold === before) this.#duplicatesTold++
      this.tellUnasked(observed)
    }
  }

  /** Tells the model the packets of the broker on a connection. */
  said(observed: ObservedConnection, pieces: readonly Uint8Array[]): void {
    const { connection, out } = observed
    this.#model.nowMs = this.#broker.nowMs
    // Before CONNECT is read there may be a CONNACK that refuses it.
    out.decoder ??= new Decoder({ role: 'client', protocolVersion: out.version })
    try {
      for (const piece of pieces) out.decoder.push(new Uint8Array(piece))
      for (let packet = out.decoder.read(); packet !== null; packet = out.decoder.read()) {
        const told = mounted(outgoing(packet), connection.settings.mountPoint)
        this.#trace?.(`${connection.name} < ${lineOf(told)}`)
        this.#model.send(connection, told)
      }
    } catch (error) {
      const isRefusal = connection.connect === null && connection.state !== 'open'
      if (!isRefusal) this.#model.fail('content', `${connection.name}: the broker sends ${(error as Error).message}`)
    }
  }

  /** Before the broker says something: it may have found out meanwhile that it has a message. */
  beforeSaying(): void {
    if (this.#working !== null) this.tellDuplicates(this.#working)
  }

  /** The broker has done with a connection. */
  ended(observed: ObservedConnection): void {
    this.#model.nowMs = this.#broker.nowMs
    const { connection, inbox } = observed
    this.tellDuplicates(observed)
    // One of these may be what ends it; but a CONNECT that is not accepted in time never happened, nor what waits for a decision.
    while (connection.state !== 'new' && connection.mayEnd.size === 0 && !connection.isWaiting && inbox.length > 0)
      this.#tellNext(observed)
    inbox.length = 0
    this.#model.endedByBroker(connection)
  }
}
