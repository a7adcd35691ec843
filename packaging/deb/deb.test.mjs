/*
 * The Debian package of this machine's architecture: what is in it, what lintian, mandoc and systemd say about it, and
 * its whole life, from installation to purge, in a layer above this Debian that is thrown away.
 *
 * Needs root for the last one (user namespaces have no maintainer scripts), and the registry for the runtime.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { findPeer } from '@recado/testkit'
import { root } from '../../tools/lib/workspace.mjs'
import { architectures, ownArchitecture } from '../lib/architectures.mjs'
import { canLayer } from '../lib/layer.mjs'
import { debForTests } from '../lib/once.mjs'
import { successor, tryIn } from './try.mjs'

const isDebian = process.platform === 'linux' && spawnSync('dpkg-deb', ['--version']).status === 0
const skip = !isDebian || ownArchitecture === undefined ? 'Debian packages are made and tried on Debian' : false
const skipWithout = (name) => skip || (findPeer(name).skip ?? false)
const BYTES_MAX = 60e6

const scratch = mkdtempSync(join(tmpdir(), 'recado-deb-test-'))
let deb = ''

before(async () => {
  if (skip === false) deb = await debForTests(scratch)
})
after(() => rmSync(scratch, { recursive: true, force: true }))

function output(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64e6, ...options })
  assert.ifError(error)
  return { status, text: `${stdout}${stderr}` }
}

test('the package has what runs and nothing of the tests, in at most 60 MB', { skip }, () => {
  assert.ok(statSync(deb).size <= BYTES_MAX, `${statSync(deb).size} bytes`)
  const files = output('dpkg-deb', ['-c', deb])
    .text.split('\n')
    .map((line) => line.split(' ./')[1] ?? '')
  assert.deepEqual(
    files.filter((path) =>
      /\.test\.|(?<!recado\/bundle\/[^/]*)\.map$|\.ts$|\/testing\/|testkit|\/browser\/|musl|abi\d|\.c$|\.h$/.test(path),
    ),
    [],
  )
  const natives = files.filter((path) => path.endsWith('.node'))
  assert.deepEqual(
    natives.map((path) => path.split('node_modules/')[1].split('/')[0]).sort(),
    ownArchitecture === 'amd64' ? ['@lmdb', 'node-unix-socket-linux-x64-gnu'] : ['@lmdb'],
  )
  for (const path of [
    'usr/bin/recado -> ../lib/recado/node_modules/recado/bin/recado.js',
    'usr/share/man/man5/recado.conf.5.gz',
    'usr/share/man/man1/recado-pub.1.gz',
    'usr/lib/systemd/system/recado.service',
  ]) {
    assert.ok(files.includes(path), path)
  }
})

/** Version of the runtime that lintian has seen; it looks at those 120 MB for two thirds of its time. */
const RUNTIME_SEEN = '24.22.3'

/** Path of a package with a small program in place of the runtime, unless it is one that lintian has not seen. */
function forLintian() {
  const { runtime } = architectures[ownArchitecture]
  const lock = JSON.parse(readFileSync(join(root, 'packaging/runtime/package-lock.json'), 'utf8'))
  if (lock.packages[`node_modules/${runtime}`].version !== RUNTIME_SEEN) return deb
  const folder = join(scratch, 'for-lintian')
  assert.equal(output('dpkg-deb', ['-R', deb, folder]).status, 0)
  const program = 'usr/lib/recado/node'
  copyFileSync('/bin/true', join(folder, program))
  const sums = join(folder, 'DEBIAN', 'md5sums')
  const sum = createHash('md5').update(readFileSync('/bin/true')).digest('hex')
  const text = readFileSync(sums, 'utf8').replace(/^\S+ {2}usr\/lib\/recado\/node$/m, `${sum}  ${program}`)
  writeFileSync(sums, text)
  const path = join(scratch, 'for-lintian.deb')
  assert.equal(output('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '-b', folder, path]).status, 0)
  rmSync(folder, { recursive: true })
  return path
}

test('lintian finds nothing, beside what the overrides explain', { skip: skipWithout('lintian') }, () => {
  const { status, text } = output('lintian', ['--allow-root', '--fail-on', 'error,warning', forLintian()])
  assert.equal(text.trim(), '')
  assert.equal(status, 0)
})

test('the manual pages are good roff', { skip: skipWithout('mandoc') }, () => {
  const folder = join(scratch, 'pages')
  assert.equal(output('dpkg-deb', ['-x', deb, folder]).status, 0)
  const { text } = output(
    'sh',
    ['-c', 'for page in usr/share/man/man*/*.gz; do zcat "$page" | mandoc -T lint -W warning; done'],
    {
      cwd: folder,
    },
  )
  assert.equal(text, '')
})

const trySkip = skipWithout('systemd-analyze') || (canLayer ? false : 'maintainer scripts need root and namespaces')

test('it is installed, started, upgraded with its sessions, removed and purged', { skip: trySkip }, () => {
  const { status, text } = tryIn('/', deb, successor(deb, scratch), scratch, 'pipe')
  assert.equal(status, 0, text)
  assert.match(text, /^all steps passed$/m)
})
