import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineRoom } from './line-room.ts'

const KIB = 1024

/** Fills the room at once, and lets a line of so many bytes a second empty it; returns the seconds that it took. */
function fill(room: LineRoom, bytesPerSecond: number): number {
  let bytes = 0
  while (room.hasRoom(bytes, 0)) bytes += 100
  const seconds = bytes / bytesPerSecond
  room.emptied(seconds * 1_000)
  return seconds
}

test('a line of 64 kbit/s soon has no more before it than it carries in a few seconds', () => {
  const room = new LineRoom()
  const seconds = Array.from({ length: 6 }, () => fill(room, 8_000))
  assert.ok(seconds[0]! > 30 && seconds.at(-1)! < 5, seconds.join(' '))
  for (let i = 0; i < 20; i++) fill(room, 100)
  assert.equal(room.bytes, 16 * KIB)
})

test('a fast line gets as much as a mebibyte, and a slow one can become fast again', () => {
  const room = new LineRoom()
  for (let i = 0; i < 10; i++) fill(room, 100_000_000)
  assert.equal(room.bytes, 1024 * KIB)
  for (let i = 0; i < 10; i++) fill(room, 8_000)
  const slow = room.bytes
  fill(room, 100_000_000)
  assert.equal(room.bytes, 2 * slow)
})

test('what does not wait says nothing', () => {
  const room = new LineRoom()
  room.emptied(10_000)
  assert.equal(room.bytes, 256 * KIB)
})
