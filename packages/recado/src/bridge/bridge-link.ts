/**
 * One connection of a bridge to the remote broker, from CONNECT to its end: passes the packets of QoS flows on between
 * the remote broker and the relay, the session of the bridge at this broker.
 *
 * `Bridge` makes one for each transport and is told what becomes of it (`LinkOwner`). A packet keeps its Packet
 * Identifier on the way, so the link has no state of the flows. Invariants: nothing of the relay is attached before the
 * remote broker has accepted; `linkEnded` is called exactly once, and nothing is passed on after it.
 *
 * Sources: MQTT 5.0 sections 3.1 to 3.3, 4.3 and 4.9; Mosquitto's bridge.c for the order of packets after CONNACK.
 */
import {
  BRIDGE_INFLIGHT_MAX,
  believedPath,
  type DropReason,
  isOnPath,
  marksOf,
  PATH_PROPERTY,
  pathOf,
  pathProperty,
  type Relay,
  type RelayedMessage,
  type RelayPeer,
  withPath,
} from '@recado/broker'
import {
  Connection,
  type ConnectionHandler,
  type Environment,
  PACKET_SIZE_MAX,
  type Timer,
  type Transport,
} from '@recado/client/low-level'
import {
  type Connack,
  Connect,
  Disconnect,
  MqttError,
  type Packet,
  PacketType,
  type Properties,
  ProtocolError,
  type ProtocolVersion,
  type Publish,
  Publish as PublishPacket,
  type QoS,
  ReasonCode,
  reasonCodeName,
  Subscribe,
  TopicAliasReceiver,
  topicMatches,
  Unsubscribe,
  type Will,
} from '@recado/protocol'
import type { BridgeTopic } from '../config/bridge-topics.ts'
import type { BridgeConfig } from '../config/bridges.ts'
import { dialFailure, isOfTls } from './dial-hints.ts'
import type { EchoWatch } from './echo-watch.ts'
import type { FarLineage } from './far-lineage.ts'
import { FarPublisher, SentBatch } from './far-publisher.ts'
import type { LineRoom } from './line-room.ts'
import { PathWriter, pathWith } from './path-writer.ts'
import { refusalText } from './refusal-text.ts'
import { RetainedArrival } from './retained-arrival.ts'
import type { TopicMap } from './topic-map.ts'

/** Session Expiry Interval that never ends: without it MQTT 5.0 forgets the session with the connection. */
const NEVER_SECONDS = 0xffff_ffff
/** Milliseconds after a retained message of QoS 0 until a PINGREQ finds out whether it has arrived. */
const PROOF_MS = 5_000
const DIGITS = { up: Uint8Array.of(0x31), down: Uint8Array.of(0x30) }

/** Answers of the remote broker that change how the next CONNECT is made. */
export interface ConnectManner {
  readonly protocolVersion: ProtocolVersion
  /** Whether the top bit of the protocol level says that this is a bridge. */
  readonly isPrivate: boolean
  /** Whether the Will has RETAIN, and its QoS. */
  readonly willRetain: boolean
  readonly willQoS: QoS
}

/** The remote broker's refusal of a CONNECT. */
export class Refusal {
  /** Reason Code or return code as on the wire. */
  readonly code: number
  readonly text: string

  constructor(code: number, text: string) {
    this.code = code
    this.text = text
  }
}

export interface LinkOwner {
  /** The remote broker has accepted. */
  linkUp(link: BridgeLink): void
  /** The link has ended; `refusal` when CONNACK had a failure, else `null`. */
  linkEnded(link: BridgeLink, why: string, refusal: Refusal | null): void
  /** A topic is stopped, because its messages come back again and again. */
  topicStopped(topic: string): void
  /** A message is not sent, because the cloud would refuse it. */
  messageRefused(topic: string, why: string): void
  /** The remote broker has refused a subscription. */
  subscriptionRefused(topicFilter: string, reasonCode: number): void
}

export interface LinkParts {
  readonly config: BridgeConfig
  readonly relay: Relay
  readonly topics: TopicMap
  readonly lineage: FarLineage
  readonly echoes: EchoWatch
  readonly room: LineRoom
  readonly environment: Environment
  readonly manner: ConnectManner
  /** Password for the remote broker; null for none. */
  readonly password: string | null
  /** Topic of notifications. */
  readonly notificationTopic: string
  /** Address of the remote broker, HOST:PORT. */
  readonly address: string
  /** Messages that may be in flight at once in each direction. */
  readonly inflightMax: number
}

/** A packet of the bridge's own that waits for its answer. */
interface Asked {
  readonly topicFilter: string
}

const State = { Connecting: 0, Up: 1, Ended: 2 } as const

export class BridgeLink implements ConnectionHandler, RelayPeer {
  readonly #parts: LinkParts
  readonly #owner: LinkOwner
  readonly #connection: Connection
  #state: number = State.Connecting
  #refusal: Refusal | null = null
  /** Reason that the server has given in DISCONNECT, or that we have; null for none. */
  #why: string | null = null
  readonly #aliasesIn: TopicAliasReceiver
  /** Publisher; null before the remote broker has accepted. */
  #publisher: FarPublisher | null = null
  /** Whether messages have the path of their brokers. */
  #hasPaths = false
  /** Identity of the remote broker on paths; '' when it has not told it. */
  #farIdentity = ''
  /** Watch for loops where there are no paths; null where there are. */
  #echoes: EchoWatch | null = null
  #maximumQoS: QoS = 2
  #retainAvailable = true
  /** Topics whose retained messages are asked for when the remote broker has what waited here. */
  #settling: BridgeTopic[] = []
  /** Messages that waited or were in flight when the connection began, and answers since then. */
  #backlog = 0
  #answered = 0
  /** Messages that may be outstanding. */
  #flightMaximum = 0
  /** Session there, and its subscriptions as text. */
  #place = ''
  #subscriptions = ''
  /** SUBSCRIBE packets without an answer, and whether a subscription was refused. */
  #subscribing = 0
  #isRefused = false
  /** Note about the session there before CONNECT was sent. */
  #noteBefore: string | null = null
  /** Whether CONNECT has been sent. */
  #isAsked = false
  /** Timer until the remote broker is asked whether retained messages of QoS 0 have arrived. */
  #proofTimer: Timer | null = null
  /** Watch for the last retained message of new subscriptions. */
  readonly #arrival: RetainedArrival
  /** Whether the remote broker had a session of this bridge. */
  isFarPresent = false
  /** Whether anything has come from the other side, in MQTT or not. */
  hasAnswered = false

  constructor(parts: LinkParts, transport: Transport, owner: LinkOwner) {
    const { config, environment, manner } = parts
    this.#parts = parts
    this.#owner = owner
    this.#aliasesIn = new TopicAliasReceiver(manner.protocolVersion === 5 ? config.topicAliasMaximum : 0)
    this.#connection = new Connection(transport, environment, manner.protocolVersion, PACKET_SIZE_MAX, null, this)
    const { relay, lineage } = parts
    this.#arrival = new RetainedArrival({
      ...{ connection: this.#connection, environment, relay },
      done: () => {
        relay.note = lineage.note(this.#place, this.#subscriptions)
      },
    })
  }

  /** Sends CONNECT, when it is on the disk that one is under way. */
  start(): void {
    this.#connection.start()
    const { relay, lineage } = this.#parts
    this.#noteBefore = relay.note
    const note = lineage.noteAsked(this.#noteBefore)
    if (note === null) {
      this.#sendConnect()
      return
    }
    relay.note = note
    relay.whenSafe(() => {
      if (this.#state === State.Connecting) this.#sendConnect()
    })
  }

  #sendConnect(): void {
    this.#isAsked = true
    try {
      this.#connection.send(this.#connect())
    } catch (error) {
      // A user name that is too long for the packet: nothing was sent.
      this.end((error as Error).message)
      return
    }
    this.#connection.flush()
  }

  /** Time of the last message to the remote broker, on the clock of `Environment.now`. */
  get lastMessageMs(): number {
    return this.#publisher?.lastMessageMs ?? 0
  }

  #connect(): Connect {
    const { config, manner, notificationTopic, inflightMax, password } = this.#parts
    const { protocolVersion } = manner
    const properties: Properties = {}
    if (protocolVersion === 5) {
      // In the order of Mosquitto.
      if (config.topicAliasMaximum > 0) properties.topicAliasMaximum = config.topicAliasMaximum
      const expirySeconds = config.sessionExpirySeconds ?? (config.cleanStart ? 0 : NEVER_SECONDS)
      if (expirySeconds > 0) properties.sessionExpiryIntervalSeconds = expirySeconds
      // A remote Recado answers with its own.
      const { identity } = this.#parts.relay
      const isTold = identity !== null && config.path !== 'off' && config.cloud === null
      if (isTold) properties.userProperties = [[PATH_PROPERTY, identity]]
      properties.receiveMaximum = config.receiveMaximum ?? Math.min(inflightMax, 65_535)
    }
    const will: Will | undefined =
      config.notifications === 'both'
        ? {
            topic: notificationTopic,
            payload: DIGITS.down,
            qos: manner.willQoS,
            retain: manner.willRetain,
            properties: {},
          }
        : undefined
    return new Connect({
      protocolVersion,
      cleanStart: config.cleanStart,
      keepAliveSeconds: config.keepAliveSeconds,
      clientId: config.remoteClientId,
      will,
      username: config.remoteUsername ?? undefined,
      password: password === null ? undefined : new TextEncoder().encode(password),
      isBridge: manner.isPrivate,
      ...(protocolVersion === 5 ? { properties } : {}),
    })
  }

  /** Ends the link; the remote broker publishes the Will. */
  end(why: string): void {
    if (this.#state === State.Ended) return
    this.#why ??= why
    this.#leave()
    this.#connection.destroy()
  }

  /**
   * Ends the link in good order, when the bridge is stopped: all that was sent goes out first. The Will says that the
   * bridge is gone, so it is not taken back.
   */
  finish(why: string): void {
    if (this.#state === State.Ended) return
    this.#why ??= why
    const hasWill = this.#parts.config.notifications === 'both'
    this.#leave()
    if (!hasWill) this.#connection.end(new Disconnect(ReasonCode.NormalDisconnection))
    else if (this.#connection.protocolVersion === 5) {
      this.#connection.end(new Disconnect(ReasonCode.DisconnectWithWillMessage))
    } else this.#connection.end(null)
  }

  #leave(): void {
    const wasUp = this.#state === State.Up
    this.#state = State.Ended
    this.#publisher?.end()
    this.#arrival.end()
    this.#parts.room.emptied(this.#parts.environment.now())
    if (this.#proofTimer !== null) this.#parts.environment.clearTimer(this.#proofTimer)
    if (!this.#isAsked) this.#parts.relay.note = this.#noteBefore
    if (wasUp) this.#parts.relay.detach(this.#why ?? 'the connection was closed')
  }

  // --- the connection -----------------------------------------------------------------------------------------------

  handleClosed(error: MqttError | null): void {
    this.#why ??= error === null ? 'the connection was closed' : dialFailure(error)
    this.hasAnswered ||= error !== null && (error instanceof ProtocolError || isOfTls(error))
    this.#leave()
    this.#owner.linkEnded(this, this.#why, this.#refusal)
  }

  handleDrain(): void {
    this.#parts.room.emptied(this.#parts.environment.now())
    if (this.#state !== State.Up) return
    try {
      this.#parts.relay.handleDrain()
    } catch (error) {
      this.#fault('drain of a bridge', error)
    }
  }

  handlePacket(packet: Packet): void {
    this.hasAnswered = true
    try {
      this.#handle(packet)
      if (this.#settling.length > 0 && this.#state === State.Up) this.#settle()
    } catch (error) {
      if (error instanceof MqttError) throw error
      this.#fault('packet of a bridge', error)
    }
  }

  /** An error of ours ends this connection, and nothing else. */
  #fault(where: string, error: unknown): void {
    this.#parts.relay.fault(where, error)
    this.end('an error of the broker')
  }

  #handle(packet: Packet): void {
    const { relay } = this.#parts
    if (this.#state === State.Connecting) {
      if (packet.type !== PacketType.CONNACK) {
        throw new ProtocolError(ReasonCode.ProtocolError, `packet type ${packet.type} before CONNACK`)
      }
      this.#handleConnack(packet)
      return
    }
    if (this.#state !== State.Up) return
    switch (packet.type) {
      case PacketType.PUBLISH:
        this.#handlePublish(packet)
        return
      case PacketType.PUBACK:
        this.#handlePuback(packet.packetId, packet.reasonCode)
        return
      case PacketType.PUBREC:
        if (packet.reasonCode >= 0x80) this.#answered++
        relay.handlePubrec(packet.packetId, packet.reasonCode)
        return
      case PacketType.PUBREL:
        relay.handlePubrel(packet.packetId)
        return
      case PacketType.PUBCOMP:
        if (this.#parts.lineage.takePubcomp(packet.packetId)) return
        this.#answered++
        relay.handlePubcomp(packet.packetId)
        return
      case PacketType.SUBACK: {
        const asked = relay.freePacketId(packet.packetId) as Asked | null
        if (asked !== null) this.#handleSuback(asked.topicFilter, packet.reasonCodes)
        return
      }
      case PacketType.UNSUBACK:
        relay.freePacketId(packet.packetId)
        return
      case PacketType.DISCONNECT: {
        const { reasonCode, properties } = packet
        const reason = properties.reasonString === undefined ? '' : `: ${properties.reasonString}`
        this.end(`the remote broker has disconnected: ${reasonCodeName(reasonCode)}${reason}`)
        return
      }
      default:
        throw new ProtocolError(ReasonCode.ProtocolError, `packet type ${packet.type} from a server`)
    }
  }

  #handleConnack(connack: Connack): void {
    const { config, relay, lineage, inflightMax, address } = this.#parts
    const { reasonCode, properties } = connack
    if (reasonCode !== 0) {
      const text = refusalText(reasonCode, properties)
      this.#refusal = new Refusal(reasonCode, text)
      // It has made no session.
      relay.note = this.#noteBefore
      this.end(`Connection Refused: ${text}`)
      return
    }
    const connection = this.#connection
    const isV5 = connection.protocolVersion === 5
    this.#farIdentity = pathOf(properties)
    connection.maximumPacketSize = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
    this.#maximumQoS = (properties.maximumQoS ?? 2) as QoS
    this.#retainAvailable = properties.retainAvailable ?? true
    this.#hasPaths = isV5 && config.path !== 'off' && relay.identity !== null
    if (!this.#hasPaths && config.topics.some(({ direction }) => direction !== 'out')) this.#echoes = this.#parts.echoes
    connection.establish(this, properties.serverKeepAliveSeconds ?? config.keepAliveSeconds)
    this.#state = State.Up
    const isNearPresent = relay.openSession()
    const newFilters = relay.takeNewFilters()
    const place = `${config.remoteClientId}@${address}`
    // 3.1 does not say whether the session is there; without Clean Session it should be.
    const isGuess = connection.protocolVersion === 3
    const isPresent = isGuess ? isNearPresent && lineage.isKnown(place, this.#noteBefore) : connack.sessionPresent
    this.isFarPresent = isPresent && !config.cleanStart
    const subscriptions = config.topics
      .filter(({ direction }) => direction !== 'out')
      .map(({ remoteFilter, qos }) => `${qos} ${remoteFilter}`)
      .join('\n')
    const isFarNew = lineage.accepted(place, subscriptions, this.isFarPresent, isNearPresent, this.#noteBefore)
    this.#place = place
    this.#subscriptions = subscriptions
    // Until the remote broker has answered all SUBSCRIBE packets, it may forget them with its next crash.
    relay.note = lineage.note(place, lineage.hasSubscriptions ? subscriptions : '')
    const farMaximum = isV5 ? (properties.receiveMaximum ?? 65_535) : this.#inflightUntold
    const receiveMaximum = Math.min(inflightMax, farMaximum)
    this.#publisher = this.#makePublisher(properties, receiveMaximum)
    const outgoing = this.#outgoing
    if (config.notifications === 'both') this.#notify(DIGITS.up)
    this.#backlog = relay.figures.queuedMessages + relay.figures.inFlight
    const isBehind = relay.isBehind || relay.hasRetained(outgoing)
    for (const topic of config.topics) this.#subscribe(topic, isBehind)
    this.#owner.linkUp(this)
    if (this.#state !== State.Up) return
    // A batch may have more messages than may be outstanding.
    const flightMaximum = config.batch === null ? receiveMaximum : Math.max(receiveMaximum, 2 * config.batch.count)
    this.#flightMaximum = flightMaximum
    const isUnsure = isGuess || lineage.isInDoubt
    relay.attach(this, address, flightMaximum - (this.#publisher.isNoticeOut ? 1 : 0), isFarNew, isUnsure)
    // A remote broker with a new session may have lost all.
    const isWhole = !this.isFarPresent || lineage.isInDoubt
    relay.sendRetained(outgoing, isWhole, this.#queuedFilters(newFilters))
    this.#settle()
  }

  #makePublisher(properties: Properties, receiveMaximum: number): FarPublisher {
    const { config, relay, topics, lineage, room, environment } = this.#parts
    const ownMaximum = config.maxPacketBytes === 0 ? PACKET_SIZE_MAX : config.maxPacketBytes
    return new FarPublisher({
      ...{ config, relay, topics, lineage, room, environment, receiveMaximum },
      connection: this.#connection,
      maximumPacketSize: Math.min(ownMaximum, properties.maximumPacketSize ?? PACKET_SIZE_MAX),
      maximumQoS: this.#maximumQoS,
      retainAvailable: this.#retainAvailable,
      topicAliasMaximum: Math.min(properties.topicAliasMaximum ?? 0, config.topicAliasMaximum),
      path: this.#hasPaths ? new PathWriter(relay.identity!) : null,
      echoes: this.#echoes,
      refused: (topic, why) => this.#owner.messageRefused(topic, why),
    })
  }

  /** Local subscriptions whose retained messages are compared. */
  get #outgoing(): Set<string> {
    const { topics } = this.#parts.config
    return new Set(topics.filter(({ direction }) => direction !== 'in').map(({ localFilter }) => localFilter))
  }

  /**
   * Local subscriptions whose retained messages of QoS 1 and 2 have waited in the queue, so that only those of QoS 0 are
   * compared.
   */
  #queuedFilters(newFilters: ReadonlySet<string>): Set<string> {
    const filters = new Set<string>()
    if (this.#parts.config.localCleanStart) return filters
    for (const { direction, localFilter, qos } of this.#parts.config.topics) {
      if (direction !== 'in' && qos > 0 && !newFilters.has(localFilter)) filters.add(localFilter)
    }
    return filters
  }

  /** Messages in flight before MQTT 5.0. Without QoS 2 none is dropped. */
  get #inflightUntold(): number {
    const isExact = this.#parts.config.topics.some(({ direction, qos }) => direction !== 'in' && qos === 2)
    return isExact ? BRIDGE_INFLIGHT_MAX : 65_535
  }

  #notify(payload: Uint8Array): void {
    const { relay, notificationTopic } = this.#parts
    const qos = Math.min(1, this.#maximumQoS) as QoS
    const packetId = qos === 0 ? 0 : relay.takePacketId({ topicFilter: notificationTopic } satisfies Asked)
    const retain = this.#retainAvailable
    // It counts as outstanding, as any message does. [MQTT-3.3.4-9]
    this.#publisher!.isNoticeOut = qos > 0
    this.#connection.send(PublishPacket.of({ topic: notificationTopic, payload, qos, retain, packetId }))
  }

  /**
   * Subscribes to a topic that comes in, and ends a subscription of earlier to one that goes out.
   *
   * Where a topic goes both ways and this broker is behind, the retained messages there are older than what waits here:
   * they would bring back what has been deleted here. They are asked for when the remote broker has what waits.
   */
  #subscribe(topic: BridgeTopic, isBehind: boolean): void {
    const { relay, config, lineage } = this.#parts
    const { direction, remoteFilter, qos } = topic
    if (direction === 'out') {
      if (!config.attemptUnsubscribe) return
      const packetId = relay.takePacketId({ topicFilter: remoteFilter } satisfies Asked)
      this.#connection.send(new Unsubscribe(packetId, [remoteFilter]))
      return
    }
    const isV5 = this.#connection.protocolVersion === 5
    // The changes since have waited there, and before 5.0 a SUBSCRIBE would bring all retained messages.
    const isKept = lineage.hasSubscriptions && qos > 0 && this.#connection.protocolVersion > 3
    if (isKept && !isV5) return
    const isLater = direction === 'both' && isBehind && !isKept
    if (isLater) this.#settling.push(topic)
    // Where it is in doubt, the remote broker knows whether the subscription is new.
    const isAsNeeded = isKept || (lineage.hadSubscriptions && qos > 0)
    this.#sendSubscribe(topic, isLater ? 2 : isAsNeeded ? 1 : 0)
  }

  /** @throws ProtocolError unless there is one Reason Code, as each SUBSCRIBE has one Topic Filter */
  #handleSuback(topicFilter: string, reasonCodes: readonly number[]): void {
    if (reasonCodes.length !== 1) {
      const what = `SUBACK for ${topicFilter} has ${reasonCodes.length} Reason Codes instead of 1`
      throw new ProtocolError(ReasonCode.ProtocolError, what)
    }
    const [code] = reasonCodes as [number]
    if (code >= 0x80) {
      this.#isRefused = true
      this.#owner.subscriptionRefused(topicFilter, code)
    }
    this.#subscribing--
    this.#noteSubscriptions()
  }

  /**
   * Keeps what the remote broker has subscribed to, so that it need not be asked again with the next connection. What is
   * retained there must have come: it would not be sent again.
   */
  #noteSubscriptions(): void {
    if (this.#subscribing > 0 || this.#settling.length > 0 || this.#isRefused) return
    const { relay, lineage } = this.#parts
    if (lineage.hasSubscriptions) relay.note = lineage.note(this.#place, this.#subscriptions)
    else this.#arrival.start()
  }

  #sendSubscribe({ remoteFilter, qos }: BridgeTopic, retainHandling: 0 | 1 | 2): void {
    this.#subscribing++
    const packetId = this.#parts.relay.takePacketId({ topicFilter: remoteFilter } satisfies Asked)
    const isV5 = this.#connection.protocolVersion === 5
    const isShared = remoteFilter.startsWith('$share/')
    this.#connection.send(
      new Subscribe(packetId, [
        {
          topicFilter: remoteFilter,
          qos: Math.min(qos, this.#maximumQoS) as QoS,
          noLocal: isV5 && !isShared,
          retainAsPublished: isV5,
          retainHandling: isV5 && !isShared ? retainHandling : 0,
        },
      ]),
    )
  }

  /** Asks for retained messages of topics that go both ways, when the remote broker has all that waited here. */
  #settle(): void {
    if (this.#settling.length === 0) return
    const { relay } = this.#parts
    if (relay.isBehind && (this.#answered < this.#backlog || relay.figures.retainedWalks > 0)) return
    const topics = this.#settling
    this.#settling = []
    for (const topic of topics) this.#sendSubscribe(topic, 0)
  }

  #handlePublish(publish: Publish): void {
    this.#arrival.received(publish)
    const remoteTopic = this.#aliasesIn.resolve(publish)
    const { relay, topics, config } = this.#parts
    const topic = topics.local(remoteTopic)
    if (topic !== null && topic !== remoteTopic) publish.topicField = null
    if (publish.retain && this.#settling.length > 0 && this.#isSettling(remoteTopic)) {
      // Retained when the remote broker is asked for it once more; of what is deleted there it will say nothing then.
      const isDeletion = publish.payloadStart === publish.payloadEnd
      if (!isDeletion || topic === null || relay.isNewHere(topic)) publish.retain = false
    }
    if (this.#hasPaths) {
      const path = this.#believedPath(publish, remoteTopic)
      if (path === null || isOnPath(path, relay.identity!)) {
        relay.refusePublish(publish, topic ?? remoteTopic, 'loop')
        return
      }
      // What a remote broker sends to its subscribers has not its name on the path.
      if (config.path === 'keep') {
        const marks = marksOf(topic ?? remoteTopic, payloadOf(publish))
        publish.properties = withPath(publish.properties, this.#pathFrom(path), marks)
      } else if (path !== '') publish.properties = withPath(publish.properties, '', '')
    } else if (this.#echoes !== null && topic !== null && this.#comesBack(topic, publish)) {
      relay.refusePublish(publish, topic, 'loop')
      return
    }
    relay.handlePublish(publish, topic)
  }

  /** Path that a message from the remote broker has come by; null when it was published anew too often. */
  #believedPath(publish: Publish, remoteTopic: string): string | null {
    // A Recado has looked at what its clients publish.
    if (this.#farIdentity !== '') return pathOf(publish.properties)
    return believedPath(pathProperty(publish.properties), remoteTopic, payloadOf(publish), false)
  }

  /** Path of a message from the remote broker: that one and this one at its end. */
  #pathFrom(path: string): string {
    const farIdentity = this.#farIdentity
    return pathWith(farIdentity === '' ? path : pathWith(path, farIdentity), this.#parts.relay.identity!)
  }

  /** Whether a message is one of a loop, and not to be taken. */
  #comesBack(topic: string, publish: Publish): boolean {
    const verdict = this.#echoes!.received(topic, payloadOf(publish), this.#parts.environment.now())
    if (verdict === 'stopped-now') this.#owner.topicStopped(topic)
    return verdict !== 'fine'
  }

  #isSettling(remoteTopic: string): boolean {
    return this.#settling.some(({ remoteFilter }) => topicMatches(remoteFilter, remoteTopic))
  }

  #handlePuback(packetId: number, reasonCode: ReasonCode): void {
    const { relay } = this.#parts
    const owner = relay.freePacketId(packetId)
    if (owner instanceof SentBatch) {
      this.#answered += owner.members.length
      this.#publisher!.batchAnswered(owner, reasonCode)
    } else if (owner !== null) this.#noticeAnswered()
    if (owner !== null) return
    if (this.#publisher!.takeLowered(packetId, reasonCode)) {
      // One that was taken is counted at the end of its flow.
      if (reasonCode >= 0x80) this.#answered++
      return
    }
    this.#answered++
    relay.handlePuback(packetId, reasonCode)
  }

  #noticeAnswered(): void {
    if (!this.#publisher!.isNoticeOut) return
    this.#publisher!.isNoticeOut = false
    this.#parts.relay.setReceiveMaximum(this.#flightMaximum)
  }

  /** Finds out now and then whether retained messages of QoS 0 have arrived: what is lost comes with the next connection. */
  #proveLater(): void {
    const { environment, relay } = this.#parts
    this.#proofTimer ??= environment.setTimer(() => {
      this.#proofTimer = null
      const proved = relay.proveRetained()
      if (proved === null) return
      this.#connection.ping(() => {
        proved()
        if (this.#state === State.Up) this.#proveLater()
      })
    }, PROOF_MS)
  }

  // --- the relay ----------------------------------------------------------------------------------------------------

  makeRoom(): boolean {
    return this.#state === State.Up && this.#publisher!.makeRoom()
  }

  publish(message: RelayedMessage, qos: QoS, retain: boolean, dup: boolean, packetId: number): DropReason | null {
    if (qos === 0 && retain) this.#proveLater()
    return this.#publisher!.publish(message, qos, retain, dup, packetId)
  }

  sendPubrel(packetId: number): void {
    this.#publisher!.sendPubrel(packetId)
  }

  sendAck(packetType: 4 | 5 | 7, packetId: number): void {
    // The connection writes Success only; a relay refuses nothing.
    this.#connection.sendAck(packetType as 4 | 5 | 6 | 7, packetId)
  }

  flush(): void {
    if (this.#settling.length > 0) this.#settle()
    this.#connection.flush()
    this.#answered += this.#publisher?.answer() ?? 0
    if (this.#settling.length === 0) return
    this.#settle()
    this.#connection.flush()
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }
}

const payloadOf = ({ buffer, payloadStart, payloadEnd }: Publish): Uint8Array =>
  buffer.subarray(payloadStart, payloadEnd)
