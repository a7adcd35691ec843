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
  const minute = (name: string): readonly number[] => series[name]?.slice(-MINUTE) ?? []
  for (const text of problems) alerts.push({ level: 'bad', key: 'alert.problem', values: { text } })
  const lag = lastOf(series['storeLagMs'])
  if (lag > LAG_MS) alerts.push({ level: 'bad', key: 'alert.lag', values: { seconds: Math.round(lag / 100) / 10 } })
  if (durability?.disk && durability.disk.freeBytes < FREE_BYTES_MIN) {
    const mebibytes = Math.round(durability.disk.freeBytes / 1024 / 1024)
    alerts.push({ level: 'bad', key: 'alert.disk', values: { mebibytes } })
  }
  const memory = lastOf(series['memoryLevel'])
  if (memory > 0) alerts.push({ level: memory > 1 ? 'bad' : 'warning', key: 'alert.memory', values: {} })
  for (const [reason, count] of Object.entries(drops ?? {})) {
    const grown = count - (dropsBefore?.[reason] ?? count)
    if (grown <= 0) continue
    const href = `/drops?reason=${encodeURIComponent(reason)}`
    alerts.push({ level: 'warning', key: 'alert.drops', values: { n: grown, reason }, href })
  }
  const slow = minute('slowReaders')
  if (slow.length >= 30 && Math.min(...slow.slice(-30)) > 0) {
    const href = '/clients?congested=true'
    alerts.push({ level: 'warning', key: 'alert.slow', values: { n: lastOf(slow) }, href })
  }
  const refused = Math.round(sum(minute('connectionsRefused')))
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
