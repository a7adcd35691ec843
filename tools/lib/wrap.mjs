/*
 * Wraps the paragraphs of pages whose lines are too long. Tables, code, headings, HTML and paragraphs that fit stay as
 * they are. Used by `npm run docs` for every page, and as a program: `node tools/lib/wrap.mjs FILE…`.
 *
 * Invariant: a wrapped page means the same, and wrapping it again changes nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs'

export const LINE_MAX = 120

/** Words of a text; code in backquotes and links stay whole where they are short enough to move. */
const wordsOf = (text) => text.match(/(?:`[^`\n]{1,60}`|\[[^\]\n]{1,60}\]\([^)\s]*\)|\S)+/g) ?? []

/** Lines of one paragraph: `first` before its first line, `rest` before the others. */
function linesOf(text, first, rest) {
  const lines = []
  let line = ''
  for (const word of wordsOf(text)) {
    const prefix = lines.length === 0 ? first : rest
    // A word that would begin a list, a heading or a table stays on the line before.
    const isMark = /^(?:[-*+>#|]|\d+[.)])$/.test(word)
    if (line === '') line = prefix + word
    else if ([...line, ...word].length + 1 <= LINE_MAX || isMark) line += ` ${word}`
    else {
      lines.push(line)
      line = rest + word
    }
  }
  return [...lines, line]
}

/** Page with long paragraphs wrapped. */
export function wrapPage(page) {
  const out = []
  let inCode = false
  let block = []
  const flush = () => {
    if (block.some((line) => [...line].length > LINE_MAX)) {
      const [, indent, mark] = /^( *)((?:[-*+]|\d+[.)]) +|(?:> )*)/.exec(block[0])
      const rest = indent + (mark.startsWith('>') ? mark : ' '.repeat(mark.length))
      const text = block.map((line) => line.slice(line.startsWith(rest) ? rest.length : 0).trim()).join(' ')
      const inner = text.startsWith(mark.trim()) && mark.trim() !== '' ? text.slice(mark.trim().length).trim() : text
      out.push(...linesOf(inner, indent + mark, rest))
    } else out.push(...block)
    block = []
  }
  for (const line of page.split('\n')) {
    const isFence = line.trimStart().startsWith('```')
    if (inCode || isFence) {
      flush()
      out.push(line)
      if (isFence) inCode = !inCode
      continue
    }
    const isPlain = line.trim() === '' || /^(?:#|\||<|\[[^\]]+\]:)/.test(line.trimStart())
    const isCode = /^ {4}/.test(line) && block.length === 0
    if (isPlain || isCode) {
      flush()
      out.push(line)
    } else {
      if (/^ *(?:[-*+]|\d+[.)]) /.test(line)) flush()
      block.push(line)
      // A hard break ends its part of the paragraph.
      if (/ {2}$|\\$/.test(line)) flush()
    }
  }
  flush()
  return out.join('\n')
}

if (import.meta.filename === process.argv[1]) {
  for (const path of process.argv.slice(2)) {
    const text = readFileSync(path, 'utf8')
    const wrapped = wrapPage(text)
    if (wrapped !== text) writeFileSync(path, wrapped)
  }
}
