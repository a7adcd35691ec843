import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { Duplex, Writable } from 'node:stream'
import { describe, test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { Connack, Connect, Decoder, encode, Pingreq, Pingresp } from '@recado/protocol'
import { type Broker, createBroker } from '../broker.ts'
import type { BrokerOptions, ListenerHandle, ListenOptions } from '../broker-options.ts'
import type { BrokerEvents, ConnectRequest } from '../ports.ts'
import { SocketClient, TestAuthority } from '../testing/mod.ts'
import { type TlsOptions, tlsWarnings } from './tls-options.ts'

const authority = new TestAuthority('test authority')
const server = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
const ada = authority.issue('ada', {
  subject: [
    ['C', 'PT'],
    ['O', 'Exämple, Inc'],
    ['CN', 'ada'],
  ],
})
const pair = { cert: server.cert, key: server.key }
const yesterday = new Date(Date.now() - 3_600_000)

/** A broker with one TLS listener, gone with the test; and what happened to connections that failed. */
class Served implements AsyncDisposable {
  readonly failures: BrokerEvents['connection.failed'][] = []
  readonly requests: ConnectRequest[] = []
  readonly broker: Broker
  listener!: ListenerHandle
  #wake: () => void = () => {}

  constructor(options: BrokerOptions) {
    this.broker = createBroker({
      authenticate: (request) => {
        this.requests.push(request)
        return true
      },
      observer: {
        'connection.failed': (event) => {
          this.failures.push(event)
          this.#wake()
        },
      },
      ...options,
    })
  }

  static async on(tls: TlsOptions, listen: ListenOptions = {}, options: BrokerOptions = {}): Promise<Served> {
    const served = new Served(options)
    served.listener = await served.broker.listen({ port: 0, tls, ...listen })
    return served
  }

  /** Waits for the next connection that fails, and returns the reason. */
  async failure(): Promise<string> {
    while (this.failures.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.failures.shift()!.why
  }

  open(options: ConnectionOptions = {}): TLSSocket {
    const socket = connect({ port: this.listener.port, host: '127.0.0.1', ca: authority.cert, ...options })
    socket.on('error', () => {})
    return socket
  }

  /** CONNECT, CONNACK and a PINGREQ. */
  async converse(options: ConnectionOptions = {}): Promise<{ socket: TLSSocket; connack: Connack }> {
    const socket = this.open(options)
    const connack = await answer(
      socket,
      new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: '' }),
      Connack,
    )
    await answer(socket, new Pingreq(), Pingresp)
    return { socket, connack }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close()
  }
}

const decoders = new WeakMap<TLSSocket, Decoder>()

async function answer<T>(socket: TLSSocket, packet: Connect | Pingreq, type: new (...args: never[]) => T): Promise<T> {
  const decoder = decoders.get(socket) ?? new Decoder({ role: 'client', protocolVersion: 5 })
  decoders.set(socket, decoder)
  socket.write(encode(packet, 5))
  const [chunk] = (await once(socket, 'data')) as [Uint8Array]
  decoder.push(chunk)
  const read = decoder.read()
  assert.ok(read instanceof type)
  return read
}

async function serving(
  tls: TlsOptions,
  use: (served: Served) => Promise<void>,
  listen: ListenOptions = {},
): Promise<void> {
  const served = await Served.on(tls, listen)
  try {
    await use(served)
  } finally {
    await served.broker.close({ timeoutMs: 100 })
  }
}

/** The client is told nothing but that the connection ends. */
async function isShutOut(socket: TLSSocket): Promise<void> {
  socket.resume()
  // Not by `once`, to which the error that comes before would be a failure.
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

describe('versions, ciphers and protocols', () => {
  test('TLS 1.3 and 1.2 by default; the client is told who we are', () =>
    serving(pair, async (served) => {
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const { socket, connack } = await served.converse({ maxVersion: version })
        assert.equal(connack.reasonCode, 0)
        assert.equal(socket.authorized, true)
        assert.equal(socket.getProtocol(), version)
        assert.equal(served.requests.at(-1)!.peer?.tlsVersion, version)
        assert.match(served.requests.at(-1)!.remoteAddress, /^127\.0\.0\.1:\d+$/)
        socket.destroy()
      }
    }))

  test('a lowest version keeps out what is older', () =>
    serving({ ...pair, minVersion: 'TLSv1.3' }, async (served) => {
      await isShutOut(served.open({ maxVersion: 'TLSv1.2' }))
      assert.match(await served.failure(), /versions of TLS that are not allowed/)
    }))

  test('ciphers of both versions are those that are given', () =>
    serving(
      { ...pair, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384', ciphersTls13: 'TLS_CHACHA20_POLY1305_SHA256' },
      async (served) => {
        for (const [version, cipher] of [
          ['TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
          ['TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256'],
        ] as const) {
          const { socket } = await served.converse({ maxVersion: version })
          assert.equal(socket.getCipher().name, cipher)
          socket.destroy()
        }
        await isShutOut(served.open({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }))
        assert.match(await served.failure(), /no cipher/)
      },
    ))

  test('ALPN names mqtt where the client offers it; who names others only gets in, as at AWS', () =>
    serving(pair, async (served) => {
      for (const [offered, chosen] of [
        [['x', 'mqtt'], 'mqtt'],
        [['x-amzn-mqtt-ca'], 'x-amzn-mqtt-ca'],
        [['a', 'b'], 'a'],
        [undefined, false],
      ] as const) {
        const options = offered === undefined ? {} : { ALPNProtocols: [...offered] }
        const { socket } = await served.converse(options)
        assert.equal(socket.alpnProtocol, chosen)
        socket.destroy()
      }
    }))

  test('with alpnStrict who names others only does not get in, who names nothing does', () =>
    serving({ ...pair, alpnStrict: true }, async (served) => {
      const { socket } = await served.converse()
      socket.destroy()
      await isShutOut(served.open({ ALPNProtocols: ['x-amzn-mqtt-ca'] }))
      assert.match(await served.failure(), /ALPN/)
    }))

  test('SNI chooses the certificate, exactly or by a wildcard, whatever the case; others get the main one', () => {
    const names = { 'mqtt.example': authority.issue('one'), '*.lan.example': authority.issue('two') }
    return serving({ ...pair, serverNames: names }, async (served) => {
      const seen: unknown[] = []
      for (const servername of ['MQTT.example', 'a.lan.example', 'a.b.lan.example', 'other.example', undefined]) {
        const options: ConnectionOptions = { rejectUnauthorized: false }
        const { socket } = await served.converse(servername === undefined ? options : { ...options, servername })
        seen.push([socket.getPeerCertificate().subject.CN, served.requests.at(-1)!.peer?.serverName])
        socket.destroy()
      }
      assert.deepEqual(seen, [
        ['one', 'MQTT.example'],
        ['two', 'a.lan.example'],
        ['localhost', 'a.b.lan.example'],
        ['localhost', 'other.example'],
        ['localhost', null],
      ])
    })
  })
})

describe('client certificates', () => {
  test('a required one that the authority has signed tells who it is', () =>
    serving({ ...pair, ca: authority.cert }, async (served) => {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const { socket } = await served.converse({ cert: ada.cert, key: ada.key, maxVersion })
        const { peer, identity } = served.requests.at(-1)!
        assert.equal(peer?.commonName, 'ada')
        assert.equal(peer.certificate?.commonName, 'ada')
        assert.equal(peer.certificate.subject, 'CN=ada,O=Ex\\C3\\A4mple\\, Inc,C=PT')
        assert.equal(peer.certificate.issuer, 'CN=test authority')
        assert.equal(
          peer.certificate.fingerprint256,
          socket.getCertificate() && (socket.getCertificate() as { fingerprint256: string }).fingerprint256,
        )
        assert.equal(identity, null)
        socket.destroy()
      }
    }))

  test('none, one of another authority, an expired one and a revoked one are refused, each with its reason', async () => {
    const stranger = new TestAuthority('other').issue('ada')
    const old = authority.issue('old', { validTo: yesterday })
    const revoked = authority.issue('lost')
    const tls = { ...pair, ca: authority.cert, crl: authority.revocationList(revoked) }
    await serving(tls, async (served) => {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        for (const [certificate, why] of [
          [null, /^no client certificate$/],
          [stranger, /refused: UNABLE_TO_|refused: CERT_SIGNATURE/],
          [old, /refused: CERT_HAS_EXPIRED/],
          [revoked, /refused: CERT_REVOKED/],
        ] as const) {
          const own = certificate === null ? {} : { cert: certificate.cert, key: certificate.key }
          await isShutOut(served.open({ ...own, maxVersion }))
          assert.match(await served.failure(), why)
        }
        const { socket } = await served.converse({ cert: ada.cert, key: ada.key, maxVersion })
        socket.destroy()
      }
      assert.equal(served.requests.length, 2, 'nobody else has come as far as CONNECT')
    })
  })

  test('an optional one may be missing, but not wrong', () =>
    serving({ ...pair, ca: authority.cert, clientCertificate: 'optional' }, async (served) => {
      const without = await served.converse()
      assert.equal(served.requests.at(-1)!.peer?.certificate, null)
      without.socket.destroy()
      const stranger = new TestAuthority('other').issue('ada')
      await isShutOut(served.open({ cert: stranger.cert, key: stranger.key }))
      assert.match(await served.failure(), /refused/)
    }))

  test('the common name may stand for the user name', () =>
    serving(
      { ...pair, ca: authority.cert },
      async (served) => {
        const { socket } = await served.converse({ cert: ada.cert, key: ada.key })
        assert.equal(served.requests.at(-1)!.identity, 'ada')
        socket.destroy()
      },
      { usernameFrom: 'identity' },
    ))

  test('a session that goes on by a ticket still knows the certificate', () =>
    serving({ ...pair, ca: authority.cert }, async (served) => {
      const first = served.open({ cert: ada.cert, key: ada.key })
      const session = once(first, 'session')
      await answer(
        first,
        new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: '' }),
        Connack,
      )
      const [ticket] = (await session) as [Buffer]
      first.destroy()
      const { socket } = await served.converse({ cert: ada.cert, key: ada.key, session: ticket })
      assert.equal(socket.isSessionReused(), true)
      assert.equal(served.requests.at(-1)!.peer?.commonName, 'ada')
      socket.destroy()
    }))
})

describe('pre-shared keys', () => {
  const keys = new Map([['meter-7', Uint8Array.of(0xde, 0xad, 0xbe, 0xef)]])
  const tls: TlsOptions = { psk: (identity) => keys.get(identity) ?? null, pskHint: 'meters' }
  const asks = (identity: string, key: Uint8Array): ConnectionOptions => ({
    ciphers: 'PSK',
    maxVersion: 'TLSv1.2',
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ identity, psk: key }),
  })

  test('the right key gets in, and its identity is known', () =>
    serving(
      tls,
      async (served) => {
        const { socket } = await served.converse(asks('meter-7', keys.get('meter-7')!))
        const { peer, identity } = served.requests.at(-1)!
        assert.equal(peer?.pskIdentity, 'meter-7')
        assert.equal(identity, 'meter-7')
        socket.destroy()
      },
      { usernameFrom: 'identity' },
    ))

  test('a wrong key, an unknown identity and no key are refused', () =>
    serving(tls, async (served) => {
      for (const options of [asks('meter-7', Uint8Array.of(1, 2, 3, 4)), asks('meter-8', Uint8Array.of(1)), {}]) {
        await isShutOut(served.open(options))
        assert.match(await served.failure(), /^TLS handshake/)
      }
      assert.equal(served.requests.length, 0)
    }))
})

describe('new certificates while it runs', () => {
  test('connections to come see the new one, those that are there go on', () =>
    serving(pair, async (served) => {
      const before = await served.converse()
      const renewed = authority.issue('renewed', { altNames: ['127.0.0.1'] })
      served.listener.updateTls({ cert: renewed.cert, key: renewed.key })
      const after = await served.converse()
      assert.equal(before.socket.getPeerCertificate().subject.CN, 'localhost')
      assert.equal(after.socket.getPeerCertificate().subject.CN, 'renewed')
      await answer(before.socket, new Pingreq(), Pingresp)
      before.socket.destroy()
      after.socket.destroy()
    }))

  test('what cannot be used changes nothing', () =>
    serving(pair, async (served) => {
      assert.throws(() => served.listener.updateTls({ cert: server.cert, key: ada.key }), { code: 'ERR_MQTT_TLS' })
      const { socket } = await served.converse()
      assert.equal(socket.getPeerCertificate().subject.CN, 'localhost')
      socket.destroy()
    }))

  test('a client whose certificate is on a new list does not come back, not even by a ticket', () =>
    serving({ ...pair, ca: authority.cert }, async (served) => {
      const first = served.open({ cert: ada.cert, key: ada.key })
      const [ticket] = (await once(first, 'session')) as [Buffer]
      first.destroy()
      served.listener.updateTls({ ...pair, ca: authority.cert, crl: authority.revocationList(ada) })
      served.failures.length = 0
      await isShutOut(served.open({ cert: ada.cert, key: ada.key, session: ticket }))
      while (!/CERT_REVOKED/.test(await served.failure()));
    }))
})

describe('what does not come to an end', () => {
  test('a client that says nothing is cut off after the connect timeout, and told of', () =>
    serving(
      pair,
      async (served) => {
        const silent = createConnection({ port: served.listener.port, host: '127.0.0.1' })
        silent.resume()
        await once(silent, 'close')
        assert.match(await served.failure(), /the TLS handshake was not complete within 50 ms/)
      },
      { limits: { connectTimeoutMs: 50 } },
    ))

  test('the time for CONNECT began with the connection, not after the handshake', () =>
    serving(
      pair,
      async (served) => {
        const refused = new Promise<string>((resolve) => {
          const socket = served.open()
          socket.resume()
          socket.on('close', () => resolve('closed'))
        })
        assert.equal(await refused, 'closed')
      },
      { limits: { connectTimeoutMs: 300 } },
    ))

  test('of too many handshakes under way the oldest goes', async () => {
    const served = await Served.on(pair, {}, { limits: { pendingConnectionsMax: 1 } })
    const silent = createConnection({ port: served.listener.port, host: '127.0.0.1' })
    await once(silent, 'connect')
    const closed = once(silent.resume(), 'close')
    const { socket } = await served.converse()
    await closed
    assert.match(await served.failure(), /newer connections need the place/)
    socket.destroy()
    await served.broker.close({ timeoutMs: 100 })
  })

  test('a client without TLS is told of in plain words', () =>
    serving(pair, async (served) => {
      const plain = await SocketClient.open({ port: served.listener.port })
      plain.send(new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: 'a' }))
      assert.match(await served.failure(), /does not speak TLS/)
      await plain.closed()
    }))

  test('closing the broker closes handshakes that are under way', async () => {
    const served = await Served.on(pair)
    const silent = createConnection({ port: served.listener.port, host: '127.0.0.1' })
    await once(silent, 'connect')
    // A later connection has been served, so this one has been accepted.
    const { socket } = await served.converse()
    const closed = once(silent.resume(), 'close')
    socket.resume()
    await served.broker.close({ timeoutMs: 100 })
    await closed
  })
})

describe('before the handshake', () => {
  const silent = (served: Served): Socket =>
    createConnection(served.listener.port, '127.0.0.1')
      .on('error', () => {})
      .resume()
  const whenClosed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()))

  test('new connections over the rate of the listener that would wait too long are closed, and cost no handshake', async () => {
    const refused: string[] = []
    const limits = { listenerConnectionsPerSecondMax: 1, connectTimeoutMs: 60_000 }
    const observer = { 'connection.refused': ({ why }: { why: string }) => refused.push(why) }
    for (const more of [{}, { proxyProtocol: true }]) {
      await using served = await Served.on(pair, more, { limits, observer })
      refused.length = 0
      const sockets = Array.from({ length: 60 }, () => silent(served))
      await Promise.race(sockets.map((socket) => whenClosed(socket)))
      assert.match(refused[0]!, /more than 1 new connections came in a second/)
      for (const socket of sockets) socket.destroy()
    }
  })

  test('those that have to wait for less are served then', async () => {
    await using served = await Served.on(pair, {}, { limits: { listenerConnectionsPerSecondMax: 20 } })
    await Promise.all(
      Array.from({ length: 24 }, async () => {
        const { connack, socket } = await served.converse()
        assert.equal(connack.reasonCode, 0)
        socket.destroy()
      }),
    )
  })

  test('connections of an address count from the beginning, and not after a handshake that failed', async () => {
    await using served = await Served.on(pair, {}, { limits: { connectionsPerAddressMax: 2 } })
    const first = silent(served)
    const second = silent(served)
    await Promise.all([once(first, 'connect'), once(second, 'connect')])
    await whenClosed(silent(served))
    first.destroy()
    assert.match(await served.failure(), /closed during the TLS handshake|reset/)
    const { socket } = await served.converse()
    await whenClosed(silent(served))
    socket.destroy()
    second.destroy()
  })
})

describe('after the handshake', () => {
  test('a record that is not of this connection ends it', async () => {
    await using served = await Served.on(pair)
    const raw = await openOver(served)
    const closed = once(raw, 'close')
    raw.write(Buffer.from('1703030020'.padEnd(74, '78'), 'hex'))
    await closed
  })

  test('a client of TLS 1.2 that asks for another handshake is ended', async () => {
    await using served = await Served.on(pair)
    const { socket } = await served.converse({ maxVersion: 'TLSv1.2' })
    const closed = once(socket, 'close')
    socket.renegotiate({}, () => {})
    await closed
  })
})

describe('settings that cannot be used', () => {
  const refused = async (tls: TlsOptions, option: string, message: RegExp): Promise<void> => {
    const broker = createBroker()
    await assert.rejects(broker.listen({ port: 0, tls }), (error: Error & { code?: string; option?: string }) => {
      assert.equal(error.code, 'ERR_MQTT_TLS')
      assert.match(error.message, message)
      assert.equal(error.option, option)
      return true
    })
    await broker.close()
  }

  test('each is an error that names the option and says what to do', async () => {
    await refused({}, 'cert', /needs a certificate \(cert and key\) or pre-shared keys/)
    await refused({ cert: server.cert }, 'key', /given without key/)
    await refused({ cert: 'x', key: server.key }, 'cert', /begins with "-----BEGIN CERTIFICATE/)
    await refused({ cert: server.cert, key: 'x' }, 'key', /has no private key/)
    await refused({ cert: server.cert, key: ada.key }, 'key', /^the private key does not belong to the certificate$/)
    await refused({ ...pair, clientCertificate: 'required' }, 'ca', /without the certificates of their authorities/)
    await refused({ ...pair, ca: 'x' }, 'ca', /begins with/)
    await refused({ ...pair, ciphers: 'NONSENSE' }, 'ciphers', /cipher/i)
    await refused(
      { ...pair, serverNames: { 'a.example': { cert: ada.cert, key: server.key } } },
      'key',
      /of a\.example/,
    )
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'
    await refused({ cert: broken, key: server.key }, 'cert', /cannot be read/)
  })

  test('an encrypted key needs its passphrase', async () => {
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
    })
    await refused({ cert: server.cert, key: privateKey }, 'key', /encrypted, and no passphrase .*openssl pkey/)
    await refused({ cert: server.cert, key: privateKey, passphrase: 'x' }, 'key', /passphrase is wrong/)
  })

  test('a certificate that is not valid now is a warning: some clients do not look', () => {
    const old = authority.issue('old', { validTo: yesterday })
    const early = authority.issue('early', { validFrom: new Date(Date.now() + 86_400_000) })
    assert.deepEqual(tlsWarnings(pair), [])
    assert.match(tlsWarnings({ cert: old.cert, key: old.key })[0]!.what, /\(CN=old\) expired on /)
    assert.match(tlsWarnings({ cert: early.cert, key: early.key })[0]!.what, /not valid before/)
  })
})

/** TLS on a connection whose bytes can be written past it. After CONNACK; neither side ends by itself. */
async function openOver(served: Served): Promise<Socket> {
  const raw = createConnection(served.listener.port, '127.0.0.1')
  raw.on('error', () => {})
  const through = Duplex.from({
    readable: new ReadableStream({
      start: (controller) => {
        raw.on('data', (chunk) => controller.enqueue(chunk))
      },
    }),
    writable: new Writable({ write: (chunk, _encoding, done) => raw.write(chunk, done) }),
  })
  const socket = connect({ socket: through, ca: authority.cert })
  socket.on('error', () => {})
  await answer(
    socket,
    new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: '' }),
    Connack,
  )
  return raw
}
