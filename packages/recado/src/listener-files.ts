/**
 * The files that listeners need: certificates, keys, lists of authorities and of revoked certificates, pre-shared keys.
 *
 * `serve.ts` reads them before anything is opened, so that a start fails early, and offers them to SIGHUP. Invariant: a
 * file that can no longer be read or used leaves the listener as it was.
 */
import type { ListenerHandle, ListenOptions } from '@recado/broker'
import type { Config } from './config/config.ts'
import type { ListenerConfig } from './config/listeners.ts'
import { located, readTls } from './config/tls.ts'
import type { Reloadable } from './reload.ts'

export interface ListenerFiles {
  /** Returns options for `broker.listen` from the files. */
  optionsFor(listener: ListenerConfig): Pick<ListenOptions, 'tls'>
  /** Warnings, one line each: certificates that have expired. */
  readonly warnings: readonly string[]
}

/** Reads the files. @throws ConfigError for the first one that cannot be read or used */
export function readListenerFiles({ listeners }: Config): ListenerFiles {
  const warnings: string[] = []
  const byName = new Map<string, Pick<ListenOptions, 'tls'>>()
  for (const { name, tls } of listeners) {
    if (tls === null) continue
    const read = readTls(tls)
    warnings.push(...read.warnings)
    byName.set(name, { tls: read.options })
  }
  return { warnings, optionsFor: ({ name }) => byName.get(name) ?? {} }
}

/** Returns files that SIGHUP reads again for an open listener. */
export function reloadablesOf({ name, tls }: ListenerConfig, handle: ListenerHandle): Reloadable[] {
  if (tls === null) return []
  const what = tls.certificate === null ? `pre-shared keys of ${name}` : `certificates of ${name}`
  const reload = (): readonly string[] => {
    const { options, warnings } = readTls(tls)
    located(tls.settings, () => handle.updateTls(options))
    return warnings
  }
  return [{ what, reload }]
}
