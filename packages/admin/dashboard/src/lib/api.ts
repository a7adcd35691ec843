/**
 * Requests to the API of the broker that serves this page, and what all pages know from them: who is logged in, and
 * whether the broker answers.
 *
 * Invariants: a change carries the second secret of the session (`x-recado-csrf`); an answer 401 leads to the login; a
 * failure is an `ApiError` with a sentence for a person.
 */
import { signal } from '@preact/signals'
import type { Role, Session } from './types.ts'

/** Milliseconds after which the broker is asked again whether it is back. */
const RETRY_MS = 1_000

/** Caller; null: a login is needed, undefined: not known yet. */
export const session = signal<Session | null | undefined>(undefined)
/** Whether the broker answers. */
export const isReachable = signal(true)
/** Grows each time that the broker is back, so that pages ask again. */
export const returns = signal(0)

const roles: readonly Role[] = ['viewer', 'operator', 'admin']

/** Whether the caller has this role, or a greater one. */
export const may = (role: Role): boolean => {
  const has = session.value?.role
  return has !== undefined && roles.indexOf(has) >= roles.indexOf(role)
}

/** Failure of a request. */
export class ApiError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

/** Path with a query; what is empty is left out. */
function withQuery(path: string, query: Query = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value))
  }
  const text = search.toString()
  return text === '' ? path : `${path}?${text}`
}

export interface RequestOptions {
  readonly query?: Query
  readonly body?: unknown
  readonly signal?: AbortSignal
  /** Statuses besides 2xx whose body is the answer too. */
  readonly accept?: readonly number[]
}

/** Sends a request; resolves with its answer when that is no failure. @throws ApiError, and DOMException when aborted */
export async function send(
  method: string,
  path: string,
  { query, body, signal: aborted, accept }: RequestOptions = {},
): Promise<Response> {
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['content-type'] = 'application/json'
  const csrf = session.peek()?.csrf
  if (method !== 'GET' && csrf) headers['x-recado-csrf'] = csrf
  let response: Response
  try {
    response = await fetch(withQuery(path, query), {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(aborted === undefined ? {} : { signal: aborted }),
    })
  } catch (error) {
    if (aborted?.aborted) throw error
    lost()
    throw new ApiError(0, 'The broker does not answer.')
  }
  found()
  if (response.ok || accept?.includes(response.status)) return response
  if (response.status === 401 && path !== '/api/v1/session') session.value = null
  throw new ApiError(response.status, await detailOf(response))
}

async function detailOf(response: Response): Promise<string> {
  try {
    const { detail } = (await response.json()) as { detail?: string }
    return detail ?? response.statusText
  } catch {
    return response.statusText
  }
}

/** Sends a request and resolves with its body. */
export async function ask<Answer>(path: string, query?: Query, options: RequestOptions = {}): Promise<Answer> {
  const response = await send('GET', path, { ...options, query })
  return (await response.json()) as Answer
}

/** Asks as `ask` does; resolves with null where the broker has no such thing (404). */
export async function askOrNull<Answer>(
  path: string,
  query?: Query,
  options: RequestOptions = {},
): Promise<Answer | null> {
  try {
    return await ask<Answer>(path, query, options)
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null
    throw error
  }
}

/** Sends a change; resolves with its answer, or with undefined where there is none. */
export async function change<Answer>(method: 'POST' | 'PUT' | 'DELETE', path: string, options: RequestOptions = {}) {
  const response = await send(method, path, options)
  return (response.status === 204 ? undefined : await response.json()) as Answer
}

let retry: ReturnType<typeof setTimeout> | undefined

function lost(): void {
  isReachable.value = false
  retry ??= setTimeout(() => void tryAgain(), RETRY_MS)
}

function found(): void {
  clearTimeout(retry)
  retry = undefined
  if (isReachable.peek()) return
  isReachable.value = true
  returns.value++
  // Sessions end with the broker: who is this now?
  void whoAmI()
}

async function tryAgain(): Promise<void> {
  retry = undefined
  await ask('/livez').catch(() => undefined)
}

/** Finds out who the caller is. */
export async function whoAmI(): Promise<void> {
  try {
    session.value = await ask<Session>('/api/v1/session')
  } catch (error) {
    // Without an answer nothing is known.
    if (error instanceof ApiError && error.status !== 0) session.value = null
    else if (session.peek() === undefined) setTimeout(() => void whoAmI(), RETRY_MS)
  }
}

/** Logs in. @throws ApiError */
export async function logIn(login: { username: string; password: string } | { token: string }): Promise<void> {
  session.value = await change<Session>('POST', '/api/v1/session', { body: login })
}

export async function logOut(): Promise<void> {
  await change('DELETE', '/api/v1/session')
  session.value = undefined
  await whoAmI()
}
