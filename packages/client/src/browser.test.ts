import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

test('the browser entry reaches nothing of Node, and no package but the protocol', () => {
  const seen = new Set<string>()
  const outside = new Set<string>()
  const visit = (url: URL): void => {
    if (seen.has(url.href)) return
    seen.add(url.href)
    for (const [, specifier] of readFileSync(url, 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
      if (specifier!.startsWith('.')) visit(new URL(specifier!, url))
      else outside.add(specifier!)
    }
  }
  visit(new URL('./mod.browser.js', import.meta.url))
  assert.ok(seen.size > 15)
  assert.deepEqual([...outside], ['@recado/protocol'])
})
