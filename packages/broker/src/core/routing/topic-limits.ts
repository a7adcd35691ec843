/**
 * Limits of Topic Names and Topic Filters: bytes and levels. Whatever is malformed has been refused by the decoder.
 *
 * Asked by the router for each topic that it has not met, and by SUBSCRIBE for each filter.
 */
import { topicLevels, utf8Length } from '@recado/protocol'
import type { Limits } from '../base/limits.ts'

/** Whether a Topic Name is within `topicBytesMax` and `topicLevelsMax`. */
export function isTopicWithinLimits(topic: string, { topicBytesMax, topicLevelsMax }: Limits): boolean {
  // There is a slash less than there are levels.
  return isShort(topic, topicBytesMax) && (topic.length < topicLevelsMax || topicLevels(topic) <= topicLevelsMax)
}

/** Whether a Topic Filter is within `filterBytesMax`, `topicBytesMax` and `topicLevelsMax`. */
export function isFilterWithinLimits(topicFilter: string, limits: Limits): boolean {
  return isShort(topicFilter, limits.filterBytesMax) && isTopicWithinLimits(topicFilter, limits)
}

function isShort(text: string, bytesMax: number): boolean {
  // A character of UTF-16 is 1 to 3 bytes of UTF-8; only near the limit they have to be counted.
  return text.length * 3 <= bytesMax || utf8Length(text) <= bytesMax
}
