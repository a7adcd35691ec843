/**
 * A ring of two of our brokers and Debian's Mosquitto, all bridges with MQTT 5.0: Mosquitto puts itself on no path, and
 * its bridge looks like any client.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freePort } from '@recado/client/testing'
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt'
import { startBroker } from './broker.ts'
import { skipWithout } from './find.ts'
import { Inbox } from './inbox.ts'
import { testTimeoutMs } from './stage.ts'

const skip = skipWithout('mosquitto')

interface Seen {
  readonly text: string
  readonly userProperties: Record<string, string | string[]>
}

const bridgeTo = (name: string, port: number): string[] => [
  ...[`connection ${name}`, `address 127.0.0.1:${port}`, 'bridge_protocol_version mqttv50', 'restart_timeout 1'],
  'topic r/# out 1',
]

async function watch(port: number): Promise<{ client: MqttClient; seen: Inbox<Seen> }> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 })
  const seen = new Inbox<Seen>('message', () => `a client of ${port}`)
  client.on('message', (topic: string, payload: Buffer, packet: IPublishPacket) => {
    const userProperties = { ...packet.properties?.userProperties }
    seen.push({ text: `${topic} ${payload.toString()}`, userProperties })
  })
  await client.subscribeAsync('r/#', { qos: 1 })
  return { client, seen }
}

describe('a ring with Mosquitto', { skip, timeout: testTimeoutMs }, () => {
  test('each message gets to each broker once, and so does an answer with the properties of another message', async (t) => {
    const user = process.getuid?.() === 0 ? ['user root'] : []
    const firstPort = await freePort()
    const last = await startBroker('recado', { config: bridgeTo('toFirst', firstPort) })
    t.after(() => last.stop())
    const middle = await startBroker('mosquitto', { config: [...user, ...bridgeTo('toLast', last.port)] })
    t.after(() => middle.stop())
    const own = [`listener ${firstPort} 127.0.0.1`, ...bridgeTo('toMiddle', middle.port)]
    const first = await startBroker('recado', { config: own })
    t.after(() => first.stop())
    const atFirst = await watch(first.port)
    const atLast = await watch(last.port)
    t.after(() => Promise.all([atFirst, atLast].map(({ client }) => client.endAsync(true))))
    await atFirst.client.publishAsync('r/question', 'on', { qos: 1 })
    const question = await atLast.seen.next()
    assert.equal(question.text, 'r/question on')
    assert.match(String(question.userProperties['recado-path']), /^[0-9a-z]+:/)
    await atLast.client.publishAsync('r/answer/question', 'on', {
      ...{ qos: 1, properties: { userProperties: question.userProperties } },
    })
    // One behind it, in the order of the bridges: what came back would be before.
    await atLast.client.publishAsync('r/end', 'x', { qos: 1 })
    const texts: string[] = []
    while (texts.at(-1) !== 'r/end x') texts.push((await atFirst.seen.next()).text)
    assert.deepEqual(texts, ['r/question on', 'r/answer/question on', 'r/end x'])
    await atFirst.client.publishAsync('r/again', 'x', { qos: 1 })
    texts.length = 0
    while (texts.at(-1) !== 'r/again x') texts.push((await atLast.seen.next()).text)
    assert.deepEqual(texts, ['r/answer/question on', 'r/end x', 'r/again x'])
  })
})
