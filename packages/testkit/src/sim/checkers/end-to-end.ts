/**
 * Checker `end to end`: what the application of a client sees. A message at QoS 2 comes no more often than it was
 * published, and every promise of the client library settles.
 *
 * The simulation tells it what has reached an application, and asks when all faults are over.
 */
import type { Model } from '../model/model.ts'
import type { ModelSession } from '../model/state.ts'
import type { QoS } from '../model/types.ts'

/** Client that is asked when all has come to rest. */
interface Settling {
  readonly profile: { readonly clientId: string }
  /** Messages of its own that have not been acknowledged. */
  readonly inflight: number
  /** Promises of its library that have not settled, with what they are for. */
  readonly unsettled: readonly string[]
}

/** Message as its application got it. */
export interface Received {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  /** Its client has been told that its session is a new one. */
  readonly isNewSession: boolean
  /** Number of the message in the store of the client; 0: it has none. */
  readonly by: number
  /** Name of the connection on which it came; '': the client does not say. */
  readonly connection: string
}

export class EndToEndChecker {
  readonly #model: Model
  /** Messages at QoS 2 that each application has got in each of its sessions, with their numbers. */
  readonly #received: Map<string, Map<ModelSession | undefined, Map<string, number>>> = new Map()

  constructor(model: Model) {
    this.#model = model
  }

  /** Notes a message that has reached the application, at QoS 2 no more often than it was published. */
  received(clientId: string, { topic, payload, qos, isNewSession, by, connection }: Received): void {
    // MQTT 3.1 does not tell the client that its session is a new one, and bytes of an earlier one may come late.
    const session = this.#model.sessionOf.get(connection) ?? this.#model.sessions.get(clientId)
    const bySession = this.#received.get(clientId) ?? new Map<ModelSession | undefined, Map<string, number>>()
    this.#received.set(clientId, bySession)
    const counts = (isNewSession ? undefined : bySession.get(session)) ?? new Map<string, number>()
    bySession.set(session, counts)
    if (qos !== 2) return
    const key = `${topic}\n${payload}`
    const count = (counts.get(`${by}\n${key}`) ?? 0) + 1
    counts.set(`${by}\n${key}`, count)
    const owed = session?.expectations.get(key)
    if (owed !== undefined && count > owed.length)
      this.failed(`${clientId} has got ${topic} ${payload.slice(0, 20)} ${count} times at QoS 2`)
  }

  /** Nothing that the client has published may be in flight when all has come to rest. */
  checkSettled({ profile, inflight }: Settling): void {
    if (inflight > 0) this.failed(`${profile.clientId}: ${inflight} messages in flight for ever`)
  }

  /** The client has left: no promise of its library may be open. */
  checkLeft({ profile, unsettled }: Pick<Settling, 'profile' | 'unsettled'>): void {
    if (unsettled.length > 0) this.failed(`${profile.clientId}: never settled: ${unsettled.join(', ')}`)
  }

  failed(text: string): void {
    this.#model.fail('end to end', text)
  }
}
