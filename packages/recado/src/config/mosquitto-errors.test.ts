import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from './config.ts'
import type { MosquittoVersion } from './log.ts'
import { mosquittoLines } from './mosquitto-errors.ts'
import { ConfigError } from './parse.ts'

/** Lines of Mosquitto about the first fault in a file. */
function linesAbout(version: MosquittoVersion, ...lines: string[]): string[] {
  const command = { configFile: 'm.conf', dataFolder: null, ports: [], verbose: false, quiet: false }
  try {
    const { bridgeFaults } = loadConfig(command, { read: () => lines.join('\n'), list: () => [] })
    return bridgeFaults[0] === undefined ? [] : mosquittoLines(bridgeFaults[0], version)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return mosquittoLines(error, version)
  }
}

const cases: readonly (readonly [lines: readonly string[], said21: string, said20: string])[] = [
  [['nonsense 1'], "Unknown configuration variable 'nonsense'.", 'Unknown configuration variable "nonsense".'],
  [['user '], "Empty 'user' value in configuration.", 'Empty user value in configuration.'],
  [['listener'], "Empty 'listener port' value in configuration.", 'Empty listener port value in configuration.'],
  [['listener 100000'], "Invalid 'port' value (100000).", 'Invalid port value (100000).'],
  [['allow_anonymous falst'], "Invalid 'allow_anonymous' value (falst).", 'Invalid allow_anonymous value (falst).'],
  [['autosave_interval x'], "'autosave_interval' value not a number.", 'autosave_interval value not a number.'],
  [
    ['pid_file /a', 'pid_file /a'],
    "Duplicate 'pid_file' value in configuration.",
    'Duplicate pid_file value in configuration.',
  ],
  [['maximum_qos 3'], "'max_qos' must be between 0 and 2 inclusive.", 'max_qos must be between 0 and 2 inclusive.'],
  [
    ['bridge_protocol_version nonsense'],
    "The 'bridge_protocol_version' option requires a bridge to be defined first.",
    'Invalid bridge configuration.',
  ],
  [
    ['plugin_opt_x y'],
    "The 'plugin_opt_x' option requires plugin/global_plugin/plugin_load to be defined first.",
    'An auth_opt_ option exists in the config file without an auth_plugin.',
  ],
]

test("a fault in a file has Mosquitto's words of either version, and the place", () => {
  for (const [lines, said21, said20] of cases) {
    const place = `Error found at m.conf:${lines.length}.`
    assert.deepEqual(linesAbout('2.1', ...lines), [`Error: ${said21}`, place])
    assert.deepEqual(linesAbout('2.0', ...lines), [`Error: ${said20}`, place])
  }
})

test('a bridge without address or key is told without a line, which Mosquitto does not know any more', () => {
  const said = (...lines: string[]): string[] => linesAbout('2.1', 'connection b', ...lines)
  const begin = 'Error: Invalid bridge configuration'
  assert.deepEqual(said(), [`${begin}: no remote addresses defined.`])
  assert.deepEqual(said('address hub'), [`${begin}: no topics defined.`])
  assert.deepEqual(said('address hub', 'topic #', 'bridge_identity i'), [`${begin}: missing bridge_psk.`])
})

test('a fault that Mosquitto has no words for has none', () => {
  assert.deepEqual(linesAbout('2.1', 'durability nothing', 'nonsense'), [
    "Error: Invalid 'durability' value (nothing).",
    'Error found at m.conf:1.',
  ])
  assert.deepEqual(linesAbout('2.1', ' # not at the beginning'), [])
})

test('a quote that does not end is refused, as in 2.1', () => {
  assert.deepEqual(linesAbout('2.1', 'connection b', 'topic "a b'), [
    'Error: Missing closing quote in topic value (b).',
    'Error found at m.conf:2.',
  ])
})
