/**
 * Adds to some plans a client with a session store, whose process crashes. Drawn from a stream of its own: the rest of the
 * plan is what it would be without it.
 */
import type { ProtocolVersion, Subscription } from '@recado/protocol'
import { Chance } from '../chance.ts'
import { gapMs, makePublish, makeSubscriptions, someFilters } from './draw.ts'
import { type Plan, type PlannedClient, withSteps } from './plan.ts'
import { type Step, type StepKind, step } from './step.ts'

const NEVER = 0xffff_ffff
/** Payloads of its messages must be told from those of the others. */
const FIRST_INDEX = 1_000
const RELEASED = { topicFilter: 'b', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 2 } as const

export function withStoredClient(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'store')
  if (!chance.of(0.2)) return plan
  const client = plan.clients.length
  const steps = makeSteps(chance, client)
  return withReleases(withSteps({ ...plan, clients: [...plan.clients, makeClient(chance)] }, steps), client)
}

/**
 * The server says PUBREL again on the next connection, while it is on its way to a slow disk that the Packet Identifier is
 * free, and the process dies before it is there: an answer that came too early leaves the identifier in the store.
 */
function withReleases(plan: Plan, client: number): Plan {
  const chance = new Chance(plan.seed, 'plan', 'store-releases')
  if (!chance.of(0.2)) return plan
  const publisher = chance.between(0, client - 1)
  const atMs = (plan.steps.at(-1)?.atMs ?? 0) + 3_000
  const cutMs = atMs + 1_000 + chance.between(900, 1_700)
  return withSteps(plan, [
    step(atMs, 'connect', { client }),
    step(atMs, 'connect', { client: publisher }),
    step(atMs + 500, 'subscribe', { client, subscriptions: [RELEASED] }),
    step(atMs + 900, 'store-slow', { client, ms: 8_000, latencyMs: 1_000 }),
    step(atMs + 1_000, 'publish', { client: publisher, topic: 'b', payload: 'released to a store', qos: 2 }),
    step(cutMs, 'cut', { client }),
    step(cutMs + chance.between(150, 600), 'client-crash', { client, touches: 0, downMs: 5 }),
  ])
}

function makeClient(chance: Chance): PlannedClient {
  const version: ProtocolVersion = chance.of(0.75) ? 5 : 4
  const isV5 = version === 5
  return {
    isLibrary: false,
    hasStore: true,
    profile: {
      clientId: 's0',
      version,
      expirySeconds: isV5 ? chance.pick([0, 2, 60, 3_600, 604_800, NEVER]) : NEVER,
      keepAliveSeconds: chance.pick([0, 0, 5, 30]),
      receiveMaximum: isV5 && chance.of(0.3) ? chance.between(1, 6) : 65_535,
      topicAliasMaximum: isV5 && chance.of(0.3) ? chance.between(1, 3) : 0,
      maximumPacketSize: 0,
      usesAliases: chance.of(0.3),
      reusesIds: false,
      hasEnhancedAuthentication: false,
      will: null,
      username: '',
      listener: 0,
      wantsProblems: true,
      wantsResponses: false,
    },
    variants: [],
    cable: {
      latencyMs: chance.pick([0, 1, 5, 40]),
      jitterMs: chance.pick([0, 2, 30]),
      splits: chance.pick([0, 0.1, 0.6]),
      joins: chance.pick([0, 0.5, 1]),
      capacityBytes: chance.of(0.1) ? chance.pick([512, 2_000]) : 65_536,
    },
  }
}

/** Mostly at QoS 2, and for much, so that there is something to be handed out once. */
function manyMessages(chance: Chance): Subscription[] {
  const isWide = chance.of(0.5)
  return makeSubscriptions(chance).map((each, i) => ({
    ...each,
    topicFilter: isWide && i === 0 ? chance.pick(['#', 'a/#']) : each.topicFilter,
    noLocal: each.noLocal && chance.of(0.3),
    qos: chance.of(0.6) ? 2 : each.qos,
  }))
}

function makeSteps(chance: Chance, client: number): Step[] {
  const some = (weight: number): number => chance.preferred(weight)
  const weights: Partial<Record<StepKind, number>> = {
    publish: 60,
    subscribe: some(6),
    unsubscribe: some(2),
    connect: some(3),
    disconnect: some(2),
    cut: some(6),
    'fall-silent': some(1),
    'stop-reading': some(2),
    'client-crash': some(10),
    'store-fails': some(3),
    'store-slow': some(4),
  }
  const subscriptions = manyMessages(chance)
  const steps = [step(0, 'connect', { client }), step(chance.between(0, 20), 'subscribe', { client, subscriptions })]
  const length = chance.between(20, 80)
  let atMs = 0
  for (let i = 0; i < length; i++) {
    atMs += gapMs(chance, 150, 3_000)
    steps.push(makeStep(chance, atMs, chance.weighted(weights as Record<StepKind, number>), i, client))
  }
  return steps
}

function makeStep(chance: Chance, atMs: number, kind: StepKind, i: number, client: number): Step {
  switch (kind) {
    case 'publish': {
      const publish = makePublish(chance, atMs, client, FIRST_INDEX + i)
      // An empty payload would be that of others, too.
      return { ...publish, payload: publish.payload || `m${FIRST_INDEX + i} `, untilStored: chance.of(0.4) }
    }
    case 'subscribe':
      return step(atMs, kind, { client, subscriptions: manyMessages(chance) })
    case 'unsubscribe':
      return step(atMs, kind, { client, topicFilters: someFilters(chance) })
    case 'disconnect':
      return step(atMs, kind, { client, reasonCode: chance.pick([0, 0, 4]), comesBack: chance.of(0.5) })
    case 'stop-reading':
      return step(atMs, kind, { client, ms: chance.pick([20, 300, 3_000]) })
    case 'client-crash': {
      const touches = chance.of(0.2) ? 0 : chance.between(1, 12)
      const downMs = chance.pick([0, 5, 100, 2_000])
      const isLastBatchDurable = chance.of(0.5)
      const isStoreLost = chance.of(0.08)
      const touchesOfRecovery = !isStoreLost && chance.of(0.2) ? chance.between(1, 6) : 0
      return step(atMs, kind, { client, touches, downMs, isLastBatchDurable, isStoreLost, touchesOfRecovery })
    }
    case 'store-fails':
      return step(atMs, kind, {
        client,
        ms: chance.pick([1, 50, 500, 3_000]),
        code: chance.pick(['ENOSPC', 'EIO']),
      })
    case 'store-slow':
      return step(atMs, kind, { client, ms: chance.pick([50, 500, 2_000]), latencyMs: chance.pick([20, 200]) })
    default:
      return step(atMs, kind, { client })
  }
}
