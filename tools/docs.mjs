/*
 * `npm run docs`: writes the pages of docs/ that are generated from code. A test in tools/tidy fails while one is not
 * up to date. Needs a build.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brokerErrorCodes } from '../packages/broker/dist/errors.js'
import { clientErrorCodes } from '../packages/client/dist/errors.js'
import { errorCodes } from '../packages/protocol/dist/errors.js'
import { wireCases } from '../packages/protocol/dist/wire-cases.js'
import { groups, optionTable } from '../packages/recado/dist/config/schema.js'
import { configurationPage } from './lib/configuration-page.mjs'
import { conformancePage } from './lib/conformance-page.mjs'
import { errorsPage } from './lib/errors-page.mjs'
import { root } from './lib/workspace.mjs'

/** The error codes of each package. */
export const errorTables = new Map([
  ['@recado/protocol', errorCodes],
  ['@recado/broker', brokerErrorCodes],
  ['@recado/client', clientErrorCodes],
])

/** Path of each generated page and what is to be in it. */
export const pages = new Map([
  ['docs/conformance.md', conformancePage(wireCases)],
  ['docs/configuration.md', configurationPage(optionTable, groups)],
  ['docs/errors.md', errorsPage(errorTables)],
])

if (import.meta.filename === process.argv[1]) {
  for (const [path, text] of pages) {
    writeFileSync(join(root, path), text)
    console.log(`wrote ${path}`)
  }
}
