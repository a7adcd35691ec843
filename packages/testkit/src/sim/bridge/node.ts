/**
 * One simulated machine with a broker and its bridges: the real core and the real bridges on a simulated disk, network
 * and clock. Its process dies at any call of the disk or the network, and the next one finds what the disk has.
 *
 * `run.ts` makes one for each broker. Invariants: what belongs to a process that has died has no effect any more; all
 * ends of its connections are closed by then; what the broker contains as an error of its own fails the run.
 */
import {
  Core,
  DEFAULT_OPTIONS,
  Message,
  RelaySession,
  resolveLimits,
  resolveSettings,
  SimRandom,
  SimStore,
  Taking,
} from '@recado/broker/testing'
import type { Environment, Timer, Transport } from '@recado/client/low-level'
import { NO_PROPERTIES } from '@recado/protocol'
import { BrokerClock } from '../broker-clock.ts'
import type { BrokerEnd, BrokerSocket, Cable, SocketHandler } from '../cable.ts'
import type { Chance } from '../chance.ts'
import { ExceptionChecker } from '../checkers/exceptions.ts'
import { Disk } from '../disk.ts'
import type { Handle, Loop } from '../loop.ts'
import { handOver, type IsDead, Machine } from '../machine.ts'
import { BridgeTransport } from './bridge-transport.ts'
import type { BridgePlan, BrokerPlan } from './plan.ts'
import { type BridgeConfig, type BridgeFigures, Bridges, readBridges } from './product.ts'

/** Reason Codes with which a broker ends the connection of a bridge that breaks the protocol. */
const BREACHES: ReadonlySet<number> = new Set([0x81, 0x82, 0x90, 0x93, 0x94, 0x95, 0x99, 0x9a, 0x9b, 0x9e, 0xa1, 0xa2])
/** Words of a bridge's log that say that the other broker has broken the protocol. */
const BREACH = /protocol error|malformed|packet type|not allowed|implementation/i

/** A bridge of this broker, with its plan. */
export interface OwnBridge {
  readonly index: number
  readonly plan: BridgePlan
}

export interface NodeWorld {
  readonly loop: Loop
  readonly trace: ((line: string) => void) | null
  /** Connects a bridge with its remote broker. Returns null when that does not answer. */
  dial(bridge: OwnBridge, transport: BridgeTransport): Cable | null
  /** Milliseconds that an attempt of this bridge hangs. */
  hangMs(bridge: OwnBridge): number
  dropped(node: BrokerNode, clientId: string, topic: string, qos: number, reason: string): void
  /** A bridge tries to connect: its session here is there again. */
  bridgeTries(bridge: OwnBridge): void
  /** A bridge is connected. */
  bridgeUp(bridge: OwnBridge): void
  crashed(node: BrokerNode): void
  cover(name: string): void
  failed(checker: string, text: string): void
}

type Observer = NonNullable<ConstructorParameters<typeof Core>[2]['observer']>

export class BrokerNode implements BrokerEnd {
  readonly index: number
  readonly plan: BrokerPlan
  readonly bridges: readonly OwnBridge[]
  readonly #world: NodeWorld
  readonly #chance: Chance
  readonly #exceptions: ExceptionChecker
  readonly #machine: Machine
  readonly #clock: BrokerClock
  readonly #random: SimRandom = new SimRandom()
  #configs: readonly BridgeConfig[] = []
  #reloads = 0
  store: SimStore = new SimStore()
  #disk: Disk | null = null
  core: Core | null = null
  #running: Bridges | null = null
  /** Open connections of clients and remote bridges. */
  #cables: Cable[] = []
  /** Last connection of each bridge here, and all of this process. */
  readonly transports: Map<number, BridgeTransport> = new Map()
  #dialled: BridgeTransport[] = []
  #recoveryTouches = 0
  #downMs = 0
  #isLastBatchDurable = false
  #isClosing = false
  #isCalm = false
  diskMs: readonly [number, number]
  /** Number of processes that have crashed. */
  crashes = 0

  constructor(index: number, plan: BrokerPlan, bridges: readonly OwnBridge[], world: NodeWorld, chance: Chance) {
    this.index = index
    this.plan = plan
    this.bridges = bridges
    this.#world = world
    this.#chance = chance
    this.diskMs = plan.diskMs
    this.#exceptions = new ExceptionChecker((text) => this.failed(text))
    this.#machine = new Machine(world.loop, this.#exceptions, (isOrderly) => this.#kill(isOrderly))
    this.#clock = new BrokerClock(world.loop)
    this.#configure()
  }

  get name(): string {
    return `n${this.index}`
  }

  /** Reads the configuration; each time one option of a bridge differs, so that the bridge is made anew. */
  #configure(changed = -1): void {
    const sections = this.bridges.map(({ index, plan }) => sectionOf(plan, index === changed ? this.#reloads : 0))
    this.#configs = readBridges(sections.join(''), this.name)
  }

  // --- life of the process ------------------------------------------------------------------------------------------

  start(): void {
    const machine = this.#machine
    const isDead = machine.begin()
    this.#trace('starts')
    this.#disk = new Disk(this.#world.loop, this.#diskOwner(isDead), this.store)
    const { inflightMax, receiveMaximum, queueMessagesMax, overflow, maximumQoS, topicAliasMaximum } = this.plan
    const limits = {
      ...{ inflightMax, maximumQoS, topicAliasMaximum, receiveMaximum },
      ...(queueMessagesMax === Number.POSITIVE_INFINITY ? {} : { queueMessagesMax }),
    }
    let core: Core | null = null
    this.#machine.guard(isDead, () => {
      core = new Core(
        resolveLimits(limits),
        { ...DEFAULT_OPTIONS, overflow },
        {
          clock: this.#clock.ofProcess((callback) => machine.guard(isDead, callback)),
          ...{ random: this.#random, processMemory: null, store: this.#disk },
          ...{ authenticator: null, enhancedAuthenticator: null, authorizer: null, transformer: null },
          observer: this.#observer(isDead),
        },
      )
    })
    if (isDead() || core === null) return
    this.core = core
    const running = new Bridges(
      this.#brokerOf(core),
      { log: (type, event, text) => this.#logged(isDead, type, event, text) },
      () => this.#lookAtBridges(isDead),
      this.#environment(isDead),
    )
    this.#running = running
    this.#machine.guard(isDead, () => {
      running.take(this.#configs)
      running.start()
    })
  }

  #brokerOf(core: Core) {
    return {
      relay: (options: unknown): RelaySession => {
        const relay = new RelaySession(core, options as ConstructorParameters<typeof RelaySession>[1])
        relay.open()
        return relay
      },
      abandonedRelays: () => [],
      publish: async ({ topic, payload }: { topic: string; payload: string }): Promise<void> => {
        if (core !== this.core) return
        core.turn.begin()
        const parts = { topic, payload: new TextEncoder().encode(payload), qos: 1, retain: true } as const
        core.intake.accept(
          Message.of({ ...parts, properties: NO_PROPERTIES }, this as never, core.turn.nowMs),
          Taking.News,
        )
      },
    }
  }

  #environment(isDead: IsDead): Environment {
    const { loop } = this.#world
    return {
      dial: (address, _options, signal) => this.#dial(isDead, address.host, signal),
      now: () => loop.nowMs,
      date: () => loop.nowMs,
      setTimer: (callback, ms) => loop.after(ms, () => this.#machine.guard(isDead, callback)) as Timer,
      clearTimer: (timer) => loop.cancel(timer as Handle),
      defer: (callback) => loop.defer(() => this.#machine.guard(isDead, callback)),
      random: () => this.#chance.next(),
    }
  }

  /** The network takes its time. What has been aborted, or belongs to a dead process, never gets a connection. */
  #dial(isDead: IsDead, host: string, signal: AbortSignal): Promise<Transport> {
    const bridge = this.bridges.find(({ plan: { owner, remote } }) => host.startsWith(`h${owner}${remote}.`))!
    const { loop } = this.#world
    if (!isDead()) this.#world.bridgeTries(bridge)
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
      loop.after(1 + this.#world.hangMs(bridge), () => {
        if (signal.aborted || isDead()) return
        this.#machine.touch()
        if (isDead()) return
        const transport = new BridgeTransport(loop, isDead, () => this.#machine.touch())
        const cable = this.#world.dial(bridge, transport)
        if (cable === null) {
          reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
          return
        }
        transport.cable = cable
        this.transports.set(bridge.index, transport)
        this.#dialled.push(transport)
        resolve(transport)
      })
    })
  }

  #observer(isDead: IsDead): Observer {
    const world = this.#world
    return {
      'message.dropped': ({ clientId, topic, qos, reason }) => {
        if (isDead()) return
        this.#trace(`  dropped ${reason}: ${clientId} ${topic} at QoS ${qos}`)
        world.dropped(this, clientId, topic, qos, reason)
      },
      'client.disconnected': ({ client, reasonCode, why, byClient }) => {
        if (isDead()) return
        this.#trace(`  ${client.clientId} is disconnected: ${why}`)
        if (!BREACHES.has(reasonCode)) return
        const what = byClient ? 'says that the broker breaks' : 'breaks'
        world.failed('protocol', `${client.clientId} ${what} the protocol at ${this.name}: ${why} (${reasonCode})`)
      },
      'core.failed': ({ where, error }) => {
        if (!isDead()) this.#exceptions.failed(where, error)
      },
      'store.row-damaged': ({ table, row, error }) => {
        if (!isDead()) this.#exceptions.damaged(table, row, error)
      },
    }
  }

  #logged(isDead: IsDead, type: string, event: string, text: string): void {
    if (isDead()) return
    if (type !== 'debug') this.#trace(`  log: ${text}`)
    this.#world.cover(`log ${event}`)
    if (event === 'bridge.loop') this.#world.failed('loop', `${this.name}: ${text}`)
    if (BREACH.test(text)) this.#world.failed('protocol', `${this.name}: ${text}`)
  }

  readonly #connections: Map<number, number> = new Map()

  #lookAtBridges(isDead: IsDead): void {
    if (isDead()) return
    for (const bridge of this.bridges) {
      const figures = this.figuresOf(bridge)
      if (figures?.state !== 'connected') continue
      if (this.#connections.get(bridge.index) === figures.connections) continue
      this.#connections.set(bridge.index, figures.connections)
      this.#world.bridgeUp(bridge)
    }
  }

  figuresOf({ plan }: OwnBridge): BridgeFigures | undefined {
    return this.#running?.figures().find(({ name }) => name === plan.name)
  }

  // --- faults -------------------------------------------------------------------------------------------------------

  /** Crashes after so many more calls of the disk or the network, and comes back later. */
  crashAfter(touches: number, downMs: number, recoveryTouches: number, isLastBatchDurable: boolean): void {
    if (this.core === null || this.#isClosing) return
    this.#recoveryTouches = recoveryTouches
    this.#downMs = downMs
    this.#isLastBatchDurable = isLastBatchDurable
    this.#machine.crashAfter(touches)
  }

  /** Stops in good order, and starts again. */
  restart(downMs: number): void {
    const { core } = this
    if (core === null || this.#isClosing) return
    this.#downMs = downMs
    this.#isClosing = true
    this.#machine.disarm()
    this.#trace('stops')
    this.#machine.run(() => {
      this.#running?.stop()
      core.shutDown(0x8b, 'shutting down')
    })
    this.#machine.finish(core)
  }

  #kill(isOrderly: boolean): void {
    this.#world.cover(isOrderly ? 'restart' : this.core === null ? 'crash in recovery' : 'crash')
    this.#trace(isOrderly ? 'has stopped' : 'crashes')
    if (!isOrderly) {
      this.crashes++
      this.#world.crashed(this)
    }
    this.#machine.disarm()
    this.#isClosing = false
    if (this.#disk !== null) this.store = this.#disk.crash(this.#isLastBatchDurable)
    this.#disk = null
    this.core = null
    this.#running = null
    this.#machine.end()
    for (const cable of this.#cables) cable.brokerGone()
    this.#cables = []
    for (const transport of this.#dialled) transport.die()
    this.#dialled = []
    this.transports.clear()
    this.#connections.clear()
    this.#world.loop.after(this.#downMs, () => {
      if (this.core !== null) return
      if (this.#recoveryTouches > 0 && !this.#isCalm) this.#machine.arm(this.#recoveryTouches)
      this.#recoveryTouches = 0
      this.start()
    })
  }

  failDisk(error: Error | null): void {
    this.store.failure = error
  }

  /** SIGHUP, with another section for a bridge. */
  reload(changed: OwnBridge): void {
    const running = this.#running
    if (running === null || this.#isClosing) return
    this.#reloads++
    this.#configure(changed.index)
    this.#machine.run(() => running.take(this.#configs))
  }

  /** An administrator removes a session. */
  removeSession(clientId: string): void {
    this.#machine.run(() => this.core?.removeSession(clientId))
  }

  /** Ends all faults. */
  calm(): void {
    this.#isCalm = true
    this.#machine.disarm()
    this.#recoveryTouches = 0
    this.store.failure = null
    this.diskMs = [0, 3]
  }

  #diskOwner(isDead: IsDead): ConstructorParameters<typeof Disk>[1] {
    return {
      isDead,
      onTouch: () => this.#machine.touch(),
      onWrite: () => 0,
      onDurable: () => {},
      onDone: (error) => {
        if (error !== null) this.#world.cover('disk fails')
      },
      latencyMs: () => this.#chance.between(...this.diskMs),
    }
  }

  // --- connections of clients and remote bridges --------------------------------------------------------------------

  accept(cable: Cable): boolean {
    if (this.core === null || this.#isClosing) return false
    this.#cables.push(cable)
    return cable.open()
  }

  onOpen(socket: BrokerSocket): SocketHandler | null {
    const { core } = this
    if (core === null) return null
    const isDead = this.#machine.present()
    let handler: SocketHandler | null = null
    this.#machine.guard(isDead, () => {
      handler = core.connect(socket, resolveSettings(core.limits, core.options, { limits: {}, mountPoint: '' }))
    })
    if (isDead() || handler === null) return null
    return this.#machine.guarded(isDead, handler)
  }

  onChunk(socket: BrokerSocket, bytes: Uint8Array): void {
    handOver(socket.handler!, bytes)
  }

  onWrite(): void {
    this.#machine.touch()
  }

  onPaused(): void {}

  onResumed(): void {}

  onDrained(): void {}

  onEnd(): void {}

  onClosed(socket: BrokerSocket): void {
    this.#cables = this.#cables.filter((cable) => cable.socket !== socket)
  }

  isDead(): boolean {
    return this.core === null
  }

  failed(text: string): void {
    this.#world.failed('internal', `${this.name}: ${text}`)
  }

  #trace(text: string): void {
    this.#world.trace?.(`${this.name} ${text}`)
  }
}

/** Returns the section of a bridge; `change` is a number that makes it another one. */
function sectionOf({ name, version, lines, options, remote, addresses, owner }: BridgePlan, change: number): string {
  const index = `${owner}${remote}`
  const hosts = Array.from({ length: addresses }, (_, i) => `h${index}.${i}:1883`)
  return [
    `connection ${name}`,
    `address ${hosts.join(' ')}`,
    `bridge_protocol_version ${{ 3: 'mqttv31', 4: 'mqttv311', 5: 'mqttv50' }[version]}`,
    ...lines.map(
      ({ root, direction, qos, localPrefix, remotePrefix }) =>
        `topic ${root}/# ${direction} ${qos} ${localPrefix || '""'} ${remotePrefix || '""'}`,
    ),
    ...options,
    ...(change > 0 ? [`bridge_max_packet_size ${1_000_000 + change}`] : []),
    '',
  ].join('\n')
}
