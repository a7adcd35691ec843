import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Connect, encode } from '@recado/protocol'
import fc from 'fast-check'
import { createBroker } from '../broker.ts'
import type { ListenOptions } from '../broker-options.ts'
import type { ConnectRequest } from '../ports.ts'
import { clientFrame, upgradeRequest } from '../testing/websocket-peer.ts'
import { Forwarded, type ForwardedOptions } from './websocket-forwarded.ts'

const clientIn = (options: ForwardedOptions, value: string): string | null =>
  new Forwarded(options).clientIn(new Map([[options.header ?? 'x-forwarded-for', value]]))

describe('whose connection it is', () => {
  test('X-Forwarded-For: the right-most address that is no proxy, whatever the client has sent before it', () => {
    const proxies = ['10.0.0.0/8', 'fd00::/8']
    for (const [value, expected] of [
      ['192.0.2.7', '192.0.2.7'],
      ['1.1.1.1, 192.0.2.7', '192.0.2.7'],
      ['1.1.1.1, 192.0.2.7, 10.1.1.1,10.2.2.2', '192.0.2.7'],
      ['1.1.1.1,192.0.2.7,fd00::1', '192.0.2.7'],
      ['10.0.0.9, 192.0.2.7', '192.0.2.7'],
      ['2001:db8::1', '[2001:db8::1]'],
      ['[2001:db8::1]:4711', '[2001:db8::1]:4711'],
      ['192.0.2.7:4711', '192.0.2.7:4711'],
      ['::ffff:192.0.2.7', '192.0.2.7'],
      ['::FFFF:C000:207', '192.0.2.7'],
      ['2001:0DB8::0:1', '[2001:db8::1]'],
      // Proxies all the way.
      ['10.0.0.9, 10.0.0.8', '10.0.0.9'],
      // What is no address says nothing, and nothing left of it is believed.
      ['unknown', null],
      ['1.1.1.1, unknown', null],
      ['1.1.1.1, unknown, 10.0.0.8', '10.0.0.8'],
      ['1.1.1.1, fe80::1%eth0', null],
      ['1.1.1.1, ', null],
      ['', null],
      ['192.0.2.256', null],
    ] as const) {
      assert.equal(clientIn({ proxies }, value), expected, value)
    }
  })

  test('X-Real-IP: one address, the last', () => {
    const options = { proxies: ['10.0.0.1'], header: 'x-real-ip' } as const
    assert.equal(clientIn(options, '192.0.2.7'), '192.0.2.7')
    assert.equal(clientIn(options, '1.1.1.1, 192.0.2.7'), '192.0.2.7')
    assert.equal(clientIn(options, 'x'), null)
  })

  test('Forwarded (RFC 7239): what a proxy has quoted of the client’s does not count', () => {
    const options = { proxies: ['10.0.0.0/8'], header: 'forwarded' } as const
    for (const [value, expected] of [
      ['for=192.0.2.7', '192.0.2.7'],
      ['For="[2001:db8::1]:4711";proto=https;by=10.0.0.1', '[2001:db8::1]:4711'],
      ['for=1.1.1.1, for=192.0.2.7;proto=http, for=10.0.0.2', '192.0.2.7'],
      ['host="a;for=1.1.1.1";for=192.0.2.7', '192.0.2.7'],
      ['host="a, for=1.1.1.1";for=192.0.2.7', '192.0.2.7'],
      ['for=192.0.2.7;host="a\\", for=1.1.1.1"', '192.0.2.7'],
      ['for=1.1.1.1, for=_hidden', null],
      ['for=1.1.1.1, proto=https', null],
      ['for="192.0.2.7', null],
    ] as const) {
      assert.equal(clientIn(options, value), expected, value)
    }
  })

  test('any header is an address, or none, in no time', () => {
    const header = fc.constantFrom<NonNullable<ForwardedOptions['header']>[]>(
      'x-forwarded-for',
      'x-real-ip',
      'forwarded',
    )
    const text = fc.stringMatching(/^[\x20-\x7e]{0,200}$/)
    const likely = fc
      .array(fc.constantFrom('for=', '"', '\\', ';', ',', ' ', '1.2.3.4', '::1', '[', ']', ':80', '%'))
      .map((all) => all.join(''))
    fc.assert(
      fc.property(header, fc.oneof(text, likely), (name, value) => {
        const found = clientIn({ proxies: ['10.0.0.1'], header: name }, value)
        assert.ok(found === null || /^(\[[0-9a-fA-F:.]+\]|[\d.]+)(:\d+)?$/.test(found), String(found))
      }),
      { numRuns: 2_000 },
    )
    for (const value of ['"'.repeat(60_000), ';'.repeat(60_000), 'for="\\'.repeat(10_000), ', '.repeat(30_000)]) {
      clientIn({ proxies: [], header: 'forwarded' }, value)
    }
  })

  test('what is no address of a proxy is an error', () => {
    for (const each of ['', 'nginx', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/x', '::/129', 'fe80::1%eth0', '10.0.0']) {
      assert.throws(() => new Forwarded({ proxies: [each] }), RangeError, each)
    }
  })
})

/** Returns the address that the broker sees, and the one in a refusal. */
async function seen(
  listen: ListenOptions,
  headers: readonly string[],
  path: string | null = null,
): Promise<ConnectRequest | null> {
  let request: ConnectRequest | null = null
  const broker = createBroker({
    authenticate: (each) => {
      request = each
      return true
    },
  })
  const { port } = await broker.listen({ ...(path === null ? { port: 0 } : { path }), ...listen })
  const socket = path === null ? createConnection({ port, host: '127.0.0.1' }) : createConnection(path)
  socket.write(upgradeRequest(headers))
  await once(socket, 'data')
  const connect = new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' })
  socket.write(clientFrame(2, encode(connect, 5)))
  await once(socket, 'data')
  socket.destroy()
  await broker.close({ timeoutMs: 100 })
  return request
}

describe('on a listener', () => {
  const claim = 'X-Forwarded-For: 1.1.1.1, 192.0.2.7'

  test('the address is that of the client behind a proxy that is believed', async () => {
    const request = await seen({ webSocket: { forwarded: { proxies: ['127.0.0.0/8'] } } }, [claim])
    assert.equal(request?.remoteAddress, '192.0.2.7')
    assert.match(request?.peer?.proxyAddress ?? '', /^127\.0\.0\.1:\d+$/)
  })

  test('from nobody else, by no other header, and not without being asked to', async () => {
    for (const webSocket of [
      { forwarded: { proxies: ['10.0.0.0/8'] } },
      { forwarded: { proxies: ['127.0.0.1'], header: 'x-real-ip' as const } },
      true,
    ]) {
      const request = await seen({ webSocket }, [claim])
      assert.match(request?.remoteAddress ?? '', /^127\.0\.0\.1:\d+$/)
    }
  })

  test('behind a proxy on a unix socket', async () => {
    const path = join(tmpdir(), `recado-forwarded-${process.pid}.sock`)
    const request = await seen({ webSocket: { forwarded: { proxies: ['unix'] } } }, [claim], path)
    assert.equal(request?.remoteAddress, '192.0.2.7')
  })

  test('behind a proxy that sends a PROXY header, and another of HTTP behind that', async () => {
    const line = 'PROXY TCP4 10.1.1.1 10.0.0.1 50000 9001\r\n'
    let request: ConnectRequest | null = null
    const broker = createBroker({
      authenticate: (each) => {
        request = each
        return true
      },
    })
    const { port } = await broker.listen({
      port: 0,
      proxyProtocol: true,
      webSocket: { forwarded: { proxies: ['10.0.0.0/8'] } },
    })
    const socket = createConnection({ port, host: '127.0.0.1' })
    const connect = new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' })
    socket.write(Buffer.concat([Buffer.from(line + upgradeRequest([claim])), clientFrame(2, encode(connect, 5))]))
    while (request === null) await once(socket, 'data')
    assert.equal((request as ConnectRequest).remoteAddress, '192.0.2.7')
    socket.destroy()
    await broker.close({ timeoutMs: 100 })
  })

  test('connections count for the client and not for the proxy, and are counted down again', async () => {
    const broker = createBroker({ limits: { connectionsPerAddressMax: 1 } })
    const listener = await broker.listen({ port: 0, webSocket: { forwarded: { proxies: ['127.0.0.1'] } } })
    const open = async (address: string): Promise<() => Promise<void>> => {
      const socket = createConnection({ port: listener.port, host: '127.0.0.1' }).on('error', () => {})
      socket.write(upgradeRequest([`X-Forwarded-For: ${address}`]))
      const answer = await Promise.race([once(socket, 'data'), once(socket, 'close')])
      assert.match(String(answer[0]), /^HTTP\/1\.1 101/)
      const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      return async () => {
        socket.resume().destroy()
        await gone
      }
    }
    const closes = await Promise.all(['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(open))
    await assert.rejects(open('192.0.2.2'))
    assert.equal(broker.metrics()['connectionsRefusedByAddress'], 1)
    for (const close of closes) await close()
    while (broker.metrics()['connections'] !== 0) await new Promise((resolve) => setImmediate(resolve))
    await (await open('192.0.2.2'))()
    await broker.close({ timeoutMs: 100 })
  })
})
