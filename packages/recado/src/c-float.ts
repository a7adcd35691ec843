/**
 * `%f` of printf(3): a number with so many digits behind the point, rounded as in C (the exact value; halves to the
 * even digit).
 *
 * Called by the output format of `recado sub` for `%f` and `%d`.
 */

const DIGITS_DEFAULT = 6
/** Largest number of digits that `toFixed` accepts. */
const DIGITS_MAX = 100

/** @param precision number of digits; -1 when none was given */
export function fixed(value: number, precision: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
  const digits = precision < 0 ? DIGITS_DEFAULT : precision
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  // From there on `toFixed` writes exponents, and every number is whole.
  if (size >= 1e21) return `${sign}${BigInt(size)}${digits === 0 ? '' : `.${'0'.repeat(digits)}`}`
  const exact = size.toFixed(DIGITS_MAX)
  if (digits >= DIGITS_MAX) return `${sign}${exact.padEnd(exact.length + digits - DIGITS_MAX, '0')}`
  const point = exact.indexOf('.')
  const cut = exact.slice(0, digits === 0 ? point : point + 1 + digits)
  const isHalf = /^50*$/.test(exact.slice(point + 1 + digits))
  const isEven = Number(cut.at(-1)) % 2 === 0
  return `${sign}${isHalf && isEven ? cut : size.toFixed(digits)}`
}
