/*
 * Packages of an example that has a lock file of its own (docs/adr/0020-examples-with-packages-of-their-own.md): installed
 * by its test when they are not those of the lock file.
 */
import { spawnSync } from 'node:child_process'
import { relative } from 'node:path'
import { installNeeded, root } from './workspace.mjs'

/** Installs what an example needs. Returns false, or why it cannot be, for `skip`; throws that when CI=true. */
export function installExample(folder) {
  if (installNeeded(folder, { dev: false }) === null) return false
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline']
  const args = ['ci', '--omit=dev', '--ignore-scripts', ...quiet]
  const { status, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8', timeout: 600_000 })
  if (status === 0) return false
  const what = relative(root, folder)
  if (process.env.CI === 'true') throw new Error(`npm ci in ${what}: ${stderr}`)
  return `the packages of ${what} cannot be installed here: ${stderr.trim().split('\n')[0]}`
}
