/**
 * `--test-config`: checks everything that a start needs, and changes nothing.
 *
 * `serve.ts` calls it after the configuration has been read. Invariant: a configuration that passes does not keep a
 * start from succeeding, unless something changes in between; a port that is in use, and a folder that a running broker
 * uses, are not checked, because the running broker is usually to be replaced.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import { MqttError } from '@recado/protocol'
import { AccessOpener } from './access.ts'
import { HttpFolder } from './admin/http-folder.ts'
import { dialOptionsOf } from './bridge/bridge-tls.ts'
import { accessOf } from './config/broker-options.ts'
import type { Config } from './config/config.ts'
import { accountToBecome } from './environment.ts'
import { openingAccess } from './exit-codes.ts'
import { readListenerFiles } from './listener-files.ts'
import { databaseToTakeOver, overlookedData, preview, summaryOf } from './mosquitto-db/take-over.ts'
import { type Account, accountOf, mustReadProgram } from './privileges.ts'
import { folderWarnings } from './root-files.ts'

/** Returns warnings, one line each. @throws MqttError for the first fault that would end a start */
export async function checkStart(config: Config): Promise<string[]> {
  const account = accountToBecome(config.user, process.env)
  if (account !== null) mustReadProgram(account)
  if (config.user !== null && account === null) accountOf(config.user)
  for (const { path, unixSocket } of config.listeners) {
    if (path === null) continue
    accessOf(unixSocket)
    if (statSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
      throw new MqttError(
        'ERR_MQTT_LISTEN',
        `cannot listen on ${path}: a file of that name exists that is not a socket: remove it, or choose another path`,
      )
    }
  }
  for (const { transport } of config.listeners) if (transport.http?.folder) HttpFolder.open(transport.http.folder)
  const files = readListenerFiles(config)
  const opener = new AccessOpener({ onUnavailable: () => undefined, onLog: () => undefined }, false)
  const access = await openingAccess(() => opener.open(config))
  return [
    ...files.warnings,
    ...access.warnings,
    ...dataWarnings(config, account),
    ...logWarnings(config),
    ...pidWarnings(config),
    ...addressWarnings(config),
    ...bridgeWarnings(config),
  ]
}

/** Warns about files and options of TLS with which a bridge cannot connect. A start goes on, and the bridge tries again. */
function bridgeWarnings({ bridges }: Config): string[] {
  return bridges.flatMap((bridge) => {
    try {
      const { tls } = dialOptionsOf(bridge)
      if (tls !== undefined && tls.psk === undefined) {
        const { ca, cert, key, ciphers } = tls
        process.getBuiltinModule('node:tls').createSecureContext({ ca, cert, key, ciphers } as SecureContextOptions)
      }
      return []
    } catch (error) {
      const why =
        error instanceof MqttError ? error.message : `its TLS options are not usable: ${(error as Error).message}`
      return [`${bridge.file}:${bridge.line}: bridge ${bridge.name} cannot connect: ${why}`]
    }
  })
}

/** Warns about addresses that the machine does not have now; it may get them later, for instance by DHCP. */
function addressWarnings({ listeners }: Config): string[] {
  const own = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
  return listeners.flatMap(({ host, name, optional }) => {
    const isOwn = host === null || isIP(host) === 0 || own.includes(host) || isWildcard(host) || host.startsWith('127.')
    return isOwn || optional !== null ? [] : [`cannot listen on ${name}: this machine does not have that address now`]
  })
}

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'

/** Checks the data folder. @throws MqttError ERR_MQTT_STORE_FOLDER when the folder that was named cannot be used */
function dataWarnings(config: Config, account: Account | null): string[] {
  const { durability, dataFolder, isDataFolderGiven } = config
  if (durability === 'memory') return []
  const path = resolve(dataFolder)
  const why = whyNotWritable(path, account) ?? whyNotWritable(join(path, 'recado.mdb'), account)
  if (why === null) return [...folderWarnings(path), ...importNotes(config)]
  const text = `cannot keep data in ${path}: ${why} (--data FOLDER, or persistence_location)`
  if (isDataFolderGiven || existsSync(join(path, 'recado.mdb'))) throw new MqttError('ERR_MQTT_STORE_FOLDER', text)
  return [`nothing would be kept: ${text}`]
}

/** Mentions the data of a Mosquitto that a start would import. */
function importNotes(config: Config): string[] {
  const path = databaseToTakeOver(config)
  if (path === null) return overlookedData(config)
  try {
    return [`${path} would be imported at the start: ${summaryOf(preview(path, Date.now()))}`]
  } catch (error) {
    return [`${path} would be imported at the start, and cannot be read: ${(error as Error).message}`]
  }
}

function logWarnings({ log: { destinations } }: Config): string[] {
  const paths = destinations.flatMap(([kind, path]) => (kind === 'file' ? [path!] : []))
  return paths.flatMap((path) => {
    const why = whyNotFile(path)
    return why === null ? [] : [`the log cannot be written to ${path}: ${why}`]
  })
}

/** Checks the pid file. @throws MqttError ERR_RECADO_PID_FILE */
function pidWarnings({ pidFile }: Config): string[] {
  if (pidFile === null) return []
  const why = whyNotFile(pidFile)
  if (why !== null) throw new MqttError('ERR_RECADO_PID_FILE', `the pid file ${pidFile} cannot be written: ${why}`)
  return []
}

/** Reason why this process may not write a file, or null; its folder is not made. */
function whyNotFile(given: string): string | null {
  const path = resolve(given)
  return existsSync(dirname(path)) ? whyNotWritable(path, null) : `there is no folder ${dirname(path)}`
}

/**
 * Reason why that user, or this process, may not write a file or folder, or make it and its parents; null when it may.
 */
function whyNotWritable(path: string, account: Account | null): string | null {
  let existing = path
  while (!existsSync(existing)) existing = dirname(existing)
  if (existing !== path && !statSync(existing).isDirectory()) return `${existing} is not a folder`
  // Root makes missing folders, and gives them to that user.
  const isMadeByRoot = account !== null && existing !== path
  if (account === null || isMadeByRoot) {
    try {
      accessSync(existing, constants.W_OK)
    } catch (error) {
      return reasonOf(error, existing)
    }
    // There root may write, and yet nothing can be made.
    return existing.startsWith('/proc') || existing.startsWith('/sys') ? `nothing can be made in ${existing}` : null
  }
  const { uid, gid, name } = account
  const { status } = spawnSync('test', ['-w', existing], { uid, gid, stdio: 'ignore' })
  return status === 1 ? `user "${name}" may not write ${existing}` : null
}

function reasonOf(error: unknown, path: string): string {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === 'EROFS') return `the file system of ${path} is mounted read-only`
  return `this user may not write ${path}`
}
