/**
 * Answers to requests: `client.respond` subscribes, passes each request to the application, and publishes the returned
 * value to the request's Response Topic with its Correlation Data.
 *
 * Several requests are answered at once, up to `concurrencyMax`; then the next one waits in the subscription's buffer.
 * A request is acknowledged when its response has been delivered to the server, or has failed. Errors of the responder
 * go to `onHandlerError`; a response that cannot be delivered goes to `onUndelivered`, as it may be the requester's
 * fault.
 *
 * Source: MQTT 5.0 section 4.10.
 */
import { callback, check, checkOptions, object, textOrBytes, toBytes } from '@recado/protocol'
import type { Decode } from './decode.ts'
import type { Message, NoParams } from './message.ts'
import { respondRules, responseRules } from './option-rules.ts'
import type { Payload, PublishOptions, RespondOptions, SendOptions, SubscribeOptions } from './options.ts'
import type { MessageHandler, Subscription } from './subscription.ts'

/** Response with more than a payload. The default QoS is that of the request; Correlation Data is added. */
export interface ResponseMessage extends Pick<PublishOptions, 'qos' | 'properties'> {
  payload?: Payload
}

/** Function that returns the response, or nothing for none. A request without Response Topic never gets a response. */
export type Responder<Params = NoParams, Value = Uint8Array> = (
  request: Message<Params, Value>,
) => Payload | ResponseMessage | undefined | void | Promise<Payload | ResponseMessage | undefined | void>

/** Part of `Client` that is used here. */
interface RespondingClient {
  subscribe(
    topicFilters: string | readonly string[],
    options: SubscribeOptions<Decode>,
    handler: MessageHandler,
  ): unknown
}

const CONCURRENCY_MAX = 16

export function respond(
  client: RespondingClient,
  deliver: (topic: string, payload: Uint8Array, options: SendOptions) => Promise<void>,
  onError: (error: unknown) => void,
  topicFilters: string | readonly string[],
  options: RespondOptions<Decode>,
  responder: Responder,
): Subscription {
  checkOptions(options, respondRules)
  check('the responder', responder, callback)
  const { concurrencyMax = CONCURRENCY_MAX, ...subscribeOptions } = options
  let active = 0
  let goOn: (() => void) | null = null
  const answer = async (request: Message): Promise<void> => {
    const { responseTopic, correlationData } = request.properties
    let bytes: Uint8Array
    let options: SendOptions
    try {
      const response = await responder(request)
      if (response === undefined || responseTopic === undefined) return
      const { payload, qos = request.qos, properties } = isResponse(response) ? response : { payload: response }
      bytes = toBytes(payload)
      options = {
        qos,
        properties: correlationData === undefined ? { ...properties } : { ...properties, correlationData },
      }
    } catch (error) {
      onError(error)
      return
    }
    await deliver(responseTopic, bytes, options)
  }
  const handler = (request: Message): void | Promise<void> => {
    active++
    void answer(request).then(() => {
      request.ack()
      active--
      goOn?.()
    })
    if (active < concurrencyMax) return
    return new Promise((resolve) => {
      goOn = resolve
    })
  }
  return client.subscribe(topicFilters, { ...subscribeOptions, ack: 'manual' }, handler) as Subscription
}

function isResponse(response: Payload | ResponseMessage): response is ResponseMessage {
  if (!object.holds(response, '') || textOrBytes.holds(response, '')) return false
  checkOptions(response, responseRules, '', 'a response')
  return true
}
