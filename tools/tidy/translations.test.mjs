/* Pages with figures that a program writes in two languages: the translation has the figures, parts and charts of its original. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../lib/workspace.mjs'

const read = (path) => readFileSync(join(root, path), 'utf8')

/** Rows of the tables by their figures, headings by their level, points and code. Words are left out. */
function shapeOf(page) {
  const shape = []
  for (const line of page.split('\n')) {
    if (line.startsWith('#')) shape.push(`heading ${/^#+/.exec(line)[0].length}`)
    else if (line.startsWith('- ')) shape.push('point')
    else if (line.startsWith('![')) shape.push(/\(([^)]+)\)/.exec(line)[1])
    else if (/^ {4}\S/.test(line)) shape.push(line.replace(/ {2,}\S.*/, '').trim())
    else if (line.startsWith('|')) {
      const [, , ...cells] = line.split('|')
      // Words of a head, and those in the place of a figure, differ by language.
      shape.push(cells.map((cell) => (/\d|^ *$|^-+:?$|–/.test(cell) ? cell.trim() : 'word')).join(' | '))
    }
  }
  return shape
}

for (const page of ['network-lab.md', 'wire-cost.md'].filter((name) => existsSync(join(root, 'docs', name))))
  test(`docs/es/${page} has the figures and parts of docs/${page}`, () => {
    assert.deepEqual(shapeOf(read(`docs/es/${page}`)), shapeOf(read(`docs/${page}`)))
  })
