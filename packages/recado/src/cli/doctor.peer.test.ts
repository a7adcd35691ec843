/** `recado doctor` on Debian's Mosquitto 2.0.11: what it supports, and the two statements that it does not keep. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { accepts, freePort } from '@recado/client/testing'
import { peerPath, skipWithout } from '@recado/testkit'
import type { Finding } from '../doctor/findings.ts'
import { run, temporaryFolder } from '../testing/program.ts'

test('of Mosquitto everything is found, and what it does not keep', {
  skip: skipWithout('mosquitto'),
  timeout: 60_000,
}, async (context) => {
  const port = await freePort()
  const conf = join(temporaryFolder(context), 'conf')
  writeFileSync(conf, `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\n`)
  const server = spawn(peerPath('mosquitto'), ['-c', conf], { stdio: 'ignore' })
  context.after(async () => {
    server.kill('SIGKILL')
    await once(server, 'exit')
  })
  while (!(await accepts(port))) assert.equal(server.exitCode, null)
  const { code, out } = await run('doctor', '--json', `mqtt://127.0.0.1:${port}`)
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
