/*
 * `npm run docs`: writes the pages of docs/ that are generated from code. A test in tools/tidy fails while one is not
 * up to date. Needs a build.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { groups, optionTable } from '../packages/recado/dist/config/schema.js'
import { configurationPage } from './lib/configuration-page.mjs'
import { root } from './lib/workspace.mjs'

/** Path of each generated page and what is to be in it. */
export const pages = new Map([['docs/configuration.md', configurationPage(optionTable, groups)]])

if (import.meta.filename === process.argv[1]) {
  for (const [path, text] of pages) {
    writeFileSync(join(root, path), text)
    console.log(`wrote ${path}`)
  }
}
