import assert from 'node:assert/strict'
import { it } from 'node:test'
import { keepAliveTimeoutMs } from './keep-alive.ts'

it('a client may be silent for one and a half times its Keep Alive [MQTT-3.1.2-22]', () => {
  assert.equal(keepAliveTimeoutMs(1), 1500)
  assert.equal(keepAliveTimeoutMs(65_535), 98_302_500)
})

it('Keep Alive 0 is 0: never', () => {
  assert.equal(keepAliveTimeoutMs(0), 0)
})
