/** Drawing of clients and of steps that stand alone: the same for all parts of a plan. */
import type { Properties, ProtocolVersion, QoS, Subscription, Will } from '@recado/protocol'
import type { Chance } from '../chance.ts'
import { type DrawnConfig, type PlannedClient, TOPICS } from './plan.ts'
import { type PublishStep, type Step, type StepKind, step } from './step.ts'

const NEVER = 0xffff_ffff
const TOPIC_FILTERS = [
  'a',
  'a/b',
  'a/+',
  'a/#',
  '+',
  '#',
  '+/b',
  '+/+',
  'a/b/#',
  'b/c',
  'b/#',
  'c//d',
  '+/+/+',
  '$x/#',
  '$x/+',
  'no/x',
] as const
const SHARED_FILTERS = ['$share/g/a/#', '$share/g/+/b', '$share/h/a/b', '$share/h/#', '$share/g/a/b'] as const

/** Kinds that are drawn one after the other. */
export type DrawnKind =
  | 'connect'
  | 'publish'
  | 'subscribe'
  | 'unsubscribe'
  | 'ping'
  | 'disconnect'
  | 'cut'
  | 'fall-silent'
  | 'stop-reading'
  | 'acknowledge'
  | 'client-crash'
  | 'misbehave'
  | 'reauthenticate'
  | 'broker-crash'
  | 'broker-restart'
  | 'disk-fails'
  | 'disk-slow'
  | 'clock-jump'
  | 'wait'

export function makeClient(chance: Chance, i: number, broker: DrawnConfig, isCalm: boolean): PlannedClient {
  const isLibrary = chance.of(0.12)
  const version: ProtocolVersion = chance.of(0.65) ? 5 : chance.of(0.85) ? 4 : 3
  const expirySeconds = chance.pick([0, 1, 4, 60, 60, 3600, NEVER])
  const isV5 = version === 5
  const hasWill = chance.of(0.35)
  const will: Will = {
    topic: chance.pick(TOPICS),
    payload: new TextEncoder().encode(`will of c${i}`),
    qos: Math.min(chance.between(0, 2), broker.limits.maximumQoS ?? 2) as QoS,
    retain: chance.of(0.2) && broker.limits.retainedMessagesMax !== 0,
    properties: isV5 ? willProperties(chance) : {},
  }
  return {
    isLibrary,
    hasStore: false,
    profile: {
      clientId: `c${i}`,
      version,
      expirySeconds: isV5 || expirySeconds === 0 ? expirySeconds : NEVER,
      keepAliveSeconds: chance.pick([0, 0, 2, 5, 30]),
      receiveMaximum: isV5 && chance.of(0.4) ? chance.between(1, 6) : 65_535,
      topicAliasMaximum: isV5 && chance.of(0.4) ? chance.between(1, 3) : 0,
      maximumPacketSize: isV5 && chance.of(0.1) ? chance.between(100, 400) : 0,
      usesAliases: chance.of(0.4),
      reusesIds: false,
      hasEnhancedAuthentication: isV5 && !isLibrary && chance.of(0.1) && i !== 4,
      will: hasWill ? will : null,
      username: '',
      listener: 0,
      wantsProblems: true,
      wantsResponses: false,
    },
    variants: [],
    cable: {
      latencyMs: chance.pick([0, 1, 5, 40]),
      jitterMs: chance.pick([0, 2, 30]),
      splits: isCalm ? 0 : chance.pick([0, 0.1, 0.6]),
      joins: chance.pick([0, 0.5, 1]),
      capacityBytes: chance.of(0.2) ? chance.pick([64, 512, 2_000]) : 65_536,
    },
  }
}

function willProperties(chance: Chance): Properties {
  const properties: Properties = {}
  if (chance.of(0.6)) properties.willDelayIntervalSeconds = chance.pick([1, 3, 10])
  if (chance.of(0.2)) properties.messageExpiryIntervalSeconds = chance.pick([1, 5])
  if (chance.of(0.2)) properties.contentType = 'text/will'
  return properties
}

/** Draws the time until the next step, in milliseconds: often none, rarely a long one. */
export function gapMs(chance: Chance, usualMaxMs: number, longMaxMs: number): number {
  if (chance.of(0.5)) return chance.between(0, 3)
  return chance.of(0.95) ? chance.between(0, usualMaxMs) : chance.between(500, longMaxMs)
}

const KINDS_WITHOUT_CLIENT: readonly StepKind[] = [
  'broker-crash',
  'broker-restart',
  'disk-fails',
  'disk-slow',
  'clock-jump',
  'wait',
]

export function makeStep(
  chance: Chance,
  atMs: number,
  kind: DrawnKind,
  index: number,
  clients: readonly PlannedClient[],
): Step {
  const client = KINDS_WITHOUT_CLIENT.includes(kind) ? -1 : chance.between(0, clients.length - 1)
  switch (kind) {
    case 'publish':
      return makePublish(chance, atMs, client, index)
    case 'subscribe':
      return step(atMs, kind, {
        client,
        subscriptions: makeSubscriptions(chance),
        identifier: chance.pick([0, 0, 1, 2, 7]),
      })
    case 'unsubscribe':
      return step(atMs, kind, { client, topicFilters: someFilters(chance) })
    case 'connect':
      return step(atMs, kind, { client, cleanStart: chance.of(0.25), withWill: chance.between(0, 1) === 1 })
    case 'disconnect':
      return step(atMs, kind, {
        client,
        reasonCode: chance.pick([0, 0, 0, 4]),
        expirySeconds: chance.pick([null, null, null, 0, 1, 5]),
        comesBack: chance.of(0.7),
      })
    case 'stop-reading':
      return step(atMs, kind, { client, ms: chance.pick([20, 300, 3_000]) })
    case 'acknowledge':
      return step(atMs, kind, { client, how: chance.pick(['now', 'now', 'late', 'hold'] as const) })
    case 'misbehave':
      return step(atMs, kind, { client, misdeed: chance.between(0, 9) })
    case 'broker-crash':
      return step(atMs, kind, {
        touches: chance.of(0.2) ? 0 : chance.between(1, 30),
        downMs: chance.pick([0, 1, 100, 2_000]),
        isLastBatchDurable: chance.of(0.5),
        touchesOfRecovery: chance.of(0.15) ? chance.between(1, 20) : 0,
      })
    case 'broker-restart':
      return step(atMs, kind, { downMs: chance.pick([0, 100, 2_000]) })
    case 'disk-fails':
      return step(atMs, kind, {
        ms: chance.pick([1, 50, 500, 3_000]),
        code: chance.pick(['ENOSPC', 'EIO', 'EFSYNC']),
      })
    case 'disk-slow':
      return step(atMs, kind, { ms: chance.pick([50, 500, 2_000]), latencyMs: chance.pick([20, 200]) })
    case 'clock-jump':
      return step(atMs, kind, { ms: chance.pick([100, 1_500, 8_000, 120_000]) })
    case 'wait':
      return step(atMs, kind)
    default:
      return step(atMs, kind, { client })
  }
}

export function makePublish(chance: Chance, atMs: number, client: number, index: number): PublishStep {
  const retain = chance.of(0.15)
  const isClear = retain && chance.of(0.3)
  const size = chance.of(0.9)
    ? chance.between(0, 40)
    : chance.of(0.8)
      ? chance.between(100, 700)
      : chance.between(3_000, 12_000)
  const properties: Properties = {}
  if (chance.of(0.15)) properties.messageExpiryIntervalSeconds = chance.pick([0, 1, 2, 10])
  if (chance.of(0.1)) properties.contentType = 'text/plain'
  if (chance.of(0.1)) properties.responseTopic = 'answers'
  if (chance.of(0.1)) properties.correlationData = new TextEncoder().encode(`n${index}`)
  if (chance.of(0.1)) properties.userProperties = [['name', `value ${index}`]]
  if (chance.of(0.1)) properties.payloadFormatIndicator = 1
  return {
    atMs,
    kind: 'publish',
    client,
    topic: chance.pick(TOPICS),
    payload: isClear ? '' : `m${index} `.padEnd(size, 'x'),
    qos: chance.between(0, 2) as QoS,
    retain,
    properties,
    untilStored: false,
  }
}

export function someFilters(chance: Chance): string[] {
  const filters = [chance.of(0.25) ? chance.pick(SHARED_FILTERS) : chance.pick(TOPIC_FILTERS)] as string[]
  if (chance.of(0.2)) filters.push(chance.pick(TOPIC_FILTERS))
  return [...new Set(filters)]
}

export function makeSubscriptions(chance: Chance): Subscription[] {
  return someFilters(chance).map((topicFilter) => ({
    topicFilter,
    qos: chance.between(0, 2) as QoS,
    noLocal: chance.of(0.2) && !topicFilter.startsWith('$share/'),
    retainAsPublished: chance.of(0.3),
    retainHandling: chance.between(0, 2) as 0 | 1 | 2,
  }))
}
