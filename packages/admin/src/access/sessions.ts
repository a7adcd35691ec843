/**
 * Sessions of the dashboard: a login once, then a cookie.
 *
 * The cookie is HttpOnly and SameSite=Strict; a change needs the session's second secret in a header as well, which no
 * page of another site can know. Sessions are in memory: they end with the broker, after `SESSION_MS`, after `IDLE_MS`
 * without a request, and when logins have changed (`clear`).
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Role } from './roles.ts'

/** Name of the cookie. */
export const SESSION_COOKIE = 'recado_session'
/** Header with the second secret of a session, for every change. */
export const CSRF_HEADER = 'x-recado-csrf'

const SESSION_MS = 12 * 3_600_000
const IDLE_MS = 3_600_000
const SESSIONS_MAX = 1_000

/** A login that has been made. */
export interface Session {
  readonly username: string
  readonly role: Role
  readonly csrf: string
  readonly expiresAtMs: number
  /** Token that it was begun with; null for a password. It ends with its token. */
  readonly token: string | null
  lastUsedAtMs: number
}

export class Sessions {
  readonly #sessions: Map<string, Session> = new Map()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  /** Begins a session; returns the value of its cookie as well. */
  begin(username: string, role: Role, token: string | null): { readonly cookie: string; readonly session: Session } {
    const nowMs = this.#nowMs()
    for (const [key, session] of this.#sessions) if (this.#isOver(session, nowMs)) this.#sessions.delete(key)
    if (this.#sessions.size >= SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!)
    const cookie = randomBytes(32).toString('base64url')
    const csrf = randomBytes(32).toString('base64url')
    const session = { username, role, csrf, token, expiresAtMs: nowMs + SESSION_MS, lastUsedAtMs: nowMs }
    this.#sessions.set(keyOf(cookie), session)
    return { cookie, session }
  }

  /** Returns the session of a cookie; null when there is none, or it is over. */
  find(cookie: string): Session | null {
    const key = keyOf(cookie)
    const session = this.#sessions.get(key)
    if (session === undefined) return null
    const nowMs = this.#nowMs()
    if (this.#isOver(session, nowMs)) {
      this.#sessions.delete(key)
      return null
    }
    session.lastUsedAtMs = nowMs
    return session
  }

  end(cookie: string): void {
    this.#sessions.delete(keyOf(cookie))
  }

  /** Ends all sessions: who may log in has changed. */
  clear(): void {
    this.#sessions.clear()
  }

  #isOver({ expiresAtMs, lastUsedAtMs }: Session, nowMs: number): boolean {
    return nowMs >= expiresAtMs || nowMs - lastUsedAtMs >= IDLE_MS
  }
}

/** The map is searched by a hash, so that how long a search takes says nothing about a cookie. */
const keyOf = (cookie: string): string => createHash('sha256').update(cookie).digest('base64')
