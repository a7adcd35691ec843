import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionError } from '@recado/protocol'
import { parseServerReference, parseServerUrl, Servers } from './servers.ts'

test('URLs of every scheme, with their default ports', () => {
  const cases: [string, string][] = [
    ['mqtt://host', 'mqtt://host:1883'],
    ['tcp://host:1', 'mqtt://host:1'],
    ['mqtts://host', 'mqtts://host:8883'],
    ['ssl://host', 'mqtts://host:8883'],
    ['ws://host/path?x=1', 'ws://host:80/path?x=1'],
    ['wss://host', 'wss://host:443/'],
    ['mqtt://[::1]:5', 'mqtt://[::1]:5'],
    ['mqtt+unix:/run/my%20socket', 'mqtt+unix:/run/my socket'],
    ['mqtt://user:secret@host', 'mqtt://host:1883'],
  ]
  for (const [url, href] of cases) assert.equal(parseServerUrl(url).href, href)
  assert.equal(parseServerUrl('mqtt://[::1]').host, '::1')
  assert.equal(parseServerUrl('mqtt://a%40b:c%3Ad@host').username, 'a@b')
  assert.equal(parseServerUrl('mqtt://a%40b:c%3Ad@host').password, 'c:d')
})

test('what is not a URL of ours is an OptionError that does not repeat the password', () => {
  for (const url of ['host', 'http://user:secret@host', 'mqtt://', 'mqtt+unix:', 'mqtt://user:secret@host:99999']) {
    assert.throws(
      () => parseServerUrl(url),
      (error) => error instanceof OptionError && !error.message.includes('secret'),
    )
  }
})

test('a Server Reference is the first entry that can be understood', () => {
  const like = parseServerUrl('mqtts://old:99')
  assert.equal(parseServerReference('new:5', like)?.href, 'mqtts://new:5')
  assert.equal(parseServerReference('new', like)?.href, 'mqtts://new:99')
  assert.equal(parseServerReference('http://x [fe80::1]:7 third', like)?.href, 'mqtts://[fe80::1]:7')
  assert.equal(parseServerReference('a:b:c', like), null)
  assert.equal(parseServerReference('host:99999', like), null)
})

test('servers take turns; "use another server" holds once, "server moved" for good', () => {
  const servers = new Servers([parseServerUrl('mqtt://a'), parseServerUrl('mqtt://b')])
  const host = (): string => servers.current().host
  assert.equal(host(), 'a')
  assert.equal(servers.redirect(0x9c, 'c'), true)
  assert.equal(host(), 'c')
  servers.advance()
  assert.equal(host(), 'a')
  servers.redirect(0x9d, 'd')
  servers.advance()
  assert.equal(host(), 'b')
  servers.advance()
  assert.equal(host(), 'd')
  assert.equal(servers.redirect(0x9c, undefined), false)
})
