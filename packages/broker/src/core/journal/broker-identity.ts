/**
 * The identity of this broker on the paths of messages over bridges (`bridge-path.ts`), made or given once and kept in
 * the store.
 */
import { Table } from '../../ports.ts'
import { IDENTITY_KEY } from '../base/bridge-path.ts'
import type { Context } from '../base/context.ts'
import type { Journal } from './journal.ts'

/** Random bytes of an identity that the broker makes for itself. */
const IDENTITY_BYTES = 8

/** Gives the broker an identity; `null` takes it away. */
export function giveIdentity(context: Context, journal: Journal | null, identity: string | null): void {
  if (context.identity === identity) return
  context.identity = identity
  context.turn.begin()
  const row = identity === null ? null : new TextEncoder().encode(identity)
  journal?.change(Table.Meta, IDENTITY_KEY, 0, 0, row)
}

/** Returns the identity of the broker, which is made when there is none. */
export function brokerIdentity(context: Context, journal: Journal | null): string {
  if (context.identity === null) giveIdentity(context, journal, context.random.hex(IDENTITY_BYTES))
  return context.identity!
}
