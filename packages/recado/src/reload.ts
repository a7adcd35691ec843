/**
 * What SIGHUP reads again: certificates, password files, ACL files; each part of the program says what it can.
 *
 * `running.ts` calls `reloadAll` for every SIGHUP. The invariant: a part that fails keeps what it
 * had, is told in the log, and does not keep the others from being read.
 */
import { MqttError } from '@recado/protocol'
import type { Logger } from './log.ts'

export interface Reloadable {
  /** For the log: `password file /etc/recado/passwords`. */
  readonly what: string
  /** Reads again and takes effect, or throws and changes nothing. What it returns are warnings, one line each. */
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
