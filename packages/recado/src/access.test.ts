/* Password and ACL files in the running program: how it starts with them, and what SIGHUP does. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { configFile, freePort, Program, run, temporaryFolder } from './testing/program.ts'

/** A file that can be written again. */
function writable(context: TestContext, name: string, text: string): { path: string; write(text: string): void } {
  const path = join(temporaryFolder(context), name)
  const write = (next: string): void => writeFileSync(path, next)
  write(text)
  return { path, write }
}

/** SIGHUP, until the log says what came of it. */
async function hangUp(program: Program, expected: RegExp): Promise<void> {
  const { length } = program.err
  program.child.kill('SIGHUP')
  while (!expected.test(program.err.slice(length))) {
    await new Promise((resolve) => program.child.stderr!.once('data', resolve))
  }
}

const publish = (topic: string, packetId: number): Publish =>
  Publish.of({ topic, payload: new Uint8Array([packetId]), qos: 1, packetId })
const subscribe = (topicFilter: string): Subscribe =>
  new Subscribe(1, [{ topicFilter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }])

test('an ACL file holds from the start; after SIGHUP subscriptions that are not allowed any more stop delivering', async (context) => {
  const acl = writable(context, 'acl', 'topic a/#\ntopic write b\n')
  const program = await Program.start(context, await freePort(), [`acl_file ${acl.path}`])
  const client = await SocketClient.connect(program)
  client.send(subscribe('#'), publish('a/1', 1), publish('b', 2), publish('c', 3))
  assert.deepEqual((await client.next(Suback)).reasonCodes, [0])
  assert.equal((await client.next(Publish)).topic, 'a/1')
  const codes = [await client.next(Puback), await client.next(Puback), await client.next(Puback)]
  assert.deepEqual(
    codes.map(({ reasonCode }) => reasonCode),
    [0, 0x10, 0x87],
  )
  acl.write('topic write a/#\ntopic b\n')
  await hangUp(program, /SIGHUP: ACL file \S+ read again\./)
  client.send(publish('a/1', 1), publish('b', 2))
  assert.equal((await client.next(Puback)).reasonCode, 0x10)
  assert.equal((await client.next(Publish)).topic, 'b')
  acl.write('topic b\nnonsense\n')
  await hangUp(program, /stays as it was: \S+acl:2: "nonsense" is not one of user, topic, pattern/)
  await client.next(Puback)
  client.send(publish('a/1', 3))
  assert.equal((await client.next(Puback)).reasonCode, 0x10)
  client.destroy()
  await program.stop('SIGTERM')
})

test('a broker does not start with an ACL file that it cannot understand', async (context) => {
  const acl = writable(context, 'acl', '# fine\ntopic a/#/b\n')
  const { code, err } = await run(
    '-c',
    configFile(context, `listener ${await freePort()} 127.0.0.1\nacl_file ${acl.path}\n`),
  )
  assert.equal(code, 1)
  assert.equal(err, `recado: ${acl.path}:2: "a/#/b" is not a topic or Topic Filter\n`)
})
