import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nowUs, PAYLOAD_HEADER_BYTES, readPayloadHeader, writePayloadHeader } from './bench-payload.ts'

const empty = () => ({ run: 0, publisher: 0, sequence: 0, sentUs: 0 })

test('a payload header reads back as it was written, at any place of a buffer', () => {
  const sentUs = nowUs()
  const payload = new Uint8Array(PAYLOAD_HEADER_BYTES)
  writePayloadHeader(payload, 0xfffff, 0xffff_ffff, 0x8000_0001, sentUs)
  const buffer = new Uint8Array(100)
  buffer.set(payload, 13)
  const header = empty()
  assert.equal(readPayloadHeader(buffer, 13, 13 + PAYLOAD_HEADER_BYTES, header), true)
  assert.deepEqual(header, { run: 0xfffff, publisher: 0xffff_ffff, sequence: 0x8000_0001, sentUs })
})

test('the layout is fixed, since another process reads it', () => {
  const payload = new Uint8Array(24)
  writePayloadHeader(payload, 1, 2, 3, 1.5)
  assert.equal(Buffer.from(payload).toString('hex'), '7263646f0000000100000002000000033ff8000000000000')
})

test('a payload that is short or of somebody else is not ours', () => {
  const header = empty()
  assert.equal(readPayloadHeader(new Uint8Array(23), 0, 23, header), false)
  assert.equal(readPayloadHeader(new Uint8Array(64), 0, 64, header), false)
  assert.deepEqual(header, empty())
})

test('time is microseconds since the epoch and does not go back', () => {
  const first = nowUs()
  assert.ok(Math.abs(first / 1_000 - Date.now()) < 5_000)
  assert.ok(nowUs() >= first)
})
