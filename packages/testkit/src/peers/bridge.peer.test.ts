/**
 * Debian's Mosquitto as a bridge to the broker: `topic # both 1` with the default protocol (level 0x84, bit 7), and with MQTT 5.0.
 *
 * RECADO_PEER_TARGET=mosquitto runs the same with Mosquitto at both ends.
 */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import mqtt, { type MqttClient } from 'mqtt'
import { type RunningBroker, skipWithoutBroker, startBroker, targetKind } from './broker.ts'
import { skipWithout } from './find.ts'
import { Inbox } from './inbox.ts'
import { testTimeoutMs } from './stage.ts'

const STATE = '$SYS/broker/connection/edge.out/state'
const skip = skipWithoutBroker() || skipWithout('mosquitto')

interface Seen {
  readonly topic: string
  readonly payload: string
  readonly retain: boolean
}

class Watcher {
  readonly client: MqttClient
  readonly seen: Inbox<Seen>

  private constructor(client: MqttClient) {
    this.client = client
    this.seen = new Inbox('message', () => `a client of ${client.options.port}`)
    client.on('message', (topic, payload, { retain }) => {
      this.seen.push({ topic, payload: String(payload), retain })
    })
  }

  static async at(broker: RunningBroker, filter: string): Promise<Watcher> {
    const watcher = new Watcher(await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, { protocolVersion: 4 }))
    await watcher.client.subscribeAsync(filter, { qos: 1 })
    return watcher
  }

  /** The next one on this topic; all before it are forgotten. */
  async until(topic: string, payload: string): Promise<Seen[]> {
    const before: Seen[] = []
    for (;;) {
      const seen = await this.seen.next()
      if (seen.topic === topic && seen.payload === payload) return [...before, seen]
      before.push(seen)
    }
  }
}

describe('a bridge of Mosquitto', { skip, timeout: testTimeoutMs }, () => {
  const toEnd: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of toEnd.splice(0).reverse()) await end()
  })

  /** The broker under test in the centre, and Mosquitto at the edge; both connected. */
  async function bridged(
    lines: readonly string[],
  ): Promise<{ centre: RunningBroker; edge: RunningBroker; state: Watcher }> {
    const user = process.getuid?.() === 0 ? ['user root'] : []
    const centre = await startBroker(targetKind(), { config: targetKind() === 'mosquitto' ? user : [] })
    toEnd.push(() => centre.stop())
    const state = await watch(centre, STATE)
    const bridge = [
      ...['connection out', `address 127.0.0.1:${centre.port}`, 'remote_clientid edge.out', 'topic # both 1'],
      ...['restart_timeout 1', ...lines],
    ]
    const edge = await startBroker('mosquitto', { config: [...user, ...bridge] })
    toEnd.push(() => edge.stop().catch(() => {}))
    await state.until(STATE, '1')
    return { centre, edge, state }
  }

  async function watch(broker: RunningBroker, filter: string): Promise<Watcher> {
    const watcher = await Watcher.at(broker, filter)
    toEnd.push(() => watcher.client.endAsync(true))
    return watcher
  }

  for (const [name, lines] of [
    ['3.1.1', []],
    ['3.1', ['bridge_protocol_version mqttv31']],
    ['5.0', ['bridge_protocol_version mqttv50']],
  ] as const) {
    test(`${name}: nothing comes back, what is retained stays so, and its state is there and gone with it`, async () => {
      const { centre, edge, state } = await bridged(lines)
      const atEdge = await watch(edge, 'a/#')
      const atCentre = await watch(centre, 'a/#')
      await atEdge.client.publishAsync('a/edge', 'x', { qos: 1 })
      await atCentre.until('a/edge', 'x')
      await atCentre.client.publishAsync('a/centre', 'kept', { qos: 1, retain: true })
      // In the order of the bridge: an echo of the first would be before it.
      const seen = await atEdge.until('a/centre', 'kept')
      assert.deepEqual(
        seen.map(({ topic, payload }) => `${topic} ${payload}`),
        ['a/edge x', 'a/centre kept'],
      )
      const late = await watch(edge, 'a/centre')
      assert.deepEqual(await late.seen.next(), { topic: 'a/centre', payload: 'kept', retain: true })
      process.kill(edge.pid, 'SIGKILL')
      await state.until(STATE, '0')
      const lateState = await watch(centre, STATE)
      assert.deepEqual(await lateState.seen.next(), { topic: STATE, payload: '0', retain: true })
    })
  }
})

describe('a bridge to Mosquitto', { skip, timeout: testTimeoutMs }, () => {
  const toEnd: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of toEnd.splice(0).reverse()) await end()
  })

  for (const version of ['mqttv311', 'mqttv50']) {
    test(`${version}: each QoS crosses both ways, retained messages and deletions too, and its state is true`, async () => {
      const user = process.getuid?.() === 0 ? ['user root'] : []
      const centre = await startBroker('mosquitto', { config: user })
      toEnd.push(() => centre.stop())
      const watch = async (broker: RunningBroker, filter: string): Promise<Watcher> => {
        const watcher = await Watcher.at(broker, filter)
        toEnd.push(() => watcher.client.endAsync(true))
        return watcher
      }
      const state = await watch(centre, STATE)
      const edge = await startBroker(targetKind(), {
        config: [
          ...(targetKind() === 'mosquitto' ? user : []),
          ...['connection out', `address 127.0.0.1:${centre.port}`, 'remote_clientid edge.out', 'topic # both 2'],
          ...['restart_timeout 1', `bridge_protocol_version ${version}`],
        ],
      })
      toEnd.push(() => edge.stop().catch(() => {}))
      await state.until(STATE, '1')
      const atEdge = await watch(edge, 'a/#')
      const atCentre = await watch(centre, 'a/#')
      for (const [from, to] of [
        [atEdge, atCentre],
        [atCentre, atEdge],
      ] as const) {
        for (const qos of [0, 1, 2] as const) await from.client.publishAsync(`a/${qos}`, 'x', { qos })
        await from.client.publishAsync('a/kept', 'kept', { qos: 2, retain: true })
        const seen = await to.until('a/kept', 'kept')
        assert.deepEqual(seen.map(({ topic }) => topic).sort(), ['a/0', 'a/1', 'a/2', 'a/kept'])
        const late = await watch(to === atEdge ? edge : centre, 'a/kept')
        assert.deepEqual(await late.seen.next(), { topic: 'a/kept', payload: 'kept', retain: true })
        await from.client.publishAsync('a/kept', '', { qos: 2, retain: true })
        await to.until('a/kept', '')
        await from.client.publishAsync('a/end', 'x', { qos: 2 })
        // Its own messages: nothing of them has come back.
        const own = await from.until('a/end', 'x')
        assert.equal(own.length, 6, JSON.stringify(own))
        await to.until('a/end', 'x')
      }
      process.kill(edge.pid, 'SIGKILL')
      await state.until(STATE, '0')
    })
  }
})

describe('a ring of Recado, Mosquitto and Recado, MQTT 5.0', { skip, timeout: testTimeoutMs }, () => {
  const toEnd: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of toEnd.splice(0).reverse()) await end()
  })

  test('carries each message once; one that began at the Mosquitto comes back there once, and ends', async () => {
    const user = process.getuid?.() === 0 ? ['user root'] : []
    const bridge = (name: string, to: RunningBroker, direction: string): string[] => [
      ...[`connection ${name}`, `address 127.0.0.1:${to.port}`, `remote_clientid ring.${name}`, 'restart_timeout 1'],
      ...['bridge_protocol_version mqttv50', `topic a/# ${direction} 2`],
    ]
    const start = async (kind: 'recado' | 'mosquitto', lines: readonly string[]): Promise<RunningBroker> => {
      const broker = await startBroker(kind, { config: [...(kind === 'mosquitto' ? user : []), ...lines] })
      toEnd.push(() => broker.stop())
      return broker
    }
    // First to last, last to Mosquitto, Mosquitto to first.
    const first = await start('recado', [])
    const mosquitto = await start('mosquitto', bridge('m', first, 'out'))
    const last = await start('recado', [...bridge('in', first, 'in'), ...bridge('out', mosquitto, 'out')])
    const watchers = await Promise.all(
      [first, mosquitto, last].map(async (broker) => {
        const watcher = await Watcher.at(broker, 'a/#')
        toEnd.push(() => watcher.client.endAsync(true))
        return watcher
      }),
    )
    const states = [
      [first, 'm'],
      [first, 'in'],
      [mosquitto, 'out'],
    ] as const
    for (const [broker, name] of states) {
      const topic = `$SYS/broker/connection/ring.${name}/state`
      const state = await Watcher.at(broker, topic)
      toEnd.push(() => state.client.endAsync(true))
      await state.until(topic, '1')
    }
    // The second message of a broker goes the same way behind the first: echoes of that are before it.
    const counts = watchers.map(() => new Map<string, number>())
    for (const round of ['one', 'two', 'end']) {
      for (const [from, { client }] of watchers.entries()) {
        await client.publishAsync(`a/${from}`, round, { qos: 2 })
        for (const [at, watcher] of watchers.entries()) {
          for (const { topic, payload } of await watcher.until(`a/${from}`, round)) {
            const key = `${topic} ${payload}`
            counts[at]!.set(key, (counts[at]!.get(key) ?? 0) + 1)
          }
        }
      }
    }
    for (const [at, seen] of counts.entries()) {
      for (const [key, count] of seen) {
        if (key.endsWith('end')) continue
        // Mosquitto puts itself on no path.
        assert.equal(count, at === 1 && key.startsWith('a/1') ? 2 : 1, `${key} at ${at}`)
      }
    }
  })
})
