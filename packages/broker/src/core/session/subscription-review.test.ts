/* Authorizers that decide when a client subscribes are asked again: as a session is resumed, and when rights have changed. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ConnectOptions, Puback, ReasonCode, type Subscription } from '@recado/protocol'
import { type Authorizer, type ClientInfo, PENDING } from '../../ports.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import type { TestClient } from '../../testing/test-client.ts'
import type { WorldOptions } from '../../testing/world.ts'

interface Question {
  readonly user: string | undefined
  readonly topicFilter: string
  readonly decide: (reasonCode: ReasonCode) => void
}

/** Answers by `answer`; null: later, by `questions`. */
class Rights implements Authorizer {
  answer: (user: string | undefined, subscription: Subscription) => number | null = () => 0
  questions: Question[] = []
  publish(): number {
    return 0
  }
  subscribe(client: ClientInfo, subscription: Subscription, decide: (reasonCode: ReasonCode) => void): number {
    const answer = this.answer(client.username, subscription)
    if (answer !== null) return answer
    this.questions.push({ user: client.username, topicFilter: subscription.topicFilter, decide })
    return PENDING
  }
  decidesAtSubscribe(): boolean {
    return true
  }
}

const as = (username: string): Partial<ConnectOptions> => ({ ...DURABLE, username })
const onlyAda = (user: string | undefined): number => (user === 'ada' ? 0 : ReasonCode.NotAuthorized)

function begin(filters: string[], options: WorldOptions = {}): { world: DiskWorld; rights: Rights; ada: TestClient } {
  const rights = new Rights()
  const world = new DiskWorld({ authorizer: rights, sessionOwner: 'off', ...options })
  const ada = world.client('x')
  world.connected(ada, as('ada'))
  for (const topicFilter of filters) world.subscribed(ada, topicFilter, { qos: 2 })
  return { world, rights, ada }
}

function back(world: DiskWorld, username: string): TestClient {
  const client = world.client('x')
  assert.equal(world.connected(client, as(username)).sessionPresent, true)
  return client
}

function publish(world: DiskWorld, topic: string, payload: string, qos: 0 | 1 | 2 = 1): void {
  world.publish({ topic, payload, qos })
  world.settle()
}

describe('a session that is resumed by another user', () => {
  test('has none of the subscriptions that the user may not have, nor what has waited for them', () => {
    const { world, rights, ada } = begin(['a/#', 'b'])
    ada.drop()
    publish(world, 'a/1', 'hers')
    publish(world, 'b', 'for both', 2)
    rights.answer = (user, { topicFilter }) => (topicFilter === 'b' ? 0 : onlyAda(user))
    const bob = back(world, 'bob')
    publish(world, 'a/1', 'later')
    publish(world, 'b', 'both later')
    assert.deepEqual(bob.takePayloads().sort(), ['both later', 'for both'])
    assert.equal(world.metric('subscriptionsWithdrawn'), 1)
    assert.equal(world.metric('dropped.not-authorized'), 1)
    const [{ topicFilter, reasonCode }] = world.eventsOf('subscription.withdrawn') as [never]
    assert.deepEqual([topicFilter, reasonCode], ['a/#', ReasonCode.NotAuthorized])
  })

  test('gets nothing before the answer, and all in its order after it', () => {
    const { world, rights, ada } = begin(['a'])
    ada.drop()
    publish(world, 'a', '1')
    rights.answer = () => null
    const bob = back(world, 'bob')
    for (const payload of ['2', '3']) publish(world, 'a', payload)
    publish(world, 'a', 'q', 0)
    publish(world, 'a', '4', 2)
    bob.hasNothing()
    assert.deepEqual(
      rights.questions.map(({ user, topicFilter }) => [user, topicFilter]),
      [['bob', 'a']],
    )
    rights.questions[0]!.decide(0)
    world.settle()
    assert.deepEqual(bob.takePayloads(), ['1', '2', '3', 'q', '4'])
  })

  test('may not have what is in flight to the other one, nor what is left of an earlier subscription', () => {
    const { world, rights, ada } = begin(['a', 'c'])
    ada.acknowledges = false
    publish(world, 'a', 'in flight')
    ada.drop()
    publish(world, 'c', 'waits')
    rights.answer = onlyAda
    const bob = back(world, 'bob')
    bob.hasNothing()
    assert.equal(world.metric('dropped.not-authorized'), 2)
    assert.equal(world.metric('subscriptions'), 0)
  })

  test('is asked about after a restart too, and what was refused before does not come back', () => {
    let { world, rights, ada } = begin(['a'])
    ada.drop()
    publish(world, 'a', 'hers')
    world = world.crash()
    rights.answer = onlyAda
    back(world, 'bob').drop()
    world.settle()
    world = world.crash()
    assert.equal(world.metric('subscriptions'), 0)
    rights.answer = () => 0
    back(world, 'bob').hasNothing()
  })

  test('what a Shared Subscription chose it for goes to another member', () => {
    const { world, rights, ada } = begin(['$share/g/a'])
    ada.drop()
    publish(world, 'a', 'shared')
    const other = world.client('other')
    world.connected(other, as('other'))
    world.subscribed(other, '$share/g/a', { qos: 1 })
    rights.answer = (user) => (user === 'bob' ? ReasonCode.NotAuthorized : 0)
    const bob = back(world, 'bob')
    world.settle()
    bob.hasNothing()
    assert.deepEqual(other.takePayloads(), ['shared'])
  })
})

test('what a withdrawn member had in flight goes to members that have come since it was the last one (seed 40014637)', () => {
  const { world, rights, ada } = begin(['$share/g/a', 'b'])
  ada.acknowledges = false
  publish(world, 'b', 'hers')
  publish(world, 'a', 'shared')
  ada.drop()
  rights.answer = (_user, { topicFilter }) => (topicFilter === 'b' ? 0 : ReasonCode.NotAuthorized)
  const back = world.client('x')
  back.acknowledges = false
  world.connected(back, {
    ...DURABLE,
    username: 'ada',
    properties: { ...DURABLE.properties, receiveMaximum: 1 },
  })
  world.settle()
  // Until it is acknowledged the other one waits for its turn to be given up.
  const { packetId, payload } = back.takePublish()
  assert.equal(payload, 'hers')
  rights.answer = () => 0
  const other = world.client('other')
  world.connected(other, as('other'))
  world.subscribed(other, '$share/g/a', { qos: 1 })
  back.send(new Puback(packetId))
  world.settle()
  back.hasNothing()
  assert.deepEqual(other.takePayloads(), ['shared'])
  assert.equal(world.metric('dropped.not-authorized'), 0)
})

describe('rights that have changed', () => {
  test('end subscriptions of clients that are connected and of those that come back', () => {
    for (const isAway of [false, true]) {
      const { world, rights, ada } = begin(['a', 'b'])
      rights.answer = (_user, { topicFilter }) => (topicFilter === 'a' ? ReasonCode.NotAuthorized : 0)
      if (isAway) ada.drop()
      world.core.recheck()
      publish(world, 'a', 'secret')
      publish(world, 'b', 'open')
      const client = isAway ? back(world, 'ada') : ada
      world.settle()
      assert.deepEqual(client.takePayloads(), ['open'])
    }
  })

  test('hold everything up until they are known: QoS 2 on its way to the disk, and new retained messages', () => {
    const { world, rights, ada } = begin(['a'])
    world.publish({ topic: 'r', payload: 'retained', retain: true })
    world.publish({ topic: 'a', payload: 'gated', qos: 2 })
    rights.answer = (_user, { topicFilter }) => (topicFilter === 'a' ? null : 0)
    world.core.recheck()
    world.settle()
    world.subscribed(ada, 'r')
    ada.hasNothing()
    rights.questions[0]!.decide(0)
    world.settle()
    assert.deepEqual(ada.takePayloads(), ['gated', 'retained'])
  })

  test('are asked about again when they change once more: the answer from before does not count', () => {
    const { world, rights, ada } = begin(['a'])
    rights.answer = () => null
    world.core.recheck()
    world.settle()
    world.core.recheck()
    world.settle()
    publish(world, 'a', 'secret')
    rights.questions[0]!.decide(0)
    world.settle()
    ada.hasNothing()
    rights.questions[1]!.decide(ReasonCode.NotAuthorized)
    world.settle()
    ada.hasNothing()
    assert.equal(world.metric('dropped.not-authorized'), 1)
  })

  test('that cannot be found out are no refusal: messages wait, and it is asked again', () => {
    const { world, rights, ada } = begin(['a'])
    let asked = 0
    rights.answer = () => (++asked < 3 ? ReasonCode.UnspecifiedError : 0)
    world.core.recheck()
    publish(world, 'a', 'waits')
    ada.hasNothing()
    world.advance(10_000)
    world.settle()
    assert.deepEqual(ada.takePayloads(), ['waits'])
    assert.equal(asked, 3)
  })

  test('let QoS 0 have half of the queue, and the rest to what is acknowledged', () => {
    const { world, rights, ada } = begin(['a'], { limits: { queueMessagesMax: 4 } })
    rights.answer = () => null
    world.core.recheck()
    for (const payload of ['1', '2', '3']) publish(world, 'a', payload, 0)
    for (const payload of ['4', '5']) publish(world, 'a', payload, 1)
    assert.equal(world.metric('dropped.queue-full'), 1)
    rights.questions[0]!.decide(0)
    world.settle()
    assert.deepEqual(ada.takePayloads(), ['1', '2', '4', '5'])
  })

  test('are asked about 32 subscriptions at a time, and one of a client; who leaves gives its place up', () => {
    const rights = new Rights()
    const world = new DiskWorld({ authorizer: rights })
    const clients = Array.from({ length: 40 }, (_, i) => {
      const client = world.client(`c${i}`)
      world.connected(client)
      world.subscribed(client, 'a')
      world.subscribed(client, 'b')
      return client
    })
    rights.answer = () => null
    world.core.recheck()
    world.settle()
    assert.equal(rights.questions.length, 32)
    for (const client of clients.slice(0, 4)) client.drop()
    world.settle()
    assert.equal(rights.questions.length, 36)
    for (let i = 0; i < rights.questions.length; i++) {
      rights.questions[i]!.decide(0)
      world.settle()
    }
    assert.equal(rights.questions.length, 4 + 36 * 2)
    publish(world, 'b', 'all')
    for (const client of clients.slice(4)) assert.deepEqual(client.takePayloads(), ['all'])
  })

  test('may lower the QoS of a subscription', () => {
    const { world, rights, ada } = begin(['a'])
    rights.answer = (_user, subscription) => {
      subscription.qos = 0
      return 0
    }
    world.core.recheck()
    world.settle()
    publish(world, 'a', '1', 1)
    assert.equal(ada.takePublish().qos, 0)
  })
})
