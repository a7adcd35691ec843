/**
 * The life of one bridge: when it connects, to which address, when it tries again, and what it says of itself.
 *
 * `Bridges` makes one for each `connection` section. Time, randomness and the network come from an `Environment`, the
 * session at this broker is a `Relay`. Invariants: at most one link or attempt at a time; after `stop` nothing happens
 * any more; whatever fails is told with its reason and tried again, and is never a reason for the broker to end.
 */
import type { Relay, RelayFigures, RelayOptions } from '@recado/broker'
import { type DialOptions, type Environment, serverAddress, type Timer, type Transport } from '@recado/client/low-level'
import { MqttError, type QoS, reasonCodeName } from '@recado/protocol'
import type { BridgeAddress, BridgeConfig } from '../config/bridges.ts'
import type { LogFields, LogType } from '../log.ts'
import { AddressProbe } from './address-probe.ts'
import { BridgeLink, type ConnectManner, type LinkOwner, type Refusal } from './bridge-link.ts'
import { credentialAt } from './clouds/sas-token.ts'
import { dialFailure } from './dial-hints.ts'
import { EchoWatch } from './echo-watch.ts'
import { FarLineage, identityIn } from './far-lineage.ts'
import { LineRoom } from './line-room.ts'
import { RestartPause } from './restart-pause.ts'
import { TopicMap } from './topic-map.ts'

/** Milliseconds that the remote broker has to accept a connection. */
const CONNECT_TIMEOUT_MS = 30_000
/**
 * Milliseconds from one look at the first address to the next, while the bridge is at another one; the longest, when it
 * can be reached and does not accept.
 */
const FAILBACK_MS = 5_000
const FAILBACK_MS_MAX = 300_000
/** Milliseconds from one look of a lazy bridge at its queue, or at its idle connection, to the next. */
const LAZY_LOOK_MS = 1_000

/** Characters of the identity of a broker, of 36 kinds: 62 bits. */
const IDENTITY_LENGTH = 12

/** Milliseconds from one line about a message that a cloud would refuse to the next. */
const REFUSED_LOG_MS = 60_000

/** Surroundings of a bridge. */
export interface BridgeParts {
  readonly environment: Environment
  /** Makes the session at this broker. @throws MqttError */
  readonly relay: (options: RelayOptions) => Relay
  /** Options to connect with; read for each attempt. @throws MqttError for a file that cannot be read */
  readonly dialOptions: () => DialOptions
  /** Publishes the state of the bridge at this broker, retained. */
  readonly publish: (topic: string, payload: string) => void
  /** Called when its state has changed. */
  readonly changed: () => void
  readonly log: (type: LogType, event: string, text: string, fields?: LogFields) => void
}

/** Figures of a bridge without a session. */
const NOTHING: RelayFigures = { queuedMessages: 0, queuedBytes: 0, inFlight: 0, droppedMessages: 0, retainedWalks: 0 }

export type BridgeState = 'connecting' | 'connected' | 'waiting' | 'idle' | 'stopped'

/** State of a bridge, for `$SYS`, metrics and people. */
export interface BridgeFigures extends RelayFigures {
  readonly name: string
  readonly state: BridgeState
  /** Address of the remote broker that it is connected to, or tries, HOST:PORT. */
  readonly address: string
  /** Times that the remote broker has accepted. */
  readonly connections: number
  /** Last failure in words; '' when there was none. */
  readonly lastError: string
  /** Seconds until the next attempt; null when none is due. */
  readonly nextTrySeconds: number | null
  /** Seconds since the remote broker had all messages; 0 while it has. */
  readonly lagSeconds: number
}

export class Bridge implements LinkOwner {
  readonly config: BridgeConfig
  readonly #parts: BridgeParts
  readonly #topics: TopicMap
  readonly #pause: RestartPause
  readonly #lineage: FarLineage = new FarLineage()
  readonly #echoes: EchoWatch = new EchoWatch()
  readonly #room: LineRoom = new LineRoom()
  readonly #notificationTopic: string
  #manner: ConnectManner
  #relay: Relay | null = null
  #ownState: BridgeState = 'stopped'
  #link: BridgeLink | null = null
  /** Ends the attempt to open a network connection; null when there is none. */
  #attempt: AbortController | null = null
  #addressIndex = 0
  #connections = 0
  #lastError = ''
  #nextTryMs: number | null = null
  #connectedMs = 0
  #timer: Timer | null = null
  /** Timer of what a bridge looks at now and then: the first address, an idle connection, a threshold. */
  #lookTimer: Timer | null = null
  /** Look at the first address; null when there is none. */
  #probe: AddressProbe | null = null
  /** Pause between two looks at the first address, and the time before which there is none. */
  #failbackMs = FAILBACK_MS
  #failbackAfterMs: number = Number.NEGATIVE_INFINITY
  /** Whether the bridge is on its way back to the first address, which has not accepted yet. */
  #isFailingBack = false
  /** Whether the link is ended to connect again at once: to the first address, or with a new password. */
  #isMoving = false
  /** Time of the last line about a message that a cloud would refuse. */
  #refusedMs: number = Number.NEGATIVE_INFINITY
  /** Milliseconds after which the password of the link must be renewed; null for never. */
  #renewAfterMs: number | null = null
  /** Timer until the password must be renewed. */
  #renewTimer: Timer | null = null
  /** Time at which the remote broker had all messages, the last time that somebody looked. */
  #caughtUpMs: number
  /** Called when the connection is lost, before the next attempt; null for nothing. */
  #whenLost: (() => void) | null = null

  constructor(config: BridgeConfig, parts: BridgeParts) {
    this.config = config
    this.#parts = parts
    this.#topics = new TopicMap(config.topics, config.cloud === 'azure-iot-hub' ? config.remoteClientId : null)
    this.#pause = new RestartPause(config.restart, () => parts.environment.random())
    this.#notificationTopic = config.notificationTopic ?? `$SYS/broker/connection/${config.remoteClientId}/state`
    this.#caughtUpMs = parts.environment.now()
    this.#manner = {
      protocolVersion: config.protocolVersion,
      isPrivate: config.tryPrivate && config.protocolVersion < 5,
      willRetain: true,
      willQoS: 1,
    }
  }

  /** Opens the session at this broker: messages wait in it from now on. @throws MqttError when that is not possible */
  open(): void {
    const { config } = this
    this.#relay = this.#parts.relay({
      clientId: config.localClientId,
      username: config.localUsername ?? undefined,
      cleanStart: config.localCleanStart,
      // Over its rate a message waits, whatever its QoS.
      queueQoS0: config.queueQoS0 || config.startType === 'lazy' || config.ratePerSecond > 0,
      subscriptions: config.topics
        .filter(({ direction }) => direction !== 'in')
        .map(({ localFilter, qos }) => ({ topicFilter: localFilter, qos: qos as QoS })),
    })
    for (const { direction, localFilter } of config.topics) {
      if (direction === 'in') continue
      const text = `Bridge ${config.localClientId} doing local SUBSCRIBE on topic ${localFilter}`
      this.#log('debug', 'bridge.subscribe', text, { topicFilter: localFilter })
    }
    if (config.path !== 'off') this.#relay.identity ??= identityIn(this.#relay.note) ?? this.#newIdentity()
    this.#tell('0')
  }

  #newIdentity(): string {
    const { environment } = this.#parts
    let identity = ''
    while (identity.length < IDENTITY_LENGTH) identity += Math.floor(environment.random() * 36).toString(36)
    return identity
  }

  /** Connects. Call `open` before. */
  start(): void {
    this.#connect()
  }

  /** Stops. `isForGood`: the session at this broker ends, with the messages that wait in it. */
  stop(isForGood: boolean): void {
    if (this.#relay === null) return
    this.#state = 'stopped'
    this.#clearTimers()
    this.#attempt?.abort(new Error('the bridge is stopped'))
    this.#attempt = null
    const link = this.#link
    this.#link = null
    link?.finish('the bridge is stopped')
    this.#relay.close(isForGood)
    this.#relay = null
    this.#tell('0')
    // Nobody would ever change it again.
    if (isForGood) this.#tell('')
  }

  /**
   * Calls back when the connection is lost, or now when there is none. It takes the place of an earlier callback; null
   * takes that back.
   */
  whenLost(callback: (() => void) | null): void {
    if (callback === null || this.#link !== null) this.#whenLost = callback
    else callback()
  }

  get figures(): BridgeFigures {
    const relay = this.#relay?.figures ?? NOTHING
    const nowMs = this.#parts.environment.now()
    if (relay.queuedMessages + relay.inFlight === 0) this.#caughtUpMs = nowMs
    return {
      ...relay,
      name: this.config.name,
      state: this.#state,
      address: addressText(this.#address),
      connections: this.#connections,
      lastError: this.#lastError,
      nextTrySeconds: this.#nextTryMs === null ? null : Math.max(0, Math.round((this.#nextTryMs - nowMs) / 1000)),
      lagSeconds: Math.round((nowMs - this.#caughtUpMs) / 1000),
    }
  }

  get #state(): BridgeState {
    return this.#ownState
  }

  set #state(state: BridgeState) {
    this.#ownState = state
    // Behind what else changes with it.
    this.#parts.environment.defer(this.#parts.changed)
  }

  get #address(): BridgeAddress {
    return this.config.addresses[this.#addressIndex % this.config.addresses.length]!
  }

  // --- connecting ---------------------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#relay === null || this.#link !== null || this.#attempt !== null) return
    const { environment, dialOptions } = this.#parts
    this.#clearTimers()
    this.#keepSession()
    this.#state = 'connecting'
    const { host, port } = this.#address
    const { name } = this.config
    this.#log('notice', 'bridge.connecting', `Connecting bridge ${name} (${host}:${port})`, { host, port })
    let options: DialOptions
    try {
      options = dialOptions()
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.#failed(error.message)
      return
    }
    const attempt = new AbortController()
    this.#attempt = attempt
    this.#timer = environment.setTimer(() => {
      const why = `no answer within ${CONNECT_TIMEOUT_MS / 1000} s`
      if (this.#attempt !== null) this.#attempt.abort(new MqttError('ERR_RECADO_BRIDGE', why))
      else this.#link?.end(why)
    }, CONNECT_TIMEOUT_MS)
    const server = serverAddress(this.config.tls === null ? 'mqtt' : 'mqtts', host, port)
    environment.dial(server, options, attempt.signal).then(
      (transport) => {
        if (this.#attempt === attempt) this.#opened(transport)
        else transport.destroy()
      },
      (error: Error) => {
        if (this.#attempt !== attempt) return
        this.#attempt = null
        this.#failed(dialFailure(error))
      },
    )
  }

  /** Opens the session here again when an administrator has removed it: messages must not be lost until the next answer. */
  #keepSession(): void {
    if (!this.config.localCleanStart) this.#relay?.openSession()
  }

  #opened(transport: Transport): void {
    const { config } = this
    this.#attempt = null
    const dateMs = this.#parts.environment.date?.() ?? Date.now()
    const credential = config.sas === null ? null : credentialAt(config.sas, dateMs)
    this.#renewAfterMs = credential === null ? null : Math.max(0, credential.renewAtMs - dateMs)
    const link = new BridgeLink(
      {
        config,
        relay: this.#relay!,
        topics: this.#topics,
        lineage: this.#lineage,
        echoes: this.#echoes,
        room: this.#room,
        environment: this.#parts.environment,
        manner: this.#manner,
        password: credential?.password ?? config.remotePassword,
        notificationTopic: this.#notificationTopic,
        address: addressText(this.#address),
        inflightMax: this.#relay!.inflightMax,
      },
      transport,
      this,
    )
    this.#link = link
    this.#log('debug', 'bridge.connect', `Bridge ${config.remoteClientId} sending CONNECT`)
    link.start()
  }

  linkUp(link: BridgeLink): void {
    if (link !== this.#link) return
    const { environment } = this.#parts
    this.#clearTimers()
    this.#state = 'connected'
    this.#connections++
    this.#nextTryMs = null
    this.#connectedMs = environment.now()
    if (this.#addressIndex === 0) this.#failbackMs = FAILBACK_MS
    this.#isFailingBack = false
    const { name } = this.config
    const where = addressText(this.#address)
    const session = link.isFarPresent ? 'its session is there' : 'a new session there'
    this.#log('notice', 'bridge.connected', `Bridge ${name} connected to ${where} (${session}).`, { address: where })
    this.#tell('1')
    this.#lookLater()
    if (this.#renewAfterMs === null) return
    this.#renewTimer = environment.setTimer(() => {
      this.#renewTimer = null
      this.#isMoving = true
      this.#link?.finish('the password is renewed')
    }, this.#renewAfterMs)
  }

  linkEnded(link: BridgeLink, why: string, refusal: Refusal | null): void {
    if (link !== this.#link) return
    this.#link = null
    this.#clearTimers()
    if (this.#state === 'connected') {
      this.#pause.connectionEnded(this.#parts.environment.now() - this.#connectedMs)
      this.#tell('0')
    }
    const whenLost = this.#whenLost
    if (whenLost !== null) {
      this.#whenLost = null
      whenLost()
      return
    }
    if (this.#state === 'idle') {
      this.#lookLater()
      return
    }
    if (this.#isMoving) {
      this.#isMoving = false
      this.#connect()
      return
    }
    if (this.#state === 'connecting' && this.#changeManner(refusal)) {
      this.#connect()
      return
    }
    const isUnanswered = this.#state === 'connecting' && !link.hasAnswered && this.#manner.isPrivate
    this.#failed(
      isUnanswered ? `${why}, before it answered (some do so when they see a bridge: try_private false)` : why,
    )
  }

  messageRefused(topic: string, why: string): void {
    const nowMs = this.#parts.environment.now()
    this.#lastError = `a message to ${topic} is not sent: ${why}`
    if (nowMs < this.#refusedMs + REFUSED_LOG_MS) return
    this.#refusedMs = nowMs
    const text = `Warning: Bridge ${this.config.name}: ${this.#lastError}`
    this.#log('warning', 'bridge.message-refused', text, { topic })
  }

  topicStopped(topic: string): void {
    const { name } = this.config
    const text = `Bridge ${name}: messages of ${topic} come back again and again: the brokers are joined in a loop. The topic is stopped for a minute; take it out of one bridge, or use bridge_protocol_version mqttv50.`
    this.#lastError = text
    this.#log('error', 'bridge.loop', `Error: ${text}`, { topic })
  }

  subscriptionRefused(topicFilter: string, reasonCode: number): void {
    const { name } = this.config
    const text = `Bridge ${name}: the remote broker refuses the subscription to ${topicFilter}: ${reasonCodeName(reasonCode)}`
    this.#lastError = text
    this.#log('error', 'bridge.subscription-refused', text, { topicFilter, reasonCode })
  }

  /** Chooses another way to connect after a refusal. Returns true when the next attempt is worth making at once. */
  #changeManner(refusal: Refusal | null): boolean {
    const manner = this.#manner
    // A connection that ended without an answer says nothing about the bit: without it every message would come back.
    if (refusal === null) return false
    const { code } = refusal
    const isOfVersion = code === 0x01 || code === 0x84
    if (isOfVersion && manner.isPrivate) this.#manner = { ...manner, isPrivate: false }
    else if (isOfVersion && manner.protocolVersion === 5) {
      this.#manner = { ...manner, protocolVersion: 4, isPrivate: this.config.tryPrivate }
      this.#log(
        'warning',
        'bridge.fallback',
        `Warning: Bridge ${this.config.name}: the remote broker does not speak MQTT 5.0; 3.1.1 is used from now on.`,
      )
    } else if (code === 0x9a && manner.willRetain) this.#manner = { ...manner, willRetain: false }
    else if (code === 0x9b && manner.willQoS > 0) this.#manner = { ...manner, willQoS: 0 }
    else return false
    return true
  }

  /** Notes that an attempt or a connection has failed, and tries again later where it may. */
  #failed(why: string): void {
    const { config } = this
    const { environment } = this.#parts
    this.#clearTimers()
    this.#lastError = why
    this.#addressIndex = (this.#addressIndex + 1) % config.addresses.length
    if (config.startType === 'once') {
      this.#state = 'stopped'
      this.#nextTryMs = null
      this.#log('error', 'bridge.failed', `Bridge ${config.name}: ${why}. It is not tried again (start_type once).`)
      return
    }
    if (this.#isFailingBack) {
      // It takes connections and does not accept: each try costs the connection that the bridge has elsewhere.
      this.#isFailingBack = false
      this.#failbackLater()
    }
    const pauseMs = this.#pause.nextMs()
    environment.defer(() => this.#keepSession())
    this.#state = 'waiting'
    this.#nextTryMs = environment.now() + pauseMs
    const seconds = Math.round(pauseMs / 100) / 10
    this.#log('error', 'bridge.failed', `Error creating bridge: ${config.name}: ${why}. Next try in ${seconds} s.`, {
      why,
      seconds,
    })
    this.#timer = environment.setTimer(() => this.#connect(), pauseMs)
  }

  // --- what a bridge looks at now and then --------------------------------------------------------------------------

  #lookLater(): void {
    const { config } = this
    const isAway = this.#state === 'connected' && this.#addressIndex !== 0 && !config.roundRobin
    const isLazy = config.startType === 'lazy'
    if (!isAway && !isLazy) return
    const pauseMs = isLazy ? LAZY_LOOK_MS : FAILBACK_MS
    this.#lookTimer = this.#parts.environment.setTimer(() => {
      this.#lookTimer = null
      this.#look(isAway)
    }, pauseMs)
  }

  #look(isAway: boolean): void {
    const { config } = this
    const link = this.#link
    if (this.#state === 'idle') {
      // Where an administrator has removed the session, what is retained here may not have been sent.
      const isNew = !config.localCleanStart && this.#relay?.openSession() === false
      if (isNew || this.figures.queuedMessages >= config.threshold) this.#connect()
      else this.#lookLater()
      return
    }
    if (this.#state !== 'connected' || link === null) return
    const { queuedMessages, inFlight } = this.figures
    const isBusy = queuedMessages + inFlight > 0 || this.#relay?.hasUnproved === true
    const idleMs = this.#parts.environment.now() - link.lastMessageMs
    if (config.startType === 'lazy' && idleMs >= config.idleTimeoutSeconds * 1000 && !isBusy) {
      this.#state = 'idle'
      this.#log('notice', 'bridge.idle', `Bridge ${config.name} has been idle and disconnects.`)
      link.finish('idle')
      this.#tell('0')
      return
    }
    if (isAway) this.#probeFirst()
    this.#lookLater()
  }

  /** Looks whether the first address accepts, and moves the bridge back to it when it does. */
  #probeFirst(): void {
    const { environment, dialOptions } = this.#parts
    if (this.#probe !== null || environment.now() < this.#failbackAfterMs) return
    let options: DialOptions
    try {
      options = dialOptions()
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.#stays(error.message)
      return
    }
    const { config } = this
    const { host, port } = config.addresses[0]!
    this.#probe = new AddressProbe({
      ...{ environment, config, dialOptions: options, manner: this.#manner },
      address: serverAddress(config.tls === null ? 'mqtt' : 'mqtts', host, port),
      done: (verdict, why) => {
        this.#probe = null
        if (verdict === 'refuses') this.#stays(why)
        else if (verdict !== 'unreachable') this.#moveBack()
      },
    })
  }

  #moveBack(): void {
    const where = addressText(this.config.addresses[0]!)
    this.#log('notice', 'bridge.failback', `Bridge ${this.config.name} moves back to ${where}.`)
    this.#isMoving = true
    this.#isFailingBack = true
    this.#addressIndex = 0
    this.#link?.finish(`${where} is there again`)
  }

  /** Notes that no broker is at the first address, though something is: it is looked at less and less often. */
  #stays(why: string): void {
    const { config } = this
    this.#failbackLater()
    const first = addressText(config.addresses[0]!)
    const seconds = Math.round(this.#failbackMs / 1000)
    const text = `Bridge ${config.name} stays at ${addressText(this.#address)}: ${first} does not accept (${why}). Next look in ${seconds} s.`
    this.#log('notice', 'bridge.stays', text, { why, seconds })
  }

  #failbackLater(): void {
    this.#failbackMs = Math.min(2 * this.#failbackMs, FAILBACK_MS_MAX)
    this.#failbackAfterMs = this.#parts.environment.now() + this.#failbackMs
  }

  #clearTimers(): void {
    const { environment } = this.#parts
    if (this.#timer !== null) environment.clearTimer(this.#timer)
    if (this.#lookTimer !== null) environment.clearTimer(this.#lookTimer)
    if (this.#renewTimer !== null) environment.clearTimer(this.#renewTimer)
    this.#timer = null
    this.#lookTimer = null
    this.#renewTimer = null
    const probe = this.#probe
    this.#probe = null
    probe?.stop()
  }

  // --- what it says of itself ---------------------------------------------------------------------------------------

  /** Publishes the state at this broker; '' deletes it. */
  #tell(payload: '0' | '1' | ''): void {
    if (this.config.notifications !== 'none') this.#parts.publish(this.#notificationTopic, payload)
  }

  #log(type: LogType, event: string, text: string, fields: LogFields = {}): void {
    this.#parts.log(type, event, text, { bridge: this.config.name, ...fields })
  }
}

const addressText = ({ host, port }: BridgeAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
