/**
 * Adds to half of the plans what changes from one connection to the next, in a subscription, and over a restart of the broker: each
 * client may say something else in each CONNECT, and the broker may be set up otherwise when it starts. The rest of the
 * plan is what it would be without it.
 */
import type { QoS } from '@recado/protocol'
import type { ListenerConfig, Reconfiguration } from '../broker-config.ts'
import { Chance } from '../chance.ts'
import { FREE_USER } from '../model/rights.ts'
import type { ClientProfile, ProfileChanges } from '../wire-client.ts'
import { type Plan, type PlannedClient, TOPICS } from './plan.ts'
import type { Step } from './step.ts'

const NEVER = 0xffff_ffff

export function withVariations(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'varied')
  if (!chance.of(0.5)) return plan
  const listeners = [plan.broker.listeners[0]!, makeListener(chance)]
  const broker = { ...plan.broker, listeners, isOneByOne: true, hasShortCredentials: chance.of(0.4) }
  const clients = plan.clients.map((client) => ({ ...client, variants: makeVariants(chance, client) }))
  const hasOnlyWire = clients.every(({ isLibrary, hasStore }) => !isLibrary && !hasStore)
  const steps = plan.steps.map((each) => varied(chance, each, clients, plan, hasOnlyWire))
  return { ...plan, broker, clients, steps }
}

/** With limits and a mount point of its own, which makes its topics some of the others'. */
export function makeListener(chance: Chance): ListenerConfig {
  const limits: Record<string, number> = {}
  const own = (name: string, values: readonly number[], probability: number): void => {
    if (chance.of(probability)) limits[name] = chance.pick(values)
  }
  own('receiveMaximum', [1, 2, 10, 1_000], 0.4)
  own('inflightMax', [1, 2, 5, 1_000], 0.4)
  own('topicAliasMaximum', [0, 1, 3, 10], 0.3)
  own('topicAliasSendMax', [0, 1, 3, 10], 0.3)
  own('subscriptionsMax', [1, 2, 3], 0.2)
  own('maximumQoS', [0, 1, 2], 0.2)
  own('sessionExpirySecondsMax', [0, 1, 5], 0.2)
  own('packetBytesMax', [300, 1_000], 0.1)
  return { limits, mountPoint: chance.pick(['', '', 'a/', 'm/']) }
}

/** Changes of a client's settings, now and then. */
function makeVariants(chance: Chance, client: PlannedClient): ProfileChanges[] {
  const variants: ProfileChanges[] = []
  if (client.isLibrary || client.hasStore || chance.of(0.2)) return variants
  for (let i = chance.between(1, 4); i > 0; i--) variants.push(makeChanges(chance, client.profile))
  return variants
}

/** Each thing that a CONNECT says may change, alone or with others. */
export function makeChanges(chance: Chance, profile: ClientProfile): ProfileChanges {
  const version = chance.of(0.3) ? chance.pick([3, 4, 5, 5] as const) : profile.version
  const isV5 = version === 5
  const changes: { -readonly [Name in keyof ProfileChanges]: ProfileChanges[Name] } = {}
  const some = chance.pick([0.1, 0.3, 0.8])
  changes.version = version
  const expirySeconds = chance.pick(isV5 ? [0, 0, 1, 4, 60, 3_600, NEVER] : [0, NEVER, NEVER])
  if (chance.of(some)) changes.expirySeconds = expirySeconds
  if (isV5) {
    if (chance.of(some)) changes.receiveMaximum = chance.pick([1, 1, 2, 3, 5, 20, 65_535])
    if (chance.of(some)) changes.topicAliasMaximum = chance.between(0, 3)
    if (chance.of(some)) changes.maximumPacketSize = chance.pick([0, 0, 100, 200, 400])
    if (chance.of(some)) changes.wantsProblems = chance.of(0.5)
    if (chance.of(some)) changes.wantsResponses = chance.of(0.5)
    if (chance.of(some / 2) && profile.clientId !== 'c4') changes.hasEnhancedAuthentication = chance.of(0.5)
  }
  if (chance.of(some)) changes.keepAliveSeconds = chance.pick([0, 2, 5, 30])
  if (chance.of(some)) changes.usesAliases = chance.of(0.5)
  if (chance.of(some)) changes.username = chance.pick(['', 'somebody', FREE_USER])
  if (chance.of(some)) changes.listener = chance.between(0, 1)
  if (chance.of(some)) changes.will = chance.of(0.4) ? null : makeWill(chance, profile)
  return changes
}

/** `delay`: in seconds; by default any, or none. */
export function makeWill(
  chance: Chance,
  { clientId }: ClientProfile,
  delay: number = chance.pick([0, 0, 1, 3]),
): NonNullable<ClientProfile['will']> {
  return {
    topic: chance.pick(TOPICS),
    payload: new TextEncoder().encode(`another will of ${clientId}`),
    qos: chance.between(0, 2) as QoS,
    retain: chance.of(0.2),
    properties: delay > 0 ? { willDelayIntervalSeconds: delay } : {},
  }
}

function varied(
  chance: Chance,
  step: Step,
  clients: readonly PlannedClient[],
  { broker }: Plan,
  hasOnlyWire: boolean,
): Step {
  if (step.kind === 'connect') {
    const client = clients[step.client]!
    if (client.variants.length === 0 || !chance.of(0.6)) return step
    return { ...step, changes: makeChanges(chance, client.profile) }
  }
  const isStart = step.kind === 'broker-restart' || step.kind === 'broker-crash'
  if (!isStart || !chance.of(0.4)) return step
  return { ...step, setup: makeSetup(chance, broker.limits, hasOnlyWire) }
}

/** `isFree`: no client cares for limits that it is not told. */
export function makeSetup(chance: Chance, limits: Readonly<Record<string, number>>, isFree: boolean): Reconfiguration {
  const changed: Record<string, number> = {}
  const limit = (name: string, values: readonly number[], probability: number): void => {
    if (chance.of(probability)) changed[name] = chance.pick(values)
  }
  limit('queueMessagesMax', [0, 1, 3, 8, 100_000], 0.3)
  limit('inflightMax', [1, 2, 5, 1_000], 0.3)
  limit('receiveMaximum', [1, 2, 10, 1_000], 0.2)
  limit('subscriptionsMax', [1, 2, 3, 10_000], 0.15)
  limit('topicAliasMaximum', [0, 1, 3, 10], 0.1)
  limit('topicAliasSendMax', [0, 1, 3, 10], 0.1)
  limit('sessionExpirySecondsMax', [1, 5, NEVER], 0.15)
  limit('routeCacheMax', [0, 2, 1_000], 0.1)
  if (isFree) {
    limit('maximumQoS', [0, 1, 2], 0.1)
    limit('packetBytesMax', [300, 1_000, 268_435_460], 0.1)
  }
  if (limits['retainedMessagesMax'] !== 0) limit('retainedMessagesMax', isFree ? [0, 1, 2, 1_000] : [1, 2, 1_000], 0.15)
  const options = {
    ...(chance.of(0.25) ? { overflow: chance.pick(['reject', 'drop-oldest', 'drop-newest'] as const) } : {}),
    ...(chance.of(0.2) ? { queueQoS0: chance.of(0.5) } : {}),
    ...(chance.of(0.1) ? { wildcardSubscriptions: chance.of(0.5) } : {}),
    ...(chance.of(0.1) ? { sharedSubscriptions: chance.of(0.5) } : {}),
    ...(isFree && chance.of(0.1) ? { subscriptionIdentifiers: chance.of(0.5) } : {}),
  }
  return {
    ...(Object.keys(changed).length > 0 ? { limits: changed } : {}),
    ...(Object.keys(options).length > 0 ? { options } : {}),
    ...(chance.of(0.2) ? { listeners: [{ limits: {}, mountPoint: '' }, makeListener(chance)] } : {}),
    ...(chance.of(0.35) ? { hasPolicy: chance.of(0.5) } : {}),
    ...(chance.of(0.2) ? { isPersistent: chance.of(0.5) } : {}),
  }
}
