/** `$SYS` and `$CONTROL` are the broker's, at every way in, whatever an authorizer says. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, Puback, ReasonCode } from '@recado/protocol'
import { isReservedInAclFiles } from '../../adapters/acl/rules.ts'
import type { Authorizer, ClientInfo } from '../../ports.ts'
import { Table } from '../../ports.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import { will } from '../../testing/test-client.ts'
import { World } from '../../testing/world.ts'
import { encodeWill } from '../journal/session-records.ts'
import { isReserved, isReservedFor, isReservedForGrants } from './reserved-topics.ts'

const everything: Authorizer = { publish: () => 0, subscribe: () => 0, mayPublish: () => true }
const STATE = '$SYS/broker/connection/edge/state'
const RESERVED = ['$SYS', '$SYS/broker/uptime', '$SYS/broker/connection/a/b/state', '$CONTROL/dynamic-security/v1']

test('$SYS, $CONTROL and what is below are reserved, the state of a bridge and names that begin alike are not', () => {
  for (const topic of RESERVED) assert.equal(isReserved(topic), true, topic)
  for (const topic of [STATE, '$SYSTEM', '$x/y', 'a/$SYS/b', '$CONTROLS']) assert.equal(isReserved(topic), false, topic)
})

test('grants and ACL files reserve whatever the broker reserves, and more', () => {
  const client = { clientId: 'edge', isBridge: false } as ClientInfo
  for (const [topic, always, here, grants, aclFile] of [
    ['$SYS', true, true, true, true],
    ['$SYS/broker/uptime', true, true, true, true],
    ['$CONTROL/a', true, true, true, false], // never comes to an ACL file
    [STATE, false, false, false, false],
    ['$SYS/broker/connection/other/state', false, true, true, false],
    ['$share/a', false, false, true, true],
    ['$shared', false, false, false, true],
    ['$SYSTEM', false, false, false, true],
    ['$x', false, false, false, false],
    ['a', false, false, false, false],
  ] as const) {
    assert.equal(isReserved(topic), always, topic)
    assert.equal(isReservedFor(client, topic), here, topic)
    assert.equal(isReservedForGrants(client, topic), grants, topic)
    assert.equal(isReservedInAclFiles(topic), aclFile, topic)
  }
})

for (const [what, authorizer] of [
  ['without an authorizer', null],
  ['with one that allows everything', everything],
] as const) {
  describe(what, () => {
    for (const topic of RESERVED) {
      test(`PUBLISH to ${topic} is refused`, () => {
        const world = new World({ authorizer })
        const a = world.client('a')
        a.connected()
        a.publish({ topic, payload: 'x', qos: 1, retain: true })
        assert.equal(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
        assert.equal(world.metric('retainedMessages'), 0)
      })

      test(`a CONNECT with a Will on ${topic} is refused`, () => {
        const world = new World({ authorizer })
        const a = world.client('a').connect({ will: will({ topic, retain: true }) })
        assert.equal(a.take(Connack).reasonCode, ReasonCode.NotAuthorized)
      })

      test(`a Will on ${topic} that the store has is not published`, () => {
        let world = new DiskWorld({ authorizer })
        world.connected(world.client('a'), DURABLE)
        world.settle()
        const disk = world.disk.crash()
        let number = 0
        disk.scanKeys(Table.Sessions, (a) => {
          number = a
        })
        const row = encodeWill(will({ topic, payload: 'lie', retain: true }), Number.POSITIVE_INFINITY, null)
        disk.write(
          () => disk.put(Table.Wills, number, 0, 0, row),
          () => {},
        )
        disk.step()
        world = new DiskWorld({ authorizer }, disk)
        assert.equal(world.metric('retainedMessages'), 0)
        assert.equal(world.metric('dropped.not-authorized'), 1)
      })
    }
  })
}

test('the state of a connection goes by the authorizer, and the embedding program may publish everything', () => {
  const world = new World({ authorizer: { ...everything, publish: (_, topic) => (topic === STATE ? 0 : 0x87) } })
  const a = world.client('a')
  a.connected()
  a.publish({ topic: STATE, payload: '1', qos: 1, retain: true })
  assert.notEqual(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
  assert.equal(
    world.publish({ topic: '$SYS/broker/uptime', payload: '1', retain: true }),
    ReasonCode.NoMatchingSubscribers,
  )
  assert.equal(world.metric('retainedMessages'), 2)
})
