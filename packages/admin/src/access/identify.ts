/**
 * Finds out who sent a request: by bearer token, HTTP Basic, the cookie of a session, a client certificate, or nobody.
 *
 * `app.ts` calls it for each operation that needs a role. Invariants: a request with credentials that are wrong is
 * refused, never taken for anonymous; nobody without credentials gets in but from this machine, by a connection that no
 * proxy has passed on, and with a Host header that names this machine (or a page on another site could have its name
 * resolve to 127.0.0.1 and read everything); a change by cookie or Basic needs a same-origin request.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { connectionOf, type ProtocolConnection } from '@recado/broker'
import type { AdminHost, LoggedIn, Login } from '../host.ts'
import { Problem } from '../http/problem.ts'
import { RateLimit } from './rate-limits.ts'
import type { Caller, Role } from './roles.ts'
import { CSRF_HEADER, SESSION_COOKIE, type Session, type Sessions } from './sessions.ts'
import { TokenFile } from './tokens.ts'

/** Failed logins by password of an address, in a burst and per second after it. */
const FAILURES_BURST = 10
const FAILURES_PER_SECOND = 1 / 6
/** Time for which a login by Basic that was right need not be checked again. */
const REMEMBERED_MS = 30_000
const REMEMBERED_MAX = 1_000
const BUSY_SECONDS = '2'

export interface IdentifyParts {
  readonly host: AdminHost
  readonly tokens: TokenFile | null
  readonly sessions: Sessions
}

export class Identification {
  readonly #parts: IdentifyParts
  readonly #failures: RateLimit = new RateLimit(FAILURES_PER_SECOND, FAILURES_BURST)
  readonly #key: Buffer = randomBytes(32)
  readonly #remembered: Map<string, { readonly loggedIn: LoggedIn; readonly untilMs: number }> = new Map()

  /** Fault of the file of tokens that was logged last; null for none. */
  #toldFault: string | null = null

  constructor(parts: IdentifyParts) {
    this.#parts = parts
  }

  /** Logs once why the file of tokens cannot be used: nobody who has a token gets in, and only the log may say why. */
  #tellFault(): void {
    const fault = this.#parts.tokens?.fault ?? null
    if (fault === this.#toldFault) return
    this.#toldFault = fault
    if (fault !== null) this.#parts.host.log('error', 'api.tokens', `No token of the API is accepted: ${fault}`)
  }

  /** Forgets logins: what they are checked against has changed. */
  forget(): void {
    this.#remembered.clear()
  }

  /** Returns who sent the request. @throws Problem 401, 403, 429, 503 */
  async callerOf(incoming: IncomingMessage, isChange: boolean): Promise<Caller> {
    const connection = connectionOf(incoming)
    if (connection === undefined) throw new Problem(500, 'The request came on no connection of a listener.')
    const { remoteAddress, listener } = connection
    const caller = (name: string, role: Role, via: Caller['via']): Caller => ({
      ...{ name, role, via, remoteAddress, listener },
    })
    const { authorization, cookie } = incoming.headers
    if (authorization !== undefined) {
      const bearer = /^bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1]
      if (bearer !== undefined && TokenFile.isOurs(bearer)) {
        const token = this.#parts.tokens?.find(bearer) ?? null
        this.#tellFault()
        if (token === null && this.#toldFault !== null)
          throw unauthorized('The broker cannot read its file of tokens: its log says why.')
        if (token === null) throw unauthorized('The token is not known, has expired or was revoked.')
        return caller(token.name, token.role, 'token')
      }
      if (isChange) mustBeSameOrigin(incoming)
      const login =
        bearer === undefined ? basicOf(authorization) : { username: undefined, password: Buffer.from(bearer) }
      if (login === null) throw unauthorized('The Authorization header is neither "Bearer TOKEN" nor "Basic …".')
      const loggedIn = await this.login(connection, login)
      return caller(loggedIn.username, mustHaveRole(loggedIn), 'login')
    }
    const session = this.sessionOf(cookie)
    if (session !== null) {
      if (isChange) {
        mustBeSameOrigin(incoming)
        if (incoming.headers[CSRF_HEADER] !== session.csrf) {
          throw new Problem(403, `A change by a session needs the header ${CSRF_HEADER} with the csrf of the session.`)
        }
      }
      return caller(session.username, session.role, 'session')
    }
    const certificate = (await this.#parts.host.certificate?.(connection)) ?? null
    if (certificate !== null) {
      if (isChange) mustBeSameOrigin(incoming)
      return caller(certificate.username, mustHaveRole(certificate), 'login')
    }
    const role = this.#parts.host.anonymousRole(listener)
    if (role === null || !isLocal(connection, incoming)) throw unauthorized('Log in, or send a token.')
    if (isChange) mustBeSameOrigin(incoming)
    return caller('anonymous', role, 'anonymous')
  }

  /** Returns the session that a Cookie header names; null for none. */
  sessionOf(header: string | undefined): Session | null {
    const cookie = cookieFrom(header)
    const session = cookie === null ? null : this.#parts.sessions.find(cookie)
    if (session === null || session.token === null) return session
    return this.#parts.tokens?.find(session.token) ? session : null
  }

  /** Checks a user name and password. @throws Problem 401, 429, 503 */
  async login(connection: ProtocolConnection, login: Login): Promise<LoggedIn> {
    const address = addressOf(connection.remoteAddress)
    const key = this.#keyOf(connection, login)
    const known = this.#remembered.get(key)
    if (known !== undefined && known.untilMs > performance.now()) return known.loggedIn
    const waitSeconds = this.#failures.waitSeconds(address)
    if (waitSeconds > 0) {
      throw new Problem(429, `Too many logins from ${address} have failed: try again in ${waitSeconds} s.`, {
        headers: { 'retry-after': String(waitSeconds) },
      })
    }
    const answer = await this.#parts.host.login(connection, login)
    if (answer === 'busy') {
      throw new Problem(503, 'The login cannot be checked now: try again in a moment.', {
        headers: { 'retry-after': BUSY_SECONDS },
      })
    }
    if (answer === null) {
      this.#failures.take(address)
      throw unauthorized(
        login.username === undefined
          ? 'The token is neither one of Recado, which begin with rcd_, nor a JSON Web Token that the broker takes.'
          : 'User name or password is wrong.',
      )
    }
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.delete(this.#remembered.keys().next().value!)
    this.#remembered.set(key, { loggedIn: answer, untilMs: performance.now() + REMEMBERED_MS })
    return answer
  }

  #keyOf({ listener }: ProtocolConnection, { username = '', password = Buffer.alloc(0) }: Login): string {
    const hash = createHmac('sha256', this.#key)
    for (const part of [listener, username, password]) {
      const bytes = Buffer.from(part)
      hash.update(`${bytes.length} `).update(bytes)
    }
    return hash.digest('base64')
  }
}

/** @throws Problem 403 for a user without a role */
export function mustHaveRole({ username, role }: LoggedIn): Role {
  if (role !== null) return role
  const text = `User "${username}" has no role in the API: add the line "http_api_role viewer ${username}" to the configuration.`
  throw new Problem(403, text)
}

/** Value of our cookie; null for none. */
export function cookieFrom(header: string | undefined): string | null {
  for (const part of (header ?? '').split(';')) {
    const [name, value] = part.trim().split('=', 2)
    if (name === SESSION_COOKIE && value !== undefined) return value
  }
  return null
}

function unauthorized(detail: string): Problem {
  // Bearer first: a browser that is told of Basic would ask for a password in a window of its own.
  return new Problem(401, detail, { headers: { 'www-authenticate': 'Bearer realm="recado"' } })
}

/** Reads HTTP Basic (RFC 7617); null for anything else. */
function basicOf(authorization: string): Login | null {
  const code = /^basic +([A-Za-z0-9+/=_-]*)$/i.exec(authorization)?.[1]
  if (code === undefined) return null
  const bytes = Buffer.from(code, 'base64')
  const colon = bytes.indexOf(':')
  if (colon === -1) return null
  return { username: bytes.subarray(0, colon).toString(), password: bytes.subarray(colon + 1) }
}

/** Refuses what a page of another site may have sent. @throws Problem 403 */
export function mustBeSameOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  const isForeignSite = site !== undefined && site !== 'same-origin' && site !== 'none'
  const isForeignOrigin = origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)
  if (isForeignSite || isForeignOrigin) {
    throw new Problem(403, 'The request comes from a page of another site: only pages of this listener may send it.')
  }
}

/** Address without port and brackets; '' for a unix socket. */
export function addressOf(remoteAddress: string): string {
  const address = remoteAddress.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

/** Whether the request comes from this machine, and was meant for it. */
function isLocal({ remoteAddress, peer }: ProtocolConnection, { headers }: IncomingMessage): boolean {
  if ((peer?.proxyAddress ?? null) !== null) return false
  // What a proxy on this machine passes on is from elsewhere.
  if (headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined) return false
  if (!isLoopback(addressOf(remoteAddress))) return false
  const host = (headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
  return host === 'localhost' || host.endsWith('.localhost') || isLoopback(host)
}

const isLoopback = (address: string): boolean => address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address)
