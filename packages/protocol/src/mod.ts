/**
 * @recado/protocol: MQTT 3.1, 3.1.1 and 5.0 without I/O.
 *
 * Packets and bytes (`Decoder`, `encode`), Topic Names and Filters and the trees that match them, Packet Identifiers, the QoS 1
 * and 2 flows of sender and receiver, Topic Aliases. Imports nothing, runs in a browser. Every public name is here.
 */
export {
  anything,
  callback,
  check,
  checkIfGiven,
  checkOptions,
  either,
  flag,
  isObject,
  listOf,
  nearest,
  object,
  oneOf,
  optionsOf,
  type Rule,
  type Rules,
  shown,
  signal,
  text,
  textOrBytes,
  toBytes,
  whole,
} from './arguments.ts'
export { variableByteIntegerSize } from './byte-writer.ts'
export { copy, hasDisallowedCodePoint, utf8Length } from './bytes.ts'
export { decodeProperties } from './cursor.ts'
export { Decoder, type DecoderOptions } from './decoder.ts'
export {
  ByteWriter,
  encode,
  encodedSize,
  encodeProperties,
  encodeTo,
  encodeTopicField,
  joinPropertyFields,
  writeAck,
  writePublish,
  writePublishHead,
} from './encoder.ts'
export { errorCodes, MqttError, OptionError, ProtocolError } from './errors.ts'
export { keepAliveTimeoutMs } from './keep-alive.ts'
export type { PacketBuffer, PacketBuffers } from './packet-buffers.ts'
export { packetEnd } from './packet-end.ts'
export { PacketIdMap } from './packet-ids.ts'
export { isReasonCodeOf } from './packet-reason-codes.ts'
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
  packetTypeName,
  type QoS,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  Unsubscribe,
  type Will,
} from './packets.ts'
export { NO_PROPERTIES, type Properties, type PropertyDefinition, PropertyType, propertyById } from './properties.ts'
export { propertyRules } from './property-rules.ts'
export {
  type PropertySource,
  propertiesOf,
  RawProperties,
  scanPublishProperties,
  userPropertyOf,
} from './raw-properties.ts'
export { ConnectReturnCode, connectReturnCodeOf, ReasonCode, reasonCodeName } from './reason-codes.ts'
export { Receiver } from './receiver.ts'
export { Flow, type InFlight, Sender } from './sender.ts'
export { UnsupportedProtocolVersionError } from './server-packets.ts'
export {
  hasUnusualCharacter,
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
export { filterCovers, filtersOverlap } from './topic-filters.ts'
export { FilterTree, TopicMatches, TopicTree } from './topic-tree.ts'
