/** Operations that say why: reasons after the fact, traces as it happens, drops, rights, recipients. */
import { isTopicFilter, isTopicName, topicMatches } from '@recado/protocol'
import { z } from 'zod'
import { eventStream } from '../http/events.ts'
import { type Operation, operation } from '../http/operation.ts'
import { orderFrom, pageInOrder, pageOf, pageQuery } from '../http/paging.ts'
import { Problem } from '../http/problem.ts'
import { Reply } from '../http/reply.ts'
import { type Decisions, rateOf } from '../why/decisions.ts'
import { explain } from '../why/explain.ts'
import { Trace } from '../why/trace.ts'
import { need, type Parts } from './parts.ts'
import { recipientSchema, timeMs } from './views.ts'

/** Traces that run at a time. */
const TRACES_MAX = 10

const topicName = z
  .string()
  .min(1)
  .max(65_535)
  .refine((text) => isTopicName(text), 'it is not a Topic Name: it may not have + or #')
  .describe('Topic Name.')

const topicFilter = z
  .string()
  .max(65_535)
  .refine((text) => isTopicFilter(text), 'it is not a Topic Filter')

const at = z
  .string()
  .max(40)
  .transform((text, context) => {
    const value = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
    if (Number.isFinite(value)) return value
    context.addIssue({ code: 'custom', message: 'it is no time: milliseconds since the Unix epoch, or ISO 8601' })
    return z.NEVER
  })

/** A sentence of `why`, for programs that say it in another language. */
const said = z
  .object({
    template: z.string(),
    values: z.array(z.unknown()).describe('Texts, numbers, and sentences of the same form.'),
  })
  .describe('The sentence as an English template, with its values for {0}, {1} and so on.')

/** A topic that is published to. */
interface Published {
  readonly topic: string
  readonly atMs: number
  readonly clientId: string | null
  readonly qos: number
  readonly retain: boolean
  readonly messages: number
  readonly rate: number
}

const columns: Readonly<Record<string, (each: Published) => string | number | boolean | null>> = {
  topic: ({ topic }) => topic,
  atMs: ({ atMs }) => atMs,
  clientId: ({ clientId }) => clientId,
  messages: ({ messages }) => messages,
  rate: ({ rate }) => rate,
}

function* published(decisions: Decisions, nowMs: number): Generator<Published> {
  for (const [topic, note] of decisions.topics()) {
    const { atMs, clientId, qos, retain, messages } = note
    yield { topic, atMs, clientId, qos, retain, messages, rate: rateOf(note, nowMs) }
  }
}

/** Operations of the group `insight`. `decisions` is null when they are not remembered. */
export function insightOperations(parts: Parts, decisions: Decisions | null): Operation[] {
  const { broker, host } = parts
  const memory = (): Decisions => {
    if (decisions === null) throw new Problem(501, 'Decisions are not remembered here: set http_api_decisions.')
    return decisions
  }
  let traces = 0
  return [
    operation({
      method: 'get',
      path: '/api/v1/why',
      id: 'why',
      tag: 'insight',
      role: 'viewer',
      summary: 'Says why a message on a topic did not reach a client, or anybody.',
      description:
        'Joins what the broker has decided (the last 10,000 drops and refusals) with the subscriptions, sessions and rights of now.',
      query: z.strictObject({
        topic: topicName,
        client: z.string().max(65_535).optional().describe('Client Identifier of the subscriber; absent: anybody.'),
        at: at.optional().describe('Time of the message, ISO 8601 or milliseconds; absent: the last one.'),
      }),
      answer: z.object({
        topic: z.string(),
        clientId: z.string().nullable(),
        sentence: z.string().describe('The answer.'),
        said,
        reasons: z.array(
          z.object({
            code: z.string(),
            sentence: z.string(),
            said,
            clientId: z.string().nullable(),
            atMs: timeMs.nullable().describe('When it was decided; null: it holds now.'),
          }),
        ),
        lastPublished: z
          .object({
            atMs: timeMs,
            clientId: z.string().nullable(),
            qos: z.number().int(),
            retain: z.boolean(),
            messages: z.number().int(),
          })
          .nullable(),
      }),
      problems: { 501: 'Decisions are not remembered.' },
      example: { query: 'topic=sensors/1/temperature&client=ada' },
      handle: ({ query: { topic, client, at } }) =>
        explain({ topic, clientId: client, atMs: at }, { broker, host, decisions: memory() }),
    }),
    operation({
      method: 'get',
      path: '/api/v1/recipients',
      id: 'listRecipients',
      tag: 'subscriptions',
      role: 'viewer',
      summary: 'Who would get a message on a topic now, and who not, and why. Nothing is published.',
      query: z.strictObject({
        topic: topicName,
        client: z.string().max(65_535).optional().describe('Client Identifier of the publisher, for No Local.'),
        qos: z.enum(['0', '1', '2']).default('2').describe('QoS of the message.'),
      }),
      answer: z.object({
        recipients: z.array(recipientSchema),
        total: z.number().int(),
        programSubscriptions: z.number().int(),
      }),
      example: { query: 'topic=sensors/1/temperature' },
      handle: ({ query: { topic, client, qos } }) =>
        broker.inspect.recipients(topic, {
          qos: Number(qos) as 0 | 1 | 2,
          ...(client === undefined ? {} : { clientId: client }),
        }),
    }),
    operation({
      method: 'get',
      path: '/api/v1/publications',
      id: 'listPublications',
      tag: 'messages',
      role: 'viewer',
      summary: 'Topics that clients publish to: the last publisher, when, and how often.',
      description: 'The 10,000 topics that were first published to last are remembered; http_api_decisions 0: none.',
      query: z.strictObject({
        ...pageQuery,
        topicFilter: topicFilter.optional(),
        client: z.string().max(65_535).optional().describe('Client Identifier of the last publisher.'),
        sort: z
          .string()
          .max(50)
          .optional()
          .describe(`Column, with - in front for descending: ${Object.keys(columns).join(', ')}. Default: topic.`),
      }),
      answer: pageOf(
        z.object({
          topic: z.string(),
          atMs: timeMs.describe('Last publish, milliseconds since the Unix epoch.'),
          clientId: z.string().nullable().describe('Last publisher; null: the broker or an operator.'),
          qos: z.number().int(),
          retain: z.boolean(),
          messages: z.number().int().describe('Messages since the topic is remembered.'),
          rate: z.number().describe('Messages per second, over the last 5 to 10 seconds.'),
        }),
      ),
      problems: { 501: 'Publishes are not remembered.' },
      example: { query: 'sort=-rate&limit=10' },
      handle({ query: { topicFilter, client, sort, ...page } }) {
        const nowMs = Date.now()
        const order = orderFrom(sort, columns)
        const isWanted = ({ topic, clientId }: Published): boolean =>
          (client === undefined || clientId === client) &&
          (topicFilter === undefined || topicMatches(topicFilter, topic))
        return pageInOrder(published(memory(), nowMs), ({ topic }) => topic, order, page, isWanted)
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/drops',
      id: 'listDrops',
      tag: 'insight',
      role: 'viewer',
      summary: 'Messages that were dropped: numbers by reason since the start, and the last ones, latest first.',
      query: z.strictObject({
        limit: z.coerce.number().int().min(0).max(1_000).default(100),
        reason: z.string().max(100).optional(),
        client: z.string().max(65_535).optional().describe('Client Identifier.'),
        topicFilter: topicFilter.optional(),
      }),
      answer: z.object({
        byReason: z.record(z.string(), z.number()),
        items: z.array(
          z.object({
            atMs: timeMs,
            clientId: z.string(),
            isForSubscriber: z.boolean().describe('False: the client is the publisher.'),
            topic: z.string(),
            qos: z.number().int(),
            reason: z.string(),
          }),
        ),
      }),
      example: { query: 'limit=20' },
      handle({ query: { limit, reason, client, topicFilter } }) {
        const byReason: Record<string, number> = {}
        for (const [name, value] of Object.entries(broker.metrics())) {
          if (name.startsWith('dropped.')) byReason[name.slice('dropped.'.length)] = value
        }
        const items: unknown[] = []
        for (const drop of decisions?.drops.latest() ?? []) {
          if (items.length >= limit) break
          if (reason !== undefined && drop.reason !== reason) continue
          if (client !== undefined && drop.clientId !== client) continue
          if (topicFilter === undefined || topicMatches(topicFilter, drop.topic)) items.push(drop)
        }
        return { byReason, items }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/rights',
      id: 'checkRights',
      tag: 'access',
      role: 'operator',
      summary:
        'Whether a client may publish to or receive from a topic, and which rule decides. It need not be connected.',
      query: z.strictObject({
        action: z.enum(['publish', 'receive']),
        topic: topicName,
        client: z.string().max(65_535).default('').describe('Client Identifier.'),
        username: z.string().max(65_535).optional(),
        listener: z.string().max(1_000).optional().describe('Name of the listener; default the first.'),
      }),
      answer: z.object({ isAllowed: z.boolean(), by: z.string().describe('The rule, in words.') }),
      problems: { 501: 'The program does not say.' },
      example: { query: 'action=publish&topic=sensors/1/temperature&username=ada' },
      handle({ query: { action, topic, client, username, listener } }) {
        const check = need(host, 'checkRights')
        const connected = broker.inspect.client(client)
        const [first] = host.listeners?.().filter(({ protocol }) => protocol !== 'http_api') ?? []
        return check(
          {
            clientId: client,
            username: username ?? connected?.username ?? undefined,
            protocolVersion: connected?.protocolVersion ?? 5,
            isBridge: false,
            remoteAddress: connected?.remoteAddress ?? '',
            listener: listener ?? connected?.listener ?? first?.name ?? '',
            peer: connected?.peer ?? null,
            grants: null,
            memo: null,
          },
          action,
          topic,
        )
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/trace',
      id: 'trace',
      tag: 'insight',
      role: 'operator',
      summary: 'Every step of the messages of a topic, a client or a user, as server-sent events.',
      description:
        'Each event has the name `step` and a JSON object: atMs, step, clientId, topic and details. `lost` says how many steps the reader was too slow for.',
      query: z.strictObject({
        topicFilter: topicFilter.optional(),
        client: z.string().max(65_535).optional().describe('Client Identifier, of the publisher or of a subscriber.'),
        username: z.string().max(65_535).optional(),
        payload: z.enum(['true', 'false']).default('false').describe('true: the first 1,024 bytes of each payload.'),
        seconds: z.coerce.number().int().min(1).max(3_600).default(60),
      }),
      answer: z.string(),
      mediaType: 'text/event-stream',
      problems: { 422: 'Nothing to trace is named.', 503: 'Too many traces run.' },
      handle({ query: { topicFilter, client, username, payload, seconds }, signal, audit }) {
        if (topicFilter === undefined && client === undefined && username === undefined) {
          throw new Problem(422, 'Name what is to be traced: topicFilter, client or username.')
        }
        if (traces >= TRACES_MAX) throw new Problem(503, `${TRACES_MAX} traces run already: end one of them.`)
        traces++
        if (payload === 'true') audit(`traced payloads of ${topicFilter ?? client ?? username ?? ''}`)
        const trace = new Trace(broker, host, { topicFilter, clientId: client, username, payload: payload === 'true' })
        const onEnd = (): void => void traces--
        return new Reply(200, eventStream(trace, { name: 'step', lostField: 'steps', seconds, signal, onEnd }))
      },
    }),
  ]
}
