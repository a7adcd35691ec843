/**
 * The plan of a run with a mesh, drawn from its seed: Cores of one broker, the bus between them, clients with their
 * homes, and what happens.
 */
import { homeOf } from '@recado/broker/testing'
import type { CableProfile } from '../cable.ts'
import { Chance } from '../chance.ts'

export type QoS = 0 | 1 | 2
export type Version = 3 | 4 | 5

export interface BusPlan {
  /** Milliseconds that a frame takes. */
  readonly latencyMs: readonly [number, number]
  /** Share of frames that take much longer, and those behind them with them. */
  readonly stalls: number
  /** Share of frames that are lost. */
  readonly losses: number
}

export interface CorePlan {
  readonly inflightMax: number
  readonly receiveMaximum: number
  readonly topicAliasMaximum: number
  readonly diskMs: readonly [number, number]
}

export interface ClientPlan {
  readonly clientId: string
  /** Number of the Core that has its session. */
  readonly home: number
  /** Share of its connections that go to any Core, instead of its home. */
  readonly strays: number
  readonly version: Version
  /** Whether its session outlives its connections. */
  readonly isDurable: boolean
  /** Most messages that it has in flight. */
  readonly window: number
}

export type Step =
  | {
      readonly kind: 'publish'
      readonly client: number
      readonly topic: string
      readonly qos: QoS
      readonly bytes: number
      readonly count: number
      readonly expirySeconds: number | null
    }
  | {
      readonly kind: 'subscribe'
      readonly client: number
      readonly topicFilter: string
      readonly qos: QoS
      readonly noLocal: boolean
    }
  | { readonly kind: 'unsubscribe'; readonly client: number; readonly topicFilter: string }
  | { readonly kind: 'cut'; readonly client: number }
  | { readonly kind: 'leave'; readonly client: number; readonly ms: number }
  | { readonly kind: 'hold'; readonly client: number; readonly ms: number }
  | {
      readonly kind: 'crash'
      readonly core: number
      /** Calls of the disk, the network or the bus until then. */
      readonly touches: number
      readonly downMs: number
      /** Calls of the next start until it crashes as well; 0 for never. */
      readonly recoveryTouches: number
      readonly isLastBatchDurable: boolean
    }
  | { readonly kind: 'restart'; readonly core: number; readonly downMs: number }
  | { readonly kind: 'disk'; readonly core: number; readonly ms: number }
  | { readonly kind: 'slow-disk'; readonly core: number; readonly latencyMs: number; readonly ms: number }
  /** Nothing gets from one Core to another. */
  | { readonly kind: 'part'; readonly from: number; readonly to: number; readonly ms: number }
  /** All frames that are on their way are lost. */
  | { readonly kind: 'lose'; readonly from: number; readonly to: number }
  | { readonly kind: 'stand-still'; readonly ms: number }

export interface TimedStep {
  readonly atMs: number
  readonly step: Step
}

export interface MeshPlan {
  readonly seed: number
  readonly isPersistent: boolean
  readonly cores: readonly CorePlan[]
  readonly bus: BusPlan
  /** Lines of the clients. */
  readonly cable: CableProfile
  /** Share of decisions about rights that take time, in which their connection is not read. */
  readonly lateDecisions: number
  readonly clients: readonly ClientPlan[]
  readonly steps: readonly TimedStep[]
}

export const TOPICS = ['a/0', 'a/1', 'b/0', 'b/x/1'] as const
const FILTERS = [...TOPICS, 'a/+', 'b/#', '+/0', '#'] as const
const VERSIONS: readonly Version[] = [3, 4, 4, 5, 5, 5]
const LENGTH_MS = 12_000

export function makePlan(seed: number): MeshPlan {
  const chance = new Chance(seed, 'mesh plan')
  const isPersistent = !chance.of(0.1)
  const count = chance.pick([2, 2, 3, 3, 4])
  const cores = Array.from({ length: count }, () => drawCore(chance))
  const bus = drawBus(chance)
  const cable: CableProfile = {
    ...{ latencyMs: 1, jitterMs: chance.pick([0, 2, 20]), splits: chance.pick([0.05, 0.5]), joins: 0.3 },
    capacityBytes: chance.pick([1_000, 20_000, 1_000_000]),
  }
  const clients = drawClients(chance, count)
  const lateDecisions = chance.pick([0, 0, 0.1, 0.5])
  return {
    seed,
    isPersistent,
    cores,
    bus,
    cable,
    lateDecisions,
    clients,
    steps: drawSteps(chance, clients, count, isPersistent),
  }
}

function drawCore(chance: Chance): CorePlan {
  return {
    inflightMax: chance.pick([1, 3, 20, 1_000]),
    receiveMaximum: chance.pick([1, 5, 20, 1_000]),
    topicAliasMaximum: chance.pick([0, 10]),
    diskMs: chance.pick([
      [0, 0],
      [0, 3],
      [1, 20],
      [5, 60],
    ]),
  }
}

function drawBus(chance: Chance): BusPlan {
  return {
    latencyMs: chance.pick([
      [0, 0],
      [0, 2],
      [1, 15],
      [5, 120],
    ]),
    stalls: chance.pick([0, 0, 0.02]),
    losses: chance.pick([0, 0, 0.01, 0.05, 0.3]),
  }
}

function drawClients(chance: Chance, cores: number): ClientPlan[] {
  const count = chance.between(3, 6)
  return Array.from({ length: count }, (_, i) => {
    // One of each of the first two Cores at least, so that something crosses.
    const home = i < 2 ? i : chance.between(0, cores - 1)
    return {
      ...{ clientId: clientIdAt(home, cores, `c${i}`), home, strays: chance.pick([0, 0.5, 1]) },
      version: chance.pick(VERSIONS),
      isDurable: i === 1 || chance.of(0.65),
      window: chance.pick([1, 4, 8]),
    }
  })
}

/** Returns a Client Identifier that has its home at a Core. */
function clientIdAt(home: number, cores: number, name: string): string {
  for (let i = 0; ; i++) {
    const clientId = i === 0 ? name : `${name}.${i}`
    if (homeOf(clientId, cores) === home) return clientId
  }
}

function drawSteps(chance: Chance, clients: readonly ClientPlan[], cores: number, isPersistent: boolean): TimedStep[] {
  const steps: TimedStep[] = []
  const client = (): number => chance.between(0, clients.length - 1)
  const core = (): number => chance.between(0, cores - 1)
  const other = (from: number): number => (from + chance.between(1, cores - 1)) % cores
  const add = (count: number, draw: () => Step): void => {
    for (let i = 0; i < count; i++) steps.push({ atMs: chance.between(0, LENGTH_MS), step: draw() })
  }
  const subscribe = (): Step => ({
    ...{ kind: 'subscribe', client: client(), topicFilter: chance.pick(FILTERS), qos: chance.pick([0, 1, 2, 2]) },
    noLocal: chance.of(0.2),
  })
  // Most subscribe before anything is published, some meanwhile.
  for (let i = 0; i < clients.length; i++) {
    steps.push({ atMs: chance.between(0, 300), step: { ...subscribe(), client: i } as Step })
  }
  const isBusy = chance.preferred(1)
  add(chance.between(2, 10), subscribe)
  add(chance.between(0, 4), () => ({ kind: 'unsubscribe', client: client(), topicFilter: chance.pick(FILTERS) }))
  add(isBusy < 1 ? 25 : chance.between(10, 70), () => ({
    ...{ kind: 'publish', client: client(), topic: chance.pick(TOPICS), qos: chance.pick([0, 1, 1, 2, 2]) },
    bytes: chance.of(0.03) ? 90_000 : chance.pick([0, 5, 5, 200, 5_000]),
    count: chance.pick([1, 1, 1, 3, 8]),
    expirySeconds: chance.of(0.1) ? chance.between(1, 10) : null,
  }))
  if (chance.of(0.1)) return sorted(steps)
  add(chance.between(0, 5), () => ({ kind: 'cut', client: client() }))
  add(chance.between(0, 3), () => ({ kind: 'leave', client: client(), ms: chance.between(100, 4_000) }))
  add(chance.between(0, 2), () => ({ kind: 'hold', client: client(), ms: chance.between(100, 3_000) }))
  add(chance.between(0, 3), () => {
    const from = core()
    return { kind: 'part', from, to: other(from), ms: chance.between(50, 3_000) }
  })
  add(chance.between(0, 4), () => {
    const from = core()
    return { kind: 'lose', from, to: other(from) }
  })
  if (chance.of(0.2)) add(1, () => ({ kind: 'stand-still', ms: chance.between(100, 5_000) }))
  if (!isPersistent) return sorted(steps)
  add(chance.between(0, 5), () => ({
    ...{ kind: 'crash', core: core(), touches: chance.pick([0, 1, 2, 3, 5, 8, 13, 30]) },
    downMs: chance.pick([10, 100, 400, 2_000]),
    recoveryTouches: chance.of(0.3) ? chance.between(1, 12) : 0,
    isLastBatchDurable: chance.of(0.5),
  }))
  add(chance.pick([0, 0, 1, 2]), () => ({ kind: 'restart', core: core(), downMs: chance.pick([20, 300, 1_500]) }))
  add(chance.pick([0, 0, 0, 1]), () => ({ kind: 'disk', core: core(), ms: chance.between(100, 3_000) }))
  add(chance.pick([0, 0, 1]), () => ({
    ...{ kind: 'slow-disk', core: core(), latencyMs: chance.between(50, 600) },
    ms: chance.between(500, 4_000),
  }))
  return sorted(steps)
}

function sorted(steps: TimedStep[]): TimedStep[] {
  return steps.sort((a, b) => a.atMs - b.atMs)
}
