import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { mutants, placesOf } from './mutants.ts'
import { changeMutants } from './mutants-changes.ts'
import { storeMutants } from './mutants-store.ts'
import { willMutants } from './mutants-wills.ts'

test('every mutant fits the compiled code in exactly one place', () => {
  const packages = new URL('../../../', import.meta.url)
  for (const mutant of [...mutants, ...storeMutants, ...changeMutants, ...willMutants]) {
    const { name, file } = mutant
    const places = placesOf(mutant, readFileSync(new URL(file, packages), 'utf8'))
    assert.equal(places, 1, `${name}: ${places} places in ${file}`)
  }
})
