/**
 * Adds to some plans what the broker does with topics: rewrites, subscriptions that it makes for clients, Sparkplug, and
 * malformed topics of delayed messages; with steps that meet them. Each of them is drawn from a stream of its own: the
 * rest of the plan is what it would be without it.
 */
import type { CoreOptions } from '@recado/broker/testing'
import { Chance } from '../chance.ts'
import { makePublish } from './draw.ts'
import { type Plan, TOPICS, wireClients, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

/** Payloads of its messages must be told from those of the others. */
const FIRST_INDEX = 7_000
type Rewrite = CoreOptions['topicRewrites'][number]
type AutoSubscription = CoreOptions['autoSubscriptions'][number]

const REWRITES: readonly Rewrite[] = [
  { action: 'all', from: 'a/#', to: 'r/$1' },
  { action: 'all', from: 'a/b', to: 'b/c' },
  { action: 'all', from: '+/+/c', to: 'r/$2/$1' },
  // The result is one of the next rule's topics: it is not rewritten again.
  { action: 'publish', from: 'b', to: 'a/b' },
  { action: 'publish', from: 'b/+', to: 'to/%c/$1' },
  // Rights are those of the result: these lose one, and gain one.
  { action: 'publish', from: 'c/#', to: 'no/$1' },
  { action: 'all', from: 'no/+', to: 'a/$1' },
  // `#` of a client becomes a part of a level.
  { action: 'subscribe', from: 'b/#', to: 'b/n$1' },
  { action: 'subscribe', from: '+/b', to: '$1/%u' },
  { action: 'all', from: '#', to: 'r/$1' },
]
/** Filters that see what is rewritten, and are rewritten themselves. */
const REWRITTEN_FILTERS = ['r/#', 'r/+', 'to/#', 'a/#', 'a/b', '+/b', 'b/#', 'b/+', '$share/g/a/b', 'no/x'] as const

const AUTOS: readonly AutoSubscription[] = [
  { topicFilter: 'a/b', qos: 1 },
  { topicFilter: 'to/%c/#', qos: 2 },
  { topicFilter: 'b/#', qos: 2, retainHandling: 1 },
  { topicFilter: '$share/g/a/#', qos: 1 },
  { topicFilter: 'a', retainAsPublished: true },
  { topicFilter: 'c//d', qos: 1, noLocal: true },
  { topicFilter: 'no/x', qos: 1 },
  { topicFilter: 'of/%u', qos: 1 },
]

const EDGE_TOPICS = [
  'spBv1.0/g/NBIRTH/n',
  'spBv1.0/g/NBIRTH/n',
  'spBv1.0/g/DBIRTH/n/d',
  'spBv1.0/g/NDATA/n',
  'spBv1.0/g/NDEATH/n',
  'spBv1.0/g/NBIRTH',
  'spBv1.0/g/DBIRTH/n',
  '$sparkplug/certificates/spBv1.0/g/NBIRTH/n',
] as const
const HOST_FILTERS = ['$sparkplug/certificates/#', 'spBv1.0/#', '$sparkplug/#', 'spBv1.0/+/+/n'] as const

const MALFORMED = ['$delayed/x/a', '$delayed/1', '$delayed//a', '$delayed/1/$delayed/1/a', '$delayed/-1/a'] as const
/** Over the longest delay. */
const TOO_LATE = '$delayed/9999999/a'

export function withTopicOptions(plan: Plan): Plan {
  const onWire = wireClients(plan)
  if (onWire.length === 0) return plan
  return withMalformedDelays(withSparkplug(withAutoSubscriptions(withRewrites(plan, onWire), onWire), onWire), onWire)
}

function withOptions(plan: Plan, options: Partial<CoreOptions>, steps: readonly Step[]): Plan {
  const broker = { ...plan.broker, options: { ...plan.broker.options, ...options }, isOneByOne: true }
  return withSteps({ ...plan, broker }, steps)
}

function withRewrites(plan: Plan, onWire: readonly number[]): Plan {
  const chance = new Chance(plan.seed, 'plan', 'rewrites')
  if (!chance.of(0.12)) return plan
  // A client without a name gets one only when it is let in.
  const isNamed = plan.clients.every(({ profile }) => profile.clientId !== '')
  const usable = REWRITES.filter(({ to }) => isNamed || !to.includes('%'))
  const topicRewrites: Rewrite[] = []
  for (let i = chance.between(1, 3); i > 0; i--) topicRewrites.push(chance.pick(usable))
  const steps: Step[] = []
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  for (let i = chance.between(2, 10); i > 0; i--) {
    const client = chance.pick(onWire)
    const atMs = chance.between(50, 50 + lastMs)
    if (chance.of(0.4)) {
      const topicFilters = [chance.pick(REWRITTEN_FILTERS)]
      const isMade = chance.of(0.7)
      steps.push(
        isMade
          ? step(atMs, 'subscribe', { client, subscriptions: topicFilters.map((each) => subscriptionTo(chance, each)) })
          : step(atMs, 'unsubscribe', { client, topicFilters }),
      )
    } else steps.push(makePublish(chance, atMs, client, FIRST_INDEX + i))
  }
  return withOptions(plan, { topicRewrites }, steps)
}

function subscriptionTo(chance: Chance, topicFilter: string) {
  return {
    topicFilter,
    qos: chance.between(0, 2) as 0 | 1 | 2,
    noLocal: false,
    retainAsPublished: chance.of(0.3),
    retainHandling: chance.between(0, 2) as 0 | 1 | 2,
  }
}

function withAutoSubscriptions(plan: Plan, onWire: readonly number[]): Plan {
  const chance = new Chance(plan.seed, 'plan', 'auto-subscriptions')
  if (!chance.of(0.12)) return plan
  const chosen = new Set<AutoSubscription>()
  for (let i = chance.between(1, 3); i > 0; i--) chosen.add(chance.pick(AUTOS))
  const steps: Step[] = []
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  for (let i = chance.between(2, 10); i > 0; i--) {
    const client = chance.pick(onWire)
    const atMs = chance.between(50, 50 + lastMs)
    const kind = chance.pick(['connect', 'unsubscribe', 'publish', 'publish', 'publish'] as const)
    if (kind === 'connect') steps.push(step(atMs, 'connect', { client, cleanStart: chance.of(0.5) }))
    else if (kind === 'unsubscribe') steps.push(step(atMs, 'unsubscribe', { client, topicFilters: ['a/b', 'b/#'] }))
    else {
      const drawn = makePublish(chance, atMs, client, FIRST_INDEX + 100 + i)
      const topics = [...TOPICS, `to/c${chance.between(0, 3)}/x`, 'of/somebody']
      steps.push({ ...drawn, topic: chance.pick(topics) })
    }
  }
  return withOptions(plan, { autoSubscriptions: [...chosen] }, steps)
}

function withSparkplug(plan: Plan, onWire: readonly number[]): Plan {
  const chance = new Chance(plan.seed, 'plan', 'sparkplug')
  if (!chance.of(0.1)) return plan
  const steps: Step[] = []
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  for (let i = chance.between(4, 12); i > 0; i--) {
    const client = chance.pick(onWire)
    const atMs = chance.between(50, 50 + lastMs)
    const isDelayed = plan.broker.options.delayedPublish === true && chance.of(0.2)
    if (chance.of(0.3)) {
      const subscriptions = [subscriptionTo(chance, chance.pick(HOST_FILTERS))]
      steps.push(step(atMs, 'subscribe', { client, subscriptions }))
    } else if (chance.of(0.25)) {
      steps.push(step(atMs, 'connect', { client, withWill: true, changes: { will: makeDeath(chance, client) } }))
      if (chance.of(0.7)) steps.push(step(atMs + chance.between(50, 500), 'cut', { client }))
    } else {
      const drawn = makePublish(chance, atMs, client, FIRST_INDEX + 200 + i)
      const topic = chance.pick(EDGE_TOPICS)
      steps.push({ ...drawn, topic: isDelayed ? `$delayed/1/${topic}` : topic, retain: drawn.retain && chance.of(0.3) })
    }
  }
  return withOptions(plan, { sparkplugAware: true }, steps)
}

/** Will of an edge node: a protocol buffer with a timestamp and a text, or one that is none; or a forged certificate. */
function makeDeath(chance: Chance, client: number) {
  const text = `death of c${client}`
  const payload = chance.of(0.8) ? `\x08\x05\x12${String.fromCharCode(text.length)}${text}` : text
  return {
    topic: chance.of(0.9) ? 'spBv1.0/g/NDEATH/n' : '$sparkplug/certificates/spBv1.0/g/NBIRTH/n',
    payload: new TextEncoder().encode(payload),
    qos: chance.between(0, 1) as 0 | 1,
    retain: false,
    properties: {},
  }
}

function withMalformedDelays(plan: Plan, onWire: readonly number[]): Plan {
  const chance = new Chance(plan.seed, 'plan', 'malformed-delays')
  if (plan.broker.options.delayedPublish !== true || !chance.of(0.4)) return plan
  const steps: Step[] = []
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  for (let i = chance.between(1, 5); i > 0; i--) {
    const client = chance.pick(onWire)
    const drawn = makePublish(chance, chance.between(100, 100 + lastMs), client, FIRST_INDEX + 300 + i)
    const topic = chance.of(0.2) ? TOO_LATE : chance.pick(MALFORMED)
    steps.push({ ...drawn, topic, payload: drawn.payload || `m${FIRST_INDEX + 300 + i} ` })
  }
  return withSteps(plan, steps)
}
