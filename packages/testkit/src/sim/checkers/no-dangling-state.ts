/** Checker `no dangling state`: when every session has ended, nothing is left in memory or on the disk. */
import { SimStore } from '@recado/broker/testing'
import type { BrokerHost } from '../broker-host.ts'
import type { Model } from '../model/model.ts'

/** Tables that belong to sessions, and the one of retained messages. */
const TABLES: readonly (readonly [number, string])[] = [
  [1, 'Sessions'],
  [2, 'Subscriptions'],
  [3, 'Messages'],
  [4, 'Flights'],
  [5, 'Received'],
  [6, 'Retained'],
  [7, 'Wills'],
  [8, 'Delayed'],
]

/** Checks the broker when all sessions have been ended; `retained` is judged here too, which outlives them. */
export function checkNothingLeft(
  model: Model,
  { core, store, hasDisk }: BrokerHost,
  trace: ((line: string) => void) | null,
): void {
  const fail = (text: string): void => model.fail('no dangling state', text)
  if (core === null) {
    fail('the broker is down')
    return
  }
  for (const session of model.sessions.values()) fail(`the model has a session ${session.clientId}`)
  const metrics = core.snapshot()
  for (const name of [
    'sessions',
    'clients',
    'connections',
    'subscriptions',
    'queuedMessages',
    'queuedBytes',
    'inflight',
    'delayedMessages',
    'delayedBytes',
  ])
    if (metrics[name] !== 0) fail(`${name} is ${metrics[name]} when nobody is there`)
  if (core.router.filterCount !== 0) fail(`${core.router.filterCount} Topic Filters are left`)
  if (core.router.fullSubscribers !== 0) fail(`${core.router.fullSubscribers} full subscribers are left`)
  const { nowMs, retained } = model
  let held = 0
  for (const states of retained.values()) {
    const publication = states[states.length - 1]?.publication ?? null
    if (publication !== null && publication.expiresAtMs > nowMs) held++
  }
  const isHeld = metrics['retainedMessages']! >= held && metrics['retainedMessages']! <= retained.size
  if (!isHeld) model.fail('retained', `${metrics['retainedMessages']} messages are retained, not ${held}`)
  if (!hasDisk || !(store instanceof SimStore)) return
  for (const [table, name] of TABLES) {
    let rows = 0
    store.scanKeys(table, (a, b, c) => {
      rows++
      trace?.(`row ${name} ${a} ${b} ${c}`)
    })
    if (name === 'Retained') {
      if (rows !== metrics['retainedMessages'])
        fail(`${rows} rows for ${metrics['retainedMessages']} retained messages`)
    } else if (rows > 0) {
      fail(`${rows} rows are left in the table ${name}`)
    }
  }
}
