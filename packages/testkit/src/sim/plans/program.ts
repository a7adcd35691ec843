/**
 * Adds to some plans an embedding program that subscribes durably. Drawn from a stream of its own: the rest of the plan
 * is what it would be without it.
 */
import { Chance } from '../chance.ts'
import { type Plan, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

const NAMES = ['log', 'work'] as const
const TOPIC_FILTERS = ['#', 'a/#', '+/b', 'b/c', 'a/b', '$share/g/a/b', '$share/h/#'] as const

export function withProgram(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'program')
  if (!chance.of(0.12) || plan.broker.limits.memoryBytesMax !== undefined) return plan
  const lastMs = plan.steps.at(-1)?.atMs ?? 0
  const isAlone = chance.of(0.5)
  const draw = (): string => (isAlone ? NAMES[0] : chance.pick(NAMES))
  const steps: Step[] = [step(chance.between(0, 60), 'program-subscribes', subscription(chance, draw()))]
  for (let i = chance.between(3, 16); i > 0; i--) {
    const atMs = chance.between(0, lastMs)
    const name = draw()
    switch (chance.weighted({ subscribe: 4, close: 3, unsubscribe: 2, handler: 3 })) {
      case 'subscribe':
        steps.push(step(atMs, 'program-subscribes', subscription(chance, name)))
        break
      case 'close':
        steps.push(step(atMs, 'program-closes', { name }))
        // Messages are to wait, not to stay away.
        if (chance.of(0.7))
          steps.push(step(atMs + chance.between(0, 2_000), 'program-subscribes', subscription(chance, name)))
        break
      case 'unsubscribe':
        steps.push(step(atMs, 'program-unsubscribes', { name }))
        break
      default:
        steps.push(step(atMs, 'program-handles', { how: chance.pick(['now', 'late', 'late', 'fails'] as const) }))
    }
  }
  return withSteps({ ...plan, broker: { ...plan.broker, isOneByOne: true }, hasProgram: true }, steps)
}

/** Most often the same Topic Filter for a name: another one ends what waits for the one before. */
function subscription(chance: Chance, name: string): { name: string; topicFilter: string } {
  const usual = name === NAMES[0] ? '#' : '$share/g/a/b'
  return { name, topicFilter: chance.of(0.6) ? usual : chance.pick(TOPIC_FILTERS) }
}
