/*
 * The builds for users without ES modules: dist/cjs of @recado/protocol and @recado/client, file by file, for
 * `require()`, jest and TypeScript in CommonJS; and the bundles of the client for jest's browser environment
 * (dist/browser-cjs) and for React Native (dist/react-native), whose Babel preset knows no static blocks of classes.
 * `npm run pack` calls it. Needs a build.
 *
 * A package.json in each folder marks its files as CommonJS, so that the same declarations stand for it.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, transformSync } from 'esbuild'
import { bundleOptions } from './build-browser.mjs'
import { root } from './lib/workspace.mjs'

const skipped = /^(?:browser|browser-cjs|react-native|cjs|testing)[/\\]|\.test\.|^wire-cases\.|\.map$|\.tsbuildinfo$/

function isCommonJs(folder) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n')
}

/** Builds dist/cjs of a package. */
function toCommonJs(name) {
  const from = join(root, 'packages', name, 'dist')
  const to = join(from, 'cjs')
  rmSync(to, { recursive: true, force: true })
  isCommonJs(to)
  for (const path of readdirSync(from, { recursive: true })) {
    if (skipped.test(path) || !/\.(?:js|d\.ts)$/.test(path)) continue
    mkdirSync(dirname(join(to, path)), { recursive: true })
    if (path.endsWith('.d.ts')) copyFileSync(join(from, path), join(to, path))
    else {
      // `import()` becomes `require()`: jest has no other.
      const options = { format: 'cjs', platform: 'node', target: 'node20', supported: { 'dynamic-import': false } }
      writeFileSync(join(to, path), transformSync(readFileSync(join(from, path), 'utf8'), options).code)
    }
  }
}

export async function buildCommonJs() {
  toCommonJs('protocol')
  toCommonJs('client')
  const client = join(root, 'packages', 'client', 'dist')
  for (const [folder, supported] of [
    ['browser-cjs', {}],
    ['react-native', { 'class-static-blocks': false }],
  ]) {
    rmSync(join(client, folder), { recursive: true, force: true })
    isCommonJs(join(client, folder))
    await build({ ...bundleOptions(), outdir: join(client, folder), splitting: false, format: 'cjs', supported })
  }
}

if (import.meta.filename === process.argv[1]) await buildCommonJs()
