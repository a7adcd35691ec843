/*
 * Regular expressions of shipped code, and the bound on their work: each takes time in proportion to the text.
 *
 * Text comes from unknown peers: an HTTP request, a PROXY header, a token, a line of a file. A pattern with nested or
 * adjacent unbounded quantifiers takes the square, the cube or worse of its length, and a few kilobytes stop the broker
 * for seconds. `recheck` decides it from the automaton of the pattern, exactly and without a clock. Patterns that it
 * cannot analyse (lookahead beside repetition, references back) are refused as well, and so are patterns that are put
 * together at run time, which cannot be checked.
 */
import { createRequire } from 'node:module'
import { isTest } from './rules.mjs'
import { blank, lineAt } from './source.mjs'

// The build for browsers has no threads and no programs of other languages to look for.
const { checkSync } = createRequire(import.meta.url)('recheck/lib/browser.js')

/** Every literal pattern: { pattern, flags, line }. */
export function patternsOf(text) {
  const found = []
  // A literal is what the lexer has blanked between two slashes; comments lose their slashes too.
  for (const match of blank(text).matchAll(/\/( +)\/([dgimsuvy]*)/g)) {
    const from = match.index + 1
    found.push({ pattern: text.slice(from, from + match[1].length), flags: match[2], line: lineAt(text, match.index) })
  }
  return found
}

const faults = new Map()

/** Fault of a pattern; null when it takes linear time. Many stand in several files: each is analysed once. */
export function faultOf(pattern, flags = '') {
  const key = `/${pattern}/${flags}`
  if (!faults.has(key)) faults.set(key, analyse(pattern, flags))
  return faults.get(key)
}

function analyse(pattern, flags) {
  // The exact analysis without limits of time, so that the answer is the same on every machine.
  const { status, complexity, error } = checkSync(pattern, flags, { checker: 'automaton', timeout: null })
  if (status === 'safe') return null
  if (status === 'unknown') return `cannot be analysed (${error?.message ?? error?.kind})`
  return complexity.type === 'exponential'
    ? 'takes exponential time'
    : `takes time to the power of ${complexity.degree}`
}

/** Checks that every regular expression of the packages, tests aside, is linear. */
export function patternsAreLinear(files) {
  const violations = []
  for (const { path, text } of files) {
    if (!/^packages\/[^/]+\/src\/.*\.ts$/.test(path) || isTest(path)) continue
    for (const { pattern, flags, line } of patternsOf(text)) {
      const fault = faultOf(pattern, flags)
      if (fault !== null) violations.push(`${path}:${line}: /${pattern}/${flags} ${fault}`)
    }
    for (const match of blank(text).matchAll(/\bRegExp\(/g)) {
      violations.push(`${path}:${lineAt(text, match.index)}: a pattern is put together at run time`)
    }
  }
  return violations
}
