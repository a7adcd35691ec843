/**
 * Logins and rights that an HTTP service decides about in the words of mosquitto-go-auth, for services that were made
 * for its back-end `http`.
 *
 *     POST user       { "clientid", "password", "username" }
 *     POST superuser  { "username" }
 *     POST acl        { "acc", "clientid", "topic", "username" }   acc: 1 read, 2 write, 4 subscribe
 *
 * `goAuth` of `access.ts` makes one. Invariants: 2xx is yes (and, with `response` `text` or `json`, what the body
 * says), 4xx is no; no answer, another status or another body refuses. A superuser may everything. The service is asked
 * about a subscription, and about reading a topic that is subscribed to without wildcards; it is not asked about each
 * message.
 */
import { MqttError, parseShare, ReasonCode, type Subscription } from '@recado/protocol'
import {
  BUSY,
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  type MakeLoginQueue,
  REFUSED,
  UNAVAILABLE,
} from '../../ports.ts'
import { type Dialect, type Reply, type RequestOptions, Requests, TooManyRequests } from './requests.ts'

/** Options of a service in the way of mosquitto-go-auth. */
export interface GoAuthOptions extends RequestOptions {
  /** Address for logins; without one nobody can log in here. */
  userUrl?: string | URL
  /** Address that says who may everything. Default: nobody. */
  superuserUrl?: string | URL
  /** Address for topics; without one only superusers may something. */
  aclUrl?: string | URL
  /** Form of questions. Default `json`. */
  params?: 'json' | 'form'
  /** Part of an answer that decides: the status alone (the default), the text `ok`, or `{"ok": true}`. */
  response?: 'status' | 'text' | 'json'
  /** Called with the cause when an answer is missing or invalid. */
  onError?(error: Error): void
}

const Access = { Read: 1, Write: 2, Subscribe: 4 } as const

/** Answers that are remembered for one client. */
const KNOWN_MAX = 1_000
const CACHE_MS = 30_000

/** Answers for one client, for as long as they hold. */
class Known {
  readonly of: object
  readonly answers: Map<string, { readonly isAllowed: boolean; readonly untilMs: number }> = new Map()
  constructor(of: object) {
    this.of = of
  }
}

/** Logins and rights that an HTTP service in the way of mosquitto-go-auth decides. */
export class GoAuthService {
  readonly #options: GoAuthOptions
  readonly #userUrl: URL | null
  readonly #superuserUrl: URL | null
  readonly #aclUrl: URL | null
  readonly #requests: Requests
  readonly #known: WeakMap<ClientInfo, Known> = new WeakMap()
  /** Mark of answers that still hold. */
  #generation: object = {}

  /** @throws MqttError ERR_MQTT_WEBHOOK for an address that is not one. */
  constructor(options: GoAuthOptions, makeQueue: MakeLoginQueue) {
    this.#options = options
    this.#userUrl = urlFrom(options.userUrl)
    this.#superuserUrl = urlFrom(options.superuserUrl)
    this.#aclUrl = urlFrom(options.aclUrl)
    this.#requests = new Requests(options, makeQueue, dialectOf(options))
  }

  /** Forgets answers: questions are asked again. */
  forget(): void {
    this.#generation = {}
    this.#requests.forget()
  }

  /** Authenticates a client; returns null for one without a user name or password. */
  async authenticate({ connect, clientId, remoteAddress }: ConnectRequest): Promise<ConnectDecision | null> {
    const { username, password } = connect
    if (this.#userUrl === null || !username || password === undefined) return null
    const question = { clientid: clientId, password: new TextDecoder().decode(password), username }
    try {
      const { isAllowed } = await this.#requests.ask(this.#userUrl, question, remoteAddress, true)
      if (isAllowed) return {}
      this.#requests.failed(remoteAddress)
      return REFUSED
    } catch (error) {
      return this.#failed(error) ? BUSY : UNAVAILABLE
    }
  }

  /** Whether the client may publish to this topic. */
  publish(client: ClientInfo, topic: string): Promise<number> | boolean {
    return this.#may(client, topic, [Access.Write])
  }

  /** Whether the client may make this subscription. */
  subscribe(client: ClientInfo, { topicFilter }: Subscription): Promise<number> | boolean {
    const topic = parseShare(topicFilter)?.topicFilter ?? topicFilter
    const isWild = /[+#]/.test(topic)
    return this.#may(client, topic, isWild ? [Access.Subscribe] : [Access.Subscribe, Access.Read])
  }

  #may(client: ClientInfo, topic: string, accesses: readonly number[]): Promise<number> | boolean {
    const known = this.#knownOf(client)
    const key = `${accesses} ${topic}`
    const answer = known.answers.get(key)
    if (answer !== undefined && Date.now() < answer.untilMs) return answer.isAllowed
    return this.#ask(client, topic, accesses, known, key)
  }

  #knownOf(client: ClientInfo): Known {
    const known = this.#known.get(client)
    if (known?.of === this.#generation) return known
    const made = new Known(this.#generation)
    this.#known.set(client, made)
    return made
  }

  async #ask(
    client: ClientInfo,
    topic: string,
    accesses: readonly number[],
    known: Known,
    key: string,
  ): Promise<number> {
    try {
      const isAllowed = await this.#isAllowed(client, topic, accesses)
      const cacheMs = this.#options.cacheMs ?? CACHE_MS
      if (cacheMs > 0 && known.of === this.#generation) {
        if (known.answers.size >= KNOWN_MAX) known.answers.clear()
        known.answers.set(key, { isAllowed, untilMs: Date.now() + cacheMs })
      }
      return isAllowed ? ReasonCode.Success : ReasonCode.NotAuthorized
    } catch (error) {
      return this.#failed(error) ? ReasonCode.QuotaExceeded : ReasonCode.UnspecifiedError
    }
  }

  async #isAllowed(
    { clientId, username = '', remoteAddress }: ClientInfo,
    topic: string,
    accesses: readonly number[],
  ): Promise<boolean> {
    const ask = async (url: URL, question: object): Promise<boolean> =>
      (await this.#requests.ask(url, question, remoteAddress, false)).isAllowed
    if (this.#superuserUrl !== null && (await ask(this.#superuserUrl, { username }))) return true
    if (this.#aclUrl === null) return false
    for (const acc of accesses)
      if (!(await ask(this.#aclUrl, { acc, clientid: clientId, topic, username }))) return false
    return true
  }

  /** Reports a failure, except a lack of room. Returns true for a lack of room. */
  #failed(error: unknown): boolean {
    if (error instanceof TooManyRequests) return true
    this.#options.onError?.(error as Error)
    return false
  }
}

function dialectOf({ params = 'json', response = 'status' }: GoAuthOptions): Dialect {
  return {
    contentType: params === 'json' ? 'application/json' : 'application/x-www-form-urlencoded',
    encode: (question) =>
      params === 'json' ? JSON.stringify(question) : new URLSearchParams(question as Record<string, string>).toString(),
    read(status, text): Reply {
      if (status >= 400 && status < 500) return { isAllowed: false, body: {} }
      if (status < 200 || status > 299) throw new Error(`status ${status}`)
      return { isAllowed: isYes(response, text), body: {} }
    },
  }
}

/** @throws Error for a body that says nothing */
function isYes(response: 'status' | 'text' | 'json', text: string): boolean {
  if (response === 'status') return true
  if (response === 'text') return text === 'ok'
  const body: unknown = JSON.parse(text)
  const ok = (body as { ok?: unknown; Ok?: unknown } | null)?.ok ?? (body as { Ok?: unknown } | null)?.Ok
  if (ok !== undefined && typeof ok !== 'boolean')
    throw new Error('the answer has an "ok" that is neither true nor false')
  return ok === true
}

function urlFrom(address: string | URL | undefined): URL | null {
  if (address === undefined) return null
  if (!URL.canParse(String(address))) throw new MqttError('ERR_MQTT_WEBHOOK', `go-auth: "${address}" is not a URL`)
  const url = new URL(address)
  if (url.protocol === 'http:' || url.protocol === 'https:') return url
  throw new MqttError('ERR_MQTT_WEBHOOK', `go-auth: ${url.protocol}//… is neither http nor https`)
}
