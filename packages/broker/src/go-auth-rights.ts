/**
 * Rights as mosquitto-go-auth puts its back-ends together: whatever the ACL file or the service allows is allowed.
 *
 * The program makes one for a configuration of that plugin. Invariants: a client without a user name may nothing; where
 * a service is asked, a subscription is granted as a whole, by the service or by a rule that covers all of it; a `deny`
 * of the file holds for each message, whoever granted the subscription.
 */
import type { Subscription } from '@recado/protocol'
import { isReservedFor } from './core/base/reserved-topics.ts'
import type { AuthorizeHooks } from './hooks.ts'
import type { ClientInfo } from './ports.ts'

/** Rules of an ACL file, as `aclFile` makes them. */
export interface RuleSource {
  publish(client: ClientInfo, topic: string): boolean
  mayReceive(client: ClientInfo, topic: string): boolean
  explain(
    clientId: string,
    username: string | undefined,
    topic: string,
    access: 'read',
  ): { readonly isAllowed: boolean; readonly rule: object | null }
  rulesOf(
    clientId: string,
    username: string | undefined,
  ): {
    overlapping(
      topicFilter: string,
      access: 'read',
    ): readonly { readonly coversAll: boolean; readonly rule: { readonly bits: number } }[]
  }
}

/** Service that is asked about topics, as `goAuth` makes it. */
export interface TopicService {
  publish(client: ClientInfo, topic: string): Promise<number> | boolean
  subscribe(client: ClientInfo, subscription: Subscription): Promise<number> | boolean
}

/** Options of `goAuthRights`. */
export interface GoAuthRightsOptions {
  /** Rules; null: none. */
  readonly acl: RuleSource | null
  /** Service that is asked where the rules allow nothing; null: none. */
  readonly service: TopicService | null
  /** Refuses everything to user names and Client Identifiers with a `+` or `#` in them. */
  readonly denySpecialCharacters: boolean
}

/** Rights that an HTTP service in the way of mosquitto-go-auth decides, for `authorize`. */
export function goAuthRights({ acl, service, denySpecialCharacters }: GoAuthRightsOptions): AuthorizeHooks {
  const isNobody = ({ username, clientId }: ClientInfo): boolean =>
    !username || (denySpecialCharacters && /[+#]/.test(username + clientId))
  const isOpen = acl === null && service === null
  const mayPublish = (client: ClientInfo, topic: string): boolean =>
    !isNobody(client) && !isReservedFor(client, topic) && (isOpen || acl?.publish(client, topic) === true)
  const coveredByFile = (client: ClientInfo, { topicFilter }: Subscription): boolean => {
    const rules = acl!.rulesOf(client.clientId, client.username).overlapping(topicFilter, 'read')
    return rules.some(({ coversAll, rule }) => coversAll && rule.bits !== 0)
  }
  const publish = (client: ClientInfo, topic: string): Promise<number> | boolean => {
    if (mayPublish(client, topic)) return true
    if (service === null || isNobody(client) || isReservedFor(client, topic)) return false
    return service.publish(client, topic)
  }
  return {
    isStable: service === null,
    publish,
    // The file is asked about a Will when it is published; the service cannot be asked then.
    will: (client, topic) => (service === null ? true : publish(client, topic)),
    subscribe(client, subscription) {
      if (isNobody(client)) return false
      // Without a service the file is asked about each message.
      if (service === null || (acl !== null && coveredByFile(client, subscription))) return true
      return service.subscribe(client, subscription)
    },
    mayReceive(client, topic) {
      if (isNobody(client)) return false
      if (service === null) return isOpen || acl?.mayReceive(client, topic) === true
      return acl === null || !isDenied(acl, client, topic)
    },
    decidesAtSubscribe: () => service !== null,
    mayPublish: (client, topic) =>
      service === null ? mayPublish(client, topic) : !isNobody(client) && !isReservedFor(client, topic),
  }
}

/** Whether a `deny` of the file is the first rule for that topic. */
function isDenied(acl: RuleSource, { clientId, username }: ClientInfo, topic: string): boolean {
  const { isAllowed, rule } = acl.explain(clientId, username, topic, 'read')
  return !isAllowed && rule !== null
}
