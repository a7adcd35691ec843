/*
 * The code of others in what esbuild has bundled: whose it is, and the licences that a copy of it has to bring along.
 *
 * `bundle.mjs`, `build-dashboard.mjs` and the packages for operating systems (`packaging/lib/application.mjs`) call it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './workspace.mjs'

/** `node_modules/a/node_modules/@b/c/d.js` as package `node_modules/a/node_modules/@b/c` and file `d.js`. */
export function packageOf(path) {
  const [, folder, file] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\/(.*)$/.exec(path)
  return { folder, file }
}

/** Folders of the packages of others among the inputs of a bundle, relative to the root. */
export function foreignPackages(inputs) {
  const paths = Object.keys(inputs).filter((path) => path.includes('node_modules/'))
  return [...new Set(paths.map((path) => packageOf(path).folder))].sort()
}

/** Manifest of a package, and the text of its licence; null when there is no file with it. */
export function licensed(folder) {
  const at = (name) => readFileSync(join(root, folder, name), 'utf8')
  const file = readdirSync(join(root, folder)).find((each) => /^(?:LICEN[CS]E|COPYING)/i.test(each))
  return { manifest: JSON.parse(at('package.json')), licenseText: file === undefined ? null : at(file) }
}
