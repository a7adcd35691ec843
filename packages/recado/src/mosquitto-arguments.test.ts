import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mannerFrom, refusalOf } from './mosquitto-arguments.ts'

const NOW_MS = 1_795_974_887_500
const of20 = (...argv: string[]): string | null => refusalOf(argv, '2.0', NOW_MS)
const of21 = (...argv: string[]): string | null => refusalOf(argv, '2.1', NOW_MS)

test("a command line that Mosquitto refuses is refused in that version's words", () => {
  // Measured with 2.0.11 and 2.1.2.
  assert.equal(of20('-p'), '1795974887: Error: -p argument given, but no port specified.\n')
  assert.equal(of20('-p', '0'), '1795974887: Error: Invalid port specified (0).\n')
  assert.equal(of21('-p', '65536'), '1795974887: Error: Invalid port specified (65536).\n')
  assert.equal(of21('-p', 'x'), '1795974887: Error: Invalid port specified (0).\n')
  assert.equal(of21('-v', '-c'), '1795974887: Error: -c argument given, but no config file specified.\n')
  assert.equal(of21('--tls-keylog'), '1795974887: Error: --tls-keylog argument given, but no file specified.\n')
  assert.equal(of20('--unknown'), "Error: Unknown option '--unknown'.\n")
  assert.equal(of21('extra'), "Error: Unknown option 'extra'.\n")
  assert.equal(of20('-c', '/nowhere'), '1795974887: Error: Unable to open config file /nowhere.\n')
  assert.equal(of21('-c', '/nowhere'), "1795974887: Error: Unable to open config file '/nowhere'.\n")
})

test('arguments of both, and of ours alone, are left to the parser', () => {
  assert.equal(of21('-p', '1883', '-v', '--as-mosquitto', '2.1', '--data', 'x', '--as-mosquitto=2.1'), null)
  assert.equal(of20('-h', '--unknown'), null)
})

test('the manner comes from the argument, before the name of the program', () => {
  assert.equal(mannerFrom(['-v', '--as-mosquitto', '2.0'], 'mosquitto'), '2.0')
  assert.equal(mannerFrom(['--as-mosquitto=2.1'], undefined), '2.1')
  assert.equal(mannerFrom(['-v'], 'mosquitto'), '2.1')
  assert.equal(mannerFrom(['-v'], undefined), null)
  assert.equal(mannerFrom(['--as-mosquitto', '3'], 'mosquitto'), null)
})
