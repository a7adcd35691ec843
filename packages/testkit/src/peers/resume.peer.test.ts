/**
 * Connections that die in the middle of a QoS 1 or 2 flow, and sessions that go on where they were.
 *
 * For each packet of the flow, in both directions: a proxy loses that packet and the connection with it, the peer comes
 * back to its session, and both sides finish the flow. QoS 2 must be exactly once and in order, QoS 1 at least once
 * (MQTT 5.0 sections 4.3 and 4.4). Run on the three libraries that keep their half of a session.
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { pahoC, pahoPython, uniqueClientId } from './agent.ts'
import { CutProxy, type Direction, type PacketName } from './cut-proxy.ts'
import { mqttJs } from './mqttjs.ts'
import { type QoS, type ResumablePeer, versionName } from './peer.ts'
import { messagesUntil, publishOnce, testTimeoutMs, useStage } from './stage.ts'

/** MQTT.js as applications use it: it keeps its half of the session only when it connects again by itself. */
const reconnectingMqttJs: ResumablePeer = {
  ...mqttJs,
  async open(options) {
    return await mqttJs.open({ ...options, reconnects: true })
  },
}

const peers: readonly ResumablePeer[] = [pahoPython, pahoC, reconnectingMqttJs]
const { stage, skip: brokerSkip } = useStage(peers)

async function proxyFor(t: TestContext): Promise<CutProxy> {
  const proxy = await CutProxy.start(stage.broker.port)
  t.after(() => proxy.stop())
  return proxy
}

/** QoS 1 may come twice, next to each other or not; the first of each must be in order. */
function firsts(payloads: readonly string[]): string[] {
  return [...new Set(payloads)]
}

const sending: readonly [qos: QoS, direction: Direction, packet: PacketName][] = [
  [1, 'to broker', 'PUBLISH'],
  [1, 'to client', 'PUBACK'],
  [2, 'to broker', 'PUBLISH'],
  [2, 'to client', 'PUBREC'],
  [2, 'to broker', 'PUBREL'],
  [2, 'to client', 'PUBCOMP'],
]

const receiving: readonly [qos: QoS, direction: Direction, packet: PacketName][] = [
  [1, 'to client', 'PUBLISH'],
  [1, 'to broker', 'PUBACK'],
  [2, 'to client', 'PUBLISH'],
  [2, 'to broker', 'PUBREC'],
  [2, 'to client', 'PUBREL'],
  [2, 'to broker', 'PUBCOMP'],
]

for (const peer of peers) {
  const skip = brokerSkip === false ? peer.skip : brokerSkip
  describe(`${peer.name} resumes its session`, { concurrency: 4 }, () => {
    for (const version of [4, 5] as const) {
      for (const [qos, direction, packet] of sending) {
        test(`${peer.name}, ${versionName(version)}: a QoS ${qos} message is sent ${promise(qos)} when its ${packet} is lost with the connection`, {
          skip,
          timeout: testTimeoutMs,
        }, async (t) => {
          const root = stage.topic()
          const proxy = await proxyFor(t)
          const subscriber = await stage.open(t, mqttJs, { version, subscriptions: [{ filter: `${root}/#`, qos: 2 }] })
          const sender = await stage.open(t, peer, {
            port: proxy.port,
            version,
            clientId: uniqueClientId(),
            clean: false,
            sessionExpirySeconds: 300,
          })
          const topic = `${root}/a`
          await sender.publish({ topic, payload: 'before', qos })
          proxy.cutAt(direction, packet)
          await sender.publishLater({ topic, payload: 'cut', qos })
          await proxy.cut()
          await sender.reconnect()
          // Paho C says nothing of MQTT 5; that the flow goes on shows it too.
          if (sender.sessionPresent !== null) assert.equal(sender.sessionPresent, true)
          await sender.flush()
          await sender.publish({ topic, payload: 'after', qos })
          await sender.publish({ topic: `${root}/end`, payload: '', qos })
          const received = (await messagesUntil(subscriber, `${root}/end`)).map(({ payload }) => payload.toString())
          assert.deepEqual(qos === 2 ? received : firsts(received), ['before', 'cut', 'after'])
        })
      }

      for (const [qos, direction, packet] of receiving) {
        test(`${peer.name}, ${versionName(version)}: a QoS ${qos} message is received ${promise(qos)} when its ${packet} is lost with the connection`, {
          skip,
          timeout: testTimeoutMs,
        }, async (t) => {
          const root = stage.topic()
          const topic = `${root}/a`
          const proxy = await proxyFor(t)
          const receiver = await stage.open(t, peer, {
            port: proxy.port,
            version,
            clientId: uniqueClientId(),
            clean: false,
            sessionExpirySeconds: 300,
            subscriptions: [{ filter: `${root}/#`, qos: 2 }],
          })
          await publishOnce(stage, t, version, { topic, payload: 'before', qos })
          const first = await receiver.next()
          proxy.cutAt(direction, packet)
          await publishOnce(stage, t, version, { topic, payload: 'cut', qos })
          await proxy.cut()
          // These wait in the session, behind the message whose flow was cut.
          await publishOnce(stage, t, version, { topic, payload: 'while away', qos })
          await receiver.reconnect()
          if (receiver.sessionPresent !== null) assert.equal(receiver.sessionPresent, true)
          await publishOnce(
            stage,
            t,
            version,
            { topic, payload: 'after', qos },
            { topic: `${root}/end`, payload: '', qos },
          )
          const rest = await messagesUntil(receiver, `${root}/end`)
          const received = [first, ...rest].map(({ payload }) => payload.toString())
          assert.deepEqual(qos === 2 ? received : firsts(received), ['before', 'cut', 'while away', 'after'])
        })
      }
    }
  })
}

function promise(qos: QoS): string {
  return qos === 2 ? 'exactly once' : 'at least once'
}
