import assert from 'node:assert/strict'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeLoginQueue } from '../../login-queue.ts'
import { newHash, type PasswordHash, parseHash } from './hash.ts'
import { HashWorkers, type HashWorkersOptions } from './workers.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function hashed(password: string, iterations = 1): Promise<PasswordHash> {
  return parseHash(await newHash('sha512-pbkdf2', bytes(password), iterations)) as PasswordHash
}

function workers(context: TestContext, options: HashWorkersOptions = {}): HashWorkers {
  const made = new HashWorkers(makeLoginQueue, options)
  context.after(() => made.close())
  return made
}

test('each check is answered: right, wrong; the password is left as it was', async (context) => {
  const pool = workers(context, { threads: 2 })
  const hash = await hashed('a')
  const password = bytes('a')
  const results = await Promise.all([
    pool.check('x', hash, password),
    pool.check('x', hash, bytes('b')),
    pool.check('y', hash, password),
  ])
  assert.deepEqual(results, ['right', 'wrong', 'right'])
  assert.deepEqual(password, bytes('a'))
})

test('over the limits, of all and of one address, a check is answered busy at once; the address that has most gives way', async (context) => {
  const pool = workers(context, { threads: 1, waitingMax: 5, waitingPerAddressMax: 3 })
  const hash = await hashed('a')
  const ofOne = Array.from({ length: 4 }, () => pool.check('x', hash, bytes('a')))
  const ofOthers = ['y', 'z', 'q'].map((address) => pool.check(address, hash, bytes('a')))
  assert.equal(pool.waiting, 5)
  assert.deepEqual(await Promise.all(ofOne), ['right', 'right', 'busy', 'busy'])
  assert.deepEqual(await Promise.all(ofOthers), ['right', 'right', 'right'])
})

test('addresses take turns: one that sends many does not hold up the others', async (context) => {
  const pool = workers(context, { threads: 1 })
  // One is a batch of its own.
  const slow = await hashed('a', 4_000)
  const order: string[] = []
  const check = (address: string): Promise<void> =>
    pool.check(address, slow, bytes('b')).then(() => void order.push(address))
  await Promise.all([...Array.from({ length: 6 }, () => check('flood')), check('friend')])
  assert.equal(order.indexOf('friend'), 1)
})

test('one that has waited too long is answered busy and costs nothing', async (context) => {
  const pool = workers(context, { threads: 1, waitMsMax: -1 })
  assert.equal(await pool.check('x', await hashed('a'), bytes('a')), 'busy')
})

test('a hash that cannot be computed is an error, and the next one is computed', async (context) => {
  const pool = workers(context, { threads: 1 })
  const impossible = { parameters: { kind: 'nonsense' }, hash: new Uint8Array(64) } as unknown as PasswordHash
  await assert.rejects(pool.check('x', impossible, bytes('a')), /could not be computed/)
  assert.equal(await pool.check('x', await hashed('a'), bytes('a')), 'right')
})

test('after close() everything is busy', async () => {
  const pool = new HashWorkers(makeLoginQueue, { threads: 1 })
  const waiting = pool.check('x', await hashed('a'), bytes('a'))
  await pool.close()
  assert.equal(await waiting, 'busy')
  assert.equal(await pool.check('x', await hashed('a'), bytes('a')), 'busy')
})

test('where more passwords are wrong than may be, the next is answered busy without a hash; elsewhere nobody notices', async (context) => {
  const pool = workers(context, { threads: 1, failuresPerSecondMax: 5 })
  const hash = await hashed('a')
  const wrong = await Promise.all(Array.from({ length: 10 }, () => pool.check('[2001:db8::1]:1', hash, bytes('b'))))
  assert.ok(wrong.every((result) => result === 'wrong'))
  assert.equal(pool.isRefusing('[2001:db8::2]:1'), true)
  assert.equal(await pool.check('[2001:db8::2]:1', hash, bytes('a')), 'busy')
  assert.equal(await pool.check('[2001:db8:1::2]:1', hash, bytes('a')), 'right')
})

test('a working folder that has been removed keeps nobody from logging in', {
  skip: process.platform === 'win32',
}, async (context) => {
  const before = process.cwd()
  context.after(() => process.chdir(before))
  const folder = mkdtempSync(join(tmpdir(), 'recado-removed-'))
  process.chdir(folder)
  rmdirSync(folder)
  assert.throws(() => process.cwd(), { code: 'ENOENT' })
  const pool = workers(context, { threads: 1 })
  assert.equal(await pool.check('x', await hashed('a'), bytes('a')), 'right')
})
