import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connect, ReasonCode } from '@recado/protocol'
import { authenticatorOf, authorizerOf, enhancedAuthenticatorOf, guarded, type HookFailed } from './hooks.ts'
import type { AuthenticationAnswer, ClientInfo, ConnectDecision, ConnectRequest } from './ports.ts'

const request: ConnectRequest = {
  connect: new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' }),
  clientId: 'a',
  remoteAddress: '',
  peer: null,
  identity: null,
  listener: '',
}
const client: ClientInfo = {
  clientId: 'a',
  username: 'u',
  protocolVersion: 5,
  remoteAddress: '',
  listener: '',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
}
const subscription = { topicFilter: 't', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

/** Collects failures of hooks. */
function failures(): { failed: HookFailed; seen: [hook: string, error: unknown][] } {
  const seen: [string, unknown][] = []
  return { seen, failed: (hook, error) => seen.push([hook, error]) }
}

/** Calls back within this call, or not: then the promise is for later. */
function once<T>(run: (done: (value: T) => void) => void): { now: T[]; later: Promise<T> } {
  const now: T[] = []
  const later = new Promise<T>((resolve) => {
    run((value) => {
      now.push(value)
      resolve(value)
    })
  })
  return { now: [...now], later }
}

const boom = new Error('boom')
const never = (): never => assert.fail('is called')

describe('authenticate', () => {
  const ask = (hook: Parameters<typeof authenticatorOf>[0], failed: HookFailed = () => {}) =>
    once<ConnectDecision>((done) => authenticatorOf(hook, failed).authenticate(request, done))

  test('a value decides at once: true, false, a decision', () => {
    assert.deepEqual(ask(() => true).now, [{}])
    assert.equal(ask(() => false).now[0]?.reasonCode, ReasonCode.NotAuthorized)
    assert.deepEqual(ask(() => ({ reasonCode: ReasonCode.Banned })).now, [{ reasonCode: ReasonCode.Banned }])
  })

  test('a promise decides later', async () => {
    const { now, later } = ask(async () => false)
    assert.deepEqual(now, [])
    assert.equal((await later).reasonCode, ReasonCode.NotAuthorized)
    assert.deepEqual(await ask(() => Promise.resolve(true)).later, {})
  })

  test('a hook that throws or rejects refuses with 0x80, and is reported; the error is not told to the client', async () => {
    const { failed, seen } = failures()
    const thrown = ask(() => {
      throw boom
    }, failed).now[0]
    const rejected = await ask(() => Promise.reject(boom), failed).later
    for (const decision of [thrown, rejected]) {
      assert.equal(decision?.reasonCode, ReasonCode.UnspecifiedError)
      assert.doesNotMatch(decision?.reasonString ?? '', /boom/)
    }
    assert.deepEqual(seen, [
      ['authenticate', boom],
      ['authenticate', boom],
    ])
  })

  test('a hook that answers nothing lets nobody in', async () => {
    const nothing = (() => undefined) as unknown as () => boolean
    assert.ok((ask(nothing).now[0]?.reasonCode ?? 0) >= 0x80)
    const later = (async () => null) as unknown as () => Promise<boolean>
    assert.ok(((await ask(later).later)?.reasonCode ?? 0) >= 0x80)
  })
})

describe('authorize', () => {
  type Answer = { verdict: number; later: Promise<number> }
  const ask = (kind: 'publish' | 'subscribe', hook: () => unknown, failed: HookFailed = () => {}): Answer => {
    const authorizer = authorizerOf({ [kind]: hook }, failed)
    let verdict = 99
    const { later } = once<number>((done) => {
      verdict =
        kind === 'publish'
          ? authorizer.publish(client, 't', 1, false, done)
          : authorizer.subscribe(client, { ...subscription }, done, false)
    })
    return { verdict, later }
  }

  for (const kind of ['publish', 'subscribe'] as const) {
    test(`${kind}: a value is a verdict at once`, () => {
      assert.equal(ask(kind, () => true).verdict, 0)
      assert.equal(ask(kind, () => 0).verdict, 0)
      assert.equal(ask(kind, () => false).verdict, ReasonCode.NotAuthorized)
      assert.equal(ask(kind, () => ReasonCode.QuotaExceeded).verdict, ReasonCode.QuotaExceeded)
    })

    test(`${kind}: a promise is PENDING, then a Reason Code`, async () => {
      const { verdict, later } = ask(kind, async () => true)
      assert.equal(verdict, -1)
      assert.equal(await later, 0)
      assert.equal(await ask(kind, async () => false).later, ReasonCode.NotAuthorized)
    })

    test(`${kind}: a hook that throws or rejects is 0x83 and reported`, async () => {
      const { failed, seen } = failures()
      const throwing = (): never => {
        throw boom
      }
      assert.equal(ask(kind, throwing, failed).verdict, ReasonCode.ImplementationSpecificError)
      assert.equal(await ask(kind, () => Promise.reject(boom), failed).later, ReasonCode.ImplementationSpecificError)
      assert.deepEqual(seen, [
        [`authorize.${kind}`, boom],
        [`authorize.${kind}`, boom],
      ])
    })

    test(`${kind}: a hook that answers nothing allows nothing`, async () => {
      assert.equal(ask(kind, () => undefined).verdict, ReasonCode.NotAuthorized)
      assert.equal(await ask(kind, async () => undefined).later, ReasonCode.NotAuthorized)
    })
  }

  test('an absent hook allows', () => {
    const none = authorizerOf({}, () => {})
    assert.equal(none.publish(client, 't', 0, false, never), 0)
    assert.equal(none.subscribe(client, subscription, never, false), 0)
  })

  test('the hooks get what they are asked for', () => {
    const asked: unknown[] = []
    const authorizer = authorizerOf(
      {
        publish: (...args) => asked.push(args) > 0,
        subscribe: (...args) => asked.push(args) > 0,
      },
      assert.fail,
    )
    authorizer.publish(client, 'a/b', 2, true, never)
    authorizer.subscribe(client, subscription, never, false)
    assert.deepEqual(asked, [
      [client, 'a/b', { qos: 2, retain: true }],
      [client, subscription],
    ])
  })
})

describe('enhanced authentication', () => {
  const step = {
    method: 'M',
    data: undefined,
    phase: 'connect',
    request,
    username: undefined,
    state: undefined,
  } as const

  test('passes answers on, at once or later', async () => {
    const answer: AuthenticationAnswer = { reasonCode: ReasonCode.ContinueAuthentication }
    const sync = enhancedAuthenticatorOf({ methods: ['M'], step: () => answer }, never)
    assert.deepEqual(sync.methods, ['M'])
    assert.deepEqual(once<AuthenticationAnswer>((done) => sync.step(step, done)).now, [answer])
    const late = enhancedAuthenticatorOf({ methods: ['M'], step: async () => answer }, never)
    assert.equal(await once<AuthenticationAnswer>((done) => late.step(step, done)).later, answer)
  })

  test('a step that throws refuses and is reported', () => {
    const { failed, seen } = failures()
    const throwing = enhancedAuthenticatorOf(
      {
        methods: ['M'],
        step: () => {
          throw boom
        },
      },
      failed,
    )
    const { now } = once<AuthenticationAnswer>((done) => throwing.step(step, done))
    assert.equal(now[0]?.reasonCode, ReasonCode.UnspecifiedError)
    assert.deepEqual(seen, [['enhancedAuthentication', boom]])
  })
})

describe('observers', () => {
  test('one that throws is reported and harms nobody; one that throws when told of that neither', () => {
    const { failed, seen } = failures()
    const observer = guarded(
      {
        'session.ended': () => {
          throw boom
        },
        'hook.failed': () => {
          throw boom
        },
      },
      failed,
    )
    observer['session.ended']?.({ clientId: 'a', why: 'expired' })
    observer['hook.failed']?.({ hook: 'x', error: boom })
    assert.deepEqual(seen, [['observer session.ended', boom]])
  })

  test('what nobody listens to is absent, so that it costs nothing', () => {
    assert.deepEqual(Object.keys(guarded({ 'session.ended': () => {} }, () => {})), ['session.ended'])
  })
})
