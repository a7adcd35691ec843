/**
 * One Core of the broker in a process of its own: the real core and the real mesh on a simulated disk, network, bus and
 * clock. Its process dies at any call of these, and the next one finds what the disk has.
 *
 * `run.ts` makes one for each Core. Invariants: what belongs to a process that has died has no effect any more; what the
 * core contains as an error of its own fails the run.
 */
import { Core, DEFAULT_OPTIONS, Mesh, resolveLimits } from '@recado/broker/testing'
import type { BrokerSocket, SocketHandler } from '../cable.ts'
import type { Chance } from '../chance.ts'
import { BREACHES, type CoreParts, FaultyNode, type FaultyWorld, type Observer, type Settings } from '../faulty-node.ts'
import type { IsDead } from '../machine.ts'
import type { CorePlan, MeshPlan } from './plan.ts'

export interface NodeWorld extends FaultyWorld {
  send(from: number, process: number, to: number, frame: Uint8Array): void
  crashed(node: MeshNode): void
  /** A batch is done, or has failed. */
  diskIs(node: MeshNode, isWorking: boolean): void
  dropped(node: MeshNode, clientId: string, topic: string, qos: number, reason: string): void
}

type Authorizer = NonNullable<CoreParts['authorizer']>
/** Verdict of an authorizer that will decide later. */
const PENDING = -1

export class MeshNode extends FaultyNode<NodeWorld> {
  readonly #plan: CorePlan
  readonly #cores: number
  mesh: Mesh | null = null
  readonly #isPersistent: boolean
  readonly #lateDecisions: number
  #process = 0

  constructor(index: number, { cores, isPersistent, lateDecisions }: MeshPlan, world: NodeWorld, chance: Chance) {
    super(index, cores[index]!.diskMs, world, chance)
    this.#plan = cores[index]!
    this.#cores = cores.length
    this.#isPersistent = isPersistent
    this.#lateDecisions = lateDecisions
  }

  override get name(): string {
    return `core ${this.index}`
  }

  get isReady(): boolean {
    return this.mesh?.isReady === true && !this.isClosing
  }

  override get isOpen(): boolean {
    return this.isReady
  }

  // --- life of the process ------------------------------------------------------------------------------------------

  override start(): void {
    const machine = this.machine
    const isDead = machine.begin()
    this.#process++
    this.trace('starts')
    this.disk = this.#isPersistent ? this.openDisk(isDead) : null
    const { inflightMax, receiveMaximum, topicAliasMaximum } = this.#plan
    machine.guard(isDead, () => {
      const core = new Core(
        resolveLimits({ inflightMax, receiveMaximum, topicAliasMaximum }),
        { ...DEFAULT_OPTIONS },
        {
          ...this.partsOf(isDead, this.#observer(isDead)),
          authorizer: this.#lateDecisions > 0 ? this.#authorizer(isDead) : null,
        },
      )
      if (isDead()) return
      const mesh = new Mesh(core, {
        ...{ id: this.index, cores: this.#cores },
        // With a disk the epoch is there.
        ...(this.#isPersistent ? {} : { epoch: this.#process }),
        bus: { send: (to, frame) => this.#send(isDead, to, frame) },
        onReady: () => {
          this.trace('is ready')
          this.world.cover('mesh.ready')
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
      if (!this.chance.of(this.#lateDecisions)) return 0
      this.world.cover('decision.late')
      this.world.loop.after(this.chance.between(0, 30), () => this.machine.guard(isDead, () => decide(0)))
      return PENDING
    }
    return {
      publish: (_client, _topic, _qos, _retain, decide) => decideLater(decide),
      subscribe: (_client, _subscription, decide) => decideLater(decide),
    }
  }

  #send(isDead: IsDead, to: number, frame: Uint8Array): void {
    if (isDead()) return
    this.machine.touch()
    if (!isDead()) this.world.send(this.index, this.#process, to, frame)
  }

  /** A frame has come for this process. */
  onFrame(frame: Uint8Array): void {
    const { mesh } = this
    if (mesh !== null) this.machine.run(() => mesh.onFrame(frame))
  }

  #observer(isDead: IsDead): Observer {
    const world = this.world
    return {
      'message.dropped': ({ clientId, topic, qos, reason }) => {
        if (isDead()) return
        this.trace(`  dropped ${reason}: ${clientId} ${topic} at QoS ${qos}`)
        world.cover(`dropped.${reason}`)
        world.dropped(this, clientId, topic, qos, reason)
      },
      'client.disconnected': ({ client, reasonCode, why }) => {
        if (isDead()) return
        this.trace(`  ${client.clientId} is disconnected: ${why}`)
        if (BREACHES.has(reasonCode))
          world.failed('protocol', `${client.clientId} at core ${this.index}: ${why} (${reasonCode})`)
      },
    }
  }

  // --- its end, and its connections ---------------------------------------------------------------------------------

  protected override stopBeside(): void {}

  protected override died(isOrderly: boolean): void {
    const name = this.mesh?.isReady === true ? '' : '-before-ready'
    this.world.cover(isOrderly ? `core.restart${name}` : `core.crash${name}`)
    if (this.disk?.isFilling) this.world.cover('core.crash-in-batch')
    this.trace(isOrderly ? 'has stopped' : 'crashes')
    this.world.crashed(this)
  }

  protected override forget(): void {
    this.mesh = null
  }

  protected override diskIs(isWorking: boolean): void {
    if (!isWorking) this.world.cover('disk.fails')
    this.world.diskIs(this, isWorking)
  }

  protected override connect(socket: BrokerSocket, settings: Settings): SocketHandler | null {
    return this.mesh?.accept(socket, settings) ?? null
  }
}
