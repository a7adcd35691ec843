/*
 * docs/migrating-from-aedes.md has every option, event, method and property of the installed aedes; what it recommends exists
 * here; and each of its programs compiles and runs.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { brokerApi } from '../docs.mjs'
import { root } from '../lib/workspace.mjs'

const page = readFileSync(join(root, 'docs/migrating-from-aedes.md'), 'utf8')
const typings = (name) => join(root, 'node_modules/aedes/types', name)
const skip = existsSync(typings('instance.d.ts')) ? false : 'aedes is not installed'

/** Rows of the table under a heading: [left, right]. */
function rows(heading) {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0]
  assert.ok(section !== undefined, `no section "${heading}"`)
  return [...section.matchAll(/^\| (.*?) \| (.*) \|$/gm)].slice(1).map(([, left, right]) => [left, right])
}

/** Text of an interface or class. */
function body(text, declaration) {
  const start = text.indexOf(declaration)
  assert.notEqual(start, -1, `aedes has no ${declaration} any more`)
  return text.slice(start, text.indexOf('\n}', start))
}

const membersOf = (text) => [...text.matchAll(/^ {2}(?:static )?(\w+) ?\??[:(]/gm)].map(([, name]) => name)
const eventsOf = (text) => [...text.matchAll(/event: ([^,]*),/g)].flatMap(([, names]) => names.match(/\w+/g))

function missing(wanted, ...headings) {
  const left = headings.flatMap((heading) => rows(heading)).map(([text]) => text)
  const there = new Set(
    left.flatMap((text) => [...text.matchAll(/`(?:new )?(\w+)(?:\(\))?`/g)].map(([, name]) => name)),
  )
  return [...new Set(wanted)].filter((name) => !there.has(name))
}

test('every option, property, event, handler and method of aedes has its row', { skip }, () => {
  const instance = readFileSync(typings('instance.d.ts'), 'utf8')
  const options = membersOf(body(instance, 'export interface AedesOptions '))
  assert.ok(options.length > 15)
  assert.deepEqual(missing(options, 'Constructor options'), [])
  const broker = body(instance, 'export class Aedes ')
  const members = membersOf(broker).filter((name) => !['constructor', 'on'].includes(name))
  assert.ok(members.length > 12)
  assert.deepEqual(missing(members, 'Properties', 'Handlers', 'Methods'), [])
  assert.ok(eventsOf(broker).length > 10)
  assert.deepEqual(missing(eventsOf(broker), 'Events'), [])
  const client = membersOf(body(readFileSync(typings('client.d.ts'), 'utf8'), 'export interface Client '))
  assert.deepEqual(
    missing(
      client.filter((name) => name !== 'on'),
      'The client object',
    ),
    [],
  )
})

test('names that the page recommends exist', () => {
  const all = brokerApi.flatMap(({ declarations }) => declarations.flat())
  const membersIn = (name) => all.find((each) => each.name === name).members.map((member) => member.name)
  const classes = { broker: 'Broker', 'broker.inspect': 'Inspector', client: 'ClientInfo', authorize: 'AuthorizeHooks' }
  const right = page
    .split('\n## ')
    .flatMap((section) => [...section.matchAll(/^\| .*? \| (.*) \|$/gm)].map(([, text]) => text))
  let found = 0
  for (const [, owner, name] of right.join('\n').matchAll(/`(broker\.inspect|broker|client|authorize)\.(\w+)/g)) {
    if (name === 'inspect') continue
    assert.ok(membersIn(classes[owner]).includes(name), `${owner}.${name}`)
    found++
  }
  assert.ok(found > 15)
  const events = all.find(({ name }) => name === 'BrokerEvents').members.map(({ name }) => name)
  const signature = all.find(({ name }) => name === 'BrokerEvents').signature
  for (const [, name] of right.join('\n').matchAll(/`'([a-z]+\.[a-z-]+)'/g)) {
    assert.ok(events.includes(name) || signature.includes(`'${name}'`), name)
  }
  const limits = all.find(({ name }) => name === 'LimitName').signature
  for (const [, names] of right.join('\n').matchAll(/limits: \{ ([^}]*) \}/g)) {
    for (const name of names.split(', ')) assert.ok(limits.includes(`'${name}'`), name)
  }
})

test('each program of the page compiles and runs', { timeout: 120_000 }, () => {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'aedes-'))
  try {
    const programs = [...page.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code], i) => {
      const path = join(folder, `program-${i}.mts`)
      writeFileSync(path, code)
      return path
    })
    assert.ok(programs.length >= 5)
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const flags = [
      '--ignoreConfig',
      '--strict',
      '--skipLibCheck',
      '--target',
      'es2023',
      '--module',
      'nodenext',
      '--types',
      'node',
    ]
    const compiled = spawnSync(process.execPath, [tsc, ...flags, '--outDir', folder, ...programs], { encoding: 'utf8' })
    assert.equal(compiled.stdout, '')
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.mjs'))) {
      const run = spawnSync(process.execPath, [join(folder, name)], { encoding: 'utf8', timeout: 30_000 })
      assert.equal(run.stderr, '', name)
      assert.equal(run.status, 0, name)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
