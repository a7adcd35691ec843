/*
 * `npm run build:browser`: bundles @recado/client for browsers into packages/client/dist/browser, as ES modules without
 * any dependency: client.js, indexeddb.js, store.js, scram.js, and chunks that they share. Needs a build.
 * package.json's condition `browser` points there; packages/client/src/browser.test.ts keeps the sizes.
 *
 * Names of properties that no user sees are shortened. They are not guessed: a name is kept if it stands in the
 * declarations that users get, in those of the language or of the browser's platform.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { Flow, PacketType, ReasonCode } from '../packages/protocol/dist/mod.js'
import { PropertyType } from '../packages/protocol/dist/properties.js'
import { root } from './lib/workspace.mjs'

const client = join(root, 'packages', 'client', 'dist')
const protocol = join(root, 'packages', 'protocol', 'dist')
export const outputFolder = join(client, 'browser')

const entries = {
  client: join(client, 'mod.browser.js'),
  indexeddb: join(client, 'store', 'indexed-db.js'),
  store: join(client, 'store', 'mod.js'),
  scram: join(client, 'scram.js'),
}

/** Declarations of the protocol that users see: packets, properties and errors only. */
const protocolDeclarations = ['packets', 'properties', 'errors', 'reason-codes'].map((name) =>
  join(protocol, `${name}.d.ts`),
)

/** Files that only a server needs. */
const serverOnly = /server-packets\.js$/

function namesIn(path, names) {
  for (const [name] of readFileSync(path, 'utf8').matchAll(/[A-Za-z_$][\w$]*/g)) names.add(name)
}

/** Declarations that an entry shows, directly or through others of this package. */
function declarationsFrom(path, seen) {
  if (seen.has(path)) return
  seen.add(path)
  for (const [, specifier] of readFileSync(path, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
    declarationsFrom(join(dirname(path), specifier.replace(/\.(js|ts)$/, '.d.ts')), seen)
  }
}

/** Declarations of the platform, which TypeScript has in a package of its own. */
function platformDeclarations() {
  const scope = join(root, 'node_modules', '@typescript')
  const found = readdirSync(scope, { recursive: true })
    .filter((path) => /lib\.(es|dom|webworker)[^/\\]*\.d\.ts$/.test(path))
    .map((path) => join(scope, path))
  if (found.length < 10) throw new Error(`the declarations of language and platform are not in ${scope}`)
  return found
}

function keptNames() {
  const declarations = new Set(protocolDeclarations)
  for (const entry of Object.values(entries)) declarationsFrom(entry.replace(/\.js$/, '.d.ts'), declarations)
  const names = new Set()
  for (const path of declarations) namesIn(path, names)
  for (const path of platformDeclarations()) namesIn(path, names)
  return names
}

/**
 * Leaves out the functions of `server-packets.ts`, which a client never calls: the decoder refuses such packets by
 * their first byte.
 */
function leaveOutServer(build) {
  build.onLoad({ filter: serverOnly }, ({ path }) => {
    const names = [...readFileSync(path, 'utf8').matchAll(/^export (?:function|class) (\w+)/gm)].map(([, name]) => name)
    return { contents: names.map((name) => `export const ${name} = undefined`).join('\n'), loader: 'js' }
  })
}

/** Objects of numbers whose names users may see, but which the code itself can do without. */
const constants = { ReasonCode, PacketType, Flow, PropertyType }

/** Inlines constants: `ReasonCode.Banned` becomes 138. */
function inlineConstants(build) {
  build.onLoad({ filter: /packages[/\\](client|protocol)[/\\]dist[/\\].*\.js$/ }, ({ path }) => {
    const contents = readFileSync(path, 'utf8').replace(
      /\b(ReasonCode|PacketType|Flow|PropertyType)\.([A-Z]\w*)/g,
      (text, object, name) => String(constants[object][name] ?? text),
    )
    return { contents, loader: 'js', resolveDir: dirname(path) }
  })
}

/** Options for esbuild; the CommonJS build uses the same. */
export function bundleOptions() {
  const kept = Object.fromEntries([...keptNames()].map((name) => [name, false]))
  return {
    entryPoints: entries,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['browser'],
    minify: true,
    mangleProps: /^[a-z]\w{2,}$/,
    mangleCache: kept,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [
      { name: 'no server', setup: leaveOutServer },
      { name: 'constants', setup: inlineConstants },
    ],
  }
}

export async function buildBrowser(folder = outputFolder) {
  rmSync(folder, { recursive: true, force: true })
  await build({ ...bundleOptions(), outdir: folder })
}

if (import.meta.filename === process.argv[1]) await buildBrowser()
