/**
 * Adds to some plans what hardly ever comes together by chance. Each is drawn from a stream of its own: the rest of the plan is
 * what it would be without it.
 */
import type { Subscription } from '@recado/protocol'
import { Chance } from '../chance.ts'
import type { ClientProfile } from '../wire-client.ts'
import { type Plan, type PlannedClient, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

/** Topics that every client may publish to and that `#` matches. */
const TOPICS = ['a', 'a/b', 'a/b/c', 'b', 'b/c', 'c//d'] as const

export function withRareThings(plan: Plan): Plan {
  return withLeavingReader(withNarrowReader(withReleases(withRepeats(plan))))
}

/** A client says what belongs to a QoS 2 message more often than once, and gives its Packet Identifiers out again soon. */
function withRepeats(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'repeats')
  if (!chance.of(0.15)) return plan
  const client = pickClient(chance, plan, ({ isLibrary, hasStore }) => !isLibrary && !hasStore)
  if (client < 0) return plan
  const steps: Step[] = []
  const receiveMaximum = chance.pick([null, null, 1, 2, 3])
  for (let i = chance.between(1, 4); i > 0; i--) {
    const atMs = chance.between(100, 100 + lastMsOf(plan))
    steps.push(step(atMs - 100, 'subscribe', { client, subscriptions: [subscriptionTo('a/b')] }))
    const isCrash = plan.broker.isPersistent && chance.of(0.5)
    if (isCrash) addSlowDiskAndCrash(chance, atMs, steps)
    for (let k = chance.between(1, 4); k > 0; k--) {
      const thenMs = atMs + chance.between(0, 30)
      const packet =
        isCrash && chance.of(0.7) ? 'connect' : chance.pick(['publish', 'publish-late', 'pubrel', 'connect'] as const)
      steps.push(publishing(thenMs, client, 'a/b', `repeated ${i} ${k}`, chance.of(0.3)))
      steps.push(step(thenMs + (packet === 'publish' ? chance.between(0, 20) : 0), 'repeat', { client, packet }))
    }
    // With the Packet Identifiers of those before.
    const againMs = atMs + (isCrash ? 1_200 : chance.between(50, 500))
    for (let k = chance.between(1, 4); k > 0; k--)
      steps.push(publishing(againMs, client, 'a/b', `after ${i} ${k}`, false))
  }
  const limits = receiveMaximum === null ? plan.broker.limits : { ...plan.broker.limits, receiveMaximum }
  const changed = withProfile({ ...plan, broker: { ...plan.broker, limits } }, client, { reusesIds: true })
  return withSteps(changed, steps)
}

/** The broker dies while what the client has said is on its way to the disk. */
function addSlowDiskAndCrash(chance: Chance, atMs: number, steps: Step[]): void {
  steps.push(step(atMs, 'disk-slow', { ms: 1_500, latencyMs: chance.pick([60, 150, 400]) }))
  steps.push(
    step(atMs + chance.between(50, 900), 'broker-crash', {
      touches: chance.pick([0, 0, 1, 2, 3, 5]),
      downMs: chance.pick([0, 100]),
      isLastBatchDurable: chance.of(0.2),
    }),
  )
}

/**
 * A client says PUBREL, and again on its next connection, while the disk fails. The broker dies before it is known there that the
 * Packet Identifier is free, and the client gives that out again: an answer that came too early costs the next message.
 */
function withReleases(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'releases')
  if (!chance.of(0.04) || !plan.broker.isPersistent) return plan
  const client = pickClient(chance, plan, ({ isLibrary, hasStore }) => !isLibrary && !hasStore)
  const reader = pickClient(chance, plan, (each) => each !== plan.clients[client])
  if (client < 0 || reader < 0) return plan
  const atMs = lastMsOf(plan) + 3_000
  const latencyMs = chance.pick([100, 200, 400])
  const changes = { version: 5, expirySeconds: 600, keepAliveSeconds: 0, maximumPacketSize: 0, will: null } as const
  const connect = (thenMs: number, cleanStart: boolean): Step =>
    step(thenMs, 'connect', { client, cleanStart, withWill: false, changes })
  const failsMs = atMs + 1_000 + chance.between(latencyMs / 2, 2 * latencyMs)
  const steps = [
    connect(atMs, true),
    step(atMs + 500, 'subscribe', { client: reader, subscriptions: [subscriptionTo('b')] }),
    step(atMs + 900, 'disk-slow', { ms: 4 * latencyMs, latencyMs }),
    publishing(atMs + 1_000, client, 'b', 'released twice', false),
    step(failsMs, 'disk-fails', { ms: 3_000, code: 'EIO' }),
    step(failsMs + chance.between(100, 300), 'cut', { client }),
    connect(failsMs + 400, false),
    step(failsMs + 1_500, 'broker-crash', { touches: 0, downMs: 0 }),
    connect(failsMs + 3_500, false),
    publishing(failsMs + 4_000, client, 'b', 'with its Packet Identifier', false),
  ]
  return withSteps(withProfile(plan, client, { reusesIds: true }), steps)
}

/** Messages are about as large as the Maximum Packet Size of a client that takes Topic Aliases: a new one makes them larger. */
function withNarrowReader(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'narrow')
  if (!chance.of(0.1)) return plan
  const client = pickClient(chance, plan, ({ profile }) => profile.version === 5)
  if (client < 0) return plan
  const maximumPacketSize = chance.between(100, 200)
  const steps: Step[] = []
  for (let i = chance.between(1, 3); i > 0; i--) {
    const atMs = chance.between(100, 100 + lastMsOf(plan))
    steps.push(step(atMs - 100, 'subscribe', { client, subscriptions: [subscriptionTo('#')] }))
    for (let k = chance.between(2, 6); k > 0; k--) {
      const topic = chance.pick(TOPICS)
      const overhead = (maximumPacketSize > 129 ? 3 : 2) + 2 + topic.length + 2 + 1
      const size = maximumPacketSize - overhead - chance.between(-1, 4)
      const publisher = chance.between(0, plan.clients.length - 1)
      steps.push(publishing(atMs, publisher, topic, `narrow ${i} ${k} `.padEnd(size, 'x'), false))
    }
  }
  const changed = withProfile(plan, client, { maximumPacketSize, topicAliasMaximum: chance.between(1, 6) })
  return withSteps(changed, steps)
}

/** A client gets retained messages one at a time, and unsubscribes before it has them all. */
function withLeavingReader(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'leaving')
  if (!chance.of(0.04)) return plan
  const client = pickClient(chance, plan, ({ isLibrary, hasStore }) => !isLibrary && !hasStore)
  const publisher = pickClient(chance, plan, (each) => each !== plan.clients[client])
  if (client < 0 || publisher < 0) return plan
  const atMs = lastMsOf(plan) + 3_000
  const changes = { version: 5, receiveMaximum: 1, keepAliveSeconds: 0, maximumPacketSize: 0, will: null } as const
  const subscription = { ...subscriptionTo('#'), qos: chance.pick([1, 2] as const), retainHandling: 0 as const }
  return withSteps(plan, [
    step(atMs, 'connect', { client: publisher }),
    ...TOPICS.map((topic, i) => publishing(atMs + 500 + i, publisher, topic, `to be left ${i}`, true)),
    step(atMs + 1_000, 'connect', { client, cleanStart: true, withWill: false, changes }),
    step(atMs + 1_400, 'acknowledge', { client, how: 'hold' }),
    step(atMs + 1_500, 'subscribe', { client, subscriptions: [subscription] }),
    step(atMs + 1_500 + chance.between(0, 300), 'unsubscribe', { client, topicFilters: ['#'] }),
    step(atMs + 2_000, 'acknowledge', { client, how: 'now' }),
  ])
}

/** -1: there is none. */
function pickClient(chance: Chance, { clients }: Plan, isRight: (client: PlannedClient) => boolean): number {
  const right = [...clients.keys()].filter((i) => isRight(clients[i]!))
  return right.length === 0 ? -1 : chance.pick(right)
}

function lastMsOf({ steps }: Plan): number {
  return steps.at(-1)?.atMs ?? 0
}

function subscriptionTo(topicFilter: string): Subscription {
  return { topicFilter, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 2 }
}

function publishing(atMs: number, client: number, topic: string, payload: string, retain: boolean): Step {
  return step(atMs, 'publish', { client, topic, payload, qos: 2, retain })
}

function withProfile(plan: Plan, client: number, changes: Partial<ClientProfile>): Plan {
  const clients = plan.clients.map((each, i) =>
    i === client ? { ...each, profile: { ...each.profile, ...changes } } : each,
  )
  return { ...plan, clients }
}
