import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Config, loadConfig } from '../config/config.ts'
import { temporaryFolder } from '../testing/program.ts'
import { type Finding, lint } from './lint.ts'

/** Configurations of brokers, by the names of their files. */
function load(context: TestContext, files: Record<string, string>): Config[] {
  const folder = temporaryFolder(context)
  return Object.entries(files).map(([name, text]) => {
    const configFile = join(folder, `${name}.conf`)
    writeFileSync(configFile, text, { mode: 0o600 })
    return loadConfig({ configFile, dataFolder: null, ports: [], verbose: false, quiet: false })
  })
}

function findingsOf(context: TestContext, files: Record<string, string>): Finding[] {
  const [config, ...others] = load(context, files)
  return lint(config!, 0, others).filter(({ name }) => name.startsWith('bridge-'))
}

/** `line name` of each finding about bridges in the first file. */
const found = (context: TestContext, ...texts: string[]): string[] =>
  findingsOf(context, Object.fromEntries(texts.map((text, i) => ['abc'[i]!, text]))).map(
    ({ line, name }) => `${line} ${name}`,
  )

const bridge = (name: string, address: string, ...lines: string[]): string =>
  [`connection ${name}`, `address ${address}`, ...lines, ''].join('\n')
const LISTENER = 'listener 1883 127.0.0.1\n'

test('one bridge in both directions does not go round, with any version', (context) => {
  for (const version of ['mqttv31', 'mqttv311', 'mqttv50'])
    assert.deepEqual(found(context, bridge('x', 'hub', 'topic # both 1', `bridge_protocol_version ${version}`)), [])
})

test('two bridges in both directions to one broker go round, unless both speak 5.0', (context) => {
  const two = (first: string, second: string): string =>
    bridge('x', 'hub', 'topic a/# both 1', first) + bridge('y', 'hub', 'topic a/+ both 1', second)
  assert.deepEqual(found(context, two('#', '#')), ['3 bridge-loop'])
  assert.deepEqual(found(context, two('bridge_protocol_version mqttv50', '#')), ['3 bridge-loop'])
  assert.deepEqual(found(context, two('bridge_protocol_version mqttv50', 'bridge_protocol_version mqttv50')), [])
  const [finding] = findingsOf(context, { a: two('#', '#') })
  assert.match(
    finding!.text,
    /^Messages of a\/# can go round for ever over the bridges x \(.*:1\) and y \(.*:5\): x, y do not/,
  )
})

test('two bridges go round only where a topic takes both', (context) => {
  const x = bridge('x', 'hub', 'topic a/# out 1')
  assert.deepEqual(found(context, x + bridge('y', 'hub', 'topic a/# in 1')), ['3 bridge-loop'])
  assert.deepEqual(found(context, x + bridge('y', 'hub', 'topic b/# in 1')), [])
  assert.deepEqual(found(context, x + bridge('y', 'other', 'topic a/# in 1')), [])
  assert.deepEqual(found(context, x + bridge('y', 'hub', 'topic a/# out 1')), [])
  // Prefixes lead away, or back.
  const there = bridge('x', 'hub', 'topic # out 1 a/ b/')
  assert.deepEqual(found(context, there + bridge('y', 'hub', 'topic # in 1 c/ b/')), [])
  assert.deepEqual(found(context, there + bridge('y', 'hub', 'topic # in 1 a/ b/')), ['3 bridge-loop'])
})

test('a ring of three brokers is found in their three files, from each of them', (context) => {
  const next = (name: string, to: string, ...lines: string[]): string =>
    `${LISTENER}${bridge(name, to, 'topic # both 1', ...lines)}`
  const ring = { a: next('ab', 'b:1883'), b: next('bc', 'c:1883'), c: next('ca', 'a.example.com:1883') }
  assert.deepEqual(findingsOf(context, { a: ring.a }), [], 'one file shows no ring')
  for (const order of [
    ['a', 'b', 'c'],
    ['b', 'c', 'a'],
    ['c', 'a', 'b'],
  ] as const) {
    const files = Object.fromEntries(order.map((name) => [name, ring[name]]))
    assert.deepEqual(
      findingsOf(context, files).map(({ name, line }) => `${line} ${name}`),
      ['4 bridge-loop'],
    )
  }
  const chain = { ...ring, c: LISTENER }
  assert.deepEqual(findingsOf(context, chain), [])
  const v5 = (name: string, to: string): string => next(name, to, 'bridge_protocol_version mqttv50')
  assert.deepEqual(findingsOf(context, { a: v5('ab', 'b:1883'), b: v5('bc', 'c:1883'), c: v5('ca', 'a:1883') }), [])
  assert.deepEqual(found(context, v5('ab', 'b:1883'), next('bc', 'c:1883'), v5('ca', 'a:1883')), ['4 bridge-loop'])
})

test('brokers on one machine are told apart by their ports', (context) => {
  const at = (port: number, to: number): string =>
    `listener ${port} 127.0.0.1\n${bridge('x', `localhost:${to}`, 'topic # both 1')}`
  assert.deepEqual(found(context, at(1, 2), at(2, 3), at(3, 1)), ['4 bridge-loop'])
  assert.deepEqual(found(context, at(1, 2), at(2, 1)), ['4 bridge-loop'])
  assert.deepEqual(found(context, at(1, 2), at(2, 3)), [])
  assert.deepEqual(found(context, at(1, 1)), ['3 bridge-to-itself'])
})

test('very many bridges are looked at in bounded time', (context) => {
  const many = Array.from({ length: 60 }, (_, i) =>
    bridge(`x${i}`, `hub${i % 3}`, 'topic # both 1', `remote_clientid x${i}`),
  )
  assert.ok(found(context, many.join('')).length > 0)
})

test('what comes back, is lost, or overwrites is found', (context) => {
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic # both 1', 'try_private false')), ['4 bridge-echo'])
  assert.deepEqual(
    found(context, bridge('x', 'hub', 'topic # out 1 "" x/', 'topic # in 1 y/ y/', 'try_private false')),
    [],
  )
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic a out', 'topic b in', 'topic c both 0')), [
    '3 bridge-drops',
  ])
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic a in 1', 'cleansession true')), ['4 bridge-forgets'])
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic # in 1', 'topic $SYS/# in 0')), ['4 bridge-overwrites-sys'])
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic # in 0 hub/ $SYS/')), [])
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic a/# both 1', 'notification_topic a/state')), [
    '4 bridge-state-crosses',
  ])
  assert.deepEqual(found(context, bridge('x', 'hub', 'topic a/# both 1', 'notification_topic b')), [])
  const same =
    bridge('x', 'hub', 'topic a out 1', 'clientid e') +
    bridge('y', 'hub', 'topic b out 1', 'clientid e', 'local_clientid y')
  assert.deepEqual(found(context, same), ['8 bridge-same-clientid'])
})
