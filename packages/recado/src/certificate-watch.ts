/**
 * Watch over the certificates, keys and lists of open listeners: changed files are used for connections to come, without
 * a SIGHUP. Programs that renew certificates need not tell the broker.
 *
 * `running.ts` makes one. Files are looked at by time and size every `certificate_check_interval`: links that are turned
 * to other files, as in Kubernetes and by certbot, are noticed as well. Invariants: files that cannot be used leave the
 * listener as it was, and are told about once until they change again; a reading of SIGHUP counts as one of ours.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { ListenerHandle } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import type { ListenerConfig } from './config/listeners.ts'
import type { TlsConfig } from './config/tls.ts'
import { reloadablesOf } from './listener-files.ts'
import type { Logger } from './log.ts'

/** An open listener, and the configuration that it has. */
export interface WatchedListener {
  readonly listener: ListenerConfig
  readonly handle: ListenerHandle
}

const FILES = ['certfile', 'keyfile', 'cafile', 'crlfile'] as const

export class CertificateWatch {
  readonly #log: Logger
  /** State of the files that a listener has, by its name. */
  readonly #seen: Map<string, string> = new Map()
  #timer: NodeJS.Timeout | null = null

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Takes the files as they are now for those in use, and looks at them every `intervalSeconds` from now on; 0: never.
   * Call it again after a SIGHUP.
   */
  start(intervalSeconds: number, listeners: () => readonly WatchedListener[]): void {
    this.stop()
    if (intervalSeconds === 0) return
    this.#seen.clear()
    for (const { listener } of listeners())
      if (listener.tls !== null) this.#seen.set(listener.name, stateOf(listener.tls))
    this.#timer = setInterval(() => void this.#look(listeners()), intervalSeconds * 1_000).unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #look(listeners: readonly WatchedListener[]): Promise<void> {
    for (const { listener, handle } of listeners) {
      if (listener.tls === null) continue
      const state = stateOf(listener.tls)
      if (state === this.#seen.get(listener.name)) continue
      this.#seen.set(listener.name, state)
      for (const { what, reload } of reloadablesOf(listener, handle)) await this.#reload(what, reload)
    }
  }

  async #reload(what: string, reload: () => unknown): Promise<void> {
    try {
      for (const warning of ((await reload()) ?? []) as readonly string[])
        this.#log.log('warning', 'config.warning', `Warning: ${warning}`)
      this.#log.log('notice', 'config.reloaded', `Files have changed: ${what} read again.`, { what })
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      const reason = error.message
      const text = `Files have changed: ${what} stays as it was: ${reason}`
      this.#log.log('error', 'config.reload-failed', text, { what, reason })
    }
  }
}

/** Times and sizes of the files, as a text to compare. */
function stateOf({ settings }: TlsConfig): string {
  const paths = FILES.flatMap((name) => {
    const value = settings.get(name)?.value
    return typeof value === 'string' ? [value] : []
  })
  const folder = settings.get('capath')?.value
  return JSON.stringify([...paths, ...(typeof folder === 'string' ? pathsIn(folder) : [])].map(fileState))
}

function pathsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => join(folder, name))
  } catch (error) {
    return [`${folder} ${(error as NodeJS.ErrnoException).code}`]
  }
}

function fileState(path: string): unknown {
  const stats = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stats === undefined ? [path] : [path, `${stats.mtimeNs}`, `${stats.size}`, `${stats.ino}`]
}
