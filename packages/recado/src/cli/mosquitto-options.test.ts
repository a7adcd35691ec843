import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseArguments } from './mosquitto-options.ts'
import type { Tool, ToolOptions } from './tool-options.ts'

function options(tool: Tool, line: string, env = {}): ToolOptions {
  const parsed = parseArguments(tool, line.split(' '), env)
  assert.equal(parsed.kind, 'options', JSON.stringify(parsed))
  return (parsed as { options: ToolOptions }).options
}

function problem(tool: Tool, ...argv: string[]): string {
  const parsed = parseArguments(tool, argv, {})
  assert.equal(parsed.kind, 'error')
  return (parsed as { error: string }).error.split('\n')[0]!
}

test('the arguments of mosquitto_pub', () => {
  const given = options(
    'pub',
    '-h host -p 1234 -t a/b -m hello -q 1 -r -i me -c -k 30 -u u -P p --repeat 3 --repeat-delay 0.5 -M 5',
  )
  assert.deepEqual(
    [given.host, given.port, given.topics, given.message],
    ['host', 1234, ['a/b'], { kind: 'text', value: 'hello' }],
  )
  assert.deepEqual(
    [given.qos, given.retain, given.id, given.cleanSession, given.keepAliveSeconds],
    [1, true, 'me', false, 30],
  )
  assert.deepEqual([given.repeat, given.repeatDelayMs, given.inflightMax, given.protocolVersion], [3, 500, 5, 4])
})

test('the arguments of mosquitto_sub, long and short', () => {
  const given = options('sub', '-t a/# --topic b -T a/x -U c -C 3 -W 5 -v -N -R -F %t --protocol-version 5')
  assert.deepEqual([given.topics, given.filterOut, given.unsubscribe], [['a/#', 'b'], ['a/x'], ['c']])
  assert.deepEqual(
    [given.count, given.timeoutSeconds, given.verbose, given.eol, given.retainHandling],
    [3, 5, true, false, 2],
  )
  assert.deepEqual([given.format, given.protocolVersion], ['%t', 5])
})

test('-L has everything at once', () => {
  const given = options('pub', '-L mqtts://user:pa:ss@[::1]:99/a/b -n')
  assert.deepEqual(
    [given.host, given.port, given.username, given.password, given.topics],
    ['::1', 99, 'user', 'pa:ss', ['a/b']],
  )
  assert.equal(given.tls.useOsCerts, true)
  assert.equal(options('pub', '-L MQTT://h/t -n').port, 1883)
})

test('-D takes properties of every kind and means 5.0', () => {
  const line =
    '-t a -n -D publish message-expiry-interval 60 -D publish user-property k v -D publish correlation-data x ' +
    '-D connect request-problem-information 0 -D will will-delay-interval 5 --property PUBLISH user-property k w'
  const { properties, protocolVersion } = options('pub', line)
  assert.equal(protocolVersion, 5)
  assert.deepEqual(properties.publish, {
    messageExpiryIntervalSeconds: 60,
    userProperties: [
      ['k', 'v'],
      ['k', 'w'],
    ],
    correlationData: Uint8Array.of(0x78),
  })
  assert.deepEqual(properties.connect, { requestProblemInformation: false })
  assert.deepEqual(properties.will, { willDelayIntervalSeconds: 5 })
})

test('session expiry: -x, -c and both versions', () => {
  assert.equal(options('sub', '-t a -x 5').sessionExpirySeconds, 5)
  assert.equal(options('sub', '-t a -x ∞ -i me').sessionExpirySeconds, 0xffff_ffff)
  assert.equal(options('sub', '-t a -c -V 5 -i me').sessionExpirySeconds, 0xffff_ffff)
  assert.equal(options('sub', '-t a -c -i me').sessionExpirySeconds, undefined)
})

test('what is wrong is said in the words of Mosquitto', () => {
  assert.equal(problem('pub', '-t'), 'Error: -t argument given but no topic specified.')
  assert.equal(problem('pub', '--foo'), "Error: Unknown option '--foo'.")
  assert.equal(problem('pub', '-C', '1'), "Error: Unknown option '-C'.")
  assert.equal(problem('sub', '-m', 'x'), "Error: Unknown option '-m'.")
  assert.equal(problem('sub', 'constructor'), "Error: Unknown option 'constructor'.")
  assert.equal(problem('pub', '-t', 'a'), 'Error: Both topic and message must be supplied.')
  assert.equal(problem('pub', '-m', 'a', '-l'), 'Error: Only one type of message can be sent at once.')
  assert.equal(problem('pub', '-t', 'a/#', '-n'), "Error: Invalid publish topic 'a/#', does it contain '+' or '#'?")
  assert.equal(problem('pub', '--proxy', 'http://x'), 'Error: Unsupported proxy protocol: http://x')
  assert.equal(
    problem('sub', '-t', 'a', '-D', 'connect', 'nonsense', '1'),
    'Error: Invalid property name nonsense given in --property argument.',
  )
  assert.equal(
    problem('sub', '-t', 'a', '-D', 'connect', 'receive-maximum', 'x'),
    "Error: Property value 'x' not a number.",
  )
})

test('an options file is read first, one option a line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-cli-'))
  try {
    writeFileSync(
      join(folder, 'mosquitto_sub'),
      '# comment\n-h from-file\n-t with space\n-v\n-D connect user-property a b\n',
    )
    const given = options('sub', '-p 5', { XDG_CONFIG_HOME: folder })
    assert.deepEqual([given.host, given.port, given.topics, given.verbose], ['from-file', 5, ['with space'], true])
    assert.deepEqual(given.properties.connect.userProperties, [['a', 'b']])
    assert.equal(options('sub', `-o ${join(folder, 'mosquitto_sub')} -h mine`).host, 'mine')
    writeFileSync(join(folder, 'wrong'), '--nonsense\n')
    assert.equal(
      problem('sub', '-o', join(folder, 'wrong')),
      `Error: Unknown option '--nonsense'. (in ${join(folder, 'wrong')})`,
    )
    assert.match(problem('sub', '-o', join(folder, 'missing')), /Unable to open options file/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('RECADO_PASSWORD is the password of a user who is given without one', () => {
  const env = { RECADO_PASSWORD: 'from the environment', HOME: '/nowhere' }
  assert.equal(options('sub', '-t a -u ada', env).password, 'from the environment')
  assert.equal(options('sub', '-t a -u ada -P own', env).password, 'own')
  assert.equal(options('sub', '-t a', env).password, undefined)
})
