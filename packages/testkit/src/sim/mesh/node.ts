/**
 * One Core of the broker in a process of its own: the real core and the real mesh on a simulated disk, network, bus and
 * clock. Its process dies at any call of these, and the next one finds what the disk has.
 *
 * `run.ts` makes one for each Core. Invariants: what belongs to a process that has died has no effect any more; what the
 * core contains as an error of its own fails the run.
 */
import {
  Core,
  DEFAULT_OPTIONS,
  Mesh,
  resolveLimits,
  resolveSettings,
  SimRandom,
  SimStore,
} from '@recado/broker/testing'
import { BrokerClock } from '../broker-clock.ts'
import type { BrokerEnd, BrokerSocket, Cable, SocketHandler } from '../cable.ts'
import type { Chance } from '../chance.ts'
import { ExceptionChecker } from '../checkers/exceptions.ts'
import { Disk } from '../disk.ts'
import type { Loop } from '../loop.ts'
import { handOver, type IsDead, Machine } from '../machine.ts'
import type { CorePlan, MeshPlan } from './plan.ts'

/** Reason Codes with which a broker ends the connection of a client that breaks the protocol. */
const BREACHES: ReadonlySet<number> = new Set([0x81, 0x82, 0x90, 0x93, 0x94, 0x95, 0x99, 0x9a, 0x9b, 0x9e, 0xa1, 0xa2])

export interface NodeWorld {
  readonly loop: Loop
  readonly trace: ((line: string) => void) | null
  send(from: number, process: number, to: number, frame: Uint8Array): void
  crashed(node: MeshNode): void
  /** A batch is done, or has failed. */
  diskIs(node: MeshNode, isWorking: boolean): void
  dropped(node: MeshNode, clientId: string, topic: string, qos: number, reason: string): void
  cover(name: string): void
  failed(checker: string, text: string): void
}

type Observer = NonNullable<ConstructorParameters<typeof Core>[2]['observer']>
type Authorizer = NonNullable<ConstructorParameters<typeof Core>[2]['authorizer']>
/** Verdict of an authorizer that will decide later. */
const PENDING = -1

export class MeshNode implements BrokerEnd {
  readonly index: number
  readonly #plan: CorePlan
  readonly #cores: number
  readonly #world: NodeWorld
  readonly #chance: Chance
  readonly #exceptions: ExceptionChecker
  readonly #machine: Machine
  readonly #clock: BrokerClock
  readonly #random: SimRandom = new SimRandom()
  store: SimStore = new SimStore()
  #disk: Disk | null = null
  core: Core | null = null
  mesh: Mesh | null = null
  #cables: Cable[] = []
  #recoveryTouches = 0
  #downMs = 0
  #isLastBatchDurable = false
  #isClosing = false
  #isCalm = false
  readonly #isPersistent: boolean
  readonly #lateDecisions: number
  #process = 0
  diskMs: readonly [number, number]

  constructor(index: number, { cores, isPersistent, lateDecisions }: MeshPlan, world: NodeWorld, chance: Chance) {
    this.index = index
    this.#plan = cores[index]!
    this.#cores = cores.length
    this.#isPersistent = isPersistent
    this.#lateDecisions = lateDecisions
    this.#world = world
    this.#chance = chance
    this.diskMs = this.#plan.diskMs
    this.#exceptions = new ExceptionChecker((text) => this.failed(text))
    this.#machine = new Machine(world.loop, this.#exceptions, (isOrderly) => this.#kill(isOrderly))
    this.#clock = new BrokerClock(world.loop)
  }

  get isReady(): boolean {
    return this.mesh?.isReady === true && !this.#isClosing
  }

  // --- life of the process ------------------------------------------------------------------------------------------

  start(): void {
    const machine = this.#machine
    const isDead = machine.begin()
    this.#process++
    this.#trace('starts')
    this.#disk = this.#isPersistent ? new Disk(this.#world.loop, this.#diskOwner(isDead), this.store) : null
    const { inflightMax, receiveMaximum, topicAliasMaximum } = this.#plan
    machine.guard(isDead, () => {
      const core = new Core(
        resolveLimits({ inflightMax, receiveMaximum, topicAliasMaximum }),
        { ...DEFAULT_OPTIONS },
        {
          clock: this.#clock.ofProcess((callback) => machine.guard(isDead, callback)),
          ...{ random: this.#random, processMemory: null, store: this.#disk },
          ...{ authenticator: null, enhancedAuthenticator: null, transformer: null },
          authorizer: this.#lateDecisions > 0 ? this.#authorizer(isDead) : null,
          observer: this.#observer(isDead),
        },
      )
      if (isDead()) return
      const mesh = new Mesh(core, {
        ...{ id: this.index, cores: this.#cores },
        // With a disk the epoch is there.
        ...(this.#isPersistent ? {} : { epoch: this.#process }),
        bus: { send: (to, frame) => this.#send(isDead, to, frame) },
        onReady: () => {
          this.#trace('is ready')
          this.#world.cover('mesh.ready')
        },
      })
      if (isDead()) return
      this.core = core
      this.mesh = mesh
      mesh.start()
    })
  }

  /** Allows everything, some of it later. */
  #authorizer(isDead: IsDead): Authorizer {
    const decideLater = (decide: (reasonCode: number) => void): number => {
      if (!this.#chance.of(this.#lateDecisions)) return 0
      this.#world.cover('decision.late')
      this.#world.loop.after(this.#chance.between(0, 30), () => this.#machine.guard(isDead, () => decide(0)))
      return PENDING
    }
    return {
      publish: (_client, _topic, _qos, _retain, decide) => decideLater(decide),
      subscribe: (_client, _subscription, decide) => decideLater(decide),
    }
  }

  #send(isDead: IsDead, to: number, frame: Uint8Array): void {
    if (isDead()) return
    this.#machine.touch()
    if (!isDead()) this.#world.send(this.index, this.#process, to, frame)
  }

  /** A frame has come for this process. */
  onFrame(frame: Uint8Array): void {
    const { mesh } = this
    if (mesh !== null) this.#machine.run(() => mesh.onFrame(frame))
  }

  #observer(isDead: IsDead): Observer {
    const world = this.#world
    return {
      'message.dropped': ({ clientId, topic, qos, reason }) => {
        if (isDead()) return
        this.#trace(`  dropped ${reason}: ${clientId} ${topic} at QoS ${qos}`)
        world.cover(`dropped.${reason}`)
        world.dropped(this, clientId, topic, qos, reason)
      },
      'client.disconnected': ({ client, reasonCode, why }) => {
        if (isDead()) return
        this.#trace(`  ${client.clientId} is disconnected: ${why}`)
        if (BREACHES.has(reasonCode))
          world.failed('protocol', `${client.clientId} at core ${this.index}: ${why} (${reasonCode})`)
      },
      'core.failed': ({ where, error }) => {
        if (!isDead()) this.#exceptions.failed(where, error)
      },
      'store.row-damaged': ({ table, row, error }) => {
        if (!isDead()) this.#exceptions.damaged(table, row, error)
      },
    }
  }

  // --- faults -------------------------------------------------------------------------------------------------------

  /** Crashes after so many more calls, and comes back later. */
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
    this.#machine.run(() => core.shutDown(0x8b, 'shutting down'))
    this.#machine.finish(core)
  }

  #kill(isOrderly: boolean): void {
    const name = this.mesh?.isReady === true ? '' : '-before-ready'
    this.#world.cover(isOrderly ? `core.restart${name}` : `core.crash${name}`)
    if (this.#disk?.isFilling) this.#world.cover('core.crash-in-batch')
    this.#trace(isOrderly ? 'has stopped' : 'crashes')
    this.#machine.disarm()
    this.#isClosing = false
    if (this.#disk !== null) this.store = this.#disk.crash(this.#isLastBatchDurable)
    this.#disk = null
    this.core = null
    this.mesh = null
    this.#machine.end()
    this.#world.crashed(this)
    for (const cable of this.#cables) cable.brokerGone()
    this.#cables = []
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
        if (error !== null) this.#world.cover('disk.fails')
        this.#world.diskIs(this, error === null)
      },
      latencyMs: () => this.#chance.between(...this.diskMs),
    }
  }

  // --- connections of clients ---------------------------------------------------------------------------------------

  accept(cable: Cable): boolean {
    if (!this.isReady) return false
    this.#cables.push(cable)
    return cable.open()
  }

  onOpen(socket: BrokerSocket): SocketHandler | null {
    const { core, mesh } = this
    if (core === null || mesh === null) return null
    const isDead = this.#machine.present()
    let handler: SocketHandler | null = null
    this.#machine.guard(isDead, () => {
      handler = mesh.accept(socket, resolveSettings(core.limits, core.options, { limits: {}, mountPoint: '' }))
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
    this.#world.failed('internal', `core ${this.index}: ${text}`)
  }

  #trace(text: string): void {
    this.#world.trace?.(`core ${this.index} ${text}`)
  }
}
