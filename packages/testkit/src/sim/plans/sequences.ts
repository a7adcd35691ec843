/**
 * Adds to some plans one short sequence of steps that chance alone finds too rarely: what a repair of the broker or the
 * client is for. It comes when the other steps of the plan are over, and is drawn from a stream of its own: the rest of
 * the plan is what it would be without it.
 */
import type { Subscription } from '@recado/protocol'
import type { Reconfiguration } from '../broker-config.ts'
import { Chance } from '../chance.ts'
import type { ProfileChanges } from '../wire-client.ts'
import { type Plan, wireClients, withSteps } from './plan.ts'
import { type Step, step } from './step.ts'

/** A topic that every client may publish to, and that no right is withdrawn for. */
const TOPIC = 'b'
/** Settings of a client whose session outlasts its connections. */
const DURABLE: ProfileChanges = {
  version: 5,
  expirySeconds: 600,
  keepAliveSeconds: 0,
  receiveMaximum: 65_535,
  maximumPacketSize: 0,
  usesAliases: false,
  hasEnhancedAuthentication: false,
  username: '',
  listener: 0,
  will: null,
}

/** Clients on the wire that a sequence may use, the time of its first step, and the client with a store; -1: there is none. */
interface Cast {
  readonly one: number
  readonly other: number
  readonly stored: number
  readonly atMs: number
}

type Sequence = (chance: Chance, cast: Cast) => Step[]

export function withSequence(plan: Plan): Plan {
  const chance = new Chance(plan.seed, 'plan', 'sequences')
  if (!chance.of(0.12) || !plan.broker.isPersistent) return plan
  const { broker, clients, steps } = plan
  const onWire = wireClients(plan).filter((i) => clients[i]!.profile.clientId !== 'c4')
  if (onWire.length < 2) return plan
  const [one, other] = onWire as [number, number]
  const cast = {
    one,
    other,
    stored: clients.findIndex(({ hasStore }) => hasStore),
    atMs: (steps.at(-1)?.atMs ?? 0) + 3_000,
  }
  const possible = cast.stored >= 0 && chance.of(0.5) ? [failingStore] : broker.hasAuthenticator ? LOGINS : SEQUENCES
  return withSteps({ ...plan, broker: { ...broker, isOneByOne: true } }, chance.pick(possible)(chance, cast))
}

const SEQUENCES: readonly Sequence[] = [
  guestIsNotOwner,
  graceOfAnotherUser,
  overtakingQoS0,
  endThatIsNotSafe,
  lateWill,
  lateForAConnection,
]
const LOGINS: readonly Sequence[] = [expiredLogin]

const connect = (atMs: number, client: number, changes: ProfileChanges, cleanStart = false, withWill = false): Step =>
  step(atMs, 'connect', { client, cleanStart, withWill, changes })
const cut = (atMs: number, client: number): Step => step(atMs, 'cut', { client })
const restart = (atMs: number, setup: Reconfiguration): Step => step(atMs, 'broker-restart', { downMs: 0, setup })
const slowDisk = (atMs: number, ms: number, latencyMs: number): Step => step(atMs, 'disk-slow', { ms, latencyMs })
const publish = (atMs: number, client: number, payload: string, qos: 0 | 1 | 2): Step =>
  step(atMs, 'publish', { client, topic: TOPIC, payload: `${payload} of ${atMs}`, qos })
const acknowledge = (atMs: number, client: number, how: 'now' | 'hold'): Step =>
  step(atMs, 'acknowledge', { client, how })

function subscribe(atMs: number, client: number, qos: 1 | 2): Step {
  const subscription: Subscription = {
    topicFilter: TOPIC,
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 2,
  }
  return step(atMs, 'subscribe', { client, subscriptions: [subscription] })
}

/** A user waits for CONNACK in a session that is nobody's, and goes before it comes: the session is still nobody's. */
function guestIsNotOwner(chance: Chance, { one, atMs }: Cast): Step[] {
  const leavesMs = atMs + 2_500 + chance.between(80, 400)
  return [
    restart(atMs, { options: { sessionOwner: 'off' } }),
    connect(atMs + 600, one, DURABLE, true),
    restart(atMs + 1_200, { options: { sessionOwner: chance.pick(['refuse', 'takeover'] as const) } }),
    slowDisk(atMs + 2_400, 1_500, 600),
    cut(atMs + 2_499, one),
    connect(atMs + 2_500, one, { username: 'somebody' }),
    cut(leavesMs, one),
    connect(leavesMs + 1, one, { username: '' }),
  ]
}

/** After a start the Will of a client that is not back yet waits; another user takes the session over. */
function graceOfAnotherUser(_: Chance, { one, other, atMs }: Cast): Step[] {
  const will = { topic: TOPIC, payload: new TextEncoder().encode('will of one'), qos: 1, retain: false, properties: {} }
  return [
    restart(atMs, { options: { sessionOwner: 'takeover' }, limits: { willGraceMs: 3_000 } }),
    connect(atMs + 600, one, { ...DURABLE, username: 'somebody', will: { ...will, qos: 1 } }, true, true),
    connect(atMs + 600, other, DURABLE, true),
    subscribe(atMs + 800, other, 1),
    step(atMs + 1_500, 'broker-crash', { touches: 0, downMs: 0 }),
    connect(atMs + 1_502, one, { username: '', will: null }),
  ]
}

/** QoS 0 has waited before a restart after which it would wait no more: what comes now must not overtake it. */
function overtakingQoS0(_: Chance, { one, other, atMs }: Cast): Step[] {
  const steps = [
    restart(atMs, { options: { queueQoS0: true }, limits: { queueMessagesMax: 1_000 } }),
    connect(atMs + 600, one, DURABLE, true),
    connect(atMs + 600, other, DURABLE, true),
    subscribe(atMs + 800, one, 2),
    step(atMs + 1_000, 'disconnect', { client: one, expirySeconds: null, comesBack: false }),
  ]
  for (let i = 0; i < 3; i++) steps.push(publish(atMs + 1_200 + i, other, 'first', 1))
  for (let i = 0; i < 3; i++) steps.push(publish(atMs + 1_210 + i, other, 'waits', 0))
  steps.push(restart(atMs + 1_600, { options: { queueQoS0: false } }))
  steps.push(connect(atMs + 2_200, other, {}))
  steps.push(acknowledge(atMs + 2_200, one, 'hold'))
  steps.push(connect(atMs + 2_300, one, { receiveMaximum: 1 }))
  for (let i = 0; i < 3; i++) steps.push(publish(atMs + 2_700 + i, other, 'follows', 0))
  steps.push(acknowledge(atMs + 3_200, one, 'now'))
  return steps
}

/** A new session ends before its client is let in; the next one hears of none, and a crash must not bring it back. */
function endThatIsNotSafe(chance: Chance, { one, atMs }: Cast): Step[] {
  const latencyMs = chance.pick([100, 200, 400])
  const leavesMs = atMs + 1_000 + chance.between(20, 120)
  const againMs = leavesMs + chance.between(1, 5)
  const brief = { ...DURABLE, expirySeconds: 0 }
  return [
    connect(atMs, one, brief, true),
    step(atMs + 500, 'disconnect', { client: one, comesBack: false }),
    slowDisk(atMs + 900, 2_500, latencyMs),
    connect(atMs + 1_000, one, DURABLE, true),
    cut(leavesMs, one),
    connect(againMs, one, brief, true),
    step(againMs + chance.between(30, latencyMs + 100), 'broker-crash', {
      touches: 0,
      downMs: 0,
      isLastBatchDurable: chance.of(0.3),
    }),
    connect(againMs + latencyMs + 200, one, DURABLE),
  ]
}

/**
 * A Will goes to a client that is there and does not acknowledge it. Something else makes a batch begin in the next
 * milliseconds, and the broker crashes when that is safe: then the Will is off the disk, and its message must be there.
 */
function lateWill(chance: Chance, { one, other, atMs: fromMs }: Cast): Step[] {
  // Timers are set off at whole tenths of a second: the Will of a client that is lost a little later comes at `dueMs`.
  const atMs = 100 * Math.ceil(fromMs / 100) + 5
  const dueMs = atMs + 2_095
  const properties = { willDelayIntervalSeconds: 1 }
  const will = { topic: TOPIC, payload: new TextEncoder().encode('late will'), qos: 1, retain: false, properties }
  const steps = [
    connect(atMs, one, { ...DURABLE, will: { ...will, qos: 1 } }, true, true),
    connect(atMs, other, DURABLE, true),
    subscribe(atMs + 300, other, 1),
    acknowledge(atMs + 500, other, 'hold'),
    step(atMs + 1_000, 'disconnect', { client: one, reasonCode: 4, expirySeconds: null, comesBack: false }),
  ]
  for (let ms = -120; ms < 60; ms += 2)
    steps.push(
      step(dueMs + ms, 'publish', { client: other, topic: 'a', payload: `beside ${ms}`, qos: 1, retain: true }),
    )
  const crash = { touches: chance.between(0, 6), downMs: 100, isLastBatchDurable: chance.of(0.5) }
  steps.push(step(dueMs + chance.between(0, 60), 'broker-crash', crash))
  steps.push(acknowledge(atMs + 3_500, other, 'now'))
  return steps
}

/**
 * A PUBLISH waits for a disk that fails, and its client comes back with a smaller Receive Maximum, which older messages
 * use up: when the disk works again it has to wait for its turn.
 */
function lateForAConnection(chance: Chance, { one, other, atMs }: Cast): Step[] {
  const steps = [
    connect(atMs, one, DURABLE, true),
    connect(atMs, other, DURABLE, true),
    subscribe(atMs + 300, one, 2),
    acknowledge(atMs + 500, one, 'hold'),
  ]
  for (let i = 0; i < 4; i++) steps.push(publish(atMs + 600 + i, other, 'older', 2))
  const failsMs = atMs + 1_000
  steps.push(slowDisk(failsMs - 50, 100, chance.pick([20, 60])))
  steps.push(publish(failsMs - chance.between(0, 60), other, 'late', 2))
  steps.push(step(failsMs, 'disk-fails', { ms: 1_500, code: 'EIO' }))
  for (let i = 0; i < 3; i++) steps.push(publish(failsMs + 1 + i, other, `late ${i}`, 2))
  steps.push(connect(failsMs + chance.between(200, 900), one, { receiveMaximum: chance.between(1, 3) }))
  steps.push(acknowledge(failsMs + 4_000, one, 'now'))
  return steps
}

/** CONNACK waits for a slow disk, for longer than some logins are good for. */
function expiredLogin(_: Chance, { one, other, atMs }: Cast): Step[] {
  const steps = [slowDisk(atMs, 12_000, 3_000)]
  for (let i = 0; i < 4; i++)
    for (const client of [one, other]) steps.push(connect(atMs + 100 + 3_000 * i, client, { ...DURABLE }, true))
  return steps
}

/** The store of a client fails while the broker loses its sessions: Packet Identifiers that are being written are void. */
function failingStore(chance: Chance, { stored, other, atMs }: Cast): Step[] {
  const steps: Step[] = [
    connect(atMs, other, DURABLE, true),
    connect(atMs, stored, {}),
    subscribe(atMs + 500, stored, 2),
  ]
  const failsMs = atMs + 1_000
  steps.push(step(failsMs, 'store-slow', { client: stored, ms: 8_000, latencyMs: 900 }))
  steps.push(step(failsMs, 'store-fails', { client: stored, ms: 5_000, code: 'EIO' }))
  for (let i = 0; i < 4; i++) steps.push(publish(failsMs + 100 + 10 * i, other, 'lost', 2))
  steps.push(
    step(failsMs + chance.between(300, 900), 'broker-crash', { touches: 0, downMs: 0, setup: { isPersistent: false } }),
  )
  // All faults end with the last step.
  steps.push(step(failsMs + 6_500, 'wait'))
  return steps
}
