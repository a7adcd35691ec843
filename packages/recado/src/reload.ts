/**
 * SIGHUP: reads certificates, password files and ACL files again; each part of the program registers its own.
 *
 * `running.ts` calls `reloadAll` for every SIGHUP. Invariant: a part that fails keeps its state, is reported in the
 * log, and does not keep the others from being read.
 */
import { MqttError } from '@recado/protocol'
import type { Logger } from './log.ts'

export interface Reloadable {
  /** Name for the log: `password file /etc/recado/passwords`. */
  readonly what: string
  /** Reads again and applies the result, or throws and changes nothing. Returns warnings, one line each. */
  reload(): void | readonly string[] | Promise<void | readonly string[]>
}

export async function reloadAll(parts: readonly Reloadable[], log: Logger): Promise<void> {
  for (const part of parts) {
    const { what } = part
    try {
      for (const warning of (await part.reload()) ?? []) log.log('warning', 'config.warning', `Warning: ${warning}`)
      log.log('notice', 'config.reloaded', `SIGHUP: ${what} read again.`, { what })
    } catch (error) {
      if (!(error instanceof MqttError) && (error as NodeJS.ErrnoException).code === undefined) throw error
      const reason = (error as Error).message
      log.log('error', 'config.reload-failed', `SIGHUP: ${what} stays as it was: ${reason}`, { what, reason })
    }
  }
}
