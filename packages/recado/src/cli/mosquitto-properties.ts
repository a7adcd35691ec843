/**
 * `-D command identifier value` of mosquitto_pub, mosquitto_sub and mosquitto_rr: MQTT 5.0 properties by Mosquitto's
 * names. One table has for each its field, its type and the commands that may have it (5.0 section 2.2.2.2).
 */
import type { Properties } from '@recado/client'
import { bytesOf, invalidByteOf } from '../argument-bytes.ts'
import type { Manner } from './manner.ts'

type PropertyType = 'byte' | 'int16' | 'int32' | 'varint' | 'binary' | 'string' | 'pair'

interface PropertySpec {
  readonly field: keyof Properties
  readonly type: PropertyType
  readonly commands: string
  /** Whether the byte on the wire is a boolean in `Properties`. */
  readonly isBoolean?: true
}

const everywhere =
  'connect connack publish puback pubrec pubrel pubcomp subscribe suback unsubscribe unsuback disconnect auth will'
const message = 'publish will'

const properties: Readonly<Record<string, PropertySpec>> = {
  'payload-format-indicator': { field: 'payloadFormatIndicator', type: 'byte', commands: message },
  'message-expiry-interval': { field: 'messageExpiryIntervalSeconds', type: 'int32', commands: message },
  'content-type': { field: 'contentType', type: 'string', commands: message },
  'response-topic': { field: 'responseTopic', type: 'string', commands: message },
  'correlation-data': { field: 'correlationData', type: 'binary', commands: message },
  'subscription-identifier': { field: 'subscriptionIdentifiers', type: 'varint', commands: 'publish subscribe' },
  'session-expiry-interval': {
    field: 'sessionExpiryIntervalSeconds',
    type: 'int32',
    commands: 'connect connack disconnect',
  },
  'assigned-client-identifier': { field: 'assignedClientIdentifier', type: 'string', commands: 'connack' },
  'server-keep-alive': { field: 'serverKeepAliveSeconds', type: 'int16', commands: 'connack' },
  'authentication-method': { field: 'authenticationMethod', type: 'string', commands: 'connect connack auth' },
  'authentication-data': { field: 'authenticationData', type: 'binary', commands: 'connect connack auth' },
  'request-problem-information': {
    field: 'requestProblemInformation',
    type: 'byte',
    commands: 'connect',
    isBoolean: true,
  },
  'will-delay-interval': { field: 'willDelayIntervalSeconds', type: 'int32', commands: 'will' },
  'request-response-information': {
    field: 'requestResponseInformation',
    type: 'byte',
    commands: 'connect',
    isBoolean: true,
  },
  'response-information': { field: 'responseInformation', type: 'string', commands: 'connack' },
  'server-reference': { field: 'serverReference', type: 'string', commands: 'connack disconnect' },
  'reason-string': {
    field: 'reasonString',
    type: 'string',
    commands: 'connack puback pubrec pubrel pubcomp suback unsuback disconnect auth',
  },
  'receive-maximum': { field: 'receiveMaximum', type: 'int16', commands: 'connect connack' },
  'topic-alias-maximum': { field: 'topicAliasMaximum', type: 'int16', commands: 'connect connack' },
  'topic-alias': { field: 'topicAlias', type: 'int16', commands: 'publish' },
  'maximum-qos': { field: 'maximumQoS', type: 'byte', commands: 'connack' },
  'retain-available': { field: 'retainAvailable', type: 'byte', commands: 'connack', isBoolean: true },
  'user-property': { field: 'userProperties', type: 'pair', commands: everywhere },
  'maximum-packet-size': { field: 'maximumPacketSize', type: 'int32', commands: 'connect connack' },
  'wildcard-subscription-available': {
    field: 'wildcardSubscriptionAvailable',
    type: 'byte',
    commands: 'connack',
    isBoolean: true,
  },
  'subscription-identifier-available': {
    field: 'subscriptionIdentifierAvailable',
    type: 'byte',
    commands: 'connack',
    isBoolean: true,
  },
  'shared-subscription-available': {
    field: 'sharedSubscriptionAvailable',
    type: 'byte',
    commands: 'connack',
    isBoolean: true,
  },
}

/** Mosquitto's name for each field, for JSON output. */
export const propertyNames: ReadonlyMap<string, string> = new Map(
  Object.entries(properties).map(([name, { field }]) => [field, name]),
)

/** Packets to which the command lines can add properties. */
export const propertyCommands = ['connect', 'publish', 'subscribe', 'unsubscribe', 'disconnect', 'will'] as const
export type PropertyCommand = (typeof propertyCommands)[number]

export type CommandProperties = Record<PropertyCommand, Properties>

/**
 * Properties of a PUBLISH that the client is given. The Topic Alias is not among them: the client numbers its aliases
 * itself, and uses them where one is asked for (`tool-client.ts`).
 */
export function publishProperties({ publish: { topicAlias: _, ...properties } }: CommandProperties): Properties {
  return properties
}

const commands = new Set(everywhere.split(' '))
const LIMITS = { byte: 0xff, int16: 0xffff, int32: 0xffff_ffff, varint: 268_435_455 } as const

/**
 * Reads a property from `args` at `at`, behind `-D`, into `into`. Returns the number of arguments it took, or the text
 * of the error.
 */
export function parseProperty(
  args: readonly string[],
  at: number,
  into: CommandProperties,
  { mosquitto }: Manner,
): number | string {
  const named = (word: string): string => (mosquitto === '2.0' ? '' : ` ${word}`)
  const [command, name, value, second] = args.slice(at, at + 4)
  if (command === undefined || name === undefined || value === undefined) {
    return 'Error: --property argument given but not enough arguments specified.\n'
  }
  const commandName = command.toLowerCase()
  if (!commands.has(commandName)) return `Error: Invalid command${named(command)} given in --property argument.\n`
  const spec = Object.hasOwn(properties, name) ? properties[name] : undefined
  if (spec === undefined) return `Error: Invalid property name${named(name)} given in --property argument.\n`
  if (!spec.commands.split(' ').includes(commandName)) {
    return `Error: ${name} property not allowed for ${command} in --property argument.\n`
  }
  if (spec.type === 'pair' && second === undefined) {
    return 'Error: --property argument given but not enough arguments specified.\n'
  }
  const supported = propertyCommands.find((known) => known === commandName)
  if (supported === undefined || (commandName === 'publish' && name === 'subscription-identifier')) {
    return `Error: ${name} property not supported for ${command} in --property argument.\n`
  }
  const texts = spec.type === 'pair' ? [value, second!] : spec.type === 'string' ? [value] : []
  const invalid = texts.map(invalidByteOf).find((byte) => byte !== null)
  if (invalid !== undefined) return `Error: The value of property ${name} is not UTF-8 (${invalid}).\n`
  const target = into[supported]
  if (spec.type !== 'pair' && target[spec.field] !== undefined) {
    return `Error in ${supported.toUpperCase()} properties: Duplicate property in property list`
  }
  if (spec.type === 'pair') {
    target.userProperties = [...(target.userProperties ?? []), [value, second!]]
    return 4
  }
  const parsed = parseValue(spec, name, value)
  if (parsed instanceof Wrong) return parsed.text
  Object.assign(target, { [spec.field]: parsed })
  return 3
}

/** Error in a value. */
class Wrong {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

function parseValue(spec: PropertySpec, name: string, value: string): unknown {
  switch (spec.type) {
    case 'string':
      return value
    case 'binary': {
      const bytes = Uint8Array.from(bytesOf(value))
      return bytes.length <= 0xffff ? bytes : new Wrong(`Error: Property value too long for property ${name}.\n`)
    }
    case 'pair':
      return value
    default: {
      const number = Number(value.trim() === '' ? Number.NaN : value)
      if (!Number.isInteger(number)) return new Wrong(`Error: Property value '${value}' not a number.\n`)
      if (number < 0 || number > LIMITS[spec.type]) {
        return new Wrong(`Error: Property value (${number}) out of range for property ${name}.\n`)
      }
      if (spec.isBoolean) return number !== 0
      return spec.field === 'subscriptionIdentifiers' ? [number] : number
    }
  }
}
