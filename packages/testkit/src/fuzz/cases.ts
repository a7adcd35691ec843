/**
 * Kept findings: inputs that once broke an invariant, one file each in `cases/<target>/`, replayed by every test run.
 *
 * A case is JSON: `{ "what": "one line", "input": "hex or text" }`. `fuzz.ts` writes its findings to `cases/<target>/`;
 * the person who fixes one gives the file a name that tells the fault, and commits it with the fix.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folder beside the sources: this file runs from dist/. */
const folder: string = fileURLToPath(new URL('../../src/fuzz/cases/', import.meta.url))

export interface FuzzCase {
  readonly name: string
  readonly what: string
  readonly input: Uint8Array
}

interface CaseFile {
  readonly what: string
  /** Input as hex; either this or `text`. */
  readonly hex?: string
  readonly text?: string
}

export function casesOf(target: string): FuzzCase[] {
  let names: string[]
  try {
    names = readdirSync(join(folder, target)).filter((name) => name.endsWith('.json'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return names.sort().map((name) => {
    const { what, hex, text } = JSON.parse(readFileSync(join(folder, target, name), 'utf8')) as CaseFile
    const input = text === undefined ? Uint8Array.from(Buffer.from(hex!, 'hex')) : new TextEncoder().encode(text)
    return { name: name.slice(0, -5), what, input }
  })
}

/** Writes a case. Returns the path of the new file. */
export function keepCase(target: string, what: string, input: Uint8Array, isText: boolean): string {
  mkdirSync(join(folder, target), { recursive: true })
  const path = join(folder, target, `found-${hashOf(input)}.json`)
  const text = new TextDecoder().decode(input)
  // The stack is for the terminal
  const [line = ''] = what.split('\n')
  const isFaithful = isText && Buffer.from(text).equals(input)
  const content = isFaithful ? { what: line, text } : { what: line, hex: Buffer.from(input).toString('hex') }
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`)
  return path
}

function hashOf(bytes: Uint8Array): string {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
