/**
 * Requests and their responses: `client.request` publishes with a Response Topic and Correlation Data, and resolves
 * with the message that comes back. One per client; it uses the client as applications do.
 *
 * All requests share one subscription to a Response Topic of this client's own (below the server's Response
 * Information, if there is any), which stays until the client closes. A Response Topic that the application names is
 * subscribed to while requests wait for it. Correlation Data alone decides to which request a response belongs.
 *
 * Invariant: every promise is settled when its response has come, its `signal` has aborted, or the client has closed.
 *
 * Source: MQTT 5.0 section 4.10.
 */
import { checkOptions, OptionError, type Properties, ReasonCode, reasonCodeName, toBytes } from '@recado/protocol'
import { type Deferred, deferred, orAborted, throwIfAborted } from './abort.ts'
import { type TopicCharacters, topicName } from './arguments.ts'
import { type Decode, PayloadDecoder } from './decode.ts'
import { ClientClosedError, NoResponderError, NotSupportedError } from './errors.ts'
import { type Message, viewOf } from './message.ts'
import { requestRules } from './option-rules.ts'
import type { Payload, PublishOptions, RequestOptions, SubscribeOptions } from './options.ts'
import type { PublishResult } from './outgoing.ts'
import type { ClientState, Session } from './state.ts'
import type { Subscription } from './subscription.ts'

/** Part of `Client` that is used here. */
export interface RequestingClient {
  readonly session: Session | null
  states(): AsyncIterableIterator<ClientState>
  publish(topic: string, payload: Payload | undefined, options: PublishOptions): Promise<PublishResult>
  subscribe(topicFilter: string, options: SubscribeOptions): Subscription
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz'
const encoder = new TextEncoder()

/** Response Topic that is subscribed to, with the requests that wait there. */
class ResponseInbox {
  readonly topic: string
  readonly subscription: Subscription
  /** Waiting requests by Correlation Data. */
  readonly waiting = new Map<string, Deferred<Message>>()

  constructor(topic: string, subscription: Subscription) {
    this.topic = topic
    this.subscription = subscription
  }

  /** Reads responses until the subscription ends; then no request waits any more. */
  async read(): Promise<void> {
    let error: unknown = new ClientClosedError('the client was closed before the response came')
    try {
      for await (const message of this.subscription) {
        const { correlationData } = message.properties
        // A response to a cancelled request is ignored.
        if (correlationData !== undefined) this.waiting.get(keyOf(correlationData))?.resolve(message)
      }
    } catch (failure) {
      error = failure
    }
    for (const request of this.waiting.values()) request.reject(error)
  }
}

export class Requester {
  readonly #client: RequestingClient
  readonly #random: () => number
  readonly #topicCharacters: TopicCharacters | undefined
  readonly #inboxes = new Map<string, ResponseInbox>()
  #ownTopic: string | null = null
  /** Response Information from which `#ownTopic` was made. */
  #information: string | undefined
  #lastRequest = 0
  #prefix: string | null = null

  constructor(client: RequestingClient, random: () => number, topicCharacters?: TopicCharacters) {
    this.#topicCharacters = topicCharacters
    this.#client = client
    this.#random = random
  }

  async request(topic: string, payload: Payload | undefined, options: RequestOptions<Decode>): Promise<Message> {
    checkOptions(options, requestRules)
    const { decode = 'bytes', responseTopic: given, signal, ...publishOptions } = options
    throwIfAborted(signal)
    topicName(topic, this.#topicCharacters)
    toBytes(payload)
    if (given !== undefined) topicName(given, this.#topicCharacters, 'responseTopic')
    const session = await orAborted(this.#session(), signal)
    if (session.protocolVersion !== 5) {
      const version = session.protocolVersion === 4 ? '3.1.1' : '3.1'
      throw new NotSupportedError(`request() needs MQTT 5.0; this connection has version ${version}`)
    }
    const responseTopic = given ?? this.#responseTopic(session)
    const correlationData = publishOptions.properties?.correlationData ?? this.#correlationData()
    const inbox = this.#inbox(responseTopic)
    const key = keyOf(correlationData)
    if (inbox.waiting.has(key))
      throw new OptionError(
        'another request with the same Correlation Data is waiting: choose different data, or leave it out',
      )
    const response = deferred<Message>()
    response.promise.catch(() => {})
    inbox.waiting.set(key, response)
    try {
      await orAborted(inbox.subscription.ready, signal)
      const properties: Properties = { ...publishOptions.properties, responseTopic, correlationData }
      const published = { qos: 1 as const, ...publishOptions, properties, ...(signal === undefined ? {} : { signal }) }
      this.#client.publish(topic, payload, published).then(
        ({ reasonCode }) => {
          if (reasonCode !== ReasonCode.NoMatchingSubscribers) return
          const why = `${JSON.stringify(topic)} has no subscriber, so no response can come: start the responder, or check the topic`
          response.reject(new NoResponderError(`${why} (${reasonCodeName(reasonCode)})`))
        },
        (error: unknown) => response.reject(error),
      )
      const message = viewOf(await orAborted(response.promise, signal), [])
      if (decode !== 'bytes') await new PayloadDecoder(decode, 'error').decode(message)
      return message
    } finally {
      inbox.waiting.delete(key)
      this.#release(inbox)
    }
  }

  async #session(): Promise<Session> {
    // Before the first connection version and Response Information are unknown.
    if (this.#client.session === null) {
      for await (const state of this.#client.states()) {
        if (state.name === 'connected') break
        if (state.name === 'closing') throw new ClientClosedError()
        if (state.name === 'closed') throw state.error ?? new ClientClosedError()
      }
    }
    if (this.#client.session === null) throw new ClientClosedError()
    return this.#client.session
  }

  #responseTopic({ clientId, properties }: Session): string {
    const { responseInformation } = properties
    if (this.#ownTopic === null || this.#information !== responseInformation) {
      // The Client Identifier allows access rules for the topic; it is left out when it cannot be a level.
      const who = /^[^/+#]{1,64}$/.test(clientId) ? `${clientId}/` : ''
      const base = responseInformation?.replace(/\/$/, '') ?? `response/${who}`.slice(0, -1)
      this.#information = responseInformation
      this.#ownTopic = `${base}/${this.#letters(16)}`
    }
    return this.#ownTopic
  }

  #correlationData(): Uint8Array {
    this.#prefix ??= this.#letters(6)
    return encoder.encode(`${this.#prefix}${(++this.#lastRequest).toString(36)}`)
  }

  #letters(count: number): string {
    return Array.from({ length: count }, () => LETTERS[Math.floor(this.#random() * LETTERS.length)]).join('')
  }

  #inbox(topic: string): ResponseInbox {
    const known = this.#inboxes.get(topic)
    if (known !== undefined && !known.subscription.ended) return known
    const inbox = new ResponseInbox(topic, this.#client.subscribe(topic, { qos: 1, literal: true }))
    this.#inboxes.set(topic, inbox)
    void inbox.read().then(() => {
      if (this.#inboxes.get(topic) === inbox) this.#inboxes.delete(topic)
    })
    return inbox
  }

  /** Unsubscribes when no request waits, except from the topic that the next request will use. */
  #release(inbox: ResponseInbox): void {
    if (inbox.waiting.size > 0 || inbox.topic === this.#ownTopic) return
    if (this.#inboxes.get(inbox.topic) === inbox) this.#inboxes.delete(inbox.topic)
    inbox.subscription.unsubscribe().catch(() => {})
  }
}

function keyOf(correlationData: Uint8Array): string {
  return correlationData.join()
}
