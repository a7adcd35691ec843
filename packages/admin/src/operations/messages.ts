/** Operations on messages: publish, look at them as they come, retained messages, and the levels of their topics. */
import type { Broker } from '@recado/broker'
import { isTopicFilter, isTopicName, topicMatches } from '@recado/protocol'
import { z } from 'zod'
import { EventQueue, type EventSource, eventStream } from '../http/events.ts'
import { type Operation, operation } from '../http/operation.ts'
import { pageByKey, pageOf, pageQuery } from '../http/paging.ts'
import { Problem } from '../http/problem.ts'
import { Reply } from '../http/reply.ts'
import type { Decisions } from '../why/decisions.ts'
import { childrenOf } from './levels.ts'
import type { Parts } from './parts.ts'
import { given } from './query.ts'
import { bytesJson, messageJson, messageSchema, propertiesJson } from './views.ts'

/** Streams of messages that run at a time. */
const STREAMS_MAX = 20
/** Messages that wait for the reader of a stream; more are lost, and counted. */
const WAITING_MAX = 1_000

const topicQuery = z.string().min(1).max(65_535).describe('Topic Name, percent-encoded.')
const payloadQuery = z.coerce
  .number()
  .int()
  .min(0)
  .max(65_536)
  .default(1_024)
  .describe('Bytes of each payload that are returned.')
const qos = z.union([z.literal(0), z.literal(1), z.literal(2)])
const publishBody = z.strictObject({
  topic: z.string().min(1).max(65_535),
  payload: z.string().optional().describe('Text; or payloadBase64.'),
  payloadBase64: z.base64().optional(),
  qos: qos.default(0),
  retain: z.boolean().default(false),
  properties: z
    .strictObject({
      messageExpiryIntervalSeconds: z.number().int().min(0).max(4_294_967_295).optional(),
      payloadFormatIndicator: z.union([z.literal(0), z.literal(1)]).optional(),
      contentType: z.string().max(65_535).optional(),
      responseTopic: z.string().max(65_535).optional(),
      userProperties: z
        .array(z.tuple([z.string(), z.string()]))
        .max(100)
        .optional(),
    })
    .default({}),
})
const answered = z.object({
  reasonCode: z.number().int().describe('0, 16 when nobody subscribes, or the reason of a refusal.'),
})

function bytesOf({
  payload,
  payloadBase64,
}: {
  payload?: string | undefined
  payloadBase64?: string | undefined
}): Uint8Array {
  if (payload !== undefined && payloadBase64 !== undefined) {
    throw new Problem(422, 'Send payload or payloadBase64, not both.')
  }
  return payloadBase64 === undefined ? Buffer.from(payload ?? '') : Buffer.from(payloadBase64, 'base64')
}

/** Refuses topics of the program itself: nobody may forge what it says. @throws Problem 403 */
function mustBeOurs(topic: string): void {
  if (/^\$(SYS|CONTROL)(\/|$)/.test(topic)) {
    throw new Problem(403, `${topic.slice(0, 100)} belongs to the broker: nobody else publishes there.`)
  }
}

/** @throws Problem 422 */
function mustBeTopicName(topic: string): void {
  if (!isTopicName(topic))
    throw new Problem(422, `"${topic.slice(0, 200)}" is not a Topic Name: it may not have + or #.`)
}

/** @throws Problem 422 */
function mustBeFilter(topicFilter: string | undefined): void {
  if (topicFilter !== undefined && !isTopicFilter(topicFilter)) {
    throw new Problem(
      422,
      `"${topicFilter.slice(0, 200)}" is not a Topic Filter: # stands alone at the end, + alone in a level.`,
    )
  }
}

/** Operations of the group `messages`. `decisions` is null when they are not remembered. */
export function messageOperations({ broker }: Parts, decisions: Decisions | null): Operation[] {
  const { inspect } = broker
  let streams = 0
  return [
    operation({
      method: 'get',
      path: '/api/v1/messages',
      id: 'watchMessages',
      tag: 'messages',
      role: 'operator',
      summary: 'Messages of a Topic Filter as they are published, as server-sent events.',
      description:
        'Each event has the name `message` and a JSON object: atMs, clientId (publisher; null for the broker, and where it is not known), topic, qos, retain, isRetained (it was there before), payload and properties. `lost` says how many messages the reader was too slow for. Nobody is subscribed: clients and numbers of subscriptions stay as they are.',
      query: z.strictObject({
        topicFilter: z.string().min(1).max(65_535).describe('Topic Filter, with + and #.'),
        retained: z.enum(['true', 'false']).default('false').describe('true: retained messages first.'),
        payloadBytes: payloadQuery,
        seconds: z.coerce.number().int().min(1).max(3_600).default(600),
      }),
      answer: z.string(),
      mediaType: 'text/event-stream',
      problems: { 503: 'Too many streams run.' },
      handle({ query: { topicFilter, retained, payloadBytes, seconds }, signal, audit }) {
        mustBeFilter(topicFilter)
        if (streams >= STREAMS_MAX) throw new Problem(503, `${STREAMS_MAX} streams run already: end one of them.`)
        const source = messagesOf(broker, topicFilter, retained === 'true', payloadBytes)
        streams++
        audit(`watches messages of "${topicFilter}"`)
        const onEnd = (): void => void streams--
        return new Reply(200, eventStream(source, { name: 'message', lostField: 'messages', seconds, signal, onEnd }))
      },
    }),
    operation({
      method: 'post',
      path: '/api/v1/publish',
      id: 'publish',
      tag: 'messages',
      role: 'operator',
      summary: 'Publishes a message; answers when it is safe (QoS 1 and 2).',
      body: publishBody,
      answer: answered,
      problems: { 403: 'The topic belongs to the broker.' },
      example: { body: { topic: 'sensors/1/temperature', payload: '21.5', qos: 1, retain: true } },
      async handle({ body, audit }) {
        const { topic, qos, retain } = body
        mustBeTopicName(topic)
        mustBeOurs(topic)
        const payload = bytesOf(body)
        const properties = given(body.properties)
        const { reasonCode } = await broker.publish({ topic, payload, qos, retain, properties })
        audit(`published ${payload.length} bytes to "${topic}" (QoS ${qos}${retain ? ', retained' : ''})`)
        return { reasonCode }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/retained',
      id: 'listRetained',
      tag: 'messages',
      role: 'operator',
      summary: 'Retained messages, by topic, in pages.',
      query: z.strictObject({
        ...pageQuery,
        topicFilter: z.string().max(65_535).optional().describe('Topic Filter, with + and #; default all.'),
        payloadBytes: payloadQuery,
      }),
      answer: pageOf(messageSchema),
      example: { query: 'topicFilter=sensors/%23' },
      async handle({ query: { topicFilter, payloadBytes, ...page } }) {
        mustBeFilter(topicFilter)
        const listing = inspect.retained({
          payloadBytesMax: payloadBytes,
          ...(topicFilter === undefined ? {} : { topicFilter }),
        })
        const { items, next } = await pageByKey(listing, page)
        return { items: items.map(messageJson), next }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/retained/message',
      id: 'getRetained',
      tag: 'messages',
      role: 'operator',
      summary: 'The retained message of a topic.',
      query: z.strictObject({
        topic: topicQuery,
        payloadBytes: z.coerce.number().int().min(0).max(1_048_576).default(65_536).describe('Bytes of the payload.'),
      }),
      answer: messageSchema,
      problems: { 404: 'The topic has no retained message.' },
      handle({ query: { topic, payloadBytes } }) {
        mustBeTopicName(topic)
        const message = inspect.retainedMessage(topic, { payloadBytesMax: payloadBytes })
        if (message === null) throw new Problem(404, `"${topic.slice(0, 200)}" has no retained message.`)
        return messageJson(message)
      },
    }),
    operation({
      method: 'put',
      path: '/api/v1/retained/message',
      id: 'setRetained',
      tag: 'messages',
      role: 'operator',
      summary: 'Publishes a message with RETAIN.',
      query: z.strictObject({ topic: topicQuery }),
      body: publishBody.omit({ topic: true, retain: true }),
      answer: answered,
      problems: { 403: 'The topic belongs to the broker.' },
      example: { query: 'topic=sensors/1/state', body: { payload: 'on', qos: 1 } },
      async handle({ query: { topic }, body, audit }) {
        mustBeTopicName(topic)
        mustBeOurs(topic)
        const payload = bytesOf(body)
        if (payload.length === 0) throw new Problem(422, 'An empty payload would delete the message: use DELETE.')
        const properties = given(body.properties)
        const { reasonCode } = await broker.publish({ topic, payload, qos: body.qos, retain: true, properties })
        audit(`set the retained message of "${topic}" (${payload.length} bytes)`)
        return { reasonCode }
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/retained',
      id: 'deleteRetained',
      tag: 'messages',
      role: 'operator',
      summary: 'Deletes the retained messages of a Topic Filter, and tells how many there were.',
      description: 'Subscribers of a topic get an empty message, as when a client deletes it. Topics below $ stay.',
      query: z.strictObject({
        topicFilter: z.string().min(1).max(65_535).describe('Topic Filter, with + and #.'),
        dryRun: z.enum(['true', 'false']).default('false').describe('true: only count.'),
      }),
      answer: z.object({ messages: z.number().int() }),
      example: { query: 'topicFilter=sensors/%2B/state&dryRun=true' },
      async handle({ query: { topicFilter, dryRun }, audit, signal }) {
        mustBeFilter(topicFilter)
        let messages = 0
        for await (const { topic } of inspect.retained({ topicFilter, payloadBytesMax: 0 })) {
          if (signal.aborted) break
          if (topic.startsWith('$')) continue
          messages++
          if (dryRun === 'false') await broker.publish({ topic, retain: true })
        }
        if (dryRun === 'false') audit(`deleted ${messages} retained messages of "${topicFilter}"`)
        return { messages }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/topics',
      id: 'listTopicLevels',
      tag: 'messages',
      role: 'viewer',
      summary: 'One level of the tree of topics: the names below a topic, and how many topics each has.',
      description:
        'Topics with a retained message, and the last 10,000 that were published to (none of these with http_api_decisions 0).',
      query: z.strictObject({
        limit: pageQuery.limit,
        cursor: pageQuery.cursor,
        below: z
          .string()
          .max(65_535)
          .default('')
          .describe('Topic above, without a / at its end; empty: the first level.'),
      }),
      answer: pageOf(
        z.object({
          name: z.string().describe('Text of the level.'),
          topic: z.string(),
          hasMessage: z.boolean().describe('Whether this very topic has a retained message.'),
          hasBelow: z.boolean().describe('Whether there are topics below it.'),
          messages: z.number().int().describe('Retained messages at and below it.'),
          published: z.number().int().describe('Topics at and below it that were published to lately.'),
        }),
      ),
      example: { query: 'below=sensors' },
      handle: ({ query: { below, limit, cursor } }) =>
        childrenOf(inspect, below, { limit, cursor }, decisions?.topicNames()),
    }),
  ]
}

/** Messages of a filter as they come, bounded. */
function messagesOf(broker: Broker, topicFilter: string, withRetained: boolean, payloadBytes: number): EventSource {
  const queue = new EventQueue<unknown>(WAITING_MAX)
  let isOver = false
  // An observer and no subscription: nothing of what clients see may change because somebody looks.
  const stop = broker.observe({
    'message.published': ({ client, message: { topic, qos, retain, payload, properties } }) => {
      if (!topicMatches(topicFilter, topic)) return
      queue.add(() => ({
        ...{ atMs: Date.now(), clientId: client?.clientId ?? null, topic, qos, retain, isRetained: false },
        payload: bytesJson(payload.subarray(0, payloadBytes), payload.length),
        properties: propertiesJson(properties),
      }))
    },
  })
  const addRetained = async (): Promise<void> => {
    for await (const message of broker.inspect.retained({ topicFilter, payloadBytesMax: payloadBytes })) {
      if (isOver) return
      const { expiresAtMs: _expiresAtMs, ...shown } = messageJson(message)
      queue.add(() => ({ atMs: Date.now(), clientId: null, ...shown, isRetained: true }))
    }
  }
  // A broker that is being closed ends the stream as well.
  if (withRetained) addRetained().catch(() => queue.end())
  return {
    next: () => queue.next(),
    end: () => {
      isOver = true
      stop()
      queue.end()
    },
  }
}
