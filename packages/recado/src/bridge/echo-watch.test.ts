import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EchoWatch, STOP_MS } from './echo-watch.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('a topic whose messages come back more than 20 times in a second is stopped for a minute', () => {
  const watch = new EchoWatch()
  const verdicts: string[] = []
  for (let i = 0; i < 22; i++) {
    assert.equal(watch.sent('t', bytes('x'), i), i < 21)
    verdicts.push(watch.received('t', bytes('x'), i))
  }
  assert.deepEqual(verdicts, [...new Array(20).fill('fine'), 'stopped-now', 'stopped'])
  assert.equal(watch.received('t', bytes('y'), 100), 'stopped')
  assert.equal(watch.sent('t', bytes('x'), 20 + STOP_MS), true)
  assert.equal(watch.received('t', bytes('x'), 20 + STOP_MS), 'fine')
})

test('other payloads, slow answers and topics that go one way are no loop', () => {
  const watch = new EchoWatch()
  for (let i = 0; i < 100; i++) {
    watch.sent('out', bytes('x'), i)
    assert.equal(watch.received('in', bytes('x'), i), 'fine')
    watch.sent('both', bytes(`sent ${i}`), i)
    assert.equal(watch.received('both', bytes(`other ${i}`), i), 'fine')
    watch.sent('slow', bytes('x'), i * 100)
    assert.equal(watch.received('slow', bytes('x'), i * 100 + 60), 'fine')
  }
})
