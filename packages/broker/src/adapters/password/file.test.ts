import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Connect } from '@recado/protocol'
import { makeLoginQueue } from '../../login-queue.ts'
import type { ClientInfo, ConnectDecision, ConnectRequest } from '../../ports.ts'
import { PasswordFile, type PasswordFileOptions, parsePasswordFile, SCRAM_SECRET } from './file.ts'
import { newHash } from './hash.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const line = async (name: string, password: string): Promise<string> =>
  `${name}:${await newHash('sha512-pbkdf2', bytes(password), 2)}\n`

async function opened(
  context: TestContext,
  text: string,
  options: Partial<PasswordFileOptions> = {},
): Promise<{ file: PasswordFile; path: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-passwords-'))
  const path = join(folder, 'passwords')
  writeFileSync(path, text, { mode: 0o600 })
  const file = await PasswordFile.open({ path, threads: 1, ...options }, makeLoginQueue)
  context.after(async () => {
    await file.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return { file, path }
}

function request(username: string | undefined, password?: string): ConnectRequest {
  const connect = new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId: 'a',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: bytes(password) }),
  })
  return { connect, clientId: 'a', remoteAddress: '10.0.0.1:5000', listener: '', peer: null, identity: null }
}

async function code(file: PasswordFile, username: string, password?: string): Promise<number | undefined> {
  return ((await file.authenticate(request(username, password))) as ConnectDecision).reasonCode
}

test('a user gets in by his password and nothing else', async (context) => {
  const { file } = await opened(context, (await line('ada', 'secret')) + (await line('bob', 'other')))
  assert.equal(await code(file, 'ada', 'secret'), undefined)
  assert.equal(await code(file, 'ada', 'other'), 0x87)
  assert.equal(await code(file, 'ada', 'Secret'), 0x87)
  assert.equal(await code(file, 'ada', ''), 0x87)
  assert.equal(await code(file, 'ada'), 0x87)
  assert.equal(await code(file, 'nobody', 'secret'), 0x87)
  assert.equal(await code(file, 'constructor', 'secret'), 0x87)
})

test('who gives no user name is not for this file to judge', async (context) => {
  const { file } = await opened(context, await line('ada', 'secret'))
  assert.equal(file.authenticate(request(undefined)), null)
  assert.equal(file.authenticate(request('')), null)
})

test('a user who is not there is checked against a hash like everybody else, so that he takes as long', async (context) => {
  const { file } = await opened(context, (await line('ada', 'secret')) + (await line('bob', 'secret')))
  const answer = file.authenticate(request('nobody', 'secret'))
  assert.ok(answer instanceof Promise)
  // Even with the password of the one he is checked against.
  assert.equal((await answer).reasonCode, 0x87)
})

test('who has logged in before is recognized without another hash; a wrong password is not', async (context) => {
  const { file } = await opened(context, await line('ada', 'secret'))
  await code(file, 'ada', 'secret')
  assert.ok(!(file.authenticate(request('ada', 'secret')) instanceof Promise))
  assert.ok(file.authenticate(request('ada', 'wrong')) instanceof Promise)
})

test('without room for more logins they are refused with 0x89', async (context) => {
  const { file } = await opened(context, await line('ada', 'secret'), { waitingMax: 0 })
  assert.equal(await code(file, 'ada', 'secret'), 0x89)
})

test('damaged lines are told with their numbers, and the others hold', async () => {
  const ada = (await line('ada', 'secret')).trim()
  const text = [
    '# comment',
    'nonsense',
    '',
    ada,
    'bob:plain',
    'eve:',
    ' ada : $6$x$y ',
    `ada:${ada.slice(4)}\r`,
    'x:$9$a',
  ].join('\n')
  const { users, warnings, damaged } = parsePasswordFile(text, 'p')
  assert.deepEqual([...users.keys()], ['ada'])
  assert.deepEqual(
    damaged.map(({ what, line, username }) => `${line} ${what} ${username}`),
    ['5 hash bob', '6 hash eve', '7 hash ada', '9 hash x'],
  )
  assert.deepEqual(warnings, [
    'p:2: the line does not have the form NAME:HASH, so it is ignored',
    'p:5: the password of user "bob" is not a hash; "recado passwd -U" turns plain passwords into hashes; this user cannot log in',
    'p:6: the password of user "eve" is missing; this user cannot log in',
    'p:7: the password of user "ada" is a damaged $6$ hash; this user cannot log in',
    'p:9: the password of user "x" is a hash of an unknown kind; known are $6$, $7$, $argon2id$, $scram-sha-256$, $2b$ (bcrypt) and PBKDF2$; this user cannot log in',
  ])
})

test('of a name that stands twice the last line holds, with a warning', async () => {
  const [one, two] = [await line('ada', 'one'), await line('ada', 'two')]
  const { users, warnings, damaged } = parsePasswordFile(`${one}${two}:${one.slice(4)}`, 'p')
  assert.deepEqual(damaged, [
    { what: 'repeated', line: 1, username: 'ada' },
    { what: 'name', line: 3, username: '' },
  ])
  assert.equal(users.get('ada')?.text, two.slice(4).trim())
  assert.deepEqual(warnings, [
    'p:2: user "ada" occurs more than once; this line is used',
    'p:3: the line does not have the form NAME:HASH, so it is ignored',
  ])
})

test('a file that everybody can read is warned about', async (context) => {
  const { file, path } = await opened(context, '')
  assert.deepEqual(file.warnings, [])
  chmodSync(path, 0o644)
  await file.reload()
  assert.deepEqual(file.warnings, [`${path}: every user of this machine can read it: run chmod 600`])
})

test('after a reload, a client whose line is gone or has changed is not valid any more', async (context) => {
  const [ada, bob] = [await line('ada', 'secret'), await line('bob', 'secret')]
  const { file, path } = await opened(context, ada + bob)
  const credentials = await Promise.all(
    ['ada', 'bob'].map(
      async (name) => ((await file.authenticate(request(name, 'secret'))) as ConnectDecision).credential,
    ),
  )
  const valid = (): boolean[] => credentials.map((credential) => file.isStillValid({} as ClientInfo, credential))
  assert.deepEqual(valid(), [true, true])
  writeFileSync(path, ada)
  await file.reload()
  assert.deepEqual(valid(), [true, false])
  assert.ok(!(file.authenticate(request('ada', 'secret')) instanceof Promise), 'a line that stayed is still known')
  writeFileSync(path, await line('ada', 'new'))
  await file.reload()
  assert.deepEqual(valid(), [false, false])
  assert.equal(await code(file, 'ada', 'secret'), 0x87)
  assert.equal(await code(file, 'ada', 'new'), undefined)
})

test('a file that cannot be read is an error, and a reload changes nothing', async (context) => {
  const { file, path } = await opened(context, await line('ada', 'secret'))
  rmSync(path)
  await assert.rejects(file.reload(), { code: 'ERR_MQTT_PASSWORD_FILE', message: /cannot be read: ENOENT/ })
  assert.equal(await code(file, 'ada', 'secret'), undefined)
})

test('for SCRAM a user who is not there looks like one who is, also after a restart and when the file has changed', async (context) => {
  const user = async (name: string, iterations: number): Promise<string> =>
    `${name}:${await newHash('scram-sha-256', bytes('x'), iterations)}\n`
  const [ada, bob, plain] = [await user('ada', 5_000), await user('bob', 7_000), await line('plain', 'x')]
  const secret = `${SCRAM_SECRET}${Buffer.alloc(32, 7).toString('base64')}\n`
  const names = Array.from({ length: 50 }, (_, i) => `nobody${i}`)
  const told = async (text: string): Promise<string[]> => {
    const { file } = await opened(context, text)
    assert.deepEqual(file.warnings, [])
    return names.map((name) => {
      assert.equal(file.verifier(name), null)
      const { salt, iterations } = file.pretence(name)
      assert.equal(salt.length, 16)
      return `${Buffer.from(salt).toString('hex')} ${iterations}`
    })
  }
  const first = await told(ada + bob + plain + secret)
  assert.equal(new Set(first.map((each) => each.split(' ')[0])).size, 50)
  assert.deepEqual(new Set(first.map((each) => each.split(' ')[1])), new Set(['5000', '7000']))
  assert.deepEqual(await told(secret + bob + ada), first)
  assert.deepEqual(await told(ada + (await user('eve', 7_000)) + secret), first)
  const { file } = await opened(context, ada)
  assert.match(file.warnings[0] ?? '', /no #scram-secret: line/)
  assert.equal(file.pretence('nobody').iterations, 5_000)
})
