import assert from 'node:assert/strict'
import { test } from 'node:test'
import { marksOf, pathOf, type RelayedMessage } from '@recado/broker'
import { decodeProperties, encodeProperties, PacketType, type Properties } from '@recado/protocol'
import { PathWriter } from './path-writer.ts'

/** A message with these properties, as the relay gives it. */
function message(properties: Properties, payload: Uint8Array = Uint8Array.of(1)): RelayedMessage {
  const propertyField = (_nowMs: number, _identifiers: null, topicAlias: number): Uint8Array =>
    encodeProperties({ ...properties, ...(topicAlias === 0 ? {} : { topicAlias }) }, PacketType.PUBLISH)
  return { properties, payload, expiresAtMs: Number.POSITIVE_INFINITY, propertyField } as unknown as RelayedMessage
}

test('a message has its alias, its properties and its path, with properties of its own or without', () => {
  for (const identity of ['hub', 'h'.repeat(200)]) {
    const writer = new PathWriter(identity)
    for (const topicAlias of [0, 1, 300, 65_535]) {
      for (const own of [{}, { contentType: 'text/plain' }]) {
        const field = writer.field(message(own), 'a/b', 0, topicAlias)!
        assert.deepEqual(decodeProperties(field, PacketType.PUBLISH), {
          ...(topicAlias === 0 ? {} : { topicAlias }),
          ...own,
          userProperties: [['recado-path', `${identity}:${marksOf('a/b', Uint8Array.of(1))}`]],
        })
      }
    }
  }
})

test('a path gets this broker at its end, and no more than 16 are on it', () => {
  const writer = new PathWriter('hub')
  const withPath = (path: string): RelayedMessage => message({ userProperties: [['recado-path', path]] })
  const field = writer.field(withPath('one,two:0123456789abcdef'), 'a', 0, 7)!
  assert.equal(pathOf(decodeProperties(field, PacketType.PUBLISH)), 'one,two,hub')
  assert.equal(writer.field(withPath(Array.from({ length: 16 }, (_, i) => `b${i}`).join(',')), 'a', 0, 7), null)
})
