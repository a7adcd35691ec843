import assert from 'node:assert/strict'
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { Connect } from '@recado/protocol'
import { exportJWK, type JWTPayload, SignJWT } from 'jose'
import { makeLoginQueue } from '../../login-queue.ts'
import type { AuthenticationStep, ConnectDecision, ConnectRequest } from '../../ports.ts'
import { Jwt, type JwtOptions } from './jwt.ts'

const secret = 'a secret of at least thirty-two bytes'
const nowSeconds = (): number => Math.floor(Date.now() / 1_000)
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString()
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')

function sign(
  claims: JWTPayload,
  key: KeyObject | Uint8Array = Buffer.from(secret),
  alg = 'HS256',
  kid?: string,
): Promise<string> {
  const payload: JWTPayload = { sub: 'ada', exp: nowSeconds() + 60, ...claims }
  for (const [name, value] of Object.entries(payload)) if (value === undefined) delete payload[name as 'sub']
  return new SignJWT(payload).setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) }).sign(key)
}

function request(password: string | undefined, clientId = 'c'): ConnectRequest {
  const connect = new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId,
    username: 'whoever',
    ...(password === undefined ? {} : { password: new TextEncoder().encode(password) }),
  })
  return { connect, clientId, remoteAddress: '', listener: '', peer: null, identity: null }
}

async function decision(options: JwtOptions, token: string, clientId?: string): Promise<ConnectDecision> {
  return (await (await Jwt.open(options, makeLoginQueue)).authenticate(request(token, clientId)))!
}

const codeOf = async (options: JwtOptions, token: string, clientId?: string): Promise<number> =>
  (await decision(options, token, clientId)).reasonCode ?? 0

/** A JWKS behind a URL. */
async function serve(
  context: TestContext,
  answer: () => { status: number; body: string },
): Promise<{ url: string; server: Server; asked: () => number }> {
  let count = 0
  const server = createServer((_, response) => {
    count++
    const { status, body } = answer()
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`, server, asked: () => count }
}

describe('a JSON Web Token', () => {
  test('is taken with a signature of each kind of key, and not with another', async () => {
    for (const [options, key, alg] of [
      [{ secret }, Buffer.from(secret), 'HS256'],
      [{ secret }, Buffer.from(secret), 'HS512'],
      [{ key: pem(rsa.publicKey) }, rsa.privateKey, 'RS256'],
      [{ key: pem(rsa.publicKey) }, rsa.privateKey, 'PS384'],
      [{ key: pem(ec.publicKey) }, ec.privateKey, 'ES256'],
      [{ key: pem(ed.publicKey) }, ed.privateKey, 'EdDSA'],
    ] as const) {
      const { reasonCode, username, expiresAtMs } = await decision(options, await sign({}, key, alg))
      assert.deepEqual([reasonCode, username], [undefined, 'ada'], alg)
      assert.ok(expiresAtMs! > Date.now())
      const other = alg.startsWith('HS')
        ? await sign({}, Buffer.from(secret.replace('a', 'b')), alg)
        : await sign({}, generateKeyPairSync('ed25519').privateKey, 'EdDSA')
      assert.equal(await codeOf(options, other), 0x87, `${alg} with another key`)
    }
  })

  test('is refused when it is signed with the public key as if that were a secret, or not at all', async () => {
    const key = pem(rsa.publicKey)
    assert.equal(await codeOf({ key }, await sign({}, Buffer.from(key), 'HS256')), 0x87)
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = encode({ sub: 'ada', exp: nowSeconds() + 60 })
    assert.equal(await codeOf({ key }, `${encode({ alg: 'none' })}.${claims}.AA`), 0x87)
    const [header, , signature] = (await sign({}, rsa.privateKey, 'RS256')).split('.')
    assert.equal(
      await codeOf({ key }, `${header}.${encode({ sub: 'eve', exp: nowSeconds() + 60 })}.${signature}`),
      0x87,
    )
  })

  test('is held to the algorithms that are allowed', async () => {
    const key = pem(rsa.publicKey)
    const token = await sign({}, rsa.privateKey, 'RS256')
    assert.equal(await codeOf({ key, algorithms: ['RS256'] }, token), 0)
    assert.equal(await codeOf({ key, algorithms: ['PS256'] }, token), 0x87)
    await assert.rejects(Jwt.open({ key, algorithms: ['HS256'] }, makeLoginQueue), {
      code: 'ERR_MQTT_JWT_KEY',
      message: /"HS256" does not fit the key/,
    })
    await assert.rejects(Jwt.open({ secret, algorithms: ['none'] }, makeLoginQueue), { code: 'ERR_MQTT_JWT_KEY' })
  })

  test('is held to its time, its audience and its issuer', async () => {
    const code = async (claims: JWTPayload, options: Partial<JwtOptions> = {}): Promise<number> =>
      codeOf({ secret, ...options }, await sign(claims))
    assert.equal(await code({ exp: nowSeconds() - 10 }), 0x87)
    assert.equal(await code({ exp: nowSeconds() - 10 }, { clockToleranceSeconds: 60 }), 0)
    assert.equal(await code({ nbf: nowSeconds() + 60 }), 0x87)
    assert.equal(await code({ exp: undefined as never }), 0x87)
    assert.equal(await code({ exp: undefined as never }, { expiryRequired: false }), 0)
    for (const claim of ['exp', 'nbf', 'iat'] as const)
      for (const number of ['1e308', '1e999', '-1', '253402300800', '"soon"', 'null']) {
        const claims = { sub: 'ada', exp: nowSeconds() + 60, [claim]: 'HERE' }
        const encode = (text: string): string => Buffer.from(text).toString('base64url')
        const signed = `${encode('{"alg":"HS256"}')}.${encode(JSON.stringify(claims).replace('"HERE"', number))}`
        const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
        assert.equal(await codeOf({ secret }, token), 0x87, `${claim} ${number}`)
      }
    assert.equal(await code({ aud: 'other' }, { audience: 'mqtt' }), 0x87)
    assert.equal(await code({}, { audience: 'mqtt' }), 0x87)
    assert.equal(await code({ aud: ['x', 'mqtt'] }, { audience: 'mqtt' }), 0)
    assert.equal(await code({ iss: 'eve' }, { issuer: ['ida', 'ivo'] }), 0x87)
    assert.equal(await code({ iss: 'ivo' }, { issuer: ['ida', 'ivo'] }), 0)
  })

  test('names its user in a claim, and may name its Client Identifier', async () => {
    const name = async (claims: JWTPayload, options: Partial<JwtOptions> = {}): Promise<string | undefined> =>
      (await decision({ secret, ...options }, await sign(claims))).username
    assert.equal(await name({ device: 'd1' }, { usernameClaim: 'device' }), 'd1')
    for (const sub of [undefined, '', 7, 'a\nb', ['ada']]) assert.equal(await name({ sub: sub as string }), undefined)
    const token = await sign({ cid: 'c1' })
    assert.equal(await codeOf({ secret, clientIdClaim: 'cid' }, token, 'c1'), 0)
    assert.equal(await codeOf({ secret, clientIdClaim: 'cid' }, token, 'c2'), 0x87)
    assert.equal(await codeOf({ secret, clientIdClaim: 'other' }, token, 'c1'), 0x87)
  })

  test('has rights in a claim; a claim that is not understood refuses', async () => {
    const grants = async (acl: unknown): Promise<unknown> => {
      const { reasonCode, grants } = await decision({ secret }, await sign({ acl }))
      return reasonCode ?? grants
    }
    assert.deepEqual(await grants({ publish: ['a/#'] }), { publish: ['a/#'], subscribe: [] })
    assert.equal(await grants(undefined), undefined)
    for (const wrong of [null, [], 'a', { publish: 'a' }, { subscribe: ['a/#/b'] }, { publish: [1] }]) {
      assert.equal(await grants(wrong), 0x87, JSON.stringify(wrong))
    }
    assert.equal(await codeOf({ secret, aclRequired: true }, await sign({})), 0x87)
  })

  test('that is none is left to others', async () => {
    const source = await Jwt.open({ secret }, makeLoginQueue)
    for (const password of [undefined, '', 'secret', 'a.b.c', `${'x'.repeat(20_000)}.b.c`, 'eyJ4IjoxfQ.e30.AA']) {
      assert.equal(source.authenticate(request(password)), null)
    }
  })

  test('comes again on the open connection by AUTH, for the same user', async () => {
    const source = await Jwt.open({ secret }, makeLoginQueue)
    const step = async (
      phase: AuthenticationStep['phase'],
      token: string,
      username: string | undefined,
    ): Promise<number> => {
      const data = new TextEncoder().encode(token)
      const answer = await source.step({
        method: 'JWT',
        data,
        phase,
        request: request(undefined),
        username,
        state: undefined,
      })
      return answer.reasonCode ?? 0
    }
    assert.equal(await step('connect', await sign({}), undefined), 0)
    assert.equal(await step('re-authenticate', await sign({}), 'ada'), 0)
    assert.equal(await step('re-authenticate', await sign({}), 'bob'), 0x87)
    assert.equal(await step('connect', 'nonsense', undefined), 0x87)
    assert.equal(await step('continue', await sign({}), undefined), 0x87)
  })
})

describe('keys', () => {
  test('from a file: PEM, JWKS, or a secret; read again by reload()', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'recado-jwt-'))
    context.after(() => rmSync(folder, { recursive: true, force: true }))
    const keyFile = join(folder, 'key')
    writeFileSync(keyFile, pem(ec.publicKey))
    const source = await Jwt.open({ keyFile }, makeLoginQueue)
    const code = async (token: string): Promise<number> => (await source.authenticate(request(token)))!.reasonCode ?? 0
    const [byEc, byRsa] = [await sign({}, ec.privateKey, 'ES256', 'e1'), await sign({}, rsa.privateKey, 'RS256', 'r1')]
    assert.deepEqual([await code(byEc), await code(byRsa)], [0, 0x87])
    writeFileSync(keyFile, JSON.stringify({ keys: [{ ...(await exportJWK(rsa.publicKey)), kid: 'r1' }] }))
    await source.reload()
    assert.deepEqual([await code(byEc), await code(byRsa)], [0x87, 0])
    writeFileSync(keyFile, 'nonsense')
    await assert.rejects(source.reload(), { code: 'ERR_MQTT_JWT_KEY', message: /neither a public key/ })
    assert.equal(await code(byRsa), 0)
    const secretFile = join(folder, 'secret')
    writeFileSync(secretFile, `${secret}\r\n`)
    assert.equal(await codeOf({ secretFile }, await sign({})), 0)
  })

  test('from a URL: asked once for many tokens, and again for a key that is new', async (context) => {
    const keys = [{ ...(await exportJWK(ec.publicKey)), kid: 'one' }]
    const { url, asked } = await serve(context, () => ({ status: 200, body: JSON.stringify({ keys }) }))
    const source = await Jwt.open({ jwksUrl: url }, makeLoginQueue)
    const code = async (token: string): Promise<number> => (await source.authenticate(request(token)))!.reasonCode ?? 0
    for (let i = 0; i < 5; i++) assert.equal(await code(await sign({}, ec.privateKey, 'ES256', 'one')), 0)
    assert.equal(asked(), 1)
    // Within the pause after the last request an unknown key is not asked for: nobody can make us hammer the URL.
    assert.equal(await code(await sign({}, ed.privateKey, 'EdDSA', 'two')), 0x87)
    assert.equal(asked(), 1)
  })

  test('that cannot be had refuse with 0x88, and somebody is told; a token is not', async (context) => {
    const errors: Error[] = []
    const { url } = await serve(context, () => ({ status: 500, body: '' }))
    const token = await sign({}, ec.privateKey, 'ES256', 'one')
    assert.equal(await codeOf({ jwksUrl: url, onError: (error) => errors.push(error) }, token), 0x88)
    const silent = createServer(() => {})
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    context.after(() => {
      silent.closeAllConnections()
      silent.close()
    })
    const address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`
    assert.equal(
      await codeOf({ jwksUrl: address, jwksTimeoutMs: 50, onError: (error) => errors.push(error) }, token),
      0x88,
    )
    assert.equal(errors.length, 2)
    for (const error of errors) assert.ok(!error.message.includes(token))
  })

  test('that are none, too short, or come by a way that others can read are refused', async () => {
    for (const [options, what] of [
      [{}, /give exactly one of/],
      [{ secret, key: 'x' }, /2 keys are given/],
      [{ secret: 'short' }, /has 5 bytes/],
      [{ key: 'nonsense' }, /neither a public key/],
      [{ key: '{"keys":1}' }, /is not a JWKS/],
      [{ key: '{nonsense' }, /is not a JWKS/],
      [{ keyFile: '/nowhere' }, /cannot be read/],
      [{ jwksUrl: 'http://example.com/jwks' }, /only by https/],
      [{ jwksUrl: 'nonsense' }, /is not a URL/],
    ] as const) {
      await assert.rejects(
        Jwt.open(options, makeLoginQueue),
        (error: Error & { code?: string }) => error.code === 'ERR_MQTT_JWT_KEY' && what.test(error.message),
        String(what),
      )
    }
  })

  test('a certificate or private key stands for its public key', async () => {
    const privatePem = ec.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    assert.equal(createPublicKey(createPrivateKey(privatePem)).equals(ec.publicKey), true)
    assert.equal(await codeOf({ key: privatePem }, await sign({}, ec.privateKey, 'ES256')), 0)
  })
})
