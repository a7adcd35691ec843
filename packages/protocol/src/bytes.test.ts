import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import * as bytes from './bytes.ts'
import { ProtocolError } from './errors.ts'

/** Loads the file once more as a browser does: without Node's Buffer. */
async function withoutBuffer(): Promise<typeof bytes> {
  const { Buffer } = globalThis
  // @ts-expect-error: a browser has none
  delete globalThis.Buffer
  try {
    return (await import(`${new URL('./bytes.js', import.meta.url).href}?browser`)) as typeof bytes
  } finally {
    globalThis.Buffer = Buffer
  }
}

const browser = await withoutBuffer()

for (const [where, { copy, copyWords, decodeUtf8, encodeUtf8, equal, isUtf8, utf8Length, viewOf, viewOfSame }] of [
  ['Node', bytes],
  ['a browser', browser],
] as const)
  describe(`in ${where}`, () => {
    it('text comes back as it was, and takes as many bytes as said', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (s) => {
          const text = s.replaceAll('\0', '')
          const encoded = encodeUtf8(text)
          assert.ok(encoded !== null)
          assert.deepEqual(encoded, new TextEncoder().encode(text))
          assert.equal(utf8Length(text), encoded.length)
          assert.equal(decodeUtf8(encoded, 0, encoded.length), text)
          // From the middle of something larger.
          const larger = new Uint8Array(encoded.length + 7).fill(0xff)
          larger.set(encoded, 3)
          assert.equal(decodeUtf8(larger, 3, 3 + encoded.length), text)
        }),
        { seed: 1, numRuns: 500 },
      )
    })

    it('copyWords copies what copy does; there is a view of the array of the call before', () => {
      const backing = Uint8Array.from({ length: 600 }, (_, i) => i)
      const sources = [backing.subarray(7, 307), backing.subarray(50), new Uint8Array(1 << 21).fill(9)]
      const targetBacking = new Uint8Array(400)
      const target = targetBacking.subarray(5)
      const view = viewOf(target)
      let before: Uint8Array | null = null
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(2), fc.nat(50), fc.nat(50), fc.nat(200)), { minLength: 1, maxLength: 20 }),
          (copies) => {
            for (const [which, from, at, length] of copies) {
              const source = sources[which]!
              targetBacking.fill(0)
              const expected = new Uint8Array(400)
              copy(source, from, expected, at + 5, length)
              const seen = viewOfSame(source)
              // Of a large one none is kept.
              assert.equal(seen !== null, source === before && source.length < 1 << 20)
              before = source
              copyWords(seen ?? viewOf(source), from, view, at, length)
              assert.deepEqual(targetBacking, expected)
            }
          },
        ),
        { seed: 1, numRuns: 300 },
      )
    })

    it('a byte order mark is text like any other [MQTT-1.5.4-3]', () => {
      assert.equal(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), 0, 4), '\ufeffa')
    })

    it('exactly what a strict TextDecoder takes is UTF-8, but for U+0000', () => {
      const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
      const few = fc.constantFrom(
        0x00,
        0x41,
        0x7f,
        0x80,
        0x8f,
        0x90,
        0x9f,
        0xa0,
        0xbf,
        0xc0,
        0xc1,
        0xc2,
        0xdf,
        0xe0,
        0xe1,
        0xed,
        0xef,
        0xf0,
        0xf1,
        0xf4,
        0xf5,
        0xff,
      )
      fc.assert(
        fc.property(fc.array(few, { maxLength: 6 }), (list) => {
          const data = Uint8Array.from(list)
          let text: string | null = null
          try {
            text = strict.decode(data)
          } catch {
            // ill-formed
          }
          if (text?.includes('\0')) text = null
          assert.equal(isUtf8(data, 0, data.length), text !== null)
          if (text === null) assert.throws(() => decodeUtf8(data, 0, data.length), { reasonCode: 0x81 })
          else assert.equal(decodeUtf8(data, 0, data.length), text)
        }),
        { seed: 2, numRuns: 5000 },
      )
    })

    it('text that cannot stand in MQTT has no bytes', () => {
      for (const text of ['a\0', '\ud800', 'x\udfff', '\ud800x', '\udc00\ud800']) {
        assert.equal(utf8Length(text), -1)
        assert.equal(encodeUtf8(text), null)
      }
    })

    it('long text, ASCII and not, is the same text', () => {
      for (const text of ['x'.repeat(65_535), 'ä€\u{1f600}'.repeat(5000)]) {
        const encoded = encodeUtf8(text)!
        assert.equal(decodeUtf8(encoded, 0, encoded.length), text)
      }
    })

    it('copy copies this many bytes and no more', () => {
      const source = Uint8Array.from({ length: 300 }, (_, i) => i + 1)
      for (const length of [0, 1, 7, 8, 9, 15, 16, 63, 64, 65, 200, 290]) {
        const target = new Uint8Array(310)
        copy(source, 10, target, 5, length)
        assert.deepEqual(target.subarray(5, 5 + length), source.subarray(10, 10 + length))
        assert.ok(target.subarray(0, 5).every((b) => b === 0) && target.subarray(5 + length).every((b) => b === 0))
      }
    })

    it('equal compares content and length', () => {
      assert.ok(equal(Uint8Array.of(1, 2), Buffer.from([1, 2])))
      assert.ok(!equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3)))
      assert.ok(!equal(Uint8Array.of(1, 2), Uint8Array.of(1)))
    })
  })

it('ill-formed text is the other side’s fault', () => {
  assert.throws(() => bytes.decodeUtf8(Uint8Array.of(0xff), 0, 1), ProtocolError)
})

describe('disallowed code points (1.5.4)', () => {
  const isControl = (c: number): boolean => (c > 0 && c < 0x20) || (c >= 0x7f && c < 0xa0)
  const isNoCharacter = (c: number): boolean => (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) === 0xfffe

  it('every code point is judged alike in bytes and in text, by the ranges of the specification', () => {
    for (let c = 1; c <= 0x10ffff; c++) {
      if (c >= 0xd800 && c <= 0xdfff) continue
      // Tries the first characters of each plane, and those at its edges.
      if (c > 0x11000 && (c & 0xffff) > 0x10 && (c & 0xffff) < 0xfff0) continue
      const text = `a${String.fromCodePoint(c)}b`
      const field = new TextEncoder().encode(text)
      const isDisallowed = isControl(c) || isNoCharacter(c)
      assert.equal(bytes.hasDisallowedCodePoint(text), isDisallowed, c.toString(16))
      if (isDisallowed)
        assert.throws(() => bytes.decodeUtf8(field, 0, field.length, true), /control character/, c.toString(16))
      else assert.equal(bytes.decodeUtf8(field, 0, field.length, true), text)
      assert.equal(bytes.decodeUtf8(field, 0, field.length), text)
    }
  })

  it('what is cut short or malformed is so with and without the rule', () => {
    for (const each of [
      [0xc2],
      [0xef, 0xbf],
      [0xef, 0xb7],
      [0xf0, 0x9f, 0xbf],
      [0xc2, 0x20],
      [0xf4, 0x9f, 0xbf, 0xbf],
      [0],
    ]) {
      for (const strict of [true, false])
        assert.throws(() => bytes.decodeUtf8(Uint8Array.from(each), 0, each.length, strict), ProtocolError)
    }
  })
})
