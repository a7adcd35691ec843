import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Auth, Connack, Disconnect, Pingreq, Pingresp, Puback, ReasonCode } from '@recado/protocol'
import type { AuthenticationAnswer, AuthenticationStep } from '../../ports.ts'
import { type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

const data = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
const method = { authenticationMethod: 'M' }

/** Asks two questions, `name?` and `word?`; counts steps in `state`. `word` must be `secret`. */
function challenge(step: AuthenticationStep): AuthenticationAnswer {
  const count = (step.state as number | undefined) ?? 0
  step.state = count + 1
  if (count === 0) return { reasonCode: ReasonCode.ContinueAuthentication, data: data('name?') }
  if (count === 1) return { reasonCode: ReasonCode.ContinueAuthentication, data: data('word?') }
  if (text(step.data) === 'secret') return { data: data('bye'), username: 'ada' }
  return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'wrong word' }
}

function one(answer: (step: AuthenticationStep) => AuthenticationAnswer, options: WorldOptions = {}) {
  const steps: AuthenticationStep[] = []
  const world = new World({
    ...options,
    enhancedAuthenticator: {
      methods: ['M'],
      step(step, done) {
        steps.push({ ...step })
        done(answer(step))
      },
    },
  })
  return { world, steps, a: world.client('a') }
}

const next = (words: string): Auth =>
  new Auth(ReasonCode.ContinueAuthentication, { ...method, authenticationData: data(words) })
const again = (words: string): Auth =>
  new Auth(ReasonCode.ReAuthenticate, { ...method, authenticationData: data(words) })

function login(a: TestClient): Connack {
  a.connect({ properties: { ...method, authenticationData: data('hello') } })
  a.take(Auth)
  a.send(next('ada')).take(Auth)
  return a.send(next('secret')).take(Connack)
}

describe('at CONNECT (4.12)', () => {
  test('each step has the CONNECT timeout for itself, and the last of them ends the connection', () => {
    const { world, a } = one(challenge, { limits: { connectTimeoutMs: 1000 } })
    a.connect({ properties: { ...method, authenticationData: data('hello') } })
    a.take(Auth)
    world.advance(800)
    a.send(next('ada')).take(Auth)
    world.advance(800)
    assert.equal(a.isClosed, false)
    world.advance(800)
    assert.equal(a.isClosed, true)
  })

  test('goes step by step until CONNACK, each with the method [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5]', () => {
    const { world, steps, a } = one(challenge)
    a.connect({ properties: { ...method, authenticationData: data('hello') } })
    const first = a.take(Auth)
    assert.equal(first.reasonCode, ReasonCode.ContinueAuthentication)
    assert.equal(first.properties.authenticationMethod, 'M')
    assert.equal(text(first.properties.authenticationData), 'name?')
    a.send(next('ada'))
    assert.equal(text(a.take(Auth).properties.authenticationData), 'word?')
    a.send(next('secret'))
    const connack = a.take(Connack)
    assert.equal(connack.reasonCode, 0)
    assert.equal(connack.properties.authenticationMethod, 'M')
    assert.equal(text(connack.properties.authenticationData), 'bye')
    assert.deepEqual(
      steps.map(({ phase, data: bytes, state }) => [phase, text(bytes), state]),
      [
        ['connect', 'hello', undefined],
        ['continue', 'ada', 1],
        ['continue', 'secret', 2],
      ],
    )
    assert.equal(world.eventsOf('client.connected')[0]?.client.username, 'ada')
  })

  test('one step may be enough', () => {
    const { a } = one(() => ({}))
    assert.equal(a.connected({ properties: method }).properties.authenticationMethod, 'M')
  })

  test('a refusal ends it with its Reason Code [MQTT-4.12.0-4]', () => {
    const { world, a } = one(challenge)
    a.connect({ properties: method }).take(Auth)
    a.send(next('ada')).take(Auth)
    const connack = a.send(next('wrong')).take(Connack)
    assert.equal(connack.reasonCode, ReasonCode.NotAuthorized)
    assert.equal(connack.properties.reasonString, 'wrong word')
    assert.ok(a.isClosed)
    assert.equal(world.core.sessions.size, 0)
  })

  test('a method that is not offered: 0x8C [MQTT-4.12.0-1]', () => {
    const { a } = one(challenge)
    const connack = a.connect({ properties: { authenticationMethod: 'N' } }).take(Connack)
    assert.equal(connack.reasonCode, ReasonCode.BadAuthenticationMethod)
    assert.ok(a.isClosed)
    const none = new World().client('b').connect({ properties: method })
    assert.equal(none.take(Connack).reasonCode, ReasonCode.BadAuthenticationMethod)
  })

  test('AUTH with another method is a Protocol Error [MQTT-4.12.0-5]', () => {
    const { a } = one(challenge)
    a.connect({ properties: method }).take(Auth)
    a.send(new Auth(ReasonCode.ContinueAuthentication, { authenticationMethod: 'N' }))
    assert.equal(a.take(Connack).reasonCode, ReasonCode.ProtocolError)
    assert.ok(a.isClosed)
  })

  test('re-authentication before CONNACK is a Protocol Error [MQTT-4.12.1-1]', () => {
    const { a } = one(challenge)
    a.connect({ properties: method }).take(Auth)
    a.send(again('x'))
    assert.equal(a.take(Connack).reasonCode, ReasonCode.ProtocolError)
  })

  test('any other packet before CONNACK is a Protocol Error', () => {
    const { a } = one(challenge)
    a.connect({ properties: method }).take(Auth)
    a.send(new Pingreq())
    assert.equal(a.take(Connack).reasonCode, ReasonCode.ProtocolError)
    assert.ok(a.isClosed)
  })

  test('a malformed packet before CONNACK is refused with a Reason Code that CONNACK has', () => {
    const { a } = one(challenge)
    a.connect({ properties: method }).take(Auth)
    // Topic Alias 0: 0x94, which CONNACK does not have
    a.sendBytes(Uint8Array.of(0x30, 7, 0, 1, 0x74, 3, 0x23, 0, 0))
    assert.ok(a.take(Connack).reasonCode >= 0x80)
    assert.ok(a.isClosed)
  })

  test('DISCONNECT instead of the next step ends it quietly', () => {
    const { world, a } = one(challenge)
    a.connect({ properties: method }).take(Auth)
    a.send(new Disconnect())
    a.hasNothing()
    assert.ok(a.isClosed)
    assert.equal(world.core.connections.size, 0)
  })

  test('a client that does not answer is refused when its time is over', () => {
    const { world, a } = one(challenge, { limits: { connectTimeoutMs: 1_000 } })
    a.connect({ properties: method }).take(Auth)
    world.advance(1_300)
    assert.ok(a.take(Connack).reasonCode >= 0x80)
    assert.ok(a.isClosed)
  })

  test('while a step takes time nothing is read', () => {
    let done: (answer: AuthenticationAnswer) => void = () => {}
    const world = new World({
      enhancedAuthenticator: {
        methods: ['M'],
        step: (_, answer) => {
          done = answer
        },
      },
    })
    const a = world.client('a').connect({ properties: method })
    a.send(new Pingreq())
    a.hasNothing()
    world.together(() => done({}))
    a.take(Connack)
    a.take(Pingresp)
  })
})

describe('re-authentication (4.12.1)', () => {
  test('AUTH 0x19 begins it, AUTH 0x00 ends it; the client works on meanwhile', () => {
    const { world, steps, a } = one(challenge)
    login(a)
    a.send(again('hello'))
    assert.equal(text(a.take(Auth).properties.authenticationData), 'name?')
    a.publish({ topic: 't', qos: 1 })
    a.take(Puback)
    a.send(next('ada')).take(Auth)
    const end = a.send(next('secret')).take(Auth)
    assert.equal(end.reasonCode, 0)
    assert.equal(end.properties.authenticationMethod, 'M')
    assert.deepEqual(
      steps.slice(3).map(({ phase, state }) => [phase, state]),
      [
        ['re-authenticate', undefined],
        ['continue', 1],
        ['continue', 2],
      ],
    )
    assert.equal(world.metric('clients'), 1)
    a.send(again('once more')).take(Auth)
  })

  test('a failure ends the connection with its Reason Code [MQTT-4.12.1-2]', () => {
    const { a } = one(challenge)
    login(a)
    a.send(again('hello')).take(Auth)
    a.send(next('ada')).take(Auth)
    a.send(next('wrong'))
    a.isDisconnectedWith(ReasonCode.NotAuthorized)
  })

  test('another method is a Protocol Error [MQTT-4.12.1-1]', () => {
    const { a } = one(challenge)
    login(a)
    a.send(new Auth(ReasonCode.ReAuthenticate, { authenticationMethod: 'N' }))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('a second one while the first is running is a Protocol Error', () => {
    const { a } = one(challenge)
    login(a)
    a.send(again('x')).take(Auth)
    a.send(again('y'))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('AUTH 0x18 that nobody asked for is a Protocol Error', () => {
    const { a } = one(challenge)
    login(a)
    a.send(next('x'))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('AUTH from a client without an Authentication Method is a Protocol Error [MQTT-4.12.0-7]', () => {
    const { a } = one(challenge)
    a.connected()
    a.send(again('x'))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })
})
