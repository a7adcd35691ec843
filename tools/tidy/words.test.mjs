/* The rules of docs/STYLE.md that a program can check, over the repository and over samples. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { filesBelow, root } from '../lib/workspace.mjs'
import { wrapPage } from '../lib/wrap.mjs'
import { commentsOf, fragmentsByPackage, isFragment, longLines, subjectFault } from './words.mjs'

/** Largest share of doc comments, in percent, that may begin with a fragment. */
const shares = { protocol: 0, client: 0, broker: 0, admin: 0, recado: 0, testkit: 2, bench: 0, tools: 3 }

const read = (pattern) =>
  filesBelow('.')
    .filter((path) => pattern.test(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

for (const [name, { comments, fragments }] of fragmentsByPackage(read(/\.(?:ts|mjs)$/))) {
  test(`doc comments of ${name} begin with a noun or a verb (docs/STYLE.md)`, () => {
    const share = (100 * fragments.length) / comments
    assert.ok(
      share <= shares[name],
      `${share.toFixed(1)} % do not, more than ${shares[name]} %; all: node tools/tidy/words.mjs ${name}`,
    )
  })
}

test('a fragment is told from a sentence', () => {
  for (const text of ['What it is.', 'Of the listener.', 'Or closing.', 'Is there one?', 'All that comes.']) {
    assert.ok(isFragment(text), text)
  }
  for (const text of ['Offset in bytes.', 'Whether it is open.', 'Itself.', 'Returns it.', 'Forwards it.', 'In ms.']) {
    assert.ok(!isFragment(text), text)
  }
})

test('doc comments and headers are found with their lines', () => {
  const source =
    "/*\n * The header.\n */\nconst a = '/** no */'\n/** One. */\nclass B {\n  /**\n   * Two.\n   */\n  c = 1 // no\n}"
  assert.deepEqual(commentsOf(source), [
    { text: 'The header.', line: 1 },
    { text: 'One.', line: 5 },
    { text: 'Two.', line: 9 },
  ])
})

test('long lines of pages are found, but for tables, code and links', () => {
  const long = 'word '.repeat(30)
  assert.deepEqual(longLines([{ path: 'a.md', text: `x\n${long}` }]), ['a.md:2: has 150 characters, more than 120'])
  for (const text of [`| ${long}|`, `    ${long}`, `\`\`\`\n${long}\n\`\`\``, `[a](${'x'.repeat(130)})`]) {
    assert.deepEqual(longLines([{ path: 'a.md', text }]), [])
  }
})

test('lines of pages have at most 120 characters: run node tools/lib/wrap.mjs FILE', () => {
  assert.deepEqual(longLines(read(/\.md$/).filter(({ path }) => !path.startsWith('docs/api/'))), [])
})

test('a page is wrapped without a change of its meaning, and only where it is too long', () => {
  const long = `${'word '.repeat(30)}\`some code in one piece\` end`
  const page = [
    '# Heading',
    '',
    long,
    'second line',
    '',
    `- item ${long}`,
    '  goes on',
    '- short',
    '',
    `| ${long} |`,
    '',
    `    ${long}`,
    '```',
    long,
    '```',
    'A short paragraph',
    'on two lines.',
  ].join('\n')
  const wrapped = wrapPage(page)
  assert.equal(wrapPage(wrapped), wrapped)
  assert.equal(wrapped.replace(/\s+/g, ' '), page.replace(/\s+/g, ' '))
  assert.deepEqual(longLines([{ path: 'a.md', text: wrapped }]), [])
  for (const line of [`| ${long} |`, `    ${long}`, '# Heading', 'on two lines.'])
    assert.ok(wrapped.includes(`\n${line}`) || wrapped.startsWith(line))
  assert.match(wrapped, /`some code in one piece`/)
})

test('subjects of commits are told to be imperative and short', () => {
  for (const subject of [
    'broker: gate PUBCOMP on commit',
    'broker, recado: pass the address on',
    'testkit: seed the generator once',
    'docs/adr: explain the floors',
    'Revert "broker: gate PUBCOMP on commit"',
  ]) {
    assert.equal(subjectFault(subject), null, subject)
  }
  for (const subject of [
    'gate PUBCOMP on commit',
    'broker: gates PUBCOMP on commit',
    'broker: gated PUBCOMP on commit',
    'broker: gating PUBCOMP on commit',
    'broker: Gate PUBCOMP on commit',
    'recado: what an operator’s odd files found',
    'testkit: clients of the random walk come back',
    'testkit: a page in Chromium is open when its module has run',
    `broker: gate ${'x'.repeat(70)}`,
  ]) {
    assert.notEqual(subjectFault(subject), null, subject)
  }
})

/** Output of git, or null outside a clone with its whole history. */
function git(...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : null
}

test('commits since the last release are "area: imperative subject" of at most 72 characters', (context) => {
  if (git('rev-parse', '--is-shallow-repository') !== 'false') return context.skip('no clone with its whole history')
  const release = git('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*')
  // Before the first release: since this rule exists.
  const start =
    release ?? git('log', '--diff-filter=A', '--format=%H', '--', 'tools/tidy/words.test.mjs').split('\n').at(-1)
  if (start === '') return context.skip('the rule is not committed yet')
  const subjects = git('log', '--no-merges', '--format=%h %s', `${start}..HEAD`).split('\n')
  const wrong = subjects
    .filter((line) => line !== '')
    .map((line) => [line, subjectFault(line.slice(line.indexOf(' ') + 1))])
    .filter(([, fault]) => fault !== null)
  assert.deepEqual(
    wrong.map(([line, fault]) => `"${line}" ${fault}`),
    [],
    'reword with git rebase -i before the commit lands',
  )
})
