/*
 * Reads declaration files as `tsc` writes them: the exports of a module, with docstring, signature and members.
 * TypeScript 7 has no programming interface, and its output is regular: top-level statements begin in the first column,
 * members after four spaces. Used by api-page.mjs. Not a parser of TypeScript; it throws at anything unknown.
 */
import { readFileSync } from 'node:fs'
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

/** Statements of one indentation: [{ doc, text }]. Each begins with `indent`. */
function statements(lines, indent) {
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
      if (indent === '' && start === 0) continue
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

/** Parses `export { a, type b } from './c.ts'` to [[name, specifier]]; `*` for all. */
function reexports(text) {
  const named = /^export (?:type )?\{([^}]*)\} from '([^']+)'/.exec(text)
  if (named !== null) {
    const names = named[1].split(',').map((each) => each.trim().replace(/^type /, ''))
    return names.filter((each) => each !== '').map((name) => [name, named[2]])
  }
  const all = /^export \* from '([^']+)'/.exec(text)
  return all === null ? [] : [['*', all[1]]]
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

/**
 * Exports of `file` (a path of a .d.ts), in order: Map of name to [{ kind, name, doc, signature, members, from }], a
 * list because functions may be overloaded. `packageFile` returns the file of `@recado/…`.
 */
export function exportsOf(file, packageFile, from = null) {
  const found = new Map()
  for (const { doc, text } of statements(readFileSync(file, 'utf8').split('\n'), '')) {
    for (const [name, specifier] of reexports(text)) {
      const isOwn = specifier.startsWith('.')
      const target = isOwn ? join(dirname(file), specifier.replace(/\.ts$/, '.d.ts')) : packageFile(specifier)
      const there = exportsOf(target, packageFile, isOwn ? from : specifier)
      if (name !== '*' && !there.has(name)) throw new Error(`${file}: ${specifier} does not export ${name}`)
      for (const [each, declarations] of there) if (name === '*' || name === each) found.set(each, declarations)
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
