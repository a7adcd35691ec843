/**
 * A crash run: publishers and durable subscribers at a broker that is killed with `kill -9` round after round.
 *
 * A round is traffic for a moment, a kill, now and then another one while the broker starts, and a start. Some
 * subscribers are away for the round, connections drop now and then. Clients come back by themselves and go on with
 * their sessions. Every few rounds, and at the end, everything settles: publishers pause, all subscribers are there,
 * and the ledger must be even.
 */
import { setTimeout as after } from 'node:timers/promises'
import type { Packet } from '@recado/protocol'
import { Random } from '../random.ts'
import { BrokerProcess, type CrashedBroker } from './broker-process.ts'
import { Findings, type RunProgress } from './findings.ts'
import { Inbox, Stream, type Violations } from './ledger.ts'
import { SessionCreator, SubscriptionToggler } from './other-clients.ts'
import { PowerPlan } from './power-plan.ts'
import { Publisher } from './publisher.ts'
import type { ClientEvents, SessionClient } from './session-client.ts'
import { Subscriber } from './subscriber.ts'
import { WillClient, WillReader } from './will-clients.ts'

export interface CrashOptions {
  broker: CrashedBroker
  rounds: number
  seed: number
  /**
   * Whether the power is cut too, the disk is slow or fails, and the clock is wrong; kills may come at the very moment
   * of an acknowledgement.
   */
  power?: boolean
  /** Whether a finding leaves the data folder behind, for an inspection. Default: true. */
  keepsData?: boolean
  /** More lines of mosquitto.conf. */
  config?: readonly string[]
  /** Called after each round. */
  onProgress?: (progress: RunProgress) => void
  /** Called with each finding at once. */
  onFinding?: (text: string) => void
}

export interface CrashSummary extends Violations {
  broker: CrashedBroker
  rounds: number
  seed: number
  /** Number of kills, and how many of them during start-up. */
  kills: number
  startupKills: number
  published: number
  acknowledged: number
  refused: number
  received: number
  repeatsQos1: number
  sessionsLost: number
  /** Number of Wills of clients that were killed with the broker, each published once after the restart. */
  wills: number
  /** Number of power cuts, and of writes that they found unsynced; null when not asked for. */
  power: PowerSummary | null
  /** Number of other faults of the broker: it ended by itself, did not answer, broke the protocol. */
  faults: number
  seconds: number
  ok: boolean
}

export interface PowerSummary {
  cuts: number
  writes: number
  unsynced: number
  /** Number of processes whose syncs took long, failed now and then, or whose clock was wrong. */
  slow: number
  failing: number
  misdated: number
  /** Number of kills at the very moment that such a packet came. */
  moments: Record<string, number>
}

const PUBLISHERS = 5
const SUBSCRIBERS = 7
const TOGGLERS = 2
const NEWCOMERS_MAX = 30
const WILL_CLIENTS = 6
/** Time in milliseconds after the traffic within which a moment must come. */
const MOMENT_MS = 1_000
const TICK_MS = 2
/** Largest number of messages of one publisher in one round: bounds the queues of absent subscribers. */
const BUDGET = 250
const SETTLE_ROUNDS = 25
/**
 * Times in milliseconds after which settling is over: without any message, and in all. A run that is to show a loss
 * waits for it the shorter time; elsewhere only a machine that stands still waits as long.
 */
const QUIET_MS = { losing: 3_000, others: 30_000 } as const
const SETTLE_MS = 180_000

/** Topics `crash/P/qQ/N`: publisher, QoS, and number among its topics at that QoS. */
const topicsOf = (publisher: number): [topic: string, qos: 1 | 2][] => [
  [`crash/${publisher}/q1/0`, 1],
  [`crash/${publisher}/q1/1`, 1],
  [`crash/${publisher}/q2/0`, 2],
  [`crash/${publisher}/q2/1`, 2],
]

/** Subscriptions of subscriber `i`; its filters do not overlap, so that every message comes once. */
const filtersOf = (i: number): { topicFilter: string; qos: 1 | 2 }[] =>
  (
    [
      [{ topicFilter: 'crash/#', qos: 2 }],
      [{ topicFilter: 'crash/#', qos: 1 }],
      [
        { topicFilter: 'crash/+/q1/#', qos: 1 },
        { topicFilter: 'crash/+/q2/#', qos: 2 },
      ],
      [{ topicFilter: 'crash/0/#', qos: 2 }],
      [{ topicFilter: 'crash/+/+/1', qos: 2 }],
    ] as { topicFilter: string; qos: 1 | 2 }[][]
  )[i % 5] ?? []

function matches(filter: string, topic: string): boolean {
  const levels = topic.split('/')
  const wanted = filter.split('/')
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true
    if (level !== '+' && level !== levels[i]) return false
  }
  return wanted.length === levels.length
}

export async function runCrash(options: CrashOptions): Promise<CrashSummary> {
  const startedMs = Date.now()
  const run = new CrashRun(
    options,
    await BrokerProcess.create(options.broker, (what) => run.fault(`the broker ${what}`), {
      config: options.config ?? [],
    }),
  )
  try {
    await run.start()
    for (let round = 1; round <= options.rounds; round++) {
      await run.round()
      if (round % SETTLE_ROUNDS === 0 || round === options.rounds) await run.settle()
      const { acknowledged, violationCount: violations } = run
      options.onProgress?.({ round, rounds: options.rounds, acknowledged, violations })
    }
  } catch (error) {
    run.fault((error as Error).message)
  } finally {
    await run.end()
  }
  return run.summary((Date.now() - startedMs) / 1_000)
}

class CrashRun implements ClientEvents {
  readonly #options: CrashOptions
  readonly #broker: BrokerProcess
  readonly #random: Random
  readonly #streams: Stream[] = []
  readonly #publishers: Publisher[] = []
  readonly #subscribers: Subscriber[] = []
  readonly #inboxes: Inbox[] = []
  readonly #violations: Violations = { lost: 0, duplicatesQos2: 0, disordered: 0, corrupted: 0, unknown: 0 }
  #ticker: NodeJS.Timeout | undefined
  readonly #findings: Findings
  #kills = 0
  #startupKills = 0
  #rounds = 0
  readonly #power: PowerPlan | null
  readonly #newcomers: SessionClient[] = []
  readonly #togglers: SessionClient[] = []
  /** Clients with Wills; none at Mosquitto, which does not keep Wills. */
  readonly #willClients: WillClient[] = []
  readonly #willReader: WillReader
  #willsSeen = 0

  constructor(options: CrashOptions, broker: BrokerProcess) {
    this.#options = options
    this.#findings = new Findings(() => this.#rounds, options.onFinding)
    this.#broker = broker
    this.#random = new Random(options.seed)
    for (let i = 0; i < PUBLISHERS; i++) {
      const publisher = new Publisher(broker.port, `publisher-${i}`, i % 2 === 0 ? 5 : 4, this.#random.fork(), this)
      publisher.streams = topicsOf(i).map(([topic, qos]) => {
        const stream = new Stream(this.#streams.length, topic, qos)
        this.#streams.push(stream)
        return stream
      })
      this.#publishers.push(publisher)
    }
    for (let i = 0; i < SUBSCRIBERS; i++) {
      const subscriber = new Subscriber(broker.port, `subscriber-${i}`, i % 3 === 1 ? 4 : 5, this.#random.fork(), this)
      subscriber.filters = filtersOf(i)
      const inbox = new Inbox(subscriber.clientId, this.#violations, (kind, text) => this.#findings.add(kind, text))
      for (const stream of this.#streams) {
        const filter = subscriber.filters.find(({ topicFilter }) => matches(topicFilter, stream.topic))
        if (filter) inbox.subscribe(stream, filter.qos)
      }
      subscriber.inbox = inbox
      this.#inboxes.push(inbox)
      this.#subscribers.push(subscriber)
    }
    this.#willReader = new WillReader(broker.port, 'will-reader', 5, this.#random.fork(), this)
    for (let i = 0; options.broker === 'recado' && i < WILL_CLIENTS; i++) {
      const comesBack = i % 3 === 2
      const name = `${comesBack ? 'returning' : 'will-client'}-${i}`
      const willClient = new WillClient(broker.port, name, comesBack || i % 2 === 0 ? 5 : 4, this.#random.fork(), this)
      willClient.comesBack = comesBack
      this.#willClients.push(willClient)
    }
    this.#power = options.power ? new PowerPlan(broker.dataFolder, this.#random.fork()) : null
    for (let i = 0; options.power && i < TOGGLERS; i++)
      this.#togglers.push(new SubscriptionToggler(broker.port, `toggler-${i}`, 5, this.#random.fork(), this))
  }

  get acknowledged(): number {
    return this.#streams.reduce((sum, stream) => sum + stream.acknowledged, 0)
  }

  get violationCount(): number {
    const { sessionsLost, faults } = this.#findings
    return Object.values(this.#violations).reduce((sum, count) => sum + count, sessionsLost + faults)
  }

  async start(): Promise<void> {
    this.#launch(false)
    await this.#broker.ready()
    for (const client of [...this.#subscribers, ...this.#publishers, ...this.#togglers, this.#willReader])
      client.goOnline()
    await inTime(
      Promise.all([...this.#subscribers.map((s) => s.subscribed()), ...this.#publishers.map((p) => p.connected())]),
      SETTLE_MS,
      'the clients cannot connect and subscribe',
    )
    await inTime(this.#willReader.subscribed(), SETTLE_MS, 'the reader of Wills cannot subscribe')
    for (const willClient of this.#willClients) willClient.reconnect()
    this.#ticker = setInterval(() => {
      for (const publisher of this.#publishers) publisher.tick()
    }, TICK_MS)
  }

  async round(): Promise<void> {
    const random = this.#random
    this.#rounds++
    for (const publisher of this.#publishers) publisher.allow(BUDGET)
    for (const subscriber of this.#subscribers) {
      if (random.chance(0.3)) subscriber.goOffline(random.chance(0.5))
      else subscriber.goOnline()
    }
    this.#arrive()
    this.#reconnectWillClients()
    const trafficMs = random.between(10, 350)
    const moment = this.#power?.arm(() => void this.#broker.kill())
    if (random.chance(0.5)) {
      await after(trafficMs / 2)
      const clients = [...this.#publishers, ...this.#subscribers]
      clients[random.between(0, clients.length - 1)]?.dropConnection()
      this.#subscribers[random.between(0, this.#subscribers.length - 1)]?.goOnline()
      await after(trafficMs / 2)
    } else {
      await after(trafficMs)
    }
    await moment?.(MOMENT_MS)
    await this.#kill()
    const willSettle = this.#rounds % SETTLE_ROUNDS === 0 || this.#rounds === this.#options.rounds
    while (random.chance(0.3)) {
      this.#launch(false)
      await after(random.between(0, this.#options.broker === 'recado' ? 250 : 30))
      await this.#kill()
      this.#startupKills++
    }
    this.#launch(!willSettle)
    await this.#broker.ready()
  }

  #launch(isHard: boolean): void {
    this.#broker.launch(this.#power?.environment(isHard))
  }

  async #kill(): Promise<void> {
    await this.#broker.kill()
    this.#kills++
    this.#power?.cut()
  }

  /** Brings back the clients whose Will has come. */
  #reconnectWillClients(): void {
    for (const willClient of this.#willClients) {
      const { clientId, dueConnection } = willClient
      if (dueConnection > 0 && !this.#willReader.has(clientId, dueConnection)) continue
      if (dueConnection > 0) this.#willsSeen++
      willClient.reconnect()
    }
  }

  get #missingWills(): WillClient[] {
    return this.#willClients.filter(
      ({ clientId, dueConnection }) => dueConnection > 0 && !this.#willReader.has(clientId, dueConnection),
    )
  }

  /** Adds a new client, whose session must be there from CONNACK on. */
  #arrive(): void {
    if (this.#power === null || this.#newcomers.length >= NEWCOMERS_MAX) return
    const version = this.#random.chance(0.5) ? 5 : 4
    const creator = new SessionCreator(this.#broker.port, `new-${this.#rounds}`, version, this.#random.fork(), this)
    this.#newcomers.push(creator)
    creator.goOnline()
  }

  /** Waits with all subscribers connected and publishers paused, until nothing may be missing. */
  async settle(): Promise<void> {
    for (const publisher of this.#publishers) publisher.allow(0)
    for (const subscriber of this.#subscribers) subscriber.goOnline()
    await inTime(
      Promise.all(this.#newcomers.map((client) => client.connected())),
      SETTLE_MS,
      'newcomers cannot connect',
    )
    for (const client of this.#newcomers.splice(0)) client.goOffline(true)
    // A 3.1.1 client without an answer while the disk failed sends again when it comes back
    if (this.#power !== null) for (const publisher of this.#publishers) publisher.dropConnection()
    const deadline = Date.now() + SETTLE_MS
    const { broker, keepsData = true } = this.#options
    const quietMs = broker === 'mosquitto' || !keepsData ? QUIET_MS.losing : QUIET_MS.others
    let progress = ''
    let quietSince = Date.now()
    while (Date.now() < deadline) {
      const unacknowledged = this.#publishers.reduce((sum, publisher) => sum + publisher.unacknowledged, 0)
      const missing = this.#inboxes.reduce((sum, inbox) => sum + inbox.missing(), 0)
      const missingWills = this.#missingWills.length
      if (unacknowledged === 0 && missing === 0 && missingWills === 0) break
      const now = `${unacknowledged} ${missing} ${missingWills}`
      if (now !== progress) quietSince = Date.now()
      else if (Date.now() - quietSince > quietMs) break
      progress = now
      await after(20)
    }
    await after(100) // for messages that might come twice
    for (const publisher of this.#publishers) {
      if (publisher.unacknowledged > 0)
        this.onFault(publisher.clientId, `${publisher.unacknowledged} messages are never acknowledged`)
    }
    for (const { clientId, dueConnection } of this.#missingWills)
      this.onFault(clientId, `the Will of its connection ${dueConnection} has not come after the broker was killed`)
    for (const inbox of this.#inboxes) inbox.settle()
  }

  async end(): Promise<void> {
    clearInterval(this.#ticker)
    const others = [...this.#togglers, ...this.#newcomers, ...this.#willClients, this.#willReader]
    for (const client of [...this.#publishers, ...this.#subscribers, ...others]) client.goOffline(false)
    const { broker, keepsData = true } = this.#options
    const keepData = this.violationCount > 0 && broker === 'recado' && keepsData
    if (keepData) this.#findings.add('kept', `the data folder is kept: ${this.#broker.dataFolder}`)
    if (keepData) this.#power?.disk.keep()
    await this.#broker.dispose(keepData)
    this.#power?.disk.dispose()
  }

  onPacket(packet: Packet): void {
    this.#power?.onPacket(packet)
  }

  get mayBeRefused(): boolean {
    return this.#power?.isFailing === true
  }

  onSessionLost(clientId: string): void {
    this.#findings.sessionLost(clientId)
  }

  onFault(clientId: string, what: string): void {
    this.fault(`${clientId}: ${what}`)
  }

  fault(text: string): void {
    this.#findings.fault(text)
  }

  summary(seconds: number): CrashSummary {
    const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
      items.reduce((s, item) => s + value(item), 0)
    return {
      broker: this.#options.broker,
      rounds: this.#rounds,
      seed: this.#options.seed,
      kills: this.#kills,
      startupKills: this.#startupKills,
      published: sum(this.#streams, ({ sent }) => sent),
      acknowledged: this.acknowledged,
      refused: sum(this.#publishers, ({ refused }) => refused),
      received: sum(this.#inboxes, ({ received }) => received),
      repeatsQos1: sum(this.#inboxes, ({ repeats }) => repeats),
      ...this.#violations,
      sessionsLost: this.#findings.sessionsLost,
      wills: this.#willsSeen,
      power: this.#power?.summary ?? null,
      faults: this.#findings.faults,
      seconds: Math.round(seconds * 10) / 10,
      ok: this.violationCount === 0,
    }
  }
}

async function inTime<T>(promise: Promise<T>, ms: number, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(otherwise)), ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}
