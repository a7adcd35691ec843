/**
 * `user`: what only root may do is done first, then the broker is that user, for good.
 *
 * `serve.ts` calls it when it is root and `user` is given: the data folder is opened as that user already (`openedAs`), so that all in it
 * is his; ports below 1024, keys and password files are opened as root; then `drop`. The invariant: after `drop` there is no way back, or
 * it throws.
 */
import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { MqttError } from '@recado/protocol'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** Node has it, its types have not. */
const { initgroups } = process as NodeJS.Process & { initgroups?: (user: string, group: number) => void }

export const isRoot = (): boolean => process.getuid?.() === 0

/** @throws MqttError ERR_RECADO_USER when there is no such user. */
export function accountOf(name: string): Account {
  for (const line of lines('/etc/passwd')) {
    const [user, , uid, gid] = line.split(':')
    if (user === name) return { name, uid: Number(uid), gid: Number(gid) }
  }
  // Users that are not in that file, but in a directory service.
  const id = (option: string): number =>
    Number(execFileSync('id', [option, '--', name], { stdio: ['ignore', 'pipe', 'ignore'] }))
  try {
    return { name, uid: id('-u'), gid: id('-g') }
  } catch (error) {
    throw new MqttError('ERR_RECADO_USER', `there is no user "${name}" on this machine (user)`, { cause: error })
  }
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    // A system without it is asked in the other way.
    return []
  }
}

/** Makes the folder for that user if it is missing, and runs `open` with his rights. */
export async function openedAs<T>({ uid, gid, name }: Account, folder: string, open: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(folder), { recursive: true })
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) chownSync(folder, uid, gid)
  const groups = process.getgroups!()
  initgroups!(name, gid)
  process.setegid!(gid)
  process.seteuid!(uid)
  try {
    return await open()
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
    process.setgroups!(groups)
  }
}

/** `files`: what root has opened and the user is to write or remove later. @throws MqttError ERR_RECADO_USER when root is still to be had afterwards. */
export function drop({ name, uid, gid }: Account, files: readonly string[]): void {
  for (const file of files) chownSync(file, uid, gid)
  initgroups!(name, gid)
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
