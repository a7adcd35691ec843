export { Decoder, type DecoderOptions } from './decoder.ts'
export {
  ByteWriter,
  encode,
  encodedSize,
  encodeProperties,
  encodeTo,
  encodeTopicField,
  writeAck,
  writePublish,
  writePublishHead,
} from './encoder.ts'
export { errorCodes, MqttError, ProtocolError } from './errors.ts'
export { keepAliveTimeoutMs } from './keep-alive.ts'
export { UnsupportedProtocolVersionError } from './packet-bodies.ts'
export { PacketIdMap } from './packet-ids.ts'
export {
  Auth,
  Connack,
  Connect,
  type ConnectOptions,
  Disconnect,
  type Packet,
  PacketType,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  Unsubscribe,
  type Will,
} from './packets.ts'
export { NO_PROPERTIES, type Properties } from './properties.ts'
export { ConnectReturnCode, connectReturnCodeOf, ReasonCode, reasonCodeName } from './reason-codes.ts'
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
export { TopicCache } from './topic-cache.ts'
export { FilterTree, TopicTree } from './topic-tree.ts'
