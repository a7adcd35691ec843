import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Store, Table } from '../ports.ts'
import { keysOf, rowsOf, storeSuite, writeTo } from '../testing/store-suite.ts'
import { compactLmdbStore, openLmdbStore, openLmdbStoreReader, SCHEMA_VERSION } from './lmdb-store.ts'

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

function newFolder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'recado-lmdb-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Rows (0..count, 0, 0) of Table.Messages. */
async function fillWith(store: Store, count: number): Promise<void> {
  await writeTo(store, () => {
    for (let i = 0; i < count; i++) store.put(Table.Messages, i, 0, 0, Buffer.from(`row ${i}`))
  })
}

const noQuarantine = (): void => assert.fail('the file was set aside')

test('a missing data folder is made for its owner alone', async (t) => {
  const path = join(newFolder(t), 'a', 'b')
  const store = await openLmdbStore({ path })
  assert.equal(statSync(path).mode & 0o777, 0o700)
  assert.equal(statSync(join(path, 'recado.mdb')).mode & 0o777, 0o600)
  await store.close()
  assert.deepEqual(readdirSync(path).sort(), ['recado.mdb', 'recado.mdb-lock'])
})

test('a path that is a file is refused', async (t) => {
  const path = join(newFolder(t), 'file')
  writeFileSync(path, '')
  await assert.rejects(openLmdbStore({ path }), {
    code: 'ERR_MQTT_STORE_FOLDER',
    message: /a file is in the place of a folder/,
  })
  await assert.rejects(openLmdbStore({ path: join(path, 'below') }), { code: 'ERR_MQTT_STORE_FOLDER' })
})

test('a folder that this process uses is refused by name', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  await assert.rejects(openLmdbStore({ path }), (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_MQTT_STORE_LOCKED')
    assert.ok(error.message.includes(path))
    assert.match(error.message, /this process/)
    return true
  })
  await fillWith(store, 3)
  await store.close()
  await (await openLmdbStore({ path })).close()
})

test('the lock of a process that is gone is taken over', async (t) => {
  const path = newFolder(t)
  await (await openLmdbStore({ path })).close()
  const lock = { pid: 2 ** 22 + 1, startedAt: '1', bootId: '', pidNamespace: '', phase: 'open' }
  for (const text of [JSON.stringify(lock), JSON.stringify({ ...lock, pid: process.pid, bootId: bootId() })]) {
    writeFileSync(join(path, 'recado.lock'), text)
    const store = await openLmdbStore({ path, onQuarantine: noQuarantine })
    assert.equal(JSON.parse(readFileSync(join(path, 'recado.lock'), 'utf8')).pid, process.pid)
    await store.close()
    assert.ok(!existsSync(join(path, 'recado.lock')))
  }
})

function bootId(): string {
  return existsSync('/proc/sys/kernel/random/boot_id')
    ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    : ''
}

test('a lock that a power cut left empty or torn is taken over', async (t) => {
  const path = newFolder(t)
  await (await openLmdbStore({ path })).close()
  for (const text of ['{"pid":12', 'null', '\0\0\0\0']) {
    writeFileSync(join(path, 'recado.lock'), text)
    utimesSync(join(path, 'recado.lock'), 1, 1)
    await (await openLmdbStore({ path, onQuarantine: noQuarantine })).close()
  }
})

test('an empty lock of the future is taken over: after a power cut the clock may be behind', async (t) => {
  const path = await filledFolder(t, 10)
  const lockPath = join(path, 'recado.lock')
  writeFileSync(lockPath, '')
  const tomorrow = Date.now() / 1_000 + 86_400
  utimesSync(lockPath, tomorrow, tomorrow)
  const store = await openLmdbStore({ path, onQuarantine: noQuarantine })
  assert.equal(keysOf(store, Table.Messages).length, 10)
  await store.close()
})

test('an empty lock is waited for, as somebody may be writing it, and then taken over', async (t) => {
  const path = await filledFolder(t, 10)
  writeFileSync(join(path, 'recado.lock'), '')
  const store = await openLmdbStore({ path, onQuarantine: noQuarantine })
  assert.equal(keysOf(store, Table.Messages).length, 10)
  await store.close()
  assert.deepEqual(readdirSync(path).sort(), ['recado.mdb', 'recado.mdb-lock'])
})

test('what a killed start has left beside the lock is removed', async (t) => {
  const path = newFolder(t)
  writeFileSync(join(path, 'recado.lock.4711'), 'x')
  writeFileSync(join(path, 'recado.lock.4711.old'), 'x')
  await (await openLmdbStore({ path })).close()
  assert.deepEqual(readdirSync(path).sort(), ['recado.mdb', 'recado.mdb-lock'])
})

test('data of a newer schema is refused and left alone', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  const version = Buffer.from([0, 0, 0, SCHEMA_VERSION])
  assert.deepEqual(Buffer.from(store.get(Table.Meta, 0, 0, 0) as Uint8Array), version)
  await writeTo(store, () => store.put(Table.Meta, 0, 0, 0, Buffer.from([0, 0, 0, SCHEMA_VERSION + 1])))
  await store.close()
  const before = readFileSync(join(path, 'recado.mdb'))
  const refusal = { code: 'ERR_MQTT_STORE_VERSION', message: new RegExp(`schema ${SCHEMA_VERSION + 1}`) }
  await assert.rejects(openLmdbStore({ path, onQuarantine: noQuarantine }), refusal)
  await assert.rejects(openLmdbStoreReader(path), refusal)
  assert.ok(before.equals(readFileSync(join(path, 'recado.mdb'))))
  assert.ok(!existsSync(join(path, 'recado.lock')))
})

/** A folder whose store holds `count` rows, closed in order. */
async function filledFolder(t: TestContext, count: number): Promise<string> {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  await fillWith(store, count)
  await store.close()
  return path
}

async function expectQuarantine(path: string, reason: RegExp): Promise<void> {
  const events: { path: string; reason: string }[] = []
  const damaged = readFileSync(join(path, 'recado.mdb'))
  const store = await openLmdbStore({ path, onQuarantine: (event) => events.push(event) })
  assert.equal(events.length, 1)
  assert.match(events[0]?.reason ?? '', reason)
  assert.match(events[0]?.path ?? '', /recado\.mdb\.corrupt-\d{8}-\d{6}/)
  assert.ok(damaged.equals(readFileSync(events[0]?.path ?? '')))
  assert.deepEqual(keysOf(store, Table.Messages), [])
  await fillWith(store, 10)
  await store.close()
  const again = await openLmdbStore({ path, onQuarantine: noQuarantine })
  assert.equal(keysOf(again, Table.Messages).length, 10)
  await again.close()
}

test('a truncated data file is set aside and the store starts anew, also after a clean end', async (t) => {
  const path = await filledFolder(t, 5_000)
  const whole = readFileSync(join(path, 'recado.mdb'))
  for (const bytes of [1, 100, 4_096, 8_191, 8_192, 12_288, whole.length / 2, whole.length - 4_096, whole.length - 1]) {
    writeFileSync(join(path, 'recado.mdb'), whole.subarray(0, Math.floor(bytes)))
    await expectQuarantine(path, /ends|truncated/)
  }
})

test('a data file that is something else is set aside', async (t) => {
  const path = await filledFolder(t, 10)
  writeFileSync(join(path, 'recado.mdb'), 'x'.repeat(100_000))
  await expectQuarantine(path, /./)
  writeFileSync(join(path, 'recado.mdb'), Buffer.alloc(100_000))
  await expectQuarantine(path, /./)
})

test('an empty data file is a new store', async (t) => {
  const path = newFolder(t)
  writeFileSync(join(path, 'recado.mdb'), '')
  const store = await openLmdbStore({ path, onQuarantine: noQuarantine })
  await fillWith(store, 3)
  await store.close()
})

test('after a start that did not end, every overwritten page in use is found', async (t) => {
  const path = await filledFolder(t, 2_000)
  const whole = readFileSync(join(path, 'recado.mdb'))
  const pages = whole.length / 4_096
  let found = 0
  for (let page = 2; page < pages; page++) {
    const copy = Buffer.from(whole)
    copy.fill(0xa5, page * 4_096, page * 4_096 + 64)
    writeFileSync(join(path, 'recado.mdb'), copy)
    writeFileSync(join(path, 'recado.lock'), JSON.stringify({ pid: 2 ** 22 + 1, bootId: 'another', phase: 'open' }))
    const events: unknown[] = []
    const store = await openLmdbStore({ path, onQuarantine: (event) => events.push(event) })
    if (events.length > 0) found++
    else assert.equal(keysOf(store, Table.Messages).length, 2_000)
    await store.close()
  }
  assert.ok(found > pages / 2, `${found} of ${pages}`)
})

test('two quarantines in one second have two names', async (t) => {
  const path = await filledFolder(t, 10)
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(path, 'recado.mdb'), 'x'.repeat(100_000))
    await (await openLmdbStore({ path, onQuarantine: () => undefined })).close()
  }
  assert.equal(readdirSync(path).filter((name) => name.includes('.corrupt-')).length, 3)
})

test('a reader sees what the broker has written, while it runs', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  await fillWith(store, 100)
  const reader = await openLmdbStoreReader(path)
  assert.equal(keysOf(reader, Table.Messages).length, 100)
  assert.equal(Buffer.from(reader.get(Table.Messages, 7, 0, 0) ?? []).toString(), 'row 7')
  assert.equal(reader.get(Table.Messages, 100, 0, 0), undefined)
  await reader.close()
  await fillWith(store, 200)
  assert.equal(keysOf(store, Table.Messages).length, 200)
  await store.close()
})

test('a reader of a folder without data says so', async (t) => {
  const path = newFolder(t)
  await assert.rejects(openLmdbStoreReader(path), { code: 'ERR_MQTT_STORE_OPEN', message: /cannot read/ })
  assert.deepEqual(readdirSync(path), [])
})

test('a backup that is made while batches are written is a whole store of one moment', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  await fillWith(store, 20_000)
  let isRunning = true
  const writing = (async () => {
    // Every batch moves one row from Messages to Flights: together there are always 20,000.
    for (let i = 0; isRunning && i < 20_000; i++) {
      await writeTo(store, () => {
        store.remove(Table.Messages, i, 0, 0)
        store.put(Table.Flights, i, 0, 0, Buffer.from('moved'))
      })
    }
  })()
  const target = newFolder(t)
  const progress: number[] = []
  await store.backup(join(target, 'recado.mdb'), (written) => progress.push(written))
  isRunning = false
  await writing
  assert.equal(progress.at(-1), statSync(join(target, 'recado.mdb')).size)
  assert.equal(statSync(join(target, 'recado.mdb')).mode & 0o777, 0o600)
  await assert.rejects(store.backup(join(target, 'recado.mdb')), { code: 'ERR_MQTT_STORE_BACKUP', message: /already/ })
  await store.close()
  const copy = await openLmdbStore({ path: target, onQuarantine: noQuarantine })
  const flights = keysOf(copy, Table.Flights).length
  assert.equal(keysOf(copy, Table.Messages).length + flights, 20_000)
  await copy.close()
})

test('a backup into a folder that is not there fails with its name and leaves nothing', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  const file = join(path, 'file')
  writeFileSync(file, '')
  await assert.rejects(store.backup(join(file, 'copy.mdb')), { code: 'ERR_MQTT_STORE_BACKUP', message: /file/ })
  await assert.rejects(store.backup(join(path, 'none', 'copy.mdb')), { code: 'ERR_MQTT_STORE_BACKUP', message: /none/ })
  await fillWith(store, 1)
  await store.close()
  assert.deepEqual(readdirSync(path).sort(), ['file', 'recado.mdb', 'recado.mdb-lock'])
})

test('compaction gives space back and keeps every row', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  await fillWith(store, 50_000)
  await writeTo(store, () => {
    for (let i = 100; i < 50_000; i++) store.remove(Table.Messages, i, 0, 0)
  })
  await store.close()
  const { bytesBefore, bytesAfter } = await compactLmdbStore({ path })
  assert.ok(bytesAfter < bytesBefore / 10, `${bytesBefore} -> ${bytesAfter}`)
  const again = await openLmdbStore({ path, onQuarantine: noQuarantine })
  assert.deepEqual(rowsOf(again, Table.Messages)[99], [99, 0, 0, 'row 99'])
  assert.equal(keysOf(again, Table.Messages).length, 100)
  await again.close()
})

test('what a killed compaction left behind is removed at the next start', async (t) => {
  const path = await filledFolder(t, 10)
  mkdirSync(join(path, 'other'))
  copyFileSync(join(path, 'recado.mdb'), join(path, 'recado.mdb.compact'))
  mkdirSync(join(path, 'recado.mdb.compact.part'))
  copyFileSync(join(path, 'recado.mdb'), join(path, 'recado.mdb.compact.part', 'recado.mdb.compact'))
  const store = await openLmdbStore({ path })
  assert.equal(keysOf(store, Table.Messages).length, 10)
  await store.close()
  assert.deepEqual(readdirSync(path).sort(), ['other', 'recado.mdb', 'recado.mdb-lock'])
})

test('the file may outgrow the address space that was reserved for it', async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path, mapSizeBytes: 2 ** 20 })
  const value = Buffer.alloc(2_000, 'x')
  for (let batch = 0; batch < 20; batch++) {
    const written = writeTo(store, () => {
      for (let i = 0; i < 500; i++) store.put(Table.Messages, batch * 500 + i, 0, 0, value)
    })
    // Reads while the map moves see the old one.
    assert.equal(keysOf(store, Table.Messages).length, batch * 500)
    await written
    assert.equal(store.get(Table.Messages, batch * 500, 0, 0)?.length, 2_000)
  }
  assert.ok(statSync(join(path, 'recado.mdb')).size > 20_000_000)
  await store.close()
  const again = await openLmdbStore({ path, mapSizeBytes: 2 ** 20, onQuarantine: noQuarantine })
  assert.equal(keysOf(again, Table.Messages).length, 10_000)
  await again.close()
})

test('data of a newer LMDB is refused, one flipped bit in its version is damage', async (t) => {
  const path = await filledFolder(t, 10)
  const file = join(path, 'recado.mdb')
  const whole = readFileSync(file)
  const newer = Buffer.from(whole)
  for (const page of [0, 1]) newer.writeUInt32LE(3, page * 4_096 + 28)
  writeFileSync(file, newer)
  await assert.rejects(openLmdbStore({ path, onQuarantine: noQuarantine }), { code: 'ERR_MQTT_STORE_VERSION' })
  assert.ok(newer.equals(readFileSync(file)))
  const flipped = Buffer.from(whole)
  flipped.writeUInt32LE(3, 28)
  writeFileSync(file, flipped)
  await expectQuarantine(path, /data version 3 does not exist/)
})
