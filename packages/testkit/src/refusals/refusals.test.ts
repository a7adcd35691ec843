/* Each way to be refused, played: the code, the end, and whether the code tells a client what it should. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connack, isReasonCodeOf, PacketType } from '@recado/protocol'
import { refusalCases } from './cases.ts'

/** A 3.1.1 client that is told these need not come back: nothing will have changed. */
const FINAL_BEFORE_5: readonly (number | null | undefined)[] = [1, 2, 4, 5]
/** Reason Codes of 5.0 that blame the client, its CONNECT or its login. */
const FINAL_IN_5: readonly (number | null | undefined)[] = [
  0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x90, 0x95, 0x99, 0x9a, 0x9b,
]

for (const { situation, before5, in5, next, play } of refusalCases) {
  test(`refused: ${situation}`, () => {
    for (const [version, expected, final] of [
      [4, before5, FINAL_BEFORE_5],
      [5, in5, FINAL_IN_5],
    ] as const) {
      if (expected === undefined) continue
      const client = play(version)
      const told = client.takeAll().filter((packet): packet is Connack => packet instanceof Connack)
      assert.deepEqual(
        told.map(({ reasonCode }) => reasonCode),
        expected === null ? [] : [expected],
        `version ${version}`,
      )
      assert.ok(client.isClosed, `version ${version} is not closed`)
      if (expected === null) continue
      assert.ok(isReasonCodeOf(PacketType.CONNACK, version, 'server', expected))
      assert.equal(
        final.includes(expected),
        next === 'same',
        `version ${version} is told the wrong thing about the next time`,
      )
    }
  })
}

test('a situation stands once, and can happen somewhere', () => {
  assert.equal(new Set(refusalCases.map(({ situation }) => situation)).size, refusalCases.length)
  for (const { before5, in5 } of refusalCases) assert.ok(before5 !== undefined || in5 !== undefined)
})
