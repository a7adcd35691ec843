/**
 * Questions to an HTTP service: bounded, timed, remembered for a while.
 *
 * `webhook.ts` asks. Invariants: at most `concurrency` requests are under way and `waitingMax` wait, in turn by network
 * (`LoginQueue`); one question that several ask at the same time is asked once; an invalid answer (an unexpected
 * status, size or form; no answer in time) is an error, never a yes.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { MqttError } from '@recado/protocol'
import type { LoginQueue, MakeLoginQueue } from '../../ports.ts'
import { hasSameNameTwice } from './json-names.ts'

/** Form of questions and answers. */
export interface Dialect {
  readonly contentType: string
  encode(question: object): string
  /** Reads an answer; `status` is not 401 or 403. @throws Error for one that is invalid */
  read(status: number, text: string): Reply
}

export interface RequestOptions {
  /** Longest time in milliseconds that a request may take. Default 5,000. */
  timeoutMs?: number
  /** Number of requests under way at a time. Default 64. */
  concurrency?: number
  /**
   * Number of questions that may wait, of all networks and of one (an IPv4 address, a /64 of IPv6). Default 1,000 and
   * 250.
   */
  waitingMax?: number
  waitingPerAddressMax?: number
  /**
   * Failed logins per second for which one network may cause requests; twice that in a burst. Above it further logins
   * are refused as busy. 0 means no limit. Default 100.
   */
  failuresPerSecondMax?: number
  /** Time in milliseconds for which an answer holds. Default 30,000; 0: it is not remembered. */
  cacheMs?: number
  /** Number of answers that are remembered. Default 10,000. */
  cacheMax?: number
  /** Headers sent with every request, for instance `authorization`. */
  headers?: Record<string, string>
}

/** Error: there was no room, and the question was not asked. */
export class TooManyRequests extends Error {}

export interface Reply {
  /** Status of the answer. 2xx: the service says yes, unless its body says otherwise. 401 and 403: no. */
  readonly isAllowed: boolean
  readonly body: Record<string, unknown>
}

interface Remembered {
  readonly reply: Reply
  readonly untilMs: number
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const BODY_BYTES_MAX = 65_536
const TOO_MANY = 'too many requests are waiting for the webhook'

export class Requests {
  readonly #options: Required<RequestOptions>
  /** Key for the digests under which questions are remembered: a password among them is never stored. */
  readonly #key: Buffer = randomBytes(32)
  readonly #remembered: Map<string, Remembered> = new Map()
  readonly #asked: Map<string, Promise<Reply>> = new Map()
  readonly #waiting: LoginQueue<Waiting>
  readonly #dialect: Dialect
  #underWay = 0

  constructor(options: RequestOptions, makeQueue: MakeLoginQueue, dialect: Dialect = plainJson) {
    this.#dialect = dialect
    this.#options = {
      timeoutMs: options.timeoutMs ?? 5_000,
      concurrency: options.concurrency ?? 64,
      waitingMax: options.waitingMax ?? 1_000,
      waitingPerAddressMax: options.waitingPerAddressMax ?? 250,
      failuresPerSecondMax: options.failuresPerSecondMax ?? 100,
      cacheMs: options.cacheMs ?? 30_000,
      cacheMax: options.cacheMax ?? 10_000,
      headers: options.headers ?? {},
    }
    const { waitingMax, waitingPerAddressMax, failuresPerSecondMax } = this.#options
    this.#waiting = makeQueue({ waitingMax, waitingPerNetworkMax: waitingPerAddressMax, failuresPerSecondMax })
  }

  /** Notes that a login from there was wrong. */
  failed(remoteAddress: string): void {
    this.#waiting.failed(remoteAddress)
  }

  /**
   * Asks a question, in turn by the network of `remoteAddress`. With `isLogin` it is not asked for a network with too
   * many wrong logins. Rejects with `TooManyRequests`, or MqttError ERR_MQTT_WEBHOOK.
   */
  ask(url: URL, question: object, remoteAddress: string, isLogin: boolean): Promise<Reply> {
    const body = this.#dialect.encode(question)
    const digest = createHmac('sha256', this.#key).update(url.href).update('\0').update(body).digest('base64')
    const known = this.#remembered.get(digest)
    if (known !== undefined && Date.now() < known.untilMs) return Promise.resolve(known.reply)
    const asked = this.#asked.get(digest)
    if (asked !== undefined) return asked
    // A remembered login is let in all the same.
    if (isLogin && this.#waiting.isRefusing(remoteAddress)) return Promise.reject(new TooManyRequests(TOO_MANY))
    const answer = this.#post(url, body, remoteAddress)
      .then((reply) => {
        // An answer to a question from before `forget` is not remembered.
        if (this.#asked.get(digest) === answer) this.#remember(digest, reply)
        return reply
      })
      .finally(() => {
        if (this.#asked.get(digest) === answer) this.#asked.delete(digest)
      })
    this.#asked.set(digest, answer)
    return answer
  }

  /** Forgets answers, and those that are on their way: questions are asked again. */
  forget(): void {
    this.#remembered.clear()
    this.#asked.clear()
  }

  #remember(digest: string, reply: Reply): void {
    const { cacheMs, cacheMax } = this.#options
    if (cacheMs <= 0) return
    this.#remembered.delete(digest)
    // The oldest goes: a map keeps its order.
    if (this.#remembered.size >= cacheMax) this.#remembered.delete(this.#remembered.keys().next().value!)
    this.#remembered.set(digest, { reply, untilMs: Date.now() + cacheMs })
  }

  async #post(url: URL, body: string, remoteAddress: string): Promise<Reply> {
    if (this.#underWay >= this.#options.concurrency) {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(remoteAddress, { resolve, reject })?.reject(new TooManyRequests(TOO_MANY))
      })
    } else {
      this.#underWay++
    }
    try {
      return await post(url, body, this.#dialect, this.#options)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#underWay--
      else next.resolve()
    }
  }
}

/** Our own dialect: JSON both ways, as `webhook.ts` says. */
const plainJson: Dialect = {
  contentType: 'application/json',
  encode: (question) => JSON.stringify(question),
  read(status, text) {
    if (status < 200 || status > 299) throw new Error(`status ${status}`)
    if (text === '') return { isAllowed: true, body: {} }
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (error) {
      throw new Error('the answer is not JSON', { cause: error })
    }
    if (hasSameNameTwice(text)) throw new Error('the answer has a member twice')
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
      throw new Error('the answer is not an object')
    return { isAllowed: true, body: parsed as Record<string, unknown> }
  },
}

async function post(
  url: URL,
  body: string,
  dialect: Dialect,
  { timeoutMs, headers }: Required<RequestOptions>,
): Promise<Reply> {
  const fail = (what: string, cause?: unknown): MqttError =>
    new MqttError(
      'ERR_MQTT_WEBHOOK',
      `${url.origin}${url.pathname}: ${what}`,
      cause === undefined ? undefined : { cause },
    )
  let response: Response
  let text: string
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': dialect.contentType, accept: 'application/json', ...headers },
      body,
      // The question, with a password in it, must not be sent to another place.
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    text = await textOf(response)
  } catch (error) {
    const { name, message, cause } = error as Error
    const why =
      name === 'TimeoutError'
        ? `the server did not answer within ${timeoutMs} ms`
        : ((cause as Error | undefined)?.message ?? message)
    throw fail(why, error)
  }
  if (response.status === 401 || response.status === 403) return { isAllowed: false, body: {} }
  try {
    return dialect.read(response.status, text)
  } catch (error) {
    throw fail((error as Error).message, (error as Error).cause ?? error)
  }
}

/** Reads the body. @throws Error when it is longer than allowed */
async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) throw new Error(`the answer has more than ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
