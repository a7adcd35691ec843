/**
 * The limit of requests of an address, before anything else is done for them: a refusal costs a small part of an answer.
 *
 * `admin.ts` puts it before the application. Invariant: who sends too much is told how long to wait.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connectionOf } from '@recado/broker'
import { addressOf } from '../access/identify.ts'
import { RateLimit } from '../access/rate-limits.ts'
import { securityHeaders } from './app.ts'
import { pathOf } from './path.ts'
import { Problem } from './problem.ts'

/** Requests of an address per second, and in a burst of so many seconds. */
const REQUESTS_PER_SECOND = 100
const BURST_SECONDS = 5

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** Hands requests on to `next`, as many of an address as it may send. */
export function withinLimit(next: Handler, perSecond: number = REQUESTS_PER_SECOND): Handler {
  const rate = new RateLimit(perSecond, BURST_SECONDS * perSecond)
  return async (request, response) => {
    const address = addressOf(connectionOf(request)?.remoteAddress ?? '')
    const waitSeconds = rate.take(address)
    if (waitSeconds === 0) return next(request, response)
    const why = `More than ${perSecond} requests a second from ${address}: wait ${waitSeconds} s.`
    const body = JSON.stringify(new Problem(429, why).document(pathOf(request)))
    response.writeHead(429, {
      ...securityHeaders,
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(body),
      'retry-after': String(waitSeconds),
    })
    response.end(body)
  }
}
