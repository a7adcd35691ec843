/** The simulated disk of a client keeps the contract of every `RowStore`, and a crash does to it what a crash does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rowStoreCases } from '@recado/client/testing'
import { ClientDisk, type DiskUser } from './client-disk.ts'

class User implements DiskUser {
  isDead = false
  touches = Number.POSITIVE_INFINITY

  opened(): void {}
  touch(): void {
    if (--this.touches <= 0) this.isDead = true
  }
}

const atOnce = (): ClientDisk =>
  new ClientDisk(
    (_delayMs, run) => void setImmediate(run),
    () => 0,
  )

for (const { name, run } of rowStoreCases) {
  test(name, async () => {
    const disk = atOnce()
    await run({ store: () => disk.rowsFor(new User()) })
  })
}

test('a batch on its way at a crash is lost as a whole or there as a whole, and the lock is free', async () => {
  for (const isDurable of [true, false]) {
    const disk = atOnce()
    const user = new User()
    const rows = disk.rowsFor(user)
    await rows.open()
    await rows.write(new Map([[1, Uint8Array.of(1)]]))
    let isSettled = false
    const changes = new Map([
      [1, null],
      [2, Uint8Array.of(2)],
      [3, Uint8Array.of(3)],
    ])
    const settled = (): void => {
      isSettled = true
    }
    rows.write(changes).then(settled, settled)
    assert.ok(disk.isWriting)
    user.isDead = true
    disk.crash(user, isDurable)
    const next = disk.rowsFor(new User())
    const { rows: found } = await next.open()
    assert.deepEqual(
      found.map(([key]) => key),
      isDurable ? [2, 3] : [1],
    )
    assert.equal(isSettled, false)
  }
})

test('who dies at the call hands nothing over; a disk that fails writes nothing', async () => {
  const disk = atOnce()
  const user = new User()
  const rows = disk.rowsFor(user)
  await rows.open()
  user.touches = 1
  void rows.write(new Map([[1, Uint8Array.of(1)]]))
  assert.ok(user.isDead)
  disk.crash(user, true)
  assert.equal(disk.rows.size, 0)
  const next = disk.rowsFor(new User())
  await next.open()
  disk.failure = new Error('disk full')
  await assert.rejects(next.write(new Map([[1, Uint8Array.of(1)]])), /disk full/)
  await assert.rejects(next.close(), /disk full/)
  assert.equal(disk.isLocked, false)
  assert.equal(disk.rows.size, 0)
})
