/** The commands that look at and change a running broker by its HTTP API, against a broker as a process of its own. */
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { connect } from '@recado/client'
import { freePort, type Printed, Program, run, runWith, temporaryFolder } from '../testing/program.ts'

before(() => {
  delete process.env['RECADO_TOKEN']
  delete process.env['RECADO_API']
})

interface Started {
  readonly program: Program
  readonly url: string
  readonly folder: string
  /** Runs a command with the token of an admin. */
  ask(...argv: string[]): Promise<Printed>
}

async function started(
  context: TestContext,
  lines: (folder: string) => readonly string[] = () => [],
): Promise<Started> {
  const folder = temporaryFolder(context)
  const file = join(folder, 'tokens.json')
  const port = await freePort()
  const { out } = await run('token', 'create', 'test', '--role', 'admin', '--file', file)
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, out)
  const program = await Program.start(context, await freePort(), [
    'sys_interval 0',
    `listener ${port} 127.0.0.1`,
    'protocol http_api',
    `http_api_token_file ${file}`,
    ...lines(folder),
  ])
  const url = `http://127.0.0.1:${port}`
  return { program, url, folder, ask: (...argv) => run(...argv, '--url', url, '--token-file', tokenFile) }
}

test('a running broker', async (suite) => {
  const broker = await started(suite, () => ['max_queued_messages 2'])

  await suite.test(
    'recado clients lists, searches, sorts and shows one client; recado kick disconnects and drains',
    async (context) => {
      const { program, url, ask } = broker
      const mqtt = `mqtt://127.0.0.1:${program.port}`
      const options = { cleanStart: false, sessionExpiryIntervalSeconds: 600, reconnect: false } as const
      const ada = await connect(mqtt, { ...options, clientId: 'ada', username: 'lovelace' })
      const bob = await connect(mqtt, { ...options, clientId: 'b\u202eob' })
      context.after(async () => {
        await Promise.allSettled([ada.close(), bob.close()])
      })
      await ada.subscribe('news', { qos: 1 }).ready
      const { code, out, err } = await run('clients', '--url', url)
      assert.deepEqual([code, err], [0, ''])
      const lines = out.split('\n')
      assert.match(lines[0]!, /^CLIENT +USER +IN\/S +OUT\/S +QUEUE +FLIGHT +DROPS +SUBS +ADDRESS +LISTENER$/)
      assert.match(lines[1]!, /^ada +lovelace +0\.00\/s +0\.00\/s +0 +0 +0 +1 +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+$/)
      assert.match(lines[2]!, /^b\\u202eob +- /)
      assert.equal(lines.length, 4)
      const sorted = JSON.parse((await run('clients', '--sort', '-clientId', '--json', '--url', url)).out)
      assert.deepEqual(
        sorted.items.map(({ clientId }: { clientId: string }) => clientId),
        ['b\u202eob', 'ada'],
      )
      assert.match((await run('clients', '--search', 'LOVE', '--url', url)).out, /\nada [^\n]*\n$/)
      assert.deepEqual(await run('clients', '--search', 'nobody', '--url', url), {
        code: 0,
        out: '',
        err: 'No such client is connected.\n',
      })
      assert.match((await run('clients', '--limit', '1', '--url', url)).err, /^There are more/)
      const one = await run('clients', 'ada', '--url', url)
      assert.match(
        one.out,
        /^client: +ada\nuser: +lovelace\n[\s\S]*\nprotocol: +MQTT 5\.0\n[\s\S]*\nsubscriptions: +1\n/,
      )
      assert.deepEqual((await run('clients', 'none', '--url', url)).code, 1)

      const refused = await run('kick', 'ada', '--url', url)
      assert.deepEqual([refused.code, refused.out], [1, ''])
      assert.match(refused.err, /^recado kick: .*This needs the role operator/)
      assert.deepEqual(await ask('kick', 'ada'), { code: 0, out: '', err: 'ada disconnected\n' })
      await ada.closed
      assert.equal((await ask('publish', '-t', 'news', '-m', 'one')).code, 0)
      assert.equal((await ask('publish', '-t', 'news', '-m', 'two', '-q', '2')).code, 0)
      assert.deepEqual(await ask('kick', '--drain', 'ada'), {
        code: 0,
        out: '',
        err: '2 messages for ada dropped\n',
      })
      assert.deepEqual(await ask('kick', '--end-session', 'nobody', 'ada', '--json'), {
        code: 1,
        out: '{"clientId":"ada","isDone":true}\n',
        err: `recado kick: nobody: ${url.slice(7)} answers 404: There is no session "nobody".\n`,
      })
      assert.equal((await ask('kick', '--end-session', 'ada')).code, 1)
      assert.equal((await ask('kick', '--end-session', '--drain', 'ada')).code, 1)
    },
  )

  await suite.test('recado ban keeps a client away until the ban ends', async (context) => {
    const { program, ask } = broker
    const mqtt = `mqtt://127.0.0.1:${program.port}`
    const noisy = await connect(mqtt, { clientId: 'noisy', reconnect: false })
    context.after(async () => {
      await Promise.allSettled([noisy.close()])
    })
    assert.deepEqual(await ask('ban', 'clientid', 'noisy', '--for', '600'), {
      code: 0,
      out: '',
      err: 'The clientid noisy is banned for 10 min; 1 client disconnected.\n',
    })
    await noisy.closed
    await assert.rejects(connect(mqtt, { clientId: 'noisy', reconnect: false }))
    const { out } = await ask('ban', 'list')
    assert.match(out, /^KIND +NAME +LEFT +BY\nclientid +noisy +\d+ min(?: \d+ s)? +test\n$/)
    assert.equal((await ask('ban', 'end', 'clientid', 'noisy')).code, 0)
    const again = await connect(mqtt, { clientId: 'noisy', reconnect: false })
    await again.close()
    assert.deepEqual(await ask('ban', 'list'), { code: 0, out: '', err: 'There are no bans.\n' })
    for (const [argv, error] of [
      [['ban', 'somebody'], '"somebody" is nothing to ban: give clientid, username, address and a name'],
      [['ban', 'username'], 'the username is missing'],
      [['ban', 'end'], 'what to ban is missing'],
      [['ban', 'clientid', 'a', 'b'], '"b" is one argument too many'],
      [['ban', 'clientid', 'a', '--for', '0'], '--for 0: give a whole number from 1 to 31536000'],
      [['ban', 'end', 'clientid', 'a'], 'There is no such ban.'],
    ] as const) {
      const { code, err } = await ask(...argv)
      assert.equal(code, 1, argv.join(' '))
      assert.ok(err.includes(error), err)
    }
  })

  await suite.test('recado retained lists, gets, sets and deletes; wildcards are deleted only with --yes', async () => {
    const { ask, folder } = broker
    const set = ['retained', 'set', 'home/light', '-m', 'on', '--content-type', 'text/plain']
    assert.deepEqual(await ask(...set), { code: 0, out: '', err: 'set\n' })
    writeFileSync(join(folder, 'bytes'), Buffer.from([0, 255, 27]))
    assert.equal((await ask('retained', 'set', 'home/bytes', '-f', join(folder, 'bytes'))).code, 0)
    const listed = await ask('retained', 'list', 'home/#')
    assert.equal(
      listed.out,
      ['TOPIC       QOS  BYTES  PAYLOAD', 'home/bytes    1      3  00ff1b', 'home/light    1      2  on', ''].join(
        '\n',
      ),
    )
    // Without a filter as with #: what the broker tells of itself is not among the user's topics.
    const all = (await ask('retained', 'list')).out
    assert.ok(all.includes('home/light') && !all.includes('$SYS'), all)
    assert.deepEqual(await ask('retained', 'get', 'home/light'), { code: 0, out: 'on', err: '' })
    const message = JSON.parse((await ask('retained', 'get', 'home/light', '--json')).out)
    assert.deepEqual([message.topic, message.properties.contentType], ['home/light', 'text/plain'])
    assert.match((await ask('retained', 'delete', 'home/+')).err, /--dry-run counts the messages, --yes deletes them/)
    assert.equal((await ask('retained', 'delete', 'home/+', '--dry-run')).err, '2 retained messages would be deleted\n')
    assert.equal((await ask('retained', 'delete', 'home/bytes')).err, '1 retained message deleted\n')
    assert.equal(
      (await ask('retained', 'delete', '#', '--yes', '--json')).out,
      '{"topicFilter":"#","messages":1,"isDryRun":false}\n',
    )
    assert.deepEqual(await ask('retained', 'list'), {
      code: 0,
      out: '',
      err: 'There are no such retained messages.\n',
    })
    for (const [argv, error] of [
      [['retained', 'get', 'home/light'], 'has no retained message'],
      [['retained', 'get', 'a/#'], 'a message has a topic without wildcards'],
      [['retained', 'get'], 'TOPIC missing'],
      [['retained', 'set', 'a'], 'give the payload in one way'],
      [['retained', 'set', 'a', '-m', ''], 'An empty payload would delete the message'],
      [['retained', 'delete', 'a/#/b'], 'not a Topic Filter'],
      [['retained', 'keep', 'a'], '"keep" is none of list, get, set, delete'],
    ] as const) {
      const { code, err } = await ask(...argv)
      assert.equal(code, 1, argv.join(' '))
      assert.ok(err.includes(error), err)
    }
  })

  await suite.test(
    'recado publish publishes text, files and standard input, and says when nobody subscribes',
    async (context) => {
      const { program, ask, url, folder } = broker
      const client = await connect(`mqtt://127.0.0.1:${program.port}`)
      context.after(() => client.close())
      const messages = client.subscribe('site/#', { qos: 2 })
      await messages.ready
      assert.equal(
        (await ask('publish', '-t', 'site/a', '-m', 'über', '--expiry', '60', '--json')).out,
        '{"topic":"site/a","reasonCode":0}\n',
      )
      const token = join(folder, 'token')
      const piped = await runWith(
        'from stdin',
        'publish',
        '-t',
        'site/b',
        '-f',
        '-',
        '--url',
        url,
        '--token-file',
        token,
      )
      assert.deepEqual(piped, { code: 0, out: '', err: 'published\n' })
      assert.equal((await ask('publish', '-t', 'site/c', '-n', '-q', '0')).code, 0)
      const got: string[] = []
      for await (const { topic, payload, properties } of messages) {
        got.push(`${topic} ${Buffer.from(payload)} ${properties?.messageExpiryIntervalSeconds ?? '-'}`)
        if (got.length === 3) break
      }
      assert.deepEqual(got, ['site/a über 60', 'site/b from stdin -', 'site/c  -'])
      assert.equal((await ask('publish', '-t', 'other', '-m', 'x')).err, 'published; nobody subscribes to it\n')
      const reader = await connect(`mqtt://127.0.0.1:${program.port}`, {
        ...{ clientId: 'full', cleanStart: false, sessionExpiryIntervalSeconds: 600, receiveMaximum: 1 },
      })
      await reader.subscribe('full', { qos: 1 }).ready
      await reader.close()
      for (let i = 0; i < 2; i++) await ask('publish', '-t', 'full', '-m', 'x')
      const full = await ask('publish', '-t', 'full', '-m', 'x')
      assert.match(full.err, /refused with 0x97 Quota exceeded; recado why -t TOPIC/)
      assert.equal(full.code, 1)
      writeFileSync(join(folder, 'large'), Buffer.alloc(750_001))
      for (const [argv, error] of [
        [['publish', '-m', 'x'], '-t TOPIC missing'],
        [['publish', '-t', 'a/#', '-m', 'x'], 'a message has a topic without wildcards'],
        [['publish', '-t', 'a'], 'give the payload in one way'],
        [['publish', '-t', 'a', '-m', 'x', '-n'], 'give the payload in one way'],
        [['publish', '-t', 'a', '-f', join(folder, 'none')], 'ENOENT'],
        [['publish', '-t', 'a', '-f', join(folder, 'large')], 'use recado pub for larger ones'],
        [['publish', '-t', '$SYS/broker/version', '-m', 'x'], 'belongs to the broker'],
      ] as const) {
        const { code, err } = await ask(...argv)
        assert.equal(code, 1, argv.join(' '))
        assert.ok(err.includes(error), err)
      }
    },
  )
})

test('recado reload says what was read, and fails where a file cannot be', async (context) => {
  let acl = ''
  const { program, ask } = await started(context, (folder) => {
    acl = join(folder, 'acl')
    writeFileSync(acl, 'topic readwrite #\n')
    return [`acl_file ${acl}`]
  })
  const good = await ask('reload')
  assert.equal(good.code, 0, good.err)
  assert.match(good.err, /recado\.conf read again\./)
  assert.match(good.err, /ACL file \S+acl read again\./)
  writeFileSync(acl, 'nonsense\n')
  const bad = JSON.parse((await ask('reload', '--json')).out)
  assert.equal(bad.isDone, false)
  assert.ok(
    bad.lines.some((line: string) => /ACL file .* stays as it was: /.test(line)),
    String(bad.lines),
  )
  await program.stop('SIGTERM')
})

test('recado backup --url fetches a data file that a broker can be started with', async (context) => {
  const { program, url, folder, ask } = await started(context)
  assert.equal((await ask('retained', 'set', 'kept', '-m', 'yes')).code, 0)
  const file = join(folder, 'copy.mdb')
  const made = await ask('backup', file)
  assert.equal(made.code, 0, made.err)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual([existsSync(`${file}.part`), (await ask('backup', file)).code], [false, 1])
  const restored = join(folder, 'restored')
  mkdirSync(restored)
  copyFileSync(file, join(restored, 'recado.mdb'))
  const lines = join(folder, 'lines.jsonl')
  assert.equal((await run('export', restored, lines)).code, 0)
  assert.match(readFileSync(lines, 'utf8'), /"topic":"kept"/)
  const unknown = await run('backup', join(folder, 'x'), '--url', url)
  assert.deepEqual([unknown.code, existsSync(join(folder, 'x.part'))], [1, false])
  assert.match(unknown.err, /^recado backup: .*This needs the role admin/)
  assert.match((await ask('backup', join(folder, 'y'), '--data', folder)).err, /give --url, or the folder/)
  await program.stop('SIGTERM')
})

test('/readyz says that the broker is stopping, for as long as it waits for a client', async (context) => {
  const { program, url, folder, ask } = await started(context)
  // A client that does not read what waits for it.
  const socket = connectSocket({ port: program.port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  context.after(() => socket.destroy())
  const connectPacket = [0x10, 13, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 60, 0, 1, 0x61]
  socket.write(Buffer.from([...connectPacket, 0x82, 6, 0, 1, 0, 1, 0x74, 0]))
  await new Promise((resolve) => socket.once('data', resolve))
  socket.pause()
  writeFileSync(join(folder, 'large'), Buffer.alloc(700_000))
  for (;;) {
    await ask('publish', '-t', 't', '-f', join(folder, 'large'))
    const { waitingBytes } = JSON.parse((await ask('clients', 'a', '--json')).out)
    if (waitingBytes > 0) break
  }
  program.child.kill('SIGTERM')
  for (;;) {
    const { problems } = JSON.parse((await ask('status', '--ready', '--json')).out)
    if (problems.length === 0) continue
    assert.deepEqual(problems, ['The broker is stopping.'])
    break
  }
  assert.equal((await run('status', '--ready', '--url', url)).code, 1)
  socket.destroy()
  assert.equal(await program.ended(), 0)
})
