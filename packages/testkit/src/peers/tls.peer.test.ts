/**
 * TLS as operators' programs speak it: mosquitto_pub with --cafile, --cert and --psk, Paho for Python, MQTT.js, openssl s_client.
 *
 * RECADO_PEER_TARGET=mosquitto runs the same against Mosquitto.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestAuthority } from '@recado/broker/testing'
import mqtt from 'mqtt'
import { type RunningBroker, skipWithoutBroker, startBroker, targetKind } from './broker.ts'
import { Child, run } from './child.ts'
import { findPeer, peerPath, skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const authority = new TestAuthority('peer test authority')
const server = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
const ada = authority.issue('ada')
const lost = authority.issue('lost')
const skip = skipWithoutBroker() || skipWithout('mosquitto_pub', 'mosquitto_sub')
const hasOpenSsl = spawnSync('openssl', ['version']).status === 0

/** A broker with these lines below its listener, and the files that they may name. */
function useTls(lines: (folder: string) => string[]): { at: () => RunningBroker; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'recado-tls-peer-'))
  let broker: RunningBroker | null = null
  before(async () => {
    if (skip !== false) return
    // Mosquitto, started by root, reads them as another user.
    chmodSync(folder, 0o755)
    const files = {
      'ca.pem': authority.cert,
      'cert.pem': server.cert,
      'key.pem': server.key,
      'crl.pem': authority.revocationList(lost),
      'ada.pem': ada.cert,
      'ada.key': ada.key,
      'lost.pem': lost.cert,
      'lost.key': lost.key,
      psk: 'meter-7:deadbeef\n',
    }
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    broker = await startBroker(targetKind(), { config: lines(folder) })
  })
  after(async () => {
    await broker?.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return { folder, at: () => broker! }
}

const common = (broker: RunningBroker): string[] => ['-h', '127.0.0.1', '-p', String(broker.port)]

/** A retained message out and in again. */
async function roundTrip(flags: readonly string[], topic: string): Promise<string[]> {
  await run(peerPath('mosquitto_pub'), [...flags, '-q', '1', '-r', '-t', topic, '-m', 'hello'])
  return await run(peerPath('mosquitto_sub'), [...flags, '-q', '1', '-C', '1', '-W', '20', '-t', topic])
}

async function isRefused(flags: readonly string[]): Promise<void> {
  const child = new Child(peerPath('mosquitto_pub'), [...flags, '-q', '1', '-t', 'x', '-m', 'x'], { input: '' })
  const { code } = await child.wait()
  assert.notEqual(code, 0, child.describe())
}

describe('certificate of the server', { skip, timeout: testTimeoutMs }, () => {
  const { at, folder } = useTls((path) => [`certfile ${path}/cert.pem`, `keyfile ${path}/key.pem`])
  const ca = join(folder, 'ca.pem')

  test('mosquitto_pub and mosquitto_sub with --cafile, TLS 1.2 and 1.3', async () => {
    for (const version of ['tlsv1.2', 'tlsv1.3']) {
      const flags = [...common(at()), '--cafile', ca, '--tls-version', version]
      assert.deepEqual(await roundTrip(flags, `tls/${version}`), ['hello'])
    }
  })

  test('Paho for Python', { skip: skipWithout('paho-python') }, async () => {
    const paho = findPeer('paho-python') as { path: string }
    const script = `
import sys, paho.mqtt.client as mqtt
try: c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1)
except AttributeError: c = mqtt.Client()
c.tls_set(ca_certs=sys.argv[2])
c.on_connect = lambda c, *_: c.subscribe('paho/tls', 1)
c.on_subscribe = lambda c, *_: c.publish('paho/tls', 'from paho', 1)
def on_message(c, u, m):
    print(m.payload.decode()); c.disconnect()
c.on_message = on_message
c.connect('127.0.0.1', int(sys.argv[1]))
c.loop_forever()
`
    assert.deepEqual(await run(paho.path, ['-c', script, String(at().port), ca]), ['from paho'])
  })

  test('MQTT.js by mqtts', async () => {
    const client = await mqtt.connectAsync(`mqtts://127.0.0.1:${at().port}`, { ca: authority.cert })
    const message = new Promise<string>((resolve) => client.on('message', (_, payload) => resolve(String(payload))))
    await client.subscribeAsync('mqttjs/tls', { qos: 1 })
    await client.publishAsync('mqttjs/tls', 'x'.repeat(100_000), { qos: 1 })
    assert.equal((await message).length, 100_000)
    await client.endAsync()
  })

  test('openssl s_client sees TLS 1.2 and 1.3 and, of ours, nothing older, and ALPN mqtt', {
    skip: hasOpenSsl ? false : 'no openssl',
  }, () => {
    const client = (...flags: string[]): string => {
      const argv = ['s_client', '-connect', `127.0.0.1:${at().port}`, '-CAfile', ca, ...flags]
      const { stdout, stderr } = spawnSync('openssl', argv, { input: '', encoding: 'utf8', timeout: 300_000 })
      return stdout + stderr
    }
    assert.match(client('-tls1_3'), /New, TLSv1\.3[\s\S]*Verify return code: 0/)
    assert.match(client('-tls1_2'), /New, TLSv1\.2[\s\S]*Verify return code: 0/)
    assert.match(client('-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'), /alert protocol version/)
    if (at().kind === 'recado') assert.match(client('-alpn', 'mqtt'), /ALPN protocol: mqtt/)
  })
})

describe('certificate of the client', { skip, timeout: testTimeoutMs }, () => {
  const { at, folder } = useTls((path) => [
    `certfile ${path}/cert.pem`,
    `keyfile ${path}/key.pem`,
    `cafile ${path}/ca.pem`,
    `crlfile ${path}/crl.pem`,
    'require_certificate true',
    'use_identity_as_username true',
  ])
  const flagsFor = (name: string): string[] => [
    ...common(at()),
    ...['--cafile', join(folder, 'ca.pem')],
    ...['--cert', join(folder, `${name}.pem`), '--key', join(folder, `${name}.key`)],
  ]

  test('a valid one is let in, without a password', async () => {
    assert.deepEqual(await roundTrip(flagsFor('ada'), 'mtls'), ['hello'])
  })

  test('none, and one that is revoked, are not', async () => {
    await isRefused([...common(at()), '--cafile', join(folder, 'ca.pem')])
    await isRefused(flagsFor('lost'))
  })
})

describe('pre-shared key', { skip, timeout: testTimeoutMs }, () => {
  const { at } = useTls((path) => ['psk_hint meters', `psk_file ${path}/psk`, 'use_identity_as_username true'])

  test('the right key is let in, another and an unknown identity are not', async () => {
    const flags = (identity: string, key: string): string[] => [
      ...common(at()),
      '--psk-identity',
      identity,
      '--psk',
      key,
    ]
    assert.deepEqual(await roundTrip(flags('meter-7', 'deadbeef'), 'psk'), ['hello'])
    await isRefused(flags('meter-7', 'deadbeee'))
    await isRefused(flags('meter-8', 'deadbeef'))
  })
})
