/**
 * What an operator should look at, in words: made of the numbers that the overview has anyhow.
 *
 * Invariant: an alert says what is the matter, since when or how much, and where to look.
 */
import type { Key, Values } from './i18n.ts'
import type { Durability, History, Listener } from './types.ts'

export interface Alert {
  readonly level: 'bad' | 'warning'
  readonly key: Key
  readonly values: Values
  /** View that says more. */
  readonly href?: string
}

export interface Facts {
  readonly history: History | undefined
  readonly drops: Readonly<Record<string, number>> | undefined
  /** Drops as they were a minute ago. */
  readonly dropsBefore: Readonly<Record<string, number>> | undefined
  readonly problems: readonly string[]
  readonly listeners: readonly Listener[]
  readonly durability: Durability | undefined
  readonly nowMs: number
}

const MINUTE = 60
const DAY_MS = 86_400_000
/** Days before its end at which a certificate is spoken of. */
const CERTIFICATE_DAYS = 21
const LAG_MS = 1_000
/** Free space below which the disk is spoken of. */
const FREE_BYTES_MIN = 512 * 1024 * 1024

const lastOf = (values: readonly number[] | undefined): number => values?.at(-1) ?? 0
const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0)

export function alertsOf({
  history,
  drops,
  dropsBefore,
  problems,
  listeners,
  durability,
  nowMs,
}: Facts): readonly Alert[] {
  const alerts: Alert[] = []
  const series = history?.series ?? {}
  const stepSeconds = history?.stepSeconds ?? 1
  const values = MINUTE / stepSeconds
  const minute = (name: string): readonly number[] => series[name]?.slice(-values) ?? []
  /** Events of a counter in the last minute: its series has them per second. */
  const eventsIn = (name: string): number => Math.round(sum(minute(name)) * stepSeconds)
  for (const text of problems) alerts.push({ level: 'bad', key: 'alert.problem', values: { text } })
  const lag = lastOf(series['storeLagMs'])
  if (lag > LAG_MS) alerts.push({ level: 'bad', key: 'alert.lag', values: { seconds: Math.round(lag / 100) / 10 } })
  if (durability?.disk && durability.disk.freeBytes < FREE_BYTES_MIN) {
    const mebibytes = Math.round(durability.disk.freeBytes / 1024 / 1024)
    alerts.push({ level: 'bad', key: 'alert.disk', values: { mebibytes } })
  }
  const memory = lastOf(series['memoryLevel'])
  if (memory > 0) alerts.push({ level: memory > 1 ? 'bad' : 'warning', key: 'alert.memory', values: {} })
  const grownBy = Object.entries(drops ?? {}).map(([reason, count]) => ({
    reason,
    grown: count - (dropsBefore?.[reason] ?? count),
  }))
  const dropped = eventsIn('dropped')
  if (dropped > 0 && grownBy.every(({ grown }) => grown <= 0)) {
    // They were before this page was opened: their reasons are not known from two numbers yet.
    alerts.push({ level: 'warning', key: 'alert.dropped', values: { n: dropped }, href: '/drops' })
  }
  for (const { reason, grown } of grownBy) {
    if (grown <= 0) continue
    const href = `/drops?reason=${encodeURIComponent(reason)}`
    alerts.push({ level: 'warning', key: 'alert.drops', values: { n: grown, reason }, href })
  }
  const slow = minute('slowReaders')
  const half = values / 2
  if (slow.length >= half && Math.min(...slow.slice(-half)) > 0) {
    const href = '/clients?congested=true'
    alerts.push({ level: 'warning', key: 'alert.slow', values: { n: lastOf(slow) }, href })
  }
  const refused = eventsIn('connectionsRefused')
  if (refused >= MINUTE) alerts.push({ level: 'warning', key: 'alert.refused', values: { n: refused } })
  for (const { name, certificateExpiresAtMs } of listeners) {
    if (certificateExpiresAtMs === null) continue
    const days = Math.floor((certificateExpiresAtMs - nowMs) / DAY_MS)
    if (days >= CERTIFICATE_DAYS) continue
    if (days < 0) alerts.push({ level: 'bad', key: 'alert.certificateOver', values: { name } })
    else alerts.push({ level: 'warning', key: 'alert.certificate', values: { name, n: days } })
  }
  return alerts
}
