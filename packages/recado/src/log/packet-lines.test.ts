import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReceivedPacket, TracedPacket } from '@recado/broker'
import { receivedLines, sentLine } from './packet-lines.ts'

const publish = { type: 3, packetId: 7, qos: 1, retain: true, dup: false, topic: 'a/b', payloadBytes: 5 } as const

const received: readonly [Omit<ReceivedPacket, 'isRefused'>, boolean, string[]][] = [
  [{ type: 1 }, false, []],
  [{ ...publish, reasonCode: 0 }, false, ["Received PUBLISH from x (d0, q1, r1, m7, 'a/b', ... (5 bytes))"]],
  [{ ...publish, reasonCode: 0x87 }, true, ["Denied PUBLISH from x (d0, q1, r1, m7, 'a/b', ... (5 bytes))"]],
  [{ ...publish, reasonCode: 0x97 }, true, ["Dropped too large PUBLISH from x (d0, q1, r1, m7, 'a/b', ... (5 bytes))"]],
  [{ type: 4, packetId: 1, reasonCode: 0 }, false, ['Received PUBACK from x (Mid: 1, RC:0)']],
  [{ type: 5, packetId: 1, reasonCode: 0 }, false, ['Received PUBREC from x (Mid: 1)']],
  [{ type: 6, packetId: 9, reasonCode: 0 }, false, ['Received PUBREL from x (Mid: 9)']],
  [{ type: 7, packetId: 1, reasonCode: 0 }, false, ['Received PUBCOMP from x (Mid: 1, RC:0)']],
  [{ type: 8, packetId: 1 }, false, ['Received SUBSCRIBE from x']],
  [{ type: 10, packetId: 1, topicFilters: ['a'] }, false, ['Received UNSUBSCRIBE from x']],
  [{ type: 12 }, false, ['Received PINGREQ from x']],
  [{ type: 14, reasonCode: 0 }, false, ['Received DISCONNECT from x']],
]

for (const [packet, isRefused, lines] of received) {
  test(`received: ${lines[0] ?? 'CONNECT is told by the client that has connected'}`, () => {
    assert.deepEqual(receivedLines({ ...packet, isRefused }, 'x'), lines)
  })
}

const sent: readonly [TracedPacket, string][] = [
  [{ type: 2, reasonCode: 5, sessionPresent: false }, 'Sending CONNACK to x (0, 5)'],
  [publish, "Sending PUBLISH to x (d0, q1, r1, m7, 'a/b', ... (5 bytes))"],
  [{ type: 4, packetId: 1, reasonCode: 0 }, 'Sending PUBACK to x (m1, rc0)'],
  [{ type: 5, packetId: 1, reasonCode: 0x87 }, 'Sending PUBREC to x (m1, rc135)'],
  [{ type: 6, packetId: 1 }, 'Sending PUBREL to x (m1)'],
  [{ type: 7, packetId: 1, reasonCode: 0 }, 'Sending PUBCOMP to x (m1)'],
  [{ type: 9, packetId: 1 }, 'Sending SUBACK to x'],
  [{ type: 11, packetId: 1 }, 'Sending UNSUBACK to x'],
  [{ type: 13 }, 'Sending PINGRESP to x'],
  [{ type: 14, reasonCode: 142 }, 'Sending DISCONNECT to x (rc142)'],
]

for (const [packet, text] of sent) test(`sent: ${text}`, () => assert.equal(sentLine(packet, 'x'), text))
