import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { BatchSize, DiskRoom } from './lmdb-room.ts'

test('a batch is counted in pages that may be new: values, and what removals write anew', () => {
  const size = new BatchSize()
  const least = size.bytesNeeded(0)
  assert.ok(least >= 4096)
  size.remove()
  assert.equal(size.onlyRemoves, true)
  assert.equal(size.bytesNeeded(0), least)
  assert.equal(size.bytesNeeded(1_000_000), least + 4096)
  size.put(100)
  assert.equal(size.onlyRemoves, false)
  const small = size.bytesNeeded(1_000_000)
  assert.ok(small > least + 4096 + 100)
  size.put(20_000)
  assert.ok(size.bytesNeeded(1_000_000) >= small + 5 * 4096)
  size.clear()
  assert.equal(size.bytesNeeded(1_000_000), least)
})

test('where there is plenty of room the file stays as it is', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-room-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'data')
  writeFileSync(path, new Uint8Array(4096))
  new DiskRoom(path).ensure(4096, 100_000, false)
  assert.equal(statSync(path).size, 4096)
})

test('what is more than the disk has is refused with the error of the system, and the file is as long as before', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-room-'))
  const isMounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' }).status === 0
  context.after(() => {
    if (isMounted) spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true })
  })
  if (!isMounted) {
    context.skip('only root can mount a small file system')
    return
  }
  const path = join(folder, 'data')
  writeFileSync(path, new Uint8Array(4096))
  const room = new DiskRoom(path)
  assert.throws(() => room.ensure(4096, 2_000_000, true), { code: 'ENOSPC' })
  assert.equal(statSync(path).size, 4096)
  // Zeros, to be overwritten; and what is there already is not made longer again.
  room.ensure(4096, 300_000, true)
  assert.ok(statSync(path).size >= 304_096)
  const { size } = statSync(path)
  room.ensure(4096, 200_000, true)
  assert.equal(statSync(path).size, size)
  // The reserve is for those that only remove.
  assert.throws(() => room.ensure(4096, 600_000, false), { code: 'ENOSPC' })
  room.ensure(4096, 600_000, true)
})
