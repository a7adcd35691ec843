/**
 * `recado` with a bridge to each cloud's stand-in: it is let in, its messages cross both ways and survive a lost
 * connection, and what the cloud would refuse is kept back instead of ending the connection.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import mqtt, { type MqttClient } from 'mqtt'
import { startBroker } from '../peers/broker.ts'
import { Inbox } from '../peers/inbox.ts'
import { awsRules, type CloudRules, emqxRules, eventGridRules, hivemqRules, iotHubRules } from './rules.ts'
import { CloudStandIn } from './stand-in.ts'

const TEST_MS = 300_000
const KEY = Buffer.alloc(32, 9).toString('base64')

interface Edge {
  readonly cloud: CloudStandIn
  readonly client: MqttClient
  /** Messages at the edge, `topic payload`. */
  readonly seen: Inbox<string>
}

/** The cloud, a broker with a bridge to it, and a client at the broker. */
async function bridged(
  t: TestContext,
  rules: CloudRules,
  lines: readonly string[],
  commonName?: string,
): Promise<Edge> {
  const cloud = await CloudStandIn.start(rules)
  t.after(() => cloud.stop())
  const folder = mkdtempSync(join(tmpdir(), 'recado-cloud-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'ca.pem'), cloud.authority.cert)
  const config = ['connection cloud', `address localhost:${cloud.port}`, `bridge_cafile ${folder}/ca.pem`]
  if (commonName !== undefined) {
    const { cert, key } = cloud.certificateFor(commonName)
    writeFileSync(join(folder, 'cert.pem'), cert)
    writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
    config.push(`bridge_certfile ${folder}/cert.pem`, `bridge_keyfile ${folder}/key.pem`)
  }
  const broker = await startBroker('recado', {
    config: [...config, 'restart_timeout 1', ...lines],
    inProcess: true,
  })
  t.after(() => broker.stop())
  await cloud.accepted.next()
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, { protocolVersion: 5 })
  t.after(() => client.endAsync(true))
  const seen = new Inbox<string>('message at the edge', () => `${cloud.describe()}\n${broker.describe()}`)
  client.on('message', (topic, payload) => seen.push(`${topic} ${payload}`))
  await client.subscribeAsync('#', { qos: 1, nl: true } as never)
  return { cloud, client, seen }
}

const publish = (client: MqttClient, topic: string, payload: string | Buffer, more: object = {}): Promise<unknown> =>
  client.publishAsync(topic, payload, { qos: 1, ...more })

/** Publishes commands until the subscription is there and one arrives. */
async function receives({ cloud, seen }: Edge, topic: string, expected: string): Promise<void> {
  const timer = setInterval(() => cloud.publish(topic, Buffer.from('go')), 200)
  try {
    assert.equal(await seen.next(), `${expected} go`)
  } finally {
    clearInterval(timer)
  }
}

// At once: what they do is wait, for a cloud's rate, for a token, for a line.
describe('a bridge to each cloud', { concurrency: true }, () => {
  test('AWS IoT Core: what it would refuse is kept back, the rest crosses through a lost connection', {
    timeout: TEST_MS,
  }, async (t) => {
    const lines = ['bridge_preset aws-iot', 'topic sensors/# out 1', 'topic commands/# in 1']
    const edge = await bridged(t, awsRules(), lines, 'pi')
    const { cloud, client } = edge
    await publish(client, 'sensors/1/2/3/4/5/6/7/8', 'too deep')
    await publish(client, 'sensors/large', Buffer.alloc(131_073))
    await publish(client, 'sensors/retained', 'kept', { retain: true })
    const first = await cloud.taken.next()
    assert.deepEqual([first.topic, String(first.payload), first.retain], ['sensors/retained', 'kept', false])
    cloud.cut()
    await publish(client, 'sensors/a', 'after the cut')
    const { sessionPresent } = await cloud.accepted.next()
    assert.equal(sessionPresent, true)
    assert.equal(String((await cloud.taken.next()).payload), 'after the cut')
    await receives(edge, 'commands/x', 'commands/x')
    assert.deepEqual(cloud.refusals, [])
  })

  test('AWS IoT Core takes 100 messages a second, and gets no more', { timeout: TEST_MS }, async (t) => {
    const { cloud, client } = await bridged(t, awsRules(), ['bridge_preset aws-iot', 'topic # out 1'], 'pi')
    await Promise.all(Array.from({ length: 250 }, (_, i) => publish(client, 'a', String(i))))
    for (let i = 0; i < 250; i++) assert.equal(String((await cloud.taken.next()).payload), String(i))
    assert.ok(cloud.throttled === 0, `${cloud.throttled} were dropped`)
  })

  test('Azure IoT Hub: topics are properties, tokens are the bridge’s own, and cloud-to-device messages arrive', {
    timeout: TEST_MS,
  }, async (t) => {
    const lines = ['bridge_preset azure-iot-hub', 'remote_clientid pi', `bridge_sas_key ${KEY}`]
    const edge = await bridged(t, iotHubRules('localhost', 'pi', KEY), [
      ...lines,
      'topic # out 1 sensors/',
      'topic # in 1 cloud/',
    ])
    await publish(edge.client, 'sensors/kitchen/temperature', '21', { retain: true })
    const { topic, retain } = await edge.cloud.taken.next()
    assert.deepEqual([topic, retain], ['devices/pi/messages/events/topic=kitchen%2Ftemperature', false])
    await receives(edge, 'devices/pi/messages/devicebound/%24.mid=1&topic=lamp%2Fset', 'cloud/lamp/set')
    assert.deepEqual(edge.cloud.refusals, [])
  })

  test('Azure IoT Hub: a bridge renews its token before the hub ends the connection', {
    timeout: TEST_MS,
  }, async (t) => {
    const lines = ['bridge_preset azure-iot-hub', 'remote_clientid pi', `bridge_sas_key ${KEY}`, 'bridge_sas_ttl 30']
    const { cloud } = await bridged(t, iotHubRules('localhost', 'pi', KEY), [...lines, 'topic # out 1'])
    // After half of its lifetime.
    await cloud.accepted.next()
    assert.deepEqual(cloud.refusals, [])
  })

  test('Azure Event Grid, HiveMQ Cloud and EMQX: messages cross both ways', { timeout: TEST_MS }, async (t) => {
    const grid = ['bridge_preset azure-event-grid', 'remote_username pi', 'topic a/# both 1']
    const login = ['remote_username pi', 'remote_password s3cret', 'topic a/# both 2']
    for (const [rules, lines, commonName] of [
      [eventGridRules('pi'), grid, 'pi'],
      [hivemqRules('pi', 's3cret'), ['bridge_preset hivemq-cloud', ...login], undefined],
      [emqxRules('pi', 's3cret'), ['bridge_preset emqx', ...login], undefined],
    ] as const) {
      const edge = await bridged(t, rules, lines, commonName)
      await publish(edge.client, 'a/x', rules.name)
      assert.equal(String((await edge.cloud.taken.next()).payload), rules.name)
      await receives(edge, 'a/command', 'a/command')
      assert.deepEqual(edge.cloud.refusals, [])
    }
  })

  test('a batch is one message with a line for each reading, compressed', { timeout: TEST_MS }, async (t) => {
    const lines = [
      'bridge_preset aws-iot',
      'remote_clientid pi',
      'topic sensors/# out 1',
      'bridge_batch 10 2 65536 gzip',
    ]
    const { cloud, client } = await bridged(t, awsRules(), lines, 'pi')
    for (let i = 0; i < 25; i++) await publish(client, `sensors/${i % 3}`, String(i))
    const payloads: string[] = []
    while (payloads.length < 25) {
      const { topic, payload } = await cloud.taken.next()
      assert.equal(topic, 'batch/pi')
      const batch = String(gunzipSync(payload)).trim().split('\n')
      assert.ok(batch.length <= 10)
      payloads.push(...batch.map((line) => (JSON.parse(line) as { payload: string }).payload))
    }
    assert.deepEqual(
      payloads,
      Array.from({ length: 25 }, (_, i) => String(i)),
    )
  })
})
