/**
 * The tests for every peer, at every protocol version it speaks.
 *
 * Called once by each peer's own `*.peer.test.ts`, which adds tests of that peer's own features. A test waits for the
 * peer's evidence only; to show that something does *not* come, it publishes a last message behind it on the same
 * connection and sees that come next (messages of one publisher at one QoS keep their order, MQTT 5.0 section 4.6).
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { closedInTime, uniqueClientId } from './agent.ts'
import { mqttJs } from './mqttjs.ts'
import type { Feature, OpenOptions, OutgoingMessage, Peer, PeerClient, QoS } from './peer.ts'
import { versionName } from './peer.ts'
import {
  expectMessage,
  messagesUntil,
  nextPayloads,
  patternBytes,
  publishOnce,
  type Stage,
  testTimeoutMs,
  useStage,
} from './stage.ts'

const everyQos: readonly QoS[] = [0, 1, 2]

/**
 * Registers the whole suite for a peer, with a broker for the file, and returns the fixture for the file's own tests.
 */
export function runPeerSuite(peer: Peer): { stage: Stage; skip: string | false } {
  const { stage, skip: brokerSkip } = useStage([peer])
  const skip = brokerSkip === false ? peer.skip : brokerSkip
  // Several at once: a peer that is a process spends most of its time starting or, Paho C, waiting for its own threads.
  describe(peer.name, { concurrency: 4 }, () => {
    for (const version of peer.versions) {
      const it = (name: string, run: (t: TestContext) => Promise<void>, needs?: Feature): void => {
        if (needs !== undefined && !peer.features.has(needs)) return
        test(`${peer.name}, ${versionName(version)}: ${name}`, { skip, timeout: testTimeoutMs }, run)
      }
      const open = (t: TestContext, options: Partial<OpenOptions> = {}): Promise<PeerClient> =>
        stage.open(t, peer, { version, ...options })
      runBasics({ peer, stage, version, it, open })
      runSessions({ peer, stage, version, it, open })
      if (version === 5) runFive({ peer, stage, version, it, open })
    }
  })
  return { stage, skip }
}

interface Suite {
  peer: Peer
  stage: Stage
  version: 3 | 4 | 5
  it(name: string, run: (t: TestContext) => Promise<void>, needs?: Feature): void
  open(t: TestContext, options?: Partial<OpenOptions>): Promise<PeerClient>
}

function runBasics({ stage, version, it, open }: Suite): void {
  for (const qos of everyQos) {
    it(`a QoS ${qos} message is received at QoS ${qos} and at whatever less was subscribed`, async (t) => {
      const topic = stage.topic()
      const publisher = await open(t)
      for (const subscribed of everyQos) {
        const subscriber = await open(t, { subscriptions: [{ filter: topic, qos: subscribed }] })
        assert.deepEqual(subscriber.granted, [subscribed])
        const payload = `at ${qos}, ñandú 🦤, for ${subscribed}`
        await publisher.publish({ topic, payload, qos })
        const received = Math.min(qos, subscribed)
        await expectMessage(subscriber, { topic, payload, qos: received })
        await subscriber.kill()
      }
    })
  }

  it('an empty payload and a topic with spaces, empty levels and letters beyond ASCII arrive as sent', async (t) => {
    const topic = `${stage.topic()}//Größe von 東京/`
    const subscriber = await open(t, { subscriptions: [{ filter: topic, qos: 1 }] })
    await subscriber.publish({ topic, payload: '', qos: 1 })
    await expectMessage(subscriber, { topic, payload: '', qos: 1 })
  })

  it('a retained message comes on subscribing, is replaced by the next, and is cleared by an empty one', async (t) => {
    const root = stage.topic()
    const topic = `${root}/retained`
    const marker = `${root}/marker`
    const publisher = await open(t)
    const receive = async (): Promise<{ payload: string; retain: boolean }[]> => {
      const subscriber = await open(t, { subscriptions: [{ filter: `${root}/#`, qos: 1 }] })
      await publishOnce(stage, t, version, { topic: marker, payload: '', qos: 1 })
      const messages = await messagesUntil(subscriber, marker)
      await subscriber.kill()
      return messages.map(({ payload, retain }) => ({ payload: payload.toString(), retain }))
    }
    const live = await open(t, { subscriptions: [{ filter: topic, qos: 1 }] })
    await publisher.publish({ topic, payload: 'one', qos: 1, retain: true })
    // To a subscription that was there before, it is an ordinary message [MQTT-3.1.1:3.3.1-9].
    await expectMessage(live, { topic, payload: 'one', qos: 1, retain: false })
    assert.deepEqual(await receive(), [{ payload: 'one', retain: true }])
    await publisher.publish({ topic, payload: 'two', qos: 1, retain: true })
    assert.deepEqual(await receive(), [{ payload: 'two', retain: true }])
    await publisher.publish({ topic, payload: 'not retained', qos: 1 })
    assert.deepEqual(await receive(), [{ payload: 'two', retain: true }])
    await publisher.publish({ topic, payload: '', qos: 1, retain: true })
    assert.deepEqual(await receive(), [])
    assert.deepEqual(await nextPayloads(live, 3), ['two', 'not retained', ''])
  })

  it('+ takes one level, # takes the rest and its parent, and neither takes a topic that begins with $', async (t) => {
    const root = stage.topic()
    const end = `${root}/end`
    const oneLevel = await open(t, {
      subscriptions: [
        { filter: `${root}/+/temperature`, qos: 1 },
        { filter: end, qos: 1 },
      ],
    })
    const below = await open(t, {
      subscriptions: [
        { filter: `${root}/a/#`, qos: 1 },
        { filter: end, qos: 1 },
      ],
    })
    const everything = await open(t, { subscriptions: [{ filter: '#', qos: 1 }] })
    const dollar = `$${root}/a/temperature`
    const special = await open(t, {
      subscriptions: [
        { filter: `$${root}/#`, qos: 1 },
        { filter: end, qos: 1 },
      ],
    })
    const topics = [
      `${root}/a/temperature`,
      `${root}//temperature`,
      `${root}/a/b/temperature`,
      `${root}/a`,
      `${root}/b`,
    ]
    await publishOnce(
      stage,
      t,
      version,
      ...[dollar, ...topics, end].map((topic): OutgoingMessage => ({ topic, payload: 'x', qos: 1 })),
    )
    const received = async (client: PeerClient): Promise<string[]> =>
      (await messagesUntil(client, end)).map(({ topic }) => topic)
    assert.deepEqual(await received(oneLevel), [`${root}/a/temperature`, `${root}//temperature`])
    assert.deepEqual(await received(below), [`${root}/a/temperature`, `${root}/a/b/temperature`, `${root}/a`])
    assert.deepEqual(await received(special), [dollar])
    // The other clients of this broker are seen by '#' too: only ours count.
    const all = await received(everything)
    assert.deepEqual(
      all.filter((topic) => topic.includes(root)),
      topics,
    )
  })

  it('a Will is published when the client is killed, with its QoS, and retained when it asks for that', async (t) => {
    const root = stage.topic()
    const watcher = await stage.open(t, mqttJs, { version, subscriptions: [{ filter: `${root}/#`, qos: 2 }] })
    for (const qos of everyQos) {
      const will = { topic: `${root}/${qos}`, payload: `killed at ${qos}`, qos, retain: qos === 1 }
      const client = await open(t, { will })
      await client.kill()
      await expectMessage(watcher, { topic: will.topic, payload: will.payload, qos })
    }
    const late = await open(t, { subscriptions: [{ filter: `${root}/+`, qos: 2 }] })
    await expectMessage(late, { topic: `${root}/1`, payload: 'killed at 1', qos: 1, retain: true })
  })

  it('a Will is not published after DISCONNECT', async (t) => {
    const root = stage.topic()
    const watcher = await stage.open(t, mqttJs, { version, subscriptions: [{ filter: `${root}/#`, qos: 1 }] })
    const leaver = await open(t, { will: { topic: `${root}/will`, payload: 'left', qos: 1 } })
    await leaver.disconnect()
    // A second Will behind it, of a client that is killed: whatever the first would do, it would do before.
    const victim = await open(t, { will: { topic: `${root}/second`, payload: 'killed', qos: 1 } })
    await victim.kill()
    await expectMessage(watcher, { topic: `${root}/second`, payload: 'killed', qos: 1 })
  })

  for (const [size, qos] of [
    [262_144, 0],
    [262_144, 1],
    [262_144, 2],
    [10_485_760, 1],
  ] as const) {
    // Of the three versions, 10 MiB goes over the oldest and the newest framing.
    if (size > 262_144 && version === 4) continue
    it(`a payload of ${size / 1024} KiB arrives byte for byte at QoS ${qos}`, async (t) => {
      const topic = stage.topic()
      const subscriber = await open(t, { subscriptions: [{ filter: topic, qos: 2 }] })
      const publisher = await open(t)
      const payload = patternBytes(size)
      await publisher.publish({ topic, payload, qos })
      await expectMessage(subscriber, { topic, payload, qos })
    })
  }
}

function runSessions({ peer, stage, version, it, open }: Suite): void {
  const persistent = (clientId: string): Partial<OpenOptions> => ({ clientId, clean: false, sessionExpirySeconds: 300 })

  it('messages for a persistent session that is away wait for it, in order, and its subscriptions stay', async (t) => {
    const root = stage.topic()
    const clientId = uniqueClientId()
    const subscriptions = [{ filter: `${root}/#`, qos: 2 as const }]
    const first = await open(t, { ...persistent(clientId), subscriptions })
    if (first.sessionPresent !== null) assert.equal(first.sessionPresent, false)
    await first.disconnect()
    const sent: OutgoingMessage[] = []
    for (let i = 0; i < 12; i++)
      sent.push({ topic: `${root}/${i % 3}`, payload: `waiting ${i}`, qos: i % 2 === 0 ? 1 : 2 })
    await publishOnce(stage, t, version, ...sent)
    // A library comes back and just listens; mosquitto_sub cannot but subscribe again.
    const again = await open(t, {
      ...persistent(clientId),
      subscriptions: peer.features.has('library') ? [] : subscriptions,
    })
    if (again.sessionPresent !== null) assert.equal(again.sessionPresent, version !== 3)
    // A QoS 2 message is released to the application only by PUBREL, when the QoS 1 messages behind it have come already:
    // the order that counts is that of each QoS (and of each topic, and here a topic has one of every QoS).
    const received = { 1: [] as string[], 2: [] as string[] }
    for (let i = 0; i < sent.length; i++) {
      const { topic, payload, qos } = await again.next()
      assert.ok(qos === 1 || qos === 2)
      received[qos].push(`${topic} ${payload}`)
    }
    for (const qos of [1, 2] as const) {
      assert.deepEqual(
        received[qos],
        sent.filter((message) => message.qos === qos).map(({ topic, payload }) => `${topic} ${payload}`),
      )
    }
    await publishOnce(stage, t, version, { topic: `${root}/live`, payload: 'now', qos: 1 })
    await expectMessage(again, { topic: `${root}/live`, payload: 'now', qos: 1 })
  })

  it('a session that was killed keeps its messages as one that said goodbye does', async (t) => {
    const topic = stage.topic()
    const clientId = uniqueClientId()
    const subscriptions = [{ filter: topic, qos: 1 as const }]
    const first = await open(t, { ...persistent(clientId), subscriptions })
    await first.kill()
    await publishOnce(stage, t, version, { topic, payload: 'one', qos: 1 }, { topic, payload: 'two', qos: 1 })
    const again = await open(t, {
      ...persistent(clientId),
      subscriptions: peer.features.has('library') ? [] : subscriptions,
    })
    assert.deepEqual(await nextPayloads(again, 2), ['one', 'two'])
  })

  it('a clean session forgets the subscriptions and messages of the one before', async (t) => {
    const root = stage.topic()
    const clientId = uniqueClientId()
    const first = await open(t, { ...persistent(clientId), subscriptions: [{ filter: `${root}/old`, qos: 1 }] })
    await first.disconnect()
    await publishOnce(stage, t, version, { topic: `${root}/old`, payload: 'for the old session', qos: 1 })
    const second = await open(t, { clientId, clean: true, subscriptions: [{ filter: `${root}/new`, qos: 1 }] })
    if (second.sessionPresent !== null) assert.equal(second.sessionPresent, false)
    await publishOnce(
      stage,
      t,
      version,
      { topic: `${root}/old`, payload: 'nobody is subscribed', qos: 1 },
      { topic: `${root}/new`, payload: 'new', qos: 1 },
    )
    await expectMessage(second, { topic: `${root}/new`, payload: 'new', qos: 1 })
  })

  it(
    'a second client with the same Client Identifier takes over: the first is closed and its Will published',
    async (t) => {
      const root = stage.topic()
      const clientId = uniqueClientId()
      const subscriptions = [{ filter: `${root}/in`, qos: 1 as const }]
      const watcher = await stage.open(t, mqttJs, { version, subscriptions: [{ filter: `${root}/will`, qos: 1 }] })
      const will = { topic: `${root}/will`, payload: 'taken over', qos: 1 as const }
      const first = await open(t, { ...persistent(clientId), subscriptions, will })
      const second = await open(t, persistent(clientId))
      if (second.sessionPresent !== null) assert.equal(second.sessionPresent, version !== 3)
      const { reasonCode } = await closedInTime(first)
      // Mosquitto 2.0.11 gives no Reason Code, and publishes the Will only when the session ends too; the specifications
      // ask for both [MQTT-3.1.4-3] [MQTT-3.1.2-8].
      if (stage.broker.kind !== 'mosquitto') {
        // Session taken over; before MQTT 5 a broker has no way to say it.
        assert.equal(reasonCode, version === 5 ? 0x8e : null)
        await expectMessage(watcher, { topic: will.topic, payload: will.payload, qos: 1 })
      }
      // The session, and with it the subscription, is now the second client's.
      await publishOnce(stage, t, version, { topic: `${root}/in`, payload: 'to the second', qos: 1 })
      await expectMessage(second, { topic: `${root}/in`, payload: 'to the second', qos: 1 })
    },
    'library',
  )

  it(
    'after UNSUBSCRIBE nothing more comes for that filter, and the others stay',
    async (t) => {
      const root = stage.topic()
      const client = await open(t, {
        subscriptions: [
          { filter: `${root}/a`, qos: 1 },
          { filter: `${root}/b`, qos: 1 },
        ],
      })
      const publisher = await open(t)
      const publishBoth = async (): Promise<void> => {
        await publisher.publish({ topic: `${root}/a`, payload: 'a', qos: 1 })
        await publisher.publish({ topic: `${root}/b`, payload: 'b', qos: 1 })
      }
      await publishBoth()
      assert.deepEqual(await nextPayloads(client, 2), ['a', 'b'])
      await client.unsubscribe(`${root}/a`)
      await publishBoth()
      assert.deepEqual(await nextPayloads(client, 1), ['b'])
    },
    'library',
  )
}

function runFive({ peer, stage, version, it, open }: Suite): void {
  it('User Properties, Content Type, Response Topic and Correlation Data are passed on as they were sent', async (t) => {
    const topic = stage.topic()
    const subscriber = await open(t, { subscriptions: [{ filter: topic, qos: 1 }] })
    const properties = {
      contentType: 'text/plain',
      responseTopic: `${topic}/answer`,
      correlationData: Buffer.from('request-7'),
      // The same name twice, and their order, are the application's [MQTT-3.3.2-18].
      userProperties: [
        ['place', 'München'],
        ['place', 'roof'],
        ['unit', 'K'],
      ] as [string, string][],
    }
    await subscriber.publish({ topic, payload: 'x', qos: 1, properties })
    const message = await expectMessage(subscriber, { topic, payload: 'x', qos: 1 })
    assert.deepEqual(
      { ...message.properties, correlationData: Buffer.from(message.properties.correlationData ?? []) },
      properties,
    )
  })

  it('queued messages and sessions expire by their intervals, and what is left of an interval is told', async (t) => {
    const topic = stage.topic()
    const keptId = uniqueClientId()
    const lostId = uniqueClientId()
    const subscriptions = [{ filter: topic, qos: 1 as const }]
    const kept = await open(t, { clientId: keptId, clean: false, sessionExpirySeconds: 300, subscriptions })
    await kept.disconnect()
    const lost = await open(t, { clientId: lostId, clean: false, sessionExpirySeconds: 1, subscriptions })
    await lost.disconnect()
    await publishOnce(
      stage,
      t,
      5,
      { topic, payload: 'short', qos: 1, properties: { messageExpiryInterval: 1 } },
      { topic, payload: 'long', qos: 1, properties: { messageExpiryInterval: 100 } },
      { topic, payload: 'for ever', qos: 1 },
    )
    await stage.brokerSeconds(t, 2)
    const resubscribes = peer.features.has('library') ? [] : subscriptions
    const back = await open(t, {
      clientId: keptId,
      clean: false,
      sessionExpirySeconds: 300,
      subscriptions: resubscribes,
    })
    const long = await expectMessage(back, { topic, payload: 'long', qos: 1 })
    const left = long.properties.messageExpiryInterval ?? -1
    assert.ok(left >= 60 && left <= 99, `${left} s left of 100 after more than one`)
    const forEver = await expectMessage(back, { topic, payload: 'for ever', qos: 1 })
    assert.equal(forEver.properties.messageExpiryInterval, undefined)
    const gone = await open(t, { clientId: lostId, clean: false, sessionExpirySeconds: 0, subscriptions })
    if (gone.sessionPresent !== null) assert.equal(gone.sessionPresent, false)
    await publishOnce(stage, t, 5, { topic, payload: 'fresh', qos: 1 })
    assert.deepEqual(await nextPayloads(gone, 1), ['fresh'])
  })

  it('a Shared Subscription gives each message to exactly one of its members', async (t) => {
    const root = stage.topic()
    const marker = `${root}/marker`
    const filter = `$share/${uniqueClientId()}/${root}/work/+`
    const subscriptions = [
      { filter, qos: 1 as const },
      { filter: marker, qos: 1 as const },
    ]
    const will = { topic: `${root}/gone`, payload: 'gone', qos: 1 as const }
    const witness = await stage.open(t, mqttJs, { version: 5, subscriptions: [{ filter: will.topic, qos: 1 }] })
    const members = [await open(t, { subscriptions, will }), await open(t, { subscriptions })] as const
    const sent: OutgoingMessage[] = []
    for (let i = 0; i < 40; i++) sent.push({ topic: `${root}/work/${i % 4}`, payload: `${i}`, qos: 1 })
    await publishOnce(stage, t, 5, ...sent, { topic: marker, payload: '', qos: 1 })
    const shares: string[][] = []
    for (const member of members)
      shares.push((await messagesUntil(member, marker)).map(({ payload }) => payload.toString()))
    for (const share of shares) assert.notEqual(share.length, 0, 'a member got nothing of forty messages')
    assert.deepEqual(
      shares.flat().sort((a, b) => Number(a) - Number(b)),
      sent.map(({ payload }) => payload),
    )
    // When one leaves, the other gets everything. Its Will says when the broker has seen it go.
    await members[0].kill()
    await expectMessage(witness, { topic: will.topic, payload: will.payload, qos: 1 })
    const rest = sent.slice(0, 10)
    await publishOnce(stage, t, 5, ...rest)
    assert.deepEqual(
      await nextPayloads(members[1], rest.length),
      rest.map(({ payload }) => payload),
    )
  })

  it(
    'a message carries the Subscription Identifier of the subscription that it matches',
    async (t) => {
      const root = stage.topic()
      const client = await open(t, {
        subscriptions: [{ filter: `${root}/+`, qos: 1, subscriptionIdentifier: 268_435_455 }],
      })
      await publishOnce(stage, t, 5, { topic: `${root}/a`, payload: 'x', qos: 1 })
      assert.deepEqual((await client.next()).subscriptionIdentifiers, [268_435_455])
    },
    'subscriptionIdentifiers',
  )

  it(
    'overlapping subscriptions bring all their Subscription Identifiers',
    async (t) => {
      const root = stage.topic()
      const client = await open(t, {
        subscriptions: [
          { filter: `${root}/a`, qos: 1, subscriptionIdentifier: 7 },
          { filter: `${root}/#`, qos: 1, subscriptionIdentifier: 9 },
        ],
      })
      await publishOnce(
        stage,
        t,
        5,
        { topic: `${root}/a`, payload: 'x', qos: 1 },
        { topic: `${root}/end`, payload: '', qos: 1 },
      )
      // One message with both, or one for each: the server may choose [MQTT-3.3.4-3], [MQTT-3.3.4-4].
      const messages = await messagesUntil(client, `${root}/end`)
      assert.deepEqual(
        messages.flatMap(({ subscriptionIdentifiers }) => subscriptionIdentifiers).sort((a, b) => a - b),
        [7, 9],
      )
    },
    'library',
  )

  it(
    'No Local keeps a client from hearing itself, and only itself',
    async (t) => {
      const topic = stage.topic()
      const client = await open(t, { subscriptions: [{ filter: topic, qos: 1, noLocal: true }] })
      const other = await open(t)
      await client.publish({ topic, payload: 'from itself', qos: 1 })
      await other.publish({ topic, payload: 'from another', qos: 1 })
      assert.deepEqual(await nextPayloads(client, 1), ['from another'])
    },
    'noLocal',
  )

  it(
    'Retain Handling says whether retained messages come: always, for a new subscription, or never',
    async (t) => {
      const root = stage.topic()
      const topic = `${root}/retained`
      await publishOnce(stage, t, 5, { topic, payload: 'kept', qos: 1, retain: true })
      const client = await open(t)
      let markers = 0
      const arrives = async (retainHandling: 0 | 1 | 2): Promise<string[]> => {
        await client.subscribe({ filter: topic, qos: 1, retainHandling })
        const marker = `${root}/marker/${markers++}`
        await client.subscribe({ filter: marker, qos: 1 })
        await client.publish({ topic: marker, payload: '', qos: 1 })
        return (await messagesUntil(client, marker)).map(({ payload }) => payload.toString())
      }
      assert.deepEqual(await arrives(2), [], 'never')
      assert.deepEqual(await arrives(1), [], 'not for a subscription that exists')
      assert.deepEqual(await arrives(0), ['kept'], 'always')
      assert.deepEqual(await arrives(0), ['kept'], 'always, and again')
      await client.unsubscribe(topic)
      assert.deepEqual(await arrives(1), ['kept'], 'for a new subscription')
    },
    'retainOptions',
  )

  it(
    'Retain As Published keeps the RETAIN flag of a live message',
    async (t) => {
      const topic = stage.topic()
      const client = await open(t, { subscriptions: [{ filter: topic, qos: 1, retainAsPublished: true }] })
      await publishOnce(
        stage,
        t,
        5,
        { topic, payload: 'kept', qos: 1, retain: true },
        { topic, payload: 'not', qos: 1 },
      )
      await expectMessage(client, { topic, payload: 'kept', qos: 1, retain: true })
      await expectMessage(client, { topic, payload: 'not', qos: 1, retain: false })
    },
    'retainOptions',
  )

  it(
    'a client with no Client Identifier is assigned one, and can come back to its session with it',
    async (t) => {
      const topic = stage.topic()
      const first = await open(t, {
        clientId: '',
        sessionExpirySeconds: 300,
        subscriptions: [{ filter: topic, qos: 1 }],
      })
      const clientId = first.assignedClientId
      assert.ok(clientId !== null && clientId.length > 0)
      await first.disconnect()
      await publishOnce(stage, t, version, { topic, payload: 'for the assigned', qos: 1 })
      const again = await open(t, { clientId, clean: false, sessionExpirySeconds: 300 })
      if (again.sessionPresent !== null) assert.equal(again.sessionPresent, true)
      assert.equal(again.assignedClientId, null)
      assert.deepEqual(await nextPayloads(again, 1), ['for the assigned'])
    },
    'assignedClientId',
  )
}
