import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SocketClient, subscriptionTo } from '@recado/broker/testing'
import { Disconnect, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { freePort } from './testing/program.ts'
import { Reloaded } from './testing/reloaded.ts'

test('SIGHUP: allow_anonymous false disconnects who is anonymous, and lets no other in', async (context) => {
  const broker = new Reloaded(context)
  const port = await freePort()
  const listener = `listener ${port} 127.0.0.1\n`
  await broker.start(`${listener}allow_anonymous true\n`)
  const [named, anonymous] = await Promise.all([
    SocketClient.connect({ port }, { username: 'ada', password: new TextEncoder().encode('x') }),
    SocketClient.connect({ port }),
  ])
  writeFileSync(join(broker.folder, 'users'), '')
  await broker.reload(`${listener}allow_anonymous false\npassword_file ${broker.folder}/users\n`)
  assert.equal((await anonymous.next(Disconnect)).reasonCode, 0x98)
  assert.equal((await named.next(Disconnect)).reasonCode, 0x98)
  const late = await SocketClient.connect({ port })
  assert.equal(late.connack.reasonCode, 0x87)
  await broker.reload(`${listener}allow_anonymous true\n`)
  const again = await SocketClient.connect({ port })
  assert.equal(again.connack.reasonCode, 0)
  again.destroy()
})

test('SIGHUP: a configuration with a fault is refused whole, with its line', async (context) => {
  const broker = new Reloaded(context)
  const port = await freePort()
  const listener = `listener ${port} 127.0.0.1\n`
  await broker.start(`${listener}allow_anonymous true\nmax_queued_messages 5\nlog_type error\nlog_type information\n`)
  const client = await SocketClient.connect({ port })
  const wrong = await broker.reload(`${listener}allow_anonymous false\nmax_queued_mesages 6\n`)
  assert.match(
    wrong,
    /SIGHUP: the configuration stays as it was, whole: .*recado\.conf:3: unknown option "max_queued_mesages"/,
  )
  const missing = await broker.reload(`${listener}allow_anonymous false\npassword_file ${broker.folder}/none\n`)
  assert.match(missing, /stays as it was, whole: .*recado\.conf:3: password_file .* cannot be read: no such file/)
  client.send(new Subscribe(1, [subscriptionTo('a')]))
  assert.deepEqual((await client.next(Suback)).reasonCodes, [2])
  const other = await SocketClient.connect({ port })
  assert.equal(other.connack.reasonCode, 0)
  client.destroy()
  other.destroy()
})

test('SIGHUP: rights, limits, and log types take effect for those who are connected', async (context) => {
  const broker = new Reloaded(context)
  const port = await freePort()
  const head = `listener ${port} 127.0.0.1\nallow_anonymous true\n`
  await broker.start(head)
  const client = await SocketClient.connect({ port })
  const publish = (packetId: number): Publish =>
    Publish.of({ topic: 'a/b', payload: new Uint8Array(10), qos: 1, packetId, retain: true })
  client.send(publish(1))
  assert.ok((await client.next(Puback)).reasonCode < 0x80)
  writeFileSync(join(broker.folder, 'acl'), 'topic read #\n')
  await broker.reload(
    `${head}acl_file ${broker.folder}/acl\nmax_subscriptions 1\nlog_type subscribe\nlog_type notice\n`,
  )
  client.send(publish(2))
  assert.equal((await client.next(Puback)).reasonCode, 0x87)
  client.send(new Subscribe(3, [subscriptionTo('one'), subscriptionTo('two')]))
  assert.deepEqual((await client.next(Suback)).reasonCodes, [2, 0x97])
  await broker.io.until(() => / 2 one$/m.test(broker.io.err))
  // And back: without rules everything is allowed again.
  await broker.reload(head)
  client.send(publish(4))
  assert.ok((await client.next(Puback)).reasonCode < 0x80)
  client.destroy()
})

test('SIGHUP: listeners come and go, and what needs a restart is named', async (context) => {
  const broker = new Reloaded(context)
  const [first, second] = [await freePort(), await freePort()]
  const one = `listener ${first} 127.0.0.1\n`
  const two = `listener ${second} 127.0.0.1\n`
  await broker.start(`${one}allow_anonymous true\n`)
  const staying = await SocketClient.connect({ port: first })
  const added = await broker.reload(`${one}${two}allow_anonymous true\n`)
  assert.match(added, new RegExp(`SIGHUP: Listening on 127\\.0\\.0\\.1:${second}\\.`))
  const leaving = await SocketClient.connect({ port: second })
  const said = await broker.reload(`${one}mount_point m/\nallow_anonymous true\npersistence false\n`)
  assert.match(said, new RegExp(`SIGHUP: 127\\.0\\.0\\.1:${second} is not listened on any more`))
  assert.equal((await leaving.next(Disconnect)).reasonCode, 0x98)
  await broker.io.until(() => /SIGHUP: durability \(persistence\) stays as it was until/.test(broker.io.err))
  assert.match(broker.io.err, /SIGHUP: how 127\.0\.0\.1:\d+ is listened on .* stays as it was until/)
  await assert.rejects(SocketClient.connect({ port: second }))
  staying.send(new Subscribe(1, [subscriptionTo('a')]))
  assert.deepEqual((await staying.next(Suback)).reasonCodes, [2])
  staying.destroy()
})

test('SIGHUP: a listener that cannot be opened refuses the configuration, whole', async (context) => {
  const broker = new Reloaded(context)
  const port = await freePort()
  const one = `listener ${port} 127.0.0.1\nallow_anonymous true\n`
  await broker.start(one)
  mkdirSync(join(broker.folder, 'taken'))
  const said = await broker.reload(`listener 0 ${broker.folder}/taken\n${one}max_subscriptions 1\n`)
  assert.match(said, /stays as it was, whole: cannot listen on .*taken/)
  const client = await SocketClient.connect({ port })
  client.send(new Subscribe(3, [subscriptionTo('one'), subscriptionTo('two')]))
  assert.deepEqual((await client.next(Suback)).reasonCodes, [2, 2])
  client.destroy()
})
