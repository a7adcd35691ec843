/**
 * strftime(3) for `log_timestamp_format`, in local time and the C locale, as in Mosquitto.
 *
 * Called once per log line by `log.ts`. An unknown conversion stays as it is written.
 */
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

const two = (value: number, fill = '0'): string => String(value).padStart(2, fill)

function dayOfYear(date: Date): number {
  // Days are counted in UTC, where none is 23 or 25 hours long.
  return (
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000
  )
}

function zone(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`
}

const conversions: Record<string, (date: Date) => string> = {
  '%': () => '%',
  n: () => '\n',
  t: () => '\t',
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
  C: (date) => two(Math.floor(date.getFullYear() / 100)),
  m: (date) => two(date.getMonth() + 1),
  d: (date) => two(date.getDate()),
  e: (date) => two(date.getDate(), ' '),
  j: (date) => String(dayOfYear(date)).padStart(3, '0'),
  H: (date) => two(date.getHours()),
  I: (date) => two(date.getHours() % 12 || 12),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  z: zone,
  Z: (date) => (date.getTimezoneOffset() === 0 ? 'UTC' : zone(date)),
  a: (date) => days[date.getDay()]!.slice(0, 3),
  A: (date) => days[date.getDay()]!,
  b: (date) => months[date.getMonth()]!.slice(0, 3),
  h: (date) => months[date.getMonth()]!.slice(0, 3),
  B: (date) => months[date.getMonth()]!,
  u: (date) => String(date.getDay() || 7),
  w: (date) => String(date.getDay()),
  F: (date) => strftime('%Y-%m-%d', date),
  T: (date) => strftime('%H:%M:%S', date),
  R: (date) => strftime('%H:%M', date),
  D: (date) => strftime('%m/%d/%y', date),
  x: (date) => strftime('%m/%d/%y', date),
  X: (date) => strftime('%H:%M:%S', date),
  r: (date) => strftime('%I:%M:%S %p', date),
  c: (date) => strftime('%a %b %e %H:%M:%S %Y', date),
}

/** Formats a date. */
export function strftime(format: string, date: Date): string {
  return format.replace(/%[EO]?([A-Za-z%])/g, (whole, letter: string) => conversions[letter]?.(date) ?? whole)
}
