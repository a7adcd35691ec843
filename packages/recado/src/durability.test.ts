/* The program keeps its data over restarts, kill -9 and damaged files, and reports when it cannot start. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lmdb, Table } from '@recado/broker'
import { freePort, Program, printed, programPath, temporaryFolder } from './testing/program.ts'

/** A session that outlives its connection, subscribed to `t/#`. */
async function absent(port: number, clientId: string): Promise<void> {
  await printed('sub', '-p', String(port), '-c', '-i', clientId, '-t', 't/#', '-q', '1', '-E')
}

/** Topics and payloads of the next messages for that session. */
async function received(port: number, clientId: string, count: number): Promise<string[]> {
  const argv = [
    'sub',
    '-p',
    String(port),
    '-c',
    '-i',
    clientId,
    '-t',
    't/#',
    '-q',
    '2',
    '-C',
    String(count),
    '-W',
    '20',
  ]
  return (await printed(...argv, '-F', '%t %p %q')).trim().split('\n')
}

async function publish(port: number, topic: string, payload: string, ...options: string[]): Promise<void> {
  await printed('pub', '-p', String(port), '-t', topic, '-m', payload, ...options)
}

/** Leaves acknowledged state before the broker ends, which has to be there when it is back. */
async function fill(port: number): Promise<void> {
  await absent(port, 'sleeper')
  await publish(port, 't/1', 'one', '-q', '1')
  await publish(port, 't/2', 'two', '-q', '2')
  await publish(port, 'kept', 'retained', '-q', '1', '-r')
  await publish(port, 't/3', 'three', '-q', '1')
}

async function expectKept(port: number): Promise<void> {
  assert.deepEqual(await received(port, 'sleeper', 3), ['t/1 one 1', 't/2 two 1', 't/3 three 1'])
  assert.equal(await printed('sub', '-p', String(port), '-t', 'kept', '-C', '1', '-W', '20'), 'retained\n')
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  for (const durability of ['fsync', 'os'] as const) {
    test(`sessions, waiting and retained messages are there after ${signal}, with durability ${durability}`, async (context) => {
      const config = [`persistence_location ${temporaryFolder(context)}/data`, `durability ${durability}`]
      const port = await freePort()
      const first = await Program.start(context, port, config)
      await fill(port)
      await first.stop(signal)
      const second = await Program.start(context, port, config)
      assert.match(second.err, /: 1 session, 3 messages waiting, 1 retained message\.$/m)
      await expectKept(port)
      await second.stop('SIGTERM')
      const third = await Program.start(context, port, config)
      assert.match(third.err, /: 1 session, 0 messages waiting, 1 retained message\.$/m)
      await third.stop('SIGTERM')
    })
  }
}

test('persistence false keeps nothing, and makes no folder', async (context) => {
  const folder = join(temporaryFolder(context), 'data')
  const config = [`persistence_location ${folder}`, 'persistence false']
  const port = await freePort()
  const first = await Program.start(context, port, config)
  assert.match(first.err, /Data is kept in memory only/)
  await fill(port)
  await first.stop('SIGTERM')
  const second = await Program.start(context, port, config)
  await absent(port, 'sleeper')
  await publish(port, 't/4', 'four', '-q', '1')
  assert.deepEqual(await received(port, 'sleeper', 1), ['t/4 four 1'])
  await second.stop('SIGTERM')
  assert.throws(() => statSync(folder), { code: 'ENOENT' })
})

test('without a configuration data is kept in ./data, which only its owner can read', async (context) => {
  const cwd = temporaryFolder(context)
  const port = await freePort()
  const child = spawn(process.execPath, [programPath, '-p', String(port)], { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
  context.after(() => child.kill('SIGKILL'))
  let out = ''
  for await (const chunk of child.stdout!) {
    out += String(chunk)
    if (out.includes('Ctrl-C')) break
  }
  // Another port than 1883 is in the name, so that brokers started in one folder do not meet.
  assert.match(out, new RegExp(`Sessions and messages are kept in /.*/data-${port}\\.$`, 'm'))
  assert.equal(statSync(join(cwd, `data-${port}`)).mode & 0o777, 0o700)
  assert.equal(statSync(join(cwd, `data-${port}`, 'recado.mdb')).mode & 0o777, 0o600)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a folder that another broker uses is refused with its process number', async (context) => {
  const config = [`persistence_location ${temporaryFolder(context)}`]
  const first = await Program.start(context, await freePort(), config)
  const second = Program.spawn(context, await freePort(), config)
  assert.equal(await second.ended(), 1)
  const line = new RegExp(
    `^recado: /.* is in use by process ${first.child.pid}: stop it first, or .* \\(--data FOLDER, or persistence_location\\)\n$`,
  )
  assert.match(second.err, line)
  await first.stop('SIGTERM')
})

test('a folder that cannot be written is one line and exit code 1', async (context) => {
  const folder = join(temporaryFolder(context), 'data')
  mkdirSync(folder, { mode: 0o555 })
  // Root may write everywhere: then the broker runs as nobody, who must be able to read its own files.
  const isRoot = process.getuid?.() === 0
  const nobody = 65_534
  chmodSync(join(folder, '..'), 0o755)
  const options = isRoot ? { uid: nobody, gid: nobody } : {}
  const program = Program.spawn(context, await freePort(), [`persistence_location ${folder}`], options)
  assert.equal(await program.ended(), 1)
  if (isRoot && /EACCES|Cannot find module/.test(program.err) && !program.err.startsWith('recado:')) {
    context.skip('user nobody may not read the program')
    return
  }
  assert.match(
    program.err,
    /^recado: cannot keep data in \/.*: user \d+ is not allowed to write to it: change its owner or mode, .*\n$/,
  )
})

test('data of a newer version is one line and exit code 1, and stays as it is', async (context) => {
  const folder = temporaryFolder(context)
  const store = await lmdb({ path: folder })
  await new Promise((resolve) => {
    store.write(() => store.put(Table.Meta, 0, 0, 0, Uint8Array.of(0, 0, 0, 99)), resolve)
  })
  await store.close()
  const before = readFileSync(join(folder, 'recado.mdb'))
  const program = Program.spawn(context, await freePort(), [`persistence_location ${folder}`])
  assert.equal(await program.ended(), 1)
  assert.match(program.err, /^recado: .* was written by a newer broker \(schema 99, this one knows \d+\): .*\n$/)
  assert.ok(before.equals(readFileSync(join(folder, 'recado.mdb'))))
})

test('a damaged data file is put aside, loudly, and the broker starts without it', async (context) => {
  const folder = temporaryFolder(context)
  const config = [`persistence_location ${folder}`, 'log_dest none']
  const port = await freePort()
  const first = await Program.start(context, port, [`persistence_location ${folder}`])
  await fill(port)
  await first.stop('SIGTERM')
  const file = openSync(join(folder, 'recado.mdb'), 'r+')
  writeSync(file, Buffer.alloc(8192, 0xaa), 0, 8192, 0)
  closeSync(file)
  const second = Program.spawn(context, port, config)
  const line =
    /^recado: DATA LOST: the data file in \/.* is damaged \(.*\)\. It is now (\/\S+), and the broker starts EMPTY: /m
  while (!line.test(second.err)) await once(second.child.stderr!, 'data')
  const aside = line.exec(second.err)?.[1] ?? ''
  assert.equal(readFileSync(aside).subarray(0, 4).toString('hex'), 'aaaaaaaa')
  let isUp = false
  while (!isUp) {
    isUp = await absent(port, 'another').then(
      () => true,
      () => false,
    )
  }
  await publish(port, 't/1', 'again', '-q', '1')
  assert.deepEqual(await received(port, 'another', 1), ['t/1 again 1'])
  await second.stop('SIGTERM')
  assert.equal(readdirSync(folder).filter((name) => name.includes('corrupt')).length, 1)
})
