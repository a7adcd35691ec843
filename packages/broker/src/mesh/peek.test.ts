import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connect, type ConnectOptions, encode } from '@recado/protocol'
import { homeOf, isOfProgram } from './homes.ts'
import { peekClientId } from './peek.ts'

function connectBytes(options: Partial<ConnectOptions>): Uint8Array {
  return encode(
    new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: '', ...options }),
    options.protocolVersion ?? 5,
  )
}

test('the Client Identifier is read from a CONNECT of each version, as soon as it is there and not before', () => {
  for (const protocolVersion of [3, 4, 5] as const) {
    for (const clientId of ['c', 'ünïcödé', 'x'.repeat(300)]) {
      const properties = protocolVersion === 5 ? { sessionExpiryIntervalSeconds: 7, authenticationMethod: 'm' } : {}
      const bytes = connectBytes({ protocolVersion, clientId, username: 'u', properties })
      assert.equal(peekClientId(bytes), clientId)
      let length = 0
      while (peekClientId(bytes.subarray(0, length)) === undefined) length++
      assert.equal(peekClientId(bytes.subarray(0, length)), clientId)
      assert.ok(length <= bytes.length)
    }
  }
})

test('an empty Client Identifier is told as empty', () => {
  assert.equal(peekClientId(connectBytes({})), '')
})

test('a bridge says the level with a bit of its own, and has a Client Identifier too', () => {
  const bytes = connectBytes({ protocolVersion: 4, clientId: 'bridge' })
  bytes[8]! |= 0x80
  assert.equal(peekClientId(bytes), 'bridge')
})

test('what is no CONNECT, or no whole one, has no Client Identifier', () => {
  assert.equal(peekClientId(Uint8Array.of(0x30, 0)), null)
  assert.equal(peekClientId(Uint8Array.of(0x16, 3, 1)), null)
  assert.equal(peekClientId(Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0xff)), null)
  assert.equal(peekClientId(Uint8Array.of(0x10, 0)), null)
  // Fields that are longer than the packet.
  assert.equal(peekClientId(Uint8Array.of(0x10, 4, 0, 9, 0x4d, 0x51)), null)
  const bytes = connectBytes({ protocolVersion: 4, clientId: 'abc' })
  bytes[bytes.length - 4] = 200
  assert.equal(peekClientId(bytes), null)
  // No UTF-8.
  const broken = connectBytes({ protocolVersion: 4, clientId: 'abc' })
  broken[broken.length - 2] = 0xff
  assert.equal(peekClientId(broken), null)
})

test('any bytes are answered without an error', () => {
  const bytes = connectBytes({ clientId: 'client', properties: { userProperties: [['a', 'b']] } })
  for (let i = 0; i < bytes.length; i++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const changed = new Uint8Array(bytes)
      changed[i] = value
      for (let length = 0; length <= changed.length; length++) peekClientId(changed.subarray(0, length))
    }
  }
})

test('homes are where they were when the first rows were written', () => {
  const homes = ['', 'a', 'sensor-1', 'sensor-2', 'ünï', 'x'.repeat(100)].map((clientId) => homeOf(clientId, 12))
  assert.deepEqual(homes, [1, 11, 5, 10, 4, 1])
})

test('homes are spread evenly over any number of Cores', () => {
  for (const cores of [2, 3, 4, 8, 12]) {
    const counts = new Array<number>(cores).fill(0)
    for (let i = 0; i < 12_000; i++) counts[homeOf(`device-${i}`, cores)]!++
    const share = 12_000 / cores
    for (const count of counts) assert.ok(Math.abs(count - share) < share * 0.15, `${count} of ${share}`)
  }
})

test('a session of the embedding program is told by its Client Identifier', () => {
  assert.equal(isOfProgram('\0name'), true)
  assert.equal(isOfProgram('name'), false)
})
