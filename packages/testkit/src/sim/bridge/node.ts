/**
 * One simulated machine with a broker and its bridges: the real core and the real bridges on a simulated disk, network
 * and clock. Its process dies at any call of the disk or the network, and the next one finds what the disk has.
 *
 * `run.ts` makes one for each broker. Invariants: what belongs to a process that has died has no effect any more; all
 * ends of its connections are closed by then; what the broker contains as an error of its own fails the run.
 */
import { Core, DEFAULT_OPTIONS, Message, RelaySession, resolveLimits, Taking } from '@recado/broker/testing'
import type { Environment, Timer, Transport } from '@recado/client/low-level'
import { NO_PROPERTIES } from '@recado/protocol'
import type { BrokerSocket, Cable, SocketHandler } from '../cable.ts'
import type { Chance } from '../chance.ts'
import { BREACHES, FaultyNode, type FaultyWorld, type Observer, type Settings } from '../faulty-node.ts'
import type { Handle } from '../loop.ts'
import type { IsDead } from '../machine.ts'
import { BridgeTransport } from './bridge-transport.ts'
import type { BridgePlan, BrokerPlan } from './plan.ts'
import { type BridgeConfig, type BridgeFigures, Bridges, readBridges } from './product.ts'

/** Words of a bridge's log that say that the other broker has broken the protocol. */
const BREACH = /protocol error|malformed|packet type|not allowed|implementation/i

/** A bridge of this broker, with its plan. */
export interface OwnBridge {
  readonly index: number
  readonly plan: BridgePlan
}

export interface NodeWorld extends FaultyWorld {
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
}

export class BrokerNode extends FaultyNode<NodeWorld> {
  readonly plan: BrokerPlan
  readonly bridges: readonly OwnBridge[]
  #configs: readonly BridgeConfig[] = []
  #reloads = 0
  #running: Bridges | null = null
  /** Last connection of each bridge here, and all of this process. */
  readonly transports: Map<number, BridgeTransport> = new Map()
  #dialled: BridgeTransport[] = []
  /** Number of processes that have crashed. */
  crashes = 0

  constructor(index: number, plan: BrokerPlan, bridges: readonly OwnBridge[], world: NodeWorld, chance: Chance) {
    super(index, plan.diskMs, world, chance)
    this.plan = plan
    this.bridges = bridges
    this.#configure()
  }

  override get name(): string {
    return `n${this.index}`
  }

  override get isOpen(): boolean {
    return this.core !== null && !this.isClosing
  }

  /** Reads the configuration; each time one option of a bridge differs, so that the bridge is made anew. */
  #configure(changed = -1): void {
    const sections = this.bridges.map(({ index, plan }) => sectionOf(plan, index === changed ? this.#reloads : 0))
    this.#configs = readBridges(sections.join(''), this.name)
  }

  // --- life of the process ------------------------------------------------------------------------------------------

  override start(): void {
    const machine = this.machine
    const isDead = machine.begin()
    this.trace('starts')
    this.disk = this.openDisk(isDead)
    const { inflightMax, receiveMaximum, queueMessagesMax, overflow, maximumQoS, topicAliasMaximum } = this.plan
    const limits = {
      ...{ inflightMax, maximumQoS, topicAliasMaximum, receiveMaximum },
      ...(queueMessagesMax === Number.POSITIVE_INFINITY ? {} : { queueMessagesMax }),
    }
    let core: Core | null = null
    this.machine.guard(isDead, () => {
      core = new Core(
        resolveLimits(limits),
        { ...DEFAULT_OPTIONS, overflow },
        this.partsOf(isDead, this.#observer(isDead)),
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
    this.machine.guard(isDead, () => {
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
    const { loop } = this.world
    return {
      dial: (address, _options, signal) => this.#dial(isDead, address.host, signal),
      now: () => loop.nowMs,
      date: () => loop.nowMs,
      setTimer: (callback, ms) => loop.after(ms, () => this.machine.guard(isDead, callback)) as Timer,
      clearTimer: (timer) => loop.cancel(timer as Handle),
      defer: (callback) => loop.defer(() => this.machine.guard(isDead, callback)),
      random: () => this.chance.next(),
    }
  }

  /** The network takes its time. What has been aborted, or belongs to a dead process, never gets a connection. */
  #dial(isDead: IsDead, host: string, signal: AbortSignal): Promise<Transport> {
    const bridge = this.bridges.find(({ plan: { owner, remote } }) => host.startsWith(`h${owner}${remote}.`))!
    const { loop } = this.world
    if (!isDead()) this.world.bridgeTries(bridge)
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
      loop.after(1 + this.world.hangMs(bridge), () => {
        if (signal.aborted || isDead()) return
        this.machine.touch()
        if (isDead()) return
        const transport = new BridgeTransport(loop, isDead, () => this.machine.touch())
        const cable = this.world.dial(bridge, transport)
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
    const world = this.world
    return {
      'message.dropped': ({ clientId, topic, qos, reason }) => {
        if (isDead()) return
        this.trace(`  dropped ${reason}: ${clientId} ${topic} at QoS ${qos}`)
        world.dropped(this, clientId, topic, qos, reason)
      },
      'client.disconnected': ({ client, reasonCode, why, byClient }) => {
        if (isDead()) return
        this.trace(`  ${client.clientId} is disconnected: ${why}`)
        if (!BREACHES.has(reasonCode)) return
        const what = byClient ? 'says that the broker breaks' : 'breaks'
        world.failed('protocol', `${client.clientId} ${what} the protocol at ${this.name}: ${why} (${reasonCode})`)
      },
    }
  }

  #logged(isDead: IsDead, type: string, event: string, text: string): void {
    if (isDead()) return
    if (type !== 'debug') this.trace(`  log: ${text}`)
    this.world.cover(`log ${event}`)
    if (event === 'bridge.loop') this.world.failed('loop', `${this.name}: ${text}`)
    if (BREACH.test(text)) this.world.failed('protocol', `${this.name}: ${text}`)
  }

  readonly #connections: Map<number, number> = new Map()

  #lookAtBridges(isDead: IsDead): void {
    if (isDead()) return
    for (const bridge of this.bridges) {
      const figures = this.figuresOf(bridge)
      if (figures?.state !== 'connected') continue
      if (this.#connections.get(bridge.index) === figures.connections) continue
      this.#connections.set(bridge.index, figures.connections)
      this.world.bridgeUp(bridge)
    }
  }

  figuresOf({ plan }: OwnBridge): BridgeFigures | undefined {
    return this.#running?.figures().find(({ name }) => name === plan.name)
  }

  // --- its end, and what is done to it ------------------------------------------------------------------------------

  protected override stopBeside(): void {
    this.#running?.stop()
  }

  protected override died(isOrderly: boolean): void {
    this.world.cover(isOrderly ? 'restart' : this.core === null ? 'crash in recovery' : 'crash')
    this.trace(isOrderly ? 'has stopped' : 'crashes')
    if (isOrderly) return
    this.crashes++
    this.world.crashed(this)
  }

  protected override forget(): void {
    this.#running = null
    for (const transport of this.#dialled) transport.die()
    this.#dialled = []
    this.transports.clear()
    this.#connections.clear()
  }

  protected override diskIs(isWorking: boolean): void {
    if (!isWorking) this.world.cover('disk fails')
  }

  protected override connect(socket: BrokerSocket, settings: Settings): SocketHandler | null {
    return this.core!.connect(socket, settings)
  }

  /** SIGHUP, with another section for a bridge. */
  reload(changed: OwnBridge): void {
    const running = this.#running
    if (running === null || this.isClosing) return
    this.#reloads++
    this.#configure(changed.index)
    this.machine.run(() => running.take(this.#configs))
  }

  /** An administrator removes a session. */
  removeSession(clientId: string): void {
    this.machine.run(() => this.core?.removeSession(clientId))
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
