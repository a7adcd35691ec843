/**
 * Rights to receive, by client and topic: a policy at delivery, which may change at any time (docs/access.md).
 *
 * A message is due to those who may have it when it is published, and leaves only to those who may have it then.
 */
import { isUnsubscribed } from './given-up.ts'
import type { Model } from './model.ts'
import type { Expectation, ModelConnection, ModelSession, Publication } from './state.ts'

interface Change {
  readonly atMs: number
  readonly isDenied: boolean
}

/** The user to whom nothing is denied. */
export const FREE_USER = 'free'

export class DeliveryRights {
  /** Changes by Client Identifier and topic. */
  readonly #changes: Map<string, Change[]> = new Map()
  /** Denials by Client Identifier and topic, whichever user it is. */
  readonly #denied: Set<string> = new Set()
  /** Client Identifiers with which a user has logged in who may receive everything. */
  readonly #free: Set<string> = new Set()
  #isEnforced = true

  set(clientId: string, topic: string, isDenied: boolean, nowMs: number): void {
    const key = `${clientId}\n${topic}`
    const changes = this.#changes.get(key) ?? []
    this.#changes.set(key, changes)
    if (isDenied) this.#denied.add(key)
    else this.#denied.delete(key)
    changes.push({ atMs: nowMs, isDenied: isDenied && this.#isEnforced && !this.#free.has(clientId) })
  }

  /** Notes that its client has logged in: the rights of some users are none of those that are denied. */
  isUser(clientId: string, username: string, nowMs: number): void {
    const isFree = username === FREE_USER
    if (isFree === this.#free.has(clientId)) return
    if (isFree) this.#free.add(clientId)
    else this.#free.delete(clientId)
    for (const [key, changes] of this.#changes)
      if (key.startsWith(`${clientId}\n`))
        changes.push({ atMs: nowMs, isDenied: !isFree && this.#isEnforced && this.#denied.has(key) })
  }

  /** Whether anybody is asked at all. */
  enforce(isEnforced: boolean, nowMs: number): void {
    if (isEnforced === this.#isEnforced) return
    this.#isEnforced = isEnforced
    for (const [key, changes] of this.#changes) {
      const [clientId] = key.split('\n') as [string]
      changes.push({ atMs: nowMs, isDenied: isEnforced && this.#denied.has(key) && !this.#free.has(clientId) })
    }
  }

  /** Whether the policy allows it to the client as the broker identifies it. */
  allows(clientId: string, username: string, topic: string): boolean {
    return username === FREE_USER || !this.#denied.has(`${clientId}\n${topic}`)
  }

  /** Whether the policy denies it to this user, now. */
  denies(clientId: string, username: string, topic: string): boolean {
    return this.#isEnforced && !this.allows(clientId, username, topic)
  }

  mayReceive(clientId: string, topic: string): boolean {
    return this.#changes.get(`${clientId}\n${topic}`)?.at(-1)?.isDenied !== true
  }

  /** Whether it was allowed and denied at this moment: a Will is published while another user takes its session over. */
  hasChangedAt(clientId: string, topic: string, nowMs: number): boolean {
    let wasDenied = false
    for (const { atMs, isDenied } of this.#changes.get(`${clientId}\n${topic}`) ?? []) {
      if (atMs === nowMs && isDenied !== wasDenied) return true
      wasDenied = isDenied
    }
    return false
  }

  /** Whether it was allowed at some moment since then, that one included. */
  mightReceive(clientId: string, topic: string, sinceMs: number): boolean {
    const changes = this.#changes.get(`${clientId}\n${topic}`) ?? []
    let wasDenied = false
    for (const { atMs, isDenied } of changes) {
      if (atMs >= sinceMs && !(wasDenied && isDenied)) return true
      wasDenied = isDenied
    }
    return !wasDenied
  }
}

/** Applies a change of rights: retained messages that have not been sent are sent to those who may have them. */
export function rightsChanged(model: Model): void {
  model.seq++
  model.cover('rights.changed')
  // Its login is from before, and cannot be asked about again.
  for (const connection of model.connections)
    if (connection.state === 'waiting' && connection.connect!.hasMethod) connection.mayEnd.add('rights have changed')
  for (const session of model.sessions.values())
    for (const list of session.expectations.values())
      for (const each of list)
        if (each.forSubscription !== null && isWithheld(model, session, each.publication)) each.isOptional = true
}

/**
 * Whether a retained message is withheld: it is sent only to clients that may receive it, if its publisher may still
 * publish it.
 */
export function isWithheld(
  model: Model,
  session: ModelSession,
  { topic, hasSource, publisherId, username }: Publication,
): boolean {
  if (!model.rights.mayReceive(session.clientId, topic)) return true
  return hasSource && model.sources.denies(publisherId, username, topic)
}

/** The broker sends this, for the first time or again. */
export function checkRight(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  expectation: Expectation,
  isAgain: boolean,
): string | null {
  const { publication, qos, forSubscription, withdrawnMs } = expectation
  let sinceMs = connection.blockedSinceMs >= 0 ? connection.blockedSinceMs : model.nowMs
  // It leaves when its packet id is on disk: that it does was decided before.
  if (qos === 2 && session.isDurable && !isAgain) sinceMs = forSubscription === null ? publication.atMs : 0
  // At QoS 2 it may have been on its way to the disk.
  const mayHaveBegun = isAgain || (qos === 2 && session.isDurable)
  // What had been written to a slow reader before leaves when that reads again.
  const mayHaveLeft = connection.blockedSinceMs >= 0 && withdrawnMs !== null && withdrawnMs >= connection.blockedSinceMs
  if (withdrawnMs !== null && !mayHaveLeft && !mayHaveBegun && isUnsubscribed(session, publication.topic))
    return 'its subscription has been withdrawn'
  if (!model.rights.mightReceive(session.clientId, publication.topic, sinceMs)) return 'the client may not receive it'
  return isAgain || mightBePublished(model, expectation) ? null : 'who has published it may not any more'
}

/** Whether the publisher of a retained message was allowed to publish it at some moment since it was asked for. */
export function mightBePublished(model: Model, { publication, forSubscription, askedMs }: Expectation): boolean {
  const { hasSource, publisherId, username, topic, wasPublishedAgain } = publication
  const isAsked = forSubscription !== null && hasSource && username !== FREE_USER && !wasPublishedAgain
  return !isAsked || model.sources.mightReceive(publisherId, topic, askedMs)
}
