/**
 * Plans by seed: the ordinary ones, and those that are nothing but scenes.
 *
 * Each part of a plan is drawn from a stream of chance of its own: with a new part the other steps of a seed stay what they were.
 */

import type { Denial } from '../broker-config.ts'
import { Chance } from '../chance.ts'
import { withAnswers } from './answers.ts'
import { withDelays } from './delays.ts'
import { type DrawnKind, gapMs, makeClient, makeStep, makeSubscriptions } from './draw.ts'
import { makeExtras } from './extras.ts'
import { withTightLimits } from './limits.ts'
import { withNamelessClient } from './nameless.ts'
import { type DrawnConfig, type Plan, type PlannedClient, TOPICS } from './plan.ts'
import { withProgram } from './program.ts'
import { withRareThings } from './rare.ts'
import { withScenes } from './scenes.ts'
import { withSequence } from './sequences.ts'
import { type Step, step } from './step.ts'
import { withStoredClient } from './stored.ts'
import { withTopicOptions } from './topics.ts'
import { withVariations } from './varied.ts'

const PLAIN_LISTENER = { limits: {}, mountPoint: '' }
const NEVER = 0xffff_ffff

/** Nothing but scenes: clients on the wire, a disk and what makes each pair of change and state occur. */
export function makeScenes(seed: number): Plan {
  const chance = new Chance(seed, 'scenes')
  const drawn = makeBroker(chance)
  const limits = chance.of(0.7) ? {} : drawn.limits
  const broker = {
    ...drawn,
    isPersistent: true,
    isOneByOne: true,
    limits,
    rates: null,
    denials: drawn.hasAuthorizer ? makeDenials(chance) : null,
    withdrawals: null,
  }
  const clients: PlannedClient[] = []
  for (let i = 0; i < 3; i++) clients.push({ ...makeClient(chance, i, drawn, true), isLibrary: false })
  const steps = clients.map((_, client) =>
    step(client, 'connect', { client, cleanStart: true, withWill: chance.between(0, 1) === 1 }),
  )
  return withTightLimits(withScenes({ seed, broker, clients, steps, diskMs: chance.pick(DISKS) }, true))
}

/** Some of what the users of some clients may not receive; another user may. */
function makeDenials(chance: Chance): Denial[] {
  const denials: Denial[] = []
  for (const clientId of ['c0', 'c1', 'c2'])
    for (const topic of ['a', 'a/b', 'b/c']) if (chance.of(0.12)) denials.push({ clientId, topic })
  return denials
}

/** Ranges of the duration of a batch in milliseconds. */
const DISKS: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, 3],
  [1, 10],
  [5, 60],
]

export function makePlan(seed: number): Plan {
  const chance = new Chance(seed, 'plan')
  const drawn = makeBroker(chance)
  const clients: PlannedClient[] = []
  const count = chance.between(2, 5)
  const isCalm = chance.of(0.15)
  for (let i = 0; i < count; i++) clients.push(makeClient(chance, i, drawn, isCalm))
  const steps: Step[] = []
  const length = chance.between(30, 160)
  let atMs = 0
  for (const [i] of clients.entries()) {
    const subscriptions = chance.of(0.8) ? makeSubscriptions(chance) : []
    steps.push(step(atMs, 'connect', { client: i, cleanStart: true, withWill: chance.between(0, 1) === 1 }))
    if (subscriptions.length > 0)
      steps.push(step(atMs + 15, 'subscribe', { client: i, subscriptions, identifier: chance.pick([0, 0, 1, 7]) }))
    atMs += chance.between(0, 10)
  }
  const weights = makeWeights(chance, drawn, isCalm)
  for (let i = 0; i < length; i++) {
    atMs += gapMs(chance, 120, 4_000)
    steps.push(makeStep(chance, atMs, chance.weighted(weights), i, clients))
  }
  const diskMs = chance.pick(DISKS)
  const extras = makeExtras(seed, drawn, clients, atMs, TOPICS)
  steps.push(...extras.steps)
  steps.sort((a, b) => a.atMs - b.atMs)
  const plan = withStoredClient({ seed, broker: extras.broker, clients, steps, diskMs })
  const changing = withScenes(withVariations(withNamelessClient(withRareThings(plan))))
  return withSequence(withTopicOptions(withAnswers(withProgram(withDelays(withTightLimits(changing))))))
}

function makeBroker(chance: Chance): DrawnConfig {
  const limits: Record<string, number> = {}
  const tight = (name: string, values: readonly number[], probability: number): void => {
    if (chance.of(probability)) limits[name] = chance.pick(values)
  }
  tight('queueMessagesMax', [0, 1, 3, 8], 0.2)
  tight('inflightMax', [1, 2, 5], 0.2)
  tight('receiveMaximum', [1, 2, 10], 0.15)
  tight('retainedMessagesMax', [0, 1, 2], 0.1)
  tight('subscriptionsMax', [1, 2, 3], 0.08)
  tight('connectionsMax', [1, 2, 3], 0.05)
  tight('sessionsMax', [1, 2, 3], 0.05)
  tight('packetBytesMax', [200, 1000], 0.05)
  tight('topicAliasMaximum', [0, 1, 3], 0.2)
  tight('topicAliasSendMax', [0, 1, 3], 0.2)
  tight('maximumQoS', [0, 1], 0.06)
  tight('sessionExpirySecondsMax', [1, 5], 0.08)
  // By default 30 days, which is longer than any run: those that never end are worth more.
  limits['sessionExpirySecondsMax'] ??= NEVER
  tight('routeCacheMax', [0, 2], 0.2)
  const isTight = chance.of(0.2)
  if (isTight) limits['outputBytesMax'] = 1024
  const hasAuthorizer = chance.of(0.7)
  const isLimited = 'queueMessagesMax' in limits || 'retainedMessagesMax' in limits || isTight
  return {
    isPersistent: chance.of(0.85),
    limits,
    listeners: [PLAIN_LISTENER, PLAIN_LISTENER],
    options: {
      overflow: chance.pick(['reject', 'drop-oldest', 'drop-newest'] as const),
      queueQoS0: chance.of(0.15),
    },
    hasAuthenticator: chance.of(0.3),
    hasShortCredentials: false,
    hasAuthorizer,
    lateDecisions: chance.of(0.3) ? 0.2 : 0,
    isOneByOne: isLimited || !hasAuthorizer || chance.of(0.3),
  }
}

function makeWeights(chance: Chance, { isPersistent }: DrawnConfig, isCalm: boolean): Record<DrawnKind, number> {
  const some = (weight: number): number => chance.preferred(weight)
  const fault = (weight: number): number => (isCalm ? 0 : some(weight))
  return {
    publish: 60,
    subscribe: some(12),
    unsubscribe: some(6),
    ping: 1,
    connect: some(6),
    disconnect: some(5),
    reauthenticate: 1,
    acknowledge: some(6),
    'stop-reading': some(3),
    cut: fault(6),
    'fall-silent': fault(2),
    'client-crash': fault(2),
    misbehave: fault(2),
    'broker-crash': isPersistent ? fault(4) : fault(1),
    'broker-restart': fault(1),
    'disk-fails': isPersistent ? fault(2) : 0,
    'disk-slow': isPersistent ? fault(3) : 0,
    'clock-jump': fault(1),
    wait: 2,
  }
}
