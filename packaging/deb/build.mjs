/*
 * `npm run deb -- [--arch amd64|arm64|all] [--out FOLDER] [--quick]`: makes the Debian packages, without root.
 *
 * A package brings its own Node, so that it installs on any Debian, Ubuntu or Raspberry Pi OS with glibc 2.28 or newer.
 * --quick compresses with gzip at its fastest: for tests. Needs dpkg-deb, and npm's registry for the runtime.
 *
 * Invariants: the same commit gives the same bytes (times are those of the commit, owners are root, the compressor has
 * one thread); nothing of the tests is in it.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureBuilt, ensureInstalled, root, run, runTool, ToolError } from '../../tools/lib/workspace.mjs'
import { architectures, ownArchitecture } from '../lib/architectures.mjs'

const usage = `Usage: npm run deb -- [--arch ARCHITECTURE] [--out FOLDER] [--quick]

  --arch ARCHITECTURE  ${Object.keys(architectures).join(', ')} or all (default: that of this machine)
  --out FOLDER         where (default: packed)
  --quick              compress less: for tests
  --help               print this text`

/** Seconds since the Unix epoch of the commit, or of SOURCE_DATE_EPOCH. */
function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH
  if (given !== undefined) {
    if (!/^\d+$/.test(given)) throw new ToolError(`SOURCE_DATE_EPOCH "${given}": it must be seconds since 1970`, 2)
    return Number(given)
  }
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' })
  if (status === 0 && /^\d+\s*$/.test(stdout)) return Number(stdout)
  throw new ToolError('This is no git checkout: set SOURCE_DATE_EPOCH to the time of the sources')
}

/** Makes one package. Returns its path. */
export async function buildDeb(architecture, out, isQuick) {
  // Loads compiled code of the program, so only now that it is built.
  const { fillPackage, debVersion } = await import('./contents.mjs')
  const epoch = sourceDate()
  mkdirSync(out, { recursive: true })
  const scratch = mkdtempSync(join(tmpdir(), 'recado-deb-'))
  try {
    const folder = join(scratch, 'package')
    mkdirSync(folder, { mode: 0o755 })
    await fillPackage(folder, architecture, new Date(epoch * 1000))
    const file = `recado_${debVersion}_${architecture}.deb`
    const compression = isQuick ? ['-Zgzip', '-z1'] : ['-Zxz', '-z6', '--threads-max=1']
    run('dpkg-deb', ['--root-owner-group', ...compression, '--build', folder, join(scratch, file)], {
      what: 'dpkg-deb (of the Debian package dpkg)',
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
      stdio: ['ignore', 'ignore', 2],
    })
    run('mv', [join(scratch, file), join(out, file)])
    return join(out, file)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function main() {
  const options = {
    arch: { type: 'string' },
    out: { type: 'string' },
    quick: { type: 'boolean' },
    help: { type: 'boolean' },
  }
  const { values } = parseArgs({ options })
  if (values.help) {
    console.log(usage)
    return
  }
  const wanted = values.arch ?? ownArchitecture
  const names = wanted === 'all' ? Object.keys(architectures) : [wanted]
  for (const name of names) {
    if (architectures[name] === undefined) {
      throw new ToolError(`--arch ${name}: there is ${Object.keys(architectures).join(', ')} and all`, 2)
    }
  }
  ensureInstalled()
  await ensureBuilt()
  for (const name of names) {
    const path = await buildDeb(name, resolve(values.out ?? 'packed'), values.quick ?? false)
    console.log(`${path} ${(statSync(path).size / 1e6).toFixed(1)} MB`)
  }
}

if (import.meta.filename === process.argv[1]) await runTool(main)
