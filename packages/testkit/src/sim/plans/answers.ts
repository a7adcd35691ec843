/**
 * Adds to some plans how the broker answers (`answers`), an embedding program that changes messages (`transform`), and
 * one that withdraws subscriptions when it is asked about them again.
 * Drawn from a stream of its own: the rest of the plan is what it would be without it.
 */
import { Chance } from '../chance.ts'
import type { Change } from '../model/types.ts'
import type { Plan } from './plan.ts'

export function withAnswers(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'answers')
  const options = chance.of(0.1)
    ? { answers: chance.of(0.5) ? ('mosquitto-2.0' as const) : ('mosquitto-2.1' as const) }
    : {}
  const { broker } = plan
  // A delayed message is changed when it is published: the model does not know that.
  const hasTransformer = chance.of(0.12) && broker.options.delayedPublish !== true
  const hasReviews = broker.hasAuthorizer && broker.lateDecisions > 0 && chance.of(0.4)
  const changed = { ...broker, options: { ...broker.options, ...options }, hasTransformer, hasReviews }
  return { ...plan, broker: hasReviews ? { ...changed, isOneByOne: true } : changed }
}

/** Changes of the messages that clients publish: by the number in the payload, so that the same one is changed alike when it comes again. */
export function changeOf(payload: string): Change | number | null {
  const [, number] = /^m(\d+)/.exec(payload) ?? []
  switch (Number(number) % 12) {
    case 1:
      return { topic: 'b/c' }
    case 3:
      return { payload: payload.replace('m', 't') }
    case 5:
      return 0
    case 7:
      return 0x83
    case 9:
      return { retain: false }
    default:
      return null
  }
}
