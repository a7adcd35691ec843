/*
 * Identity of a client: decided after authentication, in one place. And rules for logins that have changed while a
 * login was under way.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Auth, Connack, type ConnectOptions, ReasonCode } from '@recado/protocol'
import type {
  AuthenticationAnswer,
  AuthenticationStep,
  Authorizer,
  ConnectDecision,
  ConnectRequest,
  Peer,
} from '../../ports.ts'
import { PENDING } from '../../ports.ts'
import { SimStore } from '../../testing/sim-store.ts'
import { type TestClient, type TestClientOptions, will } from '../../testing/test-client.ts'
import { World, type WorldOptions } from '../../testing/world.ts'

const byAuth = { properties: { authenticationMethod: 'M' } }
const ownName: TestClientOptions = { settings: { clientIdFromUsername: true } }
const peerNamed = (commonName: string): Peer => ({
  tlsVersion: 'TLSv1.3',
  commonName,
  certificate: null,
  pskIdentity: null,
  serverName: null,
  proxyAddress: null,
})
const certified = (commonName: string): TestClientOptions => ({
  peer: peerNamed(commonName),
  settings: { usernameFrom: 'identity' },
})

const deciding = (decision: ConnectDecision): WorldOptions => ({
  authenticator: { authenticate: (_, decide) => decide(decision) },
})
const answering = (...answers: AuthenticationAnswer[]): WorldOptions => ({
  enhancedAuthenticator: { methods: ['M'], step: (_, answer) => answer(answers.shift()!) },
})

/** Client Identifier and user name as events, rights and sessions see them. */
function who(world: World): [clientId: string, username: string | undefined] {
  const { clientId, username } = world.eventsOf('client.connected').at(-1)!.client
  assert.equal(world.core.sessions.get(clientId)?.clientId, clientId)
  return [clientId, username]
}

function isRefused(client: TestClient, reasonCode: number): void {
  assert.equal(client.take(Connack).reasonCode, reasonCode)
  assert.ok(client.isClosed)
}

describe('who a client is', () => {
  test('the name that authentication gives, not the one that CONNECT gives', () => {
    for (const [options, connect] of [
      [deciding({ username: 'ada' }), { username: 'eve' }],
      [answering({ username: 'ada' }), { username: 'eve', ...byAuth }],
      [answering({ username: 'ada' }), byAuth],
    ] as [WorldOptions, Partial<ConnectOptions>][]) {
      const world = new World(options)
      world.client('x', ownName).connected(connect)
      assert.deepEqual(who(world), ['ada', 'ada'], 'the Client Identifier is the authenticated name too')
      const other = new World(options)
      if ('authenticator' in options) {
        other.client('x').connected(connect)
        assert.deepEqual(who(other), ['x', 'ada'])
      }
    }
  })

  test("a session of another user is not to be had by giving that user's name in CONNECT", () => {
    const world = new World(deciding({ username: 'eve' }))
    world.client('x', ownName).connected({ username: 'eve' })
    world.client('x', ownName).connected({ username: 'ada', cleanStart: false })
    assert.deepEqual(who(world), ['eve', 'eve'])
    assert.equal(world.core.sessions.get('ada'), undefined)
  })

  test('with AUTH packets what CONNECT says has been checked by nobody, and counts for nothing', () => {
    const world = new World(answering({}))
    world.client('x').connected({ username: 'ada', ...byAuth })
    assert.deepEqual(who(world), ['x', undefined])
    isRefused(
      new World(answering({})).client('x', ownName).connect({ username: 'ada', ...byAuth }),
      ReasonCode.NotAuthorized,
    )
  })

  test('who gives no name, or an empty one, has none; without one there is no Client Identifier to take from it', () => {
    for (const username of [undefined, '']) {
      const fields = username === undefined ? {} : { username }
      const world = new World()
      world.client('x').connected(fields)
      assert.deepEqual(who(world), ['x', undefined])
      isRefused(world.client('x', ownName).connect(fields), ReasonCode.NotAuthorized)
      isRefused(world.client('x', { version: 4, ...ownName }).connect(fields), 5)
    }
  })

  test('a certificate holds against every other name: by AUTH, by a token, by CONNECT', () => {
    const world = new World(answering({ username: 'eve' }, { username: 'ada' }, {}))
    isRefused(world.client('x', certified('ada')).connect(byAuth), ReasonCode.NotAuthorized)
    for (let i = 0; i < 2; i++) {
      world.client('x', certified('ada')).connected({ username: 'eve', ...byAuth })
      assert.deepEqual(who(world), ['x', 'ada'])
    }
    const tokens = new World(deciding({ username: 'eve' }))
    isRefused(tokens.client('x', certified('ada')).connect(), ReasonCode.NotAuthorized)
  })

  test('nobody becomes somebody else on an open connection', () => {
    const world = new World(answering({ username: 'ada' }, { username: 'ada' }, {}, { username: 'eve' }))
    const a = world.client('x')
    a.connected(byAuth)
    const again = new Auth(ReasonCode.ReAuthenticate, { authenticationMethod: 'M' })
    for (let i = 0; i < 2; i++) assert.equal(a.send(again).take(Auth).reasonCode, 0)
    assert.deepEqual(who(world), ['x', 'ada'])
    a.send(again).isDisconnectedWith(ReasonCode.NotAuthorized)
    assert.equal(world.eventsOf('client.disconnected')[0]!.client.username, 'ada')
  })

  test('a name with a control character is refused, wherever it comes from', () => {
    isRefused(new World(deciding({ username: 'a\nb' })).client('x').connect(), ReasonCode.BadUserNameOrPassword)
    isRefused(
      new World(answering({ username: 'a\ufffe' })).client('x').connect(byAuth),
      ReasonCode.BadUserNameOrPassword,
    )
    isRefused(new World().client('x', certified('a\u0085')).connect(), ReasonCode.BadUserNameOrPassword)
  })

  test('rights are asked for the one who has logged in, for the Will too', () => {
    const asked: string[] = []
    const authorizer: Authorizer = {
      publish: ({ clientId, username }) => {
        asked.push(`${clientId} ${username}`)
        return 0
      },
      subscribe: () => 0,
    }
    const world = new World({ ...deciding({ username: 'ada' }), authorizer })
    const a = world.client('x', ownName)
    a.connected({ username: 'eve', will: will({ topic: 'w' }) })
    a.publish({ topic: 't' })
    assert.deepEqual(asked, ['ada ada', 'ada ada'])
  })

  test('what has ended already lets nobody in', () => {
    const expired = (world: World, ms: number): ConnectDecision => ({ expiresAtMs: world.clock.nowMs() + ms })
    const world: World = new World({
      authenticator: { authenticate: ({ clientId }, decide) => decide(expired(world, Number(clientId))) },
    })
    isRefused(world.client('0').connect(), ReasonCode.NotAuthorized)
    isRefused(world.client('-1').connect(), ReasonCode.NotAuthorized)
    world.client('1000').connected()
  })
})

describe('who may connect changes while a login is under way', () => {
  /** A password file, say: `users` are let in, and each answer comes when the test says so. */
  class Slow {
    users: Set<string>
    readonly waiting: (() => void)[] = []
    asked = 0
    constructor(...users: string[]) {
      this.users = new Set(users)
    }
    authenticate({ connect }: ConnectRequest, decide: (decision: ConnectDecision) => void): void {
      this.asked++
      // What is read when the question comes.
      const decision = this.users.has(connect.username!) ? { credential: connect.username } : { reasonCode: 0x87 }
      this.waiting.push(() => decide(decision))
    }
    isStillValid(_: unknown, credential: unknown): boolean {
      return credential === undefined || this.users.has(credential as string)
    }
    step({ phase }: AuthenticationStep, answer: (answer: AuthenticationAnswer) => void): void {
      this.waiting.push(() =>
        answer(phase === 'connect' ? { reasonCode: 0x18 } : { username: 'ada', credential: 'ada' }),
      )
    }
  }

  const answerNext = (world: World, slow: Slow): void => world.together(() => slow.waiting.shift()!())

  test('the answer of before does not count: it is asked again', () => {
    const slow = new Slow('ada', 'bob')
    const world = new World({ authenticator: slow })
    const [ada, bob] = [world.client('a').connect({ username: 'ada' }), world.client('b').connect({ username: 'bob' })]
    slow.users.delete('ada')
    world.core.recheck()
    for (let i = 0; i < 2; i++) answerNext(world, slow)
    assert.equal(slow.asked, 4)
    ada.hasNothing()
    for (let i = 0; i < 2; i++) answerNext(world, slow)
    isRefused(ada, ReasonCode.NotAuthorized)
    assert.equal(bob.take(Connack).reasonCode, 0)
  })

  test('as often as it changes', () => {
    const slow = new Slow('ada')
    const world = new World({ authenticator: slow })
    const ada = world.client('a').connect({ username: 'ada' })
    for (let i = 0; i < 3; i++) {
      world.core.recheck()
      answerNext(world, slow)
    }
    answerNext(world, slow)
    assert.equal(ada.take(Connack).reasonCode, 0)
    assert.equal(slow.asked, 4)
  })

  test('while its Will is asked about', () => {
    const slow = new Slow('ada')
    const wills: ((reasonCode: number) => void)[] = []
    const authorizer: Authorizer = {
      publish: (_client, _topic, _qos, _retain, decide) => {
        wills.push(decide)
        return PENDING
      },
      subscribe: () => 0,
    }
    const world = new World({ authenticator: slow, authorizer })
    const ada = world.client('a').connect({ username: 'ada', will: will({ topic: 'w' }) })
    answerNext(world, slow)
    slow.users.clear()
    world.core.recheck()
    world.together(() => wills.shift()!(0))
    answerNext(world, slow)
    isRefused(ada, ReasonCode.NotAuthorized)
    assert.equal(world.core.sessions.size, 0)
  })

  test('while what CONNACK promises is written', () => {
    const slow = new Slow('ada')
    const store = new SimStore()
    const world = new World({ authenticator: slow, store })
    const first = world.client('a').connect({
      username: 'ada',
      cleanStart: false,
      properties: { sessionExpiryIntervalSeconds: 100 },
    })
    answerNext(world, slow)
    do world.advance(10)
    while (store.flush() > 0)
    first.take(Connack)
    first.drop()
    const second = world.client('a').connect({ username: 'ada' })
    answerNext(world, slow)
    second.hasNothing()
    slow.users.clear()
    world.together(() => world.core.recheck())
    isRefused(second, ReasonCode.NotAuthorized)
  })

  test('while an exchange of AUTH packets is kept open: what it rests on is asked about', () => {
    for (const isGone of [true, false]) {
      for (const authenticator of [null, new Slow('ada')]) {
        const slow = new Slow('ada')
        const enhancedAuthenticator = {
          methods: ['M'],
          step: slow.step.bind(slow),
          ...(authenticator === null ? { isStillValid: slow.isStillValid.bind(slow) } : {}),
        }
        const world = new World({ authenticator, enhancedAuthenticator })
        const ada = world.client('a').connect(byAuth)
        answerNext(world, slow)
        ada.take(Auth)
        if (isGone) for (const each of [slow, authenticator]) each?.users.clear()
        world.core.recheck()
        ada.send(new Auth(ReasonCode.ContinueAuthentication, { authenticationMethod: 'M' }))
        answerNext(world, slow)
        if (isGone) isRefused(ada, ReasonCode.NotAuthorized)
        else assert.equal(ada.take(Connack).reasonCode, 0)
      }
    }
  })

  test('an exchange that rests on nothing that can be asked about has to be begun again', () => {
    const slow = new Slow()
    const step: Slow['step'] = (_, answer) => slow.waiting.push(() => answer({ username: 'ada' }))
    const world = new World({ enhancedAuthenticator: { methods: ['M'], step } })
    const ada = world.client('a').connect(byAuth)
    world.core.recheck()
    answerNext(world, slow)
    isRefused(ada, ReasonCode.ServerUnavailable)
  })

  test('while somebody who is connected logs in again', () => {
    const slow = new Slow('ada')
    const step: Slow['step'] = (_, answer) => slow.waiting.push(() => answer({ username: 'ada', credential: 'ada' }))
    let isKnown = true
    const isStillValid = (): boolean => isKnown
    const world = new World({ enhancedAuthenticator: { methods: ['M'], step, isStillValid } })
    const ada = world.client('a').connect(byAuth)
    answerNext(world, slow)
    ada.take(Connack)
    ada.send(new Auth(ReasonCode.ReAuthenticate, { authenticationMethod: 'M' }))
    world.core.recheck()
    isKnown = false
    answerNext(world, slow)
    ada.isDisconnectedWith(ReasonCode.NotAuthorized)
  })

  test('and for those who are connected by AUTH packets it is asked about too', () => {
    let isKnown = true
    const enhancedAuthenticator = {
      methods: ['M'],
      step: (_: unknown, answer: (answer: AuthenticationAnswer) => void): void => answer({ username: 'ada' }),
      isStillValid: (): boolean => isKnown,
    }
    const world = new World({ enhancedAuthenticator })
    const [ada, other] = [world.client('a'), world.client('b')]
    ada.connected(byAuth)
    other.connected()
    isKnown = false
    world.together(() => world.core.recheck())
    ada.isDisconnectedWith(ReasonCode.AdministrativeAction)
    other.hasNothing()
  })
})
