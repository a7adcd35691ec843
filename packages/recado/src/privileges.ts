/**
 * `user`: the work that needs root is done first, then the broker becomes that user, for good.
 *
 * `serve.ts` calls it when it is root and `user` is given: the data folder is opened as that user already (`openedAs`),
 * so that the user owns its files; ports below 1024, keys and password files are opened as root; then `drop`.
 * Invariant: after `drop` there is no way back, or it throws.
 */
import { execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { MqttError } from '@recado/protocol'
import { giveTo } from './root-files.ts'
import { programFolder } from './version.ts'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
  /** Member of all groups of its name; false: of `gid` alone. Default true. */
  readonly hasOwnGroups?: boolean
}

/** Node has it, its types have not. */
const { initgroups } = process as NodeJS.Process & { initgroups?: (user: string, group: number) => void }

export const isRoot = (): boolean => process.getuid?.() === 0

/**
 * Account of a user. `option` is the option that named it. @throws MqttError ERR_RECADO_USER when there is no such
 * user.
 */
export function accountOf(name: string, option = 'user'): Account {
  for (const line of lines('/etc/passwd')) {
    const [user, , uid, gid] = line.split(':')
    if (user === name) return { name, uid: Number(uid), gid: Number(gid) }
  }
  // Users that are not in that file, but in a directory service.
  const id = (which: string): number =>
    Number(execFileSync('id', [which, '--', name], { stdio: ['ignore', 'pipe', 'ignore'] }))
  try {
    return { name, uid: id('-u'), gid: id('-g') }
  } catch (error) {
    throw new MqttError('ERR_RECADO_USER', `there is no user "${name}" on this machine (${option})`, { cause: error })
  }
}

/**
 * Returns the account with that number, also where it has no name. Its group is that of its name, or has the same
 * number.
 */
export function accountOfId(uid: number): Account {
  for (const line of lines('/etc/passwd')) {
    const [user, , id, gid] = line.split(':')
    if (user !== undefined && Number(id) === uid && id !== '') return { name: user, uid, gid: Number(gid) }
  }
  return { name: String(uid), uid, gid: uid, hasOwnGroups: false }
}

/** Takes the groups of the account. */
function joinGroups({ name, gid, hasOwnGroups = true }: Account): void {
  if (hasOwnGroups) initgroups!(name, gid)
  else process.setgroups!([gid])
}

/**
 * Number of a group. `option` is the option that named it. @throws MqttError ERR_RECADO_USER when there is no such
 * group.
 */
export function groupOf(name: string, option: string): number {
  for (const line of lines('/etc/group')) {
    const [group, , gid] = line.split(':')
    if (group === name) return Number(gid)
  }
  try {
    const line = execFileSync('getent', ['group', '--', name], {
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
    })
    return Number(line.split(':')[2])
  } catch (error) {
    throw new MqttError('ERR_RECADO_USER', `there is no group "${name}" on this machine (${option})`, { cause: error })
  }
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    // A system without it is asked in another way.
    return []
  }
}

/** Makes the folder for that user if it is missing, and runs `open` with the user's rights. */
export async function openedAs<T>(account: Account, folder: string, open: () => Promise<T>): Promise<T> {
  makeFolderFor(account, folder)
  const restore = become(account)
  try {
    return await open()
  } finally {
    restore()
  }
}

/** Takes that user's rights until the returned function is called. */
function become(account: Account): () => void {
  const { uid, gid } = account
  const groups = process.getgroups!()
  joinGroups(account)
  process.setegid!(gid)
  process.seteuid!(uid)
  return () => {
    process.seteuid!(0)
    process.setegid!(0)
    process.setgroups!(groups)
  }
}

/**
 * Makes the folder; its parents stay root's. A failure is left to `open`, whose error has the reason. One by one: with
 * `recursive` Node loops for ever on a file system that accepts no folders and answers ENOENT, as /proc does.
 */
function makeFolderFor({ uid, gid }: Account, folder: string): void {
  if (existsSync(folder)) return
  const missing = [folder]
  for (let above = dirname(folder); !existsSync(above); above = dirname(above)) missing.unshift(above)
  try {
    for (const each of missing) mkdirSync(each, { mode: each === folder ? 0o700 : 0o755 })
    chownSync(folder, uid, gid)
  } catch {
    // `open` fails for the same reason.
  }
}

/**
 * Checks that the user can read the program, parts of which are loaded after root has been given up: threads that hash
 * passwords, modules that are loaded when needed. @throws MqttError ERR_RECADO_USER when that user cannot
 */
export function mustReadProgram(account: Account): void {
  const restore = become(account)
  try {
    for (const file of laterFiles()) readFileSync(file)
  } catch (error) {
    const advice = 'install it where that user can read it, as in /usr/lib, or set user to another one'
    const text = `user "${account.name}" cannot read the program in ${programFolder}: ${advice}`
    throw new MqttError('ERR_RECADO_USER', text, { cause: error })
  } finally {
    restore()
  }
}

/** Files that stand for all that are loaded later, one of each package. */
function laterFiles(): readonly (string | URL)[] {
  // Bundled, the broker is part of this very file, and modules are found as `require` finds them.
  if (import.meta.resolve === undefined)
    return [new URL(import.meta.url), createRequire(import.meta.url).resolve('lmdb')]
  return [import.meta.url, import.meta.resolve('@recado/broker'), import.meta.resolve('lmdb')].map(
    (url) => new URL(url),
  )
}

/**
 * Gives up root. `files` are those that root has opened and the user will write or remove later. @throws MqttError
 * ERR_RECADO_USER when root could still be had afterwards.
 */
export function drop(account: Account, files: readonly string[]): void {
  const { name, uid, gid } = account
  for (const file of files) giveTo(file, uid, gid)
  joinGroups(account)
  process.setgid!(gid)
  process.setuid!(uid)
  if (uid === 0) return
  try {
    process.setuid!(0)
  } catch {
    return
  }
  throw new MqttError('ERR_RECADO_USER', `root could not be given up for user "${name}"`)
}
