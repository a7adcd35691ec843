/** The option `dial`, and the TLS options that need a server: through an HTTP proxy, a SOCKS proxy, a stream in memory. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createSecureContext, createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { Connack, Decoder, encode, OptionError } from '@recado/protocol'
import { SocksClient } from 'socks'
import { WebSocketServer } from 'ws'
import { TlsError, UnreachableError } from '../errors.ts'
import { connect } from '../mod.ts'
import { testCertificate, testKey } from '../testing/certificate.ts'
import type { DialStream, ServerAddress } from './transport.ts'

const opened: (Server | TlsServer)[] = []
const sockets = new Set<Socket>()
after(() => {
  for (const server of opened) server.close()
  for (const socket of sockets) socket.destroy()
})

async function listening<S extends Server | TlsServer>(server: S): Promise<number> {
  opened.push(server)
  server.on('connection', (socket: Socket) => void sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Accepts every CONNECT. */
function accept(socket: Socket): void {
  const decoder = new Decoder({ role: 'server' })
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    decoder.push(Uint8Array.from(chunk))
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
      if (packet.type === 1) socket.write(encode(new Connack(false, 0), 5))
      if (packet.type === 14) socket.end()
    }
  })
}

const tls = { cert: testCertificate, key: testKey }
const plainPort = await listening(createServer(accept))
const securePort = await listening(createTlsServer(tls, accept))

// ---- the recipes of the README

/** An HTTP proxy that knows CONNECT only. Counts. */
let tunnels = 0
const proxy = createHttpServer()
proxy.on('connect', ({ url }: { url: string }, client: Socket) => {
  tunnels++
  const [, port] = url.split(':')
  const server = connectTcp(Number(port), '127.0.0.1', () => {
    sockets.add(server)
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    client.pipe(server).pipe(client)
  })
  for (const end of [client, server]) end.on('error', () => {})
})
const proxyPort = await listening(proxy)

const throughHttpProxy: DialStream = ({ host, port }, signal) =>
  new Promise((resolve, reject) => {
    const tunnel = request({ host: '127.0.0.1', port: proxyPort, method: 'CONNECT', path: `${host}:${port}`, signal })
    tunnel.on('error', reject)
    tunnel.on('connect', ({ statusCode }, socket: Socket) => {
      if (statusCode === 200) resolve(socket)
      else {
        socket.destroy()
        reject(new Error(`the proxy answered ${statusCode}`))
      }
    })
    tunnel.end()
  })

/** SOCKS5 without authentication, names only (RFC 1928). */
const socksPort = await listening(
  createServer((client) => {
    client.on('error', () => {})
    client.once('data', () => {
      client.write(Uint8Array.of(5, 0))
      client.once('data', (ask: Buffer) => {
        tunnels++
        const port = ask.readUInt16BE(ask.length - 2)
        const server = connectTcp(port, '127.0.0.1', () => {
          sockets.add(server)
          client.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
          client.pipe(server).pipe(client)
        })
        server.on('error', () => {})
      })
    })
  }),
)

const throughSocks: DialStream = async ({ host, port }) => {
  const proxy = { host: '127.0.0.1', port: socksPort, type: 5 as const }
  const { socket } = await SocksClient.createConnection({ proxy, command: 'connect', destination: { host, port } })
  return socket
}

for (const [name, dial] of [
  ['an HTTP CONNECT proxy', throughHttpProxy],
  ['a SOCKS proxy', throughSocks],
] as const) {
  test(`mqtt and mqtts through ${name}, with the certificate checked against the name of the server`, async () => {
    const before = tunnels
    await using plain = await connect(`mqtt://localhost:${plainPort}`, { dial })
    assert.equal(plain.connected, true)
    await using secure = await connect(`mqtts://localhost:${securePort}`, { dial, tls: { ca: testCertificate } })
    assert.equal(secure.connected, true)
    await assert.rejects(connect(`mqtts://localhost:${securePort}`, { dial }), TlsError)
    assert.equal(tunnels, before + 3)
  })
}

test('ws and wss through a proxy', async () => {
  for (const isTls of [false, true]) {
    const server = isTls ? createTlsServer(tls) : createServer()
    const http = createHttpServer()
    server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => http.emit('connection', socket))
    new WebSocketServer({ server: http }).on('connection', (socket) => {
      socket.once('message', () => socket.send(encode(new Connack(false, 0), 5)))
    })
    const port = await listening(server)
    const scheme = isTls ? 'wss' : 'ws'
    const options = { dial: throughHttpProxy, tls: { ca: testCertificate } }
    const client = await connect(`${scheme}://localhost:${port}/mqtt`, options)
    assert.equal(client.connected, true)
    client.destroy()
  }
})

test('dial is told where to, and what it throws or returns wrongly is said', async () => {
  const asked: ServerAddress[] = []
  const failing: DialStream = (address) => {
    asked.push(address)
    throw new Error('the proxy is down')
  }
  await assert.rejects(connect('mqtts://broker.test:8884', { dial: failing }), (error) => {
    assert.ok(error instanceof UnreachableError)
    assert.match(error.message, /dial failed: the proxy is down/)
    return true
  })
  assert.deepEqual([asked[0]!.host, asked[0]!.port, asked[0]!.scheme], ['broker.test', 8884, 'mqtts'])
  for (const bad of [undefined, null, 5, {}]) {
    const dial = (() => bad) as unknown as DialStream
    await assert.rejects(connect('mqtt://h', { dial }), OptionError)
  }
  const closed: DialStream = () => connectTcp(plainPort, '127.0.0.1').destroy()
  await assert.rejects(connect('mqtt://h', { dial: closed }), UnreachableError)
  const never: DialStream = () => new Promise(() => {})
  await assert.rejects(connect('mqtt://h', { dial: never, connectTimeoutMs: 20 }), { code: 'ERR_MQTT_CONNECT_TIMEOUT' })
})

test('an abort while dial is under way closes the stream that comes too late', async () => {
  const abort = new AbortController()
  let late: Socket | null = null
  const dial: DialStream = async () => {
    late = connectTcp(plainPort, '127.0.0.1')
    await once(late, 'connect')
    abort.abort(new Error('enough'))
    return late
  }
  await assert.rejects(connect('mqtt://h', { dial, signal: abort.signal }), /enough/)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(late!.destroyed, true)
})

test('tls.checkServerIdentity as a function decides', async () => {
  const seen: unknown[] = []
  const url = `mqtts://127.0.0.1:${securePort}`
  const accepting = (hostname: string, certificate: object): undefined => {
    seen.push([hostname, (certificate as { subject: { CN: string } }).subject.CN])
  }
  await using client = await connect(url, { tls: { ca: testCertificate, checkServerIdentity: accepting } })
  assert.equal(client.connected, true)
  assert.deepEqual(seen, [['127.0.0.1', 'localhost']])
  const refusing = (): Error => new Error('not that one')
  await assert.rejects(connect(url, { tls: { ca: testCertificate, checkServerIdentity: refusing } }), /not that one/)
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

test('tls.pfx and tls.secureContext', { skip: hasOpenssl ? false : 'openssl is not installed' }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-pfx-'))
  try {
    writeFileSync(join(folder, 'cert.pem'), testCertificate)
    writeFileSync(join(folder, 'key.pem'), testKey)
    const files = ['-in', join(folder, 'cert.pem'), '-inkey', join(folder, 'key.pem'), '-out', join(folder, 'all.p12')]
    assert.equal(spawnSync('openssl', ['pkcs12', '-export', ...files, '-passout', 'pass:secret']).status, 0)
    const port = await listening(
      createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true, ca: testCertificate }, accept),
    )
    const pfx = Uint8Array.from(readFileSync(join(folder, 'all.p12')))
    const ca = testCertificate
    const url = `mqtts://localhost:${port}`
    await using withPfx = await connect(url, { tls: { pfx, passphrase: 'secret', ca } })
    assert.equal(withPfx.connected, true)
    const secureContext = createSecureContext({ ...tls, ca })
    await using withContext = await connect(url, { tls: { secureContext } })
    assert.equal(withContext.connected, true)
    await assert.rejects(connect(url, { tls: { ca } }))
    await assert.rejects(connect(url, { tls: { pfx, passphrase: 'wrong', ca } }), TlsError)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
