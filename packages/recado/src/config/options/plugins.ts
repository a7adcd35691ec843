/**
 * Options about plugins of Mosquitto. `schema.ts` joins them with the others.
 */
import { type Option, option } from './option.ts'

const NO_PLUGIN = "Mosquitto's plugins are C libraries and cannot be loaded. Use the hooks of @recado/broker."
const plugins = option('plugins', 'plugin')

export const pluginOptions: readonly Option[] = [
  plugins('plugin', 'text', '', 'Loads a plugin.', {
    repeatable: true,
    aliases: ['auth_plugin', 'global_plugin', 'plugin_load', 'plugin_use'],
    instead: `${NO_PLUGIN} Every PUBLISH and SUBSCRIBE is refused.`,
    guards: 'topics',
  }),
  plugins(
    'auth_plugin_deny_special_chars',
    'boolean',
    'true',
    'Refuses user names and Client Identifiers with + or #.',
    { repeatable: true, instead: NO_PLUGIN },
  ),
  plugins('plugin_opt_*', 'text', '', 'Option for the plugin above it.', {
    repeatable: true,
    aliases: ['auth_opt_*'],
    instead: NO_PLUGIN,
  }),
]
