/**
 * Plugins of Mosquitto that a configuration loads, as what we have in their place: each is known by the name of its
 * file.
 *
 * `config.ts` asks for each listener. The invariants: what a plugin was told is taken, or named in a warning, or
 * refused; a plugin that is not known ends the start, as one that cannot be loaded ends Mosquitto's, for nobody knows
 * whom it was to keep out.
 */
import { goAuthPlugin } from './go-auth.ts'
import { type Block, ConfigError, type Setting } from './parse.ts'
import { note, type Plugin, type PluginAccess, warnAbout } from './plugin.ts'

const isDenySpecial = ({ option }: Setting): boolean => option.name === 'auth_plugin_deny_special_chars'

type Translate = (plugin: Plugin, access: PluginAccess) => void

/** Translations by the name of the file, without `lib`, folder and ending. */
const known: Readonly<Record<string, Translate>> = {
  mosquitto_dynamic_security: dynamicSecurity,
  mosquitto_acl_file: (plugin, access) => {
    access.aclFile = fileOption(plugin, access, 'acl_file')
  },
  mosquitto_password_file: (plugin, access) => {
    access.passwordFile = fileOption(plugin, access, 'password_file')
  },
  mosquitto_sparkplug_aware: (plugin, access) => {
    access.sparkplugAware = true
    note(access, plugin, 'is taken for sparkplug_aware true')
    warnAbout(access, plugin, [])
  },
  mosquitto_persist_sqlite: (plugin, access) => {
    note(access, plugin, 'is not needed: what is kept is crash-safe without it (persistence_location, durability)')
  },
}

/** Replacements for plugins that are met often. */
const instead: readonly (readonly [name: RegExp, what: string])[] = [
  [/sparkplug/, 'sparkplug_aware true'],
  [
    /auth[-_]plug/,
    'password_file and acl_file for its back-ends "files", webhook_login_url and webhook_rights_url for "http", jwt_secret_file for "jwt"; a database is asked by a service of yours behind webhook_login_url',
  ],
  [/payload|topic/, 'an embedded broker (npm: @recado/broker) with an authorize hook'],
]
const OTHERWISE =
  'webhook_login_url and webhook_rights_url ask a service of yours, jwt_key_file takes tokens, and @recado/broker embeds a broker with hooks'

/** Returns the plugins of a listener: its own, and those of all. @throws ConfigError */
export function pluginAccessFrom(global: Block, listener: Block): PluginAccess {
  const access: PluginAccess = {
    passwordFile: null,
    aclFile: null,
    dynamicSecurity: null,
    jwt: null,
    goAuth: null,
    sparkplugAware: false,
    notes: [],
    warnings: [],
  }
  const loaded = new Map<string, Plugin>()
  const plugins = [...pluginsIn(global, loaded), ...(listener === global ? [] : pluginsIn(listener, loaded))]
  for (const plugin of plugins) {
    // It stands for itself, above or below the plugin.
    plugin.deniesSpecialCharacters =
      (listener.settings.findLast(isDenySpecial) ?? global.settings.findLast(isDenySpecial))?.value !== false
    const translate = translatorOf(plugin)
    if (translate === null) throw refusalOf(plugin)
    translate(plugin, access)
  }
  return access
}

/** In the order of their lines. What `plugin_load` names is used where `plugin_use` says so. */
function pluginsIn({ settings }: Block, loaded: Map<string, Plugin>): Plugin[] {
  const plugins: Plugin[] = []
  let last: Plugin | null = null
  for (const setting of settings) {
    const { option, name, file, line } = setting
    const value = String(setting.value)
    if (option.name === 'plugin' && name === 'plugin_use') {
      const plugin = loaded.get(value)
      if (plugin === undefined) throw new ConfigError(file, line, `plugin_use: no plugin_load has the name "${value}"`)
      plugins.push(plugin)
    } else if (option.name === 'plugin' && name === 'plugin_load') {
      const end = value.search(/[ \t]/)
      const [id, path] = [value.slice(0, Math.max(0, end)), value.slice(end + 1).trim()]
      if (id === '') throw new ConfigError(file, line, 'plugin_load takes a name and a path: plugin_load NAME PATH')
      last = { setting, path, options: new Map(), deniesSpecialCharacters: true }
      loaded.set(id, last)
    } else if (option.name === 'plugin') {
      last = { setting, path: value, options: new Map(), deniesSpecialCharacters: true }
      plugins.push(last)
    } else if (option.name === 'plugin_opt_*') {
      if (last === null) throw new ConfigError(file, line, `${name} belongs below a "plugin" line`)
      last.options.set(name.replace(/^(?:plugin|auth)_opt_/, ''), setting)
    }
  }
  return plugins
}

/** Without folder, `lib` and ending. */
const nameOf = (path: string): string =>
  path
    .replace(/^.*[/\\]/, '')
    .replace(/^lib/, '')
    .replace(/\.(?:so|dll|dylib)$/, '')

const translatorOf = ({ path }: Plugin): Translate | null => {
  const name = nameOf(path)
  if (/(?:^|-)go-auth$/.test(name)) return goAuthPlugin
  return Object.hasOwn(known, name) ? known[name]! : null
}

function refusalOf({ path, setting: { name, file, line } }: Plugin): ConfigError {
  const what = instead.find(([pattern]) => pattern.test(nameOf(path)))?.[1] ?? OTHERWISE
  const text = `${name} ${path} cannot be loaded: Mosquitto's plugins are C libraries. Instead: ${what}`
  return new ConfigError(file, line, text)
}

function fileOption(plugin: Plugin, access: PluginAccess, name: string): Setting {
  const setting = plugin.options.get(name)
  if (setting === undefined) {
    const { file, line } = plugin.setting
    throw new ConfigError(file, line, `${plugin.path} needs plugin_opt_${name} below it`)
  }
  note(access, plugin, `is taken for ${name} ${String(setting.value)}`)
  warnAbout(access, plugin, [name])
  return setting
}

function dynamicSecurity(plugin: Plugin, access: PluginAccess): void {
  const { file, line } = plugin.setting
  const path = plugin.options.get('config_file')?.value as string | undefined
  if (path === undefined) {
    throw new ConfigError(
      file,
      line,
      `${plugin.path} needs plugin_opt_config_file below it: without it nobody is kept out`,
    )
  }
  if (access.dynamicSecurity !== null)
    throw new ConfigError(file, line, 'dynamic security can be loaded only once: remove one of its plugin lines')
  const passwordInitFile = (plugin.options.get('password_init_file')?.value as string | undefined) ?? null
  access.dynamicSecurity = { path, passwordInitFile }
  note(access, plugin, `is taken for dynamic security of our own, with ${path}`)
  warnAbout(access, plugin, ['config_file', 'password_init_file'])
}
