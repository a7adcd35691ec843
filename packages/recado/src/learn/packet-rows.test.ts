import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wireCases } from '@recado/protocol/wire-cases'
import { packetRows } from './packet-rows.ts'

test('each byte of each well-formed packet has its row, in both languages', () => {
  let explained = 0
  for (const { name, version, bytes, packet } of wireCases) {
    if (packet === undefined) continue
    for (const language of ['en', 'es'] as const) {
      const rows = packetRows(bytes, version, language)
      assert.deepEqual(Buffer.concat(rows.map((row) => row.bytes)), Buffer.from(bytes), name)
      assert.equal(rows.at(-1)!.at + rows.at(-1)!.bytes.length, bytes.length + 1, name)
      assert.doesNotMatch(rows.at(-1)!.meaning, /no field of this packet|no son un campo/, name)
      explained++
    }
  }
  assert.ok(explained > 100)
})

test('what fits no field is one row at the end', () => {
  const rows = packetRows(Uint8Array.of(0x40, 0x03, 0x00, 0x07, 0x00), 4, 'en')
  assert.deepEqual(
    rows.map(({ meaning }) => meaning),
    [
      'packet type 4, PUBACK; flags `0000`',
      'Remaining Length: 3 bytes follow',
      'Packet Identifier: 7',
      'Reason Code 0x00: Success',
    ],
  )
  // A User Name Flag without a user name.
  const cut = packetRows(
    Buffer.from('1012 0004 4d515454 04 82 003c 0001 70 0009 61'.replaceAll(' ', ''), 'hex'),
    4,
    'en',
  )
  assert.equal(cut.at(-1)!.meaning, '1 bytes that are no field of this packet')
  assert.deepEqual(packetRows(new Uint8Array(0), 4, 'en'), [])
})

test('properties have the names of the specification', () => {
  const connack = Uint8Array.of(0x20, 0x08, 0x00, 0x00, 0x05, 0x11, 0x00, 0x00, 0x0e, 0x10)
  assert.deepEqual(
    packetRows(connack, 5, 'es').map(({ meaning }) => meaning),
    [
      'tipo de paquete 2, CONNACK; flags `0000`',
      'Remaining Length: siguen 8 bytes',
      'Session Present: 0',
      'Connect Reason Code 0x00: Success',
      'Property Length: 5',
      'Property 0x11: Session Expiry Interval',
      'Session Expiry Interval: 3600',
    ],
  )
})
