/**
 * Adds scenes to most plans: messages of a session are brought into certain states, and then its client says something else than
 * before, in a CONNECT, a SUBSCRIBE or a DISCONNECT, or the broker starts anew. So each pair of a change and a state occurs
 * (`pairs.ts`), which by chance alone hardly any of the rare ones does. Drawn from a stream of its own.
 */
import type { QoS, Subscription } from '@recado/protocol'
import { Chance } from '../chance.ts'
import { FREE_USER } from '../model/rights.ts'
import { isOnWire, type Plan, wireClients, withSteps } from './plan.ts'
import { type FieldsOf, type PublishStep, type Step, type StepKind, step } from './step.ts'
import { makeChanges, makeListener, makeSetup, makeWill } from './varied.ts'

/** Payloads of its messages must be told from those of the others. */
const FIRST_INDEX = 3_000
const TOPICS = ['a', 'a/b', 'a/b/c', 'b/c'] as const
const FILTERS = ['a/b', 'a/#', '#', 'a/b', '+/b', '$share/g/a/b', '$share/g/a/#'] as const
/** More than a queue has in memory: 512 KiB. */
const LONG_QUEUE = 52
const LARGE_BYTES = 12_000
/** Scenes of a dense plan. */
const DENSE = 8
/** Time in milliseconds for setting up a scene. */
const SETUP_MS = 1_500
const HOUR_MS = 3_600_000

interface Stage {
  readonly chance: Chance
  readonly plan: Plan
  readonly steps: Step[]
  /** Owner of the session, publisher, and another client; clients on the wire. */
  readonly client: number
  readonly publisher: number
  readonly other: number
  /** When the states are there. */
  readonly atMs: number
  readonly number: number
  messages: number
}

/** `isDense`: many of them, whatever else happens. */
export function withScenes(plan: Plan, isDense = false): Plan {
  const chance = new Chance(plan.seed, 'plan', 'scenes')
  if (!chance.of(0.6) && !isDense) return plan
  const onWire = wireClients(plan)
  if (onWire.length < 2) return plan
  const steps: Step[] = []
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  let atMs = isDense ? SETUP_MS : chance.between(SETUP_MS, SETUP_MS + lastMs)
  for (let i = isDense ? DENSE : chance.between(1, 3); i > 0; i--) {
    const client = chance.pick(onWire)
    const publisher = chance.pick(onWire.filter((each) => each !== client))
    const other = chance.pick(onWire.filter((each) => each !== client))
    playScene({ chance, plan, steps, client, publisher, other, atMs, number: i, messages: 0 })
    atMs += chance.between(2_000, 4_000)
  }
  const [first, second] = plan.broker.listeners
  const listeners = first === second ? [first!, makeListener(chance)] : plan.broker.listeners
  return withSteps({ ...plan, broker: { ...plan.broker, listeners, isOneByOne: true } }, steps)
}

function playScene(stage: Stage): void {
  const { chance, client, publisher, other } = stage
  // With rate limits so many bytes would take longer than anybody waits.
  const isLong = chance.of(0.1) && stage.plan.broker.rates === null
  // Not all that is in flight can be sent again.
  const isResending = !isLong && chance.of(0.3)
  const isOld = !isResending && chance.of(0.15)
  // Who comes back as another user may not receive what he has been sent before.
  const isOther = chance.of(0.15)
  const receiveMaximum = isLong ? 1 : isResending ? 20 : chance.pick([1, 2, 5, 20, 65_535])
  const changes = {
    version: isOld ? (4 as const) : (5 as const),
    expirySeconds: 600,
    receiveMaximum,
    maximumPacketSize: 0,
    ...(isOther ? { username: FREE_USER, hasEnhancedAuthentication: false } : {}),
    ...(chance.of(0.4) ? { will: makeWill(chance, stage.plan.clients[client]!.profile, 10) } : {}),
  }
  add(stage, -SETUP_MS, 'connect', {
    client: publisher,
    cleanStart: chance.of(0.3),
    changes: { version: 5, expirySeconds: 60 },
  })
  add(stage, -1_400, 'acknowledge', { client, how: 'now' })
  const withWill = chance.between(0, 1) === 1
  add(stage, -1_300, 'connect', { client, changes, withWill, cleanStart: chance.of(0.3) })
  const subscriptions = [wish(chance, chance.pick(FILTERS))]
  if (chance.of(0.4)) subscriptions.push(wish(chance, chance.pick(FILTERS)))
  if (subscriptions[0]!.topicFilter === subscriptions[1]?.topicFilter) subscriptions.pop()
  add(stage, -1_100, 'subscribe', { client, subscriptions, identifier: chance.pick([0, 1, 7]) })
  const isAway = !isResending && chance.of(0.3)
  const isRetained = chance.of(0.4)
  if (isRetained) retain(stage)
  if (chance.of(0.25)) beHeir(stage, subscriptions, other)
  const how = isResending ? 'hold' : chance.pick(['hold', 'hold', 'hold-pubcomp', 'late', 'now'] as const)
  add(stage, -700, 'acknowledge', { client, how: isLong ? 'hold' : how })
  // What it holds back of these it is asked for.
  publishSome(stage, -650, isResending ? 4 : chance.between(1, 4))
  if (isLong) publishLong(stage)
  if (chance.of(isRetained ? 0.7 : 0.2))
    add(stage, -500, 'subscribe', { client, subscriptions: [{ ...wish(chance, '#'), retainHandling: 0 }] })
  if (isAway) leave(stage, client)
  else if (chance.of(0.2)) add(stage, -400, 'stop-reading', { client, ms: 600 })
  publishSome(stage, -300, chance.between(0, 4))
  if (isLong || (isAway && chance.of(0.3))) add(stage, -200, 'broker-restart', { downMs: 20 })
  if (isLong) add(stage, -100, 'connect', { client })
  if (chance.of(0.3)) publishOwn(stage)
  // PUBREC is on its way to the disk when something changes.
  const isReceiving = how === 'hold' && !isResending && chance.of(0.5)
  if (isReceiving || chance.of(0.6)) add(stage, -60, 'disk-slow', { ms: 400, latencyMs: chance.pick([60, 200, 400]) })
  // On its way to the disk.
  publishSome(stage, -chance.between(5, 60), chance.between(0, 3))
  if (isReceiving) add(stage, -20, 'acknowledge', { client, how: 'hold-pubcomp' })
  let atMs = 0
  if (isOther) {
    const denial = { clientId: `c${client}`, topic: 'a/b' }
    add(stage, -1_450, 'rights', { ...denial, isDenied: true })
    add(stage, 500, 'rights', { ...denial, isDenied: false })
    add(stage, 0, 'connect', { client, changes: { username: '' } })
    publishSome(stage, 40, 2)
  }
  if (isResending) {
    add(stage, 0, 'acknowledge', { client, how: 'hold' })
    add(stage, 0, 'connect', { client, changes: { receiveMaximum: 1, listener: 0 } })
    atMs += chance.pick([30, 100])
  }
  for (let i = chance.between(1, 5); i > 0; i--) {
    change(stage, atMs, subscriptions)
    atMs += chance.pick([1, 5, 20, 60, 150])
    if (chance.of(0.3)) publishSome(stage, atMs, chance.between(1, 2))
  }
  add(stage, atMs + 600, 'acknowledge', { client, how: 'now' })
  add(stage, atMs + 700, 'connect', { client })
  add(stage, atMs + 700, 'connect', { client: publisher })
}

function add<Kind extends StepKind>(stage: Stage, ms: number, kind: Kind, fields: Partial<FieldsOf<Kind>>): void {
  stage.steps.push(step(stage.atMs + ms, kind, fields))
}

/** The client is away, in one way or another, before the states are there. */
function leave(stage: Stage, client: number): void {
  const how = stage.chance.pick(['cut', 'disconnect', 'fall-silent'] as const)
  if (how === 'disconnect') add(stage, -400, how, { client, expirySeconds: null })
  else add(stage, -400, how, { client })
}

function wish(chance: Chance, topicFilter: string): Subscription {
  return {
    topicFilter,
    qos: chance.pick([0, 1, 2, 2]),
    noLocal: chance.of(0.2) && !topicFilter.startsWith('$share/'),
    retainAsPublished: chance.of(0.4),
    retainHandling: chance.between(0, 2) as 0 | 1 | 2,
  }
}

function publish(stage: Stage, ms: number, rest: Partial<PublishStep>): void {
  const { chance, number, client, publisher } = stage
  const payload = `m${FIRST_INDEX + number * 1_000 + stage.messages++} `.padEnd(chance.pick([8, 30, 150]), 'x')
  const by = chance.of(0.1) ? client : publisher
  add(stage, ms, 'publish', { client: by, topic: chance.pick(TOPICS), payload, qos: chance.pick([1, 2, 2]), ...rest })
}

function publishSome(stage: Stage, ms: number, count: number): void {
  const { chance } = stage
  for (let i = count; i > 0; i--) {
    const expires = chance.of(0.3) ? { messageExpiryIntervalSeconds: chance.pick([1, 2, 10]) } : {}
    publish(stage, ms, { properties: expires, retain: chance.of(0.1), topic: chance.pick(['a/b', 'a/b', 'a', 'b/c']) })
  }
}

function publishLong(stage: Stage): void {
  const { number, publisher } = stage
  for (let i = 0; i < LONG_QUEUE; i++) {
    const payload = `l${number} ${i} `.padEnd(LARGE_BYTES, 'x')
    publish(stage, -640 + i, { client: publisher, topic: 'a/b', qos: 1, payload })
  }
}

/** Retains messages that a new subscription is sent, and is slow to take. */
function retain(stage: Stage): void {
  for (const topic of TOPICS) publish(stage, -1_000, { topic, retain: true, qos: stage.chance.pick([1, 2]) })
}

/** QoS 2 messages of its own, whose PUBREL is still to come. */
function publishOwn(stage: Stage): void {
  const { client, chance } = stage
  for (let i = chance.between(1, 3); i > 0; i--) publish(stage, -50, { client, qos: 2 as QoS })
}

/** Another member of its Shared Subscription has messages in flight, and ends. */
function beHeir(stage: Stage, subscriptions: readonly Subscription[], other: number): void {
  const { chance, client } = stage
  const topicFilter = '$share/g/a/b'
  const shared = { ...wish(chance, topicFilter), qos: chance.pick([1, 1, 2] as const) }
  add(stage, -950, 'connect', { client: other, changes: { version: 5, expirySeconds: 60, receiveMaximum: 65_535 } })
  add(stage, -900, 'acknowledge', { client: other, how: 'hold' })
  add(stage, -850, 'subscribe', { client: other, subscriptions: [shared] })
  for (let i = 0; i < 3; i++) publish(stage, -800, { topic: 'a/b', qos: 1 })
  if (!subscriptions.some((each) => each.topicFilter === topicFilter))
    add(stage, -780, 'subscribe', { client, subscriptions: [shared] })
  const endMs = -chance.pick([100, 250, 600])
  add(stage, endMs, chance.pick(['client-crash', 'disconnect'] as const), { client: other })
  add(stage, 500, 'acknowledge', { client: other, how: 'now' })
}

/** Something else than before. */
function change(stage: Stage, ms: number, subscriptions: readonly Subscription[]): void {
  const { chance, client, plan } = stage
  const { profile } = plan.clients[client]!
  const { topicFilter } = chance.pick(subscriptions)
  switch (
    chance.pick([
      'connect',
      'connect',
      'connect',
      'subscribe',
      'subscribe',
      'unsubscribe',
      'disconnect',
      'disconnect',
      'rights',
      'restart',
      'restart',
    ])
  ) {
    case 'connect': {
      if (chance.of(0.4)) add(stage, ms - 1, 'cut', { client })
      const isSame = chance.of(0.15)
      const changes = isSame ? {} : makeChanges(chance, profile)
      const cleanStart = chance.of(0.15)
      add(stage, ms, 'connect', { client, changes, cleanStart, withWill: chance.between(0, 1) === 1 })
      return
    }
    case 'subscribe': {
      const again = chance.of(0.7) ? topicFilter : chance.pick(FILTERS)
      const filters = chance.of(0.2) && again !== '#' ? [again, '#'] : [again]
      const wishes = filters.map((each) => wish(chance, each))
      const asked = { client, subscriptions: wishes, identifier: chance.pick([0, 0, 1, 2, 7]) }
      add(stage, ms, 'subscribe', asked)
      if (chance.of(0.3)) add(stage, ms + chance.between(1, 10), 'subscribe', asked)
      return
    }
    case 'unsubscribe':
      add(stage, ms, 'unsubscribe', { client, topicFilters: [topicFilter] })
      return
    case 'disconnect':
      add(stage, ms, 'disconnect', {
        client,
        reasonCode: chance.pick([0, 4]),
        expirySeconds: chance.pick([0, 1, 5, 600]),
        comesBack: chance.of(0.8),
      })
      return
    case 'rights':
      add(stage, ms, 'rights', {
        clientId: profile.clientId,
        topic: chance.pick(TOPICS),
        isDenied: chance.of(0.6),
      })
      return
    default: {
      const hasOnlyWire = plan.clients.every(isOnWire)
      const setup = chance.of(0.7) ? makeSetup(chance, plan.broker.limits, hasOnlyWire) : null
      // Without a disk there is nothing to be seen afterwards.
      if (setup?.isPersistent === false)
        add(stage, ms + 400, 'broker-restart', { setup: { isPersistent: plan.broker.isPersistent } })
      if (plan.broker.isPersistent && chance.of(0.25))
        add(stage, ms, 'clock-set', { byMs: chance.pick([-HOUR_MS, -5_000, 700, HOUR_MS]) })
      if (chance.of(0.5)) add(stage, ms, 'broker-restart', { setup, downMs: chance.pick([0, 20, 500]) })
      else
        add(stage, ms, 'broker-crash', {
          setup,
          touches: chance.pick([0, 0, 1, 5]),
          downMs: chance.pick([0, 20]),
          isLastBatchDurable: chance.of(0.5),
        })
    }
  }
}
