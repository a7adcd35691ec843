/** Topic Aliases: what their topics take of memory is bounded for all clients together. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Publish, ReasonCode } from '@recado/protocol'
import { type TestClient, World } from '../../testing/mod.ts'

const topicOf = (name: string, length: number): string => `${name}/`.padEnd(length, 'x')

/** Sets `count` aliases for topics of so many characters, until the client is thrown out. */
function hoard(client: TestClient, count: number, length: number): void {
  for (let topicAlias = 1; topicAlias <= count && !client.isClosed; topicAlias++)
    client.publish({ topic: topicOf(`${client.clientId}/${topicAlias}`, length), properties: { topicAlias } })
}

describe('the room for topics of aliases', () => {
  test('is bounded for all clients together: who asks for too much is told 0x97, and what it had is free', () => {
    const world = new World({ limits: { aliasBytesMax: 1_000_000 } })
    const clients = Array.from({ length: 30 }, (_, i) => world.client(`c${i}`))
    for (const client of clients) {
      client.connected()
      hoard(client, 10, 20_000)
      assert.ok(world.metric('aliasBytes') <= 1_000_000, `${world.metric('aliasBytes')} bytes`)
    }
    const ended = clients.filter((client) => client.isClosed)
    assert.ok(ended.length > 20, `${ended.length} were ended`)
    assert.equal(world.metric('aliasesGivenUp'), ended.length)
    for (const client of ended) client.isDisconnectedWith(ReasonCode.QuotaExceeded)
    for (const client of clients) if (!client.isClosed) client.drop()
    assert.equal(world.metric('aliasBytes'), 0)
  })

  test('one that has little always finds some, and its aliases stand for what it has said', () => {
    const world = new World({ limits: { aliasBytesMax: 100_000 } })
    const reader = world.client('reader')
    reader.connected()
    reader.subscribe('honest/#')
    for (let i = 0; i < 40; i++) {
      const client = world.client(`c${i}`)
      client.connected()
      hoard(client, 10, 1_000)
    }
    const honest = world.client('honest')
    honest.connected()
    hoard(honest, 8, 50)
    for (let topicAlias = 1; topicAlias <= 8; topicAlias++) honest.publish({ topic: '', properties: { topicAlias } })
    assert.ok(!honest.isClosed)
    const topics = reader.takeAll().map((packet) => (packet as Publish).topic)
    assert.equal(topics.length, 16)
  })

  test('an alias that is given to another topic lets go of the first', () => {
    const world = new World({ limits: { aliasBytesMax: 1_000_000 } })
    const client = world.client('c')
    client.connected()
    for (let i = 0; i < 100; i++) client.publish({ topic: topicOf(`t/${i}`, 60_000), properties: { topicAlias: 1 } })
    assert.ok(!client.isClosed)
    assert.equal(world.metric('aliasBytes'), 100 + 2 * 60_000)
  })

  test('the broker gives no alias to a long topic', () => {
    const world = new World()
    const client = world.client('c')
    client.connected({ properties: { topicAliasMaximum: 10 } })
    client.subscribe('#')
    for (const length of [1_025, 1_024]) client.publish({ topic: topicOf('t', length) })
    const aliases = client.takeAll().map((packet) => (packet as Publish).properties.topicAlias)
    assert.deepEqual(aliases, [undefined, 1])
  })
})
