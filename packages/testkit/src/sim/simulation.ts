/**
 * One run: carries a plan out, then heals everything, and checks that nothing is missing and nothing is left.
 */
import { offerOf, settingsOf } from './broker-config.ts'
import { BrokerHost } from './broker-host.ts'
import { Cable, type ClientEnd } from './cable.ts'
import { Chance } from './chance.ts'
import { BoundsChecker } from './checkers/bounds.ts'
import { EndToEndChecker } from './checkers/end-to-end.ts'
import { checkNothingLeft } from './checkers/no-dangling-state.ts'
import { LibraryClient } from './library-client.ts'
import { Loop } from './loop.ts'
import { misdeedOf } from './misdeeds.ts'
import { clientForgets } from './model/client-forgets.ts'
import { unheardOf } from './model/identifiers.ts'
import { Model } from './model/model.ts'
import { checkSettled } from './model/settled.ts'
import { checkTime } from './model/time.ts'
import type { QoS, Violation } from './model/types.ts'
import { describe } from './plans/describe.ts'
import type { Plan } from './plans/plan.ts'
import { policyOf } from './plans/policy.ts'
import type { ClientStep, MachineStep, Step } from './plans/step.ts'
import type { SeedResult } from './seeds.ts'
import { StoredClient, type StoredWorld } from './stored-client.ts'
import { type Offer, WireClient } from './wire-client.ts'

export interface RunResult extends SeedResult {
  readonly violations: readonly Violation[]
  /** Empty unless asked for. */
  readonly trace: readonly string[]
}

export interface RunOptions {
  readonly trace?: boolean
  readonly cover?: (name: string) => void
  /** Called with the model, for inspection. */
  readonly onModel?: (model: Model) => void
}

const START_MS = 1_000_000_000_000
/** Largest number of slices of time in which everything must come to rest. */
const SETTLE_SLICES = 14
/** The same with rate limits. */
const RATED_SLICES = 60
const SETTLE_MS = 5_000
/** Bytes of a PUBLISH of a plan besides its payload. */
const PUBLISH_OVERHEAD_BYTES_MAX = 120

type AnyClient = WireClient | LibraryClient | StoredClient

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const simulation = new Simulation(plan, options)
  options.onModel?.(simulation.model)
  await simulation.run()
  return {
    seed: plan.seed,
    violations: simulation.model.violations,
    trace: simulation.trace,
    events: simulation.loop.events,
    simulatedMs: simulation.loop.nowMs - START_MS,
  }
}

class Simulation {
  readonly plan: Plan
  readonly loop: Loop
  readonly model: Model
  readonly host: BrokerHost
  readonly trace: string[] = []
  readonly #cover: (name: string) => void
  readonly #clients: AnyClient[]
  readonly #endToEnd: EndToEndChecker
  readonly #line: ((line: string) => void) | null
  #cables = 0
  #isCalm = false
  readonly #bounds: BoundsChecker
  readonly #openCables: Set<Cable> = new Set()

  constructor(plan: Plan, { trace = false, cover = () => {} }: RunOptions) {
    this.plan = plan
    this.#cover = cover
    const { seed, broker } = plan
    this.loop = new Loop(new Chance(seed, 'loop'), START_MS)
    const policy = policyOf(() => this.host?.config ?? broker)
    this.model = new Model(settingsOf(broker, policy), START_MS, cover)
    this.#endToEnd = new EndToEndChecker(this.model)
    this.#line = trace ? (line) => this.trace.push(`${String(this.loop.nowMs - START_MS).padStart(7)} ${line}`) : null
    this.host = new BrokerHost(
      this.loop,
      new Chance(seed, 'host'),
      this.model,
      broker,
      policy,
      new Chance(seed, 'program'),
      this.#line,
    )
    this.host.diskLatencyMs = plan.diskMs
    this.#bounds = new BoundsChecker(this.host, this.model, broker.limits.memoryBytesMax !== undefined)
    for (const { clientId, topic } of broker.denials ?? []) this.model.rights.set(clientId, topic, true, START_MS)
    for (const { clientId, topic } of broker.withdrawals ?? []) this.model.sources.set(clientId, topic, true, START_MS)
    this.#clients = plan.clients.map(({ profile, isLibrary, hasStore, variants }, i) => {
      const chance = new Chance(seed, 'client', i)
      if (hasStore) return new StoredClient(profile, this.#storedWorldOf(i), chance)
      return isLibrary
        ? new LibraryClient(profile, this.#worldOf(i), chance)
        : new WireClient(profile, this.#worldOf(i), chance, variants)
    })
    this.loop.usesPromises =
      plan.hasProgram === true || plan.clients.some(({ isLibrary, hasStore }) => isLibrary || hasStore)
    this.loop.onTurnEnd = () => this.#turnEnded()
  }

  get #hasFailed(): boolean {
    return this.model.violations.length > 0
  }

  async run(): Promise<void> {
    const { loop, plan } = this
    this.host.start()
    for (const step of plan.steps) loop.at(START_MS + step.atMs, () => this.#carryOut(step))
    const lastMs = plan.steps[plan.steps.length - 1]?.atMs ?? 0
    await this.#runTo(START_MS + lastMs + 100)
    if (this.#hasFailed) return
    await this.#settle()
    if (this.#hasFailed) return
    await this.#cleanUp()
  }

  async #runTo(untilMs: number): Promise<void> {
    await this.loop.run(untilMs, () => this.#hasFailed)
  }

  #turnEnded(): void {
    const { model, loop } = this
    model.nowMs = this.host.nowMs
    if (!this.host.isUp) return
    model.turnEnded()
    if (loop.isOnTime) checkTime(model)
    this.#bounds.check()
  }

  // --- the world of a client ----------------------------------------------------------------------------------------

  #worldOf(i: number): {
    loop: Loop
    dial(name: string, end: ClientEnd, listener?: number): Cable | null
    offerOf(listener: number): Offer
    cover(name: string): void
    received(
      clientId: string,
      topic: string,
      payload: string,
      qos: QoS,
      isNewSession: boolean,
      by: number,
      connection?: string,
    ): void
    failed(text: string): void
  } {
    return {
      loop: this.loop,
      cover: this.#cover,
      dial: (name, end, listener = 0) => this.#dial(i, name, end, listener),
      offerOf: (listener) => offerOf(this.host.config, listener),
      received: (clientId, topic, payload, qos, isNewSession, by, connection = '') =>
        this.#endToEnd.received(clientId, { topic, payload, qos, isNewSession, by, connection }),
      failed: (text) => this.#endToEnd.failed(text),
    }
  }

  #storedWorldOf(i: number): StoredWorld {
    return {
      ...this.#worldOf(i),
      fail: (checker, text) => this.model.fail(checker, text),
      trace: (line) => this.#line?.(line),
      silence: (cable) => this.#silence(cable),
      stopReading: (cable, ms) => this.#stopReading(cable, ms),
      clientForgets: (clientId, isAll) => clientForgets(this.model, clientId, isAll),
      serverSession: (clientId) => this.model.sessions.get(clientId),
    }
  }

  #dial(i: number, name: string, end: ClientEnd, listener: number): Cable | null {
    if (!this.host.isUp) return null
    const { cable: profile } = this.plan.clients[i]!
    const chance = new Chance(this.plan.seed, 'cable', i, this.#cables++)
    // Clients share addresses where that matters.
    const isCounted = this.plan.broker.limits.connectionsPerAddressMax !== undefined
    const cable = new Cable(
      isCounted ? `host${i % 2}:${name}` : name,
      this.loop,
      chance,
      profile,
      end,
      this.host,
      this.#cover,
      listener,
    )
    if (!this.host.accept(cable)) return null
    for (const each of this.#openCables) if (each.isGone) this.#openCables.delete(each)
    this.#openCables.add(cable)
    return cable
  }

  // --- steps --------------------------------------------------------------------------------------------------------

  #carryOut(step: Step): void {
    if (this.#isCalm) return
    this.#cover(`step.${step.kind}`)
    this.#line?.(`* ${describe(step)}`)
    if (!('client' in step)) {
      this.#carryOutOnMachine(step)
      return
    }
    const client = this.#clients[step.client]!
    if (client instanceof WireClient) this.#carryOutOnWire(client, this.#permitted(client, step))
    else if (client instanceof StoredClient) client.carryOut(this.#permitted(client, step))
    else this.#carryOutInLibrary(client, this.#permitted(client, step))
  }

  /**
   * Changes a step so that the broker accepts its packets, which otherwise would be sent for ever. Before 5.0 a client
   * is not told the limits; the library follows those that it is told, the one on the wire knows the Maximum Packet
   * Size by this only. [MQTT-3.2.2-15]
   */
  #permitted(client: AnyClient, step: ClientStep): ClientStep {
    const { profile } = (client instanceof WireClient ? client.connection : null) ?? client
    const { maximumQoS, hasRetain, packetBytesMax } = offerOf(this.host.config, profile.listener)
    const isV5 = profile.version === 5
    if (step.kind !== 'publish' || (isV5 && !(client instanceof WireClient))) return step
    const qos = isV5 ? step.qos : (Math.min(step.qos, maximumQoS) as QoS)
    const payload = qos === 0 ? step.payload : step.payload.slice(0, packetBytesMax - PUBLISH_OVERHEAD_BYTES_MAX)
    return { ...step, qos, payload, retain: step.retain && (isV5 || hasRetain || qos === 0) }
  }

  #carryOutOnMachine(step: MachineStep): void {
    const { host, loop } = this
    switch (step.kind) {
      case 'broker-crash':
        if (step.setup !== null) host.reconfigure(step.setup)
        host.isLastBatchDurable = step.isLastBatchDurable
        host.crashAfter(step.touches, step.downMs, step.touchesOfRecovery)
        return
      case 'broker-restart':
        if (step.setup !== null) host.reconfigure(step.setup)
        host.shutDown(step.downMs)
        return
      case 'disk-fails':
        host.failDisk(Object.assign(new Error(`${step.code}: the disk fails`), { code: step.code }))
        loop.after(step.ms, () => host.failDisk(null))
        return
      case 'disk-slow':
        host.diskLatencyMs = [step.latencyMs / 2, step.latencyMs]
        this.#cover('fault.disk-slow')
        loop.after(step.ms, () => {
          host.diskLatencyMs = this.plan.diskMs
        })
        return
      case 'rights':
        host.changeRights(step, step.isDenied, step.right === 'publish')
        return
      case 'memory':
        host.setMemory(step.livePercent / 100, step.garbagePercent / 100)
        return
      case 'clock-set':
        host.setClock(step.byMs)
        return
      case 'program-subscribes':
        host.program.subscribe(step.name, step.topicFilter)
        return
      case 'program-closes':
        host.program.close(step.name)
        return
      case 'program-unsubscribes':
        host.program.unsubscribe(step.name)
        return
      case 'program-handles':
        host.program.handling = step.how
        return
      case 'clock-jump':
        loop.jump(step.ms)
        this.#cover('fault.clock-jump')
        return
    }
  }

  #carryOutOnWire(client: WireClient, step: ClientStep): void {
    const { connection } = client
    const isConnected = connection?.isConnected === true
    switch (step.kind) {
      case 'connect':
        if (connection !== null) this.#cover('fault.second-connection')
        client.isPersistent = true
        client.connect({ cleanStart: step.cleanStart || !client.hasConnected, withWill: step.withWill }, step.changes)
        return
      case 'client-crash':
        this.#cover('fault.client-crash')
        client.crash()
        return
      case 'acknowledge':
        client.acknowledges = step.how
        if (step.how !== 'hold') connection?.release()
        return
      case 'repeat':
        if (step.packet === 'publish') connection?.publishAgain()
        else client.repeats = step.packet
        return
      case 'cut':
        if (connection?.cable != null) this.#cover('fault.cut')
        connection?.cable?.cut()
        return
      case 'fall-silent':
        if (connection?.cable != null) this.#silence(connection.cable)
        return
      case 'stop-reading':
        this.#stopReading(connection?.cable ?? null, step.ms)
        return
      case 'misbehave':
        if (isConnected)
          connection.sendBytes(misdeedOf(step.misdeed, connection.profile.version, client.profile.clientId))
        return
    }
    if (!isConnected) return
    switch (step.kind) {
      case 'publish':
        connection.publish(step.topic, new TextEncoder().encode(step.payload), step.qos, step.retain, step.properties)
        return
      case 'subscribe':
        connection.subscribe([...step.subscriptions], step.identifier)
        return
      case 'unsubscribe':
        connection.unsubscribe([...step.topicFilters])
        return
      case 'ping':
        connection.ping()
        return
      case 'reauthenticate':
        connection.reauthenticate()
        return
      case 'disconnect': {
        const mayRaise = connection.profile.expirySeconds > 0
        const isRaised = step.expirySeconds !== null && step.expirySeconds > 0 && !mayRaise
        client.isPersistent = step.comesBack
        connection.disconnect(step.reasonCode, isRaised ? null : step.expirySeconds)
        return
      }
    }
  }

  #carryOutInLibrary(client: LibraryClient, step: ClientStep): void {
    if (client.mustLive && (step.kind === 'disconnect' || step.kind === 'client-crash')) return
    switch (step.kind) {
      case 'connect':
        client.connect()
        return
      case 'publish':
        client.publish(step.topic, step.payload, step.qos, step.retain, step.properties)
        return
      case 'subscribe':
        client.subscribe([...step.subscriptions])
        return
      case 'unsubscribe':
        client.unsubscribe([...step.topicFilters])
        return
      case 'disconnect':
        client.close(step.reasonCode, step.comesBack)
        return
      case 'client-crash':
        this.#cover('fault.client-crash')
        client.crash()
        return
      case 'cut':
        client.cable?.cut()
        return
      case 'fall-silent':
        if (client.cable !== null) this.#silence(client.cable)
        return
      case 'stop-reading':
        this.#stopReading(client.cable, step.ms)
        return
    }
  }

  #silence(cable: Cable): void {
    this.#cover('fault.half-open')
    cable.fallSilent()
    // Somebody notices in the end.
    this.loop.after(20_000, () => cable.cut())
  }

  #stopReading(cable: Cable | null, ms: number): void {
    if (cable === null) return
    this.#cover('fault.stop-reading')
    cable.pauseReading()
    this.loop.after(ms, () => cable.resumeReading())
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** All faults are over; everybody who has a session comes back and takes what waits. */
  async #settle(): Promise<void> {
    const { host, loop } = this
    this.#isCalm = true
    this.#line?.('* everything is well again')
    host.calm(this.plan.diskMs)
    for (const cable of this.#openCables) {
      if (cable.isSilent) cable.cut()
      cable.resumeReading()
    }
    for (const client of this.#clients) {
      if (client instanceof WireClient) client.calm(this.#ownerOf(client.clientId))
      else if (client instanceof StoredClient) client.calm()
    }
    for (const client of this.#clients) if (client instanceof LibraryClient) client.connect()
    loop.after(0, () => host.program.calm())
    const slices = this.plan.broker.rates === null ? SETTLE_SLICES : RATED_SLICES
    for (let slice = 0; slice < slices; slice++) {
      await this.#runTo(loop.nowMs + SETTLE_MS)
      if (this.#hasFailed) return
      if (slice > 0 && this.#isSettled()) break
    }
    this.model.nowMs = host.nowMs
    checkSettled(this.model)
    for (const client of this.#clients) {
      if (client instanceof StoredClient) {
        client.checkSettled()
        continue
      }
      // Before 5.0 what could not be stored is not acknowledged until the client has connected again.
      if (client instanceof WireClient || client.profile.version < 5 || !client.isConnected) continue
      this.#endToEnd.checkSettled(client)
    }
  }

  #isSettled(): boolean {
    if (this.model.delayed.size > 0) return false
    if (this.#clients.some((client) => client instanceof StoredClient && !client.isAtRest)) return false
    for (const { state, heldUntilMs, isHeld } of this.model.connections)
      if (state === 'open' && (isHeld || heldUntilMs + 300 >= this.model.nowMs)) return false
    for (const session of this.model.sessions.values()) {
      if (session.connection === null) continue
      if (session.flight.size > session.forgottenIds.size || session.connection.owed.length > 0) return false
      for (const list of session.expectations.values())
        for (const { progress, isOptional, qos } of list)
          if (progress === 'pending' && !isOptional && qos > 0) return false
    }
    return true
  }

  /** Every session is ended: nothing may be left in memory or on disk. */
  async #cleanUp(): Promise<void> {
    const { loop, host, plan } = this
    this.#line?.('* everybody leaves')
    loop.after(0, () => host.program.leave())
    for (const client of this.#clients) {
      loop.after(0, () => {
        if (client instanceof WireClient) client.leave()
        else client.close(0, false)
      })
    }
    await this.#runTo(loop.nowMs + (plan.broker.rates === null ? 3_000 : 20_000))
    for (const client of this.#clients) if (!(client instanceof WireClient)) this.#endToEnd.checkLeft(client)
    for (const cable of this.#openCables) cable.cut()
    await this.#runTo(loop.nowMs + 500)
    const ends = plan.clients.flatMap(({ profile }, i) =>
      profile.clientId !== ''
        ? [{ i, profile }]
        : this.#assignedTo().map((clientId) => ({ i, profile: { ...profile, clientId } })),
    )
    for (const { i, profile } of ends) {
      const owner = this.#ownerOf(profile.clientId)
      const asOwner = owner === null ? {} : { username: owner, hasEnhancedAuthentication: false }
      const last = new WireClient(
        { ...profile, will: null, ...asOwner },
        this.#worldOf(i),
        new Chance(plan.seed, 'last', i),
      )
      last.isPersistent = false
      last.connect({ cleanStart: true, withWill: false })
      await this.#runTo(loop.nowMs + 2_000)
      last.connection?.disconnect(0, profile.expirySeconds > 0 ? 0 : null)
      await this.#runTo(loop.nowMs + 1_000)
      if (this.#hasFailed) return
    }
    // Once a minute the broker lets go of what is retained and has expired: then that is not off the disk yet.
    let retained: number | undefined
    do {
      retained = host.core?.snapshot()['retainedMessages']
      await this.#runTo(loop.nowMs + 3_000)
      if (this.#hasFailed) return
    } while (host.core?.snapshot()['retainedMessages'] !== retained)
    checkNothingLeft(this.model, host, this.#line)
  }

  /** The user whose session it is: nobody else would be let in. */
  #ownerOf(clientId: string): string | null {
    return this.model.settings.sessionOwner === 'refuse' ? (this.model.sessions.get(clientId)?.owner ?? null) : null
  }

  /** Client Identifiers that the broker has chosen, also those of which nobody has heard. */
  #assignedTo(): string[] {
    const own = this.plan.clients.map(({ profile }) => profile.clientId)
    const isOfClient = (clientId: string): boolean => !clientId.startsWith('\0')
    unheardOf(
      this.model,
      [...(this.host.core?.sessions.values() ?? [])].map(({ clientId }) => clientId).filter(isOfClient),
    )
    const left = [...this.model.sessions.keys()].filter((clientId) => isOfClient(clientId) && !own.includes(clientId))
    if (left.length > 0) this.#cover('assigned.left')
    return left
  }
}
