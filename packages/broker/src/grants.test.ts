import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byGrants } from './grants.ts'
import type { AuthorizeHooks } from './hooks.ts'
import type { ClientInfo, Grants } from './ports.ts'

const client = (grants: Grants | undefined, username: string | undefined = 'ada', clientId = 'c'): ClientInfo => ({
  clientId,
  username,
  protocolVersion: 5,
  remoteAddress: '',
  listener: '',
  peer: null,
  isBridge: false,
  grants,
  memo: null,
})

const rights = byGrants()
const publish = (who: ClientInfo, topic: string): unknown => rights.publish!(who, topic, { qos: 0, retain: false })
const subscribe = (who: ClientInfo, topicFilter: string): unknown =>
  rights.subscribe!(who, { topicFilter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 })

test('a client publishes and receives what its grants match, and nothing else', () => {
  const ada = client({ publish: ['a/+', '$SYS/#'], subscribe: ['b/#'] })
  assert.deepEqual(
    ['a/x', 'a/x/y', 'b/x', '$SYS/x'].map((topic) => publish(ada, topic)),
    [true, false, false, false],
  )
  assert.equal(rights.will!(ada, 'b', { qos: 0, retain: false }), false)
  assert.equal(rights.mayReceive!(ada, 'b/x'), true)
  assert.equal(rights.mayReceive!(ada, 'a/x'), false)
  assert.equal(rights.mayPublish!(ada, 'a/x'), true)
})

test('a subscription must be covered by one granted Topic Filter', () => {
  const ada = client({ publish: [], subscribe: ['b/#', 'c/+/d'] })
  for (const [topicFilter, isAllowed] of [
    ['b', true],
    ['b/+/x', true],
    ['$share/g/b/#', true],
    ['c/x/d', true],
    ['c/+/d', true],
    ['c/#', false],
    ['#', false],
    ['$share/g/#', false],
  ] as const) {
    assert.equal(subscribe(ada, topicFilter), isAllowed, topicFilter)
  }
})

test('%u and %c stand for the names, unless they have wildcards in them or are missing', () => {
  const grants = { publish: ['u/%u', 'c/%c/#'], subscribe: [] }
  assert.equal(publish(client(grants, 'ada', 'c1'), 'u/ada'), true)
  assert.equal(publish(client(grants, 'ada', 'c1'), 'c/c1/x'), true)
  assert.equal(publish(client(grants, '+', 'c1'), 'u/x'), false)
  assert.equal(publish(client(grants, 'ada', '#'), 'c/x'), false)
  assert.equal(publish({ ...client(grants), username: undefined }, 'u/'), false)
})

test('new grants, as after a re-authentication, hold at once', () => {
  const ada = client({ publish: ['a'], subscribe: [] })
  assert.equal(publish(ada, 'a'), true)
  assert.equal(publish({ ...ada, grants: { publish: ['b'], subscribe: [] } }, 'a'), false)
})

test('a client without grants is left to the other rules; without any it may all but publish below $SYS', () => {
  const none = client(undefined)
  assert.equal(publish(none, 'a'), true)
  assert.equal(publish(none, '$SYS/a'), false)
  assert.equal(rights.mayReceive!(none, 'a'), true)
  const asked: string[] = []
  const other = byGrants({
    publish: (_, topic) => asked.push(topic) > 9,
    subscribe: () => false,
    mayReceive: () => false,
  })
  assert.equal(other.publish!(none, 'a', { qos: 0, retain: false }), false)
  assert.equal(other.will!(none, 'w', { qos: 0, retain: false }), false)
  assert.equal(other.mayReceive!(none, 'a'), false)
  assert.equal(other.mayPublish!(none, 'a'), true)
  assert.deepEqual(asked, ['a', 'w'])
})

test('grants that are not in form are none', () => {
  assert.equal(publish(client({ publish: 'a' } as unknown as Grants), '$SYS/a'), false)
})

test("$SYS itself, $share itself and what is below them are nobody's to publish to; what only begins alike is", () => {
  const all = client({ publish: ['#', '$SYS/#', '$SYS', '$share/#', '$share', '$SYSTEM/#'], subscribe: [] })
  for (const topic of ['$SYS', '$SYS/a', '$SYS/', '$share', '$share/a']) assert.equal(publish(all, topic), false, topic)
  for (const topic of ['$SYSTEM/a', 'a/$SYS']) assert.equal(publish(all, topic), true, topic)
  const other = client(undefined)
  assert.equal(publish(other, '$SYS'), false)
  assert.equal(publish(other, '$SYSTEM'), true)
})

test('a subscription is asked about again where `otherwise` decides about it, and not where grants or deliveries do', () => {
  const none = client(undefined)
  const granted = client({ publish: [], subscribe: ['a'] })
  const decides = (otherwise: AuthorizeHooks | undefined, client: ClientInfo): boolean | undefined =>
    byGrants(otherwise).decidesAtSubscribe?.(client)
  assert.equal(decides({ subscribe: () => true }, none), true)
  assert.equal(decides({ subscribe: () => true }, granted), false)
  assert.equal(decides({ subscribe: () => true, mayReceive: () => true }, none), false)
  assert.equal(decides(undefined, none), false)
})
