/**
 * One run with a mesh: Cores and clients come up, the plan is carried out, everything heals, and the judge has the last
 * word. Then nothing may be left that waits, in memory or on a disk.
 */
import type { BridgeTransport } from '../bridge/bridge-transport.ts'
import { Cable } from '../cable.ts'
import { Chance } from '../chance.ts'
import { Loop } from '../loop.ts'
import type { SeedResult } from '../seeds.ts'
import { SimBus } from './bus.ts'
import { type ClientWorld, MeshClient } from './client.ts'
import { Judge } from './judge.ts'
import { MeshNode, type NodeWorld } from './node.ts'
import type { MeshPlan, Step } from './plan.ts'

export interface MeshRunResult extends SeedResult {
  /** Empty unless asked for. */
  readonly trace: readonly string[]
  /** Deliveries that were owed, and have come. */
  readonly checked: number
}

export interface MeshRunOptions {
  readonly trace?: boolean
  readonly cover?: (name: string) => void
}

const START_MS = 1_000_000_000_000
/** Time in which the last crash, and the links after it, are over. */
const CALM_MS = 12_000
const SETTLE_SLICES = 40
const SETTLE_MS = 5_000
const CALM_KINDS: ReadonlySet<string> = new Set(['publish', 'subscribe', 'unsubscribe'])
/** Tables that are empty when nothing waits any more. */
const TABLES: readonly (readonly [number, string])[] = [
  [3, 'Messages'],
  [4, 'Flights'],
  [5, 'Received'],
  [9, 'Forwarded'],
]

export async function runMeshPlan(plan: MeshPlan, options: MeshRunOptions = {}): Promise<MeshRunResult> {
  const run = new Run(plan, options)
  await run.run()
  return {
    seed: plan.seed,
    violations: run.violations,
    trace: run.trace,
    events: run.loop.events,
    simulatedMs: run.loop.nowMs - START_MS,
    checked: run.judge.checked,
  }
}

class Run {
  readonly plan: MeshPlan
  readonly loop: Loop
  readonly judge: Judge
  readonly violations: { checker: string; text: string }[] = []
  readonly trace: string[] = []
  readonly #cover: (name: string) => void
  readonly #line: ((line: string) => void) | null
  readonly #bus: SimBus
  readonly #nodes: readonly MeshNode[]
  readonly #clients: readonly MeshClient[]
  #cableCount = 0
  /** When all faults ended; Infinity before. */
  #calmMs: number = Number.POSITIVE_INFINITY

  constructor(plan: MeshPlan, { trace = false, cover = () => {} }: MeshRunOptions) {
    const { seed } = plan
    this.plan = plan
    this.#cover = cover
    this.loop = new Loop(new Chance(seed, 'loop'), START_MS)
    this.#line = trace ? (line) => this.trace.push(`${String(this.loop.nowMs - START_MS).padStart(7)} ${line}`) : null
    const isFaultless = plan.bus.losses === 0 && plan.steps.every(({ step }) => CALM_KINDS.has(step.kind))
    this.judge = new Judge(isFaultless, (checker, text) => this.#fail(checker, text))
    this.#bus = new SimBus(this.loop, new Chance(seed, 'bus'), plan.bus, {
      arrived: (_from, to, frame) => this.#nodes[to]!.onFrame(frame),
      cover,
    })
    this.#nodes = plan.cores.map(
      (_, index) => new MeshNode(index, plan, this.#nodeWorld(), new Chance(seed, 'node', index)),
    )
    this.#clients = plan.clients.map(
      (client) => new MeshClient(client, plan.cores[client.home]!.receiveMaximum, this.#clientWorld()),
    )
  }

  #fail(checker: string, text: string): void {
    this.#line?.(`VIOLATION ${checker}: ${text}`)
    this.violations.push({ checker, text })
  }

  get #hasFailed(): boolean {
    return this.violations.length > 0
  }

  #nodeWorld(): NodeWorld {
    return {
      loop: this.loop,
      trace: this.#line,
      send: (from, process, to, frame) => this.#bus.send(from, process, to, frame),
      crashed: ({ index }) => this.judge.crashed(index),
      diskIs: ({ index }, isWorking) => this.judge.diskIs(index, isWorking),
      dropped: () => {},
      cover: this.#cover,
      failed: (checker, text) => this.#fail(checker, text),
    }
  }

  #clientWorld(): ClientWorld {
    const { judge } = this
    const line = (text: string): void => this.#line?.(text)
    return {
      loop: this.loop,
      dial: (client, transport) => this.#dial(client, transport),
      connected: (client, isSame) => {
        line(`${client.plan.clientId} is connected`)
        judge.connected(client, isSame)
      },
      disconnected: (client) => {
        line(`${client.plan.clientId} is disconnected`)
        judge.disconnected(client)
      },
      unanswered: ({ plan: { clientId } }, dialledMs) => {
        // What began amid the faults may be lost with them.
        if (dialledMs > this.#calmMs + CALM_MS) this.#fail('settled', `the CONNECT of ${clientId} is not answered`)
      },
      sent: (id) => {
        line(`message ${id} is sent`)
        judge.sent(id)
      },
      acknowledged: (id) => {
        line(`message ${id} is acknowledged`)
        judge.acknowledged(id)
      },
      refused: (id) => {
        line(`message ${id} is refused`)
        judge.refused(id)
      },
      changing: (client, change) => {
        line(`${client.plan.clientId} asks for ${change.topicFilter} at QoS ${change.qos}`)
        judge.changing(client, change)
      },
      changed: (client, change) => {
        line(`${client.plan.clientId} has ${change.topicFilter} at QoS ${change.qos}`)
        judge.changed(client, change)
      },
      received: (client, publish) => {
        const text = new TextDecoder().decode(publish.payload).slice(0, 12)
        line(`${client.plan.clientId} gets ${publish.topic} ${text} at QoS ${publish.qos}${publish.dup ? ' DUP' : ''}`)
        judge.received(client, publish)
      },
      failed: (checker, text) => this.#fail(checker, text),
    }
  }

  #dial({ plan: { clientId, home, strays } }: MeshClient, transport: BridgeTransport): Cable | null {
    const number = ++this.#cableCount
    const chance = new Chance(this.plan.seed, 'cable', number)
    const door = chance.of(strays) ? chance.between(0, this.#nodes.length - 1) : home
    const node = this.#nodes[door]!
    if (node.isReady) this.#cover(door === home ? 'door.home' : 'door.elsewhere')
    const cable = new Cable(`${clientId}#${number}`, this.loop, chance, this.plan.cable, transport, node, this.#cover)
    return node.accept(cable) ? cable : null
  }

  // --- the run ------------------------------------------------------------------------------------------------------

  async run(): Promise<void> {
    for (const node of this.#nodes) node.start()
    for (const client of this.#clients) client.connect()
    for (const { atMs, step } of this.plan.steps) this.loop.at(START_MS + atMs, () => this.#carryOut(step))
    const lastMs = this.plan.steps.at(-1)?.atMs ?? 0
    await this.loop.run(START_MS + lastMs + 100, () => this.#hasFailed)
    if (!this.#hasFailed) await this.#settle()
    if (!this.#hasFailed) this.#checkNothingLeft()
    if (!this.#hasFailed) await this.#leave()
  }

  #carryOut(step: Step): void {
    if (!CALM_KINDS.has(step.kind)) {
      this.#cover(`fault.${step.kind}`)
      this.#line?.(`* ${JSON.stringify(step)}`)
    }
    switch (step.kind) {
      case 'publish':
        for (let i = 0; i < step.count; i++) this.#publish(step)
        return
      case 'subscribe':
        this.#clients[step.client]!.change(step)
        return
      case 'unsubscribe':
        this.#clients[step.client]!.change({ ...step, qos: null, noLocal: false })
        return
      case 'cut':
        this.#clients[step.client]!.cut()
        return
      case 'leave':
        this.#clients[step.client]!.leave(step.ms)
        return
      case 'hold':
        this.#clients[step.client]!.hold(step.ms)
        return
      case 'part':
        this.#bus.part(step.from, step.to, step.ms)
        return
      case 'lose':
        this.#bus.lose(step.from, step.to)
        return
      case 'stand-still':
        this.loop.jump(step.ms)
        return
      default:
        this.#harm(this.#nodes[step.core]!, step)
    }
  }

  #harm(node: MeshNode, step: Extract<Step, { core: number }>): void {
    switch (step.kind) {
      case 'crash':
        node.crashAfter(step.touches, step.downMs, step.recoveryTouches, step.isLastBatchDurable)
        return
      case 'restart':
        node.restart(step.downMs)
        return
      case 'slow-disk':
        node.diskMs = [step.latencyMs / 2, step.latencyMs]
        this.loop.after(step.ms, () => {
          node.diskMs = this.plan.cores[node.index]!.diskMs
        })
        return
      case 'disk':
        node.failDisk(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
        this.loop.after(step.ms, () => node.failDisk(null))
    }
  }

  #publish({ client, topic, qos, bytes, expirySeconds }: Extract<Step, { kind: 'publish' }>): void {
    const publisher = this.#clients[client]!
    const isV5 = publisher.plan.version === 5
    const expiry = isV5 ? expirySeconds : null
    const publication = this.judge.publish(publisher, topic, qos, bytes, expiry !== null)
    this.#line?.(`* ${publisher.plan.clientId} publishes message ${publication.id} to ${topic} at QoS ${qos}`)
    publisher.publish({
      ...{ id: publication.id, topic, qos, retain: false },
      payload: new TextEncoder().encode(publication.text),
      properties: {
        ...(isV5 && { userProperties: [['id', String(publication.id)]] }),
        ...(expiry !== null && { messageExpiryIntervalSeconds: expiry }),
      },
    })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  async #settle(): Promise<void> {
    this.#line?.('* everything is well again')
    this.#calmMs = this.loop.nowMs
    for (const node of this.#nodes) node.calm()
    this.#bus.calm()
    for (const client of this.#clients) client.calm()
    let wasAtRest = false
    let frames = -1
    for (let slice = 0; slice < SETTLE_SLICES && !this.#hasFailed; slice++) {
      await this.loop.run(this.loop.nowMs + SETTLE_MS, () => this.#hasFailed)
      const isAtRest = this.#stateText() === '' && this.#bus.frames === frames
      frames = this.#bus.frames
      if (isAtRest && wasAtRest) break
      wasAtRest = isAtRest
    }
    if (this.#hasFailed) return
    if (!wasAtRest) this.#fail('settled', `it does not come to rest: ${this.#stateText() || 'frames come and go'}`)
    else this.judge.settled()
  }

  /** What keeps it from its rest; '' for nothing. */
  #stateText(): string {
    const nodes = this.#nodes.flatMap(({ core, index, isReady, mesh }) => {
      if (core === null || !isReady) return [`core ${index} is not ready`]
      const waiting = [...core.sessions.values()].filter(({ queue, sender }) => queue.length + sender.inflight > 0)
      return [
        ...waiting.map(({ clientId, queue, sender }) => `${clientId} has ${queue.length} + ${sender.inflight}`),
        ...(mesh!.waitingBytes > 0 ? [`core ${index} has ${mesh!.waitingBytes} bytes for others`] : []),
      ]
    })
    const clients = this.#clients
      .filter(({ unfinished, isConnected }) => unfinished > 0 || !isConnected)
      .map(({ plan, unfinished }) => `${plan.clientId} has ${unfinished} unfinished`)
    return [...nodes, ...clients].join('; ')
  }

  /** Every message has its acknowledgement: nothing may be left that was kept for it, and the filters are known. */
  #checkNothingLeft(): void {
    const fail = (text: string): void => this.#fail('no dangling state', text)
    for (const { index, store, mesh, core } of this.#nodes) {
      for (const [table, name] of TABLES)
        store.scanKeys(table, (a, b, c) => fail(`row ${a}.${b}.${c} is left in ${name} of core ${index}`))
      const { unreleased, seen, held, doorways } = mesh!.figures
      if (unreleased + seen + held > 0) fail(`core ${index} has ${unreleased} unreleased, ${seen} seen, ${held} held`)
      if (doorways > 0) fail(`core ${index} has ${doorways} connections that have not said whose they are`)
      const known = this.#nodes.filter((other) => other.index !== index)
      for (const other of known) {
        const own = new Set(
          [...core!.sessions.values()].flatMap((s) => [...s.subscriptions.values()].map((e) => e.topicFilter)),
        )
        const there = other.mesh!.filtersOf(index)
        if ([...own].sort().join() !== [...there].sort().join())
          fail(`core ${other.index} knows ${there.join(' ')} of core ${index}, and it has ${[...own].join(' ')}`)
      }
    }
  }

  /** All clients leave: no tunnel may be left. */
  async #leave(): Promise<void> {
    for (const client of this.#clients) client.stop()
    await this.loop.run(this.loop.nowMs + SETTLE_MS, () => this.#hasFailed)
    for (const { index, mesh, core } of this.#nodes) {
      const { tunnels } = mesh!.figures
      if (tunnels > 0) this.#fail('no dangling state', `core ${index} has ${tunnels} tunnels when nobody is there`)
      const { size } = core!.connections
      if (size > 0) this.#fail('no dangling state', `core ${index} has ${size} connections when nobody is there`)
    }
  }
}
