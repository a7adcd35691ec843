/**
 * Several Cores as one broker in a test: worlds with simulated disks, and a bus between them that delivers when it is
 * told to.
 *
 *     const broker = new MeshWorld(2)
 *     const a = broker.worlds[0].durable('a', 't')
 *     broker.run()
 */
import { resolveSettings } from '../core/connection/listener-settings.ts'
import { DiskWorld } from '../testing/disk-world.ts'
import type { AtCrash } from '../testing/sim-store.ts'
import type { WorldOptions } from '../testing/world.ts'
import { homeOf } from './homes.ts'
import { Mesh } from './mesh.ts'

interface Carried {
  readonly from: number
  readonly to: number
  readonly frame: Uint8Array
}

/** Rounds after which frames must have come to an end. */
const ROUNDS_MAX = 1_000

export class MeshWorld {
  readonly worlds: DiskWorld[] = []
  readonly meshes: Mesh[] = []
  /** Frames on their way, the oldest first. */
  frames: Carried[] = []
  /** Says which frames are lost. */
  loses: (frame: Carried) => boolean = () => false
  readonly #cores: number

  readonly #options: WorldOptions

  constructor(cores: number, options: WorldOptions = {}) {
    this.#cores = cores
    this.#options = options
    for (let i = 0; i < cores; i++) this.#start(i, new DiskWorld(options))
    this.settle()
  }

  #start(i: number, world: DiskWorld): void {
    this.worlds[i] = world
    const mesh = new Mesh(world.core, {
      ...{ id: i, cores: this.#cores },
      bus: {
        send: (to, frame) => {
          const carried = { from: i, to, frame: new Uint8Array(frame) }
          if (!this.loses(carried)) this.frames.push(carried)
        },
      },
    })
    this.meshes[i] = mesh
    // Clients come by the doorway of the Core.
    world.accept = (transport, settings) => {
      const { limits, options } = world.core
      const handler = mesh.accept(
        transport,
        settings === undefined ? undefined : resolveSettings(limits, options, settings),
      )
      if (handler === null) transport.destroy()
      else transport.start(handler)
    }
    mesh.start()
  }

  /** Returns a Client Identifier that has its home at a Core. */
  idAt(i: number, name: string): string {
    for (let n = 0; ; n++) if (homeOf(`${name}${n}`, this.#cores) === i) return `${name}${n}`
  }

  world(i: number): DiskWorld {
    return this.worlds[i]!
  }

  mesh(i: number): Mesh {
    return this.meshes[i]!
  }

  /** Delivers frames until none is on its way; nothing gets to a disk. */
  run(): this {
    for (const world of this.worlds) world.run()
    for (let rounds = 0; this.frames.length > 0; rounds++) {
      if (rounds > ROUNDS_MAX) throw new Error('the frames do not come to an end')
      const { to, frame } = this.frames.shift()!
      this.mesh(to).onFrame(frame)
      this.world(to).run()
    }
    return this
  }

  /** Delivers frames, and finishes what is on its way to the disks, until nothing changes. */
  settle(): this {
    for (let i = 0; i < 4; i++) {
      this.run()
      for (const world of this.worlds) world.settle()
    }
    return this.run()
  }

  /** Lets time pass in all Cores. */
  advance(ms: number): this {
    for (const world of this.worlds) world.advance(ms)
    return this.run()
  }

  /** The process of a Core ends, and the next one begins. Frames on their way to it are lost. */
  crash(i: number, inFlight: AtCrash = 'lost'): this {
    this.frames = this.frames.filter(({ to }) => to !== i)
    this.#start(i, this.world(i).crash(0, this.#options, inFlight))
    return this
  }
}
