/**
 * What happens in a run: how the broker is set up, who its clients are, and what they and the machine do, and when.
 *
 * A plan depends on the seed only, never on what the broker does, so that a failing one can be made shorter by leaving steps
 * out: the others stay as they are.
 */
import type { Properties, ProtocolVersion, QoS, Subscription, Will } from '@recado/protocol'
import type { BrokerConfig, Denial, Reconfiguration } from './broker-config.ts'
import type { CableProfile } from './cable.ts'
import { Chance } from './chance.ts'
import type { Policy } from './hooks.ts'
import { FREE_USER } from './model/rights.ts'
import { type DrawnConfig, makeExtras } from './plan-extras.ts'
import { withTightLimits } from './plan-limits.ts'
import { withNamelessClient } from './plan-nameless.ts'
import { withRareThings } from './plan-rare.ts'
import { withScenes } from './plan-scenes.ts'
import { withStoredClient } from './plan-stored.ts'
import { withVariations } from './plan-varied.ts'
import type { ClientProfile, ProfileChanges } from './wire-client.ts'

/** Those that are drawn one after the other. */
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
export type StepKind = DrawnKind | 'rights' | 'clock-set' | 'memory' | 'repeat' | 'store-fails' | 'store-slow'

export interface Step {
  readonly atMs: number
  readonly kind: StepKind
  /** Which client; -1: none. */
  readonly client: number
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
  readonly subscriptions: Subscription[]
  readonly topicFilters: string[]
  /** A choice, a duration, a count: what the kind makes of it. */
  readonly number: number
  readonly number2: number
  readonly flag: boolean
  readonly text: string
  /** What its client says otherwise from this CONNECT on. */
  readonly changes: ProfileChanges
  /** How the broker is set up when it starts the next time. */
  readonly setup: Reconfiguration | null
}

export interface PlannedClient {
  readonly profile: ClientProfile
  /** The client library, or the client on the wire. */
  readonly isLibrary: boolean
  /** The client library with a session store, in a process that crashes. */
  readonly hasStore: boolean
  readonly cable: CableProfile
  /** What it may change when it comes back by itself. */
  readonly variants: readonly ProfileChanges[]
}

export interface Plan {
  readonly seed: number
  readonly broker: BrokerConfig
  readonly clients: readonly PlannedClient[]
  readonly steps: readonly Step[]
  readonly diskMs: readonly [number, number]
}

const PLAIN_LISTENER = { limits: {}, mountPoint: '' }
export const TOPICS = ['a', 'a/b', 'a/b/c', 'b', 'b/c', 'c//d', '$x/y', 'no/x'] as const
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

export function policyOf(config: () => BrokerConfig): Policy {
  const isDenied = (clientId: string, username: string, name: string): boolean =>
    config().hasAuthorizer && clientId !== 'c0' && username !== FREE_USER && name.split('/').includes('no')
  return {
    refusalOf: (clientId, username, willTopic) => {
      if (config().hasAuthenticator && clientId === 'c4') return 0x86
      return willTopic !== null && isDenied(clientId, username, willTopic) ? 0x87 : 0
    },
    mayPublish: (clientId, username, topic) => !isDenied(clientId, username, topic),
    maySubscribe: (clientId, username, topicFilter) => !isDenied(clientId, username, topicFilter),
  }
}

const NEVER = 0xffff_ffff

/** Nothing but scenes: clients on the wire, a disk and what makes each pair of change and state occur. */
export function makeScenes(seed: number): Plan {
  const chance = new Chance(seed, 'scenes')
  const drawn = makeBroker(chance)
  const limits = chance.of(0.7) ? {} : drawn.limits
  const broker = {
    ...drawn,
    isPersistent: true,
    isOneByOne: true,
    limits,
    rates: null,
    denials: drawn.hasAuthorizer ? makeDenials(chance) : null,
    withdrawals: null,
  }
  const clients: PlannedClient[] = []
  for (let i = 0; i < 3; i++) clients.push({ ...makeClient(chance, i, drawn, true), isLibrary: false })
  const steps = clients.map((_, client) =>
    step(client, 'connect', { client, flag: true, number: chance.between(0, 1) }),
  )
  return withTightLimits(withScenes({ seed, broker, clients, steps, diskMs: chance.pick(DISKS) }, true))
}

/** Some of what the users of some clients may not receive; another user may. */
function makeDenials(chance: Chance): Denial[] {
  const denials: Denial[] = []
  for (const clientId of ['c0', 'c1', 'c2'])
    for (const topic of ['a', 'a/b', 'b/c']) if (chance.of(0.12)) denials.push({ clientId, topic })
  return denials
}

/** How long a batch takes, in milliseconds. */
const DISKS: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, 3],
  [1, 10],
  [5, 60],
]

export function makePlan(seed: number): Plan {
  const chance = new Chance(seed, 'plan')
  const drawn = makeBroker(chance)
  const clients: PlannedClient[] = []
  const count = chance.between(2, 5)
  const isCalm = chance.of(0.15)
  for (let i = 0; i < count; i++) clients.push(makeClient(chance, i, drawn, isCalm))
  const steps: Step[] = []
  const length = chance.between(30, 160)
  let atMs = 0
  for (const [i] of clients.entries()) {
    const subscriptions = chance.of(0.8) ? makeSubscriptions(chance) : []
    steps.push(step(atMs, 'connect', { client: i, flag: true, number: chance.between(0, 1) }))
    if (subscriptions.length > 0)
      steps.push(step(atMs + 15, 'subscribe', { client: i, subscriptions, number: chance.pick([0, 0, 1, 7]) }))
    atMs += chance.between(0, 10)
  }
  const weights = makeWeights(chance, drawn, isCalm)
  for (let i = 0; i < length; i++) {
    atMs += gapMs(chance, 120, 4_000)
    steps.push(makeStep(chance, atMs, chance.weighted(weights), i, clients))
  }
  const diskMs = chance.pick(DISKS)
  const extras = makeExtras(seed, drawn, clients, atMs, TOPICS)
  for (const { atMs, kind, ...rest } of extras.steps) steps.push(step(atMs, kind, rest))
  steps.sort((a, b) => a.atMs - b.atMs)
  const plan = withStoredClient({ seed, broker: extras.broker, clients, steps, diskMs })
  return withTightLimits(withScenes(withVariations(withNamelessClient(withRareThings(plan)))))
}

function makeBroker(chance: Chance): DrawnConfig {
  const limits: Record<string, number> = {}
  const tight = (name: string, values: readonly number[], probability: number): void => {
    if (chance.of(probability)) limits[name] = chance.pick(values)
  }
  tight('queueMessagesMax', [0, 1, 3, 8], 0.2)
  tight('inflightMax', [1, 2, 5], 0.2)
  tight('receiveMaximum', [1, 2, 10], 0.15)
  tight('retainedMessagesMax', [0, 1, 2], 0.1)
  tight('subscriptionsMax', [1, 2, 3], 0.08)
  tight('connectionsMax', [1, 2, 3], 0.05)
  tight('sessionsMax', [1, 2, 3], 0.05)
  tight('packetBytesMax', [200, 1000], 0.05)
  tight('topicAliasMaximum', [0, 1, 3], 0.2)
  tight('topicAliasSendMax', [0, 1, 3], 0.2)
  tight('maximumQoS', [0, 1], 0.06)
  tight('sessionExpirySecondsMax', [1, 5], 0.08)
  // By default 30 days, which is longer than any run: those that never end are worth more.
  limits['sessionExpirySecondsMax'] ??= NEVER
  tight('routeCacheMax', [0, 2], 0.2)
  const isTight = chance.of(0.2)
  if (isTight) limits['outputBytesMax'] = 1024
  const hasAuthorizer = chance.of(0.7)
  const isLimited = 'queueMessagesMax' in limits || 'retainedMessagesMax' in limits || isTight
  return {
    isPersistent: chance.of(0.85),
    limits,
    listeners: [PLAIN_LISTENER, PLAIN_LISTENER],
    options: {
      overflow: chance.pick(['reject', 'drop-oldest', 'drop-newest'] as const),
      queueQoS0: chance.of(0.15),
    },
    hasAuthenticator: chance.of(0.3),
    hasShortCredentials: false,
    hasAuthorizer,
    lateDecisions: chance.of(0.3) ? 0.2 : 0,
    isOneByOne: isLimited || !hasAuthorizer || chance.of(0.3),
  }
}

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

function makeWeights(chance: Chance, { isPersistent }: DrawnConfig, isCalm: boolean): Record<DrawnKind, number> {
  const some = (weight: number): number => chance.preferred(weight)
  const fault = (weight: number): number => (isCalm ? 0 : some(weight))
  return {
    publish: 60,
    subscribe: some(12),
    unsubscribe: some(6),
    ping: 1,
    connect: some(6),
    disconnect: some(5),
    reauthenticate: 1,
    acknowledge: some(6),
    'stop-reading': some(3),
    cut: fault(6),
    'fall-silent': fault(2),
    'client-crash': fault(2),
    misbehave: fault(2),
    'broker-crash': isPersistent ? fault(4) : fault(1),
    'broker-restart': fault(1),
    'disk-fails': isPersistent ? fault(2) : 0,
    'disk-slow': isPersistent ? fault(3) : 0,
    'clock-jump': fault(1),
    wait: 2,
  }
}

/** Until the next step: often none, rarely a long one. */
export function gapMs(chance: Chance, usualMaxMs: number, longMaxMs: number): number {
  if (chance.of(0.5)) return chance.between(0, 3)
  return chance.of(0.95) ? chance.between(0, usualMaxMs) : chance.between(500, longMaxMs)
}

/** The plan with more steps, each after those of the same time. */
export function withSteps(plan: Plan, steps: readonly Step[]): Plan {
  return { ...plan, steps: [...plan.steps, ...steps].sort((a, b) => a.atMs - b.atMs) }
}

export function step(atMs: number, kind: StepKind, o: Partial<Step>): Step {
  return {
    atMs,
    kind,
    client: -1,
    topic: '',
    payload: '',
    qos: 0,
    retain: false,
    properties: {},
    subscriptions: [],
    topicFilters: [],
    number: 0,
    number2: 0,
    flag: false,
    text: '',
    changes: {},
    setup: null,
    ...o,
  }
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
        number: chance.pick([0, 0, 1, 2, 7]),
      })
    case 'unsubscribe':
      return step(atMs, kind, { client, topicFilters: someFilters(chance) })
    case 'connect':
      return step(atMs, kind, { client, flag: chance.of(0.25), number: chance.between(0, 1) })
    case 'disconnect':
      return step(atMs, kind, {
        client,
        number: chance.pick([0, 0, 0, 4]),
        number2: chance.pick([-1, -1, -1, 0, 1, 5]),
        flag: chance.of(0.7),
      })
    case 'stop-reading':
      return step(atMs, kind, { client, number: chance.pick([20, 300, 3_000]) })
    case 'acknowledge':
      return step(atMs, kind, { client, text: chance.pick(['now', 'now', 'late', 'hold']) })
    case 'misbehave':
      return step(atMs, kind, { client, number: chance.between(0, 9) })
    case 'broker-crash':
      return step(atMs, kind, {
        number: chance.of(0.2) ? 0 : chance.between(1, 30),
        number2: chance.pick([0, 1, 100, 2_000]),
        flag: chance.of(0.5),
        text: chance.of(0.15) ? String(chance.between(1, 20)) : '',
      })
    case 'broker-restart':
      return step(atMs, kind, { number2: chance.pick([0, 100, 2_000]) })
    case 'disk-fails':
      return step(atMs, kind, {
        number: chance.pick([1, 50, 500, 3_000]),
        text: chance.pick(['ENOSPC', 'EIO', 'EFSYNC']),
      })
    case 'disk-slow':
      return step(atMs, kind, { number: chance.pick([50, 500, 2_000]), number2: chance.pick([20, 200]) })
    case 'clock-jump':
      return step(atMs, kind, { number: chance.pick([100, 1_500, 8_000, 120_000]) })
    default:
      return step(atMs, kind, { client })
  }
}

export function makePublish(chance: Chance, atMs: number, client: number, index: number): Step {
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
  return step(atMs, 'publish', {
    client,
    topic: chance.pick(TOPICS),
    payload: isClear ? '' : `m${index} `.padEnd(size, 'x'),
    qos: chance.between(0, 2) as QoS,
    retain,
    properties,
  })
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
