import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { rowStoreSuite } from '../testing/row-store-suite.ts'
import { LmdbRows } from './lmdb.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'recado-session-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

rowStoreSuite('lmdb', (t) => {
  const path = folder(t)
  return { store: () => new LmdbRows({ path }) }
})

/** Opens the store in a process of its own, writes row 1, and says how that went; then it sleeps. */
function child(path: string): { ended: Promise<unknown>; kill(): void; said: Promise<string> } {
  const module = new URL('./lmdb.js', import.meta.url).href
  const script = `import { LmdbRows } from ${JSON.stringify(module)}
    const rows = new LmdbRows({ path: ${JSON.stringify(path)} })
    try {
      await rows.open()
      await rows.write(new Map([[1, Uint8Array.of(1)]]))
      console.log('written')
    } catch (error) {
      console.log(error.code)
    }
    setInterval(() => {}, 1000)`
  const process_ = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said = once(process_.stdout, 'data').then(([data]) => String(data).trim())
  return { ended: once(process_, 'exit'), kill: () => process_.kill('SIGKILL'), said }
}

test('another process is refused while the store is open, and has it when the first one was killed', async (t) => {
  const path = folder(t)
  const first = child(path)
  t.after(first.kill)
  assert.equal(await first.said, 'written')
  await assert.rejects(new LmdbRows({ path }).open(), { code: 'ERR_MQTT_SESSION_STORE_LOCKED' })
  const second = child(path)
  t.after(second.kill)
  assert.equal(await second.said, 'ERR_MQTT_SESSION_STORE_LOCKED')
  first.kill()
  await first.ended
  second.kill()
  await second.ended
  const rows = new LmdbRows({ path })
  assert.deepEqual((await rows.open()).rows, [[1, Uint8Array.of(1)]])
  await rows.close()
})

function withWord(bytes: Buffer, at: number, value: number): Buffer {
  bytes.writeUInt32LE(value, at)
  return bytes
}

test('a file that is damaged is set aside, and a new one begun', async (t) => {
  const damages: [string, (bytes: Buffer) => Buffer][] = [
    ['noise', () => Buffer.alloc(20_000, 'noise')],
    ['cut within the first pages', (bytes) => bytes.subarray(0, 5_000)],
    ['cut behind the first pages', (bytes) => bytes.subarray(0, 8_192)],
    ['a page size of 3', (bytes) => withWord(bytes, 48, 3)],
    ['another version', (bytes) => withWord(bytes, 28, 77)],
  ]
  for (const [what, damage] of damages) {
    const path = folder(t)
    const file = join(path, 'session.mdb')
    const before = new LmdbRows({ path })
    await before.open()
    await before.write(new Map([[1, new Uint8Array(10_000)]]))
    await before.close()
    writeFileSync(file, damage(readFileSync(file)))
    const after = new LmdbRows({ path })
    const { rows, quarantined } = await after.open()
    assert.deepEqual(rows, [], what)
    assert.match(quarantined ?? '', /session\.mdb\.corrupt-/, what)
    await after.write(new Map([[2, Uint8Array.of(2)]]))
    await after.close()
    assert.equal(readdirSync(path).filter((name) => name.includes('.corrupt-')).length, 1, what)
  }
})

test('a batch that the disk refuses is refused as a whole, and the next one that fits is taken', async (t) => {
  const path = folder(t)
  const module = new URL('./lmdb.js', import.meta.url).href
  const script = `import { LmdbRows } from ${JSON.stringify(module)}
    const rows = new LmdbRows({ path: ${JSON.stringify(path)} })
    await rows.open()
    await rows.write(new Map([[1, Uint8Array.of(1)]]))
    const big = new Map([[1, null], [2, new Uint8Array(8_000_000)]])
    console.log(await rows.write(big).then(() => 'written', () => 'refused'))
    await rows.write(new Map([[3, Uint8Array.of(3)]]))
    await rows.close()`
  // Files of this process can have 1 MiB.
  const command = `trap '' XFSZ; ulimit -f 1024; exec "$0" --input-type=module -e "$1"`
  const { stdout, stderr } = spawnSync('bash', ['-c', command, process.execPath, script], { encoding: 'utf8' })
  assert.equal(stdout, 'refused\n', stderr)
  const rows = new LmdbRows({ path })
  assert.deepEqual(
    (await rows.open()).rows.map(([key]) => key),
    [1, 3],
  )
  await rows.close()
})

test('options are checked, and a path that is no folder says so', async (t) => {
  assert.throws(() => new LmdbRows({ path: '' }), { code: 'ERR_MQTT_OPTION' })
  const path = join(folder(t), 'file')
  writeFileSync(path, '')
  await assert.rejects(new LmdbRows({ path }).open(), { code: 'EEXIST' })
})
