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
import { isPayloadTooLarge } from './model/bytes.ts'
import type { Model } from './model/model.ts'
import type { Link } from './model/state.ts'
import { refusesToSubscribe } from './model/subscriptions.ts'
import type { InPacket } from './model/types.ts'
import { incoming, lineOf, mounted, outgoing } from './translate.ts'

/** Part of the broker under test that it needs. */
export interface TellerBroker {
  readonly nowMs: number
  readonly core: Core | null
  readonly config: BrokerConfig
}

/** One connection of the broker. */
export interface Intake {
  readonly cable: Cable
  readonly link: Link
  readonly decoder: Decoder
  readonly out: { decoder: Decoder | null; version: ProtocolVersion }
  readonly framer: Framer
  readonly inbox: InPacket[]
  isBroken: boolean
  /** Enhanced authentication has not come to its end. */
  isAuthenticating: boolean
  /** Number of changes of rights when it began. */
  rechecks: number
  /** Topic Filters of the SUBSCRIBE that the model has been told of: the authorizer may still be asked about these. */
  filtersToBeAsked: string[]
}

export class Teller {
  readonly #broker: TellerBroker
  readonly #model: Model
  readonly #policy: Policy
  readonly #trace: ((line: string) => void) | null
  readonly #intakes: Map<BrokerSocket, Intake> = new Map()
  readonly #byName: Map<string, Intake> = new Map()
  /** PUBLISH packets that the model has been told of as duplicates; the broker counts them too. */
  #duplicatesTold = 0
  /** Intake whose packets the broker is handling. */
  #working: Intake | null = null

  constructor(broker: TellerBroker, model: Model, policy: Policy, trace: ((line: string) => void) | null) {
    this.#broker = broker
    this.#model = model
    this.#policy = policy
    this.#trace = trace
  }

  /** A new process begins. */
  start(): void {
    this.#duplicatesTold = 0
    this.#intakes.clear()
    this.#byName.clear()
  }

  open(socket: BrokerSocket, cable: Cable): Intake {
    const intake: Intake = {
      cable,
      link: this.#model.open(cable.name, cable.listener),
      decoder: new Decoder({ role: 'server', maximumPacketSize: packetBytesMax(this.#broker.config, cable.listener) }),
      out: { decoder: null, version: 4 },
      framer: new Framer(),
      inbox: [],
      isBroken: false,
      isAuthenticating: false,
      rechecks: 0,
      filtersToBeAsked: [],
    }
    this.#intakes.set(socket, intake)
    this.#byName.set(cable.name, intake)
    return intake
  }

  close(socket: BrokerSocket, intake: Intake): void {
    intake.inbox.length = 0
    this.#intakes.delete(socket)
    this.#byName.delete(intake.cable.name)
    this.#model.closed(intake.link)
  }

  of(socket: BrokerSocket): Intake | undefined {
    return this.#intakes.get(socket)
  }

  named(name: string): Intake | undefined {
    return this.#byName.get(name)
  }

  /** The broker begins to work on what has come on a connection. */
  begin(intake: Intake): void {
    this.#working = intake
  }

  /** Stops: at the end of it, before, or for good (null). */
  finish(isTakenIn: boolean | null): void {
    const intake = this.#working!
    this.#working = null
    if (isTakenIn === true) this.tellAll(intake)
    else if (isTakenIn === false) this.tellDuplicates(intake)
  }

  /** Reads the packets, and tells nothing yet. */
  read(intake: Intake, bytes: Uint8Array): void {
    if (intake.isBroken) return
    try {
      intake.decoder.push(new Uint8Array(bytes))
      for (let packet = intake.decoder.read(); packet !== null; packet = intake.decoder.read()) {
        const told = incoming(packet, (clientId, username, will) =>
          this.#policy.refusalOf(clientId, username, will?.topic ?? null),
        )
        intake.inbox.push(mounted(told, intake.link.settings.mountPoint))
        if (packet.type === 1) this.#noteConnect(intake, packet)
      }
      intake.decoder.keep()
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      intake.isBroken = true
      intake.inbox.push({ type: 'VIOLATION', why: error.message })
    }
  }

  #noteConnect(intake: Intake, { protocolVersion, properties }: Packet & { type: 1 }): void {
    intake.out.version = protocolVersion
    intake.isAuthenticating = properties.authenticationMethod !== undefined
    intake.out.decoder = new Decoder({
      role: 'client',
      protocolVersion,
      maximumPacketSize: properties.maximumPacketSize ?? 268_435_460,
    })
  }

  /** Packets that nobody is asked about, up to the next one that somebody is. */
  tellUnasked(intake: Intake): void {
    for (let packet = intake.inbox[0]; packet !== undefined && !this.#isAsked(intake, packet); packet = intake.inbox[0])
      this.#tellNext(intake)
  }

  tellAll(intake: Intake): void {
    while (intake.inbox.length > 0 && !intake.isAuthenticating) this.#tellNext(intake)
  }

  #tellNext(intake: Intake, wasAsked = false): void {
    const packet = intake.inbox.shift()!
    if (intake.link.state !== 'closed') this.#trace?.(`${intake.link.name} > ${lineOf(packet)}`)
    this.#model.nowMs = this.#broker.nowMs
    if (packet.type === 'PUBLISH' && !wasAsked && this.#model.isHeld(intake.link, packet)) this.#duplicatesTold++
    this.#model.receive(intake.link, packet, wasAsked || this.#isNew(intake, packet))
  }

  /**
   * Whether a QoS 2 message is new. Without questions about messages only the broker knows whether it has it already.
   */
  #isNew({ link }: Intake, packet: InPacket): boolean {
    if (packet.type !== 'PUBLISH') return false
    if (this.#broker.config.hasAuthorizer && !isPayloadTooLarge(this.#model, packet)) return false
    return this.#broker.core?.sessions.get(link.connect?.clientId ?? '')?.receiver.has(packet.packetId) !== true
  }

  #isAsked({ link, isAuthenticating }: Intake, packet: InPacket): boolean {
    const { hasAuthorizer, hasAuthenticator } = this.#broker.config
    if (link.state === 'closed') return false
    switch (packet.type) {
      case 'CONNECT':
        if (this.#model.isRefusedEarly(link, packet)) return false
        return link.connect === null && (hasAuthenticator || isAuthenticating)
      case 'PUBLISH':
        if (isPayloadTooLarge(this.#model, packet)) return false
        return hasAuthorizer && !this.#model.isDuplicate(link, packet) && this.#model.violationOf(link, packet) === null
      case 'SUBSCRIBE':
        // What is over a limit, or could not be stored, is refused before anybody is asked.
        if (refusesToSubscribe(this.#model, link, packet)) return false
        return hasAuthorizer && this.#model.violationOf(link, packet) === null
      default:
        return false
    }
  }

  /** The broker is at the next packet of this type. */
  tellAsked(name: string, type: string): void {
    const intake = this.#byName.get(name)
    if (intake === undefined) return
    intake.filtersToBeAsked = []
    // Those before it nobody was asked about after all: refused before that, or known to the broker.
    this.tellDuplicates(intake)
    while (intake.inbox.length > 0 && intake.inbox[0]!.type !== type) this.#tellNext(intake)
    if (intake.inbox.length === 0) return
    this.#tellNext(intake, true)
    this.tellUnasked(intake)
  }

  /** Tells the model of the messages that the broker has recognized as duplicates by itself. */
  tellDuplicates(intake: Intake): void {
    const duplicates = this.#broker.core?.metrics.duplicatesReceived ?? 0
    while (intake.inbox.length > 0 && this.#duplicatesTold < duplicates) {
      const before = this.#duplicatesTold
      this.#tellNext(intake)
      // The model may take one for a new message: a crash may have left it so.
      if (this.#duplicatesTold === before) this.#duplicatesTold++
      this.tellUnasked(intake)
    }
  }

  /** Tells the model the packets of the broker on a connection. */
  said(intake: Intake, pieces: readonly Uint8Array[]): void {
    const { link, out } = intake
    this.#model.nowMs = this.#broker.nowMs
    // Before CONNECT is read there may be a CONNACK that refuses it.
    out.decoder ??= new Decoder({ role: 'client', protocolVersion: out.version })
    try {
      for (const piece of pieces) out.decoder.push(new Uint8Array(piece))
      for (let packet = out.decoder.read(); packet !== null; packet = out.decoder.read()) {
        const told = mounted(outgoing(packet), link.settings.mountPoint)
        this.#trace?.(`${link.name} < ${lineOf(told)}`)
        this.#model.send(link, told)
      }
    } catch (error) {
      const isRefusal = link.connect === null && link.state !== 'open'
      if (!isRefusal) this.#model.fail('content', `${link.name}: the broker sends ${(error as Error).message}`)
    }
  }

  /** Before the broker says something: it may have found out meanwhile that it has a message. */
  beforeSaying(): void {
    if (this.#working !== null) this.tellDuplicates(this.#working)
  }

  /** The broker has done with a connection. */
  ended(intake: Intake): void {
    this.#model.nowMs = this.#broker.nowMs
    const { link, inbox } = intake
    this.tellDuplicates(intake)
    // One of these may be what ends it; but a CONNECT that is not admitted in time never happened, nor what waits for a decision.
    while (link.state !== 'new' && link.mayEnd.size === 0 && !link.isWaiting && inbox.length > 0) this.#tellNext(intake)
    inbox.length = 0
    this.#model.endedByBroker(link)
  }
}
