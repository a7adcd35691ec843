/**
 * The limit of requests of an address, before anything else is done for them: a refusal costs a small part of an answer,
 * and comes late, so that a connection that floods does so once a second.
 *
 * `admin.ts` puts it before the application. Invariants: who sends too much is told how long to wait; a connection that
 * was refused is not served any more, and no more than `HELD_MAX` of an address wait for their refusal.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { connectionOf } from '@recado/broker'
import { addressOf } from '../access/identify.ts'
import { RateLimit } from '../access/rate-limits.ts'
import { pathOf } from './path.ts'
import { Problem } from './problem.ts'
import { securityHeaders } from './security-headers.ts'

/** Requests of an address per second, and in a burst of so many seconds. */
const REQUESTS_PER_SECOND = 100
const BURST_SECONDS = 5
/** Time from a request over the limit to its refusal. */
const HELD_MS = 1_000
/** Connections of an address that wait for their refusal; further ones are closed without one. */
const HELD_MAX = 100
/** Requests behind the one that is refused, after which the connection is closed at once. */
const BEHIND_MAX = 16

/** Handler of requests, as of Node's HTTP server. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** Limit of the requests of each address. */
export class RequestLimit {
  readonly #perSecond: number
  readonly #heldMs: number
  readonly #rate: RateLimit
  /** Connections that wait for their refusal, with the number of requests behind the one that is refused. */
  readonly #held: Map<Socket, number> = new Map()
  /** Connections that wait for their refusal, by address. */
  readonly #heldOf: Map<string, number> = new Map()

  /** @param heldMs time from a request over the limit to its refusal */
  constructor(perSecond: number = REQUESTS_PER_SECOND, heldMs: number = HELD_MS) {
    this.#perSecond = perSecond
    this.#heldMs = heldMs
    this.#rate = new RateLimit(perSecond, BURST_SECONDS * perSecond)
  }

  /** Makes a handler that hands requests on to `next`, as many of an address as it may send. */
  within(next: Handler): Handler {
    return async (request, response) => {
      if (this.#isBehind(request.socket)) return
      const address = addressOf(connectionOf(request)?.remoteAddress ?? '')
      const waitSeconds = this.#rate.take(address)
      if (waitSeconds === 0) await next(request, response)
      else this.#hold(request, response, address, waitSeconds)
    }
  }

  /** Whether a request comes behind one that is refused: it is never answered, for that refusal closes the connection. */
  #isBehind(socket: Socket): boolean {
    const behind = this.#held.get(socket)
    if (behind === undefined) return false
    this.#held.set(socket, behind + 1)
    if (behind + 1 >= BEHIND_MAX) socket.destroy()
    return true
  }

  #hold(request: IncomingMessage, response: ServerResponse, address: string, waitSeconds: number): void {
    const { socket } = request
    const count = this.#heldOf.get(address) ?? 0
    if (count >= HELD_MAX || socket.destroyed) {
      socket.destroy()
      return
    }
    this.#heldOf.set(address, count + 1)
    this.#held.set(socket, 0)
    const why = `More than ${this.#perSecond} requests a second from ${address}: wait ${waitSeconds} s.`
    const timer = setTimeout(() => refuse(request, response, why, waitSeconds), this.#heldMs).unref()
    socket.once('close', () => {
      clearTimeout(timer)
      this.#held.delete(socket)
      const left = this.#heldOf.get(address)! - 1
      if (left === 0) this.#heldOf.delete(address)
      else this.#heldOf.set(address, left)
    })
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, why: string, waitSeconds: number): void {
  const body = JSON.stringify(new Problem(429, why).document(pathOf(request)))
  response.writeHead(429, {
    ...securityHeaders,
    connection: 'close',
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'retry-after': String(waitSeconds),
  })
  response.end(body)
}
