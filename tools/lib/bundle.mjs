/*
 * The bundle of the program: `packages/recado/bundle`, what `bin/recado.js` runs where it is there and not older than the
 * compiled code. It starts in half the time that 350 modules need, and with a quarter less memory.
 *
 * `ensureBuilt` (npm start, npm test) makes it in the checkout, `pack.mjs` and `packaging/lib/application.mjs` for what is
 * published. Commands and features that a run does not use are files of their own, as dynamic imports divide them; what
 * nearly every run needs is joined again (`packs.mjs`). They are CommonJS, since Node's loader of ES modules costs more
 * than the rest of `recado pub`. Names of functions stay, and a map leads each line of a stack back to its source
 * (`stack.ts`).
 *
 * The dashboard, which the broker serves, is in it too. Invariant: everything is in it but the modules of `outside`, which are installed beside it.
 */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { dashboardFolder, ensureDashboard } from '../build-dashboard.mjs'
import { foreignPackages, licensed } from './foreign-code.mjs'
import { packed } from './packs.mjs'
import { published, root } from './workspace.mjs'

/** Modules that are loaded from `node_modules`: they have binaries, or are loaded by a name that only Node follows. */
export const outside = ['lmdb', 'ws', 'node-unix-socket', 'node-sqlite3-wasm']
/** Optional peers, which an operator installs beside the program. */
const peers = ['@opentelemetry/*']
/** Optional accelerations of dependencies that the program does not use. */
export const unused = ['msgpackr-extract', 'bufferutil', 'utf-8-validate']

export const bundleFolder = join(root, 'packages', 'recado', 'bundle')
const entries = {
  main: 'packages/recado/dist/main.js',
  // Threads that hash passwords begin with this file, which stands beside the one that starts them.
  worker: 'packages/broker/dist/adapters/password/worker.js',
}
/** Files that are newer than the bundle when it is not of what is built. `bin/recado.js` looks at the same. */
const built = [
  ...published.map((name) => join(root, 'packages', name, 'dist', '.tsbuildinfo')),
  join(dashboardFolder, 'index.html'),
]

const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
const isCurrent = () => built.every((path) => timeOf(path) <= timeOf(join(bundleFolder, 'main.js')))

/** Divides the program into files at its dynamic imports. */
async function divided(esbuild) {
  const { outputFiles, metafile } = await esbuild.build({
    entryPoints: entries,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    metafile: true,
    write: false,
    outdir: bundleFolder,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    external: [...outside, ...peers, ...unused, '*.node'],
    // Of its CommonJS an `import()` in the bundle would have nothing but the default export.
    alias: { 'hash-wasm': join(root, 'node_modules', 'hash-wasm', 'dist', 'index.esm.js') },
    logLevel: 'error',
  })
  return { files: outputFiles, inputs: metafile.inputs, outputs: metafile.outputs }
}

/**
 * Replaces imports of names from other files of the bundle, and from Node, by constants. As esbuild translates them each
 * use would be a getter of the other file's exports, also in code per message. The files have no circles, and no export
 * changes after its file has run.
 */
const withConstants = (text) =>
  text.replace(
    /^import \{([^}]*)\} from ("(?:\.\/|node:)[^"]+");$/gm,
    (_, names, file) => `const {${names.replaceAll(' as ', ': ')}} = require(${file});`,
  )

/** An ES module of the bundle as CommonJS, with its map. */
function asCommonJs(esbuild, { path, text }) {
  const { code, map } = esbuild.transformSync(withConstants(text), {
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': '__url', 'import.meta.resolve': 'undefined' },
    banner: text.includes('import.meta.url') ? 'var __url=require("node:url").pathToFileURL(__filename).href;' : '',
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    sourcemap: 'external',
    sourcesContent: false,
    sourcefile: basename(path),
  })
  return { name: basename(path), code, map }
}

/** Licences of what others wrote, in their words: a copy of their code has to bring them along. */
function notices(folders) {
  const text = folders.map((folder) => {
    const { manifest, licenseText } = licensed(folder)
    const words = licenseText ?? `(${manifest.license}, as its package.json says)`
    return `${manifest.name} ${manifest.version}\n\n${words.trim()}\n`
  })
  return `The files of this folder contain code of these packages.\n\n${text.join(`\n${'-'.repeat(72)}\n\n`)}`
}

/** Folders of the packages of others that are in the bundle, relative to the root. */
export async function bundledPackages() {
  const { inputs } = await divided(await import('esbuild'))
  const licences = readFileSync(join(dashboardFolder, 'licenses.txt'), 'utf8')
  const ofDashboard = [...licences.matchAll(/^((?:@[^/\s]+\/)?[^/\s]+) \d+\.\d+\.\d+\S*$/gm)]
  return [...new Set([...foreignPackages(inputs), ...ofDashboard.map(([, name]) => `node_modules/${name}`)])].sort()
}

/** Files, and modules of Node, that are loaded with a file of the packages, without its dynamic imports. */
export async function startNeeds(file) {
  const { inputs } = await divided(await import('esbuild'))
  const needed = new Set([`packages/${file}`])
  for (const path of needed) {
    for (const { path: other, kind } of inputs[path]?.imports ?? []) if (kind !== 'dynamic-import') needed.add(other)
  }
  return [...needed]
}

/** Makes the bundle in the checkout, unless it is there and current. Needs a build. */
export async function ensureBundle() {
  ensureDashboard()
  if (!isCurrent()) await makeBundle(bundleFolder)
}

/** Makes the bundle in `folder`. */
export async function makeBundle(folder) {
  const esbuild = await import('esbuild')
  const { files, inputs, outputs } = await divided(esbuild)
  const part = `${folder}.part-${process.pid}`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(part, { recursive: true })
  try {
    const made = files.map((file) => asCommonJs(esbuild, file))
    for (const { name, code, map } of packed(made, outputs)) {
      writeFileSync(join(part, name), code)
      writeFileSync(join(part, `${name}.map`), map)
    }
    // The server of the HTTP API has it beside its own file.
    cpSync(dashboardFolder, join(part, 'dashboard'), { recursive: true })
    writeFileSync(join(part, 'package.json'), '{ "type": "commonjs" }\n')
    writeFileSync(join(part, 'THIRD-PARTY.txt'), notices(foreignPackages(inputs)))
    // A program that begins meanwhile finds a whole bundle, or none.
    rmSync(folder, { recursive: true, force: true })
    renameSync(part, folder)
  } finally {
    rmSync(part, { recursive: true, force: true })
  }
}

if (import.meta.filename === process.argv[1]) await ensureBundle()
