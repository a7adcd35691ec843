import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { Connack, Connect, Decoder, encode } from '@recado/protocol'
import fc from 'fast-check'
import { createBroker } from '../broker.ts'
import type { ListenOptions } from '../broker-options.ts'
import type { ConnectRequest } from '../ports.ts'
import { TestAuthority } from '../testing/certificates.ts'
import { clientFrame, upgradeRequest } from '../testing/websocket-peer.ts'
import { ProxyError, type ProxyOptions, parseProxyHeader } from './proxy-header.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

function tlv(type: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Uint8Array.of(type, bytes.length >> 8, bytes.length & 0xff), bytes])
}

function v2(command: number, family: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([SIGNATURE, Uint8Array.of(0x20 | command, family, body.length >> 8, body.length & 0xff), body])
}

const v4Addresses = Uint8Array.of(192, 0, 2, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x07, 0x5b)
/** 0: the certificate is valid. */
const ssl = (flags: number, verify: number, ...values: Buffer[]): Buffer =>
  tlv(0x20, Buffer.concat([Uint8Array.of(flags, 0, 0, 0, verify), ...values]))

const parse = (bytes: Uint8Array | string, options: ProxyOptions = {}): ReturnType<typeof parseProxyHeader> =>
  parseProxyHeader(Buffer.from(bytes as Uint8Array), options)
const refuses = (bytes: Uint8Array | string, message: RegExp, options: ProxyOptions = {}): void => {
  assert.throws(
    () => parse(bytes, options),
    (error: Error) => error instanceof ProxyError && message.test(error.message),
  )
}

test('version 1: the address of the client, or none', () => {
  const [line, rest] = ['PROXY TCP4 192.0.2.7 10.0.0.1 50000 1883\r\n', 'CONNECT']
  const found = parse(line + rest)!
  assert.equal(found.header.remoteAddress, '192.0.2.7:50000')
  assert.equal(found.length, line.length)
  assert.equal(parse('PROXY TCP6 2001:db8::1 ::1 50000 1883\r\n')!.header.remoteAddress, '[2001:db8::1]:50000')
  for (const [written, address] of [
    ['2001:0DB8:0:0::0001', '[2001:db8::1]'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:0207', '192.0.2.7'],
  ]) {
    assert.equal(parse(`PROXY TCP6 ${written} ::1 50000 1883\r\n`)!.header.remoteAddress, `${address}:50000`)
  }
  assert.equal(parse('PROXY UNKNOWN\r\n')!.header.remoteAddress, null)
  assert.equal(parse('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n')!.header.remoteAddress, null)
  for (let length = 0; length < line.length; length++) assert.equal(parse(line.slice(0, length)), null)
})

test('version 1: what is malformed is refused', () => {
  for (const line of [
    'PROXY TCP4 1.2.3 1.1.1.1 1 2',
    'PROXY TCP4 1.2.3.4 1.1.1.1 99999 2',
    'PROXY TCP6 1.2.3.4 ::1 1 2',
    'PROXY TCP4 01.1.1.1 1.1.1.1 1 2',
    'PROXY TCP4 1.1.1.1 1.1.1.00 1 2',
    'PROXY UNKNOWN \x1b[2J',
    'PROXY UNKNOWN \x00',
    'PROXY UNKNOWN \xff',
    'PROXY UDP4 1.2.3.4 1.1.1.1 1 2',
    'PROXY TCP4 1.2.3.4 1.1.1.1 1',
    'PROXY TCP4 1.2.3.4  1.1.1.1 1 2',
    'PROXY TCP6 2001:db8::\r1 ::1 1 2',
    'PROXY TCP6 2001:db8::\t1 ::1 1 2',
    'PROXY TCP6 fe80::1%eth0 ::1 1 2',
    'PROXY TCP4 1.2.3.4 127.0.0.256 1 2',
    'PROXY TCP4 1.2.3.4 ::1 1 2',
    'PROXY TCP6 ::1 1.2.3.4 1 2',
    'PROXY TCP4 1.2.3.4 1.1.1.1 0 2',
    'PROXY TCP4 1.2.3.4 1.1.1.1 1 0',
    'PROXY TCP4 1.2.3.4 1.1.1.1 01 2',
  ]) {
    refuses(`${line}\r\n`, /version 1 is malformed/)
  }
  refuses(`PROXY ${'x'.repeat(200)}`, /longer than 107 bytes/)
  refuses('GET / HTTP/1.1', /does not begin with one/)
  refuses(Uint8Array.of(0x10, 0x0c), /does not begin with one/)
})

test('version 2: addresses of every family; the proxy for itself is nobody else', () => {
  assert.equal(parse(v2(1, 0x11, v4Addresses))!.header.remoteAddress, '192.0.2.7:50000')
  const v6 = Buffer.alloc(36)
  v6.set([0x20, 0x01, 0x0d, 0xb8], 0)
  v6[15] = 1
  v6.writeUInt16BE(50_000, 32)
  assert.equal(parse(v2(1, 0x21, v6))!.header.remoteAddress, '[2001:db8::1]:50000')
  assert.equal(parse(v2(1, 0x31, Buffer.alloc(216)))!.header.remoteAddress, '')
  assert.equal(parse(v2(1, 0x00))!.header.remoteAddress, null)
  assert.equal(parse(v2(0, 0x00, tlv(4, 'noop')))!.header.remoteAddress, null)
  const whole = v2(1, 0x11, v4Addresses)
  for (let length = 0; length < whole.length; length++) assert.equal(parse(whole.subarray(0, length)), null)
})

test('version 2: TLS at the proxy, its version, the name asked for, and the name in a certificate that the proxy found valid', () => {
  const values = [tlv(0x21, 'TLSv1.3'), tlv(0x22, 'ada')]
  const peerOf = (...parts: Buffer[]): unknown => {
    const { tlsVersion, commonName, serverName } = parse(v2(1, 0x11, v4Addresses, ...parts))!.header.peer
    return [tlsVersion, commonName, serverName]
  }
  assert.deepEqual(peerOf(ssl(7, 0, ...values), tlv(2, 'mqtt.example')), ['TLSv1.3', 'ada', 'mqtt.example'])
  assert.deepEqual(peerOf(ssl(1, 0, ...values)), ['TLSv1.3', null, null])
  assert.deepEqual(peerOf(ssl(7, 1, ...values)), ['TLSv1.3', null, null])
  assert.deepEqual(peerOf(ssl(0, 0, ...values)), [null, null, null])
  assert.deepEqual(peerOf(), [null, null, null])
})

test('version 2: a checksum is checked, lengths are believed no further than they reach', () => {
  const withSum = (sum: string): Buffer => v2(1, 0x11, v4Addresses, tlv(3, Buffer.from(sum, 'hex')))
  // CRC32c of the header with zeros in place of the sum, by another implementation: bit by bit over these 35 bytes.
  let crc = 0xffff_ffff
  for (const byte of withSum('00000000')) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  const right = ((crc ^ 0xffff_ffff) >>> 0).toString(16).padStart(8, '0')
  assert.equal(parse(withSum(right))!.header.remoteAddress, '192.0.2.7:50000')
  refuses(withSum('01020304'), /checksum/)
  refuses(v2(1, 0x11, v4Addresses, Uint8Array.of(2, 0, 9, 1)), /malformed/)
  refuses(v2(1, 0x11, v4Addresses.subarray(0, 8)), /malformed/)
  refuses(v2(2, 0x11, v4Addresses), /malformed/)
  refuses(v2(1, 0x11, v4Addresses, tlv(4, new Uint8Array(9_000))), /longer than 8192/)
})

test('the version, TLS and a certificate may be asked for', () => {
  const plain = v2(1, 0x11, v4Addresses)
  refuses(plain, /version 2; version 1 is expected/, { version: 1 })
  refuses('PROXY UNKNOWN\r\n', /version 1; version 2 is expected/, { version: 2 })
  refuses(plain, /the client \S+ came without TLS/, { requireTls: true })
  refuses(v2(1, 0x11, v4Addresses, ssl(1, 0)), /without a certificate/, { requireCertificate: true })
  refuses(v2(1, 0x11, v4Addresses, ssl(7, 1)), /without a certificate/, { requireCertificate: true })
  // Its name is another question.
  const nameless = parse(v2(1, 0x11, v4Addresses, ssl(7, 0, tlv(0x21, 'TLSv1.3'))), { requireCertificate: true })
  assert.equal(nameless?.header.hasCertificate, true)
  assert.equal(nameless?.header.peer.commonName, null)
})

test('any bytes are a header, the beginning of one, or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom('', 'v1', 'v2'), (bytes, kind) => {
      const start =
        kind === 'v1'
          ? Buffer.from('PROXY ')
          : kind === 'v2'
            ? Buffer.concat([SIGNATURE, Uint8Array.of(0x21, 0x11)])
            : Buffer.alloc(0)
      try {
        parse(Buffer.concat([start, bytes]))
      } catch (error) {
        assert.ok(error instanceof ProxyError)
      }
    }),
    { numRuns: 2_000 },
  )
})

// --- on a listener --------------------------------------------------------------------------------------------------

const authority = new TestAuthority('test authority')
const { cert, key } = authority.issue('localhost', { altNames: ['127.0.0.1'] })
const connectPacket = encode(
  new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: 'a' }),
  5,
)

/**
 * Returns the address that the broker sees for a client that sends these bytes, then its CONNECT, over TLS or not; or
 * the reason of a refusal.
 */
async function seenWith(
  options: ListenOptions,
  header: Uint8Array | string,
  packet: Uint8Array = connectPacket,
): Promise<ConnectRequest | string> {
  let seen: ConnectRequest | string | null = null
  const broker = createBroker({
    authenticate: (request) => {
      seen = request
      return true
    },
    observer: {
      'connection.failed': ({ why, remoteAddress }) => {
        seen ??= `${why} (${remoteAddress.replace(/:\d+$/, '')})`
      },
    },
  })
  const { port } = await broker.listen({ port: 0, proxyProtocol: true, ...options })
  const socket = createConnection({ port, host: '127.0.0.1' }).on('error', () => {})
  const stream = options.tls === undefined ? socket : null
  // In one write with what follows, and a byte at a time.
  socket.write(stream === null ? header : Buffer.concat([Buffer.from(header as Uint8Array), packet]))
  const secure = stream ?? connectTls({ socket, ca: authority.cert, host: '127.0.0.1' }).on('error', () => {})
  if (stream === null) secure.write(packet)
  const decoder = new Decoder({ role: 'client', protocolVersion: 5 })
  await new Promise<void>((resolve) => {
    secure.on('data', (chunk: Uint8Array) => {
      if (options.webSocket) return resolve()
      decoder.push(chunk)
      if (decoder.read() instanceof Connack) resolve()
    })
    socket.on('close', () => resolve())
  })
  while (seen === null) await new Promise((resolve) => setImmediate(resolve))
  secure.destroy()
  await broker.close({ timeoutMs: 100 })
  return seen
}

test('behind a proxy the client has its own address, and the proxy is known', async () => {
  for (const header of ['PROXY TCP4 192.0.2.7 10.0.0.1 50000 1883\r\n', v2(1, 0x11, v4Addresses)]) {
    const request = (await seenWith({}, header)) as ConnectRequest
    assert.equal(request.remoteAddress, '192.0.2.7:50000')
    assert.match(request.peer?.proxyAddress ?? '', /^127\.0\.0\.1:\d+$/)
  }
  const itself = (await seenWith({}, v2(0, 0))) as ConnectRequest
  assert.match(itself.remoteAddress, /^127\.0\.0\.1:\d+$/)
})

test('the name that the proxy found in the client’s certificate may stand for the user name', async () => {
  const header = v2(1, 0x11, v4Addresses, ssl(7, 0, tlv(0x21, 'TLSv1.3'), tlv(0x22, 'ada')))
  const request = (await seenWith({ usernameFrom: 'identity' }, header)) as ConnectRequest
  assert.equal(request.identity, 'ada')
})

test('before TLS: the address is the header’s, the rest what TLS says', async () => {
  const request = (await seenWith(
    { tls: { cert, key } },
    'PROXY TCP4 192.0.2.7 10.0.0.1 50000 1883\r\n',
  )) as ConnectRequest
  assert.equal(request.remoteAddress, '192.0.2.7:50000')
  assert.match(request.peer?.tlsVersion ?? '', /^TLSv1/)
  assert.match(request.peer?.proxyAddress ?? '', /^127\.0\.0\.1:\d+$/)
})

test('before WebSocket', async () => {
  const packets = Buffer.concat([Buffer.from(upgradeRequest()), clientFrame(2, connectPacket)])
  const request = (await seenWith({ webSocket: true }, v2(1, 0x11, v4Addresses), packets)) as ConnectRequest
  assert.equal(request.remoteAddress, '192.0.2.7:50000')
})

test('without a header, or with half of one, nobody gets in', async () => {
  assert.equal(await seenWith({}, ''), 'PROXY header: the connection does not begin with one (127.0.0.1)')
  const half = seenWith({ limits: { connectTimeoutMs: 50 } }, 'PROXY TCP4 ', new Uint8Array(0))
  assert.equal(await half, 'the PROXY header was not complete within 50 ms (127.0.0.1)')
})
