/**
 * The audit log: every change that was made by the API, who made it, and from where.
 *
 * `app.ts` adds a line when a change has been made or was refused for want of rights. The last lines are in memory for
 * `GET /api/v1/audit`; all of them go to the log of the program (event `api.change`).
 */
import type { AdminHost } from '../host.ts'
import { Ring } from '../why/ring.ts'
import type { Caller } from './roles.ts'

const LINES_MAX = 1_000
const TEXT_MAX = 500

/** A change, or an attempt. */
export interface AuditLine {
  readonly number: number
  readonly atMs: number
  readonly user: string
  readonly via: Caller['via']
  readonly remoteAddress: string
  /** Operation of the API. */
  readonly operation: string
  readonly what: string
  readonly isDone: boolean
}

export class AuditLog {
  readonly #host: Pick<AdminHost, 'log'>
  readonly #nowMs: () => number
  readonly #lines: Ring<AuditLine> = new Ring(LINES_MAX)
  #number = 0

  constructor(host: Pick<AdminHost, 'log'>, nowMs: () => number = Date.now) {
    this.#host = host
    this.#nowMs = nowMs
  }

  add({ name, via, remoteAddress }: Caller, operation: string, what: string, isDone: boolean): void {
    const text = what.length > TEXT_MAX ? `${what.slice(0, TEXT_MAX)}…` : what
    const atMs = this.#nowMs()
    this.#lines.add({ number: ++this.#number, atMs, user: name, via, remoteAddress, operation, what: text, isDone })
    const done = isDone ? '' : ' REFUSED:'
    const fields = { user: name, via, remoteAddress, operation, isDone }
    this.#host.log('notice', 'api.change', `API: ${name} [${remoteAddress}]${done} ${text}`, fields)
  }

  /** Lines before a number, latest first. */
  latest(limit: number, before: number = Number.POSITIVE_INFINITY): AuditLine[] {
    const found: AuditLine[] = []
    for (const line of this.#lines.latest()) {
      if (found.length >= limit) break
      if (line.number < before) found.push(line)
    }
    return found
  }
}
