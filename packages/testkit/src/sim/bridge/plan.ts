/**
 * The plan of a run with bridges, drawn from its seed: brokers, the bridges between them, clients, and what happens.
 */
import type { CableProfile } from '../cable.ts'
import { Chance } from '../chance.ts'

export type QoS = 0 | 1 | 2
export type Version = 3 | 4 | 5

/** A `topic` line. */
export interface LinePlan {
  readonly root: string
  readonly direction: 'out' | 'in' | 'both'
  readonly qos: QoS
  readonly localPrefix: string
  readonly remotePrefix: string
}

export interface BridgePlan {
  readonly name: string
  /** Number of the broker that has it in its configuration, and of the remote one. */
  readonly owner: number
  readonly remote: number
  readonly version: Version
  readonly lines: readonly LinePlan[]
  /** Addresses, which all lead to the remote broker; for the bridge they are different ones. */
  readonly addresses: number
  readonly isLazy: boolean
  /** More lines of its section. */
  readonly options: string[]
  readonly cable: CableProfile
}

export interface BrokerPlan {
  readonly isPersistent: boolean
  readonly inflightMax: number
  /** Messages that it takes from a client before it has answered; before MQTT 5.0 nobody is told. */
  readonly receiveMaximum: number
  /** Messages that may wait in a session; Infinity for no limit. */
  readonly queueMessagesMax: number
  readonly overflow: 'reject' | 'drop-oldest' | 'drop-newest'
  readonly maximumQoS: QoS
  readonly topicAliasMaximum: number
  readonly diskMs: readonly [number, number]
}

export interface ClientPlan {
  readonly clientId: string
  readonly broker: number
  readonly version: Version
  /** Whether it gets all messages; the others publish. */
  readonly isSubscriber: boolean
}

export type Step =
  | {
      readonly kind: 'publish'
      readonly client: number
      readonly topic: string
      readonly qos: QoS
      readonly retain: boolean
      readonly isEmpty: boolean
      readonly bytes: number
      readonly count: number
      /** Whether the client copies the path of the last message that its broker's subscriber has got, as an answer may. */
      readonly copiesPath?: true
    }
  | { readonly kind: 'cut' | 'silence' | 'reload' | 'forget-near' | 'forget-far'; readonly bridge: number }
  | { readonly kind: 'stall' | 'stop-reading' | 'unreachable'; readonly bridge: number; readonly ms: number }
  | {
      readonly kind: 'crash'
      readonly broker: number
      /** Calls of the disk or the network until then. */
      readonly touches: number
      readonly downMs: number
      /** Calls of the next start until it crashes as well; 0 for never. */
      readonly recoveryTouches: number
      readonly isLastBatchDurable: boolean
    }
  | { readonly kind: 'restart'; readonly broker: number; readonly downMs: number }
  | { readonly kind: 'disk'; readonly broker: number; readonly ms: number }
  | { readonly kind: 'slow-disk'; readonly broker: number; readonly ms: readonly [number, number] }
  | { readonly kind: 'stand-still'; readonly ms: number }

export interface TimedStep {
  readonly atMs: number
  readonly step: Step
}

export interface BridgeRunPlan {
  readonly seed: number
  readonly shape: Shape
  readonly brokers: readonly BrokerPlan[]
  readonly bridges: readonly BridgePlan[]
  readonly clients: readonly ClientPlan[]
  readonly steps: readonly TimedStep[]
}

/** `ring-tail`: two brokers with a bridge each way, and a third one that joins them. */
export type Shape = 'pair' | 'line' | 'star' | 'ring-out' | 'ring-in' | 'ring-tail'

const ROOTS = ['a', 'b', 'c', 'd'] as const
const VERSIONS: readonly Version[] = [3, 4, 4, 5, 5, 5]
const LENGTH_MS = 20_000

export function makePlan(seed: number): BridgeRunPlan {
  const chance = new Chance(seed, 'bridge plan')
  // What came to the plans later has draws of its own, so that a seed of earlier finds what it found.
  const later = new Chance(seed, 'bridge plan, later')
  const drawn = chance.weighted<Exclude<Shape, 'ring-tail'>>({
    pair: 5,
    line: 2,
    star: 1,
    'ring-out': 1.5,
    'ring-in': 1,
  })
  const shape: Shape = drawn === 'line' && later.of(0.25) ? 'ring-tail' : drawn
  const isLimited = chance.of(0.15)
  const count = shape === 'pair' ? 2 : 3
  const bridges = drawBridges(chance, shape)
  if (shape === 'ring-out' && later.of(0.25)) makePlain(later.pick(bridges))
  const isTold = bridges.every(({ version }) => version === 5)
  const brokers = Array.from({ length: count }, () => drawBroker(chance, isLimited, isTold))
  const clients = drawClients(chance, count)
  const steps = drawSteps(chance, bridges, clients, count).map((each) => drawPath(later, each, clients))
  const flood = drawFlood(later, bridges, clients)
  return { seed, shape, brokers, bridges, clients, steps: [...steps, ...flood] }
}

/** Makes a bridge one of another kind: it passes the path of a message on, and puts nobody on it. */
function makePlain({ options }: BridgePlan): void {
  options.push('bridge_path off')
}

/** A step that may copy the path of another message. */
function drawPath(later: Chance, { atMs, step }: TimedStep, clients: readonly ClientPlan[]): TimedStep {
  const isCopy = later.of(0.1)
  if (!isCopy || step.kind !== 'publish' || clients[step.client]!.version < 5) return { atMs, step }
  return { atMs, step: { ...step, copiesPath: true } }
}

/** The last steps of a plan: QoS 0 fills a line that takes no bytes, and what waits behind it has to go. */
function drawFlood(later: Chance, bridges: readonly BridgePlan[], clients: readonly ClientPlan[]): TimedStep[] {
  const bridge = later.between(0, bridges.length - 1)
  const { owner, lines, cable } = bridges[bridge]!
  const line = lines.find(({ direction, qos }) => direction !== 'in' && qos > 0)
  const isQuick = cable.latencyMs <= 5 && cable.capacityBytes === 4_000
  if (!isQuick || line === undefined || !later.of(0.5)) return []
  const client = clients.findIndex(({ broker, isSubscriber }) => broker === owner && !isSubscriber)
  const topic = `${line.localPrefix}${line.root}/0`
  const publish = { kind: 'publish', client, topic, retain: false, isEmpty: false } as const
  const startMs = LENGTH_MS + 15_000
  return [
    { atMs: startMs, step: { kind: 'stall', bridge, ms: 1_500 } },
    { atMs: startMs + 10, step: { ...publish, qos: 0, bytes: 17_000, count: 24 } },
    { atMs: startMs + 500, step: { ...publish, qos: 1, bytes: 0, count: 2 } },
  ]
}

/** `isTold`: all bridges are told what a broker takes. */
function drawBroker(chance: Chance, isLimited: boolean, isTold: boolean): BrokerPlan {
  return {
    isPersistent: true,
    inflightMax: chance.pick([2, 5, 20, 100, 1_000]),
    queueMessagesMax: isLimited ? chance.pick([3, 10, 30]) : Number.POSITIVE_INFINITY,
    overflow: chance.pick(['reject', 'drop-oldest', 'drop-newest']),
    receiveMaximum: isTold ? chance.pick([1, 5, 20, 1_000]) : chance.pick([20, 1_000]),
    maximumQoS: isTold && chance.of(0.1) ? 1 : 2,
    topicAliasMaximum: chance.pick([0, 1, 10]),
    diskMs: chance.pick([
      [0, 0],
      [0, 3],
      [1, 20],
    ]),
  }
}

function drawBridges(chance: Chance, shape: Shape): BridgePlan[] {
  switch (shape) {
    case 'pair':
      return [drawBridge(chance, 0, 1, null)]
    case 'line':
      return [drawBridge(chance, 0, 1, null), drawBridge(chance, 1, 2, null)]
    case 'star':
      return [drawBridge(chance, 0, 1, null), drawBridge(chance, 2, 1, null)]
    default: {
      const direction = shape === 'ring-in' ? 'in' : 'out'
      const lines: LinePlan[] = ROOTS.slice(0, chance.between(1, 3)).map((root) => ({
        ...{ root, direction, localPrefix: '', remotePrefix: '' },
        qos: chance.pick([0, 1, 2, 2]),
      }))
      if (shape !== 'ring-tail') return [0, 1, 2].map((owner) => drawBridge(chance, owner, (owner + 1) % 3, lines))
      return [drawBridge(chance, 0, 1, lines), drawBridge(chance, 1, 2, lines), drawBridge(chance, 2, 1, lines)]
    }
  }
}

function drawBridge(chance: Chance, owner: number, remote: number, ringLines: readonly LinePlan[] | null): BridgePlan {
  const version = ringLines === null ? chance.pick(VERSIONS) : 5
  const isLazy = ringLines === null && chance.of(0.08)
  const lines = ringLines ?? drawLines(chance, isLazy)
  const options = [
    `keepalive_interval ${chance.pick([5, 10, 30])}`,
    `restart_timeout ${chance.pick(['1', '2', '1 5', '1 3 10'])}`,
  ]
  const isSilent = chance.of(0.2)
  if (isSilent) options.push('notifications false')
  if (!isSilent && chance.of(0.2)) options.push('notifications_local_only true')
  if (chance.of(0.2)) options.push('bridge_attempt_unsubscribe false')
  if (chance.of(0.15)) options.push(`bridge_rate ${chance.pick([20, 100])}`)
  if (chance.of(0.2)) options.push('bridge_queue_qos0 true')
  if (chance.of(0.5)) options.push('bridge_reload_type immediate')
  if (version === 5) {
    if (chance.of(0.3)) options.push(`bridge_max_topic_alias ${chance.pick([0, 1, 3])}`)
    if (chance.of(0.3)) options.push(`bridge_receive_maximum ${chance.pick([1, 3, 20])}`)
    if (ringLines === null && chance.of(0.2)) options.push(`bridge_path ${chance.pick(['strip', 'off'])}`)
  }
  if (isLazy) options.push('start_type lazy', 'threshold 1', `idle_timeout ${chance.pick([2, 5])}`)
  return {
    ...{ name: `b${owner}${remote}`, owner, remote, version, lines, isLazy, options },
    addresses: chance.of(0.1) ? 2 : 1,
    cable: drawCable(chance),
  }
}

function drawLines(chance: Chance, isOut: boolean): LinePlan[] {
  const hasPrefixes = chance.of(0.25)
  return ROOTS.slice(0, chance.between(1, 4)).map((root) => ({
    root,
    direction: isOut ? 'out' : chance.pick(['out', 'in', 'both', 'both']),
    qos: chance.pick([0, 1, 2, 2]),
    localPrefix: hasPrefixes && chance.of(0.6) ? 'near/' : '',
    remotePrefix: hasPrefixes && chance.of(0.6) ? `far/${root}/` : '',
  }))
}

function drawCable(chance: Chance): CableProfile {
  return {
    latencyMs: chance.pick([1, 5, 50, 300]),
    jitterMs: chance.pick([0, 3, 40]),
    splits: chance.pick([0, 0.1, 0.5]),
    joins: chance.pick([0, 0.5, 1]),
    capacityBytes: chance.pick([200, 4_000, 1_000_000]),
  }
}

function drawClients(chance: Chance, brokers: number): ClientPlan[] {
  const clients: ClientPlan[] = []
  for (let broker = 0; broker < brokers; broker++) {
    clients.push({ clientId: `s${broker}`, broker, version: chance.pick(VERSIONS), isSubscriber: true })
    for (let i = 0; i < 2; i++) {
      clients.push({ clientId: `p${broker}${i}`, broker, version: chance.pick(VERSIONS), isSubscriber: false })
    }
  }
  return clients
}

/** Topic Names of a root at each broker: with the prefixes of lines that begin there, and without. */
function topicsAt(broker: number, bridges: readonly BridgePlan[]): string[] {
  const topics = new Set<string>(['elsewhere/'])
  for (const { owner, remote, lines } of bridges) {
    for (const { root, localPrefix, remotePrefix } of lines) {
      if (owner === broker) topics.add(`${localPrefix}${root}/`)
      if (remote === broker) topics.add(`${remotePrefix}${root}/`)
    }
  }
  return [...topics]
}

function drawSteps(
  chance: Chance,
  bridges: readonly BridgePlan[],
  clients: readonly ClientPlan[],
  brokers: number,
): TimedStep[] {
  const steps: TimedStep[] = []
  const at = (): number => chance.between(0, LENGTH_MS)
  const topics = Array.from({ length: brokers }, (_, broker) => topicsAt(broker, bridges))
  const publishers = clients.flatMap(({ isSubscriber }, client) => (isSubscriber ? [] : [client]))
  for (let i = chance.between(15, 80); i > 0; i--) {
    steps.push({ atMs: at(), step: drawPublish(chance, chance.pick(publishers), clients, topics) })
  }
  const weights = {
    cut: chance.preferred(4),
    silence: chance.preferred(1),
    stall: chance.preferred(1.5),
    'stop-reading': chance.preferred(1),
    unreachable: chance.preferred(1),
    crash: chance.preferred(4),
    restart: chance.preferred(1),
    disk: chance.preferred(1),
    'slow-disk': chance.preferred(0.7),
    'stand-still': chance.preferred(0.3),
    reload: chance.preferred(0.5),
  }
  for (let i = chance.between(0, 12); i > 0; i--) {
    steps.push({ atMs: at(), step: drawFault(chance, chance.weighted(weights), bridges.length, brokers) })
  }
  if (chance.of(0.12)) {
    const kind = chance.pick(['forget-near', 'forget-far'] as const)
    steps.push({ atMs: at(), step: { kind, bridge: chance.between(0, bridges.length - 1) } })
  }
  return steps.sort((one, other) => one.atMs - other.atMs)
}

function drawPublish(
  chance: Chance,
  client: number,
  clients: readonly ClientPlan[],
  topics: readonly (readonly string[])[],
): Step {
  const { clientId, broker } = clients[client]!
  const root = chance.pick(topics[broker]!)
  const retain = chance.of(0.25)
  // One client publishes what is retained, at one QoS: else nobody could say which of two is the last one.
  const number = chance.between(0, retain ? 2 : 1)
  const topic = retain ? `${root}kept/${clientId}${number}` : `${root}${number}`
  return {
    ...{ kind: 'publish', client, topic, retain },
    qos: retain ? (number as QoS) : chance.pick([0, 1, 2, 2]),
    isEmpty: retain && chance.of(0.3),
    bytes: chance.of(0.05) ? chance.pick([1_000, 17_000]) : chance.between(0, 30),
    count: chance.of(0.3) ? chance.between(2, 20) : 1,
  }
}

type FaultKind = Exclude<Step['kind'], 'publish' | 'forget-near' | 'forget-far'>

function drawFault(chance: Chance, kind: FaultKind, bridges: number, brokers: number): Step {
  const bridge = chance.between(0, bridges - 1)
  const broker = chance.between(0, brokers - 1)
  switch (kind) {
    case 'cut':
    case 'silence':
    case 'reload':
      return { kind, bridge }
    case 'stall':
    case 'stop-reading':
    case 'unreachable':
      return { kind, bridge, ms: chance.pick([50, 500, 3_000, 12_000]) }
    case 'crash':
      return {
        ...{ kind, broker },
        touches: chance.of(0.2) ? 0 : chance.between(1, 60),
        downMs: chance.pick([1, 100, 1_000, 5_000]),
        recoveryTouches: chance.of(0.15) ? chance.between(1, 20) : 0,
        isLastBatchDurable: chance.of(0.5),
      }
    case 'restart':
      return { kind, broker, downMs: chance.pick([1, 500, 3_000]) }
    case 'disk':
      return { kind, broker, ms: chance.pick([100, 1_500, 4_000]) }
    case 'slow-disk':
      return {
        kind,
        broker,
        ms: chance.pick([
          [5, 100],
          [200, 900],
          [0, 2],
        ] as const),
      }
    case 'stand-still':
      return { kind, ms: chance.pick([100, 2_000, 20_000]) }
  }
}
