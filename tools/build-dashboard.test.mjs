/* The bundle of the dashboard: its size, and that it asks for nothing outside. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { buildDashboard } from './build-dashboard.mjs'

const FIRST_PAGE_MAX = 150 * 1024

const scratch = mkdtempSync(join(tmpdir(), 'recado-dashboard-'))
after(() => rmSync(scratch, { recursive: true, force: true }))
const folder = join(scratch, 'dashboard')
const { outputs } = buildDashboard(folder)
const read = (name) => readFileSync(join(folder, name))
/** Bytes on the wire: fonts are compressed already. */
const sent = (name) => (name.endsWith('.woff2') ? read(name).length : gzipSync(read(name), { level: 9 }).length)

/** Output and all that it imports at once, by name. */
function withImports(path, seen = new Set()) {
  if (seen.has(path)) return seen
  seen.add(path)
  for (const { path: to, kind } of outputs[path].imports) if (kind === 'import-statement') withImports(to, seen)
  return seen
}

test('the first page is at most 150 KiB on the wire, with its font', () => {
  const page = read('index.html').toString()
  const named = [...page.matchAll(/"\/assets\/([^"]+)"/g)].map(([, name]) => name)
  assert.equal(named.length, 5)
  const main = Object.keys(outputs).find((path) => basename(path) === named.find((name) => name.startsWith('main-')))
  const names = new Set(['index.html', ...named, ...[...withImports(main)].map((path) => basename(path))])
  const bytes = [...names].reduce((sum, name) => sum + sent(name), 0)
  assert.ok(bytes <= FIRST_PAGE_MAX, `${bytes} bytes: ${[...names].map((name) => `${name} ${sent(name)}`).join(', ')}`)
})

test('no script stands in the page, and no address of another machine in any file', () => {
  const page = read('index.html').toString()
  assert.doesNotMatch(page, /<script(?![^>]*\bsrc=)|\bon\w+=|<style|style=/)
  // Names of XML namespaces, which nobody fetches.
  const namespaces = /https?:\/\/www\.w3\.org\/[\w/]+/g
  for (const name of readdirSync(folder)) {
    if (!/\.(html|js|css|svg)$/.test(name)) continue
    const found = read(name)
      .toString()
      .replace(namespaces, '')
      .match(/(?:https?:)?\/\/[a-z0-9-]+\.[a-z]{2,}/i)
    assert.equal(found, null, `${name}: ${found?.[0]}`)
  }
})

test('the licence of everything in it comes along', () => {
  const text = read('licenses.txt').toString()
  for (const name of [
    'preact',
    '@preact/signals',
    'uplot',
    '@fontsource-variable/inter',
    'cbor2',
    '@msgpack/msgpack',
  ]) {
    assert.match(text, new RegExp(`^${name} \\d`, 'm'))
  }
})
