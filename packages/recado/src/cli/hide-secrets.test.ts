import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { freePort, Program, programPath } from '../testing/program.ts'

const skip = process.platform === 'linux' ? false : 'looks into /proc'

test('a password that was given on the command line is not in the process list any more', { skip }, async (context) => {
  const program = await Program.start(context, await freePort(), ['persistence false'])
  const argv = [programPath, 'sub', '-p', String(program.port), '-u', 'ada', '-P', 'hunter2', '-t', 'a', '-d']
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  context.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  assert.equal(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').replaceAll('\0', ''), 'recado sub')
})

test('a URL with a password is hidden, too', { skip }, async (context) => {
  const server = createServer((socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const child = spawn(process.execPath, [programPath, 'doctor', `mqtt://ada:hunter2@127.0.0.1:${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  assert.equal(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').replaceAll('\0', ''), 'recado doctor')
})
