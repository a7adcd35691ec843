/* docs/learn and its Spanish translation have the same structure: a translation that lacks a part is found. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../lib/workspace.mjs'

const pagesIn = (folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .sort()

/** Marks of the structure in order: headings by level, lists, tables by width, code, packets and flows by name, links. */
function structureOf(path) {
  const page = readFileSync(join(root, path), 'utf8')
  const shape = []
  for (const line of page.split('\n')) {
    const heading = /^(#+) /.exec(line)
    const mark = /^<!-- (packet|flow): (.+?) -->$/.exec(line)
    if (heading) shape.push(`heading ${heading[1].length}`)
    else if (mark) shape.push(`${mark[1]} ${mark[2]}`)
    else if (/^\d+\. /.test(line)) shape.push(`item ${/^\d+/.exec(line)[0]}`)
    else if (/^- /.test(line)) shape.push('point')
    else if (line.startsWith('|')) shape.push(`row of ${line.split('|').length - 2}`)
    const isCode = /^ {4}\S/.test(line)
    if (isCode) shape.push(`code ${line.replace(/ {2,}#.*/, '').trim()}`)
  }
  const links = [...page.matchAll(/\]\((?:\.\.\/)*([^)]+)\)/g)].map(([, to]) => to.replace(/\.es\.md$/, '.md'))
  return { shape, links: links.filter((to) => !/learn\/README\.md$/.test(to)).sort() }
}

test('each page has a translation', () => {
  assert.deepEqual(pagesIn('docs/es/learn'), pagesIn('docs/learn'))
})

for (const page of pagesIn('docs/learn')) {
  test(`docs/es/learn/${page} has the parts, packets, code and links of docs/learn/${page}`, () => {
    const [english, spanish] = [structureOf(`docs/learn/${page}`), structureOf(`docs/es/learn/${page}`)]
    assert.deepEqual(spanish.shape, english.shape)
    assert.deepEqual(spanish.links, english.links)
  })
}

test('each page but the index has five questions and five answers', () => {
  for (const page of pagesIn('docs/learn').filter((name) => name !== 'README.md')) {
    const text = readFileSync(join(root, 'docs/learn', page), 'utf8')
    const [questions, answers] = text.slice(text.indexOf('## Questions')).split('<details>')
    for (const part of [questions, answers]) assert.equal([...part.matchAll(/^\d\. /gm)].length, 5, page)
  }
})
