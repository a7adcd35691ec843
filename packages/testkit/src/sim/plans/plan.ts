/**
 * A plan: how the broker is set up, the clients, and the steps of clients and machine with their times.
 *
 * A plan depends on the seed only, never on what the broker does, so that a failing one can be made shorter by leaving steps
 * out: the others stay as they are.
 */
import type { BrokerConfig } from '../broker-config.ts'
import type { CableProfile } from '../cable.ts'
import type { ClientProfile, ProfileChanges } from '../wire-client.ts'
import type { Step } from './step.ts'

export interface PlannedClient {
  readonly profile: ClientProfile
  /** True: the client library; false: the client on the wire. */
  readonly isLibrary: boolean
  /** True: the client library with a session store, in a process that crashes. */
  readonly hasStore: boolean
  readonly cable: CableProfile
  /** Changes of which the client may choose one when it comes back by itself. */
  readonly variants: readonly ProfileChanges[]
}

export interface Plan {
  readonly seed: number
  readonly broker: BrokerConfig
  readonly clients: readonly PlannedClient[]
  readonly steps: readonly Step[]
  /** Shortest and longest time of a batch on its way to the disk. */
  readonly diskMs: readonly [number, number]
  /** The program that embeds the broker subscribes durably. */
  readonly hasProgram?: boolean
}

/** Configuration of the broker, without what `extras.ts` and `limits.ts` add. */
export type DrawnConfig = Omit<BrokerConfig, 'denials' | 'withdrawals' | 'rates'>

export const TOPICS = ['a', 'a/b', 'a/b/c', 'b', 'b/c', 'c//d', '$x/y', 'no/x'] as const

/** Whether it is a client on the wire that has a name. */
export function isOnWire({ isLibrary, hasStore, profile }: PlannedClient): boolean {
  return !isLibrary && !hasStore && profile.clientId !== ''
}

/** Returns the indices of the clients on the wire that have a name. */
export function wireClients({ clients }: Plan): number[] {
  return [...clients.keys()].filter((i) => isOnWire(clients[i]!))
}

/** Adds steps to a plan, each after those of the same time. */
export function withSteps(plan: Plan, steps: readonly Step[]): Plan {
  return { ...plan, steps: [...plan.steps, ...steps].sort((a, b) => a.atMs - b.atMs) }
}
