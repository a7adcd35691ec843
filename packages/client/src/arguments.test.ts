import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOptions, MqttError, OptionError, Publish, Suback } from '@recado/protocol'
import { connectRules, subscribeRules } from './option-rules.ts'
import { type ConnectOptions, type Payload, resolveOptions } from './options.ts'
import { scram } from './scram.ts'
import { indexedDb } from './store/indexed-db.ts'
import { lmdb } from './store/lmdb.ts'
import { sessionStore } from './store/mod.ts'
import { SimulatedWorld, turn } from './testing/simulated.ts'

const says = (pattern: RegExp): ((error: unknown) => boolean) => {
  return (error) => error instanceof OptionError && pattern.test(error.message)
}
const connect = (options: object): void => checkOptions(options, connectRules)
const subscribe = (options: object): void => checkOptions(options, subscribeRules)

test('names of MQTT.js, and mistyped ones, are refused with what was meant', () => {
  assert.throws(
    () => connect({ keepalive: 10 }),
    says(/^there is no option keepalive; did you mean keepAliveSeconds\?$/),
  )
  assert.throws(() => connect({ clean: false }), says(/did you mean cleanStart/))
  assert.throws(() => connect({ reconnectPeriod: 0 }), says(/did you mean reconnect\?/))
  assert.throws(() => connect({ host: 'x' }), says(/^there is no option host$/))
  assert.throws(() => connect({ queue: { max: 1 } }), says(/there is no option queue\.max/))
  assert.throws(() => connect({ will: { topic: 'a', message: 'b' } }), says(/will\.message/))
  assert.throws(() => connect({ tls: { ALPNProtocols: [] } }), says(/tls\.ALPNProtocols; did you mean alpnProtocols/))
  assert.throws(() => subscribe({ rap: true }), says(/there is no option rap/))
  connect({ url: 'mqtt://x', reconnect: false, queue: { overflow: 'error' } })
})

test('values out of their list are refused with the list', () => {
  assert.throws(() => connect({ protocolVersion: 6 }), says(/^protocolVersion must be 5 or 4 or 3, not 6$/))
  assert.throws(
    () => connect({ queue: { overflow: 'drop' } }),
    says(/queue\.overflow must be "error" or "drop-oldest"/),
  )
  for (const wrong of [{ qos: 3 }, { ack: true }, { overflow: 'drop' }, { decode: 'yaml' }, { onInvalid: 'drop' }]) {
    assert.throws(() => subscribe(wrong), says(/ must be /))
  }
  for (const bufferMax of [0, 1.5, Number.NaN, '7'])
    assert.throws(() => subscribe({ bufferMax }), says(/^bufferMax must be/))
  subscribe({ decode: { '~standard': {} }, onInvalid: () => {}, bufferMax: 1 })
  subscribe({ decode: () => 1 })
})

test('connect options of the wrong type are refused in their own words', () => {
  const wrong: [ConnectOptions[keyof ConnectOptions] | object, RegExp][] = [
    [{ reconnect: true }, /^reconnect must be false or an object, not true$/],
    [{ queue: 5 }, /^queue must be an object, not 5$/],
    [{ tls: true }, /^tls must be an object, not true$/],
    [{ clientId: 7 }, /^clientId must be a string, not 7$/],
    [{ cleanStart: 'no' }, /^cleanStart must be true or false, not "no"$/],
    [{ keepAliveSeconds: '60' }, /^keepAliveSeconds must be a whole number from 0 to 65535, not "60"$/],
    [{ password: 5 }, /^password must be a string or bytes/],
    [{ credentials: {} }, /^credentials must be a function, not an object$/],
    [{ will: 'gone' }, /^will must be an object, not "gone"$/],
    [{ will: {} }, /^will\.topic must be a string, not undefined$/],
    [{ will: { topic: 'a', qos: '1' } }, /^will\.qos must be 0 or 1 or 2, not "1"$/],
    [{ will: { topic: 'a', payload: { b: 1 } } }, /^will\.payload must be a string or bytes/],
    [{ reconnect: { minMs: '1s' } }, /^reconnect\.minMs must be a whole number/],
    [{ reconnect: { attemptsMax: -1 } }, /^reconnect\.attemptsMax must be a whole number from 0, or Infinity/],
    [{ queue: { offlineQoS0: 1 } }, /^queue\.offlineQoS0 must be true or false, not 1$/],
    [{ tls: { rejectUnauthorized: 0 } }, /^tls\.rejectUnauthorized must be true or false/],
    [{ tls: { alpnProtocols: 'mqtt' } }, /^tls\.alpnProtocols must be an array, each of it a string, not "mqtt"$/],
    [{ tls: { psk: { identity: 'a', ky: 'b' } } }, /^there is no option tls\.psk\.ky$/],
    [{ tls: { checkServerIdentity: 'yes' } }, /^tls\.checkServerIdentity must be true or false or a function/],
    [{ authentication: {} }, /^authentication\.method must be a string, not undefined$/],
    [{ store: {} }, /^store must be a session store, not an object$/],
    [{ trace: true }, /^trace must be a function, not true$/],
    [{ signal: {} }, /^signal must be an AbortSignal, not an object$/],
    [{ properties: { keepAlive: 1 } }, /^there is no option properties\.keepAlive$/],
    [
      { properties: { receiveMaximum: 0 } },
      /^properties\.receiveMaximum must be a whole number from 1 to 65535, not 0$/,
    ],
    [{ properties: 5 }, /^properties must be an object, not 5$/],
  ]
  for (const [options, pattern] of wrong) {
    assert.throws(
      () => resolveOptions('mqtt://h', options as ConnectOptions),
      (error) => {
        assert.ok(error instanceof MqttError)
        assert.match(error.message, pattern)
        return true
      },
    )
  }
  for (const target of [5, null, undefined, true, Symbol('x'), () => {}]) {
    assert.throws(() => resolveOptions(target as unknown as string), OptionError)
  }
  for (const more of [5, null, () => {}, []]) {
    assert.throws(
      () => resolveOptions('mqtt://h', more as unknown as ConnectOptions),
      says(/^options must be an object/),
    )
  }
  resolveOptions({ url: new URL('mqtt://h'), clientId: undefined as unknown as string })
})

const nonsense = [5, {}, true, Symbol('x'), null, [], () => {}, 12n, Number.NaN]

test('every argument of the public API is checked, and the client goes on', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const any = client as unknown as Record<string, (...given: unknown[]) => unknown>
  const refuses = async (pattern: RegExp, call: () => unknown): Promise<void> => {
    await assert.rejects(
      async () => await call(),
      (error) => {
        assert.ok(error instanceof MqttError, String(error))
        assert.match(error.message, pattern)
        return true
      },
    )
  }
  for (const bad of [...nonsense, undefined]) {
    await refuses(/^topic must be a string, not/, () => any['publish']!(bad, 'x'))
    await refuses(/^topic must be a string, not/, () => any['request']!(bad, 'x'))
    await refuses(/^a Topic Filter must be a string, not|at least one Topic Filter/, () => any['subscribe']!(bad))
    await refuses(/^a Topic Filter must be a string, not|at least one Topic Filter/, () => any['unsubscribe']!(bad))
    await refuses(/Topic Filter|responder/, () => any['respond']!(bad, () => 'x'))
    if (typeof bad !== 'function') {
      await refuses(/^the responder must be a function, not|^options must be an object/, () =>
        any['respond']!('a', bad),
      )
    }
  }
  for (const bad of nonsense) {
    await refuses(/^payload must be a string or bytes/, () => any['publish']!('a', bad))
    await refuses(/^payload must be a string or bytes/, () => any['request']!('a', bad))
    if (typeof bad !== 'object' || bad === null || Array.isArray(bad)) {
      for (const call of ['publish', 'request']) {
        await refuses(/^options must be an object, not/, () => any[call]!('a', 'x', bad))
      }
      await refuses(/^options must be an object, not/, () => any['unsubscribe']!('a', bad))
      await refuses(/^options must be an object, not/, () => any['close']!(bad))
    }
    if (typeof bad !== 'function') {
      await refuses(/^the listener must be a function, not/, () => any['onState']!(bad))
      if (bad !== null) await refuses(/^the handler must be a function, not/, () => any['subscribe']!('a', {}, bad))
    }
    await refuses(/^signal must be an AbortSignal, not/, () => any['states']!(bad))
    await refuses(/^signal must be an AbortSignal, not/, () => any['reauthenticate']!(bad))
    await refuses(/^error must be an MqttError, not/, () => any['destroy']!(bad))
  }
  const unknown: [string, unknown[], RegExp][] = [
    ['publish', ['a', 'x', { QoS: 1 }], /there is no option QoS; did you mean qos\?/],
    ['publish', ['a', 'x', { retained: true }], /there is no option retained; did you mean retain\?/],
    ['publish', ['a', 'x', { qos: '1' }], /qos must be 0 or 1 or 2, not "1"/],
    ['publish', ['a', 'x', { retain: 1 }], /retain must be true or false, not 1/],
    ['publish', ['a', 'x', { until: 'sent' }], /until must be "delivered" or "stored", not "sent"/],
    ['publish', ['a', 'x', { signal: 1 }], /signal must be an AbortSignal/],
    ['publish', ['a', 'x', () => {}], /options must be an object, not a function; .*result of the function/],
    [
      'publish',
      ['a', 'x', { properties: { messageExpiryInterval: 1 } }],
      /^there is no option properties\.messageExpiryInterval; did you mean messageExpiryIntervalSeconds\?$/,
    ],
    ['publish', ['a', 'x', { properties: { contentType: 5 } }], /^properties\.contentType must be a string, not 5$/],
    ['publish', ['a', 'x', { properties: { topicAlias: 1 } }], /^there is no option properties\.topicAlias/],
    [
      'publish',
      ['a', 'x', { properties: { subscriptionIdentifiers: [1] } }],
      /no option properties\.subscriptionIdentifiers/,
    ],
    [
      'publish',
      ['a', 'x', { properties: { userProperties: { a: 'b' } } }],
      /^properties\.userProperties must be an array, each of it a pair of strings, not an object$/,
    ],
    [
      'publish',
      ['a', 'x', { properties: { correlationData: 'x' } }],
      /^properties\.correlationData must be a Uint8Array, not "x"$/,
    ],
    ['publish', ['a', 'x', { properties: { contentType: '\ud800' } }], /^properties\.contentType/],
    [
      'publish',
      ['a', 'x', { properties: { responseTopic: 5 } }],
      /^properties\.responseTopic must be a string, not 5$/,
    ],
    ['request', ['a', 'x', { timeout: 1 }], /there is no option timeout/],
    ['request', ['a', 'x', { responseTopic: 5 }], /responseTopic must be a string, not 5/],
    ['subscribe', ['a', { qos: 3 }], /qos must be 0 or 1 or 2, not 3/],
    ['subscribe', ['a', { rap: true }], /there is no option rap/],
    ['subscribe', ['a', { properties: { topicAlias: 1 } }], /^there is no option properties\.topicAlias/],
    ['respond', ['a'], /^the responder must be a function, not undefined$/],
    ['respond', ['a', { qos: 1 }], /^the responder must be a function, not an object$/],
    ['respond', ['a', { ack: 'manual' }, () => 'x'], /there is no option ack/],
    ['respond', ['a', { concurrencyMax: 0 }, () => 'x'], /concurrencyMax must be a whole number from 1, not 0/],
    ['unsubscribe', ['a', { qos: 1 }], /there is no option qos/],
    ['close', [{ drain: 1 }], /there is no option drain; did you mean drainMs\?/],
    ['close', [{ reasonCode: 5 }], /reasonCode must be a Reason Code/],
    ['close', [{ properties: { topicAlias: 1 } }], /^there is no option properties\.topicAlias/],
    ['close', [true], /options must be an object, not true/],
  ]
  for (const [name, given, pattern] of unknown) await refuses(pattern, () => any[name]!(...given))
  await turn()
  assert.deepEqual(server.received, [])
  assert.equal(client.connected, true)
  await client.publish('a', 'x', { qos: 0, properties: {} })
  assert.equal((await server.expect(3)).topic, 'a')
  client.destroy()
})

test('bytes of any kind are payloads', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const bytes = Uint8Array.of(1, 2, 3, 4)
  const payloads: [Payload, number[]][] = [
    [bytes, [1, 2, 3, 4]],
    [Buffer.from(bytes), [1, 2, 3, 4]],
    [bytes.buffer, [1, 2, 3, 4]],
    [new DataView(bytes.buffer, 1, 2), [2, 3]],
    [new Uint16Array(bytes.buffer, 2, 1), [3, 4]],
    [new Float32Array([0]), [0, 0, 0, 0]],
    [new SharedArrayBuffer(2), [0, 0]],
    ['é', [0xc3, 0xa9]],
    ['', []],
  ]
  for (const [payload, expected] of payloads) {
    await client.publish('a', payload)
    assert.deepEqual([...(await server.expect(3)).payload], expected)
  }
  client.destroy()
})

test('topics with control characters and non-characters are refused, unless they are wanted', async () => {
  const world = new SimulatedWorld()
  const { client } = await world.connected()
  for (const topic of ['a\u0001', 'a\nb', 'a\u007f', 'a\u009f', '\ufdd0', 'a\uffff', 'a\u{1fffe}', 'a\u{10ffff}']) {
    await assert.rejects(client.publish(topic, 'x'), { code: 'ERR_MQTT_TOPIC_NAME', message: /topicCharacters/ })
    await assert.rejects(client.request(topic, 'x'), { code: 'ERR_MQTT_TOPIC_NAME' })
    const properties = { responseTopic: topic }
    await assert.rejects(client.publish('a', 'x', { properties }), { code: 'ERR_MQTT_TOPIC_NAME' })
    assert.throws(() => client.subscribe(topic), { code: 'ERR_MQTT_TOPIC_FILTER' })
    await assert.rejects(client.unsubscribe(topic), { code: 'ERR_MQTT_TOPIC_FILTER' })
    assert.throws(() => world.client({ will: { topic } }), { code: 'ERR_MQTT_TOPIC_NAME' })
  }
  client.destroy()
  const { client: free, server } = await world.connected({ topicCharacters: 'any' })
  await free.publish('a\u0001', 'x')
  assert.equal((await server.expect(3)).topic, 'a\u0001')
  for (const topic of ['é', 'a b', '\u00a0', '\ufffd', '\u{1f600}']) await free.publish(topic, 'x')
  free.destroy()
})

test('stores and scram check what they are given', () => {
  const makers = { lmdb, indexedDb, scram, sessionStore } as unknown as Record<string, (given?: unknown) => unknown>
  for (const [name, make] of Object.entries(makers)) {
    for (const bad of [undefined, ...nonsense, 'x', { pathh: 'x' }, { name: 5, path: 5, username: 5 }]) {
      assert.throws(() => make(bad), OptionError, `${name}(${String(typeof bad)})`)
    }
  }
  assert.throws(() => makers['lmdb']!({ path: 5 }), says(/^path must be a string, not 5$/))
  assert.throws(() => makers['indexedDb']!({ name: 'x', lock: 'no' }), says(/^lock must be true or false, not "no"$/))
  assert.throws(() => makers['scram']!({ username: 'x' }), says(/^password must be a string, not undefined$/))
})

test('message.ack checks its arguments', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe('a', { qos: 1, ack: 'manual' })
  server.send(new Suback((await server.expect(8)).packetId, [1]))
  server.send(Publish.of({ topic: 'a', qos: 1, packetId: 1 }))
  const message = (await subscription.next()).value!
  const ack = message.ack.bind(message) as (...given: unknown[]) => void
  for (const bad of [...nonsense, '0x99', 5, 0x81]) assert.throws(() => ack(bad), says(/^reasonCode must be/))
  assert.throws(() => ack(0x87, 5), says(/^properties must be an object/))
  assert.throws(() => ack(0x87, { topicAlias: 1 }), says(/^there is no option properties\.topicAlias/))
  ack(0x87)
  assert.equal((await server.expect(4)).reasonCode, 0x87)
  client.destroy()
})
