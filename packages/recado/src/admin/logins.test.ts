/** Logins of the HTTP API that are those of MQTT clients: JSON Web Tokens, and client certificates. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { TestAuthority } from '@recado/broker/testing'
import { freePort, Program, temporaryFolder } from '../testing/program.ts'

const SECRET = 'a secret of thirty-two bytes, at least'

/** A token by RFC 7519, made without the library that checks it. */
function jsonWebToken(claims: Record<string, unknown>, secret = SECRET): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

test('a JSON Web Token is a login with the role of its user, by bearer, and for a session', async (context) => {
  const folder = temporaryFolder(context)
  writeFileSync(join(folder, 'secret'), SECRET, { mode: 0o600 })
  const port = await freePort()
  const program = await Program.start(context, await freePort(), [
    `listener ${port} 127.0.0.1`,
    'protocol http_api',
    'listener_allow_anonymous false',
    `jwt_secret_file ${folder}/secret`,
    'http_api_role operator ada',
  ])
  const seconds = Math.floor(Date.now() / 1_000)
  const url = `http://127.0.0.1:${port}/api/v1`
  const ask = async (token: string, path = '/session', more: RequestInit = {}): Promise<Response> =>
    fetch(url + path, { ...more, headers: { authorization: `Bearer ${token}`, ...more.headers } })
  const good = jsonWebToken({ sub: 'ada', exp: seconds + 600 })
  const asked = await ask(good)
  assert.equal(asked.status, 200, program.err)
  const { user, role, via } = (await asked.json()) as Record<string, string>
  assert.deepEqual([user, role, via], ['ada', 'operator', 'login'])
  const body = { method: 'POST', body: '{"topic":"a"}', headers: { 'content-type': 'application/json' } }
  assert.equal((await ask(good, '/publish', body)).status, 200)
  assert.equal((await ask(good, '/tokens')).status, 403, 'an operator is no admin')
  assert.equal((await ask(jsonWebToken({ sub: 'bob', exp: seconds + 600 }))).status, 403, 'without a role')
  for (const wrong of [
    jsonWebToken({ sub: 'ada', exp: seconds - 600 }),
    jsonWebToken({ sub: 'ada', exp: seconds + 600 }, 'another secret of thirty-two bytes, too'),
    `${good.slice(0, -3)}AAA`,
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`,
  ]) {
    assert.equal((await ask(wrong)).status, 401, wrong)
  }
  await program.stop('SIGTERM')
})

test('a client certificate is a login with the role of its name; without one the API is closed', async (context) => {
  const folder = temporaryFolder(context)
  const authority = new TestAuthority('test authority')
  const server = authority.issue('localhost')
  for (const [name, text] of [
    ['ca.pem', authority.cert],
    ['cert.pem', server.cert],
    ['key.pem', server.key],
  ] as const) {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
  }
  const port = await freePort()
  const program = await Program.start(context, await freePort(), [
    `listener ${port} 127.0.0.1`,
    'protocol http_api',
    `cafile ${folder}/ca.pem`,
    `certfile ${folder}/cert.pem`,
    `keyfile ${folder}/key.pem`,
    'require_certificate true',
    'use_identity_as_username true',
    'http_api_role admin ada',
  ])
  const ask = (
    client: { key: string; cert: string } | null,
    path = '/api/v1/session',
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<{ status: number; text: string } | 'refused'> =>
    new Promise((resolve) => {
      const options = { host: '127.0.0.1', port, path, method, headers, servername: 'localhost', ca: authority.cert }
      const sent = request({ ...options, agent: false, ...client }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      })
      sent.on('error', () => resolve('refused'))
      sent.end()
    })
  const ada = authority.issue('ada')
  const asked = await ask(ada)
  assert.ok(asked !== 'refused', program.err)
  assert.equal(asked.status, 200, asked.text)
  const { user, role } = JSON.parse(asked.text) as Record<string, string>
  assert.deepEqual([user, role], ['ada', 'admin'])
  const bob = await ask(authority.issue('bob'))
  assert.equal(bob === 'refused' ? bob : bob.status, 403, 'a name without a role')
  assert.equal(await ask(null), 'refused')
  assert.equal(await ask(new TestAuthority('another').issue('ada')), 'refused')
  // A browser sends the certificate by itself, for a page of another site as well.
  const foreign = await ask(ada, '/api/v1/reload', { origin: 'https://evil.example' }, 'POST')
  assert.equal(foreign === 'refused' ? foreign : foreign.status, 403)
  const own = await ask(ada, '/api/v1/reload', {}, 'POST')
  assert.equal(own === 'refused' ? own : own.status, 200)
  await program.stop('SIGTERM')
})
