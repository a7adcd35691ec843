/**
 * The HTTP request that becomes a WebSocket, read and answered.
 *
 * `WebSocketTransport` gathers the head of the request and calls `answerTo`. Invariants: one request a connection, of
 * bounded length; a request that is not a WebSocket for MQTT gets an HTTP answer with the reason, and the end.
 *
 * Any path is accepted unless one is given, as in Mosquitto. The subprotocol must be offered [MQTT-6.0.0-3]; ours is
 * the first of `mqtt` and `mqttv3.1` that the client offers, the second one as in Mosquitto, for clients of MQTT 3.1.
 *
 * Source: RFC 6455 section 4, RFC 9112 (HTTP/1.1); MQTT 5.0 section 6.
 */
import { createHash } from 'node:crypto'

export interface UpgradeRules {
  /** Path that is served; null for any. */
  readonly path: string | null
  /** Origins of pages that may connect; empty for all, and for clients that are no pages. */
  readonly origins: readonly string[]
  /** Whether the answers are Mosquitto's (default: no): `WebSocket` in the header, and none for a page of another origin. */
  readonly isMosquitto?: boolean
}

export interface UpgradeAnswer {
  /** Text of the whole answer; '' for none. */
  readonly response: string
  /** Reason of the refusal, for the log; null when it is a WebSocket now. */
  readonly refusal: string | null
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const SUBPROTOCOLS: readonly string[] = ['mqtt', 'mqttv3.1']
const HEADER_LINES_MAX = 100
/** Name of a header field (RFC 9110, 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const FORBIDDEN_IN_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/

/** @param head the request up to the empty line, without it, as latin1 */
export function answerTo(head: string, rules: UpgradeRules): UpgradeAnswer {
  const [start = '', ...lines] = head.split('\r\n')
  const request = /^([A-Za-z]+) (\S+) HTTP\/(\d\.\d)$/.exec(start)
  if (request === null) return refuse(400, 'Bad Request', 'the request is not HTTP')
  const headers = headersFrom(lines)
  if (headers === null) return refuse(400, 'Bad Request', 'the headers are malformed')
  const [, method = '', target = '', version = ''] = request
  if (version !== '1.1')
    return refuse(505, 'HTTP Version Not Supported', `the request has HTTP/${version}; 1.1 is needed`)
  if (method !== 'GET')
    return refuse(405, 'Method Not Allowed', `the request has the method ${method}; GET is needed`, ['Allow: GET'])
  // RFC 9112, 3.2.2. Two of them become one with a comma, which no host has.
  const host = headers.get('host')
  if (host === undefined || host.includes(','))
    return refuse(400, 'Bad Request', 'the request does not have exactly one Host header')
  // MQTT follows the request. A program between us that takes it for a body would see other requests in it than we do.
  if (headers.has('transfer-encoding') || (headers.get('content-length') ?? '0') !== '0') {
    return refuse(400, 'Bad Request', 'the request has a body')
  }
  const path = pathOf(target)
  if (rules.path !== null && path !== rules.path) return refuse(404, 'Not Found', `this listener has no path ${path}`)
  if (!tokens(headers.get('connection')).includes('upgrade') || !tokens(headers.get('upgrade')).includes('websocket')) {
    return refuse(426, 'Upgrade Required', 'the request asks for no WebSocket; this is an MQTT broker', [
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
    ])
  }
  if (headers.get('sec-websocket-version') !== '13') {
    return refuse(426, 'Upgrade Required', 'the request asks for another version of WebSocket than 13', [
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
    ])
  }
  const key = headers.get('sec-websocket-key') ?? ''
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) return refuse(400, 'Bad Request', 'Sec-WebSocket-Key is missing or malformed')
  const origin = headers.get('origin')
  if (rules.origins.length > 0 && (origin === undefined || !rules.origins.includes(origin))) {
    const refusal = refuse(403, 'Forbidden', `origin ${origin ?? 'unknown'} is not allowed`)
    return rules.isMosquitto ? { ...refusal, response: '' } : refusal
  }
  const offered = list(headers.get('sec-websocket-protocol'))
  const subprotocol = SUBPROTOCOLS.find((each) => offered.includes(each))
  if (subprotocol === undefined) return refuse(400, 'Bad Request', 'the subprotocol mqtt is not offered')
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64')
  const response = [
    'HTTP/1.1 101 Switching Protocols',
    `Upgrade: ${rules.isMosquitto ? 'WebSocket' : 'websocket'}`,
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    `Sec-WebSocket-Protocol: ${subprotocol}`, // [MQTT-6.0.0-4]
  ]
  return { response: `${response.join('\r\n')}\r\n\r\n`, refusal: null }
}

/** Returns the bytes of a request that Node's HTTP server has read, up to the empty line and with it. */
export function requestBytes({ method, url, httpVersion, rawHeaders }: RequestHead): Uint8Array {
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** The part of Node's `IncomingMessage` that a request to become a WebSocket is made of. */
export interface RequestHead {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
}

/** Headers of a request as `answerTo` takes it; null when it is malformed. */
export const headersOf = (head: string): ReadonlyMap<string, string> | null => headersFrom(head.split('\r\n').slice(1))

export const tooLong = (max: number): UpgradeAnswer =>
  refuse(431, 'Request Header Fields Too Large', `the request is longer than ${max} bytes`)

function refuse(status: number, phrase: string, why: string, headers: readonly string[] = []): UpgradeAnswer {
  const shown = why.length > 200 ? `${why.slice(0, 200)}…` : why
  // The answer repeats nothing of the request.
  const body = `${status} ${phrase}\n`
  const response = [
    `HTTP/1.1 ${status} ${phrase}`,
    'Content-Type: text/plain',
    `Content-Length: ${body.length}`,
    'Connection: close',
    ...headers,
  ]
  return { response: `${response.join('\r\n')}\r\n\r\n${body}`, refusal: `WebSocket upgrade: ${shown} (${status})` }
}

/** Returns headers by lower-case name, repeated ones joined by commas; null when they are malformed. */
function headersFrom(lines: readonly string[]): Map<string, string> | null {
  if (lines.length > HEADER_LINES_MAX) return null
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon)).toLowerCase()
    const value = trimmed(line.slice(colon + 1))
    if (!TOKEN.test(name) || FORBIDDEN_IN_VALUE.test(value)) return null
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return headers
}

/**
 * Removes the optional whitespace around it, which is blanks and tabs only (RFC 9110, 5.6.3). In one pass: no pattern
 * with `*` at both ends.
 */
function trimmed(text: string): string {
  const isBlank = (at: number): boolean => text[at] === ' ' || text[at] === '\t'
  let [start, end] = [0, text.length]
  while (start < end && isBlank(start)) start++
  while (end > start && isBlank(end - 1)) end--
  return text.slice(start, end)
}

const list = (value: string | undefined): string[] => (value ?? '').split(',').map((each) => each.trim())
const tokens = (value: string | undefined): string[] => list(value).map((each) => each.toLowerCase())

/** Path of a target without the query; also of a whole URL, as a proxy may send. */
const pathOf = (target: string): string => target.replace(/^https?:\/\/[^/]*/i, '').split(/[?#]/)[0] || '/'
