/** `recado doctor` on Debian's Mosquitto 2.0.11: what it supports, and the two statements that it does not keep. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startMosquitto } from '@recado/client/testing'
import { skipWithout } from '@recado/testkit'
import type { Finding } from '../doctor/findings.ts'
import { run } from '../testing/program.ts'

test('of Mosquitto everything is found, and what it does not keep', {
  skip: skipWithout('mosquitto'),
  timeout: 300_000,
}, async (context) => {
  const server = await startMosquitto({})
  context.after(() => server.stop())
  const { code, out } = await run('doctor', '--json', `mqtt://127.0.0.1:${server.port}`)
  const { findings, limits } = JSON.parse(out) as { findings: Finding[]; limits: Record<string, unknown> }
  const faults = findings.filter(({ state }) => state === 'fault')
  assert.deepEqual(
    faults.map(({ statement }) => statement),
    ['MQTT-3.3.4-6', 'MQTT-3.8.3-4'],
    JSON.stringify(faults),
  )
  assert.equal(code, 1)
  assert.deepEqual([limits['Receive Maximum'], limits['Topic Alias Maximum']], [20, 10])
})
