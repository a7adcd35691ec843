/**
 * Stacks of errors with the places of the sources. In a bundle (`tools/lib/bundle.mjs`) the places of a stack are those of
 * long lines without spaces; each of its files has a map beside it.
 *
 * Called where a fault is reported, which is rare: the maps are read then, and not kept. Invariant: a stack that cannot be
 * translated is returned as it is.
 */
import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { basename, dirname } from 'node:path'

/** Line and column at the end of one step of a stack. */
const PLACE = /:(\d+):(\d+)\)?$/

/** Returns the stack of an error, or its text when it has none. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { stack } = error
  if (stack === undefined) return error.message
  const maps = new Map<string, SourceMap | null>()
  return stack
    .split('\n')
    .map((step) => translated(step, maps))
    .join('\n')
}

function translated(step: string, maps: Map<string, SourceMap | null>): string {
  const place = PLACE.exec(step)
  if (place === null) return step
  const [ending, line, column] = place
  // `at name (file:1:2)` or `at file:1:2`.
  const start = step.includes('(') ? step.lastIndexOf('(') + 1 : step.indexOf('at ') + 3
  const file = step.slice(start, place.index)
  if (basename(dirname(file)) !== 'bundle') return step
  let map = maps.get(file)
  if (map === undefined) {
    map = mapOf(file)
    maps.set(file, map)
  }
  const entry = map?.findEntry(Number(line) - 1, Number(column) - 1)
  if (entry === undefined || !('originalSource' in entry)) return step
  const source = `${sourceName(entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  return `${step.slice(0, start)}${source}${ending.endsWith(')') ? ')' : ''}`
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
