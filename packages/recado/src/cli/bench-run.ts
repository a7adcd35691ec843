/**
 * A run of `recado bench`: opens the clients, makes them publish as fast as possible or on a schedule, and counts.
 *
 * Called by `bench.ts`. Phases: open subscribers, open publishers, warm up, measure, wait for messages still on their
 * way, close. `stop` ends the measured phase early; the result has the counts until then.
 *
 * Two kinds of load. At a fixed rate message k is due at t0 + k / rate and is sent by publisher k mod N; a late
 * publisher catches up, and its messages carry the time at which they were due. Without a rate, each publisher of
 * `pair` keeps `window` messages between itself and its subscribers, so that the server's queues stay bounded.
 */
import { lookup } from 'node:dns/promises'
import { FilterTree, parseShare, type TopicFilter } from '@recado/protocol'
import { BenchClient, type Fleet, SharedBuffers } from './bench-client.ts'
import { type BenchOptions, expandTemplate } from './bench-options.ts'
import { nowUs, PAYLOAD_HEADER_BYTES } from './bench-payload.ts'
import {
  type BenchResult,
  type Counts,
  formatCount,
  formatDuration,
  LatencyHistogram,
  newCounts,
} from './bench-report.ts'
import type { MessageStream } from './bench-stream.ts'

const CONNECT_TIMEOUT_US = 10_000_000
/** Number of connections under way when no rate is asked for. */
const PARALLEL_MAX = 128
/** Number of messages of one publisher in one write, where nothing else bounds them. */
const BURST_MAX = 64
const STALL_MS = 1_000
const DRAIN_MS = 2_000
const DRAIN_MAX_MS = 10_000
const CLOSE_MS = 2_000
const TICK_MS = 1
/** Number of different run numbers, by which one run tells its messages from another's. */
const RUNS = 2 ** 20

interface Marks {
  atUs: number
  published: number
  received: number
}

export class BenchRun implements Fleet {
  readonly options: BenchOptions
  readonly shared: SharedBuffers = new SharedBuffers()
  readonly counts: Counts = newCounts()
  readonly connectTimes: LatencyHistogram = new LatencyHistogram()
  readonly latencies: LatencyHistogram = new LatencyHistogram()
  readonly ackTimes: LatencyHistogram = new LatencyHistogram()
  address = ''
  readonly #run: number = Math.floor(Math.random() * RUNS)
  readonly #payload: Uint8Array
  readonly #failures: Map<string, number> = new Map()
  readonly #groups: Map<string, Map<number, MessageStream>> = new Map()
  #subscribers: BenchClient[] = []
  #publishers: BenchClient[] = []
  #clients: BenchClient[] = []
  #phase = 'connecting'
  #connecting: { total: number; done: number; resolve: () => void } | null = null
  #connectUs = 0
  #isPublishing = false
  #isStopped = false
  readonly #stopped: Promise<void>
  #stop: () => void = () => {}
  #listed: BenchClient[] = []
  #isScheduled = false
  #start: Marks | null = null
  #end: Marks | null = null
  #rateStartUs = 0
  #rateCount = 0

  constructor(options: BenchOptions) {
    this.options = options
    this.#payload = new Uint8Array(options.payloadBytes).fill(0x78, PAYLOAD_HEADER_BYTES)
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve
    })
  }

  /** Ends the measured phase. */
  stop(): void {
    this.#isStopped = true
    this.#stop()
  }

  async run(): Promise<BenchResult> {
    const { options } = this
    this.address = (await lookup(options.host)).address
    this.#make()
    const everySecond = setInterval(() => this.#everySecond(), 1_000)
    try {
      await this.#open(this.#subscribers)
      if (options.command === 'conn') await this.#open(this.#clients)
      if (this.#publishers.length > 0 && !this.#isStopped) {
        await this.#open(this.#publishers)
        this.#countCopies()
      }
      if (this.counts.connected > 0 && !this.#isStopped) await this.#measure()
      const result = this.#result()
      await this.#close()
      return result
    } finally {
      clearInterval(everySecond)
      for (const client of this.#clients) client.destroy()
    }
  }

  /** Progress in one line. `before` is the line's last state and is changed. */
  progress(before: { published: number; received: number; atUs: number }): string {
    const { counts } = this
    const now = nowUs()
    const perSecond = (count: number): string => formatCount((count * 1e6) / Math.max(1, now - before.atUs))
    const parts = [`${this.#phase}: ${formatCount(this.#clients.filter((client) => client.isReady).length)} connected`]
    if (this.#publishers.length > 0) parts.push(`${perSecond(counts.published - before.published)}/s published`)
    if (this.#subscribers.length > 0) {
      parts.push(`${perSecond(counts.received - before.received)}/s received`)
      const latency = this.latencies.percentiles()
      if (latency !== undefined) parts.push(`p50 ${formatDuration(latency.p50)} p99 ${formatDuration(latency.p99)}`)
    }
    if (counts.connectFailures > 0) parts.push(`${formatCount(counts.connectFailures)} failed`)
    if (counts.disconnects > 0) parts.push(`${formatCount(counts.disconnects)} lost`)
    Object.assign(before, { published: counts.published, received: counts.received, atUs: now })
    return parts.join(', ')
  }

  // --- told by the clients ------------------------------------------------------------------------------------------

  onReady(_client: BenchClient): void {
    this.#oneConnected()
  }

  onFailed(_client: BenchClient, why: string): void {
    this.counts.connectFailures++
    this.#note(why)
    this.#oneConnected()
    this.#stopIfAlone()
  }

  onLost(_client: BenchClient, why: string): void {
    this.counts.disconnects++
    this.#note(why)
    this.#stopIfAlone()
  }

  onDelivered(run: number, publisher: number): void {
    if (this.options.command === 'sub') {
      if (this.options.limit > 0 && this.counts.received >= this.options.limit) this.stop()
      return
    }
    const from = run === this.#run ? this.#publishers[publisher] : undefined
    if (from === undefined) {
      this.counts.foreign++
      return
    }
    from.delivered++
    this.onRoom(from)
  }

  onRoom(client: BenchClient): void {
    if (!this.#isPublishing || client.isListed) return
    client.isListed = true
    this.#listed.push(client)
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#publishListed)
  }

  // --- phases -------------------------------------------------------------------------------------------------------

  #make(): void {
    const { command, count, subscribers, topic, filter, clientId, startNumber, username } = this.options
    const idOf = (index: number, suffix: string): string =>
      `${clientId.replaceAll('%i', String(startNumber + index)).replaceAll('%u', username ?? '')}${suffix}`
    const expand = (template: string, index: number, id: string): string =>
      expandTemplate(template, startNumber + index, id, username)
    if (command === 'conn') {
      for (let i = 0; i < count; i++) this.#clients.push(new BenchClient(this, i, idOf(i, ''), null, null))
      return
    }
    if (command === 'sub' || command === 'pair') {
      const howMany = command === 'sub' ? count : subscribers
      for (let i = 0; i < howMany; i++) {
        const id = idOf(i, command === 'pair' ? '-sub' : '')
        // More subscribers than topics: several to a topic.
        const wanted = expand(command === 'sub' ? topic : filter, command === 'pair' ? i % count : i, id)
        this.#subscribers.push(new BenchClient(this, i, id, wanted, this.#groupOf(wanted)))
      }
    }
    if (command === 'pub' || command === 'pair') {
      for (let i = 0; i < count; i++) {
        const id = idOf(i, command === 'pair' ? '-pub' : '')
        const client = new BenchClient(this, i, id, null, null)
        client.preparePublishing(expand(topic, i, id))
        this.#publishers.push(client)
      }
    }
    this.#clients = [...this.#subscribers, ...this.#publishers]
  }

  /** Streams that all members of a group share; null when it is not a Shared Subscription. */
  #groupOf(filter: string): Map<number, MessageStream> | null {
    if (parseShare(filter) === null) return null
    let streams = this.#groups.get(filter)
    if (streams === undefined) {
      streams = new Map()
      this.#groups.set(filter, streams)
    }
    return streams
  }

  /** Counts the connected subscribers that get the messages of each publisher. */
  #countCopies(): void {
    const { topic, filter, startNumber, username, count } = this.options
    const tree = new FilterTree<{ copies: number }>()
    const groups = new Set<string>()
    for (const client of this.#subscribers) {
      if (!client.isReady) continue
      const wanted = expandTemplate(filter, startNumber + (client.index % count), client.clientId, username)
      const share = parseShare(wanted)
      if (share !== null) {
        if (groups.has(wanted)) continue
        groups.add(wanted)
      }
      const inner = share?.topicFilter ?? (wanted as TopicFilter)
      const entry = tree.get(inner) ?? { copies: 0 }
      entry.copies++
      tree.set(inner, entry)
    }
    for (const publisher of this.#publishers) {
      const matches: { copies: number }[] = []
      tree.match(expandTemplate(topic, startNumber + publisher.index, publisher.clientId, username), matches)
      publisher.copies = matches.reduce((sum, { copies }) => sum + copies, 0)
    }
  }

  /** Opens all of them; resolves when each is connected or has failed. */
  #open(clients: readonly BenchClient[]): Promise<void> {
    if (clients.length === 0) return Promise.resolve()
    const { connectRate } = this.options
    const startUs = nowUs()
    let opened = 0
    let done: () => void = () => {}
    const finished = new Promise<void>((resolve) => {
      done = resolve
    })
    const state = { total: clients.length, done: 0, resolve: done }
    this.#connecting = state
    const tick = setInterval(() => {
      const allowed =
        connectRate > 0 ? Math.floor(((nowUs() - startUs) * connectRate) / 1e6) + 1 : state.done + PARALLEL_MAX
      while (opened < Math.min(allowed, clients.length)) clients[opened++]!.open()
      if (opened === clients.length) clearInterval(tick)
    }, TICK_MS)
    const timeouts = setInterval(() => {
      const late = nowUs() - CONNECT_TIMEOUT_US
      for (let i = 0; i < opened; i++) {
        const client = clients[i]!
        if (!client.isReady && !client.isClosed && client.openedUs < late) client.fail('no answer in 10 s')
      }
    }, 1_000)
    return Promise.race([finished, this.#stopped]).then(() => {
      clearInterval(tick)
      clearInterval(timeouts)
      this.#connectUs += nowUs() - startUs
      this.#connecting = null
    })
  }

  #oneConnected(): void {
    const state = this.#connecting
    if (state !== null && ++state.done === state.total) state.resolve()
  }

  /** Stops when there is no client left to wait for. While others are still being opened there may be. */
  #stopIfAlone(): void {
    const state = this.#connecting
    const isOpening = state !== null && state.done < state.total
    if (!isOpening && this.counts.disconnects === this.counts.connected) this.stop()
  }

  async #measure(): Promise<void> {
    const { warmupSeconds, durationSeconds, command } = this.options
    this.#phase = warmupSeconds > 0 ? 'warming up' : 'measuring'
    this.#startPublishing()
    if (warmupSeconds > 0) {
      await this.#wait(warmupSeconds * 1_000)
      this.latencies.reset()
      this.ackTimes.reset()
      this.#phase = 'measuring'
    }
    this.#start = this.#mark()
    await (durationSeconds > 0 ? this.#wait(durationSeconds * 1_000) : this.#stopped)
    this.#end = this.#mark()
    this.#isPublishing = false
    if (command === 'pair') await this.#drain()
  }

  #mark(): Marks {
    return { atUs: nowUs(), published: this.counts.published, received: this.counts.received }
  }

  /** Waits for the time, or until `stop`. */
  #wait(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const elapsed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds)
    })
    return Promise.race([elapsed, this.#stopped]).then(() => clearTimeout(timer))
  }

  /** Waits for messages still on their way, as long as something arrives. */
  async #drain(): Promise<void> {
    this.#phase = 'draining'
    const until = nowUs() + DRAIN_MAX_MS * 1_000
    let last = -1
    let lastUs = nowUs()
    while (this.#delivered() < this.#expected() && nowUs() < until) {
      if (this.counts.received !== last) {
        last = this.counts.received
        lastUs = nowUs()
      } else if (nowUs() - lastUs > DRAIN_MS * 1_000) break
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async #close(): Promise<void> {
    this.#phase = 'closing'
    const closed = this.#clients.map((client) => client.whenClosed())
    for (const client of this.#clients) client.close()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS)
    })
    await Promise.race([Promise.all(closed), late])
    clearTimeout(timer)
  }

  #everySecond(): void {
    const { keepAliveSeconds } = this.options
    if (keepAliveSeconds === 0) return
    // Each at its own second, so that they do not all ping at once.
    const period = Math.max(1, Math.floor(keepAliveSeconds * 0.75))
    const second = Math.floor(nowUs() / 1e6)
    for (let i = second % period; i < this.#clients.length; i += period) this.#clients[i]!.ping()
  }

  #note(why: string): void {
    this.#failures.set(why, (this.#failures.get(why) ?? 0) + 1)
  }

  // --- publishing ---------------------------------------------------------------------------------------------------

  #startPublishing(): void {
    if (this.#publishers.length === 0) return
    this.#isPublishing = true
    if (this.options.intervalMs > 0) this.#startSchedule()
    else {
      for (const client of this.#publishers) this.onRoom(client)
      if (this.options.command === 'pair') this.#watchForStalls()
    }
  }

  #startSchedule(): void {
    this.#rateStartUs = nowUs()
    const perMicrosecond = this.#publishers.length / (this.options.intervalMs * 1_000)
    const tick = (): void => {
      if (!this.#isPublishing) return
      const due = Math.floor((nowUs() - this.#rateStartUs) * perMicrosecond) + 1
      while (this.#rateCount < due) {
        const client = this.#publishers[this.#rateCount++ % this.#publishers.length]!
        client.due++
        this.onRoom(client)
      }
      setTimeout(tick, TICK_MS)
    }
    tick()
  }

  /** Watches for lost deliveries, which would keep their publisher waiting for ever. */
  #watchForStalls(): void {
    let before = this.#publishers.map((client) => client.delivered)
    const timer = setInterval(() => {
      if (!this.#isPublishing) {
        clearInterval(timer)
        return
      }
      for (const [i, client] of this.#publishers.entries()) {
        const waiting = client.published * client.copies - client.delivered - client.writtenOff
        if (client.delivered === before[i] && waiting > 0 && client.isReady && client.room > 0) {
          client.writtenOff += waiting
          this.counts.stalls++
          this.onRoom(client)
        }
      }
      before = this.#publishers.map((client) => client.delivered)
    }, STALL_MS)
  }

  readonly #publishListed = (): void => {
    this.#isScheduled = false
    const listed = this.#listed
    this.#listed = []
    for (const client of listed) {
      client.isListed = false
      if (this.#isPublishing) this.#publishFrom(client)
    }
  }

  #publishFrom(client: BenchClient): void {
    const { limit, intervalMs, window, command } = this.options
    const isPaced = intervalMs > 0
    let count = Math.min(client.room, BURST_MAX)
    if (isPaced) count = Math.min(count, client.due - client.published)
    else if (command === 'pair' && client.copies > 0) {
      const waiting = client.published * client.copies - client.delivered - client.writtenOff
      count = Math.min(count, Math.floor((window * client.copies - waiting) / client.copies))
    }
    if (limit > 0) count = Math.min(count, limit - this.counts.published)
    if (count <= 0) return
    const intervalUs = intervalMs * 1_000
    const firstUs = (intervalUs * client.index) / this.#publishers.length
    const scheduledUs = isPaced ? this.#rateStartUs + firstUs + client.published * intervalUs : 0
    client.publish(count, this.#run, this.#payload, scheduledUs, intervalUs)
    if (limit > 0 && this.counts.published >= limit) {
      this.#endOfLimit()
      return
    }
    // Where there are neither acknowledgements nor deliveries, nothing comes back that allows more messages.
    const isUnbounded = !isPaced && (command === 'pub' || client.copies === 0)
    if ((isUnbounded || count === BURST_MAX) && client.room > 0) this.onRoom(client)
  }

  /** Ends the run when the last message has been sent and acknowledged. */
  #endOfLimit(): void {
    this.#isPublishing = false
    const until = nowUs() + DRAIN_MS * 1_000
    const wait = (): void => {
      const { qos, inflightMax } = this.options
      const isDone = qos === 0 || this.#publishers.every((client) => !client.isReady || client.room === inflightMax)
      const isDelivered = this.options.command !== 'pair' || this.#delivered() >= this.#expected()
      if ((isDone && isDelivered) || nowUs() > until) this.stop()
      else setImmediate(wait)
    }
    wait()
  }

  // --- result -------------------------------------------------------------------------------------------------------

  #expected(): number {
    return this.#publishers.reduce((sum, client) => sum + client.published * client.copies, 0)
  }

  #delivered(): number {
    return this.#publishers.reduce((sum, client) => sum + client.delivered, 0)
  }

  #result(): BenchResult {
    const { counts, options } = this
    const end = this.#end ?? this.#mark()
    const start = this.#start ?? end
    const seconds = Math.max((end.atUs - start.atUs) / 1e6, 1e-6)
    const connectUs = this.connectTimes.percentiles()
    const result: BenchResult = {
      command: options.command,
      connections: counts.connected,
      connectFailures: counts.connectFailures,
      disconnects: counts.disconnects,
      connectsPerSecond: round(counts.connected / Math.max(this.#connectUs / 1e6, 1e-6)),
      ...(connectUs === undefined ? {} : { connectUs }),
      elapsedSeconds: Math.round(seconds * 1_000) / 1_000,
      measuredFromMs: Math.round(start.atUs / 1_000),
      measuredToMs: Math.round(end.atUs / 1_000),
    }
    if (this.#publishers.length > 0) {
      const ackUs = this.ackTimes.percentiles()
      result.published = counts.published
      result.publishedPerSecond = round((end.published - start.published) / seconds)
      if (ackUs !== undefined) result.ackUs = ackUs
    }
    if (this.#subscribers.length > 0) {
      const latencyUs = this.latencies.percentiles()
      const expected = options.command === 'pair' ? this.#expected() : undefined
      result.receivedTotal = counts.received
      result.receivedPerSecond = round((end.received - start.received) / seconds)
      if (expected !== undefined) result.expected = expected
      result.lost = expected === undefined ? this.#missing() : Math.max(0, expected - this.#delivered())
      result.duplicated = counts.duplicated
      result.outOfOrder = counts.outOfOrder
      result.foreign = counts.foreign
      result.stalls = counts.stalls
      if (latencyUs !== undefined) result.latencyUs = latencyUs
    }
    if (this.#failures.size > 0) result.failures = Object.fromEntries(this.#failures)
    return result
  }

  /** Returns the number of gaps in received messages; messages lost at the very end do not show. */
  #missing(): number {
    const seen = new Set<MessageStream>()
    let missing = 0
    for (const client of this.#subscribers) {
      for (const stream of client.streams()) {
        if (seen.has(stream)) continue
        seen.add(stream)
        missing += stream.missing
      }
    }
    return missing
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
