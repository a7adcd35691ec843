/*
 * The Debian package of this machine's architecture for tests, built once in a run of `npm test`.
 *
 * The tests of the package and those of the machines that install it call it. tools/test.mjs names a folder that the files
 * of one run share, in RECADO_TEST_SHARED; a test file that is run alone builds its own. Invariant: whoever comes while
 * another builds waits for it (flock), and nothing of it outlives the run.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from '../../tools/lib/workspace.mjs'
import { buildDeb } from '../deb/build.mjs'
import { ownArchitecture } from './architectures.mjs'

/** Returns the path of the package. @param scratch folder for it where none is shared */
export async function debForTests(scratch) {
  const shared = process.env.RECADO_TEST_SHARED
  if (shared === undefined || spawnSync('flock', ['--version']).status !== 0)
    return buildDeb(ownArchitecture, scratch, true)
  const build = [process.execPath, join(root, 'packaging', 'deb', 'build.mjs'), '--quick', '--out', shared]
  const unlessThere = 'folder=$1; shift; ls "$folder"/*.deb >/dev/null 2>&1 || exec "$@"'
  run('flock', [join(shared, 'deb.lock'), 'sh', '-c', unlessThere, 'sh', shared, ...build], {
    what: 'The Debian package',
    stdio: ['ignore', 'ignore', 2],
  })
  const name = readdirSync(shared).find((each) => each.endsWith('.deb'))
  return join(shared, name)
}
