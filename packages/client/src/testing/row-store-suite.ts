/** Registers the contract of a `RowStore` as tests of `node:test`. Each test has a place of its own. */
import { suite, type TestContext, test } from 'node:test'
import { type RowStorePlace, rowStoreCases } from './row-store-contract.ts'

export function rowStoreSuite(name: string, makePlace: (t: TestContext) => RowStorePlace): void {
  suite(`rows of ${name}`, () => {
    for (const { name: title, run } of rowStoreCases) test(title, (t) => run(makePlace(t)))
  })
}
