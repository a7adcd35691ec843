import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseEvents } from './stream.ts'

test('events are read when they are whole, comments are skipped', () => {
  const text = ': it has begun\n\nevent: step\ndata: {"a":1}\n\nevent: lost\ndata: {"steps":2}\n\nevent: st'
  assert.deepEqual(parseEvents(text), {
    events: [
      { name: 'step', data: '{"a":1}' },
      { name: 'lost', data: '{"steps":2}' },
    ],
    rest: 'event: st',
  })
})
