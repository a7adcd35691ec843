/**
 * DER as far as certificates, revocation lists and DH parameters need it: beginning and end of each element.
 *
 * `tls-revocation.ts` and `tls-options.ts` read with it. Invariant: nothing outside the given bytes is read; an element
 * that does not fit throws a RangeError.
 *
 * Source: X.690 section 8.1 (tags below 31, definite lengths).
 */

export const Tag = {
  Integer: 0x02,
  BitString: 0x03,
  ObjectIdentifier: 0x06,
  UtcTime: 0x17,
  GeneralizedTime: 0x18,
  Sequence: 0x30,
} as const

/** Element of `bytes`: its header begins at `from`, its content reaches from `start` to `end`. */
export interface Element {
  readonly tag: number
  readonly from: number
  readonly start: number
  readonly end: number
}

/** Reads the element at `at`, which must end at `limit` at the latest. @throws RangeError */
export function elementAt(bytes: Uint8Array, at: number, limit: number): Element {
  let start = at + 2
  let length = bytes[at + 1]
  if (start > limit || length === undefined) throw new RangeError('DER: an element is cut short')
  if (length >= 0x80) {
    const size = length & 0x7f
    if (size === 0 || size > 4 || start + size > limit) throw new RangeError('DER: a length is impossible')
    length = 0
    for (let i = 0; i < size; i++) length = length * 256 + bytes[start + i]!
    start += size
  }
  if (start + length > limit) throw new RangeError('DER: an element is cut short')
  return { tag: bytes[at]!, from: at, start, end: start + length }
}

/** Reads all elements in the content of one. @throws RangeError */
export function elementsIn(bytes: Uint8Array, { start, end }: Element): Element[] {
  const elements: Element[] = []
  for (let at = start; at < end; at = elements.at(-1)!.end) elements.push(elementAt(bytes, at, end))
  return elements
}

/** Bytes of an element with its header. */
export const wholeOf = (bytes: Uint8Array, { from, end }: Element): Uint8Array => bytes.subarray(from, end)
export const contentOf = (bytes: Uint8Array, { start, end }: Element): Uint8Array => bytes.subarray(start, end)

/** Formats an object identifier, as in `1.2.840.113549`. */
export function objectIdentifierOf(content: Uint8Array): string {
  const arcs: number[] = []
  let arc = 0
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f)
    if (byte < 0x80) {
      arcs.push(arc)
      arc = 0
    }
  }
  const [first = 0, ...rest] = arcs
  const top = Math.min(2, Math.floor(first / 40))
  return [top, first - top * 40, ...rest].join('.')
}

/** Returns the time in milliseconds since the Unix epoch. @throws RangeError */
export function timeOf(bytes: Uint8Array, element: Element): number {
  const text = Buffer.from(contentOf(bytes, element)).toString('latin1')
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text)
  if (match === null) throw new RangeError(`DER: ${text.slice(0, 30)} is not a time`)
  const [, year = '', month, day, hour, minute, second] = match
  // RFC 5280 section 4.1.2.5.1: two digits are 1950 to 2049.
  const whole = year.length === 4 ? Number(year) : Number(year) + (Number(year) < 50 ? 2000 : 1900)
  return Date.UTC(whole, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
}

/** Bytes of a PEM block. */
export const derOf = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]*-----/g, ''), 'base64')
