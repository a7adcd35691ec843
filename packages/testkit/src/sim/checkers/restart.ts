/** Checker `internal` after an orderly restart: the broker knows what it knew before, field by field. */
import { type BrokerState, differences } from '@recado/broker/testing'
import type { BrokerConfig } from '../broker-config.ts'
import type { Model } from '../model/model.ts'

/** A Will that would be due before the grace after a start is over waits for that. */
const WILL_TIME = /\.will\.dueAtMs: /
/** Differences of a session whose queue is full. */
const FULLNESS = /isFull|fullSubscribers/

function isOver(atMs: number | null, { nowMs }: BrokerState): boolean {
  return atMs !== null && atMs <= nowMs
}

/** Compares the state of the broker before and after, without what may differ. */
export function checkRestart(
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
