import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { TestAuthority } from '@recado/broker/testing'
import { loadConfig } from '../config/config.ts'
import { temporaryFolder } from '../testing/program.ts'
import { lint } from './lint.ts'
import { lintTable } from './table.ts'

/** `line name` of each finding; FOLDER in the text is a folder of the test's own. */
function found(context: TestContext, text: string, nowMs?: number): string[] {
  const folder = temporaryFolder(context)
  const file = join(folder, 'a.conf')
  writeFileSync(file, text.replaceAll('FOLDER', folder), { mode: 0o600 })
  return findings(file, nowMs)
}
function findings(file: string, nowMs?: number): string[] {
  const config = loadConfig({ configFile: file, dataFolder: null, ports: [], verbose: false, quiet: false })
  return lint(config, nowMs).map(({ line, name }) => `${line} ${name}`)
}

test('a broker for this machine only, and the default configuration, have nothing to find', (context) => {
  assert.deepEqual(found(context, ''), [])
  assert.deepEqual(found(context, 'listener 1883 127.0.0.1\nallow_anonymous true'), [])
  assert.deepEqual(found(context, 'listener 1883 localhost\nallow_anonymous true\nlistener 0 FOLDER/s.sock'), [])
  const config = loadConfig({ configFile: null, dataFolder: null, ports: [], verbose: false, quiet: false })
  assert.deepEqual(lint(config), [])
})

test('a listener on the network is to have TLS and logins', (context) => {
  assert.deepEqual(found(context, 'listener 1883\nallow_anonymous true'), ['1 no-tls', '2 anonymous-public'])
  const own = 'per_listener_settings true\nlistener 1883 10.0.0.1\nlistener_allow_anonymous true'
  assert.deepEqual(found(context, own), ['2 no-tls', '3 anonymous-public'])
  const logins = 'listener 1883\npassword_file FOLDER/none\nacl_file FOLDER/none'
  assert.deepEqual(found(context, logins), ['1 no-tls', '2 passwords-in-clear'])
  assert.deepEqual(found(context, 'listener 1883 127.0.0.1\npassword_file FOLDER/none'), ['1 no-acl'])
  assert.deepEqual(found(context, 'port 1883\nallow_anonymous true'), ['1 no-tls', '2 anonymous-public'])
  const proxied = 'listener 1883\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\nacl_file FOLDER/none'
  assert.deepEqual(found(context, proxied), ['2 proxy-protocol-public'])
})

test('what has no limit is found, and what is not kept', (context) => {
  const text = [
    'max_queued_messages 0',
    'max_queued_bytes 0',
    'max_stored_bytes 0',
    'max_memory_queued_bytes 0',
    'max_retained_bytes 0',
    'memory_limit 0',
    'persistent_client_expiration 2y',
    'durability os',
    'user root',
  ].join('\n')
  assert.deepEqual(found(context, text), [
    '2 queue-unbounded',
    '3 queue-unbounded',
    '4 queue-unbounded',
    '5 retained-unbounded',
    '6 memory-unbounded',
    '7 sessions-for-ever',
    '8 survives-no-power-cut',
    '9 runs-as-root',
  ])
  assert.deepEqual(found(context, 'max_queued_messages 0'), [], 'the bytes have a limit')
  assert.deepEqual(found(context, 'persistence false'), ['1 nothing-kept'])
})

test('whatever the start would warn about is a finding, with its line', (context) => {
  const text = 'autosave_interval 5\nmax_keepalive 5\nmax_keepalive 6 7'
  assert.deepEqual(found(context, text), ['1 no-effect', '3 no-effect', '3 no-effect'])
})

test('files with secrets are for nobody else, nor may anybody change who gets in', (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'a.conf')
  writeFileSync(file, `listener 1883 127.0.0.1\npassword_file ${folder}/pw\nacl_file ${folder}/acl\n`)
  writeFileSync(join(folder, 'pw'), '')
  writeFileSync(join(folder, 'acl'), '')
  chmodSync(join(folder, 'pw'), 0o640)
  assert.deepEqual(findings(file), [])
  chmodSync(join(folder, 'pw'), 0o644)
  chmodSync(join(folder, 'acl'), 0o666)
  assert.deepEqual(findings(file), ['2 file-readable', '3 file-writable'])
  const section = 'connection b\naddress 127.0.0.1:1884\ntopic # out 1\nremote_password s3cret\n'
  writeFileSync(file, section)
  chmodSync(file, 0o600)
  assert.deepEqual(findings(file), [])
  chmodSync(file, 0o644)
  assert.deepEqual(findings(file), ['4 file-readable'])
})

test('passwords that are quick to guess are found', (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'a.conf')
  writeFileSync(file, `listener 1883 127.0.0.1\nacl_file ${folder}/none\npassword_file ${folder}/pw\n`)
  const write = (text: string): void => writeFileSync(join(folder, 'pw'), text, { mode: 0o600 })
  write('ada:$7$1000$abc$def\n# eve:$6$abc$def\n')
  assert.deepEqual(findings(file), [])
  write('ada:$7$101$abc$def\neve:$6$abc$def\n')
  assert.deepEqual(findings(file), ['3 old-password-hash'])
})

test('certificates are found 30 days before they expire', (context) => {
  const folder = temporaryFolder(context)
  const validTo = new Date(Date.now() + 90 * 86_400_000)
  const { cert, key } = new TestAuthority('test authority').issue('localhost', { validTo })
  writeFileSync(join(folder, 'cert.pem'), cert)
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
  const file = join(folder, 'a.conf')
  writeFileSync(
    file,
    `listener 8883 127.0.0.1\nallow_anonymous true\ncertfile ${folder}/cert.pem\nkeyfile ${folder}/key.pem\n`,
  )
  const days = (count: number): number => Date.now() + count * 86_400_000
  assert.deepEqual(findings(file, days(59)), [])
  assert.deepEqual(findings(file, days(61)), ['3 certificate-expires'])
  assert.deepEqual(findings(file, days(91)), ['3 certificate-expires'])
})

test('bridges are not to send passwords in the clear, nor to talk to just anybody', (context) => {
  const text =
    'connection b\naddress hub\ntopic # out 1\nremote_password s\nconnection c\naddress hub\ntopic # out 1\nbridge_cafile a\nbridge_insecure true'
  assert.deepEqual(found(context, text), ['4 bridge-in-clear', '9 bridge-unchecked'])
  assert.deepEqual(found(context, 'connection b\naddress 127.0.0.1:1884\ntopic # out 1\nremote_password s'), [])
})

test('each finding of the table has a name of its own and says what to do', () => {
  assert.equal(new Set(lintTable.map(({ name }) => name)).size, lintTable.length)
  for (const { name, title, why, remedy } of lintTable) {
    assert.match(name, /^[a-z]+(-[a-z]+)*$/)
    assert.doesNotMatch(title, /\.$/)
    for (const text of [why, remedy]) assert.match(text, /\.$/, name)
  }
})
