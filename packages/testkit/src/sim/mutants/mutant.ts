/**
 * Mutants: ways to break the product, each a change of the compiled code inside one function. `npm run sim:mutants` applies them one at a time,
 * and the simulation must notice each.
 *
 * A mutant names a function and a pattern, not a file: it survives when files move, lines are wrapped, or functions around it change. The
 * invariant: a mutant fits in exactly one place of its package. One that does not fit any more is an error, never a success.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type MutantPackage = 'broker' | 'client' | 'protocol' | 'recado'

export interface Mutant {
  readonly name: string
  readonly package: MutantPackage
  /** Function (`handlePublish`), method (`Session.#offer`) or class whose fields are meant (`AddressCounts`). */
  readonly within: string
  /** Code in it, as compiled. Any white space matches any other, also none. */
  readonly find: string
  readonly replace: string
}

/** Place of a mutant in the compiled code. */
export interface Place {
  /** Below `dist` of the package. */
  readonly path: string
  readonly start: number
  readonly end: number
}

/** Compiled code of a package: text by path. */
export type Compiled = ReadonlyMap<string, string>

export const mutant = (
  name: string,
  packageName: MutantPackage,
  within: string,
  find: string,
  replace: string,
): Mutant => ({ name, package: packageName, within, find, replace })

/** Blanks comments, so that their words are no part of a pattern. Positions and lines stay. */
function withoutComments(text: string): string {
  const blank = (comment: string): string => comment.replace(/[^\n]/g, ' ')
  return text.replace(/^ *\/\*[\s\S]*?\*\/ *$/gm, blank).replace(/(?:^|(?<=[;{},)])) *\/\/ .*$/gm, blank)
}

/**
 * Reads the compiled code of a package, without its tests and comments, by path below `dist`. A compiled file whose source has gone is left out:
 * the compiler does not remove it.
 */
export function readCompiled(packageFolder: string, below = ''): Compiled {
  const compiled = new Map<string, string>()
  const folder = join(packageFolder, 'dist', below)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) {
      if (entry.name === 'testing') continue
      for (const [each, text] of readCompiled(packageFolder, path)) compiled.set(each, text)
    } else if (entry.name.endsWith('.js') && !entry.name.endsWith('.test.js')) {
      const source = join(packageFolder, 'src', path.replace(/\.js$/, '.ts'))
      if (existsSync(source)) compiled.set(path, withoutComments(readFileSync(join(folder, entry.name), 'utf8')))
    }
  }
  return compiled
}

/**
 * Finds the place of a mutant.
 * @throws Error when there is none, or more than one; it says what has changed.
 */
export function placeOf({ name, within, find }: Mutant, compiled: Compiled): Place {
  const pattern = patternOf(find)
  const inside: Place[] = []
  const elsewhere: string[] = []
  let hasFunction = false
  for (const [path, text] of compiled) {
    const regions = regionsOf(text)
    const named = regions.filter((region) => region.name === within)
    hasFunction ||= named.length > 0
    for (const { index, length } of matches(pattern, text)) {
      const end = index + length
      if (named.some((region) => region.start <= index && end <= region.end)) inside.push({ path, start: index, end })
      else elsewhere.push(`${path}: ${nameAt(regions, index)}`)
    }
  }
  if (inside.length === 1) return inside[0]!
  const why =
    inside.length > 1
      ? `its code stands ${inside.length} times in ${within}: ${inside.map(({ path }) => path).join(', ')}`
      : `${hasFunction ? `its code is not in ${within}` : `there is no ${within}`}; ${whereElse(elsewhere)}`
  throw new Error(`the mutant "${name}" does not fit: ${why}`)
}

function whereElse(elsewhere: readonly string[]): string {
  return elsewhere.length === 0 ? 'it stands nowhere else' : `it stands in ${elsewhere.slice(0, 3).join(', ')}`
}

/** Pattern in which any white space of the text matches any other. */
function patternOf(text: string): RegExp {
  const tokens = text.trim().split(/\s+/)
  return new RegExp(tokens.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s*'), 'g')
}

function matches(pattern: RegExp, text: string): { index: number; length: number }[] {
  return [...text.matchAll(pattern)].map((match) => ({ index: match.index, length: match[0].length }))
}

/** Part of a file that belongs to one name. */
interface Region {
  readonly name: string
  readonly start: number
  readonly end: number
}

const CLASS = /^(?:export )?(?:default )?(?:abstract )?class ([\w$]+)/
const FUNCTION = /^(?:export )?(?:async )?function\*? ([\w$]+)/
const CONSTANT = /^(?:export )?const ([\w$]+)/
const METHOD = /^ {4}(?:(?:static|async|get|set) )*\*?(#?[\w$]+)\(.*\{$/

/**
 * Returns functions, methods and classes of a compiled file, the inner ones last. They are told by how the compiler lays code out: a class or
 * function begins in the first column and ends with a brace there, a method is indented by four.
 */
export function regionsOf(text: string): Region[] {
  const regions: Region[] = []
  let outer: { name: string; start: number; isClass: boolean } | null = null
  let method: { name: string; start: number } | null = null
  let at = 0
  for (const line of text.split('\n')) {
    const end = at + line.length
    if (outer === null) {
      const found = CLASS.exec(line) ?? FUNCTION.exec(line) ?? CONSTANT.exec(line)
      if (found !== null) outer = { name: found[1]!, start: at, isClass: CLASS.test(line) }
    } else if (outer.isClass && method === null && METHOD.test(line)) {
      method = { name: METHOD.exec(line)![1]!, start: at }
    }
    if (outer !== null && method !== null && line === '    }') {
      regions.push({ name: `${outer.name}.${method.name}`, start: method.start, end })
      method = null
    }
    if (outer !== null && isEnd(line, outer.start === at)) {
      regions.push({ name: outer.name, start: outer.start, end })
      outer = null
      method = null
    }
    at = end + 1
  }
  return regions
}

/** True for the last line of a class, a function or a constant. */
function isEnd(line: string, isFirst: boolean): boolean {
  if (isFirst) return line.endsWith(';') || line.endsWith('}')
  return /^[})\]]/.test(line) && !line.endsWith('{')
}

/** Name of the smallest region around a position. */
export function nameAt(regions: readonly Region[], index: number): string {
  const around = regions.filter(({ start, end }) => start <= index && index < end)
  around.sort((a, b) => a.end - a.start - (b.end - b.start))
  return around[0]?.name ?? 'no function'
}
