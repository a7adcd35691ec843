/** `recado pub`, `sub` and `rr` beside mosquitto_pub, mosquitto_sub and mosquitto_rr: same arguments, same server, same answers. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, before, suite, type TestContext, test } from 'node:test'
import { createBroker } from '@recado/broker'
import { type Client, connect } from '@recado/client'
import { freePort, Relay, testCertificate, testKey } from '@recado/client/testing'
import { peerPath, skipWithout } from '@recado/testkit'
import { asArguments } from './mosquitto-messages.ts'
import { runPub } from './pub.ts'
import { runRr } from './rr.ts'
import { runSub } from './sub.ts'

type Tool = 'pub' | 'sub' | 'rr'

interface Result {
  code: number | null
  out: string
  err: string
}

const skip = skipWithout('mosquitto', 'mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr')
const programs = { pub: runPub, sub: runSub, rr: runRr }
const TEST_MS = 300_000

class Recorder extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('latin1')
    done()
  }
}

/**
 * Removes differences that are natural: names of the program, identifiers that a server or client makes (libmosquitto
 * also counts QoS 0 messages, though no packet has that number).
 */
function plain(text: string): string {
  return text.replace(/^Client \S+ /gm, 'Client ID ').replace(/\b([Mm]id: |m)\d+(?=[,):])/g, '$1N')
}

async function ours(tool: Tool, argv: string[], stdin: string): Promise<Result> {
  const stdout = new Recorder()
  const stderr = new Recorder()
  const io = { stdin: Readable.from([Buffer.from(stdin)]), stdout, stderr, signals: new EventEmitter(), env: {} }
  const code = await programs[tool](['--as-mosquitto', '2.0', ...argv], io)
  return { code, out: plain(stdout.text), err: plain(stderr.text) }
}

async function theirs(tool: Tool, argv: string[], stdin: string): Promise<Result> {
  // As in our own tests: no options from the files of whoever runs them.
  const env = { ...process.env, HOME: '/nowhere', XDG_CONFIG_HOME: '/nowhere' }
  const child = spawn(peerPath(`mosquitto_${tool}`), argv, { env })
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString('latin1')
  })
  child.stderr.on('data', (data: Buffer) => (err += data.toString('latin1')))
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out: plain(out), err: plain(err) }
}

suite('the client commands beside the Mosquitto clients', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-cli-'))
  const file = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  let server: ChildProcess
  let port: number
  let pskPort: number
  let relay: Relay
  let responder: Client
  let address: string[]

  before(async () => {
    port = await freePort()
    pskPort = await freePort()
    // A listener's own settings need `per_listener_settings`; everybody may come in at all of them.
    const conf = file(
      'conf',
      [
        'allow_anonymous true',
        'user root',
        `acl_file ${file('acl', 'topic readwrite ok/#\ntopic read denied/#\n')}`,
        `listener ${port} 127.0.0.1`,
        `listener 0 ${join(folder, 'socket')}`,
        `listener ${pskPort} 127.0.0.1`,
        'psk_hint hint',
        `psk_file ${file('psk', 'ann:c0ffee\n')}`,
        '',
      ].join('\n'),
    )
    server = spawn(peerPath('mosquitto'), ['-c', conf], { stdio: 'ignore' })
    responder = await connect(`mqtt://127.0.0.1:${port}`, {
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 50, retry: () => true },
    })
    await responder.respond('ok/ask/#', { qos: 2 }, (request) => `answer to "${request.text()}"`).ready
    relay = await Relay.start(port, true)
    file('ca.pem', testCertificate)
    file('key.pem', testKey)
    address = ['-h', '127.0.0.1', '-p', String(port)]
  })
  after(async () => {
    responder.destroy()
    await relay.stop()
    if (server.exitCode === null) {
      server.kill('SIGKILL')
      await once(server, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })

  async function same(tool: Tool, argv: string[], stdin = ''): Promise<Result> {
    const [our, their] = [await ours(tool, argv, stdin), await theirs(tool, argv, stdin)]
    assert.deepEqual(our, their, `${tool} ${argv.join(' ')}`)
    return our
  }

  test('recado rr prints what mosquitto_rr prints', { timeout: TEST_MS }, async () => {
    const ask = [...address, '-t', 'ok/ask/1', '-e', 'ok/reply']
    assert.deepEqual(await same('rr', [...ask, '-m', 'hi']), { code: 0, out: 'answer to "hi"\n', err: '' })
    for (const more of [
      ['-n', '-q', '1', '-v'],
      ['-m', 'two', '-q', '2', '-N'],
      ['-m', 'three', '-F', '%t|%q|%p|%D|%R', '-D', 'publish', 'correlation-data', '42'],
      ['-m', 'x', '-W', '20', '--pretty', '-R'],
    ]) {
      assert.equal((await same('rr', [...ask, ...more])).code, 0)
    }
    // mosquitto_rr 2.0 publishes nothing of what it reads.
    assert.equal((await ours('rr', [...ask, '-s'], 'from stdin')).out, 'answer to "from stdin"\n')
    const named = ['-f', file('request', 'from a file')]
    assert.equal((await ours('rr', [...ask, ...named], '')).out, 'answer to "from a file"\n')
  })

  test('recado rr ends as mosquitto_rr ends', { timeout: TEST_MS }, async () => {
    const ask = ['-t', 'ok/nobody', '-e', 'ok/reply', '-m', 'hi']
    assert.deepEqual(await same('rr', [...address, ...ask, '-W', '1']), { code: 27, out: '', err: 'Timed out\n' })
    assert.equal((await same('rr', [...address, ...ask, '-W', '1', '-V', 'mqttv311', '-d'])).code, 27)
    assert.equal((await same('rr', ['-h', '127.0.0.1', '-p', String(await freePort()), ...ask])).code, 1)
    for (const wrong of [
      ['-t', 'a', '-m', 'x'],
      ['-t', 'a', '-e', 'b'],
      ['-e', 'b', '-m', 'x'],
      ['-t', 'a', '-e', 'b/#', '-m', 'x'],
      ['-t', 'a', '-e', 'b', '-m', 'x', '-r'],
      ['-t', 'a', '-e', 'b', '-l'],
      ['-t', 'a', '-e', 'b', '-m', 'x', '-C', '1'],
      ['-e'],
    ]) {
      assert.equal((await same('rr', [...address, ...wrong])).code, 1)
    }
  })

  test('recado rr says at once that a request is refused', { timeout: TEST_MS }, async () => {
    const result = await ours('rr', [...address, '-t', 'denied/a', '-e', 'ok/reply', '-m', 'x', '-q', '1'], '')
    assert.deepEqual(result, { code: 1, out: '', err: 'Error: Publish failed: Not authorized.\n' })
  })

  test('-d prints the same lines, at every version and QoS', { timeout: TEST_MS }, async () => {
    await responder.publish('ok/debug/x', 'y', { qos: 2, retain: true })
    for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
      for (const qos of ['0', '1', '2']) {
        // 3.1 needs an identifier; without, both make their own.
        const common = [...address, '-V', version, '-q', qos, '-d', '-i', 'one']
        const printed = await same('pub', [...common, '-t', 'ok/debug', '-m', 'x'])
        assert.match(printed.out, /sending DISCONNECT\n$/)
        const read = [...common, '-t', 'ok/debug/+', '-t', 'ok/more', '-C', '1']
        const results = [await ours('sub', read, ''), await theirs('sub', read, '')]
        // Whether the last acknowledgement is printed before the end is a matter of moments.
        const [our, their] = results.map(({ code, out }) => [
          code,
          out.replace(/^.*(?:PUB(?:ACK|REC|REL|COMP)).*\n/gm, ''),
        ])
        assert.deepEqual(our, their)
      }
    }
    await same('pub', [...address, '-t', 'ok/a', '-n', '-d', '-r', '--repeat', '2', '-q', '1', '-i', 'one'])
    const asked = [...address, '-t', 'ok/ask/d', '-e', 'ok/reply', '-m', 'x', '-d', '-i', 'one']
    // mosquitto_rr leaves without DISCONNECT, so that the server publishes its Will; we say goodbye.
    const [our, their] = [await ours('rr', asked, ''), await theirs('rr', asked, '')]
    assert.equal(our.out, `${their.out}Client ID sending DISCONNECT\n`)
  })

  test('TLS by --cafile, --capath, --insecure and -L, certificates of our own, TLS-PSK, and a unix-domain socket', {
    timeout: TEST_MS,
  }, async () => {
    const message = ['-t', 'ok/tls', '-m', 'x', '-q', '1']
    const trusted = ['--cafile', join(folder, 'ca.pem')]
    const localhost = ['-h', 'localhost', '-p', String(relay.port)]
    const numeric = ['-h', '127.0.0.1', '-p', String(relay.port)]
    assert.equal((await same('pub', [...localhost, ...trusted, ...message])).code, 0)
    assert.equal((await same('pub', [...localhost, ...trusted, ...message, '--tls-version', 'tlsv1.2'])).code, 0)
    assert.equal((await same('pub', [...numeric, ...trusted, '--insecure', ...message])).code, 0)
    const own = ['--cert', join(folder, 'ca.pem'), '--key', join(folder, 'key.pem')]
    assert.equal((await same('pub', [...localhost, ...trusted, ...own, ...message])).code, 0)
    const authorities = join(folder, 'authorities')
    mkdirSync(authorities)
    // As `openssl rehash` leaves it: the file by the hash of its name.
    const { stdout: hash } = spawnSync('openssl', ['x509', '-hash', '-noout', '-in', join(folder, 'ca.pem')], {
      encoding: 'utf8',
    })
    writeFileSync(join(authorities, `${hash.trim()}.0`), testCertificate)
    assert.equal((await same('pub', [...localhost, '--capath', authorities, ...message])).code, 0)
    const precise = ['--tls-version', 'tlsv1.2', '--ciphers', 'ECDHE-ECDSA-AES128-GCM-SHA256', '--tls-alpn', 'mqtt']
    assert.equal((await same('pub', [...localhost, ...trusted, ...precise, ...message])).code, 0)
    assert.equal((await same('pub', [...address, '-A', '127.0.0.1', '--nodelay', ...message])).code, 0)
    for (const wrong of [
      [...localhost, '--cafile', join(folder, 'missing.pem'), ...message],
      [...localhost, ...trusted, '--cert', join(folder, 'ca.pem'), ...message],
      [...localhost, ...trusted, '--tls-version', 'sslv3', ...message],
      [...localhost, ...trusted, '--psk', 'aa', '--psk-identity', 'ann', ...message],
      [...localhost, '--psk', 'aa', ...message],
    ]) {
      assert.equal((await same('pub', wrong)).code, 1)
    }
    // What OpenSSL and Node say about a certificate differs in words.
    for (const untrusted of [
      [...numeric, ...trusted, ...message],
      [...localhost, '--tls-use-os-certs', ...message],
    ]) {
      const [our, their] = [await ours('pub', untrusted, ''), await theirs('pub', untrusted, '')]
      assert.notEqual(their.code, 0)
      assert.equal(our.code, 1)
      assert.match(our.err, /TLS/)
    }
    const psk = ['-h', '127.0.0.1', '-p', String(pskPort), '--psk-identity', 'ann']
    assert.equal((await same('pub', [...psk, '--psk', 'c0ffee', ...message])).code, 0)
    assert.notEqual((await ours('pub', [...psk, '--psk', 'c0ffef', ...message], '')).code, 0)
    assert.equal((await same('pub', ['--unix', join(folder, 'socket'), ...message])).code, 0)
    assert.equal(
      (await same('rr', ['--unix', join(folder, 'socket'), '-t', 'ok/ask/u', '-e', 'ok/u', '-m', 'u'])).code,
      0,
    )
    assert.equal((await same('pub', ['-L', `mqtt://127.0.0.1:${port}/ok/url`, '-m', 'x', '-q', '2'])).code, 0)
    assert.equal((await same('pub', ['-L', `http://127.0.0.1:${port}/ok/url`, '-m', 'x'])).code, 1)
  })

  test('what is refused, and what is printed of it, is the same', { timeout: TEST_MS }, async () => {
    await responder.publish('ok/kept', 'kept', { qos: 1, retain: true })
    await responder.publish('ok/empty', 'x', { qos: 1, retain: true })
    const message = ['-t', 'ok/a', '-m', 'x']
    for (const wrong of [
      ['sub', '-U', 'ok/kept'],
      ['sub', '-t', 'ok/kept', '-i', ''],
      ['sub', '-t', 'ok/kept', '-i', '', '-c'],
      ['pub', ...message, '--keyform', 'pem'],
      ['pub', ...message, '--keyform', 'file'],
      ['pub', ...message, '--tls-engine-kpass-sha1', 'hash'],
      ['pub', ...message, '-D', 'publish', 'content-type', 'x', '-D', 'publish', 'content-type', 'y'],
      ['pub', ...message, '-D', 'connect', 'receive-maximum', '5', '-D', 'connect', 'receive-maximum', '6'],
      ['pub', ...message, '-q', '3'],
      ['pub', ...message, '-V', '9'],
      ['pub', ...message, '--will-topic', 'a/+'],
      ['pub', '--nope'],
      ['sub', '-t', 'a#'],
      ['sub'],
    ] as [Tool, ...string[]][]) {
      const [tool, ...argv] = wrong
      assert.equal((await same(tool, [...address, ...argv])).code, 1)
    }
    // Of a filter that is subscribed to and ended at once what is retained comes.
    assert.equal(
      (await same('sub', [...address, '-t', 'ok/kept', '-U', 'ok/kept', '-C', '1', '-W', '20'])).out,
      'kept\n',
    )
    // An empty payload has a line only with -v.
    for (const more of [['-v'], ['-v', '-N'], []]) {
      const both: Result[] = []
      for (const [tool, run] of [
        ['recado', ours],
        ['mosquitto', theirs],
      ] as const) {
        const topic = `ok/empty/${tool}`
        const ended = run('sub', [...address, '-t', topic, '-C', '2', '-W', '20', '-q', '1', ...more], '')
        // Until it is subscribed it does not get both.
        const timer = setInterval(() => {
          void responder.publish(topic, '', { qos: 1 })
        }, 100)
        both.push(await ended)
        clearInterval(timer)
      }
      const [our, their] = both.map(({ code, out }) => [code, out.replaceAll('mosquitto', 'recado')])
      assert.deepEqual(our, their)
    }
  })

  test('a server that breaks the first connection off is tried again; TLS broken off is exit code 8', {
    timeout: TEST_MS,
  }, async (context) => {
    let count = 0
    const rude = createServer((socket) => {
      count++
      socket.on('error', () => {})
      socket.once('data', () => socket.destroy())
    })
    context.after(() => rude.close())
    rude.listen(0, '127.0.0.1')
    await once(rude, 'listening')
    const at = ['-h', '127.0.0.1', '-p', String((rude.address() as AddressInfo).port)]
    for (const run of [ours, theirs]) {
      count = 0
      const timedOut = await run('sub', [...at, '-t', 'a', '-W', '3'], '')
      // Mosquitto's says nothing at all when there never was a connection.
      assert.deepEqual([timedOut.code, timedOut.err], run === ours ? [27, 'Timed out\n'] : [255, ''])
      assert.ok(count > 1)
      assert.equal((await run('pub', [...at, '-t', 'a', '-m', 'x'], '')).code, 7)
      const tls = await run('pub', [...address, '--cafile', join(folder, 'ca.pem'), '-t', 'a', '-m', 'x'], '')
      assert.equal(tls.code, 8)
      assert.match(tls.err, /^Error: A TLS error occurred\./)
    }
  })
})

/** A SOCKS5 proxy that takes everybody, or one user by password, and connects to this machine whatever the name is. */
async function socksProxy(context: TestContext, login: string | null): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = []
  const server = createServer(async (client) => {
    client.on('error', () => {})
    const next = async (): Promise<Buffer> => ((await once(client, 'data')) as [Buffer])[0]
    await next()
    client.write(Uint8Array.of(5, login === null ? 0 : 2))
    if (login !== null) {
      const given = await next()
      const name = given.subarray(2, 2 + given[1]!).toString()
      const password = given.subarray(3 + given[1]!).toString()
      client.write(Uint8Array.of(1, `${name}:${password}` === login ? 0 : 1))
    }
    const request = await next()
    asked.push(request.subarray(5, 5 + request[4]!).toString())
    const target = createConnection(request.readUInt16BE(request.length - 2), '127.0.0.1', () => {
      client.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
      client.pipe(target).pipe(client)
    })
    target.on('error', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, asked }
}

test('--proxy: through SOCKS5, whose server looks the name up, with and without a login', async (context) => {
  const broker = createBroker()
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0 })
  const message = ['-h', 'broker.example', '-p', String(port), '-t', 'a', '-m', 'x', '-q', '1']
  const open = await socksProxy(context, null)
  assert.deepEqual(await ours('pub', [...message, '--proxy', `socks5h://127.0.0.1:${open.port}`], ''), {
    ...{ code: 0, out: '', err: '' },
  })
  assert.deepEqual(open.asked, ['broker.example'])
  const closed = await socksProxy(context, 'ada:p@ss')
  const withLogin = [...message, '--proxy', `socks5h://ada:p%40ss@127.0.0.1:${closed.port}`]
  assert.equal((await ours('pub', withLogin, '')).code, 0)
  const wrong = await ours('pub', [...message, '--proxy', `socks5h://ada:x@127.0.0.1:${closed.port}`], '')
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /^Error: .*[Aa]uth/)
  assert.match((await ours('pub', [...message, '--proxy', 'http://x'], '')).err, /^Error: Unsupported proxy protocol/)
})

test('a key that is encrypted: its pass phrase is in a file, or there is an error that says so', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-cli-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const encrypted = createPrivateKey(testKey).export({
    ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
  }) as string
  const [cert, key] = [path('cert', testCertificate), path('key', encrypted)]
  const broker = createBroker()
  context.after(() => broker.close())
  const tls = { cert: testCertificate, key: testKey, ca: [testCertificate], clientCertificate: 'required' as const }
  const { port } = await broker.listen({ port: 0, tls })
  const server = ['-h', 'localhost', '-p', String(port), '--cafile', cert, '--cert', cert, '--key', key]
  const message = [...server, '-t', 'a', '-m', 'x', '-q', '1']
  const right = await ours('pub', [...message, '--keypass-file', path('right', 'secret\n')], '')
  assert.deepEqual(right, { code: 0, out: '', err: '' })
  assert.notEqual((await ours('pub', [...message, '--keypass-file', path('wrong', 'other')], '')).code, 0)
  const none = await ours('pub', message, '')
  assert.equal(none.code, 1)
  assert.match(none.err, /^Error: The key .* is encrypted: give its pass phrase in a file \(--keypass-file\)/)
})

test('errors name the options of the command line', () => {
  assert.equal(
    asArguments('give the certificate as tls.ca, receiveMaximum is 0'),
    'give the certificate as --cafile, receive-maximum is 0',
  )
  assert.equal(asArguments('mytls.cafe and a.tls.ca stay'), 'mytls.cafe and a.tls.ca stay')
})
