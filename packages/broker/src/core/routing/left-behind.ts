/**
 * Messages that a client has left behind, a Will or a delayed message: whether they may still be published when their
 * time has come, though the client may be gone, and in which form.
 *
 * `Wills` and `DelayedMessages` ask. A right that the client had when it left the message may have been taken away since,
 * its user may be gone, and the embedding program may want other contents.
 */
import type { ClientInfo } from '../../ports.ts'
import { UNKNOWN_GRANTS } from '../base/client-info.ts'
import type { Context } from '../base/context.ts'
import type { Message } from '../base/message.ts'
import { isReservedFor } from '../base/reserved-topics.ts'
import { isCertificate, stamped } from './sparkplug.ts'

/** Whether the client may still publish there. It might once; since then it may have lost the right, or its user may be gone. */
export function mayStillPublish(context: Context, client: ClientInfo, topic: string): boolean {
  const { authenticator, authorizer, options } = context
  if (options.sparkplugAware && isCertificate(topic)) return false
  if (authenticator?.isKnown?.(client) === false) return false
  if (authorizer === null) return !isReservedFor(client, topic)
  return client.grants === UNKNOWN_GRANTS || authorizer.mayPublish?.(client, topic) !== false
}

/**
 * The message as it is to be published for a client; null when the embedding program withholds it, which is counted.
 * `client` null: the embedding program has left it itself.
 */
export function leftMessage(context: Context, client: ClientInfo | null, message: Message): Message | null {
  const { transformer, authorizer } = context
  const answer = client === null ? null : (transformer?.transform(client, message) ?? null)
  if (typeof answer === 'number') {
    context.dropped(client?.clientId ?? '', message.topic, message.qos, 'withheld')
    return null
  }
  const changed = answer === null ? message : message.changed(answer)
  const left = context.options.sparkplugAware ? stamped(changed, context.turn.nowMs) : changed
  if (left.retain && authorizer?.mayPublish !== undefined) left.source = client
  return left
}
