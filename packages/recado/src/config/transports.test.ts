import assert from 'node:assert/strict'
import { test } from 'node:test'
import { socketsFor } from './broker-options.ts'
import { type Config, loadConfig } from './config.ts'
import type { Block } from './parse.ts'
import { findOption } from './schema.ts'
import { addressesOf } from './transports.ts'

const load = (text: string): Config =>
  loadConfig(
    { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
    { read: () => text, list: () => [] },
  )
const first = (text: string): ReturnType<typeof socketsFor>[number] => {
  const config = load(text)
  return socketsFor(config.listeners[0]!, config)[0]!
}
const fails = (lines: string, message: RegExp): void => assert.throws(() => load(`listener 1883\n${lines}`), message)

test('WebSocket, with origins and room for headers', () => {
  assert.deepEqual(first('listener 9001\nprotocol websockets').webSocket, { origins: [] })
  assert.deepEqual(
    first(
      'websockets_headers_size 4000\nlistener 9001\nprotocol websockets\nwebsockets_origin https://a\nwebsockets_origin https://b',
    ).webSocket,
    { origins: ['https://a', 'https://b'], headerBytesMax: 4000 },
  )
  assert.equal(first('listener 1883').webSocket, undefined)
  assert.deepEqual(load('listener 9001\nprotocol websockets').warnings, [])
  assert.match(
    load('listener 1883\nwebsockets_origin https://a').warnings[0]!,
    /a\.conf:2: websockets_origin has no effect without protocol websockets/,
  )
  fails('websockets_proxy unix', /a\.conf:2: websockets_proxy needs protocol websockets/)
})

test('the PROXY protocol', () => {
  const none = { requireTls: false, requireCertificate: false }
  assert.deepEqual(first('listener 1883\nenable_proxy_protocol 1').proxyProtocol, { version: 1, ...none })
  const strict =
    'listener 1883\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\nrequire_certificate true\nuse_identity_as_username true'
  assert.deepEqual(first(strict).proxyProtocol, { version: 2, requireTls: true, requireCertificate: true })
  assert.equal(first(strict).usernameFrom, 'identity')
  assert.equal(first(strict).tls, undefined)
  fails('proxy_protocol_v2_require_tls true', /needs enable_proxy_protocol 2/)
  fails('enable_proxy_protocol 1\nuse_identity_as_username true', /without them there is no TLS/)
})

test('mount points and user names as Client Identifiers', () => {
  const { mountPoint, clientIdFromUsername } = first(
    'listener 1883\nmount_point site-1/\nuse_username_as_clientid true',
  )
  assert.deepEqual([mountPoint, clientIdFromUsername], ['site-1/', true])
  assert.deepEqual([first('listener 1883').mountPoint, first('listener 1883').clientIdFromUsername], ['', false])
  fails('mount_point a/#', /may not have \+ or #/)
})

test('an interface stands for all of its addresses', () => {
  const setting = (name: string, value: string): Block['settings'][number] => ({
    option: findOption(name)!,
    name,
    value,
    file: 'a.conf',
    line: 2,
    ignored: '',
  })
  const interfaces = () => ({
    eth0: [
      { address: '192.0.2.1', family: 'IPv4' },
      { address: 'fe80::1', family: 'IPv6', scopeid: 2 },
    ],
  })
  const block = (...settings: Block['settings']): Block => ({ kind: 'listener', head: null, settings })
  const at = { port: 1883, address: null }
  assert.deepEqual(addressesOf(block(setting('bind_interface', 'eth0')), at, interfaces), [
    { port: 1883, address: '192.0.2.1' },
    { port: 1883, address: 'fe80::1%eth0' },
  ])
  const v4 = block(setting('bind_interface', 'eth0'), setting('socket_domain', 'ipv4'))
  assert.deepEqual(addressesOf(v4, at, interfaces), [{ port: 1883, address: '192.0.2.1' }])
  assert.throws(
    () => addressesOf(block(setting('bind_interface', 'eth1')), at, interfaces),
    /no such interface, but eth0/,
  )
  const own = { port: 1883, address: '192.0.2.1' }
  assert.deepEqual(addressesOf(v4, own, interfaces), [own], 'an address of that interface may stand beside it')
  assert.throws(
    () => addressesOf(v4, { port: 1883, address: '192.0.2.9' }, interfaces),
    /does not have the address 192.0.2.9/,
  )
  assert.deepEqual(addressesOf(block(), at, interfaces), [at])
})

test('IPv6 alone where Mosquitto has it alone, and both on one socket for a listener on all addresses', () => {
  const only = (text: string): unknown => first(text).ipv6Only
  assert.equal(only('listener 1883'), false)
  assert.equal(only('listener 1883 ::'), true)
  assert.equal(only('listener 1883\nsocket_domain ipv6'), true)
})

test('socket_domain that does not fit the address is an error: it would be overlooked', () => {
  const at = (listener: string): void => void load(`${listener}\nsocket_domain ipv6`)
  at('listener 1883 ::1')
  at('listener 1883 localhost')
  assert.throws(
    () => at('listener 1883 127.0.0.1'),
    /a\.conf:2: socket_domain ipv6 does not fit the address 127\.0\.0\.1/,
  )
  assert.throws(() => at('listener 0 /run/a'), /a\.conf:2: socket_domain is not for unix sockets/)
})

test('mode, owner and group of a unix socket', () => {
  const access = (lines: string): unknown => {
    const { mode, uid, gid } = first(`listener 0 /run/a\n${lines}`)
    return { mode, uid, gid }
  }
  assert.deepEqual(access(''), { mode: 0o770, uid: undefined, gid: undefined })
  const { uid, gid } = { uid: 0, gid: 0 }
  assert.deepEqual(access('unix_socket_mode 0660\nunix_socket_owner root\nunix_socket_group root'), {
    mode: 0o660,
    uid,
    gid,
  })
  assert.throws(() => access('unix_socket_owner no-such-user-here'), /no user "no-such-user-here".*unix_socket_owner/)
  assert.throws(
    () => access('unix_socket_group no-such-group-here'),
    /no group "no-such-group-here".*unix_socket_group/,
  )
  assert.throws(() => access('unix_socket_mode 9'), /a\.conf:2: unix_socket_mode must be three octal digits/)
  fails('unix_socket_mode 0660', /a\.conf:2: unix_socket_mode is for unix sockets/)
})

test('proxies in front of WebSockets, and the header that they write', () => {
  const ws = 'listener 9001\nprotocol websockets\n'
  const { webSocket } = first(
    `${ws}websockets_proxy 10.0.0.0/8\nwebsockets_proxy unix\nwebsockets_proxy_header forwarded`,
  )
  assert.deepEqual(webSocket, { origins: [], forwarded: { proxies: ['10.0.0.0/8', 'unix'], header: 'forwarded' } })
  assert.throws(
    () => load(`${ws}websockets_proxy nginx`),
    /a\.conf:3: websockets_proxy: "nginx" is not the address of a proxy/,
  )
  assert.throws(() => load(`${ws}websockets_proxy_header forwarded`), /a\.conf:3: websockets_proxy_header needs/)
  fails('websockets_proxy 10.0.0.1', /a\.conf:2: websockets_proxy needs protocol websockets/)
})
