/**
 * Traces: every step of the messages of a topic, a client or a user, as it happens.
 *
 * `GET /api/v1/trace` begins one. The observer is added to the broker for as long as a trace runs, and nothing is done for
 * a message otherwise. Invariants: a trace ends by itself; steps that its reader does not take are counted, not kept;
 * payloads are copied only where they are asked for.
 */
import type { ApplicationMessage, Broker, ClientInfo, Observer, RecipientView } from '@recado/broker'
import { topicMatches } from '@recado/protocol'
import type { AdminHost } from '../host.ts'
import { EventQueue } from '../http/events.ts'

/** Steps that wait for the reader; more are lost, and counted. */
const WAITING_MAX = 1_000
/** Messages in flight whose acknowledgement is recognised. */
const IN_FLIGHT_MAX = 10_000
const PAYLOAD_BYTES = 1_024
/** Recipients of a message that are named. */
const NAMED_MAX = 20

const PUBLISH = 3
const PUBACK = 4
const PUBREC = 5
const PUBCOMP = 7

/** Messages that are traced; what is absent does not matter. */
export interface TraceQuery {
  readonly topicFilter?: string | undefined
  readonly clientId?: string | undefined
  readonly username?: string | undefined
  readonly payload: boolean
}

/** A step of a message. */
export interface Step {
  readonly atMs: number
  readonly step:
    | 'received'
    | 'refused'
    | 'authorized'
    | 'matched'
    | 'withheld'
    | 'chosen'
    | 'queued'
    | 'sent'
    | 'acknowledged'
    | 'dropped'
  readonly clientId: string | null
  readonly topic: string
  readonly [detail: string]: unknown
}

export class Trace {
  readonly #query: TraceQuery
  readonly #broker: Broker
  readonly #host: AdminHost
  readonly #nowMs: () => number
  readonly #queue: EventQueue<Step> = new EventQueue(WAITING_MAX)
  readonly #inFlight: Map<string, string> = new Map()
  readonly #stop: () => void

  constructor(broker: Broker, host: AdminHost, query: TraceQuery, nowMs: () => number = Date.now) {
    this.#query = query
    this.#broker = broker
    this.#host = host
    this.#nowMs = nowMs
    this.#stop = broker.observe(this.#observer())
  }

  /** Ends the trace; steps that wait may still be taken. */
  end(): void {
    this.#stop()
    this.#queue.end()
  }

  /** Resolves with steps that have come, and the number of those that were lost; null at the end. */
  next(): Promise<{ readonly events: readonly Step[]; readonly lost: number } | null> {
    return this.#queue.next()
  }

  #add(step: Step['step'], clientId: string | null, topic: string, details: Record<string, unknown> = {}): void {
    this.#queue.add(() => ({ atMs: this.#nowMs(), step, clientId, topic, ...details }))
  }

  #isTopic(topic: string): boolean {
    const { topicFilter } = this.#query
    return topicFilter === undefined ? !topic.startsWith('$SYS/') : topicMatches(topicFilter, topic)
  }

  #isClient(clientId: string | null, username: string | undefined): boolean {
    const { clientId: wanted, username: user } = this.#query
    return (wanted === undefined || wanted === clientId) && (user === undefined || user === username)
  }

  /** Whether the message goes to one that is traced. */
  #goesToWanted(recipients: readonly RecipientView[]): boolean {
    return recipients.some(({ clientId }) => this.#isClient(clientId, this.#userOf(clientId)))
  }

  #userOf(clientId: string): string | undefined {
    if (this.#query.username === undefined) return undefined
    return this.#broker.inspect.session(clientId)?.username ?? undefined
  }

  #observer(): Observer {
    const about = (clientId: string): boolean => this.#isClient(clientId, this.#userOf(clientId))
    return {
      'message.published': ({ client, message }) => this.#published(client, message),
      'message.dropped': ({ clientId, topic, qos, reason, isForSubscriber = false }) => {
        if (this.#isTopic(topic) && about(clientId)) {
          this.#add('dropped', clientId || null, topic, { qos, reason, isForSubscriber })
        }
      },
      'message.withheld': ({ clientId, topic, topicFilter }) => {
        if (this.#isTopic(topic) && about(clientId)) {
          this.#add('withheld', clientId, topic, { topicFilter, reason: 'no-local' })
        }
      },
      'message.shared': ({ clientId, topic, topicFilter }) => {
        if (this.#isTopic(topic) && about(clientId)) this.#add('chosen', clientId, topic, { topicFilter })
      },
      'message.queued': ({ clientId, topic, qos, queuedMessages }) => {
        if (this.#isTopic(topic) && about(clientId)) this.#add('queued', clientId, topic, { qos, queuedMessages })
      },
      'packet.received': ({ client, packet }) => {
        const { type, packetId = 0, reasonCode = 0 } = packet
        if (type === PUBLISH && packet.isRefused) {
          const { topic = '', qos = 0 } = packet
          if (this.#isTopic(topic) && this.#isClient(client.clientId, client.username)) {
            this.#add('refused', client.clientId, topic, { qos, reasonCode })
          }
        } else if (type === PUBACK || type === PUBREC || type === PUBCOMP) {
          this.#acknowledged(client.clientId, type, packetId, reasonCode)
        }
      },
      'packet.sent': ({ client, packet }) => {
        const { topic, packetId = 0, qos = 0, retain, dup } = packet
        if (packet.type !== PUBLISH || topic === undefined || !this.#isTopic(topic)) return
        if (!this.#isClient(client.clientId, client.username)) return
        if (qos > 0 && this.#inFlight.size < IN_FLIGHT_MAX) this.#inFlight.set(`${packetId} ${client.clientId}`, topic)
        this.#add('sent', client.clientId, topic, { qos, retain, dup, packetId })
      },
    }
  }

  #acknowledged(clientId: string, type: number, packetId: number, reasonCode: number): void {
    const key = `${packetId} ${clientId}`
    const topic = this.#inFlight.get(key)
    if (topic === undefined) return
    const packet = type === PUBACK ? 'PUBACK' : type === PUBREC ? 'PUBREC' : 'PUBCOMP'
    if (type !== PUBREC || reasonCode >= 0x80) this.#inFlight.delete(key)
    this.#add('acknowledged', clientId, topic, { packet, packetId, reasonCode })
  }

  #published(client: ClientInfo | null, { topic, qos, retain, payload }: ApplicationMessage): void {
    if (!this.#isTopic(topic)) return
    const clientId = client?.clientId ?? null
    const { recipients, total } = this.#broker.inspect.recipients(topic, {
      qos,
      ...(clientId === null ? {} : { clientId }),
    })
    if (!this.#isClient(clientId, client?.username) && !this.#goesToWanted(recipients)) return
    const shown = this.#query.payload
      ? { payloadBase64: Buffer.from(payload.subarray(0, PAYLOAD_BYTES)).toString('base64') }
      : {}
    this.#add('received', clientId, topic, { qos, retain, payloadBytes: payload.length, ...shown })
    if (client !== null) this.#authorized(client, topic)
    const named = recipients.slice(0, NAMED_MAX).map(({ clientId: id, topicFilter, deliveredQoS, verdict }) => ({
      clientId: id,
      topicFilter,
      qos: deliveredQoS,
      verdict,
    }))
    this.#add('matched', clientId, topic, { subscriptions: total, recipients: named })
  }

  /** Says which rule let it in, where the rules can say so at once. */
  #authorized(client: ClientInfo, topic: string): void {
    const answer = this.#host.checkRights?.(client, 'publish', topic)
    if (answer === undefined || answer instanceof Promise) return
    this.#add('authorized', client.clientId, topic, { by: answer.by })
  }
}
