/** Plugins of Mosquitto in a configuration: what is taken in their place, and what ends the start. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasLogins } from './admission.ts'
import { type Config, loadConfig } from './config.ts'

const load = (text: string): Config =>
  loadConfig(
    { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
    { read: () => text, list: () => [] },
  )
const accessOf = (text: string): Config['listeners'][0]['access'] => load(text).listeners[0]!.access
const refused = (text: string, message: RegExp): void => assert.throws(() => load(text), { message })

test('dynamic security is known by the name of its file, wherever that is', () => {
  for (const path of [
    '/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so',
    'mosquitto_dynamic_security.so',
    'C:\\mosquitto\\mosquitto_dynamic_security.dll',
  ]) {
    for (const [plugin, option] of [
      ['plugin', 'plugin_opt_config_file'],
      ['auth_plugin', 'auth_opt_config_file'],
      ['global_plugin', 'plugin_opt_config_file'],
    ]) {
      const config = load(
        `listener 1883\n${plugin} ${path}\n${option} /d/dynsec.json\nplugin_opt_password_init_file /d/pw`,
      )
      const [listener] = config.listeners
      assert.deepEqual(listener!.access.dynamicSecurity, { path: '/d/dynsec.json', passwordInitFile: '/d/pw' })
      assert.equal(hasLogins(listener!), true)
      assert.deepEqual(config.notes, [
        `a.conf:2: ${path} is taken for dynamic security of our own, with /d/dynsec.json`,
      ])
      assert.deepEqual(config.warnings, [])
    }
  }
})

test('a plugin that is not known ends the start, and says what to use instead', () => {
  refused(
    'listener 1883\nplugin /x/mine.so',
    /^a\.conf:2: plugin \/x\/mine\.so cannot be loaded: .*C libraries.*Instead: .*webhook/,
  )
  refused('auth_plugin /x/auth-plug.so', /auth_plugin \/x\/auth-plug\.so cannot be loaded.*password_file and acl_file/)
  refused('plugin toString', /cannot be loaded/)
})

test('plugins of 2.1 that only read files are options of ours', () => {
  const text = `
listener 1883
plugin /usr/lib/mosquitto_password_file.so
plugin_opt_password_file /p
plugin /usr/lib/mosquitto_acl_file.so
plugin_opt_acl_file /a
plugin_opt_other 1
plugin /usr/lib/mosquitto_persist_sqlite.so`
  const { passwordFile, aclFile } = accessOf(text)
  assert.deepEqual([passwordFile, aclFile], ['/p', '/a'])
  const { notes, warnings } = load(text)
  assert.equal(notes.length, 3)
  assert.deepEqual(warnings, ['a.conf:7: plugin_opt_other is not known and has no effect'])
  refused('plugin /usr/lib/mosquitto_acl_file.so', /a\.conf:1: .* needs plugin_opt_acl_file below it/)
  refused('acl_file /b\nplugin /mosquitto_acl_file.so\nplugin_opt_acl_file /a', /a\.conf:1: acl_file .*line 3/)
})

test("Mosquitto's plugin for Sparkplug is sparkplug_aware, for the whole broker", () => {
  const config = load('listener 1883\nlistener 1884\nplugin /usr/lib/mosquitto_sparkplug_aware.so')
  assert.equal(config.sparkplugAware, true)
  assert.deepEqual(config.notes, ['a.conf:3: /usr/lib/mosquitto_sparkplug_aware.so is taken for sparkplug_aware true'])
  assert.equal(load('listener 1883').sparkplugAware, false)
  refused('plugin /x/other-sparkplug.so', /cannot be loaded.*Instead: sparkplug_aware true/)
})

test('plugin_load names a plugin, and plugin_use uses it where it stands', () => {
  const text = `
per_listener_settings true
plugin_load ds /usr/lib/mosquitto_dynamic_security.so
plugin_opt_config_file /d
listener 1883
plugin_use ds
listener 1884`
  const [one, two] = load(text).listeners
  assert.deepEqual([one!.access.dynamicSecurity?.path, two!.access.dynamicSecurity], ['/d', null])
  refused('plugin_use none', /no plugin_load has the name "none"/)
  refused('plugin_load /just/a/path', /takes a name and a path/)
})

test('with per_listener_settings a plugin belongs to the listener above it, and a global one to all', () => {
  const lines = (name: string): string => `
per_listener_settings true
listener 1883
${name} /mosquitto_dynamic_security.so
plugin_opt_config_file /d
listener 1884`
  const pathsOf = (text: string) => load(text).listeners.map(({ access }) => access.dynamicSecurity?.path)
  assert.deepEqual(pathsOf(lines('plugin')), ['/d', undefined])
  assert.deepEqual(pathsOf(lines('plugin').replace('true', 'false')), ['/d', '/d'])
})

test('what is wrong around plugins is told with its line', () => {
  refused('plugin_opt_config_file /d', /a\.conf:1: plugin_opt_config_file belongs below a "plugin" line/)
  refused('plugin /mosquitto_dynamic_security.so', /needs plugin_opt_config_file below it/)
  const twice = 'plugin /mosquitto_dynamic_security.so\nplugin_opt_config_file /d\n'
  refused(twice + twice, /a\.conf:3: dynamic security can be loaded only once/)
})
