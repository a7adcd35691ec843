/*
 * Reads declaration files as `tsc` writes them: the exports of a module, with docstring, signature and members.
 * TypeScript 7 has no programming interface, and its output is regular: top-level statements begin in the first column,
 * members after four spaces. Used by api-page.mjs. Not a parser of TypeScript; it throws at anything unknown.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Text of a comment without its frame; '' for none. */
function docText(lines) {
  return lines
    .map((line) => line.replace(/^\s*\/?\*{1,2}\/? ?/, '').replace(/\s*\*\/\s*$/, ''))
    .join('\n')
    .trim()
}

/** Number of brackets open at the end of the text, without those in comments and quotes; arrows are no brackets. */
function depthOf(text) {
  const plain = text.replace(/\/\*[\s\S]*?\*\/|'[^'\n]*'|"[^"\n]*"/g, '').replaceAll('=>', '')
  return (plain.match(/[{([]/g)?.length ?? 0) - (plain.match(/[})\]]/g)?.length ?? 0)
}

/**
 * Comment that the source of a declaration file begins with; null when there is no source. `tsc` leaves it out where all
 * imports behind it are gone, so that the first comment of the declarations may be that of the first name.
 */
function headerOf(file) {
  const source = file.replace(/([\\/])dist([\\/])/, '$1src$2').replace(/\.d\.ts$/, '.ts')
  if (source === file || !existsSync(source)) return null
  return docText((/^\s*\/\*\*[\s\S]*?\*\//.exec(readFileSync(source, 'utf8'))?.[0] ?? '').split('\n'))
}

/** Statements of one indentation: [{ doc, text }]. Each begins with `indent`. `header`: see `headerOf`. */
function statements(lines, indent, header = null) {
  const found = []
  let doc = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]
    if (line.trim() === '' || line.startsWith('//')) continue
    const start = i
    if (line.startsWith(`${indent}/**`)) {
      while (!lines[i].includes('*/')) i++
      const comment = docText(lines.slice(start, i + 1))
      // The comment that a file begins with is about the file.
      if (indent === '' && start === 0 && (header === null || comment === header)) continue
      doc = comment
      continue
    }
    while (depthOf(lines.slice(start, i + 1).join('\n')) > 0 || !/[;}]$/.test(lines[i])) {
      if (++i >= lines.length) throw new Error(`a statement without end: ${line}`)
    }
    found.push({ doc: typeof doc === 'string' ? doc : '', text: lines.slice(start, i + 1).join('\n') })
    doc = []
  }
  return found
}

/** Parses `a, type b, c as d` to [[name here, name there]]. */
function renamed(list) {
  return list
    .split(',')
    .map((each) => each.trim().replace(/^type /, ''))
    .filter((each) => each !== '')
    .map((each) => each.split(' as '))
    .map(([there, here = there]) => [here, there])
}

/** Parses `import { a, type b as c } from './c.ts'` to a Map of the name here to [name there, specifier]. */
function importsIn(texts) {
  const imports = new Map()
  for (const text of texts) {
    const match = /^import (?:type )?\{([^}]*)\} from '([^']+)'/.exec(text)
    if (match === null) continue
    for (const [here, there] of renamed(match[1])) imports.set(here, [there, match[2]])
  }
  return imports
}

/**
 * Parses `export { a, type b as c } from './c.ts'` to [[name, name there, specifier]]; `*` for all. `export { a }` is
 * one of what was imported under that name.
 */
function reexports(text, imports) {
  const named = /^export (?:type )?\{([^}]*)\} from '([^']+)'/.exec(text)
  if (named !== null) return renamed(named[1]).map(([name, there]) => [name, there, named[2]])
  const local = /^export (?:type )?\{([^}]*)\};/.exec(text)
  if (local !== null) {
    const found = renamed(local[1]).filter(([, there]) => imports.has(there))
    return found.map(([name, there]) => [name, ...imports.get(there)])
  }
  const all = /^export \* from '([^']+)'/.exec(text)
  return all === null ? [] : [['*', '*', all[1]]]
}

const declared = /^export (?:declare )?(?:abstract )?(class|interface|type|function|const|let) ([\w$]+)/

function members(text) {
  const lines = text.split('\n')
  return statements(lines.slice(1, -1), '    ')
    .map(({ doc, text: member }) => {
      const signature = member
        .split('\n')
        .map((line) => line.replace(/^ {4}/, ''))
        .join('\n')
        .replace(/;$/, '')
      const name = /^(?:(?:static|readonly|get|set|async|protected|private) )*(\[[^\]]+\]|[\w$#]+)/.exec(signature)?.[1]
      return { doc, name: name ?? signature, signature }
    })
    .filter(({ name }) => name !== 'constructor' && name !== '#private')
}

/** Declarations under the name that others import them by. */
function renamedTo(name, declarations) {
  return declarations.map((each) =>
    each.name === name
      ? each
      : { ...each, name, signature: each.signature.replace(new RegExp(`(^\\w+ )${each.name}\\b`), `$1${name}`) },
  )
}

/**
 * Exports of `file` (a path of a .d.ts), in order: Map of name to [{ kind, name, doc, signature, members, from }], a
 * list because functions may be overloaded. `packageFile` returns the file of `@recado/…`.
 */
export function exportsOf(file, packageFile, from = null) {
  const found = new Map()
  const all = statements(readFileSync(file, 'utf8').split('\n'), '', headerOf(file))
  const imports = importsIn(all.map(({ text }) => text))
  for (const { doc, text } of all) {
    for (const [name, original, specifier] of reexports(text, imports)) {
      const isOwn = specifier.startsWith('.')
      const target = isOwn ? join(dirname(file), specifier.replace(/\.ts$/, '.d.ts')) : packageFile(specifier)
      const there = exportsOf(target, packageFile, isOwn ? from : specifier)
      if (name === '*') for (const [each, declarations] of there) found.set(each, declarations)
      else if (!there.has(original)) throw new Error(`${file}: ${specifier} does not export ${original}`)
      else found.set(name, renamedTo(name, there.get(original)))
    }
    const match = declared.exec(text)
    if (match === null) continue
    const [, kind, name] = match
    const declaration = {
      kind,
      name,
      doc,
      from,
      signature: text.replace(/^export (?:declare )?/, ''),
      members: kind === 'class' || kind === 'interface' ? members(text) : [],
    }
    found.set(name, [...(found.get(name) ?? []), declaration])
  }
  return found
}
