/* Generated pages are what the code says, and links between pages lead somewhere. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { pages } from '../docs.mjs'
import { filesBelow, root } from '../lib/workspace.mjs'

for (const [path, text] of pages) {
  test(`${path} is up to date (npm run docs)`, () => {
    assert.equal(readFileSync(join(root, path), 'utf8'), text)
  })
}

test('links between the pages of the repository lead somewhere', () => {
  const broken = []
  for (const path of filesBelow('.').filter((each) => each.endsWith('.md'))) {
    const text = readFileSync(join(root, path), 'utf8').replace(/```[\s\S]*?```|`[^`\n]*`/g, '')
    for (const [, link] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!/^[a-z]+:/.test(link) && !existsSync(join(root, dirname(path), link))) broken.push(`${path}: ${link}`)
    }
  }
  assert.deepEqual(broken, [])
})
