/** `recado learn` on Debian's Mosquitto: a lesson needs a server that keeps to the specification, not ours. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startMosquitto } from '@recado/client/testing'
import { skipWithout } from '@recado/testkit'
import { lessons } from '../learn/lessons.ts'
import { printed } from '../testing/program.ts'

test('each lesson plays on Mosquitto', { skip: skipWithout('mosquitto'), timeout: 300_000 }, async (context) => {
  const server = await startMosquitto({})
  context.after(() => server.stop())
  for (const { name } of lessons) {
    const text = await printed('learn', '--language', 'en', name, `mqtt://127.0.0.1:${server.port}`)
    assert.match(text, / {2}CONNACK {2}/, name)
  }
})
