/**
 * The additions to plans, each drawn from a stream of its own: the other steps of a seed stay as they were.
 */
import type { BrokerConfig, Denial } from '../broker-config.ts'
import { Chance } from '../chance.ts'
import type { RateLimits } from '../model/rates.ts'
import type { DrawnConfig, PlannedClient } from './plan.ts'
import { type FieldsOf, type Step, type StepKind, step } from './step.ts'

export interface Extras {
  readonly broker: BrokerConfig
  readonly steps: readonly Step[]
}

export function makeExtras(
  seed: number,
  broker: DrawnConfig,
  planned: readonly PlannedClient[],
  lastMs: number,
  topics: readonly string[],
): Extras {
  const clients = planned.length
  const steps: Step[] = []
  const denials = makeRights(new Chance(seed, 'rights'), broker, clients, lastMs, topics, steps)
  makeClocks(new Chance(seed, 'clock'), broker, lastMs, steps)
  const rates = makeRates(new Chance(seed, 'rates'))
  const rated = withRates(broker, rates)
  makeInheritance(new Chance(seed, 'inheritance'), planned, lastMs, steps)
  makeLateWill(new Chance(seed, 'late Will'), planned, lastMs, steps)
  const isMemoryLimited = makeMemory(new Chance(seed, 'memory'), clients, lastMs, steps)
  const willGraceMs = makeGrace(new Chance(seed, 'grace'))
  const limits = {
    ...rated.limits,
    ...(isMemoryLimited ? { memoryBytesMax: MEMORY_BYTES } : {}),
    ...(willGraceMs > 0 ? { willGraceMs } : {}),
  }
  return {
    broker: { ...rated, limits, denials, withdrawals: null, isOneByOne: rated.isOneByOne || isMemoryLimited },
    steps,
  }
}

/** Time that Wills wait after a start. */
function makeGrace(chance: Chance): number {
  return chance.of(0.3) ? chance.pick([300, 1_500, 5_000]) : 0
}

const MEMORY_BYTES = 64 * 1024 * 1024

/** Used memory in percent of the limit, and the part of it that is garbage. */
function makeMemory(chance: Chance, clients: number, lastMs: number, steps: Step[]): boolean {
  if (!chance.of(0.12)) return false
  for (let i = chance.between(1, 8); i > 0; i--) {
    const livePercent = chance.pick([50, 77, 82, 86, 92, 92, 96, 101])
    const atMs = chance.between(0, lastMs)
    steps.push(step(atMs, 'memory', { livePercent, garbagePercent: chance.pick([0, 0, 5, 40]) }))
  }
  if (chance.of(0.6)) makeSlowReader(chance, clients, lastMs, steps)
  if (clients >= 3 && chance.of(0.5)) makeHeirs(chance, clients, lastMs, steps)
  return true
}

const NO_LIMIT = Number.POSITIVE_INFINITY

function makeRates(chance: Chance): RateLimits | null {
  if (!chance.of(0.12)) return null
  const limit = (probability: number, values: readonly number[]): number =>
    chance.of(probability) ? chance.pick(values) : NO_LIMIT
  return {
    messagesPerSecond: limit(0.7, [3, 8, 25]),
    bytesPerSecond: limit(0.4, [500, 3_000]),
    graceMs: chance.pick([500, 2_000, 2_000, 60_000]),
    listenerMessagesPerSecond: limit(0.3, [10, 30]),
    listenerBytesPerSecond: limit(0.1, [3_000, 10_000]),
  }
}

function withRates(broker: DrawnConfig, rates: RateLimits | null): Omit<BrokerConfig, 'denials' | 'withdrawals'> {
  if (rates === null) return { ...broker, rates }
  const limits: Record<string, number> = { ...broker.limits, rateGraceMs: rates.graceMs }
  const set = (name: string, value: number): void => {
    if (value < NO_LIMIT) limits[name] = value
  }
  set('messagesPerSecondMax', rates.messagesPerSecond)
  set('bytesPerSecondMax', rates.bytesPerSecond)
  set('listenerMessagesPerSecondMax', rates.listenerMessagesPerSecond)
  set('listenerBytesPerSecondMax', rates.listenerBytesPerSecond)
  // The broker may stop after any packet.
  return { ...broker, limits, rates, isOneByOne: true }
}

const HOUR_MS = 3_600_000
const CLOCKS_MS = [700, 5_000, 60_000, HOUR_MS, 400 * 24 * HOUR_MS] as const

/** The clock of the machine is set, and then the broker starts again. */
function makeClocks(chance: Chance, { isPersistent }: DrawnConfig, lastMs: number, steps: Step[]): void {
  if (!isPersistent || !chance.of(0.2)) return
  for (let i = chance.between(1, 3); i > 0; i--) {
    const atMs = chance.between(0, lastMs)
    steps.push(step(atMs, 'clock-set', { byMs: chance.pick(CLOCKS_MS) * chance.pick([-1, -1, 1]) }))
    const downMs = chance.pick([0, 100, 2_000])
    if (chance.of(0.5)) steps.push(step(atMs, 'broker-restart', { downMs }))
    else {
      const touches = chance.between(0, 10)
      steps.push(step(atMs, 'broker-crash', { touches, downMs, isLastBatchDurable: chance.of(0.5) }))
    }
  }
}

/** Makes a client with many waiting messages when memory is at its limit. */
function makeSlowReader(chance: Chance, clients: number, lastMs: number, steps: Step[]): void {
  const client = chance.between(0, clients - 1)
  const atMs = chance.between(100, 100 + lastMs)
  const all = { topicFilter: 'a/b', noLocal: false, retainAsPublished: false, retainHandling: 2 as const }
  steps.push(step(atMs - 100, 'subscribe', { client, subscriptions: [{ ...all, qos: 0 }] }))
  steps.push(step(atMs, 'stop-reading', { client, ms: 2_000 }))
  for (let i = 0; i < 20; i++) {
    const payload = `large ${i} `.padEnd(12_000, 'x')
    steps.push(step(atMs, 'publish', { client: chance.between(0, clients - 1), topic: 'a/b', payload }))
  }
  steps.push(step(atMs + 50, 'memory', { livePercent: 101 }))
}

/** Two members of a Shared Subscription are away, and the session of one ends while memory is short. */
function makeHeirs(chance: Chance, clients: number, lastMs: number, steps: Step[]): void {
  const one = chance.between(0, clients - 1)
  const other = (one + 1) % clients
  const publisher = (one + 2) % clients
  const atMs = chance.between(100, 100 + lastMs)
  const all = { topicFilter: '$share/g/a/b', noLocal: false, retainAsPublished: false, retainHandling: 2 as const }
  for (const client of [one, other]) {
    steps.push(step(atMs - 100, 'subscribe', { client, subscriptions: [{ ...all, qos: 1 }] }))
    steps.push(step(atMs, 'disconnect', { client, expirySeconds: client === one ? 1 : null }))
  }
  for (let i = 0; i < 4; i++)
    steps.push(step(atMs + 100, 'publish', { client: publisher, topic: 'a/b', payload: `heir ${i}`, qos: 1 }))
  steps.push(step(atMs + 500, 'memory', { livePercent: 95 }))
}

/**
 * Makes a message that a Shared Subscription chose one member for go to another, which is away, while the flow with its
 * publisher goes on, and the broker crashes.
 */
function makeInheritance(chance: Chance, clients: readonly PlannedClient[], lastMs: number, steps: Step[]): void {
  if (!chance.of(0.2)) return
  const onWire = [...clients.keys()].filter((i) => !clients[i]!.isLibrary && !clients[i]!.hasStore)
  // Before 5.0 a session may end with its connection whatever the client.
  const one = onWire.find((i) => clients[i]!.profile.version < 5)
  const publisher = onWire.find((i) => i !== one && clients[i]!.profile.expirySeconds > 10)
  const other = onWire.find((i) => i !== one && i !== publisher && clients[i]!.profile.expirySeconds > 10)
  if (one === undefined || publisher === undefined || other === undefined) return
  const atMs = chance.between(300, 300 + lastMs)
  const add = <Kind extends StepKind>(ms: number, kind: Kind, fields: Partial<FieldsOf<Kind>> = {}): void => {
    steps.push(step(atMs + ms, kind, fields))
  }
  add(-250, 'connect', { client: one, cleanStart: true })
  add(-250, 'connect', { client: publisher })
  add(-250, 'connect', { client: other })
  add(-150, 'acknowledge', { client: one, how: 'hold' })
  const topicFilter = '$share/g/a/b'
  const subscriptions = [
    { topicFilter, qos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 2 as const },
  ]
  for (const client of [one, other]) add(-150, 'subscribe', { client, subscriptions })
  // One that is there would have acknowledged before the message goes to disk.
  add(-50, 'disconnect', { client: other, expirySeconds: null, comesBack: chance.of(0.3) })
  for (let i = 0; i < 3; i++)
    add(i * 5, 'publish', { client: publisher, topic: 'a/b', payload: `inherited ${i}`, qos: 2 })
  // It does not learn of PUBREC.
  if (chance.of(0.7)) {
    add(-5, 'stop-reading', { client: publisher, ms: 1_000 })
    add(chance.between(20, 120), 'cut', { client: publisher })
  }
  const goneMs = chance.between(10, 60)
  add(goneMs, 'client-crash', { client: one })
  add(goneMs + 1_000, 'acknowledge', { client: one, how: 'now' })
  const touches = chance.between(0, 10)
  const crash = { touches, downMs: chance.pick([0, 100]), isLastBatchDurable: chance.of(0.5) }
  if (chance.of(0.8)) add(goneMs + chance.between(5, 60), 'broker-crash', crash)
}

/**
 * A Will goes to somebody who is there and does not acknowledge it; something else makes a batch begin in the next milliseconds, and the
 * broker crashes when that is safe.
 */
function makeLateWill(chance: Chance, clients: readonly PlannedClient[], lastMs: number, steps: Step[]): void {
  if (!chance.of(0.25)) return
  const onWire = [...clients.keys()].filter((i) => !clients[i]!.isLibrary && !clients[i]!.hasStore)
  const one = onWire.find((i) => clients[i]!.profile.will !== null && clients[i]!.profile.will!.qos > 0)
  const watch = onWire.find((i) => i !== one && clients[i]!.profile.expirySeconds > 10)
  const other = onWire.find((i) => i !== one && i !== watch)
  if (one === undefined || watch === undefined || other === undefined) return
  const atMs = chance.between(600, 600 + lastMs)
  const add = <Kind extends StepKind>(ms: number, kind: Kind, fields: Partial<FieldsOf<Kind>> = {}): void => {
    steps.push(step(atMs + ms, kind, fields))
  }
  const { topic } = clients[one]!.profile.will!
  const subscription = { topicFilter: topic, noLocal: false, retainAsPublished: false, retainHandling: 2 as const }
  add(-500, 'connect', { client: one, withWill: true })
  add(-500, 'connect', { client: watch })
  add(-500, 'connect', { client: other })
  add(-300, 'subscribe', { client: watch, subscriptions: [{ ...subscription, qos: 1 }] })
  add(-150, 'acknowledge', { client: watch, how: 'hold' })
  add(0, 'cut', { client: one })
  for (let ms = 0; ms < 60; ms += 2)
    add(ms, 'publish', { client: other, topic: 'b', payload: `beside ${ms}`, qos: 1, retain: true })
  const crashMs = chance.between(1, 60)
  const touches = chance.between(1, 6)
  add(crashMs, 'broker-crash', { touches, downMs: 100, isLastBatchDurable: chance.of(0.5) })
  add(1_500, 'acknowledge', { client: watch, how: 'now' })
}

/** Makes the rights to receive at the beginning, and changes of them, as when an ACL file is read again. */
function makeRights(
  chance: Chance,
  { hasAuthorizer }: DrawnConfig,
  clients: number,
  lastMs: number,
  topics: readonly string[],
  steps: Step[],
): Denial[] | null {
  if (!hasAuthorizer || !chance.of(0.35)) return null
  const denials: Denial[] = []
  for (let i = chance.between(0, 4); i > 0; i--)
    denials.push({ clientId: `c${chance.between(0, clients - 1)}`, topic: chance.pick(topics) })
  for (let i = chance.between(0, 12); i > 0; i--) {
    const clientId = `c${chance.between(0, clients - 1)}`
    const atMs = chance.between(0, lastMs)
    steps.push(step(atMs, 'rights', { clientId, topic: chance.pick(topics), isDenied: chance.of(0.6) }))
  }
  return denials
}
