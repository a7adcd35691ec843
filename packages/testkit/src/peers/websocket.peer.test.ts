/**
 * MQTT over WebSocket as others speak it: MQTT.js by ws and wss, Paho for Python, and the client of `ws` with its closing handshake.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestAuthority } from '@recado/broker/testing'
import mqtt, { type IClientOptions } from 'mqtt'
import { WebSocket } from 'ws'
import { type RunningBroker, startBroker } from './broker.ts'
import { run } from './child.ts'
import { findPeer, skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const authority = new TestAuthority('peer test authority')
const { cert, key } = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })

function useBroker(lines: (folder: string) => string[]): () => RunningBroker {
  const folder = mkdtempSync(join(tmpdir(), 'recado-ws-peer-'))
  let broker: RunningBroker | null = null
  before(async () => {
    writeFileSync(join(folder, 'cert.pem'), cert)
    writeFileSync(join(folder, 'key.pem'), key)
    broker = await startBroker('recado', { config: ['protocol websockets', ...lines(folder)] })
  })
  after(async () => {
    await broker?.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return () => broker!
}

/** Messages of every size there and back, at QoS 1. */
async function roundTrip(url: string, options: IClientOptions = {}): Promise<void> {
  for (const protocolVersion of [4, 5] as const) {
    const client = await mqtt.connectAsync(url, { ...options, protocolVersion })
    const sizes = [0, 1, 100, 125, 126, 16_384, 65_535, 65_536, 1_000_000]
    const received: number[] = []
    const all = new Promise<void>((resolve) => {
      client.on('message', (_, payload) => {
        received.push(payload.length)
        if (received.length === sizes.length) resolve()
      })
    })
    await client.subscribeAsync(`sizes/${protocolVersion}`, { qos: 1 })
    await Promise.all(
      sizes.map((size) => client.publishAsync(`sizes/${protocolVersion}`, Buffer.alloc(size, 7), { qos: 1 })),
    )
    await all
    assert.deepEqual(received, sizes)
    await client.endAsync()
  }
}

describe('ws', { timeout: testTimeoutMs }, () => {
  const broker = useBroker(() => [])

  test('MQTT.js, 3.1.1 and 5.0', () => roundTrip(`ws://127.0.0.1:${broker().port}/mqtt`))

  test('MQTT.js with MQTT 3.1, whose subprotocol is mqttv3.1', async () => {
    const client = await mqtt.connectAsync(`ws://127.0.0.1:${broker().port}`, {
      protocolVersion: 3,
      protocolId: 'MQIsdp',
    })
    await client.publishAsync('x', 'y', { qos: 1 })
    await client.endAsync()
  })

  test('Paho for Python', { skip: skipWithout('paho-python') }, async () => {
    const paho = findPeer('paho-python') as { path: string }
    const script = `
import sys, paho.mqtt.client as mqtt
try: c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, transport='websockets')
except AttributeError: c = mqtt.Client(transport='websockets')
c.on_connect = lambda c, *_: c.subscribe('paho/ws', 1)
c.on_subscribe = lambda c, *_: c.publish('paho/ws', 'x' * 70000, 1)
def on_message(c, u, m):
    print(len(m.payload)); c.disconnect()
c.on_message = on_message
c.connect('127.0.0.1', int(sys.argv[1]))
c.loop_forever()
`
    assert.deepEqual(await run(paho.path, ['-c', script, String(broker().port)]), ['70000'])
  })

  test('the client of ws: subprotocol, ping, and a closing handshake that it finds clean', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${broker().port}/`, ['mqtt'], { perMessageDeflate: true })
    await once(socket, 'open')
    assert.equal(socket.protocol, 'mqtt')
    assert.equal(socket.extensions, '')
    socket.ping('hello')
    assert.equal(String((await once(socket, 'pong'))[0]), 'hello')
    socket.close(1000, 'done')
    assert.equal((await once(socket, 'close'))[0], 1000)
  })

  test('a text frame closes with 1003', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${broker().port}/`, ['mqtt'])
    await once(socket, 'open')
    socket.send('text')
    assert.equal((await once(socket, 'close'))[0], 1003)
  })
})

describe('wss', { timeout: testTimeoutMs }, () => {
  const broker = useBroker((folder) => [`certfile ${folder}/cert.pem`, `keyfile ${folder}/key.pem`])

  test('MQTT.js', () => roundTrip(`wss://127.0.0.1:${broker().port}/mqtt`, { ca: authority.cert }))
})
