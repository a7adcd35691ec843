import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from './encoder.ts'
import { packetEnd } from './packet-end.ts'
import { Pingresp, Puback, Publish } from './packets.ts'

test('packets that stand one behind the other are found again, whatever the width of their length [MQTT-1.5.5-1]', () => {
  const packets = [0, 100, 120, 128, 16_380, 20_000, 2_097_150, 2_200_000]
    .map((bytes) => encode(Publish.of({ topic: 't', qos: 0, payload: new Uint8Array(bytes) }), 4))
    .flatMap((publish) => [publish, encode(new Puback(7, 0, {}), 5), encode(new Pingresp(), 4)])
  const all = Buffer.concat(packets)
  let at = 0
  for (const packet of packets) {
    const end = packetEnd(all, at)
    assert.equal(end - at, packet.length)
    at = end
  }
  assert.equal(at, all.length)
})

test('a packet that is not all there ends behind what is there, one without its length at the end of it', () => {
  assert.equal(packetEnd(Uint8Array.of(0x30, 5, 0), 0), 7)
  for (const bytes of [[0x30], [0x30, 0x80], [0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 1]]) {
    assert.equal(packetEnd(Uint8Array.from(bytes), 0), bytes.length)
  }
})
