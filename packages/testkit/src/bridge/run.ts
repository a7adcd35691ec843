/**
 * A bridge run: two brokers, a bridge between them, clients at both, and a line and processes that fail round after
 * round.
 *
 * A round is traffic in both directions at once and one fault: the cable is unplugged for a moment, or until both ends
 * have noticed; connections are reset at one end, with the cable in or out; one of the brokers is killed with `kill -9`.
 * Every few rounds, and at the end, everything settles: publishers pause, and what either broker has acknowledged must
 * have reached every durable subscriber at both, once at QoS 2, in order; retained messages must be equal.
 */
import { setTimeout as after } from 'node:timers/promises'
import { BrokerProcess, type CrashedBroker } from '../crash/broker-process.ts'
import { Findings, type RunProgress } from '../crash/findings.ts'
import { Inbox, Stream, type Violations } from '../crash/ledger.ts'
import { Publisher } from '../crash/publisher.ts'
import type { ClientEvents, SessionClient } from '../crash/session-client.ts'
import { Subscriber } from '../crash/subscriber.ts'
import { Random } from '../random.ts'
import { bridgeLines, crossing, type MQTT_VERSIONS, RETAINED } from './configuration.ts'
import { RetainedReader, RetainedWriter } from './retained-writer.ts'
import { Cable, Site } from './sites.ts'

export interface BridgeRunOptions {
  /** Broker with the bridge in its configuration. */
  near: CrashedBroker
  /** Broker that the bridge connects to. */
  far: CrashedBroker
  /** Protocol level of the bridge. */
  version: keyof typeof MQTT_VERSIONS
  /** Number of faults of the line, and of kills of either broker. */
  cuts: number
  kills: number
  seed: number
  /** More lines of the bridge, and of both brokers. */
  bridgeConfig?: readonly string[]
  config?: readonly string[]
  onProgress?: (progress: RunProgress) => void
  onFinding?: (text: string) => void
}

export interface BridgeSummary extends Violations {
  near: CrashedBroker
  far: CrashedBroker
  version: number
  seed: number
  cuts: number
  kills: number
  published: number
  acknowledged: number
  received: number
  /** QoS 0 messages published, and received at the other broker. */
  published0: number
  received0: number
  repeatsQos1: number
  /** Number of topics whose retained message differed from what its publisher had acknowledged, at either broker. */
  retainedWrong: number
  /** Number of sessions of clients that a broker has lost; not the bridge's fault, but what follows from it is lost too. */
  sessionsLost: number
  faults: number
  seconds: number
  ok: boolean
}

type Fault = 'cut' | 'kill'
type End = 0 | 1

const TICK_MS = 2
/** Messages that each publisher may send in a round. */
const BUDGET = 60
const SETTLE_ROUNDS = 10
/** Times in milliseconds after which settling is over: without any message, and in all. Two Mosquittos lose, and end so. */
const QUIET_MS = { mosquittos: 15_000, others: 60_000 } as const
const SETTLE_MS = 180_000
const START_MS = 90_000
/** Time in milliseconds after which both ends have noticed that the cable is out, at a Keep Alive of 5 seconds. */
const NOTICED_MS = 9_000
const RETAINED_TOPICS = 8
const names = ['near', 'far'] as const
/**
 * Lines for Mosquitto 2.0.11. With a queue of 0, for no limit, its bridge does not come back after a cut: "disconnected
 * due to out of memory". With its own 20 in flight it breaks [MQTT-4.6.0-6] without any fault of the line: after an
 * acknowledgement it may have more than 20 in flight, and when one of those beyond the 20th is acknowledged next, a new
 * message goes out before those that wait, of its topic and QoS too. Here none ever waits: this is about bridges.
 */
const MOSQUITTO_LIMITS = ['max_queued_messages 100000', 'max_queued_bytes 100000000', 'max_inflight_messages 60000']
const RECEIVE_MAXIMUM_MAX = 65_535

export async function runBridge(options: BridgeRunOptions): Promise<BridgeSummary> {
  const startedMs = Date.now()
  const run = await BridgeRun.create(options)
  try {
    await run.start()
    await run.play()
  } catch (error) {
    run.fault((error as Error).message)
  } finally {
    await run.end()
  }
  return run.summary((Date.now() - startedMs) / 1_000)
}

class BridgeRun implements ClientEvents {
  readonly #options: BridgeRunOptions
  readonly #random: Random
  readonly #sites: readonly [Site, Site]
  readonly #cable: Cable
  readonly #brokers: BrokerProcess[] = []
  readonly #streams: Stream[] = []
  readonly #publishers: Publisher[] = []
  readonly #subscribers: Subscriber[] = []
  readonly #inboxes: Inbox[] = []
  readonly #writers: RetainedWriter[] = []
  readonly #violations: Violations = {
    lost: 0,
    duplicatesQos2: 0,
    duplicatesQos0: 0,
    disordered: 0,
    corrupted: 0,
    unknown: 0,
  }
  readonly #findings: Findings
  #ticker: NodeJS.Timeout | undefined
  #retainedWrong = 0
  #cuts = 0
  #kills = 0
  #round = 0

  private constructor(options: BridgeRunOptions, sites: readonly [Site, Site], cable: Cable) {
    this.#options = options
    this.#findings = new Findings(() => this.#round, options.onFinding)
    this.#random = new Random(options.seed)
    this.#sites = sites
    this.#cable = cable
  }

  static async create(options: BridgeRunOptions): Promise<BridgeRun> {
    const sites = [new Site(), new Site()] as const
    const run = new BridgeRun(options, sites, new Cable(...sites))
    const { near, far, version, config = [], bridgeConfig = [] } = options
    const bridge = bridgeLines({ name: 'line', address: `${run.#cable.hosts[1]}:1883`, version, more: bridgeConfig })
    for (const [end, kind] of [near, far].entries()) {
      const limits = kind === 'mosquitto' ? MOSQUITTO_LIMITS : []
      const own = [...limits, ...config, ...(end === 0 ? bridge : [])]
      const died = (what: string): void => run.fault(`the ${names[end]} broker ${what}`)
      run.#brokers.push(await BrokerProcess.create(kind, died, { config: own, place: sites[end]! }))
      run.#addClients(end as End)
    }
    for (const inbox of run.#inboxes) for (const stream of run.#streams) inbox.subscribe(stream, stream.qos)
    return run
  }

  #addClients(end: End): void {
    const server = this.#sites[end]!
    const name = names[end]
    for (const version of [4, 5] as const) {
      const publisher = new Publisher(server, `${name}-publisher-${version}`, version, this.#random.fork(), this)
      publisher.streams = ([0, 1, 2] as const).map((qos) => {
        const stream = new Stream(this.#streams.length, `b/q${qos}/${name}${version}`, qos)
        this.#streams.push(stream)
        return stream
      })
      this.#publishers.push(publisher)
      const subscriber = new Subscriber(server, `${name}-subscriber-${version}`, version, this.#random.fork(), this)
      subscriber.filters = crossing
      // A smaller one would be the limit of Mosquitto's flight.
      if (this.#kindOf(end) === 'mosquitto') subscriber.receiveMaximum = RECEIVE_MAXIMUM_MAX
      const inbox = new Inbox(subscriber.clientId, this.#violations, (kind, text) => this.#findings.add(kind, text))
      subscriber.inbox = inbox
      this.#subscribers.push(subscriber)
      this.#inboxes.push(inbox)
    }
    const writer = new RetainedWriter(server, `${name}-writer`, 4, this.#random.fork(), this)
    writer.topics = Array.from({ length: RETAINED_TOPICS }, (_, i) => `${RETAINED}/${name}/${i}`)
    this.#writers.push(writer)
  }

  #kindOf(end: End): CrashedBroker {
    return end === 0 ? this.#options.near : this.#options.far
  }

  get #clients(): (Publisher | RetainedWriter)[] {
    return [...this.#publishers, ...this.#writers]
  }

  get #acknowledged(): number {
    return this.#streams.reduce((sum, stream) => sum + stream.acknowledged, 0)
  }

  get #violationCount(): number {
    const { sessionsLost, faults, retainedWrong } = this.#counts
    return Object.values(this.#violations).reduce((sum, count) => sum + count, sessionsLost + faults + retainedWrong)
  }

  get #counts() {
    const { sessionsLost, faults } = this.#findings
    return { sessionsLost, faults, retainedWrong: this.#retainedWrong }
  }

  async start(): Promise<void> {
    // The far one first, so that the bridge finds it at its first attempt.
    for (const broker of this.#brokers.toReversed()) {
      broker.launch()
      await broker.ready()
    }
    for (const client of [...this.#subscribers, ...this.#clients]) client.goOnline()
    const ready = Promise.all([
      ...this.#subscribers.map((s) => s.subscribed()),
      ...this.#clients.map((c) => c.connected()),
    ])
    if ((await Promise.race([ready, after(START_MS, null)])) === null) throw new Error('the clients cannot subscribe')
    await this.#crossed()
    this.#ticker = setInterval(() => {
      for (const client of this.#clients) client.tick()
    }, TICK_MS)
  }

  /** Waits until the bridge is up in both directions: a retained message of each side is at the other. */
  async #crossed(): Promise<void> {
    const readers: RetainedReader[] = []
    for (const [end, writer] of this.#writers.entries()) {
      writer.allow(1)
      writer.tick()
      const reader = this.#reader((1 - end) as End, `${RETAINED}/${names[end]}/#`)
      readers.push(reader)
    }
    const deadline = Date.now() + START_MS
    const isThere = (): boolean =>
      this.#writers.every(({ isIdle }) => isIdle) &&
      readers.every((reader, end) => isEqual(reader.seen, this.#writers[end]!.expected))
    while (!isThere()) {
      if (Date.now() > deadline) throw new Error(`the bridge does not come up\n${this.#describe()}`)
      for (const writer of this.#writers) if (writer.isIdle && writer.expected.size === 0) writer.allow(1)
      for (const writer of this.#writers) writer.tick()
      await after(20)
    }
    for (const reader of readers) reader.goOffline(true)
    for (const writer of this.#writers) writer.allow(0)
  }

  #reader(end: End, topicFilter: string): RetainedReader {
    const reader = new RetainedReader(this.#sites[end]!, `${names[end]}-reader`, 5, this.#random.fork(), this)
    reader.topicFilter = topicFilter
    reader.goOnline()
    return reader
  }

  async play(): Promise<void> {
    const { cuts, kills } = this.#options
    const faults: Fault[] = [...Array<Fault>(cuts).fill('cut'), ...Array<Fault>(kills).fill('kill')]
    // Fisher and Yates: a seed gives an order.
    for (let i = faults.length - 1; i > 0; i--) {
      const j = this.#random.between(0, i)
      ;[faults[i], faults[j]] = [faults[j]!, faults[i]!]
    }
    const rounds = faults.length
    for (const fault of faults) {
      this.#round++
      for (const client of this.#clients) client.allow(BUDGET)
      await after(this.#random.between(20, 400))
      if (fault === 'cut') await this.#cut()
      else await this.#kill()
      // Long enough for the bridge to be back, now and then not.
      await after(this.#random.between(100, 2_500))
      if (this.#round % SETTLE_ROUNDS === 0 || this.#round === rounds) await this.#settle()
      this.#options.onProgress?.({
        round: this.#round,
        rounds,
        acknowledged: this.#acknowledged,
        violations: this.#violationCount,
      })
    }
    if (rounds === 0) {
      for (const client of this.#clients) client.allow(BUDGET)
      await after(1_000)
      await this.#settle()
    }
  }

  async #cut(): Promise<void> {
    const random = this.#random
    this.#cuts++
    const end = random.between(0, 1) as End
    const kind = random.next()
    if (kind < 0.35) {
      // TCP may get over it.
      this.#cable.unplug()
      await after(random.between(10, 900))
    } else if (kind < 0.65) {
      this.#cable.reset(end)
    } else if (kind < 0.92) {
      // The other end does not learn of it: it has a connection that is dead, and soon a second one.
      this.#cable.unplug()
      this.#cable.reset(end)
      await after(random.between(10, 900))
    } else {
      this.#cable.unplug()
      await after(NOTICED_MS)
    }
    this.#cable.plug()
  }

  async #kill(): Promise<void> {
    this.#kills++
    const end = this.#random.between(0, 1) as End
    const broker = this.#brokers[end]!
    // A Mosquitto that is killed loses what it has acknowledged since it last saved, which no bridge can bring back: beside
    // a Recado it is stopped and started instead.
    const { near, far } = this.#options
    if (near !== far && this.#kindOf(end) === 'mosquitto') await broker.terminate()
    else await broker.kill()
    await after(this.#random.between(0, 600))
    broker.launch()
    await broker.ready()
  }

  async #settle(): Promise<void> {
    for (const client of this.#clients) client.allow(0)
    const deadline = Date.now() + SETTLE_MS
    const { near, far } = this.#options
    const quietMs = near === 'mosquitto' && far === 'mosquitto' ? QUIET_MS.mosquittos : QUIET_MS.others
    const readers = ([0, 1] as const).map((end) => this.#reader(end, `${RETAINED}/#`))
    let progress = ''
    let quietSince = Date.now()
    while (Date.now() < deadline) {
      const unacknowledged =
        this.#publishers.reduce((sum, publisher) => sum + publisher.unacknowledged, 0) +
        this.#writers.filter(({ isIdle }) => !isIdle).length
      const missing = this.#inboxes.reduce((sum, inbox) => sum + inbox.missing(), 0)
      const differing = readers.reduce((sum, reader) => sum + this.#differing(reader).length, 0)
      const received = this.#inboxes.reduce((sum, inbox) => sum + inbox.received + inbox.repeats, 0)
      if (unacknowledged === 0 && missing === 0 && differing === 0) break
      const now = `${unacknowledged} ${missing} ${differing} ${received}`
      if (now !== progress) quietSince = Date.now()
      else if (Date.now() - quietSince > quietMs) break
      progress = now
      await after(20)
    }
    await after(300) // for messages that might come twice
    for (const publisher of this.#publishers) {
      if (publisher.unacknowledged > 0)
        this.onFault(publisher.clientId, `${publisher.unacknowledged} messages are never acknowledged`)
    }
    const before = this.#violations.lost
    for (const inbox of this.#inboxes) inbox.settle()
    if (this.#violations.lost > before) this.#findings.add('log', this.#describe())
    for (const [end, reader] of readers.entries()) {
      const differing = this.#differing(reader)
      this.#retainedWrong += differing.length
      if (differing.length > 0)
        this.#findings.add('retained', `${names[end]}: retained messages differ: ${differing.slice(0, 3).join('; ')}`)
      reader.goOffline(true)
    }
  }

  /** Topics whose retained message is not the last one acknowledged. */
  #differing({ seen }: RetainedReader): string[] {
    const expected = new Map(this.#writers.flatMap((writer) => [...writer.expected]))
    return [...new Set([...expected.keys(), ...seen.keys()])]
      .filter((topic) => expected.get(topic) !== seen.get(topic))
      .map((topic) => `${topic} has ${seen.get(topic) ?? 'nothing'}, not ${expected.get(topic) ?? 'nothing'}`)
  }

  async end(): Promise<void> {
    clearInterval(this.#ticker)
    for (const client of [...this.#subscribers, ...this.#clients] as SessionClient[]) client.goOffline(false)
    for (const broker of this.#brokers) await broker.dispose(false)
    for (const site of this.#sites) site.remove()
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

  /** Last lines of both brokers' logs. */
  #describe(): string {
    return this.#brokers.map((broker) => broker.describe()).join('\n')
  }

  summary(seconds: number): BridgeSummary {
    const { near, far, version, seed } = this.#options
    const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
      items.reduce((s, item) => s + value(item), 0)
    const atQos0 = this.#streams.filter(({ qos }) => qos === 0)
    return {
      ...{ near, far, version, seed, cuts: this.#cuts, kills: this.#kills },
      published: sum(this.#streams, ({ sent }) => sent),
      acknowledged: this.#acknowledged,
      received: sum(this.#inboxes, ({ received }) => received),
      published0: sum(atQos0, ({ sent }) => sent),
      received0:
        sum(this.#inboxes, (inbox) =>
          sum(atQos0, (stream) => (isAcross(inbox, stream) ? inbox.receivedOf(stream) : 0)),
        ) / 2,
      repeatsQos1: sum(this.#inboxes, ({ repeats }) => repeats),
      ...this.#violations,
      ...this.#counts,
      seconds: Math.round(seconds * 10) / 10,
      ok: this.#violationCount === 0,
    }
  }
}

/** Whether the messages of a stream reach the subscriber by the bridge. */
const isAcross = ({ name }: Inbox, { topic }: Stream): boolean => topic.includes('/near') !== name.startsWith('near')

const isEqual = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && a.size > 0 && [...a].every(([key, value]) => b.get(key) === value)
