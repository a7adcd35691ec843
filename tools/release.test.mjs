/* The release script: versions, changelog, and what it refuses. Nothing is written here. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isAfter, isVersion, lockWithVersion, releasedChangelog, unreleased, withVersion } from './lib/release.mjs'
import { root } from './lib/workspace.mjs'

const release = (...args) =>
  spawnSync(process.execPath, [join(root, 'tools/release.mjs'), ...args], { cwd: root, encoding: 'utf8' })

test('versions are compared as semantic versioning does', () => {
  const inOrder = ['0.1.0', '0.2.0-alpha', '0.2.0-rc.1', '0.2.0-rc.2', '0.2.0-rc.10', '0.2.0', '0.10.0', '1.0.0']
  for (const [i, version] of inOrder.entries()) {
    assert.ok(isVersion(version))
    for (const [j, other] of inOrder.entries()) assert.equal(isAfter(version, other), i > j, `${version}, ${other}`)
  }
  for (const text of ['', '1.2', 'v1.2.3', '1.2.3-', '1.2.3+build']) assert.ok(!isVersion(text), text)
})

test('unreleased changes become those of the version, below an empty section', () => {
  const before = '# Changelog\n\n## Unreleased\n\n- One.\n\n## 0.1.0, 2026-01-01\n\n- Old.\n'
  assert.equal(unreleased(before), '- One.')
  const after = releasedChangelog(before, '0.2.0', '2026-02-03')
  assert.equal(unreleased(after), '')
  assert.match(after, /## Unreleased\n\n## 0\.2\.0, 2026-02-03\n\n- One\.\n\n## 0\.1\.0/)
})

test('a manifest gets the version, and exactly that of our other packages', () => {
  const manifest = {
    name: 'recado',
    version: '0.1.0',
    dependencies: { '@recado/client': '0.1.0', ws: '8.0.0' },
    devDependencies: { recado: '*' },
  }
  assert.deepEqual(withVersion(manifest, '0.2.0'), {
    name: 'recado',
    version: '0.2.0',
    dependencies: { '@recado/client': '0.2.0', ws: '8.0.0' },
    devDependencies: { recado: '*' },
  })
})

test('the lock file gets the version, and other packages keep theirs', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const next = lockWithVersion(lock, '99.0.0')
  assert.equal(next.version, '99.0.0')
  assert.equal(next.packages['packages/recado'].version, '99.0.0')
  assert.equal(next.packages['packages/recado'].dependencies['@recado/broker'], '99.0.0')
  assert.deepEqual(next.packages['node_modules/ws'], lock.packages['node_modules/ws'])
})

test('--help prints the usage; a wrong call says what to write, and exits with 2', () => {
  assert.match(release('--help').stdout, /^Usage: npm run release/)
  for (const [args, text] of [
    [[], /^Usage/],
    [['next'], /"next" is no version/],
    [['99.0.0'], /--repository must be an https URL/],
    [['99.0.0', '--unknown'], /Unknown option[\s\S]*Usage/],
  ]) {
    const { status, stderr } = release(...args)
    assert.match(stderr, text)
    assert.equal(status, 2)
  }
})

test('--dry-run prints the changes and writes nothing', () => {
  const paths = ['package.json', 'CHANGELOG.md', 'packages/broker/package.json']
  const before = paths.map((path) => readFileSync(join(root, path), 'utf8'))
  const { stdout, stderr } = release('99.0.0', '--repository', 'https://example.com/recado', '--dry-run')
  // In a checkout with changes it also lists what is in the way, on stderr.
  assert.match(stdout, /package\.json\n {2}\+ "version": "99\.0\.0"/, stderr)
  assert.match(stdout, /CHANGELOG\.md\n {2}\+ ## 99\.0\.0, \d{4}-\d\d-\d\d/)
  assert.deepEqual(
    paths.map((path) => readFileSync(join(root, path), 'utf8')),
    before,
  )
  const old = release('0.0.1', '--repository', 'https://example.com/recado', '--dry-run')
  assert.match(old.stderr, /0\.0\.1 does not come after/)
  assert.equal(old.status, 1)
})
