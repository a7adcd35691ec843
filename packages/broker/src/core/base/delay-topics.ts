/**
 * Topics of delayed messages: `$delayed/SECONDS/topic`, as EMQX has them.
 *
 * `handlePublish` and `Broker.publish` ask where the option `delayedPublish` is set. What follows the seconds is the real
 * topic: rights, limits and the mount point are those of the real topic.
 */
import { isTopicName } from '@recado/protocol'

const PREFIX = '$delayed/'
const DELAYED = /^\$delayed\/(\d{1,10})\/(.+)$/s

/** Delay and real topic of a message. */
export interface DelayedTopic {
  readonly seconds: number
  readonly topic: string
}

/** Whether the topic asks for a delay, rightly or not. */
export function isDelayed(topic: string): boolean {
  return topic.startsWith(PREFIX)
}

/** Takes such a topic apart; null when it has no whole number of seconds, or no real topic that is not itself delayed. */
export function parseDelayed(topic: string): DelayedTopic | null {
  const [, seconds = '', real = ''] = DELAYED.exec(topic) ?? []
  if (!isTopicName(real) || isDelayed(real)) return null
  return { seconds: Number(seconds), topic: real }
}
