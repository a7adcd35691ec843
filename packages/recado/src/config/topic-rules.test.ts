import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createBroker } from '@recado/broker'
import { temporaryFolder } from '../testing/program.ts'
import { brokerOptionsFrom } from './broker-options.ts'
import { type Config, loadConfig } from './config.ts'

function load(context: TestContext, text: string): Config {
  const configFile = join(temporaryFolder(context), 'a.conf')
  writeFileSync(configFile, text)
  return loadConfig({ configFile, dataFolder: null, ports: [], verbose: false, quiet: false })
}

test('lines of both options become options of the broker, which takes them', (context) => {
  const config = load(
    context,
    `topic_rewrite all old/# new/$1
topic_rewrite publish # all/$1
auto_subscribe inbox/%c/# 1
auto_subscribe # 2 no-local retain-as-published no-retained
auto_subscribe $share/g/%u
delayed_publish true
max_delay 60
sparkplug_aware true
`,
  )
  const options = brokerOptionsFrom(config)
  assert.deepEqual(options.topicRewrites, [
    { action: 'all', from: 'old/#', to: 'new/$1' },
    { action: 'publish', from: '#', to: 'all/$1' },
  ])
  const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 }
  assert.deepEqual(options.autoSubscriptions, [
    { topicFilter: 'inbox/%c/#', qos: 1, ...plain },
    { topicFilter: '#', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
    { topicFilter: '$share/g/%u', qos: 0, ...plain },
  ])
  assert.equal(options.delayedPublish, true)
  assert.equal(options.sparkplugAware, true)
  assert.equal(createBroker(options).limits.delaySecondsMax, 60)
  assert.deepEqual(config.warnings, [])
})

test('a rewrite that an earlier line makes useless is a warning', (context) => {
  const { warnings } = load(context, 'topic_rewrite all a/# b\ntopic_rewrite publish a/+ c\n')
  assert.match(warnings.join('\n'), /a\.conf:2: topic_rewrite has no effect: .*a\.conf:1 matches all that it does/)
})

const faults: [line: string, fault: RegExp][] = [
  ['topic_rewrite all a', /:1: topic_rewrite needs publish, subscribe or all, and two topics/],
  ['topic_rewrite all a b c', /:1: topic_rewrite needs/],
  ['topic_rewrite some a b', /:1: topic_rewrite: "some" must be publish, subscribe or all/],
  ['topic_rewrite all a/#/b c', /:1: topic_rewrite: "a\/#\/b" is not a Topic Filter/],
  ['topic_rewrite all a/+ b/$2', /:1: topic_rewrite: \$2 in "b\/\$2" stands for nothing/],
  ['topic_rewrite all $SYS/# a', /:1: topic_rewrite: topics of \$SYS cannot be rewritten/],
  ['auto_subscribe a 3', /:1: auto_subscribe: the QoS must be 0, 1 or 2, not "3"/],
  ['auto_subscribe a 1 loud', /:1: auto_subscribe: "loud" is not one of no-local/],
  ['auto_subscribe a/#/b', /:1: auto_subscribe: "a\/#\/b" is not a Topic Filter/],
  ['auto_subscribe $share/g/a 1 no-local', /:1: auto_subscribe: "\$share\/g\/a" is shared/],
  ['max_delay 0', /:1: max_delay/],
  ['delayed_publish perhaps', /:1: delayed_publish must be true or false/],
]
for (const [line, fault] of faults)
  test(`"${line}" is refused with its place`, (context) => {
    assert.throws(() => load(context, `${line}\n`), fault)
  })
