import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments, UsageError } from './arguments.ts'

const refused = (argv: string[], expected: string): void => {
  assert.throws(
    () => parseArguments(argv),
    (error) => error instanceof UsageError && error.message === expected,
  )
}

test("Mosquitto's arguments are taken, long and short", () => {
  const commandLine = {
    configFile: 'a.conf',
    dataFolder: null,
    ports: [1884, 1885],
    verbose: true,
    quiet: false,
    asMosquitto: null,
  }
  assert.deepEqual(parseArguments(['-c', 'a.conf', '-p', '1884', '-p1885', '-v']), {
    kind: 'serve',
    commandLine,
    isDetached: false,
  })
  const long = ['--config-file=a.conf', '--port', '1884', '--port=1885', '--verbose']
  assert.deepEqual(parseArguments(long), { kind: 'serve', commandLine, isDetached: false })
  assert.deepEqual(parseArguments(['-q']), {
    kind: 'serve',
    commandLine: { configFile: null, dataFolder: null, ports: [], verbose: false, quiet: true, asMosquitto: null },
    isDetached: false,
  })
})

test('--data says where data is kept', () => {
  const commandLine = {
    configFile: null,
    dataFolder: '/data',
    ports: [],
    verbose: false,
    quiet: false,
    asMosquitto: null,
  }
  assert.deepEqual(parseArguments(['--data', '/data']), { kind: 'serve', commandLine, isDetached: false })
  assert.deepEqual(parseArguments(['--data=/data']), { kind: 'serve', commandLine, isDetached: false })
  refused(['--data', 'a', '--data', 'b'], '--data may be given once')
})

test('help, version and test-config are commands of their own', () => {
  assert.deepEqual(parseArguments(['-v', '-h']), { kind: 'help', asMosquitto: null })
  assert.deepEqual(parseArguments(['--version']), { kind: 'version', asMosquitto: null })
  assert.equal(parseArguments(['--test-config', '-c', 'a']).kind, 'test-config')
})

test('-d, --daemon: in the background', () => {
  for (const argv of [
    ['-d', '-v'],
    ['--daemon', '-v'],
  ]) {
    const command = parseArguments(argv)
    assert.equal(command.kind, 'serve')
    assert.equal(command.kind === 'serve' && command.isDetached, true)
  }
})

test('what is not understood is refused with a hint', () => {
  refused(['--verbos'], 'unknown option "--verbos", did you mean "--verbose"?')
  refused(['-x'], 'unknown option "-x", see recado --help')
  refused(['serve-it'], 'unknown command "serve-it", see recado --help')
  refused(['subb'], 'unknown command "subb", did you mean "sub"?')
  refused(['rrr'], 'unknown command "rrr", did you mean "rr"?')
  refused(['-c'], '-c needs a value')
  refused(['-c', 'a', '-c', 'b'], '-c may be given once')
  refused(['-p', '0'], '-p needs a port from 1 to 65535, not "0"')
  refused(['-p', 'x'], '-p needs a port from 1 to 65535, not "x"')
  refused(['-p', '65536'], '-p needs a port from 1 to 65535, not "65536"')
  refused(['--test-config'], '--test-config needs a configuration file (-c FILE)')
})
