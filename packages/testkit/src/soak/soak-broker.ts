/**
 * One broker of a soak run with all its clients. `run.ts` has two: one that is never stopped, where a leak would show,
 * and one that is stopped and killed again and again, where a loss would.
 *
 * Durable clients of three kinds (plain state machines, @recado/client, MQTT.js) publish numbered streams and subscribe
 * to all of them; the ledger of the crash run judges. Beside them: short-lived clients, a failing network, the checks
 * of retained messages and Wills, and a client whose latency is measured.
 */
import { setTimeout as after } from 'node:timers/promises'
import { freePort } from '@recado/client/testing'
import { BrokerProcess } from '../crash/broker-process.ts'
import { Inbox, Stream, type Violations } from '../crash/ledger.ts'
import { Publisher } from '../crash/publisher.ts'
import type { ClientEvents } from '../crash/session-client.ts'
import { Subscriber } from '../crash/subscriber.ts'
import type { Random } from '../random.ts'
import { LatencyClient } from './latency-client.ts'
import { type LibraryClient, type LibraryOptions, MqttJsClient, RecadoClient } from './library-clients.ts'
import { Network } from './network.ts'
import { PROBE_MARK, type ProbeLine } from './probe.ts'
import { folderBytes, sampleProcess } from './sample.ts'
import { ShortLivedClients } from './short-lived-clients.ts'
import { RetainedCheck, WillCheck } from './state-checks.ts'
import { quantile } from './trend.ts'

export type SoakBrokerName = 'steady' | 'restarted'

export interface SoakBrokerOptions {
  name: SoakBrokerName
  random: Random
  sampleMs: number
  /** Number of samples for each count of live objects; 0 for none. */
  liveEvery: number
  /** Least and greatest time in milliseconds between two restarts; `null` for none. */
  restartMs: readonly [number, number] | null
  onFinding: (text: string) => void
}

/** Sample at one moment; an unknown number is `null`. */
export interface Sample {
  at: number
  rssBytes: number | null
  anonymousBytes: number | null
  heapBytes: number | null
  externalBytes: number | null
  handles: number | null
  fds: number | null
  cpuPercent: number | null
  fileBytes: number
  latencyP50Ms: number | null
  latencyP99Ms: number | null
  latencyMaxMs: number | null
  /** Median latency of the echo server: the machine's share. */
  echoP50Ms: number | null
  /** Heap after a garbage collection, and live objects by class. */
  liveHeapBytes: number | null
  live: Record<string, number> | null
  /** Contents that the broker found when it started, since the last sample. */
  loaded: { sessions: number; messages: number; retained: number } | null
  acknowledged: number
  received: number
}

const TICK_MS = 100
/** Average number of messages of each source in a tick. */
const RATE = 0.7
const VISIT_MS = 250
const FAULT_MS = 2_500
const BURST_MS = 400
const KEEPER_MS = 400
/** Times in milliseconds after which settling is over: without any message, and in all. */
const QUIET_MS = 20_000
const SETTLE_MS = 90_000
const START_MS = 60_000

/**
 * Rejects with the first failure, but only when all have settled: a client that still starts would not be ended by a
 * stop.
 */
export async function allOf(promises: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(promises)
  await Promise.all(promises)
}

export class SoakBroker implements ClientEvents {
  readonly name: SoakBrokerName
  readonly samples: Sample[] = []
  readonly violations: Violations & { retained: number; wills: number; sessionsLost: number; faults: number } = {
    lost: 0,
    duplicatesQos2: 0,
    disordered: 0,
    corrupted: 0,
    unknown: 0,
    retained: 0,
    wills: 0,
    sessionsLost: 0,
    faults: 0,
  }
  kills = 0
  terminations = 0
  readonly #options: SoakBrokerOptions
  readonly #random: Random
  readonly #broker: BrokerProcess
  readonly #network: Network
  readonly #shortLived: ShortLivedClients
  readonly #latencyClient: LatencyClient
  readonly #retained: RetainedCheck
  readonly #wills: WillCheck
  readonly #streams: Stream[] = []
  readonly #inboxes: Inbox[] = []
  readonly #publishers: Publisher[] = []
  readonly #subscribers: Subscriber[] = []
  readonly #libraries: LibraryClient[] = []
  readonly #timers: NodeJS.Timeout[] = []
  readonly #startedMs: number = Date.now()
  #probe: ProbeLine | null = null
  /** Last probe line with live objects. */
  #counted: ProbeLine | null = null
  #wasCounted = false
  #loaded: Sample['loaded'] = null
  #cpu: { pid: number; cpuMs: number; atMs: number } | null = null
  #isPaused = false
  #isStopped = false
  #restartAtMs = Number.POSITIVE_INFINITY
  #findings = 0

  static async open(options: SoakBrokerOptions): Promise<SoakBroker> {
    let soakBroker: SoakBroker | null = null
    const webSocketPort = await freePort()
    const broker = await BrokerProcess.create('recado', (what) => soakBroker?.onFault('broker', what), {
      nodeArguments: ['--import', new URL('./probe.js', import.meta.url).href],
      config: ['log_dest stdout', `listener ${webSocketPort} 127.0.0.1`, 'protocol websockets', 'allow_anonymous true'],
      onLine: (line) => soakBroker?.handleLine(line),
    })
    const network = await Network.open(broker.port, options.random.fork())
    soakBroker = new SoakBroker(options, broker, network, webSocketPort)
    return soakBroker
  }

  private constructor(options: SoakBrokerOptions, broker: BrokerProcess, network: Network, webSocketPort: number) {
    const { name, random } = options
    this.name = name
    this.#options = options
    this.#random = random
    this.#broker = broker
    this.#network = network
    const checkOptions = {
      port: broker.port,
      random: random.fork(),
      onViolation: (kind: 'retained' | 'will', what: string) => {
        this.violations[kind === 'will' ? 'wills' : 'retained']++
        this.#report(what)
      },
    }
    this.#shortLived = new ShortLivedClients(network.port, webSocketPort, random.fork())
    this.#latencyClient = new LatencyClient(broker.port)
    this.#retained = new RetainedCheck(checkOptions)
    this.#wills = new WillCheck(checkOptions)
    this.#makeClients()
  }

  #makeClients(): void {
    const { port } = this.#network
    for (let i = 0; i < 2; i++) {
      const publisher = new Publisher(port, `plain-publisher-${i}`, i % 2 === 0 ? 5 : 4, this.#random.fork(), this)
      publisher.streams = this.#streamsOf(publisher.clientId, [1, 2])
      this.#publishers.push(publisher)
    }
    const library = (name: string, qos: readonly (1 | 2)[]): Omit<LibraryOptions, 'inbox'> => ({
      name,
      port,
      random: this.#random.fork(),
      streams: this.#streamsOf(name, qos),
      topicFilter: 'soak/#',
      qos: qos.includes(2) ? 2 : 1,
      onFault: (what) => this.onFault(name, what),
    })
    const recado = [library('recado-0', [1, 2]), library('recado-1', [2, 1])]
    // QoS 2 and the order within MQTT.js are its own business: our promise is that nothing is lost on the way to it.
    const mqttJs = [library('mqttjs-0', [1]), library('mqttjs-1', [1])]
    for (let i = 0; i < 3; i++) {
      const subscriber = new Subscriber(port, `plain-subscriber-${i}`, i === 1 ? 4 : 5, this.#random.fork(), this)
      subscriber.filters = [{ topicFilter: 'soak/#', qos: i === 2 ? 1 : 2 }]
      subscriber.inbox = this.#inboxOf(subscriber.clientId, i === 2 ? 1 : 2, true)
      this.#subscribers.push(subscriber)
    }
    for (const options of recado)
      this.#libraries.push(new RecadoClient({ ...options, inbox: this.#inboxOf(options.name, options.qos, true) }))
    for (const options of mqttJs)
      this.#libraries.push(new MqttJsClient({ ...options, inbox: this.#inboxOf(options.name, 1, false) }))
  }

  #streamsOf(name: string, qos: readonly (1 | 2)[]): Stream[] {
    return qos.map((level) => {
      const stream = new Stream(this.#streams.length, `soak/${name}/q${level}/0`, level)
      this.#streams.push(stream)
      return stream
    })
  }

  /** Makes an inbox for all streams; a lenient one checks only for losses. */
  #inboxOf(name: string, qos: 1 | 2, isStrict: boolean): Inbox {
    const ownViolations: Violations = { lost: 0, duplicatesQos2: 0, disordered: 0, corrupted: 0, unknown: 0 }
    const inbox = new Inbox(name, isStrict ? this.violations : ownViolations, (kind, text) => {
      if (isStrict || kind === 'lost' || kind === 'corrupted') this.#report(text)
    })
    for (const stream of this.#streams) inbox.subscribe(stream, qos)
    this.#inboxes.push(inbox)
    if (!isStrict) this.#lenient.push(ownViolations)
    return inbox
  }

  readonly #lenient: Violations[] = []

  async start(): Promise<void> {
    await this.#launch()
    for (const client of [...this.#publishers, ...this.#subscribers]) client.goOnline()
    const all = allOf([
      ...this.#publishers.map((publisher) => publisher.connected()),
      ...this.#subscribers.map((subscriber) => subscriber.subscribed()),
      ...this.#libraries.map((client) => client.start()),
      this.#latencyClient.start(),
      this.#retained.start(),
      this.#wills.start(),
    ])
    const late = after(START_MS, undefined, { ref: false }).then(() =>
      Promise.reject(new Error(`${this.name}: the clients cannot connect`)),
    )
    await Promise.race([all, late])
    this.#latencyClient.take()
    this.#every(TICK_MS, () => this.#tick())
    this.#every(VISIT_MS, () => this.#shortLived.startOne())
    this.#every(FAULT_MS, () => this.#fault())
    this.#every(KEEPER_MS, () => this.#keep())
    this.#every(this.#options.sampleMs, () => this.#sample())
    this.#planRestart()
  }

  /** Restarts the broker when that is due. Called about once a second. */
  async step(): Promise<void> {
    if (Date.now() < this.#restartAtMs) return
    await this.#burst()
    if (this.#random.chance(0.6)) {
      await this.#broker.kill()
      this.kills++
    } else {
      await this.#broker.terminate()
      this.terminations++
    }
    await this.#launch()
    for (const subscriber of this.#subscribers) subscriber.goOnline()
    this.#planRestart()
  }

  /** Waits with publishers paused until every client has every message, so that nothing may be missing. */
  async settle(): Promise<void> {
    this.#isPaused = true
    for (const subscriber of this.#subscribers) subscriber.goOnline()
    const deadline = Date.now() + SETTLE_MS
    let missing = -1
    let changedMs = Date.now()
    while (missing !== 0 && Date.now() < deadline && Date.now() - changedMs < QUIET_MS) {
      await after(50)
      const before = missing
      missing =
        this.#inboxes.reduce((sum, inbox) => sum + inbox.missing(), 0) +
        [...this.#publishers, ...this.#libraries].reduce((sum, source) => sum + source.unacknowledged, 0)
      if (missing !== before) changedMs = Date.now()
    }
    await after(200) // for messages that might come twice
    for (const source of this.#publishers)
      if (source.unacknowledged > 0)
        this.onFault(source.clientId, `${source.unacknowledged} messages are never acknowledged`)
    for (const source of this.#libraries)
      if (source.unacknowledged > 0)
        this.onFault(source.name, `${source.unacknowledged} messages are never acknowledged`)
    for (const inbox of this.#inboxes) inbox.settle()
    for (const violations of this.#lenient) {
      this.violations.lost += violations.lost
      this.violations.corrupted += violations.corrupted
      violations.lost = 0
      violations.corrupted = 0
    }
    this.#wills.judge()
    await this.#retained.check()
    this.#isPaused = false
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const timer of this.#timers) clearInterval(timer)
    for (const client of [...this.#publishers, ...this.#subscribers]) client.goOffline(false)
    await Promise.allSettled([
      ...this.#libraries.map((client) => client.stop()),
      this.#latencyClient.stop(),
      this.#retained.stop(),
      this.#wills.stop(),
      this.#shortLived.leave(),
    ])
    await this.#network.close()
    const keepData = this.violationCount > 0
    if (keepData) this.#report(`the data folder is kept: ${this.#broker.dataFolder}`)
    await this.#broker.dispose(keepData)
  }

  get acknowledged(): number {
    return this.#streams.reduce((sum, stream) => sum + stream.acknowledged, 0)
  }

  get violationCount(): number {
    return Object.values(this.violations).reduce((sum, count) => sum + count, 0)
  }

  /** Counts of the run, for the report. */
  describe(): Record<string, unknown> {
    const { cuts, tears, stalls } = this.#network
    return {
      published: this.#streams.reduce((sum, { sent }) => sum + sent, 0),
      acknowledged: this.acknowledged,
      received: this.#received,
      kills: this.kills,
      terminations: this.terminations,
      network: { cuts, tears, stalls },
      shortLivedClients: { ...this.#shortLived.counts, cutShort: this.#shortLived.failed },
      retained: { sets: this.#retained.sets, clears: this.#retained.clears, checks: this.#retained.checks },
      willsPublished: this.#wills.published,
      violations: this.violations,
    }
  }

  /** Returns the last lines of the broker's log. */
  describeBroker(): string {
    return this.#broker.describe()
  }

  onSessionLost(clientId: string): void {
    this.violations.sessionsLost++
    this.#report(`${clientId}: the broker has lost its session`)
  }

  onFault(clientId: string, what: string): void {
    this.violations.faults++
    this.#report(`${clientId}: ${what}`)
  }

  /** Handles a line of the broker's standard output: a probe, or its log. */
  handleLine(line: string): void {
    if (line.startsWith(PROBE_MARK)) {
      this.#probe = JSON.parse(line.slice(PROBE_MARK.length)) as ProbeLine
      if (this.#probe.live !== undefined) this.#counted = this.#probe
      return
    }
    const loaded = /: (\d+) sessions?, (\d+) messages? waiting, (\d+) retained messages?\.$/.exec(line)
    if (loaded !== null) {
      const [sessions, messages, retained] = loaded.slice(1).map(Number) as [number, number, number]
      this.#loaded = { sessions, messages, retained }
    }
  }

  get #received(): number {
    return this.#inboxes.reduce((sum, { received }) => sum + received, 0)
  }

  #every(ms: number, action: () => void): void {
    this.#timers.push(setInterval(action, ms))
  }

  async #launch(): Promise<void> {
    // The child inherits them; each soak broker sets its own before each of its starts.
    process.env['RECADO_SOAK_PROBE_MS'] = String(this.#options.sampleMs)
    process.env['RECADO_SOAK_LIVE_EVERY'] = String(this.#options.liveEvery)
    this.#broker.launch()
    await this.#broker.ready()
  }

  #planRestart(): void {
    const range = this.#options.restartMs
    if (range !== null) this.#restartAtMs = Date.now() + this.#random.between(range[0], range[1])
  }

  #tick(): void {
    if (this.#isPaused) return
    const random = this.#random
    for (const publisher of this.#publishers) {
      publisher.allow(random.chance(RATE) ? 1 : 2)
      publisher.tick()
    }
    for (const library of this.#libraries) if (random.chance(RATE)) library.publish(1)
  }

  /**
   * Publishes as much as possible, with some subscribers away: a message that is acknowledged too early is lost in the
   * kill that follows.
   */
  async #burst(): Promise<void> {
    for (const subscriber of this.#subscribers)
      if (this.#random.chance(0.6)) subscriber.goOffline(this.#random.chance(0.5))
    const endMs = Date.now() + this.#random.between(50, BURST_MS)
    while (Date.now() < endMs) {
      for (const publisher of this.#publishers) {
        publisher.allow(10)
        publisher.tick()
      }
      for (const library of this.#libraries) library.publish(5)
      await after(2)
    }
  }

  #fault(): void {
    const random = this.#random
    switch (random.between(0, 4)) {
      case 0:
        this.#network.cut()
        break
      case 1:
        this.#network.tear()
        break
      case 2:
        this.#network.stall(random.between(200, 4_000))
        break
      default: {
        const subscriber = this.#subscribers[random.between(0, this.#subscribers.length - 1)]
        if (this.#isPaused || subscriber === undefined) return
        subscriber.goOffline(random.chance(0.5))
        setTimeout(
          () => {
            if (!this.#isStopped) subscriber.goOnline()
          },
          random.between(0, 3_000),
        )
      }
    }
  }

  #keep(): void {
    if (this.#isPaused) return
    // Both reject when the broker goes down meanwhile. That is no finding.
    this.#retained.change().catch(() => undefined)
    if (this.#options.restartMs === null) this.#wills.try().catch(() => undefined)
  }

  #sample(): void {
    const { pid } = this.#broker
    const sampled = pid === null ? null : sampleProcess(pid)
    const atMs = Date.now()
    let cpuPercent: number | null = null
    if (pid !== null && sampled !== null) {
      const before = this.#cpu
      if (before?.pid === pid) cpuPercent = (100 * (sampled.cpuMs - before.cpuMs)) / (atMs - before.atMs)
      this.#cpu = { pid, cpuMs: sampled.cpuMs, atMs }
    }
    const probe = this.#probe
    const counted = this.#counted
    // Counting objects stops the broker for half a second or more. The probe causes that, so it is no measurement.
    const isDisturbed = this.#wasCounted || counted !== null
    this.#wasCounted = counted !== null
    const latencies = this.#latencyClient.take()
    const latency = (of: readonly number[], part: number): number | null =>
      isDisturbed || of.length === 0 ? null : quantile(of, part)
    this.samples.push({
      at: (atMs - this.#startedMs) / 1_000,
      rssBytes: sampled?.rssBytes ?? null,
      anonymousBytes: sampled?.anonymousBytes ?? null,
      heapBytes: probe?.heapUsed ?? null,
      externalBytes: probe?.external ?? null,
      handles: probe?.handles ?? null,
      fds: sampled?.fds ?? null,
      cpuPercent: isDisturbed ? null : cpuPercent,
      fileBytes: folderBytes(this.#broker.dataFolder),
      latencyP50Ms: latency(latencies.broker, 0.5),
      latencyP99Ms: latency(latencies.broker, 0.99),
      latencyMaxMs: latency(latencies.broker, 1),
      echoP50Ms: latency(latencies.echo, 0.5),
      liveHeapBytes: counted?.heapUsed ?? null,
      live: counted?.live ?? null,
      loaded: this.#loaded,
      acknowledged: this.acknowledged,
      received: this.#received,
    })
    this.#probe = null
    this.#counted = null
    this.#loaded = null
  }

  #report(text: string): void {
    this.#findings++
    if (this.#findings <= 50) this.#options.onFinding(`${this.name}: ${text}`)
    else if (this.#findings === 51) this.#options.onFinding(`${this.name}: and more`)
  }
}
