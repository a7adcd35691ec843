/**
 * Options about plugins of Mosquitto. `schema.ts` joins them with the others, `../plugins.ts` says what is taken in the place of each.
 */
import { type Option, option } from './option.ts'

const plugins = option('plugins', 'plugin')

export const pluginOptions: readonly Option[] = [
  plugins(
    'plugin',
    'text',
    '',
    'A plugin of Mosquitto, which is a C library and is not loaded: what we have in its place is known by the name of its file. `mosquitto_dynamic_security` is docs/dynamic-security.md, `mosquitto_acl_file` and `mosquitto_password_file` are `acl_file` and `password_file`, `mosquitto_sparkplug_aware` is `sparkplug_aware`, `mosquitto_persist_sqlite` is not needed, `go-auth` (mosquitto-go-auth) has its back-ends `files`, `http` and `jwt` in docs/access.md. Any other ends the start. `plugin_load NAME PATH` names one, `plugin_use NAME` uses it. With `per_listener_settings` it belongs to the listener above it.',
    { repeatable: true, aliases: ['auth_plugin', 'global_plugin', 'plugin_load', 'plugin_use'] },
  ),
  plugins(
    'auth_plugin_deny_special_chars',
    'boolean',
    'true',
    'With mosquitto-go-auth: clients with a + or # in their user name or Client Identifier may do nothing.',
    { repeatable: true },
  ),
  plugins(
    'plugin_opt_*',
    'text',
    '',
    'Option of the plugin above it. Of dynamic security: `plugin_opt_config_file` and `plugin_opt_password_init_file`; of mosquitto-go-auth: docs/access.md.',
    { repeatable: true, aliases: ['auth_opt_*'] },
  ),
]
