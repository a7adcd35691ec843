/**
 * Notes the pairs of `pairs.ts` that occur: what changes for a session, and the states of its messages in the broker at
 * that moment. For coverage only.
 */
import type { Core } from '@recado/broker/testing'
import type { BrokerConfig } from './broker-config.ts'
import type { Model } from './model/model.ts'
import { type Change, nameOf, statesOf } from './pairs.ts'

/** Part of the host that the notes need. */
export interface PairHost {
  readonly core: Core | null
  readonly nowMs: number
}

export class PairNotes {
  readonly #host: PairHost
  readonly #model: Model

  constructor(host: PairHost, model: Model) {
    this.#host = host
    this.#model = model
    model.onChange = (session, changes) => this.note(session.clientId, changes as readonly Change[])
  }

  /** Something changes for the session of a client. */
  note(clientId: string, changes: readonly Change[]): void {
    const session = this.#host.core?.sessions.get(clientId)
    if (session === undefined) return
    const modelled = this.#model.sessions.get(clientId)
    for (const state of statesOf(session, modelled, this.#host.nowMs))
      for (const change of changes) this.#model.cover(nameOf(change, state))
  }

  /** The broker ends: `how` says how, `next` is its configuration of then, and the clock is set by `clockMs`. */
  noteEnd(how: Change, config: BrokerConfig, next: BrokerConfig, clockMs: number): void {
    const { core } = this.#host
    if (core === null) return
    const changes: Change[] = [how]
    if (next.limits !== config.limits) changes.push('restart.limits')
    if (next.options !== config.options) changes.push('restart.options')
    if (next.hasAuthorizer !== config.hasAuthorizer) changes.push('restart.policy')
    if (next.listeners !== config.listeners) changes.push('restart.listeners')
    if (next.isPersistent !== config.isPersistent) changes.push('restart.durability')
    if (clockMs < 0) changes.push('restart.clock-back')
    if (clockMs > 0) changes.push('restart.clock-forward')
    for (const { clientId, isDurable } of core.sessions.values()) if (isDurable) this.note(clientId, changes)
  }
}
