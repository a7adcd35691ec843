/**
 * What was added to plans later, each drawn from a stream of its own: the other steps of a seed stay what they were.
 */
import type { BrokerConfig, Denial } from './broker-host.ts'
import { Chance } from './chance.ts'

/** Steps that are not drawn with the others. */
export interface ExtraStep {
  readonly atMs: number
  readonly kind: 'rights' | 'clock-set' | 'broker-crash' | 'broker-restart'
  readonly number?: number
  readonly number2?: number
  readonly topic?: string
  readonly flag?: boolean
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
  makeClocks(new Chance(seed, 'clock'), broker, lastMs, steps)
  return { denials, steps }
}

const HOUR_MS = 3_600_000
const CLOCKS_MS = [700, 5_000, 60_000, HOUR_MS, 400 * 24 * HOUR_MS] as const

/** The clock of the machine is set, and then the broker starts again. */
function makeClocks(
  chance: Chance,
  { isPersistent }: Omit<BrokerConfig, 'denials'>,
  lastMs: number,
  steps: ExtraStep[],
): void {
  if (!isPersistent || !chance.of(0.2)) return
  for (let i = chance.between(1, 3); i > 0; i--) {
    const atMs = chance.between(0, lastMs)
    steps.push({ atMs, kind: 'clock-set', number: chance.pick(CLOCKS_MS) * chance.pick([-1, -1, 1]) })
    const number2 = chance.pick([0, 100, 2_000])
    if (chance.of(0.5)) steps.push({ atMs, kind: 'broker-restart', number2 })
    else steps.push({ atMs, kind: 'broker-crash', number: chance.between(0, 10), number2, flag: chance.of(0.5) })
  }
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
