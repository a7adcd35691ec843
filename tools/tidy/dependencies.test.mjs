/* docs/adr/0002-dependencies.md names every dependency, with its licence; and nothing that is not one. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../lib/workspace.mjs'

const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const manifests = [
  'package.json',
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/package.json`),
]
  .filter((path) => existsSync(join(root, path)))
  .map(readJson)

const isOurs = (name) => name === 'recado' || name.startsWith('@recado/')

/** Names of the packages of somebody else's that the workspace asks for, under these keys. */
function asked(...keys) {
  const names = manifests.flatMap((manifest) => keys.flatMap((key) => Object.keys(manifest[key] ?? {})))
  return [...new Set(names)].filter((name) => !isOurs(name)).sort()
}

/** Names in the first column of the tables below a heading, and the licence beside each. */
function listed(heading) {
  const page = readFileSync(join(root, 'docs/adr/0002-dependencies.md'), 'utf8')
  const section = page.split(/^## /m).find((each) => each.startsWith(heading))
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  return rows.flatMap((row) => {
    const [, packages, ...cells] = row.split('|').map((cell) => cell.trim())
    return [...packages.matchAll(/`([^`]+)`/g)].map(([, name]) => ({ name, cells }))
  })
}

const namesOf = (rows) => [...new Set(rows.map(({ name }) => name))].sort()

test('every dependency is in docs/adr/0002-dependencies.md, and nothing else is', () => {
  assert.deepEqual(namesOf(listed('Run time')), asked('dependencies', 'peerDependencies', 'optionalDependencies'))
  const development = asked('devDependencies')
  const others = namesOf(listed('Development')).filter((name) => !development.includes(name))
  assert.deepEqual(
    development.filter((name) => !namesOf(listed('Development')).includes(name)),
    [],
  )
  // What is a dependency of a package may be named here as well.
  assert.deepEqual(
    others.filter((name) => !asked('dependencies', 'peerDependencies').includes(name)),
    [],
  )
})

test('the licence of every dependency is the one that the list says', () => {
  for (const { name, cells } of [...listed('Run time'), ...listed('Development')]) {
    const { license } = readJson(`node_modules/${name}/package.json`)
    assert.ok(
      cells.includes(license),
      `${name} is under ${license}, docs/adr/0002-dependencies.md says "${cells.join(' | ')}"`,
    )
  }
})

test('all that is installed at run time is under a licence that asks for no more than its text', () => {
  const allowed = new Set(['MIT', 'Apache-2.0', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause'])
  const { packages } = readJson('package-lock.json')
  const others = Object.entries(packages)
    .filter(([path, entry]) => path.startsWith('node_modules/') && !entry.dev && !entry.link)
    .filter(([, entry]) => !allowed.has(entry.license))
  assert.deepEqual(
    others.map(([path, { license }]) => `${path}: ${license}`),
    [],
  )
})
