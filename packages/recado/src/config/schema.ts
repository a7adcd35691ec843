/**
 * Every option of mosquitto.conf(5), of Mosquitto 2.0 and 2.1, and our own: name, type, default, unit, limits, effect.
 *
 * One table, `optionTable`, drives the parser (`parse.ts`), the configuration that the program starts from
 * (`config.ts`) and docs/configuration.md (tools/docs.mjs). Its parts are in `options/`, a file for each group.
 * Invariant: a name stands once.
 */
import { accessOptions } from './options/access.ts'
import { bridgeOptions } from './options/bridges.ts'
import { generalOptions } from './options/general.ts'
import { limitOptions } from './options/limits.ts'
import { listenerOptions } from './options/listeners.ts'
import { loggingOptions } from './options/logging.ts'
import { messageOptions } from './options/messages.ts'
import type { Option } from './options/option.ts'
import { persistenceOptions } from './options/persistence.ts'
import { pluginOptions } from './options/plugins.ts'
import { tlsOptions } from './options/tls.ts'
import { webSocketOptions } from './options/websockets.ts'

export { type Group, groups, type Option, type OptionType, type Scope } from './options/option.ts'

export const optionTable: readonly Option[] = [
  ...listenerOptions,
  ...generalOptions,
  ...accessOptions,
  ...limitOptions,
  ...messageOptions,
  ...persistenceOptions,
  ...loggingOptions,
  ...tlsOptions,
  ...webSocketOptions,
  ...pluginOptions,
  ...bridgeOptions,
]

const byName = new Map<string, Option>()
for (const entry of optionTable) for (const name of [entry.name, ...(entry.aliases ?? [])]) byName.set(name, entry)

/** Returns the option with that name or alias; a name that ends in `*` stands for all with that beginning. */
export function findOption(name: string): Option | undefined {
  const exact = byName.get(name)
  if (exact !== undefined || name.endsWith('*')) return exact
  for (const prefix of ['plugin_opt_', 'auth_opt_']) {
    if (name.startsWith(prefix) && name.length > prefix.length) return byName.get(`${prefix}*`)
  }
  return undefined
}

/** Every name and alias, for suggestions. */
export const optionNames: readonly string[] = [...byName.keys()]
