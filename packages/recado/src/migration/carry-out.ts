/**
 * Puts recado in the place of a Mosquitto, and the other way round.
 *
 * `recado migrate-from-mosquitto` calls it with a plan. What was in recado's folders is moved into the backup folder
 * first, with a record of the migration, by which it is undone. Invariants: a step that fails takes all back, and
 * Mosquitto runs again; nothing of Mosquitto's is changed on the way there, and on the way back its old database is kept
 * beside the new one.
 */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { StoreContents } from '@recado/broker'
import { checkStart } from '../check.ts'
import { openFolder } from '../cli/store-folder.ts'
import { ToolError } from '../command-table.ts'
import { loadConfig } from '../config/config.ts'
import { takeOver } from '../mosquitto-db/take-over.ts'
import { databaseBytes } from '../mosquitto-db/write-database.ts'
import type { Account } from '../privileges.ts'
import type { Plan } from './plan.ts'

/** Service manager, as far as it is needed. */
export interface Services {
  /** Whether it stops and starts anything: with --no-services the operator does. */
  readonly isUsed: boolean
  /** Stops a service and keeps it from starting with the system. @throws ToolError */
  disable(name: string): void
  /** Starts a service, now and with the system. @throws ToolError */
  enable(name: string): void
}

/** Record of a migration, for the way back. */
interface Record {
  readonly at: string
  readonly to: string
  readonly data: string
  /** Mosquitto's database; null when there was none. */
  readonly database: string | null
}

const recordIn = (backup: string): string => join(backup, 'migration.json')

/** Carries out a plan. `tell` is called with a line for each step. @throws ToolError, and then all is as it was */
export async function carryOut(
  plan: Plan,
  backup: string,
  services: Services,
  tell: (line: string) => void,
): Promise<void> {
  const { to, data, account } = plan.options
  if (existsSync(recordIn(backup))) {
    throw new ToolError(`${recordIn(backup)}: a migration was carried out already. Go back first (--undo)`)
  }
  services.disable('recado')
  services.disable('mosquitto')
  mkdirSync(backup, { recursive: true, mode: 0o700 })
  if (services.isUsed) tell('mosquitto is stopped')
  try {
    setAside(to, join(backup, 'configuration'))
    setAside(data, join(backup, 'data'))
    const record: Record = { at: new Date().toISOString(), to, data, database: plan.database?.path ?? null }
    writeFileSync(recordIn(backup), `${JSON.stringify(record, null, 2)}\n`)
    await makeData(plan, tell)
    for (const file of plan.files) copyTo(file, account)
    giveAll(data, account)
    tell(`${plan.files.length} files are copied to ${to}`)
    const config = loadConfig({
      configFile: join(to, 'recado.conf'),
      dataFolder: null,
      ports: [],
      verbose: false,
      quiet: false,
    })
    await checkStart(config)
    services.enable('recado')
    tell(services.isUsed ? 'recado runs' : 'No service was touched: start recado')
  } catch (error) {
    tell(`It failed (${(error as Error).message}): everything is taken back`)
    takeBack(plan.options.to, plan.options.data, backup, services)
    throw new ToolError((error as Error).message)
  }
}

/** Goes back to Mosquitto, with what recado has kept meanwhile. @throws ToolError */
export async function undo(
  backup: string,
  owner: Account | null,
  services: Services,
  tell: (line: string) => void,
): Promise<void> {
  if (!existsSync(recordIn(backup))) throw new ToolError(`${recordIn(backup)} is not there: nothing was migrated`)
  const { to, data, database } = JSON.parse(readFileSync(recordIn(backup), 'utf8')) as Record
  services.disable('recado')
  if (services.isUsed) tell('recado is stopped')
  if (database !== null) {
    const kept = `${database}.before-${Date.now()}`
    const next = `${database}.from-recado`
    const counts = await writeDatabase(data, next)
    const { uid, gid, mode } = statSync(database)
    chmodSync(next, mode & 0o777)
    if (owner !== null) chownSync(next, uid, gid)
    renameSync(database, kept)
    renameSync(next, database)
    tell(`${database} has ${counts}; what was there is ${kept}`)
  }
  // A copy of what recado had, for a second thought.
  const last = join(backup, `recado-${Date.now()}`)
  mkdirSync(last, { mode: 0o700 })
  setAside(to, join(last, 'configuration'))
  setAside(data, join(last, 'data'))
  takeBack(to, data, backup, services)
  tell(`What recado had is in ${last}`)
  tell(services.isUsed ? 'mosquitto runs again' : 'No service was touched: start mosquitto')
}

async function writeDatabase(data: string, path: string): Promise<string> {
  const reader = await openFolder(data)
  const written = { sessions: 0, subscriptions: 0, deliveries: 0, retained: 0 }
  const left = { wills: 0, sharedSubscriptions: 0, unreleased: 0, delayed: 0 }
  try {
    rmSync(path, { force: true })
    for (const bytes of databaseBytes(new StoreContents(reader), Date.now(), written, left)) {
      writeFileSync(path, bytes, { flag: 'a', flush: true, mode: 0o600 })
    }
  } finally {
    await reader.close()
  }
  const lost = left.wills + left.sharedSubscriptions + left.delayed
  const text = `${written.sessions} sessions, ${written.deliveries} messages waiting, ${written.retained} retained messages`
  return lost === 0
    ? text
    : `${text} (without ${left.wills} Wills, ${left.sharedSubscriptions} Shared Subscriptions and ${left.delayed} delayed messages)`
}

async function makeData({ database, options: { data, account } }: Plan, tell: (line: string) => void): Promise<void> {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  if (account !== null) chownSync(data, account.uid, account.gid)
  if (database === null) return
  const taken = await takeOver(database.path, data, Date.now())
  if (taken === null) throw new ToolError(`${data} has data now, from another process`)
  tell(`${database.path} is imported`)
}

/** Moves the contents of a folder into a new one; the folder stays, with its owner and mode. */
function setAside(folder: string, into: string): void {
  mkdirSync(into, { recursive: true, mode: 0o700 })
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) move(join(folder, name), join(into, name))
}

/** Moves what was set aside into its place again, and starts Mosquitto. */
function takeBack(to: string, data: string, backup: string, services: Services): void {
  services.disable('recado')
  for (const [folder, from] of [
    [to, join(backup, 'configuration')],
    [data, join(backup, 'data')],
  ] as const) {
    if (!existsSync(from)) continue
    mkdirSync(folder, { recursive: true })
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
    for (const name of readdirSync(from)) move(join(from, name), join(folder, name))
    rmSync(from, { recursive: true })
  }
  rmSync(recordIn(backup), { force: true })
  services.enable('mosquitto')
}

function move(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    // On another file system.
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    cpSync(from, to, { recursive: true, preserveTimestamps: true })
    rmSync(from, { recursive: true })
  }
}

/** Copies a file with its mode. What belonged to another user than root belongs to recado's. */
function copyTo({ from, to, text }: Plan['files'][number], account: Account | null): void {
  mkdirSync(dirname(to), { recursive: true })
  const { mode, uid } = statSync(from)
  if (text === null) copyFileSync(from, to)
  else writeFileSync(to, text)
  chmodSync(to, mode & 0o777)
  if (account === null) return
  // Mosquitto reads its files as root; ours must be readable by the service's user, and only root may change them.
  if (uid === 0) chownSync(to, 0, account.gid)
  else chownSync(to, account.uid, account.gid)
  if ((mode & 0o004) === 0) chmodSync(to, (mode & 0o777) | (uid === 0 ? 0o040 : 0))
}

function giveAll(folder: string, account: Account | null): void {
  if (account === null) return
  for (const name of ['.', ...readdirSync(folder)]) chownSync(join(folder, name), account.uid, account.gid)
}
