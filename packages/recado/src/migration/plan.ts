/**
 * Plan of a migration: which files of a Mosquitto's installation are copied where, how its configuration changes on the
 * way, and what will differ.
 *
 * `recado migrate-from-mosquitto` shows it, and `carry-out.ts` does it. Reads only. Invariants: files of Mosquitto stay
 * as they are; a line of the configuration is either copied, or copied with other paths, or made a comment that says
 * why.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { MqttError } from '@recado/protocol'
import { type Config, loadConfig } from '../config/config.ts'
import { type ParsedFile, parseConfigFile, type Setting } from '../config/parse.ts'
import { optionTable } from '../config/schema.ts'
import { lint } from '../lint/lint.ts'
import { lintTable } from '../lint/table.ts'
import { SQLITE_FILE } from '../mosquitto-db/sqlite-database.ts'
import { preview, type TakenOverDatabase } from '../mosquitto-db/take-over.ts'
import type { Account } from '../privileges.ts'

export interface MigrationOptions {
  /** Mosquitto's configuration file. */
  readonly from: string
  /** Folder for recado's configuration. */
  readonly to: string
  /** Data folder of recado. */
  readonly data: string
  /** Folder for recado's log. */
  readonly log: string
  /** User as whom recado's service runs; null for the present one. */
  readonly account: Account | null
}

export interface CopiedFile {
  readonly from: string
  readonly to: string
  /** New contents; null for those of the file. */
  readonly text: string | null
}

export interface Plan {
  readonly options: MigrationOptions
  readonly files: readonly CopiedFile[]
  /** Database of Mosquitto, and what of it will be taken; null when there is none. */
  readonly database: TakenOverDatabase | null
  /** Changes of the configuration on the way, a sentence each. */
  readonly changes: readonly string[]
  /** Differences of behaviour and warnings, a sentence each. */
  readonly differences: readonly string[]
  /** Reasons why it cannot be carried out. */
  readonly obstacles: readonly string[]
}

/** Options whose values are paths of files or folders. */
const pathOptions = /(?:file|path|_dir|_location)$|^(?:ca|cert|key|crl|dhparam|psk)(?:file|_file)$|config_file$/
/** Options of the service and not of the broker. */
const ofService: Readonly<Record<string, string>> = {
  pid_file: 'systemd knows the process',
  user: 'the service runs as user recado from the start',
}

/** Makes the plan. @throws ConfigError for a configuration of Mosquitto that cannot be read */
export function planMigration(options: MigrationOptions): Plan {
  const parsed = parseConfigFile(options.from)
  const config = loadConfig({ configFile: options.from, dataFolder: null, ports: [], verbose: false, quiet: false })
  const settings = settingsOf(parsed)
  const mosquittoData = persistenceLocation(settings)
  const rename = renamer(options, mosquittoData)
  const changes: string[] = []
  const files = [
    ...configurationFiles(options, parsed, rename, changes),
    ...dataFiles(options, settings, mosquittoData, rename),
  ]
  const { database, why } = databaseOf(config, mosquittoData, settings)
  return {
    options,
    files,
    database,
    changes,
    differences: [...(why === null ? [] : [why]), ...differencesOf(config, settings)],
    obstacles: obstaclesOf(options, settings, files),
  }
}

const blocksOf = ({ global, defaultListener, listeners, bridges }: ParsedFile) => [
  global,
  defaultListener,
  ...listeners,
  ...bridges,
]
const settingsOf = (parsed: ParsedFile): Setting[] => blocksOf(parsed).flatMap(({ settings }) => [...settings])
const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}${sep}`)

function persistenceLocation(settings: readonly Setting[]): string | null {
  const found = settings.filter(({ option }) => option.name === 'persistence_location').at(-1)
  return found === undefined ? null : resolve(String(found.value))
}

type Rename = (path: string) => string

/** Returns the function that gives each path of Mosquitto's folders its place in ours. */
function renamer({ from, to, data, log }: MigrationOptions, mosquittoData: string | null): Rename {
  const home = dirname(resolve(from))
  return (path) => {
    const full = resolve(path)
    const slash = path.endsWith('/') ? '/' : ''
    if (full === resolve(from)) return join(to, 'recado.conf')
    if (isBelow(full, home)) return join(to, relative(home, full)) + slash
    if (mosquittoData !== null && isBelow(full, mosquittoData)) return join(data, relative(mosquittoData, full)) + slash
    if (isBelow(full, '/var/log/mosquitto')) {
      return join(log, relative('/var/log/mosquitto', full).replace(/^mosquitto\.log$/, 'recado.log')) + slash
    }
    return path
  }
}

/** Returns all files below the folder of the configuration; those that are configuration with other paths. */
function configurationFiles(
  options: MigrationOptions,
  { files }: ParsedFile,
  rename: Rename,
  changes: string[],
): CopiedFile[] {
  const home = dirname(resolve(options.from))
  const read = new Set(files.map((file) => resolve(file)))
  const others = filesBelow(home).filter((path) => !read.has(path))
  const copies = [...read].map((path) => ({
    from: path,
    // One from elsewhere would otherwise be shared by both brokers.
    to: isBelow(path, home) ? rename(path) : path,
    text: rewritten(path, path === resolve(options.from), options, rename, changes),
  }))
  const outside = copies.filter(({ to, from }) => to === from)
  for (const { from } of outside) changes.push(`${from} is outside of ${home}: it stays where it is, and unchanged`)
  return [
    ...copies.filter(({ to, from }) => to !== from),
    ...others.map((path) => ({ from: path, to: rename(path), text: null })),
  ]
}

/** Returns the text of a configuration file with our paths. */
function rewritten(
  path: string,
  isMain: boolean,
  { data }: MigrationOptions,
  rename: Rename,
  changes: string[],
): string {
  const lines = readFileSync(path, 'utf8').split('\n')
  const result = lines.map((line, index) => {
    const setting = line.trim()
    const blank = setting.search(/[ \t]/)
    if (blank < 0 || setting.startsWith('#')) return line
    const name = setting.slice(0, blank)
    const value = setting.slice(blank).trim()
    const place = `${path}:${index + 1}`
    const reason = ofService[name]
    if (reason !== undefined) {
      changes.push(`${place}: ${name} becomes a comment, ${reason}`)
      return `# ${reason} (recado migrate-from-mosquitto): ${setting}`
    }
    const isPath = name === 'log_dest' || name === 'capath' || pathOptions.test(name)
    const file = name === 'log_dest' && value.startsWith('file') ? value.slice(4).trim() : value
    if (!isPath || !file.startsWith('/')) return line
    const renamed = rename(file)
    if (renamed === file) return line
    changes.push(`${place}: ${file} becomes ${renamed}`)
    return line.replace(file, () => renamed)
  })
  if (isMain && !lines.some((line) => /^\s*persistence_location\s/.test(line))) {
    changes.push(`${path}: persistence_location ${data} is added`)
    result.unshift('# Added by recado migrate-from-mosquitto.', `persistence_location ${data}`, '')
  }
  return result.join('\n')
}

/**
 * Returns files in Mosquitto's data folder that the configuration names, such as the JSON file of dynamic security.
 */
function dataFiles(
  { from }: MigrationOptions,
  settings: readonly Setting[],
  mosquittoData: string | null,
  rename: Rename,
): CopiedFile[] {
  const home = dirname(resolve(from))
  return pathsIn(settings)
    .filter(({ path }) => mosquittoData !== null && isBelow(path, mosquittoData) && !isBelow(path, home))
    .filter(({ path }) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
    .map(({ path }) => ({ from: path, to: rename(path), text: null }))
}

function pathsIn(settings: readonly Setting[]): { readonly path: string; readonly setting: Setting }[] {
  return settings.flatMap((setting) => {
    const { name, value } = setting
    if (typeof value !== 'string' || !(pathOptions.test(name) || name === 'capath')) return []
    return value.startsWith('/') ? [{ path: resolve(value), setting }] : []
  })
}

function databaseOf(
  config: Config,
  mosquittoData: string | null,
  settings: readonly Setting[],
): { database: TakenOverDatabase | null; why: string | null } {
  const isKept = settings.some(({ option, value }) => option.name === 'persistence' && value === true)
  if (mosquittoData === null || !isKept) return { database: null, why: null }
  const found = [config.persistenceFile, SQLITE_FILE]
    .map((name) => join(mosquittoData, name))
    .find((path) => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0)
  if (found === undefined) return { database: null, why: null }
  try {
    return { database: preview(found, Date.now()), why: null }
  } catch (error) {
    if (!(error instanceof MqttError)) throw error
    return { database: null, why: `${error.message}. Nothing of it can be taken: recado would start empty.` }
  }
}

/** Sentences about settings without effect, other defaults and risks. */
function differencesOf(config: Config, settings: readonly Setting[]): string[] {
  const given = new Set(settings.map(({ option }) => option.name))
  const defaults = optionTable
    .filter(({ name, mosquitto, scope }) => mosquitto !== undefined && scope === 'global' && !given.has(name))
    .filter(({ name }) => ofService[name] === undefined && name !== 'persistence_location')
    .map(
      ({ name, mosquitto, default: own }) =>
        `${name} is not set: ${mosquitto} in Mosquitto, ${own === '' ? 'none' : own} here`,
    )
  const levels = new Map(lintTable.map(({ name, level }) => [name, level]))
  const risks = lint(config)
    .filter(({ name }) => levels.get(name) === 'warning')
    .map(({ file, line, text }) => `${file ?? ''}${line > 0 ? `:${line}` : ''}: ${text}`)
  return [...new Set([...config.warnings, ...risks, ...defaults])]
}

function obstaclesOf(
  { from, to, account }: MigrationOptions,
  settings: readonly Setting[],
  files: readonly CopiedFile[],
): string[] {
  const home = dirname(resolve(from))
  const found: string[] = []
  if (isBelow(resolve(to), home) || isBelow(home, resolve(to))) {
    found.push(`${from} is in ${to}: it is the configuration of recado already`)
  }
  if (account === null) return found
  const copied = new Set(files.map(({ from }) => from))
  for (const { path, setting } of pathsIn(settings)) {
    if (copied.has(path) || isBelow(path, home) || !existsSync(path) || mayRead(path, account)) continue
    if (/_location$|_dir$/.test(setting.name)) continue
    found.push(
      `${setting.file}:${setting.line}: user ${account.name} may not read ${path}. Mosquitto reads it as root before it becomes another user, recado's service is never root: hand it over with LoadCredential=${basename(path)}:${path} (systemctl edit recado), and name /run/credentials/recado.service/${basename(path)}, or give the user the right to read it`,
    )
  }
  return found
}

/** Whether an account may read a file, by its mode. */
function mayRead(path: string, { uid, gid }: Account): boolean {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    if (!allows(folder, uid, gid, 0o1)) return false
  }
  return allows(path, uid, gid, 0o4)
}

function allows(path: string, uid: number, gid: number, bit: number): boolean {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) return false
  const shift = status.uid === uid ? 6 : status.gid === gid ? 3 : 0
  return ((status.mode >> shift) & bit) !== 0
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
    .sort()
}
