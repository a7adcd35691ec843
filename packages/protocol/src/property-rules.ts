/**
 * Rules for properties that applications give, in the form of `arguments.ts`, so that a wrong property is reported like
 * any other option. Made from the table of properties; the encoder checks the same once more.
 */
import { flag, listOf, type Rule, text, whole } from './arguments.ts'
import { type PropertyDefinition, PropertyType, propertyDefinitions } from './properties.ts'

const bytes: Rule = { must: 'a Uint8Array', holds: (value) => value instanceof Uint8Array }
const pair: Rule = {
  must: 'a pair of strings',
  holds: (value) => Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === 'string'),
}

/** Returns rules by name for the properties that may stand in packets of this type; 0 is a Will. */
export function propertyRules(packetType: number): Record<string, Rule> {
  const rules: Record<string, Rule> = {}
  for (const definition of propertyDefinitions) {
    if (((definition.packets >> packetType) & 1) === 0) continue
    const rule = ruleOf(definition)
    rules[definition.name] = definition.repeats ? listOf(rule) : rule
  }
  return rules
}

function ruleOf({ type, minimum, maximum }: PropertyDefinition): Rule {
  switch (type) {
    case PropertyType.Boolean:
      return flag
    case PropertyType.Utf8String:
      return text
    case PropertyType.Utf8StringPair:
      return pair
    case PropertyType.BinaryData:
      return bytes
    default:
      return whole(minimum, maximum)
  }
}
