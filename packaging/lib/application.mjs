/*
 * The application as an operating system's package has it: the program's bundle (`tools/lib/bundle.mjs`), and beside it
 * those parts of the modules outside of the bundle that are loaded.
 *
 * `deb/build.mjs` calls it. The result is a folder `node_modules` in which Node finds everything as it does in an
 * installation by npm, so that the program needs no other code for it. What is loaded is asked of esbuild, which follows
 * every `require`; what it cannot follow is named in `extras`.
 *
 * Invariant: files of dependencies are those that package-lock.json names.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'
import { bundledPackages, bundleFolder, ensureBundle, unused } from '../../tools/lib/bundle.mjs'
import { licensed, packageOf } from '../../tools/lib/foreign-code.mjs'
import { root, ToolError } from '../../tools/lib/workspace.mjs'
import { publishedManifest } from '../../tools/pack.mjs'
import { architectures } from './architectures.mjs'
import { unpackFromRegistry } from './registry.mjs'

/** Files that are loaded by a path that only the running program knows. */
const extras = {
  'node-sqlite3-wasm': /^dist\/node-sqlite3-wasm\.(?:js|wasm)$/,
  'node-unix-socket': /^js\/.*\.js$/,
}

const lockFile = () => JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to)
}

/** Copies the program: its manifest, its entry and its bundle. */
async function copyProgram(modules, interpreter) {
  await ensureBundle()
  const source = join(root, 'packages', 'recado')
  const manifest = publishedManifest(JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')))
  const target = join(modules, manifest.name)
  cpSync(bundleFolder, join(target, 'bundle'), { recursive: true })
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  mkdirSync(join(target, 'bin'))
  copy(join(source, 'bin', 'package.json'), join(target, 'bin', 'package.json'))
  const program = readFileSync(join(source, 'bin', 'recado.js'), 'utf8')
  writeFileSync(join(target, 'bin', 'recado.js'), program.replace(/^#!.*/, `#!${interpreter}`))
  chmodSync(join(target, 'bin', 'recado.js'), 0o755)
}

/** Paths of all files outside of the bundle that the program can load, relative to the root. */
async function loadedFiles() {
  const { metafile } = await build({
    // The others are in `extras`: no import leads to them.
    stdin: { contents: "require('lmdb'); require('ws')", resolveDir: join(root, 'packages', 'recado') },
    absWorkingDir: root,
    bundle: true,
    metafile: true,
    write: false,
    outdir: 'unused',
    platform: 'node',
    format: 'cjs',
    logLevel: 'error',
    external: [...unused, '*.node'],
  })
  return Object.keys(metafile.inputs).filter((path) => path.includes('node_modules/'))
}

/** Where a package of the workspace's tree stands in the application: below the package that has it. */
const placed = (folder) => folder.replace(/^packages\/([^/]+)\//, (_, name) => `node_modules/${manifestName(name)}/`)
const manifestName = (name) => JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')).name

/**
 * Makes `node_modules` in a folder.
 * @param architecture Debian's name
 * @param interpreter path of the runtime on the machine where the package is installed, for the first line of recado.js
 * @returns dependencies with name, version, licence and the text of the licence, for the copyright file and the SBOM
 */
export async function assembleApplication(folder, architecture, interpreter) {
  const { lmdb, datagrams } = architectures[architecture]
  const lock = lockFile()
  const modules = join(folder, 'node_modules')
  await copyProgram(modules, interpreter)
  const files = new Map()
  const add = (packageFolder, file) => {
    if (!files.has(packageFolder)) files.set(packageFolder, new Set(['package.json']))
    files.get(packageFolder).add(file)
  }
  for (const path of await loadedFiles()) {
    const { folder: found, file } = packageOf(path)
    add(found, file)
  }
  for (const [name, pattern] of Object.entries(extras)) {
    const found = `node_modules/${name}`
    if (datagrams === null && name === 'node-unix-socket') continue
    if (!existsSync(join(root, found))) throw new ToolError(`${found} is missing: run npm ci`)
    for (const file of readdirSync(join(root, found), { recursive: true })) if (pattern.test(file)) add(found, file)
  }
  const parts = (await bundledPackages()).map((found) => ({ ...part(found, lock[found]), isBundled: true }))
  for (const [found, names] of [...files].sort()) {
    for (const name of [...names].sort()) copy(join(root, found, name), join(folder, placed(found), name))
    parts.push(part(found, lock[found]))
  }
  const natives = datagrams === null ? [lmdb] : [lmdb, datagrams]
  for (const name of natives) {
    const entry = lock[`node_modules/${name}`]
    if (entry === undefined) throw new ToolError(`package-lock.json has no ${name}`)
    const binary = name === lmdb ? 'node.napi.glibc.node' : `${name.replace(/-linux/, '.linux')}.node`
    const target = join(modules, name)
    mkdirSync(target, { recursive: true })
    const members = ['package.json', binary, ...(name === lmdb ? ['index.js'] : [])]
    unpackFromRegistry(name, entry, target, members)
    chmodSync(join(target, binary), 0o644)
    const base = name === lmdb ? 'lmdb' : 'node-unix-socket'
    parts.push({ ...part(`node_modules/${base}`, entry), name })
  }
  return parts.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function part(folder, entry) {
  const { manifest, licenseText } = licensed(folder)
  return {
    name: manifest.name,
    version: entry.version,
    license: entry.license ?? manifest.license,
    integrity: entry.integrity ?? null,
    licenseText,
    file: basename(folder),
  }
}
