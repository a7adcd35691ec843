/**
 * Parts that the operations work with: the broker, the program around it, and what the API keeps itself.
 */
import type { Broker } from '@recado/broker'
import type { AuditLog } from '../access/audit.ts'
import type { Identification } from '../access/identify.ts'
import type { Sessions } from '../access/sessions.ts'
import type { TokenFile } from '../access/tokens.ts'
import type { AdminHost } from '../host.ts'
import { Problem } from '../http/problem.ts'
import type { History } from '../metrics/history.ts'
import type { Latencies } from '../metrics/latencies.ts'

/** Parts that operations share. */
export interface Parts {
  readonly broker: Broker
  readonly host: AdminHost
  readonly tokens: TokenFile | null
  readonly sessions: Sessions
  readonly identification: Identification
  readonly audit: AuditLog
  readonly history: History
  readonly latencies: Latencies
  /** Time at which the broker started, milliseconds since the Unix epoch. */
  readonly startedAtMs: number
}

/** Returns a function of the program. @throws Problem 501 when it has none */
export function need<Name extends keyof AdminHost>(host: AdminHost, name: Name): NonNullable<AdminHost[Name]> {
  const found = host[name]
  if (found === undefined || found === null) {
    throw new Problem(501, 'The program that runs this broker has not made this possible.')
  }
  return (typeof found === 'function' ? found.bind(host) : found) as NonNullable<AdminHost[Name]>
}
