/**
 * Adds delayed messages to some plans: QoS, RETAIN, expiry, who publishes and when vary, the room for them, and a crash of
 * the broker about the time when one is due. Drawn from a stream of its own: the rest of the plan is what it would be
 * without it.
 */
import type { Properties } from '@recado/protocol'
import { Chance } from '../chance.ts'
import { makePublish } from './draw.ts'
import { type Plan, wireClients, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

/** Payloads of its messages must be told from those of the others. */
const FIRST_INDEX = 4_000

export function withDelays(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'delays')
  if (!chance.of(0.25)) return plan
  const { broker } = plan
  const publishers = wireClients(plan)
  if (publishers.length === 0) return plan
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  const steps: Step[] = []
  for (let i = chance.between(1, 8); i > 0; i--) {
    const client = chance.pick(publishers)
    const atMs = chance.between(100, 100 + lastMs)
    const seconds = chance.pick([0, 1, 1, 2, 5])
    const drawn = makePublish(chance, atMs, client, FIRST_INDEX + i)
    const topic = `$delayed/${seconds}/${drawn.topic}`
    const payload = drawn.payload || `m${FIRST_INDEX + i} `
    if (chance.of(0.7)) steps.push(step(atMs - 60, 'connect', { client }))
    steps.push({ ...drawn, topic, payload, properties: withExpiry(chance, drawn.properties) })
    if (!broker.isPersistent || !chance.of(0.4)) continue
    const crashMs = atMs + chance.pick([0, 20, seconds * 1000]) + chance.between(0, 250)
    const downMs = chance.pick([0, 100, 3_000])
    const isLastBatchDurable = chance.of(0.5)
    steps.push(step(crashMs, 'broker-crash', { touches: chance.between(0, 8), downMs, isLastBatchDurable }))
  }
  makeLateDelay(chance, plan, publishers, lastMs, steps)
  const limits = chance.of(0.2) ? { ...broker.limits, delayedMessagesMax: chance.between(1, 3) } : broker.limits
  const changed = { ...broker, limits, options: { ...broker.options, delayedPublish: true } }
  return withSteps({ ...plan, broker: { ...changed, isOneByOne: true } }, steps)
}

function withExpiry(chance: Chance, { messageExpiryIntervalSeconds: _, ...properties }: Properties): Properties {
  return chance.of(0.3) ? { ...properties, messageExpiryIntervalSeconds: chance.pick([1, 2, 10]) } : properties
}

/**
 * A delayed message goes to a client that is there and does not acknowledge it; something else makes a batch begin in the
 * next milliseconds, and the broker crashes when that is safe.
 */
function makeLateDelay(
  chance: Chance,
  { broker, clients }: Plan,
  publishers: readonly number[],
  lastMs: number,
  steps: Step[],
): void {
  if (!broker.isPersistent || !chance.of(0.5)) return
  const one = chance.pick(publishers)
  const watch = publishers.find((i) => i !== one && clients[i]!.profile.expirySeconds > 10)
  if (watch === undefined) return
  // Timers are set off at whole tenths of a second.
  const atMs = 1_000 + 100 * chance.between(0, Math.ceil(lastMs / 100))
  const subscription = {
    topicFilter: 'a/b',
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 2,
  } as const
  for (const client of [one, watch]) steps.push(step(atMs - 500, 'connect', { client }))
  steps.push(step(atMs - 300, 'subscribe', { client: watch, subscriptions: [subscription] }))
  steps.push(step(atMs - 150, 'acknowledge', { client: watch, how: 'hold' }))
  steps.push(step(atMs - 50, 'publish', { client: one, topic: '$delayed/1/a/b', payload: `late ${atMs}`, qos: 1 }))
  for (let ms = 940; ms < 1_060; ms += 2)
    steps.push(step(atMs + ms, 'publish', { client: one, topic: 'b', payload: `beside ${ms}`, qos: 1, retain: true }))
  const crash = { touches: chance.between(1, 6), downMs: 100, isLastBatchDurable: chance.of(0.5) }
  steps.push(step(atMs + 1_000 + chance.between(0, 8), 'broker-crash', crash))
  steps.push(step(atMs + 2_500, 'acknowledge', { client: watch, how: 'now' }))
}
