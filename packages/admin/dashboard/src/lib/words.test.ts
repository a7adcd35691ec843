import assert from 'node:assert/strict'
import { test } from 'node:test'
import { en } from './en.ts'
import { es } from './es.ts'
import { fill } from './fill.ts'

const namesIn = (text: string): string[] =>
  [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!))].sort()

test('English and Spanish have the same keys, values and forms', () => {
  assert.deepEqual(Object.keys(es).sort(), Object.keys(en).sort())
  for (const [key, text] of Object.entries(en)) {
    const other = es[key as keyof typeof en]
    assert.notEqual(other.trim(), '', key)
    assert.deepEqual(namesIn(other), namesIn(text), key)
    assert.ok(text.split('|').length <= 2 && other.split('|').length <= 2, key)
  }
})

test('a text has the form for its number, and numbers are written as the language does', () => {
  assert.equal(fill('{n} client|{n} clients', { n: 1 }, 'en'), '1 client')
  assert.equal(fill('{n} client|{n} clients', { n: 19_000 }, 'en'), '19,000 clients')
  assert.equal(fill('{n} cliente|{n} clientes', { n: 19_000 }, 'es'), '19.000 clientes')
  assert.equal(fill('{name} of {other}', { name: '<b>{other}</b>' }, 'en'), '<b>{other}</b> of {other}')
})
