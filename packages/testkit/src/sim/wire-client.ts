/**
 * A lean client on the wire: it does what it is told and keeps the protocol as a client should, with its session state in a
 * place that survives the connection. Lower than the client library: it can hold acknowledgements back, refuse a message,
 * say what no client may say, connect twice.
 */
import {
  Auth,
  Connect,
  Decoder,
  Disconnect,
  encode,
  NO_PROPERTIES,
  type Packet,
  PacketType,
  Pingreq,
  type Properties,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Subscribe,
  type Subscription,
  Unsubscribe,
  type Will,
} from '@recado/protocol'
import type { Cable } from './cable.ts'
import type { Chance } from './chance.ts'
import type { Loop } from './loop.ts'
import { textOf } from './model/payload.ts'

export interface ClientProfile {
  /** '': the broker has to choose one. */
  readonly clientId: string
  readonly version: ProtocolVersion
  /** 0: its sessions end with the connection. */
  readonly expirySeconds: number
  readonly keepAliveSeconds: number
  /** 65,535: says nothing. */
  readonly receiveMaximum: number
  readonly topicAliasMaximum: number
  /** 0: none. */
  readonly maximumPacketSize: number
  readonly usesAliases: boolean
  /** Gives out the lowest Packet Identifier that is free, instead of one after the other. */
  readonly reusesIds: boolean
  readonly hasEnhancedAuthentication: boolean
  readonly will: Will | null
  /** '': none. */
  readonly username: string
  /** Listener of the broker that it connects to. */
  readonly listener: number
  /** Request Problem Information and Request Response Information. */
  readonly wantsProblems: boolean
  readonly wantsResponses: boolean
}

/**
 * Changes of a client's settings from one CONNECT on. Its Client Identifier stays, and its way to allocate Packet
 * Identifiers.
 */
export type ProfileChanges = Partial<Omit<ClientProfile, 'clientId' | 'reusesIds'>>

export interface ConnectChoice {
  readonly cleanStart: boolean
  readonly withWill: boolean
}

/** Packets that a listener of the broker does not accept: before 5.0 a client is not told. */
export interface Offer {
  readonly maximumQoS: number
  readonly hasRetain: boolean
  readonly packetBytesMax: number
  readonly mountPoint: string
}

export interface WireWorld {
  readonly loop: Loop
  dial(name: string, end: WireConnection, listener: number): Cable | null
  offerOf(listener: number): Offer
  cover(name: string): void
  /** An Application Message has reached the application, on this connection. */
  received(
    clientId: string,
    topic: string,
    payload: string,
    qos: QoS,
    isNewSession: boolean,
    by: number,
    connection: string,
  ): void
  failed(text: string): void
}

interface Outgoing {
  readonly publish: Publish
  isReleased: boolean
  /** PUBRECs that this connection still owes: one for each PUBLISH. */
  answersDue: number
}

/** State that the client keeps beyond a connection. */
class SessionState {
  readonly outgoing: Map<number, Outgoing> = new Map()
  readonly received: Set<number> = new Set()
}

/** Session Expiry Interval. */
const NEVER = 0xffff_ffff
/** Bytes of a PUBLISH of a plan besides its topic and payload. */
const PUBLISH_OVERHEAD_BYTES_MAX = 120

/** Profile without settings that a CONNECT of this version cannot express. */
function sayable(profile: ClientProfile): ClientProfile {
  if (profile.version === 5) return profile
  return {
    ...profile,
    expirySeconds: profile.expirySeconds === 0 ? 0 : NEVER,
    receiveMaximum: 65_535,
    topicAliasMaximum: 0,
    maximumPacketSize: 0,
    hasEnhancedAuthentication: false,
    wantsProblems: true,
    wantsResponses: false,
  }
}

/** Before 5.0 a Will has no properties. */
function willFor(will: Will, version: ProtocolVersion): Will {
  return version === 5 ? will : { ...will, properties: {} }
}
/** Answers wait so long at most when they are late. */
const LATE_MS = 400

export class WireClient {
  /** Profile of its next connection. */
  profile: ClientProfile
  /** Changes that it may make each time that it comes back by itself. */
  readonly #variants: readonly ProfileChanges[]
  readonly world: WireWorld
  readonly chance: Chance
  state: SessionState = new SessionState()
  connection: WireConnection | null = null
  #connections = 0
  /** Since it last gave up. */
  #cables: Cable[] = []
  #nextPacketId: number
  /** User name with which it comes at the end, whatever it was before; null for any. */
  #lastUsername: string | null = null
  #lastChoice: ConnectChoice = { cleanStart: true, withWill: false }
  /** now: acknowledges at once. late: after a while, each for itself, in order. hold: not before it is changed; hold-pubcomp: that only. */
  acknowledges: 'now' | 'late' | 'hold' | 'hold-pubcomp' = 'now'
  /**
   * Packet at the next PUBREC besides its PUBREL: PUBLISH again before it, PUBREL again after it, or a new connection.
   */
  repeats: 'nothing' | 'publish-late' | 'pubrel' | 'connect' = 'nothing'
  /** Comes back by itself. */
  isPersistent = true
  hasConnected = false
  isNewSession = true
  /** Client Identifier: its own, or the assigned one; '' for none. */
  clientId: string

  constructor(profile: ClientProfile, world: WireWorld, chance: Chance, variants: readonly ProfileChanges[] = []) {
    this.profile = profile
    this.#variants = variants
    this.clientId = profile.clientId
    this.world = world
    this.chance = chance
    // So that ids wrap around in some runs.
    this.#nextPacketId = chance.of(0.3) ? 65_530 : 1
  }

  get isConnected(): boolean {
    return this.connection?.isConnected === true
  }

  /** Opens a connection; one that is open already stays so: the broker has to choose. */
  connect(choice: ConnectChoice, changes: ProfileChanges = {}): void {
    this.#lastChoice = choice
    this.profile = { ...this.profile, ...changes }
    if (this.#lastUsername !== null)
      this.profile = { ...this.profile, username: this.#lastUsername, hasEnhancedAuthentication: false }
    if (this.clientId === '') this.#giveUp()
    const name = `${this.profile.clientId || 'nameless'}#${++this.#connections}`
    const earlier = this.connection
    const connection = new WireConnection(this, choice)
    this.connection = connection
    connection.cable = this.world.dial(name, connection, this.profile.listener)
    if (connection.cable === null) {
      // A broker that refuses one more connection may have kept the earlier one.
      this.connection = earlier?.cable?.isOpen === true ? earlier : null
      if (this.connection !== null) return
      // One that it has given up may be in the way.
      for (const cable of this.#cables) if (cable.isOpen) cable.cut()
      this.comeBack()
      return
    }
    this.#cables.push(connection.cable)
    // Without a name all sessions are new ones.
    const cleanStart = this.clientId === '' ? this.chance.of(0.6) : choice.cleanStart
    connection.begin({ ...choice, cleanStart })
  }

  /** Connects again without waiting for the end of a connection. */
  connectAgain(connection: WireConnection): void {
    this.world.loop.after(this.chance.between(0, 60), () => {
      if (this.connection === connection) this.connect({ ...this.#lastChoice, cleanStart: false })
    })
  }

  closed(connection: WireConnection): void {
    if (this.connection !== connection) return
    this.connection = null
    this.comeBack()
  }

  comeBack(): void {
    if (!this.isPersistent) return
    this.world.loop.after(this.chance.between(5, 500), () => {
      if (!this.isPersistent || this.connection !== null) return
      const changes = this.#variants.length > 0 && this.chance.of(0.5) ? this.chance.pick(this.#variants) : {}
      this.connect({ ...this.#lastChoice, cleanStart: !this.hasConnected }, changes)
    })
  }

  /** Comes back without its Will, which may be refused, and as the user whose session it has. */
  calm(owner: string | null): void {
    if (owner !== null) this.#lastUsername = owner
    this.#lastChoice = { ...this.#lastChoice, withWill: false }
    this.acknowledges = 'now'
    this.connection?.release()
    this.isPersistent = true
    if (this.connection === null) this.comeBack()
  }

  /** DISCONNECT, and no more. */
  leave(): void {
    this.isPersistent = false
    if (this.isConnected) this.connection!.disconnect(0, null)
    else this.connection?.cable?.cut()
  }

  /** The process of the client dies: nothing is left of its session. */
  crash(): void {
    this.#giveUp()
    this.state = new SessionState()
    this.hasConnected = false
    this.clientId = this.profile.clientId
    this.comeBack()
  }

  #giveUp(): void {
    this.connection?.cable?.cut()
    this.connection = null
    // Who forgets its name takes over none of its connections.
    if (this.profile.clientId === '') for (const cable of this.#cables) cable.cut()
    // One that it forgets may be open for ever (Keep Alive 0), and in its way at a limit by address.
    this.#cables = this.#cables.filter(({ isOpen }) => isOpen)
  }

  packetId(): number | null {
    if (this.profile.reusesIds) {
      let packetId = 1
      while (this.state.outgoing.has(packetId) || this.connection?.worn.has(packetId)) packetId++
      return packetId
    }
    for (let tries = 0; tries < 100; tries++) {
      const packetId = this.#nextPacketId
      this.#nextPacketId = packetId === 65_535 ? 1 : packetId + 1
      if (!this.state.outgoing.has(packetId)) return packetId
    }
    return null
  }
}

export class WireConnection {
  readonly #client: WireClient
  readonly profile: ClientProfile
  readonly #mountPoint: string
  readonly #choice: ConnectChoice
  readonly #decoder: Decoder
  cable: Cable | null = null
  isConnected = false
  /** Packet Identifiers for which more answers come than one. */
  readonly worn: Set<number> = new Set()
  #isOver = false
  #isAuthenticating = false
  #receiveMaximum = 65_535
  #unacknowledged = 0
  #aliasMaximum = 0
  readonly #aliases: Map<string, number> = new Map()
  readonly #aliasesIn: Map<number, string> = new Map()
  #held: Packet[] = []
  /** Messages of an earlier connection that are not sent on this one yet: its Receive Maximum is used up. */
  #toResend: Outgoing[] = []
  #lastLateMs = 0
  #maximumQoS: QoS = 2
  #hasRetain = true
  #lastReceivedMs = 0

  constructor(client: WireClient, choice: ConnectChoice) {
    this.#client = client
    this.profile = sayable(client.profile)
    this.#mountPoint = client.world.offerOf(client.profile.listener).mountPoint
    this.#choice = choice
    this.#decoder = new Decoder({ role: 'client', protocolVersion: client.profile.version })
  }

  begin({ cleanStart, withWill }: ConnectChoice): void {
    const profile = this.profile
    const isV5 = profile.version === 5
    const properties: Properties = {}
    if (profile.expirySeconds > 0) properties.sessionExpiryIntervalSeconds = profile.expirySeconds
    if (profile.receiveMaximum < 65_535) properties.receiveMaximum = profile.receiveMaximum
    if (profile.topicAliasMaximum > 0) properties.topicAliasMaximum = profile.topicAliasMaximum
    if (profile.maximumPacketSize > 0) properties.maximumPacketSize = profile.maximumPacketSize
    if (profile.hasEnhancedAuthentication) properties.authenticationMethod = 'SIM'
    if (!profile.wantsProblems) properties.requestProblemInformation = false
    if (profile.wantsResponses) properties.requestResponseInformation = true
    this.#send(
      new Connect({
        protocolVersion: profile.version,
        clientId: this.#client.clientId,
        cleanStart: isV5 ? cleanStart : cleanStart || profile.expirySeconds === 0,
        keepAliveSeconds: profile.keepAliveSeconds,
        will: withWill && profile.will !== null ? willFor(profile.will, profile.version) : undefined,
        ...(profile.username === '' ? {} : { username: profile.username }),
        ...(isV5 ? { properties } : {}),
      }),
    )
    this.#lastReceivedMs = this.#client.world.loop.nowMs
    // Nobody waits for ever.
    this.#client.world.loop.after(5_000, () => {
      if (!this.isConnected && !this.#isOver) this.cable?.cut()
    })
  }

  // --- from the network ---------------------------------------------------------------------------------------------

  onData(bytes: Uint8Array): void {
    // Given up for a newer one.
    if (this.#isOver || this.#client.connection !== this) return
    this.#lastReceivedMs = this.#client.world.loop.nowMs
    try {
      this.#decoder.push(bytes)
      for (let packet = this.#decoder.read(); packet !== null && !this.#isOver; packet = this.#decoder.read())
        this.#handle(packet)
    } catch (error) {
      this.#client.world.failed(`${this.profile.clientId}: the broker sends ${(error as Error).message}`)
    }
  }

  onClose(_error: Error | null): void {
    this.#isOver = true
    this.isConnected = false
    this.#client.closed(this)
  }

  onDrain(): void {}

  #handle(packet: Packet): void {
    const { state } = this.#client
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode !== 0) {
          this.cable?.endFromClient()
          return
        }
        this.#connected(packet.sessionPresent, packet.properties)
        return
      case PacketType.AUTH:
        this.#isAuthenticating = packet.reasonCode === 0x18
        if (this.#isAuthenticating)
          this.#send(new Auth(0x18, { authenticationMethod: 'SIM', authenticationData: Uint8Array.of(2) }))
        return
      case PacketType.PUBLISH:
        this.#handlePublish(packet)
        return
      case PacketType.PUBREL:
        state.received.delete(packet.packetId)
        this.#answer(new Pubcomp(packet.packetId))
        return
      case PacketType.PUBACK:
        if (state.outgoing.delete(packet.packetId)) this.#unacknowledged--
        this.#resendMore()
        return
      case PacketType.PUBREC: {
        const outgoing = state.outgoing.get(packet.packetId)
        if (outgoing !== undefined && --outgoing.answersDue > 0) {
          this.#unacknowledged--
          // It may have been taken when it came again.
          if (packet.reasonCode >= 0x80) return
        }
        if (packet.reasonCode >= 0x80) {
          if (state.outgoing.delete(packet.packetId)) this.#unacknowledged--
          this.#resendMore()
          return
        }
        this.#release(packet.packetId, outgoing)
        return
      }
      case PacketType.PUBCOMP:
        // It may answer a PUBREL that was for nothing, with an identifier that is used since.
        if (state.outgoing.get(packet.packetId)?.isReleased !== true) return
        state.outgoing.delete(packet.packetId)
        this.#unacknowledged--
        this.#resendMore()
        return
      default:
        return
    }
  }

  #connected(sessionPresent: boolean, properties: Properties): void {
    const client = this.#client
    const profile = this.profile
    const { world } = client
    this.isConnected = true
    this.#isAuthenticating = false
    client.hasConnected = true
    client.clientId = properties.assignedClientIdentifier ?? client.clientId
    if (profile.clientId === '' && sessionPresent) world.cover('assigned.resumed')
    this.#receiveMaximum = properties.receiveMaximum ?? 65_535
    this.#aliasMaximum = properties.topicAliasMaximum ?? 0
    this.#maximumQoS = (properties.maximumQoS ?? 2) as QoS
    this.#hasRetain = properties.retainAvailable ?? true
    // 3.1 does not say.
    const isPresent = sessionPresent || (profile.version === 3 && !this.#choice.cleanStart && profile.expirySeconds > 0)
    client.isNewSession ||= !isPresent
    if (!isPresent) {
      // The session is lost, and with it what was in flight. At QoS 1 the application publishes again.
      const lost = [...client.state.outgoing.values()]
      client.state.outgoing.clear()
      client.state.received.clear()
      for (const { publish } of lost) if (publish.qos === 1) this.#republish(publish)
    } else {
      if (client.state.outgoing.size > 0) world.cover('client.resends')
      this.#toResend = [...client.state.outgoing.values()].filter(({ publish }) => this.#isTaken(publish))
      this.#resendMore()
    }
    this.#ping()
  }

  /** PUBREL; before it, after it, or instead of waiting for the answer perhaps what no client need say. */
  #release(packetId: number, outgoing: Outgoing | undefined): void {
    const client = this.#client
    const { repeats, world } = client
    if (outgoing === undefined || outgoing.isReleased) {
      this.#send(new Pubrel(packetId))
      return
    }
    outgoing.isReleased = true
    client.repeats = 'nothing'
    // The broker has it, so it uses no quota.
    if (repeats === 'publish-late') this.#publishAgain(outgoing)
    this.#send(new Pubrel(packetId))
    if (repeats === 'nothing') return
    world.cover(`client.repeats-${repeats}`)
    this.worn.add(packetId)
    if (repeats === 'pubrel') this.#send(new Pubrel(packetId))
    else if (repeats === 'connect') client.connectAgain(this)
  }

  /** PUBLISH again, with DUP, of each QoS 2 message that has not been answered, as clients before 5.0 do after a while. */
  publishAgain(): void {
    if (!this.isConnected) return
    for (const outgoing of this.#client.state.outgoing.values()) {
      const { publish, isReleased } = outgoing
      if (publish.qos < 2 || isReleased || this.#unacknowledged >= this.#receiveMaximum) continue
      if (this.#toResend.includes(outgoing) || !this.#isTaken(publish)) continue
      this.#client.world.cover('client.repeats-publish')
      this.#unacknowledged++
      outgoing.answersDue++
      this.worn.add(publish.packetId)
      this.#publishAgain(outgoing)
    }
  }

  #publishAgain({ publish }: Outgoing): void {
    publish.dup = true
    this.#send(publish)
  }

  #republish(publish: Publish): void {
    const packetId = this.#client.packetId()
    if (packetId === null || this.#unacknowledged >= this.#receiveMaximum || !this.#isTaken(publish)) return
    const again = Publish.of({ ...publish, payload: publish.payload, dup: false, packetId })
    this.#client.state.outgoing.set(packetId, { publish: again, isReleased: false, answersDue: 1 })
    this.#unacknowledged++
    this.#send(again)
  }

  /**
   * Whether the broker accepts it here; otherwise it waits for another connection. [MQTT-3.2.2-11] [MQTT-3.2.2-14]
   * [MQTT-3.2.2-15]
   */
  #isTaken({ qos, retain, topic, payload }: Publish): boolean {
    const { maximumQoS, hasRetain, packetBytesMax } = this.#client.world.offerOf(this.profile.listener)
    const isSmall = topic.length + payload.length + PUBLISH_OVERHEAD_BYTES_MAX <= packetBytesMax
    return qos <= maximumQoS && (hasRetain || !retain) && isSmall
  }

  /** Resends as many as the Receive Maximum of this connection allows. [MQTT-4.4.0-1] [MQTT-3.3.4-7] */
  #resendMore(): void {
    while (this.#toResend.length > 0 && !this.#isOver) {
      const outgoing = this.#toResend[0]!
      const { publish, isReleased } = outgoing
      if (!isReleased && this.#unacknowledged >= this.#receiveMaximum) return
      this.#toResend.shift()
      if (this.#client.state.outgoing.get(publish.packetId) !== outgoing) continue
      this.#unacknowledged++
      outgoing.answersDue = 1
      if (isReleased) this.#send(new Pubrel(publish.packetId))
      else this.#publishAgain(outgoing)
    }
  }

  #ping(): void {
    const profile = this.profile
    const { world } = this.#client
    if (profile.keepAliveSeconds === 0) return
    world.loop.after(profile.keepAliveSeconds * 1000 - 100, () => {
      if (this.#isOver) return
      const silentMs = world.loop.nowMs - this.#lastReceivedMs
      if (silentMs > profile.keepAliveSeconds * 2000) {
        world.cover('client.keep-alive')
        this.cable?.cut()
        return
      }
      this.#send(new Pingreq())
      this.#ping()
    })
  }

  #handlePublish(publish: Publish): void {
    const client = this.#client
    const { state, chance } = client
    let { topic } = publish
    const alias = publish.properties.topicAlias
    if (alias !== undefined) {
      if (topic !== '') this.#aliasesIn.set(alias, topic)
      else topic = this.#aliasesIn.get(alias) ?? ''
    }
    if (publish.qos === 2) {
      const isNew = !state.received.has(publish.packetId)
      if (isNew && this.profile.version === 5 && chance.of(0.03)) {
        this.#answer(new Pubrec(publish.packetId, 0x80))
        return
      }
      if (isNew) this.#received(topic, publish)
      state.received.add(publish.packetId)
      this.#answer(new Pubrec(publish.packetId))
      return
    }
    this.#received(topic, publish)
    if (publish.qos === 1) this.#answer(new Puback(publish.packetId))
  }

  #received(topic: string, { payload, qos }: Publish): void {
    const { world, clientId, isNewSession } = this.#client
    this.#client.isNewSession = false
    world.received(clientId, this.#mountPoint + topic, textOf(payload), qos, isNewSession, 0, this.cable!.name)
  }

  /** Acknowledgements leave in order. */
  #answer(packet: Packet): void {
    const { acknowledges, chance, world } = this.#client
    const isHeld = acknowledges === 'hold' || (acknowledges === 'hold-pubcomp' && packet.type === PacketType.PUBCOMP)
    if (isHeld || (this.#held.length > 0 && acknowledges === 'now')) {
      this.#held.push(packet)
      if (acknowledges === 'now') this.release()
      return
    }
    const { loop } = world
    if (acknowledges !== 'late' && this.#lastLateMs <= loop.nowMs) {
      this.#send(packet)
      return
    }
    this.#lastLateMs = Math.max(this.#lastLateMs, loop.nowMs + chance.between(0, LATE_MS))
    loop.at(this.#lastLateMs, () => this.#send(packet))
  }

  /** Sends acknowledgements that were held back. */
  release(): void {
    const held = this.#held
    this.#held = []
    for (const packet of held) this.#send(packet)
  }

  // --- to the network -----------------------------------------------------------------------------------------------

  #send(packet: Packet): void {
    this.sendBytes(encode(packet, this.profile.version))
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.#isOver) this.cable?.write(bytes)
  }

  publish(topic: string, payload: Uint8Array, qos: QoS, retain: boolean, properties: Properties): void {
    const client = this.#client
    const profile = this.profile
    const { state } = client
    const isV5 = profile.version === 5
    const level = Math.min(qos, this.#maximumQoS) as QoS
    if (level > 0 && (this.#toResend.length > 0 || this.#unacknowledged >= Math.min(this.#receiveMaximum, 1_000)))
      return
    const packetId = level === 0 ? 0 : client.packetId()
    if (packetId === null) return
    const isRetained = retain && this.#hasRetain
    const publish = Publish.of({
      topic,
      payload,
      qos: level,
      retain: isRetained,
      packetId,
      properties: isV5 ? properties : NO_PROPERTIES,
    })
    if (level > 0) {
      state.outgoing.set(packetId, { publish, isReleased: false, answersDue: 1 })
      this.#unacknowledged++
    }
    if (!isV5 || !profile.usesAliases || this.#aliasMaximum === 0) {
      this.#send(publish)
      return
    }
    const known = this.#aliases.get(topic)
    const alias = known ?? (this.#aliases.size % this.#aliasMaximum) + 1
    if (known === undefined) {
      for (const [each, number] of this.#aliases) if (number === alias) this.#aliases.delete(each)
      this.#aliases.set(topic, alias)
    }
    this.#send(
      Publish.of({
        topic: known === undefined ? topic : '',
        payload,
        qos: level,
        retain: isRetained,
        packetId,
        properties: { ...properties, topicAlias: alias },
      }),
    )
  }

  subscribe(subscriptions: Subscription[], identifier: number): void {
    const packetId = this.#client.packetId()
    if (packetId === null) return
    const isV5 = this.profile.version === 5
    const properties = isV5 && identifier > 0 ? { subscriptionIdentifiers: [identifier] } : NO_PROPERTIES
    this.#send(new Subscribe(packetId, subscriptions, properties))
  }

  unsubscribe(topicFilters: string[]): void {
    const packetId = this.#client.packetId()
    if (packetId !== null) this.#send(new Unsubscribe(packetId, topicFilters))
  }

  ping(): void {
    this.#send(new Pingreq())
  }

  reauthenticate(): void {
    if (!this.profile.hasEnhancedAuthentication || this.#isAuthenticating) return
    this.#isAuthenticating = true
    this.#send(new Auth(0x19, { authenticationMethod: 'SIM', authenticationData: Uint8Array.of(3) }))
  }

  disconnect(reasonCode: number, expirySeconds: number | null): void {
    const isV5 = this.profile.version === 5
    const properties = isV5 && expirySeconds !== null ? { sessionExpiryIntervalSeconds: expirySeconds } : NO_PROPERTIES
    this.#send(new Disconnect(isV5 ? reasonCode : 0, properties))
    this.cable?.endFromClient()
  }
}
