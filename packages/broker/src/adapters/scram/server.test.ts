import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { describe, test } from 'node:test'
import type { AuthenticationAnswer, AuthenticationStep, ConnectRequest } from '../../ports.ts'
import { conclude, type Exchange, Scram, type ScramVerifier } from './server.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data)
const hmac = (key: Uint8Array, data: string): Buffer => createHmac('sha256', key).update(data).digest()
const sha256 = (data: Uint8Array): Buffer => createHash('sha256').update(data).digest()

function keysOf(password: string, salt: Uint8Array, iterations = 4_096): { clientKey: Buffer; serverKey: Buffer } {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  return { clientKey: hmac(salted, 'Client Key'), serverKey: hmac(salted, 'Server Key') }
}

function verifierOf(password: string): ScramVerifier {
  const salt = bytes('a salt for tests')
  const { clientKey, serverKey } = keysOf(password, salt)
  return { salt, iterations: 4_096, storedKey: sha256(clientKey), serverKey, credential: 'of ada' }
}

/** One client's exchange, step by step. */
class Client {
  readonly #scram: Scram
  readonly #step: { -readonly [K in keyof AuthenticationStep]: AuthenticationStep[K] }

  constructor(scram: Scram, username?: string) {
    this.#scram = scram
    this.#step = {
      method: 'SCRAM-SHA-256',
      data: undefined,
      phase: 'connect',
      request: {} as ConnectRequest,
      username,
      state: undefined,
    }
  }

  send(phase: AuthenticationStep['phase'], data: string | Uint8Array | undefined): Promise<AuthenticationAnswer> {
    this.#step.phase = phase
    this.#step.data = typeof data === 'string' ? bytes(data) : data
    return this.#scram.step(this.#step)
  }

  /** The whole exchange; returns the last answer. */
  async logIn(
    name: string,
    password: string,
    phase: 'connect' | 're-authenticate' = 'connect',
  ): Promise<AuthenticationAnswer> {
    const firstBare = `n=${name},r=clientnonce`
    const asked = await this.send(phase, `n,,${firstBare}`)
    if (asked.reasonCode !== 0x18) return asked
    const serverFirst = text(asked.data)
    const [, nonce = '', salt = '', iterations = ''] =
      /^r=(clientnonce[^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? []
    const { clientKey, serverKey } = keysOf(password, Buffer.from(salt, 'base64'), Number(iterations))
    const withoutProof = `c=biws,r=${nonce}`
    const authMessage = `${firstBare},${serverFirst},${withoutProof}`
    const signature = hmac(sha256(clientKey), authMessage)
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')
    const answer = await this.send('continue', `${withoutProof},p=${proof}`)
    if (answer.reasonCode === undefined)
      assert.equal(text(answer.data), `v=${hmac(serverKey, authMessage).toString('base64')}`)
    return answer
  }
}

const server = (): Scram =>
  new Scram({ verifier: async (username) => (['ada', 'a=b,c'].includes(username) ? verifierOf('secret') : null) })

describe('SCRAM-SHA-256', () => {
  test('the exchange of RFC 7677, section 3', () => {
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
    const { clientKey, serverKey } = keysOf('pencil', salt)
    const exchange: Exchange = {
      username: 'user',
      verifier: { salt, iterations: 4_096, storedKey: sha256(clientKey), serverKey },
      isKnown: true,
      header: 'n,,',
      nonce,
      firstBare: 'n=user,r=rOprNGfwEbeRWgbNEkqO',
      serverFirst: `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
    }
    const answer = conclude(exchange, `c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`)
    assert.equal(text(answer.data), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
    assert.equal(answer.username, 'user')
  })

  test('the right password is let in as its user, with the credential; a wrong one is not', async () => {
    const right = await new Client(server()).logIn('ada', 'secret')
    assert.deepEqual([right.reasonCode, right.username, right.credential], [undefined, 'ada', 'of ada'])
    assert.equal((await new Client(server()).logIn('ada', 'Secret')).reasonCode, 0x87)
  })

  test('a name with = and , in it is understood', async () => {
    assert.equal((await new Client(server()).logIn('a=3Db=2Cc', 'secret')).username, 'a=b,c')
    assert.equal((await new Client(server()).logIn('a=b', 'secret')).reasonCode, 0x87)
  })

  test('a user who is not there is led through the same steps, with the same salt each time', async () => {
    const scram = server()
    const salts = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const asked = await new Client(scram).send('connect', 'n,,n=nobody,r=clientnonce')
      assert.equal(asked.reasonCode, 0x18)
      salts.add(/s=([^,]+)/.exec(text(asked.data))![1]!)
    }
    assert.equal(salts.size, 1)
    assert.equal((await new Client(scram).logIn('nobody', 'secret')).reasonCode, 0x87)
  })

  test("what a user who is not there is told may be somebody else's to say", async () => {
    const salt = bytes('another salt')
    const scram = new Scram({ verifier: () => null, pretence: () => ({ salt, iterations: 9_000 }) })
    const asked = await new Client(scram).send('connect', 'n,,n=nobody,r=clientnonce')
    assert.match(text(asked.data), new RegExp(`,s=${Buffer.from(salt).toString('base64')},i=9000$`))
    assert.equal((await new Client(scram).logIn('nobody', 'secret')).reasonCode, 0x87)
  })

  test('a proof is good for its own exchange only', async () => {
    const scram = server()
    const one = new Client(scram)
    const asked = await one.send('connect', 'n,,n=ada,r=clientnonce')
    const final = 'c=biws,r=clientnonceother,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='
    assert.equal((await one.send('continue', final)).reasonCode, 0x87)
    assert.equal((await one.send('continue', final)).reasonCode, 0x87, 'and there is no second try')
    assert.notEqual(text(asked.data), text((await new Client(scram).send('connect', 'n,,n=ada,r=clientnonce')).data))
  })

  test('who authenticates again must be who he was', async () => {
    const scram = server()
    assert.equal((await new Client(scram, 'ada').logIn('ada', 'secret', 're-authenticate')).username, 'ada')
    assert.equal((await new Client(scram, 'bob').logIn('ada', 'secret', 're-authenticate')).reasonCode, 0x87)
  })

  test('what is not SCRAM, or asks for channel binding or another identity, is refused', async () => {
    for (const first of [
      undefined,
      '',
      'hello',
      'p=tls-unique,,n=ada,r=clientnonce',
      'n,a=bob,n=ada,r=clientnonce',
      'n,,m=x,n=ada,r=clientnonce',
      'n,,n=ada,r=short',
      'n,,n=,r=clientnonce',
      `n,,n=ada,r=${'x'.repeat(5_000)}`,
      new Uint8Array([0xff, 0xfe]),
    ]) {
      assert.equal((await new Client(server()).send('connect', first)).reasonCode, 0x87, String(first))
    }
    for (const final of ['', 'c=biws', 'c=eSws,r=x,p=x', 'c=biws,r=x,p=']) {
      const client = new Client(server())
      await client.send('connect', 'n,,n=ada,r=clientnonce')
      assert.equal((await client.send('continue', final)).reasonCode, 0x87, final)
    }
  })
})
