/**
 * The pairs of what changed and in which state a message of that session was then: what hand-made cases forget. The simulation notes
 * each that occurs; the list says which can, and why the others cannot.
 *
 * The states are the broker's own, looked up in its memory: only for coverage, never to judge.
 */
import type { Core } from '@recado/broker/testing'
import type { ModelSession } from './model/state.ts'

export type Session = NonNullable<ReturnType<Core['sessions']['get']>>

/** States of a message for the session, or of the client. */
export const states = [
  'queued',
  'queued-on-disk',
  'writing',
  'qos-1',
  'await-pubrec',
  'await-pubcomp',
  'gated-publish',
  'gated-pubrel',
  'to-resend',
  'retained-walk',
  'inherited',
  'expires',
  'received',
  'will-waits',
] as const
export type State = (typeof states)[number]

/** Changes from one connection to the next, in a subscription, over a restart. */
export const changes = [
  'connect.same',
  'connect.takeover',
  'connect.version',
  'connect.clean-start',
  'connect.expiry-0',
  'connect.expiry',
  'connect.receive-maximum-down',
  'connect.receive-maximum-up',
  'connect.maximum-packet-size',
  'connect.topic-alias-maximum',
  'connect.problem-information',
  'connect.response-information',
  'connect.keep-alive',
  'connect.listener',
  'connect.user',
  'connect.will',
  'connect.method',
  'disconnect.expiry-0',
  'disconnect.expiry',
  'subscribe.same',
  'subscribe.new',
  'subscribe.qos-up',
  'subscribe.qos-down',
  'subscribe.no-local',
  'subscribe.retain-as-published',
  'subscribe.identifier',
  'subscribe.identifier-dropped',
  'subscribe.sends-retained',
  'subscribe.overlapping',
  'subscribe.shared-and-not',
  'unsubscribe',
  'rights',
  'restart.orderly',
  'restart.crash',
  'restart.limits',
  'restart.options',
  'restart.policy',
  'restart.listeners',
  'restart.durability',
  'restart.clock-back',
  'restart.clock-forward',
] as const
export type Change = (typeof changes)[number]

/** `RowState` of a delivery: not on disk yet, and its batch not there yet. */
const PENDING = 1
const WRITING = 2
/** `Flow` of a delivery. */
const AWAIT_PUBACK = 1
const AWAIT_PUBREC = 2

/** In which states messages of a session are now. */
export function statesOf(session: Session, modelled: ModelSession | undefined, nowMs: number): State[] {
  const found = new Set<State>()
  const { queue, sender } = session
  for (const entry of queue.entries()) {
    if (!('rowState' in entry)) found.add('queued-on-disk')
    else {
      found.add('queued')
      if (entry.rowState === PENDING || entry.rowState === WRITING) found.add('writing')
    }
  }
  for (const { flow, isGated, rowState } of sender.inOrder()) {
    if (rowState === PENDING || rowState === WRITING) found.add('writing')
    if (flow === AWAIT_PUBACK) found.add('qos-1')
    else if (flow === AWAIT_PUBREC) found.add(isGated ? 'gated-publish' : 'await-pubrec')
    else found.add(isGated ? 'gated-pubrel' : 'await-pubcomp')
  }
  if (session.retainedWalks > 0) found.add('retained-walk')
  if (session.receiver.ids().length > 0) found.add('received')
  if (session.pendingWill !== null) found.add('will-waits')
  if (modelled === undefined) return [...found]
  for (const each of modelled.flight.values())
    if (modelled.connection !== null && each.sentOn !== modelled.connection && each.progress === 'sent')
      found.add('to-resend')
  for (const list of modelled.expectations.values())
    for (const { publication, isOver, isRedistributed, isOpen } of list) {
      if (isOver) continue
      if (publication.expiresAtMs > nowMs && publication.expiresAtMs !== Number.POSITIVE_INFINITY) found.add('expires')
      if (isRedistributed && isOpen) found.add('inherited')
    }
  return [...found]
}

/** Reason why a pair cannot occur; null when it can. */
export function impossible(change: Change, state: State): string | null {
  const isConnected = !change.startsWith('connect.') && !change.startsWith('restart.') && change !== 'rights'
  if (state === 'will-waits' && (isConnected || change === 'connect.takeover'))
    return 'a Will waits only while its client is away'
  if (state === 'to-resend' && change === 'connect.same')
    return 'what is to be sent again waits on a connection, and the next CONNECT takes that over'
  return null
}

const PREFIX = 'pair '

export function nameOf(change: Change, state: State): string {
  return `${PREFIX}${change} ${state}`
}

export function isPair(name: string): boolean {
  return name.startsWith(PREFIX)
}

/** Pairs that can occur, by their names. */
export const possible: readonly string[] = changes.flatMap((change) =>
  states.filter((state) => impossible(change, state) === null).map((state) => nameOf(change, state)),
)

/** Lines of a table: in how many runs each has occurred; `-`: cannot. */
export function pairTable(runs: ReadonlyMap<string, number>): string[] {
  const lines = [`| | ${states.join(' | ')} |`, `|---|${states.map(() => '---:').join('|')}|`]
  for (const change of changes) {
    const cells = states.map((state) =>
      impossible(change, state) === null ? String(runs.get(nameOf(change, state)) ?? 0) : '-',
    )
    lines.push(`| ${change} | ${cells.join(' | ')} |`)
  }
  return lines
}
