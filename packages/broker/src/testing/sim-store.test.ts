import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Table } from '../ports.ts'
import { SimStore } from './sim-store.ts'
import { rowsOf, storeSuite, writeTo } from './store-suite.ts'

storeSuite('a simulated disk that completes by itself', async () => {
  const automatic = (store: SimStore): SimStore => {
    store.onWrite = () => void setImmediate(() => store.step())
    return store
  }
  let store = automatic(new SimStore())
  return {
    store,
    async reopen() {
      store = automatic(store.crash())
      return store
    },
    dispose: () => store.close(),
  }
})

function put(store: SimStore, key: number, value: string): { result: Error | null | undefined } {
  const outcome: { result: Error | null | undefined } = { result: undefined }
  store.write(
    () => store.put(Table.Messages, key, 0, 0, Buffer.from(value)),
    (error) => {
      outcome.result = error
    },
  )
  return outcome
}

test('a batch is durable only when it is stepped', () => {
  const store = new SimStore()
  const outcome = put(store, 1, 'one')
  assert.equal(outcome.result, undefined)
  assert.deepEqual(rowsOf(store, Table.Messages), [])
  assert.equal(store.step(), true)
  assert.equal(outcome.result, null)
  assert.deepEqual(rowsOf(store, Table.Messages), [[1, 0, 0, 'one']])
  assert.equal(store.step(), false)
})

test('a crash drops what is not done, or keeps it untold', () => {
  for (const inFlight of ['lost', 'durable'] as const) {
    const store = new SimStore()
    put(store, 1, 'one')
    store.step()
    const outcome = put(store, 2, 'two')
    const survivor = store.crash(inFlight)
    assert.equal(outcome.result, undefined)
    assert.deepEqual(
      rowsOf(survivor, Table.Messages),
      [[1, 0, 0, 'one'] as const, [2, 0, 0, 'two'] as const].slice(0, inFlight === 'lost' ? 1 : 2),
    )
    assert.throws(() => store.get(Table.Messages, 1, 0, 0), /assertion/)
    assert.equal(store.step(), false)
  }
})

test('a failing disk fails every batch, applies nothing and recovers', () => {
  const store = new SimStore()
  store.failure = new Error('the disk is full')
  for (let i = 0; i < 2; i++) {
    const outcome = put(store, 1, 'one')
    store.step()
    assert.equal(outcome.result, store.failure)
  }
  assert.deepEqual(rowsOf(store, Table.Messages), [])
  store.failure = null
  put(store, 1, 'one')
  store.step()
  assert.deepEqual([store.writes, store.commits], [3, 1])
  assert.deepEqual(rowsOf(store, Table.Messages), [[1, 0, 0, 'one']])
})

test('bytes that were lent are spoilt by the next call', async () => {
  const store = new SimStore()
  store.onWrite = () => void setImmediate(() => store.step())
  await writeTo(store, () => store.put(Table.Messages, 1, 0, 0, Buffer.from('abc')))
  const lent = store.get(Table.Messages, 1, 0, 0)
  store.get(Table.Messages, 2, 0, 0)
  assert.deepEqual([...(lent ?? [])], [0xdd, 0xdd, 0xdd])
  assert.deepEqual(rowsOf(store, Table.Messages), [[1, 0, 0, 'abc']])
})

test('a value that changes before its batch is done is found', () => {
  const store = new SimStore()
  const value = Buffer.from('abc')
  store.write(
    () => store.put(Table.Messages, 1, 0, 0, value),
    () => assert.fail(),
  )
  value[0] = 0
  assert.throws(() => store.step(), /assertion: the value of row 3: 1\.0\.0 changed/)
})
