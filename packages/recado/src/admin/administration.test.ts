import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from '@recado/client'
import { main } from '../main.ts'
import { configFile, freePort, Program, run, TestIo, temporaryFolder } from '../testing/program.ts'
import { version } from '../version.ts'

interface Got {
  status: number
  text: string
  headers: NodeJS.Dict<string | string[]>
}

/** Sends a GET with the path unchanged: `fetch` would resolve `..` by itself. */
function get(port: number, path: string, login?: string, method = 'GET'): Promise<Got> {
  const options = {
    host: '127.0.0.1',
    port,
    path,
    method,
    agent: false,
    ...(login === undefined ? {} : { auth: login }),
  }
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
    })
    sent.on('error', reject).end()
  })
}

async function started(context: TestContext, lines: (port: number, folder: string) => string[]) {
  const folder = temporaryFolder(context)
  const port = await freePort()
  const program = await Program.start(context, await freePort(), lines(port, folder))
  return { port, folder, program }
}

test('http_api answers GET of version, listeners and the numbers of $SYS', async (context) => {
  const { port, program } = await started(context, (api) => [`listener ${api} 127.0.0.1`, 'protocol http_api'])
  const shown = await get(port, '/api/v1/version')
  assert.deepEqual([shown.status, shown.text], [200, version])
  assert.equal(shown.headers['access-control-allow-origin'], '*')
  const { listeners } = JSON.parse((await get(port, '/api/v1/listeners?x=1')).text) as { listeners: unknown[] }
  assert.deepEqual(listeners, [
    { port: program.port, protocol: 'mqtt', tls: false, mtls: false, allow_anonymous: true },
    { port, protocol: 'httpapi', tls: false, mtls: false, allow_anonymous: true },
  ])
  const tree = JSON.parse((await get(port, '/api/v1/systree')).text) as Record<string, number>
  assert.equal(tree['$SYS/broker/clients/connected'], 0)
  assert.equal(typeof tree['$SYS/broker/uptime'], 'number')
  assert.equal((await get(port, '/api/v1/nothing')).status, 404)
  assert.equal((await get(port, '/nothing')).status, 404)
  // The dashboard, or how to build it.
  assert.match(String((await get(port, '/')).headers['content-security-policy']), /^default-src 'none'; script-src/)
  for (const method of ['POST', 'HEAD', 'OPTIONS', 'DELETE']) {
    assert.equal((await get(port, '/api/v1/version', undefined, method)).status, 405, method)
  }
  await program.stop('SIGTERM')
})

test('http_api asks for a login, and reads what the ACL file lets one receive', async (context) => {
  const { port, folder, program } = await started(context, (api, files) => {
    writeFileSync(join(files, 'acl'), 'user ada\ntopic read /api/v1/version\ntopic read /a.txt\n')
    writeFileSync(join(files, 'a.txt'), 'hello')
    writeFileSync(join(files, 'pw'), '')
    return [
      `listener ${api} 127.0.0.1`,
      'protocol http_api',
      `http_dir ${files}`,
      'listener_allow_anonymous false',
      `password_file ${files}/pw`,
      `acl_file ${files}/acl`,
    ]
  })
  assert.equal((await run('passwd', '-b', join(folder, 'pw'), 'ada', 'lovelace')).code, 0)
  assert.equal((await run('passwd', '-b', join(folder, 'pw'), 'bob', 'builder')).code, 0)
  program.child.kill('SIGHUP')
  // Until it has been read, ada is not known.
  while ((await get(port, '/api/v1/version', 'ada:lovelace')).status === 401);
  const nobody = await get(port, '/api/v1/version')
  assert.deepEqual([nobody.status, nobody.headers['www-authenticate']], [401, 'Basic realm="recado"'])
  assert.equal((await get(port, '/a.txt', 'ada:lovelace')).text, 'hello')
  for (const [path, login] of [
    ['/api/v1/version', 'ada:babbage'],
    ['/api/v1/version', 'bob:builder'],
    ['/api/v1/listeners', 'ada:lovelace'],
    ['/pw', 'ada:lovelace'],
    ['/a.txt', undefined],
    // The folder takes the place of the dashboard.
    ['/', undefined],
    ['/clients', undefined],
  ] as const) {
    assert.equal((await get(port, path, login)).status, 401, `${path} by ${login}`)
  }
  const refusals = (): number =>
    program.err.match(/Client http-api \[127\.0\.0\.1:\d+\] disconnected: not authorised\.$/gm)?.length ?? 0
  const before = refusals()
  await get(port, '/api/v1/version')
  await get(port, '/api/v1/version', 'ada:babbage')
  while (refusals() === before) await once(program.child.stderr!, 'data')
  assert.equal(refusals(), before + 1, 'a request without a login is none that failed')
  // More than wait for a check at the same time, or than may fail in a row: how many that takes depends on the machine.
  const many: Got[] = []
  for (let round = 0; round < 20 && !many.some(({ status }) => status === 503); round++) {
    many.push(...(await Promise.all(Array.from({ length: 600 }, () => get(port, '/api/v1/version', 'ada:babbage')))))
  }
  const busy = many.filter(({ status }) => status === 503)
  assert.ok(busy.length > 0, 'all logins were checked')
  for (const { headers } of busy) assert.equal(headers['retry-after'], '2')
  // 429: more than one address may ask for.
  assert.ok(many.every(({ status }) => status === 401 || status === 429 || status === 503))
  await program.stop('SIGTERM')
})

test('http_dir serves files of its folder and nothing else, beside WebSocket too', async (context) => {
  const { port, folder, program } = await started(context, (web, files) => {
    mkdirSync(join(files, 'web', 'sub'), { recursive: true })
    writeFileSync(join(files, 'secret.txt'), 'secret')
    writeFileSync(join(files, 'web', 'index.html'), '<p>hello</p>')
    writeFileSync(join(files, 'web', 'sub', 'a b.css'), 'p {}')
    writeFileSync(join(files, 'web', 'empty.txt'), '')
    symlinkSync(join(files, 'secret.txt'), join(files, 'web', 'link.txt'))
    symlinkSync('index.html', join(files, 'web', 'home.html'))
    mkdirSync(join(files, 'web', '.git'))
    writeFileSync(join(files, 'web', '.git', 'config'), 'secret')
    writeFileSync(join(files, 'web', '.env'), 'secret')
    symlinkSync('.env', join(files, 'web', 'env.txt'))
    return [`listener ${web} 127.0.0.1`, 'protocol websockets', `http_dir ${files}/web`]
  })
  const index = await get(port, '/')
  assert.deepEqual([index.status, index.text], [200, '<p>hello</p>'])
  assert.equal(index.headers['content-type'], 'text/html; charset=utf-8')
  assert.equal((await get(port, '/home.html')).status, 200, 'a link within the folder')
  assert.equal((await get(port, '/sub/a%20b.css?x')).headers['content-type'], 'text/css; charset=utf-8')
  assert.deepEqual([(await get(port, '/empty.txt')).status, (await get(port, '/empty.txt')).text], [200, ''])
  const outside = [
    '/link.txt',
    '/.env',
    '/%2eenv',
    '/.git/config',
    '/sub/..%2f.env',
    '/env.txt',
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/sub/../../secret.txt',
    '/%00',
    '/%zz',
    '/sub',
    '/none',
  ]
  for (const path of outside) assert.equal((await get(port, path)).status, 404, path)
  const client = await connect(`ws://127.0.0.1:${port}`)
  await client.publish('a', 'b', { qos: 1 })
  await client.close()
  await program.stop('SIGTERM')
  const wrong = await run(
    '--test-config',
    '-c',
    write(context, `listener 1\nprotocol http_api\nhttp_dir ${folder}/none\n`),
  )
  assert.equal(wrong.code, 3)
  assert.match(wrong.err, /a\.conf:3: http_dir .*none cannot be read: no such file or directory/)
})

function write(context: TestContext, text: string): string {
  const file = join(temporaryFolder(context), 'a.conf')
  writeFileSync(file, text)
  return file
}

test('enable_control_api answers at $CONTROL/broker/v1/response, and not without it', async (context) => {
  const { program, port } = await started(context, (api) => [
    'enable_control_api true',
    `listener ${api} 127.0.0.1`,
    'protocol http_api',
  ])
  const client = await connect(`mqtt://127.0.0.1:${program.port}`)
  const answers = client.subscribe('$CONTROL/broker/v1/response')
  await answers.ready
  await client.publish('$CONTROL/broker/v1', '{"commands":[{"command":"listListeners"}]}', { qos: 1 })
  for await (const { payload } of answers) {
    const { responses } = JSON.parse(Buffer.from(payload).toString()) as {
      responses: { data: { listeners: { port: number }[] } }[]
    }
    assert.deepEqual(
      responses[0]?.data.listeners.map((listener) => listener.port),
      [program.port, port],
    )
    break
  }
  await client.close()
  assert.match(program.err, /: Broker: \S+\/\(null\) \| listListeners$/m)
  await program.stop('SIGTERM')
  const without = await started(context, () => [])
  const other = await connect(`mqtt://127.0.0.1:${without.program.port}`)
  await assert.rejects(other.publish('$CONTROL/broker/v1', '{}', { qos: 1 }), /not authorized|Not authorized/i)
  await other.close()
  await without.program.stop('SIGTERM')
})

test('a command that nobody takes is answered as by Mosquitto 2.1', async (context) => {
  const io = new TestIo()
  const port = await freePort()
  const path = configFile(context, `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\n`)
  const ended = main(['-c', path, '--as-mosquitto', '2.1'], io)
  await io.until(() => / running$/m.test(io.err))
  const client = await connect(`mqtt://127.0.0.1:${port}`)
  const answers = client.subscribe('$CONTROL/nobody/#')
  await answers.ready
  await client.publish('$CONTROL/nobody/v1', '{"commands":[]}', { qos: 1 })
  for await (const { topic, payload } of answers) {
    assert.equal(topic, '$CONTROL/nobody/v1/response')
    assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), { error: 'endpoint not available' })
    break
  }
  await client.close()
  io.signals.emit('SIGTERM')
  assert.equal(await ended, 0)
})
