/**
 * Rights that come with a login, such as those of a token: `byGrants` is a broker's `authorize` for clients that have
 * them.
 *
 * A source of logins (`jwt`, `webhook`) puts `Grants` into its decision; here they are enforced. Invariants: whatever
 * is not granted is refused; a subscription must be covered by one granted Topic Filter, and a message is delivered
 * only where one matches its topic, so that rights which have shrunk at a re-authentication apply to old subscriptions
 * too; %c and %u stand for names without wildcards only.
 */

import { filterCovers, isTopicFilter, parseShare, type Subscription, topicMatches } from '@recado/protocol'
import { isGrants } from './core/base/client-info.ts'
import { substituted } from './core/base/placeholders.ts'
import { isReservedFor, isReservedForGrants } from './core/base/reserved-topics.ts'
import { type AuthorizeHooks, decidesAtSubscribe } from './hooks.ts'
import type { ClientInfo, Grants } from './ports.ts'

/** Largest number of topics per client whose answers are remembered. */
const REMEMBERED_MAX = 1_000

const PUBLISH = 1
const RECEIVE = 2

/** Grants of a client, with the answers so far. */
class GrantedClient {
  readonly grants: Grants
  readonly #client: ClientInfo
  readonly #publish: readonly string[]
  readonly #subscribe: readonly string[]
  readonly #remembered: Map<string, number> = new Map()

  constructor(grants: Grants, client: ClientInfo) {
    const { clientId, username } = client
    this.#client = client
    this.grants = grants
    const filled = (filters: readonly string[]): string[] =>
      filters.flatMap((filter) => {
        const text = substituted(filter, { clientId, username })
        return text !== null && isTopicFilter(text) ? [text] : []
      })
    this.#publish = filled(grants.publish)
    this.#subscribe = filled(grants.subscribe)
  }

  may(topic: string, what: number): boolean {
    let known = this.#remembered.get(topic)
    if (known === undefined) {
      const isReserved = isReservedForGrants(this.#client, topic)
      const publish = !isReserved && this.#publish.some((filter) => topicMatches(filter, topic)) ? PUBLISH : 0
      known = publish | (this.#subscribe.some((filter) => topicMatches(filter, topic)) ? RECEIVE : 0)
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear()
      this.#remembered.set(topic, known)
    }
    return (known & what) !== 0
  }

  maySubscribe(topicFilter: string): boolean {
    const asked = parseShare(topicFilter)?.topicFilter ?? topicFilter
    return this.#subscribe.some((filter) => filterCovers(filter, asked))
  }
}

const EVERYTHING: AuthorizeHooks = { isStable: true, publish: (client, topic) => !isReservedFor(client, topic) }

/**
 * Makes an `authorize` that enforces the grants of clients that have some, and applies `otherwise` to all other clients
 * (default: everything is allowed except publishing below `$SYS/`).
 */
export function byGrants(otherwise: AuthorizeHooks = EVERYTHING): AuthorizeHooks {
  /** Returns the grants of a client; null when it has none. */
  const granted = (client: ClientInfo): GrantedClient | null => {
    const { grants, memo } = client
    if (memo instanceof GrantedClient && memo.grants === grants) return memo
    if (!isGrants(grants)) return null
    const made = new GrantedClient(grants, client)
    client.memo = made
    return made
  }
  return {
    isStable: otherwise.isStable === true,
    publish: (client, topic, options) =>
      granted(client)?.may(topic, PUBLISH) ?? otherwise.publish?.(client, topic, options) ?? true,
    will: (client, topic, options) =>
      granted(client)?.may(topic, PUBLISH) ??
      (otherwise.will ?? otherwise.publish)?.call(otherwise, client, topic, options) ??
      true,
    subscribe: (client: ClientInfo, subscription: Subscription) =>
      granted(client)?.maySubscribe(subscription.topicFilter) ?? otherwise.subscribe?.(client, subscription) ?? true,
    mayReceive: (client, topic) =>
      granted(client)?.may(topic, RECEIVE) ?? otherwise.mayReceive?.(client, topic) ?? true,
    decidesAtSubscribe: (client) => granted(client) === null && decidesAtSubscribe(otherwise, client),
    mayUnsubscribe: (client, topicFilter) => otherwise.mayUnsubscribe?.(client, topicFilter) ?? true,
    mayPublish: (client, topic) =>
      granted(client)?.may(topic, PUBLISH) ?? otherwise.mayPublish?.(client, topic) ?? true,
  }
}
