/**
 * Answers of the program to its HTTP API: configuration, listeners, bridges, the log, and how to change them.
 *
 * `administration.ts` makes one when the first listener with the API is opened.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { AdminHost, BridgeState, ConfigurationState, DiskState, ListenerState, ReloadOutcome } from '@recado/admin'
import type { Broker } from '@recado/broker'
import type { BridgeFigures } from '../bridge/bridge.ts'
import type { Config } from '../config/config.ts'
import { effectiveSections } from '../config/effective.ts'
import type { ListenerConfig } from '../config/listeners.ts'
import { lint } from '../lint/lint.ts'
import { lintTable } from '../lint/table.ts'
import type { Logger } from '../log.ts'
import type { ManualBans } from '../manual-bans.ts'
import { version } from '../version.ts'
import { backupOf, setPasswordIn } from './own-command.ts'

/** Parts of the program that a start has and the API uses. */
export interface ProgramParts {
  /** Reads configuration and files again, as SIGHUP does. */
  readonly reload: () => Promise<ReloadOutcome>
  /** Reads a file of logins or rights again, by its path. */
  readonly reread: (path: string) => Promise<void>
  /** Whether the broker has begun to stop. */
  readonly isStopping: () => boolean
  readonly bridges: () => readonly BridgeFigures[]
  readonly bans: ManualBans
  /** Types that are logged, and how to change them. */
  readonly logTypes: () => readonly string[]
  readonly setLogTypes: (types: readonly string[]) => void
  /** Path of the data file; null when nothing is kept. */
  readonly dataFile: string | null
}

interface HostParts extends ProgramParts, Pick<AdminHost, 'login'> {
  /** Forgets logins of the API: passwords have changed. */
  readonly loginsChanged: () => void
  readonly broker: Broker
  readonly log: Logger
  readonly config: () => Config
  readonly checkRights: NonNullable<AdminHost['checkRights']>
  readonly certificate: NonNullable<AdminHost['certificate']>
}

/** Milliseconds of lag of the store from which the broker is not ready. */
const LAG_MS_MAX = 10_000

export function hostOf(parts: HostParts): AdminHost {
  const { broker, log, config, login, certificate, checkRights, bridges, bans, reload, logTypes, setLogTypes } = parts
  return {
    version,
    login,
    certificate,
    anonymousRole: (name) =>
      config().listeners.some((listener) => listener.name === name && listener.allowAnonymous) ? 'viewer' : null,
    problems() {
      const { storeLagMs, memoryLevel } = broker.metrics()
      const problems: string[] = []
      if (parts.isStopping()) problems.push('The broker is stopping.')
      if (storeLagMs > LAG_MS_MAX) {
        problems.push(`The store has not written for ${Math.round(storeLagMs / 1_000)} s: look at the disk.`)
      }
      if (memoryLevel >= 2) problems.push('Memory is short: new connections are refused.')
      return problems
    },
    listeners: () => config().listeners.map(stateOf),
    bridges: () => bridges().map(bridgeStateOf),
    bans: () => bans.list(),
    ban: (kind, name, seconds, by) => bans.ban(kind, name, seconds, by),
    unban: (kind, name) => bans.unban(kind, name),
    configuration: async () => configurationOf(config()),
    checkRights,
    reload,
    async setPassword(username, password, listener) {
      const path = passwordFileOf(config(), listener)
      if (path === null) return 'no-file'
      const outcome = await setPasswordIn(path, username, password)
      if (outcome === 'done') {
        await parts.reread(path)
        parts.loginsChanged()
      }
      return outcome
    },
    backup: async (signal) => (parts.dataFile === null ? null : backupOf(parts.dataFile, signal)),
    logTypes,
    setLogTypes,
    disk: () => diskOf(parts.dataFile),
    log: (type, event, text, fields) => log.log(type, event, text, fields),
  }
}

/** Password file of a listener, or the first one that is configured; null for none. */
function passwordFileOf({ listeners }: Config, name: string | undefined): string | null {
  const meant = listeners.filter((listener) => name === undefined || listener.name === name)
  return meant.find(({ access }) => access.passwordFile !== null)?.access.passwordFile ?? null
}

function stateOf(listener: ListenerConfig): ListenerState {
  const { name, transport, tls, allowAnonymous } = listener
  const { http, webSocket } = transport
  return {
    name,
    address: name,
    protocol: http?.isApi === true ? 'http_api' : webSocket === null ? 'mqtt' : 'websockets',
    tls: tls !== null,
    allowAnonymous,
    certificateExpiresAtMs: certificateEndOf(tls?.settings.get('certfile')?.value),
  }
}

/** Time for which the end of a certificate is remembered: each scrape asks. */
const CERTIFICATE_MS = 60_000
const certificateEnds = new Map<string, { readonly atMs: number; readonly endMs: number | null }>()

/** End of the certificate in a file; null when there is none, or it cannot be read: what is in use is in memory. */
function certificateEndOf(file: unknown): number | null {
  if (typeof file !== 'string') return null
  const nowMs = performance.now()
  const known = certificateEnds.get(file)
  if (known !== undefined && nowMs - known.atMs < CERTIFICATE_MS) return known.endMs
  let endMs: number | null
  try {
    endMs = Date.parse(new X509Certificate(readFileSync(file)).validTo)
  } catch {
    endMs = null
  }
  certificateEnds.set(file, { atMs: nowMs, endMs })
  return endMs
}

async function diskOf(dataFile: string | null): Promise<DiskState | null> {
  if (dataFile === null) return null
  const file = await stat(dataFile).catch((error: NodeJS.ErrnoException) => {
    // Somebody has moved it away; the rest of the answer is worth having.
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (file === null) return null
  const { bavail, bsize } = await statfs(dirname(dataFile))
  return { fileBytes: file.size, freeBytes: bavail * bsize }
}

function bridgeStateOf(figures: BridgeFigures): BridgeState {
  const { name, state, address, connections, lastError, nextTrySeconds, lagSeconds, queuedMessages, inFlight } = figures
  return { name, state, address, connections, lastError, nextTrySeconds, lagSeconds, queuedMessages, inFlight }
}

/** Level of each lint. */
const levels = new Map<string, string>(lintTable.map((each) => [each.name, each.level]))

function configurationOf(config: Config): ConfigurationState {
  const settings = effectiveSections(config).flatMap(({ kind, name, settings }) => {
    const prefix = kind === 'broker' ? '' : `${kind} ${name}: `
    return settings.map((setting) => ({
      name: prefix + setting.name,
      value: setting.isSecret ? '(hidden)' : setting.values.join(', '),
      from: setting.places.map(({ file, line }) => `${file}:${line}`).join(', ') || setting.note || 'default',
    }))
  })
  const lints = lint(config).map(({ name, file, line, text }) => ({
    level: levels.get(name) ?? 'note',
    where: file === null ? 'default configuration' : line === 0 ? file : `${file}:${line}`,
    text,
  }))
  return { file: config.file, settings, lints }
}
