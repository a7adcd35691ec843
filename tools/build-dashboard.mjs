/*
 * `node tools/build-dashboard.mjs`: bundles the dashboard into packages/admin/dist/dashboard: the page, and its scripts,
 * styles and font under names with a hash of their contents. Needs a build (`tsc -b`). `npm start`, `npm test` and `npm run
 * pack` call `ensureDashboard`, which does nothing when the bundle is newer than all that it is made of.
 *
 * Everything that is bundled brings its licence along: licenses.txt has the texts.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { foreignPackages, licensed } from './lib/foreign-code.mjs'
import { root } from './lib/workspace.mjs'

const dashboard = join(root, 'packages', 'admin', 'dashboard')
const compiled = join(dashboard, 'dist')
const source = join(dashboard, 'src')
export const dashboardFolder = join(root, 'packages', 'admin', 'dist', 'dashboard')

const PAGE = 'index.html'
/** Where the broker serves what is no page. */
const ASSETS = '/assets/'
const LICENSES = 'licenses.txt'

/** Newest change of a file below a folder, in milliseconds. */
function newest(folder, isWanted = () => true) {
  return readdirSync(folder, { recursive: true })
    .filter(isWanted)
    .reduce((latest, path) => Math.max(latest, statSync(join(folder, path)).mtimeMs), 0)
}

function isFresh() {
  const page = join(dashboardFolder, PAGE)
  if (!existsSync(page)) return false
  const madeAtMs = statSync(page).mtimeMs
  const inputs = [
    newest(compiled, (path) => path.endsWith('.js')),
    newest(source, (path) => /\.(css|html|svg)$/.test(path)),
    statSync(import.meta.filename).mtimeMs,
    statSync(join(root, 'package-lock.json')).mtimeMs,
  ]
  return Math.max(...inputs) < madeAtMs
}

/** Builds the dashboard unless it is there and up to date. */
export function ensureDashboard() {
  if (!isFresh()) buildDashboard()
}

/** Builds the dashboard. Returns esbuild's account of what is in which file. */
export function buildDashboard(folder = dashboardFolder) {
  // Loaded here: what is up to date needs no esbuild.
  const { buildSync } = createRequire(import.meta.url)('esbuild')
  const fresh = `${folder}.${process.pid}.new`
  rmSync(fresh, { recursive: true, force: true })
  const { metafile } = buildSync({
    absWorkingDir: root,
    entryPoints: {
      main: join(compiled, 'main.js'),
      theme: join(compiled, 'theme.js'),
      style: join(source, 'style.css'),
      icon: join(source, 'icon.svg'),
    },
    outdir: fresh,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    metafile: true,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    loader: { '.woff2': 'file', '.svg': 'copy' },
    legalComments: 'none',
    logLevel: 'warning',
  })
  const nameOf = (pattern) => {
    const found = Object.keys(metafile.outputs).map((path) => basename(path))
    const name = found.find((each) => pattern.test(each))
    if (name === undefined) throw new Error(`the bundle of the dashboard has no file ${pattern}`)
    return ASSETS + name
  }
  const places = {
    ICON: nameOf(/^icon-.*\.svg$/),
    FONT: nameOf(/\.woff2$/),
    STYLE: nameOf(/^style-.*\.css$/),
    THEME: nameOf(/^theme-.*\.js$/),
    MAIN: nameOf(/^main-.*\.js$/),
  }
  const page = readFileSync(join(source, PAGE), 'utf8').replace(/%([A-Z]+)%/g, (_, name) => places[name])
  writeFileSync(join(fresh, LICENSES), licensesOf(metafile))
  writeFileSync(join(fresh, PAGE), page)
  mkdirSync(join(folder, '..'), { recursive: true })
  rmSync(folder, { recursive: true, force: true })
  renameSync(fresh, folder)
  return metafile
}

/** Licences of all packages that something of is in the bundle. */
function licensesOf({ inputs }) {
  return foreignPackages(inputs)
    .map((folder) => {
      const { manifest, licenseText } = licensed(folder)
      const { name, version } = manifest
      if (licenseText === null) throw new Error(`${name}, which is in the dashboard, has no file with its licence`)
      return `${name} ${version}\n\n${licenseText.trim()}\n`
    })
    .join('\n\n')
}

if (import.meta.filename === process.argv[1]) buildDashboard()
