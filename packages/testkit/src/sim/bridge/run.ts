/**
 * One run with bridges: brokers, bridges and clients come up, the plan is carried out, everything heals, and the judge
 * has the last word. Then nothing may be left that waits.
 */
import { PATH_PROPERTY } from '@recado/broker'
import type { Publish } from '@recado/protocol'
import { Cable, type CableProfile } from '../cable.ts'
import { Chance } from '../chance.ts'
import { Loop } from '../loop.ts'
import type { SeedResult } from '../seeds.ts'
import type { BridgeTransport } from './bridge-transport.ts'
import { EndClient } from './end-client.ts'
import { Ledger } from './judge.ts'
import { BrokerNode, type OwnBridge } from './node.ts'
import type { BridgeRunPlan, Step } from './plan.ts'

export interface BridgeRunResult extends SeedResult {
  /** Empty unless asked for. */
  readonly trace: readonly string[]
}

export interface BridgeRunOptions {
  readonly trace?: boolean
  readonly cover?: (name: string) => void
}

const START_MS = 1_000_000_000_000
/** Answers to answers, each with the path of the one before. */
const ANSWERS_MAX = 4
const READY_MS = 120_000
const SUBSCRIBED_MS = 3_000
const SETTLE_SLICES = 60
const SETTLE_MS = 5_000
const CLIENT_CABLE: CableProfile = { latencyMs: 1, jitterMs: 2, splits: 0.05, joins: 0.3, capacityBytes: 1_000_000 }

export async function runBridgePlan(plan: BridgeRunPlan, options: BridgeRunOptions = {}): Promise<BridgeRunResult> {
  const run = new Run(plan, options)
  await run.run()
  return {
    seed: plan.seed,
    violations: run.violations,
    trace: run.trace,
    events: run.loop.events,
    simulatedMs: run.loop.nowMs - START_MS,
  }
}

class Run {
  readonly plan: BridgeRunPlan
  readonly loop: Loop
  readonly violations: { checker: string; text: string }[] = []
  readonly trace: string[] = []
  readonly #cover: (name: string) => void
  readonly #line: ((line: string) => void) | null
  readonly #bridges: readonly OwnBridge[]
  readonly #nodes: readonly BrokerNode[]
  readonly #clients: readonly EndClient[]
  readonly #ledger: Ledger
  /** Times until which attempts of a bridge hang or are refused. */
  readonly #unreachableMs: number[]
  readonly #cables: (Cable | null)[]
  /** Time of the last network connection of a bridge, and whether the remote broker's answer came. */
  readonly #dialledMs: number[]
  readonly #isAnswered: boolean[]
  #cableCount = 0
  /** Value of the path of the last message that the subscriber of each broker has got; '' for none. */
  readonly #paths: string[]

  constructor(plan: BridgeRunPlan, { trace = false, cover = () => {} }: BridgeRunOptions) {
    const { seed } = plan
    this.plan = plan
    this.#cover = cover
    this.loop = new Loop(new Chance(seed, 'loop'), START_MS)
    this.loop.usesPromises = true
    this.loop.onTurnEnd = () => this.#turnEnded()
    this.#line = trace ? (line) => this.trace.push(`${String(this.loop.nowMs - START_MS).padStart(7)} ${line}`) : null
    this.#ledger = new Ledger(plan, (checker, text) => this.#fail(checker, text))
    this.#bridges = plan.bridges.map((bridge, index) => ({ index, plan: bridge }))
    this.#unreachableMs = plan.bridges.map(() => 0)
    this.#cables = plan.bridges.map(() => null)
    this.#dialledMs = plan.bridges.map(() => 0)
    this.#isAnswered = plan.bridges.map(() => true)
    this.#paths = plan.brokers.map(() => '')
    this.#nodes = plan.brokers.map((broker, index) => {
      const own = this.#bridges.filter(({ plan: { owner } }) => owner === index)
      return new BrokerNode(index, broker, own, this.#world(), new Chance(seed, 'node', index))
    })
    this.#clients = plan.clients.map(
      (client) => new EndClient(client, plan.brokers[client.broker]!.receiveMaximum, this.#clientWorld()),
    )
  }

  #fail(checker: string, text: string): void {
    this.#line?.(`VIOLATION ${checker}: ${text}`)
    this.violations.push({ checker, text })
  }

  get #hasFailed(): boolean {
    return this.violations.length > 0
  }

  #world() {
    return {
      loop: this.loop,
      trace: this.#line,
      dial: (bridge: OwnBridge, transport: BridgeTransport) => this.#dial(bridge, transport),
      hangMs: ({ index }: OwnBridge) => {
        const leftMs = this.#unreachableMs[index]! - this.loop.nowMs
        return leftMs > 0 ? leftMs : 0
      },
      dropped: (node: BrokerNode, clientId: string, topic: string, qos: number, reason: string) => {
        this.#cover(`dropped ${reason}`)
        if (clientId !== '$') this.#ledger.dropped(node.index, clientId, topic, qos, reason, this.loop.nowMs)
      },
      bridgeTries: ({ index }: OwnBridge) => this.#ledger.bridgeTries(index, this.loop.nowMs),
      bridgeUp: ({ index }: OwnBridge) => {
        this.#isAnswered[index] = true
        this.#ledger.bridgeUp(index, this.loop.nowMs, this.#dialledMs[index]!)
      },
      crashed: ({ index }: BrokerNode) => this.#ledger.crashed(index, this.loop.nowMs),
      cover: this.#cover,
      failed: (checker: string, text: string) => this.#fail(checker, text),
    }
  }

  #clientWorld() {
    return {
      loop: this.loop,
      dial: (client: EndClient, transport: BridgeTransport) =>
        this.#connect(client.plan.clientId, this.#nodes[client.plan.broker]!, transport, CLIENT_CABLE),
      acknowledged: (id: number) => {
        this.#line?.(`message ${id} is acknowledged`)
        this.#ledger.acknowledged(id, this.loop.nowMs)
      },
      refused: (id: number) => {
        this.#line?.(`message ${id} is refused`)
        this.#ledger.refused(id)
      },
      received: (client: EndClient, publish: Parameters<Ledger['received']>[1]) => {
        const text = new TextDecoder().decode(publish.payload).slice(0, 12)
        this.#line?.(`${client.plan.clientId} gets ${publish.topic} ${text} at QoS ${publish.qos}`)
        this.#notePath(client, publish)
        this.#ledger.received(client, publish)
      },
      failed: (checker: string, text: string) => this.#fail(checker, text),
    }
  }

  /** Notes the path of a message that a client may answer; a deletion looks like any other one. */
  #notePath({ plan: { broker } }: EndClient, { payload, properties: { userProperties } }: Publish): void {
    const path = userProperties?.find(([name]) => name === PATH_PROPERTY)?.[1]
    // An answer to an answer comes to its end some time.
    if (path === undefined || payload.length === 0 || path.split('*').length > ANSWERS_MAX) return
    this.#paths[broker] = path
  }

  #dial(bridge: OwnBridge, transport: BridgeTransport): Cable | null {
    const node = this.#nodes[bridge.plan.remote]!
    const cable = this.#connect(bridge.plan.name, node, transport, bridge.plan.cable)
    if (cable === null) return null
    const { index } = bridge
    if (!this.#isAnswered[index]) this.#ledger.unanswered(index)
    this.#isAnswered[index] = false
    this.#cables[index] = cable
    this.#dialledMs[index] = this.loop.nowMs
    return cable
  }

  #connect(name: string, node: BrokerNode, transport: BridgeTransport, profile: CableProfile): Cable | null {
    const number = ++this.#cableCount
    const chance = new Chance(this.plan.seed, 'cable', number)
    const cable = new Cable(`${name}#${number}`, this.loop, chance, profile, transport, node, this.#cover)
    return node.accept(cable) ? cable : null
  }

  // --- the run ------------------------------------------------------------------------------------------------------

  async run(): Promise<void> {
    for (const node of this.#nodes) node.start()
    for (const client of this.#clients) client.connect()
    await this.#until(READY_MS, () => this.#isReady())
    if (!this.#isReady()) this.#fail('settled', `the bridges do not come up: ${this.#stateText()}`)
    // The last SUBSCRIBE is on its way.
    await this.loop.run(this.loop.nowMs + SUBSCRIBED_MS, () => this.#hasFailed)
    if (this.#hasFailed) return
    const beganMs = this.loop.nowMs
    for (const { atMs, step } of this.plan.steps) this.loop.at(beganMs + atMs, () => this.#carryOut(step))
    const lastMs = this.plan.steps.at(-1)?.atMs ?? 0
    await this.loop.run(beganMs + lastMs + 100, () => this.#hasFailed)
    if (!this.#hasFailed) await this.#settle()
    if (!this.#hasFailed) await this.#cleanUp()
  }

  async #until(ms: number, isDone: () => boolean): Promise<void> {
    const endMs = this.loop.nowMs + ms
    while (!isDone() && !this.#hasFailed && this.loop.nowMs < endMs) {
      await this.loop.run(this.loop.nowMs + 100, () => this.#hasFailed)
    }
  }

  /** Whether a message that is published now is owed to all: the subscriptions are there. */
  #isReady(): boolean {
    return (
      this.#clients.every(
        ({ plan, isConnected, isSubscribed }) => isConnected && (isSubscribed || !plan.isSubscriber),
      ) &&
      this.#areBridgesUp() &&
      this.#isQuiet()
    )
  }

  #areBridgesUp(): boolean {
    return this.#bridges.every((bridge) => {
      const state = this.#nodes[bridge.plan.owner]!.figuresOf(bridge)?.state
      // A bridge on a silent line has not noticed yet.
      if (state === 'connected') return this.#cables[bridge.index]?.isSilent === false
      return bridge.plan.isLazy && state === 'idle'
    })
  }

  /** Whether nothing waits anywhere, and nothing is on its way. */
  #isQuiet(): boolean {
    return (
      this.#clients.every(({ unfinished }) => unfinished === 0) &&
      this.#nodes.every(({ core }) => {
        if (core === null) return false
        for (const { queue, sender, retainedWalks } of core.sessions.values()) {
          if (queue.length + sender.inflight + retainedWalks > 0) return false
        }
        return true
      })
    )
  }

  #stateText(): string {
    const bridges = this.#bridges.map((bridge) => {
      const figures = this.#nodes[bridge.plan.owner]!.figuresOf(bridge)
      if (figures === undefined) return `${bridge.plan.name} is not there`
      const { name, state, queuedMessages, inFlight, lastError } = figures
      return `${name} is ${state} with ${queuedMessages} waiting and ${inFlight} in flight (${lastError})`
    })
    const sessions = this.#nodes.flatMap(({ core, name }) =>
      core === null
        ? [`${name} is down`]
        : [...core.sessions.values()]
            .filter(({ queue, sender }) => queue.length + sender.inflight > 0)
            .map(({ clientId, queue, sender }) => `${clientId} at ${name} has ${queue.length} + ${sender.inflight}`),
    )
    const clients = this.#clients
      .filter(({ unfinished, isConnected }) => unfinished > 0 || !isConnected)
      .map(
        ({ plan, unfinished, isConnected }) => `${plan.clientId} ${isConnected ? 'has' : 'is away with'} ${unfinished}`,
      )
    return [...bridges, ...sessions, ...clients].join('; ')
  }

  #turnEnded(): void {
    for (const index of this.#ledger.unsubscribed) {
      const { name, owner, remote, lines } = this.#bridges[index]!.plan
      const session = this.#nodes[remote]!.core?.sessions.get(`n${owner}.${name}`)
      const wanted = lines.filter(({ direction }) => direction !== 'out')
      const isThere = wanted.every(({ root, remotePrefix }) => session?.subscriptions.has(`${remotePrefix}${root}/#`))
      if (isThere && session !== undefined) this.#ledger.subscribed(index, this.loop.nowMs)
    }
    for (const { core, plan, name, crashes } of this.#nodes) {
      if (core === null) continue
      for (const { clientId, queue, sender } of core.sessions.values()) {
        if (sender.inflight > plan.inflightMax) {
          this.#fail('bounds', `${clientId} at ${name} has ${sender.inflight} messages in flight`)
        }
        if (queue.length > plan.queueMessagesMax && crashes === 0) {
          this.#fail('bounds', `${clientId} at ${name} has ${queue.length} messages waiting`)
        }
      }
    }
  }

  #carryOut(step: Step): void {
    if (step.kind !== 'publish') {
      this.#cover(`fault ${step.kind}`)
      this.#line?.(`* ${JSON.stringify(step)}`)
    }
    switch (step.kind) {
      case 'publish':
        for (let i = 0; i < step.count; i++) this.#publish(step)
        return
      case 'cut':
        this.#cables[step.bridge]?.cut()
        return
      case 'silence':
        this.#cables[step.bridge]?.fallSilent()
        return
      case 'stop-reading': {
        const cable = this.#cables[step.bridge]
        cable?.pauseReading()
        this.loop.after(step.ms, () => cable?.resumeReading())
        return
      }
      case 'stall':
        this.#transportOf(step.bridge)?.stall(step.ms)
        return
      case 'unreachable':
        this.#unreachableMs[step.bridge] = this.loop.nowMs + step.ms
        this.#cables[step.bridge]?.cut()
        return
      case 'reload':
        this.#ownerOf(step.bridge).reload(this.#bridges[step.bridge]!)
        return
      case 'forget-near':
      case 'forget-far':
        this.#forget(step.bridge, step.kind === 'forget-near')
        return
      case 'stand-still':
        this.loop.jump(step.ms)
        return
      default:
        this.#harm(step)
    }
  }

  #harm(step: Extract<Step, { broker: number }>): void {
    const node = this.#nodes[step.broker]!
    switch (step.kind) {
      case 'crash':
        node.crashAfter(step.touches, step.downMs, step.recoveryTouches, step.isLastBatchDurable)
        return
      case 'restart':
        node.restart(step.downMs)
        return
      case 'slow-disk':
        node.diskMs = step.ms
        return
      default:
        this.#ledger.diskFails(step.broker, this.loop.nowMs)
        node.failDisk(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
        this.loop.after(step.ms, () => {
          this.#ledger.diskWorks(step.broker, this.loop.nowMs)
          node.failDisk(null)
        })
    }
  }

  #ownerOf(bridge: number): BrokerNode {
    return this.#nodes[this.#bridges[bridge]!.plan.owner]!
  }

  #transportOf(bridge: number): BridgeTransport | undefined {
    return this.#ownerOf(bridge).transports.get(bridge)
  }

  /** An administrator removes the session of a bridge. */
  #forget(index: number, isNear: boolean): void {
    const { name, owner, remote } = this.#bridges[index]!.plan
    const node = this.#nodes[isNear ? owner : remote]!
    if (node.core === null) return
    const clientId = `n${owner}.${name}`
    this.#ledger.forgotten(index, isNear, this.loop.nowMs)
    node.removeSession(isNear ? `local.${clientId}` : clientId)
  }

  #publish({ client, topic, qos, retain, isEmpty, bytes, copiesPath }: Extract<Step, { kind: 'publish' }>): void {
    const publisher = this.#clients[client]!
    const { broker, version } = publisher.plan
    const { maximumQoS } = this.plan.brokers[broker]!
    const fields = { topic, qos: qos > maximumQoS ? maximumQoS : qos, retain, isEmpty }
    const publication = this.#ledger.publish(publisher, fields, this.loop.nowMs, bytes)
    this.#line?.(
      `* ${publisher.plan.clientId} publishes message ${publication.id} to ${topic} at QoS ${fields.qos}${retain ? ', retained' : ''}${isEmpty ? ', empty' : ''}`,
    )
    const userProperties: [string, string][] = [['id', String(publication.id)]]
    const path = this.#paths[broker]!
    if (copiesPath && path !== '') {
      this.#cover('path copied')
      userProperties.push([PATH_PROPERTY, path])
    }
    publisher.publish({
      ...{ id: publication.id, topic, qos: fields.qos, retain },
      payload: new TextEncoder().encode(publication.text),
      properties: version === 5 ? { userProperties } : {},
    })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  async #settle(): Promise<void> {
    this.#line?.('* everything is well again')
    this.#unreachableMs.fill(0)
    for (const node of this.#nodes) {
      this.#ledger.diskWorks(node.index, this.loop.nowMs)
      node.calm()
    }
    for (const [index, cable] of this.#cables.entries()) {
      cable?.resumeReading()
      this.#transportOf(index)?.release()
    }
    let wasAtRest = false
    let messages = -1
    for (let slice = 0; slice < SETTLE_SLICES && !this.#hasFailed; slice++) {
      await this.loop.run(this.loop.nowMs + SETTLE_MS, () => this.#hasFailed)
      // Twice without a message in between, because of what the last answers have set off.
      const isAtRest = this.#areBridgesUp() && this.#isQuiet()
      const before = messages
      messages = this.#nodes.reduce((sum, { core }) => sum + (core?.metrics.messagesReceived ?? 0), 0)
      if (isAtRest && wasAtRest && messages === before) break
      wasAtRest = isAtRest
    }
    if (this.#hasFailed) return
    if (!wasAtRest) {
      this.#fail('settled', `it does not come to rest: ${this.#stateText()}`)
      return
    }
    this.#ledger.settled()
    this.#ledger.checkRetained((broker, topic) => {
      const message = this.#nodes[broker]!.core!.retained.get(topic)
      return message === undefined ? null : new TextDecoder().decode(message.payload)
    })
  }

  /** Stops all brokers: no message and no flow may be left on a disk. */
  async #cleanUp(): Promise<void> {
    for (const client of this.#clients) client.stop()
    for (const node of this.#nodes) {
      const keepsIds = this.#ledger.mayKeepIds(node.index)
      const tables = [TABLE_MESSAGES, TABLE_FLIGHTS, ...(keepsIds ? [] : [TABLE_RECEIVED])]
      for (const table of tables) {
        node.store.scanKeys(table, (a, b, c) =>
          this.#fail('no dangling state', `row ${table}: ${a}.${b}.${c} is left on the disk of ${node.name}`),
        )
      }
    }
  }
}

const TABLE_MESSAGES = 3
const TABLE_FLIGHTS = 4
const TABLE_RECEIVED = 5
