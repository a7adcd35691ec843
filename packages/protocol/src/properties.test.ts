import assert from 'node:assert/strict'
import { it } from 'node:test'
import { NO_PROPERTIES, propertyById, propertyByName, propertyDefinitions } from './properties.ts'

it('the table has the 27 properties of Table 2-4, each once, in order', () => {
  assert.equal(propertyDefinitions.length, 27)
  const ids = propertyDefinitions.map(({ id }) => id)
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((a, b) => a - b),
  )
  assert.equal(new Set(propertyDefinitions.map(({ name }) => name)).size, 27)
})

it('a row is found by its identifier and by its name', () => {
  for (const row of propertyDefinitions) {
    assert.equal(propertyById[row.id], row)
    assert.equal(propertyByName.get(row.name), row)
  }
  assert.equal(propertyById[0], undefined)
  assert.equal(propertyById[0x2b], undefined)
})

it('User Property may stand in every packet that has properties, twelve packets and the Will', () => {
  const { packets } = propertyByName.get('userProperties')!
  assert.equal(packets, 0b1100_1111_1111_1111)
})

it('NO_PROPERTIES cannot be changed', () => {
  assert.ok(Object.isFrozen(NO_PROPERTIES))
})
