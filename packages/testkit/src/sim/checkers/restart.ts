/**
 * Checker `internal` after an orderly restart: the broker knows what it knew before, field by field.
 *
 * It looks into the broker, which other checkers must not: much of what a broker knows shows in a packet only when it is
 * too late, such as a queue that is full.
 */
import { type BrokerState, type Core, differences, stateOf } from '@recado/broker/testing'
import type { BrokerConfig } from '../broker-config.ts'
import type { Model } from '../model/model.ts'

/** A Will that would be due before the grace after a start is over waits for that. */
const WILL_TIME = /\.will\.dueAtMs: /
/** Differences of a session whose queue is full. */
const FULLNESS = /isFull|fullSubscribers/

export class RestartChecker {
  readonly #model: Model
  /** When the last process ended in good order; `null`: it did not, or not all of it was on the disk. */
  #before: BrokerState | null = null

  constructor(model: Model) {
    this.#model = model
  }

  /** All is on the disk, and no client is connected: keeps what the next process must know. */
  ends(core: Core): void {
    this.#before = stateOf(core)
  }

  /** What the last process knew need not be known: it has crashed, or the next one has another store. */
  forget(): void {
    this.#before = null
  }

  /** Compares a process that has just started with the one before, if that ended in good order. */
  starts(core: Core, config: BrokerConfig, isReconfigured: boolean): void {
    const before = this.#before
    this.#before = null
    if (before !== null) compare(this.#model, before, stateOf(core), config, isReconfigured)
  }
}

function isOver(atMs: number | null, { nowMs }: BrokerState): boolean {
  return atMs !== null && atMs <= nowMs
}

/** Compares the state of the broker before and after, without what may differ. */
function compare(
  model: Model,
  before: BrokerState,
  after: BrokerState,
  { limits }: BrokerConfig,
  isReconfigured: boolean,
): void {
  // Other sessions have got what followed from that.
  const isLate = Object.values(before.sessions).some(
    ({ expiresAtMs, will }) =>
      isOver(expiresAtMs, after) || isOver((will as { dueAtMs: number } | null)?.dueAtMs ?? null, after),
  )
  if (isLate) return
  model.cover('restart.compared')
  // What is full is as the limits are, and one that is 0 is known without looking.
  const isFullnessUnknown = isReconfigured || limits.queueMessagesMax === 0
  const isGrace = (limits.willGraceMs ?? 0) > 0
  const lines = differences(before, after).filter(
    (line) =>
      !(isFullnessUnknown && FULLNESS.test(line)) && !(isGrace && WILL_TIME.test(line)) && !isOfHeir(model, line),
  )
  for (const line of lines) model.fail('internal', `after an orderly restart: ${line}`)
}

/**
 * Whether it has gone to another member of a Shared Subscription: such messages come in no order, and their row is a
 * later one.
 */
function isOfHeir(model: Model, line: string): boolean {
  if (!/\.(queue\.messages|publishes)\./.test(line)) return false
  for (const { clientId, expectations } of model.sessions.values())
    if (line.startsWith(`sessions.${clientId}.`))
      for (const list of expectations.values()) if (list.some(({ isRedistributed }) => isRedistributed)) return true
  return false
}
