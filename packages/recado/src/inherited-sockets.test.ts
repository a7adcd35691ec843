import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from '@recado/client'
import { inheritedSockets } from './inherited-sockets.ts'
import { programPath, temporaryFolder } from './testing/program.ts'

const skip = process.platform === 'linux' ? false : 'file descriptors of a service manager are those of Linux'

/** A folder like /proc, with TCP sockets at descriptors 3 and 4 and a unix socket at 5. */
function procFolder(context: TestContext): string {
  const proc = temporaryFolder(context)
  mkdirSync(join(proc, 'self', 'fd'), { recursive: true })
  mkdirSync(join(proc, 'net'))
  for (const [fd, target] of Object.entries({ 3: 'socket:[11]', 4: 'socket:[12]', 5: 'socket:[13]', 6: '/etc/x' })) {
    symlinkSync(target, join(proc, 'self', 'fd', fd))
  }
  const tcp = (local: string, state: string, inode: number): string =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0 100 0 0 10 0\n`
  writeFileSync(join(proc, 'net', 'tcp'), `heading\n${tcp('0100007F:075B', '0A', 11)}${tcp('0100007F:075C', '01', 15)}`)
  writeFileSync(join(proc, 'net', 'tcp6'), `heading\n${tcp('B80D0120000000000000000001000000:22B3', '0A', 12)}`)
  writeFileSync(
    join(proc, 'net', 'unix'),
    'heading\n0000000000000000: 00000002 00000000 00010000 0001 01 13 /run/recado socket\n',
  )
  return proc
}

test('a socket of the service manager is given to the listener with its address, once', { skip }, (context) => {
  const sockets = inheritedSockets({ LISTEN_FDS: '4', LISTEN_PID: '7' }, 7, procFolder(context))
  assert.deepEqual(sockets.rest(), [
    { fd: 3, address: '127.0.0.1:1883' },
    { fd: 4, address: '[2001:db8::1]:8883' },
    { fd: 5, address: '/run/recado socket' },
  ])
  const other = [{ host: '127.0.0.1', port: 1884 }]
  assert.equal(sockets.takeFor(other), other)
  const both = [
    { host: '::', port: 1883 },
    { host: '127.0.0.1', port: 1883, name: 'a' },
  ]
  assert.deepEqual(sockets.takeFor(both), [{ host: '127.0.0.1', port: 1883, name: 'a', fd: 3 }])
  assert.deepEqual(sockets.takeFor(both), both)
  assert.deepEqual(sockets.takeFor([{ host: '2001:db8:0::1', port: 8883 }])[0]?.fd, 4)
  assert.deepEqual(sockets.takeFor([{ path: '/run/recado socket' }])[0]?.fd, 5)
  assert.deepEqual(sockets.rest(), [])
})

test('sockets for another process, and numbers that make no sense, are not taken', { skip }, (context) => {
  const proc = procFolder(context)
  for (const env of [
    { LISTEN_FDS: '1', LISTEN_PID: '8' },
    { LISTEN_FDS: 'x' },
    { LISTEN_FDS: '-1' },
    { LISTEN_FDS: '99999999999' },
    {},
  ]) {
    assert.deepEqual(inheritedSockets(env, 7, proc).rest(), [])
  }
  assert.deepEqual(inheritedSockets({ LISTEN_FDS: '1' }, 7, join(proc, 'missing')).rest(), [])
})

test('a connection that waits in the socket of the service manager is served when the broker has started', {
  skip,
}, async (context) => {
  const folder = temporaryFolder(context)
  const manager = createServer()
  manager.listen(0, '127.0.0.1')
  await once(manager, 'listening')
  const { port } = manager.address() as { port: number }
  const surplus = createServer().listen(0, '127.0.0.1')
  await once(surplus, 'listening')
  const file = join(folder, 'recado.conf')
  writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n`)
  const fdOf = (server: Server): number => (server as Server & { _handle: { fd: number } })._handle.fd
  const client = connect(`mqtt://127.0.0.1:${port}`, { clientId: 'early' })
  const child = spawn(process.execPath, [programPath, '-c', file], {
    cwd: folder,
    env: { ...process.env, LISTEN_FDS: '2' },
    stdio: ['ignore', 'ignore', 'pipe', fdOf(manager), fdOf(surplus)],
  })
  // From here on only the broker has the sockets.
  manager.close()
  surplus.close()
  context.after(() => child.kill('SIGKILL'))
  let err = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  await (await client).publish('a', 'b', { qos: 1 })
  await (await client).close()
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
  assert.match(err, /Warning: The service manager opened 127\.0\.0\.1:\d+, which belongs to no listener/)
})
