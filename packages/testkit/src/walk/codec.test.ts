import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  connectOf,
  Malformed,
  type Packet,
  Property,
  publishOf,
  Reader,
  subscribeOf,
  type Version,
  varint,
} from './codec.ts'

function read(version: Version, hex: string, chunk = 1_000): Packet[] {
  const packets: Packet[] = []
  const reader = new Reader(version, (packet) => packets.push(packet))
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  for (let at = 0; at < bytes.length; at += chunk) reader.push(bytes.subarray(at, at + chunk))
  return packets
}

test('the walk shares no code with the packages that it is to judge', () => {
  const folder = fileURLToPath(new URL('../../src/walk/', import.meta.url))
  for (const name of readdirSync(folder)) {
    const imported = [
      ...readFileSync(`${folder}${name}`, 'utf8').matchAll(/from '(@recado\/[^']+|[^']*\/sim\/[^']+)'/g),
    ]
    assert.deepEqual(imported, [], name)
  }
})

test('packets of a server are read however they are split', () => {
  const hex = '20 03 01 00 00  34 09 00 01 61 00 07 00 78 79 7a  40 02 00 01  90 05 00 02 00 01 80  d0 00  e0 01 8e'
  for (const chunk of [1, 2, 3, 1_000]) {
    const [connack, publish, puback, suback, pingresp, disconnect] = read(5, hex, chunk)
    assert.equal(connack?.sessionPresent, true)
    assert.deepEqual(
      { qos: publish?.qos, topic: publish?.topic, packetId: publish?.packetId, size: publish?.size },
      { qos: 2, topic: 'a', packetId: 7, size: 11 },
    )
    assert.equal(Buffer.from(publish!.payload).toString(), 'xyz')
    assert.equal(puback?.packetId, 1)
    assert.deepEqual(suback?.reasonCodes, [1, 0x80])
    assert.equal(pingresp?.kind, 13)
    assert.equal(disconnect?.reasonCode, 0x8e)
  }
})

test('properties of all types are read', () => {
  const [packet] = read(
    5,
    '30 28  00 01 61  21  01 01  02 00 00 00 05  03 00 01 63  08 00 01 72  09 00 02 00 ff  0b 80 01  23 00 02  26 00 01 6b 00 01 76  62 62 62',
  )
  assert.deepEqual(
    packet?.properties.map(([id, value]) => [id, value instanceof Uint8Array ? [...value] : value]),
    [
      [1, 1],
      [2, 5],
      [3, 'c'],
      [8, 'r'],
      [9, [0, 255]],
      [11, 128],
      [35, 2],
      [38, ['k', 'v']],
    ],
  )
})

/** Packets that no server may send, each with the reader's message. */
const refused: readonly [Version, string, RegExp][] = [
  [5, '20 02 00 00', /0 are left/],
  [4, '20 02 02 00', /flags 2/],
  [3, '20 02 01 00', /flags 1/],
  [4, '20 02 01 05', /Session Present/],
  [4, '20 02 00 06', /return code 6/],
  [5, '20 03 00 8b 00', /reason code 0x8b/],
  [4, '20 03 00 00 00', /after the end/],
  [4, '36 05 00 01 61 00 01', /QoS 3/],
  [4, '38 03 00 01 61', /DUP and QoS 0/],
  [4, '32 05 00 01 61 00 00', /Identifier of 0/],
  [4, '30 03 00 01 23', /wildcard/],
  [4, '30 02 00 00', /without a topic/],
  [4, '30 03 00 01 ff', /not UTF-8/],
  [4, '30 03 00 01 00', /U\+0000/],
  [5, '30 08 00 01 61 04 01 00 01 00', /property 1 twice/],
  [5, '30 06 00 01 61 02 01 02', /property 1 is 2/],
  [5, '30 07 00 01 61 03 23 00 00', /property 35 is 0/],
  [5, '30 09 00 01 61 05 11 00 00 00 01', /property 17 in a packet of type 3/],
  [4, '60 02 00 01', /flags 0 in a packet of type 6/],
  [4, '40 03 00 01 00', /after the end/],
  [5, '40 03 00 01 11', /reason code 0x11/],
  [4, '90 02 00 01', /no reason code/],
  [4, '90 03 00 01 87', /before 5.0/],
  [4, 'e0 00', /DISCONNECT from a server before 5.0/],
  [5, 'c0 00', /type 12 from a server/],
  [5, '40 82 00 00 01', /longer than it must be/],
  [5, '40 ff ff ff ff 7f', /more than four bytes/],
]

for (const [version, hex, what] of refused) {
  test(`version ${version}: ${hex} is refused (${what.source})`, () => {
    assert.throws(
      () => read(version, hex),
      (error) => error instanceof Malformed && what.test(error.message),
    )
  })
}

test('what a client sends is as the specification has it', () => {
  const will = {
    topic: 'w',
    payload: Buffer.from('x'),
    qos: 1,
    retain: true,
    properties: [[Property.WillDelay, 2]] as const,
  }
  assert.equal(
    connectOf(5, 'a', true, 60, will, [[Property.SessionExpiry, 10]]).toString('hex'),
    '101f00044d515454052e003c05110000000a0001610518000000020001770001' + '78',
  )
  assert.equal(connectOf(3, 'a', false, 0, null, []).toString('hex'), '100f00064d5149736470030000000001' + '61')
  const message = {
    topic: 'a',
    payload: Buffer.from('p'),
    qos: 1,
    retain: true,
    properties: [[Property.TopicAlias, 3]] as const,
  }
  assert.equal(publishOf(5, message, 258, true).toString('hex'), '3b0a00016101020323000370')
  assert.equal(publishOf(4, message, 258, false).toString('hex'), '330600016101' + '0270')
  const filter = { filter: '#', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 }
  assert.equal(subscribeOf(5, 1, [filter], 200).toString('hex'), '820a0001030bc8010001232d')
  assert.deepEqual(
    [0, 127, 128, 16_384].map((value) => varint(value).toString('hex')),
    ['00', '7f', '8001', '808001'],
  )
})
