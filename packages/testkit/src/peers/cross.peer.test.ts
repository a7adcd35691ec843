/**
 * Every peer hears every other one, whatever protocol version either speaks.
 *
 * One test per QoS: each peer subscribes at each version, then each publishes at each version; every subscriber must get
 * every message, with the same bytes and the same QoS.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pahoC, pahoPython } from './agent.ts'
import { mosquittoClients } from './mosquitto-clients.ts'
import { mqttJs } from './mqttjs.ts'
import type { OutgoingMessage, Peer, PeerClient, QoS } from './peer.ts'
import { testTimeoutMs, useStage } from './stage.ts'

const peers: readonly Peer[] = [mosquittoClients, pahoPython, pahoC, mqttJs]
const { stage, skip } = useStage(peers)

const reasons = [skip, ...peers.map((peer) => peer.skip)].filter((reason) => reason !== false)

for (const qos of [0, 1, 2] as const satisfies QoS[]) {
  test(`mosquitto_pub, Paho Python, Paho C and MQTT.js hear each other at QoS ${qos} over 3.1, 3.1.1 and 5.0`, {
    skip: reasons[0] ?? false,
    timeout: testTimeoutMs,
  }, async (t) => {
    const root = stage.topic()
    const pairs = peers.flatMap((peer) => peer.versions.map((version) => ({ peer, version })))
    const subscribers = await Promise.all(
      pairs.map(async ({ peer, version }) => ({
        name: `${peer.name} ${version}`,
        client: await stage.open(t, peer, { version, subscriptions: [{ filter: `${root}/#`, qos: 2 }] }),
      })),
    )
    const sent: string[] = []
    await Promise.all(
      pairs.map(async ({ peer, version }) => {
        const publisher: PeerClient = await stage.open(t, peer, { version })
        const message: OutgoingMessage = {
          topic: `${root}/${peer.name}/${version}`,
          payload: `¡hola! from ${peer.name} ${version}`,
          qos,
        }
        sent.push(`${message.topic} ${qos} ${message.payload}`)
        await publisher.publish(message)
      }),
    )
    for (const { name, client } of subscribers) {
      const received: string[] = []
      for (let i = 0; i < sent.length; i++) {
        const message = await client.next()
        received.push(`${message.topic} ${message.qos} ${message.payload.toString()}`)
      }
      assert.deepEqual(received.sort(), [...sent].sort(), name)
    }
  })
}
