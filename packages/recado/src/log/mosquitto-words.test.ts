/** The lines that scripts and fail2ban filters look for, of Mosquitto 2.0.11 and 2.1.2 as they were measured. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrokerEvents, ClientInfo } from '@recado/broker'
import { escapeControls } from '../escape-controls.ts'
import { MosquittoWords } from './mosquitto-words.ts'
import { RecadoWords } from './recado-words.ts'

const [old, now] = [new MosquittoWords('2.0'), new MosquittoWords('2.1')]

const client: ClientInfo = {
  clientId: 'abc',
  username: undefined,
  protocolVersion: 4,
  remoteAddress: '10.0.0.9:5555',
  listener: '*:1883',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
}
const where = { remoteAddress: '10.0.0.9:5555', listener: '*:1883' }
const notices = (lines: readonly { type: string; text: string }[]): string[] =>
  lines.filter(({ type }) => type === 'notice').map(({ text }) => text)

test('a listener that is opened', () => {
  const listener = { port: 1883, host: null, path: null, isWebSocket: false, address: '[::]:1883' }
  for (const words of [old, now]) {
    assert.deepEqual(words.listenerOpened(listener), [
      'Opening ipv4 listen socket on port 1883.',
      'Opening ipv6 listen socket on port 1883.',
    ])
    assert.deepEqual(words.listenerOpened({ ...listener, host: '127.0.0.1', address: '127.0.0.1:1883' }), [
      'Opening ipv4 listen socket on port 1883.',
    ])
    assert.deepEqual(words.listenerOpened({ ...listener, host: '::1', address: '[::1]:1883' }), [
      'Opening ipv6 listen socket on port 1883.',
    ])
    assert.deepEqual(words.listenerOpened({ ...listener, port: 8080, isWebSocket: true }), [
      'Opening websockets listen socket on port 8080.',
    ])
    assert.deepEqual(words.listenerOpened({ ...listener, path: '/run/r.sock', address: '/run/r.sock' }), [
      'Opening unix listen socket on path /run/r.sock.',
    ])
  }
})

test('a connection that comes in', () => {
  for (const words of [old, now]) {
    assert.equal(words.connectionOpened(where), 'New connection from 10.0.0.9:5555 on port 1883.')
    assert.equal(
      words.connectionOpened({ remoteAddress: '[fe80::1]:5', listener: '[::]:8883' }),
      'New connection from fe80::1:5 on port 8883.',
    )
    assert.equal(
      words.connectionOpened({ remoteAddress: '', listener: '/run/r.sock' }),
      'New connection from /run/r.sock:0 on port 0.',
    )
  }
})

test('a client that connects', () => {
  const event = {
    client,
    cleanStart: true,
    sessionPresent: false,
    keepAliveSeconds: 60,
    sessionExpirySeconds: 0,
    will: null,
  }
  assert.equal(old.connected(event), 'New client connected from 10.0.0.9:5555 as abc (p2, c1, k60).')
  assert.equal(now.connected(event), 'New client connected from 10.0.0.9:5555 as abc (p4, c1, k60).')
  const five = { ...event, cleanStart: false, client: { ...client, protocolVersion: 5, username: 'ada' } as const }
  for (const words of [old, now]) {
    assert.equal(words.connected(five), "New client connected from 10.0.0.9:5555 as abc (p5, c0, k60, u'ada').")
    assert.equal(
      words.connected({ ...five, client: { ...five.client, isBridge: true } }),
      "New bridge connected from 10.0.0.9:5555 as abc (p5, c0, k60, u'ada').",
    )
  }
})

/** [Reason Code, by the client, 2.0, 2.1] */
const ends: readonly [number, boolean, string[], string[]][] = [
  [0, true, ['Client abc disconnected.'], ['Client abc [10.0.0.9:5555] disconnected.']],
  [4, true, ['Client abc disconnected.'], ['Client abc [10.0.0.9:5555] disconnected.']],
  [
    0x80,
    false,
    ['Client abc closed its connection.'],
    ['Client abc [10.0.0.9:5555] disconnected: connection closed by client.'],
  ],
  [
    0x8d,
    false,
    ['Client abc has exceeded timeout, disconnecting.'],
    ['Client abc [10.0.0.9:5555] disconnected: exceeded timeout.'],
  ],
  [
    0x82,
    false,
    ['Client abc disconnected due to protocol error.'],
    ['Client abc [10.0.0.9:5555] disconnected: protocol error.'],
  ],
  [
    0x81,
    false,
    ['Client abc disconnected due to malformed packet.'],
    ['Client abc [10.0.0.9:5555] disconnected: malformed packet.'],
  ],
  [
    0x95,
    false,
    ['Client abc disconnected due to oversize packet.'],
    ['Client abc [10.0.0.9:5555] disconnected: oversize packet.'],
  ],
  [0x8e, false, [], ['Client abc [10.0.0.9:5555] disconnected: session taken over.']],
  [
    0x98,
    false,
    ['Client abc been disconnected by administrative action.'],
    ['Client abc [10.0.0.9:5555] disconnected: administrative action.'],
  ],
  [0x96, false, ['Client abc disconnected: because.'], ['Client abc [10.0.0.9:5555] disconnected: because.']],
  [0x8b, false, [], []],
]

for (const [reasonCode, byClient, before, after] of ends) {
  test(`the end of a client, 0x${reasonCode.toString(16)}${byClient ? ' from itself' : ''}`, () => {
    const event: BrokerEvents['client.disconnected'] = {
      client,
      byClient,
      reasonCode: reasonCode as BrokerEvents['client.disconnected']['reasonCode'],
      why: 'because',
    }
    assert.deepEqual(notices(old.disconnected(event)), before)
    assert.deepEqual(notices(now.disconnected(event)), after)
  })
}

test('a login that is refused names the address for fail2ban', () => {
  const event = { ...where, clientId: 'abc', reasonCode: 0x87, why: 'not authorized' } as const
  assert.deepEqual(old.refused(event), [{ type: 'notice', text: 'Client <unknown> disconnected, not authorised.' }])
  assert.deepEqual(now.refused(event), [
    { type: 'notice', text: 'Client abc [10.0.0.9:5555] disconnected: not authorised.' },
  ])
  const five = { ...event, reasonCode: 0x86 } as const
  assert.deepEqual(notices(now.refused(five)), ['Client abc [10.0.0.9:5555] disconnected: not authorised.'])
})

test('whoever breaks the protocol before CONNACK is called by the address, and the cause stands beside it', () => {
  const event = { ...where, clientId: '', reasonCode: 0x82, why: 'packet type 12 before CONNACK' } as const
  const cause = 'Protocol error from 10.0.0.9:5555: packet type 12 before CONNACK.'
  assert.deepEqual(old.refused(event), [
    { type: 'information', text: cause },
    { type: 'notice', text: 'Client <unknown> disconnected due to protocol error.' },
  ])
  assert.deepEqual(now.refused(event), [
    { type: 'information', text: cause },
    { type: 'notice', text: 'Client 10.0.0.9 [10.0.0.9:5555] disconnected: protocol error.' },
  ])
})

test('whoever goes without a word, and a TLS handshake that fails', () => {
  const gone = { ...where, clientId: '', reasonCode: 0x80, why: 'the connection was closed' } as const
  assert.deepEqual(notices(old.failed(gone)), ['Client <unknown> closed its connection.'])
  assert.deepEqual(notices(now.failed(gone)), [
    'Client 10.0.0.9 [10.0.0.9:5555] disconnected: connection closed by client.',
  ])
  const tls = { ...gone, remoteAddress: '[::1]:5', why: 'TLS: http request' } as const
  assert.deepEqual(notices(old.failed(tls)), ['Client <unknown> disconnected due to protocol error.'])
  assert.deepEqual(notices(now.failed(tls)), ['Client ::1 [::1:5] disconnected: protocol error.'])
})

test('a packet is for a client by its name; where 2.0 knows none yet, by its address', () => {
  for (const words of [old, now]) assert.equal(words.nameOf(client, false), 'abc')
  assert.equal(old.nameOf(client, true), '10.0.0.9')
  assert.equal(now.nameOf(client, true), 'abc')
  assert.equal(now.nameOf({ ...client, clientId: '' }, true), '10.0.0.9')
})

test('a connection for which there is no room', () => {
  const event = { ...where, clientId: '', reasonCode: 0x89, why: '100 connections are open' } as const
  for (const words of [old, now]) {
    assert.deepEqual(notices(words.refused(event)), [
      'Client connection from 10.0.0.9 denied: 100 connections are open.',
    ])
  }
})

test('a session that is taken over is told by 2.0 at the new connection, by 2.1 at the end of the old one', () => {
  const event = { clientId: 'abc', remoteAddress: '10.0.0.9:1' }
  assert.deepEqual(old.takenOver(event), [
    { type: 'error', text: 'Client abc already connected, closing old connection.' },
  ])
  assert.deepEqual(now.takenOver(event), [])
})

test('a long Client Identifier or user name does not push the address out of the line', () => {
  // Each is six characters in the log.
  const clientId = '\u2028'.repeat(1_000)
  const long: ClientInfo = { ...client, clientId, username: 'u'.repeat(1_000) }
  const refused = { clientId, reasonCode: 0x86, why: 'not authorised', ...where }
  const connect = { cleanStart: true, sessionPresent: false, keepAliveSeconds: 60, sessionExpirySeconds: 0, will: null }
  const ours = new RecadoWords()
  assert.equal(
    notices(now.refused(refused))[0],
    `Client ${'\u2028'.repeat(119)}… [10.0.0.9:5555] disconnected: not authorised.`,
  )
  const lines = [
    ...notices(now.refused(refused)),
    ...notices(now.disconnected({ client: long, byClient: false, reasonCode: 0x97, why: 'slow' })),
    ...notices(ours.refused(refused)),
    now.connected({ client: long, ...connect }),
    ours.connected({ client: long, ...connect }),
  ]
  for (const line of lines) assert.match(escapeControls(line).slice(0, 900), /10\.0\.0\.9:5555/)
})

test('a PROXY header that is not taken is told as in 2.1, with the address of the client where it has one', () => {
  const event = { ...where, clientId: '' } as const
  const said = (why: string): string[] => notices(now.failed({ ...event, why: `PROXY header: ${why}` } as never))
  assert.deepEqual(said('version 1, malformed'), [
    'Connection rejected, corrupt PROXY header. (PROXY header: version 1, malformed)',
  ])
  assert.deepEqual(said('the client 192.0.2.5:6275 came without TLS'), [
    'Connection from 192.0.2.5:6275 rejected, client did not connect using TLS.',
  ])
  assert.deepEqual(said('the client came without a certificate'), [
    'Connection rejected, client did not provide a certificate.',
  ])
})
