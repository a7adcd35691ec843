import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricTable, type Verdict } from '@recado/broker'
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

test('every reason why a message is dropped, and all that becomes of one, has words', () => {
  const reasons = Object.keys(metricTable).filter((name) => name.startsWith('dropped.'))
  for (const name of reasons) assert.ok(Object.hasOwn(en, name.replace('dropped.', 'reason.')), name)
  const verdicts: Record<Verdict, true> = {
    ...{ gets: true, waits: true, 'not-chosen': true, 'no-local': true, 'not-authorized': true },
    ...{ 'offline-qos0': true, 'slow-reader': true, 'queue-full': true },
  }
  for (const name of Object.keys(verdicts)) assert.ok(Object.hasOwn(en, `verdict.${name}`), name)
})

test('a text has the form for its number, and numbers are written as the language does', () => {
  assert.equal(fill('{n} client|{n} clients', { n: 1 }, 'en'), '1 client')
  assert.equal(fill('{n} client|{n} clients', { n: 19_000 }, 'en'), '19,000 clients')
  assert.equal(fill('{n} cliente|{n} clientes', { n: 19_000 }, 'es'), '19.000 clientes')
  assert.equal(fill('{name} of {other}', { name: '<b>{other}</b>' }, 'en'), '<b>{other}</b> of {other}')
})
