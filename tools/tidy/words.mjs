/*
 * The rules of docs/STYLE.md that a program can check: how doc comments begin, how long lines of pages are, and what the
 * subject of a commit looks like. `words.test.mjs` runs them over the repository; `node tools/tidy/words.mjs` prints the
 * share of fragments in each package, and with the name of a package every fragment in it.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { filesBelow, root } from '../lib/workspace.mjs'
import { LINE_MAX } from '../lib/wrap.mjs'
import { headerOf, lineAt } from './source.mjs'

/** Beginnings that leave the reader without a noun or a verb. */
const fragment =
  /^(?:What|Whatever|Who|Whom|Whose|Whoever|Which|Whichever|Those|These|They|Them|Their|Theirs|It|Its|That|Of|Or|And|But|As|By|For|From|To|At|On|Is|Are|Was|Were|Has|Have|Had|Does|Do|Also|Else|Likewise|How|Why|Where|All that|Somebody|Everybody|Nobody|Anybody)\b/

/** Every doc comment and the header of a file, as { text, line }; the text without stars. */
export function commentsOf(source) {
  const found = []
  const header = headerOf(source)
  const add = (comment, position) => {
    const text = comment
      .replace(/^\/\*+|\*\/$/g, '')
      .replace(/^[ \t]*(?:\*|\/\/) ?/gm, '')
      .trim()
    if (text !== '') found.push({ text, line: lineAt(source, position) })
  }
  if (header !== '' && !header.startsWith('/**')) add(header, source.indexOf(header))
  for (const match of source.matchAll(/^[ \t]*(\/\*\*[\s\S]*?\*\/)/gm)) add(match[1], match.index + match[0].length - 1)
  return found
}

/** Whether a doc comment begins with a fragment instead of a noun or a verb. */
export const isFragment = (text) => fragment.test(text)

/** Fragments of each package or folder: name -> { comments, fragments: ['path:line: text'] }. */
export function fragmentsByPackage(files) {
  const byName = new Map()
  for (const { path, text } of files) {
    const name = /^packages\/([^/]+)\/(?:src|peers)\/|^(bench|tools)\//.exec(path)
    if (name === null || !/\.(?:ts|mjs)$/.test(path)) continue
    const key = name[1] ?? name[2]
    const entry = byName.get(key) ?? { comments: 0, fragments: [] }
    byName.set(key, entry)
    for (const comment of commentsOf(text)) {
      entry.comments++
      if (isFragment(comment.text)) entry.fragments.push(`${path}:${comment.line}: ${comment.text.split('\n')[0]}`)
    }
  }
  return byName
}

/** Lines of pages that are too long, but for tables, code and lines without a place to break. */
export function longLines(files) {
  const violations = []
  for (const { path, text } of files) {
    // The changelog is written in one go before a release.
    if (!path.endsWith('.md') || path === 'CHANGELOG.md') continue
    let inCode = false
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trimStart().startsWith('```')) inCode = !inCode
      else if (!inCode && !/^(?:\||#| {4}|<)/.test(line) && [...line].length > LINE_MAX && / \S.* /.test(line)) {
        violations.push(`${path}:${index + 1}: has ${[...line].length} characters, more than ${LINE_MAX}`)
      }
    }
  }
  return violations
}

/** Imperatives that look like another form of a verb. */
const imperatives =
  /^(?:embed|need|feed|seed|speed|shed|exceed|proceed|bring|string|ring|pass|process|press|compress|express|guess|miss|address|discuss|focus|bypass|suppress|cross|dismiss|assess|access|possess|caress|toss)$/
const notImperative =
  /^(?:a|an|the|what|who|which|those|these|it|its|all|no|every|each|some|somebody|everybody|nobody|when|where|how|why|more|of|in|on|for|as)$/
const nounBefore = /^(?:of|is|are|was|were|has|have|may|must|can|could|does|who|which)$/

/** Describes the fault in the subject of a commit; null when there is none. */
export function subjectFault(subject) {
  if (/^(?:Merge|Revert) /.test(subject)) return null
  if ([...subject].length > 72) return `has ${[...subject].length} characters, more than 72`
  const match = /^[a-z][\w/.,-]*(?:, [a-z][\w/.-]*)*: (\S+)(?: (\S+))?/.exec(subject)
  if (match === null) return 'is not "area: imperative subject"'
  const [, first, second = ''] = match
  const word = first.replace(/[,;:]$/, '')
  if (/^[A-Z]/.test(word) && !/[A-Z_0-9]{2}/.test(word)) return `begins with a capital letter: "${word}"`
  const isNoun = nounBefore.test(second) && !/^(?:tell|warn|speak|think|dispose|take)$/.test(word)
  if (notImperative.test(word) || isNoun) return `begins with "${word}", which is no imperative`
  if (/(?:[^s]s|ed|ing)$/.test(word) && !imperatives.test(word)) return `begins with "${word}", which is no imperative`
  return null
}

if (import.meta.filename === process.argv[1]) {
  const files = filesBelow('.').map((path) => ({ path, read: () => readFileSync(join(root, path), 'utf8') }))
  const sources = files.filter(({ path }) => /\.(?:ts|mjs)$/.test(path))
  const byName = fragmentsByPackage(sources.map(({ path, read }) => ({ path, text: read() })))
  for (const [name, { comments, fragments }] of byName) {
    if (process.argv[2] === name) console.log(fragments.join('\n'))
    else if (process.argv[2] === undefined) {
      const share = ((100 * fragments.length) / comments).toFixed(1)
      console.log(`${name.padEnd(9)} ${share.padStart(5)} %  ${fragments.length} of ${comments} doc comments`)
    }
  }
}
