/**
 * Schemas of what operations hand out, and the views of `broker.inspect` in the form of JSON.
 *
 * Bytes become `{ text, base64, bytes, isWhole }`; everything else is as in `@recado/broker`: sessions and subscriptions go
 * out as they are.
 */
import type { ClientView, InFlightView, MessageView, QueuedView } from '@recado/broker'
import type { Properties } from '@recado/protocol'
import { z } from 'zod'

/** Time in milliseconds since the Unix epoch. */
export const timeMs: z.ZodNumber = z.number().describe('Milliseconds since the Unix epoch.')

const traffic = z.object({
  bytesReceived: z.number(),
  bytesSent: z.number(),
  messagesReceived: z.number().describe('PUBLISH packets.'),
  messagesSent: z.number().describe('PUBLISH packets.'),
})
const will = z.object({
  topic: z.string(),
  qos: z.number().int(),
  retain: z.boolean(),
  payloadBytes: z.number(),
  delaySeconds: z.number(),
})
const session = z.object({
  clientId: z.string(),
  username: z.string().nullable(),
  isConnected: z.boolean(),
  lastEnd: z
    .object({ atMs: timeMs, byClient: z.boolean(), reasonCode: z.number().nullable(), why: z.string() })
    .nullable()
    .describe('End of the last connection.'),
  isDurable: z.boolean().describe('True when the session is in the store and survives the end of the broker.'),
  expirySeconds: z.number().nullable().describe('Session Expiry Interval; null: it never ends.'),
  expiresAtMs: timeMs.nullable(),
  subscriptions: z.number(),
  queuedMessages: z.number(),
  queuedBytes: z.number(),
  inflight: z.number().describe('QoS 1 and 2 messages that were sent and are not acknowledged to the end.'),
  inflightBytes: z.number(),
  receiving: z.number(),
  droppedMessages: z.number().describe('Messages for it that were dropped since the broker started.'),
  isHeld: z.boolean(),
  pendingWill: will.extend({ dueAtMs: timeMs }).nullable(),
})
/** Schema of a session. */
export const sessionSchema: z.ZodType = session

const client = z.object({
  clientId: z.string(),
  username: z.string().nullable(),
  protocolVersion: z.number().int().describe('3: MQTT 3.1, 4: 3.1.1, 5: 5.0.'),
  isBridge: z.boolean(),
  remoteAddress: z.string(),
  listener: z.string(),
  tls: z
    .object({
      version: z.string().nullable(),
      commonName: z.string().nullable(),
      pskIdentity: z.string().nullable(),
      serverName: z.string().nullable(),
      proxyAddress: z.string().nullable(),
    })
    .nullable()
    .describe('What TLS or a proxy says of the client; null without either.'),
  connectedAtMs: timeMs,
  loginExpiresAtMs: timeMs.nullable(),
  keepAliveSeconds: z.number(),
  receiveMaximum: z.number(),
  maximumPacketSize: z.number().nullable(),
  traffic,
  rates: traffic.extend({ overSeconds: z.number() }).describe('Per second, over the last `overSeconds`.'),
  waitingBytes: z.number().describe('Bytes that wait to be sent to it, and of packets from it that are not complete.'),
  isCongested: z.boolean().describe('True when it reads too slowly: QoS 0 is dropped, QoS 1 and 2 wait.'),
  isPaused: z.boolean().describe('True when the broker does not read from it just now.'),
  will: will.nullable(),
  session,
})
/** Schema of a connected client. */
export const clientSchema: z.ZodType = client

const subscription = z.object({
  clientId: z.string(),
  isConnected: z.boolean(),
  topicFilter: z.string(),
  shareName: z.string().nullable(),
  qos: z.number().int(),
  noLocal: z.boolean(),
  retainAsPublished: z.boolean(),
  subscriptionIdentifier: z.number().nullable(),
})
/** Schema of a subscription. */
export const subscriptionSchema: z.ZodType = subscription
/** Schema of a subscription that a message matches, and what becomes of it there. */
export const recipientSchema: z.ZodType = subscription.extend({ deliveredQoS: z.number().int(), verdict: z.string() })

const bytes = z.object({
  text: z.string().nullable().describe('The bytes as UTF-8; null when they are not.'),
  base64: z.string(),
  bytes: z.number().describe('Length of the whole.'),
  isWhole: z.boolean().describe('False when only the beginning is here.'),
})
const properties = z.object({
  payloadFormatIndicator: z.number().optional(),
  messageExpiryIntervalSeconds: z.number().optional(),
  contentType: z.string().optional(),
  responseTopic: z.string().optional(),
  correlationData: z.string().optional().describe('In base64.'),
  userProperties: z.array(z.tuple([z.string(), z.string()])).optional(),
})
const message = z.object({
  topic: z.string(),
  qos: z.number().int(),
  retain: z.boolean(),
  payload: bytes,
  properties,
  expiresAtMs: timeMs.nullable(),
})
/** Schema of a message. */
export const messageSchema: z.ZodType = message
/** Schema of a message that waits. */
export const queuedSchema: z.ZodType = z.object({
  qos: z.number().int(),
  retain: z.boolean(),
  message: message.nullable().describe('null: it is on the disk and cannot be read.'),
})
/** Schema of a message in flight. */
export const inFlightSchema: z.ZodType = z.object({
  packetId: z.number().int(),
  qos: z.number().int(),
  waitsFor: z.string(),
  message: message.nullable(),
})

/** A client in the form of JSON. */
export function clientJson({ peer, ...rest }: ClientView): Record<string, unknown> {
  const tls =
    peer === null
      ? null
      : {
          version: peer.tlsVersion,
          commonName: peer.commonName,
          pskIdentity: peer.pskIdentity,
          serverName: peer.serverName,
          proxyAddress: peer.proxyAddress,
        }
  return { ...rest, tls }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes in the form of JSON. `length`: of the whole, of which `shown` is the beginning. */
export function bytesJson(shown: Uint8Array, length: number): Record<string, unknown> {
  let text: string | null
  try {
    text = decoder.decode(shown)
  } catch {
    text = null
  }
  return { text, base64: Buffer.from(shown).toString('base64'), bytes: length, isWhole: shown.length === length }
}

/** A message in the form of JSON. */
export function messageJson({ payload, payloadBytes, properties, ...rest }: MessageView): Record<string, unknown> {
  return { ...rest, payload: bytesJson(payload, payloadBytes), properties: propertiesJson(properties) }
}

/** Properties of a message in the form of JSON. */
export function propertiesJson({ correlationData, ...others }: Properties): Record<string, unknown> {
  if (correlationData === undefined) return others
  return { ...others, correlationData: Buffer.from(correlationData).toString('base64') }
}

/** A queued message in the form of JSON. */
export const queuedJson = ({ message, ...rest }: QueuedView): Record<string, unknown> => ({
  ...rest,
  message: message === null ? null : messageJson(message),
})
/** A message in flight in the form of JSON. */
export const inFlightJson = ({ message, ...rest }: InFlightView): Record<string, unknown> => ({
  ...rest,
  message: message === null ? null : messageJson(message),
})
