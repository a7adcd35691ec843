/** Rights by roles: order, defaults, patterns, wildcards, Shared Subscriptions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json } from './json.ts'
import { Model } from './model.ts'
import { ClientRights, type Verdict } from './rights.ts'

const rule = (acltype: string, topic: string, allow = true, priority = 0) => ({ acltype, topic, allow, priority })

/** `roles`: the rules of each, in the order of their priority; all are the user's. */
function rightsWith(
  roles: readonly (readonly Json[])[],
  more: Record<string, Json> = {},
  who: { clientId?: string; username?: string | undefined } = {},
): ClientRights {
  const model = Model.from(
    {
      roles: roles.map((acls, i) => ({ rolename: `r${i}`, acls, ...((more['role'] as object) ?? {}) })),
      clients: [
        { username: 'ada', roles: roles.map((_, i) => ({ rolename: `r${i}`, priority: 100 - i })) },
        { username: 'a+', roles: roles.map((_, i) => ({ rolename: `r${i}` })) },
      ],
      ...more,
    },
    () => ({ hash: null }),
  )
  return new ClientRights(model, 1, { clientId: 'c', username: 'ada', ...who })
}

test('the rule with the highest priority decides, and of equal ones the first', () => {
  const rights = rightsWith([
    [
      rule('publishClientSend', 'a/#', false, 1),
      rule('publishClientSend', 'a/b', true, 2),
      rule('publishClientSend', '+/c', true, 1),
    ],
  ])
  assert.equal(rights.mayPublish('a/b'), true)
  assert.equal(rights.mayPublish('a/c'), false)
  assert.equal(rights.mayPublish('x/c'), true)
  assert.equal(rights.mayPublish('x'), null)
})

test('a role comes before another whose rule has a higher priority', () => {
  const rights = rightsWith([
    [rule('publishClientReceive', 't', false, 1)],
    [rule('publishClientReceive', 't', true, 1_000)],
  ])
  assert.equal(rights.mayReceive('t'), false)
})

test('roles of the user come before those of its groups, and groups go by their priority', () => {
  const more = {
    roles: [
      { rolename: 'own', acls: [rule('publishClientSend', 'x', false)] },
      { rolename: 'low', acls: [rule('publishClientSend', 'y', false), rule('publishClientSend', 'x', true)] },
      { rolename: 'high', acls: [rule('publishClientSend', 'y', true)] },
    ],
    clients: [{ username: 'ada', roles: [{ rolename: 'own' }] }],
    groups: [
      { groupname: 'a', roles: [{ rolename: 'low' }], clients: [{ username: 'ada', priority: 1 }] },
      { groupname: 'b', roles: [{ rolename: 'high' }], clients: [{ username: 'ada', priority: 2 }] },
    ],
  }
  const rights = rightsWith([], more)
  assert.equal(rights.mayPublish('x'), false)
  assert.equal(rights.mayPublish('y'), true)
})

test('where no rule says anything the default does, but never for $CONTROL', () => {
  const access = { publishClientSend: true, publishClientReceive: true, subscribe: true, unsubscribe: true }
  const rights = rightsWith([[]], { defaultACLAccess: access })
  assert.deepEqual(
    [rights.mayPublish('t'), rights.mayReceive('t'), rights.maySubscribe('#'), rights.mayUnsubscribe('#')],
    [true, true, true, true],
  )
  for (const topic of ['$CONTROL/dynamic-security/v1', '$CONTROL/x'])
    assert.deepEqual([rights.mayPublish(topic), rights.maySubscribe(topic)], [null, null])
  const none = rightsWith([[]])
  assert.deepEqual([none.mayPublish('t'), none.mayUnsubscribe('t')], [null, null])
})

test('a user whom it does not know has no default; one without a user name has the anonymous group', () => {
  const more = {
    defaultACLAccess: { publishClientSend: true },
    groups: [{ groupname: 'guests', roles: [{ rolename: 'r0' }] }],
    anonymousGroup: 'guests',
  }
  const roles = [[rule('publishClientSend', 'secret', false)]]
  assert.equal(rightsWith(roles, more, { username: 'who' }).mayPublish('t'), null)
  for (const username of [undefined, '']) {
    const anonymous = rightsWith(roles, more, { username })
    assert.equal(anonymous.mayPublish('t'), true)
    assert.equal(anonymous.mayPublish('secret'), false)
  }
})

test('literal rules are for one Topic Filter, patterns for all that they cover', () => {
  const rights = rightsWith([
    [
      rule('subscribeLiteral', '#', false),
      rule('subscribeLiteral', 'a/+', true),
      rule('subscribePattern', 'a/+', false),
      rule('subscribePattern', 'b/#', true),
    ],
  ])
  const answers: [string, Verdict][] = [
    ['#', false],
    ['a/+', true],
    ['a/b', false],
    ['b', true],
    ['b/+/c', true],
    ['+', null],
    ['a/#', null],
  ]
  for (const [topicFilter, answer] of answers) assert.equal(rights.maySubscribe(topicFilter), answer, topicFilter)
})

test('# covers no topics that begin with $', () => {
  const rights = rightsWith([[rule('subscribePattern', '#'), rule('publishClientReceive', '#')]])
  assert.equal(rights.maySubscribe('$SYS/#'), null)
  assert.equal(rights.mayReceive('$SYS/x'), null)
  assert.equal(rights.maySubscribe('+/x'), true)
})

test('allowwildcardsubs false refuses every subscription with a wildcard', () => {
  const rights = rightsWith([[rule('subscribePattern', '#')]], { role: { allowwildcardsubs: false } })
  assert.equal(rights.maySubscribe('a/+'), false)
  assert.equal(rights.maySubscribe('a/b'), true)
})

test('%c and %u stand for names as whole levels; a name with a wildcard stands for nothing', () => {
  const rules = [
    rule('publishClientSend', 'dev/%c/state'),
    rule('publishClientSend', 'x%c'),
    rule('subscribePattern', 'to/%u/#'),
    rule('subscribePattern', '%c'),
  ]
  const rights = rightsWith([rules])
  assert.equal(rights.mayPublish('dev/c/state'), true)
  assert.equal(rights.mayPublish('xc'), null)
  assert.equal(rights.mayPublish('dev/other/state'), null)
  assert.equal(rights.maySubscribe('to/ada/x'), true)
  const wild = rightsWith([rules], {}, { username: 'a+', clientId: '#' })
  assert.equal(wild.maySubscribe('to/a+/x'), null)
  assert.equal(wild.maySubscribe('#'), null)
  assert.equal(wild.maySubscribe('anything'), null)
})

test('a Shared Subscription may what its filter may, and what a rule for $share says', () => {
  const rights = rightsWith([
    [
      rule('subscribePattern', 'secret/#', false, 2),
      rule('subscribePattern', '#', true, 1),
      rule('subscribePattern', '$share/g/never', false, 3),
    ],
  ])
  assert.equal(rights.maySubscribe('$share/g/secret/x'), false)
  assert.equal(rights.maySubscribe('$share/g/open'), true)
  assert.equal(rights.maySubscribe('$share/g/never'), false)
})

test('a rule that is no Topic Filter matches nothing', () => {
  const rights = rightsWith([[rule('subscribePattern', 'a/#/b'), rule('publishClientSend', 'a#')]])
  assert.equal(rights.maySubscribe('a/x'), null)
  assert.equal(rights.mayPublish('a#'), null)
})
