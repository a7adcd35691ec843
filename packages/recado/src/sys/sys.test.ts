/** `$SYS` of the whole program, as clients meet it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient, subscriptionTo } from '@recado/broker/testing'
import { Publish, Suback, Subscribe } from '@recado/protocol'
import { freePort } from '../testing/program.ts'
import { Reloaded } from '../testing/reloaded.ts'
import { sysTopics } from './sys-topics.ts'

async function started(
  context: TestContext,
  lines: string,
  acl: string | null = null,
): Promise<{ broker: Reloaded; port: number; common: string }> {
  const broker = new Reloaded(context)
  const port = await freePort()
  let common = `listener ${port} 127.0.0.1\nallow_anonymous true\n`
  if (acl !== null) {
    writeFileSync(join(broker.folder, 'acl'), acl)
    common += `acl_file ${broker.folder}/acl\n`
  }
  await broker.start(common + lines)
  return { broker, port, common }
}

async function subscribed(port: number, ...topicFilters: string[]): Promise<SocketClient> {
  const client = await SocketClient.connect({ port })
  client.send(
    new Subscribe(
      1,
      topicFilters.map((filter) => subscriptionTo(filter)),
    ),
  )
  await client.next(Suback)
  return client
}

const text = ({ payload }: Publish): string => Buffer.from(payload).toString()

test('whoever subscribes to $SYS/# has all topics at once, with RETAIN', async (context) => {
  const { port } = await started(context, 'sys_interval 3600\n')
  const client = await subscribed(port, '$SYS/#')
  const wanted = new Set(sysTopics.flatMap(({ names, isOfStore }) => (isOfStore ? [] : names)))
  while (wanted.size > 0) {
    const message = await client.next(Publish)
    assert.equal(message.retain, true)
    wanted.delete(message.topic)
  }
})

test('uptime comes again at the interval; # and +/# get nothing of it', async (context) => {
  const { port } = await started(context, 'sys_interval 1\n')
  const client = await subscribed(port, '#', '+/broker/uptime', '$SYS/broker/uptime')
  const said = [await client.next(Publish), await client.next(Publish), await client.next(Publish)]
  assert.deepEqual([...new Set(said.map(({ topic }) => topic))], ['$SYS/broker/uptime'])
  const seconds = said.map((message) => Number.parseInt(text(message), 10))
  assert.ok(seconds[0]! <= seconds[1]! && seconds[1]! < seconds[2]!, `${seconds}`)
  assert.match(text(said[0]!), /^\d+ seconds$/)
  assert.deepEqual(
    said.map(({ retain }) => retain),
    [true, false, false],
  )
})

test('SIGHUP takes another sys_interval, and 0 takes the topics away', async (context) => {
  const { broker, port, common } = await started(context, 'sys_interval 3600\n')
  const client = await subscribed(port, '$SYS/broker/uptime')
  assert.equal((await client.next(Publish)).retain, true)
  await broker.reload(`${common}sys_interval 0\n`)
  assert.equal(text(await client.next(Publish)), '')
  await broker.reload(`${common}sys_interval 1\n`)
  assert.match(text(await client.next(Publish)), /seconds$/)
})

test('an ACL file decides who reads $SYS, and nobody writes there', async (context) => {
  const acl = 'topic readwrite a/#\ntopic readwrite $SYS/broker/uptime\n'
  const { port } = await started(context, 'sys_interval 3600\n', acl)
  const client = await subscribed(port, '$SYS/#', 'a/#')
  for (const topic of ['$SYS/broker/uptime', 'a/end']) {
    client.send(Publish.of({ topic, payload: Buffer.from('forged') }))
  }
  assert.match(text(await client.next(Publish)), /seconds$/)
  assert.equal((await client.next(Publish)).topic, 'a/end')
})

test('without retained messages (retain_available false) $SYS is there all the same', async (context) => {
  const { port } = await started(context, 'retain_available false\n')
  const client = await subscribed(port, '$SYS/broker/version')
  assert.match(text(await client.next(Publish)), /^recado version \d/)
})

test('log_dest topic publishes lines below $SYS/broker/log, and SIGHUP takes another log_style', async (context) => {
  const { broker, port, common } = await started(context, 'log_dest topic\nlog_dest stderr\nsys_interval 3600\n')
  const client = await subscribed(port, '$SYS/broker/log/#')
  const other = await SocketClient.connect({ port }, { clientId: 'other' })
  const line = await client.next(Publish)
  assert.equal(line.topic, '$SYS/broker/log/N')
  assert.equal(line.retain, false)
  assert.match(text(line), /^\d+: New connection from 127\.0\.0\.1:\d+ on port \d+\.$/)
  assert.match(text(await client.next(Publish)), /as other \(p\d, c1, k\d+\)\.$/)
  const { messageExpiryIntervalSeconds } = line.properties
  assert.ok(messageExpiryIntervalSeconds === undefined || messageExpiryIntervalSeconds <= 20)
  await broker.reload(`${common}log_dest topic\nlog_dest stderr\nlog_style recado\nsys_interval 3600\n`)
  other.destroy()
  let said = ''
  while (!said.includes('other')) said = text(await client.next(Publish))
  assert.match(said, /Client other disconnected: .*\(0x80\)\.$/)
})
