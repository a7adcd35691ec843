import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { freePort, Program, run, temporaryFolder } from '../testing/program.ts'

type Answer = { status: number; body: Record<string, never> }

async function get(port: number, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })
  const text = await response.text()
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, never> }
}

async function started(context: TestContext, lines: (folder: string) => string[]) {
  const folder = temporaryFolder(context)
  mkdirSync(join(folder, 'tokens'))
  const port = await freePort()
  const program = await Program.start(context, await freePort(), [
    `listener ${port} 127.0.0.1`,
    'protocol http_api',
    `http_api_token_file ${folder}/tokens/api.json`,
    ...lines(folder),
  ])
  return { folder, port, program }
}

/** Asks again and again until the status is another; slower than the limit of requests. */
async function whileStatus(
  status: number,
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<Answer> {
  for (;;) {
    const answer = await get(port, path, headers)
    if (answer.status !== status) return answer
    await setTimeout(50)
  }
}

const basic = (login: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(login).toString('base64')}`,
})

test('users of the password file have the role that http_api_role gives them', async (context) => {
  const { port, folder, program } = await started(context, (files) => {
    writeFileSync(join(files, 'pw'), '')
    return [
      'listener_allow_anonymous false',
      `password_file ${files}/pw`,
      'http_api_role admin ada',
      'http_api_role viewer vera rubin',
    ]
  })
  for (const [user, password] of [
    ['ada', 'lovelace'],
    ['vera rubin', 'stars'],
    ['bob', 'builder'],
  ] as const) {
    assert.equal((await run('passwd', '-b', join(folder, 'pw'), user, password)).code, 0)
  }
  program.child.kill('SIGHUP')
  const ada = await whileStatus(401, port, '/api/v1/session', basic('ada:lovelace'))
  assert.equal(ada.body['role'], 'admin')
  const vera = basic('vera rubin:stars')
  assert.equal((await get(port, '/api/v1/session', vera)).body['role'], 'viewer')
  assert.equal((await get(port, '/api/v1/tokens', vera)).status, 403)
  assert.equal((await get(port, '/api/v1/session', basic('bob:builder'))).status, 403)
  assert.equal((await get(port, '/api/v1/session', basic('ada:babbage'))).status, 401)
  assert.equal((await get(port, '/api/v1/session')).status, 401)
  await program.stop('SIGTERM')
})

test('a password is set by the API: the old one is over at once, the kind of its hash stays', async (context) => {
  const { port, folder, program } = await started(context, (files) => {
    writeFileSync(join(files, 'pw'), '')
    return ['listener_allow_anonymous false', `password_file ${files}/pw`, 'http_api_role admin ada']
  })
  const file = join(folder, 'pw')
  assert.equal((await run('passwd', '-b', file, 'ada', 'lovelace')).code, 0)
  assert.equal((await run('passwd', '-H', 'argon2id', '-b', file, 'bob', 'builder')).code, 0)
  program.child.kill('SIGHUP')
  const ada = basic('ada:lovelace')
  await whileStatus(401, port, '/api/v1/session', ada)
  const set = async (user: string, body: object): Promise<number> => {
    const options = { method: 'PUT', headers: { ...ada, 'content-type': 'application/json' } }
    const url = `http://127.0.0.1:${port}/api/v1/users/${user}/password`
    return (await fetch(url, { ...options, body: JSON.stringify(body) })).status
  }
  assert.equal((await get(port, '/api/v1/session', basic('bob:builder'))).status, 403)
  assert.equal(await set('bob', { password: 'two words' }), 204)
  assert.equal((await get(port, '/api/v1/session', basic('bob:builder'))).status, 401)
  assert.equal((await get(port, '/api/v1/session', basic('bob:two words'))).status, 403)
  assert.match(readFileSync(file, 'utf8'), /^bob:\$argon2id\$/m)
  assert.equal(await set('eve', { password: 'x' }), 404)
  assert.equal(await set('bob', { password: 'x', listener: 'none' }), 404)
  assert.equal(await set('bob', { password: 'a\nmallory:b' }), 409)
  assert.equal(await set('ada', { password: 'byron' }), 204)
  assert.equal((await get(port, '/api/v1/session', ada)).status, 401)
  assert.equal((await get(port, '/api/v1/session', basic('ada:byron'))).status, 200)
  await program.stop('SIGTERM')
})

test('recado token makes tokens that the broker takes at once, and revokes them', async (context) => {
  const { port, folder, program } = await started(context, () => [])
  const file = join(folder, 'tokens', 'api.json')
  const made = await run('token', 'create', 'grafana', '--role', 'admin', '--file', file)
  assert.equal(made.code, 0, made.err)
  const headers = { authorization: `Bearer ${made.out.trim()}` }
  // The file is looked at again within a second.
  assert.equal((await whileStatus(401, port, '/api/v1/session', headers)).body['role'], 'admin')
  const configuration = (await get(port, '/api/v1/configuration', headers)).body as unknown as {
    settings: { name: string; value: string }[]
  }
  assert.ok(configuration.settings.some(({ name }) => name === 'persistence'))
  assert.equal((await get(port, '/api/v1/reload', headers, 'POST')).status, 200)
  assert.match(program.err, /SIGHUP: .* read again\./)
  const listed = await run('token', 'list', '--json', '--file', file)
  const [token] = JSON.parse(listed.out) as { id: string }[]
  assert.equal((await run('token', 'revoke', token!.id, '--file', file)).code, 0)
  assert.equal((await whileStatus(200, port, '/api/v1/session', headers)).status, 401)
  const wrong = await run('token', 'create', 'x', '--days', '0', '--file', file)
  assert.deepEqual([wrong.code, wrong.out], [1, ''])
  assert.match(wrong.err, /--days 0: give a whole number from 1 to 3650/)
  await program.stop('SIGTERM')
})
