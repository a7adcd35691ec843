/**
 * Logins and rights that an HTTP service decides: each question is a POST of JSON.
 *
 *     POST login   { "clientId", "username", "password", "remoteAddress", "listener", "protocolVersion", "certificate" }
 *     POST rights  { "action": "publish" | "subscribe", "topic", "qos", "retain", "clientId", "username", "remoteAddress", "listener" }
 *
 * 200 or 204 without a body is yes; 401 and 403 are no. A body of 200 may say more:
 * `{ "result": "allow" | "deny" | "ignore" }`, and to a login `username`, `expiresAt` (seconds since 1970) and `acl`
 * (see `byGrants`). Anything else, or no answer, refuses.
 */
import { hasDisallowedCodePoint, isTopicFilter, MqttError, ReasonCode, type Subscription } from '@recado/protocol'
import {
  BUSY,
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  type MakeLoginQueue,
  REFUSED,
  UNAVAILABLE,
} from '../../ports.ts'
import { type Reply, type RequestOptions, Requests, TooManyRequests } from './requests.ts'

/** Options of `webhook`. */
export interface WebhookOptions extends RequestOptions {
  /** URL that is asked about logins. */
  loginUrl?: string | URL
  /**
   * URL that is asked about each topic that is published to, each Will and each subscription; answers hold for
   * `cacheMs`.
   */
  rightsUrl?: string | URL
  /** Called when an answer is missing or invalid. */
  onError?(error: Error): void
}

interface Question {
  readonly action: 'publish' | 'subscribe'
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
}

const CACHE_MS = 30_000
/** Number of answers that are remembered for one client. */
const KNOWN_MAX = 1_000

/** Rights of a client, for as long as they hold: a message to a known topic waits for no answer. */
class KnownRights {
  readonly of: object
  readonly #cacheMs: number
  readonly #known: Map<string, { isAllowed: boolean; untilMs: number }> = new Map()

  constructor(of: object, cacheMs: number) {
    this.of = of
    this.#cacheMs = cacheMs
  }

  get(question: Question): boolean | null {
    const known = this.#known.get(keyOf(question))
    return known !== undefined && Date.now() < known.untilMs ? known.isAllowed : null
  }

  set(question: Question, isAllowed: boolean): void {
    if (this.#cacheMs <= 0) return
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.set(keyOf(question), { isAllowed, untilMs: Date.now() + this.#cacheMs })
  }
}

/** Seconds of the end of the year 9999: a larger value has another unit, such as milliseconds. */
const SECONDS_MAX = 253_402_300_799

const keyOf = ({ action, topic, qos, retain }: Question): string => `${action} ${qos} ${retain} ${topic}`

type Asked = 'allow' | 'deny' | 'ignore'

/** Logins and rights that an HTTP server decides, as `authenticate` and `authorize` take them. */
export class Webhook {
  readonly #options: WebhookOptions
  readonly #loginUrl: URL | null
  readonly #rightsUrl: URL | null
  readonly #requests: Requests
  /** Generation of the remembered rights; those of an earlier one are out of date. */
  #generation: object = {}

  /** @throws MqttError ERR_MQTT_WEBHOOK for an address that is not a URL */
  constructor(options: WebhookOptions, makeQueue: MakeLoginQueue) {
    this.#options = options
    this.#loginUrl = urlFrom(options.loginUrl)
    this.#rightsUrl = urlFrom(options.rightsUrl)
    if (this.#loginUrl === null && this.#rightsUrl === null) {
      throw new MqttError('ERR_MQTT_WEBHOOK', 'webhook: give loginUrl, rightsUrl or both')
    }
    this.#requests = new Requests(options, makeQueue)
  }

  /** Forgets answers, so that questions are asked again. */
  forget(): void {
    this.#generation = {}
    this.#requests.forget()
  }

  /** Asks about a login; null when the service leaves it to other sources. */
  async authenticate({
    connect,
    clientId,
    remoteAddress,
    listener,
    peer,
  }: ConnectRequest): Promise<ConnectDecision | null> {
    if (this.#loginUrl === null) return null
    const question = {
      clientId,
      username: connect.username ?? null,
      ...passwordOf(connect.password),
      remoteAddress: remoteAddress.replace(/:\d+$/, ''),
      listener,
      protocolVersion: connect.protocolVersion,
      certificate: peer?.commonName ?? null,
    }
    try {
      const reply = await this.#requests.ask(this.#loginUrl, question, remoteAddress, true)
      const result = resultOf(reply)
      if (result === 'deny') this.#requests.failed(remoteAddress)
      if (result !== 'allow') return result === 'ignore' ? null : REFUSED
      return decisionOf(reply)
    } catch (error) {
      return this.#failed(error) ? BUSY : UNAVAILABLE
    }
  }

  /** Whether the client may publish to this topic. */
  publish(
    client: ClientInfo,
    topic: string,
    { qos, retain }: { qos: number; retain: boolean },
  ): Promise<number> | boolean {
    return this.#may(client, { action: 'publish', topic, qos, retain })
  }

  /** Whether the client may make this subscription. */
  subscribe(client: ClientInfo, { topicFilter, qos }: Subscription): Promise<number> | boolean {
    return this.#may(client, { action: 'subscribe', topic: topicFilter, qos, retain: false })
  }

  #may(client: ClientInfo, what: Question): Promise<number> | boolean {
    if (this.#rightsUrl === null) return true
    const rights = this.#rightsOf(client)
    const known = rights.get(what)
    return known ?? this.#askMay(this.#rightsUrl, client, what, rights)
  }

  /** Rights that are remembered for this client. */
  #rightsOf(client: ClientInfo): KnownRights {
    if (client.memo instanceof KnownRights && client.memo.of === this.#generation) return client.memo
    const rights = new KnownRights(this.#generation, this.#options.cacheMs ?? CACHE_MS)
    client.memo = rights
    return rights
  }

  async #askMay(url: URL, client: ClientInfo, what: Question, known: KnownRights): Promise<number> {
    const generation = this.#generation
    const answer = await this.#askOnce(url, client, what, known)
    if (generation === this.#generation) return answer
    // Answered before the rights changed. The client may have another user by then, with answers of its own.
    return this.#askMay(url, client, what, this.#rightsOf(client))
  }

  async #askOnce(url: URL, client: ClientInfo, what: Question, rights: KnownRights): Promise<number> {
    const { clientId, username, remoteAddress, listener } = client
    try {
      const reply = await this.#requests.ask(
        url,
        {
          ...what,
          clientId,
          username: username ?? null,
          remoteAddress: remoteAddress.replace(/:\d+$/, ''),
          listener,
        },
        remoteAddress,
        false,
      )
      const isAllowed = resultOf(reply) === 'allow'
      rights.set(what, isAllowed)
      return isAllowed ? ReasonCode.Success : ReasonCode.NotAuthorized
    } catch (error) {
      return this.#failed(error) ? ReasonCode.QuotaExceeded : ReasonCode.UnspecifiedError
    }
  }

  /** Reports an error. Returns true when there was no room. */
  #failed(error: unknown): boolean {
    if (error instanceof TooManyRequests) return true
    this.#options.onError?.(error as Error)
    return false
  }
}

function urlFrom(address: string | URL | undefined): URL | null {
  if (address === undefined) return null
  let url: URL
  try {
    url = new URL(address)
  } catch (error) {
    throw new MqttError('ERR_MQTT_WEBHOOK', `webhook: "${address}" is not a URL`, { cause: error })
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') return url
  throw new MqttError('ERR_MQTT_WEBHOOK', `webhook: ${url.protocol}//… is neither http nor https`)
}

function passwordOf(password: Uint8Array | undefined): { password: string | null } | { passwordBase64: string } {
  if (password === undefined) return { password: null }
  try {
    return { password: new TextDecoder('utf-8', { fatal: true }).decode(password) }
  } catch {
    return { passwordBase64: Buffer.from(password).toString('base64') }
  }
}

/** Reads an answer. @throws MqttError ERR_MQTT_WEBHOOK for an answer of another form */
function resultOf({ isAllowed, body }: Reply): Asked {
  if (!isAllowed) return 'deny'
  const { result = 'allow' } = body
  if (result === 'allow' || result === 'deny' || result === 'ignore') return result
  throw new MqttError('ERR_MQTT_WEBHOOK', 'webhook: the answer has a result that is not allow, deny or ignore')
}

/** Reads a decision about a login. @throws MqttError ERR_MQTT_WEBHOOK */
function decisionOf({ body }: Reply): ConnectDecision {
  const fail = (what: string): never => {
    throw new MqttError('ERR_MQTT_WEBHOOK', `webhook: the answer has ${what}`)
  }
  const decision: ConnectDecision = {}
  const { username, expiresAt, acl } = body
  if (username !== undefined) {
    if (typeof username !== 'string' || username === '' || username.includes('\0') || hasDisallowedCodePoint(username))
      fail('a username that is empty, not a string, or has control characters')
    decision.username = username as string
  }
  if (expiresAt !== undefined) {
    if (typeof expiresAt !== 'number' || !(expiresAt > 0 && expiresAt <= SECONDS_MAX))
      fail('an expiresAt that is not a number of seconds')
    decision.expiresAtMs = (expiresAt as number) * 1_000
  }
  if (acl !== undefined) {
    const isObject = typeof acl === 'object' && acl !== null && !Array.isArray(acl)
    const { publish = [], subscribe = [] } = (isObject ? acl : { publish: null }) as {
      publish?: unknown
      subscribe?: unknown
    }
    const isList = (list: unknown): list is string[] =>
      Array.isArray(list) && list.every((each) => typeof each === 'string' && isTopicFilter(each))
    if (isList(publish) && isList(subscribe)) decision.grants = { publish, subscribe }
    else fail('an acl that does not have the form { publish: [filter…], subscribe: [filter…] }')
  }
  return decision
}
