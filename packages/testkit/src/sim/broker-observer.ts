/** Observer of the broker under test: events that no packet shows are told to the model, with the time of the broker. */
import type { Core } from '@recado/broker/testing'
import type { ExceptionChecker } from './checkers/exceptions.ts'
import { beginAutoSubscriptions, endAutoSubscriptions } from './model/auto-subscriptions.ts'
import { goOn } from './model/connects.ts'
import { checkDrop } from './model/drops.ts'
import { assigned } from './model/identifiers.ts'
import type { Model } from './model/model.ts'
import { withdraw } from './model/subscriptions.ts'
import type { ModelFeed } from './model-feed.ts'

type Observer = NonNullable<ConstructorParameters<typeof Core>[2]['observer']>

/** Parts of the host that the observer uses. */
export interface ObserverHost {
  readonly model: Model
  readonly modelFeed: ModelFeed
  readonly exceptions: ExceptionChecker
  readonly trace: ((line: string) => void) | null
  nowMs(): number
  /** Returns true when the process that the observer belongs to has ended. */
  isDead(): boolean
}

/** Makes the observer of one process. */
export function observerOf({ model, modelFeed, exceptions, trace, nowMs, isDead }: ObserverHost): Observer {
  /** The broker is done with a client; its last packets may still be on their way. */
  const left = (name: string, why: string): void => {
    const observed = modelFeed.named(name)
    if (observed === undefined) return
    trace?.(`  ${name}: ${why}`)
    modelFeed.ended(observed)
  }
  return {
    'will.published': ({ clientId, topic }) => {
      if (isDead()) return
      trace?.(`  the Will of ${clientId} is published`)
      model.nowMs = nowMs()
      model.wills.published(clientId, topic)
    },
    'delayed.published': ({ clientId, topic }) => {
      if (isDead()) return
      trace?.(`  the delayed message of ${clientId} to ${topic} is published`)
      model.nowMs = nowMs()
      model.delayed.published(clientId, topic)
    },
    'memory.level': ({ level }) => {
      if (isDead()) return
      model.nowMs = nowMs()
      trace?.(`  memory level ${level}`)
      model.memory.changed(model, level)
    },
    'subscription.withdrawn': ({ client, topicFilter, reasonCode }) => {
      if (isDead()) return
      model.nowMs = nowMs()
      trace?.(`  subscription ${topicFilter} of ${client.clientId} is withdrawn`)
      // What was refused for a limit before this was refused rightly.
      const connection = model.sessions.get(client.clientId)?.connection ?? null
      if (connection !== null && !connection.isWaiting) endAutoSubscriptions(model, connection)
      withdraw(model, client.clientId, topicFilter, reasonCode)
    },
    'session.ended': ({ clientId, why }) => {
      if (isDead()) return
      trace?.(`  session ${clientId} ended: ${why}`)
      model.nowMs = nowMs()
      if (why === 'expired') model.sessionExpired(clientId)
    },
    'message.dropped': ({ clientId, topic, qos, reason }) => {
      if (isDead()) return
      model.nowMs = nowMs()
      trace?.(`  dropped ${reason} ${clientId} ${topic} ${qos}`)
      checkDrop(model, clientId, topic, qos, reason)
    },
    'hook.failed': ({ hook, error }) => {
      if (!isDead()) exceptions.failed(hook, error)
    },
    'core.failed': ({ where, error }) => {
      if (!isDead()) exceptions.failed(where, error)
    },
    // The session is there from now on; CONNACK leaves when the turn ends, after the next batch has begun.
    'client.connected': ({ client }) => {
      const connection = modelFeed.named(client.remoteAddress)?.connection
      if (isDead() || connection === undefined) return
      model.nowMs = nowMs()
      if (connection.state === 'waiting') goOn(model, connection, 0)
      if (connection.isUnnamed) assigned(model, connection, client.clientId)
      beginAutoSubscriptions(model, connection)
    },
    'client.disconnected': ({ client, why }) => {
      if (!isDead()) left(client.remoteAddress, why)
    },
    'store.row-damaged': ({ table, row, error }) => {
      if (!isDead()) exceptions.damaged(table, row, error)
    },
  }
}
