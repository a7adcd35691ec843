import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { TestAuthority } from '@recado/broker/testing'
import { temporaryFolder } from '../testing/program.ts'
import { type Config, loadConfig } from './config.ts'
import { type ReadTls, readTls } from './tls.ts'

const authority = new TestAuthority('test authority')
const server = authority.issue('localhost')

const load = (text: string): Config =>
  loadConfig(
    { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
    { read: () => text, list: () => [] },
  )

/** The files of a TLS listener in a folder that goes with the test, and a configuration with FOLDER replaced. */
function read(context: TestContext, text: string, files: Record<string, string> = {}): ReadTls & { config: Config } {
  const folder = temporaryFolder(context)
  mkdirSync(join(folder, 'empty'))
  for (const [name, content] of Object.entries({
    'cert.pem': server.cert,
    'key.pem': server.key,
    'ca.pem': authority.cert,
    ...files,
  })) {
    writeFileSync(join(folder, name), content)
  }
  const config = load(text.replaceAll('FOLDER', folder))
  return { config, ...readTls(config.listeners[0]!.tls!) }
}

const pair = 'listener 8883\ncertfile FOLDER/cert.pem\nkeyfile FOLDER/key.pem\n'

test('a listener is one of TLS by its certificate, and asks for none of the client', (context) => {
  const { options, warnings, config } = read(context, pair)
  assert.equal(options.cert, server.cert)
  assert.equal(options.key, server.key)
  assert.equal(options.clientCertificate, 'none')
  assert.equal(options.ca, undefined)
  assert.deepEqual([...warnings, ...config.warnings], [])
  assert.equal(load('listener 1883\nrequire_certificate false').listeners[0]!.tls, null)
})

test('every option gets where it belongs', (context) => {
  const { options, config } = read(
    context,
    `${pair}cafile FOLDER/ca.pem\ncrlfile FOLDER/crl.pem\nrequire_certificate true\nuse_subject_as_username true\nciphers ECDHE-ECDSA-AES128-GCM-SHA256\nciphers_tls1.3 TLS_AES_128_GCM_SHA256\ntls_version tlsv1.3`,
    { 'crl.pem': authority.revocationList() },
  )
  assert.equal(options.clientCertificate, 'required')
  assert.deepEqual(options.ca, [authority.cert])
  assert.match(String(options.crl), /BEGIN X509 CRL/)
  assert.equal(options.ciphers, 'ECDHE-ECDSA-AES128-GCM-SHA256')
  assert.equal(options.ciphersTls13, 'TLS_AES_128_GCM_SHA256')
  assert.equal(options.minVersion, 'TLSv1.3')
  assert.equal(config.listeners[0]!.usernameFrom, 'subject')
})

test('capath is a folder whose other files do not matter', (context) => {
  const { options } = read(context, `${pair}capath FOLDER\nrequire_certificate true`, { README: 'not a certificate' })
  assert.deepEqual([...(options.ca as string[])].sort(), [authority.cert, server.cert].sort())
  assert.throws(
    () => read(context, `${pair}capath FOLDER/empty\nrequire_certificate true`),
    /^ConfigError: a\.conf:4: capath \S+ has no certificate/,
  )
})

test('pre-shared keys come from psk_file, global or the listener’s own', (context) => {
  const { options, config } = read(
    context,
    'psk_file FOLDER/psk\nlistener 8883\npsk_hint meters\nuse_identity_as_username true',
    {
      psk: '# identities\nmeter-7:deadBEEF\nähm:00\n\n',
    },
  )
  assert.deepEqual(options.psk!('meter-7'), Uint8Array.of(0xde, 0xad, 0xbe, 0xef))
  assert.deepEqual(options.psk!('ähm'), Uint8Array.of(0))
  assert.equal(options.psk!('meter-8'), null)
  assert.equal(options.pskHint, 'meters')
  assert.equal(config.listeners[0]!.usernameFrom, 'identity')
  const own = 'per_listener_settings true\nlistener 8883\npsk_hint x\npsk_file FOLDER/psk'
  assert.deepEqual(read(context, own, { psk: 'a:01' }).options.psk!('a'), Uint8Array.of(1))
})

test('what is wrong with a file is told with the line of the option that names it', (context) => {
  const fails = (text: string, message: RegExp, files: Record<string, string> = {}): void => {
    assert.throws(
      () => read(context, text, files),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_RECADO_CONFIG')
        assert.match(error.message, message)
        return true
      },
    )
  }
  const keyOfAnother = { 'key.pem': authority.issue('x').key }
  fails(
    'listener 8883\ncertfile FOLDER/nothing\nkeyfile FOLDER/key.pem',
    /^a\.conf:2: certfile \S+nothing cannot be read: no such file/,
  )
  fails(
    'listener 8883\ncertfile FOLDER/cert.pem\nkeyfile FOLDER',
    /^a\.conf:3: keyfile \S+ cannot be read: it is a directory/,
  )
  fails(pair, /^a\.conf:3: keyfile \S+key\.pem: the private key does not belong to the certificate/, keyOfAnother)
  fails(pair, /^a\.conf:2: certfile \S+cert\.pem: the text has no block/, { 'cert.pem': '' })
  fails(`${pair}cafile FOLDER/key.pem\nrequire_certificate true`, /^a\.conf:4: cafile \S+: the text has no block/)
  fails(`${pair}ciphers NONSENSE`, /^a\.conf:4: ciphers NONSENSE: .*cipher/i)
  fails(`${pair}ciphers_tls1.3 TLS_NONSENSE`, /^a\.conf:4: ciphers_tls1\.3 TLS_NONSENSE: "TLS_NONSENSE" is not a suite/)
  fails(`${pair}dhparamfile FOLDER/cert.pem`, /^a\.conf:4: dhparamfile \S+: the text has no block/)
  const noDh = '-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n'
  fails(`${pair}dhparamfile FOLDER/dh.pem`, /^a\.conf:4: dhparamfile \S+: the DH parameters/, { 'dh.pem': noDh })
  const noList = '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n'
  const mutual = `${pair}cafile FOLDER/ca.pem\nrequire_certificate true\ncrlfile FOLDER/crl.pem`
  fails(mutual, /^a\.conf:6: crlfile \S+: a revocation list cannot be read/, { 'crl.pem': noList })
  fails(`${pair}tls_version tlsv1.9`, /^a\.conf:4: tls_version must be tlsv1\.2 or tlsv1\.3/)
  const psk = 'psk_file FOLDER/psk\nlistener 8883\npsk_hint x'
  fails(psk, /psk:2: the key of "b" is not pairs of hex digits$/, { psk: 'a:01\nb:xyz' })
  fails(psk, /psk:1: expected IDENTITY:KEY$/, { psk: 'secret' })
  fails(psk, /psk:2: "a" stands already above$/, { psk: 'a:01\na:02' })
})

test('options that do not go together are an error before any file is read', () => {
  const fails = (lines: string, message: RegExp): void => assert.throws(() => load(`listener 8883\n${lines}`), message)
  fails('certfile c', /^ConfigError: a\.conf:2: certfile needs keyfile/)
  fails('keyfile k', /needs certfile/)
  fails('cafile a', /a\.conf:2: cafile needs certfile and keyfile, or psk_hint: without them there is no TLS/)
  fails('require_certificate true', /without them there is no TLS/)
  fails('certfile c\nkeyfile k\nrequire_certificate true', /a\.conf:4: require_certificate needs cafile or capath/)
})

test('what keeps nobody out is a warning on a listener without TLS, as Mosquitto starts', () => {
  const lines = 'listener 1883\ntls_version tlsv1.1\nciphers x\nciphers_tls1.3 x\ndhparamfile d\ncrlfile c'
  const config = load(lines)
  assert.equal(config.listeners[0]!.tls, null)
  assert.deepEqual(
    config.warnings.map((warning) => warning.split(':').slice(0, 3).join(':')),
    ['tls_version', 'ciphers', 'ciphers_tls1.3', 'dhparamfile', 'crlfile'].map(
      (name, index) => `a.conf:${index + 2}: ${name} has no effect`,
    ),
  )
})

test('psk_hint without psk_file lets nobody in, and is a warning, as Mosquitto starts', () => {
  const { listeners, warnings } = load('listener 8883\npsk_hint h')
  const { psk } = readTls(listeners[0]!.tls!).options
  assert.equal(psk?.('anybody'), null)
  assert.match(warnings[0]!, /^a\.conf:2: psk_hint without psk_file: nobody has a key/)
})

test('options about client certificates without require_certificate are warnings, as Mosquitto starts', (context) => {
  const lines = `${pair}cafile FOLDER/ca.pem\ncrlfile FOLDER/crl.pem\nuse_identity_as_username true\nuse_subject_as_username true`
  const { options, config } = read(context, lines, { 'crl.pem': authority.revocationList() })
  assert.equal(options.clientCertificate, 'none')
  // Sent with our own certificate where it is between.
  assert.deepEqual(options.ca, [authority.cert])
  assert.equal(options.crl, undefined)
  assert.deepEqual(
    config.warnings.map((warning) => warning.slice(0, 41)),
    [
      'a.conf:5: crlfile has no effect without re',
      'a.conf:6: use_identity_as_username refuses',
      'a.conf:7: use_subject_as_username refuses ',
    ].map((warning) => warning.slice(0, 41)),
  )
})

test('an expired certificate and a version that is not offered any more are warnings', (context) => {
  const old = authority.issue('old', { validTo: new Date(Date.now() - 86_400_000) })
  const { warnings, options } = read(context, `${pair}tls_version tlsv1.1`, {
    'cert.pem': old.cert,
    'key.pem': old.key,
  })
  assert.equal(options.minVersion, 'TLSv1.2')
  assert.match(warnings[0]!, /^a\.conf:4: tls_version tlsv1\.1 is not offered/)
  assert.match(warnings[1]!, /^a\.conf:2: certfile: the certificate \(CN=old\) expired on/)
})
