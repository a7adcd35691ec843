/**
 * mosquitto_pub, mosquitto_sub and mosquitto_rr (Debian's mosquitto-clients) against the broker: the shared suite, then
 * the flags of these programs that scripts rely on.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { closedInTime, pahoPython, uniqueClientId } from './agent.ts'
import { targetKind } from './broker.ts'
import { Child, run } from './child.ts'
import { findPeer, peerPath } from './find.ts'
import { Inbox } from './inbox.ts'
import { connectionFlags, mosquittoClients, mosquittoPub } from './mosquitto-clients.ts'
import { mqttJs } from './mqttjs.ts'
import { type Peer, type ProtocolVersion, versionName } from './peer.ts'
import { expectMessage, messagesUntil, nextPayloads, patternBytes, publishOnce, testTimeoutMs } from './stage.ts'
import { runPeerSuite } from './suite.ts'

const { stage, skip } = runPeerSuite(mosquittoClients)
const options = { skip, timeout: testTimeoutMs }

async function retainTwo(root: string, version: ProtocolVersion): Promise<void> {
  for (const name of ['a', 'b']) {
    await mosquittoPub(stage.broker.port, version, { topic: `${root}/${name}`, payload: name, qos: 1, retain: true })
  }
}

function readFlags(root: string, version: ProtocolVersion): string[] {
  return [...connectionFlags(stage.broker.port, version), '-t', `${root}/#`, '-q', '1', '-v', '-d']
}

describe('the flags of the Mosquitto clients', { concurrency: 4 }, () => {
  for (const version of mosquittoClients.versions) {
    const name = (text: string): string => `${versionName(version)}: ${text}`

    test(
      name('a second mosquitto_sub with the same Client Identifier takes over from the first'),
      options,
      async (t) => {
        const topic = stage.topic()
        const clientId = uniqueClientId()
        const subscriptions = [{ filter: topic, qos: 1 as const }]
        const first = await stage.open(t, mosquittoClients, { version, clientId, subscriptions })
        // It would connect again a second after it has lost its connection, and take over in turn: so it sleeps meanwhile.
        first.pause()
        const second = await stage.open(t, mosquittoClients, { version, clientId, subscriptions })
        await publishOnce(stage, t, version, { topic, payload: 'to the second', qos: 1 })
        await expectMessage(second, { topic, payload: 'to the second', qos: 1 })
        await second.disconnect()
        first.resume()
        await closedInTime(first)
      },
    )

    test(name('mosquitto_sub -U ends a subscription of its persistent session'), options, async (t) => {
      const root = stage.topic()
      const clientId = uniqueClientId()
      const session = { version, clientId, clean: false, sessionExpirySeconds: 300 }
      const first = await stage.open(t, mosquittoClients, {
        ...session,
        subscriptions: [
          { filter: `${root}/a`, qos: 1 },
          { filter: `${root}/b`, qos: 1 },
        ],
      })
      await first.disconnect()
      // -E: it ends when it is subscribed, and so after it has unsubscribed.
      const flags = ['-c', '-i', clientId, ...(version === 5 ? ['-x', '300'] : [])]
      await run(peerPath('mosquitto_sub'), [
        ...[...connectionFlags(stage.broker.port, version), ...flags],
        ...['-E', '-q', '1', '-t', `${root}/b`, '-U', `${root}/a`],
      ])
      await publishOnce(
        stage,
        t,
        version,
        { topic: `${root}/a`, payload: 'a', qos: 1 },
        { topic: `${root}/b`, payload: 'b', qos: 1 },
      )
      const again = await stage.open(t, mosquittoClients, {
        ...session,
        subscriptions: [{ filter: `${root}/b`, qos: 1 }],
      })
      await expectMessage(again, { topic: `${root}/b`, payload: 'b', qos: 1 })
    })

    test(name('mosquitto_pub -l sends a message per line, and --repeat and -f what they say'), options, async (t) => {
      const topic = stage.topic()
      const subscriber = await stage.open(t, mosquittoClients, { version, subscriptions: [{ filter: topic, qos: 2 }] })
      // Mosquitto 2.0.11 sends such a burst with no regard to the Receive Maximum of 20 that mosquitto_sub announces, which
      // then gives up [MQTT-3.3.4-9].
      const count = targetKind() === 'mosquitto' && version === 5 ? 15 : 200
      const lines = Array.from({ length: count }, (_, i) => `line ${i}`)
      const flags = [...connectionFlags(stage.broker.port, version), '-t', topic]
      await run(peerPath('mosquitto_pub'), [...flags, '-q', '2', '-l'], { input: `${lines.join('\n')}\n` })
      assert.deepEqual(await nextPayloads(subscriber, lines.length), lines)
      await run(peerPath('mosquitto_pub'), [...flags, '-q', '1', '-m', 'again', '--repeat', '3'])
      assert.deepEqual(await nextPayloads(subscriber, 3), ['again', 'again', 'again'])
      const folder = mkdtempSync(join(tmpdir(), 'recado-peer-'))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
      const payload = patternBytes(70_000)
      writeFileSync(join(folder, 'payload'), payload)
      await run(peerPath('mosquitto_pub'), [...flags, '-q', '1', '-f', join(folder, 'payload')])
      await expectMessage(subscriber, { topic, payload, qos: 1 })
    })

    test(name('mosquitto_sub --retained-only ends after the retained ones'), options, async (t) => {
      const root = stage.topic()
      await retainTwo(root, version)
      const lines: string[] = []
      const subscribed: Inbox<void> = new Inbox('SUBACK', () => child.describe())
      const child = new Child(
        'stdbuf',
        ['-oL', peerPath('mosquitto_sub'), ...readFlags(root, version), '--retained-only'],
        {
          onLine(line) {
            if (line.startsWith(root)) lines.push(line)
            if (line.startsWith('Subscribed')) subscribed.push()
          },
        },
      )
      t.after(() => child.stop('SIGKILL'))
      await subscribed.next()
      // The first message that is not retained ends it.
      await mosquittoPub(stage.broker.port, version, { topic: `${root}/c`, payload: 'c', qos: 1 })
      assert.equal((await child.wait()).code, 0)
      assert.deepEqual(lines.sort(), [`${root}/a a`, `${root}/b b`])
    })

    test(name('mosquitto_sub --remove-retained clears what it reads'), options, async (t) => {
      const root = stage.topic()
      await retainTwo(root, version)
      const acknowledged: Inbox<void> = new Inbox('PUBACK', () => child.describe())
      const child = new Child(
        'stdbuf',
        ['-oL', peerPath('mosquitto_sub'), ...readFlags(root, version), '--remove-retained'],
        {
          onLine(line) {
            if (line.includes(' received PUBACK ')) acknowledged.push()
          },
        },
      )
      t.after(() => child.stop('SIGKILL'))
      await acknowledged.next()
      await acknowledged.next()
      await child.stop('SIGKILL')
      const late = await stage.open(t, mosquittoClients, { version, subscriptions: [{ filter: `${root}/#`, qos: 1 }] })
      await mosquittoPub(stage.broker.port, version, { topic: `${root}/end`, payload: '', qos: 1 })
      assert.deepEqual(await messagesUntil(late, `${root}/end`), [])
    })
  }

  test(
    'MQTT 5.0: DISCONNECT with Will Message, which SIGTERM makes mosquitto_sub send, publishes the Will',
    options,
    async (t) => {
      const root = stage.topic()
      const watcher = await stage.open(t, mqttJs, { version: 5, subscriptions: [{ filter: `${root}/will`, qos: 1 }] })
      const leaver = await stage.open(t, mosquittoClients, {
        version: 5,
        subscriptions: [{ filter: `${root}/unused` }],
        will: { topic: `${root}/will`, payload: 'last words', qos: 1 },
      })
      await leaver.terminate()
      await expectMessage(watcher, { topic: `${root}/will`, payload: 'last words', qos: 1 })
    },
  )

  for (const responder of [mqttJs, pahoPython] as const) {
    const rr = findPeer('mosquitto_rr')
    const skipRr = skip === false ? ('skip' in rr ? rr.skip : responder.skip) : skip
    test(`MQTT 5.0: mosquitto_rr gets its response from ${responder.name}`, { ...options, skip: skipRr }, async (t) => {
      const root = stage.topic()
      const requests = `${root}/requests`
      const service = await stage.open(t, responder as Peer, {
        version: 5,
        subscriptions: [{ filter: requests, qos: 1 }],
      })
      const answer = (async (): Promise<void> => {
        const request = await service.next()
        const { responseTopic, correlationData, userProperties } = request.properties
        assert.equal(responseTopic, `${root}/responses`)
        assert.ok(correlationData !== undefined)
        assert.deepEqual(userProperties, [['unit', 'K']])
        // Somebody else's response first: mosquitto_rr prints whatever comes to its Response Topic, so to another one.
        await service.publish({ topic: `${root}/other`, payload: 'not yours', qos: 1, properties: { correlationData } })
        const payload = `${request.payload.toString()}, answered`
        await service.publish({ topic: responseTopic, payload, qos: 1, properties: { correlationData } })
      })()
      const output = await run(peerPath('mosquitto_rr'), [
        ...connectionFlags(stage.broker.port, 5),
        ...['-t', requests, '-e', `${root}/responses`, '-m', 'how warm is it', '-q', '1', '-F', '%p|%D'],
        ...['-D', 'publish', 'user-property', 'unit', 'K', '-D', 'publish', 'correlation-data', 'request-42'],
      ])
      await answer
      assert.deepEqual(output, ['how warm is it, answered|request-42'])
    })
  }
})
