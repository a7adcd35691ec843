/** The LMDB store with killed processes, full disks and scrambled files; each test has processes of its own. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Table } from '../ports.ts'
import { ROWS_KEPT, valueAt } from '../testing/store-child.ts'
import { keysOf, writeTo } from '../testing/store-suite.ts'
import { openLmdbStore, openLmdbStoreReader } from './lmdb-store.ts'

const childPath = fileURLToPath(new URL('../testing/store-child.js', import.meta.url))
const isRoot = process.getuid?.() === 0
const isLinux = process.platform === 'linux'

function newFolder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'recado-lmdb-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface Child {
  readonly process: ChildProcess
  /** Lines of stdout so far. */
  readonly lines: string[]
  line(text: RegExp): Promise<string>
  kill(): Promise<void>
}

function start(t: TestContext, mode: string, path: string): Child {
  const child = spawn(process.execPath, [childPath, mode, path], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  let rest = ''
  let noise = ''
  const waiting = new Set<() => void>()
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    for (const look of [...waiting]) look()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    noise += chunk.toString()
  })
  const closed = once(child, 'close')
  t.after(() => child.kill('SIGKILL'))
  return {
    process: child,
    lines,
    line: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const line = lines.find((candidate) => text.test(candidate))
          if (line === undefined) return
          waiting.delete(look)
          resolve(line)
        }
        waiting.add(look)
        void closed.then(() => reject(new Error(`ended without ${text}: ${lines.join(' | ')} ${noise}`)))
        look()
      }),
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
  }
}

/** The same every time: a failure can be repeated, but for the moment at which the kill arrives. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Checks that all batches reported as done are there, and none in part. */
async function checkAfterKill(path: string, reported: number): Promise<number> {
  const store = await openLmdbStore({ path, onQuarantine: ({ reason }) => assert.fail(`set aside: ${reason}`) })
  const counter = store.get(Table.Meta, 1, 0, 0)
  const last = counter ? new DataView(counter.buffer, counter.byteOffset).getUint32(0) : 0
  assert.ok(last >= reported, `${reported} was done, ${last} is there`)
  let expected = Math.max(1, last - ROWS_KEPT + 1)
  store.scan(Table.Messages, (a, b, c, value) => {
    assert.deepEqual([a, b, c], [expected, 0, 0])
    assert.ok(Buffer.from(valueAt(a)).equals(value))
    expected++
  })
  assert.equal(expected, last + 1)
  const flights = keysOf(store, Table.Flights)
  assert.equal(flights.length, last)
  await store.close()
  return last
}

const reportedBy = (child: Child): number => Number(child.lines.findLast((line) => /^\d+$/.test(line)) ?? 0)

test('kill -9 during heavy writes loses nothing that was done', { timeout: 300_000 }, async (t) => {
  const path = newFolder(t)
  const random = seeded(1)
  let before = 0
  for (let round = 0; round < 12; round++) {
    const child = start(t, 'write', path)
    await child.line(/^\d/)
    await after(random(120))
    await child.kill()
    assert.deepEqual(child.lines[0], 'open')
    const last = await checkAfterKill(path, reportedBy(child))
    assert.ok(last > before)
    before = last
  }
})

test('kill -9 during start-up never harms the next one', { timeout: 300_000 }, async (t) => {
  const path = newFolder(t)
  const random = seeded(2)
  let reported = 0
  for (let round = 0; round < 25; round++) {
    const child = start(t, 'write', path)
    // A start takes 60 to 150 ms on the machines this was written on; some rounds get through to the first batches.
    await after(30 + random(170))
    await child.kill()
    assert.ok(!child.lines.some((line) => line.startsWith('quarantined')), child.lines.join())
    reported = Math.max(reported, reportedBy(child))
  }
  await checkAfterKill(path, reported)
})

test('kill -9 during compaction leaves a whole file', { timeout: 300_000 }, async (t) => {
  const path = newFolder(t)
  const writer = start(t, 'write', path)
  await writer.line(/^\d{5}/)
  await writer.kill()
  const last = await checkAfterKill(path, reportedBy(writer))
  const random = seeded(3)
  for (let round = 0; round < 10; round++) {
    const child = start(t, 'compact', path)
    await child.line(/compacted/)
    await after(random(60))
    await child.kill()
    assert.equal(await checkAfterKill(path, last), last)
  }
  assert.deepEqual(readdirSync(path).sort(), ['recado.mdb', 'recado.mdb-lock'])
})

test('a folder that another process uses is refused by pid and name', { timeout: 300_000 }, async (t) => {
  const path = newFolder(t)
  const child = start(t, 'hold', path)
  await child.line(/open/)
  await assert.rejects(openLmdbStore({ path }), (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_MQTT_STORE_LOCKED')
    assert.ok(error.message.includes(`process ${child.process.pid}`), error.message)
    assert.ok(error.message.includes(path), error.message)
    return true
  })
  const reader = await openLmdbStoreReader(path)
  assert.deepEqual(keysOf(reader, Table.Messages), [])
  await reader.close()
  await child.kill()
  await (await openLmdbStore({ path, onQuarantine: () => assert.fail() })).close()
})

test('a folder whose user was killed and is a zombie is free', { timeout: 300_000, skip: !isLinux }, async (t) => {
  const path = newFolder(t)
  // A parent that does not ask how its children end, as process 1 of a container may be.
  const command = `'${process.execPath}' '${childPath}' hold '${path}' & echo $! >'${path}/child'; exec sleep 60`
  const parent = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => parent.kill('SIGKILL'))
  await once(parent.stdout!, 'data')
  const pid = Number(readFileSync(join(path, 'child'), 'utf8'))
  process.kill(pid, 'SIGKILL')
  while (!/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await after(10)
  rmSync(join(path, 'child'))
  await (await openLmdbStore({ path, onQuarantine: () => assert.fail() })).close()
})

test('a folder that a process of another container uses is refused', {
  timeout: 300_000,
  skip: !isLinux,
}, async (t) => {
  const path = newFolder(t)
  const child = start(t, 'write', path)
  await child.line(/^\d/)
  // As it looks when the other one counts its processes in a namespace of its own.
  const lockPath = join(path, 'recado.lock')
  const foreign = JSON.stringify({
    ...JSON.parse(readFileSync(lockPath, 'utf8')),
    pid: 1,
    startedAt: '1',
    pidNamespace: 'pid:[1]',
  })
  writeFileSync(lockPath, foreign)
  await assert.rejects(openLmdbStore({ path }), {
    code: 'ERR_MQTT_STORE_LOCKED',
    message: /process 1 of another container/,
  })
  assert.equal(readFileSync(lockPath, 'utf8').trim(), foreign)
  await child.kill()
  const store = await openLmdbStore({ path, onQuarantine: () => assert.fail() })
  await store.close()
})

test('two processes that start at once do not both get the folder', { timeout: 300_000 }, async (t) => {
  const path = newFolder(t)
  for (let round = 0; round < 5; round++) {
    const children = [1, 2, 3].map(() => start(t, 'hold', path))
    const outcomes = await Promise.allSettled(children.map((child) => child.line(/open/)))
    // Whoever lost has ended, so the winner is the one that is left.
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.match(String(outcome.reason), /ERR_MQTT_STORE_LOCKED/)
    }
    await Promise.all(children.map((child) => child.kill()))
  }
})

test('no scrambled file brings a process down', { timeout: 300_000 }, async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  await writeTo(store, () => {
    for (let i = 1; i <= 3_000; i++) {
      store.put(Table.Messages, i, 0, 0, i % 100 === 0 ? Buffer.alloc(9_000, 'x') : valueAt(i))
      store.put(Table.Flights, i, i % 5, 0, valueAt(i).subarray(0, 3))
    }
  })
  await writeTo(store, () => {
    for (let i = 1; i <= 3_000; i += 3) store.remove(Table.Messages, i, 0, 0)
  })
  await store.close()
  const whole = readFileSync(join(path, 'recado.mdb'))
  const random = seeded(4)
  let quarantined = 0
  for (let round = 0; round < 40; round++) {
    const copy = Buffer.from(whole)
    // Mostly where LMDB keeps its numbers: meta pages and the heads of pages.
    for (let n = 1 + random(3); n > 0; n--) {
      const page = random(2) === 0 ? random(2) : random(copy.length / 4_096)
      const at = page * 4_096 + random(random(2) === 0 ? 64 : 4_000)
      if (random(2) === 0) copy.writeUInt8(random(256), at)
      else copy.fill(random(256), at, at + random(300))
    }
    writeFileSync(join(path, 'recado.mdb'), copy)
    rmSync(join(path, 'recado.mdb-lock'), { force: true })
    writeFileSync(join(path, 'recado.lock'), JSON.stringify({ pid: 2 ** 22 + 1, bootId: 'another', phase: 'open' }))
    const child = start(t, 'check', path)
    await child.line(/^ok$/).catch((error: Error) => {
      const kept = join(tmpdir(), `recado-scrambled-${round}.mdb`)
      writeFileSync(kept, copy)
      throw new Error(`round ${round}, file kept in ${kept}: ${error.message}`)
    })
    if (child.lines.some((line) => line.startsWith('quarantined'))) quarantined++
    for (const name of readdirSync(path)) if (name.includes('.corrupt-')) rmSync(join(path, name))
  }
  assert.ok(quarantined > 5, `${quarantined} of 40 were set aside`)
})

/** A small file system in memory; null: this user may not mount one. */
function mountTmpfs(t: TestContext, options: string): string | null {
  const path = mkdtempSync(join(tmpdir(), 'recado-lmdb-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    rmSync(path, { recursive: true })
    return null
  }
  t.after(() => {
    execFileSync('umount', ['-l', path])
    rmSync(path, { recursive: true })
  })
  return path
}

test('a full disk fails the batch, keeps what was done, and goes on when there is space again', {
  timeout: 300_000,
}, async (t) => {
  const mount = isRoot && isLinux ? mountTmpfs(t, 'size=4m') : null
  if (mount === null) return t.skip('only root can mount a small file system')
  const path = join(mount, 'data')
  const filler = join(mount, 'filler')
  writeFileSync(filler, Buffer.alloc(1_000_000))
  const store = await openLmdbStore({ path })
  const write = (batch: number): Promise<void> =>
    writeTo(store, () => {
      for (let i = 0; i < 100; i++) store.put(Table.Messages, batch * 100 + i, 0, 0, Buffer.alloc(200, `${i} `))
    })
  let batch = 0
  const error = await (async () => {
    for (;;) {
      try {
        await write(batch)
        batch++
      } catch (cause) {
        return cause as Error & { code: string }
      }
    }
  })()
  assert.equal(error.code, 'ERR_MQTT_STORE_FULL')
  assert.ok(error.message.includes(path))
  for (let attempt = 0; attempt < 5; attempt++) {
    await assert.rejects(write(batch), { code: 'ERR_MQTT_STORE_FULL' })
    assert.equal(keysOf(store, Table.Messages).length, batch * 100)
    assert.equal(store.get(Table.Messages, 0, 0, 0)?.length, 200)
  }
  rmSync(filler)
  await write(batch)
  assert.equal(keysOf(store, Table.Messages).length, (batch + 1) * 100)
  await store.close()
  const again = await openLmdbStore({ path, onQuarantine: () => assert.fail() })
  assert.equal(keysOf(again, Table.Messages).length, (batch + 1) * 100)
  await again.close()
})

test('a disk that is full at the first start is an error that says so, and no obstacle later', {
  timeout: 300_000,
}, async (t) => {
  const mount = isRoot && isLinux ? mountTmpfs(t, 'size=64k') : null
  if (mount === null) return t.skip('only root can mount a small file system')
  const path = join(mount, 'data')
  const filler = join(mount, 'filler')
  mkdirSync(path)
  const fd = openSync(filler, 'w')
  assert.throws(() => {
    for (;;) writeSync(fd, Buffer.alloc(4_096))
  }, /ENOSPC/)
  await assert.rejects(openLmdbStore({ path }), { code: 'ERR_MQTT_STORE_FOLDER', message: /full/ })
  rmSync(filler)
  closeSync(fd)
  await (await openLmdbStore({ path, onQuarantine: () => assert.fail() })).close()
})

test('a file that may not grow fails the batch like any other error of the disk', {
  timeout: 300_000,
  skip: !isLinux,
}, async (t) => {
  const path = newFolder(t)
  // RLIMIT_FSIZE makes pwrite fail with EFBIG in this process, once the signal that comes with it is caught.
  const caught = (): void => undefined
  process.on('SIGXFSZ', caught)
  t.after(() => process.off('SIGXFSZ', caught))
  const limit = (bytes: string): void => {
    execFileSync('prlimit', [`--pid=${process.pid}`, `--fsize=${bytes}`])
  }
  const store = await openLmdbStore({ path })
  const write = (batch: number): Promise<void> =>
    writeTo(store, () => {
      for (let i = 0; i < 1_000; i++) store.put(Table.Messages, batch * 1_000 + i, 0, 0, Buffer.alloc(200, 'x'))
    })
  await write(0)
  const soft = statSync(join(path, 'recado.mdb')).size + 100_000
  try {
    limit(`${soft}:`)
  } catch {
    await store.close()
    return t.skip('there is no prlimit')
  }
  // lmdb-js prints the error of each failed commit.
  const printed = t.mock.method(console, 'error', () => undefined).mock
  try {
    await assert.rejects(write(1), { code: 'ERR_MQTT_STORE_WRITE', message: /too large|Input/ })
    await assert.rejects(write(1), { code: 'ERR_MQTT_STORE_WRITE' })
    for (const { arguments: args } of printed.calls) assert.match(String(args[0]), /too large|Input/)
    assert.equal(keysOf(store, Table.Messages).length, 1_000)
  } finally {
    limit('unlimited:')
  }
  await write(1)
  assert.equal(keysOf(store, Table.Messages).length, 2_000)
  await store.close()
})

test('a folder on a read-only file system is refused with what to do', { timeout: 300_000 }, async (t) => {
  const mount = isRoot && isLinux ? mountTmpfs(t, 'size=4m') : null
  if (mount === null) return t.skip('only root can mount a read-only file system')
  const path = join(mount, 'data')
  const store = await openLmdbStore({ path })
  await writeTo(store, () => store.put(Table.Messages, 1, 0, 0, Buffer.from('kept')))
  await store.close()
  execFileSync('mount', ['-o', 'remount,ro', mount])
  await assert.rejects(openLmdbStore({ path }), (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_MQTT_STORE_FOLDER')
    assert.ok(error.message.includes(path))
    assert.match(error.message, /read-only.*mount it for writing/)
    return true
  })
  const reader = await openLmdbStoreReader(path)
  assert.deepEqual(keysOf(reader, Table.Messages), [[1, 0, 0]])
  await reader.close()
})

test('a data file that is removed or replaced under the broker fails the batch, until it is put back', {
  skip: !isLinux,
}, async (t) => {
  const path = newFolder(t)
  const store = await openLmdbStore({ path })
  const write = (position: number): Promise<void> =>
    writeTo(store, () => store.put(Table.Messages, position, 0, 0, Buffer.from('x')))
  await write(1)
  const file = join(path, 'recado.mdb')
  renameSync(file, `${file}.aside`)
  await assert.rejects(write(2), { code: 'ERR_MQTT_STORE_WRITE', message: /has been removed or replaced/ })
  writeFileSync(file, 'of somebody else')
  await assert.rejects(write(2), { code: 'ERR_MQTT_STORE_WRITE' })
  renameSync(`${file}.aside`, file)
  await write(2)
  assert.deepEqual(keysOf(store, Table.Messages).length, 2)
  await store.close()
})
