/**
 * The memory of decisions: why messages did not arrive, as the broker decided it, for `why` and the list of drops.
 *
 * An observer of the broker (`broker.observe`); `watches.ts` tells it of messages that are published, of all while they are
 * few. Invariants: memory is fixed, whatever happens; what is dropped or refused is noted each time, what arrives one time
 * in `SAMPLED`; the last publish of a topic is known for the topics that were first published to last. `order` numbers what is
 * noted: two things of one millisecond have theirs.
 */
import type { BrokerEvents, ClientInfo, DropReason, Observer, RetainedAnswer } from '@recado/broker'
import { isKeptWhole, kept, Ring } from './ring.ts'

/** Published messages from one that is noted to the next. */
const SAMPLED = 1_000
const WITHHELD_MAX = 1_000
const SAMPLES_MAX = 1_000
const SUBSCRIPTIONS_MAX = 2_000
const CLIENTS_MAX = 2_000
/** Connected clients whose beginning is remembered. */
const CONNECTED_MAX = 10_000
const TOPICS_MAX = 10_000
const GROUPS_MAX = 1_000
const CHOICES_MAX = 16
/** Drops for one client and reason with shorter pauses than this are one run. */
const RUN_GAP_MS = 60_000
const RUNS_MAX = 10_000
/** Length of a window in which messages of a topic are counted, and after which it is over without a message. */
const RATE_WINDOW_MS = 5_000
const FAILURE = 0x80

/** Part of a published message that is noted. */
export type PublishedMessage = Pick<BrokerEvents['message.published']['message'], 'topic' | 'qos' | 'retain'>

/** A message that did not reach a subscriber. */
export interface Dropped {
  readonly atMs: number
  /** Publisher or subscriber; '' for nobody in particular. */
  readonly clientId: string
  readonly isForSubscriber: boolean
  readonly topic: string
  readonly qos: number
  readonly reason: DropReason
}

/** A message that a client did not get because it was its own. */
export interface Withheld {
  readonly atMs: number
  readonly clientId: string
  readonly topic: string
  readonly topicFilter: string
}

/** The member that a Shared Subscription chose. */
export interface Choice {
  readonly atMs: number
  readonly clientId: string
  readonly topic: string
}

/** A subscription that was refused, or that got no retained messages. */
export interface SubscriptionNote {
  readonly atMs: number
  readonly clientId: string
  readonly topicFilter: string
  readonly reasonCode: number
  readonly retained: RetainedAnswer
}

/** A subscription that was made, or made again. */
export interface MadeNote {
  readonly order: number
  readonly atMs: number
  readonly clientId: string
  readonly topicFilter: string
}

/** Beginning of a connection. */
export interface Connected {
  readonly order: number
  readonly atMs: number
  /** Whether it went on with a session that was there. */
  readonly sessionPresent: boolean
}

/** Knowledge of a client that has left. */
export type LeftClient = Pick<ClientInfo, 'username' | 'listener' | 'protocolVersion' | 'remoteAddress'>

/** End of a connection or a session, or a refused connection. */
export interface ClientNote {
  readonly order: number
  readonly atMs: number
  /** Beginning of the connection that has ended; null: it is not remembered, or none has ended. */
  readonly connected: Connected | null
  /** Client whose connection has ended; null: none has, or its names are too long. */
  readonly client: LeftClient | null
  readonly clientId: string
  readonly what: 'disconnected' | 'session-ended' | 'refused'
  readonly why: string
}

/** Last publish of a topic. */
export interface Publication {
  atMs: number
  /** Publisher; null: the broker or the program. */
  clientId: string | null
  qos: number
  retain: boolean
  /** Messages since the topic is remembered. */
  messages: number
}

/** Last publish of a topic, and how often it is published to. */
export interface TopicNote extends Publication {
  order: number
  /** Beginning of the present window, and messages in it. */
  windowMs: number
  windowMessages: number
  /** Messages per second in the window before. */
  rate: number
}

/** A run of drops for one client and reason. */
export interface Run {
  readonly sinceMs: number
  lastMs: number
  messages: number
}

export class Decisions {
  readonly drops: Ring<Dropped>
  readonly withheld: Ring<Withheld> = new Ring(WITHHELD_MAX)
  readonly subscriptions: Ring<SubscriptionNote> = new Ring(SUBSCRIPTIONS_MAX)
  readonly made: Ring<MadeNote> = new Ring(SUBSCRIPTIONS_MAX)
  readonly clients: Ring<ClientNote> = new Ring(CLIENTS_MAX)
  readonly samples: Ring<{ readonly topic: string } & Publication> = new Ring(SAMPLES_MAX)
  readonly #topics: Map<string, TopicNote> = new Map()
  readonly #choices: Map<string, Ring<Choice>> = new Map()
  readonly #runs: Map<string, Run> = new Map()
  readonly #connected: Map<string, Connected> = new Map()
  readonly #nowMs: () => number
  #untilSample = SAMPLED
  #order = 0

  /**
   * @param dropsMax drops that are remembered
   * @param nowMs a clock that costs nothing to read: it is read for each message
   */
  constructor(dropsMax: number, nowMs: () => number = Date.now) {
    this.drops = new Ring(dropsMax)
    this.#nowMs = nowMs
  }

  /** Last publish of a topic; undefined when it is not remembered. */
  lastOf(topic: string): Readonly<Publication> | undefined {
    const note = this.#topics.get(topic)
    if (note === undefined) return undefined
    const { atMs, clientId, qos, retain, messages } = note
    return { atMs, clientId, qos, retain, messages }
  }

  /** Number of the last publish of a topic among all that is noted; undefined when it is not remembered. */
  orderOf(topic: string): number | undefined {
    return this.#topics.get(topic)?.order
  }

  /** Beginning of the connection of a client that is connected; undefined when it is not remembered. */
  connectedOf(clientId: string): Connected | undefined {
    return this.#connected.get(clientId)
  }

  /** Knowledge of a client that was connected once; undefined: none. */
  leftClient(clientId: string): LeftClient | undefined {
    const id = kept(clientId)
    for (const note of this.clients.latest()) if (note.clientId === id && note.client !== null) return note.client
    return undefined
  }

  /** Topics that are remembered. */
  topics(): IterableIterator<[topic: string, note: Readonly<TopicNote>]> {
    return this.#topics.entries()
  }

  /** Topics that are remembered now: a copy, for others come while somebody walks through them. */
  topicNames(): readonly string[] {
    return [...this.#topics.keys()]
  }

  /** Last choices of a Shared Subscription, latest first. `topicFilter` has `$share/name/`. */
  choicesOf(topicFilter: string): Iterable<Choice> {
    return this.#choices.get(topicFilter)?.latest() ?? []
  }

  /** Run of drops that a client is in, or was in last, for a reason. */
  runOf(clientId: string, reason: string): Readonly<Run> | undefined {
    return this.#runs.get(`${reason} ${clientId}`)
  }

  /** Observer to be added to the broker. */
  readonly observer: Observer = {
    'message.dropped': (event) => this.#dropped(event),
    'message.withheld': ({ clientId, topic, topicFilter }) =>
      this.withheld.add({
        atMs: this.#nowMs(),
        clientId: kept(clientId),
        topic: kept(topic),
        topicFilter: kept(topicFilter),
      }),
    'message.shared': ({ clientId, topic, topicFilter }) => this.#chose(clientId, topic, topicFilter),
    'subscription.made': ({ client, topicFilter, reasonCode, retained }) => {
      if (reasonCode < FAILURE) {
        const [id, filter] = [kept(client.clientId), kept(topicFilter)]
        this.made.add({ order: ++this.#order, atMs: this.#nowMs(), clientId: id, topicFilter: filter })
        if (retained === 'sent') return
      }
      this.#subscribed(client.clientId, topicFilter, reasonCode, retained)
    },
    'subscription.withdrawn': ({ client, topicFilter, reasonCode }) =>
      this.#subscribed(client.clientId, topicFilter, reasonCode, 'refused'),
    'client.connected': ({ client: { clientId }, sessionPresent }) => this.#connects(clientId, sessionPresent),
    'client.disconnected': ({ client, byClient, reasonCode, why }) => {
      const { clientId, username, listener, protocolVersion, remoteAddress } = client
      const isWhole = isKeptWhole(username ?? '') && isKeptWhole(listener)
      const left = isWhole ? { username, listener, protocolVersion, remoteAddress } : null
      const connected = this.#connected.get(clientId) ?? null
      this.#connected.delete(clientId)
      const own = reasonCode === 0 ? 'it sent DISCONNECT' : `it sent DISCONNECT, ${why}`
      this.#note(clientId, 'disconnected', byClient ? own : why, connected, left)
    },
    'session.ended': ({ clientId, why }) => this.#note(clientId, 'session-ended', why),
    'connection.refused': ({ clientId, why }) => {
      if (clientId !== '') this.#note(clientId, 'refused', why)
    },
  }

  /**
   * Notes a message that was published. Of many a second it is one that stands for `weight` messages: which topic was
   * published to last is then known of busy topics, and what is counted is an estimate.
   */
  published(clientId: string | null, { topic, qos, retain }: PublishedMessage, weight: number = 1): void {
    // The broker's own news would be most of it.
    if (topic.charCodeAt(0) === 0x24 && topic.startsWith('$SYS/')) return
    const atMs = this.#nowMs()
    const known = this.#topics.get(topic)
    if (known !== undefined) {
      known.order = ++this.#order
      known.atMs = atMs
      known.clientId = clientId
      known.qos = qos
      known.retain = retain
      known.messages += weight
      known.windowMessages += weight
      const windowMs = atMs - known.windowMs
      if (windowMs >= RATE_WINDOW_MS) {
        known.rate = (known.windowMessages * 1_000) / windowMs
        known.windowMs = atMs
        known.windowMessages = 0
      }
    } else if (isKeptWhole(topic)) {
      if (this.#topics.size >= TOPICS_MAX) this.#topics.delete(this.#topics.keys().next().value!)
      this.#topics.set(topic, {
        ...{ order: ++this.#order, atMs, clientId, qos, retain, messages: weight },
        ...{ windowMs: atMs, windowMessages: 0, rate: 0 },
      })
    }
    this.#untilSample -= weight
    if (this.#untilSample > 0) return
    this.#untilSample = SAMPLED
    this.samples.add({ topic: kept(topic), atMs, clientId, qos, retain, messages: 1 })
  }

  #dropped({ clientId, topic, qos, reason, isForSubscriber }: BrokerEvents['message.dropped']): void {
    const atMs = this.#nowMs()
    const id = kept(clientId)
    this.drops.add({ atMs, clientId: id, isForSubscriber: isForSubscriber === true, topic: kept(topic), qos, reason })
    if (id === '') return
    const key = `${reason} ${id}`
    const run = this.#runs.get(key)
    if (run !== undefined && atMs - run.lastMs < RUN_GAP_MS) {
      run.lastMs = atMs
      run.messages++
      return
    }
    this.#runs.delete(key)
    if (this.#runs.size >= RUNS_MAX) this.#runs.delete(this.#runs.keys().next().value!)
    this.#runs.set(key, { sinceMs: atMs, lastMs: atMs, messages: 1 })
  }

  #chose(clientId: string, topic: string, topicFilter: string): void {
    let choices = this.#choices.get(topicFilter)
    if (choices === undefined) {
      if (!isKeptWhole(topicFilter)) return
      if (this.#choices.size >= GROUPS_MAX) this.#choices.delete(this.#choices.keys().next().value!)
      choices = new Ring(CHOICES_MAX)
      this.#choices.set(topicFilter, choices)
    }
    choices.add({ atMs: this.#nowMs(), clientId: kept(clientId), topic: kept(topic) })
  }

  #subscribed(clientId: string, topicFilter: string, reasonCode: number, retained: RetainedAnswer): void {
    const [id, filter] = [kept(clientId), kept(topicFilter)]
    this.subscriptions.add({ atMs: this.#nowMs(), clientId: id, topicFilter: filter, reasonCode, retained })
  }

  #connects(clientId: string, sessionPresent: boolean): void {
    if (!isKeptWhole(clientId)) return
    this.#connected.delete(clientId)
    if (this.#connected.size >= CONNECTED_MAX) this.#connected.delete(this.#connected.keys().next().value!)
    this.#connected.set(clientId, { order: ++this.#order, atMs: this.#nowMs(), sessionPresent })
  }

  #note(
    clientId: string,
    what: ClientNote['what'],
    why: string,
    connected: Connected | null = null,
    client: LeftClient | null = null,
  ): void {
    const [order, atMs] = [++this.#order, this.#nowMs()]
    this.clients.add({ order, atMs, clientId: kept(clientId), what, why: kept(why), connected, client })
  }
}

/** Messages per second of a topic, over the last 5 to 10 seconds. */
export function rateOf({ windowMs, windowMessages, rate }: Readonly<TopicNote>, nowMs: number): number {
  const sinceMs = nowMs - windowMs
  if (sinceMs < 1_000) return rate
  const now = (windowMessages * 1_000) / sinceMs
  // A window that has only begun says little; one that is long over says all.
  return sinceMs >= RATE_WINDOW_MS ? now : (rate * (RATE_WINDOW_MS - sinceMs) + now * sinceMs) / RATE_WINDOW_MS
}
