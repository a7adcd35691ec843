import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeSuite } from '../testing/store-suite.ts'
import { openLmdbStore } from './lmdb-store.ts'

for (const durability of ['fsync', 'os'] as const) {
  storeSuite(`lmdb with ${durability}`, async () => {
    const path = mkdtempSync(join(tmpdir(), 'recado-lmdb-'))
    let store = await openLmdbStore({ path, durability })
    return {
      store,
      async reopen() {
        await store.close()
        store = await openLmdbStore({ path, durability })
        return store
      },
      async dispose() {
        await store.close()
        rmSync(path, { recursive: true })
      },
    }
  })
}
