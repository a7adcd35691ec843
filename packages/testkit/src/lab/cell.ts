/**
 * One cell of the laboratory: a device behind a line of its own, an observer beside the server, messages in both
 * directions, and what became of them.
 *
 * The observer is @recado/client in this process, on a cable that never fails; all times are of this process's clock. A
 * cell ends when all has come, or when nothing comes any more. Invariant: it leaves no process and no namespace.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { type Client, connect } from '@recado/client'
import { peerPath } from '../peers/find.ts'
import type { Condition } from './conditions.ts'
import { type Device, startDevice } from './devices.ts'
import { type Carried, LabLine, type LabPrograms, probeMtu, SERVER_ADDRESS } from './line.ts'
import { type Cell, keyOf } from './plan.ts'
import { PLAIN_PORT, TLS_PORT } from './ports.ts'
import type { LabCertificates, LabServer } from './servers.ts'
import { type DirectionResult, Tally } from './tally.ts'

export interface CellResult {
  readonly key: string
  /** Whether the device came to its subscription; without it the rest has no meaning. */
  readonly isConnected: boolean
  readonly up: DirectionResult
  readonly down: DirectionResult
  /** Packets and bytes on the line for each message sent, both directions together. */
  readonly packetsPerMessage: number
  readonly bytesPerMessage: number
  /** Milliseconds from the fault's beginning until the device, and the server, gave up the connection; null: never. */
  readonly deviceNoticedMs: number | null
  readonly serverNoticedMs: number | null
  /** Milliseconds from the fault's end until messages came in both directions; null: never, or no fault. */
  readonly recoveredMs: number | null
  /** Number of times that the device connected again. */
  readonly reconnects: number
}

export interface CellMeans {
  readonly programs: LabPrograms
  readonly certificates: LabCertificates
  /** Starts a server for this cell alone, or gives one that runs. `release` when the cell is over. */
  server(
    cell: Cell,
    environment: Readonly<Record<string, string>>,
    isOwn: boolean,
  ): Promise<{ server: LabServer; release(): Promise<void> }>
  readonly seed: number
}

/** Time for the device to connect and to subscribe: TCP's own retries on a bad line, on a busy machine. */
const READY_MS = 90_000
/** Time without any message after which the rest is lost. QoS 0 is not sent again by anybody but TCP. */
const QUIET_MS = { 0: 8_000, 1: 25_000, 2: 25_000 } as const
/** The same after a fault, in Keep Alives: some clients take more than two to notice. */
const QUIET_KEEP_ALIVES = 3
/** Time after the last message was sent when a cell ends in any case. */
const SETTLE_MS = 90_000
const TICK_MS = 20
let count = 0

export async function runCell(cell: Cell, means: CellMeans): Promise<CellResult> {
  const run = new CellRun(cell, means)
  try {
    if (await run.start()) await run.play()
    return await run.result()
  } finally {
    await run.end()
  }
}

class CellRun {
  readonly #cell: Cell
  readonly #condition: Condition
  readonly #means: CellMeans
  readonly #topic: string = `lab/${process.pid}/${count++}`
  readonly #up = new Tally()
  readonly #down = new Tally()
  readonly #ends: (() => unknown)[] = []
  readonly #clock: Clock | null
  #line: LabLine | null = null
  #observer: Client | null = null
  #device: Device | null = null
  #isSubscribed = false
  #connects = 0
  #died = ''
  #before: Carried | null = null
  #faultMs = Number.POSITIVE_INFINITY
  #deviceNoticedMs: number | null = null
  #serverNoticedMs: number | null = null

  constructor(cell: Cell, means: CellMeans) {
    this.#cell = cell
    this.#condition = cell.condition
    this.#means = means
    this.#clock = cell.condition.clock === undefined ? null : new Clock()
  }

  /** Returns false when the device gets no connection and no subscription in time. */
  async start(): Promise<boolean> {
    const { programs, certificates, seed } = this.#means
    const { clock, line: settings, keepAliveSeconds, host = SERVER_ADDRESS, probesMtu, deviceMtu } = this.#condition
    const { qos, tls, device } = this.#cell
    if (this.#clock !== null) this.#ends.push(() => this.#clock!.remove())
    const environmentOf = (side: typeof clock): Record<string, string> =>
      this.#clock !== null && side === clock ? this.#clock.environment : {}
    const { server, release } = await this.#means.server(
      this.#cell,
      environmentOf('server'),
      probesMtu === true || clock === 'server',
    )
    this.#ends.push(release)
    const line = await LabLine.create(programs, server.site, seed)
    if (deviceMtu !== undefined) line.setMtu(deviceMtu)
    if (probesMtu) for (const host of [server.site, line]) probeMtu(host)
    this.#line = line
    this.#ends.push(() => line.remove())
    if (settings !== undefined) line.tell(settings)
    if (host !== SERVER_ADDRESS) line.useNameServer()
    await this.#startObserver(server)
    this.#device = startDevice(
      device,
      {
        host,
        port: tls ? TLS_PORT : PLAIN_PORT,
        ca: tls ? certificates.ca : null,
        clientId: this.#topic.replaceAll('/', '-'),
        qos,
        keepAliveSeconds,
        topic: this.#topic,
        environment: environmentOf('device'),
      },
      {
        onConnected: () => this.#connects++,
        onSubscribed: () => {
          this.#isSubscribed = true
        },
        onLost: () => {
          this.#deviceNoticedMs ??= this.#sinceFault()
        },
        onMessage: (payload) => this.#receive(this.#down, payload),
        onDeath: (what) => {
          this.#died ||= `the device ${what}`
        },
      },
      line,
      programs,
    )
    this.#ends.push(() => this.#device!.kill())
    const lateMs = performance.now() + READY_MS
    while (!this.#isSubscribed) {
      if (performance.now() > lateMs) return false
      this.#throwIfDead(server)
      await after(TICK_MS)
    }
    this.#before = await line.carried()
    return true
  }

  async #startObserver({ site }: LabServer): Promise<void> {
    const observer = await connect(`mqtt://${site.host}:${site.port}`, { protocolVersion: 4, keepAliveSeconds: 0 })
    this.#observer = observer
    this.#ends.push(() => observer.destroy())
    const { qos } = this.#cell
    const up = observer.subscribe(`${this.#topic}/up`, { qos, decode: 'text' }, ({ value }) =>
      this.#receive(this.#up, value),
    )
    const gone = observer.subscribe(`${this.#topic}/gone`, { qos: 1 }, () => {
      this.#serverNoticedMs ??= this.#sinceFault()
    })
    await Promise.all([up.ready, gone.ready])
  }

  #receive(tally: Tally, payload: string): void {
    try {
      tally.receive(payload, performance.now())
    } catch (error) {
      this.#died ||= (error as Error).message
    }
  }

  #sinceFault(): number | null {
    const ms = performance.now() - this.#faultMs
    return ms > 0 ? Math.round(ms) : null
  }

  #throwIfDead(server?: LabServer): void {
    const died = this.#died || server?.died
    if (died) throw new Error(died)
  }

  /** Sends the messages and plays the condition's events, then waits for the end. */
  async play(): Promise<void> {
    const { events, messages, intervalMs, quiet } = this.#condition
    const startMs = performance.now()
    const due: { atMs: number; act(): void }[] = events.map((event, i) => ({
      atMs: event.atMs,
      act: () => {
        const now = performance.now()
        if (i === 0) this.#faultMs = now
        if (event.line !== undefined) this.#line!.tell(event.line)
        if (event.clockSeconds !== undefined) this.#clock!.set(event.clockSeconds)
        if (i === events.length - 1) for (const tally of [this.#up, this.#down]) tally.recoverFromMs = now
      },
    }))
    for (let i = 0, atMs = 0; i < messages; atMs += intervalMs) {
      if (quiet !== undefined && atMs >= quiet.fromMs && atMs < quiet.toMs) continue
      due.push({ atMs, act: () => this.#send() })
      i++
    }
    due.sort((a, b) => a.atMs - b.atMs)
    for (const { atMs, act } of due) {
      const restMs = startMs + atMs - performance.now()
      if (restMs > 0) await after(restMs)
      this.#throwIfDead()
      act()
    }
    await this.#settle()
  }

  #send(): void {
    const { payloadBytes } = this.#condition
    const { qos } = this.#cell
    this.#device!.publish(this.#up.next(payloadBytes, performance.now()))
    this.#observer!.send(`${this.#topic}/down`, this.#down.next(payloadBytes, performance.now()), { qos })
  }

  async #settle(): Promise<void> {
    const sentMs = performance.now()
    const { events, keepAliveSeconds } = this.#condition
    const noticedMs = events.length === 0 ? 0 : keepAliveSeconds * 1_000 * QUIET_KEEP_ALIVES
    const quietMs = Math.max(QUIET_MS[this.#cell.qos], noticedMs)
    for (;;) {
      this.#throwIfDead()
      if (this.#up.isComplete && this.#down.isComplete) break
      const nowMs = performance.now()
      if (nowMs - Math.max(sentMs, this.#up.lastMs, this.#down.lastMs) > quietMs) return
      if (nowMs - sentMs > SETTLE_MS) return
      await after(TICK_MS)
    }
  }

  async result(): Promise<CellResult> {
    const carried = await this.#line!.carried()
    const before = this.#before ?? carried
    const [up, down] = [this.#up.result(), this.#down.result()]
    const per = (total: number): number => Math.round((total / Math.max(1, up.sent + down.sent)) * 10) / 10
    const recoveries = [this.#up, this.#down].map(({ recoveredMs, recoverFromMs }) => recoveredMs - recoverFromMs)
    return {
      key: keyOf(this.#cell),
      isConnected: this.#isSubscribed,
      up,
      down,
      packetsPerMessage: per(carried.upPackets + carried.downPackets - before.upPackets - before.downPackets),
      bytesPerMessage: per(carried.upBytes + carried.downBytes - before.upBytes - before.downBytes),
      deviceNoticedMs: this.#deviceNoticedMs,
      serverNoticedMs: this.#serverNoticedMs,
      recoveredMs: recoveries.every((ms) => Number.isFinite(ms) && ms >= 0)
        ? Math.round(Math.max(...recoveries))
        : null,
      reconnects: Math.max(0, this.#connects - 1),
    }
  }

  async end(): Promise<void> {
    // The device first, so that nothing waits for it; each end has its turn even when one before it fails.
    const errors: unknown[] = []
    for (const end of this.#ends.reverse()) {
      try {
        await end()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}

/** Clock of a process, by libfaketime: off by as many seconds as a file says. Its monotonic clock is left alone. */
class Clock {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'recado-lab-clock-'))
  readonly environment: Readonly<Record<string, string>>

  constructor() {
    this.set(0)
    this.environment = {
      LD_PRELOAD: peerPath('faketime'),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
  }

  get #file(): string {
    return join(this.#folder, 'offset')
  }

  set(seconds: number): void {
    writeFileSync(this.#file, `${seconds < 0 ? '' : '+'}${seconds}\n`)
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
