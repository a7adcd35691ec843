export { PacketIdMap } from './packet-ids.ts'
export { Receiver } from './receiver.ts'
export { Flow, type InFlight, Sender } from './sender.ts'
export {
  hasWildcard,
  isTopicFilter,
  isTopicName,
  parseShare,
  parseTopicFilter,
  parseTopicName,
  type Share,
  type TopicFilter,
  type TopicName,
  topicLevels,
  topicMatches,
} from './topic.ts'
export { type TopicAlias, TopicAliasReceiver, TopicAliasSender } from './topic-alias.ts'
export { FilterTree, TopicTree } from './topic-tree.ts'
