/**
 * `protocol http_api`: version, listeners and the numbers of `$SYS` by HTTP, as JSON, and the files of `http_dir`; the latter also beside MQTT over
 * WebSocket.
 *
 * `administration.ts` makes one for each listener that has it. Paths, bodies and refusals are those of Mosquitto 2.1. The invariants: only GET; who asks
 * must be let in as an MQTT client with that user name and password would be, and may read a path only where he may receive from a topic of that
 * name.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ListenerConfig } from '../config/listeners.ts'
import { version } from '../version.ts'
import type { HttpFolder } from './http-folder.ts'

/** Time after which a client whose login could not be checked may come again, in seconds. */
const RETRY_SECONDS = 2

export interface Login {
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
}

export interface HttpApiParts {
  /** null: no files. */
  readonly folder: HttpFolder | null
  /** The API itself; otherwise files only. */
  readonly isApi: boolean
  readonly listeners: () => readonly ListenerConfig[]
  /** Numbers of `$SYS`, by topic. */
  readonly numbers: () => Readonly<Record<string, number>>
  /** Whether somebody may read a path; `busy`: the login could not be checked now. */
  readonly mayRead: (request: IncomingMessage, login: Login, path: string) => Promise<boolean | 'busy'>
}

/** Paths of Mosquitto's API. */
const mosquittos: readonly string[] = ['/api/v1/version', '/api/v1/listeners', '/api/v1/systree']

/** Whether Mosquitto answers at this path: then its manner is ours, too. */
export const isMosquittos = (path: string): boolean => mosquittos.includes(path)

export function httpApi(parts: HttpApiParts): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    if (request.method !== 'GET') {
      refuse(response, 405, 'Invalid HTTP Method\n', { allow: 'GET' })
      return
    }
    const path = pathOf(request.url ?? '/')
    // Files beside MQTT over WebSocket are for everybody, as in Mosquitto 2.0: they are the page that logs in.
    const mayRead = !parts.isApi || (await parts.mayRead(request, loginOf(request.headers.authorization), path))
    if (mayRead === 'busy') {
      refuse(response, 503, 'Server busy\n', { 'retry-after': `${RETRY_SECONDS}` })
      return
    }
    if (!mayRead) {
      refuse(response, 401, 'Not authorised\n', { 'www-authenticate': 'Basic realm="recado"' })
      return
    }
    const answer = parts.isApi ? answerTo(path, parts) : null
    if (answer !== null) {
      const [type, text] = answer
      response.writeHead(200, {
        'content-type': type,
        'content-length': Buffer.byteLength(text),
        'access-control-allow-origin': '*',
      })
      response.end(text)
      return
    }
    const isSent = (await parts.folder?.send(path, response)) ?? false
    if (!isSent) refuse(response, 404, 'Not found.\n')
  }
}

function refuse(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  const length = Buffer.byteLength(text)
  // As Mosquitto: a client need not read the rest of its own request, or of this.
  response.writeHead(status, {
    connection: 'close',
    'content-type': 'text/plain',
    'content-length': length,
    ...headers,
  })
  response.end(text)
}

/** Without query; what is relative in it has been resolved. */
function pathOf(url: string): string {
  try {
    return new URL(url, 'http://broker').pathname
  } catch {
    return '/'
  }
}

/** Login of HTTP Basic (RFC 7617); anything else is no user. */
function loginOf(authorization: string | undefined): Login {
  const nobody = { username: undefined, password: undefined }
  const [scheme = '', code = ''] = (authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'basic') return nobody
  const bytes = Buffer.from(code, 'base64')
  const colon = bytes.indexOf(':')
  if (colon === -1) return nobody
  return { username: bytes.subarray(0, colon).toString(), password: bytes.subarray(colon + 1) }
}

/** Type and text. */
function answerTo(path: string, { listeners, numbers }: HttpApiParts): [type: string, text: string] | null {
  switch (path) {
    case '/api/v1/version':
      return ['text/plain', version]
    case '/api/v1/listeners':
      return ['application/json', JSON.stringify({ listeners: listeners().map(listenerData) }, null, '\t')]
    case '/api/v1/systree':
      return ['application/json', JSON.stringify(numbers(), null, '\t')]
    default:
      return null
  }
}

function listenerData({ path, port, transport, tls, allowAnonymous }: ListenerConfig): unknown {
  const protocol = transport.http?.isApi === true ? 'httpapi' : transport.webSocket === null ? 'mqtt' : 'websockets'
  return {
    ...(path === null ? { port } : { path }),
    protocol,
    tls: tls !== null,
    mtls: tls?.settings.get('require_certificate')?.value === true,
    allow_anonymous: allowAnonymous,
  }
}
