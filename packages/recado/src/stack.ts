/**
 * Stacks of errors with the places of the sources. In a bundle (`tools/lib/bundle.mjs`) the places of a stack are those of
 * long lines without spaces; each of its files has a map beside it.
 *
 * Called where a fault is reported, which is rare: the maps are read then, and not kept. Invariant: a stack that cannot be
 * translated is returned as it is.
 */
import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'

/** The file of the bundle, line and column of one step of a stack. */
const PLACE = /((?:\/|[A-Z]:\\)[^():\n]*[\\/]bundle[\\/][^():\\/\n]+\.js):(\d+):(\d+)/g

/** Returns the stack of an error, or its text when it has none. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { stack } = error
  if (stack === undefined) return error.message
  const maps = new Map<string, SourceMap | null>()
  return stack.replace(PLACE, (place, file: string, line: string, column: string) => {
    let map = maps.get(file)
    if (map === undefined) {
      map = mapOf(file)
      maps.set(file, map)
    }
    const entry = map?.findEntry(Number(line) - 1, Number(column) - 1)
    if (entry === undefined || !('originalSource' in entry)) return place
    return `${sourceName(entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  })
}

function mapOf(file: string): SourceMap | null {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as ConstructorParameters<typeof SourceMap>[0])
  } catch {
    // Not there, or not readable: the stack stays as it is.
    return null
  }
}

/** Names a source by its path in the checkout, wherever the program is installed: maps have it relative to the bundle. */
const sourceName = (source: string): string =>
  source
    .replace(/^(?:\.\.\/){3}/, '')
    .replace(/^\.\.\/\.\.\//, 'packages/')
    .replace(/^\.\.\//, 'packages/recado/')
