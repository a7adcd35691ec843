/**
 * Adds to some plans a client without a Client Identifier of its own. Drawn from a stream of its own: the rest of the plan is
 * what it would be without it.
 */
import { Chance } from '../chance.ts'
import { type DrawnKind, gapMs, makeClient, makeStep, makeSubscriptions } from './draw.ts'
import { type Plan, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

/** Payloads of its messages must be told from those of the others. */
const FIRST_INDEX = 2_000

export function withNamelessClient(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'nameless')
  if (!chance.of(0.15)) return plan
  const { broker } = plan
  const client = plan.clients.length
  const drawn = makeClient(chance, client, broker, false)
  const nameless = { ...drawn, isLibrary: false, profile: { ...drawn.profile, clientId: '' } }
  const options = {
    ...broker.options,
    ...(chance.of(0.1) ? { allowEmptyClientId: false } : {}),
    ...(chance.of(0.3) ? { assignedClientIdPrefix: chance.pick(['', 'c', 'given/']) } : {}),
  }
  const some = (weight: number): number => chance.preferred(weight)
  const weights: Partial<Record<DrawnKind, number>> = {
    publish: 20,
    subscribe: some(8),
    unsubscribe: some(2),
    connect: some(4),
    disconnect: some(4),
    acknowledge: some(2),
    cut: some(8),
    'client-crash': some(8),
  }
  const subscriptions = makeSubscriptions(chance)
  const steps: Step[] = [
    step(0, 'connect', { client, withWill: chance.between(0, 1) === 1 }),
    step(chance.between(0, 30), 'subscribe', { client, subscriptions }),
  ]
  const length = chance.between(10, 40)
  let atMs = 0
  for (let i = 0; i < length; i++) {
    atMs += gapMs(chance, 400, 4_000)
    const kind = chance.weighted(weights as Record<DrawnKind, number>)
    const one = makeStep(chance, atMs, kind, FIRST_INDEX + i, [nameless])
    // An empty payload would be that of others, too.
    if (one.kind === 'publish') steps.push({ ...one, client, payload: one.payload || `m${FIRST_INDEX + i} ` })
    else steps.push({ ...one, client } as Step)
  }
  return withSteps({ ...plan, broker: { ...broker, options }, clients: [...plan.clients, nameless] }, steps)
}
