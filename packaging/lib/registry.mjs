/*
 * Packages of npm that the tree of this machine does not have: the runtime and the binaries of another architecture.
 *
 * They come through npm's own client and cache. Invariant: what is used has the SHA-512 that a lock file of this
 * repository names; a registry that serves something else ends the build.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, ToolError } from '../../tools/lib/workspace.mjs'

/** Unpacks `name` in the version of the lock file's entry into `folder`, only the named members. */
export function unpackFromRegistry(name, entry, folder, members) {
  const scratch = mkdtempSync(join(tmpdir(), 'recado-npm-'))
  try {
    const spec = `${name}@${entry.version}`
    run('npm', ['pack', '--silent', '--prefer-offline', '--pack-destination', scratch, spec], {
      what: `npm pack ${spec}`,
      cwd: scratch,
      stdio: ['ignore', 'ignore', 2],
    })
    const tarball = join(scratch, `${name.replace('@', '').replace('/', '-')}-${entry.version}.tgz`)
    const [kind, wanted] = entry.integrity.split(/-(.*)/s)
    const found = createHash(kind).update(readFileSync(tarball)).digest('base64')
    if (found !== wanted) {
      throw new ToolError(`${spec}: the registry's tarball has ${kind} ${found}, the lock file has ${wanted}`)
    }
    const paths = members.map((member) => `package/${member}`)
    run('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1', '--no-same-owner', ...paths], {
      what: `Unpacking ${spec}`,
    })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
