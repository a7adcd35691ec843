/** Other protocols on the listeners of a broker, and the broker on the servers of others. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, get, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { Duplex } from 'node:stream'
import { after, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { Connack, Connect, Decoder, encode, Puback, Publish } from '@recado/protocol'
import { connectionOf, http } from './adapters/http-protocol.ts'
import { type Broker, createBroker } from './broker.ts'
import type { BrokerOptions } from './broker-options.ts'
import { SocketClient, TestAuthority, upgradeRequest, WebSocketPeer } from './testing/mod.ts'

const authority = new TestAuthority('test authority')
const { cert, key } = authority.issue('localhost', { altNames: ['127.0.0.1'] })
const ada = authority.issue('ada')
const open: { close(): unknown }[] = []
after(async () => {
  for (const each of open) await each.close()
})

function brokerWith(options: BrokerOptions = {}): Broker {
  const broker = createBroker(options)
  open.push({ close: () => broker.close({ timeoutMs: 100 }) })
  return broker
}

async function listening(server: Server | ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push(server)
  return (server.address() as AddressInfo).port
}

/** Status and body. */
async function request(port: number, path: string, headers = {}): Promise<[number, string]> {
  const [response] = (await once(get({ host: '127.0.0.1', port, path, headers, agent: false }), 'response')) as [
    IncomingMessage,
  ]
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return [response.statusCode!, body]
}

/** The CONNACK of a client whose bytes go this way. */
async function connack(stream: Duplex): Promise<number> {
  const decoder = new Decoder({ role: 'client', protocolVersion: 5 })
  stream.write(encode(new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: 'c' }), 5))
  for await (const chunk of stream) {
    decoder.push(chunk as Uint8Array)
    const packet = decoder.read()
    if (packet instanceof Connack) return packet.reasonCode
  }
  throw new Error('closed without CONNACK')
}

const webSocketTo = (port: number): WebSocketPeer => new WebSocketPeer(connect(port, '127.0.0.1'))

// ---- another protocol on a listener of the broker

test('HTTP and MQTT over WebSocket share a port', async () => {
  const broker = brokerWith()
  const protocol = http((request, response) => response.end(`${request.url} of ${connectionOf(request)!.listener}`))
  const { port } = await broker.listen({ port: 0, name: 'web', protocol, webSocket: { path: '/mqtt' } })
  assert.deepEqual(await request(port, '/page'), [200, '/page of web'])
  assert.equal(await connack(webSocketTo(port)), 0)
  // What asks for a WebSocket elsewhere gets the answer of MQTT's own listeners.
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.write(upgradeRequest([], '/other'))
  assert.match((await once(socket, 'data'))[0] as string, /^HTTP\/1\.1 404 /)
})

test('a request for a WebSocket while an answer is pending ends the connection: the answer would go into the WebSocket', async () => {
  const broker = brokerWith()
  const protocol = http(() => {})
  const { port } = await broker.listen({ port: 0, protocol, webSocket: { path: '/mqtt' } })
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\n\r\n${upgradeRequest([], '/mqtt')}`)
  const heard: unknown[] = []
  socket.on('data', (chunk) => {
    heard.push(chunk)
    socket.destroy()
  })
  await once(socket, 'close')
  assert.deepEqual(heard, [])
})

test('a listener with HTTP alone makes no WebSockets, and serves the request as any other', async () => {
  const broker = brokerWith()
  const { port } = await broker.listen({ port: 0, protocol: http((_request, response) => response.end('plain')) })
  const headers = { connection: 'upgrade', upgrade: 'websocket' }
  assert.deepEqual(await request(port, '/', headers), [200, 'plain'])
})

test('HTTP on TLS knows the client certificate, and which protocol it speaks', async () => {
  const broker = brokerWith()
  const protocol = http((request, response) => response.end(connectionOf(request)!.peer!.commonName))
  const tls = { cert, key, ca: authority.cert, clientCertificate: 'required' } as const
  const { port } = await broker.listen({ port: 0, protocol, tls })
  const socket = connectTls({ port, host: '127.0.0.1', ca: authority.cert, ...ada, ALPNProtocols: ['http/1.1'] })
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  let answer = ''
  for await (const chunk of socket.setEncoding('latin1')) answer += chunk
  assert.equal(socket.alpnProtocol, 'http/1.1')
  assert.match(answer, /\r\n\r\nada$/)
})

test('behind a proxy whose header names the client, HTTP knows the client', async () => {
  const broker = brokerWith()
  const protocol = http((request, response) => response.end(connectionOf(request)!.remoteAddress))
  const { port } = await broker.listen({ port: 0, protocol, proxyProtocol: true })
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.write('PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  let answer = ''
  for await (const chunk of socket) answer += chunk
  assert.match(answer, /192\.0\.2\.7:4711$/)
})

test('whoever says nothing is cut off when the connect timeout is over, and has not been refused as a client', async () => {
  const failures: string[] = []
  const broker = brokerWith({ observer: { 'connection.failed': ({ why }) => failures.push(why) } })
  const protocol = http((_request, response) => response.end())
  const { port } = await broker.listen({ port: 0, protocol, limits: { connectTimeoutMs: 100 } })
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'close')
  assert.deepEqual(failures, ['the first request was not complete within 100 ms'])
})

test('after its first request a connection may rest longer than the connect timeout', async () => {
  const broker = brokerWith()
  const protocol = http((_request, response) => response.end('x'))
  const { port } = await broker.listen({ port: 0, protocol, limits: { connectTimeoutMs: 100 } })
  const first = connect(port, '127.0.0.1').setEncoding('latin1')
  first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(first, 'data')
  const second = connect(port, '127.0.0.1')
  await once(second, 'close')
  first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match((await once(first, 'data'))[0] as string, /^HTTP\/1\.1 200 /)
  first.destroy()
})

test('connections of HTTP count for their address until they close', async () => {
  const broker = brokerWith({ limits: { connectionsPerAddressMax: 1 } })
  const protocol = http((_request, response) => response.end('x'))
  const { port } = await broker.listen({ port: 0, protocol, webSocket: true })
  const first = connect(port, '127.0.0.1').setEncoding('latin1')
  first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(first, 'data')
  const other = connect(port, '127.0.0.1')
  await once(other, 'close')
  assert.equal(broker.metrics().connectionsRefusedByAddress, 1)
  first.destroy()
  await once(first, 'close')
  // The broker notices in its own time.
  let code = -1
  while (code !== 0) code = await connack(webSocketTo(port)).catch(() => -1)
})

test('a handler that throws ends its own request, and is reported', async () => {
  const failures: string[] = []
  const broker = brokerWith({
    observer: { 'hook.failed': ({ hook, error }) => failures.push(`${hook}: ${(error as Error).message}`) },
  })
  const protocol = http(async () => {
    throw new Error('mine')
  })
  const { port } = await broker.listen({ port: 0, name: 'web', protocol })
  assert.deepEqual(await request(port, '/'), [500, '500 Internal Server Error\n'])
  assert.deepEqual(failures, ['protocol of the listener web: mine'])
})

test('a protocol of somebody else takes sockets, and one that throws ends them', async () => {
  const failures: string[] = []
  const broker = brokerWith({ observer: { 'hook.failed': ({ hook }) => failures.push(hook) } })
  const echo = { alpn: [], take: (socket: Duplex) => void socket.pipe(socket), close: () => {} }
  const { port } = await broker.listen({ port: 0, protocol: echo })
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.write('hello')
  assert.equal((await once(socket, 'data'))[0], 'hello')
  socket.destroy()
  const broken = {
    ...echo,
    take: () => {
      throw new Error('mine')
    },
  }
  const other = await broker.listen({ port: 0, name: 'broken', protocol: broken })
  await once(connect(other.port, '127.0.0.1'), 'close')
  assert.deepEqual(failures, ['protocol of the listener broken'])
})

test('a listener that closes ends its connections of HTTP, and no MQTT client', async () => {
  const broker = brokerWith()
  const protocol = http((_request, response) => response.end('x'))
  const listener = await broker.listen({ port: 0, protocol, webSocket: true })
  const first = connect(listener.port, '127.0.0.1').setEncoding('latin1')
  first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(first, 'data')
  const client = webSocketTo(listener.port)
  client.write(encode(new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'c' }), 5))
  await once(client, 'data')
  const closed = once(first, 'close')
  await listener.close()
  await closed
  assert.equal(broker.metrics().clients, 1)
  client.destroy()
})

// ---- the broker on a server of somebody else

test('sockets of a TCP server, with a listener name, limits and a mount point of their own', async () => {
  const seen: string[] = []
  const broker = brokerWith({
    observer: { 'client.connected': ({ client }) => seen.push(`${client.clientId} on ${client.listener}`) },
  })
  const port = await listening(
    createServer((socket) => broker.attachSocket(socket, { name: 'mine', mountPoint: 'm/' })),
  )
  const client = await SocketClient.connect({ port }, { clientId: 'a' })
  client.send(Publish.of({ topic: 't', payload: new Uint8Array(1), qos: 1, packetId: 1, retain: true }))
  await client.next(Puback)
  assert.deepEqual(seen, ['a on mine'])
  assert.equal(broker.inspect.retainedMessage('m/t')!.payloadBytes, 1)
  client.destroy()
})

test('sockets of a TLS server, with what Node has checked of the client', async () => {
  const broker = brokerWith({ authenticate: ({ peer }) => ({ username: peer!.certificate!.commonName! }) })
  const server = createTlsServer({ cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: true })
  server.on('secureConnection', (socket) => broker.attachSocket(socket, { usernameFrom: 'identity' }))
  const port = await listening(server)
  assert.equal(await connack(connectTls({ port, host: '127.0.0.1', ca: authority.cert, ...ada })), 0)
})

test('any other stream of bytes', async () => {
  const broker = brokerWith()
  const [one, other] = streamPair()
  assert.equal(broker.attachSocket(one), true)
  assert.equal(await connack(other), 0)
})

test('WebSockets of an HTTP server beside its own pages', async () => {
  const broker = brokerWith()
  const server = createHttpServer((_request, response) => response.end('mine'))
  server.on('upgrade', (request, socket, head) =>
    broker.attachUpgrade(request, socket, head, { webSocket: { path: '/mqtt' } }),
  )
  const port = await listening(server)
  assert.deepEqual(await request(port, '/'), [200, 'mine'])
  assert.equal(await connack(webSocketTo(port)), 0)
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.write(upgradeRequest([], '/elsewhere'))
  assert.match((await once(socket, 'data'))[0] as string, /^HTTP\/1\.1 404 /)
})

test('the address of a client of an HTTP server behind a proxy that is believed', async () => {
  const seen: string[] = []
  const broker = brokerWith({ observer: { 'client.connected': ({ client }) => seen.push(client.remoteAddress) } })
  const forwarded = { proxies: ['127.0.0.1'] }
  const server = createHttpServer()
  server.on('upgrade', (request, socket, head) => {
    request.rawHeaders.push('X-Forwarded-For', '192.0.2.9')
    broker.attachUpgrade(request, socket, head, { webSocket: { forwarded } })
  })
  assert.equal(await connack(webSocketTo(await listening(server))), 0)
  assert.deepEqual(seen, ['192.0.2.9'])
})

test('a closed broker destroys what is attached, and options that do not exist are errors', async () => {
  const broker = brokerWith()
  const [one, other] = streamPair()
  assert.throws(() => broker.attachSocket(one, { nme: 'x' } as never), { code: 'ERR_MQTT_OPTION' })
  await broker.close()
  assert.equal(broker.attachSocket(one), false)
  assert.equal(one.destroyed, true)
  other.destroy()
})

/** Two ends of a pipe in memory. */
function streamPair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  for (const at of [0, 1]) {
    ends.push(
      new Duplex({
        read() {},
        write(chunk, _encoding, done) {
          ends[1 - at]!.push(chunk)
          done()
        },
        final(done) {
          ends[1 - at]!.push(null)
          done()
        },
      }),
    )
  }
  return ends as [Duplex, Duplex]
}

test('what is no socket, and a socket for the second time, is an error at once; one that is destroyed is refused', async () => {
  const broker = brokerWith()
  const wrong = { code: 'ERR_MQTT_OPTION', message: /socket must be/ }
  for (const socket of [undefined, null, {}, 'socket', { on() {}, write() {} }])
    assert.throws(() => broker.attachSocket(socket as never), wrong)
  const [gone] = streamPair()
  gone.destroy()
  assert.equal(broker.attachSocket(gone), false)
  const [one, other] = streamPair()
  assert.equal(broker.attachSocket(one), true)
  assert.throws(() => broker.attachSocket(one), wrong)
  assert.equal(await connack(other), 0)
})

test('attachUpgrade takes what the event upgrade hands over, and nothing else', () => {
  const broker = brokerWith()
  const [socket] = streamPair()
  const request = { method: 'GET', url: '/', httpVersion: '1.1', rawHeaders: [] } as never
  const head = new Uint8Array(0)
  const option = (name: RegExp): object => ({ code: 'ERR_MQTT_OPTION', message: name })
  assert.throws(() => broker.attachUpgrade({} as never, socket, head), option(/request must be/))
  assert.throws(() => broker.attachUpgrade(request, {} as never, head), option(/socket must be/))
  assert.throws(() => broker.attachUpgrade(request, socket, undefined as never), option(/head must be/))
  socket.destroy()
  broker.attachUpgrade(request, socket, head)
})
