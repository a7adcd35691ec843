/**
 * The program's own folder and its version, from its package.json: for --version, the log and the banner. Read once, at
 * the start, so that no build step has to copy it.
 *
 * Invariant: compiled code and bundles (`tools/lib/bundle.mjs`) stand in a folder of their own below the program's, so
 * that the folder is found from both.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folder with package.json and `bin`. */
export const programFolder: string = fileURLToPath(new URL('..', import.meta.url))

const text = readFileSync(join(programFolder, 'package.json'), 'utf8')
export const version: string = (JSON.parse(text) as { version: string }).version
