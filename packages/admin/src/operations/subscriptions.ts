/** Operations on subscriptions: by filter, by topic, and the groups of Shared Subscriptions. */
import type { SubscriptionView } from '@recado/broker'
import { z } from 'zod'
import { type Operation, operation } from '../http/operation.ts'
import { pageByKey, pageInOrder, pageOf, pageQuery } from '../http/paging.ts'
import type { Parts } from './parts.ts'
import { given, pattern } from './query.ts'
import { subscriptionSchema } from './views.ts'

const MEMBERS_MAX = 1_000
const GROUPS_MAX = 10_000

interface Group {
  readonly shareName: string
  readonly topicFilter: string
  members: number
  readonly clients: { clientId: string; isConnected: boolean; qos: number }[]
}

/** Operations of the group `subscriptions`. */
export function subscriptionOperations({ broker }: Parts): Operation[] {
  const { inspect } = broker
  return [
    operation({
      method: 'get',
      path: '/api/v1/subscriptions',
      id: 'listSubscriptions',
      tag: 'subscriptions',
      role: 'viewer',
      summary: 'Subscriptions, by client and Topic Filter, in pages.',
      query: z.strictObject({
        ...pageQuery,
        clientId: pattern('Client Identifier'),
        username: pattern('User name'),
        listener: pattern('Name of the listener'),
        topicFilter: pattern('Topic Filter as the client wrote it'),
        topic: z.string().max(65_535).optional().describe('Topic Name that the Topic Filter matches.'),
        isConnected: z.enum(['true', 'false']).optional(),
      }),
      answer: pageOf(subscriptionSchema),
      example: { query: 'topic=sensors/1/temperature' },
      handle({ query: { limit, cursor, isConnected, ...query } }) {
        const connected = isConnected === undefined ? {} : { isConnected: isConnected === 'true' }
        return pageByKey(inspect.subscriptions({ ...given(query), ...connected }), { limit, cursor })
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/shared',
      id: 'listSharedGroups',
      tag: 'subscriptions',
      role: 'viewer',
      summary: 'Shared Subscriptions with their members: up to 10,000 groups, and 1,000 members of each.',
      query: z.strictObject({ ...pageQuery, shareName: pattern('Name of the share') }),
      answer: pageOf(
        z.object({
          shareName: z.string(),
          topicFilter: z.string(),
          members: z.number().int(),
          queuedMessages: z.number().int().describe('Messages in the queues of the members that are listed.'),
          clients: z.array(
            z.object({
              clientId: z.string(),
              isConnected: z.boolean(),
              qos: z.number().int(),
              queuedMessages: z.number().int(),
              isCongested: z.boolean(),
            }),
          ),
        }),
      ),
      example: {},
      async handle({ query: { limit, cursor, shareName = '*' } }) {
        const groups = new Map<string, Group>()
        for await (const each of inspect.subscriptions({ topicFilter: `$share/${shareName}/*` })) note(groups, each)
        const page = await pageInOrder(groups.values(), (group) => `${group.shareName}/${group.topicFilter}`, null, {
          limit,
          cursor,
        })
        return { items: page.items.map((group) => withQueues(group)), next: page.next }
      },
    }),
  ]

  function withQueues({ clients, ...group }: Group): unknown {
    const members = clients.map((member) => {
      const session = inspect.session(member.clientId)
      return {
        ...member,
        queuedMessages: session?.queuedMessages ?? 0,
        isCongested: member.isConnected && inspect.client(member.clientId)?.isCongested === true,
      }
    })
    return { ...group, queuedMessages: members.reduce((sum, each) => sum + each.queuedMessages, 0), clients: members }
  }
}

function note(
  groups: Map<string, Group>,
  { clientId, isConnected, topicFilter, shareName, qos }: SubscriptionView,
): void {
  if (shareName === null) return
  let group = groups.get(topicFilter)
  if (group === undefined) {
    if (groups.size >= GROUPS_MAX) return
    group = { shareName, topicFilter: topicFilter.slice(`$share/${shareName}/`.length), members: 0, clients: [] }
    groups.set(topicFilter, group)
  }
  group.members++
  if (group.clients.length < MEMBERS_MAX) group.clients.push({ clientId, isConnected, qos })
}
