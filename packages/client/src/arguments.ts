/**
 * Rules for arguments that only the client has: properties and Reason Codes of packets that it sends, topics and their
 * characters. Rules for values of any kind are in `@recado/protocol`; the broker uses them as well.
 */
import {
  check,
  checkOptions,
  encodeProperties,
  hasUnusualCharacter,
  isObject,
  isReasonCodeOf,
  MqttError,
  OptionError,
  PacketType,
  type Properties,
  parseTopicFilter,
  parseTopicName,
  propertyRules,
  type Rule,
  shown,
  type TopicFilter,
  type TopicName,
  text,
} from '@recado/protocol'

/**
 * Returns the rule for properties that may stand in packets of this type, except those in `own`, which the client
 * itself sets. Throws `OptionError`, which names the property.
 */
export function propertiesOf(packetType: number, ...own: readonly (keyof Properties)[]): Rule {
  const rules = propertyRules(packetType)
  for (const name of own) delete rules[name]
  const holds = (value: unknown, name: string): boolean => {
    if (!isObject(value) || Array.isArray(value)) return false
    checkOptions(value, rules, `${name}.`, name)
    try {
      encodeProperties(value, packetType)
    } catch (error) {
      // Only the encoder notices text that is too long, or that is no text.
      throw new OptionError(`${name}.${(error as Error).message}`)
    }
    return true
  }
  return { must: 'an object', holds }
}

const publishProperties = propertiesOf(PacketType.PUBLISH, 'topicAlias', 'subscriptionIdentifiers')

/**
 * Encodes the properties of a PUBLISH. The cause of an error is looked for only when encoding fails, because this runs
 * once per message. Throws `OptionError`.
 */
export function encodePublishProperties(properties: Properties): Uint8Array {
  if (properties.topicAlias === undefined && properties.subscriptionIdentifiers === undefined) {
    try {
      return encodeProperties(properties, PacketType.PUBLISH)
    } catch {
      // The check below reports it in the words of the application.
    }
  }
  check('properties', properties, publishProperties)
  return encodeProperties(properties, PacketType.PUBLISH)
}

export function reasonCodeOf(packetType: number): Rule {
  const holds = (value: unknown): boolean => typeof value === 'number' && isReasonCodeOf(packetType, 5, 'client', value)
  return { must: 'a Reason Code that a client may send in this packet', holds }
}

// ---- topics

/**
 * Characters allowed in topics. `'any'` includes control characters and non-characters, for which servers may close the
 * connection (5.0 section 1.5.4).
 */
export type TopicCharacters = 'usual' | 'any'

/** Checks a Topic Name. Throws `OptionError`, or `MqttError` ERR_MQTT_TOPIC_NAME. */
export function topicName(topic: unknown, characters: TopicCharacters | undefined, name = 'topic'): TopicName {
  check(name, topic, text)
  const parsed = parseTopicName(topic as string)
  if (characters !== 'any') checkCharacters(parsed, 'ERR_MQTT_TOPIC_NAME')
  return parsed
}

/** Checks a Topic Filter. Throws `MqttError` ERR_MQTT_TOPIC_FILTER. */
export function topicFilter(filter: string, characters: TopicCharacters | undefined): TopicFilter {
  const parsed = parseTopicFilter(filter)
  if (characters !== 'any') checkCharacters(parsed, 'ERR_MQTT_TOPIC_FILTER')
  return parsed
}

function checkCharacters(topic: string, code: 'ERR_MQTT_TOPIC_NAME' | 'ERR_MQTT_TOPIC_FILTER'): void {
  if (!hasUnusualCharacter(topic)) return
  const what = 'has a control character or a non-character, for which servers may close the connection'
  throw new MqttError(code, `${shown(topic)} ${what}; topicCharacters: 'any' sends it all the same`)
}
