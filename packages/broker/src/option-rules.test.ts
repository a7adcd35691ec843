import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connect, MqttError, ReasonCode } from '@recado/protocol'
import { aclFile, jwt, passwordFile, scram, webhook } from './access.ts'
import { http } from './adapters/http-protocol.ts'
import { type Broker, createBroker } from './broker.ts'
import { authenticatorOf, authorizerOf, enhancedAuthenticatorOf } from './hooks.ts'
import type { ClientInfo, ConnectDecision, ConnectRequest } from './ports.ts'
import { lmdb, memory } from './stores.ts'

type Anything = (...given: unknown[]) => unknown
const make = createBroker as unknown as Anything

/** The broker as a program without types sees it. */
const untyped = (broker: Broker): Record<string, Anything> => broker as unknown as Record<string, Anything>

const says =
  (pattern: RegExp): ((error: unknown) => boolean) =>
  (error) => {
    assert.ok(error instanceof MqttError, String(error))
    assert.equal(error.code, 'ERR_MQTT_OPTION')
    assert.match(error.message, pattern)
    return true
  }

test('createBroker refuses access hooks that are misspelt or of another shape: nobody is let in by mistake', () => {
  class Misspelt {
    publsh(): boolean {
      return false
    }
    subscribe(): boolean {
      return false
    }
  }
  const wrong: [unknown, RegExp][] = [
    [{ authentcate: () => false }, /^there is no option authentcate; did you mean authenticate\?$/],
    [{ authorise: { publish: () => false } }, /^there is no option authorise; did you mean authorize\?$/],
    [{ authorize: () => false }, /^authorize must be an object with publish or subscribe or .*, not a function$/],
    [{ authorize: { publsh: () => false } }, /^there is no option authorize\.publsh; did you mean publish\?$/],
    [{ authorize: new Misspelt() }, /^there is no hook authorize\.publsh; did you mean publish\?$/],
    [{ authorize: {} }, /^authorize must be an object with publish/],
    [{ authorize: { isStable: true } }, /^authorize must be an object with publish/],
    [{ authorize: null }, /^authorize must be .*, not null$/],
    [{ authorize: { publish: false } }, /^authorize\.publish must be a function, not false$/],
    [{ authenticate: 5 }, /^authenticate must be a function, or an object with authenticate, not 5$/],
    [{ authenticate: {} }, /^authenticate must be a function, or/],
    [{ authenticate: { authenticate: true } }, /^authenticate\.authenticate must be a function, not true$/],
    [{ authenticate: { authenticate: () => true, isStilValid: () => false } }, /did you mean isStillValid/],
    [{ enhancedAuthentication: () => false }, /^enhancedAuthentication must be an object with methods and step/],
    [{ enhancedAuthentication: { step: () => ({}) } }, /^enhancedAuthentication must be an object with methods/],
    [{ enhancedAuthentication: { methods: 'A', step: () => ({}) } }, /methods must be an array/],
    [{ observer: { 'client.conected': () => {} } }, /did you mean client\.connected\?$/],
    [{ observer: { 'hook.failed': 5 } }, /^observer\.hook\.failed must be a function, not 5$/],
    [{ store: {} }, /^store must be a store, as lmdb\(\) makes it/],
    [{ store: Promise.resolve(memory()) }, /^store must be a store/],
    [{ limits: 5 }, /^limits must be an object, not 5$/],
    [{ queueQoS0: 1 }, /^queueQoS0 must be true or false, not 1$/],
    [{ sessionOwner: 'refused' }, /^sessionOwner must be "refuse" or "takeover" or "off", not "refused"$/],
    [{ clock: Date }, /^clock must be a clock/],
    [5, /^options must be an object, not 5$/],
    [null, /^options must be an object, not null$/],
    ['mqtt', /^options must be an object/],
    [[], /^options must be an object, not an array$/],
  ]
  for (const [options, pattern] of wrong) assert.throws(() => make(options), says(pattern))
  assert.throws(() => make({ limits: { receiveMaximun: 1 } }), { code: 'ERR_MQTT_LIMIT' })
})

test('what is made of classes, and undefined for what is not given, is taken', async () => {
  class Rights {
    readonly names: Set<string> = new Set()
    publish(): boolean {
      return this.names.size === 0
    }
    reload(): void {}
  }
  const broker = createBroker({ authorize: new Rights(), limits: {}, store: memory() })
  untyped(broker)['reconfigure']!({ authenticate: undefined, authorize: null, observer: null })
  await broker.close()
})

test('what makes hooks and stores refuses options that do not exist: a token for others is not let in by mistake', async () => {
  const makers = { aclFile, passwordFile, jwt, webhook, scram, lmdb } as unknown as Record<string, Anything>
  const wrong: [string, unknown, RegExp][] = [
    ['jwt', { secret: 'x'.repeat(32), audiance: 'me' }, /^there is no option audiance; did you mean audience\?$/],
    ['jwt', { secret: 'x'.repeat(32), expiryRequired: 'yes' }, /^expiryRequired must be true or false, not "yes"$/],
    ['webhook', { loginURL: 'http://127.0.0.1/' }, /did you mean loginUrl\?$/],
    ['webhook', { loginUrl: 5 }, /^loginUrl must be a string or a URL, not 5$/],
    ['aclFile', { pth: 'x' }, /did you mean path\?$/],
    ['aclFile', {}, /^path must be a string, not undefined$/],
    ['passwordFile', { path: 5 }, /^path must be a string, not 5$/],
    ['scram', {}, /^options must be an object with verifier, not an object$/],
    ['lmdb', { path: 'x', durabilty: 'os' }, /did you mean durability\?$/],
    ['lmdb', { path: 'x', durability: 'none' }, /^durability must be "fsync" or "os", not "none"$/],
  ]
  for (const name of Object.keys(makers))
    wrong.push([name, undefined, /^options must be an object/], [name, 5, /not 5$/])
  for (const [name, options, pattern] of wrong) {
    await assert.rejects(async () => await makers[name]!(options), says(pattern), `${name} ${JSON.stringify(options)}`)
  }
})

describe('the methods of a broker', () => {
  test('refuse unknown options and wrong types, by rejecting where they return a promise', async () => {
    const broker = createBroker()
    const any = untyped(broker)
    const rejected: [string, unknown[], RegExp][] = [
      ['listen', [null], /^options must be an object, not null$/],
      ['listen', [5], /^options must be an object, not 5$/],
      ['listen', [{ prt: 1 }], /^there is no option prt; did you mean port\?$/],
      ['listen', [{ port: 1, host: 5 }], /^host must be a string, not 5$/],
      ['listen', [{ port: 'x' }], /^port must be a whole number from 0 to 65535, not "x"$/],
      ['listen', [{ port: 0, tls: true }], /^tls must be an object, not true$/],
      [
        'listen',
        [{ port: 0, tls: { certificate: 'x' } }],
        /^there is no option tls\.certificate; did you mean cert\?$/,
      ],
      ['listen', [{ port: 0, tls: { serverNames: { a: { cert: 5 } } } }], /^tls\.serverNames\["a"\]\.cert must be/],
      ['listen', [{ port: 0, webSocket: { origin: [] } }], /webSocket\.origin; did you mean origins\?$/],
      ['listen', [{ port: 0, proxyProtocol: 2 }], /^proxyProtocol must be true or false or an object, not 2$/],
      ['listen', [{ port: 0, limits: 5 }], /^limits must be an object/],
      ['publish', [], /^options must be an object, not undefined$/],
      ['publish', ['a', 'x'], /^options must be an object, not "a"$/],
      ['publish', [{ payload: 'x' }], /^topic must be a string, not undefined$/],
      ['publish', [{ topic: 'a', payload: 5 }], /^payload must be a string or bytes .*, not 5$/],
      ['publish', [{ topic: 'a', payload: { b: 1 } }], /convert it with JSON\.stringify\(\)$/],
      ['publish', [{ topic: 'a', qos: 3 }], /^qos must be 0 or 1 or 2, not 3$/],
      ['publish', [{ topic: 'a', retained: true }], /^there is no option retained; did you mean retain\?$/],
      [
        'publish',
        [{ topic: 'a', properties: { contentTyp: 'x' } }],
        /properties\.contentTyp; did you mean contentType\?$/,
      ],
      [
        'publish',
        [{ topic: 'a', properties: { contentType: 5 } }],
        /^properties\.contentType must be a string, not 5$/,
      ],
      ['publish', [{ topic: 'a', properties: { topicAlias: 5 } }], /^there is no option properties\.topicAlias/],
      ['close', [5], /^options must be an object/],
      ['close', [{ timeout: 5 }], /^there is no option timeout; did you mean timeoutMs\?$/],
      ['close', [{ reasonCode: 4 }], /^reasonCode must be a Reason Code/],
    ]
    for (const [name, given, pattern] of rejected) {
      // No throw: what returns a promise rejects.
      const promise = any[name]!(...given) as Promise<unknown>
      await assert.rejects(promise, says(pattern), `${name} ${JSON.stringify(given)}`)
    }
    await assert.rejects(any['publish']!({ topic: 'a/#' }) as Promise<unknown>, { code: 'ERR_MQTT_TOPIC_NAME' })
    const thrown: [string, unknown[], RegExp][] = [
      ['subscribe', [5, () => {}], /^topicFilter must be a string, not 5$/],
      ['subscribe', ['a'], /^the handler must be a function, not undefined$/],
      ['subscribe', ['a', () => {}, { qos: 3 }], /^qos must be 0 or 1 or 2, not 3$/],
      ['subscribe', ['a', () => {}, { nolocal: true }], /did you mean noLocal\?$/],
      ['reconfigure', [undefined], /^options must be an object/],
      ['reconfigure', [{ authorise: null }], /did you mean authorize\?$/],
      ['reconfigure', [{ authorize: {} }], /^authorize must be .* or null, not an object$/],
      ['reconfigure', [{ store: memory() }], /^there is no option store/],
      ['removeSession', [5], /^clientId must be a string/],
    ]
    for (const [name, given, pattern] of thrown) {
      assert.throws(() => any[name]!(...given), says(pattern), `${name} ${JSON.stringify(given)}`)
    }
    const listener = (await broker.listen({ port: 0 })) as unknown as Record<string, Anything>
    assert.throws(() => listener['update']!({ conectionsMax: 1 }), says(/did you mean connectionsMax\?$/))
    assert.throws(() => listener['update']!(5), says(/^options must be an object/))
    assert.throws(() => listener['updateTls']!({ crt: 'x' }), says(/did you mean cert\?$/))
    assert.throws(() => listener['updateTls']!({}), says(/has no TLS/))
    await broker.close()
    await assert.rejects(broker.publish({ topic: 'a' }), { code: 'ERR_MQTT_CLOSED' })
  })

  test('publish takes bytes of any kind, or none', async () => {
    const broker = createBroker()
    const seen: number[][] = []
    broker.subscribe('a', ({ payload }) => void seen.push([...payload]))
    const { buffer } = Uint8Array.of(1, 2, 3, 4)
    const payloads = [buffer, new DataView(buffer, 1, 2), new Uint16Array(buffer, 2, 1), new SharedArrayBuffer(1), 'é']
    for (const payload of payloads) await broker.publish({ topic: 'a', payload })
    await broker.publish({ topic: 'a' })
    assert.deepEqual(seen, [[1, 2, 3, 4], [2, 3], [3, 4], [0], [0xc3, 0xa9], []])
    const gone = new Uint8Array(4)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    for (const payload of [gone, gone.buffer]) {
      await assert.rejects(broker.publish({ topic: 'a', payload }), says(/their ArrayBuffer was transferred/))
    }
    await broker.close()
  })
})

describe('an answer of a hook that has no shape which is known', () => {
  const request: ConnectRequest = {
    connect: new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' }),
    clientId: 'a',
    remoteAddress: '',
    peer: null,
    identity: null,
    listener: '',
  }
  const client = { clientId: 'a', username: undefined } as ClientInfo
  const never = (): never => assert.fail('is called')

  test('of authenticate and enhancedAuthentication lets nobody in, and is told', () => {
    const failed: string[] = []
    const told = (hook: string): void => void failed.push(hook)
    const answers = [{ ok: false }, { reasonCode: 5 }, { reasonCode: '0' }, { username: 5 }, 1, 'yes', undefined, []]
    for (const answer of answers) {
      const decided: ConnectDecision[] = []
      const hook = (() => answer) as unknown as () => boolean
      authenticatorOf(hook, told).authenticate(request, (decision) => void decided.push(decision))
      const step = (() => answer) as unknown as () => ConnectDecision
      const state = {
        method: 'M',
        data: undefined,
        phase: 'connect',
        request,
        username: undefined,
        state: null,
      } as const
      enhancedAuthenticatorOf({ methods: ['M'], step }, told).step({ ...state }, (given) => void decided.push(given))
      assert.deepEqual(
        decided.map(({ reasonCode }) => reasonCode),
        [ReasonCode.UnspecifiedError, ReasonCode.UnspecifiedError],
        JSON.stringify(answer),
      )
      assert.deepEqual(failed.splice(0), ['authenticate', 'enhancedAuthentication'], JSON.stringify(answer))
    }
  })

  test('of authorize and of the questions about who is in refuses, and is told', () => {
    const failed: string[] = []
    const told = (hook: string): void => void failed.push(hook)
    for (const answer of [undefined, null, 'yes', 1, 0x10, Number.NaN, {}, []]) {
      const hook = (() => answer) as unknown as () => boolean
      const rights = authorizerOf(
        { publish: hook, will: hook, subscribe: hook, mayReceive: hook, mayPublish: hook },
        told,
      )
      const logins = authenticatorOf({ authenticate: hook, isStillValid: hook, isKnown: hook }, told)
      const will = { topic: 't', qos: 0, retain: false, payload: new Uint8Array(0), properties: {} } as const
      const subscription = {
        topicFilter: 't',
        qos: 2,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0,
      } as const
      assert.equal(rights.publish(client, 't', 0, false, never), ReasonCode.NotAuthorized)
      assert.equal(rights.will!(client, will, never), ReasonCode.NotAuthorized)
      assert.equal(rights.subscribe(client, subscription, never, false), ReasonCode.NotAuthorized)
      assert.equal(rights.mayReceive!(client, 't'), false)
      assert.equal(rights.mayPublish!(client, 't'), false)
      assert.equal(logins.isStillValid!(client, undefined), false)
      assert.equal(logins.isKnown!(client), false)
      assert.deepEqual(failed.splice(0), [
        'authorize.publish',
        'authorize.will',
        'authorize.subscribe',
        'authorize.mayReceive',
        'authorize.mayPublish',
        'authenticate.isStillValid',
        'authenticate.isKnown',
      ])
    }
  })
})

test('mayUnsubscribe alone is an authorizer', () => {
  assert.doesNotThrow(() => createBroker({ authorize: { mayUnsubscribe: () => true } }))
})

test('a prefix that no Client Identifier can begin with, an empty host and no handler of HTTP are refused', async () => {
  for (const assignedClientIdPrefix of ['a\0', 'a\n', '\ud800', 'x'.repeat(70_000)])
    assert.throws(() => createBroker({ assignedClientIdPrefix }), /assignedClientIdPrefix must be a string of at most/)
  await using broker = createBroker({ assignedClientIdPrefix: 'auto-é' })
  await assert.rejects(broker.listen({ port: 0, host: '' }), {
    code: 'ERR_MQTT_OPTION',
    message: /host must be .*0\.0\.0\.0/,
  })
  assert.throws(() => http(() => {}, { maxHeaderSiz: 1 } as never), {
    code: 'ERR_MQTT_OPTION',
    message: /maxHeaderSize/,
  })
  assert.throws(() => http(undefined as never), { code: 'ERR_MQTT_OPTION', message: /handler/ })
})
