/*
 * `npm run pack -- [--repository URL] [--out FOLDER]`: builds everything and makes the tarballs of the packages that
 * are published, as they go to a registry (`npm publish FILE`). In a package's own folder `npm pack` and `npm publish`
 * make the same: `prepack` and `postpack` call this with --begin and --end.
 *
 * A published package differs from the workspace: no entry for files that are not shipped (`./testing`,
 * `./wire-cases`), no scripts, no development dependencies; `repository`, `homepage` and `bugs` are those of
 * --repository (or RECADO_REPOSITORY), and without it a placeholder.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { buildBrowser } from './build-browser.mjs'
import { buildCommonJs } from './build-commonjs.mjs'
import { ensureBundle } from './lib/bundle.mjs'
import { checkRepository, published, root, run, runTool } from './lib/workspace.mjs'

const unshipped = ['./testing', './wire-cases']
const SAVED = 'package.json.before-pack'

/** Manifest as it is published. `repository` is an https URL. */
export function publishedManifest(manifest, repository) {
  const { scripts: _scripts, devDependencies: _development, ...rest } = manifest
  const exports = Object.fromEntries(Object.entries(rest.exports).filter(([entry]) => !unshipped.includes(entry)))
  if (repository === undefined) return { ...rest, exports }
  const page = repository.replace(/(?:\.git)?\/?$/, '')
  return {
    ...rest,
    exports,
    repository: { ...rest.repository, url: `git+${page}.git` },
    homepage: page,
    bugs: { url: `${page}/issues` },
  }
}

const readManifest = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const writeManifest = (folder, manifest) =>
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)

/** Removes files that a deleted source has left in dist. */
function removeStale(name) {
  const dist = join(root, 'packages', name, 'dist')
  for (const path of readdirSync(dist, { recursive: true })) {
    const match = /^(?!(?:browser|browser-cjs|react-native|cjs|dashboard)[/\\])(.*?)\.(?:js|d\.ts)$/.exec(path)
    if (match !== null && !existsSync(join(root, 'packages', name, 'src', `${match[1]}.ts`))) rmSync(join(dist, path))
  }
}

/** Builds all files of the packages that are shipped. */
export async function buildForPacking() {
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], { what: 'The build' })
  for (const name of published) removeStale(name)
  await buildBrowser()
  await buildCommonJs()
  await ensureBundle()
}

/** Makes the tarballs in `out`, from copies, so that the workspace stays as it is. Returns their paths by package. */
export function packAll(out, repository) {
  mkdirSync(out, { recursive: true })
  const staging = join(out, 'staging')
  const tarballs = {}
  for (const name of published) {
    const folder = join(staging, name)
    cpSync(join(root, 'packages', name), folder, {
      recursive: true,
      filter: (path) => !/[/\\](?:node_modules|src|data(?:-\d+)?)$/.test(path),
    })
    const manifest = publishedManifest(readManifest(folder), repository)
    writeManifest(folder, manifest)
    // npm prints the name of the tarball, which the caller knows.
    const quiet = { stdio: ['ignore', 'ignore', 2] }
    run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', out], {
      what: 'npm pack',
      cwd: folder,
      ...quiet,
    })
    tarballs[name] = join(out, `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`)
  }
  rmSync(staging, { recursive: true, force: true })
  return tarballs
}

/** Begins packing in the folder of a package. */
async function begin(folder, repository) {
  // Left by a run that was killed.
  if (existsSync(join(folder, SAVED))) end(folder)
  await buildForPacking()
  const text = readFileSync(join(folder, 'package.json'), 'utf8')
  writeFileSync(join(folder, SAVED), text)
  writeManifest(folder, publishedManifest(JSON.parse(text), repository))
}

function end(folder) {
  if (existsSync(join(folder, SAVED))) renameSync(join(folder, SAVED), join(folder, 'package.json'))
}

async function main() {
  const options = {
    repository: { type: 'string' },
    out: { type: 'string' },
    begin: { type: 'boolean' },
    end: { type: 'boolean' },
  }
  const { values } = parseArgs({ options })
  const repository = values.repository ?? process.env.RECADO_REPOSITORY
  if (repository !== undefined) checkRepository(repository)
  if (values.begin) await begin(process.cwd(), repository)
  else if (values.end) end(process.cwd())
  else {
    if (repository === undefined)
      console.error('No --repository: the packages name https://example.com/recado, which is nobody’s.')
    await buildForPacking()
    for (const path of Object.values(packAll(resolve(values.out ?? 'packed'), repository))) console.log(basename(path))
  }
}

if (import.meta.filename === process.argv[1]) await runTool(main)
