/** The ten situations in which a message does not arrive, and what `why` says of each. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type Client, type ConnectOptions, connect } from '@recado/client'
import { Connect, encode, Subscribe } from '@recado/protocol'
import { type Served, serve } from '../testing/api.ts'
import { Decisions } from './decisions.ts'

interface Why {
  sentence: string
  reasons: { code: string; sentence: string; clientId: string | null; atMs: number | null }[]
}

async function why({ ask }: Served, topic: string, client?: string, at?: number): Promise<Why> {
  const query = new URLSearchParams({ topic })
  if (client !== undefined) query.set('client', client)
  if (at !== undefined) query.set('at', String(at))
  const got = await ask(`/api/v1/why?${query}`)
  assert.equal(got.status, 200, got.text)
  return got.json() as Why
}

function clientOf(context: TestContext, { mqttPort }: Served, options: ConnectOptions): Promise<Client> {
  return connect(`mqtt://127.0.0.1:${mqttPort}`, { reconnect: false, ...options }).then((client) => {
    context.after(() => client.close().catch(() => undefined))
    return client
  })
}

/** The sentence with the time taken out. */
const timeless = (sentence: string): string => sentence.replaceAll(/\d\d:\d\d:\d\d/g, 'TIME')

test('why: the rights of the subscriber, and of the publisher', async (context) => {
  const served = await serve(context, {
    broker: {
      authorize: {
        publish: (client, topic) => client.clientId !== 'eve' || topic !== 'a',
        mayReceive: ({ clientId }) => clientId !== 'bob',
      },
    },
    host: { checkRights: (_client, action) => ({ isAllowed: false, by: `acl:3: topic deny ${action}` }) },
  })
  const bob = await clientOf(context, served, { clientId: 'bob' })
  await bob.subscribe('a').ready
  const ada = await clientOf(context, served, { clientId: 'ada' })
  await ada.publish('a', 'x', { qos: 1 })
  const first = await why(served, 'a', 'bob')
  assert.equal(
    first.sentence,
    'bob is not sent it: it may not receive messages of this topic (acl:3: topic deny receive).',
  )
  assert.equal((await why(served, 'a')).sentence, first.sentence, 'the rule is named for anybody as well')
  const eve = await clientOf(context, served, { clientId: 'eve' })
  await assert.rejects(eve.publish('a', 'x', { qos: 1 }))
  const second = await why(served, 'a', 'carol')
  assert.equal(second.reasons[0]?.code, 'publish-not-authorized')
  assert.equal(
    timeless(second.sentence),
    'Nobody was sent it: eve may not publish to this topic (acl:3: topic deny publish), TIME.',
  )
  await eve.close()
  while (served.broker.clients().some(({ clientId }) => clientId === 'eve')) await setTimeout(5)
  assert.equal((await why(served, 'a')).sentence, second.sentence, 'also when its publisher has left')
})

test('why: No Local', async (context) => {
  const served = await serve(context)
  const ada = await clientOf(context, served, { clientId: 'ada' })
  await ada.subscribe('chat/#', { noLocal: true }).ready
  await ada.publish('chat/1', 'x', { qos: 1 })
  const { sentence, reasons } = await why(served, 'chat/1', 'ada')
  assert.equal(
    timeless(sentence),
    'ada was not sent it: it published the message itself, and its subscription chat/# has No Local, TIME.',
  )
  assert.equal(reasons[0]?.code, 'no-local')
})

test('why: expired while it waited', async (context) => {
  const served = await serve(context)
  const session = { clientId: 'ada', sessionExpiryIntervalSeconds: 600 }
  const ada = await clientOf(context, served, session)
  await ada.subscribe(['a', 'b'], { qos: 1 }).ready
  await ada.close()
  while (served.broker.clients().length > 0) await setTimeout(5)
  await served.broker.publish({ topic: 'a', payload: 'x', qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
  await served.broker.publish({ topic: 'b', payload: 'x', qos: 1 })
  assert.match((await why(served, 'a', 'ada')).sentence, /from ada\. 2 messages wait for it\.$/)
  await setTimeout(1_100)
  assert.equal(
    (await why(served, 'a', 'ada')).sentence,
    'ada will not be sent it: it has waited in its queue, and its Message Expiry Interval is over.',
  )
  assert.match(
    (await why(served, 'b', 'ada')).sentence,
    /from ada\. 1 message waits for it\. 1 message in its queue has expired and will not be sent\.$/,
  )
  await clientOf(context, served, { ...session, cleanStart: false })
  while (served.broker.metrics()['dropped.expired'] === 0) await setTimeout(5)
  const { sentence } = await why(served, 'a', 'ada')
  assert.equal(
    timeless(sentence),
    'ada was not sent it: its Message Expiry Interval was over before it could be sent, TIME.',
  )
})

test('why: a full queue, and since when it has been full', async (context) => {
  const limits = { queueMessagesMax: 2, anonymousQueueMessagesMax: 2 }
  const served = await serve(context, { broker: { overflow: 'drop-newest', limits } })
  const ada = await clientOf(context, served, { clientId: 'ada', sessionExpiryIntervalSeconds: 600 })
  await ada.subscribe('a', { qos: 1 }).ready
  await ada.close()
  while (served.broker.clients().length > 0) await setTimeout(5)
  for (let i = 0; i < 5; i++) await served.broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  const { sentence, reasons } = await why(served, 'a', 'ada')
  assert.equal(
    timeless(sentence),
    "ada was not sent it: its session's queue was full (2 messages wait in it, and max_queued_messages allows no more), TIME; so it has been for 3 messages since TIME.",
  )
  assert.equal(reasons.filter(({ code }) => code === 'queue-full').length, 4, 'three that were recorded, and now')
})

test('why: the limit of a full queue, by name, and the lower one of anonymous clients only for them', async (context) => {
  const limits = {
    queueMessagesMax: 5,
    anonymousQueueMessagesMax: 2,
    queueBytesMax: 4_000,
    anonymousQueueBytesMax: 1_000,
  }
  const served = await serve(context, { broker: { overflow: 'drop-newest', limits } })
  const away = { sessionExpiryIntervalSeconds: 600 }
  for (const [clientId, topic, username] of [
    ['ada', 'a', undefined],
    ['bob', 'b', 'bob'],
    ['cyd', 'c', 'cyd'],
  ] as const) {
    const client = await clientOf(context, served, {
      ...away,
      clientId,
      ...(username === undefined ? {} : { username }),
    })
    await client.subscribe(topic, { qos: 1 }).ready
    await client.close()
  }
  while (served.broker.clients().length > 0) await setTimeout(5)
  for (let i = 0; i < 6; i++) await served.broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  for (let i = 0; i < 6; i++) await served.broker.publish({ topic: 'b', payload: 'x', qos: 1 })
  for (let i = 0; i < 4; i++) await served.broker.publish({ topic: 'c', payload: 'x'.repeat(1_500), qos: 1 })
  const sentenceOf = async (topic: string, client: string) => (await why(served, topic, client)).sentence
  assert.match(
    await sentenceOf('a', 'ada'),
    /\(2 messages wait in it, and max_anonymous_queued_messages allows no more\)/,
  )
  assert.match(await sentenceOf('b', 'bob'), /\(5 messages wait in it, and max_queued_messages allows no more\)/)
  assert.match(await sentenceOf('c', 'cyd'), /\([\d,]+ bytes wait in it, and max_queued_bytes allows 4,000\)/)
  served.broker.drainQueue('bob')
  assert.match(
    (await why(served, 'b', 'bob')).reasons.find(({ code }) => code === 'queue-full')!.sentence,
    /\(at most 5 messages \(max_queued_messages\) and 4,000 bytes \(max_queued_bytes\) may wait\)/,
  )
})

test('why: larger than the Maximum Packet Size of the client', async (context) => {
  const served = await serve(context)
  const ada = await clientOf(context, served, { clientId: 'ada', maximumPacketSize: 200 })
  await ada.subscribe('a').ready
  await served.broker.publish({ topic: 'a', payload: 'x'.repeat(1_000), qos: 1 })
  const { sentence, reasons } = await why(served, 'a', 'ada')
  assert.equal(reasons[0]?.code, 'packet-too-large')
  assert.match(sentence, /larger than the Maximum Packet Size that the client has asked for/)
})

test('why: a Topic Filter that nearly matches', async (context) => {
  const served = await serve(context)
  const ada = await clientOf(context, served, { clientId: 'ada' })
  await ada.subscribe('sensors/+').ready
  await ada.subscribe('Lights/kitchen').ready
  const sentenceOf = async (topic: string): Promise<string> => (await why(served, topic, 'ada')).sentence
  assert.equal(
    await sentenceOf('sensors/1/temperature'),
    'ada is not sent it: none of its 2 subscriptions matches the topic; sensors/+ has 2 levels, the topic 3: + stands for one level, sensors/+/# would match.',
  )
  assert.match(await sentenceOf('lights/kitchen'), /"Lights" where the topic has "lights": upper and lower case differ/)
  assert.match(await sentenceOf('sensors'), /sensors\/\+ has 2 levels, the topic only 1/)
  assert.match(await sentenceOf('x'), /none of its 2 subscriptions matches the topic\.$/)
})

test('why: QoS 0 to a reader that does not read', async (context) => {
  const served = await serve(context, { broker: { limits: { outputBytesMax: 65_536 } } })
  const socket = await rawSubscriber(served.mqttPort, 'slow', 'a')
  context.after(() => socket.destroy())
  const payload = 'x'.repeat(100_000)
  while (served.broker.metrics()['dropped.slow-reader'] === 0) {
    await served.broker.publish({ topic: 'a', payload })
    await setTimeout(1)
  }
  const { sentence, reasons } = await why(served, 'a', 'slow')
  assert.equal(reasons[0]?.code, 'slow-reader')
  assert.match(timeless(sentence), /^slow was not sent it: the message had QoS 0, and the client did not read fast/)
})

/** Subscribes, and reads nothing from then on. */
async function rawSubscriber(port: number, clientId: string, topicFilter: string): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1')
  await once(socket, 'connect')
  const packets = [
    new Connect({ protocolVersion: 5, clientId, cleanStart: true, keepAliveSeconds: 0 } as never),
    new Subscribe(1, [{ topicFilter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }]),
  ]
  for (const packet of packets) socket.write(encode(packet, 5))
  await once(socket, 'data')
  socket.pause()
  return socket
}

test('why: another member of a Shared Subscription was chosen', async (context) => {
  const served = await serve(context)
  const [ada, bob] = [
    await clientOf(context, served, { clientId: 'ada' }),
    await clientOf(context, served, { clientId: 'bob' }),
  ]
  for (const client of [ada, bob]) await client.subscribe('$share/g/jobs').ready
  await served.broker.publish({ topic: 'jobs', payload: '1', qos: 1 })
  assert.match((await why(served, 'jobs', 'ada')).sentence, /^The last message was published/)
  const { sentence, reasons } = await why(served, 'jobs', 'bob')
  assert.equal(
    timeless(sentence),
    'bob was not sent it: $share/g/jobs is a Shared Subscription, and it was the turn of ada, TIME.',
  )
  assert.equal(reasons[0]?.code, 'not-chosen')
  await served.broker.publish({ topic: 'jobs', payload: '2', qos: 1 })
  assert.match((await why(served, 'jobs', 'ada')).sentence, /it was the turn of bob/)
})

test('why: not connected, without a session', async (context) => {
  const served = await serve(context)
  const ada = await clientOf(context, served, { clientId: 'ada', sessionExpiryIntervalSeconds: 0 })
  await ada.subscribe('a').ready
  await ada.close()
  while (served.broker.inspect.session('ada') !== null) await setTimeout(5)
  await served.broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  const { sentence } = await why(served, 'a', 'ada')
  assert.equal(
    timeless(sentence),
    'ada was not sent it: it is not connected and has no session, so nothing waits for it (its session ended: disconnected, TIME).',
  )
  assert.match((await why(served, 'z', 'ada')).sentence, /^ada is not sent it: it is not connected/)
  assert.equal(
    (await why(served, 'a', 'nobody')).sentence,
    'nobody was not sent it: it is not connected and has no session, so nothing waits for it.',
  )
  const stays = await clientOf(context, served, { clientId: 'stays', sessionExpiryIntervalSeconds: 600 })
  await stays.subscribe('a', { qos: 1 }).ready
  await stays.close()
  while (served.broker.clients().length > 0) await setTimeout(5)
  await served.broker.publish({ topic: 'a', payload: 'x', qos: 0 })
  assert.match((await why(served, 'a', 'stays')).sentence, /had QoS 0, and the client was not connected/)
})

test('why: a client that got the message and left, and one that came after it', async (context) => {
  const served = await serve(context)
  const clean = { sessionExpiryIntervalSeconds: 0 }
  const gone = async (clientId: string): Promise<void> => {
    while (served.broker.inspect.session(clientId) !== null) await setTimeout(5)
  }
  const ada = await clientOf(context, served, { ...clean, clientId: 'ada' })
  const messages = ada.subscribe('a', { qos: 1 })
  await messages.ready
  await served.broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  await messages.next()
  await ada.close()
  await gone('ada')
  assert.equal(
    timeless((await why(served, 'a', 'ada')).sentence),
    'ada may have been sent it before it left at TIME (it sent DISCONNECT): it was connected when the last message was published, TIME, and nothing that is remembered says that it was dropped, withheld or refused. It is not connected now, and which subscriptions it had is not remembered: they ended with its session.',
  )
  const bob = await clientOf(context, served, { ...clean, clientId: 'bob' })
  await bob.close()
  await gone('bob')
  assert.match((await why(served, 'a', 'bob')).sentence, /^bob was not sent it: it is not connected and has no session/)
  // What is recorded goes first, and is not doubted.
  const cyd = await clientOf(context, served, { ...clean, clientId: 'cyd' })
  await cyd.subscribe('c', { noLocal: true }).ready
  await cyd.publish('c', 'x', { qos: 1 })
  await cyd.close()
  await gone('cyd')
  const { sentence, reasons } = await why(served, 'c', 'cyd')
  assert.match(sentence, /has No Local/)
  assert.match(reasons[1]!.sentence, /^cyd is not sent it: it is not connected/)
})

test('why: a client that was served, and what is known of its acknowledgement', async (context) => {
  const served = await serve(context)
  const { broker } = served
  const ada = await clientOf(context, served, { clientId: 'ada', sessionExpiryIntervalSeconds: 600 })
  await ada.subscribe('a/0').ready
  const messages = ada.subscribe('a/1', { qos: 1 })
  await messages.ready
  for (const topic of ['a/0', 'a/1', 'a/2']) await broker.publish({ topic, payload: 'x', qos: 1 })
  const sentenceOf = async (topic: string) => timeless((await why(served, topic, 'ada')).sentence)
  const begin = 'The last message went to it as far as the broker knows: it was written to its connection, and'
  const before = (topic: string) =>
    `The last message was published TIME by the broker. Nothing keeps messages on ${topic} from ada.`
  assert.equal(
    await sentenceOf('a/0'),
    `${before('a/0')} ${begin} whether the client has got it is not known: QoS 0 is not acknowledged. 1 message was sent and not acknowledged yet.`,
  )
  assert.equal(
    await sentenceOf('a/1'),
    `${before('a/1')} ${begin} the client has not acknowledged all messages on this topic yet (QoS 1: PUBACK is awaited). 1 message was sent and not acknowledged yet.`,
  )
  await ada.subscribe('a/2').ready
  assert.match(await sentenceOf('a/2'), /Its subscription a\/2 was made or renewed after that message/)
  const bob = await clientOf(context, served, { clientId: 'bob' })
  const taken = bob.subscribe('b', { qos: 2 })
  await taken.ready
  await broker.publish({ topic: 'b', payload: 'x', qos: 2 })
  assert.match(timeless((await why(served, 'b', 'bob')).sentence), /(is not known|is awaited\))\. 1 message was sent/)
  await taken.next()
  while (broker.inspect.session('bob')!.inflight > 0) await setTimeout(5)
  assert.match(timeless((await why(served, 'b', 'bob')).sentence), /and the client has acknowledged it \(QoS 2\)\.$/)
})

test('why: a retained message that Retain Handling keeps away', async (context) => {
  const served = await serve(context)
  await served.broker.publish({ topic: 'state', payload: 'on', retain: true })
  await setTimeout(60)
  const ada = await clientOf(context, served, { clientId: 'ada' })
  await ada.subscribe('state', { retainHandling: 2 }).ready
  const { sentence, reasons } = await why(served, 'state', 'ada')
  assert.equal(
    timeless(sentence),
    'ada was not sent the retained message: its subscription state asked for no retained messages (Retain Handling 2), TIME.',
  )
  assert.equal(reasons[0]?.code, 'retain-handling')
})

test('why for anybody: nobody subscribes; a refused subscription; a time in the past', async (context) => {
  const served = await serve(context, {
    broker: { authorize: { subscribe: (_client, { topicFilter }) => topicFilter !== 'secret' } },
  })
  assert.equal((await why(served, 'a')).sentence, 'Nobody subscribes to a.')
  const ada = await clientOf(context, served, { clientId: 'ada' })
  await assert.rejects(ada.subscribe('secret').ready)
  assert.match(
    timeless((await why(served, 'secret', 'ada')).sentence),
    /its subscription to secret was refused \(0x87 /,
  )
  const past = await why(served, 'secret', 'ada', Date.now() - 3_600_000)
  assert.match(
    timeless(past.sentence),
    /^Nothing is remembered of secret at about (\d{4}-\d\d-\d\d )?TIME; what follows is how it is now\. ada is not sent it: /,
  )
  assert.doesNotMatch(past.sentence, /refused/)
  assert.match((await why(served, 'secret', 'ada', Date.now())).sentence, /^ada was not sent it/)
  assert.equal((await served.ask('/api/v1/why?topic=a%2F%2B')).status, 422)
  assert.equal((await served.ask('/api/v1/why?topic=a&at=yesterday')).status, 422)
})

test('a trace tells every step of a message, and ends', async (context) => {
  const served = await serve(context)
  const token = served.tokenOf('operator')
  const ada = await clientOf(context, served, { clientId: 'ada' })
  const messages = ada.subscribe('t/#', { qos: 1 })
  await messages.ready
  const query = '/api/v1/trace?topicFilter=t/%23&seconds=30&payload=true'
  const response = await fetch(`http://127.0.0.1:${served.port}${query}`, {
    headers: { authorization: `Bearer ${token}` },
  })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await reader.read()).value ?? ''
  const bob = await clientOf(context, served, { clientId: 'bob' })
  await bob.publish('t/1', 'hello', { qos: 1 })
  await bob.publish('other', 'hello', { qos: 1 })
  // A message that is taken is acknowledged.
  for await (const { topic } of messages) {
    assert.equal(topic, 't/1')
    break
  }
  while (!text.includes('"acknowledged"')) text += (await reader.read()).value ?? ''
  const steps = [...text.matchAll(/^data: (.*)$/gm)].map((match) => JSON.parse(match[1]!) as Record<string, unknown>)
  assert.deepEqual(
    steps.map(({ step, clientId }) => [step, clientId]),
    [
      ['received', 'bob'],
      ['matched', 'bob'],
      ['sent', 'ada'],
      ['acknowledged', 'ada'],
    ],
  )
  assert.equal(Buffer.from(String(steps[0]!['payloadBase64']), 'base64').toString(), 'hello')
  await reader.cancel()
  assert.equal((await served.ask('/api/v1/trace?seconds=1', { token })).status, 422)
  const short = await served.ask('/api/v1/trace?client=nobody&seconds=1', { token })
  assert.match(short.text, /^: it has begun/)
})

test('what is too long to be remembered takes the place of nothing that is', () => {
  const decisions = new Decisions(1)
  const { observer } = decisions
  const publish = (topic: string): void => decisions.published(null, { topic, qos: 0, retain: false })
  const share = (topicFilter: string): void => observer['message.shared']!({ clientId: 'ada', topic: 'a', topicFilter })
  for (let i = 0; i < 10_000; i++) publish(`t/${i}`)
  for (let i = 0; i < 1_000; i++) share(`$share/${i}/a`)
  const long = 'a'.repeat(600)
  publish(long)
  share(`$share/g/${long}`)
  assert.equal(decisions.lastOf(long), undefined)
  assert.equal(decisions.lastOf('t/0')?.messages, 1)
  assert.equal([...decisions.choicesOf('$share/0/a')].length, 1)
  publish('t/10000')
  share('$share/1000/a')
  assert.equal(decisions.lastOf('t/0'), undefined)
  assert.deepEqual([...decisions.choicesOf('$share/0/a')], [])
})
