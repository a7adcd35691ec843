/**
 * The version of the program, from its package.json: for --version, the log and the banner. Read once, at the start, so
 * that no build step has to copy it.
 */
import { readFileSync } from 'node:fs'

const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
export const version: string = (JSON.parse(text) as { version: string }).version
