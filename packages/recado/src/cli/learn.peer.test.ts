/** `recado learn` on Debian's Mosquitto: a lesson needs a server that keeps to the specification, not ours. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { accepts, freePort } from '@recado/client/testing'
import { peerPath, skipWithout } from '@recado/testkit'
import { lessons } from '../learn/lessons.ts'
import { printed, temporaryFolder } from '../testing/program.ts'

test('each lesson plays on Mosquitto', { skip: skipWithout('mosquitto'), timeout: 120_000 }, async (context) => {
  const port = await freePort()
  const conf = join(temporaryFolder(context), 'conf')
  writeFileSync(conf, `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\n`)
  const server = spawn(peerPath('mosquitto'), ['-c', conf], { stdio: 'ignore' })
  context.after(async () => {
    server.kill('SIGKILL')
    await once(server, 'exit')
  })
  while (!(await accepts(port))) assert.equal(server.exitCode, null)
  for (const { name } of lessons) {
    const text = await printed('learn', '--language', 'en', name, `mqtt://127.0.0.1:${port}`)
    assert.match(text, / {2}CONNACK {2}/, name)
  }
})
