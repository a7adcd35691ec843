/** Sessions belong to somebody: who comes with another user's Client Identifier. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, type ConnectOptions, ConnectReturnCode, ReasonCode } from '@recado/protocol'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import { type TestClient, will } from '../../testing/test-client.ts'
import type { WorldOptions } from '../../testing/world.ts'
import type { SessionOwner } from '../base/options.ts'

const as = (username: string | undefined, rest: Partial<ConnectOptions> = DURABLE): Partial<ConnectOptions> =>
  username === undefined ? rest : { ...rest, username }

/** The session of `x` is ada's, who is away, and a message waits for her. */
function adas(sessionOwner: SessionOwner, isAway = true, options: WorldOptions = {}): DiskWorld {
  const world = new DiskWorld({ sessionOwner, ...options })
  const ada = world.client('x')
  world.connected(ada, as('ada'))
  world.subscribed(ada, 't')
  if (isAway) ada.drop()
  world.publish({ topic: 't', payload: 'for ada', qos: 1 })
  return world.settle()
}

function answerTo(world: DiskWorld, username: string | undefined, version: 4 | 5 = 5): number {
  const client = world.client('x', { version })
  client.connect(version === 5 ? as(username) : as(username, { cleanStart: false }))
  world.settle()
  return client.take(Connack).reasonCode
}

describe('refuse', () => {
  for (const isAway of [true, false]) {
    test(`another user, or none, is refused, and the session stays: its user is ${isAway ? 'away' : 'connected'}`, () => {
      const world = adas('refuse', isAway)
      for (const username of ['eve', undefined]) assert.equal(answerTo(world, username), ReasonCode.NotAuthorized)
      assert.equal(answerTo(world, 'eve', 4), ConnectReturnCode.NotAuthorized)
      assert.equal(world.eventsOf('session.taken-over').length, 0)
      const ada = world.client('x')
      assert.equal(world.connected(ada, as('ada')).sessionPresent, true)
    })
  }

  test('also with Clean Start, and after a restart', () => {
    const world = adas('refuse').crash()
    const eve = world.client('x').connect(as('eve', { cleanStart: true }))
    assert.equal(eve.take(Connack).reasonCode, ReasonCode.NotAuthorized)
    assert.equal(answerTo(world, 'ada'), 0)
  })

  test('a session of somebody without a user name is theirs', () => {
    const world = new DiskWorld({ sessionOwner: 'refuse' })
    world.connected(world.client('x'), as(undefined))
    assert.equal(answerTo(world, 'eve'), ReasonCode.NotAuthorized)
    assert.equal(answerTo(world, undefined), 0)
  })

  test('when it has ended the Client Identifier is free', () => {
    const world = adas('refuse')
    world.core.removeSession('x')
    world.settle()
    assert.equal(answerTo(world, 'eve'), 0)
    assert.equal(answerTo(world, 'ada'), ReasonCode.NotAuthorized)
  })

  test('one of before, of which nobody knows whose it is, is whose user comes first', () => {
    const world = adas('off').crash(0, { sessionOwner: 'refuse' })
    assert.equal(answerTo(world, undefined), 0)
    assert.equal(answerTo(world, 'ada'), 0)
    assert.equal(answerTo(world, 'eve'), ReasonCode.NotAuthorized)
    assert.equal(answerTo(world.crash(), 'eve'), ReasonCode.NotAuthorized)
  })

  test('a client that is not let in for want of a disk has not come first', () => {
    const world = adas('off').crash(0, { sessionOwner: 'refuse', limits: { connectTimeoutMs: 1_000 } })
    const eve = world.client('x').connect(as('eve'))
    world.advance(1_300)
    assert.equal(eve.take(Connack).reasonCode, ReasonCode.ServerBusy)
    world.settle()
    assert.equal(answerTo(world, 'ada'), 0)
  })
})

test('takeover: another user gets the Client Identifier and nothing of the session', () => {
  for (const isAway of [true, false]) {
    const world = adas('takeover', isAway)
    const eve = world.client('x')
    eve.acknowledges = true
    assert.equal(world.connected(eve, as('eve')).sessionPresent, false)
    world.publish({ topic: 't', payload: 'more for ada', qos: 1 })
    assert.deepEqual(eve.takePayloads(), [])
    assert.equal(answerTo(world, 'eve'), 0)
  }
})

test('off: who comes with the Client Identifier has it all', () => {
  const world = adas('off')
  const eve: TestClient = world.client('x')
  assert.equal(world.connected(eve, as('eve')).sessionPresent, true)
  assert.deepEqual(eve.takePayloads(), ['for ada'])
})

test('another user is not the client that is back: the Will of a session that is taken over is published (seed 1400240)', () => {
  const options: WorldOptions = { sessionOwner: 'takeover', limits: { willGraceMs: 10_000 } }
  let world = new DiskWorld(options)
  world.connected(world.client('x'), as('ada', { will: will({ topic: 'st', payload: 'offline' }) }))
  world = world.crash(0, options)
  world.connected(world.client('x'), as('eve'))
  assert.equal(world.metric('willsPublished'), 1)
})

test('another user is not the client that is back: the Will that is left of a session is published', () => {
  const online = will({ topic: 'st', payload: 'offline', retain: true })
  let world = new DiskWorld({ sessionOwner: 'refuse', limits: { willGraceMs: 10_000 } })
  world.connected(world.client('x'), as('ada', { cleanStart: true, will: online }))
  world.settle()
  world = world.crash()
  world.connected(world.client('x'), as('eve', { cleanStart: true }))
  assert.equal(world.metric('willsPublished'), 1)
})
