/**
 * One simulated machine with a process of the broker that dies at any call of the disk or the network; the next one
 * finds what the disk has.
 *
 * `bridge/node.ts` and `mesh/node.ts` say what runs in the process. Invariants: what belongs to a process that has died
 * has no effect any more; all ends of its connections are closed by then; what the core contains as an error of its own
 * fails the run.
 */
import { type Core, resolveSettings, SimRandom, SimStore } from '@recado/broker/testing'
import { BrokerClock } from './broker-clock.ts'
import type { BrokerEnd, BrokerSocket, Cable, SocketHandler } from './cable.ts'
import type { Chance } from './chance.ts'
import { ExceptionChecker } from './checkers/exceptions.ts'
import { Disk } from './disk.ts'
import type { Loop } from './loop.ts'
import { handOver, type IsDead, Machine } from './machine.ts'

/** Reason Codes with which a broker ends the connection of a client that breaks the protocol. */
export const BREACHES: ReadonlySet<number> = new Set([
  0x81, 0x82, 0x90, 0x93, 0x94, 0x95, 0x99, 0x9a, 0x9b, 0x9e, 0xa1, 0xa2,
])

export type CoreParts = ConstructorParameters<typeof Core>[2]
export type Observer = NonNullable<CoreParts['observer']>
export type Settings = ReturnType<typeof resolveSettings>

/** What a machine needs of the run. */
export interface FaultyWorld {
  readonly loop: Loop
  readonly trace: ((line: string) => void) | null
  cover(name: string): void
  failed(checker: string, text: string): void
}

export abstract class FaultyNode<World extends FaultyWorld> implements BrokerEnd {
  readonly index: number
  store: SimStore = new SimStore()
  core: Core | null = null
  diskMs: readonly [number, number]
  protected readonly world: World
  protected readonly chance: Chance
  protected readonly machine: Machine
  protected readonly exceptions: ExceptionChecker
  protected disk: Disk | null = null
  /** Whether the process stops in good order. */
  protected isClosing = false
  readonly #clock: BrokerClock
  readonly #random: SimRandom = new SimRandom()
  /** Open connections. */
  #cables: Cable[] = []
  #recoveryTouches = 0
  #downMs = 0
  #isLastBatchDurable = false
  #isCalm = false

  constructor(index: number, diskMs: readonly [number, number], world: World, chance: Chance) {
    this.index = index
    this.diskMs = diskMs
    this.world = world
    this.chance = chance
    this.exceptions = new ExceptionChecker((text) => this.failed(text))
    this.machine = new Machine(world.loop, this.exceptions, (isOrderly) => this.#kill(isOrderly))
    this.#clock = new BrokerClock(world.loop)
  }

  /** Name of the machine in traces and failures. */
  abstract get name(): string
  /** Whether the process takes connections. */
  abstract get isOpen(): boolean
  /** Starts a process. */
  abstract start(): void
  /** Stops what runs beside the core, in good order. */
  protected abstract stopBeside(): void
  /** Called when the process has died, before anything of it is gone. */
  protected abstract died(isOrderly: boolean): void
  /** Forgets what ran beside the core of a process that has died. */
  protected abstract forget(): void
  protected abstract connect(socket: BrokerSocket, settings: Settings): SocketHandler | null
  /** Called when a batch is done, or has failed. */
  protected abstract diskIs(isWorking: boolean): void

  // --- life of the process ------------------------------------------------------------------------------------------

  /** Makes the disk of a new process. */
  protected openDisk(isDead: IsDead): Disk {
    return new Disk(
      this.world.loop,
      {
        isDead,
        onTouch: () => this.machine.touch(),
        onWrite: () => 0,
        onDurable: () => {},
        onDone: (error) => this.diskIs(error === null),
        latencyMs: () => this.chance.between(...this.diskMs),
      },
      this.store,
    )
  }

  /** Parts of a core on this machine. */
  protected partsOf(isDead: IsDead, observer: Observer): CoreParts {
    return {
      clock: this.#clock.ofProcess((callback) => this.machine.guard(isDead, callback)),
      ...{ random: this.#random, processMemory: null, store: this.disk },
      ...{ authenticator: null, enhancedAuthenticator: null, authorizer: null, transformer: null },
      observer: {
        ...observer,
        'core.failed': ({ where, error }) => {
          if (!isDead()) this.exceptions.failed(where, error)
        },
        'store.row-damaged': ({ table, row, error }) => {
          if (!isDead()) this.exceptions.damaged(table, row, error)
        },
      },
    }
  }

  // --- faults -------------------------------------------------------------------------------------------------------

  /** Crashes after so many more calls of the disk or the network, and comes back later. */
  crashAfter(touches: number, downMs: number, recoveryTouches: number, isLastBatchDurable: boolean): void {
    if (this.core === null || this.isClosing) return
    this.#recoveryTouches = recoveryTouches
    this.#downMs = downMs
    this.#isLastBatchDurable = isLastBatchDurable
    this.machine.crashAfter(touches)
  }

  /** Stops in good order, and starts again. */
  restart(downMs: number): void {
    const { core } = this
    if (core === null || this.isClosing) return
    this.#downMs = downMs
    this.isClosing = true
    this.machine.disarm()
    this.trace('stops')
    this.machine.run(() => {
      this.stopBeside()
      core.shutDown(0x8b, 'shutting down')
    })
    this.machine.finish(core)
  }

  #kill(isOrderly: boolean): void {
    this.died(isOrderly)
    this.machine.disarm()
    this.isClosing = false
    if (this.disk !== null) this.store = this.disk.crash(this.#isLastBatchDurable)
    this.disk = null
    this.core = null
    this.machine.end()
    for (const cable of this.#cables) cable.brokerGone()
    this.#cables = []
    this.forget()
    this.world.loop.after(this.#downMs, () => {
      if (this.core !== null) return
      if (this.#recoveryTouches > 0 && !this.#isCalm) this.machine.arm(this.#recoveryTouches)
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
    this.machine.disarm()
    this.#recoveryTouches = 0
    this.store.failure = null
    this.diskMs = [0, 3]
  }

  // --- connections --------------------------------------------------------------------------------------------------

  accept(cable: Cable): boolean {
    if (!this.isOpen) return false
    this.#cables.push(cable)
    return cable.open()
  }

  onOpen(socket: BrokerSocket): SocketHandler | null {
    const { core } = this
    if (core === null) return null
    const isDead = this.machine.present()
    let handler: SocketHandler | null = null
    this.machine.guard(isDead, () => {
      handler = this.connect(socket, resolveSettings(core.limits, core.options, { limits: {}, mountPoint: '' }))
    })
    if (isDead() || handler === null) return null
    return this.machine.guarded(isDead, handler)
  }

  onChunk(socket: BrokerSocket, bytes: Uint8Array): void {
    handOver(socket.handler!, bytes)
  }

  onWrite(): void {
    this.machine.touch()
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
    this.world.failed('internal', `${this.name}: ${text}`)
  }

  protected trace(text: string): void {
    this.world.trace?.(`${this.name} ${text}`)
  }
}
