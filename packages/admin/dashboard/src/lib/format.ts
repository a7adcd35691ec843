/**
 * Numbers, sizes and times in the reader's language.
 */
import { language } from './preferences.ts'

const cache = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>()

function cached<Format extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(
  kind: string,
  make: (language: string) => Format,
): Format {
  const key = `${language.value} ${kind}`
  let format = cache.get(key)
  if (format === undefined) {
    format = make(language.value)
    cache.set(key, format)
  }
  return format as Format
}

/** Whole number with separators. */
export const number = (value: number): string =>
  cached('number', (of) => new Intl.NumberFormat(of, { maximumFractionDigits: 0 })).format(value)

/** Short number: `12.4K`. */
export const short = (value: number): string =>
  value !== 0 && Math.abs(value) < 10
    ? cached('small', (of) => new Intl.NumberFormat(of, { maximumFractionDigits: 1 })).format(value)
    : cached('short', (of) => new Intl.NumberFormat(of, { notation: 'compact', maximumFractionDigits: 1 })).format(
        value,
      )

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Size: `1.5 MiB`. */
export function bytes(value: number): string {
  let power = 0
  let rest = Math.abs(value)
  while (rest >= 1024 && power < units.length - 1) {
    rest /= 1024
    power++
  }
  const digits = power === 0 || rest >= 100 ? 0 : 1
  const text = cached(`bytes ${digits}`, (of) => new Intl.NumberFormat(of, { maximumFractionDigits: digits })).format(
    value < 0 ? -rest : rest,
  )
  return `${text} ${units[power]}`
}

/** Length of time in at most two units: `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor((whole % 86_400) / 3_600), 'h'],
    [Math.floor((whole % 3_600) / 60), 'min'],
    [whole % 60, 's'],
  ]
  const first = parts.findIndex(([count]) => count > 0)
  if (first === -1) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${number(count)} ${unit}`)
    .join(' ')
}

/** Milliseconds: `0.4 ms`, `1.2 s`. */
export function milliseconds(value: number): string {
  const isLong = value >= 1_000
  const shown = isLong ? value / 1_000 : value
  const digits = shown < 10 && shown !== 0 ? 1 : 0
  const text = cached(`ms ${digits}`, (of) => new Intl.NumberFormat(of, { maximumFractionDigits: digits })).format(
    shown,
  )
  return `${text} ${isLong ? 's' : 'ms'}`
}

const isToday = (date: Date): boolean => date.toDateString() === new Date().toDateString()

/** Time of day, with the date unless it is today. */
export function time(atMs: number): string {
  const date = new Date(atMs)
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }
  if (isToday(date)) return cached('time', (of) => new Intl.DateTimeFormat(of, options)).format(date)
  return cached(
    'date',
    (of) => new Intl.DateTimeFormat(of, { ...options, year: 'numeric', month: 'short', day: 'numeric' }),
  ).format(date)
}

/** Time of day with milliseconds. */
export const exactTime = (atMs: number): string =>
  cached(
    'exact',
    (of) =>
      new Intl.DateTimeFormat(of, {
        hour: '2-digit',
        minute: '2-digit',
        second: '2-digit',
        fractionalSecondDigits: 3,
        hour12: false,
      }),
  ).format(atMs)

/** Date alone. */
export const day = (atMs: number): string =>
  cached('day', (of) => new Intl.DateTimeFormat(of, { dateStyle: 'medium' })).format(atMs)
