import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteWriter, NO_PROPERTIES } from '@recado/protocol'
import { Message } from '../core/base/message.ts'
import { decodeForwardId, encodeForwardId, ForwardId } from '../core/journal/forward.ts'
import { NO_VALUE } from '../core/journal/received-ids.ts'
import { FRAME_VERSION, FrameError, HEAD_BYTES, RESEND, RecordType, readFrame, writeHead } from './frame.ts'
import { filterOf, filterRecord, idOf, idRecord, MessageReader, MessageRecords } from './records.ts'

const HEAD = {
  ...{ flags: RESEND, from: 3, to: 65_535, fromEpoch: 4_294_967_295, toEpoch: 7 },
  ...{ nowMs: 1_764_500_000_123, received: 2 ** 40 + 5, safe: 2 ** 40, first: 2 ** 33 },
}

function frameOf(head: Partial<typeof HEAD>, ...records: Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(0)
  writeHead(writer, { ...HEAD, ...head })
  for (const record of records) writer.raw(record, 0, record.length)
  return writer.bytes.slice(0, writer.length)
}

test('a frame is read as it was written', () => {
  const bytes = frameOf({}, filterRecord(RecordType.FilterAdded, 'a/+/ü'), filterRecord(RecordType.FilterRemoved, '#'))
  const { head, records } = readFrame(bytes)
  assert.deepEqual(head, HEAD)
  assert.deepEqual(
    records.map(({ type, body }) => [type, filterOf(body)]),
    [
      [RecordType.FilterAdded, 'a/+/ü'],
      [RecordType.FilterRemoved, '#'],
    ],
  )
})

test('a frame that is cut short anywhere, or says what no frame says, is refused', () => {
  const bytes = frameOf({}, filterRecord(RecordType.FilterAdded, 'a/b'))
  for (let length = 0; length < bytes.length; length++) {
    if (length === HEAD_BYTES) continue
    assert.throws(() => readFrame(bytes.subarray(0, length)), FrameError, `${length} bytes`)
  }
  assert.throws(() => readFrame(frameOf({ received: 1, safe: 2 })), FrameError)
  const tooLarge = frameOf({})
  tooLarge[22] = 0xff
  assert.throws(() => readFrame(tooLarge), /too large/)
})

test('a frame of another version is refused', () => {
  const bytes = frameOf({})
  for (const version of [0, FRAME_VERSION + 1, 255]) {
    bytes[0] = version
    assert.throws(() => readFrame(bytes), /version/)
  }
})

const READ_MS = 5_000

function messageOf(qos: 0 | 1 | 2, retain: boolean, expiresAtMs: number): Message {
  const parts = {
    ...{ topic: 'a/b', payload: Uint8Array.of(1, 2, 3), qos, retain },
    properties: { contentType: 'text', userProperties: [['k', 'v']] as [string, string][] },
  }
  return Message.expiring(parts, null, expiresAtMs)
}

test('a message is the same behind a link, and its time of expiry is by the clock there', () => {
  const reader = new MessageReader()
  for (const qos of [0, 1, 2] as const) {
    for (const isTaken of [false, true]) {
      const sent = messageOf(qos, isTaken, 9_000)
      sent.isTaken = isTaken
      const id = qos === 2 ? new ForwardId(4, 2 ** 47 + 3) : null
      const record = new MessageRecords().write(sent, id)
      assert.equal(record[0], qos === 0 ? RecordType.Once : RecordType.Publish)
      const { message, id: read } = reader.read(readFrame(frameOf({}, record)).records[0]!.body, READ_MS)
      assert.deepEqual(read, id === null ? null : { epoch: 4, number: 2 ** 47 + 3 })
      assert.equal(message.topic, 'a/b')
      assert.deepEqual([...message.payload], [1, 2, 3])
      assert.deepEqual([message.qos, message.retain, message.isTaken], [qos, isTaken, isTaken])
      assert.deepEqual(message.properties, sent.properties)
      assert.equal(message.expiresAtMs, 9_000 + READ_MS)
    }
  }
  const { message } = reader.read(
    new MessageRecords().write(messageOf(1, false, Number.POSITIVE_INFINITY), null).subarray(5),
    -7,
  )
  assert.equal(message.expiresAtMs, Number.POSITIVE_INFINITY)
})

test('a record that is no message is refused, and the reader reads the next one', () => {
  const reader = new MessageReader()
  const body = new MessageRecords().write(messageOf(1, false, 9_000), null).subarray(5)
  for (let length = 0; length < body.length; length++)
    assert.throws(() => reader.read(body.subarray(0, length), 0), `${length} bytes`)
  assert.equal(reader.read(body, 0).message.topic, 'a/b')
})

test('a message with a control character says so behind a link', () => {
  const parts = {
    topic: 'a\u0001',
    payload: new Uint8Array(0),
    qos: 1,
    retain: false,
    properties: NO_PROPERTIES,
  } as const
  const sent = Message.expiring(parts, null, 9_000)
  assert.equal(sent.hasDisallowedCodePoint, true)
  const { message } = new MessageReader().read(new MessageRecords().write(sent, null).subarray(5), 0)
  assert.equal(message.hasDisallowedCodePoint, true)
})

test('an identifier is the same in a record and in the row of a receipt', () => {
  for (const number of [1, 2 ** 32 - 1, 2 ** 32, 2 ** 47 + 12345]) {
    const id = new ForwardId(4_000_000_000, number)
    assert.deepEqual(idOf(idRecord(RecordType.Released, id).subarray(5)), { epoch: 4_000_000_000, number })
    const row = decodeForwardId(encodeForwardId(id))!
    assert.deepEqual([row.epoch, row.number], [4_000_000_000, number])
  }
  assert.equal(decodeForwardId(NO_VALUE), null)
})
