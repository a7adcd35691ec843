/*
 * The files of the image, made of the Debian package as the Dockerfile makes them, and run as a container would run them
 * (try.sh): below another root that is read-only, as several users, with Mosquitto's paths and names.
 *
 * Needs root, namespaces and busybox-static; no container engine.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownArchitecture } from '../lib/architectures.mjs'
import { canLayer } from '../lib/layer.mjs'
import { debForTests } from '../lib/once.mjs'

/** Whether busybox is there and needs no libraries, which the image would lack. */
function hasStaticBusybox() {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', 'ldd "$(command -v busybox)"'], { encoding: 'utf8' })
  return spawnSync('busybox').error === undefined && (status !== 0 || /static/.test(`${stdout}${stderr}`))
}

function reasonToSkip() {
  if (process.platform !== 'linux' || ownArchitecture === undefined) return 'images are made on Debian'
  if (!canLayer) return 'it needs root and namespaces'
  return hasStaticBusybox() ? false : 'busybox-static is not installed'
}

test('the image serves as one of eclipse-mosquitto does, as root at first, as PUID, and never as root', {
  skip: reasonToSkip(),
}, async (context) => {
  const scratch = mkdtempSync(join(tmpdir(), 'recado-image-'))
  context.after(() => rmSync(scratch, { recursive: true, force: true }))
  const run = (command, ...args) => {
    const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
    assert.ifError(error)
    assert.equal(status, 0, `${stdout}${stderr}`)
    return stdout
  }
  const image = join(scratch, 'image')
  run('sh', join(import.meta.dirname, 'image.sh'), await debForTests(scratch), image)
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--net']
  const text = run('unshare', ...namespaces, 'sh', join(import.meta.dirname, 'try.sh'), image)
  assert.match(text, /^- user 1883:1883: never is root$/m)
  assert.match(text, /^the image works$/m)
})
