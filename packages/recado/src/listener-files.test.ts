import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { TestAuthority } from '@recado/broker/testing'
import { freePort, Program, run, temporaryFolder } from './testing/program.ts'

const authority = new TestAuthority('test authority')

function writeServer(folder: string, commonName: string): void {
  const { cert, key } = authority.issue(commonName, { altNames: ['127.0.0.1'] })
  writeFileSync(join(folder, 'cert.pem'), cert)
  writeFileSync(join(folder, 'key.pem'), key)
}

/** The common name of the certificate that is shown on a port. */
async function shownOn(port: number): Promise<unknown> {
  const socket = connect({ port, host: '127.0.0.1', ca: authority.cert })
  await once(socket, 'secureConnect')
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return CN
}

async function untilLogged(program: Program, pattern: RegExp): Promise<void> {
  while (!pattern.test(program.err)) await once(program.child.stderr!, 'data')
}

async function start(context: TestContext, folder: string): Promise<Program> {
  writeServer(folder, 'first')
  const lines = [`certfile ${folder}/cert.pem`, `keyfile ${folder}/key.pem`]
  return await Program.start(context, await freePort(), lines)
}

test('SIGHUP takes new certificates; one that cannot be used leaves the old one, and says why', {
  skip: process.platform === 'win32',
}, async (context) => {
  const folder = temporaryFolder(context)
  const program = await start(context, folder)
  assert.equal(await shownOn(program.port), 'first')
  writeServer(folder, 'second')
  program.child.kill('SIGHUP')
  await untilLogged(program, /certificates of \S+ read again/)
  assert.equal(await shownOn(program.port), 'second')
  rmSync(join(folder, 'key.pem'))
  program.child.kill('SIGHUP')
  await untilLogged(program, /certificates of \S+ stays as it was: \S+:\d+: keyfile \S+ cannot be read: no such file/)
  assert.equal(await shownOn(program.port), 'second')
  await program.stop('SIGTERM')
})

test('files that have changed are used without a SIGHUP, and those that cannot be used are told about', async (context) => {
  const folder = temporaryFolder(context)
  writeServer(folder, 'first')
  const lines = [`certfile ${folder}/cert.pem`, `keyfile ${folder}/key.pem`, 'certificate_check_interval 1']
  const program = await Program.start(context, await freePort(), lines)
  assert.equal(await shownOn(program.port), 'first')
  writeFileSync(join(folder, 'key.pem'), 'damaged')
  await untilLogged(program, /Files have changed: certificates of \S+ stays as it was: /)
  assert.equal(await shownOn(program.port), 'first')
  writeServer(folder, 'second')
  await untilLogged(program, /Files have changed: certificates of \S+ read again/)
  assert.equal(await shownOn(program.port), 'second')
  await program.stop('SIGTERM')
})

test('a start, and a test of the configuration, fail with the line of what cannot be used', async (context) => {
  const folder = temporaryFolder(context)
  writeServer(folder, 'first')
  const file = join(folder, 'a.conf')
  writeFileSync(file, `listener 0 ${folder}/a.sock\ncertfile ${folder}/cert.pem\nkeyfile ${folder}/other.pem\n`)
  writeFileSync(join(folder, 'other.pem'), authority.issue('other').key)
  for (const argv of [
    ['-c', file],
    ['-c', file, '--test-config'],
  ]) {
    const { code, err } = await run(...argv)
    assert.equal(code, 3)
    assert.match(err, /^\S+a\.conf:3: keyfile \S+other\.pem: the private key does not belong to the certificate\n$/)
  }
})
