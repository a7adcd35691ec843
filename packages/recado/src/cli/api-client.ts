/**
 * Requests of the command line to the HTTP API of a running broker: address, token, answers and errors in words.
 *
 * Used by `recado why`, `trace` and `status`. The invariant: an answer that is not the API's ends in one line that says what
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

export const apiNotes = `The broker needs a listener with the HTTP API:

  listener 9883 127.0.0.1
  protocol http_api

Without a token a broker that allows anonymous clients lets its own machine look, but not trace.`

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
  async get<Answer>(
    path: string,
    parameters: Record<string, string | undefined> = {},
    accepted: readonly number[] = [],
  ): Promise<Answer> {
    const response = await this.#open(path, parameters, 'application/json', accepted)
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
    parameters: Record<string, string | undefined>,
    seconds: number,
    signal: AbortSignal,
  ): AsyncGenerator<{ name: string; data: Data }> {
    const response = await this.#open(path, parameters, 'text/event-stream')
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
    path: string,
    parameters: Record<string, string | undefined>,
    accept: string,
    accepted: readonly number[] = [],
  ): Promise<IncomingMessage> {
    const url = new URL(path, this.#url)
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
    const headers = {
      accept,
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
    }
    return new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:'
      const options = { headers, agent: false as const, ...(isSecure && this.#ca ? { ca: this.#ca } : {}) }
      const sent = (isSecure ? requestHttps : requestHttp)(url, options, (response) => {
        if (response.statusCode === 200 || accepted.includes(response.statusCode ?? 0)) resolve(response)
        else this.#refusal(response).then(reject, reject)
      })
      sent.setTimeout(SILENCE_MS, () =>
        sent.destroy(new ToolError(`${url.host} says nothing for ${SILENCE_MS / 1000} s`)),
      )
      sent.on('error', (error: NodeJS.ErrnoException) => reject(this.#failure(error)))
      sent.end()
    })
  }

  #failure(error: NodeJS.ErrnoException): ToolError {
    if (error instanceof ToolError) return error
    const hint =
      error.code === 'ECONNREFUSED'
        ? 'nothing listens there. The broker needs a listener with "protocol http_api"; --url says where it is'
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
