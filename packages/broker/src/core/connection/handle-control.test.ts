/** Commands to `$CONTROL/…`: who may give them, when they are answered, and that nobody else sees them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Publish, Pubrec, ReasonCode, Unsuback, Unsubscribe } from '@recado/protocol'
import type { Authorizer, Controller } from '../../ports.ts'
import { decideLater, World } from '../../testing/world.ts'

const TOPIC = '$CONTROL/dynamic-security/v1'

class Commands implements Controller {
  readonly taken: string[] = []
  readonly dones: ((reasonCode: ReasonCode) => void)[] = []
  handle(client: { clientId: string }, topic: string, payload: Uint8Array, done: (code: ReasonCode) => void): void {
    this.taken.push(`${client.clientId} ${topic} ${Buffer.from(payload)}`)
    this.dones.push(done)
  }
}

const open: Authorizer = { publish: () => 0, subscribe: () => 0, mayReceive: () => true }

function worldWith(authorizer: Authorizer | null): { world: World; commands: Commands } {
  const world = new World({ authorizer })
  const commands = new Commands()
  world.core.controllers.set(TOPIC, commands)
  return { world, commands }
}

describe('a command', () => {
  test('goes to its controller and to no subscriber, and is not retained', () => {
    const { world, commands } = worldWith(open)
    const [admin, spy] = [world.client('admin'), world.client('spy')]
    admin.connected()
    spy.connected()
    spy.subscribe('$CONTROL/#')
    admin.publish({ topic: TOPIC, payload: 'secret', qos: 1, packetId: 7, retain: true })
    assert.deepEqual(commands.taken, [`admin ${TOPIC} secret`])
    assert.equal(admin.received.length, 0, 'it is not acknowledged before it is done')
    commands.dones[0]!(0)
    world.run()
    assert.equal(admin.take(Puback).reasonCode, 0)
    assert.deepEqual(spy.takePayloads(), [])
    assert.equal(world.metric('retainedMessages'), 0)
  })

  test('is followed by the next packet of its connection when it is done', () => {
    const { world, commands } = worldWith(open)
    const admin = world.client('admin')
    admin.connected()
    admin.publish({ topic: TOPIC, payload: '1', qos: 1, packetId: 1 })
    admin.publish({ topic: TOPIC, payload: '2', qos: 2, packetId: 2 })
    assert.equal(commands.taken.length, 1)
    commands.dones[0]!(0)
    world.run()
    assert.equal(commands.taken.length, 2)
    commands.dones[1]!(ReasonCode.ImplementationSpecificError)
    world.run()
    assert.equal(admin.take(Puback).packetId, 1)
    assert.equal(admin.take(Pubrec).reasonCode, ReasonCode.ImplementationSpecificError)
  })

  test('that may not be given is refused, and one to a topic without a controller too', () => {
    const { world, commands } = worldWith({ ...open, publish: () => ReasonCode.NotAuthorized })
    const client = world.client('c')
    client.connected()
    client.publish({ topic: TOPIC, qos: 1, packetId: 1 })
    client.publish({ topic: '$CONTROL/other/v1', qos: 2, packetId: 2 })
    assert.equal(client.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    assert.equal(client.take(Pubrec).reasonCode, ReasonCode.NotAuthorized)
    assert.deepEqual(commands.taken, [])
    assert.equal(world.metric('dropped.not-authorized'), 2)
  })

  test('waits for an authorizer that takes its time, and is new when its connection is lost meanwhile', () => {
    const { authorizer, decisions } = decideLater()
    const { world, commands } = worldWith(authorizer)
    const client = world.client('c')
    client.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
    client.publish({ topic: TOPIC, payload: 'x', qos: 2, packetId: 2 })
    assert.deepEqual(commands.taken, [])
    decisions[0]!(0)
    world.run()
    assert.equal(commands.taken.length, 1)
    client.drop()
    client.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
    client.publish({ topic: TOPIC, payload: 'x', qos: 2, packetId: 2, dup: true })
    commands.dones[0]!(0)
    decisions[1]!(0)
    world.run()
    assert.equal(commands.taken.length, 2)
    commands.dones[1]!(0)
    world.run()
    assert.equal(client.take(Pubrec).reasonCode, 0)
  })
})

test('without an authorizer everybody may give commands, and a mount point keeps them away from the broker', () => {
  const { world, commands } = worldWith(null)
  const [client, mounted] = [world.client('c'), world.client('m', { settings: { mountPoint: 'm/' } })]
  client.connected()
  mounted.connected()
  client.publish({ topic: TOPIC })
  mounted.publish({ topic: TOPIC })
  assert.equal(commands.taken.length, 1)
})

test('who may not end a subscription keeps it, and is told 0x87', () => {
  const world = new World({ authorizer: { ...open, mayUnsubscribe: (_client, filter) => filter !== 'kept' } })
  const client = world.client('c')
  client.connected()
  client.subscribe('kept')
  client.subscribe('free')
  client.send(new Unsubscribe(9, ['kept', 'free', 'none']))
  assert.deepEqual(client.take(Unsuback).reasonCodes, [
    ReasonCode.NotAuthorized,
    ReasonCode.Success,
    ReasonCode.NoSubscriptionExisted,
  ])
  world.publish({ topic: 'kept', payload: 'still' })
  assert.equal(client.take(Publish).topic, 'kept')
})

test('disconnect() ends the connections that are meant, and no others', () => {
  const world = new World({})
  const [a, b] = [world.client('a'), world.client('b')]
  a.connected()
  b.connected()
  assert.equal(
    world.core.disconnect(({ clientId }) => clientId === 'a', 'why'),
    1,
  )
  world.run()
  assert.equal(a.isClosed, true)
  assert.equal(b.isClosed, false)
})
