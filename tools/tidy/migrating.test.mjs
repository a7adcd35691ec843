/*
 * docs/migrating-from-mqttjs.md has every option, event, method and property of the installed MQTT.js, and what it recommends
 * exists here.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { clientApi } from '../docs.mjs'
import { root } from '../lib/workspace.mjs'

const page = readFileSync(join(root, 'docs/migrating-from-mqttjs.md'), 'utf8')
const typings = join(root, 'node_modules/mqtt/build/lib/client.d.ts')
const packets = join(root, 'node_modules/mqtt-packet/types/index.d.ts')
const skip = existsSync(typings) ? false : 'mqtt is not installed'

/** Rows of the table under a heading: [left, right]. */
function rows(heading) {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0]
  assert.ok(section !== undefined, `no section "${heading}"`)
  return [...section.matchAll(/^\| (.*?) \| (.*) \|$/gm)].slice(1).map(([, left, right]) => [left, right])
}

const quoted = (text) => [...text.matchAll(/`(\w+)`/g)].map(([, name]) => name)

/** The lines of an interface or class of MQTT.js at its first level. */
function body(text, declaration) {
  const start = text.indexOf(declaration)
  assert.notEqual(start, -1, `MQTT.js has no ${declaration} any more`)
  return text
    .slice(start, text.indexOf('\n}', start))
    .split('\n')
    .filter((line) => /^ {4}\S/.test(line))
}

function names(text, declaration) {
  const found = body(text, declaration).map((line) => /^ {4}(?:get )?(\w+)\??[:(]/.exec(line)?.[1])
  return [...new Set(found.filter((name) => name !== undefined && name !== 'constructor'))]
}

const missing = (wanted, heading, prefix = '') => {
  const there = new Set(rows(heading).flatMap(([left]) => (left.startsWith(prefix) ? quoted(left) : [])))
  return wanted.filter((name) => !there.has(name))
}

test('every option of MQTT.js has its row', { skip }, () => {
  const text = readFileSync(typings, 'utf8')
  const options = [...names(text, 'interface ISecureClientOptions '), ...names(text, 'interface IClientOptions ')]
  assert.ok(options.length > 50)
  assert.deepEqual(missing(options, 'Connection options'), [])
  const publish = names(text, 'interface IClientPublishOptions ')
  assert.deepEqual(missing(publish, 'Options of calls', '`publish`'), [])
  const subscribe = ['IClientSubscribeProperties', 'IClientSubscribeOptions', 'ISubscriptionRequest']
  const subscribed = subscribe.flatMap((name) => names(text, `interface ${name} `))
  assert.deepEqual(missing(subscribed, 'Options of calls', '`subscribe`'), [])
  const unsubscribe = names(text, 'interface IClientUnsubscribeProperties ')
  assert.deepEqual(missing(unsubscribe, 'Options of calls', '`unsubscribe`'), [])
})

test('every event, method and property of MQTT.js has its row', { skip }, () => {
  const text = readFileSync(typings, 'utf8')
  assert.deepEqual(missing(names(text, 'interface MqttClientEventCallbacks '), 'Events'), [])
  const members = names(text, 'export default class MqttClient ')
  assert.ok(members.length > 30)
  assert.deepEqual(missing([...members, 'connectAsync'], 'Methods and properties'), [])
})

test('every property of 5.0 in MQTT.js has its row', { skip }, () => {
  const text = readFileSync(packets, 'utf8')
  const found = [...text.matchAll(/properties\?: \{([^}]*)\}/g)].flatMap(([, inner]) =>
    [...inner.matchAll(/(\w+)\??:/g)].map(([, name]) => name),
  )
  assert.ok(found.length > 40)
  assert.deepEqual(missing([...new Set(found)], 'Properties'), [])
})

test('what the page recommends exists', () => {
  const members = clientApi.flatMap(({ declarations }) =>
    declarations.flat().flatMap(({ name, members }) => [name, ...members.map((member) => member.name)]),
  )
  const known = new Set(members)
  const recommended = ['Connection options', 'Options of calls', 'Events', 'Methods and properties'].flatMap(
    (heading) =>
      rows(heading)
        .map(([, right]) => right)
        .flatMap((right) => [
          ...[...right.matchAll(/`(?:client|subscription|message)\.(\w+)/g)].map(([, name]) => name),
          ...[...right.matchAll(/(?:^|[^.\w])`(\w+)(?::|`, default)/g)].map(([, name]) => name),
        ]),
  )
  assert.ok(recommended.length > 30)
  assert.deepEqual(
    [...new Set(recommended)].filter((name) => !known.has(name) && name !== 'reconnectPeriod'),
    [],
  )
})
