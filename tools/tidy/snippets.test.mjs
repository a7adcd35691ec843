/* The TypeScript in the pages of client and broker compiles, as somebody would who copies it. Needs a build. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../lib/workspace.mjs'

const pages = ['packages/client/README.md', 'packages/broker/README.md', 'docs/migrating-from-mqttjs.md']

test('snippets of client and broker compile', { timeout: 120_000 }, () => {
  // Below the root, so that packages are found.
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'snippets-'))
  try {
    const files = pages.flatMap((page) => {
      const blocks = [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm)]
      assert.ok(blocks.length > 0, `no snippet in ${page}`)
      return blocks.map(([, code], index) => {
        const path = join(folder, `${page.replace(/\W/g, '-')}-${index}.ts`)
        writeFileSync(
          path,
          `${code}\ndeclare function store(id: string | undefined, value: unknown): void\nexport {}\n`,
        )
        return path
      })
    })
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const flags = [
      '--noEmit',
      '--ignoreConfig',
      '--strict',
      '--skipLibCheck',
      '--target',
      'es2023',
      '--module',
      'nodenext',
      '--types',
      'node',
    ]
    const libraries = ['--lib', 'es2023,esnext.disposable,dom']
    const { stdout, status } = spawnSync(process.execPath, [tsc, ...flags, ...libraries, ...files], {
      encoding: 'utf8',
    })
    assert.equal(stdout, '')
    assert.equal(status, 0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
