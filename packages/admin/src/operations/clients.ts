/** Operations on clients and their sessions: look, search, sort, disconnect, end a session, look into a queue. */
import type { ClientView, SessionView } from '@recado/broker'
import { z } from 'zod'
import { type Operation, operation } from '../http/operation.ts'
import { orderFrom, pageByKey, pageInOrder, pageOf, pageQuery } from '../http/paging.ts'
import { Problem } from '../http/problem.ts'
import { done } from '../http/reply.ts'
import type { Parts } from './parts.ts'
import { given, pattern } from './query.ts'
import {
  clientJson,
  clientSchema,
  inFlightJson,
  inFlightSchema,
  queuedJson,
  queuedSchema,
  sessionSchema,
} from './views.ts'

const clientColumns: Readonly<Record<string, (client: ClientView) => string | number | boolean | null>> = {
  clientId: ({ clientId }) => clientId,
  username: ({ username }) => username,
  remoteAddress: ({ remoteAddress }) => remoteAddress,
  listener: ({ listener }) => listener,
  connectedAtMs: ({ connectedAtMs }) => connectedAtMs,
  protocolVersion: ({ protocolVersion }) => protocolVersion,
  messagesReceived: ({ traffic }) => traffic.messagesReceived,
  messagesSent: ({ traffic }) => traffic.messagesSent,
  bytesReceived: ({ traffic }) => traffic.bytesReceived,
  bytesSent: ({ traffic }) => traffic.bytesSent,
  rateReceived: ({ rates }) => rates.messagesReceived,
  rateSent: ({ rates }) => rates.messagesSent,
  waitingBytes: ({ waitingBytes }) => waitingBytes,
  subscriptions: ({ session }) => session.subscriptions,
  queuedMessages: ({ session }) => session.queuedMessages,
  queuedBytes: ({ session }) => session.queuedBytes,
  inflight: ({ session }) => session.inflight,
  droppedMessages: ({ session }) => session.droppedMessages,
}
const sessionColumns: Readonly<Record<string, (session: SessionView) => string | number | boolean | null>> = {
  clientId: ({ clientId }) => clientId,
  username: ({ username }) => username,
  isConnected: ({ isConnected }) => isConnected,
  subscriptions: ({ subscriptions }) => subscriptions,
  queuedMessages: ({ queuedMessages }) => queuedMessages,
  queuedBytes: ({ queuedBytes }) => queuedBytes,
  inflight: ({ inflight }) => inflight,
  droppedMessages: ({ droppedMessages }) => droppedMessages,
  expiresAtMs: ({ expiresAtMs }) => expiresAtMs,
}

const truth = (what: string): z.ZodOptional<z.ZodEnum<{ true: 'true'; false: 'false' }>> =>
  z.enum(['true', 'false']).optional().describe(what)
const sortBy = (columns: Readonly<Record<string, unknown>>): z.ZodOptional<z.ZodString> =>
  z
    .string()
    .max(50)
    .optional()
    .describe(`Column, with - in front for descending: ${Object.keys(columns).join(', ')}. Default: clientId.`)

const sessionQuery = {
  ...pageQuery,
  q: z.string().max(1_000).optional().describe('Text in the Client Identifier, user name or address.'),
  clientId: pattern('Client Identifier'),
  username: pattern('User name'),
  listener: pattern('Name of the listener'),
  topicFilter: pattern('One of its Topic Filters'),
  queuedMin: z.coerce.number().int().min(0).optional().describe('Least number of messages in its queue.'),
}
const byClient = z.strictObject({ clientId: z.string().describe('Client Identifier, percent-encoded.') })
const queueQuery = z.strictObject({
  first: z.coerce.number().int().min(1).max(1_000).default(10).describe('The oldest so many.'),
  payloadBytes: z.coerce.number().int().min(0).max(65_536).default(1_024).describe('Bytes of each payload.'),
})

const noSession = (clientId: string): Problem => new Problem(404, `There is no session "${clientId.slice(0, 200)}".`)

/** Operations of the group `clients`. */
export function clientOperations({ broker }: Parts): Operation[] {
  const { inspect } = broker
  return [
    operation({
      method: 'get',
      path: '/api/v1/clients',
      id: 'listClients',
      tag: 'clients',
      role: 'viewer',
      summary: 'Connected clients, in pages.',
      query: z.strictObject({
        ...sessionQuery,
        remoteAddress: pattern('Address and port, as in 127.0.0.1:*'),
        isCongested: truth('Only those that read too slowly, or only the others.'),
        sort: sortBy(clientColumns),
      }),
      answer: pageOf(clientSchema),
      example: { query: 'sort=-queuedMessages&limit=10' },
      async handle({ query: { limit, cursor, q, isCongested, sort, ...query } }) {
        const listing = inspect.clients(given(query))
        const order = orderFrom(sort, clientColumns)
        if (order === null && q === undefined && isCongested === undefined) {
          const page = await pageByKey(listing, { limit, cursor })
          return { items: page.items.map(clientJson), next: page.next }
        }
        const isWanted = (client: ClientView): boolean =>
          (isCongested === undefined || client.isCongested === (isCongested === 'true')) &&
          (q === undefined || [client.clientId, client.username, client.remoteAddress].some((each) => has(each, q)))
        const page = await pageInOrder(listing, ({ clientId }) => clientId, order, { limit, cursor }, isWanted)
        return { items: page.items.map(clientJson), next: page.next }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/clients/{clientId}',
      id: 'getClient',
      tag: 'clients',
      role: 'viewer',
      summary: 'A connected client.',
      params: byClient,
      answer: clientSchema,
      problems: { 404: 'No such client is connected.' },
      handle({ params: { clientId } }) {
        const client = inspect.client(clientId)
        if (client === null) throw new Problem(404, `No client "${clientId.slice(0, 200)}" is connected.`)
        return clientJson(client)
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/clients/{clientId}',
      id: 'disconnectClient',
      tag: 'clients',
      role: 'operator',
      summary: 'Ends the connection of a client (0x98); its session stays.',
      params: byClient,
      answer: null,
      problems: { 404: 'No such client is connected.' },
      handle({ params: { clientId }, audit }) {
        const count = broker.disconnect((client) => client.clientId === clientId)
        if (count === 0) throw new Problem(404, `No client "${clientId.slice(0, 200)}" is connected.`)
        audit(`disconnected the client "${clientId}"`)
        return done()
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/sessions',
      id: 'listSessions',
      tag: 'clients',
      role: 'viewer',
      summary: 'Sessions, of connected clients and of those that are away, in pages.',
      query: z.strictObject({
        ...sessionQuery,
        isConnected: truth('Only sessions of connected clients, or only the others.'),
        sort: sortBy(sessionColumns),
      }),
      answer: pageOf(sessionSchema),
      example: { query: 'isConnected=false' },
      async handle({ query: { limit, cursor, q, isConnected, sort, ...query } }) {
        const connected = isConnected === undefined ? {} : { isConnected: isConnected === 'true' }
        const listing = inspect.sessions({ ...given(query), ...connected })
        const order = orderFrom(sort, sessionColumns)
        if (order === null && q === undefined) return pageByKey(listing, { limit, cursor })
        const isWanted = ({ clientId, username }: SessionView): boolean =>
          q === undefined || has(clientId, q) || has(username, q)
        return pageInOrder(listing, ({ clientId }) => clientId, order, { limit, cursor }, isWanted)
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/sessions/{clientId}',
      id: 'getSessionOfClient',
      tag: 'clients',
      role: 'viewer',
      summary: 'A session.',
      params: byClient,
      answer: sessionSchema,
      problems: { 404: 'There is no such session.' },
      handle({ params: { clientId } }) {
        const session = inspect.session(clientId)
        if (session === null) throw noSession(clientId)
        return session
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/sessions/{clientId}',
      id: 'deleteSession',
      tag: 'clients',
      role: 'operator',
      summary: 'Ends a session with its subscriptions and queue, and its connection (0x98).',
      params: byClient,
      answer: null,
      problems: { 404: 'There is no such session.' },
      handle({ params: { clientId }, audit }) {
        if (!broker.removeSession(clientId)) throw noSession(clientId)
        audit(`ended the session "${clientId}"`)
        return done()
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/sessions/{clientId}/queue',
      id: 'getQueue',
      tag: 'clients',
      role: 'operator',
      summary: 'The first messages that wait for a session, oldest first.',
      params: byClient,
      query: queueQuery,
      answer: z.object({ items: z.array(queuedSchema) }),
      problems: { 404: 'There is no such session.' },
      handle({ params: { clientId }, query: { first, payloadBytes } }) {
        const queue = inspect.queue(clientId, { first, payloadBytesMax: payloadBytes })
        if (queue === null) throw noSession(clientId)
        return { items: queue.map(queuedJson) }
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/sessions/{clientId}/queue',
      id: 'drainQueue',
      tag: 'clients',
      role: 'operator',
      summary: 'Drops the messages that wait for a session; those in flight go on, and a connected client stays.',
      params: byClient,
      answer: z.object({ messages: z.number().int().describe('Messages that were dropped (reason `drained`).') }),
      problems: { 404: 'There is no such session.' },
      handle({ params: { clientId }, audit }) {
        const messages = broker.drainQueue(clientId)
        if (messages === null) throw noSession(clientId)
        audit(`dropped ${messages} messages that waited for "${clientId}"`)
        return { messages }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/sessions/{clientId}/inflight',
      id: 'getInFlight',
      tag: 'clients',
      role: 'operator',
      summary: 'The first messages that were sent and are not acknowledged to the end.',
      params: byClient,
      query: queueQuery,
      answer: z.object({ items: z.array(inFlightSchema) }),
      problems: { 404: 'There is no such session.' },
      handle({ params: { clientId }, query: { first, payloadBytes } }) {
        const inFlight = inspect.inFlight(clientId, { first, payloadBytesMax: payloadBytes })
        if (inFlight === null) throw noSession(clientId)
        return { items: inFlight.map(inFlightJson) }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/errors',
      id: 'listErrors',
      tag: 'clients',
      role: 'viewer',
      summary: 'The last errors of connections, latest first: refused, failed, disconnected for a fault.',
      query: z.strictObject({
        clientId: pattern('Client Identifier'),
        listener: pattern('Name of the listener'),
        limit: pageQuery.limit,
      }),
      answer: z.object({
        items: z.array(
          z.object({
            atMs: z.number(),
            kind: z.string(),
            clientId: z.string(),
            remoteAddress: z.string(),
            listener: z.string(),
            reasonCode: z.number(),
            why: z.string(),
          }),
        ),
      }),
      example: { query: 'limit=20' },
      handle: ({ query: { limit, ...query } }) => ({ items: inspect.errors(given(query)).slice(0, limit) }),
    }),
  ]
}

const has = (text: string | null, part: string): boolean => text?.toLowerCase().includes(part.toLowerCase()) === true
