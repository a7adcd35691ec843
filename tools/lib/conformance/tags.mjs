/*
 * Finds the tags of normative statements: code that carries one, and tests that name one. Used by conformance-page.mjs
 * and by the test that keeps docs/conformance.md complete.
 *
 * `[MQTT-3.1.2-22]` is a statement of MQTT 5.0, `[MQTT-3.1.1:3.1.2-22]` one of 3.1.1. A wire case (wire-cases.ts) gives
 * the number only: its version decides which specification is meant.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { filesBelow, root } from '../workspace.mjs'

const tagPattern = /MQTT-(?:(3\.1\.1):)?(\d+\.\d+\.\d+-\d+)(?!\d)/g
/** Patterns of a function, method, class or table that a tag may belong to. */
const declarations = [
  /^(?:export )?(?:default )?(?:async )?function\*? (\w+)/,
  /^(?:export )?(?:abstract )?class (\w+)/,
  /^(?:export )?(?:interface|type) (\w+)/,
  /^(?:export )?const (\w+)/,
  / {2}(?:(?:protected|private|override|static|async|readonly|get|set) )*[*]?(#?\w+)(?:<[^>]*>)?\(.*(?:\{|,|\()$/,
  / {2}(?:(?:protected|private|override|static|async|get|set) )*[*]?(#?\w+)(?:<[^>]*>)?\($/,
  / {2}(?:(?:protected|private|override|static|readonly) )*(#?\w+)(?:: [^=]+)? = /,
]
const notNames = new Set(['if', 'for', 'while', 'switch', 'return', 'catch', 'constructor'])

/** @returns {string} `3.1.1:` or nothing, and the number */
const key = (version, number) => (version === undefined ? number : `${version}:${number}`)

function declared(line, isInClass) {
  for (const pattern of declarations) {
    if (pattern.source.startsWith(' ') && (!isInClass || !/^ {2}\S/.test(line))) continue
    const name = pattern.exec(line)?.[1]
    if (name !== undefined && !notNames.has(name)) return name
  }
  return null
}

/**
 * Name of the declaration that the line at `index` is part of, or that the comment at `index` stands above; '' in the
 * header of a file.
 */
function ownerOf(lines, index) {
  const isClassAt = (from) => {
    for (let i = from; i >= 0; i--) {
      if (/^(?:export )?(?:abstract )?class /.test(lines[i])) return true
      if (/^\}/.test(lines[i])) return false
    }
    return false
  }
  const line = lines[index]
  const indent = line.length - line.trimStart().length
  if (/^\s*(?:\/\*\*|\*|\/\/)/.test(line) && (indent <= 1 || (indent <= 3 && isClassAt(index)))) {
    let next = index
    while (next < lines.length && /^\s*(?:\/\*\*|\*|\/\/)/.test(lines[next])) next++
    return declared(lines[next] ?? '', isClassAt(next)) ?? ''
  }
  for (let i = index; i >= 0; i--) {
    const name = declared(lines[i], isClassAt(i))
    if (name !== null) return name
  }
  return ''
}

const isTestFile = (path) => /\.test\.ts$|-suite\.ts$|\/testing\/suite\.ts$|\/peers\/suite\.ts$/.test(path)

/** Test that a tag in a test file belongs to: the one whose name has it, or the one above a row of a table. */
function testAt(lines, index) {
  for (let i = index; i >= Math.max(0, index - 60); i--) {
    const match = /\b(?:test|it|describe)\(\s*(['"`])(.*?)\1/.exec(lines[i])
    const name = match?.[2] ?? /^\s*(['"`])(.*)\1,$/.exec(lines[i])?.[2]
    if (i === index && name === undefined && !/^\s*\/\//.test(lines[i])) break // a row of a table
    if (match || (i === index && name)) return clean(name)
  }
  return null
}

const clean = (name) =>
  name
    .replaceAll(/\s*\[?(?:3\.1\.1: ?)?MQTT-[\d.:-]+\]?/g, '')
    .replaceAll("\\'", "'")
    .trim()

/**
 * @returns {{ code: Map<string, { path: string, owner: string }[]>, tests: Map<string, { path: string, name: string | null }[]>,
 *   all: { path: string, line: number, key: string }[] }}
 */
export function findTags() {
  const code = new Map()
  const tests = new Map()
  const all = []
  const add = (map, number, item) => {
    const items = map.get(number) ?? []
    if (!items.some((each) => JSON.stringify(each) === JSON.stringify(item))) items.push(item)
    map.set(number, items)
  }
  for (const path of filesBelow('packages').filter((each) => /^packages\/[^/]+\/src\/.*\.ts$/.test(each))) {
    if (path.endsWith('/wire-cases.ts')) continue
    const text = readFileSync(join(root, path), 'utf8')
    if (!text.includes('MQTT-')) continue
    const lines = text.split('\n')
    for (const [index, line] of lines.entries()) {
      for (const [, version, number] of line.matchAll(tagPattern)) {
        all.push({ path, line: index + 1, key: key(version, number) })
        if (isTestFile(path)) add(tests, key(version, number), { path, name: testAt(lines, index) })
        else if (!/^packages\/(testkit|[^/]+\/src\/testing)\//.test(path))
          add(code, key(version, number), { path, owner: ownerOf(lines, index) })
      }
    }
  }
  return { code, tests, all }
}

/**
 * Wire cases by statement, from `wireCases` of the built protocol package. @returns {Map<string, string[]>} names of
 * cases
 */
export function casesByStatement(wireCases) {
  const cases = new Map()
  for (const { name, version, statement } of wireCases) {
    if (statement === undefined || version === 3) continue // 3.1 numbers no statements
    for (const each of statement.split(' ')) {
      const own = key(version === 5 ? undefined : '3.1.1', each.replace('MQTT-', ''))
      cases.set(own, [...(cases.get(own) ?? []), name])
    }
  }
  return cases
}
