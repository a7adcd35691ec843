/* Generated pages are what the code says, and links between pages lead somewhere. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { wireCases } from '../../packages/protocol/dist/wire-cases.js'
import { brokerApi, clientApi, errorTables, pages } from '../docs.mjs'
import { undocumented } from '../lib/api-page.mjs'
import { casesByStatement, findTags } from '../lib/conformance/tags.mjs'
import { isUntagged, isUntested, statements } from '../lib/conformance-page.mjs'
import { filesBelow, root } from '../lib/workspace.mjs'

for (const [path, text] of pages) {
  test(`${path} is up to date`, () => {
    // Not assert.equal: its diff of two pages would hide what to do.
    const isCurrent = existsSync(join(root, path)) && readFileSync(join(root, path), 'utf8') === text
    assert.ok(isCurrent, `${path} is stale: run "npm run docs" and commit the page`)
  })
}

test('every error code that is thrown stands in a table, with what to do', () => {
  const known = new Set([...errorTables.values()].flatMap((codes) => Object.keys(codes)))
  const unknown = new Set()
  for (const path of filesBelow('packages').filter((each) => /src\/.*(?<!\.test)\.ts$/.test(each))) {
    for (const [code] of readFileSync(join(root, path), 'utf8').matchAll(/(?<=')ERR_MQTT_[A-Z_]+(?=')/g)) {
      if (!known.has(code)) unknown.add(`${path}: ${code}`)
    }
  }
  assert.deepEqual([...unknown], [])
})

test('every public name of the client has a docstring', () => {
  assert.deepEqual(undocumented(clientApi), [])
})

test('every public name of the broker has a docstring', () => {
  assert.deepEqual(undocumented(brokerApi), [])
})

test('links between the pages of the repository lead somewhere', () => {
  const broken = []
  for (const path of filesBelow('.').filter((each) => each.endsWith('.md'))) {
    const text = readFileSync(join(root, path), 'utf8').replace(/```[\s\S]*?```|`[^`\n]*`/g, '')
    for (const [, link] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!/^[a-z]+:/.test(link) && !existsSync(join(root, dirname(path), link))) broken.push(`${path}: ${link}`)
    }
  }
  assert.deepEqual(broken, [])
})

test('every tag of a normative statement is one: [MQTT-x.y.z-n] of 5.0, [MQTT-3.1.1:x.y.z-n] of 3.1.1', () => {
  const { five, old } = statements(wireCases)
  const known = new Set([...five, ...old].map(({ key }) => key))
  const unknown = findTags().all.filter(({ key }) => !known.has(key))
  assert.deepEqual(
    unknown.map(({ path, line, key }) => `${path}:${line}: there is no statement ${key}`),
    [],
  )
  assert.deepEqual(
    [...casesByStatement(wireCases).keys()].filter((key) => !known.has(key)),
    [],
  )
})

test('every normative statement has code that carries its tag and a test that names it, or a reason (docs/conformance.md)', () => {
  const { five, old } = statements(wireCases)
  const all = [...five, ...old]
  assert.deepEqual(
    all.filter(isUntested).map(({ key }) => `${key} has no test`),
    [],
  )
  assert.deepEqual(
    all.filter(isUntagged).map(({ key }) => `${key} has no code`),
    [],
  )
  const isExcused = ({ code, tests, remark }) =>
    (remark.test !== undefined && tests.length > 0) || (remark.code !== undefined && code.length > 0)
  assert.deepEqual(
    all.filter(isExcused).map(({ key }) => `${key} needs its excuse in remarks.json no more`),
    [],
  )
})
