import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { main } from './main.ts'
import { configFile, freePort, programPath, run, TestIo, temporaryFolder } from './testing/program.ts'
import { version } from './version.ts'

async function takenPort(context: TestContext, host = '127.0.0.1'): Promise<number> {
  const server: Server = createServer().listen(0, host)
  await once(server, 'listening')
  context.after(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Sends a 3.1.1 CONNECT and resolves with the first four bytes of the answer. */
async function connack(port: number | { path: string }): Promise<string> {
  const socket = typeof port === 'number' ? connect(port, '127.0.0.1') : connect(port.path)
  socket.write(Buffer.from('101000044d5154540402003c000474657374', 'hex'))
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return chunk.subarray(0, 4).toString('hex')
}

test('--help and --version go to stdout with exit code 0', async () => {
  assert.match((await run('--help')).out, /^recado is an MQTT/)
  assert.deepEqual(await run('--version'), { code: 0, out: `recado ${version}\n`, err: '' })
})

test('a bad option is one line and exit code 3, as in Mosquitto', async () => {
  assert.deepEqual(await run('--prot', '1'), {
    code: 3,
    out: '',
    err: 'recado: unknown option "--prot", did you mean "--port"?\n',
  })
})

test('an unreadable configuration file is one line and exit code 3', async () => {
  const { code, err } = await run('-c', '/nowhere/recado.conf')
  assert.equal(code, 3)
  assert.equal(err, '/nowhere/recado.conf: cannot be read: no such file or directory\n')
})

test('a wrong line of the configuration file is one line with its number and exit code 3', async (context) => {
  const path = configFile(context, 'listener 1883\nalow_anonymous true\n')
  assert.deepEqual(await run('-c', path), {
    code: 3,
    out: '',
    err: `${path}:2: unknown option "alow_anonymous", did you mean "allow_anonymous"?\n`,
  })
})

test('a taken port is one line and exit code 1', async (context) => {
  const port = await takenPort(context)
  const { code, err } = await run('-p', String(port), '--data', temporaryFolder(context))
  assert.equal(code, 1)
  assert.match(err, new RegExp(`^recado: cannot listen on 127\\.0\\.0\\.1:${port}: the address is in use.*\n$`))
})

test('a pid file that cannot be written is one line and exit code 14', async (context) => {
  const port = await freePort()
  const pid = await run(
    '-c',
    configFile(context, `listener ${port} 127.0.0.1\npid_file /nowhere/a.pid\nlog_dest none\n`),
  )
  assert.equal(pid.code, 14)
  assert.match(pid.err, /^recado: the pid file cannot be written: .*\n$/)
})

test('--test-config says what is wrong, or that nothing is', async (context) => {
  const path = configFile(context, 'listener 1883\nautosave_interval 60\n')
  const { code, out, err } = await run('--test-config', '-c', path)
  assert.equal(code, 0)
  assert.equal(out, `${path} is fine.\n`)
  assert.match(err, /^Warning: .*:2: autosave_interval has no effect/)
  assert.equal((await run('--test-config', '-c', '/nowhere')).code, 3)
  assert.deepEqual(await run('--test-config'), {
    code: 3,
    out: '',
    err: 'recado: --test-config needs a configuration file (-c FILE)\n',
  })
})

test('--test-config warns about certificates with which a bridge cannot connect', async (context) => {
  const bridge = (lines: string): string =>
    configFile(context, `listener 1883\nconnection cloud\naddress broker.example\ntopic # out\n${lines}\n`)
  const missing = bridge('bridge_cafile /nowhere/ca.pem')
  const { code, out, err } = await run('--test-config', '-c', missing)
  assert.deepEqual([code, out], [0, `${missing} is fine.\n`])
  assert.match(err, /:2: bridge cloud cannot connect: bridge_cafile \/nowhere\/ca\.pem cannot be read: ENOENT/)
  const noAuthority = bridge('bridge_cafile FOLDER/recado.conf')
  assert.match(
    (await run('--test-config', '-c', noAuthority)).err,
    /:2: bridge cloud cannot connect: bridge_cafile \S+recado\.conf has no certificate: name a PEM file that has one$/m,
  )
  const noKey = bridge(
    'bridge_tls_use_os_certs true\nbridge_certfile FOLDER/recado.conf\nbridge_keyfile FOLDER/recado.conf',
  )
  assert.match(
    (await run('--test-config', '-c', noKey)).err,
    /:2: bridge cloud cannot connect: its TLS options are not usable: /,
  )
  assert.equal((await run('--test-config', '-c', bridge('bridge_tls_use_os_certs true'))).err, '')
})

test('without a configuration it says where it listens and what to try, and SIGTERM ends it with exit code 0', async (context) => {
  const port = await freePort()
  const io = new TestIo()
  const code = main(['-p', String(port), '--data', temporaryFolder(context)], io)
  await io.until(() => io.out.includes('Ctrl-C'))
  assert.match(io.out, new RegExp(`recado ${version.replaceAll('.', '\\.')} is listening on 127\\.0\\.0\\.1:${port}`))
  assert.match(io.out, /^Sessions and messages are kept in \/.*\.$/m)
  assert.match(
    io.err,
    /Data is kept in \/.* \(durability fsync\): 0 sessions, 0 messages waiting, 0 retained messages\.$/m,
  )
  assert.match(io.out, new RegExp(`mosquitto_sub -p ${port} -v -t 'hello/#'`))
  assert.match(io.err, /^\d+: recado version \S+ starting$/m)
  assert.match(io.err, /^\d+: recado version \S+ running$/m)
  assert.equal(await connack(port), '20020000')
  io.signals.emit('SIGTERM')
  assert.equal(await code, 0)
  assert.match(io.err, /recado version \S+ terminating\n/)
  assert.equal(io.signals.eventNames().length, 0)
})

test('with a configuration file it listens where that says, logs where that says, and keeps stdout free', async (context) => {
  const port = await freePort()
  const path = configFile(
    context,
    `listener ${port} 127.0.0.1\nlistener 0 FOLDER/recado.sock\nallow_anonymous true\npid_file FOLDER/recado.pid
log_dest file FOLDER/recado.log\nlog_dest stderr\nlog_style json\nautosave_interval 60\n`,
  )
  const folder = join(path, '..')
  const io = new TestIo()
  const code = main(['-c', path], io)
  await io.until(() => io.err.includes('broker.running'))
  assert.equal(await connack(port), '20020000')
  assert.equal(await connack({ path: join(folder, 'recado.sock') }), '20020000')
  assert.equal(readFileSync(join(folder, 'recado.pid'), 'utf8'), String(process.pid))
  io.signals.emit('SIGINT')
  assert.equal(await code, 0)
  assert.equal(io.out, '')
  assert.equal(io.err, readFileSync(join(folder, 'recado.log'), 'utf8'))
  assert.equal(existsSync(join(folder, 'recado.pid')), false)
  const events = readFileSync(join(folder, 'recado.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; message: string })
  const names = events.map(({ event }) => event)
  for (const name of [
    'broker.starting',
    'config.loaded',
    'config.warning',
    'store.loaded',
    'listener.started',
    'client.connected',
    'broker.stopping',
  ]) {
    assert.ok(names.includes(name), `${name} in ${names.join(' ')}`)
  }
  assert.match(
    events.find(({ event }) => event === 'config.warning')?.message ?? '',
    /:8: autosave_interval has no effect/,
  )
})

test('a configured listener refuses anonymous clients unless they are allowed, and the log says so', async (context) => {
  const port = await freePort()
  const io = new TestIo()
  const code = main(['-c', configFile(context, `listener ${port} 127.0.0.1\n`)], io)
  await io.until(() => io.err.includes('running'))
  assert.match(io.err, /nobody can connect\. Set allow_anonymous\./)
  assert.equal(await connack(port), '20020005')
  io.signals.emit('SIGTERM')
  assert.equal(await code, 0)
})

test('SIGHUP is logged and changes nothing', async (context) => {
  const port = await freePort()
  const io = new TestIo()
  const code = main(['-p', String(port), '--data', temporaryFolder(context)], io)
  await io.until(() => io.out.includes('Ctrl-C'))
  io.signals.emit('SIGHUP')
  assert.match(io.err, /Reloading config\./)
  assert.equal(await connack(port), '20020000')
  io.signals.emit('SIGTERM')
  assert.equal(await code, 0)
})

test('a second signal exits at once with 1', async (context) => {
  const port = await freePort()
  const io = new TestIo()
  const code = main(['-p', String(port), '--data', temporaryFolder(context)], io)
  await io.until(() => io.out.includes('Ctrl-C'))
  io.signals.emit('SIGINT')
  io.signals.emit('SIGINT')
  assert.equal(io.exited, 1)
  await code
})

test('the executable itself runs, and ends with exit code 0 on SIGINT and SIGTERM', async (context) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const port = await freePort()
    const child: ChildProcess = spawn(
      process.execPath,
      [programPath, '-p', String(port), '--data', temporaryFolder(context)],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
    context.after(() => child.kill('SIGKILL'))
    let out = ''
    for await (const chunk of child.stdout!) {
      out += String(chunk)
      if (out.includes('Ctrl-C')) break
    }
    const ended = once(child, 'exit')
    assert.equal(await connack(port), '20020000')
    child.kill(signal)
    assert.deepEqual(await ended, [0, null])
  }
})

test('--as-mosquitto in front of a command is for that command', async () => {
  for (const front of [['--as-mosquitto', '2.0'], ['--as-mosquitto=2.0']]) {
    const { code, err } = await run(...front, 'sub')
    assert.equal(code, 1)
    assert.match(err, /^Error: You must specify a topic to subscribe to\.\n\nUse 'mosquitto_sub --help'/)
  }
})

test('pub and sub are dispatched with their own arguments', async () => {
  const pub = await run('pub', '--nonsense')
  assert.notEqual(pub.code, 0)
  assert.match(pub.err, /nonsense/)
  const sub = await run('sub', '--nonsense')
  assert.notEqual(sub.code, 0)
  assert.match(sub.err, /nonsense/)
})

test('--test-config finds what would end a start, and makes nothing', async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'recado.conf')
  const head = `listener 1883\npersistence_location ${folder}/data\n`
  const cases: [string, number, RegExp][] = [
    [`${head}password_file ${folder}/none\n`, 13, /:3: password_file .*none cannot be read: no such file/],
    [`${head}acl_file ${folder}/none\n`, 13, /:3: acl_file .*none cannot be read: no such file/],
    [`${head}acl_file ${folder}/acl\n`, 13, /acl:1: .*redd/],
    [`${head}jwt_key_file ${folder}/none\n`, 13, /:3: jwt_key_file .*none cannot be read: no such file/],
    [`${head}user nosuchuser\n`, 1, /there is no user "nosuchuser"/],
    [`listener 1883\npersistence_location /proc/nope\n`, 1, /cannot keep data in \/proc\/nope: /],
    [`listener 1883\npersistence_location ${file}/data\n`, 1, /cannot keep data in .*recado\.conf is not a folder/],
    [`${head}pid_file ${folder}/none/pid\n`, 14, /the pid file .* cannot be written: there is no folder/],
    [`${head}certfile ${folder}/none\nkeyfile ${folder}/none\n`, 3, /none cannot be read: no such file/],
  ]
  writeFileSync(join(folder, 'acl'), 'topic redd #\n')
  for (const [text, exitCode, expected] of cases) {
    writeFileSync(file, text)
    const { code, out, err } = await run('--test-config', '-c', file)
    assert.deepEqual([code, out], [exitCode, ''], text)
    assert.match(err, expected)
    assert.equal(err.split('\n').length, 2, err)
  }
  writeFileSync(file, `${head}log_dest file ${folder}/none/log\n`)
  const { code, err } = await run('--test-config', '-c', file)
  assert.equal(code, 0)
  assert.match(err, /^Warning: the log cannot be written to .*none\/log: /m)
  assert.deepEqual(readdirSync(folder).sort(), ['acl', 'recado.conf'])
})

test('a unix socket: a path that is too long, and a file of that name, are each said', async (context) => {
  const folder = temporaryFolder(context)
  const path = configFile(context, `listener 0 /tmp/${'x'.repeat(110)}\n`)
  assert.match(
    (await run('-c', path)).err,
    /:1: listener 0: the path of a unix socket has at most 107 bytes, this one 115\n$/,
  )
  const taken = configFile(context, `listener 0 ${folder}/file\n`)
  writeFileSync(join(folder, 'file'), 'of somebody')
  const expected = /cannot listen on .*file: a file of that name exists that is not a socket/
  assert.match((await run('--test-config', '-c', taken)).err, expected)
  assert.match((await run('-c', taken)).err, expected)
  assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'of somebody')
})

test('an address that this machine does not have is a warning of --test-config', async (context) => {
  const { code, err } = await run('--test-config', '-c', configFile(context, 'listener 1883 192.0.2.77\n'))
  assert.equal(code, 0)
  assert.match(err, /^Warning: cannot listen on 192\.0\.2\.77:1883: this machine does not have that address now$/m)
})

test('max_connections 0 is no limit', async (context) => {
  const port = await freePort()
  const io = new TestIo()
  const config = configFile(context, `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_connections 0\n`)
  const code = main(['-c', config], io)
  await io.until(() => io.err.includes('running'))
  assert.equal(await connack(port), '20020000')
  io.signals.emit('SIGTERM')
  assert.equal(await code, 0)
})

test("a fault in the configuration has Mosquitto's line before ours with --as-mosquitto", async (context) => {
  const path = configFile(context, 'listener 1883\nmax_packet_size 19\n')
  const { code, err } = await run('-c', path, '--as-mosquitto', '2.1')
  assert.equal(code, 3)
  const [said, place, own, rest] = err.split('\n')
  assert.match(said!, /^\d+: Error: 'max_packet_size' must be >= 20\.$/)
  assert.match(place!, /^\d+: Error found at .*recado\.conf:2\.$/)
  assert.match(own!, /recado\.conf:2: max_packet_size must be from 20 to /)
  assert.equal(rest, '')
})

test('Mosquitto 2.1 does not start with a damaged password file; we do', async (context) => {
  const port = await freePort()
  const path = configFile(context, `listener ${port} 127.0.0.1\npassword_file FOLDER/passwords\n`)
  const passwords = join(path, '../passwords')
  writeFileSync(passwords, 'ada:nonsense\n', { mode: 0o600 })
  const { code, err } = await run('-c', path, '--as-mosquitto', '2.1')
  assert.equal(code, 13)
  assert.match(err, /password-file: Error: Unable to decode line in password file '.*passwords'\. .*passwords:1: mend/)
  for (const own of [[], ['--as-mosquitto', '2.0']]) {
    const checked = await run('-c', path, '--test-config', ...own)
    assert.equal(checked.code, 0, checked.err)
    assert.match(checked.err, /passwords:1: the password of user "ada" is not a hash/)
  }
})

test('a start in a working folder that has been removed is one line and exit code 1', async (context) => {
  const folder = temporaryFolder(context)
  const script = 'rmdir "$1" && exec "$2" "$3" -c "$4"'
  const path = configFile(context, 'listener 1883 127.0.0.1\n')
  const child = spawn('sh', ['-c', script, 'sh', folder, process.execPath, programPath, path], { cwd: folder })
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const [code] = (await once(child, 'close')) as [number]
  assert.deepEqual(
    [code, err],
    [1, 'recado: the working folder has been removed: change to one that there is (cd /)\n'],
  )
})
