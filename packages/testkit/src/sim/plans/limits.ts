/**
 * Adds limits that few plans have: bytes, connections from one address, whose a session is, and rights to publish that are taken away from those
 * who have left a Will or a retained message. Drawn from a stream of its own: the rest of the plan is what it would be without it.
 */
import type { Denial } from '../broker-config.ts'
import { Chance } from '../chance.ts'
import { type Plan, TOPICS, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

export function withTightLimits(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'tight')
  const limits: Record<string, number> = {}
  const tight = (name: string, values: readonly number[], probability: number): void => {
    if (chance.of(probability)) limits[name] = chance.pick(values)
  }
  tight('payloadBytesMax', [15, 30, 200], 0.05)
  tight('queueBytesMax', [0, 60, 400, 2_000], 0.06)
  tight('inflightBytesMax', [1, 60, 400], 0.08)
  tight('retainedBytesMax', [0, 700, 1_300], 0.05)
  tight('connectionsPerAddressMax', [1, 2, 3], 0.05)
  const options = chance.of(0.25) ? { sessionOwner: chance.pick(['refuse', 'refuse', 'takeover'] as const) } : {}
  const steps: Step[] = []
  const withdrawals = makeWithdrawals(chance, plan, steps)
  const { broker } = plan
  const isLimited = Object.keys(limits).length > 0
  const changed = {
    ...broker,
    limits: { ...broker.limits, ...limits },
    options: { ...broker.options, ...options },
    withdrawals,
    isOneByOne: broker.isOneByOne || isLimited,
  }
  return withSteps({ ...plan, broker: changed }, steps)
}

/**
 * Makes the rights to publish at the beginning, and changes of them; null when retained messages and Wills are not
 * checked again.
 */
function makeWithdrawals(chance: Chance, { broker, clients, steps: planned }: Plan, steps: Step[]): Denial[] | null {
  if (!broker.hasAuthorizer || !chance.of(0.25)) return null
  const lastMs = planned.at(-1)?.atMs ?? 0
  const withdrawals: Denial[] = []
  const draw = (): Denial => {
    const { clientId, will } = chance.pick(clients).profile
    const topic = will !== null && chance.of(0.5) ? will.topic : chance.pick(TOPICS)
    return { clientId, topic }
  }
  for (let i = chance.between(0, 2); i > 0; i--) withdrawals.push(draw())
  for (let i = chance.between(1, 10); i > 0; i--) {
    const { clientId, topic } = draw()
    if (!clientId.startsWith('c')) continue
    const atMs = chance.between(0, lastMs)
    steps.push(step(atMs, 'rights', { clientId, topic, isDenied: chance.of(0.65), right: 'publish' }))
  }
  return withdrawals.filter(({ clientId }) => clientId.startsWith('c'))
}
