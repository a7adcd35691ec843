/*
 * A source file as the rules see it: its code without comments and text, and its imports. A small lexer instead of a
 * parser: the rules ask only for words and import specifiers.
 */

/** Words after which a `/` starts a regular expression rather than a division. */
const beforeExpression =
  /(?:^|[=(,;:!&|?{}[+\-*%~^<>]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))\s*$/

/**
 * Blanks the inside of comments, strings, templates and regular expressions. Length and line breaks stay, so positions
 * do too. `${}` in a template stays code.
 */
export function blank(text) {
  let out = ''
  let at = 0
  const depths = []
  const blanked = (from, to) => text.slice(from, to).replace(/[^\n]/g, ' ')
  const template = () => {
    const from = at
    while (at < text.length) {
      if (text[at] === '\\') at += 2
      else if (text[at] === '`') {
        out += `${blanked(from, at)}\``
        at++
        return
      } else if (text[at] === '$' && text[at + 1] === '{') {
        out += `${blanked(from, at)}\${`
        at += 2
        depths.push(0)
        return
      } else at++
    }
    out += blanked(from, text.length)
  }
  while (at < text.length) {
    const character = text[at]
    const next = text[at + 1]
    if (character === '/' && (next === '/' || next === '*')) {
      const end = next === '/' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2) + 2
      const to = end <= 1 ? text.length : end
      out += blanked(at, to)
      at = to
    } else if (character === "'" || character === '"' || (character === '/' && beforeExpression.test(out.slice(-80)))) {
      const from = at + 1
      let inClass = false
      at++
      while (at < text.length && text[at] !== '\n' && (text[at] !== character || inClass)) {
        if (text[at] === '\\') at++
        else if (character === '/' && text[at] === '[') inClass = true
        else if (character === '/' && text[at] === ']') inClass = false
        at++
      }
      out += character + blanked(from, at)
      if (text[at] === character) out += text[at++]
    } else if (character === '`') {
      out += character
      at++
      template()
    } else if (character === '{' && depths.length > 0) {
      depths[depths.length - 1]++
      out += character
      at++
    } else if (character === '}' && depths.length > 0) {
      out += character
      at++
      if (depths[depths.length - 1] === 0) {
        depths.pop()
        template()
      } else depths[depths.length - 1]--
    } else {
      out += character
      at++
    }
  }
  return out
}

/** Every module that the file names: static, dynamic and type imports, and re-exports. */
export function importsOf(text) {
  const code = blank(text)
  const found = []
  const pattern = /\bfrom\s*(['"])|\bimport\s*(['"])|\bimport\s*\(\s*(['"])/g
  for (const match of code.matchAll(pattern)) {
    const quote = match[1] ?? match[2] ?? match[3]
    const from = match.index + match[0].length
    const specifier = text.slice(from, code.indexOf(quote, from))
    found.push({
      specifier,
      line: lineAt(text, match.index),
      isType: isTypeImport(code, match),
      isLazy: match[3] !== undefined,
    })
  }
  return found
}

/** Whether nothing is left of an import or export when types are erased. */
function isTypeImport(code, match) {
  if (!match[0].startsWith('from')) return false
  const statement = [...code.slice(0, match.index).matchAll(/\b(?:import|export)\b/g)].at(-1)
  if (statement === undefined) return false
  const clause = code.slice(statement.index + statement[0].length, match.index).trim()
  if (/^type\b/.test(clause)) return true
  const names = /^\{([^}]*)\}$/
    .exec(clause)?.[1]
    .split(',')
    .map((name) => name.trim())
  return names?.every((name) => name === '' || name.startsWith('type '))
}

/** Line number, from 1, of a position. */
export function lineAt(text, position) {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < position; at = text.indexOf('\n', at + 1)) line++
  return line
}

/** The comment that a file begins with, without a `#!` line before it; '' when there is none. */
export function headerOf(text) {
  const start = text.replace(/^#![^\n]*\n/, '').trimStart()
  if (start.startsWith('/*')) return start.slice(0, start.indexOf('*/') + 2)
  return /^(?:\/\/[^\n]*\n?)*/.exec(start)[0]
}
