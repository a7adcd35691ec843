/**
 * What was added to plans later, each drawn from a stream of its own: the other steps of a seed stay what they were.
 */
import type { BrokerConfig, Denial } from './broker-host.ts'
import { Chance } from './chance.ts'

/** Steps that are not drawn with the others. */
export interface ExtraStep {
  readonly atMs: number
  readonly kind: 'rights'
  readonly number: number
  readonly topic: string
  readonly flag: boolean
}

export interface Extras {
  readonly denials: readonly Denial[] | null
  readonly steps: readonly ExtraStep[]
}

export function makeExtras(
  seed: number,
  broker: Omit<BrokerConfig, 'denials'>,
  clients: number,
  lastMs: number,
  topics: readonly string[],
): Extras {
  const steps: ExtraStep[] = []
  const denials = makeRights(new Chance(seed, 'rights'), broker, clients, lastMs, topics, steps)
  return { denials, steps }
}

/** Who may not receive what when it begins; and changes of that, as when an ACL file is read again. */
function makeRights(
  chance: Chance,
  { hasAuthorizer }: Omit<BrokerConfig, 'denials'>,
  clients: number,
  lastMs: number,
  topics: readonly string[],
  steps: ExtraStep[],
): Denial[] | null {
  if (!hasAuthorizer || !chance.of(0.35)) return null
  const denials: Denial[] = []
  for (let i = chance.between(0, 4); i > 0; i--)
    denials.push({ clientId: `c${chance.between(0, clients - 1)}`, topic: chance.pick(topics) })
  for (let i = chance.between(0, 12); i > 0; i--) {
    const number = chance.between(0, clients - 1)
    steps.push({
      atMs: chance.between(0, lastMs),
      kind: 'rights',
      number,
      topic: chance.pick(topics),
      flag: chance.of(0.6),
    })
  }
  return denials
}
