/**
 * A lane of the random walk: a few clients with topics of their own, which a script takes through everything that MQTT
 * lets them do.
 *
 * Made by `run.ts`, several beside each other on one broker. It plays one operation after the other without waiting for
 * answers, except where the script says so; received packets are judged as they come (`connection.ts`, `model.ts`).
 * `settle` waits for all that is owed: by then every request is answered, every message of QoS 1 and 2 that was
 * acknowledged is where it must be, and each retained message is one of the possible ones. Invariant: whatever the
 * broker does, each wait ends (`BOUND_MS`).
 */
import { setTimeout as after } from 'node:timers/promises'
import { Client } from './client.ts'
import {
  ackOf,
  connectOf,
  disconnectOf,
  Kind,
  type Packet,
  type Properties,
  Property,
  subscribeOf,
  unsubscribeOf,
  type Version,
} from './codec.ts'
import { type Asked, Connection, type LaneCalls } from './connection.ts'
import type { LaneEnvironment } from './environment.ts'
import { FOREVER, Message, payloadOf, Retained, SubscriptionPeriod, Ticks } from './model.ts'
import { RetainedReader } from './retained-reader.ts'
import { CLIENTS, filterOf, NAMELESS, NEVER, type Op, propertiesOf, SLOTS, TOPICS } from './script.ts'
import { Trace } from './trace.ts'
import { BOUND_MS, Waiter } from './waiter.ts'

/** Time in milliseconds after which changes that nothing waits for are on the disk, on a machine under load. */
const UNSAFE_MS = 2_000
/** Time in milliseconds after the end of its connection at which a Will that is due has come, if it comes at all. */
const WILL_LATE_MS = 12_000
export class Lane {
  readonly number: number
  readonly trace: Trace
  readonly #environment: LaneEnvironment
  readonly #found: (kind: string, text: string) => void
  readonly #ticks = new Ticks()
  readonly #retained = new Retained()
  readonly #messages = new Map<number, Message>()
  readonly #clients: Client[] = []
  readonly #slots: (Connection | null)[] = new Array<Connection | null>(SLOTS).fill(null)
  /** Last CONNECT of each slot. */
  readonly #asked: Extract<Op, { do: 'connect' }>[] = []
  /** Connections that are not closed yet, also when their slot has another one. */
  readonly #open = new Set<Connection>()
  readonly #calls: LaneCalls
  readonly #waiter: Waiter
  #lastNumber = 0
  /** Number of the last message that has been settled. */
  #settledNumber = 0
  #settledAt = 0
  #nameless = 0
  #stops = 0
  readonly #previous = new Map<Connection, Connection | null>()
  readonly #seen = new Map<Message, number>()
  connections = 0
  published = 0

  constructor(number: number, environment: LaneEnvironment, found: (kind: string, text: string) => void) {
    this.number = number
    this.#environment = environment
    this.trace = new Trace(this.#ticks)
    this.#found = found
    this.#waiter = new Waiter(environment, found)
    for (let i = 0; i < CLIENTS; i++) this.#clients.push(this.#client(i))
    this.#calls = {
      port: environment.port,
      ticks: this.#ticks,
      isOnPubrel: environment.traits.isOnPubrel,
      isStopping: environment.isStopping,
      messageOf: (wanted) => this.#messages.get(wanted) ?? null,
      found,
      trace: this.trace,
      onActivity: () => this.#waiter.wake(),
      onConnack: (connection, packet) => this.#onConnack(connection, packet),
      onClosed: (connection) => this.#onClosed(connection),
      onNobody: (message, where) => this.#onNobody(message, where),
    }
  }

  #client(number: number): Client {
    if (number >= NAMELESS) return new Client(NAMELESS + this.#nameless++, '', true, this.#retained, this.#found)
    const clientId = `L${this.number}-${'abcd'[number]}`
    return new Client(number, clientId, this.#environment.traits.isOnce, this.#retained, this.#found)
  }

  /** Plays an operation. Resolves when it is done; rejects only when the broker is gone. */
  async play(op: Op): Promise<void> {
    switch (op.do) {
      case 'connect':
        return await this.#connect(op)
      case 'pause':
        return await after(op.ms)
      case 'sync':
        await this.#answered()
        return
      case 'settle':
        return await this.#settle(op.afterwards)
      case 'restart':
        return await this.#environment.restart(op.how)
    }
    const connection = await this.#connected(op.slot)
    if (connection === null) return
    switch (op.do) {
      case 'disconnect':
        return this.#disconnect(connection, op.code, op.expiry)
      case 'drop':
        return this.#drop(connection, op.reset)
      case 'publish':
        return await this.#publish(connection, op)
      case 'repeat':
        return this.#repeat(connection)
      case 'subscribe':
        return this.#subscribe(connection, op)
      case 'unsubscribe':
        return this.#unsubscribe(connection, op.filters)
      case 'acks':
        connection.acks = op.how
        if (op.how !== 'hold') connection.release(FOREVER)
        return
      case 'release':
        return connection.release(op.count)
      case 'pubrels':
        connection.holdsPubrels = op.held
        if (!op.held) connection.releasePubrels()
        return
      case 'deaf':
        return connection.deaf(op.on)
      case 'ping':
        if (!connection.isDeaf) connection.ping()
    }
  }

  /** Returns the connection of a slot; one that was lost with the broker is opened again, as clients do. */
  async #connected(slot: number): Promise<Connection | null> {
    const connection = this.#slots[slot] ?? null
    const asked = this.#asked[slot]!
    if (connection?.isTaken && connection.client.owner === connection)
      await this.#connect({ ...asked, clean: asked.client === NAMELESS })
    const now = this.#slots[slot] ?? null
    return now !== null && (await this.#isLive(now)) ? now : null
  }

  /** Waits for CONNACK, since most of what a client may do depends on it. */
  async #isLive(connection: Connection): Promise<boolean> {
    await this.#waiter.until(() => connection.connectedAt > 0 || connection.isClosed || connection.isLeaving, 'CONNACK')
    return connection.isLive
  }

  async #answered(): Promise<boolean> {
    const isIdle = (connection: Connection | null): boolean => connection === null || connection.isIdle
    if (await this.#waiter.until(() => this.#slots.every(isIdle), '')) return true
    for (const connection of this.#slots) {
      if (connection === null || connection.isIdle) continue
      const waiting = [...connection.client.outgoing].map(
        ([id, { message, phase }]) => `${phase} ${id} (QoS ${message.qos})`,
      )
      this.#found(
        'unanswered',
        `${connection.client.clientId}: after ${BOUND_MS / 1000} s it waits for ${connection.pings} PINGRESP, ${connection.requests.size} SUBACK or UNSUBACK, and ${waiting.slice(0, 5)}`,
      )
      this.#drop(connection, false)
    }
    return false
  }

  async #connect(op: Extract<Op, { do: 'connect' }>): Promise<void> {
    await this.#environment.running()
    const here = this.#slots[op.slot]
    if (here && !here.isClosed && !here.isLeaving) this.#drop(here, false)
    const client = op.client === NAMELESS ? this.#client(NAMELESS) : this.#clients[op.client]!
    const version = this.#environment.traits.versions.includes(op.version) ? op.version : 4
    if (version === 3 && client.clientId === '') return
    const before = client.owner
    if (before !== null && !before.isClosed && !before.isLeaving) await this.#isLive(before)
    if (before?.isLeaving && op.after)
      await this.#waiter.until(() => before.isClosed, 'the end of a connection that has sent DISCONNECT')
    // A session without a name of its own cannot be resumed
    const expiry = op.client === NAMELESS && op.expiry !== null ? Math.min(op.expiry, 1) : op.expiry
    const asked: Asked = {
      version,
      clean: op.clean,
      expirySeconds: version === 5 ? (expiry ?? 0) : op.clean ? 0 : NEVER,
      receiveMaximum: version === 5 ? op.receiveMaximum : 0,
      packetMax: version === 5 ? op.packetMax : 0,
      aliases: version === 5 ? op.aliases : 0,
    }
    const will = op.will === null ? null : this.#will(client, version, op.will)
    const connection = new Connection(client, asked, will, op.will?.delay ?? 0, this.#calls)
    this.connections++
    this.#previous.set(connection, before)
    if (before !== null && !before.isLeaving && !before.isClosed) {
      before.isReplaced = true
      before.deaf(false)
      this.#willIsDue(before)
    }
    client.owner = connection
    this.#slots[op.slot] = connection
    this.#asked[op.slot] = op
    if (asked.packetMax > 0) client.packetMax = Math.min(asked.packetMax, client.packetMax)
    this.#open.add(connection)
    const properties: [number, number][] = []
    if (expiry !== null) properties.push([Property.SessionExpiry, expiry])
    if (op.receiveMaximum > 0) properties.push([Property.ReceiveMaximum, op.receiveMaximum])
    if (op.packetMax > 0) properties.push([Property.MaximumPacketSize, op.packetMax])
    if (op.aliases > 0) properties.push([Property.TopicAliasMaximum, op.aliases])
    const willOf =
      will === null
        ? null
        : {
            ...will,
            properties: [
              ...will.properties,
              ...(op.will!.delay > 0 ? [[Property.WillDelay, op.will!.delay] as const] : []),
            ],
          }
    connection.write(
      connectOf(version, client.clientId, op.clean, 0, willOf, properties),
      JSON.stringify({ ...asked, will: will?.number }),
    )
  }

  #will(client: Client, version: Version, asked: { topic: number; qos: number; retain: boolean }): Message {
    const properties: Properties = version === 5 ? [[Property.UserProperty, ['will', 'yes']]] : []
    return this.#message(client, TOPICS[asked.topic]!, asked.qos, asked.retain, 30, properties, 0, true)
  }

  #message(
    client: Client,
    topic: string,
    qos: number,
    retain: boolean,
    size: number,
    properties: Properties,
    expirySeconds: number,
    isWill: boolean,
  ): Message {
    const number = ++this.#lastNumber
    const message = new Message({
      number,
      publisher: client.number,
      topic: `L${this.number}/${topic}`,
      qos,
      retain,
      payload: payloadOf(number, size),
      properties,
      expirySeconds,
      isWill,
      sentAt: this.#ticks.next(),
    })
    this.#messages.set(number, message)
    if (retain) this.#retained.add(message)
    return message
  }

  #onConnack(connection: Connection, { sessionPresent }: Packet): void {
    const { client, asked } = connection
    const previous = this.#previous.get(connection) ?? null
    this.#previous.delete(connection)
    const expected = asked.clean ? false : client.expectsSession(previous, connection.sentMs)
    if (connection.version !== 3 && expected !== null && sessionPresent !== expected) {
      this.#found(
        'session-present',
        `${client.clientId} (version ${connection.version}): Session Present ${sessionPresent ? 1 : 0}, expiry was ${client.expiry}${asked.clean ? ', Clean Start' : ''}`,
      )
    }
    // 3.1 does not tell; then the expectation is believed
    const isPresent = connection.version === 3 ? expected : sessionPresent
    if (isPresent === false) {
      client.begin()
      connection.isFirst = true
    } else if (isPresent === null) client.blur(this.#ticks.now)
    else if (client.exists === null) client.blur(this.#ticks.now)
    client.exists = true
    client.expiry = [asked.expirySeconds, asked.expirySeconds]
    for (const [packetId, entry] of client.outgoing) {
      entry.isHeld = false
      if (entry.phase === 'release') {
        connection.write(ackOf(connection.version, Kind.Pubrel, packetId))
        continue
      }
      entry.due = 1
      entry.message.repeats++
      entry.message.doneAt = FOREVER
      connection.write(
        connection.publish(entry.message, packetId, true, entry.message.topic, 0),
        `#${entry.message.number} id ${packetId}`,
      )
    }
  }

  /** Handles the end of a connection, however it came about. The broker is now known to have handled its DISCONNECT. */
  #onClosed(connection: Connection): void {
    const { client, asked, sentDisconnect, will } = connection
    this.#ticks.next()
    if (connection.isReplaced || client.owner !== connection) return
    if (!connection.isConfirmed) {
      if (asked.expirySeconds === 0) this.#voidOwed(client)
      return
    }
    const { code, expirySeconds } = sentDisconnect!
    if (code === 0 && will?.state === 'open') {
      will.state = 'cancelled'
      will.cancelledMs = performance.now()
    }
    if (expirySeconds !== null) client.expiry = [expirySeconds, expirySeconds]
  }

  #onNobody(message: Message, where: string): void {
    for (const client of this.#clients) {
      // A CONNECT that is on its way may end its session
      if (!client.isDurable || (client.owner?.connectedAt === 0 && !client.owner.isClosed)) continue
      const [period] = client.subscriptions.owedBy(message).filter(({ endAskedAt }) => endAskedAt === FOREVER)
      if (period !== undefined)
        this.#found('reason-code', `${where} says 0x10 (no subscription), ${client.clientId} has ${period.filter}`)
    }
  }

  #disconnect(connection: Connection, code: number, expiry: number | null): void {
    const { version, client, asked } = connection
    // 5.0 section 3.14.2.2.2: 0 in CONNECT cannot be changed
    const asksExpiry = version === 5 && expiry !== null && (asked.expirySeconds > 0 || expiry === 0)
    const properties: Properties = asksExpiry ? [[Property.SessionExpiry, expiry]] : []
    const wantsWill = version === 5 && code === 4
    this.#ticks.next()
    connection.leave(disconnectOf(version, wantsWill ? 4 : 0, properties), code, asksExpiry ? expiry : null)
    if (asksExpiry) client.expiry = [Math.min(client.expiry[0], expiry), Math.max(client.expiry[1], expiry)]
    client.unsafeSinceMs = performance.now()
    if (wantsWill) this.#willIsDue(connection)
    if (asked.expirySeconds === 0 || (asksExpiry && expiry === 0)) this.#voidOwed(client)
  }

  #drop(connection: Connection, reset: boolean): void {
    const { client, asked } = connection
    if (connection.isClosed || connection.isLeaving) return
    const isAnswered = connection.connectedAt > 0
    this.#ticks.next()
    connection.drop(reset)
    if (connection.isReplaced) return
    if (isAnswered) this.#willIsDue(connection)
    else this.#unanswered(connection)
    if (asked.expirySeconds === 0) this.#voidOwed(client)
    client.unsafeSinceMs = performance.now()
  }

  /** Handles a CONNECT that the broker may have handled or not. */
  #unanswered({ client, asked }: Connection): void {
    this.#ticks.next()
    if (asked.clean || client.exists !== true || client.expiry[0] < 600 || asked.expirySeconds < 600) {
      client.exists = null
      client.blur(this.#ticks.now)
    }
    client.expiry = [Math.min(client.expiry[0], asked.expirySeconds), Math.max(client.expiry[1], asked.expirySeconds)]
  }

  /** Forgets messages owed to a client whose session ends with the connection. */
  #voidOwed(client: Client): void {
    client.subscriptions.owedFrom = this.#ticks.next()
  }

  #willIsDue({ will, willDelay, client }: Connection): void {
    if (will === null || will.state !== 'open') return
    if (willDelay > 0 || client.number >= NAMELESS) return
    will.state = 'due'
    will.owedFrom = this.#ticks.now
  }

  async #publish(connection: Connection, op: Extract<Op, { do: 'publish' }>): Promise<void> {
    const { client, version } = connection
    if (op.qos > 0) {
      if (client.outgoing.size >= Math.min(connection.serverReceiveMaximum, 60)) return
    }
    const expiry = version === 5 ? op.expiry : 0
    const properties = version === 5 ? propertiesOf(op.properties, `L${this.number}/answer`) : []
    const message = this.#message(client, TOPICS[op.topic]!, op.qos, op.retain, op.size, properties, expiry, false)
    this.published++
    const packetId = op.qos > 0 ? client.packetId((id) => !connection.requests.has(id)) : 0
    const mayAlias = op.alias > 0 && version === 5 && op.alias <= connection.serverAliases
    const isKnown = mayAlias && connection.aliasesOut.get(op.alias) === message.topic
    const bytes = connection.publish(message, packetId, false, isKnown ? '' : message.topic, mayAlias ? op.alias : 0)
    if (op.how === 'torn') {
      message.state = 'never'
      message.doneAt = 0
      connection.writeTorn(bytes.subarray(0, bytes.length - 1 - (message.number % (bytes.length - 1))))
      // Once it has left this process
      await new Promise((resolve) => setImmediate(resolve))
      this.#drop(connection, false)
      return
    }
    if (mayAlias) connection.aliasesOut.set(op.alias, message.topic)
    if (op.qos > 0) client.outgoing.set(packetId, { message, phase: 'publish', isHeld: false, due: 1 })
    else connection.unconfirmed.push(message)
    if (op.how === 'split') await connection.writeSplit(bytes)
    else
      connection.write(
        bytes,
        `#${message.number} id ${packetId} ${op.retain ? 'retain ' : ''}${TOPICS[op.topic]!.slice(0, 6)} q${op.qos}`,
      )
  }

  /** Sends messages again, which a client may do at any time before 5.0. */
  #repeat(connection: Connection): void {
    if (connection.version === 5) return
    for (const [packetId, entry] of connection.client.outgoing) {
      if (entry.phase !== 'publish' || entry.due === 0) continue
      entry.due++
      entry.message.repeats++
      entry.message.doneAt = FOREVER
      this.#ticks.next()
      connection.write(
        connection.publish(entry.message, packetId, true, entry.message.topic, 0),
        `#${entry.message.number} id ${packetId}`,
      )
      return
    }
  }

  #subscribe(connection: Connection, op: Extract<Op, { do: 'subscribe' }>): void {
    const { client, version } = connection
    const isV5 = version === 5
    const askedAt = this.#ticks.next()
    const periods: SubscriptionPeriod[] = []
    for (const asked of op.filters) {
      const filter = filterOf(this.number, asked.filter)
      const isShared = filter.startsWith('$share/')
      if (isShared && !isV5) continue
      if (periods.some((other) => other.filter === filter)) continue
      periods.push(
        new SubscriptionPeriod({
          filter,
          qos: asked.qos,
          // A Shared Subscription has no No Local [MQTT-3.8.3-4]
          noLocal: isV5 && asked.noLocal && !isShared,
          retainAsPublished: isV5 && asked.retainAsPublished,
          retainHandling: isV5 ? asked.retainHandling : 0,
          identifier: isV5 ? op.identifier : 0,
          askedAt,
        }),
      )
    }
    if (periods.length === 0) return
    const packetId = client.packetId((id) => !connection.requests.has(id))
    connection.requests.set(packetId, { kind: 'subscribe', periods })
    for (const period of periods) client.subscriptions.subscribe(period)
    connection.write(
      subscribeOf(version, packetId, periods, isV5 ? op.identifier : 0),
      periods.map((s) => `${s.filter} q${s.qos}`).join(),
    )
  }

  #unsubscribe(connection: Connection, numbers: readonly number[]): void {
    const { client, version } = connection
    const askedAt = this.#ticks.next()
    const filters = [...new Set(numbers)].map((number) => filterOf(this.number, number))
    const packetId = client.packetId((id) => !connection.requests.has(id))
    connection.requests.set(packetId, { kind: 'unsubscribe', filters, askedAt })
    for (const filter of filters) client.subscriptions.unsubscribe(filter, askedAt)
    connection.write(unsubscribeOf(version, packetId, filters), filters.join())
  }

  /** Prepares for the end of the broker. */
  onStop(how: 'term' | 'kill'): void {
    this.#stops++
    this.#ticks.next()
    for (const connection of this.#open) {
      const { client, asked } = connection
      if (!connection.isReplaced && client.owner === connection && !connection.isLeaving) {
        if (connection.connectedAt === 0) this.#unanswered(connection)
        // Its Will was on the disk before CONNACK; at an orderly end the client may be told to come back
        else if (how === 'kill' && this.#environment.traits.isDurable) this.#willIsDue(connection)
        if (asked.expirySeconds === 0) this.#voidOwed(client)
      }
      if (how === 'kill') connection.lost()
    }
    const nowMs = performance.now()
    for (const client of this.#clients) client.subscriptions.stoppedMs = nowMs
    if (how === 'term') return
    const { isDurable } = this.#environment.traits
    for (const message of this.#messages.values()) {
      if (message.state === 'due' && !isDurable) message.state = 'open'
      // Nothing waits for the disk after DISCONNECT: soon after it a crash may undo that the Will was taken away
      if (message.state === 'cancelled' && nowMs - message.cancelledMs < UNSAFE_MS) message.state = 'open'
      // At QoS 0 nothing is promised, RETAIN or not
      if (message.qos === 0 && message.number > this.#settledNumber && message.state === 'accepted')
        message.state = 'open'
    }
    for (const client of this.#clients) {
      client.subscriptions.crashedMs = nowMs
      for (const entry of client.incoming.values()) if (entry.qos === 1) entry.isDoubtful = true
      const isUnsafe = nowMs - client.unsafeSinceMs < UNSAFE_MS
      const isShort = client.expiry[0] < 600
      if (!isDurable || (client.exists === false && isUnsafe) || (client.exists !== false && isShort)) {
        client.exists = null
        client.blur(this.#ticks.now)
      }
    }
  }

  async #settle(afterwards: 'stay' | 'drop' | 'leave'): Promise<void> {
    await this.#environment.running()
    const stops = this.#stops
    for (const connection of this.#slots) {
      if (connection === null || !(await this.#isLive(connection))) continue
      connection.deaf(false)
      connection.acks = 'auto'
      connection.release(FOREVER)
      connection.holdsPubrels = false
      connection.releasePubrels()
    }
    for (const client of this.#clients) await this.#bring(client)
    if (!(await this.#round())) return
    await this.#owed()
    // For messages that might come twice, and those that are not owed
    for (let before = -1, now = this.#arrivals; now !== before && (await this.#round()); now = this.#arrivals)
      before = now
    await this.#lookAtRetained()
    // A restart in between leaves everything to the next time
    if (this.#stops === stops) this.#forget()
    if (afterwards === 'stay') return
    for (const connection of this.#slots) {
      if (connection === null || !connection.isLive) continue
      if (afterwards === 'drop') this.#drop(connection, false)
      else this.#disconnect(connection, 0, null)
    }
  }

  get #arrivals(): number {
    return this.#clients.reduce((sum, { subscriptions }) => sum + subscriptions.arrivals, 0)
  }

  /** Reconnects a client whose session waits. */
  async #bring(client: Client): Promise<void> {
    if (client.owner?.isLive || client.exists === false) return
    const slot = this.#slots.findIndex((connection) => connection === null || !connection.isLive)
    await this.#connect({
      do: 'connect',
      slot,
      client: client.number,
      version: 5,
      clean: false,
      expiry: 1_000,
      receiveMaximum: 0,
      packetMax: 0,
      aliases: 0,
      will: null,
      after: true,
    })
    await this.#isLive(client.owner!)
  }

  /** Waits until each connection has answered to all, in both directions. */
  async #round(): Promise<boolean> {
    for (let i = 0; i < 2; i++) {
      for (const connection of this.#slots) if (connection?.isLive) connection.ping()
      if (!(await this.#answered())) return false
    }
    return true
  }

  /** Waits until every owed message has come, or nothing more comes. */
  async #owed(): Promise<void> {
    let last = -1
    let missing = this.#missing()
    while (missing.length > 0 && missing.length !== last) {
      last = missing.length
      await this.#waiter.until(() => this.#missing().length < last, '', this.#environment.quietMs)
      missing = this.#missing()
    }
    for (const [message, where] of missing) {
      const kind = message.isWill ? 'will-lost' : message.qos === 0 ? 'lost-qos0' : 'lost'
      this.#found(
        kind,
        `${where}: message ${message.number} (QoS ${message.qos}${message.retain ? ', RETAIN' : ''}${message.repeats > 0 ? `, sent ${message.repeats + 1} times` : ''}) on ${message.topic.slice(0, 20)} was acknowledged and does not come`,
      )
    }
    await this.#waiter.until(() => this.#stuck().length === 0, '', this.#environment.quietMs)
    for (const text of this.#stuck()) this.#found('stuck', text)
  }

  /** QoS 2 messages that have come and are never released, and others that are never sent again. */
  #stuck(): string[] {
    return this.#slots.flatMap((connection) => {
      if (!connection?.isLive) return []
      const { client } = connection
      return [...client.incoming].flatMap(([packetId, { message, qos, isDoubtful }]) =>
        isDoubtful || message === null || message.isShortLived || !client.fits(message)
          ? []
          : [`${client.clientId}: packet id ${packetId}, message ${message.number} at QoS ${qos}, is not finished`],
      )
    })
  }

  #missing(): [Message, string][] {
    const missing: [Message, string][] = []
    for (const message of this.#messages.values()) {
      if (message.number <= this.#settledNumber && !message.isWill) continue
      if ((message.state !== 'accepted' && message.state !== 'due') || message.isShortLived || message.isClear) continue
      for (const client of this.#clients) {
        if (client.exists !== true || !client.owner?.isLive || client.subscriptions.hasReceived(message)) continue
        const periods = client.subscriptions.owedBy(message)
        if (periods.length === 0 || !client.fits(message)) continue
        const qos = Math.min(message.qos, Math.max(...periods.map((period) => period.qos)))
        const { owner } = client
        // QoS 0 is owed only to those who were there all the time and read
        if (qos === 0 && (owner.connectedAt > message.owedFrom || owner.hadPaused)) continue
        missing.push([message, `${client.clientId}, subscribed to ${periods.map(({ filter }) => filter)}`])
      }
    }
    return missing
  }

  async #lookAtRetained(): Promise<void> {
    await this.#environment.running()
    const stops = this.#stops
    const reader = new RetainedReader(
      this.#environment.port,
      this.number,
      this.#environment.traits.versions.includes(5) ? 5 : 4,
    )
    let wrong: string[] = []
    const compare = (): string[] => (wrong = reader.compare(this.#retained))
    const isOver = (): boolean => reader.failure !== '' || (reader.isDone && compare().length === 0)
    const timer = setInterval(() => this.#waiter.wake(), 10)
    await this.#waiter.until(isOver, '', reader.failure === '' ? this.#environment.quietMs : 0)
    clearInterval(timer)
    reader.close()
    if (this.#stops > stops || this.#environment.isStopping()) return
    if (reader.failure !== '') this.#found('retained', `the reader: ${reader.failure}`)
    else if (!reader.isDone) this.#found('unanswered', 'the reader gets no SUBACK or PINGRESP')
    for (const text of wrong) this.#found('retained', text)
  }

  /** Forgets settled messages, so that a walk of any length needs the same memory. */
  #forget(): void {
    const tick = this.#ticks.next()
    const nowMs = performance.now()
    const live = this.#slots.filter((connection) => connection !== null && !connection.isClosed) as Connection[]
    const wills = new Set(live.map(({ will }) => will))
    for (const message of this.#messages.values()) {
      if (message.doneAt < FOREVER || wills.has(message)) continue
      if (this.#clients.some((client) => client.isSending(message))) continue
      if (message.isWill && nowMs - this.#lastUse(message) < WILL_LATE_MS) continue
      message.doneAt = tick
      if (message.state === 'due') message.state = 'accepted'
    }
    this.#retained.prune()
    for (const message of this.#messages.values()) {
      if (message.number > this.#settledNumber || message.doneAt === FOREVER) continue
      if (!this.#retained.holds(message)) this.#messages.delete(message.number)
    }
    for (const client of this.#clients) {
      client.subscriptions.forget((number) => !this.#messages.has(number), this.#settledAt)
      for (const message of client.refused) if (!this.#messages.has(message.number)) client.refused.delete(message)
      if (!client.owner?.isLive) continue
      client.packetMax = client.owner.asked.packetMax || FOREVER
      for (const [packetId, { isDoubtful, message }] of client.incoming)
        if (isDoubtful || message === null || message.isShortLived) client.incoming.delete(packetId)
    }
    for (const message of this.#seen.keys()) if (!this.#messages.has(message.number)) this.#seen.delete(message)
    this.#settledNumber = this.#lastNumber
    this.#settledAt = tick
    for (const connection of this.#open) if (connection.isClosed) this.#open.delete(connection)
    for (const connection of this.#previous.keys()) if (connection.isClosed) this.#previous.delete(connection)
  }

  /** Returns the time when a Will was first seen without its connection. */
  #lastUse(message: Message): number {
    const since = this.#seen.get(message) ?? performance.now()
    this.#seen.set(message, since)
    return since
  }

  /** Handles the end of the broker: every connection to it is closed here too, then. */
  async ended(): Promise<void> {
    for (const connection of this.#open) connection.lost()
    // Messages sent while it was ending
    for (const { subscriptions } of this.#clients) subscriptions.stoppedMs = performance.now()
    while ([...this.#open].some((connection) => !connection.isClosed)) await after(1)
  }

  close(): void {
    for (const connection of this.#open) connection.lost()
  }
}
