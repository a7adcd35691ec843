/**
 * The embedding program of the broker under test: it subscribes durably (`Broker.subscribeDurably`), and dies with the
 * broker. A handler takes its time, fails, and gets its message again.
 *
 * The model sees each subscription as a client with MQTT 5.0 whose Client Identifier no client can have: it is told a
 * PUBLISH when the session gives a message to the outlet, PUBACK when the handler is done with it, and SUBACK when the
 * promise of the subscription resolves.
 */
import { type Core, DurableSubscriber, durableClientId } from '@recado/broker/testing'
import type { Chance } from './chance.ts'
import type { Loop } from './loop.ts'
import type { Model } from './model/model.ts'
import { textOf } from './model/payload.ts'
import type { ModelConnection } from './model/state.ts'
import type { ConnectIn, FilterIn, PublishPacket } from './model/types.ts'
import { lineOf, passedOn } from './translate.ts'

/** Milliseconds that a handler may take; an end in good order waits for it. */
const HANDLING_MS_MAX = 12
/** Messages that a handler is given before it is done with any. */
const WAITING_MAX = 100
const NEVER = 0xffff_ffff

/** Part of the broker under test that it needs. */
export interface ProgramHost {
  readonly core: Core | null
  readonly nowMs: number
  /** The broker is about to say something. */
  beforeSaying(): void
}

/** `fails`: most often. */
export type Handling = 'now' | 'late' | 'fails'

type DurableMessage = Parameters<DurableSubscriber['write']>[0]

/** A durable subscription of one process. */
interface Open {
  readonly subscriber: DurableSubscriber
  readonly connection: ModelConnection
  /** Messages that its handler has not done with, in order. */
  readonly waiting: PublishPacket[]
}

export class Program {
  readonly #host: ProgramHost
  readonly #loop: Loop
  readonly #chance: Chance
  readonly #model: Model
  readonly #trace: ((line: string) => void) | null
  /** Topic Filter of each subscription that a new process makes again. */
  readonly #wanted: Map<string, string> = new Map()
  /** Names that have been used, with their last Topic Filter. */
  readonly #used: Map<string, string> = new Map()
  #open: Map<string, Open> = new Map()
  #latest: Map<string, DurableSubscriber> = new Map()
  /** Actions on each subscription, one after the other. */
  readonly #tasks: Map<string, Promise<void>> = new Map()
  #count = 0
  #isClosing = false
  handling: Handling = 'now'

  constructor(host: ProgramHost, loop: Loop, chance: Chance, model: Model, trace: ((line: string) => void) | null) {
    this.#host = host
    this.#loop = loop
    this.#chance = chance
    this.#model = model
    this.#trace = trace
  }

  /** A new process of the broker has begun. */
  started(): void {
    this.#open = new Map()
    this.#latest = new Map()
    this.#tasks.clear()
    this.#isClosing = false
    for (const [name, topicFilter] of this.#wanted)
      this.#loop.after(this.#chance.between(0, 60), () => {
        if (this.#wanted.get(name) === topicFilter) this.#do(name, (core) => this.#subscribe(core, name, topicFilter))
      })
  }

  subscribe(name: string, topicFilter: string): void {
    this.#wanted.set(name, topicFilter)
    this.#do(name, (core) => this.#subscribe(core, name, topicFilter))
  }

  /** Messages wait from now on. */
  close(name: string): void {
    this.#wanted.delete(name)
    this.#do(name, (core) => this.#close(core, name))
  }

  unsubscribe(name: string): void {
    this.#wanted.delete(name)
    this.#do(name, (core) => this.#unsubscribe(core, name))
  }

  /** The broker ends in good order, and waits for the handlers. */
  shutDown(): void {
    const { core } = this.#host
    this.#isClosing = true
    if (core !== null) for (const name of this.#open.keys()) void this.#close(core, name)
  }

  /** No handler fails any more, and what waits is fetched. */
  calm(): void {
    this.handling = 'now'
    for (const [name, topicFilter] of this.#used)
      if (this.#model.sessions.has(durableClientId(name))) this.subscribe(name, topicFilter)
  }

  /** Ends all subscriptions, also those of earlier processes. */
  leave(): void {
    for (const [name, topicFilter] of this.#used) {
      if (this.#host.core?.sessions.get(durableClientId(name)) === undefined) continue
      if (!this.#open.has(name)) this.subscribe(name, topicFilter)
      this.unsubscribe(name)
    }
  }

  #do(name: string, task: (core: Core) => Promise<void>): void {
    const { core } = this.#host
    if (core === null || this.#isClosing) return
    const before = this.#tasks.get(name)
    const next = async (): Promise<void> => {
      await before
      if (this.#isDead(core) || this.#isClosing) return
      await task(core)
    }
    this.#tasks.set(
      name,
      next().catch((error: unknown) => {
        if (!this.#isDead(core)) this.#model.fail('internal', `a durable subscription: ${(error as Error).stack}`)
      }),
    )
  }

  #isDead(core: Core): boolean {
    return this.#host.core !== core
  }

  #tell(line: string): void {
    this.#model.nowMs = this.#host.nowMs
    this.#trace?.(line)
  }

  async #subscribe(core: Core, name: string, topicFilter: string): Promise<void> {
    await this.#close(core, name)
    if (this.#isDead(core) || this.#isClosing) return
    const model = this.#model
    const clientId = durableClientId(name)
    this.#used.set(name, topicFilter)
    const connection = model.openForProgram(`${name}#${++this.#count}`, connectOf(clientId))
    this.#tell(`program ${connection.name} subscribes to ${topicFilter}`)
    model.cover('program.subscribes')
    const live = connection.session!.liveSubscriptions
    const others = live.map((each) => each.topicFilter).filter((each) => each !== topicFilter)
    if (others.length > 0) model.receive(connection, { type: 'UNSUBSCRIBE', packetId: 1, filters: others }, false)
    const isNew = others.length === live.length
    if (isNew) {
      const subscribe = { type: 'SUBSCRIBE', packetId: 2, identifier: 0, filters: [filterOf(topicFilter)] } as const
      model.receive(connection, subscribe, false)
    }
    const waiting: PublishPacket[] = []
    const subscriber = new DurableSubscriber(
      core,
      name,
      topicFilter,
      (message) => this.#handle(core, connection, waiting, message),
      () => {},
      this.#latest,
    )
    this.#latest.set(name, subscriber)
    this.#open.set(name, { subscriber, connection, waiting })
    const write = subscriber.write.bind(subscriber)
    subscriber.write = (message, qos, retain, dup, packetId) => {
      if (!this.#isDead(core))
        this.#said(connection, waiting, publishOf(message, qos, retain, dup, packetId, this.#host.nowMs))
      return write(message, qos, retain, dup, packetId)
    }
    await subscriber.open()
    if (this.#isDead(core) || connection.state !== 'open') return
    this.#tell(`program ${connection.name} is subscribed`)
    model.cover('program.subscribed')
    if (others.length > 0)
      model.send(connection, { type: 'UNSUBACK', packetId: 1, reasonCodes: others.map(() => 0), hasProblems: false })
    if (isNew) model.send(connection, { type: 'SUBACK', packetId: 2, reasonCodes: [1], hasProblems: false })
    for (const subscription of connection.session!.liveSubscriptions) subscription.isPromised = true
    connection.session!.isPromised ||= connection.session!.isDurable
  }

  #said(connection: ModelConnection, waiting: PublishPacket[], packet: PublishPacket): void {
    this.#host.beforeSaying()
    this.#tell(`program ${connection.name} < ${lineOf(packet)}`)
    const model = this.#model
    if (packet.dup) model.cover('program.again')
    if (packet.retain) model.cover('program.retained')
    model.send(connection, packet)
    waiting.push(packet)
    if (waiting.length >= WAITING_MAX) connection.blockedSinceMs = model.nowMs
  }

  #handle(
    core: Core,
    connection: ModelConnection,
    waiting: PublishPacket[],
    message: { topic: string; payload: Uint8Array },
  ): Promise<void> {
    // A dead process is given nothing more, and nobody asks what it is at.
    if (this.#isDead(core)) return new Promise(() => {})
    const next = waiting[0]
    const model = this.#model
    model.cover('program.received')
    if (next === undefined || next.topic !== message.topic || next.payload !== textOf(message.payload))
      model.fail(
        'order',
        `program ${connection.name}: the handler is given ${message.topic}, not ${next?.topic ?? 'nothing'}`,
      )
    if (this.handling === 'fails' && this.#chance.of(0.7)) {
      model.cover('program.fails')
      this.#tell(`program ${connection.name}: the handler fails`)
      return Promise.reject(new Error('the handler fails'))
    }
    const end = (): void => {
      waiting.shift()
      if (!this.#isStopping(connection)) connection.blockedSinceMs = -1
      const packetId = next?.packetId ?? 0
      if (packetId === 0) return
      this.#tell(`program ${connection.name} > PUBACK packetId=${packetId}`)
      model.receive(connection, { type: 'PUBACK', packetId, reasonCode: 0, hasProblems: false }, false)
    }
    if (this.handling === 'now') {
      end()
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#loop.after(this.#chance.between(0, HANDLING_MS_MAX), () => {
        if (this.#isDead(core)) return
        end()
        resolve()
      })
    })
  }

  #isStopping(connection: ModelConnection): boolean {
    return connection.mayEnd.has('closed by the program')
  }

  async #close(core: Core, name: string): Promise<void> {
    const open = this.#open.get(name)
    if (open === undefined) return
    const { subscriber, connection } = open
    if (connection.state === 'open' && !this.#isStopping(connection)) {
      this.#tell(`program ${connection.name} closes`)
      this.#model.cover('program.closes')
      connection.mayEnd.add('closed by the program')
      connection.blockedSinceMs = this.#model.nowMs
    }
    await subscriber.close()
    if (this.#isDead(core) || connection.state !== 'open') return
    this.#tell(`program ${connection.name} is closed`)
    if (this.#open.get(name) === open) this.#open.delete(name)
    this.#model.receive(connection, { type: 'DISCONNECT', reasonCode: 0, expirySeconds: null }, false)
    this.#model.closed(connection)
  }

  async #unsubscribe(core: Core, name: string): Promise<void> {
    const open = this.#open.get(name)
    if (open === undefined) return
    await this.#close(core, name)
    if (this.#isDead(core)) return
    const { session } = open.connection
    const isThere = session !== null && this.#model.sessions.get(session.clientId) === session
    this.#tell(`program ${open.connection.name} unsubscribes`)
    if (isThere) this.#model.endByProgram(session)
    await open.subscriber.unsubscribe()
    if (this.#isDead(core)) return
    this.#tell(`program ${open.connection.name} is unsubscribed`)
    this.#model.cover('program.unsubscribed')
    if (isThere) session.isEndPromised = true
  }
}

function connectOf(clientId: string): ConnectIn {
  return {
    type: 'CONNECT',
    version: 5,
    clientId,
    cleanStart: false,
    expirySeconds: NEVER,
    keepAliveSeconds: 0,
    receiveMaximum: WAITING_MAX,
    maximumPacketSize: Number.POSITIVE_INFINITY,
    topicAliasMaximum: 0,
    username: '',
    hasMethod: false,
    wantsProblems: true,
    wantsResponses: false,
    will: null,
    refusal: 0,
  }
}

function filterOf(topicFilter: string): FilterIn {
  return { topicFilter, qos: 1, noLocal: false, retainAsPublished: true, retainHandling: 1 }
}

function publishOf(
  message: DurableMessage,
  qos: 0 | 1 | 2,
  retain: boolean,
  dup: boolean,
  packetId: number,
  nowMs: number,
): PublishPacket {
  const { topic, expiresAtMs, properties } = message
  const isForEver = expiresAtMs === Number.POSITIVE_INFINITY
  return {
    type: 'PUBLISH',
    topic,
    topicAlias: 0,
    payload: textOf(message.payload),
    qos,
    retain,
    dup,
    packetId,
    expirySeconds: isForEver ? null : Math.max(0, Math.ceil((expiresAtMs - nowMs) / 1000)),
    passedOn: passedOn(properties),
    identifiers: [],
  }
}
