/**
 * Requests of the command line to the HTTP API of a running broker: address, token, answers and errors in words.
 *
 * Used by the commands that ask a broker: `recado status`, `top`, `why`, `trace`, `clients`, `kick`, `ban`, `retained`,
 * `publish`, `reload` and `backup --url`. The invariant: an answer that is not the API's ends in one line that says what
 * to do, and none is kept in memory beyond `ANSWER_BYTES_MAX`.
 */
import { readFileSync } from 'node:fs'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { type OptionRow, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import { safeLine } from './terminal.ts'

const URL_DEFAULT = 'http://127.0.0.1:9883'
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
/** Time without a byte after which a request ends, ms. */
const SILENCE_MS = 60_000

export const apiRows: readonly OptionRow[] = [
  { names: ['--url'], value: 'URL', help: `address of the HTTP API (default: RECADO_API, or ${URL_DEFAULT})` },
  {
    names: ['--token-file'],
    value: 'FILE',
    help: 'file with the token of `recado token create` (default: RECADO_TOKEN has it)',
    completes: 'file',
  },
  { names: ['--cafile'], value: 'FILE', help: 'trusted certificate authorities (PEM) for https', completes: 'file' },
]

const listenerNotes = `A broker without configured listeners has the HTTP API at ${URL_DEFAULT}; others need a listener with it:

  listener 9883 127.0.0.1
  protocol http_api`

export const apiNotes: string = `${listenerNotes}

Without a token a broker that allows anonymous clients lets its own machine look, but not trace.`

/** Notes of commands that change something. */
export const changeNotes = (role: 'operator' | 'admin'): string => `${listenerNotes}

It needs a token with the role ${role}: recado token create NAME --role ${role}.

Exit code: 0 when it is done, else 1.`

/** Parameters of a request; those that are undefined are left out. */
export type Parameters = Readonly<Record<string, string | undefined>>

/** Segment of a path. */
export const segment = (text: string): string => encodeURIComponent(text)

export class ApiClient {
  readonly #url: URL
  readonly #token: string | undefined
  readonly #ca: Buffer | undefined

  /** @throws ToolError for an address that is none, and for a file that cannot be read */
  constructor(parsed: ParsedCommand, env: Readonly<Record<string, string | undefined>>) {
    const given = valueIn(parsed, '--url') ?? env['RECADO_API'] ?? URL_DEFAULT
    const address = /^https?:\/\//i.test(given) ? given : `http://${given}`
    if (!URL.canParse(address) || new URL(address).pathname !== '/')
      throw new ToolError(`--url ${given}: expected an address without a path, such as ${URL_DEFAULT}`)
    this.#url = new URL(address)
    const file = valueIn(parsed, '--token-file')
    const token = file === undefined ? env['RECADO_TOKEN'] : readFileSync(file, 'utf8')
    this.#token = token?.trim() || undefined
    if (this.#token !== undefined && !/^[\x21-\x7e]+$/.test(this.#token))
      throw new ToolError(
        'the token has characters that no token has: give the line that `recado token create` printed',
      )
    const caFile = valueIn(parsed, '--cafile')
    this.#ca = caFile === undefined ? undefined : readFileSync(caFile)
  }

  /**
   * Answer of a GET. Parameters that are undefined are left out; `accepted` are statuses whose body is the answer too.
   * @throws ToolError
   */
  async get<Answer>(path: string, parameters: Parameters = {}, accepted: readonly number[] = []): Promise<Answer> {
    return this.#parsed<Answer>(await this.#open('GET', path, parameters, { accepted }))
  }

  /** Answer of a request that changes something; undefined when it has none. @throws ToolError */
  async send<Answer>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    { parameters = {}, body }: { readonly parameters?: Parameters; readonly body?: object } = {},
  ): Promise<Answer> {
    const response = await this.#open(method, path, parameters, body === undefined ? {} : { body })
    if (response.statusCode !== 204) return this.#parsed<Answer>(response)
    response.resume()
    return undefined as Answer
  }

  /** Body of a GET as it comes, and its length where it is known. The caller reads or destroys it. @throws ToolError */
  async download(path: string): Promise<{ readonly body: IncomingMessage; readonly bytes: number | null }> {
    const body = await this.#open('GET', path, {}, { accept: 'application/octet-stream' })
    const length = Number(body.headers['content-length'] ?? Number.NaN)
    return { body, bytes: Number.isNaN(length) ? null : length }
  }

  async #parsed<Answer>(response: IncomingMessage): Promise<Answer> {
    const text = await textOf(response)
    try {
      return JSON.parse(text) as Answer
    } catch {
      throw new ToolError(`${this.#url.host} answers, but not as Recado's HTTP API does; is it another program's port?`)
    }
  }

  /**
   * Server-sent events of a GET, as they come: the data of each, parsed. Ends with the answer; `seconds` is how long the broker
   * may be silent. @throws ToolError
   */
  async *events<Data>(
    path: string,
    parameters: Parameters,
    seconds: number,
    signal: AbortSignal,
  ): AsyncGenerator<{ name: string; data: Data }> {
    const response = await this.#open('GET', path, parameters, { accept: 'text/event-stream' })
    response.socket.setTimeout(seconds * 1000 + SILENCE_MS)
    const end = (): void => void response.destroy()
    signal.addEventListener('abort', end, { once: true })
    try {
      let left = ''
      for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
        left += chunk
        if (left.length > ANSWER_BYTES_MAX) throw new ToolError('the answer has an event that is too large')
        const events = left.split('\n\n')
        left = events.pop()!
        for (const event of events) {
          const name = /^event: ?(.*)$/m.exec(event)?.[1] ?? 'message'
          const data = [...event.matchAll(/^data: ?(.*)$/gm)].map(([, line]) => line).join('\n')
          if (data !== '') yield { name, data: JSON.parse(data) as Data }
        }
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ToolError) throw error
      throw new ToolError(`the connection to ${this.#url.host} broke off: ${(error as Error).message}`)
    } finally {
      signal.removeEventListener('abort', end)
      response.destroy()
    }
  }

  #open(
    method: string,
    path: string,
    parameters: Parameters,
    {
      accept = 'application/json',
      accepted = [],
      body,
    }: { readonly accept?: string; readonly accepted?: readonly number[]; readonly body?: object },
  ): Promise<IncomingMessage> {
    const url = new URL(path, this.#url)
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
    const text = body === undefined ? null : JSON.stringify(body)
    const headers = {
      accept,
      ...(text === null
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
    }
    return new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:'
      const options = { method, headers, agent: false as const, ...(isSecure && this.#ca ? { ca: this.#ca } : {}) }
      const sent = (isSecure ? requestHttps : requestHttp)(url, options, (response) => {
        const status = response.statusCode ?? 0
        if ([200, 201, 204].includes(status) || accepted.includes(status)) resolve(response)
        else this.#refusal(response).then(reject, reject)
      })
      sent.setTimeout(SILENCE_MS, () =>
        sent.destroy(new ToolError(`${url.host} says nothing for ${SILENCE_MS / 1000} s`)),
      )
      sent.on('error', (error: NodeJS.ErrnoException) => reject(this.#failure(error)))
      sent.end(text ?? undefined)
    })
  }

  #failure(error: NodeJS.ErrnoException): ToolError {
    if (error instanceof ToolError) return error
    const hint =
      error.code === 'ECONNREFUSED'
        ? 'nothing listens there. The broker needs a listener with "protocol http_api"; --url says where it is'
        : error.code === 'ECONNRESET' || error.code?.startsWith('HPE_')
          ? `what listens there does not speak HTTP (${error.message}); is it a port for MQTT clients?`
          : error.message
    return new ToolError(`${this.#url.host}: ${hint}`)
  }

  /** Error of an answer that is none of 200: the problem document has the words. */
  async #refusal(response: IncomingMessage): Promise<ToolError> {
    const text = await textOf(response)
    let detail = ''
    try {
      const problem = JSON.parse(text) as { detail?: unknown; title?: unknown }
      detail = String(problem.detail ?? problem.title ?? '')
    } catch {
      // Another program, or one of Mosquitto's own pages: the status has to do.
    }
    if (response.statusCode === 401 && this.#token === undefined)
      return new ToolError(
        'the broker asks for a login: make a token with `recado token create NAME`, put it into RECADO_TOKEN',
      )
    return new ToolError(
      `${this.#url.host} answers ${response.statusCode}${detail === '' ? '' : `: ${safeLine(detail)}`}`,
    )
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.length > ANSWER_BYTES_MAX) throw new ToolError('the answer is larger than 16 MiB')
  }
  return text
}
