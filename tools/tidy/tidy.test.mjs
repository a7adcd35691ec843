/*
 * The house rules over the repository, and each rule over samples that break it: a rule that catches nothing is worse
 * than none.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { filesBelow, root } from '../lib/workspace.mjs'
import { patternsAreLinear, patternsOf } from './patterns.mjs'
import * as rules from './rules.mjs'
import { blank, headerOf, importsOf } from './source.mjs'

const isText =
  /\.(ts|mts|js|mjs|json|md|yml|yaml|conf|sh|txt|service|c|py)$|(^|\/)(run|Dockerfile|\.npmrc|\.gitignore)$/
const repository = filesBelow('.')
  .filter((path) => isText.test(path) && !path.startsWith('bench/out/') && !path.startsWith('data/'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

const file = (path, text) => [{ path, text }]
const header = `/**\n * ${'What this file owns, who calls it, and what always holds. '.repeat(2)}\n */\n`

function rule(check, title, breaking, keeping) {
  test(`${title}: the repository keeps it`, () => {
    const violations = check(repository)
    assert.equal(violations.length, 0, `\n${violations.join('\n')}`)
  })
  test(`${title}: samples that break it are caught`, () => {
    for (const [path, text] of breaking) {
      assert.equal(check(file(path, text)).length, 1, `not caught in ${path}: ${text}`)
    }
  })
  test(`${title}: samples that keep it pass`, () => {
    for (const [path, text] of keeping) assert.deepEqual(check(file(path, text)), [], `${path}: ${text}`)
  })
}

rule(
  rules.protocolImports,
  'protocol imports nothing',
  [
    ['packages/protocol/src/a.ts', `import { x } from 'node:fs'`],
    ['packages/protocol/src/a.ts', `import type { X } from '@recado/broker'`],
    ['packages/protocol/src/a.ts', `export * from 'fast-check'`],
    ['packages/protocol/src/a.ts', `const x = await\nimport(\n'ws')`.replace('await', '')],
    ['packages/protocol/src/a.ts', `import '../../broker/src/mod.ts'`],
    ['packages/protocol/src/a.ts', `export const x: unknown = Buffer.from('a')`],
    ['packages/protocol/src/a.ts', `export const now = (): number => Date.now()`],
  ],
  [
    ['packages/protocol/src/a.ts', `import { x } from './b.ts' // from 'node:fs'`],
    ['packages/protocol/src/a.test.ts', `import { test } from 'node:test'`],
    ['packages/protocol/src/bytes.ts', `const native = (globalThis as { Buffer?: unknown }).Buffer`],
  ],
)

rule(
  rules.coreIsDeterministic,
  'broker/core is deterministic',
  [
    ['packages/broker/src/core/a.ts', `import { createServer } from 'node:net'`],
    ['packages/broker/src/core/a.ts', `import { x } from '../mesh/b.ts'`],
    ['packages/broker/src/mesh/a.ts', `import { x } from '../adapters/tcp.ts'`],
    ['packages/broker/src/mesh/a.ts', `const t = Date.now()`],
    ['packages/broker/src/core/a.ts', `import { x } from '../adapters/tcp.ts'`],
    ['packages/broker/src/core/a.ts', `import ws from 'ws'`],
    ['packages/broker/src/core/a.ts', `setTimeout(f, 1)`],
    ['packages/broker/src/core/a.ts', `const t = Date.now()`],
    ['packages/broker/src/core/a.ts', `const t = new Date`],
    ['packages/broker/src/core/a.ts', `const r = Math.random()`],
    ['packages/broker/src/core/a.ts', `async function f(): void {}`],
    ['packages/broker/src/core/a.ts', `let p: Promise<void>`],
    ['packages/broker/src/core/a.ts', `queueMicrotask(f)`],
    ['packages/broker/src/core/a.ts', `const t = \`\${performance.now()}\``],
    ['packages/broker/src/core/a.ts', `class A extends EventEmitter {}`],
    ['packages/broker/src/core/a.ts', `process.exit(1)`],
  ],
  [
    [
      'packages/broker/src/core/a.ts',
      `import { b } from './b.ts'\nimport type { Clock } from '../ports.ts'\nimport { encode } from '@recado/protocol'`,
    ],
    ['packages/broker/src/mesh/a.ts', `import { x } from './b.ts'\nimport { y } from '../core/base/c.ts'`],
    ['packages/broker/src/core/a.ts', `// Date.now() is not for us\nconst a = 'setTimeout' + \`Promise\``],
    ['packages/broker/src/core/a.ts', `this.process(packet); const updateDate = 1; f({ process: 1 })`],
    ['packages/broker/src/core/a.test.ts', `await new Promise(setImmediate)`],
    ['packages/broker/src/adapters/clock.ts', `setTimeout(f, Date.now())`],
  ],
)

rule(
  rules.adaptersStandAlone,
  'adapters import ports and not each other',
  [
    ['packages/broker/src/adapters/tcp.ts', `import { x } from './unix.ts'`],
    ['packages/broker/src/adapters/tcp/a.ts', `import { x } from '../unix/b.ts'`],
    ['packages/broker/src/adapters/tcp.ts', `import { x } from '../core/session/session.ts'`],
    ['packages/broker/src/adapters/tcp.ts', `import { x } from '../broker.ts'`],
  ],
  [
    [
      'packages/broker/src/adapters/tcp.ts',
      `import net from 'node:net'\nimport type { T } from '../ports.ts'\nimport { d } from '@recado/protocol'`,
    ],
    ['packages/broker/src/adapters/tcp/a.ts', `import { x } from './b.ts'\nimport type { T } from '../../ports.ts'`],
    ['packages/broker/src/adapters/socket-listener.ts', `import { x } from './socket-transport.ts'`],
  ],
)

rule(
  rules.coreHasFloors,
  'broker/core has floors',
  [
    ['packages/broker/src/core/base/a.ts', `import { x } from '../journal/b.ts'`],
    ['packages/broker/src/core/journal/a.ts', `import type { X } from '../session/b.ts'`],
    ['packages/broker/src/core/connection/a.ts', `import type { Core } from '../core.ts'`],
    ['packages/broker/src/core/a.ts', `export const x = 1`],
    ['packages/broker/src/core/cellar/a.ts', `export const x = 1`],
  ],
  [
    ['packages/broker/src/core/session/a.ts', `import { x } from '../base/b.ts'\nimport { y } from './c.ts'`],
    ['packages/broker/src/core/core.ts', `import { x } from './connection/b.ts'`],
    ['packages/broker/src/core/base/a.test.ts', `import { x } from '../core.ts'`],
  ],
)

rule(
  rules.noCircles,
  'no circles',
  [
    ['packages/client/src/a.ts', `import { x } from './a.ts'`],
    ['packages/broker/src/core/base/a.ts', `import type { X } from './a.ts'`],
  ],
  [
    ['packages/client/src/a.ts', `import type { X } from './a.ts'\nimport { type Y } from './a.ts'`],
    ['packages/client/src/a.test.ts', `import { x } from './a.test.ts'`],
  ],
)

test('a circle of several files is told once, and only that of a connection may be', () => {
  const circle = (folder, names) =>
    names.map((name, i) => ({
      path: `packages/broker/src/${folder}/${name}.ts`,
      text: `import type { X } from './${names[(i + 1) % names.length]}.ts'\nimport { y } from './z.ts'`,
    }))
  const connection = ['connection', 'handle-auth', 'handle-connect', 'handle-publish', 'handle-subscribe']
  assert.equal(rules.noCircles(circle('core/session', ['a', 'b', 'c'])).length, 1)
  assert.equal(rules.noCircles(circle('adapters', ['a', 'b', 'c'])).length, 0)
  assert.equal(rules.noCircles(circle('core/connection', connection)).length, 0)
  assert.equal(rules.noCircles(circle('core/connection', [...connection, 'handle-more'])).length, 1)
  assert.equal(rules.noCircles(circle('core/connection', ['connection', 'outbox'])).length, 1)
})

rule(
  rules.onlyBrokerJoins,
  'only broker.ts joins core and adapters',
  [
    ['packages/broker/src/hooks.ts', `import { a } from './core/a.ts'\nimport { b } from './adapters/b.ts'`],
    ['packages/broker/src/core/a.ts', `import { b } from '../adapters/b.ts'`],
    ['packages/broker/src/mod.ts', `import { a } from './core/a.ts'\nimport { b } from './adapters/b.ts'`],
  ],
  [
    ['packages/broker/src/broker.ts', `import { a } from './core/a.ts'\nimport { b } from './adapters/b.ts'`],
    ['packages/broker/src/mod.ts', `export { a } from './core/a.ts'\nexport { b } from './adapters/b.ts'`],
    ['packages/broker/src/hooks.ts', `import { a } from './core/a.ts'`],
  ],
)

rule(
  rules.packagesAreLayered,
  'packages import only those below them',
  [
    ['packages/client/src/a.ts', `import { x } from '@recado/broker'`],
    ['packages/broker/src/a.ts', `import { x } from '@recado/client'`],
    ['packages/broker/src/a.ts', `import { x } from '../../protocol/src/mod.ts'`],
    ['packages/recado/src/a.ts', `import { x } from '@recado/testkit'`],
    ['packages/broker/src/a.ts', `import { x } from '@recado/protocol/wire-cases'`],
  ],
  [
    ['packages/recado/src/a.ts', `import { x } from '@recado/client'`],
    ['packages/recado/src/a.test.ts', `import { x } from '@recado/testkit'`],
    ['packages/protocol/src/a.test.ts', `import { x } from './wire-cases.ts'`],
  ],
)

rule(
  rules.filesAreShort,
  'files stay under 700 lines',
  [['packages/broker/src/a.ts', 'x\n'.repeat(701)]],
  [
    ['packages/broker/src/a.ts', 'x\n'.repeat(700)],
    ['packages/broker/src/a.test.ts', 'x\n'.repeat(2000)],
  ],
)

rule(
  rules.filesHaveHeaders,
  'source files begin with a header comment',
  [
    ['packages/broker/src/a.ts', `import { x } from './b.ts'\n${header}`],
    ['packages/broker/src/a.ts', '// a\nexport const a = 1'],
    ['tools/a.mjs', 'export {}'],
  ],
  [
    ['packages/broker/src/a.ts', `${header}export const a = 1`],
    ['tools/a.mjs', `#!/usr/bin/env node\n${header}`],
    ['packages/broker/src/a.test.ts', ''],
  ],
)

rule(
  rules.noRegistryHosts,
  'no package registry is named',
  [
    ['README.md', `see https://${['registry', 'npmjs', 'org'].join('.')}/recado`],
    ['package-lock.json', `{\n"resolved": "https://example.test/a.tgz"\n}`],
  ],
  [['package-lock.json', `{ "resolved": "packages/broker", "link": true }`]],
)

rule(
  patternsAreLinear,
  'regular expressions of what is shipped are linear',
  [
    // The one that stopped the broker for 8 s with one HTTP request, and its relatives.
    ['packages/broker/src/a.ts', String.raw`const p = /^([\w-]+):[ \t]*([^\x00-\x08]*?)[ \t]*$/`],
    ['packages/recado/src/a.ts', String.raw`const p = line.replace(/\s+$/, '')`],
    ['packages/client/src/a.ts', String.raw`const p = /^a+a+$/.test(text)`],
    ['packages/client/src/a.ts', String.raw`const p = /^(?:a+)+$/.test(text)`],
    ['packages/client/src/a.ts', String.raw`const p = /^(?:a|a)*b/.test(text)`],
    ['packages/client/src/a.ts', String.raw`const p = /^(?:.*,)*.*;$/.test(text)`],
    ['packages/client/src/a.ts', String.raw`const p = /^(a*)\1*b/.test(text)`],
    ['packages/client/src/a.ts', String.raw`const p = /^a*(?=b)/.test(text)`],
    ['packages/client/src/a.ts', 'const p = new RegExp(`^${word}$`)'],
  ],
  [
    ['packages/broker/src/a.ts', String.raw`const p = /^(--[\w-]+)=(.*)$/.exec(text)`],
    ['packages/broker/src/a.ts', String.raw`const half = a / b / c // /a+a+$/`],
    ['packages/broker/src/a.ts', String.raw`const text = '/a+a+$/'`],
    ['packages/broker/src/a.test.ts', String.raw`assert.match(text, /a+a+$/)`],
    ['packages/testkit/src/a.ts', String.raw`const p = /a+a+$/`],
  ],
)

test('regular expressions are found, with their flags and lines', () => {
  const text = String.raw`const a = /[/"]\/b/gi` + '\n// /c+/\nf(/d/, `${x / y} / z`)\n'
  assert.deepEqual(patternsOf(text), [
    { pattern: String.raw`[/"]\/b`, flags: 'gi', line: 1 },
    { pattern: 'd', flags: '', line: 3 },
  ])
  const count = repository
    .filter(({ path }) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path) && !rules.isTest(path))
    .reduce((sum, { text }) => sum + patternsOf(text).length, 0)
  assert.ok(count > 60, `only ${count} patterns are found in the repository`)
})

test('the lexer blanks comments, text and patterns, and keeps code inside templates', () => {
  assert.equal(blank(`a // b\nc`), `a     \nc`)
  assert.equal(blank(`a /* b\n */ c`), `a     \n    c`)
  assert.equal(blank(`f('it\\'s') + g`), `f('     ') + g`)
  assert.equal(blank('`a ${b + `c ${d}`} e` + f'), '`  ${b + `  ${d}`}  ` + f')
  assert.equal(blank('`${{ a: 1 }.a} x`'), '`${{ a: 1 }.a}  `')
  assert.equal(blank(`x = /a['"\\/]b/g; y`), `x = /        /g; y`)
  assert.equal(blank(`a / b / c`), `a / b / c`)
})

test('imports are found in all their forms', () => {
  const text = `import a, { b } from "x"\nimport 'y'\nexport * from './z.ts'\nconst l = () => import('w')\n// from 'no'`
  assert.deepEqual(
    importsOf(text).map(({ specifier, line }) => `${line} ${specifier}`),
    ['1 x', '2 y', '3 ./z.ts', '4 w'],
  )
})

test('a header is the comment that the file begins with', () => {
  assert.equal(headerOf('#!/bin/x\n/* a */ b'), '/* a */')
  assert.equal(headerOf('// a\n// b\nc'), '// a\n// b\n')
  assert.equal(headerOf('c // a'), '')
})
