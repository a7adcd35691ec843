/**
 * Values of a block of the configuration file: the settings of one option, its last value, or its default.
 *
 * `config.ts`, `listeners.ts` and `log.ts` read their options with these. Defaults are in the schema and nowhere else.
 */
import { type Block, type Setting, secondsOf } from './parse.ts'
import { findOption } from './schema.ts'

/** Settings of this option in a block, in the order of the file. */
export const settingsOf = (block: Block, name: string): Setting[] =>
  block.settings.filter((setting) => setting.option.name === name)

/** Last value given, or undefined. */
export function given<T>(block: Block, name: string): T | undefined {
  return settingsOf(block, name).at(-1)?.value as T | undefined
}

/** Last value given, or the schema's default in the option's own type. */
export function valueOrDefault(block: Block, name: string): unknown {
  const value = given<unknown>(block, name)
  if (value !== undefined) return value
  const option = findOption(name)!
  switch (option.type) {
    case 'boolean':
      return option.default === 'true'
    case 'integer':
      return Number(option.default)
    case 'words':
      return option.default.split(' ')
    case 'duration':
      return option.default === '' ? '' : secondsOf(option.default)
    default:
      return option.default
  }
}
