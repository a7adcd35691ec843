/**
 * A plugin of Mosquitto with the options below it, and what plugins come to. `plugins.ts` makes them; what translates one
 * kind of plugin fills in `PluginAccess`. Invariant: what was taken is noted, what was not is warned about.
 */
import type { DynamicSecurityConfig, GoAuthConfig, JwtConfig } from './access-parts.ts'
import type { Setting } from './parse.ts'

/** Result of a listener's plugins. */
export interface PluginAccess {
  passwordFile: Setting | null
  aclFile: Setting | null
  dynamicSecurity: DynamicSecurityConfig | null
  jwt: JwtConfig | null
  goAuth: GoAuthConfig | null
  /** Whether Mosquitto's plugin for Sparkplug is loaded. */
  sparkplugAware: boolean
  /** Notes for people on the plugins that were replaced: one line each. */
  readonly notes: string[]
  /** Warnings about the others. */
  readonly warnings: string[]
}

/** A plugin and the options below it. */
export interface Plugin {
  /** The line that loads it. */
  readonly setting: Setting
  /** Path of its file. */
  readonly path: string
  /** Options by name, without `plugin_opt_` or `auth_opt_`; each option once, the last holds. */
  readonly options: Map<string, Setting>
  /** `auth_plugin_deny_special_chars`. */
  deniesSpecialCharacters: boolean
}

const at = ({ file, line }: Setting): string => `${file}:${line}`

export function note({ notes }: PluginAccess, { setting, path }: Plugin, what: string): void {
  notes.push(`${at(setting)}: ${path} ${what}`)
}

/** Options that were not looked at. */
export function warnAbout({ warnings }: PluginAccess, plugin: Plugin, taken: readonly string[]): void {
  for (const [name, setting] of plugin.options) {
    if (!taken.includes(name)) warnings.push(`${at(setting)}: ${setting.name} is not known and has no effect`)
  }
}
