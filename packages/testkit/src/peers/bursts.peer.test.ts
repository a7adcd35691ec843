/**
 * Clients that read one packet each time that their socket is readable: Paho C over WebSocket, which takes one packet from a frame, and
 * Paho for Python below asyncio over TLS and wss, which takes one from a record.
 *
 * RECADO_PEER_TARGET=mosquitto runs the same against Mosquitto.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TestAuthority } from '@recado/broker/testing'
import { type RunningBroker, skipWithoutBroker, startBroker, targetKind } from './broker.ts'
import { run } from './child.ts'
import { peerPath, skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const authority = new TestAuthority('peer test authority')
const { cert, key } = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
const source = (name: string): string => fileURLToPath(new URL(`../../peers/${name}`, import.meta.url))

function useBroker(lines: (folder: string) => string[]): { at: () => RunningBroker; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'recado-burst-peer-'))
  let broker: RunningBroker | null = null
  before(async () => {
    for (const [name, content] of Object.entries({ 'ca.pem': authority.cert, 'cert.pem': cert, 'key.pem': key })) {
      writeFileSync(join(folder, name), content)
    }
    const user = targetKind() === 'mosquitto' && process.getuid?.() === 0 ? ['user root'] : []
    broker = await startBroker(targetKind(), { config: [...user, ...lines(folder)] })
  })
  after(async () => {
    await broker?.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return { folder, at: () => broker! }
}

const tls = (folder: string): string[] => [`certfile ${folder}/cert.pem`, `keyfile ${folder}/key.pem`]

const skipC = skipWithoutBroker() || skipWithout('paho-c')
describe('Paho C over WebSocket', { skip: skipC, timeout: testTimeoutMs }, () => {
  const { at, folder } = useBroker(() => ['protocol websockets'])

  test('a burst arrives whole, at QoS 0, 1 and 2 [MQTT-6.0.0-2]', async () => {
    const program = join(folder, 'burst')
    await run(peerPath('paho-c'), ['-O1', '-Wall', '-o', program, source('paho_burst.c'), '-lpaho-mqtt3a', '-lpthread'])
    for (const qos of ['0', '1', '2']) {
      assert.deepEqual(await run(program, [`ws://127.0.0.1:${at().port}/mqtt`, qos, '100']), ['100'], `QoS ${qos}`)
    }
  })
})

const skipPython = skipWithoutBroker() || skipWithout('paho-python')
describe('Paho for Python as asyncio drives it', { skip: skipPython, timeout: testTimeoutMs }, () => {
  const plain = useBroker(tls)
  const webSocket = useBroker((folder) => ['protocol websockets', ...tls(folder)])
  for (const [transport, { at, folder }] of [
    ['tcp', plain],
    ['websockets', webSocket],
  ] as const) {
    test(`messages and their acknowledgements come over TLS and ${transport} without another packet behind them`, async () => {
      const args = ['-B', source('paho_asyncio.py'), transport, String(at().port), join(folder, 'ca.pem'), '5']
      assert.deepEqual(await run(peerPath('paho-python'), args), ['5 5'])
    })
  }
})
