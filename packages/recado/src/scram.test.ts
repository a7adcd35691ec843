/* SCRAM between @recado/client and the program, over a password file of `recado passwd`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Authentication, type ConnectOptions, connect } from '@recado/client'
import { scram } from '@recado/client/scram'
import { freePort, Program, printed, temporaryFolder } from './testing/program.ts'

test('a client logs in by SCRAM-SHA-256, again on the open connection, and is gone when its line is', async (context) => {
  const path = join(temporaryFolder(context), 'passwords')
  await printed('passwd', '-H', 'scram-sha-256', '-c', '-b', path, 'ada', 'pässword')
  await printed('passwd', '-b', path, 'plain', 'x')
  const program = await Program.start(context, await freePort(), [`password_file ${path}`, 'allow_anonymous false'])
  const open = (authentication: Authentication, more: ConnectOptions = {}) =>
    connect(`mqtt://127.0.0.1:${program.port}`, { authentication, reconnect: false, ...more })
  const client = await open(scram({ username: 'ada', password: 'pässword' }))
  context.after(() => client.close({ drainMs: 0 }))
  await client.reauthenticate()
  for (const [username, password] of [
    ['ada', 'password'],
    ['nobody', 'pässword'],
    ['plain', 'x'],
  ] as const) {
    await assert.rejects(open(scram({ username, password })), { code: 'ERR_MQTT_CONNECTION_REFUSED', reasonCode: 0x87 })
  }
  await assert.rejects(open({ method: 'OTHER', respond: () => undefined }), { reasonCode: 0x8c })
  // The same line also takes a password in CONNECT.
  const withPassword = await connect(`mqtt://127.0.0.1:${program.port}`, { username: 'ada', password: 'pässword' })
  await withPassword.close()
  await printed('passwd', '-D', path, 'ada')
  program.child.kill('SIGHUP')
  assert.equal(((await client.closed) as { reasonCode?: number } | null)?.reasonCode, 0x98)
  await program.stop('SIGTERM')
})

test('an exchange that is kept open while its user is deleted ends in a refusal', async (context) => {
  const path = join(temporaryFolder(context), 'passwords')
  await printed('passwd', '-H', 'scram-sha-256', '-c', '-b', path, 'ada', 'x')
  await printed('passwd', '-b', path, 'bob', 'x')
  const program = await Program.start(context, await freePort(), [`password_file ${path}`, 'allow_anonymous false'])
  const right = scram({ username: 'ada', password: 'x' })
  const authentication: Authentication = {
    ...right,
    async respond(data) {
      if (data !== undefined) {
        await printed('passwd', '-D', path, 'ada')
        const { length } = program.err
        program.child.kill('SIGHUP')
        while (!program.err.slice(length).includes('read again')) await once(program.child.stderr!, 'data')
      }
      return right.respond(data)
    },
  }
  const opened = connect(`mqtt://127.0.0.1:${program.port}`, { authentication, reconnect: false })
  await assert.rejects(opened, { code: 'ERR_MQTT_CONNECTION_REFUSED', reasonCode: 0x87 })
  await program.stop('SIGTERM')
})

test('with use_username_as_clientid the session is of the one who has logged in by SCRAM', async (context) => {
  const path = join(temporaryFolder(context), 'passwords')
  for (const [name, ...more] of [['ada', '-c'], ['bob']] as const)
    await printed('passwd', '-H', 'scram-sha-256', ...more, '-b', path, name, 'x')
  const program = await Program.start(context, await freePort(), [
    `password_file ${path}`,
    'allow_anonymous false',
    'use_username_as_clientid true',
    'log_type all',
  ])
  const client = await connect(`mqtt://127.0.0.1:${program.port}`, {
    authentication: scram({ username: 'ada', password: 'x' }),
    username: 'bob',
    reconnect: false,
  })
  await client.close()
  await program.stop('SIGTERM')
  assert.match(program.err, /New client connected from \S+ as ada /)
  assert.doesNotMatch(program.err, /as bob /)
})

test('a client does not stay with a server that has not proven that it knows the password', () => {
  const { finish, respond } = scram({ username: 'ada', password: 'x' })
  assert.ok(respond(undefined) instanceof Uint8Array)
  for (const data of [undefined, new TextEncoder().encode('v='), new TextEncoder().encode('v=AAAA')]) {
    assert.throws(() => finish?.(data), { code: 'ERR_MQTT_SCRAM', message: /has not proven/ })
  }
})

test('a client does not answer a server that repeats no nonce, or asks for too few iterations or too many', async () => {
  const { respond } = scram({ username: 'ada', password: 'x' })
  const nonce = /r=(.*)$/.exec(new TextDecoder().decode((await respond(undefined)) as Uint8Array))![1]!
  for (const [answer, what] of [
    [`r=other,s=AAAA,i=4096`, /is not a message of SCRAM/],
    [`r=${nonce},s=AAAA,i=4096`, /is not a message of SCRAM/],
    [`r=${nonce}x,s=AAAA,i=1`, /asks for 1 iterations/],
    [`r=${nonce}x,s=AAAA,i=9999999`, /asks for 9999999 iterations/],
  ] as const) {
    await assert.rejects(async () => respond(new TextEncoder().encode(answer)), {
      code: 'ERR_MQTT_SCRAM',
      message: what,
    })
  }
})
