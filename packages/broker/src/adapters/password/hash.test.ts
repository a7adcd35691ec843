import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatHash, hashKinds, isPassword, newHash, type PasswordHash, parseHash } from './hash.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function matches(text: string, password: string): Promise<boolean> {
  const hash = parseHash(text)
  assert.ok(typeof hash !== 'string', `${text}: ${hash}`)
  assert.equal(formatHash(hash), text)
  return isPassword(hash, bytes(password))
}

describe('hashes', () => {
  // Made by mosquitto_passwd 2.0.11, and by the reference implementation of argon2.
  const known: [text: string, password: string][] = [
    [
      '$7$101$TkLVWWhxcjXB5duF$sKdBMa1ZHMTwTyVMhfNzG2RdmGTf2SSmeoeoltN2Pn3OYocDDp6cpiOF4a9AZw/ZkLkvcvq/DNCnRrla7MjRkw==',
      'bob',
    ],
    ['$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc', 'password'],
    // RFC 7677, section 3: user "user", password "pencil".
    [
      '$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
      'pencil',
    ],
    // The file of examples of mosquitto-go-auth; Python's hashlib; crypt(3).
    [
      'PBKDF2$sha512$100000$2WQHK5rjNN+oOT+TZAsWAw==$TDf4Y6J+9BdnjucFQ0ZUWlTwzncTjOOeE00W4Qm8lfPQyPCZACCjgfdK353jdGFwJjAf6vPAYaba9+z4GWK7Gg==',
      'test1',
    ],
    ['PBKDF2$sha256$1000$2WQHK5rjNN+oOT+TZAsWAw==$D/nugAJzf0RwksV3E0qXV16GTr4QnrxfNfBA1zeWReI=', 'secret'],
    [
      '$pbkdf2-sha512$i=1000,l=64$2WQHK5rjNN+oOT+TZAsWAw$fWelXVa9HPEcTAxFCE6woyxvpQ8711nSEDGDZK8lS7W3lIgQ5VY+PQjK/09yCzUMSBakGpZqZyz9zvQ/Fp9kuA',
      'secret',
    ],
    ['$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW', 'secret'],
    ['$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW', 'secret'],
  ]
  for (const [text, password] of known) {
    test(`a known one is understood: ${text.slice(0, 30)}`, async () => {
      assert.equal(await matches(text, password), true)
      assert.equal(await matches(text, `${password} `), false)
      assert.equal(await matches(text, ''.padEnd(3, 'x')), false)
    })
  }

  for (const kind of hashKinds) {
    test(`a new ${kind} is of its password and no other, and has a new salt each time`, async () => {
      const [one, other] = [await newHash(kind, bytes('пароль'), 2), await newHash(kind, bytes('пароль'), 2)]
      assert.notEqual(one, other)
      assert.equal(await matches(one, 'пароль'), true)
      assert.equal(await matches(one, 'Пароль'), false)
    })
  }

  test('what is damaged, unknown or would cost too much is named', () => {
    for (const [text, what] of [
      ['secret', /is not a hash/],
      ['$5$a$b', /unknown kind/],
      ['$6$YWJj$YWJj', /damaged \$6\$/],
      ['$6$$', /damaged \$6\$/],
      ['$7$0$YWJj$YWJj', /number of iterations/],
      ['$7$99999999999$YWJj$YWJj', /number of iterations/],
      ['$7$1e3$YWJj$YWJj', /number of iterations/],
      ['$7$101$Y*Jj$YWJj', /damaged \$7\$/],
      ['$argon2id$v=16$m=8,t=1,p=1$YWJjYWJjYWJj$YWJj', /not of version 19/],
      ['$argon2id$v=19$m=99999999,t=1,p=1$YWJjYWJjYWJj$YWJj', /has a cost above/],
      ['$argon2id$v=19$m=8,t=1,p=2$YWJjYWJjYWJj$YWJj', /has a cost above .* or below/],
      ['$argon2id$v=19$m=8,t=1,p=1$YWJjYWJjYWJj$YWJj', /damaged \$argon2id\$/],
      ['$scram-sha-256$4096$YWJj$YWJj$YWJj', /damaged \$scram/],
      ['PBKDF2$md5$1$YWJj$YWJj', /neither sha256 nor sha512/],
      ['PBKDF2$sha512$99999999999$YWJj$YWJj', /number of iterations/],
      ['PBKDF2$sha512$10$YWJj$YWJj', /damaged PBKDF2\$/],
      ['$pbkdf2-sha512$i=1,l=64,x=1$YWJj$YWJj', /number of iterations/],
      ['$2b$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW', /bcrypt cost/],
      ['$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIr', /damaged hash of bcrypt/],
      ['$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW', /unknown kind/],
    ] as const) {
      const result = parseHash(text)
      assert.ok(typeof result === 'string' && what.test(result), `${text}: ${JSON.stringify(result)}`)
    }
  })
})

test('a password is not one with U+0000 behind it, though HMAC gives them one hash', async () => {
  for (const kind of hashKinds) {
    const hash = parseHash(await newHash(kind, bytes('p'), 5)) as PasswordHash
    assert.equal(await isPassword(hash, bytes('p')), true)
    for (const other of ['p\0', 'p\0\0']) assert.equal(await isPassword(hash, bytes(other)), false, kind)
    if (kind === 'sha512-pbkdf2' || kind === 'scram-sha-256') {
      await assert.rejects(newHash(kind, bytes('p\0'), 5), { code: 'ERR_MQTT_PASSWORD', message: /U\+0000/ })
    } else {
      const own = parseHash(await newHash(kind, bytes('p\0'))) as PasswordHash
      assert.equal(await isPassword(own, bytes('p\0')), true)
      assert.equal(await isPassword(own, bytes('p')), false)
    }
  }
})

test('bcrypt looks at the first 72 bytes of a password, and no further', async () => {
  const hash = parseHash('$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i') as PasswordHash
  assert.equal(await isPassword(hash, bytes('x'.repeat(80))), true)
  assert.equal(await isPassword(hash, bytes('x'.repeat(72))), true)
  assert.equal(await isPassword(hash, bytes('x'.repeat(71))), false)
})
