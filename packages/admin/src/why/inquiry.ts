/**
 * A question to `why`, and what all parts of its answer look at.
 *
 * `explain.ts` makes one `Inquiry` for each question.
 */
import type { Broker, RecipientsView } from '@recado/broker'
import type { AdminHost } from '../host.ts'
import type { Decisions, Publication } from './decisions.ts'

/** Width of the time around `at`. */
const AROUND_MS = 30_000

/** Question. */
export interface Question {
  readonly topic: string
  readonly clientId?: string | undefined
  readonly atMs?: number | undefined
}

/** Sources of an answer. */
export interface Parts {
  readonly broker: Broker
  readonly host: AdminHost
  readonly decisions: Decisions
  readonly nowMs?: () => number
}

/** A question, and what all parts of its answer look at. */
export interface Inquiry extends Parts, Question {
  readonly askedAtMs: number
  readonly last: Readonly<Publication> | null
  /**
   * Subscriptions that match, and what they would get of the publisher of the last message now: at its QoS where one client is
   * asked about, at any QoS where all are.
   */
  readonly matching: RecipientsView
}

/** Whether something belongs to the time that is asked about. */
export const isNear = (whenMs: number, { atMs }: Question): boolean =>
  atMs === undefined || Math.abs(whenMs - atMs) <= AROUND_MS

/** The message that is asked about: the last one; null when it is not remembered, or not of that time. */
export const messageOf = (inquiry: Inquiry): Readonly<Publication> | null =>
  inquiry.last !== null && isNear(inquiry.last.atMs, inquiry) ? inquiry.last : null
